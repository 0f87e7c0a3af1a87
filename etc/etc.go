// Package etc holds the default configuration files that the packages install, and the syntax all
// our configuration files share: TOML with upstream's dotted names, and Java properties. What the
// settings mean is the business of zkd/config and kafkad/config.
package etc

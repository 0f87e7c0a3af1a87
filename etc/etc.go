// Package etc holds the default configuration files that the packages install, and the syntax all
// our configuration files share: TOML with upstream's dotted names, and Java properties. What the
// settings mean is the business of zkd/config and kafkad/config.
package etc

import _ "embed" // the default files

// ZKD is etc/zkd/server.toml as installed.
//
//go:embed zkd/server.toml
var ZKD []byte

// Kafkad is etc/kafkad/server.toml as installed.
//
//go:embed kafkad/server.toml
var Kafkad []byte

// Package etc holds what the packages install beside the two binaries: the default configuration
// files, the other names that a binary answers to, the manual pages. And it has the syntax all our
// configuration files share: TOML with upstream's dotted names, and Java properties. What the
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

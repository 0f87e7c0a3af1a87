// Package interop holds the tests that run zkd with software that is not ours: Apache's servers and
// command line, kazoo, go-zookeeper. They are behind the build tag "interop" and need a JDK, Maven
// and Python; `make interop` runs them. With INTEROP_GO_ONLY set, what needs anything but Go is
// skipped; -short leaves out the runs on Apache's servers, which check the tests themselves.
package interop

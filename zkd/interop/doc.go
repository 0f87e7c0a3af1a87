// Package interop holds the tests that run zkd with software that is not ours: Apache's servers and
// command line, kazoo, go-zookeeper. They are behind the build tag "interop" and need a JDK, Maven
// and Python; `make interop` runs them.
package interop

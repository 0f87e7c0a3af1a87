// Package interop tests kafkad against what it must be compatible with: Apache's brokers, servers
// and tools of several releases, librdkafka, kafka-python and kafkajs, in both directions. The
// tests are behind the build tag "interop"; run them with `make interop`. They start the binaries
// of $ZKAFKA_BIN, or build them.
package interop

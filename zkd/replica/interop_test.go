//go:build interop

package replica_test

import (
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestInteropProtocol: a real Apache ZooKeeper still answers the scripts as their transcripts say.
func TestInteropProtocol(t *testing.T) {
	datadriven.Walk(t, "testdata/protocol", func(t *testing.T, path string) {
		runScript(t, path, newPeer(t, ".ci/peers/peer"))
	})
}

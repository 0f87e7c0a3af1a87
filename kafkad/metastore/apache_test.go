//go:build interop

package metastore

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func init() { servers["apache"] = startApache }

// peer is the script that runs Apache's servers and tools.
const peer = "../../.ci/peers/peer"

func startApache(t testing.TB) string {
	t.Helper()
	if os.Getenv("INTEROP_GO_ONLY") == "1" {
		t.Skip("INTEROP_GO_ONLY=1: no Apache ZooKeeper")
	}
	dir, err := os.MkdirTemp("", "metastore-apache-")
	if err != nil {
		t.Fatal(err)
	}
	stopServers = append(stopServers, func() { os.RemoveAll(dir) })
	port := freePort(t)
	conf := filepath.Join(dir, "zoo.cfg")
	text := fmt.Sprintf("tickTime=500\ndataDir=%s\nclientPort=%d\nclientPortAddress=127.0.0.1\n"+
		"admin.enableServer=false\n", filepath.Join(dir, "data"), port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(peer, "zk", "zookeeper-3.9.4", conf)
	cmd.Env = append(os.Environ(), "PEER_JVM=-Xmx256m")
	return runServer(t, cmd, dir, port)
}

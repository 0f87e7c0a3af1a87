//go:build interop

package interop

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// startEnsemble starts three servers of an Apache release that elect a leader among them.
func startEnsemble(t *testing.T, name string) []*server {
	t.Helper()
	foreign(t)
	if testing.Short() {
		t.Skip("-short: not against Apache's servers")
	}
	var members []string
	for i := range 3 {
		members = append(members,
			fmt.Sprintf("server.%d=127.0.0.1:%d:%d", i+1, freePort(t), freePort(t)))
	}
	var servers []*server
	for i := range 3 {
		s := &server{t: t, name: name, dir: t.TempDir()}
		port := freePort(t)
		s.addr = fmt.Sprintf("127.0.0.1:%d", port)
		data := filepath.Join(s.dir, "data")
		check(t, os.MkdirAll(data, 0o755))
		s.write("data/myid", fmt.Sprintln(i+1))
		s.write("zoo.cfg", strings.Join(append(members,
			"tickTime=500", "initLimit=20", "syncLimit=10", "dataDir="+data,
			"clientPortAddress=127.0.0.1", fmt.Sprintf("clientPort=%d", port),
			"admin.enableServer=false", "4lw.commands.whitelist=*"), "\n")+"\n")
		s.launch()
		t.Cleanup(s.kill)
		servers = append(servers, s)
	}
	for _, s := range servers {
		s.wait()
	}
	return servers
}

// TestInteropEnsemble takes our client through an ensemble whose servers die one after the other.
// Its session, its ephemeral node and its watches must go with it, and no acknowledged write be
// lost.
func TestInteropEnsemble(t *testing.T) {
	servers := startEnsemble(t, "zookeeper-3.9.4")
	var addrs []string
	for _, s := range servers {
		addrs = append(addrs, s.addr)
	}
	opt := client.Options{Servers: addrs, SessionTimeout: 10 * time.Second, Chroot: "/app"}
	c, err := client.Dial(t.Context(), opt)
	check(t, err)
	t.Cleanup(c.Abandon)
	other, err := client.Dial(t.Context(), opt)
	check(t, err)
	t.Cleanup(other.Abandon)
	ctx := timeout(t)
	check(t, c.EnsureChroot(ctx))
	_, err = c.Create(ctx, "/eph", nil, proto.OpenACL(), proto.ModeEphemeral)
	check(t, err)
	id, _, _ := c.Session()
	for round := range 3 {
		ctx := timeout(t)
		path := fmt.Sprintf("/round%d", round)
		_, err = c.Create(ctx, path, []byte("x"), proto.OpenACL(), proto.ModePersistent)
		check(t, err)
		_, _, changed, err := c.GetW(ctx, path)
		check(t, err)
		var victim *server
		for _, s := range servers {
			if s.addr == c.Server() {
				victim = s
			}
		}
		victim.kill()
		for { // others may be thrown out too, if it was the leader
			_, err = other.Set(ctx, path, []byte("y"), -1)
			if !errors.Is(err, client.ErrConnectionLoss) {
				break
			}
		}
		check(t, err)
		if e := event(t, changed); e.Type != proto.EventNodeDataChanged || e.Path != path {
			t.Errorf("round %d: %+v", round, e)
		}
		if got, _, _ := c.Session(); got != id {
			t.Errorf("round %d: another session", round)
		}
		if c.Server() == victim.addr {
			t.Errorf("round %d: still at the server that was killed", round)
		}
		check(t, c.Sync(ctx, "/"))
		found, st, err := c.Exists(ctx, "/eph")
		if err != nil || !found || st.EphemeralOwner != id {
			t.Errorf("round %d: the ephemeral: %v %+v %v", round, found, st, err)
		}
		victim.launch()
		victim.wait()
	}
	check(t, c.Close(timeout(t)))
	check(t, other.Wait(timeout(t)))
	check(t, other.Close(timeout(t)))
}

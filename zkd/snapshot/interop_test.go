//go:build interop

package snapshot_test

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"zkafka/zkd/disk"
	"zkafka/zkd/proto"
	"zkafka/zkd/snapshot"
	"zkafka/zkd/tree"
	"zkafka/zkd/txnlog"
)

// TestInteropFiles writes a random tree as a server would, log and fuzzy snapshot, lets an Apache
// server start on it and looks at what it shows; then it loads what that server has written.
func TestInteropFiles(t *testing.T) {
	if os.Getenv("INTEROP_GO_ONLY") == "1" {
		t.Skip("INTEROP_GO_ONLY=1: Apache's server needs Java and Maven")
	}
	newest := peers[0]
	all := append(slices.Clone(peers),
		"zookeeper-3.5.10", "zookeeper-3.6.4", "zookeeper-3.7.2", "zookeeper-3.8.6")
	for _, peer := range all {
		t.Run(peer, func(t *testing.T) {
			if testing.Short() && peer != newest {
				t.Skip("-short: only the newest release")
			}
			dir := t.TempDir()
			w := serve(t, dir, strings.HasPrefix(peer, "zookeeper-3.4"))
			apache := startApache(t, peer, dir)
			compareWithClient(t, w.tree, apache.conn, "/")
			if peer == newest {
				checkMismatches(t, apache.addr)
			}
			changeThroughClient(t, apache.conn)
			stopped := apache.dump(t)
			tr, info, err := snapshot.Recover(disk.Real(), dir, "", snapshot.RecoverOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if info.Mismatches != 0 || info.Gaps != 0 || info.AwaitedDigest != 0 {
				t.Errorf("%+v", info)
			}
			if tr.LastZxid() <= w.tree.LastZxid() {
				t.Errorf("came up at 0x%x", tr.LastZxid())
			}
			for path, stat := range stopped {
				n, ok := tr.Get(path)
				if !ok || n.Stat() != stat {
					t.Errorf("%s is missing or not %+v", path, stat)
				}
			}
			if tr.NodeCount()-1 > len(stopped)+1 { // 3.4 has no /zookeeper/config
				t.Errorf("%d nodes, Apache had %d", tr.NodeCount()-1, len(stopped))
			}
		})
	}
}

// serve runs a few hundred transactions with snapshots in between and ends as if killed.
func serve(t *testing.T, dir string, old bool) *workload {
	t.Helper()
	rng := rand.New(rand.NewPCG(4, 2))
	w := newWorkload(rng)
	w.old = old
	tr, info, err := snapshot.Recover(disk.Real(), dir, "", snapshot.RecoverOptions{})
	if err != nil {
		t.Fatal(err)
	}
	log, err := txnlog.Open(txnlog.Options{FS: disk.Real(), Dir: info.LogDir}, 0)
	if err != nil {
		t.Fatal(err)
	}
	var walk *tree.Walk
	var snap *snapshot.Writer
	snaps := 0
	for len(w.txns) < 400 {
		b := w.next()
		if err := errors.Join(log.Append(int64(len(w.txns)), b), log.Flush()); err != nil {
			t.Fatal(err)
		}
		txn, err := proto.DecodeTxn(b)
		if err != nil {
			t.Fatal(err)
		}
		tr.Apply(txn)
		if walk == nil && len(w.txns)%100 == 50 {
			walk = tr.NewSnapshot()
			if snap, err = snapshot.Create(disk.Real(), info.SnapDir, walk.Zxid()); err != nil {
				t.Fatal(err)
			}
			if err := log.Roll(); err != nil {
				t.Fatal(err)
			}
		}
		if walk == nil {
			continue
		}
		part, done := walk.Next(nil, 100)
		if _, err := snap.Write(part); err != nil {
			t.Fatal(err)
		}
		if done {
			if err := snap.Commit(); err != nil {
				t.Fatal(err)
			}
			walk, snaps = nil, snaps+1
		}
	}
	if snaps < 2 {
		t.Fatalf("only %d snapshots", snaps)
	}
	return w
}

type apache struct {
	cmd  *exec.Cmd
	addr string
	conn *zk.Conn
}

type quiet struct{}

func (quiet) Printf(string, ...interface{}) {}

func startApache(t *testing.T, peer, dir string) *apache {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	_, port, _ := net.SplitHostPort(addr)
	cfg := filepath.Join(t.TempDir(), "zoo.cfg")
	text := fmt.Sprintf("tickTime=2000\ndataDir=%s\nclientPort=%s\nclientPortAddress=127.0.0.1\n"+
		"admin.enableServer=false\n4lw.commands.whitelist=*\n", dir, port)
	if err := os.WriteFile(cfg, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha1.Sum([]byte("super:secret"))
	a := &apache{cmd: exec.Command(filepath.Join(root, ".ci/peers/peer"), "zk", peer, cfg), addr: addr}
	a.cmd.Env = append(os.Environ(), "PEER_JVM=-Xmx256m -Dzookeeper.extendedTypesEnabled=true "+
		"-Dzookeeper.DigestAuthenticationProvider.superDigest=super:"+
		base64.StdEncoding.EncodeToString(sum[:]))
	var out bytes.Buffer
	a.cmd.Stdout, a.cmd.Stderr = &out, &out
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.kill() })
	conn, events, err := zk.Connect([]string{addr}, 30*time.Second, zk.WithLogger(quiet{}))
	if err != nil {
		t.Fatal(err)
	}
	a.conn = conn
	t.Cleanup(conn.Close)
	timeout := time.After(4 * time.Minute) // Maven may have to bring the jars first
	for {
		select {
		case e := <-events:
			if e.State == zk.StateHasSession {
				if err := conn.AddAuth("digest", []byte("super:secret")); err != nil {
					t.Fatal(err)
				}
				return a
			}
		case <-timeout:
			a.kill()
			t.Fatalf("%s does not serve:\n%s", peer, &out)
		}
	}
}

func (a *apache) kill() {
	if a.cmd.ProcessState == nil {
		_ = a.cmd.Process.Signal(syscall.SIGKILL)
		_ = a.cmd.Wait()
	}
}

// dump reads the stats of all nodes and kills the server.
func (a *apache) dump(t *testing.T) map[string]proto.Stat {
	t.Helper()
	nodes := map[string]proto.Stat{}
	var walk func(path string)
	walk = func(path string) {
		kids, stat, err := a.conn.Children(path)
		if err != nil {
			t.Fatal(path, err)
		}
		nodes[path] = toStat(stat)
		for _, kid := range kids {
			walk(join(path, kid))
		}
	}
	walk("/")
	// 3.4 has no /zookeeper/config and so another number of children.
	delete(nodes, "/zookeeper")
	a.kill()
	return nodes
}

func join(path, name string) string { return strings.TrimSuffix(path, "/") + "/" + name }

func toStat(s *zk.Stat) proto.Stat {
	return proto.Stat{
		Czxid: s.Czxid, Mzxid: s.Mzxid, Ctime: s.Ctime, Mtime: s.Mtime,
		Version: s.Version, Cversion: s.Cversion, Aversion: s.Aversion,
		EphemeralOwner: s.EphemeralOwner, DataLength: s.DataLength,
		NumChildren: s.NumChildren, Pzxid: s.Pzxid,
	}
}

// compareWithClient walks the server's tree and ours together.
func compareWithClient(t *testing.T, tr *tree.Tree, c *zk.Conn, path string) {
	t.Helper()
	n, ok := tr.Get(path)
	if !ok {
		t.Errorf("Apache has %s, we do not", path)
		return
	}
	data, stat, err := c.Get(path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if got := toStat(stat); got != n.Stat() || !bytes.Equal(data, n.Data()) {
		t.Errorf("%s: Apache has %+v %q, we %+v %q", path, got, data, n.Stat(), n.Data())
	}
	list, _, err := c.GetACL(path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	acl := make([]proto.ACL, 0, len(list))
	for _, a := range list {
		acl = append(acl, proto.ACL{Perms: a.Perms, ID: proto.ID{Scheme: a.Scheme, ID: a.ID}})
	}
	if !slices.Equal(acl, n.ACL()) {
		t.Errorf("%s: Apache has ACL %v, we %v", path, acl, n.ACL())
	}
	kids, _, err := c.Children(path)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	slices.Sort(kids)
	if !slices.Equal(kids, n.Children()) {
		t.Errorf("%s: Apache has children %v, we %v", path, kids, n.Children())
	}
	for _, kid := range kids {
		compareWithClient(t, tr, c, join(path, kid))
	}
}

// checkMismatches asks the server whether any digest in our files was not what it computed.
func checkMismatches(t *testing.T, addr string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("mntr")); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "zk_digest_mismatches_count"); ok {
			if n, err := strconv.ParseFloat(strings.TrimSpace(v), 64); err != nil || n != 0 {
				t.Errorf("Apache found that %s digests differ", strings.TrimSpace(v))
			}
			return
		}
	}
	t.Error("mntr does not tell the mismatches of digests")
}

func changeThroughClient(t *testing.T, c *zk.Conn) {
	t.Helper()
	open := zk.WorldACL(zk.PermAll)
	for i := range 20 {
		if _, err := c.Create("/interop-", []byte("x"), zk.FlagSequence, open); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Create(fmt.Sprintf("/eph-%d", i), nil, zk.FlagEphemeral, open); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Set("/", []byte("of the root"), -1); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete("/eph-3", -1); err != nil {
		t.Fatal(err)
	}
	if _, err := c.SetACL("/eph-4", zk.WorldACL(zk.PermRead), -1); err != nil {
		t.Fatal(err)
	}
}

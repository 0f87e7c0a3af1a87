package snapshot_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"zkafka/zkd/disk"
	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
	"zkafka/zkd/snapshot"
	"zkafka/zkd/tree"
	"zkafka/zkd/txnlog"
)

// The files under testdata were written by Apache's servers; testdata/capture.sh made them.

// loadDir copies a directory of this machine into a filesystem in memory.
func loadDir(t testing.TB, m *disk.Mem, from, to string) {
	t.Helper()
	if err := m.MkdirAll(to); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(from, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, m, filepath.Join(to, e.Name()), b)
	}
}

func writeFile(t testing.TB, m *disk.Mem, name string, b []byte) {
	t.Helper()
	f, err := m.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := m.SyncDir(filepath.Dir(name)); err != nil {
		t.Fatal(err)
	}
}

// dumped is a node as the capture's client printed it.
type dumped struct {
	Path string
	Data []byte
	Stat struct {
		Czxid, Mzxid, Ctime, Mtime  int64
		Version, Cversion, Aversion int32
		EphemeralOwner              int64
		DataLength, NumChildren     int32
		Pzxid                       int64
	}
	ACL []struct {
		Perms      int32
		Scheme, ID string
	}
}

// checkDump compares a tree with what a client saw of Apache's.
func checkDump(t *testing.T, tr *tree.Tree, file string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := 0
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		var d dumped
		if err := json.Unmarshal(sc.Bytes(), &d); err != nil {
			t.Fatal(err)
		}
		seen++
		n, ok := tr.Get(d.Path)
		if !ok {
			t.Errorf("%s is missing", d.Path)
			continue
		}
		want := proto.Stat{
			Czxid: d.Stat.Czxid, Mzxid: d.Stat.Mzxid, Ctime: d.Stat.Ctime, Mtime: d.Stat.Mtime,
			Version: d.Stat.Version, Cversion: d.Stat.Cversion, Aversion: d.Stat.Aversion,
			EphemeralOwner: d.Stat.EphemeralOwner, DataLength: d.Stat.DataLength,
			NumChildren: d.Stat.NumChildren, Pzxid: d.Stat.Pzxid,
		}
		got := n.Stat()
		if d.Path == "/zookeeper" && got.NumChildren == want.NumChildren+1 {
			continue // 3.4 has no /zookeeper/config
		}
		if got != want {
			t.Errorf("%s\n has %+v\nwant %+v", d.Path, got, want)
		}
		if d.Path != "/acl" && !bytes.Equal(n.Data(), d.Data) {
			t.Errorf("%s holds %q, want %q", d.Path, n.Data(), d.Data)
		}
		if d.Path == "/acl" { // clients do not get to see the digests in it
			continue
		}
		if len(n.ACL()) != len(d.ACL) {
			t.Errorf("%s has ACL %v, want %v", d.Path, n.ACL(), d.ACL)
			continue
		}
		for i, a := range d.ACL {
			got := n.ACL()[i]
			if got.Perms != a.Perms || got.ID.Scheme != a.Scheme || got.ID.ID != a.ID {
				t.Errorf("%s has ACL %v, want %v", d.Path, n.ACL(), d.ACL)
			}
		}
	}
	if seen < 20 {
		t.Errorf("the dump has only %d nodes", seen)
	}
	// The root is counted twice, and the 3.4 dump has no /zookeeper/config.
	if got := tr.NodeCount() - 1; got != seen && got != seen+1 {
		t.Errorf("the tree has %d nodes, the dump %d", got, seen)
	}
}

var peers = []string{"zookeeper-3.9.4", "zookeeper-3.4.14"}

func TestRecoverWhatApacheWrote(t *testing.T) {
	for _, peer := range peers {
		t.Run(peer, func(t *testing.T) {
			m := disk.NewMem()
			loadDir(t, m, filepath.Join("testdata", peer, "version-2"), "/data/version-2")
			tr, info, err := snapshot.Recover(m, "/data", "", snapshot.RecoverOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if info.Mismatches != 0 || info.Gaps != 0 || info.AwaitedDigest != 0 || info.Orphans != 0 {
				t.Errorf("%+v", info)
			}
			if info.Txns == 0 || info.SnapshotZxid == 0 {
				t.Errorf("nothing was replayed behind a snapshot: %+v", info)
			}
			checkDump(t, tr, filepath.Join("testdata", peer, "dump.jsonl"))
		})
	}
}

// TestDigestsAreApaches replays from the empty database on, comparing the digest that Apache's
// server put behind every transaction with the tree's.
func TestDigestsAreApaches(t *testing.T) {
	m := disk.NewMem()
	loadDir(t, m, "testdata/zookeeper-3.9.4/version-2", "/v")
	r, err := txnlog.ReadFrom(m, "/v", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	tr := tree.New()
	compared, kinds := 0, map[proto.Op]bool{}
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		txn, err := proto.DecodeTxn(rec.Data)
		if err != nil {
			t.Fatal(err)
		}
		tr.Apply(txn)
		kinds[txn.Header.Type] = true
		if txn.Digest == nil {
			continue
		}
		compared++
		if txn.Digest.Digest != tr.Digest() {
			t.Fatalf("behind %s 0x%x the digest is %d, Apache's %d",
				txn.Header.Type, txn.Header.Zxid, tr.Digest(), txn.Digest.Digest)
		}
	}
	if compared < 30 {
		t.Errorf("only %d digests were compared", compared)
	}
	for _, op := range []proto.Op{proto.OpCreate, proto.OpDelete, proto.OpSetData, proto.OpSetACL,
		proto.OpMulti, proto.OpCreateContainer, proto.OpCreateTTL, proto.OpCloseSession,
		proto.OpCreateSession, proto.OpError} {
		if !kinds[op] {
			t.Errorf("the captured log has no %s", op)
		}
	}
	checkDump(t, tr, "testdata/zookeeper-3.9.4/dump.jsonl")
}

// TestSnapshotIsApachesBytes writes the trees of Apache's snapshots again and compares the bytes.
// Only the order of children is free (Apache's is that of a hash table), and with it the checksums.
func TestSnapshotIsApachesBytes(t *testing.T) {
	for _, name := range []string{"snapshot.0", "snapshot.24"} {
		want, err := os.ReadFile("testdata/zookeeper-3.9.4/version-2/" + name)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := tree.Decode(bytes.NewReader(want))
		if err != nil {
			t.Fatal(err)
		}
		theirs.BeginReplay(theirs.LastZxid())
		if theirs.AwaitedDigest() != 0 || theirs.DigestMismatches() != 0 {
			t.Errorf("%s: the digest in the snapshot is not the tree's", name)
		}
		theirs.EndReplay()
		ours := encode(theirs, 1<<20)
		got, expected := parse(t, ours), parse(t, want)
		if !bytes.Equal(got.head, expected.head) {
			t.Errorf("%s begins with\n%x, ours with\n%x", name, expected.head, got.head)
		}
		if len(got.nodes) != len(expected.nodes) {
			t.Errorf("%s has %d nodes, ours %d", name, len(expected.nodes), len(got.nodes))
		}
		for path, node := range expected.nodes {
			if got.nodes[path] != node {
				t.Errorf("%s has %q as\n%x, ours as\n%x", name, path, node, got.nodes[path])
			}
		}
		if name == "snapshot.0" {
			// Apache knows no digest before the first transaction.
			clear(got.tail[13:33])
			clear(expected.tail[13:33])
		}
		if !bytes.Equal(got.tail, expected.tail) {
			t.Errorf("%s ends in\n%x, ours in\n%x", name, expected.tail, got.tail)
		}
	}
	if got := encode(tree.New(), 1); len(got) != 478 {
		t.Errorf("the snapshot of an empty tree has %d bytes, Apache's 478", len(got))
	}
}

// parts is a snapshot taken apart, the checksums blanked.
type parts struct {
	head  []byte
	nodes map[string]string
	tail  []byte
}

func parse(t *testing.T, b []byte) parts {
	t.Helper()
	p := parts{nodes: map[string]string{}}
	r := jute.NewReader(b, 0)
	at := func() int { return len(b) - r.Remaining() }
	r.Int64()
	r.Int64()
	for n := r.Int32(); n > 0; n-- {
		r.Int64()
		r.Int32()
	}
	for n := r.Int32(); n > 0; n-- {
		r.Int64()
		proto.DecodeACLs(r)
	}
	p.head = bytes.Clone(b[:at()])
	for r.Err() == nil {
		start := at()
		path := r.String()
		if path == "/" {
			break
		}
		r.Buffer()
		r.Int64()
		var s proto.StatPersisted
		s.Decode(r)
		p.nodes[path] = string(b[start:at()])
	}
	if r.Err() != nil {
		t.Fatal(r.Err())
	}
	p.tail = bytes.Clone(b[at():])
	clear(p.tail[:8])
	clear(p.tail[13+20 : 13+28])
	clear(p.tail[13+20+13+8 : 13+20+13+16])
	return p
}

func encode(tr *tree.Tree, slice int) []byte {
	walk := tr.NewSnapshot()
	var b []byte
	for done := false; !done; {
		b, done = walk.Next(b, slice)
	}
	return b
}

func TestReadCompressed(t *testing.T) {
	for _, name := range []string{"gz/snapshot.2e.gz", "snappy/snapshot.2e.snappy"} {
		m := disk.NewMem()
		dir := filepath.Join("testdata/zookeeper-3.9.4", filepath.Dir(name))
		loadDir(t, m, dir, "/data/version-2")
		tr, info, err := snapshot.Recover(m, "/data", "", snapshot.RecoverOptions{})
		if err != nil {
			t.Fatal(name, err)
		}
		if info.SnapshotZxid != 0x2e || tr.LastZxid() != 0x2e {
			t.Errorf("%s: %+v", name, info)
		}
		checkDump(t, tr, "testdata/zookeeper-3.9.4/dump.jsonl")

		// Half of a file must be refused, whatever the codec makes of it.
		file := filepath.Join("/data/version-2", filepath.Base(name))
		f, err := m.OpenRW(file)
		if err != nil {
			t.Fatal(err)
		}
		size, _ := f.Size()
		if err := f.Truncate(size / 2); err != nil {
			t.Fatal(err)
		}
		if _, _, err := snapshot.Recover(m, "/data", "", snapshot.RecoverOptions{}); err == nil {
			t.Errorf("half of %s was taken", name)
		}
	}
}

package tree

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"zkafka/zkd/proto"
)

func encode(t *Tree, slice int) []byte {
	walk := t.NewSnapshot()
	var b []byte
	for done := false; !done; {
		b, done = walk.Next(b, slice)
	}
	return b
}

func roundTrip(t *testing.T, tr *Tree, slice int) *Tree {
	t.Helper()
	again, err := Decode(bytes.NewReader(encode(tr, slice)))
	if err != nil {
		t.Fatal(err)
	}
	again.BeginReplay(tr.LastZxid())
	if again.AwaitedDigest() != 0 || again.DigestMismatches() != 0 {
		t.Error("the digest did not come through")
	}
	return again
}

func TestSnapshotRoundTrip(t *testing.T) {
	f := newFeed(t)
	f.apply(9, proto.OpCreateSession, &proto.CreateSessionTxn{Timeout: 9000})
	for i := range 2000 {
		f.create(fmt.Sprintf("/n%d", i), "data")
	}
	f.create("/n1/x", "")
	f.ephemeral(9, "/e")
	whole := encode(f.tree, 1<<20)
	for _, slice := range []int{1, 100, 4096} {
		if b := encode(f.tree, slice); !bytes.Equal(b, whole) {
			t.Errorf("slices of %d give another file", slice)
		}
	}
	again := roundTrip(t, f.tree, 1000)
	if again.Digest() != f.tree.Digest() || again.NodeCount() != f.tree.NodeCount() ||
		again.ApproxDataSize() != f.tree.ApproxDataSize() || again.LastZxid() != f.tree.LastZxid() {
		t.Error("the tree is another one")
	}
	if got := again.Ephemerals(9); !slices.Equal(got, []string{"/e"}) {
		t.Error(got)
	}
	if again.EndReplay() != 0 {
		t.Error("the session is lost")
	}
	if b := encode(again, 1<<20); !bytes.Equal(b, whole) {
		t.Error("the file is another one the second time")
	}
}

// TestSlicesAreBounded: a slice must not hold the owner up, whatever the tree looks like.
func TestSlicesAreBounded(t *testing.T) {
	f := newFeed(t)
	for i := range 5000 {
		f.create(fmt.Sprintf("/n%d", i), "0123456789")
	}
	walk := f.tree.NewSnapshot()
	for done := false; !done; {
		var b []byte
		b, done = walk.Next(nil, 1000)
		if len(b) > 1500 || len(b) < 1000 && !done {
			t.Fatalf("a slice of %d bytes", len(b))
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	f := newFeed(t)
	f.create("/a", "x")
	f.create("/a/b", "y")
	good := encode(f.tree, 1<<20)
	ends := map[int]bool{len(good): true, len(good) - 21: true, len(good) - 21 - 33: true}
	for i := range good {
		if _, err := Decode(bytes.NewReader(good[:i])); err == nil && !ends[i] {
			t.Errorf("%d of %d bytes are taken for a snapshot", i, len(good))
		}
		bad := bytes.Clone(good)
		bad[i] ^= 0x40
		_, err := Decode(bytes.NewReader(bad))
		var format *FormatError
		// The database id is part of the checksum too.
		if !errors.As(err, &format) {
			t.Errorf("a flipped bit at %d gives %v", i, err)
		}
	}
}

// TestFuzzySnapshot changes the tree between the slices and replays the changes.
func TestFuzzySnapshot(t *testing.T) {
	f := newFeed(t)
	f.create("/a", "")
	f.create("/z", "")
	walk := f.tree.NewSnapshot()
	b, _ := walk.Next(nil, 1)
	zxid := f.zxid
	acl := []proto.ACL{{Perms: 3, ID: proto.ID{Scheme: "ip"}}}
	bodies := []proto.TxnBody{
		&proto.SetACLTxn{Path: "/z", ACL: acl, Version: 1}, // an ACL that the head does not have
		&proto.CreateTxn{Path: "/z/late", ACL: acl, ParentCVersion: 1},
	}
	for _, body := range bodies {
		f.apply(0, proto.OpMulti, body)
	}
	for done := false; !done; {
		b, done = walk.Next(b, 100)
	}
	if walk.EndZxid() != f.zxid || walk.Zxid() != zxid {
		t.Errorf("from %d to %d", walk.Zxid(), walk.EndZxid())
	}
	again, err := Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	again.BeginReplay(zxid)
	if again.MissingACLs() != 1 || again.AwaitedDigest() != f.zxid {
		t.Errorf("%d ACLs are missing, digest at %d", again.MissingACLs(), again.AwaitedDigest())
	}
	if _, ok := again.Get("/z/late"); ok {
		t.Error("a node that was created behind the zxid of the snapshot is in it")
	}
	for i, body := range bodies {
		z := zxid + 1 + int64(i)
		again.Apply(&proto.Txn{Body: body, Header: proto.TxnHeader{Zxid: z, Time: 1000 + z}})
	}
	if again.MissingACLs() != 0 || again.AwaitedDigest() != 0 || again.DigestMismatches() != 0 {
		t.Error("replay did not settle the snapshot")
	}
	n, _ := again.Get("/z")
	if !slices.Equal(n.ACL(), acl) {
		t.Errorf("ACL %v", n.ACL())
	}
}

// TestSnapshotOfUncoveredSnapshot: when the log behind a fuzzy snapshot is lost, its late nodes are
// in no log, so the next snapshot must have them.
func TestSnapshotOfUncoveredSnapshot(t *testing.T) {
	f := newFeed(t)
	f.create("/a", "")
	f.create("/late", "")
	tr, err := Decode(bytes.NewReader(encode(f.tree, 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	tr.BeginReplay(1)
	tr.EndReplay()
	again := roundTrip(t, tr, 1<<20)
	if _, ok := again.Get("/late"); !ok {
		t.Error("a node is lost")
	}
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("../snapshot/testdata/zookeeper-3.*/version-2/snapshot.*")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tr, err := Decode(bytes.NewReader(b))
		if err != nil {
			var format *FormatError
			if !errors.As(err, &format) {
				t.Fatal(err)
			}
			return
		}
		again, err := Decode(bytes.NewReader(encode(tr, 1<<20)))
		if err != nil {
			t.Fatalf("what was read cannot be written and read again: %v", err)
		}
		if again.Digest() != tr.Digest() || again.NodeCount() != tr.NodeCount() {
			t.Fatal("the tree changes on the way through")
		}
	})
}

func BenchmarkSnapshot(b *testing.B) {
	t := million(100_000)
	size := len(encode(t, 1<<20))
	b.SetBytes(int64(size))
	b.ResetTimer()
	for range b.N {
		walk := t.NewSnapshot()
		buf := make([]byte, 0, 2<<20)
		for done := false; !done; {
			buf, done = walk.Next(buf[:0], 1<<20)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	data := encode(million(100_000), 1<<20)
	b.SetBytes(int64(len(data)))
	b.ResetTimer()
	for range b.N {
		if _, err := Decode(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}

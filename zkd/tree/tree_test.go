package tree

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"zkafka/zkd/proto"
)

// feed applies transactions with ascending zxids.
type feed struct {
	t    *testing.T
	tree *Tree
	zxid int64
}

func newFeed(t *testing.T) *feed { return &feed{t: t, tree: New()} }

func (f *feed) apply(session int64, op proto.Op, body proto.TxnBody) Result {
	f.zxid++
	return f.tree.Apply(&proto.Txn{
		Header: proto.TxnHeader{ClientID: session, Zxid: f.zxid, Time: 1000 + f.zxid, Type: op},
		Body:   body,
	})
}

func (f *feed) create(path, data string) Result {
	return f.apply(0, proto.OpCreate, &proto.CreateTxn{
		Path: path, Data: []byte(data), ACL: proto.OpenACL(), ParentCVersion: -1})
}

func (f *feed) ephemeral(session int64, path string) Result {
	return f.apply(session, proto.OpCreate, &proto.CreateTxn{
		Path: path, ACL: proto.OpenACL(), Ephemeral: true, ParentCVersion: -1})
}

func (f *feed) remove(path string) Result {
	return f.apply(0, proto.OpDelete, &proto.DeleteTxn{Path: path})
}

func (f *feed) stat(path string) proto.Stat {
	f.t.Helper()
	n, ok := f.tree.Get(path)
	if !ok {
		f.t.Fatalf("%s is missing", path)
	}
	return n.Stat()
}

// events writes changes as a client would list them.
func events(r Result) []string {
	var s []string
	for _, c := range r.Changes {
		s = append(s, fmt.Sprintf("%s %s", c.Type, c.Path))
	}
	return s
}

func TestNewTreeIsApaches(t *testing.T) {
	tr := New()
	if tr.Digest() != 1371985504 {
		t.Errorf("the digest of the empty tree is %d, Apache's 1371985504", tr.Digest())
	}
	if tr.NodeCount() != 5 || tr.ApproxDataSize() != 44 {
		t.Errorf("%d nodes, %d bytes; Apache says 5 and 44", tr.NodeCount(), tr.ApproxDataSize())
	}
	n, _ := tr.Get(ConfigPath)
	if n.Aversion() != -1 || !slices.Equal(n.ACL(), proto.ReadACL()) {
		t.Errorf("%+v %v", n.Stat(), n.ACL())
	}
	if n, ok := tr.Get("/"); !ok || n.Path() != "/" || n.Stat().Cversion != -1 {
		t.Errorf("root %v", n)
	}
	if _, ok := tr.Get(""); ok {
		t.Error("the empty path is no node")
	}
}

func TestNodeSize(t *testing.T) {
	if size := unsafe.Sizeof(Node{}); size != 128 {
		t.Errorf("a node takes %d bytes", size)
	}
}

func TestStats(t *testing.T) {
	f := newFeed(t)
	f.create("/a", "one")
	f.create("/a/x", "")
	f.create("/a/y", "")
	f.remove("/a/x")
	f.apply(0, proto.OpSetData, &proto.SetDataTxn{Path: "/a", Data: []byte("four"), Version: 1})
	r := f.apply(0, proto.OpSetACL, &proto.SetACLTxn{Path: "/a", ACL: proto.ReadACL(), Version: 1})
	want := proto.Stat{Czxid: 1, Mzxid: 5, Ctime: 1001, Mtime: 1005, Version: 1, Cversion: 3,
		Aversion: 1, DataLength: 4, NumChildren: 1, Pzxid: 4}
	if got := f.stat("/a"); got != want || r.Stat != want {
		t.Errorf("got  %+v\nthen %+v\nwant %+v", got, r.Stat, want)
	}
	if n, _ := f.tree.Get("/a"); n.Cversion() != 2 {
		t.Errorf("the next sequence number is %d, want 2", n.Cversion())
	}
}

func TestCversionSticks(t *testing.T) {
	f := newFeed(t)
	f.create("/a", "")
	n, _ := f.tree.Get("/a")
	n.cversion = 1<<31 - 1
	pzxid := n.Pzxid()
	if r := f.create("/a/x", ""); r.Err != proto.ErrOK {
		t.Fatal(r.Err)
	}
	if n.Cversion() != 1<<31-1 || n.Pzxid() != pzxid {
		t.Errorf("cversion %d, pzxid %d", n.Cversion(), n.Pzxid())
	}
}

func TestChangesInOrderOfWatches(t *testing.T) {
	f := newFeed(t)
	check := func(r Result, want ...string) {
		t.Helper()
		if got := events(r); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	check(f.create("/a", ""), "NodeCreated /a", "NodeChildrenChanged /")
	check(f.ephemeral(7, "/a/e"), "NodeCreated /a/e", "NodeChildrenChanged /a")
	check(f.ephemeral(7, "/f"), "NodeCreated /f", "NodeChildrenChanged /")
	check(f.apply(0, proto.OpSetData, &proto.SetDataTxn{Path: "/a", Version: 1}), "NodeDataChanged /a")
	check(f.apply(0, proto.OpSetACL, &proto.SetACLTxn{Path: "/a", ACL: proto.OpenACL(), Version: 1}))
	check(f.apply(7, proto.OpCloseSession, &proto.CloseSessionTxn{Paths: []string{"/f"}}),
		"NodeDeleted /f", "NodeChildrenChanged /", "NodeDeleted /a/e", "NodeChildrenChanged /a")
	check(f.apply(0, proto.OpMulti, &proto.MultiTxn{Txns: []proto.SubTxn{
		{Type: proto.OpSetData, Body: &proto.SetDataTxn{Path: "/a", Version: 2}},
		{Type: proto.OpCreate, Body: &proto.CreateTxn{Path: "/a/b", ACL: proto.OpenACL(), ParentCVersion: -1}},
		{Type: proto.OpDelete, Body: &proto.DeleteTxn{Path: "/a/b"}},
	}}), "NodeDataChanged /a", "NodeCreated /a/b", "NodeChildrenChanged /a", "NodeDeleted /a/b",
		"NodeChildrenChanged /a")
	check(f.remove("/missing"))
	if f.tree.EphemeralCount() != 0 || len(f.tree.EphemeralOwners()) != 0 {
		t.Error("ephemerals are left")
	}
}

func TestFailedMulti(t *testing.T) {
	f := newFeed(t)
	f.create("/a", "")
	before := f.tree.Digest()
	fail := func(code proto.Err) proto.SubTxn {
		return proto.SubTxn{Type: proto.OpError, Body: &proto.ErrorTxn{Err: code}}
	}
	r := f.apply(0, proto.OpMulti, &proto.MultiTxn{Txns: []proto.SubTxn{
		{Type: proto.OpDelete, Body: &proto.DeleteTxn{Path: "/a"}},
		fail(proto.ErrBadVersion),
		fail(proto.ErrRuntimeInconsistency),
	}})
	var codes []proto.Err
	for _, m := range r.Multi {
		codes = append(codes, m.Err)
	}
	want := []proto.Err{proto.ErrOK, proto.ErrBadVersion, proto.ErrRuntimeInconsistency}
	if !slices.Equal(codes, want) || r.Err != proto.ErrBadVersion {
		t.Errorf("got %v, %v", codes, r.Err)
	}
	if f.tree.Digest() != before || len(r.Changes) != 0 || f.tree.LastZxid() != 2 {
		t.Error("a failed multi did something")
	}
}

func TestKinds(t *testing.T) {
	f := newFeed(t)
	const session = 0x1234560001
	f.ephemeral(session, "/e")
	f.apply(session, proto.OpCreateContainer, &proto.CreateContainerTxn{
		Path: "/c", ACL: proto.OpenACL(), ParentCVersion: -1})
	f.apply(session, proto.OpCreateTTL, &proto.CreateTTLTxn{
		Path: "/t", ACL: proto.OpenACL(), ParentCVersion: -1, TTL: 5000})
	for _, c := range []struct {
		path         string
		kind         Kind
		owner, shown int64
	}{
		{"/e", Ephemeral, session, session},
		{"/c", Container, -1 << 63, 0},
		{"/t", TTL, -1<<56 | 5000, 0},
		{"/zookeeper", Persistent, 0, 0},
	} {
		n, _ := f.tree.Get(c.path)
		if n.Kind() != c.kind || n.EphemeralOwner() != c.owner || n.Stat().EphemeralOwner != c.shown {
			t.Errorf("%s: kind %d, owner %x, shown %x", c.path, n.Kind(), n.EphemeralOwner(),
				n.Stat().EphemeralOwner)
		}
	}
	if TTLOf(TTLOwner(MaxTTLMillis)) != MaxTTLMillis || TTLOf(session) != 0 {
		t.Error("TTLs do not survive")
	}
	// A session id of server 255 has a time where a TTL node has zeros.
	if KindOf(-1<<56|0x19_8000_0000_0001) != Ephemeral {
		t.Error("a session of server 255 is taken for a TTL node")
	}
	if got := f.tree.Containers(); !slices.Equal(got, []string{"/c"}) {
		t.Error(got)
	}
	if got := f.tree.TTLs(); !slices.Equal(got, []string{"/t"}) {
		t.Error(got)
	}
	if f.tree.EphemeralCount() != 1 {
		t.Error(f.tree.EphemeralCount())
	}
	f.remove("/c")
	f.remove("/t")
	if len(f.tree.Containers())+len(f.tree.TTLs()) != 0 {
		t.Error("deleted nodes are still listed")
	}
}

func TestReplayTolerates(t *testing.T) {
	f := newFeed(t)
	if r := f.create("/no/parent", ""); r.Err != proto.ErrNoNode {
		t.Error(r.Err)
	}
	if r := f.apply(0, proto.OpSetData, &proto.SetDataTxn{Path: "/x"}); r.Err != proto.ErrNoNode {
		t.Error(r.Err)
	}
	if r := f.apply(0, proto.OpSetACL, &proto.SetACLTxn{Path: "/x"}); r.Err != proto.ErrNoNode {
		t.Error(r.Err)
	}
	f.create("/a", "first")
	f.create("/a/b", "")
	r := f.apply(0, proto.OpCreate2, &proto.CreateTxn{Path: "/a/b", Data: []byte("second"),
		ACL: proto.ReadACL(), ParentCVersion: 9})
	n, _ := f.tree.Get("/a/b")
	if r.Err != proto.ErrNodeExists || len(n.Data()) != 0 || !slices.Equal(n.ACL(), proto.ReadACL()) {
		t.Errorf("%v %q %v", r.Err, n.Data(), n.ACL())
	}
	if p, _ := f.tree.Get("/a"); p.Cversion() != 9 || p.Pzxid() != f.zxid {
		t.Errorf("the parent has cversion %d, pzxid %d", p.Cversion(), p.Pzxid())
	}
	if r := f.remove("/a/missing"); r.Err != proto.ErrNoNode || f.stat("/a").Pzxid != f.zxid {
		t.Error("the deletion of a missing node must raise the parent's pzxid")
	}
	f.create("/a/b/c", "")
	f.remove("/a") // a replayed deletion of an earlier /a
	if f.tree.NodeCount() != 5 || f.tree.ApproxDataSize() != 44 {
		t.Errorf("%d nodes, %d bytes are left", f.tree.NodeCount(), f.tree.ApproxDataSize())
	}
	for _, path := range []string{"/", "", "x"} {
		f.remove(path)
	}
	if f.create("/", "").Err != proto.ErrNodeExists || f.tree.NodeCount() != 5 {
		t.Error("the root was touched")
	}
}

func TestSessions(t *testing.T) {
	f := newFeed(t)
	f.apply(1, proto.OpCreateSession, &proto.CreateSessionTxn{Timeout: 4000})
	f.apply(2, proto.OpCreateSession, &proto.CreateSessionTxn{Timeout: 5000})
	f.ephemeral(1, "/one")
	f.ephemeral(2, "/two")
	f.ephemeral(3, "/orphan")
	f.apply(2, proto.OpCloseSession, &proto.CloseSessionTxn{})
	if got := f.tree.Sessions(); !reflect.DeepEqual(got, map[int64]int32{1: 4000}) {
		t.Error(got)
	}
	if n := f.tree.EndReplay(); n != 1 {
		t.Errorf("%d orphans", n)
	}
	if _, ok := f.tree.Get("/orphan"); ok {
		t.Error("the orphan is still there")
	}
	if got := f.tree.Ephemerals(1); !slices.Equal(got, []string{"/one"}) {
		t.Error(got)
	}
}

func TestApplyKeepsNoBuffer(t *testing.T) {
	f := newFeed(t)
	data := []byte("abc")
	f.apply(0, proto.OpCreate, &proto.CreateTxn{Path: "/a", Data: data, ParentCVersion: -1})
	copy(data, "xyz")
	if n, _ := f.tree.Get("/a"); string(n.Data()) != "abc" {
		t.Errorf("the node holds %q", n.Data())
	}
	f.apply(0, proto.OpCreate, &proto.CreateTxn{Path: "/null", ParentCVersion: -1})
	f.apply(0, proto.OpCreate, &proto.CreateTxn{Path: "/empty", Data: []byte{}, ParentCVersion: -1})
	null, _ := f.tree.Get("/null")
	empty, _ := f.tree.Get("/empty")
	if null.Data() != nil || empty.Data() == nil {
		t.Error("null and empty data are not kept apart")
	}
}

func TestACLTable(t *testing.T) {
	f := newFeed(t)
	digest := []proto.ACL{{Perms: 31, ID: proto.ID{Scheme: "digest", ID: "u:x"}}}
	f.apply(0, proto.OpCreate, &proto.CreateTxn{Path: "/a", ACL: digest, ParentCVersion: -1})
	f.apply(0, proto.OpCreate, &proto.CreateTxn{Path: "/b", ACL: slices.Clone(digest), ParentCVersion: -1})
	if len(f.tree.acls.byID) != 2 { // with that of /zookeeper/config
		t.Errorf("%d ACLs", len(f.tree.acls.byID))
	}
	f.remove("/a")
	if len(f.tree.acls.byID) != 2 {
		t.Error("an ACL in use is gone")
	}
	f.apply(0, proto.OpSetACL, &proto.SetACLTxn{Path: "/b", ACL: proto.OpenACL(), Version: 1})
	if len(f.tree.acls.byID) != 2 || f.tree.acls.lastID != 3 {
		t.Errorf("%d ACLs, last id %d", len(f.tree.acls.byID), f.tree.acls.lastID)
	}
}

// TestQuotaOnItself: a quota whose usage node counts itself. As upstream it is counted twice, with
// the data it was created with.
func TestQuotaOnItself(t *testing.T) {
	f := newFeed(t)
	f.create("/zookeeper/quota/zookeeper", "")
	f.create("/zookeeper/quota/zookeeper/zookeeper_limits", "bytes=7")
	f.create("/zookeeper/quota/zookeeper/zookeeper_stats", "")
	n, _ := f.tree.Get("/zookeeper/quota/zookeeper/zookeeper_stats")
	if got := string(n.Data()); got != "count=7,bytes=7" {
		t.Errorf("usage %q", got)
	}
}

// TestNamespaceQuotas: quotas are summed up by the top level znode, a hard limit instead of the
// soft one, a missing limit as -1. Expected values are Apache ZooKeeper 3.9.4's.
func TestNamespaceQuotas(t *testing.T) {
	f := newFeed(t)
	for _, path := range []string{"/t", "/t/a", "/t/b", "/w"} {
		f.create(path, "")
		f.create("/zookeeper/quota"+path, "")
	}
	f.create("/zookeeper/quota/t/a/zookeeper_limits", "count=5,bytes=-1")
	f.create("/zookeeper/quota/t/a/zookeeper_stats", "count=0,bytes=0")
	f.create("/zookeeper/quota/t/b/zookeeper_limits",
		"count=3,bytes=-1=;byteHardLimit=10;countHardLimit=7")
	f.create("/zookeeper/quota/t/b/zookeeper_stats", "count=0,bytes=0")
	f.create("/zookeeper/quota/w/zookeeper_stats", "count=0,bytes=0")
	f.create("/zookeeper/quota/zookeeper_limits", "count=1")
	f.create("/t/a/deep", "xyz")
	want := []NamespaceQuota{
		{Name: "t", HasLimit: true, HasUsage: true, CountLimit: 12, BytesLimit: 9,
			CountUsage: 3, BytesUsage: 3},
		{Name: "w", HasUsage: true, CountUsage: 1},
	}
	if got := f.tree.NamespaceQuotas(); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestQuota(t *testing.T) {
	f := newFeed(t)
	f.create("/q", "abc")
	f.create("/q/a", "12345")
	f.create("/zookeeper/quota/q", "")
	f.create("/zookeeper/quota/q/zookeeper_limits", "count=5,bytes=100=;byteHardLimit=200;countHardLimit=9")
	f.create("/zookeeper/quota/q/zookeeper_stats", "count=0,bytes=0")
	usage := func(want string) {
		t.Helper()
		n, _ := f.tree.Get("/zookeeper/quota/q/zookeeper_stats")
		if string(n.Data()) != want || n.Version() != 0 {
			t.Errorf("usage %q version %d, want %q", n.Data(), n.Version(), want)
		}
	}
	usage("count=2,bytes=8")
	f.create("/q/a/b", "xx")
	usage("count=3,bytes=10")
	f.apply(0, proto.OpSetData, &proto.SetDataTxn{Path: "/q", Data: nil, Version: 1})
	usage("count=3,bytes=7")
	f.remove("/q/a/b")
	f.create("/qq", "not below the quota")
	usage("count=2,bytes=5")
	limits, ok := f.tree.QuotaLimits(f.tree.QuotaFor("/q/a"))
	if !ok || limits.Count != 5 || limits.Bytes != 100 || limits.ByteHardLimit != 200 ||
		limits.CountHardLimit != 9 {
		t.Errorf("%+v", limits)
	}
	if s := limits.String(); s != "count=5,bytes=100=;byteHardLimit=200;countHardLimit=9" {
		t.Error(s)
	}
	// A tree that is loaded knows its quotas.
	again := roundTrip(t, f.tree, 64)
	if got := again.QuotaPaths(); !slices.Equal(got, []string{"/q"}) {
		t.Error(got)
	}
	f.remove("/zookeeper/quota/q/zookeeper_limits")
	if f.tree.QuotaFor("/q/a") != "" {
		t.Error("the quota is still there")
	}
	if q := ParseQuota([]byte("rubbish")); q.Count != -1 || q.Bytes != -1 {
		t.Errorf("%+v", q)
	}
}

func TestDescendants(t *testing.T) {
	f := newFeed(t)
	for _, path := range []string{"/a", "/a/b", "/a/b/c", "/a/d", "/ab"} {
		f.create(path, "")
	}
	for path, want := range map[string]int{"/a": 3, "/a/b": 1, "/ab": 0, "/": 8, "/none": 0} {
		if got := f.tree.CountDescendants(path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}

// TestChildren compares the chunked set with a sorted slice.
func TestChildren(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		dir := &Node{}
		model := map[string]bool{}
		limit := 1 + rng.IntN(5000)
		for range 8000 {
			name := fmt.Sprintf("%d", rng.IntN(limit))
			if model[name] && rng.IntN(2) == 0 {
				dir.removeChild(&Node{path: "/" + name})
				delete(model, name)
			} else if !model[name] {
				dir.addChild(&Node{path: "/" + name})
				model[name] = true
			}
		}
		want := make([]string, 0, len(model))
		for name := range model {
			want = append(want, name)
		}
		slices.Sort(want)
		if got := dir.Children(); !slices.Equal(got, want) || dir.NumChildren() != len(want) {
			t.Fatalf("seed %d: %d children, want %d", seed, len(got), len(want))
		}
		if dir.kids != nil {
			for _, chunk := range dir.kids.chunks {
				if len(chunk) == 0 || len(chunk) > maxChunk {
					t.Fatalf("a chunk of %d", len(chunk))
				}
			}
		}
		for name := range model {
			dir.removeChild(&Node{path: "/" + name})
		}
		if dir.kids != nil {
			t.Fatal("an empty set is kept")
		}
	}
}

func TestShortCRC(t *testing.T) {
	b := []byte(strings.Repeat("Die Größe spielt keine Rolle.", 9))
	for n := range len(b) {
		want := crc32.Update(77, crc32.IEEETable, b[:n])
		if got := crcShort(77, b[:n]); got != want || crcShort(77, string(b[:n])) != want {
			t.Fatalf("%d bytes: %x, want %x", n, got, want)
		}
	}
}

// TestApplyAllocates only what stays: the node, its data and its place among its siblings.
func TestApplyAllocates(t *testing.T) {
	f := newFeed(t)
	data := []byte(strings.Repeat("x", 100))
	f.create("/a", "")
	txn := &proto.Txn{Header: proto.TxnHeader{Type: proto.OpSetData},
		Body: &proto.SetDataTxn{Path: "/a", Data: data}}
	n := testing.AllocsPerRun(100, func() { f.tree.Apply(txn) })
	if n != 1 {
		t.Errorf("setData allocates %v times", n)
	}
	create := &proto.Txn{Header: proto.TxnHeader{Type: proto.OpCreate},
		Body: &proto.CreateTxn{Path: "/a/b", Data: data, ACL: proto.OpenACL()}}
	remove := &proto.Txn{Header: proto.TxnHeader{Type: proto.OpDelete},
		Body: &proto.DeleteTxn{Path: "/a/b"}}
	f.create("/a/a", "")
	n = testing.AllocsPerRun(100, func() {
		f.tree.Apply(create)
		f.tree.Apply(remove)
	})
	if n > 2 {
		t.Errorf("create and delete allocate %v times", n)
	}
}

func TestDigestLog(t *testing.T) {
	f := newFeed(t)
	for i := range 1300 {
		f.create(fmt.Sprintf("/%d", i), "")
	}
	got := f.tree.DigestLog()
	if len(got) != 10 || got[0].Zxid != 128 || got[9].Zxid != 1280 {
		t.Errorf("%d entries %+v", len(got), got)
	}
	if d := f.tree.LastDigest(); d.Zxid != 1300 || d.Digest != f.tree.Digest() {
		t.Errorf("%+v", d)
	}
	f.zxid++
	f.tree.Apply(&proto.Txn{Header: proto.TxnHeader{Zxid: f.zxid, Type: proto.OpDelete},
		Body: &proto.DeleteTxn{Path: "/1"}, Digest: &proto.TxnDigest{Version: 2, Digest: 5}})
	if f.tree.DigestMismatches() != 1 {
		t.Error("a wrong digest was not noticed")
	}
}

func BenchmarkApplyCreate(b *testing.B) {
	t := New()
	data := []byte(strings.Repeat("x", 100))
	acl := proto.OpenACL()
	paths := make([]string, b.N)
	for i := range paths {
		paths[i] = fmt.Sprintf("/n%09d", i)
	}
	txn := &proto.Txn{Header: proto.TxnHeader{Type: proto.OpCreate}}
	body := &proto.CreateTxn{Data: data, ACL: acl}
	txn.Body = body
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		body.Path, body.ParentCVersion = paths[i], int32(i+1)
		txn.Header.Zxid++
		t.Apply(txn)
	}
}

func BenchmarkGet(b *testing.B) {
	const n = 100_000
	t := million(n)
	paths := make([]string, n)
	for i := range paths {
		paths[i] = fmt.Sprintf("/dir%03d/node-%010d", i%1000, i)
	}
	rand.Shuffle(n, func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	b.ResetTimer()
	for i := range b.N {
		if _, ok := t.Get(paths[i%n]); !ok {
			b.Fatal(paths[i%n])
		}
	}
}

// million is a tree of n nodes of 100 bytes in a thousand directories.
func million(n int) *Tree {
	t := New()
	acl := proto.OpenACL()
	data := []byte(strings.Repeat("x", 100))
	txn := &proto.Txn{Header: proto.TxnHeader{Type: proto.OpCreate}}
	create := func(path string) {
		txn.Header.Zxid++
		txn.Body = &proto.CreateTxn{Path: path, Data: data, ACL: acl, ParentCVersion: -1}
		t.Apply(txn)
	}
	for i := range 1000 {
		create(fmt.Sprintf("/dir%03d", i))
	}
	for i := range n {
		create(fmt.Sprintf("/dir%03d/node-%010d", i%1000, i))
	}
	return t
}

// BenchmarkMemory prints what a znode of 100 bytes takes, of a million of them.
func BenchmarkMemory(b *testing.B) {
	const n = 1_000_000
	for range b.N {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		t := million(n)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "bytes/node")
		runtime.KeepAlive(t)
	}
}

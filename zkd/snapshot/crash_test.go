package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"zkafka/zkd/disk"
	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
	"zkafka/zkd/snapshot"
	"zkafka/zkd/tree"
	"zkafka/zkd/txnlog"
)

// crashRuns is $CRASH_RUNS, 1000 without it, and 100 under -short, where the race detector looks on.
func crashRuns(t testing.TB) int {
	t.Helper()
	if testing.Short() {
		return env(t, "CRASH_RUNS", 100)
	}
	return env(t, "CRASH_RUNS", 1000)
}

func env(t testing.TB, name string, fallback int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return fallback
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// workload makes valid transactions at random, each with the digest a leader would give it.
type workload struct {
	rng  *rand.Rand
	old  bool       // only what 3.4 knows
	tree *tree.Tree // with everything made so far
	txns [][]byte   // by zxid - 1
}

func newWorkload(rng *rand.Rand) *workload { return &workload{rng: rng, tree: tree.New()} }

// rewind forgets the transactions that a power cut has taken.
func (w *workload) rewind(zxid int64) {
	w.txns = w.txns[:zxid]
	w.tree = build(w.txns)
}

// build applies transactions to an empty tree.
func build(txns [][]byte) *tree.Tree {
	t := tree.New()
	for _, b := range txns {
		txn, err := proto.DecodeTxn(b)
		if err != nil {
			panic(err)
		}
		t.Apply(txn)
	}
	return t
}

var acls = [][]proto.ACL{
	proto.OpenACL(),
	proto.ReadACL(),
	{{Perms: 31, ID: proto.ID{Scheme: "digest", ID: "u:x"}}},
	{{Perms: 1, ID: proto.ID{Scheme: "ip", ID: "10.0.0.0/8"}}, {Perms: 4, ID: proto.ID{Scheme: "auth"}}},
}

func (w *workload) acl() []proto.ACL { return acls[w.rng.IntN(len(acls))] }

func (w *workload) data() []byte {
	if w.rng.IntN(10) == 0 {
		return nil
	}
	return bytes.Repeat([]byte{byte(w.rng.Uint32())}, w.rng.IntN(40))
}

// anyNode walks down from the root at random; few names make deletions and creations meet.
func (w *workload) anyNode() *tree.Node {
	n, _ := w.tree.Get("/")
	for w.rng.IntN(4) > 0 {
		kids := n.Children()
		if len(kids) == 0 {
			break
		}
		path := n.Path() + "/" + kids[w.rng.IntN(len(kids))]
		if n.Path() == "/" {
			path = path[1:]
		}
		if path == "/zookeeper" {
			break
		}
		n, _ = w.tree.Get(path)
	}
	return n
}

func (w *workload) newPath(parent *tree.Node) string {
	prefix := parent.Path() + "/"
	if parent.Path() == "/" {
		prefix = "/"
	}
	return prefix + string(rune('a'+w.rng.IntN(6)))
}

// body makes one operation that the tree allows, or nil.
func (w *workload) body(session int64) (proto.Op, proto.TxnBody) {
	n := w.anyNode()
	path := w.newPath(n)
	_, exists := w.tree.Get(path)
	canCreate := !exists && n.Kind() != tree.Ephemeral
	cversion := n.Cversion() + 1
	switch w.rng.IntN(12) {
	case 0, 1, 2:
		if canCreate {
			ephemeral := session != 0 && w.rng.IntN(2) == 0
			op := proto.OpCreate
			if !w.old && w.rng.IntN(2) == 0 {
				op = proto.OpCreate2
			}
			return op, &proto.CreateTxn{
				Path: path, Data: w.data(), ACL: w.acl(), Ephemeral: ephemeral, ParentCVersion: cversion}
		}
	case 3:
		if canCreate && !w.old {
			return proto.OpCreateContainer, &proto.CreateContainerTxn{
				Path: path, Data: w.data(), ACL: w.acl(), ParentCVersion: cversion}
		}
	case 4:
		if canCreate && !w.old {
			return proto.OpCreateTTL, &proto.CreateTTLTxn{
				Path: path, Data: w.data(), ACL: w.acl(), ParentCVersion: cversion, TTL: 1000}
		}
	case 5, 6, 7:
		if n.Path() != "/" && n.NumChildren() == 0 {
			return proto.OpDelete, &proto.DeleteTxn{Path: n.Path()}
		}
	case 8, 9:
		return proto.OpSetData, &proto.SetDataTxn{
			Path: n.Path(), Data: w.data(), Version: n.Version() + 1}
	case 10:
		return proto.OpSetACL, &proto.SetACLTxn{
			Path: n.Path(), ACL: w.acl(), Version: n.Aversion() + 1}
	}
	return 0, nil
}

// next makes the next transaction and returns it encoded.
func (w *workload) next() []byte {
	zxid := int64(len(w.txns) + 1)
	txn := &proto.Txn{Header: proto.TxnHeader{Zxid: zxid, Time: 1_000_000 + zxid, Cxid: 1}}
	sessions := slices.Sorted(maps.Keys(w.tree.Sessions()))
	var session int64
	if len(sessions) > 0 {
		session = sessions[w.rng.IntN(len(sessions))]
	}
	switch k := w.rng.IntN(20); {
	case k == 0 || len(sessions) == 0:
		session = zxid<<16 | 1
		txn.Header.Type, txn.Body = proto.OpCreateSession, &proto.CreateSessionTxn{
			Timeout: 3_600_000 + int32(zxid)}
	case k == 1:
		// With the list of paths: without it, as up to 3.5, a fuzzy snapshot that misses an
		// ephemeral already cannot tell whose pzxid its deletion should have raised.
		txn.Header.Type, txn.Body = proto.OpCloseSession, &proto.CloseSessionTxn{
			Paths: append([]string{}, w.tree.Ephemerals(session)...)}
	case k == 2:
		txn.Header.Type, txn.Body = proto.OpError, &proto.ErrorTxn{Err: proto.ErrNoNode}
	case k == 3:
		txn.Header.Type, txn.Body = proto.OpMulti, w.multi(session, zxid)
	default:
		for txn.Body == nil {
			txn.Header.Type, txn.Body = w.body(session)
		}
	}
	txn.Header.ClientID = session
	w.tree.Apply(txn)
	if txn.Header.Type != proto.OpError {
		txn.Digest = &proto.TxnDigest{Version: proto.DigestVersion, Digest: w.tree.Digest()}
	}
	var jw jute.Writer
	proto.EncodeTxn(&jw, txn)
	w.txns = append(w.txns, jw.B)
	return jw.B
}

// multi makes operations each of which the tree allows behind the ones before, or a failed one.
func (w *workload) multi(session, zxid int64) *proto.MultiTxn {
	m := &proto.MultiTxn{}
	fails := w.rng.IntN(3) == 0
	before := w.tree
	w.tree = build(w.txns) // a copy to try the operations on
	for len(m.Txns) < 4 {
		op, body := w.body(session)
		if body == nil || op == proto.OpSetACL { // which upstream has no multi of
			continue
		}
		m.Txns = append(m.Txns, proto.SubTxn{Type: op, Body: body})
		w.tree.Apply(&proto.Txn{Body: body, Header: proto.TxnHeader{
			ClientID: session, Zxid: zxid, Time: 1_000_000 + zxid, Type: op}})
	}
	w.tree = before
	if fails {
		m.Txns[1] = proto.SubTxn{Type: proto.OpError, Body: &proto.ErrorTxn{Err: proto.ErrBadVersion}}
		for i := 2; i < len(m.Txns); i++ {
			m.Txns[i] = proto.SubTxn{Type: proto.OpError,
				Body: &proto.ErrorTxn{Err: proto.ErrRuntimeInconsistency}}
		}
	}
	return m
}

// same compares two trees in everything clients and later transactions can see.
func same(a, b *tree.Tree) error {
	if err := sameNode(a, b, "/"); err != nil {
		return err
	}
	if a.LastZxid() != b.LastZxid() || a.Digest() != b.Digest() ||
		a.NodeCount() != b.NodeCount() || a.EphemeralCount() != b.EphemeralCount() ||
		a.ApproxDataSize() != b.ApproxDataSize() {
		return fmt.Errorf("zxid %d, digest %d, %d nodes, %d ephemerals, %d bytes; want %d, %d, %d, %d, %d",
			a.LastZxid(), a.Digest(), a.NodeCount(), a.EphemeralCount(), a.ApproxDataSize(),
			b.LastZxid(), b.Digest(), b.NodeCount(), b.EphemeralCount(), b.ApproxDataSize())
	}
	if !maps.Equal(a.Sessions(), b.Sessions()) {
		return fmt.Errorf("sessions %v, want %v", a.Sessions(), b.Sessions())
	}
	if !slices.Equal(a.Containers(), b.Containers()) || !slices.Equal(a.TTLs(), b.TTLs()) {
		return errors.New("containers or TTL nodes differ")
	}
	for id := range b.Sessions() {
		if !slices.Equal(a.Ephemerals(id), b.Ephemerals(id)) {
			return fmt.Errorf("ephemerals %v, want %v", a.Ephemerals(id), b.Ephemerals(id))
		}
	}
	return nil
}

func sameNode(a, b *tree.Tree, path string) error {
	m, ok := a.Get(path)
	n, _ := b.Get(path)
	switch {
	case !ok:
		return fmt.Errorf("%s is missing", path)
	case m.Persisted() != n.Persisted():
		return fmt.Errorf("%s is %+v, want %+v", path, m.Persisted(), n.Persisted())
	case !bytes.Equal(m.Data(), n.Data()) || (m.Data() == nil) != (n.Data() == nil):
		return fmt.Errorf("%s holds %q, want %q", path, m.Data(), n.Data())
	case !slices.Equal(m.ACL(), n.ACL()):
		return fmt.Errorf("%s has ACL %v, want %v", path, m.ACL(), n.ACL())
	case !slices.Equal(m.Children(), n.Children()):
		return fmt.Errorf("%s has children %v, want %v", path, m.Children(), n.Children())
	}
	for kid := range n.All() {
		if err := sameNode(a, b, kid.Path()); err != nil {
			return err
		}
	}
	return nil
}

// end ends the process, alone or with the machine.
func end(rng *rand.Rand, m *disk.Mem) *disk.Mem {
	if rng.IntN(2) == 0 {
		return m.Kill()
	}
	return m.Crash(rng)
}

// failSync lets one of the next syncs fail.
func failSync(rng *rand.Rand, m *disk.Mem, name string) {
	f := disk.Fault{Op: disk.OpSync, Path: name, Err: syscall.EIO, Times: 1, Skip: rng.IntN(6)}
	if rng.IntN(2) == 0 {
		f.Rand = rng
	}
	m.Fail(f)
}

// TestCrashSnapshot cuts the power, kills the process and fails syncs while snapshots are written
// and purged. What has the name of a snapshot behind it must be a whole one, and those that were
// committed and not purged must be there.
func TestCrashSnapshot(t *testing.T) {
	const dir = "/data/version-2"
	runs, seed := crashRuns(t), env(t, "CRASH_SEED", 1)
	for run := range runs {
		rng := rand.New(rand.NewPCG(uint64(seed), uint64(run)))
		m := disk.NewMem()
		if err := m.MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
		digests := map[int64]int64{}
		var committed int64
		w := newWorkload(rng)
		m.CutAfter(rng.IntN(60))
		if rng.IntN(3) == 0 {
			failSync(rng, m, "")
		}
		for {
			for range 1 + rng.IntN(5) {
				w.next()
			}
			zxid := w.tree.LastZxid()
			digests[zxid] = w.tree.Digest()
			err := saveSlowly(rng, m, dir, w.tree)
			if err == nil {
				committed = zxid
				_, err = snapshot.Purge(m, dir, dir, 3)
			}
			if errors.Is(err, disk.ErrPowerCut) {
				break
			}
			if err != nil && !errors.Is(err, syscall.EIO) {
				t.Fatal(err)
			}
		}
		m = end(rng, m)
		files, err := snapshot.Files(m, dir)
		if err != nil {
			t.Fatal(err)
		}
		if committed > 0 && (len(files) == 0 || files[0].Zxid < committed) {
			t.Fatalf("seed %d, run %d: snapshot %x is lost\n%s", seed, run, committed, m)
		}
		for _, f := range files {
			tr, err := snapshot.Read(m, filepath.Join(dir, f.Name), f.Codec)
			if err != nil {
				t.Fatalf("seed %d, run %d: %v\n%s", seed, run, err, m)
			}
			if tr.Digest() != digests[f.Zxid] {
				t.Fatalf("seed %d, run %d: %s is another tree", seed, run, f.Name)
			}
		}
		tr, _, err := snapshot.Recover(m, "/data", "", snapshot.RecoverOptions{})
		if err != nil || tr.LastZxid() < committed {
			t.Fatalf("seed %d, run %d: %v\n%s", seed, run, err, m)
		}
	}
}

func saveSlowly(rng *rand.Rand, fsys disk.FS, dir string, tr *tree.Tree) error {
	walk := tr.NewSnapshot()
	w, err := snapshot.Create(fsys, dir, walk.Zxid())
	if err != nil {
		return err
	}
	for done := false; !done; {
		var b []byte
		b, done = walk.Next(nil, 1+rng.IntN(2000))
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return w.Commit()
}

// server is what a host does with log, tree and snapshots, in one thread.
type server struct {
	rng   *rand.Rand
	fsys  *disk.Mem
	w     *workload
	tree  *tree.Tree
	log   *txnlog.Log
	info  snapshot.Info
	acked int64

	walk  *tree.Walk
	snap  *snapshot.Writer
	purge *snapshot.Purger
}

// step appends a few transactions, makes them durable, applies them, and goes on with a snapshot
// that is being written.
func (s *server) step() error {
	var batch [][]byte
	for range 1 + s.rng.IntN(4) {
		b := s.w.next()
		batch = append(batch, b)
		if err := s.log.Append(int64(len(s.w.txns)), b); err != nil {
			return err
		}
	}
	if err := s.log.Flush(); err != nil {
		return err
	}
	s.acked = int64(len(s.w.txns))
	for _, b := range batch {
		txn, err := proto.DecodeTxn(b)
		if err != nil {
			return err
		}
		s.tree.Apply(txn)
		if err := s.stepSnapshot(); err != nil {
			return err
		}
	}
	return nil
}

func (s *server) stepSnapshot() error {
	if s.walk == nil {
		if s.rng.IntN(10) > 0 {
			return nil
		}
		if err := s.log.Roll(); err != nil {
			return err
		}
		s.walk = s.tree.NewSnapshot()
		var err error
		s.snap, err = snapshot.Create(s.fsys, s.info.SnapDir, s.walk.Zxid())
		return err
	}
	b, done := s.walk.Next(nil, 1+s.rng.IntN(600))
	if _, err := s.snap.Write(b); err != nil || !done {
		return err
	}
	zxid := s.walk.Zxid()
	s.walk = nil
	err := s.snap.Commit()
	switch {
	case errors.Is(err, syscall.EIO):
		return nil // the server goes on without this one
	case err != nil:
		return err
	case s.rng.IntN(2) == 0:
		s.purge.Written(zxid) // or it is read
	}
	_, err = s.purge.Purge(context.Background())
	return err
}

// TestCrashRecover cuts the power, kills the process and fails syncs at random steps of a server's
// log, fuzzy snapshots, purges and recoveries. Behind every crash the server must come up without
// help, with the tree that the transactions up to its zxid give, and none of those it had
// acknowledged missing.
func TestCrashRecover(t *testing.T) {
	runs, seed := crashRuns(t), env(t, "CRASH_SEED", 1)
	for run := range runs {
		rng := rand.New(rand.NewPCG(uint64(seed), uint64(run)))
		s := &server{rng: rng, fsys: disk.NewMem(), w: newWorkload(rng)}
		for life := range 4 {
			if err := s.live(); err != nil {
				t.Fatalf("seed %d, run %d, life %d: %v\n%s", seed, run, life, err, s.fsys)
			}
			s.fsys = end(rng, s.fsys)
		}
	}
}

// live recovers, perhaps with crashes on the way, checks the tree and serves until something
// happens.
func (s *server) live() error {
	for s.rng.IntN(3) == 0 {
		s.fsys.CutAfter(s.rng.IntN(16))
		if s.rng.IntN(4) == 0 {
			failSync(s.rng, s.fsys, "")
		}
		_, _, _ = snapshot.Recover(s.fsys, "/data", "/logs", snapshot.RecoverOptions{})
		s.fsys = end(s.rng, s.fsys)
	}
	var err error
	s.tree, s.info, err = snapshot.Recover(s.fsys, "/data", "/logs", snapshot.RecoverOptions{})
	if err != nil {
		return err
	}
	last := s.tree.LastZxid()
	if last < s.acked || last > int64(len(s.w.txns)) {
		return fmt.Errorf("came up at %d, %d were acknowledged, %d made", last, s.acked, len(s.w.txns))
	}
	if err := same(s.tree, build(s.w.txns[:last])); err != nil {
		return fmt.Errorf("at %d: %w", last, err)
	}
	i := s.info
	if i.Mismatches != 0 || i.Gaps != 0 || i.AwaitedDigest != 0 || i.Orphans != 0 || len(i.Skipped) > 0 {
		return fmt.Errorf("recovery says %+v", i)
	}
	s.w.rewind(last)
	s.acked = last
	s.walk = nil
	s.log, err = txnlog.Open(txnlog.Options{
		FS: s.fsys, Dir: s.info.LogDir, PreallocBytes: 4 << 10}, last)
	if err != nil {
		return err
	}
	s.purge = snapshot.NewPurger(s.fsys, s.info.SnapDir, s.info.LogDir, 3)
	s.purge.Recovered(&s.info)
	s.fsys.CutAfter(s.rng.IntN(150))
	if s.rng.IntN(3) == 0 {
		failSync(s.rng, s.fsys, []string{"log.", "snapshot."}[s.rng.IntN(2)])
	}
	for {
		err := s.step()
		if errors.Is(err, disk.ErrPowerCut) || errors.Is(err, syscall.EIO) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

package snapshot_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"zkafka/zkd/disk"
	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
	"zkafka/zkd/snapshot"
	"zkafka/zkd/tree"
	"zkafka/zkd/txnlog"
)

// world is a data directory that a server filled: snapshots at some zxids, a log file from each on.
type world struct {
	fs   *disk.Mem
	w    *workload
	snap string
	logs string
}

// fill writes transactions up to the last of the zxids, with a snapshot and a new log file at each.
func fill(t testing.TB, snap, logs string, zxids ...int64) *world {
	t.Helper()
	x := &world{
		fs: disk.NewMem(), w: newWorkload(rand.New(rand.NewPCG(1, 1))),
		snap: filepath.Join(snap, "version-2"), logs: filepath.Join(logs, "version-2"),
	}
	must(t, x.fs.MkdirAll(x.snap))
	must(t, x.fs.MkdirAll(x.logs))
	log, err := txnlog.Open(txnlog.Options{FS: x.fs, Dir: x.logs, PreallocBytes: 4096}, 0)
	must(t, err)
	for _, zxid := range zxids {
		for int64(len(x.w.txns)) < zxid {
			b := x.w.next()
			must(t, log.Append(int64(len(x.w.txns)), b))
		}
		must(t, log.Roll())
		_, _, err := snapshot.Save(x.fs, x.snap, x.w.tree)
		must(t, err)
	}
	return x
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (x *world) remove(t testing.TB, names ...string) {
	t.Helper()
	for _, name := range names {
		must(t, x.fs.Remove(name))
	}
}

func (x *world) damage(t testing.TB, name string, off int64) {
	t.Helper()
	f, err := x.fs.OpenRW(name)
	must(t, err)
	defer f.Close()
	var b [1]byte
	_, err = f.ReadAt(b[:], off)
	must(t, err)
	b[0] ^= 1
	_, err = f.WriteAt(b[:], off)
	must(t, err)
}

func readFile(t testing.TB, m *disk.Mem, name string) []byte {
	t.Helper()
	f, err := m.Open(name)
	must(t, err)
	defer f.Close()
	b, err := io.ReadAll(f)
	must(t, err)
	return b
}

func (x *world) recover(o snapshot.RecoverOptions) (*tree.Tree, snapshot.Info, error) {
	return snapshot.Recover(x.fs, filepath.Dir(x.snap), filepath.Dir(x.logs), o)
}

func TestRecoverEmpty(t *testing.T) {
	m := disk.NewMem()
	tr, info, err := snapshot.Recover(m, "/data", "/logs", snapshot.RecoverOptions{})
	must(t, err)
	if tr.LastZxid() != 0 || tr.NodeCount() != 5 || info.Snapshot != "/data/version-2/snapshot.0" {
		t.Errorf("%+v", info)
	}
	if _, err := m.Stat("/logs/version-2"); err != nil {
		t.Error(err)
	}
	_, _, err = snapshot.Recover(disk.NewMem(), "/data", "", snapshot.RecoverOptions{NoCreateDirs: true})
	if err == nil || !strings.Contains(err.Error(), "/data/version-2 is missing") {
		t.Error(err)
	}
}

func TestRecoverStepsOverDamagedSnapshots(t *testing.T) {
	x := fill(t, "/d", "/d", 30, 60, 90, 95)
	x.damage(t, "/d/version-2/snapshot.5f", 200)
	x.damage(t, "/d/version-2/snapshot.5a", 100)
	tr, info, err := x.recover(snapshot.RecoverOptions{})
	must(t, err)
	if err := same(tr, x.w.tree); err != nil {
		t.Error(err)
	}
	var corrupt *snapshot.CorruptError
	if info.SnapshotZxid != 60 || len(info.Skipped) != 2 || info.Txns != 35 ||
		!errors.As(info.Skipped[0], &corrupt) || corrupt.File != "/d/version-2/snapshot.5f" {
		t.Errorf("%+v", info)
	}
	// An unreadable sector is as good as damage.
	x.fs.Fail(disk.Fault{Op: disk.OpRead, Path: "snapshot.3c", Err: syscall.EIO})
	if _, info, err := x.recover(snapshot.RecoverOptions{}); err != nil || info.SnapshotZxid != 30 {
		t.Errorf("%+v, %v", info, err)
	}
	x.fs.Heal()
	x.damage(t, "/d/version-2/snapshot.3c", 150)
	x.damage(t, "/d/version-2/snapshot.1e", 150)
	_, _, err = x.recover(snapshot.RecoverOptions{})
	if err == nil || !strings.Contains(err.Error(), "none of the 4 snapshots in /d/version-2") {
		t.Error(err)
	}
}

// TestRecoverRefusesHoles: with an older snapshot and a log that lacks what lies between, some
// acknowledged transactions would be lost without a word.
func TestRecoverRefusesHoles(t *testing.T) {
	x := fill(t, "/d", "/d", 30, 60, 90)
	x.damage(t, "/d/version-2/snapshot.5a", 100)
	x.damage(t, "/d/version-2/snapshot.3c", 100)
	x.remove(t, "/d/version-2/log.1f") // 31 to 60
	_, _, err := x.recover(snapshot.RecoverOptions{})
	if err == nil || !strings.Contains(err.Error(), "transactions 0x1f to 0x3c are missing") {
		t.Error(err)
	}
}

// TestRecoverRefusesALogThatEndsEarly: likewise when the end of the log is what is missing.
func TestRecoverRefusesALogThatEndsEarly(t *testing.T) {
	x := fill(t, "/d", "/d", 30, 60, 90)
	x.damage(t, "/d/version-2/snapshot.5a", 100)
	x.remove(t, "/d/version-2/log.3d") // 61 to 90
	_, _, err := x.recover(snapshot.RecoverOptions{})
	if err == nil || !strings.Contains(err.Error(), "transactions 0x3d to 0x5a are missing") ||
		!strings.HasPrefix(strings.SplitAfter(err.Error(), "out of the directory: ")[1],
			"/d/version-2/snapshot.5a: ") {
		t.Error(err)
	}
	x.remove(t, "/d/version-2/snapshot.5a")
	if tr, _, err := x.recover(snapshot.RecoverOptions{}); err != nil || tr.LastZxid() != 60 {
		t.Error("the way out does not work", err)
	}
}

// TestRecoverRefusesHolesBetweenEpochs: that zxids jump where an epoch begins is no excuse for a
// snapshot in between that cannot be used, unless it is the one that a leader begins with.
func TestRecoverRefusesHolesBetweenEpochs(t *testing.T) {
	for name, refused := range map[string]bool{"snapshot.100000005": true, "snapshot.100000000": false} {
		x := fill(t, "/d", "/d", 30)
		log, err := txnlog.Open(txnlog.Options{FS: x.fs, Dir: x.logs}, 2<<32)
		must(t, err)
		var w jute.Writer
		proto.EncodeTxn(&w, &proto.Txn{
			Header: proto.TxnHeader{Zxid: 2<<32 + 1, Type: proto.OpError}, Body: &proto.ErrorTxn{},
		})
		must(t, log.Append(2<<32+1, w.B))
		must(t, log.Close())
		writeFile(t, x.fs, "/d/version-2/"+name, []byte("torn"))
		x.remove(t, "/d/version-2/snapshot.1e")
		_, _, err = snapshot.Save(x.fs, x.snap, build(x.w.txns[:20]))
		must(t, err)
		_, info, err := x.recover(snapshot.RecoverOptions{})
		if refused && (err == nil || !strings.Contains(err.Error(),
			"transactions 0x1f to 0x100000005 are missing")) || !refused && err != nil {
			t.Errorf("%s: %v, %+v", name, err, info)
		}
	}
}

// TestFilesPrefersOurs: a snapshot that recovery writes may have the zxid of a compressed one.
func TestFilesPrefersOurs(t *testing.T) {
	m := disk.NewMem()
	must(t, m.MkdirAll("/d"))
	for _, name := range []string{"snapshot.a.snappy", "snapshot.a.gz", "snapshot.a", "snapshot.b"} {
		writeFile(t, m, "/d/"+name, nil)
	}
	files, err := snapshot.Files(m, "/d")
	must(t, err)
	if files[0].Name != "snapshot.b" || files[1].Name != "snapshot.a" {
		t.Error(files)
	}
}

// TestRecoverTellsGaps: a missing file is no reason not to start, as upstream.
func TestRecoverTellsGaps(t *testing.T) {
	x := fill(t, "/d", "/d", 30, 60, 90)
	x.remove(t, "/d/version-2/snapshot.5a", "/d/version-2/snapshot.3c", "/d/version-2/log.1f")
	_, info, err := x.recover(snapshot.RecoverOptions{})
	must(t, err)
	want := snapshot.Gap{File: "/d/version-2/log.3d", From: 31, To: 60}
	if info.Gaps != 1 || info.FirstGap != want || info.LastZxid != 90 {
		t.Errorf("%+v", info)
	}
}

// TestRecoverBelievesTheDisk: a snapshot that only the cache has, as Apache's servers leave them, is
// made durable before it counts, and one that the disk has lost is passed over.
func TestRecoverBelievesTheDisk(t *testing.T) {
	const name = "/d/version-2/snapshot.28"
	for _, lost := range []bool{false, true} {
		x := fill(t, "/d", "/d", 10, 20, 30, 40)
		b := readFile(t, x.fs, name)
		x.remove(t, name)
		f, err := x.fs.Create(name)
		must(t, err)
		_, err = f.Write(b)
		must(t, err)
		if lost {
			x.fs.Fail(disk.Fault{Op: disk.OpSync, Path: name, Err: syscall.EIO, Times: 1})
			if err := f.Sync(); err == nil {
				t.Fatal("the sync did not fail")
			}
		}
		x.fs = x.fs.Kill()
		tr, info, err := x.recover(snapshot.RecoverOptions{})
		must(t, err)
		if err := same(tr, x.w.tree); err != nil || (info.SnapshotZxid == 30) != lost {
			t.Errorf("%v, %+v", err, info)
		}
		x.fs = x.fs.Crash(rand.New(rand.NewPCG(1, 0)))
		tr, again, err := x.recover(snapshot.RecoverOptions{})
		must(t, err)
		if err := same(tr, x.w.tree); err != nil || again.SnapshotZxid != info.SnapshotZxid {
			t.Errorf("%v, %+v", err, again)
		}
	}
}

func TestRecoverDamagedLog(t *testing.T) {
	x := fill(t, "/d", "/d", 30, 60, 90)
	x.remove(t, "/d/version-2/snapshot.5a")
	x.damage(t, "/d/version-2/log.3d", 40)
	_, _, err := x.recover(snapshot.RecoverOptions{})
	var corrupt *txnlog.CorruptError
	if !errors.As(err, &corrupt) || corrupt.File != "/d/version-2/log.3d" || corrupt.Offset != 16 {
		t.Error(err)
	}
}

func TestRecoverLogsWithoutSnapshot(t *testing.T) {
	x := fill(t, "/d", "/l", 30)
	x.remove(t, "/d/version-2/snapshot.1e")
	_, _, err := x.recover(snapshot.RecoverOptions{})
	if !errors.Is(err, snapshot.ErrNoSnapshot) || !strings.Contains(err.Error(), "snapshot.trust.empty") {
		t.Error(err)
	}
	tr, info, err := x.recover(snapshot.RecoverOptions{TrustEmpty: true})
	must(t, err)
	if err := same(tr, x.w.tree); err != nil || info.Snapshot != "/d/version-2/snapshot.1e" {
		t.Error(err, info)
	}
}

func TestRecoverMixedUpDirectories(t *testing.T) {
	x := fill(t, "/d", "/l", 30)
	_, _, err := snapshot.Recover(x.fs, "/l", "/d", snapshot.RecoverOptions{})
	if err == nil || !strings.Contains(err.Error(), "check dataDir and dataLogDir") {
		t.Error(err)
	}
	_, _, err = snapshot.Recover(x.fs, "/empty", "/d", snapshot.RecoverOptions{})
	if err == nil || !strings.Contains(err.Error(), "the log directory /d/version-2 has snapshots") {
		t.Error(err)
	}
}

func TestRecoverRemovesUnfinishedSnapshots(t *testing.T) {
	x := fill(t, "/d", "/d", 30)
	w, err := snapshot.Create(x.fs, x.snap, 77)
	must(t, err)
	_, err = w.Write([]byte("half"))
	must(t, err)
	_, _, err = x.recover(snapshot.RecoverOptions{})
	must(t, err)
	names, err := x.fs.ReadDir(x.snap)
	must(t, err)
	if !slices.Equal(names, []string{"log.1", "snapshot.1e"}) {
		t.Error(names)
	}
}

func TestPurge(t *testing.T) {
	x := fill(t, "/d", "/l", 10, 20, 30, 40, 50)
	writeFile(t, x.fs, "/d/version-2/snapshot.31", []byte("torn by an Apache server"))
	removed, err := snapshot.Purge(x.fs, x.snap, x.logs, 1) // raised to 3
	must(t, err)
	want := []string{"/d/version-2/snapshot.a", "/d/version-2/snapshot.14", "/l/version-2/log.1",
		"/l/version-2/log.b"} // the oldest first
	if !slices.Equal(removed, want) {
		t.Errorf("removed %v, want %v", removed, want)
	}
	// log.15 begins before snapshot.1e and may hold transactions behind it.
	tr, info, err := x.recover(snapshot.RecoverOptions{})
	must(t, err)
	if err := same(tr, x.w.tree); err != nil || len(info.Skipped) != 0 {
		t.Error(err, info)
	}
	if removed, err := snapshot.Purge(x.fs, x.snap, x.logs, 3); err != nil || removed != nil {
		t.Error(removed, err)
	}
	if removed, err := snapshot.Purge(x.fs, "/none", x.logs, 3); err != nil || removed != nil {
		t.Error("without a snapshot nothing may be purged", removed, err)
	}
}

// TestPurgeCountsGoodSnapshots: snapshots that end as whole ones do and are damaged do not count, or
// the one that a recovery goes back to would be purged.
func TestPurgeCountsGoodSnapshots(t *testing.T) {
	x := fill(t, "/d", "/l", 10, 20, 30, 40, 50, 60, 70)
	x.damage(t, "/d/version-2/snapshot.46", 100)
	x.damage(t, "/d/version-2/snapshot.3c", 100)
	x.damage(t, "/d/version-2/snapshot.32", 100)
	removed, err := snapshot.Purge(x.fs, x.snap, x.logs, 3)
	must(t, err)
	if !slices.Equal(removed, []string{"/d/version-2/snapshot.a", "/l/version-2/log.1"}) {
		t.Errorf("removed %v", removed)
	}
	x.damage(t, "/d/version-2/snapshot.28", 100)
	if removed, err := snapshot.Purge(x.fs, x.snap, x.logs, 3); err != nil || removed != nil {
		t.Error("with two good snapshots nothing may be purged", removed, err)
	}
	tr, info, err := x.recover(snapshot.RecoverOptions{})
	must(t, err)
	if err := same(tr, x.w.tree); err != nil || len(info.Skipped) != 4 || info.SnapshotZxid != 30 {
		t.Error(err, info)
	}
}

// TestPurgeKnowsWhatItIsTold: what a recovery or a writer has proven is not read again, and what a
// recovery could not use does not count.
func TestPurgeKnowsWhatItIsTold(t *testing.T) {
	x := fill(t, "/d", "/l", 10, 20, 30, 40)
	reads := func(p *snapshot.Purger) (removed []string) {
		x.fs.Fail(disk.Fault{Op: disk.OpRead, Err: syscall.EIO})
		defer x.fs.Heal()
		removed, err := p.Purge(t.Context())
		must(t, err)
		return removed
	}
	p := snapshot.NewPurger(x.fs, x.snap, x.logs, 3)
	if removed := reads(p); removed != nil {
		t.Errorf("snapshots that cannot be read count: %v", removed)
	}
	p.Recovered(&snapshot.Info{Snapshot: "/d/version-2/snapshot.28"})
	p.Written(30)
	p.Written(20)
	if removed := reads(p); len(removed) != 2 {
		t.Errorf("removed %v", removed)
	}
	x = fill(t, "/d", "/l", 10, 20, 30, 40)
	p = snapshot.NewPurger(x.fs, x.snap, x.logs, 3)
	p.Recovered(&snapshot.Info{Unusable: []snapshot.FileInfo{{Name: "snapshot.28", Zxid: 40}}})
	removed, err := p.Purge(t.Context())
	must(t, err)
	if len(removed) != 0 {
		t.Errorf("removed %v", removed)
	}
}

// TestPurgeReadsNothingForNothing: with no more snapshots than stay, none of them is read.
func TestPurgeReadsNothingForNothing(t *testing.T) {
	x := fill(t, "/d", "/l", 10, 20, 30)
	x.remove(t, "/l/version-2/log.1")
	x.fs.Fail(disk.Fault{Op: disk.OpOpen, Err: syscall.EIO, Times: 1})
	removed, err := snapshot.Purge(x.fs, x.snap, x.logs, 3)
	must(t, err)
	if removed != nil {
		t.Error(removed)
	}
	if _, err := x.fs.Open("/d/version-2/snapshot.a"); !errors.Is(err, syscall.EIO) {
		t.Error("a snapshot was read")
	}
}

// TestPurgeEnds: a server that stops does not wait until large snapshots are read.
func TestPurgeEnds(t *testing.T) {
	x := fill(t, "/d", "/l", 10, 20, 30, 40)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	removed, err := snapshot.NewPurger(x.fs, x.snap, x.logs, 3).Purge(ctx)
	if !errors.Is(err, context.Canceled) || removed != nil {
		t.Error(removed, err)
	}
}

// TestPurgeSyncsNamesFirst: the snapshots that stay are there after a power cut.
func TestPurgeSyncsNamesFirst(t *testing.T) {
	for seed := range uint64(100) {
		x := fill(t, "/d", "/l", 10, 20, 30)
		x.w.next()
		x.fs.Fail(disk.Fault{Op: disk.OpSyncDir, Path: "/d/version-2", Err: syscall.EIO, Times: 1})
		if _, _, err := snapshot.Save(x.fs, x.snap, x.w.tree); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		_, err := snapshot.Purge(x.fs, x.snap, x.logs, 3)
		must(t, err)
		x.fs = x.fs.Crash(rand.New(rand.NewPCG(seed, 0)))
		files, err := snapshot.Files(x.fs, x.snap)
		must(t, err)
		if len(files) < 3 {
			t.Fatalf("seed %d: %v", seed, files)
		}
	}
}

func TestWriterFailureLeavesNothing(t *testing.T) {
	for _, fault := range []disk.Fault{
		{Op: disk.OpCreate, Err: syscall.ENOSPC},
		{Op: disk.OpWrite, Err: syscall.ENOSPC, Short: 10},
		{Op: disk.OpSync, Err: syscall.EIO},
		{Op: disk.OpRename, Err: syscall.EIO},
	} {
		x := fill(t, "/d", "/d", 10)
		x.w.next()
		x.fs.Fail(fault)
		if _, _, err := snapshot.Save(x.fs, x.snap, x.w.tree); !errors.Is(err, fault.Err) {
			t.Errorf("%s: %v", fault.Op, err)
		}
		x.fs.Heal()
		names, err := x.fs.ReadDir(x.snap)
		must(t, err)
		if !slices.Equal(names, []string{"log.1", "snapshot.a"}) {
			t.Errorf("%s leaves %v", fault.Op, names)
		}
	}
}

func TestLockDirs(t *testing.T) {
	m := disk.NewMem()
	l, err := snapshot.LockDirs(m, "/d", "/l")
	must(t, err)
	for _, dirs := range [][2]string{{"/d", ""}, {"/x", "/l"}, {"/d", "/d"}} {
		_, err := snapshot.LockDirs(m, dirs[0], dirs[1])
		var locked *disk.LockedError
		if !errors.As(err, &locked) {
			t.Errorf("%v: %v", dirs, err)
		}
	}
	must(t, l.Close())
	l, err = snapshot.LockDirs(m, "/d", "/d")
	must(t, err)
	must(t, l.Close())
}

func TestRealDisk(t *testing.T) {
	dir := t.TempDir()
	w := newWorkload(rand.New(rand.NewPCG(3, 3)))
	for life := range 3 {
		tr, info, err := snapshot.Recover(disk.Real(), dir, "", snapshot.RecoverOptions{})
		must(t, err)
		if err := same(tr, build(w.txns)); err != nil {
			t.Fatal(err)
		}
		log, err := txnlog.Open(txnlog.Options{FS: disk.Real(), Dir: info.LogDir}, tr.LastZxid())
		must(t, err)
		for range 100 {
			must(t, log.Append(int64(len(w.txns)+1), w.next()))
		}
		must(t, log.Close())
		if life == 1 {
			_, _, err := snapshot.Save(disk.Real(), info.SnapDir, w.tree)
			must(t, err)
		}
	}
}

func BenchmarkRecover(b *testing.B) {
	x := fill(b, "/d", "/d", 1)
	log, err := txnlog.Open(txnlog.Options{FS: x.fs, Dir: x.logs}, 1)
	must(b, err)
	for len(x.w.txns) < 4000 {
		must(b, log.Append(int64(len(x.w.txns)+1), x.w.next()))
	}
	must(b, log.Close())
	b.ResetTimer()
	for range b.N {
		if _, info, err := x.recover(snapshot.RecoverOptions{}); err != nil || info.Txns != 3999 {
			b.Fatal(info, err)
		}
	}
	b.ReportMetric(3999*float64(b.N)/b.Elapsed().Seconds(), "txns/s")
}

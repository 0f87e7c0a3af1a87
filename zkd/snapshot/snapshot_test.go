package snapshot_test

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"zkafka/zkd/disk"
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
	writeFile(t, x.fs, "/d/version-2/snapshot.99", []byte("torn by an Apache server"))
	removed, err := snapshot.Purge(x.fs, x.snap, x.logs, 1) // raised to 3
	must(t, err)
	want := []string{"/d/version-2/snapshot.14", "/d/version-2/snapshot.a", "/l/version-2/log.1",
		"/l/version-2/log.b"}
	slices.Sort(removed)
	if !slices.Equal(removed, want) {
		t.Errorf("removed %v, want %v", removed, want)
	}
	// log.15 begins before snapshot.1e and may hold transactions behind it.
	tr, info, err := x.recover(snapshot.RecoverOptions{})
	must(t, err)
	if err := same(tr, x.w.tree); err != nil || len(info.Skipped) != 1 {
		t.Error(err, info)
	}
	if removed, err := snapshot.Purge(x.fs, x.snap, x.logs, 3); err != nil || removed != nil {
		t.Error(removed, err)
	}
	if removed, err := snapshot.Purge(x.fs, "/none", x.logs, 3); err != nil || removed != nil {
		t.Error("without a snapshot nothing may be purged", removed, err)
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

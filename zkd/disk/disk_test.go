package disk

import (
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// each runs a test on the real filesystem and on the one in memory: they must not differ.
func each(t *testing.T, test func(t *testing.T, fsys FS, dir string)) {
	t.Run("real", func(t *testing.T) { test(t, Real(), t.TempDir()) })
	t.Run("mem", func(t *testing.T) {
		m := NewMem()
		if err := m.MkdirAll("/tmp"); err != nil {
			t.Fatal(err)
		}
		test(t, m, "/tmp")
	})
}

func read(t *testing.T, fsys FS, name string) string {
	t.Helper()
	f, err := fsys.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, f File, s string) {
	t.Helper()
	if n, err := f.Write([]byte(s)); n != len(s) || err != nil {
		t.Fatal(n, err)
	}
}

func TestFiles(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "a")
		f, err := fsys.Create(name)
		must(t, err)
		put(t, f, "hello ")
		put(t, f, "world")
		if _, err := f.WriteAt([]byte("W"), 6); err != nil {
			t.Fatal(err)
		}
		must(t, f.Preallocate(20))
		must(t, f.Preallocate(10))
		must(t, Settle(f))
		if size, err := f.Size(); size != 20 || err != nil || f.Name() != name {
			t.Error(size, err, f.Name())
		}
		must(t, f.Truncate(11))
		if got := read(t, fsys, name); got != "hello World" {
			t.Errorf("%q", got)
		}
		b := make([]byte, 20)
		if n, err := f.ReadAt(b, 6); n != 5 || !errors.Is(err, io.EOF) || string(b[:n]) != "World" {
			t.Errorf("%q %v", b[:n], err)
		}
		must(t, f.Truncate(13))
		if got := read(t, fsys, name); got != "hello World\x00\x00" {
			t.Errorf("%q", got)
		}
		must(t, f.Close())
		if _, err := f.Write([]byte("x")); err == nil {
			t.Error("a closed file was written")
		}
		f, err = fsys.OpenRW(name)
		must(t, err)
		if _, err := f.WriteAt([]byte("J"), 0); err != nil {
			t.Error(err)
		}
		must(t, f.Close())
		f, err = fsys.Open(name)
		must(t, err)
		if _, err := f.WriteAt([]byte("J"), 0); err == nil {
			t.Error("a file opened for reading was written")
		}
		must(t, f.Close())
		f, err = fsys.Create(name)
		must(t, err)
		if size, _ := f.Size(); size != 0 {
			t.Error("an existing file was not emptied")
		}
		must(t, f.Close())
	})
}

func TestNames(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		sub := filepath.Join(dir, "x", "y")
		must(t, fsys.MkdirAll(sub))
		must(t, fsys.MkdirAll(sub))
		if st, err := fsys.Stat(sub); err != nil || !st.Dir {
			t.Error(st, err)
		}
		for _, name := range []string{"b", "a", "c"} {
			f, err := fsys.Create(filepath.Join(sub, name))
			must(t, err)
			put(t, f, name)
			must(t, f.Close())
		}
		must(t, fsys.Rename(filepath.Join(sub, "b"), filepath.Join(sub, "c")))
		must(t, fsys.SyncDir(sub))
		if names, err := fsys.ReadDir(sub); err != nil || !slices.Equal(names, []string{"a", "c"}) {
			t.Error(names, err)
		}
		if names, err := fsys.ReadDir(filepath.Join(dir, "x")); err != nil || !slices.Equal(names, []string{"y"}) {
			t.Error(names, err)
		}
		if got := read(t, fsys, filepath.Join(sub, "c")); got != "b" {
			t.Errorf("%q", got)
		}
		must(t, fsys.Remove(filepath.Join(sub, "a")))
		missing := filepath.Join(sub, "a")
		_, err := fsys.Open(missing)
		_, err2 := fsys.Stat(missing)
		_, err3 := fsys.ReadDir(missing)
		_, err4 := fsys.OpenRW(missing)
		for _, err := range []error{err, err2, err3, err4, fsys.Remove(missing),
			fsys.Rename(missing, missing+"2"), fsys.SyncDir(missing)} {
			if !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
		}
		if n, err := fsys.Free(sub); err != nil || n == 0 {
			t.Error(n, err)
		}
	})
}

func TestLock(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, ".lock")
		l, err := fsys.Lock(name)
		must(t, err)
		_, err = fsys.Lock(name)
		var locked *LockedError
		if !errors.As(err, &locked) {
			t.Fatal(err)
		}
		if _, isReal := fsys.(realFS); isReal && locked.Holder != strconv.Itoa(os.Getpid()) {
			t.Errorf("the holder is %q", locked.Holder)
		}
		must(t, l.Close())
		l, err = fsys.Lock(name)
		must(t, err)
		must(t, l.Close())
	})
}

// TestCrashKeepsWhatIsSynced and loses, keeps or tears the rest.
func TestCrashKeepsWhatIsSynced(t *testing.T) {
	contents, names := map[string]int{}, map[string]int{}
	for seed := range uint64(2000) {
		m := NewMem()
		f, err := m.Create("/synced")
		must(t, err)
		put(t, f, "durable.")
		must(t, f.Sync())
		must(t, m.SyncDir("/"))
		put(t, f, "abcd")
		g, err := m.Create("/unsynced")
		must(t, err)
		put(t, g, "x")
		must(t, m.Rename("/unsynced", "/renamed"))
		l, err := m.Lock("/lock")
		must(t, err)
		after := m.Crash(rand.New(rand.NewPCG(seed, 0)))
		// The size may have come through without the data.
		contents[strings.TrimRight(read(t, after, "/synced"), "\x00")]++
		list, err := after.ReadDir("/")
		must(t, err)
		for _, name := range list {
			names[name]++
		}
		if _, err := f.Write([]byte("y")); !errors.Is(err, ErrPowerCut) {
			t.Fatalf("a write behind the power cut says %v", err)
		}
		_ = l.Close()
		if _, err := after.Lock("/lock"); err != nil {
			t.Error(err)
		}
	}
	for _, want := range []string{"durable.", "durable.a", "durable.ab", "durable.abc", "durable.abcd"} {
		if contents[want] == 0 {
			t.Errorf("%q never came up", want)
		}
		delete(contents, want)
	}
	if len(contents) != 0 {
		t.Errorf("came up too: %v", contents)
	}
	if names["synced"] != 2000 || names["unsynced"] == 0 || names["renamed"] == 0 ||
		names["renamed"] == 2000 {
		t.Error(names)
	}
}

func TestSyncOfOneFileIsNotOfTheOther(t *testing.T) {
	lost := 0
	for seed := range uint64(50) {
		m := NewMem()
		a, err := m.Create("/a")
		must(t, err)
		b, err := m.Create("/b")
		must(t, err)
		must(t, m.SyncDir("/"))
		put(t, a, "a")
		put(t, b, "b")
		must(t, a.Sync())
		after := m.Crash(rand.New(rand.NewPCG(seed, 0)))
		if read(t, after, "/a") != "a" {
			t.Fatal("a synced write is lost")
		}
		if read(t, after, "/b") == "" {
			lost++
		}
	}
	if lost == 0 {
		t.Error("an unsynced write is never lost")
	}
}

func TestCutAfter(t *testing.T) {
	m := NewMem()
	m.CutAfter(2)
	f, err := m.Create("/a")
	must(t, err)
	put(t, f, "x")
	if err := f.Sync(); !errors.Is(err, ErrPowerCut) {
		t.Error(err)
	}
	if _, err := m.Open("/a"); !errors.Is(err, ErrPowerCut) {
		t.Error(err)
	}
	if m.Steps() != 2 {
		t.Error(m.Steps())
	}
}

func TestFaults(t *testing.T) {
	m := NewMem()
	f, err := m.Create("/log.1")
	must(t, err)
	m.Fail(Fault{Op: OpWrite, Path: "log.", Skip: 1, Times: 1, Err: syscall.ENOSPC, Short: 3})
	m.Fail(Fault{Op: OpSync, Err: syscall.EIO})
	put(t, f, "first ")
	if n, err := f.Write([]byte("second")); n != 3 || !errors.Is(err, syscall.ENOSPC) {
		t.Error(n, err)
	}
	put(t, f, " third")
	for range 3 {
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Error(err)
		}
	}
	m.Heal()
	must(t, f.Sync())
	if got := read(t, m, "/log.1"); got != "first sec third" {
		t.Errorf("%q", got)
	}
}

// TestCrashDropsSectors: of one write that was not synced, sectors reach the disk in any order.
func TestCrashDropsSectors(t *testing.T) {
	const sectors = 4
	seen := map[string]int{}
	for seed := range uint64(3000) {
		m := NewMem()
		f, err := m.Create("/a")
		must(t, err)
		must(t, f.Preallocate(sectors*512))
		must(t, f.Sync())
		must(t, m.SyncDir("/"))
		put(t, f, strings.Repeat("x", sectors*512))
		got := read(t, m.Crash(rand.New(rand.NewPCG(seed, 0))), "/a")
		var pattern strings.Builder
		for i := range sectors {
			switch part := got[i*512 : (i+1)*512]; {
			case strings.Trim(part, "x") == "":
				pattern.WriteByte('x')
			case strings.Trim(part, "\x00") == "":
				pattern.WriteByte('-')
			default:
				pattern.WriteByte('t') // torn
			}
		}
		seen[pattern.String()]++
	}
	for n := range 1 << sectors {
		want := make([]byte, sectors)
		for i := range want {
			want[i] = "-x"[n>>i&1]
		}
		if seen[string(want)] == 0 {
			t.Errorf("%s never came up", want)
		}
	}
}

// TestKill: the next process sees everything that was written, and what its predecessor did not
// sync still needs a sync.
func TestKill(t *testing.T) {
	lost := 0
	for seed := range uint64(50) {
		m := NewMem()
		f, err := m.Create("/a")
		must(t, err)
		must(t, f.Sync())
		must(t, m.SyncDir("/"))
		put(t, f, "unsynced")
		_, err = m.Lock("/lock")
		must(t, err)
		after := m.Kill()
		if _, err := f.Write([]byte("x")); err == nil {
			t.Fatal("a dead process writes")
		}
		if got := read(t, after, "/a"); got != "unsynced" {
			t.Fatalf("%q", got)
		}
		_, err = after.Lock("/lock")
		must(t, err)
		if seed%2 == 0 {
			g, err := after.Open("/a")
			must(t, err)
			must(t, Settle(g))
		}
		got := read(t, after.Crash(rand.New(rand.NewPCG(seed, 0))), "/a")
		if got != "unsynced" {
			lost++
			if seed%2 == 0 {
				t.Fatalf("settled, and lost: %q", got)
			}
		}
	}
	if lost == 0 {
		t.Error("an unsynced write is never lost")
	}
}

// TestFailedSync: what a sync could not write is still shown, a second sync succeeds without having
// written it, and Forget shows what the disk has.
func TestFailedSync(t *testing.T) {
	for _, rng := range []*rand.Rand{nil, rand.New(rand.NewPCG(1, 1))} {
		m := NewMem()
		f, err := m.Create("/a")
		must(t, err)
		put(t, f, "kept ")
		must(t, f.Sync())
		put(t, f, strings.Repeat("x", 100<<10))
		m.Fail(Fault{Op: OpSync, Err: syscall.EIO, Times: 1, Rand: rng})
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		must(t, f.Sync())
		all := "kept " + strings.Repeat("x", 100<<10)
		if got := read(t, m, "/a"); got != all {
			t.Errorf("the cache shows %.20q", got)
		}
		f.Forget()
		switch got := read(t, m, "/a"); {
		case !strings.HasPrefix(got, "kept "), rng == nil && got != "kept ", got == all:
			t.Errorf("the disk has %d bytes: %.20q", len(got), got)
		}
	}
}

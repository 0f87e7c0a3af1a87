package disk

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
)

func write(t *testing.T, fs FS, name, content string, at int64, sync bool) {
	t.Helper()
	f, err := fs.OpenFile(name, Create)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte(content), at); err != nil {
		t.Fatal(err)
	}
	if sync {
		if err := f.SyncData(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, fs FS, name string) string {
	t.Helper()
	f, err := fs.OpenFile(name, ReadOnly)
	if errors.Is(err, os.ErrNotExist) {
		return "<none>"
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestSame runs the same calls on both file systems.
func TestSame(t *testing.T) {
	for name, fs := range map[string]FS{"real": Real(), "mem": NewMem()} {
		t.Run(name, func(t *testing.T) {
			dir := fs.PathJoin(t.TempDir(), "a", "b")
			if err := fs.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			file := fs.PathJoin(dir, "f")
			if _, err := fs.OpenFile(file, ReadWrite); !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			write(t, fs, file, "hello", 0, false)
			write(t, fs, file, "LL", 2, true)
			if got := content(t, fs, file); got != "heLLo" {
				t.Fatal(got)
			}
			f, err := fs.OpenFile(file, ReadWrite)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(f.Truncate(2), f.Truncate(4), f.Preallocate(0, 1<<16)); err != nil {
				t.Fatal(err)
			}
			if n, err := f.ReadAt(make([]byte, 9), 1); n != 3 || !errors.Is(err, io.EOF) {
				t.Fatal(n, err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if got := content(t, fs, file); got != "he\x00\x00" {
				t.Fatalf("%q", got)
			}
			info, err := fs.Stat(file)
			if err != nil || info.Size() != 4 || info.IsDir() {
				t.Fatal(info, err)
			}
			if err := fs.Rename(file, file+"2"); err != nil {
				t.Fatal(err)
			}
			if names, err := fs.List(dir); err != nil || len(names) != 1 || names[0] != "f2" {
				t.Fatal(names, err)
			}
			if err := errors.Join(fs.SyncDir(dir), fs.SyncAll(dir)); err != nil {
				t.Fatal(err)
			}
			if err := fs.Remove(dir); !errors.Is(err, syscall.ENOTEMPTY) {
				t.Fatal(err)
			}
			lock, err := fs.Lock(fs.PathJoin(dir, ".lock"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := fs.Lock(fs.PathJoin(dir, ".lock")); err == nil {
				t.Fatal("locked twice")
			}
			if err := lock.Close(); err != nil {
				t.Fatal(err)
			}
			if err := fs.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := fs.Stat(dir); !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
		})
	}
}

// TestCrashKeepsWhatIsSynced cuts the power a thousand times: synced bytes and names stay, the rest
// may come in parts, and every kind of loss does happen.
func TestCrashKeepsWhatIsSynced(t *testing.T) {
	seen := map[string]bool{}
	for seed := range uint64(1000) {
		m := NewMem()
		if err := m.MkdirAll("/d", 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, m, "/d/synced", "base", 0, true)
		if err := errors.Join(m.SyncDir("/"), m.SyncDir("/d")); err != nil {
			t.Fatal(err)
		}
		write(t, m, "/d/synced", string(bytes.Repeat([]byte{'x'}, 1024)), 4, false)
		write(t, m, "/d/new", "data", 0, true)
		if err := m.Rename("/d/new", "/d/renamed"); err != nil {
			t.Fatal(err)
		}
		after := m.Crash(rand.New(rand.NewPCG(seed, 0)))
		got := content(t, after, "/d/synced")
		if got[:4] != "base" {
			t.Fatalf("seed %d: synced bytes are gone: %q", seed, got)
		}
		switch bytes.Count([]byte(got), []byte{'x'}) {
		case 0:
			seen["nothing"] = true
		case 1024:
			seen["all"] = true
		default:
			seen["torn"] = true
		}
		switch created, renamed := content(t, after, "/d/new"), content(t, after, "/d/renamed"); {
		case created == "data" && renamed == "<none>":
			seen["created"] = true
		case created == "<none>" && renamed == "data":
			seen["renamed"] = true
		case created == "<none>" && renamed == "<none>":
			seen["no name"] = true
		default:
			t.Fatalf("seed %d: new %q, renamed %q", seed, created, renamed)
		}
		again := after.Crash(rand.New(rand.NewPCG(seed, 1)))
		if content(t, again, "/d/synced") != got {
			t.Fatalf("seed %d: a second crash changed what the first had left", seed)
		}
	}
	if len(seen) != 6 {
		t.Fatalf("only %v happened", seen)
	}
}

func TestFault(t *testing.T) {
	m := NewMem()
	m.SetFault(func(op Op, path string) error {
		if op == OpWrite && path == "/f" {
			return syscall.ENOSPC
		}
		return nil
	})
	f, err := m.OpenFile("/f", Create)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.WriteAt([]byte("abcd"), 0); n != 2 || !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(n, err)
	}
}

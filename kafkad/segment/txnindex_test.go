package segment

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"syscall"
	"testing"

	"zkafka/kafkad/disk"
)

// many makes n entries with markers at 10, 20, ...
func many(n int) (list []Aborted) {
	for i := range int64(n) {
		list = append(list, Aborted{ProducerID: 7 + i%3, First: 10*i + 5 - i%4, Marker: 10*i + 10,
			LastStable: 10*i + 11})
	}
	return list
}

func newTxns(t *testing.T, fs disk.FS) *Segment {
	t.Helper()
	if err := fs.MkdirAll("/d", 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := Create(fs, "/d", 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func content(t *testing.T, fs disk.FS, path string) []byte {
	t.Helper()
	f, err := fs.OpenFile(path, disk.ReadOnly)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, info.Size())
	if n, err := f.ReadAt(b, 0); n != len(b) {
		t.Fatal(err)
	}
	return b
}

func listed(t *testing.T, x *TxnIndex, from, upTo int64) (list []Aborted, done bool) {
	t.Helper()
	done, err := x.Collect(from, upTo, func(a Aborted) { list = append(list, a) })
	if err != nil {
		t.Fatal(err)
	}
	return list, done
}

// TestTxnIndexBytes spells one entry out: producer 3 aborted what it had begun at offset 2 with a
// marker at 6, while another had had a transaction open since offset 4. Files of Apache's broker
// are read in package commitlog.
func TestTxnIndexBytes(t *testing.T) {
	const want = "0000" + "0000000000000003" + "0000000000000002" + "0000000000000006" +
		"0000000000000004"
	mem := disk.NewMem()
	s := newTxns(t, mem)
	list := []Aborted{{ProducerID: 3, First: 2, Marker: 6, LastStable: 4}}
	if created, err := s.Txns.Append(list); !created || err != nil {
		t.Fatal(created, err)
	}
	if got := hex.EncodeToString(content(t, mem, s.Txns.Path())); got != want {
		t.Fatalf("%s instead of %s", got, want)
	}
	again := Open(mem, "/d", 0, 0)
	if whole, err := again.Txns.Load(0, 7); !whole || err != nil {
		t.Fatal(whole, err)
	}
	if got, _ := listed(t, &again.Txns, 0, 100); !slices.Equal(got, list) {
		t.Fatal(got)
	}
}

// TestCollect compares with the definition, on lists shorter and longer than one read.
func TestCollect(t *testing.T) {
	for _, n := range []int{0, 1, 5, 119, 120, 121, 1000} {
		s := newTxns(t, disk.NewMem())
		list := many(n)
		rng := rand.New(rand.NewPCG(uint64(n), 1))
		for rest := list; len(rest) > 0; {
			k := 1 + rng.IntN(len(rest))
			if _, err := s.Txns.Append(rest[:k]); err != nil {
				t.Fatal(err)
			}
			rest = rest[k:]
		}
		for range 300 {
			from := rng.Int64N(int64(10*n + 30))
			upTo := from + rng.Int64N(60)
			var want []Aborted
			wantDone := false
			for _, a := range list {
				if a.Marker < from || wantDone {
					continue
				}
				if a.First < upTo {
					want = append(want, a)
				}
				wantDone = a.LastStable >= upTo
			}
			if got, done := listed(t, &s.Txns, from, upTo); !slices.Equal(got, want) ||
				done != wantDone {
				t.Fatalf("%d entries, %d to %d: %v %v instead of %v %v", n, from, upTo, got, done,
					want, wantDone)
			}
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	good := Aborted{ProducerID: 1, First: 100, Marker: 120, LastStable: 121}
	change := func(f func(a *Aborted)) []byte {
		a := good
		f(&a)
		return append(good.encode(nil), a.encode(nil)...)
	}
	for name, b := range map[string][]byte{
		"torn":             good.encode(nil)[:33],
		"half of the last": append(good.encode(nil), good.encode(nil)[:17]...),
		"zeros":            make([]byte, abortedSize),
		"version":          append([]byte{0, 1}, good.encode(nil)[2:]...),
		"order":            change(func(*Aborted) {}),
		"below the base":   (&Aborted{ProducerID: 1, First: 1, Marker: 99, LastStable: 2}).encode(nil),
		"above the end":    change(func(a *Aborted) { a.Marker = 200 }),
		"first":            change(func(a *Aborted) { a.Marker, a.First = 130, 130 }),
		"last stable":      change(func(a *Aborted) { a.Marker, a.LastStable = 130, 132 }),
		"producer":         change(func(a *Aborted) { a.Marker, a.ProducerID = 130, -1 }),
	} {
		mem := disk.NewMem()
		newTxns(t, mem)
		s := Open(mem, "/d", 100, 0)
		f, err := mem.OpenFile(s.Txns.Path(), disk.Create)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(b, 0); err != nil {
			t.Fatal(err)
		}
		if whole, err := s.Txns.Load(100, 200); whole || err != nil || s.Txns.Len() != 0 {
			t.Errorf("%s: %v %v, %d entries", name, whole, err, s.Txns.Len())
		}
	}
}

func TestTxnIndexTruncate(t *testing.T) {
	list := many(200)
	for _, to := range []int64{5, 10, 11, 1205, 2000, 2001} {
		mem := disk.NewMem()
		s := newTxns(t, mem)
		if _, err := s.Txns.Append(list); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(mem.SyncDir("/d"), mem.SyncDir("/")); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Txns.Sync(), s.Txns.Truncate(to)); err != nil {
			t.Fatal(err)
		}
		keep := min(int((to-1)/10), 200)
		rest := slices.Clone(list[:keep])
		if got, _ := listed(t, &s.Txns, 0, 1<<40); !slices.Equal(got, rest) {
			t.Fatalf("%d: %d entries instead of %d", to, len(got), keep)
		}
		// Nothing that was cut comes back.
		after := mem.Crash(rand.New(rand.NewPCG(1, uint64(to))))
		if n := len(content(t, after, s.Txns.Path())); n != keep*abortedSize {
			t.Fatalf("%d: %d bytes after a power cut", to, n)
		}
		next := Aborted{ProducerID: 1, First: 9000, Marker: 9001, LastStable: 9002}
		if _, err := s.Txns.Append([]Aborted{next}); err != nil {
			t.Fatal(err)
		}
		if got, _ := listed(t, &s.Txns, 0, 1<<40); !slices.Equal(got, append(rest, next)) {
			t.Fatalf("%d: %d entries after the next", to, len(got))
		}
	}
}

// TestTxnIndexReplace: whatever was there, the file holds the list then; nothing is written if it
// did before.
func TestTxnIndexReplace(t *testing.T) {
	lists := [][]Aborted{nil, many(1), many(3), many(130)}
	for i, old := range lists {
		for k, list := range lists {
			mem := disk.NewMem()
			s := newTxns(t, mem)
			if i > 0 {
				if _, err := s.Txns.Append(old); err != nil {
					t.Fatal(err)
				}
			}
			changed, err := s.Txns.Replace(list)
			if err != nil || changed != (i != k) {
				t.Fatal(i, k, changed, err)
			}
			if got, _ := listed(t, &s.Txns, 0, 1<<40); !slices.Equal(got, list) {
				t.Fatal(i, k, got)
			}
			if _, err := mem.Stat(s.Txns.Path()); (err == nil) != (k > 0) {
				t.Fatal(i, k, err)
			}
		}
	}
}

// TestFullDisk: an entry that could not be written is not there, then or later.
func TestFullDisk(t *testing.T) {
	mem := disk.NewMem()
	s := newTxns(t, mem)
	list := many(4)
	full := func(op disk.Op, _ string) error {
		if op == disk.OpWrite {
			return syscall.ENOSPC
		}
		return nil
	}
	for i, fails := range []bool{true, false, true, true} {
		if mem.SetFault(nil); fails {
			mem.SetFault(full)
		}
		if _, err := s.Txns.Append(list[i : i+1]); fails != errors.Is(err, syscall.ENOSPC) {
			t.Fatal(i, err)
		}
	}
	mem.SetFault(nil)
	if err := s.Txns.Trim(); err != nil {
		t.Fatal(err)
	}
	if b := content(t, mem, s.Txns.Path()); !bytes.Equal(b, list[1].encode(nil)) {
		t.Fatalf("%x", b)
	}
}

// TestRemovedWhileRead: who holds a reference reads on after the segment's files were removed, even
// if nobody had opened them before.
func TestRemovedWhileRead(t *testing.T) {
	for _, fs := range []disk.FS{disk.Real(), disk.NewMem()} {
		dir := t.TempDir()
		if err := fs.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		s, err := Create(fs, dir, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Write([]byte("bytes")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Txns.Append(many(5)); err != nil {
			t.Fatal(err)
		}
		if err := s.Release(); err != nil {
			t.Fatal(err)
		}
		s = Open(fs, dir, 0, 5)
		if whole, err := s.Txns.Load(0, 100); !whole || err != nil {
			t.Fatal(whole, err)
		}
		if !s.Acquire() {
			t.Fatal("closed")
		}
		if _, err := s.Rename(DeletedSuffix); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(s.Txns.Remove(), s.Release()); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 5)
		if err := s.ReadAt(b, 0); err != nil || string(b) != "bytes" {
			t.Errorf("%T: %q, %v", fs, b, err)
		}
		if got, _ := listed(t, &s.Txns, 0, 1000); fmt.Sprint(got) != fmt.Sprint(many(5)) {
			t.Errorf("%T: %v", fs, got)
		}
		if _, err := fs.Stat(s.Txns.Path()); !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
		if err := s.Release(); err != nil {
			t.Error(err)
		}
	}
}

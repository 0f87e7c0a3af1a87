package index

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"zkafka/kafkad/disk"

	"go.uber.org/zap"
)

func openIndex(tb testing.TB, fs disk.FS) *DB {
	tb.Helper()
	d, rebuilt, err := Open(fs, "/d", zap.NewNop())
	if err != nil || rebuilt {
		tb.Fatal(err, rebuilt)
	}
	return d
}

func newMem(tb testing.TB) *disk.Mem {
	m := disk.NewMem()
	if err := m.MkdirAll("/d", 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := m.SyncDir("/"); err != nil {
		tb.Fatal(err)
	}
	return m
}

// fill makes entries with gaps, in chunks, and returns them.
func fill(t *testing.T, d *DB, l Log, base int64, n int) []Entry {
	var all []Entry
	e := Entry{Offset: base, MaxTimestamp: -1}
	before := int64(0)
	for len(all) < n {
		var chunk []Entry
		for range min(7, n-len(all)) {
			e.Offset += 10
			e.Position += 1000
			if len(all)%3 != 0 {
				e.MaxTimestamp += 5
			}
			chunk = append(chunk, e)
			all = append(all, e)
		}
		if err := d.Put(l, base, before, chunk); err != nil {
			t.Fatal(err)
		}
		before = e.Position
	}
	return all
}

func TestLookups(t *testing.T) {
	d := openIndex(t, newMem(t))
	defer d.Close()
	l, other := LogOf("topic", 1), LogOf("topic", 2)
	const base = 500
	all := fill(t, d, l, base, 40)
	fill(t, d, other, base, 40)
	fill(t, d, l, base+1000, 10)
	for offset := int64(base - 5); offset < base+450; offset++ {
		want, found := FloorOffset(all, offset)
		got, ok, err := d.FindOffset(l, base, offset)
		if err != nil || ok != found || got != want {
			t.Fatalf("%d: %v %v, want %v %v, %v", offset, got, ok, want, found, err)
		}
		got, edge, ok, err := d.Locate(l, base, offset, 5500)
		if err != nil || ok != found || got != want {
			t.Fatalf("%d: %v %v, want %v %v, %v", offset, got, ok, want, found, err)
		}
		if last, ok := FloorPosition(all, want.Position+5500); found && (!ok || edge != last) {
			t.Fatalf("%d: edge %v, want %v", offset, edge, last)
		}
	}
	for ts := int64(-2); ts < all[len(all)-1].MaxTimestamp+3; ts++ {
		i := firstAtTime(all, ts)
		got, ok, err := d.FindTime(l, base, ts)
		want := int64(0)
		if i > 0 {
			want = all[i-1].Position
		}
		if err != nil || ok != (i < len(all)) || ok && got != want {
			t.Fatalf("time %d: %d %v, want %d %v, %v", ts, got, ok, want, i < len(all), err)
		}
	}
	if e, ok, err := d.Last(l, base); e != all[39] || !ok || err != nil {
		t.Fatal(e, ok, err)
	}
}

func TestDropFrom(t *testing.T) {
	for cut := int64(0); cut < 430; cut += 7 {
		d := openIndex(t, newMem(t))
		l := LogOf("topic", 1)
		all := fill(t, d, l, 0, 40)
		fill(t, d, l, 1000, 3)
		if err := d.DropFrom(l, 0, cut); err != nil {
			t.Fatal(err)
		}
		want, found := FloorOffset(all, cut-1)
		got, ok, err := d.Last(l, 0)
		if err != nil || got != want || ok != found {
			t.Fatalf("cut at %d: %v %v, want %v %v, %v", cut, got, ok, want, found, err)
		}
		if _, ok, err := d.Last(l, 1000); ok || err != nil {
			t.Fatal("later segments stay", err)
		}
		if _, ok, err := d.FindTime(l, 0, want.MaxTimestamp+1); ok || err != nil {
			t.Fatalf("cut at %d: times stay, %v", cut, err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDropLog(t *testing.T) {
	d := openIndex(t, newMem(t))
	defer d.Close()
	// the neighbours' names sort right before and behind
	keep := []Log{LogOf("a", 0), LogOf("a", 2), LogOf("a-", 1), LogOf("a1", 1)}
	for _, l := range keep {
		fill(t, d, l, 0, 3)
	}
	fill(t, d, LogOf("a", 1), 0, 3)
	if err := d.DropLog(LogOf("a", 1)); err != nil {
		t.Fatal(err)
	}
	if has, err := d.Has(LogOf("a", 1)); has || err != nil {
		t.Fatal(has, err)
	}
	for _, l := range keep {
		if has, err := d.Has(l); !has || err != nil {
			t.Fatalf("%q: %v %v", l, has, err)
		}
	}
}

func TestSummary(t *testing.T) {
	mem := newMem(t)
	d := openIndex(t, mem)
	l := LogOf("t", 0)
	want := Summary{Size: 1, Modified: 2, End: 3, MaxTimestamp: -1, FirstTime: -1 << 63,
		Aborted: 9}
	b := d.NewBatch()
	if err := b.PutSummary(l, 7, want); err != nil {
		t.Fatal(err)
	}
	if err := b.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = openIndex(t, mem.Crash(rand.New(rand.NewPCG(1, 1)))) // closing made it durable
	defer d.Close()
	if got, ok, err := d.Summary(l, 7); got != want || !ok || err != nil {
		t.Fatal(got, ok, err)
	}
	if _, ok, err := d.Summary(l, 8); ok || err != nil {
		t.Fatal(ok, err)
	}
}

// TestFlatFiles: Apache refuses to start when a log directory has a foreign directory in it.
func TestFlatFiles(t *testing.T) {
	mem := newMem(t)
	d := openIndex(t, mem)
	fill(t, d, LogOf("t", 0), 0, 100)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := mem.List("/d")
	if err != nil || len(names) < 3 {
		t.Fatal(names, err)
	}
	for _, n := range names {
		info, err := mem.Stat("/d/" + n)
		if err != nil || info.IsDir() || !strings.HasPrefix(n, FilePrefix) {
			t.Errorf("%s: %v", n, err)
		}
	}
}

// TestDamagedIndexIsReplaced spoils each file in turn: the index opens, at worst empty.
func TestDamagedIndexIsReplaced(t *testing.T) {
	for i := range 6 {
		mem := newMem(t)
		d := openIndex(t, mem)
		fill(t, d, LogOf("t", 0), 0, 100)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		names, err := mem.List("/d")
		if err != nil {
			t.Fatal(err)
		}
		f, err := mem.OpenFile("/d/"+names[i%len(names)], disk.ReadWrite)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte("garbage garbage"), 0); err != nil {
			t.Fatal(err)
		}
		d, _, err = Open(mem, "/d", zap.NewNop())
		if err != nil {
			t.Fatalf("damaged %s: %v", names[i%len(names)], err)
		}
		fill(t, d, LogOf("t", 0), 0, 100)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTail(t *testing.T) {
	var tail Tail
	var all []Entry
	for i := range int64(600) {
		e := Entry{Offset: 10 * i, Position: 1000 * i, MaxTimestamp: i / 2}
		all = append(all, e)
		if tail.Add(e) {
			tail.Clear()
		}
	}
	kept := tail.Entries()
	if len(kept) != 600-2*ChunkEntries || tail.Before() != all[2*ChunkEntries-1].Position {
		t.Fatal(len(kept), tail.Before())
	}
	if !reflect.DeepEqual(kept, all[2*ChunkEntries:]) {
		t.Fatal("entries differ")
	}
	for offset := int64(0); offset < 6100; offset += 3 {
		want, _ := FloorOffset(all, offset)
		got, edge, ok := tail.Locate(offset, 4200)
		if ok != (offset >= all[ChunkEntries].Offset) {
			t.Fatal(offset, ok)
		}
		if last, _ := FloorPosition(all, want.Position+4200); ok && (got != want ||
			edge != last) {
			t.Fatalf("%d: %v, edge %v; want %v, edge %v", offset, got, edge, want, last)
		}
	}
	if _, ok := tail.FindTime(301); ok {
		t.Fatal("found a time after the last")
	}
	if at, ok := tail.FindTime(299); !ok || at != all[597].Position {
		t.Fatal(at, ok)
	}
	if at, ok := tail.FindTime(0); !ok || at != tail.Before() {
		t.Fatal(at, ok)
	}
}

func FuzzChunk(f *testing.F) {
	f.Add(encodeChunk(nil, 100, 50, []Entry{{110, 60, 5}, {120, 70, 5}}), int64(100))
	f.Fuzz(func(t *testing.T, b []byte, base int64) {
		before, entries, ok := decodeChunk(b, base)
		if !ok {
			return
		}
		_, again, ok := decodeChunk(encodeChunk(nil, base, before, entries), base)
		if !ok || !reflect.DeepEqual(entries, again) {
			t.Fatal(entries, again, ok)
		}
	})
}

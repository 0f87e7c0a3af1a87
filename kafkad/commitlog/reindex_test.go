package commitlog

import (
	"os"
	"path/filepath"
	"testing"

	"zkafka/kafkad/disk"
	"zkafka/kafkad/index"
	"zkafka/kafkad/record"
)

// TestForeignWriter: an Apache broker appends to our log while we are away, and stops cleanly. The
// index knows nothing of it.
func TestForeignWriter(t *testing.T) {
	path := t.TempDir()
	c := DefaultConfig()
	c.IndexIntervalBytes = 0
	d := mustOpen(t, nil, path)
	l := mustLog(t, d, TP{"t", 0}, c)
	for range 20 {
		put(t, l, 0, record.None, 1, 2, 3)
	}
	if err := d.Close(1); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(path, "t-0", "00000000000000000000.log")
	old, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	// truncated in the middle, then other batches of the same total size
	var other []byte
	next := int64(3)
	for len(other)+record.EntrySize(old) < len(old) {
		b := record.NewBuilder(record.None, record.Levels{})
		b.Add(7, nil, make([]byte, 11), nil)
		batch, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		next = record.Set{Batch: batch}.Assign(next, 0, record.NoTimestamp) + 1
		other = append(other, batch...)
	}
	if err := os.WriteFile(name, append(old[:record.EntrySize(old)], other...), 0o600); err != nil {
		t.Fatal(err)
	}
	d = mustOpen(t, nil, path)
	l = mustLog(t, d, TP{"t", 0}, c)
	if !d.Clean() || l.End() != next {
		t.Fatal(d.Clean(), l.End(), next)
	}
	for o := int64(3); o < next; o++ {
		if b := readAll(t, l, o, 1, next, true); record.Batch(b).BaseOffset() != o {
			t.Fatalf("%d reads as %d", o, record.Batch(b).BaseOffset())
		}
	}
}

// TestStaleIndex gives a segment entries that do not fit: reads notice and do without.
func TestStaleIndex(t *testing.T) {
	c := DefaultConfig()
	c.SegmentBytes, c.IndexIntervalBytes = 2000, 0
	d := mustOpen(t, disk.NewMem(), "/d")
	l := mustLog(t, d, TP{"t", 0}, c)
	for range 60 {
		put(t, l, 0, record.None, 1, 2, 3)
	}
	if len(l.Segments()) < 3 {
		t.Fatal("too few segments")
	}
	for _, e := range []index.Entry{{Offset: 5, Position: 17}, {Offset: 4, Position: 1 << 30},
		{Offset: 5, Position: 0}} {
		if err := d.index.DropSegment(l.key, 0); err != nil {
			t.Fatal(err)
		}
		if err := d.index.Put(l.key, 0, 0, []index.Entry{e}); err != nil {
			t.Fatal(err)
		}
		for o := range int64(20) {
			b := record.Batch(readAll(t, l, o, 1, l.End(), true))
			if b.BaseOffset() > o || b.LastOffset() < o {
				t.Fatalf("%d reads as %d", o, b.BaseOffset())
			}
		}
	}
}

// TestDamagedTables spoils the tables of the index while we are away: everything is found nevertheless,
// and the second start has a good index again.
func TestDamagedTables(t *testing.T) {
	c := DefaultConfig()
	c.SegmentBytes, c.IndexIntervalBytes = 20000, 0
	path := t.TempDir()
	d := mustOpen(t, nil, path)
	l := mustLog(t, d, TP{"t", 0}, c)
	for i := range int64(3000) {
		put(t, l, 0, record.None, i, i)
	}
	if err := d.Close(1); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, nil, path).Abandon() // turns the log of the index into a table
	tables, err := filepath.Glob(filepath.Join(path, index.FilePrefix+"*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatal(tables, err)
	}
	for _, name := range tables {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := len(b) / 3; i < len(b)/2; i += 50 { // the first block holds the version
			b[i] ^= 0x55
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 2 {
		d = mustOpen(t, nil, path)
		l = mustLog(t, d, TP{"t", 0}, c)
		if l.End() != 6000 {
			t.Fatal(round, l.End())
		}
		for o := int64(0); o < 6000; o += 101 {
			b := record.Batch(readAll(t, l, o, 1, l.End(), true))
			if b.BaseOffset() > o || b.LastOffset() < o {
				t.Fatalf("%d reads as %d", o, b.BaseOffset())
			}
			at, ok, err := l.OffsetForTime(o / 2)
			if err != nil || !ok || at.Offset != o/2*2 {
				t.Fatal(o, at, ok, err)
			}
		}
		_, err := os.Stat(filepath.Join(path, index.FilePrefix+"damaged"))
		if (err == nil) != (round == 0) {
			t.Fatalf("start %d: %v", round, err)
		}
		if err := d.Close(1); err != nil {
			t.Fatal(err)
		}
	}
}

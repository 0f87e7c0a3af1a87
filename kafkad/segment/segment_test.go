package segment

import (
	"errors"
	"testing"

	"zkafka/kafkad/disk"
	"zkafka/kafkad/record"
)

func batches(tb testing.TB, sizes ...int) []byte {
	var out []byte
	next := int64(100)
	for i, size := range sizes {
		b := record.NewBuilder(record.None, record.Levels{})
		b.Add(int64(i), nil, make([]byte, size), nil)
		b.Add(int64(i), nil, nil, nil)
		batch, err := b.Build()
		if err != nil {
			tb.Fatal(err)
		}
		next = record.Set{Batch: batch}.Assign(next, 1, record.NoTimestamp) + 1
		out = append(out, batch...)
	}
	return out
}

func create(tb testing.TB, content []byte) *Segment {
	m := disk.NewMem()
	if err := m.MkdirAll("/d", 0o755); err != nil {
		tb.Fatal(err)
	}
	s, err := Create(m, "/d", 100, 0)
	if err != nil {
		tb.Fatal(err)
	}
	if err := s.Write(content); err != nil {
		tb.Fatal(err)
	}
	s.Advance(len(content))
	return s
}

func TestNames(t *testing.T) {
	if got := Name(42, LogSuffix); got != "00000000000000000042.log" {
		t.Fatal(got)
	}
	if b, ok := ParseName("00000000000000000042.log", LogSuffix); b != 42 || !ok {
		t.Fatal(b, ok)
	}
	for _, bad := range []string{"x.log", ".log", "1.log.deleted", "-1.log", "leader-epoch-checkpoint"} {
		if _, ok := ParseName(bad, LogSuffix); ok {
			t.Error(bad)
		}
	}
}

func TestScanMeetsEveryBatch(t *testing.T) {
	var sizes []int
	for i := range 400 {
		sizes = append(sizes, i*i%9000, 0, 10)
	}
	content := batches(t, sizes...)
	s := create(t, content)
	want := int64(0)
	next := int64(100)
	err := s.Scan(0, s.Size(), func(at int64, m *record.Meta) bool {
		if at != want || m.BaseOffset != next {
			t.Fatalf("batch at %d, offset %d; want %d, %d", at, m.BaseOffset, want, next)
		}
		want, next = at+int64(m.Size), m.LastOffset+1
		return true
	})
	if err != nil || want != int64(len(content)) {
		t.Fatal(want, err)
	}
	for _, offset := range []int64{100, 101, 777, next - 1} {
		at, m, ok, err := s.Find(0, s.Size(), offset)
		if err != nil || !ok || m.BaseOffset > offset || m.LastOffset < offset {
			t.Fatalf("%d: at %d, %+v, %v", offset, at, m, err)
		}
	}
	if _, _, ok, err := s.Find(0, s.Size(), next); ok || err != nil {
		t.Fatal(ok, err)
	}
}

func TestCheckStopsAtTheFirstBadBatch(t *testing.T) {
	content := batches(t, 10, 5000, 20, 3<<20, 30)
	starts := []int{0}
	for at := 0; at < len(content); {
		at += record.EntrySize(content[at:])
		starts = append(starts, at)
	}
	for damaged := range 5 {
		for name, spoil := range map[string]func([]byte) []byte{
			"crc":    func(b []byte) []byte { b[starts[damaged]+record.HeaderSize] ^= 1; return b },
			"size":   func(b []byte) []byte { b[starts[damaged]+8] = 0x7f; return b },
			"offset": func(b []byte) []byte { record.Batch(b[starts[damaged]:]).SetBaseOffset(3); return b },
			"cut":    func(b []byte) []byte { return b[:starts[damaged+1]-1] },
			"zeros": func(b []byte) []byte {
				clear(b[starts[damaged]:])
				return b
			},
		} {
			s := create(t, spoil(append([]byte(nil), content...)))
			n := 0
			end, bad, err := s.Check(0, s.Size(), 99, func(int64, []byte, *record.Meta) error {
				n++
				return nil
			})
			if err != nil || bad == nil || end != int64(starts[damaged]) || n != damaged {
				t.Errorf("%s of %d: %d batches to %d, bad %v, err %v", name, damaged, n, end, bad, err)
			}
		}
	}
	s := create(t, content)
	end, bad, err := s.Check(int64(starts[2]), s.Size(), 99,
		func(int64, []byte, *record.Meta) error { return nil })
	if end != s.Size() || bad != nil || err != nil {
		t.Fatal(end, bad, err)
	}
}

func TestReferences(t *testing.T) {
	s := create(t, batches(t, 1))
	if !s.Acquire() {
		t.Fatal("not acquired")
	}
	if _, err := s.Rename(DeletedSuffix); err != nil {
		t.Fatal(err)
	}
	if err := s.Release(); err != nil {
		t.Fatal(err)
	}
	if err := s.ReadAt(make([]byte, 10), 0); err != nil {
		t.Fatalf("a reader that holds a reference cannot read: %v", err)
	}
	if err := s.Release(); err != nil {
		t.Fatal(err)
	}
	if s.Acquire() {
		t.Fatal("acquired after the last reference")
	}
}

func TestReadBeyondTheEnd(t *testing.T) {
	s := create(t, batches(t, 1))
	if err := s.ReadAt(make([]byte, 10), s.Size()-5); err == nil {
		t.Fatal("short read is no error")
	}
	var corrupt *CorruptError
	err := s.Scan(0, s.Size()-1, func(int64, *record.Meta) bool { return true })
	if !errors.As(err, &corrupt) || corrupt.Position != 0 {
		t.Fatal(err)
	}
}

func FuzzScan(f *testing.F) {
	f.Add(batches(f, 10, 500))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := create(t, b)
		_ = s.Scan(0, s.Size(), func(int64, *record.Meta) bool { return true })
		end, _, err := s.Check(0, s.Size(), -1, func(_ int64, e []byte, m *record.Meta) error {
			_, err := record.Verify(e)
			return err
		})
		if err != nil || end > int64(len(b)) {
			t.Fatal(end, err)
		}
	})
}

package commitlog

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"zkafka/kafkad/disk"
	"zkafka/kafkad/record"
)

func TestReadLimits(t *testing.T) {
	d := mustOpen(t, disk.NewMem(), "/data")
	c := DefaultConfig()
	c.IndexIntervalBytes = 0
	l := mustLog(t, d, TP{"t", 0}, c)
	var all []byte
	size := 0
	for i := range int64(50) {
		b := put(t, l, 0, record.None, i, i)
		all, size = append(all, b...), len(b)
	}
	for _, c := range []struct {
		offset   int64
		maxBytes int
		upTo     int64
		minOne   bool
		from, to int // in batches
	}{
		{0, 1 << 20, 100, true, 0, 50},
		{1, 1 << 20, 100, true, 0, 50}, // whole batches that start before the offset
		{98, 1 << 20, 100, true, 49, 50},
		{100, 1 << 20, 100, true, 0, 0},
		{10, 1 << 20, 20, true, 5, 10},
		{10, 1 << 20, 11, true, 0, 0}, // the batch reaches above
		{30, 1 << 20, 20, true, 0, 0},
		{10, 1, 100, true, 5, 6},
		{10, size - 1, 100, false, 0, 0}, // does not fit
		{10, size, 100, false, 5, 6},
		{10, 0, 100, false, 0, 0},
		{10, 10*size + 5, 100, true, 5, 15}, // cut at a batch
		{10, size + size/2, 100, true, 5, 6},
	} {
		want := all[c.from*size : c.to*size]
		if got := readAll(t, l, c.offset, c.maxBytes, c.upTo, c.minOne); !bytes.Equal(got, want) {
			t.Errorf("%+v: %d bytes instead of %d", c, len(got), len(want))
		}
	}
	for _, offset := range []int64{-1, 101} {
		if _, err := l.Read(offset, 1, 100, true); !errors.Is(err, ErrOutOfRange) {
			t.Errorf("%d: %v", offset, err)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, codec := range []record.Codec{record.None, record.Zstd} {
		c := DefaultConfig()
		c.SegmentBytes, c.IndexIntervalBytes = 300, 0
		d := mustOpen(t, disk.NewMem(), "/data")
		l := mustLog(t, d, TP{"t", 0}, c)
		put(t, l, 3, codec, 10, 30, 20)
		put(t, l, 3, codec, 15, 16)
		put(t, l, 4, codec, 40, 50, 45)
		put(t, l, 4, codec, 50, 12)
		for _, c := range []struct {
			ts   int64
			want TimedOffset
			ok   bool
		}{
			{0, TimedOffset{0, 10, 3}, true},
			{11, TimedOffset{1, 30, 3}, true},
			{31, TimedOffset{5, 40, 4}, true},
			{46, TimedOffset{6, 50, 4}, true},
			{51, TimedOffset{}, false},
		} {
			got, ok, err := l.OffsetForTime(c.ts)
			if err != nil || ok != c.ok || got != c.want {
				t.Errorf("%s %d: %v %v %v", codec, c.ts, got, ok, err)
			}
		}
		if at, ok, err := l.MaxTimestamp(); at != (TimedOffset{6, 50, 4}) || !ok || err != nil {
			t.Error(at, ok, err)
		}
		if err := l.SetStart(6); err != nil {
			t.Fatal(err)
		}
		if at, _, err := l.OffsetForTime(0); at != (TimedOffset{6, 50, 4}) || err != nil {
			t.Error("below the log start", at, err)
		}
	}
}

// TestReadersOutliveDeletion: a span stays readable when retention, deletion or a close come
// between.
func TestReadersOutliveDeletion(t *testing.T) {
	for name, drop := range map[string]func(*Dir, *Log) error{
		"retention": func(_ *Dir, l *Log) error {
			c := l.Config()
			c.RetentionBytes = 0
			l.SetConfig(c)
			_, err := l.Retain(0, l.End())
			return err
		},
		"deletion": func(d *Dir, l *Log) error {
			return errors.Join(l.Delete(), d.Sweep(time.Now().Add(time.Hour)))
		},
		"close": func(d *Dir, _ *Log) error { return d.Close(1) },
	} {
		d := mustOpen(t, nil, t.TempDir())
		l := mustLog(t, d, TP{"t", 0}, DefaultConfig())
		want := put(t, l, 0, record.None, 1)
		span, err := l.Read(0, 1000, 1, true)
		if err != nil {
			t.Fatal(err)
		}
		if err := drop(d, l); err != nil {
			t.Fatal(name, err)
		}
		if got, err := span.AppendTo(nil); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		f, _, _ := span.Region()
		span.Release()
		if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: file stays open: %v", name, err)
		}
		if name != "retention" {
			if _, err := l.Read(0, 1, 1, true); !errors.Is(err, ErrClosed) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestConcurrentReadersAndFlushers(t *testing.T) {
	c := DefaultConfig()
	c.SegmentBytes, c.IndexIntervalBytes, c.RetentionBytes = 20000, 100, 100000
	d := mustOpen(t, nil, t.TempDir())
	l := mustLog(t, d, TP{"t", 0}, c)
	stop := make(chan struct{})
	failed := make(chan error, 8)
	work := func(f func() error) {
		for {
			select {
			case <-stop:
				failed <- nil
				return
			default:
			}
			if err := f(); err != nil {
				failed <- err
				return
			}
		}
	}
	read := func() error {
		start, end := l.Start(), l.End()
		offset := start + (end-start)/2
		span, err := l.Read(offset, 3000, end, true)
		if errors.Is(err, ErrOutOfRange) && l.Start() > offset {
			return nil
		}
		if err != nil {
			return err
		}
		defer span.Release()
		b, err := span.AppendTo(nil)
		if err != nil || len(b) == 0 {
			return err
		}
		m, err := record.Verify(b[:record.EntrySize(b)])
		if err == nil && (m.BaseOffset > offset || m.LastOffset < offset) {
			err = errors.New("wrong batch")
		}
		return err
	}
	go work(read)
	go work(read)
	go work(l.Flush)
	go work(d.Checkpoint)
	go work(func() error { return d.Sweep(time.Now().Add(time.Hour)) })
	go work(func() error { _, _, err := l.OffsetForTime(1 << 40); return err })
	for i := range int64(3000) {
		put(t, l, int32(i/500), record.None, i, i)
		if i%100 == 0 {
			if _, err := l.Retain(0, l.End()); err != nil {
				t.Fatal(err)
			}
		}
	}
	close(stop)
	for range 6 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	if err := l.Flush(); err != nil || l.Flushed() != l.End() {
		t.Fatal(l.Flushed(), l.End(), err)
	}
}

// Of records without times the first stands for all; with no record there is none.
func TestMaxTimestampWithoutTimes(t *testing.T) {
	d := mustOpen(t, disk.NewMem(), "/data")
	l := mustLog(t, d, TP{"t", 0}, DefaultConfig())
	if _, ok, err := l.MaxTimestamp(); ok || err != nil {
		t.Errorf("empty: %v, %v", ok, err)
	}
	put(t, l, 3, record.None, -1, -1)
	if at, ok, err := l.MaxTimestamp(); at != (TimedOffset{0, -1, 3}) || !ok || err != nil {
		t.Errorf("%+v %v %v", at, ok, err)
	}
}

// A limit behind the last entry of the index is used up to its last whole batch.
func TestReadBetweenIndexEntries(t *testing.T) {
	d := mustOpen(t, disk.NewMem(), "/data")
	c := DefaultConfig()
	c.IndexIntervalBytes = 1000
	l := mustLog(t, d, TP{"t", 0}, c)
	var all []byte
	size := 0
	for i := range int64(200) {
		b := put(t, l, 0, record.None, i)
		all, size = append(all, b...), len(b)
	}
	for limit := 2 * size; limit < 60*size; limit += 7 {
		got := readAll(t, l, 40, limit, l.End(), false)
		if want := all[40*size:][:limit/size*size]; len(got) < len(want) ||
			!bytes.Equal(got[:len(want)], want) {
			t.Errorf("limit %d: %d bytes, %d would be whole", limit, len(got), len(want))
		}
	}
}

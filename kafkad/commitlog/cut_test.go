package commitlog

import (
	"slices"
	"strings"
	"testing"
	"time"

	"zkafka/kafkad/disk"
	"zkafka/kafkad/producer"
	"zkafka/kafkad/record"
)

func TestEpochQuestions(t *testing.T) {
	d := mustOpen(t, disk.NewMem(), "/data")
	l := mustLog(t, d, TP{"t", 0}, DefaultConfig())
	if e, o := l.EndOffsetFor(0); e != -1 || o != -1 {
		t.Fatal(e, o)
	}
	put(t, l, 2, record.None, 1, 1)
	put(t, l, 2, record.None, 1)
	l.AssignEpoch(4, l.End()) // a leader that wrote nothing
	l.AssignEpoch(5, l.End())
	put(t, l, 5, record.None, 1, 1)
	l.AssignEpoch(5, 77)
	for _, c := range []struct {
		asked, epoch int32
		end          int64
	}{{-1, -1, -1}, {0, 0, 0}, {2, 2, 3}, {3, 2, 3}, {4, 2, 3}, {5, 5, 5}, {6, -1, -1}} {
		if e, o := l.EndOffsetFor(c.asked); e != c.epoch || o != c.end {
			t.Errorf("%d: %d, %d instead of %d, %d", c.asked, e, o, c.epoch, c.end)
		}
	}
	if err := l.SetStart(2); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(l.Epochs(), []EpochEntry{{2, 2}, {5, 3}}) {
		t.Fatal(l.Epochs())
	}
	if err := l.Truncate(3); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(l.Epochs(), []EpochEntry{{2, 2}}) || l.EpochAt(2) != 2 || l.EpochAt(1) != -1 {
		t.Fatal(l.Epochs())
	}
}

func TestRetention(t *testing.T) {
	for _, r := range []struct {
		name   string
		change func(*Config)
		mark   int64
		now    int64
		left   int64 // first offset left
	}{
		{"nothing", func(*Config) {}, 10, 0, 0},
		{"time", func(c *Config) { c.RetentionMs = 100 }, 10, 1405, 4},
		{"time, all", func(c *Config) { c.RetentionMs = 100 }, 10, 9000, 10},
		{"time, high watermark", func(c *Config) { c.RetentionMs = 100 }, 5, 9000, 4},
		{"compacted only", func(c *Config) { c.RetentionMs, c.Delete = 100, false }, 10, 9000, 0},
		{"size", func(c *Config) { c.RetentionBytes = 400 }, 10, 0, 4},
	} {
		mem := disk.NewMem()
		d := mustOpen(t, mem, "/data")
		c := DefaultConfig()
		c.SegmentBytes = 170 // two batches
		l := mustLog(t, d, TP{"t", 0}, c)
		for i := range int64(10) {
			put(t, l, 0, record.None, 1000+100*i)
		}
		r.change(&c)
		l.SetConfig(c)
		if _, err := l.Retain(r.now, r.mark); err != nil {
			t.Fatal(err)
		}
		if l.Start() != r.left || l.End() != 10 {
			t.Errorf("%s: %d..%d is left instead of %d..10", r.name, l.Start(), l.End(), r.left)
		}
		if err := d.Sweep(time.Now()); err != nil {
			t.Fatal(err)
		}
		deleted := func() (n int) {
			names, err := mem.List("/data/t-0")
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				if strings.HasSuffix(name, ".deleted") {
					n++
				}
			}
			return n
		}
		if n := deleted(); n != int(r.left/2) {
			t.Errorf("%s: %d files wait for deletion", r.name, n)
		}
		if err := d.Sweep(time.Now().Add(2 * time.Minute)); err != nil {
			t.Fatal(err)
		}
		if n := deleted(); n != 0 {
			t.Errorf("%s: %d files are left", r.name, n)
		}
	}
}

func TestProducersAcrossTruncation(t *testing.T) {
	d := mustOpen(t, disk.NewMem(), "/d")
	c := DefaultConfig()
	c.SegmentBytes = 300
	l := mustLog(t, d, TP{"t", 0}, c)
	for i := range int32(20) {
		b := record.NewBuilder(record.None, record.Levels{})
		b.SetProducer(9, 0, i, false)
		b.Add(1, nil, nil, nil)
		batch, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		record.Set{Batch: batch}.Assign(int64(i), 0, record.NoTimestamp)
		if err := l.Append(batch, 0); err != nil {
			t.Fatal(err)
		}
		m, _ := record.ParseMeta(batch)
		l.Producers().Update(producer.FromMeta(&m))
	}
	for _, to := range []int64{17, 9, 8, 1} {
		if err := l.Truncate(to); err != nil {
			t.Fatal(err)
		}
		if p := l.Producers().Producers(); len(p) != 1 || int64(p[0].LastSequence) != to-1 {
			t.Fatalf("cut at %d: %+v", to, p)
		}
	}
	if err := l.TruncateAndStartAt(50); err != nil {
		t.Fatal(err)
	}
	if l.Start() != 50 || l.End() != 50 || l.Producers().Len() != 0 || l.Size() != 0 {
		t.Fatal(l.Start(), l.End(), l.Producers().Len(), l.Size())
	}
}

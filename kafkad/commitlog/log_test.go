package commitlog

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"zkafka/kafkad/disk"
	"zkafka/kafkad/index"
	"zkafka/kafkad/producer"
	"zkafka/kafkad/record"
)

func mustOpen(t testing.TB, fs disk.FS, path string) *Dir {
	t.Helper()
	d, err := OpenDir(Options{FS: fs, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Abandon)
	return d
}

func mustLog(t testing.TB, d *Dir, tp TP, c Config) *Log {
	t.Helper()
	l, err := d.Open(tp, c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// put appends a batch of records with the given times.
func put(t testing.TB, l *Log, epoch int32, codec record.Codec, times ...int64) []byte {
	t.Helper()
	b := record.NewBuilder(codec, record.Levels{})
	for _, ts := range times {
		b.Add(ts, nil, []byte("some value"), nil)
	}
	batch, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	record.Set{Batch: batch}.Assign(l.End(), epoch, record.NoTimestamp)
	if err := l.Append(batch, 0); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(batch)
}

func readAll(t testing.TB, l *Log, offset int64, maxBytes int, upTo int64, minOne bool) []byte {
	t.Helper()
	span, err := l.Read(offset, maxBytes, upTo, minOne)
	if err != nil {
		t.Fatal(err)
	}
	defer span.Release()
	b, err := span.AppendTo(nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) != span.Len() {
		t.Fatalf("%d bytes of %d", len(b), span.Len())
	}
	return b
}

// TestApacheDirectory opens a log directory that a 3.9.2 broker wrote and stopped cleanly: see
// kafkad/record/testdata/capture.sh.
func TestApacheDirectory(t *testing.T) {
	for _, clean := range []bool{true, false} {
		path := t.TempDir()
		if err := os.CopyFS(path, os.DirFS("testdata/apache39")); err != nil {
			t.Fatal(err)
		}
		if !clean {
			if err := os.Remove(filepath.Join(path, cleanFile)); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(filepath.Join(path, recoveryFile)); err != nil {
				t.Fatal(err)
			}
		}
		d := mustOpen(t, nil, path)
		if d.Clean() != clean || d.LastBrokerEpoch() != -1 {
			t.Fatal(d.Clean(), d.LastBrokerEpoch())
		}
		if m := d.Meta(); m != (Meta{BrokerID: 7, ClusterID: "IloVWk9jTIe-DCpQHWe6LQ"}) {
			t.Fatalf("%+v", m)
		}
		if got := d.Existing(); !slices.Equal(got, []TP{{"rolled", 0}, {"txn", 0}}) {
			t.Fatal(got)
		}
		l := mustLog(t, d, TP{"rolled", 0}, DefaultConfig())
		if l.Start() != 0 || l.End() != 7 || l.HighWatermark() != 7 || l.TopicID() == [16]byte{} ||
			l.Producers().Len() != 7 || !slices.Equal(l.Epochs(), []EpochEntry{{0, 0}}) {
			t.Fatal(l.Start(), l.End(), l.HighWatermark(), l.Producers().Len(), l.Epochs())
		}
		for offset := range int64(7) {
			b := readAll(t, l, offset, 1, 7, true)
			if m, err := record.Verify(b); err != nil || m.BaseOffset != offset {
				t.Fatal(m, err)
			}
		}
		txn := mustLog(t, d, TP{"txn", 0}, DefaultConfig())
		if _, open := txn.Producers().FirstUnstable(); open && clean || txn.End() != 3 {
			t.Fatal(open, txn.End())
		}
		put(t, l, 1, record.None, 5)
		for base, want := range map[string]bool{"3": true, "6": false} { // written to: out of date
			name := strings.Repeat("0", 19) + base + ".timeindex"
			if _, err := os.Stat(filepath.Join(path, "rolled-0", name)); (err == nil) != want {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := d.Close(-1); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join(path, cleanFile))
		want, _ := os.ReadFile("testdata/apache39/" + cleanFile)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%q instead of %q, %v", got, want, err)
		}
		for name, want := range map[string]string{
			"rolled-0/leader-epoch-checkpoint": "0\n2\n0 0\n1 7\n",
			recoveryFile:                       "0\n2\nrolled 0 8\ntxn 0 3\n",
			highWatermarkFile:                  "0\n2\nrolled 0 7\ntxn 0 3\n",
			logStartFile:                       "0\n0\n",
		} {
			if got, err := os.ReadFile(filepath.Join(path, name)); string(got) != want || err != nil {
				t.Errorf("%s: %q instead of %q, %v", name, got, want, err)
			}
		}
	}
}

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
		from, to int // in batches; to -1: bytes as given
	}{
		{0, 1 << 20, 100, true, 0, 50},
		{1, 1 << 20, 100, true, 0, 50}, // whole batches that start before the offset
		{98, 1 << 20, 100, true, 49, 50},
		{100, 1 << 20, 100, true, 0, 0},
		{10, 1 << 20, 20, true, 5, 10},
		{10, 1 << 20, 11, true, 0, 0}, // the batch reaches above
		{30, 1 << 20, 20, true, 0, 0},
		{10, 1, 100, true, 5, 6},
		{10, 1, 100, false, 5, -1},
		{10, 0, 100, false, 0, 0},
		{10, 10*size + 5, 100, true, 5, 15}, // cut at a batch
		{10, size + size/2, 100, true, 5, 6},
	} {
		want := all[c.from*size : max(c.to, 0)*size*boolInt(c.to >= 0)+
			(c.from*size+c.maxBytes)*boolInt(c.to < 0)]
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

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestRollRules(t *testing.T) {
	c := DefaultConfig()
	c.SegmentMs = 1000
	for _, r := range []struct {
		name   string
		change func(*Config)
		times  []int64
		bases  []int64
	}{
		{"time of records", func(*Config) {}, []int64{5000, 5500, 6000, 6001, 7001, 7002}, []int64{0, 3, 5}},
		{"late records", func(*Config) {}, []int64{5000, 10, 20}, []int64{0}},
		{"size", func(c *Config) { c.SegmentBytes = 200 }, []int64{1, 1, 1, 1, 1}, []int64{0, 2, 4}},
		{"larger than a segment", func(c *Config) { c.SegmentBytes = 10 }, []int64{1, 1}, []int64{0, 1}},
	} {
		d := mustOpen(t, disk.NewMem(), "/data")
		cfg := c
		r.change(&cfg)
		l := mustLog(t, d, TP{"t", 0}, cfg)
		for _, ts := range r.times {
			put(t, l, 0, record.None, ts)
		}
		var bases []int64
		for _, s := range l.Segments() {
			bases = append(bases, s.Base)
		}
		if !slices.Equal(bases, r.bases) {
			t.Errorf("%s: segments at %v instead of %v", r.name, bases, r.bases)
		}
	}
}

// TestOffsetRange: offsets within a segment are relative to its base in 31 bits.
func TestOffsetRange(t *testing.T) {
	d := mustOpen(t, disk.NewMem(), "/data")
	l := mustLog(t, d, TP{"t", 0}, DefaultConfig())
	jump := func(base int64) {
		t.Helper()
		b := record.NewBuilder(record.None, record.Levels{})
		b.Add(1, nil, nil, nil)
		batch, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		record.Set{Batch: batch}.Assign(base, 0, record.NoTimestamp)
		if err := l.Append(batch, 0); err != nil {
			t.Fatal(err)
		}
	}
	jump(5 << 32) // replaces the empty first segment
	jump(5<<32 + 1)
	jump(5<<32 + math.MaxInt32)
	jump(5<<32 + math.MaxInt32 + 1)
	jump(9 << 32)
	var bases []int64
	for _, s := range l.Segments() {
		bases = append(bases, s.Base)
	}
	want := []int64{5 << 32, 5<<32 + math.MaxInt32 + 1, 9 << 32}
	if !slices.Equal(bases, want) {
		t.Fatalf("%v instead of %v", bases, want)
	}
	if b := readAll(t, l, 5<<32+2, 1000, l.End(), true); record.Batch(b).BaseOffset() !=
		5<<32+math.MaxInt32 {
		t.Fatal("gap is not skipped")
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

func TestSendfile(t *testing.T) {
	d := mustOpen(t, nil, t.TempDir())
	l := mustLog(t, d, TP{"t", 0}, DefaultConfig())
	var want []byte
	for range 200 {
		want = append(want, put(t, l, 0, record.None, make([]int64, 1000)...)...)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got := make(chan []byte, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			got <- nil
			return
		}
		b, _ := io.ReadAll(c)
		got <- b
	}()
	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	span, err := l.Read(0, math.MaxInt, l.End(), true)
	if err != nil {
		t.Fatal(err)
	}
	n, err := span.WriteTo(conn)
	span.Release()
	if err != nil || n != int64(len(want)) {
		t.Fatal(n, err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	if b := <-got; !bytes.Equal(b, want) {
		t.Fatalf("%d bytes of %d arrived", len(b), len(want))
	}
}

func TestDirectoryIsLocked(t *testing.T) {
	path := t.TempDir()
	mustOpen(t, nil, path)
	if _, err := OpenDir(Options{Path: path}); !errors.Is(err, ErrLocked) {
		t.Fatal(err)
	}
}

func TestPlacement(t *testing.T) {
	mem := disk.NewMem()
	a, b := mustOpen(t, mem, "/a"), mustOpen(t, mem, "/b")
	dirs := []*Dir{a, b}
	for i := range int32(5) {
		mustLog(t, Fewest(dirs), TP{"t", i}, DefaultConfig())
	}
	if a.Count() != 3 || b.Count() != 2 {
		t.Fatal(a.Count(), b.Count())
	}
	if err := Duplicates(dirs); err != nil {
		t.Fatal(err)
	}
	mustLog(t, b, TP{"t", 0}, DefaultConfig())
	if err := Duplicates(dirs); !errors.Is(err, ErrStorage) {
		t.Fatal(err)
	}
}

func TestNamesInTheDirectory(t *testing.T) {
	mem := disk.NewMem()
	for _, name := range []string{"a-b-0", "a-12", "x-0.0123456789abcdef0123456789abcdef-delete",
		"y-0.0123456789abcdef0123456789abcdef-future", "lost+found", "nodash", "t-x", "t-01"} {
		if err := mem.MkdirAll("/d/"+name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d := mustOpen(t, mem, "/d")
	if got := d.Existing(); !slices.Equal(got, []TP{{"a", 12}, {"a-b", 0}}) {
		t.Fatal(got)
	}
	if err := d.Sweep(time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := mem.Stat("/d/x-0.0123456789abcdef0123456789abcdef-delete"); err == nil {
		t.Fatal("deletion is not resumed")
	}
	long := TP{strings.Repeat("n", 249), 7}
	if err := mustLog(t, d, long, DefaultConfig()).Delete(); err != nil {
		t.Fatal(err)
	}
	names, err := mem.List("/d")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if len(n) > maxName {
			t.Errorf("name of %d bytes", len(n))
		}
	}
}

func TestTopicID(t *testing.T) {
	mem := disk.NewMem()
	d := mustOpen(t, mem, "/d")
	l := mustLog(t, d, TP{"t", 0}, DefaultConfig())
	id := [16]byte{1, 2, 3}
	if err := l.SetTopicID(id); err != nil {
		t.Fatal(err)
	}
	b, err := readFile(mem, "/d/t-0/partition.metadata")
	if err != nil || string(b) != "version: 0\ntopic_id: AQIDAAAAAAAAAAAAAAAAAA" {
		t.Fatalf("%q %v", b, err)
	}
	if err := d.Close(1); err != nil {
		t.Fatal(err)
	}
	if l = mustLog(t, mustOpen(t, mem, "/d"), TP{"t", 0}, DefaultConfig()); l.TopicID() != id {
		t.Fatal(l.TopicID())
	}
}

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
		for i := len(b) / 4; i < len(b)/2; i += 50 {
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

// TestDamagedSync: after a failed sync nothing may be promised, even if the next one succeeds.
func TestDamagedSync(t *testing.T) {
	mem := disk.NewMem()
	d := mustOpen(t, mem, "/d")
	l := mustLog(t, d, TP{"t", 0}, DefaultConfig())
	put(t, l, 0, record.None, 1)
	mem.SetFault(func(op disk.Op, path string) error {
		if op == disk.OpSync && strings.HasSuffix(path, ".log") {
			return errors.New("medium error")
		}
		return nil
	})
	if err := l.Flush(); !errors.Is(err, ErrStorage) {
		t.Fatal(err)
	}
	mem.SetFault(nil)
	if err := l.Flush(); !errors.Is(err, ErrStorage) || l.Flushed() != 0 {
		t.Fatal(l.Flushed(), err)
	}
	if err := d.Close(1); err == nil {
		t.Fatal("stop counts as clean")
	}
}

func TestAppendRefuses(t *testing.T) {
	d := mustOpen(t, disk.NewMem(), "/d")
	l := mustLog(t, d, TP{"t", 0}, DefaultConfig())
	b := put(t, l, 0, record.None, 1, 2)
	if err := l.Append(b, 0); err == nil {
		t.Error("offsets went back")
	}
	record.Batch(b).SetBaseOffset(2)
	if err := l.Append(b[:len(b)-1], 0); err == nil {
		t.Error("half a batch was taken")
	}
	if err := l.Append(append(bytes.Clone(b), b...), 0); err == nil {
		t.Error("two batches at the same offset were taken")
	}
	if l.End() != 2 {
		t.Fatal(l.End())
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

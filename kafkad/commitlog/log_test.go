package commitlog

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"zkafka/kafkad/disk"
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
		// Out of date where written to; not to be trusted where recovered.
		for base, want := range map[string]bool{"3": clean, "6": false} {
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

package commitlog

import (
	"fmt"
	"testing"
	"time"

	"zkafka/kafkad/record"
)

func benchBatch(tb testing.TB, records, size int) record.Set {
	b := record.NewBuilder(record.None, record.Levels{})
	for range records {
		b.Add(1, nil, make([]byte, size), nil)
	}
	batch, err := b.Build()
	if err != nil {
		tb.Fatal(err)
	}
	return record.Set{Batch: batch}
}

func openReal(tb testing.TB, c Config) (*Dir, *Log) {
	dir, err := OpenDir(Options{Path: tb.TempDir()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(dir.Abandon)
	l, err := dir.Open(TP{"bench", 0}, c)
	if err != nil {
		tb.Fatal(err)
	}
	return dir, l
}

// BenchmarkAppend appends requests of several sizes; 64 MB segments, removed as they fill.
func BenchmarkAppend(b *testing.B) {
	for _, kb := range []int{16, 1024} {
		b.Run(fmt.Sprintf("%dKB", kb), func(b *testing.B) {
			c := DefaultConfig()
			c.SegmentBytes, c.RetentionBytes, c.FileDeleteDelayMs = 64<<20, 64<<20, 0
			dir, l := openReal(b, c)
			set := benchBatch(b, kb, 1000)
			b.SetBytes(int64(len(set.Batch)))
			b.ReportAllocs()
			for b.Loop() {
				set.Assign(l.End(), 0, record.NoTimestamp)
				if err := l.Append(set.Batch, 0); err != nil {
					b.Fatal(err)
				}
				if l.Size() > 192<<20 {
					if _, err := l.Retain(0, l.End()); err != nil {
						b.Fatal(err)
					}
					if err := dir.Sweep(time.Now().Add(time.Minute)); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkRead finds 1 MB spans all over a log and lets them go.
func BenchmarkRead(b *testing.B) {
	for _, where := range []string{"cold", "tail"} {
		b.Run(where, func(b *testing.B) {
			c := DefaultConfig()
			c.SegmentBytes = 64 << 20
			_, l := openReal(b, c)
			set := benchBatch(b, 16, 1000)
			for l.Size() < 256<<20 {
				set.Assign(l.End(), 0, record.NoTimestamp)
				if err := l.Append(set.Batch, 0); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			at := int64(0)
			for b.Loop() {
				offset := at % l.End()
				if where == "tail" {
					offset = l.End() - 16 - at%512
				}
				span, err := l.Read(offset, 1<<20, l.End(), true)
				if err != nil || span.Len() == 0 {
					b.Fatal(err, span.Len())
				}
				span.Release()
				at += 7919
			}
		})
	}
}

// BenchmarkOpen opens directories of 1,000 partitions after a clean stop and after a crash.
func BenchmarkOpen(b *testing.B) {
	const partitions = 1000
	for _, stop := range []string{"clean", "crash"} {
		b.Run(stop, func(b *testing.B) {
			path := b.TempDir()
			set := benchBatch(b, 10, 100)
			for b.Loop() {
				dir, err := OpenDir(Options{Path: path})
				if err != nil {
					b.Fatal(err)
				}
				for p := range int32(partitions) {
					l, err := dir.Open(TP{"topic", p}, DefaultConfig())
					if err != nil {
						b.Fatal(err)
					}
					set.Assign(l.End(), 0, record.NoTimestamp)
					if err := l.Append(set.Batch, 0); err != nil {
						b.Fatal(err)
					}
				}
				b.StopTimer()
				if stop == "clean" {
					err = dir.Close(1)
				} else {
					dir.Abandon()
				}
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

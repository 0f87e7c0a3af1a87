package index

import (
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"

	"zkafka/kafkad/disk"

	"go.uber.org/zap"
)

// TestFreeze lets the disk fail at any point of a load that makes pebble flush, compact and change
// its log: the process lives, Sync says what happened, what was written can still be read, and the
// next start finds everything that was synced before.
func TestFreeze(t *testing.T) {
	kinds := []disk.Op{disk.OpCreate, disk.OpWrite, disk.OpSync, disk.OpRename, disk.OpRemove,
		disk.OpClose}
	// Full; gone, as after an unmount.
	causes := []error{syscall.ENOSPC, syscall.ENOENT}
	failed := map[disk.Op]int{}
	runs := uint64(72)
	if testing.Short() {
		runs = 12
	}
	for seed := range runs {
		rng := rand.New(rand.NewPCG(seed, 1))
		kind := kinds[seed%uint64(len(kinds))]
		cause := causes[seed/uint64(len(kinds))%2]
		mem := newMem(t)
		d := openIndex(t, mem)
		left := rng.IntN(8)
		if kind == disk.OpWrite {
			left = rng.IntN(400)
		}
		mem.SetFault(func(op disk.Op, path string) error {
			if op != kind {
				return nil
			}
			if left--; left >= 0 {
				return nil
			}
			return cause
		})
		l := LogOf("t", 0)
		written, synced, err := load(d, l, rng)
		if err == nil {
			err = d.Sync()
		}
		if err != nil {
			failed[kind]++
			if !errors.Is(err, cause) || !errors.Is(d.Sync(), cause) {
				t.Fatalf("%s fails: %v, then Sync says %v", kind, err, d.Sync())
			}
		}
		expect(t, d, l, written)
		d.Abandon()
		mem.SetFault(nil)
		for _, next := range []*disk.Mem{mem.Crash(rng), mem} {
			d, rebuilt, err := Open(next, "/d", zap.NewNop())
			if err != nil || rebuilt {
				t.Fatalf("after %s failed: rebuilt %v, %v", kind, rebuilt, err)
			}
			expect(t, d, l, synced)
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Pebble renames and removes old files when it finds the time, perhaps after the load.
	for _, kind := range []disk.Op{disk.OpCreate, disk.OpWrite, disk.OpSync} {
		if failed[kind] == 0 && !testing.Short() {
			t.Errorf("no %s failed", kind)
		}
	}
}

// load writes chunks of a log until something fails, and now and then syncs. It returns how many
// chunks it gave to the index, and how many of them a sync has confirmed.
func load(d *DB, l Log, rng *rand.Rand) (written, synced int, err error) {
	for written < len(chunks) {
		if err = d.Put(l, 0, 0, chunks[written]); err != nil {
			return written + 1, synced, err
		}
		written++
		if rng.IntN(100) == 0 {
			if err = d.Sync(); err != nil {
				return written, synced, err
			}
			synced = written
		}
	}
	return written, synced, nil
}

// chunks are those of a log that is larger than pebble's memtables; random enough not to be
// compressed away.
var chunks = func() (all [1000][]Entry) {
	rng := rand.New(rand.NewPCG(1, 1))
	k := int64(0)
	for n := range all {
		all[n] = make([]Entry, ChunkEntries)
		for i := range all[n] {
			k++
			all[n][i] = Entry{Offset: k * 100000, Position: k*5000 + rng.Int64N(4000),
				MaxTimestamp: k*1000 + rng.Int64N(999)}
		}
	}
	return all
}()

// expect looks for some of the first n chunks.
func expect(t *testing.T, d *DB, l Log, n int) {
	t.Helper()
	for i := n - 1; i >= 0; i -= 13 {
		want := chunks[i][ChunkEntries/2]
		if got, ok, err := d.FindOffset(l, 0, want.Offset); err != nil || !ok || got != want {
			t.Fatalf("chunk %d of %d: %v %v, %v", i, n, got, ok, err)
		}
	}
}

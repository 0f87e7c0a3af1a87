package txnlog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"

	"zkafka/zkd/disk"
)

// crashRuns is $CRASH_RUNS, 1000 without it, and 100 under -short, where the race detector looks on.
func crashRuns(t testing.TB) int {
	t.Helper()
	if testing.Short() {
		return env(t, "CRASH_RUNS", 100)
	}
	return env(t, "CRASH_RUNS", 1000)
}

func env(t testing.TB, name string, fallback int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return fallback
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// crashLog is a log that is written, rolled, healed and opened again, with the power cut, the
// process killed or the disk failing at random steps.
type crashLog struct {
	t     *testing.T
	rng   *rand.Rand
	m     *disk.Mem
	sizes []int // of transactions
	o     Options

	last   int64 // zxid appended
	acked  int64 // zxid that must not be lost
	synced int64 // zxid that was acknowledged behind a sync
}

// TestCrashLog: behind every crash the log must open without help and hold everything that was
// flushed, in order, and nothing that was not appended.
func TestCrashLog(t *testing.T) {
	runs, seed := crashRuns(t), env(t, "CRASH_SEED", 1)
	for run := range runs {
		c := &crashLog{t: t, rng: rand.New(rand.NewPCG(uint64(seed), uint64(run))), m: newFS(t)}
		c.sizes = [][]int{{0, 10, 49}, {0, 40, 700}, {300, 1500, 9000}}[c.rng.IntN(3)]
		c.o = Options{Dir: dir, PreallocBytes: []int64{-1, 4 << 10, 64 << 10}[c.rng.IntN(3)]}
		c.o.NoSync = c.rng.IntN(8) == 0
		for life := range 4 {
			c.live()
			c.crash()
			if err := c.open(); err != nil {
				t.Fatalf("seed %d, run %d, life %d: %v\n%s", seed, run, life, err, c.m)
			}
		}
	}
}

// crash ends the process, alone or with the machine, perhaps again while the log is healed.
func (c *crashLog) crash() {
	for again := true; again; again = c.rng.IntN(3) == 0 {
		c.m.Heal()
		if c.rng.IntN(2) == 0 {
			c.m = c.m.Kill()
		} else {
			c.m = c.m.Crash(c.rng)
			c.acked = c.synced
		}
		c.m.CutAfter(c.rng.IntN(4))
		if c.rng.IntN(4) == 0 {
			c.failSync()
		}
		if _, err := Heal(c.m, dir); errors.Is(err, syscall.EIO) && c.o.NoSync {
			c.acked = c.synced // nothing was promised about a disk that fails
		}
	}
	c.m.Heal()
	c.m = c.m.Kill()
}

func (c *crashLog) failSync() {
	f := disk.Fault{Op: disk.OpSync, Err: syscall.EIO, Times: 1, Skip: c.rng.IntN(8)}
	if c.rng.IntN(2) == 0 {
		f.Rand = c.rng
	}
	c.m.Fail(f)
}

// open recovers the log.
func (c *crashLog) open() error {
	healed, err := Heal(c.m, dir)
	if err != nil {
		return err
	}
	for _, h := range healed {
		if h.Damaged {
			return fmt.Errorf("a torn record is taken for a damaged one: %+v", h)
		}
	}
	got, err := readZxids(c.m, 0, c.size)
	if err != nil {
		return err
	}
	n := int64(len(got))
	if n < c.acked || n > c.last || n > 0 && got[n-1] != n {
		return fmt.Errorf("%d records, %d were flushed and %d appended", n, c.acked, c.last)
	}
	c.last, c.acked, c.synced = n, n, n
	return nil
}

func (c *crashLog) size(zxid int64) int { return c.sizes[zxid%int64(len(c.sizes))] }

// live writes until something happens or it has written enough.
func (c *crashLog) live() {
	c.m.CutAfter(c.rng.IntN(40))
	if c.rng.IntN(3) == 0 {
		c.failSync()
	}
	if c.rng.IntN(3) == 0 { // a write that a signal ends
		c.m.Fail(disk.Fault{Op: disk.OpWrite, Err: syscall.EINTR, Times: 1, Skip: c.rng.IntN(8),
			Short: c.rng.IntN(3000)})
	}
	c.o.FS = c.m
	l, err := Open(c.o, c.last)
	for range 30 {
		if err != nil {
			break
		}
		for range c.rng.IntN(5) {
			c.last++
			if err := l.Append(c.last, txn(c.last, c.size(c.last))); err != nil {
				c.t.Fatal(err)
			}
		}
		if err = l.Flush(); err != nil {
			break
		}
		c.acked = c.last
		if c.rng.IntN(8) == 0 {
			if err = l.Roll(); err == nil {
				c.synced = c.acked
			}
		}
		if !c.o.NoSync {
			c.synced = c.acked
		}
	}
	if errors.Is(err, syscall.EIO) && c.o.NoSync {
		c.acked = c.synced
	}
	if err != nil && !errors.Is(err, disk.ErrPowerCut) && !errors.Is(err, syscall.EIO) &&
		!errors.Is(err, syscall.EINTR) {
		c.t.Fatal(err)
	}
}

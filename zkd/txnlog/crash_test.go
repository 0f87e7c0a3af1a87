package txnlog

import (
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
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

// TestCrashLog cuts the power at random steps of a log that is written, rolled, healed and opened
// again. Behind every cut the log must open without help and hold everything that was flushed, in
// order, and nothing that was not appended.
func TestCrashLog(t *testing.T) {
	runs, seed := crashRuns(t), env(t, "CRASH_SEED", 1)
	for run := range runs {
		rng := rand.New(rand.NewPCG(uint64(seed), uint64(run)))
		m := newFS(t)
		var acked, last int64
		for life := range 4 {
			m.CutAfter(rng.IntN(40))
			acked, last = live(t, rng, m, last, acked)
			m = m.Crash(rng)
			for rng.IntN(3) == 0 { // the power goes again while the log is healed
				m.CutAfter(rng.IntN(4))
				_, _ = Heal(m, dir)
				m = m.Crash(rng)
			}
			if _, err := Heal(m, dir); err != nil {
				t.Fatalf("seed %d, run %d, life %d: %v\n%s", seed, run, life, err, m)
			}
			got, err := zxids(m, 0)
			if err != nil {
				t.Fatalf("seed %d, run %d, life %d: %v\n%s", seed, run, life, err, m)
			}
			if n := int64(len(got)); n < acked || n > last || n > 0 && got[n-1] != n {
				t.Fatalf("seed %d, run %d, life %d: %d records, %d were flushed and %d appended\n%s",
					seed, run, life, n, acked, last, m)
			}
			last = int64(len(got))
			acked = last // it has been read from the disk after the cut
		}
	}
}

// live writes until the power goes or it has written enough.
func live(t *testing.T, rng *rand.Rand, m *disk.Mem, last, acked int64) (nowAcked, nowLast int64) {
	t.Helper()
	l, err := Open(Options{FS: m, Dir: dir, PreallocBytes: 4 << 10}, last)
	if err != nil {
		if !errors.Is(err, disk.ErrPowerCut) {
			t.Fatal(err)
		}
		return acked, last
	}
	for range 30 {
		for range rng.IntN(5) {
			last++
			if err := l.Append(last, txn(last, int(last%50))); err != nil {
				t.Fatal(err)
			}
		}
		err := l.Flush()
		if err == nil {
			acked = last
			if rng.IntN(8) == 0 {
				err = l.Roll()
			}
		}
		if errors.Is(err, disk.ErrPowerCut) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return acked, last
}

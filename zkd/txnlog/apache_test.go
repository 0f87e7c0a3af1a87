package txnlog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"zkafka/zkd/disk"
)

// apacheLog writes as Apache's FileTxnLog does: through a buffer of 8 KiB, into a file that grows by
// a zero byte far ahead, with a sync behind each batch. A start begins a new file and leaves what is
// torn where it is.
type apacheLog struct {
	m    *disk.Mem
	f    disk.File
	pos  int64
	size int64
	buf  []byte
}

const (
	apacheBuffer = 8 << 10
	apacheStep   = 64 << 10
)

func newApacheLog(m *disk.Mem, zxid int64) (*apacheLog, error) {
	f, err := m.Create(filepath.Join(dir, FileName(zxid)))
	if err != nil {
		return nil, err
	}
	a := &apacheLog{m: m, f: f, buf: appendHeader(nil)}
	if err := a.flush(); err != nil { // before the file is padded
		return nil, err
	}
	a.size = a.pos
	return a, m.SyncDir(dir) // which a journal does along with the first sync
}

// append puts a record into the buffer, which is written when one of its parts does not fit.
func (a *apacheLog) append(b []byte) error {
	if a.pos+growMargin >= a.size {
		a.size = max(a.size, a.pos) + apacheStep
		if _, err := a.f.WriteAt([]byte{0}, a.size-1); err != nil {
			return err
		}
	}
	rec := appendRecord(nil, b)
	at := 0
	for _, end := range []int{8, recordHead, len(rec) - 1, len(rec)} {
		part := rec[at:end]
		at = end
		if len(a.buf)+len(part) > apacheBuffer {
			if err := a.flush(); err != nil {
				return err
			}
		}
		a.buf = append(a.buf, part...)
		if len(part) >= apacheBuffer {
			if err := a.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *apacheLog) flush() error {
	if _, err := a.f.WriteAt(a.buf, a.pos); err != nil {
		return err
	}
	a.pos += int64(len(a.buf))
	a.buf = a.buf[:0]
	return nil
}

// apacheReads is what Apache's server reads: each file to its first torn record. It refuses a torn
// header and a wrong checksum.
func apacheReads(m *disk.Mem) (last int64, ok bool, err error) {
	files, err := Files(m, dir)
	if err != nil {
		return 0, false, err
	}
	for _, file := range files {
		f, err := openFile(m, filepath.Join(dir, file.Name), file.Zxid, false)
		if err != nil {
			return 0, false, err
		}
		defer f.close()
		for {
			rec, err := f.next()
			if err != nil {
				return 0, false, err
			}
			if rec.Data == nil {
				break
			}
			last = rec.Zxid
		}
		if f.torn == tearHeader || f.torn == tearSum || f.torn == tearLength {
			return last, false, nil
		}
	}
	return last, true, nil
}

// TestCrashApache: whatever power cuts leave of the logs of an Apache server, which starts again
// behind some of them, zkd accepts it, and what that server has acknowledged is there.
func TestCrashApache(t *testing.T) {
	runs, seed := crashRuns(t), env(t, "CRASH_SEED", 1)
	for run := range runs {
		rng := rand.New(rand.NewPCG(uint64(seed), uint64(run)))
		c := &crashLog{t: t, rng: rng, m: newFS(t)}
		c.sizes = [][]int{{0, 10, 49}, {0, 40, 700}, {300, 1500, 9000}}[rng.IntN(3)]
		for range 1 + rng.IntN(4) {
			if err := c.apacheLive(); !errors.Is(err, disk.ErrPowerCut) {
				t.Fatal(err)
			}
			c.m = c.m.Crash(rng)
			last, ok, err := apacheReads(c.m)
			if err != nil || last < c.acked {
				t.Fatalf("seed %d, run %d: %d of %d, %v\n%s", seed, run, last, c.acked, err, c.m)
			}
			if !ok {
				break
			}
			c.last, c.acked = last, last
		}
		if err := c.open(); err != nil {
			t.Fatalf("seed %d, run %d: %v\n%s", seed, run, err, c.m)
		}
	}
}

// apacheLive writes batches until the power goes.
func (c *crashLog) apacheLive() error {
	c.m.CutAfter(c.rng.IntN(40))
	a, err := newApacheLog(c.m, c.last+1)
	for err == nil {
		for range 1 + c.rng.IntN(5) {
			c.last++
			if err = a.append(txn(c.last, c.size(c.last))); err != nil {
				return err
			}
		}
		if err = a.flush(); err != nil {
			break
		}
		if err = a.f.Sync(); err == nil {
			c.acked = c.last
		}
	}
	if err == nil {
		return fmt.Errorf("the power did not go")
	}
	return err
}

package txnlog

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"zkafka/zkd/disk"
)

func heal(t testing.TB, fsys disk.FS) []Healed {
	t.Helper()
	healed, err := Heal(fsys, dir)
	if err != nil {
		t.Fatal(err)
	}
	return healed
}

func wantCorrupt(t testing.TB, err error, name string, off int64) {
	t.Helper()
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) || corrupt.File != filepath.Join(dir, name) ||
		corrupt.Offset != off || corrupt.Way == "" {
		t.Errorf("want damage in %s at %d and a way out, got: %v", name, off, err)
	}
}

func content(t testing.TB, fsys disk.FS, name string) []byte {
	t.Helper()
	f, err := fsys.Open(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// overwrite changes a file as damage does: durably, behind everybody's back.
func overwrite(t testing.TB, fsys disk.FS, name string, off int64, b []byte) {
	t.Helper()
	f, err := fsys.OpenRW(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

// TestHealSettlesWhatAKilledRunLeft: what only the cache has is on the disk before anything is
// built on it, the name of the file too.
func TestHealSettlesWhatAKilledRunLeft(t *testing.T) {
	for seed := range uint64(200) {
		m := newFS(t)
		l := open(t, m, 0)
		put(t, l, 1, 5)
		if err := l.Roll(); err != nil {
			t.Fatal(err)
		}
		m.CutAfter(3) // create, preallocate, write: killed before the sync
		if err := l.Append(6, txn(6, putSize(6))); err != nil {
			t.Fatal(err)
		}
		if err := l.Flush(); !errors.Is(err, disk.ErrPowerCut) {
			t.Fatal(err)
		}
		m = m.Kill()
		heal(t, m)
		wantZxids(t, m, 1, 1, 6)
		m = m.Crash(rand.New(rand.NewPCG(seed, 0)))
		wantZxids(t, m, 1, 1, 6)
	}
}

// TestHealForgetsWhatASyncLost: the cache shows what the disk could not write and never will.
func TestHealForgetsWhatASyncLost(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 0))
		m := newFS(t)
		l := open(t, m, 0)
		put(t, l, 1, 5)
		m.Fail(disk.Fault{Op: disk.OpSync, Err: syscall.EIO, Times: 1, Rand: rng})
		for z := int64(6); z <= 40; z++ {
			if err := l.Append(z, txn(z, putSize(z))); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Flush(); !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
		m = m.Kill()
		heal(t, m)
		got, err := zxids(m, 1)
		if err != nil || len(got) < 5 {
			t.Fatal(got, err)
		}
		last := int64(len(got))
		l = open(t, m, last)
		put(t, l, last+1, last+5)
		m = m.Crash(rng)
		heal(t, m)
		wantZxids(t, m, 1, 1, last+5)
	}
}

// TestHealStopsWhenTheDiskRefuses names the file and what to do.
func TestHealStopsWhenTheDiskRefuses(t *testing.T) {
	m := newFS(t)
	put(t, open(t, m, 0), 1, 5)
	m = m.Kill()
	m.Fail(disk.Fault{Op: disk.OpSync, Path: "log.1", Err: syscall.EIO, Times: 1})
	_, err := Heal(m, dir)
	if !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), dir+"/log.1") ||
		!strings.Contains(err.Error(), "when the disk is sound") {
		t.Errorf("%v", err)
	}
	m.Fail(disk.Fault{Op: disk.OpSyncDir, Err: syscall.EIO, Times: 1})
	if _, err := Heal(m, dir); !errors.Is(err, syscall.EIO) {
		t.Errorf("%v", err)
	}
	heal(t, m)
	wantZxids(t, m, 1, 1, 5)
}

// TestEveryFlippedBit: no bit of a log can change unseen. Only behind the last record nobody can
// tell; it is taken for torn.
func TestEveryFlippedBit(t *testing.T) {
	m := newFS(t)
	put(t, open(t, m, 0), 1, 8)
	good := content(t, m, "log.1")
	starts := []int64{headerSize}
	for z := int64(1); z <= 8; z++ {
		starts = append(starts, starts[z-1]+recordSize(z))
	}
	record := 0
	for off := int64(headerSize); off < starts[8]; off++ {
		if off == starts[record+1] {
			record++
		}
		for bit := range 8 {
			flipped := []byte{good[off] ^ 1<<bit}
			overwrite(t, m, "log.1", off, flipped)
			healed, err := Heal(m, dir)
			if record == 7 {
				// The mark, and a length that is wrong, may as well be torn.
				told := off-starts[7] < 8 || off-starts[7] >= recordHead && off < starts[8]-1
				if err != nil || told && !healed[0].Damaged {
					t.Fatalf("bit %d of byte %d, in the last record: %+v, %v", bit, off, healed, err)
				}
				wantZxids(t, m, 1, 1, 7)
				overwrite(t, m, "log.1", starts[7], good[starts[7]:starts[8]])
				continue
			}
			wantCorrupt(t, err, "log.1", starts[record])
			if err == nil {
				t.Fatalf("bit %d of byte %d went unseen", bit, off)
			}
			overwrite(t, m, "log.1", off, good[off:off+1])
			if got := content(t, m, "log.1"); !bytes.Equal(got, good) {
				t.Fatalf("bit %d of byte %d: the file was changed", bit, off)
			}
		}
	}
}

// TestFlippedHeadBeforeZeros: data that looks like sectors that never arrived does not excuse a
// wrong length or checksum.
func TestFlippedHeadBeforeZeros(t *testing.T) {
	m := newFS(t)
	l := open(t, m, 0)
	zeros := txn(2, 5000)
	clear(zeros[60:])
	for z, b := range [][]byte{txn(1, 10), zeros, txn(3, 10), txn(4, 10)} {
		if err := l.Append(int64(z+1), b); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	good := content(t, m, "log.1")
	start := headerSize + recordHead + int64(len(txn(1, 10))) + 1
	for off := start; off < start+recordHead; off++ {
		for bit := range 8 {
			overwrite(t, m, "log.1", off, []byte{good[off] ^ 1<<bit})
			_, err := Heal(m, dir)
			wantCorrupt(t, err, "log.1", start)
			overwrite(t, m, "log.1", off, good[off:off+1])
		}
	}
}

// TestEmptyHeadOfAFullFile: zeros where a header or a record should begin do not hide what follows.
func TestEmptyHeadOfAFullFile(t *testing.T) {
	m := newFS(t)
	put(t, open(t, m, 0), 1, 5)
	good := content(t, m, "log.1")
	overwrite(t, m, "log.1", 0, make([]byte, headerSize))
	_, err := Heal(m, dir)
	wantCorrupt(t, err, "log.1", 0)
	overwrite(t, m, "log.1", 0, good)
	at := headerSize + recordSize(1)
	overwrite(t, m, "log.1", at, make([]byte, recordHead))
	_, err = Heal(m, dir)
	wantCorrupt(t, err, "log.1", at)
}

// TestTheWayOut of damage is one that works.
func TestTheWayOut(t *testing.T) {
	for _, name := range []string{"log.1", "log.b"} {
		m := newFS(t)
		l := open(t, m, 0)
		put(t, l, 1, 10)
		if err := l.Roll(); err != nil {
			t.Fatal(err)
		}
		put(t, l, 11, 20)
		overwrite(t, m, name, headerSize+recordHead, []byte{0xff})
		_, err := Heal(m, dir)
		if err == nil {
			_, err = zxids(m, 1)
		}
		wantCorrupt(t, err, name, headerSize)
		if !strings.Contains(err.Error(), "truncate -s 16 "+dir+"/"+name) {
			t.Errorf("%v", err)
		}
		if err := cut(m, filepath.Join(dir, name), headerSize); err != nil {
			t.Fatal(err)
		}
		heal(t, m)
		if got, err := zxids(m, 1); err != nil || len(got) != 10 {
			t.Errorf("%v, %v", got, err)
		}
	}
}

// TestEarlierFiles: of files before the newest, an end that hides transactions is refused, and one
// that hides none is not.
func TestEarlierFiles(t *testing.T) {
	end := func(z int64) int64 { // of record z in log.1
		off := int64(headerSize)
		for i := int64(1); i <= z; i++ {
			off += recordSize(i)
		}
		return off
	}
	for _, c := range []struct {
		name    string
		last    int64 // in the first file
		next    int64 // first of the second file
		damage  func(t *testing.T, m *disk.Mem)
		corrupt int64 // offset, 0 for none
	}{
		{name: "whole", last: 10, next: 11},
		{name: "files are missing between", last: 10, next: 50},
		{name: "another epoch", last: 10, next: 2<<32 + 1},
		{"a torn tail, and nothing missing", 10, 10,
			func(t *testing.T, m *disk.Mem) {
				overwrite(t, m, "log.1", end(9)+20, make([]byte, recordSize(10)-20))
			}, 0},
		{"a torn tail, and something missing", 10, 11,
			func(t *testing.T, m *disk.Mem) {
				overwrite(t, m, "log.1", end(9)+20, make([]byte, recordSize(10)-20))
			}, end(9)},
		{"a torn tail before another epoch", 10, 2<<32 + 1,
			func(t *testing.T, m *disk.Mem) {
				overwrite(t, m, "log.1", end(9)+20, make([]byte, recordSize(10)-20))
			}, 0},
		{"a sector of zeros within", 30, 31,
			func(t *testing.T, m *disk.Mem) {
				overwrite(t, m, "log.1", end(5), make([]byte, 1024))
			}, end(5)},
		{"a flipped bit in a length, before another epoch", 10, 2<<32 + 1,
			func(t *testing.T, m *disk.Mem) {
				overwrite(t, m, "log.1", end(5)+9, []byte{1})
			}, end(5)},
		{"the last checksum, before another epoch", 10, 2<<32 + 1,
			func(t *testing.T, m *disk.Mem) {
				overwrite(t, m, "log.1", end(9)+7, []byte{1})
			}, end(9)},
		{"no header", 10, 11,
			func(t *testing.T, m *disk.Mem) {
				overwrite(t, m, "log.1", 0, make([]byte, headerSize))
			}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newFS(t)
			l := open(t, m, 0)
			put(t, l, 1, c.last)
			if err := l.Roll(); err != nil {
				t.Fatal(err)
			}
			l = open(t, m, c.next-1)
			put(t, l, c.next, c.next+5)
			if c.damage != nil {
				c.damage(t, m)
			}
			before := content(t, m, "log.1")
			heal(t, m)
			got, err := zxids(m, 1)
			switch {
			case c.corrupt > 0 || c.name == "no header":
				wantCorrupt(t, err, "log.1", c.corrupt)
			case err != nil || got[len(got)-1] != c.next+5:
				t.Errorf("%v, %v", got, err)
			}
			if !bytes.Equal(content(t, m, "log.1"), before) {
				t.Error("the file was changed")
			}
		})
	}
}

// TestLaterFilesOverrule: transactions that a later run did not know of do not come back.
func TestLaterFilesOverrule(t *testing.T) {
	m := newFS(t)
	put(t, open(t, m, 0), 1, 10)
	l := open(t, m, 7)
	for z := int64(8); z <= 9; z++ {
		if err := l.Append(z, txn(z, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	heal(t, m)
	got, err := readZxids(m, 1, func(zxid int64) int {
		if zxid >= 8 {
			return 100
		}
		return putSize(zxid)
	})
	if err != nil || len(got) != 9 {
		t.Errorf("%v, %v", got, err)
	}
}

// TestReadSettlesEarlierFiles: a server of Apache that was killed has not synced them all.
func TestReadSettlesEarlierFiles(t *testing.T) {
	m := newFS(t)
	l, err := Open(Options{FS: m, Dir: dir, PreallocBytes: -1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	put(t, l, 1, 5)
	m.Fail(disk.Fault{Op: disk.OpSync, Err: syscall.EIO, Times: 1})
	if err := l.Append(6, txn(6, putSize(6))); err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	put(t, open(t, m, 6), 7, 9) // as if record 6 had reached the disk
	heal(t, m)
	got, err := zxids(m, 1)
	if err != nil || len(got) != 8 { // the first file ends before it, whole
		t.Errorf("%v, %v", got, err)
	}
}

// TestTruncateRefusesDamage: nothing is removed when the place to cut at cannot be found.
func TestTruncateRefusesDamage(t *testing.T) {
	m := newFS(t)
	l := open(t, m, 0)
	put(t, l, 1, 10)
	if err := l.Roll(); err != nil {
		t.Fatal(err)
	}
	put(t, l, 11, 20)
	overwrite(t, m, "log.1", headerSize+recordSize(1)+recordHead, []byte{0xff})
	wantCorrupt(t, Truncate(m, dir, 8), "log.1", headerSize+recordSize(1))
	if files, err := Files(m, dir); err != nil || len(files) != 2 {
		t.Errorf("%v, %v", files, err)
	}
}

// TestNothingIsOverwritten: a file whose name lies is not emptied for a new one.
func TestNothingIsOverwritten(t *testing.T) {
	m := newFS(t)
	put(t, open(t, m, 0), 1, 5)
	if err := m.Rename(dir+"/log.1", dir+"/log.b"); err != nil {
		t.Fatal(err)
	}
	l := open(t, m, 10)
	if err := l.Append(11, txn(11, 11)); err != nil {
		t.Fatal(err)
	}
	err := l.Flush()
	if err == nil || !strings.Contains(err.Error(), dir+"/log.b is in the way") {
		t.Errorf("%v", err)
	}
	heal(t, m)
	wantZxids(t, m, 1, 1, 5)
}

// TestFileEndsDurably: without syncs in between, a file is durable when the next one begins.
func TestFileEndsDurably(t *testing.T) {
	for seed := range uint64(100) {
		m := newFS(t)
		l, err := Open(Options{FS: m, Dir: dir, NoSync: true}, 0)
		if err != nil {
			t.Fatal(err)
		}
		put(t, l, 1, 20)
		if err := l.Roll(); err != nil {
			t.Fatal(err)
		}
		put(t, l, 21, 40)
		m = m.Crash(rand.New(rand.NewPCG(seed, 0)))
		heal(t, m)
		got, err := zxids(m, 1)
		if err != nil || len(got) < 20 {
			t.Fatalf("seed %d: %v, %v", seed, got, err)
		}
	}
}

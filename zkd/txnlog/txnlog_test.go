package txnlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"zkafka/zkd/disk"
	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
)

const dir = "/log/version-2"

func newFS(t testing.TB) *disk.Mem {
	t.Helper()
	m := disk.NewMem()
	if err := m.MkdirAll(dir); err != nil {
		t.Fatal(err)
	}
	return m
}

func open(t testing.TB, fsys disk.FS, last int64) *Log {
	t.Helper()
	l, err := Open(Options{FS: fsys, Dir: dir, PreallocBytes: 64 << 10}, last)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// txn is a transaction of some bytes.
func txn(zxid int64, size int) []byte {
	var w jute.Writer
	proto.EncodeTxn(&w, &proto.Txn{
		Header: proto.TxnHeader{ClientID: 7, Cxid: int32(zxid), Zxid: zxid, Type: proto.OpSetData},
		Body:   &proto.SetDataTxn{Path: "/x", Data: bytes.Repeat([]byte{byte(zxid) | 1}, size)},
	})
	return w.B
}

func put(t testing.TB, l *Log, from, to int64) {
	t.Helper()
	for z := from; z <= to; z++ {
		if err := l.Append(z, txn(z, putSize(z))); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
}

// zxids reads a log and checks the content of each record.
func zxids(fsys disk.FS, from int64) ([]int64, error) { return readZxids(fsys, from, putSize) }

// putSize is the size of the transactions that put appends.
func putSize(zxid int64) int { return int(zxid % 50) }

func readZxids(fsys disk.FS, from int64, size func(zxid int64) int) ([]int64, error) {
	r, err := ReadFrom(fsys, dir, from)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var got []int64
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		if want := txn(rec.Zxid, size(rec.Zxid)); !bytes.Equal(rec.Data, want) {
			return got, fmt.Errorf("0x%x holds other bytes than were appended", rec.Zxid)
		}
		got = append(got, rec.Zxid)
	}
}

func wantZxids(t testing.TB, fsys disk.FS, from, first, last int64) {
	t.Helper()
	got, err := zxids(fsys, from)
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(got)) != last-first+1 {
		t.Fatalf("read %d records from %d, want %d to %d: %v", len(got), from, first, last, got)
	}
	for i, z := range got {
		if z != first+int64(i) {
			t.Fatalf("record %d is %d, want %d", i, z, first+int64(i))
		}
	}
}

func TestAppendReadRoll(t *testing.T) {
	m := newFS(t)
	l := open(t, m, 0)
	put(t, l, 1, 100)
	if err := l.Roll(); err != nil {
		t.Fatal(err)
	}
	put(t, l, 101, 150)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(151, txn(151, 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed log says %v", err)
	}
	l = open(t, m, 150)
	put(t, l, 151, 160)
	files, err := Files(m, dir)
	if err != nil || len(files) != 3 || files[1].Name != "log.65" || files[2].Zxid != 151 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, from := range []int64{0, 1, 50, 100, 101, 102, 150, 151, 160} {
		wantZxids(t, m, from, max(from, 1), 160)
	}
	wantZxids(t, m, 161, 161, 160)
}

func TestSizeLimitRolls(t *testing.T) {
	m := newFS(t)
	l, err := Open(Options{FS: m, Dir: dir, PreallocBytes: -1, SizeLimit: 1000}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for z := int64(1); z <= 100; z++ {
		put(t, l, z, z)
	}
	files, _ := Files(m, dir)
	if len(files) < 5 {
		t.Errorf("%d files", len(files))
	}
	wantZxids(t, m, 1, 1, 100)
}

func TestPreallocationIsApaches(t *testing.T) {
	m := newFS(t)
	l, err := Open(Options{FS: m, Dir: dir}, 0)
	if err != nil {
		t.Fatal(err)
	}
	put(t, l, 1, 1)
	st, err := m.Stat(dir + "/log.1")
	if err != nil || st.Size != 67108880 {
		t.Errorf("the first growth gives %d bytes (%v), Apache's 67108880", st.Size, err)
	}
}

func TestZxidMustAscend(t *testing.T) {
	l := open(t, newFS(t), 5)
	if err := l.Append(5, txn(5, 1)); !errors.Is(err, ErrOrder) {
		t.Errorf("got %v", err)
	}
	if err := l.Append(6, txn(6, 1)); !errors.Is(err, ErrOrder) {
		t.Errorf("the log goes on after a failure: %v", err)
	}
}

// TestFailureIsFinal: whatever fails, nothing is acknowledged from then on.
func TestFailureIsFinal(t *testing.T) {
	for _, fault := range []disk.Fault{
		{Op: disk.OpWrite, Err: syscall.ENOSPC, Short: 20, Times: 1},
		{Op: disk.OpWrite, Err: syscall.EIO, Times: 1},
		{Op: disk.OpSync, Err: syscall.EIO, Times: 1},
		{Op: disk.OpPreallocate, Err: syscall.EIO, Times: 1},
		{Op: disk.OpCreate, Err: syscall.ENOSPC, Times: 1},
		{Op: disk.OpSyncDir, Err: syscall.EIO, Times: 1},
	} {
		t.Run(string(fault.Op)+fault.Err.Error(), func(t *testing.T) {
			m := newFS(t)
			l := open(t, m, 0)
			put(t, l, 1, 10)
			if err := l.Roll(); err != nil {
				t.Fatal(err)
			}
			m.Fail(fault)
			if err := l.Append(11, txn(11, 11)); err != nil {
				t.Fatal(err)
			}
			if err := l.Flush(); !errors.Is(err, fault.Err) {
				t.Fatalf("flush says %v", err)
			}
			if err := l.Flush(); !errors.Is(err, fault.Err) {
				t.Errorf("a second flush says %v", err)
			}
			if err := l.Append(12, txn(12, 12)); !errors.Is(err, fault.Err) {
				t.Errorf("append says %v", err)
			}
			if err := l.Close(); !errors.Is(err, fault.Err) {
				t.Errorf("close says %v", err)
			}
			if _, err := Heal(m, dir); err != nil {
				t.Fatal(err)
			}
			got, err := zxids(m, 1)
			if err != nil || len(got) < 10 {
				t.Errorf("after the restart: %v, %v", got, err)
			}
		})
	}
}

// tornAt writes a log of three flushes and cuts the file at a length.
func tornAt(t *testing.T, length int64) *disk.Mem {
	m := newFS(t)
	l, err := Open(Options{FS: m, Dir: dir, PreallocBytes: -1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for z := int64(1); z <= 3; z++ {
		put(t, l, z, z)
	}
	f, err := m.OpenRW(dir + "/log.1")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(length); err != nil {
		t.Fatal(err)
	}
	return m
}

func recordSize(z int64) int64 { return recordHead + int64(len(txn(z, int(z%50)))) + 1 }

func TestHealTornAtEveryByte(t *testing.T) {
	end1 := headerSize + recordSize(1)
	end2 := end1 + recordSize(2)
	end3 := end2 + recordSize(3)
	for length := int64(0); length <= end3; length++ {
		for _, padded := range []bool{false, true} {
			m := tornAt(t, length)
			if padded {
				f, _ := m.OpenRW(dir + "/log.1")
				if err := f.Preallocate(8192); err != nil {
					t.Fatal(err)
				}
			}
			healed, err := Heal(m, dir)
			if err != nil {
				t.Fatalf("torn at %d: %v", length, err)
			}
			whole := int64(0)
			for z, end := range []int64{end1, end2, end3} {
				if length >= end {
					whole = int64(z + 1)
				}
			}
			wantZxids(t, m, 1, 1, whole)
			removed := len(healed) == 1 && healed[0].Removed
			if length < 8 && !removed {
				t.Errorf("torn at %d: %+v", length, healed)
			}
			if length >= headerSize && removed {
				t.Errorf("torn at %d: %+v", length, healed)
			}
			l := open(t, m, whole)
			put(t, l, whole+1, whole+5)
			wantZxids(t, m, 1, 1, whole+5)
		}
	}
}

func TestDamageIsTold(t *testing.T) {
	flip := func(t *testing.T, m *disk.Mem, name string, off int64) {
		t.Helper()
		f, err := m.OpenRW(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		var b [1]byte
		if _, err := f.ReadAt(b[:], off); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 0x10
		if _, err := f.WriteAt(b[:], off); err != nil {
			t.Fatal(err)
		}
	}
	build := func(t *testing.T) *disk.Mem {
		m := newFS(t)
		l := open(t, m, 0)
		put(t, l, 1, 10)
		if err := l.Roll(); err != nil {
			t.Fatal(err)
		}
		put(t, l, 11, 20)
		return m
	}
	off2 := int64(headerSize) + recordSize(11)
	t.Run("data in the middle of the newest file", func(t *testing.T) {
		m := build(t)
		flip(t, m, "log.b", off2+recordHead+3)
		_, err := Heal(m, dir)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || corrupt.Offset != off2 || corrupt.File != dir+"/log.b" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the last record", func(t *testing.T) {
		m := build(t)
		end := int64(headerSize)
		for z := int64(11); z < 20; z++ {
			end += recordSize(z)
		}
		flip(t, m, "log.b", end+recordHead+3)
		if _, err := Heal(m, dir); err != nil {
			t.Fatal(err)
		}
		wantZxids(t, m, 1, 1, 19)
	})
	t.Run("an older file", func(t *testing.T) {
		m := build(t)
		flip(t, m, "log.1", headerSize+recordHead+3)
		if _, err := Heal(m, dir); err != nil {
			t.Fatal(err)
		}
		_, err := zxids(m, 1)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) || corrupt.Offset != headerSize {
			t.Errorf("got %v", err)
		}
	})
	t.Run("magic number", func(t *testing.T) {
		m := build(t)
		flip(t, m, "log.b", 1)
		_, err := Heal(m, dir)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("negative length", func(t *testing.T) {
		m := build(t)
		f, _ := m.OpenRW(dir + "/log.b")
		if _, err := f.WriteAt([]byte{0xff}, off2+8); err != nil {
			t.Fatal(err)
		}
		_, err := Heal(m, dir)
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) {
			t.Errorf("got %v", err)
		}
	})
}

// TestHoleInLastWrite: the pages of one write reach the disk in any order, so a record may be there
// at both ends and have zeros in between, with whole records behind it.
func TestHoleInLastWrite(t *testing.T) {
	m := newFS(t)
	l := open(t, m, 0)
	put(t, l, 1, 5)
	at := l.Size()
	for z := int64(6); z <= 8; z++ {
		if err := l.Append(z, txn(z, 20000)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	f, err := m.OpenRW(dir + "/log.1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 4096), (at+recordHead+8191)/4096*4096); err != nil {
		t.Fatal(err)
	}
	healed, err := Heal(m, dir)
	if err != nil || len(healed) != 1 || healed[0].Offset != at || healed[0].Whole < at+20000 {
		t.Fatalf("%+v, %v", healed, err)
	}
	wantZxids(t, m, 1, 1, 5)
}

func TestTruncate(t *testing.T) {
	for _, to := range []int64{0, 1, 49, 50, 51, 99, 100, 200} {
		m := newFS(t)
		l := open(t, m, 0)
		put(t, l, 1, 50)
		if err := l.Roll(); err != nil {
			t.Fatal(err)
		}
		put(t, l, 51, 100)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if err := Truncate(m, dir, to); err != nil {
			t.Fatal(err)
		}
		wantZxids(t, m, 0, 1, min(to, 100))
		l = open(t, m, to)
		put(t, l, to+1, to+3)
		if got, err := zxids(m, to+1); err != nil || len(got) != 3 {
			t.Errorf("behind a truncation to %d: %v, %v", to, got, err)
		}
	}
	if err := Truncate(newFS(t), dir, 5); err == nil {
		t.Error("there was nothing to truncate")
	}
}

func TestNeeded(t *testing.T) {
	files := []FileInfo{{Zxid: 1}, {Zxid: 10}, {Zxid: 20}}
	for _, c := range []struct{ zxid, first int64 }{
		{0, 1}, {1, 1}, {9, 1}, {10, 10}, {19, 10}, {20, 20}, {99, 20},
	} {
		if got := Needed(files, c.zxid); got[0].Zxid != c.first {
			t.Errorf("for %d the first file is %d, want %d", c.zxid, got[0].Zxid, c.first)
		}
	}
	if got := Needed(nil, 5); len(got) != 0 {
		t.Error(got)
	}
}

// TestWriteIsApachesBytes writes the records of a log of Apache's server again.
func TestWriteIsApachesBytes(t *testing.T) {
	want, err := os.ReadFile("../snapshot/testdata/zookeeper-3.9.4/version-2/log.1")
	if err != nil {
		t.Fatal(err)
	}
	src := newFS(t)
	f, err := src.Create(dir + "/log.1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(want); err != nil {
		t.Fatal(err)
	}
	r, err := ReadFrom(src, dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	dst := newFS(t)
	l, err := Open(Options{FS: dst, Dir: dir, PreallocBytes: 16 << 10}, 0)
	if err != nil {
		t.Fatal(err)
	}
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		decoded, err := proto.DecodeTxn(rec.Data)
		if err != nil {
			t.Fatal(err)
		}
		var w jute.Writer
		proto.EncodeTxn(&w, decoded)
		if err := l.Append(rec.Zxid, w.B); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := dst.Open(dir + "/log.1")
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(out)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, Apache's %d; %v", len(got), len(want), err)
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	m := newFS(t)
	l := open(t, m, 0)
	b := txn(1, 100)
	z := int64(0)
	step := func() {
		for range 100 {
			z++
			binary.BigEndian.PutUint64(b[zxidOffset:], uint64(z))
			if err := l.Append(z, b); err != nil {
				t.Fatal(err)
			}
		}
		l.buf = l.buf[:0] // what Flush does behind the write
	}
	step()
	if n := testing.AllocsPerRun(20, step); n > 0 {
		t.Errorf("100 appends allocate %v times", n)
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"3.9.4/version-2/log.1", "3.4.14/version-2/log.21"} {
		b, err := os.ReadFile("../snapshot/testdata/zookeeper-" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.TrimRight(b, "\x00"))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := newFS(t)
		file, err := m.Create(dir + "/log.1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write(b); err != nil {
			t.Fatal(err)
		}
		_, err = Heal(m, dir)
		var corrupt *CorruptError
		if err != nil && !errors.As(err, &corrupt) {
			t.Fatal(err)
		}
		if again, errAgain := Heal(m, dir); len(again) > 0 || (errAgain == nil) != (err == nil) {
			t.Fatalf("a second time: %v, %v", again, errAgain)
		}
		r, rerr := ReadFrom(m, dir, 0)
		if rerr != nil {
			t.Fatal(rerr)
		}
		defer r.Close()
		for {
			rec, rerr := r.Next()
			if errors.Is(rerr, io.EOF) {
				break
			}
			if rerr != nil {
				if err == nil {
					t.Fatalf("a healed log cannot be read: %v", rerr)
				}
				return
			}
			_, _ = proto.DecodeTxn(rec.Data)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	l, err := Open(Options{FS: disk.NewMem(), Dir: "/"}, 0)
	if err != nil {
		b.Fatal(err)
	}
	data := txn(1, 100)
	b.SetBytes(int64(len(data)))
	for i := range b.N {
		if err := l.Append(int64(i+1), data); err != nil {
			b.Fatal(err)
		}
		if len(l.buf) > 1<<20 {
			l.buf = l.buf[:0]
		}
	}
}

// BenchmarkFlush is the group commit of a disk: a group of 100 transactions each.
func BenchmarkFlush(b *testing.B) {
	l, err := Open(Options{FS: disk.Real(), Dir: b.TempDir()}, 0)
	if err != nil {
		b.Fatal(err)
	}
	data := txn(1, 100)
	z := int64(0)
	for range b.N {
		for range 100 {
			z++
			if err := l.Append(z, data); err != nil {
				b.Fatal(err)
			}
		}
		if err := l.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(z)/b.Elapsed().Seconds(), "txns/s")
}

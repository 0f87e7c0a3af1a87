package txnlog

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"zkafka/zkd/adler"
	"zkafka/zkd/disk"
)

// zxidOffset is where the zxid stands in an encoded transaction: behind session and xid.
const zxidOffset = 12

// minTxn is the shortest transaction that has a zxid.
const minTxn = zxidOffset + 8

// logFile reads one file.
type logFile struct {
	name   string
	f      disk.File
	r      *bufio.Reader
	size   int64
	off    int64
	last   int64 // highest zxid before off; before the first record, that of the name less one
	buf    []byte
	torn   tear
	reason string // why torn
}

// tear is how a file ends.
type tear uint8

const (
	tearNone   tear = iota // end of file or zeros behind the last record
	tearRecord             // the beginning of a record
	tearHeader             // not even the header is whole
	tearSum                // a whole record with a wrong checksum
	tearLength             // a length that no record has
)

// openFile opens a file and reads its header. A header that is torn is no error: the file then has
// no records, since no sync of it can have succeeded. With settle, what is read is on the disk.
func openFile(fsys disk.FS, name string, zxid int64, settle bool) (*logFile, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open transaction log: %w", err)
	}
	lf := &logFile{name: name, f: f, last: zxid - 1}
	if settle {
		if err = disk.Settle(f); err != nil {
			err = fmt.Errorf("settle the transaction log before it is read: %w; the disk did not "+
				"take what an earlier run wrote. See the kernel's log (journalctl -k), and start "+
				"again when the disk is sound or on a copy of the directory", err)
		}
	}
	if err == nil {
		lf.size, err = f.Size()
	}
	if err == nil {
		lf.r = bufio.NewReaderSize(f, 256<<10)
		err = lf.header()
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return lf, nil
}

func (l *logFile) close() { _ = l.f.Close() }

func (l *logFile) header() error {
	var have [headerSize]byte
	n, err := io.ReadFull(l.r, have[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read transaction log: %w", err)
	}
	// The database id is not compared: nobody reads it.
	want := appendHeader(make([]byte, 0, headerSize))[:8]
	got := have[:min(n, 8)]
	if n == headerSize && bytes.Equal(got, want) {
		l.off = headerSize
		return nil
	}
	l.tear(tearHeader, 0, fmt.Sprintf("the header is %x and should begin with %x", got, want))
	same := 0
	for same < len(got) && got[same] == want[same] {
		same++
	}
	if !allZero(got[same:]) {
		return l.corrupt(l.reason)
	}
	return nil
}

func (l *logFile) tear(how tear, off int64, reason string) {
	l.torn, l.off, l.reason = how, off, reason
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// next reads a record. One without data is the end of the file, and torn then says how it ends.
func (l *logFile) next() (Record, error) {
	if l.torn != tearNone {
		return Record{}, nil
	}
	start := l.off
	var head [recordHead]byte
	if ok, err := l.fill(head[:]); !ok {
		return Record{}, err
	}
	sum := binary.BigEndian.Uint64(head[:])
	length := int32(binary.BigEndian.Uint32(head[8:]))
	switch {
	case length == 0:
		l.off = start
		if sum != 0 {
			l.tear(tearRecord, start, "a record without a length")
		}
		return Record{}, nil
	case length < 0 || length > MaxRecordBytes:
		l.tear(tearLength, start, fmt.Sprintf("a record of %d bytes", length))
		return Record{}, nil
	case l.off+int64(length)+1 > l.size:
		l.tear(tearRecord, start, fmt.Sprintf("a record of %d bytes, more than are there", length))
		return Record{}, nil
	}
	need := int(length) + 1
	if cap(l.buf) < need {
		l.buf = make([]byte, need)
	}
	l.buf = l.buf[:need]
	if ok, err := l.fill(l.buf); !ok {
		l.off = start
		return Record{}, err
	}
	return l.check(start, sum, l.buf[:length], l.buf[length])
}

// check looks at a record that was read.
func (l *logFile) check(start int64, sum uint64, data []byte, mark byte) (Record, error) {
	if mark != endMark {
		l.tear(tearRecord, start, "a record without its end")
		return Record{}, nil
	}
	if uint64(adler.Checksum(data)) != sum {
		l.tear(tearSum, start, "the checksum is wrong")
		return Record{}, nil
	}
	if len(data) < minTxn {
		l.off = start
		return Record{}, l.corrupt(fmt.Sprintf("a transaction of %d bytes", len(data)))
	}
	zxid := zxidOf(data)
	l.last = max(l.last, zxid)
	return Record{Zxid: zxid, Data: data, File: l.name, Offset: start}, nil
}

func zxidOf(data []byte) int64 { return int64(binary.BigEndian.Uint64(data[zxidOffset:])) }

// fill reads all of b; at the end of the file it says no, and that b is torn unless it is all
// behind the end.
func (l *logFile) fill(b []byte) (bool, error) {
	start := l.off
	n, err := io.ReadFull(l.r, b)
	if err == nil {
		l.off += int64(n)
		return true, nil
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		if !allZero(b[:n]) {
			l.tear(tearRecord, start, "the file ends within a record")
		}
		return false, nil
	}
	return false, fmt.Errorf("read transaction log: %w", err)
}

// corrupt is the error for the place where the file broke.
func (l *logFile) corrupt(reason string) error {
	way := fmt.Sprintf("put a whole copy of the file in its place; or keep a copy of it, give up "+
		"the transactions from 0x%x on that are in it, and run: truncate -s %d %s",
		l.last+1, l.off, l.name)
	if l.torn == tearHeader {
		way = "put a whole copy of the file in its place; or move it out of the directory and " +
			"give up the transactions that are in it"
	}
	return &CorruptError{File: l.name, Offset: l.off, Reason: reason, Way: way}
}

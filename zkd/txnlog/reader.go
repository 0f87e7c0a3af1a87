package txnlog

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"zkafka/zkd/adler"
	"zkafka/zkd/disk"
)

// Record is a transaction in the log.
type Record struct {
	Zxid   int64
	Data   []byte // the encoded transaction; valid until the next one is read
	File   string
	Offset int64 // of the record in the file
}

// CorruptError says that a log holds what no writer and no power cut leaves.
type CorruptError struct {
	File   string
	Offset int64
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("transaction log %s is corrupt at offset %d: %s", e.File, e.Offset, e.Reason)
}

// zxidOffset is where the zxid stands in an encoded transaction: behind session and xid.
const zxidOffset = 12

// logFile reads one file.
type logFile struct {
	name string
	f    disk.File
	r    *bufio.Reader
	size int64
	off  int64
	buf  []byte
	torn tear
}

// tear is how a file ends.
type tear uint8

const (
	tearNone   tear = iota // end of file or zeros behind the last record
	tearRecord             // the beginning of a record
	tearHeader             // not even the header is whole
	tearSum                // a whole record with a wrong checksum
)

// openFile opens a file and reads its header. A header that is torn is no error: the file then has
// no records, since no sync of it can have succeeded.
func openFile(fsys disk.FS, name string) (*logFile, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open transaction log: %w", err)
	}
	lf := &logFile{name: name, f: f, r: bufio.NewReaderSize(f, 256<<10)}
	if lf.size, err = f.Size(); err == nil {
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
	l.off = int64(n)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read transaction log: %w", err)
	}
	// The database id is not compared: nobody reads it.
	want := appendHeader(make([]byte, 0, headerSize))[:8]
	got := have[:min(n, 8)]
	if n == headerSize && bytes.Equal(got, want) {
		return nil
	}
	same := 0
	for same < len(got) && got[same] == want[same] {
		same++
	}
	if !allZero(got[same:]) {
		return &CorruptError{File: l.name, Offset: 0,
			Reason: fmt.Sprintf("the header is %x and should begin with %x", got, want)}
	}
	l.torn = tearHeader
	return nil
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
	if length == 0 {
		if sum != 0 {
			l.torn = tearRecord
		}
		l.off = start
		return Record{}, nil
	}
	if length < 0 || length > MaxRecordBytes {
		return Record{}, &CorruptError{File: l.name, Offset: start,
			Reason: fmt.Sprintf("a record of %d bytes", length)}
	}
	if l.off+int64(length)+1 > l.size {
		l.torn, l.off = tearRecord, start
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
	if l.buf[length] != endMark {
		l.torn, l.off = tearRecord, start
		return Record{}, nil
	}
	data := l.buf[:length]
	if uint64(adler.Checksum(data)) != sum {
		l.torn, l.off = tearSum, start
		return Record{}, nil
	}
	if length < zxidOffset+8 {
		return Record{}, &CorruptError{File: l.name, Offset: start,
			Reason: fmt.Sprintf("a transaction of %d bytes", length)}
	}
	zxid := int64(binary.BigEndian.Uint64(data[zxidOffset:]))
	return Record{Zxid: zxid, Data: data, File: l.name, Offset: start}, nil
}

// fill reads all of b; at the end of the file it says no, and that b is torn unless it is all
// behind the end.
func (l *logFile) fill(b []byte) (bool, error) {
	n, err := io.ReadFull(l.r, b)
	if err == nil {
		l.off += int64(n)
		return true, nil
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		if !allZero(b[:n]) {
			l.torn = tearRecord
		}
		return false, nil
	}
	return false, fmt.Errorf("read transaction log: %w", err)
}

// excusable tells a wrong checksum that a power cut can explain from one that only damage can. The
// pages of a write reach the disk in any order, so the last write may have a hole: then there are
// only zeros behind the record, or a page of zeros within it.
func (l *logFile) excusable() (bool, error) {
	const page = 4096
	first := (l.off + recordHead + page - 1) / page * page
	for at := first; at+page <= l.off+recordHead+int64(len(l.buf)); at += page {
		from := at - l.off - recordHead
		if allZero(l.buf[from : from+page]) {
			return true, nil
		}
	}
	rest := make([]byte, 64<<10)
	for {
		n, err := l.r.Read(rest)
		if !allZero(rest[:n]) {
			return false, nil
		}
		if errors.Is(err, io.EOF) {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("read transaction log: %w", err)
		}
	}
}

// Reader iterates over the transactions of a log.
type Reader struct {
	fsys  disk.FS
	dir   string
	files []FileInfo
	from  int64
	cur   *logFile
}

// ReadFrom returns the transactions from zxid on.
func ReadFrom(fsys disk.FS, dir string, zxid int64) (*Reader, error) {
	files, err := Files(fsys, dir)
	if err != nil {
		return nil, err
	}
	return &Reader{fsys: fsys, dir: dir, files: Needed(files, zxid), from: zxid}, nil
}

// Next returns the next transaction, io.EOF behind the last one, and a *CorruptError for damage. A
// torn record ends its file and the next file goes on, as upstream reads it.
func (r *Reader) Next() (Record, error) {
	for {
		if r.cur == nil {
			if len(r.files) == 0 {
				return Record{}, io.EOF
			}
			f, err := openFile(r.fsys, filepath.Join(r.dir, r.files[0].Name))
			if err != nil {
				return Record{}, err
			}
			r.cur = f
			r.files = r.files[1:]
		}
		rec, err := r.cur.next()
		if err != nil {
			return Record{}, err
		}
		if rec.Data == nil {
			if err := r.endFile(); err != nil {
				return Record{}, err
			}
			continue
		}
		if rec.Zxid >= r.from {
			return rec, nil
		}
	}
}

func (r *Reader) endFile() error {
	f := r.cur
	r.cur = nil
	defer f.close()
	if f.torn == tearSum {
		return &CorruptError{File: f.name, Offset: f.off, Reason: "the checksum is wrong"}
	}
	return nil
}

// Close gives up the file that is being read.
func (r *Reader) Close() {
	if r.cur != nil {
		r.cur.close()
		r.cur = nil
	}
}

// Package segment is one .log file of a partition, whole batches, back to back, as they came over
// the wire, and the .txnindex file beside it.
//
// A Segment has one writer (Write, Advance, Truncate, Rename); ReadAt, Scan and Sync may be called
// by anybody who holds a reference. The file is opened at the first use and closed with the last
// reference, so a broker with many partitions opens few files. Invariant: bytes below Size are
// whole batches and do not change while any reader could see them.
package segment

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"

	"zkafka/kafkad/disk"
	"zkafka/kafkad/record"
)

// The suffixes of Kafka's files.
const (
	LogSuffix      = ".log"
	SnapshotSuffix = ".snapshot"
	DeletedSuffix  = ".deleted"
)

// Name is the file name of a base offset with a suffix.
func Name(base int64, suffix string) string { return fmt.Sprintf("%020d%s", base, suffix) }

// ParseName splits a file name of the form that Name makes; ok is false for any other.
func ParseName(name, suffix string) (base int64, ok bool) {
	n := len(name) - len(suffix)
	if n < 1 || name[n:] != suffix {
		return 0, false
	}
	base, err := strconv.ParseInt(name[:n], 10, 64)
	return base, err == nil && base >= 0
}

// CorruptError says where a segment stops being whole batches.
type CorruptError struct {
	Path     string
	Position int64
	Err      error
}

// Error implements error.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s is corrupt at byte %d: %v", e.Path, e.Position, e.Err)
}

// Unwrap returns the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// Segment is one file.
type Segment struct {
	Base int64
	Txns TxnIndex // aborted transactions

	fs   disk.FS
	path string
	size atomic.Int64
	refs atomic.Int32
	file atomic.Pointer[handle]
	mu   sync.Mutex // serialises opening, closing and renaming
	now  string     // where the file is, if not at path; guarded by mu
}

type handle struct{ disk.File }

// Open returns the segment of an existing file of the given size; nothing is opened yet. The caller
// holds the first reference.
func Open(fs disk.FS, dir string, base, size int64) *Segment {
	s := &Segment{Base: base, fs: fs, path: fs.PathJoin(dir, Name(base, LogSuffix))}
	s.Txns.init(fs, dir, base)
	s.size.Store(size)
	s.refs.Store(1)
	return s
}

// Create makes an empty file; its directory entry is not durable yet. Bytes of an earlier file of
// that name are cut.
func Create(fs disk.FS, dir string, base, preallocate int64) (*Segment, error) {
	s := Open(fs, dir, base, 0)
	f, err := fs.OpenFile(s.path, disk.Create)
	if err != nil {
		return nil, err
	}
	err = disk.Empty(f)
	if err == nil && preallocate > 0 {
		err = f.Preallocate(0, preallocate)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s.file.Store(&handle{f})
	return s, nil
}

// Acquire takes a reference; false means that the last one is gone and the file closed.
func (s *Segment) Acquire() bool {
	for {
		n := s.refs.Load()
		if n <= 0 {
			return false
		}
		if s.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release gives a reference back; the last one closes the file.
func (s *Segment) Release() error {
	switch n := s.refs.Add(-1); {
	case n > 0:
		return nil
	case n < 0:
		panic("segment: released more often than acquired")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.Txns.close()
	if h := s.file.Swap(nil); h != nil {
		err = errors.Join(err, h.Close())
	}
	return err
}

// File is the open file.
func (s *Segment) File() (disk.File, error) {
	if h := s.file.Load(); h != nil {
		return h.File, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if h := s.file.Load(); h != nil {
		return h.File, nil
	}
	path := s.path
	if s.now != "" {
		path = s.now
	}
	f, err := s.fs.OpenFile(path, disk.ReadWrite)
	if err != nil {
		return nil, err
	}
	s.file.Store(&handle{f})
	return f, nil
}

// Path is the file's path before any Rename.
func (s *Segment) Path() string { return s.path }

// Size is the number of bytes appended.
func (s *Segment) Size() int64 { return s.size.Load() }

// Write puts b behind the end with one pwrite; Advance then makes it part of the segment. On error
// what was written of b lies beyond Size, to be overwritten or cut.
func (s *Segment) Write(b []byte) error {
	f, err := s.File()
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, s.size.Load())
	return err
}

// Advance moves the end over bytes that Write has put there.
func (s *Segment) Advance(n int) { s.size.Add(int64(n)) }

// Trim cuts what a failed append may have left beyond Size, and preallocated room.
func (s *Segment) Trim() error { return s.Truncate(s.size.Load()) }

// Truncate cuts the file. Readers may meet the end earlier than they were told.
func (s *Segment) Truncate(size int64) error {
	f, err := s.File()
	if err != nil {
		return err
	}
	if err := f.Truncate(size); err != nil {
		return err
	}
	s.size.Store(size)
	return nil
}

// Sync makes the bytes durable; the directory entry is the caller's business.
func (s *Segment) Sync() error {
	f, err := s.File()
	if err != nil {
		return err
	}
	return f.SyncData()
}

// Rename moves the file, open or not, to its name plus the suffix. Readers do not notice.
func (s *Segment) Rename(suffix string) (to string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	to = s.path + suffix
	if err = s.fs.Rename(s.path, to); err == nil {
		s.now = to
	}
	return to, err
}

// ReadAt reads bytes below Size; a short read is an error.
func (s *Segment) ReadAt(b []byte, at int64) error {
	f, err := s.File()
	if err != nil {
		return err
	}
	n, err := f.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

const (
	window      = 4096     // read at once to find a batch near an index entry
	wideWindow  = 64 << 10 // read at once when many small batches are scanned
	checkWindow = 1 << 20  // read at once when whole batches are checked
)

var windows = sync.Pool{New: func() any { return new([window]byte) }}

// scanner reads batch headers one after the other.
type scanner struct {
	s      *Segment
	buf    []byte
	have   []byte // bytes of the file from haveAt on
	haveAt int64
	small  int // small batches seen in a row, -1 before the first
}

// next returns the header of the batch at the position. Errors about the content are *CorruptError.
func (c *scanner) next(at, limit int64) (record.Meta, error) {
	head := c.have[min(max(at-c.haveAt, 0), int64(len(c.have))):]
	if int64(len(head)) < min(record.HeaderSize, limit-at) {
		n := int64(len(c.buf))
		if c.small == 0 {
			n = record.HeaderSize // large batches: the bytes in between are not needed
		} else if c.small > 16 && n == window {
			c.buf = make([]byte, wideWindow)
			n = wideWindow
		}
		head = c.buf[:min(n, limit-at)]
		if err := c.s.ReadAt(head, at); err != nil {
			return record.Meta{}, err
		}
		c.have, c.haveAt = head, at
	}
	m, err := record.ParseMeta(head)
	if err == nil && at+int64(m.Size) > limit {
		err = fmt.Errorf("batch of %d bytes, %d left", m.Size, limit-at)
	}
	if err != nil {
		return m, &CorruptError{c.s.path, at, err}
	}
	if m.Size < window {
		c.small = max(c.small, 0) + 1
	} else {
		c.small = 0
	}
	return m, nil
}

// Scan calls fn with the position and header of each batch from the position on (which must be a
// batch's start) until fn returns false, or limit (at most Size) is reached. Bodies are not read
// and checksums not looked at. Errors about the content are *CorruptError.
func (s *Segment) Scan(from, limit int64, fn func(at int64, m *record.Meta) bool) error {
	first := windows.Get().(*[window]byte)
	defer windows.Put(first)
	c := scanner{s: s, buf: first[:], small: -1}
	for at := from; at < limit; {
		m, err := c.next(at, limit)
		if err != nil {
			return err
		}
		if !fn(at, &m) {
			return nil
		}
		at += int64(m.Size)
	}
	return nil
}

// Find returns the position and header of the first batch from the position on whose last offset is
// at or above the given one. It allocates nothing.
func (s *Segment) Find(from, limit, offset int64) (at int64, m record.Meta, ok bool, err error) {
	first := windows.Get().(*[window]byte)
	defer windows.Put(first)
	c := scanner{s: s, buf: first[:], small: -1}
	for at = from; at < limit; at += int64(m.Size) {
		if m, err = c.next(at, limit); err != nil {
			return at, m, false, err
		}
		if m.LastOffset >= offset {
			return at, m, true, nil
		}
	}
	return at, m, false, nil
}

// Check reads every byte from the position (a batch's start) to limit and calls fn for each batch
// whose checksum holds and whose offsets come after the one before; after is the last offset that
// must be behind the first batch. It returns the position where whole, good, ordered batches end;
// bad says why if that is before limit. Only errors of the disk or of fn are returned as err.
func (s *Segment) Check(from, limit, after int64,
	fn func(at int64, entry []byte, m *record.Meta) error) (end int64, bad, err error) {
	buf := make([]byte, min(checkWindow, max(limit-from, 0)))
	var have []byte
	fill := func(at, need int64) error {
		if int64(len(have)) >= need {
			return nil
		}
		if int64(len(buf)) < need {
			buf = make([]byte, need)
		}
		have = buf[:min(int64(len(buf)), limit-at)]
		return s.ReadAt(have, at)
	}
	at := from
	for at < limit {
		if err := fill(at, min(record.HeaderSize, limit-at)); err != nil {
			return at, nil, err
		}
		m, bad := record.ParseMeta(have)
		if bad == nil && int64(m.Size) > limit-at {
			bad = fmt.Errorf("batch of %d bytes, %d left", m.Size, limit-at)
		}
		if bad == nil && (m.BaseOffset <= after || m.BaseOffset < s.Base) {
			bad = fmt.Errorf("offset %d after %d", m.BaseOffset, max(after, s.Base-1))
		}
		if bad != nil {
			return at, bad, nil
		}
		if err := fill(at, int64(m.Size)); err != nil {
			return at, nil, err
		}
		if _, bad = record.Verify(have[:m.Size]); bad != nil {
			return at, bad, nil
		}
		if err := fn(at, have[:m.Size], &m); err != nil {
			return at, nil, err
		}
		after = m.LastOffset
		have = have[m.Size:]
		at += int64(m.Size)
	}
	return at, nil, nil
}

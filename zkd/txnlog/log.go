// Package txnlog writes and reads ZooKeeper's transaction log: files log.<zxid> of checksummed
// records, the same bytes as Apache's server writes (docs/format/txnlog.md draws them).
//
// A Log has one owner goroutine. Append only copies into memory; Flush makes everything appended
// since the last Flush durable with one write and one fdatasync. Whoever acknowledges a
// transaction does so after the Flush behind it. After an error the log is finished: what reached
// the disk is then unknown, so every later call returns the same error and the server must stop.
package txnlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"zkafka/zkd/adler"
	"zkafka/zkd/disk"
)

const (
	magic      uint32 = 0x5a4b4c47 // "ZKLG"
	version    uint32 = 2
	headerSize        = 16 // magic, version, database id (0)
	recordHead        = 12 // checksum and length before the bytes of a record
	endMark    byte   = 0x42

	// A file grows when less than this is left of what is allocated.
	growMargin = 4096
	// DefaultPreallocBytes is upstream's preAllocSize.
	DefaultPreallocBytes = 64 << 20

	// The buffer of a batch is kept for the next one up to this size.
	keepBuffer = 4 << 20

	// MaxRecordBytes is the longest record that a reader believes. Upstream's limit follows
	// from jute.maxbuffer, which operators raise; this one only stops nonsense.
	MaxRecordBytes = 1 << 30
)

// Options of a Log.
type Options struct {
	FS  disk.FS
	Dir string // the version-2 directory, which exists

	// PreallocBytes is the step in which files grow ahead of the writes, so that most syncs need
	// not record a new size. 0 stands for DefaultPreallocBytes, negative for none.
	PreallocBytes int64
	// SizeLimit makes Flush begin a new file when the current one is longer; 0 for no limit.
	SizeLimit int64
	// NoSync leaves durability to the operating system (upstream's forceSync=no) until the file
	// ends: of the earlier files recovery expects that they are whole.
	NoSync bool
}

// Log appends transactions. Invariants: bytes before synced are durable; pos <= allocated unless
// preallocation is off; buf is what belongs at pos.
type Log struct {
	o        Options
	file     disk.File // nil until the first Flush after Open or Roll
	name     string
	buf      []byte
	first    int64 // zxid of the first record in buf when file is nil
	last     int64 // highest zxid appended
	pos      int64
	alloc    int64
	lastSync time.Duration
	err      error
}

// ErrOrder is the cause of the failure when a zxid does not ascend.
var ErrOrder = errors.New("zxid does not ascend")

// ErrClosed is returned by a closed log.
var ErrClosed = errors.New("transaction log is closed")

// Open returns a log that will begin a new file with its first record: a file of an earlier run is
// never appended to. Directory and last zxid must come from a recovery, which also has cut off
// what was torn.
func Open(o Options, lastZxid int64) (*Log, error) {
	if o.PreallocBytes == 0 {
		o.PreallocBytes = DefaultPreallocBytes
	}
	st, err := o.FS.Stat(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open transaction log: %w", err)
	}
	if !st.Dir {
		return nil, fmt.Errorf("open transaction log: %s is not a directory", o.Dir)
	}
	return &Log{o: o, last: lastZxid}, nil
}

// Append takes the encoded transaction of a zxid. It copies b and writes nothing.
func (l *Log) Append(zxid int64, b []byte) error {
	if l.err != nil {
		return l.err
	}
	if zxid <= l.last {
		// Overwriting or repeating an acknowledged transaction would be worse than stopping.
		return l.fail(fmt.Errorf("append 0x%x behind 0x%x: %w", zxid, l.last, ErrOrder))
	}
	if len(b) == 0 || len(b) > MaxRecordBytes {
		return l.fail(fmt.Errorf("append 0x%x: a record of %d bytes", zxid, len(b)))
	}
	if l.file == nil && len(l.buf) == 0 {
		l.first = zxid
		l.buf = appendHeader(l.buf)
	}
	l.last = zxid
	l.buf = appendRecord(l.buf, b)
	return nil
}

func appendHeader(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, magic)
	dst = binary.BigEndian.AppendUint32(dst, version)
	return binary.BigEndian.AppendUint64(dst, 0)
}

func appendRecord(dst, b []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(adler.Checksum(b)))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(b)))
	dst = append(dst, b...)
	return append(dst, endMark)
}

// Flush makes everything appended durable.
func (l *Log) Flush() error {
	if l.err != nil {
		return l.err
	}
	if len(l.buf) == 0 {
		return nil
	}
	if err := l.write(); err != nil {
		return l.fail(fmt.Errorf("write transaction log: %w", err))
	}
	if l.o.SizeLimit > 0 && l.pos > l.o.SizeLimit {
		return l.Roll()
	}
	return nil
}

func (l *Log) write() error {
	fresh := l.file == nil
	if fresh {
		if err := l.create(); err != nil {
			return err
		}
	}
	if err := l.grow(); err != nil {
		return err
	}
	if _, err := l.file.WriteAt(l.buf, l.pos); err != nil {
		return err
	}
	l.pos += int64(len(l.buf))
	l.buf = l.buf[:0]
	if cap(l.buf) > keepBuffer {
		l.buf = nil
	}
	if l.o.NoSync {
		return nil
	}
	start := time.Now()
	if err := l.file.Sync(); err != nil {
		return err
	}
	l.lastSync = time.Since(start)
	if fresh {
		// The name must be durable before the first of its records is acknowledged.
		return l.o.FS.SyncDir(l.o.Dir)
	}
	return nil
}

func (l *Log) create() error {
	l.name = filepath.Join(l.o.Dir, FileName(l.first))
	if err := vacant(l.o.FS, l.name, l.first); err != nil {
		return err
	}
	f, err := l.o.FS.Create(l.name)
	if err != nil {
		return err
	}
	l.file = f
	l.pos, l.alloc = 0, 0
	return nil
}

// vacant makes sure that no transactions are overwritten. What may have the name of a new file is
// one whose only record was cut off. One with records would have been read by the recovery, if it
// were what its name says.
func vacant(fsys disk.FS, name string, zxid int64) error {
	f, err := openFile(fsys, name, zxid, false)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.close()
	rec, err := f.next()
	if err == nil && rec.Data != nil {
		err = fmt.Errorf("%s is in the way: it begins with transaction 0x%x, which its name does "+
			"not tell; move it out of the directory", name, rec.Zxid)
	}
	return err
}

// grow allocates ahead of the write in the steps that upstream takes: 64 MiB behind the header
// first, and whenever less than 4 KiB would be left.
func (l *Log) grow() error {
	end := l.pos + int64(len(l.buf))
	step := l.o.PreallocBytes
	if step < 0 || end+growMargin < l.alloc {
		return nil
	}
	size := max(l.alloc, headerSize) + step
	if end > size {
		size = (end + step) / step * step
	}
	if err := l.file.Preallocate(size); err != nil {
		return err
	}
	l.alloc = size
	return nil
}

// Roll makes the next Append begin a new file, as is done with every snapshot. What is appended is
// flushed first.
func (l *Log) Roll() error {
	if l.err != nil {
		return l.err
	}
	if len(l.buf) > 0 {
		if err := l.write(); err != nil {
			return l.fail(fmt.Errorf("write transaction log: %w", err))
		}
	}
	if l.file == nil {
		return nil
	}
	if l.o.NoSync {
		err := l.file.Sync()
		if err == nil {
			err = l.o.FS.SyncDir(l.o.Dir)
		}
		if err != nil {
			return l.fail(fmt.Errorf("end transaction log: %w", err))
		}
	}
	err := l.file.Close()
	l.file = nil
	if err != nil {
		return l.fail(fmt.Errorf("close transaction log: %w", err))
	}
	return nil
}

// Pending is the number of bytes appended and not flushed.
func (l *Log) Pending() int { return len(l.buf) }

// Size is the length of the records in the current file, without what is allocated ahead.
func (l *Log) Size() int64 {
	if l.file == nil {
		return 0
	}
	return l.pos
}

// LastZxid is the highest zxid appended.
func (l *Log) LastZxid() int64 { return l.last }

// LastSync is how long the disk took for the last Flush.
func (l *Log) LastSync() time.Duration { return l.lastSync }

// Close flushes and closes the log.
func (l *Log) Close() error {
	if errors.Is(l.err, ErrClosed) {
		return nil
	}
	err := l.Roll()
	if l.file != nil {
		_ = l.file.Close() // after a failure; the failure is what counts
		l.file = nil
	}
	if l.err == nil {
		l.err = ErrClosed
	}
	return err
}

func (l *Log) fail(err error) error {
	l.err = err
	return err
}

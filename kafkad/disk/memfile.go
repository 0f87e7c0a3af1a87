package disk

import (
	"errors"
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// memFile is an open file of a Mem.
type memFile struct {
	fs       *Mem
	n        *node
	name     string
	writable bool
	closed   bool
	readPos  int64
	writePos int64
}

type memInfo struct {
	name  string
	size  int64
	mode  os.FileMode
	mtime time.Time
}

func (i memInfo) Name() string         { return i.name }
func (i memInfo) Size() int64          { return i.size }
func (i memInfo) Mode() os.FileMode    { return i.mode }
func (i memInfo) ModTime() time.Time   { return i.mtime }
func (i memInfo) IsDir() bool          { return i.mode.IsDir() }
func (i memInfo) Sys() any             { return nil }
func (memInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }

func (n *node) info(name string) memInfo {
	return memInfo{name, int64(len(n.data)), n.mode, n.mtime}
}

func (f *memFile) begin(op Op) error {
	f.fs.mu.Lock()
	if f.closed {
		f.fs.mu.Unlock()
		return pathError(string(op), f.name, os.ErrClosed)
	}
	if err := f.fs.check(op, f.name); err != nil {
		f.fs.mu.Unlock()
		return err
	}
	return nil
}

func (f *memFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return pathError("close", f.name, os.ErrClosed)
	}
	f.closed = true
	return f.fs.check(OpClose, f.name)
}

func (f *memFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.readPos)
	f.readPos += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.begin(OpRead); err != nil {
		return 0, err
	}
	defer f.fs.mu.Unlock()
	if off >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.writePos)
	f.writePos += int64(n)
	return n, err
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return 0, pathError("write", f.name, os.ErrClosed)
	}
	if !f.writable {
		return 0, pathError("write", f.name, syscall.EBADF)
	}
	err := f.fs.check(OpWrite, f.name)
	if err != nil {
		p = p[:len(p)/2]
	}
	data := slices.Clone(p)
	f.n.data = writeAt(f.n.data, data, off)
	f.n.pending = append(f.n.pending, change{data: data, offset: off})
	f.n.mtime = time.Now()
	return len(p), err
}

func (f *memFile) Truncate(size int64) error {
	if err := f.begin(OpTruncate); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	if !f.writable {
		return pathError("truncate", f.name, syscall.EINVAL)
	}
	f.n.data = resize(f.n.data, size)
	f.n.pending = append(f.n.pending, change{truncate: true, offset: size})
	f.n.mtime = time.Now()
	return nil
}

func (f *memFile) Sync() error {
	if err := f.begin(OpSync); err != nil {
		return err
	}
	defer f.fs.mu.Unlock()
	f.n.sync()
	return nil
}

func (f *memFile) SyncData() error { return f.Sync() }

func (f *memFile) SyncTo(int64) (fullSync bool, err error) { return true, f.Sync() }

func (f *memFile) Stat() (vfs.FileInfo, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	return f.n.info(f.fs.PathBase(f.name)), nil
}

func (f *memFile) Preallocate(int64, int64) error { return nil }

func (f *memFile) Prefetch(int64, int64) error { return nil }

func (f *memFile) Fd() uintptr { return InvalidFd }

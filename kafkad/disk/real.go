package disk

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sys/unix"
)

// Real returns the operating system's file system.
func Real() FS { return realFS{vfs.Default} }

type realFS struct{ vfs.FS }

// realFile adds pebble's interface to an os.File; Truncate, ReadAt and WriteAt are the os.File's.
type realFile struct {
	*os.File
	fd uintptr
}

type fileInfo struct{ os.FileInfo }

// DeviceID implements vfs.FileInfo; nobody asks it of segment files.
func (fileInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }

// Lock implements FS. Pebble opens the file and then asks for the lock; only the first step names
// the path in its error.
func (r realFS) Lock(name string) (io.Closer, error) {
	c, err := r.FS.Lock(name)
	var path *os.PathError
	var errno unix.Errno
	switch {
	case err == nil:
		return c, nil
	case errors.As(err, &path):
		return nil, err
	case errors.As(err, &errno) && errno != unix.EAGAIN && errno != unix.EACCES:
		return nil, &os.PathError{Op: "lock", Path: name, Err: errno} // ENOLCK, EINVAL
	}
	return nil, fmt.Errorf("%w: %s: %w", ErrHeld, name, err)
}

func (f *realFile) Fd() uintptr { return f.fd }

func (f *realFile) Stat() (vfs.FileInfo, error) {
	fi, err := f.File.Stat()
	if err != nil {
		return nil, err
	}
	return fileInfo{fi}, nil
}

func (f *realFile) SyncData() error {
	for {
		if err := unix.Fdatasync(int(f.fd)); err != unix.EINTR {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

func (f *realFile) SyncTo(int64) (fullSync bool, err error) { return true, f.SyncData() }

func (f *realFile) Preallocate(offset, length int64) error {
	return unix.Fallocate(int(f.fd), unix.FALLOC_FL_KEEP_SIZE, offset, length)
}

func (f *realFile) Prefetch(offset, length int64) error {
	_, _, errno := unix.Syscall(unix.SYS_READAHEAD, f.fd, uintptr(offset), uintptr(length))
	if errno != 0 {
		return errno
	}
	return nil
}

func (realFS) OpenFile(name string, flag Flag) (File, error) {
	mode := os.O_RDONLY
	switch flag {
	case ReadWrite:
		mode = os.O_RDWR
	case Create:
		mode = os.O_RDWR | os.O_CREATE
	}
	f, err := os.OpenFile(name, mode, 0o644)
	if err != nil {
		return nil, err
	}
	return &realFile{f, f.Fd()}, nil
}

func (realFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (realFS) SyncAll(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }() // nothing was written through it
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("sync file system of %s: %w", dir, err)
	}
	return nil
}

func (r realFS) Unwrap() vfs.FS { return r.FS }

package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Real is the filesystem of the operating system.
func Real() FS { return realFS{} }

type realFS struct{}

const (
	filePerm = 0o640
	dirPerm  = 0o750
)

func (realFS) Open(name string) (File, error) { return wrap(os.Open(name)) }

func (realFS) Create(name string) (File, error) {
	return wrap(os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, filePerm))
}

func (realFS) OpenRW(name string) (File, error) { return wrap(os.OpenFile(name, os.O_RDWR, 0)) }

func wrap(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return &realFile{File: f}, nil
}

func (realFS) Rename(from, to string) error { return os.Rename(from, to) }
func (realFS) Remove(name string) error     { return os.Remove(name) }

func (realFS) ReadDir(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

func (realFS) Stat(name string) (Info, error) {
	st, err := os.Stat(name)
	if err != nil {
		return Info{}, err
	}
	return Info{Size: st.Size(), Dir: st.IsDir()}, nil
}

func (r realFS) MkdirAll(dir string) error {
	if st, err := os.Stat(dir); err == nil && st.IsDir() {
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := r.MkdirAll(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, dirPerm); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return r.SyncDir(parent)
}

func (realFS) SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return f.Sync()
}

func (realFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, filePerm)
	if err != nil {
		return nil, err
	}
	err = retry(func() error {
		return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	})
	if err == nil {
		// The number is for whoever meets the lock; the lock itself is the kernel's.
		pid := []byte(strconv.Itoa(os.Getpid()) + "\n")
		if err = f.Truncate(0); err == nil {
			_, err = f.WriteAt(pid, 0)
		}
		if err != nil {
			_ = f.Close()
			return nil, err
		}
		return f, nil
	}
	defer func() { _ = f.Close() }()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		pid := make([]byte, 20)
		n, _ := f.ReadAt(pid, 0)
		return nil, &LockedError{Name: name, Holder: strings.TrimSpace(string(pid[:n]))}
	}
	return nil, fmt.Errorf("lock %s: %w", name, err)
}

func (realFS) Free(dir string) (uint64, error) {
	var st syscall.Statfs_t
	if err := retry(func() error { return syscall.Statfs(dir, &st) }); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return st.Bavail * uint64(st.Bsize), nil
}

type realFile struct{ *os.File }

func (f *realFile) Sync() error {
	if err := retry(func() error { return syscall.Fdatasync(int(f.Fd())) }); err != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

func (f *realFile) Forget() {
	// A filesystem that does not know the advice has no cache that lies, or cannot help it.
	_ = retry(func() error { return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED) })
}

func (f *realFile) Preallocate(size int64) error {
	have, err := f.Size()
	if err != nil || have >= size {
		return err
	}
	err = retry(func() error { return syscall.Fallocate(int(f.Fd()), 0, have, size-have) })
	if err == nil {
		return nil
	}
	// A filesystem without fallocate, or one that is nearly full: a hole does as well, and
	// whether the space suffices is then for the write to find out.
	return f.Truncate(size)
}

func (f *realFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func retry(call func() error) error {
	for {
		if err := call(); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

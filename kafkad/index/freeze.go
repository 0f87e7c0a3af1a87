package index

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// freezer is a file system that stops at its first failing write, as if the power had gone at that
// moment: later changes go to memory only. Pebble ends the process when it cannot write its log or
// its manifest, and so would take the other log directories of the broker with it. Frozen, it does
// not notice; whoever writes to the index asks fault and passes the error on, and the next Open
// finds what a power cut would have left.
type freezer struct {
	vfs.FS
	memory vfs.FS
	cause  atomic.Pointer[error]
}

func newFreezer(below vfs.FS, dir string) (*freezer, error) {
	f := &freezer{FS: below, memory: vfs.NewMem()}
	return f, f.memory.MkdirAll(dir, 0o755)
}

// fault is the error that stopped writing, or nil.
func (f *freezer) fault() error {
	if p := f.cause.Load(); p != nil {
		return *p
	}
	return nil
}

func (f *freezer) frozen() bool { return f.cause.Load() != nil }

// failed notes the outcome of a change of the disk and says whether to go on in memory instead.
// That a file to be removed is not there is no failure; anything else that is not there is gone
// from under pebble, as when the disk was unmounted.
func (f *freezer) failed(what, name string, err error) bool {
	if err == nil || what == remove && errors.Is(err, fs.ErrNotExist) {
		return false
	}
	err = fmt.Errorf("%s %s: %w", what, filepath.Base(name), err)
	f.cause.CompareAndSwap(nil, &err)
	return true
}

// remove is the change that may find nothing to do.
const remove = "remove"

// create makes a file with the given function of the disk's file system, or in memory.
func (f *freezer) create(
	name string, c vfs.DiskWriteCategory, disk func() (vfs.File, error),
) (vfs.File, error) {
	if !f.frozen() {
		file, err := disk()
		if err == nil {
			return &freezingFile{File: file, fs: f, name: name}, nil
		}
		if !f.failed("create", name, err) {
			return nil, err
		}
	}
	return f.memory.Create(name, c)
}

func (f *freezer) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.create(name, c, func() (vfs.File, error) { return f.FS.Create(name, c) })
}

// OpenReadWrite is for writing anywhere in a file, which pebble's database never does.
func (f *freezer) OpenReadWrite(
	string, vfs.DiskWriteCategory, ...vfs.OpenOption,
) (vfs.File, error) {
	return nil, errors.ErrUnsupported
}

func (f *freezer) ReuseForWrite(
	oldname, newname string, c vfs.DiskWriteCategory,
) (vfs.File, error) {
	return f.create(newname, c, func() (vfs.File, error) {
		return f.FS.ReuseForWrite(oldname, newname, c)
	})
}

func (f *freezer) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if f.frozen() {
		if file, err := f.memory.Open(name, opts...); err == nil {
			return file, nil
		}
	}
	return f.FS.Open(name, opts...)
}

func (f *freezer) Stat(name string) (vfs.FileInfo, error) {
	if f.frozen() {
		if info, err := f.memory.Stat(name); err == nil {
			return info, nil
		}
	}
	return f.FS.Stat(name)
}

func (f *freezer) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &freezingFile{File: file, fs: f, name: name}, nil
}

// change performs a change of names, on the disk or, frozen, on what there is of it in memory.
func (f *freezer) change(what, name string, do func(vfs.FS) error) error {
	if !f.frozen() {
		if err := do(f.FS); !f.failed(what, name, err) {
			return err
		}
	}
	if err := do(f.memory); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (f *freezer) Link(oldname, newname string) error {
	return f.change("link", newname, func(on vfs.FS) error { return on.Link(oldname, newname) })
}

func (f *freezer) Remove(name string) error {
	return f.change(remove, name, func(on vfs.FS) error { return on.Remove(name) })
}

func (f *freezer) RemoveAll(name string) error {
	return f.change(remove, name, func(on vfs.FS) error { return on.RemoveAll(name) })
}

func (f *freezer) Rename(oldname, newname string) error {
	return f.change("rename", newname, func(on vfs.FS) error { return on.Rename(oldname, newname) })
}

func (f *freezer) MkdirAll(dir string, perm os.FileMode) error {
	return f.change("mkdir", dir, func(on vfs.FS) error { return on.MkdirAll(dir, perm) })
}

// Unwrap returns nil: what lies below must not be written to directly.
func (f *freezer) Unwrap() vfs.FS { return nil }

// freezingFile is a file on the disk, open for writing. Frozen, it goes on in memory with a copy of
// what it got onto the disk, for pebble reads its tables again.
type freezingFile struct {
	vfs.File
	fs     *freezer
	name   string
	size   int64 // what Write has written
	memory vfs.File
}

// do performs a change of the disk unless it is frozen, and says whether it was done.
func (f *freezingFile) do(what string, change func() error) bool {
	return f.memory == nil && !f.fs.frozen() && !f.fs.failed(what, f.name, change())
}

func (f *freezingFile) Write(p []byte) (n int, err error) {
	if f.do("write", func() error { n, err = f.File.Write(p); return err }) {
		f.size += int64(n)
		return n, err
	}
	if f.memory == nil {
		if f.memory, err = f.copy(); err != nil {
			return 0, err
		}
	}
	return f.memory.Write(p)
}

// copy makes the file's twin in memory. What cannot be read from the disk any more is missing
// there: pebble then finds a damaged table when it reads it, and never reads its logs.
func (f *freezingFile) copy() (vfs.File, error) {
	twin, err := f.fs.memory.Create(f.name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	if written, err := f.fs.FS.Open(f.name); err == nil {
		_, _ = io.CopyN(twin, written, f.size)
		_ = written.Close()
	}
	return twin, nil
}

func (f *freezingFile) WriteAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }

func (f *freezingFile) Preallocate(off, length int64) error {
	f.do("allocate", func() error { return f.File.Preallocate(off, length) })
	return nil
}

// Close keeps an error from pebble, like every change: a file system may tell only here that what
// was written did not reach the disk.
func (f *freezingFile) Close() error {
	err := f.File.Close()
	if errors.Is(err, fs.ErrClosed) {
		return err // no fault of the disk
	}
	if !f.fs.frozen() {
		f.fs.failed("close", f.name, err)
	}
	if f.memory != nil {
		return f.memory.Close()
	}
	return nil
}

func (f *freezingFile) Sync() error {
	f.do("sync", f.File.Sync)
	return nil
}

func (f *freezingFile) SyncData() error {
	f.do("sync", f.File.SyncData)
	return nil
}

func (f *freezingFile) SyncTo(length int64) (full bool, err error) {
	f.do("sync", func() (err error) { full, err = f.File.SyncTo(length); return err })
	return full, nil
}

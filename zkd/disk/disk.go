// Package disk is the seam through which zkd touches files, so that tests can take the power away
// or make the disk fail: Real is the operating system, Mem a twin in memory.
//
// An FS and the files of one may be used from several goroutines, a single File from one at a time.
// Errors are those of package os: compare with errors.Is and fs.ErrNotExist, syscall.ENOSPC, ...
package disk

import (
	"errors"
	"fmt"
	"io"
)

// FS is a filesystem.
//
// What is durable: the content of a file after Sync of it, and its name (also a name that is gone)
// after SyncDir of its directory. Everything else may or may not be there after a power cut.
type FS interface {
	// Open opens a file for reading.
	Open(name string) (File, error)
	// Create makes an empty file for reading and writing, or empties the one there is.
	Create(name string) (File, error)
	// OpenRW opens a file that exists for reading and writing.
	OpenRW(name string) (File, error)
	// Rename gives a file another name in the same directory, replacing what has that name.
	Rename(from, to string) error
	// Remove deletes a file or an empty directory.
	Remove(name string) error
	// ReadDir lists the names in a directory, sorted.
	ReadDir(dir string) ([]string, error)
	// Stat tells the size of a file and whether it is a directory.
	Stat(name string) (Info, error)
	// MkdirAll makes a directory and its parents, durably.
	MkdirAll(dir string) error
	// SyncDir makes the names in a directory durable.
	SyncDir(dir string) error
	// Lock takes the lock file name, made if need be, until the result is closed or the process
	// ends. It fails with a *LockedError when another process or FS has it.
	Lock(name string) (io.Closer, error)
	// Free is the number of bytes that can still be written below dir.
	Free(dir string) (uint64, error)
}

// File is an open file. Write and Read share a position, which starts at 0.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Closer
	// Truncate cuts the file or extends it with zeros.
	Truncate(size int64) error
	// Sync makes the content durable (fdatasync). After a failure nothing is known about what
	// was written since the last success: the caller must not go on. Neither does a later success
	// tell: the operating system takes what it failed to write for written.
	Sync() error
	// Forget drops what the operating system's cache has of the file and need not write any more,
	// so that reads see what the disk has. Where there is no such call it does nothing.
	Forget()
	// Preallocate makes the file at least size long, filled with zeros, and reserves the blocks
	// for it where the filesystem can. It does not fail for want of space: the write will.
	Preallocate(size int64) error
	// Size is the length of the file.
	Size() (int64, error)
	// Name is the name the file was opened under.
	Name() string
}

// Info is what Stat tells.
type Info struct {
	Size int64
	Dir  bool
}

// Settle makes what reads of a file see and what the disk has the same: what a process that was
// killed left in the cache goes to the disk, and what the disk refused is not shown any more.
func Settle(f File) error {
	if err := f.Sync(); err != nil {
		return err
	}
	f.Forget()
	return nil
}

// LockedError says that somebody else holds a lock.
type LockedError struct {
	Name   string
	Holder string // process id, "" when not known
}

func (e *LockedError) Error() string {
	if e.Holder == "" {
		return fmt.Sprintf("%s is locked by another process", e.Name)
	}
	return fmt.Sprintf("%s is locked by process %s", e.Name, e.Holder)
}

// ErrClosed is returned for files that have been closed.
var ErrClosed = errors.New("file already closed")

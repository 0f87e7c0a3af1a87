// Package disk is the seam between the log storage and the operating system: pebble's file system
// interface plus what segments need beyond it. Segments, checkpoints and the pebble index go
// through one FS, so that a test can cut the power or fail a disk under all of them at once.
//
// Real is the operating system's; Mem is a twin in memory that can crash and fail. Both may be used
// by any goroutine; a single File has one writer at a time and any number of ReadAt callers.
package disk

import (
	"errors"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Category is the write category of all our files; pebble only counts by it.
const Category vfs.DiskWriteCategory = "kafkad-log"

// Usage is the space of a file system.
type Usage = vfs.DiskUsage

// InvalidFd is what Fd returns for a file without a descriptor.
const InvalidFd = vfs.InvalidFd

// File is an open file. SyncData is fdatasync; Fd is the descriptor for sendfile, or InvalidFd.
type File interface {
	vfs.File

	// Truncate sets the file's size.
	Truncate(size int64) error
}

// Empty cuts a file that is not empty. An empty one is left alone: ext4 writes a file that was cut
// to nothing back to the disk when it is closed, however large it has become, and deleted or not.
func Empty(f File) error {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	return f.Truncate(0)
}

// Flag says how OpenFile opens.
type Flag uint8

// The ways to open a file.
const (
	ReadOnly  Flag = iota
	ReadWrite      // must exist
	Create         // read-write, created if missing, not truncated
)

// ErrHeld is what Lock returns for a lock that somebody has; any other error is the disk's.
var ErrHeld = errors.New("lock is held by another process")

// FS is a file system.
type FS interface {
	vfs.FS

	// OpenFile opens a file for ReadAt, WriteAt and Truncate.
	OpenFile(name string, flag Flag) (File, error)

	// SyncDir makes the entries of a directory durable.
	SyncDir(dir string) error

	// SyncAll makes everything written so far to the file system that holds dir durable: one call
	// instead of one per file when a broker with many partitions stops.
	SyncAll(dir string) error
}

// Package snapshot keeps snapshot files and recovers a tree from them and the transaction log.
//
// A snapshot is written under a temporary name and gets its own, snapshot.<zxid>, only when it is
// complete and durable, so that a power cut leaves whole files only. Files of Apache servers may be
// torn, which Recover finds out and steps over. docs/format/snapshot.md draws the format.
//
// Nothing here starts a goroutine. A Writer has one owner; the functions may run at the same time
// as long as only one purges and one recovers.
package snapshot

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"zkafka/zkd/disk"
	"zkafka/zkd/tree"
)

const (
	prefix = "snapshot."
	// Upstream takes every name that begins with "snapshot." for a snapshot, so the temporary
	// name begins otherwise.
	tempPrefix = "tmp.snapshot."

	// VersionDir is the directory below dataDir and dataLogDir that holds the files.
	VersionDir = "version-2"
)

// FileName is the name of an uncompressed snapshot as of a zxid.
func FileName(zxid int64) string { return prefix + strconv.FormatUint(uint64(zxid), 16) }

// FileInfo is a snapshot file.
type FileInfo struct {
	Name  string // in the directory
	Zxid  int64  // its content has every transaction up to this one
	Codec Codec
}

// Files lists the snapshots in a directory, newest first, whether they are valid or not. A
// directory that is missing has none.
func Files(fsys disk.FS, dir string) ([]FileInfo, error) {
	names, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list snapshots: %w", err)
	}
	var files []FileInfo
	for _, name := range names {
		if f, ok := parseName(name); ok {
			files = append(files, f)
		}
	}
	slices.SortFunc(files, func(a, b FileInfo) int {
		// Of two as of the same zxid, ours was written later: with what recovery has deleted.
		return cmp.Or(cmp.Compare(b.Zxid, a.Zxid), cmp.Compare(a.Codec, b.Codec))
	})
	return files, nil
}

// parseName takes names as upstream: a prefix, the zxid and perhaps more parts, of which the last
// tells the compression.
func parseName(name string) (FileInfo, bool) {
	rest, ok := strings.CutPrefix(name, prefix)
	if !ok {
		return FileInfo{}, false
	}
	parts := strings.Split(rest, ".")
	zxid, err := strconv.ParseUint(parts[0], 16, 64)
	if err != nil {
		return FileInfo{}, false
	}
	f := FileInfo{Name: name, Zxid: int64(zxid)}
	if len(parts) > 1 {
		switch parts[len(parts)-1] {
		case "gz":
			f.Codec = Gzip
		case "snappy":
			f.Codec = Snappy
		}
	}
	return f, true
}

// Writer writes one snapshot.
type Writer struct {
	fsys disk.FS
	dir  string
	zxid int64
	temp string
	file disk.File
	size int64
	err  error
}

// Create begins the snapshot as of a zxid in a version-2 directory.
func Create(fsys disk.FS, dir string, zxid int64) (*Writer, error) {
	temp := filepath.Join(dir, tempPrefix+strconv.FormatUint(uint64(zxid), 16))
	f, err := fsys.Create(temp)
	if err != nil {
		return nil, fmt.Errorf("create snapshot: %w", err)
	}
	return &Writer{fsys: fsys, dir: dir, zxid: zxid, temp: temp, file: f}, nil
}

// Write appends to the snapshot.
func (w *Writer) Write(b []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.file.Write(b)
	w.size += int64(n)
	if err != nil {
		w.err = fmt.Errorf("write snapshot: %w", err)
	}
	return n, w.err
}

// Size is the number of bytes written.
func (w *Writer) Size() int64 { return w.size }

// Commit makes the snapshot durable under its name. After an error there is no such snapshot, and
// the caller may go on with the one before.
func (w *Writer) Commit() error {
	if w.err == nil {
		if err := w.file.Sync(); err != nil {
			w.err = fmt.Errorf("sync snapshot: %w", err)
		}
	}
	if w.err != nil {
		err := w.err
		w.Abort()
		return err
	}
	if err := w.file.Close(); err != nil {
		w.err = fmt.Errorf("close snapshot: %w", err)
		_ = w.fsys.Remove(w.temp)
		return w.err
	}
	w.err = errFinished
	if err := w.fsys.Rename(w.temp, filepath.Join(w.dir, FileName(w.zxid))); err != nil {
		_ = w.fsys.Remove(w.temp)
		return fmt.Errorf("name snapshot: %w", err)
	}
	if err := w.fsys.SyncDir(w.dir); err != nil {
		return fmt.Errorf("name snapshot: %w", err)
	}
	return nil
}

var errFinished = errors.New("snapshot is finished")

// Abort gives the snapshot up. It does nothing behind Commit.
func (w *Writer) Abort() {
	if errors.Is(w.err, errFinished) {
		return
	}
	w.err = errFinished
	_ = w.file.Close()
	_ = w.fsys.Remove(w.temp) // what stays is removed by the next Recover
}

// Save writes the whole tree as a snapshot in one go and returns the name and size of the file. A
// server that goes on serving meanwhile uses Walk and Writer itself.
func Save(fsys disk.FS, dir string, t *tree.Tree) (name string, size int64, err error) {
	const slice = 1 << 20
	walk := t.NewSnapshot()
	w, err := Create(fsys, dir, walk.Zxid())
	if err != nil {
		return "", 0, err
	}
	var b []byte
	for done := false; !done; {
		b, done = walk.Next(b[:0], slice)
		if _, err := w.Write(b); err != nil {
			w.Abort()
			return "", 0, err
		}
	}
	return filepath.Join(dir, FileName(walk.Zxid())), w.Size(), w.Commit()
}

// removeTemps removes what snapshots left that were not finished.
func removeTemps(fsys disk.FS, dir string) error {
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("list snapshots: %w", err)
	}
	for _, name := range names {
		if !strings.HasPrefix(name, tempPrefix) {
			continue
		}
		if err := fsys.Remove(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("remove an unfinished snapshot: %w", err)
		}
	}
	return nil
}

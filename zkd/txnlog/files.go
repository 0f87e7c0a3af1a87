package txnlog

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
)

const prefix = "log."

// FileName is the name of the file whose first record has a zxid.
func FileName(zxid int64) string { return prefix + strconv.FormatUint(uint64(zxid), 16) }

// ParseName returns the zxid in a file name.
func ParseName(name string) (zxid int64, ok bool) {
	hex, found := strings.CutPrefix(name, prefix)
	if !found {
		return 0, false
	}
	v, err := strconv.ParseUint(hex, 16, 64)
	return int64(v), err == nil
}

// FileInfo is a file of the log.
type FileInfo struct {
	Name string // in the directory
	Zxid int64  // of its first record
}

// Files lists the log files in a directory, oldest first. A directory that is missing has none.
func Files(fsys disk.FS, dir string) ([]FileInfo, error) {
	names, err := fsys.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list transaction logs: %w", err)
	}
	var files []FileInfo
	for _, name := range names {
		if zxid, ok := ParseName(name); ok {
			files = append(files, FileInfo{Name: name, Zxid: zxid})
		}
	}
	slices.SortFunc(files, func(a, b FileInfo) int { return cmp.Compare(a.Zxid, b.Zxid) })
	return files, nil
}

// Needed cuts files down to those that may hold transactions behind zxid: the newest that begins
// at or before it, and all newer ones.
func Needed(files []FileInfo, zxid int64) []FileInfo {
	start := 0
	for i, f := range files {
		if f.Zxid <= zxid {
			start = i
		}
	}
	return files[start:]
}

// Truncate removes every transaction behind zxid. The log must not be open.
func Truncate(fsys disk.FS, dir string, zxid int64) error {
	files, err := Files(fsys, dir)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("truncate transaction log to 0x%x: no log files in %s; "+
			"were they deleted, or was dataLogDir changed?", zxid, dir)
	}
	keep := len(files) - 1
	for keep >= 0 && files[keep].Zxid > zxid {
		keep--
	}
	end := int64(0)
	if keep >= 0 { // first, as the file may be damaged
		if end, err = endOf(fsys, dir, files[keep], zxid); err != nil {
			return err
		}
	}
	// From the end, so that a power cut on the way leaves a log without a hole.
	for i := len(files) - 1; i > keep; i-- {
		if err := remove(fsys, dir, filepath.Join(dir, files[i].Name)); err != nil {
			return err
		}
	}
	if keep < 0 {
		return nil
	}
	return cut(fsys, filepath.Join(dir, files[keep].Name), end)
}

func remove(fsys disk.FS, dir, name string) error {
	if err := fsys.Remove(name); err != nil {
		return fmt.Errorf("remove transaction log: %w", err)
	}
	return fsys.SyncDir(dir)
}

// endOf finds where the last record up to zxid ends.
func endOf(fsys disk.FS, dir string, file FileInfo, zxid int64) (int64, error) {
	f, err := openFile(fsys, filepath.Join(dir, file.Name), file.Zxid, true)
	if err != nil {
		return 0, err
	}
	defer f.close()
	end := int64(headerSize)
	for {
		rec, err := f.next()
		if err != nil {
			return 0, err
		}
		if rec.Data == nil {
			_, _, err := f.examine()
			return end, err
		}
		if rec.Zxid > zxid {
			return end, nil
		}
		end = rec.Offset + recordHead + int64(len(rec.Data)) + 1
	}
}

func cut(fsys disk.FS, name string, end int64) error {
	f, err := fsys.OpenRW(name)
	if err != nil {
		return fmt.Errorf("truncate transaction log: %w", err)
	}
	defer func() { _ = f.Close() }()
	if err := f.Truncate(end); err != nil {
		return fmt.Errorf("truncate transaction log: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("truncate transaction log: %w", err)
	}
	return nil
}

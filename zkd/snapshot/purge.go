package snapshot

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"zkafka/zkd/disk"
	"zkafka/zkd/txnlog"
)

// MinRetain is the least number of snapshots that a purge keeps, whatever is asked.
const MinRetain = 3

// PurgeList tells which snapshots and logs are not needed any more: all snapshots but the newest
// retain valid ones, and the logs whose transactions are all in the oldest one kept. Without a
// valid snapshot nothing is listed.
func PurgeList(fsys disk.FS, snapDir, logDir string, retain int) ([]string, error) {
	retain = max(retain, MinRetain)
	snaps, err := Files(fsys, snapDir)
	if err != nil {
		return nil, err
	}
	valid, oldest := 0, int64(0)
	for _, s := range snaps {
		if valid == retain {
			break
		}
		if looksValid(fsys, filepath.Join(snapDir, s.Name), s.Codec) {
			valid++
			oldest = s.Zxid
		}
	}
	if valid == 0 {
		return nil, nil
	}
	var list []string
	for _, s := range snaps {
		if s.Zxid < oldest {
			list = append(list, filepath.Join(snapDir, s.Name))
		}
	}
	logs, err := txnlog.Files(fsys, logDir)
	if err != nil {
		return nil, err
	}
	needed := txnlog.Needed(logs, oldest)
	for _, l := range logs[:len(logs)-len(needed)] {
		list = append(list, filepath.Join(logDir, l.Name))
	}
	return list, nil
}

// Purge removes what PurgeList tells, snapshots before the logs they need, and returns what it has
// removed.
func Purge(fsys disk.FS, snapDir, logDir string, retain int) (removed []string, err error) {
	list, err := PurgeList(fsys, snapDir, logDir, retain)
	if err != nil {
		return nil, err
	}
	for _, name := range list {
		if err := fsys.Remove(name); err != nil {
			return removed, fmt.Errorf("purge: %w", err)
		}
		removed = append(removed, name)
	}
	return removed, nil
}

// looksValid is upstream's quick test: a plain file ends in the string "/", a compressed one
// begins with its magic number.
func looksValid(fsys disk.FS, path string, codec Codec) bool {
	f, err := fsys.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	size, err := f.Size()
	if err != nil || size < 10 {
		return false
	}
	var b [8]byte
	switch codec {
	case Gzip:
		return readAt(f, b[:2], 0) && b[0] == 0x1f && b[1] == 0x8b
	case Snappy:
		return readAt(f, b[:8], 0) && string(b[:]) == string(xerialMagic)
	case Plain:
	}
	return readAt(f, b[:5], size-5) && string(b[:5]) == "\x00\x00\x00\x01/"
}

func readAt(f disk.File, b []byte, off int64) bool {
	n, err := f.ReadAt(b, off)
	return n == len(b) && (err == nil || errors.Is(err, io.EOF))
}

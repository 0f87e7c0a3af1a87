package txnlog

import (
	"fmt"
	"path/filepath"

	"zkafka/zkd/disk"
)

// Healed is a file that Heal has changed.
type Healed struct {
	File    string
	Offset  int64 // where it was cut
	Removed bool  // or that it was removed, having no whole header
	Whole   int64 // offset of a whole record that went too, as one before it was torn; 0 for none
	Damaged bool  // the last record was, rather than torn: it may have been acknowledged
}

// Heal makes the log one that can be believed and built upon.
//
// It settles the newest file and the names in the directory: a run that was killed leaves records
// that only the cache has, and whoever acknowledges a transaction behind them vouches for them too;
// a run whose sync failed leaves records that the cache has and the disk will never get.
//
// Then it cuts off what a power cut left of the last write, which was never acknowledged: the
// newest file is truncated behind its last whole record, or removed when it has no whole header.
// Earlier files were complete before their successor was begun and are not touched. Damage that a
// power cut does not explain is a *CorruptError, and nothing is cut off then.
func Heal(fsys disk.FS, dir string) ([]Healed, error) {
	files, err := Files(fsys, dir)
	if err != nil || len(files) == 0 {
		return nil, err
	}
	if err := fsys.SyncDir(dir); err != nil {
		return nil, fmt.Errorf("make the names of the transaction logs durable: %w", err)
	}
	var healed []Healed
	for i := len(files) - 1; i >= 0; i-- {
		name := filepath.Join(dir, files[i].Name)
		h, err := healFile(fsys, name, files[i].Zxid)
		if err != nil {
			return healed, err
		}
		if h.File != "" {
			healed = append(healed, h)
		}
		if !h.Removed {
			break // else the one before is the newest now
		}
	}
	return healed, nil
}

func healFile(fsys disk.FS, name string, zxid int64) (Healed, error) {
	f, err := openFile(fsys, name, zxid, true)
	if err != nil {
		return Healed{}, err
	}
	defer f.close()
	for {
		rec, err := f.next()
		if err != nil {
			return Healed{}, err
		}
		if rec.Data == nil {
			break
		}
	}
	torn, next, err := f.examine()
	if err != nil || !torn {
		return Healed{}, err
	}
	h := Healed{File: name, Offset: f.off, Whole: next.off}
	if next.off == 0 {
		if h.Damaged, err = f.doubtful(); err != nil {
			return Healed{}, err
		}
	}
	if f.torn == tearHeader {
		h.Removed = true
		return h, remove(fsys, filepath.Dir(name), name)
	}
	return h, cut(fsys, name, f.off)
}

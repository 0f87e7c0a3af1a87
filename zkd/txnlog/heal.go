package txnlog

import (
	"path/filepath"

	"zkafka/zkd/disk"
)

// Healed says what Heal has done.
type Healed struct {
	File    string // "" when nothing was torn
	Offset  int64  // where it was cut
	Removed bool   // or that it was removed, having no whole header
}

// Heal cuts off what a power cut left of the last write, which was never acknowledged: the newest
// file is truncated behind its last whole record, or removed when it has no whole header. Earlier
// files were complete before their successor was begun and are not touched. Damage that a power
// cut does not explain is a *CorruptError.
func Heal(fsys disk.FS, dir string) (Healed, error) {
	files, err := Files(fsys, dir)
	if err != nil || len(files) == 0 {
		return Healed{}, err
	}
	name := filepath.Join(dir, files[len(files)-1].Name)
	f, err := openFile(fsys, name)
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
	switch f.torn {
	case tearNone:
		return Healed{}, nil
	case tearHeader:
		return Healed{File: name, Removed: true}, remove(fsys, dir, name)
	case tearSum:
		ok, err := f.excusable()
		if err != nil {
			return Healed{}, err
		}
		if !ok {
			return Healed{}, &CorruptError{File: name, Offset: f.off,
				Reason: "the checksum is wrong and more records follow"}
		}
	case tearRecord:
	}
	return Healed{File: name, Offset: f.off}, cut(fsys, name, f.off)
}

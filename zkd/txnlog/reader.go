package txnlog

import (
	"fmt"
	"io"
	"path/filepath"

	"zkafka/zkd/disk"
)

// Record is a transaction in the log.
type Record struct {
	Zxid   int64
	Data   []byte // the encoded transaction; valid until the next one is read
	File   string
	Offset int64 // of the record in the file
}

// CorruptError says that a log holds what no writer and no power cut leaves.
type CorruptError struct {
	File   string
	Offset int64
	Reason string
	Way    string // what the operator can do, "" when nothing is known
}

func (e *CorruptError) Error() string {
	text := fmt.Sprintf("transaction log %s is corrupt at offset %d: %s", e.File, e.Offset, e.Reason)
	if e.Way != "" {
		text += "; nothing was cut off. Way out: " + e.Way
	}
	return text
}

// Reader iterates over the transactions of a log.
type Reader struct {
	fsys  disk.FS
	dir   string
	files []FileInfo
	from  int64
	cur   *logFile
}

// ReadFrom returns the transactions from zxid on, of a log that Heal has been at. What is read is
// on the disk: earlier files are settled as Heal settles the newest.
func ReadFrom(fsys disk.FS, dir string, zxid int64) (*Reader, error) {
	files, err := Files(fsys, dir)
	if err != nil {
		return nil, err
	}
	return &Reader{fsys: fsys, dir: dir, files: Needed(files, zxid), from: zxid}, nil
}

// Next returns the next transaction, io.EOF behind the last one, and a *CorruptError for damage. A
// file that ends in a torn record is passed over when the next one goes on where it breaks.
func (r *Reader) Next() (Record, error) {
	for {
		if r.cur == nil {
			if len(r.files) == 0 {
				return Record{}, io.EOF
			}
			if err := r.nextFile(); err != nil {
				return Record{}, err
			}
		}
		rec, err := r.cur.next()
		if err != nil {
			return Record{}, err
		}
		if rec.Data == nil {
			if err := r.endFile(); err != nil {
				return Record{}, err
			}
			continue
		}
		// The run that began the next file had recovered everything before it, and nothing else:
		// what has come up again behind that place, say after a truncation that a power cut has
		// undone, is not part of the history.
		abandoned := len(r.files) > 0 && rec.Zxid >= r.files[0].Zxid
		if rec.Zxid >= r.from && !abandoned {
			return rec, nil
		}
	}
}

func (r *Reader) nextFile() error {
	file := r.files[0]
	f, err := openFile(r.fsys, filepath.Join(r.dir, file.Name), file.Zxid, len(r.files) > 1)
	if err != nil {
		return err
	}
	r.cur = f
	r.files = r.files[1:]
	return nil
}

func (r *Reader) endFile() error {
	f := r.cur
	r.cur = nil
	defer f.close()
	if len(r.files) > 0 {
		return f.passedOn(r.files[0].Zxid)
	}
	if f.torn == tearSum || f.torn == tearLength {
		return f.corrupt(f.reason)
	}
	return nil
}

// Close gives up the file that is being read.
func (r *Reader) Close() {
	if r.cur != nil {
		r.cur.close()
		r.cur = nil
	}
}

package index

import (
	"io"
	"os"
	"strings"

	"zkafka/kafkad/disk"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// FilePrefix starts the names of all files of the index. They lie flat in the log directory:
// Apache's broker refuses to start when it finds a directory there that is no partition's, but
// ignores files.
const FilePrefix = ".kafkad-index."

// virtual is the directory pebble believes in.
const virtual = "kafkad-index"

// flatFS shows pebble a directory whose files are those of the log directory with FilePrefix.
type flatFS struct {
	*freezer
	dir  string // the log directory
	fake string // the virtual directory
}

func newFlatFS(fs disk.FS, dir string) (*flatFS, error) {
	frozen, err := newFreezer(fs, dir)
	if err != nil {
		return nil, err
	}
	return &flatFS{frozen, dir, fs.PathJoin(dir, virtual)}, nil
}

func (f *flatFS) real(name string) string {
	if name == f.fake {
		return f.dir
	}
	if base, ok := strings.CutPrefix(name, f.fake+"/"); ok {
		return f.PathJoin(f.dir, FilePrefix+base)
	}
	return name
}

func (f *flatFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.freezer.Create(f.real(name), c)
}

func (f *flatFS) Link(oldname, newname string) error {
	return f.freezer.Link(f.real(oldname), f.real(newname))
}

func (f *flatFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.freezer.Open(f.real(name), opts...)
}

func (f *flatFS) OpenReadWrite(name string, c vfs.DiskWriteCategory,
	opts ...vfs.OpenOption) (vfs.File, error) {
	return f.freezer.OpenReadWrite(f.real(name), c, opts...)
}

func (f *flatFS) OpenDir(name string) (vfs.File, error) { return f.freezer.OpenDir(f.real(name)) }

func (f *flatFS) Remove(name string) error { return f.freezer.Remove(f.real(name)) }

func (f *flatFS) RemoveAll(name string) error { return f.freezer.RemoveAll(f.real(name)) }

func (f *flatFS) Rename(oldname, newname string) error {
	return f.freezer.Rename(f.real(oldname), f.real(newname))
}

func (f *flatFS) ReuseForWrite(oldname, newname string,
	c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.freezer.ReuseForWrite(f.real(oldname), f.real(newname), c)
}

func (f *flatFS) MkdirAll(dir string, perm os.FileMode) error {
	return f.freezer.MkdirAll(f.real(dir), perm)
}

func (f *flatFS) Lock(name string) (io.Closer, error) { return f.freezer.Lock(f.real(name)) }

func (f *flatFS) List(dir string) ([]string, error) {
	names, err := f.freezer.List(f.real(dir))
	if err != nil || dir != f.fake {
		return names, err
	}
	ours := names[:0]
	for _, n := range names {
		if base, ok := strings.CutPrefix(n, FilePrefix); ok {
			ours = append(ours, base)
		}
	}
	return ours, nil
}

func (f *flatFS) Stat(name string) (vfs.FileInfo, error) { return f.freezer.Stat(f.real(name)) }

func (f *flatFS) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	return f.freezer.GetDiskUsage(f.real(path))
}

// Unwrap returns nil: what lies below has other names.
func (f *flatFS) Unwrap() vfs.FS { return nil }

// removeFiles deletes every file of the index.
func (f *flatFS) removeFiles() error {
	names, err := f.List(f.fake)
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := f.freezer.Remove(f.PathJoin(f.dir, FilePrefix+n)); err != nil {
			return err
		}
	}
	return nil
}

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
	disk.FS
	dir  string // the log directory
	fake string // the virtual directory
}

func newFlatFS(fs disk.FS, dir string) *flatFS {
	return &flatFS{FS: fs, dir: dir, fake: fs.PathJoin(dir, virtual)}
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
	return f.FS.Create(f.real(name), c)
}

func (f *flatFS) Link(oldname, newname string) error {
	return f.FS.Link(f.real(oldname), f.real(newname))
}

func (f *flatFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.FS.Open(f.real(name), opts...)
}

func (f *flatFS) OpenReadWrite(name string, c vfs.DiskWriteCategory,
	opts ...vfs.OpenOption) (vfs.File, error) {
	return f.FS.OpenReadWrite(f.real(name), c, opts...)
}

func (f *flatFS) OpenDir(name string) (vfs.File, error) { return f.FS.OpenDir(f.real(name)) }

func (f *flatFS) Remove(name string) error { return f.FS.Remove(f.real(name)) }

func (f *flatFS) RemoveAll(name string) error { return f.FS.RemoveAll(f.real(name)) }

func (f *flatFS) Rename(oldname, newname string) error {
	return f.FS.Rename(f.real(oldname), f.real(newname))
}

func (f *flatFS) ReuseForWrite(oldname, newname string,
	c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.FS.ReuseForWrite(f.real(oldname), f.real(newname), c)
}

func (f *flatFS) MkdirAll(dir string, perm os.FileMode) error {
	return f.FS.MkdirAll(f.real(dir), perm)
}

func (f *flatFS) Lock(name string) (io.Closer, error) { return f.FS.Lock(f.real(name)) }

func (f *flatFS) List(dir string) ([]string, error) {
	names, err := f.FS.List(f.real(dir))
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

func (f *flatFS) Stat(name string) (vfs.FileInfo, error) { return f.FS.Stat(f.real(name)) }

func (f *flatFS) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	return f.FS.GetDiskUsage(f.real(path))
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
		if err := f.FS.Remove(f.PathJoin(f.dir, FilePrefix+n)); err != nil {
			return err
		}
	}
	return nil
}

package disk

import (
	"io"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Op names a call for fault injection.
type Op string

// The calls that a Fault is asked about.
const (
	OpOpen     Op = "open"
	OpCreate   Op = "create"
	OpRead     Op = "read"
	OpWrite    Op = "write"
	OpTruncate Op = "truncate"
	OpSync     Op = "sync"
	OpRename   Op = "rename"
	OpRemove   Op = "remove"
	OpMkdir    Op = "mkdir"
)

// Fault decides whether a call on a path fails; nil lets it pass. A failing write may leave the
// first half of its bytes, as a full disk does.
type Fault func(op Op, path string) error

// Mem is a file system in memory that knows what a power cut would leave. It keeps, for every file
// and directory, the durable state and the changes since the last sync. Crash makes the file system
// that the next boot finds: durable state plus an arbitrary part of the changes. Writes of one file
// may survive in any combination, torn at 512 bytes; the changes of one directory survive in order.
type Mem struct {
	mu    sync.Mutex
	root  *node
	locks map[string]bool
	fault Fault
}

// change is one change since the last sync.
type change struct {
	// of a file: bytes written at an offset, or the size set
	data     []byte
	offset   int64
	truncate bool
	// of a directory: names removed, then one name set
	unlink []string
	name   string
	target *node
}

type node struct {
	dir     bool
	mode    os.FileMode
	mtime   time.Time
	data    []byte // of a file
	durable []byte
	entries map[string]*node // of a directory
	synced  map[string]*node
	pending []change
}

func newDir() *node {
	return &node{dir: true, mode: os.ModeDir | 0o755, mtime: time.Now(),
		entries: map[string]*node{}, synced: map[string]*node{}}
}

// NewMem returns an empty file system.
func NewMem() *Mem { return &Mem{root: newDir(), locks: map[string]bool{}} }

// SetFault installs the fault decision; nil removes it.
func (m *Mem) SetFault(f Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = f
}

// Crash returns what a power cut at this moment leaves. The file system itself goes on, for the
// goroutines of the process that died.
func (m *Mem) Crash(rng *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := crasher{rng, map[*node]*node{}}
	return &Mem{root: c.node(m.root), locks: map[string]bool{}}
}

type crasher struct {
	rng  *rand.Rand
	done map[*node]*node
}

func (c *crasher) node(n *node) *node {
	if got := c.done[n]; got != nil {
		return got
	}
	out := &node{dir: n.dir, mode: n.mode, mtime: n.mtime}
	c.done[n] = out
	if !n.dir {
		out.durable = c.file(n)
		out.data = slices.Clone(out.durable)
		return out
	}
	entries := map[string]*node{}
	for name, child := range n.synced {
		entries[name] = child
	}
	keep := len(n.pending)
	switch c.rng.IntN(4) {
	case 0:
		keep = 0
	case 1, 2:
		keep = c.rng.IntN(keep + 1)
	}
	for _, ch := range n.pending[:keep] {
		ch.apply(entries)
	}
	names := make([]string, 0, len(entries))
	for name := range entries {
		names = append(names, name)
	}
	slices.Sort(names) // the same seed must give the same crash
	out.entries, out.synced = map[string]*node{}, map[string]*node{}
	for _, name := range names {
		child := c.node(entries[name])
		out.entries[name], out.synced[name] = child, child
	}
	return out
}

func (ch *change) apply(entries map[string]*node) {
	for _, u := range ch.unlink {
		delete(entries, u)
	}
	if ch.name != "" {
		entries[ch.name] = ch.target
	}
}

func (c *crasher) file(n *node) []byte {
	const sector = 512
	out := slices.Clone(n.durable)
	style := c.rng.IntN(4)
	upTo := c.rng.IntN(len(n.pending) + 1)
	for i, ch := range n.pending {
		switch style {
		case 0: // nothing
			continue
		case 1: // everything
		case 2: // in order, up to some write
			if i >= upTo {
				continue
			}
		default:
			if c.rng.IntN(3) == 0 {
				continue
			}
		}
		if ch.truncate {
			out = resize(out, ch.offset)
			continue
		}
		if style != 3 || c.rng.IntN(2) == 0 {
			out = writeAt(out, ch.data, ch.offset)
			continue
		}
		for at := 0; at < len(ch.data); at += sector {
			if c.rng.IntN(2) == 0 {
				out = writeAt(out, ch.data[at:min(at+sector, len(ch.data))], ch.offset+int64(at))
			}
		}
	}
	return out
}

func resize(b []byte, size int64) []byte {
	if int64(len(b)) >= size {
		return b[:size]
	}
	return append(b, make([]byte, size-int64(len(b)))...)
}

func writeAt(b, data []byte, offset int64) []byte {
	if end := offset + int64(len(data)); end > int64(len(b)) {
		b = resize(b, end)
	}
	copy(b[offset:], data)
	return b
}

func (n *node) sync() {
	if n.dir {
		n.synced = map[string]*node{}
		for name, child := range n.entries {
			n.synced[name] = child
		}
	} else {
		for _, ch := range n.pending {
			if ch.truncate {
				n.durable = resize(n.durable, ch.offset)
			} else {
				n.durable = writeAt(n.durable, ch.data, ch.offset)
			}
		}
	}
	n.pending = nil
}

func split(name string) []string {
	return strings.FieldsFunc(path.Clean("/"+name), func(r rune) bool { return r == '/' })
}

func pathError(op, name string, err error) error {
	return &os.PathError{Op: op, Path: name, Err: err}
}

// check asks the fault hook. The caller holds the lock.
func (m *Mem) check(op Op, name string) error {
	if m.fault == nil {
		return nil
	}
	if err := m.fault(op, name); err != nil {
		return pathError(string(op), name, err)
	}
	return nil
}

func (m *Mem) find(name string) (*node, error) {
	n := m.root
	for _, part := range split(name) {
		if !n.dir {
			return nil, pathError("open", name, syscall.ENOTDIR)
		}
		if n = n.entries[part]; n == nil {
			return nil, pathError("open", name, os.ErrNotExist)
		}
	}
	return n, nil
}

// parent returns the directory of name and its last part.
func (m *Mem) parent(name string) (*node, string, error) {
	parts := split(name)
	if len(parts) == 0 {
		return nil, "", pathError("open", name, os.ErrInvalid)
	}
	d, err := m.find(strings.Join(parts[:len(parts)-1], "/"))
	if err != nil {
		return nil, "", pathError("open", name, os.ErrNotExist)
	}
	if !d.dir {
		return nil, "", pathError("open", name, syscall.ENOTDIR)
	}
	return d, parts[len(parts)-1], nil
}

func (n *node) change(ch change) {
	ch.apply(n.entries)
	n.pending = append(n.pending, ch)
	n.mtime = time.Now()
}

func (m *Mem) open(name string, flag Flag, fresh bool) (*memFile, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, base, err := m.parent(name)
	if err != nil {
		return nil, err
	}
	n := d.entries[base]
	if n != nil && !fresh {
		if err := m.check(OpOpen, name); err != nil {
			return nil, err
		}
		return &memFile{fs: m, n: n, name: name, writable: flag != ReadOnly}, nil
	}
	if flag != Create {
		return nil, pathError("open", name, os.ErrNotExist)
	}
	if err := m.check(OpCreate, name); err != nil {
		return nil, err
	}
	n = &node{mode: 0o644, mtime: time.Now()}
	d.change(change{name: base, target: n})
	return &memFile{fs: m, n: n, name: name, writable: true}, nil
}

// OpenFile implements FS.
func (m *Mem) OpenFile(name string, flag Flag) (File, error) {
	return nilOnError(m.open(name, flag, false))
}

func nilOnError(f *memFile, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Create implements vfs.FS.
func (m *Mem) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	return nilOnError(m.open(name, Create, true))
}

// Open implements vfs.FS; it opens directories too.
func (m *Mem) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if len(split(name)) == 0 {
		return m.OpenDir(name)
	}
	f, err := m.open(name, ReadOnly, false)
	if err != nil {
		return nil, err
	}
	for _, o := range opts {
		o.Apply(f)
	}
	return f, nil
}

// OpenReadWrite implements vfs.FS.
func (m *Mem) OpenReadWrite(name string, _ vfs.DiskWriteCategory,
	opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := m.open(name, Create, false)
	if err != nil {
		return nil, err
	}
	for _, o := range opts {
		o.Apply(f)
	}
	return f, nil
}

// OpenDir implements vfs.FS.
func (m *Mem) OpenDir(name string) (vfs.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(name)
	if err != nil {
		return nil, err
	}
	return &memFile{fs: m, n: n, name: name}, nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(dir string) error {
	f, err := m.OpenDir(dir)
	if err != nil {
		return err
	}
	return f.Sync()
}

// SyncAll implements FS.
func (m *Mem) SyncAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(OpSync, dir); err != nil {
		return err
	}
	m.root.syncTree()
	return nil
}

func (n *node) syncTree() {
	n.sync()
	for _, child := range n.entries {
		child.syncTree()
	}
}

// Link implements vfs.FS.
func (m *Mem) Link(oldname, newname string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(oldname)
	if err != nil {
		return err
	}
	d, base, err := m.parent(newname)
	if err != nil {
		return err
	}
	if d.entries[base] != nil {
		return pathError("link", newname, os.ErrExist)
	}
	d.change(change{name: base, target: n})
	return nil
}

// Remove implements vfs.FS.
func (m *Mem) Remove(name string) error { return m.remove(name, false) }

// RemoveAll implements vfs.FS.
func (m *Mem) RemoveAll(name string) error {
	if err := m.remove(name, true); err != nil && !os.IsNotExist(err) {
		return err
	}
	return nil
}

func (m *Mem) remove(name string, all bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, base, err := m.parent(name)
	if err != nil {
		return err
	}
	n := d.entries[base]
	if n == nil {
		return pathError("remove", name, os.ErrNotExist)
	}
	if err := m.check(OpRemove, name); err != nil {
		return err
	}
	if n.dir && len(n.entries) > 0 && !all {
		return pathError("remove", name, syscall.ENOTEMPTY)
	}
	d.change(change{unlink: []string{base}})
	return nil
}

// Rename implements vfs.FS. Between directories the two halves may survive a crash separately.
func (m *Mem) Rename(oldname, newname string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, oldBase, err := m.parent(oldname)
	if err != nil {
		return err
	}
	to, newBase, err := m.parent(newname)
	if err != nil {
		return err
	}
	n := from.entries[oldBase]
	if n == nil {
		return pathError("rename", oldname, os.ErrNotExist)
	}
	if err := m.check(OpRename, oldname); err != nil {
		return err
	}
	if from == to {
		from.change(change{unlink: []string{oldBase}, name: newBase, target: n})
		return nil
	}
	to.change(change{name: newBase, target: n})
	from.change(change{unlink: []string{oldBase}})
	return nil
}

// ReuseForWrite implements vfs.FS.
func (m *Mem) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := m.Rename(oldname, newname); err != nil {
		return nil, err
	}
	return m.OpenReadWrite(newname, c)
}

// MkdirAll implements vfs.FS.
func (m *Mem) MkdirAll(dir string, _ os.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.root
	for _, part := range split(dir) {
		next := n.entries[part]
		if next == nil {
			if err := m.check(OpMkdir, dir); err != nil {
				return err
			}
			next = newDir()
			n.change(change{name: part, target: next})
		}
		if !next.dir {
			return pathError("mkdir", dir, syscall.ENOTDIR)
		}
		n = next
	}
	return nil
}

type memLock struct {
	m    *Mem
	name string
}

func (l memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locks, l.name)
	return nil
}

// Lock implements vfs.FS.
func (m *Mem) Lock(name string) (io.Closer, error) {
	if _, err := m.open(name, Create, false); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	name = path.Clean(name)
	if m.locks[name] {
		return nil, pathError("lock", name, ErrHeld)
	}
	m.locks[name] = true
	return memLock{m, name}, nil
}

// List implements vfs.FS; the names come sorted.
func (m *Mem) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(dir)
	if err != nil {
		return nil, err
	}
	if !n.dir {
		return nil, pathError("list", dir, syscall.ENOTDIR)
	}
	names := make([]string, 0, len(n.entries))
	for name := range n.entries {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// Stat implements vfs.FS.
func (m *Mem) Stat(name string) (vfs.FileInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.find(name)
	if err != nil {
		return nil, err
	}
	return n.info(path.Base(name)), nil
}

// PathBase implements vfs.FS.
func (m *Mem) PathBase(p string) string { return path.Base(p) }

// PathJoin implements vfs.FS.
func (m *Mem) PathJoin(elem ...string) string { return path.Join(elem...) }

// PathDir implements vfs.FS.
func (m *Mem) PathDir(p string) string { return path.Dir(p) }

// GetDiskUsage implements vfs.FS with a disk that never fills.
func (m *Mem) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: 1 << 40, TotalBytes: 1 << 41, UsedBytes: 1 << 40}, nil
}

// Unwrap implements vfs.FS.
func (m *Mem) Unwrap() vfs.FS { return nil }

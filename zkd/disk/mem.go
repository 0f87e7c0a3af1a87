package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
)

// Mem is a filesystem in memory that knows what is durable. Crash gives the filesystem that a
// machine would find after the power was cut, Kill the one that a process finds whose predecessor
// was killed; CutAfter ends either in the middle of an operation's steps; Fail makes operations
// fail.
//
// Invariant: a node's durable content plus its pending writes in order is its content, unless a
// Sync of it has failed: then the content also shows what is lost, until Forget. The durable names
// of a directory plus the pending changes are its names.
type Mem struct {
	mu     sync.Mutex
	dirs   map[string]*memDir
	locks  map[string]bool
	faults []*Fault
	steps  int // changing operations left before the power goes; negative for no limit
	done   int // changing operations performed
	free   uint64
}

// ErrPowerCut is what every operation returns after the power is gone.
var ErrPowerCut = errors.New("the power is cut")

type memDir struct {
	names   map[string]*memNode
	durable map[string]*memNode
	pending []nameChange
}

// nameChange is a creation, renaming or removal not yet durable. Both sides of a renaming stay or
// go together.
type nameChange struct {
	set    string // "" for none
	node   *memNode
	remove string // "" for none
}

type memNode struct {
	now     content
	durable content
	pending []write
}

// content is the bytes of a file; behind data it is zeros up to size.
type content struct {
	data []byte
	size int64
}

// write is a change of content not yet durable; without data it sets the size to off.
type write struct {
	off  int64
	data []byte
}

// NewMem returns an empty filesystem with the directory "/".
func NewMem() *Mem {
	return &Mem{
		dirs: map[string]*memDir{"/": newMemDir()}, locks: map[string]bool{},
		steps: -1, free: math.MaxInt64,
	}
}

func newMemDir() *memDir {
	return &memDir{names: map[string]*memNode{}, durable: map[string]*memNode{}}
}

// CutAfter lets n more changing operations (creations, writes, syncs, ...) happen; from then on
// everything fails with ErrPowerCut. What the last of them did is as unsure as any unsynced write.
func (m *Mem) CutAfter(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.steps = n
}

// Steps is the number of changing operations so far: the places where CutAfter can cut.
func (m *Mem) Steps() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.done
}

// SetFree sets what Free tells.
func (m *Mem) SetFree(bytes uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free = bytes
}

// Crash cuts the power and returns what the next start finds. Of what was written since the last
// Sync of a file, each sector has reached the disk or not; each change of names since the last
// SyncDir is lost or kept. Locks are gone. The receiver answers everything with ErrPowerCut from
// now on.
func (m *Mem) Crash(rng *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.steps = 0
	after := NewMem()
	after.free = m.free
	moved := map[*memNode]*memNode{}
	for _, dir := range sortedKeys(m.dirs) {
		d := m.dirs[dir]
		names := make(map[string]*memNode, len(d.durable))
		for name, node := range d.durable {
			names[name] = node
		}
		for _, c := range d.pending {
			if rng.IntN(2) == 0 {
				continue
			}
			c.apply(names)
		}
		got := newMemDir()
		for _, name := range sortedKeys(names) {
			node := names[name]
			if moved[node] == nil {
				moved[node] = node.crash(rng)
			}
			got.names[name] = moved[node]
			got.durable[name] = moved[node]
		}
		after.dirs[dir] = got
	}
	return after
}

// Kill ends the process and returns what the next one finds: everything that was written, durable
// or not. Locks are gone. The receiver answers everything with ErrPowerCut from now on.
func (m *Mem) Kill() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.steps = 0
	after := NewMem()
	after.free = m.free
	after.dirs = m.dirs // which the receiver does not touch any more
	return after
}

func (n *memNode) crash(rng *rand.Rand) *memNode {
	c := n.durable.clone()
	land(&c, n.pending, rng)
	return &memNode{now: c, durable: c.clone()}
}

func (c nameChange) apply(names map[string]*memNode) {
	if c.remove != "" {
		delete(names, c.remove)
	}
	if c.set != "" {
		names[c.set] = c.node
	}
}

func (c *content) clone() content {
	return content{data: slices.Clone(c.data), size: c.size}
}

func (c *content) apply(w write) {
	if w.data == nil {
		c.size = w.off
		if int64(len(c.data)) > c.size {
			c.data = c.data[:c.size:c.size]
		}
		return
	}
	end := w.off + int64(len(w.data))
	if int64(len(c.data)) < end {
		if int64(cap(c.data)) < end {
			c.data = append(make([]byte, 0, max(end, 2*int64(cap(c.data)))), c.data...)
		}
		old := len(c.data)
		c.data = c.data[:end]
		clear(c.data[old:])
	}
	copy(c.data[w.off:], w.data)
	c.size = max(c.size, end)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// find returns the node of a name and the directory it is in.
func (m *Mem) find(op, name string) (*memDir, string, *memNode, error) {
	dir, base := path.Split(clean(name))
	d := m.dirs[clean(dir)]
	if d == nil {
		return nil, "", nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return d, base, d.names[base], nil
}

func clean(name string) string { return path.Clean("/" + name) }

// Open implements FS.
func (m *Mem) Open(name string) (File, error) { return m.open(name, true) }

// OpenRW implements FS.
func (m *Mem) OpenRW(name string) (File, error) { return m.open(name, false) }

func (m *Mem) open(name string, readOnly bool) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.check(OpOpen, name, 0); err != nil {
		return nil, err
	}
	_, _, node, err := m.find("open", name)
	if err != nil {
		return nil, err
	}
	if node == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &memFile{m: m, node: node, name: name, readOnly: readOnly}, nil
}

// Create implements FS.
func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.check(OpCreate, name, 0); err != nil {
		return nil, err
	}
	d, base, node, err := m.find("create", name)
	if err != nil {
		return nil, err
	}
	if node == nil {
		node = &memNode{}
		d.change(nameChange{set: base, node: node})
	} else {
		node.write(write{off: 0})
	}
	return &memFile{m: m, node: node, name: name}, nil
}

func (d *memDir) change(c nameChange) {
	c.apply(d.names)
	d.pending = append(d.pending, c)
}

// Rename implements FS.
func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.check(OpRename, from, 0); err != nil {
		return err
	}
	d, base, node, err := m.find("rename", from)
	if err != nil {
		return err
	}
	if node == nil {
		return &fs.PathError{Op: "rename", Path: from, Err: fs.ErrNotExist}
	}
	other, toBase, _, err := m.find("rename", to)
	if err != nil {
		return err
	}
	if other != d {
		return &fs.PathError{Op: "rename", Path: to, Err: errors.New("not in the same directory")}
	}
	d.change(nameChange{set: toBase, node: node, remove: base})
	return nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.check(OpRemove, name, 0); err != nil {
		return err
	}
	if d := m.dirs[clean(name)]; d != nil {
		if len(d.names) > 0 {
			return &fs.PathError{Op: "remove", Path: name, Err: errors.New("directory not empty")}
		}
		delete(m.dirs, clean(name))
		return nil
	}
	d, base, node, err := m.find("remove", name)
	if err != nil {
		return err
	}
	if node == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	d.change(nameChange{remove: base})
	return nil
}

// ReadDir implements FS.
func (m *Mem) ReadDir(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.check(OpReadDir, dir, 0); err != nil {
		return nil, err
	}
	d := m.dirs[clean(dir)]
	if d == nil {
		return nil, &fs.PathError{Op: "readdir", Path: dir, Err: fs.ErrNotExist}
	}
	names := sortedKeys(d.names)
	prefix := strings.TrimSuffix(clean(dir), "/") + "/"
	for sub := range m.dirs {
		rest, ok := strings.CutPrefix(sub, prefix)
		if ok && rest != "" && !strings.Contains(rest, "/") {
			names = append(names, rest)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Stat implements FS.
func (m *Mem) Stat(name string) (Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.check(OpStat, name, 0); err != nil {
		return Info{}, err
	}
	if m.dirs[clean(name)] != nil {
		return Info{Dir: true}, nil
	}
	_, _, node, err := m.find("stat", name)
	if err != nil {
		return Info{}, err
	}
	if node == nil {
		return Info{}, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return Info{Size: node.now.size}, nil
}

// MkdirAll implements FS. Directories are durable at once, as Real makes them.
func (m *Mem) MkdirAll(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dirs[clean(dir)] != nil {
		return nil
	}
	if _, err := m.check(OpMkdir, dir, 0); err != nil {
		return err
	}
	for d := clean(dir); m.dirs[d] == nil; d = path.Dir(d) {
		m.dirs[d] = newMemDir()
	}
	return nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.check(OpSyncDir, dir, 0); err != nil {
		return err
	}
	d := m.dirs[clean(dir)]
	if d == nil {
		return &fs.PathError{Op: "open", Path: dir, Err: fs.ErrNotExist}
	}
	for _, c := range d.pending {
		c.apply(d.durable)
	}
	d.pending = nil
	return nil
}

// Lock implements FS.
func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.check(OpLock, name, 0); err != nil {
		return nil, err
	}
	if m.locks[clean(name)] {
		return nil, &LockedError{Name: name}
	}
	d, base, node, err := m.find("lock", name)
	if err != nil {
		return nil, err
	}
	if node == nil {
		d.change(nameChange{set: base, node: &memNode{}})
	}
	m.locks[clean(name)] = true
	return &memLock{m: m, name: clean(name)}, nil
}

type memLock struct {
	m    *Mem
	name string
}

func (l *memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locks, l.name)
	return nil
}

// Free implements FS.
func (m *Mem) Free(dir string) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dirs[clean(dir)] == nil {
		return 0, &fs.PathError{Op: "statfs", Path: dir, Err: fs.ErrNotExist}
	}
	return m.free, nil
}

// String lists the files, for the messages of tests.
func (m *Mem) String() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var b strings.Builder
	for _, dir := range sortedKeys(m.dirs) {
		for _, name := range sortedKeys(m.dirs[dir].names) {
			n := m.dirs[dir].names[name]
			fmt.Fprintf(&b, "%s %d\n", path.Join(dir, name), n.now.size)
		}
	}
	return b.String()
}

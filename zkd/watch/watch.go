// Package watch keeps who watches which path: one-shot, persistent and persistent recursive
// watches.
//
// It is a pure machine, generic over what a watcher is, and owned by the replica's goroutine. It
// follows upstream's structure of two tables: the data table holds exists, getData, persistent and
// recursive watches, the child table holds getChildren and persistent ones. A watcher and a path
// meet in a table once, with a set of modes.
//
// Watchers are called in the order in which they registered, so that a run can be repeated.
package watch

import (
	"slices"
	"strings"

	"zkafka/zkd/proto"
)

// mode is a set of registrations of one watcher on one path of one table.
type mode uint8

const (
	oneShot mode = 1 << iota
	persistent
	recursive
)

// Manager holds both tables.
type Manager[W comparable] struct {
	data, child table[W]
}

// New returns an empty manager.
func New[W comparable]() *Manager[W] {
	return &Manager[W]{data: newTable[W](), child: newTable[W]()}
}

// AddData registers a one-shot watch as exists and getData do.
func (m *Manager[W]) AddData(path string, w W) { m.data.add(path, w, oneShot) }

// AddChild registers a one-shot watch as getChildren does.
func (m *Manager[W]) AddChild(path string, w W) { m.child.add(path, w, oneShot) }

// AddPersistent registers a watch that firing does not remove.
func (m *Manager[W]) AddPersistent(path string, w W) {
	m.data.add(path, w, persistent)
	m.child.add(path, w, persistent)
}

// AddRecursive registers a watch on path and everything below it that firing does not remove.
func (m *Manager[W]) AddRecursive(path string, w W) { m.data.add(path, w, recursive) }

// Trigger fires the watches for one event and appends to dst, each once, the watchers that must be
// told. For NodeChildrenChanged path is the parent. A deleted node fires its data watches and
// then its child watches, but a watcher that has both hears of it once.
func (m *Manager[W]) Trigger(dst []W, event proto.EventType, path string) []W {
	if event == proto.EventNodeChildrenChanged {
		return m.child.fire(dst, path)
	}
	from := len(dst)
	dst = m.data.fire(dst, path)
	if event != proto.EventNodeDeleted {
		return dst
	}
	mid := len(dst)
	dst = m.child.fire(dst, path)
	return dedupe(dst, from, mid)
}

// Contains says whether w has a watch on path of the given watcher type.
func (m *Manager[W]) Contains(path string, w W, kind int32) bool {
	data, child := modesOf(kind)
	return m.data.modes(path, w)&data != 0 || m.child.modes(path, w)&child != 0
}

// Remove drops the watches of w on path that the watcher type names and says whether there were
// any.
func (m *Manager[W]) Remove(path string, w W, kind int32) bool {
	data, child := modesOf(kind)
	inData := m.data.drop(path, w, data)
	inChild := m.child.drop(path, w, child)
	return inData || inChild
}

// RemoveAll drops everything that w watches.
func (m *Manager[W]) RemoveAll(w W) {
	m.data.removeWatcher(w)
	m.child.removeWatcher(w)
}

// modesOf translates the watcher type of a request, as 3.9 reads it, into modes of the two tables.
func modesOf(kind int32) (data, child mode) {
	switch kind {
	case proto.WatcherChildren:
		return 0, oneShot
	case proto.WatcherData:
		return oneShot, 0
	case proto.WatcherPersistent:
		return persistent, persistent
	case proto.WatcherPersistentRecursive:
		return recursive, 0
	case proto.WatcherAny:
		return oneShot | persistent | recursive, oneShot | persistent
	}
	return 0, 0
}

// Summary counts what the data table holds; upstream reports no others.
type Summary struct {
	Watchers, Paths, Watches int
}

// Summary returns the counts for wchs and the watch_count metric.
func (m *Manager[W]) Summary() Summary {
	return Summary{
		Watchers: len(m.data.paths),
		Paths:    len(m.data.lists),
		Watches:  m.data.size,
	}
}

// Each calls fn for every watcher and path of the data table, paths in order.
func (m *Manager[W]) Each(fn func(path string, w W)) {
	paths := make([]string, 0, len(m.data.lists))
	for p := range m.data.lists {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for _, p := range paths {
		for _, e := range m.data.lists[p] {
			fn(p, e.w)
		}
	}
}

type entry[W comparable] struct {
	w     W
	modes mode
}

// table maps paths to watchers and back. Invariants: no list is empty; size is the sum of the
// lengths of the lists; paths[w] has p exactly if lists[p] has an entry of w with a mode.
type table[W comparable] struct {
	lists     map[string][]entry[W]
	paths     map[W]map[string]struct{}
	size      int
	recursive int // entries with the recursive mode
}

func newTable[W comparable]() table[W] {
	return table[W]{lists: map[string][]entry[W]{}, paths: map[W]map[string]struct{}{}}
}

func (t *table[W]) add(path string, w W, md mode) {
	of := t.paths[w]
	if _, ok := of[path]; ok {
		list := t.lists[path]
		for i := range list {
			if list[i].w == w {
				t.recursive += added(list[i].modes, md)
				list[i].modes |= md
				return
			}
		}
	}
	if of == nil {
		of = map[string]struct{}{}
		t.paths[w] = of
	}
	of[path] = struct{}{}
	t.lists[path] = append(t.lists[path], entry[W]{w, md})
	t.recursive += added(0, md)
	t.size++
}

func added(old, md mode) int {
	if md&^old&recursive != 0 {
		return 1
	}
	return 0
}

// fire appends the watchers of path, and the recursive ones of its ancestors, and takes away the
// one-shot registrations of path.
func (t *table[W]) fire(dst []W, path string) []W {
	from := len(dst)
	if list := t.lists[path]; list != nil {
		kept := list[:0]
		for _, e := range list {
			dst = append(dst, e.w)
			if e.modes &^= oneShot; e.modes != 0 {
				kept = append(kept, e)
				continue
			}
			t.unlink(path, e.w)
		}
		t.store(path, list, kept)
	}
	if t.recursive == 0 {
		return dst
	}
	for p := path; p != "/"; {
		p = parent(p)
		mid := len(dst)
		for _, e := range t.lists[p] {
			if e.modes&recursive != 0 {
				dst = append(dst, e.w)
			}
		}
		dst = dedupe(dst, from, mid)
	}
	return dst
}

func parent(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

// dedupe removes from dst[mid:] what dst[from:mid] already has.
func dedupe[W comparable](dst []W, from, mid int) []W {
	if mid == from || mid == len(dst) {
		return dst
	}
	const few = 16
	if mid-from <= few {
		fresh := dst[:mid]
		for _, w := range dst[mid:] {
			if !slices.Contains(dst[from:mid], w) {
				fresh = append(fresh, w)
			}
		}
		return fresh
	}
	seen := make(map[W]struct{}, mid-from)
	for _, w := range dst[from:mid] {
		seen[w] = struct{}{}
	}
	fresh := dst[:mid]
	for _, w := range dst[mid:] {
		if _, ok := seen[w]; !ok {
			fresh = append(fresh, w)
		}
	}
	return fresh
}

func (t *table[W]) modes(path string, w W) mode {
	if _, ok := t.paths[w][path]; !ok {
		return 0
	}
	for _, e := range t.lists[path] {
		if e.w == w {
			return e.modes
		}
	}
	return 0
}

// drop removes the modes md of w on path and says whether there were any.
func (t *table[W]) drop(path string, w W, md mode) bool {
	have := t.modes(path, w)
	if have&md == 0 {
		return false
	}
	list := t.lists[path]
	i := slices.IndexFunc(list, func(e entry[W]) bool { return e.w == w })
	t.recursive -= added(0, have&md)
	if list[i].modes &^= md; list[i].modes == 0 {
		t.unlink(path, w)
		t.store(path, list, slices.Delete(list, i, i+1))
	}
	return true
}

func (t *table[W]) removeWatcher(w W) {
	for path := range t.paths[w] {
		list := t.lists[path]
		i := slices.IndexFunc(list, func(e entry[W]) bool { return e.w == w })
		t.recursive -= added(0, list[i].modes)
		t.size--
		t.store(path, list, slices.Delete(list, i, i+1))
	}
	delete(t.paths, w)
}

// unlink takes path out of the watcher's set.
func (t *table[W]) unlink(path string, w W) {
	t.size--
	of := t.paths[w]
	delete(of, path)
	if len(of) == 0 {
		delete(t.paths, w)
	}
}

// store puts a shortened list back, with the dropped tail cleared for the garbage collector.
func (t *table[W]) store(path string, old, kept []entry[W]) {
	clear(old[len(kept):])
	if len(kept) == 0 {
		delete(t.lists, path)
		return
	}
	t.lists[path] = kept
}

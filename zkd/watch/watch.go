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
		for _, e := range m.data.lists[p].entries {
			if e.modes != 0 {
				fn(p, e.w)
			}
		}
	}
}

// entry is a watcher of a path. One without modes has left; it is a hole in its list.
type entry[W comparable] struct {
	w     W
	modes mode
}

// list holds the watchers of a path in the order in which they registered. A watcher that leaves
// makes a hole, and the list closes up when there are more holes than watchers: to move the
// watchers behind each one that leaves would take quadratic time when all of them leave.
type list[W comparable] struct {
	entries   []entry[W]
	live      int32
	recursive int32 // entries with the recursive mode
}

// table maps paths to watchers and back. Invariants: every list has a live entry; size is the sum
// of the live entries, recursive that of the lists; paths[w] has p exactly if lists[p] has a live
// entry of w, and says where.
type table[W comparable] struct {
	lists     map[string]list[W]
	paths     map[W]map[string]int32
	size      int
	recursive int32
}

func newTable[W comparable]() table[W] {
	return table[W]{lists: map[string]list[W]{}, paths: map[W]map[string]int32{}}
}

func (t *table[W]) add(path string, w W, md mode) {
	of := t.paths[w]
	i, known := of[path]
	l := t.lists[path]
	if !known {
		if of == nil {
			of = map[string]int32{}
			t.paths[w] = of
		}
		i = int32(len(l.entries))
		of[path] = i
		l.entries = append(l.entries, entry[W]{w: w})
		l.live++
		t.size++
	}
	e := &l.entries[i]
	if md&^e.modes&recursive != 0 {
		l.recursive++
		t.recursive++
	}
	e.modes |= md
	t.lists[path] = l
}

// fire appends the watchers of path, and the recursive ones of its ancestors, and takes away the
// one-shot registrations of path.
func (t *table[W]) fire(dst []W, path string) []W {
	from := len(dst)
	if l, ok := t.lists[path]; ok {
		for i := range l.entries {
			e := &l.entries[i]
			if e.modes == 0 {
				continue
			}
			dst = append(dst, e.w)
			if e.modes &^= oneShot; e.modes == 0 {
				t.forget(path, e.w)
				*e = entry[W]{}
				l.live--
			}
		}
		t.store(path, l)
	}
	if t.recursive == 0 {
		return dst
	}
	for p := path; p != "/"; {
		p = parent(p)
		l := t.lists[p]
		if l.recursive == 0 {
			continue
		}
		mid := len(dst)
		for _, e := range l.entries {
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
	i, ok := t.paths[w][path]
	if !ok {
		return 0
	}
	return t.lists[path].entries[i].modes
}

// drop removes the modes md of w on path and says whether there were any.
func (t *table[W]) drop(path string, w W, md mode) bool {
	i, ok := t.paths[w][path]
	if !ok {
		return false
	}
	l := t.lists[path]
	e := &l.entries[i]
	if e.modes&md == 0 {
		return false
	}
	t.clear(&l, e, md)
	if e.modes == 0 {
		t.forget(path, w)
		*e = entry[W]{}
		l.live--
	}
	t.store(path, l)
	return true
}

func (t *table[W]) removeWatcher(w W) {
	for path, i := range t.paths[w] {
		l := t.lists[path]
		e := &l.entries[i]
		t.clear(&l, e, e.modes)
		*e = entry[W]{}
		l.live--
		t.size--
		t.store(path, l)
	}
	delete(t.paths, w)
}

// clear takes modes away from an entry of l.
func (t *table[W]) clear(l *list[W], e *entry[W], md mode) {
	if e.modes&md&recursive != 0 {
		l.recursive--
		t.recursive--
	}
	e.modes &^= md
}

// forget takes path out of the watcher's set.
func (t *table[W]) forget(path string, w W) {
	t.size--
	of := t.paths[w]
	delete(of, path)
	if len(of) == 0 {
		delete(t.paths, w)
	}
}

// store puts a changed list back: not at all when it is empty, closed up when most of it is holes.
func (t *table[W]) store(path string, l list[W]) {
	if l.live == 0 {
		delete(t.lists, path)
		return
	}
	if int(l.live) < len(l.entries)/2 {
		l.entries = t.closeUp(path, l.entries)
	}
	t.lists[path] = l
}

// closeUp moves entries into the holes in front of them. Memory that the list grew out of stays
// with it unless it is much.
func (t *table[W]) closeUp(path string, old []entry[W]) []entry[W] {
	kept := old[:0]
	if len(old) > manyEntries {
		kept = make([]entry[W], 0, len(old)/2)
	}
	for i, e := range old {
		if e.modes == 0 {
			continue
		}
		if i != len(kept) {
			t.paths[e.w][path] = int32(len(kept))
		}
		kept = append(kept, e)
	}
	if len(old) <= manyEntries {
		clear(old[len(kept):])
	}
	return kept
}

// manyEntries is the length from which on a list that closes up gets memory of its size.
const manyEntries = 64

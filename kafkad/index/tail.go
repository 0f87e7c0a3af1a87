package index

import "sync/atomic"

// Tail is the part of a segment's index that is not in the database yet, and the chunk before it,
// so that those who read near the end need no database. One writer adds; readers look without a
// lock. The zero value is empty.
type Tail struct {
	cur atomic.Pointer[tail]
}

type tail struct {
	before  int64   // position of the entry before the first, 0 if none
	recent  []Entry // the chunk that went to the database last
	entries []Entry
	n       atomic.Int32 // how many of entries are filled
}

// Add appends an entry and says whether the tail is full and should go to the database.
func (t *Tail) Add(e Entry) (full bool) {
	c := t.cur.Load()
	if c == nil || int(c.n.Load()) == len(c.entries) {
		c = c.grow()
		t.cur.Store(c)
	}
	n := c.n.Load()
	c.entries[n] = e
	c.n.Store(n + 1)
	return n+1 >= ChunkEntries
}

func (c *tail) grow() *tail {
	if c == nil {
		return &tail{entries: make([]Entry, 4)}
	}
	out := &tail{before: c.before, recent: c.recent,
		entries: make([]Entry, 4*max(len(c.entries), 1))}
	copy(out.entries, c.entries)
	out.n.Store(c.n.Load())
	return out
}

// Entries returns what the tail holds; the slice must not be changed and stays as it is.
func (t *Tail) Entries() []Entry {
	c := t.cur.Load()
	if c == nil {
		return nil
	}
	return c.entries[:c.n.Load()]
}

// Before is the position of the entry before the tail's first, 0 if none.
func (t *Tail) Before() int64 {
	if c := t.cur.Load(); c != nil {
		return c.before
	}
	return 0
}

// Clear empties the tail once its entries are in the database.
func (t *Tail) Clear() {
	entries := t.Entries()
	if n := len(entries); n > 0 {
		t.cur.Store(&tail{before: entries[n-1].Position, recent: entries})
	}
}

// Reset empties the tail of a segment that was cut; before is the position of its last entry.
func (t *Tail) Reset(before int64) { t.cur.Store(&tail{before: before}) }

// Locate does what DB.Locate does, in memory; ok is false if the entry is not there. edge is right
// as far as entries in memory go: the zero Entry if none is at most room bytes behind e.
func (t *Tail) Locate(offset, room int64) (e, edge Entry, ok bool) {
	c := t.cur.Load()
	if c == nil {
		return e, edge, false
	}
	entries := c.entries[:c.n.Load()]
	if e, ok = FloorOffset(entries, offset); !ok {
		e, ok = FloorOffset(c.recent, offset)
	}
	if !ok {
		return e, edge, false
	}
	return e, c.edge(entries, e.Position+room), true
}

// Edge is the last entry in memory at or before the position, the zero Entry if none.
func (t *Tail) Edge(position int64) Entry {
	c := t.cur.Load()
	if c == nil {
		return Entry{}
	}
	return c.edge(c.entries[:c.n.Load()], position)
}

func (c *tail) edge(entries []Entry, position int64) Entry {
	if e, ok := FloorPosition(entries, position); ok {
		return e
	}
	e, _ := FloorPosition(c.recent, position)
	return e
}

// FindTime does what DB.FindTime does, among the entries that are not in the database.
func (t *Tail) FindTime(ts int64) (position int64, ok bool) {
	c := t.cur.Load()
	if c == nil {
		return 0, false
	}
	entries := c.entries[:c.n.Load()]
	i := firstAtTime(entries, ts)
	switch i {
	case len(entries):
		return 0, false
	case 0:
		return c.before, true
	}
	return entries[i-1].Position, true
}

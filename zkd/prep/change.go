package prep

import (
	"zkafka/zkd/proto"
	"zkafka/zkd/tree"
)

// change is a znode as it will be once the transaction zxid is applied.
type change struct {
	path     string
	zxid     int64
	exists   bool // false: the transaction deletes it
	stat     proto.StatPersisted
	children int32
	acl      []proto.ACL
	prefix   uint32 // tree.DigestPrefix of path and data
	digest   uint32
	birth    bool // creates an ephemeral; its path is in births

	// The most bytes that its data, and the names of its children in a reply, have had since the
	// znode is in flight; what was there before counts.
	data, names int

	// older is the change in flight that this one hides. It is valid only while the transaction is
	// being prepared, which is when a failing multi needs it.
	older *change
}

// flight is the set of changes of transactions that are prepared but not applied, oldest first.
//
// Invariants: newest has exactly the last change in queue of every path; zxids in queue[head:]
// ascend; digest is that of the tree after all of them; births has the paths of the changes in
// queue that create ephemerals, by session and oldest first.
type flight struct {
	tree   *tree.Tree
	newest map[string]*change
	births map[int64][]string
	queue  []*change
	head   int
	free   []*change
	digest uint64
}

// get returns the znode at path as of the last transaction prepared, in *into or in flight.
func (f *flight) get(path string, into *change) (*change, bool) {
	if c := f.newest[path]; c != nil {
		return c, c.exists
	}
	n, ok := f.tree.Get(path)
	if !ok {
		return nil, false
	}
	f.load(n, into)
	return into, true
}

func (f *flight) load(n *tree.Node, into *change) {
	*into = change{
		path:     n.Path(),
		exists:   true,
		stat:     n.Persisted(),
		children: int32(n.NumChildren()),
		acl:      n.ACL(),
		digest:   n.Digest(),
		data:     len(n.Data()),
		names:    n.NameBytes(),
	}
}

// prefixOf returns the digest prefix of a znode, which is computed only when it is needed.
func (f *flight) prefixOf(c *change) uint32 {
	if cur := f.newest[c.path]; cur != nil {
		return cur.prefix
	}
	n, ok := f.tree.Get(c.path)
	if !ok {
		return tree.DigestPrefix(c.path, nil)
	}
	return tree.DigestPrefix(c.path, n.Data())
}

// put adds a change that starts out as a copy of from.
func (f *flight) put(zxid int64, from *change) *change {
	var c *change
	if n := len(f.free); n > 0 {
		c = f.free[n-1]
		f.free = f.free[:n-1]
	} else {
		c = new(change)
	}
	*c = *from
	c.zxid = zxid
	c.birth = false
	if c.older = f.newest[c.path]; c.older != nil {
		c.data = max(c.data, c.older.data)
		c.names = max(c.names, c.older.names)
	}
	f.newest[c.path] = c
	f.queue = append(f.queue, c)
	return c
}

// born notes that a change creates a znode, for the end of the session that owns it. Most of those
// who create ephemerals have few in flight, but all sessions may end at once, and then none of them
// can look at everything that is in flight.
func (f *flight) born(c *change) {
	owner := c.stat.EphemeralOwner
	if tree.KindOf(owner) == tree.Ephemeral {
		c.birth = true
		f.births[owner] = append(f.births[owner], c.path)
	}
}

// unborn forgets the oldest or the newest birth of a session, which is that of c.
func (f *flight) unborn(c *change, oldest bool) {
	if !c.birth {
		return
	}
	owner := c.stat.EphemeralOwner
	list := f.births[owner]
	switch {
	case len(list) == 1:
		delete(f.births, owner)
	case oldest:
		f.births[owner] = list[1:]
	default:
		f.births[owner] = list[:len(list)-1]
	}
}

// rehash brings the digest of a changed znode and of the tree up to date.
func (f *flight) rehash(c *change) {
	var share uint32
	if c.exists {
		share = tree.DigestWith(c.path, c.prefix, &c.stat)
	}
	f.digest += uint64(share) - uint64(c.digest)
	c.digest = share
}

// mark returns the state that undo goes back to.
func (f *flight) mark() (length int, digest uint64) { return len(f.queue), f.digest }

// undo takes back the changes made since mark.
func (f *flight) undo(length int, digest uint64) {
	for i := len(f.queue) - 1; i >= length; i-- {
		c := f.queue[i]
		if c.older != nil {
			f.newest[c.path] = c.older
		} else {
			delete(f.newest, c.path)
		}
		f.unborn(c, false)
		f.release(c)
		f.queue[i] = nil
	}
	f.queue = f.queue[:length]
	f.digest = digest
}

// applied forgets the changes of transactions up to zxid: the tree shows them now.
func (f *flight) applied(zxid int64) {
	for f.head < len(f.queue) && f.queue[f.head].zxid <= zxid {
		c := f.queue[f.head]
		f.queue[f.head] = nil
		f.head++
		if f.newest[c.path] == c {
			delete(f.newest, c.path)
		}
		f.unborn(c, true)
		f.release(c)
	}
	switch {
	case f.head == len(f.queue):
		f.queue, f.head = f.queue[:0], 0
		f.digest = uint64(f.tree.Digest())
	case f.head > len(f.queue)/2 && f.head > 1024:
		n := copy(f.queue, f.queue[f.head:])
		clear(f.queue[n:])
		f.queue, f.head = f.queue[:n], 0
	}
}

// keepFree is how many changes are kept for the next ones. More are needed when very many sessions
// expire together, and then not again for long.
const keepFree = 4096

func (f *flight) release(c *change) {
	*c = change{}
	if len(f.free) < keepFree {
		f.free = append(f.free, c)
	}
}

package tree

import (
	"slices"

	"zkafka/zkd/adler"
	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
)

// Magic numbers and version of the snapshot file header.
const (
	snapshotMagic   int32 = 0x5a4b534e // "ZKSN"
	snapshotVersion int32 = 2
	snapshotDBID    int64 = -1
)

// Walk writes the tree as a snapshot file, a slice at a time. The owner may apply transactions
// between slices: the snapshot is then fuzzy, as the format allows. It holds every effect of the
// transactions up to Zxid and possibly some of later ones, which must be in the log when the
// snapshot is used.
//
// Nodes created behind Zxid are left out, although the format would allow them: an Apache server
// that replays the deletion of a node over its successor of the same path, which already has
// children, loses the children for good.
type Walk struct {
	t     *Tree
	zxid  int64
	known int64 // nodes created up to here are written
	end   int64
	sum   uint32
	w     jute.Writer
	stage walkStage
	turn  int // counts calls of Next: positions in children hold within one
	path  []frame
}

type walkStage uint8

const (
	walkHead walkStage = iota
	walkNodes
	walkTail
	walkDone
)

// frame is how far the walk has come among the children of a node.
type frame struct {
	dir          *Node
	last         string // name of the child written last, "" for none
	turn         int    // in which chunk and index below are valid
	chunk, index int    // of the next child
}

// NewSnapshot starts a snapshot of the tree as of now.
func (t *Tree) NewSnapshot() *Walk {
	return &Walk{
		t: t, zxid: t.lastZxid, known: max(t.lastZxid, t.loadedZxid), sum: adler.New,
	}
}

// Zxid is the last transaction that the snapshot is sure to contain; it names the file.
func (w *Walk) Zxid() int64 { return w.zxid }

// EndZxid is the last transaction of which the snapshot may show an effect; it is known when Next
// has said done. The snapshot must not be used before the log has that transaction durably.
func (w *Walk) EndZxid() int64 { return w.end }

// Next appends about max bytes of the file to dst and reports whether the file is complete. A slice
// overshoots max by at most a node, or the table of sessions and ACLs, and is shorter at the end
// and where many nodes are left out.
func (w *Walk) Next(dst []byte, max int) (b []byte, done bool) {
	w.turn++
	w.w.B = dst
	start := len(dst)
	if w.stage == walkHead {
		w.head()
		w.stage = walkNodes
	}
	const skipCost = 8 // what passing over a node counts against max
	for skips := 0; w.stage == walkNodes && len(w.w.B)-start+skips*skipCost < max; {
		if !w.nextNode() {
			skips++
		}
	}
	w.sum = adler.Update(w.sum, w.w.B[start:])
	if w.stage == walkTail {
		w.tail()
		w.stage = walkDone
	}
	b, w.w.B = w.w.B, nil
	return b, w.stage == walkDone
}

// head writes the file header, the sessions, the ACLs and the root.
func (w *Walk) head() {
	w.w.Int32(snapshotMagic)
	w.w.Int32(snapshotVersion)
	w.w.Int64(snapshotDBID)

	ids := make([]int64, 0, len(w.t.sessions))
	for id := range w.t.sessions {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	w.w.Int32(int32(len(ids)))
	for _, id := range ids {
		w.w.Int64(id)
		w.w.Int32(w.t.sessions[id])
	}

	entries := w.t.acls.sorted()
	w.w.Int32(int32(len(entries)))
	for _, e := range entries {
		w.w.Int64(e.id)
		proto.EncodeACLs(&w.w, e.list)
	}
	w.node(w.t.root)
}

func (w *Walk) node(n *Node) {
	w.w.String(n.path)
	w.w.Buffer(n.data)
	id := openACLID
	if n.acl != nil {
		id = n.acl.id
	}
	w.w.Int64(id)
	s := n.Persisted()
	s.Encode(&w.w)
	if n.kids != nil {
		w.path = append(w.path, frame{dir: n})
	}
}

// nextNode writes the next node of a depth-first walk: a parent always before its children. The
// place among children is found again by name after the tree may have changed. A directory that
// was deleted meanwhile has no children any more; that its successor of the same name is not
// walked does not matter, because its creation is in the log. It says no when it wrote nothing.
func (w *Walk) nextNode() bool {
	if len(w.path) == 0 {
		w.w.String(RootPath)
		w.stage = walkTail
		return true
	}
	f := &w.path[len(w.path)-1]
	kid := f.next(w.turn)
	switch {
	case kid == nil:
		w.path = w.path[:len(w.path)-1]
		return false
	case kid.czxid > w.known:
		return false
	}
	w.node(kid)
	return true
}

func (f *frame) next(turn int) *Node {
	kids := f.dir.kids
	if kids == nil {
		return nil
	}
	if f.turn != turn {
		f.turn = turn
		var found bool
		f.chunk, f.index, found = kids.seek(f.last)
		if found {
			f.index++
		}
	}
	for f.chunk < len(kids.chunks) {
		if chunk := kids.chunks[f.chunk]; f.index < len(chunk) {
			kid := chunk[f.index]
			f.index++
			f.last = kid.path[kids.prefix:]
			return kid
		}
		f.chunk, f.index = f.chunk+1, 0
	}
	return nil
}

// tail writes the three seals and what lies between them: the digest section of 3.6 and the last
// zxid of 3.9. Older releases stop reading at the seal they know.
func (w *Walk) tail() {
	w.seal()
	d := w.t.lastDigest
	if d.Zxid == 0 || w.t.awaited != nil {
		// Upstream's form of "not known". The version matters: below 2 its reader expects a text
		// for the digest and fails.
		d = ZxidDigest{Version: proto.DigestVersion}
	}
	at := len(w.w.B)
	w.w.Int64(d.Zxid)
	w.w.Int32(d.Version)
	w.w.Int64(d.Digest)
	w.sum = adler.Update(w.sum, w.w.B[at:])
	w.seal()
	at = len(w.w.B)
	// Apache writes its last zxid as of now. A start goes by the file's name, and who restores the
	// file alone is better told what it is sure to contain.
	w.w.Int64(w.zxid)
	w.end = w.t.lastZxid
	w.sum = adler.Update(w.sum, w.w.B[at:])
	w.seal()
}

func (w *Walk) seal() {
	at := len(w.w.B)
	w.w.Int64(int64(w.sum))
	w.w.String(RootPath)
	w.sum = adler.Update(w.sum, w.w.B[at:])
}

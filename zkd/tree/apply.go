package tree

import (
	"bytes"
	"strings"

	"zkafka/zkd/proto"
)

// Change is one event that watches may wait for. Changes of a transaction come in the order in
// which upstream fires: the node's own event before that of its parent, the operations of a multi
// one after the other. A deletion is told once and concerns data and child watches of the path.
type Change struct {
	Type    proto.EventType
	Path    string
	DataLen int // bytes that were written to the node; 0 for a deletion
	Zxid    int64
	ACL     []proto.ACL // of the node, as of the transaction: who may see the event
}

// Result is what a transaction did.
type Result struct {
	Type proto.Op
	Err  proto.Err
	Path string
	// Stat is set by creates, setData, reconfig and setACL.
	Stat proto.Stat
	// Multi has one result per operation of a multi: without an error in the transaction what each
	// did, else ErrOK before the error, its code, and ErrRuntimeInconsistency behind it.
	Multi []Result
	// Changes are those of the whole transaction (nil in results of Multi). The slice is reused by
	// the next Apply.
	Changes []Change
}

// keepChanges is the number of changes up to which their memory is used again.
const keepChanges = 4096

// Apply performs a transaction. Data and ACLs are copied, so that those of txn may point into a
// buffer that the caller reuses; the string of a path is kept.
//
// A transaction whose effect the tree already shows (replay over a fuzzy snapshot) does no harm:
// the error in the result then says what was met, and has no meaning to the caller of a replay.
func (t *Tree) Apply(txn *proto.Txn) Result {
	if cap(t.changes) > keepChanges {
		t.changes = nil // of a session that ended with many ephemerals
	}
	t.changes = t.changes[:0]
	h := &txn.Header
	var res Result
	if multi, ok := txn.Body.(*proto.MultiTxn); ok {
		res = t.applyMulti(h, multi)
	} else {
		res = t.applyOne(h, h.Type, txn.Body)
	}
	t.lastZxid = max(t.lastZxid, h.Zxid)
	t.recordDigest(h.Zxid)
	t.compareDigest(txn.Digest)
	res.Changes = t.changes
	return res
}

func (t *Tree) applyMulti(h *proto.TxnHeader, multi *proto.MultiTxn) Result {
	res := Result{Type: proto.OpMulti, Multi: make([]Result, 0, len(multi.Txns))}
	failed := false
	for i := range multi.Txns {
		failed = failed || multi.Txns[i].Type == proto.OpError
	}
	seen := false // the first error
	for i := range multi.Txns {
		sub := &multi.Txns[i]
		var r Result
		switch {
		case !failed || sub.Type == proto.OpError:
			r = t.applyOne(h, sub.Type, sub.Body)
			seen = failed
		case seen:
			r = Result{Type: proto.OpError, Err: proto.ErrRuntimeInconsistency}
		default:
			r = Result{Type: proto.OpError}
		}
		if res.Err == proto.ErrOK {
			res.Err = r.Err
		}
		res.Multi = append(res.Multi, r)
	}
	return res
}

func (t *Tree) applyOne(h *proto.TxnHeader, op proto.Op, body proto.TxnBody) Result {
	res := Result{Type: op}
	switch b := body.(type) {
	case *proto.CreateTxn:
		var owner int64
		if b.Ephemeral {
			owner = h.ClientID
		}
		t.create(&res, h, newNode{b.Path, b.Data, b.ACL, owner, b.ParentCVersion})
	case *proto.CreateContainerTxn:
		t.create(&res, h, newNode{b.Path, b.Data, b.ACL, ContainerOwner, b.ParentCVersion})
	case *proto.CreateTTLTxn:
		t.create(&res, h, newNode{b.Path, b.Data, b.ACL, TTLOwner(b.TTL), b.ParentCVersion})
	case *proto.DeleteTxn:
		res.Path = b.Path
		res.Err = t.remove(b.Path, h.Zxid)
	case *proto.SetDataTxn:
		t.setData(&res, h, b)
	case *proto.SetACLTxn:
		t.setACL(&res, b)
	case *proto.CheckVersionTxn:
		res.Path = b.Path
	case *proto.CreateSessionTxn:
		t.sessions[h.ClientID] = b.Timeout
	case *proto.CloseSessionTxn:
		t.closeSession(h, b)
	case *proto.ErrorTxn:
		res.Err = b.Err
	}
	return res
}

type newNode struct {
	path    string
	data    []byte
	acl     []proto.ACL
	owner   int64
	parentC int32 // the parent's stored cversion after this; -1 for one more than now
}

func (t *Tree) create(res *Result, h *proto.TxnHeader, c newNode) {
	res.Path = c.path
	parent := t.nodes[parentOf(c.path)]
	if parent == nil {
		res.Err = proto.ErrNoNode
		return
	}
	if old := t.lookup(c.path); old != nil {
		// Only replay gets here: the snapshot holds this node, or a later one of the same path.
		// Its creation may have been missed by the parent, which was written earlier. Upstream
		// corrects the parent for transactions of type create only and lets the numbers of the
		// other kinds fall behind; the correction is right for all of them.
		entry := t.acls.acquire(c.acl)
		t.acls.release(old.acl)
		old.acl = entry
		t.raise(parent, c.parentC, h.Zxid)
		res.Err = proto.ErrNodeExists
		return
	}
	n := &Node{
		path: c.path, data: bytes.Clone(c.data), acl: t.acls.acquire(c.acl),
		czxid: h.Zxid, mzxid: h.Zxid, pzxid: h.Zxid,
		ctime: h.Time, mtime: h.Time, owner: c.owner,
	}
	t.link(parent, n)
	t.raise(parent, c.parentC, h.Zxid)
	t.rehash(n)
	t.dataSize += n.size()
	res.Stat = n.Stat()
	t.quotaCreated(n)
	t.changeData(proto.EventNodeCreated, n, len(c.data), h.Zxid)
	t.change(proto.EventNodeChildrenChanged, parent, h.Zxid)
}

// raise gives a parent the cversion and pzxid of a creation unless it has them already: a replayed
// creation must not take a later one back. The cversion sticks at its largest value, where
// upstream stops to update both.
func (t *Tree) raise(parent *Node, cversion int32, zxid int64) {
	if cversion == -1 {
		cversion = parent.cversion + 1
	}
	if cversion > parent.cversion {
		parent.cversion = cversion
		parent.pzxid = zxid
		t.rehash(parent)
	}
}

func (t *Tree) remove(path string, zxid int64) proto.Err {
	parent := t.nodes[parentOf(path)]
	if parent == nil || path == RootPath || path == "" {
		return proto.ErrNoNode
	}
	// Also without the node: it may have been gone when the snapshot reached it, but not yet
	// when the parent was written.
	if zxid > parent.pzxid {
		parent.pzxid = zxid
		t.rehash(parent)
	}
	n := t.nodes[path]
	if n == nil {
		return proto.ErrNoNode
	}
	// A node that is deleted has no children, except in replay: there they are the children of a
	// later node of the same path, which the log will create again.
	for n.kids != nil {
		last := n.kids.chunks[len(n.kids.chunks)-1]
		t.removeBelow(last[len(last)-1])
	}
	t.unlink(n)
	t.quotaDeleted(n)
	t.change(proto.EventNodeDeleted, n, zxid)
	t.change(proto.EventNodeChildrenChanged, parent, zxid)
	return proto.ErrOK
}

func (t *Tree) removeBelow(n *Node) {
	for n.kids != nil {
		last := n.kids.chunks[len(n.kids.chunks)-1]
		t.removeBelow(last[len(last)-1])
	}
	t.unlink(n)
	t.quotaDeleted(n)
}

func (t *Tree) setData(res *Result, h *proto.TxnHeader, b *proto.SetDataTxn) {
	res.Path = b.Path
	n := t.lookup(b.Path)
	if n == nil {
		res.Err = proto.ErrNoNode
		return
	}
	grown := int64(len(b.Data) - len(n.data))
	n.data = bytes.Clone(b.Data)
	n.mtime, n.mzxid, n.version = h.Time, h.Zxid, b.Version
	t.rehash(n)
	t.dataSize += grown
	res.Stat = n.Stat()
	t.quotaChanged(n, grown, 0)
	t.changeData(proto.EventNodeDataChanged, n, len(b.Data), h.Zxid)
}

func (t *Tree) setACL(res *Result, b *proto.SetACLTxn) {
	res.Path = b.Path
	n := t.lookup(b.Path)
	if n == nil {
		res.Err = proto.ErrNoNode
		return
	}
	t.acls.release(n.acl)
	n.acl = t.acls.acquire(b.ACL)
	n.aversion = b.Version
	t.rehash(n)
	res.Stat = n.Stat()
}

// closeSession deletes what the transaction lists and what the tree knows of the session besides:
// the list is the leader's view and includes creations that were under way, the tree's own view
// is all there is in logs of 3.5 and older.
func (t *Tree) closeSession(h *proto.TxnHeader, b *proto.CloseSessionTxn) {
	delete(t.sessions, h.ClientID)
	for _, path := range b.Paths {
		_ = t.remove(path, h.Zxid) // may be gone already
	}
	for _, path := range t.Ephemerals(h.ClientID) {
		_ = t.remove(path, h.Zxid) // may be gone already
	}
}

// lookup is Get for the paths of transactions.
func (t *Tree) lookup(path string) *Node {
	if path == RootPath {
		return t.root
	}
	return t.nodes[path]
}

func (t *Tree) change(event proto.EventType, n *Node, zxid int64) {
	t.changeData(event, n, 0, zxid)
}

// changeData notes a change that wrote so many bytes. The node may hold others by now: those of a
// usage that was counted meanwhile.
func (t *Tree) changeData(event proto.EventType, n *Node, dataLen int, zxid int64) {
	t.changes = append(t.changes, Change{
		Type: event, Path: n.Path(), DataLen: dataLen, Zxid: zxid, ACL: n.ACL(),
	})
}

// inSystemTree tells the nodes that upstream leaves out of the digest: those below /zookeeper.
func inSystemTree(path string) bool { return strings.HasPrefix(path, SystemPath+"/") }

package tree

import (
	"iter"
	"slices"
	"strings"

	"zkafka/zkd/proto"
)

// Node is one znode. Its getters may be used until the next Apply; what they return by reference
// (data, ACL) stays true afterwards, because a change replaces and never overwrites it.
//
// The struct is kept at 128 bytes, a size class of the allocator: an installation holds millions.
type Node struct {
	path   string // "" for the root
	data   []byte // nil is null, which is not the same as empty
	parent *Node
	kids   *children // nil until the first child
	acl    *aclEntry // nil is the open ACL, id -1

	czxid, mzxid, pzxid int64
	ctime, mtime        int64
	owner               int64

	version, cversion, aversion int32

	digest uint32 // this node's share of the tree digest
}

// Path is the node's full path.
func (n *Node) Path() string {
	if n.parent == nil && n.path == "" {
		return RootPath
	}
	return n.path
}

// Name is the last component of the path, empty for the root.
func (n *Node) Name() string { return n.path[strings.LastIndexByte(n.path, '/')+1:] }

// Data is the node's content; nil means null. The caller must not write to it.
func (n *Node) Data() []byte { return n.data }

// ACL is the node's access control list. The caller must not write to it.
func (n *Node) ACL() []proto.ACL {
	if n.acl == nil {
		return openACL
	}
	return n.acl.list
}

// NumChildren is the number of children.
func (n *Node) NumChildren() int {
	if n.kids == nil {
		return 0
	}
	return int(n.kids.n)
}

// NameBytes is the size of the names of the children in a reply, each with its length.
func (n *Node) NameBytes() int {
	if n.kids == nil {
		return 0
	}
	return 4*int(n.kids.n) + int(n.kids.names)
}

// Children returns the names of the children, sorted.
func (n *Node) Children() []string { return n.AppendChildren(nil) }

// AppendChildren appends the names of the children to dst, sorted.
func (n *Node) AppendChildren(dst []string) []string {
	dst = slices.Grow(dst, n.NumChildren())
	for kid := range n.All() {
		dst = append(dst, kid.Name())
	}
	return dst
}

// All iterates over the children in the order of their names.
func (n *Node) All() iter.Seq[*Node] {
	return func(yield func(*Node) bool) {
		if n.kids == nil {
			return
		}
		for _, chunk := range n.kids.chunks {
			for _, kid := range chunk {
				if !yield(kid) {
					return
				}
			}
		}
	}
}

// Kind tells the node types apart that are stored in the owner field.
func (n *Node) Kind() Kind { return KindOf(n.owner) }

// EphemeralOwner is the stored owner: 0, a session id, or the mark of a container or TTL node
// (see KindOf). Stat shows it to clients only for ordinary ephemerals.
func (n *Node) EphemeralOwner() int64 { return n.owner }

// Cversion is the stored child version, which counts creates only: the next sequence number.
func (n *Node) Cversion() int32 { return n.cversion }

// Pzxid is the zxid of the last change of the set of children.
func (n *Node) Pzxid() int64 { return n.pzxid }

// Version is the data version.
func (n *Node) Version() int32 { return n.version }

// Aversion is the ACL version.
func (n *Node) Aversion() int32 { return n.aversion }

// Mzxid is the zxid of the last change of the data.
func (n *Node) Mzxid() int64 { return n.mzxid }

// Mtime is the time of the last change of the data, in milliseconds.
func (n *Node) Mtime() int64 { return n.mtime }

// Stat is what clients see. Its cversion counts creates and deletes, which upstream derives from
// the stored number of creates and the number of children, and so wraps with them.
func (n *Node) Stat() proto.Stat {
	count := int32(n.NumChildren())
	s := proto.Stat{
		Czxid:       n.czxid,
		Mzxid:       n.mzxid,
		Ctime:       n.ctime,
		Mtime:       n.mtime,
		Version:     n.version,
		Cversion:    n.cversion*2 - count,
		Aversion:    n.aversion,
		DataLength:  int32(len(n.data)),
		NumChildren: count,
		Pzxid:       n.pzxid,
	}
	if n.Kind() == Ephemeral {
		s.EphemeralOwner = n.owner
	}
	return s
}

// Persisted is the stat as snapshots and digests hold it.
func (n *Node) Persisted() proto.StatPersisted {
	return proto.StatPersisted{
		Czxid:          n.czxid,
		Mzxid:          n.mzxid,
		Ctime:          n.ctime,
		Mtime:          n.mtime,
		Version:        n.version,
		Cversion:       n.cversion,
		Aversion:       n.aversion,
		EphemeralOwner: n.owner,
		Pzxid:          n.pzxid,
	}
}

func (n *Node) size() int64 { return int64(len(n.path) + len(n.data)) }

func (n *Node) countBelow() int {
	total := n.NumChildren()
	for kid := range n.All() {
		if kid.kids != nil {
			total += kid.countBelow()
		}
	}
	return total
}

func (n *Node) addChild(kid *Node) {
	if n.kids == nil {
		n.kids = &children{prefix: int32(len(n.path)) + 1}
	}
	n.kids.insert(kid)
}

func (n *Node) removeChild(kid *Node) {
	if n.kids == nil {
		return
	}
	n.kids.remove(kid.Name())
	if n.kids.n == 0 {
		n.kids = nil
	}
}

// Kind is the type of a znode as its owner field tells it.
type Kind uint8

// The kinds of nodes.
const (
	Persistent Kind = iota
	Ephemeral
	Container
	TTL
)

const (
	// ContainerOwner marks a container node.
	ContainerOwner int64 = -1 << 63
	// MaxTTLMillis is the longest time to live that the owner field can hold.
	MaxTTLMillis int64 = 1<<40 - 1

	ttlMark = int64(-1) << 56 // top byte 0xff; the two bytes below say which feature, 0 is TTL
)

// KindOf classifies a stored owner. Upstream does so for TTL nodes only when its extended types are
// switched on, and otherwise deletes them as ephemerals of a dead session; here they are kept.
// Owners with the top byte 0xff and another feature are session ids of a server with id 255.
func KindOf(owner int64) Kind {
	switch {
	case owner == 0:
		return Persistent
	case owner == ContainerOwner:
		return Container
	case owner&^MaxTTLMillis == ttlMark:
		return TTL
	}
	return Ephemeral
}

// TTLOwner is the stored owner of a node with a time to live, TTLOf its reverse.
func TTLOwner(ttlMillis int64) int64 { return ttlMark | ttlMillis&MaxTTLMillis }

// TTLOf returns the time to live of a TTL node's owner, 0 for other owners.
func TTLOf(owner int64) int64 {
	if KindOf(owner) != TTL {
		return 0
	}
	return owner & MaxTTLMillis
}

// Package tree is the znode tree of a server: znodes with their stats, ACLs, ephemerals and
// sessions, the digest over all of it, and the snapshot form of it.
//
// A Tree is a plain value machine (kind P): one owner calls it, nothing in it waits, locks or
// looks at a clock. Transactions go in through Apply, which is idempotent in the way replay over a
// fuzzy snapshot needs it; a snapshot comes out through Walk in slices between transactions.
//
// Apply trusts its input: all checks of a client's request (versions, ACLs, paths) belong to the
// package that turns requests into transactions.
package tree

import (
	"slices"
	"strings"

	"zkafka/zkd/proto"
)

// Paths every tree has.
const (
	RootPath   = "/"
	SystemPath = "/zookeeper"
	QuotaPath  = "/zookeeper/quota"
	ConfigPath = "/zookeeper/config"
)

// Tree is the state that transactions build. The zero value is not usable; see New and Decode.
//
// Invariants: nodes holds every node by its path, the root under ""; a node is in its parent's
// children exactly when it is in nodes; digest is the wrapping sum of the digests of all nodes;
// ephemerals, containers and ttls list exactly the nodes whose owner says so.
type Tree struct {
	nodes map[string]*Node
	root  *Node
	acls  aclTable

	sessions       map[int64]int32 // id to timeout in ms, as createSession logged it
	ephemerals     map[int64]map[*Node]struct{}
	ephemeralCount int
	containers     map[*Node]struct{}
	ttls           map[*Node]struct{}
	quotas         map[string]struct{} // paths with a zookeeper_limits node

	lastZxid   int64
	loadedZxid int64 // highest zxid that created a node of the loaded snapshot
	dataSize   int64 // sum of path and data lengths, and 1 for the "/" of the root

	digest     uint64
	lastDigest ZxidDigest
	awaited    *ZxidDigest // digest of the loaded snapshot, until replay has reached its zxid
	digestLog  []ZxidDigest
	mismatches int64

	changes []Change // reused by Apply
}

// New returns the tree of an empty database: "/", "/zookeeper" and the two nodes below it.
func New() *Tree {
	t := &Tree{}
	t.reset()
	t.root = &Node{data: []byte{}}
	t.nodes[""] = t.root
	t.rehash(t.root)
	t.ensureSystemNodes()
	t.dataSize = t.measure()
	return t
}

func (t *Tree) reset() {
	t.nodes = make(map[string]*Node)
	t.acls.init()
	t.sessions = make(map[int64]int32)
	t.ephemerals = make(map[int64]map[*Node]struct{})
	t.containers = make(map[*Node]struct{})
	t.ttls = make(map[*Node]struct{})
	t.quotas = make(map[string]struct{})
}

// ensureSystemNodes adds what a snapshot of an older release lacks: 3.4 knows no /zookeeper/config.
// They are added without touching the stat of their parents, so digests stay comparable.
func (t *Tree) ensureSystemNodes() {
	for _, path := range []string{SystemPath, QuotaPath, ConfigPath} {
		if t.nodes[path] != nil {
			continue
		}
		n := &Node{path: path, data: []byte{}}
		if path == ConfigPath {
			// Readable by all, writable by nobody but super; the version -1 is upstream's.
			n.acl = t.acls.acquire(readACL)
			n.aversion = -1
		}
		t.link(t.nodes[parentOf(path)], n)
		t.rehash(n)
	}
}

var readACL = proto.ReadACL()

// link puts a new node into its parent and the index.
func (t *Tree) link(parent, n *Node) {
	n.parent = parent
	t.nodes[n.path] = n
	parent.addChild(n)
	switch n.Kind() {
	case Ephemeral:
		set := t.ephemerals[n.owner]
		if set == nil {
			set = make(map[*Node]struct{}, 1)
			t.ephemerals[n.owner] = set
		}
		set[n] = struct{}{}
		t.ephemeralCount++
	case Container:
		t.containers[n] = struct{}{}
	case TTL:
		t.ttls[n] = struct{}{}
	case Persistent:
	}
}

// unlink is the reverse of link and gives up the node's ACL and digest.
func (t *Tree) unlink(n *Node) {
	delete(t.nodes, n.path)
	n.parent.removeChild(n)
	switch n.Kind() {
	case Ephemeral:
		if set := t.ephemerals[n.owner]; set != nil {
			delete(set, n)
			t.ephemeralCount--
			if len(set) == 0 {
				delete(t.ephemerals, n.owner)
			}
		}
	case Container:
		delete(t.containers, n)
	case TTL:
		delete(t.ttls, n)
	case Persistent:
	}
	t.acls.release(n.acl)
	t.digest -= uint64(n.digest)
	t.dataSize -= n.size()
}

// Get finds a node. The node is valid until the next Apply; the empty path is not the root here.
func (t *Tree) Get(path string) (*Node, bool) {
	if path == RootPath {
		return t.root, true
	}
	if path == "" {
		return nil, false
	}
	n := t.nodes[path]
	return n, n != nil
}

// LastZxid is the zxid of the last transaction applied, or the snapshot's when there was none.
func (t *Tree) LastZxid() int64 { return t.lastZxid }

// SetLastZxid moves the last zxid without a transaction: a new leader starts its epoch with it.
func (t *Tree) SetLastZxid(zxid int64) { t.lastZxid = zxid }

// NodeCount is the number of znodes as upstream counts them: the root is counted twice, because
// upstream's map holds it under "" and "/".
func (t *Tree) NodeCount() int { return len(t.nodes) + 1 }

// EphemeralCount is the number of ephemeral znodes of all sessions.
func (t *Tree) EphemeralCount() int { return t.ephemeralCount }

// ApproxDataSize is the sum of the lengths of all paths and data.
func (t *Tree) ApproxDataSize() int64 { return t.dataSize }

// Sessions returns a copy of the session table: id to the timeout in milliseconds that
// createSession logged.
func (t *Tree) Sessions() map[int64]int32 {
	m := make(map[int64]int32, len(t.sessions))
	for id, timeout := range t.sessions {
		m[id] = timeout
	}
	return m
}

// SessionTimeout looks one session up.
func (t *Tree) SessionTimeout(id int64) (timeoutMillis int32, ok bool) {
	timeoutMillis, ok = t.sessions[id]
	return timeoutMillis, ok
}

// SessionCount is the number of sessions in the table.
func (t *Tree) SessionCount() int { return len(t.sessions) }

// Ephemerals returns the paths of a session's ephemerals, sorted; nil when it has none.
func (t *Tree) Ephemerals(session int64) []string {
	return sortedPaths(t.ephemerals[session])
}

// EphemeralBytes is the size of the paths of a session's ephemerals in a reply.
func (t *Tree) EphemeralBytes(session int64) (size int) {
	for n := range t.ephemerals[session] {
		size += 4 + len(n.path)
	}
	return size
}

// EphemeralOwners returns the sessions that own ephemerals, sorted.
func (t *Tree) EphemeralOwners() []int64 {
	ids := make([]int64, 0, len(t.ephemerals))
	for id := range t.ephemerals {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// EachExpendable calls fn for every container and TTL node, in no order.
func (t *Tree) EachExpendable(fn func(*Node)) {
	for n := range t.containers {
		fn(n)
	}
	for n := range t.ttls {
		fn(n)
	}
}

// Containers returns the paths of all container nodes, sorted.
func (t *Tree) Containers() []string { return sortedPaths(t.containers) }

// TTLs returns the paths of all TTL nodes, sorted.
func (t *Tree) TTLs() []string { return sortedPaths(t.ttls) }

func sortedPaths(set map[*Node]struct{}) []string {
	if len(set) == 0 {
		return nil
	}
	paths := make([]string, 0, len(set))
	for n := range set {
		paths = append(paths, n.path)
	}
	slices.Sort(paths)
	return paths
}

// CountDescendants is the number of nodes below path; the answer of getAllChildrenNumber.
func (t *Tree) CountDescendants(path string) int {
	if path == RootPath {
		return len(t.nodes) - 1
	}
	n := t.nodes[path]
	if n == nil {
		return 0
	}
	return n.countBelow()
}

// EndReplay declares the recovery finished. It deletes the ephemerals of sessions that are not in
// the session table, without a transaction, and returns how many there were: such nodes are left
// when a snapshot was taken while their session closed. Upstream does the same at start.
func (t *Tree) EndReplay() (orphans int) {
	for _, id := range t.EphemeralOwners() {
		if _, alive := t.sessions[id]; alive {
			continue
		}
		for _, path := range t.Ephemerals(id) {
			_ = t.remove(path, t.lastZxid) // may be gone already
			orphans++
		}
	}
	t.changes = t.changes[:0]
	t.awaited = nil
	t.lastDigest = ZxidDigest{
		Zxid: t.lastZxid, Version: proto.DigestVersion, Digest: int64(t.digest),
	}
	return orphans
}

// measure recomputes dataSize.
func (t *Tree) measure() int64 {
	size := int64(len(RootPath))
	for _, n := range t.nodes {
		size += n.size()
	}
	return size
}

// parentOf cuts the last component: the parent of "/a" is "", the key of the root.
func parentOf(path string) string {
	return path[:max(strings.LastIndexByte(path, '/'), 0)]
}

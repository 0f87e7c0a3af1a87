package replica

import (
	"slices"

	"zkafka/zkd/proto"
	"zkafka/zkd/tree"
)

// containerScan is the state of the search for containers and TTL nodes that nobody needs any more.
type containerScan struct {
	next  int64    // monotonic milliseconds
	paths []string // still to look at in this round
}

// containerSlice is how often a round goes on when the rate limit has interrupted it.
const containerSliceMillis = 1000

// scanContainers deletes candidates, at most as many as the rate limit allows, and says when to
// come back: after a slice if some are left, else after the check interval.
func (m *Machine) scanContainers() {
	s := &m.containers
	if len(s.paths) == 0 {
		// There may be very many, of which few are unused: only those are sorted and looked up.
		m.tree.EachExpendable(func(n *tree.Node) {
			if m.unused(n) {
				s.paths = append(s.paths, n.Path())
			}
		})
		slices.Sort(s.paths)
	}
	budget := max(m.opts.ContainerMaxPerMinute*containerSliceMillis/60_000, 1)
	for len(s.paths) > 0 && budget > 0 && m.backlog < m.opts.MaxBacklog {
		path := s.paths[0]
		s.paths = s.paths[1:]
		n, ok := m.tree.Get(path)
		if !ok || !m.unused(n) {
			continue
		}
		budget--
		m.req.Op = proto.OpDeleteContainer
		m.req.Body = &proto.DeleteContainerRequest{Path: path}
		m.req.Malformed = false
		m.submit(nil, 0, nil, 0, proto.OpDeleteContainer, m.now.MonoNanos)
	}
	if len(s.paths) > 0 {
		s.next = m.nowMillis + containerSliceMillis
		return
	}
	s.paths = nil
	s.next = m.nowMillis + m.opts.ContainerCheckMillis
}

// unused says whether a container or TTL node may go: a container that had children and has none
// any more, or, if so configured, never had any for long; a TTL node without children that was not
// written for its time.
func (m *Machine) unused(n *tree.Node) bool {
	if n.NumChildren() > 0 {
		return false
	}
	age := m.now.WallMillis - n.Mtime()
	switch n.Kind() {
	case tree.Container:
		limit := m.opts.ContainerMaxUnusedMillis
		return n.Cversion() > 0 || limit > 0 && age > limit
	case tree.TTL:
		return age > tree.TTLOf(n.EphemeralOwner())
	}
	return false
}

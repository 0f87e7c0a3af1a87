package replica

import (
	"encoding/binary"
	"math"

	"zkafka/zkd/proto"
)

// Frames takes requests: b holds whole frames, each with its length in front, that arrived at
// atNanos of the monotonic clock. It returns what is left when the connection has to wait; the host
// calls again with the rest whenever something has changed. The memory of b is free after the call.
func (m *Machine) Frames(c *Conn, b []byte, atNanos int64) (rest []byte) {
	return m.FramesUpTo(math.MaxInt, c, b, atNanos)
}

// FramesUpTo is Frames for a host that has time for a few frames only. The connection has to wait
// with the others.
func (m *Machine) FramesUpTo(most int, c *Conn, b []byte, atNanos int64) (rest []byte) {
	if !m.Heard(c, atNanos) {
		b = nil // The session is closing: upstream drops such requests without an answer.
	}
	for ; len(b) > 0 && most > 0; most-- {
		if c.state == connClosing || c.state == connLeaving {
			b = nil
			break
		}
		n := 4 + int(binary.BigEndian.Uint32(b))
		if !m.admits(c, b[4:n]) {
			break
		}
		m.frame(c, b[4:n], atNanos)
		b = b[n:]
	}
	m.stall(c, len(b) > 0)
	return b
}

// Heard tells that requests of c arrived at atNanos, which Frames will be given later: they are a
// sign of life of the client as of then, however long they have to wait. It says no when the
// session takes no more of them.
func (m *Machine) Heard(c *Conn, atNanos int64) bool {
	return c.state != connOpen || m.sessions.Touch(c.session, c.timeout, atNanos/1e6)
}

// Gone tells that the client of c has left while requests that it sent before still wait. They are
// carried out, closeSession for one, but for reads: nobody would see what they return. The host
// calls Closed behind the last of them.
func (m *Machine) Gone(c *Conn) {
	m.excuse(c)
	c.gone = true
}

// excuse lets the session of a connection that ends live for its timeout from now on if the server
// did not read the connection: its client may have sent pings until it gave up, and be on its way
// back. One that did not take what was sent has itself to blame.
func (m *Machine) excuse(c *Conn) {
	if c.stalled && !c.gone && c.state == connOpen && c.unsent <= m.opts.MaxUnsent {
		m.sessions.Grant(c.session, m.nowMillis+c.timeout)
	}
}

// stall notes whether requests of c wait. When they do so no longer, its session lives for another
// tick at least, in which the host can read what the client has sent meanwhile.
func (m *Machine) stall(c *Conn, stalled bool) {
	if c.stalled && !stalled && c.state == connOpen {
		m.sessions.Grant(c.session, m.nowMillis+m.opts.TickMillis)
	}
	c.stalled = stalled
}

// SetUnsent tells how many of the bytes that were taken from c its socket has not taken yet. A
// connection that lets too many watch events gather is closed.
func (m *Machine) SetUnsent(c *Conn, n int) {
	c.unsent = n
	switch {
	case n <= m.opts.MaxUnsent:
		c.events = 0
	case c.events > m.opts.MaxEvents:
		m.close(c)
	}
}

// admits says whether the connection's next request can be taken. It cannot while the connection
// has too much to send or too many requests waiting, while its session is being created, and, if it
// is a write, while too much waits for the log.
func (m *Machine) admits(c *Conn, frame []byte) bool {
	if c.state == connWaiting {
		return false
	}
	if !c.gone && c.unsent+len(c.out.B)+c.expect > m.opts.MaxUnsent {
		return false
	}
	n := c.inFlight()
	limit := m.opts.OutstandingLimit
	if n > 0 && (n >= limit || m.pending.len() > limit) {
		return false
	}
	return !logged(c, frame) || m.logAdmits(c)
}

// logged says whether a request will become a transaction.
func logged(c *Conn, frame []byte) bool {
	if c.state == connFresh {
		return true
	}
	if len(frame) < proto.RequestHeaderSize {
		return false
	}
	op := proto.Op(binary.BigEndian.Uint32(frame[4:]))
	return isWrite(op) || op == proto.OpCloseSession
}

// isWrite tells the requests that prep makes transactions of.
func isWrite(op proto.Op) bool {
	switch op {
	case proto.OpCreate, proto.OpCreate2, proto.OpDelete, proto.OpSetData, proto.OpSetACL,
		proto.OpMulti, proto.OpCreateContainer, proto.OpCreateTTL, proto.OpReconfig:
		return true
	}
	return false
}

// logAdmits says whether the log has room for a write of c. Half of the room is for those that wait
// already, or those that have just come would take all of it over and over.
func (m *Machine) logAdmits(c *Conn) bool {
	limit := m.opts.MaxBacklog
	if m.waiters > 0 && !c.waitsForLog {
		limit /= 2
	}
	m.waitForLog(c, m.backlog >= limit)
	return !c.waitsForLog
}

func (m *Machine) waitForLog(c *Conn, waits bool) {
	switch {
	case waits && !c.waitsForLog:
		m.waiters++
	case !waits && c.waitsForLog:
		m.waiters--
	}
	c.waitsForLog = waits
}

// smallReply is more than what replies take that have no data, names, paths or lists in them.
const smallReply = 128

// writeCost returns how many bytes the reply to a write may take whose transaction has so many. A
// create's reply repeats the path, and counts with the backlog.
func writeCost(op proto.Op, size int) int {
	if op == proto.OpMulti {
		return smallReply + 4*size // a stat for what may be little more than a type
	}
	return smallReply
}

// readCost returns how many bytes the reply to a queued read may take at most. It will be answered
// behind writes that are on their way, and whatever these have made of the tree by then.
func (m *Machine) readCost(c *Conn, op proto.Op, body []byte) int {
	m.rd.Reset(body, m.opts.MaxLength)
	switch op {
	case proto.OpGetData:
		data, _, _ := m.prep.Largest(borrowString(&m.rd))
		return smallReply + data
	case proto.OpGetChildren, proto.OpGetChildren2:
		_, names, _ := m.prep.Largest(borrowString(&m.rd))
		return smallReply + names
	case proto.OpMultiRead:
		return m.multiReadCost()
	case proto.OpGetACL:
		return smallReply + m.aclCost(borrowString(&m.rd))
	case proto.OpGetEphemerals:
		return smallReply + m.tree.EphemeralBytes(c.session) + m.backlog
	case proto.OpWhoAmI:
		return smallReply + idBytes(c.ids)
	case proto.OpSetWatches, proto.OpSetWatches2:
		return smallReply + 9*len(body) // an event for what may be the length of a path
	}
	return smallReply + len(body)
}

func (m *Machine) multiReadCost() int {
	var req proto.MultiRequest
	req.Decode(&m.rd)
	cost := smallReply
	for i := range req.Ops {
		cost += smallReply
		switch b := req.Ops[i].Body.(type) {
		case *proto.GetDataRequest:
			data, _, _ := m.prep.Largest(b.Path)
			cost += data
		case *proto.GetChildrenRequest:
			_, names, _ := m.prep.Largest(b.Path)
			cost += names
		}
	}
	return min(cost, m.opts.MaxMultiRead)
}

func (m *Machine) aclCost(path string) int {
	cost := 0
	if n, ok := m.find(path); ok {
		for _, a := range n.ACL() {
			cost += 12 + len(a.ID.Scheme) + len(a.ID.ID)
		}
	}
	if _, _, inFlight := m.prep.Largest(path); inFlight {
		cost += m.backlog // which has the list that it may have by then
	}
	return cost
}

func idBytes(ids []proto.ID) (n int) {
	for _, id := range ids {
		n += 8 + len(id.Scheme) + len(id.ID)
	}
	return n
}

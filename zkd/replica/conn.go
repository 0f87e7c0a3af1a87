package replica

import (
	"encoding/binary"

	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
)

// Peer says where a connection comes from.
type Peer struct {
	IP   string // as the ip scheme matches it
	Addr string // "ip:port" as the commands print it
	// Secure tells connections of a TLS listener.
	Secure bool
}

// connState is where a connection stands in its life.
type connState uint8

const (
	connFresh   connState = iota // no connect request yet
	connWaiting                  // its createSession is on the way to the disk
	connOpen                     // has a session
	connLeaving                  // has sent closeSession: replies go out, requests are dropped
	connClosing                  // nothing counts any more
)

// Conn is one client connection as the machine sees it. The host that owns the machine also owns
// the connection's socket.
//
// Order of replies: queue holds, in the order of the requests, the writes that are not durable yet
// and the reads that came behind them. A read that finds the queue empty is answered at once.
type Conn struct {
	// Tag belongs to the host.
	Tag any

	peer    Peer
	id      int64
	state   connState
	dirty   bool
	session int64
	timeout int64 // milliseconds, negotiated
	ids     []proto.ID

	out    jute.Writer
	queue  []queued
	head   int
	chunk  []byte // memory for frames in queue
	expect int    // sum of the costs in queue

	unsent int // bytes taken that the socket has not taken yet; see Machine.SetUnsent
	events int // bytes of watch events since unsent was in bounds

	stalled     bool // what it has sent waits, and no more is read from it
	waitsForLog bool // one of machine.waiters
	gone        bool // its client has left

	stats ConnStats
	space *Namespace // of the last read
	// hasReadOnly remembers whether the connect request had the read-only byte: only then the
	// response has it.
	hasReadOnly bool
}

// queued is a request in a connection's queue.
type queued struct {
	write bool
	frame []byte // of a read: header and body
	at    int64
	cost  int // bytes that it holds, and that its reply will take at most
}

// NewConn returns a connection that has sent nothing yet.
func NewConn(peer Peer) *Conn { return &Conn{peer: peer} }

// Peer returns where the connection comes from.
func (c *Conn) Peer() Peer { return c.peer }

// Session returns the id of the connection's session, 0 while it has none.
func (c *Conn) Session() int64 { return c.session }

// TimeoutMillis returns the timeout of the connection's session, 0 while it has none.
func (c *Conn) TimeoutMillis() int64 { return c.timeout }

// Take returns the frames to send and gives the connection next to encode further ones in.
func (c *Conn) Take(next []byte) []byte {
	out := c.out.B
	c.out.B = next[:0]
	c.dirty = false
	return out
}

// live says whether replies may still be sent.
func (c *Conn) live() bool { return c.state == connOpen || c.state == connLeaving }

// inFlight is the number of requests that wait for a reply.
func (c *Conn) inFlight() int { return len(c.queue) - c.head }

func (c *Conn) push(q queued) {
	c.queue = append(c.queue, q)
	c.expect += q.cost
}

func (c *Conn) pop() queued {
	q := c.queue[c.head]
	c.queue[c.head] = queued{}
	c.head++
	c.expect -= q.cost
	switch {
	case c.head == len(c.queue):
		c.queue, c.head = c.queue[:0], 0
	case c.head >= 1024 && c.head > len(c.queue)/2:
		n := copy(c.queue, c.queue[c.head:])
		clear(c.queue[n:])
		c.queue, c.head = c.queue[:n], 0
	}
	return q
}

// chunkSize is the unit in which memory for queued frames is taken.
const chunkSize = 4096

// hold copies a frame that has to outlive its buffer. Small ones share a chunk, which lives until
// the last of them is answered.
func (c *Conn) hold(frame []byte) []byte {
	if len(frame) > chunkSize/4 {
		return append([]byte(nil), frame...)
	}
	if cap(c.chunk)-len(c.chunk) < len(frame) {
		c.chunk = make([]byte, 0, chunkSize)
	}
	at := len(c.chunk)
	c.chunk = append(c.chunk, frame...)
	return c.chunk[at:len(c.chunk):len(c.chunk)]
}

// begin starts a frame with a reply header and returns its offset for end.
func (c *Conn) begin(xid int32, zxid int64, err proto.Err) int {
	b := c.out.B
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(xid))
	b = binary.BigEndian.AppendUint64(b, uint64(zxid))
	c.out.B = binary.BigEndian.AppendUint32(b, uint32(err))
	return at
}

// ConnStats are what the commands cons and stat show of a connection.
type ConnStats struct {
	Received, Sent   int64
	LastOp           proto.Op
	HasOp            bool
	LastCxid         int32
	LastZxid         int64 // -1 before the first reply
	EstablishedMilli int64 // wall clock
	LastReplyMilli   int64 // monotonic clock
	LastLatency      int64
	Latency          Summary
}

func (s *ConnStats) reset() {
	*s = ConnStats{EstablishedMilli: s.EstablishedMilli, LastCxid: -1, LastZxid: -1}
}

// ConnInfo is a copy of a connection's state for people.
type ConnInfo struct {
	Peer          Peer
	ID            int64
	Session       int64
	TimeoutMillis int64
	Queued        int
	Stats         ConnStats
}

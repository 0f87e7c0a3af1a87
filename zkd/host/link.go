package host

import (
	"sync/atomic"
	"time"

	"zkafka/zkd/replica"
)

// Conn is what the host needs of a client connection. The loop calls it; no method may block.
type Conn interface {
	// Deliver queues frames to be sent. The memory is the connection's from then on; it returns
	// memory of its own for the frames that come next.
	Deliver(frames []byte) (next []byte)
	// Unsent is the number of bytes delivered and not yet taken by the socket.
	Unsent() int
	// Return gives back the memory of requests that Link.Submit handed over.
	Return(buf []byte)
	// Finish closes the connection behind what was delivered.
	Finish()
}

// Peer says where a connection comes from.
type Peer = replica.Peer

// Link is the host's end of a connection.
type Link struct {
	h    *Host
	conn Conn
	rc   *replica.Conn

	waiting []arrived // of a stalled connection; bounded by the buffers a connection has
	stalled bool
	gone    bool // detached while requests wait
	// wanted tells the connection that somebody waits for it to have sent something.
	wanted  atomic.Bool
	timeout atomic.Int64 // of the session, milliseconds
}

// arrived is a buffer of requests: rest is what the machine has not taken.
type arrived struct {
	buf, rest []byte
	at        int64
}

// Attach adds a connection. The caller detaches it in the end. A host that has stopped finishes it.
func (h *Host) Attach(conn Conn, peer Peer) *Link {
	l := &Link{h: h, conn: conn, rc: replica.NewConn(peer)}
	l.rc.Tag = l
	if !h.submit(input{kind: inputOpen, link: l}) {
		conn.Finish()
	}
	return l
}

// Submit hands over buf, of which frames holds whole requests, length prefixes included, that
// arrived at atNanos (see Nanos). The memory comes back by Conn.Return. A connection has at most a
// few buffers, so this needs no bound and never blocks.
func (l *Link) Submit(buf, frames []byte, atNanos int64) {
	l.h.submit(input{kind: inputFrames, link: l, buf: buf, frames: frames, at: atNanos})
}

// Sent is called by the connection after each write to its socket.
func (l *Link) Sent() {
	if l.wanted.Load() && l.wanted.Swap(false) {
		l.h.submit(input{kind: inputSent, link: l})
	}
}

// Timeout is how long the session of the connection may be silent; 0 while it has none.
func (l *Link) Timeout() time.Duration {
	return time.Duration(l.timeout.Load()) * time.Millisecond
}

// Detach tells that the connection is gone. Its session lives on, and what was submitted is still
// carried out.
func (l *Link) Detach() { l.h.submit(input{kind: inputClosed, link: l}) }

// Package replica is a whole standalone server as one machine: connections, sessions, requests,
// transactions, watches and the order of replies.
//
// The machine is pure. The host tells it the time (SetTime), feeds it what happened (Open, Frames,
// Closed, Tick, Durable) and then performs its effects: it appends the records of Effects.Log to
// the transaction log, hands the bytes of each dirty connection to its socket, and closes
// connections. Nothing here is safe for concurrent use.
//
// The promise of the effects: a reply to a write, and a watch event that the write fires, is
// encoded only inside Durable, so whatever is in a connection's output may be sent at once. Reads
// see applied transactions only, and those are durable.
package replica

import (
	"encoding/binary"

	"zkafka/zkd/acl"
	"zkafka/zkd/jute"
	"zkafka/zkd/prep"
	"zkafka/zkd/proto"
	"zkafka/zkd/session"
	"zkafka/zkd/tree"
	"zkafka/zkd/watch"
)

// ACLOptions are the settings of authentication and permission checks.
type ACLOptions = acl.Options

// Options are the settings of a machine. Zero values stand for upstream's defaults.
type Options struct {
	Tree *tree.Tree // recovered; belongs to the machine from now on

	ServerID         int64
	TickMillis       int64 // 3000 when 0
	MinTimeoutMillis int64 // 2 ticks when 0
	MaxTimeoutMillis int64 // 20 ticks when 0

	ACL             ACLOptions
	ExtendedTypes   bool
	DigestsDisabled bool

	// MaxLength limits a string, buffer or vector of a request (see jute.MaxLength).
	MaxLength int
	// OutstandingLimit is the number of requests in process from which on connections that have a
	// request in process have to wait; 1000 when 0.
	OutstandingLimit int
	// MaxUnsent is the number of bytes a connection may have waiting to be sent before its requests
	// have to wait; 4 MiB when 0. Watch events are sent regardless of it.
	MaxUnsent int
	// MaxEvents is the number of bytes of watch events that may gather for a connection that has
	// more than MaxUnsent waiting; 16 times MaxUnsent when 0. Beyond it the connection is closed:
	// a client that comes back learns from setWatches what it has missed.
	MaxEvents int
	// MaxMultiRead limits the answer of a multiRead in bytes; 4 times MaxUnsent when 0.
	MaxMultiRead int
	// MaxBacklog is the number of bytes of transactions on their way to the disk from which on
	// writes have to wait; 64 MiB when 0.
	MaxBacklog int

	ContainerCheckMillis     int64 // 60,000 when 0; negative: never
	ContainerMaxPerMinute    int64 // 10,000 when 0
	ContainerMaxUnusedMillis int64 // age at which a never used container goes; 0: never

	// Now is the time at which the machine starts.
	Now Time
}

// Time is what the clocks say.
type Time struct {
	MonoNanos  int64 // any start, never goes back
	WallMillis int64 // since the epoch
}

// Machine is a standalone server.
type Machine struct {
	opts     Options
	tree     *tree.Tree
	acl      *acl.Checker
	prep     *prep.Prep
	sessions *session.Tracker
	watches  *watch.Manager[*Conn]

	now       Time
	nowMillis int64 // monotonic

	conns     map[*Conn]struct{}
	nextConn  int64
	bySession map[int64]*Conn

	pending pendingQueue
	backlog int     // bytes of the transactions in pending
	waiters int     // connections whose write waits for the backlog to shrink
	ending  []int64 // sessions that have expired and whose closing is still to be prepared
	eff     Effects
	metrics Metrics
	spaces  namespaces

	containers containerScan

	// Scratch that keeps a request from allocating.
	rd      jute.Reader
	req     prep.Request
	create  proto.CreateRequest
	setData proto.SetDataRequest
	remove  proto.DeleteRequest
	notify  []*Conn
	event   jute.Writer
}

// New returns a machine that serves the tree. All sessions of the tree are alive and have their
// full timeout from now on.
func New(o Options) (*Machine, error) {
	o.setDefaults()
	checker, err := acl.New(o.ACL)
	if err != nil {
		return nil, err
	}
	millis := o.Now.MonoNanos / 1e6
	m := &Machine{
		opts: o,
		tree: o.Tree,
		acl:  checker,
		prep: prep.New(prep.Options{
			Tree:           o.Tree,
			ACL:            checker,
			LastZxid:       o.Tree.LastZxid(),
			ExtendedTypes:  o.ExtendedTypes,
			DigestDisabled: o.DigestsDisabled,
		}),
		sessions:  session.NewTracker(o.TickMillis, firstID(&o, millis), millis),
		watches:   watch.New[*Conn](),
		conns:     map[*Conn]struct{}{},
		bySession: map[int64]*Conn{},
		metrics:   newMetrics(),
	}
	m.SetTime(o.Now)
	m.containers.next = m.nowMillis + o.ContainerCheckMillis
	for id, timeout := range o.Tree.Sessions() {
		m.sessions.Add(id, int64(timeout), m.nowMillis)
	}
	return m, nil
}

// firstID is upstream's first session id, unless a living session has it or a later one: the clock
// that ids are made of starts anew with the machine.
func firstID(o *Options, millis int64) int64 {
	server := o.ServerID
	if server == 0 {
		server = 1 // upstream's standalone servers have 1 here, though they say 0 elsewhere
	}
	first := session.FirstID(server, millis)
	for id := range o.Tree.Sessions() {
		if id>>56 == first>>56 && id >= first {
			first = id + 1
		}
	}
	return first
}

func (o *Options) setDefaults() {
	or := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	or(&o.TickMillis, 3000)
	or(&o.MinTimeoutMillis, 2*o.TickMillis)
	or(&o.MaxTimeoutMillis, 20*o.TickMillis)
	or(&o.ContainerCheckMillis, 60_000)
	or(&o.ContainerMaxPerMinute, 10_000)
	limit := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	limit(&o.MaxLength, jute.MaxLength(jute.DefaultMaxBuffer, 0))
	limit(&o.OutstandingLimit, 1000)
	limit(&o.MaxUnsent, 4<<20)
	limit(&o.MaxEvents, 16*o.MaxUnsent)
	limit(&o.MaxMultiRead, 4*o.MaxUnsent)
	limit(&o.MaxBacklog, 64<<20)
}

// Effects is what the host has to do. It is filled by the inputs and emptied by the host.
type Effects struct {
	// Log has the records that must be made durable, in order. The host takes them with TakeLog.
	Log LogBatch
	// Dirty are the connections with bytes to send (Conn.Take).
	Dirty []*Conn
	// Closed are connections to close once their bytes are sent.
	Closed []*Conn
	// Expired are sessions whose time was over; news for the journal, nothing to do.
	Expired []int64
}

// LogBatch is a run of transactions in their encoded form.
type LogBatch struct {
	Buf  []byte
	Recs []LogRec
}

// LogRec is one transaction of a batch: it ends at End and starts where the one before it ends.
type LogRec struct {
	Zxid int64
	End  int
}

// Reset empties the batch and keeps its memory.
func (b *LogBatch) Reset() { b.Buf, b.Recs = b.Buf[:0], b.Recs[:0] }

// Effects returns what is to be done. The host empties Dirty and Closed when it has done it.
func (m *Machine) Effects() *Effects { return &m.eff }

// TakeLog returns the records to make durable and gives the machine an empty batch to fill. The
// machine's transactions point into the memory of a batch: it may be reused only after Durable was
// called for the last record in it.
func (m *Machine) TakeLog(next LogBatch) LogBatch {
	b := m.eff.Log
	next.Reset()
	m.eff.Log = next
	return b
}

// SetTime tells the time; it holds for the inputs that follow.
func (m *Machine) SetTime(now Time) {
	m.now = now
	m.nowMillis = now.MonoNanos / 1e6
}

// Tree returns the tree, for snapshots. Only the host's loop may use it.
func (m *Machine) Tree() *tree.Tree { return m.tree }

// LastZxid returns the zxid of the last transaction prepared, durable or not.
func (m *Machine) LastZxid() int64 { return m.prep.LastZxid() }

// Open tells of a new connection.
func (m *Machine) Open(c *Conn) {
	m.nextConn++
	c.id = m.nextConn
	c.ids = append(c.ids[:0], proto.ID{Scheme: acl.SchemeIP, ID: c.peer.IP})
	c.stats = ConnStats{EstablishedMilli: m.now.WallMillis, LastCxid: -1, LastZxid: -1}
	m.conns[c] = struct{}{}
}

// Closed tells that a connection is gone. Its session lives on until it expires.
func (m *Machine) Closed(c *Conn) {
	if _, ok := m.conns[c]; !ok {
		return
	}
	m.excuse(c)
	m.leave(c)
	delete(m.conns, c)
}

// leave ends what a connection takes part in.
func (m *Machine) leave(c *Conn) {
	c.state = connClosing
	c.stalled = false
	m.waitForLog(c, false)
	m.watches.RemoveAll(c)
	if m.bySession[c.session] == c {
		delete(m.bySession, c.session)
	}
	clear(c.queue)
	c.queue, c.head, c.chunk, c.expect = nil, 0, nil, 0
}

// close makes the host close a connection after what it has to send.
func (m *Machine) close(c *Conn) {
	if c.state == connClosing {
		return
	}
	m.leave(c)
	m.eff.Closed = append(m.eff.Closed, c)
}

func (m *Machine) frame(c *Conn, frame []byte, at int64) {
	m.metrics.PacketsReceived++
	c.stats.Received++
	if c.state == connFresh {
		m.connectRequest(c, frame, at)
		return
	}
	if len(frame) < proto.RequestHeaderSize {
		m.close(c)
		return
	}
	xid := int32(binary.BigEndian.Uint32(frame))
	op := proto.Op(binary.BigEndian.Uint32(frame[4:]))
	body := frame[proto.RequestHeaderSize:]
	switch {
	case isWrite(op):
		m.writeRequest(c, xid, op, body, at)
	case op == proto.OpCloseSession:
		m.closeRequest(c, xid, at)
	case op == proto.OpAuth:
		m.authRequest(c, xid, body)
	case op == proto.OpSASL:
		m.saslRequest(c, xid, at)
	case c.gone:
	case c.inFlight() == 0:
		m.read(c, xid, op, body, at)
	default:
		cost := len(frame) + m.readCost(c, op, body)
		c.push(queued{frame: c.hold(frame), at: at, cost: cost})
	}
}

// drain answers the reads that waited for a write which is now answered.
func (m *Machine) drain(c *Conn) {
	for c.inFlight() > 0 && !c.queue[c.head].write {
		q := c.pop()
		if c.gone {
			continue
		}
		xid := int32(binary.BigEndian.Uint32(q.frame))
		op := proto.Op(binary.BigEndian.Uint32(q.frame[4:]))
		m.read(c, xid, op, q.frame[proto.RequestHeaderSize:], q.at)
	}
}

// dirty puts a connection on the list of those with bytes to send.
func (m *Machine) dirty(c *Conn) {
	if !c.dirty {
		c.dirty = true
		m.eff.Dirty = append(m.eff.Dirty, c)
	}
}

// finish ends the reply that begin started and counts it.
func (m *Machine) finish(c *Conn, at int, op proto.Op, xid int32, zxid, since int64) {
	c.out.EndFrame(at)
	m.dirty(c)
	m.metrics.PacketsSent++
	if size := len(c.out.B) - at - 4 - proto.ReplyHeaderSize; size > 0 {
		m.metrics.response(int64(size))
	}
	latency := max(m.now.MonoNanos-since, 0) / 1e6
	m.metrics.Latency.Add(latency)
	s := &c.stats
	s.Sent++
	s.Latency.Add(latency)
	s.LastLatency = latency
	s.LastReplyMilli = m.nowMillis
	s.LastOp, s.HasOp = op, true
	s.LastCxid = xid
	s.LastZxid = zxid
}

// fail sends a reply that is only a header.
func (m *Machine) fail(c *Conn, op proto.Op, xid int32, zxid int64, err proto.Err, since int64) {
	at := c.begin(xid, zxid, err)
	m.finish(c, at, op, xid, zxid, since)
}

package replica

import (
	"zkafka/zkd/proto"
	"zkafka/zkd/session"
)

// connectRequest handles the first frame of a connection.
func (m *Machine) connectRequest(c *Conn, frame []byte, at int64) {
	m.metrics.ConnectionRequests++
	var req proto.ConnectRequest
	m.rd.Reset(frame, m.opts.MaxLength)
	req.Decode(&m.rd)
	if m.rd.Err() != nil || req.LastZxidSeen > m.tree.LastZxid() {
		// A client that has seen more than this server must find another one; it gets no answer.
		m.close(c)
		return
	}
	c.hasReadOnly = req.HasReadOnly
	c.timeout = min(max(int64(req.Timeout), m.opts.MinTimeoutMillis), m.opts.MaxTimeoutMillis)
	if req.SessionID != 0 {
		m.reattach(c, &req, at)
		return
	}
	c.session = m.sessions.NewID()
	c.state = connWaiting
	m.req.Op = proto.OpCreateSession
	m.req.Body = &proto.CreateSessionTxn{Timeout: int32(c.timeout)}
	m.req.Malformed = false
	m.submit(c, c.session, nil, 0, proto.OpCreateSession, at)
}

// reattach gives an existing session to a new connection. Another connection of it is closed first,
// even if the password then turns out to be wrong.
func (m *Machine) reattach(c *Conn, req *proto.ConnectRequest, at int64) {
	m.metrics.ConnectionRevalidations++
	if old := m.bySession[req.SessionID]; old != nil {
		m.close(old)
	}
	want := session.Password(req.SessionID)
	valid := string(req.Passwd) == string(want[:]) &&
		m.sessions.Touch(req.SessionID, c.timeout, m.nowMillis)
	c.session = req.SessionID
	if !valid {
		m.connectReply(c, false, at)
		c.session = 0
		m.close(c)
		return
	}
	m.attach(c)
	m.connectReply(c, true, at)
}

func (m *Machine) attach(c *Conn) {
	c.state = connOpen
	m.bySession[c.session] = c
}

// sessionCreated tells the client that its session is durable. It begins to age only now: how long
// the disk took for it is not the client's fault.
func (m *Machine) sessionCreated(c *Conn, e *pending) {
	timeout := e.txn.Body.(*proto.CreateSessionTxn).Timeout
	m.sessions.Add(e.txn.Header.ClientID, int64(timeout), m.nowMillis)
	if c == nil || c.state != connWaiting {
		return // the connection is gone; the session will expire
	}
	m.attach(c)
	m.connectReply(c, true, e.at)
	c.stats.LastZxid = e.txn.Header.Zxid
}

// connectReply answers a connect request. An invalid session has neither id, timeout nor password.
func (m *Machine) connectReply(c *Conn, valid bool, since int64) {
	resp := proto.ConnectResponse{HasReadOnly: c.hasReadOnly}
	var password [session.PasswordLen]byte
	if valid {
		password = session.Password(c.session)
		resp.Timeout = int32(c.timeout)
		resp.SessionID = c.session
	}
	resp.Passwd = password[:]
	at := c.out.StartFrame()
	resp.Encode(&c.out)
	m.finish(c, at, proto.OpCreateSession, 0, m.tree.LastZxid(), since)
}

// closeRequest ends the session of a connection at the client's wish.
func (m *Machine) closeRequest(c *Conn, xid int32, at int64) {
	m.endSession(c, c.session, xid, at)
	c.state = connLeaving
}

// endSession prepares the closing of a session; c is the connection that waits for it, or nil.
func (m *Machine) endSession(c *Conn, id int64, xid int32, at int64) {
	m.sessions.SetClosing(id)
	m.req.Op = proto.OpCloseSession
	m.req.Body = nil
	m.req.Malformed = false
	m.submit(c, id, nil, xid, proto.OpCloseSession, at)
}

// sessionClosed forgets a session whose closing has been applied and closes its connection.
func (m *Machine) sessionClosed(e *pending) {
	id := e.txn.Header.ClientID
	m.sessions.Remove(id)
	if c := e.conn; c != nil && c.live() {
		c.pop()
		m.fail(c, e.op, e.xid, e.txn.Header.Zxid, proto.ErrOK, e.at)
		m.close(c)
	}
	if c := m.bySession[id]; c != nil {
		m.close(c)
	}
}

// NextTick returns the time, in nanoseconds of the monotonic clock, at which Tick has work to do.
func (m *Machine) NextTick() int64 {
	if len(m.ending) > 0 && m.backlog < m.opts.MaxBacklog {
		return m.now.MonoNanos
	}
	next := m.sessions.NextExpiry()
	if m.opts.ContainerCheckMillis > 0 {
		next = min(next, m.containers.next)
	}
	return next * 1e6
}

// Tick expires sessions and unused containers; call it when NextTick has come.
func (m *Machine) Tick() {
	known := len(m.ending)
	m.ending = m.sessions.Expire(m.ending, m.nowMillis, m.spared)
	m.metrics.StaleSessionsExpired += int64(len(m.ending) - known)
	m.eff.Expired = append(m.eff.Expired, m.ending[known:]...)
	m.endExpired()
	if m.opts.ContainerCheckMillis > 0 && m.nowMillis >= m.containers.next {
		m.scanContainers()
	}
}

// spared says whether a session whose time is over lives on, because its client may have been
// sending all the time and it is the server that has stopped to read. That cannot go on for ever:
// either the server goes on, or the client does not take its replies and loses the connection.
func (m *Machine) spared(id int64) bool {
	c := m.bySession[id]
	return c != nil && c.stalled
}

// endSlice is how many sessions, and how many bytes of transactions, a tick closes. When all
// clients of a large system are cut off at once the others shall not have to wait for the end of
// them all.
const (
	endSlice      = 256
	endSliceBytes = 256 << 10
)

// endExpired closes the sessions that have expired, a slice of them.
func (m *Machine) endExpired() {
	from := m.backlog
	n := 0
	for n < len(m.ending) && n < endSlice && m.backlog-from < endSliceBytes &&
		m.backlog < m.opts.MaxBacklog {
		m.endSession(nil, m.ending[n], 0, m.now.MonoNanos)
		n++
	}
	m.ending = append(m.ending[:0], m.ending[n:]...)
}

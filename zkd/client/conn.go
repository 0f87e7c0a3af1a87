package client

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
)

// Waits between two rounds over the server list: short at first, so that a server that restarts is
// found at once, then a second, so that one that stays away is not stormed.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = time.Second
)

// maxBatch bounds what the writer encodes before it writes.
const maxBatch = 1 << 20

// conn is one connection with an established session.
type conn struct {
	nc    net.Conn
	br    *bufio.Reader // over the conn itself: see Read
	sent  fifo          // under Client.mu
	auths []*auth       // under Client.mu: on the wire, in order
	quit  chan struct{} // closed by the reader: the writer must end
	idle  time.Duration // a ping goes out after this long without a request
	dead  time.Duration // the connection is given up after this long without a reply
}

// Read reads from the network and fails when nothing comes for too long.
func (cn *conn) Read(b []byte) (int, error) {
	if cn.dead > 0 {
		if err := cn.nc.SetReadDeadline(time.Now().Add(cn.dead)); err != nil {
			return 0, err
		}
	}
	return cn.nc.Read(b)
}

// fifo is a queue of calls that reuses its memory.
type fifo struct {
	q    []*call
	head int
}

func (f *fifo) push(k *call) { f.q = append(f.q, k) }

func (f *fifo) peek() *call {
	if f.head == len(f.q) {
		return nil
	}
	return f.q[f.head]
}

func (f *fifo) pop() *call {
	k := f.peek()
	if k == nil {
		return nil
	}
	f.q[f.head] = nil
	f.head++
	switch {
	case f.head == len(f.q):
		f.q, f.head = f.q[:0], 0
	case f.head > 1024 && f.head > len(f.q)/2:
		n := copy(f.q, f.q[f.head:])
		clear(f.q[n:])
		f.q, f.head = f.q[:n], 0
	}
	return k
}

// auth is one credential. It is sent again on every new connection.
type auth struct {
	packet proto.AuthPacket
	done   chan struct{} // closed when the server has answered once
	ok     bool
}

// AddAuth identifies the client to the server under a scheme, such as digest with "user:password".
// A refusal ends the client with ErrAuthFailed, as it does upstream: the server closes the
// connection and would again on every reconnect.
func (c *Client) AddAuth(ctx context.Context, scheme string, data []byte) error {
	a := &auth{packet: proto.AuthPacket{Scheme: scheme, Auth: data}, done: make(chan struct{})}
	c.mu.Lock()
	if c.fatal != nil {
		defer c.mu.Unlock()
		return c.fatal
	}
	c.auths = append(c.auths, a)
	if c.conn != nil {
		c.queue = append(c.queue, &call{auth: a})
	}
	c.mu.Unlock()
	c.wake()
	select {
	case <-a.done:
		return nil
	case <-c.done:
		return c.fatalError()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run connects again and again until the client is closed or its session is over.
func (c *Client) run() {
	defer close(c.done)
	defer c.shutdown()
	pause := firstPause
	for tries := 0; c.ctx.Err() == nil; {
		cn, err := c.connect(c.opt.Servers[tries%len(c.opt.Servers)])
		switch {
		case err == nil:
			start := time.Now()
			err = c.serve(cn)
			if c.fatalOr(nil) != nil || c.ctx.Err() != nil {
				return
			}
			c.noteTrouble("lost the connection to", err)
			c.setState(StateDisconnected)
			c.rotate()
			tries = 0
			if time.Since(start) > lastPause { // else the server threw us out: do not storm it
				pause = firstPause
				continue
			}
		case errors.Is(err, ErrSessionExpired):
			c.setState(StateExpired)
			return
		case c.ctx.Err() != nil:
			return
		default:
			c.noteTrouble("cannot connect to", err)
			if tries++; tries%len(c.opt.Servers) != 0 {
				continue
			}
			if c.opt.FailFast {
				c.failQueued(ErrConnectionLoss)
			}
		}
		if !c.sleep(pause/2 + rand.N(pause/2)) {
			return
		}
		pause = min(2*pause, lastPause)
	}
}

// rotate puts the server that was just lost at the end of the list.
func (c *Client) rotate() {
	s := c.opt.Servers
	server := c.Server()
	for i, a := range s {
		if a == server {
			copy(s[i:], s[i+1:])
			s[len(s)-1] = server
			return
		}
	}
}

func (c *Client) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// fatalOr returns the final error, or err while there is none.
func (c *Client) fatalOr(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fatal != nil {
		return c.fatal
	}
	return err
}

// shutdown ends what is left when run ends: queued calls fail, watches hear of the end.
func (c *Client) shutdown() {
	c.cancel()
	c.setState(StateClosed)
	fatal := c.fatalOr(ErrClosed)
	c.failQueued(fatal)
	state := proto.StateClosed
	switch {
	case errors.Is(fatal, ErrSessionExpired):
		state = proto.StateExpired
	case errors.Is(fatal, ErrAuthFailed):
		state = proto.StateAuthFailed
	}
	c.mu.Lock()
	watches := c.watches.all()
	c.mu.Unlock()
	for path, fns := range watches {
		for _, fn := range fns {
			fn(Event{Type: proto.EventNone, State: state, Path: c.local(path), Zxid: -1})
		}
	}
}

// failQueued fails the calls that no connection has taken.
func (c *Client) failQueued(err error) {
	c.mu.Lock()
	queue := c.queue
	c.queue = nil
	c.mu.Unlock()
	for _, k := range queue {
		if k.auth == nil {
			c.finish(k, OpResult{Err: err})
		}
	}
}

// connect opens a connection and establishes the session on it.
func (c *Client) connect(server string) (*conn, error) {
	c.mu.Lock()
	c.server = server
	req := proto.ConnectRequest{
		LastZxidSeen: c.lastZxid, Timeout: int32(min(c.opt.SessionTimeout.Milliseconds(), 1<<31-1)),
		SessionID: c.id, Passwd: c.password, ReadOnly: c.opt.ReadOnly, HasReadOnly: true,
	}
	patience := c.opt.ConnectTimeout
	if c.id != 0 {
		// A server that takes the connection and stays silent must not cost the session. Apache's
		// does so when it is reached in the moment of its start.
		patience = min(patience, c.timeout/3)
	}
	c.mu.Unlock()
	if req.Passwd == nil {
		req.Passwd = make([]byte, 16)
	}
	ctx, cancel := context.WithTimeout(c.ctx, patience)
	defer cancel()
	nc, err := c.opt.DialContext(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	unhook := context.AfterFunc(ctx, func() { _ = nc.Close() })
	cn, resp, err := handshake(nc, &req)
	if !unhook() && err == nil {
		err = ctx.Err()
	}
	if err == nil && resp.Timeout <= 0 {
		err = ErrSessionExpired
	}
	if err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("establish a session: %w", err)
	}
	timeout := time.Duration(resp.Timeout) * time.Millisecond
	cn.idle, cn.dead = timeout/3, timeout*2/3
	c.mu.Lock()
	c.id, c.password, c.timeout = resp.SessionID, clone(resp.Passwd), timeout
	c.mu.Unlock()
	state := StateConnected
	if resp.ReadOnly {
		state = StateConnectedReadOnly
	}
	if err := c.greet(cn); err != nil {
		_ = nc.Close()
		return nil, err
	}
	c.setState(state)
	return cn, nil
}

// handshake exchanges the connect records.
func handshake(nc net.Conn, req *proto.ConnectRequest) (*conn, *proto.ConnectResponse, error) {
	var w jute.Writer
	at := w.StartFrame()
	req.Encode(&w)
	w.EndFrame(at)
	if _, err := nc.Write(w.B); err != nil {
		return nil, nil, err
	}
	cn := &conn{nc: nc, quit: make(chan struct{})}
	cn.br = bufio.NewReaderSize(cn, 64<<10)
	frame, err := readFrame(cn.br, nil, 1024)
	if err != nil {
		return nil, nil, err
	}
	resp := new(proto.ConnectResponse)
	r := jute.NewReader(frame, 0)
	resp.Decode(r)
	return cn, resp, r.Err()
}

// greet sends what a new connection needs before any request: credentials, then the watches. Auth
// packets waiting in the queue are dropped, they are among the credentials.
func (c *Client) greet(cn *conn) error {
	var w jute.Writer
	c.mu.Lock()
	queue := c.queue[:0]
	for _, k := range c.queue {
		if k.auth == nil {
			queue = append(queue, k)
		}
	}
	clear(c.queue[len(queue):])
	c.queue = queue
	cn.auths = append(cn.auths, c.auths...)
	for _, a := range c.auths {
		frame(&w, proto.XidAuth, proto.OpAuth, &a.packet)
	}
	for _, s := range c.watches.setAgain(c.lastZxid) {
		frame(&w, proto.XidSetWatches, proto.OpSetWatches, s)
	}
	c.conn = cn
	c.mu.Unlock()
	if len(w.B) == 0 {
		return nil
	}
	if err := cn.nc.SetWriteDeadline(time.Now().Add(cn.dead)); err != nil {
		return err
	}
	if _, err := cn.nc.Write(w.B); err != nil {
		c.mu.Lock()
		c.conn = nil
		c.mu.Unlock()
		return err
	}
	return cn.nc.SetWriteDeadline(time.Time{})
}

// frame appends one request.
func frame(w *jute.Writer, xid int32, op proto.Op, body proto.Record) {
	at := w.StartFrame()
	h := proto.RequestHeader{Xid: xid, Type: op}
	h.Encode(w)
	if body != nil {
		body.Encode(w)
	}
	w.EndFrame(at)
}

// readFrame reads one frame into buf, which it grows when needed.
func readFrame(br *bufio.Reader, buf []byte, limit int) ([]byte, error) {
	head, err := br.Peek(4)
	if err != nil {
		return nil, err
	}
	n := int(int32(binary.BigEndian.Uint32(head)))
	if n < 0 || n > limit {
		return nil, fmt.Errorf("server sent a frame of %d bytes, the limit is %d", n, limit)
	}
	if _, err := br.Discard(4); err != nil {
		return nil, err
	}
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	_, err = io.ReadFull(br, buf)
	return buf, err
}

// serve reads from a connection until it breaks, with a writer beside it, and fails what was on the
// wire.
func (c *Client) serve(cn *conn) error {
	unhook := context.AfterFunc(c.ctx, func() { _ = cn.nc.Close() })
	defer unhook()
	written := make(chan error, 1)
	go func() {
		err := c.write(cn)
		_ = cn.nc.Close() // the reader ends with it
		written <- err
	}()
	err := c.read(cn)
	close(cn.quit)
	_ = cn.nc.Close()
	if werr := <-written; werr != nil && errors.Is(err, net.ErrClosed) {
		err = werr // the writer saw the reason
	}
	c.mu.Lock()
	c.conn = nil
	sent := cn.sent
	cn.sent = fifo{}
	c.mu.Unlock()
	lost := c.fatalOr(ErrConnectionLoss)
	if c.ctx.Err() != nil {
		lost = c.fatalOr(ErrClosed)
	}
	for k := sent.pop(); k != nil; k = sent.pop() {
		c.finish(k, OpResult{Err: lost})
	}
	return err
}

// write sends queued calls, all that are there with one write, and pings when there are none.
func (c *Client) write(cn *conn) error {
	ping := time.NewTimer(cn.idle)
	defer ping.Stop()
	var w jute.Writer
	for {
		more := c.take(cn, &w)
		if len(w.B) > 0 {
			if _, err := cn.nc.Write(w.B); err != nil {
				return err
			}
			ping.Reset(cn.idle)
		}
		if w.B = w.B[:0]; cap(w.B) > 4*maxBatch {
			w.B = nil
		}
		if more {
			continue
		}
		select {
		case <-cn.quit:
			return nil
		case <-c.kick:
		case <-ping.C:
			frame(&w, proto.XidPing, proto.OpPing, nil)
		}
	}
}

// take moves queued calls to the wire and encodes them, and says whether some are left. It encodes
// under the lock: a caller that gives up, and then reuses its data, has dropped the call before.
func (c *Client) take(cn *conn, w *jute.Writer) bool {
	var dropped []*call
	c.mu.Lock()
	i := 0
	for ; i < len(c.queue) && len(w.B) < maxBatch; i++ {
		k := c.queue[i]
		switch {
		case k.auth != nil:
			cn.auths = append(cn.auths, k.auth)
			frame(w, proto.XidAuth, proto.OpAuth, &k.auth.packet)
		case k.dropped:
			dropped = append(dropped, k)
		default:
			if c.xid++; c.xid <= 0 {
				c.xid = 1
			}
			k.xid = c.xid
			frame(w, k.xid, k.op.code, k.body)
			k.body = nil
			cn.sent.push(k)
		}
	}
	left := copy(c.queue, c.queue[i:])
	clear(c.queue[left:])
	c.queue = c.queue[:left]
	c.mu.Unlock()
	for _, k := range dropped {
		c.finish(k, OpResult{Err: context.Canceled})
	}
	return left > 0
}

package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"

	"zkafka/kafkad/handler"
)

// smallBuffer is what a connection reads into while it does not know the size of the next frame. It
// holds most requests whole, so that they cost one system call; larger frames are read directly
// into a buffer of their own size.
const smallBuffer = 4096

// conn is one client connection; its goroutine is its only user except where noted.
type conn struct {
	server *Server
	tcp    *net.TCPConn
	raw    syscall.RawConn
	addr   netip.Addr
	h      handler.Conn
	out    output

	buf        []byte // smallBuffer bytes
	from, have int    // buf[from:have] is read but not used

	active   atomic.Int64 // unix nanoseconds of the last byte that moved; read by the janitor
	handling atomic.Bool  // a handler is at work, perhaps waiting: not idle
	writing  atomic.Bool  // a reply is being written: idle if the client does not take it
}

func newConn(s *Server, tcp *net.TCPConn, listener string, addr netip.Addr) (*conn, error) {
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("reach the socket: %w", err)
	}
	c := &conn{server: s, tcp: tcp, raw: raw, addr: addr, buf: make([]byte, smallBuffer)}
	c.h = handler.Conn{ID: s.nextID.Add(1), Listener: listener, Host: addr.String(), Out: &c.out}
	c.out.init(c)
	c.touch()
	return c, nil
}

func (c *conn) touch() { c.active.Store(time.Now().UnixNano()) }

// run serves the connection until the client leaves or breaks the protocol.
func (c *conn) run(ctx context.Context) {
	defer func() { _ = c.tcp.Close() }()
	defer c.h.Close()
	for ctx.Err() == nil {
		err := c.serveOne(ctx)
		if err == nil {
			continue
		}
		if !quiet(err) && ctx.Err() == nil {
			c.server.log.Info("connection closed",
				zap.String("client", c.h.Host), zap.String("client_id", c.h.ClientID),
				zap.String("listener", c.h.Listener), zap.Error(err))
		}
		return
	}
}

// quiet says that an error is the ordinary end of a connection.
func quiet(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, handler.ErrClose)
}

// serveOne reads one frame and has it answered.
func (c *conn) serveOne(ctx context.Context) error {
	size, err := c.readSize()
	if err != nil {
		return err
	}
	c.touch()
	if size <= len(c.buf)-4 {
		if err := c.fill(size); err != nil {
			return err
		}
		frame := c.buf[c.from : c.from+size]
		c.from += size
		return c.handle(ctx, frame)
	}
	b := c.server.pool.get(size)
	defer c.server.pool.put(b)
	frame := (*b)[:size]
	n := copy(frame, c.buf[c.from:c.have])
	c.from, c.have = 0, 0
	if err := c.readFull(frame[n:]); err != nil {
		return err
	}
	return c.handle(ctx, frame)
}

func (c *conn) handle(ctx context.Context, frame []byte) error {
	c.handling.Store(true)
	err := c.server.handlers.Serve(ctx, &c.h, frame)
	c.touch()
	c.handling.Store(false)
	return err
}

func (c *conn) readSize() (int, error) {
	if c.from == c.have {
		c.from, c.have = 0, 0
	}
	if err := c.fill(4); err != nil {
		return 0, err
	}
	size := int(int32(binary.BigEndian.Uint32(c.buf[c.from:])))
	if size < 0 || size > c.server.opts.MaxRequestBytes {
		return 0, fmt.Errorf("request of %d bytes: the limit is %d",
			size, c.server.opts.MaxRequestBytes)
	}
	c.from += 4
	return size, nil
}

// fill reads until n bytes are in buf[from:have], taking more if they are there.
func (c *conn) fill(n int) error {
	if c.from+n > len(c.buf) {
		c.have = copy(c.buf, c.buf[c.from:c.have])
		c.from = 0
	}
	for c.have-c.from < n {
		m, err := c.tcp.Read(c.buf[c.have:])
		if err != nil {
			return err
		}
		c.have += m
	}
	return nil
}

// readFull reads exactly len(b) bytes. A large frame that keeps coming keeps the connection alive.
func (c *conn) readFull(b []byte) error {
	for len(b) > 0 {
		n, err := c.tcp.Read(b)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// closeIfIdle closes the connection if nothing moved since the given time. A handler that waits is
// not idle, a client that does not take its reply is. The janitor calls it.
func (c *conn) closeIfIdle(since time.Time) {
	if (!c.handling.Load() || c.writing.Load()) && c.active.Load() < since.UnixNano() {
		_ = c.tcp.Close() // it may have been closed already
	}
}

// stopReading makes the next or current read fail; a request in flight is still answered.
func (c *conn) stopReading() { _ = c.tcp.SetReadDeadline(time.Unix(1, 0)) }

// Package server accepts client connections, cuts request frames and hands them to the handlers.
// Edge: one goroutine per connection reads a frame, has it answered (which may block for long),
// and reads the next, so that replies come in the order of the requests without any queue. One
// goroutine per listener accepts, one janitor closes idle connections.
//
// Bounds: a frame is at most MaxRequestBytes; connections are limited in total and per address;
// frame buffers beyond a connection's own small one come from a pool that keeps a bounded number
// of bytes. A client that does not read its replies stops being read.
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"zkafka/kafkad/handler"
)

// Upstream's defaults, for zero Options.
const (
	defaultMaxRequestBytes = 104857600
	defaultMaxIdle         = 10 * time.Minute
)

// Listener is one address to serve.
type Listener struct {
	Name    string // upper case listener name
	Address string // host:port; empty host = all interfaces, port 0 = any free one
}

// Options configure a Server. Zero values mean upstream's defaults.
type Options struct {
	Listeners []Listener
	Log       *zap.Logger // nil = silent

	MaxRequestBytes int           // socket.request.max.bytes
	MaxIdle         time.Duration // connections.max.idle.ms; negative = never
	MaxConnections  int           // max.connections; 0 = no limit
	MaxPerIP        int           // max.connections.per.ip; 0 = no limit
	MaxPerIPOf      map[string]int
	SendBuffer      int // socket.send.buffer.bytes; ≤ 0 = the system's, see sameHostSendBuffer
	ReceiveBuffer   int // socket.receive.buffer.bytes; ≤ 0 = the system's
}

// Server serves the listeners. Make one with Listen.
type Server struct {
	opts      Options
	log       *zap.Logger
	listeners []net.Listener
	pool      bufferPool
	handlers  *handler.Handlers

	ctx    context.Context // ends when Close begins
	cancel context.CancelFunc
	wg     sync.WaitGroup
	nextID atomic.Uint64

	mu     sync.Mutex
	closed bool
	conns  map[*conn]struct{}
	perIP  map[netip.Addr]int
}

// Listen binds all addresses. Clients can connect, but nothing is accepted before Serve.
func Listen(opts Options) (*Server, error) {
	if opts.MaxRequestBytes == 0 {
		opts.MaxRequestBytes = defaultMaxRequestBytes
	}
	if opts.MaxIdle == 0 {
		opts.MaxIdle = defaultMaxIdle
	}
	s := &Server{
		opts: opts, log: opts.Log, conns: map[*conn]struct{}{}, perIP: map[netip.Addr]int{},
	}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	for _, l := range opts.Listeners {
		nl, err := net.Listen("tcp", l.Address)
		if err != nil {
			for _, open := range s.listeners {
				_ = open.Close() // the error of Listen says more
			}
			return nil, fmt.Errorf("listen for %s: %w", l.Name, err)
		}
		s.listeners = append(s.listeners, nl)
	}
	return s, nil
}

// Addr returns the address that the named listener is bound to, nil if there is none.
func (s *Server) Addr(name string) *net.TCPAddr {
	for i, l := range s.opts.Listeners {
		if l.Name == name {
			return s.listeners[i].Addr().(*net.TCPAddr)
		}
	}
	return nil
}

// Serve begins to accept and returns at once. Call it once.
func (s *Server) Serve(h *handler.Handlers) {
	s.handlers = h
	for i, l := range s.listeners {
		s.wg.Go(func() { s.accept(s.opts.Listeners[i].Name, l) })
	}
	if s.opts.MaxIdle > 0 {
		s.wg.Go(s.closeIdle)
	}
}

func (s *Server) accept(name string, l net.Listener) {
	var backoff time.Duration
	for {
		nc, err := l.Accept()
		if err != nil {
			if s.ctx.Err() != nil {
				return
			}
			// Out of file descriptors, most likely: those in use come back when clients leave.
			backoff = min(max(2*backoff, 5*time.Millisecond), time.Second)
			s.log.Warn("accepting a connection failed",
				zap.String("listener", name), zap.Error(err))
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(backoff):
			}
			continue
		}
		backoff = 0
		s.start(name, nc.(*net.TCPConn))
	}
}

// start admits a connection and runs it on a goroutine of its own.
func (s *Server) start(listener string, tcp *net.TCPConn) {
	// A connection whose options cannot be set works, or its first read tells what is wrong.
	near := sameHost(tcp)
	if n := s.sendBuffer(near); n > 0 {
		_ = tcp.SetWriteBuffer(n)
	}
	if near {
		_ = unpace(tcp)
	}
	if s.opts.ReceiveBuffer > 0 {
		_ = tcp.SetReadBuffer(s.opts.ReceiveBuffer)
	}
	addr := tcp.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	c, err := newConn(s, tcp, listener, addr)
	if err != nil {
		_ = tcp.Close()
		return
	}
	if reason := s.admit(c); reason != "" {
		s.log.Warn("connection refused",
			zap.String("client", addr.String()), zap.String("reason", reason))
		_ = tcp.Close()
	}
}

// sameHostSendBuffer is the send buffer, in bytes, of clients on the broker's own host when none is
// configured. There is no round trip to bridge, and the system's own tuning lets the buffer grow to
// megabytes, which have left the processor's caches when the client copies them.
const sameHostSendBuffer = 256 << 10

// sendBuffer is the send buffer to set for a connection; 0 or less leaves it to the system.
func (s *Server) sendBuffer(near bool) int {
	if s.opts.SendBuffer <= 0 && near {
		return sameHostSendBuffer
	}
	return s.opts.SendBuffer
}

// sameHost tells whether the client is on the broker's own host.
func sameHost(tcp *net.TCPConn) bool {
	local := tcp.LocalAddr().(*net.TCPAddr).AddrPort().Addr()
	return oneHost(local, tcp.RemoteAddr().(*net.TCPAddr).AddrPort().Addr())
}

// oneHost tells whether the ends of a connection are on one host. One that dials the host's own
// address gets that address on both ends.
func oneHost(local, remote netip.Addr) bool {
	return remote.Unmap().IsLoopback() || local.Unmap() == remote.Unmap()
}

func (s *Server) admit(c *conn) (refused string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := s.opts.MaxPerIP
	if n, ok := s.opts.MaxPerIPOf[c.addr.String()]; ok {
		limit = n
	}
	switch {
	case s.closed:
		return "shutting down"
	case s.opts.MaxConnections > 0 && len(s.conns) >= s.opts.MaxConnections:
		return "max.connections"
	case limit > 0 && s.perIP[c.addr] >= limit:
		return "max.connections.per.ip"
	}
	s.conns[c] = struct{}{}
	s.perIP[c.addr]++
	s.wg.Go(func() {
		c.run(s.ctx)
		s.forget(c)
	})
	return ""
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.perIP[c.addr]--; s.perIP[c.addr] <= 0 {
		delete(s.perIP, c.addr)
	}
}

// Connections is the number of open client connections.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// closeIdle closes connections on which nothing moved for MaxIdle. One sweep for all is cheaper
// than a deadline per read, which would touch the runtime's timers on every request.
func (s *Server) closeIdle() {
	tick := time.NewTicker(max(s.opts.MaxIdle/8, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case now := <-tick.C:
			s.mu.Lock()
			for c := range s.conns {
				c.closeIfIdle(now.Add(-s.opts.MaxIdle))
			}
			s.mu.Unlock()
		}
	}
}

// Close stops accepting, ends waits, lets requests in flight finish and write their replies until
// ctx ends, and closes all connections.
func (s *Server) Close(ctx context.Context) error {
	s.cancel()
	var errs []error
	for _, l := range s.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		c.stopReading()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { s.wg.Wait(); close(done) }()
	select {
	case <-done:
		return errors.Join(errs...)
	case <-ctx.Done():
		errs = append(errs, ctx.Err())
	}
	s.mu.Lock()
	for c := range s.conns {
		_ = c.tcp.Close() // it may have been closed already
	}
	s.mu.Unlock()
	<-done
	return errors.Join(errs...)
}

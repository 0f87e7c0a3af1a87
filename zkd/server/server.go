// Package server listens for ZooKeeper clients. For each connection one goroutine reads, cuts all
// complete frames of a read and hands them to the host as one batch, and one goroutine writes,
// with one system call for everything that gathered since the last.
//
// Bounds: a connection has three buffers for requests, and the reader stops while the host holds
// them, which it does when too many requests of the connection are in process or its replies are
// not taken. A connection without a session is closed after ten seconds, one whose client takes
// nothing of what is written to it after the timeout of its session.
package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"zkafka/zkd/host"
	"zkafka/zkd/jute"
)

// Options are the settings of a server. Zero values stand for upstream's defaults.
type Options struct {
	Host *host.Host
	// Listeners are served in addition to those of Addresses; the server closes them.
	Listeners []net.Listener
	// Addresses are "host:port" pairs to listen on.
	Addresses []string

	// MaxClientCnxns limits the connections from one address; 60 when 0, negative for no limit.
	MaxClientCnxns int
	// MaxCnxns limits all connections; 0 for no limit.
	MaxCnxns int
	// MaxFrame is jute.maxbuffer.
	MaxFrame int
	// SessionlessTimeout closes connections that have no session by then; 10 s.
	SessionlessTimeout time.Duration
	// TCPKeepAlive sends keep-alive probes (clientTcpKeepAlive).
	TCPKeepAlive bool

	Log *zap.Logger
}

// Query is a four letter word that a client sent.
type Query struct {
	Word string
	Rest io.Reader // what the client sends behind the word
	Addr string    // of the client
}

// Command answers a four letter word. It returns false for words that are none; those four bytes
// then are the length of a frame.
type Command func(q *Query) (reply []byte, ok bool)

// Server is a set of listeners and their connections.
type Server struct {
	o       Options
	log     *zap.Logger
	rare    *zap.Logger // for what may happen many times in a row
	command Command

	mu        sync.Mutex
	listeners []net.Listener
	conns     map[*conn]struct{}
	perIP     map[string]int
	closing   bool
	stop      chan struct{} // closed by Close
	accepting sync.WaitGroup
	serving   sync.WaitGroup

	stats counters
}

type counters struct {
	rejected, dropped, expired, bytesIn atomic.Int64
}

// Stats are counts of a server.
type Stats struct {
	Alive              int   // connections
	Rejected           int64 // refused because of a limit
	Dropped            int64 // ended for a fault of the client or the network
	SessionlessExpired int64
	BytesReceived      int64
}

// New opens the listeners, which queue connections until Start.
func New(o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.MaxClientCnxns == 0 {
		o.MaxClientCnxns = 60
	}
	if o.MaxFrame == 0 {
		o.MaxFrame = jute.DefaultMaxBuffer
	}
	if o.SessionlessTimeout == 0 {
		o.SessionlessTimeout = 10 * time.Second
	}
	s := &Server{
		o: o, log: o.Log, listeners: o.Listeners,
		conns: map[*conn]struct{}{}, perIP: map[string]int{}, stop: make(chan struct{}),
	}
	s.rare = rarely(o.Log)
	keepAlive := time.Duration(-1)
	if o.TCPKeepAlive {
		keepAlive = 0 // the system's interval
	}
	lc := net.ListenConfig{KeepAlive: keepAlive}
	for _, addr := range o.Addresses {
		l, err := lc.Listen(context.Background(), "tcp", addr)
		if err != nil {
			s.closeListeners()
			return nil, fmt.Errorf("listen for clients: %w", err)
		}
		s.listeners = append(s.listeners, l)
	}
	return s, nil
}

// Addrs returns the addresses that the server listens on.
func (s *Server) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(s.listeners))
	for i, l := range s.listeners {
		addrs[i] = l.Addr()
	}
	return addrs
}

// Start accepts connections. command answers four letter words and may be nil.
func (s *Server) Start(command Command) {
	s.command = command
	for _, l := range s.listeners {
		s.accepting.Add(1)
		go func() {
			defer s.accepting.Done()
			s.accept(l)
		}()
	}
}

// accept takes connections until the listener is closed. A failure is no reason to give up: most
// likely the process is out of file descriptors, and connections will end and free some. Nor is it
// one to try again at once and for ever.
func (s *Server) accept(l net.Listener) {
	const shortest, longest = 5 * time.Millisecond, time.Second
	var pause time.Duration
	for {
		nc, err := l.Accept()
		if err == nil {
			pause = 0
			s.admit(nc)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		pause = min(max(2*pause, shortest), longest)
		s.rare.Error("accept of a client connection failed", zap.Error(err))
		select {
		case <-time.After(pause):
		case <-s.stop:
			return
		}
	}
}

// rarely returns a logger that writes each message once in ten seconds.
func rarely(log *zap.Logger) *zap.Logger {
	return log.WithOptions(zap.WrapCore(func(core zapcore.Core) zapcore.Core {
		return zapcore.NewSamplerWithOptions(core, 10*time.Second, 1, 0)
	}))
}

// admit starts a connection, or closes it when there are too many.
func (s *Server) admit(nc net.Conn) {
	ip := hostOf(nc.RemoteAddr())
	c := newConn(s, nc, ip)
	s.mu.Lock()
	full := s.o.MaxClientCnxns > 0 && s.perIP[ip] >= s.o.MaxClientCnxns ||
		s.o.MaxCnxns > 0 && len(s.conns) >= s.o.MaxCnxns
	if full || s.closing {
		s.mu.Unlock()
		if full {
			s.stats.rejected.Add(1)
			s.rare.Warn("too many connections", zap.String("ADDRESS", ip),
				zap.Int("maxClientCnxns", s.o.MaxClientCnxns))
		}
		_ = nc.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.perIP[ip]++
	s.serving.Add(1)
	s.mu.Unlock()
	go c.serve()
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	if s.perIP[c.ip]--; s.perIP[c.ip] == 0 {
		delete(s.perIP, c.ip)
	}
	s.mu.Unlock()
	s.serving.Done()
}

// Stats returns the counts.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	alive := len(s.conns)
	s.mu.Unlock()
	return Stats{
		Alive:              alive,
		Rejected:           s.stats.rejected.Load(),
		Dropped:            s.stats.dropped.Load(),
		SessionlessExpired: s.stats.expired.Load(),
		BytesReceived:      s.stats.bytesIn.Load(),
	}
}

// Close stops listening, closes the connections and waits for their goroutines. Sessions live on,
// in the log and in the host.
func (s *Server) Close() {
	s.mu.Lock()
	if !s.closing {
		s.closing = true
		close(s.stop)
	}
	s.mu.Unlock()
	s.closeListeners()
	s.accepting.Wait()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.nc.Close()
	}
	s.mu.Unlock()
	s.serving.Wait()
}

func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		_ = l.Close() // nothing is lost with it
	}
}

// hostOf is the address of a peer as the ip scheme has it: IPv6 with all of its groups, as Java
// writes it.
func hostOf(a net.Addr) string {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		host, _, err := net.SplitHostPort(a.String())
		if err != nil {
			return a.String()
		}
		return host
	}
	if ip := t.IP.To4(); ip != nil {
		return ip.String()
	}
	groups := make([]string, 0, net.IPv6len/2)
	for i := 0; i+1 < len(t.IP); i += 2 {
		groups = append(groups, strconv.FormatUint(uint64(t.IP[i])<<8|uint64(t.IP[i+1]), 16))
	}
	return strings.Join(groups, ":")
}

package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"zkafka/zkd/host"
)

const (
	// firstBuffer and fullBuffer bound what one read takes: a connection starts small, because most
	// are idle, and grows when reads fill the buffer.
	firstBuffer = 4 << 10
	fullBuffer  = 64 << 10
	// maxBuffers is how many buffers for requests a connection has: the host works on one, has one
	// queued, and one is being filled.
	maxBuffers = 3
	// manySmall is how many small reads or writes in a row make a connection go back to small
	// buffers.
	manySmall = 256
	// keepBuffer is the size up to which buffers for replies are used again.
	keepBuffer = 256 << 10
	// finishTimeout is how long the client of a connection that is to be closed may take nothing of
	// its last bytes, finishLimit how long it has for all of them.
	finishTimeout = 5 * time.Second
	finishLimit   = time.Minute
	// maxWrite is the most that one write is given, so that a long answer on a slow network shows
	// that it gets ahead.
	maxWrite = 1 << 20
)

// conn is one client connection. Its reader goroutine (serve) owns the fields in front of back.
type conn struct {
	s    *Server
	nc   net.Conn
	ip   string
	link *host.Link

	buf   []byte // being filled
	n     int    // bytes in it
	made  int    // buffers there are; at most maxBuffers
	small int    // reads in a row that would have fitted the first buffer

	back   chan []byte   // capacity maxBuffers: buffers that the host returned
	wake   chan struct{} // capacity 1, for the writer
	gone   chan struct{} // closed when the reader has ended
	dead   chan struct{} // closed when the writer has ended
	unsent atomic.Int64
	begun  atomic.Bool // something was delivered: the handshake is over

	mu       sync.Mutex
	pending  []byte    // delivered, not taken by the writer
	finished bool      // close behind pending
	until    time.Time // write deadline
	finishBy time.Time // the last that there may be, once finished
}

func newConn(s *Server, nc net.Conn, ip string) *conn {
	return &conn{
		s: s, nc: nc, ip: ip,
		back: make(chan []byte, maxBuffers),
		wake: make(chan struct{}, 1),
		gone: make(chan struct{}),
		dead: make(chan struct{}),
	}
}

// serve is the reader goroutine, from the first byte to the last.
func (c *conn) serve() {
	defer c.s.forget(c)
	defer func() { _ = c.nc.Close() }()
	c.buf, c.made = make([]byte, firstBuffer), 1
	deadline := time.Now().Add(c.s.o.SessionlessTimeout)
	if err := c.nc.SetReadDeadline(deadline); err != nil {
		return
	}
	if !c.greet() {
		return
	}
	c.link = c.s.o.Host.Attach(c, host.Peer{IP: c.ip, Addr: c.nc.RemoteAddr().String()})
	go c.write()
	err := c.read()
	c.note(err)
	c.link.Detach()
	close(c.gone)
	// As upstream, who ends its side gets no more. The writer may hang in a write, too.
	_ = c.nc.Close()
	<-c.dead
}

// greet waits for the first four bytes and answers them if they are a four letter word.
func (c *conn) greet() (client bool) {
	for c.n < 4 {
		n, err := c.nc.Read(c.buf[c.n:])
		c.n += n
		if err != nil && c.n < 4 {
			c.note(err)
			return false
		}
	}
	if c.s.command == nil {
		return true
	}
	reply, ok := c.s.command(&Query{
		Word: string(c.buf[:4]),
		Rest: io.MultiReader(bytes.NewReader(c.buf[4:c.n]), c.nc),
		Addr: c.nc.RemoteAddr().String(),
	})
	if !ok {
		return true
	}
	if err := c.nc.SetWriteDeadline(time.Now().Add(finishTimeout)); err == nil {
		_, _ = c.nc.Write(reply) // who asks and does not listen gets nothing
	}
	return false
}

// note counts and logs the end of a connection that the server did not want.
func (c *conn) note(err error) {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.s.stats.expired.Add(1)
	}
	c.s.stats.dropped.Add(1)
	c.s.log.Debug("connection ended", zap.String("ADDRESS", c.nc.RemoteAddr().String()),
		zap.Error(err))
}

var errFrame = errors.New("frame length is negative or beyond jute.maxbuffer")

// read reads until the connection ends.
func (c *conn) read() error {
	at := host.Nanos()
	for {
		end, want, err := c.frames()
		if end > 0 && !c.submit(end, want, at) {
			return net.ErrClosed
		}
		if err != nil {
			return err // behind the good frames, as if they had come alone
		}
		if want > len(c.buf) {
			b := make([]byte, want)
			copy(b, c.buf[:c.n])
			c.buf = b
		}
		n, err := c.nc.Read(c.buf[c.n:])
		at = host.Nanos()
		c.n += n
		c.s.stats.bytesIn.Add(int64(n))
		if err != nil {
			return err
		}
	}
}

// frames finds the whole frames in the buffer: they end at end, and want is the size of a buffer
// that holds the one behind them, 0 when its length is not known yet.
func (c *conn) frames() (end, want int, err error) {
	for c.n-end >= 4 {
		size := int(int32(binary.BigEndian.Uint32(c.buf[end:])))
		if size < 0 || size > c.s.o.MaxFrame {
			return end, 0, errFrame
		}
		if c.n-end < 4+size {
			return end, 4 + size, nil
		}
		end += 4 + size
	}
	return end, 0, nil
}

// submit gives the whole frames to the host and goes on with what is behind them in another buffer,
// for which it may have to wait. It returns false when the connection ended meanwhile.
func (c *conn) submit(end, want int, at int64) bool {
	size := len(c.buf)
	switch {
	case c.n == len(c.buf):
		size = max(size, fullBuffer)
	case c.n <= firstBuffer:
		if c.small++; c.small >= manySmall {
			size = firstBuffer
		}
	default:
		c.small = 0
	}
	next, ok := c.takeBuffer(max(min(size, fullBuffer), want))
	if !ok {
		return false
	}
	buf, tail := c.buf, c.buf[end:c.n]
	c.buf, c.n = next, copy(next, tail)
	c.link.Submit(buf, buf[:end], at)
	return true
}

// takeBuffer returns a buffer of the given size: one that the host returned, or a new one as long
// as there may be more.
func (c *conn) takeBuffer(size int) ([]byte, bool) {
	var b []byte
	if c.made < maxBuffers {
		select {
		case b = <-c.back:
		default:
			c.made++
		}
	} else {
		select {
		case b = <-c.back:
		case <-c.dead:
			return nil, false
		}
	}
	if len(b) != size {
		b = make([]byte, size)
	}
	return b, true
}

// Return implements host.Conn.
func (c *conn) Return(buf []byte) { c.back <- buf }

// Unsent implements host.Conn.
func (c *conn) Unsent() int { return int(c.unsent.Load()) }

// Deliver implements host.Conn. The writer takes everything that gathered since its last write, so
// usually the memory just changes hands.
func (c *conn) Deliver(frames []byte) (next []byte) {
	if !c.begun.Load() {
		c.begun.Store(true)
		_ = c.nc.SetReadDeadline(time.Time{}) // fails only when the connection is closed
	}
	c.unsent.Add(int64(len(frames)))
	c.mu.Lock()
	switch {
	case c.finished:
		next = frames[:0]
	case len(c.pending) == 0:
		next = c.pending // empty: what the writer was done with
		c.pending = frames
	default:
		c.pending = append(c.pending, frames...)
		if cap(frames) <= keepBuffer {
			next = frames[:0]
		}
	}
	c.mu.Unlock()
	c.signal()
	return next
}

// Finish implements host.Conn. The writer may hang in a write to a peer that takes nothing, which
// the deadline ends.
func (c *conn) Finish() {
	c.mu.Lock()
	if !c.finished {
		c.finished = true
		now := time.Now()
		c.until, c.finishBy = now.Add(finishTimeout), now.Add(finishLimit)
		_ = c.nc.SetWriteDeadline(c.until) // fails only when it is closed
	}
	c.mu.Unlock()
	c.signal()
}

func (c *conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write is the writer goroutine.
func (c *conn) write() {
	defer close(c.dead)
	var b []byte
	small := 0 // writes in a row that would have fitted a much smaller buffer
	for {
		select {
		case <-c.wake:
		case <-c.gone:
			return
		}
		c.mu.Lock()
		out, finished := c.pending, c.finished
		c.pending = b[:0]
		c.mu.Unlock()
		if err := c.send(out); err != nil {
			c.abandon(err)
			return
		}
		if finished {
			_ = c.nc.Close() // all it had is sent
			return
		}
		if small++; cap(out) <= firstBuffer || len(out) > cap(out)/8 {
			small = 0
		}
		if b = out; cap(b) > keepBuffer || small >= manySmall {
			b = nil
		}
	}
}

// send writes all of b, or fails when the peer takes nothing for as long as its session may be
// silent. However slowly the peer reads, it is alive as long as it does. It gets several tries:
// when this process has stood still the first deadline may be over before the peer had a chance.
func (c *conn) send(b []byte) error {
	const tries = 4
	now, failed := time.Now(), 0
	for progress := now; len(b) > 0; now = time.Now() {
		patience := c.link.Timeout()
		if patience == 0 {
			patience = c.s.o.SessionlessTimeout
		}
		c.extend(now, patience/tries)
		n, err := c.nc.Write(b[:min(len(b), maxWrite)])
		if n > 0 {
			b = b[n:]
			c.unsent.Add(-int64(n))
			c.link.Sent()
			progress, failed = time.Now(), 0
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 && c.overdue() {
			return err
		}
		if failed++; failed >= tries && time.Since(progress) >= patience {
			return errStuck
		}
	}
	return nil
}

var errStuck = errors.New("the client has taken no replies for the timeout of its session")

// extend sees to it that the write deadline is not nearer than half of d. It is moved that seldom
// because moving it costs as much as a small reply. When the connection is to be closed there is an
// end to it.
func (c *conn) extend(now time.Time, d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.finished:
		c.until = now.Add(finishTimeout)
		if c.until.After(c.finishBy) {
			c.until = c.finishBy
		}
	case c.until.Sub(now) >= d/2:
		return
	default:
		c.until = now.Add(d)
	}
	_ = c.nc.SetWriteDeadline(c.until) // fails only when it is closed
}

// overdue says whether the connection should be closed by now.
func (c *conn) overdue() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.finished && !time.Now().Before(c.until)
}

// abandon ends a connection that cannot be written to.
func (c *conn) abandon(err error) {
	c.mu.Lock()
	c.finished = true
	c.pending = nil
	c.mu.Unlock()
	if errors.Is(err, errStuck) {
		c.s.stats.dropped.Add(1)
		c.s.log.Warn("connection closed", zap.String("ADDRESS", c.nc.RemoteAddr().String()),
			zap.Error(err))
	}
	if tc, ok := c.nc.(*net.TCPConn); ok {
		_ = tc.SetLinger(0) // the system shall not keep what the peer does not take
	}
	_ = c.nc.Close() // it has failed already
}

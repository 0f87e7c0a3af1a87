package server

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"zkafka/zkd/host"
)

const patience = 10 * time.Second

// newWriter returns a connection whose session may be silent for patience, and the client's end.
func newWriter(t *testing.T) (c *conn, peer net.Conn) {
	t.Helper()
	s, err := New(Options{SessionlessTimeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	nc, peer := net.Pipe()
	c = newConn(s, nc, "")
	c.link = &host.Link{}
	t.Cleanup(func() {
		_ = nc.Close()
		_ = peer.Close()
	})
	return c, peer
}

// TestSlowReaderKeepsConnection: a client that takes a little now and then gets all of it, however
// long that takes.
func TestSlowReaderKeepsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := newWriter(t)
		const size = 3 * maxWrite
		c.unsent.Store(size)
		sent := make(chan error, 1)
		go func() { sent <- c.send(make([]byte, size)) }()
		b := make([]byte, size/16)
		begin := time.Now()
		for range 16 {
			time.Sleep(patience * 9 / 10)
			if _, err := io.ReadFull(peer, b); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-sent; err != nil || c.Unsent() != 0 {
			t.Errorf("%v, %d bytes not sent", err, c.Unsent())
		}
		if took := time.Since(begin); took < 10*patience {
			t.Errorf("took %v", took)
		}
	})
}

// TestStuckReaderLosesConnection: a client that takes nothing for the timeout of its session loses
// the connection, whatever it has taken before.
func TestStuckReaderLosesConnection(t *testing.T) {
	for _, taken := range []int{0, 100_000, maxWrite, maxWrite + 1} {
		synctest.Test(t, func(t *testing.T) {
			c, peer := newWriter(t)
			done := make(chan struct{})
			go func() {
				defer close(done)
				c.write()
			}()
			c.Deliver(make([]byte, 3*maxWrite))
			time.Sleep(patience / 2)
			if _, err := io.ReadFull(peer, make([]byte, taken)); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			if taken == 0 {
				begin = begin.Add(-patience / 2)
			}
			<-done
			if took := time.Since(begin); took < patience || took > patience*3/2 {
				t.Errorf("%d bytes were taken: closed after %v", taken, took)
			}
			if _, err := peer.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("the client sees %v", err)
			}
		})
	}
}

// pausedConn lets the first write come to its deadline in a process that stands still.
type pausedConn struct {
	net.Conn
	writes int
}

func (p *pausedConn) Write(b []byte) (int, error) {
	if p.writes++; p.writes == 1 {
		time.Sleep(10 * patience)
		return 0, os.ErrDeadlineExceeded
	}
	return len(b), nil
}

// TestPauseKeepsConnection: a server that stands still does not take it for the client's silence.
func TestPauseKeepsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newWriter(t)
		c.nc = &pausedConn{Conn: c.nc}
		if err := c.send(make([]byte, 100)); err != nil {
			t.Error(err)
		}
	})
}

// TestFinishEndsStuckWriter: a connection that is to be closed is closed soon, though its client
// takes nothing.
func TestFinishEndsStuckWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newWriter(t)
		done := make(chan struct{})
		go func() {
			defer close(done)
			c.write()
		}()
		c.Deliver(make([]byte, 100))
		synctest.Wait() // it hangs in the write
		begin := time.Now()
		c.Finish()
		<-done
		if took := time.Since(begin); took > finishTimeout {
			t.Errorf("closed after %v", took)
		}
	})
}

// TestFinishWaitsForSlowReader: the last replies of a connection that is to be closed reach a
// client that takes them slowly, if it does not take for ever.
func TestFinishWaitsForSlowReader(t *testing.T) {
	const size = 1_000_000
	for seconds, arrives := range map[int]bool{30: true, 90: false} {
		synctest.Test(t, func(t *testing.T) {
			c, peer := newWriter(t)
			var wg sync.WaitGroup
			wg.Go(c.write)
			c.Deliver(make([]byte, size))
			c.Finish()
			got, b := 0, make([]byte, size/20)
			for range 20 {
				time.Sleep(time.Duration(seconds) * time.Second / 20)
				n, err := io.ReadFull(peer, b)
				got += n
				if err != nil {
					break
				}
			}
			wg.Wait()
			if (got == size) != arrives {
				t.Errorf("%d of %d bytes arrive in %d seconds", got, size, seconds)
			}
		})
	}
}

// TestBuffersShrink: a connection that has had much to send once does not keep the memory for it.
func TestBuffersShrink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peer := newWriter(t)
		next := c.Deliver(make([]byte, 100))
		if next = c.Deliver(append(next, make([]byte, 2*keepBuffer)...)); cap(next) > keepBuffer {
			t.Errorf("%d bytes stay with the machine", cap(next))
		}
		var wg sync.WaitGroup
		wg.Go(c.write)
		wg.Go(func() { _, _ = io.Copy(io.Discard, peer) })
		synctest.Wait()
		for range 2 {
			next = c.Deliver(append(next[:0], make([]byte, keepBuffer/2)...))
			synctest.Wait()
		}
		for range 3 * manySmall {
			next = c.Deliver(append(next[:0], 1))
			synctest.Wait()
		}
		if cap(next) > firstBuffer {
			t.Errorf("%d bytes are kept for replies of one", cap(next))
		}
		c.Finish()
		wg.Wait()
	})
}

// brokenListener fails until it is closed.
type brokenListener struct {
	mu     sync.Mutex
	calls  int
	closed bool
}

func (l *brokenListener) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, net.ErrClosed
	}
	l.calls++
	return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
}

func (l *brokenListener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return nil
}

func (l *brokenListener) Addr() net.Addr { return &net.TCPAddr{} }

// TestAcceptFails: a listener that fails is tried again at growing intervals, with few words, and
// does not keep the server from closing.
func TestAcceptFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		l := &brokenListener{}
		s, err := New(Options{Listeners: []net.Listener{l}, Log: zap.New(core)})
		if err != nil {
			t.Fatal(err)
		}
		s.Start(nil)
		time.Sleep(time.Minute)
		l.mu.Lock()
		calls := l.calls
		l.mu.Unlock()
		if calls < 60 || calls > 70 {
			t.Errorf("%d attempts in a minute", calls)
		}
		if n := logs.Len(); n < 5 || n > 7 {
			t.Errorf("%d lines in a minute", n)
		}
		begin := time.Now()
		s.Close()
		if took := time.Since(begin); took > 0 {
			t.Errorf("closing took %v", took)
		}
	})
}

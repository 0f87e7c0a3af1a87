package server

import (
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSendBuffer looks at the send buffers that accepted connections get. Expected values come from
// a socket of the test's own, because the system doubles and limits what it is asked for.
func TestSendBuffer(t *testing.T) {
	for _, c := range []struct {
		name             string
		configured, want int // in bytes, as asked of the system
	}{
		{"the system's, client on the same host", -1, sameHostSendBuffer},
		{"not said, client on the same host", 0, sameHostSendBuffer},
		{"configured", 30000, 30000},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Listen(Options{
				Listeners:  []Listener{{Name: "L", Address: "127.0.0.1:0"}},
				SendBuffer: c.configured,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close(t.Context())
			s.Serve(nil)
			client, err := net.Dial("tcp", s.Addr("L").String())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			accepted := firstConn(t, s)
			reference := accept(t)
			if err := reference.SetWriteBuffer(c.want); err != nil {
				t.Fatal(err)
			}
			if got, want := sndbuf(t, accepted), sndbuf(t, reference); got != want {
				t.Errorf("SO_SNDBUF is %d, want %d", got, want)
			}
			if got := congestionControl(t, accepted); got != "reno" {
				t.Errorf("congestion control is %s, which may pace", got)
			}
		})
	}
}

// firstConn waits until the server has admitted a connection.
func firstConn(t *testing.T, s *Server) *net.TCPConn {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		s.mu.Lock()
		for c := range s.conns {
			s.mu.Unlock()
			return c.tcp
		}
		s.mu.Unlock()
		select {
		case <-t.Context().Done():
			t.Fatal("no connection was admitted")
		case <-tick.C:
		}
	}
}

func TestOneHost(t *testing.T) {
	for _, c := range []struct {
		local, remote string
		want          bool
	}{
		{"127.0.0.1", "127.0.0.1", true},
		{"127.0.0.1", "127.0.0.2", true},
		{"::1", "::1", true},
		{"::ffff:127.0.0.1", "::ffff:127.0.0.1", true},
		{"192.0.2.1", "192.0.2.1", true},
		{"::ffff:192.0.2.1", "::ffff:192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::2", false},
	} {
		if got := oneHost(netip.MustParseAddr(c.local), netip.MustParseAddr(c.remote)); got != c.want {
			t.Errorf("local %s, remote %s: %v, want %v", c.local, c.remote, got, c.want)
		}
	}
}

// accept returns the accepted end of a connection over loopback.
func accept(t *testing.T) *net.TCPConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialled.Close(); accepted.Close() })
	return accepted.(*net.TCPConn)
}

func sndbuf(t *testing.T, c *net.TCPConn) int {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var n int
	var got error
	if err := raw.Control(func(fd uintptr) {
		n, got = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
	}); err != nil || got != nil {
		t.Fatal(err, got)
	}
	return n
}

func congestionControl(t *testing.T, c *net.TCPConn) string {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var name string
	var got error
	if err := raw.Control(func(fd uintptr) {
		name, got = unix.GetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION)
	}); err != nil || got != nil {
		t.Fatal(err, got)
	}
	return strings.TrimRight(name, "\x00")
}

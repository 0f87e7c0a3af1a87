package server_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"go.uber.org/goleak"

	"zkafka/zkd/host"
	"zkafka/zkd/proto"
	"zkafka/zkd/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func dialRaw(t *testing.T, addr string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return nc
}

// ended waits for the server to close the connection.
func ended(t *testing.T, nc net.Conn) {
	t.Helper()
	b, err := io.ReadAll(nc)
	if errors.Is(err, os.ErrDeadlineExceeded) || len(b) > 0 {
		t.Errorf("the connection is open: %q, %v", b, err)
	}
}

// handshake opens a session on a raw connection.
func handshake(t *testing.T, nc net.Conn) {
	t.Helper()
	b := make([]byte, 4+44)
	binary.BigEndian.PutUint32(b, 44)
	binary.BigEndian.PutUint32(b[4+12:], 10000)
	binary.BigEndian.PutUint32(b[4+24:], 16)
	if _, err := nc.Write(b); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(nc, make([]byte, 4+36)); err != nil {
		t.Fatal(err)
	}
}

func TestFrameLimit(t *testing.T) {
	addr := start(t, host.Options{}, server.Options{MaxFrame: 1000})
	for _, size := range []uint32{1001, 1 << 31, 0xffffffff} {
		nc := dialRaw(t, addr)
		handshake(t, nc)
		if _, err := nc.Write(binary.BigEndian.AppendUint32(nil, size)); err != nil {
			t.Fatal(err)
		}
		ended(t, nc)
	}
	// The longest frame, in pieces, is taken: its unknown operation gets an answer.
	nc := dialRaw(t, addr)
	handshake(t, nc)
	b := binary.BigEndian.AppendUint32(nil, 1000)
	b = append(b, make([]byte, 1000)...)
	b[11] = 99
	for len(b) > 0 {
		n := min(333, len(b))
		if _, err := nc.Write(b[:n]); err != nil {
			t.Fatal(err)
		}
		b = b[n:]
	}
	reply, err := io.ReadAll(nc)
	if err != nil || len(reply) != 20 || int32(binary.BigEndian.Uint32(reply[16:])) != -6 {
		t.Errorf("%x %v", reply, err)
	}
}

func TestSessionless(t *testing.T) {
	addr := start(t, host.Options{}, server.Options{SessionlessTimeout: 50 * time.Millisecond})
	ended(t, dialRaw(t, addr))
	nc := dialRaw(t, addr)
	handshake(t, nc)
	nc2 := dialRaw(t, addr) // outlives it only with a session
	ended(t, nc2)
	ping := []byte{0, 0, 0, 8, 0xff, 0xff, 0xff, 0xfe, 0, 0, 0, 11}
	if _, err := nc.Write(ping); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(nc, make([]byte, 20)); err != nil {
		t.Errorf("a connection with a session was closed: %v", err)
	}
}

func TestMaxClientCnxns(t *testing.T) {
	addr := start(t, host.Options{}, server.Options{MaxClientCnxns: 2})
	a, b := dialRaw(t, addr), dialRaw(t, addr)
	handshake(t, a)
	handshake(t, b)
	ended(t, dialRaw(t, addr))
	a.Close()
	for { // the place is free once the server has seen the end of the first
		nc := dialRaw(t, addr)
		req := make([]byte, 48)
		binary.BigEndian.PutUint32(req, 44)
		binary.BigEndian.PutUint32(req[28:], 16)
		if _, err := nc.Write(req); err == nil {
			if _, err := io.ReadFull(nc, make([]byte, 40)); err == nil {
				return
			}
		}
		nc.Close()
	}
}

// TestPipelined: several clients with deep pipelines, sizes of all kinds, every reply in order. Run
// it with -race.
func TestPipelined(t *testing.T) {
	addr := start(t, host.Options{SnapCount: 300}, server.Options{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			c := dial(t, addr)
			root := fmt.Sprintf("/c%d", i)
			if _, err := c.Create(t.Context(), root, nil, proto.OpenACL(), 0); err != nil {
				t.Error(err)
				return
			}
			var inner sync.WaitGroup
			for j := range 200 {
				inner.Go(func() {
					path := fmt.Sprintf("%s/%d", root, j)
					data := make([]byte, j*j)
					if _, err := c.Create(t.Context(), path, data, proto.OpenACL(), 0); err != nil {
						t.Error(err)
					}
					got, _, err := c.Get(t.Context(), path)
					if err != nil || len(got) != len(data) {
						t.Errorf("%s: %d bytes, %v", path, len(got), err)
					}
				})
			}
			inner.Wait()
			kids, _, err := c.Children(t.Context(), root)
			if err != nil || len(kids) != 200 {
				t.Errorf("%d children, %v", len(kids), err)
			}
		})
	}
	wg.Wait()
}

// TestForeignClient drives the server with go-zookeeper/zk, whose codec and session handling are
// not ours.
func TestForeignClient(t *testing.T) {
	addr := start(t, host.Options{TickTime: 200 * time.Millisecond}, server.Options{})
	c, events, err := zk.Connect([]string{addr}, 2*time.Second, zk.WithLogInfo(false))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for e := range events {
		if e.State == zk.StateHasSession {
			break
		}
	}
	acl := zk.WorldACL(zk.PermAll)
	if _, err := c.Create("/a", []byte("1"), 0, acl); err != nil {
		t.Fatal(err)
	}
	_, _, watch, err := c.GetW("/a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Set("/a", []byte("2"), 0); err != nil {
		t.Fatal(err)
	}
	if e := <-watch; e.Type != zk.EventNodeDataChanged || e.Path != "/a" {
		t.Errorf("%+v", e)
	}
	if _, err := c.CreateProtectedEphemeralSequential("/a/lock-", nil, acl); err != nil {
		t.Error(err)
	}
	res, err := c.Multi(
		&zk.CreateRequest{Path: "/m", Acl: acl},
		&zk.SetDataRequest{Path: "/a", Data: []byte("3"), Version: 1},
		&zk.CheckVersionRequest{Path: "/a", Version: 2},
	)
	if err != nil || len(res) != 3 {
		t.Errorf("%+v %v", res, err)
	}
	if err := c.AddAuth("digest", []byte("u:p")); err != nil {
		t.Error(err)
	}
	lock := zk.NewLock(c, "/lock", acl)
	if err := lock.Lock(); err != nil {
		t.Error(err)
	}
	if err := lock.Unlock(); err != nil {
		t.Error(err)
	}
}

// TestReattach: a client that lost its connection gets its session, ephemerals and watches back.
func TestReattach(t *testing.T) {
	addr := start(t, host.Options{}, server.Options{})
	first := dial(t, addr)
	_, err := first.Create(t.Context(), "/e", nil, proto.OpenACL(), proto.ModeEphemeral)
	if err != nil {
		t.Fatal(err)
	}
	id, password, _ := first.Session()
	first.Abandon()
	second := dialSession(t, addr, id, password)
	got, err := second.Ephemerals(t.Context(), "/")
	if err != nil || len(got) != 1 || got[0] != "/e" {
		t.Errorf("%v %v", got, err)
	}
	if again, _, _ := second.Session(); again != id {
		t.Errorf("session 0x%x instead of 0x%x", again, id)
	}
}

// TestIPv6: the identity of an IPv6 client is written as Java writes it.
func TestIPv6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("no IPv6 here: ", err)
	}
	start(t, host.Options{}, server.Options{Listeners: []net.Listener{l}})
	c := dial(t, l.Addr().String())
	ids, err := c.WhoAmI(t.Context())
	if err != nil || len(ids) != 1 || ids[0].User != "0:0:0:0:0:0:0:1" {
		t.Errorf("%v %v", ids, err)
	}
}

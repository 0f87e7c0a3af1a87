package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"zkafka/zkd/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestParseServers(t *testing.T) {
	for _, test := range []struct {
		in      string
		servers []string
		chroot  string
		bad     bool
	}{
		{in: "a", servers: []string{"a:2181"}},
		{in: "a:1,b:2", servers: []string{"a:1", "b:2"}},
		{in: " a:1 , b ", servers: []string{"a:1", "b:2181"}},
		{in: "a:1,b:2/kafka/01", servers: []string{"a:1", "b:2"}, chroot: "/kafka/01"},
		{in: "a:1/", servers: []string{"a:1"}},
		{in: "a:1/x/", servers: []string{"a:1"}, chroot: "/x"},
		{in: "[::1]:5,[fe80::1]", servers: []string{"[::1]:5", "[fe80::1]:2181"}},
		{in: "::1", servers: []string{"[::1]:2181"}},
		{in: "", bad: true},
		{in: "/x", bad: true},
		{in: "a:1//x", bad: true},
	} {
		servers, chroot, err := ParseServers(test.in)
		if (err != nil) != test.bad || !slices.Equal(servers, test.servers) ||
			chroot != test.chroot {
			t.Errorf("%q: %q %q %v", test.in, servers, chroot, err)
		}
	}
	if _, err := Dial(t.Context(), Options{}); err == nil {
		t.Error("a client without servers was made")
	}
	opt := Options{Servers: []string{"h"}, Chroot: "no"}
	if _, err := Dial(t.Context(), opt); err == nil {
		t.Error("a chroot without a slash was accepted")
	}
}

// do starts a request in the background.
func do(c *Client, op Op) <-chan OpResult {
	ch := make(chan OpResult, 1)
	c.Go(context.Background(), op, func(r OpResult) { ch <- r })
	return ch
}

func TestHandshake(t *testing.T) {
	s := newFakeServer(t)
	c := s.client(func(o *Options) { o.ReadOnly = true })
	f, req := s.accept()
	want := &proto.ConnectRequest{
		Timeout: 9000, Passwd: make([]byte, 16), ReadOnly: true, HasReadOnly: true,
	}
	if !reflect.DeepEqual(req, want) {
		t.Errorf("connect request %+v, want %+v", req, want)
	}
	f.grant(7, 6000)
	if err := c.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if id, pw, timeout := c.Session(); id != 7 || string(pw) != "0123456789abcdef" ||
		timeout != 6*time.Second {
		t.Errorf("session %d %q %v", id, pw, timeout)
	}
}

// TestOldHandshake talks to a server that leaves out the read-only byte.
func TestOldHandshake(t *testing.T) {
	s := newFakeServer(t)
	c := s.client()
	f, _ := s.accept()
	f.send(&proto.ConnectResponse{Timeout: 6000, SessionID: 9, Passwd: make([]byte, 16)})
	if err := c.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestReconnect loses the connection with one request on the wire and one not yet sent, a watch of
// each kind and a credential.
func TestReconnect(t *testing.T) {
	s := newFakeServer(t)
	var states []State
	c := s.client(func(o *Options) {
		o.Chroot = "/k"
		o.OnState = func(st State) { states = append(states, st) }
	})
	f := s.establish()
	auth := make(chan error, 1)
	go func() { auth <- c.AddAuth(context.Background(), "digest", []byte("u:p")) }()
	f.reply(f.request(proto.OpAuth, &proto.AuthPacket{}), 0, proto.ErrOK)
	if err := <-auth; err != nil {
		t.Fatal(err)
	}
	var fired []Event
	watch := func(e Event) { fired = append(fired, e) }
	get, exists := do(c, GetOp("/d").Watched(watch)), do(c, ExistsOp("/e").Watched(watch))
	children := do(c, ChildrenOp("/").Watched(watch))
	failed := do(c, GetOp("/none").Watched(watch))
	f.reply(f.request(proto.OpGetData, nil), 5, proto.ErrOK, &proto.GetDataResponse{})
	f.reply(f.request(proto.OpExists, nil), 6, proto.ErrNoNode)
	f.reply(f.request(proto.OpGetChildren2, nil), 8, proto.ErrOK, &proto.GetChildren2Response{})
	f.reply(f.request(proto.OpGetData, nil), 7, proto.ErrNoNode)
	if r := <-get; r.Err != nil {
		t.Fatal(r.Err)
	}
	if r := <-exists; !errors.Is(r.Err, proto.ErrNoNode) {
		t.Fatal(r.Err)
	}
	<-children
	<-failed
	lost := do(c, SetOp("/d", []byte("x"), 1))
	f.request(proto.OpSetData, nil)
	f.close()
	if r := <-lost; !errors.Is(r.Err, ErrConnectionLoss) {
		t.Errorf("a request on the wire ends with %v", r.Err)
	}
	kept := do(c, GetOp("/d"))
	f, req := s.accept()
	if req.SessionID != 7 || req.LastZxidSeen != 8 || string(req.Passwd) != "0123456789abcdef" {
		t.Errorf("reconnects with %+v", req)
	}
	f.grant(7, 9000)
	var a proto.AuthPacket
	if xid := f.request(proto.OpAuth, &a); xid != -4 || string(a.Auth) != "u:p" {
		t.Errorf("credential %+v, xid %d", a, xid)
	}
	var set proto.SetWatches
	if xid := f.request(proto.OpSetWatches, &set); xid != -8 {
		t.Errorf("setWatches with xid %d", xid)
	}
	want := proto.SetWatches{
		RelativeZxid: 8, DataWatches: []string{"/k/d"}, ExistWatches: []string{"/k/e"},
		ChildWatches: []string{"/k"},
	}
	if !reflect.DeepEqual(set, want) {
		t.Errorf("setWatches %+v, want %+v", set, want)
	}
	f.reply(-4, 0, proto.ErrOK)
	f.event(proto.EventNodeDeleted, "/k/d")
	f.event(proto.EventNodeChildrenChanged, "/k")
	f.reply(-8, 9, proto.ErrOK)
	f.reply(f.request(proto.OpGetData, nil), 9, proto.ErrNoNode)
	if r := <-kept; !errors.Is(r.Err, proto.ErrNoNode) {
		t.Errorf("a request made without a connection ends with %v", r.Err)
	}
	go func() {
		f.reply(f.request(proto.OpCloseSession, nil), 10, proto.ErrOK)
		f.close()
	}()
	if err := c.Close(t.Context()); err != nil {
		t.Error(err)
	}
	wantEvents := []Event{
		{proto.EventNodeDeleted, proto.StateSyncConnected, "/d", -1},
		{proto.EventNodeChildrenChanged, proto.StateSyncConnected, "/", -1},
		{proto.EventNone, proto.StateClosed, "/e", -1},
	}
	if !reflect.DeepEqual(fired, wantEvents) {
		t.Errorf("events %+v", fired)
	}
	wantStates := []State{StateConnected, StateDisconnected, StateConnected, StateClosed}
	if !slices.Equal(states, wantStates) {
		t.Errorf("states %v", states)
	}
}

func TestExpiry(t *testing.T) {
	s := newFakeServer(t)
	c := s.client(func(o *Options) { o.SessionID, o.Password = 5, []byte("pw") })
	pending := do(c, GetOp("/"))
	f, req := s.accept()
	if req.SessionID != 5 || string(req.Passwd) != "pw" {
		t.Errorf("attaches with %+v", req)
	}
	f.grant(0, 0)
	if err := c.Wait(t.Context()); !errors.Is(err, ErrSessionExpired) {
		t.Errorf("Wait: %v", err)
	}
	if r := <-pending; !errors.Is(r.Err, ErrSessionExpired) {
		t.Errorf("pending request: %v", r.Err)
	}
	if _, err := c.Set(t.Context(), "/", nil, -1); !errors.Is(err, ErrSessionExpired) {
		t.Errorf("later request: %v", err)
	}
	if err := c.AddAuth(t.Context(), "digest", nil); !errors.Is(err, ErrSessionExpired) {
		t.Errorf("later credential: %v", err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
	if c.State() != StateExpired {
		t.Errorf("state %v", c.State())
	}
}

// TestServerList has three servers of which one is up at a time.
func TestServerList(t *testing.T) {
	s := newFakeServer(t)
	var mu sync.Mutex
	up, tried := "b:2181", []string(nil)
	c := s.client(func(o *Options) {
		o.Servers = []string{"a", "b", "c:2181"}
		o.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			mu.Lock()
			tried = append(tried, addr)
			ok := addr == up
			mu.Unlock()
			if !ok {
				return nil, errors.New("connection refused")
			}
			return s.dial(ctx, network, addr)
		}
	})
	f := s.establish()
	if err := c.Wait(t.Context()); err != nil || c.Server() != "b:2181" {
		t.Fatalf("connected to %s: %v", c.Server(), err)
	}
	mu.Lock()
	up, tried = "c:2181", nil
	mu.Unlock()
	f.close()
	_, req := s.accept()
	if req.SessionID != 7 {
		t.Errorf("goes to the next server with session %d", req.SessionID)
	}
	mu.Lock()
	defer mu.Unlock()
	if tried[0] == "b:2181" {
		t.Errorf("tried the lost server first: %v", tried)
	}
}

func TestFailFast(t *testing.T) {
	s := newFakeServer(t)
	s.setDown(true)
	c := s.client(func(o *Options) { o.FailFast = true })
	if _, _, err := c.Get(t.Context(), "/"); !errors.Is(err, ErrConnectionLoss) {
		t.Errorf("without a server: %v", err)
	}
	if err := c.Trouble(); err == nil || !strings.Contains(err.Error(), "cannot connect to fake") {
		t.Errorf("the reason: %v", err)
	}
	s.setDown(false)
	s.establish()
	if err := errors.Join(c.Wait(t.Context()), c.Trouble()); err != nil {
		t.Errorf("with a server: %v", err)
	}
}

// TestGivenUp checks that a request whose caller has left is never sent.
func TestGivenUp(t *testing.T) {
	s := newFakeServer(t)
	s.setDown(true)
	c := s.client(func(o *Options) { o.MaxInFlight = 2 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 5 { // more than fit at once: those given up make room
		if _, err := c.Set(ctx, "/", nil, -1); !errors.Is(err, context.Canceled) {
			t.Fatalf("Set: %v", err)
		}
		for _, r := range c.Pipeline(ctx, SetOp("/", nil, -1), SetOp("/", nil, -1)) {
			if !errors.Is(r.Err, context.Canceled) {
				t.Fatalf("Pipeline: %v", r.Err)
			}
		}
	}
	s.setDown(false)
	kept := do(c, GetOp("/"))
	f := s.establish()
	f.reply(f.request(proto.OpGetData, nil), 1, proto.ErrOK, &proto.GetDataResponse{})
	if r := <-kept; r.Err != nil {
		t.Error(r.Err)
	}
}

// TestRoom checks the bound on requests in flight.
func TestRoom(t *testing.T) {
	s := newFakeServer(t)
	c := s.client(func(o *Options) { o.MaxInFlight = 1 })
	f := s.establish()
	first := do(c, GetOp("/a"))
	xid := f.request(proto.OpGetData, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if r := c.Do(ctx, GetOp("/b")); !errors.Is(r.Err, context.DeadlineExceeded) {
		t.Errorf("second request: %v", r.Err)
	}
	f.reply(xid, 1, proto.ErrOK, &proto.GetDataResponse{})
	<-first
	second := do(c, GetOp("/b"))
	f.reply(f.request(proto.OpGetData, nil), 1, proto.ErrOK, &proto.GetDataResponse{})
	if r := <-second; r.Err != nil {
		t.Error(r.Err)
	}
}

// TestBadReplies checks that a server which breaks the protocol loses its connection, and that its
// request fails instead of getting the answer of another.
func TestBadReplies(t *testing.T) {
	for name, reply := range map[string]func(f *fakeConn, xid int32){
		"wrong xid":         func(f *fakeConn, xid int32) { f.reply(xid+1, 1, proto.ErrOK) },
		"no body":           func(f *fakeConn, xid int32) { f.reply(xid, 1, proto.ErrOK) },
		"no header":         func(f *fakeConn, _ int32) { f.send(&proto.ErrorResponse{}) },
		"huge frame":        func(f *fakeConn, _ int32) { f.raw(0x7f, 0, 0, 0) },
		"negative length":   func(f *fakeConn, _ int32) { f.raw(0xff, 0, 0, 0) },
		"unasked auth":      func(f *fakeConn, _ int32) { f.reply(proto.XidAuth, 0, proto.ErrOK) },
		"event, no body":    func(f *fakeConn, _ int32) { f.reply(-1, 0, proto.ErrOK) },
		"closed connection": func(f *fakeConn, _ int32) { f.close() },
	} {
		t.Run(name, func(t *testing.T) {
			s := newFakeServer(t)
			c := s.client()
			f := s.establish()
			r := do(c, GetOp("/"))
			reply(f, f.request(proto.OpGetData, nil))
			if res := <-r; res.Err == nil {
				t.Error("the request succeeded")
			}
			s.establish()
			if err := c.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestMultiResults(t *testing.T) {
	s := newFakeServer(t)
	c := s.client(func(o *Options) { o.Chroot = "/k" })
	f := s.establish()
	r := do(c, MultiOp(CreateOp("/a", nil, proto.OpenACL(), 0), SetOp("/b", []byte("x"), 3)))
	var req proto.MultiRequest
	xid := f.request(proto.OpMulti, &req)
	want := proto.MultiRequest{Ops: []proto.MultiOp{
		{Type: proto.OpCreate, Body: &proto.CreateRequest{Path: "/k/a", ACL: proto.OpenACL()}},
		{Type: proto.OpSetData, Body: &proto.SetDataRequest{
			Path: "/k/b", Data: []byte("x"), Version: 3,
		}},
	}}
	if !reflect.DeepEqual(req, want) {
		t.Errorf("sent %+v", req)
	}
	f.reply(xid, 4, proto.ErrOK, &proto.MultiResponse{Results: []proto.MultiResult{
		{Type: proto.OpCreate, Path: "/k/a"},
		{Type: proto.OpSetData, Stat: proto.Stat{Version: 4}},
	}})
	res := <-r
	if res.Err != nil || res.Multi[0].Path != "/a" || res.Multi[1].Stat.Version != 4 {
		t.Errorf("result %+v", res)
	}
}

// TestManyWatches checks that the watches of a big client reach the server in packets it accepts.
func TestManyWatches(t *testing.T) {
	var w watches
	long := strings.Repeat("x", 1000)
	for i := range 1000 {
		path := fmt.Sprintf("/%s/%d", long, i)
		w.add(proto.OpGetData, path, nil, func(Event) {})
		w.add(proto.OpGetChildren2, path, nil, func(Event) {})
	}
	seen := 0
	for _, s := range w.setAgain(1) {
		size := 0
		for _, p := range slices.Concat(s.DataWatches, s.ExistWatches, s.ChildWatches) {
			size += len(p) + 4
			seen++
		}
		if size > maxSetWatches {
			t.Errorf("a packet of %d bytes", size)
		}
	}
	if seen != 2000 {
		t.Errorf("%d watches sent, want 2000", seen)
	}
}

// TestSilentServer re-attaches through a server that takes the connection and never answers: the
// client tries again while the session can still be saved.
func TestSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		c := s.client(func(o *Options) { o.ConnectTimeout = time.Minute })
		f := s.establish()
		f.close()
		start := time.Now()
		s.accept()
		_, req := s.accept()
		if d := time.Since(start); req.SessionID != 7 || d > 4*time.Second {
			t.Errorf("the next attempt, for session %d, came after %v", req.SessionID, d)
		}
		c.Abandon()
	})
}

// TestPing lets virtual time pass: an idle client pings, and gives up a server that is silent.
func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeServer(t)
		c := s.client()
		f := s.establish()
		start := time.Now()
		f.request(proto.OpPing, nil)
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("the first ping came after %v, want a third of the session timeout", d)
		}
		f.reply(proto.XidPing, 1, proto.ErrOK)
		go func() {
			for {
				if _, err := f.br.ReadByte(); err != nil {
					return
				}
			}
		}()
		start = time.Now()
		s.establish()
		if d := time.Since(start); d < 6*time.Second || d > 7*time.Second {
			t.Errorf("a silent server is given up after %v, want two thirds of the timeout", d)
		}
		c.Abandon()
	})
}

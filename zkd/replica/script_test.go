package replica_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
	"zkafka/zkd/replica"
	"zkafka/zkd/tree"
)

// TestProtocol runs the scripts in testdata/protocol against the machine. Their transcripts are
// Apache ZooKeeper's: with $ZKD_PEER naming the peer script the same scripts run against a real
// server of release $ZKD_PEER_RELEASE (zookeeper-3.9.4), and
//
//	ZKD_PEER=.ci/peers/peer go test ./zkd/replica -run TestProtocol -rewrite
//
// captures them anew.
func TestProtocol(t *testing.T) {
	datadriven.Walk(t, "testdata/protocol", func(t *testing.T, path string) {
		var b backend
		if peer := os.Getenv("ZKD_PEER"); peer != "" {
			b = newPeer(t, peer)
		} else {
			b = newModel(t)
		}
		runScript(t, path, b)
	})
}

// TestMachine runs scripts that hold the disk back or turn the clock, which no real server lets a
// test do.
func TestMachine(t *testing.T) {
	datadriven.Walk(t, "testdata/machine", func(t *testing.T, path string) {
		runScript(t, path, newModel(t))
	})
}

// backend is a server under the script.
type backend interface {
	// open makes a connection; a name that is used again gets a new one.
	open(name string)
	send(name string, frame []byte)
	// recv returns the next frame, io.EOF when the server has closed the connection.
	recv(name string) ([]byte, error)
	// directive runs a command of the script that only a model knows.
	directive(cmd string, args []datadriven.CmdArg) (string, bool)
}

// script is the state of a run: it gives sessions names in the order in which they come up.
type script struct {
	t        *testing.T
	b        backend
	sessions map[int64]string
	conns    map[string]*scriptConn
	last     map[string]proto.ConnectResponse
}

type scriptConn struct {
	xid int32
	ops map[int32]proto.Op // of requests whose reply was not waited for
}

func runScript(t *testing.T, path string, b backend) {
	s := &script{
		t: t, b: b,
		sessions: map[int64]string{0: "0"},
		conns:    map[string]*scriptConn{},
		last:     map[string]proto.ConnectResponse{},
	}
	datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
		s.t = t
		out, err := s.run(d)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		return out
	})
}

func (s *script) run(d *datadriven.TestData) (string, error) {
	if out, ok := s.b.directive(d.Cmd, d.CmdArgs); ok {
		return out, nil
	}
	if len(d.CmdArgs) == 0 {
		return "", fmt.Errorf("%s: which connection?", d.Cmd)
	}
	name := d.CmdArgs[0].Key
	a := &args{d: d, rest: d.CmdArgs[1:]}
	if d.Cmd == "connect" {
		return s.connect(name, a)
	}
	c := s.conns[name]
	if c == nil {
		return "", fmt.Errorf("no connection %s", name)
	}
	switch d.Cmd {
	case "events", "flush":
		return s.flush(name)
	case "receive":
		return s.receive(name)
	case "raw":
		frame, err := hex.DecodeString(strings.ReplaceAll(d.Input, " ", ""))
		if err != nil {
			return "", err
		}
		s.b.send(name, frame)
		return s.receive(name)
	}
	return s.request(name, c, d, a)
}

// request sends one request and prints everything up to its reply.
func (s *script) request(
	name string, c *scriptConn, d *datadriven.TestData, a *args,
) (string, error) {
	op, body, err := parseRequest(d, a)
	if err != nil {
		return "", err
	}
	c.xid++
	xid := c.xid
	switch op {
	case proto.OpPing:
		xid = proto.XidPing
	case proto.OpAuth:
		xid = proto.XidAuth
	case proto.OpSetWatches, proto.OpSetWatches2:
		xid = proto.XidSetWatches
	}
	var w jute.Writer
	h := proto.RequestHeader{Xid: xid, Type: op}
	h.Encode(&w)
	if body != nil {
		body.Encode(&w)
	}
	if n := a.num("cut", 0); n > 0 {
		w.B = w.B[:len(w.B)-int(n)]
	}
	s.b.send(name, w.B)
	if a.flag("nowait") {
		c.ops[xid] = op
		return "", nil
	}
	var out strings.Builder
	for {
		frame, err := s.b.recv(name)
		if errors.Is(err, io.EOF) {
			fmt.Fprintf(&out, "closed\n")
			break
		}
		if err != nil {
			return out.String(), err
		}
		line, got := s.describe(frame, op)
		out.WriteString(line)
		if got == xid {
			break
		}
	}
	if op == proto.OpCloseSession || a.flag("closes") {
		rest, err := s.receive(name)
		out.WriteString(rest)
		return out.String(), err
	}
	return out.String(), nil
}

// flush pings and prints the events that come before the reply.
func (s *script) flush(name string) (string, error) {
	var w jute.Writer
	h := proto.RequestHeader{Xid: proto.XidPing, Type: proto.OpPing}
	h.Encode(&w)
	s.b.send(name, w.B)
	var out strings.Builder
	for {
		frame, err := s.b.recv(name)
		if errors.Is(err, io.EOF) {
			out.WriteString("closed\n")
			return out.String(), nil
		}
		if err != nil {
			return out.String(), err
		}
		line, xid := s.describe(frame, proto.OpPing)
		if xid == proto.XidPing {
			return out.String(), nil
		}
		out.WriteString(line)
	}
}

// receive prints what has come; for a real server only with the connection's end, for which it
// waits.
func (s *script) receive(name string) (string, error) {
	var out strings.Builder
	for {
		frame, err := s.b.recv(name)
		if errors.Is(err, io.EOF) {
			out.WriteString("closed\n")
			return out.String(), nil
		}
		if errors.Is(err, errNothing) {
			return out.String(), nil
		}
		if err != nil {
			return out.String(), err
		}
		var op proto.Op
		if len(frame) >= 4 {
			op = s.conns[name].ops[jute.NewReader(frame, 0).Int32()]
		}
		line, _ := s.describe(frame, op)
		out.WriteString(line)
	}
}

// errNothing is a model's answer when there is nothing to receive.
var errNothing = errors.New("nothing to receive")

func (s *script) connect(name string, a *args) (string, error) {
	s.b.open(name)
	s.conns[name] = &scriptConn{ops: map[int32]proto.Op{}}
	req := proto.ConnectRequest{
		Timeout:      int32(a.num("timeout", 10000)),
		LastZxidSeen: a.num("seen", 0),
		Passwd:       make([]byte, 16),
		HasReadOnly:  !a.flag("old"),
	}
	if of := a.str("session", ""); of != "" {
		resp := s.last[of]
		req.SessionID, req.Passwd = resp.SessionID, bytes.Clone(resp.Passwd)
		if a.flag("badpassword") {
			req.Passwd[0]++
		}
	}
	var w jute.Writer
	req.Encode(&w)
	s.b.send(name, w.B)
	if a.flag("nowait") {
		return "", nil
	}
	frame, err := s.b.recv(name)
	if errors.Is(err, io.EOF) {
		return "closed\n", nil
	}
	if err != nil {
		return "", err
	}
	var resp proto.ConnectResponse
	resp.Decode(jute.NewReader(frame, 0))
	out := fmt.Sprintf("session=%s timeout=%d bytes=%d password=%v\n", s.session(resp.SessionID),
		resp.Timeout, len(frame), !bytes.Equal(resp.Passwd, make([]byte, 16)))
	if resp.Timeout == 0 {
		rest, err := s.receive(name)
		return out + rest, err
	}
	s.last[name] = resp
	return out, nil
}

func (s *script) session(id int64) string {
	if n, ok := s.sessions[id]; ok {
		return n
	}
	n := fmt.Sprintf("s%d", len(s.sessions))
	s.sessions[id] = n
	return n
}

// args reads the arguments of a command.
type args struct {
	d    *datadriven.TestData
	rest []datadriven.CmdArg
}

func (a *args) pos(i int) string {
	if i >= len(a.rest) {
		return ""
	}
	if a.rest[i].Key == "empty" {
		return ""
	}
	s, err := strconv.Unquote(`"` + a.rest[i].Key + `"`)
	if err != nil {
		return a.rest[i].Key
	}
	return s
}

func (a *args) str(key, or string) string {
	for _, arg := range a.rest {
		if arg.Key == key && len(arg.Vals) > 0 {
			return strings.Join(arg.Vals, ",")
		}
	}
	return or
}

func (a *args) num(key string, or int64) int64 {
	n, err := strconv.ParseInt(a.str(key, fmt.Sprint(or)), 0, 64)
	if err != nil {
		a.d.Fatalf(nil, "%s: %v", key, err)
	}
	return n
}

func (a *args) flag(key string) bool {
	for _, arg := range a.rest {
		if arg.Key == key {
			return true
		}
	}
	return false
}

func (a *args) data() []byte {
	if s := a.str("data", ""); s != "" {
		return []byte(s)
	}
	if a.flag("null") {
		return nil
	}
	return []byte{}
}

// acl parses lists such as acl=world:anyone:31;digest:u:h:1, or acl=none.
func (a *args) acl() []proto.ACL {
	text := a.str("acl", "world:anyone:31")
	if text == "none" {
		return []proto.ACL{}
	}
	if text == "null" {
		return nil
	}
	var list []proto.ACL
	for part := range strings.SplitSeq(text, ";") {
		scheme, rest, _ := strings.Cut(part, ":")
		i := strings.LastIndexByte(rest, ':')
		perms, err := strconv.Atoi(rest[i+1:])
		if err != nil {
			a.d.Fatalf(nil, "acl %s: %v", part, err)
		}
		list = append(list, proto.ACL{
			Perms: int32(perms), ID: proto.ID{Scheme: scheme, ID: rest[:max(i, 0)]},
		})
	}
	return list
}

var creates = map[string]proto.Op{
	"create": proto.OpCreate, "create2": proto.OpCreate2,
	"createContainer": proto.OpCreateContainer,
}

func parseRequest(d *datadriven.TestData, a *args) (proto.Op, proto.Record, error) {
	op, body := parseNodeRequest(d.Cmd, a)
	if op != 0 {
		return op, body, nil
	}
	path := a.pos(0)
	switch d.Cmd {
	case "sync":
		return proto.OpSync, &proto.SyncRequest{Path: path}, nil
	case "ping":
		return proto.OpPing, nil, nil
	case "close":
		return proto.OpCloseSession, nil, nil
	case "whoami":
		return proto.OpWhoAmI, nil, nil
	case "auth":
		return proto.OpAuth, &proto.AuthPacket{Scheme: path, Auth: []byte(a.str("data", ""))}, nil
	case "sasl":
		return proto.OpSASL, &proto.GetSASLRequest{Token: []byte{}}, nil
	case "ephemerals":
		return proto.OpGetEphemerals, &proto.GetEphemeralsRequest{PrefixPath: path}, nil
	case "allchildren":
		return proto.OpGetAllChildrenNumber, &proto.GetAllChildrenNumberRequest{Path: path}, nil
	case "addwatch":
		return proto.OpAddWatch,
			&proto.AddWatchRequest{Path: path, Mode: int32(a.num("mode", 0))}, nil
	case "checkwatches":
		return proto.OpCheckWatches,
			&proto.CheckWatchesRequest{Path: path, Type: int32(a.num("type", 3))}, nil
	case "removewatches":
		return proto.OpRemoveWatches,
			&proto.RemoveWatchesRequest{Path: path, Type: int32(a.num("type", 3))}, nil
	case "setwatches":
		return proto.OpSetWatches2, setWatches(a), nil
	case "op":
		return proto.Op(a.num("type", 0)), nil, nil
	case "reconfig":
		return proto.OpReconfig, &proto.ReconfigRequest{}, nil
	case "multi", "multiread":
		req, err := parseMulti(d)
		if d.Cmd == "multi" {
			return proto.OpMulti, req, err
		}
		return proto.OpMultiRead, req, err
	}
	return 0, nil, fmt.Errorf("no command %s", d.Cmd)
}

func setWatches(a *args) *proto.SetWatches2 {
	list := func(key string) []string {
		s := a.str(key, "")
		if s == "" {
			return []string{}
		}
		return strings.Split(s, ",")
	}
	return &proto.SetWatches2{
		RelativeZxid: a.num("zxid", 0), DataWatches: list("data"), ExistWatches: list("exist"),
		ChildWatches: list("child"), PersistentWatches: list("persistent"),
		PersistentRecursiveWatches: list("recursive"),
	}
}

// parseNodeRequest parses the requests that may also be part of a multi; op 0 for others.
func parseNodeRequest(cmd string, a *args) (proto.Op, proto.Record) {
	path, watch := a.pos(0), a.flag("watch")
	version := int32(a.num("version", -1))
	switch cmd {
	case "create", "create2", "createContainer":
		return creates[cmd], &proto.CreateRequest{
			Path: path, Data: a.data(), ACL: a.acl(), Flags: int32(a.num("flags", 0)),
		}
	case "createTTL":
		return proto.OpCreateTTL, &proto.CreateTTLRequest{
			Path: path, Data: a.data(), ACL: a.acl(), Flags: int32(a.num("flags", 5)),
			TTL: a.num("ttl", 1000),
		}
	case "delete":
		return proto.OpDelete, &proto.DeleteRequest{Path: path, Version: version}
	case "set":
		return proto.OpSetData, &proto.SetDataRequest{Path: path, Data: a.data(), Version: version}
	case "setacl":
		return proto.OpSetACL, &proto.SetACLRequest{Path: path, ACL: a.acl(), Version: version}
	case "check":
		return proto.OpCheck, &proto.CheckVersionRequest{Path: path, Version: version}
	case "get":
		return proto.OpGetData, &proto.GetDataRequest{Path: path, Watch: watch}
	case "exists":
		return proto.OpExists, &proto.ExistsRequest{Path: path, Watch: watch}
	case "children":
		return proto.OpGetChildren, &proto.GetChildrenRequest{Path: path, Watch: watch}
	case "children2":
		return proto.OpGetChildren2, &proto.GetChildrenRequest{Path: path, Watch: watch}
	case "getacl":
		return proto.OpGetACL, &proto.GetACLRequest{Path: path}
	}
	return 0, nil
}

func parseMulti(d *datadriven.TestData) (*proto.MultiRequest, error) {
	req := &proto.MultiRequest{}
	for line := range strings.Lines(d.Input) {
		cmd, cmdArgs, err := datadriven.ParseLine(strings.TrimSpace(line))
		if err != nil {
			return nil, err
		}
		op, body := parseNodeRequest(cmd, &args{d: d, rest: cmdArgs})
		if op == 0 {
			return nil, fmt.Errorf("no operation %s", cmd)
		}
		req.Ops = append(req.Ops, proto.MultiOp{Type: op, Body: body})
	}
	return req, nil
}

// model is a machine whose disk and clock the script may hold.
type model struct {
	t     *testing.T
	m     *replica.Machine
	now   replica.Time
	held  bool
	conns map[string]*modelConn
}

type modelConn struct {
	rc     *replica.Conn
	in     [][]byte
	closed bool
}

func newModel(t *testing.T) *model {
	b := &model{t: t, conns: map[string]*modelConn{}}
	b.now = replica.Time{MonoNanos: 1_000_000_000_000, WallMillis: 1_700_000_000_000}
	m, err := replica.New(replica.Options{Tree: tree.New(), TickMillis: 2000, Now: b.now})
	if err != nil {
		t.Fatal(err)
	}
	b.m = m
	return b
}

func (b *model) open(name string) {
	c := &modelConn{rc: replica.NewConn(replica.Peer{IP: "127.0.0.1", Addr: "127.0.0.1:1"})}
	c.rc.Tag = c
	b.conns[name] = c
	b.m.Open(c.rc)
}

func (b *model) send(name string, frame []byte) {
	var w jute.Writer
	at := w.StartFrame()
	w.B = append(w.B, frame...)
	w.EndFrame(at)
	c := b.conns[name]
	if rest := b.m.Frames(c.rc, w.B, b.now.MonoNanos); len(rest) > 0 {
		b.t.Fatalf("%s is stalled", name)
	}
	clear(w.B) // the machine must not have kept any of it
	b.turn()
}

// turn performs the effects of the machine.
func (b *model) turn() {
	for !b.held {
		batch := b.m.TakeLog(replica.LogBatch{})
		if len(batch.Recs) == 0 {
			break
		}
		b.m.Durable(batch.Recs[len(batch.Recs)-1].Zxid)
	}
	eff := b.m.Effects()
	for _, rc := range eff.Dirty {
		c := rc.Tag.(*modelConn)
		out := rc.Take(nil)
		for len(out) > 0 {
			r := jute.NewReader(out, 0)
			frame := r.Buffer()
			c.in = append(c.in, frame)
			out = out[4+len(frame):]
		}
	}
	for _, rc := range eff.Closed {
		c := rc.Tag.(*modelConn)
		c.closed = true
		b.m.Closed(rc)
	}
	eff.Dirty, eff.Closed, eff.Expired = nil, nil, nil
}

func (b *model) recv(name string) ([]byte, error) {
	c := b.conns[name]
	if len(c.in) == 0 {
		if c.closed {
			return nil, io.EOF
		}
		return nil, errNothing
	}
	frame := c.in[0]
	c.in = c.in[1:]
	return frame, nil
}

func (b *model) directive(cmd string, cmdArgs []datadriven.CmdArg) (string, bool) {
	switch cmd {
	case "hold": // the disk
		b.held = true
	case "release":
		b.held = false
		b.turn()
	case "advance": // the clock, by seconds, in steps of a tick
		n, err := strconv.Atoi(cmdArgs[0].Key)
		if err != nil {
			b.t.Fatal(err)
		}
		for range n {
			b.now.MonoNanos += 1e9
			b.now.WallMillis += 1000
			b.m.SetTime(b.now)
			if b.m.NextTick() <= b.now.MonoNanos {
				b.m.Tick()
				b.turn()
			}
		}
	case "disconnect":
		c := b.conns[cmdArgs[0].Key]
		c.closed = true
		b.m.Closed(c.rc)
		b.turn()
	case "status":
		st := b.m.Status()
		return fmt.Sprintf("zxid=%x sessions=%d nodes=%d ephemerals=%d watches=%d outstanding=%d\n",
			st.Zxid, st.Sessions, st.Nodes, st.Ephemerals, st.Watches.Watches,
			st.Outstanding), true
	default:
		return "", false
	}
	return "", true
}

// peer is a real server.
type peer struct {
	t     *testing.T
	addr  string
	conns map[string]net.Conn
}

func newPeer(t *testing.T, script string) *peer {
	release := os.Getenv("ZKD_PEER_RELEASE")
	if release == "" {
		release = "zookeeper-3.9.4"
	}
	if !filepath.IsAbs(script) {
		script = filepath.Join("..", "..", script)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(addr)
	dir := t.TempDir()
	cfg := filepath.Join(dir, "zoo.cfg")
	text := fmt.Sprintf("tickTime=2000\ndataDir=%s\nclientPort=%s\n"+
		"clientPortAddress=127.0.0.1\nadmin.enableServer=false\n", dir, port)
	if err := os.WriteFile(cfg, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(script, "zk", release, cfg)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	p := &peer{t: t, addr: addr, conns: map[string]net.Conn{}}
	for range 300 {
		if serves(addr) {
			return p
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatal("the peer does not come up")
	return nil
}

// serves asks with a four letter word; the port is open before the server is ready.
func serves(addr string) bool {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return false
	}
	if _, err := nc.Write([]byte("srvr")); err != nil {
		return false
	}
	reply, _ := io.ReadAll(nc)
	return bytes.Contains(reply, []byte("Mode: standalone"))
}

func (p *peer) open(name string) {
	nc, err := net.Dial("tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { nc.Close() })
	p.conns[name] = nc
}

func (p *peer) send(name string, frame []byte) {
	var w jute.Writer
	at := w.StartFrame()
	w.B = append(w.B, frame...)
	w.EndFrame(at)
	if _, err := p.conns[name].Write(w.B); err != nil {
		p.t.Logf("send on %s: %v", name, err)
	}
}

func (p *peer) recv(name string) ([]byte, error) {
	nc := p.conns[name]
	if err := nc.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(nc, head[:]); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, errNothing
		}
		return nil, io.EOF
	}
	r := jute.NewReader(head[:], 0)
	frame := make([]byte, r.Int32())
	if _, err := io.ReadFull(nc, frame); err != nil {
		return nil, io.EOF
	}
	return frame, nil
}

func (p *peer) directive(string, []datadriven.CmdArg) (string, bool) { return "", false }

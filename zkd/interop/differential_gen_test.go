//go:build interop

package interop

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"

	"zkafka/zkd/acl"
	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
)

// packet is a request; its bytes depend on the server where they hold a session or a zxid.
type packet struct {
	bytes func(*side) []byte
	xid   int32
	op    proto.Op
	write bool
}

// step is what happens at once on one connection.
type step struct {
	slot      int
	text      string
	connect   *packet
	session   int // of connect: its place in the list of sessions, -1 for a new one
	frames    []packet
	closes    bool // the server is expected to close the connection
	hangup    bool // the client closes it
	unordered bool
}

// generator makes up steps. It follows from its seed and from what the servers reply, which is the
// same in every run.
type generator struct {
	r        *rand.Rand
	open     [slots]bool
	sessions int
	xid      int32
	zxid     int64 // the last one known, in shared terms
	recent   []string
}

func newGenerator(r *rand.Rand) *generator {
	return &generator{r: r}
}

func (g *generator) chance(percent int) bool { return g.r.IntN(100) < percent }

func pick[T any](g *generator, of ...T) T { return of[g.r.IntN(len(of))] }

func (g *generator) created(path string) {
	g.recent = append(g.recent, path)
	if len(g.recent) > 12 {
		g.recent = g.recent[1:]
	}
}

func (g *generator) closed(slot int) { g.open[slot] = false }

func (g *generator) connected(st step, granted bool, sessions int) {
	g.sessions = sessions
	if !granted {
		return
	}
	g.open[st.slot] = true
}

func (g *generator) next() step {
	slot := g.r.IntN(slots)
	if !g.open[slot] {
		return g.connect(slot)
	}
	switch n := g.r.IntN(1000); {
	case n < 4:
		return step{slot: slot, text: fmt.Sprintf("%d: hang up", slot), hangup: true}.with(g)
	case n < 8:
		return g.close(slot)
	case n < 11:
		return g.broken(slot)
	case n < 14:
		return g.unknown(slot)
	case n < 34:
		return g.auth(slot)
	case n < 44:
		return g.reopen(slot)
	case n < 46:
		return g.connect(slot) // takes the place of the connection that is open
	}
	st := step{slot: slot}
	for range pick(g, 1, 1, 1, 1, 1, 1, 2, 5) {
		p, text := g.request()
		st.frames = append(st.frames, p)
		st.text += fmt.Sprintf("%d: %s; ", slot, text)
		if p.op == proto.OpSetACL {
			break
		}
	}
	return st
}

func (st step) with(g *generator) step {
	if st.hangup {
		g.closed(st.slot)
	}
	return st
}

func fixed(b []byte) func(*side) []byte { return func(*side) []byte { return b } }

func framed(fill func(w *jute.Writer)) []byte {
	var w jute.Writer
	at := w.StartFrame()
	fill(&w)
	w.EndFrame(at)
	return w.B
}

func (g *generator) connect(slot int) step {
	st := step{slot: slot, session: -1}
	req := proto.ConnectRequest{
		Timeout:     pick(g, int32(10000), 0, -1, 5_000_000, 1<<31-1),
		Passwd:      make([]byte, 16),
		HasReadOnly: g.chance(70),
		ReadOnly:    g.chance(30),
	}
	password := 0
	if g.sessions > 0 && g.chance(50) {
		st.session = g.r.IntN(g.sessions)
		if g.chance(70) {
			st.session = g.sessions - 1 - g.r.IntN(min(g.sessions, slots))
		}
		password = pick(g, 0, 0, 0, 0, 1, 2, 3)
	} else if g.chance(10) {
		req.Passwd = pick(g, nil, []byte{}, []byte("odd"))
	}
	seen, cut := g.zxid, 0
	if g.chance(50) {
		seen = 0
	}
	if g.chance(3) {
		seen += 1000
	}
	if g.chance(3) {
		cut = 1 + g.r.IntN(20)
	}
	st.text = fmt.Sprintf("%d: connect %+v session %d password %d cut %d", slot, req, st.session,
		password, cut)
	session := st.session
	st.connect = &packet{bytes: func(s *side) []byte {
		r := req
		r.LastZxidSeen = s.own(seen)
		if session >= 0 {
			r.SessionID = s.sessions[session].SessionID
			switch password {
			case 0:
				r.Passwd = s.sessions[session].Passwd
			case 1:
				r.Passwd = nil
			case 2:
				r.Passwd = append([]byte{s.sessions[session].Passwd[0] ^ 1},
					s.sessions[session].Passwd[1:]...)
			}
		}
		return framed(func(w *jute.Writer) {
			r.Encode(w)
			w.B = w.B[:len(w.B)-cut]
		})
	}}
	return st
}

func (g *generator) close(slot int) step {
	g.xid++
	return step{
		slot: slot, text: fmt.Sprintf("%d: closeSession", slot), closes: true, unordered: true,
		frames: []packet{g.encode(proto.OpCloseSession, g.xid, nil)},
	}
}

// broken is what ends a connection without an answer.
func (g *generator) broken(slot int) step {
	b := pick(g, []byte{0x7f, 0xff, 0xff, 0xff}, []byte{0xff, 0xff, 0xff, 0xff},
		[]byte{0, 0x10, 0, 0}, []byte{0, 0, 0, 0}, []byte{0, 0, 0, 5, 0, 0, 0, 1, 0})
	return step{
		slot: slot, text: fmt.Sprintf("%d: broken frame %x", slot, b), closes: true,
		frames: []packet{{bytes: fixed(b)}},
	}
}

func (g *generator) unknown(slot int) step {
	op := pick[proto.Op](g, 0, 10, 13, 23, 99, 108, -1, 1000)
	g.xid++
	return step{
		slot: slot, text: fmt.Sprintf("%d: unknown type %d", slot, op), closes: true,
		frames: []packet{g.encode(op, g.xid, func(w *jute.Writer) { w.Int32(0) })},
	}
}

func (g *generator) auth(slot int) step {
	p := proto.AuthPacket{Scheme: "digest"}
	closes := false
	switch g.r.IntN(10) {
	case 0:
		p.Scheme, closes = pick(g, "world", "nosuch", "", "auth", "super", "sasl", "x509"), true
	case 1:
		p.Scheme = "ip"
	case 2, 3:
		p.Auth = []byte("super:secret")
	case 4:
		p.Auth = []byte(pick(g, "plain", ":", "", "a:b:c"))
	default:
		p.Auth = []byte(pick(g, "u1:p1", "u2:p2", "super:wrong"))
	}
	cut := 0
	if g.chance(3) {
		cut, closes = 1+g.r.IntN(8), true
	}
	xid := pick(g, proto.XidAuth, proto.XidAuth, 77)
	return step{
		slot: slot, text: fmt.Sprintf("%d: auth %s %q cut %d", slot, p.Scheme, p.Auth, cut),
		closes: closes, frames: []packet{g.encode(proto.OpAuth, xid, func(w *jute.Writer) {
			p.Encode(w)
			w.B = w.B[:len(w.B)-cut]
		})},
	}
}

// reopen gives everybody all rights to a znode again, as the super user.
func (g *generator) reopen(slot int) step {
	p := proto.AuthPacket{Scheme: "digest", Auth: []byte("super:secret")}
	set := proto.SetACLRequest{
		Path: pick(g, "/", "/", "/a", "/b", "/c", "/d", g.path()), ACL: proto.OpenACL(), Version: -1,
	}
	g.xid++
	return step{
		slot: slot, text: fmt.Sprintf("%d: reopen %s", slot, set.Path), frames: []packet{
			g.encode(proto.OpAuth, proto.XidAuth, p.Encode),
			g.encode(proto.OpSetACL, g.xid, set.Encode),
		},
	}
}

func (g *generator) encode(op proto.Op, xid int32, body func(*jute.Writer)) packet {
	b := framed(func(w *jute.Writer) {
		w.Int32(xid)
		w.Int32(int32(op))
		if body != nil {
			body(w)
		}
	})
	return packet{bytes: fixed(b), xid: xid, op: op, write: isWrite(op)}
}

func isWrite(op proto.Op) bool {
	switch op {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL,
		proto.OpDelete, proto.OpSetData, proto.OpSetACL, proto.OpMulti, proto.OpReconfig:
		return true
	}
	return false
}

var oddPaths = []string{
	"", "/", "a", "/a/", "//", "/a//b", "/.", "/..", "/a/..", "/a/./b", "/...", "/.x", "/x.",
	"/a\x00b", "/a\x01", "/a\x1f", "/a\x7f", "/a\u009f", "/a\u00a0", "/é", "/日本", "/\ud7ff",
	"/\ue000", "/\uf8ff", "/\uf900", "/\uffef", "/\ufff0", "/\ufffd", "/😀", "/bad\xff\xfe", "/a ",
	"/zookeeper", "/zookeeper/config", "/zookeeper/quota", "/zookeeper/quota/a",
	"/zookeeper/quota/a/zookeeper_limits", "/zookeeper/quota/a/zookeeper_stats", "/zookeeper/x",
	"/missing/child", "/" + strings.Repeat("long", 300),
}

func (g *generator) path() string {
	switch n := g.r.IntN(100); {
	case n < 12:
		return pick(g, oddPaths...)
	case n < 40 && len(g.recent) > 0:
		return pick(g, g.recent...)
	}
	p := ""
	for range pick(g, 1, 1, 1, 2, 2, 3) {
		p += pick(g, "/a", "/b", "/c", "/d")
	}
	return p
}

// echoPath is a path that may come back as it is.
func (g *generator) echoPath() string { return strings.ReplaceAll(g.path(), "😀", "s") }

// newPath is a path to create.
func (g *generator) newPath(flags int32) string {
	p := g.path()
	if flags == 2 || flags == 3 || flags == 6 || g.chance(20) {
		if g.chance(30) {
			return p + "/"
		}
		return p + pick(g, "/n", "-", "/é")
	}
	return p
}

// data is what goes into the znode at path. Apache's server dies of a quota without a '='.
func (g *generator) data(path string) []byte {
	if strings.HasPrefix(path, "/zookeeper/quota") {
		return []byte(pick(g, "count=3,bytes=100", "count=-1,bytes=-1", "count=1"))
	}
	switch g.r.IntN(12) {
	case 0:
		return nil
	case 1:
		return []byte{}
	case 2:
		return make([]byte, 5000)
	case 3:
		return []byte("count=3,bytes=100")
	}
	return []byte(fmt.Sprint("v", g.r.IntN(1000)))
}

func (g *generator) version() int32 {
	return pick[int32](g, -1, -1, -1, -1, 0, 0, 1, 2, -2, 1<<31-1)
}

func (g *generator) acl() []proto.ACL {
	if g.chance(65) {
		return proto.OpenACL()
	}
	if g.chance(6) {
		return pick(g, nil, []proto.ACL{})
	}
	ids := []proto.ID{
		{Scheme: "world", ID: "anyone"}, {Scheme: "auth"}, {Scheme: "auth", ID: "whoever"},
		{Scheme: "digest", ID: digestID("u1:p1")}, {Scheme: "digest", ID: digestID("u2:p2")},
		{Scheme: "ip", ID: "127.0.0.1"}, {Scheme: "ip", ID: "127.0.0.0/8"},
		{Scheme: "ip", ID: "10.0.0.1"}, {Scheme: "ip", ID: "::1"},
	}
	odd := []proto.ID{
		{Scheme: "world", ID: "nobody"}, {Scheme: "digest", ID: "u1"}, {Scheme: "digest", ID: ":"},
		{Scheme: "digest", ID: "a:b:c"}, {Scheme: "digest", ID: "a:"}, {Scheme: "digest", ID: ":b"},
		{Scheme: "ip", ID: "127.0.0.1/33"}, {Scheme: "ip", ID: "127.0.0.1/"},
		{Scheme: "ip", ID: "127.0.0.1/x"}, {Scheme: "ip", ID: "127.1"}, {Scheme: "ip", ID: ""},
		{Scheme: "ip", ID: "127.0.0.1/8/8"}, {Scheme: "ip", ID: "127.0.0.1/-1"},
		{Scheme: "ip", ID: "127.0.0.01"}, {Scheme: "ip", ID: "256.0.0.1"},
		{Scheme: "ip", ID: "::"}, {Scheme: "ip", ID: "1:2:3:4:5:6:7:8/64"}, {Scheme: "ip", ID: "::1::"},
		{Scheme: "ip", ID: "127.0.0.1/+8"}, {Scheme: "ip", ID: " 127.0.0.1"},
		{Scheme: "nosuch", ID: "x"}, {Scheme: "super", ID: ""}, {Scheme: "sasl", ID: "a"},
		{Scheme: "x509", ID: "CN=a"}, {Scheme: "", ID: ""},
	}
	var list []proto.ACL
	for range pick(g, 1, 1, 2, 3) {
		id := pick(g, ids...)
		if g.chance(12) {
			id = pick(g, odd...)
		}
		perms := pick[int32](g, 31, 31, 1, 2, 4, 8, 16, 3, 15, 0, 32, -1)
		list = append(list, proto.ACL{Perms: perms, ID: id})
	}
	if g.chance(10) {
		list = append(list, list[0])
	}
	return list
}

func (g *generator) createOp() (proto.Op, proto.Record) {
	flags := pick[int32](g, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6)
	if g.chance(3) {
		flags = pick[int32](g, -1, 7, 100)
	}
	op := pick(g, proto.OpCreate, proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer)
	path := g.newPath(flags)
	if g.chance(10) {
		ttl := pick[int64](g, 1, 100, 1<<40-1, 0, 1<<40)
		if (flags == 5 || flags == 6) && g.chance(10) {
			ttl = pick[int64](g, -1, -2)
		}
		return proto.OpCreateTTL, &proto.CreateTTLRequest{
			Path: path, Data: g.data(path), ACL: g.acl(), Flags: flags, TTL: ttl,
		}
	}
	return op, &proto.CreateRequest{Path: path, Data: g.data(path), ACL: g.acl(), Flags: flags}
}

func (g *generator) setData() *proto.SetDataRequest {
	path := g.path()
	return &proto.SetDataRequest{Path: path, Data: g.data(path), Version: g.version()}
}

func (g *generator) request() (packet, string) {
	op, body := g.operation()
	g.xid++
	xid := g.xid
	switch op {
	case proto.OpSetWatches, proto.OpSetWatches2:
		xid = proto.XidSetWatches
	case proto.OpPing:
		xid = proto.XidPing
	}
	p := g.encode(op, xid, func(w *jute.Writer) {
		if body != nil {
			body.Encode(w)
		}
	})
	text := fmt.Sprintf("%v %s", op, describe(body))
	if r, ok := body.(*proto.SetWatches); ok {
		p.bytes = g.relative(p.bytes(nil), r.RelativeZxid)
	} else if r, ok := body.(*proto.SetWatches2); ok {
		p.bytes = g.relative(p.bytes(nil), r.RelativeZxid)
	} else if body != nil && g.chance(4) {
		b := g.damage(p.bytes(nil))
		p.bytes = fixed(b)
		text += fmt.Sprintf(" damaged: %x", b)
	}
	return p, text
}

func describe(body proto.Record) string {
	multi, ok := body.(*proto.MultiRequest)
	if !ok {
		text := fmt.Sprintf("%+v", body)
		return text[:min(len(text), 500)]
	}
	var s strings.Builder
	for _, op := range multi.Ops {
		fmt.Fprintf(&s, "[%v %s]", op.Type, describe(op.Body))
	}
	return s.String()
}

// relative puts a zxid in the terms of each server into a setWatches.
func (g *generator) relative(b []byte, zxid int64) func(*side) []byte {
	return func(s *side) []byte {
		out := append([]byte(nil), b...)
		binary.BigEndian.PutUint64(out[12:], uint64(s.own(zxid)))
		return out
	}
}

// damage cuts a frame short, lengthens it, or gives one of its lengths another value.
func (g *generator) damage(b []byte) []byte {
	const head = 4 + proto.RequestHeaderSize
	if len(b) <= head {
		return b
	}
	switch g.r.IntN(4) {
	case 0, 1:
		b = b[:head+g.r.IntN(len(b)-head)]
	case 2:
		b = append(b, 0, 1, 2, 3, 4)
	default:
		n := pick[uint32](g, 0xffffffff, 0xffffffff, 0xfffffffe, 0x7fffffff, 0x00200000, 0x80000000)
		if len(b) >= head+4 {
			binary.BigEndian.PutUint32(b[head:], n)
		}
	}
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func (g *generator) operation() (proto.Op, proto.Record) {
	switch g.r.IntN(27) {
	case 0, 1, 2, 3:
		return g.createOp()
	case 4, 5, 6:
		return proto.OpDelete, &proto.DeleteRequest{Path: g.path(), Version: g.version()}
	case 7, 8:
		return proto.OpSetData, g.setData()
	case 9:
		return proto.OpSetACL,
			&proto.SetACLRequest{Path: g.path(), ACL: g.acl(), Version: g.version()}
	case 10, 11:
		return proto.OpMulti, g.multi()
	case 12, 13:
		return proto.OpExists, &proto.ExistsRequest{Path: g.path(), Watch: g.chance(50)}
	case 14, 15:
		return proto.OpGetData, &proto.GetDataRequest{Path: g.path(), Watch: g.chance(50)}
	case 16:
		return pick(g, proto.OpGetChildren, proto.OpGetChildren2),
			&proto.GetChildrenRequest{Path: g.path(), Watch: g.chance(60)}
	case 17:
		return proto.OpGetACL, &proto.GetACLRequest{Path: g.path()}
	case 18:
		return proto.OpMultiRead, g.multiRead()
	case 19:
		return proto.OpSync, &proto.SyncRequest{Path: g.echoPath()}
	case 20, 21:
		mode := pick[int32](g, 0, 0, 0, 1, 1, 1, 2, -1)
		return proto.OpAddWatch, &proto.AddWatchRequest{Path: g.watchPath(), Mode: mode}
	case 22:
		return proto.OpRemoveWatches, &proto.RemoveWatchesRequest{
			Path: g.path(), Type: pick[int32](g, 1, 2, 3, 4, 5, 0, 6, -1),
		}
	case 23:
		return proto.OpCheckWatches, &proto.CheckWatchesRequest{
			Path: g.path(), Type: pick[int32](g, 1, 2, 3, 4, 5, 0, 6, -1),
		}
	case 24:
		return g.setWatches()
	}
	return g.rare()
}

// watchPath is a path for a persistent watch.
func (g *generator) watchPath() string {
	if g.chance(20) {
		return "/"
	}
	return g.path()
}

func (g *generator) rare() (proto.Op, proto.Record) {
	switch g.r.IntN(8) {
	case 0:
		return proto.OpPing, nil
	case 1:
		return proto.OpWhoAmI, nil
	case 2:
		return proto.OpReconfig, &proto.ReconfigRequest{NewMembers: "server.1=a:1:2", CurConfigID: -1}
	case 3:
		return proto.OpGetAllChildrenNumber, &proto.GetAllChildrenNumberRequest{Path: "/"}
	case 4, 5:
		return proto.OpGetAllChildrenNumber, &proto.GetAllChildrenNumberRequest{Path: g.path()}
	case 6:
		return proto.OpGetEphemerals, &proto.GetEphemeralsRequest{PrefixPath: pick(g, "", " ", "/")}
	}
	return proto.OpGetEphemerals, &proto.GetEphemeralsRequest{PrefixPath: g.path()}
}

func (g *generator) multi() *proto.MultiRequest {
	var m proto.MultiRequest
	for range g.r.IntN(6) {
		op := proto.OpCheck
		var body proto.Record
		switch g.r.IntN(10) {
		case 0, 1, 2, 3:
			op, body = g.createOp()
		case 4:
			op, body = proto.OpDelete, &proto.DeleteRequest{Path: g.path(), Version: g.version()}
		case 5, 6:
			op, body = proto.OpSetData, g.setData()
		case 7:
			op, body = proto.OpDelete, &proto.DeleteRequest{Path: "/a/b", Version: -1}
		default:
			body = &proto.CheckVersionRequest{Path: g.path(), Version: g.version()}
		}
		m.Ops = append(m.Ops, proto.MultiOp{Type: op, Body: body})
	}
	if g.chance(3) {
		m.Ops = append(m.Ops, pick(g,
			proto.MultiOp{Type: proto.OpGetData, Body: &proto.GetDataRequest{Path: "/a"}},
			proto.MultiOp{Type: proto.OpSetACL, Body: &proto.SetACLRequest{Path: "/a"}},
			proto.MultiOp{Type: 77, Body: &proto.GetDataRequest{Path: "/a"}}))
	}
	return &m
}

func (g *generator) multiRead() *proto.MultiRequest {
	var m proto.MultiRequest
	for range g.r.IntN(5) {
		m.Ops = append(m.Ops, pick(g,
			proto.MultiOp{Type: proto.OpGetData,
				Body: &proto.GetDataRequest{Path: g.path(), Watch: g.chance(20)}},
			proto.MultiOp{Type: proto.OpGetChildren,
				Body: &proto.GetChildrenRequest{Path: g.path(), Watch: g.chance(20)}}))
	}
	if g.chance(8) {
		m.Ops = append(m.Ops, proto.MultiOp{Type: proto.OpDelete,
			Body: &proto.DeleteRequest{Path: "/a", Version: -1}})
	}
	return &m
}

func (g *generator) paths() []string {
	if g.chance(5) {
		return nil
	}
	out := []string{}
	for range g.r.IntN(3) {
		out = append(out, g.echoPath())
	}
	return out
}

func (g *generator) setWatches() (proto.Op, proto.Record) {
	zxid := max(g.zxid-int64(g.r.IntN(50)), 0)
	if g.chance(10) {
		zxid = pick[int64](g, 0, -1, 1<<62)
	}
	if g.chance(50) {
		return proto.OpSetWatches, &proto.SetWatches{
			RelativeZxid: zxid, DataWatches: g.paths(), ExistWatches: g.paths(),
			ChildWatches: g.paths(),
		}
	}
	return proto.OpSetWatches2, &proto.SetWatches2{
		RelativeZxid: zxid, DataWatches: g.paths(), ExistWatches: g.paths(),
		ChildWatches: g.paths(), PersistentWatches: g.paths(),
		PersistentRecursiveWatches: g.paths(),
	}
}

// digestID is the identity of "user:password" in the digest scheme.
func digestID(userPassword string) string { return acl.Digest(userPassword) }

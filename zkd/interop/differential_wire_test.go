//go:build interop

package interop

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
)

// side is one of the two servers and what is known of it: everything that may differ between the
// two is translated into terms that both share.
type side struct {
	s        *server
	conns    [slots]*rawConn
	sessions []proto.ConnectResponse // in the order in which they were granted
	known    map[int64]int64         // session id to its place in sessions, counted from 1
	times    map[int64]int64         // zxid to the time of its transaction
	skipped  []int64                 // zxids that the other server did not use
	last     int64                   // the last zxid that a reply showed, in shared terms
}

type rawConn struct {
	nc     net.Conn
	closed bool
}

func newSide(s *server) *side {
	return &side{s: s, known: map[int64]int64{}, times: map[int64]int64{}}
}

func (d *side) open(slot int) error {
	nc, err := net.DialTimeout("tcp", d.s.addr, 5*time.Second)
	if err != nil {
		return err
	}
	d.close(slot)
	d.conns[slot] = &rawConn{nc: nc}
	return nil
}

func (d *side) close(slot int) {
	if c := d.conns[slot]; c != nil {
		c.nc.Close()
		d.conns[slot] = nil
	}
}

func (d *side) write(slot int, b []byte) {
	if c := d.conns[slot]; c != nil && !c.closed {
		if _, err := c.nc.Write(b); err != nil {
			c.closed = true
		}
	}
}

var errSilence = errors.New("no answer")

// frame reads one frame; io.EOF for every way in which a connection ends.
func (d *side) frame(slot int, wait time.Duration) ([]byte, error) {
	c := d.conns[slot]
	if c == nil || c.closed {
		return nil, io.EOF
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(wait))
	var size [4]byte
	_, err := io.ReadFull(c.nc, size[:])
	b := make([]byte, int32(binary.BigEndian.Uint32(size[:])))
	if err == nil {
		_, err = io.ReadFull(c.nc, b)
	}
	var timeout net.Error
	switch {
	case err == nil:
		return b, nil
	case errors.As(err, &timeout) && timeout.Timeout():
		return nil, errSilence
	}
	c.closed = true
	return nil, io.EOF
}

// shared translates a zxid of this server.
func (d *side) shared(zxid int64) int64 {
	if zxid <= 0 {
		return zxid
	}
	i, found := slices.BinarySearch(d.skipped, zxid)
	if found {
		i++
	}
	return zxid - int64(i)
}

// own translates a shared zxid back.
func (d *side) own(zxid int64) int64 {
	for _, z := range d.skipped {
		if z <= zxid && zxid > 0 {
			zxid++
		}
	}
	return zxid
}

// reply is a frame in shared terms.
type reply struct {
	xid   int32
	event bool
	err   proto.Err
	zxid  int64
	bytes string // compared
	text  string // for people
	path  string // that a create returned
}

// editor walks over a reply and replaces what differs between servers.
type editor struct {
	d    *side
	b    []byte
	at   int
	text strings.Builder
	bad  bool
	path string
}

func (e *editor) take(n int) []byte {
	if n < 0 || e.at+n > len(e.b) {
		e.bad = true
		e.at = len(e.b)
		return make([]byte, 8)
	}
	e.at += n
	return e.b[e.at-n : e.at]
}

func (e *editor) int32() int32 { return int32(binary.BigEndian.Uint32(e.take(4))) }

func (e *editor) buffer() []byte {
	n := e.int32()
	if n <= 0 {
		return nil
	}
	return e.take(int(n))
}

func (e *editor) zxid() int64 {
	p := e.take(8)
	z := e.d.shared(int64(binary.BigEndian.Uint64(p)))
	binary.BigEndian.PutUint64(p, uint64(z))
	return z
}

// time replaces the time of a transaction by 1, or by 2 when the server has shown another time for
// the same transaction or none of today.
func (e *editor) time(zxid int64) {
	p := e.take(8)
	ms := int64(binary.BigEndian.Uint64(p))
	if ms == 0 {
		return
	}
	v := uint64(1)
	if known, ok := e.d.times[zxid]; ok && known != ms ||
		time.Since(time.UnixMilli(ms)).Abs() > time.Hour {
		v = 2
	}
	e.d.times[zxid] = ms
	binary.BigEndian.PutUint64(p, v)
}

func (e *editor) stat() {
	from := e.at
	czxid, mzxid := e.zxid(), e.zxid()
	e.time(czxid)
	e.time(mzxid)
	e.take(12)
	owner := e.take(8)
	if id := int64(binary.BigEndian.Uint64(owner)); id != 0 {
		if n, ok := e.d.known[id]; ok {
			id = n
		}
		binary.BigEndian.PutUint64(owner, uint64(id))
	}
	e.take(8)
	e.zxid()
	if e.bad {
		return
	}
	var st proto.Stat
	st.Decode(jute.NewReader(e.b[from:e.at], 0))
	fmt.Fprintf(&e.text, " %+v", st)
}

// strings sorts a vector of strings: upstream's come in the order of a hash table.
func (e *editor) strings() {
	from := e.at
	n := e.int32()
	var all []string
	for range n {
		all = append(all, string(e.buffer()))
	}
	slices.Sort(all)
	fmt.Fprintf(&e.text, " %q", all)
	if e.bad || n < 0 {
		return
	}
	var w jute.Writer
	w.Strings(append([]string{}, all...))
	copy(e.b[from:e.at], w.B)
}

// acls sorts what an auth entry was expanded to; upstream keeps identities in a hash table.
func (e *editor) acls() {
	from := e.at
	list := make([]proto.ACL, max(e.int32(), 0))
	for i := range list {
		list[i].Perms = e.int32()
		list[i].ID = proto.ID{Scheme: string(e.buffer()), ID: string(e.buffer())}
	}
	for i := 0; i < len(list); {
		j := i + 1
		for j < len(list) && list[j].Perms == list[i].Perms &&
			list[i].ID.Scheme == "digest" && list[j].ID.Scheme == "digest" {
			j++
		}
		slices.SortFunc(list[i:j], func(a, b proto.ACL) int { return cmp.Compare(a.ID.ID, b.ID.ID) })
		i = j
	}
	fmt.Fprintf(&e.text, " %+v", list)
	if !e.bad {
		var w jute.Writer
		proto.EncodeACLs(&w, list)
		copy(e.b[from:e.at], w.B)
	}
}

// identities sorts the reply to whoAmI.
func (e *editor) identities() {
	from := e.at
	var all []string
	for range e.int32() {
		at := e.at
		e.buffer()
		e.buffer()
		all = append(all, string(e.b[at:e.at]))
	}
	slices.Sort(all)
	fmt.Fprintf(&e.text, " %q", all)
	if !e.bad {
		copy(e.b[from+4:e.at], strings.Join(all, ""))
	}
}

func (e *editor) body(op proto.Op) {
	switch op {
	case proto.OpCreate, proto.OpSync:
		e.created()
	case proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		e.created()
		e.stat()
	case proto.OpExists, proto.OpSetData, proto.OpSetACL:
		e.stat()
	case proto.OpGetData:
		fmt.Fprintf(&e.text, " %q", e.buffer())
		e.stat()
	case proto.OpGetACL:
		e.acls()
		e.stat()
	case proto.OpGetChildren, proto.OpGetEphemerals:
		e.strings()
	case proto.OpGetChildren2:
		e.strings()
		e.stat()
	case proto.OpWhoAmI:
		e.identities()
	case proto.OpMulti, proto.OpMultiRead:
		e.multi()
	}
	if e.at < len(e.b) {
		fmt.Fprintf(&e.text, " %x", e.b[e.at:])
	}
}

func (e *editor) created() {
	e.path = string(e.buffer())
	fmt.Fprintf(&e.text, " %q", e.path)
}

func (e *editor) multi() {
	for !e.bad {
		op := proto.Op(e.int32())
		done, err := e.take(1)[0], proto.Err(e.int32())
		if done != 0 {
			return
		}
		fmt.Fprintf(&e.text, " [%v %v", op, err)
		switch op {
		case proto.OpError:
			e.int32()
		case proto.OpDelete, proto.OpCheck:
		default:
			e.subBody(op)
		}
		e.text.WriteByte(']')
	}
}

func (e *editor) subBody(op proto.Op) {
	switch op {
	case proto.OpCreate:
		e.created()
	case proto.OpCreate2:
		e.created()
		e.stat()
	case proto.OpSetData:
		e.stat()
	case proto.OpGetData:
		fmt.Fprintf(&e.text, " %q", e.buffer())
		e.stat()
	case proto.OpGetChildren:
		e.strings()
	default:
		e.bad = true
	}
}

// translate puts a frame into shared terms; ops has the requests that are on their way by xid.
func (d *side) translate(b []byte, ops map[int32]proto.Op) reply {
	e := &editor{d: d, b: slices.Clone(b)}
	r := reply{xid: e.int32()}
	r.zxid = e.zxid()
	r.err = proto.Err(e.int32())
	if r.xid == proto.XidNotification {
		r.event = true
		var ev proto.WatcherEvent
		ev.Decode(jute.NewReader(e.b[e.at:], 0))
		fmt.Fprintf(&e.text, " %+v", ev)
	} else {
		op, ok := ops[r.xid]
		fmt.Fprintf(&e.text, " %v", op)
		switch {
		case ok && op == proto.OpMultiRead && r.err != 0:
			// Upstream sends a stray body behind the header; section "multiRead with a write".
			e.b = e.b[:e.at]
		case r.err == 0:
			e.body(op)
		default:
			fmt.Fprintf(&e.text, " %x", e.b[e.at:])
		}
	}
	d.last = max(d.last, r.zxid)
	r.path = e.path
	r.bytes = string(e.b)
	r.text = fmt.Sprintf("xid %d zxid %#x %v%s", r.xid, r.zxid, r.err, e.text.String())
	if e.bad {
		r.text += " UNDECODABLE " + hex.EncodeToString(b)
	}
	return r
}

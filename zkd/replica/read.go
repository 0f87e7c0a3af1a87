package replica

import (
	"errors"
	"strings"
	"unicode/utf8"
	"unsafe"

	"zkafka/zkd/acl"
	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
	"zkafka/zkd/tree"
)

// borrowString reads a string that shares the memory of the frame if it can. It must not be kept.
func borrowString(rd *jute.Reader) string {
	s, _ := borrowStringOrNull(rd)
	return s
}

func borrowStringOrNull(rd *jute.Reader) (string, bool) {
	b := rd.Buffer()
	if !utf8.Valid(b) {
		return jute.Text(b), true
	}
	return unsafe.String(unsafe.SliceData(b), len(b)), b != nil
}

// readPath reads the path of a request. One that is null is malformed.
func (m *Machine) readPath() string {
	path, ok := borrowStringOrNull(&m.rd)
	if !ok {
		m.rd.Fail(errNullPath)
	}
	return path
}

var errNullPath = errors.New("path is null")

// read answers a request that needs no transaction.
func (m *Machine) read(c *Conn, xid int32, op proto.Op, body []byte, since int64) {
	if c.state == connClosing {
		return
	}
	zxid := m.tree.LastZxid()
	if op == proto.OpPing {
		at := c.begin(proto.XidPing, zxid, proto.ErrOK)
		m.finish(c, at, op, xid, zxid, since)
		return
	}
	m.rd.Reset(body, m.opts.MaxLength)
	if op == proto.OpSetWatches || op == proto.OpSetWatches2 {
		// It may send events, and they go in front of its reply.
		m.fail(c, op, xid, zxid, m.setWatches(c, op), since)
		return
	}
	before := len(c.out.B)
	at := c.begin(xid, zxid, proto.ErrOK)
	err := m.readBody(c, op)
	switch {
	case err == errUnknownOp:
		c.out.B = c.out.B[:before]
		m.fail(c, op, xid, -1, proto.ErrUnimplemented, since)
		m.close(c)
		return
	case err == errOnlyWrites:
		c.out.B = c.out.B[:before]
		at = c.begin(xid, zxid, proto.ErrMarshallingError)
		multiEnd.Encode(&c.out)
	case err != proto.ErrOK:
		c.out.B = c.out.B[:before]
		at = c.begin(xid, zxid, err)
	}
	m.finish(c, at, op, xid, zxid, since)
	m.metrics.ReadLatency.Add(max(m.now.MonoNanos-since, 0) / 1e6)
}

// Verdicts of readBody that are no protocol codes.
const (
	// errUnknownOp is about a code that no client may send.
	errUnknownOp proto.Err = 1
	// errOnlyWrites is about a multiRead without a read. Of those that do not fit in it these alone
	// get an answer with a body, upstream's way to say that it had begun.
	errOnlyWrites proto.Err = 2
)

// readBody decodes the request in m.rd and appends the body of its reply.
func (m *Machine) readBody(c *Conn, op proto.Op) proto.Err {
	switch op {
	case proto.OpGetData:
		return m.getData(c)
	case proto.OpExists:
		return m.exists(c)
	case proto.OpGetChildren, proto.OpGetChildren2:
		return m.getChildren(c, op)
	case proto.OpGetACL:
		return m.getACL(c)
	case proto.OpSync:
		return m.sync(c)
	case proto.OpMultiRead:
		return m.multiRead(c)
	case proto.OpGetEphemerals:
		return m.getEphemerals(c)
	case proto.OpGetAllChildrenNumber:
		return m.getAllChildrenNumber(c)
	case proto.OpWhoAmI:
		return m.whoAmI(c)
	case proto.OpAddWatch, proto.OpCheckWatches, proto.OpRemoveWatches:
		return m.watchRequest(c, op)
	}
	return errUnknownOp
}

// find looks a znode up for a read. Upstream's table of nodes has the root under the empty path
// too.
func (m *Machine) find(path string) (*tree.Node, bool) {
	if path == "" {
		path = tree.RootPath
	}
	return m.tree.Get(path)
}

// watchedPath is the path under which a read of n registers its watch: that of the request, in the
// memory of the znode. A watch on the empty path, the root's other name, never fires.
func watchedPath(n *tree.Node, path string) string {
	if path == "" {
		return ""
	}
	return n.Path()
}

// readable finds a znode that the connection may read.
func (m *Machine) readable(c *Conn, path string) (*tree.Node, proto.Err) {
	n, ok := m.find(path)
	if !ok {
		return nil, proto.ErrNoNode
	}
	if !m.acl.Allowed(n.ACL(), proto.PermRead, c.ids) {
		return nil, proto.ErrNoAuth
	}
	return n, proto.ErrOK
}

func (m *Machine) getData(c *Conn) proto.Err {
	path := m.readPath()
	watch := m.rd.Bool()
	if m.rd.Err() != nil {
		return proto.ErrMarshallingError
	}
	return m.dataReply(c, path, watch)
}

func (m *Machine) dataReply(c *Conn, path string, watch bool) proto.Err {
	n, err := m.readable(c, path)
	if err != proto.ErrOK {
		return err
	}
	if watch {
		m.watches.AddData(watchedPath(n, path), c)
	}
	c.out.Buffer(n.Data())
	m.spaces.read(c, n.Path(), len(n.Data()))
	stat := n.Stat()
	stat.Encode(&c.out)
	return proto.ErrOK
}

func (m *Machine) exists(c *Conn) proto.Err {
	path := m.readPath()
	watch := m.rd.Bool()
	if m.rd.Err() != nil {
		return proto.ErrMarshallingError
	}
	if strings.IndexByte(path, 0) >= 0 {
		return proto.ErrBadArguments
	}
	n, ok := m.find(path)
	if !ok {
		if watch {
			m.watches.AddData(strings.Clone(path), c)
		}
		return proto.ErrNoNode
	}
	if !m.acl.Allowed(n.ACL(), proto.PermRead, c.ids) {
		return proto.ErrNoAuth
	}
	if watch {
		m.watches.AddData(watchedPath(n, path), c)
	}
	m.spaces.read(c, n.Path(), 0)
	stat := n.Stat()
	stat.Encode(&c.out)
	return proto.ErrOK
}

func (m *Machine) getChildren(c *Conn, op proto.Op) proto.Err {
	path := m.readPath()
	watch := m.rd.Bool()
	if m.rd.Err() != nil {
		return proto.ErrMarshallingError
	}
	n, err := m.childrenReply(c, path, watch)
	if err == proto.ErrOK && op == proto.OpGetChildren2 {
		stat := n.Stat()
		stat.Encode(&c.out)
	}
	return err
}

func (m *Machine) childrenReply(c *Conn, path string, watch bool) (*tree.Node, proto.Err) {
	n, err := m.readable(c, path)
	if err != proto.ErrOK {
		return nil, err
	}
	if watch {
		m.watches.AddChild(watchedPath(n, path), c)
	}
	c.out.VectorLen(n.NumChildren())
	names := 0
	for kid := range n.All() {
		name := kid.Name()
		names += len(name)
		c.out.String(name)
	}
	m.spaces.read(c, n.Path(), names)
	return n, proto.ErrOK
}

// getACL shows the list to whoever may read or administer the znode; digests only to the latter.
func (m *Machine) getACL(c *Conn) proto.Err {
	path := m.readPath()
	if m.rd.Err() != nil {
		return proto.ErrMarshallingError
	}
	n, ok := m.find(path)
	if !ok {
		return proto.ErrNoNode
	}
	list := n.ACL()
	if !m.acl.Allowed(list, proto.PermRead|proto.PermAdmin, c.ids) {
		return proto.ErrNoAuth
	}
	if !m.acl.Allowed(list, proto.PermAdmin, c.ids) {
		list = acl.Mask(list)
	}
	proto.EncodeACLs(&c.out, list)
	stat := n.Stat()
	stat.Encode(&c.out)
	return proto.ErrOK
}

// sync echoes the path, whatever it is. Its place in the connection's queue makes it wait for the
// session's own writes; writes of others that a client could know of are applied already.
func (m *Machine) sync(c *Conn) proto.Err {
	path, ok := borrowStringOrNull(&m.rd)
	if m.rd.Err() != nil {
		return proto.ErrMarshallingError
	}
	if !ok {
		c.out.NullString()
		return proto.ErrOK
	}
	c.out.String(path)
	return proto.ErrOK
}

// multiRead answers several reads. Their watch flags are not heeded, as upstream does not. The
// requests of a frame can ask for any amount of data, so the answer has a limit, which upstream
// reaches when its memory ends.
func (m *Machine) multiRead(c *Conn) proto.Err {
	var req proto.MultiRequest
	req.Decode(&m.rd)
	if m.rd.Err() != nil {
		return proto.ErrMarshallingError
	}
	reads := 0
	for i := range req.Ops {
		if req.Ops[i].IsRead() {
			reads++
		}
	}
	switch {
	case reads == len(req.Ops):
	case reads == 0:
		return errOnlyWrites
	default:
		return proto.ErrMarshallingError
	}
	begin := len(c.out.B)
	for i := range req.Ops {
		if len(c.out.B)-begin > m.opts.MaxMultiRead {
			return proto.ErrMarshallingError
		}
		op := &req.Ops[i]
		before := len(c.out.B)
		h := proto.MultiHeader{Type: op.Type}
		h.Encode(&c.out)
		var err proto.Err
		switch b := op.Body.(type) {
		case *proto.GetDataRequest:
			err = m.dataReply(c, b.Path, false)
		case *proto.GetChildrenRequest:
			_, err = m.childrenReply(c, b.Path, false)
		}
		if err != proto.ErrOK {
			c.out.B = c.out.B[:before]
			h = proto.MultiHeader{Type: proto.OpError, Err: err}
			h.Encode(&c.out)
			c.out.Int32(int32(err))
		}
	}
	multiEnd.Encode(&c.out)
	return proto.ErrOK
}

// multiEnd is behind the last result of a multiRead.
var multiEnd = proto.MultiHeader{Type: proto.OpError, Done: true, Err: -1}

// getEphemerals lists the session's own ephemerals that start with a prefix of the path's text.
func (m *Machine) getEphemerals(c *Conn) proto.Err {
	prefix := borrowString(&m.rd)
	if m.rd.Err() != nil {
		return proto.ErrMarshallingError
	}
	all := strings.TrimSpace(prefix) == "" || prefix == "/"
	paths := []string{}
	for _, p := range m.tree.Ephemerals(c.session) {
		if all || strings.HasPrefix(p, prefix) {
			paths = append(paths, p)
		}
	}
	c.out.Strings(paths)
	return proto.ErrOK
}

func (m *Machine) getAllChildrenNumber(c *Conn) proto.Err {
	path := m.readPath()
	if m.rd.Err() != nil {
		return proto.ErrMarshallingError
	}
	if _, err := m.readable(c, path); err != proto.ErrOK {
		return err
	}
	n := m.tree.CountDescendants(path)
	if path == "" {
		n++ // upstream counts the root's own entry, for "/" begins with the prefix "" + "/"
	}
	c.out.Int32(int32(n))
	return proto.ErrOK
}

func (m *Machine) whoAmI(c *Conn) proto.Err {
	c.out.VectorLen(len(c.ids))
	for _, id := range c.ids {
		info := proto.ClientInfo{AuthScheme: id.Scheme, User: acl.User(id)}
		info.Encode(&c.out)
	}
	return proto.ErrOK
}

package client

import (
	"fmt"
	"sync"

	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
)

// Op is one request: for Do, Go, Pipeline and, if it is a create, set, delete or check, for Multi.
// Its data must stay unchanged until the request is answered.
type Op struct {
	code    proto.Op
	path    string
	data    []byte
	acl     []proto.ACL
	mode    int32
	ttl     int64
	version int32
	ops     []Op
	watch   func(Event)
	raw     bool // path is the server's, whatever the chroot
}

// CreateOp creates a node. Mode is one of the proto.Mode constants; ModeContainer needs a server of
// 3.5 or newer, the TTL modes need CreateTTLOp.
func CreateOp(path string, data []byte, acl []proto.ACL, mode int32) Op {
	code := proto.OpCreate
	if mode == proto.ModeContainer {
		code = proto.OpCreateContainer
	}
	return Op{code: code, path: path, data: data, acl: acl, mode: mode}
}

// Create2Op is CreateOp with the Stat of the new node in its result; servers of 3.4 do not know it.
func Create2Op(path string, data []byte, acl []proto.ACL, mode int32) Op {
	op := CreateOp(path, data, acl, mode)
	if op.code == proto.OpCreate {
		op.code = proto.OpCreate2
	}
	return op
}

// CreateTTLOp creates a node that goes away when it has no children and was not changed for
// ttlMillis. Mode is proto.ModePersistentWithTTL or its sequential twin.
func CreateTTLOp(path string, data []byte, acl []proto.ACL, mode int32, ttlMillis int64) Op {
	return Op{code: proto.OpCreateTTL, path: path, data: data, acl: acl, mode: mode, ttl: ttlMillis}
}

// DeleteOp deletes a node of the given version.
func DeleteOp(path string, version int32) Op {
	return Op{code: proto.OpDelete, path: path, version: version}
}

// SetOp replaces the data of a node of the given version.
func SetOp(path string, data []byte, version int32) Op {
	return Op{code: proto.OpSetData, path: path, data: data, version: version}
}

// CheckOp makes a Multi fail unless the node has the given version; for Multi only.
func CheckOp(path string, version int32) Op {
	return Op{code: proto.OpCheck, path: path, version: version}
}

// GetOp reads data and Stat.
func GetOp(path string) Op { return Op{code: proto.OpGetData, path: path} }

// ExistsOp reads the Stat.
func ExistsOp(path string) Op { return Op{code: proto.OpExists, path: path} }

// ChildrenOp reads the names of the children, in the server's order, and the Stat.
func ChildrenOp(path string) Op { return Op{code: proto.OpGetChildren2, path: path} }

// GetACLOp reads ACL and Stat.
func GetACLOp(path string) Op { return Op{code: proto.OpGetACL, path: path} }

// SetACLOp replaces the ACL of a node whose ACL has the given version.
func SetACLOp(path string, acl []proto.ACL, version int32) Op {
	return Op{code: proto.OpSetACL, path: path, acl: acl, version: version}
}

// SyncOp makes the reads that follow see everything committed before it.
func SyncOp(path string) Op { return Op{code: proto.OpSync, path: path} }

// MultiOp carries out all of ops or none; its result has Multi set.
func MultiOp(ops ...Op) Op { return Op{code: proto.OpMulti, ops: ops} }

// Watched returns the read op with a one-shot watch: fn runs in the client's goroutine when the
// node (GetOp, ExistsOp) or its list of children (ChildrenOp) changes, or when the session ends. A
// failed read sets no watch, except that ExistsOp waits for a missing node.
func (o Op) Watched(fn func(Event)) Op {
	o.watch = fn
	return o
}

// OpResult is the outcome of an Op: Err, or what the op asked for.
type OpResult struct {
	Err      error
	Path     string // of a created node
	Data     []byte
	Stat     proto.Stat
	Children []string
	ACL      []proto.ACL
	Multi    []OpResult // one per operation of a multi, failed or not
	Zxid     int64      // of the reply
	Number   int        // of getAllChildrenNumber
	Who      []proto.ClientInfo
}

// body makes the request record of an op.
func (c *Client) body(o *Op) (proto.Record, error) {
	path := o.path
	if !o.raw {
		path = c.full(path)
	}
	switch o.code {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer:
		return &proto.CreateRequest{Path: path, Data: o.data, ACL: o.acl, Flags: o.mode}, nil
	case proto.OpCreateTTL:
		return &proto.CreateTTLRequest{
			Path: path, Data: o.data, ACL: o.acl, Flags: o.mode, TTL: o.ttl,
		}, nil
	case proto.OpDelete:
		return &proto.DeleteRequest{Path: path, Version: o.version}, nil
	case proto.OpSetData:
		return &proto.SetDataRequest{Path: path, Data: o.data, Version: o.version}, nil
	case proto.OpCheck:
		return &proto.CheckVersionRequest{Path: path, Version: o.version}, nil
	case proto.OpExists:
		return &proto.ExistsRequest{Path: path, Watch: o.watch != nil}, nil
	case proto.OpGetData:
		return &proto.GetDataRequest{Path: path, Watch: o.watch != nil}, nil
	case proto.OpGetChildren2:
		return &proto.GetChildrenRequest{Path: path, Watch: o.watch != nil}, nil
	case proto.OpGetACL:
		return &proto.GetACLRequest{Path: path}, nil
	case proto.OpSetACL:
		return &proto.SetACLRequest{Path: path, ACL: o.acl, Version: o.version}, nil
	case proto.OpSync:
		return &proto.SyncRequest{Path: path}, nil
	case proto.OpGetEphemerals:
		return &proto.GetEphemeralsRequest{PrefixPath: path}, nil
	case proto.OpGetAllChildrenNumber:
		return &proto.GetAllChildrenNumberRequest{Path: path}, nil
	case proto.OpMulti:
		return c.multiBody(o)
	case proto.OpWhoAmI, proto.OpCloseSession:
		return nil, nil
	}
	return nil, fmt.Errorf("%s: %w", o.code, proto.ErrUnimplemented)
}

func (c *Client) multiBody(o *Op) (proto.Record, error) {
	m := &proto.MultiRequest{Ops: make([]proto.MultiOp, len(o.ops))}
	for i := range o.ops {
		switch o.ops[i].code {
		case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL,
			proto.OpDelete, proto.OpSetData, proto.OpCheck:
		default:
			return nil, fmt.Errorf("%s: %w", o.ops[i].code, proto.ErrMultiOp)
		}
		body, err := c.body(&o.ops[i])
		if err != nil {
			return nil, err
		}
		m.Ops[i] = proto.MultiOp{Type: o.ops[i].code, Body: body}
	}
	return m, nil
}

// decode reads the body of a successful reply. Data is copied: the frame it came in is used again.
func (c *Client) decode(o *Op, r *jute.Reader, res *OpResult) error {
	switch o.code {
	case proto.OpCreate:
		res.Path = c.local(r.String())
	case proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		res.Path = c.local(r.String())
		res.Stat.Decode(r)
	case proto.OpSetData, proto.OpSetACL, proto.OpExists:
		res.Stat.Decode(r)
	case proto.OpGetData:
		res.Data = clone(r.Buffer())
		res.Stat.Decode(r)
	case proto.OpGetChildren2:
		res.Children = r.Strings()
		res.Stat.Decode(r)
	case proto.OpGetACL:
		res.ACL = proto.DecodeACLs(r)
		res.Stat.Decode(r)
	case proto.OpMulti:
		c.decodeMulti(r, res)
	case proto.OpGetEphemerals:
		res.Children = r.Strings()
		for i, p := range res.Children {
			res.Children[i] = c.local(p)
		}
	case proto.OpGetAllChildrenNumber:
		res.Number = int(r.Int32())
	case proto.OpWhoAmI:
		var who proto.WhoAmIResponse
		who.Decode(r)
		res.Who = who.ClientInfo
	}
	return r.Err()
}

// decodeMulti reads the results of a multi. The error of the whole is that of the operation that
// failed; those before it report ErrOK on the wire although they were rolled back.
func (c *Client) decodeMulti(r *jute.Reader, res *OpResult) {
	var m proto.MultiResponse
	m.Decode(r)
	res.Multi = make([]OpResult, len(m.Results))
	for i := range m.Results {
		in, out := &m.Results[i], &res.Multi[i]
		out.Zxid = res.Zxid
		if in.Type == proto.OpError {
			out.Err = in.Err.Err()
			if res.Err == nil {
				res.Err = out.Err
			}
			continue
		}
		if in.Path != "" {
			out.Path = c.local(in.Path)
		}
		out.Stat = in.Stat
	}
}

// clone copies a buffer and keeps nil and empty apart.
func clone(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append(make([]byte, 0, len(b)), b...)
}

// call is one request on its way. The zero fn is never called.
type call struct {
	op      Op
	body    proto.Record
	auth    *auth // for auth packets; then op and fn are unused
	xid     int32
	fn      func(OpResult)
	dropped bool // under Client.mu: the caller has left
}

// join collects the results of a Pipeline. The reader may still be delivering when the caller
// leaves, so both go through mu.
type join struct {
	mu   sync.Mutex
	res  []OpResult
	left int
	done chan struct{}
}

func (j *join) set(i int, r OpResult) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.res[i] = r
	if j.left--; j.left == 0 {
		close(j.done)
	}
}

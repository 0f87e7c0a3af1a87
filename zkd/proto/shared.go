package proto

import "zkafka/zkd/jute"

// ID names who an ACL entry speaks of, in the terms of an authentication scheme.
type ID struct {
	Scheme string
	ID     string
}

// Encode appends the record to w.
func (x *ID) Encode(w *jute.Writer) {
	w.String(x.Scheme)
	w.String(x.ID)
}

// Decode reads the record from r.
func (x *ID) Decode(r *jute.Reader) {
	x.Scheme = r.String()
	x.ID = r.String()
}

// ACL is one entry of a node's access control list.
type ACL struct {
	Perms int32
	ID    ID
}

// Encode appends the record to w.
func (x *ACL) Encode(w *jute.Writer) {
	w.Int32(x.Perms)
	x.ID.Encode(w)
}

// Decode reads the record from r.
func (x *ACL) Decode(r *jute.Reader) {
	x.Perms = r.Int32()
	x.ID.Decode(r)
}

// EncodeACLs appends a vector of ACL entries; nil is written as null.
func EncodeACLs(w *jute.Writer, v []ACL) {
	if v == nil {
		w.NullVector()
		return
	}
	w.VectorLen(len(v))
	for i := range v {
		v[i].Encode(w)
	}
}

// DecodeACLs reads a vector of ACL entries; nil for null.
func DecodeACLs(r *jute.Reader) []ACL {
	n := r.VectorLen(12)
	if n < 0 {
		return nil
	}
	v := make([]ACL, n)
	for i := range v {
		v[i].Decode(r)
	}
	return v
}

// StatSize is the encoded size of a Stat.
const StatSize = 68

// Stat is the bookkeeping of a node as clients see it.
type Stat struct {
	Czxid          int64 // transaction that created the node
	Mzxid          int64 // transaction that last set its data
	Ctime          int64 // milliseconds since the epoch
	Mtime          int64 // milliseconds since the epoch
	Version        int32 // changes of the data
	Cversion       int32 // changes of the list of children
	Aversion       int32 // changes of the ACL
	EphemeralOwner int64 // session of an ephemeral node, else 0
	DataLength     int32
	NumChildren    int32
	Pzxid          int64 // transaction that last created or deleted a child
}

// Encode appends the record to w.
func (x *Stat) Encode(w *jute.Writer) {
	w.Int64(x.Czxid)
	w.Int64(x.Mzxid)
	w.Int64(x.Ctime)
	w.Int64(x.Mtime)
	w.Int32(x.Version)
	w.Int32(x.Cversion)
	w.Int32(x.Aversion)
	w.Int64(x.EphemeralOwner)
	w.Int32(x.DataLength)
	w.Int32(x.NumChildren)
	w.Int64(x.Pzxid)
}

// Decode reads the record from r.
func (x *Stat) Decode(r *jute.Reader) {
	x.Czxid = r.Int64()
	x.Mzxid = r.Int64()
	x.Ctime = r.Int64()
	x.Mtime = r.Int64()
	x.Version = r.Int32()
	x.Cversion = r.Int32()
	x.Aversion = r.Int32()
	x.EphemeralOwner = r.Int64()
	x.DataLength = r.Int32()
	x.NumChildren = r.Int32()
	x.Pzxid = r.Int64()
}

// StatPersisted is a node's bookkeeping as snapshots store it: Cversion counts creates only,
// EphemeralOwner also encodes containers and TTL nodes, and there are no derived fields.
type StatPersisted struct {
	Czxid          int64
	Mzxid          int64
	Ctime          int64
	Mtime          int64
	Version        int32
	Cversion       int32
	Aversion       int32
	EphemeralOwner int64
	Pzxid          int64
}

// Encode appends the record to w.
func (x *StatPersisted) Encode(w *jute.Writer) {
	w.Int64(x.Czxid)
	w.Int64(x.Mzxid)
	w.Int64(x.Ctime)
	w.Int64(x.Mtime)
	w.Int32(x.Version)
	w.Int32(x.Cversion)
	w.Int32(x.Aversion)
	w.Int64(x.EphemeralOwner)
	w.Int64(x.Pzxid)
}

// Decode reads the record from r.
func (x *StatPersisted) Decode(r *jute.Reader) {
	x.Czxid = r.Int64()
	x.Mzxid = r.Int64()
	x.Ctime = r.Int64()
	x.Mtime = r.Int64()
	x.Version = r.Int32()
	x.Cversion = r.Int32()
	x.Aversion = r.Int32()
	x.EphemeralOwner = r.Int64()
	x.Pzxid = r.Int64()
}

// RequestHeaderSize is the encoded size of a RequestHeader.
const RequestHeaderSize = 8

// RequestHeader precedes the body of every request but the first of a connection.
type RequestHeader struct {
	Xid  int32
	Type Op
}

// Encode appends the record to w.
func (x *RequestHeader) Encode(w *jute.Writer) {
	w.Int32(x.Xid)
	w.Int32(int32(x.Type))
}

// Decode reads the record from r.
func (x *RequestHeader) Decode(r *jute.Reader) {
	x.Xid = r.Int32()
	x.Type = Op(r.Int32())
}

// ReplyHeaderSize is the encoded size of a ReplyHeader.
const ReplyHeaderSize = 16

// ReplyHeader precedes every reply and event; a body follows only when Err is ErrOK.
type ReplyHeader struct {
	Xid  int32
	Zxid int64
	Err  Err
}

// Encode appends the record to w.
func (x *ReplyHeader) Encode(w *jute.Writer) {
	w.Int32(x.Xid)
	w.Int64(x.Zxid)
	w.Int32(int32(x.Err))
}

// Decode reads the record from r.
func (x *ReplyHeader) Decode(r *jute.Reader) {
	x.Xid = r.Int32()
	x.Zxid = r.Int64()
	x.Err = Err(r.Int32())
}

// ConnectRequest is the first frame of a connection, without a header. Clients before 3.4 leave the
// read-only byte out: HasReadOnly says whether it is there.
type ConnectRequest struct {
	ProtocolVersion int32
	LastZxidSeen    int64
	Timeout         int32 // milliseconds
	SessionID       int64 // 0 asks for a new session
	Passwd          []byte
	ReadOnly        bool
	HasReadOnly     bool
}

// Encode appends the record to w.
func (x *ConnectRequest) Encode(w *jute.Writer) {
	w.Int32(x.ProtocolVersion)
	w.Int64(x.LastZxidSeen)
	w.Int32(x.Timeout)
	w.Int64(x.SessionID)
	w.Buffer(x.Passwd)
	if x.HasReadOnly {
		w.Bool(x.ReadOnly)
	}
}

// Decode reads the record from r.
func (x *ConnectRequest) Decode(r *jute.Reader) {
	x.ProtocolVersion = r.Int32()
	x.LastZxidSeen = r.Int64()
	x.Timeout = r.Int32()
	x.SessionID = r.Int64()
	x.Passwd = r.Buffer()
	x.HasReadOnly = r.Remaining() > 0
	x.ReadOnly = x.HasReadOnly && r.Bool()
}

// ConnectResponse answers a ConnectRequest. A Timeout of 0 says that the session is gone. The
// read-only byte is there only if the request carried one.
type ConnectResponse struct {
	ProtocolVersion int32
	Timeout         int32 // milliseconds
	SessionID       int64
	Passwd          []byte
	ReadOnly        bool
	HasReadOnly     bool
}

// Encode appends the record to w.
func (x *ConnectResponse) Encode(w *jute.Writer) {
	w.Int32(x.ProtocolVersion)
	w.Int32(x.Timeout)
	w.Int64(x.SessionID)
	w.Buffer(x.Passwd)
	if x.HasReadOnly {
		w.Bool(x.ReadOnly)
	}
}

// Decode reads the record from r.
func (x *ConnectResponse) Decode(r *jute.Reader) {
	x.ProtocolVersion = r.Int32()
	x.Timeout = r.Int32()
	x.SessionID = r.Int64()
	x.Passwd = r.Buffer()
	x.HasReadOnly = r.Remaining() > 0
	x.ReadOnly = x.HasReadOnly && r.Bool()
}

// WatcherEvent is the body of a notification (xid -1).
type WatcherEvent struct {
	Type  EventType
	State KeeperState
	Path  string
}

// Encode appends the record to w.
func (x *WatcherEvent) Encode(w *jute.Writer) {
	w.Int32(int32(x.Type))
	w.Int32(int32(x.State))
	w.String(x.Path)
}

// Decode reads the record from r.
func (x *WatcherEvent) Decode(r *jute.Reader) {
	x.Type = EventType(r.Int32())
	x.State = KeeperState(r.Int32())
	x.Path = r.String()
}

// AuthPacket is the body of an auth request (xid -4).
type AuthPacket struct {
	Type   int32 // always 0, ignored
	Scheme string
	Auth   []byte
}

// Encode appends the record to w.
func (x *AuthPacket) Encode(w *jute.Writer) {
	w.Int32(x.Type)
	w.String(x.Scheme)
	w.Buffer(x.Auth)
}

// Decode reads the record from r.
func (x *AuthPacket) Decode(r *jute.Reader) {
	x.Type = r.Int32()
	x.Scheme = r.String()
	x.Auth = r.Buffer()
}

// ErrorResponse is the result of a failed operation of a multi; addWatch answers with one too.
type ErrorResponse struct {
	Err Err
}

// Encode appends the record to w.
func (x *ErrorResponse) Encode(w *jute.Writer) { w.Int32(int32(x.Err)) }

// Decode reads the record from r.
func (x *ErrorResponse) Decode(r *jute.Reader) { x.Err = Err(r.Int32()) }

package proto

import "zkafka/zkd/jute"

// CreateTxn creates a node, by create and create2. A ParentCVersion of -1 stands for "old plus
// one"; files of 3.3 and older, which lack the field, read so.
type CreateTxn struct {
	Path           string
	Data           []byte
	ACL            []ACL
	Ephemeral      bool  // owned by TxnHeader.ClientID
	ParentCVersion int32 // new stored cversion of the parent
}

// Encode appends the record to w.
func (x *CreateTxn) Encode(w *jute.Writer) {
	w.String(x.Path)
	w.Buffer(x.Data)
	EncodeACLs(w, x.ACL)
	w.Bool(x.Ephemeral)
	w.Int32(x.ParentCVersion)
}

// Decode reads the record from r.
func (x *CreateTxn) Decode(r *jute.Reader) {
	x.Path = r.String()
	x.Data = r.Buffer()
	x.ACL = DecodeACLs(r)
	x.Ephemeral = r.Bool()
	x.ParentCVersion = -1
	if r.Err() == nil && r.Remaining() > 0 {
		x.ParentCVersion = r.Int32()
	}
}

// CreateContainerTxn creates a container node.
type CreateContainerTxn struct {
	Path           string
	Data           []byte
	ACL            []ACL
	ParentCVersion int32
}

// Encode appends the record to w.
func (x *CreateContainerTxn) Encode(w *jute.Writer) {
	w.String(x.Path)
	w.Buffer(x.Data)
	EncodeACLs(w, x.ACL)
	w.Int32(x.ParentCVersion)
}

// Decode reads the record from r.
func (x *CreateContainerTxn) Decode(r *jute.Reader) {
	x.Path = r.String()
	x.Data = r.Buffer()
	x.ACL = DecodeACLs(r)
	x.ParentCVersion = r.Int32()
}

// CreateTTLTxn creates a TTL node.
type CreateTTLTxn struct {
	Path           string
	Data           []byte
	ACL            []ACL
	ParentCVersion int32
	TTL            int64 // milliseconds
}

// Encode appends the record to w.
func (x *CreateTTLTxn) Encode(w *jute.Writer) {
	w.String(x.Path)
	w.Buffer(x.Data)
	EncodeACLs(w, x.ACL)
	w.Int32(x.ParentCVersion)
	w.Int64(x.TTL)
}

// Decode reads the record from r.
func (x *CreateTTLTxn) Decode(r *jute.Reader) {
	x.Path = r.String()
	x.Data = r.Buffer()
	x.ACL = DecodeACLs(r)
	x.ParentCVersion = r.Int32()
	x.TTL = r.Int64()
}

// DeleteTxn deletes a node, by delete and deleteContainer.
type DeleteTxn struct {
	Path string
}

// Encode appends the record to w.
func (x *DeleteTxn) Encode(w *jute.Writer) { w.String(x.Path) }

// Decode reads the record from r.
func (x *DeleteTxn) Decode(r *jute.Reader) { x.Path = r.String() }

// SetDataTxn sets the data of a node, by setData and reconfig.
type SetDataTxn struct {
	Path    string
	Data    []byte
	Version int32 // the new version
}

// Encode appends the record to w.
func (x *SetDataTxn) Encode(w *jute.Writer) {
	w.String(x.Path)
	w.Buffer(x.Data)
	w.Int32(x.Version)
}

// Decode reads the record from r.
func (x *SetDataTxn) Decode(r *jute.Reader) {
	x.Path = r.String()
	x.Data = r.Buffer()
	x.Version = r.Int32()
}

// SetACLTxn sets the ACL of a node.
type SetACLTxn struct {
	Path    string
	ACL     []ACL
	Version int32 // the new version of the ACL
}

// Encode appends the record to w.
func (x *SetACLTxn) Encode(w *jute.Writer) {
	w.String(x.Path)
	EncodeACLs(w, x.ACL)
	w.Int32(x.Version)
}

// Decode reads the record from r.
func (x *SetACLTxn) Decode(r *jute.Reader) {
	x.Path = r.String()
	x.ACL = DecodeACLs(r)
	x.Version = r.Int32()
}

// CheckVersionTxn records a passed check inside a multi.
type CheckVersionTxn struct {
	Path    string
	Version int32 // the expected version plus one
}

// Encode appends the record to w.
func (x *CheckVersionTxn) Encode(w *jute.Writer) {
	w.String(x.Path)
	w.Int32(x.Version)
}

// Decode reads the record from r.
func (x *CheckVersionTxn) Decode(r *jute.Reader) {
	x.Path = r.String()
	x.Version = r.Int32()
}

// CreateSessionTxn opens the session TxnHeader.ClientID.
type CreateSessionTxn struct {
	Timeout int32 // milliseconds
}

// Encode appends the record to w.
func (x *CreateSessionTxn) Encode(w *jute.Writer) { w.Int32(x.Timeout) }

// Decode reads the record from r.
func (x *CreateSessionTxn) Decode(r *jute.Reader) { x.Timeout = r.Int32() }

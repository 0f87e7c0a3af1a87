package proto

import "zkafka/zkd/jute"

// CreateRequest creates a node; it serves create, create2 and createContainer.
type CreateRequest struct {
	Path  string
	Data  []byte
	ACL   []ACL
	Flags int32 // one of the Mode constants
}

// Encode appends the record to w.
func (x *CreateRequest) Encode(w *jute.Writer) {
	w.String(x.Path)
	w.Buffer(x.Data)
	EncodeACLs(w, x.ACL)
	w.Int32(x.Flags)
}

// Decode reads the record from r.
func (x *CreateRequest) Decode(r *jute.Reader) {
	x.Path = r.String()
	x.Data = r.Buffer()
	x.ACL = DecodeACLs(r)
	x.Flags = r.Int32()
}

// CreateTTLRequest creates a node that goes away when unused for TTL milliseconds.
type CreateTTLRequest struct {
	Path  string
	Data  []byte
	ACL   []ACL
	Flags int32
	TTL   int64 // milliseconds
}

// Encode appends the record to w.
func (x *CreateTTLRequest) Encode(w *jute.Writer) {
	w.String(x.Path)
	w.Buffer(x.Data)
	EncodeACLs(w, x.ACL)
	w.Int32(x.Flags)
	w.Int64(x.TTL)
}

// Decode reads the record from r.
func (x *CreateTTLRequest) Decode(r *jute.Reader) {
	x.Path = r.String()
	x.Data = r.Buffer()
	x.ACL = DecodeACLs(r)
	x.Flags = r.Int32()
	x.TTL = r.Int64()
}

// CreateResponse gives the final path of a new node.
type CreateResponse struct {
	Path string
}

// Encode appends the record to w.
func (x *CreateResponse) Encode(w *jute.Writer) { w.String(x.Path) }

// Decode reads the record from r.
func (x *CreateResponse) Decode(r *jute.Reader) { x.Path = r.String() }

// Create2Response gives the final path and the Stat of a new node.
type Create2Response struct {
	Path string
	Stat Stat
}

// Encode appends the record to w.
func (x *Create2Response) Encode(w *jute.Writer) {
	w.String(x.Path)
	x.Stat.Encode(w)
}

// Decode reads the record from r.
func (x *Create2Response) Decode(r *jute.Reader) {
	x.Path = r.String()
	x.Stat.Decode(r)
}

// DeleteRequest deletes a node.
type DeleteRequest struct {
	Path    string
	Version int32
}

// Encode appends the record to w.
func (x *DeleteRequest) Encode(w *jute.Writer) {
	w.String(x.Path)
	w.Int32(x.Version)
}

// Decode reads the record from r.
func (x *DeleteRequest) Decode(r *jute.Reader) {
	x.Path = r.String()
	x.Version = r.Int32()
}

// DeleteContainerRequest deletes an empty container or expired TTL node; servers send it to
// themselves.
type DeleteContainerRequest struct {
	Path string
}

// Encode appends the record to w.
func (x *DeleteContainerRequest) Encode(w *jute.Writer) { w.String(x.Path) }

// Decode reads the record from r.
func (x *DeleteContainerRequest) Decode(r *jute.Reader) { x.Path = r.String() }

// ExistsRequest asks for the Stat of a node; its watch also waits for a missing node.
type ExistsRequest struct {
	Path  string
	Watch bool
}

// Encode appends the record to w.
func (x *ExistsRequest) Encode(w *jute.Writer) {
	w.String(x.Path)
	w.Bool(x.Watch)
}

// Decode reads the record from r.
func (x *ExistsRequest) Decode(r *jute.Reader) {
	x.Path = r.String()
	x.Watch = r.Bool()
}

// ExistsResponse gives the Stat of a node.
type ExistsResponse struct {
	Stat Stat
}

// Encode appends the record to w.
func (x *ExistsResponse) Encode(w *jute.Writer) { x.Stat.Encode(w) }

// Decode reads the record from r.
func (x *ExistsResponse) Decode(r *jute.Reader) { x.Stat.Decode(r) }

// GetDataRequest asks for the data of a node.
type GetDataRequest struct {
	Path  string
	Watch bool
}

// Encode appends the record to w.
func (x *GetDataRequest) Encode(w *jute.Writer) {
	w.String(x.Path)
	w.Bool(x.Watch)
}

// Decode reads the record from r.
func (x *GetDataRequest) Decode(r *jute.Reader) {
	x.Path = r.String()
	x.Watch = r.Bool()
}

// GetDataResponse gives the data and the Stat of a node; reconfig answers with one too.
type GetDataResponse struct {
	Data []byte
	Stat Stat
}

// Encode appends the record to w.
func (x *GetDataResponse) Encode(w *jute.Writer) {
	w.Buffer(x.Data)
	x.Stat.Encode(w)
}

// Decode reads the record from r.
func (x *GetDataResponse) Decode(r *jute.Reader) {
	x.Data = r.Buffer()
	x.Stat.Decode(r)
}

// SetDataRequest replaces the data of a node.
type SetDataRequest struct {
	Path    string
	Data    []byte
	Version int32
}

// Encode appends the record to w.
func (x *SetDataRequest) Encode(w *jute.Writer) {
	w.String(x.Path)
	w.Buffer(x.Data)
	w.Int32(x.Version)
}

// Decode reads the record from r.
func (x *SetDataRequest) Decode(r *jute.Reader) {
	x.Path = r.String()
	x.Data = r.Buffer()
	x.Version = r.Int32()
}

// SetDataResponse gives the Stat of a node after the change.
type SetDataResponse struct {
	Stat Stat
}

// Encode appends the record to w.
func (x *SetDataResponse) Encode(w *jute.Writer) { x.Stat.Encode(w) }

// Decode reads the record from r.
func (x *SetDataResponse) Decode(r *jute.Reader) { x.Stat.Decode(r) }

// GetACLRequest asks for the ACL of a node.
type GetACLRequest struct {
	Path string
}

// Encode appends the record to w.
func (x *GetACLRequest) Encode(w *jute.Writer) { w.String(x.Path) }

// Decode reads the record from r.
func (x *GetACLRequest) Decode(r *jute.Reader) { x.Path = r.String() }

// GetACLResponse gives the ACL and the Stat of a node.
type GetACLResponse struct {
	ACL  []ACL
	Stat Stat
}

// Encode appends the record to w.
func (x *GetACLResponse) Encode(w *jute.Writer) {
	EncodeACLs(w, x.ACL)
	x.Stat.Encode(w)
}

// Decode reads the record from r.
func (x *GetACLResponse) Decode(r *jute.Reader) {
	x.ACL = DecodeACLs(r)
	x.Stat.Decode(r)
}

// SetACLRequest replaces the ACL of a node; Version is that of the ACL.
type SetACLRequest struct {
	Path    string
	ACL     []ACL
	Version int32
}

// Encode appends the record to w.
func (x *SetACLRequest) Encode(w *jute.Writer) {
	w.String(x.Path)
	EncodeACLs(w, x.ACL)
	w.Int32(x.Version)
}

// Decode reads the record from r.
func (x *SetACLRequest) Decode(r *jute.Reader) {
	x.Path = r.String()
	x.ACL = DecodeACLs(r)
	x.Version = r.Int32()
}

// SetACLResponse gives the Stat of a node after the change.
type SetACLResponse struct {
	Stat Stat
}

// Encode appends the record to w.
func (x *SetACLResponse) Encode(w *jute.Writer) { x.Stat.Encode(w) }

// Decode reads the record from r.
func (x *SetACLResponse) Decode(r *jute.Reader) { x.Stat.Decode(r) }

// GetChildrenRequest asks for the names of a node's children; it serves getChildren2 too.
type GetChildrenRequest struct {
	Path  string
	Watch bool
}

// Encode appends the record to w.
func (x *GetChildrenRequest) Encode(w *jute.Writer) {
	w.String(x.Path)
	w.Bool(x.Watch)
}

// Decode reads the record from r.
func (x *GetChildrenRequest) Decode(r *jute.Reader) {
	x.Path = r.String()
	x.Watch = r.Bool()
}

// GetChildrenResponse gives the names of a node's children.
type GetChildrenResponse struct {
	Children []string
}

// Encode appends the record to w.
func (x *GetChildrenResponse) Encode(w *jute.Writer) { w.Strings(x.Children) }

// Decode reads the record from r.
func (x *GetChildrenResponse) Decode(r *jute.Reader) { x.Children = r.Strings() }

// GetChildren2Response gives the names of a node's children and its Stat.
type GetChildren2Response struct {
	Children []string
	Stat     Stat
}

// Encode appends the record to w.
func (x *GetChildren2Response) Encode(w *jute.Writer) {
	w.Strings(x.Children)
	x.Stat.Encode(w)
}

// Decode reads the record from r.
func (x *GetChildren2Response) Decode(r *jute.Reader) {
	x.Children = r.Strings()
	x.Stat.Decode(r)
}

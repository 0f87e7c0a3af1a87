package proto

import "zkafka/zkd/jute"

// SyncRequest waits until the server has seen all that was committed before; a null Path is read as
// empty.
type SyncRequest struct {
	Path string
}

// Encode appends the record to w.
func (x *SyncRequest) Encode(w *jute.Writer) { w.String(x.Path) }

// Decode reads the record from r.
func (x *SyncRequest) Decode(r *jute.Reader) { x.Path = r.String() }

// SyncResponse echoes the path of a sync.
type SyncResponse struct {
	Path string
}

// Encode appends the record to w.
func (x *SyncResponse) Encode(w *jute.Writer) { w.String(x.Path) }

// Decode reads the record from r.
func (x *SyncResponse) Decode(r *jute.Reader) { x.Path = r.String() }

// CheckVersionRequest makes a multi fail unless the node has this version.
type CheckVersionRequest struct {
	Path    string
	Version int32
}

// Encode appends the record to w.
func (x *CheckVersionRequest) Encode(w *jute.Writer) {
	w.String(x.Path)
	w.Int32(x.Version)
}

// Decode reads the record from r.
func (x *CheckVersionRequest) Decode(r *jute.Reader) {
	x.Path = r.String()
	x.Version = r.Int32()
}

// ReconfigRequest changes the membership of an ensemble; null and empty strings mean the same.
type ReconfigRequest struct {
	JoiningServers string
	LeavingServers string
	NewMembers     string
	CurConfigID    int64
}

// Encode appends the record to w.
func (x *ReconfigRequest) Encode(w *jute.Writer) {
	w.String(x.JoiningServers)
	w.String(x.LeavingServers)
	w.String(x.NewMembers)
	w.Int64(x.CurConfigID)
}

// Decode reads the record from r.
func (x *ReconfigRequest) Decode(r *jute.Reader) {
	x.JoiningServers = r.String()
	x.LeavingServers = r.String()
	x.NewMembers = r.String()
	x.CurConfigID = r.Int64()
}

// CheckWatchesRequest asks whether the session has watches of a type on a path.
type CheckWatchesRequest struct {
	Path string
	Type int32 // one of the Watcher constants
}

// Encode appends the record to w.
func (x *CheckWatchesRequest) Encode(w *jute.Writer) {
	w.String(x.Path)
	w.Int32(x.Type)
}

// Decode reads the record from r.
func (x *CheckWatchesRequest) Decode(r *jute.Reader) {
	x.Path = r.String()
	x.Type = r.Int32()
}

// RemoveWatchesRequest removes the session's watches of a type on a path.
type RemoveWatchesRequest struct {
	Path string
	Type int32 // one of the Watcher constants
}

// Encode appends the record to w.
func (x *RemoveWatchesRequest) Encode(w *jute.Writer) {
	w.String(x.Path)
	w.Int32(x.Type)
}

// Decode reads the record from r.
func (x *RemoveWatchesRequest) Decode(r *jute.Reader) {
	x.Path = r.String()
	x.Type = r.Int32()
}

// SetWatches registers one-shot watches again after a reconnect (xid -8).
type SetWatches struct {
	RelativeZxid int64 // the last zxid the client has seen
	DataWatches  []string
	ExistWatches []string
	ChildWatches []string
}

// Encode appends the record to w.
func (x *SetWatches) Encode(w *jute.Writer) {
	w.Int64(x.RelativeZxid)
	w.Strings(x.DataWatches)
	w.Strings(x.ExistWatches)
	w.Strings(x.ChildWatches)
}

// Decode reads the record from r.
func (x *SetWatches) Decode(r *jute.Reader) {
	x.RelativeZxid = r.Int64()
	x.DataWatches = r.Strings()
	x.ExistWatches = r.Strings()
	x.ChildWatches = r.Strings()
}

// SetWatches2 is SetWatches with the persistent watches.
type SetWatches2 struct {
	RelativeZxid               int64 // the last zxid the client has seen
	DataWatches                []string
	ExistWatches               []string
	ChildWatches               []string
	PersistentWatches          []string
	PersistentRecursiveWatches []string
}

// Encode appends the record to w.
func (x *SetWatches2) Encode(w *jute.Writer) {
	w.Int64(x.RelativeZxid)
	w.Strings(x.DataWatches)
	w.Strings(x.ExistWatches)
	w.Strings(x.ChildWatches)
	w.Strings(x.PersistentWatches)
	w.Strings(x.PersistentRecursiveWatches)
}

// Decode reads the record from r.
func (x *SetWatches2) Decode(r *jute.Reader) {
	x.RelativeZxid = r.Int64()
	x.DataWatches = r.Strings()
	x.ExistWatches = r.Strings()
	x.ChildWatches = r.Strings()
	x.PersistentWatches = r.Strings()
	x.PersistentRecursiveWatches = r.Strings()
}

// GetSASLRequest carries a token from client to server.
type GetSASLRequest struct {
	Token []byte
}

// Encode appends the record to w.
func (x *GetSASLRequest) Encode(w *jute.Writer) { w.Buffer(x.Token) }

// Decode reads the record from r.
func (x *GetSASLRequest) Decode(r *jute.Reader) { x.Token = r.Buffer() }

// SetSASLResponse carries a token from server to client.
type SetSASLResponse struct {
	Token []byte
}

// Encode appends the record to w.
func (x *SetSASLResponse) Encode(w *jute.Writer) { w.Buffer(x.Token) }

// Decode reads the record from r.
func (x *SetSASLResponse) Decode(r *jute.Reader) { x.Token = r.Buffer() }

// GetEphemeralsRequest asks for the session's ephemeral nodes whose path starts with PrefixPath.
type GetEphemeralsRequest struct {
	PrefixPath string // null and empty ask for all
}

// Encode appends the record to w.
func (x *GetEphemeralsRequest) Encode(w *jute.Writer) { w.String(x.PrefixPath) }

// Decode reads the record from r.
func (x *GetEphemeralsRequest) Decode(r *jute.Reader) { x.PrefixPath = r.String() }

// GetEphemeralsResponse gives the paths of the session's ephemeral nodes.
type GetEphemeralsResponse struct {
	Ephemerals []string
}

// Encode appends the record to w.
func (x *GetEphemeralsResponse) Encode(w *jute.Writer) { w.Strings(x.Ephemerals) }

// Decode reads the record from r.
func (x *GetEphemeralsResponse) Decode(r *jute.Reader) { x.Ephemerals = r.Strings() }

// GetAllChildrenNumberRequest asks how many nodes there are below a path.
type GetAllChildrenNumberRequest struct {
	Path string
}

// Encode appends the record to w.
func (x *GetAllChildrenNumberRequest) Encode(w *jute.Writer) { w.String(x.Path) }

// Decode reads the record from r.
func (x *GetAllChildrenNumberRequest) Decode(r *jute.Reader) { x.Path = r.String() }

// GetAllChildrenNumberResponse gives the number of nodes below a path.
type GetAllChildrenNumberResponse struct {
	TotalNumber int32
}

// Encode appends the record to w.
func (x *GetAllChildrenNumberResponse) Encode(w *jute.Writer) { w.Int32(x.TotalNumber) }

// Decode reads the record from r.
func (x *GetAllChildrenNumberResponse) Decode(r *jute.Reader) { x.TotalNumber = r.Int32() }

// AddWatchRequest registers a persistent watch.
type AddWatchRequest struct {
	Path string
	Mode int32 // one of the AddWatch constants
}

// Encode appends the record to w.
func (x *AddWatchRequest) Encode(w *jute.Writer) {
	w.String(x.Path)
	w.Int32(x.Mode)
}

// Decode reads the record from r.
func (x *AddWatchRequest) Decode(r *jute.Reader) {
	x.Path = r.String()
	x.Mode = r.Int32()
}

// ClientInfo is one identity of a connection.
type ClientInfo struct {
	AuthScheme string
	User       string
}

// Encode appends the record to w.
func (x *ClientInfo) Encode(w *jute.Writer) {
	w.String(x.AuthScheme)
	w.String(x.User)
}

// Decode reads the record from r.
func (x *ClientInfo) Decode(r *jute.Reader) {
	x.AuthScheme = r.String()
	x.User = r.String()
}

package proto

import (
	"errors"

	"zkafka/zkd/jute"
)

// ErrMultiOp reports an operation that a multi or multiRead cannot hold.
var ErrMultiOp = errors.New("operation is not allowed in a multi")

// MultiHeader precedes every operation and result of a multi; the one with Done set ends the list.
type MultiHeader struct {
	Type Op
	Done bool
	Err  Err
}

// multiEnd ends every list of operations and of results.
var multiEnd = MultiHeader{Type: OpError, Done: true, Err: -1}

// Encode appends the record to w.
func (x *MultiHeader) Encode(w *jute.Writer) {
	w.Int32(int32(x.Type))
	w.Bool(x.Done)
	w.Int32(int32(x.Err))
}

// Decode reads the record from r.
func (x *MultiHeader) Decode(r *jute.Reader) {
	x.Type = Op(r.Int32())
	x.Done = r.Bool()
	x.Err = Err(r.Int32())
}

// MultiOp is one operation of a multi (*CreateRequest, *CreateTTLRequest, *DeleteRequest,
// *DeleteContainerRequest, *SetDataRequest, *CheckVersionRequest) or of a multiRead
// (*GetChildrenRequest, *GetDataRequest).
type MultiOp struct {
	Type Op
	Body Record
}

// newMultiOp returns an empty body for an operation of a multi, nil if it cannot be in one.
func newMultiOp(t Op) Record {
	switch t {
	case OpCreate, OpCreate2, OpCreateContainer:
		return new(CreateRequest)
	case OpCreateTTL:
		return new(CreateTTLRequest)
	case OpDelete:
		return new(DeleteRequest)
	case OpDeleteContainer:
		return new(DeleteContainerRequest)
	case OpSetData:
		return new(SetDataRequest)
	case OpCheck:
		return new(CheckVersionRequest)
	case OpGetChildren:
		return new(GetChildrenRequest)
	case OpGetData:
		return new(GetDataRequest)
	}
	return nil
}

// MultiRequest is the body of a multi and of a multiRead. Decode accepts the operations of both;
// which of them fit the request's own code is for its handler to judge (IsRead).
type MultiRequest struct {
	Ops []MultiOp
}

// IsRead says whether the operation belongs in a multiRead.
func (x *MultiOp) IsRead() bool { return x.Type == OpGetChildren || x.Type == OpGetData }

// Encode appends the record to w.
func (x *MultiRequest) Encode(w *jute.Writer) {
	for i := range x.Ops {
		h := MultiHeader{Type: x.Ops[i].Type, Err: -1}
		h.Encode(w)
		x.Ops[i].Body.Encode(w)
	}
	multiEnd.Encode(w)
}

// Decode reads the record from r; an operation that cannot be in a multi fails with ErrMultiOp.
func (x *MultiRequest) Decode(r *jute.Reader) {
	x.Ops = nil
	for {
		var h MultiHeader
		h.Decode(r)
		if r.Err() != nil || h.Done {
			return
		}
		body := newMultiOp(h.Type)
		if body == nil {
			r.Fail(ErrMultiOp)
			return
		}
		body.Decode(r)
		x.Ops = append(x.Ops, MultiOp{Type: h.Type, Body: body})
	}
}

// MultiResult is the outcome of one operation: for an error Type is OpError and Err the code (ErrOK
// for the operations before the one that failed); else Type says which of the fields are set.
type MultiResult struct {
	Type     Op
	Err      Err
	Path     string   // OpCreate, OpCreate2
	Stat     Stat     // OpCreate2, OpSetData, OpGetData
	Data     []byte   // OpGetData
	Children []string // OpGetChildren
}

// MultiResponse is the reply to a multi and to a multiRead.
type MultiResponse struct {
	Results []MultiResult
}

// Encode appends the record to w.
func (x *MultiResponse) Encode(w *jute.Writer) {
	for i := range x.Results {
		m := &x.Results[i]
		h := MultiHeader{Type: m.Type}
		if m.Type == OpError {
			h.Err = m.Err
		}
		h.Encode(w)
		switch m.Type {
		case OpCreate:
			w.String(m.Path)
		case OpCreate2:
			w.String(m.Path)
			m.Stat.Encode(w)
		case OpSetData:
			m.Stat.Encode(w)
		case OpGetData:
			w.Buffer(m.Data)
			m.Stat.Encode(w)
		case OpGetChildren:
			w.Strings(m.Children)
		case OpError:
			w.Int32(int32(m.Err))
		}
	}
	multiEnd.Encode(w)
}

// Decode reads the record from r; a result of an unknown type fails with ErrMultiOp.
func (x *MultiResponse) Decode(r *jute.Reader) {
	x.Results = nil
	for {
		var h MultiHeader
		h.Decode(r)
		if r.Err() != nil || h.Done {
			return
		}
		m := MultiResult{Type: h.Type}
		switch h.Type {
		case OpCreate:
			m.Path = r.String()
		case OpCreate2, OpCreateContainer, OpCreateTTL:
			m.Type = OpCreate2
			m.Path = r.String()
			m.Stat.Decode(r)
		case OpDelete, OpDeleteContainer, OpCheck:
		case OpSetData:
			m.Stat.Decode(r)
		case OpGetData:
			m.Data = r.Buffer()
			m.Stat.Decode(r)
		case OpGetChildren:
			m.Children = r.Strings()
		case OpError:
			m.Err = Err(r.Int32())
		default:
			r.Fail(ErrMultiOp)
			return
		}
		x.Results = append(x.Results, m)
	}
}

// WhoAmIResponse gives the identities of the connection.
type WhoAmIResponse struct {
	ClientInfo []ClientInfo
}

// Encode appends the record to w.
func (x *WhoAmIResponse) Encode(w *jute.Writer) {
	if x.ClientInfo == nil {
		w.NullVector()
		return
	}
	w.VectorLen(len(x.ClientInfo))
	for i := range x.ClientInfo {
		x.ClientInfo[i].Encode(w)
	}
}

// Decode reads the record from r.
func (x *WhoAmIResponse) Decode(r *jute.Reader) {
	x.ClientInfo = nil
	n := r.VectorLen(8)
	if n < 0 {
		return
	}
	x.ClientInfo = make([]ClientInfo, n)
	for i := range x.ClientInfo {
		x.ClientInfo[i].Decode(r)
	}
}

// NewRequest returns an empty body for requests of a type. It is nil for the types without a body
// (ping, closeSession, whoAmI) and for those no client may send.
func NewRequest(t Op) Record {
	switch t {
	case OpCreate, OpCreate2, OpCreateContainer:
		return new(CreateRequest)
	case OpCreateTTL:
		return new(CreateTTLRequest)
	case OpDelete:
		return new(DeleteRequest)
	case OpDeleteContainer:
		return new(DeleteContainerRequest)
	case OpExists:
		return new(ExistsRequest)
	case OpGetData:
		return new(GetDataRequest)
	case OpSetData:
		return new(SetDataRequest)
	case OpGetACL:
		return new(GetACLRequest)
	case OpSetACL:
		return new(SetACLRequest)
	case OpGetChildren, OpGetChildren2:
		return new(GetChildrenRequest)
	case OpSync:
		return new(SyncRequest)
	case OpMulti, OpMultiRead:
		return new(MultiRequest)
	case OpReconfig:
		return new(ReconfigRequest)
	case OpCheckWatches:
		return new(CheckWatchesRequest)
	case OpRemoveWatches:
		return new(RemoveWatchesRequest)
	case OpAuth:
		return new(AuthPacket)
	case OpSetWatches:
		return new(SetWatches)
	case OpSASL:
		return new(GetSASLRequest)
	case OpGetEphemerals:
		return new(GetEphemeralsRequest)
	case OpGetAllChildrenNumber:
		return new(GetAllChildrenNumberRequest)
	case OpSetWatches2:
		return new(SetWatches2)
	case OpAddWatch:
		return new(AddWatchRequest)
	}
	return nil
}

package proto

import (
	"encoding/binary"
	"fmt"

	"zkafka/zkd/jute"
)

// TxnHeaderSize is the encoded size of a TxnHeader.
const TxnHeaderSize = 32

// TxnHeader precedes every transaction, in the log and on the quorum's wire.
type TxnHeader struct {
	ClientID int64 // session that asked for the transaction
	Cxid     int32 // xid of its request
	Zxid     int64
	Time     int64 // milliseconds since the epoch, the leader's clock
	Type     Op
}

// Encode appends the record to w.
func (x *TxnHeader) Encode(w *jute.Writer) {
	w.Int64(x.ClientID)
	w.Int32(x.Cxid)
	w.Int64(x.Zxid)
	w.Int64(x.Time)
	w.Int32(int32(x.Type))
}

// Decode reads the record from r.
func (x *TxnHeader) Decode(r *jute.Reader) {
	x.ClientID = r.Int64()
	x.Cxid = r.Int32()
	x.Zxid = r.Int64()
	x.Time = r.Int64()
	x.Type = Op(r.Int32())
}

// TxnDigest is the digest of the whole tree after a transaction, appended to it since 3.6.
type TxnDigest struct {
	Version int32
	Digest  int64
}

// DigestVersion is the version of the tree digest that upstream writes and compares.
const DigestVersion = 2

// txnDigestSize is the encoded size of a TxnDigest.
const txnDigestSize = 12

// Encode appends the record to w.
func (x *TxnDigest) Encode(w *jute.Writer) {
	w.Int32(x.Version)
	w.Int64(x.Digest)
}

// Decode reads the record from r.
func (x *TxnDigest) Decode(r *jute.Reader) {
	x.Version = r.Int32()
	x.Digest = r.Int64()
}

// TxnBody is the body of a transaction: one of *CreateTxn, *CreateContainerTxn, *CreateTTLTxn,
// *DeleteTxn, *SetDataTxn, *SetACLTxn, *CheckVersionTxn, *CreateSessionTxn, *CloseSessionTxn,
// *ErrorTxn and *MultiTxn.
type TxnBody interface {
	Record
	isTxnBody()
}

func (*CreateTxn) isTxnBody()          {}
func (*CreateContainerTxn) isTxnBody() {}
func (*CreateTTLTxn) isTxnBody()       {}
func (*DeleteTxn) isTxnBody()          {}
func (*SetDataTxn) isTxnBody()         {}
func (*SetACLTxn) isTxnBody()          {}
func (*CheckVersionTxn) isTxnBody()    {}
func (*CreateSessionTxn) isTxnBody()   {}
func (*CloseSessionTxn) isTxnBody()    {}
func (*ErrorTxn) isTxnBody()           {}
func (*MultiTxn) isTxnBody()           {}

// newTxnBody returns an empty body for transactions of a type, nil for an unknown type.
func newTxnBody(t Op) TxnBody {
	switch t {
	case OpCreate, OpCreate2:
		return new(CreateTxn)
	case OpCreateContainer:
		return new(CreateContainerTxn)
	case OpCreateTTL:
		return new(CreateTTLTxn)
	case OpDelete, OpDeleteContainer:
		return new(DeleteTxn)
	case OpSetData, OpReconfig:
		return new(SetDataTxn)
	case OpSetACL:
		return new(SetACLTxn)
	case OpCheck:
		return new(CheckVersionTxn)
	case OpCreateSession:
		return new(CreateSessionTxn)
	case OpCloseSession:
		return new(CloseSessionTxn)
	case OpError:
		return new(ErrorTxn)
	case OpMulti:
		return new(MultiTxn)
	}
	return nil
}

// CloseSessionTxn ends the session TxnHeader.ClientID. Nil Paths means that the list is absent, as
// releases before 3.6 write it; the session's nodes are then those the tree knows.
type CloseSessionTxn struct {
	Paths []string // ephemeral nodes to delete
}

// Encode appends the record to w; nothing when the list is absent.
func (x *CloseSessionTxn) Encode(w *jute.Writer) {
	if x.Paths != nil {
		w.Strings(x.Paths)
	}
}

// Decode reads the record from r. A body of exactly one digest has no list: that is what 3.6 and
// newer write under closeSessionTxn.enabled=false. No list of paths looks like it, since it would
// be one of two empty paths.
func (x *CloseSessionTxn) Decode(r *jute.Reader) {
	x.Paths = nil
	b := r.Peek()
	if len(b) == 0 {
		return
	}
	if len(b) == txnDigestSize && binary.BigEndian.Uint32(b) == DigestVersion {
		return
	}
	if x.Paths = r.Strings(); x.Paths == nil && r.Err() == nil {
		x.Paths = []string{}
	}
}

// ErrorTxn records that a request failed; it changes nothing but uses up its zxid.
type ErrorTxn struct {
	Err Err
}

// Encode appends the record to w.
func (x *ErrorTxn) Encode(w *jute.Writer) { w.Int32(int32(x.Err)) }

// Decode reads the record from r.
func (x *ErrorTxn) Decode(r *jute.Reader) { x.Err = Err(r.Int32()) }

// SubTxn is one operation of a multi. Only node operations, checks and errors occur.
type SubTxn struct {
	Type Op
	Body TxnBody
}

// MultiTxn is a multi: all of Txns or, if one of them is an error, none.
type MultiTxn struct {
	Txns []SubTxn
}

// Encode appends the record to w.
func (x *MultiTxn) Encode(w *jute.Writer) {
	w.VectorLen(len(x.Txns))
	for i := range x.Txns {
		w.Int32(int32(x.Txns[i].Type))
		at := w.StartFrame() // a buffer has the same length prefix as a frame
		if b := x.Txns[i].Body; b != nil {
			b.Encode(w)
		}
		w.EndFrame(at)
	}
}

// Decode reads the record from r.
func (x *MultiTxn) Decode(r *jute.Reader) {
	x.Txns = nil
	n := r.VectorLen(8)
	if n <= 0 {
		return // an empty multi is legal
	}
	x.Txns = make([]SubTxn, n)
	var sub jute.Reader
	for i := range x.Txns {
		t := Op(r.Int32())
		data := r.Buffer()
		if r.Err() != nil {
			return
		}
		body := newTxnBody(t)
		switch body.(type) {
		case nil, *MultiTxn, *CreateSessionTxn, *CloseSessionTxn:
			r.Fail(&UnknownTxnError{Type: t, Sub: true})
			return
		}
		sub.Reset(data, 0)
		body.Decode(&sub)
		if err := sub.Err(); err != nil {
			r.Fail(fmt.Errorf("read operation %d of a multi: %w", i, err))
			return
		}
		x.Txns[i] = SubTxn{Type: t, Body: body}
	}
}

// UnknownTxnError reports a transaction of a type that no release writes.
type UnknownTxnError struct {
	Type Op
	Sub  bool // inside a multi
}

// Error says which type was met.
func (e *UnknownTxnError) Error() string {
	if e.Sub {
		return fmt.Sprintf("transaction type %d inside a multi is not known", int32(e.Type))
	}
	return fmt.Sprintf("transaction type %d is not known", int32(e.Type))
}

// Txn is a transaction as the log and the quorum carry it.
type Txn struct {
	Header TxnHeader
	Body   TxnBody
	Digest *TxnDigest // nil when absent: releases before 3.6, digests off, error transactions
}

// EncodeTxn appends header, body and digest.
func EncodeTxn(w *jute.Writer, t *Txn) {
	t.Header.Encode(w)
	if t.Body != nil {
		t.Body.Encode(w)
	}
	if t.Digest != nil {
		t.Digest.Encode(w)
	}
}

// DecodeTxn reads a transaction. The byte slices in it are parts of b.
func DecodeTxn(b []byte) (*Txn, error) {
	t := new(Txn)
	r := jute.NewReader(b, 0)
	t.Header.Decode(r)
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("read the header of a transaction: %w", err)
	}
	t.Body = newTxnBody(t.Header.Type)
	if t.Body == nil {
		return nil, &UnknownTxnError{Type: t.Header.Type}
	}
	t.Body.Decode(r)
	if r.Err() == nil && r.Remaining() >= txnDigestSize {
		t.Digest = new(TxnDigest)
		t.Digest.Decode(r)
	}
	if err := r.Err(); err != nil {
		return nil, fmt.Errorf("read transaction 0x%x (%s): %w", t.Header.Zxid, t.Header.Type, err)
	}
	return t, nil
}

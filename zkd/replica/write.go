package replica

import (
	"bytes"

	"zkafka/zkd/jute"
	"zkafka/zkd/prep"
	"zkafka/zkd/proto"
	"zkafka/zkd/tree"
)

// pending is a transaction that is on its way to the disk, with what its reply needs.
type pending struct {
	txn  prep.Txn
	conn *Conn // nil when no connection waits for it
	xid  int32
	op   proto.Op
	at   int64
	size int // bytes in the log
}

// pendingQueue holds the transactions that are prepared and not applied, in the order of their
// zxids, and the memory of those that were.
type pendingQueue struct {
	q    []*pending
	head int
	free []*pending
}

func (p *pendingQueue) len() int { return len(p.q) - p.head }

func (p *pendingQueue) take() *pending {
	if n := len(p.free); n > 0 {
		e := p.free[n-1]
		p.free = p.free[:n-1]
		return e
	}
	return new(pending)
}

func (p *pendingQueue) push(e *pending) { p.q = append(p.q, e) }

// pop returns the oldest transaction, nil if there is none up to zxid.
func (p *pendingQueue) pop(zxid int64) *pending {
	if p.head == len(p.q) || p.q[p.head].txn.Header.Zxid > zxid {
		return nil
	}
	e := p.q[p.head]
	p.q[p.head] = nil
	p.head++
	switch {
	case p.head == len(p.q):
		p.q, p.head = p.q[:0], 0
	case p.head >= 1024 && p.head > len(p.q)/2:
		n := copy(p.q, p.q[p.head:])
		clear(p.q[n:])
		p.q, p.head = p.q[:n], 0
	}
	return e
}

// keepFree is how many pending structs are kept for the next transactions.
const keepFree = 4096

func (p *pendingQueue) release(e *pending) {
	e.txn.Reset()
	e.conn = nil
	if len(p.free) < keepFree {
		p.free = append(p.free, e)
	}
}

// openACL is how clients encode the list that lets everybody do everything, which nearly all of
// them send. Recognising it saves decoding it into six allocations.
var openACL = func() []byte {
	var w jute.Writer
	proto.EncodeACLs(&w, proto.OpenACL())
	return w.B
}()

var openACLList = proto.OpenACL()

// writeRequest prepares a write and sends it on its way.
func (m *Machine) writeRequest(c *Conn, xid int32, op proto.Op, body []byte, at int64) {
	r := &m.req
	r.Op = op
	r.Body = m.decodeWrite(op, body)
	r.Malformed = r.Body == nil
	m.submit(c, c.session, c.ids, xid, op, at)
}

// decodeWrite decodes the body of a write, nil if it is malformed. The common ones are decoded in
// place: their strings and data are parts of body.
func (m *Machine) decodeWrite(op proto.Op, body []byte) proto.Record {
	rd := &m.rd
	rd.Reset(body, m.opts.MaxLength)
	var rec proto.Record
	switch op {
	case proto.OpCreate, proto.OpCreate2, proto.OpCreateContainer:
		b := &m.create
		var ok bool
		if b.Path, ok = borrowStringOrNull(rd); !ok {
			return nil
		}
		b.Data = rd.Buffer()
		b.ACL = m.decodeACL(rd)
		b.Flags = rd.Int32()
		rec = b
	case proto.OpSetData:
		b := &m.setData
		b.Path = borrowString(rd)
		b.Data = rd.Buffer()
		b.Version = rd.Int32()
		rec = b
	case proto.OpDelete:
		b := &m.remove
		var ok bool
		if b.Path, ok = borrowStringOrNull(rd); !ok {
			return nil
		}
		b.Version = rd.Int32()
		rec = b
	default:
		rec = proto.NewRequest(op)
		rec.Decode(rd)
	}
	if rd.Err() != nil {
		return nil
	}
	return rec
}

func (m *Machine) decodeACL(rd *jute.Reader) []proto.ACL {
	if b := rd.Peek(); bytes.HasPrefix(b, openACL) {
		rd.Reset(b[len(openACL):], m.opts.MaxLength)
		return openACLList
	}
	return proto.DecodeACLs(rd)
}

// submit prepares the request in m.req and appends its transaction to the log.
func (m *Machine) submit(
	c *Conn, id int64, ids []proto.ID, xid int32, op proto.Op, at int64,
) *pending {
	e := m.pending.take()
	e.conn, e.xid, e.op, e.at = c, xid, op, at
	r := &m.req
	r.Session, r.Cxid, r.IDs = id, xid, ids
	r.TimeMillis = m.now.WallMillis
	m.prep.Prepare(&e.txn, r)
	m.appendLog(e)
	m.pending.push(e)
	if c != nil && c.state == connOpen {
		c.push(queued{write: true, cost: writeCost(op, e.size)})
	}
	m.metrics.OutstandingQueued++
	return e
}

// appendLog encodes a transaction into the log and lets its data point there, because what it
// points to now is the memory of the request.
func (m *Machine) appendLog(e *pending) {
	log := &m.eff.Log
	at := len(log.Buf)
	w := jute.Writer{B: log.Buf}
	proto.EncodeTxn(&w, &e.txn.Txn)
	log.Buf = w.B
	log.Recs = append(log.Recs, LogRec{Zxid: e.txn.Header.Zxid, End: len(w.B)})
	e.size = len(w.B) - at
	m.backlog += e.size
	switch b := e.txn.Body.(type) {
	case *proto.CreateTxn:
		b.Data = relocate(log.Buf[at:], len(b.Path), b.Data)
	case *proto.SetDataTxn:
		b.Data = relocate(log.Buf[at:], len(b.Path), b.Data)
	case *proto.CreateContainerTxn:
		b.Data = bytes.Clone(b.Data)
	case *proto.CreateTTLTxn:
		b.Data = bytes.Clone(b.Data)
	case *proto.MultiTxn:
		for i := range b.Txns {
			cloneData(b.Txns[i].Body)
		}
	}
}

// relocate returns data as it lies in a record that starts with header, path and data.
func relocate(rec []byte, pathLen int, data []byte) []byte {
	if data == nil {
		return nil
	}
	at := proto.TxnHeaderSize + 4 + pathLen + 4
	return rec[at : at+len(data) : at+len(data)]
}

func cloneData(body proto.TxnBody) {
	switch b := body.(type) {
	case *proto.CreateTxn:
		b.Data = bytes.Clone(b.Data)
	case *proto.CreateContainerTxn:
		b.Data = bytes.Clone(b.Data)
	case *proto.CreateTTLTxn:
		b.Data = bytes.Clone(b.Data)
	case *proto.SetDataTxn:
		b.Data = bytes.Clone(b.Data)
	}
}

// Durable tells that all transactions up to zxid are on the disk. They are applied in order: for
// each, watches fire first, then its reply is encoded, then the reads that waited for it.
func (m *Machine) Durable(zxid int64) {
	for {
		e := m.pending.pop(zxid)
		if e == nil {
			return
		}
		res := m.tree.Apply(&e.txn.Txn)
		m.prep.Applied(e.txn.Header.Zxid)
		m.backlog -= e.size
		m.metrics.CommitCount++
		m.metrics.OutstandingRemoved++
		for i := range res.Changes {
			change := &res.Changes[i]
			if change.Type != proto.EventNodeChildrenChanged {
				m.spaces.wrote(change.Path, change.DataLen)
			}
			m.fire(change)
		}
		m.answer(e, &res)
		m.pending.release(e)
	}
}

// answer encodes the reply to a write that has just been applied.
func (m *Machine) answer(e *pending, res *tree.Result) {
	c := e.conn
	switch e.op {
	case proto.OpCreateSession:
		m.sessionCreated(c, e)
		return
	case proto.OpCloseSession:
		m.sessionClosed(e)
		return
	}
	if c == nil || !c.live() {
		return
	}
	c.pop()
	h := &e.txn.Header
	if e.txn.Err != proto.ErrOK {
		m.fail(c, e.op, e.xid, h.Zxid, e.txn.Err, e.at)
	} else {
		at := c.begin(e.xid, h.Zxid, proto.ErrOK)
		encodeResult(&c.out, e.op, res)
		m.finish(c, at, e.op, e.xid, h.Zxid, e.at)
	}
	m.metrics.UpdateLatency.Add(max(m.now.MonoNanos-e.at, 0) / 1e6)
	m.drain(c)
}

func encodeResult(w *jute.Writer, op proto.Op, res *tree.Result) {
	switch op {
	case proto.OpCreate:
		w.String(res.Path)
	case proto.OpCreate2, proto.OpCreateContainer, proto.OpCreateTTL:
		w.String(res.Path)
		res.Stat.Encode(w)
	case proto.OpSetData, proto.OpSetACL:
		res.Stat.Encode(w)
	case proto.OpMulti:
		reply := proto.MultiResponse{Results: make([]proto.MultiResult, len(res.Multi))}
		for i := range res.Multi {
			r := &res.Multi[i]
			reply.Results[i] = proto.MultiResult{
				Type: resultType(r.Type), Err: r.Err, Path: r.Path, Stat: r.Stat,
			}
		}
		reply.Encode(w)
	}
}

// resultType is the type that a multi's reply gives the result of an operation.
func resultType(op proto.Op) proto.Op {
	switch op {
	case proto.OpCreateContainer, proto.OpCreateTTL:
		return proto.OpCreate2
	case proto.OpDeleteContainer:
		return proto.OpDelete
	}
	return op
}

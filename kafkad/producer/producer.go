// Package producer holds what one partition knows about its idempotent and transactional producers:
// epochs, the last five batches of each for duplicate detection, open transactions.
//
// The package is pure. A State belongs to the goroutine that appends to the partition; times come
// in as milliseconds. Invariants: a producer keeps at most 5 batches, oldest first, all of its
// current epoch; first offset of an open transaction <= last offset seen; the open transactions
// are listed by rising first offset.
package producer

import (
	"errors"
	"fmt"
	"math"

	"zkafka/kafkad/record"
)

// batchesKept is how many batches per producer are remembered: as many as a client may have in
// flight.
const batchesKept = 5

const noOffset = -1

// Fault says why a batch was refused.
type Fault uint8

// The faults, each with the Kafka error code that belongs to it.
const (
	Fenced            Fault = iota + 1 // 47 INVALID_PRODUCER_EPOCH
	OutOfOrder                         // 45 OUT_OF_ORDER_SEQUENCE_NUMBER
	InvalidTxnState                    // 48 INVALID_TXN_STATE
	CoordinatorFenced                  // 52 TRANSACTION_COORDINATOR_FENCED
)

// Error is the refusal of a batch or marker.
type Error struct {
	Fault   Fault
	Message string
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// FaultOf returns the fault of an Error, 0 for any other error.
func FaultOf(err error) Fault {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Fault
	}
	return 0
}

// Batch is what the checks need to know about one data batch.
type Batch struct {
	ProducerID    int64
	Epoch         int16
	FirstSequence int32
	LastSequence  int32
	BaseOffset    int64 // ignored by Check
	LastOffset    int64 // ignored by Check
	Timestamp     int64 // the batch's highest
	Transactional bool
}

// FromMeta takes the values out of a batch header.
func FromMeta(m *record.Meta) Batch {
	return Batch{
		ProducerID: m.ProducerID, Epoch: m.Epoch,
		FirstSequence: m.BaseSequence, LastSequence: m.LastSequence(),
		BaseOffset: m.BaseOffset, LastOffset: m.LastOffset,
		Timestamp: m.MaxTimestamp, Transactional: m.Transactional(),
	}
}

// Duplicate is the answer to a batch that is already in the log.
type Duplicate struct {
	BaseOffset int64
	LastOffset int64
	Timestamp  int64
}

type seen struct {
	lastSequence int32
	offsetDelta  int32
	lastOffset   int64
	timestamp    int64
}

func (s *seen) firstSequence() int32 {
	if d := int64(s.lastSequence) - int64(s.offsetDelta); d < 0 && s.lastSequence >= 0 {
		return int32(d + math.MaxInt32 + 1)
	}
	return s.lastSequence - s.offsetDelta
}

type entry struct {
	batches          []seen
	txnFirst         int64 // first offset of the open transaction, noOffset without one
	lastTimestamp    int64
	coordinatorEpoch int32
	epoch            int16 // -1: nothing known
}

func (e *entry) lastSequence() int32 {
	if len(e.batches) == 0 {
		return record.NoSequence
	}
	return e.batches[len(e.batches)-1].lastSequence
}

// State is the producer state of one partition. The zero value is empty and ready.
type State struct {
	producers map[int64]*entry
	open      ongoing
	unstable  []Completed // completed transactions whose marker is not below the high watermark
	end       int64       // offset after the last one that Update saw
}

// Completed is a transaction that a marker has just ended.
type Completed struct {
	ProducerID  int64
	FirstOffset int64
	LastOffset  int64 // of the marker
	LastStable  int64 // first offset of the next transaction still open, else after the marker
	Aborted     bool
}

// Len is the number of producers known.
func (s *State) Len() int { return len(s.producers) }

// End is the offset after the last one that the state covers.
func (s *State) End() int64 { return s.end }

// SetEnd notes that the state covers everything before the offset.
func (s *State) SetEnd(offset int64) { s.end = offset }

// Reset forgets everything.
func (s *State) Reset() { *s = State{} }

// Check decides about a client's batch before it is appended. A non-nil Duplicate means success
// without append; the error is an *Error. A batch without producer id always passes.
func (s *State) Check(b Batch) (*Duplicate, error) {
	if b.ProducerID < 0 {
		return nil, nil
	}
	e := s.producers[b.ProducerID]
	if e == nil {
		return nil, nil // unknown producers may start at any sequence
	}
	if d := e.duplicate(&b); d != nil {
		return d, nil
	}
	if b.Epoch < e.epoch {
		return nil, &Error{Fenced, fmt.Sprintf(
			"epoch %d of producer %d is older than %d", b.Epoch, b.ProducerID, e.epoch)}
	}
	if err := e.checkSequence(&b); err != nil {
		return nil, err
	}
	if e.txnFirst != noOffset && !b.Transactional {
		return nil, &Error{InvalidTxnState, fmt.Sprintf(
			"producer %d has a transaction open at offset %d", b.ProducerID, e.txnFirst)}
	}
	return nil, nil
}

func (e *entry) duplicate(b *Batch) *Duplicate {
	if b.Epoch != e.epoch {
		return nil
	}
	for i := range e.batches {
		k := &e.batches[i]
		if k.lastSequence == b.LastSequence && k.firstSequence() == b.FirstSequence {
			return &Duplicate{k.lastOffset - int64(k.offsetDelta), k.lastOffset, k.timestamp}
		}
	}
	return nil
}

func (e *entry) checkSequence(b *Batch) error {
	if e.epoch == -1 {
		return nil
	}
	if b.Epoch != e.epoch {
		if b.FirstSequence == 0 {
			return nil
		}
		return &Error{OutOfOrder, fmt.Sprintf("producer %d starts epoch %d with sequence %d",
			b.ProducerID, b.Epoch, b.FirstSequence)}
	}
	last := e.lastSequence()
	if int64(b.FirstSequence) == int64(last)+1 || b.FirstSequence == 0 && last == math.MaxInt32 {
		return nil
	}
	return &Error{OutOfOrder, fmt.Sprintf("sequence %d of producer %d (epoch %d) follows %d",
		b.FirstSequence, b.ProducerID, b.Epoch, last)}
}

func (s *State) entry(id int64) *entry {
	e := s.producers[id]
	if e == nil {
		if s.producers == nil {
			s.producers = make(map[int64]*entry)
		}
		e = &entry{epoch: -1, coordinatorEpoch: -1, txnFirst: noOffset}
		s.producers[id] = e
	}
	return e
}

// Update notes a batch that was appended at b.BaseOffset to b.LastOffset. Nothing is checked, so it
// serves followers and the replay of a log too.
func (s *State) Update(b Batch) {
	s.end = max(s.end, b.LastOffset+1)
	if b.ProducerID < 0 {
		return
	}
	e := s.entry(b.ProducerID)
	if b.Epoch != e.epoch {
		e.epoch = b.Epoch
		e.batches = e.batches[:0]
	}
	k := seen{b.LastSequence, int32(b.LastOffset - b.BaseOffset), b.LastOffset, b.Timestamp}
	if len(e.batches) == batchesKept {
		copy(e.batches, e.batches[1:])
		e.batches[batchesKept-1] = k
	} else {
		e.batches = append(e.batches, k)
	}
	e.lastTimestamp = b.Timestamp
	if b.Transactional && e.txnFirst == noOffset {
		e.txnFirst = b.BaseOffset
		s.open = append(s.open, txn{b.ProducerID, b.BaseOffset})
	}
}

// CheckMarker decides about a transaction marker before it is appended.
func (s *State) CheckMarker(id int64, epoch int16, coordinatorEpoch int32) error {
	e := s.producers[id]
	if e == nil {
		return nil
	}
	if epoch < e.epoch {
		return &Error{Fenced, fmt.Sprintf(
			"marker with epoch %d of producer %d is older than %d", epoch, id, e.epoch)}
	}
	if coordinatorEpoch < e.coordinatorEpoch {
		return &Error{CoordinatorFenced, fmt.Sprintf("coordinator epoch %d is older than %d",
			coordinatorEpoch, e.coordinatorEpoch)}
	}
	return nil
}

// Marker is a transaction marker in the log.
type Marker struct {
	ProducerID       int64
	Epoch            int16
	CoordinatorEpoch int32
	Offset           int64
	Timestamp        int64
	Aborted          bool
}

// UpdateMarker notes a marker that was appended; ok says that it ended an open transaction.
func (s *State) UpdateMarker(m Marker) (done Completed, ok bool) {
	s.end = max(s.end, m.Offset+1)
	e := s.entry(m.ProducerID)
	if m.Epoch != e.epoch {
		e.epoch = m.Epoch
		e.batches = e.batches[:0]
	}
	e.coordinatorEpoch = m.CoordinatorEpoch
	e.lastTimestamp = m.Timestamp
	if e.txnFirst == noOffset {
		return Completed{}, false
	}
	e.txnFirst = noOffset
	if done, ok = s.open.end(&m); ok {
		s.unstable = append(s.unstable, done)
	}
	return done, ok
}

// Replicated notes that the high watermark is at the offset: transactions that ended below it no
// longer hold back the last stable offset.
func (s *State) Replicated(highWatermark int64) {
	kept := s.unstable[:0]
	for _, c := range s.unstable {
		if c.LastOffset >= highWatermark {
			kept = append(kept, c)
		}
	}
	s.unstable = kept
}

// FirstUnstable is the smallest first offset of a transaction that is open or whose marker is not
// replicated yet. The last stable offset is the smaller of it and the high watermark.
func (s *State) FirstUnstable() (offset int64, ok bool) {
	offset = math.MaxInt64
	for _, c := range s.unstable {
		offset = min(offset, c.FirstOffset)
	}
	if first, ok := s.FirstOpen(); ok {
		offset = min(offset, first)
	}
	return offset, offset != math.MaxInt64
}

// Expire forgets producers without open transaction whose last batch is older than keepMs.
func (s *State) Expire(nowMs, keepMs int64) (removed int) {
	for id, e := range s.producers {
		if e.txnFirst == noOffset && nowMs-e.lastTimestamp >= keepMs {
			delete(s.producers, id)
			removed++
		}
	}
	return removed
}

// Info describes one producer, for DescribeProducers.
type Info struct {
	ProducerID       int64
	Epoch            int16
	LastSequence     int32
	LastTimestamp    int64
	CoordinatorEpoch int32
	TxnFirstOffset   int64 // -1 without open transaction
}

// Producers lists the producers by rising id.
func (s *State) Producers() []Info {
	out := make([]Info, 0, len(s.producers))
	for _, id := range s.ids() {
		e := s.producers[id]
		out = append(out, Info{id, e.epoch, e.lastSequence(), e.lastTimestamp,
			e.coordinatorEpoch, e.txnFirst})
	}
	return out
}

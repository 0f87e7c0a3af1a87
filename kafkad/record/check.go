package record

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"sync"
)

// Rules is what a topic's settings and the request demand of a client's record set. The zero value
// of a limit means no limit.
type Rules struct {
	MaxBatchBytes int   // max.message.bytes
	MaxSetBytes   int   // segment.bytes
	Compression   Codec // compression.type; Producer keeps the client's choice
	GzipLevel     int   // compression.gzip.level, 0 means the default
	LZ4Level      int   // compression.lz4.level
	ZstdLevel     int   // compression.zstd.level
	Compacted     bool  // cleanup.policy contains compact: keys are required
	LogAppendTime bool  // message.timestamp.type
	BeforeMaxMs   int64 // message.timestamp.before.max.ms; 0 or MaxInt64 means no limit
	AfterMaxMs    int64 // message.timestamp.after.max.ms
	NowMs         int64
	Topic         []byte // for messages
	Partition     int32
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

// CheckRequest applies the rules of the request's version alone, which come before everything else:
// from version 3 a partition's data is exactly one v2 batch. It looks at headers only.
func CheckRequest(b []byte, version int16) error {
	if version < 3 {
		return nil
	}
	size, err := frontEntry(b)
	switch {
	case err != nil:
		return err
	case size == 0:
		return errorf(InvalidRecord, "produce version %d needs a batch per partition", version)
	case b[16] != 2:
		return errorf(InvalidRecord, "format %d in produce version %d", b[16], version)
	}
	codec := Codec(b[22] & attrCodec)
	if version < 7 && codec > Zstd {
		return errorf(UnreadableRequest, "unknown codec %d", codec)
	}
	if version < 7 && codec == Zstd {
		return errorf(UnsupportedCompression, "zstd in produce version %d", version)
	}
	more, err := frontEntry(b[size:])
	switch {
	case err != nil:
		return err
	case more > 0:
		return errorf(InvalidRecord, "more than one batch in produce version %d", version)
	case size < producerEnd:
		return errorf(UnreadableRequest, "batch of %d bytes", size)
	}
	return nil
}

// Where the fields of a v2 header end that upstream reads of every batch before it looks at sizes:
// one that ends before them is more than it foresees.
const (
	attributesEnd = 23
	producerEnd   = 51
)

// Readable tells whether the first of the set's entries, or all, can be told apart; it may end
// within one.
func Readable(b []byte, all bool) error {
	least := attributesEnd
	if all {
		least = producerEnd
	}
	for {
		size, err := frontEntry(b)
		switch {
		case err != nil || size == 0:
			return err
		case b[16] == 2 && size < least:
			return errorf(UnreadableRequest, "batch of %d bytes", size)
		case !all:
			return nil
		}
		b = b[size:]
	}
}

// Short tells whether the set begins with a batch whose header is not whole.
func Short(b []byte) bool { return len(b) >= LogOverhead && EntrySize(b) < HeaderSize }

// frontEntry is the size of the entry at the front, 0 if it is not whole. Its length and magic must
// make sense as far as they are there.
func frontEntry(b []byte) (int, error) {
	if len(b) < LogOverhead {
		return 0, nil
	}
	size := EntrySize(b)
	if size < minSizeV0 {
		return 0, errorf(Corrupt, "Record size %d is less than the minimum record overhead (14)",
			size-LogOverhead)
	}
	if len(b) < LogOverhead+5 {
		return 0, nil
	}
	if magic := int8(b[16]); magic < 0 || magic > 2 {
		return 0, errorf(Corrupt, "Invalid magic found in record: %d", magic)
	}
	if size > len(b) {
		return 0, nil
	}
	return size, nil
}

// Check validates a record set that passed CheckRequest as an Apache 3.9 leader does and turns it
// into one v2 batch with offsets from 0. The bytes are not copied unless the set must be converted
// or recompressed. A truncated trailing batch is cut off silently. An empty set, which only
// requests before v3 may carry, yields an empty Batch. Errors are *Error.
//
// Every record is looked at, those in compressed batches too: what a consumer cannot read must not
// get into a log, and the highest timestamp of a header is what searches by time trust.
func Check(b []byte, r *Rules) (Set, error) {
	c := checker{rules: r}
	n, err := c.analyze(b)
	if err != nil || c.entries == 0 {
		return Set{}, err
	}
	b = b[:n:n]
	if c.target = r.Compression; c.target == Producer {
		c.target = c.codec
	}
	if c.entries > 1 && (c.magic == 2 || c.codec != None) {
		return Set{}, errorf(InvalidRecord, "more than one batch")
	}
	if err := c.validate(b); err != nil {
		return Set{}, err
	}
	set := Set{Batch: Batch(b)}
	if c.magic == 2 && c.target == c.codec {
		if c.gaps && c.codec != None {
			return Set{}, errorf(Unreadable, "offsets of compressed records are not 0, 1, 2")
		}
		set.Batch.settleTime(c.highest)
	} else if set, err = c.convert(b); err != nil {
		return Set{}, err
	}
	if r.MaxSetBytes > 0 && len(set.Batch) > r.MaxSetBytes {
		return Set{}, errorf(SetTooLarge, "set of %d bytes above segment.bytes %d", len(set.Batch),
			r.MaxSetBytes)
	}
	return set, nil
}

// settleTime makes the header say what is true of the records: the client's highest timestamp, and
// that it is the client's.
func (b Batch) settleTime(highest int64) {
	if !b.LogAppendTime() && b.MaxTimestamp() == highest {
		return
	}
	b.keepAttributes(0)
	binary.BigEndian.PutUint64(b[35:], uint64(highest))
	b.FixCRC()
}

// convert rebuilds the set as one batch with the codec.
func (c *checker) convert(b []byte) (Set, error) {
	batch, err := rebuild(b, c.target, c.rules)
	if err != nil {
		return Set{}, err
	}
	if most := c.rules.MaxBatchBytes; most > 0 && len(batch) > most {
		return Set{}, errorf(TooLarge, "converted batch of %d bytes above max.message.bytes %d",
			len(batch), most)
	}
	return Set{Batch: batch, Converted: true}, nil
}

func limited(ms int64) bool { return ms > 0 && ms != math.MaxInt64 }

type checker struct {
	rules   *Rules
	entries int
	magic   int8  // of the first entry
	codec   Codec // of the last entry that is compressed
	gaps    bool  // offset deltas are not 0, 1, 2...
	highest int64 // timestamp
	target  Codec
	index   int32 // of the record within its entry
	faults  int
	bad     *Error
}

// analyze looks at the entries without their records and returns the size of the whole ones.
func (c *checker) analyze(b []byte) (int, error) {
	n := 0
	for {
		size, err := frontEntry(b[n:])
		if err != nil || size == 0 {
			return n, err
		}
		if err := c.entry(b[n : n+size]); err != nil {
			return n, err
		}
		n += size
	}
}

// entry checks one batch or message.
func (c *checker) entry(b []byte) error {
	if c.entries++; c.entries == 1 {
		c.magic = int8(b[16])
	}
	codec := Codec(b[17] & attrCodec)
	if b[16] == 2 {
		if base := Batch(b).BaseOffset(); base != 0 {
			return errorf(InvalidRecord, "base offset %d instead of 0", base)
		}
		codec = Codec(b[22] & attrCodec)
	}
	if most := c.rules.MaxBatchBytes; most > 0 && len(b) > most {
		return errorf(TooLarge, "batch of %d bytes above max.message.bytes %d", len(b), most)
	}
	if err := checksum(b); err != nil {
		return err
	}
	if codec > Zstd {
		return errorf(Unreadable, "unknown codec %d", codec)
	}
	if codec != None {
		c.codec = codec
	}
	return nil
}

// checksum compares an entry of any format with its checksum.
func checksum(b []byte) error {
	switch {
	case b[16] == 2 && len(b) < HeaderSize:
		return errorf(Corrupt, "batch of %d bytes", len(b))
	case b[16] == 2:
		return Batch(b).CheckCRC()
	}
	return legacyChecksum(b)
}

// validate looks at every record: structure, keys, timestamps.
func (c *checker) validate(b []byte) error {
	c.highest = NoTimestamp
	for len(b) > 0 {
		size := EntrySize(b)
		if int8(b[16]) != c.magic {
			return errorf(InvalidRecord, "format %d behind format %d", b[16], c.magic)
		}
		c.index = 0
		var err error
		if c.magic == 2 {
			err = c.batch(Batch(b[:size]))
		} else {
			err = c.message(b[:size])
		}
		if err == nil {
			err = c.verdict()
		}
		if err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

func (c *checker) header(b Batch) error {
	if count := b.Count(); count <= 0 || int64(b.LastOffsetDelta())+1 != int64(count) {
		return errorf(InvalidRecord, "%d records and last offset %d", count, b.LastOffsetDelta())
	}
	if b.Control() {
		return errorf(InvalidRecord, "a client must not write control records")
	}
	if b.ProducerID() >= 0 && b.BaseSequence() < 0 {
		return errorf(InvalidRecord, "sequence %d of producer %d", b.BaseSequence(), b.ProducerID())
	}
	return nil
}

// batch checks the records of a v2 batch.
func (c *checker) batch(b Batch) error {
	if err := c.header(b); err != nil {
		return err
	}
	if b.Codec() == None {
		return c.skimAll(b, b[HeaderSize:])
	}
	scratch := inflated.Get().(*[]byte)
	body, err := decompress((*scratch)[:0], b.Codec(), 2, b[HeaderSize:])
	if err != nil {
		err = errorf(Unreadable, "%s: %v", b.Codec(), err)
	} else {
		err = c.skimAll(b, body)
	}
	if cap(body) <= maxScratch && body != nil {
		*scratch = body
	}
	inflated.Put(scratch)
	return err
}

// inflated are buffers for the records of compressed batches, which are looked at and let go.
var inflated = sync.Pool{New: func() any { return new([]byte) }}

// maxScratch bounds what a pooled buffer keeps: the largest batch of most topics.
const maxScratch = 4 << 20

// skimAll checks the records of a v2 batch without allocating. It runs for every record that a
// broker takes in.
func (c *checker) skimAll(b Batch, body []byte) error {
	count, base := b.Count(), b.BaseTimestamp()
	rules := c.rules.Compacted || limited(c.rules.BeforeMaxMs) || limited(c.rules.AfterMaxMs) ||
		b.LogAppendTime()
	at, highest, gaps := 0, c.highest, c.gaps
	for i := int32(0); i < count; i++ {
		size, n := zigzag(body, at)
		if n == 0 || size < 0 || size > int64(len(body)-n) {
			return errorf(InvalidRecord, "record %d of %d bytes, %d left", i, size, len(body)-at)
		}
		at = n + int(size)
		timeDelta, offsetDelta, key, ok := skim(body[:at], n)
		if !ok {
			return errorf(InvalidRecord, "record %d is malformed", i)
		}
		timestamp := base + timeDelta
		if rules {
			if b.LogAppendTime() {
				timestamp = b.MaxTimestamp()
			}
			c.record(key, timestamp, offsetDelta, b.LogAppendTime())
		}
		gaps = gaps || offsetDelta != int64(i)
		highest = max(highest, timestamp)
	}
	c.highest, c.gaps = highest, gaps
	if at != len(body) {
		return errorf(InvalidRecord, "%d bytes after the last record", len(body)-at)
	}
	return nil
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
	if n == 0 || size > int64(len(b)-n) {
		return false, 0
	}
	if size < 0 {
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
	if at == 0 || offsetDelta != int64(int32(offsetDelta)) {
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

// record applies the rules to the next record and collects what it breaks. stamped says that the
// client claims the timestamp to be the broker's.
func (c *checker) record(hasKey bool, timestamp, offset int64, stamped bool) {
	r := c.rules
	switch {
	case r.Compacted && !hasKey:
		c.refuse(InvalidRecord, fmt.Sprintf(
			"Compacted topic cannot accept message without key in topic partition %s-%d",
			r.Topic, r.Partition))
	case !r.LogAppendTime && timestamp != NoTimestamp:
		before, after := limit(r.BeforeMaxMs), limit(r.AfterMaxMs)
		if r.NowMs-timestamp > before || timestamp-r.NowMs > after {
			c.refuse(InvalidTimestamp, fmt.Sprintf("Timestamp %d of message with offset %d is out "+
				"of range. The timestamp should be within [%d, %d]", timestamp, offset,
				r.NowMs-before, r.NowMs+after))
		}
	case stamped:
		c.refuse(InvalidTimestamp, fmt.Sprintf("Invalid timestamp type in message %d. Producer "+
			"should not set timestamp type to LogAppendTime.", offset))
	}
	c.index++
}

// limit is a bound of timestamps; no limit means the largest number.
func limit(ms int64) int64 {
	if limited(ms) {
		return ms
	}
	return math.MaxInt64
}

func (c *checker) refuse(k Kind, message string) {
	if c.bad == nil {
		c.bad = &Error{Kind: k}
	}
	if k == InvalidTimestamp {
		c.bad.Kind = k // upstream answers 32 when any record breaks the timestamp rule
	}
	c.faults++
	const most = 1000 // bounds the reply to a hostile batch
	if len(c.bad.Records) < most {
		c.bad.Records = append(c.bad.Records, RecordError{c.index, message})
	}
}

// verdict is what came of the records of one entry.
func (c *checker) verdict() error {
	if c.bad == nil {
		return nil
	}
	if c.bad.Kind == InvalidTimestamp {
		c.bad.Message = "One or more records have been rejected due to invalid timestamp"
		return c.bad
	}
	var first []string
	for _, r := range c.bad.Records[:min(3, len(c.bad.Records))] {
		first = append(first, fmt.Sprintf("RecordError(batchIndex=%d, message='%s')", r.Index,
			r.Message))
	}
	c.bad.Message = fmt.Sprintf("One or more records have been rejected due to %d record errors "+
		"in total, and only showing the first three errors at most: [%s]", c.faults,
		strings.Join(first, ", "))
	return c.bad
}

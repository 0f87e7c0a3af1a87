// Package record reads, checks, patches, builds and converts Kafka's record batches and the older
// message sets.
//
// The package is pure: every function works on the bytes it is given and owns nothing else. A Batch
// is a view, not a copy; who holds the bytes decides who may patch them. Nothing here assumes a
// goroutine, and nothing but the codecs' pools is shared.
//
// A v2 batch as it lies in requests, in segments and in replies:
//
//	 0        8     12     16 17   21  23    27       35       43       51   53    57    61
//	┌────────┬──────┬──────┬─┬────┬───┬─────┬────────┬────────┬────────┬────┬─────┬─────┬─────────┐
//	│ base   │ len  │leader│2│CRC │att│last │ base   │ max    │producer│ep. │base │count│ records │
//	│ offset │ -12  │epoch │ │    │   │delta│ time   │ time   │id      │    │seq. │     │         │
//	└────────┴──────┴──────┴─┴────┴───┴─────┴────────┴────────┴────────┴────┴─────┴─────┴─────────┘
//	                              └──────────────── CRC-32C covers this ────────────────────────┘
package record

import (
	"errors"
	"fmt"
	"hash/crc32"
)

// HeaderSize is the size of a v2 batch header; the records follow it.
const HeaderSize = 61

// LogOverhead is the size of the offset and length fields that every entry of any format starts
// with.
const LogOverhead = 12

// NoTimestamp stands for "no timestamp": messages of format v0 have none.
const NoTimestamp int64 = -1

// NoProducerID stands for a batch of a producer that is not idempotent.
const NoProducerID int64 = -1

// NoSequence is the base sequence of such a batch.
const NoSequence int32 = -1

// The attribute bits of a batch (v2) or message (v0, v1).
const (
	attrCodec         = 0x07
	attrLogAppendTime = 0x08
	attrTransactional = 0x10
	attrControl       = 0x20
	attrDeleteHorizon = 0x40
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Kind says what is wrong with a record set. Callers map it to a protocol error code.
type Kind uint8

// The kinds, each with the Kafka error code that belongs to it.
const (
	Corrupt                Kind = iota + 1 // 2 CORRUPT_MESSAGE: bad CRC or impossible lengths
	TooLarge                               // 10 MESSAGE_TOO_LARGE: a batch above max.message.bytes
	SetTooLarge                            // 18 RECORD_LIST_TOO_LARGE: the set is above segment.bytes
	InvalidTimestamp                       // 32 INVALID_TIMESTAMP
	UnsupportedFormat                      // 43 UNSUPPORTED_FOR_MESSAGE_FORMAT
	UnsupportedCompression                 // 76 UNSUPPORTED_COMPRESSION_TYPE
	InvalidRecord                          // 87 INVALID_RECORD
	UnreadableRequest                      // -1 for all partitions of the request
	Unreadable                             // -1 UNKNOWN_SERVER_ERROR, as upstream: nothing it foresees
)

var kindNames = [...]string{
	Corrupt: "corrupt message", TooLarge: "message too large", SetTooLarge: "record list too large",
	InvalidTimestamp: "invalid timestamp", UnsupportedFormat: "unsupported for message format",
	UnsupportedCompression: "unsupported compression type", InvalidRecord: "invalid record",
	Unreadable:        "unreadable",
	UnreadableRequest: "unreadable request",
}

// String names the kind.
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// RecordError is one entry of record_errors in a Produce response: which record of the batch was
// refused, and why.
type RecordError struct {
	Index   int32
	Message string
}

// Error is the refusal of a whole record set.
type Error struct {
	Kind    Kind
	Message string
	Records []RecordError // the records at fault, when single records are
}

// Error implements error.
func (e *Error) Error() string { return e.Kind.String() + ": " + e.Message }

func errorf(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Message: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of a record error, 0 for any other error.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return 0
}

// Codec is a compression codec by its number in the attributes.
type Codec uint8

// The codecs. Producer is no codec of a batch; as a topic's compression.type it means: keep what
// the producer chose.
const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
	Producer Codec = 255
)

// ParseCodec maps compression.type to a codec; "uncompressed" is the older spelling of none.
func ParseCodec(s string) (Codec, bool) {
	switch s {
	case "none", "uncompressed":
		return None, true
	case "gzip":
		return Gzip, true
	case "snappy":
		return Snappy, true
	case "lz4":
		return LZ4, true
	case "zstd":
		return Zstd, true
	case "producer", "":
		return Producer, true
	}
	return None, false
}

// String spells the codec as compression.type does.
func (c Codec) String() string {
	switch c {
	case None:
		return "none"
	case Gzip:
		return "gzip"
	case Snappy:
		return "snappy"
	case LZ4:
		return "lz4"
	case Zstd:
		return "zstd"
	case Producer:
		return "producer"
	}
	return fmt.Sprintf("codec %d", uint8(c))
}

// Header is a header of a record's key-value list.
type Header struct {
	Key   string
	Value []byte // nil and empty differ
}

// Record is one record of any format. Key, Value and header values alias the bytes they were read
// from and hold only until the iteration goes on.
type Record struct {
	Offset    int64
	Timestamp int64
	Key       []byte // nil means no key
	Value     []byte // nil means a tombstone
	Headers   []Header
}

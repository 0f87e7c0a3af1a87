package group

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// Record is a record of __consumer_offsets. A nil Value is a tombstone.
type Record struct {
	Key, Value []byte
}

// The key says what the value is:
//
//	key v0, v1: group string, topic string, partition int32   value: offset
//	key v2:     group string                                  value: group
//
// Each begins with its version as int16; strings and byte arrays carry an int16 and an int32
// length. Offset values:
//
//	v0: offset int64, metadata string, commit timestamp int64
//	v1: + expire timestamp int64        (written when a client asks for its own retention)
//	v2: like v0
//	v3: offset int64, leader epoch int32, metadata string, commit timestamp int64   (written)
//	v4: v3 in compact encoding with tagged fields at the end
//
// Group values:
//
//	v0: protocol type string, generation int32, protocol string?, leader string?, members [
//	    member id, client id, client host string, session timeout int32,
//	    subscription bytes, assignment bytes ]
//	v1: rebalance timeout int32 before the session timeout
//	v2: state timestamp int64 after leader
//	v3: instance id string? after member id                                         (written)
//	v4: v3 in compact encoding with tagged fields at the end
const (
	offsetKeyVersion    = 1
	groupKeyVersion     = 2
	offsetValueExpiring = 1
	offsetValueVersion  = 3
	groupValueVersion   = 3
	maxValueVersion     = 4
	firstCompactVersion = 4
)

// ErrMalformed is in the chain of every decoding error.
var ErrMalformed = errors.New("malformed record of __consumer_offsets")

// KeyKind says what a key stands for.
type KeyKind uint8

// The kinds of keys. UnknownKey is one of a newer version, to be passed over.
const (
	UnknownKey KeyKind = iota
	OffsetKey
	GroupKey
)

// Key is a decoded key.
type Key struct {
	Kind    KeyKind
	Version int16
	Group   string
	TopicPartition
}

// GroupValue is the stored state of a group. Empty Protocol and Leader are stored as null.
type GroupValue struct {
	ProtocolType   string
	Generation     int32
	Protocol       string
	Leader         string
	StateTimestamp int64 // -1 if the record does not have it
	Members        []MemberValue
}

// MemberValue is a member in a GroupValue.
type MemberValue struct {
	MemberID, InstanceID, ClientID, ClientHost   string
	RebalanceTimeoutMillis, SessionTimeoutMillis int32
	Subscription, Assignment                     []byte
}

// EncodeOffsetKey returns the key of a group's offset for one partition.
func EncodeOffsetKey(group string, tp TopicPartition) []byte {
	b := make([]byte, 0, 2+2+len(group)+2+len(tp.Topic)+4)
	b = binary.BigEndian.AppendUint16(b, offsetKeyVersion)
	b = appendString(b, group)
	b = appendString(b, tp.Topic)
	return binary.BigEndian.AppendUint32(b, uint32(tp.Partition))
}

// EncodeGroupKey returns the key of a group's own record.
func EncodeGroupKey(group string) []byte {
	b := make([]byte, 0, 2+2+len(group))
	b = binary.BigEndian.AppendUint16(b, groupKeyVersion)
	return appendString(b, group)
}

// EncodeOffsetValue returns the value of an offset, in the version a 3.9 broker writes.
func EncodeOffsetValue(o *Offset) []byte {
	b := make([]byte, 0, 2+8+8+8+4+len(o.Metadata))
	if o.ExpireTimestamp != -1 {
		b = binary.BigEndian.AppendUint16(b, offsetValueExpiring)
		b = binary.BigEndian.AppendUint64(b, uint64(o.Offset))
		b = appendString(b, o.Metadata)
		b = binary.BigEndian.AppendUint64(b, uint64(o.CommitTimestamp))
		return binary.BigEndian.AppendUint64(b, uint64(o.ExpireTimestamp))
	}
	b = binary.BigEndian.AppendUint16(b, offsetValueVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(o.Offset))
	b = binary.BigEndian.AppendUint32(b, uint32(o.LeaderEpoch))
	b = appendString(b, o.Metadata)
	return binary.BigEndian.AppendUint64(b, uint64(o.CommitTimestamp))
}

// EncodeGroupValue returns the value of a group's record, in the version a 3.9 broker writes.
func EncodeGroupValue(v *GroupValue) []byte {
	b := binary.BigEndian.AppendUint16(nil, groupValueVersion)
	b = appendString(b, v.ProtocolType)
	b = binary.BigEndian.AppendUint32(b, uint32(v.Generation))
	b = appendNullable(b, v.Protocol)
	b = appendNullable(b, v.Leader)
	b = binary.BigEndian.AppendUint64(b, uint64(v.StateTimestamp))
	b = binary.BigEndian.AppendUint32(b, uint32(len(v.Members)))
	for i := range v.Members {
		mv := &v.Members[i]
		b = appendString(b, mv.MemberID)
		b = appendNullable(b, mv.InstanceID)
		b = appendString(b, mv.ClientID)
		b = appendString(b, mv.ClientHost)
		b = binary.BigEndian.AppendUint32(b, uint32(mv.RebalanceTimeoutMillis))
		b = binary.BigEndian.AppendUint32(b, uint32(mv.SessionTimeoutMillis))
		b = appendBytes(b, mv.Subscription)
		b = appendBytes(b, mv.Assignment)
	}
	return b
}

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

func appendNullable(b []byte, s string) []byte {
	if s == "" {
		return append(b, 0xff, 0xff)
	}
	return appendString(b, s)
}

func appendBytes(b, data []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}

// DecodeKey reads a key.
func DecodeKey(b []byte) (Key, error) {
	r := reader{b: b}
	k := Key{Version: r.int16()}
	switch k.Version {
	case 0, offsetKeyVersion:
		k.Kind = OffsetKey
		k.Group = r.string()
		k.Topic = r.string()
		k.Partition = r.int32()
	case groupKeyVersion:
		k.Kind = GroupKey
		k.Group = r.string()
	}
	return k, r.done("key")
}

// DecodeOffsetValue reads the value of an offset, of any version.
func DecodeOffsetValue(b []byte) (Offset, error) {
	r := reader{b: b}
	version := r.version()
	o := Offset{LeaderEpoch: -1, ExpireTimestamp: -1}
	o.Offset = r.int64()
	if version >= 3 {
		o.LeaderEpoch = r.int32()
	}
	o.Metadata = r.string()
	o.CommitTimestamp = r.int64()
	if version == offsetValueExpiring {
		o.ExpireTimestamp = r.int64()
	}
	r.tags()
	return o, r.done("offset")
}

// DecodeGroupValue reads the value of a group's record, of any version. Byte slices of the
// result share b.
func DecodeGroupValue(b []byte) (GroupValue, error) {
	r := reader{b: b}
	version := r.version()
	v := GroupValue{StateTimestamp: -1}
	v.ProtocolType = r.string()
	v.Generation = r.int32()
	v.Protocol = r.string()
	v.Leader = r.string()
	if version >= 2 {
		v.StateTimestamp = r.int64()
	}
	for n := r.count(); n > 0 && r.err == nil; n-- {
		v.Members = append(v.Members, r.member(version))
	}
	r.tags()
	return v, r.done("group")
}

func (r *reader) member(version int16) MemberValue {
	mv := MemberValue{MemberID: r.string()}
	if version >= 3 {
		mv.InstanceID = r.string()
	}
	mv.ClientID = r.string()
	mv.ClientHost = r.string()
	if version >= 1 {
		mv.RebalanceTimeoutMillis = r.int32()
	}
	mv.SessionTimeoutMillis = r.int32()
	if version == 0 {
		mv.RebalanceTimeoutMillis = mv.SessionTimeoutMillis
	}
	mv.Subscription = r.bytes()
	mv.Assignment = r.bytes()
	r.tags()
	return mv
}

// reader reads Kafka's primitive types; after the first error it returns zero values.
type reader struct {
	b       []byte
	compact bool
	err     error
}

// version reads a value's version and sets the encoding by it.
func (r *reader) version() int16 {
	v := r.int16()
	if v < 0 || v > maxValueVersion {
		r.fail("version")
	}
	r.compact = v >= firstCompactVersion
	return v
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: bad %s", ErrMalformed, what)
	}
	r.b = nil
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail("length")
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) int16() int16 {
	if b := r.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (r *reader) int32() int32 {
	if b := r.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (r *reader) int64() int64 {
	if b := r.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (r *reader) uvarint() int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > math.MaxInt32 {
		r.fail("varint")
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

// string reads a string; null reads as empty.
func (r *reader) string() string {
	var n int
	if r.compact {
		n = r.uvarint() - 1
	} else {
		n = int(r.int16())
	}
	if n == -1 {
		return ""
	}
	return string(r.take(n))
}

func (r *reader) count() int {
	if r.compact {
		return r.uvarint() - 1
	}
	return int(r.int32())
}

func (r *reader) bytes() []byte {
	n := r.count()
	if n == -1 {
		return nil
	}
	return r.take(n)
}

// tags passes over the tagged fields that end a structure in compact encoding.
func (r *reader) tags() {
	if !r.compact {
		return
	}
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		r.uvarint()
		r.take(r.uvarint())
	}
}

// done returns the error, if any. Bytes that are left are no error: fields that a newer
// version appends are passed over.
func (r *reader) done(what string) error {
	if r.err != nil {
		return fmt.Errorf("%s: %w", what, r.err)
	}
	return nil
}

package record

import "encoding/binary"

// Builder makes one v2 batch. Records get consecutive offsets from 0; the log assigns the base.
type Builder struct {
	codec  Codec
	levels Levels

	buf      []byte // HeaderSize bytes of room, then the records
	count    int32
	baseTime int64
	maxTime  int64

	producerID    int64
	producerEpoch int16
	baseSequence  int32
	attributes    int16
	scratch       []byte
}

// NewBuilder returns a builder of batches with the codec; Producer counts as None.
func NewBuilder(c Codec, levels Levels) *Builder {
	if c == Producer {
		c = None
	}
	b := &Builder{codec: c, levels: levels}
	b.Reset()
	return b
}

// Reset empties the builder for another batch; the last one built is invalid then.
func (b *Builder) Reset() {
	if b.buf == nil {
		b.buf = make([]byte, HeaderSize, 512)
	}
	b.buf = b.buf[:HeaderSize]
	b.count, b.baseTime, b.maxTime = 0, NoTimestamp, NoTimestamp
	b.producerID, b.producerEpoch, b.baseSequence = NoProducerID, -1, NoSequence
	b.attributes = 0
}

// SetProducer marks the batch as an idempotent producer's.
func (b *Builder) SetProducer(id int64, epoch int16, baseSequence int32, transactional bool) {
	b.producerID, b.producerEpoch, b.baseSequence = id, epoch, baseSequence
	b.attributes &^= attrTransactional
	if transactional {
		b.attributes |= attrTransactional
	}
}

// Len is the number of records added.
func (b *Builder) Len() int { return int(b.count) }

// Size is the size of the batch so far, before compression.
func (b *Builder) Size() int { return len(b.buf) }

// Add appends a record. Everything is copied.
func (b *Builder) Add(timestamp int64, key, value []byte, headers []Header) {
	if b.count == 0 {
		b.baseTime = timestamp
	}
	b.maxTime = max(b.maxTime, timestamp)
	r := append(b.scratch[:0], 0)
	r = binary.AppendVarint(r, timestamp-b.baseTime)
	r = binary.AppendVarint(r, int64(b.count))
	r = appendField(r, key)
	r = appendField(r, value)
	r = binary.AppendVarint(r, int64(len(headers)))
	for i := range headers {
		r = binary.AppendVarint(r, int64(len(headers[i].Key)))
		r = append(r, headers[i].Key...)
		r = appendField(r, headers[i].Value)
	}
	b.scratch = r
	b.buf = binary.AppendVarint(b.buf, int64(len(r)))
	b.buf = append(b.buf, r...)
	b.count++
}

func appendField(dst, v []byte) []byte {
	if v == nil {
		return binary.AppendVarint(dst, -1)
	}
	dst = binary.AppendVarint(dst, int64(len(v)))
	return append(dst, v...)
}

// Build finishes the batch: base offset 0, leader epoch -1, checksum right. The bytes belong to the
// builder until Reset.
func (b *Builder) Build() (Batch, error) {
	out := b.buf
	if b.codec != None {
		packed, err := Compress(make([]byte, HeaderSize, HeaderSize+len(b.buf)/2), b.codec, 2,
			b.levels, b.buf[HeaderSize:])
		if err != nil {
			return nil, err
		}
		out = packed
	}
	be := binary.BigEndian
	be.PutUint64(out, 0)
	be.PutUint32(out[8:], uint32(len(out)-LogOverhead))
	be.PutUint32(out[12:], 0xffffffff)
	out[16] = 2
	be.PutUint16(out[21:], uint16(b.attributes)|uint16(b.codec))
	be.PutUint32(out[23:], uint32(b.count-1))
	be.PutUint64(out[27:], uint64(b.baseTime))
	be.PutUint64(out[35:], uint64(b.maxTime))
	be.PutUint64(out[43:], uint64(b.producerID))
	be.PutUint16(out[51:], uint16(b.producerEpoch))
	be.PutUint32(out[53:], uint32(b.baseSequence))
	be.PutUint32(out[57:], uint32(b.count))
	Batch(out).FixCRC()
	return out, nil
}

// BuildMarker makes the control batch that ends a transaction.
func BuildMarker(t MarkerType, id int64, epoch int16, coordinatorEpoch int32, nowMs int64) Batch {
	b := NewBuilder(None, Levels{})
	b.SetProducer(id, epoch, NoSequence, true)
	b.attributes |= attrControl
	key := binary.BigEndian.AppendUint16([]byte{0, 0}, uint16(t))
	value := binary.BigEndian.AppendUint32([]byte{0, 0}, uint32(coordinatorEpoch))
	b.Add(nowMs, key, value, nil)
	out, err := b.Build()
	if err != nil {
		panic(err) // nothing is compressed, so nothing can fail
	}
	return out
}

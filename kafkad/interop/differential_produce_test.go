//go:build interop

package interop

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/record"
)

// writer is an idempotent producer at a partition.
type writer struct {
	place place
	id    int64
}

// sequences is what such a producer has written, as far as the generator knows.
type sequences struct {
	epoch int16
	next  int32
	sent  [][2]int32 // base sequence and number of records
}

// produce is a request for one to three partitions.
func (g *requests) produce() request {
	req := versioned(kmsg.NewPtrProduceRequest(), g.version(11))
	req.TimeoutMillis = 10000
	req.Acks = one[int16](g, 1, 1, 1, 1, 1, -1, -1, 0)
	if g.chance(2) {
		req.Acks = one[int16](g, 2, -2, math.MaxInt16)
	}
	var texts []string
	seen := map[place]bool{}
	for range one(g, 1, 1, 1, 1, 2, 3) {
		p := g.somewhere()
		if seen[p] {
			continue
		}
		seen[p] = true
		rp := kmsg.NewProduceRequestTopicPartition()
		rp.Partition = p.index
		var text string
		rp.Records, text = g.recordSet(p, req.Version)
		texts = append(texts, describe("%s-%d: %s", p.topic, p.index, text))
		i := slices.IndexFunc(req.Topics, func(t kmsg.ProduceRequestTopic) bool {
			return t.Topic == p.topic
		})
		if i < 0 {
			rt := kmsg.NewProduceRequestTopic()
			rt.Topic = p.topic
			i, req.Topics = len(req.Topics), append(req.Topics, rt)
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, rp)
	}
	return request{req: req, silent: req.Acks == 0, text: strings.Join(texts, "; ")}
}

// recordSet makes the data for one partition.
func (g *requests) recordSet(p place, version int16) ([]byte, string) {
	_, loose := looseTopics[p.topic]
	old := version < 3 && g.chance(70) || g.chance(4)
	if g.chance(1) {
		// Not null: Apache's broker never answers.
		return one(g, []byte{}, []byte{0}, make([]byte, 11), make([]byte, 17),
			make([]byte, 80)), "no entry"
	}
	set, text := g.entry(old, p, loose)
	if version < 3 && g.chance(25) || g.chance(3) {
		more, another := g.entry(old, p, loose)
		set, text = append(set, more...), text+" and "+another
	}
	switch {
	case g.chance(2):
		set = set[:g.r.IntN(len(set))]
		text += describe(" cut to %d bytes", len(set))
	case g.chance(2):
		set = append(set, g.text(1+g.r.IntN(30))...)
		text += " with bytes behind"
	}
	return set, text
}

func (g *requests) entry(old bool, p place, loose bool) ([]byte, string) {
	if old {
		return g.oldMessages(loose)
	}
	return g.batch(p, loose)
}

// records are the contents of a set.
func (g *requests) records(p place) []plainRecord {
	records := make([]plainRecord, one(g, 1, 1, 1, 2, 3, 5))
	base := g.now
	if g.chance(15) {
		base = one(g, 0, 1, -1, g.now-7200_000, g.now+7200_000, 1_600_000_000_000)
	}
	for i := range records {
		r := &records[i]
		r.time = base + g.r.Int64N(2000) - 1000
		if base < 2 {
			r.time = base
		}
		if r.key = g.text(g.r.IntN(4)); g.chance(30) && p.topic != "keys" && p.topic != "oldkey" ||
			g.chance(3) {
			r.key = nil
		}
		if r.value = g.text(g.r.IntN(40)); g.chance(10) {
			r.value = nil
		}
		for range one(g, 0, 0, 0, 1, 2) {
			h := record.Header{Key: string(g.text(g.r.IntN(3))), Value: g.text(g.r.IntN(3))}
			if g.chance(20) {
				h.Value = nil
			}
			r.headers = append(r.headers, h)
		}
	}
	return records
}

func (g *requests) codec() record.Codec {
	return one(g, record.None, record.None, record.None, record.Gzip, record.Snappy, record.LZ4,
		record.Zstd)
}

// batch is a v2 batch, with a fault at times.
func (g *requests) batch(p place, loose bool) ([]byte, string) {
	b := newCraftedBatch(g.codec(), g.records(p))
	text := "batch " + b.codec.String()
	// Apache's broker begins a new segment for a batch and then refuses its sequence.
	if p.topic != "seg" && g.chance(25) {
		text += g.identify(b, p)
	}
	if g.chance(25) {
		f := batchFaults[g.r.IntN(len(batchFaults))]
		if f.loose && !loose {
			return b.bytes(), text
		}
		f.spoil(g, b)
		text += " with " + f.name
	}
	return b.bytes(), text
}

// identify makes the batch an idempotent producer's: mostly the next one in its sequence.
func (g *requests) identify(b *craftedBatch, p place) string {
	w := writer{p, 70_000 + int64(g.r.IntN(3))}
	s := g.writers[w]
	if s == nil {
		s = &sequences{}
		g.writers[w] = s
	}
	b.producerID, b.epoch, b.sequence = w.id, s.epoch, s.next
	switch g.r.IntN(12) {
	case 0:
		b.sequence = one(g, s.next+1, s.next+5, max(s.next-1, 0), 0)
	case 1, 2, 3:
		if n := len(s.sent); n > 0 {
			again := s.sent[max(0, n-1-g.r.IntN(7))]
			b.sequence = again[0]
			if b.count = again[1]; b.count != b.lastDelta+1 {
				*b = *newCraftedBatch(b.codec, make([]plainRecord, b.count))
				b.producerID, b.epoch, b.sequence = w.id, s.epoch, again[0]
			}
		}
	case 4:
		b.epoch = one(g, s.epoch+1, s.epoch-1, s.epoch+3)
	case 5:
		b.epoch, b.sequence = s.epoch+1, 0
	case 6:
		b.sequence = one[int32](g, -1, -2, math.MaxInt32, math.MaxInt32-1)
	case 7:
		b.epoch = -1
	}
	return describe(" of producer %d epoch %d sequence %d", w.id, b.epoch, b.sequence)
}

// fault spoils a batch. A loose one makes brokers compress it again.
type fault struct {
	name  string
	loose bool
	spoil func(*requests, *craftedBatch)
}

var batchFaults = []fault{
	{"a wrong checksum", false, func(_ *requests, b *craftedBatch) { b.flipCRC = true }},
	{"a wrong length", false, func(g *requests, b *craftedBatch) {
		b.sizeChange = one[int32](g, 1, -1, 8, -8, -60, 1000, math.MinInt32/2, -200)
	}},
	{"another magic", false, func(g *requests, b *craftedBatch) {
		b.magic = one[int8](g, 0, 1, 3, -1, 127)
	}},
	{"a base offset", false, func(g *requests, b *craftedBatch) {
		b.baseOffset = one[int64](g, 1, -1, 1000, math.MinInt64)
	}},
	{"a leader epoch", false, func(g *requests, b *craftedBatch) {
		b.leaderEpoch = one[int32](g, 0, 7, -5, math.MaxInt32)
	}},
	{"another last offset delta", false, func(g *requests, b *craftedBatch) {
		b.lastDelta = one(g, b.lastDelta+1, b.lastDelta-1, 0, 100, -1, math.MaxInt32)
	}},
	{"another count", false, func(g *requests, b *craftedBatch) {
		b.count = one(g, b.count+1, b.count-1, 0, -1, 1000)
	}},
	{"another count and delta", false, func(g *requests, b *craftedBatch) {
		b.count += one[int32](g, 1, -1)
		b.lastDelta = b.count - 1
	}},
	{"another highest time", false, func(g *requests, b *craftedBatch) {
		b.maxTime = one(g, b.maxTime+1, b.maxTime-5000, -1, 0, math.MaxInt64, -2)
	}},
	{"another base time", false, func(g *requests, b *craftedBatch) {
		// Not so that times are below -1: Apache's broker takes those, and closes the connection of
		// an old consumer that comes to them.
		b.baseTime = one(g, b.baseTime+5000, 5000)
	}},
	{"an unknown codec", false, func(g *requests, b *craftedBatch) {
		b.packed = mustCompress(b.codec, 2, b.payload)
		b.codec = one[record.Codec](g, 5, 6, 7)
	}},
	{"the wrong codec", false, func(g *requests, b *craftedBatch) {
		b.packed = mustCompress(b.codec, 2, b.payload)
		b.codec = one(g, record.None, record.Gzip, record.Snappy, record.LZ4, record.Zstd)
	}},
	{"the broker's timestamp type", false, func(_ *requests, b *craftedBatch) { b.attributes |= 8 }},
	{"the control bit", false, func(_ *requests, b *craftedBatch) { b.attributes |= 0x20 }},
	{"a delete horizon", false, func(_ *requests, b *craftedBatch) { b.attributes |= 0x40 }},
	{"unknown attributes", false, func(g *requests, b *craftedBatch) {
		b.attributes |= one[int16](g, 0x80, 0x100, 0x4000)
	}},
	{"a sequence without producer", false, func(_ *requests, b *craftedBatch) {
		b.producerID, b.sequence = -1, 5
	}},
	{"a producer without sequence", false, func(_ *requests, b *craftedBatch) {
		b.producerID, b.epoch, b.sequence = 70_009, 0, -1
	}},
	{"a producer of a negative number", false, func(_ *requests, b *craftedBatch) {
		b.producerID, b.epoch, b.sequence = -2, 0, 0
	}},
	{"records cut short", false, func(g *requests, b *craftedBatch) {
		b.payload = b.payload[:g.r.IntN(len(b.payload))]
	}},
	{"bytes behind the records", false, func(g *requests, b *craftedBatch) {
		b.payload = append(b.payload, g.text(1+g.r.IntN(5))...)
	}},
	{"a record of a wrong size", false, func(g *requests, b *craftedBatch) {
		b.plain()
		b.payload[0] += byte(one(g, 2, 4, 254, 1))
	}},
	{"attributes of a record", false, func(_ *requests, b *craftedBatch) { b.payload[1] = 1 }},
	{"one changed byte in the records", false, func(g *requests, b *craftedBatch) {
		// One of the last three, which are of lengths and bytes, not of offsets: see below.
		b.plain()
		b.payload[len(b.payload)-1-g.r.IntN(3)] ^= byte(1 << g.r.IntN(8))
	}},
	{"records that do not decompress", false, func(g *requests, b *craftedBatch) {
		b.packed = mustCompress(b.codec, 2, b.payload)
		b.packed = append([]byte(nil), b.packed[:len(b.packed)-1-g.r.IntN(len(b.packed)/2)]...)
	}},
	{"offsets with gaps", true, func(g *requests, b *craftedBatch) {
		// Not without compression: Apache's broker takes such a batch as it is, and stumbles when
		// an old consumer comes to it.
		b.payload, b.codec = nil, max(b.codec, record.Gzip)
		for i := range b.count {
			r := plainRecord{value: g.text(5), key: g.text(2)}
			b.payload = appendRecord(b.payload, &r, int64(i)*2, 0)
		}
		b.maxTime = b.baseTime
	}},
}

// oldMessages are one or more messages of formats before v2, in a wrapper if compressed.
func (g *requests) oldMessages(loose bool) ([]byte, string) {
	magic := int8(g.r.IntN(2))
	codec := record.None
	if loose && g.chance(60) {
		codec = one(g, record.Gzip, record.Snappy, record.LZ4)
	}
	text := describe("messages of format %d %s", magic, codec)
	messages := make([]craftedMessage, one(g, 1, 2, 3))
	for i := range messages {
		m := &messages[i]
		*m = craftedMessage{offset: int64(i), magic: magic, time: g.now + g.r.Int64N(100),
			key: g.text(2), value: g.text(g.r.IntN(20))}
		if g.chance(10) {
			m.key = nil
		}
	}
	if g.chance(25) {
		f := messageFaults[g.r.IntN(len(messageFaults))]
		f.spoil(g, &messages[g.r.IntN(len(messages))])
		text += " with " + f.name
	}
	var set []byte
	highest := int64(-1)
	for i := range messages {
		set = messages[i].appendTo(set)
		highest = max(highest, messages[i].time)
	}
	if codec == record.None {
		return set, text
	}
	wrapper := craftedMessage{magic: magic, attributes: byte(codec), time: highest,
		value: mustCompress(codec, magic, set), offset: int64(len(messages)) - 1}
	if g.chance(20) {
		f := wrapperFaults[g.r.IntN(len(wrapperFaults))]
		f.spoil(g, &wrapper)
		text += ", the wrapper with " + f.name
	}
	return wrapper.appendTo(nil), text
}

// messageFault spoils a message of an old format.
type messageFault struct {
	name  string
	spoil func(*requests, *craftedMessage)
}

var messageFaults = []messageFault{
	{"a wrong checksum", func(_ *requests, m *craftedMessage) { m.flipCRC = true }},
	{"a wrong size", func(g *requests, m *craftedMessage) {
		m.sizeChange = one[int32](g, 1, -1, -20, 100, math.MinInt32/2)
	}},
	{"another magic", func(g *requests, m *craftedMessage) { m.magic = one[int8](g, 0, 1, 3, -1) }},
	{"a codec", func(g *requests, m *craftedMessage) { m.attributes |= byte(1 + g.r.IntN(7)) }},
	{"the broker's timestamp type", func(_ *requests, m *craftedMessage) { m.attributes |= 8 }},
	{"unknown attributes", func(_ *requests, m *craftedMessage) { m.attributes |= 0x70 }},
	{"another offset", func(g *requests, m *craftedMessage) {
		m.offset = one[int64](g, 0, 5, 1000, -1)
	}},
	{"no time", func(_ *requests, m *craftedMessage) { m.time = -1 }},
	{"an odd time", func(g *requests, m *craftedMessage) {
		m.time = one(g, 0, -2, g.now-7200_000, g.now+7200_000)
	}},
	{"no value", func(_ *requests, m *craftedMessage) { m.value = nil }},
	{"bytes behind the value", func(g *requests, m *craftedMessage) { m.extra = g.text(3) }},
}

var wrapperFaults = []messageFault{
	messageFaults[0], messageFaults[1], messageFaults[2], messageFaults[4], messageFaults[5],
	messageFaults[6], messageFaults[7], messageFaults[8], messageFaults[9], messageFaults[10],
	{"a key", func(g *requests, m *craftedMessage) { m.key = g.text(3) }},
	{"another codec", func(g *requests, m *craftedMessage) {
		m.attributes = m.attributes&^7 | byte(g.r.IntN(8))
	}},
	{"half of what is compressed", func(_ *requests, m *craftedMessage) {
		m.value = m.value[:len(m.value)/2]
	}},
	{"an empty set", func(_ *requests, m *craftedMessage) {
		m.value = mustCompress(record.Codec(m.attributes&7), m.magic, nil)
	}},
	{"a wrapper within", func(_ *requests, m *craftedMessage) {
		inner := *m
		m.value = mustCompress(record.Codec(m.attributes&7), m.magic, inner.appendTo(nil))
	}},
}

// produced follows the logs and the producers.
func (g *requests) produced(q request, resp *kmsg.ProduceResponse) {
	sets := map[place][]byte{}
	for _, t := range q.req.(*kmsg.ProduceRequest).Topics {
		for _, p := range t.Partitions {
			sets[place{t.Topic, p.Partition}] = p.Records
		}
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			at := place{t.Topic, p.Partition}
			set := sets[at]
			if p.ErrorCode != 0 || p.BaseOffset < 0 {
				continue
			}
			count := int64(0)
			for b := set; len(b) >= record.HeaderSize && record.EntrySize(b) <= len(b) &&
				record.EntrySize(b) > record.LogOverhead; b = b[record.EntrySize(b):] {
				count++
				if b[16] != 2 {
					continue
				}
				batch := record.Batch(b)
				count += int64(batch.LastOffsetDelta())
				g.wrote(writer{at, batch.ProducerID()}, batch, p.BaseOffset >= g.ends[at])
			}
			g.ends[at] = max(g.ends[at], p.BaseOffset+count)
		}
	}
}

// wrote notes a batch that was accepted; it is new unless it was a duplicate.
func (g *requests) wrote(w writer, b record.Batch, fresh bool) {
	s := g.writers[w]
	if s == nil || !fresh {
		return
	}
	if b.ProducerEpoch() != s.epoch {
		s.epoch, s.sent = b.ProducerEpoch(), nil
	}
	s.next = record.AddSequence(b.BaseSequence(), int32(binary.BigEndian.Uint32(b[57:])))
	s.sent = append(s.sent, [2]int32{b.BaseSequence(), b.Count()})
}

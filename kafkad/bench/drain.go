package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Drain reads l.Records from the beginning of the topic as Consume does, but looks only at the
// headers of the batches: what a client costs that decodes every record is left out, so that the
// broker is what limits. It expects all partitions at the first of l.Brokers.
func Drain(ctx context.Context, l Load) (Throughput, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", l.Brokers[0])
	if err != nil {
		return Throughput{}, fmt.Errorf("reach the broker: %w", err)
	}
	defer func() { _ = nc.Close() }() // it may be closed by the end of ctx
	defer context.AfterFunc(ctx, func() { _ = nc.Close() })()
	c := drain{nc: nc, head: kmsg.NewRequestFormatter(kmsg.FormatterClientID("drain"))}
	req := fetchAll(l)
	var got Throughput
	start := time.Now()
	for got.Records < l.Records {
		resp, err := c.fetch(req)
		if err != nil {
			return got, fmt.Errorf("after %d records: %w", got.Records, err)
		}
		n, err := advance(req, resp)
		if err != nil {
			return got, fmt.Errorf("after %d records: %w", got.Records, err)
		}
		got.Records += n
	}
	got.Took = time.Since(start)
	got.Bytes = int64(got.Records) * int64(l.Size)
	if got.Records != l.Records {
		return got, fmt.Errorf("%d records in the topic, %d were produced", got.Records, l.Records)
	}
	return got, nil
}

// drainVersion is the last version of Fetch that names topics instead of giving their ids.
const drainVersion = 12

// fetchAll asks for all partitions from their beginning, without a session, with Consume's limits.
func fetchAll(l Load) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version = drainVersion
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 500, 1, 32<<20
	req.SessionEpoch = -1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic = l.Topic
	for i := range l.Partitions {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.PartitionMaxBytes = int32(i), 4<<20
		topic.Partitions = append(topic.Partitions, p)
	}
	req.Topics = append(req.Topics, topic)
	return req
}

// drain is a connection with buffers that are used again.
type drain struct {
	nc   net.Conn
	head *kmsg.RequestFormatter
	id   int32
	out  []byte
	in   []byte
	resp kmsg.FetchResponse
}

// fetch asks and waits; the response is valid until the next call.
func (c *drain) fetch(req *kmsg.FetchRequest) (*kmsg.FetchResponse, error) {
	c.id++
	c.out = c.head.AppendRequest(c.out[:0], req, c.id)
	if _, err := c.nc.Write(c.out); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(c.nc, size[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(size[:]))
	if n > cap(c.in) {
		c.in = make([]byte, n)
	}
	c.in = c.in[:n]
	if _, err := io.ReadFull(c.nc, c.in); err != nil {
		return nil, err
	}
	if n < 5 || int32(binary.BigEndian.Uint32(c.in)) != c.id {
		return nil, errors.New("a reply to another request")
	}
	c.resp = kmsg.NewFetchResponse()
	c.resp.Version = drainVersion
	return &c.resp, c.resp.ReadFrom(c.in[5:]) // correlation id and no tagged fields
}

// advance moves the offsets of req behind the batches of resp and counts the records.
func advance(req *kmsg.FetchRequest, resp *kmsg.FetchResponse) (records int, err error) {
	if resp.ErrorCode != 0 {
		return 0, fmt.Errorf("fetch: error %d", resp.ErrorCode)
	}
	parts := req.Topics[0].Partitions
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return records, fmt.Errorf("fetch partition %d: error %d", p.Partition, p.ErrorCode)
			}
			n, next := skim(p.RecordBatches)
			records += n
			if n > 0 {
				parts[p.Partition].FetchOffset = next
			}
		}
	}
	return records, nil
}

// Where the fields of a record batch's header lie (magic 2).
const (
	batchLengthAt     = 8
	batchLastDeltaAt  = 23
	batchNumRecordsAt = 57
	batchHeaderSize   = 61
)

// skim counts the records of whole batches and returns the offset behind the last. A broker may cut
// the last batch off in its middle.
func skim(b []byte) (records int, next int64) {
	for len(b) >= batchHeaderSize {
		size := 12 + int(binary.BigEndian.Uint32(b[batchLengthAt:]))
		if size > len(b) {
			break
		}
		next = int64(binary.BigEndian.Uint64(b)) +
			int64(binary.BigEndian.Uint32(b[batchLastDeltaAt:])) + 1
		records += int(binary.BigEndian.Uint32(b[batchNumRecordsAt:]))
		b = b[size:]
	}
	return records, next
}

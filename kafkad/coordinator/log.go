package coordinator

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/group"
	"zkafka/kafkad/host"
	"zkafka/kafkad/record"
)

// Partitions is what a HostLog needs of kafkad/host.
type Partitions interface {
	Append(
		ctx context.Context, tp host.TP, batches []byte, acks int16, timeout time.Duration,
	) (base int64, err error)
	Read(tp host.TP, offset int64, maxBytes int, dst []byte) ([]byte, error)
	Offsets(tp host.TP) (host.Offsets, error)
}

// HostLog is the Log of a running broker: record batches in the partitions that the host owns.
type HostLog struct {
	Host           Partitions
	RequiredAcks   int16         // offsets.commit.required.acks
	CommitTimeout  time.Duration // offsets.commit.timeout.ms
	LoadBufferSize int           // offsets.load.buffer.size
	Codec          record.Codec  // offsets.topic.compression.codec
	Log            *zap.Logger
	builders       sync.Pool
}

// Append implements Log.
func (l *HostLog) Append(
	ctx context.Context, partition int32, records []group.Record, millis int64,
) (int64, error) {
	b, ok := l.builders.Get().(*record.Builder)
	if !ok {
		b = record.NewBuilder(l.Codec, record.Levels{})
	}
	b.Reset()
	for i := range records {
		b.Add(millis, records[i].Key, records[i].Value, nil)
	}
	batch, err := b.Build()
	if err != nil {
		return -1, fmt.Errorf("build batch of %d group records: %w", len(records), err)
	}
	base, err := l.Host.Append(
		ctx, offsetsPartition(partition), batch, l.RequiredAcks, l.CommitTimeout)
	if err == nil {
		l.builders.Put(b) // after a failure the host may still hold the bytes
	}
	return base, err
}

func offsetsPartition(partition int32) host.TP {
	return host.TP{Topic: cluster.OffsetsTopic, Partition: partition}
}

// Replay implements Log. It reads what the log held when the broker became leader; more cannot
// come while the partition is loading.
func (l *HostLog) Replay(ctx context.Context, partition int32, into *group.Loader) error {
	tp := offsetsPartition(partition)
	limits, err := l.Host.Offsets(tp)
	if err != nil {
		return err
	}
	var buf []byte
	for next := limits.LogStart; next < limits.LogEnd; {
		if err := ctx.Err(); err != nil {
			return err
		}
		buf, err = l.Host.Read(tp, next, max(l.LoadBufferSize, 1<<16), buf[:0])
		if err != nil {
			return err
		}
		if next, err = l.replayBatches(partition, buf, next, into); err != nil {
			return err
		}
	}
	return nil
}

// replayBatches gives the records of whole batches to the loader, from offset on, and returns
// the offset after the last batch.
func (l *HostLog) replayBatches(
	partition int32, b []byte, offset int64, into *group.Loader,
) (next int64, err error) {
	next = offset
	_, err = record.Walk(b, func(entry []byte, m *record.Meta) error {
		next = max(next, m.LastOffset+1)
		if m.Control() {
			t, _, err := record.Batch(entry).Marker()
			if err == nil {
				into.Marker(m.ProducerID, t == record.Commit)
			}
			return err
		}
		return record.EachOf(entry, m, func(m *record.Meta, r *record.Record) error {
			if r.Offset < offset {
				return nil
			}
			err := into.Record(r.Offset, m.Transactional(), m.ProducerID,
				group.Record{Key: r.Key, Value: r.Value})
			if err != nil && l.Log != nil {
				l.Log.Warn("record of the offsets topic is not readable and is left out",
					zap.Int32("PARTITION", partition), zap.Int64("offset", r.Offset),
					zap.Error(err))
			}
			return nil
		})
	})
	if err == nil && next == offset {
		err = fmt.Errorf("no whole batch at offset %d: %w", offset, errcode.CorruptMessage)
	}
	return next, err
}

// Follow keeps the coordinator's partitions in step with the broker's leaderships.
func (c *Coordinator) Follow(l host.Leadership) {
	switch {
	case l.Leader:
		c.Elected(l.TP.Partition, l.Epoch)
	case l.Deleted:
		c.Resigned(l.TP.Partition, -1)
	default:
		c.Resigned(l.TP.Partition, l.Epoch)
	}
}

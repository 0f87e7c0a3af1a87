package coordinator

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"zkafka/kafkad/errcode"
	"zkafka/kafkad/group"
	"zkafka/kafkad/host"
	"zkafka/kafkad/record"
)

// fakePartitions is one partition as the host shows it: whole batches up to the log end.
type fakePartitions struct {
	batches []record.Batch
	end     int64
	acks    int16
	err     error
	cut     int // bytes to cut off what Read returns
}

func (f *fakePartitions) Append(
	_ context.Context, tp host.TP, b []byte, acks int16, _ time.Duration,
) (int64, error) {
	if f.err != nil {
		return -1, f.err
	}
	batch := record.Batch(append([]byte(nil), b...))
	if err := batch.CheckCRC(); err != nil {
		return -1, err
	}
	base := f.end
	batch.SetBaseOffset(base)
	f.batches = append(f.batches, batch)
	f.end = batch.LastOffset() + 1
	f.acks = acks
	return base, nil
}

func (f *fakePartitions) Read(_ host.TP, offset int64, most int, dst []byte) ([]byte, error) {
	for _, b := range f.batches {
		if b.LastOffset() < offset {
			continue
		}
		if len(dst) > 0 && len(dst)+len(b) > most {
			break
		}
		dst = append(dst, b...)
	}
	return dst[:max(0, len(dst)-f.cut)], f.err
}

func (f *fakePartitions) Offsets(host.TP) (host.Offsets, error) {
	return host.Offsets{LogEnd: f.end}, f.err
}

func offsetRecord(g string, partition int32, at int64) group.Record {
	o := group.Offset{Offset: at, LeaderEpoch: -1, ExpireTimestamp: -1}
	tp := group.TopicPartition{Topic: "t", Partition: partition}
	return group.Record{Key: group.EncodeOffsetKey(g, tp), Value: group.EncodeOffsetValue(&o)}
}

// What was appended is replayed, compressed or not.
func TestHostLog(t *testing.T) {
	for _, codec := range []record.Codec{record.None, record.Gzip, record.Zstd} {
		f := &fakePartitions{}
		l := &HostLog{Host: f, RequiredAcks: -1, Codec: codec, LoadBufferSize: 1}
		ctx := context.Background()
		for i := range int64(300) {
			records := []group.Record{offsetRecord("g", int32(i%3), i)}
			if i == 299 {
				records = append(records, group.Record{
					Key: group.EncodeOffsetKey("g", group.TopicPartition{Topic: "t", Partition: 1}),
				})
			}
			if base, err := l.Append(ctx, 7, records, 1234); err != nil || base != i {
				t.Fatalf("append %d: %d, %v", i, base, err)
			}
		}
		if f.acks != -1 {
			t.Errorf("appended with acks %d", f.acks)
		}
		loader := group.NewLoader()
		if err := l.Replay(ctx, 7, loader); err != nil {
			t.Fatal(err)
		}
		m := loader.Finish(group.DefaultConfig(), 1)
		var got []int64
		for _, o := range m.Fetch("g", nil, false) {
			got = append(got, o.Offset)
		}
		if len(got) != 2 || got[0] != 297 || got[1] != 299 {
			t.Errorf("%v: offsets %v after the replay", codec, got)
		}
	}
}

// Transactions of other brokers' clients count once they are committed.
func TestReplayTransactions(t *testing.T) {
	f := &fakePartitions{}
	l := &HostLog{Host: f, LoadBufferSize: 1 << 20}
	add := func(pid int64, rec group.Record) {
		b := record.NewBuilder(record.None, record.Levels{})
		b.SetProducer(pid, 0, 0, true)
		b.Add(1, rec.Key, rec.Value, nil)
		batch, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Append(context.Background(), host.TP{}, batch, 1, 0); err != nil {
			t.Fatal(err)
		}
	}
	mark := func(pid int64, kind record.MarkerType) {
		_, err := f.Append(context.Background(), host.TP{}, record.BuildMarker(kind, pid, 0, 0, 1), 1, 0)
		if err != nil {
			t.Fatal(err)
		}
	}
	add(1, offsetRecord("g", 0, 10))
	add(2, offsetRecord("g", 1, 11))
	mark(1, record.Commit)
	mark(2, record.Abort)
	loader := group.NewLoader()
	if err := l.Replay(context.Background(), 0, loader); err != nil {
		t.Fatal(err)
	}
	out := loader.Finish(group.DefaultConfig(), 1).Fetch("g", nil, true)
	if len(out) != 1 || out[0].Partition != 0 || out[0].Offset != 10 {
		t.Errorf("offsets %+v", out)
	}
}

// A log that cannot be read is an error, never an empty group; a single unreadable record is
// left out.
func TestReplayFaults(t *testing.T) {
	f := &fakePartitions{}
	l := &HostLog{Host: f, LoadBufferSize: 1 << 20}
	ctx := context.Background()
	bad := group.Record{Key: binary.BigEndian.AppendUint16(nil, 1)}
	if _, err := l.Append(ctx, 0, []group.Record{bad, offsetRecord("g", 0, 5)}, 1); err != nil {
		t.Fatal(err)
	}
	loader := group.NewLoader()
	if err := l.Replay(ctx, 0, loader); err != nil {
		t.Fatal(err)
	}
	if m := loader.Finish(group.DefaultConfig(), 1); m.Offsets() != 1 {
		t.Errorf("%d offsets", m.Offsets())
	}
	f.cut = 1
	if err := l.Replay(ctx, 0, group.NewLoader()); codeOf(err) != errcode.CorruptMessage {
		t.Errorf("half a batch: %v", err)
	}
	f.err = errcode.NotLeaderOrFollower
	if err := l.Replay(ctx, 0, group.NewLoader()); !errors.Is(err, f.err) {
		t.Errorf("not leader: %v", err)
	}
	if _, err := l.Append(ctx, 0, []group.Record{bad}, 1); codeOf(err) != errcode.NotLeaderOrFollower {
		t.Errorf("append: %v", err)
	}
}

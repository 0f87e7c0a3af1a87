package wire

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/errcode"
)

func ptr[T any](v T) *T { return &v }

func produceRequest(version int16) *kmsg.ProduceRequest {
	q := kmsg.NewPtrProduceRequest()
	q.SetVersion(version)
	q.TransactionID, q.Acks, q.TimeoutMillis = ptr("txn"), -1, 1500
	for _, topic := range []string{"a", "second.topic"} {
		t := kmsg.NewProduceRequestTopic()
		t.Topic = topic
		for i := int32(0); i < 3; i++ {
			p := kmsg.NewProduceRequestTopicPartition()
			p.Partition = i
			p.Records = bytes.Repeat([]byte{byte(i)}, int(i)*100)
			t.Partitions = append(t.Partitions, p)
		}
		q.Topics = append(q.Topics, t)
	}
	return q
}

func TestProduceRequestAllVersions(t *testing.T) {
	var got ProduceRequest
	for v := int16(0); v <= 11; v++ {
		want := produceRequest(v)
		if err := got.Decode(v, want.AppendTo(nil)); err != nil {
			t.Fatalf("version %d: %v", v, err)
		}
		if v >= 3 && string(got.TransactionalID) != "txn" || v < 3 && got.TransactionalID != nil {
			t.Errorf("version %d: transactional id %q", v, got.TransactionalID)
		}
		if got.Acks != -1 || got.TimeoutMillis != 1500 || len(got.Topics) != 2 {
			t.Errorf("version %d: %+v", v, got)
		}
		for i, wt := range want.Topics {
			gt := got.Topics[i]
			if string(gt.Name) != wt.Topic || gt.To-gt.From != len(wt.Partitions) {
				t.Fatalf("version %d topic %d: %+v", v, i, gt)
			}
			for j, wp := range wt.Partitions {
				gp := got.Partitions[gt.From+j]
				if gp.Index != wp.Partition || !bytes.Equal(gp.Records, wp.Records) {
					t.Errorf("version %d: partition %d differs", v, j)
				}
			}
		}
	}
}

// The response must be, byte for byte, what the client library writes for the same content.
func TestProduceResponseAllVersions(t *testing.T) {
	results := []ProduceResult{
		{BaseOffset: 17, LogAppendTimeMillis: 1234, LogStartOffset: 3},
		{Err: errcode.InvalidRecord, BaseOffset: -1, LogAppendTimeMillis: -1, LogStartOffset: -1,
			RecordErrors: []RecordError{{2, "no key"}, {3, ""}}, Message: "bad"},
		{Err: errcode.NotLeaderOrFollower, BaseOffset: -1, LogAppendTimeMillis: -1, LogStartOffset: -1,
			LeaderID: 5, LeaderEpoch: 9},
	}
	endpoints := []Endpoint{{5, "host", 9092, "r1"}, {6, "other", 9093, ""}}
	for v := int16(0); v <= 11; v++ {
		q := produceRequest(v)
		var req ProduceRequest
		if err := req.Decode(v, q.AppendTo(nil)); err != nil {
			t.Fatal(err)
		}
		all := append(append([]ProduceResult{}, results...), results...)
		got := AppendProduceResponse(nil, v, &req, all, 42, endpoints)

		want := kmsg.NewPtrProduceResponse()
		want.SetVersion(v)
		want.ThrottleMillis = 42
		for _, name := range []string{"a", "second.topic"} {
			wt := kmsg.NewProduceResponseTopic()
			wt.Topic = name
			for i, r := range results {
				p := kmsg.NewProduceResponseTopicPartition()
				p.Partition, p.ErrorCode, p.BaseOffset = int32(i), int16(r.Err), r.BaseOffset
				p.LogAppendTime, p.LogStartOffset = r.LogAppendTimeMillis, r.LogStartOffset
				for _, e := range r.RecordErrors {
					re := kmsg.NewProduceResponseTopicPartitionErrorRecord()
					re.RelativeOffset = e.Index
					if e.Message != "" {
						re.ErrorMessage = ptr(e.Message)
					}
					p.ErrorRecords = append(p.ErrorRecords, re)
				}
				if r.Message != "" {
					p.ErrorMessage = ptr(r.Message)
				}
				if r.LeaderID != 0 && v >= 10 {
					p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = r.LeaderID, r.LeaderEpoch
				}
				wt.Partitions = append(wt.Partitions, p)
			}
			want.Topics = append(want.Topics, wt)
		}
		if v >= 10 {
			for _, e := range endpoints {
				b := kmsg.NewProduceResponseBroker()
				b.NodeID, b.Host, b.Port = e.NodeID, e.Host, e.Port
				if e.Rack != "" {
					b.Rack = ptr(e.Rack)
				}
				want.Brokers = append(want.Brokers, b)
			}
		}
		if w := want.AppendTo(nil); !bytes.Equal(got, w) {
			t.Errorf("version %d:\n got %s\nwant %s", v, hex.EncodeToString(got), hex.EncodeToString(w))
		}
	}
}

func fetchRequest(version int16) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.SetVersion(version)
	q.ReplicaID, q.MaxWaitMillis, q.MinBytes, q.MaxBytes = 7, 500, 1, 1<<20
	q.ReplicaState.ID, q.ReplicaState.Epoch = 7, 77
	q.ClusterID = ptr("cluster")
	q.IsolationLevel, q.SessionID, q.SessionEpoch, q.Rack = 1, 99, 3, "rack"
	for i, topic := range []string{"a", "b"} {
		t := kmsg.NewFetchRequestTopic()
		t.Topic, t.TopicID = topic, [16]byte{1, byte(i)}
		for j := int32(0); j < 2; j++ {
			p := kmsg.NewFetchRequestTopicPartition()
			p.Partition, p.CurrentLeaderEpoch, p.FetchOffset = j, 4, int64(j)*1000
			p.LastFetchedEpoch, p.LogStartOffset, p.PartitionMaxBytes = 3, 5, 65536
			if version >= 17 {
				p.ReplicaDirectoryID = [16]byte{9}
			}
			t.Partitions = append(t.Partitions, p)
		}
		q.Topics = append(q.Topics, t)
	}
	f := kmsg.NewFetchRequestForgottenTopic()
	f.Topic, f.TopicID, f.Partitions = "gone", [16]byte{2}, []int32{4, 5}
	q.ForgottenTopics = append(q.ForgottenTopics, f)
	return q
}

func TestFetchRequestAllVersions(t *testing.T) {
	pick := func(cond bool, a, b int64) int64 {
		if cond {
			return a
		}
		return b
	}
	var got FetchRequest
	for v := int16(0); v <= 17; v++ {
		if err := got.Decode(v, fetchRequest(v).AppendTo(nil)); err != nil {
			t.Fatalf("version %d: %v", v, err)
		}
		want := FetchRequest{
			ReplicaID: 7, ReplicaEpoch: pick(v >= 15, 77, -1), MaxWaitMillis: 500, MinBytes: 1,
			MaxBytes:     int32(pick(v >= 3, 1<<20, 1<<31-1)),
			Isolation:    int8(pick(v >= 4, 1, 0)),
			SessionID:    int32(pick(v >= 7, 99, 0)),
			SessionEpoch: int32(pick(v >= 7, 3, -1)),
		}
		for i, name := range []string{"a", "b"} {
			ft := FetchTopic{From: 2 * i, To: 2*i + 2}
			if v >= 13 {
				ft.ID = [16]byte{1, byte(i)}
			} else {
				ft.Name = []byte(name)
			}
			want.Topics = append(want.Topics, ft)
			for j := int32(0); j < 2; j++ {
				want.Partitions = append(want.Partitions, FetchPartition{
					Index: j, CurrentLeaderEpoch: int32(pick(v >= 9, 4, -1)), Offset: int64(j) * 1000,
					LastFetchedEpoch: int32(pick(v >= 12, 3, -1)),
					LogStartOffset:   pick(v >= 5, 5, -1), MaxBytes: 65536,
				})
			}
		}
		if v >= 7 {
			for _, i := range []int32{4, 5} {
				f := ForgottenPartition{Index: i}
				if v >= 13 {
					f.ID = [16]byte{2}
				} else {
					f.Name = []byte("gone")
				}
				want.Forgotten = append(want.Forgotten, f)
			}
		}
		if v >= 11 {
			want.Rack = []byte("rack")
		}
		if len(got.Forgotten) == 0 {
			got.Forgotten = nil
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("version %d:\n got %+v\nwant %+v", v, got, want)
		}
	}
}

func TestFetchResponseAllVersions(t *testing.T) {
	records := bytes.Repeat([]byte("r"), 300)
	for v := int16(0); v <= 17; v++ {
		results := []FetchResult{
			{Index: 0, HighWatermark: 10, LastStableOffset: 9, LogStartOffset: 1, DivergingEpoch: -1,
				PreferredReplica: -1, RecordsLen: len(records)},
			{Index: 1, Err: errcode.NotLeaderOrFollower, HighWatermark: -1, LastStableOffset: -1,
				LogStartOffset: -1, DivergingEpoch: -1, LeaderID: 2, LeaderEpoch: 8, PreferredReplica: -1},
			{Index: 2, HighWatermark: 10, LastStableOffset: 10, LogStartOffset: 0, DivergingEpoch: 3,
				DivergingEnd: 44, PreferredReplica: 6,
				Aborted: []AbortedTransaction{{ProducerID: 5, FirstOffset: 6}}},
		}
		endpoints := []Endpoint{{2, "h", 1, ""}}
		e := FetchEncoder{Version: v}
		e.Head(11, errcode.None, 1234, 1)
		e.TopicHead([]byte("t"), [16]byte{3}, len(results))
		for i := range results {
			e.PartitionHead(&results[i])
			e.B = append(e.B, records[:results[i].RecordsLen]...)
			e.PartitionTail(&results[i])
		}
		e.TopicTail()
		e.Tail(endpoints)

		want := kmsg.NewPtrFetchResponse()
		want.SetVersion(v)
		want.ThrottleMillis, want.SessionID = 11, 1234
		wt := kmsg.NewFetchResponseTopic()
		wt.Topic, wt.TopicID = "t", [16]byte{3}
		for _, r := range results {
			p := kmsg.NewFetchResponseTopicPartition()
			p.Partition, p.ErrorCode, p.HighWatermark = r.Index, int16(r.Err), r.HighWatermark
			p.LastStableOffset, p.LogStartOffset = r.LastStableOffset, r.LogStartOffset
			p.PreferredReadReplica = r.PreferredReplica
			p.RecordBatches = append([]byte{}, records[:r.RecordsLen]...)
			if r.DivergingEpoch >= 0 {
				p.DivergingEpoch.Epoch, p.DivergingEpoch.EndOffset = r.DivergingEpoch, r.DivergingEnd
			}
			if r.LeaderEpoch > 0 {
				p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = r.LeaderID, r.LeaderEpoch
			}
			for _, a := range r.Aborted {
				wa := kmsg.NewFetchResponseTopicPartitionAbortedTransaction()
				wa.ProducerID, wa.FirstOffset = a.ProducerID, a.FirstOffset
				p.AbortedTransactions = append(p.AbortedTransactions, wa)
			}
			wt.Partitions = append(wt.Partitions, p)
		}
		want.Topics = append(want.Topics, wt)
		if v >= 16 {
			b := kmsg.NewFetchResponseBroker()
			b.NodeID, b.Host, b.Port = 2, "h", 1
			want.Brokers = append(want.Brokers, b)
		}
		if w := want.AppendTo(nil); !bytes.Equal(e.B, w) {
			t.Errorf("version %d:\n got %s\nwant %s", v, hex.EncodeToString(e.B), hex.EncodeToString(w))
		}
	}
}

// Our table must agree with the client library about what is flexible, and not go beyond it.
func TestTableAgreesWithClients(t *testing.T) {
	last := int16(-1)
	for _, a := range APIs() {
		if a.Key <= last {
			t.Errorf("%s is out of order", a.Name)
		}
		last = a.Key
		if got, ok := Lookup(a.Key); !ok || got != a {
			t.Errorf("Lookup(%d) = %+v, %v", a.Key, got, ok)
		}
		req := kmsg.RequestForKey(a.Key)
		if req == nil || req.MaxVersion() < a.Max {
			t.Fatalf("%s: clients know less than version %d", a.Name, a.Max)
		}
		if !strings.EqualFold(kmsg.NameForKey(a.Key), a.Name) {
			t.Errorf("key %d is %s, clients say %s", a.Key, a.Name, kmsg.NameForKey(a.Key))
		}
		for v := int16(0); v <= a.Max; v++ {
			req.SetVersion(v)
			if req.IsFlexible() != (v >= a.Flexible) {
				t.Errorf("%s version %d: flexible %v", a.Name, v, req.IsFlexible())
			}
		}
	}
	if _, ok := Lookup(-1); ok {
		t.Error("key -1 is served")
	}
}

func TestParseHeader(t *testing.T) {
	for _, tc := range []struct {
		name, hex string
		want      Header
		body      string
		err       error
	}{
		{"classic", "0000 0003 0000002a 0002 6162 ff", Header{0, 3, 42, []byte("ab")}, "ff", nil},
		{"null client id", "0003 0001 00000001 ffff", Header{3, 1, 1, nil}, "", nil},
		{"flexible with a tag", "0003 0009 00000001 0001 63 01 05 02 aabb 77",
			Header{3, 9, 1, []byte("c")}, "77", nil},
		{"unknown api", "0063 0000 00000001 ffff", Header{Key: 99, CorrelationID: 1}, "", ErrUnknownAPI},
		{"unknown version", "0012 0063 00000009 ffff", Header{18, 99, 9, nil}, "", ErrVersion},
		{"no header", "0012 0063", Header{}, "", ErrShort},
		{"client id too long", "0000 0003 0000002a 0009 6162", Header{0, 3, 42, nil}, "", ErrShort},
	} {
		frame, _ := hex.DecodeString(stripSpaces(tc.hex))
		h, body, err := ParseHeader(frame)
		if !errors.Is(err, tc.err) || !reflect.DeepEqual(h, tc.want) || hex.EncodeToString(body) != tc.body {
			t.Errorf("%s: %+v %x %v", tc.name, h, body, err)
		}
	}
}

func stripSpaces(s string) string {
	return string(bytes.ReplaceAll([]byte(s), []byte(" "), nil))
}

func TestAPIVersionsFallbackIsVersion0(t *testing.T) {
	b := AppendAPIVersionsFallback(nil, 7)
	if int(binary.BigEndian.Uint32(b)) != len(b)-4 {
		t.Errorf("size field %x", b)
	}
	var resp kmsg.ApiVersionsResponse
	if err := resp.ReadFrom(b[8:]); err != nil {
		t.Fatal(err)
	}
	if resp.ErrorCode != 35 || len(resp.ApiKeys) != 1 || resp.ApiKeys[0].ApiKey != 18 ||
		resp.ApiKeys[0].MaxVersion != 4 {
		t.Errorf("%+v", resp)
	}
}

func FuzzDecode(f *testing.F) {
	for v := int16(0); v <= 17; v++ {
		if v <= 11 {
			f.Add(v, produceRequest(v).AppendTo(nil))
		}
		f.Add(v, fetchRequest(v).AppendTo(nil))
	}
	f.Fuzz(func(t *testing.T, version int16, b []byte) {
		if version < 0 {
			return
		}
		var p ProduceRequest
		if version <= 11 && p.Decode(version, b) == nil {
			for _, topic := range p.Topics {
				if topic.From > topic.To || topic.To > len(p.Partitions) {
					t.Fatalf("%+v", topic)
				}
			}
		}
		var q FetchRequest
		if version <= 17 && q.Decode(version, b) == nil {
			for _, topic := range q.Topics {
				if topic.From > topic.To || topic.To > len(q.Partitions) {
					t.Fatalf("%+v", topic)
				}
			}
		}
		ParseHeader(b)
	})
}

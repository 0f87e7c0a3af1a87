package handler

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/disk"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/host"
	"zkafka/kafkad/record"
)

// spanOutput puts a reply with spans together.
type spanOutput struct{ memoryOutput }

func (o *spanOutput) WriteSpans(head []byte, spans []Span) error {
	at := 0
	for _, s := range spans {
		o.b = append(o.b, head[at:s.At]...)
		at = s.At
		b := make([]byte, s.Len)
		if n, err := s.File.ReadAt(b, s.Offset); n < len(b) {
			return err
		}
		o.b = append(o.b, b...)
	}
	o.b = append(o.b, head[at:]...)
	return nil
}

// fetchBroker leads partition 0 of the topic "t"; the words are batches of its log: "1+" is data in
// a transaction of producer 1, "1A" and "1C" end it, "=" is data of nobody.
func fetchBroker(t *testing.T, words string) *Handlers {
	t.Helper()
	set, err := host.OpenDirs([]string{"/data"}, disk.NewMem(), nil)
	if err != nil {
		t.Fatal(err)
	}
	h, err := host.Open(t.Context(), set, host.Options{NodeID: 1, ClusterID: "c"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	res := h.LeaderAndIsr(&cluster.LeaderAndIsr{BrokerEpoch: -1, Partitions: []cluster.PartitionState{{
		Topic: "t", TopicID: cluster.TopicID{1}, IsNew: true, Partition: cluster.Partition{
			Leader: 1, ISR: []int32{1}, Replicas: []int32{1}}}}})
	if res.Err != errcode.None || res.Partitions[0].Err != errcode.None {
		t.Fatal(res)
	}
	for word := range strings.FieldsSeq(words) {
		id := int64(word[0] - '0')
		var batch record.Batch
		switch word[len(word)-1] {
		case 'A':
			batch = record.BuildMarker(record.Abort, id, 0, 1, 5)
		case 'C':
			batch = record.BuildMarker(record.Commit, id, 0, 1, 5)
		default:
			b := record.NewBuilder(record.None, record.Levels{})
			if word != "=" {
				b.SetProducer(id, 0, 0, true)
			}
			b.Add(5, nil, []byte(word), nil)
			if batch, err = b.Build(); err != nil {
				t.Fatal(err)
			}
		}
		tp := host.TP{Topic: "t"}
		if _, err := h.Append(t.Context(), tp, batch, 1, time.Minute); err != nil {
			t.Fatal(word, err)
		}
	}
	return &Handlers{NodeID: 1, Host: h, Store: imageStore{cluster.NewImage("c")}}
}

func fetchOnce(t *testing.T, h *Handlers, version int16, isolation int8, offset int64,
	maxBytes int32) kmsg.FetchResponseTopicPartition {
	t.Helper()
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.IsolationLevel, req.SessionEpoch = version, isolation, -1
	topic := kmsg.NewFetchRequestTopic()
	topic.Topic, topic.TopicID = "t", [16]byte{1}
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes = offset, maxBytes
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	return fetch(t, h, req).Topics[0].Partitions[0]
}

func fetch(t *testing.T, h *Handlers, req *kmsg.FetchRequest) *kmsg.FetchResponse {
	t.Helper()
	out := &spanOutput{}
	frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, 7)[4:]
	if err := h.Serve(t.Context(), &Conn{Listener: "PLAINTEXT", Out: out}, frame); err != nil {
		t.Fatal(err)
	}
	resp := req.ResponseKind().(*kmsg.FetchResponse)
	body := out.b[8:]
	if resp.IsFlexible() {
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		t.Fatal(err)
	}
	return resp
}

// TestFetchCommitted: from version 4 on consumers of committed records get them up to the last
// stable offset, with the transactions that were aborted among them; others get all and null.
func TestFetchCommitted(t *testing.T) {
	h := fetchBroker(t, "1+ 2+ = 1A 2C 3+ 1+ 1C 3A 2+ = 1+ 1A")
	const end, stable = 13, 9
	for version := int16(4); version <= 17; version++ {
		for _, c := range []struct {
			offset   int64
			maxBytes int32
			want     string
		}{
			{0, 1 << 20, "1@0 3@5"},
			{0, 1, "1@0"}, // the first batch alone
			{1, 1, "1@0"}, // of producer 2, but 1 goes on behind it
			{3, 1 << 20, "1@0 3@5"},
			{4, 1 << 20, "3@5"},
			{8, 1 << 20, "3@5"},
			{9, 1 << 20, ""}, // the last stable offset
			{12, 1 << 20, ""},
		} {
			p := fetchOnce(t, h, version, 1, c.offset, c.maxBytes)
			var got []string
			for _, a := range p.AbortedTransactions {
				got = append(got, fmt.Sprintf("%d@%d", a.ProducerID, a.FirstOffset))
			}
			slices.Sort(got)
			if text := strings.Join(got, " "); text != c.want || p.AbortedTransactions == nil ||
				p.LastStableOffset != stable || p.HighWatermark != end || p.ErrorCode != 0 ||
				(len(p.RecordBatches) > 0) != (c.offset < stable) {
				t.Errorf("version %d, %+v: %s, %+v", version, c, text, p)
			}
			p = fetchOnce(t, h, version, 0, c.offset, c.maxBytes)
			if p.AbortedTransactions != nil || len(p.RecordBatches) == 0 || p.ErrorCode != 0 {
				t.Errorf("version %d, %+v, uncommitted: %+v", version, c, p)
			}
		}
	}
}

// fetchOf asks for partitions of a topic from offset 0 each, at most a byte of each.
func fetchOf(topic string, version int16, partitions ...int32) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.SessionEpoch = version, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, [16]byte{1}
	for _, index := range partitions {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.PartitionMaxBytes = index, 1
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

// A batch that does not fit is whole if it is the first of the response, from version 3 on, and
// left out otherwise: nothing is cut.
func TestFetchOfWhatDoesNotFit(t *testing.T) {
	h := fetchBroker(t, "= =")
	for version := int16(0); version <= 17; version++ {
		p := fetch(t, h, fetchOf("t", version, 0)).Topics[0].Partitions[0]
		if whole := version >= 3; p.HighWatermark != 2 || (len(p.RecordBatches) > 0) != whole {
			t.Errorf("version %d: %+v", version, p)
		}
		req := fetchOf("t", version, 0)
		req.Topics[0].Partitions[0].PartitionMaxBytes = -1
		p = fetch(t, h, req).Topics[0].Partitions[0]
		if errcode.Code(p.ErrorCode) != errcode.UnknownServerError {
			t.Errorf("version %d, a limit below 0: %+v", version, p)
		}
	}
}

// Partitions that do not exist come last, in sessions too, and keep their place in them.
func TestFetchOrder(t *testing.T) {
	h := fetchBroker(t, "= =")
	req := fetchOf("t", 12, 7, 0, 8)
	req.SessionEpoch = 0
	for round := range 2 {
		resp := fetch(t, h, req)
		var order []int32
		for _, p := range resp.Topics[0].Partitions {
			order = append(order, p.Partition)
		}
		if !slices.Equal(order, []int32{0, 7, 8}) || resp.SessionID == 0 {
			t.Errorf("round %d, session %d: %v", round, resp.SessionID, order)
		}
		req.SessionID, req.SessionEpoch, req.Topics = resp.SessionID, 1, nil
	}
	// A session may begin empty, and ends when nothing is left.
	empty := fetchOf("t", 12)
	empty.SessionEpoch, empty.Topics = 0, nil
	resp := fetch(t, h, empty)
	if resp.SessionID == 0 {
		t.Error("no session without partitions")
	}
	empty.SessionID, empty.SessionEpoch = resp.SessionID, 1
	if resp = fetch(t, h, empty); resp.SessionID != 0 || resp.ErrorCode != 0 {
		t.Errorf("a session without partitions goes on: %+v", resp)
	}
}

// An isolation level that does not exist is the request's fault, if there is anything to read.
func TestFetchIsolation(t *testing.T) {
	h := fetchBroker(t, "= =")
	for _, version := range []int16{4, 12, 13, 17} {
		req := fetchOf("t", version, 0, 9)
		req.IsolationLevel = 2
		resp := fetch(t, h, req)
		if version >= 7 && errcode.Code(resp.ErrorCode) != errcode.UnknownServerError {
			t.Errorf("version %d: %+v", version, resp)
		}
		if n := len(resp.Topics); version >= 13 && n != 0 || version < 13 && n != 1 {
			t.Errorf("version %d: %d topics", version, n)
		}
	}
	req := fetchOf("t", 12, 9)
	req.IsolationLevel = 2
	if resp := fetch(t, h, req); resp.ErrorCode != 0 {
		t.Errorf("nothing to read: %+v", resp)
	}
}

// Timestamps below 0 mean something from a version on; a leader epoch below -1 is an old one.
func TestListOffsetsTimestamps(t *testing.T) {
	h := fetchBroker(t, "= =")
	for _, tc := range []struct {
		version   int16
		timestamp int64
		epoch     int32
		want      errcode.Code
	}{
		{0, -1, -1, errcode.None}, {1, -1, -1, errcode.None}, {9, -2, -1, errcode.None},
		{6, -3, -1, errcode.UnsupportedVersion}, {7, -3, -1, errcode.None},
		{7, -4, -1, errcode.UnsupportedVersion}, {8, -4, -1, errcode.None},
		{8, -5, -1, errcode.UnsupportedVersion}, {9, -5, -1, errcode.None},
		{9, -6, -1, errcode.UnsupportedVersion}, {0, -3, -1, errcode.UnsupportedVersion},
		{9, -1, -2, errcode.FencedLeaderEpoch}, {9, -1, 5, errcode.UnknownLeaderEpoch},
	} {
		req := kmsg.NewPtrListOffsetsRequest()
		req.Version, req.ReplicaID = tc.version, -1
		q := kmsg.NewListOffsetsRequestTopicPartition()
		q.Timestamp, q.CurrentLeaderEpoch, q.MaxNumOffsets = tc.timestamp, tc.epoch, 1
		if got := h.listOffsets(req, "t", &q); errcode.Code(got.ErrorCode) != tc.want {
			t.Errorf("%+v: %+v", tc, got)
		}
	}
}

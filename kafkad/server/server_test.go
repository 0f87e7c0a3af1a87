package server_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"zkafka/kafkad/disk"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/group"
	"zkafka/kafkad/host"
	"zkafka/kafkad/record"
	"zkafka/kafkad/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProduceFetchAllVersions(t *testing.T) {
	r := newRig(t)
	r.lead("t", 1)
	c := r.dial()
	var want []string
	for v := int16(0); v <= 11; v++ {
		value := fmt.Sprintf("value %d", v)
		b := batch(value)
		if v < 3 {
			magic := int8(0)
			if v == 2 {
				magic = 1
			}
			var err error
			if b, err = record.DownConvert(b, magic, 0); err != nil {
				t.Fatal(err)
			}
		}
		p := c.produce("t", 0, v, 1, b)
		if p.ErrorCode != 0 || p.BaseOffset != int64(v) {
			t.Errorf("produce version %d: %v, offset %d", v, errcode.Code(p.ErrorCode), p.BaseOffset)
		}
		if p.LogAppendTime != -1 && v >= 2 {
			t.Errorf("produce version %d: append time %d of a topic with create times", v, p.LogAppendTime)
		}
		want = append(want, value)
	}
	for v := int16(0); v <= 17; v++ {
		for _, from := range []int64{0, 7} {
			if got := c.fetchValues("t", v, from); !slices.Equal(got, want[from:]) {
				t.Errorf("fetch version %d from %d: %q", v, from, got)
			}
		}
	}
}

func TestProduceErrors(t *testing.T) {
	r := newRig(t, withTopic("small", map[string]string{"max.message.bytes": "100"}))
	r.lead("t", 1)
	r.lead("small", 1)
	r.lead("__consumer_offsets", 1)
	r.order("elsewhere", 1, 2)
	c := r.dial()
	bad := batch("x")
	bad[len(bad)-1] ^= 1
	two := append(batch("a"), batch("b")...)
	for _, tc := range []struct {
		name      string
		topic     string
		partition int32
		acks      int16
		records   []byte
		want      errcode.Code
	}{
		{"unknown topic", "nope", 0, 1, batch("x"), errcode.UnknownTopicOrPartition},
		{"unknown partition", "t", 7, 1, batch("x"), errcode.UnknownTopicOrPartition},
		{"other leader", "elsewhere", 0, 1, batch("x"), errcode.NotLeaderOrFollower},
		{"internal topic", "__consumer_offsets", 0, 1, batch("x"), errcode.InvalidTopicException},
		{"acks 2", "t", 0, 2, batch("x"), errcode.InvalidRequiredAcks},
		{"checksum", "t", 0, 1, bad, errcode.CorruptMessage},
		{"too large", "small", 0, 1, batch(strings.Repeat("x", 200)), errcode.MessageTooLarge},
		{"two batches", "t", 0, 1, two, errcode.InvalidRecord},
		{"nothing", "t", 0, 1, nil, errcode.InvalidRecord},
	} {
		p := c.produce(tc.topic, tc.partition, 11, tc.acks, tc.records)
		if errcode.Code(p.ErrorCode) != tc.want || p.BaseOffset != -1 {
			t.Errorf("%s: %v, offset %d", tc.name, errcode.Code(p.ErrorCode), p.BaseOffset)
		}
		if tc.want == errcode.NotLeaderOrFollower && p.CurrentLeader.LeaderID != 2 {
			t.Errorf("%s: leader %+v", tc.name, p.CurrentLeader)
		}
	}
	if got := c.fetchValues("t", 11, 0); len(got) != 0 {
		t.Errorf("something was written: %q", got)
	}
}

func TestAcksZero(t *testing.T) {
	r := newRig(t)
	r.lead("t", 1)
	c := r.dial()
	// No response to the first: the answer that comes is the fetch's.
	c.send(c.frame(produceRequest("t", 0, 0, batch("silent")), 9))
	if got := c.fetchValues("t", 12, 0); !slices.Equal(got, []string{"silent"}) {
		t.Errorf("%q", got)
	}
	c.send(c.frame(produceRequest("nope", 0, 0, batch("x")), 9))
	c.closed()
}

func TestLogAppendTime(t *testing.T) {
	r := newRig(t, withTopic("t", map[string]string{"message.timestamp.type": "LogAppendTime"}))
	r.lead("t", 1)
	c := r.dial()
	before := time.Now().UnixMilli()
	p := c.produce("t", 0, 9, -1, batch("x"))
	if p.ErrorCode != 0 || p.LogAppendTime < before {
		t.Fatalf("%+v", p)
	}
	resp := c.ask(fetchRequest("t", 0), 12).(*kmsg.FetchResponse)
	m, err := record.Verify(resp.Topics[0].Partitions[0].RecordBatches)
	if err != nil || !m.LogAppendTime() || m.MaxTimestamp != p.LogAppendTime {
		t.Errorf("%+v %v", m, err)
	}
}

func TestLongPoll(t *testing.T) {
	r := newRig(t)
	r.lead("t", 2)
	consumer, producer := r.dial(), r.dial()
	req := fetchRequest("t", 0, 0)
	req.MaxWaitMillis = 20000
	began := time.Now()
	consumer.send(consumer.frame(req, 12))
	producer.produce("t", 1, 9, 1, batch("news"))
	resp := consumer.answer(req, 12).(*kmsg.FetchResponse)
	if got := values(t, resp.Topics[0].Partitions[1].RecordBatches, 0); !slices.Equal(got, []string{"news"}) {
		t.Errorf("%q", got)
	}
	if time.Since(began) > 15*time.Second {
		t.Error("the poll was not woken")
	}
	// Not enough for min_bytes: the answer comes when the time is up.
	req = fetchRequest("t", 0, 0)
	req.MaxWaitMillis, req.MinBytes = 50, 1<<20
	began = time.Now()
	resp = consumer.ask(req, 12).(*kmsg.FetchResponse)
	if waited := time.Since(began); waited < 50*time.Millisecond {
		t.Errorf("answered after %v", waited)
	}
	if len(resp.Topics[0].Partitions[1].RecordBatches) == 0 {
		t.Error("no records when the time was up")
	}
}

func TestFetchLimits(t *testing.T) {
	r := newRig(t)
	r.lead("t", 3)
	c := r.dial()
	big := batch(strings.Repeat("x", 5000))
	for p := int32(0); p < 3; p++ {
		c.produce("t", p, 9, 1, slices.Clone(big))
		c.produce("t", p, 9, 1, slices.Clone(big))
	}
	lens := func(version int16, maxBytes, partitionBytes int32) (out []int) {
		req := fetchRequest("t", 0, 0, 0)
		req.MaxBytes = maxBytes
		for i := range req.Topics[0].Partitions {
			req.Topics[0].Partitions[i].PartitionMaxBytes = partitionBytes
		}
		resp := c.ask(req, version).(*kmsg.FetchResponse)
		for _, p := range resp.Topics[0].Partitions {
			n := 0
			for b := p.RecordBatches; len(b) >= record.LogOverhead && record.EntrySize(b) <= len(b); n++ {
				b = b[record.EntrySize(b):]
			}
			out = append(out, n)
		}
		return out
	}
	for _, tc := range []struct {
		version             int16
		maxBytes, partBytes int32
		want                []int
	}{
		{12, 1 << 20, 1 << 20, []int{2, 2, 2}},
		{12, 1 << 20, 100, []int{1, 0, 0}}, // the first batch is whole, above all limits
		{12, 100, 1 << 20, []int{1, 0, 0}},
		{12, 1 << 20, int32(len(big)), []int{1, 1, 1}},
		{12, int32(3 * len(big)), 1 << 20, []int{2, 1, 0}},
	} {
		if got := lens(tc.version, tc.maxBytes, tc.partBytes); !slices.Equal(got, tc.want) {
			t.Errorf("max %d, per partition %d: batches %v, want %v",
				tc.maxBytes, tc.partBytes, got, tc.want)
		}
	}
}

func TestFetchErrors(t *testing.T) {
	r := newRig(t)
	r.lead("t", 1)
	r.order("elsewhere", 1, 2)
	c := r.dial()
	c.produce("t", 0, 9, 1, batch("a", "b"))
	one := func(topic string, version int16, f func(*kmsg.FetchRequestTopicPartition)) errcode.Code {
		req := fetchRequest(topic, 0)
		f(&req.Topics[0].Partitions[0])
		resp := c.ask(req, version).(*kmsg.FetchResponse)
		return errcode.Code(resp.Topics[0].Partitions[0].ErrorCode)
	}
	offset := func(o int64) func(*kmsg.FetchRequestTopicPartition) {
		return func(p *kmsg.FetchRequestTopicPartition) { p.FetchOffset = o }
	}
	epoch := func(e int32) func(*kmsg.FetchRequestTopicPartition) {
		return func(p *kmsg.FetchRequestTopicPartition) { p.CurrentLeaderEpoch = e }
	}
	for _, tc := range []struct {
		name    string
		topic   string
		version int16
		f       func(*kmsg.FetchRequestTopicPartition)
		want    errcode.Code
	}{
		{"at the end", "t", 12, offset(2), errcode.None},
		{"beyond the end", "t", 12, offset(3), errcode.OffsetOutOfRange},
		{"negative", "t", 12, offset(-5), errcode.OffsetOutOfRange},
		{"unknown topic", "nope", 12, offset(0), errcode.UnknownTopicOrPartition},
		{"unknown id", "nope", 13, offset(0), errcode.UnknownTopicID},
		{"other leader", "elsewhere", 12, offset(0), errcode.NotLeaderOrFollower},
		{"old epoch", "t", 12, epoch(0), errcode.FencedLeaderEpoch},
		{"future epoch", "t", 12, epoch(99), errcode.UnknownLeaderEpoch},
	} {
		if got := one(tc.topic, tc.version, tc.f); got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestFetchSession(t *testing.T) {
	r := newRig(t)
	r.lead("t", 3)
	c := r.dial()
	c.produce("t", 1, 9, 1, batch("one"))
	ask := func(req *kmsg.FetchRequest, id, epoch int32) *kmsg.FetchResponse {
		req.SessionID, req.SessionEpoch = id, epoch
		return c.ask(req, 12).(*kmsg.FetchResponse)
	}
	empty := func() *kmsg.FetchRequest {
		req := fetchRequest("t")
		req.Topics, req.MinBytes = nil, 0
		return req
	}
	full := ask(fetchRequest("t", 0, 0, 0), 0, 0)
	id := full.SessionID
	if id == 0 || len(full.Topics[0].Partitions) != 3 {
		t.Fatalf("full fetch: %+v", full)
	}
	// The client has read partition 1 and says so.
	req := fetchRequest("t", 0, 1)
	req.Topics[0].Partitions = req.Topics[0].Partitions[1:]
	req.MinBytes = 0
	if resp := ask(req, id, 1); resp.ErrorCode != 0 || len(resp.Topics) != 0 {
		t.Errorf("nothing is new: %+v", resp)
	}
	c.produce("t", 2, 9, 1, batch("two"))
	resp := ask(empty(), id, 2)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 ||
		resp.Topics[0].Partitions[0].Partition != 2 {
		t.Fatalf("only partition 2 is new: %+v", resp)
	}
	// The offset was not moved: the same records come again.
	if resp := ask(empty(), id, 3); len(resp.Topics) != 1 {
		t.Errorf("records must come until the client moves on: %+v", resp)
	}
	forget := empty()
	f := kmsg.NewFetchRequestForgottenTopic()
	f.Topic, f.Partitions = "t", []int32{2}
	forget.ForgottenTopics = append(forget.ForgottenTopics, f)
	if resp := ask(forget, id, 4); len(resp.Topics) != 0 {
		t.Errorf("partition 2 is forgotten: %+v", resp)
	}
	for _, tc := range []struct {
		id, epoch int32
		want      errcode.Code
	}{
		{id, 4, errcode.InvalidFetchSessionEpoch},
		{id, 6, errcode.InvalidFetchSessionEpoch},
		{id + 1, 5, errcode.FetchSessionIDNotFound},
		{id, 5, errcode.None},
	} {
		if resp := ask(empty(), tc.id, tc.epoch); errcode.Code(resp.ErrorCode) != tc.want {
			t.Errorf("session %d epoch %d: %v", tc.id-id, tc.epoch, errcode.Code(resp.ErrorCode))
		}
	}
	// Another kind of topic names cannot use the session.
	byID := empty()
	byID.SessionID, byID.SessionEpoch = id, 6
	if resp := c.ask(byID, 13).(*kmsg.FetchResponse); resp.ErrorCode != int16(errcode.FetchSessionTopicIDError) {
		t.Errorf("by id: %+v", resp)
	}
	ask(fetchRequest("t", 0), id, -1)
	if resp := ask(empty(), id, 6); resp.ErrorCode != int16(errcode.FetchSessionIDNotFound) {
		t.Errorf("closed session: %+v", resp)
	}
}

func TestListOffsets(t *testing.T) {
	r := newRig(t)
	r.lead("t", 1)
	c := r.dial()
	c.produce("t", 0, 9, 1, batch("a", "b", "c")) // at times 1000 to 1002
	for v := int16(1); v <= 9; v++ {
		for _, tc := range []struct {
			ts, offset, at int64
			from           int16
		}{
			{-1, 3, -1, 0}, {-2, 0, -1, 0}, {1001, 1, 1001, 0}, {0, 0, 1000, 0}, {5000, -1, -1, 0},
			{-3, 2, 1002, 7}, {-4, 0, -1, 8}, {-5, -1, -1, 9},
		} {
			if v < tc.from {
				continue
			}
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Timestamp, p.CurrentLeaderEpoch = tc.ts, -1
			topic := kmsg.NewListOffsetsRequestTopic()
			topic.Topic, topic.Partitions = "t", append(topic.Partitions, p)
			req := kmsg.NewPtrListOffsetsRequest()
			req.ReplicaID, req.Topics = -1, append(req.Topics, topic)
			got := c.ask(req, v).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
			if got.ErrorCode != 0 || got.Offset != tc.offset || got.Timestamp != tc.at {
				t.Errorf("version %d time %d: %+v", v, tc.ts, got)
			}
		}
	}
}

func TestOtherRequests(t *testing.T) {
	r := newRig(t)
	r.lead("t", 1)
	c := r.dial()
	c.produce("t", 0, 9, 1, batch("a"))
	ids := map[int64]bool{}
	for range 25 { // more than one block
		resp := c.ask(kmsg.NewPtrInitProducerIDRequest(), 4).(*kmsg.InitProducerIDResponse)
		if resp.ErrorCode != 0 || ids[resp.ProducerID] {
			t.Fatalf("%+v", resp)
		}
		ids[resp.ProducerID] = true
	}
	txn := kmsg.NewPtrInitProducerIDRequest()
	txn.TransactionalID = kmsg.StringPtr("t")
	if resp := c.ask(txn, 4).(*kmsg.InitProducerIDResponse); resp.ErrorCode == 0 {
		t.Error("a transactional producer was let in")
	}
	dirs := c.ask(kmsg.NewPtrDescribeLogDirsRequest(), 4).(*kmsg.DescribeLogDirsResponse)
	if len(dirs.Dirs) != 1 || dirs.Dirs[0].Topics[0].Partitions[0].Size == 0 || dirs.Dirs[0].TotalBytes <= 0 {
		t.Errorf("%+v", dirs)
	}
	versions := c.ask(kmsg.NewPtrApiVersionsRequest(), 2).(*kmsg.ApiVersionsResponse)
	if len(versions.ApiKeys) < 20 {
		t.Errorf("%+v", versions)
	}
}

func TestBrokenRequests(t *testing.T) {
	r := newRig(t, withServer(func(o *server.Options) { o.MaxRequestBytes = 1 << 20 }))
	frame := func(b ...byte) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...)
	}
	for name, b := range map[string][]byte{
		"too large":           {0x7f, 0, 0, 0},
		"negative":            {0xff, 0xff, 0xff, 0xff},
		"no header":           frame(0, 1),
		"unknown api":         frame(0, 200, 0, 0, 0, 0, 0, 1, 0xff, 0xff),
		"unknown version":     frame(0, 0, 0, 99, 0, 0, 0, 1, 0xff, 0xff),
		"body ends early":     frame(0, 0, 0, 3, 0, 0, 0, 1, 0xff, 0xff, 0),
		"body of kmsg's kind": frame(0, 2, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0),
	} {
		c := r.dial()
		c.t = t
		c.send(b)
		t.Run(name, func(t *testing.T) { c.t = t; c.closed() })
	}
	c := r.dial()
	c.id = 5
	c.send(frame(0, 18, 0, 77, 0, 0, 0, 5, 0xff, 0xff, 1, 2, 3))
	req := kmsg.NewPtrApiVersionsRequest()
	if resp := c.answer(req, 0).(*kmsg.ApiVersionsResponse); resp.ErrorCode != 35 || len(resp.ApiKeys) != 1 {
		t.Errorf("%+v", resp)
	}
	if resp := c.ask(req, 3).(*kmsg.ApiVersionsResponse); resp.ErrorCode != int16(errcode.InvalidRequest) {
		t.Errorf("a client without a name: %+v", resp)
	}
	req.ClientSoftwareName, req.ClientSoftwareVersion = "test", "1.0"
	if resp := c.ask(req, 4).(*kmsg.ApiVersionsResponse); resp.ErrorCode != 0 {
		t.Errorf("%+v", resp)
	}
}

func TestPipelining(t *testing.T) {
	r := newRig(t)
	r.lead("t", 1)
	c := r.dial()
	var all []byte
	const n = 200
	for i := range n {
		// Every third frame is larger than a connection's own buffer.
		value := strings.Repeat("v", 10+(i%3)*4000)
		all = append(all, c.frame(produceRequest("t", 0, 1, batch(value)), 9)...)
	}
	go c.conn.Write(all)
	c.id = 0
	for i := range n {
		c.id++
		resp := c.answer(kmsg.NewPtrProduceRequest(), 9).(*kmsg.ProduceResponse)
		if p := resp.Topics[0].Partitions[0]; p.ErrorCode != 0 || p.BaseOffset != int64(i) {
			t.Fatalf("request %d: %+v", i, p)
		}
	}
}

// Requests for partitions of several shards, one after the other on one connection: no shard may
// still look at a request when the next one uses its memory.
func TestRequestsAcrossShards(t *testing.T) {
	r := newRig(t)
	r.lead("t", 8)
	c := r.dial()
	for i := range 300 {
		var topic kmsg.ProduceRequestTopic
		topic.Topic = "t"
		for p := range int32(1 + i*7%8) {
			part := kmsg.NewProduceRequestTopicPartition()
			part.Partition, part.Records = (p*3+int32(i))%8, batch("x")
			topic.Partitions = append(topic.Partitions, part)
		}
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.TimeoutMillis, req.Topics = int16(1-2*(i%2)), 5000, append(req.Topics, topic)
		for _, p := range c.ask(req, 9).(*kmsg.ProduceResponse).Topics[0].Partitions {
			if p.ErrorCode != 0 {
				t.Fatalf("request %d: %v", i, errcode.Code(p.ErrorCode))
			}
		}
	}
}

func TestConnectionLimits(t *testing.T) {
	r := newRig(t, withServer(func(o *server.Options) {
		o.MaxConnections, o.MaxIdle = 2, 300*time.Millisecond
	}))
	a, b := r.dial(), r.dial()
	req := kmsg.NewPtrApiVersionsRequest()
	a.ask(req, 0)
	b.ask(req, 0)
	r.dial().closed() // one too many
	a.closed()        // idle
	b.closed()

	r = newRig(t, withServer(func(o *server.Options) {
		o.MaxPerIP, o.MaxPerIPOf = 5, map[string]int{"127.0.0.1": 1}
	}))
	r.dial().ask(req, 0)
	r.dial().closed()
}

func TestCloseEndsLongPolls(t *testing.T) {
	r := newRig(t)
	r.lead("t", 1)
	c := r.dial()
	warm := kmsg.NewPtrApiVersionsRequest()
	c.ask(warm, 0)
	req := fetchRequest("t", 0)
	req.MaxWaitMillis = 600000
	c.send(c.frame(req, 12))
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := r.server.Close(ctx); err != nil {
		t.Error(err)
	}
	if time.Since(began) > 10*time.Second {
		t.Error("the poll held up the stop")
	}
	if _, err := net.Dial("tcp", r.server.Addr("PLAINTEXT").String()); err == nil {
		t.Error("still accepting")
	}
}

// A stop does not wait for those who wait, and tells members of a group to look for another
// coordinator: any other code would end a Java consumer for good.
func TestCloseEndsWaits(t *testing.T) {
	r := newRig(t)
	r.replicate("t", 2)
	producer, member, other := r.dial(), r.dial(), r.dial()
	produce := produceRequest("t", 0, -1, batch("unconfirmed"))
	produce.TimeoutMillis = 600_000
	producer.send(producer.frame(produce, 9))
	join := joinRequest("g", 600_000)
	member.send(member.frame(join, 3))
	r.await(func() bool {
		o, err := r.host.Offsets(host.TP{Topic: "t"})
		d, _ := r.groups.Describe("g")
		return err == nil && o.LogEnd == 1 && d.State == group.PreparingRebalance
	})
	if resp := other.ask(kmsg.NewPtrApiVersionsRequest(), 0); resp == nil {
		t.Error("no answer while others wait")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := r.server.Close(ctx); err != nil {
		t.Error(err)
	}
	joined := member.answer(join, 3).(*kmsg.JoinGroupResponse)
	if got := errcode.Code(joined.ErrorCode); got != errcode.NotCoordinator {
		t.Errorf("a member that waits at the stop is told %v", got)
	}
	produced := producer.answer(produce, 9).(*kmsg.ProduceResponse)
	got := errcode.Code(produced.Topics[0].Partitions[0].ErrorCode)
	if got != errcode.RequestTimedOut {
		t.Errorf("a producer that waits at the stop is told %v", got)
	}
	other.closed()
}

// A client may close its sending half and still gets the answer it waits for; the connection ends
// when that is written, not before.
func TestHalfClosedClient(t *testing.T) {
	r := newRig(t)
	r.lead("t", 1)
	consumer, producer := r.dial(), r.dial()
	req := fetchRequest("t", 0)
	req.MaxWaitMillis = 20000
	consumer.send(consumer.frame(req, 12))
	if err := consumer.conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	producer.produce("t", 0, 9, 1, batch("news"))
	resp := consumer.answer(req, 12).(*kmsg.FetchResponse)
	got := values(t, resp.Topics[0].Partitions[0].RecordBatches, 0)
	if !slices.Equal(got, []string{"news"}) {
		t.Errorf("%q", got)
	}
	consumer.closed()
	r.await(func() bool { return r.server.Connections() == 1 })
}

// A client that leaves while its request waits keeps its connection until the wait is over, and
// no longer.
func TestGoneClient(t *testing.T) {
	r := newRig(t)
	r.lead("t", 1)
	for range 3 {
		c := r.dial()
		c.ask(kmsg.NewPtrApiVersionsRequest(), 0)
		req := fetchRequest("t", 0)
		req.MaxWaitMillis = 100
		c.send(c.frame(req, 12))
		c.conn.Close()
	}
	r.await(func() bool { return r.server.Connections() == 0 })
}

func TestRestartKeepsRecords(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, withFS(nil, dir), withTopic("t", map[string]string{"flush.messages": "1"}))
	r.lead("t", 2)
	c := r.dial()
	for i := range 10 {
		for p := int32(0); p < 2; p++ {
			if res := c.produce("t", p, 9, -1, batch(fmt.Sprint(i))); res.ErrorCode != 0 {
				t.Fatal(errcode.Code(res.ErrorCode))
			}
		}
	}
	r.stop()
	again := newRig(t, withFS(nil, dir))
	again.epoch = r.epoch
	again.lead("t", 2)
	if got := again.dial().fetchValues("t", 13, 0); len(got) != 10 || got[9] != "9" {
		t.Errorf("%q", got)
	}
}

func TestDiskFailure(t *testing.T) {
	fs := disk.NewMem()
	r := newRig(t, withFS(fs, "/a", "/b"))
	r.lead("t", 4)
	c := r.dial()
	for p := int32(0); p < 4; p++ {
		if res := c.produce("t", p, 9, 1, batch("x")); res.ErrorCode != 0 {
			t.Fatal(errcode.Code(res.ErrorCode))
		}
	}
	broken := func(dirs ...string) {
		fs.SetFault(func(op disk.Op, path string) error {
			for _, d := range dirs {
				if op == disk.OpWrite && strings.HasPrefix(path, d+"/t-") {
					return syscall.EIO
				}
			}
			return nil
		})
	}
	broken("/a")
	defer fs.SetFault(nil)
	failed := 0
	for p := int32(0); p < 4; p++ {
		switch res := c.produce("t", p, 9, 1, batch("y")); errcode.Code(res.ErrorCode) {
		case errcode.KafkaStorageError:
			failed++
		case errcode.None:
		default:
			t.Errorf("partition %d: %v", p, errcode.Code(res.ErrorCode))
		}
	}
	if failed == 0 || failed == 4 {
		t.Fatalf("%d of 4 partitions failed with one of two dirs", failed)
	}
	select {
	case <-r.dirFailed:
	case err := <-r.fatal:
		t.Fatalf("one dir still works, but: %v", err)
	case <-time.After(20 * time.Second):
		t.Error("nobody was told that a dir is gone")
	}
	broken("/a", "/b")
	for p := int32(0); p < 4; p++ {
		c.produce("t", p, 9, 1, batch("z"))
	}
	select {
	case <-r.fatal:
	case <-time.After(20 * time.Second):
		t.Error("nobody was told that all dirs are gone")
	}
}

package server_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/config"
	"zkafka/kafkad/coordinator"
	"zkafka/kafkad/disk"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/group"
	"zkafka/kafkad/handler"
	"zkafka/kafkad/host"
	"zkafka/kafkad/record"
	"zkafka/kafkad/server"
)

// rig is a broker without ZooKeeper: the test itself plays the controller.
type rig struct {
	t      *testing.T
	dirs   []string
	fs     disk.FS
	cfg    *config.Config
	topics map[string]map[string]string // overrides
	epoch  int32

	host   *host.Host
	groups *coordinator.Coordinator
	server *server.Server
	image  atomic.Pointer[cluster.Image]
	fatal  chan error

	dirFailed chan struct{}
	nextID    atomic.Int64
}

type rigOption func(*rig, *server.Options)

func withFS(fs disk.FS, dirs ...string) rigOption {
	return func(r *rig, _ *server.Options) { r.fs, r.dirs = fs, dirs }
}

func withTopic(name string, overrides map[string]string) rigOption {
	return func(r *rig, _ *server.Options) { r.topics[name] = overrides }
}

func withServer(f func(*server.Options)) rigOption {
	return func(_ *rig, o *server.Options) { f(o) }
}

func newRig(t *testing.T, opts ...rigOption) *rig {
	t.Helper()
	r := &rig{t: t, cfg: config.Default(), topics: map[string]map[string]string{},
		fatal: make(chan error, 1), dirFailed: make(chan struct{}, 1)}
	so := server.Options{Listeners: []server.Listener{{Name: "PLAINTEXT", Address: "127.0.0.1:0"}}}
	for _, o := range opts {
		o(r, &so)
	}
	if r.dirs == nil {
		r.dirs = []string{t.TempDir()}
	}
	r.image.Store(cluster.NewImage("cluster"))
	r.start(so)
	return r
}

// start opens the dirs and serves; restart after stop.
func (r *rig) start(so server.Options) {
	r.t.Helper()
	set, err := host.OpenDirs(r.dirs, r.fs, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.host, err = host.Open(r.t.Context(), set, host.Options{
		NodeID: 1, ClusterID: "cluster", Config: r.cfg,
		TopicConfig: func(topic string) map[string]string { return r.topics[topic] },
		OnFatal:     func(err error) { r.fatal <- err },
		OnDirFailed: func() { r.dirFailed <- struct{}{} },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	groups := group.DefaultConfig()
	groups.InitialRebalanceDelayMillis = 600_000
	r.groups = coordinator.New(coordinator.Options{
		Group: groups, Partitions: func() int32 { return 1 }, Store: noLog{},
	})
	r.groups.Elected(0, 1)
	if r.server, err = server.Listen(so); err != nil {
		r.t.Fatal(err)
	}
	r.server.Serve(&handler.Handlers{
		NodeID: 1, Host: r.host, Store: r, Groups: handler.GroupDeps{Coordinator: r.groups},
	})
	r.t.Cleanup(r.stop)
}

// stop is a clean stop; it may be called again.
func (r *rig) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.server.Close(ctx); err != nil {
		r.t.Errorf("close server: %v", err)
	}
	r.groups.Close()
	if err := r.host.Close(); err != nil {
		r.t.Errorf("close host: %v", err)
	}
}

// noLog is a coordinator's log that keeps nothing.
type noLog struct{}

func (noLog) Append(context.Context, int32, []group.Record, int64) (int64, error) { return 0, nil }

func (noLog) Replay(context.Context, int32, *group.Loader) error { return nil }

// await polls until what is true, which it must become soon.
func (r *rig) await(what func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !what() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			r.t.Fatal("what the test waits for did not come")
		}
	}
}

// Image implements handler.Store.
func (r *rig) Image() *cluster.Image { return r.image.Load() }

// AllocateProducerIDs implements handler.Store.
func (r *rig) AllocateProducerIDs(context.Context) (first, last int64, err error) {
	last = r.nextID.Add(10)
	return last - 10, last - 1, nil
}

func topicID(name string) (id cluster.TopicID) {
	copy(id[:], "id of "+name)
	return id
}

// lead makes the broker leader of so many partitions of a topic.
func (r *rig) lead(topic string, partitions int) {
	r.t.Helper()
	r.order(topic, partitions, 1)
}

// order tells the broker who leads.
func (r *rig) order(topic string, partitions int, leader int32) {
	r.t.Helper()
	r.assign(topic, partitions, leader, []int32{leader})
}

// replicate makes the broker leader of partition 0 of a topic that others replicate too, or should:
// all in sync, none fetching.
func (r *rig) replicate(topic string, others ...int32) {
	r.t.Helper()
	r.assign(topic, 1, 1, append([]int32{1}, others...))
}

func (r *rig) assign(topic string, partitions int, leader int32, isr []int32) {
	r.t.Helper()
	replicas := isr
	if !slices.Contains(isr, 1) {
		replicas = append([]int32{1}, isr...)
	}
	r.epoch++
	var states []cluster.PartitionState
	for i := range partitions {
		states = append(states, cluster.PartitionState{
			Topic: topic, TopicID: topicID(topic), IsNew: true, Partition: cluster.Partition{
				Index: int32(i), Leader: leader, LeaderEpoch: r.epoch, ISR: isr,
				Replicas: replicas,
			},
		})
	}
	res := r.host.LeaderAndIsr(&cluster.LeaderAndIsr{ControllerID: 1, Partitions: states, BrokerEpoch: -1})
	if res.Err != errcode.None {
		r.t.Fatal(res.Err)
	}
	for _, p := range res.Partitions {
		if p.Err != errcode.None {
			r.t.Fatalf("%s-%d: %v", p.Topic, p.Index, p.Err)
		}
	}
	image, _ := r.image.Load().Apply(&cluster.UpdateMetadata{
		ControllerID: 1, Partitions: states,
		Brokers: []cluster.Broker{{ID: 2, Endpoints: []cluster.Endpoint{
			{Listener: "PLAINTEXT", Host: "two", Port: 9092},
		}}},
	})
	r.image.Store(image)
}

// client is a raw connection.
type client struct {
	t    *testing.T
	conn net.Conn
	id   int32
}

func (r *rig) dial() *client {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.server.Addr("PLAINTEXT").String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	return &client{t: r.t, conn: nc}
}

// frame encodes a request with its size.
func (c *client) frame(req kmsg.Request, version int16) []byte {
	req.SetVersion(version)
	c.id++
	b := binary.BigEndian.AppendUint32(nil, 0) // the size is set at the end
	b = binary.BigEndian.AppendUint16(b, uint16(req.Key()))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, uint32(c.id))
	b = append(b, 0, 4, 't', 'e', 's', 't')
	if req.IsFlexible() {
		b = append(b, 0)
	}
	b = req.AppendTo(b)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func (c *client) send(b []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// receive reads one response frame and checks its correlation id.
func (c *client) receive(id int32) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(c.conn, head[:]); err != nil {
		return nil, err
	}
	if got := int32(binary.BigEndian.Uint32(head[4:])); got != id {
		c.t.Errorf("correlation id %d, want %d", got, id)
	}
	b := make([]byte, binary.BigEndian.Uint32(head[:])-4)
	_, err := io.ReadFull(c.conn, b)
	return b, err
}

// ask sends a request and decodes the response.
func (c *client) ask(req kmsg.Request, version int16) kmsg.Response {
	c.t.Helper()
	c.send(c.frame(req, version))
	return c.answer(req, version)
}

func (c *client) answer(req kmsg.Request, version int16) kmsg.Response {
	c.t.Helper()
	b, err := c.receive(c.id)
	if err != nil {
		c.t.Fatalf("%s version %d: %v", kmsg.NameForKey(req.Key()), version, err)
	}
	resp := req.ResponseKind()
	resp.SetVersion(version)
	if resp.IsFlexible() && req.Key() != 18 {
		b = b[1:]
	}
	if err := resp.ReadFrom(b); err != nil {
		c.t.Fatalf("decode %s version %d: %v", kmsg.NameForKey(req.Key()), version, err)
	}
	return resp
}

// closed fails the test unless the server closes the connection without sending anything.
func (c *client) closed() {
	c.t.Helper()
	if n, err := c.conn.Read(make([]byte, 1)); n != 0 || err == nil {
		c.t.Errorf("read %d bytes, %v; want the connection closed", n, err)
	} else if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		c.t.Error("the connection was not closed")
	}
}

// batch builds a v2 batch of the given values.
func batch(values ...string) []byte {
	b := record.NewBuilder(record.None, record.Levels{})
	for i, v := range values {
		b.Add(1000+int64(i), nil, []byte(v), nil)
	}
	out, err := b.Build()
	if err != nil {
		panic(err)
	}
	return append([]byte(nil), out...)
}

// produce sends records to one partition and returns the partition's part of the response.
func (c *client) produce(topic string, partition int32, version, acks int16, records []byte,
) kmsg.ProduceResponseTopicPartition {
	c.t.Helper()
	resp := c.ask(produceRequest(topic, partition, acks, records), version).(*kmsg.ProduceResponse)
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		c.t.Fatalf("%+v", resp)
	}
	return resp.Topics[0].Partitions[0]
}

func produceRequest(topic string, partition int32, acks int16, records []byte) *kmsg.ProduceRequest {
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, records
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis, req.Topics = acks, 5000, append(req.Topics, t)
	return req
}

// fetchRequest asks for partitions 0..n-1 of a topic from the given offsets, without waiting.
func fetchRequest(topic string, offsets ...int64) *kmsg.FetchRequest {
	t := kmsg.NewFetchRequestTopic()
	t.Topic, t.TopicID = topic, topicID(topic)
	for i, o := range offsets {
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = int32(i), o, 1<<20
		p.CurrentLeaderEpoch = -1
		t.Partitions = append(t.Partitions, p)
	}
	req := kmsg.NewPtrFetchRequest()
	req.MinBytes, req.MaxBytes, req.Topics = 1, 1<<24, append(req.Topics, t)
	return req
}

// joinRequest is of a member that is new to the group.
func joinRequest(group string, rebalanceTimeoutMillis int32) *kmsg.JoinGroupRequest {
	p := kmsg.NewJoinGroupRequestProtocol()
	p.Name = "range"
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.ProtocolType = group, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 10_000, rebalanceTimeoutMillis
	req.Protocols = append(req.Protocols, p)
	return req
}

// values reads the records at and above offset out of what a fetch returned.
func values(t *testing.T, b []byte, offset int64) (out []string) {
	t.Helper()
	err := record.Each(b, func(_ *record.Meta, r *record.Record) error {
		if r.Offset >= offset {
			out = append(out, string(r.Value))
		}
		return nil
	})
	if err != nil {
		t.Errorf("records of a fetch: %v", err)
	}
	return out
}

// fetchValues fetches one partition and returns its records.
func (c *client) fetchValues(topic string, version int16, offset int64) []string {
	c.t.Helper()
	resp := c.ask(fetchRequest(topic, offset), version).(*kmsg.FetchResponse)
	p := resp.Topics[0].Partitions[0]
	if p.ErrorCode != 0 {
		c.t.Fatalf("fetch version %d: %v", version, errcode.Code(p.ErrorCode))
	}
	return values(c.t, p.RecordBatches, offset)
}

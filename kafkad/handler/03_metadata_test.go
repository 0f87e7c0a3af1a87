package handler

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/config"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/metastore"
)

// fakeTopics is a metadata store with a fixed view and no ZooKeeper.
type fakeTopics struct {
	im            *cluster.Image
	controller    bool
	overrides     map[string]string
	own, defaults map[string]string
	created       []metastore.NewTopic
	answer        errcode.Code
	away          bool // ZooKeeper is
}

func (f *fakeTopics) Image() *cluster.Image { return f.im }
func (f *fakeTopics) IsController() bool    { return f.controller }

func (f *fakeTopics) AllocateProducerIDs(context.Context) (first, last int64, err error) {
	return 0, 0, errcode.CoordinatorLoadInProgress
}

func (f *fakeTopics) Await(_ context.Context, ok func(*cluster.Image) bool) error {
	if ok(f.im) {
		return nil
	}
	return context.DeadlineExceeded
}

func (f *fakeTopics) CreateTopics(
	_ context.Context, topics []metastore.NewTopic, _ bool,
) (results []metastore.TopicResult) {
	f.created = append(f.created, topics...)
	for _, t := range topics {
		results = append(results, metastore.TopicResult{Name: t.Name, Err: f.answer})
	}
	return results
}

func (f *fakeTopics) DeleteTopics(_ context.Context, names []string) []metastore.TopicResult {
	results := make([]metastore.TopicResult, len(names))
	for i, n := range names {
		results[i] = metastore.TopicResult{Name: n, ID: f.im.Topic(n).ID}
	}
	return results
}

func (f *fakeTopics) CreatePartitions(
	context.Context, []metastore.NewPartitions, bool,
) []metastore.TopicResult {
	return nil
}

func (f *fakeTopics) AlterConfig(
	ctx context.Context, _ string, _ bool, change func(map[string]string) error,
) error {
	if f.away {
		<-ctx.Done()
		return ctx.Err()
	}
	return change(f.overrides)
}

func (f *fakeTopics) TopicConfig(string) map[string]string { return f.overrides }

func (f *fakeTopics) BrokerConfig() (own, defaults map[string]string) { return f.own, f.defaults }

// metaHandlers has two brokers of which only the first listens on INTERNAL, a dead third one, and a
// topic whose partitions are led by each of them in turn.
func metaHandlers(t *testing.T, settings map[string]string) (*Handlers, *fakeTopics) {
	t.Helper()
	endpoint := func(listener string, port int32) cluster.Endpoint {
		return cluster.Endpoint{Listener: listener, Host: "h", Port: port}
	}
	u := &cluster.UpdateMetadata{
		ControllerID: 1, ControllerEpoch: 1,
		Brokers: []cluster.Broker{
			{ID: 2, Endpoints: []cluster.Endpoint{endpoint("CLIENT", 2)}},
			{ID: 1, Rack: "r", Endpoints: []cluster.Endpoint{
				endpoint("CLIENT", 1), endpoint("INTERNAL", 11)}},
		},
	}
	for i, leader := range []int32{1, 2, 3, -1} {
		u.Partitions = append(u.Partitions, cluster.PartitionState{
			Topic: "t", TopicID: cluster.TopicID{7}, Partition: cluster.Partition{
				Index: int32(i), Leader: leader, LeaderEpoch: 5,
				Replicas: []int32{1, 2, 3}, ISR: []int32{1, 2}, Offline: []int32{3},
			},
		})
	}
	im, _ := cluster.NewImage("c").Apply(u)
	c, err := config.New(settings)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakeTopics{im: im, controller: true}
	return &Handlers{NodeID: 1, Store: f, Meta: MetaDeps{Config: c, Topics: f}}, f
}

func askMetadata(
	t *testing.T, h *Handlers, listener string, version int16, auto bool, names ...string,
) *kmsg.MetadataResponse {
	t.Helper()
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.AllowAutoTopicCreation = version, auto
	for _, n := range names {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = &n
		req.Topics = append(req.Topics, rt)
	}
	resp := h.handleMetadata(t.Context(), &Conn{Listener: listener}, req)
	return resp.(*kmsg.MetadataResponse)
}

func TestMetadataOfUnreachableReplicas(t *testing.T) {
	h, _ := metaHandlers(t, nil)
	for _, c := range []struct {
		listener string
		version  int16
		brokers  int
		want     string // error, leader, replicas, offline replicas of each partition
	}{
		{"CLIENT", 12, 2, "0 1 [1 2 3] [3]; 0 2 [1 2 3] [3]; 5 -1 [1 2 3] [3]; 5 -1 [1 2 3] [3]"},
		{"INTERNAL", 6, 1,
			"0 1 [1 2 3] [2 3]; 72 -1 [1 2 3] [2 3]; 5 -1 [1 2 3] [2 3]; 5 -1 [1 2 3] [2 3]"},
		{"INTERNAL", 5, 1,
			"0 1 [1 2 3] [2 3]; 5 -1 [1 2 3] [2 3]; 5 -1 [1 2 3] [2 3]; 5 -1 [1 2 3] [2 3]"},
		{"CLIENT", 0, 2, "9 1 [1 2] [3]; 9 2 [1 2] [3]; 5 -1 [1 2] [3]; 5 -1 [1 2] [3]"},
	} {
		resp := askMetadata(t, h, c.listener, c.version, false, "t")
		var got string
		for _, p := range resp.Topics[0].Partitions {
			if got != "" {
				got += "; "
			}
			got += fmt.Sprint(p.ErrorCode, p.Leader, p.Replicas, p.OfflineReplicas)
		}
		if got != c.want || len(resp.Brokers) != c.brokers {
			t.Errorf("%s, version %d: %d brokers, %s\nwant %d, %s",
				c.listener, c.version, len(resp.Brokers), got, c.brokers, c.want)
		}
	}
}

func TestMetadataListsAndIDs(t *testing.T) {
	h, _ := metaHandlers(t, nil)
	if n := len(askMetadata(t, h, "CLIENT", 0, false).Topics); n != 1 {
		t.Errorf("version 0 without names lists %d topics", n)
	}
	req := kmsg.NewPtrMetadataRequest()
	req.Version, req.Topics = 1, []kmsg.MetadataRequestTopic{}
	resp := h.handleMetadata(t.Context(), &Conn{Listener: "CLIENT"}, req).(*kmsg.MetadataResponse)
	if len(resp.Topics) != 0 {
		t.Error("an empty list from version 1 on is not all topics")
	}
	req.Version = 12
	rt := kmsg.NewMetadataRequestTopic()
	rt.TopicID = [16]byte{7}
	req.Topics = []kmsg.MetadataRequestTopic{rt}
	resp = h.handleMetadata(t.Context(), &Conn{Listener: "CLIENT"}, req).(*kmsg.MetadataResponse)
	if resp.Topics[0].ErrorCode != 0 || *resp.Topics[0].Topic != "t" {
		t.Errorf("asked by id: %+v", resp.Topics[0])
	}
}

func TestMetadataCreates(t *testing.T) {
	for _, c := range []struct {
		name       string
		settings   map[string]string
		version    int16
		allow      bool
		controller bool
		answer     errcode.Code
		want       errcode.Code
		creates    bool
	}{
		{"allowed", nil, 12, true, true, 0, errcode.LeaderNotAvailable, true},
		{"old clients cannot say no", nil, 3, false, true, 0, errcode.LeaderNotAvailable, true},
		{"client says no", nil, 4, false, true, 0, errcode.UnknownTopicOrPartition, false},
		{"broker says no", map[string]string{"auto.create.topics.enable": "false"}, 12, true, true,
			0, errcode.UnknownTopicOrPartition, false},
		{"another is controller", nil, 12, true, false, 0, errcode.UnknownTopicOrPartition, false},
		{"somebody was faster", nil, 12, true, true, errcode.TopicAlreadyExists,
			errcode.LeaderNotAvailable, true},
		{"too few brokers", nil, 12, true, true, errcode.InvalidReplicationFactor,
			errcode.InvalidReplicationFactor, true},
	} {
		h, f := metaHandlers(t, c.settings)
		f.controller, f.answer = c.controller, c.answer
		resp := askMetadata(t, h, "CLIENT", c.version, c.allow, "new", "new")
		if len(resp.Topics) != 1 || errcode.Code(resp.Topics[0].ErrorCode) != c.want {
			t.Errorf("%s: %+v", c.name, resp.Topics)
		}
		if (len(f.created) == 1) != c.creates {
			t.Errorf("%s: created %v", c.name, f.created)
		}
	}
}

func TestInternalTopicsHaveTheirOwnSettings(t *testing.T) {
	h, f := metaHandlers(t, map[string]string{
		"offsets.topic.num.partitions": "7", "offsets.topic.replication.factor": "2",
		"num.partitions": "4",
	})
	if err := h.CreateOffsetsTopic(t.Context()); err != nil {
		t.Fatal(err)
	}
	askMetadata(t, h, "CLIENT", 12, true, cluster.TransactionsTopic, "plain")
	if len(f.created) != 3 {
		t.Fatalf("created %v", f.created)
	}
	if f.created[0].Partitions != 7 || f.created[0].ReplicationFactor != 2 ||
		f.created[0].Config["cleanup.policy"] != "compact" ||
		f.created[2].Partitions != 4 {
		t.Errorf("created %v", f.created)
	}
	f.answer = errcode.InvalidReplicationFactor
	err := h.CreateOffsetsTopic(t.Context())
	if !errors.Is(err, errcode.InvalidReplicationFactor) {
		t.Errorf("error %v", err)
	}
}

func TestNotController(t *testing.T) {
	h, f := metaHandlers(t, nil)
	f.controller = false
	create := kmsg.NewPtrCreateTopicsRequest()
	create.Topics = []kmsg.CreateTopicsRequestTopic{{Topic: "x"}}
	c := h.handleCreateTopics(t.Context(), &Conn{}, create).(*kmsg.CreateTopicsResponse)
	name := "t"
	remove := kmsg.NewPtrDeleteTopicsRequest()
	remove.Version, remove.Topics = 6, []kmsg.DeleteTopicsRequestTopic{{Topic: &name}}
	d := h.handleDeleteTopics(t.Context(), &Conn{}, remove).(*kmsg.DeleteTopicsResponse)
	grow := kmsg.NewPtrCreatePartitionsRequest()
	grow.Topics = []kmsg.CreatePartitionsRequestTopic{{Topic: "t", Count: 9}}
	g := h.handleCreatePartitions(t.Context(), &Conn{}, grow).(*kmsg.CreatePartitionsResponse)
	for _, code := range []int16{
		c.Topics[0].ErrorCode, d.Topics[0].ErrorCode, g.Topics[0].ErrorCode,
	} {
		if errcode.Code(code) != errcode.NotController {
			t.Errorf("error %d", code)
		}
	}
}

func TestDeletionDisabled(t *testing.T) {
	h, _ := metaHandlers(t, map[string]string{"delete.topic.enable": "false"})
	for version, want := range map[int16]errcode.Code{
		2: errcode.InvalidRequest, 3: errcode.TopicDeletionDisabled, 6: errcode.TopicDeletionDisabled,
	} {
		name := "t"
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.Version, req.TopicNames = version, []string{name}
		req.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: &name}}
		resp := h.handleDeleteTopics(t.Context(), &Conn{}, req).(*kmsg.DeleteTopicsResponse)
		if got := errcode.Code(resp.Topics[0].ErrorCode); got != want {
			t.Errorf("version %d: %v", version, got)
		}
	}
}

// A deletion that takes longer than the client waits is answered as such.
func TestDeletionTimesOut(t *testing.T) {
	h, _ := metaHandlers(t, nil)
	name := "t"
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version, req.TimeoutMillis = 6, 1
	req.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: &name}}
	resp := h.handleDeleteTopics(t.Context(), &Conn{}, req).(*kmsg.DeleteTopicsResponse)
	if got := errcode.Code(resp.Topics[0].ErrorCode); got != errcode.RequestTimedOut {
		t.Errorf("error %v", got)
	}
}

func TestDescribeDynamicBrokerSettings(t *testing.T) {
	h, f := metaHandlers(t, map[string]string{"log.cleaner.threads": "2"})
	f.own = map[string]string{"log.cleaner.threads": "4", "num.partitions": "9"}
	f.defaults = map[string]string{"log.cleaner.threads": "3", "min.insync.replicas": "2"}
	list, code, _ := h.describeBroker("1")
	if code != errcode.None {
		t.Fatal(code)
	}
	for _, d := range list {
		var values []string
		for _, s := range d.synonyms {
			values = append(values, fmt.Sprint(*s.Value, "/", int8(s.Source)))
		}
		switch d.Name {
		case "log.cleaner.threads":
			if got := fmt.Sprint(*d.Value, values); got != "4[4/2 3/3 2/4 1/5]" {
				t.Errorf("own over default over file: %s", got)
			}
		case "min.insync.replicas":
			if *d.Value != "2" || d.source != sourceDynamicDefault {
				t.Errorf("cluster-wide setting: %s %v", *d.Value, d.source)
			}
		case "num.partitions":
			if *d.Value != "1" {
				t.Error("a setting that is not dynamic was taken from ZooKeeper")
			}
		}
	}
	list, _, _ = h.describeBroker("")
	if len(list) != 2 || list[0].source != sourceDynamicDefault {
		t.Errorf("cluster-wide settings: %v", list)
	}
}

package metastore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/znode"
	"zkafka/zkd/proto"
)

func TestInteropCreateTopicAndRestart(t *testing.T) {
	onEach(t, func(t *testing.T, connect string) {
		b := startBroker(t, connect, nil)
		if !b.IsController() {
			t.Fatal("the only broker is not controller")
		}
		if st := b.Status(); st.Phase != Registered || !strings.Contains(st.Text, "controller of") {
			t.Errorf("status %v", st)
		}
		b.create(t, NewTopic{Name: "t1", Partitions: 3, ReplicationFactor: 1},
			NewTopic{Name: "t2", Partitions: 1, ReplicationFactor: 1,
				Config: map[string]string{"retention.ms": "1000"}})
		b.fake.await(t, "leadership of all", func() bool { return len(b.fake.leads) == 4 })
		if !b.fake.isNew["t1-0"] {
			t.Error("a new partition was not told to be new")
		}
		if got := b.TopicConfig("t2")["retention.ms"]; got != "1000" {
			t.Errorf("override is %q", got)
		}
		id := b.Image().Topic("t1").ID
		if id.IsZero() || b.Image().TopicByID(id).Name != "t1" {
			t.Error("topic id is not found")
		}
		b.shut(t)

		again := startBroker(t, connect, nil)
		again.awaitLeaders(t, []NewTopic{{Name: "t1", Partitions: 3}, {Name: "t2", Partitions: 1}})
		p := again.Image().Partition("t1", 2)
		if p.LeaderEpoch != 0 || p.PartitionEpoch != 0 {
			t.Errorf("a restart moved the state: %+v", p)
		}
		if again.fake.isNew["t1-0"] {
			t.Error("an old partition was told to be new")
		}
		if again.Image().Topic("t1").ID != id || again.ClusterID() != b.ClusterID() {
			t.Error("topic or cluster changed identity")
		}
		if again.Image().ControllerEpoch != 2 {
			t.Errorf("controller epoch %d after a restart", again.Image().ControllerEpoch)
		}
	})
}

func TestInteropDeleteTopic(t *testing.T) {
	onEach(t, func(t *testing.T, connect string) {
		b := startBroker(t, connect, nil)
		b.create(t, NewTopic{Name: "gone", Partitions: 5, ReplicationFactor: 1})
		r := b.DeleteTopics(t.Context(), []string{"gone", "never"})
		if r[0].failed() || r[1].Err != errcode.UnknownTopicOrPartition {
			t.Fatalf("results %v", r)
		}
		err := b.Await(t.Context(), func(im *cluster.Image) bool { return im.Topic("gone") == nil })
		if err != nil {
			t.Fatal(err)
		}
		b.fake.await(t, "logs deleted", func() bool { return len(b.fake.deleted) == 5 })
		c := dial(t, connect)
		awaitNoNode(t, c, "/admin/delete_topics/gone") // removed last
		for _, p := range []string{"/brokers/topics/gone", "/config/topics/gone"} {
			if found, _, err := c.Exists(t.Context(), p); found || err != nil {
				t.Errorf("%s is left (%v)", p, err)
			}
		}
		// The name is free again, under another id.
		b.create(t, NewTopic{Name: "gone", Partitions: 1, ReplicationFactor: 1})
	})
}

func TestInteropDeletionRefused(t *testing.T) {
	onEach(t, func(t *testing.T, connect string) {
		b := startBroker(t, connect, func(o *Options) { o.DeleteTopicEnable = false })
		b.create(t, NewTopic{Name: "kept", Partitions: 1, ReplicationFactor: 1})
		c := dial(t, connect)
		for _, topic := range []string{"kept", "unknown"} {
			path := "/admin/delete_topics/" + topic
			if _, err := c.Create(t.Context(), path, nil, proto.OpenACL(), 0); err != nil {
				t.Fatal(err)
			}
			awaitNoNode(t, c, path)
		}
		if b.Image().Topic("kept") == nil {
			t.Error("deleted although delete.topic.enable is false")
		}
	})
}

// A topic as Kafka 1.0's tool makes it: an empty configuration, version 1, no id.
func TestInteropOldToolsTopic(t *testing.T) {
	onEach(t, func(t *testing.T, connect string) {
		b := startBroker(t, connect, nil)
		c := dial(t, connect)
		for _, n := range [][2]string{
			{"/config/topics/old", `{"version":1,"config":{"max.message.bytes":"99"}}`},
			{"/brokers/topics/old", `{"version":1,"partitions":{"1":[1],"0":[1]}}`},
		} {
			if _, err := c.Create(t.Context(), n[0], []byte(n[1]), proto.OpenACL(), 0); err != nil {
				t.Fatal(err)
			}
		}
		b.awaitLeaders(t, []NewTopic{{Name: "old", Partitions: 2}})
		if b.TopicConfig("old")["max.message.bytes"] != "99" {
			t.Error("the topic's configuration was not read before its partitions were opened")
		}
		data, _, err := c.Get(t.Context(), "/brokers/topics/old")
		if err != nil {
			t.Fatal(err)
		}
		node, err := znode.DecodeTopic("old", data)
		if err != nil || node.ID.IsZero() || node.ID != b.Image().Topic("old").ID {
			t.Errorf("topic id was not assigned: %s", data)
		}
		// The same tool adds a partition and drops the id while at it.
		_, err = c.Set(t.Context(), "/brokers/topics/old",
			[]byte(`{"version":1,"partitions":{"1":[1],"0":[1],"2":[1]}}`), -1)
		if err != nil {
			t.Fatal(err)
		}
		b.awaitLeaders(t, []NewTopic{{Name: "old", Partitions: 3}})
		again := string(mustGet(t, c, "/brokers/topics/old"))
		if !strings.Contains(again, node.ID.String()) {
			t.Errorf("the id was not put back: %s", again)
		}
	})
}

func TestInteropSessionExpiry(t *testing.T) {
	onEach(t, func(t *testing.T, connect string) {
		b := startBroker(t, connect, nil)
		b.create(t, NewTopic{Name: "t", Partitions: 2, ReplicationFactor: 1})
		epoch, session := b.BrokerEpoch(), b.Session()
		expire(t, b)
		err := b.Await(t.Context(), func(im *cluster.Image) bool {
			return im.ControllerEpoch == 2 && im.ControllerID == 1
		})
		if err != nil {
			t.Fatal(err)
		}
		if b.BrokerEpoch() <= epoch || b.Session() == session {
			t.Errorf("epoch %d after %d, session %#x after %#x",
				b.BrokerEpoch(), epoch, b.Session(), session)
		}
		if id, _, _ := loadSession(b.opts.SessionFile, "m"); id != b.Session() {
			t.Error("the session file does not follow the session")
		}
		b.create(t, NewTopic{Name: "after", Partitions: 1, ReplicationFactor: 1})
	})
}

// expire ends the store's session behind its back.
func expire(t *testing.T, b *broker) {
	t.Helper()
	id, password, _ := b.zk().Session()
	o := b.clientOptions()
	if closed, err := closeSession(t.Context(), o, id, password); !closed || err != nil {
		t.Fatalf("expiring the session: %v %v", closed, err)
	}
}

func TestInteropRestartAfterCrash(t *testing.T) {
	onEach(t, func(t *testing.T, connect string) {
		file := t.TempDir() + "/session"
		set := func(o *Options) { o.SessionFile, o.SessionTimeout = file, 20*time.Second }
		b := startBroker(t, connect, set)
		b.create(t, NewTopic{Name: "t", Partitions: 2, ReplicationFactor: 1})
		b.crash()
		if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o600 {
			t.Fatalf("session file: %v %v", st, err)
		}
		began := time.Now()
		again := startBroker(t, connect, set)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("registration after a crash took %v", took)
		}
		again.awaitLeaders(t, []NewTopic{{Name: "t", Partitions: 2}})
	})
}

func TestInteropFence(t *testing.T) {
	onEach(t, func(t *testing.T, connect string) {
		b := startBroker(t, connect, nil)
		b.crash()
		f := FenceOptions{Connect: connect, SessionFile: b.opts.SessionFile, MachineID: "other"}
		if closed, err := Fence(t.Context(), f); closed || err != nil {
			t.Fatalf("another machine's session was touched: %v %v", closed, err)
		}
		f.MachineID = "m"
		if closed, err := Fence(t.Context(), f); !closed || err != nil {
			t.Fatalf("fence: %v %v", closed, err)
		}
		if found, _, _ := dial(t, connect).Exists(t.Context(), "/brokers/ids/1"); found {
			t.Error("the registration is still there")
		}
		if closed, err := Fence(t.Context(), f); closed || err != nil {
			t.Errorf("second fence: %v %v", closed, err)
		}
	})
}

func TestInteropIDTaken(t *testing.T) {
	onEach(t, func(t *testing.T, connect string) {
		openBroker(t, connect, nil).shut(t) // makes the tree
		holder := dial(t, connect)
		data := znode.EncodeRegistration(Registration{
			Endpoints: []cluster.Endpoint{{Listener: "PLAINTEXT", Host: "other.example", Port: 9}},
			JMXPort:   -1,
		}, 1)
		_, err := holder.Create(t.Context(), "/brokers/ids/1", data, proto.OpenACL(),
			proto.ModeEphemeral)
		if err != nil {
			t.Fatal(err)
		}
		session, _, _ := holder.Session()
		b := openBroker(t, connect, nil)
		t.Cleanup(func() { b.shut(t) })
		started := make(chan error, 1)
		go func() { started <- b.Start(t.Context(), testRegistration, b.fake) }()
		st := b.stat.await(t, "conflict", 0, func(s Status) bool { return s.Phase == WaitingForID })
		want := fmt.Sprintf("broker.id 1 is held by other.example:9, ZooKeeper session %#x",
			uint64(session))
		if !strings.Contains(st.Text, want) {
			t.Errorf("status %q does not say %q", st.Text, want)
		}
		if got := mustGet(t, holder, "/brokers/ids/1"); string(got) != string(data) {
			t.Error("the registration of somebody else was touched")
		}
		if err := holder.Delete(t.Context(), "/brokers/ids/1", -1); err != nil {
			t.Fatal(err)
		}
		if err := <-started; err != nil {
			t.Fatal(err)
		}
	})
}

// Without ZooKeeper a store waits, says so, and gives up only when told to.
func TestConnectWaits(t *testing.T) {
	stat := &statuses{bell: make(chan struct{})}
	s, err := Open(Options{Connect: fmt.Sprintf("127.0.0.1:%d/kafka", freePort(t)),
		OnStatus: stat.add})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	end := make(chan error, 1)
	go func() { end <- s.Connect(ctx) }()
	stat.await(t, "waiting", 0, func(s Status) bool { return s.Phase == WaitingForZooKeeper })
	stat.await(t, "the reason", 0, func(s Status) bool {
		return strings.Contains(s.Text, "connection refused")
	})
	cancel()
	if err := <-end; !errors.Is(err, context.Canceled) {
		t.Errorf("Connect ended with %v", err)
	}
}

func TestInteropConfigChange(t *testing.T) {
	onEach(t, func(t *testing.T, connect string) {
		b := startBroker(t, connect, nil)
		b.create(t, NewTopic{Name: "t", Partitions: 1, ReplicationFactor: 1})
		c := dial(t, connect)
		set := func(path, data string) {
			t.Helper()
			_, err := c.Create(t.Context(), path, []byte(data), proto.OpenACL(), 0)
			if errors.Is(err, proto.ErrNodeExists) {
				_, err = c.Set(t.Context(), path, []byte(data), -1)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		notify := func(data string) {
			t.Helper()
			_, err := c.Create(t.Context(), "/config/changes/config_change_", []byte(data),
				proto.OpenACL(), proto.ModePersistentSequential)
			if err != nil {
				t.Fatal(err)
			}
		}
		set("/config/topics/t", `{"version":1,"config":{"retention.ms":"5"}}`)
		notify(`{"version":2,"entity_path":"topics/t"}`)
		b.fake.await(t, "topic override", func() bool {
			return b.fake.configs["t"]["retention.ms"] == "5"
		})
		notify(`no json`)
		notify(`{"version":2,"entity_path":"users/u"}`)
		set("/config/topics/t", `{"version":1,"config":{}}`)
		notify(`{"version":1,"entity_type":"topics","entity_name":"t"}`)
		b.fake.await(t, "override gone", func() bool {
			return b.fake.configs["t"] != nil && len(b.fake.configs["t"]) == 0
		})
		set("/config/brokers/<default>", `{"version":1,"config":{"a":"1","b":"1"}}`)
		set("/config/brokers/1", `{"version":1,"config":{"b":"2"}}`)
		notify(`{"version":2,"entity_path":"brokers/<default>"}`)
		b.fake.await(t, "dynamic broker configuration", func() bool {
			return b.fake.dynamic["a"] == "1" && b.fake.dynamic["b"] == "2"
		})
		b.shut(t)
		again := startBroker(t, connect, nil)
		if again.fake.dynamic["b"] != "2" {
			t.Error("a restart forgets the dynamic broker configuration")
		}
	})
}

func TestInteropProducerIDs(t *testing.T) {
	onEach(t, func(t *testing.T, connect string) {
		b := startBroker(t, connect, nil)
		for i := range int64(3) {
			first, last, err := b.AllocateProducerIDs(t.Context())
			if err != nil || first != i*1000 || last != i*1000+999 {
				t.Errorf("block %d is %d to %d (%v)", i, first, last, err)
			}
		}
		got := string(mustGet(t, dial(t, connect), "/latest_producer_id_block"))
		if got != `{"version":1,"broker":1,"block_start":"2000","block_end":"2999"}` {
			t.Errorf("node is %s", got)
		}
		if id, err := b.GenerateBrokerID(t.Context(), 1000); err != nil || id != 1001 {
			t.Errorf("generated id %d (%v)", id, err)
		}
	})
}

func TestInteropThousandPartitions(t *testing.T) {
	onEach(t, func(t *testing.T, connect string) {
		b := startBroker(t, connect, nil)
		topics := []NewTopic{{Name: "big", Partitions: 61, ReplicationFactor: 1}}
		for i := range 100 {
			topics = append(topics, NewTopic{
				Name: fmt.Sprintf("t%03d", i), Partitions: 10, ReplicationFactor: 1})
		}
		began := time.Now()
		b.create(t, topics...)
		t.Logf("creating 1,061 partitions took %v", time.Since(began))
		b.shut(t)
		again := openBroker(t, connect, nil)
		began = time.Now()
		if err := again.Start(t.Context(), testRegistration, again.fake); err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		t.Cleanup(func() { again.shut(t) })
		t.Logf("leading 1,061 partitions took %v", took)
		if len(again.fake.leads) != 1061 {
			t.Errorf("Start returned while leading %d partitions", len(again.fake.leads))
		}
		if took > 1500*time.Millisecond {
			t.Errorf("start with 1,061 partitions took %v", took)
		}
	})
}

func TestInteropConsumerOffsets(t *testing.T) {
	onEach(t, func(t *testing.T, connect string) {
		b := startBroker(t, connect, nil)
		if _, ok, err := b.ConsumerOffset(t.Context(), "g", "t", 0); ok || err != nil {
			t.Fatalf("an offset nobody stored: %v %v", ok, err)
		}
		for _, want := range []int64{5, 7} {
			if err := b.SetConsumerOffset(t.Context(), "g", "t", 0, want); err != nil {
				t.Fatal(err)
			}
			if got, ok, err := b.ConsumerOffset(t.Context(), "g", "t", 0); got != want || !ok {
				t.Errorf("read %d %v %v", got, ok, err)
			}
		}
		if got := mustGet(t, dial(t, connect), "/consumers/g/offsets/t/0"); string(got) != "7" {
			t.Errorf("node holds %q", got)
		}
	})
}

// A broker that another one controls says so, touches nothing, and takes over when it may.
func TestInteropOtherController(t *testing.T) {
	onEach(t, func(t *testing.T, connect string) {
		openBroker(t, connect, nil).shut(t)
		other := dial(t, connect)
		_, err := other.Create(t.Context(), "/controller", znode.EncodeController(7, 1),
			proto.OpenACL(), proto.ModeEphemeral)
		if err != nil {
			t.Fatal(err)
		}
		b := startBroker(t, connect, nil)
		st := b.Status()
		if st.Phase != Stranded || !strings.Contains(st.Text, "controller is broker 7") ||
			!strings.Contains(st.Text, "must be the only broker") {
			t.Errorf("status %v", st)
		}
		if b.IsController() || b.Image().ControllerID != 7 {
			t.Error("took another broker's term for its own")
		}
		if err := other.Delete(t.Context(), "/controller", -1); err != nil {
			t.Fatal(err)
		}
		err = b.Await(t.Context(), func(im *cluster.Image) bool { return im.ControllerID == 1 })
		if err != nil {
			t.Fatal(err)
		}
	})
}

// Somebody who takes the controller's epoch ends its term at the next write, and the state in
// ZooKeeper stays as that other one left it.
func TestInteropFencedWrite(t *testing.T) {
	onEach(t, func(t *testing.T, connect string) {
		b := startBroker(t, connect, nil)
		c := dial(t, connect)
		if _, err := c.Set(t.Context(), "/controller_epoch", []byte("5"), -1); err != nil {
			t.Fatal(err)
		}
		oldTool(t, c, "t", 1)
		err := b.Await(t.Context(), func(im *cluster.Image) bool {
			p := im.Partition("t", 0)
			return p != nil && p.ControllerEpoch == 6
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := mustGet(t, c, "/controller_epoch"); string(got) != "6" {
			t.Errorf("controller epoch %s", got)
		}
	})
}

func TestInteropPreferredElectionNode(t *testing.T) {
	onEach(t, func(t *testing.T, connect string) {
		b := startBroker(t, connect, nil)
		b.create(t, NewTopic{Name: "t", Partitions: 1, ReplicationFactor: 1})
		c := dial(t, connect)
		for _, data := range []string{
			`{"version":1,"partitions":[{"topic":"t","partition":0},{"topic":"x","partition":0}]}`,
			`nonsense`, ``,
		} {
			path := "/admin/preferred_replica_election"
			if _, err := c.Create(t.Context(), path, []byte(data), proto.OpenACL(), 0); err != nil {
				t.Fatal(err)
			}
			awaitNoNode(t, c, path)
		}
		if p := b.Image().Partition("t", 0); p.LeaderEpoch != 0 {
			t.Errorf("an election nobody needed: %+v", p)
		}
	})
}

// Notifications stay for a quarter of an hour and are then removed, after they were applied.
func TestInteropOldNotificationsGo(t *testing.T) {
	onEach(t, func(t *testing.T, connect string) {
		first := startBroker(t, connect, nil)
		first.create(t, NewTopic{Name: "t", Partitions: 1, ReplicationFactor: 1})
		set := func(value string) {
			t.Helper()
			err := first.AlterConfig(t.Context(), TopicEntity("t"), false,
				func(c map[string]string) error {
					c["retention.ms"] = value
					return nil
				})
			if err != nil {
				t.Fatal(err)
			}
		}
		set("5")
		set("6")
		first.fake.await(t, "the change", func() bool {
			return first.fake.configs["t"]["retention.ms"] == "6"
		})
		c := dial(t, connect)
		if n, _, err := c.Children(t.Context(), "/config/changes"); len(n) != 2 || err != nil {
			t.Fatalf("notifications %v (%v)", n, err)
		}
		first.shut(t)
		b := openBroker(t, connect, nil)
		b.now = func() time.Time { return time.Now().Add(changeLife + time.Second) }
		t.Cleanup(func() { b.shut(t) })
		if err := b.Start(t.Context(), testRegistration, b.fake); err != nil {
			t.Fatal(err)
		}
		if n, _, err := c.Children(t.Context(), "/config/changes"); len(n) != 0 || err != nil {
			t.Errorf("old notifications are left: %v (%v)", n, err)
		}
		if b.TopicConfig("t")["retention.ms"] != "6" {
			t.Error("the change itself was lost")
		}
	})
}

func TestSessionFileOfOthers(t *testing.T) {
	path := t.TempDir() + "/session"
	good := sessionFile{Version: 1, Session: "0xff", Password: "cGFzcw==", MachineID: "m"}
	if err := saveSession(path, good); err != nil {
		t.Fatal(err)
	}
	if id, password, ok := loadSession(path, "m"); id != 255 || string(password) != "pass" || !ok {
		t.Errorf("read %d %q %v", id, password, ok)
	}
	for name, change := range map[string]func(*sessionFile){
		"another machine":  func(f *sessionFile) { f.MachineID = "x" },
		"another version":  func(f *sessionFile) { f.Version = 2 },
		"no session":       func(f *sessionFile) { f.Session = "" },
		"damaged password": func(f *sessionFile) { f.Password = "%" },
	} {
		f := good
		change(&f)
		if err := saveSession(path, f); err != nil {
			t.Fatal(err)
		}
		if _, _, ok := loadSession(path, "m"); ok {
			t.Errorf("%s: the file was used", name)
		}
	}
	if err := os.WriteFile(path, []byte("{\"version\":1,\"ses"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := loadSession(path, "m"); ok {
		t.Error("a torn file was used")
	}
}

// A log dir that fails takes the leadership of its partitions with it, and nothing else.
func TestInteropLogDirFails(t *testing.T) {
	onEach(t, func(t *testing.T, connect string) {
		b := startBroker(t, connect, nil)
		b.create(t, NewTopic{Name: "t", Partitions: 2, ReplicationFactor: 1})
		b.fake.change(func() { b.fake.broken = map[string]bool{"t-1": true} })
		if err := b.LogDirFailed(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := b.Await(t.Context(), func(im *cluster.Image) bool {
			return im.Partition("t", 1).Leader == cluster.NoLeader
		})
		if err != nil {
			t.Fatal(err)
		}
		lost, kept := b.Image().Partition("t", 1), b.Image().Partition("t", 0)
		if kept.Leader != 1 || kept.LeaderEpoch != 0 || len(lost.Offline) != 1 || lost.ISR[0] != 1 {
			t.Errorf("kept %+v, lost %+v", kept, lost)
		}
		c := dial(t, connect)
		n, _, err := c.Children(t.Context(), "/log_dir_event_notification")
		if len(n) != 0 || err != nil {
			t.Errorf("notifications are left: %v (%v)", n, err)
		}
		b.shut(t)
		// With the disk back the only replica leads again.
		again := startBroker(t, connect, nil)
		if p := again.Image().Partition("t", 1); p.Leader != 1 || p.LeaderEpoch != 2 {
			t.Errorf("after a restart: %+v", p)
		}
	})
}

// Two brokers in one cluster is more than this version can do: the second says so, and the first
// does not hand it partitions that nobody would serve.
func TestInteropSecondBroker(t *testing.T) {
	onEach(t, func(t *testing.T, connect string) {
		b := startBroker(t, connect, nil)
		second := openBroker(t, connect, func(o *Options) { o.BrokerID = 2 })
		t.Cleanup(func() { second.shut(t) })
		other := testRegistration
		other.Endpoints = []cluster.Endpoint{{Listener: "PLAINTEXT", Host: "127.0.0.1", Port: 2}}
		if err := second.Start(t.Context(), other, second.fake); err != nil {
			t.Fatal(err)
		}
		if st := second.Status(); st.Phase != Stranded {
			t.Errorf("status of the second: %v", st)
		}
		err := b.Await(t.Context(), func(im *cluster.Image) bool { return len(im.Brokers) == 2 })
		if err != nil {
			t.Fatal(err)
		}
		b.create(t, NewTopic{Name: "t", Partitions: 4, ReplicationFactor: 1})
		for _, p := range b.Image().Topic("t").Partitions {
			if p.Leader != 1 {
				t.Errorf("partition %d went to a broker nobody directs", p.Index)
			}
		}
		r := b.CreateTopics(t.Context(),
			[]NewTopic{{Name: "two", Partitions: 1, ReplicationFactor: 2}}, false)
		if r[0].Err != errcode.InvalidReplicationFactor {
			t.Errorf("two replicas: %v", r[0])
		}
		// The first goes: the second becomes controller, of partitions it does not have.
		b.shut(t)
		err = second.Await(t.Context(), func(im *cluster.Image) bool {
			p := im.Partition("t", 0)
			return im.ControllerID == 2 && p != nil && p.Leader == cluster.NoLeader
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

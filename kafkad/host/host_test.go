package host

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/commitlog"
	"zkafka/kafkad/disk"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/partition"
	"zkafka/kafkad/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open opens a host on a file system; overrides are those of every topic.
func open(t *testing.T, fs disk.FS, overrides map[string]string, dirs ...string) *Host {
	t.Helper()
	if len(dirs) == 0 {
		dirs = []string{"/data"}
	}
	set, err := OpenDirs(dirs, fs, nil)
	if err != nil {
		t.Fatal(err)
	}
	h, err := Open(t.Context(), set, Options{
		NodeID: 1, ClusterID: "c", BrokerEpoch: func() int64 { return 10 },
		TopicConfig: func(string) map[string]string { return overrides },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func state(topic string, index, epoch int32, isr ...int32) cluster.PartitionState {
	return cluster.PartitionState{
		Topic: topic, TopicID: cluster.TopicID{1}, IsNew: true, Partition: cluster.Partition{
			Index: index, Leader: isr[0], LeaderEpoch: epoch, ISR: isr, Replicas: []int32{1, 2, 3},
		},
	}
}

func lead(t *testing.T, h *Host, states ...cluster.PartitionState) {
	t.Helper()
	res := h.LeaderAndIsr(&cluster.LeaderAndIsr{ControllerEpoch: 1, BrokerEpoch: 10, Partitions: states})
	if res.Err != errcode.None {
		t.Fatal(res.Err)
	}
	for _, p := range res.Partitions {
		if p.Err != errcode.None {
			t.Fatalf("%+v", p)
		}
	}
}

func batch(values ...string) []byte {
	b := record.NewBuilder(record.None, record.Levels{})
	for _, v := range values {
		b.Add(1000, nil, []byte(v), nil)
	}
	out, err := b.Build()
	if err != nil {
		panic(err)
	}
	return append([]byte(nil), out...)
}

func values(t *testing.T, h *Host, tp TP) (out []string) {
	t.Helper()
	for {
		b, err := h.Read(tp, int64(len(out)), 100, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) == 0 {
			return out
		}
		err = record.Each(b, func(_ *record.Meta, r *record.Record) error {
			if r.Offset == int64(len(out)) {
				out = append(out, string(r.Value))
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestAppendAndRead(t *testing.T) {
	h := open(t, disk.NewMem(), nil)
	tp := TP{Topic: "t", Partition: 3}
	if _, err := h.Append(t.Context(), tp, batch("x"), -1, time.Second); errcode.Of(err) !=
		errcode.UnknownTopicOrPartition {
		t.Errorf("before anybody leads: %v", err)
	}
	lead(t, h, state("t", 3, 0, 1))
	for i, want := range []int64{0, 2, 3} {
		b := [][]byte{batch("a", "b"), batch("c"), append(batch("d"), batch("e", "f")...)}[i]
		if base, err := h.Append(t.Context(), tp, b, -1, time.Second); base != want || err != nil {
			t.Errorf("append %d: %d, %v", i, base, err)
		}
	}
	if got := strings.Join(values(t, h, tp), ""); got != "abcdef" {
		t.Errorf("read %q", got)
	}
	o, err := h.Offsets(tp)
	if want := (Offsets{0, 6, 6, 6, 0}); err != nil || o != want {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := h.Read(tp, 99, 100, nil); errcode.Of(err) != errcode.OffsetOutOfRange {
		t.Errorf("beyond the end: %v", err)
	}
	if err := h.Alive(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAcksAllWaitsForTheISR(t *testing.T) {
	h := open(t, disk.NewMem(), map[string]string{"min.insync.replicas": "2"})
	tp := TP{Topic: "t"}
	lead(t, h, state("t", 0, 0, 1, 2))
	p := h.lookup(tp)

	_, err := h.Append(t.Context(), tp, batch("late"), -1, time.Millisecond)
	if errcode.Of(err) != errcode.RequestTimedOut {
		t.Errorf("nobody fetches: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Append(ended, tp, batch("gone"), -1, time.Hour); errcode.Of(err) !=
		errcode.RequestTimedOut {
		t.Errorf("the caller is gone: %v", err)
	}
	w := NewWaiter()
	w.Watch(p)
	done := make(chan error, 1)
	go func() {
		_, err := h.Append(t.Context(), tp, batch("safe"), -1, time.Minute)
		done <- err
	}()
	// The follower fetches until it has everything.
	for end := int64(0); end < 3; end = p.Offsets().LogEnd {
		if code := p.FollowerFetch(2, end); code != errcode.None {
			t.Fatal(code)
		}
	}
	if code := p.FollowerFetch(2, 3); code != errcode.None {
		t.Fatal(code)
	}
	if err := <-done; err != nil {
		t.Errorf("with the follower: %v", err)
	}
	<-w.C
	w.Stop()
	if got := p.Offsets().HighWatermark; got != 3 {
		t.Errorf("high watermark %d", got)
	}
	lead(t, h, state("t", 0, 1, 1))
	if _, err := h.Append(t.Context(), tp, batch("x"), -1, time.Second); errcode.Of(err) !=
		errcode.NotEnoughReplicas {
		t.Errorf("alone: %v", err)
	}
	if code := p.FollowerFetch(9, 0); code == errcode.None {
		t.Error("a stranger fetches as follower")
	}
}

func TestLosingLeadershipEndsWaiting(t *testing.T) {
	h := open(t, disk.NewMem(), nil)
	tp := TP{Topic: "t"}
	var seen []string
	h.OnLeadership("t", func(l Leadership) {
		seen = append(seen, fmt.Sprintf("%d leader=%v deleted=%v epoch=%d",
			l.TP.Partition, l.Leader, l.Deleted, l.Epoch))
	})
	lead(t, h, state("t", 0, 0, 1, 2))
	p := h.lookup(tp)
	done := make(chan error, 1)
	go func() {
		_, err := h.Append(t.Context(), tp, batch("x"), -1, time.Minute)
		done <- err
	}()
	for p.Offsets().LogEnd == 0 { // until the append waits
		h.Alive(t.Context())
	}
	lead(t, h, state("t", 0, 1, 2, 1))
	if err := <-done; errcode.Of(err) != errcode.NotLeaderOrFollower {
		t.Errorf("append: %v", err)
	}
	if role, epoch := p.Role(); role != partition.Follower || epoch != 1 || p.LeaderID() != 2 {
		t.Errorf("%v %d %d", role, epoch, p.LeaderID())
	}
	stop := &cluster.StopReplica{ControllerEpoch: 1, BrokerEpoch: -1,
		Partitions: []cluster.StopPartition{{Topic: "t", LeaderEpoch: 0, Delete: true}}}
	if res := h.StopReplica(stop); res.Partitions[0].Err != errcode.FencedLeaderEpoch {
		t.Errorf("old epoch: %+v", res)
	}
	stop.Partitions[0].LeaderEpoch = cluster.EpochDuringDelete
	if res := h.StopReplica(stop); res.Err != 0 || res.Partitions[0].Err != errcode.None {
		t.Errorf("%+v", res)
	}
	if h.lookup(tp) != nil {
		t.Error("still there after the deletion")
	}
	want := "0 leader=true deleted=false epoch=0|0 leader=false deleted=false epoch=1|" +
		"0 leader=false deleted=true epoch=1"
	if got := strings.Join(seen, "|"); got != want {
		t.Errorf("heard %s", got)
	}
}

func TestControlEpochs(t *testing.T) {
	h := open(t, disk.NewMem(), nil)
	lead(t, h, state("t", 0, 5, 1))
	ask := func(controller int32, broker int64, s cluster.PartitionState) (errcode.Code, errcode.Code) {
		res := h.LeaderAndIsr(&cluster.LeaderAndIsr{
			ControllerEpoch: controller, BrokerEpoch: broker, Partitions: []cluster.PartitionState{s},
		})
		if len(res.Partitions) == 0 {
			return res.Err, errcode.None
		}
		return res.Err, res.Partitions[0].Err
	}
	other := state("t", 0, 9, 1)
	other.TopicID = cluster.TopicID{2}
	foreign := state("t", 0, 9, 2, 3)
	foreign.Replicas = []int32{2, 3}
	for _, tc := range []struct {
		name       string
		controller int32
		broker     int64
		state      cluster.PartitionState
		top, part  errcode.Code
	}{
		{"old controller", 0, 10, state("t", 0, 6, 1), errcode.StaleControllerEpoch, 0},
		{"earlier life of this broker", 1, 9, state("t", 0, 6, 1), errcode.StaleBrokerEpoch, 0},
		{"same leader epoch", 1, 10, state("t", 0, 5, 1), 0, errcode.StaleControllerEpoch},
		{"another topic of the name", 1, 10, other, 0, errcode.InconsistentTopicID},
		{"not our replica", 1, 10, foreign, 0, errcode.UnknownTopicOrPartition},
		{"news", 2, 10, state("t", 0, 6, 1), 0, 0},
	} {
		if top, part := ask(tc.controller, tc.broker, tc.state); top != tc.top || part != tc.part {
			t.Errorf("%s: %v, %v", tc.name, top, part)
		}
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if top, _ := ask(3, 10, state("t", 0, 7, 1)); top != errcode.BrokerNotAvailable {
		t.Errorf("after Close: %v", top)
	}
	h.TopicConfigChanged("t", nil)
	if _, err := h.Append(t.Context(), TP{Topic: "t"}, batch("x"), 1, 0); errcode.Of(err) !=
		errcode.NotLeaderOrFollower {
		t.Errorf("append after Close: %v", err)
	}
}

// The watchdog's question: an owner that hangs is found, one that waits for the disk is not blamed.
func TestAlive(t *testing.T) {
	h := open(t, disk.NewMem(), nil)
	lead(t, h, state("t", 0, 0, 1))
	p := h.lookup(TP{Topic: "t"})
	short, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	p.own(func() {
		if err := h.Alive(short); err == nil {
			t.Error("an owner that hangs was not found")
		}
	})
	p.ownAtDisk(func() {
		if err := h.Alive(short); err != nil {
			t.Errorf("at the disk: %v", err)
		}
	})
	if err := h.Alive(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestSettingsFollowTheCluster(t *testing.T) {
	h := open(t, disk.NewMem(), map[string]string{"max.message.bytes": "111"})
	lead(t, h, state("t", 0, 0, 1))
	p := h.lookup(TP{Topic: "t"})
	if got := p.Settings().Rules.MaxBatchBytes; got != 111 {
		t.Errorf("at first: %d", got)
	}
	h.TopicConfigChanged("t", map[string]string{"max.message.bytes": "222", "bogus": "1"})
	if got := p.Settings().Rules.MaxBatchBytes; got != 222 {
		t.Errorf("changed: %d", got)
	}
	h.opts.TopicConfig = nil
	h.BrokerConfigChanged(map[string]string{"message.max.bytes": "333"})
	if got := p.Settings().Rules.MaxBatchBytes; got != 333 {
		t.Errorf("broker default: %d", got)
	}
}

// A log without partition.metadata (a power cut took it, or a broker before 2.8 wrote the log) gets
// its id from the controller, and is found by it then, together with the topic's other partitions.
func TestTopicIDFromTheController(t *testing.T) {
	for missing := range 3 {
		fs := disk.NewMem()
		h := open(t, fs, nil)
		lead(t, h, state("t", 0, 0, 1), state("t", 1, 0, 1), state("t", 2, 0, 1))
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		if err := fs.Remove(fmt.Sprintf("/data/t-%d/partition.metadata", missing)); err != nil {
			t.Fatal(err)
		}
		h = open(t, fs, nil)
		lead(t, h, state("t", 0, 1, 1), state("t", 1, 1, 1), state("t", 2, 1, 1))
		for index := range int32(3) {
			p, name := h.LookupID(cluster.TopicID{1}, index)
			if want := h.LookupName("t", index); name != "t" || p == nil || p != want {
				t.Errorf("without the id of partition %d: partition %d by id is %v of %q",
					missing, index, p, name)
			}
		}
		h.Close()
	}
}

// Everything acknowledged with flush.messages=1 survives a power cut at any moment.
func TestPowerCut(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		fs := disk.NewMem()
		h := open(t, fs, map[string]string{"flush.messages": "1", "segment.bytes": "600"})
		lead(t, h, state("t", 0, 0, 1), state("t", 1, 0, 1))
		acked := map[TP]int{}
		for range 5 + rng.IntN(20) {
			tp := TP{Topic: "t", Partition: rng.Int32N(2)}
			_, err := h.Append(t.Context(), tp, batch(fmt.Sprint(acked[tp])), -1, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			acked[tp]++
		}
		after := fs.Crash(rng)
		h.Close()
		again := open(t, after, nil)
		lead(t, again, state("t", 0, 1, 1), state("t", 1, 1, 1))
		for tp, n := range acked {
			got := values(t, again, tp)
			if len(got) < n {
				t.Fatalf("seed %d: %s has %d of %d records", seed, tp, len(got), n)
			}
			for i, v := range got[:n] {
				if v != fmt.Sprint(i) {
					t.Fatalf("seed %d: %s record %d is %q", seed, tp, i, v)
				}
			}
		}
		again.Close()
	}
}

func TestRetention(t *testing.T) {
	h := open(t, disk.NewMem(), map[string]string{"retention.bytes": "1", "segment.bytes": "300"})
	lead(t, h, state("t", 0, 0, 1))
	tp := TP{Topic: "t"}
	for range 20 {
		if _, err := h.Append(t.Context(), tp, batch("some value"), 1, 0); err != nil {
			t.Fatal(err)
		}
	}
	h.retain(time.Now())
	o, err := h.Offsets(tp)
	if err != nil || o.LogStart == 0 || o.LogEnd != 20 {
		t.Errorf("%+v, %v", o, err)
	}
	h.sweep(time.Now().Add(time.Hour))
	h.checkpoint(time.Now())
	h.expireProducers(time.Now())
	h.flushByTime(time.Now())
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}

func TestDirsThatDoNotFit(t *testing.T) {
	fs := disk.NewMem()
	open(t, fs, nil, "/a").Close()
	set, err := OpenDirs([]string{"/a", "/b"}, fs, nil)
	if err != nil || set.BrokerID() != 1 || set.ClusterID() != "c" {
		t.Fatalf("%+v, %v", set, err)
	}
	if _, err := OpenDirs([]string{"/b"}, fs, nil); !errors.Is(err, commitlog.ErrLocked) {
		t.Errorf("locked dir: %v", err)
	}
	for _, o := range []Options{{NodeID: 2, ClusterID: "c"}, {NodeID: 1, ClusterID: "d"}} {
		_, err := Open(t.Context(), set, o)
		if err == nil || !strings.Contains(err.Error(), "/a/meta.properties says ") {
			t.Errorf("%+v: %v", o, err)
		}
		if set, err = OpenDirs([]string{"/a", "/b"}, fs, nil); err != nil {
			t.Fatal(err)
		}
	}
	set.Abandon()
	// Another broker's dir among ours.
	other, err := OpenDirs([]string{"/other"}, fs, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.setMeta(7, "c"); err != nil {
		t.Fatal(err)
	}
	other.Abandon()
	_, err = OpenDirs([]string{"/a", "/other"}, fs, nil)
	if want := "/a/meta.properties says broker.id=1, but /other/meta.properties says broker.id=7"; err ==
		nil || !strings.Contains(err.Error(), want) {
		t.Errorf("dirs of two brokers: %v", err)
	}
}

// A lock file that does not open is its dir's fault; a lock that is held is another broker's.
func TestLockFileThatDoesNotOpen(t *testing.T) {
	good, bad := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(bad, ".lock"), 0o755); err != nil {
		t.Fatal(err)
	}
	set, err := OpenDirs([]string{bad, good}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(set.dirs) != 1 || !errors.Is(set.failed[bad], syscall.EISDIR) {
		t.Errorf("%+v", set)
	}
	if _, err := OpenDirs([]string{bad, good}, nil, nil); !errors.Is(err, commitlog.ErrLocked) {
		t.Errorf("a lock that is held: %v", err)
	}
	set.Abandon()
	if _, err := OpenDirs([]string{bad}, nil, nil); !errors.Is(err, syscall.EISDIR) ||
		errors.Is(err, commitlog.ErrLocked) {
		t.Errorf("no dir is left: %v", err)
	}
}

// A dir that does not open leaves the others serving; logs that may lie in it are not created anew.
func TestDirOfflineAtStart(t *testing.T) {
	fs := disk.NewMem()
	fs.SetFault(func(_ disk.Op, path string) error {
		if strings.HasPrefix(path, "/bad") {
			return syscall.EIO
		}
		return nil
	})
	defer fs.SetFault(nil)
	h := open(t, fs, nil, "/good", "/bad")
	known := state("t", 0, 0, 1)
	known.IsNew = false
	res := h.LeaderAndIsr(&cluster.LeaderAndIsr{BrokerEpoch: -1, Partitions: []cluster.PartitionState{
		known, state("new", 0, 0, 1),
	}})
	if res.Partitions[0].Err != errcode.KafkaStorageError || res.Partitions[1].Err != errcode.None {
		t.Errorf("%+v", res)
	}
	if _, err := h.Append(t.Context(), TP{Topic: "new"}, batch("x"), 1, 0); err != nil {
		t.Error(err)
	}
	dirs := h.LogDirs()
	if len(dirs) != 2 || !dirs[0].Offline || dirs[1].Offline || len(dirs[1].Partitions) != 1 {
		t.Errorf("%+v", dirs)
	}
}

// A batch that is sent again is answered with the time of the one in the log, whosever clock it was.
func TestDuplicateTellsTheTime(t *testing.T) {
	for kind, want := range map[string]int64{"CreateTime": 1234, "LogAppendTime": 0} {
		h := open(t, disk.NewMem(), map[string]string{"message.timestamp.type": kind})
		lead(t, h, state("t", 0, 0, 1))
		b := record.NewBuilder(record.None, record.Levels{})
		b.SetProducer(5, 0, 0, false)
		b.Add(1234, nil, []byte("x"), nil)
		built, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		q := NewProduce()
		for round := range 2 {
			q.Reset(1, 1)
			q.Submit(0, h.LookupName("t", 0), append([]byte(nil), built...))
			q.Wait(t.Context(), time.Second)
			it := &q.Items[0]
			if it.Err != errcode.None || it.Base != 0 || round == 1 && it.AppendTime != want {
				t.Errorf("%s, round %d: %v, offset %d, time %d instead of %d", kind, round, it.Err,
					it.Base, it.AppendTime, want)
			}
			if want == 0 {
				want = it.AppendTime
			}
		}
		h.Close()
	}
}

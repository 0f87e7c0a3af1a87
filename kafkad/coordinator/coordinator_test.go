package coordinator

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"zkafka/kafkad/errcode"
	"zkafka/kafkad/group"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeLog keeps the records of partitions in memory. Appends take as long as it is told.
type fakeLog struct {
	mu      sync.Mutex
	parts   map[int32][]group.Record
	batches int
	delay   time.Duration
	err     error
	gate    chan struct{} // Replay waits for it, if set
}

func newFakeLog() *fakeLog { return &fakeLog{parts: map[int32][]group.Record{}} }

func (l *fakeLog) Append(
	ctx context.Context, p int32, records []group.Record, _ int64,
) (int64, error) {
	if l.delay > 0 {
		select {
		case <-time.After(l.delay):
		case <-ctx.Done():
			return -1, ctx.Err()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return -1, l.err
	}
	l.batches++
	base := int64(len(l.parts[p]))
	l.parts[p] = append(l.parts[p], records...)
	return base, nil
}

func (l *fakeLog) Replay(ctx context.Context, p int32, into *group.Loader) error {
	if l.gate != nil {
		select {
		case <-l.gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return l.err
	}
	for i, r := range l.parts[p] {
		if err := into.Record(int64(i), false, -1, r); err != nil {
			return err
		}
	}
	return nil
}

func start(l *fakeLog) *Coordinator {
	cfg := group.DefaultConfig()
	cfg.InitialRebalanceDelayMillis = 0
	return New(Options{Group: cfg, Partitions: func() int32 { return 50 }, Store: l})
}

func lead(c *Coordinator, groups ...string) {
	for _, g := range groups {
		c.Elected(c.PartitionFor(g), 1)
	}
	synctest.Wait()
}

func join(c *Coordinator, g, member string) group.JoinResult {
	return c.Join(context.Background(), &group.JoinRequest{
		Group: g, MemberID: member, ClientID: "c", ClientHost: "/127.0.0.1",
		SessionTimeoutMillis: 10_000, RebalanceTimeoutMillis: 30_000,
		ProtocolType: "consumer", Protocols: []group.Protocol{{Name: "range"}},
	})
}

func sync_(c *Coordinator, g, member string, generation int32, assign ...string) group.SyncResult {
	req := &group.SyncRequest{Group: g, MemberID: member, Generation: generation}
	for _, m := range assign {
		req.Assignments = append(req.Assignments, group.Assignment{
			MemberID: m, Data: []byte("for " + m),
		})
	}
	return c.Sync(context.Background(), req)
}

func commit(c *Coordinator, g string, offset int64) errcode.Code {
	return c.Commit(context.Background(), &group.CommitRequest{
		Group: g, Generation: -1, Offsets: []group.OffsetCommit{{
			TopicPartition: group.TopicPartition{Topic: "t"},
			Offset:         group.Offset{Offset: offset, LeaderEpoch: -1, ExpireTimestamp: -1},
		}},
	})[0]
}

func fetched(t *testing.T, c *Coordinator, g string) int64 {
	t.Helper()
	out, code := c.Fetch(g, []group.TopicPartition{{Topic: "t"}}, false)
	if code != errcode.None {
		t.Fatalf("fetch: %v", code)
	}
	return out[0].Offset
}

// The partition of a group is the one that Kafka's own hash gives. The expected values are those
// that String.hashCode and Utils.abs of a JVM print.
func TestPartitionFor(t *testing.T) {
	c := start(newFakeLog())
	defer c.Close()
	for name, want := range map[string]int32{
		"": 0, "a": 97, "my-group": 1906497762, "gdyn": 3168434, "ünïcödé": 609221899,
		"\U0001F600": 1772899, "polygenelubricants": 0,
	} {
		if got := hash(name); got != want {
			t.Errorf("hash(%q) = %d, want %d", name, got, want)
		}
		if got := c.PartitionFor(name); got != want%50 {
			t.Errorf("PartitionFor(%q) = %d, want %d", name, got, want%50)
		}
	}
}

func TestTwoMembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		c := start(l)
		defer c.Close()
		if r := join(c, "g", ""); r.Err != errcode.NotCoordinator {
			t.Fatalf("before the election: %v", r.Err)
		}
		lead(c, "g")
		a := join(c, "g", "")
		if a.Err != errcode.None || a.Generation != 1 || a.Leader != a.MemberID {
			t.Fatalf("first join: %+v", a)
		}
		if s := sync_(c, "g", a.MemberID, 1, a.MemberID); string(s.Assignment) != "for "+a.MemberID {
			t.Fatalf("first sync: %+v", s)
		}
		joined := make(chan group.JoinResult)
		go func() { joined <- join(c, "g", "") }()
		synctest.Wait()
		beat := c.Heartbeat(&group.HeartbeatRequest{Group: "g", MemberID: a.MemberID, Generation: 1})
		if beat != errcode.RebalanceInProgress {
			t.Fatalf("heartbeat: %v", beat)
		}
		a2 := join(c, "g", a.MemberID)
		b := <-joined
		if a2.Generation != 2 || b.Generation != 2 || len(a2.Members) != 2 || b.Members != nil {
			t.Fatalf("second generation: %+v and %+v", a2, b)
		}
		synced := make(chan group.SyncResult)
		go func() { synced <- sync_(c, "g", b.MemberID, 2) }()
		synctest.Wait()
		sync_(c, "g", a.MemberID, 2, a.MemberID, b.MemberID)
		if s := <-synced; string(s.Assignment) != "for "+b.MemberID {
			t.Fatalf("follower got %+v", s)
		}
		// Both fall silent: the group is empty after the session timeout, by itself.
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if d, _ := c.Describe("g"); d.State != group.Empty {
			t.Fatalf("after silence: %v", d.State)
		}
	})
}

// A new coordinator answers 14 while it loads and then goes on from the log.
func TestMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		c1 := start(l)
		lead(c1, "g")
		a := join(c1, "g", "")
		sync_(c1, "g", a.MemberID, 1, a.MemberID)
		if code := commit(c1, "other", 1); code != errcode.NotCoordinator {
			t.Errorf("commit elsewhere: %v", code)
		}
		errs := c1.Commit(context.Background(), &group.CommitRequest{
			Group: "g", MemberID: a.MemberID, Generation: 1, Offsets: []group.OffsetCommit{{
				TopicPartition: group.TopicPartition{Topic: "t"}, Offset: group.Offset{Offset: 42},
			}},
		})
		if errs[0] != errcode.None {
			t.Fatal(errs[0])
		}
		// A member waits in a join when the coordinator moves away: it must look for the new one.
		waiting := make(chan group.JoinResult)
		go func() { waiting <- join(c1, "g", "") }()
		synctest.Wait()
		c1.Resigned(c1.PartitionFor("g"), 2)
		if r := <-waiting; r.Err != errcode.NotCoordinator {
			t.Errorf("waiting member: %v", r.Err)
		}
		c1.Close()

		l.gate = make(chan struct{})
		c2 := start(l)
		defer c2.Close()
		lead(c2, "g")
		beat := &group.HeartbeatRequest{Group: "g", MemberID: a.MemberID, Generation: 1}
		if code := c2.Heartbeat(beat); code != errcode.None {
			t.Errorf("heartbeat while loading: %v", code)
		}
		if r := sync_(c2, "g", a.MemberID, 1); r.Err != errcode.RebalanceInProgress {
			t.Errorf("sync while loading: %v", r.Err)
		}
		if _, code := c2.Fetch("g", nil, false); code != errcode.CoordinatorLoadInProgress {
			t.Errorf("fetch while loading: %v", code)
		}
		if _, code := c2.List(nil, nil); code != errcode.CoordinatorLoadInProgress {
			t.Errorf("list while loading: %v", code)
		}
		close(l.gate)
		synctest.Wait()
		if got := fetched(t, c2, "g"); got != 42 {
			t.Errorf("offset after the move: %d", got)
		}
		if code := c2.Heartbeat(beat); code != errcode.None {
			t.Errorf("heartbeat after the move: %v", code)
		}
		if groups, _ := c2.List([]string{"stable"}, []string{"CLASSIC"}); len(groups) != 1 {
			t.Errorf("listed %v", groups)
		}
		if groups, _ := c2.List([]string{"Empty"}, nil); len(groups) != 0 {
			t.Errorf("listed as empty %v", groups)
		}
	})
}

// Commits that come while an append is under way share the next one.
func TestCommitsShareAppends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		l.delay = 10 * time.Millisecond
		c := start(l)
		defer c.Close()
		lead(c, "g")
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				if code := commit(c, "g", int64(i)); code != errcode.None {
					t.Error(code)
				}
			})
		}
		wg.Wait()
		if l.batches > 3 {
			t.Errorf("100 commits took %d appends", l.batches)
		}
		n := len(l.parts[c.PartitionFor("g")])
		if n != 100 {
			t.Errorf("%d records", n)
		}
	})
}

// Commits outlive nothing that was not stored, and a failing load is tried again.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		c := start(l)
		defer c.Close()
		l.err = errcode.KafkaStorageError
		lead(c, "g")
		if _, code := c.Fetch("g", nil, false); code != errcode.CoordinatorLoadInProgress {
			t.Errorf("with an unreadable log: %v", code)
		}
		l.mu.Lock()
		l.err = nil
		l.mu.Unlock()
		time.Sleep(2 * time.Second)
		if code := commit(c, "g", 1); code != errcode.None {
			t.Error(code)
		}
		l.err = errcode.NotEnoughReplicas
		if code := commit(c, "g", 2); code != errcode.CoordinatorNotAvailable {
			t.Error(code)
		}
		if got := fetched(t, c, "g"); got != 1 {
			t.Errorf("offset %d", got)
		}
		l.err = nil
		// Who waits when the broker stops is sent away and leaves nothing behind.
		l.delay = time.Second
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		r := c.Commit(ctx, &group.CommitRequest{Group: "g", Generation: -1,
			Offsets: []group.OffsetCommit{{Offset: group.Offset{Offset: 3}}}})
		if r[0] != errcode.None && r[0] != errcode.NotCoordinator {
			t.Error(r[0])
		}
		if code := c.Delete(context.Background(), "g"); code != errcode.None {
			t.Error(code)
		}
		if code := c.Delete(context.Background(), "g"); code != errcode.GroupIDNotFound {
			t.Error(code)
		}
		_, code := c.DeleteOffsets(context.Background(), "g", nil)
		if code != errcode.GroupIDNotFound {
			t.Error(code)
		}
	})
}

// A topic that is deleted while the log is replayed is forgotten when that is done, also if it
// takes more than one attempt or a newer epoch, and for good.
func TestTopicDeletedWhileLoading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		c1 := start(l)
		lead(c1, "g")
		if code := commit(c1, "g", 7); code != errcode.None {
			t.Fatal(code)
		}
		c1.Close()

		l.gate, l.err = make(chan struct{}), errcode.KafkaStorageError
		c2 := start(l)
		defer c2.Close()
		lead(c2, "g")
		c2.TopicsGone([]string{"t", "other"})
		c2.Elected(c2.PartitionFor("g"), 2)
		close(l.gate)
		synctest.Wait()
		l.mu.Lock()
		l.err = nil
		l.mu.Unlock()
		c2.TopicsGone([]string{"another"})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := fetched(t, c2, "g"); got != -1 {
			t.Errorf("offset %d of a topic deleted while loading", got)
		}
		// Whoever comes next learns it from the log.
		c3 := start(l)
		defer c3.Close()
		lead(c3, "g")
		if got := fetched(t, c3, "g"); got != -1 {
			t.Errorf("offset %d in the log of a topic deleted while loading", got)
		}
		// A new topic of that name has nothing to do with it, not even in a later load.
		if code := commit(c2, "g", 1); code != errcode.None {
			t.Error(code)
		}
		c2.Resigned(c2.PartitionFor("g"), 3)
		c2.Elected(c2.PartitionFor("g"), 4)
		synctest.Wait()
		if got := fetched(t, c2, "g"); got != 1 {
			t.Errorf("offset %d of the new topic", got)
		}
	})
}

// What a broker saw deleted before it lost the partition says nothing about what it finds when it
// leads again: another coordinator may have taken commits for a new topic of that name.
func TestTopicDeletedBeforeResignation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFakeLog()
		c1 := start(l)
		lead(c1, "g")
		if code := commit(c1, "g", 7); code != errcode.None {
			t.Fatal(code)
		}
		c1.Close()

		l.gate = make(chan struct{})
		c2 := start(l)
		defer c2.Close()
		lead(c2, "g")
		c2.TopicsGone([]string{"t"})
		c2.Resigned(c2.PartitionFor("g"), 2)
		c2.TopicsGone([]string{"t"}) // a follower has nothing to forget
		c2.Elected(c2.PartitionFor("g"), 3)
		close(l.gate)
		synctest.Wait()
		if got := fetched(t, c2, "g"); got != 7 {
			t.Errorf("offset %d, committed to another coordinator", got)
		}
	})
}

// When TopicsGone returns the offsets are gone: a commit for a new topic of that name, which can
// only come later, stays.
func TestTopicDeletedAndMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(newFakeLog())
		defer c.Close()
		lead(c, "g")
		for i := range int64(10) {
			if code := commit(c, "g", i); code != errcode.None {
				t.Fatal(code)
			}
			if i%2 == 0 {
				c.TopicsGone([]string{"t"})
			}
			if code := commit(c, "g", i+100); code != errcode.None {
				t.Fatal(code)
			}
			synctest.Wait()
			if got := fetched(t, c, "g"); got != i+100 {
				t.Fatalf("offset %d, want %d", got, i+100)
			}
		}
	})
}

// Old elections and resignations change nothing.
func TestEpochs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(newFakeLog())
		defer c.Close()
		c.Elected(0, 5)
		synctest.Wait()
		c.Resigned(0, 4)
		c.Elected(0, 3)
		if code := commit(c, "", 1); code != errcode.None {
			t.Errorf("in epoch 5: %v", code)
		}
		c.Resigned(0, 6)
		c.Elected(0, 5)
		synctest.Wait()
		if code := commit(c, "", 1); code != errcode.NotCoordinator {
			t.Errorf("after epoch 6: %v", code)
		}
		c.Resigned(0, -1) // the topic was deleted
		c.Elected(0, 0)   // and made again
		synctest.Wait()
		if code := commit(c, "", 1); code != errcode.None {
			t.Errorf("in the new topic: %v", code)
		}
	})
}

func BenchmarkHeartbeat(b *testing.B) {
	c := start(newFakeLog())
	defer c.Close()
	c.Elected(c.PartitionFor("g"), 1)
	var r group.JoinResult
	for r = join(c, "g", ""); r.Err != errcode.None; r = join(c, "g", "") {
		time.Sleep(time.Millisecond)
	}
	sync_(c, "g", r.MemberID, 1, r.MemberID)
	req := &group.HeartbeatRequest{Group: "g", MemberID: r.MemberID, Generation: 1}
	b.ReportAllocs()
	for b.Loop() {
		if code := c.Heartbeat(req); code != errcode.None {
			b.Fatal(code)
		}
	}
}

func BenchmarkCommit(b *testing.B) {
	c := start(newFakeLog())
	defer c.Close()
	for p := range int32(50) {
		c.Elected(p, 1)
	}
	for commit(c, "g0", 0) != errcode.None {
		time.Sleep(time.Millisecond)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		if code := commit(c, fmt.Sprintf("g%d", i%5000), int64(i)); code != errcode.None {
			b.Fatal(code)
		}
	}
}

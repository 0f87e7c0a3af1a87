package group

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"zkafka/kafkad/errcode"
)

// client is a client of the random test: it follows the protocol, more or less.
type client struct {
	group, id, instance string
	generation          int32
}

// world drives a machine with random clients, appends that end late or fail, moves to a new
// coordinator and long silences. It checks after every step that
//   - the invariants of Machine hold,
//   - no ticket is answered twice,
//   - offsets that were acknowledged are what a fetch returns,
//   - a machine loaded from the log knows the same offsets;
//
// and at the end that every ticket was answered.
type world struct {
	t       *rapid.T
	cfg     Config
	m       *Machine
	now     int64
	ticket  Ticket
	open    map[Ticket]func(errcode.Code) // not yet answered
	log     []Record
	held    []Append
	clients []*client
	uuid    int
	acked   map[string]int64 // by group: the newest acknowledged offset of t-0
}

func TestRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := DefaultConfig()
		cfg.InitialRebalanceDelayMillis = rapid.SampledFrom([]int64{0, 3000}).Draw(t, "delay")
		cfg.MaxSize = rapid.SampledFrom([]int{2, 1000}).Draw(t, "size")
		w := &world{
			t: t, cfg: cfg, now: 1000, open: map[Ticket]func(errcode.Code){},
			acked: map[string]int64{},
		}
		w.m = New(cfg, w.now)
		steps := rapid.IntRange(1, 80).Draw(t, "steps")
		for range steps {
			w.step()
			w.settle()
			w.check()
		}
		w.finish()
	})
}

func (w *world) step() {
	w.now += rapid.Int64Range(0, 2000).Draw(w.t, "passes")
	switch rapid.IntRange(0, 11).Draw(w.t, "action") {
	case 0:
		w.clients = append(w.clients, &client{
			group:    rapid.SampledFrom([]string{"g", "h"}).Draw(w.t, "group"),
			instance: rapid.SampledFrom([]string{"", "", "i1", "i2"}).Draw(w.t, "instance"),
		})
	case 1, 2, 3, 4:
		w.join()
	case 5, 6:
		w.sync()
	case 7:
		if c := w.client(); c != nil {
			w.m.Heartbeat(w.now, &HeartbeatRequest{
				Group: c.group, MemberID: c.id, InstanceID: c.instance, Generation: c.generation,
			})
		}
	case 8:
		w.commit()
	case 9:
		if c := w.client(); c != nil {
			w.m.Leave(w.now, c.group, []LeaveMember{{MemberID: c.id, InstanceID: c.instance}})
		}
	case 10:
		w.now += rapid.Int64Range(0, 70_000).Draw(w.t, "silence")
		w.m.Tick(w.now)
	case 11:
		w.restart()
	}
}

func (w *world) client() *client {
	if len(w.clients) == 0 {
		return nil
	}
	return rapid.SampledFrom(w.clients).Draw(w.t, "client")
}

// issue opens a ticket; done sees its code.
func (w *world) issue(done func(errcode.Code)) Ticket {
	w.ticket++
	w.open[w.ticket] = done
	return w.ticket
}

func (w *world) answer(t Ticket, code errcode.Code) {
	done, ok := w.open[t]
	if !ok {
		w.t.Fatalf("ticket %d is answered twice", t)
	}
	delete(w.open, t)
	done(code)
}

func (w *world) join() {
	c := w.client()
	if c == nil {
		return
	}
	w.uuid++
	req := &JoinRequest{
		Group: c.group, MemberID: c.id, InstanceID: c.instance, ClientID: "c", ClientHost: "/h",
		UUID:                   fmt.Sprintf("u%d", w.uuid),
		RequireKnownMember:     c.instance == "" && rapid.Bool().Draw(w.t, "v4"),
		SkipAssignment:         rapid.Bool().Draw(w.t, "v9"),
		RebalanceTimeoutMillis: 20_000, SessionTimeoutMillis: 10_000, ProtocolType: "consumer",
	}
	lists := [][]string{{"range"}, {"range", "rr"}, {"rr", "range"}, {"sticky"}}
	for _, name := range rapid.SampledFrom(lists).Draw(w.t, "protocols") {
		req.Protocols = append(req.Protocols, Protocol{Name: name, Metadata: subscription("t")})
	}
	w.m.Join(w.now, w.issue(func(code errcode.Code) {
		if code == errcode.UnknownMemberID || code == errcode.FencedInstanceID {
			c.id = ""
		}
	}), req)
}

func (w *world) sync() {
	c := w.client()
	if c == nil || c.id == "" {
		return
	}
	req := &SyncRequest{Group: c.group, MemberID: c.id, InstanceID: c.instance,
		Generation: c.generation}
	for _, mb := range w.m.Describe(c.group).Members {
		req.Assignments = append(req.Assignments, Assignment{mb.MemberID, []byte(mb.MemberID)})
	}
	w.m.Sync(w.now, w.issue(func(errcode.Code) {}), req)
}

func (w *world) commit() {
	c := w.client()
	if c == nil {
		return
	}
	at := w.now
	w.m.Commit(w.now, w.issue(func(code errcode.Code) {
		if code == errcode.None {
			w.acked[c.group] = max(w.acked[c.group], at)
		}
	}), &CommitRequest{
		Group: c.group, MemberID: c.id, InstanceID: c.instance, Generation: c.generation,
		Offsets: []OffsetCommit{{TopicPartition{"t", 0}, Offset{at, -1, "", w.now, -1}}},
	})
}

func (w *world) restart() {
	w.m.Unload()
	w.settle()
	for _, a := range w.held { // appends in flight end one way or the other
		w.report(a)
	}
	w.held = nil
	w.settle()
	l := NewLoader()
	for i, r := range w.log {
		if err := l.Record(int64(i), false, -1, r); err != nil {
			w.t.Fatal(err)
		}
	}
	w.m = l.Finish(w.cfg, w.now)
}

func (w *world) report(a Append) {
	if a.Token == 0 {
		w.log = append(w.log, a.Records...)
		return
	}
	if rapid.IntRange(0, 9).Draw(w.t, "append fails") == 0 {
		w.m.Appended(w.now, a.Token, -1, errcode.NotEnoughReplicas)
		return
	}
	at := int64(len(w.log))
	w.log = append(w.log, a.Records...)
	w.m.Appended(w.now, a.Token, at, errcode.None)
}

// settle takes effects and carries them out; some appends are held back.
func (w *world) settle() {
	for {
		e := w.m.Take()
		for _, r := range e.Joins {
			w.answer(r.Ticket, r.Err)
			w.learn(r)
		}
		for _, r := range e.Syncs {
			w.answer(r.Ticket, r.Err)
		}
		for _, r := range e.Commits {
			w.answer(r.Ticket, r.Errs[0])
		}
		for _, r := range e.Dones {
			w.answer(r.Ticket, r.Err)
		}
		w.held = append(w.held, e.Appends...)
		if len(w.held) == 0 || rapid.IntRange(0, 3).Draw(w.t, "hold") == 0 {
			return
		}
		a := w.held[0]
		w.held = w.held[1:]
		w.report(a)
	}
}

// learn gives the member id and generation of a join's answer to some client without id, which
// is what the client that asked does.
func (w *world) learn(r JoinReply) {
	for _, c := range w.clients {
		if c.id == r.MemberID || c.id == "" && r.MemberID != "" {
			c.id = r.MemberID
			if r.Err == errcode.None {
				c.generation = r.Generation
			}
			return
		}
	}
}

func (w *world) check() {
	for _, g := range w.m.ordered() {
		awaiting := 0
		for _, mb := range g.members {
			if mb.awaitingJoin != 0 {
				awaiting++
			}
			if g.byID[mb.id] != mb || mb.instance != "" && g.static[mb.instance] != mb {
				w.t.Fatalf("group %s: member %s is not in the index", g.id, mb.id)
			}
		}
		switch {
		case awaiting != g.awaiting:
			w.t.Fatalf("group %s: %d members wait, counted %d", g.id, awaiting, g.awaiting)
		case len(g.byID) != len(g.members):
			w.t.Fatalf("group %s: %d members, %d by id", g.id, len(g.members), len(g.byID))
		case g.state == Empty && len(g.members) > 0:
			w.t.Fatalf("group %s is empty with %d members", g.id, len(g.members))
		case g.leader != "" && g.byID[g.leader] == nil:
			w.t.Fatalf("group %s is led by %s, who is no member", g.id, g.leader)
		case len(g.members) > 0 && g.leader == "":
			w.t.Fatalf("group %s has members and no leader", g.id)
		case g.state == PreparingRebalance && g.joinAlarm.due == 0:
			w.t.Fatalf("group %s prepares a rebalance that nothing ends", g.id)
		}
		if at, ok := w.acked[g.id]; ok && len(w.held) == 0 {
			got := w.m.Fetch(g.id, []TopicPartition{{"t", 0}}, false)[0].Offset
			if got < at {
				w.t.Fatalf("group %s: offset %d was acknowledged, fetched %d", g.id, at, got)
			}
		}
	}
}

// finish lets time pass until nothing can be open any more.
func (w *world) finish() {
	for range 40 {
		w.now += 60_000
		w.m.Tick(w.now)
		w.settle()
		for _, a := range w.held {
			w.report(a)
		}
		w.held = nil
		w.settle()
		w.check()
	}
	for t := range w.open {
		w.t.Fatalf("ticket %d was never answered", t)
	}
	for _, o := range w.m.List() {
		if o.State != Empty {
			w.t.Fatalf("group %s is %v after everybody fell silent", o.Group, o.State)
		}
	}
}

package group

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"zkafka/kafkad/errcode"
)

// The scripts in testdata/*.story read like the protocol: each command is one input, what
// follows the dashes are its effects. Appends succeed at once unless "hold" was said.
//
//	join [group=] [member=] [instance=] [v=] [session=] [rebalance=] [protocols=(a,b)] [meta=]
//	sync / heartbeat / leave / commit / fetch / describe / list / delete / delete-offsets
//	tick at=N          the clock moves to N milliseconds and what is due happens
//	hold, release [error=]    keep appends back; report them
//	restart            a new machine replays the log
//	config [size=] [delay=] [retention=] [check=]
type story struct {
	t      *testing.T
	cfg    Config
	m      *Machine
	now    int64
	ticket Ticket
	uuid   int
	names  map[Ticket]string
	hold   bool
	held   []Append
	log    []Record
	out    strings.Builder
}

func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		s := &story{t: t, cfg: DefaultConfig(), now: 1000, names: map[Ticket]string{}}
		s.m = New(s.cfg, s.now)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			return s.run(d)
		})
	})
}

func (s *story) run(d *datadriven.TestData) string {
	s.out.Reset()
	if at := arg(d, "at", ""); at != "" {
		s.now, _ = strconv.ParseInt(at, 10, 64)
	}
	group := arg(d, "group", "g")
	switch d.Cmd {
	case "join":
		s.join(d, group)
	case "sync":
		s.sync(d, group)
	case "heartbeat":
		code := s.m.Heartbeat(s.now, &HeartbeatRequest{
			Group: group, MemberID: arg(d, "member", ""), InstanceID: arg(d, "instance", ""),
			Generation: num(d, "generation", 1),
		})
		fmt.Fprintf(&s.out, "%s\n", code.Name())
	case "leave":
		codes := s.m.Leave(s.now, group, []LeaveMember{{
			MemberID: arg(d, "member", ""), InstanceID: arg(d, "instance", ""),
		}})
		fmt.Fprintf(&s.out, "%s\n", codes[0].Name())
	case "commit", "fetch", "delete", "delete-offsets":
		s.offsets(d, group)
	case "describe":
		s.describe(group)
	case "list":
		for _, o := range s.m.List() {
			fmt.Fprintf(&s.out, "%s type=%q %s\n", o.Group, o.ProtocolType, o.State)
		}
	case "tick":
		s.m.Tick(s.now)
	default:
		s.control(d)
	}
	s.effects()
	if s.out.Len() == 0 {
		return "(nothing)\n"
	}
	return s.out.String()
}

func (s *story) control(d *datadriven.TestData) {
	switch d.Cmd {
	case "hold":
		s.hold = true
	case "release":
		held := s.held
		s.hold, s.held = false, nil
		for _, a := range held {
			if name := arg(d, "error", ""); name != "" {
				s.m.Appended(s.now, a.Token, -1, codeNamed(s.t, name))
			} else {
				s.append(a)
			}
		}
	case "restart":
		s.m.Unload()
		s.effects()
		l := NewLoader()
		for i, r := range s.log {
			if err := l.Record(int64(i), false, -1, r); err != nil {
				s.t.Fatal(err)
			}
		}
		s.m = l.Finish(s.cfg, s.now)
	case "config":
		s.cfg.MaxSize = int(num(d, "size", int32(s.cfg.MaxSize)))
		s.cfg.InitialRebalanceDelayMillis = int64(num(d, "delay",
			int32(s.cfg.InitialRebalanceDelayMillis)))
		s.cfg.OffsetsRetentionMillis = int64(num(d, "retention",
			int32(s.cfg.OffsetsRetentionMillis)))
		s.cfg.OffsetsCheckIntervalMillis = int64(num(d, "check",
			int32(s.cfg.OffsetsCheckIntervalMillis)))
		s.m = New(s.cfg, s.now)
	case "topics-deleted":
		s.m.TopicsDeleted(s.now, []string{arg(d, "topic", "t")})
	default:
		s.t.Fatalf("%s: unknown command %s", d.Pos, d.Cmd)
	}
}

func (s *story) issue(name string) Ticket {
	s.ticket++
	s.names[s.ticket] = name
	return s.ticket
}

func (s *story) join(d *datadriven.TestData, group string) {
	version := num(d, "v", 9)
	r := &JoinRequest{
		Group: group, MemberID: arg(d, "member", ""), InstanceID: arg(d, "instance", ""),
		ClientID: arg(d, "client", "c"), ClientHost: "/10.0.0.1",
		SessionTimeoutMillis:   num(d, "session", 10_000),
		RebalanceTimeoutMillis: num(d, "rebalance", 60_000),
		ProtocolType:           arg(d, "type", "consumer"), SkipAssignment: version >= 9,
	}
	r.RequireKnownMember = version >= 4 && r.InstanceID == ""
	for _, p := range strings.Split(arg(d, "protocols", "range"), ",") {
		if p != "" {
			r.Protocols = append(r.Protocols, Protocol{
				Name: p, Metadata: subscription(arg(d, "topics", "t")),
			})
		}
	}
	if r.MemberID == "" {
		s.uuid++
		r.UUID = fmt.Sprintf("u%d", s.uuid)
	}
	who := r.MemberID
	if who == "" {
		who = "new " + r.ClientID + r.InstanceID
	}
	s.m.Join(s.now, s.issue("join of "+who), r)
}

// subscription is a consumer protocol subscription of version 0.
func subscription(topics string) []byte {
	b := []byte{0, 0, 0, 0, 0, 0}
	for _, t := range strings.Split(topics, ",") {
		b[5]++
		b = appendString(b, t)
	}
	return appendBytes(b, nil)
}

func (s *story) sync(d *datadriven.TestData, group string) {
	r := &SyncRequest{
		Group: group, MemberID: arg(d, "member", ""), InstanceID: arg(d, "instance", ""),
		Generation: num(d, "generation", 1),
		Protocol:   arg(d, "protocol", ""), ProtocolType: arg(d, "type", ""),
	}
	for _, line := range strings.Split(strings.TrimSpace(d.Input), "\n") {
		if member, a, ok := strings.Cut(line, "="); ok {
			r.Assignments = append(r.Assignments, Assignment{MemberID: member, Data: []byte(a)})
		}
	}
	s.m.Sync(s.now, s.issue("sync of "+r.MemberID), r)
}

func (s *story) offsets(d *datadriven.TestData, group string) {
	topic, partition := arg(d, "topic", "t"), num(d, "partition", 0)
	tps := []TopicPartition{{Topic: topic, Partition: partition}}
	switch d.Cmd {
	case "commit":
		s.m.Commit(s.now, s.issue("commit"), &CommitRequest{
			Group: group, MemberID: arg(d, "member", ""), InstanceID: arg(d, "instance", ""),
			Generation: num(d, "generation", -1),
			Offsets: []OffsetCommit{{TopicPartition: tps[0], Offset: Offset{
				Offset: int64(num(d, "offset", 1)), LeaderEpoch: -1,
				Metadata:        strings.Repeat("m", int(num(d, "metadata", 0))),
				CommitTimestamp: s.now, ExpireTimestamp: int64(num(d, "expire", -1)),
			}}},
		})
	case "fetch":
		if arg(d, "topic", "") == "" {
			tps = nil
		}
		for _, o := range s.m.Fetch(group, tps, arg(d, "stable", "") != "") {
			fmt.Fprintf(&s.out, "%s-%d offset=%d %s\n", o.Topic, o.Partition, o.Offset,
				o.Err.Name())
		}
	case "delete":
		s.m.Delete(s.now, s.issue("delete"), group)
	case "delete-offsets":
		codes, code := s.m.DeleteOffsets(s.now, s.issue("delete-offsets"), group, tps)
		if code != errcode.None {
			fmt.Fprintf(&s.out, "group: %s\n", code.Name())
		}
		for i, c := range codes {
			fmt.Fprintf(&s.out, "%s-%d: %s\n", tps[i].Topic, tps[i].Partition, c.Name())
		}
	}
}

func (s *story) describe(group string) {
	desc := s.m.Describe(group)
	fmt.Fprintf(&s.out, "%s type=%q protocol=%q\n", desc.State, desc.ProtocolType, desc.Protocol)
	for _, mb := range desc.Members {
		fmt.Fprintf(&s.out, "  %s instance=%q client=%s%s assignment=%q\n",
			mb.MemberID, mb.InstanceID, mb.ClientID, mb.ClientHost, mb.Assignment)
	}
}

// effects prints what the machine wants and carries out its appends.
func (s *story) effects() {
	for {
		e := s.m.Take()
		for _, r := range e.Joins {
			s.printJoin(r)
		}
		for _, r := range e.Syncs {
			fmt.Fprintf(&s.out, "-> %s: %s", s.names[r.Ticket], r.Err.Name())
			if r.Err == errcode.None {
				fmt.Fprintf(&s.out, " %s/%s assignment=%q", r.ProtocolType, r.Protocol, r.Assignment)
			}
			s.out.WriteString("\n")
		}
		for _, r := range e.Commits {
			fmt.Fprintf(&s.out, "-> %s: %s\n", s.names[r.Ticket], r.Errs[0].Name())
		}
		for _, r := range e.Dones {
			fmt.Fprintf(&s.out, "-> %s: %s\n", s.names[r.Ticket], r.Err.Name())
		}
		for _, ev := range e.Events {
			fmt.Fprintf(&s.out, "log %s: %s (generation %d)\n", ev.Group, ev.Text, ev.Generation)
		}
		if len(e.Appends) == 0 {
			return
		}
		for _, a := range e.Appends {
			for _, r := range a.Records {
				s.printRecord(r)
			}
			if s.hold {
				s.held = append(s.held, a)
			} else {
				s.append(a)
			}
		}
	}
}

func (s *story) append(a Append) {
	at := int64(len(s.log))
	s.log = append(s.log, a.Records...)
	s.m.Appended(s.now, a.Token, at, errcode.None)
}

func (s *story) printJoin(r JoinReply) {
	fmt.Fprintf(&s.out, "-> %s: %s member=%q", s.names[r.Ticket], r.Err.Name(), r.MemberID)
	if r.Err == errcode.None {
		fmt.Fprintf(&s.out, " generation=%d %s/%s leader=%s", r.Generation, r.ProtocolType,
			r.Protocol, r.Leader)
		if r.SkipAssignment {
			s.out.WriteString(" skip-assignment")
		}
	}
	for _, mb := range r.Members {
		fmt.Fprintf(&s.out, "\n     with %s", mb.MemberID)
		if mb.InstanceID != "" {
			fmt.Fprintf(&s.out, " instance=%s", mb.InstanceID)
		}
	}
	s.out.WriteString("\n")
}

func (s *story) printRecord(r Record) {
	k, err := DecodeKey(r.Key)
	if err != nil {
		s.t.Fatal(err)
	}
	switch {
	case k.Kind == OffsetKey && r.Value == nil:
		fmt.Fprintf(&s.out, "append tombstone offset %s %s-%d\n", k.Group, k.Topic, k.Partition)
	case k.Kind == OffsetKey:
		o, err := DecodeOffsetValue(r.Value)
		if err != nil {
			s.t.Fatal(err)
		}
		fmt.Fprintf(&s.out, "append offset %s %s-%d = %d\n", k.Group, k.Topic, k.Partition, o.Offset)
	case r.Value == nil:
		fmt.Fprintf(&s.out, "append tombstone group %s\n", k.Group)
	default:
		v, err := DecodeGroupValue(r.Value)
		if err != nil {
			s.t.Fatal(err)
		}
		fmt.Fprintf(&s.out, "append group %s generation=%d protocol=%q leader=%q", k.Group,
			v.Generation, v.Protocol, v.Leader)
		for _, mb := range v.Members {
			fmt.Fprintf(&s.out, " %s=%q", mb.MemberID, mb.Assignment)
		}
		s.out.WriteString("\n")
	}
}

func arg(d *datadriven.TestData, key, otherwise string) string {
	for _, a := range d.CmdArgs {
		if a.Key == key {
			return strings.Join(a.Vals, ",")
		}
	}
	return otherwise
}

func num(d *datadriven.TestData, key string, otherwise int32) int32 {
	v := arg(d, key, "")
	if v == "" {
		return otherwise
	}
	n, err := strconv.ParseInt(v, 10, 32)
	if err != nil {
		d.Fatalf(nil, "%s: %v", key, err)
	}
	return int32(n)
}

func codeNamed(t *testing.T, name string) errcode.Code {
	for c := errcode.Code(-1); c <= 120; c++ {
		if c.Name() == name {
			return c
		}
	}
	t.Fatalf("no error code named %s", name)
	return 0
}

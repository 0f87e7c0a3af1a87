package controller

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/errcode"
)

// world is the rest of the cluster around a machine: ZooKeeper's nodes and brokers that obey.
type world struct {
	m       *Machine
	out     strings.Builder
	states  map[TP]*State
	topics  map[string]TopicNode
	marks   map[string]bool
	brokers []cluster.Broker
	fenced  bool            // the next write finds another controller
	vanish  map[string]bool // topics removed by hand
	badDir  map[string]bool // "broker/topic-index": replica on a failed log dir
	stopErr map[int32]bool  // brokers that fail StopReplica
	race    map[TP]*State   // written by somebody else just before our next write
	inputs  []Input         // waiting for the machine to be idle
	ids     byte            // last topic id drawn
}

func newWorld() *world {
	return &world{
		m:      New(Options{Self: 1, DeleteTopics: true}),
		states: map[TP]*State{}, topics: map[string]TopicNode{}, marks: map[string]bool{},
		vanish: map[string]bool{}, badDir: map[string]bool{}, stopErr: map[int32]bool{},
		race: map[TP]*State{},
	}
}

// TestMachine runs the transcripts in testdata. Commands:
//
//	start epoch=E          begin a term with everything the world holds
//	brokers 1@10 2@11      the live brokers with their epochs
//	topic T [id=N] [unclean] 0:1,2 1:2,1   create or rewrite a topic's node
//	state T-P leader=L epoch=E isr=1,2 [version=V] [ce=C]  put a state, before start
//	race T-P leader=…      the same, done by somebody else before the machine's next write
//	delete T…, preferred T-P…, unclean T on|off, isr T-P…, logdir B, remove T
//	bad-dir B/T-P…, stop-error B…, fence, resign
func TestMachine(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		w := newWorld()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			w.out.Reset()
			w.command(t, d)
			w.drain(t)
			w.check(t, d)
			if w.out.Len() == 0 {
				return "ok\n"
			}
			return w.out.String()
		})
	})
}

func (w *world) command(t *testing.T, d *datadriven.TestData) {
	words := words(d)
	switch d.Cmd {
	case "options":
		w.m = New(Options{Self: 1, DeleteTopics: !slices.Contains(words, "no-delete")})
	case "start":
		w.fenced = false
		var epoch int
		d.ScanArgs(t, "epoch", &epoch)
		w.start(int32(epoch))
	case "brokers":
		w.brokers = parseBrokers(t, words)
		w.feed(BrokersChanged{Brokers: w.brokers})
	case "topic":
		w.topic(t, words)
	case "state":
		w.states[parseTP(t, words[0])] = parseState(t, words[1:])
	case "race":
		w.race[parseTP(t, words[0])] = parseState(t, words[1:])
	case "delete":
		for _, name := range words {
			w.marks[name] = true
		}
		w.feed(DeletionsChanged{Names: sortedKeys(w.marks)})
	case "remove":
		delete(w.topics, words[0])
		w.feed(TopicsChanged{Names: sortedKeys(w.topics)})
	case "preferred":
		w.feed(ElectPreferred{Partitions: parseTPs(t, words)})
	case "unclean":
		w.feed(UncleanChanged{Topic: words[0], Enabled: words[1] == "on"})
	case "isr":
		w.feed(ISRChanged{States: w.read(parseTPs(t, words))})
	case "logdir":
		w.feed(LogDirFailed{Broker: number(t, words[0])})
	case "bad-dir":
		for _, b := range words {
			w.badDir[b] = true
		}
	case "stop-error":
		clear(w.stopErr)
		for _, b := range words {
			w.stopErr[number(t, b)] = true
		}
	case "vanish":
		w.vanish[words[0]] = true
	case "fence":
		w.fenced = true
	case "resign":
		w.feed(Resigned{})
	default:
		d.Fatalf(t, "unknown command")
	}
}

func (w *world) start(epoch int32) {
	in := Start{Epoch: epoch, Brokers: w.brokers, Deletions: sortedKeys(w.marks)}
	var tps []TP
	for _, name := range sortedKeys(w.topics) {
		n := w.topics[name]
		in.Topics = append(in.Topics, n)
		in.NewIDs = append(in.NewIDs, w.newIDs(n)...)
		for _, a := range n.Assignments {
			tps = append(tps, TP{name, a.Index})
		}
	}
	in.States = w.read(tps)
	w.feed(in)
}

func (w *world) newIDs(n TopicNode) []cluster.TopicID {
	if !n.ID.IsZero() {
		return nil
	}
	w.ids++
	return []cluster.TopicID{{0xf0, w.ids}}
}

func (w *world) topic(t *testing.T, words []string) {
	n := TopicNode{Name: words[0]}
	for _, word := range words[1:] {
		switch {
		case strings.HasPrefix(word, "id="):
			n.ID = cluster.TopicID{byte(number(t, word[3:]))}
		case word == "unclean":
			n.Unclean = true
		default:
			index, replicas, _ := strings.Cut(word, ":")
			n.Assignments = append(n.Assignments,
				Assignment{Index: number(t, index), Replicas: parseIDs(t, replicas)})
		}
	}
	_, known := w.topics[n.Name]
	w.topics[n.Name] = n
	if !w.m.Active() {
		return
	}
	if known {
		w.feed(TopicChanged{Node: n})
		return
	}
	w.feed(TopicsChanged{Names: sortedKeys(w.topics), New: []TopicNode{n}, NewIDs: w.newIDs(n)})
}

func (w *world) feed(in Input) { w.inputs = append(w.inputs, in) }

// drain steps the machine until it wants nothing more.
func (w *world) drain(t *testing.T) {
	for len(w.inputs) > 0 {
		in := w.inputs[0]
		w.inputs = w.inputs[1:]
		for _, e := range w.m.Step(in) {
			w.effect(t, e)
		}
	}
}

func (w *world) effect(t *testing.T, e Effect) {
	switch e := e.(type) {
	case Writes:
		results := make([]WriteResult, len(e.Writes))
		for i, wr := range e.Writes {
			results[i] = w.write(wr)
		}
		w.inputs = slices.Insert(w.inputs, 0, Input(Written{results}))
	case ReadStates:
		fmt.Fprintf(&w.out, "read states %v\n", e.Partitions)
		w.inputs = slices.Insert(w.inputs, 0, Input(States{w.read(e.Partitions)}))
	case SendLeaderAndIsr:
		var r cluster.LeaderAndIsrResult
		fmt.Fprintf(&w.out, "LeaderAndIsr to %d, epoch %d\n", e.Broker, e.Req.ControllerEpoch)
		for _, p := range e.Req.Partitions {
			w.partition(p)
			code := errcode.None
			if w.badDir[fmt.Sprintf("%d/%s-%d", e.Broker, p.Topic, p.Index)] {
				code = errcode.KafkaStorageError
			}
			r.Partitions = append(r.Partitions, cluster.PartitionResult{
				Topic: p.Topic, Index: p.Index, Err: code})
		}
		w.feed(LeaderAndIsrDone{Broker: e.Broker, Result: r})
	case SendUpdateMetadata:
		fmt.Fprintf(&w.out, "UpdateMetadata to %d, brokers", e.Broker)
		for _, b := range e.Req.Brokers {
			fmt.Fprintf(&w.out, " %d", b.ID)
		}
		w.out.WriteByte('\n')
		for _, p := range e.Req.Partitions {
			w.partition(p)
		}
	case SendStopReplica:
		var r cluster.StopReplicaResult
		fmt.Fprintf(&w.out, "StopReplica to %d:", e.Broker)
		for _, p := range e.Req.Partitions {
			fmt.Fprintf(&w.out, " %s-%d(delete=%v)", p.Topic, p.Index, p.Delete)
		}
		w.out.WriteByte('\n')
		if w.stopErr[e.Broker] {
			r.Err = errcode.BrokerNotAvailable
		}
		w.feed(StopReplicaDone{Broker: e.Broker, Request: e.Req, Result: r})
	case Resign:
		fmt.Fprintf(&w.out, "resign: %s\n", e.Reason)
	case Note:
		fmt.Fprintf(&w.out, "note %s: %s\n", e.Topic, e.Text)
	default:
		t.Fatalf("unknown effect %T", e)
	}
}

func (w *world) partition(p cluster.PartitionState) {
	fmt.Fprintf(&w.out, "  %s-%d leader=%d epoch=%d isr=%v version=%d",
		p.Topic, p.Index, p.Leader, p.LeaderEpoch, p.ISR, p.PartitionEpoch)
	if len(p.Offline) > 0 {
		fmt.Fprintf(&w.out, " offline=%v", p.Offline)
	}
	if p.IsNew {
		w.out.WriteString(" new")
	}
	if p.Recovering {
		w.out.WriteString(" recovering")
	}
	w.out.WriteByte('\n')
}

var opNames = map[Op]string{
	CreateParent: "create partitions of", CreatePartition: "create", CreateState: "create state",
	SetState: "set state", SetTopic: "set topic", DeleteTopic: "delete topic",
	DeleteConfig: "delete config of", DeleteMark: "delete mark of",
}

// write performs a write on the world's nodes, as ZooKeeper would.
func (w *world) write(wr Write) WriteResult {
	tp := TP{wr.Topic, wr.Index}
	fmt.Fprintf(&w.out, "%s %s", opNames[wr.Op], wr.Topic)
	if wr.Op == CreatePartition || wr.State != nil {
		fmt.Fprintf(&w.out, "-%d", wr.Index)
	}
	if s := wr.State; s != nil {
		fmt.Fprintf(&w.out, " leader=%d epoch=%d isr=%v ce=%d", s.Leader, s.LeaderEpoch, s.ISR,
			s.ControllerEpoch)
	}
	r := w.apply(wr, tp)
	if r.Outcome != OK {
		fmt.Fprintf(&w.out, " -> %s",
			[]string{"", "exists", "no node", "bad version", "fenced"}[r.Outcome])
	}
	w.out.WriteByte('\n')
	return r
}

func (w *world) apply(wr Write, tp TP) WriteResult {
	if w.fenced {
		return WriteResult{Outcome: Fenced}
	}
	if s := w.race[tp]; s != nil && wr.State != nil {
		w.states[tp] = s
		delete(w.race, tp)
	}
	switch wr.Op {
	case CreateParent, CreatePartition:
		if w.vanish[wr.Topic] {
			return WriteResult{Outcome: NoNode}
		}
	case CreateState:
		if w.vanish[wr.Topic] {
			return WriteResult{Outcome: NoNode}
		}
		if w.states[tp] != nil {
			return WriteResult{Outcome: Exists}
		}
		s := *wr.State
		w.states[tp] = &s
	case SetState:
		old := w.states[tp]
		if old == nil {
			return WriteResult{Outcome: NoNode}
		}
		if old.Version != wr.State.Version {
			return WriteResult{Outcome: BadVersion}
		}
		s := *wr.State
		s.Version++
		w.states[tp] = &s
		return WriteResult{Version: s.Version}
	case SetTopic:
		w.topics[wr.Topic] = *wr.Node
	case DeleteTopic:
		for _, a := range w.topics[wr.Topic].Assignments {
			delete(w.states, TP{wr.Topic, a.Index})
		}
		delete(w.topics, wr.Topic)
	case DeleteMark:
		delete(w.marks, wr.Topic)
	}
	return WriteResult{}
}

func (w *world) read(tps []TP) []StateNode {
	nodes := make([]StateNode, len(tps))
	for i, tp := range tps {
		nodes[i].TP = tp
		if s := w.states[tp]; s != nil {
			c := *s
			nodes[i].State = &c
		}
	}
	return nodes
}

// check holds the machine against its invariants after every command.
func (w *world) check(t *testing.T, d *datadriven.TestData) {
	if !w.m.Idle() {
		d.Fatalf(t, "the machine waits for an answer nobody owes")
	}
	if !w.m.Active() {
		return
	}
	for name, topic := range w.m.topics {
		for _, p := range topic.parts {
			s := p.state
			if s == nil {
				continue
			}
			if len(s.ISR) == 0 {
				d.Fatalf(t, "%s-%d has an empty ISR", name, p.tp.Index)
			}
			if s.Leader >= 0 && !slices.Contains(s.ISR, s.Leader) {
				d.Fatalf(t, "%s-%d is led from outside the ISR", name, p.tp.Index)
			}
			for _, r := range s.ISR {
				if !slices.Contains(p.replicas, r) {
					d.Fatalf(t, "%s-%d has %d in the ISR, which is no replica", name, p.tp.Index, r)
				}
			}
			z := w.states[p.tp]
			if z == nil || z.Leader != s.Leader || z.LeaderEpoch != s.LeaderEpoch ||
				z.Version != s.Version || !slices.Equal(z.ISR, s.ISR) {
				d.Fatalf(t, "%s-%d is %+v in memory and %+v in ZooKeeper", name, p.tp.Index, s, z)
			}
		}
	}
}

func words(d *datadriven.TestData) []string {
	var list []string
	for _, a := range d.CmdArgs {
		list = append(list, a.String())
	}
	for line := range strings.Lines(d.Input) {
		list = append(list, strings.Fields(line)...)
	}
	return list
}

func sortedKeys[V any](m map[string]V) []string {
	keys := []string{}
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func number(t *testing.T, s string) int32 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return int32(n)
}

func parseIDs(t *testing.T, s string) (ids []int32) {
	t.Helper()
	for _, f := range strings.Split(s, ",") {
		ids = append(ids, number(t, f))
	}
	return ids
}

func parseTP(t *testing.T, s string) TP {
	t.Helper()
	i := strings.LastIndexByte(s, '-')
	return TP{s[:i], number(t, s[i+1:])}
}

func parseTPs(t *testing.T, words []string) (tps []TP) {
	t.Helper()
	for _, w := range words {
		tps = append(tps, parseTP(t, w))
	}
	return tps
}

func parseBrokers(t *testing.T, words []string) (list []cluster.Broker) {
	t.Helper()
	for _, w := range words {
		id, epoch, _ := strings.Cut(w, "@")
		list = append(list, cluster.Broker{ID: number(t, id), Epoch: int64(number(t, epoch))})
	}
	return list
}

func parseState(t *testing.T, words []string) *State {
	t.Helper()
	s := &State{}
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "leader":
			s.Leader = number(t, v)
		case "epoch":
			s.LeaderEpoch = number(t, v)
		case "version":
			s.Version = number(t, v)
		case "ce":
			s.ControllerEpoch = number(t, v)
		case "isr":
			s.ISR = parseIDs(t, v)
		}
	}
	return s
}

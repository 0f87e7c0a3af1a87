// Package controller decides for the whole cluster: who leads which partition, when a replica
// leaves the ISR, how topics come and go. It is a pure machine. The owner (kafkad/metastore) gives
// it one input at a time and performs the effects it answers with, in their order.
//
// The contract of an owner:
//   - after a Writes effect, which is always the last of its list, the next input is Written with
//     one result per write, and no other; the machine continues where it stopped.
//   - after a ReadStates effect, likewise last, the next input is States.
//   - results of LeaderAndIsr and StopReplica effects come back as inputs whenever the machine is
//     Idle, in the order of the effects.
//   - after a Resign effect the machine has forgotten everything; only Start wakes it again.
//
// Every write must be fenced with the version of /controller_epoch that the election gave; the
// owner reports a write that fails this check as Fenced.
//
// Invariants: leader is in ISR or none; ISR is a subset of the replicas and never empty once the
// state exists; leader epochs only grow; a partition's state in memory equals its znode, except
// between a Writes effect and its Written input.
package controller

import (
	"slices"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/errcode"
)

// TP names a partition.
type TP struct {
	Topic string
	Index int32
}

// Assignment is who shall hold a partition.
type Assignment struct {
	Index    int32
	Replicas []int32
	Adding   []int32
	Removing []int32
}

// State is the content of a partition's state znode with the znode's version.
type State struct {
	Leader          int32
	LeaderEpoch     int32
	ControllerEpoch int32
	ISR             []int32
	Recovering      bool
	Version         int32
}

// TopicNode is a topic's znode: assignments in ascending order of Index.
type TopicNode struct {
	Name        string
	ID          cluster.TopicID
	Assignments []Assignment
	Unclean     bool // unclean.leader.election.enable of this topic
}

// StateNode is a partition's state as read; State is nil if the znode does not exist.
type StateNode struct {
	TP
	State *State
}

// Input is anything the machine reacts to.
type Input interface{ input() }

// Inputs.
type (
	// Start begins a term as controller: the whole context as read from ZooKeeper, after the
	// watches were set.
	Start struct {
		Epoch     int32
		Brokers   []cluster.Broker
		Topics    []TopicNode
		States    []StateNode
		Deletions []string
		NewIDs    []cluster.TopicID // for topics without id; as many as there are such topics
	}
	// BrokersChanged gives all live brokers.
	BrokersChanged struct{ Brokers []cluster.Broker }
	// TopicsChanged gives the names of all topics, and the nodes of those not known before.
	TopicsChanged struct {
		Names  []string
		New    []TopicNode
		NewIDs []cluster.TopicID
	}
	// TopicChanged gives a topic's node after its data changed.
	TopicChanged struct{ Node TopicNode }
	// DeletionsChanged gives the names of all topics marked for deletion.
	DeletionsChanged struct{ Names []string }
	// ElectPreferred asks for the preferred leaders of these partitions.
	ElectPreferred struct{ Partitions []TP }
	// UncleanChanged tells that a topic allows, or no longer allows, unclean elections.
	UncleanChanged struct {
		Topic   string
		Enabled bool
	}
	// ISRChanged tells that leaders changed states themselves; States has them as read now.
	ISRChanged struct{ States []StateNode }
	// LogDirFailed tells that a broker lost a log directory: it is asked which replicas it has.
	LogDirFailed struct{ Broker int32 }
	// Written answers a Writes effect.
	Written struct{ Results []WriteResult }
	// States answers a ReadStates effect.
	States struct{ States []StateNode }
	// LeaderAndIsrDone gives a broker's answer; Err is set if it could not be asked.
	LeaderAndIsrDone struct {
		Broker int32
		Result cluster.LeaderAndIsrResult
	}
	// StopReplicaDone gives a broker's answer to a StopReplica effect.
	StopReplicaDone struct {
		Broker  int32
		Request *cluster.StopReplica
		Result  cluster.StopReplicaResult
	}
	// Resigned ends the term from outside: the session or the /controller node is gone.
	Resigned struct{}
)

func (Start) input()            {}
func (BrokersChanged) input()   {}
func (TopicsChanged) input()    {}
func (TopicChanged) input()     {}
func (DeletionsChanged) input() {}
func (ElectPreferred) input()   {}
func (UncleanChanged) input()   {}
func (ISRChanged) input()       {}
func (LogDirFailed) input()     {}
func (Written) input()          {}
func (States) input()           {}
func (LeaderAndIsrDone) input() {}
func (StopReplicaDone) input()  {}
func (Resigned) input()         {}

// Effect is something the owner has to do.
type Effect interface{ effect() }

// Effects.
type (
	// Writes are to be performed in order (pipelined), each fenced; answered by Written.
	Writes struct{ Writes []Write }
	// ReadStates asks for the states of partitions as they are now; answered by States.
	ReadStates struct{ Partitions []TP }
	// SendLeaderAndIsr goes to one broker.
	SendLeaderAndIsr struct {
		Broker int32
		Req    *cluster.LeaderAndIsr
	}
	// SendUpdateMetadata goes to one broker.
	SendUpdateMetadata struct {
		Broker int32
		Req    *cluster.UpdateMetadata
	}
	// SendStopReplica goes to one broker.
	SendStopReplica struct {
		Broker int32
		Req    *cluster.StopReplica
	}
	// Resign ends the term: somebody else is controller by now.
	Resign struct{ Reason string }
	// Note is something an operator may want to read.
	Note struct {
		Topic string
		Text  string
	}
)

func (Writes) effect()             {}
func (ReadStates) effect()         {}
func (SendLeaderAndIsr) effect()   {}
func (SendUpdateMetadata) effect() {}
func (SendStopReplica) effect()    {}
func (Resign) effect()             {}
func (Note) effect()               {}

// Op is a kind of write.
type Op int

// The writes a controller does.
const (
	CreateParent    Op = iota // /brokers/topics/T/partitions; exists already = fine
	CreatePartition           // /brokers/topics/T/partitions/P; likewise
	CreateState               // .../state with State
	SetState                  // .../state with State, if its version is State.Version
	SetTopic                  // /brokers/topics/T with Node
	DeleteTopic               // /brokers/topics/T and all below; absent = fine
	DeleteConfig              // /config/topics/T; absent = fine
	DeleteMark                // /admin/delete_topics/T; absent = fine
)

// Write is one fenced write.
type Write struct {
	Op    Op
	Topic string
	Index int32
	State *State
	Node  *TopicNode
}

// Outcome says how a write ended.
type Outcome int

// Outcomes.
const (
	OK         Outcome = iota
	Exists             // the node to create is there
	NoNode             // the node to change is not there
	BadVersion         // somebody changed the node
	Fenced             // /controller_epoch moved: we are not controller any more
)

// WriteResult is the outcome of a write; Version is the node's after it (states only).
type WriteResult struct {
	Outcome Outcome
	Version int32
}

// Options fix a machine's behaviour.
type Options struct {
	Self         int32 // our broker id
	DeleteTopics bool  // delete.topic.enable
}

// partition is the machine's record of one partition. state is nil while the partition is New,
// that is, while no replica was alive since it was created.
type partition struct {
	tp       TP
	replicas []int32
	adding   []int32
	removing []int32
	state    *State
	failed   map[int32]bool // replicas on failed log directories
}

type topic struct {
	name     string
	id       cluster.TopicID
	unclean  bool
	parts    []*partition // ascending index
	deletion *deletion    // nil unless marked
}

// Machine is the controller. Use New.
type Machine struct {
	opts    Options
	active  bool
	epoch   int32
	brokers map[int32]cluster.Broker
	topics  map[string]*topic
	out     []Effect
	written func([]WriteResult) // set while a Writes effect is unanswered
	read    func([]StateNode)   // set while a ReadStates effect is unanswered
}

// New returns a machine that is not controller.
func New(opts Options) *Machine {
	m := &Machine{opts: opts}
	m.forget()
	return m
}

// Active reports whether the machine is in a term.
func (m *Machine) Active() bool { return m.active }

// Epoch returns the controller epoch of the term.
func (m *Machine) Epoch() int32 { return m.epoch }

// Idle reports whether the machine waits for no answer, so that any input may come.
func (m *Machine) Idle() bool { return m.written == nil && m.read == nil }

// Knows reports whether the topic is part of the context.
func (m *Machine) Knows(name string) bool { return m.topics[name] != nil }

// Step takes one input and returns what has to be done.
func (m *Machine) Step(in Input) []Effect {
	m.out = nil
	if _, ok := in.(Start); !ok && !m.active {
		return nil
	}
	if !m.answer(in) {
		m.step(in)
	}
	return m.out
}

// answer handles the inputs that continue something; it reports whether in was one.
func (m *Machine) answer(in Input) bool {
	switch in := in.(type) {
	case Written:
		then := m.written
		if then == nil {
			panic("controller: Written without a Writes effect")
		}
		m.written = nil
		if slices.ContainsFunc(in.Results, func(r WriteResult) bool { return r.Outcome == Fenced }) {
			m.resign("a write was refused: another controller was elected")
			return true
		}
		then(in.Results)
	case States:
		then := m.read
		if then == nil {
			panic("controller: States without a ReadStates effect")
		}
		m.read = nil
		then(in.States)
	case Resigned:
		m.forget()
	default:
		if !m.Idle() {
			panic("controller: an input came while an answer is awaited")
		}
		return false
	}
	return true
}

func (m *Machine) step(in Input) {
	switch in := in.(type) {
	case Start:
		m.start(in)
	case BrokersChanged:
		m.brokersChanged(in.Brokers)
	case TopicsChanged:
		m.topicsChanged(in)
	case TopicChanged:
		m.topicChanged(in.Node)
	case DeletionsChanged:
		m.deletionsChanged(in.Names)
	case ElectPreferred:
		m.electPreferred(in.Partitions)
	case UncleanChanged:
		m.uncleanChanged(in)
	case ISRChanged:
		m.isrChanged(in.States)
	case LogDirFailed:
		m.logDirFailed(in.Broker)
	case LeaderAndIsrDone:
		m.leaderAndIsrDone(in)
	case StopReplicaDone:
		m.stopReplicaDone(in)
	}
}

func (m *Machine) emit(e Effect) { m.out = append(m.out, e) }

// write emits ws and goes on with then after they are done; without writes it goes on at once.
func (m *Machine) write(ws []Write, then func([]WriteResult)) {
	if len(ws) == 0 {
		then(nil)
		return
	}
	m.written = then
	m.emit(Writes{ws})
}

func (m *Machine) resign(reason string) {
	m.forget()
	m.emit(Resign{reason})
}

func (m *Machine) forget() {
	m.active, m.written, m.read = false, nil, nil
	m.brokers, m.topics = map[int32]cluster.Broker{}, map[string]*topic{}
}

// leaderAndIsrDone marks replicas offline that a broker reported to lie on a failed directory.
// Other errors of a partition repeat themselves in the broker's journal and heal with the next
// request, as in Kafka.
func (m *Machine) leaderAndIsrDone(in LeaderAndIsrDone) {
	if in.Result.Err != errcode.None {
		m.emit(Note{Text: "broker refused LeaderAndIsr: " + in.Result.Err.Error()})
		return
	}
	var hit []*partition
	for _, r := range in.Result.Partitions {
		p := m.partition(TP{r.Topic, r.Index})
		if p == nil {
			continue
		}
		was := p.failed[in.Broker]
		now := r.Err == errcode.KafkaStorageError
		if was == now {
			continue
		}
		if p.failed == nil {
			p.failed = map[int32]bool{}
		}
		p.failed[in.Broker] = now
		hit = append(hit, p)
	}
	m.reconcile(hit)
}

func (m *Machine) logDirFailed(broker int32) {
	if _, live := m.brokers[broker]; !live {
		return
	}
	b := m.batch()
	for _, p := range m.partitionsOf(broker) {
		if p.state != nil {
			b.leaderAndIsr(broker, p, false)
		}
	}
	b.send()
}

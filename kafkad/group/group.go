// Package group is the group coordinator as a machine: the classic group protocol (join, sync,
// heartbeat, leave), committed offsets and their expiry, for all groups that live in one
// partition of __consumer_offsets, and the records that partition holds.
//
// Pure: the owner (kafkad/coordinator, which guards each machine by a lock) gives the time in
// milliseconds with every input and takes the effects out with Take: answers to requests that
// had to wait, and records to append. Answers that depend on an append come after Appended.
//
// The rules, their order and their error codes are those of a 3.9 broker's group coordinator,
// because clients of many ages depend on which error comes first.
package group

import (
	"zkafka/kafkad/errcode"
)

// Config are the limits of a machine. Millis suffixes say milliseconds.
type Config struct {
	MinSessionTimeoutMillis     int64 // group.min.session.timeout.ms
	MaxSessionTimeoutMillis     int64 // group.max.session.timeout.ms
	MaxSize                     int   // group.max.size
	InitialRebalanceDelayMillis int64 // group.initial.rebalance.delay.ms
	OffsetMetadataMaxBytes      int   // offset.metadata.max.bytes
	OffsetsRetentionMillis      int64 // offsets.retention.minutes
	OffsetsCheckIntervalMillis  int64 // offsets.retention.check.interval.ms
}

// DefaultConfig returns upstream's defaults.
func DefaultConfig() Config {
	return Config{
		MinSessionTimeoutMillis:     6_000,
		MaxSessionTimeoutMillis:     1_800_000,
		MaxSize:                     1<<31 - 1,
		InitialRebalanceDelayMillis: 3_000,
		OffsetMetadataMaxBytes:      4_096,
		OffsetsRetentionMillis:      7 * 24 * 3_600_000,
		OffsetsCheckIntervalMillis:  600_000,
	}
}

// newMemberJoinTimeoutMillis bounds how long a member that has not yet been told its id may
// wait in a join: it cannot heartbeat, and its connection may be gone without anybody noticing.
const newMemberJoinTimeoutMillis = 5 * 60 * 1000

// State is a group's state in the protocol.
type State uint8

// The states of a group. A machine forgets a group when it dies, so Dead is seen only in the
// description of a group nobody knows.
const (
	Empty State = iota
	PreparingRebalance
	CompletingRebalance
	Stable
	Dead
)

// String is the name of the state on the wire.
func (s State) String() string {
	switch s {
	case Empty:
		return "Empty"
	case PreparingRebalance:
		return "PreparingRebalance"
	case CompletingRebalance:
		return "CompletingRebalance"
	case Stable:
		return "Stable"
	default:
		return "Dead"
	}
}

// TypeClassic is the group type of every group in ZooKeeper mode.
const TypeClassic = "classic"

// TopicPartition names a partition of a topic that a group commits offsets for.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// Ticket names a request whose answer comes as an effect. The owner chooses it and never uses
// one twice; 0 means that nobody waits.
type Ticket uint64

// Protocol is one assignment strategy a member supports with the metadata it sends for it.
type Protocol struct {
	Name     string
	Metadata []byte
}

// JoinRequest is a JoinGroup. Empty strings mean absent. The machine keeps the byte slices.
type JoinRequest struct {
	Group, MemberID, InstanceID string

	RequireKnownMember bool   // v4+: a dynamic member must come back with the id it was given
	SkipAssignment     bool   // v9+: a returning static leader understands SkipAssignment
	UUID               string // fresh random text for a member id, needed if MemberID is empty

	ClientID, ClientHost   string
	RebalanceTimeoutMillis int32
	SessionTimeoutMillis   int32
	ProtocolType           string
	Protocols              []Protocol // in the member's order of preference
	Reason                 string
}

// JoinMember is a member as the leader learns about it.
type JoinMember struct {
	MemberID, InstanceID string
	Metadata             []byte
}

// JoinResult answers a JoinGroup. Members is only set for the leader.
type JoinResult struct {
	Err            errcode.Code
	Generation     int32
	ProtocolType   string
	Protocol       string
	Leader         string
	SkipAssignment bool
	MemberID       string
	Members        []JoinMember
}

// Assignment is the leader's decision for one member.
type Assignment struct {
	MemberID string
	Data     []byte
}

// SyncRequest is a SyncGroup. Empty ProtocolType and Protocol are not compared.
type SyncRequest struct {
	Group, MemberID, InstanceID string
	Generation                  int32
	ProtocolType, Protocol      string
	Assignments                 []Assignment
}

// SyncResult answers a SyncGroup.
type SyncResult struct {
	Err                    errcode.Code
	ProtocolType, Protocol string
	Assignment             []byte
}

// HeartbeatRequest is a Heartbeat.
type HeartbeatRequest struct {
	Group, MemberID, InstanceID string
	Generation                  int32
}

// LeaveMember names a member that leaves; a static one may be named by InstanceID alone.
type LeaveMember struct {
	MemberID, InstanceID, Reason string
}

// Offset is a committed offset. LeaderEpoch -1 = unknown, ExpireTimestamp -1 = by retention.
type Offset struct {
	Offset          int64
	LeaderEpoch     int32
	Metadata        string
	CommitTimestamp int64
	ExpireTimestamp int64
}

// OffsetCommit is the offset of one partition in a commit.
type OffsetCommit struct {
	TopicPartition
	Offset
}

// CommitRequest is an OffsetCommit. Generation < 0 with empty ids comes from consumers that do
// not use the group for assignment.
type CommitRequest struct {
	Group, MemberID, InstanceID string
	Generation                  int32
	Offsets                     []OffsetCommit
}

// FetchedOffset answers an offset fetch for one partition; Offset -1 = none committed.
type FetchedOffset struct {
	TopicPartition
	Offset      int64
	LeaderEpoch int32
	Metadata    string
	Err         errcode.Code
}

// Description is what DescribeGroups shows of a group.
type Description struct {
	State                  State
	ProtocolType, Protocol string
	Members                []MemberDescription
}

// MemberDescription is a member of a Description. Metadata and Assignment are set in Stable.
type MemberDescription struct {
	MemberID, InstanceID, ClientID, ClientHost string
	Metadata, Assignment                       []byte
}

// Overview is what ListGroups shows of a group.
type Overview struct {
	Group, ProtocolType string
	State               State
}

// Effects is what the owner must do, in the order of each slice.
type Effects struct {
	Joins   []JoinReply
	Syncs   []SyncReply
	Commits []CommitReply
	Dones   []DoneReply
	Appends []Append
	Events  []Event
}

// JoinReply answers a join.
type JoinReply struct {
	Ticket Ticket
	JoinResult
}

// SyncReply answers a sync.
type SyncReply struct {
	Ticket Ticket
	SyncResult
}

// CommitReply answers a commit, one code per offset in the order of the request.
type CommitReply struct {
	Ticket Ticket
	Errs   []errcode.Code
}

// DoneReply answers a deletion.
type DoneReply struct {
	Ticket Ticket
	Err    errcode.Code
}

// Append asks for records at the end of the partition's log. If Token is not 0 the owner calls
// Appended with it, once, in the order of the Appends of one group; if it is 0 nobody waits.
type Append struct {
	Token   uint64
	Records []Record
}

// Event tells operators about a group.
type Event struct {
	Group, Text string
	Generation  int32
}

// Machine is the coordinator of the groups of one partition of __consumer_offsets.
//
// Invariants for every group g: g.awaiting = members with a join ticket ≤ len(g.members);
// g.state = Empty implies no members; g.leader is empty or a member.
type Machine struct {
	cfg     Config
	groups  map[string]*classic
	alarms  alarmHeap
	cleanup alarm
	appends map[uint64]func(now, offset int64, code errcode.Code)
	token   uint64
	out     Effects
}

// New returns a machine without groups. A machine with the contents of a log comes from a
// Loader.
func New(cfg Config, now int64) *Machine {
	m := &Machine{
		cfg: cfg, groups: map[string]*classic{},
		appends: map[uint64]func(int64, int64, errcode.Code){},
	}
	m.cleanup.kind = alarmCleanup
	m.set(&m.cleanup, now+cfg.OffsetsCheckIntervalMillis)
	return m
}

// Take returns the effects of the inputs since the last Take.
func (m *Machine) Take() Effects {
	out := m.out
	m.out = Effects{}
	return out
}

// Groups returns how many groups the machine knows.
func (m *Machine) Groups() int { return len(m.groups) }

// appendRecords queues records for the log; then runs when the owner reports the outcome.
func (m *Machine) appendRecords(
	records []Record, then func(now, offset int64, code errcode.Code),
) {
	a := Append{Records: records}
	if then != nil {
		m.token++
		a.Token = m.token
		m.appends[a.Token] = then
	}
	m.out.Appends = append(m.out.Appends, a)
}

// Appended tells the machine that the records of an Append are in the log at offset, the first
// of them, or why they are not.
func (m *Machine) Appended(now int64, token uint64, offset int64, code errcode.Code) {
	then := m.appends[token]
	if then == nil {
		return
	}
	delete(m.appends, token)
	then(now, offset, code)
	m.run(now)
}

func (m *Machine) event(g *classic, text string) {
	m.out.Events = append(m.out.Events, Event{Group: g.id, Text: text, Generation: g.generation})
}

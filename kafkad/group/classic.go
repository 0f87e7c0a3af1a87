package group

import (
	"bytes"
	"slices"

	"zkafka/kafkad/errcode"
)

// member is a group member. Its session alarm is satisfied while it waits in a join or sync;
// only a new member, which does not know its id yet, can expire while it waits.
type member struct {
	id, instance         string
	clientID, clientHost string
	rebalanceTimeout     int64
	sessionTimeout       int64
	protocols            []Protocol
	assignment           []byte
	isNew                bool
	awaitingJoin         Ticket
	awaitingSync         Ticket
	session              alarm
}

func (mb *member) metadata(protocol string) []byte {
	for i := range mb.protocols {
		if mb.protocols[i].Name == protocol {
			return mb.protocols[i].Metadata
		}
	}
	return nil
}

func (mb *member) matches(protocols []Protocol) bool {
	return slices.EqualFunc(mb.protocols, protocols, func(a, b Protocol) bool {
		return a.Name == b.Name && bytes.Equal(a.Metadata, b.Metadata)
	})
}

// committed is an offset with the place of its record in the log: a transaction that ends late
// must not replace an offset committed after its own.
type committed struct {
	Offset
	at int64
}

// classic is a group under the classic protocol.
type classic struct {
	id             string
	state          State
	stateTimestamp int64 // of the last transition; -1 if an old record did not say
	protocolType   string
	protocol       string
	generation     int32
	leader         string

	members  []*member          // in the order they joined
	byID     map[string]*member // the same by id
	static   map[string]*member // by instance id
	pending  map[string]*alarm  // ids given out (v4+ join) that have not come back yet
	unsynced map[string]bool    // members of this generation that have not synced
	awaiting int                // members with a join ticket
	support  map[string]int     // protocol to number of members that support it

	joinAlarm, syncAlarm alarm
	newMemberAdded       bool
	initialDelay         bool  // the join phase is one that waits for more members
	joinDelay, joinLeft  int64 // this round of the initial delay, and what may follow it

	subscribed      map[string]bool // topics of the members; nil if not known
	offsets         map[TopicPartition]committed
	pendingOffsets  map[TopicPartition]uint64              // last staged commit of each
	pendingTxn      map[int64]map[TopicPartition]committed // by producer id
	pendingSequence uint64
}

func newClassic(id string, now int64) *classic {
	g := &classic{
		id: id, state: Empty, stateTimestamp: now,
		byID: map[string]*member{}, static: map[string]*member{},
		support: map[string]int{}, offsets: map[TopicPartition]committed{},
	}
	g.joinAlarm = alarm{kind: alarmJoin, group: g}
	g.syncAlarm = alarm{kind: alarmSync, group: g}
	return g
}

func (m *Machine) transition(g *classic, now int64, to State) {
	g.state = to
	g.stateTimestamp = now
}

// add makes mb a member that waits with its ticket.
func (g *classic) add(mb *member, t Ticket) {
	if mb.instance != "" {
		if g.static[mb.instance] != nil {
			panic("group: instance " + mb.instance + " joins group " + g.id + " twice")
		}
		g.static[mb.instance] = mb
	}
	if g.leader == "" {
		g.leader = mb.id
	}
	g.members = append(g.members, mb)
	g.byID[mb.id] = mb
	g.count(mb.protocols, 1)
	mb.awaitingJoin = t
	if t != 0 {
		g.awaiting++
	}
	g.dropPending(mb.id)
}

func (g *classic) count(protocols []Protocol, by int) {
	for i := range protocols {
		g.support[protocols[i].Name] += by
		if g.support[protocols[i].Name] == 0 {
			delete(g.support, protocols[i].Name)
		}
	}
}

func (g *classic) dropPending(id string) {
	if a := g.pending[id]; a != nil {
		a.due = 0
		delete(g.pending, id)
	}
}

// remove forgets a member or pending id; requests of it that wait are answered with code.
func (m *Machine) remove(g *classic, id string, code errcode.Code) {
	if mb := g.byID[id]; mb != nil {
		m.answerJoin(g, mb, JoinResult{Err: code, Generation: -1})
		m.answerSync(mb, SyncResult{Err: code})
		g.count(mb.protocols, -1)
		mb.session.due = 0
		delete(g.byID, id)
		delete(g.static, mb.instance)
		g.members = slices.DeleteFunc(g.members, func(x *member) bool { return x == mb })
	}
	if g.leader == id {
		g.leader = ""
		if len(g.members) > 0 {
			g.leader = g.members[0].id
		}
	}
	g.dropPending(id)
	delete(g.unsynced, id)
}

func (g *classic) allJoined() bool {
	return len(g.members) == g.awaiting && len(g.pending) == 0
}

func (g *classic) rebalanceTimeout() int64 {
	var most int64
	for _, mb := range g.members {
		most = max(most, mb.rebalanceTimeout)
	}
	return most
}

// supports reports whether a member of that protocol type with those protocols fits.
func (g *classic) supports(protocolType string, protocols []Protocol) bool {
	if g.state == Empty {
		return protocolType != "" && len(protocols) > 0
	}
	return g.protocolType == protocolType && slices.ContainsFunc(protocols, func(p Protocol) bool {
		return g.support[p.Name] == len(g.members)
	})
}

// selectProtocol lets each member vote for the first of its protocols that all support. Of
// those with most votes the one wins that was voted for first.
func (g *classic) selectProtocol() string {
	votes := map[string]int{}
	var order []string
	for _, mb := range g.members {
		for i := range mb.protocols {
			name := mb.protocols[i].Name
			if g.support[name] != len(g.members) {
				continue
			}
			if votes[name] == 0 {
				order = append(order, name)
			}
			votes[name]++
			break
		}
	}
	best := ""
	for _, name := range order {
		if best == "" || votes[name] > votes[best] {
			best = name
		}
	}
	return best
}

// electJoinedLeader makes sure that the leader is one that rejoined. It reports false if nobody
// did, or nobody is left.
func (g *classic) electJoinedLeader() bool {
	if g.leader == "" {
		return false
	}
	if g.byID[g.leader].awaitingJoin != 0 {
		return true
	}
	for _, mb := range g.members {
		if mb.awaitingJoin != 0 {
			g.leader = mb.id
			return true
		}
	}
	return false
}

// update replaces what a member said in its join; a join it still waits in elsewhere ends.
func (m *Machine) update(
	g *classic, mb *member, protocols []Protocol, rebalance, session int64, t Ticket,
) {
	g.count(mb.protocols, -1)
	mb.protocols = protocols
	g.count(protocols, 1)
	mb.rebalanceTimeout = rebalance
	mb.sessionTimeout = session
	// Only the newest request can be the member's live one. The reference forgets the older
	// request; here its connection must not hang.
	m.answerJoin(g, mb, JoinResult{
		Err: errcode.RebalanceInProgress, Generation: -1, MemberID: mb.id,
	})
	mb.awaitingJoin = t
	if t != 0 {
		g.awaiting++
	}
}

func (m *Machine) answerJoin(g *classic, mb *member, r JoinResult) {
	if mb.awaitingJoin == 0 {
		return
	}
	m.out.Joins = append(m.out.Joins, JoinReply{Ticket: mb.awaitingJoin, JoinResult: r})
	mb.awaitingJoin = 0
	g.awaiting--
}

func (m *Machine) answerSync(mb *member, r SyncResult) bool {
	if mb.awaitingSync == 0 {
		return false
	}
	m.out.Syncs = append(m.out.Syncs, SyncReply{Ticket: mb.awaitingSync, SyncResult: r})
	mb.awaitingSync = 0
	return true
}

// heard restarts the member's session.
func (m *Machine) heard(now int64, mb *member) { m.set(&mb.session, now+mb.sessionTimeout) }

// check tells whether the member is known and, if it names an instance, the current holder.
func (g *classic) check(memberID, instanceID string) errcode.Code {
	if instanceID != "" {
		mb := g.static[instanceID]
		switch {
		case mb == nil:
			return errcode.UnknownMemberID
		case mb.id != memberID:
			return errcode.FencedInstanceID
		}
	}
	if g.byID[memberID] == nil {
		return errcode.UnknownMemberID
	}
	return errcode.None
}

// joinMembers is the list that the leader gets.
func (g *classic) joinMembers() []JoinMember {
	out := make([]JoinMember, len(g.members))
	for i, mb := range g.members {
		out[i] = JoinMember{
			MemberID: mb.id, InstanceID: mb.instance, Metadata: mb.metadata(g.protocol),
		}
	}
	return out
}

// current is the answer that tells a member about the current generation.
func (g *classic) current(mb *member) JoinResult {
	r := JoinResult{
		Generation: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol,
		Leader: g.leader, MemberID: mb.id,
	}
	if g.leader == mb.id {
		r.Members = g.joinMembers()
	}
	return r
}

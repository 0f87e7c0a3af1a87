package group

import (
	"slices"

	"zkafka/kafkad/errcode"
)

// Sync handles a SyncGroup; the answer comes as a SyncReply, when the leader's assignment is in
// the log.
func (m *Machine) Sync(now int64, t Ticket, req *SyncRequest) {
	m.sync(now, t, req)
	m.run(now)
}

func (m *Machine) sync(now int64, t Ticket, req *SyncRequest) {
	g := m.groups[req.Group]
	if g == nil {
		m.refuseSync(t, errcode.UnknownMemberID)
		return
	}
	code := g.check(req.MemberID, req.InstanceID)
	switch {
	case code != errcode.None:
	case req.Generation != g.generation:
		code = errcode.IllegalGeneration
	case req.ProtocolType != "" && req.ProtocolType != g.protocolType,
		req.Protocol != "" && req.Protocol != g.protocol:
		code = errcode.InconsistentGroupProtocol
	case g.state == Empty:
		code = errcode.UnknownMemberID
	case g.state == PreparingRebalance:
		code = errcode.RebalanceInProgress
	}
	if code != errcode.None {
		m.refuseSync(t, code)
		return
	}
	mb := g.byID[req.MemberID]
	m.synced(g, mb.id)
	if g.state == Stable {
		m.out.Syncs = append(m.out.Syncs, SyncReply{Ticket: t, SyncResult: g.synced(mb)})
		m.heard(now, mb)
		return
	}
	m.answerSync(mb, SyncResult{Err: errcode.RebalanceInProgress}) // an older request of it
	mb.awaitingSync = t
	if g.leader == mb.id {
		m.assign(g, req.Assignments)
	}
}

func (m *Machine) refuseSync(t Ticket, code errcode.Code) {
	m.out.Syncs = append(m.out.Syncs, SyncReply{Ticket: t, SyncResult: SyncResult{Err: code}})
}

// synced is the answer to a sync in a stable group.
func (g *classic) synced(mb *member) SyncResult {
	return SyncResult{
		ProtocolType: g.protocolType, Protocol: g.protocol, Assignment: mb.assignment,
	}
}

// synced notes that a member has sent its sync in this generation.
func (m *Machine) synced(g *classic, id string) {
	delete(g.unsynced, id)
	if len(g.unsynced) == 0 {
		g.syncAlarm.due = 0
	}
}

// assign stores the leader's assignment and, once it is in the log, hands it to everybody.
// Members the leader left out get an empty assignment.
func (m *Machine) assign(g *classic, list []Assignment) {
	assignments := make(map[string][]byte, len(g.members))
	for _, a := range list {
		assignments[a.MemberID] = a.Data
	}
	generation := g.generation
	m.storeGroup(g, assignments, func(now, _ int64, code errcode.Code) {
		if g.state != CompletingRebalance || g.generation != generation {
			return // a new join phase has begun and answered everybody who waited
		}
		code = storeError(code)
		if code != errcode.None {
			m.propagate(now, g, nil, code)
			m.rebalance(now, g, "assignment was not stored: "+code.String())
			return
		}
		m.propagate(now, g, assignments, errcode.None)
		m.transition(g, now, Stable)
	})
}

// propagate gives every member its assignment and answers those that wait in a sync.
func (m *Machine) propagate(
	now int64, g *classic, assignments map[string][]byte, code errcode.Code,
) {
	for _, mb := range g.members {
		mb.assignment = assignments[mb.id]
		r := SyncResult{Err: code}
		if code == errcode.None {
			r = g.synced(mb)
		}
		if m.answerSync(mb, r) {
			m.heard(now, mb) // its alarm may have passed while it waited
		}
	}
}

// storeGroup appends the group's record with the given assignments, nil = the current ones.
func (m *Machine) storeGroup(
	g *classic, assignments map[string][]byte, then func(now, offset int64, code errcode.Code),
) {
	v := GroupValue{
		ProtocolType: g.protocolType, Generation: g.generation, Protocol: g.protocol,
		Leader: g.leader, StateTimestamp: g.stateTimestamp,
		Members: make([]MemberValue, len(g.members)),
	}
	for i, mb := range g.members {
		a := mb.assignment
		if assignments != nil {
			a = assignments[mb.id]
		}
		v.Members[i] = MemberValue{
			MemberID: mb.id, InstanceID: mb.instance, ClientID: mb.clientID,
			ClientHost:             mb.clientHost,
			RebalanceTimeoutMillis: int32(mb.rebalanceTimeout),
			SessionTimeoutMillis:   int32(mb.sessionTimeout),
			Subscription:           mb.metadata(g.protocol), Assignment: a,
		}
	}
	m.appendRecords([]Record{{Key: EncodeGroupKey(g.id), Value: EncodeGroupValue(&v)}}, then)
}

// storeError is what members are told when their group's record could not be appended.
func storeError(code errcode.Code) errcode.Code {
	switch code {
	case errcode.UnknownTopicOrPartition, errcode.NotEnoughReplicas,
		errcode.NotEnoughReplicasAfterAppend:
		return errcode.CoordinatorNotAvailable
	case errcode.NotLeaderOrFollower, errcode.KafkaStorageError:
		return errcode.NotCoordinator
	case errcode.RequestTimedOut:
		return errcode.RebalanceInProgress
	case errcode.MessageTooLarge, errcode.RecordListTooLarge, errcode.InvalidFetchSize:
		return errcode.UnknownServerError
	}
	return code
}

// syncExpired removes the members that got the join answer and never synced.
func (m *Machine) syncExpired(now int64, g *classic) {
	if len(g.unsynced) == 0 || g.state != CompletingRebalance && g.state != Stable {
		return
	}
	for _, mb := range slices.Clone(g.members) {
		if g.unsynced[mb.id] {
			m.remove(g, mb.id, errcode.UnknownMemberID)
		}
	}
	m.rebalance(now, g, "members that did not sync in time were removed")
}

// Heartbeat handles a Heartbeat.
func (m *Machine) Heartbeat(now int64, req *HeartbeatRequest) errcode.Code {
	code := m.heartbeat(now, req)
	m.run(now)
	return code
}

func (m *Machine) heartbeat(now int64, req *HeartbeatRequest) errcode.Code {
	g := m.groups[req.Group]
	if g == nil {
		return errcode.UnknownMemberID
	}
	if code := g.check(req.MemberID, req.InstanceID); code != errcode.None {
		return code
	}
	if req.Generation != g.generation {
		return errcode.IllegalGeneration
	}
	m.heard(now, g.byID[req.MemberID])
	if g.state == PreparingRebalance {
		return errcode.RebalanceInProgress
	}
	return errcode.None
}

// Leave handles a LeaveGroup; the codes are those of the members in the order of the request.
func (m *Machine) Leave(now int64, group string, members []LeaveMember) []errcode.Code {
	codes := make([]errcode.Code, len(members))
	g := m.groups[group]
	for i, lm := range members {
		if g == nil {
			codes[i] = errcode.UnknownMemberID
			continue
		}
		codes[i] = m.leave(now, g, lm)
	}
	m.run(now)
	return codes
}

func (m *Machine) leave(now int64, g *classic, lm LeaveMember) errcode.Code {
	if lm.MemberID == "" { // an administrator removes a static member by its name
		mb := g.static[lm.InstanceID]
		if mb == nil {
			return errcode.UnknownMemberID
		}
		m.removeMember(now, g, mb, "member "+mb.id+" was removed"+reason(lm.Reason))
		return errcode.None
	}
	if g.pending[lm.MemberID] != nil {
		m.removePending(now, g, lm.MemberID)
		return errcode.None
	}
	if code := g.check(lm.MemberID, lm.InstanceID); code != errcode.None {
		return code
	}
	m.removeMember(now, g, g.byID[lm.MemberID], "member "+lm.MemberID+" left"+reason(lm.Reason))
	return errcode.None
}

// removeMember takes a member out and lets the group go on without it. A join it waits in is
// answered so that a client that is still there joins afresh.
func (m *Machine) removeMember(now int64, g *classic, mb *member, why string) {
	m.remove(g, mb.id, errcode.UnknownMemberID)
	switch g.state {
	case Stable, CompletingRebalance:
		m.rebalance(now, g, why)
	case PreparingRebalance:
		m.tryCompleteJoin(now, g)
	}
}

func (m *Machine) removePending(now int64, g *classic, id string) {
	g.dropPending(id)
	m.tryCompleteJoin(now, g)
}

// sessionExpired is the end of a member's session. Waiting in a join or sync counts as being
// alive, except for new members.
func (m *Machine) sessionExpired(now int64, g *classic, id string) {
	if g.pending[id] != nil {
		m.removePending(now, g, id)
		return
	}
	mb := g.byID[id]
	if mb == nil || !mb.isNew && (mb.awaitingJoin != 0 || mb.awaitingSync != 0) {
		return
	}
	m.removeMember(now, g, mb, "session of member "+id+" expired")
}

package group

import (
	"fmt"
	"slices"

	"zkafka/kafkad/errcode"
)

// Join handles a JoinGroup; the answer comes as a JoinReply, often not before the group has
// gathered.
func (m *Machine) Join(now int64, t Ticket, req *JoinRequest) {
	m.join(now, t, req)
	m.run(now)
}

func (m *Machine) join(now int64, t Ticket, req *JoinRequest) {
	session := int64(req.SessionTimeoutMillis)
	if session < m.cfg.MinSessionTimeoutMillis || session > m.cfg.MaxSessionTimeoutMillis {
		m.refuseJoin(t, req.MemberID, errcode.InvalidSessionTimeout)
		return
	}
	g := m.groups[req.Group]
	if g == nil {
		if req.MemberID != "" {
			m.refuseJoin(t, req.MemberID, errcode.UnknownMemberID)
			return
		}
		g = newClassic(req.Group, now)
		m.groups[req.Group] = g
	}
	switch {
	case !m.accepts(g, req.MemberID):
		m.remove(g, req.MemberID, errcode.GroupMaxSizeReached)
		m.refuseJoin(t, "", errcode.GroupMaxSizeReached)
	case req.MemberID == "":
		m.joinNew(now, g, t, req)
	default:
		m.rejoin(now, g, t, req)
	}
	if g.state == PreparingRebalance {
		m.tryCompleteJoin(now, g)
	}
}

func (m *Machine) refuseJoin(t Ticket, memberID string, code errcode.Code) {
	m.out.Joins = append(m.out.Joins, JoinReply{Ticket: t, JoinResult: JoinResult{
		Err: code, Generation: -1, MemberID: memberID,
	}})
}

// accepts applies group.max.size. While members rejoin, those that wait count, so that a group
// above a lowered limit loses its last rejoiners instead of everybody.
func (m *Machine) accepts(g *classic, memberID string) bool {
	mb := g.byID[memberID]
	switch g.state {
	case PreparingRebalance:
		return mb != nil && mb.awaitingJoin != 0 || g.awaiting < m.cfg.MaxSize
	case CompletingRebalance, Stable:
		return mb != nil || len(g.members) < m.cfg.MaxSize
	default:
		return true
	}
}

func (m *Machine) joinNew(now int64, g *classic, t Ticket, req *JoinRequest) {
	if !g.supports(req.ProtocolType, req.Protocols) {
		m.refuseJoin(t, "", errcode.InconsistentGroupProtocol)
		return
	}
	if req.InstanceID != "" {
		id := req.InstanceID + "-" + req.UUID
		if mb := g.static[req.InstanceID]; mb != nil {
			m.replaceStatic(now, g, mb, id, t, req)
			return
		}
		m.addMember(now, g, id, t, req)
		return
	}
	id := req.ClientID + "-" + req.UUID
	if !req.RequireKnownMember {
		m.addMember(now, g, id, t, req)
		return
	}
	a := &alarm{kind: alarmMember, group: g, member: id}
	if g.pending == nil {
		g.pending = map[string]*alarm{}
	}
	g.pending[id] = a
	m.set(a, now+int64(req.SessionTimeoutMillis))
	m.refuseJoin(t, id, errcode.MemberIDRequired)
}

func (m *Machine) addMember(now int64, g *classic, id string, t Ticket, req *JoinRequest) {
	mb := &member{
		id: id, instance: req.InstanceID, clientID: req.ClientID, clientHost: req.ClientHost,
		rebalanceTimeout: int64(req.RebalanceTimeoutMillis),
		sessionTimeout:   int64(req.SessionTimeoutMillis),
		protocols:        req.Protocols, isNew: true,
	}
	mb.session = alarm{kind: alarmMember, group: g, member: id}
	if g.state == PreparingRebalance && g.generation == 0 {
		g.newMemberAdded = true // the initial delay may be extended
	}
	if len(g.members) == 0 {
		g.protocolType = req.ProtocolType
	}
	g.add(mb, t)
	m.set(&mb.session, now+newMemberJoinTimeoutMillis)
	m.maybeRebalance(now, g, "new member "+id+reason(req.Reason))
}

func reason(client string) string {
	if client == "" {
		return ""
	}
	return "; client reason: " + client
}

// rejoin handles the join of a member that brings an id.
func (m *Machine) rejoin(now int64, g *classic, t Ticket, req *JoinRequest) {
	if !g.supports(req.ProtocolType, req.Protocols) {
		m.refuseJoin(t, req.MemberID, errcode.InconsistentGroupProtocol)
		return
	}
	if g.pending[req.MemberID] != nil {
		if req.InstanceID != "" { // ids are only held back for members without instance id
			m.refuseJoin(t, req.MemberID, errcode.UnknownServerError)
			return
		}
		m.addMember(now, g, req.MemberID, t, req)
		return
	}
	if code := g.check(req.MemberID, req.InstanceID); code != errcode.None {
		m.refuseJoin(t, req.MemberID, code)
		return
	}
	mb := g.byID[req.MemberID]
	same := mb.matches(req.Protocols)
	switch {
	case g.state == PreparingRebalance:
		m.updateAndRebalance(now, g, mb, t, req, "member "+mb.id+" rejoins")
	case g.state == CompletingRebalance && same, g.state == Stable && same && g.leader != mb.id:
		// It may have missed the answer to its first join; or it only asks again.
		m.out.Joins = append(m.out.Joins, JoinReply{Ticket: t, JoinResult: g.current(mb)})
	case g.state == Stable && g.leader == mb.id:
		// The leader may know of changes that its metadata does not show, such as new
		// partitions.
		m.updateAndRebalance(now, g, mb, t, req, "leader "+mb.id+" rejoins")
	case g.state == CompletingRebalance, g.state == Stable:
		m.updateAndRebalance(now, g, mb, t, req, "member "+mb.id+" changed its metadata")
	default:
		m.refuseJoin(t, req.MemberID, errcode.UnknownMemberID)
	}
}

func (m *Machine) updateAndRebalance(
	now int64, g *classic, mb *member, t Ticket, req *JoinRequest, why string,
) {
	m.update(g, mb, req.Protocols, int64(req.RebalanceTimeoutMillis),
		int64(req.SessionTimeoutMillis), t)
	m.maybeRebalance(now, g, why+reason(req.Reason))
}

// replaceStatic lets a static member that lost its id take its old place under a new one. Who
// still uses the old id is fenced.
func (m *Machine) replaceStatic(
	now int64, g *classic, mb *member, id string, t Ticket, req *JoinRequest,
) {
	oldID, oldLeader := mb.id, g.leader
	old := *mb
	m.rename(g, mb, id)
	m.heard(now, mb)
	m.update(g, mb, req.Protocols, int64(req.RebalanceTimeoutMillis),
		int64(req.SessionTimeoutMillis), t)
	switch g.state {
	case Stable:
		if g.protocol != g.selectProtocol() {
			m.maybeRebalance(now, g, "static member "+mb.instance+" changed the protocol"+
				reason(req.Reason))
			return
		}
		m.storeGroup(g, nil, func(now, _ int64, code errcode.Code) {
			m.staticStored(now, g, mb, &old, staticReply{
				ticket: t, id: id, oldID: oldID, oldLeader: oldLeader,
				skip: req.SkipAssignment, code: storeError(code),
			})
		})
	case CompletingRebalance:
		// The leader may be assigning to the old id right now.
		m.rebalance(now, g, "static member "+mb.instance+" returned"+reason(req.Reason))
	}
}

func (m *Machine) rename(g *classic, mb *member, id string) {
	m.answerJoin(g, mb, JoinResult{
		Err: errcode.FencedInstanceID, Generation: -1, MemberID: mb.id,
	})
	m.answerSync(mb, SyncResult{Err: errcode.FencedInstanceID})
	delete(g.byID, mb.id)
	if g.leader == mb.id {
		g.leader = id
	}
	mb.id = id
	mb.session.member = id
	g.byID[id] = mb
}

// staticReply is what the answer to a returning static member needs.
type staticReply struct {
	ticket               Ticket
	id, oldID, oldLeader string
	skip                 bool
	code                 errcode.Code
}

// staticStored answers a returning static member of a stable group once its new id is in the
// log, or takes the change back.
func (m *Machine) staticStored(now int64, g *classic, mb *member, old *member, r staticReply) {
	if mb.awaitingJoin != r.ticket || g.state != Stable {
		return // answered already, or the join phase that began meanwhile answers
	}
	if r.code != errcode.None {
		answer := JoinResult{
			Err: r.code, Generation: g.generation, ProtocolType: g.protocolType,
			Protocol: g.protocol, Leader: r.oldLeader,
		}
		m.answerJoin(g, mb, answer)
		m.update(g, mb, old.protocols, old.rebalanceTimeout, old.sessionTimeout, 0)
		m.rename(g, mb, r.oldID)
		m.heard(now, mb)
		return
	}
	answer := g.current(mb)
	if r.skip {
		// The stable group's assignment stays: the leader must not compute another one.
		answer.SkipAssignment = g.leader == mb.id
	} else {
		// Before v9 the old leader's id in the answer keeps a returning leader from assigning.
		answer.Leader, answer.Members = r.oldLeader, nil
	}
	m.answerJoin(g, mb, answer)
	m.heard(now, mb) // its alarm may have passed while the append took its time
}

func (m *Machine) maybeRebalance(now int64, g *classic, why string) {
	if g.state == Stable || g.state == CompletingRebalance || g.state == Empty {
		m.rebalance(now, g, why)
	}
}

// rebalance begins a join phase.
func (m *Machine) rebalance(now int64, g *classic, why string) {
	if g.state == CompletingRebalance {
		m.propagate(now, g, nil, errcode.RebalanceInProgress)
	}
	m.clearUnsynced(g)
	if g.initialDelay = g.state == Empty; g.initialDelay {
		g.joinDelay = m.cfg.InitialRebalanceDelayMillis
		g.joinLeft = max(g.rebalanceTimeout()-g.joinDelay, 0)
		m.set(&g.joinAlarm, now+g.joinDelay)
	} else {
		m.set(&g.joinAlarm, now+g.rebalanceTimeout())
	}
	m.transition(g, now, PreparingRebalance)
	m.event(g, "preparing to rebalance: "+why)
	m.tryCompleteJoin(now, g)
}

func (m *Machine) tryCompleteJoin(now int64, g *classic) {
	if g.state == PreparingRebalance && !g.initialDelay && g.allJoined() {
		m.completeJoin(now, g)
	}
}

// joinExpired ends the join phase, or prolongs the initial delay while members keep coming.
func (m *Machine) joinExpired(now int64, g *classic) {
	if g.state != PreparingRebalance {
		return
	}
	if g.initialDelay && g.newMemberAdded && g.joinLeft != 0 {
		g.newMemberAdded = false
		delay := min(m.cfg.InitialRebalanceDelayMillis, g.joinLeft)
		g.joinLeft = max(g.joinLeft-g.joinDelay, 0)
		g.joinDelay = delay
		m.set(&g.joinAlarm, now+delay)
		return
	}
	m.completeJoin(now, g)
}

// completeJoin ends the join phase: dynamic members that did not rejoin are out, static ones
// stay until their session ends.
func (m *Machine) completeJoin(now int64, g *classic) {
	g.joinAlarm.due, g.initialDelay = 0, false
	for _, mb := range slices.Clone(g.members) {
		if mb.awaitingJoin == 0 && mb.instance == "" {
			m.event(g, "member "+mb.id+" did not rejoin and is removed")
			m.remove(g, mb.id, errcode.UnknownMemberID)
		}
	}
	if len(g.members) > 0 && !g.electJoinedLeader() {
		// Only static members, all silent: wait until one returns or their sessions end.
		m.set(&g.joinAlarm, now+g.rebalanceTimeout())
		return
	}
	g.generation++
	m.clearUnsynced(g)
	if len(g.members) == 0 {
		g.protocol = ""
		g.subscribed = g.computeSubscribed()
		m.transition(g, now, Empty)
		m.event(g, "empty")
		m.storeGroup(g, nil, func(_, _ int64, code errcode.Code) {
			if code != errcode.None {
				// Without the record an older generation comes back after a restart, and its
				// members expire then.
				m.event(g, "empty generation was not stored: "+code.String())
			}
		})
		return
	}
	g.protocol = g.selectProtocol()
	g.subscribed = g.computeSubscribed()
	m.transition(g, now, CompletingRebalance)
	m.event(g, fmt.Sprintf("stabilized with %d members", len(g.members)))
	g.unsynced = make(map[string]bool, len(g.members))
	for _, mb := range g.members {
		m.answerJoin(g, mb, g.current(mb))
		m.heard(now, mb)
		mb.isNew = false
		g.unsynced[mb.id] = true
	}
	m.set(&g.syncAlarm, now+g.rebalanceTimeout())
}

func (m *Machine) clearUnsynced(g *classic) {
	clear(g.unsynced)
	g.syncAlarm.due = 0
}

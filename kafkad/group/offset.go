package group

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"zkafka/kafkad/errcode"
)

const consumerType = "consumer" // the protocol type whose metadata the coordinator can read

// Commit handles an OffsetCommit; the answer comes as a CommitReply, when the offsets are in
// the log. A commit by a member counts as a heartbeat.
func (m *Machine) Commit(now int64, t Ticket, req *CommitRequest) {
	g := m.groups[req.Group]
	code := errcode.None
	switch {
	case g == nil && req.Generation < 0:
		g = newClassic(req.Group, now)
		m.groups[req.Group] = g
	case g == nil:
		code = errcode.IllegalGeneration
	}
	if g != nil {
		code = g.checkCommit(req)
	}
	if code != errcode.None {
		m.refuseCommit(t, req, code)
	} else {
		if mb := g.byID[req.MemberID]; mb != nil {
			m.heard(now, mb)
		}
		m.storeOffsets(g, t, req)
	}
	m.run(now)
}

func (g *classic) checkCommit(req *CommitRequest) errcode.Code {
	if req.Generation < 0 && g.state == Empty {
		return errcode.None // an administrator, or a consumer that only stores its offsets here
	}
	if req.Generation < 0 && req.MemberID == "" && req.InstanceID == "" {
		return errcode.UnknownMemberID
	}
	if code := g.check(req.MemberID, req.InstanceID); code != errcode.None {
		return code
	}
	if req.Generation != g.generation {
		return errcode.IllegalGeneration
	}
	if g.state == CompletingRebalance {
		return errcode.RebalanceInProgress
	}
	return errcode.None
}

func (m *Machine) refuseCommit(t Ticket, req *CommitRequest, code errcode.Code) {
	errs := make([]errcode.Code, len(req.Offsets))
	for i := range errs {
		errs[i] = code
	}
	m.out.Commits = append(m.out.Commits, CommitReply{Ticket: t, Errs: errs})
}

func (m *Machine) storeOffsets(g *classic, t Ticket, req *CommitRequest) {
	errs := make([]errcode.Code, len(req.Offsets))
	records := make([]Record, 0, len(req.Offsets))
	stored := make([]OffsetCommit, 0, len(req.Offsets))
	for i := range req.Offsets {
		o := &req.Offsets[i]
		if len(o.Metadata) > m.cfg.OffsetMetadataMaxBytes {
			errs[i] = errcode.OffsetMetadataTooLarge
			continue
		}
		stored = append(stored, *o)
		records = append(records, Record{
			Key: EncodeOffsetKey(g.id, o.TopicPartition), Value: EncodeOffsetValue(&o.Offset),
		})
	}
	if len(records) == 0 {
		m.out.Commits = append(m.out.Commits, CommitReply{Ticket: t, Errs: errs})
		return
	}
	g.pendingSequence++
	sequence := g.pendingSequence
	if g.pendingOffsets == nil {
		g.pendingOffsets = map[TopicPartition]uint64{}
	}
	for i := range stored {
		g.pendingOffsets[stored[i].TopicPartition] = sequence
	}
	m.appendRecords(records, func(_, at int64, code errcode.Code) {
		g.offsetsStored(stored, sequence, at, code)
		code = commitError(code)
		for i := range errs {
			if errs[i] == errcode.None {
				errs[i] = code
			}
		}
		m.out.Commits = append(m.out.Commits, CommitReply{Ticket: t, Errs: errs})
	})
}

// offsetsStored makes the offsets of a commit visible once they are in the log. An offset that
// is no longer pending belongs to a partition that was deleted meanwhile.
func (g *classic) offsetsStored(
	stored []OffsetCommit, sequence uint64, at int64, code errcode.Code,
) {
	for i := range stored {
		tp := stored[i].TopicPartition
		last, pending := g.pendingOffsets[tp]
		if !pending {
			continue
		}
		if last == sequence {
			delete(g.pendingOffsets, tp)
		}
		if code != errcode.None {
			continue
		}
		if old, ok := g.offsets[tp]; !ok || old.at < at {
			g.offsets[tp] = committed{Offset: stored[i].Offset, at: at}
		}
	}
}

// commitError is what a committing client is told when its offsets could not be appended.
func commitError(code errcode.Code) errcode.Code {
	switch code {
	case errcode.UnknownTopicOrPartition, errcode.NotEnoughReplicas,
		errcode.NotEnoughReplicasAfterAppend:
		return errcode.CoordinatorNotAvailable
	case errcode.NotLeaderOrFollower, errcode.KafkaStorageError:
		return errcode.NotCoordinator
	case errcode.MessageTooLarge, errcode.RecordListTooLarge, errcode.InvalidFetchSize:
		return errcode.InvalidCommitOffsetSize
	}
	return code
}

// Fetch returns committed offsets: of the given partitions, or of all in order of topic and
// partition if tps is nil. With requireStable, offsets that a commit or transaction is about
// to change answer UNSTABLE_OFFSET_COMMIT.
func (m *Machine) Fetch(group string, tps []TopicPartition, requireStable bool) []FetchedOffset {
	g := m.groups[group]
	if tps == nil {
		if g == nil {
			return nil
		}
		tps = g.partitions()
	}
	out := make([]FetchedOffset, len(tps))
	for i, tp := range tps {
		out[i] = FetchedOffset{TopicPartition: tp, Offset: -1, LeaderEpoch: -1}
		if g == nil {
			continue
		}
		if requireStable && g.unstable(tp) {
			out[i].Err = errcode.UnstableOffsetCommit
			continue
		}
		if c, ok := g.offsets[tp]; ok {
			out[i].Offset, out[i].LeaderEpoch = c.Offset.Offset, c.LeaderEpoch
			out[i].Metadata = c.Metadata
		}
	}
	return out
}

func (g *classic) unstable(tp TopicPartition) bool {
	if _, ok := g.pendingOffsets[tp]; ok {
		return true
	}
	for _, pending := range g.pendingTxn {
		if _, ok := pending[tp]; ok {
			return true
		}
	}
	return false
}

// partitions returns the partitions that have a committed offset, in order.
func (g *classic) partitions() []TopicPartition {
	tps := make([]TopicPartition, 0, len(g.offsets))
	for tp := range g.offsets {
		tps = append(tps, tp)
	}
	slices.SortFunc(tps, compareTopicPartition)
	return tps
}

func compareTopicPartition(a, b TopicPartition) int {
	return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}

// Describe returns what DescribeGroups shows; an unknown group is Dead.
func (m *Machine) Describe(group string) Description {
	g := m.groups[group]
	if g == nil {
		return Description{State: Dead}
	}
	d := Description{State: g.state, ProtocolType: g.protocolType}
	for _, mb := range g.members {
		md := MemberDescription{
			MemberID: mb.id, InstanceID: mb.instance,
			ClientID: mb.clientID, ClientHost: mb.clientHost,
		}
		if g.state == Stable {
			md.Metadata, md.Assignment = mb.metadata(g.protocol), mb.assignment
		}
		d.Members = append(d.Members, md)
	}
	if g.state == Stable {
		d.Protocol = g.protocol
	}
	return d
}

// List returns all groups in order of their ids.
func (m *Machine) List() []Overview {
	out := make([]Overview, 0, len(m.groups))
	for _, g := range m.ordered() {
		out = append(out, Overview{Group: g.id, ProtocolType: g.protocolType, State: g.state})
	}
	return out
}

func (m *Machine) ordered() []*classic {
	list := make([]*classic, 0, len(m.groups))
	for _, g := range m.groups {
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b *classic) int { return strings.Compare(a.id, b.id) })
	return list
}

// Delete handles DeleteGroups for one group; the answer comes as a DoneReply, when the
// tombstones are in the log.
func (m *Machine) Delete(now int64, t Ticket, group string) {
	g := m.groups[group]
	code := errcode.None
	switch {
	case g == nil:
		code = errcode.GroupIDNotFound
	case g.state != Empty:
		code = errcode.NonEmptyGroup
	}
	if code != errcode.None {
		m.out.Dones = append(m.out.Dones, DoneReply{Ticket: t, Err: code})
		return
	}
	tombstones := g.removeOffsets(g.partitions())
	tombstones = append(tombstones, m.bury(g)...)
	m.event(g, "deleted")
	m.appendDone(t, tombstones)
	m.run(now)
}

// appendDone appends tombstones and answers the ticket after it.
func (m *Machine) appendDone(t Ticket, tombstones []Record) {
	if len(tombstones) == 0 {
		m.out.Dones = append(m.out.Dones, DoneReply{Ticket: t})
		return
	}
	m.appendRecords(tombstones, func(_, _ int64, code errcode.Code) {
		m.out.Dones = append(m.out.Dones, DoneReply{Ticket: t, Err: commitError(code)})
	})
}

// bury forgets a group and returns the tombstone of its record. A group that only stored
// offsets never had one.
func (m *Machine) bury(g *classic) []Record {
	delete(m.groups, g.id)
	g.joinAlarm.due, g.syncAlarm.due = 0, 0
	for id := range g.pending {
		g.dropPending(id)
	}
	g.state = Dead
	if g.generation == 0 {
		return nil
	}
	return []Record{{Key: EncodeGroupKey(g.id)}}
}

// removeOffsets drops offsets, pending ones too, and returns their tombstones.
func (g *classic) removeOffsets(tps []TopicPartition) []Record {
	var tombstones []Record
	for _, tp := range tps {
		delete(g.pendingOffsets, tp)
		for _, pending := range g.pendingTxn {
			delete(pending, tp)
		}
		if _, ok := g.offsets[tp]; ok {
			delete(g.offsets, tp)
			tombstones = append(tombstones, Record{Key: EncodeOffsetKey(g.id, tp)})
		}
	}
	return tombstones
}

// DeleteOffsets handles an OffsetDelete. Either the group's code is an error and nothing else
// follows, or the codes are those of the partitions and a DoneReply follows.
func (m *Machine) DeleteOffsets(
	now int64, t Ticket, group string, tps []TopicPartition,
) ([]errcode.Code, errcode.Code) {
	g := m.groups[group]
	switch {
	case g == nil:
		return nil, errcode.GroupIDNotFound
	case g.state != Empty && g.protocolType != consumerType:
		return nil, errcode.NonEmptyGroup
	}
	codes := make([]errcode.Code, len(tps))
	var free []TopicPartition
	for i, tp := range tps {
		if g.state != Empty && (g.subscribed == nil || g.subscribed[tp.Topic]) {
			codes[i] = errcode.GroupSubscribedToTopic
			continue
		}
		free = append(free, tp)
	}
	m.appendDone(t, append(g.removeOffsets(free), m.buryIfUnused(g)...))
	m.run(now)
	return codes, errcode.None
}

// buryIfUnused ends an empty group without offsets.
func (m *Machine) buryIfUnused(g *classic) []Record {
	if g.state != Empty || len(g.offsets)+len(g.pendingOffsets)+len(g.pendingTxn) > 0 {
		return nil
	}
	m.event(g, "ended: empty and without offsets")
	return m.bury(g)
}

// TopicsDeleted drops the offsets of topics that no longer exist, in all groups.
func (m *Machine) TopicsDeleted(now int64, topics []string) {
	gone := make(map[string]bool, len(topics))
	for _, t := range topics {
		gone[t] = true
	}
	m.cleanGroups(func(g *classic) []Record {
		var tps []TopicPartition
		for tp := range g.offsets {
			if gone[tp.Topic] {
				tps = append(tps, tp)
			}
		}
		slices.SortFunc(tps, compareTopicPartition)
		g.dropPendingOf(gone)
		return g.removeOffsets(tps)
	})
	m.run(now)
}

// dropPendingOf forgets staged offsets of deleted topics, so that they do not appear when their
// append is reported.
func (g *classic) dropPendingOf(gone map[string]bool) {
	for tp := range g.pendingOffsets {
		if gone[tp.Topic] {
			delete(g.pendingOffsets, tp)
		}
	}
	for pid, pending := range g.pendingTxn {
		for tp := range pending {
			if gone[tp.Topic] {
				delete(pending, tp)
			}
		}
		if len(pending) == 0 {
			delete(g.pendingTxn, pid)
		}
	}
}

// expireOffsets drops what nobody has used for the retention time.
func (m *Machine) expireOffsets(now int64) {
	m.cleanGroups(func(g *classic) []Record {
		return g.removeOffsets(g.expired(now, m.cfg.OffsetsRetentionMillis))
	})
}

// cleanGroups removes offsets by remove and then the groups that became useless. Nobody waits
// for the tombstones: what they do not reach in the log is removed again next time.
func (m *Machine) cleanGroups(remove func(*classic) []Record) {
	for _, g := range m.ordered() {
		tombstones := append(remove(g), m.buryIfUnused(g)...)
		if len(tombstones) > 0 {
			m.appendRecords(tombstones, nil)
		}
	}
}

// expired lists the offsets whose retention has passed. While a group has members, only
// offsets of topics that nobody in it subscribes to can expire, and only if the group is a
// stable one of consumers: otherwise the coordinator cannot tell what is in use.
func (g *classic) expired(now, retention int64) []TopicPartition {
	since := func(o *committed) int64 { return o.CommitTimestamp }
	switch {
	case g.protocolType == "":
	case g.state == Empty:
		if g.stateTimestamp != -1 {
			since = func(*committed) int64 { return g.stateTimestamp }
		}
	case g.protocolType == consumerType && g.subscribed != nil && g.state == Stable:
	default:
		return nil
	}
	var out []TopicPartition
	for _, tp := range g.partitions() {
		o := g.offsets[tp]
		if _, pending := g.pendingOffsets[tp]; pending {
			continue
		}
		if g.state == Stable && g.subscribed[tp.Topic] {
			continue
		}
		if o.ExpireTimestamp != -1 {
			if now >= o.ExpireTimestamp {
				out = append(out, tp)
			}
		} else if now-since(&o) >= retention {
			out = append(out, tp)
		}
	}
	return out
}

// computeSubscribed returns the topics that the members of a consumer group subscribe to, or
// nil if that cannot be known.
func (g *classic) computeSubscribed() map[string]bool {
	if g.protocolType != consumerType || len(g.members) > 0 && g.protocol == "" {
		return nil
	}
	topics := map[string]bool{}
	for _, mb := range g.members {
		if !subscribedTopics(mb.metadata(g.protocol), topics) {
			return nil
		}
	}
	return topics
}

// subscribedTopics adds the topics of a consumer protocol subscription. All its versions begin
// alike: version int16, topics [string].
func subscribedTopics(b []byte, into map[string]bool) bool {
	if len(b) < 6 || int16(binary.BigEndian.Uint16(b)) < 0 {
		return false
	}
	r := reader{b: b[2:]}
	for n := r.int32(); n > 0 && r.err == nil; n-- {
		into[r.string()] = true
	}
	return r.err == nil
}

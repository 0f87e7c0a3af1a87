package controller

import (
	"slices"

	"zkafka/kafkad/cluster"
)

// online is the decision for every event that moves liveness. A New partition gets its first
// alive replica as leader and all alive ones as ISR. A partition whose leader serves only loses
// dead ISR members. One whose leader is gone elects the first assigned replica alive and in the
// ISR; failing that, if the topic allows it, the first alive one, which then has to recover;
// failing that the leader becomes none, and the ISR keeps at least one member: the only legal
// candidate stays on record. nil means nothing changes.
func (m *Machine) decideOnline(p *partition) *State {
	if p.state == nil {
		live := m.onlineOf(p, p.replicas)
		if len(live) == 0 {
			return nil
		}
		return &State{Leader: live[0], ISR: live, ControllerEpoch: m.epoch}
	}
	s := p.state
	isr := m.onlineOf(p, s.ISR)
	if s.Leader >= 0 && m.online(p, s.Leader) {
		if len(isr) == len(s.ISR) {
			return nil
		}
		return m.next(s, s.Leader, isr)
	}
	for _, r := range p.replicas {
		if slices.Contains(isr, r) {
			return m.next(s, r, isr)
		}
	}
	live := m.onlineOf(p, p.replicas)
	if len(live) > 0 && m.topics[p.tp.Topic].unclean {
		n := m.next(s, live[0], live[:1:1])
		n.Recovering = true
		return n
	}
	// Nobody of the ISR is alive. Dead members leave it, but never the last one: that is the old
	// leader if it is a member, as it left last.
	keep := s.ISR
	if len(keep) > 1 && s.Leader >= 0 && slices.Contains(keep, s.Leader) {
		keep = []int32{s.Leader}
	} else if len(keep) > 1 {
		keep = keep[:1:1]
	}
	if s.Leader == cluster.NoLeader && len(keep) == len(s.ISR) {
		return nil
	}
	return m.next(s, cluster.NoLeader, keep)
}

// decidePreferred moves the leadership to the first assigned replica if it may lead.
func (m *Machine) decidePreferred(p *partition) *State {
	if p.state == nil || len(p.replicas) == 0 || p.state.Leader == p.replicas[0] {
		return nil
	}
	want := p.replicas[0]
	if !m.online(p, want) || !slices.Contains(p.state.ISR, want) {
		return nil
	}
	return m.next(p.state, want, p.state.ISR)
}

// next is the successor of s: one leader epoch on, to be written over s's version.
func (m *Machine) next(s *State, leader int32, isr []int32) *State {
	return &State{
		Leader: leader, LeaderEpoch: s.LeaderEpoch + 1, ControllerEpoch: m.epoch,
		ISR: slices.Clone(isr), Recovering: s.Recovering, Version: s.Version,
	}
}

// settle decides about ps, writes what changes and calls then with the partitions that changed
// (changed) and those among them that had no state before (fresh). A write that lost against
// somebody else's is read again and decided again.
func (m *Machine) settle(
	ps []*partition, decide func(*partition) *State, then func(changed, fresh []*partition),
) {
	var changed, fresh []*partition
	var round func(ps []*partition)
	round = func(ps []*partition) {
		ws, owner := m.stateWrites(ps, decide)
		m.write(ws, func(results []WriteResult) {
			var again []*partition
			for i, r := range results {
				p := owner[i]
				switch {
				case p == nil: // parents: their outcome shows in the state's
				case r.Outcome == OK:
					if ws[i].Op == CreateState {
						fresh = append(fresh, p)
					}
					p.state = ws[i].State
					p.state.Version = r.Version
					changed = append(changed, p)
				case r.Outcome == NoNode && ws[i].Op == CreateState:
					m.emit(Note{p.tp.Topic, "the topic's znode vanished; partition left alone"})
				default:
					again = append(again, p)
				}
			}
			if len(again) == 0 {
				then(changed, fresh)
				return
			}
			m.reread(again, func() {
				// What needs no change any more was changed by somebody else, or by us with the
				// answer lost: either way nobody was told.
				for _, p := range again {
					if p.state != nil && decide(p) == nil {
						changed = append(changed, p)
					}
				}
				round(again)
			})
		})
	}
	round(ps)
}

// stateWrites renders the decisions as writes; owner[i] is the partition whose state write i is.
func (m *Machine) stateWrites(
	ps []*partition, decide func(*partition) *State,
) (ws []Write, owner []*partition) {
	parent := map[string]bool{}
	for _, p := range ps {
		s := decide(p)
		if s == nil {
			continue
		}
		w := Write{Op: SetState, Topic: p.tp.Topic, Index: p.tp.Index, State: s}
		if p.state == nil {
			if !parent[p.tp.Topic] {
				parent[p.tp.Topic] = true
				ws, owner = append(ws, Write{Op: CreateParent, Topic: p.tp.Topic}), append(owner, nil)
			}
			ws = append(ws, Write{Op: CreatePartition, Topic: p.tp.Topic, Index: p.tp.Index})
			owner = append(owner, nil)
			w.Op = CreateState
		}
		ws, owner = append(ws, w), append(owner, p)
	}
	return ws, owner
}

// reread refreshes the states of ps, then goes on. A state written by a later controller ends
// the term.
func (m *Machine) reread(ps []*partition, then func()) {
	tps := make([]TP, len(ps))
	for i, p := range ps {
		tps[i] = p.tp
	}
	m.read = func(nodes []StateNode) {
		if m.adopt(nodes) {
			then()
		}
	}
	m.emit(ReadStates{tps})
}

// adopt takes states as read; it reports false if the term ended by it.
func (m *Machine) adopt(nodes []StateNode) bool {
	for _, n := range nodes {
		p := m.partition(n.TP)
		if p == nil {
			continue
		}
		if n.State != nil && n.State.ControllerEpoch > m.epoch {
			m.resign("a partition state carries a higher controller epoch")
			return false
		}
		p.state = n.State
	}
	return true
}

// reconcile settles ps and tells everybody concerned about what changed.
func (m *Machine) reconcile(ps []*partition) {
	m.settle(ps, m.decideOnline, func(changed, fresh []*partition) {
		b := m.batch()
		b.tell(changed, fresh)
		b.send()
	})
}

func (m *Machine) electPreferred(tps []TP) {
	var ps []*partition
	for _, tp := range tps {
		p := m.partition(tp)
		if p == nil || m.topics[tp.Topic].deletion != nil {
			m.emit(Note{tp.Topic, "preferred election asked for an unknown partition"})
			continue
		}
		ps = append(ps, p)
	}
	m.settle(ps, m.decidePreferred, func(changed, fresh []*partition) {
		b := m.batch()
		b.tell(changed, fresh)
		b.send()
	})
}

func (m *Machine) uncleanChanged(in UncleanChanged) {
	t := m.topics[in.Topic]
	if t == nil {
		return
	}
	t.unclean = in.Enabled
	if in.Enabled && t.deletion == nil {
		m.reconcile(t.parts)
	}
}

func (m *Machine) isrChanged(nodes []StateNode) {
	if !m.adopt(nodes) {
		return
	}
	b := m.batch()
	for _, n := range nodes {
		if p := m.partition(n.TP); p != nil && m.topics[n.Topic].deletion == nil {
			b.metadata(p)
		}
	}
	b.send()
}

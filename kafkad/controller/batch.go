package controller

import (
	"maps"
	"slices"

	"zkafka/kafkad/cluster"
)

// batch collects what one event has to tell the brokers and sends it as Kafka does: per broker
// one LeaderAndIsr, then one UpdateMetadata, then one StopReplica. Only live brokers are told.
type batch struct {
	m         *Machine
	lead      map[int32][]cluster.PartitionState
	stop      map[int32][]cluster.StopPartition
	everybody []cluster.PartitionState           // metadata for all live brokers
	single    map[int32][]cluster.PartitionState // metadata for one broker more
	brokers   bool                               // the list of brokers is news
}

func (m *Machine) batch() *batch {
	return &batch{
		m: m, lead: map[int32][]cluster.PartitionState{},
		stop:   map[int32][]cluster.StopPartition{},
		single: map[int32][]cluster.PartitionState{},
	}
}

// tell addresses the live replicas of the changed partitions and everybody's metadata.
func (b *batch) tell(changed, fresh []*partition) {
	isNew := map[*partition]bool{}
	for _, p := range fresh {
		isNew[p] = true
	}
	for _, p := range changed {
		for _, r := range p.replicas {
			b.leaderAndIsr(r, p, isNew[p])
		}
		b.metadata(p)
	}
}

func (b *batch) leaderAndIsr(broker int32, p *partition, isNew bool) {
	if _, live := b.m.brokers[broker]; live && p.state != nil {
		s := b.m.stateOf(p)
		s.IsNew = isNew
		b.lead[broker] = append(b.lead[broker], s)
	}
}

func (b *batch) metadata(p *partition) {
	if p.state != nil {
		b.everybody = append(b.everybody, b.m.stateOf(p))
	}
}

func (b *batch) metadataTo(broker int32, p *partition) {
	if p.state != nil {
		b.single[broker] = append(b.single[broker], b.m.stateOf(p))
	}
}

// forgetTopic makes every broker drop t's partitions from its metadata.
func (b *batch) forgetTopic(t *topic) {
	for _, p := range t.parts {
		s := b.m.stateOf(p)
		s.Leader, s.LeaderEpoch = cluster.LeaderDuringDelete, cluster.EpochDuringDelete
		b.everybody = append(b.everybody, s)
	}
}

func (b *batch) deleteReplica(broker int32, p *partition) {
	if _, live := b.m.brokers[broker]; live {
		b.stop[broker] = append(b.stop[broker], cluster.StopPartition{
			Topic: p.tp.Topic, Index: p.tp.Index,
			LeaderEpoch: cluster.EpochDuringDelete, Delete: true,
		})
	}
}

func (m *Machine) stateOf(p *partition) cluster.PartitionState {
	s := cluster.PartitionState{
		Topic: p.tp.Topic, TopicID: m.topics[p.tp.Topic].id,
		Partition: cluster.Partition{
			Index: p.tp.Index, Leader: cluster.NoLeader,
			Replicas: p.replicas, Adding: p.adding, Removing: p.removing,
			Offline: m.offlineOf(p, p.replicas),
		},
	}
	if st := p.state; st != nil {
		s.Leader, s.LeaderEpoch, s.PartitionEpoch = st.Leader, st.LeaderEpoch, st.Version
		s.ControllerEpoch, s.ISR, s.Recovering = st.ControllerEpoch, st.ISR, st.Recovering
	}
	return s
}

func (b *batch) send() {
	m := b.m
	for _, id := range slices.Sorted(maps.Keys(b.lead)) {
		m.emit(SendLeaderAndIsr{id, &cluster.LeaderAndIsr{
			ControllerID: m.opts.Self, ControllerEpoch: m.epoch, BrokerEpoch: m.brokers[id].Epoch,
			Partitions: b.lead[id], LiveLeaders: m.leadersIn(b.lead[id]),
		}})
	}
	for _, id := range m.brokerIDs() {
		states := slices.Concat(b.everybody, b.single[id])
		if len(states) == 0 && !b.brokers {
			continue
		}
		m.emit(SendUpdateMetadata{id, &cluster.UpdateMetadata{
			ControllerID: m.opts.Self, ControllerEpoch: m.epoch, BrokerEpoch: m.brokers[id].Epoch,
			Partitions: states, Brokers: m.brokerList(),
		}})
	}
	for _, id := range slices.Sorted(maps.Keys(b.stop)) {
		m.emit(SendStopReplica{id, &cluster.StopReplica{
			ControllerID: m.opts.Self, ControllerEpoch: m.epoch, BrokerEpoch: m.brokers[id].Epoch,
			Partitions: b.stop[id],
		}})
	}
}

func (m *Machine) leadersIn(states []cluster.PartitionState) []cluster.Broker {
	ids := map[int32]bool{}
	for _, s := range states {
		ids[s.Leader] = true
	}
	var list []cluster.Broker
	for _, id := range m.brokerIDs() {
		if ids[id] {
			list = append(list, m.brokers[id])
		}
	}
	return list
}

package controller

import (
	"maps"
	"slices"

	"zkafka/kafkad/cluster"
)

// What leaves the machine must not depend on map order: these helpers give sorted walks.

func (m *Machine) topicNames() []string { return slices.Sorted(maps.Keys(m.topics)) }

func (m *Machine) brokerIDs() []int32 { return slices.Sorted(maps.Keys(m.brokers)) }

func (m *Machine) brokerList() []cluster.Broker {
	list := make([]cluster.Broker, 0, len(m.brokers))
	for _, id := range m.brokerIDs() {
		list = append(list, m.brokers[id])
	}
	return list
}

func (m *Machine) partition(tp TP) *partition {
	t := m.topics[tp.Topic]
	if t == nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(t.parts, tp.Index, func(p *partition, index int32) int {
		return int(p.tp.Index) - int(index)
	})
	if !ok {
		return nil
	}
	return t.parts[i]
}

// all returns the partitions of topics that are not being deleted.
func (m *Machine) all() []*partition {
	var ps []*partition
	for _, name := range m.topicNames() {
		if t := m.topics[name]; t.deletion == nil {
			ps = append(ps, t.parts...)
		}
	}
	return ps
}

// partitionsOf returns those of all that have a replica on broker.
func (m *Machine) partitionsOf(broker int32) []*partition {
	return slices.DeleteFunc(m.all(), func(p *partition) bool {
		return !slices.Contains(p.replicas, broker)
	})
}

// online reports whether the replica of p on broker can serve.
func (m *Machine) online(p *partition, broker int32) bool {
	_, live := m.brokers[broker]
	return live && !p.failed[broker]
}

// onlineOf filters ids by online, keeping the order.
func (m *Machine) onlineOf(p *partition, ids []int32) []int32 {
	var out []int32
	for _, id := range ids {
		if m.online(p, id) {
			out = append(out, id)
		}
	}
	return out
}

// offlineOf is the opposite of onlineOf.
func (m *Machine) offlineOf(p *partition, ids []int32) []int32 {
	var out []int32
	for _, id := range ids {
		if !m.online(p, id) {
			out = append(out, id)
		}
	}
	return out
}

package controller

import (
	"reflect"

	"zkafka/kafkad/cluster"
)

// brokersChanged compares the live brokers with those known. A broker that is there again under
// a higher epoch died in between without our noticing: it is treated as dead, then as new.
func (m *Machine) brokersChanged(now []cluster.Broker) {
	alive := map[int32]cluster.Broker{}
	var joined []cluster.Broker
	updated := false
	for _, b := range now {
		alive[b.ID] = b
		old, known := m.brokers[b.ID]
		switch {
		case !known || b.Epoch > old.Epoch:
			joined = append(joined, b)
		case !reflect.DeepEqual(old, b):
			m.brokers[b.ID] = b
			updated = true
		}
	}
	var dead []int32
	for _, id := range m.brokerIDs() {
		if b, ok := alive[id]; !ok || b.Epoch > m.brokers[id].Epoch {
			dead = append(dead, id)
		}
	}
	m.brokersDied(dead, func() {
		if len(joined) > 0 {
			m.brokersJoined(joined)
			return
		}
		if updated {
			b := m.batch()
			b.brokers = true
			b.send()
		}
	})
}

func (m *Machine) brokersDied(ids []int32, then func()) {
	if len(ids) == 0 {
		then()
		return
	}
	for _, id := range ids {
		delete(m.brokers, id)
	}
	var hit []*partition
	for _, p := range m.all() {
		if len(m.offlineOf(p, p.replicas)) > 0 {
			hit = append(hit, p)
		}
	}
	m.settle(hit, m.decideOnline, func(changed, fresh []*partition) {
		b := m.batch()
		b.brokers = true
		b.tell(changed, fresh)
		told := map[*partition]bool{}
		for _, p := range changed {
			told[p] = true
		}
		for _, p := range hit { // their lists of offline replicas changed
			if !told[p] {
				b.metadata(p)
			}
		}
		b.send()
		then()
	})
}

// brokersJoined tells the old brokers about the new ones, elects leaders for partitions that had
// none, gives the new brokers all their replicas and all metadata, and goes on with deletions
// that waited for them.
func (m *Machine) brokersJoined(joined []cluster.Broker) {
	hello := m.batch()
	hello.brokers = true
	hello.send()
	for _, b := range joined {
		m.brokers[b.ID] = b
		for _, p := range m.partitionsOf(b.ID) {
			delete(p.failed, b.ID)
		}
	}
	m.settle(m.all(), m.decideOnline, func(changed, fresh []*partition) {
		b := m.batch()
		b.brokers = true
		b.tell(changed, fresh)
		told := map[*partition]bool{}
		for _, p := range changed {
			told[p] = true
		}
		for _, j := range joined {
			for _, p := range m.all() {
				if told[p] {
					continue
				}
				b.metadataTo(j.ID, p)
			}
			for _, p := range m.partitionsOf(j.ID) {
				if !told[p] {
					b.leaderAndIsr(j.ID, p, false)
				}
			}
			m.resumeDeletions(b, j.ID)
		}
		b.send()
	})
}

func (m *Machine) resumeDeletions(b *batch, broker int32) {
	for _, name := range m.topicNames() {
		t := m.topics[name]
		if t.deletion == nil {
			continue
		}
		for _, p := range t.parts {
			if t.deletion.left[broker][p.tp.Index] {
				b.deleteReplica(broker, p)
			}
		}
	}
}

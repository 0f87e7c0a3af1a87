package controller

import (
	"cmp"
	"maps"
	"slices"

	"zkafka/kafkad/cluster"
)

// MixedRacks reports whether some brokers name a rack and others do not. Kafka places no replicas
// over such brokers.
func MixedRacks(brokers []cluster.Broker) bool {
	unnamed := func(b cluster.Broker) bool { return b.Rack == "" }
	return slices.ContainsFunc(brokers, unnamed) &&
		slices.ContainsFunc(brokers, func(b cluster.Broker) bool { return b.Rack != "" })
}

// Place assigns replicas of the partitions first, first+1, … (count of them) to brokers as Kafka
// does: the first replicas go round the brokers from start on, the others follow at a distance
// that shift gives and that grows with every round. A broker is passed over while there are racks
// without replica, unless its own has none. start counts brokers in ascending order of id, with
// racks in an order in which racks take turns. factor is at most the number of brokers.
func Place(brokers []cluster.Broker, count, factor, start, shift, first int) [][]int32 {
	brokers, racks := takingTurns(brokers)
	n := len(brokers)
	out := make([][]int32, count)
	for i := range out {
		p := first + i
		if p > 0 && p%n == 0 {
			shift++
		}
		lead := (p + start) % n
		replicas := []int32{brokers[lead].ID}
		used := map[string]bool{brokers[lead].Rack: true}
		for k := 0; len(replicas) < factor; k++ {
			b := &brokers[(lead+1+(shift*racks+k)%(n-1))%n]
			if used[b.Rack] && len(used) < racks || slices.Contains(replicas, b.ID) {
				continue
			}
			used[b.Rack] = true
			replicas = append(replicas, b.ID)
		}
		out[i] = replicas
	}
	return out
}

// PlaceMore assigns replicas of count more partitions, from index have on, to brokers as Kafka
// does when a topic grows: as many replicas as partition 0 has, beginning at the broker where
// that one began.
func PlaceMore(brokers []cluster.Broker, count int, partition0 []int32, have int) [][]int32 {
	ids := make([]int32, len(brokers))
	for i := range brokers {
		ids[i] = brokers[i].ID
	}
	slices.Sort(ids)
	start := 0
	if len(partition0) > 0 {
		// With racks Kafka, too, takes this place among the ids for one among the racks' turns.
		start = max(0, slices.IndexFunc(ids, func(id int32) bool { return id >= partition0[0] }))
	}
	return Place(brokers, count, len(partition0), start, start, have)
}

// takingTurns orders brokers so that neighbours are in different racks as far as possible: the
// first of each rack, the second of each, and so on. Without racks that is the order of ids.
func takingTurns(brokers []cluster.Broker) (ordered []cluster.Broker, racks int) {
	byRack := map[string][]cluster.Broker{}
	for _, b := range brokers {
		byRack[b.Rack] = append(byRack[b.Rack], b)
	}
	names := slices.Sorted(maps.Keys(byRack))
	for _, name := range names {
		slices.SortFunc(byRack[name], func(a, b cluster.Broker) int { return cmp.Compare(a.ID, b.ID) })
	}
	for round := 0; len(ordered) < len(brokers); round++ {
		for _, name := range names {
			if round < len(byRack[name]) {
				ordered = append(ordered, byRack[name][round])
			}
		}
	}
	return ordered, len(names)
}

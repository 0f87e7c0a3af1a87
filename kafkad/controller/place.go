package controller

import "slices"

// Place assigns replicas of the partitions first, first+1, … (count of them) to brokers, as Kafka
// does without racks: the first replicas go round the brokers from start on, the others follow at
// a distance that shift gives and that grows with every round. Brokers are sorted by id; factor is
// at most their number.
func Place(brokers []int32, count, factor, start, shift, first int) [][]int32 {
	brokers = slices.Sorted(slices.Values(brokers))
	n := len(brokers)
	out := make([][]int32, count)
	for i := range out {
		p := first + i
		if p > 0 && p%n == 0 {
			shift++
		}
		lead := (p + start) % n
		replicas := []int32{brokers[lead]}
		for j := range factor - 1 {
			at := (lead + 1 + (shift+j)%(n-1)) % n
			replicas = append(replicas, brokers[at])
		}
		out[i] = replicas
	}
	return out
}

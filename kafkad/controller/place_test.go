package controller

import (
	"reflect"
	"testing"

	"zkafka/kafkad/cluster"
)

func brokersWith(racks map[int32]string) []cluster.Broker {
	var out []cluster.Broker
	for id, rack := range racks {
		out = append(out, cluster.Broker{ID: id, Rack: rack})
	}
	return out // in no order
}

// The assignments are those that AdminUtils of Kafka 3.9.2 gave for the same brokers.
func TestPlace(t *testing.T) {
	none := func(ids ...int32) []cluster.Broker {
		racks := map[int32]string{}
		for _, id := range ids {
			racks[id] = ""
		}
		return brokersWith(racks)
	}
	// Six brokers in three racks, the example in Kafka's own description.
	racked := brokersWith(map[int32]string{0: "rack1", 1: "rack3", 2: "rack3", 3: "rack2",
		4: "rack2", 5: "rack1"})
	for _, c := range []struct {
		what string
		got  [][]int32
		want [][]int32
	}{
		{"five brokers", Place(none(4, 0, 1, 2, 3), 10, 3, 0, 0, 0), [][]int32{
			{0, 1, 2}, {1, 2, 3}, {2, 3, 4}, {3, 4, 0}, {4, 0, 1},
			{0, 2, 3}, {1, 3, 4}, {2, 4, 0}, {3, 0, 1}, {4, 1, 2}}},
		{"three brokers", Place(none(1, 2, 3), 4, 3, 0, 0, 0), [][]int32{
			{1, 2, 3}, {2, 3, 1}, {3, 1, 2}, {1, 3, 2}}},
		{"more partitions", PlaceMore(none(0, 1, 2, 3, 4), 3, []int32{2, 3, 4}, 10), [][]int32{
			{2, 1, 3}, {3, 2, 4}, {4, 3, 0}}},
		{"one broker", Place(none(7), 2, 1, 0, 0, 0), [][]int32{{7}, {7}}},
		{"racks", Place(racked, 6, 3, 0, 0, 0), [][]int32{
			{0, 3, 1}, {3, 1, 5}, {1, 5, 4}, {5, 4, 2}, {4, 2, 0}, {2, 0, 3}}},
		{"growth", PlaceMore(none(1, 2, 3), 2, []int32{2, 3}, 3), [][]int32{{2, 3}, {3, 1}}},
		{"growth where the first broker is gone", PlaceMore(none(1, 3), 1, []int32{2}, 1),
			[][]int32{{1}}},
		{"growth over racks", PlaceMore(racked, 8, []int32{4, 3, 0}, 5), [][]int32{
			{5, 3, 1}, {4, 2, 0}, {2, 0, 3}, {0, 3, 1}, {3, 1, 5}, {1, 5, 4}, {5, 4, 2}, {4, 1, 5}}},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
}

func TestMixedRacks(t *testing.T) {
	for _, c := range []struct {
		racks map[int32]string
		want  bool
	}{
		{nil, false}, {map[int32]string{1: "", 2: ""}, false},
		{map[int32]string{1: "a", 2: "b"}, false}, {map[int32]string{1: "a", 2: ""}, true},
	} {
		if got := MixedRacks(brokersWith(c.racks)); got != c.want {
			t.Errorf("%v: %v", c.racks, got)
		}
	}
}

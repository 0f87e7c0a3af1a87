package cluster

import (
	"maps"
	"slices"
)

// Image is a broker's view of the cluster at one moment. It is immutable: Apply and With make a
// new one. Brokers are in ascending order of id.
type Image struct {
	ClusterID       string
	ControllerID    int32 // NoController if unknown
	ControllerEpoch int32
	Brokers         []Broker
	Topics          map[string]*Topic
	Names           map[TopicID]string // id to name of every topic that has an id
}

// NewImage returns the image of a broker that has not heard from a controller yet.
func NewImage(clusterID string) *Image {
	return &Image{
		ClusterID: clusterID, ControllerID: NoController,
		Topics: map[string]*Topic{}, Names: map[TopicID]string{},
	}
}

// Broker returns the live broker with that id, or nil.
func (im *Image) Broker(id int32) *Broker {
	i, ok := slices.BinarySearchFunc(im.Brokers, id, func(b Broker, want int32) int {
		return int(b.ID) - int(want)
	})
	if !ok {
		return nil
	}
	return &im.Brokers[i]
}

// Topic returns the named topic, or nil.
func (im *Image) Topic(name string) *Topic { return im.Topics[name] }

// TopicByID returns the topic with that id, or nil.
func (im *Image) TopicByID(id TopicID) *Topic {
	name, ok := im.Names[id]
	if !ok {
		return nil
	}
	return im.Topics[name]
}

// Partition returns that partition of the named topic, or nil.
func (im *Image) Partition(topic string, index int32) *Partition {
	return im.Topics[topic].Partition(index)
}

// TopicNames returns all names in ascending order.
func (im *Image) TopicNames() []string { return slices.Sorted(maps.Keys(im.Topics)) }

// WithController returns the image with another controller id, for a broker that learned of a
// resignation or election before the next UpdateMetadata.
func (im *Image) WithController(id int32) *Image {
	next := *im
	next.ControllerID = id
	return &next
}

// Apply returns the image after an UpdateMetadata: the broker list is replaced, partitions are
// merged, and those whose leader is LeaderDuringDelete are dropped. The second result lists
// the topics that are gone by it. A request of an older controller epoch changes nothing.
func (im *Image) Apply(u *UpdateMetadata) (*Image, []string) {
	if u.ControllerEpoch < im.ControllerEpoch {
		return im, nil
	}
	next := &Image{
		ClusterID: im.ClusterID, ControllerID: u.ControllerID, ControllerEpoch: u.ControllerEpoch,
		Brokers: slices.SortedFunc(slices.Values(u.Brokers), func(a, b Broker) int {
			return int(a.ID) - int(b.ID)
		}),
		Topics: im.Topics, Names: im.Names,
	}
	if len(u.Partitions) == 0 {
		return next, nil
	}
	next.Topics, next.Names = maps.Clone(im.Topics), maps.Clone(im.Names)
	var gone []string
	for topic, states := range byTopic(u.Partitions) {
		if !next.merge(topic, states) {
			gone = append(gone, topic)
		}
	}
	slices.Sort(gone)
	return next, gone
}

// merge replaces the named topic's partitions by those given; it reports false if the topic is
// gone after that.
func (im *Image) merge(name string, states []*PartitionState) bool {
	old := im.Topics[name]
	t := &Topic{Name: name}
	parts := map[int32]Partition{}
	if old != nil {
		t.ID = old.ID
		for _, p := range old.Partitions {
			parts[p.Index] = p
		}
	}
	for _, s := range states {
		if s.Leader == LeaderDuringDelete {
			delete(parts, s.Index)
			continue
		}
		t.ID = s.TopicID
		parts[s.Index] = s.Partition
	}
	if old != nil && old.ID != t.ID || len(parts) == 0 {
		if old != nil {
			delete(im.Names, old.ID)
		}
	}
	if len(parts) == 0 {
		delete(im.Topics, name)
		return false
	}
	for _, i := range slices.Sorted(maps.Keys(parts)) {
		t.Partitions = append(t.Partitions, parts[i])
	}
	im.Topics[name] = t
	if !t.ID.IsZero() {
		im.Names[t.ID] = name
	}
	return true
}

func byTopic(states []PartitionState) map[string][]*PartitionState {
	m := map[string][]*PartitionState{}
	for i := range states {
		m[states[i].Topic] = append(m[states[i].Topic], &states[i])
	}
	return m
}

package metastore

import (
	"context"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/errcode"
)

// NewTopic asks for a topic. Either Partitions and ReplicationFactor are given (-1 = the
// broker's default) or Assignment is.
type NewTopic struct {
	Name              string
	Partitions        int32
	ReplicationFactor int16
	Assignment        map[int32][]int32
	Config            map[string]string // overrides, already validated
}

// TopicResult says what became of one topic of a request.
type TopicResult struct {
	Name              string
	ID                cluster.TopicID
	Err               errcode.Code
	Message           string
	Partitions        int32
	ReplicationFactor int16
}

// NewPartitions asks for more partitions. Count is the new total; Assignment, if not nil, has
// the replicas of each new partition.
type NewPartitions struct {
	Name       string
	Count      int32
	Assignment [][]int32
}

// CreateTopics writes the znodes of new topics; with validateOnly it only checks. It does not
// wait for leaders: see Await.
func (s *Store) CreateTopics(ctx context.Context, topics []NewTopic, validateOnly bool) []TopicResult {
	return nil
}

// DeleteTopics marks topics for deletion. It does not wait for the end of it.
func (s *Store) DeleteTopics(ctx context.Context, names []string) []TopicResult { return nil }

// CreatePartitions adds partitions to topics; with validateOnly it only checks.
func (s *Store) CreatePartitions(
	ctx context.Context, topics []NewPartitions, validateOnly bool,
) []TopicResult {
	return nil
}

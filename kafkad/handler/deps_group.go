package handler

import (
	"context"
	"time"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/coordinator"
)

// GroupDeps is what the handlers of groups and offsets need.
type GroupDeps struct {
	Coordinator *coordinator.Coordinator
	// CreateOffsetsTopic creates __consumer_offsets with the broker's configuration. Its error
	// is only logged: clients ask again.
	CreateOffsetsTopic func(ctx context.Context) error
	// OldOffsets keeps the offsets of version 0 requests; nil refuses those.
	OldOffsets OldOffsets
}

// OldOffsets keeps committed offsets in ZooKeeper, under /consumers, as consumers before 0.9 did.
type OldOffsets interface {
	// SetConsumerOffset stores an offset.
	SetConsumerOffset(ctx context.Context, group, topic string, partition int32, offset int64) error
	// ConsumerOffset returns a stored offset; ok is false if there is none.
	ConsumerOffset(
		ctx context.Context, group, topic string, partition int32,
	) (offset int64, ok bool, err error)
}

// createTopicTimeout bounds how long a FindCoordinator waits for the creation to be accepted.
const createTopicTimeout = 5 * time.Second

// partitionExists tells whether the cluster has that partition now.
func partitionExists(im *cluster.Image, topic string, partition int32) bool {
	return im.Partition(topic, partition) != nil
}

// optional returns what an absent string stands for in the machines: nothing.
func optional(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// nullable is the inverse of optional.
func nullable(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

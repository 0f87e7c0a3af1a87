package handler

import (
	"context"
	"strconv"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/config"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/metastore"
)

// MetaDeps is what the handlers of topics, metadata and configurations need beyond Handlers.Store.
type MetaDeps struct {
	Config *config.Config
	Topics TopicStore
	// LogLevel names the level of the root logger for DescribeConfigs; nil = INFO.
	LogLevel func() string
}

// TopicStore is the part of metastore.Store that topic administration needs.
type TopicStore interface {
	IsController() bool
	Await(ctx context.Context, ok func(*cluster.Image) bool) error
	CreateTopics(
		ctx context.Context, topics []metastore.NewTopic, validateOnly bool,
	) []metastore.TopicResult
	DeleteTopics(ctx context.Context, names []string) []metastore.TopicResult
	CreatePartitions(
		ctx context.Context, topics []metastore.NewPartitions, validateOnly bool,
	) []metastore.TopicResult
	TopicConfig(topic string) map[string]string
	BrokerConfig() (own, defaults map[string]string)
	AlterConfig(
		ctx context.Context, entity string, dryRun bool, change func(map[string]string) error,
	) error
}

// Operations that somebody may do who may do everything, as bits: without an authorizer that is
// everybody.
const (
	allTopicOperations   int32 = 3576
	allClusterOperations int32 = 8096
)

// autoCreate creates topics because somebody asked about them and returns what to answer for
// each: LEADER_NOT_AVAILABLE when it is on its way.
func (h *Handlers) autoCreate(ctx context.Context, names []string) map[string]errcode.Code {
	answers := map[string]errcode.Code{}
	var topics []metastore.NewTopic
	for _, name := range names {
		switch {
		case cluster.TopicNameError(name) != "":
			answers[name] = errcode.InvalidTopicException
		case !h.Meta.Topics.IsController():
			answers[name] = errcode.UnknownTopicOrPartition
		default:
			topics = append(topics, h.newTopic(name))
		}
	}
	for _, r := range h.Meta.Topics.CreateTopics(ctx, topics, false) {
		switch r.Err {
		case errcode.None, errcode.TopicAlreadyExists:
			answers[r.Name] = errcode.LeaderNotAvailable
		default:
			answers[r.Name] = r.Err
		}
	}
	return answers
}

// newTopic is a topic as the broker creates it of its own accord.
func (h *Handlers) newTopic(name string) metastore.NewTopic {
	c := h.Meta.Config
	switch name {
	case cluster.OffsetsTopic:
		return metastore.NewTopic{
			Name: name, Partitions: int32(c.OffsetsTopicPartitions),
			ReplicationFactor: int16(c.OffsetsTopicReplicationFactor),
			Config: map[string]string{
				"cleanup.policy": "compact", "compression.type": "producer",
				"segment.bytes": strconv.Itoa(c.OffsetsTopicSegmentBytes),
			},
		}
	case cluster.TransactionsTopic:
		return metastore.NewTopic{
			Name: name, Partitions: int32(c.TransactionTopicPartitions),
			ReplicationFactor: int16(c.TransactionTopicReplicationFactor),
			Config: map[string]string{
				"cleanup.policy": "compact", "compression.type": "uncompressed",
				"segment.bytes":                  strconv.Itoa(c.TransactionTopicSegmentBytes),
				"min.insync.replicas":            strconv.Itoa(c.TransactionTopicMinISR),
				"unclean.leader.election.enable": "false",
			},
		}
	}
	return metastore.NewTopic{
		Name: name, Partitions: int32(c.NumPartitions),
		ReplicationFactor: int16(c.DefaultReplicationFactor), Config: map[string]string{},
	}
}

// CreateOffsetsTopic creates __consumer_offsets if it is missing. It does not wait for leaders.
func (h *Handlers) CreateOffsetsTopic(ctx context.Context) error {
	name := cluster.OffsetsTopic
	if code := h.autoCreate(ctx, []string{name})[name]; code != errcode.LeaderNotAvailable {
		return code
	}
	return nil
}

// led reports whether the topic's first count partitions all have leaders.
func led(im *cluster.Image, topic string, count int32) bool {
	t := im.Topic(topic)
	if t == nil || int32(len(t.Partitions)) < count {
		return false
	}
	for i := range t.Partitions {
		if t.Partitions[i].Leader < 0 || im.Broker(t.Partitions[i].Leader) == nil {
			return false
		}
	}
	return true
}

package cluster

import "zkafka/kafkad/errcode"

// PartitionState is a partition's state with the topic it belongs to, as controllers send it.
type PartitionState struct {
	Topic   string
	TopicID TopicID
	IsNew   bool // the replica was just assigned to this broker: it may create the log
	Partition
}

// LeaderAndIsr makes a broker leader or follower of partitions. A broker that has seen a higher
// ControllerEpoch answers STALE_CONTROLLER_EPOCH, one registered with a higher BrokerEpoch
// STALE_BROKER_EPOCH (-1 = not checked).
type LeaderAndIsr struct {
	ControllerID    int32
	ControllerEpoch int32
	BrokerEpoch     int64
	Partitions      []PartitionState
	LiveLeaders     []Broker // the leaders named in Partitions, with their endpoints
}

// LeaderAndIsrResult answers a LeaderAndIsr: one entry per partition, in the request's order,
// or only a top-level error.
type LeaderAndIsrResult struct {
	Err        errcode.Code
	Partitions []PartitionResult
}

// PartitionResult is the outcome for one partition.
type PartitionResult struct {
	Topic string
	Index int32
	Err   errcode.Code
}

// StopPartition names a replica to stop, and to remove from disk if Delete.
type StopPartition struct {
	Topic       string
	Index       int32
	LeaderEpoch int32 // EpochDuringDelete when the topic is deleted, NoEpoch if unknown
	Delete      bool
}

// StopReplica makes a broker stop fetching or serving partitions, and perhaps delete their logs.
type StopReplica struct {
	ControllerID    int32
	ControllerEpoch int32
	BrokerEpoch     int64
	Partitions      []StopPartition
}

// StopReplicaResult answers a StopReplica like LeaderAndIsrResult does.
type StopReplicaResult struct {
	Err        errcode.Code
	Partitions []PartitionResult
}

// UpdateMetadata replaces a broker's list of live brokers and merges partitions into its image.
type UpdateMetadata struct {
	ControllerID    int32
	ControllerEpoch int32
	BrokerEpoch     int64
	Partitions      []PartitionState
	Brokers         []Broker
}

// Package cluster holds what a broker knows about the cluster at one moment: brokers, topics,
// partitions and who leads them, as an immutable Image, and the three requests by which a
// controller tells brokers about changes (LeaderAndIsr, StopReplica, UpdateMetadata) in the
// machines' own small types. It also has the rules for names of topics. Nothing here performs
// I/O; an Image may be shared by any number of goroutines because nobody changes it after it was
// built.
package cluster

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
)

// Leader ids and epochs that mean something other than a broker or a count.
const (
	NoLeader           int32 = -1 // the partition has no leader now
	LeaderDuringDelete int32 = -2 // the topic is being deleted: forget the partition
	EpochDuringDelete  int32 = -2
	NoEpoch            int32 = -1
	NoController       int32 = -1 // nobody is known to be controller
)

// Names of the topics that brokers create for themselves.
const (
	OffsetsTopic      = "__consumer_offsets"
	TransactionsTopic = "__transaction_state"
)

// IsInternal reports whether topic is one that brokers create for themselves.
func IsInternal(topic string) bool {
	return topic == OffsetsTopic || topic == TransactionsTopic
}

// TopicID is a topic's 16 byte identity; the zero value means "none".
type TopicID [16]byte

// IsZero reports whether the id is absent.
func (id TopicID) IsZero() bool { return id == TopicID{} }

// String is the id as Kafka writes it: URL-safe base64 without padding, 22 characters.
func (id TopicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// ParseTopicID reads the form that String writes.
func ParseTopicID(s string) (TopicID, error) {
	var id TopicID
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return TopicID{}, errors.New("topic id " + s + " is not 16 bytes of URL-safe base64")
	}
	copy(id[:], b)
	return id, nil
}

// NewTopicID makes an id from 16 random bytes. ok is false for the values Kafka never hands out
// (the reserved ids 0 and 1, and those whose text begins with a dash, which command lines would
// take for an option): the caller draws again.
func NewTopicID(random [16]byte) (id TopicID, ok bool) {
	// Version 4, variant 2, as java.util.UUID.randomUUID sets them.
	random[6] = random[6]&0x0f | 0x40
	random[8] = random[8]&0x3f | 0x80
	id = TopicID(random)
	return id, !strings.HasPrefix(id.String(), "-")
}

// Protocol is a listener's security protocol with the number it has on the wire.
type Protocol int16

// The security protocols.
const (
	Plaintext     Protocol = 0
	SSL           Protocol = 1
	SASLPlaintext Protocol = 2
	SASLSSL       Protocol = 3
)

var protocolNames = []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}

// String is the protocol's name in configurations and znodes.
func (p Protocol) String() string {
	if p < 0 || int(p) >= len(protocolNames) {
		return "UNKNOWN"
	}
	return protocolNames[p]
}

// ParseProtocol is the inverse of String.
func ParseProtocol(s string) (Protocol, bool) {
	i := slices.Index(protocolNames, strings.ToUpper(s))
	return Protocol(i), i >= 0
}

// Endpoint is one advertised listener of a broker.
type Endpoint struct {
	Listener string // upper case listener name
	Protocol Protocol
	Host     string
	Port     int32
}

// Broker is a live broker.
type Broker struct {
	ID        int32
	Epoch     int64 // zxid at which its registration was created; -1 unknown
	Endpoints []Endpoint
	Rack      string // "" = none
}

// Endpoint returns the broker's endpoint on the named listener.
func (b *Broker) Endpoint(listener string) (Endpoint, bool) {
	for _, e := range b.Endpoints {
		if e.Listener == listener {
			return e, true
		}
	}
	return Endpoint{}, false
}

// Partition is the state of one partition. Index is its number within the topic.
type Partition struct {
	Index           int32
	Leader          int32 // NoLeader if none
	LeaderEpoch     int32
	PartitionEpoch  int32 // dataVersion of the state znode
	ControllerEpoch int32 // of the controller that wrote the state last
	Recovering      bool  // elected from outside the ISR and not yet recovered
	ISR             []int32
	Replicas        []int32
	Adding          []int32
	Removing        []int32
	Offline         []int32 // replicas on dead brokers or dead log dirs
}

// Topic is a topic with its partitions in ascending order of Index.
type Topic struct {
	Name       string
	ID         TopicID
	Partitions []Partition
}

// Partition returns the partition with that number, or nil.
func (t *Topic) Partition(index int32) *Partition {
	if t == nil {
		return nil
	}
	if index >= 0 && int(index) < len(t.Partitions) && t.Partitions[index].Index == index {
		return &t.Partitions[index]
	}
	i, ok := slices.BinarySearchFunc(t.Partitions, index, func(p Partition, want int32) int {
		return int(p.Index) - int(want)
	})
	if !ok {
		return nil
	}
	return &t.Partitions[i]
}

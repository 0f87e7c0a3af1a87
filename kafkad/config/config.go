// Package config knows every setting of a Kafka 3.9 broker in ZooKeeper mode: its name, type,
// default, limits and meaning. It turns server.toml or server.properties into a Config, prints one
// as TOML, and validates and describes topic settings with the messages upstream's clients show.
//
// The package is pure: it reads bytes, not files, and looks at no environment; kafkad/cmd hands it
// both. A Config is built once and never changed afterwards, so any goroutine may read it.
package config

import (
	"net"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Config is a validated broker configuration. Fields tagged with a key are that setting's value;
// durations carry the unit of the key's name and saturate at about 292 years (upstream's "never" of
// 2^63-1 ms). Fields without a tag are derived from several settings.
type Config struct {
	// Identity. BrokerID is -1 when the broker shall take the id of meta.properties or generate one.
	BrokerID            int    `key:"broker.id"`
	BrokerIDGeneration  bool   `key:"broker.id.generation.enable"`
	ReservedBrokerMaxID int    `key:"reserved.broker.max.id"`
	Rack                string `key:"broker.rack"` // empty: none

	// ZooKeeper. The connect string is split into servers and chroot ("" or "/a/b").
	ZooKeeperServers           []string
	ZooKeeperChroot            string
	ZooKeeperSessionTimeout    time.Duration `key:"zookeeper.session.timeout.ms"`
	ZooKeeperConnectionTimeout time.Duration // zookeeper.connection.timeout.ms or the session timeout

	// Network. AdvertisedListeners is a subset of Listeners by name; hosts may be empty (all
	// interfaces; the machine's name is advertised), port 0 means any free one.
	Listeners                []Listener
	AdvertisedListeners      []Listener
	InterBrokerListenerName  string // resolved also from security.inter.broker.protocol
	SocketSendBufferBytes    int    `key:"socket.send.buffer.bytes"`    // -1: the system's
	SocketReceiveBufferBytes int    `key:"socket.receive.buffer.bytes"` // -1: the system's
	SocketRequestMaxBytes    int    `key:"socket.request.max.bytes"`
	MaxConnections           int    `key:"max.connections"`
	MaxConnectionsPerIP      int    `key:"max.connections.per.ip"`
	// MaxConnectionsPerIPOverrides maps host names or addresses to their own limit.
	MaxConnectionsPerIPOverrides map[string]int
	ConnectionsMaxIdle           time.Duration `key:"connections.max.idle.ms"`
	FetchMaxBytes                int           `key:"fetch.max.bytes"`
	FetchSessionCacheSlots       int           `key:"max.incremental.fetch.session.cache.slots"`

	// Logs. LogDirs has at least one entry, without duplicates, in the file's order.
	LogDirs                         []string
	NumPartitions                   int           `key:"num.partitions"`
	DefaultReplicationFactor        int           `key:"default.replication.factor"`
	AutoCreateTopics                bool          `key:"auto.create.topics.enable"`
	DeleteTopics                    bool          `key:"delete.topic.enable"`
	RecoveryThreadsPerDataDir       int           `key:"num.recovery.threads.per.data.dir"`
	LogRetentionCheckInterval       time.Duration `key:"log.retention.check.interval.ms"`
	LogFlushSchedulerInterval       time.Duration `key:"log.flush.scheduler.interval.ms"`
	LogInitialTaskDelay             time.Duration `key:"log.initial.task.delay.ms"`
	ProducerIDExpiration            time.Duration `key:"producer.id.expiration.ms"`
	ProducerIDExpirationCheck       time.Duration `key:"producer.id.expiration.check.interval.ms"`
	HighWatermarkCheckpointInterval time.Duration `key:"replica.high.watermark.checkpoint.interval.ms"`

	// Groups. Offsets topic settings apply when __consumer_offsets is created.
	GroupMinSessionTimeout        time.Duration `key:"group.min.session.timeout.ms"`
	GroupMaxSessionTimeout        time.Duration `key:"group.max.session.timeout.ms"`
	GroupInitialRebalanceDelay    time.Duration `key:"group.initial.rebalance.delay.ms"`
	GroupMaxSize                  int           `key:"group.max.size"`
	OffsetMetadataMaxBytes        int           `key:"offset.metadata.max.bytes"`
	OffsetsLoadBufferSize         int           `key:"offsets.load.buffer.size"`
	OffsetsTopicReplicationFactor int           `key:"offsets.topic.replication.factor"`
	OffsetsTopicPartitions        int           `key:"offsets.topic.num.partitions"`
	OffsetsTopicSegmentBytes      int           `key:"offsets.topic.segment.bytes"`
	OffsetsTopicCompressionCodec  int           `key:"offsets.topic.compression.codec"` // 0 to 4
	OffsetsRetention              time.Duration `key:"offsets.retention.minutes"`
	OffsetsRetentionCheckInterval time.Duration `key:"offsets.retention.check.interval.ms"`
	OffsetsCommitTimeout          time.Duration `key:"offsets.commit.timeout.ms"`
	OffsetsCommitRequiredAcks     int           `key:"offsets.commit.required.acks"`

	// __transaction_state, as it is made on demand.
	TransactionTopicPartitions        int `key:"transaction.state.log.num.partitions"`
	TransactionTopicReplicationFactor int `key:"transaction.state.log.replication.factor"`
	TransactionTopicSegmentBytes      int `key:"transaction.state.log.segment.bytes"`
	TransactionTopicMinISR            int `key:"transaction.state.log.min.isr"`

	// AdminAddress is where the metrics page listens (ours, not upstream's); empty switches it off.
	AdminAddress string `key:"admin.address"`

	// Topic holds what a topic without overrides gets.
	Topic Topic

	values map[string]string // settings that the file, the environment or an override gave
}

// Listener is one listening or advertised address.
type Listener struct {
	Name     string // upper case
	Host     string // empty: all interfaces; IPv6 without brackets
	Port     int
	Protocol string // PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL
}

// Address is host:port as net.Listen takes it.
func (l Listener) Address() string { return net.JoinHostPort(l.Host, strconv.Itoa(l.Port)) }

// String is NAME://host:port as the files spell it.
func (l Listener) String() string { return l.Name + "://" + l.Address() }

// Default is the configuration of an empty file: upstream's defaults, except data under
// /var/lib/kafkad, and ZooKeeper on this machine.
func Default() *Config {
	c, err := New(nil)
	if err != nil {
		panic(err) // the built-in table contradicts itself
	}
	return c
}

// Explicit returns the settings that were given (not defaults), by name.
func (c *Config) Explicit() map[string]string {
	out := make(map[string]string, len(c.values))
	for k, v := range c.values {
		out[k] = v
	}
	return out
}

// Given reports whether the setting was given, and its text.
func (c *Config) Given(key string) (string, bool) {
	v, ok := c.values[key]
	return v, ok
}

// ZooKeeperConnect is the connect string, chroot included.
func (c *Config) ZooKeeperConnect() string {
	return strings.Join(c.ZooKeeperServers, ",") + c.ZooKeeperChroot
}

// Listener finds a listener by name.
func (c *Config) Listener(name string) (Listener, bool) {
	for _, l := range c.Listeners {
		if l.Name == name {
			return l, true
		}
	}
	return Listener{}, false
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

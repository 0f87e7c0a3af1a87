// Package metastore is kafkad's side of ZooKeeper: it keeps the connection (waiting and retrying
// for ever while ZooKeeper is away), registers the broker, takes part in the controller election,
// runs the controller machine when this broker wins, follows configuration changes, and answers
// metadata questions from an immutable image.
//
// One goroutine (run.go) owns everything that changes: sessions, registration, election and the
// controller machine; it takes events from watches and from callers one at a time, as Kafka's
// controller does. Reads of the image and of topic configurations are lock-free or under a short
// mutex and may come from anywhere.
package metastore

import (
	"context"
	"time"

	"go.uber.org/zap"

	"zkafka/kafkad/cluster"
)

// Broker is the local broker as the controller sees it: the short cut for the requests a
// controller sends over the network to everybody else. Calls come from one goroutine, in the
// order the controller decided; each must have taken effect when it returns.
type Broker interface {
	// LeaderAndIsr opens (creates, if IsNew) the logs and makes the replicas leader or follower.
	LeaderAndIsr(req *cluster.LeaderAndIsr) cluster.LeaderAndIsrResult
	// StopReplica stops replicas and deletes those marked so.
	StopReplica(req *cluster.StopReplica) cluster.StopReplicaResult
	// UpdateMetadata comes after the request was merged into the store's image; gone names the
	// topics that vanished by it, so that group offsets of them can be dropped.
	UpdateMetadata(req *cluster.UpdateMetadata, gone []string)
	// TopicConfigChanged gives the overrides that hold for topic from now on (never nil). It is
	// not called for a topic before its first LeaderAndIsr: use Store.TopicConfig there.
	TopicConfigChanged(topic string, overrides map[string]string)
	// BrokerConfigChanged gives the dynamic broker configuration that holds from now on: the
	// cluster-wide default entries overridden by this broker's own.
	BrokerConfigChanged(dynamic map[string]string)
}

// Registration is what the broker tells the cluster about itself.
type Registration struct {
	Endpoints []cluster.Endpoint // advertised listeners in the configured order
	Rack      string             // "" = none
	JMXPort   int32              // -1 = none
}

// Phase says what the store is doing, for the service manager.
type Phase int

// The phases in the order of a normal start.
const (
	WaitingForZooKeeper Phase = iota // no connection: retrying
	WaitingForID                     // somebody else holds our broker.id
	Registered                       // registered; controller known
	Closed
)

// Status is a phase with a line for people. It is reported on each change.
type Status struct {
	Phase Phase
	Text  string
}

// Options configure a Store.
type Options struct {
	Connect           string        // zookeeper.connect: hosts and optional chroot
	SessionTimeout    time.Duration // zookeeper.session.timeout.ms; 0 = 18 s
	ConnectionTimeout time.Duration // zookeeper.connection.timeout.ms; 0 = session timeout
	BrokerID          int32         // may also be set later by SetBrokerID, before Start

	SessionFile string // where the session outlives the process ("" = nowhere); see session.go
	MachineID   string // of this machine; a session file of another machine is never used

	DeleteTopicEnable     bool // delete.topic.enable
	UncleanLeaderElection bool // unclean.leader.election.enable

	// Random draws 16 bytes for topic and cluster ids; nil = crypto/rand. Seed fixes the start
	// of replica placement; 0 = drawn.
	Random func() [16]byte
	Seed   uint64

	Log      *zap.Logger
	OnStatus func(Status)
}

// Store is the broker's view of and hand on the cluster. Create it with Open.
type Store struct {
	opts Options
}

// Open checks the options. Nothing is connected before Connect.
func Open(opts Options) (*Store, error) {
	return &Store{opts: opts}, nil
}

// Connect blocks until ZooKeeper answers, creates the chroot and the initial znodes, gets or
// creates the cluster id, and loads dynamic configurations. It retries for ever; the only errors
// are ctx's and those that waiting cannot cure. Call it once, before logs are opened.
func (s *Store) Connect(ctx context.Context) error { return ctx.Err() }

// ClusterID returns the id found or made by Connect.
func (s *Store) ClusterID() string { return "" }

// GenerateBrokerID draws the next id above reservedMax from /brokers/seqid.
func (s *Store) GenerateBrokerID(ctx context.Context, reservedMax int32) (int32, error) {
	return 0, ctx.Err()
}

// SetBrokerID sets the id to register under, before Start.
func (s *Store) SetBrokerID(id int32) { s.opts.BrokerID = id }

// Start registers the broker (waiting as long as its id is held by somebody else), takes part in
// the election and, if this broker is controller, has led the cluster once when it returns. The
// caller holds the lock of the log dir that SessionFile lies in. Call it once, after Connect.
func (s *Store) Start(ctx context.Context, reg Registration, b Broker) error { return ctx.Err() }

// Close hands in the registration: it stops the controller, closes the session and removes the
// session file.
func (s *Store) Close(ctx context.Context) error { return ctx.Err() }

// Image returns the current view of the cluster. Never nil after Connect.
func (s *Store) Image() *cluster.Image { return nil }

// Await blocks until ok holds for the image, or ctx ends.
func (s *Store) Await(ctx context.Context, ok func(*cluster.Image) bool) error { return ctx.Err() }

// IsController reports whether this broker is the active controller.
func (s *Store) IsController() bool { return false }

// BrokerEpoch is the zxid of the current registration, -1 before it.
func (s *Store) BrokerEpoch() int64 { return -1 }

// TopicConfig returns the overrides of a topic; never nil, not to be changed.
func (s *Store) TopicConfig(topic string) map[string]string { return nil }

// BrokerConfig returns the dynamic configuration of a broker id's own node and of the
// cluster-wide default node.
func (s *Store) BrokerConfig(ctx context.Context, id int32) (own, defaults map[string]string, err error) {
	return nil, nil, ctx.Err()
}

// AllocateProducerIDs reserves a block of producer ids for this broker: first to last inclusive.
func (s *Store) AllocateProducerIDs(ctx context.Context) (first, last int64, err error) {
	return 0, 0, ctx.Err()
}

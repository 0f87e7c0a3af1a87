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
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/controller"
	"zkafka/kafkad/znode"
	"zkafka/zkd/client"
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
type Registration = znode.Registration

// Phase says what the store is doing, for the service manager.
type Phase int

// The phases in the order of a normal start.
const (
	WaitingForZooKeeper Phase = iota // no connection: retrying
	WaitingForID                     // somebody else holds our broker.id
	Registered                       // registered; controller known
	Stranded                         // registered, but a broker we cannot follow is controller
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
//
// After Start the goroutine of run.go owns machine, session, epoch and the rest below "loop";
// before, Connect and Start own them.
type Store struct {
	opts    Options
	log     *zap.Logger
	servers []string
	chroot  string
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	done    chan struct{} // closed when the loop has ended; nil before Start

	current     atomic.Pointer[client.Client]
	image       atomic.Pointer[cluster.Image]
	controlling atomic.Bool
	brokerEpoch atomic.Int64
	clusterID   string

	dirty dirty

	mu      sync.Mutex
	changed chan struct{} // closed and replaced when the image changes
	status  Status
	place   *mathrand.Rand               // start of replica placement
	configs map[string]map[string]string // topic overrides; the inner maps are never changed
	own     map[string]string            // /config/brokers/N
	shared  map[string]string            // /config/brokers/<default>

	now func() time.Time // time.Now, but for tests

	// Loop.
	reg          Registration
	broker       Broker
	machine      *controller.Machine
	epochVersion int32           // dataVersion of /controller_epoch that fences our writes
	former       int64           // session before the present one; its registration is ours
	mute         map[int32]bool  // brokers that the lack of a channel was logged for
	watched      map[string]bool // paths of topics and brokers with a data watch
	lastChange   int64           // highest sequence of /config/changes handled; -1 none
	registered   bool
}

// Open checks the options. Nothing is connected before Connect.
func Open(opts Options) (*Store, error) {
	servers, chroot, err := client.ParseServers(opts.Connect)
	if err != nil {
		return nil, fmt.Errorf("reading zookeeper.connect: %w", err)
	}
	opts.SessionTimeout = orDefault(opts.SessionTimeout)
	if opts.Random == nil {
		opts.Random = randomBytes
	}
	if opts.Seed == 0 {
		r := randomBytes()
		opts.Seed = binary.LittleEndian.Uint64(r[:])
	}
	if opts.Log == nil {
		opts.Log = zap.NewNop()
	}
	s := &Store{
		opts: opts, log: opts.Log, servers: servers, chroot: chroot,
		changed: make(chan struct{}), configs: map[string]map[string]string{},
		place: mathrand.New(mathrand.NewPCG(opts.Seed, 0)),
		mute:  map[int32]bool{}, watched: map[string]bool{}, lastChange: -1,
		status: Status{Phase: -1}, now: time.Now,
	}
	s.dirty.init()
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.brokerEpoch.Store(-1)
	s.image.Store(cluster.NewImage(""))
	return s, nil
}

func randomBytes() (b [16]byte) {
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // crypto/rand does not fail on the systems we run on
	}
	return b
}

// ClusterID returns the id found or made by Connect.
func (s *Store) ClusterID() string { return s.clusterID }

// SetBrokerID sets the id to register under, before Start.
func (s *Store) SetBrokerID(id int32) { s.opts.BrokerID = id }

// Start registers the broker (waiting as long as its id is held by somebody else), takes part in
// the election and, if this broker is controller, has led the cluster once when it returns. Call
// it once, after Connect.
func (s *Store) Start(ctx context.Context, reg Registration, b Broker) error {
	s.reg, s.broker = reg, b
	s.machine = controller.New(controller.Options{
		Self: s.opts.BrokerID, DeleteTopics: s.opts.DeleteTopicEnable,
	})
	if err := s.loadBrokerConfig(ctx); err != nil {
		return err
	}
	if dynamic := s.effective(); len(dynamic) > 0 {
		b.BrokerConfigChanged(dynamic)
	}
	stop := context.AfterFunc(ctx, s.cancel)
	err := s.begin(s.ctx)
	if !stop() && err != nil {
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	s.done = make(chan struct{})
	go s.run()
	return nil
}

// Close hands in the registration: it stops the controller, closes the session and removes the
// session file. Without a connection the session ends by its timeout.
func (s *Store) Close(ctx context.Context) error {
	s.cancel()
	if s.done != nil {
		<-s.done
	}
	c := s.zk()
	if c == nil {
		return nil
	}
	err := c.Close(ctx)
	if err == nil {
		err = forgetSession(s.opts.SessionFile)
	}
	s.setStatus(Status{Closed, "closed"})
	if err != nil {
		return fmt.Errorf("closing the ZooKeeper session: %w", err)
	}
	return nil
}

// Image returns the current view of the cluster. Never nil.
func (s *Store) Image() *cluster.Image { return s.image.Load() }

// Await blocks until ok holds for the image, or ctx ends.
func (s *Store) Await(ctx context.Context, ok func(*cluster.Image) bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if ok(s.Image()) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.ctx.Done():
			return errors.New("the metadata store is closed")
		}
	}
}

// publish makes im the current view and wakes Await.
func (s *Store) publish(im *cluster.Image) {
	s.image.Store(im)
	s.mu.Lock()
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
}

// IsController reports whether this broker is the active controller.
func (s *Store) IsController() bool { return s.controlling.Load() }

// BrokerEpoch is the zxid of the current registration, -1 before it.
func (s *Store) BrokerEpoch() int64 { return s.brokerEpoch.Load() }

// Session returns the id of the present ZooKeeper session, 0 before Connect.
func (s *Store) Session() int64 {
	c := s.zk()
	if c == nil {
		return 0
	}
	id, _, _ := c.Session()
	return id
}

// TopicConfig returns the overrides of a topic; never nil, not to be changed.
func (s *Store) TopicConfig(topic string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.configs[topic]; c != nil {
		return c
	}
	return map[string]string{}
}

// BrokerConfig returns the dynamic configuration of this broker's own node and of the
// cluster-wide default node, as last read. The maps are the caller's.
func (s *Store) BrokerConfig() (own, defaults map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.own), maps.Clone(s.shared)
}

func (s *Store) zk() *client.Client { return s.current.Load() }

func (s *Store) setStatus(st Status) {
	s.mu.Lock()
	same := s.status == st
	s.status = st
	s.mu.Unlock()
	if !same && s.opts.OnStatus != nil {
		s.opts.OnStatus(st)
	}
}

// Status returns what was reported last.
func (s *Store) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

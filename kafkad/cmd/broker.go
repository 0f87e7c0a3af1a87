package cmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"zkafka/kafkad/admin"
	"zkafka/kafkad/cluster"
	"zkafka/kafkad/commitlog"
	"zkafka/kafkad/config"
	"zkafka/kafkad/coordinator"
	"zkafka/kafkad/group"
	"zkafka/kafkad/handler"
	"zkafka/kafkad/host"
	"zkafka/kafkad/metastore"
	"zkafka/kafkad/record"
	"zkafka/kafkad/server"
	"zkafka/systemd"
)

// broker is the parts of a running broker and the order in which they start and stop: locks of the
// log directories, ZooKeeper, logs, ports, groups, registration, clients. That is upstream's order,
// with the locks first, because they prove that a session left in ZooKeeper is a dead process's.
type broker struct {
	cfg    *config.Config
	log    *zap.Logger
	status func(text string)
	fatal  func(error)

	id     int32
	serves atomic.Bool // clients are answered
	store  *metastore.Store
	host   *host.Host
	server *server.Server
	groups *coordinator.Coordinator
	admin  *admin.Admin

	life    context.Context // ends when stop begins
	end     context.CancelFunc
	reports sync.WaitGroup // of failed log directories to the controller
}

func (b *broker) start(ctx context.Context) error {
	b.life, b.end = context.WithCancel(context.Background())
	dirs, err := b.lock(ctx)
	if err != nil {
		return err
	}
	if err := b.connect(ctx, dirs); err != nil {
		dirs.Abandon()
		return err
	}
	b.host, err = host.Open(ctx, dirs, host.Options{
		NodeID: b.id, ClusterID: b.store.ClusterID(), BrokerEpoch: b.store.BrokerEpoch,
		Config: b.cfg, TopicConfig: b.store.TopicConfig,
		Log: b.log, OnStatus: b.status, OnFatal: b.fatal, OnDirFailed: b.dirFailed,
	})
	if err != nil {
		return err
	}
	if err := b.listen(); err != nil {
		return err
	}
	b.startGroups()
	b.status("registering in ZooKeeper")
	if err := b.store.Start(ctx, b.registration(), b.host); err != nil {
		return err
	}
	b.server.Serve(b.handlers())
	b.startAdmin()
	return nil
}

// startAdmin serves the metrics. The broker does without when their port is taken.
func (b *broker) startAdmin() {
	if b.cfg.AdminAddress == "" {
		return
	}
	var err error
	b.admin, err = admin.Start(admin.Options{
		Address: b.cfg.AdminAddress, NodeID: b.id, Image: b.store.Image,
		IsController: b.store.IsController, Connections: b.server.Connections,
		Host: b.host, Groups: b.groups, Log: b.log,
	})
	if err != nil {
		b.log.Warn("there is no metrics page", zap.Error(err))
	}
}

// lockPatience is how long a start waits for the process that holds the log directories: one that
// was killed lets go only when the kernel has taken its memory apart.
const lockPatience = 10 * time.Second

func (b *broker) lock(ctx context.Context) (*host.DirSet, error) {
	b.status("locking the log directories")
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	patience, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	for {
		dirs, err := host.OpenDirs(b.cfg.LogDirs, nil, b.log)
		if !errors.Is(err, commitlog.ErrLocked) {
			return dirs, err
		}
		b.status("waiting for another process to let go of the log directories")
		select {
		case <-patience.Done():
			return nil, fmt.Errorf("%w: is another broker running?", err)
		case <-tick.C:
		}
	}
}

// connect waits for ZooKeeper and settles who this broker is.
func (b *broker) connect(ctx context.Context, dirs *host.DirSet) (err error) {
	cfg := b.cfg
	b.store, err = metastore.Open(metastore.Options{
		Connect:        cfg.ZooKeeperConnect(),
		SessionTimeout: cfg.ZooKeeperSessionTimeout, ConnectionTimeout: cfg.ZooKeeperConnectionTimeout,
		SessionFile: filepath.Join(cfg.LogDirs[0], sessionFile), MachineID: systemd.MachineID(),
		DeleteTopicEnable: cfg.DeleteTopics, UncleanLeaderElection: cfg.Topic.UncleanLeaderElection,
		Log: b.log, OnStatus: b.storeStatus,
	})
	if err != nil {
		return err
	}
	b.status("waiting for ZooKeeper at " + cfg.ZooKeeperConnect())
	if err := b.store.Connect(ctx); err != nil {
		return err
	}
	b.id = int32(cfg.BrokerID)
	if b.id < 0 {
		b.id = dirs.BrokerID()
	}
	if b.id < 0 {
		if b.id, err = b.store.GenerateBrokerID(ctx, int32(cfg.ReservedBrokerMaxID)); err != nil {
			return err
		}
	}
	b.store.SetBrokerID(b.id)
	return nil
}

// dirFailed tells the controller that replicas of this broker are gone, so that others lead. The
// controller's orders come back to the host, which waits for this call: hence the goroutine.
func (b *broker) dirFailed() {
	b.reports.Go(func() {
		if err := b.store.LogDirFailed(b.life); err != nil && b.life.Err() == nil {
			b.log.Error("the controller does not know of the failed log directory", zap.Error(err))
		}
	})
}

func (b *broker) storeStatus(s metastore.Status) {
	if s.Phase != metastore.Closed {
		b.status(s.Text)
	}
}

// listen binds the ports. Clients that connect wait until Serve.
func (b *broker) listen() (err error) {
	cfg := b.cfg
	options := server.Options{
		Log: b.log, MaxRequestBytes: cfg.SocketRequestMaxBytes, MaxIdle: cfg.ConnectionsMaxIdle,
		MaxConnections: cfg.MaxConnections, MaxPerIP: cfg.MaxConnectionsPerIP,
		MaxPerIPOf: cfg.MaxConnectionsPerIPOverrides,
		SendBuffer: cfg.SocketSendBufferBytes, ReceiveBuffer: cfg.SocketReceiveBufferBytes,
	}
	for _, l := range cfg.Listeners {
		options.Listeners = append(options.Listeners,
			server.Listener{Name: l.Name, Address: l.Address()})
	}
	b.server, err = server.Listen(options)
	return systemd.ListenFault(err, "listeners")
}

// registration is what clients and brokers learn about this one. A listener without a host is
// advertised under the machine's name, one on port 0 under the port it got.
func (b *broker) registration() metastore.Registration {
	reg := metastore.Registration{Rack: b.cfg.Rack, JMXPort: jmxPort()}
	for _, l := range b.cfg.AdvertisedListeners {
		if l.Host == "" {
			l.Host = machineName()
		}
		if bound := b.server.Addr(l.Name); l.Port == 0 && bound != nil {
			l.Port = bound.Port
		}
		protocol, _ := cluster.ParseProtocol(l.Protocol) // the configuration has checked it
		reg.Endpoints = append(reg.Endpoints, cluster.Endpoint{
			Listener: l.Name, Protocol: protocol, Host: l.Host, Port: int32(l.Port),
		})
	}
	return reg
}

func machineName() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

// jmxPort is the port of a JMX agent, which operators set in JMX_PORT and read in ZooKeeper.
func jmxPort() int32 {
	n, err := strconv.ParseInt(os.Getenv("JMX_PORT"), 10, 32)
	if err != nil {
		return -1
	}
	return int32(n)
}

func (b *broker) startGroups() {
	cfg := b.cfg
	b.groups = coordinator.New(coordinator.Options{
		Group: group.Config{
			MinSessionTimeoutMillis:     cfg.GroupMinSessionTimeout.Milliseconds(),
			MaxSessionTimeoutMillis:     cfg.GroupMaxSessionTimeout.Milliseconds(),
			MaxSize:                     cfg.GroupMaxSize,
			InitialRebalanceDelayMillis: cfg.GroupInitialRebalanceDelay.Milliseconds(),
			OffsetMetadataMaxBytes:      cfg.OffsetMetadataMaxBytes,
			OffsetsRetentionMillis:      cfg.OffsetsRetention.Milliseconds(),
			OffsetsCheckIntervalMillis:  cfg.OffsetsRetentionCheckInterval.Milliseconds(),
		},
		Partitions: func() int32 {
			if t := b.store.Image().Topic(cluster.OffsetsTopic); t != nil {
				return int32(len(t.Partitions))
			}
			return int32(cfg.OffsetsTopicPartitions)
		},
		Store: &coordinator.HostLog{
			Host: b.host, RequiredAcks: int16(cfg.OffsetsCommitRequiredAcks),
			CommitTimeout: cfg.OffsetsCommitTimeout, LoadBufferSize: cfg.OffsetsLoadBufferSize,
			Codec: record.Codec(cfg.OffsetsTopicCompressionCodec), Log: b.log,
		},
		Log: b.log,
	})
	b.host.OnLeadership(cluster.OffsetsTopic, b.groups.Follow)
	b.host.OnTopicsGone(b.groups.TopicsGone)
}

func (b *broker) handlers() *handler.Handlers {
	h := &handler.Handlers{
		NodeID: b.id, Host: b.host, Store: b.store,
		Meta: handler.MetaDeps{Config: b.cfg, Topics: b.store},
		Fetch: handler.FetchOptions{
			MaxBytes: b.cfg.FetchMaxBytes, SessionSlots: orNone(b.cfg.FetchSessionCacheSlots),
		},
		Log: b.log,
	}
	h.Groups = handler.GroupDeps{
		Coordinator: b.groups, CreateOffsetsTopic: h.CreateOffsetsTopic, OldOffsets: b.store,
	}
	return h
}

// orNone says "none" where zero means the default.
func orNone(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

// alive is the watchdog's question: do the loops that serve still turn?
func (b *broker) alive(ctx context.Context) error { return b.host.Alive(ctx) }

// stop ends the parts in the reverse order of their start: clients, groups, logs, registration. The
// registration goes last so that the controller never sees a broker that is gone but listed.
func (b *broker) stop(ctx context.Context) error {
	var errs []error
	if b.end != nil {
		b.end()
	}
	if b.admin != nil {
		errs = append(errs, b.admin.Close())
	}
	if b.server != nil {
		errs = append(errs, b.server.Close(ctx))
	}
	if b.groups != nil {
		b.groups.Close()
	}
	if b.host != nil {
		b.status("flushing the logs")
		errs = append(errs, b.host.Close())
	}
	b.reports.Wait() // the host is closed: there will be no more
	if b.store != nil {
		errs = append(errs, b.store.Close(ctx))
	}
	return errors.Join(errs...)
}

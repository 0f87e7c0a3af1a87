package metastore

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/znode"
	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// Connect blocks until ZooKeeper answers, creates the chroot and the initial znodes, gets or
// creates the cluster id, ends the session of a killed process, and loads dynamic configurations.
// It retries for ever; the only errors are ctx's and those that waiting cannot cure. Call it once,
// before logs are opened, and holding the lock of the log dir that SessionFile lies in.
func (s *Store) Connect(ctx context.Context) error {
	for {
		err := s.newSession(ctx)
		if err != nil {
			return err
		}
		err = s.prepare(ctx)
		switch {
		case errors.Is(err, client.ErrConnectionLoss):
		case errors.Is(err, client.ErrSessionExpired):
		default:
			return err
		}
		s.zk().Abandon()
	}
}

// prepare makes the tree as a broker needs it and reads what it needs before registration.
func (s *Store) prepare(ctx context.Context) error {
	if s.chroot != "" {
		if err := s.zk().EnsureChroot(ctx); err != nil {
			return fmt.Errorf("creating the chroot %s: %w", s.chroot, err)
		}
	}
	if err := s.ensurePaths(ctx); err != nil {
		return err
	}
	id, err := s.ensureClusterID(ctx)
	if err != nil {
		return err
	}
	s.clusterID = id
	s.image.Store(cluster.NewImage(id))
	s.reclaim(ctx)
	return s.loadTopicConfigs(ctx)
}

func (s *Store) clientOptions() client.Options {
	return client.Options{
		Servers: s.servers, Chroot: s.chroot,
		SessionTimeout: s.opts.SessionTimeout, Log: s.log, OnState: s.onState,
	}
}

// newSession opens a session and waits until it stands, for ever if need be.
func (s *Store) newSession(ctx context.Context) error {
	s.waiting()
	for {
		c, err := client.Dial(context.Background(), s.clientOptions())
		if err != nil {
			return fmt.Errorf("connecting to ZooKeeper: %w", err)
		}
		s.current.Store(c)
		err = s.awaitConnection(ctx, c)
		if err == nil {
			id, _, timeout := c.Session()
			s.log.Info("connected to ZooKeeper", zap.String("server", c.Server()),
				zap.String("SESSION", sessionText(id)), zap.Duration("timeout", timeout))
			return nil
		}
		c.Abandon()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !errors.Is(err, client.ErrSessionExpired) {
			return fmt.Errorf("connecting to ZooKeeper: %w", err)
		}
	}
}

// onState runs in the client's goroutine.
func (s *Store) onState(st client.State) {
	switch st {
	case client.StateDisconnected:
		s.waiting()
		s.dirty.mark(func(d *marks) { d.link = true })
	case client.StateConnected:
		s.dirty.mark(func(d *marks) { d.link = true })
	case client.StateExpired:
		s.dirty.mark(func(d *marks) { d.expired = true })
	}
}

func (s *Store) waiting() {
	text := "waiting for ZooKeeper at " + strings.Join(s.servers, ",")
	if c := s.zk(); c != nil {
		if err := c.Trouble(); err != nil {
			text += ": " + err.Error()
		}
	}
	s.setStatus(Status{WaitingForZooKeeper, text})
}

// awaitConnection waits for ever and keeps the status up to date with what stands in the way.
func (s *Store) awaitConnection(ctx context.Context, c *client.Client) error {
	for {
		turn, cancel := context.WithTimeout(ctx, time.Second)
		err := c.Wait(turn)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return err
		}
		s.waiting()
	}
}

// pipeline performs ops and repeats those whose fate a lost connection left open, for ever. A
// repeated create may therefore find its own node. The error is ctx's, or the session's end.
func (s *Store) pipeline(ctx context.Context, ops []client.Op) ([]client.OpResult, error) {
	results := make([]client.OpResult, len(ops))
	todo := make([]int, len(ops))
	for i := range todo {
		todo[i] = i
	}
	for {
		batch := make([]client.Op, len(todo))
		for i, at := range todo {
			batch[i] = ops[at]
		}
		var again []int
		for i, r := range s.zk().Pipeline(ctx, batch...) {
			results[todo[i]] = r
			switch {
			case r.Err == nil:
			case ctx.Err() != nil:
				return nil, ctx.Err()
			case errors.Is(r.Err, client.ErrConnectionLoss):
				again = append(again, todo[i])
			case errors.Is(r.Err, client.ErrSessionExpired), errors.Is(r.Err, client.ErrClosed),
				errors.Is(r.Err, client.ErrAuthFailed):
				return nil, r.Err
			}
		}
		if len(again) == 0 {
			return results, nil
		}
		todo = again
		if err := s.zk().Wait(ctx); err != nil {
			return nil, err
		}
	}
}

// one is pipeline for a single op; the op's own error is in the result.
func (s *Store) one(ctx context.Context, op client.Op) (client.OpResult, error) {
	rs, err := s.pipeline(ctx, []client.Op{op})
	if err != nil {
		return client.OpResult{}, err
	}
	return rs[0], nil
}

func create(path string, data []byte) client.Op {
	return client.CreateOp(path, data, proto.OpenACL(), proto.ModePersistent)
}

// ensurePaths creates the initial nodes that are missing. It asks first: a restart then writes
// nothing into ZooKeeper's log.
func (s *Store) ensurePaths(ctx context.Context) error {
	ask := make([]client.Op, len(znode.InitialPaths))
	for i, p := range znode.InitialPaths {
		ask[i] = client.ExistsOp(p)
	}
	found, err := s.pipeline(ctx, ask)
	if err != nil {
		return err
	}
	var make []client.Op
	var paths []string
	for i, r := range found {
		switch {
		case errors.Is(r.Err, proto.ErrNoNode):
			path := znode.InitialPaths[i]
			make, paths = append(make, create(path, nil)), append(paths, path)
		case r.Err != nil:
			return fmt.Errorf("looking for %s: %w", znode.InitialPaths[i], r.Err)
		}
	}
	created, err := s.pipeline(ctx, make)
	if err != nil {
		return err
	}
	for i, r := range created {
		if r.Err != nil && !errors.Is(r.Err, proto.ErrNodeExists) {
			return fmt.Errorf("creating %s: %w", paths[i], r.Err)
		}
	}
	return nil
}

// ensureClusterID reads /cluster/id, or creates it with a new id.
func (s *Store) ensureClusterID(ctx context.Context) (string, error) {
	for {
		r, err := s.one(ctx, client.GetOp(znode.PathClusterID))
		if err != nil {
			return "", err
		}
		if r.Err == nil {
			return znode.DecodeClusterID(r.Data)
		}
		if !errors.Is(r.Err, proto.ErrNoNode) {
			return "", fmt.Errorf("reading /cluster/id: %w", r.Err)
		}
		random := s.opts.Random()
		id := base64.RawURLEncoding.EncodeToString(random[:])
		rs, err := s.pipeline(ctx, []client.Op{
			create("/cluster", nil), create(znode.PathClusterID, znode.EncodeClusterID(id)),
		})
		if err != nil {
			return "", err
		}
		if e := rs[1].Err; e != nil && !errors.Is(e, proto.ErrNodeExists) {
			return "", fmt.Errorf("creating /cluster/id: %w", e)
		}
	}
}

// GenerateBrokerID draws the next id above reservedMax from /brokers/seqid.
func (s *Store) GenerateBrokerID(ctx context.Context, reservedMax int32) (int32, error) {
	r, err := s.one(ctx, client.SetOp(znode.PathSeqID, nil, proto.AnyVersion))
	if err == nil {
		err = r.Err
	}
	if err != nil {
		return 0, fmt.Errorf("generating a broker id: %w", err)
	}
	return r.Stat.Version + reservedMax, nil
}

// dirty collects what watches and callers want the loop to look at. Marks merge, so it is bounded
// by the number of topics and brokers, and marking never blocks.
type dirty struct {
	wake chan struct{}
	mu   sync.Mutex
	m    marks
}

// marks say what may have changed.
type marks struct {
	expired    bool // the session is gone
	link       bool // the connection came or went
	controller bool
	brokers    bool
	topics     bool
	deletions  bool
	isr        bool
	logDirs    bool
	preferred  bool
	reassign   bool
	changes    bool // /config/changes
	retry      bool // a step failed: reconsider everything
	topicData  map[string]bool
}

func (d *dirty) init() {
	d.wake = make(chan struct{}, 1)
}

func (d *dirty) mark(set func(*marks)) {
	d.mu.Lock()
	set(&d.m)
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (d *dirty) take() marks {
	d.mu.Lock()
	m := d.m
	d.m = marks{}
	d.mu.Unlock()
	return m
}

func (m *marks) topic(name string) {
	if m.topicData == nil {
		m.topicData = map[string]bool{}
	}
	m.topicData[name] = true
}

func sorted(set map[string]bool) []string {
	names := make([]string, 0, len(set))
	for n := range set {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// pause waits d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

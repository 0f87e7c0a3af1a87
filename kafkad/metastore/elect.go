package metastore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/controller"
	"zkafka/kafkad/znode"
	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// contend looks at /controller, with a watch, and tries to become controller if nobody is.
func (s *Store) contend(ctx context.Context) error {
	for {
		rs, err := s.pipeline(ctx, []client.Op{
			client.ExistsOp(znode.PathController).Watched(func(client.Event) {
				s.dirty.mark(func(m *marks) { m.controller = true })
			}),
			client.GetOp(znode.PathController),
		})
		if err != nil {
			return err
		}
		session, _, _ := s.zk().Session()
		r := rs[1]
		switch {
		case errors.Is(r.Err, proto.ErrNoNode):
			s.stepDown("the /controller node is gone")
			won, err := s.elect(ctx)
			if err != nil || won {
				return err
			}
			continue
		case r.Err != nil:
			return fmt.Errorf("reading /controller: %w", r.Err)
		case r.Stat.EphemeralOwner != session:
			return s.follow(r.Data)
		case s.machine.Active():
			return nil
		}
		// Ours, but the term broke off by a fault: hand it in and start over.
		d, err := s.one(ctx, client.DeleteOp(znode.PathController, proto.AnyVersion))
		if err != nil {
			return err
		}
		if d.Err != nil && !errors.Is(d.Err, proto.ErrNoNode) {
			return fmt.Errorf("handing in /controller: %w", d.Err)
		}
	}
}

// follow takes note that another broker is controller.
func (s *Store) follow(data []byte) error {
	id, err := znode.DecodeController(data)
	if err != nil {
		return err
	}
	s.stepDown("another broker was elected")
	s.publish(s.Image().WithController(id))
	if id != s.opts.BrokerID {
		s.log.Error("another broker is controller; this version of kafkad has no connections "+
			"between brokers and must be the only broker of its cluster: it serves no partition "+
			"until that broker is gone", zap.Int32("controller", id))
	}
	s.registeredStatus()
	return nil
}

func (s *Store) registeredStatus() {
	im := s.Image()
	text := fmt.Sprintf("registered as broker %d; controller is broker %d", s.opts.BrokerID,
		im.ControllerID)
	phase := Registered
	switch im.ControllerID {
	case s.opts.BrokerID:
		text = fmt.Sprintf("registered as broker %d, controller of cluster %s", s.opts.BrokerID,
			s.clusterID)
	case cluster.NoController:
		text = fmt.Sprintf("registered as broker %d; no controller", s.opts.BrokerID)
	default:
		phase = Stranded
		text += ", which this version cannot follow: it must be the only broker"
	}
	s.setStatus(Status{phase, text})
}

// stepDown ends a term in memory.
func (s *Store) stepDown(reason string) {
	if s.machine.Active() {
		s.log.Warn("no longer controller", zap.String("reason", reason))
		s.machine.Step(controller.Resigned{})
	}
	s.controlling.Store(false)
	if s.Image().ControllerID != cluster.NoController {
		s.publish(s.Image().WithController(cluster.NoController))
	}
}

// elect tries once. It reports false if somebody else was faster.
func (s *Store) elect(ctx context.Context) (bool, error) {
	epoch, version, err := s.readEpoch(ctx)
	if err != nil {
		return false, err
	}
	next := epoch + 1
	data := znode.EncodeController(s.opts.BrokerID, s.now().UnixMilli())
	r, err := s.one(ctx, client.MultiOp(
		client.CreateOp(znode.PathController, data, proto.OpenACL(), proto.ModeEphemeral),
		client.SetOp(znode.PathEpoch, []byte(strconv.Itoa(int(next))), version),
	))
	switch {
	case err != nil:
		return false, err
	case r.Err == nil:
		s.epochVersion = r.Multi[1].Stat.Version
	case errors.Is(r.Err, proto.ErrNodeExists), errors.Is(r.Err, proto.ErrBadVersion):
		// Lost, or won by a request whose answer a broken connection swallowed.
		won, err := s.wonAfterAll(ctx, next)
		if err != nil || !won {
			return false, err
		}
	default:
		return false, fmt.Errorf("electing a controller: %w", r.Err)
	}
	s.log.Info("elected controller", zap.Int32("epoch", next))
	return true, s.takeOver(ctx, next)
}

func (s *Store) wonAfterAll(ctx context.Context, epoch int32) (bool, error) {
	r, err := s.one(ctx, client.GetOp(znode.PathController))
	if err != nil {
		return false, err
	}
	session, _, _ := s.zk().Session()
	ours := r.Err == nil && r.Stat.EphemeralOwner == session
	if !ours {
		return false, nil
	}
	now, version, err := s.readEpoch(ctx)
	if err != nil || now != epoch {
		return false, err
	}
	s.epochVersion = version
	return true, nil
}

// readEpoch reads /controller_epoch, creating it with 0 if nobody was controller yet.
func (s *Store) readEpoch(ctx context.Context) (epoch, version int32, err error) {
	for {
		r, err := s.one(ctx, client.GetOp(znode.PathEpoch))
		if err != nil {
			return 0, 0, err
		}
		if r.Err == nil {
			n, err := strconv.ParseInt(string(r.Data), 10, 32)
			if err != nil {
				return 0, 0, fmt.Errorf("reading /controller_epoch: %w", err)
			}
			return int32(n), r.Stat.Version, nil
		}
		if !errors.Is(r.Err, proto.ErrNoNode) {
			return 0, 0, fmt.Errorf("reading /controller_epoch: %w", r.Err)
		}
		c, err := s.one(ctx, create(znode.PathEpoch, []byte("0")))
		if err != nil {
			return 0, 0, err
		}
		if c.Err != nil && !errors.Is(c.Err, proto.ErrNodeExists) {
			return 0, 0, fmt.Errorf("creating /controller_epoch: %w", c.Err)
		}
	}
}

// takeOver reads the whole context under watches and starts the machine's term.
func (s *Store) takeOver(ctx context.Context, epoch int32) error {
	began := time.Now()
	if err := s.ensureFeature(ctx); err != nil {
		return err
	}
	for _, dir := range []string{znode.PathLogDirEvent, znode.PathISRChange} {
		if _, err := s.takeNotifications(ctx, dir); err != nil {
			return err
		}
	}
	start, err := s.readContext(ctx, epoch)
	if err != nil {
		return err
	}
	s.controlling.Store(true)
	if err := s.step(ctx, start); err != nil {
		return err
	}
	if !s.machine.Active() {
		return nil // resigned meanwhile; the watch on /controller leads on
	}
	s.registeredStatus()
	s.log.Info("controlling the cluster", zap.Int32("epoch", epoch),
		zap.Int("brokers", len(start.Brokers)), zap.Int("topics", len(start.Topics)),
		zap.Int("partitions", len(start.States)), zap.Duration("took", time.Since(began)))
	s.dirty.mark(func(m *marks) { m.preferred, m.reassign = true, true })
	return nil
}

func (s *Store) ensureFeature(ctx context.Context) error {
	r, err := s.one(ctx, client.ExistsOp(znode.PathFeature))
	if err == nil && errors.Is(r.Err, proto.ErrNoNode) {
		r, err = s.one(ctx, create(znode.PathFeature, znode.Feature))
	}
	if err != nil {
		return err
	}
	if r.Err != nil && !errors.Is(r.Err, proto.ErrNodeExists) {
		return fmt.Errorf("creating /feature: %w", r.Err)
	}
	return nil
}

// takeNotifications watches a directory of sequential nodes, reads and deletes those there are,
// and returns their data.
func (s *Store) takeNotifications(ctx context.Context, dir string) ([][]byte, error) {
	list, err := s.one(ctx, client.ChildrenOp(dir).Watched(func(client.Event) {
		s.dirty.mark(func(m *marks) {
			m.isr = m.isr || dir == znode.PathISRChange
			m.logDirs = m.logDirs || dir == znode.PathLogDirEvent
		})
	}))
	if err == nil {
		err = list.Err
	}
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", dir, err)
	}
	var gets, deletes []client.Op
	for _, name := range list.Children {
		gets = append(gets, client.GetOp(dir+"/"+name))
		deletes = append(deletes, s.fenced(client.DeleteOp(dir+"/"+name, proto.AnyVersion)))
	}
	found, err := s.pipeline(ctx, gets)
	if err != nil {
		return nil, err
	}
	if _, err := s.pipeline(ctx, deletes); err != nil {
		return nil, err
	}
	var data [][]byte
	for _, r := range found {
		if r.Err == nil {
			data = append(data, r.Data)
		}
	}
	return data, nil
}

// readContext reads brokers, topics, states and marks in three round trips.
func (s *Store) readContext(ctx context.Context, epoch int32) (controller.Start, error) {
	start := controller.Start{Epoch: epoch}
	var err error
	if start.Brokers, err = s.readBrokers(ctx, true); err != nil {
		return start, err
	}
	names, err := s.listTopics(ctx)
	if err != nil {
		return start, err
	}
	if start.Topics, err = s.readTopics(ctx, names, false); err != nil {
		return start, err
	}
	if start.Deletions, err = s.listDeletions(ctx); err != nil {
		return start, err
	}
	var tps []controller.TP
	for _, t := range start.Topics {
		if t.ID.IsZero() {
			start.NewIDs = append(start.NewIDs, s.newTopicID())
		}
		for _, a := range t.Assignments {
			tps = append(tps, controller.TP{Topic: t.Name, Index: a.Index})
		}
	}
	start.States, err = s.readStates(ctx, tps)
	return start, err
}

func (s *Store) newTopicID() cluster.TopicID {
	for {
		if id, ok := cluster.NewTopicID(s.opts.Random()); ok {
			return id
		}
	}
}

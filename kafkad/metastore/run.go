package metastore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"zkafka/kafkad/controller"
	"zkafka/kafkad/znode"
	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// retryPause is how long the loop rests after a step that failed for another reason than the end
// of the session.
const retryPause = time.Second

// run is the loop: one event after the other until Close.
func (s *Store) run() {
	defer close(s.done)
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.dirty.wake:
		}
		if err := s.handle(s.ctx, s.dirty.take()); err != nil {
			s.mend(s.ctx, err)
		}
	}
}

// mend brings the store back after err: with a new session if the old one is gone, else by
// looking at everything again after a pause.
func (s *Store) mend(ctx context.Context, err error) {
	for err != nil && ctx.Err() == nil {
		s.stepDown("fault: " + err.Error())
		if !errors.Is(err, client.ErrSessionExpired) {
			s.log.Error("a step of the metadata store failed; trying again", zap.Error(err))
			if pause(ctx, retryPause) == nil {
				s.dirty.mark(func(m *marks) { m.retry = true })
			}
			return
		}
		err = s.renew(ctx)
	}
}

// renew replaces an expired session: new registration, then election, as at the start.
func (s *Store) renew(ctx context.Context) error {
	old := s.zk()
	s.former, _, _ = old.Session()
	s.log.Warn("the ZooKeeper session expired; registering again",
		zap.String("SESSION", sessionText(s.former)))
	s.registered = false
	old.Abandon()
	if err := s.newSession(ctx); err != nil {
		return err
	}
	return s.begin(ctx)
}

// begin registers and enters the election; it starts over as often as the session ends.
func (s *Store) begin(ctx context.Context) error {
	for {
		err := s.enter(ctx)
		if !errors.Is(err, client.ErrSessionExpired) || ctx.Err() != nil {
			return err
		}
		s.stepDown("the session expired")
		s.former, _, _ = s.zk().Session()
		s.zk().Abandon()
		if err := s.newSession(ctx); err != nil {
			return err
		}
	}
}

func (s *Store) enter(ctx context.Context) error {
	if err := s.register(ctx); err != nil {
		return err
	}
	s.registered = true
	s.registeredStatus()
	if err := s.configChanges(ctx); err != nil {
		return err
	}
	return s.contend(ctx)
}

// handle looks at what m names.
func (s *Store) handle(ctx context.Context, m marks) error {
	if m.expired {
		// The mark may be about a session that was replaced meanwhile.
		if s.zk().State() == client.StateExpired {
			return client.ErrSessionExpired
		}
	}
	if m.retry {
		if !s.registered {
			return s.begin(ctx)
		}
		m.controller, m.changes = true, true
	}
	if m.link && s.registered && s.zk().State().Up() {
		s.registeredStatus()
	}
	if m.changes {
		if err := s.configChanges(ctx); err != nil {
			return err
		}
	}
	if m.controller {
		if err := s.contend(ctx); err != nil {
			return err
		}
	}
	if !s.machine.Active() {
		return nil
	}
	return s.handleAsController(ctx, m)
}

func (s *Store) handleAsController(ctx context.Context, m marks) error {
	for _, part := range []struct {
		marked bool
		f      func(context.Context) error
	}{
		{m.brokers, s.brokersChanged},
		{m.topics, s.topicsChanged},
		{len(m.topicData) > 0, func(ctx context.Context) error {
			return s.topicDataChanged(ctx, sorted(m.topicData))
		}},
		{m.deletions, s.deletionsChanged},
		{m.isr, s.isrChanged},
		{m.logDirs, s.logDirsFailed},
		{m.preferred, s.preferred},
		{m.reassign, s.reassign},
	} {
		if !part.marked || !s.machine.Active() {
			continue
		}
		if err := part.f(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) brokersChanged(ctx context.Context) error {
	brokers, err := s.readBrokers(ctx, true)
	if err != nil {
		return err
	}
	return s.step(ctx, controller.BrokersChanged{Brokers: brokers})
}

func (s *Store) topicsChanged(ctx context.Context) error {
	names, err := s.listTopics(ctx)
	if err != nil {
		return err
	}
	var unknown []string
	for _, n := range names {
		if !s.machine.Knows(n) {
			unknown = append(unknown, n)
		}
	}
	in := controller.TopicsChanged{Names: names}
	if in.New, err = s.readTopics(ctx, unknown, true); err != nil {
		return err
	}
	for _, t := range in.New {
		if t.ID.IsZero() {
			in.NewIDs = append(in.NewIDs, s.newTopicID())
		}
	}
	return s.step(ctx, in)
}

func (s *Store) topicDataChanged(ctx context.Context, names []string) error {
	nodes, err := s.readTopics(ctx, names, false)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if err := s.step(ctx, controller.TopicChanged{Node: n}); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) deletionsChanged(ctx context.Context) error {
	names, err := s.listDeletions(ctx)
	if err != nil {
		return err
	}
	return s.step(ctx, controller.DeletionsChanged{Names: names})
}

func (s *Store) isrChanged(ctx context.Context) error {
	data, err := s.takeNotifications(ctx, znode.PathISRChange)
	if err != nil {
		return err
	}
	var tps []controller.TP
	for _, d := range data {
		list, err := znode.DecodePartitionList(d)
		if err != nil {
			s.log.Warn("ignoring an ISR change", zap.Error(err))
		}
		tps = append(tps, list...)
	}
	states, err := s.readStates(ctx, tps)
	if err != nil {
		return err
	}
	return s.step(ctx, controller.ISRChanged{States: states})
}

func (s *Store) logDirsFailed(ctx context.Context) error {
	data, err := s.takeNotifications(ctx, znode.PathLogDirEvent)
	if err != nil {
		return err
	}
	for _, d := range data {
		id, err := znode.DecodeLogDirEvent(d)
		if err != nil {
			s.log.Warn("ignoring a log dir event", zap.Error(err))
			continue
		}
		if err := s.step(ctx, controller.LogDirFailed{Broker: id}); err != nil {
			return err
		}
	}
	return nil
}

// preferred carries out /admin/preferred_replica_election and deletes it, so that the tool that
// made it can be run again.
func (s *Store) preferred(ctx context.Context) error {
	r, err := s.adminNode(ctx, znode.PathPreferred, func(m *marks) { m.preferred = true })
	if err != nil || r == nil {
		return err
	}
	tps, err := znode.DecodePartitionList(r)
	if err != nil {
		s.log.Warn("ignoring a preferred replica election", zap.Error(err))
	}
	if err := s.step(ctx, controller.ElectPreferred{Partitions: tps}); err != nil {
		return err
	}
	d, err := s.one(ctx, s.fenced(client.DeleteOp(znode.PathPreferred, proto.AnyVersion)))
	if err != nil {
		return err
	}
	if d.Err != nil && !errors.Is(d.Err, proto.ErrNoNode) {
		return fmt.Errorf("deleting %s: %w", znode.PathPreferred, d.Err)
	}
	return nil
}

// reassign leaves the request alone: moving replicas needs connections between brokers.
func (s *Store) reassign(ctx context.Context) error {
	r, err := s.adminNode(ctx, znode.PathReassign, func(m *marks) { m.reassign = true })
	if err != nil || r == nil {
		return err
	}
	s.log.Warn("a partition reassignment is requested in " + znode.PathReassign +
		"; this version cannot move replicas and leaves the request alone: " +
		"delete the node to cancel")
	return nil
}

// adminNode returns the data of a node that tools create, nil if it is not there, and watches it.
func (s *Store) adminNode(
	ctx context.Context, path string, mark func(*marks),
) ([]byte, error) {
	rs, err := s.pipeline(ctx, []client.Op{
		client.ExistsOp(path).Watched(func(client.Event) { s.dirty.mark(mark) }),
		client.GetOp(path),
	})
	if err != nil {
		return nil, err
	}
	switch {
	case errors.Is(rs[1].Err, proto.ErrNoNode):
		return nil, nil
	case rs[1].Err != nil:
		return nil, fmt.Errorf("reading %s: %w", path, rs[1].Err)
	}
	if rs[1].Data == nil {
		return []byte{}, nil
	}
	return rs[1].Data, nil
}

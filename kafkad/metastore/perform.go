package metastore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/controller"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/znode"
	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// step gives in to the machine, performs its effects, and goes on until nothing follows from them.
// The error is the session's end or a fault of ZooKeeper; the term must then end (stepDown).
func (s *Store) step(ctx context.Context, in controller.Input) error {
	queue := []controller.Input{in}
	for len(queue) > 0 {
		next := queue[0]
		queue = queue[1:]
		for _, e := range s.machine.Step(next) {
			answer, first, err := s.perform(ctx, e)
			switch {
			case err != nil:
				return err
			case answer == nil:
			case first: // the machine takes nothing else before it
				queue = slices.Insert(queue, 0, answer)
			default:
				queue = append(queue, answer)
			}
		}
	}
	return nil
}

// perform does one effect and returns the input that answers it, if any; first says that the
// machine waits for it.
func (s *Store) perform(
	ctx context.Context, e controller.Effect,
) (answer controller.Input, first bool, err error) {
	switch e := e.(type) {
	case controller.Writes:
		results, err := s.writeAll(ctx, e.Writes)
		return controller.Written{Results: results}, true, err
	case controller.ReadStates:
		states, err := s.readStates(ctx, e.Partitions)
		return controller.States{States: states}, true, err
	case controller.SendLeaderAndIsr:
		if !s.local(e.Broker, "LeaderAndIsr") {
			return nil, false, nil
		}
		return controller.LeaderAndIsrDone{
			Broker: e.Broker, Result: s.broker.LeaderAndIsr(e.Req),
		}, false, nil
	case controller.SendStopReplica:
		result := cluster.StopReplicaResult{Err: errcode.BrokerNotAvailable}
		if s.local(e.Broker, "StopReplica") {
			result = s.broker.StopReplica(e.Req)
		}
		return controller.StopReplicaDone{Broker: e.Broker, Request: e.Req, Result: result},
			false, nil
	case controller.SendUpdateMetadata:
		if s.local(e.Broker, "UpdateMetadata") {
			im, gone := s.Image().Apply(e.Req)
			s.publish(im)
			s.dropTopicConfigs(gone)
			s.broker.UpdateMetadata(e.Req, gone)
		}
	case controller.Resign:
		s.log.Warn("resigned as controller", zap.String("reason", e.Reason))
		s.stepDown(e.Reason)
		s.dirty.mark(func(m *marks) { m.controller = true })
	case controller.Note:
		fields := []zap.Field{}
		if e.Topic != "" {
			fields = append(fields, zap.String("TOPIC", e.Topic))
		}
		s.log.Info(e.Text, fields...)
	}
	return nil, false, nil
}

// local reports whether the request is for this broker. There are no connections to other
// brokers in this version: what is meant for them is dropped, which is said once per broker.
func (s *Store) local(broker int32, request string) bool {
	if broker == s.opts.BrokerID {
		return true
	}
	if !s.mute[broker] {
		s.mute[broker] = true
		s.log.Error("another broker is registered; this version of kafkad has no connections "+
			"between brokers and cannot direct it: it must be the only broker of its cluster",
			zap.Int32("broker", broker), zap.String("dropped", request))
	}
	return false
}

// fenced makes op fail unless we are still controller.
func (s *Store) fenced(op client.Op) client.Op {
	return client.MultiOp(client.CheckOp(znode.PathEpoch, s.epochVersion), op)
}

// fencedOutcome reads the result of a fenced op.
func fencedOutcome(r client.OpResult) (controller.Outcome, client.OpResult, error) {
	if len(r.Multi) != 2 {
		if r.Err == nil {
			r.Err = errors.New("a multi was answered without results")
		}
		return controller.OK, r, r.Err
	}
	op := r.Multi[1]
	switch {
	case r.Err == nil:
		return controller.OK, op, nil
	case errors.Is(r.Multi[0].Err, proto.ErrBadVersion), errors.Is(r.Multi[0].Err, proto.ErrNoNode):
		return controller.Fenced, op, nil
	case errors.Is(op.Err, proto.ErrNodeExists):
		return controller.Exists, op, nil
	case errors.Is(op.Err, proto.ErrNoNode):
		return controller.NoNode, op, nil
	case errors.Is(op.Err, proto.ErrBadVersion):
		return controller.BadVersion, op, nil
	}
	return controller.OK, op, r.Err
}

// writeAll performs the machine's writes as one pipeline, one fenced multi each, as Kafka does.
func (s *Store) writeAll(
	ctx context.Context, ws []controller.Write,
) ([]controller.WriteResult, error) {
	var ops []client.Op
	var of []int // the write an op belongs to
	for i, w := range ws {
		if w.Op != controller.DeleteTopic {
			ops, of = append(ops, s.fenced(writeOp(w))), append(of, i)
			continue
		}
		paths, err := s.subtree(ctx, znode.PathTopic(w.Topic))
		if err != nil {
			return nil, err
		}
		for _, p := range slices.Backward(paths) {
			ops, of = append(ops, s.fenced(client.DeleteOp(p, proto.AnyVersion))), append(of, i)
		}
	}
	answers, err := s.pipeline(ctx, ops)
	if err != nil {
		return nil, err
	}
	results := make([]controller.WriteResult, len(ws))
	for n, a := range answers {
		w := ws[of[n]]
		outcome, op, err := fencedOutcome(a)
		if err != nil {
			return nil, fmt.Errorf("writing znodes of topic %s: %w", w.Topic, err)
		}
		if outcome == controller.Fenced || w.Op <= controller.SetState {
			results[of[n]] = controller.WriteResult{Outcome: outcome, Version: op.Stat.Version}
		}
	}
	return results, nil
}

func (s *Store) subtree(ctx context.Context, path string) ([]string, error) {
	for {
		paths, err := s.zk().Subtree(ctx, path)
		switch {
		case err == nil:
			return paths, nil
		case errors.Is(err, proto.ErrNoNode):
			return nil, nil
		case !errors.Is(err, client.ErrConnectionLoss):
			return nil, fmt.Errorf("listing what is below %s: %w", path, err)
		}
		if err := s.zk().Wait(ctx); err != nil {
			return nil, err
		}
	}
}

func writeOp(w controller.Write) client.Op {
	switch w.Op {
	case controller.CreateParent:
		return create(znode.PathPartitions(w.Topic), nil)
	case controller.CreatePartition:
		return create(znode.PathPartition(w.Topic, w.Index), nil)
	case controller.CreateState:
		return create(znode.PathState(w.Topic, w.Index), znode.EncodeState(w.State))
	case controller.SetState:
		return client.SetOp(znode.PathState(w.Topic, w.Index), znode.EncodeState(w.State),
			w.State.Version)
	case controller.SetTopic:
		return client.SetOp(znode.PathTopic(w.Topic), znode.EncodeTopic(w.Node), proto.AnyVersion)
	case controller.DeleteConfig:
		return client.DeleteOp(znode.PathTopicConfig(w.Topic), proto.AnyVersion)
	case controller.DeleteMark:
		return client.DeleteOp(znode.PathDeleteTopic(w.Topic), proto.AnyVersion)
	}
	panic(fmt.Sprintf("metastore: no znode for write %d", w.Op))
}

func (s *Store) readStates(
	ctx context.Context, tps []controller.TP,
) ([]controller.StateNode, error) {
	gets := make([]client.Op, len(tps))
	for i, tp := range tps {
		gets[i] = client.GetOp(znode.PathState(tp.Topic, tp.Index))
	}
	found, err := s.pipeline(ctx, gets)
	if err != nil {
		return nil, err
	}
	nodes := make([]controller.StateNode, len(tps))
	for i, r := range found {
		nodes[i].TP = tps[i]
		if errors.Is(r.Err, proto.ErrNoNode) {
			continue
		}
		err := r.Err
		if err == nil {
			nodes[i].State, err = znode.DecodeState(r.Data, r.Stat.Version)
		}
		if err != nil {
			tp := tps[i]
			return nil, fmt.Errorf("reading the state of %s-%d: %w", tp.Topic, tp.Index, err)
		}
	}
	return nodes, nil
}

// listTopics returns all topics and watches for new ones.
func (s *Store) listTopics(ctx context.Context) ([]string, error) {
	return s.list(ctx, znode.PathTopics, func(m *marks) { m.topics = true })
}

// listDeletions returns the topics marked for deletion and watches for more.
func (s *Store) listDeletions(ctx context.Context) ([]string, error) {
	return s.list(ctx, znode.PathDeleteTopics, func(m *marks) { m.deletions = true })
}

func (s *Store) list(ctx context.Context, path string, mark func(*marks)) ([]string, error) {
	r, err := s.one(ctx, client.ChildrenOp(path).Watched(func(client.Event) {
		s.dirty.mark(mark)
	}))
	if err == nil {
		err = r.Err
	}
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", path, err)
	}
	return r.Children, nil
}

// readTopics reads topic nodes, with a data watch on each, and, with configs, the overrides of
// each, which tools write before the topic's node and without a notification. Topics that are
// gone or cannot be read are left out.
func (s *Store) readTopics(
	ctx context.Context, names []string, configs bool,
) ([]controller.TopicNode, error) {
	ops := make([]client.Op, 0, 2*len(names))
	for _, name := range names {
		ops = append(ops, client.GetOp(znode.PathTopic(name)).Watched(func(client.Event) {
			s.dirty.mark(func(m *marks) { m.topic(name) })
		}))
	}
	if configs {
		for _, name := range names {
			ops = append(ops, client.GetOp(znode.PathTopicConfig(name)))
		}
	}
	found, err := s.pipeline(ctx, ops)
	if err != nil {
		return nil, err
	}
	if configs {
		s.takeTopicConfigs(names, found[len(names):])
	}
	var nodes []controller.TopicNode
	for i, r := range found[:len(names)] {
		if errors.Is(r.Err, proto.ErrNoNode) {
			continue
		}
		if r.Err != nil {
			return nil, fmt.Errorf("reading topic %s: %w", names[i], r.Err)
		}
		n, err := znode.DecodeTopic(names[i], r.Data)
		if err != nil {
			s.log.Error("ignoring a topic", zap.String("TOPIC", names[i]), zap.Error(err))
			continue
		}
		n.Unclean = s.unclean(names[i])
		nodes = append(nodes, n)
	}
	return nodes, nil
}

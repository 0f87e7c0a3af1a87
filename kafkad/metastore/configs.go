package metastore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"zkafka/kafkad/controller"
	"zkafka/kafkad/znode"
	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// changeLife is how long notifications stay for brokers that are away from ZooKeeper.
const changeLife = 15 * time.Minute

const uncleanKey = "unclean.leader.election.enable"

// loadTopicConfigs reads the overrides of all topics.
func (s *Store) loadTopicConfigs(ctx context.Context) error {
	list, err := s.one(ctx, client.ChildrenOp(znode.PathTopicConfigs))
	if err == nil {
		err = list.Err
	}
	if err != nil {
		return fmt.Errorf("listing %s: %w", znode.PathTopicConfigs, err)
	}
	_, err = s.refreshTopicConfigs(ctx, list.Children)
	return err
}

// refreshTopicConfigs reads the overrides of these topics again and returns those that differ
// from before.
func (s *Store) refreshTopicConfigs(ctx context.Context, topics []string) ([]string, error) {
	gets := make([]client.Op, len(topics))
	for i, t := range topics {
		gets[i] = client.GetOp(znode.PathTopicConfig(t))
	}
	found, err := s.pipeline(ctx, gets)
	if err != nil {
		return nil, err
	}
	return s.takeTopicConfigs(topics, found), nil
}

// takeTopicConfigs stores overrides as read; a node that is missing or cannot be read means none.
func (s *Store) takeTopicConfigs(topics []string, found []client.OpResult) (changed []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, topic := range topics {
		r := found[i]
		config, err := znode.DecodeConfig(r.Data)
		if r.Err != nil && !errors.Is(r.Err, proto.ErrNoNode) {
			err = r.Err
		}
		if err != nil {
			s.log.Error("ignoring the configuration of a topic", zap.String("TOPIC", topic),
				zap.Error(err))
		}
		if maps.Equal(s.configs[topic], config) {
			continue
		}
		changed = append(changed, topic)
		s.configs[topic] = config
		if r.Err != nil {
			delete(s.configs, topic)
		}
	}
	return changed
}

func (s *Store) dropTopicConfigs(topics []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range topics {
		delete(s.configs, t)
	}
}

// unclean says whether a topic allows unclean elections.
func (s *Store) unclean(topic string) bool {
	if v, ok := s.TopicConfig(topic)[uncleanKey]; ok {
		return strings.EqualFold(v, "true")
	}
	return s.opts.UncleanLeaderElection
}

// loadBrokerConfig reads the dynamic configuration of this broker and of all.
func (s *Store) loadBrokerConfig(ctx context.Context) error {
	id := strconv.Itoa(int(s.opts.BrokerID))
	found, err := s.pipeline(ctx, []client.Op{
		client.GetOp(znode.PathBrokerConfigs + "/" + id),
		client.GetOp(znode.PathBrokerConfigs + "/" + znode.DefaultEntity),
	})
	if err != nil {
		return err
	}
	var read [2]map[string]string
	for i, r := range found {
		if r.Err != nil && !errors.Is(r.Err, proto.ErrNoNode) {
			return fmt.Errorf("reading dynamic broker configuration: %w", r.Err)
		}
		if read[i], err = znode.DecodeConfig(r.Data); err != nil {
			s.log.Error("ignoring dynamic broker configuration", zap.Error(err))
		}
	}
	s.mu.Lock()
	s.own, s.shared = read[0], read[1]
	s.mu.Unlock()
	return nil
}

// effective merges the cluster-wide dynamic configuration and this broker's own.
func (s *Store) effective() map[string]string {
	own, merged := s.BrokerConfig()
	if merged == nil {
		merged = map[string]string{}
	}
	maps.Copy(merged, own)
	return merged
}

// configChanges watches /config/changes, applies what is new there and removes what is old. The
// first call applies everything.
func (s *Store) configChanges(ctx context.Context) error {
	names, err := s.list(ctx, znode.PathConfigChanges, func(m *marks) { m.changes = true })
	if err != nil {
		return err
	}
	slices.Sort(names)
	var gets []client.Op
	var read []string
	for _, n := range names {
		if _, ok := changeSequence(n); ok {
			gets, read = append(gets, client.GetOp(znode.PathConfigChanges+"/"+n)), append(read, n)
		}
	}
	found, err := s.pipeline(ctx, gets)
	if err != nil {
		return err
	}
	entities := map[string]bool{}
	var purge []client.Op
	for i, r := range found {
		if r.Err != nil {
			continue // purged by another broker
		}
		path := znode.PathConfigChanges + "/" + read[i]
		if s.now().Sub(time.UnixMilli(r.Stat.Ctime)) > changeLife {
			purge = append(purge, client.DeleteOp(path, proto.AnyVersion))
		}
		sequence, _ := changeSequence(read[i])
		if sequence <= s.lastChange {
			continue
		}
		s.lastChange = sequence
		entity, err := znode.DecodeConfigChange(r.Data)
		if err != nil {
			s.log.Warn("ignoring a configuration change", zap.String("path", path), zap.Error(err))
			continue
		}
		entities[entity] = true
	}
	if err := s.applyChanges(ctx, sorted(entities)); err != nil {
		return err
	}
	_, err = s.pipeline(ctx, purge)
	return err
}

func changeSequence(name string) (int64, bool) {
	text, ok := strings.CutPrefix(znode.PathConfigChanges+"/"+name, znode.PathConfigChange)
	n, err := strconv.ParseInt(text, 10, 64)
	return n, ok && err == nil
}

// applyChanges reads the named entities again and tells the broker. Entities of users, clients
// and addresses concern quotas and credentials, which this version does not have.
func (s *Store) applyChanges(ctx context.Context, entities []string) error {
	var topics []string
	brokers := false
	for _, e := range entities {
		kind, name, _ := strings.Cut(e, "/")
		switch kind {
		case "topics":
			topics = append(topics, name)
		case "brokers":
			brokers = brokers || name == znode.DefaultEntity ||
				name == strconv.Itoa(int(s.opts.BrokerID))
		}
	}
	changed, err := s.refreshTopicConfigs(ctx, topics)
	if err != nil {
		return err
	}
	for _, t := range changed {
		s.log.Info("topic configuration changed", zap.String("TOPIC", t))
		s.broker.TopicConfigChanged(t, s.TopicConfig(t))
		if s.machine.Active() {
			in := controller.UncleanChanged{Topic: t, Enabled: s.unclean(t)}
			if err := s.step(ctx, in); err != nil {
				return err
			}
		}
	}
	if !brokers {
		return nil
	}
	if err := s.loadBrokerConfig(ctx); err != nil {
		return err
	}
	s.log.Info("dynamic broker configuration changed")
	s.broker.BrokerConfigChanged(s.effective())
	return nil
}

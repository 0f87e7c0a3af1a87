package metastore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

	"zkafka/kafkad/errcode"
	"zkafka/kafkad/znode"
	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// TopicEntity names a topic's configuration for AlterConfig.
func TopicEntity(topic string) string { return znode.TopicEntity(topic) }

// BrokerEntity names a broker's dynamic configuration.
func BrokerEntity(id int32) string { return "brokers/" + strconv.Itoa(int(id)) }

// AllBrokers names the cluster-wide dynamic configuration of brokers.
const AllBrokers = "brokers/" + znode.DefaultEntity

// AlterConfig replaces the configuration of an entity by what change makes of it, and notifies
// all brokers, this one included. change gets a map of its own; it may run again when somebody
// else alters the same entity. An error of change is returned as it is. With dryRun nothing is
// written.
func (s *Store) AlterConfig(
	ctx context.Context, entity string, dryRun bool, change func(map[string]string) error,
) error {
	path := "/config/" + entity
	for {
		rs, err := s.pipeline(ctx, []client.Op{
			client.GetOp(path), client.ExistsOp(znode.PathController),
		})
		if err != nil {
			return err
		}
		if rs[0].Err != nil && !errors.Is(rs[0].Err, proto.ErrNoNode) {
			return fmt.Errorf("reading %s: %w", path, rs[0].Err)
		}
		if errors.Is(rs[1].Err, proto.ErrNoNode) {
			return errcode.NotController // as upstream: nobody would look after the change
		}
		before, err := znode.DecodeConfig(rs[0].Data)
		if err != nil {
			return err
		}
		after := maps.Clone(before)
		if err := change(after); err != nil || dryRun {
			return err
		}
		write := client.SetOp(path, znode.EncodeConfig(after), rs[0].Stat.Version)
		if rs[0].Err != nil {
			write = create(path, znode.EncodeConfig(after))
		}
		w, err := s.one(ctx, client.MultiOp(
			client.CheckOp(znode.PathController, rs[1].Stat.Version), write))
		if err != nil {
			return err
		}
		switch {
		case w.Err == nil:
			return s.notify(ctx, entity)
		case errors.Is(w.Err, proto.ErrBadVersion), errors.Is(w.Err, proto.ErrNodeExists),
			errors.Is(w.Err, proto.ErrNoNode):
			continue // somebody else was faster
		}
		return fmt.Errorf("writing %s: %w", path, w.Err)
	}
}

// notify tells all brokers to read an entity's configuration again.
func (s *Store) notify(ctx context.Context, entity string) error {
	r, err := s.one(ctx, client.CreateOp(znode.PathConfigChange,
		znode.EncodeConfigChange(entity), proto.OpenACL(), proto.ModePersistentSequential))
	if err == nil {
		err = r.Err
	}
	if err != nil {
		return fmt.Errorf("notifying brokers of a change of %s: %w", entity, err)
	}
	return nil
}

package metastore

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// Offsets of consumers from before 0.9, and of OffsetCommit and OffsetFetch version 0, live in
// ZooKeeper: /consumers/GROUP/offsets/TOPIC/PARTITION holds the offset as text.

func pathOffset(group, topic string, partition int32) string {
	return "/consumers/" + group + "/offsets/" + topic + "/" + strconv.Itoa(int(partition))
}

// SetConsumerOffset stores an offset in ZooKeeper.
func (s *Store) SetConsumerOffset(
	ctx context.Context, group, topic string, partition int32, offset int64,
) error {
	data := []byte(strconv.FormatInt(offset, 10))
	path := pathOffset(group, topic, partition)
	r, err := s.one(ctx, client.SetOp(path, data, proto.AnyVersion))
	if err == nil && errors.Is(r.Err, proto.ErrNoNode) {
		_, r.Err = s.zk().CreateRecursive(ctx, path, data, proto.OpenACL(), proto.ModePersistent)
		if errors.Is(r.Err, proto.ErrNodeExists) {
			r, err = s.one(ctx, client.SetOp(path, data, proto.AnyVersion))
		}
	}
	if err == nil {
		err = r.Err
	}
	if err != nil {
		return fmt.Errorf("storing an offset in ZooKeeper: %w", err)
	}
	return nil
}

// ConsumerOffset reads what SetConsumerOffset or an old consumer stored; ok is false if nobody
// did.
func (s *Store) ConsumerOffset(
	ctx context.Context, group, topic string, partition int32,
) (offset int64, ok bool, err error) {
	r, err := s.one(ctx, client.GetOp(pathOffset(group, topic, partition)))
	if err == nil {
		err = r.Err
	}
	if errors.Is(err, proto.ErrNoNode) {
		return 0, false, nil
	}
	if err == nil {
		offset, err = strconv.ParseInt(string(r.Data), 10, 64)
	}
	if err != nil {
		return 0, false, fmt.Errorf("reading an offset from ZooKeeper: %w", err)
	}
	return offset, true, nil
}

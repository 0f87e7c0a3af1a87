package metastore

import (
	"context"
	"fmt"

	"zkafka/kafkad/znode"
	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// LogDirFailed tells the controller that this broker lost a log dir while running. The controller
// asks the broker about all its replicas and moves the leadership of those it lost.
func (s *Store) LogDirFailed(ctx context.Context) error {
	r, err := s.one(ctx, client.CreateOp(znode.PathLogDirEvent+"/log_dir_event_",
		znode.EncodeLogDirEvent(s.opts.BrokerID), proto.OpenACL(), proto.ModePersistentSequential))
	if err == nil {
		err = r.Err
	}
	if err != nil {
		return fmt.Errorf("reporting a failed log dir: %w", err)
	}
	return nil
}

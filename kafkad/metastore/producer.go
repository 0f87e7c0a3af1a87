package metastore

import (
	"context"
	"errors"
	"fmt"
	"math"

	"zkafka/kafkad/znode"
	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// producerBlockSize is how many producer ids one write reserves.
const producerBlockSize = 1000

// AllocateProducerIDs reserves a block of producer ids for this broker: first to last inclusive.
func (s *Store) AllocateProducerIDs(ctx context.Context) (first, last int64, err error) {
	for {
		r, err := s.one(ctx, client.GetOp(znode.PathProducerIDs))
		if err == nil {
			err = r.Err
		}
		if err != nil {
			return 0, 0, fmt.Errorf("reading the producer id block: %w", err)
		}
		next := znode.ProducerBlock{Broker: s.opts.BrokerID, Last: producerBlockSize - 1}
		if len(r.Data) > 0 {
			held, err := znode.DecodeProducerBlock(r.Data)
			if err != nil {
				return 0, 0, err
			}
			if held.Last > math.MaxInt64-producerBlockSize {
				return 0, 0, errors.New("all producer ids are used up")
			}
			next.First, next.Last = held.Last+1, held.Last+producerBlockSize
		}
		ours := znode.EncodeProducerBlock(next)
		w, err := s.one(ctx, client.SetOp(znode.PathProducerIDs, ours, r.Stat.Version))
		switch {
		case err != nil:
			return 0, 0, fmt.Errorf("writing the producer id block: %w", err)
		case w.Err == nil:
			return next.First, next.Last, nil
		case !errors.Is(w.Err, proto.ErrBadVersion):
			return 0, 0, fmt.Errorf("writing the producer id block: %w", w.Err)
		}
		// Somebody else was faster: the block of the next round is another one. If it was our own
		// write, whose answer a broken connection swallowed, its block goes unused.
	}
}

package handler

import (
	"context"
	"sync"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"zkafka/kafkad/errcode"
)

// InitProducerId (22), versions 0 to 5, for idempotent producers: a fresh id with epoch 0 each
// time, from a block that the cluster reserved for this broker. Transactional ids need a
// transaction coordinator, which this broker does not have: they are told that this is not
// supported, an error that clients take as final.

// producerIDs hands out ids of a reserved block.
type producerIDs struct {
	mu         sync.Mutex
	next, last int64 // next > last: nothing is left; zero value means that too, see take
	reserved   bool
}

func (p *producerIDs) take(ctx context.Context, s Store) (int64, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reserved || p.next > p.last {
		first, last, err := s.AllocateProducerIDs(ctx)
		if err != nil {
			return -1, err
		}
		p.next, p.last, p.reserved = first, last, true
	}
	id := p.next
	p.next++
	return id, nil
}

func (h *Handlers) handleInitProducerID(
	ctx context.Context, _ *Conn, req *kmsg.InitProducerIDRequest,
) kmsg.Response {
	resp := kmsg.NewPtrInitProducerIDResponse()
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	if req.TransactionalID != nil {
		resp.ErrorCode = int16(errcode.UnsupportedVersion)
		return resp
	}
	if (req.ProducerID == -1) != (req.ProducerEpoch == -1) {
		resp.ErrorCode = int16(errcode.InvalidRequest)
		return resp
	}
	id, err := h.producers.take(ctx, h.Store)
	if err != nil {
		h.log().Warn("reserving producer ids failed", zap.Error(err))
		resp.ErrorCode = int16(errcode.CoordinatorNotAvailable)
		return resp
	}
	resp.ProducerID, resp.ProducerEpoch = id, 0
	return resp
}

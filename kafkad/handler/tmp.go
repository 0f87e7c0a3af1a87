package handler

import (
	"context"
	"os"

	"github.com/twmb/franz-go/pkg/kmsg"
)

type FetchOptions struct{}
type sessions struct{}
type producerIDs struct{}
type produceState struct{}
type fetchState struct{}

// Span is a piece of a file.
type Span struct {
	At     int
	File   *os.File
	Offset int64
	Len    int
}

func (h *Handlers) serveProduce(ctx context.Context, c *Conn) error { return ErrClose }
func (h *Handlers) serveFetch(ctx context.Context, c *Conn) error   { return ErrClose }
func (h *Handlers) handleListOffsets(ctx context.Context, c *Conn, r *kmsg.ListOffsetsRequest) kmsg.Response {
	return nil
}
func (h *Handlers) handleInitProducerID(ctx context.Context, c *Conn, r *kmsg.InitProducerIDRequest) kmsg.Response {
	return nil
}
func (h *Handlers) handleOffsetForLeaderEpoch(ctx context.Context, c *Conn, r *kmsg.OffsetForLeaderEpochRequest) kmsg.Response {
	return nil
}
func (h *Handlers) handleDescribeLogDirs(ctx context.Context, c *Conn, r *kmsg.DescribeLogDirsRequest) kmsg.Response {
	return nil
}

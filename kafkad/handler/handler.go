// Package handler answers Kafka requests, one file per API key, the number first: check, translate,
// call the part of the broker that knows, translate back. Edge; it has no goroutines of its own:
// a connection's goroutine calls Serve for one frame after the other, and Serve blocks as long as
// the answer takes (long polls and waits for replicas included), because Kafka too handles one
// request of a connection at a time.
//
// A handler of most APIs is a method
//
//	func (h *Handlers) handleX(ctx context.Context, c *Conn, req *kmsg.XRequest) kmsg.Response
//
// with a line in table.go. Protocol errors are fields of the response. nil as response means: no
// answer, close the connection. Produce and Fetch are raw: they read the frame and write the
// reply themselves, without copying records.
package handler

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/host"
	"zkafka/kafkad/wire"
)

// ErrClose is what Serve returns when the protocol says to close the connection without answer.
var ErrClose = errors.New("connection is closed without answer")

// Handlers has what the handlers need of the rest of the broker. Fill it before the first Serve and
// leave it alone then; it is shared by all connections.
type Handlers struct {
	NodeID int32
	Host   *host.Host
	Store  Store
	// Meta and Groups are for the handlers of topics and metadata, and of groups.
	Meta   MetaDeps
	Groups GroupDeps
	Fetch  FetchOptions
	Log    *zap.Logger // nil = silent

	sessions  sessions
	producers producerIDs
}

// Store is what the handlers of this file's author need of the metadata store.
type Store interface {
	// Image returns the current view of the cluster, never nil.
	Image() *cluster.Image
	// AllocateProducerIDs reserves a block of producer ids: first to last inclusive.
	AllocateProducerIDs(ctx context.Context) (first, last int64, err error)
}

// Output takes the replies of one connection.
type Output interface {
	// Write sends bytes, all of them or an error.
	Write(b []byte) (int, error)
	// WriteSpans sends head, with each span's file bytes inserted before head[span.At].
	WriteSpans(head []byte, spans []Span) error
}

// Conn is what handlers know of a connection. Its owner is the connection's goroutine.
type Conn struct {
	ID       uint64
	Listener string // upper case name of the listener the client came in on
	Host     string // the client's address, without port
	Out      Output

	// Of the request being served:
	ClientID      string // null counts as ""
	Header        wire.Header
	Body          []byte
	SoftwareName  string // from ApiVersions, "" before
	SoftwareVer   string
	reply         []byte
	produce       *produceState
	fetch         *fetchState
	clientIDBytes []byte
}

// maxKeptReply bounds the reply buffer a connection keeps between requests.
const maxKeptReply = 64 << 10

// Serve handles one request frame (without the size in front) and writes the reply to c.Out. The
// frame belongs to Serve until it returns; Produce patches it in place. Any error means that
// the connection is to be closed.
func (h *Handlers) Serve(ctx context.Context, c *Conn, frame []byte) error {
	hdr, body, err := wire.ParseHeader(frame)
	c.Header, c.Body = hdr, body
	if errors.Is(err, wire.ErrVersion) && hdr.Key == wire.APIVersions {
		c.reply = wire.AppendAPIVersionsFallback(c.reply[:0], hdr.CorrelationID)
		_, err := c.Out.Write(c.reply)
		return err
	}
	if err != nil {
		return err
	}
	if string(c.clientIDBytes) != string(hdr.ClientID) {
		c.clientIDBytes = append(c.clientIDBytes[:0], hdr.ClientID...)
		c.ClientID = string(c.clientIDBytes)
	}
	route := &routes[hdr.Key]
	switch {
	case route.raw != nil:
		err = route.raw(h, ctx, c)
	case route.message != nil:
		err = h.serveMessage(ctx, c, route)
	default:
		return fmt.Errorf("%w: no handler for key %d", ErrClose, hdr.Key)
	}
	if cap(c.reply) > maxKeptReply {
		c.reply = nil
	}
	return err
}

func (h *Handlers) serveMessage(ctx context.Context, c *Conn, route *route) error {
	req := kmsg.RequestForKey(c.Header.Key)
	req.SetVersion(c.Header.Version)
	if err := req.ReadFrom(c.Body); err != nil {
		return fmt.Errorf("decode %s version %d: %w",
			kmsg.NameForKey(c.Header.Key), c.Header.Version, err)
	}
	resp := route.message(h, ctx, c, req)
	if resp == nil {
		return ErrClose
	}
	resp.SetVersion(c.Header.Version)
	b := wire.AppendResponseHeader(c.reply[:0], c.Header)
	b = resp.AppendTo(b)
	wire.FinishFrame(b, 0)
	c.reply = b
	_, err := c.Out.Write(b)
	return err
}

// Close frees what a connection holds in the broker. Call it once, after the last Serve.
func (c *Conn) Close() {
	c.produce, c.fetch, c.reply = nil, nil, nil
}

func (h *Handlers) log() *zap.Logger {
	if h.Log == nil {
		return zap.NewNop()
	}
	return h.Log
}

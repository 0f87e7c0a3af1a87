package handler

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/coordinator"
	"zkafka/kafkad/errcode"
)

// FindCoordinator (10), versions 0 to 6. From version 4 one request may name many keys. The
// coordinator of a group is the leader of the partition of __consumer_offsets that the group
// lives in; the first question creates that topic, and clients ask again until it has leaders.

// The types of coordinators.
const (
	coordinatorGroup int8 = 0
	coordinatorTxn   int8 = 1
	coordinatorShare int8 = 2
)

func (h *Handlers) handleFindCoordinator(
	ctx context.Context, c *Conn, req *kmsg.FindCoordinatorRequest,
) kmsg.Response {
	resp := kmsg.NewPtrFindCoordinatorResponse()
	if req.Version < 4 {
		node, code := h.findCoordinator(ctx, c, req.CoordinatorType, req.CoordinatorKey)
		resp.ErrorCode, resp.NodeID = int16(code), node.id
		resp.Host, resp.Port = node.Host, node.Port
		resp.ErrorMessage = findMessage(req, code, code.Name())
		return resp
	}
	for _, key := range req.CoordinatorKeys {
		node, code := h.findCoordinator(ctx, c, req.CoordinatorType, key)
		rc := kmsg.NewFindCoordinatorResponseCoordinator()
		rc.Key, rc.ErrorCode, rc.NodeID = key, int16(code), node.id
		rc.Host, rc.Port = node.Host, node.Port
		rc.ErrorMessage = findMessage(req, code, "")
		resp.Coordinators = append(resp.Coordinators, rc)
	}
	return resp
}

// findMessage is the message of an answer as the reference fills it: from version 4 empty, before
// that the name of success, and the error's text for a type of coordinator that does not exist.
func findMessage(req *kmsg.FindCoordinatorRequest, code errcode.Code, success string) *string {
	message := ""
	switch {
	case code == errcode.None:
		message = success
	case req.Version < 4, req.CoordinatorType > coordinatorShare:
		message = code.Message()
	}
	return &message
}

// node is a broker as a client on one listener sees it.
type node struct {
	id int32
	cluster.Endpoint
}

// noNode stands for "nobody" in replies.
var noNode = node{id: -1, Endpoint: cluster.Endpoint{Port: -1}}

func (h *Handlers) findCoordinator(
	ctx context.Context, c *Conn, kind int8, key string,
) (node, errcode.Code) {
	switch kind {
	case coordinatorGroup:
	case coordinatorTxn:
		return h.findTxnCoordinator(c, key)
	case coordinatorShare:
		if c.Header.Version < 6 {
			return noNode, errcode.InvalidRequest
		}
		return noNode, errcode.CoordinatorNotAvailable
	default:
		return noNode, errcode.InvalidRequest
	}
	image := h.Store.Image()
	if image.Topic(cluster.OffsetsTopic) == nil {
		h.createOffsetsTopic(ctx)
		return noNode, errcode.CoordinatorNotAvailable
	}
	return leaderNode(image, c, image.Partition(
		cluster.OffsetsTopic, h.Groups.Coordinator.PartitionFor(key)))
}

// findTxnCoordinator points to other brokers that lead partitions of __transaction_state. This
// broker serves no transactions; it says so with an error that ends clients, because they would
// ask for ever if it were told that the coordinator is not available yet.
func (h *Handlers) findTxnCoordinator(c *Conn, key string) (node, errcode.Code) {
	image := h.Store.Image()
	topic := image.Topic(cluster.TransactionsTopic)
	if topic == nil {
		return noNode, errcode.UnsupportedVersion
	}
	p := topic.Partition(coordinator.PartitionOf(key, int32(len(topic.Partitions))))
	if p != nil && p.Leader == h.NodeID {
		return noNode, errcode.UnsupportedVersion
	}
	return leaderNode(image, c, p)
}

// leaderNode is the leader of a partition as the client sees it on its listener.
func leaderNode(image *cluster.Image, c *Conn, p *cluster.Partition) (node, errcode.Code) {
	if p == nil || p.Leader == cluster.NoLeader {
		return noNode, errcode.CoordinatorNotAvailable
	}
	broker := image.Broker(p.Leader)
	if broker == nil {
		return noNode, errcode.CoordinatorNotAvailable
	}
	endpoint, ok := broker.Endpoint(c.Listener)
	if !ok {
		return noNode, errcode.CoordinatorNotAvailable
	}
	return node{id: broker.ID, Endpoint: endpoint}, errcode.None
}

// createOffsetsTopic asks for the topic and does not wait for its leaders.
func (h *Handlers) createOffsetsTopic(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, createTopicTimeout)
	defer cancel()
	if err := h.Groups.CreateOffsetsTopic(ctx); err != nil {
		h.log().Warn("topic for committed offsets could not be created",
			zap.String("TOPIC", cluster.OffsetsTopic), zap.Error(err))
	}
}

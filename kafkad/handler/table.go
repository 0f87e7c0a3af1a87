package handler

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// route says who answers requests of one API key: raw or message.
type route struct {
	message func(*Handlers, context.Context, *Conn, kmsg.Request) kmsg.Response
	raw     func(*Handlers, context.Context, *Conn) error
}

// routes is indexed by API key. A key needs a row here and one in wire's table, which decides
// what ApiVersions advertises; a test compares the two.
var routes [64]route

func init() {
	routes = [64]route{
		0: {raw: (*Handlers).serveProduce},
		1: {raw: (*Handlers).serveFetch},
		2: on((*Handlers).handleListOffsets),
		3: on((*Handlers).handleMetadata),

		8:  on((*Handlers).handleOffsetCommit),
		9:  on((*Handlers).handleOffsetFetch),
		10: on((*Handlers).handleFindCoordinator),
		11: on((*Handlers).handleJoinGroup),
		12: on((*Handlers).handleHeartbeat),
		13: on((*Handlers).handleLeaveGroup),
		14: on((*Handlers).handleSyncGroup),
		15: on((*Handlers).handleDescribeGroups),
		16: on((*Handlers).handleListGroups),

		18: on((*Handlers).handleAPIVersions),
		19: on((*Handlers).handleCreateTopics),
		20: on((*Handlers).handleDeleteTopics),

		22: on((*Handlers).handleInitProducerID),
		23: on((*Handlers).handleOffsetForLeaderEpoch),
		32: on((*Handlers).handleDescribeConfigs),
		33: on((*Handlers).handleAlterConfigs),
		35: on((*Handlers).handleDescribeLogDirs),
		37: on((*Handlers).handleCreatePartitions),

		42: on((*Handlers).handleDeleteGroups),
		44: on((*Handlers).handleIncrementalAlterConfigs),
		47: on((*Handlers).handleOffsetDelete),
		60: on((*Handlers).handleDescribeCluster),
	}
}

// on makes a route of a handler method with its own request type.
func on[R kmsg.Request](
	f func(*Handlers, context.Context, *Conn, R) kmsg.Response,
) route {
	return route{message: func(
		h *Handlers, ctx context.Context, c *Conn, q kmsg.Request,
	) kmsg.Response {
		return f(h, ctx, c, q.(R))
	}}
}

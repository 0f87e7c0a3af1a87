package handler

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/group"
)

// Heartbeat (12), versions 0 to 4.

func (h *Handlers) handleHeartbeat(
	_ context.Context, _ *Conn, req *kmsg.HeartbeatRequest,
) kmsg.Response {
	resp := kmsg.NewPtrHeartbeatResponse()
	resp.ErrorCode = int16(h.Groups.Coordinator.Heartbeat(&group.HeartbeatRequest{
		Group: req.Group, MemberID: req.MemberID, InstanceID: optional(req.InstanceID),
		Generation: req.Generation,
	}))
	return resp
}

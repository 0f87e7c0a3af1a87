package handler

import (
	"bytes"
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/errcode"
	"zkafka/kafkad/group"
)

// SyncGroup (14), versions 0 to 5. Blocks until the leader's assignment is stored. From version 5
// members say which protocol they think was chosen, and must say both its type and name.

func (h *Handlers) handleSyncGroup(
	ctx context.Context, _ *Conn, req *kmsg.SyncGroupRequest,
) kmsg.Response {
	sync := group.SyncRequest{
		Group: req.Group, MemberID: req.MemberID, InstanceID: optional(req.InstanceID),
		Generation:   req.Generation,
		ProtocolType: optional(req.ProtocolType), Protocol: optional(req.Protocol),
		Assignments: make([]group.Assignment, len(req.GroupAssignment)),
	}
	for i := range req.GroupAssignment {
		a := &req.GroupAssignment[i]
		sync.Assignments[i] = group.Assignment{
			MemberID: a.MemberID, Data: bytes.Clone(a.MemberAssignment),
		}
	}
	resp := kmsg.NewPtrSyncGroupResponse()
	if req.Version >= 5 && (sync.ProtocolType == "" || sync.Protocol == "") {
		resp.ErrorCode = int16(errcode.InconsistentGroupProtocol)
		return resp
	}
	r := h.Groups.Coordinator.Sync(ctx, &sync)
	resp.ErrorCode = int16(r.Err)
	resp.ProtocolType, resp.Protocol = nullable(r.ProtocolType), nullable(r.Protocol)
	resp.MemberAssignment = r.Assignment
	return resp
}

package handler

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/errcode"
	"zkafka/kafkad/group"
)

// LeaveGroup (13), versions 0 to 5. Until version 2 one member leaves, and the code of the
// answer is its own; from version 3 any number may, each with its code.

func (h *Handlers) handleLeaveGroup(
	_ context.Context, _ *Conn, req *kmsg.LeaveGroupRequest,
) kmsg.Response {
	resp := kmsg.NewPtrLeaveGroupResponse()
	members := []group.LeaveMember{{MemberID: req.MemberID}}
	if req.Version >= 3 {
		members = make([]group.LeaveMember, len(req.Members))
		for i := range req.Members {
			m := &req.Members[i]
			members[i] = group.LeaveMember{
				MemberID: m.MemberID, InstanceID: optional(m.InstanceID),
				Reason: optional(m.Reason),
			}
		}
	}
	codes, code := h.Groups.Coordinator.Leave(req.Group, members)
	resp.ErrorCode = int16(code)
	if code != errcode.None {
		return resp
	}
	if req.Version < 3 {
		resp.ErrorCode = int16(codes[0])
		return resp
	}
	for i := range members {
		m := kmsg.NewLeaveGroupResponseMember()
		m.MemberID, m.InstanceID = members[i].MemberID, req.Members[i].InstanceID
		m.ErrorCode = int16(codes[i])
		resp.Members = append(resp.Members, m)
	}
	return resp
}

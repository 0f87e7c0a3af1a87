package handler

import (
	"bytes"
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/group"
)

// JoinGroup (11), versions 0 to 9. Blocks until the group has gathered. Version 0 knows no
// rebalance timeout: the session timeout stands for it. From version 4 a member without id is sent
// back with one, from version 5 members may be static, from version 9 a static leader may be
// told to keep the assignment.

func (h *Handlers) handleJoinGroup(
	ctx context.Context, c *Conn, req *kmsg.JoinGroupRequest,
) kmsg.Response {
	join := group.JoinRequest{
		Group: req.Group, MemberID: req.MemberID, InstanceID: optional(req.InstanceID),
		SkipAssignment: req.Version >= 9,
		ClientID:       c.ClientID, ClientHost: "/" + c.Host,
		RebalanceTimeoutMillis: req.RebalanceTimeoutMillis,
		SessionTimeoutMillis:   req.SessionTimeoutMillis,
		ProtocolType:           req.ProtocolType, Reason: optional(req.Reason),
		Protocols: make([]group.Protocol, len(req.Protocols)),
	}
	join.RequireKnownMember = req.Version >= 4 && join.InstanceID == ""
	if req.Version == 0 {
		join.RebalanceTimeoutMillis = req.SessionTimeoutMillis
	}
	for i := range req.Protocols {
		join.Protocols[i] = group.Protocol{
			Name: req.Protocols[i].Name, Metadata: bytes.Clone(req.Protocols[i].Metadata),
		}
	}
	r := h.Groups.Coordinator.Join(ctx, &join)
	resp := kmsg.NewPtrJoinGroupResponse()
	resp.ErrorCode, resp.Generation = int16(r.Err), r.Generation
	resp.ProtocolType, resp.Protocol = nullable(r.ProtocolType), nullable(r.Protocol)
	if req.Version < 7 {
		resp.Protocol = &r.Protocol // not nullable yet
	}
	resp.LeaderID, resp.MemberID, resp.SkipAssignment = r.Leader, r.MemberID, r.SkipAssignment
	for i := range r.Members {
		m := kmsg.NewJoinGroupResponseMember()
		m.MemberID, m.InstanceID = r.Members[i].MemberID, nullable(r.Members[i].InstanceID)
		m.ProtocolMetadata = r.Members[i].Metadata
		resp.Members = append(resp.Members, m)
	}
	return resp
}

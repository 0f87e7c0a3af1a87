package handler

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/errcode"
)

// DescribeGroups (15), versions 0 to 5. An unknown group is described as Dead, without error.

// groupOperations is the bit set of what may be done to a group: read, delete, describe. Nobody is
// refused anything yet.
const groupOperations = 1<<3 | 1<<6 | 1<<8

func (h *Handlers) handleDescribeGroups(
	_ context.Context, _ *Conn, req *kmsg.DescribeGroupsRequest,
) kmsg.Response {
	resp := kmsg.NewPtrDescribeGroupsResponse()
	for _, id := range req.Groups {
		g := kmsg.NewDescribeGroupsResponseGroup()
		g.Group = id
		d, code := h.Groups.Coordinator.Describe(id)
		if code != errcode.None {
			g.ErrorCode = int16(code)
			resp.Groups = append(resp.Groups, g)
			continue
		}
		g.State, g.ProtocolType, g.Protocol = d.State.String(), d.ProtocolType, d.Protocol
		for i := range d.Members {
			dm := &d.Members[i]
			m := kmsg.NewDescribeGroupsResponseGroupMember()
			m.MemberID, m.InstanceID = dm.MemberID, nullable(dm.InstanceID)
			m.ClientID, m.ClientHost = dm.ClientID, dm.ClientHost
			m.ProtocolMetadata, m.MemberAssignment = dm.Metadata, dm.Assignment
			g.Members = append(g.Members, m)
		}
		if req.IncludeAuthorizedOperations {
			g.AuthorizedOperations = groupOperations
		}
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}

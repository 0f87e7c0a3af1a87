package handler

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/group"
)

// ListGroups (16), versions 0 to 5: the groups this broker coordinates. From version 4 filtered
// by state, from version 5 by type. While some partitions are loading, the answer carries both an
// error and the groups that are there.

func (h *Handlers) handleListGroups(
	_ context.Context, _ *Conn, req *kmsg.ListGroupsRequest,
) kmsg.Response {
	resp := kmsg.NewPtrListGroupsResponse()
	groups, code := h.Groups.Coordinator.List(req.StatesFilter, req.TypesFilter)
	resp.ErrorCode = int16(code)
	for _, o := range groups {
		g := kmsg.NewListGroupsResponseGroup()
		g.Group, g.ProtocolType = o.Group, o.ProtocolType
		g.GroupState, g.GroupType = o.State.String(), group.TypeClassic
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}

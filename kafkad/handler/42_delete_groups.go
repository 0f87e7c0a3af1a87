package handler

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// DeleteGroups (42), versions 0 to 2. Only groups without members can be deleted.

func (h *Handlers) handleDeleteGroups(
	ctx context.Context, _ *Conn, req *kmsg.DeleteGroupsRequest,
) kmsg.Response {
	resp := kmsg.NewPtrDeleteGroupsResponse()
	for i, id := range req.Groups {
		if slices.Contains(req.Groups[:i], id) {
			continue
		}
		g := kmsg.NewDeleteGroupsResponseGroup()
		g.Group, g.ErrorCode = id, int16(h.Groups.Coordinator.Delete(ctx, id))
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}

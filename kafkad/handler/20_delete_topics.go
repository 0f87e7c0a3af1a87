package handler

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/metastore"
)

// DeleteTopics (20), versions 0 to 6. Version 6 names topics or gives their ids, never both. With
// delete.topic.enable=false the answer is TOPIC_DELETION_DISABLED (INVALID_REQUEST before version
// 3). The answer waits until the topics are gone from the metadata, like CreateTopics.
func (h *Handlers) handleDeleteTopics(
	ctx context.Context, _ *Conn, req *kmsg.DeleteTopicsRequest,
) kmsg.Response {
	resp := kmsg.NewPtrDeleteTopicsResponse()
	im := h.Store.Image()
	entries := req.Topics
	if req.Version < 6 {
		entries = nil
		for _, name := range req.TopicNames {
			t := kmsg.NewDeleteTopicsRequestTopic()
			t.Topic = &name
			entries = append(entries, t)
		}
	}
	if slices.ContainsFunc(entries, namedTwice) {
		for _, t := range entries {
			rt := kmsg.NewDeleteTopicsResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			rt.ErrorCode = int16(errcode.InvalidRequest)
			resp.Topics = append(resp.Topics, rt)
		}
		return resp
	}
	var names []string
	position := map[string][]int{}
	for i, t := range entries {
		rt := kmsg.NewDeleteTopicsResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		rt.ErrorCode = int16(h.deletable(im, req.Version, &t))
		if rt.ErrorCode == 0 {
			name := optional(t.Topic)
			if t.Topic == nil {
				name = im.TopicByID(t.TopicID).Name
				rt.Topic = &name
			}
			if position[name] == nil {
				names = append(names, name)
			}
			position[name] = append(position[name], i)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	results := h.Meta.Topics.DeleteTopics(ctx, names)
	h.awaitTopics(ctx, req.TimeoutMillis, results,
		func(im *cluster.Image, r *metastore.TopicResult) bool {
			t := im.Topic(r.Name)
			return t == nil || t.ID != r.ID // deleted, perhaps created again since
		})
	for _, r := range results {
		for _, i := range position[r.Name] {
			resp.Topics[i].ErrorCode = int16(r.Err)
		}
	}
	return resp
}

// namedTwice tells whether an entry has a name and an id, which is the fault of the whole request.
func namedTwice(t kmsg.DeleteTopicsRequestTopic) bool {
	return t.Topic != nil && t.TopicID != [16]byte{}
}

// deletable checks one entry of the request.
func (h *Handlers) deletable(
	im *cluster.Image, version int16, t *kmsg.DeleteTopicsRequestTopic,
) errcode.Code {
	byID := t.TopicID != [16]byte{}
	switch {
	case !h.Meta.Topics.IsController():
		return errcode.NotController
	case !h.Meta.Config.DeleteTopics && version < 3:
		return errcode.InvalidRequest
	case !h.Meta.Config.DeleteTopics:
		return errcode.TopicDeletionDisabled
	case t.Topic == nil && !byID:
		// A Kafka broker takes the missing name for one the client may not see.
		return errcode.TopicAuthorizationFailed
	case byID && im.TopicByID(t.TopicID) == nil:
		return errcode.UnknownTopicID
	}
	return errcode.None
}

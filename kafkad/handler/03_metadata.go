package handler

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/errcode"
)

// Metadata (3), versions 0 to 12.
//
//   - Version 0 asks for all topics with an empty list, later ones with a null list.
//   - Version 0 leaves out replicas that are down and says REPLICA_NOT_AVAILABLE.
//   - A leader that does not listen where the client came in is LEADER_NOT_AVAILABLE up to
//     version 5, LISTENER_NOT_FOUND from 6.
//   - Versions 10 and 11 have a topic id in the request that must not be used; 12 may use it.
//   - A request with an id asks by id alone: names beside it get no answer.
//   - Asking by name may create the topic, unless the request (from 4) or the broker forbids it.
//   - Authorized operations: of the cluster in versions 8 to 10, of topics from 8.
func (h *Handlers) handleMetadata(
	ctx context.Context, c *Conn, req *kmsg.MetadataRequest,
) kmsg.Response {
	if !metadataRequestValid(req) {
		return refusedMetadata(req)
	}
	im := h.Store.Image()
	resp := kmsg.NewPtrMetadataResponse()
	for _, b := range endpointsOn(im, c.Listener) {
		rb := kmsg.NewMetadataResponseBroker()
		rb.NodeID, rb.Host, rb.Port, rb.Rack = b.id, b.Host, b.Port, b.rack
		resp.Brokers = append(resp.Brokers, rb)
	}
	resp.ClusterID = &im.ClusterID
	resp.ControllerID = im.ControllerID
	if req.IncludeClusterAuthorizedOperations && req.Version >= 8 && req.Version <= 10 {
		resp.AuthorizedOperations = allClusterOperations
	}
	m := &metadataReply{h: h, im: im, req: req, listener: c.Listener, resp: resp}
	switch {
	case req.Topics == nil || req.Version == 0 && len(req.Topics) == 0:
		for _, name := range im.TopicNames() {
			m.known(im.Topic(name))
		}
	default:
		m.asked(ctx)
	}
	return resp
}

func metadataRequestValid(req *kmsg.MetadataRequest) bool {
	if req.Version < 10 {
		return true
	}
	return !slices.ContainsFunc(req.Topics, func(t kmsg.MetadataRequestTopic) bool {
		if t.TopicID == [16]byte{} {
			return t.Topic == nil
		}
		return req.Version < 12
	})
}

func refusedMetadata(req *kmsg.MetadataRequest) kmsg.Response {
	resp := kmsg.NewPtrMetadataResponse()
	resp.ControllerID = cluster.NoController
	for _, t := range req.Topics {
		rt := kmsg.NewMetadataResponseTopic()
		name := optional(t.Topic)
		rt.Topic, rt.TopicID, rt.ErrorCode = &name, t.TopicID, int16(errcode.InvalidRequest)
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// listed is a broker as seen on one listener.
type listed struct {
	node
	rack *string
}

// endpointsOn lists the live brokers that have that listener.
func endpointsOn(im *cluster.Image, listener string) []listed {
	var list []listed
	for i := range im.Brokers {
		b := &im.Brokers[i]
		if e, ok := b.Endpoint(listener); ok {
			list = append(list, listed{node{id: b.ID, Endpoint: e}, nullable(b.Rack)})
		}
	}
	return list
}

// metadataReply is a response in the making.
type metadataReply struct {
	h        *Handlers
	im       *cluster.Image
	req      *kmsg.MetadataRequest
	listener string
	resp     *kmsg.MetadataResponse
}

// asked answers for the topics the request names, each once.
func (m *metadataReply) asked(ctx context.Context) {
	var missing []string
	seen := map[string]bool{}
	if m.byID() {
		return
	}
	for _, t := range m.req.Topics {
		name := *t.Topic
		if seen[name] {
			continue
		}
		seen[name] = true
		if known := m.im.Topic(name); known != nil {
			m.known(known)
		} else {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		m.missing(ctx, missing)
	}
}

// byID answers for the topics that are asked for by id, each once; false if there are none.
func (m *metadataReply) byID() bool {
	seen := map[[16]byte]bool{{}: true}
	for _, t := range m.req.Topics {
		if seen[t.TopicID] {
			continue
		}
		seen[t.TopicID] = true
		if known := m.im.TopicByID(t.TopicID); known != nil {
			m.known(known)
			continue
		}
		rt := kmsg.NewMetadataResponseTopic()
		rt.TopicID, rt.ErrorCode = t.TopicID, int16(errcode.UnknownTopicID)
		m.resp.Topics = append(m.resp.Topics, rt)
	}
	return len(seen) > 1
}

// missing answers for topics that do not exist, creating them if that is allowed.
func (m *metadataReply) missing(ctx context.Context, names []string) {
	answers := map[string]errcode.Code{}
	if m.h.Meta.Config.AutoCreateTopics && (m.req.Version < 4 || m.req.AllowAutoTopicCreation) {
		answers = m.h.autoCreate(ctx, names)
	} else {
		for _, name := range names {
			answers[name] = errcode.UnknownTopicOrPartition
			if cluster.TopicNameError(name) != "" {
				answers[name] = errcode.InvalidTopicException
			}
		}
	}
	for _, name := range names {
		rt := m.topic(name)
		rt.ErrorCode = int16(answers[name])
		m.resp.Topics = append(m.resp.Topics, rt)
	}
}

func (m *metadataReply) topic(name string) kmsg.MetadataResponseTopic {
	rt := kmsg.NewMetadataResponseTopic()
	rt.Topic, rt.IsInternal = &name, cluster.IsInternal(name)
	if m.req.IncludeTopicAuthorizedOperations && m.req.Version >= 8 {
		rt.AuthorizedOperations = allTopicOperations
	}
	return rt
}

func (m *metadataReply) known(t *cluster.Topic) {
	rt := m.topic(t.Name)
	rt.TopicID = t.ID
	rt.Partitions = make([]kmsg.MetadataResponseTopicPartition, len(t.Partitions))
	for i := range t.Partitions {
		rt.Partitions[i] = m.partition(&t.Partitions[i])
	}
	m.resp.Topics = append(m.resp.Topics, rt)
}

func (m *metadataReply) partition(p *cluster.Partition) kmsg.MetadataResponseTopicPartition {
	rp := kmsg.NewMetadataResponseTopicPartition()
	rp.Partition, rp.LeaderEpoch = p.Index, p.LeaderEpoch
	rp.Replicas, rp.ISR, rp.OfflineReplicas = p.Replicas, p.ISR, m.offline(p)
	if m.req.Version == 0 {
		rp.Replicas, rp.ISR = m.reachable(p.Replicas), m.reachable(p.ISR)
	}
	rp.Leader = cluster.NoLeader
	switch {
	case m.im.Broker(p.Leader) == nil:
		rp.ErrorCode = int16(errcode.LeaderNotAvailable)
	case !m.listens(p.Leader) && m.req.Version >= 6:
		rp.ErrorCode = int16(errcode.ListenerNotFound)
	case !m.listens(p.Leader):
		rp.ErrorCode = int16(errcode.LeaderNotAvailable)
	default:
		rp.Leader = p.Leader
		if len(rp.Replicas) < len(p.Replicas) || len(rp.ISR) < len(p.ISR) {
			rp.ErrorCode = int16(errcode.ReplicaNotAvailable)
		}
	}
	return rp
}

func (m *metadataReply) listens(id int32) bool {
	b := m.im.Broker(id)
	if b == nil {
		return false
	}
	_, ok := b.Endpoint(m.listener)
	return ok
}

func (m *metadataReply) reachable(ids []int32) []int32 {
	if !slices.ContainsFunc(ids, func(id int32) bool { return !m.listens(id) }) {
		return ids
	}
	var list []int32
	for _, id := range ids {
		if m.listens(id) {
			list = append(list, id)
		}
	}
	return list
}

// offline lists the replicas that are down, or whose log dir is.
func (m *metadataReply) offline(p *cluster.Partition) []int32 {
	var list []int32
	for _, id := range p.Replicas {
		if !m.listens(id) || slices.Contains(p.Offline, id) {
			list = append(list, id)
		}
	}
	return list
}

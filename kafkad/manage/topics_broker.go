package manage

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/tool"
)

// brokerTopics manages topics through the protocol.
type brokerTopics struct{ admin *admin }

func newBrokerTopics(env tool.Env, p *tool.Parsed) (topicService, error) {
	a, err := newAdmin(env, p)
	if err != nil {
		return nil, err
	}
	return &brokerTopics{a}, nil
}

func (s *brokerTopics) close() { s.admin.Close() }

// idText is an id as Kafka prints it, "" for none.
func idText(id cluster.TopicID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

func (s *brokerTopics) list(ctx context.Context) ([]listedTopic, error) {
	m, err := s.admin.metadata(ctx, nil)
	if err != nil {
		return nil, err
	}
	var out []listedTopic
	for i := range m.Topics {
		t := &m.Topics[i]
		if t.Topic != nil {
			out = append(out, listedTopic{name: *t.Topic, id: idText(t.TopicID)})
		}
	}
	return out, nil
}

func (s *brokerTopics) create(ctx context.Context, t *newTopic) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions = t.name, t.partitions
	rt.ReplicationFactor = int16(t.replicationFactor)
	for i, replicas := range t.assignment {
		ra := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		ra.Partition, ra.Replicas = int32(i), replicas
		rt.ReplicaAssignment = append(rt.ReplicaAssignment, ra)
	}
	for i := range t.config {
		rc := kmsg.NewCreateTopicsRequestTopicConfig()
		rc.Name, rc.Value = t.config[i].name, &t.config[i].value
		rt.Configs = append(rt.Configs, rc)
	}
	req.Topics = append(req.Topics, rt)
	resp, err := do[*kmsg.CreateTopicsResponse](ctx, s.admin, req)
	if err != nil {
		return err
	}
	for i := range resp.Topics {
		r := &resp.Topics[i]
		err = codeError(r.ErrorCode, r.ErrorMessage)
		if r.ErrorCode == kerr.TopicAlreadyExists.Code {
			err = errTopicExists{err}
		}
	}
	return err
}

func (s *brokerTopics) alter(ctx context.Context, names []string, t *newTopic) error {
	req := kmsg.NewPtrCreatePartitionsRequest()
	var m *kmsg.MetadataResponse
	if t.assignment != nil {
		var err error
		if m, err = s.admin.metadata(ctx, names); err != nil {
			return err
		}
	}
	for _, name := range names {
		rt := kmsg.NewCreatePartitionsRequestTopic()
		rt.Topic, rt.Count = name, t.partitions
		for i, replicas := range t.assignment {
			if i < partitionCount(m, name) {
				continue // the list begins with the partitions that exist
			}
			ra := kmsg.NewCreatePartitionsRequestTopicAssignment()
			ra.Replicas = replicas
			rt.Assignment = append(rt.Assignment, ra)
		}
		req.Topics = append(req.Topics, rt)
	}
	resp, err := do[*kmsg.CreatePartitionsResponse](ctx, s.admin, req)
	if err != nil {
		return err
	}
	for i := range resp.Topics {
		if err := codeError(resp.Topics[i].ErrorCode, resp.Topics[i].ErrorMessage); err != nil {
			return err
		}
	}
	return nil
}

func partitionCount(m *kmsg.MetadataResponse, topic string) int {
	for i := range m.Topics {
		if t := &m.Topics[i]; t.Topic != nil && *t.Topic == topic {
			return len(t.Partitions)
		}
	}
	return 0
}

func (s *brokerTopics) remove(ctx context.Context, names []string) error {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TopicNames = names
	for i := range names {
		rt := kmsg.NewDeleteTopicsRequestTopic()
		rt.Topic = &names[i]
		req.Topics = append(req.Topics, rt)
	}
	resp, err := do[*kmsg.DeleteTopicsResponse](ctx, s.admin, req)
	if err != nil {
		return err
	}
	for i := range resp.Topics {
		if err := codeError(resp.Topics[i].ErrorCode, resp.Topics[i].ErrorMessage); err != nil {
			return err
		}
	}
	return nil
}

func (s *brokerTopics) describe(ctx context.Context, names []string) (*topicReport, error) {
	m, err := s.admin.metadata(ctx, names)
	if err != nil {
		return nil, err
	}
	r := &topicReport{elr: true}
	for i := range m.Brokers {
		r.live = append(r.live, m.Brokers[i].NodeID)
	}
	for i := range m.Topics {
		t := &m.Topics[i]
		if err := codeError(t.ErrorCode, nil); err != nil {
			return nil, err
		}
		d := topicDescription{name: *t.Topic, id: idText(t.TopicID)}
		for j := range t.Partitions {
			p := &t.Partitions[j]
			d.partitions = append(d.partitions, partitionDescription{
				index: p.Partition, leader: p.Leader, replicas: p.Replicas, isr: p.ISR,
			})
		}
		slices.SortFunc(d.partitions, func(a, b partitionDescription) int {
			return int(a.index - b.index)
		})
		r.topics = append(r.topics, d)
	}
	slices.SortFunc(r.topics, func(a, b topicDescription) int {
		return strings.Compare(a.name, b.name)
	})
	if err := s.addConfigs(ctx, r); err != nil {
		return nil, err
	}
	s.addReassignments(ctx, r)
	return r, nil
}

const (
	resourceTopic = 2
	sourceDefault = 5
)

// addConfigs fills in the settings that are not upstream's defaults.
func (s *brokerTopics) addConfigs(ctx context.Context, r *topicReport) error {
	req := kmsg.NewPtrDescribeConfigsRequest()
	for i := range r.topics {
		rr := kmsg.NewDescribeConfigsRequestResource()
		rr.ResourceType, rr.ResourceName = resourceTopic, r.topics[i].name
		req.Resources = append(req.Resources, rr)
	}
	resp, err := do[*kmsg.DescribeConfigsResponse](ctx, s.admin, req)
	if err != nil {
		return err
	}
	for i := range resp.Resources {
		rr := &resp.Resources[i]
		if err := codeError(rr.ErrorCode, rr.ErrorMessage); err != nil {
			return err
		}
		at := slices.IndexFunc(r.topics, func(t topicDescription) bool {
			return t.name == rr.ResourceName
		})
		if at >= 0 {
			r.topics[at].takeConfigs(rr.Configs)
		}
	}
	return nil
}

func (t *topicDescription) takeConfigs(configs []kmsg.DescribeConfigsResponseResourceConfig) {
	for i := range configs {
		c := &configs[i]
		value := "null"
		if c.Value != nil {
			value = *c.Value
		}
		if c.Name == "min.insync.replicas" {
			t.minISR, _ = strconv.Atoi(value)
		}
		if c.Source != sourceDefault && !c.IsDefault {
			t.overrides = append(t.overrides, configEntry{c.Name, value})
		}
	}
	slices.SortFunc(t.overrides, func(a, b configEntry) int {
		return strings.Compare(a.name, b.name)
	})
}

// addReassignments marks partitions that are being moved. A broker that cannot tell has none.
func (s *brokerTopics) addReassignments(ctx context.Context, r *topicReport) {
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	resp, err := do[*kmsg.ListPartitionReassignmentsResponse](ctx, s.admin, req)
	if err != nil {
		return
	}
	for i := range resp.Topics {
		rt := &resp.Topics[i]
		for j := range rt.Partitions {
			rp := &rt.Partitions[j]
			for k := range r.topics {
				if r.topics[k].name == rt.Topic {
					r.topics[k].reassign(rp.Partition, rp.AddingReplicas, rp.RemovingReplicas)
				}
			}
		}
	}
}

func (t *topicDescription) reassign(partition int32, adding, removing []int32) {
	for i := range t.partitions {
		if d := &t.partitions[i]; d.index == partition {
			d.adding, d.removing, d.reassigned = adding, removing, true
		}
	}
}

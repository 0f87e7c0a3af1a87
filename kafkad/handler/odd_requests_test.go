package handler

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/errcode"
)

// An entry with name and id is the fault of the whole request; nothing is deleted.
func TestDeleteByNameAndID(t *testing.T) {
	h, _ := metaHandlers(t, nil)
	name := "t"
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version = 6
	req.Topics = []kmsg.DeleteTopicsRequestTopic{
		{Topic: &name}, {Topic: &name, TopicID: [16]byte{1}}, {TopicID: [16]byte{2}},
	}
	resp := h.handleDeleteTopics(t.Context(), &Conn{}, req).(*kmsg.DeleteTopicsResponse)
	for i, rt := range resp.Topics {
		if errcode.Code(rt.ErrorCode) != errcode.InvalidRequest || rt.TopicID != req.Topics[i].TopicID {
			t.Errorf("entry %d: %+v", i, rt)
		}
	}
	if len(resp.Topics) != 3 || h.Store.Image().Topic(name) == nil {
		t.Errorf("%+v", resp)
	}
}

// So is a resource of a type that nobody knows.
func TestDescribeUnknownResource(t *testing.T) {
	h, _ := metaHandlers(t, nil)
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.Version = 4
	req.Resources = []kmsg.DescribeConfigsRequestResource{
		{ResourceType: topicResource, ResourceName: "t"}, {ResourceType: 99, ResourceName: "x"},
	}
	resp := h.handleDescribeConfigs(t.Context(), &Conn{}, req).(*kmsg.DescribeConfigsResponse)
	for i, r := range resp.Resources {
		if errcode.Code(r.ErrorCode) != errcode.InvalidRequest || len(r.Configs) != 0 ||
			r.ResourceType != req.Resources[i].ResourceType {
			t.Errorf("resource %d: %+v", i, r)
		}
	}
}

// A producer that gives an id without epoch, or an epoch without id, makes no sense.
func TestProducerIDWithoutEpoch(t *testing.T) {
	h, _ := metaHandlers(t, nil)
	for _, tc := range []struct {
		id    int64
		epoch int16
	}{{5, -1}, {-1, 0}} {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.Version, req.ProducerID, req.ProducerEpoch = 3, tc.id, tc.epoch
		resp := h.handleInitProducerID(t.Context(), &Conn{}, req).(*kmsg.InitProducerIDResponse)
		if errcode.Code(resp.ErrorCode) != errcode.InvalidRequest || resp.ProducerID != -1 ||
			resp.ProducerEpoch != -1 {
			t.Errorf("%+v: %+v", tc, resp)
		}
	}
}

// A request for metadata that has an id asks by id alone, for each topic once.
func TestMetadataByIDAlone(t *testing.T) {
	h, _ := metaHandlers(t, nil)
	name, gone := "t", [16]byte{9, 9}
	id := h.Store.Image().Topic(name).ID
	req := kmsg.NewPtrMetadataRequest()
	req.Version = 12
	req.Topics = []kmsg.MetadataRequestTopic{
		{Topic: &name}, {TopicID: gone}, {TopicID: gone}, {Topic: &name},
	}
	if id != [16]byte{} {
		req.Topics = append(req.Topics, kmsg.MetadataRequestTopic{TopicID: id})
	}
	resp := h.handleMetadata(t.Context(), &Conn{}, req).(*kmsg.MetadataResponse)
	var codes []errcode.Code
	for _, rt := range resp.Topics {
		codes = append(codes, errcode.Code(rt.ErrorCode))
	}
	want := []errcode.Code{errcode.UnknownTopicID, errcode.None}[:len(req.Topics)-3]
	if !slices.Equal(codes, want) {
		t.Errorf("%v, want %v", codes, want)
	}
}

// While ZooKeeper is away the settings that were read last are described, before clients give up.
func TestDescribeConfigsWithoutZooKeeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f := metaHandlers(t, nil)
		f.away, f.overrides = true, map[string]string{"retention.ms": "5"}
		req := kmsg.NewPtrDescribeConfigsRequest()
		req.Version = 4
		for range 3 {
			q := kmsg.NewDescribeConfigsRequestResource()
			q.ResourceType, q.ResourceName = topicResource, "t"
			q.ConfigNames = []string{"retention.ms"}
			req.Resources = append(req.Resources, q)
		}
		begin := time.Now()
		resp := h.handleDescribeConfigs(t.Context(), &Conn{}, req).(*kmsg.DescribeConfigsResponse)
		if took := time.Since(begin); took > storedConfigWait {
			t.Errorf("it took %v", took)
		}
		for _, rr := range resp.Resources {
			if len(rr.Configs) != 1 || *rr.Configs[0].Value != "5" {
				t.Errorf("%+v", rr)
			}
		}
	})
}

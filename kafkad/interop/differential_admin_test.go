//go:build interop

package interop

import (
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// administer is a request about topics and their settings. Those that change something are about
// topics that nobody writes to, because brokers take settings over when they come to it.
func (g *requests) administer() request {
	switch g.r.IntN(12) {
	case 0, 1, 2:
		return g.createTopics()
	case 3:
		return g.deleteTopics()
	case 4, 5:
		return g.createPartitions()
	case 6, 7:
		return g.describeConfigs()
	case 8, 9:
		return g.alterConfigs()
	}
	return g.incrementalAlterConfigs()
}

// adminName picks a topic of the admin requests; it may be there or not.
func (g *requests) adminName() string {
	if len(g.admin) > 0 && g.chance(60) {
		names := slices.Sorted(maps.Keys(g.admin))
		return names[g.r.IntN(len(names))]
	}
	return one(g, "a0", "a1", "a2", "a3", "a4", "a5", "a.b", "a_b")
}

func (g *requests) createTopics() request {
	req := versioned(kmsg.NewPtrCreateTopicsRequest(), g.version(7))
	req.TimeoutMillis = one[int32](g, 20000, 20000, 20000, 0, -1)
	req.ValidateOnly = req.Version >= 1 && g.chance(30)
	q := request{req: req}
	seen := map[string]bool{}
	for range one(g, 1, 1, 1, 2, 3) {
		ct := kmsg.NewCreateTopicsRequestTopic()
		ct.Topic = g.adminName()
		collides := strings.ContainsAny(ct.Topic, "._") // with another name of the request
		if seen[ct.Topic] && (collides || g.chance(80)) || collides && seen["a.b"] || collides &&
			seen["a_b"] {
			continue
		}
		seen[ct.Topic] = true
		ct.NumPartitions, ct.ReplicationFactor = one[int32](g, 1, 2, 3, -1), one[int16](g, 1, 1, -1)
		_, exists := g.admin[ct.Topic]
		switch n := g.r.IntN(20); {
		case exists || collides:
		case n == 0:
			ct.NumPartitions = one[int32](g, 0, -2)
		case n == 1:
			ct.ReplicationFactor = one[int16](g, 0, -2, 2, 7)
		case n < 4:
			ct.NumPartitions, ct.ReplicationFactor = -1, -1
			ct.ReplicaAssignment = g.assignment()
		case n == 4:
			ct.ReplicaAssignment = g.assignment()[:1]
		case n == 5:
			ct.Topic = one(g, "", ".", "..", "a b", "ä", "a/b", strings.Repeat("x", 250), "\x00")
		case n < 12:
			name, value := g.setting()
			c := kmsg.NewCreateTopicsRequestTopicConfig()
			c.Name, c.Value = name, value
			ct.Configs = append(ct.Configs, c)
		}
		req.Topics = append(req.Topics, ct)
		if exists || !req.ValidateOnly {
			q.settles = append(q.settles, ct.Topic)
		}
	}
	q.settles = slices.DeleteFunc(q.settles, func(s string) bool { return !settleable(s) })
	return q
}

// settleable tells whether a topic can have that name.
func settleable(name string) bool {
	return strings.HasPrefix(name, "a") && len(name) < 10 && !strings.ContainsAny(name, " /ä")
}

func (g *requests) assignment() []kmsg.CreateTopicsRequestTopicReplicaAssignment {
	of := func(partition int32, replicas ...int32) kmsg.CreateTopicsRequestTopicReplicaAssignment {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = partition, replicas
		return a
	}
	// No partition without replicas or on a broker that is not there: Apache's controller takes it
	// and never finds a leader. Nor number -1, which is UNKNOWN_SERVER_ERROR upstream.
	type list = []kmsg.CreateTopicsRequestTopicReplicaAssignment
	return one(g, list{of(0, 0)}, list{of(0, 0), of(1, 0)}, list{of(1, 0), of(0, 0)}, list{of(1, 0)},
		list{of(0, 0, 0)})
}

// setting is a setting of a topic, right or wrong.
func (g *requests) setting() (string, *string) {
	good := [][2]string{
		{"retention.ms", "5000"}, {"retention.ms", "-1"}, {"cleanup.policy", "compact"},
		{"cleanup.policy", "compact,delete"}, {"segment.bytes", "2000"}, {"max.message.bytes", "100"},
		{"compression.type", "zstd"}, {"compression.type", "producer"}, {"min.insync.replicas", "2"},
		{"message.timestamp.type", "LogAppendTime"}, {"flush.messages", "1"}, {"preallocate", "true"},
		{"unclean.leader.election.enable", "true"}, {"min.cleanable.dirty.ratio", "0.25"},
		{"message.timestamp.before.max.ms", "1"}, {"compression.zstd.level", "5"},
		{"follower.replication.throttled.replicas", "*"}, {"retention.bytes", "12"},
		{"compression.gzip.level", "9"}, {"file.delete.delay.ms", "0"},
		{"leader.replication.throttled.replicas", "0:0,1:0"}, {"message.downconversion.enable", "false"},
	}
	bad := [][2]string{
		{"retention.ms", "x"}, {"retention.ms", "-2"}, {"cleanup.policy", "shred"},
		{"segment.bytes", "13"}, {"segment.bytes", "99999999999"}, {"max.message.bytes", "-1"},
		{"compression.type", "rar"}, {"min.insync.replicas", "0"}, {"nothing.known", "1"}, {"", ""},
		{"message.timestamp.type", "Sometime"}, {"preallocate", "yes"}, {"retention.bytes", ""},
		{"min.cleanable.dirty.ratio", "1.5"}, {"compression.zstd.level", "99"}, {"cleanup.policy", ""},
		{"follower.replication.throttled.replicas", "a:b"}, {"flush.ms", "1.5"},
		{"compression.gzip.level", "0"}, {"compression.lz4.level", "18"}, {"segment.ms", "0"},
		{"min.cleanable.dirty.ratio", "much"},
	}
	switch {
	case g.chance(5):
		return "retention.ms", nil
	case g.chance(30):
		s := bad[g.r.IntN(len(bad))]
		return s[0], &s[1]
	}
	s := good[g.r.IntN(len(good))]
	return s[0], &s[1]
}

func (g *requests) deleteTopics() request {
	req := versioned(kmsg.NewPtrDeleteTopicsRequest(), g.version(6))
	req.TimeoutMillis = one[int32](g, 20000, 20000, 20000, 0, -1)
	q := request{req: req}
	var names []string
	for range one(g, 1, 1, 2) {
		if name := g.adminName(); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	q.settles = slices.Clone(names)
	if g.chance(10) {
		names = append(names, one(g, "", "no/pe", "nope2"))
	}
	if req.Version < 6 {
		req.TopicNames = names
		return q
	}
	for _, name := range names {
		rt := kmsg.NewDeleteTopicsRequestTopic()
		if g.chance(50) {
			rt.TopicID = g.id(name)
		} else {
			rt.Topic = &name
		}
		if g.chance(4) {
			rt.Topic, rt.TopicID = &name, g.id(name)
		}
		req.Topics = append(req.Topics, rt)
	}
	return q
}

func (g *requests) createPartitions() request {
	req := versioned(kmsg.NewPtrCreatePartitionsRequest(), g.version(3))
	req.TimeoutMillis = one[int32](g, 20000, 20000, 20000, 0, -1)
	req.ValidateOnly = g.chance(40)
	rt := kmsg.NewCreatePartitionsRequestTopic()
	rt.Topic = g.adminName()
	if g.chance(4) {
		rt.Topic = one(g, "no/pe", "nope2") // not "", which is UNKNOWN_SERVER_ERROR upstream
	}
	n := int32(g.admin[rt.Topic])
	rt.Count = one(g, n+1, n+1, n+2, n, n-1, 0, -1, n+1)
	if added := rt.Count - n; n > 0 && added > 0 && g.chance(40) {
		for range one(g, added, added, added, added-1, added+1) {
			a := kmsg.NewCreatePartitionsRequestTopicAssignment()
			a.Replicas = []int32{0}
			rt.Assignment = append(rt.Assignment, a)
		}
		if len(rt.Assignment) == int(added) && g.chance(40) {
			rt.Assignment[0].Replicas = one(g, []int32{9}, []int32{0, 0}, []int32{-1})
		}
	}
	req.Topics = append(req.Topics, rt)
	if g.chance(3) {
		req.Topics = append(req.Topics, rt)
	}
	return request{req: req, settles: []string{rt.Topic}}.onlySettleable()
}

func (q request) onlySettleable() request {
	q.settles = slices.DeleteFunc(q.settles, func(s string) bool { return !settleable(s) })
	return q
}

// resource is what a configuration request is about.
func (g *requests) resource() (kmsg.ConfigResourceType, string) {
	switch g.r.IntN(20) {
	case 0:
		return kmsg.ConfigResourceTypeTopic, one(g, "", "nope2", "no/pe", strings.Repeat("x", 250))
	case 1:
		return one[kmsg.ConfigResourceType](g, 0, 1, 3, 16, 32, 99, -1), "0"
	case 2:
		return kmsg.ConfigResourceTypeBroker, one(g, "1", "x", "99999999999", "-1")
	}
	return kmsg.ConfigResourceTypeTopic, g.adminName()
}

func (g *requests) describeConfigs() request {
	req := versioned(kmsg.NewPtrDescribeConfigsRequest(), g.version(4))
	req.IncludeSynonyms, req.IncludeDocumentation = g.chance(50), g.chance(20)
	for range one(g, 1, 1, 2) {
		rr := kmsg.NewDescribeConfigsRequestResource()
		rr.ResourceType, rr.ResourceName = g.resource()
		switch g.r.IntN(4) {
		case 0:
			rr.ConfigNames = []string{"retention.ms", "nothing.known", "cleanup.policy", "retention.ms"}
		case 1:
			rr.ConfigNames = []string{}
		}
		if g.chance(15) {
			rr.ResourceType = kmsg.ConfigResourceTypeBroker
			rr.ResourceName = one(g, "0", "0", "")
			rr.ConfigNames = []string{"num.partitions", "log.retention.ms", "message.max.bytes"}
		}
		req.Resources = append(req.Resources, rr)
	}
	return request{req: req}
}

func (g *requests) alterConfigs() request {
	req := versioned(kmsg.NewPtrAlterConfigsRequest(), g.version(2))
	req.ValidateOnly = g.chance(30)
	rr := kmsg.NewAlterConfigsRequestResource()
	rr.ResourceType, rr.ResourceName = g.resource()
	if g.chance(80) {
		c := kmsg.NewAlterConfigsRequestResourceConfig()
		c.Name, c.Value = g.setting()
		rr.Configs = append(rr.Configs, c)
		if other, value := "retention.bytes", "77"; g.chance(25) && c.Name != other {
			c.Name, c.Value = other, &value
			rr.Configs = append(rr.Configs, c)
		}
	}
	req.Resources = append(req.Resources, rr) // not twice: Apache's broker never answers
	return request{req: req}
}

func (g *requests) incrementalAlterConfigs() request {
	req := versioned(kmsg.NewPtrIncrementalAlterConfigsRequest(), g.version(1))
	req.ValidateOnly = g.chance(30)
	rr := kmsg.NewIncrementalAlterConfigsRequestResource()
	rr.ResourceType, rr.ResourceName = g.resource()
	if g.chance(97) {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value = g.setting()
		c.Op = one(g, kmsg.IncrementalAlterConfigOpSet, kmsg.IncrementalAlterConfigOpSet,
			kmsg.IncrementalAlterConfigOpDelete, kmsg.IncrementalAlterConfigOpAppend,
			kmsg.IncrementalAlterConfigOpSubtract)
		if g.chance(30) { // a list
			value := one(g, "delete", "compact", "delete,compact", "compact,delete", "shred")
			c.Name, c.Value = "cleanup.policy", &value
		}
		editing := c.Op == kmsg.IncrementalAlterConfigOpAppend ||
			c.Op == kmsg.IncrementalAlterConfigOpSubtract
		// Apache answers UNKNOWN_SERVER_ERROR, to operations it does not know too; and see
		// TestInteropDifferentialRecords.
		if known := c.Name != "nothing.known" && c.Name != ""; editing && (!known ||
			c.Value != nil && *c.Value == "") {
			c.Op = kmsg.IncrementalAlterConfigOpSet
		}
		rr.Configs = append(rr.Configs, c)
		if g.chance(3) {
			rr.Configs = append(rr.Configs, c)
		}
	}
	req.Resources = append(req.Resources, rr)
	if g.chance(3) {
		req.Resources = append(req.Resources, rr)
	}
	return request{req: req}
}

// metadata asks for topics by name or id, or for all. It may create some.
func (g *requests) metadata() request {
	req := versioned(kmsg.NewPtrMetadataRequest(), g.version(12))
	req.AllowAutoTopicCreation = g.chance(40)
	req.IncludeClusterAuthorizedOperations = g.chance(30)
	req.IncludeTopicAuthorizedOperations = g.chance(30)
	q := request{req: req}
	if g.chance(15) {
		if req.Topics = nil; req.Version == 0 || g.chance(40) {
			req.Topics = []kmsg.MetadataRequestTopic{}
		}
		return q
	}
	for range one(g, 1, 1, 2, 3) {
		rt := kmsg.NewMetadataRequestTopic()
		name := one(g, g.adminName(), exactNames[g.r.IntN(len(exactNames))], "auto1", "auto2", "auto3")
		switch g.r.IntN(10) {
		case 0:
			name = one(g, "", ".", "a b", strings.Repeat("x", 250))
		case 1, 2:
			if req.Version >= 10 {
				rt.TopicID = g.id(name)
			}
		}
		// Neither name nor id is UNKNOWN_SERVER_ERROR upstream.
		if rt.Topic = &name; rt.TopicID != [16]byte{} && g.chance(80) {
			rt.Topic = nil
		}
		req.Topics = append(req.Topics, rt)
		q.settles = append(q.settles, name)
	}
	return q.onlySettleable()
}

package handler

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/config"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/metastore"
)

// Resource types of the configuration requests.
const (
	topicResource         = kmsg.ConfigResourceTypeTopic
	brokerResource        = kmsg.ConfigResourceTypeBroker
	loggerResource        = kmsg.ConfigResourceTypeBrokerLogger
	clientMetricsResource = kmsg.ConfigResourceType(16)
)

// Where a value came from, beyond what config knows: dynamic broker settings and loggers.
const (
	sourceDynamicBroker  = kmsg.ConfigSource(2)
	sourceDynamicDefault = kmsg.ConfigSource(3)
	sourceLogger         = kmsg.ConfigSource(6)
)

const malformed = "This most likely occurs because of a request being malformed by the client " +
	"library or the message was sent to an incompatible broker. See the broker logs for more " +
	"details."

// DescribeConfigs (32), versions 0 to 4: synonyms from 1, types and documentation from 3. No names,
// or an empty list, means all. Version 0's "is default" stays false, as in a 3.9 broker.
func (h *Handlers) handleDescribeConfigs(
	ctx context.Context, _ *Conn, req *kmsg.DescribeConfigsRequest,
) kmsg.Response {
	resp := kmsg.NewPtrDescribeConfigsResponse()
	ctx, cancel := context.WithTimeout(ctx, storedConfigWait)
	defer cancel()
	// A type that upstream does not know is the fault of the whole request.
	foreign := slices.ContainsFunc(req.Resources, func(q kmsg.DescribeConfigsRequestResource) bool {
		return !knownResource(q.ResourceType)
	})
	for i := range req.Resources {
		q := &req.Resources[i]
		rr := kmsg.NewDescribeConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = q.ResourceType, q.ResourceName
		var entries []describedConfig
		var code errcode.Code
		message := ""
		switch kind := q.ResourceType; {
		case foreign:
			code, message = errcode.InvalidRequest, malformed
		case kind == topicResource:
			entries, code, message = h.describeTopic(ctx, q.ResourceName)
		case kind == brokerResource:
			entries, code, message = h.describeBroker(q.ResourceName)
		case kind == loggerResource:
			entries, code, message = h.describeLoggers(q.ResourceName)
		case kind == clientMetricsResource:
			code = errcode.InvalidRequest
			message = "Config type client-metrics is only supported on KRaft clusters"
		}
		rr.ErrorCode, rr.ErrorMessage = int16(code), &message
		for _, e := range entries {
			if len(q.ConfigNames) == 0 || slices.Contains(q.ConfigNames, e.Name) {
				rr.Configs = append(rr.Configs, e.render(req))
			}
		}
		resp.Resources = append(resp.Resources, rr)
	}
	return resp
}

// describedConfig is a setting to show: an entry of config with sources that may be dynamic.
type describedConfig struct {
	config.Entry
	source   kmsg.ConfigSource
	synonyms []kmsg.DescribeConfigsResponseResourceConfigConfigSynonym
}

func described(e config.Entry) describedConfig {
	d := describedConfig{Entry: e, source: kmsg.ConfigSource(e.Source)}
	for _, s := range e.Synonyms {
		d.synonyms = append(d.synonyms, synonym(s.Name, s.Value, kmsg.ConfigSource(s.Source)))
	}
	return d
}

func synonym(
	name string, value *string, source kmsg.ConfigSource,
) kmsg.DescribeConfigsResponseResourceConfigConfigSynonym {
	s := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
	s.Name, s.Value, s.Source = name, value, source
	return s
}

// override puts a dynamic value in front.
func (d *describedConfig) override(value string, source kmsg.ConfigSource) {
	v := &value
	if d.Sensitive {
		v = nil
	}
	d.Value, d.source = v, source
	d.synonyms = slices.Insert(d.synonyms, 0, synonym(d.Name, v, source))
}

func (d *describedConfig) render(
	req *kmsg.DescribeConfigsRequest,
) kmsg.DescribeConfigsResponseResourceConfig {
	rc := kmsg.NewDescribeConfigsResponseResourceConfig()
	rc.Name, rc.Value, rc.Source = d.Name, d.Value, d.source
	rc.ReadOnly, rc.IsSensitive = d.ReadOnly, d.Sensitive
	if req.IncludeSynonyms {
		rc.ConfigSynonyms = d.synonyms
	}
	if d.Key == nil { // a logger
		rc.Documentation = new(string)
		return rc
	}
	rc.ConfigType = kmsg.ConfigType(d.Key.Type)
	if req.IncludeDocumentation {
		rc.Documentation = &d.Key.Doc
	}
	return rc
}

func (h *Handlers) describeTopic(ctx context.Context, name string) (
	[]describedConfig, errcode.Code, string,
) {
	if text := cluster.TopicNameError(name); text != "" {
		return nil, errcode.InvalidTopicException, text
	}
	if h.Store.Image().Topic(name) == nil {
		return nil, errcode.UnknownTopicOrPartition, ""
	}
	var list []describedConfig
	for _, e := range config.DescribeTopic(h.Meta.Config, h.storedConfig(ctx, name)) {
		list = append(list, described(e))
	}
	return list, errcode.None, ""
}

// storedConfigWait is how long a DescribeConfigs request waits for ZooKeeper, for all its topics
// together: clients wait for 30 s, and shall be answered while ZooKeeper is away.
const storedConfigWait = 2 * time.Second

// storedConfig is what ZooKeeper holds for a topic now: who has just changed a setting wants to see
// it, although this broker may not have come to it. Without ZooKeeper it is what was read last.
func (h *Handlers) storedConfig(ctx context.Context, topic string) (overrides map[string]string) {
	const dryRun = true
	err := h.Meta.Topics.AlterConfig(ctx, metastore.TopicEntity(topic), dryRun,
		func(now map[string]string) error {
			overrides = now
			return nil
		})
	if err != nil {
		h.log().Warn("settings may be out of date", zap.String("TOPIC", topic), zap.Error(err))
		return h.Meta.Topics.TopicConfig(topic)
	}
	return overrides
}

// describeBroker describes this broker, or, without a name, the cluster-wide dynamic settings.
func (h *Handlers) describeBroker(name string) ([]describedConfig, errcode.Code, string) {
	own, defaults := h.Meta.Topics.BrokerConfig()
	var list []describedConfig
	if name == "" {
		for _, e := range config.DescribeBroker(h.Meta.Config) {
			if v, ok := defaults[e.Name]; ok && !e.ReadOnly {
				d := describedConfig{Entry: e}
				d.override(v, sourceDynamicDefault)
				list = append(list, d)
			}
		}
		return list, errcode.None, ""
	}
	if message := h.otherBroker(name, "Unexpected broker id, expected %d or empty string, "+
		"but received %s"); message != "" {
		return nil, errcode.InvalidRequest, message
	}
	for _, e := range config.DescribeBroker(h.Meta.Config) {
		d := described(e)
		if v, ok := defaults[e.Name]; ok && !e.ReadOnly {
			d.override(v, sourceDynamicDefault)
		}
		if v, ok := own[e.Name]; ok && !e.ReadOnly {
			d.override(v, sourceDynamicBroker)
		}
		list = append(list, d)
	}
	return list, errcode.None, ""
}

// describeLoggers has one logger to show, the root of all.
func (h *Handlers) describeLoggers(name string) ([]describedConfig, errcode.Code, string) {
	message := "Broker id must not be empty"
	if name != "" {
		message = h.otherBroker(name, "Unexpected broker id, expected %d but received %s")
	}
	if message != "" {
		return nil, errcode.InvalidRequest, message
	}
	level := "INFO"
	if h.Meta.LogLevel != nil {
		level = h.Meta.LogLevel()
	}
	root := describedConfig{Entry: config.Entry{Name: "root", Value: &level}, source: sourceLogger}
	return []describedConfig{root}, errcode.None, ""
}

// otherBroker says why name is not this broker's id, "" if it is; format takes our id and name.
func (h *Handlers) otherBroker(name, format string) string {
	id, err := strconv.ParseInt(name, 10, 32)
	switch {
	case err != nil:
		return "Broker id must be an integer, but it is: " + name
	case int32(id) != h.NodeID:
		return fmt.Sprintf(format, h.NodeID, name)
	}
	return ""
}

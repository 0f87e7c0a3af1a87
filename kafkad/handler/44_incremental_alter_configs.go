package handler

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"zkafka/kafkad/config"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/metastore"
)

// IncrementalAlterConfigs (44), versions 0 and 1: sets, deletes, appends to and subtracts from
// settings of topics and dynamic settings of brokers. AlterConfigs (33) is below it, because it
// is the same with "set these, delete all others".
//
// Of the dynamic broker settings those are accepted that take effect in a running broker here: the
// defaults of topics. Others are refused.

// alteration is one resource of either request.
type alteration struct {
	kind    kmsg.ConfigResourceType
	name    string
	replace bool // delete what is not named
	ops     []alterOp
}

type alterOp struct {
	name  string
	kind  kmsg.IncrementalAlterConfigOp
	value *string
}

func (h *Handlers) handleIncrementalAlterConfigs(
	ctx context.Context, _ *Conn, req *kmsg.IncrementalAlterConfigsRequest,
) kmsg.Response {
	resp := kmsg.NewPtrIncrementalAlterConfigsResponse()
	alts := make([]alteration, len(req.Resources))
	for i := range req.Resources {
		q := &req.Resources[i]
		alts[i] = alteration{kind: q.ResourceType, name: q.ResourceName}
		for _, c := range q.Configs {
			alts[i].ops = append(alts[i].ops, alterOp{c.Name, c.Op, c.Value})
		}
	}
	for i, a := range alts {
		rr := kmsg.NewIncrementalAlterConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = a.kind, a.name
		code, message := h.alter(ctx, alts, i, req.ValidateOnly)
		rr.ErrorCode, rr.ErrorMessage = int16(code), nullable(message)
		resp.Resources = append(resp.Resources, rr)
	}
	return resp
}

// handleAlterConfigs answers AlterConfigs (33), versions 0 to 2.
func (h *Handlers) handleAlterConfigs(
	ctx context.Context, _ *Conn, req *kmsg.AlterConfigsRequest,
) kmsg.Response {
	resp := kmsg.NewPtrAlterConfigsResponse()
	alts := make([]alteration, len(req.Resources))
	for i := range req.Resources {
		q := &req.Resources[i]
		alts[i] = alteration{kind: q.ResourceType, name: q.ResourceName, replace: true}
		for _, c := range q.Configs {
			alts[i].ops = append(alts[i].ops,
				alterOp{c.Name, kmsg.IncrementalAlterConfigOpSet, c.Value})
		}
	}
	for i, a := range alts {
		rr := kmsg.NewAlterConfigsResponseResource()
		rr.ResourceType, rr.ResourceName = a.kind, a.name
		code, message := h.alter(ctx, alts, i, req.ValidateOnly)
		rr.ErrorCode, rr.ErrorMessage = int16(code), nullable(message)
		resp.Resources = append(resp.Resources, rr)
	}
	return resp
}

// knownResource tells whether upstream knows resources of the type.
func knownResource(kind kmsg.ConfigResourceType) bool {
	switch kind {
	case topicResource, brokerResource, loggerResource, clientMetricsResource:
		return true
	}
	return false
}

// refusal is why a change of a configuration cannot be, with upstream's message.
type refusal struct {
	code errcode.Code
	text string
}

func (r refusal) Error() string { return r.text }

func deny(code errcode.Code, format string, args ...any) error {
	return refusal{code, fmt.Sprintf(format, args...)}
}

// alter carries out alts[i].
func (h *Handlers) alter(
	ctx context.Context, alts []alteration, i int, dry bool,
) (errcode.Code, string) {
	err := h.tryAlter(ctx, alts, i, dry)
	var r refusal
	var code errcode.Code
	switch {
	case err == nil:
		return errcode.None, ""
	case errors.As(err, &r):
		return r.code, r.text
	case errors.As(err, &code):
		return code, ""
	case ctx.Err() != nil:
		return errcode.RequestTimedOut, err.Error()
	}
	return errcode.UnknownServerError, err.Error()
}

func (h *Handlers) tryAlter(ctx context.Context, alts []alteration, i int, dry bool) error {
	a := &alts[i]
	if err := a.wellFormed(alts, i); err != nil {
		return err
	}
	switch a.kind {
	case topicResource:
		return h.alterTopic(ctx, a, dry)
	case brokerResource:
		return h.alterBroker(ctx, a, dry)
	case loggerResource:
		return deny(errcode.InvalidRequest, "log levels of kafkad are set in its configuration")
	case clientMetricsResource:
		return deny(errcode.InvalidRequest, "AlterConfigs is only supported for topics and brokers, "+
			"but resource type is CLIENT_METRICS")
	}
	return deny(errcode.InvalidRequest, "Unknown resource type %d", a.kind)
}

// wellFormed checks what upstream checks of a request before it looks at the resource.
func (a *alteration) wellFormed(alts []alteration, i int) error {
	for n, b := range alts {
		if n != i && a.kind == b.kind && a.name == b.name {
			return deny(errcode.InvalidRequest, "Each resource must appear at most once.")
		}
	}
	seen := map[string]bool{}
	var nulls []string
	twice := false
	for _, op := range a.ops {
		if op.value == nil && op.kind != kmsg.IncrementalAlterConfigOpDelete {
			nulls = append(nulls, op.name)
		}
		if seen[op.name] {
			twice = true
		}
		seen[op.name] = true
	}
	switch {
	case twice:
		return deny(errcode.InvalidRequest, "Error due to duplicate config keys")
	case len(nulls) > 0:
		return deny(errcode.InvalidRequest, "Null value not supported for : %s",
			strings.Join(nulls, ","))
	}
	return nil
}

func (h *Handlers) alterTopic(ctx context.Context, a *alteration, dry bool) error {
	if a.name == "" {
		return deny(errcode.InvalidRequest, "Default topic resources are not allowed.")
	}
	if h.Store.Image().Topic(a.name) == nil {
		// What cannot be done to any topic is told first, as upstream.
		if err := a.apply(map[string]string{}, config.TopicKey); err != nil {
			return err
		}
		return deny(errcode.UnknownTopicOrPartition, "The topic '%s' does not exist.", a.name)
	}
	entity := metastore.TopicEntity(a.name)
	return h.Meta.Topics.AlterConfig(ctx, entity, dry, func(settings map[string]string) error {
		if err := a.apply(settings, config.TopicKey); err != nil {
			return err
		}
		if _, err := config.ParseTopicOverrides(settings); err != nil {
			text := err.Error()
			if strings.HasPrefix(text, "Invalid value ") {
				text = fmt.Sprintf("Invalid config value for resource ConfigResource(type=TOPIC, "+
					"name='%s'): %s", a.name, text)
			}
			return deny(errcode.InvalidConfig, "%s", text)
		}
		return nil
	})
}

func (h *Handlers) alterBroker(ctx context.Context, a *alteration, dry bool) error {
	entity := metastore.AllBrokers
	if a.name != "" {
		id, err := strconv.ParseInt(a.name, 10, 32)
		if err != nil {
			return deny(errcode.InvalidRequest, "Node id must be an integer, but it is: %s", a.name)
		}
		if int32(id) != h.NodeID {
			return deny(errcode.InvalidRequest,
				"Unexpected broker id, expected %d, but received %s", h.NodeID, a.name)
		}
		entity = metastore.BrokerEntity(h.NodeID)
	}
	defaults := brokerToTopic()
	for _, op := range a.ops {
		k, known := config.BrokerKey(op.name)
		switch {
		case !known || k.Dynamic == config.ReadOnly:
			return deny(errcode.InvalidRequest,
				"Cannot update these configs dynamically: Set(%s)", op.name)
		case defaults[op.name] == "":
			return deny(errcode.InvalidRequest,
				"this version of kafkad takes %s from its configuration file only", op.name)
		}
	}
	return h.Meta.Topics.AlterConfig(ctx, entity, dry, func(settings map[string]string) error {
		if err := a.apply(settings, config.BrokerKey); err != nil {
			return err
		}
		checked := map[string]string{}
		for name, value := range settings {
			if defaults[name] != "" {
				checked[name] = value
			}
		}
		_, err := config.New(checked)
		var faults config.Errors
		if errors.As(err, &faults) && len(faults) > 0 {
			return deny(errcode.InvalidRequest, "%s", faults[0].Message)
		}
		if err != nil {
			return deny(errcode.InvalidRequest, "%s", err)
		}
		return nil
	})
}

// brokerToTopic maps broker settings to the topic settings they are the default of, in the same
// unit.
func brokerToTopic() map[string]string {
	m := map[string]string{}
	for _, k := range config.TopicKeys() {
		if len(k.Synonyms) > 0 {
			m[k.Synonyms[0]] = k.Name
		}
	}
	return m
}

// apply performs the operations on settings.
func (a *alteration) apply(
	settings map[string]string, key func(string) (*config.Key, bool),
) error {
	if a.replace {
		clear(settings)
	}
	for _, op := range a.ops {
		switch op.kind {
		case kmsg.IncrementalAlterConfigOpSet:
			settings[op.name] = *op.value
		case kmsg.IncrementalAlterConfigOpDelete:
			delete(settings, op.name)
		case kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
			if err := op.edit(settings, key); err != nil {
				return err
			}
		default:
			return deny(errcode.InvalidRequest, "Unknown operation %d", op.kind)
		}
	}
	return nil
}

// edit appends to or subtracts from a list, which starts as the setting's default.
func (op *alterOp) edit(
	settings map[string]string, key func(string) (*config.Key, bool),
) error {
	verb := "append"
	if op.kind == kmsg.IncrementalAlterConfigOpSubtract {
		verb = "subtract"
	}
	k, ok := key(op.name)
	if !ok {
		return deny(errcode.InvalidConfig, "Unknown config name: %s", op.name)
	}
	if k.Type != config.List {
		return deny(errcode.InvalidConfig,
			"Config value %s is not allowed for config key: %s", verb, op.name)
	}
	text, set := settings[op.name]
	if !set && k.Default != nil {
		text = *k.Default
	}
	list := listItems(text)
	for _, item := range listItems(*op.value) {
		has := slices.Contains(list, item)
		switch {
		case verb == "append" && !has:
			list = append(list, item)
		case verb == "subtract" && has:
			list = slices.DeleteFunc(list, func(s string) bool { return s == item })
		}
	}
	settings[op.name] = strings.Join(list, ",")
	return nil
}

// listItems splits a list setting; empty text is no item.
func listItems(text string) []string {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// Package znode knows the bytes of Kafka's znodes (docs/format/znodes.md): paths, and what the
// nodes hold. Pure. Writers produce what a 3.9 broker produces, down to the order of keys, so that
// trees can be compared; readers take any order, ignore what they do not know and accept every
// version since 0.8.
package znode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/controller"
)

// The nodes and directories of nodes.
const (
	PathIDs           = "/brokers/ids"
	PathTopics        = "/brokers/topics"
	PathSeqID         = "/brokers/seqid"
	PathController    = "/controller"
	PathEpoch         = "/controller_epoch"
	PathClusterID     = "/cluster/id"
	PathFeature       = "/feature"
	PathProducerIDs   = "/latest_producer_id_block"
	PathDeleteTopics  = "/admin/delete_topics"
	PathReassign      = "/admin/reassign_partitions"
	PathPreferred     = "/admin/preferred_replica_election"
	PathISRChange     = "/isr_change_notification"
	PathLogDirEvent   = "/log_dir_event_notification"
	PathConfigChanges = "/config/changes"
	PathConfigChange  = PathConfigChanges + "/config_change_" // and a number that ZooKeeper adds
	PathTopicConfigs  = "/config/topics"
	PathBrokerConfigs = "/config/brokers"
	DefaultEntity     = "<default>"
)

// InitialPaths exist from a broker's first start on, parents before children.
var InitialPaths = []string{
	"/consumers", "/brokers", PathIDs, PathTopics, "/config", PathConfigChanges, "/admin",
	PathDeleteTopics, PathSeqID, PathISRChange, PathProducerIDs, PathLogDirEvent,
	PathTopicConfigs, "/config/clients", "/config/users", PathBrokerConfigs, "/config/ips",
}

// PathBroker is where a broker registers.
func PathBroker(id int32) string { return PathIDs + "/" + strconv.Itoa(int(id)) }

// PathTopic is a topic's assignment.
func PathTopic(topic string) string { return PathTopics + "/" + topic }

// PathPartitions is the parent of a topic's partitions.
func PathPartitions(topic string) string { return PathTopic(topic) + "/partitions" }

// PathPartition is the parent of a partition's state.
func PathPartition(topic string, index int32) string {
	return PathPartitions(topic) + "/" + strconv.Itoa(int(index))
}

// PathState is a partition's state.
func PathState(topic string, index int32) string { return PathPartition(topic, index) + "/state" }

// PathTopicConfig is a topic's configuration.
func PathTopicConfig(topic string) string { return PathTopicConfigs + "/" + topic }

// PathDeleteTopic marks a topic for deletion.
func PathDeleteTopic(topic string) string { return PathDeleteTopics + "/" + topic }

// object writes a JSON object with keys in the order of the calls.
type object struct{ b bytes.Buffer }

func (o *object) key(name string) *bytes.Buffer {
	if o.b.Len() == 0 {
		o.b.WriteByte('{')
	} else {
		o.b.WriteByte(',')
	}
	o.b.Write(quote(name))
	o.b.WriteByte(':')
	return &o.b
}

func (o *object) str(name, value string) { o.key(name).Write(quote(value)) }
func (o *object) num(name string, v int64) {
	o.key(name).WriteString(strconv.FormatInt(v, 10))
}
func (o *object) raw(name string, b []byte) { o.key(name).Write(b) }

func (o *object) bytes() []byte {
	if o.b.Len() == 0 {
		return []byte("{}")
	}
	o.b.WriteByte('}')
	return o.b.Bytes()
}

// quote is JSON's string form without the escapes for HTML.
func quote(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // strings always encode
	}
	return bytes.TrimRight(b.Bytes(), "\n")
}

func intList(ids []int32) []byte {
	b := []byte{'['}
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(id), 10)
	}
	return append(b, ']')
}

// Registration is what the broker tells the cluster about itself.
type Registration struct {
	Endpoints []cluster.Endpoint // advertised listeners in the configured order
	Rack      string             // "" = none
	JMXPort   int32              // -1 = none
}

// EncodeRegistration is /brokers/ids/N, version 5.
func EncodeRegistration(r Registration, nowMillis int64) []byte {
	var o, protocols object
	var endpoints []string
	host, port := "", int32(-1)
	for _, e := range r.Endpoints {
		protocols.str(e.Listener, e.Protocol.String())
		endpoints = append(endpoints, endpointURL(e))
		if host == "" && e.Protocol == cluster.Plaintext {
			host, port = e.Host, e.Port
		}
	}
	o.raw("features", []byte("{}"))
	o.raw("listener_security_protocol_map", protocols.bytes())
	list := []byte{'['}
	for i, e := range endpoints {
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, quote(e)...)
	}
	o.raw("endpoints", append(list, ']'))
	if r.Rack != "" {
		o.str("rack", r.Rack)
	}
	o.num("jmx_port", int64(r.JMXPort))
	o.num("port", int64(port))
	if host == "" {
		o.raw("host", []byte("null"))
	} else {
		o.str("host", host)
	}
	o.num("version", 5)
	o.str("timestamp", strconv.FormatInt(nowMillis, 10))
	return o.bytes()
}

func endpointURL(e cluster.Endpoint) string {
	host := e.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]" // IPv6
	}
	return e.Listener + "://" + host + ":" + strconv.Itoa(int(e.Port))
}

// DecodeRegistration reads versions 1 to 5 of /brokers/ids/N.
func DecodeRegistration(id int32, data []byte) (cluster.Broker, error) {
	var n struct {
		Version   int               `json:"version"`
		Host      *string           `json:"host"`
		Port      int32             `json:"port"`
		Endpoints []string          `json:"endpoints"`
		Protocols map[string]string `json:"listener_security_protocol_map"`
		Rack      *string           `json:"rack"`
	}
	b := cluster.Broker{ID: id, Epoch: -1}
	if err := json.Unmarshal(data, &n); err != nil {
		return b, fmt.Errorf("reading registration of broker %d: %w", id, err)
	}
	if n.Version < 1 {
		return b, fmt.Errorf("registration of broker %d has version %d", id, n.Version)
	}
	if n.Rack != nil {
		b.Rack = *n.Rack
	}
	if n.Version == 1 {
		if n.Host == nil {
			return b, fmt.Errorf("registration of broker %d names no host", id)
		}
		b.Endpoints = []cluster.Endpoint{{Listener: "PLAINTEXT", Host: *n.Host, Port: n.Port}}
		return b, nil
	}
	for _, url := range n.Endpoints {
		e, err := parseEndpoint(url, n.Protocols)
		if err != nil {
			return b, fmt.Errorf("registration of broker %d: %w", id, err)
		}
		b.Endpoints = append(b.Endpoints, e)
	}
	return b, nil
}

func parseEndpoint(url string, protocols map[string]string) (cluster.Endpoint, error) {
	name, addr, ok := strings.Cut(url, "://")
	colon := strings.LastIndexByte(addr, ':')
	if !ok || colon < 0 {
		return cluster.Endpoint{}, fmt.Errorf("endpoint %q is not NAME://host:port", url)
	}
	host, port := addr[:colon], addr[colon+1:]
	if inner, bracketed := strings.CutPrefix(host, "["); bracketed {
		host = strings.TrimSuffix(inner, "]")
	}
	number, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		return cluster.Endpoint{}, fmt.Errorf("endpoint %q has no port number", url)
	}
	name = strings.ToUpper(name)
	text, mapped := protocols[name]
	if !mapped {
		text = name // before 0.10.2 the listener's name was its protocol
	}
	p, ok := cluster.ParseProtocol(text)
	if !ok {
		return cluster.Endpoint{}, fmt.Errorf("endpoint %q has unknown protocol %q", url, text)
	}
	return cluster.Endpoint{Listener: name, Protocol: p, Host: host, Port: int32(number)}, nil
}

// EncodeTopic is /brokers/topics/T, version 3.
func EncodeTopic(n *controller.TopicNode) []byte {
	var o, all, adding, removing object
	for _, a := range n.Assignments {
		name := strconv.Itoa(int(a.Index))
		all.raw(name, intList(a.Replicas))
		if len(a.Adding) > 0 {
			adding.raw(name, intList(a.Adding))
		}
		if len(a.Removing) > 0 {
			removing.raw(name, intList(a.Removing))
		}
	}
	o.raw("partitions", all.bytes())
	if !n.ID.IsZero() {
		o.str("topic_id", n.ID.String())
	}
	o.raw("adding_replicas", adding.bytes())
	o.raw("removing_replicas", removing.bytes())
	o.num("version", 3)
	return o.bytes()
}

// DecodeTopic reads versions 1 to 3 of /brokers/topics/T.
func DecodeTopic(name string, data []byte) (controller.TopicNode, error) {
	var n struct {
		ID         string             `json:"topic_id"`
		Partitions map[string][]int32 `json:"partitions"`
		Adding     map[string][]int32 `json:"adding_replicas"`
		Removing   map[string][]int32 `json:"removing_replicas"`
	}
	node := controller.TopicNode{Name: name}
	if err := json.Unmarshal(data, &n); err != nil {
		return node, fmt.Errorf("reading the assignment of topic %s: %w", name, err)
	}
	if n.ID != "" {
		id, err := cluster.ParseTopicID(n.ID)
		if err != nil {
			return node, fmt.Errorf("reading the assignment of topic %s: %w", name, err)
		}
		node.ID = id
	}
	for key, replicas := range n.Partitions {
		index, err := strconv.ParseInt(key, 10, 32)
		if err != nil || index < 0 {
			return node, fmt.Errorf("topic %s has a partition %q", name, key)
		}
		node.Assignments = append(node.Assignments, controller.Assignment{
			Index: int32(index), Replicas: replicas,
			Adding: n.Adding[key], Removing: n.Removing[key],
		})
	}
	slices.SortFunc(node.Assignments, func(a, b controller.Assignment) int {
		return int(a.Index - b.Index)
	})
	return node, nil
}

// EncodeState is /brokers/topics/T/partitions/P/state.
func EncodeState(s *controller.State) []byte {
	var o object
	o.num("controller_epoch", int64(s.ControllerEpoch))
	o.num("leader", int64(s.Leader))
	o.num("version", 1)
	o.num("leader_epoch", int64(s.LeaderEpoch))
	o.raw("isr", intList(s.ISR))
	if s.Recovering {
		o.num("leader_recovery_state", 1)
	}
	return o.bytes()
}

// DecodeState reads a state; version is the znode's.
func DecodeState(data []byte, version int32) (*controller.State, error) {
	var n struct {
		ControllerEpoch int32   `json:"controller_epoch"`
		Leader          int32   `json:"leader"`
		LeaderEpoch     int32   `json:"leader_epoch"`
		ISR             []int32 `json:"isr"`
		Recovery        int     `json:"leader_recovery_state"`
	}
	if err := json.Unmarshal(data, &n); err != nil {
		return nil, fmt.Errorf("reading a partition state: %w", err)
	}
	return &controller.State{
		Leader: n.Leader, LeaderEpoch: n.LeaderEpoch, ControllerEpoch: n.ControllerEpoch,
		ISR: n.ISR, Recovering: n.Recovery == 1, Version: version,
	}, nil
}

// EncodeController is /controller, version 2.
func EncodeController(id int32, nowMillis int64) []byte {
	var o object
	o.num("version", 2)
	o.num("brokerid", int64(id))
	o.str("timestamp", strconv.FormatInt(nowMillis, 10))
	o.num("kraftControllerEpoch", -1)
	return o.bytes()
}

// DecodeController also reads the bare number that 0.7 wrote.
func DecodeController(data []byte) (int32, error) {
	if id, err := strconv.ParseInt(string(data), 10, 32); err == nil {
		return int32(id), nil
	}
	var n struct {
		ID *int32 `json:"brokerid"`
	}
	if err := json.Unmarshal(data, &n); err != nil {
		return cluster.NoController, fmt.Errorf("reading /controller: %w", err)
	}
	if n.ID == nil {
		return cluster.NoController, errors.New("reading /controller: no brokerid")
	}
	return *n.ID, nil
}

// EncodeConfig is a node under /config; keys are sorted for a stable result.
func EncodeConfig(config map[string]string) []byte {
	var o, c object
	keys := make([]string, 0, len(config))
	for k := range config {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		c.str(k, config[k])
	}
	o.num("version", 1)
	o.raw("config", c.bytes())
	return o.bytes()
}

// DecodeConfig takes no data for no settings, as 1.0's tools leave it.
func DecodeConfig(data []byte) (map[string]string, error) {
	config := map[string]string{}
	if len(data) == 0 {
		return config, nil
	}
	var n struct {
		Version int               `json:"version"`
		Config  map[string]string `json:"config"`
	}
	if err := json.Unmarshal(data, &n); err != nil {
		return config, fmt.Errorf("reading a configuration node: %w", err)
	}
	if n.Version != 1 {
		return config, fmt.Errorf("a configuration node has version %d", n.Version)
	}
	if n.Config != nil {
		config = n.Config
	}
	return config, nil
}

// TopicEntity is the entity path of a topic's configuration.
func TopicEntity(topic string) string { return "topics/" + topic }

// EncodeConfigChange is a node /config/changes/config_change_N.
func EncodeConfigChange(entity string) []byte {
	var o object
	o.num("version", 2)
	o.str("entity_path", entity)
	return o.bytes()
}

// DecodeConfigChange returns the entity path of a notification of version 1 or 2.
func DecodeConfigChange(data []byte) (string, error) {
	var n struct {
		Version int    `json:"version"`
		Path    string `json:"entity_path"`
		Type    string `json:"entity_type"`
		Name    string `json:"entity_name"`
	}
	if err := json.Unmarshal(data, &n); err != nil {
		return "", fmt.Errorf("reading a configuration change: %w", err)
	}
	switch {
	case n.Version == 1 && (n.Type == "topics" || n.Type == "clients"):
		return n.Type + "/" + n.Name, nil
	case n.Version == 2 && n.Path != "":
		return n.Path, nil
	}
	return "", fmt.Errorf("a configuration change has version %d and names nothing", n.Version)
}

// DecodePartitionList reads the partitions of a notification or of an admin node.
func DecodePartitionList(data []byte) ([]controller.TP, error) {
	var n struct {
		Partitions []struct {
			Topic     string `json:"topic"`
			Partition int32  `json:"partition"`
		} `json:"partitions"`
	}
	if err := json.Unmarshal(data, &n); err != nil {
		return nil, fmt.Errorf("reading a list of partitions: %w", err)
	}
	tps := make([]controller.TP, len(n.Partitions))
	for i, p := range n.Partitions {
		tps[i] = controller.TP{Topic: p.Topic, Index: p.Partition}
	}
	return tps, nil
}

// EncodeLogDirEvent is a node /log_dir_event_notification/log_dir_event_N; 1 means "failed".
func EncodeLogDirEvent(broker int32) []byte {
	var o object
	o.num("version", 1)
	o.num("broker", int64(broker))
	o.num("event", 1)
	return o.bytes()
}

// DecodeLogDirEvent returns the broker that lost a log dir.
func DecodeLogDirEvent(data []byte) (broker int32, err error) {
	n := struct {
		Broker int32 `json:"broker"`
	}{Broker: -1}
	if err := json.Unmarshal(data, &n); err != nil {
		return -1, fmt.Errorf("reading a log dir event: %w", err)
	}
	return n.Broker, nil
}

// EncodeClusterID is /cluster/id.
func EncodeClusterID(id string) []byte {
	var o object
	o.str("version", "1")
	o.str("id", id)
	return o.bytes()
}

// DecodeClusterID reads /cluster/id.
func DecodeClusterID(data []byte) (string, error) {
	var n struct {
		ID string `json:"id"`
	}
	if err := json.Unmarshal(data, &n); err != nil {
		return "", fmt.Errorf("reading /cluster/id: %w", err)
	}
	if n.ID == "" {
		return "", errors.New("reading /cluster/id: no id")
	}
	return n.ID, nil
}

// ProducerBlock is /latest_producer_id_block: the ids handed out last.
type ProducerBlock struct {
	Broker      int32
	First, Last int64
}

// EncodeProducerBlock is /latest_producer_id_block.
func EncodeProducerBlock(p ProducerBlock) []byte {
	var o object
	o.num("version", 1)
	o.num("broker", int64(p.Broker))
	o.str("block_start", strconv.FormatInt(p.First, 10))
	o.str("block_end", strconv.FormatInt(p.Last, 10))
	return o.bytes()
}

// DecodeProducerBlock reads the block handed out last.
func DecodeProducerBlock(data []byte) (ProducerBlock, error) {
	var n struct {
		Broker int32 `json:"broker"`
		First  int64 `json:"block_start,string"`
		Last   int64 `json:"block_end,string"`
	}
	if err := json.Unmarshal(data, &n); err != nil {
		return ProducerBlock{}, fmt.Errorf("reading the producer id block: %w", err)
	}
	return ProducerBlock{n.Broker, n.First, n.Last}, nil
}

// Feature is /feature with feature versioning enabled and no finalized feature.
var Feature = []byte(`{"features":{},"version":2,"status":1}`)

package metastore

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/controller"
)

// The bytes of Kafka's znodes (docs/format/znodes.md). Writers produce what a 3.9 broker
// produces, down to the order of keys, so that trees can be compared; readers take any order,
// ignore what they do not know and accept every version since 0.8.

// Paths.
const (
	pathIDs           = "/brokers/ids"
	pathTopics        = "/brokers/topics"
	pathSeqID         = "/brokers/seqid"
	pathController    = "/controller"
	pathEpoch         = "/controller_epoch"
	pathClusterID     = "/cluster/id"
	pathFeature       = "/feature"
	pathProducerIDs   = "/latest_producer_id_block"
	pathDeleteTopics  = "/admin/delete_topics"
	pathReassign      = "/admin/reassign_partitions"
	pathPreferred     = "/admin/preferred_replica_election"
	pathISRChange     = "/isr_change_notification"
	pathLogDirEvent   = "/log_dir_event_notification"
	pathConfigChanges = "/config/changes"
	pathTopicConfigs  = "/config/topics"
	pathBrokerConfigs = "/config/brokers"
	defaultEntity     = "<default>"
)

// initialPaths exist from a broker's first start on, parents before children.
var initialPaths = []string{
	"/consumers", "/brokers", pathIDs, pathTopics, "/config", pathConfigChanges, "/admin",
	pathDeleteTopics, pathSeqID, pathISRChange, pathProducerIDs, pathLogDirEvent,
	pathTopicConfigs, "/config/clients", "/config/users", pathBrokerConfigs, "/config/ips",
}

func pathBroker(id int32) string         { return pathIDs + "/" + strconv.Itoa(int(id)) }
func pathTopic(topic string) string      { return pathTopics + "/" + topic }
func pathPartitions(topic string) string { return pathTopic(topic) + "/partitions" }
func pathPartition(topic string, index int32) string {
	return pathPartitions(topic) + "/" + strconv.Itoa(int(index))
}
func pathState(topic string, index int32) string { return pathPartition(topic, index) + "/state" }
func pathTopicConfig(topic string) string        { return pathTopicConfigs + "/" + topic }

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

// encodeRegistration is /brokers/ids/N, version 5.
func encodeRegistration(r Registration, nowMillis int64) []byte {
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
	return e.Listener + "://" + net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))
}

// decodeRegistration reads versions 1 to 5 of /brokers/ids/N.
func decodeRegistration(id int32, data []byte) (cluster.Broker, error) {
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
	host, port, err := net.SplitHostPort(addr)
	if !ok || err != nil {
		return cluster.Endpoint{}, fmt.Errorf("endpoint %q is not NAME://host:port", url)
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

// encodeTopic is /brokers/topics/T, version 3.
func encodeTopic(n *controller.TopicNode) []byte {
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

// decodeTopic reads versions 1 to 3 of /brokers/topics/T.
func decodeTopic(name string, data []byte) (controller.TopicNode, error) {
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

// encodeState is /brokers/topics/T/partitions/P/state.
func encodeState(s *controller.State) []byte {
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

func decodeState(data []byte, version int32) (*controller.State, error) {
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

// encodeController is /controller, version 2.
func encodeController(id int32, nowMillis int64) []byte {
	var o object
	o.num("version", 2)
	o.num("brokerid", int64(id))
	o.str("timestamp", strconv.FormatInt(nowMillis, 10))
	o.num("kraftControllerEpoch", -1)
	return o.bytes()
}

// decodeController also reads the bare number that 0.7 wrote.
func decodeController(data []byte) (int32, error) {
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

// encodeConfig is a node under /config; keys are sorted for a stable result.
func encodeConfig(config map[string]string) []byte {
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

// decodeConfig takes no data for no settings, as 1.0's tools leave it.
func decodeConfig(data []byte) (map[string]string, error) {
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

// encodeConfigChange is a node /config/changes/config_change_N.
func encodeConfigChange(entity string) []byte {
	var o object
	o.num("version", 2)
	o.str("entity_path", entity)
	return o.bytes()
}

// decodeConfigChange returns the entity path of a notification of version 1 or 2.
func decodeConfigChange(data []byte) (string, error) {
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

// decodePartitionList reads the partitions of a notification or of an admin node.
func decodePartitionList(data []byte) ([]controller.TP, error) {
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

// encodeLogDirEvent is a node /log_dir_event_notification/log_dir_event_N; 1 means "failed".
func encodeLogDirEvent(broker int32) []byte {
	var o object
	o.num("version", 1)
	o.num("broker", int64(broker))
	o.num("event", 1)
	return o.bytes()
}

func decodeLogDirEvent(data []byte) (broker int32, err error) {
	n := struct {
		Broker int32 `json:"broker"`
	}{Broker: -1}
	if err := json.Unmarshal(data, &n); err != nil {
		return -1, fmt.Errorf("reading a log dir event: %w", err)
	}
	return n.Broker, nil
}

func encodeClusterID(id string) []byte {
	var o object
	o.str("version", "1")
	o.str("id", id)
	return o.bytes()
}

func decodeClusterID(data []byte) (string, error) {
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

// producerBlock is /latest_producer_id_block: the ids handed out last.
type producerBlock struct {
	broker      int32
	first, last int64
}

func encodeProducerBlock(p producerBlock) []byte {
	var o object
	o.num("version", 1)
	o.num("broker", int64(p.broker))
	o.str("block_start", strconv.FormatInt(p.first, 10))
	o.str("block_end", strconv.FormatInt(p.last, 10))
	return o.bytes()
}

func decodeProducerBlock(data []byte) (producerBlock, error) {
	var n struct {
		Broker int32 `json:"broker"`
		First  int64 `json:"block_start,string"`
		Last   int64 `json:"block_end,string"`
	}
	if err := json.Unmarshal(data, &n); err != nil {
		return producerBlock{}, fmt.Errorf("reading the producer id block: %w", err)
	}
	return producerBlock{n.Broker, n.First, n.Last}, nil
}

// featureNode is /feature with feature versioning enabled and no finalized feature.
var featureNode = []byte(`{"features":{},"version":2,"status":1}`)

package manage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"zkafka/kafkad/config"
	"zkafka/kafkad/tool"
	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// zooKeeperTopics manages topics as Kafka's tools did before 3.0: it writes the znodes that the
// controller watches. It prints the notes those tools printed.
type zooKeeperTopics struct {
	zk  *client.Client
	out io.Writer
}

const connectTimeout = 30 * time.Second

func newZooKeeperTopics(ctx context.Context, out io.Writer, connect string) (topicService, error) {
	servers, chroot, err := client.ParseServers(connect)
	if err != nil {
		return nil, err
	}
	zk, err := client.Dial(ctx, client.Options{Servers: servers, Chroot: chroot,
		SessionTimeout: connectTimeout})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := zk.Wait(ctx); err != nil {
		zk.Abandon()
		return nil, tool.UpstreamError("Timed out waiting for connection to %s: %w", connect, err)
	}
	return &zooKeeperTopics{zk: zk, out: out}, nil
}

func (s *zooKeeperTopics) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.zk.Close(ctx) // the session is only for this run; the server drops it in any case
}

// topicNode is the content of /brokers/topics/T.
type topicNode struct {
	Version    int                `json:"version"`
	Partitions map[string][]int32 `json:"partitions"`
	Adding     map[string][]int32 `json:"adding_replicas"`
	Removing   map[string][]int32 `json:"removing_replicas"`
	TopicID    string             `json:"topic_id,omitempty"`
}

// stateNode is the content of /brokers/topics/T/partitions/P/state.
type stateNode struct {
	Leader int32   `json:"leader"`
	ISR    []int32 `json:"isr"`
}

// configNode is the content of /config/topics/T.
type configNode struct {
	Version int               `json:"version"`
	Config  map[string]string `json:"config"`
}

// children is Children of a node that may be missing.
func (s *zooKeeperTopics) children(ctx context.Context, path string) ([]string, error) {
	names, _, err := s.zk.Children(ctx, path)
	if errors.Is(err, proto.ErrNoNode) {
		return nil, nil
	}
	return names, err
}

// get reads a JSON node; found is false if it is missing.
func (s *zooKeeperTopics) get(ctx context.Context, path string, into any) (found bool, err error) {
	b, _, err := s.zk.Get(ctx, path)
	if errors.Is(err, proto.ErrNoNode) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return false, fmt.Errorf("znode %s: %w", path, err)
	}
	return true, nil
}

func (s *zooKeeperTopics) list(ctx context.Context) ([]listedTopic, error) {
	names, err := s.children(ctx, "/brokers/topics")
	if err != nil {
		return nil, err
	}
	doomed, err := s.children(ctx, "/admin/delete_topics")
	if err != nil {
		return nil, err
	}
	out := make([]listedTopic, len(names))
	for i, n := range names {
		out[i] = listedTopic{name: n, deleted: slices.Contains(doomed, n)}
	}
	return out, nil
}

func (s *zooKeeperTopics) create(ctx context.Context, t *newTopic) error {
	if err := checkTopicName(t.name); err != nil {
		return err
	}
	all, err := s.list(ctx)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.name == t.name {
			return errTopicExists{tool.UpstreamError("Topic '%s' already exists.", t.name)}
		}
		if strings.ReplaceAll(other.name, ".", "_") == strings.ReplaceAll(t.name, ".", "_") {
			return tool.UpstreamError("Topic '%s' collides with existing topics: %s", t.name, other.name)
		}
	}
	node := topicNode{Version: 2, Partitions: map[string][]int32{},
		Adding: map[string][]int32{}, Removing: map[string][]int32{}}
	assignment := t.assignment
	if assignment == nil {
		brokers, err := s.brokers(ctx)
		if err != nil {
			return err
		}
		if brokers, err = withRacks(brokers, t.ignoreRacks); err != nil {
			return err
		}
		assignment, err = assignReplicas(brokers, int(t.partitions), int(t.replicationFactor), 0,
			rand.N(max(1, len(brokers))), rand.N(max(1, len(brokers))))
		if err != nil {
			return err
		}
	}
	for i, replicas := range assignment {
		node.Partitions[strconv.Itoa(i)] = replicas
	}
	if err := s.writeConfig(ctx, t.name, t); err != nil {
		return err
	}
	return s.put(ctx, "/brokers/topics/"+t.name, &node)
}

// put writes a JSON node, creating it and its parents if need be.
func (s *zooKeeperTopics) put(ctx context.Context, path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if _, err = s.zk.Set(ctx, path, b, -1); !errors.Is(err, proto.ErrNoNode) {
		return err
	}
	_, err = s.zk.CreateRecursive(ctx, path, b, proto.OpenACL(), proto.ModePersistent)
	return err
}

// writeConfig checks the overrides as a broker would and stores what results from them.
func (s *zooKeeperTopics) writeConfig(ctx context.Context, topic string, t *newTopic) error {
	path := "/config/topics/" + topic
	node := configNode{Version: 1}
	if _, err := s.get(ctx, path, &node); err != nil {
		return err
	}
	if node.Config == nil {
		node.Config = map[string]string{}
	}
	for _, c := range t.config {
		node.Config[c.name] = c.value
	}
	for _, name := range t.deleteConfig {
		delete(node.Config, name)
	}
	if _, err := config.ParseTopicOverrides(node.Config); err != nil {
		return err
	}
	return s.put(ctx, path, &node)
}

// rackedBroker is a live broker; rack is empty if it has none.
type rackedBroker struct {
	id   int32
	rack string
}

// brokers returns the live brokers in order of their ids.
func (s *zooKeeperTopics) brokers(ctx context.Context) ([]rackedBroker, error) {
	names, err := s.children(ctx, "/brokers/ids")
	if err != nil {
		return nil, err
	}
	var out []rackedBroker
	for _, n := range names {
		id, err := strconv.ParseInt(n, 10, 32)
		if err != nil {
			continue
		}
		var node struct {
			Rack string `json:"rack"`
		}
		if found, err := s.get(ctx, "/brokers/ids/"+n, &node); err != nil {
			return nil, err
		} else if found {
			out = append(out, rackedBroker{int32(id), node.Rack})
		}
	}
	slices.SortFunc(out, func(a, b rackedBroker) int { return int(a.id - b.id) })
	return out, nil
}

// withRacks returns the brokers as assignReplicas takes them: without racks if nobody has one or
// they are to be ignored, else in the order in which racks take turns.
func withRacks(brokers []rackedBroker, ignore bool) ([]rackedBroker, error) {
	byRack := map[string][]rackedBroker{}
	for _, b := range brokers {
		if ignore {
			b.rack = ""
		}
		byRack[b.rack] = append(byRack[b.rack], b)
	}
	if _, some := byRack[""]; some && len(byRack) > 1 {
		return nil, tool.UpstreamError("Not all brokers have rack information. Add" +
			" --disable-rack-aware in command line to make replica assignment without rack" +
			" information.")
	}
	racks := slices.Sorted(maps.Keys(byRack))
	var out []rackedBroker
	for round := 0; len(out) < len(brokers); round++ {
		for _, r := range racks {
			if round < len(byRack[r]) {
				out = append(out, byRack[r][round])
			}
		}
	}
	return out, nil
}

// assignReplicas spreads replicas over brokers as Kafka does: first replicas go round the
// brokers from start, the others follow at a distance that grows with each round. A broker is
// passed over while there are racks without replica, or its own has one already.
func assignReplicas(
	brokers []rackedBroker, partitions, replicas, from, start, shift int,
) ([][]int32, error) {
	n := len(brokers)
	if replicas > n {
		return nil, tool.UpstreamError("Replication factor: %d larger than available brokers: %d.",
			replicas, n)
	}
	racks := map[string]bool{}
	for _, b := range brokers {
		racks[b.rack] = true
	}
	var out [][]int32
	for p := from; p < from+partitions; p++ {
		if p > 0 && p%n == 0 {
			shift++
		}
		first := (p + start) % n
		list := []int32{brokers[first].id}
		used := map[string]bool{brokers[first].rack: true}
		for k := 0; len(list) < replicas; k++ {
			b := brokers[(first+1+(shift*len(racks)+k)%(n-1))%n]
			if used[b.rack] && len(used) < len(racks) || slices.Contains(list, b.id) {
				continue
			}
			used[b.rack] = true
			list = append(list, b.id)
		}
		out = append(out, list)
	}
	return out, nil
}

func (s *zooKeeperTopics) alter(ctx context.Context, names []string, t *newTopic) error {
	for _, name := range names {
		if len(t.config) > 0 || len(t.deleteConfig) > 0 {
			fmt.Fprintln(s.out, "WARNING: Altering topic configuration from this script has been"+
				" deprecated and may be removed in future releases.")
			fmt.Fprintln(s.out, "         Going forward, please use kafka-configs.sh for this"+
				" functionality")
			if err := s.writeConfig(ctx, name, t); err != nil {
				return err
			}
			if err := s.notify(ctx, name); err != nil {
				return err
			}
			fmt.Fprintf(s.out, "Updated config for topic %s.\n", name)
		}
		if t.partitions < 0 {
			continue
		}
		fmt.Fprintln(s.out, "WARNING: If partitions are increased for a topic that has a key, the"+
			" partition logic or ordering of the messages will be affected")
		if err := s.addPartitions(ctx, name, t); err != nil {
			return err
		}
		fmt.Fprintln(s.out, "Adding partitions succeeded!")
	}
	return nil
}

// notify tells the brokers that a topic's configuration changed.
func (s *zooKeeperTopics) notify(ctx context.Context, topic string) error {
	b, err := json.Marshal(map[string]any{"version": 2, "entity_path": "topics/" + topic})
	if err != nil {
		return err
	}
	_, err = s.zk.CreateRecursive(ctx, "/config/changes/config_change_", b, proto.OpenACL(),
		proto.ModePersistentSequential)
	return err
}

func (s *zooKeeperTopics) addPartitions(ctx context.Context, name string, t *newTopic) error {
	var node topicNode
	if _, err := s.get(ctx, "/brokers/topics/"+name, &node); err != nil {
		return err
	}
	have := len(node.Partitions)
	if int(t.partitions) <= have {
		return tool.UpstreamError("The number of partitions for a topic can only be increased. Topic %s"+
			" currently has %d partitions, %d would not be an increase.", name, have, t.partitions)
	}
	added := t.assignment
	if added != nil {
		added = added[min(have, len(added)):]
		if have+len(added) != int(t.partitions) {
			return tool.UpstreamError("The replica assignment does not name %d partitions", t.partitions)
		}
	} else {
		brokers, err := s.brokers(ctx)
		if err != nil {
			return err
		}
		first := node.Partitions["0"]
		if len(first) == 0 {
			return fmt.Errorf("znode of topic %s has no replicas of partition 0", name)
		}
		if brokers, err = withRacks(brokers, t.ignoreRacks); err != nil {
			return err
		}
		start := max(0, slices.IndexFunc(brokers, func(b rackedBroker) bool {
			return b.id >= first[0]
		}))
		added, err = assignReplicas(brokers, int(t.partitions)-have, len(first), have, start, start)
		if err != nil {
			return err
		}
	}
	for i, replicas := range added {
		node.Partitions[strconv.Itoa(have+i)] = replicas
	}
	return s.put(ctx, "/brokers/topics/"+name, &node)
}

func (s *zooKeeperTopics) remove(ctx context.Context, names []string) error {
	for _, name := range names {
		if name == "__consumer_offsets" || name == "__transaction_state" {
			return tool.UpstreamError("Topic %s is a kafka internal topic and is not allowed to be marked"+
				" for deletion.", name)
		}
		_, err := s.zk.CreateRecursive(ctx, "/admin/delete_topics/"+name, nil, proto.OpenACL(),
			proto.ModePersistent)
		switch {
		case errors.Is(err, proto.ErrNodeExists):
			fmt.Fprintf(s.out, "Topic %s is already marked for deletion.\n", name)
		case err != nil:
			return err
		default:
			fmt.Fprintf(s.out, "Topic %s is marked for deletion.\n", name)
			fmt.Fprintln(s.out, "Note: This will have no impact if delete.topic.enable is not set"+
				" to true.")
		}
	}
	return nil
}

func (s *zooKeeperTopics) describe(ctx context.Context, names []string) (*topicReport, error) {
	r := &topicReport{}
	live, err := s.brokers(ctx)
	if err != nil {
		return nil, err
	}
	for _, b := range live {
		r.live = append(r.live, b.id)
	}
	doomed, err := s.children(ctx, "/admin/delete_topics")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		var node topicNode
		found, err := s.get(ctx, "/brokers/topics/"+name, &node)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, tool.UpstreamError("Topic '%s' does not exist as expected", name)
		}
		var cfg configNode
		if _, err := s.get(ctx, "/config/topics/"+name, &cfg); err != nil {
			return nil, err
		}
		d := topicDescription{name: name, id: node.TopicID, minISR: 1,
			deleted: slices.Contains(doomed, name)}
		for _, k := range slices.Sorted(maps.Keys(cfg.Config)) {
			d.overrides = append(d.overrides, configEntry{k, cfg.Config[k]})
		}
		if n, err := strconv.Atoi(cfg.Config["min.insync.replicas"]); err == nil {
			d.minISR = n
		}
		if err := s.describePartitions(ctx, &d, &node); err != nil {
			return nil, err
		}
		r.topics = append(r.topics, d)
	}
	return r, nil
}

func (s *zooKeeperTopics) describePartitions(
	ctx context.Context, d *topicDescription, node *topicNode,
) error {
	for key, replicas := range node.Partitions {
		index, err := strconv.ParseInt(key, 10, 32)
		if err != nil {
			return fmt.Errorf("znode of topic %s names partition %q", d.name, key)
		}
		state := stateNode{Leader: -1}
		path := "/brokers/topics/" + d.name + "/partitions/" + key + "/state"
		if _, err := s.get(ctx, path, &state); err != nil {
			return err
		}
		adding, removing := node.Adding[key], node.Removing[key]
		d.partitions = append(d.partitions, partitionDescription{
			index: int32(index), leader: state.Leader, replicas: replicas, isr: state.ISR,
			adding: adding, removing: removing, markedForDeletion: d.deleted,
			reassigned: len(adding)+len(removing) > 0,
		})
	}
	slices.SortFunc(d.partitions, func(a, b partitionDescription) int {
		return int(a.index - b.index)
	})
	return nil
}

const maxTopicName = 249

// checkTopicName applies Kafka's rules for names of topics.
func checkTopicName(name string) error {
	var fault string
	switch {
	case name == "":
		fault = "the empty string is not allowed"
	case name == "." || name == "..":
		fault = fmt.Sprintf("'%s' is not allowed", name)
	case len(name) > maxTopicName:
		fault = fmt.Sprintf("the length of '%s' is longer than the max allowed length %d", name,
			maxTopicName)
	case strings.ContainsFunc(name, illegalInTopic):
		fault = fmt.Sprintf("'%s' contains one or more characters other than ASCII alphanumerics,"+
			" '.', '_' and '-'", name)
	default:
		return nil
	}
	return tool.UpstreamError("Topic name is invalid: %s", fault)
}

func illegalInTopic(r rune) bool {
	letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	return !letter && (r < '0' || r > '9') && r != '.' && r != '_' && r != '-'
}

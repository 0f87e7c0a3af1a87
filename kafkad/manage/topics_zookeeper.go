package manage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/config"
	"zkafka/kafkad/controller"
	"zkafka/kafkad/tool"
	"zkafka/kafkad/znode"
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

func newZooKeeperTopics(ctx context.Context, env tool.Env, connect string) (topicService, error) {
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
	notice := time.AfterFunc(time.Second, func() {
		if why := zk.Trouble(); why != nil {
			fmt.Fprintf(env.Err, "WARN %v; trying for %v\n", why, connectTimeout)
		}
	})
	defer notice.Stop()
	if err := zk.Wait(ctx); err != nil {
		zk.Abandon()
		if why := zk.Trouble(); why != nil {
			err = why
		}
		return nil, tool.UpstreamError("Timed out waiting for connection to %s: %w", connect, err)
	}
	return &zooKeeperTopics{zk: zk, out: env.Out}, nil
}

func (s *zooKeeperTopics) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.zk.Close(ctx) // the session is only for this run; the server drops it in any case
}

// children is Children of a node that may be missing.
func (s *zooKeeperTopics) children(ctx context.Context, path string) ([]string, error) {
	names, _, err := s.zk.Children(ctx, path)
	if errors.Is(err, proto.ErrNoNode) {
		return nil, nil
	}
	return names, err
}

// get returns what a node holds; found is false if it is missing.
func (s *zooKeeperTopics) get(ctx context.Context, path string) (b []byte, found bool, err error) {
	b, _, err = s.zk.Get(ctx, path)
	if errors.Is(err, proto.ErrNoNode) {
		return nil, false, nil
	}
	return b, err == nil, err
}

// put writes a node, creating it and its parents if need be.
func (s *zooKeeperTopics) put(ctx context.Context, path string, b []byte) error {
	_, err := s.zk.Set(ctx, path, b, proto.AnyVersion)
	if !errors.Is(err, proto.ErrNoNode) {
		return err
	}
	_, err = s.zk.CreateRecursive(ctx, path, b, proto.OpenACL(), proto.ModePersistent)
	return err
}

func (s *zooKeeperTopics) list(ctx context.Context) ([]listedTopic, error) {
	names, err := s.children(ctx, znode.PathTopics)
	if err != nil {
		return nil, err
	}
	doomed, err := s.children(ctx, znode.PathDeleteTopics)
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
	if text := cluster.TopicNameError(t.name); text != "" {
		return errors.New(text)
	}
	existing, err := s.children(ctx, znode.PathTopics)
	if err != nil {
		return err
	}
	if err := checkNewName(t.name, existing); err != nil {
		return err
	}
	assignment := t.assignment
	if assignment == nil {
		brokers, err := s.assignable(ctx, t)
		if err != nil {
			return err
		}
		if int(t.replicationFactor) > len(brokers) {
			return tooFewBrokers(int(t.replicationFactor), len(brokers))
		}
		assignment = controller.Place(brokers, int(t.partitions), int(t.replicationFactor),
			rand.N(len(brokers)), rand.N(len(brokers)), 0)
	}
	node := controller.TopicNode{Name: t.name}
	grow(&node, assignment)
	if err := s.writeConfig(ctx, t.name, t); err != nil {
		return err
	}
	return s.put(ctx, znode.PathTopic(t.name), znode.EncodeTopic(&node))
}

// checkNewName refuses a name that exists, or that would share its metrics with one that does.
func checkNewName(name string, existing []string) error {
	if slices.Contains(existing, name) {
		return errTopicExists{tool.UpstreamError("Topic '%s' already exists.", name)}
	}
	var similar []string
	for _, other := range existing {
		if cluster.UnifyTopicName(other) == cluster.UnifyTopicName(name) {
			similar = append(similar, other)
		}
	}
	if len(similar) > 0 {
		return tool.UpstreamError("Topic '%s' collides with existing topics: %s", name,
			strings.Join(similar, ", "))
	}
	return nil
}

func tooFewBrokers(factor, brokers int) error {
	return tool.UpstreamError("Replication factor: %d larger than available brokers: %d.", factor,
		brokers)
}

// grow adds partitions with these replicas.
func grow(node *controller.TopicNode, assignment [][]int32) {
	for _, replicas := range assignment {
		node.Assignments = append(node.Assignments, controller.Assignment{
			Index: int32(len(node.Assignments)), Replicas: replicas,
		})
	}
}

// writeConfig checks the overrides as a broker would and stores what results from them.
func (s *zooKeeperTopics) writeConfig(ctx context.Context, topic string, t *newTopic) error {
	overrides, err := s.overrides(ctx, topic)
	if err != nil {
		return err
	}
	for _, c := range t.config {
		overrides[c.name] = c.value
	}
	for _, name := range t.deleteConfig {
		delete(overrides, name)
	}
	if _, err := config.ParseTopicOverrides(overrides); err != nil {
		return err
	}
	return s.put(ctx, znode.PathTopicConfig(topic), znode.EncodeConfig(overrides))
}

// overrides returns the topic's own settings; the caller may change the map.
func (s *zooKeeperTopics) overrides(
	ctx context.Context, topic string,
) (map[string]string, error) {
	b, _, err := s.get(ctx, znode.PathTopicConfig(topic))
	if err != nil {
		return nil, err
	}
	return znode.DecodeConfig(b)
}

// brokers returns the live brokers in order of their ids.
func (s *zooKeeperTopics) brokers(ctx context.Context) ([]cluster.Broker, error) {
	names, err := s.children(ctx, znode.PathIDs)
	if err != nil {
		return nil, err
	}
	var out []cluster.Broker
	for _, n := range names {
		id, err := strconv.ParseInt(n, 10, 32)
		if err != nil {
			continue
		}
		b, found, err := s.get(ctx, znode.PathBroker(int32(id)))
		if err != nil {
			return nil, err
		}
		if !found {
			continue
		}
		broker, err := znode.DecodeRegistration(int32(id), b)
		if err != nil {
			return nil, err
		}
		out = append(out, broker)
	}
	slices.SortFunc(out, func(a, b cluster.Broker) int { return int(a.ID - b.ID) })
	return out, nil
}

// assignable returns the brokers to place replicas on, without their racks if those are to be
// ignored. Upstream ignores racks only for --create, although its message recommends the option
// for --alter, too.
func (s *zooKeeperTopics) assignable(
	ctx context.Context, t *newTopic,
) ([]cluster.Broker, error) {
	brokers, err := s.brokers(ctx)
	if err != nil {
		return nil, err
	}
	if t.ignoreRacks {
		for i := range brokers {
			brokers[i].Rack = ""
		}
	}
	if controller.MixedRacks(brokers) {
		return nil, tool.UpstreamError("Not all brokers have rack information. Add" +
			" --disable-rack-aware in command line to make replica assignment without rack" +
			" information.")
	}
	return brokers, nil
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
		if cluster.IsInternal(name) {
			return tool.UpstreamError("The number of partitions for the internal topic %s cannot be"+
				" changed.", name)
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
	_, err := s.zk.CreateRecursive(ctx, znode.PathConfigChange,
		znode.EncodeConfigChange(znode.TopicEntity(topic)), proto.OpenACL(),
		proto.ModePersistentSequential)
	return err
}

// topic reads a topic's node; found is false if there is none.
func (s *zooKeeperTopics) topic(
	ctx context.Context, name string,
) (node controller.TopicNode, found bool, err error) {
	b, found, err := s.get(ctx, znode.PathTopic(name))
	if err != nil || !found {
		return node, false, err
	}
	node, err = znode.DecodeTopic(name, b)
	return node, err == nil, err
}

func (s *zooKeeperTopics) addPartitions(ctx context.Context, name string, t *newTopic) error {
	node, _, err := s.topic(ctx, name)
	if err != nil {
		return err
	}
	have := len(node.Assignments)
	if int(t.partitions) <= have {
		return tool.UpstreamError("The number of partitions for a topic can only be increased."+
			" Topic %s currently has %d partitions, %d would not be an increase.", name, have,
			t.partitions)
	}
	added := t.assignment
	if added != nil {
		added = added[min(have, len(added)):]
		if have+len(added) != int(t.partitions) {
			return tool.UpstreamError("The replica assignment does not name %d partitions",
				t.partitions)
		}
	} else {
		if have == 0 || len(node.Assignments[0].Replicas) == 0 {
			return fmt.Errorf("znode of topic %s has no replicas of partition 0", name)
		}
		first := node.Assignments[0].Replicas
		brokers, err := s.assignable(ctx, t)
		if err != nil {
			return err
		}
		if len(first) > len(brokers) {
			return tooFewBrokers(len(first), len(brokers))
		}
		added = controller.PlaceMore(brokers, int(t.partitions)-have, first, have)
	}
	grow(&node, added)
	return s.put(ctx, znode.PathTopic(name), znode.EncodeTopic(&node))
}

func (s *zooKeeperTopics) remove(ctx context.Context, names []string) error {
	for _, name := range names {
		if cluster.IsInternal(name) {
			return tool.UpstreamError("Topic %s is a kafka internal topic and is not allowed to be marked"+
				" for deletion.", name)
		}
		_, err := s.zk.CreateRecursive(ctx, znode.PathDeleteTopic(name), nil, proto.OpenACL(),
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
	for i := range live {
		r.live = append(r.live, live[i].ID)
	}
	doomed, err := s.children(ctx, znode.PathDeleteTopics)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		node, found, err := s.topic(ctx, name)
		if err != nil {
			return nil, err
		}
		if !found {
			return nil, tool.UpstreamError("Topic '%s' does not exist as expected", name)
		}
		overrides, err := s.overrides(ctx, name)
		if err != nil {
			return nil, err
		}
		d := topicDescription{name: name, id: idText(node.ID), minISR: 1,
			deleted: slices.Contains(doomed, name)}
		for _, k := range slices.Sorted(maps.Keys(overrides)) {
			d.overrides = append(d.overrides, configEntry{k, overrides[k]})
		}
		if n, err := strconv.Atoi(overrides["min.insync.replicas"]); err == nil {
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
	ctx context.Context, d *topicDescription, node *controller.TopicNode,
) error {
	for _, a := range node.Assignments {
		state := &controller.State{Leader: cluster.NoLeader}
		b, found, err := s.get(ctx, znode.PathState(d.name, a.Index))
		if err != nil {
			return err
		}
		if found {
			if state, err = znode.DecodeState(b, proto.AnyVersion); err != nil {
				return err
			}
		}
		d.partitions = append(d.partitions, partitionDescription{
			index: a.Index, leader: state.Leader, replicas: a.Replicas, isr: state.ISR,
			adding: a.Adding, removing: a.Removing, markedForDeletion: d.deleted,
			reassigned: len(a.Adding)+len(a.Removing) > 0,
		})
	}
	return nil
}

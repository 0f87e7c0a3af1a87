package metastore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/controller"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/znode"
	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// Topics are created, grown and deleted as Kafka's brokers do it: by writing the znodes that the
// controller watches. The messages are Kafka's, because tools show them to people and scripts
// compare them.

// NewTopic asks for a topic. Either Partitions and ReplicationFactor are given or Assignment is,
// which maps partition numbers to replicas.
type NewTopic struct {
	Name              string
	Partitions        int32
	ReplicationFactor int16
	Assignment        map[int32][]int32
	Config            map[string]string // overrides, already validated
}

// TopicResult says what became of one topic of a request. On success of a creation the counts
// are those of the topic.
type TopicResult struct {
	Name              string
	ID                cluster.TopicID
	Err               errcode.Code
	Message           string
	Partitions        int32
	ReplicationFactor int16
}

func (r *TopicResult) fail(code errcode.Code, format string, args ...any) {
	r.Err, r.Message = code, fmt.Sprintf(format, args...)
}

func (r *TopicResult) failed() bool { return r.Err != errcode.None }

// NewPartitions asks for more partitions. Count is the new total; Assignment, if not nil, has
// the replicas of each new partition.
type NewPartitions struct {
	Name       string
	Count      int32
	Assignment [][]int32
}

// creation is one topic on its way through CreateTopics.
type creation struct {
	res  *TopicResult
	node controller.TopicNode
	conf []byte
}

// CreateTopics writes the znodes of new topics; with validateOnly it only checks. Names must be
// unique. It does not wait for leaders: see Await.
func (s *Store) CreateTopics(
	ctx context.Context, topics []NewTopic, validateOnly bool,
) []TopicResult {
	results := make([]TopicResult, len(topics))
	var todo []creation
	im := s.Image()
	for i, t := range topics {
		r := &results[i]
		*r = TopicResult{Name: t.Name, Partitions: -1, ReplicationFactor: -1}
		if im.Topic(t.Name) != nil {
			r.fail(errcode.TopicAlreadyExists, "Topic '%s' already exists.", t.Name)
			continue
		}
		if text := cluster.TopicNameError(t.Name); text != "" {
			r.fail(errcode.InvalidTopicException, "%s", text)
			continue
		}
		c := creation{res: r, node: controller.TopicNode{Name: t.Name}}
		if c.node.Assignments = s.assign(im, &t, r); r.failed() {
			continue
		}
		c.conf = znode.EncodeConfig(t.Config)
		todo = append(todo, c)
	}
	todo = s.dropExisting(ctx, todo)
	for i := range todo {
		r := todo[i].res
		r.Partitions = int32(len(todo[i].node.Assignments))
		r.ReplicationFactor = int16(len(todo[i].node.Assignments[0].Replicas))
		if !validateOnly {
			todo[i].node.ID = s.newTopicID()
		}
	}
	if !validateOnly {
		s.writeTopics(ctx, todo)
	}
	return results
}

// assign decides about replicas, or checks those asked for.
func (s *Store) assign(im *cluster.Image, t *NewTopic, r *TopicResult) []controller.Assignment {
	if t.Assignment != nil {
		return checkAssignment(t, r)
	}
	brokers := s.assignable(im)
	switch n := len(brokers); {
	case t.Partitions <= 0:
		r.fail(errcode.InvalidPartitions, "Number of partitions must be larger than 0.")
	case t.ReplicationFactor <= 0:
		r.fail(errcode.InvalidReplicationFactor, "Replication factor must be larger than 0.")
	case int(t.ReplicationFactor) > n:
		r.fail(errcode.InvalidReplicationFactor,
			"Replication factor: %d larger than available brokers: %d.", t.ReplicationFactor, n)
	default:
		s.mu.Lock()
		start, shift := s.place.IntN(n), s.place.IntN(n)
		s.mu.Unlock()
		placed := controller.Place(
			brokers, int(t.Partitions), int(t.ReplicationFactor), start, shift, 0)
		list := make([]controller.Assignment, len(placed))
		for i, replicas := range placed {
			list[i] = controller.Assignment{Index: int32(i), Replicas: replicas}
		}
		return list
	}
	return nil
}

// assignable lists the brokers that may get replicas: those this controller can direct. Without
// connections to other brokers that is itself; a partition on another one would never be served.
func (s *Store) assignable(im *cluster.Image) []cluster.Broker {
	if b := im.Broker(s.opts.BrokerID); b != nil {
		return []cluster.Broker{*b}
	}
	return nil
}

// checkAssignment takes an assignment as asked for. Unlike a Kafka broker, which creates a
// partition nobody can ever lead, it refuses empty lists and negative ids; ids of brokers that
// are down are allowed, as there.
func checkAssignment(t *NewTopic, r *TopicResult) []controller.Assignment {
	var list []controller.Assignment
	for i := range int32(len(t.Assignment)) {
		replicas, ok := t.Assignment[i]
		if !ok {
			r.fail(errcode.InvalidReplicaAssignment,
				"partitions should be a consecutive 0-based integer sequence")
			return nil
		}
		sortedIDs := slices.Sorted(slices.Values(replicas))
		switch {
		case len(slices.Compact(sortedIDs)) != len(replicas):
			r.fail(errcode.InvalidReplicaAssignment,
				"Duplicate replica assignment found: partition %d has %v", i, replicas)
		case len(replicas) == 0 || sortedIDs[0] < 0:
			r.fail(errcode.InvalidReplicaAssignment,
				"Partition %d needs at least one replica, and broker ids are not negative: %v",
				i, replicas)
		case len(replicas) != len(t.Assignment[0]):
			r.fail(errcode.InvalidReplicaAssignment,
				"All partitions should have the same number of replicas")
		}
		if r.failed() {
			return nil
		}
		list = append(list, controller.Assignment{Index: i, Replicas: replicas})
	}
	return list
}

// dropExisting fails the topics that exist in ZooKeeper, are being deleted, or collide with
// another, and returns the rest.
func (s *Store) dropExisting(ctx context.Context, todo []creation) []creation {
	if len(todo) == 0 {
		return nil
	}
	rs, err := s.pipeline(ctx, []client.Op{
		client.ChildrenOp(znode.PathTopics), client.ChildrenOp(znode.PathDeleteTopics),
	})
	if err == nil {
		err = errors.Join(rs[0].Err, rs[1].Err)
	}
	if err != nil {
		failAll(todo, err)
		return nil
	}
	exists := map[string]bool{}
	similar := map[string][]string{}
	for _, name := range rs[0].Children {
		exists[name] = true
		similar[cluster.UnifyTopicName(name)] = append(similar[cluster.UnifyTopicName(name)], name)
	}
	var rest []creation
	for _, c := range todo {
		name := c.node.Name
		switch others := similar[cluster.UnifyTopicName(name)]; {
		case slices.Contains(rs[1].Children, name):
			c.res.fail(errcode.TopicAlreadyExists, "Topic '%s' is marked for deletion.", name)
		case exists[name]:
			c.res.fail(errcode.TopicAlreadyExists, "Topic '%s' already exists.", name)
		case len(others) > 0:
			c.res.fail(errcode.InvalidTopicException,
				"Topic '%s' collides with existing topics: %s", name, strings.Join(others, ", "))
		default:
			similar[cluster.UnifyTopicName(name)] = append(others, name)
			rest = append(rest, c)
		}
	}
	return rest
}

// failAll gives every topic the error of a ZooKeeper request. The client may try again: nothing
// or everything was done, and then it finds out.
func failAll(todo []creation, err error) {
	for _, c := range todo {
		c.res.fail(storeError(err), "%v", err)
	}
}

// storeError is what a client is told about a failed ZooKeeper request.
func storeError(err error) errcode.Code {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return errcode.RequestTimedOut
	case errors.Is(err, client.ErrSessionExpired), errors.Is(err, client.ErrClosed):
		return errcode.NotController
	}
	return errcode.UnknownServerError
}

// writeTopics writes configurations first, so that whoever sees the topic finds them.
func (s *Store) writeTopics(ctx context.Context, todo []creation) {
	if err := s.writeConfigs(ctx, todo); err != nil {
		failAll(todo, err)
		return
	}
	ops := make([]client.Op, len(todo))
	for i, c := range todo {
		ops[i] = create(znode.PathTopic(c.node.Name), znode.EncodeTopic(&c.node))
	}
	rs, err := s.pipeline(ctx, ops)
	if err != nil {
		failAll(todo, err)
		return
	}
	for i, r := range rs {
		switch {
		case r.Err == nil:
			todo[i].res.ID = todo[i].node.ID
		case errors.Is(r.Err, proto.ErrNodeExists):
			todo[i].res.fail(errcode.TopicAlreadyExists, "Topic '%s' already exists.",
				todo[i].node.Name)
		default:
			failAll(todo[i:i+1], r.Err)
		}
	}
}

// writeConfigs creates the configuration nodes, or overwrites what a crash or a deletion left.
func (s *Store) writeConfigs(ctx context.Context, todo []creation) error {
	ops := make([]client.Op, len(todo))
	for i, c := range todo {
		ops[i] = create(znode.PathTopicConfig(c.node.Name), c.conf)
	}
	rs, err := s.pipeline(ctx, ops)
	if err != nil {
		return err
	}
	var sets []client.Op
	for i, r := range rs {
		switch {
		case errors.Is(r.Err, proto.ErrNodeExists):
			path := znode.PathTopicConfig(todo[i].node.Name)
			sets = append(sets, client.SetOp(path, todo[i].conf, proto.AnyVersion))
		case r.Err != nil:
			return fmt.Errorf("writing the configuration of topic %s: %w", todo[i].node.Name, r.Err)
		}
	}
	rs, err = s.pipeline(ctx, sets)
	for _, r := range rs {
		err = errors.Join(err, r.Err)
	}
	return err
}

// DeleteTopics marks topics for deletion; one marked already is no error. It does not wait for
// the end of it.
func (s *Store) DeleteTopics(ctx context.Context, names []string) []TopicResult {
	results := make([]TopicResult, len(names))
	var marks []client.Op
	var of []int
	im := s.Image()
	for i, name := range names {
		results[i].Name = name
		t := im.Topic(name)
		if t == nil {
			results[i].fail(errcode.UnknownTopicOrPartition, "Topic '%s' does not exist.", name)
			continue
		}
		results[i].ID = t.ID
		marks, of = append(marks, create(znode.PathDeleteTopic(name), nil)), append(of, i)
	}
	rs, err := s.pipeline(ctx, marks)
	for n, i := range of {
		e := err
		if e == nil {
			e = rs[n].Err
		}
		if e != nil && !errors.Is(e, proto.ErrNodeExists) {
			results[i].fail(storeError(e), "%v", e)
		}
	}
	return results
}

// CreatePartitions adds partitions to topics; with validateOnly it only checks. Names must be
// unique.
func (s *Store) CreatePartitions(
	ctx context.Context, topics []NewPartitions, validateOnly bool,
) []TopicResult {
	results := make([]TopicResult, len(topics))
	for i := range topics {
		results[i].Name = topics[i].Name
		for s.grow(ctx, &topics[i], &results[i], validateOnly) {
			// Somebody changed the topic between our read and our write: again.
			results[i] = TopicResult{Name: topics[i].Name}
		}
	}
	return results
}

// grow reports true if it lost a race and has to be repeated.
func (s *Store) grow(ctx context.Context, t *NewPartitions, r *TopicResult, dry bool) bool {
	rs, err := s.pipeline(ctx, []client.Op{
		client.GetOp(znode.PathTopic(t.Name)),
		client.ExistsOp(znode.PathDeleteTopic(t.Name)),
	})
	if err != nil {
		r.fail(storeError(err), "%v", err)
		return false
	}
	switch {
	case cluster.TopicNameError(t.Name) != "", errors.Is(rs[0].Err, proto.ErrNoNode):
		r.fail(errcode.UnknownTopicOrPartition, "The topic '%s' does not exist.", t.Name)
		return false
	case rs[0].Err != nil:
		r.fail(storeError(rs[0].Err), "%v", rs[0].Err)
		return false
	case rs[1].Err == nil:
		r.fail(errcode.InvalidTopicException, "The topic is queued for deletion.")
		return false
	}
	node, err := znode.DecodeTopic(t.Name, rs[0].Data)
	if err != nil {
		r.fail(errcode.UnknownServerError, "%v", err)
		return false
	}
	added := s.growBy(t, &node, r)
	if r.failed() || dry {
		return false
	}
	node.Assignments = append(node.Assignments, added...)
	w, err := s.one(ctx,
		client.SetOp(znode.PathTopic(t.Name), znode.EncodeTopic(&node), rs[0].Stat.Version))
	if err == nil {
		err = w.Err
	}
	if errors.Is(err, proto.ErrBadVersion) {
		return true
	}
	if err != nil {
		r.fail(storeError(err), "%v", err)
	}
	return false
}

// growBy decides about the replicas of the new partitions.
func (s *Store) growBy(
	t *NewPartitions, node *controller.TopicNode, r *TopicResult,
) []controller.Assignment {
	im := s.Image()
	have := int32(len(node.Assignments))
	busy := slices.ContainsFunc(node.Assignments, func(a controller.Assignment) bool {
		return len(a.Adding)+len(a.Removing) > 0
	})
	switch {
	case busy:
		r.fail(errcode.ReassignmentInProgress,
			"A partition reassignment is in progress for the topic '%s'.", t.Name)
	case t.Count == have:
		r.fail(errcode.InvalidPartitions, "Topic already has %d partitions.", have)
	case t.Count < have:
		r.fail(errcode.InvalidPartitions,
			"Topic currently has %d partitions, which is higher than the requested %d.",
			have, t.Count)
	case have == 0 || len(im.Brokers) == 0:
		r.fail(errcode.InvalidReplicaAssignment, "The topic or the cluster is empty.")
	}
	if r.failed() {
		return nil
	}
	first := node.Assignments[0].Replicas
	lists := t.Assignment
	if lists == nil {
		brokers := s.assignable(im)
		if len(first) > len(brokers) {
			r.fail(errcode.InvalidReplicationFactor,
				"Replication factor: %d larger than available brokers: %d.",
				len(first), len(brokers))
			return nil
		}
		lists = controller.PlaceMore(brokers, int(t.Count-have), first, int(have))
	} else if checkGrowth(t, im, have, len(first), r); r.failed() {
		return nil
	}
	var added []controller.Assignment
	for i, replicas := range lists {
		added = append(added, controller.Assignment{Index: have + int32(i), Replicas: replicas})
	}
	return added
}

func checkGrowth(t *NewPartitions, im *cluster.Image, have int32, factor int, r *TopicResult) {
	if n := int(t.Count - have); n != len(t.Assignment) {
		r.fail(errcode.InvalidReplicaAssignment,
			"Increasing the number of partitions by %d but %d assignments provided.",
			n, len(t.Assignment))
		return
	}
	var unknown, odd, sizes []string
	for i, replicas := range t.Assignment {
		index := have + int32(i)
		unique := slices.Compact(slices.Sorted(slices.Values(replicas)))
		switch {
		case len(replicas) == 0:
			r.fail(errcode.InvalidReplicaAssignment,
				"Cannot have replication factor of 0 for partition id %d.", index)
			return
		case len(unique) != len(replicas):
			r.fail(errcode.InvalidReplicaAssignment,
				"Duplicate brokers not allowed in replica assignment: %s for partition id %d.",
				joinIDs(replicas), index)
			return
		case len(replicas) != factor:
			odd = append(odd, fmt.Sprint(index))
			sizes = append(sizes, fmt.Sprint(len(replicas)))
		}
		for _, id := range unique {
			if im.Broker(id) == nil && !slices.Contains(unknown, fmt.Sprint(id)) {
				unknown = append(unknown, fmt.Sprint(id))
			}
		}
	}
	switch {
	case len(unknown) > 0:
		r.fail(errcode.InvalidReplicaAssignment, "Unknown broker(s) in replica assignment: %s.",
			strings.Join(unknown, ", "))
	case len(odd) > 0:
		r.fail(errcode.InvalidReplicaAssignment,
			"Inconsistent replication factor between partitions, partition 0 has %d while "+
				"partitions [%s] have replication factors [%s], respectively.",
			factor, strings.Join(odd, ", "), strings.Join(sizes, ", "))
	}
}

func joinIDs(ids []int32) string {
	text := make([]string, len(ids))
	for i, id := range ids {
		text[i] = fmt.Sprint(id)
	}
	return strings.Join(text, ", ")
}

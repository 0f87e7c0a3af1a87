package host

import (
	"errors"

	"go.uber.org/zap"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/commitlog"
	"zkafka/kafkad/config"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/partition"
)

// Leadership is a change of this broker's role for a partition. Leader is true when it became
// leader (again, if Epoch grew), false when it stopped being it. Deleted says the log is gone.
type Leadership struct {
	TP      TP
	Leader  bool
	Deleted bool
	Epoch   int32
}

// OnLeadership has f called for every change in the partitions of topic. Calls come one at a time
// in the order the controller decided, before the controller gets its answer: f must not block
// and must not call back into Host's control methods. Register before the store starts.
func (h *Host) OnLeadership(topic string, f func(Leadership)) {
	h.listeners[topic] = append(h.listeners[topic], f)
}

// OnTopicsGone has f called with topics that the cluster deleted, so that group offsets of them can
// be dropped. Register before the store starts; f must not block.
func (h *Host) OnTopicsGone(f func(topics []string)) { h.onGone = append(h.onGone, f) }

func (h *Host) announce(l Leadership) {
	for _, f := range h.listeners[l.TP.Topic] {
		f(l)
	}
}

// stale checks the epochs of a control request, and that it does not come after Close.
func (h *Host) stale(controllerEpoch int32, brokerEpoch int64) errcode.Code {
	if h.stopped {
		return errcode.BrokerNotAvailable
	}
	if controllerEpoch < h.controllerEpoch {
		return errcode.StaleControllerEpoch
	}
	if brokerEpoch >= 0 && h.opts.BrokerEpoch != nil && brokerEpoch < h.opts.BrokerEpoch() {
		return errcode.StaleBrokerEpoch
	}
	h.controllerEpoch = controllerEpoch
	return errcode.None
}

// LeaderAndIsr implements metastore.Broker.
func (h *Host) LeaderAndIsr(req *cluster.LeaderAndIsr) cluster.LeaderAndIsrResult {
	h.control.Lock()
	defer h.control.Unlock()
	if code := h.stale(req.ControllerEpoch, req.BrokerEpoch); code != errcode.None {
		return cluster.LeaderAndIsrResult{Err: code}
	}
	results := make([]cluster.PartitionResult, len(req.Partitions))
	work := make([]*Partition, len(req.Partitions))
	var fresh []*Partition // new here, or without topic id until now
	for i := range req.Partitions {
		s := &req.Partitions[i]
		results[i] = cluster.PartitionResult{Topic: s.Topic, Index: s.Index}
		p, isFresh, code := h.replicaFor(s)
		results[i].Err = code
		if code == errcode.None {
			work[i] = p
		}
		if isFresh && code == errcode.None {
			fresh = append(fresh, p)
		}
	}
	for i, p := range work {
		if p != nil {
			results[i].Err = p.lead(&req.Partitions[i])
		}
	}
	// Visible only once they know what they are, so that no client meets an idle new replica.
	if len(fresh) > 0 {
		h.insert(fresh...)
	}
	for i, p := range work {
		if p != nil && results[i].Err == errcode.None {
			role, epoch := p.Role()
			h.announce(Leadership{TP: p.TP, Leader: role == partition.Leader, Epoch: epoch})
		}
	}
	return cluster.LeaderAndIsrResult{Partitions: results}
}

// replicaFor finds the replica that a LeaderAndIsr speaks of, or makes it. fresh says that the
// tables do not know it yet, or not under its topic id.
func (h *Host) replicaFor(
	s *cluster.PartitionState,
) (p *Partition, fresh bool, code errcode.Code) {
	tp := TP{Topic: s.Topic, Partition: s.Index}
	p = h.lookup(tp)
	if p == nil {
		dirs, someOffline := h.usableDirs()
		if len(dirs) == 0 || someOffline && !s.IsNew {
			// The log may lie in the dir that is offline: a second, empty one would lose it.
			return nil, false, errcode.KafkaStorageError
		}
		d := commitlog.Fewest(dirs)
		made, err := h.openPartition(d, tp)
		if err != nil {
			h.log.Error("creating a log failed", zap.String("TOPIC", tp.Topic),
				zap.Int32("PARTITION", tp.Partition), zap.Error(err))
			if errors.Is(err, commitlog.ErrStorage) {
				h.failDir(d, err)
			}
			return nil, false, errcode.KafkaStorageError
		}
		return made, true, h.setTopicID(made, s.TopicID)
	}
	unnamed := cluster.TopicID(p.log.TopicID()).IsZero()
	code = h.setTopicID(p, s.TopicID)
	return p, unnamed && !s.TopicID.IsZero(), code
}

// setTopicID gives the log its id, or compares.
func (h *Host) setTopicID(p *Partition, id cluster.TopicID) errcode.Code {
	have := cluster.TopicID(p.log.TopicID())
	switch {
	case id.IsZero() || have == id:
		return errcode.None
	case !have.IsZero():
		h.logFor(p).Error("the log belongs to another topic of the same name",
			zap.Stringer("log", have), zap.Stringer("controller", id))
		return errcode.InconsistentTopicID
	}
	if err := p.log.SetTopicID(id); err != nil {
		h.failDir(p.log.Dir(), err)
		return errcode.KafkaStorageError
	}
	return errcode.None
}

// lead takes over the controller's word.
func (p *Partition) lead(state *cluster.PartitionState) errcode.Code {
	p.mu.Lock()
	defer p.mu.Unlock()
	code := p.machine.LeaderAndIsr(state)
	if code != errcode.None {
		return code
	}
	if p.machine.Role() == partition.Leader {
		p.log.AssignEpoch(p.machine.Epoch(), p.log.End())
	}
	p.publish()
	return errcode.None
}

// StopReplica implements metastore.Broker.
func (h *Host) StopReplica(req *cluster.StopReplica) cluster.StopReplicaResult {
	h.control.Lock()
	defer h.control.Unlock()
	if code := h.stale(req.ControllerEpoch, req.BrokerEpoch); code != errcode.None {
		return cluster.StopReplicaResult{Err: code}
	}
	var res cluster.StopReplicaResult
	var gone []*Partition
	for i := range req.Partitions {
		sp := &req.Partitions[i]
		r := cluster.PartitionResult{Topic: sp.Topic, Index: sp.Index}
		if p := h.lookup(TP{Topic: sp.Topic, Partition: sp.Index}); p != nil {
			r.Err = h.stopReplica(p, sp)
			if sp.Delete && r.Err == errcode.None {
				gone = append(gone, p)
			}
		}
		res.Partitions = append(res.Partitions, r)
	}
	if len(gone) > 0 {
		h.remove(gone)
	}
	return res
}

func (h *Host) stopReplica(p *Partition, sp *cluster.StopPartition) errcode.Code {
	role, epoch := p.Role()
	if role == partition.Offline {
		return errcode.KafkaStorageError
	}
	if sp.LeaderEpoch >= 0 && sp.LeaderEpoch < epoch {
		return errcode.FencedLeaderEpoch
	}
	code := errcode.None
	p.ownAtDisk(func() {
		p.machine.Stop()
		p.publish()
		if !sp.Delete {
			return
		}
		if err := p.log.Delete(); err != nil {
			h.logFor(p).Error("deleting a log failed", zap.Error(err))
			h.failDir(p.log.Dir(), err)
			code = errcode.KafkaStorageError
		}
	})
	h.announce(Leadership{TP: p.TP, Deleted: sp.Delete, Epoch: epoch})
	return code
}

// UpdateMetadata implements metastore.Broker.
func (h *Host) UpdateMetadata(req *cluster.UpdateMetadata, gone []string) {
	h.control.Lock()
	defer h.control.Unlock()
	if len(gone) > 0 {
		for _, f := range h.onGone {
			f(gone)
		}
	}
}

// TopicConfigChanged implements metastore.Broker.
func (h *Host) TopicConfigChanged(topic string, overrides map[string]string) {
	h.control.Lock()
	defer h.control.Unlock()
	h.applySettings(topic, h.settingsWith(topic, overrides))
}

// BrokerConfigChanged implements metastore.Broker: topic defaults may be changed dynamically.
func (h *Host) BrokerConfigChanged(dynamic map[string]string) {
	h.control.Lock()
	defer h.control.Unlock()
	overrides := map[string]string{}
	for _, k := range config.TopicKeys() {
		for _, name := range k.Synonyms {
			if v, ok := dynamic[name]; ok {
				overrides[k.Name] = v
				break
			}
		}
	}
	t, errs := h.opts.Config.Topic.WithStored(overrides)
	for _, err := range errs {
		h.log.Warn("dynamic broker setting in ZooKeeper is ignored", zap.Error(err))
	}
	h.defaults.Store(&t)
	for name := range h.tables.Load().byName {
		h.applySettings(name, h.topicSettings(name))
	}
}

func (h *Host) applySettings(topic string, settings *Settings) {
	t := h.tables.Load().byName[topic]
	if t == nil || h.stopped {
		return
	}
	for _, p := range t.parts {
		if p == nil {
			continue
		}
		p.own(func() {
			p.settings.Store(settings)
			p.log.SetConfig(settings.log)
			p.machine.SetSettings(settings.machine)
			p.publish()
		})
	}
}

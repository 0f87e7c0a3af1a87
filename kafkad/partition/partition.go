// Package partition is one replica of one partition as a machine: role and epochs, log end, high
// watermark, last stable offset, who waits for which offset, and the decision about each Produce.
// Pure: the owner of the partition (package host) calls it, writes to the log as told, and reports
// what happened.
//
// Order of an append: Propose decides and says at which offset; the owner writes; Appended moves
// the log end and registers who waits. Offsets keep
//
//	LogStart ≤ LastStable ≤ HighWatermark ≤ Local ≤ LogEnd
//
// where Local is the part of the log that counts as held by this replica: all of it, unless appends
// must reach the disk before they are acknowledged (log.flush.interval.messages), in which case
// it ends where the last flush began.
package partition

import (
	"math"
	"slices"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/producer"
	"zkafka/kafkad/record"
)

// Role is what this replica is for its partition.
type Role uint8

// The roles. A replica is Idle from the opening of its log until the controller says what it is,
// and again after StopReplica; Offline after a disk error.
const (
	Idle Role = iota
	Follower
	Leader
	Offline
)

var roleNames = [...]string{"idle", "follower", "leader", "offline"}

// String names the role.
func (r Role) String() string { return roleNames[r] }

// Settings are the topic settings that the machine decides by.
type Settings struct {
	MinInsyncReplicas int
	// FlushMessages is how many records may be appended without flush; 0 means any number.
	FlushMessages int64
}

// Replica is the machine. Make one with New.
type Replica struct {
	self     int32
	settings Settings

	role            Role
	leader          int32
	epoch           int32
	partitionEpoch  int32
	controllerEpoch int32
	epochStart      int64 // log end when this broker became leader with this epoch
	isr, replicas   []int32
	remote          []remote // progress of the other replicas while leader

	start, end, local, high int64

	flushing bool  // a flush was asked for and has not ended
	flushed  int64 // end of what is known to be on disk

	producers *producer.State

	onLocal, onHigh waiters
	done            []Completion
}

// remote is what the leader knows of another replica; end is -1 before its first fetch.
type remote struct {
	id  int32
	end int64
}

// New makes the machine of a replica whose log holds [start, end). high is the checkpointed high
// watermark; it is clamped to the log. producers is the state that belongs to the log.
func New(self int32, start, end, high int64, producers *producer.State, s Settings) *Replica {
	return &Replica{
		self: self, settings: s, leader: cluster.NoLeader, epoch: -1, partitionEpoch: -1,
		controllerEpoch: -1, start: start, end: end, local: end, flushed: end,
		high: min(max(high, start), end), producers: producers,
	}
}

// Role returns what the replica is now.
func (r *Replica) Role() Role { return r.role }

// Epoch returns the leader epoch, -1 before the first LeaderAndIsr.
func (r *Replica) Epoch() int32 { return r.epoch }

// LeaderID returns the broker that leads, as far as this replica was told.
func (r *Replica) LeaderID() int32 { return r.leader }

// LogEnd is the offset the next record gets.
func (r *Replica) LogEnd() int64 { return r.end }

// LogStart is the first offset of the log.
func (r *Replica) LogStart() int64 { return r.start }

// HighWatermark is the end of what consumers may see.
func (r *Replica) HighWatermark() int64 { return r.high }

// LastStable is the end of what read_committed consumers may see.
func (r *Replica) LastStable() int64 {
	if first, ok := r.producers.FirstUnstable(); ok {
		// Retention may have taken the beginning of an open transaction.
		return max(min(first, r.high), r.start)
	}
	return r.high
}

// EpochStart is the log end at which this broker became leader.
func (r *Replica) EpochStart() int64 { return r.epochStart }

// ISR returns the in-sync replicas; not to be changed.
func (r *Replica) ISR() []int32 { return r.isr }

// SetSettings takes over changed topic settings.
func (r *Replica) SetSettings(s Settings) {
	r.settings = s
	r.advance()
}

// SetLogStart notes that records before start are gone (retention, DeleteRecords).
func (r *Replica) SetLogStart(start int64) {
	r.start = max(r.start, start)
	r.high = max(r.high, r.start)
	r.local, r.end = max(r.local, r.start), max(r.end, r.start)
}

// LeaderAndIsr takes the controller's word. The rules are those of Kafka's brokers: a partition
// epoch of the leader lower than ours is stale, an equal one changes nothing and is an error too.
func (r *Replica) LeaderAndIsr(s *cluster.PartitionState) errcode.Code {
	switch {
	case r.role == Offline:
		return errcode.KafkaStorageError
	case s.LeaderEpoch <= r.epoch && r.role != Idle:
		return errcode.StaleControllerEpoch
	case s.LeaderEpoch < r.epoch:
		return errcode.StaleControllerEpoch
	case !slices.Contains(s.Replicas, r.self):
		return errcode.UnknownTopicOrPartition
	}
	r.leader, r.partitionEpoch, r.controllerEpoch = s.Leader, s.PartitionEpoch, s.ControllerEpoch
	r.isr, r.replicas = slices.Clone(s.ISR), slices.Clone(s.Replicas)
	r.epoch = s.LeaderEpoch
	if s.Leader != r.self {
		r.role = Follower
		r.abandon(errcode.NotLeaderOrFollower)
		return errcode.None
	}
	r.role = Leader
	r.epochStart = r.end
	r.remote = r.remote[:0]
	for _, id := range r.replicas {
		if id != r.self {
			r.remote = append(r.remote, remote{id, -1})
		}
	}
	r.advance()
	return errcode.None
}

// Stop ends the role, because of StopReplica.
func (r *Replica) Stop() {
	if r.role != Offline {
		r.role = Idle
	}
	r.abandon(errcode.NotLeaderOrFollower)
}

// Fail puts the replica offline after a disk error. Only a restart of the broker brings it back.
func (r *Replica) Fail() {
	r.role = Offline
	r.abandon(errcode.KafkaStorageError)
}

// Append is one batch that somebody wants to append.
type Append struct {
	Producer producer.Batch   // offsets are filled in by Appended
	Marker   *producer.Marker // instead of Producer: ends a transaction; Appended fills in the offset
	Count    int32            // last offset delta + 1
	Acks     int16            // 0, 1 or -1
	Internal bool             // built by this broker: no producer checks
	Token    any              // handed back in the Completion
}

// Decision says what to do about an Append.
type Decision struct {
	Err       errcode.Code
	Message   string // for the client, "" = the code says enough
	Duplicate bool   // in the log already, at Base to Last: write nothing, call Wait
	Base      int64
	Last      int64
	Timestamp int64 // of a duplicate
	Epoch     int32 // to write into the batch
}

// Propose decides about a batch. Nothing changes until Appended.
func (r *Replica) Propose(a *Append) Decision {
	if code := r.CheckLeader(-1); code != errcode.None {
		return Decision{Err: code, Base: -1}
	}
	if a.Acks == -1 && len(r.isr) < r.minISR() {
		return Decision{Err: errcode.NotEnoughReplicas, Base: -1}
	}
	if m := a.Marker; m != nil {
		err := r.producers.CheckMarker(m.ProducerID, m.Epoch, m.CoordinatorEpoch)
		if err != nil {
			return Decision{Err: faultCode(err), Message: err.Error(), Base: -1}
		}
	} else if !a.Internal {
		// Transactions are not served: nobody can have announced this partition to a coordinator.
		if a.Producer.Transactional {
			return Decision{Err: errcode.InvalidTxnState, Base: -1}
		}
		dup, err := r.producers.Check(a.Producer)
		if err != nil {
			return Decision{Err: faultCode(err), Message: err.Error(), Base: -1}
		}
		if dup != nil {
			return Decision{
				Duplicate: true, Base: dup.BaseOffset, Last: dup.LastOffset,
				Timestamp: dup.Timestamp, Epoch: r.epoch,
			}
		}
	}
	return Decision{Base: r.end, Last: r.end + int64(a.Count) - 1, Epoch: r.epoch}
}

func faultCode(err error) errcode.Code {
	switch producer.FaultOf(err) {
	case producer.Fenced:
		return errcode.InvalidProducerEpoch
	case producer.OutOfOrder:
		return errcode.OutOfOrderSequenceNumber
	case producer.InvalidTxnState:
		return errcode.InvalidTxnState
	case producer.CoordinatorFenced:
		return errcode.TransactionCoordinatorFenced
	}
	return errcode.UnknownServerError
}

// Appended reports that the batch was written where d said. If needFlush, the owner has the log
// flushed off its own path and calls Flushed. Whether the append is
// complete is told by Completions.
func (r *Replica) Appended(a *Append, d Decision) (needFlush bool) {
	a.Producer.BaseOffset, a.Producer.LastOffset = d.Base, d.Last
	switch {
	case a.Marker != nil:
		a.Marker.Offset = d.Last
		r.producers.UpdateMarker(*a.Marker)
	case a.Producer.ProducerID == record.NoProducerID:
		r.producers.SetEnd(d.Last + 1)
	default:
		r.producers.Update(a.Producer)
	}
	r.end = d.Last + 1
	if r.flushing || r.settings.FlushMessages > 0 && r.end-r.flushed >= r.settings.FlushMessages {
		needFlush = !r.flushing
		r.flushing = true
	} else {
		r.local = r.end
	}
	r.advance()
	r.Wait(a, d)
	return needFlush
}

// Flushed reports that a flush which Appended asked for is done, and the log end from before it.
// again asks for another one, because more was appended meanwhile that must not be acknowledged
// before.
func (r *Replica) Flushed(end int64) (again bool) {
	r.flushed = max(r.flushed, min(end, r.end))
	r.flushing = r.settings.FlushMessages > 0 && r.end-r.flushed >= r.settings.FlushMessages
	if r.flushing {
		r.local = max(r.local, r.flushed)
	} else {
		r.local = r.end
	}
	r.advance()
	return r.flushing
}

// NoteFlushed tells that the log was flushed up to end for another reason (a timer, a roll).
func (r *Replica) NoteFlushed(end int64) { r.flushed = max(r.flushed, min(end, r.end)) }

// Wait registers the append among those that wait for its last offset, or completes it at once.
func (r *Replica) Wait(a *Append, d Decision) {
	w := waiter{need: d.Last + 1, token: a.Token}
	switch {
	case a.Acks == -1:
		r.onHigh.add(w)
		r.release()
	case r.local >= w.need:
		r.done = append(r.done, Completion{Token: a.Token})
	default:
		r.onLocal.add(w)
	}
}

// Cancel forgets a waiting append, because its time is up; false if it does not wait.
func (r *Replica) Cancel(token any) bool {
	return r.onLocal.remove(token) || r.onHigh.remove(token)
}

// Completion says that an append is complete, with its outcome.
type Completion struct {
	Token any
	Err   errcode.Code
}

// Completions calls f for what completed since the last call.
func (r *Replica) Completions(f func(Completion)) {
	for _, c := range r.done {
		f(c)
	}
	clear(r.done)
	r.done = r.done[:0]
}

// Waiting is the number of appends that wait.
func (r *Replica) Waiting() int { return len(r.onLocal.list) + len(r.onHigh.list) }

// CheckLeader tells whether this replica may answer as leader to somebody who believes in the given
// leader epoch (-1 = does not say).
func (r *Replica) CheckLeader(believed int32) errcode.Code {
	return CheckLeader(r.role, r.epoch, believed)
}

// CheckLeader is the same for a role and epoch that were published earlier.
func CheckLeader(role Role, epoch, believed int32) errcode.Code {
	switch {
	case role == Offline:
		return errcode.KafkaStorageError
	case role == Idle:
		return errcode.NotLeaderOrFollower
	case believed != -1 && believed < epoch:
		return errcode.FencedLeaderEpoch
	case believed > epoch:
		return errcode.UnknownLeaderEpoch
	case role != Leader:
		return errcode.NotLeaderOrFollower
	}
	return errcode.None
}

// FollowerFetch notes that another replica fetches at offset, so has everything before it.
func (r *Replica) FollowerFetch(id int32, offset int64) errcode.Code {
	for i := range r.remote {
		if r.remote[i].id == id {
			r.remote[i].end = offset
			r.advance()
			return errcode.None
		}
	}
	return errcode.UnknownLeaderEpoch
}

// minISR is the effective minimum: a topic with fewer replicas than the setting needs them all.
func (r *Replica) minISR() int { return min(r.settings.MinInsyncReplicas, len(r.replicas)) }

// advance moves the high watermark as far as every member of the ISR has the log.
func (r *Replica) advance() {
	if r.role == Leader && len(r.isr) >= r.minISR() {
		high := int64(math.MaxInt64)
		for _, id := range r.isr {
			high = min(high, r.replicaEnd(id))
		}
		if high != math.MaxInt64 {
			r.high = max(r.high, high)
			r.producers.Replicated(r.high)
		}
	}
	r.release()
}

func (r *Replica) replicaEnd(id int32) int64 {
	if id == r.self {
		return r.local
	}
	for _, f := range r.remote {
		if f.id == id {
			return f.end
		}
	}
	return -1
}

// release completes what waited for offsets that are reached.
func (r *Replica) release() {
	for {
		w, ok := r.onLocal.take(r.local)
		if !ok {
			break
		}
		r.done = append(r.done, Completion{Token: w.token})
	}
	for {
		w, ok := r.onHigh.take(r.high)
		if !ok {
			return
		}
		code := errcode.None
		if len(r.isr) < r.minISR() {
			code = errcode.NotEnoughReplicasAfterAppend
		}
		r.done = append(r.done, Completion{Token: w.token, Err: code})
	}
}

// abandon completes everything that waits with an error.
func (r *Replica) abandon(code errcode.Code) {
	for _, q := range []*waiters{&r.onLocal, &r.onHigh} {
		for _, w := range q.list {
			r.done = append(r.done, Completion{Token: w.token, Err: code})
		}
		clear(q.list)
		q.list = q.list[:0]
	}
}

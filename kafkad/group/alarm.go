package group

import "container/heap"

// Alarms are lazy: a member's heartbeat only moves the alarm's due time. The heap entry made
// earlier stays, and when it comes up it is pushed again if the alarm has moved on. So a
// heartbeat costs nothing and each alarm costs one heap operation per period.

type alarmKind uint8

const (
	alarmMember  alarmKind = iota // session of a member, or of a pending member id
	alarmJoin                     // end of a join phase
	alarmSync                     // members must have synced
	alarmCleanup                  // offsets expire
)

// alarm is a point in time at which something happens. due = 0 means off; queued is the
// earliest entry of it in the heap, 0 = none; queued ≤ due if both are set.
type alarm struct {
	kind   alarmKind
	due    int64
	queued int64
	group  *classic
	member string
}

type alarmEntry struct {
	at    int64
	order uint64 // ties go to the older entry, so that a run repeats exactly
	alarm *alarm
}

type alarmHeap struct {
	entries []alarmEntry
	order   uint64
}

func (h *alarmHeap) Len() int { return len(h.entries) }
func (h *alarmHeap) Less(i, j int) bool {
	a, b := h.entries[i], h.entries[j]
	return a.at < b.at || a.at == b.at && a.order < b.order
}
func (h *alarmHeap) Swap(i, j int) { h.entries[i], h.entries[j] = h.entries[j], h.entries[i] }
func (h *alarmHeap) Push(x any)    { h.entries = append(h.entries, x.(alarmEntry)) }
func (h *alarmHeap) Pop() any {
	last := len(h.entries) - 1
	e := h.entries[last]
	h.entries[last] = alarmEntry{}
	h.entries = h.entries[:last]
	return e
}

// set moves the alarm to a new due time.
func (m *Machine) set(a *alarm, due int64) {
	a.due = due
	if a.queued == 0 || due < a.queued {
		m.push(a)
	}
}

func (m *Machine) push(a *alarm) {
	a.queued = a.due
	m.alarms.order++
	heap.Push(&m.alarms, alarmEntry{at: a.due, order: m.alarms.order, alarm: a})
}

// NextDeadline returns when Tick must be called at the latest. It may be early, never late.
func (m *Machine) NextDeadline() int64 { return m.alarms.entries[0].at }

// Tick lets everything happen that is due at now.
func (m *Machine) Tick(now int64) { m.run(now) }

// run fires the alarms that are due. Every input ends with it: a delay of zero ends at once.
func (m *Machine) run(now int64) {
	for m.alarms.Len() > 0 && m.alarms.entries[0].at <= now {
		e := heap.Pop(&m.alarms).(alarmEntry)
		a := e.alarm
		if e.at != a.queued {
			continue // an earlier entry of the same alarm has taken over
		}
		a.queued = 0
		switch {
		case a.due == 0:
		case a.due > now:
			m.push(a)
		default:
			a.due = 0
			m.fire(now, a)
		}
	}
}

func (m *Machine) fire(now int64, a *alarm) {
	switch a.kind {
	case alarmMember:
		m.sessionExpired(now, a.group, a.member)
	case alarmJoin:
		m.joinExpired(now, a.group)
	case alarmSync:
		m.syncExpired(now, a.group)
	case alarmCleanup:
		m.expireOffsets(now)
		m.set(&m.cleanup, now+m.cfg.OffsetsCheckIntervalMillis)
	}
}

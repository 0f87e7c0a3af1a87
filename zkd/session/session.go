// Package session keeps the sessions of a server: their ids, passwords and expiry.
//
// It is a pure machine. Time comes in as milliseconds of a monotonic clock with an arbitrary
// start; the owner calls Expire whenever NextExpiry has passed. Nothing here is safe for
// concurrent use: the replica's goroutine owns it.
//
// Expiry works in buckets of one tick, as upstream's does: a session that was touched at time t
// with timeout d dies at the first multiple of the tick that is greater than t+d, never between
// two multiples.
//
// A session must not die because the server was late. The owner touches it with the time at which
// something arrived from the client, not the time at which the server looked at it; Expire spares
// sessions of which the owner knows that it has not listened to them, and puts everything off once
// when it was called late, because nobody may have listened to anybody then.
package session

import "slices"

// firstIDShift places the server id in the top byte of a session id.
const firstIDShift = 56

// containerOwner is the value of a znode's ephemeralOwner that marks a container; no session may
// have it as its id.
const containerOwner = -1 << 63

// FirstID returns the first session id that a server hands out: its own id in the top byte, 40 bits
// of monotonicMillis below, 16 zero bits at the bottom. Ids count up from there, so they are unique
// across restarts as long as fewer than 65,536 sessions are created per millisecond.
func FirstID(serverID, monotonicMillis int64) int64 {
	id := serverID<<firstIDShift | int64(uint64(monotonicMillis)<<24>>8)
	if id == containerOwner {
		id++
	}
	return id
}

// Session is one live session as the tracker sees it.
type Session struct {
	ID            int64
	TimeoutMillis int64
	// Closing is set once a closeSession transaction is on its way: the session takes no
	// further requests although it still exists.
	Closing bool

	expiry int64 // bucket, a multiple of the tick; > now while the session lives
	slot   int   // position in its bucket
}

// Expiry returns the bucket boundary at which the session dies unless it is touched.
func (s *Session) Expiry() int64 { return s.expiry }

// Tracker holds the live sessions in expiry buckets.
//
// Invariants: every session that is not Closing is in exactly one bucket, the one of its expiry;
// every bucket is non-empty; next is not greater than the smallest bucket.
type Tracker struct {
	tickMillis int64
	nextID     int64
	sessions   map[int64]*Session
	buckets    map[int64][]*Session
	next       int64
	putOff     int64 // nothing expires before
}

// NewTracker returns an empty tracker with the given bucket width. firstID is the id that
// NewID returns first.
func NewTracker(tickMillis, firstID, nowMillis int64) *Tracker {
	return &Tracker{
		tickMillis: max(tickMillis, 1),
		nextID:     firstID,
		sessions:   map[int64]*Session{},
		buckets:    map[int64][]*Session{},
		next:       roundUp(nowMillis, max(tickMillis, 1)),
	}
}

func roundUp(t, tick int64) int64 { return (t/tick + 1) * tick }

// NewID returns the next unused session id.
func (t *Tracker) NewID() int64 {
	id := t.nextID
	t.nextID++
	if id == containerOwner || id == 0 {
		id = t.nextID
		t.nextID++
	}
	return id
}

// Add makes id a live session, or touches it when it is one already.
func (t *Tracker) Add(id, timeoutMillis, nowMillis int64) {
	if s := t.sessions[id]; s != nil {
		t.Touch(id, timeoutMillis, nowMillis)
		return
	}
	s := &Session{ID: id, TimeoutMillis: timeoutMillis}
	t.sessions[id] = s
	t.place(s, roundUp(nowMillis+timeoutMillis, t.tickMillis))
}

// Touch postpones the expiry of id and says whether id is a live session that may go on working.
func (t *Tracker) Touch(id, timeoutMillis, nowMillis int64) bool {
	s := t.sessions[id]
	if s == nil || s.Closing {
		return false
	}
	s.TimeoutMillis = timeoutMillis
	expiry := roundUp(nowMillis+timeoutMillis, t.tickMillis)
	if expiry <= s.expiry {
		return true
	}
	t.unplace(s)
	t.place(s, expiry)
	return true
}

// Grant lets id live until untilMillis at least.
func (t *Tracker) Grant(id, untilMillis int64) {
	s := t.sessions[id]
	if s == nil || s.Closing {
		return
	}
	if expiry := roundUp(untilMillis, t.tickMillis); expiry > s.expiry {
		t.unplace(s)
		t.place(s, expiry)
	}
}

// Live says whether id is known and not closing.
func (t *Tracker) Live(id int64) bool {
	s := t.sessions[id]
	return s != nil && !s.Closing
}

// SetClosing marks id as closing: its closeSession transaction has been prepared.
func (t *Tracker) SetClosing(id int64) {
	if s := t.sessions[id]; s != nil && !s.Closing {
		s.Closing = true
		t.unplace(s)
	}
}

// Remove forgets id.
func (t *Tracker) Remove(id int64) {
	s := t.sessions[id]
	if s == nil {
		return
	}
	if !s.Closing {
		t.unplace(s)
	}
	delete(t.sessions, id)
}

// NextExpiry returns the next bucket boundary: nothing can expire before it.
func (t *Tracker) NextExpiry() int64 { return max(t.next, t.putOff) }

// Expire appends to dst the ids of the sessions whose time is over at nowMillis, in order of bucket
// and then id, marks them closing and returns dst. Those that spare names live for another tick.
//
// Called later than NextExpiry by more than a tick it expires nothing: the owner has stood still,
// and what clients sent meanwhile gets the time until the next boundary but one to be read.
func (t *Tracker) Expire(dst []int64, nowMillis int64, spare func(id int64) bool) []int64 {
	if nowMillis < t.putOff {
		return dst
	}
	if late := nowMillis - t.next; late > t.tickMillis && t.putOff < t.next {
		t.putOff = roundUp(nowMillis+t.tickMillis, t.tickMillis)
		return dst
	}
	for t.next <= nowMillis {
		due, ok := t.buckets[t.next]
		if !ok {
			t.next = t.firstBucket(nowMillis)
			continue
		}
		from := len(dst)
		delete(t.buckets, t.next)
		for _, s := range due {
			if spare(s.ID) {
				t.place(s, roundUp(nowMillis, t.tickMillis))
				continue
			}
			dst = append(dst, s.ID)
			s.Closing = true
		}
		slices.Sort(dst[from:])
		t.next += t.tickMillis
	}
	return dst
}

// firstBucket returns the first bucket in use, or the first boundary after now if that is earlier.
// It keeps a machine that slept for a day from walking a day of empty buckets.
func (t *Tracker) firstBucket(nowMillis int64) int64 {
	first := roundUp(nowMillis, t.tickMillis)
	for b := range t.buckets {
		first = min(first, b)
	}
	return first
}

// Len returns the number of sessions, closing ones included.
func (t *Tracker) Len() int { return len(t.sessions) }

// Get returns the session with the given id, or nil.
func (t *Tracker) Get(id int64) *Session { return t.sessions[id] }

// Bucket is the set of sessions that expire together.
type Bucket struct {
	ExpiryMillis int64
	IDs          []int64
}

// Buckets lists the expiry buckets in order, for the dump command.
func (t *Tracker) Buckets() []Bucket {
	out := make([]Bucket, 0, len(t.buckets))
	for b, ss := range t.buckets {
		ids := make([]int64, 0, len(ss))
		for _, s := range ss {
			ids = append(ids, s.ID)
		}
		slices.Sort(ids)
		out = append(out, Bucket{ExpiryMillis: b, IDs: ids})
	}
	slices.SortFunc(out, func(a, b Bucket) int { return int(a.ExpiryMillis - b.ExpiryMillis) })
	return out
}

func (t *Tracker) place(s *Session, expiry int64) {
	s.expiry = expiry
	b := t.buckets[expiry]
	s.slot = len(b)
	t.buckets[expiry] = append(b, s)
}

func (t *Tracker) unplace(s *Session) {
	b := t.buckets[s.expiry]
	last := len(b) - 1
	b[s.slot] = b[last]
	b[s.slot].slot = s.slot
	b[last] = nil
	if last == 0 {
		delete(t.buckets, s.expiry)
		return
	}
	t.buckets[s.expiry] = b[:last]
}

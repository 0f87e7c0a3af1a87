package handler

import (
	"math/rand/v2"
	"sync"
	"time"

	"zkafka/kafkad/commitlog"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/host"
	"zkafka/kafkad/wire"
)

// Fetch sessions (KIP-227): a client names its partitions once, later requests only what changed,
// and responses only partitions with news. A session belongs to nobody's connection; it lives in a
// cache of bounded size until the client closes it or somebody else needs the slot.

// FetchOptions limit what fetches may take. Zero values mean upstream's defaults.
type FetchOptions struct {
	MaxBytes     int // fetch.max.bytes: of one response to a consumer
	SessionSlots int // max.incremental.fetch.session.cache.slots; negative = no sessions
}

const (
	defaultFetchMaxBytes = 57671680
	defaultSessionSlots  = 1000
	// sessionEvictable is how long a session must be unused before another may take its slot.
	sessionEvictable = 2 * time.Minute
)

// noSpan is a span of nothing, whose Release does nothing.
var noSpan commitlog.Span

// partKey names a partition in a session: by name, or by id from version 13.
type partKey struct {
	name  string
	id    [16]byte
	index int32
}

// fetchPart is one partition of a fetch, in a session or for one request.
type fetchPart struct {
	key partKey
	req wire.FetchPartition

	// What the client was told last; only for sessions.
	knownHigh, knownStart int64
	served                bool // records, by the response that is being made

	// Of the request being served:
	part   *host.Partition
	topic  string // name, also if the client gave an id; "" = unknown
	res    wire.FetchResult
	span   commitlog.Span
	inline []byte // converted records, instead of span

	aborted []commitlog.Aborted       // in span, if committed records are asked for
	listed  []wire.AbortedTransaction // the same as the response has it
}

// session is one fetch session. Between begin and end of a request it belongs to its connection.
type session struct {
	id      int32
	epoch   int32 // that the next request must carry
	busy    bool
	usesIDs bool
	replica bool // of a follower: may push out a consumer's session
	used    time.Time
	parts   map[partKey]*fetchPart
	order   []*fetchPart
}

// sessions is the cache.
type sessions struct {
	mu   sync.Mutex
	byID map[int32]*session
}

// fetchContext is how one request is to be answered.
type fetchContext struct {
	session     *session // nil = none
	incremental bool     // leave out partitions without news
	parts       []*fetchPart
}

// openFetch decides what session a request belongs to and which partitions it is about.
func (h *Handlers) openFetch(version int16, q *wire.FetchRequest, s *fetchState) (
	fetchContext, errcode.Code,
) {
	if q.SessionEpoch == -1 || q.SessionEpoch == 0 {
		h.sessions.drop(q.SessionID)
		ctx := fetchContext{parts: s.partsOf(version, q)}
		if q.SessionEpoch == 0 && version >= 7 {
			ctx.session = h.newSession(version, q, ctx.parts)
			if ctx.session != nil {
				ctx.parts = ctx.session.order
			}
		}
		return ctx, errcode.None
	}
	se, code := h.sessions.take(q.SessionID, q.SessionEpoch, version >= 13)
	if code != errcode.None {
		return fetchContext{}, code
	}
	se.update(version, q)
	if len(se.order) == 0 {
		h.sessions.end(se)
		h.sessions.drop(se.id)
		return fetchContext{}, errcode.None
	}
	return fetchContext{session: se, incremental: true, parts: se.order}, errcode.None
}

// partsOf lists the partitions of a request without session, reusing the connection's memory.
func (s *fetchState) partsOf(version int16, q *wire.FetchRequest) []*fetchPart {
	for len(s.slab) < len(q.Partitions) {
		s.slab = append(s.slab, &fetchPart{})
	}
	s.list = s.list[:0]
	for _, t := range q.Topics {
		name := ""
		if version < 13 {
			name = string(t.Name)
		}
		for i := t.From; i < t.To; i++ {
			p := s.slab[i]
			*p = fetchPart{
				key: partKey{name, t.ID, q.Partitions[i].Index}, req: q.Partitions[i],
				knownHigh: -1, knownStart: -1,
			}
			s.list = append(s.list, p)
		}
	}
	return s.list
}

func (h *Handlers) newSession(version int16, q *wire.FetchRequest, parts []*fetchPart) *session {
	slots := h.Fetch.SessionSlots
	if slots == 0 {
		slots = defaultSessionSlots
	}
	se := &session{
		epoch: 1, busy: true, usesIDs: version >= 13, replica: q.ReplicaID >= 0,
		parts: make(map[partKey]*fetchPart, len(parts)),
	}
	for _, p := range parts {
		if se.parts[p.key] == nil {
			own := *p
			se.parts[p.key] = &own
			se.order = append(se.order, &own)
		}
	}
	if !h.sessions.add(se, slots, time.Now()) {
		return nil
	}
	return se
}

// update applies an incremental request: new partitions, changed ones, forgotten ones.
func (se *session) update(version int16, q *wire.FetchRequest) {
	for _, t := range q.Topics {
		name := ""
		if version < 13 {
			name = string(t.Name)
		}
		for i := t.From; i < t.To; i++ {
			key := partKey{name, t.ID, q.Partitions[i].Index}
			p := se.parts[key]
			if p == nil {
				p = &fetchPart{key: key, knownHigh: -1, knownStart: -1}
				se.parts[key] = p
				se.order = append(se.order, p)
			}
			p.req = q.Partitions[i]
		}
	}
	if len(q.Forgotten) == 0 {
		return
	}
	for _, f := range q.Forgotten {
		name := ""
		if version < 13 {
			name = string(f.Name)
		}
		delete(se.parts, partKey{name, f.ID, f.Index})
	}
	kept := se.order[:0]
	for _, p := range se.order {
		if se.parts[p.key] == p {
			kept = append(kept, p)
		}
	}
	clear(se.order[len(kept):])
	se.order = kept
}

// news tells whether an incremental response must have the partition, and notes what the client
// knows after it.
func (p *fetchPart) news() bool {
	res := &p.res
	p.served = res.RecordsLen > 0
	if res.Err != errcode.None {
		// The next success must be told, whatever the high watermark.
		p.knownHigh, p.knownStart = -1, res.LogStartOffset
		return true
	}
	told := res.RecordsLen > 0 || res.DivergingEpoch >= 0 || res.PreferredReplica >= 0 ||
		res.HighWatermark != p.knownHigh || res.LogStartOffset != p.knownStart
	p.knownHigh, p.knownStart = res.HighWatermark, res.LogStartOffset
	return told
}

// rotate moves partitions that returned records behind the others, so that a full response does
// not starve those at the end.
func (se *session) rotate() {
	var served []*fetchPart
	kept := se.order[:0]
	for _, p := range se.order {
		if p.served {
			served = append(served, p)
		} else {
			kept = append(kept, p)
		}
	}
	se.order = append(kept, served...)
}

// take claims a session for a request with that epoch.
func (s *sessions) take(id, epoch int32, usesIDs bool) (*session, errcode.Code) {
	s.mu.Lock()
	defer s.mu.Unlock()
	se := s.byID[id]
	switch {
	case se == nil:
		return nil, errcode.FetchSessionIDNotFound
	case se.busy || se.epoch != epoch:
		return nil, errcode.InvalidFetchSessionEpoch
	case se.usesIDs != usesIDs:
		return nil, errcode.FetchSessionTopicIDError
	}
	se.busy = true
	if se.epoch++; se.epoch < 0 {
		se.epoch = 1
	}
	return se, errcode.None
}

// end gives a session back after its request was answered.
func (s *sessions) end(se *session) {
	now := time.Now()
	s.mu.Lock()
	se.busy, se.used = false, now
	s.mu.Unlock()
}

func (s *sessions) drop(id int32) {
	if id == 0 {
		return
	}
	s.mu.Lock()
	delete(s.byID, id)
	s.mu.Unlock()
}

// add puts a new session into the cache, if there is a slot or one that may be taken away.
func (s *sessions) add(se *session, slots int, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = map[int32]*session{}
	}
	if len(s.byID) >= slots && !s.evict(se.replica, now) {
		return false
	}
	for se.id == 0 || s.byID[se.id] != nil {
		se.id = rand.Int32()
	}
	se.used = now
	s.byID[se.id] = se
	return true
}

// evict removes the session that was unused for longest, if that is long, or if it is a consumer's
// and a follower asks.
func (s *sessions) evict(forReplica bool, now time.Time) bool {
	var victim *session
	for _, se := range s.byID {
		old := now.Sub(se.used) > sessionEvictable
		if se.busy || !old && (!forReplica || se.replica) {
			continue
		}
		if victim == nil || se.used.Before(victim.used) {
			victim = se
		}
	}
	if victim == nil {
		return false
	}
	delete(s.byID, victim.id)
	return true
}

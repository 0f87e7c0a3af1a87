package handler

import (
	"context"
	"fmt"
	"slices"
	"time"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/commitlog"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/host"
	"zkafka/kafkad/record"
	"zkafka/kafkad/wire"
)

// Fetch (1), versions 0 to 17. Raw: the reply's head is built here, records go from the segment
// files to the socket. An answer that is too small for min_bytes waits, woken by the partitions'
// high watermarks, until max_wait_ms is over.
//
// The first batch of a response is whole even if it exceeds all limits (version 3 and later). No
// other first batch of a partition is cut: what does not fit is left out.
// Versions 0 to 3 get the old message formats. From version 7 there are fetch sessions, from 13
// topics are named by id.

// fetchState is what a connection keeps between Fetch requests.
type fetchState struct {
	req    wire.FetchRequest
	slab   []*fetchPart
	list   []*fetchPart
	sent   []*fetchPart
	spans  []Span
	waiter *host.Waiter
	timer  *time.Timer
}

func (h *Handlers) serveFetch(ctx context.Context, c *Conn) error {
	if c.fetch == nil {
		c.fetch = &fetchState{waiter: host.NewWaiter()}
	}
	s := c.fetch
	if err := s.req.Decode(c.Header.Version, c.Body); err != nil {
		return err
	}
	fc, code := h.openFetch(c.Header.Version, &s.req, s)
	if code != errcode.None {
		return h.replyFetch(c, s, fetchContext{}, code)
	}
	if fc.session != nil {
		defer h.sessions.end(fc.session)
	}
	defer release(fc.parts) // before the session may be somebody else's
	if s.req.Isolation != 0 && s.req.Isolation != 1 && h.anyExists(c.Header.Version, fc.parts) {
		return h.refuseFetch(c, s, errcode.UnknownServerError)
	}
	h.collect(ctx, c, s, fc.parts)
	return h.replyFetch(c, s, fc, errcode.None)
}

// release lets go of all spans and of the partitions.
func release(parts []*fetchPart) {
	for _, p := range parts {
		p.span.Release()
		p.span, p.inline, p.part = noSpan, nil, nil
	}
}

// collect reads the partitions until the answer is worth sending or its time has come.
func (h *Handlers) collect(ctx context.Context, c *Conn, s *fetchState, parts []*fetchPart) {
	wait := time.Duration(s.req.MaxWaitMillis) * time.Millisecond
	bytes, urgent := h.readAll(c, s, parts)
	if wait <= 0 || len(parts) == 0 || urgent || bytes >= int(s.req.MinBytes) {
		return
	}
	if s.timer == nil {
		s.timer = time.NewTimer(wait)
	} else {
		s.timer.Reset(wait)
	}
	defer s.timer.Stop()
	for _, p := range parts {
		if p.part != nil {
			s.waiter.Watch(p.part)
		}
	}
	defer s.waiter.Stop()
	for last := false; ; {
		// Look again after Watch: something may have come between.
		bytes, urgent = h.readAll(c, s, parts)
		if last || urgent || bytes >= int(s.req.MinBytes) {
			return
		}
		select {
		case <-s.waiter.C:
		case <-s.timer.C:
			last = true
		case <-ctx.Done():
			last = true
		}
	}
}

// readAll reads every partition within the limits of the request. urgent says that there is
// something to tell besides records.
func (h *Handlers) readAll(c *Conn, s *fetchState, parts []*fetchPart) (bytes int, urgent bool) {
	left := h.Fetch.MaxBytes
	if left == 0 {
		left = defaultFetchMaxBytes
	}
	if s.req.ReplicaID >= 0 {
		left = int(s.req.MaxBytes)
	}
	left = min(left, int(s.req.MaxBytes))
	for _, p := range parts {
		p.span.Release()
		p.span, p.inline = noSpan, nil
		h.resolve(c.Header.Version, p)
		if p.res.Err == errcode.None {
			h.readPart(c, s, p, left, bytes == 0 && c.Header.Version >= 3)
		}
		if p.res.Err != errcode.None || p.res.DivergingEpoch >= 0 {
			urgent = true
		}
		if p.place() != normal {
			continue // no part of what is read, not of its limits either
		}
		bytes += p.res.RecordsLen
		left = max(left-p.res.RecordsLen, 0)
	}
	return bytes, urgent
}

// resolve finds the partition and checks that this broker may answer for it.
func (h *Handlers) resolve(version int16, p *fetchPart) {
	p.res = wire.FetchResult{
		Index: p.key.index, HighWatermark: -1, LastStableOffset: -1, LogStartOffset: -1,
		DivergingEpoch: -1, LeaderID: -1, LeaderEpoch: -1, PreferredReplica: -1,
	}
	p.topic = p.key.name
	if version >= 13 && p.key.id == [16]byte{} {
		p.part, p.res = nil, unknown(p, errcode.UnknownTopicID)
		return
	}
	if p.key.id != [16]byte{} {
		p.part, p.topic = h.Host.LookupID(p.key.id, p.key.index)
		if p.topic == "" {
			t := h.Store.Image().TopicByID(cluster.TopicID(p.key.id))
			if t == nil {
				p.res = unknown(p, errcode.UnknownTopicID)
				return
			}
			p.topic = t.Name
		}
	} else {
		p.part = h.Host.LookupName(p.key.name, p.key.index)
	}
	p.res.Err = h.mayLead(p.part, p.topic, p.key.index, max(p.req.CurrentLeaderEpoch, -1))
	if p.res.Err == errcode.UnknownTopicOrPartition {
		p.res = unknown(p, p.res.Err)
	}
}

// unknown is the result of a partition that does not exist: upstream finds that out apart from the
// others, and its list of aborted transactions is empty, not null.
func unknown(p *fetchPart, code errcode.Code) wire.FetchResult {
	res := failed(p, code)
	res.Aborted = []wire.AbortedTransaction{}
	return res
}

// Where a partition comes in a response: those that do not exist behind the others.
const (
	normal = iota
	unknownTopicID
	unknownPartition
)

func (p *fetchPart) place() int {
	switch p.res.Err {
	case errcode.UnknownTopicID:
		return unknownTopicID
	case errcode.UnknownTopicOrPartition:
		return unknownPartition
	}
	return normal
}

// readPart reads one partition that this broker leads.
func (h *Handlers) readPart(c *Conn, s *fetchState, p *fetchPart, left int, minOne bool) {
	version := c.Header.Version
	o := p.part.Offsets()
	if s.req.ReplicaID >= 0 {
		p.res.Err = p.part.FollowerFetch(s.req.ReplicaID, p.req.Offset)
		if p.res.Err != errcode.None {
			return
		}
		o = p.part.Offsets()
	}
	p.res.HighWatermark, p.res.LastStableOffset = o.HighWatermark, o.LastStable
	p.res.LogStartOffset = o.LogStart
	upTo := o.HighWatermark
	switch {
	case s.req.ReplicaID >= 0:
		upTo = o.LogEnd
	case s.req.Isolation == 1:
		upTo = o.LastStable
		p.res.Aborted = []wire.AbortedTransaction{}
	}
	limit := min(left, int(p.req.MaxBytes))
	switch {
	case p.req.LastFetchedEpoch >= 0 && h.diverges(p, &o):
		return
	case p.req.Offset < o.LogStart || p.req.Offset > o.LogEnd:
		p.res = failed(p, errcode.OffsetOutOfRange)
		return
	case p.req.Offset >= upTo:
		return
	case limit < 0:
		p.res = failed(p, errcode.UnknownServerError) // as upstream, which only foresees 0
		return
	case limit == 0 && !minOne:
		return
	}
	if err := p.read(limit, upTo, minOne); err != nil {
		p.res = failed(p, errcode.Of(err))
		if version <= 5 && p.res.Err == errcode.KafkaStorageError {
			p.res.Err = errcode.NotLeaderOrFollower
		}
		return
	}
	if p.res.RecordsLen == 0 {
		p.res.Aborted = nil // as upstream, when the first batch does not fit
	}
}

// read finds the records; if only committed ones are wanted, the aborted transactions among them
// too.
func (p *fetchPart) read(limit int, upTo int64, minOne bool) (err error) {
	if p.res.Aborted == nil {
		p.span, err = p.part.Read(p.req.Offset, limit, upTo, minOne)
	} else {
		p.span, p.aborted, err = p.part.ReadCommitted(p.req.Offset, limit, upTo, minOne,
			p.aborted[:0])
		p.listed = p.listed[:0]
		for _, a := range p.aborted {
			p.listed = append(p.listed, wire.AbortedTransaction(a))
		}
		if len(p.listed) > 0 {
			p.res.Aborted = p.listed
		}
	}
	p.res.RecordsLen = p.span.Len()
	return err
}

// failed is the result of a partition that has nothing but an error.
func failed(p *fetchPart, code errcode.Code) wire.FetchResult {
	return wire.FetchResult{
		Index: p.key.index, Err: code, HighWatermark: -1, LastStableOffset: -1,
		LogStartOffset: -1, DivergingEpoch: -1, LeaderID: -1, LeaderEpoch: -1, PreferredReplica: -1,
	}
}

// diverges compares the epoch that the client read last with the log's history.
func (h *Handlers) diverges(p *fetchPart, o *host.Offsets) bool {
	epoch, end := p.part.Log().EndOffsetFor(p.req.LastFetchedEpoch)
	switch {
	case epoch < 0 || p.req.Offset < o.LogStart:
		p.res = failed(p, errcode.OffsetOutOfRange)
		return true
	case epoch < p.req.LastFetchedEpoch || end < p.req.Offset:
		p.res.DivergingEpoch, p.res.DivergingEnd, p.res.Aborted = epoch, end, nil
		return true
	}
	return false
}

// suit makes the result one that a client of the version understands. Upstream does so with
// whatever it found, errors included.
func (h *Handlers) suit(p *fetchPart, version int16) {
	if version >= 10 || p.part == nil || p.place() != normal {
		return
	}
	settings := p.part.Settings()
	switch {
	case settings.Rules.Compression == record.Zstd:
		p.drop(errcode.UnsupportedCompressionType)
	case version < 4 && !settings.Topic.DownConversion:
		p.drop(errcode.UnsupportedVersion)
	case version < 4 && p.res.RecordsLen > 0:
		p.downConvert(version)
	}
}

// drop replaces what was found by an error.
func (p *fetchPart) drop(code errcode.Code) {
	p.span.Release()
	p.span, p.inline, p.res = noSpan, nil, unknown(p, code)
}

// downConvert replaces the span by the same records in the format of an old client.
func (p *fetchPart) downConvert(version int16) {
	magic := int8(0)
	if version >= 2 {
		magic = 1
	}
	b, err := p.span.AppendTo(nil)
	if err == nil {
		b, err = record.DownConvert(b, magic, p.req.Offset)
	}
	if err != nil {
		code, ok := recordCodes[record.KindOf(err)]
		if !ok {
			code = errcode.UnknownServerError
		}
		p.drop(code)
		return
	}
	p.span.Release()
	p.span, p.inline, p.res.RecordsLen = noSpan, b, len(b)
}

func (h *Handlers) anyExists(version int16, parts []*fetchPart) bool {
	return slices.ContainsFunc(parts, func(p *fetchPart) bool {
		h.resolve(version, p)
		return p.place() == normal
	})
}

// refuseFetch answers a request that makes no sense as a whole.
func (h *Handlers) refuseFetch(c *Conn, s *fetchState, code errcode.Code) error {
	fc := fetchContext{}
	if c.Header.Version < 13 {
		fc.parts = s.partsOf(c.Header.Version, &s.req)
		for _, p := range fc.parts {
			p.res = unknown(p, code)
		}
	}
	return h.sendFetch(c, s, fc.parts, s.req.SessionID, code, nil)
}

// replyFetch writes the response. Partitions that do not exist come behind the others.
func (h *Handlers) replyFetch(c *Conn, s *fetchState, fc fetchContext, code errcode.Code) error {
	s.sent = s.sent[:0]
	sessionID := int32(0)
	if fc.session != nil {
		sessionID = fc.session.id
	}
	l := leaders{listener: c.Listener}
	for place := range unknownPartition + 1 {
		for _, p := range fc.parts {
			if p.place() != place || !p.news() && fc.incremental {
				continue
			}
			if p.res.Err == errcode.NotLeaderOrFollower && c.Header.Version >= 12 {
				if l.image == nil {
					l.image = h.Store.Image()
				}
				p.res.LeaderID, p.res.LeaderEpoch = l.of(p.topic, p.key.index)
			}
			s.sent = append(s.sent, p)
		}
	}
	if fc.session != nil && !fc.incremental {
		copy(fc.session.order, s.sent)
	}
	if fc.incremental {
		defer fc.session.rotate()
	}
	defer clear(s.sent)
	for _, p := range s.sent {
		if c.Header.Version < 12 && p.res.DivergingEpoch >= 0 {
			// A session that was asked with an epoch before, and now in a version without.
			return h.refuseFetch(c, s, errcode.UnsupportedVersion)
		}
		h.suit(p, c.Header.Version)
	}
	return h.sendFetch(c, s, s.sent, sessionID, code, l.endpoints)
}

// sendFetch writes the response with these partitions.
func (h *Handlers) sendFetch(c *Conn, s *fetchState, parts []*fetchPart, sessionID int32,
	code errcode.Code, endpoints []wire.Endpoint) error {
	e := wire.FetchEncoder{
		B: wire.AppendResponseHeader(c.reply[:0], c.Header), Version: c.Header.Version,
	}
	e.Head(0, code, sessionID, topicRuns(parts))
	s.spans = s.spans[:0]
	total := 0
	for i := 0; i < len(parts); {
		n := run(parts[i:])
		first := parts[i]
		e.TopicHead([]byte(first.key.name), first.key.id, n)
		for _, p := range parts[i : i+n] {
			n, err := encodePart(&e, s, p)
			if err != nil {
				// The head says already how much there is: nothing but closing is left.
				return fmt.Errorf("answer %s-%d: %w", p.topic, p.key.index, p.part.Fault(err))
			}
			total += n
		}
		e.TopicTail()
		i += n
	}
	e.Tail(endpoints)
	wire.FinishFrame(e.B, total)
	c.reply = e.B
	err := c.Out.WriteSpans(e.B, s.spans)
	clear(s.spans)
	return err
}

// encodePart writes one partition and returns how many bytes of records follow from a file.
func encodePart(e *wire.FetchEncoder, s *fetchState, p *fetchPart) (fromFile int, err error) {
	e.PartitionHead(&p.res)
	switch {
	case p.inline != nil:
		e.B = append(e.B, p.inline...)
	case p.res.RecordsLen > 0:
		f, off, n := p.span.Region()
		if n != p.res.RecordsLen {
			return 0, commitlog.ErrClosed
		}
		s.spans = append(s.spans, Span{At: len(e.B), File: f, Offset: off, Len: n})
		fromFile = n
	}
	e.PartitionTail(&p.res)
	return fromFile, nil
}

// run is how many partitions at the front are of the same topic.
func run(parts []*fetchPart) int {
	n := 1
	first := &parts[0].key
	for n < len(parts) && parts[n].key.name == first.name && parts[n].key.id == first.id {
		n++
	}
	return n
}

// topicRuns counts the topics as the response groups them.
func topicRuns(parts []*fetchPart) (topics int) {
	for i := 0; i < len(parts); i += run(parts[i:]) {
		topics++
	}
	return topics
}

package handler

import (
	"context"
	"errors"
	"time"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/errcode"
	"zkafka/kafkad/host"
	"zkafka/kafkad/partition"
	"zkafka/kafkad/record"
	"zkafka/kafkad/wire"
)

// Produce (0), versions 0 to 11. Raw: batches stay where they were read, are checked here, on the
// connection's goroutine, patched by the partition's owner and written from there.
//
// Versions 0 to 2 carry the old message formats, which record.Check converts. acks 0 has no
// response: an error closes the connection, that being the only way to tell. From version 8
// records at fault are named, from 10 the current leader comes with NOT_LEADER_OR_FOLLOWER.

// adminClient is the client id that may write to internal topics.
const adminClient = "__admin_client"

// produceState is what a connection keeps between Produce requests.
type produceState struct {
	req     wire.ProduceRequest
	work    *host.Produce
	results []wire.ProduceResult
}

func (h *Handlers) serveProduce(ctx context.Context, c *Conn) error {
	if c.produce == nil {
		c.produce = &produceState{work: host.NewProduce()}
	}
	s := c.produce
	if err := s.req.Decode(c.Header.Version, c.Body); err != nil {
		return err
	}
	s.work.Reset(len(s.req.Partitions), s.req.Acks)
	if cap(s.results) < len(s.req.Partitions) {
		s.results = make([]wire.ProduceResult, len(s.req.Partitions))
	}
	s.results = s.results[:len(s.req.Partitions)]
	for i := range s.results {
		s.results[i] = wire.ProduceResult{
			BaseOffset: -1, LogAppendTimeMillis: -1, LogStartOffset: -1,
		}
	}
	h.submitProduce(c, s)
	s.work.Wait(ctx, time.Duration(s.req.TimeoutMillis)*time.Millisecond)

	failed := false
	for i := range s.results {
		it, res := &s.work.Items[i], &s.results[i]
		if it.Partition != nil {
			outcome(it, res)
		}
		failed = failed || res.Err != errcode.None
	}
	// Let go of batches that conversion made and of partitions that may be deleted.
	clear(s.work.Items)
	if s.req.Acks == 0 {
		if failed {
			return ErrClose
		}
		return nil
	}
	return h.replyProduce(c, s, failed)
}

// outcome takes the result of an append over. A refusal tells where the log begins, unless the log
// is somebody else's or out of reach.
func outcome(it *host.Item, res *wire.ProduceResult) {
	res.Err, res.Message = it.Err, it.Message
	switch it.Err {
	case errcode.None:
		res.BaseOffset, res.LogStartOffset = it.Base, it.LogStart
		res.LogAppendTimeMillis = it.AppendTime
	case errcode.NotLeaderOrFollower, errcode.KafkaStorageError:
	default:
		res.LogStartOffset = it.LogStart
	}
}

// submitProduce checks and appends one partition's data after the other, each while the processor's
// caches still hold it, and notes the results of what may not be appended.
func (h *Handlers) submitProduce(c *Conn, s *produceState) {
	if err := h.legible(c.Header.Version, &s.req); err != nil {
		for i := range s.results {
			refuse(&s.results[i], err)
		}
		return
	}
	now := time.Now().UnixMilli()
	for _, t := range s.req.Topics {
		internal := c.ClientID != adminClient && cluster.IsInternal(string(t.Name))
		for i := t.From; i < t.To; i++ {
			part, res := &s.req.Partitions[i], &s.results[i]
			p := h.Host.Lookup(t.Name, part.Index)
			led := p != nil && p.CheckLeader(-1) == errcode.None
			if !led {
				res.Err = h.mayLead(p, string(t.Name), part.Index, -1)
				if res.Err == errcode.UnknownTopicOrPartition {
					continue
				}
			}
			if err := record.CheckRequest(part.Records, c.Header.Version); err != nil {
				refuse(res, err)
				continue
			}
			switch {
			case s.req.Acks < -1 || s.req.Acks > 1:
				res.Err = errcode.InvalidRequiredAcks
			case internal:
				res.Err = errcode.InvalidTopicException
			case led:
				s.submit(i, p, t.Name, now)
			}
		}
	}
}

// legible looks at the headers for what is the fault of the whole request, as upstream, which looks
// for transactions before anything else: an entry without sense at the beginning of a partition's
// data; and, if the partition exists, any such entry before version 3, and what CheckRequest says
// of later ones.
func (h *Handlers) legible(version int16, q *wire.ProduceRequest) error {
	for i := range q.Partitions {
		if err := record.Readable(q.Partitions[i].Records, false); err != nil {
			return err
		}
	}
	for _, t := range q.Topics {
		for i := t.From; i < t.To; i++ {
			part := &q.Partitions[i]
			if version >= 7 && !record.Short(part.Records) {
				continue // nothing of the kind is possible
			}
			err := record.CheckRequest(part.Records, version)
			if version < 3 {
				err = record.Readable(part.Records, true)
			} else if record.KindOf(err) != record.UnreadableRequest {
				continue
			}
			if err != nil && h.exists(t.Name, part.Index) {
				return err
			}
		}
	}
	return nil
}

func (h *Handlers) exists(topic []byte, index int32) bool {
	code := h.mayLead(h.Host.Lookup(topic, index), string(topic), index, -1)
	return code != errcode.UnknownTopicOrPartition
}

// submit appends the data of one partition that this broker leads.
func (s *produceState) submit(i int, p *host.Partition, topic []byte, now int64) {
	part, res := &s.req.Partitions[i], &s.results[i]
	rules := p.Settings().Rules
	rules.NowMs, rules.Topic, rules.Partition = now, topic, part.Index
	set, err := record.Check(part.Records, &rules)
	switch {
	case err != nil:
		refuse(res, err)
		if res.Err != errcode.CorruptMessage && res.Err != errcode.MessageTooLarge &&
			res.Err != errcode.RecordListTooLarge {
			res.LogStartOffset = p.Log().Start()
		}
	case len(set.Batch) > 0:
		s.work.Submit(i, p, set.Batch)
	default:
		res.LogStartOffset = p.Log().Start()
	}
}

// mayLead tells whether this broker can serve the partition as leader; p is nil if it has no
// replica. Whether an unknown partition exists elsewhere is for the cluster's image to say.
func (h *Handlers) mayLead(p *host.Partition, topic string, index, epoch int32) errcode.Code {
	if p != nil {
		code := p.CheckLeader(epoch)
		if role, _ := p.Role(); role != partition.Idle {
			return code
		}
	}
	if h.Store.Image().Partition(topic, index) != nil {
		return errcode.NotLeaderOrFollower
	}
	return errcode.UnknownTopicOrPartition
}

// recordCodes maps the faults of record sets.
var recordCodes = map[record.Kind]errcode.Code{
	record.Corrupt:                errcode.CorruptMessage,
	record.TooLarge:               errcode.MessageTooLarge,
	record.SetTooLarge:            errcode.RecordListTooLarge,
	record.InvalidTimestamp:       errcode.InvalidTimestamp,
	record.UnsupportedFormat:      errcode.UnsupportedForMessageFormat,
	record.UnsupportedCompression: errcode.UnsupportedCompressionType,
	record.InvalidRecord:          errcode.InvalidRecord,
}

// refuse sets the result of a record set that is not valid.
func refuse(res *wire.ProduceResult, err error) {
	code, ok := recordCodes[record.KindOf(err)]
	if !ok {
		code = errcode.UnknownServerError
	}
	res.Err = code
	var e *record.Error
	if errors.As(err, &e) {
		res.Message = e.Message
		for _, r := range e.Records {
			res.RecordErrors = append(res.RecordErrors, wire.RecordError{
				Index: r.Index, Message: r.Message,
			})
		}
	}
}

func (h *Handlers) replyProduce(c *Conn, s *produceState, failed bool) error {
	var endpoints []wire.Endpoint
	if failed && c.Header.Version >= 10 {
		endpoints = h.nameLeaders(c, s)
	}
	b := wire.AppendResponseHeader(c.reply[:0], c.Header)
	b = wire.AppendProduceResponse(b, c.Header.Version, &s.req, s.results, 0, endpoints)
	wire.FinishFrame(b, 0)
	c.reply = b
	_, err := c.Out.Write(b)
	return err
}

// nameLeaders puts the current leaders into the results that ask for it.
func (h *Handlers) nameLeaders(c *Conn, s *produceState) []wire.Endpoint {
	l := leaders{image: h.Store.Image(), listener: c.Listener}
	for _, t := range s.req.Topics {
		for i := t.From; i < t.To; i++ {
			res := &s.results[i]
			if res.Err == errcode.NotLeaderOrFollower {
				res.LeaderID, res.LeaderEpoch = l.of(string(t.Name), s.req.Partitions[i].Index)
			}
		}
	}
	return l.endpoints
}

// leaders collects where the leaders of partitions are, for responses that send a client on.
type leaders struct {
	image     *cluster.Image
	listener  string
	endpoints []wire.Endpoint
}

// of returns leader and epoch of a partition, -1 if unknown, and notes the leader's endpoint.
func (l *leaders) of(topic string, index int32) (id, epoch int32) {
	p := l.image.Partition(topic, index)
	if p == nil {
		return -1, -1
	}
	for _, e := range l.endpoints {
		if e.NodeID == p.Leader {
			return p.Leader, p.LeaderEpoch
		}
	}
	if b := l.image.Broker(p.Leader); b != nil {
		if e, ok := b.Endpoint(l.listener); ok {
			l.endpoints = append(l.endpoints, wire.Endpoint{
				NodeID: b.ID, Host: e.Host, Port: e.Port, Rack: b.Rack,
			})
		}
	}
	return p.Leader, p.LeaderEpoch
}

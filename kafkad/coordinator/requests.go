package coordinator

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"zkafka/kafkad/errcode"
	"zkafka/kafkad/group"
)

// wait gives the machine a request with a ticket and blocks until the ticket is answered; else code
// says why it was not. ctx ends when the broker stops: the client is to look for the group's next
// coordinator then. Clients take that answer to any request, and many no other to these: a time-out
// in a join or sync ends a Java consumer for good.
func wait[T any](
	ctx context.Context, s *shard, waiters func(*shard) map[group.Ticket]chan T,
	f func(now int64, t group.Ticket, m *group.Machine),
) (v T, code errcode.Code) {
	if s == nil {
		return v, errcode.NotCoordinator
	}
	ch := make(chan T, 1)
	var ticket group.Ticket
	code = s.do(false, func(now int64, m *group.Machine) {
		s.ticket++
		ticket = s.ticket
		waiters(s)[ticket] = ch
		f(now, ticket, m)
	})
	if code != errcode.None {
		return v, code
	}
	select {
	case v = <-ch:
		return v, errcode.None
	case <-ctx.Done():
		s.mu.Lock()
		delete(waiters(s), ticket)
		s.mu.Unlock()
		return v, errcode.NotCoordinator
	}
}

// find returns the shard of a group for APIs that need a named group.
func (c *Coordinator) find(groupID string) (*shard, errcode.Code) {
	if groupID == "" {
		return nil, errcode.InvalidGroupID
	}
	return c.findAny(groupID)
}

// findAny is find for the APIs that also know the group without a name, which very old
// consumers committed to.
func (c *Coordinator) findAny(groupID string) (*shard, errcode.Code) {
	s := c.shard(c.PartitionFor(groupID), false)
	if s == nil {
		return nil, errcode.NotCoordinator
	}
	return s, errcode.None
}

// Join handles a JoinGroup and blocks until the group has gathered. It draws the UUID of a new
// member itself.
func (c *Coordinator) Join(ctx context.Context, req *group.JoinRequest) group.JoinResult {
	s, code := c.find(req.Group)
	var r group.JoinResult
	if code == errcode.None {
		if req.MemberID == "" {
			req.UUID = newUUID()
		}
		r, code = wait(ctx, s, func(s *shard) map[group.Ticket]chan group.JoinResult {
			return s.joins
		}, func(now int64, t group.Ticket, m *group.Machine) { m.Join(now, t, req) })
	}
	if code != errcode.None {
		return group.JoinResult{Err: code, Generation: -1, MemberID: req.MemberID}
	}
	return r
}

// newUUID returns a random UUID in its usual spelling.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// Sync handles a SyncGroup and blocks until the leader's assignment is stored.
func (c *Coordinator) Sync(ctx context.Context, req *group.SyncRequest) group.SyncResult {
	s, code := c.find(req.Group)
	var r group.SyncResult
	if code == errcode.None {
		r, code = wait(ctx, s, func(s *shard) map[group.Ticket]chan group.SyncResult {
			return s.syncs
		}, func(now int64, t group.Ticket, m *group.Machine) { m.Sync(now, t, req) })
	}
	if code == errcode.CoordinatorLoadInProgress {
		// The rebalance is lost with the old coordinator. Clients know this code since ever and
		// join again; older ones do not expect the truth here.
		code = errcode.RebalanceInProgress
	}
	if code != errcode.None {
		return group.SyncResult{Err: code}
	}
	return r
}

// Heartbeat handles a Heartbeat. While loading every member counts as alive.
func (c *Coordinator) Heartbeat(req *group.HeartbeatRequest) errcode.Code {
	s, code := c.find(req.Group)
	if code != errcode.None {
		return code
	}
	var answer errcode.Code
	code = s.do(true, func(now int64, m *group.Machine) { answer = m.Heartbeat(now, req) })
	switch code {
	case errcode.None:
		return answer
	case errcode.CoordinatorLoadInProgress:
		return errcode.None
	}
	return code
}

// Leave handles a LeaveGroup: one code per member, or an error for the whole request.
func (c *Coordinator) Leave(
	groupID string, members []group.LeaveMember,
) (codes []errcode.Code, code errcode.Code) {
	s, code := c.find(groupID)
	if code != errcode.None {
		return nil, code
	}
	code = s.do(true, func(now int64, m *group.Machine) { codes = m.Leave(now, groupID, members) })
	return codes, code
}

// Commit handles an OffsetCommit and blocks until the offsets are stored: one code per offset.
func (c *Coordinator) Commit(ctx context.Context, req *group.CommitRequest) []errcode.Code {
	s, code := c.findAny(req.Group)
	var errs []errcode.Code
	if code == errcode.None {
		errs, code = wait(ctx, s, func(s *shard) map[group.Ticket]chan []errcode.Code {
			return s.commits
		}, func(now int64, t group.Ticket, m *group.Machine) { m.Commit(now, t, req) })
	}
	if code != errcode.None {
		errs = make([]errcode.Code, len(req.Offsets))
		for i := range errs {
			errs[i] = code
		}
	}
	return errs
}

// Fetch handles an OffsetFetch of one group; tps nil = all offsets.
func (c *Coordinator) Fetch(
	groupID string, tps []group.TopicPartition, requireStable bool,
) (out []group.FetchedOffset, code errcode.Code) {
	s, code := c.findAny(groupID)
	if code != errcode.None {
		return nil, code
	}
	code = s.do(true, func(_ int64, m *group.Machine) {
		out = m.Fetch(groupID, tps, requireStable)
	})
	return out, code
}

// Describe handles DescribeGroups for one group.
func (c *Coordinator) Describe(groupID string) (d group.Description, code errcode.Code) {
	s, code := c.findAny(groupID)
	if code != errcode.None {
		return d, code
	}
	code = s.do(true, func(_ int64, m *group.Machine) { d = m.Describe(groupID) })
	return d, code
}

// List handles ListGroups: the groups of all partitions that are loaded, filtered by state and
// type names in any case; no names = no filter. The code says whether some are still loading.
func (c *Coordinator) List(states, types []string) ([]group.Overview, errcode.Code) {
	code := errcode.None
	var out []group.Overview
	for _, s := range c.all() {
		s.mu.Lock()
		switch s.role {
		case loading:
			code = errcode.CoordinatorLoadInProgress
		case leading:
			out = append(out, s.machine.List()...)
		}
		s.mu.Unlock()
	}
	if len(types) > 0 && !containsFold(types, group.TypeClassic) {
		return nil, code
	}
	if len(states) > 0 {
		kept := out[:0]
		for _, o := range out {
			if containsFold(states, o.State.String()) {
				kept = append(kept, o)
			}
		}
		out = kept
	}
	return out, code
}

func containsFold(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

// Delete handles DeleteGroups for one group and blocks until it is gone from the log.
func (c *Coordinator) Delete(ctx context.Context, groupID string) errcode.Code {
	s, code := c.findAny(groupID)
	if code != errcode.None {
		return code
	}
	answer, code := wait(ctx, s, func(s *shard) map[group.Ticket]chan errcode.Code {
		return s.dones
	}, func(now int64, t group.Ticket, m *group.Machine) { m.Delete(now, t, groupID) })
	if code != errcode.None {
		return code
	}
	return answer
}

// DeleteOffsets handles an OffsetDelete: one code per partition, or an error for the group.
func (c *Coordinator) DeleteOffsets(
	ctx context.Context, groupID string, tps []group.TopicPartition,
) (codes []errcode.Code, code errcode.Code) {
	s, code := c.find(groupID)
	if code != errcode.None {
		return nil, code
	}
	var groupCode errcode.Code
	stored, code := wait(ctx, s, func(s *shard) map[group.Ticket]chan errcode.Code {
		return s.dones
	}, func(now int64, t group.Ticket, m *group.Machine) {
		codes, groupCode = m.DeleteOffsets(now, t, groupID, tps)
		if groupCode != errcode.None {
			answer(s.dones, t, groupCode) // nothing more will come for the ticket
		}
	})
	switch {
	case code != errcode.None:
		return nil, code
	case stored != errcode.None:
		return nil, stored
	}
	return codes, errcode.None
}

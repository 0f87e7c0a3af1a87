package client

import (
	"context"
	"errors"
	"slices"

	"zkafka/zkd/proto"
)

// submit queues a call; it blocks while MaxInFlight calls are under way.
func (c *Client) submit(ctx context.Context, k *call) error {
	body, err := c.body(&k.op)
	if err != nil {
		return err
	}
	k.body = body
	select {
	case c.slots <- struct{}{}:
	default:
		select {
		case c.slots <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.done:
			return c.fatalError()
		}
	}
	c.mu.Lock()
	if c.fatal != nil {
		err = c.fatal
	} else {
		c.queue = append(c.queue, k)
	}
	c.mu.Unlock()
	if err != nil {
		<-c.slots
		return err
	}
	c.wake()
	return nil
}

func (c *Client) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

func (c *Client) fatalError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fatal == nil {
		return ErrClosed
	}
	return c.fatal
}

// finish hands the result of a call to its caller and frees its place.
func (c *Client) finish(k *call, res OpResult) {
	<-c.slots
	k.fn(res)
}

// Go starts a request and returns; fn gets the result, in the client's goroutine, or in the
// caller's when the request cannot be started. Requests are sent, and answered, in the order of the
// calls. Go blocks while MaxInFlight requests are under way, so it must not be called from a
// callback; ctx bounds only that wait.
func (c *Client) Go(ctx context.Context, op Op, fn func(OpResult)) {
	if err := c.submit(ctx, &call{op: op, fn: fn}); err != nil {
		fn(OpResult{Err: err})
	}
}

// Do sends one request and waits for its result. A request made while there is no connection waits
// for one. When ctx ends first, a request that was sent may still be carried out.
func (c *Client) Do(ctx context.Context, op Op) OpResult {
	ch := make(chan OpResult, 1)
	k := &call{op: op, fn: func(r OpResult) { ch <- r }}
	if err := c.submit(ctx, k); err != nil {
		return OpResult{Err: err}
	}
	select {
	case r := <-ch:
		return r
	case <-ctx.Done():
		c.drop(k)
		return OpResult{Err: ctx.Err()}
	}
}

// drop keeps calls whose caller has left from being sent. With a connection the writer clears them
// out of the queue; without one they must not fill it.
func (c *Client) drop(calls ...*call) {
	var gone []*call
	c.mu.Lock()
	for _, k := range calls {
		k.dropped = true
	}
	if c.conn == nil {
		queue := c.queue[:0]
		for _, k := range c.queue {
			if k.dropped {
				gone = append(gone, k)
			} else {
				queue = append(queue, k)
			}
		}
		clear(c.queue[len(queue):])
		c.queue = queue
	}
	c.mu.Unlock()
	for _, k := range gone {
		c.finish(k, OpResult{Err: context.Canceled})
	}
}

// errUnanswered marks the results of a Pipeline that have not come yet.
var errUnanswered = errors.New("not answered yet")

// Pipeline sends all requests without waiting in between, so that a thousand reads cost little more
// than one round trip, and returns their results in the same order.
func (c *Client) Pipeline(ctx context.Context, ops ...Op) []OpResult {
	if len(ops) == 0 {
		return nil
	}
	j := &join{res: make([]OpResult, len(ops)), left: len(ops), done: make(chan struct{})}
	calls := make([]*call, len(ops))
	for i := range ops {
		j.res[i].Err = errUnanswered
	}
	for i := range ops {
		calls[i] = &call{op: ops[i], fn: func(r OpResult) { j.set(i, r) }}
		if err := c.submit(ctx, calls[i]); err != nil {
			j.set(i, OpResult{Err: err})
		}
	}
	select {
	case <-j.done:
		return j.res
	case <-ctx.Done():
	}
	c.drop(calls...)
	j.mu.Lock()
	defer j.mu.Unlock()
	res := slices.Clone(j.res)
	for i := range res {
		if errors.Is(res[i].Err, errUnanswered) {
			res[i].Err = ctx.Err()
		}
	}
	return res
}

// Create creates a node and returns its path, which a sequential mode has completed.
func (c *Client) Create(
	ctx context.Context, path string, data []byte, acl []proto.ACL, mode int32,
) (string, error) {
	r := c.Do(ctx, CreateOp(path, data, acl, mode))
	return r.Path, r.Err
}

// Create2 creates a node and returns its path and Stat. Servers of 3.4 answer ErrUnimplemented.
func (c *Client) Create2(
	ctx context.Context, path string, data []byte, acl []proto.ACL, mode int32,
) (string, proto.Stat, error) {
	r := c.Do(ctx, Create2Op(path, data, acl, mode))
	return r.Path, r.Stat, r.Err
}

// Get returns the data and Stat of a node.
func (c *Client) Get(ctx context.Context, path string) ([]byte, proto.Stat, error) {
	r := c.Do(ctx, GetOp(path))
	return r.Data, r.Stat, r.Err
}

// GetW is Get with a watch for the next change or deletion of the node.
func (c *Client) GetW(ctx context.Context, path string) ([]byte, proto.Stat, <-chan Event, error) {
	op, ch := watched(GetOp(path))
	r := c.Do(ctx, op)
	return r.Data, r.Stat, ch, r.Err
}

// Exists returns the Stat of a node; found is false for a missing one.
func (c *Client) Exists(ctx context.Context, path string) (found bool, st proto.Stat, err error) {
	r := c.Do(ctx, ExistsOp(path))
	return exists(r)
}

// ExistsW is Exists with a watch for the next creation, change or deletion of the node.
func (c *Client) ExistsW(ctx context.Context, path string) (
	found bool, st proto.Stat, ch <-chan Event, err error,
) {
	op, ch := watched(ExistsOp(path))
	found, st, err = exists(c.Do(ctx, op))
	return found, st, ch, err
}

func exists(r OpResult) (bool, proto.Stat, error) {
	if errors.Is(r.Err, proto.ErrNoNode) {
		return false, proto.Stat{}, nil
	}
	return r.Err == nil, r.Stat, r.Err
}

// Children returns the names of a node's children, in the server's order, and its Stat.
func (c *Client) Children(ctx context.Context, path string) ([]string, proto.Stat, error) {
	r := c.Do(ctx, ChildrenOp(path))
	return r.Children, r.Stat, r.Err
}

// ChildrenW is Children with a watch for the next change of the list or deletion of the node.
func (c *Client) ChildrenW(ctx context.Context, path string) (
	[]string, proto.Stat, <-chan Event, error,
) {
	op, ch := watched(ChildrenOp(path))
	r := c.Do(ctx, op)
	return r.Children, r.Stat, ch, r.Err
}

// Set replaces the data of a node of the given version (proto.AnyVersion for any).
func (c *Client) Set(ctx context.Context, path string, data []byte, version int32) (
	proto.Stat, error,
) {
	r := c.Do(ctx, SetOp(path, data, version))
	return r.Stat, r.Err
}

// Delete deletes a node of the given version (proto.AnyVersion for any).
func (c *Client) Delete(ctx context.Context, path string, version int32) error {
	return c.Do(ctx, DeleteOp(path, version)).Err
}

// Sync makes the reads that follow see everything that was committed before it.
func (c *Client) Sync(ctx context.Context, path string) error {
	return c.Do(ctx, SyncOp(path)).Err
}

// GetACL returns the ACL and Stat of a node.
func (c *Client) GetACL(ctx context.Context, path string) ([]proto.ACL, proto.Stat, error) {
	r := c.Do(ctx, GetACLOp(path))
	return r.ACL, r.Stat, r.Err
}

// SetACL replaces the ACL of a node whose ACL has the given version (proto.AnyVersion for any).
func (c *Client) SetACL(ctx context.Context, path string, acl []proto.ACL, version int32) (
	proto.Stat, error,
) {
	r := c.Do(ctx, SetACLOp(path, acl, version))
	return r.Stat, r.Err
}

// Multi carries out all operations or none. The error is that of the operation that failed; the
// results then hold ErrRuntimeInconsistency for those after it. The results are nil when the
// request as a whole was refused or lost.
func (c *Client) Multi(ctx context.Context, ops ...Op) ([]OpResult, error) {
	r := c.Do(ctx, MultiOp(ops...))
	return r.Multi, r.Err
}

// Ephemerals returns the paths of this session's ephemeral nodes that start with prefix (3.6).
func (c *Client) Ephemerals(ctx context.Context, prefix string) ([]string, error) {
	r := c.Do(ctx, Op{code: proto.OpGetEphemerals, path: prefix})
	return r.Children, r.Err
}

// AllChildrenNumber returns how many nodes there are below path (3.6).
func (c *Client) AllChildrenNumber(ctx context.Context, path string) (int, error) {
	r := c.Do(ctx, Op{code: proto.OpGetAllChildrenNumber, path: path})
	return r.Number, r.Err
}

// WhoAmI returns the identities the server knows this connection by (3.7).
func (c *Client) WhoAmI(ctx context.Context) ([]proto.ClientInfo, error) {
	r := c.Do(ctx, Op{code: proto.OpWhoAmI})
	return r.Who, r.Err
}

package client

import (
	"fmt"

	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
)

// read handles replies and events until the connection breaks.
func (c *Client) read(cn *conn) error {
	var buf []byte
	var r jute.Reader
	for {
		f, err := readFrame(cn.br, buf, c.opt.MaxFrame)
		if err != nil {
			return err
		}
		var h proto.ReplyHeader
		r.Reset(f, 0)
		h.Decode(&r)
		if r.Err() != nil {
			return fmt.Errorf("read a reply header: %w", r.Err())
		}
		if err := c.handle(cn, &h, &r); err != nil {
			return err
		}
		if buf = f; cap(buf) > maxBatch {
			buf = nil
		}
	}
}

func (c *Client) handle(cn *conn, h *proto.ReplyHeader, r *jute.Reader) error {
	switch h.Xid {
	case proto.XidPing, proto.XidSetWatches:
		return nil
	case proto.XidNotification:
		return c.notify(h, r)
	case proto.XidAuth:
		return c.authReply(cn, h)
	}
	return c.reply(cn, h, r)
}

// notify delivers an event to the watches it fires.
func (c *Client) notify(h *proto.ReplyHeader, r *jute.Reader) error {
	var e proto.WatcherEvent
	e.Decode(r)
	if r.Err() != nil {
		return fmt.Errorf("read a watch event: %w", r.Err())
	}
	c.mu.Lock()
	fns := c.watches.fire(e.Type, e.Path)
	c.mu.Unlock()
	ev := Event{Type: e.Type, State: e.State, Path: c.local(e.Path), Zxid: h.Zxid}
	if c.opt.OnEvent != nil {
		c.opt.OnEvent(ev)
	}
	for _, fn := range fns {
		fn(ev)
	}
	return nil
}

// authReply settles the oldest credential on the wire.
func (c *Client) authReply(cn *conn, h *proto.ReplyHeader) error {
	if h.Err != proto.ErrOK {
		c.setState(StateAuthFailed)
		return ErrAuthFailed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(cn.auths) == 0 {
		return fmt.Errorf("server answered an auth packet that was not sent")
	}
	a := cn.auths[0]
	cn.auths = cn.auths[1:]
	if !a.ok {
		a.ok = true
		close(a.done)
	}
	return nil
}

// reply settles the oldest call on the wire: servers answer in order.
func (c *Client) reply(cn *conn, h *proto.ReplyHeader, r *jute.Reader) error {
	c.mu.Lock()
	k := cn.sent.peek()
	if k != nil && k.xid != h.Xid {
		c.mu.Unlock()
		return fmt.Errorf("server answered request %d where %d was due", h.Xid, k.xid)
	}
	cn.sent.pop()
	if h.Zxid > 0 {
		c.lastZxid = max(c.lastZxid, h.Zxid)
	}
	c.mu.Unlock()
	if k == nil {
		return fmt.Errorf("server answered request %d that was not sent", h.Xid)
	}
	res := OpResult{Err: h.Err.Err(), Zxid: h.Zxid}
	var broken error
	if res.Err == nil {
		if broken = c.decode(&k.op, r, &res); broken != nil {
			broken = fmt.Errorf("read the reply to %s: %w", k.op.code, broken)
			res = OpResult{Err: broken}
		}
	}
	if k.op.watch != nil && broken == nil {
		c.mu.Lock()
		c.watches.add(k.op.code, c.full(k.op.path), res.Err, k.op.watch)
		c.mu.Unlock()
	}
	if k.op.code == proto.OpCloseSession && res.Err == nil {
		c.setState(StateClosed)
	}
	c.finish(k, res)
	return broken
}

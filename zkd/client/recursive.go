package client

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"zkafka/zkd/proto"
)

// CreateRecursive creates a node and, persistent and with the same ACL and no data, whatever is
// missing above it. It fails with ErrNodeExists if the node itself is there already.
func (c *Client) CreateRecursive(
	ctx context.Context, path string, data []byte, acl []proto.ACL, mode int32,
) (string, error) {
	p, err := c.Create(ctx, path, data, acl, mode)
	if !errors.Is(err, proto.ErrNoNode) {
		return p, err
	}
	if err := c.createParents(ctx, path, acl); err != nil {
		return "", err
	}
	return c.Create(ctx, path, data, acl, mode)
}

// createParents creates what is missing above path, all in one go: each create finds its parent
// because the server works in order.
func (c *Client) createParents(ctx context.Context, path string, acl []proto.ACL) error {
	var ops []Op
	for i := 1; i < len(path); i++ {
		if path[i] == '/' {
			ops = append(ops, CreateOp(path[:i], nil, acl, proto.ModePersistent))
		}
	}
	return c.createAll(ctx, ops)
}

// createAll creates nodes that may be there already. Only the last one matters: those above it may
// be out of this client's sight.
func (c *Client) createAll(ctx context.Context, ops []Op) error {
	var last error
	for i, r := range c.Pipeline(ctx, ops...) {
		if r.Err != nil && !errors.Is(r.Err, proto.ErrNodeExists) {
			last = fmt.Errorf("create %s: %w", ops[i].path, r.Err)
			if !errors.Is(r.Err, proto.ErrNoNode) && !errors.Is(r.Err, proto.ErrNoAuth) {
				return last
			}
			continue
		}
		last = nil
	}
	return last
}

// EnsureChroot creates the chroot where it is missing, as Kafka does at its start.
func (c *Client) EnsureChroot(ctx context.Context) error {
	if c.opt.Chroot == "" {
		return nil
	}
	var ops []Op
	for i := 1; i <= len(c.opt.Chroot); i++ {
		if i == len(c.opt.Chroot) || c.opt.Chroot[i] == '/' {
			op := CreateOp(c.opt.Chroot[:i], nil, proto.OpenACL(), proto.ModePersistent)
			op.raw = true
			ops = append(ops, op)
		}
	}
	return c.createAll(ctx, ops)
}

// DeleteRecursive deletes a node and everything below it, deepest first. It is not atomic; nodes
// that others delete meanwhile are no error, nodes that others create meanwhile are (ErrNotEmpty).
func (c *Client) DeleteRecursive(ctx context.Context, path string) error {
	nodes, err := c.Subtree(ctx, path)
	if err != nil {
		return err
	}
	ops := make([]Op, 0, len(nodes))
	for i := len(nodes) - 1; i >= 0; i-- {
		ops = append(ops, DeleteOp(nodes[i], proto.AnyVersion))
	}
	for i, r := range c.Pipeline(ctx, ops...) {
		if r.Err != nil && !errors.Is(r.Err, proto.ErrNoNode) {
			return fmt.Errorf("delete %s: %w", ops[i].path, r.Err)
		}
	}
	return nil
}

// Subtree returns the path and those of all nodes below it, parents before children. Nodes that go
// away meanwhile are left out.
func (c *Client) Subtree(ctx context.Context, path string) ([]string, error) {
	nodes := []string{path}
	for from := 0; from < len(nodes); {
		level := nodes[from:]
		ops := make([]Op, len(level))
		for i, p := range level {
			ops[i] = ChildrenOp(p)
		}
		from = len(nodes)
		for i, r := range c.Pipeline(ctx, ops...) {
			if errors.Is(r.Err, proto.ErrNoNode) && ops[i].path != path {
				continue
			}
			if r.Err != nil {
				return nil, r.Err
			}
			prefix := strings.TrimSuffix(ops[i].path, "/") + "/"
			for _, name := range r.Children {
				nodes = append(nodes, prefix+name)
			}
		}
	}
	return nodes, nil
}

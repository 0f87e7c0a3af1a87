package metastore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"

	"zkafka/kafkad/cluster"
	"zkafka/kafkad/znode"
	"zkafka/zkd/client"
	"zkafka/zkd/proto"
)

// register creates /brokers/ids/N. A node of our own former session is replaced; one of somebody
// else is never touched: register waits until it goes, and says who holds it.
func (s *Store) register(ctx context.Context) error {
	path := znode.PathBroker(s.opts.BrokerID)
	for {
		if free, err := s.endpointsFree(ctx); err != nil {
			return err
		} else if !free {
			if err := pause(ctx, time.Second); err != nil {
				return err
			}
			continue
		}
		s.keepSession() // before the node exists, so that no crash leaves one we cannot close
		done, err := s.createRegistration(ctx, path)
		if err != nil || done {
			return err
		}
		if err := s.awaitID(ctx, path); err != nil {
			return err
		}
	}
}

// createRegistration reports false if the node exists and is not ours.
func (s *Store) createRegistration(ctx context.Context, path string) (bool, error) {
	data := znode.EncodeRegistration(s.reg, s.now().UnixMilli())
	made, err := s.one(ctx, client.MultiOp(
		client.CreateOp(path, nil, proto.OpenACL(), proto.ModeEphemeral),
		client.SetOp(path, data, 0),
	))
	if err != nil {
		return false, err
	}
	if made.Err != nil && !errors.Is(made.Err, proto.ErrNodeExists) {
		return false, fmt.Errorf("registering at %s: %w", path, made.Err)
	}
	found, err := s.one(ctx, client.ExistsOp(path))
	if err != nil {
		return false, err
	}
	session, _, _ := s.zk().Session()
	switch {
	case errors.Is(found.Err, proto.ErrNoNode):
		return s.createRegistration(ctx, path)
	case found.Err != nil:
		return false, fmt.Errorf("reading %s: %w", path, found.Err)
	case found.Stat.EphemeralOwner == session:
		s.brokerEpoch.Store(found.Stat.Czxid)
		s.log.Info("registered in ZooKeeper", zap.String("path", path),
			zap.Int64("epoch", found.Stat.Czxid), zap.String("SESSION", sessionText(session)))
		return true, nil
	case s.former != 0 && found.Stat.EphemeralOwner == s.former:
		// Our expired session's node, which the server has not removed yet.
		gone, err := s.one(ctx, client.DeleteOp(path, found.Stat.Version))
		if err == nil && gone.Err != nil && !errors.Is(gone.Err, proto.ErrNoNode) {
			err = fmt.Errorf("replacing %s: %w", path, gone.Err)
		}
		if err != nil {
			return false, err
		}
		return s.createRegistration(ctx, path)
	}
	return false, nil
}

// awaitID waits until somebody else's registration of our id is gone.
func (s *Store) awaitID(ctx context.Context, path string) error {
	gone := make(chan struct{}, 1)
	rs, err := s.pipeline(ctx, []client.Op{
		client.ExistsOp(path).Watched(func(client.Event) {
			select {
			case gone <- struct{}{}:
			default:
			}
		}),
		client.GetOp(path),
	})
	if err != nil || rs[0].Err != nil || rs[1].Err != nil {
		return err // gone already, or the next try finds out
	}
	owner := rs[1].Stat.EphemeralOwner
	where := "an unreadable address"
	b, err := znode.DecodeRegistration(s.opts.BrokerID, rs[1].Data)
	if err == nil && len(b.Endpoints) > 0 {
		e := b.Endpoints[0]
		where = e.Host + ":" + strconv.Itoa(int(e.Port))
	}
	text := fmt.Sprintf("waiting: broker.id %d is held by %s, ZooKeeper session %s",
		s.opts.BrokerID, where, sessionText(owner))
	if owner == 0 {
		text = fmt.Sprintf("waiting: %s is held by a node that belongs to no session; delete it",
			path)
	}
	s.setStatus(Status{WaitingForID, text})
	s.log.Warn("the broker id is taken; waiting until its holder is gone",
		zap.Int32("id", s.opts.BrokerID), zap.String("holder", where),
		zap.String("SESSION", sessionText(owner)))
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// endpointsFree reports whether no other broker advertises one of our addresses; if one does, it
// says so, since clients could not tell the two apart.
func (s *Store) endpointsFree(ctx context.Context) (bool, error) {
	brokers, err := s.readBrokers(ctx, false)
	if err != nil {
		return false, err
	}
	for _, b := range brokers {
		if b.ID == s.opts.BrokerID {
			continue
		}
		for _, theirs := range b.Endpoints {
			for _, ours := range s.reg.Endpoints {
				if ours.Host == theirs.Host && ours.Port == theirs.Port {
					text := fmt.Sprintf("waiting: broker %d already advertises %s:%d",
						b.ID, ours.Host, ours.Port)
					if s.Status().Text != text {
						s.log.Warn("another broker advertises our address; waiting",
							zap.Int32("broker", b.ID), zap.String("address",
								ours.Host+":"+strconv.Itoa(int(ours.Port))))
					}
					s.setStatus(Status{WaitingForID, text})
					return false, nil
				}
			}
		}
	}
	return true, nil
}

// readBrokers reads all registrations; watched sets watches on the list and on each node.
// Registrations that cannot be read are left out.
func (s *Store) readBrokers(ctx context.Context, watched bool) ([]cluster.Broker, error) {
	list := client.ChildrenOp(znode.PathIDs)
	fire := func(client.Event) { s.dirty.mark(func(m *marks) { m.brokers = true }) }
	if watched {
		list = list.Watched(fire)
	}
	r, err := s.one(ctx, list)
	if err == nil {
		err = r.Err
	}
	if err != nil {
		return nil, fmt.Errorf("listing brokers: %w", err)
	}
	var ids []int32
	var gets []client.Op
	for _, name := range r.Children {
		id, err := strconv.ParseInt(name, 10, 32)
		if err != nil {
			continue
		}
		ids = append(ids, int32(id))
		op := client.GetOp(znode.PathBroker(int32(id)))
		if watched {
			op = op.Watched(fire)
		}
		gets = append(gets, op)
	}
	nodes, err := s.pipeline(ctx, gets)
	if err != nil {
		return nil, fmt.Errorf("reading brokers: %w", err)
	}
	var brokers []cluster.Broker
	for i, n := range nodes {
		if n.Err != nil {
			continue // went away in between: the watch on the list fires
		}
		b, err := znode.DecodeRegistration(ids[i], n.Data)
		if err != nil {
			s.log.Warn("ignoring a broker", zap.Error(err))
			continue
		}
		b.Epoch = n.Stat.Czxid
		brokers = append(brokers, b)
	}
	return brokers, nil
}

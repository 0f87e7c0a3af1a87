package replica

import (
	"slices"

	"zkafka/zkd/proto"
)

// Every permission check goes through the identities of a connection, so there is an end to them,
// which upstream does not have.
const (
	maxIDs     = 1000
	maxIDBytes = 64 << 10
)

// authRequest adds identities to a connection. Like upstream's it is answered at once, also ahead
// of earlier requests; clients know its reply by the xid. Bad credentials end the connection.
func (m *Machine) authRequest(c *Conn, xid int32, body []byte) {
	var packet proto.AuthPacket
	m.rd.Reset(body, m.opts.MaxLength)
	packet.Decode(&m.rd)
	if m.rd.Err() != nil {
		m.close(c)
		return
	}
	ids, ok := m.acl.Authenticate(packet.Scheme, packet.Auth, c.peer.IP)
	if !ok || len(c.ids) > maxIDs || idBytes(c.ids) > maxIDBytes {
		m.metrics.AuthFailed++
		m.fail(c, proto.OpAuth, xid, 0, proto.ErrAuthFailed, m.now.MonoNanos)
		m.close(c)
		return
	}
	for _, id := range ids {
		if !slices.Contains(c.ids, id) {
			c.ids = append(c.ids, id)
		}
	}
	m.fail(c, proto.OpAuth, xid, 0, proto.ErrOK, m.now.MonoNanos)
}

// saslRequest answers like a server without a SASL configuration: no error and a null token.
func (m *Machine) saslRequest(c *Conn, xid int32, since int64) {
	at := c.begin(xid, 0, proto.ErrOK)
	none := proto.SetSASLResponse{}
	none.Encode(&c.out)
	m.finish(c, at, proto.OpSASL, xid, 0, since)
}

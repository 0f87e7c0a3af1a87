package replica

import (
	"cmp"
	"slices"

	"zkafka/zkd/session"
	"zkafka/zkd/tree"
	"zkafka/zkd/watch"
)

// Status is a copy of what the commands show of a machine.
type Status struct {
	Metrics     Metrics
	Namespaces  []Namespace // by name
	Quotas      []NamespaceQuota
	Zxid        int64 // last applied
	Outstanding int   // requests that wait for the log, and those behind them
	Nodes       int
	Ephemerals  int
	DataSize    int64
	Sessions    int
	Watches     watch.Summary
	Conns       int
	Digest      DigestStatus
	LastTxn     int64 // zxid of the last transaction prepared
}

// DigestStatus tells about the tree digest.
type DigestStatus struct {
	Mismatches int64
}

// Status returns the state of the machine.
func (m *Machine) Status() Status {
	outstanding := 0
	for c := range m.conns {
		outstanding += c.inFlight()
	}
	return Status{
		Metrics:     m.metrics,
		Namespaces:  m.spaces.list(),
		Quotas:      m.tree.NamespaceQuotas(),
		Zxid:        m.tree.LastZxid(),
		Outstanding: outstanding,
		Nodes:       m.tree.NodeCount(),
		Ephemerals:  m.tree.EphemeralCount(),
		DataSize:    m.tree.ApproxDataSize(),
		Sessions:    m.sessions.Len(),
		Watches:     m.watches.Summary(),
		Conns:       len(m.conns),
		Digest:      DigestStatus{Mismatches: m.tree.DigestMismatches()},
		LastTxn:     m.prep.LastZxid(),
	}
}

// ResetStats forgets packet counts and latencies of the server.
func (m *Machine) ResetStats() { m.metrics.Reset() }

// ResetConnStats forgets the counts of every connection.
func (m *Machine) ResetConnStats() {
	for c := range m.conns {
		c.stats.reset()
	}
}

// Conns lists the connections in the order in which they came.
func (m *Machine) Conns() []ConnInfo {
	out := make([]ConnInfo, 0, len(m.conns))
	for c := range m.conns {
		out = append(out, ConnInfo{
			Peer:          c.peer,
			ID:            c.id,
			Session:       c.session,
			TimeoutMillis: c.timeout,
			Queued:        c.inFlight(),
			Stats:         c.stats,
		})
	}
	slices.SortFunc(out, func(a, b ConnInfo) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Watch is a path and a session that watches it.
type Watch struct {
	Path    string
	Session int64
}

// Watches lists the data, exists and persistent watches by path.
func (m *Machine) Watches() []Watch {
	var out []Watch
	m.watches.Each(func(path string, c *Conn) {
		out = append(out, Watch{Path: path, Session: c.session})
	})
	return out
}

// SessionBucket are the sessions that expire together.
type SessionBucket = session.Bucket

// NamespaceQuota is the sum of the quotas of a namespace.
type NamespaceQuota = tree.NamespaceQuota

// ZxidDigest is the tree digest as of a zxid.
type ZxidDigest = tree.ZxidDigest

// SessionBuckets lists the sessions by the time at which they expire unless they are touched, in
// milliseconds of the monotonic clock.
func (m *Machine) SessionBuckets() []SessionBucket { return m.sessions.Buckets() }

// SessionEphemerals are the ephemerals of one session.
type SessionEphemerals struct {
	Session int64
	Paths   []string
}

// Ephemerals lists the sessions that own ephemerals.
func (m *Machine) Ephemerals() []SessionEphemerals {
	var out []SessionEphemerals
	for _, id := range m.tree.EphemeralOwners() {
		out = append(out, SessionEphemerals{Session: id, Paths: m.tree.Ephemerals(id)})
	}
	return out
}

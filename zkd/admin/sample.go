package admin

import (
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"

	"zkafka/zkd/host"
	"zkafka/zkd/proto"
	"zkafka/zkd/replica"
	"zkafka/zkd/server"
)

// sample is the state of the server at one moment, as far as the numbers go.
type sample struct {
	status replica.Status
	host   host.Stats
	server server.Stats
}

func (a *Admin) sample() (*sample, error) {
	s := &sample{}
	err := a.view(func(m *replica.Machine) { s.status = m.Status() })
	if err != nil {
		return nil, err
	}
	s.host = a.o.Host.Stats()
	s.server = a.o.Server.Stats()
	return s, nil
}

func (a *Admin) view(fn func(*replica.Machine)) error {
	ctx, cancel := askContext()
	defer cancel()
	return a.o.Host.View(ctx, fn)
}

// opCodes are the short names of operations in cons.
var opCodes = map[proto.Op]string{
	proto.OpPing: "PING", proto.OpCreateSession: "SESS", proto.OpMulti: "MULT",
	proto.OpMultiRead: "MLTR", proto.OpCreate: "CREA", proto.OpCreate2: "CREA",
	proto.OpCreateTTL: "CREA", proto.OpCreateContainer: "CREA", proto.OpDelete: "DELE",
	proto.OpDeleteContainer: "DELE", proto.OpSetData: "SETD", proto.OpReconfig: "RECO",
	proto.OpSetACL: "SETA", proto.OpCloseSession: "CLOS", proto.OpSync: "SYNC",
	proto.OpCheck: "CHEC", proto.OpExists: "EXIS", proto.OpGetData: "GETD",
	proto.OpSetWatches: "SETW", proto.OpSetWatches2: "STW2", proto.OpAddWatch: "ADDW",
	proto.OpGetACL: "GETA", proto.OpGetChildren: "GETC", proto.OpGetChildren2: "GETC",
	proto.OpGetAllChildrenNumber: "GETACN", proto.OpCheckWatches: "CHKW",
	proto.OpRemoveWatches: "REMW", proto.OpWhoAmI: "HOMI", proto.OpGetEphemerals: "GETE",
}

func lastOp(s *replica.ConnStats) string {
	if code, ok := opCodes[s.LastOp]; ok && s.HasOp {
		return code
	}
	return "NA"
}

// number is a value of a metric with the kind it has upstream: int64 or float64.
type number any

// javaDouble prints a floating point number as Java does, which keeps a decimal in whole ones.
func javaDouble(f float64) string {
	if math.IsNaN(f) {
		return "NaN"
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// avg is a mean as upstream keeps it, with four decimals.
func avg(s *replica.Summary) float64 { return math.Round(s.Avg()*1e4) / 1e4 }

// values are the metrics that this server measures, by upstream's name. Names that are missing here
// belong to parts that a standalone zkd does not have; they are shown as 0, which is what they
// counted.
func (s *sample) values() map[string]number {
	st, m, sv := &s.status, &s.status.Metrics, &s.server
	maxFDs, openFDs := fileDescriptors()
	return map[string]number{
		"ephemerals_count":                int64(st.Ephemerals),
		"num_alive_connections":           int64(sv.Alive),
		"avg_latency":                     avg(&m.Latency),
		"outstanding_requests":            int64(st.Outstanding),
		"znode_count":                     int64(st.Nodes),
		"global_sessions":                 int64(st.Sessions),
		"last_client_response_size":       m.LastResponseSize,
		"packets_sent":                    m.PacketsSent,
		"packets_received":                m.PacketsReceived,
		"max_client_response_size":        m.MaxResponseSize,
		"connection_drop_probability":     float64(0),
		"watch_count":                     int64(st.Watches.Watches),
		"auth_failed_count":               m.AuthFailed,
		"min_latency":                     m.Latency.Min,
		"max_file_descriptor_count":       maxFDs,
		"approximate_data_size":           st.DataSize,
		"open_file_descriptor_count":      openFDs,
		"uptime":                          s.host.Uptime.Milliseconds(),
		"max_latency":                     m.Latency.Max,
		"min_client_response_size":        m.MinResponseSize,
		"watch_bytes":                     m.WatchBytes,
		"connection_rejected":             sv.Rejected,
		"sessionless_connections_expired": sv.SessionlessExpired,
		"connection_drop_count":           sv.Dropped,
		"bytes_received_count":            sv.BytesReceived,
		"response_bytes":                  m.ResponseBytes,
		"connection_revalidate_count":     m.ConnectionRevalidations,
		"commit_count":                    m.CommitCount,
		"outstanding_changes_queued":      m.OutstandingQueued,
		"outstanding_changes_removed":     m.OutstandingRemoved,
		"digest_mismatches_count":         st.Digest.Mismatches,
		"snapshot_error_count":            s.host.SnapshotErrors,
		"connection_request_count":        m.ConnectionRequests,
		"stale_sessions_expired":          m.StaleSessionsExpired,
	}
}

// summaries are the measured summaries, by upstream's name.
func (s *sample) summaries() map[string]replica.Summary {
	m, h := &s.status.Metrics, &s.host
	return map[string]replica.Summary{
		"node_created_watch_count":  m.NodeCreatedWatches,
		"node_deleted_watch_count":  m.NodeDeletedWatches,
		"node_changed_watch_count":  m.NodeChangedWatches,
		"node_children_watch_count": m.NodeChildrenWatches,
		"fsynctime":                 h.SyncTime,
		"sync_processor_batch_size": h.BatchSize,
		"snapshottime":              h.SnapshotTime,
		"startup_txns_loaded":       once(int64(h.Recovery.Txns)),
		"startup_txns_load_time":    once(h.Recovery.Replay.Milliseconds()),
		"startup_snap_load_time":    once(h.Recovery.Load.Milliseconds()),
		"dbinittime":                once((h.Recovery.Load + h.Recovery.Replay).Milliseconds()),
	}
}

func once(v int64) replica.Summary { return replica.Summary{Count: 1, Sum: v, Min: v, Max: v} }

// histograms are the measured summaries that have quantiles.
func (s *sample) histograms() map[string]*replica.Histogram {
	m := &s.status.Metrics
	return map[string]*replica.Histogram{
		"readlatency":   &m.ReadLatency,
		"updatelatency": &m.UpdateLatency,
	}
}

func fileDescriptors() (limit, open int64) {
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err == nil {
		limit = int64(min(r.Cur, math.MaxInt64))
	}
	if names, err := os.ReadDir("/proc/self/fd"); err == nil {
		open = int64(len(names))
	}
	return limit, open
}

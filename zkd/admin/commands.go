package admin

import (
	"fmt"
	"html"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"zkafka/zkd/replica"
)

// command is one page below /commands.
type command struct {
	name    string
	aliases []string
	answer  func(a *Admin, r *http.Request) (object, error)
}

// commands are upstream's, in the order of its list. snapshot and restore, which hand out and
// replace the whole database, are switched off as admin.snapshot.enabled=false does.
var commands = []command{
	{"configuration", []string{"conf", "config"}, (*Admin).configuration},
	{"connection_stat_reset", []string{"crst"}, (*Admin).resetConns},
	{"connections", []string{"cons"}, (*Admin).connections},
	{"dirs", nil, (*Admin).dirs},
	{"dump", nil, (*Admin).dumpJSON},
	{"environment", []string{"env", "envi"}, (*Admin).envJSON},
	{"get_trace_mask", []string{"gtmk"}, (*Admin).getTraceMask},
	{"hash", nil, (*Admin).hash},
	{"initial_configuration", []string{"icfg"}, (*Admin).initialConfiguration},
	{"is_read_only", []string{"isro"}, (*Admin).isReadOnly},
	{"last_snapshot", []string{"lsnp"}, (*Admin).lastSnapshot},
	{"leader", []string{"lead"}, (*Admin).leader},
	{"monitor", []string{"mntr"}, (*Admin).monitor},
	{"observer_connection_stat_reset", []string{"orst"}, (*Admin).nothing},
	{"observers", []string{"obsr"}, (*Admin).observers},
	{"ruok", nil, (*Admin).nothing},
	{"server_stats", []string{"srvr"}, (*Admin).serverStats},
	{"set_trace_mask", []string{"stmk"}, (*Admin).setTraceMask},
	{"stat_reset", []string{"srst"}, (*Admin).resetStats},
	{"stats", []string{"stat"}, (*Admin).stats},
	{"system_properties", []string{"sysp"}, (*Admin).systemProperties},
	{"voting_view", nil, (*Admin).votingView},
	{"watch_summary", []string{"wchs"}, (*Admin).watchSummary},
	{"watches", []string{"wchc"}, (*Admin).watchesBySession},
	{"watches_by_path", []string{"wchp"}, (*Admin).watchesByPath},
	{"zabstate", nil, (*Admin).zabState},
}

// disabled are the commands that exist upstream and are switched off here.
var disabled = []string{"restore", "rest", "snapshot", "snap"}

func findCommand(name string) *command {
	for i := range commands {
		if commands[i].name == name || slices.Contains(commands[i].aliases, name) {
			return &commands[i]
		}
	}
	return nil
}

// handleCommands serves the list of commands and the commands.
func (a *Admin) handleCommands(mux *http.ServeMux) {
	base := "/" + strings.Trim(a.o.CommandURL, "/")
	list := func(w http.ResponseWriter, r *http.Request) {
		if !readOnly(w, r) {
			return
		}
		for i, c := range commands {
			if i > 0 {
				fmt.Fprint(w, "<br/>\n")
			}
			link := html.EscapeString(base + "/" + c.name)
			fmt.Fprintf(w, "<a href=\"%s\">%s</a>\n", link, html.EscapeString(c.name))
		}
		fmt.Fprint(w, "<br/>\n")
	}
	mux.HandleFunc(base, list)
	mux.HandleFunc(base+"/{$}", list)
	mux.HandleFunc(base+"/{name}", a.serveCommand)
}

// readOnly refuses what is not a GET. Upstream answers it with an internal error.
func readOnly(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	return false
}

func (a *Admin) serveCommand(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	if slices.Contains(disabled, name) {
		a.reply(w, http.StatusServiceUnavailable, nil, name, "This command is disabled")
		return
	}
	if !readOnly(w, r) {
		return
	}
	c := findCommand(name)
	if c == nil {
		a.reply(w, http.StatusOK, nil, name, "Unknown command: "+name)
		return
	}
	fields, err := c.answer(a, r)
	if err != nil {
		a.reply(w, http.StatusOK, nil, c.name,
			"This ZooKeeper instance is not currently serving requests")
		return
	}
	var problem any
	fields = slices.DeleteFunc(fields, func(f field) bool {
		if f.key == "error" {
			problem = f.value
		}
		return f.key == "error"
	})
	a.reply(w, http.StatusOK, fields, c.name, problem)
}

func (a *Admin) reply(w http.ResponseWriter, code int, o object, name string, problem any) {
	o.add("command", name)
	o.add("error", problem)
	body := encode(o)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	if _, err := w.Write(body); err != nil {
		a.log.Debug("a reader of the admin pages went away", zap.Error(err))
	}
}

func (a *Admin) nothing(*http.Request) (object, error) { return nil, nil }

func (a *Admin) configuration(*http.Request) (object, error) {
	snapDir, logDir := a.o.Host.Dirs()
	return object{
		{"client_port", a.o.ClientPort},
		{"data_dir", snapDir},
		{"data_log_dir", logDir},
		{"tick_time", a.o.TickTime.Milliseconds()},
		{"max_client_cnxns", a.o.MaxClientCnxns},
		{"min_session_timeout", a.o.MinSessionTimeout.Milliseconds()},
		{"max_session_timeout", a.o.MaxSessionTimeout.Milliseconds()},
		{"server_id", a.o.ServerID},
		{"client_port_listen_backlog", a.o.ClientPortBacklog},
	}, nil
}

func (a *Admin) resetConns(*http.Request) (object, error) {
	return nil, a.view((*replica.Machine).ResetConnStats)
}

func (a *Admin) resetStats(*http.Request) (object, error) {
	return nil, a.view((*replica.Machine).ResetStats)
}

// connLists returns the lists of plain and TLS connections; brief leaves out what stat does not
// show.
func (a *Admin) connLists(brief bool) (object, error) {
	var conns []replica.ConnInfo
	if err := a.view(func(m *replica.Machine) { conns = m.Conns() }); err != nil {
		return nil, err
	}
	plain, secure := []any{}, []any{}
	for i := range conns {
		c := connFields(&conns[i], brief)
		if conns[i].Peer.Secure {
			secure = append(secure, c)
		} else {
			plain = append(plain, c)
		}
	}
	return object{{"connections", plain}, {"secure_connections", secure}}, nil
}

func connFields(c *replica.ConnInfo, brief bool) object {
	s := &c.Stats
	o := object{
		{"remote_socket_address", c.Peer.Addr},
		{"interest_ops", 1},
		{"outstanding_requests", c.Queued},
		{"packets_received", s.Received},
		{"packets_sent", s.Sent},
	}
	if brief || c.Session == 0 {
		return o
	}
	return append(o, object{
		{"session_id", c.Session},
		{"last_operation", lastOp(s)},
		{"established", s.EstablishedMilli},
		{"session_timeout", c.TimeoutMillis},
		{"last_cxid", s.LastCxid},
		{"last_zxid", s.LastZxid},
		{"last_response_time", s.LastReplyMilli},
		{"last_latency", s.LastLatency},
		{"min_latency", s.Latency.Min},
		{"avg_latency", int64(s.Latency.Avg())},
		{"max_latency", s.Latency.Max},
	}...)
}

func (a *Admin) connections(*http.Request) (object, error) { return a.connLists(false) }

func (a *Admin) dirs(*http.Request) (object, error) {
	snaps, logs := a.o.Host.DirSizes()
	return object{{"datadir_size", snaps}, {"logdir_size", logs}}, nil
}

func (a *Admin) dumpJSON(*http.Request) (object, error) {
	d, err := a.dump()
	if err != nil {
		return nil, err
	}
	var expiry, ephemerals object
	for _, b := range d.buckets {
		expiry.add(strconv.FormatInt(b.ExpiryMillis, 10), anyList(b.IDs))
	}
	for _, e := range d.ephemerals {
		ephemerals.add(strconv.FormatInt(e.Session, 10), anyList(e.Paths))
	}
	return object{
		{"expiry_time_to_session_ids", expiry},
		{"session_id_to_ephemeral_paths", ephemerals},
	}, nil
}

func anyList[T any](list []T) []any {
	out := make([]any, len(list))
	for i, v := range list {
		out[i] = v
	}
	return out
}

func (a *Admin) envJSON(*http.Request) (object, error) { return environment(a.o.Version), nil }

func (a *Admin) getTraceMask(*http.Request) (object, error) {
	return object{{"tracemask", traceMask}}, nil
}

func (a *Admin) setTraceMask(r *http.Request) (object, error) {
	text := r.URL.Query().Get("traceMask")
	if text == "" {
		return object{{"error", "setTraceMask requires long traceMask argument"}}, nil
	}
	mask, err := strconv.ParseInt(text, 10, 64)
	if err == nil {
		return object{{"tracemask", mask}}, nil
	}
	return object{{"error", "setTraceMask requires long traceMask argument, got " + text}}, nil
}

func (a *Admin) hash(*http.Request) (object, error) {
	digests, err := a.digests()
	list := []any{}
	for _, d := range digests {
		list = append(list, object{
			{"zxid", d.Zxid}, {"digest_version", d.Version}, {"digest", d.Digest},
		})
	}
	return object{{"digests", list}}, err
}

func (a *Admin) initialConfiguration(*http.Request) (object, error) {
	if a.o.ConfigText == "" {
		return object{{"initial_configuration", nil}}, nil
	}
	return object{{"initial_configuration", a.o.ConfigText}}, nil
}

func (a *Admin) isReadOnly(*http.Request) (object, error) {
	return object{{"read_only", false}}, nil
}

func (a *Admin) lastSnapshot(*http.Request) (object, error) {
	s := a.o.Host.Stats()
	return object{
		{"zxid", strconv.FormatUint(uint64(s.LastSnapshotZxid), 16)},
		{"timestamp", s.LastSnapshotTime},
	}, nil
}

func (a *Admin) leader(*http.Request) (object, error) {
	return object{{"error", "server is not initialized"}}, nil
}

func (a *Admin) monitor(*http.Request) (object, error) {
	s, err := a.sample()
	if err != nil {
		return nil, err
	}
	o := object{{"version", a.o.Version}, {"server_state", "standalone"}}
	return append(o, s.monitored()...), nil
}

func (a *Admin) observers(*http.Request) (object, error) {
	return object{{"synced_observers", 0}, {"observers", []any{}}}, nil
}

func (a *Admin) serverStats(*http.Request) (object, error) {
	s, err := a.sample()
	if err != nil {
		return nil, err
	}
	m := &s.status.Metrics
	sizes := object{
		{"last_buffer_size", m.LastResponseSize},
		{"min_buffer_size", m.MinResponseSize},
		{"max_buffer_size", m.MaxResponseSize},
	}
	snaps, logs := a.o.Host.DirSizes()
	return object{
		{"version", a.o.Version},
		{"read_only", false},
		{"server_stats", object{
			{"packets_sent", m.PacketsSent},
			{"packets_received", m.PacketsReceived},
			{"fsync_threshold_exceed_count", s.host.SlowSyncs},
			{"client_response_stats", sizes},
			{"uptime", s.host.Uptime.Milliseconds()},
			{"data_dir_size", snaps},
			{"log_dir_size", logs},
			{"provider_null", false},
			{"last_processed_zxid", s.status.Zxid},
			{"outstanding_requests", s.status.Outstanding},
			{"server_state", "standalone"},
			{"avg_latency", avg(&m.Latency)},
			{"max_latency", m.Latency.Max},
			{"min_latency", m.Latency.Min},
			{"num_alive_client_connections", s.server.Alive},
			{"auth_failed_count", m.AuthFailed},
			{"non_mtlsremote_conn_count", 0},
			{"non_mtlslocal_conn_count", 0},
		}},
		{"client_response", sizes},
		{"node_count", s.status.Nodes},
	}, nil
}

func (a *Admin) stats(r *http.Request) (object, error) {
	o, err := a.serverStats(r)
	if err != nil {
		return nil, err
	}
	conns, err := a.connLists(true)
	return append(o, conns...), err
}

func (a *Admin) systemProperties(*http.Request) (object, error) {
	o := environment(a.o.Version)
	slices.SortFunc(o, func(x, y field) int { return strings.Compare(x.key, y.key) })
	return o, nil
}

func (a *Admin) votingView(*http.Request) (object, error) {
	return object{{"current_config", object{}}}, nil
}

func (a *Admin) watchSummary(*http.Request) (object, error) {
	s, err := a.sample()
	if err != nil {
		return nil, err
	}
	w := s.status.Watches
	return object{
		{"num_connections", w.Watchers},
		{"num_paths", w.Paths},
		{"num_total_watches", w.Watches},
	}, nil
}

func (a *Admin) watchesBySession(*http.Request) (object, error) {
	list, err := a.watches()
	var o object
	for _, s := range bySession(list) {
		o.add(strconv.FormatInt(s.session, 10), anyList(s.paths))
	}
	return object{{"session_id_to_watched_paths", o}}, err
}

func (a *Admin) watchesByPath(*http.Request) (object, error) {
	list, err := a.watches()
	var o object
	for _, w := range list {
		if n := len(o); n > 0 && o[n-1].key == w.Path {
			o[n-1].value = append(o[n-1].value.([]any), w.Session)
			continue
		}
		o.add(w.Path, []any{w.Session})
	}
	return object{{"path_to_session_ids", o}}, err
}

func (a *Admin) zabState(*http.Request) (object, error) {
	return object{{"voting", false}, {"zabstate", ""}}, nil
}

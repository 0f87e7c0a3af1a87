package admin

import (
	"fmt"
	"strings"

	"zkafka/zkd/replica"
)

// The metrics of a standalone Apache ZooKeeper 3.9.4 in the order in which its mntr shows them.
var (
	gaugeNames = strings.Fields(`
	ephemerals_count num_alive_connections avg_latency outstanding_requests znode_count
	global_sessions non_mtls_remote_conn_count last_client_response_size packets_sent
	packets_received max_client_response_size connection_drop_probability watch_count
	auth_failed_count min_latency max_file_descriptor_count approximate_data_size
	open_file_descriptor_count local_sessions uptime max_latency outstanding_tls_handshake
	min_client_response_size non_mtls_local_conn_count`)

	counterNames = strings.Fields(`
	watch_bytes stale_requests_dropped throttled_ops insecure_admin_count connection_rejected
	sessionless_connections_expired dead_watchers_queued stale_requests connection_drop_count
	response_packet_cache_hits bytes_received_count add_dead_watcher_stall_time
	request_throttle_wait_count requests_not_forwarded_to_commit_processor
	response_packet_cache_misses prep_processor_request_queued stale_replies response_bytes
	ensemble_auth_fail diff_count connection_revalidate_count
	quit_leading_due_to_disloyal_voter unrecoverable_error_count unsuccessful_handshake
	commit_count outstanding_changes_queued request_commit_queued ensemble_auth_skip
	skip_learner_request_to_next_processor_count proposal_count large_requests_rejected
	outstanding_changes_removed restore_error_count cnxn_closed_without_zk_server_running
	looking_count snapshot_rate_limited_count learner_proposal_received_count
	digest_mismatches_count dead_watchers_cleared ensemble_auth_success
	learner_commit_received_count snapshot_error_count connection_request_count
	response_packet_get_children_cache_misses snap_count stale_sessions_expired
	restore_rate_limited_count response_packet_get_children_cache_hits
	sync_processor_request_queued tls_handshake_exceeded revalidate_count`)

	summaryNames = strings.Fields(`
	socket_closing_time proposal_process_time leader_unavailable_time node_created_watch_count
	session_queues_drained write_commit_proc_req_queued connection_token_deficit
	read_commit_proc_req_queued node_deleted_watch_count startup_txns_load_time
	sync_processor_queue_size follower_sync_time prep_processor_queue_size fsynctime
	inflight_snap_count reads_issued_from_session_queue restore_time
	learner_request_processor_queue_size snapshottime unavailable_time startup_txns_loaded
	reads_after_write_in_session_queue requests_in_session_queue write_commit_proc_issued
	prep_process_time pending_session_queue_size
	time_waiting_empty_pool_in_commit_processor_read_ms commit_process_time dbinittime
	inflight_diff_count netty_queued_buffer_capacity election_time
	commit_commit_proc_req_queued sync_processor_batch_size node_children_watch_count
	write_batch_time_in_commit_processor read_commit_proc_issued
	concurrent_request_processing_in_commit_processor observer_sync_time
	node_changed_watch_count sync_process_time startup_snap_load_time`)

	histogramNames = strings.Fields(`
	prep_processor_queue_time_ms jvm_pause_time_ms close_session_prep_time
	read_commitproc_time_ms updatelatency local_write_committed_time_ms
	request_throttle_queue_time_ms readlatency quorum_ack_latency om_commit_process_time_ms
	read_final_proc_time_ms commit_propagation_latency dead_watchers_cleaner_latency
	write_final_proc_time_ms proposal_ack_creation_latency proposal_latency
	om_proposal_process_time_ms sync_processor_queue_and_flush_time_ms propagation_latency
	server_write_committed_time_ms sync_processor_queue_time_ms
	sync_processor_queue_flush_time_ms write_commitproc_time_ms`)
)

// quotaSets are gauges with a value per namespace that has such a quota.
var quotaSets = []struct {
	name  string
	value func(q *replica.NamespaceQuota) (v int64, ok bool)
}{
	{"quota_bytes_limit_per_namespace",
		func(q *replica.NamespaceQuota) (int64, bool) { return q.BytesLimit, q.HasLimit }},
	{"quota_count_usage_per_namespace",
		func(q *replica.NamespaceQuota) (int64, bool) { return q.CountUsage, q.HasUsage }},
	{"quota_count_limit_per_namespace",
		func(q *replica.NamespaceQuota) (int64, bool) { return q.CountLimit, q.HasLimit }},
	{"quota_bytes_usage_per_namespace",
		func(q *replica.NamespaceQuota) (int64, bool) { return q.BytesUsage, q.HasUsage }},
}

// summarySets are summaries per namespace that was read or written.
var summarySets = []struct {
	name    string
	summary func(n *replica.Namespace) *replica.Summary
}{
	{"read_per_namespace", func(n *replica.Namespace) *replica.Summary { return &n.Read }},
	{"write_per_namespace", func(n *replica.Namespace) *replica.Summary { return &n.Write }},
}

// eachQuota calls fn for every value of the quota sets, set by set.
func (s *sample) eachQuota(fn func(set, namespace string, v int64)) {
	for _, set := range quotaSets {
		for i := range s.status.Quotas {
			q := &s.status.Quotas[i]
			if v, ok := set.value(q); ok {
				fn(set.name, q.Name, v)
			}
		}
	}
}

// eachNamespace calls fn for every summary of the summary sets, set by set.
func (s *sample) eachNamespace(fn func(set, namespace string, sum *replica.Summary)) {
	for _, set := range summarySets {
		for i := range s.status.Namespaces {
			n := &s.status.Namespaces[i]
			if sum := set.summary(n); sum.Count > 0 {
				fn(set.name, n.Name, sum)
			}
		}
	}
}

// quantiles of histograms, with upstream's prefix.
var quantiles = []struct {
	prefix string
	q      float64
}{{"p50", 0.5}, {"p95", 0.95}, {"p99", 0.99}, {"p999", 0.999}}

// monitored lists all metrics in mntr's order: int64 and float64 values.
func (s *sample) monitored() object {
	values, sums, hists := s.values(), s.summaries(), s.histograms()
	var out object
	addAll := func(names []string) {
		for _, name := range names {
			v, ok := values[name]
			if !ok {
				v = int64(0)
			}
			out.add(name, v)
		}
	}
	addAll(gaugeNames)
	s.eachQuota(func(set, namespace string, v int64) { out.add(namespace+"_"+set, v) })
	addAll(counterNames)
	for _, name := range summaryNames {
		sum := sums[name]
		out.addSummary(name, &sum)
	}
	for _, name := range histogramNames {
		h := hists[name]
		if h == nil {
			h = &replica.Histogram{}
		}
		out.addSummary(name, &h.Summary)
		for _, q := range quantiles {
			out.add(q.prefix+"_"+name, h.Quantile(q.q))
		}
	}
	s.eachNamespace(func(set, namespace string, sum *replica.Summary) {
		out.addSummary(namespace+"_"+set, sum)
	})
	return out
}

func (o *object) addSummary(name string, s *replica.Summary) {
	o.add("avg_"+name, avg(s))
	o.add("min_"+name, s.Min)
	o.add("max_"+name, s.Max)
	o.add("cnt_"+name, s.Count)
	o.add("sum_"+name, s.Sum)
}

// text prints a value as mntr does.
func text(v any) string {
	if f, ok := v.(float64); ok {
		return javaDouble(f)
	}
	return fmt.Sprint(v)
}

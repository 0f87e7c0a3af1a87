package admin

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"zkafka/kafkad/errcode"
	"zkafka/kafkad/group"
)

// runningState is upstream's BrokerState of a broker that serves.
const runningState = 3

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	activeController = desc("kafka_controller_kafkacontroller_activecontrollercount",
		"1 on the broker that is controller.")
	offlinePartitions = desc("kafka_controller_kafkacontroller_offlinepartitionscount",
		"Partitions without leader, as the controller sees them.")
	globalTopics = desc("kafka_controller_kafkacontroller_globaltopiccount",
		"Topics of the cluster, as the controller sees them.")
	globalPartitions = desc("kafka_controller_kafkacontroller_globalpartitioncount",
		"Partitions of the cluster, as the controller sees them.")
	activeBrokers = desc("kafka_controller_kafkacontroller_activebrokercount",
		"Registered brokers, as the controller sees them.")
	brokerState = desc("kafka_server_kafkaserver_brokerstate", "3: the broker serves.")
	partitions  = desc("kafka_server_replicamanager_partitioncount",
		"Replicas on this broker.")
	leaders = desc("kafka_server_replicamanager_leadercount",
		"Partitions that this broker leads.")
	underReplicated = desc("kafka_server_replicamanager_underreplicatedpartitions",
		"Partitions led here whose ISR lacks a replica.")
	offlineReplicas = desc("kafka_server_replicamanager_offlinereplicacount",
		"Replicas of this broker on log dirs that failed.")
	connections = desc("kafka_server_socketservermetrics_connectioncount",
		"Open client connections.")
	offlineDirs = desc("kafka_log_logmanager_offlinelogdirectorycount",
		"Log dirs that failed.")
	dirBytes = desc("kafkad_log_dir_bytes", "Bytes of the logs in a log dir.", "dir")
	dirFree  = desc("kafkad_log_dir_free_bytes",
		"Bytes free on the file system of a log dir.", "dir")
	dirPartitions = desc("kafkad_log_dir_partitions", "Replicas in a log dir.", "dir")
	groups        = desc("kafka_coordinator_group_groupmetadatamanager_numgroups",
		"Groups coordinated here.")
	groupsByState = desc("kafkad_groups", "Groups coordinated here by state.", "state")
)

// Describe implements prometheus.Collector.
func (a *Admin) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{activeController, offlinePartitions, globalTopics,
		globalPartitions, activeBrokers, brokerState, partitions, leaders, underReplicated,
		offlineReplicas, connections, offlineDirs, dirBytes, dirFree, dirPartitions, groups,
		groupsByState} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (a *Admin) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(brokerState, runningState)
	gauge(connections, float64(a.opts.Connections()))
	a.collectCluster(gauge)
	a.collectDirs(gauge)
	a.collectGroups(gauge)
}

type gaugeFunc func(d *prometheus.Desc, v float64, labels ...string)

// collectCluster walks the image once. What the controller counts is 0 elsewhere, so that sums over
// all brokers are right.
func (a *Admin) collectCluster(gauge gaugeFunc) {
	im := a.opts.Image()
	var total, led, under, dead, lost float64
	for _, t := range im.Topics {
		for i := range t.Partitions {
			p := &t.Partitions[i]
			total++
			if p.Leader < 0 {
				dead++
			}
			if p.Leader == a.opts.NodeID {
				led++
				if len(p.ISR) < len(p.Replicas) {
					under++
				}
			}
			for _, r := range p.Offline {
				if r == a.opts.NodeID {
					lost++
				}
			}
		}
	}
	controller := 0.0
	if a.opts.IsController() {
		controller = 1
	}
	gauge(activeController, controller)
	gauge(offlinePartitions, controller*dead)
	gauge(globalTopics, controller*float64(len(im.Topics)))
	gauge(globalPartitions, controller*total)
	gauge(activeBrokers, controller*float64(len(im.Brokers)))
	gauge(leaders, led)
	gauge(underReplicated, under)
	gauge(offlineReplicas, lost)
}

func (a *Admin) collectDirs(gauge gaugeFunc) {
	offline, replicas := 0, 0
	for _, d := range a.opts.Host.LogDirs() {
		if d.Offline {
			offline++
			continue
		}
		var size int64
		for _, p := range d.Partitions {
			size += p.Size
		}
		replicas += len(d.Partitions)
		gauge(dirBytes, float64(size), d.Path)
		gauge(dirFree, float64(d.UsableBytes), d.Path)
		gauge(dirPartitions, float64(len(d.Partitions)), d.Path)
	}
	gauge(offlineDirs, float64(offline))
	gauge(partitions, float64(replicas))
}

// collectGroups leaves the groups out while some of them are being loaded.
func (a *Admin) collectGroups(gauge gaugeFunc) {
	list, code := a.opts.Groups.List(nil, nil)
	if code != errcode.None {
		return
	}
	states := map[group.State]int{}
	for _, g := range list {
		states[g.State]++
	}
	gauge(groups, float64(len(list)))
	for s := group.Empty; s <= group.Dead; s++ {
		gauge(groupsByState, float64(states[s]), strings.ToLower(s.String()))
	}
}

package commitlog

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"zkafka/kafkad/disk"
)

// The files of Kafka that lie in a log directory or a partition's directory.
const (
	lockFile          = ".lock"
	cleanFile         = ".kafka_cleanshutdown"
	metaFile          = "meta.properties"
	recoveryFile      = "recovery-point-offset-checkpoint"
	highWatermarkFile = "replication-offset-checkpoint"
	logStartFile      = "log-start-offset-checkpoint"
	epochFile         = "leader-epoch-checkpoint"
	partitionFile     = "partition.metadata"
)

// readFile returns a file's content, nil if there is no such file.
func readFile(fs disk.FS, name string) ([]byte, error) {
	f, err := fs.OpenFile(name, disk.ReadOnly)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b := make([]byte, info.Size())
	n, err := f.ReadAt(b, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b[:n], errors.Join(err, f.Close())
}

// putFile writes a file under a temporary name, without syncing: rename follows once it is durable.
func putFile(fs disk.FS, name string, b []byte, sync bool) (err error) {
	f, err := fs.OpenFile(name+".tmp", disk.Create)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := disk.Empty(f); err != nil {
		return err
	}
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	if sync {
		return f.SyncData()
	}
	return nil
}

// replaceFile replaces a file durably: temporary name, sync, rename, directory sync.
func replaceFile(fs disk.FS, dir, name string, b []byte) error {
	path := fs.PathJoin(dir, name)
	if err := putFile(fs, path, b, true); err != nil {
		return err
	}
	if err := fs.Rename(path+".tmp", path); err != nil {
		return err
	}
	return fs.SyncDir(dir)
}

// lines splits a checkpoint of version 0 into its entries and checks their number.
func lines(b []byte) ([]string, error) {
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	if len(all) < 2 {
		return nil, fmt.Errorf("%d lines", len(all))
	}
	if all[0] != "0" {
		return nil, fmt.Errorf("version %q", all[0])
	}
	n, err := strconv.Atoi(all[1])
	if err != nil || n != len(all)-2 {
		return nil, fmt.Errorf("%q entries announced, %d there", all[1], len(all)-2)
	}
	return all[2:], nil
}

// decodeOffsets reads a checkpoint of "topic partition offset" lines. An empty file has no entries.
func decodeOffsets(b []byte) (map[TP]int64, error) {
	out := map[TP]int64{}
	if len(b) == 0 {
		return out, nil
	}
	entries, err := lines(b)
	if err != nil {
		return nil, err
	}
	for _, l := range entries {
		f := strings.Fields(l)
		if len(f) != 3 {
			return nil, fmt.Errorf("line %q", l)
		}
		p, err1 := strconv.ParseInt(f[1], 10, 32)
		o, err2 := strconv.ParseInt(f[2], 10, 64)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("line %q", l)
		}
		out[TP{f[0], int32(p)}] = o
	}
	return out, nil
}

func encodeOffsets(m map[TP]int64) []byte {
	tps := make([]TP, 0, len(m))
	for tp := range m {
		tps = append(tps, tp)
	}
	slices.SortFunc(tps, compareTP)
	var b bytes.Buffer
	fmt.Fprintf(&b, "0\n%d\n", len(tps))
	for _, tp := range tps {
		fmt.Fprintf(&b, "%s %d %d\n", tp.Topic, tp.Partition, m[tp])
	}
	return b.Bytes()
}

func compareTP(a, b TP) int {
	if c := strings.Compare(a.Topic, b.Topic); c != 0 {
		return c
	}
	return int(a.Partition) - int(b.Partition)
}

// decodeEpochs reads leader-epoch-checkpoint: "epoch startOffset" lines. Entries that do not rise
// are left out.
func decodeEpochs(b []byte) ([]EpochEntry, error) {
	if len(b) == 0 {
		return nil, nil
	}
	entries, err := lines(b)
	if err != nil {
		return nil, err
	}
	var out []EpochEntry
	for _, l := range entries {
		f := strings.Fields(l)
		if len(f) != 2 {
			return nil, fmt.Errorf("line %q", l)
		}
		e, err1 := strconv.ParseInt(f[0], 10, 32)
		o, err2 := strconv.ParseInt(f[1], 10, 64)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("line %q", l)
		}
		out = withEpoch(out, int32(e), o)
	}
	return out, nil
}

func encodeEpochs(entries []EpochEntry) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "0\n%d\n", len(entries))
	for _, e := range entries {
		fmt.Fprintf(&b, "%d %d\n", e.Epoch, e.Start)
	}
	return b.Bytes()
}

// decodePartition reads partition.metadata.
func decodePartition(b []byte) (id [16]byte, err error) {
	for l := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(strings.TrimSpace(l), ":")
		value = strings.TrimSpace(value)
		switch key {
		case "version":
			if value != "0" {
				return id, fmt.Errorf("version %q", value)
			}
		case "topic_id":
			raw, err := base64.RawURLEncoding.DecodeString(value)
			if err != nil || len(raw) != len(id) {
				return id, fmt.Errorf("topic id %q", value)
			}
			copy(id[:], raw)
			return id, nil
		}
	}
	return id, errors.New("no topic id")
}

func encodePartition(id [16]byte) []byte {
	return []byte("version: 0\ntopic_id: " + base64.RawURLEncoding.EncodeToString(id[:]))
}

// Meta is the content of meta.properties.
type Meta struct {
	BrokerID    int32 // -1 while unknown
	ClusterID   string
	DirectoryID string // kept if present (3.7 and later)
}

func decodeMeta(b []byte) (Meta, error) {
	m := Meta{BrokerID: -1}
	version := ""
	for l := range strings.Lines(string(b)) {
		l = strings.TrimSpace(l)
		if l == "" || l[0] == '#' || l[0] == '!' {
			continue
		}
		key, value, _ := strings.Cut(l, "=")
		key = strings.TrimSpace(key)
		value = strings.ReplaceAll(strings.TrimSpace(value), `\`, "")
		switch key {
		case "version":
			version = value
		case "broker.id":
			id, err := strconv.ParseInt(value, 10, 32)
			if err != nil {
				return m, fmt.Errorf("broker.id %q", value)
			}
			m.BrokerID = int32(id)
		case "cluster.id":
			m.ClusterID = value
		case "directory.id":
			m.DirectoryID = value
		}
	}
	if len(b) > 0 && version != "0" {
		return m, fmt.Errorf("version %q, only 0 is known in ZooKeeper mode", version)
	}
	return m, nil
}

func (m Meta) encode() []byte {
	var b bytes.Buffer
	b.WriteString("#\n")
	if m.BrokerID >= 0 {
		fmt.Fprintf(&b, "broker.id=%d\n", m.BrokerID)
	}
	b.WriteString("version=0\n")
	if m.ClusterID != "" {
		fmt.Fprintf(&b, "cluster.id=%s\n", m.ClusterID)
	}
	if m.DirectoryID != "" {
		fmt.Fprintf(&b, "directory.id=%s\n", m.DirectoryID)
	}
	return b.Bytes()
}

type cleanShutdown struct {
	Version     int   `json:"version"`
	BrokerEpoch int64 `json:"brokerEpoch"`
}

// decodeClean reads the clean shutdown file; the one of releases before 3.7 is empty.
func decodeClean(b []byte) int64 {
	c := cleanShutdown{BrokerEpoch: -1}
	if json.Unmarshal(b, &c) != nil {
		return -1
	}
	return c.BrokerEpoch
}

func encodeClean(epoch int64) []byte {
	return fmt.Appendf(nil, `{"version":0,"brokerEpoch":%d}`, epoch)
}

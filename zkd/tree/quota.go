package tree

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Names of the nodes that describe a quota, below /zookeeper/quota and the path it is for.
const (
	limitNode = "zookeeper_limits"
	statNode  = "zookeeper_stats"
)

// QuotaPaths returns the paths that have a quota, sorted.
func (t *Tree) QuotaPaths() []string {
	paths := make([]string, 0, len(t.quotas))
	for path := range t.quotas {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// QuotaFor returns the longest path with a quota that path is or lies below; "" for none. There is
// no quota on the root.
func (t *Tree) QuotaFor(path string) string {
	if len(t.quotas) == 0 {
		return ""
	}
	for path != "" {
		if _, ok := t.quotas[path]; ok {
			return path
		}
		path = parentOf(path)
	}
	return ""
}

// QuotaLimits returns the data of the node with the limits of a path from QuotaFor.
func (t *Tree) QuotaLimits(path string) (Quota, bool) {
	return t.quotaNode(path, limitNode)
}

// QuotaUsage returns what the tree below a path from QuotaFor uses.
func (t *Tree) QuotaUsage(path string) (Quota, bool) {
	return t.quotaNode(path, statNode)
}

func (t *Tree) quotaNode(path, name string) (Quota, bool) {
	n := t.nodes[QuotaPath+path+"/"+name]
	if n == nil {
		return Quota{}, false
	}
	return ParseQuota(n.data), true
}

// Quota is the content of a node with limits or usage. -1 stands for no limit.
type Quota struct {
	Count, Bytes                  int64
	CountHardLimit, ByteHardLimit int64
	hasCountHard, hasByteHard     bool
}

// ParseQuota reads upstream's form, "count=4,bytes=5=;byteHardLimit=6;countHardLimit=7": pairs
// separated by commas or semicolons; what is missing or not a number is -1.
func ParseQuota(data []byte) Quota {
	q := Quota{Count: -1, Bytes: -1, CountHardLimit: -1, ByteHardLimit: -1}
	split := func(r rune) bool { return r == ',' || r == ';' }
	for _, pair := range strings.FieldsFunc(string(data), split) {
		key, value, _ := strings.Cut(pair, "=")
		value, _, _ = strings.Cut(value, "=")
		v, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			v = -1
		}
		switch key {
		case "count":
			q.Count = v
		case "bytes":
			q.Bytes = v
		case "countHardLimit":
			q.CountHardLimit, q.hasCountHard = v, true
		case "byteHardLimit":
			q.ByteHardLimit, q.hasByteHard = v, true
		}
	}
	return q
}

// String gives upstream's form. The second "=" behind bytes makes readers of 3.4 ignore the rest.
func (q Quota) String() string {
	s := fmt.Sprintf("count=%d,bytes=%d", q.Count, q.Bytes)
	if q.hasByteHard || q.hasCountHard {
		s += "="
	}
	if q.hasByteHard {
		s += fmt.Sprintf(";byteHardLimit=%d", q.ByteHardLimit)
	}
	if q.hasCountHard {
		s += fmt.Sprintf(";countHardLimit=%d", q.CountHardLimit)
	}
	return s
}

// NamespaceQuota is the sum of all quotas at and below a znode of the top level.
type NamespaceQuota struct {
	Name                   string
	HasLimit, HasUsage     bool
	CountLimit, BytesLimit int64 // the hard limit where there is one; -1 counts for "none"
	CountUsage, BytesUsage int64
}

// NamespaceQuotas returns the quotas by namespace, sorted by name.
func (t *Tree) NamespaceQuotas() []NamespaceQuota {
	byName := map[string]*NamespaceQuota{}
	if n := t.nodes[QuotaPath]; n != nil {
		sumQuotas(n, byName)
	}
	out := make([]NamespaceQuota, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, *byName[name])
	}
	return out
}

func sumQuotas(n *Node, byName map[string]*NamespaceQuota) {
	for kid := range n.All() {
		sumQuotas(kid, byName)
		isLimit, isUsage := kid.Name() == limitNode, kid.Name() == statNode
		path := strings.TrimPrefix(n.path, QuotaPath)
		if path == "" || !isLimit && !isUsage {
			continue
		}
		name, _, _ := strings.Cut(path[1:], "/")
		sum := byName[name]
		if sum == nil {
			sum = &NamespaceQuota{Name: name}
			byName[name] = sum
		}
		q := ParseQuota(kid.data)
		if isUsage {
			sum.HasUsage = true
			sum.CountUsage += q.Count
			sum.BytesUsage += q.Bytes
			continue
		}
		sum.HasLimit = true
		sum.CountLimit += limit(q.CountHardLimit, q.Count)
		sum.BytesLimit += limit(q.ByteHardLimit, q.Bytes)
	}
}

func limit(hard, soft int64) int64 {
	if hard >= 0 {
		return hard
	}
	return soft
}

// quotaCreated keeps usage true after a creation, and takes up a quota that is itself created.
func (t *Tree) quotaCreated(n *Node) {
	bytes := int64(len(n.data)) // before it is a usage that was counted
	if strings.HasPrefix(n.path, QuotaPath+"/") {
		target := strings.TrimPrefix(parentOf(n.path), QuotaPath)
		switch n.Name() {
		case limitNode:
			t.quotas[target] = struct{}{}
		case statNode:
			t.recount(target)
		}
	}
	t.quotaChanged(n, bytes, 1)
}

func (t *Tree) quotaDeleted(n *Node) {
	if strings.HasPrefix(n.path, QuotaPath+"/") && n.Name() == limitNode {
		delete(t.quotas, strings.TrimPrefix(parentOf(n.path), QuotaPath))
	}
	t.quotaChanged(n, -int64(len(n.data)), -1)
}

// quotaChanged adds to the usage of the quota that a node falls under. Usage changes without a
// transaction of its own: the stat of the node that holds it stays as it is, as upstream.
func (t *Tree) quotaChanged(n *Node, bytes int64, count int64) {
	path := t.QuotaFor(n.path)
	if path == "" {
		return
	}
	stat := t.nodes[QuotaPath+path+"/"+statNode]
	if stat == nil {
		return // the limits are created before the usage
	}
	q := ParseQuota(stat.data)
	q.Count += count
	q.Bytes += bytes
	t.setUsage(stat, q)
}

func (t *Tree) setUsage(stat *Node, q Quota) {
	t.dataSize -= int64(len(stat.data))
	stat.data = []byte(q.String())
	t.dataSize += int64(len(stat.data))
}

// recount computes the usage below a path anew.
func (t *Tree) recount(path string) {
	stat := t.nodes[QuotaPath+path+"/"+statNode]
	if stat == nil {
		return
	}
	q := Quota{}
	if n := t.lookup(path); n != nil && path != "" {
		q.Count, q.Bytes = n.usage()
	}
	t.setUsage(stat, q)
}

func (n *Node) usage() (count, bytes int64) {
	count, bytes = 1, int64(len(n.data))
	for kid := range n.All() {
		c, b := kid.usage()
		count += c
		bytes += b
	}
	return count, bytes
}

// setupQuotas finds the quotas of a loaded tree and computes their usage.
func (t *Tree) setupQuotas() {
	if n := t.nodes[QuotaPath]; n != nil {
		t.findQuotas(n)
	}
}

func (t *Tree) findQuotas(n *Node) {
	for kid := range n.All() {
		if kid.kids != nil {
			t.findQuotas(kid)
			continue
		}
		if kid.Name() == limitNode {
			path := strings.TrimPrefix(n.path, QuotaPath)
			t.quotas[path] = struct{}{}
			t.recount(path)
		}
	}
}

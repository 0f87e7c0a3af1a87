package host

import (
	"cmp"
	"slices"
)

// LogDir describes one configured log dir.
type LogDir struct {
	Path        string
	Offline     bool
	TotalBytes  int64 // of the file system, -1 unknown
	UsableBytes int64
	Partitions  []LogSize // sorted by topic and partition
}

// LogSize is what a partition takes in its log dir. Lag is how far its high watermark is beyond its
// end, 0 for all but a replica that lost records.
type LogSize struct {
	TP   TP
	Size int64
	Lag  int64
}

// LogDirs describes all configured log dirs, those that failed included.
func (h *Host) LogDirs() []LogDir {
	var list []LogDir
	index := map[string]int{}
	for path := range h.dirs.failed {
		list = append(list, LogDir{Path: path, Offline: true, TotalBytes: -1, UsableBytes: -1})
	}
	for _, d := range h.dirs.dirs {
		l := LogDir{Path: d.Path(), TotalBytes: -1, UsableBytes: -1}
		h.mu.Lock()
		_, l.Offline = h.failed[d]
		h.mu.Unlock()
		if u, err := h.dirs.fs.GetDiskUsage(d.Path()); err == nil && !l.Offline {
			l.TotalBytes, l.UsableBytes = int64(u.TotalBytes), int64(u.AvailBytes)
		}
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b LogDir) int { return cmp.Compare(a.Path, b.Path) })
	for i := range list {
		index[list[i].Path] = i
	}
	for _, p := range h.all() {
		l := &list[index[p.log.Dir().Path()]]
		l.Partitions = append(l.Partitions, LogSize{
			TP: p.TP, Size: p.log.Size(), Lag: max(p.high.Load()-p.log.End(), 0),
		})
	}
	for i := range list {
		slices.SortFunc(list[i].Partitions, func(a, b LogSize) int {
			return cmp.Or(cmp.Compare(a.TP.Topic, b.TP.Topic),
				cmp.Compare(a.TP.Partition, b.TP.Partition))
		})
	}
	return list
}

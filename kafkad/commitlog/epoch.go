package commitlog

import (
	"slices"
	"sort"
)

// withEpoch returns the entries plus one, if it is newer than all; the input is not changed.
func withEpoch(entries []EpochEntry, epoch int32, start int64) []EpochEntry {
	n := len(entries)
	if epoch < 0 || n > 0 && entries[n-1].Epoch >= epoch {
		return entries
	}
	for n > 0 && entries[n-1].Start >= start {
		n-- // an epoch that wrote nothing
	}
	out := make([]EpochEntry, n, n+1)
	copy(out, entries)
	return append(out, EpochEntry{epoch, start})
}

func (l *Log) setEpochs(e []EpochEntry) { l.epochs.Store(&e) }

// Epochs returns the leader epoch cache, oldest first; the slice must not be changed.
func (l *Log) Epochs() []EpochEntry { return *l.epochs.Load() }

// AssignEpoch notes that a leader of this epoch starts at the offset; older or equal epochs change
// nothing. A new leader calls it with End; Append does it for the epochs it sees in batches. The
// file is written with the next checkpoint: until then the batches themselves tell the epoch.
func (l *Log) AssignEpoch(epoch int32, start int64) {
	if epoch <= l.LatestEpoch() {
		return
	}
	l.setEpochs(withEpoch(l.Epochs(), epoch, start))
}

// LatestEpoch is the newest epoch in the cache, -1 if none.
func (l *Log) LatestEpoch() int32 {
	e := l.Epochs()
	if len(e) == 0 {
		return -1
	}
	return e[len(e)-1].Epoch
}

// EndOffsetFor answers OffsetForLeaderEpoch: the largest epoch <= the requested one and the offset
// where the next one starts; -1, -1 if unknown.
func (l *Log) EndOffsetFor(epoch int32) (int32, int64) {
	entries := l.Epochs()
	if epoch == -1 || len(entries) == 0 {
		return -1, -1
	}
	if epoch == entries[len(entries)-1].Epoch {
		return epoch, l.End()
	}
	higher := sort.Search(len(entries), func(i int) bool { return entries[i].Epoch > epoch })
	switch higher {
	case len(entries):
		return -1, -1
	case 0:
		return epoch, entries[0].Start
	}
	return entries[higher-1].Epoch, entries[higher].Start
}

// EpochAt is the epoch of the record at the offset by the cache, -1 if unknown.
func (l *Log) EpochAt(offset int64) int32 {
	entries := l.Epochs()
	i := sort.Search(len(entries), func(i int) bool { return entries[i].Start > offset })
	if i == 0 {
		return -1
	}
	return entries[i-1].Epoch
}

// epochsSaved says that the epoch file tells the epochs of all batches below the offset. An epoch
// that has no batch yet need not be in the file: after a restart it is over.
func (l *Log) epochsSaved(below int64) bool {
	return slices.Equal(epochsBelow(l.saved, below), epochsBelow(l.Epochs(), below))
}

func epochsBelow(entries []EpochEntry, offset int64) []EpochEntry {
	i := sort.Search(len(entries), func(i int) bool { return entries[i].Start >= offset })
	return entries[:i]
}

// cutEpochs returns the entries that apply to start..end: those that begin at or after the end go,
// the one in force at the start begins there.
func cutEpochs(entries []EpochEntry, start, end int64) []EpochEntry {
	var out []EpochEntry
	for i, e := range entries {
		if e.Start >= end && e.Start > start || i+1 < len(entries) && entries[i+1].Start <= start {
			continue
		}
		e.Start = max(e.Start, start)
		out = append(out, e)
	}
	return out
}

// Package index is the pebble database of one log directory: where in the segments offsets and
// times are. It serves all partitions of the directory, may be behind or ahead of the segment files
// after a power cut, and may be lost altogether; the files are the truth. So callers verify an
// entry against the batch header it points to, and rebuild a segment's entries when they do not
// fit.
//
// A DB may be used by any goroutine. Writes are not synced; whoever moves a recovery point calls
// Sync before, so that below it no entry comes back that was dropped. When the disk fails, this
// write or a later one returns the error, and so does every one after it.
package index

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync/atomic"

	"zkafka/kafkad/disk"

	"github.com/cockroachdb/pebble/v2"
	"go.uber.org/zap"
)

// ChunkEntries is how many entries are gathered in memory before they become one key.
const ChunkEntries = 256

// DB is an open index.
type DB struct {
	db      *pebble.DB
	log     *zap.Logger
	flat    *flatFS
	damaged atomic.Bool
}

// quiet drops pebble's chatter; its errors come back through the calls. Failing writes are hidden
// from it (see freezer), so what is fatal to it is a broken invariant.
type quiet struct{ log *zap.Logger }

func (q quiet) Infof(string, ...any) {}

func (q quiet) Errorf(format string, args ...any) {
	q.log.Warn("index: " + fmt.Sprintf(format, args...))
}

func (q quiet) Fatalf(format string, args ...any) {
	panic("index: " + fmt.Sprintf(format, args...))
}

// Open opens the index of a log directory. An index that cannot be opened, or is of another
// version, is removed and started afresh: rebuilt says so.
func Open(fs disk.FS, dir string, log *zap.Logger) (d *DB, rebuilt bool, err error) {
	flat, err := newFlatFS(fs, dir)
	if err != nil {
		return nil, false, err
	}
	if _, err = flat.Stat(flat.PathJoin(flat.fake, damagedName)); err == nil {
		err = ErrDamaged
	} else if d, err = open(flat, log); err == nil {
		return d, false, nil
	}
	if fault := flat.fault(); fault != nil { // the index is not to blame
		return nil, false, fmt.Errorf("open index in %s: %w", dir, fault)
	}
	log.Warn("index is unreadable and will be rebuilt from the segments",
		zap.String("dir", dir), zap.Error(err))
	if err := flat.removeFiles(); err != nil {
		return nil, false, fmt.Errorf("remove unreadable index in %s: %w", dir, err)
	}
	d, err = open(flat, log)
	if err != nil {
		return nil, false, fmt.Errorf("open index in %s: %w", dir, err)
	}
	return d, true, nil
}

func open(flat *flatFS, log *zap.Logger) (*DB, error) {
	opts := &pebble.Options{
		FS:                          flat,
		Logger:                      quiet{log},
		CacheSize:                   2 << 20,
		MemTableSize:                1 << 20,
		MemTableStopWritesThreshold: 4,
		MaxOpenFiles:                32,
		FormatMajorVersion:          pebble.FormatNewest,
		DisableTableStats:           true,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 1 },
	}
	opts.EventListener = &pebble.EventListener{
		BackgroundError: func(err error) { log.Warn("index", zap.Error(err)) },
		DataCorruption: func(i pebble.DataCorruptionInfo) { // the default ends the process
			log.Warn("index", zap.String("path", i.Path), zap.Error(i.Details))
		},
	}
	p, err := pebble.Open(flat.fake, opts)
	if err != nil {
		return nil, err
	}
	d := &DB{db: p, log: log, flat: flat}
	if err := errors.Join(d.checkVersion(), flat.fault()); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return d, nil
}

func (d *DB) checkVersion() error {
	v, ok, err := d.get(versionKey)
	if err != nil {
		return err
	}
	if !ok {
		return d.db.Set(versionKey, []byte(version), pebble.NoSync)
	}
	if string(v) != version {
		return fmt.Errorf("index version %q", v)
	}
	return nil
}

func (d *DB) get(key []byte) ([]byte, bool, error) {
	v, closer, err := d.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, d.wrap(err)
	}
	v = bytes.Clone(v)
	return v, true, closer.Close()
}

// Sync makes everything written so far durable.
func (d *DB) Sync() error {
	return errors.Join(d.db.LogData(nil, pebble.Sync), d.flat.fault())
}

// written passes on the outcome of a write, or what has kept an earlier one from the disk.
func (d *DB) written(err error) error {
	if err != nil {
		return err
	}
	return d.flat.fault()
}

// Close closes the index; everything written is durable then.
func (d *DB) Close() error { return errors.Join(d.Sync(), d.db.Close()) }

// Abandon closes the index without syncing, as far as pebble can.
func (d *DB) Abandon() { _ = d.db.Close() }

// Batch gathers writes of many logs into one.
type Batch struct {
	d *DB
	b *pebble.Batch
}

// NewBatch starts a batch.
func (d *DB) NewBatch() *Batch { return &Batch{d, d.db.NewBatch()} }

// Commit writes the batch, unsynced.
func (b *Batch) Commit() error { return b.d.written(b.b.Commit(pebble.NoSync)) }

// Put stores a chunk of entries, in order; before is the position of the entry before the first, 0
// if none.
func (b *Batch) Put(l Log, base, before int64, entries []Entry) error {
	if len(entries) == 0 {
		return nil
	}
	first, last := entries[0], entries[len(entries)-1]
	value := encodeChunk(make([]byte, 0, 16+6*len(entries)), base, before, entries)
	if err := b.b.Set(l.chunk(base, first.Offset), value, nil); err != nil {
		return err
	}
	return b.b.Set(l.time(base, last.MaxTimestamp, first.Offset), nil, nil)
}

// PutSummary stores a segment's summary.
func (b *Batch) PutSummary(l Log, base int64, s Summary) error {
	return b.b.Set(l.summary(base), s.encode(nil), nil)
}

// DropSegment removes all keys of a segment.
func (b *Batch) DropSegment(l Log, base int64) error {
	k := l.segment(base)
	return b.d.deleteRange(b.b, k, after(k))
}

// Put stores one chunk by itself.
func (d *DB) Put(l Log, base, before int64, entries []Entry) error {
	b := d.NewBatch()
	if err := b.Put(l, base, before, entries); err != nil {
		return err
	}
	return b.Commit()
}

// deleteRange removes the keys from low to high. A few are removed one by one, none cost nothing:
// every range tombstone makes all iterators dearer, and a start after a crash would leave one for
// each partition.
func (d *DB) deleteRange(b *pebble.Batch, low, high []byte) (err error) {
	const few = 32
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: high})
	if err != nil {
		return err
	}
	defer func() {
		if err = d.finish(it, err); errors.Is(err, ErrDamaged) {
			err = b.DeleteRange(low, high, nil) // unseen
		}
	}()
	var keys [][]byte
	for valid := it.First(); valid; valid = it.Next() {
		if len(keys) == few {
			return b.DeleteRange(low, high, nil)
		}
		keys = append(keys, bytes.Clone(it.Key()))
	}
	for _, k := range keys {
		if err := b.Delete(k, nil); err != nil {
			return err
		}
	}
	return nil
}

// Summary returns a segment's summary.
func (d *DB) Summary(l Log, base int64) (s Summary, ok bool, err error) {
	v, ok, err := d.get(l.summary(base))
	if err != nil || !ok {
		return s, false, err
	}
	ok = s.decode(v)
	return s, ok, nil
}

// DropLog removes all keys of a partition.
func (d *DB) DropLog(l Log) error {
	b := d.db.NewBatch()
	if err := d.deleteRange(b, l, after(l)); err != nil {
		return errors.Join(err, b.Close())
	}
	return d.written(b.Commit(pebble.NoSync))
}

// Has says whether a partition has any key.
func (d *DB) Has(l Log) (bool, error) {
	it, err := d.db.NewIter(&pebble.IterOptions{LowerBound: l, UpperBound: after(l)})
	if err != nil {
		return false, err
	}
	found := it.First()
	return found, d.finish(it, nil)
}

// DropFrom removes all entries of a partition at or above the offset, which lies in the segment,
// and the summaries of the segments they were in.
func (d *DB) DropFrom(l Log, base, offset int64) error {
	b := d.db.NewBatch()
	if err := d.deleteRange(b, l.segment(base+1), after(l)); err != nil {
		return errors.Join(err, b.Close())
	}
	if err := b.Delete(l.summary(base), nil); err != nil {
		return err
	}
	err := d.chunks(l, base, offset, func(first, before int64, entries []Entry) error {
		last := entries[len(entries)-1]
		if last.Offset < offset {
			return nil
		}
		if err := b.Delete(l.chunk(base, first), nil); err != nil {
			return err
		}
		if err := b.Delete(l.time(base, last.MaxTimestamp, first), nil); err != nil {
			return err
		}
		n := sort.Search(len(entries), func(i int) bool { return entries[i].Offset >= offset })
		return (&Batch{d, b}).Put(l, base, before, entries[:n])
	})
	if errors.Is(err, ErrDamaged) {
		err = b.DeleteRange(l.segment(base), after(l), nil)
	}
	if err != nil {
		return errors.Join(err, b.Close())
	}
	return d.written(b.Commit(pebble.NoSync))
}

// chunks calls fn for the chunk that may hold the offset and all later ones of the segment.
func (d *DB) chunks(l Log, base, from int64,
	fn func(first, before int64, entries []Entry) error) (err error) {
	it, err := d.iter(l, base, kindChunk)
	if err != nil {
		return err
	}
	defer func() { err = d.finish(it, err) }()
	valid := it.SeekLT(l.chunk(base, from+1))
	if !valid {
		valid = it.First()
	}
	for ; valid; valid = it.Next() {
		first, before, entries, err := read(it, base)
		if err != nil {
			return err
		}
		if err := fn(first, before, entries); err != nil {
			return err
		}
	}
	return nil
}

func (d *DB) iter(l Log, base int64, kind byte) (*pebble.Iterator, error) {
	low := append(l.segment(base), kind)
	return d.db.NewIter(&pebble.IterOptions{LowerBound: low, UpperBound: after(low)})
}

// DropSegment removes all keys of a segment.
func (d *DB) DropSegment(l Log, base int64) error {
	b := d.NewBatch()
	if err := b.DropSegment(l, base); err != nil {
		return err
	}
	return b.Commit()
}

// ErrDamaged is what a lookup yields that meets a value or a table it cannot read. The segment's
// index should be rebuilt; if pebble's own files are at fault the next Open starts with an empty
// index.
var ErrDamaged = errors.New("index is damaged")

// damagedName is the file that tells the next Open to start afresh.
const damagedName = "damaged"

// wrap turns pebble's corruption errors into ErrDamaged.
func (d *DB) wrap(err error) error {
	if err == nil || !pebble.IsCorruptionError(err) {
		return err
	}
	if !d.damaged.Swap(true) {
		d.log.Warn("index is damaged and will be rebuilt at the next start", zap.Error(err))
		f, err := d.flat.Create(d.flat.PathJoin(d.flat.fake, damagedName), disk.Category)
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			d.log.Warn("mark damaged index", zap.Error(err))
		}
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// finish closes an iterator; pebble repeats an iterator's error at Close.
func (d *DB) finish(it *pebble.Iterator, err error) error {
	closeErr := it.Close()
	if err == nil {
		err = closeErr
	}
	return d.wrap(err)
}

func read(it *pebble.Iterator, base int64) (first, before int64, entries []Entry, err error) {
	v, err := it.ValueAndErr()
	if err != nil {
		return 0, 0, nil, err
	}
	k := it.Key()
	before, entries, ok := decodeChunk(v, base)
	if !ok || len(k) < 8 {
		return 0, 0, nil, ErrDamaged
	}
	return int64(binary.BigEndian.Uint64(k[len(k)-8:])), before, entries, nil
}

// FindOffset returns the last entry of the segment whose offset is <= the given one.
func (d *DB) FindOffset(l Log, base, offset int64) (e Entry, ok bool, err error) {
	it, err := d.iter(l, base, kindChunk)
	if err != nil {
		return e, false, err
	}
	defer func() { err = d.finish(it, err) }()
	if !it.SeekLT(l.chunk(base, offset+1)) {
		return e, false, nil
	}
	_, _, entries, err := read(it, base)
	if err != nil {
		return e, false, err
	}
	e, ok = FloorOffset(entries, offset)
	return e, ok, nil
}

// Last returns the last entry of the segment.
func (d *DB) Last(l Log, base int64) (Entry, bool, error) {
	return d.FindOffset(l, base, 1<<62)
}

// Locate returns the last entry of the segment whose offset is <= the given one, and as edge the
// last entry that is at most room bytes behind it (itself if there is none). It does not
// materialise the chunks it looks at.
func (d *DB) Locate(l Log, base, offset, room int64) (e, edge Entry, ok bool, err error) {
	it, err := d.iter(l, base, kindChunk)
	if err != nil {
		return e, edge, false, err
	}
	defer func() { err = d.finish(it, err) }()
	first := true
	for valid := it.SeekLT(l.chunk(base, offset+1)); valid; valid = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return e, edge, false, err
		}
		more, good := walkChunk(v, base, func(x Entry) bool {
			if first && x.Offset <= offset {
				e, edge, ok = x, x, true
				return true
			}
			if !ok || x.Position > e.Position+room {
				return false
			}
			edge = x
			return true
		})
		if !good {
			return e, edge, false, ErrDamaged
		}
		first = false
		if !more {
			break
		}
	}
	return e, edge, ok, nil
}

// FindTime returns the position from which to scan for the first record with a timestamp >= ts:
// that of the entry before the first one that says there is such a record. ok is false if no entry
// does.
func (d *DB) FindTime(l Log, base, ts int64) (position int64, ok bool, err error) {
	it, err := d.iter(l, base, kindTime)
	if err != nil {
		return 0, false, err
	}
	defer func() { err = d.finish(it, err) }()
	if !it.SeekGE(l.time(base, ts, 0)) {
		return 0, false, nil
	}
	k := it.Key()
	first := int64(binary.BigEndian.Uint64(k[len(k)-8:]))
	v, ok, err := d.get(l.chunk(base, first))
	if err != nil || !ok {
		return 0, false, err
	}
	before, entries, ok := decodeChunk(v, base)
	if !ok {
		return 0, false, ErrDamaged
	}
	i := firstAtTime(entries, ts)
	if i == 0 {
		return before, true, nil
	}
	return entries[i-1].Position, true, nil
}

func firstAtTime(entries []Entry, ts int64) int {
	return sort.Search(len(entries), func(i int) bool { return entries[i].MaxTimestamp >= ts })
}

// FloorOffset returns the last of the entries whose offset is <= the given one.
func FloorOffset(entries []Entry, offset int64) (Entry, bool) {
	i := sort.Search(len(entries), func(i int) bool { return entries[i].Offset > offset })
	if i == 0 {
		return Entry{}, false
	}
	return entries[i-1], true
}

// FloorPosition returns the last of the entries at or before the position.
func FloorPosition(entries []Entry, position int64) (Entry, bool) {
	i, found := slices.BinarySearchFunc(entries, position, func(e Entry, p int64) int {
		return int(min(max(e.Position-p, -1), 1))
	})
	if found {
		return entries[i], true
	}
	if i == 0 {
		return Entry{}, false
	}
	return entries[i-1], true
}

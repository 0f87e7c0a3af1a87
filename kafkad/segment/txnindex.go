package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"zkafka/kafkad/disk"
)

// TxnIndexSuffix is the suffix of the file that lists a segment's aborted transactions.
const TxnIndexSuffix = ".txnindex"

// Aborted is an aborted transaction whose marker lies in the segment. Its file entry is Kafka's
// own, big-endian:
//
//	 0    2           10            18           26            34
//	┌────┬───────────┬─────────────┬────────────┬─────────────┐
//	│ 0  │ producer  │ first       │ offset of  │ last stable │
//	│    │ id i64    │ offset i64  │ marker i64 │ offset i64  │
//	└────┴───────────┴─────────────┴────────────┴─────────────┘
type Aborted struct {
	ProducerID int64
	First      int64
	Marker     int64
	LastStable int64 // when the marker was written: below it nothing was open but this one
}

const abortedSize = 34

func (a *Aborted) encode(dst []byte) []byte {
	be := binary.BigEndian
	dst = be.AppendUint16(dst, 0)
	dst = be.AppendUint64(dst, uint64(a.ProducerID))
	dst = be.AppendUint64(dst, uint64(a.First))
	dst = be.AppendUint64(dst, uint64(a.Marker))
	return be.AppendUint64(dst, uint64(a.LastStable))
}

func (a *Aborted) decode(b []byte) (version uint16) {
	be := binary.BigEndian
	*a = Aborted{int64(be.Uint64(b[2:])), int64(be.Uint64(b[10:])), int64(be.Uint64(b[18:])),
		int64(be.Uint64(b[26:]))}
	return be.Uint16(b)
}

// TxnIndex is the .txnindex file of a segment, made with the first entry. Markers rise from entry
// to entry; a new entry shows once it is written. Load, Append, Replace, Truncate, Trim and Remove
// are the segment's writer's; the rest is for anybody who holds a reference to the segment.
type TxnIndex struct {
	fs   disk.FS
	path string

	n      atomic.Int64 // entries
	last   atomic.Int64 // marker of the last one
	synced atomic.Bool  // nothing was written since the last sync
	torn   bool         // a failed write may have left bytes behind the last entry

	mu   sync.Mutex // serialises opening and closing
	file atomic.Pointer[handle]
}

func (x *TxnIndex) init(fs disk.FS, dir string, base int64) {
	x.fs, x.path = fs, fs.PathJoin(dir, Name(base, TxnIndexSuffix))
	x.last.Store(-1)
	x.synced.Store(true)
}

// Path is the file's path.
func (x *TxnIndex) Path() string { return x.path }

// Len is the number of entries.
func (x *TxnIndex) Len() int64 { return x.n.Load() }

// Last is the offset of the last aborted transaction's marker, -1 without entries.
func (x *TxnIndex) Last() int64 { return x.last.Load() }

func (x *TxnIndex) open(flag disk.Flag) (disk.File, error) {
	if h := x.file.Load(); h != nil {
		return h.File, nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if h := x.file.Load(); h != nil {
		return h.File, nil
	}
	f, err := x.fs.OpenFile(x.path, flag)
	if err != nil {
		return nil, err
	}
	x.file.Store(&handle{f})
	return f, nil
}

func (x *TxnIndex) close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.file.Swap(nil)
	if h == nil {
		return nil
	}
	return h.Close()
}

// Load reads the file of a segment that holds offsets from base to below end. whole is false if it
// is not a list of such entries, which then counts as empty. A missing file has no entries.
func (x *TxnIndex) Load(base, end int64) (whole bool, err error) {
	f, err := x.open(disk.ReadWrite)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, x.close()) }() // most are never asked again
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if info.Size()%abortedSize != 0 {
		return false, nil
	}
	n, last := info.Size()/abortedSize, Aborted{Marker: base - 1}
	whole = true
	err = x.scan(0, n, func(version uint16, a Aborted) bool {
		whole = version == 0 && a.ProducerID >= 0 && a.Marker > last.Marker && a.Marker < end &&
			a.First >= 0 && a.First < a.Marker && a.LastStable >= 0 && a.LastStable <= a.Marker+1
		last = a
		return whole
	})
	if err != nil || !whole || n == 0 {
		return whole, err
	}
	x.last.Store(last.Marker)
	x.n.Store(n)
	return true, nil
}

// scan calls fn for the entries from number i on, until it returns false or number n is reached.
func (x *TxnIndex) scan(i, n int64, fn func(version uint16, a Aborted) bool) error {
	f, err := x.open(disk.ReadWrite)
	if err != nil {
		return err
	}
	buf := windows.Get().(*[window]byte)
	defer windows.Put(buf)
	for i < n {
		some := buf[:min(n-i, window/abortedSize)*abortedSize]
		if m, err := f.ReadAt(some, i*abortedSize); m < len(some) {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		for ; len(some) > 0; some = some[abortedSize:] {
			var a Aborted
			if version := a.decode(some); !fn(version, a) {
				return nil
			}
			i++
		}
	}
	return nil
}

// Append adds entries behind the others. created says that the file is new: its name is the
// caller's to make durable. On error no entry was added.
func (x *TxnIndex) Append(list []Aborted) (created bool, err error) {
	n := x.n.Load()
	f, err := x.open(disk.Create)
	if err != nil {
		return false, err
	}
	if n == 0 { // what somebody may have left under this name
		if err := disk.Empty(f); err != nil {
			return false, err
		}
	}
	b := make([]byte, 0, len(list)*abortedSize)
	for i := range list {
		b = list[i].encode(b)
	}
	x.torn = true
	if _, err := f.WriteAt(b, n*abortedSize); err != nil {
		return n == 0, err
	}
	x.torn = false
	x.synced.Store(false)
	x.last.Store(list[len(list)-1].Marker)
	x.n.Store(n + int64(len(list)))
	return n == 0, nil
}

// Replace makes the file hold just these entries, durably but for its name; changed is false if it
// does already. Nobody may be reading.
func (x *TxnIndex) Replace(list []Aborted) (changed bool, err error) {
	if err := x.close(); err != nil {
		return false, err
	}
	if len(list) == 0 {
		changed, err = x.remove()
	} else if changed, err = x.differs(list); err == nil && changed {
		err = x.rewrite(list)
	}
	if err != nil {
		return changed, err
	}
	last := int64(-1)
	if len(list) > 0 {
		last = list[len(list)-1].Marker
	}
	x.torn = false
	x.last.Store(last)
	x.n.Store(int64(len(list)))
	return changed, nil
}

func (x *TxnIndex) remove() (was bool, err error) {
	if err = x.fs.Remove(x.path); errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return true, err
}

// differs compares the file with the list.
func (x *TxnIndex) differs(list []Aborted) (bool, error) {
	info, err := x.fs.Stat(x.path)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil || info.Size() != int64(len(list))*abortedSize {
		return true, err
	}
	i, same := 0, true
	err = x.scan(0, int64(len(list)), func(version uint16, a Aborted) bool {
		same = version == 0 && a == list[i]
		i++
		return same
	})
	return !same, err
}

// rewrite puts another file in place of this one. An Apache broker that meets the one before or the
// one after, never a part, needs no sign that something was under way.
func (x *TxnIndex) rewrite(list []Aborted) error {
	if err := x.close(); err != nil {
		return err
	}
	tmp := x.path + ".tmp"
	f, err := x.fs.OpenFile(tmp, disk.Create)
	if err != nil {
		return err
	}
	var b []byte
	for i := range list {
		b = list[i].encode(b)
	}
	if err = disk.Empty(f); err == nil {
		_, err = f.WriteAt(b, 0)
	}
	if err == nil {
		err = f.SyncData()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return x.fs.Rename(tmp, x.path)
}

// Truncate drops the entries whose marker is at or above the offset, durably.
func (x *TxnIndex) Truncate(offset int64) error {
	if x.Last() < offset && !x.torn {
		return nil
	}
	keep, err := x.search(offset)
	if err != nil {
		return err
	}
	last := int64(-1)
	if keep > 0 {
		err = x.scan(keep-1, keep, func(_ uint16, a Aborted) bool {
			last = a.Marker
			return true
		})
		if err != nil {
			return err
		}
	}
	x.n.Store(keep)
	x.last.Store(last)
	x.torn = true
	if err := x.Trim(); err != nil {
		return err
	}
	x.synced.Store(false)
	return x.Sync()
}

// Trim cuts what a failed Append may have left.
func (x *TxnIndex) Trim() error {
	if !x.torn {
		return nil
	}
	f, err := x.open(disk.ReadWrite)
	if err == nil {
		err = f.Truncate(x.n.Load() * abortedSize)
	}
	if err == nil || errors.Is(err, os.ErrNotExist) {
		x.torn = false
		return nil
	}
	return err
}

// Sync makes the entries durable; the directory entry is the caller's business.
func (x *TxnIndex) Sync() error {
	if x.synced.Swap(true) {
		return nil
	}
	f, err := x.open(disk.ReadWrite)
	if err != nil {
		return err
	}
	return f.SyncData()
}

// Remove unlinks the file. Those who hold a reference to the segment can go on reading.
func (x *TxnIndex) Remove() error {
	if x.Len() > 0 {
		if _, err := x.open(disk.ReadWrite); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	_, err := x.remove()
	return err
}

// search returns the number of entries whose marker is below the offset.
func (x *TxnIndex) search(offset int64) (int64, error) {
	low, high := int64(0), x.n.Load()
	for high-low > window/abortedSize { // what one read brings is not worth a search
		middle := low + (high-low)/2
		err := x.scan(middle, middle+1, func(_ uint16, a Aborted) bool {
			if a.Marker < offset {
				low = middle + 1
			} else {
				high = middle
			}
			return true
		})
		if err != nil {
			return 0, err
		}
	}
	n := low
	err := x.scan(low, high, func(_ uint16, a Aborted) bool {
		if a.Marker < offset {
			n++
		}
		return a.Marker < offset
	})
	return n, err
}

// Collect calls fn for the transactions with records or their marker at or above from and their
// first record below upTo. done says that no later segment has more of them.
func (x *TxnIndex) Collect(from, upTo int64, fn func(a Aborted)) (done bool, err error) {
	if x.Last() < from {
		return false, nil
	}
	n := x.Len()
	i, err := x.search(from)
	if err == nil {
		err = x.scan(i, n, func(_ uint16, a Aborted) bool {
			if a.First < upTo {
				fn(a)
			}
			done = a.LastStable >= upTo
			return !done
		})
	}
	if err != nil && x.Len() >= n { // else it was cut meanwhile
		return false, fmt.Errorf("read %s: %w", x.path, err)
	}
	return done, nil
}

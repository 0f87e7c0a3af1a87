package snapshot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path/filepath"
	"strings"
	"time"

	"zkafka/zkd/disk"
	"zkafka/zkd/proto"
	"zkafka/zkd/tree"
	"zkafka/zkd/txnlog"
)

// RecoverOptions of Recover; the zero value is upstream's default.
type RecoverOptions struct {
	// TrustEmpty lets a server start from logs alone (snapshot.trust.empty), which releases
	// before 3.5 left behind when they never took a snapshot.
	TrustEmpty bool
	// NoCreateDirs refuses a missing version-2 directory (zookeeper.datadir.autocreate=false).
	NoCreateDirs bool
	// Progress is called now and then with the zxid reached and the number of transactions
	// replayed.
	Progress func(zxid int64, txns int)
}

// Info is what Recover has done.
type Info struct {
	SnapDir string // dataDir/version-2
	LogDir  string // dataLogDir/version-2

	Snapshot     string // file the tree was read from, "" for none
	SnapshotZxid int64
	Skipped      []error // why newer snapshots could not be used
	Unusable     []FileInfo
	Txns         int // replayed
	Gaps         int // places where zxids within an epoch are missing
	FirstGap     Gap
	LastZxid     int64
	Healed       []txnlog.Healed // unfinished writes that were cut off
	Orphans      int             // ephemerals of sessions that are gone, deleted
	Mismatches   int64           // digests in snapshot and log that were not the tree's
	// AwaitedDigest is not 0 when the log ends before the snapshot does: transactions up to it
	// had been applied, but perhaps never acknowledged, when the snapshot was written.
	AwaitedDigest int64
	Load, Replay  time.Duration
}

// Gap is a place where transactions are missing, in front of a file or within it.
type Gap struct {
	File     string
	From, To int64 // zxids of the first and the last that are missing
}

// ErrNoSnapshot is the cause when there are logs and no snapshot.
var ErrNoSnapshot = errors.New("there is a transaction log but no snapshot")

// Recover builds the tree of the last run from the newest snapshot that can be used and the
// transactions behind it. dataDir and logDir are the directories of the configuration, without
// version-2; logDir may be empty for the same as dataDir. Torn tails are cut off. A directory
// without any file gives the tree of an empty database.
//
// The tree is made of what the disk has, whatever an earlier run has left in the cache: the caller
// may build on it.
//
// The caller holds the lock of the directories (LockDirs).
func Recover(fsys disk.FS, dataDir, logDir string, o RecoverOptions) (*tree.Tree, Info, error) {
	info, err := prepare(fsys, dataDir, logDir, o)
	if err != nil {
		return nil, info, err
	}
	if info.Healed, err = txnlog.Heal(fsys, info.LogDir); err != nil {
		return nil, info, err
	}
	files, err := Files(fsys, info.SnapDir)
	if err != nil {
		return nil, info, err
	}
	if len(files) == 0 {
		return recoverEmpty(fsys, info, o)
	}
	for _, file := range files {
		t, err := load(fsys, &info, file, o)
		if err == nil {
			return t, info, info.reachesSkipped()
		}
		var log *replayError
		if errors.As(err, &log) {
			return nil, info, log.err
		}
		info.Skipped = append(info.Skipped, err)
		info.Unusable = append(info.Unusable, file)
	}
	return nil, info, fmt.Errorf("none of the %d snapshots in %s can be used; put back a whole "+
		"copy of one of them: %w", len(files), info.SnapDir, errors.Join(info.Skipped...))
}

// reachesSkipped makes sure that what was recovered goes as far as the snapshots that were passed
// over. A server takes a snapshot of what is in its log, so a log that ends before one has lost its
// end, and with it transactions that were acknowledged.
func (i *Info) reachesSkipped() error {
	s, ok := i.skippedBetween(i.LastZxid, math.MaxInt64)
	if !ok {
		return nil
	}
	return fmt.Errorf("transactions 0x%x to 0x%x are missing: the log does not have them, and the "+
		"snapshot that does cannot be used. Way out: %s: %w", i.LastZxid+1, s.Zxid, i.wayOut(),
		errors.Join(i.Skipped...))
}

// skippedBetween returns the newest snapshot that was passed over and has the transactions behind
// one zxid and before another.
func (i *Info) skippedBetween(last, next int64) (FileInfo, bool) {
	for _, s := range i.Unusable {
		// A leader begins with a snapshot of its epoch, before the epoch's first transaction.
		if s.Zxid > last && s.Zxid < next && uint32(s.Zxid) != 0 {
			return s, true
		}
	}
	return FileInfo{}, false
}

// wayOut is what an operator can do about snapshots that were passed over.
func (i *Info) wayOut() string {
	var names []string
	for _, s := range i.Unusable {
		names = append(names, filepath.Join(i.SnapDir, s.Name))
	}
	return "put back the missing log files or a whole copy of the snapshot; or give these " +
		"transactions up and move the damaged snapshots out of the directory: " +
		strings.Join(names, " ")
}

// replayError is a failure that no older snapshot can help.
type replayError struct{ err error }

func (e *replayError) Error() string { return e.err.Error() }

// prepare makes and checks the two directories.
func prepare(fsys disk.FS, dataDir, logDir string, o RecoverOptions) (Info, error) {
	if logDir == "" {
		logDir = dataDir
	}
	info := Info{
		SnapDir: filepath.Join(dataDir, VersionDir),
		LogDir:  filepath.Join(logDir, VersionDir),
	}
	for _, dir := range []string{info.SnapDir, info.LogDir} {
		st, err := fsys.Stat(dir)
		switch {
		case err == nil && !st.Dir:
			return info, fmt.Errorf("%s is not a directory", dir)
		case err == nil:
			continue
		case !errors.Is(err, fs.ErrNotExist):
			return info, fmt.Errorf("look for the data directory: %w", err)
		case o.NoCreateDirs:
			return info, fmt.Errorf("%s is missing and is not to be created "+
				"(zookeeper.datadir.autocreate is false)", dir)
		}
		if err := fsys.MkdirAll(dir); err != nil {
			return info, fmt.Errorf("create the data directory: %w", err)
		}
	}
	if err := removeTemps(fsys, info.SnapDir); err != nil {
		return info, err
	}
	if err := settleNames(fsys, &info); err != nil {
		return info, err
	}
	if info.SnapDir == info.LogDir {
		return info, nil
	}
	snaps, err := Files(fsys, info.LogDir)
	if err != nil {
		return info, err
	}
	if len(snaps) > 0 {
		return info, fmt.Errorf("the log directory %s has snapshots (%s): check dataDir and "+
			"dataLogDir", info.LogDir, snaps[0].Name)
	}
	logs, err := txnlog.Files(fsys, info.SnapDir)
	if err != nil {
		return info, err
	}
	if len(logs) > 0 {
		return info, fmt.Errorf("the snapshot directory %s has transaction logs (%s): check "+
			"dataDir and dataLogDir", info.SnapDir, logs[0].Name)
	}
	return info, nil
}

// settleNames makes durable what names the directories show: a run that was killed may have left
// files, or made the directories themselves, without a sync.
func settleNames(fsys disk.FS, info *Info) error {
	done := map[string]bool{}
	for _, dir := range []string{info.SnapDir, info.LogDir} {
		for _, d := range []string{dir, filepath.Dir(dir)} {
			if done[d] {
				continue
			}
			if err := fsys.SyncDir(d); err != nil {
				return fmt.Errorf("make the names in the data directory durable: %w", err)
			}
			done[d] = true
		}
	}
	return nil
}

// recoverEmpty starts without a snapshot.
func recoverEmpty(fsys disk.FS, info Info, o RecoverOptions) (*tree.Tree, Info, error) {
	r, err := txnlog.ReadFrom(fsys, info.LogDir, 0)
	if err != nil {
		return nil, info, err
	}
	_, err = r.Next()
	r.Close()
	switch {
	case errors.Is(err, io.EOF):
		// The empty snapshot at once: with it, a later start can tell an empty database from
		// one whose snapshots are gone.
		t := tree.New()
		t.EndReplay()
		info.Snapshot, _, err = Save(fsys, info.SnapDir, t)
		return t, info, err
	case err != nil:
		return nil, info, err
	case !o.TrustEmpty:
		return nil, info, fmt.Errorf("%w: %s has log files and %s has no snapshot, so data may be "+
			"missing; if this server was upgraded from 3.4, start it once with "+
			"snapshot.trust.empty=true", ErrNoSnapshot, info.LogDir, info.SnapDir)
	}
	t := tree.New()
	if err := replay(fsys, &info, t, o); err != nil {
		return nil, info, err
	}
	info.Orphans = t.EndReplay()
	info.Snapshot, _, err = Save(fsys, info.SnapDir, t)
	return t, info, err
}

// load reads one snapshot and replays what comes behind it.
func load(fsys disk.FS, info *Info, file FileInfo, o RecoverOptions) (*tree.Tree, error) {
	path := filepath.Join(info.SnapDir, file.Name)
	start := time.Now()
	t, err := Read(fsys, path, file.Codec)
	if err != nil {
		return nil, err
	}
	info.Load = time.Since(start)
	t.BeginReplay(file.Zxid)
	if err := replay(fsys, info, t, o); err != nil {
		return nil, &replayError{err}
	}
	// A node that was created while the snapshot was written may have an ACL that is only in
	// the log. When the log does not have it either, an older snapshot may do better.
	if n := t.MissingACLs(); n > 0 {
		return nil, &CorruptError{File: path, Reason: fmt.Sprintf("%d nodes have an ACL that "+
			"is neither in the snapshot nor in the log behind it", n)}
	}
	info.Snapshot, info.SnapshotZxid = path, file.Zxid
	info.Orphans = t.EndReplay()
	return t, nil
}

// replay applies the transactions behind the tree's last one.
func replay(fsys disk.FS, info *Info, t *tree.Tree, o RecoverOptions) error {
	const progressStep = 10000
	start := time.Now()
	r, err := txnlog.ReadFrom(fsys, info.LogDir, t.LastZxid()+1)
	if err != nil {
		return err
	}
	defer r.Close()
	info.Txns, info.Gaps, info.FirstGap = 0, 0, Gap{}
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		txn, err := proto.DecodeTxn(rec.Data)
		if err != nil {
			return &txnlog.CorruptError{File: rec.File, Offset: rec.Offset, Reason: err.Error(),
				Way: fmt.Sprintf("start the server that wrote it, if that is a newer one; or keep a "+
					"copy of the file, give up the transactions from 0x%x on that are in it, and "+
					"run: truncate -s %d %s", rec.Zxid, rec.Offset, rec.File)}
		}
		if err := checkGap(info, t.LastZxid(), rec); err != nil {
			return err
		}
		t.Apply(txn)
		info.Txns++
		if o.Progress != nil && info.Txns%progressStep == 0 {
			o.Progress(rec.Zxid, info.Txns)
		}
	}
	info.LastZxid = t.LastZxid()
	info.Mismatches = t.DigestMismatches()
	info.AwaitedDigest = t.AwaitedDigest()
	info.Replay = time.Since(start)
	return nil
}

// checkGap looks for transactions that are missing between two of the same epoch. No server leaves
// such a gap in what it acknowledged, but one that came up from a snapshot ahead of its log has one
// in front of that snapshot: then an older snapshot, which needs what is missing, must not be used.
func checkGap(info *Info, last int64, rec txnlog.Record) error {
	if rec.Zxid <= last+1 {
		return nil
	}
	to := rec.Zxid - 1
	if rec.Zxid>>32 != last>>32 {
		s, ok := info.skippedBetween(last, rec.Zxid)
		if !ok {
			return nil
		}
		to = s.Zxid
	} else if info.Gaps++; info.Gaps == 1 {
		info.FirstGap = Gap{File: rec.File, From: last + 1, To: to}
	}
	if len(info.Skipped) == 0 {
		return nil
	}
	return &txnlog.CorruptError{File: rec.File, Offset: rec.Offset, Reason: fmt.Sprintf(
		"transactions 0x%x to 0x%x are missing, and the newer snapshot that has them "+
			"cannot be used (%v)", last+1, to, errors.Join(info.Skipped...)), Way: info.wayOut()}
}

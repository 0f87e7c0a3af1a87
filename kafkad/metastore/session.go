package metastore

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"go.uber.org/zap"

	"zkafka/zkd/client"
)

// A broker's registration is an ephemeral node: it outlives the process by the session timeout,
// and for that long partitions have no leader and a restarted broker no place. So the store keeps
// the id and password of its session in a file. Whoever holds the log dir's lock, on the same
// machine, may attach to that session and close it: the next start of the broker (reclaim), or a
// fence command that the service manager runs after the process died (Fence).

// sessionFile is the file's content.
type sessionFile struct {
	Version   int    `json:"version"`
	Session   string `json:"session"` // hexadecimal
	Password  string `json:"password"`
	MachineID string `json:"machine_id"`
	Connect   string `json:"connect"`
}

// attachTimeout bounds how long closing an old session may take. Failing is not dangerous: the
// session then ends by its own timeout.
const attachTimeout = 10 * time.Second

// saveSession writes the file durably under its final name.
func saveSession(path string, f sessionFile) error {
	if path == "" {
		return nil
	}
	b, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("encoding the session file: %w", err)
	}
	tmp := path + ".tmp"
	w, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("writing the session file: %w", err)
	}
	_, err = w.Write(append(b, '\n'))
	err = errors.Join(err, w.Sync(), w.Close())
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return fmt.Errorf("writing the session file: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("syncing %s: %w", path, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("syncing %s: %w", path, err)
	}
	return nil
}

// loadSession reads the file; ok is false if there is none that this machine may use.
func loadSession(path, machineID string) (id int64, password []byte, ok bool) {
	if path == "" {
		return 0, nil, false
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, nil, false
	}
	var f sessionFile
	if json.Unmarshal(b, &f) != nil || f.Version != 1 || f.MachineID != machineID {
		return 0, nil, false
	}
	u, err := strconv.ParseUint(f.Session, 0, 64)
	if err != nil {
		return 0, nil, false
	}
	if password, err = base64.StdEncoding.DecodeString(f.Password); err != nil {
		return 0, nil, false
	}
	return int64(u), password, true
}

// closeSession attaches to a session of an earlier process and ends it. It reports whether there
// was one left to end.
func closeSession(
	ctx context.Context, opts client.Options, id int64, password []byte,
) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, attachTimeout)
	defer cancel()
	opts.SessionID, opts.Password, opts.OnState = id, password, nil
	c, err := client.Dial(context.WithoutCancel(ctx), opts)
	if err != nil {
		return false, err
	}
	if err := c.Wait(ctx); err != nil {
		c.Abandon()
		if errors.Is(err, client.ErrSessionExpired) {
			return false, nil
		}
		return false, fmt.Errorf("attaching to session %#x: %w", uint64(id), err)
	}
	if err := c.Close(ctx); err != nil {
		return false, fmt.Errorf("closing session %#x: %w", uint64(id), err)
	}
	return true, nil
}

// reclaim ends the session that an earlier process of this broker left behind.
func (s *Store) reclaim(ctx context.Context) {
	id, password, ok := loadSession(s.opts.SessionFile, s.opts.MachineID)
	if !ok {
		return
	}
	if mine, _, _ := s.zk().Session(); id == mine {
		return
	}
	closed, err := closeSession(ctx, s.clientOptions(), id, password)
	switch {
	case err != nil:
		s.log.Warn("could not close the session of the previous process; "+
			"its registration stays until the session times out",
			zap.String("SESSION", sessionText(id)), zap.Error(err))
	case closed:
		s.log.Info("closed the session of the previous process",
			zap.String("SESSION", sessionText(id)))
	}
}

// keepSession records the present session for reclaim and Fence.
func (s *Store) keepSession() {
	id, password, _ := s.zk().Session()
	err := saveSession(s.opts.SessionFile, sessionFile{
		Version: 1, Session: sessionText(id), MachineID: s.opts.MachineID,
		Password: base64.StdEncoding.EncodeToString(password), Connect: s.opts.Connect,
	})
	if err != nil {
		// The broker works without it; only a restart after a crash takes longer.
		s.log.Warn("cannot keep the ZooKeeper session for a restart", zap.Error(err))
	}
}

func sessionText(id int64) string { return fmt.Sprintf("%#x", uint64(id)) }

// FenceOptions name what Fence needs.
type FenceOptions struct {
	Connect        string // zookeeper.connect
	SessionFile    string
	MachineID      string
	SessionTimeout time.Duration
	Log            *zap.Logger
}

// Fence closes the session that a dead broker process left behind, so that its registration goes
// at once and the controller moves its leaders. The caller must hold the lock of the log dir the
// file lies in: that is the proof that the process is dead. It reports whether there was a
// session to close; without a file, or with one of another machine, there is nothing to do.
func Fence(ctx context.Context, o FenceOptions) (bool, error) {
	id, password, ok := loadSession(o.SessionFile, o.MachineID)
	if !ok {
		return false, nil
	}
	servers, chroot, err := client.ParseServers(o.Connect)
	if err != nil {
		return false, fmt.Errorf("reading zookeeper.connect: %w", err)
	}
	closed, err := closeSession(ctx, client.Options{
		Servers: servers, Chroot: chroot, SessionTimeout: orDefault(o.SessionTimeout), Log: o.Log,
	}, id, password)
	if err != nil {
		return false, err
	}
	if err := os.Remove(o.SessionFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return closed, fmt.Errorf("removing the session file: %w", err)
	}
	return closed, nil
}

func orDefault(d time.Duration) time.Duration {
	if d <= 0 {
		return 18 * time.Second
	}
	return d
}

// forgetSession removes the file after the session was closed properly.
func forgetSession(path string) error {
	if path == "" {
		return nil
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing the session file: %w", err)
	}
	return nil
}

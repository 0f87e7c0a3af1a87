package host_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"zkafka/zkd/disk"
	"zkafka/zkd/host"
	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
	"zkafka/zkd/replica"
	"zkafka/zkd/snapshot"
	"zkafka/zkd/txnlog"
)

func open(t *testing.T, fs disk.FS, o host.Options) *host.Host {
	t.Helper()
	o.FS, o.DataDir, o.PreallocBytes = fs, "/data", -1
	h, err := host.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestRestart: nodes, ephemerals of living sessions and the sessions themselves outlive a restart.
func TestRestart(t *testing.T) {
	fs := disk.NewMem()
	h := open(t, fs, host.Options{})
	c := attach(t, h)
	session, err := c.connect(10 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.create("/a", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.call(proto.OpCreate, &proto.CreateRequest{
		Path: "/e", ACL: proto.OpenACL(), Flags: proto.ModeEphemeral,
	}); err != nil {
		t.Fatal(err)
	}
	closeHost(t, h)
	if _, err := c.recv(); !errors.Is(err, io.EOF) {
		t.Errorf("the connection did not end with the host: %v", err)
	}

	h = open(t, fs, host.Options{})
	defer closeHost(t, h)
	c = attach(t, h)
	if _, err := c.connect(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if b, err := c.get("/a"); err != nil || string(b) != "x" {
		t.Errorf("/a holds %q, %v", b, err)
	}
	if _, err := c.get("/e"); err != nil {
		t.Errorf("the ephemeral of session 0x%x is gone: %v", session, err)
	}
	if err := h.View(context.Background(), func(m *replica.Machine) {
		if n := m.Status().Sessions; n != 2 {
			t.Errorf("%d sessions instead of 2", n)
		}
	}); err != nil {
		t.Error(err)
	}
}

// TestSnapshotsWhileServing writes far more than a snapshot's worth of transactions, restarts and
// finds everything again, from a snapshot that was taken while nodes changed.
func TestSnapshotsWhileServing(t *testing.T) {
	const nodes, rounds = 300, 10
	fs := disk.NewMem()
	h := open(t, fs, host.Options{SnapCount: 500})
	c := attach(t, h)
	if _, err := c.connect(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	for round := range rounds {
		var b []byte
		for i := range nodes {
			path, data := fmt.Sprintf("/n%d", i), fmt.Appendf(nil, "%d-%d", i, round)
			if round == 0 {
				b = c.request(b, proto.OpCreate, &proto.CreateRequest{
					Path: path, Data: data, ACL: proto.OpenACL(),
				})
			} else {
				b = c.request(b, proto.OpSetData, &proto.SetDataRequest{
					Path: path, Data: data, Version: -1,
				})
			}
		}
		c.sendFrames(b)
		for range nodes {
			if _, err := c.reply(); err != nil {
				t.Fatal(err)
			}
		}
	}
	closeHost(t, h)
	names, err := fs.ReadDir("/data/version-2")
	if err != nil {
		t.Fatal(err)
	}
	if snaps := strings.Count(strings.Join(names, " "), "snapshot."); snaps < 3 {
		t.Errorf("only %d snapshots: %v", snaps, names)
	}

	h = open(t, fs, host.Options{})
	defer closeHost(t, h)
	if n := h.Stats().Recovery.Txns; n >= nodes*rounds {
		t.Errorf("%d transactions were replayed, as if there were no snapshot", n)
	}
	c = attach(t, h)
	if _, err := c.connect(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	for i := range nodes {
		want := fmt.Sprintf("%d-%d", i, rounds-1)
		if b, err := c.get(fmt.Sprintf("/n%d", i)); err != nil || string(b) != want {
			t.Fatalf("/n%d holds %q, %v", i, b, err)
		}
	}
	if err := h.View(context.Background(), func(m *replica.Machine) {
		if n := m.Status().Digest.Mismatches; n != 0 {
			t.Errorf("%d digests do not fit", n)
		}
	}); err != nil {
		t.Error(err)
	}
}

// TestDiskFailure: a write whose log record fails is not answered, and the host stops with the
// error.
func TestDiskFailure(t *testing.T) {
	fs := disk.NewMem()
	h := open(t, fs, host.Options{})
	c := attach(t, h)
	if _, err := c.connect(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	fs.Fail(disk.Fault{Op: disk.OpSync, Path: "log.", Err: syscall.EIO})
	if err := c.create("/a", nil); !errors.Is(err, io.EOF) {
		t.Errorf("a write that is not on the disk was answered: %v", err)
	}
	<-h.Done()
	if err := h.Err(); !errors.Is(err, syscall.EIO) {
		t.Errorf("the host stopped with %v", err)
	}
	if err := h.View(context.Background(), func(*replica.Machine) {}); err == nil {
		t.Error("a stopped host still answers")
	}
}

// TestRecoveryIsTold: what a start has cut off, and what it misses, is in the journal.
func TestRecoveryIsTold(t *testing.T) {
	fs := disk.NewMem()
	h := open(t, fs, host.Options{})
	c := attach(t, h)
	if _, err := c.connect(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	fs.Fail(disk.Fault{Op: disk.OpWrite, Path: "log.", Err: syscall.ENOSPC, Short: 20})
	if err := c.create("/a", nil); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	<-h.Done()
	fs = fs.Kill()
	told := tell(t, fs)
	if !slices.Contains(told, "an unfinished write was cut off the transaction log") {
		t.Errorf("%q", told)
	}
	wal, err := txnlog.Open(txnlog.Options{FS: fs, Dir: "/data/version-2", PreallocBytes: -1}, 100)
	if err != nil {
		t.Fatal(err)
	}
	var w jute.Writer
	proto.EncodeTxn(&w, &proto.Txn{
		Header: proto.TxnHeader{Zxid: 101, Type: proto.OpError}, Body: &proto.ErrorTxn{},
	})
	if err := wal.Append(101, w.B); err != nil {
		t.Fatal(err)
	}
	if err := wal.Close(); err != nil {
		t.Fatal(err)
	}
	told = tell(t, fs)
	if !slices.Contains(told, "transactions are missing in the log; is a file of it missing?") {
		t.Errorf("%q", told)
	}
}

// TestDamageIsTold: the last transaction is cut off when it is damaged, but not without a word.
func TestDamageIsTold(t *testing.T) {
	fs := disk.NewMem()
	h := open(t, fs, host.Options{})
	c := attach(t, h)
	if _, err := c.connect(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if err := c.create("/a", []byte("acknowledged")); err != nil {
		t.Fatal(err)
	}
	closeHost(t, h)
	const log = "/data/version-2/log.1"
	st, err := fs.Stat(log)
	if err != nil {
		t.Fatal(err)
	}
	damage(t, fs, log, st.Size-20)
	if told := tell(t, fs); !slices.Contains(told, "what was cut off looks damaged rather than "+
		"unfinished; the last transaction may be lost") {
		t.Errorf("%q", told)
	}
}

// tell starts and stops a host and returns what it logs.
func tell(t *testing.T, fs disk.FS) (messages []string) {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	closeHost(t, open(t, fs, host.Options{Log: zap.New(core)}))
	for _, e := range logs.All() {
		messages = append(messages, e.Message)
	}
	return messages
}

// TestPurgeKeepsTheWayBack: the snapshot that a start had to go back to stays, with the logs behind
// it, however many damaged ones are newer.
func TestPurgeKeepsTheWayBack(t *testing.T) {
	const dir, rounds, nodes = "/data/version-2", 7, 10
	fs := disk.NewMem()
	for round := range rounds {
		h := open(t, fs, host.Options{})
		c := attach(t, h)
		if _, err := c.connect(10 * time.Second); err != nil {
			t.Fatal(err)
		}
		for i := range nodes {
			if err := c.create(fmt.Sprintf("/n%d-%d", round, i), nil); err != nil {
				t.Fatal(err)
			}
		}
		closeHost(t, h)
		tr, _, err := snapshot.Recover(fs, "/data", "", snapshot.RecoverOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := snapshot.Save(fs, dir, tr); err != nil {
			t.Fatal(err)
		}
	}
	snaps, err := snapshot.Files(fs, dir)
	if err != nil || len(snaps) != rounds+1 {
		t.Fatal(snaps, err)
	}
	for _, s := range snaps[:4] {
		damage(t, fs, dir+"/"+s.Name, 200)
	}
	for range 2 { // the first one purges
		h := open(t, fs, host.Options{PurgeInterval: time.Hour})
		r := h.Stats().Recovery
		if r.LastZxid < rounds*nodes || r.Snapshot != dir+"/"+snaps[4].Name {
			t.Errorf("came up at %d from %s", r.LastZxid, r.Snapshot)
		}
		closeHost(t, h)
	}
}

// damage flips a bit where only a checksum tells.
func damage(t *testing.T, fs disk.FS, name string, off int64) {
	t.Helper()
	f, err := fs.OpenRW(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b[:], off); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

// TestSnapshotFailure: a snapshot that cannot be written costs nothing but the snapshot.
func TestSnapshotFailure(t *testing.T) {
	fs := disk.NewMem()
	h := open(t, fs, host.Options{SnapCount: 10})
	defer closeHost(t, h)
	fs.Fail(disk.Fault{Op: disk.OpWrite, Path: "snapshot.", Err: syscall.ENOSPC})
	c := attach(t, h)
	if _, err := c.connect(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 100 || h.Stats().SnapshotErrors == 0; i++ {
		if err := c.create(fmt.Sprintf("/n%d", i), nil); err != nil {
			t.Fatal(err)
		}
		if i == 100_000 {
			t.Fatal("no snapshot failed")
		}
	}
}

// TestSlowReader: a connection whose replies nobody takes is read no further than its limit, and
// goes on when they are taken.
func TestSlowReader(t *testing.T) {
	const size, gets = 64 << 10, 200
	h := open(t, disk.NewMem(), host.Options{MaxUnsentPerConnection: 256 << 10})
	defer closeHost(t, h)
	c := attach(t, h)
	if _, err := c.connect(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	if err := c.create("/big", make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	c.mu.Lock()
	c.stuck = true
	c.mu.Unlock()
	var b []byte
	for range gets {
		b = c.request(b, proto.OpGetData, &proto.GetDataRequest{Path: "/big"})
	}
	c.sendFrames(b)
	other := attach(t, h)
	for range 3 { // the loop turns while the first one is stuck
		if _, err := other.connect(10 * time.Second); err != nil {
			t.Fatal(err)
		}
		other = attach(t, h)
	}
	c.mu.Lock()
	got, held := len(c.in), c.bufs
	c.mu.Unlock()
	if got > 512<<10 || held != 1 {
		t.Errorf("%d bytes were delivered to a stuck connection, %d buffers held", got, held)
	}
	c.unstick()
	for i := range gets {
		r, err := c.reply()
		if err != nil || len(r.Buffer()) != size {
			t.Fatalf("get %d: %v", i, err)
		}
	}
}

// TestExpiry: a session nobody touches dies, with its ephemerals and its connection.
func TestExpiry(t *testing.T) {
	h := open(t, disk.NewMem(), host.Options{TickTime: 20 * time.Millisecond})
	defer closeHost(t, h)
	c := attach(t, h)
	if _, err := c.connect(40 * time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if _, err := c.recv(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
}

// TestCloseUnderLoad: a client that never pauses does not keep the host from stopping, and what was
// acknowledged by then is there afterwards.
func TestCloseUnderLoad(t *testing.T) {
	fs := disk.NewMem()
	h := open(t, fs, host.Options{})
	w := &writer{path: "/w"}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.run(t, h)
	}()
	for { // until it writes
		var n int64
		if err := h.View(context.Background(), func(m *replica.Machine) {
			n = m.Status().Zxid
		}); err != nil {
			t.Fatal(err)
		}
		if n > 100 {
			break
		}
	}
	closeHost(t, h)
	<-done
	h = open(t, fs, host.Options{})
	defer closeHost(t, h)
	c := attach(t, h)
	if _, err := c.connect(10 * time.Second); err != nil {
		t.Fatal(err)
	}
	b, err := c.get("/w")
	if got, convErr := strconv.Atoi(string(b)); err != nil || convErr != nil || got < w.stored {
		t.Errorf("/w holds %q (%v), %d was acknowledged", b, err, w.stored)
	}
}

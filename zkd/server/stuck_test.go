package server_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"zkafka/zkd/host"
	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
	"zkafka/zkd/server"
)

// rawClient is a client that reads only what a test wants it to.
type rawClient struct {
	nc  net.Conn
	xid int32
}

// connectRaw opens a session on a connection with small buffers.
func connectRaw(t *testing.T, addr string, timeout time.Duration) *rawClient {
	t.Helper()
	c := &rawClient{nc: dialRaw(t, addr)}
	if err := c.nc.(*net.TCPConn).SetReadBuffer(4096); err != nil {
		t.Fatal(err)
	}
	if err := c.nc.SetDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	w := jute.Writer{}
	at := w.StartFrame()
	req := proto.ConnectRequest{Timeout: int32(timeout.Milliseconds()), Passwd: make([]byte, 16)}
	req.Encode(&w)
	w.EndFrame(at)
	if _, err := c.nc.Write(w.B); err != nil {
		t.Fatal(err)
	}
	c.skip(t)
	return c
}

func (c *rawClient) send(op proto.Op, body proto.Record) error {
	c.xid++
	w := jute.Writer{}
	at := w.StartFrame()
	h := proto.RequestHeader{Xid: c.xid, Type: op}
	h.Encode(&w)
	if body != nil {
		body.Encode(&w)
	}
	w.EndFrame(at)
	_, err := c.nc.Write(w.B)
	return err
}

// skip reads the next frame.
func (c *rawClient) skip(t *testing.T) {
	t.Helper()
	var size [4]byte
	if _, err := io.ReadFull(c.nc, size[:]); err != nil {
		t.Fatal(err)
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c.nc, frame); err != nil {
		t.Fatal(err)
	}
}

// TestStuckClient: a client that goes on sending but takes no replies loses its connection and then
// its session, with the ephemerals.
func TestStuckClient(t *testing.T) {
	addr := start(t, host.Options{
		TickTime: 100 * time.Millisecond, MaxSessionTimeout: time.Minute,
	}, server.Options{})
	c := dial(t, addr)
	ctx := context.Background()
	_, err := c.Create(ctx, "/big", make([]byte, 1_000_000), proto.OpenACL(), proto.ModePersistent)
	if err != nil {
		t.Fatal(err)
	}
	stuck := connectRaw(t, addr, time.Second)
	if err := stuck.send(proto.OpCreate, &proto.CreateRequest{
		Path: "/e", ACL: proto.OpenACL(), Flags: proto.ModeEphemeral,
	}); err != nil {
		t.Fatal(err)
	}
	stuck.skip(t)
	found, _, gone, err := c.ExistsW(ctx, "/e")
	if err != nil || !found {
		t.Fatal(found, err)
	}
	ended := make(chan error)
	go func() {
		for {
			if err := stuck.send(proto.OpGetData, &proto.GetDataRequest{Path: "/big"}); err != nil {
				ended <- err
				return
			}
		}
	}()
	select {
	case e := <-gone:
		if e.Type != proto.EventNodeDeleted {
			t.Errorf("%+v", e)
		}
	case <-time.After(30 * time.Second):
		t.Error("the ephemeral of a client that takes no replies is still there")
	}
	_ = stuck.nc.SetDeadline(time.Now().Add(10 * time.Second))
	if err := <-ended; errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
}

// TestHalfClosed: a client that has ended its side and takes nothing does not keep its connection.
func TestHalfClosed(t *testing.T) {
	addr := start(t, host.Options{MaxUnsentPerConnection: 64 << 20},
		server.Options{MaxClientCnxns: 2})
	c := dial(t, addr)
	ctx := context.Background()
	_, err := c.Create(ctx, "/big", make([]byte, 1_000_000), proto.OpenACL(), proto.ModePersistent)
	if err != nil {
		t.Fatal(err)
	}
	half := connectRaw(t, addr, 10*time.Second)
	for range 40 {
		if err := half.send(proto.OpGetData, &proto.GetDataRequest{Path: "/big"}); err != nil {
			t.Fatal(err)
		}
	}
	// The server has begun to write, and gets stuck.
	if _, err := io.ReadFull(half.nc, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	if err := half.nc.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	// Its place is free once the server has let it go.
	for begin := time.Now(); time.Since(begin) < 20*time.Second; {
		nc := dialRaw(t, addr)
		if _, err := nc.Write([]byte("\x00\x00\x00\x2c" + string(make([]byte, 44)))); err == nil {
			if _, err := io.ReadFull(nc, make([]byte, 4)); err == nil {
				return
			}
		}
		nc.Close()
	}
	t.Error("the server keeps a connection whose client has left")
}

package server_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"zkafka/zkd/client"
	"zkafka/zkd/disk"
	"zkafka/zkd/host"
	"zkafka/zkd/proto"
	"zkafka/zkd/server"
)

// start runs a server over a disk in memory and returns its address.
func start(t *testing.T, ho host.Options, so server.Options) (addr string) {
	t.Helper()
	if ho.FS == nil {
		ho.FS = disk.NewMem()
	}
	if ho.DataDir == "" {
		ho.DataDir = "/data"
	}
	ho.PreallocBytes = -1
	h, err := host.Open(ho)
	if err != nil {
		t.Fatal(err)
	}
	so.Host = h
	so.Addresses = []string{"127.0.0.1:0"}
	s, err := server.New(so)
	if err != nil {
		t.Fatal(err)
	}
	s.Start(nil)
	t.Cleanup(func() {
		s.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := h.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s.Addrs()[0].String()
}

func dial(t *testing.T, addr string) *client.Client { return dialSession(t, addr, 0, nil) }

func dialSession(t *testing.T, addr string, id int64, password []byte) *client.Client {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c, err := client.Dial(ctx, client.Options{
		Servers: []string{addr}, SessionID: id, Password: password,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	if err := c.Wait(ctx); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCreateGetSetDelete(t *testing.T) {
	c := dial(t, start(t, host.Options{}, server.Options{}))
	ctx := context.Background()
	path, err := c.Create(ctx, "/a", []byte("one"), proto.OpenACL(), proto.ModePersistent)
	if err != nil || path != "/a" {
		t.Fatal(path, err)
	}
	data, stat, err := c.Get(ctx, "/a")
	if err != nil || string(data) != "one" || stat.Version != 0 || stat.DataLength != 3 {
		t.Fatal(string(data), stat, err)
	}
	if _, err := c.Set(ctx, "/a", []byte("two"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Set(ctx, "/a", []byte("three"), 0); !errors.Is(err, proto.ErrBadVersion) {
		t.Fatal(err)
	}
	for i := range 3 {
		p, err := c.Create(ctx, "/a/s-", nil, proto.OpenACL(), proto.ModeEphemeralSequential)
		if err != nil || p != fmt.Sprintf("/a/s-%010d", i) {
			t.Fatal(p, err)
		}
	}
	kids, _, err := c.Children(ctx, "/a")
	if err != nil || len(kids) != 3 {
		t.Fatal(kids, err)
	}
	if err := c.Delete(ctx, "/a", -1); !errors.Is(err, proto.ErrNotEmpty) {
		t.Fatal(err)
	}
}

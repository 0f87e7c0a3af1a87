// Command capture drives a ZooKeeper server through the operations whose files the tests of this
// package read. capture.sh beside it starts the servers.
//
//	capture fill ADDR SESSIONFILE [new]   the operations; "new" adds those of 3.5 and later
//	capture more ADDR SESSIONFILE         a few more, by the session that fill left open
//	capture dump ADDR                     prints the tree as clients see it
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
)

type quiet struct{}

func (quiet) Printf(string, ...interface{}) {}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func connect(addr string) *zk.Conn {
	c, events, err := zk.Connect([]string{addr}, 30*time.Second, zk.WithLogger(quiet{}))
	check(err)
	for e := range events {
		if e.State == zk.StateHasSession {
			break
		}
	}
	return c
}

func main() {
	c := connect(os.Args[2])
	switch os.Args[1] {
	case "fill":
		fill(c, os.Args[2], len(os.Args) > 3 && os.Args[3] == "new")
		os.Exit(0) // leaves the session open, as its ephemerals are part of the files
	case "more":
		more(c)
	case "dump":
		dump(c, "/")
	}
	c.Close()
}

func fill(c *zk.Conn, addr string, newer bool) {
	open := zk.WorldACL(zk.PermAll)
	for _, path := range []string{"/a", "/a/b", "/a/b/c", "/empty", "/acl", "/q", "/multi", "/gone"} {
		must(c.Create(path, []byte("data of "+path), 0, open))
	}
	must(c.Create("/leer-\u00e4\u00f6\u20ac", []byte{}, 0, open))
	must(c.Create("/big", []byte(strings.Repeat("0123456789abcdef", 300)), 0, open))
	for i := 0; i < 3; i++ {
		must(c.Create("/a/seq-", nil, zk.FlagSequence, open))
	}
	check(c.Delete("/a/seq-0000000001", -1))
	check(c.Delete("/gone", 0))
	must(c.Set("/a", []byte("changed"), 0))
	must(c.Set("/a", []byte("changed again"), 1))
	must(c.Create("/acl/kid", []byte("x"), 0, zk.WorldACL(zk.PermRead|zk.PermAdmin)))
	acl := append(zk.DigestACL(zk.PermAll, "user", "secret"), zk.WorldACL(zk.PermRead)...)
	must(c.SetACL("/acl", acl, 0))
	must(c.Create("/ephemeral", []byte("owned"), zk.FlagEphemeral, open))
	must(c.Create("/a/eph-", []byte("owned"), zk.FlagEphemeral|zk.FlagSequence, open))

	must(c.Multi(
		&zk.CreateRequest{Path: "/multi/x", Data: []byte("x"), Acl: open},
		&zk.SetDataRequest{Path: "/multi/x", Data: []byte("y"), Version: 0},
		&zk.CreateRequest{Path: "/multi/seq-", Data: nil, Acl: open, Flags: zk.FlagSequence},
		&zk.CheckVersionRequest{Path: "/multi", Version: 0},
		&zk.DeleteRequest{Path: "/a/b/c", Version: 0},
	))
	_, err := c.Multi(
		&zk.CreateRequest{Path: "/multi/never", Data: []byte("x"), Acl: open},
		&zk.CheckVersionRequest{Path: "/multi", Version: 7},
		&zk.DeleteRequest{Path: "/a", Version: -1},
	)
	if err == nil {
		panic("the multi should have failed")
	}
	if _, err := c.Create("/a", nil, 0, open); err != zk.ErrNodeExists {
		panic(err)
	}
	must(c.Create("/zookeeper/quota/q", nil, 0, open))
	must(c.Create("/zookeeper/quota/q/zookeeper_limits", []byte("count=5,bytes=100"), 0, open))
	must(c.Create("/zookeeper/quota/q/zookeeper_stats", []byte("count=0,bytes=0"), 0, open))
	must(c.Create("/q/kid", []byte("12345678"), 0, open))
	if newer {
		must(c.CreateContainer("/container", []byte("c"), 4, open))
		must(c.Create("/container/kid", nil, 0, open))
		must(c.CreateTTL("/ttl", []byte("t"), 5, open, time.Hour))
	}
	other := connect(addr)
	must(other.Create("/other-1", nil, zk.FlagEphemeral, open))
	must(other.Create("/other-2", nil, zk.FlagEphemeral, open))
	other.Close()
}

func more(c *zk.Conn) {
	open := zk.WorldACL(zk.PermAll)
	must(c.Create("/later", []byte("after the restart"), 0, open))
	must(c.Create("/later/seq-", nil, zk.FlagSequence, open))
	must(c.Set("/q/kid", []byte("123456789012"), -1))
	must(c.Create("/later/eph", nil, zk.FlagEphemeral, open))
	check(c.Delete("/big", -1))
	must(c.SetACL("/later", zk.WorldACL(zk.PermRead|zk.PermCreate), -1))
}

type node struct {
	Path string
	Data []byte
	Stat *zk.Stat
	ACL  []zk.ACL
}

func dump(c *zk.Conn, path string) {
	data, stat, err := c.Get(path)
	if err == zk.ErrNoAuth {
		data, err = nil, nil
		_, stat, err = c.Exists(path)
	}
	check(err)
	acl, _, err := c.GetACL(path)
	if err != zk.ErrNoAuth {
		check(err)
	}
	fmt.Println(string(must(json.Marshal(node{path, data, stat, acl}))))
	kids, _, err := c.Children(path)
	check(err)
	sort.Strings(kids)
	for _, kid := range kids {
		dump(c, strings.TrimSuffix(path, "/")+"/"+kid)
	}
}

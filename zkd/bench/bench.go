// Package bench loads a ZooKeeper server, ours or another, with pipelined requests and measures it.
//
// The generator is made to cost little beside the server: a goroutine per connection, requests that
// are encoded once and patched, one write for all requests that a read made room for.
package bench

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
)

// Kind is what the load consists of.
type Kind string

// The kinds of load. Set and Get work on nodes that each connection creates before the clock runs.
const (
	Create Kind = "create"
	Set    Kind = "set"
	Get    Kind = "get"
)

// Spec says what to do.
type Spec struct {
	Kind     Kind
	Conns    int // 8 when 0
	InFlight int // requests of a connection on their way; 32 when 0
	Ops      int // of all connections together
	Size     int // bytes of data; 1024 when 0
	Nodes    int // nodes per connection that Set and Get go through; 128 when 0
	// Root is a path that does not exist; the run creates it and in the end removes it, so that
	// what a server holds does not grow from run to run.
	Root string
	// Keep leaves everything where it is.
	Keep bool
	// PID is the server's process, whose CPU time is measured; 0 for none.
	PID int
}

func (s *Spec) setDefaults() {
	or := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	or(&s.Conns, 8)
	or(&s.InFlight, 32)
	or(&s.Size, 1024)
	or(&s.Nodes, 128)
}

// Result is what a run measured.
type Result struct {
	Ops           int
	Took          time.Duration
	ServerCPU     time.Duration // 0 without Spec.PID
	P50, P99, Max time.Duration // of a window of requests: from its write to its last reply
}

// Rate is the throughput in operations per second.
func (r *Result) Rate() float64 { return float64(r.Ops) / r.Took.Seconds() }

// CPUPerMillion is the server's CPU time for a million operations.
func (r *Result) CPUPerMillion() time.Duration {
	if r.Ops == 0 {
		return 0
	}
	return time.Duration(float64(r.ServerCPU) * 1e6 / float64(r.Ops))
}

// Run loads the server at addr.
func Run(ctx context.Context, addr string, spec Spec) (Result, error) {
	spec.setDefaults()
	conns := make([]*conn, spec.Conns)
	defer func() {
		for _, c := range conns {
			if c != nil {
				c.close()
			}
		}
	}()
	for i := range conns {
		c, err := dial(ctx, addr)
		if err != nil {
			return Result{}, err
		}
		conns[i] = c
		if i == 0 {
			if err := c.create(spec.Root, nil); err != nil {
				return Result{}, err
			}
		}
		if err := c.prepare(&spec, i); err != nil {
			return Result{}, err
		}
	}
	res, err := measure(conns, &spec)
	if err != nil {
		return res, err
	}
	if spec.Keep {
		return res, nil
	}
	return res, clean(conns, &spec)
}

// clean removes what the run created.
func clean(conns []*conn, spec *Spec) error {
	var wg sync.WaitGroup
	errs := make([]error, len(conns))
	for i, c := range conns {
		wg.Go(func() { errs[i] = c.clean(spec) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return conns[0].call(proto.OpDelete, &proto.DeleteRequest{Path: spec.Root, Version: -1})
}

func measure(conns []*conn, spec *Spec) (Result, error) {
	cpu, err := CPUTime(spec.PID)
	if err != nil {
		return Result{}, err
	}
	var wg sync.WaitGroup
	errs := make([]error, len(conns))
	begin := time.Now()
	for i, c := range conns {
		n := spec.Ops / len(conns)
		wg.Go(func() { errs[i] = c.pump(n, spec.InFlight) })
	}
	wg.Wait()
	res := Result{Took: time.Since(begin)}
	after, err := CPUTime(spec.PID)
	if err != nil {
		return Result{}, err
	}
	res.ServerCPU = after - cpu
	var all []time.Duration
	for _, c := range conns {
		res.Ops += c.done
		all = append(all, c.latencies...)
	}
	slices.Sort(all)
	if n := len(all); n > 0 {
		res.P50, res.P99, res.Max = all[n/2], all[n*99/100], all[n-1]
	}
	return res, errors.Join(errs...)
}

// conn is one session of the generator.
type conn struct {
	nc    net.Conn
	br    *bufio.Reader
	out   []byte
	xid   int32
	next  func(dst []byte, xid int32) []byte // appends the next request
	frame []byte
	done  int

	prefix string // of the paths that the connection created
	dir    string // that holds them, if it is the connection's own

	sent      []time.Time // when the requests on their way were written; a ring
	latencies []time.Duration
}

const bufferSize = 128 << 10

func dial(ctx context.Context, addr string) (*conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	c := &conn{nc: nc, br: bufio.NewReaderSize(nc, bufferSize)}
	var w jute.Writer
	at := w.StartFrame()
	req := proto.ConnectRequest{Timeout: 30000, Passwd: make([]byte, 16), HasReadOnly: true}
	req.Encode(&w)
	w.EndFrame(at)
	if _, err := nc.Write(w.B); err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	b, err := c.read()
	if err != nil {
		return nil, fmt.Errorf("handshake: %w", err)
	}
	var resp proto.ConnectResponse
	resp.Decode(jute.NewReader(b, 0))
	if resp.Timeout <= 0 {
		return nil, errors.New("handshake: no session")
	}
	return c, nil
}

func (c *conn) close() {
	c.out = request(c.out[:0], 1, proto.OpCloseSession, nil)
	_, _ = c.nc.Write(c.out) // the session would expire anyway
	_, _ = io.Copy(io.Discard, c.br)
	_ = c.nc.Close()
}

// read returns the next frame, which is valid until the next read.
func (c *conn) read() ([]byte, error) {
	head, err := c.br.Peek(4)
	if err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(head))
	if _, err := c.br.Discard(4); err != nil {
		return nil, err
	}
	if n <= bufferSize {
		b, err := c.br.Peek(n)
		if err != nil {
			return nil, err
		}
		_, err = c.br.Discard(n)
		return b, err
	}
	c.frame = make([]byte, n)
	_, err = io.ReadFull(c.br, c.frame)
	return c.frame, err
}

func request(dst []byte, xid int32, op proto.Op, body proto.Record) []byte {
	w := jute.Writer{B: dst}
	at := w.StartFrame()
	h := proto.RequestHeader{Xid: xid, Type: op}
	h.Encode(&w)
	if body != nil {
		body.Encode(&w)
	}
	w.EndFrame(at)
	return w.B
}

// call does one request and waits for it.
func (c *conn) call(op proto.Op, body proto.Record) error {
	c.xid++
	c.out = request(c.out[:0], c.xid, op, body)
	if _, err := c.nc.Write(c.out); err != nil {
		return err
	}
	b, err := c.read()
	if err != nil {
		return err
	}
	return check(b, c.xid)
}

func (c *conn) create(path string, data []byte) error {
	return c.call(proto.OpCreate, &proto.CreateRequest{
		Path: path, Data: data, ACL: proto.OpenACL(),
	})
}

// check looks at the header of a reply.
func check(b []byte, xid int32) error {
	if len(b) < proto.ReplyHeaderSize {
		return errors.New("a reply without a header")
	}
	if got := int32(binary.BigEndian.Uint32(b)); got != xid {
		return fmt.Errorf("reply to request %d instead of %d", got, xid)
	}
	return proto.Err(binary.BigEndian.Uint32(b[12:])).Err()
}

// prepare creates the nodes of the connection and makes its requests.
func (c *conn) prepare(spec *Spec, i int) error {
	data := make([]byte, spec.Size)
	for j := range data {
		data[j] = byte(j)
	}
	if spec.Kind == Create {
		dir := fmt.Sprintf("%s/c%d", spec.Root, i)
		if err := c.create(dir, nil); err != nil {
			return err
		}
		c.dir, c.prefix = dir, dir+"/"
		c.next = patched(proto.OpCreate, &proto.CreateRequest{
			Path: c.prefix + "0000000000", Data: data, ACL: proto.OpenACL(),
		}, 12+len(c.prefix), 1<<31-1)
		return nil
	}
	prefix := fmt.Sprintf("%s/n%d-", spec.Root, i)
	for j := range spec.Nodes {
		if err := c.create(fmt.Sprintf("%s%010d", prefix, j), data); err != nil {
			return err
		}
	}
	c.prefix = prefix
	path := prefix + "0000000000"
	at := 12 + len(prefix)
	switch spec.Kind {
	case Set:
		c.next = patched(proto.OpSetData,
			&proto.SetDataRequest{Path: path, Data: data, Version: -1}, at, spec.Nodes)
	case Get:
		c.next = patched(proto.OpGetData, &proto.GetDataRequest{Path: path}, at, spec.Nodes)
	default:
		return fmt.Errorf("no load of kind %q", spec.Kind)
	}
	return nil
}

// clean removes the nodes that the connection created.
func (c *conn) clean(spec *Spec) error {
	n := spec.Nodes
	if spec.Kind == Create {
		n = c.done
	}
	c.next = patched(proto.OpDelete,
		&proto.DeleteRequest{Path: c.prefix + "0000000000", Version: -1}, 12+len(c.prefix), n)
	if err := c.pump(n, spec.InFlight); err != nil {
		return err
	}
	if c.dir == "" {
		return nil
	}
	return c.call(proto.OpDelete, &proto.DeleteRequest{Path: c.dir, Version: -1})
}

// patched returns a function that appends copies of one request, with ten digits at offset at of
// the body's path replaced by a number that counts up and starts over at limit.
func patched(op proto.Op, body proto.Record, at, limit int) func([]byte, int32) []byte {
	template := request(nil, 0, op, body)
	n := 0
	return func(dst []byte, xid int32) []byte {
		from := len(dst)
		dst = append(dst, template...)
		binary.BigEndian.PutUint32(dst[from+4:], uint32(xid))
		digits := dst[from+4+at : from+4+at+10]
		for i, v := 9, n; i >= 0; i, v = i-1, v/10 {
			digits[i] = byte('0' + v%10)
		}
		if n++; n == limit {
			n = 0
		}
		return dst
	}
}

// pump sends n requests with at most window of them on their way.
func (c *conn) pump(n, window int) error {
	c.sent = make([]time.Time, window)
	c.latencies = make([]time.Duration, 0, n)
	first := c.xid + 1
	last := c.xid + int32(n)
	awaited := first
	room := min(window, n)
	for awaited <= last {
		c.out = c.out[:0]
		now := time.Now()
		for ; room > 0 && c.xid < last; room-- {
			c.xid++
			c.out = c.next(c.out, c.xid)
			c.sent[int(c.xid)%window] = now
		}
		if _, err := c.nc.Write(c.out); err != nil {
			return err
		}
		for first := true; awaited <= c.xid && (first || c.whole()); first = false {
			b, err := c.read()
			if err != nil {
				return err
			}
			if err := check(b, awaited); err != nil {
				return err
			}
			if first {
				now = time.Now()
			}
			c.latencies = append(c.latencies, now.Sub(c.sent[int(awaited)%window]))
			awaited++
			c.done++
			room++
		}
	}
	return nil
}

// whole says whether the next frame is in the buffer already.
func (c *conn) whole() bool {
	n := c.br.Buffered()
	if n < 4 {
		return false
	}
	head, err := c.br.Peek(4)
	return err == nil && n >= 4+int(binary.BigEndian.Uint32(head))
}

// clockTicks is how many ticks a second has in /proc; it is 100 on every Linux that Go runs on.
const clockTicks = 100

// CPUTime returns the CPU time that a process has used, 0 for process 0.
func CPUTime(pid int) (time.Duration, error) {
	if pid == 0 {
		return 0, nil
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read the CPU time of the server: %w", err)
	}
	_, rest, ok := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, fmt.Errorf("read the CPU time of the server: %q", b)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / clockTicks, errors.Join(err1, err2)
}

// Memory returns the resident size of a process in bytes.
func Memory(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of the server: %w", err)
	}
	_, rest, ok := strings.Cut(string(b), "VmRSS:")
	if fields := strings.Fields(rest); ok && len(fields) > 0 {
		kb, err := strconv.ParseInt(fields[0], 10, 64)
		return kb << 10, err
	}
	return 0, errors.New("read the memory of the server: no VmRSS")
}

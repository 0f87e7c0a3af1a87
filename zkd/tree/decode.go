package tree

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"zkafka/zkd/adler"
	"zkafka/zkd/jute"
	"zkafka/zkd/proto"
)

// FormatError says where and why the bytes given to Decode are not a snapshot.
type FormatError struct {
	Offset int64
	Reason string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("not a valid snapshot at offset %d: %s", e.Offset, e.Reason)
}

// Decode reads a snapshot file that any release from 3.4 to 3.9 wrote. The error is a *FormatError
// or that of r. The tree is not ready before BeginReplay has told it the zxid of the file name.
func Decode(r io.Reader) (*Tree, error) {
	d := &decoder{r: bufio.NewReaderSize(r, 256<<10), sum: adler.New}
	t := &Tree{}
	t.reset()
	d.header()
	d.sessions(t)
	d.acls(t)
	d.nodes(t)
	d.seal()
	d.trailers(t)
	if d.err != nil {
		return nil, d.err
	}
	t.ensureSystemNodes()
	t.setupQuotas()
	t.acls.purge()
	t.dataSize = t.measure()
	return t, nil
}

// decoder reads jute from a stream with a sticky error, adding up the checksum on the way.
type decoder struct {
	r   *bufio.Reader
	sum uint32
	off int64
	err error

	num [60]byte
	buf []byte // of the last string or buffer
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = &FormatError{Offset: d.off, Reason: fmt.Sprintf(format, args...)}
	}
}

// fill reads all of b.
func (d *decoder) fill(b []byte) bool {
	if d.err != nil {
		return false
	}
	n, err := io.ReadFull(d.r, b)
	d.off += int64(n)
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		d.fail("the file ends early")
		return false
	case err != nil:
		d.err = fmt.Errorf("read snapshot: %w", err)
		return false
	}
	d.sum = adler.Update(d.sum, b)
	return true
}

func (d *decoder) int32() int32 {
	if !d.fill(d.num[:4]) {
		return 0
	}
	return int32(binary.BigEndian.Uint32(d.num[:4]))
}

func (d *decoder) int64() int64 {
	if !d.fill(d.num[:8]) {
		return 0
	}
	return int64(binary.BigEndian.Uint64(d.num[:8]))
}

// bytes reads a string or buffer into memory that the next call reuses; nil for null. A length
// that lies costs no more memory than the file has bytes.
func (d *decoder) bytes() []byte {
	const step = 1 << 20
	n := int(d.int32())
	if d.err != nil || n == -1 {
		return nil
	}
	if n < 0 {
		d.fail("length %d", n)
		return nil
	}
	if d.buf == nil {
		d.buf = make([]byte, 0, 4096)
	}
	d.buf = d.buf[:0]
	for len(d.buf) < n {
		at := len(d.buf)
		more := min(n-at, step)
		if cap(d.buf) < at+more {
			d.buf = append(make([]byte, 0, max(at+more, 2*at)), d.buf...)
		}
		d.buf = d.buf[:at+more]
		if !d.fill(d.buf[at:]) {
			return nil
		}
	}
	return d.buf
}

func (d *decoder) count(what string) int {
	n := d.int32()
	if n < 0 {
		d.fail("%d %s", n, what)
		return 0
	}
	return int(n)
}

func (d *decoder) header() {
	magic, version := d.int32(), d.int32()
	d.int64() // the database id; upstream writes -1 and never looks
	if d.err == nil && (magic != snapshotMagic || version != snapshotVersion) {
		d.fail("magic number 0x%x, version %d", uint32(magic), version)
	}
}

func (d *decoder) sessions(t *Tree) {
	for n := d.count("sessions"); n > 0 && d.err == nil; n-- {
		id, timeout := d.int64(), d.int32()
		t.sessions[id] = timeout
	}
}

func (d *decoder) acls(t *Tree) {
	for n := d.count("ACLs"); n > 0 && d.err == nil; n-- {
		id := d.int64()
		list := []proto.ACL{}
		for m := d.count("entries of an ACL"); m > 0 && d.err == nil; m-- {
			perms := d.int32()
			scheme := string(d.bytes())
			name := string(d.bytes())
			list = append(list, proto.ACL{Perms: perms, ID: proto.ID{Scheme: scheme, ID: name}})
		}
		if d.err == nil {
			t.acls.add(id, list)
		}
	}
}

func (d *decoder) nodes(t *Tree) {
	for {
		path := d.bytes()
		if d.err != nil {
			return
		}
		if string(path) == RootPath {
			break
		}
		n := &Node{path: string(path)}
		if data := d.bytes(); data != nil {
			n.data = append(make([]byte, 0, len(data)), data...)
		}
		if !d.fill(d.num[:8]) {
			return
		}
		acl := int64(binary.BigEndian.Uint64(d.num[:8]))
		if !d.fill(d.num[:60]) {
			return
		}
		n.setPersisted(d.num[:60])
		if !d.place(t, n) {
			return
		}
		n.acl = t.acls.byRef(acl)
		t.rehash(n)
		t.loadedZxid = max(t.loadedZxid, n.czxid)
	}
	if t.root == nil {
		d.fail("there is no root node")
	}
}

// place links a node that was read into the tree.
func (d *decoder) place(t *Tree, n *Node) bool {
	if n.path == "" {
		if t.root != nil {
			d.fail("there is a second root node")
			return false
		}
		t.root = n
		t.nodes[""] = n
		return true
	}
	if n.path[0] != '/' || n.Name() == "" {
		d.fail("node path %q", n.path)
		return false
	}
	parent := t.nodes[parentOf(n.path)]
	if parent == nil {
		d.fail("the node %s comes before its parent", n.path)
		return false
	}
	if t.nodes[n.path] != nil {
		d.fail("the node %s comes twice", n.path)
		return false
	}
	t.link(parent, n)
	return true
}

func (n *Node) setPersisted(b []byte) {
	var s proto.StatPersisted
	r := jute.NewReader(b, math.MaxInt32)
	s.Decode(r)
	n.czxid, n.mzxid, n.pzxid = s.Czxid, s.Mzxid, s.Pzxid
	n.ctime, n.mtime = s.Ctime, s.Mtime
	n.version, n.cversion, n.aversion = s.Version, s.Cversion, s.Aversion
	n.owner = s.EphemeralOwner
}

// seal reads a checksum of everything before it.
func (d *decoder) seal() {
	want := int64(d.sum)
	at := d.off
	got := d.int64()
	end := d.bytes()
	if d.err == nil && got != want {
		d.off = at
		d.fail("the checksum is %x and should be %x", got, want)
	}
	if d.err == nil && string(end) != RootPath {
		d.fail("the seal ends in %q", end)
	}
}

// trailers reads the sections that 3.6 and 3.9 added, each with its own seal.
func (d *decoder) trailers(t *Tree) {
	if d.atEnd() {
		return
	}
	digest := ZxidDigest{Zxid: d.int64(), Version: d.int32(), Digest: d.int64()}
	d.seal()
	if d.err == nil && digest.Zxid > 0 {
		t.awaited = &digest
	}
	if d.atEnd() {
		return
	}
	t.lastZxid = d.int64()
	d.seal()
}

func (d *decoder) atEnd() bool {
	if d.err != nil {
		return true
	}
	_, err := d.r.Peek(1)
	return errors.Is(err, io.EOF)
}

package tree

import (
	"encoding/binary"
	"hash/crc32"

	"zkafka/zkd/proto"
)

// The digest log keeps one entry per digestInterval zxids, the last digestLogLimit of them.
const (
	digestInterval = 128
	digestLogLimit = 1024
)

// ZxidDigest is the tree digest as of a zxid.
type ZxidDigest struct {
	Zxid    int64
	Version int32
	Digest  int64
}

// NodeDigest is one node's share of the tree digest, version 2 as upstream counts: the CRC-32 of
// path, data and stored stat, 0 below /zookeeper. The digest of a tree is the wrapping sum of its
// nodes' shares.
func NodeDigest(path string, data []byte, s *proto.StatPersisted) uint32 {
	if inSystemTree(path) {
		return 0
	}
	return DigestWith(path, DigestPrefix(path, data), s)
}

// DigestPrefix is the part of a node's share that depends on path and data, for whoever computes
// shares of nodes whose stat alone changes.
func DigestPrefix(path string, data []byte) uint32 {
	if path == RootPath {
		path = ""
	}
	return crc32.Update(crcShort(0, path), crc32.IEEETable, data)
}

// DigestWith completes the share of a node from its DigestPrefix.
func DigestWith(path string, prefix uint32, s *proto.StatPersisted) uint32 {
	if inSystemTree(path) {
		return 0
	}
	var buf [60]byte
	binary.BigEndian.PutUint64(buf[0:], uint64(s.Czxid))
	binary.BigEndian.PutUint64(buf[8:], uint64(s.Mzxid))
	binary.BigEndian.PutUint64(buf[16:], uint64(s.Pzxid))
	binary.BigEndian.PutUint64(buf[24:], uint64(s.Ctime))
	binary.BigEndian.PutUint64(buf[32:], uint64(s.Mtime))
	binary.BigEndian.PutUint32(buf[40:], uint32(s.Version))
	binary.BigEndian.PutUint32(buf[44:], uint32(s.Cversion))
	binary.BigEndian.PutUint32(buf[48:], uint32(s.Aversion))
	binary.BigEndian.PutUint64(buf[52:], uint64(s.EphemeralOwner))
	return crcShort(prefix, buf[:])
}

// crcShort is crc32.Update for paths and stats, which would have to move to the heap to be given to
// the assembly that Update calls. It takes eight bytes at a time.
func crcShort[T string | []byte](crc uint32, b T) uint32 {
	crc = ^crc
	for len(b) >= 8 {
		crc ^= uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
		crc = slicing[7][crc&0xff] ^ slicing[6][crc>>8&0xff] ^
			slicing[5][crc>>16&0xff] ^ slicing[4][crc>>24] ^
			slicing[3][b[4]] ^ slicing[2][b[5]] ^ slicing[1][b[6]] ^ slicing[0][b[7]]
		b = b[8:]
	}
	for i := range len(b) {
		crc = slicing[0][byte(crc)^b[i]] ^ crc>>8
	}
	return ^crc
}

// slicing[n][b] is the remainder of byte b with n zero bytes behind it.
var slicing = func() (t [8][256]uint32) {
	t[0] = *crc32.IEEETable
	for i := range 256 {
		crc := t[0][i]
		for n := 1; n < 8; n++ {
			crc = t[0][byte(crc)] ^ crc>>8
			t[n][i] = crc
		}
	}
	return t
}()

// Digest is the node's share of the tree digest.
func (n *Node) Digest() uint32 { return n.digest }

// Digest is the digest of the tree as it is now.
func (t *Tree) Digest() int64 { return int64(t.digest) }

// LastDigest is the digest after the last transaction; its zxid is 0 before the first.
func (t *Tree) LastDigest() ZxidDigest { return t.lastDigest }

// DigestLog returns the kept history, oldest first: one entry per 128 zxids.
func (t *Tree) DigestLog() []ZxidDigest { return append([]ZxidDigest(nil), t.digestLog...) }

// DigestMismatches counts transactions and snapshots whose digest was not the tree's.
func (t *Tree) DigestMismatches() int64 { return t.mismatches }

// AwaitedDigest is the zxid at which the digest of the loaded snapshot will be compared, 0 when
// that has happened or there is none. Not 0 after replay means that the log does not cover what
// the snapshot contains.
func (t *Tree) AwaitedDigest() int64 {
	if t.awaited == nil {
		return 0
	}
	return t.awaited.Zxid
}

// rehash brings a node's share of the digest up to date.
func (t *Tree) rehash(n *Node) {
	s := n.Persisted()
	share := NodeDigest(n.path, n.data, &s)
	t.digest += uint64(share) - uint64(n.digest)
	n.digest = share
}

// recordDigest notes the digest after a transaction. While the tree is fuzzy there is nothing to
// note: only at the zxid where the snapshot was finished is its digest known.
func (t *Tree) recordDigest(zxid int64) {
	if t.awaited != nil {
		t.settle(zxid)
		return
	}
	t.lastDigest = ZxidDigest{Zxid: zxid, Version: proto.DigestVersion, Digest: int64(t.digest)}
	if zxid%digestInterval != 0 {
		return
	}
	if len(t.digestLog) == digestLogLimit {
		t.digestLog = append(t.digestLog[:0], t.digestLog[1:]...)
	}
	t.digestLog = append(t.digestLog, t.lastDigest)
}

func (t *Tree) settle(zxid int64) {
	if t.awaited == nil || zxid != t.awaited.Zxid {
		return
	}
	if t.awaited.Version == proto.DigestVersion && t.awaited.Digest != int64(t.digest) {
		t.mismatches++
	}
	t.awaited = nil
}

func (t *Tree) compareDigest(d *proto.TxnDigest) {
	if d == nil || t.awaited != nil || d.Version != proto.DigestVersion {
		return
	}
	if d.Digest != int64(t.digest) {
		t.mismatches++
	}
}

// BeginReplay declares a decoded tree to be the state as of zxid, the one in the snapshot's file
// name. It may already show effects of later transactions, which replay will repeat.
func (t *Tree) BeginReplay(zxid int64) {
	t.lastZxid = zxid
	if t.awaited == nil {
		return
	}
	// A new leader takes a snapshot under the first zxid of its epoch, which no transaction has;
	// the digest is then of the epoch before and the snapshot is not fuzzy.
	if t.awaited.Zxid < zxid {
		t.awaited = nil
		return
	}
	t.settle(zxid)
}

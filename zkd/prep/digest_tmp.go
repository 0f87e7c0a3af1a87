package prep

import (
	"encoding/binary"
	"hash/crc32"
	"strings"

	"zkafka/zkd/proto"
	"zkafka/zkd/tree"
)

func digestPrefix(path string, data []byte) uint32 {
	if path == tree.RootPath {
		path = ""
	}
	var buf [256]byte
	crc := crc32.ChecksumIEEE(append(buf[:0], path...))
	return crc32.Update(crc, crc32.IEEETable, data)
}

func digestWith(path string, prefix uint32, s *proto.StatPersisted) uint32 {
	if strings.HasPrefix(path, tree.SystemPath+"/") {
		return 0
	}
	var buf [60]byte
	b := buf[:0]
	for _, v := range [...]int64{s.Czxid, s.Mzxid, s.Pzxid, s.Ctime, s.Mtime} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	for _, v := range [...]int32{s.Version, s.Cversion, s.Aversion} {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	b = binary.BigEndian.AppendUint64(b, uint64(s.EphemeralOwner))
	return crc32.Update(prefix, crc32.IEEETable, b)
}

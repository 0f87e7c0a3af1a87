package session

import "encoding/binary"

// passwordSalt is upstream's constant: every member of an ensemble, ours or Apache's, must derive
// the same password from a session id, because passwords are stored nowhere.
const passwordSalt = 0xB3415C00

// PasswordLen is the length of a session password in bytes.
const PasswordLen = 16

// Password returns the password of session id: the first 16 bytes of a java.util.Random seeded
// with id XOR passwordSalt.
func Password(id int64) [PasswordLen]byte {
	r := newJavaRandom(id ^ passwordSalt)
	var p [PasswordLen]byte
	for i := 0; i < PasswordLen; i += 4 {
		binary.LittleEndian.PutUint32(p[i:], r.next32())
	}
	return p
}

// javaRandom is the 48 bit linear congruential generator that java.util.Random specifies.
type javaRandom struct{ seed uint64 }

const (
	javaMultiplier = 0x5DEECE66D
	javaMask       = 1<<48 - 1
)

func newJavaRandom(seed int64) *javaRandom {
	return &javaRandom{seed: (uint64(seed) ^ javaMultiplier) & javaMask}
}

func (r *javaRandom) next32() uint32 {
	r.seed = (r.seed*javaMultiplier + 0xB) & javaMask
	return uint32(r.seed >> 16)
}

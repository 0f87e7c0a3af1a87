package adler

import (
	"bytes"
	"hash/adler32"
	"math/rand/v2"
	"testing"
)

func TestChecksum(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	random := make([]byte, 3*chunk)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	for _, full := range [][]byte{random, bytes.Repeat([]byte{255}, 3*chunk), make([]byte, 3*chunk)} {
		sizes := []int{0, 1, 7, 8, block - 1, block, block + 1, chunk - 1, chunk, chunk + 1, 3 * chunk}
		for range 200 {
			sizes = append(sizes, rng.IntN(3000), rng.IntN(3*chunk))
		}
		for _, n := range sizes {
			p := full[:n]
			if got, want := Checksum(p), adler32.Checksum(p); got != want {
				t.Fatalf("%d bytes: %08x, want %08x", n, got, want)
			}
			cut := rng.IntN(n + 1)
			if got, want := Update(Checksum(p[:cut]), p[cut:]), adler32.Checksum(p); got != want {
				t.Fatalf("%d bytes in two parts, cut at %d: %08x, want %08x", n, cut, got, want)
			}
		}
	}
}

func FuzzChecksum(f *testing.F) {
	f.Add([]byte("abc"), 1)
	f.Add(bytes.Repeat([]byte{255}, 2*block), block)
	f.Fuzz(func(t *testing.T, p []byte, cut int) {
		if cut < 0 || cut > len(p) {
			cut = len(p)
		}
		if got, want := Update(Checksum(p[:cut]), p[cut:]), adler32.Checksum(p); got != want {
			t.Errorf("%08x, want %08x", got, want)
		}
	})
}

func BenchmarkChecksum(b *testing.B) {
	for name, f := range map[string]func([]byte) uint32{"here": Checksum, "hash": adler32.Checksum} {
		p := make([]byte, 1200) // a logged create of 1 KB
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				f(p)
			}
		})
	}
}

package server

import (
	"math/bits"
	"sync"
)

// bufferPool keeps frame buffers between requests, by size class (powers of two). The last one put
// back is the first one used again: its memory is mapped and perhaps still in a cache, which
// makes this cheaper than sync.Pool, and unlike that it keeps at most keepBytes.
type bufferPool struct {
	mu   sync.Mutex
	free [32][]*[]byte
	kept int
}

// keepBytes bounds what the pool holds on to. More is given to the garbage collector.
const keepBytes = 24 << 20

func class(n int) int { return bits.Len(uint(n - 1)) }

// get returns a buffer of at least n bytes. Its content is arbitrary.
func (p *bufferPool) get(n int) *[]byte {
	k := class(n)
	p.mu.Lock()
	if l := len(p.free[k]); l > 0 {
		b := p.free[k][l-1]
		p.free[k] = p.free[k][:l-1]
		p.kept -= len(*b)
		p.mu.Unlock()
		return b
	}
	p.mu.Unlock()
	b := make([]byte, 1<<k)
	return &b
}

func (p *bufferPool) put(b *[]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept+len(*b) > keepBytes {
		return
	}
	k := class(len(*b))
	p.free[k] = append(p.free[k], b)
	p.kept += len(*b)
}

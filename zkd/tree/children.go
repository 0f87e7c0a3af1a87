package tree

import (
	"slices"
	"strings"
)

// children is the sorted set of a node's children: a list of sorted chunks, so that an insert moves
// at most a chunk, iteration runs over plain slices, and a child costs little more than a pointer.
//
// Invariants: no chunk is empty, none is longer than maxChunk, names ascend within and across
// chunks, n is the number of children and names the sum of the lengths of their names.
type children struct {
	chunks [][]*Node
	n      int32
	prefix int32 // length of the parent's path and a slash: where the names begin
	names  int64
}

const maxChunk = 512

// seek finds the first child with a name not less than name. The position may be one behind the
// last child of the last chunk.
func (c *children) seek(name string) (chunk, index int, found bool) {
	lo, hi := 0, len(c.chunks)
	if hi > 0 && c.lastOf(hi-1) < name { // names often ascend
		return hi, 0, false
	}
	for lo < hi { // first chunk whose last name is not less
		mid := (lo + hi) / 2
		if c.lastOf(mid) < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == len(c.chunks) {
		return lo, 0, false
	}
	index, found = slices.BinarySearchFunc(c.chunks[lo], name, func(n *Node, name string) int {
		return strings.Compare(n.path[c.prefix:], name)
	})
	return lo, index, found
}

// lastOf is the last name in a chunk.
func (c *children) lastOf(chunk int) string {
	last := c.chunks[chunk]
	return last[len(last)-1].path[c.prefix:]
}

func (c *children) insert(kid *Node) {
	i, j, found := c.seek(kid.path[c.prefix:])
	if found {
		c.chunks[i][j] = kid
		return
	}
	c.n++
	c.names += int64(len(kid.path)) - int64(c.prefix)
	switch {
	case i < len(c.chunks):
	case i > 0 && len(c.chunks[i-1]) < maxChunk:
		i--
		j = len(c.chunks[i])
	default: // behind a full last chunk, which stays full
		c.chunks = append(c.chunks, []*Node{kid})
		return
	}
	if len(c.chunks[i]) == maxChunk {
		right := slices.Clone(c.chunks[i][maxChunk/2:])
		clear(c.chunks[i][maxChunk/2:])
		c.chunks[i] = c.chunks[i][:maxChunk/2]
		c.chunks = slices.Insert(c.chunks, i+1, right)
		if j > maxChunk/2 {
			i, j = i+1, j-maxChunk/2
		}
	}
	c.chunks[i] = slices.Insert(c.chunks[i], j, kid)
}

func (c *children) remove(name string) {
	i, j, found := c.seek(name)
	if !found {
		return
	}
	c.chunks[i] = slices.Delete(c.chunks[i], j, j+1)
	c.n--
	c.names -= int64(len(name))
	if len(c.chunks[i]) == 0 {
		c.chunks = slices.Delete(c.chunks, i, i+1)
	}
}

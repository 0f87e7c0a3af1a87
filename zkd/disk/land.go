package disk

import "math/rand/v2"

// sectors are the sizes of what a disk writes as a whole, and the cache with one stroke.
var sectors = [...]int64{512, 4096}

// land brings to c what reaches the disk of writes that no sync has made durable. They stop at some
// write. Sizes change in the order in which they were changed, as the journal of a filesystem keeps
// it. Of the data, each sector stops at some write, whatever the others do: the cache writes its
// pages in any order, and every time all that a page holds by then.
func land(c *content, writes []write, rng *rand.Rand) {
	if len(writes) == 0 {
		return
	}
	counted := writes[:rng.IntN(len(writes)+1)]
	sector := sectors[rng.IntN(len(sectors))]
	stopped := map[int64]bool{}
	for i, w := range counted {
		if w.data == nil {
			c.apply(w)
			continue
		}
		if i == len(counted)-1 && rng.IntN(3) == 0 {
			w.data = w.data[:rng.IntN(len(w.data)+1)] // nothing behind a place came through
		}
		landData(c, w, sector, stopped, rng)
	}
}

// landData brings the sectors of one write to c, but for those that have stopped or stop now.
func landData(c *content, w write, sector int64, stopped map[int64]bool, rng *rand.Rand) {
	odds := [...]int{0, 8, 2, 1}[rng.IntN(4)] // one in so many stops; 0: none
	end := w.off + int64(len(w.data))
	for at := w.off; at < end; {
		s := at / sector
		next := min((s+1)*sector, end)
		if odds > 0 && rng.IntN(odds) == 0 {
			stopped[s] = true
		}
		if !stopped[s] {
			c.apply(write{off: at, data: w.data[at-w.off : next-w.off]})
		}
		at = next
	}
	if end > c.size && rng.IntN(2) == 0 {
		c.apply(write{off: end}) // the size came through without the data
	}
}

package tally

// counts is a row of counters that takes four bytes each until one passes 2^32.
type counts struct {
	lo []uint32
	hi []uint32 // nil until the first carry
}

func newCounts(n int) counts { return counts{lo: make([]uint32, n)} }

func (c *counts) inc(i int) {
	c.lo[i]++
	if c.lo[i] == 0 {
		c.carry(i, 1)
	}
}

func (c *counts) add(i int, n uint64) {
	sum := uint64(c.lo[i]) + n&(1<<32-1)
	c.lo[i] = uint32(sum)
	if up := sum>>32 + n>>32; up != 0 {
		c.carry(i, uint32(up))
	}
}

func (c *counts) carry(i int, n uint32) {
	if c.hi == nil {
		c.hi = make([]uint32, len(c.lo))
	}
	c.hi[i] += n
}

func (c *counts) at(i int) uint64 {
	if c.hi == nil {
		return uint64(c.lo[i])
	}
	return uint64(c.hi[i])<<32 | uint64(c.lo[i])
}

// sum is the total of all counters.
func (c *counts) sum() uint64 {
	var n uint64
	for i := range c.lo {
		n += c.at(i)
	}
	return n
}

// pageLen is how many buckets of a histogram are allocated together: most latencies of one version
// lie within a few hundred of the thousand buckets.
const pageLen = 64

// hist is a histogram whose pages exist once they are used.
type hist struct {
	pages []*[pageLen]uint64
}

func newHist(buckets int) *hist {
	return &hist{pages: make([]*[pageLen]uint64, (buckets+pageLen-1)/pageLen)}
}

func (h *hist) add(bucket int, n uint64) {
	p := &h.pages[bucket/pageLen]
	if *p == nil {
		*p = new([pageLen]uint64)
	}
	(*p)[bucket%pageLen] += n
}

// addTo adds the histogram to a flat one.
func (h *hist) addTo(flat []uint64) {
	for i, p := range h.pages {
		if p == nil {
			continue
		}
		for j, c := range p {
			if c != 0 {
				flat[i*pageLen+j] += c
			}
		}
	}
}

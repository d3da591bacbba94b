package credittraffic

import "math/bits"

// weights draws places in proportion to changing weights, in O(log n) per draw and change: a binary indexed tree
// (Fenwick 1994, "A new data structure for cumulative frequency tables"). tree[i] holds the sum of the last
// i & -i weights up to the i-th, counted from 1.
type weights struct {
	tree    []uint64
	current []uint64
	sum     uint64
	top     int // the highest power of two <= n
}

func newWeights(n int) *weights {
	return &weights{
		tree: make([]uint64, n+1), current: make([]uint64, n),
		top: 1 << (bits.Len(uint(n)) - 1),
	}
}

// set gives place i, from 0, the weight w.
func (t *weights) set(i int, w uint64) {
	change := w - t.current[i] // modulo 2^64: adding it to sums is right when it is negative too
	t.current[i] = w
	t.sum += change
	for j := i + 1; j < len(t.tree); j += j & -j {
		t.tree[j] += change
	}
}

// find returns the place on which x, in [0, sum), falls when the weights lie end to end.
func (t *weights) find(x uint64) int {
	at := 0
	for step := t.top; step > 0; step /= 2 {
		if next := at + step; next < len(t.tree) && t.tree[next] <= x {
			at = next
			x -= t.tree[next]
		}
	}
	return at
}

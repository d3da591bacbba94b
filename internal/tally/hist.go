package tally

import (
	"math"
	"math/bits"
	"sort"
)

// Latencies are counted in buckets with fixed integer edges, the same everywhere and for ever:
// 0, 1, 2, ... microseconds, each next edge at most 2 % above the last (gamma 1.02) and at least one
// microsecond. Bucket i holds Edge(i-1) < x <= Edge(i), so that a count of "longer than an edge" is
// exact. The last edge is the largest uint32, 71 minutes.

// edges are the edges, ascending; starts is where the search for a latency begins.
var (
	edges  = makeEdges()
	starts = makeStarts(edges)
)

// LatencyBuckets is the number of latency buckets.
var LatencyBuckets = len(edges)

func makeEdges() []uint32 {
	var e []uint32
	for x := uint64(0); x < math.MaxUint32; x = max(x+1, x*102/100) {
		e = append(e, uint32(x))
	}
	return append(e, math.MaxUint32)
}

// mantissaBits of a latency, below its leading one, choose its start; a step of 1/64 is finer than
// a bucket, so at most two steps follow.
const mantissaBits = 6

func startKey(us uint32) int {
	if us < 1<<mantissaBits {
		return int(us)
	}
	shift := bits.Len32(us) - 1 - mantissaBits
	return (shift+1)<<mantissaBits + int(us>>shift) - 1<<mantissaBits
}

func makeStarts(e []uint32) []uint16 {
	starts := make([]uint16, startKey(math.MaxUint32)+1)
	for k := range starts {
		first := uint32(k)
		if shift := k>>mantissaBits - 1; shift >= 0 {
			first = uint32(k&(1<<mantissaBits-1)+1<<mantissaBits) << shift
		}
		starts[k] = uint16(sort.Search(len(e), func(i int) bool { return e[i] >= first }))
	}
	return starts
}

// Edge returns the upper edge of latency bucket i in microseconds, 0 <= i < LatencyBuckets.
func Edge(i int) uint32 { return edges[i] }

// Bucket returns the latency bucket of us microseconds: the smallest i with us <= Edge(i).
func Bucket(us uint32) int {
	i := int(starts[startKey(us)])
	for edges[i] < us {
		i++
	}
	return i
}

// Snap returns the edge nearest to us in ratio (the larger one if both are equally near). A threshold
// that is an edge splits the histogram exactly. The relative error is at most 1 % from 50 us on.
func Snap(us uint32) uint32 {
	i := Bucket(us)
	if i == 0 || edges[i] == us {
		return edges[i]
	}
	lo, hi := uint64(edges[i-1]), uint64(edges[i])
	if lo*hi > uint64(us)*uint64(us) {
		return uint32(lo)
	}
	return uint32(hi)
}

// Means are counted in buckets of their own until the baseline has frozen their cap: 64 to each
// octave from 2^-40 to 2^40, so that the relative width is at most 1/64. Bucket 0 holds everything
// up to 2^-40, zero and negative values included; the last one everything beyond 2^40.
const (
	octaveBits = 6
	minOctave  = -40
	maxOctave  = 40
	// ValueBuckets is the number of buckets for values of means.
	ValueBuckets = (maxOctave-minOctave)<<octaveBits + 2
)

// ValueBucket returns the bucket of a finite value.
func ValueBucket(x float64) int {
	if x <= 1.0/(1<<-minOctave) {
		return 0
	}
	if x > 1<<maxOctave {
		return ValueBuckets - 1
	}
	// The value just below x belongs to the same half-open bucket (lo, hi] as x.
	b := math.Float64bits(x) - 1
	octave := int(b>>52) - 1023
	return (octave-minOctave)<<octaveBits + int(b>>(52-octaveBits))&(1<<octaveBits-1) + 1
}

// ValueEdge returns the upper edge of a value bucket: bucket i holds ValueEdge(i-1) < x <= ValueEdge(i).
// The last edge is +Inf.
func ValueEdge(i int) float64 {
	if i == ValueBuckets-1 {
		return math.Inf(1)
	}
	octave, part := i>>octaveBits+minOctave, i&(1<<octaveBits-1)
	return math.Ldexp(1+float64(part)/(1<<octaveBits), octave)
}

// Rank returns the smallest bucket such that at least the share q (0 to 1) of all counts lies in it
// or below, and how many counts there are. With no counts it returns -1, 0.
func Rank(hist []uint64, q float64) (bucket int, n uint64) {
	for _, c := range hist {
		n += c
	}
	if n == 0 {
		return -1, 0
	}
	need := max(uint64(math.Ceil(q*float64(n))), 1)
	var sum uint64
	for i, c := range hist {
		if sum += c; sum >= need {
			return i, n
		}
	}
	return len(hist) - 1, n
}

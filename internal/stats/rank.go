package stats

import (
	"math"
	"sort"
)

// RankTest is the Mann-Whitney comparison of two samples.
type RankTest struct {
	U     float64 // wins of x over y plus half the ties
	Z, P  float64 // continuity-corrected normal approximation, two-sided
	HasP  bool    // false if all values are tied
	Shift float64 // Hodges-Lehmann estimate, the median of y - x
	CLES  float64 // P(y > x) + P(tie)/2
}

// MannWhitney compares two samples by ranks: variance corrected for ties, continuity correction 1/2 towards the
// mean (z = 0, p = 1 within it). Fixed-sample reference, the rule of Kayenta; not valid under repeated looks. An empty sample is
// [ErrUndefined], a non-finite value [ErrDomain]. Cost O(n log n): the median difference is found by counting, not by listing.
func MannWhitney(x, y []float64) (RankTest, error) {
	if !finite(x...) || !finite(y...) {
		return RankTest{}, domain("MannWhitney", "values must be finite")
	}
	if len(x) == 0 || len(y) == 0 {
		return RankTest{}, undefined("MannWhitney", "a sample is empty")
	}
	xs, ys := append([]float64(nil), x...), append([]float64(nil), y...)
	sort.Float64s(xs)
	sort.Float64s(ys)
	m, n := float64(len(xs)), float64(len(ys))
	var r RankTest
	below, same := 0, 0 // y below and equal to the current x
	for _, v := range xs {
		for below < len(ys) && ys[below] < v {
			below++
		}
		for same = max(same, below); same < len(ys) && ys[same] <= v; {
			same++
		}
		r.U += float64(below) + float64(same-below)/2
	}
	r.CLES = 1 - r.U/(m*n)
	r.Shift = hodgesLehmann(xs, ys)
	total := m + n
	variance := m * n / 12 * ((total + 1) - tieSum(xs, ys)/(total*(total-1)))
	if variance <= 1e-12 {
		return r, nil
	}
	r.HasP, r.P = true, 1
	if off := r.U - m*n/2; math.Abs(off) >= 0.5 {
		r.Z = (off - math.Copysign(0.5, off)) / math.Sqrt(variance)
		r.P = math.Min(1, math.Erfc(math.Abs(r.Z)/math.Sqrt2))
	}
	return r, nil
}

// tieSum is the sum of t^3 - t over groups of equal values in both samples.
func tieSum(xs, ys []float64) float64 {
	all := append(append(make([]float64, 0, len(xs)+len(ys)), xs...), ys...)
	sort.Float64s(all)
	sum := 0.0
	for i := 0; i < len(all); {
		j := i
		for j < len(all) && all[j] == all[i] {
			j++
		}
		t := float64(j - i)
		sum += t*t*t - t
		i = j
	}
	return sum
}

// hodgesLehmann is the median of all differences y - x of sorted samples.
func hodgesLehmann(xs, ys []float64) float64 {
	pairs := len(xs) * len(ys)
	lo := kthDifference(xs, ys, (pairs-1)/2)
	if pairs%2 == 1 {
		return lo
	}
	return lo/2 + kthDifference(xs, ys, pairs/2)/2
}

// kthDifference returns the k-th smallest (from 0) rounded difference y - x, exactly: it bisects over the ordered
// float64 values, counting in O(m+n). Rounding keeps the differences sorted along both samples, so counting is right.
func kthDifference(xs, ys []float64, k int) float64 {
	atMost := func(t float64) int {
		count, i := 0, 0
		for _, y := range ys { // as y grows, more x are too small
			for i < len(xs) && y-xs[i] > t {
				i++
			}
			count += len(xs) - i
		}
		return count
	}
	lo, hi := orderedBits(ys[0]-xs[len(xs)-1]), orderedBits(ys[len(ys)-1]-xs[0])
	for lo < hi {
		mid := lo + (hi-lo)/2
		if atMost(fromOrdered(mid)) > k {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return fromOrdered(lo) + 0 // -0 becomes 0
}

// orderedBits maps float64 to uint64 in order.
func orderedBits(x float64) uint64 {
	b := math.Float64bits(x)
	if b>>63 == 1 {
		return ^b
	}
	return b | 1<<63
}

func fromOrdered(u uint64) float64 {
	if u>>63 == 1 {
		return math.Float64frombits(u &^ (1 << 63))
	}
	return math.Float64frombits(^u)
}

package stats

import (
	"math"
	"sort"
)

// QuantileRanks returns the accepted ranks [lo, hi] of the p-quantile of n values at level 1-alpha for all times:
//
//	{ k : lnB(c p + k, c(1-p) + n-k) - lnB(c p, c(1-p)) - k ln p - (n-k) ln(1-p) < ln(1/alpha) }.
//
// The quantile lies in [X_(lo), X_(hi+1)], order statistics counted from 1; lo = 0 is -Inf, hi = n is +Inf. In a histogram take
// the lower edge of the bucket that holds rank lo and the upper edge of the one with rank hi+1. Howard & Ramdas 2022, beta-binomial
// mixture; c = 100 suits p50-p95, 1000 p99 and beyond. Whole n, 1e-100 <= p < 1, alpha in (0,1), 1e-6 <= c <= 1e15, otherwise [ErrDomain];
// n = 0 is [ErrUndefined].
func QuantileRanks(n, p, alpha, c float64) (lo, hi float64, err error) {
	if !isCount(n) || n != math.Floor(n) || !isShare(p) || !isAlpha(alpha) || !isShape(c) {
		return 0, 0, domain("QuantileRanks", "n=%g p=%g alpha=%g c=%g", n, p, alpha, c)
	}
	if n == 0 {
		return 0, 0, undefined("QuantileRanks", "no values")
	}
	want := -math.Log(alpha)
	accepted := func(k float64) bool { return lnLabelE(n-k, k, p, c) < want }
	centre := math.Min(math.Max(math.RoundToEven(n*p), 0), n)
	return lastAccepted(accepted, centre, 0), lastAccepted(accepted, centre, n), nil
}

// lastAccepted walks from an accepted whole number in towards end and returns the last accepted one.
func lastAccepted(accepted func(float64) bool, in, end float64) float64 {
	if accepted(end) {
		return end
	}
	for math.Abs(end-in) > 1 {
		m := math.Floor((in + end) / 2)
		if accepted(m) {
			in = m
		} else {
			end = m
		}
	}
	return in
}

// QuantileCS returns the time-uniform confidence sequence of the p-quantile of a sample (any order; it is not changed),
// see [QuantileRanks]. Values must not be NaN.
func QuantileCS(sample []float64, p, alpha, c float64) (Interval, error) {
	for i, x := range sample {
		if math.IsNaN(x) {
			return Interval{}, domain("QuantileCS", "value %d is not a number", i)
		}
	}
	lo, hi, err := QuantileRanks(float64(len(sample)), p, alpha, c)
	if err != nil {
		return Interval{}, err
	}
	s := append([]float64(nil), sample...)
	sort.Float64s(s)
	cs := Interval{math.Inf(-1), math.Inf(1)}
	if lo > 0 {
		cs.Lo = s[int(lo)-1]
	}
	if int(hi) < len(s) {
		cs.Hi = s[int(hi)]
	}
	return cs, nil
}

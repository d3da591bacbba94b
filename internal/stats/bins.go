package stats

import "math"

// ArmBins are the sums of one arm in one stratum by bin of units: element b belongs to the units whose fixed second
// hash falls into bin b (1,024 bins in Sluice), in every stratum and for both arms.
type ArmBins struct {
	N []float64 // observations, >= 0
	Y []float64 // sum of the outcome
	X []float64 // sum of the denominator, >= 0; nil for a mean per observation, else the metric is sum Y / sum X
}

// BinStratum holds both arms of one period with constant shares; all its slices have one length.
type BinStratum struct{ A, B ArmBins }

// BinEffect is a difference B minus A estimated over bins, with what a gate must know about its reliability.
type BinEffect struct {
	D, V float64 // estimate and its variance, V = max(strata, bins, pooled); V may be 0
	A, B BinArm  // over all strata used
	Used int     // strata that contributed
	W    float64 // sum of the strata weights nA nB/(nA+nB), observations
}

// BinArm summarises one arm over all strata used.
type BinArm struct {
	N, Value float64 // observations; plain sum Y / sum X over strata, for display
	KEff     float64 // N^2 / sum n_b^2: how many equally busy bins the data are worth
	Bins     int     // bins with observations
	With     int     // bins in which some outcome is above zero (for 0/1 data: with the event)
	Without  int     // bins in which the outcome falls short of n (for 0/1 data: without the event)
	V        float64 // variance of the arm's own part, sum of w_s^2 V_s / W^2
}

// BinDifference estimates the difference of means (or of ratios sum Y/sum X) between arms, robust against users who
// come back: variance is taken between bins of users, never between requests.
//
// Per arm and stratum theta = sum Y/sum N, r_b = Y_b - theta N_b, V = k/(k-1) sum r_b^2/N^2 over the k non-empty bins
// (X takes the place of N in a ratio). V of a stratum is the larger of unpooled VA+VB and pooled, sigma^2 (1/NA+1/NB) with
// sigma^2 the mean of V_a N_a weighted by N_a: a small arm that missed the tail has a low mean and a low variance. Strata
// combine with w_s = NA NB/(NA+NB), W = sum w_s, D = sum w_s d_s/W, and because the same users return in every
// stratum
//
//	V = max( sum w_s^2 V_s/W^2, sum_b I_b^2 ),  I_b = sum_s w_s/W (r_sBb/N_sB - r_sAb/N_sA).
//
// With one user per bin it is the user-level delta method (Deng et al. 2018). Strata in which an arm has fewer than two
// non-empty bins (or a zero denominator) are skipped; nothing left is [ErrUndefined]. Slices of unequal length,
// negative counts or non-finite sums are [ErrDomain]. Cost: a few microseconds per 1,024 bins and arm.
func BinDifference(strata []BinStratum) (BinEffect, error) {
	const where = "BinDifference"
	bins, err := checkBins(where, strata)
	if err != nil {
		return BinEffect{}, err
	}
	var e BinEffect
	var buf [3][]float64
	for i := range buf {
		buf[i] = make([]float64, bins)
	}
	influence, accA, accB := buf[0], newBinAcc(bins), newBinAcc(bins)
	var sumD, sumV float64
	for i, s := range strata {
		a, okA := fitArm(s.A, buf[1])
		b, okB := fitArm(s.B, buf[2])
		if a.bad || b.bad {
			return BinEffect{}, domain(where, "stratum %d: a count is negative or a sum is not finite", i)
		}
		if !okA || !okB {
			continue
		}
		w := a.n * (b.n / (a.n + b.n))
		e.Used++
		e.W += w
		sumD += w * (b.theta - a.theta)
		sumV += w * w * stratumVariance(a, b)
		e.A.V += w * w * a.v
		e.B.V += w * w * b.v
		fa, fb := w/a.den, w/b.den
		for j := range influence {
			influence[j] += fb*buf[2][j] - fa*buf[1][j]
		}
		accA.add(s.A, a.den)
		accB.add(s.B, b.den)
	}
	if e.Used == 0 || e.W == 0 {
		return BinEffect{}, undefined(where, "no stratum with two non-empty bins in both arms")
	}
	between := 0.0
	for _, x := range influence {
		between += x * x
	}
	e.D = sumD / e.W
	e.V = math.Max(sumV, between) / e.W / e.W
	e.A.V, e.B.V = e.A.V/e.W/e.W, e.B.V/e.W/e.W
	accA.finish(&e.A)
	accB.finish(&e.B)
	if !finite(e.D, e.V, e.A.V, e.B.V, e.A.Value, e.B.Value) {
		return BinEffect{}, domain(where, "sums beyond the float64 range")
	}
	return e, nil
}

// Ready reports whether the normal approximation may be used: both arms worth at least 20 bins, and for 0/1
// data (binary) each outcome present in at least 10 bins of both arms.
func (e BinEffect) Ready(binary bool) bool {
	ok := e.A.KEff >= 20 && e.B.KEff >= 20
	if binary {
		ok = ok && min(e.A.With, e.A.Without, e.B.With, e.B.Without) >= 10
	}
	return ok
}

// BinBaseline returns the value of one arm, its variance over bins, and v0 = variance times observations, the
// per-observation variance that a baseline freezes. [ErrUndefined] below two non-empty bins.
func BinBaseline(arm ArmBins) (value, variance, v0 float64, err error) {
	const where = "BinBaseline"
	if _, err := checkBins(where, []BinStratum{{A: arm, B: arm}}); err != nil {
		return 0, 0, 0, err
	}
	f, ok := fitArm(arm, make([]float64, len(arm.N)))
	if f.bad {
		return 0, 0, 0, domain(where, "a count is negative or a sum is not finite")
	}
	if !ok {
		return 0, 0, 0, undefined(where, "fewer than two non-empty bins")
	}
	if !finite(f.theta, f.v, f.v*f.n) {
		return 0, 0, 0, domain(where, "sums beyond the float64 range")
	}
	return f.theta, f.v, f.v * f.n, nil
}

// PairedBinEffect is the one-sample form for shadow pairs: n_b pairs and the sum of their differences candidate minus live
// per bin give D = sum diff/sum n and V = k/(k-1) sum (diff_b - D n_b)^2/N^2. Errors as in [BinDifference].
func PairedBinEffect(n, diff []float64) (d, v, kEff float64, err error) {
	const where = "PairedBinEffect"
	arm := ArmBins{N: n, Y: diff}
	if d, v, _, err = BinBaseline(arm); err != nil {
		return 0, 0, 0, err
	}
	return d, v, effectiveBins(n), nil
}

func effectiveBins(n []float64) float64 {
	var sum, squares float64
	for _, x := range n {
		sum += x
		squares += x * x
	}
	if squares == 0 {
		return 0
	}
	return sum * (sum / squares)
}

// armFit is one arm of one stratum: observations, denominator (n or sum X), value, variance; bad if a count is
// negative or a sum not finite.
type armFit struct {
	n, den, theta, v float64
	bad              bool
}

// fitArm fits one arm and leaves its residuals r_b in r.
func fitArm(arm ArmBins, r []float64) (f armFit, ok bool) {
	den := arm.N
	if arm.X != nil {
		den = arm.X
	}
	var y float64
	k := 0
	for b, n := range arm.N {
		f.n += n
		f.den += den[b]
		y += arm.Y[b]
		if n > 0 {
			k++
		}
		f.bad = f.bad || n < 0 || den[b] < 0
	}
	if f.bad = f.bad || !finite(f.n, f.den, y); f.bad {
		return f, false
	}
	if k < 2 || !(f.den > 0) {
		return f, false
	}
	f.theta = y / f.den
	squares := 0.0
	for b, y := range arm.Y {
		r[b] = y - f.theta*den[b]
		squares += r[b] * r[b]
	}
	// a constant outcome leaves residuals of rounding only: they are not variance
	if scale := math.Abs(y) * 1e-14; squares <= scale*scale {
		squares = 0
	}
	f.v = float64(k) / float64(k-1) * squares / f.den / f.den
	return f, true
}

func stratumVariance(a, b armFit) float64 {
	sigma2 := (a.v*a.n*a.n + b.v*b.n*b.n) / (a.n + b.n)
	return math.Max(a.v+b.v, sigma2*(1/a.n+1/b.n))
}

// binAcc adds an arm's sums over strata, per bin and in all.
type binAcc struct {
	n, y       []float64
	total, den float64
}

func newBinAcc(bins int) *binAcc {
	return &binAcc{n: make([]float64, bins), y: make([]float64, bins)}
}

func (c *binAcc) add(arm ArmBins, den float64) {
	c.den += den
	for b, n := range arm.N {
		c.n[b] += n
		c.y[b] += arm.Y[b]
		c.total += arm.Y[b]
	}
}

func (c *binAcc) finish(out *BinArm) {
	out.KEff = effectiveBins(c.n)
	out.Value = c.total / c.den
	for b, n := range c.n {
		if n == 0 {
			continue
		}
		out.N += n
		out.Bins++
		if c.y[b] > 0 {
			out.With++
		}
		if c.y[b] < n {
			out.Without++
		}
	}
}

// checkBins returns the common number of bins.
func checkBins(where string, strata []BinStratum) (int, error) {
	bins := 0
	for i, s := range strata {
		if i == 0 {
			bins = len(s.A.N)
		}
		for j, arm := range [...]*ArmBins{&s.A, &s.B} {
			if len(arm.N) != bins || len(arm.Y) != bins || (arm.X != nil && len(arm.X) != bins) {
				return 0, domain(where, "stratum %d arm %c: %d counts, %d sums, %d denominators, want %d each",
					i, 'A'+rune(j), len(arm.N), len(arm.Y), len(arm.X), bins)
			}
		}
	}
	return bins, nil
}

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
	fits := make([]stratumFit, 0, len(strata))
	var e BinEffect
	for i, s := range strata {
		f := stratumFit{a: totals(s.A), b: totals(s.B)}
		if f.a.bad || f.b.bad {
			return BinEffect{}, domain(where, "stratum %d: a count is negative or a sum is not finite", i)
		}
		if !f.a.usable() || !f.b.usable() {
			continue
		}
		f.w = f.a.n * (f.b.n / (f.a.n + f.b.n))
		f.perA, f.perB = f.w/f.a.den, f.w/f.b.den
		f.A, f.B = s.A.denominators(), s.B.denominators()
		e.W += f.w
		fits = append(fits, f)
	}
	if e.Used = len(fits); e.W == 0 {
		return BinEffect{}, undefined(where, "no stratum with two non-empty bins in both arms")
	}
	e.combine(fits, e.walk(fits, bins))
	if !finite(e.D, e.V, e.A.V, e.B.V, e.A.Value, e.B.Value) {
		return BinEffect{}, domain(where, "sums beyond the float64 range")
	}
	return e, nil
}

// stratumFit is one stratum that counts, its arms with X set.
type stratumFit struct {
	BinStratum
	a, b       armFit
	w          float64
	perA, perB float64 // w/den
}

// walk passes once over all bins: it adds up squared residuals per stratum and arm in fits, describes the arms over all
// strata, and returns W^2 times the variance between bins of users.
func (e *BinEffect) walk(fits []stratumFit, bins int) (between float64) {
	var squaresA, squaresB float64
	for b := range bins {
		var influence, nA, yA, nB, yB float64
		for i := range fits {
			f := &fits[i]
			rA := f.A.Y[b] - f.a.theta*f.A.X[b]
			rB := f.B.Y[b] - f.b.theta*f.B.X[b]
			f.a.squares += rA * rA
			f.b.squares += rB * rB
			influence += f.perB*rB - f.perA*rA
			nA += f.A.N[b]
			yA += f.A.Y[b]
			nB += f.B.N[b]
			yB += f.B.Y[b]
		}
		between += influence * influence
		e.A.see(nA, yA)
		e.B.see(nB, yB)
		squaresA += nA * nA
		squaresB += nB * nB
	}
	e.A.KEff = e.A.N * (e.A.N / squaresA)
	e.B.KEff = e.B.N * (e.B.N / squaresB)
	return between
}

// see takes in one bin of an arm.
func (a *BinArm) see(n, y float64) {
	if n == 0 {
		return
	}
	a.N += n
	a.Bins++
	if y > 0 {
		a.With++
	}
	if y < n {
		a.Without++
	}
}

// combine weighs the strata.
func (e *BinEffect) combine(fits []stratumFit, between float64) {
	var sumV, yA, denA, yB, denB float64
	constant := true
	for i := range fits {
		f := &fits[i]
		vA, vB := f.a.variance(), f.b.variance()
		sigma2 := (vA*f.a.n*f.a.n + vB*f.b.n*f.b.n) / (f.a.n + f.b.n)
		sumV += f.w * f.w * math.Max(vA+vB, sigma2*(1/f.a.n+1/f.b.n))
		e.D += f.w / e.W * (f.b.theta - f.a.theta)
		e.A.V += f.w / e.W * (f.w / e.W) * vA
		e.B.V += f.w / e.W * (f.w / e.W) * vB
		yA, denA = yA+f.a.y, denA+f.a.den
		yB, denB = yB+f.b.y, denB+f.b.den
		constant = constant && vA == 0 && vB == 0
	}
	e.A.Value, e.B.Value = yA/denA, yB/denB
	if !constant {
		e.V = math.Max(sumV, between) / e.W / e.W
	}
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
	f := totals(arm)
	if f.bad {
		return 0, 0, 0, domain(where, "a count is negative or a sum is not finite")
	}
	if !f.usable() {
		return 0, 0, 0, undefined(where, "fewer than two non-empty bins")
	}
	arm = arm.denominators()
	for b, y := range arm.Y {
		r := y - f.theta*arm.X[b]
		f.squares += r * r
	}
	v := f.variance()
	if !finite(f.theta, v, v*f.n) {
		return 0, 0, 0, domain(where, "sums beyond the float64 range")
	}
	return f.theta, v, v * f.n, nil
}

// PairedBinEffect is the one-sample form for shadow pairs: n_b pairs and the sum of their differences candidate minus live
// per bin give D = sum diff/sum n and V = k/(k-1) sum (diff_b - D n_b)^2/N^2. Errors as in [BinDifference].
func PairedBinEffect(n, diff []float64) (d, v, kEff float64, err error) {
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

// armFit is one arm of one stratum.
type armFit struct {
	n, den  float64 // observations; n or sum X
	y       float64
	theta   float64 // y/den
	squares float64 // sum of r_b^2, filled in by a second pass
	bins    int     // non-empty bins
	bad     bool    // a count is negative or a sum not finite
}

// denominators returns the arm with X set: to N for a mean per observation.
func (a ArmBins) denominators() ArmBins {
	if a.X == nil {
		a.X = a.N
	}
	return a
}

func totals(arm ArmBins) (f armFit) {
	arm = arm.denominators()
	negative := false
	for b, n := range arm.N {
		f.n += n
		f.den += arm.X[b]
		f.y += arm.Y[b]
		if n > 0 {
			f.bins++
		}
		negative = negative || n < 0 || arm.X[b] < 0
	}
	f.bad = negative || !finite(f.n, f.den, f.y)
	f.theta = f.y / f.den
	return f
}

func (f *armFit) usable() bool { return f.bins >= 2 && f.den > 0 }

// variance is k/(k-1) sum r_b^2/den^2. A constant outcome leaves residuals of rounding only, which are not variance.
func (f *armFit) variance() float64 {
	if noise := math.Abs(f.y) * 1e-14; f.squares <= noise*noise {
		return 0
	}
	return float64(f.bins) / float64(f.bins-1) * f.squares / f.den / f.den
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

package stats

import "math"

// PointsVerdict is the answer of [NoWorseInPoints] and [HarmInPoints].
type PointsVerdict struct {
	A, B    Interval // time-uniform bounds of either arm's proportion at the level asked
	Gap     float64  // the bound of pB - pA that decides: upper (no worse) or lower (harm)
	Shown   bool     // the statement holds at the level asked
	LnLevel float64  // ln of the smallest alpha at which it holds; 0 if it holds at no alpha below 1
}

// NoWorseInPoints asks whether pB - pA < margin is shown, from kA of nA and kB of nB closed units with the event: U_B - L_A < margin
// with time-uniform bounds of [BernoulliCS] at alpha/2 each, so that a false "shown" has probability at most alpha at
// all times together. It can be shown with no event at all.
//
// 0 <= k <= n, 0 < margin <= 1, alpha in (0,1), otherwise [ErrDomain]. An empty arm shows nothing. LnLevel is
// accurate to 1e-9. Where this rule is one of two routes to the same statement, the caller passes half of its alpha.
func NoWorseInPoints(kA, nA, kB, nB, margin, alpha float64) (PointsVerdict, error) {
	if !(margin > 0 && margin <= 1) {
		return PointsVerdict{}, domain("NoWorseInPoints", "margin=%g, want (0,1]", margin)
	}
	a, b, err := pointArms("NoWorseInPoints", kA, nA, kB, nB, alpha)
	if err != nil {
		return PointsVerdict{}, err
	}
	return pointsVerdict(a, b, alpha, func(l float64) (gap, short float64) {
		gap = b.upper(l) - a.lower(l)
		return gap, gap - margin
	}), nil
}

// HarmInPoints asks whether pB - pA > tolerate is shown: L_B - U_A > tolerate, the mirror of [NoWorseInPoints] with the
// same bounds at alpha/2 each. 0 <= tolerate < 1.
func HarmInPoints(kA, nA, kB, nB, tolerate, alpha float64) (PointsVerdict, error) {
	if !(tolerate >= 0 && tolerate < 1) {
		return PointsVerdict{}, domain("HarmInPoints", "tolerate=%g, want [0,1)", tolerate)
	}
	a, b, err := pointArms("HarmInPoints", kA, nA, kB, nB, alpha)
	if err != nil {
		return PointsVerdict{}, err
	}
	return pointsVerdict(a, b, alpha, func(l float64) (gap, short float64) {
		gap = b.lower(l) - a.upper(l)
		return gap, tolerate - gap
	}), nil
}

func pointArms(where string, kA, nA, kB, nB, alpha float64) (a, b bernoulli, err error) {
	if !isCount(kA, nA, kB, nB) || kA > nA || kB > nB || !isAlpha(alpha) {
		return a, b, domain(where, "kA=%g nA=%g kB=%g nB=%g alpha=%g", kA, nA, kB, nB, alpha)
	}
	return newBernoulli(kA, nA), newBernoulli(kB, nB), nil
}

// pointsVerdict evaluates the gap of the two bounds, each at ln(2/alpha). short is negative where the statement
// holds, and grows as alpha falls: the level reached is its only zero.
func pointsVerdict(a, b bernoulli, alpha float64, at func(l float64) (gap, short float64)) PointsVerdict {
	l := math.Log(2 / alpha)
	v := PointsVerdict{
		A: Interval{a.lower(l), a.upper(l)},
		B: Interval{b.lower(l), b.upper(l)},
	}
	var short float64
	v.Gap, short = at(l)
	if a.n > 0 && b.n > 0 {
		v.Shown = short < 0
		v.LnLevel = lnLevel(func(l float64) float64 { _, s := at(l); return s })
	}
	return v
}

// lnLevel returns ln of the smallest alpha in (0,1] with short(ln(2/alpha)) < 0, for short growing in its argument.
func lnLevel(short func(float64) float64) float64 {
	lo := math.Ln2 // alpha = 1
	if short(lo) >= 0 {
		return 0
	}
	hi := 2 * lo
	for short(hi) < 0 {
		if hi > 1e15 {
			return math.Ln2 - hi
		}
		lo, hi = hi, hi*4
	}
	return math.Ln2 - bracketRoot(short, lo, hi)
}

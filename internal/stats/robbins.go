package stats

import "math"

// BestRho returns the precision rho of the normal mixture whose two-sided boundary is tightest at variance v:
// rho = v / (-W_{-1}(-alpha^2/e) - 1), Howard et al. 2021, Prop. 3. With m the denominator, m - ln(1+m) = 2 ln(1/alpha),
// which Newton's method solves for any alpha, even where alpha^2 underflows. v > 0 in squared units of the sum, alpha in (0,1),
// otherwise [ErrDomain].
func BestRho(v, alpha float64) (float64, error) {
	if !positive(v) || !isAlpha(alpha) {
		return 0, domain("BestRho", "v=%g alpha=%g", v, alpha)
	}
	return v / lambertExcess(alpha), nil
}

// lambertExcess returns -W_{-1}(-alpha^2/e) - 1.
func lambertExcess(alpha float64) float64 {
	q := -2 * math.Log(alpha)
	m := q + math.Sqrt(2*q) // an upper bound (Chatzigeorgiou 2013), from where Newton falls monotonically
	for range 60 {
		next := m - (m-math.Log1p(m)-q)*(1+m)/m
		if !(next > 0) || math.Abs(next-m) <= 1e-15*m {
			break
		}
		m = next
	}
	return m
}

// RobbinsResult is the evidence of a normal mixture about a sum, and its boundaries.
type RobbinsResult struct {
	TwoSided, OneSided           float64 // ln E
	BoundTwoSided, BoundOneSided float64 // |s| (two-sided) or s (one-sided) at which ln E = ln(1/alpha)
}

// Robbins evaluates the normal-mixture boundary (Robbins 1970; Howard et al. 2021, Prop. 4 and 5) for a sum s with
// variance v and a prior of precision rho:
//
//	two-sided  ln E = 1/2 ln(rho/(v+rho)) + s^2/(2(v+rho))
//	one-sided  ln E = 1/2 ln(4 rho/(v+rho)) + s^2/(2(v+rho)) + ln Phi(s/sqrt(v+rho)).
//
// s finite, v >= 0, rho > 0, alpha in (0,1), otherwise [ErrDomain]. Bounds are accurate to 1e-12.
func Robbins(s, v, rho, alpha float64) (RobbinsResult, error) {
	if !finite(s) || !notNegative(v) || !positive(rho) || !isAlpha(alpha) {
		return RobbinsResult{}, domain("Robbins", "s=%g v=%g rho=%g alpha=%g", s, v, rho, alpha)
	}
	t := v + rho
	root := math.Sqrt(t)
	z := s / root
	shrink := -0.5 * math.Log1p(v/rho)
	want := -math.Log(alpha)
	one := func(z float64) float64 { return math.Ln2 + shrink + lnMills(z) }
	b := math.Sqrt(2 * (want - shrink))
	r := RobbinsResult{TwoSided: shrink + z*z/2, OneSided: one(z), BoundTwoSided: b * root}
	// one(0) = shrink <= 0 < want, and one(b) = want + ln(2 Phi(b)) >= want
	r.BoundOneSided = root * bracketRoot(func(z float64) float64 { return one(z) - want }, 0, b)
	if !finite(r.TwoSided, r.OneSided, r.BoundTwoSided, r.BoundOneSided) {
		return RobbinsResult{}, domain("Robbins", "result beyond the float64 range")
	}
	return r, nil
}

// AsympCSMean returns the asymptotic confidence sequence of a mean from n values with unbiased variance, tightest at n = tOpt
// (Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, arXiv 2103.06476, eq. 9): mean +- half with
//
//	half = sd sqrt( 2 (n r2 + 1)/(n^2 r2) ln(sqrt(n r2 + 1)/alpha) ),  r2 = 1/BestRho(tOpt, alpha).
//
// n < 2 or variance 0 is [ErrUndefined]; tOpt > 0, alpha in (0,1), finite mean, variance >= 0, otherwise [ErrDomain].
func AsympCSMean(n, mean, variance, tOpt, alpha float64) (half float64, cs Interval, err error) {
	const where = "AsympCSMean"
	if !isCount(n) || !notNegative(variance) || !finite(mean) || !positive(tOpt) || !isAlpha(alpha) {
		return 0, cs, domain(where, "n=%g mean=%g variance=%g tOpt=%g alpha=%g", n, mean, variance, tOpt, alpha)
	}
	if n < 2 || variance == 0 {
		return 0, cs, undefined(where, "fewer than two values or no variance")
	}
	r2 := lambertExcess(alpha) / tOpt
	grown := n*r2 + 1
	half = math.Sqrt(variance) * math.Sqrt(2*grown/r2*(0.5*math.Log(grown)-math.Log(alpha))) / n
	if !finite(half, mean-half, mean+half) {
		return 0, cs, domain(where, "result beyond the float64 range")
	}
	return half, Interval{mean - half, mean + half}, nil
}

// ArmMoments are n, mean and unbiased variance of one arm.
type ArmMoments struct{ N, Mean, Var float64 }

// MomentStratum holds both arms' moments of one period with constant shares.
type MomentStratum struct{ A, B ArmMoments }

// StratDiff is a stratified difference of means with its asymptotic confidence sequence.
type StratDiff struct {
	W, Est, SE, Half float64
	CS               Interval
	LnE              float64 // evidence against a difference of 0
}

// StratDiffCS estimates the difference of means B - A over strata with Mantel-Haenszel weights w = nA nB/(nA+nB):
// W = sum w, S = sum w d, Q = sum w^2 (vA/nA + vB/nB), Est = S/W, SE = sqrt(Q)/W,
//
//	half = sqrt( (Q/W)(W+rho)(ln(1+W/rho) + 2 ln(1/alpha)) )/W,  rho = BestRho(wOpt, alpha)
//	ln E = 1/2 ln(rho/(W+rho)) + (S^2 W/Q) / (2(W+rho)).
//
// With one stratum it is the sequential test of the absolute difference that GrowthBook ships. Strata in which an arm has fewer than
// two values are skipped; nothing left or Q = 0 is [ErrUndefined]. It assumes independent values: for users who come back
// use [BinDifference].
func StratDiffCS(strata []MomentStratum, wOpt, alpha float64) (StratDiff, error) {
	const where = "StratDiffCS"
	if !positive(wOpt) || !isAlpha(alpha) {
		return StratDiff{}, domain(where, "wOpt=%g alpha=%g", wOpt, alpha)
	}
	var w, s, q float64
	for i, x := range strata {
		a, b := x.A, x.B
		if !isCount(a.N, b.N) {
			return StratDiff{}, domain(where, "stratum %d: nA=%g nB=%g", i, a.N, b.N)
		}
		if a.N < 2 || b.N < 2 {
			continue
		}
		if !notNegative(a.Var, b.Var) || !finite(a.Mean, b.Mean) {
			return StratDiff{}, domain(where, "stratum %d: %+v", i, x)
		}
		wi := a.N * (b.N / (a.N + b.N))
		w += wi
		s += wi * (b.Mean - a.Mean)
		q += wi * wi * (a.Var/a.N + b.Var/b.N)
	}
	if w == 0 || q <= 0 {
		return StratDiff{}, undefined(where, "no stratum with two values per arm and a variance")
	}
	rho := wOpt / lambertExcess(alpha)
	d := StratDiff{W: w, Est: s / w, SE: math.Sqrt(q) / w}
	d.Half = d.SE * math.Sqrt((1+rho/w)*(math.Log1p(w/rho)-2*math.Log(alpha)))
	d.CS = Interval{d.Est - d.Half, d.Est + d.Half}
	z := s / math.Sqrt(q)
	d.LnE = -0.5*math.Log1p(w/rho) + z*z/2/(1+rho/w)
	if !finite(d.Est, d.SE, d.Half, d.CS.Lo, d.CS.Hi, d.LnE) {
		return StratDiff{}, domain(where, "result beyond the float64 range")
	}
	return d, nil
}

// MSPRT returns the mixture sequential probability ratio test of Johari et al. for an estimate d with variance v and a N(0, tau2)
// prior on the effect:
//
//	ln E = 1/2 ln(v/(v+tau2)) + tau2 d^2/(2 v (v+tau2)),  half = sqrt( v (v+tau2)/tau2 (ln((v+tau2)/v) + 2 ln(1/alpha)) ).
//
// half is the half width of the always-valid interval. d finite, v, tau2 > 0, alpha in (0,1), otherwise [ErrDomain].
func MSPRT(d, v, tau2, alpha float64) (lnE, half float64, err error) {
	if !finite(d) || !positive(v, tau2) || !isAlpha(alpha) {
		return 0, 0, domain("MSPRT", "d=%g v=%g tau2=%g alpha=%g", d, v, tau2, alpha)
	}
	lnE = lnNormalMixture(d/math.Sqrt(v), v, tau2, 0)
	half = math.Sqrt(v) * math.Sqrt((1+v/tau2)*(math.Log1p(tau2/v)-2*math.Log(alpha)))
	if !finite(lnE, half) {
		return 0, 0, domain("MSPRT", "result beyond the float64 range")
	}
	return lnE, half, nil
}

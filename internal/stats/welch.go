package stats

import "math"

// WelchTest is a fixed-sample comparison of two means.
type WelchTest struct {
	T, DF float64 // (mB-mA)/se and Satterthwaite's degrees of freedom
	LnP   float64 // natural logarithm of the two-sided p-value
	CI    Interval
}

// Welch compares means by the t-test for unequal variances; CI covers mB - mA at level 1-alpha. Reference only, not valid under
// repeated looks. Fewer than two values in an arm, or no variance in either, is [ErrUndefined]; alpha outside (0,1) or negative
// variances are [ErrDomain]. Relative accuracy of LnP about 1e-10.
func Welch(a, b ArmMoments, alpha float64) (WelchTest, error) {
	const where = "Welch"
	if !isAlpha(alpha) || !isCount(a.N, b.N) {
		return WelchTest{}, domain(where, "A=%+v B=%+v alpha=%g", a, b, alpha)
	}
	if a.N < 2 || b.N < 2 {
		return WelchTest{}, undefined(where, "fewer than two values in an arm")
	}
	if !notNegative(a.Var, b.Var) || !finite(a.Mean, b.Mean) {
		return WelchTest{}, domain(where, "A=%+v B=%+v", a, b)
	}
	va, vb := a.Var/a.N, b.Var/b.N
	if va+vb == 0 {
		return WelchTest{}, undefined(where, "no variance in either arm")
	}
	se := math.Sqrt(va + vb)
	d := b.Mean - a.Mean
	pa, pb := va/(va+vb), vb/(va+vb)
	w := WelchTest{T: d / se, DF: 1 / (pa*pa/(a.N-1) + pb*pb/(b.N-1))}
	w.LnP = lnStudentTwoSided(w.T, w.DF)
	want := math.Log(alpha)
	hi := 2.0
	for lnStudentTwoSided(hi, w.DF) > want && hi < 1e300 {
		hi *= 2
	}
	half := se * bracketRoot(func(t float64) float64 { return lnStudentTwoSided(t, w.DF) - want }, 0, hi)
	w.CI = Interval{d - half, d + half}
	if !finite(w.T, w.DF, w.LnP, w.CI.Lo, w.CI.Hi) {
		return WelchTest{}, domain(where, "result beyond the float64 range")
	}
	return w, nil
}

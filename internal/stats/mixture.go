package stats

import "math"

// Scale is one component of a [Mixture]: a N(0, Tau2) prior on the effect with some Weight.
type Scale struct{ Tau2, Weight float64 }

// Mixture is the prior of the normal-mixture engine (E2) on an effect, a weighted list of normal scales. One scale
// cannot decide across design effects from 1 to 30 (users who come back inflate the variance), three can.
type Mixture struct {
	scales [3]Scale
	n      int
}

// VarianceMixture is the default prior of a metric whose per-observation variance v0 was frozen with the baseline:
// tau^2 = {1, 8, 64} v0/188 with weights {1/2, 1/4, 1/4}. v0 > 0 in squared units of the metric, otherwise [ErrDomain].
func VarianceMixture(v0 float64) (Mixture, error) {
	if !positive(v0) || !positive(64*v0/188, v0/188) {
		return Mixture{}, domain("VarianceMixture", "v0=%g, want > 0", v0)
	}
	t := v0 / 188
	return Mixture{scales: [3]Scale{{t, 0.5}, {8 * t, 0.25}, {64 * t, 0.25}}, n: 3}, nil
}

// MarginMixture is the prior of a metric without a frozen variance: one scale, tau = the margin, in units of the
// metric. tau > 0, otherwise [ErrDomain].
func MarginMixture(tau float64) (Mixture, error) {
	if !positive(tau, tau*tau) {
		return Mixture{}, domain("MarginMixture", "tau=%g, want > 0", tau)
	}
	return Mixture{scales: [3]Scale{{tau * tau, 1}}, n: 1}, nil
}

// Scales returns a copy of the components.
func (m Mixture) Scales() []Scale { return append([]Scale(nil), m.scales[:m.n]...) }

// LnTwoSided returns ln E against an effect of d0, given an estimate d with variance v > 0:
//
//	ln E = ln sum_i w_i exp( 1/2 ln(v/(v+tau_i^2)) + tau_i^2 (d-d0)^2 / (2 v (v+tau_i^2)) ).
//
// Robbins 1970; Johari et al. 2017 (mSPRT). d, d0 finite and v > 0, otherwise: [ErrUndefined] for v = 0 (no variance, no
// scale to judge on), [ErrDomain] else.
func (m Mixture) LnTwoSided(d, v, d0 float64) (float64, error) {
	return m.lnE("Mixture.LnTwoSided", d, v, d0, 0)
}

// LnAbove returns ln E for "effect > d0" against effect <= d0: each component of [Mixture.LnTwoSided] times
// 2 Phi((d-d0) tau / sqrt(v (v+tau^2))), the prior cut to the upper half.
func (m Mixture) LnAbove(d, v, d0 float64) (float64, error) {
	return m.lnE("Mixture.LnAbove", d, v, d0, +1)
}

// LnBelow returns ln E for "effect < d0" against effect >= d0, the mirror image of [Mixture.LnAbove].
func (m Mixture) LnBelow(d, v, d0 float64) (float64, error) {
	return m.lnE("Mixture.LnBelow", d, v, d0, -1)
}

func (m Mixture) lnE(where string, d, v, d0, side float64) (float64, error) {
	if err := m.check(where, d, v); err != nil {
		return 0, err
	}
	if !finite(d0) {
		return 0, domain(where, "d0=%g", d0)
	}
	var parts [3]float64
	z := (d - d0) / math.Sqrt(v)
	for i, s := range m.scales[:m.n] {
		parts[i] = math.Log(s.Weight) + lnNormalMixture(z, v, s.Tau2, side)
	}
	ln := LogSumExp(parts[:m.n]...)
	if !finite(ln) {
		return 0, domain(where, "evidence beyond the float64 range: d=%g v=%g d0=%g", d, v, d0)
	}
	return ln, nil
}

func (m Mixture) check(where string, d, v float64) error {
	switch {
	case m.n == 0:
		return domain(where, "empty mixture; make one with VarianceMixture or MarginMixture")
	case v == 0 && finite(d):
		return undefined(where, "the estimate has no variance")
	case !finite(d) || !positive(v):
		return domain(where, "d=%g v=%g", d, v)
	}
	return nil
}

// lnNormalMixture is one component at z = (d-d0)/sqrt v. side 0 is two-sided; +1 and -1 keep half of the prior.
func lnNormalMixture(z, v, tau2, side float64) float64 {
	shrink := 1 / (1 + v/tau2) // tau^2/(v+tau^2)
	u := z * math.Sqrt(shrink)
	ln := -0.5 * math.Log1p(tau2/v)
	if side == 0 {
		return ln + u*u/2
	}
	return ln + math.Ln2 + lnMills(side*u)
}

// Interval returns the two-sided confidence sequence { d0 : LnTwoSided(d, v, d0) <= ln(1/(2 alpha)) } at level
// 1 - 2 alpha, the one that agrees (up to a ln Phi term) with one-sided decisions at alpha each. 0 < alpha < 1/2; other
// arguments as in [Mixture.LnTwoSided].
func (m Mixture) Interval(d, v, alpha float64) (Interval, error) {
	const where = "Mixture.Interval"
	if !(alpha > 0 && alpha < 0.5) {
		return Interval{}, domain(where, "alpha=%g, want (0, 1/2)", alpha)
	}
	if err := m.check(where, d, v); err != nil {
		return Interval{}, err
	}
	half := math.Sqrt(m.width(v, -math.Log(2*alpha))) * math.Sqrt(v)
	return Interval{d - half, d + half}, nil
}

// width returns u = z^2 with ln E(u) = target >= 0. ln E is a log-sum-exp of lines in u, hence convex and growing: Newton
// from the right, where a single component alone suffices, never overshoots.
func (m Mixture) width(v, target float64) float64 {
	var a, b [3]float64
	u := math.Inf(1)
	for i, s := range m.scales[:m.n] {
		a[i] = math.Log(s.Weight) - 0.5*math.Log1p(s.Tau2/v)
		b[i] = 0.5 / (1 + v/s.Tau2)
		u = math.Min(u, (target-a[i])/b[i])
	}
	for range 100 {
		var parts [3]float64
		for i := range m.n {
			parts[i] = a[i] + b[i]*u
		}
		ln := LogSumExp(parts[:m.n]...)
		slope := 0.0
		for i := range m.n {
			slope += b[i] * math.Exp(parts[i]-ln)
		}
		next := u - (ln-target)/slope
		if !(next < u*(1-1e-15)) || next <= 0 {
			break
		}
		u = next
	}
	return u
}

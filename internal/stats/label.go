package stats

import (
	"cmp"
	"math"
	"slices"
)

// LabelStratum counts events of one period with a constant share.
//
// KA and KB are the events of baseline and candidate, each unit counted once, >= 0. Rho is the known probability that
// a unit of this period was given to the candidate, decided before the units arrived. A period in which one arm got
// nobody (Rho 0 or 1) says nothing and is ignored.
type LabelStratum struct{ KA, KB, Rho float64 }

// Label is the exact label engine (E1): evidence about d, the log of the candidate's event rate per unit of traffic
// over the baseline's, from the arm labels of events alone.
//
// Given an event in stratum s, it is the candidate's with probability theta_s(d) = rho_s e^d / (1 - rho_s + rho_s e^d)
// whatever the base rate does, so that the log-likelihood relative to d = 0 is
//
//	l(d) = sum_s [ KB_s d - (KA_s+KB_s) ln(1 - rho_s + rho_s e^d) ].
//
// Evidence mixes exp(l) over a N(d0, sigma^2) prior (two-sided: N(0, sigma^2)); Lindon & Malek, "Anytime-valid
// inference for multinomial count data" (NeurIPS 2022). Strata of equal share are added, so the cost is that of the number of
// distinct shares. Integrals are exact to about 1e-10. A Label does not change; it may be shared.
type Label struct {
	cells  []labelCell // one per distinct share
	ka, kb float64
	sigma  float64
}

type labelCell struct{ k, logit float64 } // events of both arms; ln(rho/(1-rho))

// NewLabel prepares the evidence of strata under a prior of standard deviation sigma on the log rate ratio (0.5 suits
// errors, 0.3 latency exceedances and classes). It needs 0.001 <= sigma <= 10, shares in [0,1] and counts >= 0, and no event of an
// arm that got nobody; otherwise [ErrDomain]. No event at all is fine: all evidence is 0 then.
func NewLabel(strata []LabelStratum, sigma float64) (Label, error) {
	if !(sigma >= 1e-3 && sigma <= 10) {
		return Label{}, domain("NewLabel", "sigma=%g, want 0.001 <= sigma <= 10", sigma)
	}
	l := Label{sigma: sigma, cells: make([]labelCell, 0, len(strata))}
	for i, s := range strata {
		if !isCount(s.KA, s.KB) || !(s.Rho >= 0 && s.Rho <= 1) ||
			(s.Rho == 0 && s.KB > 0) || (s.Rho == 1 && s.KA > 0) {
			return Label{}, domain("NewLabel", "stratum %d: kA=%g kB=%g rho=%g", i, s.KA, s.KB, s.Rho)
		}
		if s.Rho == 0 || s.Rho == 1 || s.KA+s.KB == 0 {
			continue
		}
		l.ka += s.KA
		l.kb += s.KB
		l.cells = append(l.cells, labelCell{k: s.KA + s.KB, logit: math.Log(s.Rho) - math.Log1p(-s.Rho)})
	}
	l.merge()
	return l, nil
}

// merge adds cells of equal share and fixes their order, so that the order of strata does not change a bit of the result.
func (l *Label) merge() {
	c := l.cells
	slices.SortFunc(c, func(x, y labelCell) int {
		return cmp.Or(cmp.Compare(x.logit, y.logit), cmp.Compare(x.k, y.k))
	})
	kept := c[:0]
	for _, x := range c {
		if n := len(kept); n > 0 && kept[n-1].logit == x.logit {
			kept[n-1].k += x.k
			continue
		}
		kept = append(kept, x)
	}
	l.cells = kept
}

// Events returns the number of events of both arms that carry information.
func (l Label) Events() (a, b float64) { return l.ka, l.kb }

// LnAbove returns ln E for "d > d0" against the null hypothesis d <= d0:
//
//	E = 2 INT_{d>d0} exp(l(d) - l(d0)) N(d-d0; 0, sigma^2) dd.
//
// It is valid for the whole null hypothesis because the likelihood ratio is monotone. d0 not finite, or no
// events: 0, no evidence.
func (l Label) LnAbove(d0 float64) float64 {
	if !l.informative(d0) {
		return 0
	}
	return math.Ln2 + l.lnTail(d0, +1)
}

// LnBelow returns ln E for "d < d0" against d >= d0, the mirror image of [Label.LnAbove].
func (l Label) LnBelow(d0 float64) float64 {
	if !l.informative(d0) {
		return 0
	}
	return math.Ln2 + l.lnTail(d0, -1)
}

// LnTwoSided returns ln E against d = d0 under the prior N(0, sigma^2) on d: ln INT exp(l(d)) N(d) dd - l(d0).
func (l Label) LnTwoSided(d0 float64) float64 {
	if !l.informative(d0) {
		return 0
	}
	m, lnI := l.lnMixture()
	at := l.around(m)
	return lnI - at.loglik(d0-m)
}

// LnMarginal returns ln M = ln INT exp(l(d)) N(d; 0, sigma^2) dd, the evidence against d = 0.
func (l Label) LnMarginal() float64 { return l.LnTwoSided(0) }

// Interval returns the two-sided confidence sequence { d : LnTwoSided(d) <= ln(1/alpha) } of the log rate ratio, at
// level 1-alpha for all times at once. It is (-Inf, +Inf) without events, open below if the candidate and above if the
// baseline has none. alpha in (0,1), otherwise [ErrDomain].
func (l Label) Interval(alpha float64) (Interval, error) {
	if !isAlpha(alpha) {
		return Interval{}, domain("Label.Interval", "alpha=%g", alpha)
	}
	open := Interval{math.Inf(-1), math.Inf(1)}
	if len(l.cells) == 0 {
		return open, nil
	}
	m, lnI := l.lnMixture()
	at := l.around(m)
	cut := lnI + math.Log(alpha)
	if l.kb > 0 {
		open.Lo = m - at.crossing(-1, cut)
	}
	if l.ka > 0 {
		open.Hi = m + at.crossing(+1, cut)
	}
	return open, nil
}

// MLE returns the log rate ratio of the largest likelihood: -Inf or +Inf if one arm has no event, [ErrUndefined]
// if neither has.
func (l Label) MLE() (float64, error) {
	switch {
	case len(l.cells) == 0:
		return 0, undefined("Label.MLE", "no events")
	case l.kb == 0:
		return math.Inf(-1), nil
	case l.ka == 0:
		return math.Inf(1), nil
	}
	return l.mode(0, math.Inf(1)), nil
}

// LabelResult is everything the label engine says about one metric at several null values.
type LabelResult struct {
	MLE      float64 // log rate ratio, may be infinite
	HasMLE   bool    // false without events
	LnM      float64 // ln of the marginal likelihood relative to d = 0
	CS       Interval
	TwoSided []float64 // ln E per null value
	Above    []float64
	Below    []float64
}

// LabelStrata evaluates the label engine at each of the null values d0 at once; see [Label] for the formulas and
// [NewLabel] for the domain.
func LabelStrata(strata []LabelStratum, sigma, alpha float64, d0 []float64) (LabelResult, error) {
	l, err := NewLabel(strata, sigma)
	if err != nil {
		return LabelResult{}, err
	}
	var r LabelResult
	if r.CS, err = l.Interval(alpha); err != nil {
		return LabelResult{}, err
	}
	if mle, err := l.MLE(); err == nil {
		r.MLE, r.HasMLE = mle, true
	}
	r.LnM = l.LnMarginal()
	for _, d := range d0 {
		if !finite(d) {
			return LabelResult{}, domain("LabelStrata", "d0=%g", d)
		}
		r.TwoSided = append(r.TwoSided, l.LnTwoSided(d))
		r.Above = append(r.Above, l.LnAbove(d))
		r.Below = append(r.Below, l.LnBelow(d))
	}
	return r, nil
}

// LabelE returns the single-share label evidence in closed form, with a Beta prior of concentration c on the
// candidate's share theta of the events (c = 1/(sigma^2 rho (1-rho)) matches sigma):
//
//	ln E = lnB(c rho + kB, c(1-rho) + kA) - lnB(c rho, c(1-rho)) - kB ln rho - kA ln(1-rho).
//
// kA, kB >= 0, 1e-100 <= rho < 1, 1e-6 <= c <= 1e15, otherwise [ErrDomain]. Computed as a difference of deviances: absolute error about
// 1e-11 at 1e9 events. It equals the two-sided beta-binomial mixture of Howard & Ramdas.
func LabelE(kA, kB, rho, c float64) (float64, error) {
	if !isCount(kA, kB) || !isShare(rho) || !isShape(c) {
		return 0, domain("LabelE", "kA=%g kB=%g rho=%g c=%g", kA, kB, rho, c)
	}
	return lnLabelE(kA, kB, rho, c), nil
}

func lnLabelE(kA, kB, rho, c float64) float64 {
	a, b, q := c*rho, c*(1-rho), 1-rho
	return lnBetaKernel(a, b, rho, q) - lnBetaKernel(a+kB, b+kA, rho, q)
}

// LabelConcentration returns the concentration c = 1/(sigma^2 rho (1-rho)) whose Beta prior has about the standard
// deviation sigma on the log rate ratio. It needs sigma > 0 and 0 < rho < 1, otherwise [ErrDomain].
func LabelConcentration(sigma, rho float64) (float64, error) {
	if !positive(sigma) || !(rho > 0 && rho < 1) {
		return 0, domain("LabelConcentration", "sigma=%g rho=%g", sigma, rho)
	}
	return 1 / (sigma * sigma * rho * (1 - rho)), nil
}

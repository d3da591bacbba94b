package stats

import (
	"errors"
	"math"
)

// planLimit is the largest forecast, in units: beyond it a plan is declared unreachable.
const planLimit = 1e12

// Side is the direction of a statement: the effect lies above or below a null value.
type Side int

const (
	// Above is harm: the effect exceeds the null value.
	Above Side = +1
	// Below is "no worse" (null value = margin) or "better" (null value = 0): the effect falls short of it.
	Below Side = -1
)

// UnitsNoWorseInPoints forecasts how many closed units (both arms together) [NoWorseInPoints] needs when both arms have incidence p and share of
// the units is the candidate's: the smallest total whose expected counts show it. With share 1/2 each arm needs half. p in [0,1),
// 0 < margin < 1, share and alpha in (0,1), otherwise [ErrDomain]; above 1e12 units [ErrUndefined]: it cannot be shown. Random data
// decide earlier or later; see [EventsLabel].
func UnitsNoWorseInPoints(p, margin, share, alpha float64) (float64, error) {
	const where = "UnitsNoWorseInPoints"
	if !(p >= 0 && p < 1) || !(margin > 0 && margin < 1) || !(share > 0 && share < 1) || !isAlpha(alpha) {
		return 0, domain(where, "p=%g margin=%g share=%g alpha=%g", p, margin, share, alpha)
	}
	l := math.Log(2 / alpha)
	n, found := smallestCount(2, planLimit, func(n float64) bool {
		a, b := n*(1-share), n*share
		return newBernoulli(p*b, b).upper(l)-newBernoulli(p*a, a).lower(l) < margin
	})
	if !found {
		return 0, undefined(where, "more than 1e12 units")
	}
	return n, nil
}

// UnitsEventNoWorse forecasts the units (both arms together) after which an event metric is shown no worse by either of its two routes, each at alpha/2:
// the exact bounds of [UnitsNoWorseInPoints], or the normal mixture on unit indicators, which counts from 10 expected units with the event per arm on.
// Domain and errors as there.
func UnitsEventNoWorse(p, margin, share, alpha float64) (float64, error) {
	byBounds, err := UnitsNoWorseInPoints(p, margin, share, alpha/2)
	if p == 0 || errors.Is(err, ErrDomain) {
		return byBounds, err
	}
	m, errMix := VarianceMixture(p * (1 - p))
	if errMix != nil { // p too small for a variance: the bounds alone
		return byBounds, err
	}
	byMixture, errMix := UnitsMixture(m, 0, margin, p*(1-p), share, alpha/2, Below)
	switch byMixture = math.Max(byMixture, math.Ceil(10/p/math.Min(share, 1-share))); {
	case errMix != nil || byMixture > planLimit:
		return byBounds, err
	case err != nil:
		return byMixture, nil //nolint:nilerr // only the bounds are out of reach, the mixture is not
	}
	return math.Min(byBounds, byMixture), nil
}

// EventsLabel forecasts how many events (both arms together) the label engine needs to show that the log rate ratio lies on the given side of d0 when
// it is d in truth: the smallest number whose expected labels reach ln(1/alpha) at share rho and prior sigma. Because a sequential test decides at the first of
// many chances, about six releases in ten have decided by then; the median is a tenth to a third earlier. Units
// are events/(p (1-rho) + p e^d rho) at live's incidence p. Finite d on the right side of finite d0, rho, alpha in (0,1), 0.001 <= sigma <= 10, otherwise
// [ErrDomain]; above 1e12 events [ErrUndefined].
func EventsLabel(d, d0, rho, sigma, alpha float64, side Side) (float64, error) {
	const where = "EventsLabel"
	if !finite(d, d0) || !(rho > 0 && rho < 1) || !(sigma >= 1e-3 && sigma <= 10) || !isAlpha(alpha) || !side.reached(d, d0) {
		return 0, domain(where, "d=%g d0=%g rho=%g sigma=%g alpha=%g side=%d", d, d0, rho, sigma, alpha, side)
	}
	theta := logistic(d + math.Log(rho) - math.Log1p(-rho))
	n, found := smallestCount(1, planLimit, func(n float64) bool {
		l, err := NewLabel([]LabelStratum{{KA: expected(n * (1 - theta)), KB: expected(n * theta), Rho: rho}}, sigma)
		if err != nil {
			return false
		}
		if side == Above {
			return l.LnAbove(d0) >= -math.Log(alpha)
		}
		return l.LnBelow(d0) >= -math.Log(alpha)
	})
	if !found {
		return 0, undefined(where, "more than 1e12 events")
	}
	return n, nil
}

// expected makes a vanishing expected count zero.
func expected(k float64) float64 {
	if k < minCount {
		return 0
	}
	return k
}

func (s Side) reached(d, d0 float64) bool {
	return (s == Above && d > d0) || (s == Below && d < d0)
}

// UnitsMixture forecasts how many observations (both arms together) the normal mixture needs to show that the effect lies on the given side of
// d0 when it is d in truth, with per-observation variance v in both arms (times the design effect if users come back) and the candidate's share
// rho: the smallest n whose variance v/(n rho (1-rho)) gives ln(1/alpha). Domain as in [EventsLabel], v > 0.
func UnitsMixture(m Mixture, d, d0, v, rho, alpha float64, side Side) (float64, error) {
	const where = "UnitsMixture"
	if !finite(d, d0) || !positive(v) || !(rho > 0 && rho < 1) || !isAlpha(alpha) || !side.reached(d, d0) || m.n == 0 {
		return 0, domain(where, "d=%g d0=%g v=%g rho=%g alpha=%g side=%d", d, d0, v, rho, alpha, side)
	}
	n, found := smallestCount(2, planLimit, func(n float64) bool {
		ln, err := m.lnE(where, d, v/rho/(1-rho)/n, d0, float64(side))
		return err == nil && ln >= -math.Log(alpha)
	})
	if !found {
		return 0, undefined(where, "more than 1e12 observations")
	}
	return n, nil
}

package stats

import (
	"math"

	"gonum.org/v1/gonum/mathext"
)

// NormalPrior is a N(Mean, SD^2) prior on an effect, SD > 0.
type NormalPrior struct{ Mean, SD float64 }

// GaussianPosterior displays a normal posterior of an effect D (positive: B has more). It is not corrected for peeking.
type GaussianPosterior struct {
	Mean, SD     float64
	PAbove       float64 // P(D > 0)
	PBelow       float64 // P(D < 0), with its own digits
	LossB, LossA float64 // E[(-D)+] of choosing B, E[D+] of choosing A
	CI           Interval
}

// GaussianEffect returns the posterior of an effect estimated as d with standard error se, under a normal prior or, with nil, a flat one. CI
// is the central interval at level 1-alpha. Tail probabilities and losses keep relative accuracy 1e-12 until they underflow.
// se, prior SD > 0, alpha in (0,1), otherwise [ErrDomain].
func GaussianEffect(d, se float64, prior *NormalPrior, alpha float64) (GaussianPosterior, error) {
	const where = "GaussianEffect"
	if !finite(d) || !positive(se) || !isAlpha(alpha) {
		return GaussianPosterior{}, domain(where, "d=%g se=%g alpha=%g", d, se, alpha)
	}
	m, s := d, se
	if prior != nil {
		if !positive(prior.SD) || !finite(prior.Mean) {
			return GaussianPosterior{}, domain(where, "prior %+v", *prior)
		}
		hyp := math.Hypot(se, prior.SD)
		wd, wp := prior.SD/hyp, se/hyp // the squares are the weights of data and prior
		m = wd*wd*d + wp*wp*prior.Mean
		s = se * wd
	}
	z := m / s
	if !finite(z) || s == 0 {
		return GaussianPosterior{}, domain(where, "d=%g is too many standard errors (%g)", m, s)
	}
	half := -mathext.NormalQuantile(alpha/2) * s
	return GaussianPosterior{
		Mean: m, SD: s,
		PAbove: 0.5 * math.Erfc(-z/math.Sqrt2), PBelow: 0.5 * math.Erfc(z/math.Sqrt2),
		LossB: s * normalLoss(z), LossA: s * normalLoss(-z),
		CI: Interval{m - half, m + half},
	}, nil
}

// PWithin returns the posterior mass of D in [-r, r] and on either side, r > 0.
func (g GaussianPosterior) PWithin(r float64) Rope {
	above := 0.5 * math.Erfc((r-g.Mean)/g.SD/math.Sqrt2)
	below := 0.5 * math.Erfc((r+g.Mean)/g.SD/math.Sqrt2)
	return Rope{In: clamp01(1 - above - below), Above: above, Below: below}
}

package judge

import (
	"math"
	"slices"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

// Variance reduction (CUPED; Deng, Xu, Kohavi, Walker 2013). In the shadow step live serves all, and what the would-be
// arms do there is on record by bin. When users are served afterwards with the same shares, the same users are on the same
// arms: how the arms differed by chance before says how they will by chance now. With x_a the mean of arm a in the
// shadow step, of the same metric,
//
//	d = (y_B - y_A) - kappa (x_B - x_A),   V from the bins' residuals r_b/N - kappa q_b/M
//
// The expectation of x_B - x_A is 0 whatever the candidate does, so that d estimates the same difference for any kappa:
// margins keep their meaning, unlike with a covariate that is measured while the candidate serves.
//
// Which kappa. The shadow step alone predicts one, before the first user is served: the share of the variance of x that lies
// between users and will come again, 1 - sigma^2/(M V(x)), one over the design effect taken from 1. It is frozen: a number
// that cannot know how the arms will differ cannot favour one. But users may change (many are new, or what looked like persons
// were sessions), and too large a kappa adds variance. So it is lowered to the slope of y on x within the arms (the
// regression of §1.3, in which the arms' difference does not occur) where that is smaller: V as a function of kappa falls
// up to that slope, so no adjustment ever widens the interval. Where the slope decides, its own variance times
// (x_B - x_A)^2 is added to V, as in the analysis of covariance.
//
// Only strata whose shares are those of the shadow step are adjusted; rollout records its would-be arms with the first
// share that the plan serves, which is where the objective is shown. With other shares the arms are other users.

// covariate is what the users of both arms did before they were served.
type covariate struct {
	a, b     sums
	n        [2]float64 // observations
	fA, fB   armFit
	most     float64 // kappa that the shadow step predicts
	observed float64 // what it was made from, see observations
}

// adjustment is one stratum's, for the arms' values: A gets toA more, B toB less, so that their difference changes by
// kappa (x_B - x_A).
type adjustment struct {
	kappa      float64
	toA, toB   float64
	dx         float64 // x_B - x_A
	share      float64 // of B among the covariate's observations
	xyA, xxA   float64 // covariance of value and covariate, variance of the covariate, arm A
	xyB, xxB   float64
	slopeNoise float64 // variance of the slope; 0: kappa was known before
}

// wouldBes lists the would-be strata in which the arms were the same users: the shares are the same.
func (j *judging) wouldBes(s *Stratum) []*tally.StratumView {
	var out []*tally.StratumView
	for i := range j.in.Strata {
		w := &j.in.Strata[i]
		if w.Kind != release.ExposureWouldBe || !slices.Equal(w.Shares, s.Shares) {
			continue
		}
		if v := j.view(w.ID); v != nil {
			out = append(out, v)
		}
	}
	return out
}

// addTo adds one stratum to E2's sums, adjusted where its arms are those of the covariate.
func (v *versus) addTo(to *binSum, x *covariate, pick func(*versus) (a, b sums)) {
	a, b := pick(v)
	if len(v.before) == 0 {
		x = nil
	}
	to.addAdjusted(a, b, x)
}

// covariate returns the covariate of a metric's own sums, nil without one. All adjusted strata of a release have the same
// shares as the shadow step, hence one covariate.
func (c *Cache) covariate(s *subject, k comp, vs []versus) *covariate {
	if k&^compEpoch != compRate || s.base.Class != release.ClassFrequent && s.base.Class != release.ClassBoth {
		return nil
	}
	i := slices.IndexFunc(vs, func(v versus) bool { return len(v.before) > 0 })
	if i < 0 {
		return nil
	}
	n := observations(&vs[i], s.index)
	id := sumKey{s.index, s.arm, compRate}
	if x, ok := c.before[id]; ok && x.observed == n {
		return x.usable()
	}
	x := newCovariate(&vs[i], s.index)
	x.observed = n
	if c.before == nil {
		c.before = map[sumKey]*covariate{}
	}
	c.before[id] = x
	return x.usable()
}

// observations tell one content of a covariate from another, as in [mark].
func observations(v *versus, metric int) (n float64) {
	for _, w := range v.before {
		for _, arm := range []int{0, v.arm} {
			if m := metricOf(armOf(w, arm), metric); m != nil {
				n += sum(m.N)
			}
		}
	}
	return n
}

func newCovariate(v *versus, metric int) *covariate {
	x := &covariate{}
	var squares, y [2]float64
	for _, w := range v.before {
		for i, arm := range []int{0, v.arm} {
			m := metricOf(armOf(w, arm), metric)
			if m == nil || len(m.N) != release.Bins || len(m.Y) != release.Bins {
				continue
			}
			to := &x.a
			if i == 1 {
				to = &x.b
			}
			to.n, to.y = addTo(to.n, m.N), addTo(to.y, m.Y)
			squares[i] += m.SumSq
			y[i] += sum(m.Y)
		}
	}
	var okA, okB bool
	if !x.a.ok() || !x.b.ok() {
		return x
	}
	if x.fA, okA = fit(x.a); !okA {
		return x
	}
	if x.fB, okB = fit(x.b); !okB {
		return x
	}
	x.n = [2]float64{x.fA.n, x.fB.n}
	if effectiveBins(x.a.n) < minKEff || effectiveBins(x.b.n) < minKEff {
		return x
	}
	n := x.fA.n + x.fB.n
	mean := (y[0] + y[1]) / n
	plain := ((squares[0]+squares[1])/n - mean*mean) * (1/x.fA.n + 1/x.fB.n)
	if v := x.fA.v + x.fB.v; v > 0 && plain > 0 {
		x.most = clamp(1-plain/v, 0, 1)
	}
	return x
}

// usable is nil for a covariate that predicts nothing.
func (x *covariate) usable() *covariate {
	if x.most <= 0 {
		return nil
	}
	return x
}

// adjust chooses kappa for one stratum; nil when there is nothing to gain.
func (x *covariate) adjust(a, b sums, fA, fB armFit) *adjustment {
	j := &adjustment{dx: x.fB.theta - x.fA.theta, share: x.n[1] / (x.n[0] + x.n[1])}
	j.xyA, j.xxA = covary(a, fA, x.a, x.fA)
	j.xyB, j.xxB = covary(b, fB, x.b, x.fB)
	xx := j.xxA + j.xxB
	if xx <= 0 {
		return nil
	}
	slope := (j.xyA + j.xyB) / xx
	if !(slope > 0) {
		return nil
	}
	j.kappa = x.most
	if slope < x.most {
		j.kappa = slope
		j.slopeNoise = (sandwich(a, fA, x.a, x.fA, slope) + sandwich(b, fB, x.b, x.fB, slope)) / xx / xx
	}
	j.toA, j.toB = j.kappa*j.share*j.dx, j.kappa*(1-j.share)*j.dx
	return j
}

// covary returns the covariance of an arm's value with its covariate's, and the covariate's variance, over bins as in fit.
func covary(s sums, f armFit, x sums, fx armFit) (xy, xx float64) {
	k := 0.0
	for i, n := range s.n {
		if n == 0 && x.n[i] == 0 {
			continue
		}
		k++
		q := x.y[i] - fx.theta*x.n[i]
		xy += (s.y[i] - f.theta*n) * q
		xx += q * q
	}
	c := k / (k - 1)
	return c * xy / f.n / fx.n, c * xx / fx.n / fx.n
}

// sandwich is an arm's part of the variance of a slope, times the square of the covariate's variance: the sum over bins of
// (q e)^2 with the residual e, which holds for bins of unequal size (White 1980).
func sandwich(s sums, f armFit, x sums, fx armFit, slope float64) (v float64) {
	for i, n := range s.n {
		q := (x.y[i] - fx.theta*x.n[i]) / fx.n
		e := (s.y[i]-f.theta*n)/f.n - slope*q
		v += q * q * e * e
	}
	return v
}

// influence adds the covariate's part to the bins' influences. B's value is y_B - kappa M_A/M (x_B - x_A) and A's
// y_A + kappa M_B/M (x_B - x_A): the common mean of x stays as it is, so that a factor on live is one on its mean.
func (x *covariate) influence(inflA, inflB []float64, w float64, j *adjustment) {
	kA, kB := w*j.kappa*j.share, w*j.kappa*(1-j.share)
	for i := range inflA {
		q := (x.b.y[i]-x.fB.theta*x.b.n[i])/x.fB.n - (x.a.y[i]-x.fA.theta*x.a.n[i])/x.fA.n
		inflA[i] += kA * q
		inflB[i] -= kB * q
	}
}

// effect adjusts a stratum's candidate minus factor times live. vA (times factor^2) and vB are the arms' variances; extra is
// what the slope adds.
func (j *adjustment) effect(factor, d, vA, vB float64) (dAdj, a, b, extra float64) {
	k := j.kappa * (1 - j.share + factor*j.share)
	d -= k * j.dx
	a = math.Max(0, vA-2*factor*k*j.xyA+k*k*j.xxA)
	b = math.Max(0, vB-2*k*j.xyB+k*k*j.xxB)
	r := 1 - j.share + factor*j.share
	return d, a, b, j.slopeNoise * r * r * j.dx * j.dx
}

// adjusted says what the covariate saved, nil if nothing was adjusted.
func (c *binned) adjusted() *Adjustment {
	var a Adjustment
	var with, without float64
	for i := range c.fits {
		f := &c.fits[i]
		w := f.weight()
		vA, vB, extra := f.vA, f.vB, 0.0
		without += w * w * (vA + vB)
		if f.adj != nil {
			a.Strata++
			a.Coefficient = f.adj.kappa
			_, vA, vB, extra = f.adj.effect(1, 0, vA, vB)
		}
		with += w * w * (vA + vB + extra)
	}
	if a.Strata == 0 || without <= 0 {
		return nil
	}
	a.Saved = clamp(1-with/without, 0, 1)
	return &a
}

package judge

import (
	"math"

	"sluice.dev/sluice/internal/stats"
)

// Bayes is a Bayesian view beside a verdict: what one who looks once, now, with a flat prior, may believe. It is NOT
// corrected for looking: a release that is watched until PBetter passes some threshold finds a difference between
// identical versions in most runs. Nothing decides by it.
//
// It is a normal approximation of the difference that the estimate shows: of means or request rates with E2's variance
// over bins, of users' shares with the variance of Jeffreys' Beta posteriors, so that no events at all are no certainty.
type Bayes struct {
	PBetter      float64 `json:"pBetter"`      // probability that the candidate is better than live
	LossAdopt    float64 `json:"lossAdopt"`    // expected loss if the candidate is taken, in the verdict's Unit, >= 0
	LossKeep     float64 `json:"lossKeep"`     // expected loss if live is kept
	WithinMargin float64 `json:"withinMargin"` // probability of a difference of at most the margin, either way; 0 without margin
	Corrected    bool    `json:"corrected"`    // for looking: always false
}

// plain is a difference candidate minus live in natural units with its variance, and the margin as a difference.
type plain struct {
	effect
	margin float64
}

// shows notes what the estimate is, for the view and for the calls.
func (s *subject) shows(e effect, f *finding) {
	m := s.margin.shift
	if s.margin.isRatio() {
		m = math.Abs(s.margin.factor-1) * math.Abs(f.live.Value)
	}
	f.post = &plain{e, m}
	if i, err := s.mix.Interval(e.d, e.v, s.alpha); err == nil && s.explain {
		f.bounds = s.mixedEnds(s.mix, e, i)
	}
}

// showsUsers is shows for shares of users; c is not oriented: A is live.
func (s *subject) showsUsers(c counts, f *finding) {
	a, va := jeffreys(c.kA, c.nA)
	b, vb := jeffreys(c.kB, c.nB)
	m := s.margin.shift
	if s.margin.isRatio() {
		m = math.Abs(s.margin.factor-1) * a
	}
	f.post = &plain{effect{b - a, va + vb}, m}
	f.bounds = s.pointEnds(c)
}

// jeffreys returns mean and variance of a share's posterior under the prior Beta(1/2, 1/2).
func jeffreys(k, n float64) (mean, variance float64) {
	a, b := k+0.5, n-k+0.5
	mean = a / (a + b)
	return mean, mean * (b / (a + b)) / (a + b + 1)
}

func (s *subject) bayes(f *finding) *Bayes {
	if f.post == nil || f.gate != "" {
		return nil
	}
	g, err := stats.GaussianEffect(s.worse*f.post.d, math.Sqrt(f.post.v), nil, 2*s.alpha)
	if err != nil {
		return nil // without variance there is nothing to believe
	}
	k := s.scale()
	b := &Bayes{PBetter: g.PBelow, LossAdopt: g.LossA * k, LossKeep: g.LossB * k}
	if f.post.margin > 0 {
		b.WithinMargin = g.PWithin(f.post.margin).In
	}
	return b
}

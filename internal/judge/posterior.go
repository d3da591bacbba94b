package judge

import (
	"math"

	"sluice.dev/sluice/internal/stats"
)

// Posterior is what somebody who looks once, now, may believe of the difference candidate minus live: the numbers of [Bayes] with a
// curve to draw. It is NOT corrected for looking. Shares of users have Jeffreys' Beta posteriors, compared exactly; everything
// else is a normal approximation.
type Posterior struct {
	Metric            string    `json:"metric"`
	Arm               uint8     `json:"arm"`
	Unit              string    `json:"unit"`
	Model             string    `json:"model"` // "beta" or "normal"
	Estimate          float64   `json:"estimate"`
	SD                float64   `json:"sd"`
	PBetter           float64   `json:"pBetter"`
	LossAdopt         float64   `json:"lossAdopt"` // expected loss if the candidate is taken, in Unit
	LossKeep          float64   `json:"lossKeep"`  // expected loss if live is kept
	PWorseThanMargin  float64   `json:"pWorseThanMargin"`
	PWithinMargin     float64   `json:"pWithinMargin"` // the three add up to 1; all 0 without a margin
	PBetterThanMargin float64   `json:"pBetterThanMargin"`
	X                 []float64 `json:"x"`       // ascending, in Unit
	Density           []float64 `json:"density"` // per Unit
}

const (
	gridPoints = 61
	gridWidth  = 4 // standard deviations to either side
)

// posterior has none or one element.
func (j *judging) posterior(s *subject) []Posterior {
	if !s.known {
		return nil
	}
	var f finding
	if j.onPairs && s.arm == 1 {
		f = j.judgePairs(s, 1-s.serving)
	} else {
		f = j.judgeServing(s)
	}
	if f.post == nil || f.gate != "" || !(f.post.v > 0) {
		return nil
	}
	p := Posterior{
		Metric: s.metric.Name, Arm: uint8(s.arm), Unit: f.unit, Model: "normal",
		Estimate: f.post.d, SD: math.Sqrt(f.post.v),
	}
	p.X = gridAround(p.Estimate, p.SD, s.binary())
	var ok bool
	if f.users {
		p.Model = "beta"
		ok = p.beta(s, f.shares, f.post.margin)
	} else {
		ok = p.normal(s, f.post.margin)
	}
	if !ok {
		return nil
	}
	p.scale(s.scale())
	return []Posterior{p}
}

func gridAround(mean, sd float64, share bool) []float64 {
	lo, hi := mean-gridWidth*sd, mean+gridWidth*sd
	if share {
		lo, hi = math.Max(lo, -1), math.Min(hi, 1)
	}
	x := make([]float64, gridPoints)
	for i := range x {
		x[i] = lo + (hi-lo)*float64(i)/(gridPoints-1)
	}
	return x
}

// normal fills the numbers of a normal posterior in natural units.
func (p *Posterior) normal(s *subject, margin float64) bool {
	g, err := stats.GaussianEffect(s.worse*p.Estimate, p.SD, nil, 2*s.alpha)
	if err != nil {
		return false
	}
	p.PBetter, p.LossAdopt, p.LossKeep = g.PBelow, g.LossA, g.LossB
	if margin > 0 {
		r := g.PWithin(margin)
		p.PWorseThanMargin, p.PWithinMargin, p.PBetterThanMargin = r.Above, r.In, r.Below
	}
	for _, x := range p.X {
		z := (x - p.Estimate) / p.SD
		p.Density = append(p.Density, math.Exp(-z*z/2)/p.SD/math.Sqrt(2*math.Pi))
	}
	return true
}

// beta fills the numbers of two shares of users; c.A is live.
func (p *Posterior) beta(s *subject, c counts, margin float64) bool {
	live, cand := stats.Jeffreys(c.kA, c.nA), stats.Jeffreys(c.kB, c.nB)
	choice, err := stats.BetaCompare(live, cand)
	if err != nil {
		return false
	}
	p.PBetter, p.LossAdopt, p.LossKeep = choice.PAGreater, choice.LossA, choice.LossB
	if s.worse < 0 {
		p.PBetter, p.LossAdopt, p.LossKeep = choice.PBGreater, choice.LossB, choice.LossA
	}
	if r, err := stats.BetaRope(live, cand, margin); err == nil {
		p.PWorseThanMargin, p.PWithinMargin, p.PBetterThanMargin = r.Above, r.In, r.Below
		if s.worse < 0 {
			p.PWorseThanMargin, p.PBetterThanMargin = r.Below, r.Above
		}
	}
	// The mean density over each cell around a point of the grid: a density itself may be infinite where nobody has the event.
	half := (p.X[1] - p.X[0]) / 2
	ends := make([]float64, 0, len(p.X)+1)
	for _, x := range p.X {
		ends = append(ends, x-half)
	}
	cum, err := stats.BetaDifference(live, cand, append(ends, p.X[len(p.X)-1]+half))
	if err != nil {
		return false
	}
	for i := range p.X {
		p.Density = append(p.Density, math.Max(0, cum[i+1]-cum[i])/(2*half))
	}
	return true
}

// scale turns natural units into the unit of estimates.
func (p *Posterior) scale(k float64) {
	for _, x := range []*float64{&p.Estimate, &p.SD, &p.LossAdopt, &p.LossKeep} {
		*x *= k
	}
	for i := range p.X {
		p.X[i] *= k
		p.Density[i] /= k
	}
}

package judge

import (
	"math"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/stats"
)

// Pictures are what the sums of a release look like: for people to look at beside the verdicts. Nothing in them decides, and no
// number in them is NaN or infinite.
type Pictures struct {
	Latencies  []LatencyPicture  `json:"latencies"` // by metric, then candidate, where there are observations
	Categories []CategoryPicture `json:"categories"`
	Segments   []SegmentPicture  `json:"segments"`
	Posteriors []Posterior       `json:"posteriors"`
}

// Which data a picture shows.
const (
	FromPairs   = "pairs"   // shadow step: both answers to the same requests
	FromPresent = "present" // the present stratum
	FromStrata  = "strata"  // all serving strata
)

// Shown is an estimate with its confidence sequence at Level, 0: there is none, and Lo = Hi = Estimate.
type Shown struct {
	Estimate float64 `json:"estimate"`
	Lo       float64 `json:"lo"`
	Hi       float64 `json:"hi"`
	Level    float64 `json:"level"`
}

// CategoryPicture is how often either version gave each answer. Counts are sums over the strata; the divergence compares within
// strata, as the verdict does.
type CategoryPicture struct {
	Metric           string    `json:"metric"`
	Arm              uint8     `json:"arm"`
	From             string    `json:"from"`
	Classes          []string  `json:"classes"` // the last is tally.Other
	Live             []float64 `json:"live"`    // counts, by class
	Candidate        []float64 `json:"candidate"`
	LiveN            float64   `json:"liveN"`
	CandidateN       float64   `json:"candidateN"`
	LiveEntropy      Entropy   `json:"liveEntropy"`
	CandidateEntropy Entropy   `json:"candidateEntropy"`
	Divergence       Shown     `json:"divergence"` // balanced Jensen-Shannon, bits, corrected by a jackknife over bins
	Margin           float64   `json:"margin"`     // bits
	Tolerate         float64   `json:"tolerate"`   // bits
}

// Entropy of a distribution of answers, see stats.Entropy. More is not better; half as many effective classes as before
// show a model that collapses.
type Entropy struct {
	Bits        float64 `json:"bits"`        // plug-in
	MillerMadow float64 `json:"millerMadow"` // with the bias of few observations taken out, bits
	Classes     float64 `json:"classes"`     // effective number, 2^Bits
}

// Picture draws a release. The same Input gives the same Pictures; it copes with whatever is missing, as [Assess] does. It costs a few
// milliseconds and is meant for when somebody looks, not for every tick.
func Picture(in Input) Pictures {
	j := judging{in: in, cache: &Cache{}}
	j.begin()
	p := Pictures{
		Latencies: []LatencyPicture{}, Categories: []CategoryPicture{}, Segments: []SegmentPicture{}, Posteriors: []Posterior{},
	}
	for i := range j.metrics() {
		for arm := 1; arm < j.arms; arm++ {
			s := j.subject(i, arm)
			switch s.metric.Kind {
			case release.MetricLatency:
				p.Latencies = append(p.Latencies, j.latencyPicture(s)...)
			case release.MetricCategory:
				p.Categories = append(p.Categories, j.categoryPicture(s)...)
			default:
				p.Posteriors = append(p.Posteriors, j.posterior(s)...)
			}
		}
	}
	p.Segments = append(p.Segments, j.segmentPictures()...)
	return p
}

// shown makes a Shown of an effect and its mixture.
func (s *subject) shown(mix stats.Mixture, e effect, scale float64) Shown {
	out := flat(e.d * scale)
	if i, err := mix.Interval(e.d, e.v, s.alpha); err == nil {
		out.Lo, out.Hi, out.Level = i.Lo*scale, i.Hi*scale, 1-2*s.alpha
	}
	return out
}

// flat is an estimate without an interval.
func flat(x float64) Shown {
	x = clamp(x, -math.MaxFloat64, math.MaxFloat64)
	return Shown{Estimate: x, Lo: x, Hi: x}
}

// categoryPicture has none or one element.
func (j *judging) categoryPicture(s *subject) []CategoryPicture {
	if j.in.View == nil || s.index >= len(j.in.View.Categories) {
		return nil
	}
	c := CategoryPicture{Metric: s.metric.Name, Arm: uint8(s.arm), From: FromStrata, Classes: j.in.View.Categories[s.index]}
	c.Live, c.Candidate = make([]float64, len(c.Classes)), make([]float64, len(c.Classes))
	drift := newDriftSum()
	if j.onPairs && s.arm == 1 {
		c.From = FromPairs
		for i := range j.in.Strata {
			v := j.view(j.in.Strata[i].ID)
			if j.in.Strata[i].Kind == release.ExposureWouldBe && v != nil && v.Pairs != nil && s.index < len(v.Pairs.Metrics) {
				m := &v.Pairs.Metrics[s.index]
				c.count(m.Live, m.Cand)
				drift.add(m.Live, m.Cand)
			}
		}
	} else {
		for _, v := range j.against(s.arm) {
			live, cand := v.metric(s.index)
			c.count(rowsOf(live), rowsOf(cand))
			drift.add(rowsOf(live), rowsOf(cand))
		}
	}
	c.LiveN, c.CandidateN = sum(c.Live), sum(c.Candidate)
	if c.LiveN+c.CandidateN == 0 {
		return nil
	}
	c.LiveEntropy, c.CandidateEntropy = entropyOf(c.Live), entropyOf(c.Candidate)
	c.Margin, c.Tolerate = s.margin.shift, s.tolerate.shift
	c.Divergence = s.divergence(drift)
	return []CategoryPicture{c}
}

func (c *CategoryPicture) count(live, cand rows) {
	for k := range c.Classes {
		if k < len(live) {
			c.Live[k] += sum(live[k])
		}
		if k < len(cand) {
			c.Candidate[k] += sum(cand[k])
		}
	}
}

func (s *subject) divergence(d *driftSum) Shown {
	e, ok := d.effect()
	if !ok {
		return Shown{}
	}
	out := flat(e.d)
	if d.gate() == "" && s.hasMix {
		out = s.shown(s.mix, e, 1)
	}
	for _, x := range []*float64{&out.Estimate, &out.Lo, &out.Hi} {
		*x = clamp(*x, 0, 1)
	}
	return out
}

func entropyOf(counts []float64) Entropy {
	e, err := stats.Entropy(counts)
	if err != nil {
		return Entropy{}
	}
	return Entropy{Bits: e.Bits, MillerMadow: e.MillerMadow / math.Ln2, Classes: e.Effective}
}

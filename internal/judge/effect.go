package judge

import (
	"math"
	"time"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/stats"
)

// bound is a margin as the engines use it: worse * (candidate - factor*live) is compared with shift. A difference
// has factor 1, a ratio has shift 0.
type bound struct{ factor, shift float64 }

// zero is the bound of "no difference".
var zero = bound{factor: 1}

func (b bound) isRatio() bool { return b.factor != 1 }

// boundOf translates a margin. worse is +1 where larger values are worse, -1 where smaller ones are. A factor
// below 1 means its inverse: "at most this many times worse" has no other reading.
func boundOf(m release.Margin, worse float64) bound {
	v := math.Abs(m.Value)
	switch m.Unit {
	case release.Points:
		return bound{1, v / 100}
	case release.Factor:
		if v == 0 {
			return zero
		}
		f := math.Max(v, 1/v)
		if worse < 0 {
			f = 1 / f
		}
		return bound{factor: f}
	case release.Percent:
		return bound{factor: math.Max(0, 1+worse*v/100)}
	default: // bits, or the metric's own unit
		return bound{1, v}
	}
}

// tolerance is the harm that one accepts. A Model that went through validation has it filled in; for one that did not,
// it is half the margin (a factor: half of what lies beyond 1).
func tolerance(m *release.Metric) release.Margin {
	if m.Tolerate != (release.Margin{}) {
		return m.Tolerate
	}
	half := m.Margin
	if m.Kind == release.MetricLatency {
		return release.Margin{Value: release.DefaultLatencyTolerate, Unit: release.Factor}
	}
	if half.Unit == release.Factor && half.Value > 0 {
		half.Value = 1 + (half.Value-1)/2
	} else {
		half.Value /= 2
	}
	return half
}

// subject is one metric of one candidate, with all that is fixed about it before data are read.
type subject struct {
	metric   *release.Metric
	index    int // of the metric in the Model and in the view
	arm      int
	base     release.MetricBaseline
	known    bool    // the baseline has it
	worse    float64 // +1: larger is worse; -1: smaller is worse
	weight   float64 // share of the release's alpha; 0 for watch
	alpha    float64 // of the release
	serving  float64 // share of the metric's alpha that serving strata may spend; pairs have the rest
	margin   bound
	tolerate bound
	mix      stats.Mixture
	hasMix   bool
	explain  bool // calls that reproduce the numbers are asked for
	single   bool // every request is a unit of its own: the Model names no unit and takes each request as one
}

func (s *subject) decides() bool { return s.weight > 0 }

// event is the sign in which more events are worse: an inverted metric counts the outcome 0.
func (s *subject) event() float64 {
	if s.base.Invert {
		return -s.worse
	}
	return s.worse
}

// binary says whether the outcome is 0 or 1.
func (s *subject) binary() bool {
	return s.metric.Kind == release.MetricEvent || s.metric.Kind == release.MetricProportion
}

// perUser says whether the classes' user engines (R1, R3, R4) judge the metric.
func (s *subject) perUser() bool {
	return s.base.Class == release.ClassEvent || s.base.Class == release.ClassBoth
}

// plain says whether E1 alone judges harm, with all of the route's alpha. Where every request is a unit of its own, users with
// the event and requests with the event are the same numbers, so that the request rate over bins says nothing that
// E1 does not say exactly ("the rules reduce to the plain engines"). Only where nothing or a factor is tolerated: points
// are a difference of rates, which bins measure and E1 only bounds. And only class event: E1 loses 1/(1-p) where events are frequent.
//
// It is fixed by the Model and the baseline, before data are seen. E1 stays exact even if units that come back are fed all the same, since a
// tally counts each at its first event; only the few who fail often would no longer be seen by their number of failures.
func (s *subject) plain() bool {
	b, known := s.userBound(s.tolerate)
	return s.single && s.binary() && s.base.Class == release.ClassEvent && known && (b.isRatio() || b.shift == 0)
}

// long is the weight of the release-long process among E1's.
func (s *subject) long() float64 {
	if s.plain() {
		return plainWeight
	}
	return longWeight
}

// prior sets E2's mixture: scaled by live's frozen variance, or by the margin where live has none (R2).
func (s *subject) prior() {
	if s.base.Variance > 0 && s.metric.Kind != release.MetricLatency && s.metric.Kind != release.MetricCategory {
		if m, err := stats.VarianceMixture(s.base.Variance); err == nil {
			s.mix, s.hasMix = m, true
			return
		}
	}
	tau := s.margin.shift
	if s.margin.isRatio() {
		tau = math.Abs(s.margin.factor-1) * math.Abs(s.base.Mean)
	}
	if tau == 0 { // role watch: nothing is asked of it, the scale only widens what is shown
		tau = math.Max(0.1*math.Abs(s.base.Mean), 0.01)
	}
	if m, err := stats.MarginMixture(tau); err == nil {
		s.mix, s.hasMix = m, true
	}
}

// metricAlpha is the metric's own share of alpha.
func (s *subject) metricAlpha() float64 { return s.alpha * s.weight }

// MaxLn is the largest absolute value of any evidence that is reported.
const MaxLn = 1e6

// clampLn makes evidence safe to report.
func clampLn(x float64) float64 { return clamp(x, -MaxLn, MaxLn) }

// clamp returns x within [lo, hi]; NaN becomes 0 brought into the range.
func clamp(x, lo, hi float64) float64 {
	if math.IsNaN(x) {
		x = 0
	}
	return math.Min(math.Max(x, lo), hi)
}

// labelSigma is the prior sd of E1's log rate ratio (§1.2).
func (s *subject) labelSigma() float64 {
	if s.metric.Kind == release.MetricLatency {
		return latencySigma
	}
	return eventSigma
}

// window is how long an outcome is waited for, in seconds.
func (s *subject) window() float64 {
	w := s.metric.Window
	if w <= 0 {
		w = release.Duration(release.DefaultWindow)
	}
	return time.Duration(w).Seconds()
}

package judge

import (
	"math"
	"strconv"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/stats"
	"sluice.dev/sluice/internal/tally"
)

const (
	latencySigma = 0.3  // prior sd of the log rate ratio of exceedances (§1.2)
	tailQuantile = 0.99 // an exceedance of this one is a rare event: counted per user (R1) instead of over bins
	minTail      = 20   // exceedances that a candidate no slower than live would have, before "no worse" may be shown
	enoughRows   = 500  // observations of either arm in the present stratum that make its own quantiles worth showing
)

// quantileName is "p95" for 0.95 and "p99.9" for 0.999.
func quantileName(q float64) string {
	return "p" + strconv.FormatFloat(math.Round(q*1e6)/1e4, 'f', -1, 64)
}

// latency judges a latency metric by R6: the chance to exceed live's frozen thresholds, live at x, the candidate at
// tolerate*x (harm, every threshold), at margin*x (no worse, the declared quantile), and at x itself (better, likewise).
func (j *judging) latency(s *subject, vs []versus, m marks, f *finding) {
	f.unit, f.gate = string(release.Factor), BurnIn
	thresholds := s.base.Thresholds
	share := s.serving / math.Max(1, float64(len(thresholds)))
	var asked, over, faster *binned
	for i, t := range thresholds {
		declared := t.Quantile == s.quantile()
		if t.Quantile == tailQuantile {
			j.labelHarm(s, quantileName(t.Quantile)+"/", share, vs, nil, f) // users at their first exceedance (R1)
			if !declared {
				continue
			}
		}
		pick := overSums(s.index, i, false)
		c := j.cache.sum(s, compOver+comp(i), vs, m, pick)
		if t.Quantile != tailQuantile {
			j.binsHarm(s, quantileName(t.Quantile), compOver+comp(i), share, vs, c, pick, f, s.exceeds(t.Quantile))
		}
		if declared {
			over = c
			asked = j.cache.sum(s, compMargin+comp(i), vs, m, overSums(s.index, i, true))
			faster = j.cache.sum(s, compFaster+comp(i), vs, m, fasterSums(s.index, i))
		}
	}
	if asked == nil {
		return
	}
	s.noSlower(asked, f)
	s.isFaster(faster, f)
	s.showLatency(vs, over, f)
}

func (s *subject) quantile() float64 {
	if s.metric.Quantile > 0 {
		return s.metric.Quantile
	}
	return release.DefaultQuantile
}

// overSums picks the exceedances of threshold i. Live has one count for both questions.
func overSums(metric, i int, margin bool) func(v *versus) (a, b sums) {
	pick := func(rows [][]float64) []float64 {
		if i < len(rows) {
			return rows[i]
		}
		return nil
	}
	return func(v *versus) (a, b sums) {
		live, cand := v.metric(metric)
		if live == nil || cand == nil {
			return a, b
		}
		a = sums{live.N, orZero(pick(live.Over), live.N)}
		b = sums{cand.N, pick(cand.Over)}
		if margin {
			b.y = pick(cand.OverMargin)
		}
		b.y = orZero(b.y, cand.N)
		return a, b
	}
}

// fasterSums picks the exceedances of threshold i itself by both arms: "better" compares with live's own time, while "no worse" and
// harm give the candidate a factor on it. A stratum in which a candidate's were not counted says nothing.
func fasterSums(metric, i int) func(v *versus) (a, b sums) {
	return func(v *versus) (a, b sums) {
		live, cand := v.metric(metric)
		if live == nil || cand == nil || cand.OverLive == nil {
			return a, b
		}
		a = sums{live.N, noCounts}
		if i < len(live.Over) {
			a.y = orZero(live.Over[i], live.N)
		}
		return a, sums{cand.N, cand.OverLive}
	}
}

var noCounts = make([]float64, release.Bins) // never written

// orZero reads a missing row beside existing observations as "none".
func orZero(y, n []float64) []float64 {
	if y == nil && len(n) == release.Bins {
		return noCounts
	}
	return y
}

// exceeds is E2's ln E that the candidate exceeds tolerate times the threshold more often than live the threshold.
func (s *subject) exceeds(q float64) func(*binned) (float64, *evidence) {
	mix, err := stats.VarianceMixture(q * (1 - q))
	return func(c *binned) (float64, *evidence) {
		e, ok := c.effect(1)
		if !ok || err != nil || c.gate(true) != "" {
			return 0, nil
		}
		return above(mix, e, 1, zero), s.mixedAbove(mix, e, 1, zero)
	}
}

// noSlower sets "no worse" at the declared quantile.
func (s *subject) noSlower(c *binned, f *finding) {
	q := s.quantile()
	e, ok := c.effect(1)
	mix, err := stats.VarianceMixture(q * (1 - q))
	f.live.KEff, f.cand.KEff = c.kA, c.kB
	f.gate = s.tailGate(c)
	if !ok || err != nil {
		if f.gate == "" {
			f.gate = BurnIn
		}
		return
	}
	if f.gate == "" {
		f.noWorse = below(mix, e, 1, zero)
		s.prove(&f.noWorseBy, f.noWorse, 1, s.mixedBelow(mix, e, 1, zero))
	}
	f.reached = func(more float64) bool {
		if f.gate != "" {
			return c.kEff()*more >= minKEff && s.tailExpected(c)*more >= minTail
		}
		scaled := effect{e.d, e.v / more}
		return below(mix, scaled, 1, zero) >= -math.Log(s.alpha)
	}
}

// isFaster sets "better": the candidate exceeds live's time at the declared quantile more seldom than live.
func (s *subject) isFaster(c *binned, f *finding) {
	q := s.quantile()
	e, ok := c.effect(1)
	mix, err := stats.VarianceMixture(q * (1 - q))
	if !ok || err != nil || s.tailGate(c) != "" {
		return
	}
	f.better = below(mix, e, 1, zero)
	s.prove(&f.betterBy, f.better, 1, s.mixedBelow(mix, e, 1, zero))
}

// tailGate is R2's gate, but a candidate is not asked to have exceedances: one that is never slower than margin times
// live's threshold has none, and must not wait for them for ever. Instead, a candidate as slow as the margin
// would have to have had enough of them.
func (s *subject) tailGate(c *binned) State {
	if g := c.gate(false); g != "" {
		return g
	}
	if c.leastLive < minBins || s.tailExpected(c) < minTail {
		return BurnIn
	}
	return ""
}

// tailExpected is how often the candidate would have exceeded the threshold at live's rate.
func (s *subject) tailExpected(c *binned) float64 {
	live, _ := c.values()
	return live * c.total[1]
}

// showLatency shows the declared quantile of both arms in milliseconds and their ratio with its confidence sequence.
// Users who come back make the histogram worth fewer observations than it holds: the design effect of the
// exceedances over bins says how many fewer.
func (s *subject) showLatency(vs []versus, c *binned, f *finding) {
	live, cand := histograms(vs, s.index)
	q := s.quantile()
	a, okA := quantileOf(live, q)
	b, okB := quantileOf(cand, q)
	if !okA || !okB {
		return
	}
	f.live.Value, f.cand.Value = a, b
	if a > 0 {
		f.estimate = clamp(b/a, 0, maxFactor)
	}
	deff := designEffect(c)
	iA, okA := quantileInterval(live, q, deff, s.alpha)
	iB, okB := quantileInterval(cand, q, deff, s.alpha)
	if !okA || !okB || f.gate != "" {
		return
	}
	f.level = 1 - 2*s.alpha
	f.lo, f.hi = 0, maxFactor
	if iA.Hi > 0 {
		f.lo = clamp(iB.Lo/iA.Hi, 0, maxFactor)
	}
	if iA.Lo > 0 {
		f.hi = clamp(iB.Hi/iA.Lo, 0, maxFactor)
	}
}

// maxFactor is the largest ratio that is reported.
const maxFactor = 1000

// histograms returns both arms' latency histograms: of the present stratum where it says enough, else of all.
func histograms(vs []versus, metric int) (live, cand []uint64) {
	if n := len(vs); n > 0 {
		a, b := vs[n-1].metric(metric)
		if a != nil && b != nil && total(a.Hist) >= enoughRows && total(b.Hist) >= enoughRows {
			return a.Hist, b.Hist
		}
	}
	for i := range vs {
		a, b := vs[i].metric(metric)
		if a != nil {
			live = addHist(live, a.Hist)
		}
		if b != nil {
			cand = addHist(cand, b.Hist)
		}
	}
	return live, cand
}

func total(h []uint64) (n uint64) {
	for _, c := range h {
		n += c
	}
	return n
}

func addHist(to, h []uint64) []uint64 {
	for len(to) < len(h) {
		to = append(to, 0)
	}
	for i, c := range h {
		to[i] += c
	}
	return to
}

// quantileOf reads a quantile in milliseconds.
func quantileOf(h []uint64, q float64) (float64, bool) {
	b, _ := tally.Rank(h, q)
	if b < 0 || b >= tally.LatencyBuckets {
		return 0, false
	}
	return float64(tally.Edge(b)) / 1000, true
}

// designEffect is how much larger the variance over bins is than that of as many independent requests, at least 1.
func designEffect(c *binned) float64 {
	e, ok := c.effect(1)
	a, b := c.values()
	plain := a*(1-a)/math.Max(1, c.total[0]) + b*(1-b)/math.Max(1, c.total[1])
	if !ok || plain <= 0 {
		return 1
	}
	return math.Max(1, e.v/plain)
}

// quantileInterval is the quantile's confidence sequence in milliseconds (§1.4), for n/deff independent observations.
func quantileInterval(h []uint64, q, deff, alpha float64) (stats.Interval, bool) {
	n := float64(total(h))
	c := 100.0
	if q >= tailQuantile {
		c = 1000
	}
	eff := math.Floor(n / deff)
	lo, hi, err := stats.QuantileRanks(eff, q, alpha, c)
	if err != nil || eff < 1 {
		return stats.Interval{}, false
	}
	i := stats.Interval{Lo: 0, Hi: math.Inf(1)}
	if lo > 0 {
		if b, _ := tally.Rank(h, lo/eff); b > 0 {
			i.Lo = float64(tally.Edge(b-1)) / 1000
		}
	}
	if hi+1 <= eff {
		if b, _ := tally.Rank(h, (hi+1)/eff); b >= 0 && b < tally.LatencyBuckets {
			i.Hi = float64(tally.Edge(b)) / 1000
		}
	}
	return i, true
}

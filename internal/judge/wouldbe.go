package judge

import (
	"fmt"
	"math"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/stats"
)

// checkAA compares the would-be arms of the shadow step: live served them both, so a difference speaks against the assignment
// (a unit that is not stable, a hash that follows an attribute). It is a warning, at alpha over all metrics.
func (j *judging) checkAA(a *Assessment) {
	for arm := 1; arm < j.arms; arm++ {
		vs := j.versuses(release.ExposureWouldBe, arm)
		if len(vs) == 0 {
			continue
		}
		for i := range j.metrics() {
			s := j.subject(i, arm)
			if !s.known || !s.decides() || !s.binary() && s.metric.Kind != release.MetricMean {
				continue
			}
			ln := j.cache.equal(s, vs)
			sup := j.mem.raise("aa/"+key(s.metric.Name, arm), ln)
			if sup+math.Log(s.weight) >= -math.Log(s.alpha) {
				a.Ratio.Warn = true
				a.Ratio.Reason += fmt.Sprintf("; %s differs between the would-be arms although live serves both: is the unit stable, is the assignment tied to an attribute?", s.metric.Name)
			}
		}
	}
}

// equal is subject.equal, computed again when something came to the would-be strata, which after the shadow step is rare.
func (c *Cache) equal(s *subject, vs []versus) float64 {
	at := equalMark{marks: marksOf(s.index, vs), made: s.base.N, alpha: s.alpha}
	for i := range vs {
		l := s.firsts(&vs[i], false)
		at.firsts[0] += l.KA
		at.firsts[1] += l.KB
	}
	id := sumKey{s.index, s.arm, compRate}
	if e, ok := c.equals[id]; ok && e.at == at {
		return e.ln
	}
	if c.equals == nil {
		c.equals = map[sumKey]cachedEqual{}
	}
	e := cachedEqual{at, s.equal(vs)}
	c.equals[id] = e
	return e.ln
}

// equal is the two-sided ln E against "no difference between would-be arms", half of alpha to each engine.
func (s *subject) equal(vs []versus) float64 {
	all := newBinSum()
	var cells []stats.LabelStratum
	for i := range vs {
		all.add(rateSums(s.index)(&vs[i]))
		if vs[i].epoch == 0 {
			cells = append(cells, s.firsts(&vs[i], false))
		}
	}
	ln := 0.0
	if l, err := stats.NewLabel(cells, eventSigma); err == nil && s.perUser() {
		ln = l.LnMarginal() - math.Ln2
	}
	c := all.binned()
	if e, ok := c.effect(1); ok && s.hasMix && c.gate(s.binary()) == "" {
		if x, err := s.mix.LnTwoSided(e.d, e.v, 0); err == nil {
			ln = math.Max(ln, x-math.Ln2)
		}
	}
	return ln
}

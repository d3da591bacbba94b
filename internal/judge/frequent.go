package judge

import (
	"math"

	"sluice.dev/sluice/internal/release"
)

// finding is what one look says about a subject, before memory and words.
type finding struct {
	harm      []component // routes to harm with their evidence now
	noWorse   float64     // ln evidence; holds at ln(1/alpha)
	better    float64
	gate      State // why there is no verdict yet; "" if there can be one
	live      Arm
	cand      Arm
	estimate  float64 // in unit, candidate minus live
	lo, hi    float64
	level     float64 // 0: no interval
	unit      string
	users     bool                    // the values are shares of users, not of requests
	shares    counts                  // when users is set; A is live
	requests  [2]float64              // request rates of live and candidate, when users is set
	reached   func(more float64) bool // would a decision stand with `more` times these data at the same rates
	exposures float64                 // of both arms, what `more` multiplies
	units     float64                 // likewise
	detail    string                  // what stands out, in words
	early     bool                    // no unit's window is over yet (R3)
	wait      float64                 // seconds that pass before an exposure counts (R3, R7)
	warn      []string
	post      *plain // the difference that the estimate shows, for the Bayesian view
	adjusted  *Adjustment
	bounds    []proof // what the ends of the interval rest on
	noWorseBy []proof // candidates for noWorse, as long as Explain asks; the one of equal value is it
	betterBy  []proof
}

// component is one route to harm: its name in Memory, its share of the metric's alpha, its evidence now.
type component struct {
	name  string
	share float64
	ln    float64
	how   *evidence // nil unless Explain asks
}

// frequent judges proportions and means by E2 over bins. share is what it may spend of the metric's alpha on harm, split of
// the release's on "no worse" and "better".
func (j *judging) frequent(s *subject, vs []versus, m marks, share, split float64, f *finding) {
	pick := rateSums(s.index)
	c := j.cache.sum(s, compRate, vs, m, pick)
	f.gate = c.gate(s.binary())
	s.fillArms(c, f)
	tol, okT := c.effect(s.tolerate.factor)
	mar, okM := c.effect(s.margin.factor)
	diff, okD := c.effect(1)
	if !okT || !okM || !okD || !s.hasMix {
		if f.gate == "" {
			f.gate = BurnIn
		}
		return
	}
	if f.gate != "" {
		f.reached = func(more float64) bool { return s.gateOpens(c, more) }
		return
	}
	s.interval(diff, f)
	f.adjusted = c.adjusted()
	j.binsHarm(s, "bins", compRate, share, vs, c, pick, f, func(c *binned) (float64, *evidence) {
		e, ok := c.effect(s.tolerate.factor)
		if !ok || c.gate(s.binary()) != "" {
			return 0, nil
		}
		return above(s.mix, e, s.worse, s.tolerate), s.mixedAbove(s.mix, e, s.worse, s.tolerate)
	})
	f.noWorse = below(s.mix, mar, s.worse, s.margin) + math.Log(split)
	f.better = below(s.mix, diff, s.worse, zero) + math.Log(split)
	s.prove(&f.noWorseBy, f.noWorse, split, s.mixedBelow(s.mix, mar, s.worse, s.margin))
	s.prove(&f.betterBy, f.better, split, s.mixedBelow(s.mix, diff, s.worse, zero))
	if ps := processes(vs, longWeight); len(ps) > 0 {
		share *= ps[0].weight
	}
	f.reached = func(more float64) bool { return s.reachedBins(tol, mar, share, split, more) }
}

// binsHarm adds E2's processes: release-long and of the present epoch. all are the sums over vs.
func (j *judging) binsHarm(s *subject, name string, k comp, share float64, vs []versus, all *binned,
	pick func(*versus) (a, b sums), f *finding, ask func(*binned) (float64, *evidence),
) {
	for _, p := range processes(vs, longWeight) {
		c := all
		if p.comp != 0 {
			c = j.cache.sum(s, k+p.comp, p.vs, marksOf(s.index, p.vs), pick)
		}
		ln, how := ask(c)
		f.harm = append(f.harm, component{name + "/" + p.name, share * p.weight, ln, how})
	}
}

// reachedBins says whether E2 would decide with the same effects and more data.
func (s *subject) reachedBins(tol, mar effect, share, split, more float64) bool {
	want := -math.Log(s.alpha)
	tol.v, mar.v = tol.v/more, mar.v/more
	if above(s.mix, tol, s.worse, s.tolerate)+math.Log(share*s.weight) >= want {
		return true
	}
	return below(s.mix, mar, s.worse, s.margin)+math.Log(split) >= want
}

// gateOpens forecasts E2's gates: effective bins and bins with an outcome grow at most in proportion to the data.
func (s *subject) gateOpens(c *binned, more float64) bool {
	if c.kEff()*more < minKEff {
		return false
	}
	return !s.binary() || float64(c.least)*more >= minBins
}

// fillArms sets what is shown of both arms and the plain difference.
func (s *subject) fillArms(c *binned, f *finding) {
	f.live.Value, f.cand.Value = c.values()
	f.live.KEff, f.cand.KEff = c.kA, c.kB
	f.unit = ""
	if s.binary() {
		f.unit = string(release.Points)
	}
	f.estimate = (f.cand.Value - f.live.Value) * s.scale()
}

// scale turns values into the unit of estimates: points for 0/1 outcomes.
func (s *subject) scale() float64 {
	if s.binary() {
		return 100
	}
	return 1
}

// interval sets the confidence sequence of candidate minus live at level 1 - 2 alpha.
func (s *subject) interval(e effect, f *finding) {
	i, err := s.mix.Interval(e.d, e.v, s.alpha)
	if err != nil {
		return
	}
	k := s.scale()
	s.shows(e, f)
	f.estimate, f.lo, f.hi, f.level = e.d*k, i.Lo*k, i.Hi*k, 1-2*s.alpha
	if s.binary() {
		f.lo, f.hi = math.Max(f.lo, -100), math.Min(f.hi, 100)
	}
}

package judge

import (
	"math"
	"strconv"

	"sluice.dev/sluice/internal/stats"
)

const (
	eventSigma = 0.5  // prior sd of the log rate ratio of error-like events (§1.2)
	maxLogOdds = 25.  // beyond, a tolerated ratio is as good as infinite
	rareLive   = 0.10 // R3: users' incidence in live up to which "no worse" is judged per user
	minEvents  = 10.  // R3: users with the event per arm before E2 on the indicators
)

// counts are the units of one stratum that R3 and R4 compare: closed and, of those, with the event.
type counts struct{ nA, kA, nB, kB float64 }

// units returns R3's counts of one stratum, oriented so that more events of B are worse.
func (s *subject) units(v *versus) counts {
	live, cand := v.metric(s.index)
	var c counts
	if live != nil {
		c.nA, c.kA = float64(live.Event.Closed), float64(live.Event.With)
	}
	if cand != nil {
		c.nB, c.kB = float64(cand.Event.Closed), float64(cand.Event.With)
	}
	c.kA, c.kB = math.Min(c.kA, c.nA), math.Min(c.kB, c.nB)
	if s.event() < 0 {
		c.nA, c.kA, c.nB, c.kB = c.nB, c.kB, c.nA, c.kA
	}
	return c
}

// firsts returns E1's counts of one stratum, oriented like units; ever selects the release-long process. In
// the first serving epoch both are the same.
func (s *subject) firsts(v *versus, ever bool) stats.LabelStratum {
	pick := func(arm int) float64 {
		live, cand := v.metric(s.index)
		m := live
		if arm == 1 {
			m = cand
		}
		switch {
		case m == nil:
			return 0
		case ever && v.epoch > 0:
			return float64(m.Event.Ever)
		}
		return float64(m.Event.First)
	}
	l := stats.LabelStratum{KA: pick(0), KB: pick(1), Rho: v.rho}
	if s.event() < 0 {
		l.KA, l.KB, l.Rho = l.KB, l.KA, 1-l.Rho
	}
	return l
}

// userShares are the shares of a metric's serving alpha that R4's three rules spend (see the package comment).
type userShares struct{ mirror, label, lower float64 }

func (s *subject) userShares(b bound) userShares {
	switch {
	case s.plain():
		return userShares{label: 1}
	case b.isRatio():
		return userShares{label: 0.5}
	case b.shift == 0:
		return userShares{label: 0.5} // the mirror is a weaker form of the same statement
	default:
		return userShares{mirror: 0.25, label: 0.125, lower: 0.125}
	}
}

// userBound is a margin on the event's incidence. A ratio on an inverted metric is a ratio of the outcome 1, hence
// points of the event: (1-f) times live's frozen rate.
func (s *subject) userBound(b bound) (bound, bool) {
	if !b.isRatio() || !s.base.Invert {
		return b, true
	}
	return bound{1, math.Abs(1-b.factor) * math.Abs(s.base.Mean)}, s.base.Mean > 0
}

// logRatio is the log rate ratio that a bound tolerates where live's incidence is at least lower (R4).
func (s *subject) logRatio(b bound, lower float64) float64 {
	switch {
	case b.isRatio():
		return math.Abs(math.Log(math.Max(b.factor, 1e-12)))
	case b.shift == 0:
		return 0
	case lower <= 0:
		return maxLogOdds
	case s.event() > 0:
		return math.Min(maxLogOdds, math.Log1p(b.shift/lower))
	case b.shift >= lower:
		return maxLogOdds
	default: // fewer events are worse: live may have up to 1/(1 - shift/lower) times as many
		return math.Min(maxLogOdds, -math.Log1p(-b.shift/lower))
	}
}

// tilt moves a stratum's null hypothesis to log rate ratio d0: the event is then the candidate's with the tilted
// share, so strata with different d0 still add up to one process.
func tilt(l stats.LabelStratum, d0 float64) stats.LabelStratum {
	if d0 != 0 && l.Rho > 0 && l.Rho < 1 {
		l.Rho = 1 / (1 + (1-l.Rho)/l.Rho*math.Exp(-d0))
	}
	return l
}

// lowerBound is live's time-uniform lower bound in one stratum, at the share of alpha that R4 gives it.
func (s *subject) lowerBound(v *versus, c counts, share float64) float64 {
	n, k := c.nA, c.kA
	if s.event() < 0 {
		n, k = c.nB, c.kB // oriented: live is B
	}
	level := s.metricAlpha() * s.serving * share * stats.StartWeight(v.order)
	i, err := stats.BernoulliCS(k, n, level)
	if err != nil || n == 0 {
		return 0
	}
	return i.Lo
}

// userHarm lists R1's and R4's routes to harm: the mirror of each stratum and the label processes.
func (j *judging) userHarm(s *subject, vs []versus, f *finding) {
	tol, _ := s.userBound(s.tolerate)
	shares := s.userShares(tol)
	d0 := make([]float64, len(vs))
	for i := range vs {
		v := &vs[i]
		c := s.units(v)
		if shares.mirror > 0 {
			key := "mirror" + strconv.Itoa(v.order)
			ln := j.cache.harmLevel(s, key, c, tol.shift)
			f.harm = append(f.harm, component{key, s.serving * shares.mirror * stats.StartWeight(v.order), ln, s.pointed(c, tol.shift, ln, true)})
		}
		lower := 0.0
		if shares.lower > 0 {
			lower = s.lowerBound(v, c, shares.lower)
		}
		d0[i] = s.logRatio(tol, lower)
	}
	j.labelHarm(s, "", s.serving*shares.label, vs, d0, f)
}

// labelHarm adds E1's processes, stratum i against log rate ratio d0[i] (nil: 0). The release-long one counts units at
// their first event of the release and stops where the candidate's share falls (R1).
func (j *judging) labelHarm(s *subject, prefix string, share float64, vs []versus, d0 []float64, f *finding) {
	if n := len(vs); n > 0 && vs[n-1].fell && vs[0].epoch == vs[n-1].epoch && vs[0].epoch > 0 {
		// The share of a candidate that joined late fell within its first epoch: the two processes part although their strata
		// are the same.
		e := vs[0].epoch
		j.addLabel(s, prefix, process{"long", s.long(), 0, vs}, share, d0, f)
		j.addLabel(s, prefix, process{"epoch" + strconv.Itoa(e), epochWeight(e, s.long()), compEpoch, vs}, share, d0, f)
		return
	}
	for _, p := range processes(vs, s.long()) {
		j.addLabel(s, prefix, p, share, d0, f)
	}
}

func (j *judging) addLabel(s *subject, prefix string, p process, share float64, d0 []float64, f *finding) {
	ever, last := p.comp == 0, p.vs[len(p.vs)-1].epoch
	cells := make([]stats.LabelStratum, 0, len(p.vs))
	for i := range p.vs {
		v := &p.vs[i]
		if ever && v.fell && last > 0 { // in the first epoch every first event is one of the release
			break
		}
		l := s.firsts(v, ever)
		if d0 != nil {
			l = tilt(l, d0[len(d0)-len(p.vs)+i])
		}
		cells = append(cells, l)
	}
	name := prefix + p.name
	f.harm = append(f.harm, component{name, share * p.weight, j.cache.label(s, name, cells), s.labelledBy(cells, false)})
}

// labelBelow is E1's evidence for "less than the bound", by the release-long process and the present epoch. It has half of
// alpha beside the request rate, or all of it (see plain).
func (j *judging) labelBelow(s *subject, name string, vs []versus, b bound, by *[]proof) float64 {
	if len(vs) == 0 || (!b.isRatio() && b.shift > 0) {
		return 0
	}
	d0 := s.logRatio(b, 0)
	present := vs[len(vs)-1].epoch
	var long, epoch []stats.LabelStratum
	for i := range vs {
		v := &vs[i]
		if !v.fell {
			long = append(long, tilt(s.firsts(v, true), d0))
		}
		if v.epoch == present {
			epoch = append(epoch, tilt(s.firsts(v, false), d0))
		}
	}
	share := 0.5
	if s.plain() {
		share = 1
	}
	w := share * s.long() // the first epoch's process is the release-long one
	if present > 0 {
		w = share * epochWeight(present, s.long())
	}
	ln := j.cache.labelBelow(s, name+"/epoch", epoch) + math.Log(w)
	s.prove(by, ln, w, s.labelledBy(epoch, true))
	if w = share * s.long(); present > 0 && !vs[len(vs)-1].fell {
		l := j.cache.labelBelow(s, name+"/long", long) + math.Log(w)
		s.prove(by, l, w, s.labelledBy(long, true))
		ln = math.Max(ln, l)
	}
	return ln
}

// userNoWorse is R3 on the present stratum: bounds or E2 on the units' indicators, half of alpha each. ok is
// false where R3 leaves the answer to E2 over bins.
func (j *judging) userNoWorse(s *subject, c counts, margin bound, f *finding) (ln float64, ok bool) {
	live := c.kA / math.Max(1, c.nA)
	if s.event() < 0 {
		live = c.kB / math.Max(1, c.nB)
	}
	if live > rareLive || margin.shift <= 0 {
		return 0, false
	}
	if c.nA == 0 || c.nB == 0 {
		return 0, true
	}
	level := j.cache.noWorseLevel(s, c, margin.shift)
	ln = math.Max(0, level-math.Ln2)
	s.proveTwice(&f.noWorseBy, level-math.Ln2, s.pointed(c, margin.shift, level, false))
	if c.kA >= minEvents && c.kB >= minEvents {
		x := indicators(c, margin.shift) - math.Ln2
		s.proveTwice(&f.noWorseBy, x, s.indicated(c, margin.shift))
		ln = math.Max(ln, x)
	}
	return ln, true
}

// indicators is E2's ln E for pB - pA < margin on independent units.
func indicators(c counts, margin float64) float64 {
	mix, err := stats.MarginMixture(margin)
	if err != nil {
		return 0
	}
	e := unitEffect(c)
	ln, err := mix.LnBelow(e.d, e.v, margin)
	if err != nil {
		return 0
	}
	return ln
}

// unitEffect is the difference of two proportions of units with the larger of unpooled and pooled variance.
func unitEffect(c counts) effect {
	a, b := c.kA/c.nA, c.kB/c.nB
	p := (c.kA + c.kB) / (c.nA + c.nB)
	unpooled := a*(1-a)/c.nA + b*(1-b)/c.nB
	return effect{b - a, math.Max(unpooled, p*(1-p)*(1/c.nA+1/c.nB))}
}

// events judges a metric of class event or both: by users, and by the request rate over bins (R4), half of alpha each; by E1
// alone where both are the same (see plain).
func (j *judging) events(s *subject, vs []versus, m marks, f *finding) {
	plain := s.plain()
	share := s.serving / 2
	if plain {
		share = s.serving // of E1; here for the forecast alone
	}
	j.frequent(s, vs, m, share, 0.5, f)
	bins, gate := *f, f.gate
	if plain {
		f.harm = nil
	}
	if s.explain { // where R3 does not apply, the request rate has all of alpha
		for _, p := range bins.noWorseBy {
			s.prove(&f.noWorseBy, p.ln+math.Ln2, 2*p.share, p.how)
		}
	}
	f.gate = ""
	j.userHarm(s, vs, f)
	margin, known := s.userBound(s.margin)
	var present counts
	if n := len(vs); n > 0 && vs[n-1].present {
		present = s.units(&vs[n-1])
	}
	switch {
	case !s.decides() && s.margin == zero: // watch: nothing is asked
	case margin.isRatio():
		f.noWorse = j.labelBelow(s, "noWorse", vs, margin, &f.noWorseBy)
		if !plain {
			f.noWorse = math.Max(f.noWorse, bins.noWorse)
		}
	default:
		ln, ok := 0.0, false
		if known {
			ln, ok = j.userNoWorse(s, present, margin, f)
		}
		f.noWorse = s.combineNoWorse(ln, ok, bins.noWorse)
	}
	f.better = j.labelBelow(s, "better", vs, zero, &f.betterBy)
	if !plain {
		f.better = math.Max(f.better, bins.better)
	}
	s.showUsers(present, gate, f)
	s.userForecast(present, margin, bins.reached, f)
	f.gate = s.userGate(vs, present, gate)
}

// combineNoWorse joins R3 and E2 over bins. Class event: R3 alone has all of alpha where it applies, otherwise the
// request rate has; class both: half each, always.
func (s *subject) combineNoWorse(users float64, applies bool, bins float64) float64 {
	const half = math.Ln2
	switch {
	case s.base.Class != "both" && applies:
		return users
	case s.base.Class != "both":
		if bins == 0 {
			return 0
		}
		return bins + half // bins came in at half of alpha
	case applies:
		return math.Max(users-half, bins)
	default:
		return bins
	}
}

// userGate says whether a user-judged metric can be judged: some unit is closed in each arm, or E2 speaks.
func (s *subject) userGate(vs []versus, c counts, bins State) State {
	if bins == "" || (c.nA > 0 && c.nB > 0) {
		return ""
	}
	for i := range vs {
		if l := s.firsts(&vs[i], false); l.KA+l.KB > 0 {
			return ""
		}
	}
	return bins
}

// showUsers puts the users' shares in front where they say more than the request rate: for metrics of kind event, once
// units of both arms are closed.
func (s *subject) showUsers(c counts, bins State, f *finding) {
	if s.base.Invert || s.metric.Kind == "proportion" || c.nA == 0 || c.nB == 0 {
		return
	}
	if s.event() < 0 { // back to live and candidate
		c.nA, c.kA, c.nB, c.kB = c.nB, c.kB, c.nA, c.kA
	}
	a, errA := stats.BernoulliCS(c.kA, c.nA, s.alpha/2)
	b, errB := stats.BernoulliCS(c.kB, c.nB, s.alpha/2)
	if errA != nil || errB != nil {
		return
	}
	f.users, f.shares, f.adjusted = true, c, nil
	f.requests = [2]float64{f.live.Value, f.cand.Value}
	f.live.Value, f.cand.Value = c.kA/c.nA, c.kB/c.nB
	f.estimate = 100 * (f.cand.Value - f.live.Value)
	f.lo, f.hi, f.level = 100*(b.Lo-a.Hi), 100*(b.Hi-a.Lo), 1-2*s.alpha
	s.showsUsers(c, f)
	if e := unitEffect(c); bins == "" && c.kA >= minEvents && c.kB >= minEvents {
		s.tighten(e, f)
	}
}

// tighten shows E2's interval on the units where it is the narrower one.
func (s *subject) tighten(e effect, f *finding) {
	tau := s.margin.shift
	if tau == 0 {
		tau = 0.01
	}
	mix, err := stats.MarginMixture(tau)
	if err != nil {
		return
	}
	if i, err := mix.Interval(e.d, e.v, s.alpha); err == nil && i.Hi-i.Lo < (f.hi-f.lo)/100 {
		f.lo, f.hi = 100*i.Lo, 100*i.Hi
		f.bounds = s.mixedEnds(mix, e, i)
	}
}

// userForecast sets what R3 still needs: closed units at the present rates.
func (s *subject) userForecast(c counts, margin bound, bins func(float64) bool, f *finding) {
	f.reached = func(more float64) bool {
		if bins != nil && s.base.Class == "both" && bins(more) {
			return true
		}
		n := counts{c.nA * more, c.kA * more, c.nB * more, c.kB * more}
		if n.nA == 0 || n.nB == 0 || margin.shift <= 0 || margin.isRatio() {
			return bins != nil && bins(more)
		}
		if n.kA >= minEvents && n.kB >= minEvents && indicators(n, margin.shift) >= math.Log(2/s.alpha) {
			return true
		}
		return gapBelow(n, s.alpha/4, margin.shift) || s.mirrorReached(n)
	}
	f.wait = s.window()
	f.early = c.nA == 0 || c.nB == 0
}

// gapBelow says whether U_B - L_A < margin with bounds at this level each.
func gapBelow(n counts, level, margin float64) bool {
	a, errA := stats.BernoulliCS(n.kA, n.nA, level)
	b, errB := stats.BernoulliCS(n.kB, n.nB, level)
	return errA == nil && errB == nil && b.Hi-a.Lo < margin
}

// mirrorReached says whether the mirror would show harm in a first stratum with these counts.
func (s *subject) mirrorReached(n counts) bool {
	tol, _ := s.userBound(s.tolerate)
	share := s.userShares(tol).mirror
	if share == 0 {
		return false
	}
	level := s.levelOf(share * s.serving * stats.StartWeight(0) / 2)
	a, errA := stats.BernoulliCS(n.kA, n.nA, level)
	b, errB := stats.BernoulliCS(n.kB, n.nB, level)
	return errA == nil && errB == nil && b.Lo-a.Hi > tol.shift
}

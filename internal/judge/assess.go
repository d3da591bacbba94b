package judge

import (
	"math"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

// Input is all that one look may know. Nothing in it is changed.
type Input struct {
	Model    *release.Model
	Baseline *release.Baseline // nil: not frozen yet
	Step     release.StepKind  // of the plan, at present
	Strata   []Stratum         // of the release, ascending by ID; the last one is present
	View     *tally.View       // nil: nothing was folded yet
	Memory   Memory            // of the previous look
	Rate     float64           // exposures per second of the release at present, all arms; 0: unknown
	UnitRate float64           // new units per second; 0: unknown
	Explain  bool              // fill the verdicts' Calls
}

// Assess says what the data say. The same Input gives the same Assessment, whatever was assessed before. It copes with
// anything missing: no baseline, no view, strata without sums.
func Assess(in Input) Assessment {
	var c Cache
	return c.Assess(in)
}

// Assess is [Assess] with what the Cache remembers of earlier looks at the same release.
func (c *Cache) Assess(in Input) Assessment {
	j := judging{in: in, cache: c, mem: remember(in.Memory)}
	j.begin()
	a := Assessment{
		Exposures: make([]uint64, j.arms),
		Loss:      make([]float64, j.arms),
	}
	j.account(&a)
	best := math.Inf(-1)
	for i := range j.metrics() {
		for arm := 1; arm < j.arms; arm++ {
			v := j.verdict(i, arm)
			if v.Harm {
				a.Harm = true
			}
			if v.Harm && v.LnHarm > best {
				best, a.HarmBy = v.LnHarm, v.Metric
			}
			a.Verdicts = append(a.Verdicts, v)
		}
	}
	a.Ratio = j.ratio("ratio", "units", func(v *tally.ArmView) uint64 { return v.NewUnits })
	a.Outcomes = j.ratio("outcomes", "units with an outcome", func(v *tally.ArmView) uint64 { return v.Outcomes })
	j.checkAA(&a)
	a.Diagnostics = j.finishDiagnostics()
	a.Memory = j.mem.m
	return a
}

// judging is one look under way.
type judging struct {
	in      Input
	cache   *Cache
	mem     remembered
	alpha   float64
	arms    int // live included
	weights float64
	shadow  bool // the plan has, or the release had, pairs: their share of alpha is set aside
	onPairs bool // the verdicts of this look come from pairs
	serving map[int][]versus

	diagnostics []Diagnostic
	hypotheses  int // asked, of which diagnostics are the ones worth naming
}

func (j *judging) metrics() []release.Metric {
	if j.in.Model == nil {
		return nil
	}
	return j.in.Model.Spec.Metrics
}

func (j *judging) begin() {
	j.alpha = release.DefaultAlpha
	j.arms = 2
	j.serving = map[int][]versus{}
	served := false
	for i := range j.in.Strata {
		s := &j.in.Strata[i]
		j.arms = min(release.MaxArms, max(j.arms, len(s.Shares)))
		j.shadow = j.shadow || s.Kind == release.ExposureWouldBe
		served = served || s.Kind == release.ExposureServe
	}
	if m := j.in.Model; m != nil {
		if a := m.Spec.Plan.Alpha; a > 0 && a < 0.5 {
			j.alpha = a
		}
		for _, s := range m.Spec.Plan.Steps {
			j.shadow = j.shadow || s.Shadow != nil
		}
	}
	j.onPairs = j.in.Step == release.StepShadow || (j.shadow && !served)
	for i := range j.metrics() {
		j.weights += weightOf(&j.metrics()[i])
	}
}

// weightOf is a metric's relative share of alpha.
func weightOf(m *release.Metric) float64 {
	switch {
	case m.Role == release.Watch:
		return 0
	case m.Weight > 0:
		return m.Weight
	default:
		return 1
	}
}

// account fills what an Assessment says about the present step as a whole.
func (j *judging) account(a *Assessment) {
	seen, dropped := make([]float64, j.arms), make([]float64, j.arms)
	for _, s := range j.stepStrata() {
		v := j.view(s.ID)
		if v == nil {
			continue
		}
		for arm := range min(j.arms, len(v.Arms)) {
			a.Exposures[arm] += v.Arms[arm].Exposures
			seen[arm] += float64(v.Arms[arm].Seen)
			dropped[arm] += float64(v.Arms[arm].Dropped)
		}
	}
	for arm := range a.Loss {
		if seen[arm] > 0 {
			a.Loss[arm] = clamp(dropped[arm]/seen[arm], 0, 1)
		}
	}
	for i := range j.in.Strata {
		if v := j.view(j.in.Strata[i].ID); v != nil && v.Pairs != nil {
			a.Pairs += v.Pairs.Complete
			a.Scored += v.Pairs.Scored
		}
	}
}

// subject fixes everything about one metric of one candidate.
func (j *judging) subject(i, arm int) *subject {
	m := &j.metrics()[i]
	s := &subject{metric: m, index: i, arm: arm, alpha: j.alpha, worse: 1, serving: 1, explain: j.in.Explain}
	if m.Direction == release.Higher {
		s.worse = -1
	}
	if j.shadow && arm == 1 { // pairs compare live with the first candidate
		s.serving = 0.5
	}
	if j.weights > 0 {
		s.weight = weightOf(m) / j.weights / float64(j.arms-1)
	}
	u := &j.in.Model.Spec.Unit
	s.single = u.Missing == release.MissingPerRequest && len(u.From) == 0
	s.margin = boundOf(m.Margin, s.worse)
	s.tolerate = boundOf(tolerance(m), s.worse)
	// Until every partition has folded the mark, thresholds and caps are counted in some and not in others.
	if j.in.Baseline != nil && (j.in.View == nil || j.in.View.Baseline) {
		s.base, s.known = j.in.Baseline.Metrics[m.Name]
	}
	s.prior()
	return s
}

// against returns the serving strata of one candidate.
func (j *judging) against(arm int) []versus {
	vs, ok := j.serving[arm]
	if !ok {
		vs = j.versuses(release.ExposureServe, arm)
		j.serving[arm] = vs
	}
	return vs
}

// verdict judges one metric of one candidate.
func (j *judging) verdict(i, arm int) Verdict {
	s := j.subject(i, arm)
	f := finding{gate: Waiting, unit: s.unit()}
	var components []component
	if s.known {
		f = j.judgeServing(s)
		components = f.harm
		switch {
		case !j.shadow || arm != 1:
		case j.onPairs:
			f = j.judgePairs(s, 1-s.serving)
			components = append(components, f.harm...)
		default:
			components = append(components, j.pairsHarm(s, 1-s.serving)...)
		}
	}
	lnHarm, by, harm := j.mem.harm(s, components)
	v := Verdict{
		Metric: s.metric.Name, Role: s.metric.Role, Kind: s.metric.Kind, Arm: uint8(arm),
		Harm: harm, Live: f.live, Candidate: f.cand,
		Estimate: f.estimate, Lo: f.lo, Hi: f.hi, Unit: f.unit, Level: f.level,
		Alpha: s.metricAlpha(), LnHarm: lnHarm, LnNoWorse: clampLn(f.noWorse), LnBetter: clampLn(f.better),
		Margin: s.metric.Margin, Tolerate: tolerance(s.metric), Class: s.base.Class, Adjusted: f.adjusted, Warnings: f.warn,
	}
	v.safe()
	s.decide(&v, &f)
	j.needs(s, &v, &f)
	s.warn(&v)
	v.Bayes = s.bayes(&f)
	v.Calls = s.calls(&v, &f, components, by)
	v.Reason = s.reason(&v, &f)
	j.diagnose(s, &v, components)
	return v
}

// judgeServing looks at the strata in which users were served.
func (j *judging) judgeServing(s *subject) finding {
	vs := j.against(s.arm)
	f := finding{unit: s.unit()}
	f.exposures = exposuresOf(vs)
	m := marksOf(s.index, vs)
	switch s.metric.Kind {
	case release.MetricCategory:
		j.drifted(s, vs, m, &f)
	case release.MetricLatency:
		j.latency(s, vs, m, &f)
	default:
		if s.perUser() && s.binary() {
			j.events(s, vs, m, &f)
		} else {
			j.frequent(s, vs, m, s.serving, 1, &f)
		}
	}
	f.live.Exposures, f.cand.Exposures = uint64(m.seen[0]), uint64(m.seen[1])
	countUnits(vs, &f)
	if f.live.Exposures == 0 || f.cand.Exposures == 0 {
		f.gate = NoData
	}
	return f
}

// rateSums picks a metric's own sums.
func rateSums(metric int) func(v *versus) (a, b sums) {
	return func(v *versus) (a, b sums) {
		live, cand := v.metric(metric)
		if live != nil && cand != nil {
			a, b = sums{live.N, live.Y}, sums{cand.N, cand.Y}
		}
		return a, b
	}
}

// countUnits sets the units of the present stratum: units of several strata are the same people and do not add up.
func countUnits(vs []versus, f *finding) {
	if n := len(vs); n > 0 {
		if a := vs[n-1].live; a != nil {
			f.live.Units = a.Units
		}
		if a := vs[n-1].cand; a != nil {
			f.cand.Units = a.Units
		}
	}
	f.units = float64(f.live.Units + f.cand.Units)
}

func exposuresOf(vs []versus) (n float64) {
	for i := range vs {
		for _, a := range []*tally.ArmView{vs[i].live, vs[i].cand} {
			if a != nil {
				n += float64(a.Exposures)
			}
		}
	}
	return n
}

// decide turns evidence into a state. Harm wins over everything; a gate over what may not be trusted yet.
func (s *subject) decide(v *Verdict, f *finding) {
	want := -math.Log(s.alpha)
	if v.Harm {
		v.State = Worse
		return
	}
	if f.gate != "" || !s.decides() {
		v.State = Undecided
		if f.gate != "" {
			v.State = f.gate
		}
		return
	}
	v.NoWorse = v.LnNoWorse >= want
	v.Better = v.NoWorse && v.LnBetter >= want
	switch {
	case v.Better:
		v.State = Better
	case v.NoWorse:
		v.State = NoWorse
	default:
		v.State = Undecided
	}
}

// safe keeps infinite and undefined numbers out of what is reported.
func (v *Verdict) safe() {
	for _, x := range []*float64{
		&v.Live.Value, &v.Candidate.Value, &v.Live.KEff, &v.Candidate.KEff,
		&v.Estimate, &v.Lo, &v.Hi, &v.Level, &v.LnHarm, &v.LnNoWorse, &v.LnBetter, &v.Alpha,
	} {
		*x = clamp(*x, -math.MaxFloat64, math.MaxFloat64)
	}
	if v.Level == 0 {
		v.Lo, v.Hi = v.Estimate, v.Estimate
	}
}

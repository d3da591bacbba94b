package judge

import (
	"math"
	"testing"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/stats"
	"sluice.dev/sluice/internal/tally"
)

// errorsRun simulates one release of the metric errors with equal or harmful versions, looking every `every` requests,
// and returns the request at which harm was shown (0: never) and whether "no worse" ever stood.
func errorsRun(seed uint64, users, requests, every int, zipf, conc, p, harm, share float64, tolerate release.Margin) (at int, noWorse bool) {
	w := newWorld(seed, users, zipf, 1)
	w.betaRates(0, p, conc)
	w.openStratum(1, release.ExposureServe, 1-share, share)
	m := errorsMetric()
	m.Tolerate = tolerate
	mod, base := model(m), frozen("errors", eventBaseline(p))
	var c Cache
	var mem Memory
	for i := 1; i <= requests; i++ {
		u, arm := w.next()
		w.meet(u, arm)
		rate := u.rates[0]
		if arm == 1 {
			rate += harm
		}
		e := w.flip(rate)
		w.observe(u, arm, 0, one(e), e)
		if i%every == 0 {
			a := c.Assess(w.input(mod, base, release.StepABTest, mem))
			mem = a.Memory
			noWorse = noWorse || a.Verdicts[0].NoWorse
			if a.Harm {
				return i, noWorse
			}
		}
	}
	return 0, noWorse
}

func TestR1FalseAlarmsOfReturningUsers(t *testing.T) {
	n := runs(120, 2000)
	alarms := 0
	for i := range n {
		if at, _ := errorsRun(uint64(i), 3000, 20000, 500, 1.3, 3, 0.02, 0, 0.1, release.Margin{Unit: release.Points}); at > 0 {
			alarms++
		}
	}
	t.Logf("identical versions, tolerate 0: harm in %d of %d releases", alarms, n)
	limit := 0.05 + 2.33*math.Sqrt(0.05*0.95/float64(n))
	if got := float64(alarms) / float64(n); got > limit {
		t.Errorf("false alarms %.3f, want at most %.3f", got, limit)
	}
}

func TestR1DetectsHarm(t *testing.T) {
	n := runs(30, 500)
	var at []int
	for i := range n {
		a, _ := errorsRun(uint64(1000+i), 20000, 20000, 250, 1.3, 3, 0.01, 0.02, 0.5, release.Margin{Unit: release.Points})
		if a > 0 {
			at = append(at, a)
		}
	}
	t.Logf("+2 points at share 50 %%: shown in %d of %d, median request %d", len(at), n, median(at))
	if float64(len(at)) < 0.9*float64(n) {
		t.Errorf("harm of 2 points shown in %d of %d releases", len(at), n)
	}
}

func median(xs []int) int {
	if len(xs) == 0 {
		return 0
	}
	s := append([]int(nil), xs...)
	for i := range s {
		for k := i; k > 0 && s[k] < s[k-1]; k-- {
			s[k], s[k-1] = s[k-1], s[k]
		}
	}
	return s[len(s)/2]
}

func fill(m *tally.MetricView, bins int, n, y float64) {
	m.N, m.Y = make([]float64, release.Bins), make([]float64, release.Bins)
	for b := range bins {
		m.N[b], m.Y[b] = n, y
	}
}

func TestR2IsBinDifference(t *testing.T) {
	w := newWorld(3, 2000, 1.2, 1)
	w.betaRates(0, 0.4, 3)
	all := newBinSum()
	var ref []stats.BinStratum
	for k, share := range []float64{0.05, 0.25, 0.5} {
		w.openStratum(uint8(k+1), release.ExposureServe, 1-share, share)
		for range 4000 {
			u, arm := w.next()
			w.meet(u, arm)
			e := w.flip(u.rates[0])
			w.observe(u, arm, 0, one(e), e)
		}
		s := w.stratum()
		a, b := s.Arms[0].Metrics[0], s.Arms[1].Metrics[0]
		all.add(sums{a.N, a.Y}, sums{b.N, b.Y})
		ref = append(ref, stats.BinStratum{A: stats.ArmBins{N: a.N, Y: a.Y}, B: stats.ArmBins{N: b.N, Y: b.Y}})
	}
	want, err := stats.BinDifference(ref)
	if err != nil {
		t.Fatal(err)
	}
	c := all.binned()
	e, ok := c.effect(1)
	if !ok || math.Abs(e.d-want.D) > 1e-12 || math.Abs(e.v-want.V) > 1e-12*want.V {
		t.Errorf("effect %v, stats.BinDifference %v %v", e, want.D, want.V)
	}
	kA, kB := c.kA, c.kB
	if math.Abs(kA-want.A.KEff) > 1e-9 || math.Abs(kB-want.B.KEff) > 1e-9 {
		t.Errorf("k_eff %v %v, want %v %v", kA, kB, want.A.KEff, want.B.KEff)
	}
	if (c.gate(true) == "") != want.Ready(true) {
		t.Errorf("gate %q, Ready %v", c.gate(true), want.Ready(true))
	}
}

func TestR3NoWorseWithoutAnyEvent(t *testing.T) {
	for _, tc := range []struct {
		units uint64
		want  bool
	}{{1500, false}, {1800, true}} {
		w := newWorld(1, 1, 0, 1)
		w.openStratum(1, release.ExposureServe, 0.5, 0.5)
		for arm := range 2 {
			m := &w.stratum().Arms[arm].Metrics[0]
			fill(m, 1024, 2, 0)
			m.Event.Closed = tc.units
			w.stratum().Arms[arm].Exposures = 2048
		}
		a := Assess(w.input(model(errorsMetric()), frozen("errors", eventBaseline(0)), release.StepABTest, Memory{}))
		if got := a.Verdicts[0].NoWorse; got != tc.want {
			t.Errorf("%d units per arm, no event: no worse %v, want %v (%s)", tc.units, got, tc.want, a.Verdicts[0].Reason)
		}
	}
}

// eventInput is one look at given unit counts and request sums spread evenly over all bins.
type eventCounts struct {
	first, ever, closed, with uint64
	n, y                      float64 // per bin
}

func eventWorld(strata []Stratum, arms [][]eventCounts) *world {
	w := newWorld(1, 1, 0, 1)
	for i, s := range strata {
		shares := make([]float64, len(s.Shares))
		for a, x := range s.Shares {
			shares[a] = float64(x) / 1e6
		}
		w.openStratum(s.Epoch, s.Kind, shares...)
		for a, c := range arms[i] {
			av := &w.stratum().Arms[a]
			m := &av.Metrics[0]
			if c.n > 0 {
				fill(m, release.Bins, c.n, c.y)
			}
			m.Event = tally.EventView{First: c.first, Ever: c.ever, Closed: c.closed, With: c.with}
			av.Exposures, av.Units, av.NewUnits = uint64(c.n*release.Bins), c.closed, c.closed
		}
	}
	return w
}

func half(epoch uint8) Stratum {
	return Stratum{Epoch: epoch, Shares: []release.Share{500_000, 500_000}}
}

func TestR1EpochsWeighAsStated(t *testing.T) {
	m := errorsMetric()
	m.Tolerate = release.Margin{Unit: release.Points}
	quiet := eventCounts{n: 1}
	events := func(k uint64) eventCounts { return eventCounts{first: k, n: 1} }
	// An incident in both arms spent everybody in epoch 1: the release-long process sees nothing new, the fresh one does.
	w := eventWorld([]Stratum{half(1), half(2)}, [][]eventCounts{{events(200), events(200)}, {quiet, events(40)}})
	a := Assess(w.input(model(m), frozen("errors", eventBaseline(0.01)), release.StepCanary, Memory{}))
	l, err := stats.NewLabel([]stats.LabelStratum{{KA: 0, KB: 40, Rho: 0.5}}, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	want := l.LnAbove(0) + math.Log(0.5/3/2)
	if got := a.Verdicts[0].LnHarm; math.Abs(got-want) > 1e-9 {
		t.Errorf("ln harm %v, want epoch 2's own process %v; memory %v", got, want, a.Memory.Sup)
	}
	if !a.Harm {
		t.Error("40 first events to none in a fresh epoch are harm")
	}
	if x := a.Memory.Sup["errors/1/long"]; x > 0 {
		t.Errorf("units that had an event in epoch 1 were counted again in the release-long process: %v", x)
	}
}

func TestR5HarmBeginsAtOneOverAlpha(t *testing.T) {
	m := errorsMetric()
	m.Tolerate = release.Margin{Unit: release.Points}
	look := func(k uint64) Assessment {
		w := eventWorld([]Stratum{half(1)}, [][]eventCounts{{{n: 1}, {first: k, n: 1}}})
		return Assess(w.input(model(m), frozen("errors", eventBaseline(0.01)), release.StepABTest, Memory{}))
	}
	for k := uint64(1); k < 40; k++ {
		l, err := stats.NewLabel([]stats.LabelStratum{{KB: float64(k), Rho: 0.5}}, 0.5)
		if err != nil {
			t.Fatal(err)
		}
		want := math.Exp(l.LnAbove(0))*0.5*2/3 >= 20 // half of alpha to the users, 2/3 of it to the first process
		if got := look(k).Harm; got != want {
			t.Errorf("%d first events to none: harm %v, want %v", k, got, want)
		}
	}
}

func TestR1ReleaseLongStopsWhereTheShareFalls(t *testing.T) {
	m := errorsMetric()
	m.Tolerate = release.Margin{Unit: release.Points}
	low := Stratum{Epoch: 3, Shares: []release.Share{900_000, 100_000}}
	none, some := eventCounts{n: 1}, eventCounts{first: 30, ever: 30, n: 1}
	w := eventWorld([]Stratum{half(1), low}, [][]eventCounts{{none, none}, {none, some}})
	a := Assess(w.input(model(m), frozen("errors", eventBaseline(0.01)), release.StepCanary, Memory{}))
	if x, ok := a.Memory.Sup["errors/1/long"]; ok {
		t.Errorf("the release-long process counted %v after the share fell", x)
	}
	if a.Memory.Sup["errors/1/epoch1"] == 0 {
		t.Error("the epoch's own process must go on")
	}
}

func TestR4ToleratedHarmIsNoHarm(t *testing.T) {
	// .02 % -> .12 % of users under tolerate .25 points: six times as many events, harmless by the plan's own words.
	w := eventWorld([]Stratum{half(1)}, [][]eventCounts{{
		{first: 10, closed: 50000, with: 10, n: 100, y: 0.01},
		{first: 60, closed: 50000, with: 60, n: 100, y: 0.06},
	}})
	a := Assess(w.input(model(errorsMetric()), frozen("errors", eventBaseline(0.0002)), release.StepABTest, Memory{}))
	if v := a.Verdicts[0]; a.Harm || !v.NoWorse {
		t.Errorf("tolerated difference: harm %v, no worse %v (%s)", a.Harm, v.NoWorse, v.Reason)
	}
	// Live has no event at all: a ratio to nothing says nothing, only the mirror of bounds may speak.
	w = eventWorld([]Stratum{half(1)}, [][]eventCounts{{
		{closed: 50000, n: 100},
		{first: 60, closed: 50000, with: 60, n: 100, y: 0.06},
	}})
	a = Assess(w.input(model(errorsMetric()), frozen("errors", eventBaseline(0.0002)), release.StepABTest, Memory{}))
	if v := a.Verdicts[0]; a.Harm || !v.NoWorse {
		t.Errorf("0 to .12 %%, .25 points tolerated: harm %v (%s) %v", a.Harm, v.Reason, a.Memory.Sup)
	}
	// 1 % -> 3 % is not.
	w = eventWorld([]Stratum{half(1)}, [][]eventCounts{{
		{first: 50, closed: 5000, with: 50, n: 10, y: 0.1},
		{first: 150, closed: 5000, with: 150, n: 10, y: 0.3},
	}})
	a = Assess(w.input(model(errorsMetric()), frozen("errors", eventBaseline(0.01)), release.StepABTest, Memory{}))
	if !a.Harm || a.HarmBy != "errors" || a.Verdicts[0].State != Worse {
		t.Errorf("2 points worse, .25 tolerated: %+v", a.Verdicts[0])
	}
}

func TestR4MirrorIsOnTheCommonScale(t *testing.T) {
	c := eventCounts{closed: 2000, with: 20, n: 4}
	d := eventCounts{closed: 2000, with: 120, n: 4}
	w := eventWorld([]Stratum{half(1)}, [][]eventCounts{{c, d}})
	a := Assess(w.input(model(errorsMetric()), frozen("errors", eventBaseline(0.01)), release.StepABTest, Memory{}))
	v, err := stats.HarmInPoints(20, 2000, 120, 2000, 0.0025, 0.05)
	if err != nil {
		t.Fatal(err)
	}
	want := -v.LnLevel + math.Log(0.25*stats.StartWeight(0))
	if got := a.Verdicts[0].LnHarm; math.Abs(got-want) > 1e-6 {
		t.Errorf("ln harm %v, want the mirror's level %v", got, want)
	}
}

func TestR5HarmIsTheWeightedMaximumAndLatched(t *testing.T) {
	one, two := errorsMetric(), errorsMetric()
	one.Tolerate, two.Tolerate = release.Margin{Unit: release.Points}, release.Margin{Unit: release.Points}
	two.Name, two.Weight = "timeouts", 3
	mod := model(one, two)
	base := &release.Baseline{Metrics: map[string]release.MetricBaseline{"errors": eventBaseline(0.01), "timeouts": eventBaseline(0.01)}}
	w := newWorld(1, 1, 0, 2)
	w.openStratum(1, release.ExposureServe, 0.5, 0.5)
	for a := range 2 {
		for i := range 2 {
			m := &w.stratum().Arms[a].Metrics[i]
			fill(m, release.Bins, 1, 0)
			m.Event.First = uint64(a * 20)
		}
		w.stratum().Arms[a].Exposures = 1024
	}
	a := Assess(w.input(mod, base, release.StepABTest, Memory{}))
	if d := a.Verdicts[1].LnHarm - a.Verdicts[0].LnHarm; math.Abs(d-math.Log(3)) > 1e-9 {
		t.Errorf("weight 3 against 1 must differ by ln 3, differ by %v", d)
	}
	if !a.Harm || a.HarmBy != "timeouts" {
		t.Errorf("harm %v by %q", a.Harm, a.HarmBy)
	}
	// The evidence vanishes; what was shown stays.
	for i := range 2 {
		w.stratum().Arms[0].Metrics[i].Event.First = 20
	}
	b := Assess(w.input(mod, base, release.StepABTest, a.Memory))
	if !b.Harm || b.Verdicts[1].LnHarm < a.Verdicts[1].LnHarm || b.Verdicts[1].NoWorse {
		t.Errorf("harm must stay: %+v", b.Verdicts[1])
	}
	if b2 := Assess(w.input(mod, base, release.StepABTest, Memory{})); b2.Harm {
		t.Error("without memory there is no harm here")
	}
}

func TestR7R8RatiosCountUnitsOnce(t *testing.T) {
	w := newWorld(1, 1, 0, 1)
	w.openStratum(1, release.ExposureServe, 0.9, 0.1)
	w.openStratum(1, release.ExposureServe, 0.5, 0.5)
	for i, n := range [][2]uint64{{9000, 1000}, {5000, 5000}} {
		for a := range 2 {
			av := &w.view.Strata[i].Arms[a]
			av.NewUnits, av.Outcomes, av.Units = n[a], n[a]/2, 10*n[a]
		}
	}
	in := w.input(model(errorsMetric()), nil, release.StepABTest, Memory{})
	a := Assess(in)
	if a.Ratio.Alarm || a.Ratio.Warn || a.Outcomes.Warn {
		t.Errorf("units as the shares say: %+v", a.Ratio)
	}
	if math.Abs(a.Ratio.Expected[1]-0.3) > 1e-12 {
		t.Errorf("expected share %v, want 6000 of 20000", a.Ratio.Expected)
	}
	w.view.Strata[1].Arms[1].Outcomes = 1500 // the candidate loses outcomes
	a = Assess(in)
	if !a.Outcomes.Alarm || a.Ratio.Alarm || a.Harm {
		t.Errorf("a loss of outcomes freezes and never rolls back: %+v", a.Outcomes)
	}
	w.view.Strata[1].Arms[1].Outcomes = 2500
	in.Memory = a.Memory
	if a = Assess(in); !a.Outcomes.Alarm {
		t.Error("an alarm stays on record")
	}
	w.view.Strata[1].Arms[1].NewUnits = 4400
	if a = Assess(in); !a.Ratio.Alarm {
		t.Errorf("5000 to 4400 at equal shares: %+v", a.Ratio)
	}
}

func TestR8Pairs(t *testing.T) {
	run := func(zipf, b, c float64, tolerate release.Margin, n int) (harm int) {
		m := correctMetric()
		m.Tolerate = tolerate
		mod, base := model(m), frozen("correct", frequentBaseline(0.7))
		mod.Spec.Plan.Steps = []release.Step{{Shadow: &release.ShadowStep{}}}
		for seed := range n {
			w := newWorld(uint64(seed), 2000, zipf, 1)
			w.betaRates(0, 0.5, 3)
			w.openStratum(1, release.ExposureWouldBe, 0.8, 0.2)
			var mem Memory
			var cache Cache
			for i := 1; i <= 4000; i++ {
				u, arm := w.next()
				w.meet(u, arm)
				// a user's own rate of disagreement, in either direction
				x := w.rng.Float64()
				switch {
				case x < 2*b*u.rates[0]:
					w.mirror(u, 0, false, true)
				case x < 2*(b+c)*u.rates[0]:
					w.mirror(u, 0, true, false)
				default:
					w.mirror(u, 0, true, true)
				}
				if i%250 == 0 {
					a := cache.Assess(w.input(mod, base, release.StepShadow, mem))
					if mem = a.Memory; a.Harm {
						harm++
						break
					}
				}
			}
		}
		return harm
	}
	n := runs(40, 1000)
	same := run(1.2, 0.05, 0.05, release.Margin{Unit: release.Points}, n)
	worse := run(0.8, 0.03, 0.10, points(1), n)
	edge := run(0.8, 0.05, 0.06, points(1), n)
	t.Logf("pairs: same %d, as tolerated %d, 7 points worse %d of %d", same, edge, worse, n)
	if r := float64(same) / float64(n); r > limit(0.05, n) {
		t.Errorf("equal versions: harm on pairs in %.3f", r)
	}
	if r := float64(edge) / float64(n); r > limit(0.05, n) {
		t.Errorf("1 point worse, 1 tolerated: harm on pairs in %.3f", r)
	}
	if float64(worse) < 0.9*float64(n) {
		t.Errorf("7 points worse: harm on pairs in %d of %d", worse, n)
	}
}

func TestR9WouldBeArmsAreAnAATest(t *testing.T) {
	build := func(bias uint64) Assessment {
		w := eventWorld([]Stratum{{Epoch: 1, Kind: release.ExposureWouldBe, Shares: []release.Share{500_000, 500_000}}},
			[][]eventCounts{{{first: 30, n: 2}, {first: 30 + bias, n: 2}}})
		return Assess(w.input(model(errorsMetric()), frozen("errors", eventBaseline(0.01)), release.StepShadow, Memory{}))
	}
	if a := build(0); a.Ratio.Warn {
		t.Errorf("equal would-be arms warn: %s", a.Ratio.Reason)
	}
	if a := build(60); !a.Ratio.Warn || a.Harm || a.Ratio.Alarm {
		t.Errorf("a difference between would-be arms is a warning, no harm: %+v", a.Ratio)
	}
}

func TestR9LateHarmIsFoundByThePresentEpoch(t *testing.T) {
	spread := func(a *tally.MetricView, n, rate float64) {
		a.N, a.Y = make([]float64, release.Bins), make([]float64, release.Bins)
		for b := range a.N {
			a.N[b], a.Y[b] = n, n*rate+0.3*float64(b%3-1)
		}
	}
	w := newWorld(1, 1, 0, 1)
	for e, n := range []float64{400, 4} { // a long healthy history, then a watch in which the candidate is bad
		w.openStratum(uint8(e+1), release.ExposureServe, 0.5, 0.5)
		for arm := range 2 {
			spread(&w.stratum().Arms[arm].Metrics[0], n, 0.7-0.1*float64(e*arm))
		}
	}
	a := Assess(w.input(model(correctMetric()), frozen("correct", frequentBaseline(0.7)), release.StepProduction, Memory{}))
	if a.Memory.Sup["correct/1/bins/long"] > 1 {
		t.Errorf("the release-long process should still be drowned in history: %v", a.Memory.Sup)
	}
	if !a.Harm {
		t.Errorf("10 points worse in the present epoch: %s %v", a.Verdicts[0].Reason, a.Memory.Sup)
	}
}

func TestWeightsOfProcessesAddUpToOne(t *testing.T) {
	var vs []versus
	total := 0.0
	for e := range 200 {
		vs = append(vs, versus{order: e, epoch: e})
		ps := processes(vs, longWeight)
		own := ps[len(ps)-1].weight
		if e == 0 {
			if len(ps) != 1 || own != 2./3 { // the release-long one, counted once
				t.Fatalf("first epoch: %+v", ps)
			}
		} else if len(ps) != 2 || ps[0].weight != 2./3 || len(ps[1].vs) != 1 {
			t.Fatalf("epoch %d: %+v", e, ps)
		}
		total += own
	}
	if total > 1 || total < 0.99 {
		t.Errorf("200 epochs spend %v", total)
	}
}

func TestR8DiscordantUnitsByDirectionAndTolerance(t *testing.T) {
	look := func(liveOnly, candOnly uint64, tolerate float64) float64 {
		m := correctMetric()
		m.Tolerate = points(tolerate)
		w := newWorld(1, 1, 0, 1)
		w.openStratum(1, release.ExposureWouldBe, 0.5, 0.5)
		p := &w.stratum().Pairs.Metrics[0]
		p.N, p.D = make([]float64, release.Bins), make([]float64, release.Bins)
		for b := range p.N {
			p.N[b] = 2
		}
		p.LiveOnly, p.CandOnly = liveOnly, candOnly
		a := Assess(w.input(model(m), frozen("correct", frequentBaseline(0.7)), release.StepShadow, Memory{}))
		return a.Memory.Sup["correct/1/pairs/label"]
	}
	if lost, won := look(60, 20, 0), look(20, 60, 0); lost < 3 || won > 0 {
		t.Errorf("live alone is right 60 times to 20: ln E %v; 20 to 60: %v", lost, won)
	}
	if free, tolerated := look(60, 20, 0), look(60, 20, 3); tolerated >= free/2 {
		t.Errorf("ln E %v with 3 points tolerated, %v with none", tolerated, free)
	}
}

func TestR2PoolsTheVarianceOfASmallArmThatMissedTheTail(t *testing.T) {
	a, b := tally.MetricView{}, tally.MetricView{}
	fill(&a, release.Bins, 20, 0)
	fill(&b, 100, 1, 0)
	for i := range 50 {
		a.Y[i*20] = 10 // live has a tail that 100 requests of the candidate did not meet
	}
	b.Y[3] = 1
	all := newBinSum()
	all.add(sums{a.N, a.Y}, sums{b.N, b.Y})
	want, err := stats.BinDifference([]stats.BinStratum{{A: stats.ArmBins{N: a.N, Y: a.Y}, B: stats.ArmBins{N: b.N, Y: b.Y}}})
	if err != nil {
		t.Fatal(err)
	}
	if e, ok := all.binned().effect(1); !ok || math.Abs(e.v-want.V) > 1e-12*want.V || e.v <= 1.5*want.B.V {
		t.Errorf("variance %v, want %v, more than the small arm's own %v", e.v, want.V, want.B.V)
	}
}

func TestR2GateAsksForBothOutcomesInBothArms(t *testing.T) {
	for _, tc := range []struct {
		live, cand float64 // successes of two in each bin
		want       State
	}{{1, 1, ""}, {2, 1, BurnIn}, {1, 0, BurnIn}, {0, 1, BurnIn}, {1, 2, BurnIn}} {
		a, b := tally.MetricView{}, tally.MetricView{}
		fill(&a, 500, 2, tc.live)
		fill(&b, 500, 2, tc.cand)
		all := newBinSum()
		all.add(sums{a.N, a.Y}, sums{b.N, b.Y})
		if got := all.binned().gate(true); got != tc.want {
			t.Errorf("%v and %v of 2 in each of 500 bins: %q, want %q", tc.live, tc.cand, got, tc.want)
		}
	}
}

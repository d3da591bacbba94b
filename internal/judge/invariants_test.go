package judge

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

// drawWorld draws a release of all kinds of metrics with anything in it, also nonsense that a tally would never hold.
func drawWorld(t *rapid.T) Input {
	mod := model(errorsMetric(), correctMetric(), costMetric(), slowMetric(), decisionMetric())
	watch := errorsMetric()
	watch.Name, watch.Role, watch.Margin, watch.Tolerate = "seen", release.Watch, release.Margin{}, release.Margin{}
	rare := correctMetric()
	rare.Name, rare.Role = "rarely", release.Guardrail
	mod.Spec.Metrics = append(mod.Spec.Metrics, watch, rare)
	base := &release.Baseline{Metrics: map[string]release.MetricBaseline{
		"errors": eventBaseline(0.01), "correct": frequentBaseline(0.7), "slow": lognormal(3, 0.7),
		"cost": {Class: release.ClassFrequent, N: 100, Mean: 2, Variance: 1}, "decision": {Class: release.ClassDistribution, N: 100},
		"seen": eventBaseline(0.01), "rarely": {Class: release.ClassBoth, Invert: true},
	}}
	if rapid.Bool().Draw(t, "shadowed") {
		mod.Spec.Plan.Steps = []release.Step{{Shadow: &release.ShadowStep{}}}
	}
	in := Input{Model: mod, Baseline: base, View: &tally.View{Baseline: true}, Rate: 10, UnitRate: 1}
	in.Step = rapid.SampledFrom([]release.StepKind{release.StepShadow, release.StepABTest, release.StepCanary, release.StepProduction}).Draw(t, "step")
	if rapid.IntRange(0, 9).Draw(t, "noBaseline") == 0 {
		in.Baseline = nil
	}
	arms := rapid.IntRange(2, 3).Draw(t, "arms")
	n := rapid.IntRange(0, 3).Draw(t, "strata")
	epoch := uint8(0)
	for i := range n {
		s := Stratum{ID: uint16(i + 1), Kind: release.ExposureServe}
		if i == 0 && rapid.Bool().Draw(t, "wouldBe") {
			s.Kind = release.ExposureWouldBe
		}
		epoch += uint8(rapid.IntRange(0, 1).Draw(t, "epoch"))
		s.Epoch = epoch
		for range arms {
			s.Shares = append(s.Shares, release.Share(rapid.SampledFrom([]int{0, 1, 50_000, 500_000, 1_000_000}).Draw(t, "share")))
		}
		in.Strata = append(in.Strata, s)
		if rapid.IntRange(0, 9).Draw(t, "absent") > 0 {
			in.View.Strata = append(in.View.Strata, drawStratum(t, s, arms, len(mod.Spec.Metrics)))
		}
	}
	return in
}

func drawStratum(t *rapid.T, s Stratum, arms, metrics int) tally.StratumView {
	v := tally.StratumView{ID: s.ID, Epoch: s.Epoch, Kind: s.Kind}
	count := rapid.SampledFrom([]uint64{0, 1, 7, 150, 3000, 1 << 40})
	for range arms {
		a := tally.ArmView{
			Exposures: count.Draw(t, "exposures"), Units: count.Draw(t, "units"), NewUnits: count.Draw(t, "new"),
			Outcomes: count.Draw(t, "outcomes"), Seen: count.Draw(t, "seen"), Dropped: count.Draw(t, "dropped"),
		}
		for range metrics {
			a.Metrics = append(a.Metrics, drawMetric(t))
		}
		v.Arms = append(v.Arms, a)
	}
	if s.Kind == release.ExposureWouldBe {
		v.Pairs = &tally.PairView{Complete: count.Draw(t, "complete")}
		for range metrics {
			m := drawMetric(t)
			v.Pairs.Metrics = append(v.Pairs.Metrics, tally.PairMetricView{
				N: m.N, D: m.Y, LiveY: sum(m.Y), CandY: m.SumSq, LiveOnly: m.Event.First, CandOnly: m.Event.With,
				Over: m.Over, OverMargin: m.OverMargin, OverLive: m.OverLive, LiveHist: m.Hist, CandHist: m.Hist, Live: m.Category, Cand: m.Category,
			})
		}
	}
	for _, value := range []string{"old", "young"}[:rapid.IntRange(0, 2).Draw(t, "segments")] {
		g := tally.SegmentView{Name: "age", Value: value}
		for range arms {
			a := tally.SegmentArm{Exposures: count.Draw(t, "exposures")}
			for range metrics {
				n := rapid.SampledFrom([]float64{0, 1, 400, 1e9}).Draw(t, "n")
				y := n * rapid.SampledFrom([]float64{0, 0.3, 1, 1e6}).Draw(t, "y")
				a.N, a.Y, a.Q = append(a.N, n), append(a.Y, y), append(a.Q, y*rapid.SampledFrom([]float64{1, 30, 1e7}).Draw(t, "q"))
			}
			g.Arms = append(g.Arms, a)
		}
		v.Segments = append(v.Segments, g)
	}
	return v
}

func drawMetric(t *rapid.T) tally.MetricView {
	var m tally.MetricView
	row := func(scale float64) []float64 {
		r := make([]float64, release.Bins)
		for b := range rapid.SampledFrom([]int{0, 1, 3, 25, release.Bins}).Draw(t, "bins") {
			r[b] = math.Floor(scale * float64(1+b%7))
		}
		return r
	}
	if rapid.IntRange(0, 9).Draw(t, "empty") == 0 {
		return m
	}
	m.N = row(rapid.SampledFrom([]float64{1, 40}).Draw(t, "n"))
	m.Y = row(rapid.SampledFrom([]float64{0, 0.3, 1, 40, 1e6}).Draw(t, "y"))
	m.SumSq = sum(m.Y)
	count := rapid.SampledFrom([]uint64{0, 1, 12, 600, 5000, 1 << 40})
	m.Event = tally.EventView{First: count.Draw(t, "first"), Ever: count.Draw(t, "ever"), Closed: count.Draw(t, "closed"), With: count.Draw(t, "with")}
	for range rapid.IntRange(0, 5).Draw(t, "thresholds") {
		m.Over = append(m.Over, row(0.4))
		m.OverMargin = append(m.OverMargin, row(0.2))
	}
	if rapid.Bool().Draw(t, "live") {
		m.OverLive = row(0.3)
	}
	for range rapid.IntRange(0, 3).Draw(t, "cats") {
		m.Category = append(m.Category, row(0.4))
	}
	if rapid.Bool().Draw(t, "hist") {
		m.Hist = make([]uint64, tally.LatencyBuckets)
		m.Hist[rapid.IntRange(0, tally.LatencyBuckets-1).Draw(t, "bucket")] = 1000
	}
	return m
}

func TestAssessmentIsAlwaysValidJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawWorld(t)
		a := Assess(in)
		p := Picture(in)
		if _, err := json.Marshal(p); err != nil {
			t.Fatalf("pictures: %v: %+v", err, p)
		}
		if !reflect.DeepEqual(p, Picture(in)) {
			t.Fatal("the same input gives other pictures")
		}
		if _, err := json.Marshal(a); err != nil {
			t.Fatalf("%v: %+v", err, a)
		}
		for _, v := range a.Verdicts {
			if v.Reason == "" || v.State == "" || v.Lo > v.Hi {
				t.Fatalf("incomplete verdict %+v", v)
			}
		}
	})
}

func TestCacheNeverChangesAnAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawWorld(t)
		var c Cache
		for range 3 {
			got, want := c.Assess(in), Assess(in)
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("cached %+v\nfresh %+v", got, want)
			}
			in.Memory = got.Memory
			grow(t, in.View)
		}
	})
}

// grow adds data to some stratum, as the log does.
func grow(t *rapid.T, v *tally.View) {
	for i := range v.Strata {
		if rapid.Bool().Draw(t, "grow") {
			continue
		}
		for a := range v.Strata[i].Arms {
			for k := range v.Strata[i].Arms[a].Metrics {
				m := &v.Strata[i].Arms[a].Metrics[k]
				m.Event.First++
				if m.N != nil {
					m.N[9]++
					m.Y[9]++
				}
				for _, r := range m.Category {
					r[9]++
				}
			}
		}
		if p := v.Strata[i].Pairs; p != nil {
			for k := range p.Metrics {
				growPair(&p.Metrics[k])
			}
		}
	}
}

func growPair(m *tally.PairMetricView) {
	if m.N == nil {
		return
	}
	m.N[9]++
	m.D[9]++
	m.CandOnly++
	for i := range m.Live {
		m.Live[i][9]++
	}
	for i := range m.Over {
		m.Over[i][9]++
	}
}

func TestWatchNeverDecides(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawWorld(t)
		for i := range in.Model.Spec.Metrics {
			in.Model.Spec.Metrics[i].Role = release.Watch
		}
		a := Assess(in)
		for _, v := range a.Verdicts {
			if v.Harm || v.NoWorse || v.Better || v.State == Worse || v.State == NoWorse || v.State == Better {
				t.Fatalf("a watched metric decided: %+v", v)
			}
		}
		if a.Harm {
			t.Fatal("harm by a watched metric")
		}
	})
}

func TestInputIsNotChanged(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawWorld(t)
		in.Memory = Memory{Sup: map[string]float64{"errors/1/first": 0.5}, Harm: map[string]bool{}}
		before, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		Assess(in)
		after, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		if string(before) != string(after) {
			t.Fatal("Assess changed its input")
		}
	})
}

// TestSwappingArmsFlipsTheSign gives each arm the other's data at equal shares.
func TestSwappingArmsFlipsTheSign(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := func(name string) uint64 { return rapid.Uint64Range(0, 400).Draw(t, name) }
		x, y := k("a"), k("b")
		a := eventCounts{closed: 1000, with: x, first: x, n: 10, y: float64(x) / 100}
		b := eventCounts{closed: 1000, with: y, first: y, n: 10, y: float64(y) / 100}
		for _, m := range []release.Metric{errorsMetric(), correctMetric()} {
			base := frequentBaseline(0.3)
			if m.Kind == release.MetricEvent {
				base = eventBaseline(0.01)
			}
			look := func(x, y eventCounts) Verdict {
				w := eventWorld([]Stratum{half(1)}, [][]eventCounts{{x, y}})
				return Assess(w.input(model(m), frozen(m.Name, base), release.StepABTest, Memory{})).Verdicts[0]
			}
			v, u := look(a, b), look(b, a)
			if math.Abs(v.Estimate+u.Estimate) > 1e-9 || math.Abs(v.Lo+u.Hi) > 1e-9 || math.Abs(v.Hi+u.Lo) > 1e-9 {
				t.Fatalf("%s: %v [%v %v] swapped %v [%v %v]", m.Name, v.Estimate, v.Lo, v.Hi, u.Estimate, u.Lo, u.Hi)
			}
			if v.Harm && u.Harm {
				t.Fatalf("%s: each arm is worse than the other", m.Name)
			}
		}
	})
}

// TestDirectionMirrors gives a metric where higher is better the complement of one where lower is.
func TestDirectionMirrors(t *testing.T) {
	low, high := correctMetric(), correctMetric()
	low.Direction = release.Lower
	rapid.Check(t, func(t *rapid.T) {
		y := func(name string) float64 { return float64(rapid.IntRange(100, 900).Draw(t, name)) / 100 }
		a, b := y("a"), y("b")
		look := func(m release.Metric, flip bool) Verdict {
			x, z := a, b
			if flip {
				x, z = 10-a, 10-b
			}
			w := eventWorld([]Stratum{half(1)}, [][]eventCounts{{{n: 10, y: x}, {n: 10, y: z}}})
			// Evenly spread bins have no variance: make some.
			for arm := range 2 {
				m := &w.stratum().Arms[arm].Metrics[0]
				for i := range m.Y {
					m.Y[i] += float64(i%3-1) * 0.5
				}
				if flip {
					for i := range m.Y {
						m.Y[i] -= 2 * float64(i%3-1) * 0.5
					}
				}
			}
			return Assess(w.input(model(m), frozen("correct", frequentBaseline(0.5)), release.StepABTest, Memory{})).Verdicts[0]
		}
		v, u := look(low, false), look(high, true)
		if v.State != u.State || math.Abs(v.LnHarm-u.LnHarm) > 1e-6*math.Abs(v.LnHarm)+1e-6 || math.Abs(v.LnNoWorse-u.LnNoWorse) > 1e-6*math.Abs(v.LnNoWorse)+1e-6 {
			t.Fatalf("lower %+v\nhigher %+v", v, u)
		}
	})
}

func TestMoreEventsOfTheCandidateNeverWeakenHarm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.Uint64Range(0, 300).Draw(t, "k")
		more := rapid.Uint64Range(1, 100).Draw(t, "more")
		look := func(k uint64) float64 {
			w := eventWorld([]Stratum{half(1)}, [][]eventCounts{{
				{closed: 2000, with: 40, first: 40, n: 2}, {closed: 2000, with: k, first: k, n: 2},
			}})
			return Assess(w.input(model(errorsMetric()), frozen("errors", eventBaseline(0.02)), release.StepABTest, Memory{})).Verdicts[0].LnHarm
		}
		if a, b := look(k), look(k+more); b < a-1e-9 {
			t.Fatalf("ln harm fell from %v to %v with %d more events", a, b, more)
		}
	})
}

func TestSharesOfAlphaAddUpToOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawWorld(t)
		j := judging{in: in, cache: &Cache{}, mem: remember(Memory{})}
		j.begin()
		total := 0.0
		for i := range j.metrics() {
			for arm := 1; arm < j.arms; arm++ {
				s := j.subject(i, arm)
				if !s.known {
					continue
				}
				components := j.judgeServing(s).harm
				if j.shadow && arm == 1 {
					components = append(components, j.judgePairs(s, 1-s.serving).harm...)
				}
				within := 0.0
				for _, c := range components {
					within += c.share
				}
				if within > 1+1e-12 {
					t.Fatalf("%s spends %v of its alpha", s.metric.Name, within)
				}
				total += s.weight * within
			}
		}
		if total > 1+1e-12 {
			t.Fatalf("the release spends %v of its alpha", total)
		}
	})
}

package judge

import (
	"math"
	"math/rand/v2"
	"testing"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/stats"
)

// each makes every request of a Model a unit of its own.
func each(m *release.Model) *release.Model {
	m.Spec.Unit.Missing = release.MissingPerRequest
	return m
}

// TestPlainTrafficGivesE1AllOfAlpha: where every request is a unit, harm begins where E1 with 7/8 of alpha says; with units that
// may come back, or points that are tolerated, shares are what they were.
func TestPlainTrafficGivesE1AllOfAlpha(t *testing.T) {
	exact := errorsMetric()
	exact.Tolerate = points(0)
	named := each(model(exact))
	named.Spec.Unit.From = []release.Selector{"header:X-User-Id"}
	for _, tc := range []struct {
		name  string
		model *release.Model
		class release.MetricClass
		share float64
		bins  bool
	}{
		{"every request a unit", each(model(exact)), release.ClassEvent, 7. / 8, false},
		{"a factor tolerated", each(model(func() release.Metric { m := exact; m.Tolerate = factorOf(1); return m }())), release.ClassEvent, 7. / 8, false},
		{"users, requests without one each a unit", named, release.ClassEvent, 1. / 3, true},
		{"users", model(exact), release.ClassEvent, 1. / 3, true},
		{"frequent events", each(model(exact)), release.ClassBoth, 1. / 3, true},
		{"points tolerated", each(model(errorsMetric())), release.ClassEvent, 0, true},
	} {
		base := eventBaseline(0.01)
		base.Class = tc.class
		for _, k := range []float64{8, 12, 13, 30} {
			c := eventCounts{n: 1, y: 0.1}
			w := eventWorld([]Stratum{half(1)}, [][]eventCounts{{c, {first: uint64(k), n: 1, y: 0.1}}})
			in := w.input(tc.model, frozen("errors", base), release.StepABTest, Memory{})
			j := &judging{in: in, cache: &Cache{}}
			j.begin()
			l, err := stats.NewLabel([]stats.LabelStratum{{KB: k, Rho: 0.5}}, 0.5)
			if err != nil {
				t.Fatal(err)
			}
			shares := map[string]float64{}
			for _, c := range j.judgeServing(j.subject(0, 1)).harm {
				shares[c.name] = c.share
				if c.name == "first" && tc.share > 0 && math.Abs(c.ln-l.LnAbove(0)) > 1e-9 {
					t.Errorf("%s: %v first events to none: E1 says %v, want %v", tc.name, k, c.ln, l.LnAbove(0))
				}
			}
			if _, bins := shares["bins/first"]; bins != tc.bins || tc.share > 0 && math.Abs(shares["first"]-tc.share) > 1e-12 {
				t.Errorf("%s: shares %v, want %v for E1 and the request rate %v", tc.name, shares, tc.share, tc.bins)
			}
			if harm, want := Assess(in).Harm, math.Exp(l.LnAbove(0))*tc.share >= 20; tc.share > 0 && harm != want {
				t.Errorf("%s: %v first events to none: harm %v, want %v", tc.name, k, harm, want)
			}
		}
	}
}

// TestPlainFalseAlarms looks after each of 60 batches at identical versions, at ones of which every statement is false, and at twice the errors.
func TestPlainFalseAlarms(t *testing.T) {
	exact := errorsMetric()
	exact.Margin, exact.Tolerate = factorOf(1.5), points(0)
	mod, base := each(model(exact)), frozen("errors", eventBaseline(0.02))
	run := func(seed uint64, ratio float64, looks int) (harm, noWorse, better bool) {
		rng := rand.New(rand.NewPCG(seed, 11))
		w := eventWorld([]Stratum{half(1)}, [][]eventCounts{{{n: 1}, {n: 1}}})
		var c Cache
		var mem Memory
		for range looks {
			for arm := range 2 {
				p := 0.02
				if arm == 1 {
					p *= ratio
				}
				m := &w.stratum().Arms[arm].Metrics[0]
				for range 100 {
					b := rng.IntN(release.Bins)
					m.N[b]++
					if rng.Float64() < p {
						m.Y[b]++
						m.Event.First++
						m.Event.Ever++
					}
				}
			}
			a := c.Assess(w.input(mod, base, release.StepABTest, mem))
			mem = a.Memory
			v := &a.Verdicts[0]
			harm, noWorse, better = harm || a.Harm, noWorse || v.NoWorse, better || v.Better
		}
		return harm, noWorse, better
	}
	n := runs(150, 2000)
	var same, won, edge, found int
	for i := range uint64(n) {
		harm, _, better := run(i, 1, 60)
		same, won = same+int(one(harm)), won+int(one(better))
		_, noWorse, _ := run(i+1e6, 1.5, 60)
		edge += int(one(noWorse))
		harm, _, _ = run(i+2e6, 2, 60)
		found += int(one(harm))
	}
	t.Logf("harm of identical versions %d, better %d, no worse at the margin %d, harm of twice the errors %d of %d", same, won, edge, found, n)
	for name, k := range map[string]int{"harm": same, "better": won, "no worse at the margin": edge} {
		if r := float64(k) / float64(n); r > limit(0.05, n) {
			t.Errorf("%s: false in %.3f", name, r)
		}
	}
	if float64(found) < 0.8*float64(n) {
		t.Errorf("twice the errors: found in %d of %d", found, n)
	}
}

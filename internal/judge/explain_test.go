package judge

import (
	"encoding/json"
	"math"
	"reflect"
	"sync"
	"testing"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/stats"
)

// explained holds looks at all kinds of metrics and routes to a verdict.
var explained = sync.OnceValue(explainedLooks)

func explainedLooks() map[string]Input {
	served := func(seed uint64, m release.Metric, b release.MetricBaseline, n int, send func(w *world, u *user, arm int)) Input {
		w := newWorld(seed, 3000, 0.5, 1)
		w.openStratum(1, release.ExposureServe, 0.8, 0.2)
		for i := range n {
			if i == n/2 {
				w.openStratum(2, release.ExposureServe, 0.5, 0.5)
			}
			u, arm := w.next()
			w.meet(u, arm)
			send(w, u, arm)
		}
		return w.input(model(m), frozen(m.Name, b), release.StepCanary, Memory{})
	}
	rate := func(live, cand float64) func(w *world, u *user, arm int) {
		return func(w *world, u *user, arm int) {
			e := w.flip([]float64{live, cand}[arm])
			w.observe(u, arm, 0, one(e), e)
		}
	}
	exact, ratio, watch := errorsMetric(), errorsMetric(), errorsMetric()
	exact.Tolerate = release.Margin{Unit: release.Points}
	ratio.Margin, ratio.Tolerate = factorOf(2), factorOf(1.2)
	watch.Role, watch.Margin, watch.Tolerate = release.Watch, release.Margin{}, release.Margin{}
	both := eventBaseline(0.06)
	both.Class = release.ClassBoth
	slow := lognormal(3, 0.7)
	latency := func(scale float64) func(w *world, u *user, arm int) {
		return func(w *world, u *user, arm int) {
			ms := math.Exp(3 + 0.7*w.rng.NormFloat64())
			w.latency(u, arm, 0, ms*[]float64{1, scale}[arm], slow.Thresholds)
		}
	}
	crowd := func(live, cand eventCounts) Input {
		w := eventWorld([]Stratum{half(1)}, [][]eventCounts{{live, cand}})
		return w.input(model(errorsMetric()), frozen("errors", eventBaseline(0.01)), release.StepABTest, Memory{})
	}
	shadow := newWorld(3, 2000, 0.5, 1)
	shadow.openStratum(1, release.ExposureWouldBe, 0.8, 0.2)
	for range 4000 {
		u, arm := shadow.next()
		shadow.meet(u, arm)
		shadow.mirror(u, 0, shadow.flip(0.7), shadow.flip(0.6))
	}
	return map[string]Input{
		"harm by bounds": crowd(
			eventCounts{closed: 4188, with: 38, first: 38, n: 4, y: 0.036}, eventCounts{closed: 4210, with: 488, first: 88, n: 4, y: 0.03}),
		"no worse by bounds": crowd(eventCounts{closed: 40000, n: 80}, eventCounts{closed: 40000, n: 80}),
		"no worse by indicators": crowd(
			eventCounts{closed: 40000, with: 360, first: 360, n: 80, y: 0.8}, eventCounts{closed: 40000, with: 330, first: 330, n: 80, y: 0.82}),
		"harm by label":     served(5, exact, eventBaseline(0.02), 8000, rate(0.02, 0.06)),
		"better by label":   served(6, exact, eventBaseline(0.05), 9000, rate(0.05, 0.01)),
		"ratio":             served(7, ratio, eventBaseline(0.04), 9000, rate(0.04, 0.03)),
		"both":              served(8, errorsMetric(), both, 9000, rate(0.06, 0.06)),
		"watch":             served(9, watch, eventBaseline(0.06), 2000, rate(0.06, 0.06)),
		"frequent, better":  served(10, correctMetric(), frequentBaseline(0.6), 8000, rate(0.6, 0.7)),
		"frequent, worse":   served(11, correctMetric(), frequentBaseline(0.7), 8000, rate(0.7, 0.6)),
		"latency, slower":   served(12, slowMetric(), slow, 8000, latency(1.5)),
		"latency, the same": served(13, slowMetric(), slow, 8000, latency(1)),
		"category": served(14, decisionMetric(), release.MetricBaseline{Class: release.ClassDistribution, N: 900}, 6000, func(w *world, u *user, arm int) {
			w.answer(u, arm, 0, w.rng.IntN(3+arm), 4)
		}),
		"pairs": shadow.input(model(correctMetric()), frozen("correct", frequentBaseline(0.7)), release.StepShadow, Memory{}),
	}
}

// TestCallsReproduceTheVerdict recomputes every explained number of a verdict by name from JSON, as a reader would.
func TestCallsReproduceTheVerdict(t *testing.T) {
	functions := map[string]stats.Function{}
	for _, f := range stats.Functions() {
		functions[f.Name] = f
	}
	seen := map[string]int{}
	for name, in := range explained() {
		in.Explain = true
		for _, v := range Assess(in).Verdicts {
			groups := map[string][]Call{}
			for _, c := range v.Calls {
				groups[c.Number] = append(groups[c.Number], c)
				seen[c.Number+" by "+c.Function]++
			}
			for number, calls := range groups {
				got := recompute(t, functions, calls)
				if want := calls[0].Value; math.Abs(got-want) > 1e-8*(1+math.Abs(want)) {
					t.Errorf("%s: %s recomputed as %.12g, the call says %.12g", name, number, got, want)
				}
				checkNumber(t, name, &v, number, calls)
			}
			if v.State == Worse && groups["lnHarm"] == nil || v.NoWorse && groups["lnNoWorse"] == nil || v.Better && groups["lnBetter"] == nil {
				t.Errorf("%s: %s without the calls behind it: %+v", name, v.State, v)
			}
		}
	}
	for _, want := range []string{
		"lnHarm by bernoulli_cs", "lnHarm by label_strata", "lnHarm by robbins", "lnNoWorse by bernoulli_cs", "lnNoWorse by robbins",
		"lnNoWorse by label_strata", "lnBetter by label_strata", "lnBetter by robbins", "lo by msprt", "hi by msprt", "lo by bernoulli_cs",
	} {
		if seen[want] == 0 {
			t.Errorf("no look shows %s: %v", want, seen)
		}
	}
}

func recompute(t *testing.T, functions map[string]stats.Function, calls []Call) (sum float64) {
	t.Helper()
	for _, c := range calls {
		out, err := functions[c.Function].Call(c.Input)
		if err != nil {
			t.Fatalf("%s %s: %v", c.Function, c.Input, err)
		}
		x, ok := out[c.Output].(float64)
		if xs, is := out[c.Output].([]float64); is {
			x, ok = xs[0], true
		}
		if !ok {
			t.Fatalf("%s %s: %s is %v", c.Function, c.Input, c.Output, out[c.Output])
		}
		if c.Sum == "ln" {
			x = math.Exp(x)
		}
		sum += c.Weight * x
	}
	if calls[0].Sum == "ln" {
		return math.Log(sum)
	}
	return sum
}

// checkNumber holds a call's value against the verdict: the value itself, or where it is the other side of the
// statement, the inputs that the verdict's number must be found in.
func checkNumber(t *testing.T, name string, v *Verdict, number string, calls []Call) {
	t.Helper()
	var in map[string]any
	if err := json.Unmarshal(calls[0].Input, &in); err != nil {
		t.Fatal(err)
	}
	shown := map[string]float64{"lnHarm": v.LnHarm, "lnNoWorse": v.LnNoWorse, "lnBetter": v.LnBetter, "lo": v.Lo, "hi": v.Hi}[number]
	got := calls[0].Value
	switch {
	case calls[0].Function == "msprt": // the end is where the distance in the input says
		scale := 1.0
		if v.Unit == "pp" {
			scale = 100
		}
		got = v.Estimate - scale*in["d"].(float64)
		if v.Unit == "bits" {
			got = math.Max(0, got) // a divergence's interval is cut at 0
		}
	case calls[0].Function == "bernoulli_cs" && number[0] == 'l' && len(number) > 2: // level instead of value
		share := math.Exp(shown) * 2 * in["alpha"].(float64) // what is left of the evidence is the route's share of alpha
		if share <= 0 || share > 1 {
			t.Errorf("%s: %s %v does not follow from bounds at alpha %v", name, number, shown, in["alpha"])
		}
		return
	}
	if math.Abs(got-shown) > 1e-9*(1+math.Abs(shown)) {
		t.Errorf("%s: %s is %.12g, the calls say %.12g", name, number, shown, got)
	}
}

func TestExplainChangesNoAnswer(t *testing.T) {
	for name, in := range explained() {
		plain := Assess(in)
		in.Explain = true
		full := Assess(in)
		for i := range full.Verdicts {
			if full.Verdicts[i].Calls == nil && full.Verdicts[i].Level > 0 && full.Verdicts[i].Unit != "x" {
				t.Errorf("%s: nothing is explained", name)
			}
			full.Verdicts[i].Calls = nil
		}
		if !reflect.DeepEqual(plain, full) {
			t.Errorf("%s: explaining changes the assessment:\n%+v\n%+v", name, plain, full)
		}
	}
}

func TestBayesBesideTheVerdict(t *testing.T) {
	look := func(name string) Verdict { return Assess(explained()[name]).Verdicts[0] }
	for _, tc := range []struct {
		name     string
		lo, hi   float64 // of PBetter
		mustSee  bool
		loseMore bool // by adopting
	}{
		{"frequent, better", 0.99, 1, true, false},
		{"frequent, worse", 0, 0.01, true, true},
		{"harm by label", 0, 0.01, true, true},
		{"better by label", 0.99, 1, true, false},
		{"pairs", 0, 0.01, true, true},
		{"no worse by bounds", 0.49, 0.51, true, false},
		{"latency, slower", 0, 0, false, false},
		{"category", 0, 0, false, false},
	} {
		b := look(tc.name).Bayes
		if (b != nil) != tc.mustSee {
			t.Errorf("%s: view %+v", tc.name, b)
			continue
		}
		if b == nil {
			continue
		}
		if b.PBetter < tc.lo || b.PBetter > tc.hi || b.Corrected {
			t.Errorf("%s: %+v, want P(better) in [%g, %g], never corrected", tc.name, b, tc.lo, tc.hi)
		}
		if (b.LossAdopt > b.LossKeep) != tc.loseMore || b.LossAdopt < 0 || b.LossKeep < 0 {
			t.Errorf("%s: losses %+v", tc.name, b)
		}
	}
	if b := look("no worse by bounds").Bayes; b.WithinMargin < 0.999 {
		t.Errorf("40,000 users without an event: mass within half a point %v", b.WithinMargin)
	}
	// Against the exact posterior of users' shares.
	v := Assess(explained()["no worse by indicators"]).Verdicts[0]
	c, err := stats.BetaCompare(stats.Beta{A: 360.5, B: 40000 - 359.5}, stats.Beta{A: 330.5, B: 40000 - 329.5})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := v.Bayes.PBetter, c.PAGreater; math.Abs(got-want) > 2e-3 {
		t.Errorf("P(better) %v, by the exact posterior %v", got, want)
	}
	if got, want := v.Bayes.LossAdopt, 100*c.LossA; math.Abs(got-want) > 0.05*want {
		t.Errorf("expected loss %v points, by the exact posterior %v", got, want)
	}
}

package simulate

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
)

func credit(t testing.TB) *release.Model {
	t.Helper()
	data, err := os.ReadFile("../../examples/credit/model.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, faults := release.ParseModel("model.yaml", data)
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	return m
}

func mustRun(t *testing.T, o Options) *Report {
	t.Helper()
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestSmallPlan: equal versions mostly succeed, harm is rolled back, and what cannot be decided pauses.
func TestSmallPlan(t *testing.T) {
	m := smallModel(t)
	base := Options{Model: m, Runs: 12, Seed: 1, ICC: 0.05, Users: 2000}
	equal := mustRun(t, base)
	if equal.Ended[rollout.Succeeded] < 9 {
		t.Errorf("equal versions: %v, waits %v", equal.Ended, equal.Waits)
	}
	if s := equal.ByMetric["errors"].States; s["noWorse"]+s["better"] == 0 {
		t.Errorf("errors of succeeded runs: %v", s)
	}
	if equal.MedianDurationSeconds < 9*60 {
		t.Errorf("a release can't end before its holds and its watch, after %.0f s", equal.MedianDurationSeconds)
	}
	harm := base
	harm.Truth = map[string]Effect{"errors": {30, release.Points}}
	bad := mustRun(t, harm)
	if bad.Ended[rollout.RolledBack] < 11 || bad.ByMetric["errors"].RolledBack < 8 {
		t.Errorf("30 points more errors: %v, %v", bad.Ended, bad.ByMetric)
	}
	if !(bad.MedianDurationSeconds < equal.MedianDurationSeconds) || bad.Truth["errors"] != "+30pp" {
		t.Errorf("harm is found after %v s, success takes %v s; truth %v", bad.MedianDurationSeconds, equal.MedianDurationSeconds, bad.Truth)
	}
	late := base
	late.Users = 10 // too few for any verdict over bins
	if r := mustRun(t, late); r.Ended[rollout.Paused] != 12 || len(r.Waits) == 0 {
		t.Errorf("ten users: %v, waits %v", r.Ended, r.Waits)
	}
}

// TestReproducible: the report is a function of the options, not of the workers.
func TestReproducible(t *testing.T) {
	o := Options{Model: smallModel(t), Runs: 6, Seed: 7, ICC: 0.1, Users: 500, Workers: 1}
	one := mustRun(t, o)
	o.Workers = 3
	if three := mustRun(t, o); !reflect.DeepEqual(one, three) {
		t.Errorf("one worker\n%+v\nthree\n%+v", one, three)
	}
	o.Seed = 8
	if other := mustRun(t, o); one.MedianCandidateExposures == other.MedianCandidateExposures {
		t.Error("another seed gives the same runs")
	}
}

// TestExactPlan: request by request, the same plan ends the same way.
func TestExactPlan(t *testing.T) {
	o := Options{Model: smallModel(t), Runs: 3, Seed: 1, ICC: 0.05, Users: 2000, Exact: true, Truth: map[string]Effect{"errors": {30, release.Points}}}
	if r := mustRun(t, o); r.Ended[rollout.RolledBack] != 3 {
		t.Errorf("ended %v", r.Ended)
	}
}

// TestApart: metrics that read one value get values of their own; two latencies can't.
func TestApart(t *testing.T) {
	m := smallModel(t)
	m.Spec.Metrics = append(m.Spec.Metrics, release.Metric{Name: "tail", Source: "latency", Quantile: 0.99, Role: release.Watch})
	o, err := Options{Model: m, Exact: true}.complete()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"error", "latency", "agree(json:answer, feedback:outcome)", "json:kind", "json:cost", "json:simulated_answers",
		"feedback:simulated_outcomes", "json:simulated_timeouts", "latency",
	}
	for i, m := range o.Model.Spec.Metrics {
		if string(m.Source) != want[i] {
			t.Errorf("%s reads %s, want %s", m.Name, m.Source, want[i])
		}
	}
	if m.Spec.Metrics[5].Source != "json:answer" {
		t.Error("the caller's model is changed")
	}
	_, err = Options{Model: m, Exact: true, Truth: map[string]Effect{"tail": {1.2, release.Factor}}}.complete()
	if release.KindOf(err) != release.KindInvalid {
		t.Errorf("slow and tail differ: %v", err)
	}
	for i := range 20 {
		name := "m" + string(rune('a'+i))
		m.Spec.Metrics = append(m.Spec.Metrics, release.Metric{Name: name, Source: "error", Role: release.Watch})
	}
	if _, err := (Options{Model: m, Exact: true}).complete(); release.KindOf(err) != release.KindInvalid {
		t.Errorf("too many values: %v", err)
	}
}

// TestIdle: the step's clock moves at once as ticks without news would move it.
func TestIdle(t *testing.T) {
	for _, barrier := range []bool{false, true} {
		o, err := Options{Model: smallModel(t)}.complete()
		if err != nil {
			t.Fatal(err)
		}
		r := run{o: &o, src: newSampled(&o, newPopulation(&o), newChance(1, 1), newMemory())}
		if r.s, _, err = rollout.Begin(rollout.Params{
			Model: *o.Model, Number: 1, Live: "v1", Candidate: "v2", Salt: "x", By: "me", Role: "operator", Reason: "test", Now: epoch,
		}); err != nil {
			t.Fatal(err)
		}
		first := rollout.Tick{Served: r.s.Generation, Arriving: true}
		if barrier {
			first.ChainBroken = "for a test"
		}
		if err := r.step(rollout.Input{Tick: &first}); err != nil {
			t.Fatal(err)
		}
		if barrier != (len(r.s.Barriers) > 0) {
			t.Fatal("no barrier")
		}
		ticked := r
		jumped := r
		const at = 103 * time.Second
		jumped.idle(at)
		for ticked.now = 3 * time.Second; ticked.now < at; ticked.now += maxIdle {
			tick := first
			if err := ticked.step(rollout.Input{Tick: &tick}); err != nil {
				t.Fatal(err)
			}
		}
		ticked.s.Clock.Stage, jumped.s.Clock.Stage = ticked.s.Clock.Step, jumped.s.Clock.Step
		if ticked.s.Clock != jumped.s.Clock {
			t.Errorf("barrier %t: ticks give %+v, idle %+v", barrier, ticked.s.Clock, jumped.s.Clock)
		}
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Run(ctx, Options{Model: smallModel(t)}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"no model":          {},
		"unknown metric":    {Truth: map[string]Effect{"speed": {1, release.Points}}},
		"bits of errors":    {Truth: map[string]Effect{"errors": {0.1, release.Bits}}},
		"rate beyond 1":     {Truth: map[string]Effect{"errors": {100, release.Points}}},
		"points of latency": {Truth: map[string]Effect{"slow": {1, release.Points}}},
		"base":              {Base: map[string]Base{"kind": {Shares: []float64{0.5, 0.1}}}},
		"icc":               {ICC: 0.9},
		"feedback":          {FeedbackRate: 2},
		"incident":          {Incident: &Incident{Metric: "slow", Effect: Effect{1.2, release.Factor}, For: 1}},
		"live":              {Live: "v9"},
	} {
		if name != "no model" {
			o.Model = smallModel(t)
		}
		if _, err := Run(context.Background(), o); release.KindOf(err) != release.KindInvalid {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]Effect{
		"errors=+1pp": {1, release.Points}, "errors+1pp": {1, release.Points}, "errors=-2pp": {-2, release.Points},
		"errors=1.2x": {1.2, release.Factor}, "errors=-10%": {-10, release.Percent}, "errors=0.05bits": {0.05, release.Bits}, "errors=+20ms": {20, ""},
	} {
		metric, e, err := ParseTruth(in)
		if err != nil || metric != "errors" || e != want {
			t.Errorf("%s: %s %+v, %v", in, metric, e, err)
		}
		if back, err := ParseEffect(e.String()); err != nil || back != e {
			t.Errorf("%s is written %s: %+v, %v", in, e, back, err)
		}
	}
	for _, in := range []string{"", "errors", "=1pp", "errors=", "errors=1furlong", "errors=-2x"} {
		if _, _, err := ParseTruth(in); err == nil {
			t.Errorf("%q is read", in)
		}
	}
	if i, err := ParseIncident("2h+10m:errors=+20pp"); err != nil || i.At != 2*time.Hour || i.For != 10*time.Minute || i.Effect.Value != 20 {
		t.Errorf("%+v, %v", i, err)
	}
	for _, in := range []string{"", "2h:errors=1pp", "2h+x:errors=1pp", "2h+10m:errors"} {
		if _, err := ParseIncident(in); err == nil {
			t.Errorf("%q is read", in)
		}
	}
	if _, b, err := ParseBase("kind=70%,30%"); err != nil || math.Abs(b.Shares[1]-0.3) > 1e-12 {
		t.Errorf("%+v, %v", b, err)
	}
	if a, err := ParseActivity("zipf:1.3"); err != nil || a.Zipf != 1.3 {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := ParseActivity("pareto"); err == nil {
		t.Error("pareto is read")
	}
}

// TestLaws: the candidate's laws move by exactly what the truth says.
func TestLaws(t *testing.T) {
	for _, e := range []Effect{{1, release.Points}, {-0.3, release.Points}, {1.5, release.Factor}, {-20, release.Percent}} {
		own, moved, n := 0.0, 0.0, 200
		for i := range n {
			p := 0.01 * float64(i) / float64(n-1)
			q := e.rate(p, 0.005)
			if q < 0 || q > 1 {
				t.Errorf("%v moves %g to %g", e, p, q)
			}
			own, moved = own+p/float64(n), moved+q/float64(n)
		}
		if want := e.delta(0.005); math.Abs(moved-own-want) > 1e-12 {
			t.Errorf("%v moves the mean by %g, want %g", e, moved-own, want)
		}
	}
	shares := []float64{0.6, 0.3, 0.1}
	part := drifted(shares, 0.05)
	js := 0.0
	for j, p := range shares {
		q := (1 - part) * p
		if j == 2 {
			q += part
		}
		js += p/2*math.Log2(2*p/(p+q)) + q/2*math.Log2(2*q/(p+q))
	}
	if math.Abs(js-0.05) > 1e-9 {
		t.Errorf("a drift of 0.05 bits gives %g", js)
	}
}

// TestChance: samplers have the mean and variance of what they draw.
func TestChance(t *testing.T) {
	c := newChance(1, 1)
	const n = 40_000
	check := func(name string, draw func() float64, mean, variance float64) {
		var xs []float64
		for range n {
			xs = append(xs, draw())
		}
		m, sd := meanSD(xs)
		if math.Abs(m-mean) > 5*math.Sqrt(variance/n) || math.Abs(sd*sd/variance-1) > 0.08 {
			t.Errorf("%s: mean %g, variance %g; want %g, %g", name, m, sd*sd, mean, variance)
		}
	}
	for _, mean := range []float64{0.01, 0.7, 5, 5.99, 6, 8, 30, 64, 1000} {
		check("poisson", func() float64 { return c.poisson(mean) }, mean, mean)
	}
	for _, shape := range []float64{0.3, 1, 7} {
		check("gamma", func() float64 { return c.gamma(shape) }, shape, shape)
	}
	// The distribution function, against the exact one: of inversion, of the corrected normal, and of the walk along a row.
	row := make([]float64, 1)
	for _, mean := range []float64{5.9, 6, 30} {
		for name, draw := range map[string]func() float64{
			"poisson": func() float64 { return c.poisson(mean) },
			"counts":  func() float64 { clear(row); return c.counts([]float64{mean / 7}, 7, row) },
		} {
			var below [61]float64
			for range n {
				if k := int(draw()); k < len(below) {
					below[k]++
				}
			}
			p, exact, drawn := math.Exp(-mean), 0.0, 0.0
			for k := range below {
				exact, drawn = exact+p, drawn+below[k]/n
				p *= mean / float64(k+1)
				if math.Abs(exact-drawn) > 0.012 {
					t.Errorf("P(%s of %g <= %d) = %.4f, drawn %.4f", name, mean, k, exact, drawn)
				}
			}
		}
	}
	rates := []float64{0, 0.5, 3, 0.01, 9, 2}
	sums, total := make([]float64, len(rates)), 0.0
	for range n {
		total += c.counts(rates, 2, sums)
	}
	if s := sum(sums); s != total {
		t.Errorf("rows add up to %g, counts says %g", s, total)
	}
	for i, r := range rates {
		if mean := sums[i] / n; math.Abs(mean-2*r) > 5*math.Sqrt(2*r/n) {
			t.Errorf("bin %d of rate %g has %g on average", i, 2*r, mean)
		}
	}
	check("beta", func() float64 { return c.beta(0.2, 9) }, 0.2, 0.2*0.8/10)
	for _, z := range []float64{-9, -3, -0.5, 0, 1.234, 4, 9} {
		if got, want := tailOf(z), 0.5*math.Erfc(z/math.Sqrt2); math.Abs(got-want) > 2e-6 {
			t.Errorf("tail of %g: %g, want %g", z, got, want)
		}
	}
}

func TestPlot(t *testing.T) {
	r := mustRun(t, Options{Model: smallModel(t), Runs: 2, Users: 200})
	for format, magic := range map[string]string{"png": "\x89PNG", "svg": "<?xml"} {
		var b bytes.Buffer
		if err := r.Plot(&b, format); err != nil || !strings.HasPrefix(b.String(), magic) {
			t.Errorf("%s: %v, %d bytes", format, err, b.Len())
		}
	}
	if err := r.Plot(&bytes.Buffer{}, "gif"); err == nil {
		t.Error("a gif is drawn")
	}
}

package judge

import (
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"sluice.dev/sluice/internal/release"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files")

// TestReasonsGolden holds the sentences of one release of each kind of verdict.
func TestReasonsGolden(t *testing.T) {
	var b strings.Builder
	say := func(title string, a Assessment) {
		fmt.Fprintf(&b, "# %s\n", title)
		for _, v := range a.Verdicts {
			fmt.Fprintf(&b, "%s: %s\n", v.State, v.Reason)
			for _, w := range v.Warnings {
				fmt.Fprintf(&b, "  warning: %s\n", w)
			}
		}
		fmt.Fprintf(&b, "%s\n%s\n\n", a.Ratio.Reason, a.Outcomes.Reason)
	}
	errs := model(errorsMetric())
	base := frozen("errors", eventBaseline(0.01))
	look := func(live, cand eventCounts) Assessment {
		w := eventWorld([]Stratum{half(1)}, [][]eventCounts{{live, cand}})
		return Assess(w.input(errs, base, release.StepABTest, Memory{}))
	}
	say("no baseline", Assess(Input{Model: errs, Strata: []Stratum{half(1)}}))
	say("no data", Assess(Input{Model: errs, Baseline: base, Strata: []Stratum{half(1)}}))
	say("no control", look(eventCounts{}, eventCounts{n: 3, y: 0.02}))
	say("harm", look(
		eventCounts{closed: 4188, with: 38, first: 38, n: 4, y: 0.036},
		eventCounts{closed: 4210, with: 88, first: 88, n: 4, y: 0.084}))
	say("no worse", look(
		eventCounts{closed: 40000, with: 360, first: 360, n: 80, y: 0.8},
		eventCounts{closed: 40000, with: 370, first: 370, n: 80, y: 0.82}))
	say("undecided", look(
		eventCounts{closed: 900, with: 9, first: 9, n: 2, y: 0.02},
		eventCounts{closed: 900, with: 10, first: 10, n: 2, y: 0.02}))
	say("windows not over", look(eventCounts{n: 0.02, y: 0}, eventCounts{n: 0.02, y: 0}))

	say("frequent, better", frequentLook(t, 0.62, 0.75))
	say("frequent, worse", frequentLook(t, 0.75, 0.62))
	say("frequent, undecided", frequentLook(t, 0.75, 0.74))
	say("few users", fewUsers())
	say("latency", latencyLook(1.5))
	say("latency, same", latencyLook(1))
	say("category", categoryLook())
	compare(t, "testdata/reasons.golden", b.String())
}

func compare(t *testing.T, path, got string) {
	t.Helper()
	if *rewrite {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -run %s -rewrite):\n%s", path, t.Name(), got)
	}
}

func frequentLook(t *testing.T, live, cand float64) Assessment {
	t.Helper()
	w := newWorld(11, 4000, 0.5, 1)
	w.openStratum(1, release.ExposureServe, 0.5, 0.5)
	for range 5000 {
		u, arm := w.next()
		w.meet(u, arm)
		p := live
		if arm == 1 {
			p = cand
		}
		e := w.flip(p)
		w.observe(u, arm, 0, one(e), e)
	}
	return Assess(w.input(model(correctMetric()), frozen("correct", frequentBaseline(0.7)), release.StepABTest, Memory{}))
}

func fewUsers() Assessment {
	w := newWorld(2, 12, 0, 1)
	w.openStratum(1, release.ExposureServe, 0.5, 0.5)
	for range 2000 {
		u, arm := w.next()
		w.meet(u, arm)
		e := w.flip(0.7)
		w.observe(u, arm, 0, one(e), e)
	}
	return Assess(w.input(model(correctMetric()), frozen("correct", frequentBaseline(0.7)), release.StepABTest, Memory{}))
}

func latencyLook(scale float64) Assessment {
	w := newWorld(4, 3000, 0.5, 1)
	b := lognormal(3, 0.7)
	b.N = 1200
	w.openStratum(1, release.ExposureServe, 0.5, 0.5)
	for range 8000 {
		u, arm := w.next()
		w.meet(u, arm)
		ms := math.Exp(3 + 0.7*w.rng.NormFloat64())
		if arm == 1 {
			ms *= scale
		}
		w.latency(u, arm, 0, ms, b.Thresholds)
	}
	return Assess(w.input(model(slowMetric()), frozen("slow", b), release.StepCanary, Memory{}))
}

func categoryLook() Assessment {
	w := newWorld(6, 3000, 0.5, 1)
	w.openStratum(1, release.ExposureServe, 0.5, 0.5)
	w.view.Categories = [][]string{{"approve", "reject", "other"}}
	for range 6000 {
		u, arm := w.next()
		w.meet(u, arm)
		w.answer(u, arm, 0, int(one(w.flip(0.3+0.35*float64(arm)))), 3)
	}
	base := release.MetricBaseline{Class: release.ClassDistribution, N: 900, Categories: []string{"approve", "reject"}}
	return Assess(w.input(model(decisionMetric()), frozen("decision", base), release.StepCanary, Memory{}))
}

func TestNumbersInWords(t *testing.T) {
	for _, tc := range []struct {
		got, want string
	}{
		{thousands(0), "0"},
		{thousands(999), "999"},
		{thousands(4210), "4,210"},
		{thousands(1234567.6), "1,234,568"},
		{thousands(-4210), "-4,210"},
		{number(0), "0"},
		{number(0.5), "0.5"},
		{number(2.1), "2.1"},
		{number(0.00123), "0.00123"},
		{number(-0.001), "-0.001"},
		{number(123.456), "123"},
		{number(99.94), "99.9"},
		{number(12345.6), "12,346"},
		{number(1e-9), "1e-09"},
		{percent(0.0123), "1.23 %"},
		{percent(0.00002), "0.002 %"},
		{percent(1), "100 %"},
		{span(39.2), "40 s"},
		{span(400), "7 min"},
		{span(3 * 3600), "3 h"},
		{span(20 * 86400), "20 days"},
		{quantileName(0.95), "p95"},
		{quantileName(0.999), "p99.9"},
		{quantileName(0.5), "p50"},
		{needsText(Needs{Exposures: 4051, Seconds: 400}, Undecided), "about 4,100 more exposures at the present rate, 7 min"},
		{needsText(Needs{Units: 12}, TooFewUnit), "about 12 more users"},
	} {
		if tc.got != tc.want {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

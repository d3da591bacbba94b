package simulate

import (
	"math"
	"strings"
	"testing"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
)

// planned is a file whose traffic, metrics and steps are given.
func planned(traffic, metrics, steps string) string {
	return `apiVersion: sluice.dev/v1alpha1
kind: Model
metadata: {name: planned}
spec:
  match: {path: /planned}
  dialect: json
  unit: {from: [header:X-User]}
` + traffic + `
  versions: {v1: {url: "http://127.0.0.1:1"}, v2: {url: "http://127.0.0.1:2"}}
  live: v1
  metrics:
    - ` + metrics + `
  plan:
    steps:
      - ` + steps + `
      - production: {holdback: 5%, watch: 10m}
`
}

const (
	someTraffic = "  traffic: {requests: 10/s, users: 20000/day}"
	errorsHalf  = "{name: errors, source: error, margin: 0.5pp, role: guardrail, window: 5m}"
	errorsTwo   = "{name: errors, source: error, margin: 2pp, role: guardrail, window: 1m}"
	rightOne    = `{name: right, source: "feedback:right", kind: proportion, direction: higher, margin: 1pp, window: 1m, role: objective}`
)

// TestPlanFaults: a step whose margins can't be shown in time is refused with its line; one that is only unlikely to end is a warning.
func TestPlanFaults(t *testing.T) {
	for _, tt := range []struct {
		name, file string
		fail, warn string // what the only fault says; "": none
	}{
		{"enough time", planned(someTraffic, errorsTwo, "canary: {shares: [50%], hold: 10m, deadline: 2h}"), "", ""},
		{
			// 0.5 points without any event: 1,733 closed users in each arm; 347 s at 10/s, and a window.
			"too little time", planned(someTraffic, errorsHalf, "canary: {shares: [50%], hold: 5m, deadline: 10m}"),
			"planned.yaml:15:53: plan.steps[0].canary.deadline: canary 50% can't end in time: errors needs at least 3,470 users, 10m47s, within 10m", "",
		},
		{"just enough for none", planned(someTraffic, errorsHalf, "canary: {shares: [50%], hold: 5m, deadline: 11m}"), "", "errors needs about 8,020 users"},
		{
			"too few users a day", planned("  traffic: {requests: 1/s, users: 1000/day}", errorsHalf, "canary: {shares: [50%], deadline: 1d}"),
			"errors needs at least 122,000 independent requests, 33h48m, within 24h", "",
		},
		{
			"a small share", planned(someTraffic, errorsTwo, "abTest: {share: 1%, deadline: 30m}"),
			"abTest 1% can't end in time", "",
		},
		{
			"pairs", planned(someTraffic, errorsTwo, "shadow: {share: 10%, until: {pairs: 5000}, deadline: 1h}"),
			"shadow 10% can't end in time: it needs at least 5,000 pairs, 1h23m", "",
		},
		{"unlikely", planned(someTraffic, rightOne, "abTest: {share: 50%, goal: better, deadline: 6h}"), "", "right needs about"},
		{"goal", planned(someTraffic, rightOne, "abTest: {share: 50%, goal: better, deadline: 6h}"), "", "to be shown better by its margin"},
		{"no worse", planned(someTraffic, rightOne, "abTest: {share: 50%, deadline: 6h}"), "", "to be shown no worse"},
		{"unknown traffic", planned("", errorsHalf, "canary: {shares: [50%], hold: 5m, deadline: 10m}"), "", "canary 50%"},
		{"nothing to show", planned(someTraffic, errorsTwo, "pause: {duration: 1h}"), "", ""},
	} {
		m, faults := release.ParseModel("planned.yaml", []byte(tt.file))
		if err := faults.Err(); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		f, err := Plan(Options{Model: m, ICC: 0.1, Activity: DefaultActivity})
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		_, at, _ := release.DecodeStrict[release.Model]("planned.yaml", []byte(tt.file), release.KindModel)
		got := f.Faults(at)
		fail, warn := got.Errors(), got.Warnings()
		if (tt.fail == "") != (len(fail) == 0) || !strings.Contains(fail.Error(), tt.fail) {
			t.Errorf("%s: errors %q, want %q", tt.name, fail.Error(), tt.fail)
		}
		if (tt.warn == "") != (len(warn) == 0) || !strings.Contains(warn.Error(), tt.warn) {
			t.Errorf("%s: warnings %q, want %q", tt.name, warn.Error(), tt.warn)
		}
	}
}

// TestForecastKnown holds the forecast to numbers that follow from the rules by hand.
func TestForecastKnown(t *testing.T) {
	m, faults := release.ParseModel("planned.yaml", []byte(planned(someTraffic,
		errorsHalf+"\n    - {name: slow, source: latency, margin: 1.25x, role: guardrail}", "abTest: {share: 10%, hold: 5m, deadline: 1d}\n      - canary: {shares: [20%, 50%], hold: 10m, deadline: 1d}")))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	f, err := Plan(Options{Model: m, ICC: 0.1, Base: map[string]Base{"errors": {Mean: 0}}})
	if err != nil {
		t.Fatal(err)
	}
	ab, small, half := f.Steps[0], f.Steps[1], f.Steps[2]
	if n := half.Needs[0]; n.Amount != 3465 || n.Of != "users" { // stats.UnitsEventNoWorse(0, 0.005, 0.5, 0.05)
		t.Errorf("errors at 50 %%: %+v", n)
	}
	// Users come uniformly: 3,465 different ones of 20,000 take a little longer than 3,465 requests; and then a window.
	if want := -20_000*math.Log(1-3465./20_000)/10 + 300; math.Abs(half.Needs[0].Seconds-want) > 2 {
		t.Errorf("errors at 50 %% take %g s, want %g", half.Needs[0].Seconds, want)
	}
	if n := ab.Needs[1]; n.Least < 20/(0.1*0.05) { // as slow as the margin: 20 of 4,000 requests at 10 % beyond p95
		t.Errorf("slow at 10 %%: %+v", n)
	}
	if n := half.Needs[1]; n.Seconds != 0 || n.LeastSeconds != 0 {
		t.Errorf("slow is shown already: %+v", n)
	}
	if !(ab.Needs[0].Amount > small.Needs[0].Amount && small.Needs[0].Amount > half.Needs[0].Amount) {
		t.Error("a smaller share does not need more users")
	}
	if f.Seconds != ab.Seconds+small.Seconds+half.Seconds+600 || f.LeastSeconds > f.Seconds || f.Never {
		t.Errorf("in all %+v", f)
	}
	if want := 10 * 0.1 * ab.Seconds; math.Abs(ab.CandidateRequests-want) > 1 {
		t.Errorf("the candidate answers %g requests, want %g", ab.CandidateRequests, want)
	}
}

// TestForecastLikeRuns: the expected time of a plan is near the median of simulated releases.
func TestForecastLikeRuns(t *testing.T) {
	m, faults := release.ParseModel("planned.yaml", []byte(planned("  traffic: {requests: 20/s, users: 20000/day}",
		errorsTwo+"\n    - {name: slow, source: latency, margin: 1.25x, role: guardrail}\n    - "+strings.Replace(rightOne, "1pp", "4pp", 1),
		"abTest: {share: 20%, hold: 1m, deadline: 12h}\n      - canary: {shares: [50%], hold: 1m, deadline: 12h}")))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	o := Options{Model: m, Runs: 12, Seed: 1, ICC: 0.02, Activity: DefaultActivity}
	f, err := Plan(o)
	if err != nil {
		t.Fatal(err)
	}
	r := mustRun(t, o)
	if r.Ended[rollout.Succeeded] < 9 {
		t.Fatalf("ended %v, waits %v", r.Ended, r.Waits)
	}
	if ratio := r.MedianDurationSeconds / f.Seconds; ratio < 0.5 || ratio > 2 {
		t.Errorf("simulated releases take %.0f s, the forecast is %.0f s: %+v", r.MedianDurationSeconds, f.Seconds, f.Steps)
	}
	if r.MedianDurationSeconds < f.LeastSeconds {
		t.Errorf("simulated releases take %.0f s, at least %.0f s was forecast", r.MedianDurationSeconds, f.LeastSeconds)
	}
}

// TestCrowd: requests bring users and information, and the inverses agree.
func TestCrowd(t *testing.T) {
	o := Options{Users: 1000, Rate: 1, ICC: 0.2, Activity: Activity{1}}
	c := newCrowd(&o)
	users, share := 0.0, 0.0
	for i, n := range c.count {
		users += n
		share += n * c.share[i]
	}
	if users != 1000 || math.Abs(share-1) > 1e-9 {
		t.Errorf("%g users with all of %g", users, share)
	}
	for _, n := range []float64{1, 50, 700, 5_000, 86_400, 200_000} {
		if back := c.until(c.over(n, c.seen)); math.Abs(back/n-1) > 0.02 && n < 20_000 {
			t.Errorf("%g requests bring %g users, who come within %g", n, c.over(n, c.seen), back)
		}
		if back := c.inverse(c.over(n, c.effective)); math.Abs(back/n-1) > 0.02 {
			t.Errorf("%g requests are worth %g, which are worth %g", n, c.over(n, c.effective), back)
		}
	}
	if one := c.effective(1); one != 1 {
		t.Errorf("one request is worth %g", one)
	}
	if !(c.effective(86_400) < 1/(o.ICC*c.squares)) {
		t.Error("a day of few users is worth more than they can say")
	}
}

func TestWords(t *testing.T) {
	for s, want := range map[float64]string{0.25: "300ms", 59: "59s", 60: "1m", 3600: "1h", 3660: "1h1m", 921: "15m21s", 86_400: "24h", 864_000: "10 days"} {
		if got := Lasts(s); got != want {
			t.Errorf("%g s: %s, want %s", s, got, want)
		}
	}
	for n, want := range map[float64]string{0: "0", 12: "12", 999: "999", 1234: "1,230", 74_559: "74,600", 1_234_567: "1,230,000"} {
		if got := Grouped(n); got != want {
			t.Errorf("%g: %s, want %s", n, got, want)
		}
	}
}

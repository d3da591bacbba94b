package rollout

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
)

// at brings a release to where a script ends.
func after(t testing.TB, script string) *scenario {
	t.Helper()
	sc := newScenario(t)
	sc.run(script)
	if sc.s.Number == 0 {
		t.Fatalf("nothing began:\n%s", sc.out.String())
	}
	return sc
}

// must steps and returns the decisions.
func (sc *scenario) must(in Input) []Decision {
	sc.t.Helper()
	in.Now = sc.now
	next, log, err := Step(sc.s, in)
	if err != nil {
		sc.t.Fatal(err)
	}
	sc.s, sc.log = next, append(sc.log, log...)
	return log
}

func TestVerifyChainFindsEveryChange(t *testing.T) {
	log := after(t, way+ready).log
	if err := VerifyChain(log, ""); err != nil {
		t.Fatal(err)
	}
	if err := VerifyChain(nil, "anything"); err != nil {
		t.Errorf("an empty chain: %v", err)
	}
	reseal := func(d *Decision) { d.Hash = d.ComputeHash() }
	for name, c := range map[string]struct {
		spoil func([]Decision) []Decision
		want  string
	}{
		"reason":    {func(l []Decision) []Decision { l[2].Reason += "."; return l }, "decision 3 of release credit/1 was altered"},
		"verdict":   {func(l []Decision) []Decision { l[1].Exposures = []uint64{1}; return l }, "decision 2 of release credit/1 was altered"},
		"time":      {func(l []Decision) []Decision { l[0].Time = l[0].Time.Add(1); return l }, "decision 1 of release credit/1 was altered"},
		"hash":      {func(l []Decision) []Decision { l[0].Hash = strings.Repeat("0", 64); return l }, "decision 1 of release credit/1 was altered"},
		"resealed":  {func(l []Decision) []Decision { l[1].Reason = "x"; reseal(&l[1]); return l }, "decision 3 of release credit/1 follows another record"},
		"removed":   {func(l []Decision) []Decision { return slices.Delete(l, 1, 2) }, "decision 2 of release credit/1 is missing: number 3"},
		"beginning": {func(l []Decision) []Decision { return l[1:] }, "decision 1 of release credit/1 is missing"},
		"foreign":   {func(l []Decision) []Decision { l[1].Release = 2; reseal(&l[1]); return l }, "stands among those of credit/1"},
	} {
		spoilt := c.spoil(slices.Clone(log))
		err := VerifyChain(spoilt, "")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	if err := VerifyChain(log, "of another release"); err == nil {
		t.Error("the first record may follow anything")
	}
}

// Numbers that JSON does not know must not stop a rollback, nor break the chain.
func TestNumbersThatAreNone(t *testing.T) {
	sc := after(t, way+ready)
	bad := assessment(sc.model.Spec.Metrics, map[string]judge.State{"errors": judge.Worse}, 0, 0)
	v := &bad.Verdicts[0]
	v.Lo, v.Hi, v.Estimate, v.Margin.Value, v.LnHarm = math.Inf(-1), math.Inf(1), math.NaN(), math.NaN(), math.Inf(1)
	v.Tolerate = release.Margin{Value: -1, Unit: "furlongs"}
	v.Needs = &judge.Needs{Seconds: math.Inf(1)}
	bad.Loss = []float64{math.NaN(), math.Inf(1)}
	bad.Memory.Sup["errors"] = math.Inf(1)
	bad.Ratio.LnE, bad.Outcomes.Expected = math.NaN(), []float64{math.NaN()}
	log := sc.must(Input{Tick: &Tick{Assessment: bad}})
	if sc.s.Phase != RolledBack {
		t.Fatalf("%s after harm", sc.s.Phase)
	}
	got := log[len(log)-1].Verdicts[0]
	if got.Lo != -math.MaxFloat64 || got.Hi != math.MaxFloat64 || got.Estimate != 0 || !got.Margin.IsZero() || !got.Tolerate.IsZero() || got.Needs.Seconds != math.MaxFloat64 {
		t.Errorf("%+v", got)
	}
	if sc.s.Memory.Sup["errors"] != math.MaxFloat64 {
		t.Errorf("memory %v", sc.s.Memory)
	}
	if !math.IsInf(v.Hi, 1) || !math.IsInf(bad.Memory.Sup["errors"], 1) {
		t.Error("Step wrote to the assessment that it was given")
	}
	roundTrip(t, sc.s)
	if err := VerifyChain(sc.log, ""); err != nil {
		t.Error(err)
	}
}

// Text from outside is stored as valid, bounded UTF-8, in the same form in which it is hashed.
func TestTextFromOutside(t *testing.T) {
	sc := after(t, way+ready)
	reason := "<b>\xff & \u2028" + strings.Repeat("x", 10_000)
	d := sc.must(Input{Command: &Command{Kind: CmdPause, By: " ann ", Reason: reason}})[0]
	if d.By != "ann" || len(d.Reason) > maxText+3 || !strings.HasPrefix(d.Reason, "<b>\uFFFD & \u2028xxx") {
		t.Errorf("%q by %q", d.Reason[:20], d.By)
	}
	if err := VerifyChain(sc.log, ""); err != nil {
		t.Error(err)
	}
	sc.must(Input{Breaker: &BreakerTrip{Gateway: "gw\xff", Reason: "\xfe"}})
	if encode(t, roundTrip(t, sc.s)) != encode(t, sc.s) {
		t.Error("the state reads back otherwise")
	}
	if string(d.canonical()) != string(d.stored().canonical()) {
		t.Error("the stored record hashes otherwise")
	}
}

// Sentences of verdicts hold what users' systems answered; the record hashes as it is read back.
func TestVerdictsInStrangeLetters(t *testing.T) {
	sc := after(t, way+ready)
	a := assessment(sc.model.Spec.Metrics, map[string]judge.State{"errors": judge.Worse}, 0, 0)
	a.Verdicts[0].Reason = "class \xff\xfe is new"
	sc.must(Input{Tick: &Tick{Assessment: a}})
	log := make([]Decision, len(sc.log))
	for i, d := range sc.log {
		log[i] = d.stored()
		log[i].Hash = d.Hash
	}
	if err := VerifyChain(log, ""); err != nil {
		t.Errorf("read back: %v", err)
	}
}

// What can't be done after the end is noted; an ended release doesn't pause.
func TestEffectsThatFailAfterTheEnd(t *testing.T) {
	sc := after(t, way+ready+"\npromote\npromote\npromote\npromote\napprove role=board\npromote")
	log := sc.must(Input{Done: &Done{Key: sc.key("setLive"), Err: "gone"}})
	if sc.s.Phase != Succeeded || sc.s.Pause != nil || len(log) != 1 || log[0].What != Note {
		t.Errorf("%s %+v", sc.s.Phase, log)
	}
	_, _, err := Step(sc.s, Input{Now: sc.now, Done: &Done{Key: "credit/1/01"}})
	if release.KindOf(err) != release.KindInvalid {
		t.Errorf("a key in another spelling: %v", err)
	}
}

// Times are stored in UTC without the monotonic reading, wherever the clock stands.
func TestTimesAreUTC(t *testing.T) {
	sc := after(t, way+"begin")
	in := Input{Now: time.Now().In(time.FixedZone("far", 7*3600)), Command: &Command{Kind: CmdPause, By: "ann", Reason: "r"}}
	next, log, err := Step(sc.s, in)
	if err != nil {
		t.Fatal(err)
	}
	if log[0].Time.Location() != time.UTC || encode(t, roundTrip(t, next)) != encode(t, next) || !log[0].Time.Equal(in.Now) {
		t.Errorf("%v", log[0].Time)
	}
}

// A receiver that is away does not grow the state: the oldest notifications go.
func TestNotificationsAreBounded(t *testing.T) {
	sc := after(t, way+ready)
	for range 2 * maxNotify {
		sc.must(Input{Command: &Command{Kind: CmdPause, By: "ann", Reason: "r"}})
		sc.must(Input{Command: &Command{Kind: CmdResume, By: "ann", Reason: "r"}})
	}
	if n := len(sc.s.Effects); n != maxNotify {
		t.Errorf("%d effects wait", n)
	}
	if last := sc.s.Effects[len(sc.s.Effects)-1]; last.Decision != sc.s.Decisions {
		t.Errorf("the newest is of decision %d of %d", last.Decision, sc.s.Decisions)
	}
}

// People cannot grow a state without end, and can always end the release.
func TestStrataAreBounded(t *testing.T) {
	sc := after(t, way+ready)
	for len(sc.s.Strata) < maxStrata {
		sc.s.Strata[len(sc.s.Strata)-1].Closed = sc.now
		sc.s.Strata = append(sc.s.Strata, Stratum{ID: uint16(len(sc.s.Strata) + 1), Epoch: 1, Shares: []release.Share{800_000, 200_000}})
	}
	for kind, want := range map[CommandKind]release.ErrorKind{CmdPause: release.KindConflict, CmdAdjust: release.KindConflict, CmdPromote: "", CmdAbort: ""} {
		plan := sc.s.Spec.Spec.Plan
		_, _, err := Step(sc.s, Input{Now: sc.now, Command: &Command{Kind: kind, By: "ann", Reason: "r", Plan: &plan}})
		if want == "" && err != nil || want != "" && release.KindOf(err) != want {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// Many gateways with open breakers hold the release, and no more of them than are worth keeping.
func TestBreakersAreBounded(t *testing.T) {
	sc := after(t, way+ready)
	for i := range 2 * maxBarriers {
		sc.must(Input{Breaker: &BreakerTrip{Gateway: fmt.Sprint("gw", i)}})
	}
	if len(sc.s.Barriers) != maxBarriers {
		t.Errorf("%d barriers", len(sc.s.Barriers))
	}
}

// A state that was damaged outside is not decided on.
func TestDamagedStates(t *testing.T) {
	for name, spoil := range map[string]func(*State){
		"intervals":   func(s *State) { s.Intervals = nil },
		"third arm":   func(s *State) { s.Intervals = slices.Clone(s.Intervals); s.Intervals[0].Arm = 2 },
		"model":       func(s *State) { s.Model = "" },
		"chain":       func(s *State) { s.LastHash = "" },
		"step":        func(s *State) { s.Step = 99 },
		"stage":       func(s *State) { s.Stage = 1 },
		"share":       func(s *State) { s.Intervals = reshape(s.Intervals, 300_000) },
		"phase":       func(s *State) { s.Phase = Ramping },
		"end":         func(s *State) { s.Ended = s.Created },
		"ended":       func(s *State) { s.Phase, s.Ended = RolledBack, s.Created },
		"undone":      func(s *State) { s.Phase, s.Ended = Undone, s.Created },
		"pause":       func(s *State) { s.Pause = &Pause{Phase: Ramping} },
		"no strata":   func(s *State) { s.Strata = nil },
		"strata ids":  func(s *State) { s.Strata = s.Strata[1:] },
		"stratum sum": func(s *State) { last(s).Shares = []release.Share{1, 2} },
		"stratum":     func(s *State) { last(s).Shares = []release.Share{700_000, 300_000} },
		"would-be":    func(s *State) { last(s).Kind = release.ExposureWouldBe },
		"closed":      func(s *State) { last(s).Closed = s.Created },
		"epoch":       func(s *State) { last(s).Epoch = 9 },
	} {
		sc := after(t, way+ready)
		before := len(sc.s.Strata)
		spoil(&sc.s)
		_, _, err := Step(sc.s, Input{Now: sc.now, Command: &Command{Kind: CmdAbort, By: "ann", Reason: "r"}})
		if release.KindOf(err) != release.KindInternal || err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s (%d strata): %v", name, before, err)
		}
	}
}

func last(s *State) *Stratum { return &s.Strata[len(s.Strata)-1] }

// The frozen copy is the release's own: what happens to the file afterwards counts for the next one.
func TestTheModelIsFrozen(t *testing.T) {
	m := testModel()
	m.Spec.Plan.Steps = []release.Step{{Canary: &release.CanaryStep{Shares: []release.Share{100_000}, Deadline: release.Duration(time.Hour)}}}
	s, _, err := Begin(Params{Model: m, Number: 1, Live: "v1", Candidate: "v2", Salt: "s", By: "ann", Reason: "r", Now: time.Unix(1, 0)})
	if err != nil {
		t.Fatal(err)
	}
	m.Spec.Versions["v2"] = release.Version{URL: "http://other"}
	m.Spec.Plan.Steps[0].Canary.Shares[0] = 900_000
	m.Spec.Metrics[0].Role = release.Watch
	if s.Spec.Spec.Versions["v2"].URL == "http://other" || s.planned() != 100_000 || s.Spec.Spec.Metrics[0].Role == release.Watch {
		t.Error("the release changed with the file")
	}
	if _, hash := s.Spec.Canonical(); hash != s.SpecHash {
		t.Errorf("SpecHash %s, want %s", s.SpecHash, hash)
	}
	if got := time.Duration(s.present().Canary.Hold); got != release.DefaultHold {
		t.Errorf("hold %v: defaults are not written out", got)
	}
}

// The breaker's bound lies far above what the guardrail tolerates, within sensible limits.
func TestBreakerBounds(t *testing.T) {
	for _, c := range []struct {
		mean, margin, want float64
		frozen             bool
	}{
		{0.01, 0.5, 0.5, false},
		{0.01, 0.5, 0.25, true},
		{0.2, 0.5, 0.4, true},
		{0.1, 5, 0.6, true},
		{0.9, 0.5, 0.95, true},
	} {
		sc := after(t, way+ready)
		sc.s.Baseline = nil
		sc.s.Spec.Spec.Metrics[0].Margin.Value = c.margin
		if c.frozen {
			sc.s.Baseline = &release.Baseline{Metrics: map[string]release.MetricBaseline{"errors": {Mean: c.mean}}}
		}
		if got := sc.s.Routing().Breaker; math.Abs(got.MaxFailureRate-c.want) > 1e-12 || got.MinRequests != 50 {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

// An assessment that calls harm without saying whose is harm.
func TestHarmWithoutAName(t *testing.T) {
	sc := after(t, way+ready)
	log := sc.must(Input{Tick: &Tick{Assessment: &judge.Assessment{Harm: true, HarmBy: "errors"}}})
	if sc.s.Phase != RolledBack || log[len(log)-1].Reason != "harm is shown: errors" {
		t.Errorf("%s: %+v", sc.s.Phase, log)
	}
}

// A report that says passed and names a failed case has failed.
func TestReportsThatContradictThemselves(t *testing.T) {
	sc := after(t, way+"begin")
	sc.must(Input{Test: &TestOutcome{Passed: true, Required: 3, Failed: []string{"form"}}})
	if sc.s.Phase != Stopped {
		t.Errorf("%s", sc.s.Phase)
	}
}

func TestTexts(t *testing.T) {
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1,000", 4_210: "4,210", 12_345_678: "12,345,678"} {
		if got := count(n); got != want {
			t.Errorf("count(%d) = %s", n, got)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", 1500 * time.Millisecond: "1s", 90 * time.Minute: "1h30m", 25 * time.Hour: "25h"} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %s, want %s", d, got, want)
		}
	}
}

// A tick over a hundred releases must not be felt: this is the cost of one, with its decision's hash.
func BenchmarkTick(b *testing.B) {
	sc := after(b, way+ready)
	in := Input{Now: sc.now, Tick: sc.oneTick(args{})}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Step(sc.s, in); err != nil {
			b.Fatal(err)
		}
	}
}

// An alarm is told to whoever listens, and remembered without changing why the release ended.
func TestAlarmOfTheStandingWatch(t *testing.T) {
	sc := after(t, "plan keepHoldback=true\nstep production holdback=5% watch=10m\nbegin\ntick baseline\ndone writeBaseline\ntick for=15m every=5s until")
	before := sc.s
	log := sc.must(Input{Alarm: &Alarm{Number: 1, Metric: "errors", Since: sc.now.In(time.FixedZone("x", 3600)), Reason: " errors: worse "}})
	if len(log) != 1 || log[0].What != Note || log[0].By != "sluice" || log[0].Reason != "standing watch: errors: worse; sluice undo credit takes the version back" {
		t.Fatalf("%+v", log)
	}
	e := sc.s.Effects[len(sc.s.Effects)-1]
	if e.Kind != Notify || e.Decision != log[0].Number || len(sc.s.Effects) != len(before.Effects)+1 {
		t.Errorf("effects %+v", sc.s.Effects)
	}
	if a := sc.s.Alarm; a.Time != log[0].Time || a.Since.Location() != time.UTC || sc.s.Alarms() != 1 || before.Alarms() != 0 {
		t.Errorf("alarm %+v", a)
	}
	if sc.s.Reason != before.Reason || sc.s.Generation != before.Generation || sc.s.Phase != before.Phase || sc.s.Share() != before.Share() {
		t.Errorf("%+v", sc.s)
	}
}

package rollout

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
)

// Whatever comes, in whatever order: what must always hold holds, and nothing advances but on what the
// tick itself shows. The oracle below decides that from the inputs alone, without the code's gates.
func TestRandomInputsNeverBreakTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWalk(t)
		for range rapid.IntRange(1, 60).Draw(t, "inputs") {
			w.step(drawInput(t, w))
		}
		if err := VerifyChain(w.log, "before"); err != nil {
			t.Fatal(err)
		}
	})
}

// walk is one release under random inputs, with what the oracle remembers.
type walk struct {
	t       *rapid.T
	s       State
	log     []Decision
	now     time.Time
	lastAt  time.Time     // of the latest tick
	ticked  time.Duration // by all ticks so far, each at most five seconds
	watched time.Duration // longest that the present step can have counted
	held    time.Duration // ... the present share
}

func newWalk(t *rapid.T) *walk {
	m := testModel()
	m.Spec.Plan.Steps = drawPlan(t)
	m.Spec.Plan.OnHarm = rapid.SampledFrom([]release.OnHarm{release.HarmRollback, release.HarmPause}).Draw(t, "onHarm")
	m.Spec.Plan.KeepHoldback = rapid.Bool().Draw(t, "keep")
	w := &walk{t: t, now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
	s, log, err := Begin(Params{
		Model: m, Number: 3, Live: "v1", Candidate: "v2", Salt: "credit/3", Prev: "before", Generation: 40,
		By: "ann", Reason: "better", Now: w.now,
	})
	if err != nil {
		t.Fatal(err)
	}
	w.s, w.log = s, log
	w.always()
	return w
}

// drawPlan draws a plan that can be carried out: shares rise, tests come first, production last.
func drawPlan(t *rapid.T) []release.Step {
	minutes := func(n int) release.Duration { return release.Duration(time.Duration(n) * 10 * time.Second) }
	var steps []release.Step
	if rapid.Bool().Draw(t, "test") {
		steps = append(steps, release.Step{Test: &release.TestStep{Suite: "s.yaml"}})
	}
	if rapid.Bool().Draw(t, "shadow") {
		steps = append(steps, release.Step{Shadow: &release.ShadowStep{Share: 500_000, Until: release.ShadowUntil{Pairs: 100}, Deadline: minutes(3)}})
	}
	share := release.Share(0)
	rise := func() release.Share {
		share += release.Share(rapid.IntRange(1, 250_000).Draw(t, "rise"))
		return share
	}
	for range rapid.IntRange(0, 3).Draw(t, "steps") {
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			steps = append(steps, release.Step{ABTest: &release.ABTestStep{Share: rise(), Hold: release.Duration(time.Second), Deadline: minutes(3), OnUndecided: drawUndecided(t)}})
		case 1:
			steps = append(steps, release.Step{Canary: &release.CanaryStep{Shares: []release.Share{rise()}, Hold: minutes(1), Deadline: minutes(3), OnUndecided: drawUndecided(t)}})
		case 2:
			steps = append(steps, release.Step{Pause: &release.PauseStep{Duration: minutes(rapid.IntRange(0, 1).Draw(t, "pause"))}})
		case 3:
			steps = append(steps, release.Step{Approval: &release.ApprovalStep{By: []string{"board"}}})
		}
	}
	if len(steps) == 0 || rapid.IntRange(0, 3).Draw(t, "production") > 0 {
		back := release.Share(rapid.SampledFrom([]int{0, 50_000}).Draw(t, "holdback"))
		steps = append(steps, release.Step{Production: &release.ProductionStep{Holdback: back, Watch: minutes(2)}})
	}
	return steps
}

func drawUndecided(t *rapid.T) release.OnUndecided {
	return rapid.SampledFrom([]release.OnUndecided{release.UndecidedPause, release.UndecidedRollback}).Draw(t, "undecided")
}

func drawInput(t *rapid.T, w *walk) Input {
	w.now = w.now.Add(time.Duration(rapid.SampledFrom([]int{1, 1, 5, 5, 5, 5, 3600, -7200}).Draw(t, "seconds")) * time.Second)
	in := Input{Now: w.now}
	switch rapid.SampledFrom([]string{"tick", "tick", "tick", "tick", "tick", "tick", "command", "test", "done", "done", "breaker"}).Draw(t, "input") {
	case "tick":
		in.Tick = drawTick(t, w)
	case "command":
		in.Command = drawCommand(t, w)
	case "test":
		in.Test = &TestOutcome{Passed: rapid.IntRange(0, 4).Draw(t, "passed") > 0, Required: rapid.IntRange(0, 3).Draw(t, "required")}
	case "done":
		in.Done = &Done{Key: "credit/3/1", Err: rapid.SampledFrom([]string{"", "", "", "gone"}).Draw(t, "err")}
		if n := len(w.s.Effects); n > 0 {
			in.Done.Key = w.s.Effects[rapid.IntRange(0, n-1).Draw(t, "effect")].Key
		}
	case "breaker":
		in.Breaker = &BreakerTrip{Gateway: "gw", Closed: rapid.Bool().Draw(t, "closed")}
	}
	return in
}

func drawTick(t *rapid.T, w *walk) *Tick {
	rarely := func(label string) bool { return rapid.IntRange(0, 19).Draw(t, label) == 0 }
	k := &Tick{Served: w.s.Generation, Arriving: !rarely("silent"), TallyHash: "5e1f"}
	if rarely("behind") {
		k.Served--
	}
	if rarely("gap") {
		k.Gap = "some"
	}
	if rarely("chain") {
		k.ChainBroken = "altered"
	}
	if rapid.Bool().Draw(t, "baseline") {
		k.Baseline = &release.Baseline{Metrics: map[string]release.MetricBaseline{"errors": {Mean: 0.01}}}
	}
	if rarely("unjudged") {
		return k
	}
	good := rapid.SampledFrom([]judge.State{judge.NoWorse, judge.NoWorse, judge.NoWorse, judge.Better, judge.Undecided, judge.NoData, judge.Waiting, "absent"})
	states := map[string]judge.State{"errors": good.Draw(t, "errors"), "correct": good.Draw(t, "correct"), "cost": judge.Worse}
	if rarely("harm") {
		states["errors"] = judge.Worse
	}
	pairs := uint64(rapid.SampledFrom([]int{0, 99, 100, 100}).Draw(t, "pairs"))
	k.Assessment = assessment(w.s.Spec.Spec.Metrics, states, pairs, pairs)
	k.Assessment.Ratio.Alarm = rarely("ratio")
	if rarely("loss") {
		k.Assessment.Loss = []float64{0, 0.01}
	}
	return k
}

func drawCommand(t *rapid.T, w *walk) *Command {
	kinds := []CommandKind{CmdPromote, CmdPause, CmdResume, CmdResume, CmdResume, CmdRetry, CmdApprove, CmdAdjust, CmdUndo}
	c := &Command{Kind: rapid.SampledFrom(kinds).Draw(t, "command"), By: "ann", Reason: "r", Roles: []string{"board"}}
	if rapid.IntRange(0, 9).Draw(t, "abort") == 0 {
		c.Kind = CmdAbort
	}
	if c.Kind == CmdAdjust {
		plan := w.s.Spec.Spec.Plan
		plan.Steps = append(plan.Steps[:w.s.Step+1:w.s.Step+1], drawPlan(t)...)
		c.Plan = &plan
	}
	return c
}

// step feeds one input, twice: to the state, and to what storage would give back.
func (w *walk) step(in Input) {
	before := encode(w.t, w.s)
	next, log, err := Step(w.s, in)
	stored, logStored, errStored := Step(roundTrip(w.t, w.s), in)
	if encode(w.t, next) != encode(w.t, stored) || encode(w.t, log) != encode(w.t, logStored) || (err == nil) != (errStored == nil) {
		w.t.Fatalf("after a restart it goes elsewhere")
	}
	if encode(w.t, w.s) != before {
		w.t.Fatalf("Step wrote to the state it was given")
	}
	if err != nil {
		if release.KindOf(err) == release.KindInternal || encode(w.t, next) != before || len(log) > 0 {
			w.t.Fatalf("refused (%v), and something changed", err)
		}
		return
	}
	w.clock(in)
	old := w.s
	w.s, w.log = next, append(w.log, log...)
	w.always()
	w.changes(&old, log)
	for i := range log {
		w.decision(&old, in, &log[i])
	}
	if old.Step != next.Step || log != nil && hasWhat(log, Retry, Resume, Adjust) {
		w.watched = 0
	}
	if old.Step != next.Step || old.Stage != next.Stage || hasWhat(log, Retry, Resume, Adjust) {
		w.held = 0
	}
}

func hasWhat(log []Decision, whats ...What) bool {
	for _, d := range log {
		for _, what := range whats {
			if d.What == what {
				return true
			}
		}
	}
	return false
}

// clock keeps the most that a step's clock may say.
func (w *walk) clock(in Input) {
	if in.Tick == nil {
		return
	}
	if !w.lastAt.IsZero() {
		d := min(max(in.Now.Sub(w.lastAt), 0), 5*time.Second)
		w.ticked += d
		w.watched += d
		w.held += d
	}
	w.lastAt = in.Now
}

// always is what holds of every state.
func (w *walk) always() {
	s := &w.s
	if err := s.Check(); err != nil {
		w.t.Fatal(err)
	}
	if s.Clock.Step > w.ticked {
		w.t.Fatalf("the clock says %v, at most %v can have passed", s.Clock.Step, w.ticked)
	}
	if len(s.Effects) > maxNotify+3 {
		w.t.Fatalf("%d effects wait", len(s.Effects))
	}
	r := s.Routing()
	routes, err := assign.Compile(&assign.Spec{Models: []assign.RouteSpec{r}}, func(x release.Secret) (string, error) { return string(x), nil })
	if err != nil {
		w.t.Fatalf("the routing can't be compiled: %v", err)
	}
	if back := s.Phase == RolledBack || s.Phase == Stopped; back {
		if s.Share() != 0 || len(r.Arms) != 1 || r.Arms[0].Version != "v1" || routes.All[0].Arm([]byte("u")) != 0 {
			w.t.Fatalf("%s, and v2 may be served: %+v", s.Phase, r)
		}
	}
	e := s.Explain()
	if e.Summary == "" || !s.Phase.Ended() && s.Reason == "" || len(s.Progress()) != len(s.Spec.Spec.Plan.Steps) {
		w.t.Fatalf("no explanation: %+v", e)
	}
}

// changes is what holds between two states.
func (w *walk) changes(old *State, log []Decision) {
	s := &w.s
	oldRoutes, newRoutes := old.Routing(), s.Routing()
	oldRoutes.Generation, newRoutes.Generation = 0, 0
	if encode(w.t, oldRoutes) != encode(w.t, newRoutes) {
		if s.Generation <= old.Generation {
			w.t.Fatalf("other routes under the same generation %d", s.Generation)
		}
		if len(log) == 0 {
			w.t.Fatal("other routes, and nothing on record")
		}
	}
	switch {
	case s.Generation < old.Generation || s.Decisions != old.Decisions+uint64(len(log)):
		w.t.Fatal("generation or decisions went back")
	case s.Share() < old.Share() && !s.Phase.Ended():
		w.t.Fatalf("the candidate's share fell from %v to %v", old.Share(), s.Share())
	case old.Phase.Ended() && (s.Share() != old.Share() || s.Phase != old.Phase):
		w.t.Fatal("an ended release moved")
	case s.Share() != old.Share() && len(s.Strata) == len(old.Strata) && !s.Phase.Ended():
		w.t.Fatal("another share in the same stratum")
	case len(s.Strata) < len(old.Strata):
		w.t.Fatal("a stratum vanished")
	}
}

// decision is the oracle: may Sluice have decided this on that input?
func (w *walk) decision(old *State, in Input, d *Decision) {
	if d.By != "sluice" {
		if in.Command == nil || d.By != in.Command.By {
			w.t.Fatalf("%s by %s without a command", d.What, d.By)
		}
		return
	}
	if d.What != Advance && d.What != Finish {
		return
	}
	if d.Step == release.StepTest || d.Step == release.StepPause {
		return
	}
	k := in.Tick
	if k == nil || k.Served < old.Generation || !k.Arriving || k.Gap != "" || k.ChainBroken != "" || old.Pause != nil {
		w.t.Fatalf("advanced %s on %+v", d.Step, k)
	}
	step := old.present()
	if a := k.Assessment; a != nil && (a.Ratio.Alarm || len(a.Loss) > 1 && a.Loss[1] > 0.001) {
		w.t.Fatalf("advanced %s on an assessment that can't be trusted", d.Step)
	}
	switch d.Step {
	case release.StepShadow:
		w.judged(old, k)
		if k.Assessment.Pairs < 100 {
			w.t.Fatalf("shadow passed on %d pairs", k.Assessment.Pairs)
		}
	case release.StepABTest:
		w.judged(old, k)
		w.shown(k, "errors", "correct")
	case release.StepCanary:
		w.judged(old, k)
		w.shown(k, "errors")
		if w.held < time.Duration(step.Canary.Hold) {
			w.t.Fatalf("canary passed after %v", w.held)
		}
	case release.StepProduction:
		if w.watched < time.Duration(step.Production.Watch) {
			w.t.Fatalf("watched for %v only", w.watched)
		}
	default:
		w.t.Fatalf("Sluice passed %s by itself", d.Step)
	}
}

func (w *walk) judged(old *State, k *Tick) {
	if k.Assessment == nil || !old.BaselineWritten {
		w.t.Fatalf("advanced without assessment or baseline")
	}
}

func (w *walk) shown(k *Tick, metrics ...string) {
	for _, name := range metrics {
		ok := false
		for _, v := range k.Assessment.Verdicts {
			ok = ok || v.Metric == name && (v.State == judge.NoWorse || v.State == judge.Better)
		}
		if !ok {
			w.t.Fatalf("advanced although %s was not shown no worse", name)
		}
	}
}

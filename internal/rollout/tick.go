package rollout

import (
	"time"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
)

const (
	// maxElapsed is the most that one tick can count for: a clock that jumps, a controller that slept
	// and a new leader pass no hold and no deadline.
	maxElapsed = 5 * time.Second
	// maxSilence without telemetry goes on record, once per step.
	maxSilence = time.Minute
)

func (t *turn) tick(k Tick) {
	t.tk = &k
	elapsed := t.elapsed()
	t.serving(k)
	if a := k.Assessment; a != nil {
		t.s.Memory, t.s.Last = a.Memory, a
	}
	t.freezeBaseline(k)
	t.barriers(k, elapsed)
	if t.harm(k.Assessment) || t.s.Pause != nil {
		return
	}
	t.count(k, elapsed)
	if len(t.s.Barriers) == 0 && (t.s.counts(k) || !watched(t.s.kind())) {
		t.gate(k.Assessment)
	}
}

// elapsed is the time since the latest tick, 0 to maxElapsed. A clock that went backward starts anew
// from where it is now.
func (t *turn) elapsed() time.Duration {
	last := t.s.Clock.Tick
	t.s.Clock.Tick = t.now
	if last.IsZero() {
		return 0
	}
	return min(max(t.now.Sub(last), 0), maxElapsed)
}

// serving notes which generation all live gateways serve, and since when it is the present one.
func (t *turn) serving(k Tick) {
	t.s.Served = k.Served
	if now := t.stratum(); t.s.everywhere() && now.Serving.IsZero() {
		now.Serving = t.now
	}
}

// counts says whether the time of this tick is time in which versions were compared.
func (s *State) counts(k Tick) bool { return s.everywhere() && k.Arriving && len(s.Barriers) == 0 }

// everywhere says whether all live gateways serve the present generation; without a gateway nobody does.
func (s *State) everywhere() bool { return s.Served > 0 && s.Served >= s.Generation }

// count moves the step's clock. Test and pause wait for time alone; the others must be served
// everywhere, watched and free of barriers.
func (t *turn) count(k Tick, elapsed time.Duration) {
	c := &t.s.Clock
	switch {
	case k.Arriving || !watched(t.s.kind()):
		c.Silent = 0
	case t.s.everywhere():
		t.silence(elapsed)
	}
	if t.s.counts(k) || !watched(t.s.kind()) {
		c.Step += elapsed
		c.Stage += elapsed
	}
}

// silence counts the time without telemetry: the release holds, and its log says so once per step.
func (t *turn) silence(elapsed time.Duration) {
	c := &t.s.Clock
	if c.Silent += elapsed; c.Silent >= maxSilence && !c.Noted {
		c.Noted = true
		t.record(t.mark(), Hold, sluice, "no telemetry of this release arrived for "+span(c.Silent)+": the step's clock stands still, and no data is no success")
	}
}

// freezeBaseline freezes live's figures once there are enough, by a decision, and has them written into
// every log. Gateways take their breaker's bound from them, hence the new generation.
func (t *turn) freezeBaseline(k Tick) {
	if k.Baseline == nil || t.s.Baseline != nil {
		return
	}
	m := t.mark()
	t.s.Baseline = k.Baseline
	t.s.Generation++
	t.effect(Effect{Kind: WriteBaseline, Baseline: k.Baseline})
	t.record(m, Freeze, sluice, "live's figures are frozen as the baseline: "+baselineText(k.Baseline))
}

// harm acts upon harm that was not acted upon before, whatever else the release is doing.
func (t *turn) harm(a *judge.Assessment) bool {
	names := t.s.newHarm(a)
	if len(names) == 0 {
		return false
	}
	t.s.Harmed = append(t.s.Harmed, names...)
	reason := harmText(a, names)
	m := t.mark()
	if t.s.Spec.Spec.Plan.OnHarm == release.HarmPause {
		t.pause(ByHarm, sluice, reason)
		t.record(m, PauseIt, sluice, reason)
		return true
	}
	t.close(RolledBack, 0)
	t.record(m, RollBack, sluice, reason)
	return true
}

// gate advances if everything that the step asks for is there, and ends the waiting at the deadline.
func (t *turn) gate(a *judge.Assessment) {
	g := t.s.gate(a)
	switch {
	case g.passed():
		t.pass(g.reason)
	case g.deadline > 0 && g.spent >= g.deadline:
		t.undecided(g)
	}
}

// pass goes on by Sluice's own decision. A plan that ends before 100 % leaves the last word to a person.
func (t *turn) pass(reason string) {
	last := t.s.Step == len(t.s.Spec.Spec.Plan.Steps)-1 && !t.s.moreStages()
	if last && t.s.kind() != release.StepProduction && t.s.Share() < release.Whole {
		m := t.mark()
		reason += "; the plan ends here, at " + t.s.Share().String() + ": promote makes " + t.s.Candidate + " live, abort takes it back"
		t.pause(ByPlan, sluice, reason)
		t.record(m, PauseIt, sluice, reason)
		return
	}
	t.advance(sluice, reason)
}

// undecided ends a step whose deadline passed. It is never success.
func (t *turn) undecided(g gate) {
	reason := "undecided at the deadline of " + span(g.deadline) + ": " + sentence(g.waits)
	m := t.mark()
	if onUndecided(t.s.present()) == release.UndecidedRollback {
		t.close(RolledBack, 0)
		t.record(m, RollBack, sluice, reason)
		return
	}
	t.pause(ByUndecided, sluice, reason)
	t.record(m, PauseIt, sluice, reason)
}

package simulate

import (
	"context"
	"strings"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/tally"
)

// Looks are taken this long after a stratum began, and then each at lookRatio times the time of the one before.
const (
	firstLook = 10 * time.Second
	lookRatio = 1.35
)

// maxIdle is how much one tick adds to a step's clock (package rollout's rule).
const maxIdle = 5 * time.Second

// epoch is when every simulated release begins.
var epoch = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// outcome is what became of one run.
type outcome struct {
	end      rollout.Phase // Succeeded, RolledBack, Stopped or Paused
	duration time.Duration
	exposed  uint64 // requests that the candidate answered to users
	users    uint64 // to how many different ones
	harmBy   string
	states   []judge.State // by metric, at the end
	held     []string      // what a paused run waited for
	look     int
}

// run is one release on a virtual clock.
type run struct {
	o       *Options
	src     source
	s       rollout.State
	cache   judge.Cache
	now     time.Duration
	opened  uint16        // last stratum that the source knows
	since   time.Duration // its beginning
	look    time.Duration // next offset of a look in it
	horizon time.Duration
	out     outcome
}

// do plays the release to its end; ctx is asked at each look.
func (r *run) do(ctx context.Context) (outcome, error) {
	s, _, err := rollout.Begin(rollout.Params{
		Model: *r.o.Model, Number: 1, Live: r.o.Live, Candidate: r.o.Candidate, Salt: "simulate", By: person, Role: "operator",
		Reason: "simulated", Now: epoch,
	})
	if err != nil {
		return r.out, err
	}
	r.s, r.horizon = s, horizon(r.o.Model)
	if err := r.settle(); err != nil {
		return r.out, err
	}
	if err := r.step(rollout.Input{Tick: &rollout.Tick{Served: r.s.Generation, Arriving: true}}); err != nil { // starts the clock
		return r.out, err
	}
	for !r.over() {
		if err := ctx.Err(); err != nil {
			return r.out, err
		}
		at := r.next()
		r.idle(at)
		r.now = at
		r.src.advance(float64(at) / 1e6)
		if err := r.judge(); err != nil {
			return r.out, err
		}
	}
	return r.finish(), nil
}

// person decides where the plan asks for one.
const person = "simulation"

func (r *run) over() bool { return r.s.Phase.Ended() || r.s.Pause != nil || r.now >= r.horizon }

// horizon is when a run is given up: barriers that stay stop the clock of its step for ever.
func horizon(m *release.Model) time.Duration {
	var d release.Duration
	for _, s := range m.Spec.Plan.Steps {
		switch {
		case s.Shadow != nil:
			d += s.Shadow.Deadline
		case s.ABTest != nil:
			d += s.ABTest.Deadline
		case s.Canary != nil:
			d += s.Canary.Deadline * release.Duration(len(s.Canary.Shares))
		case s.Pause != nil:
			d += s.Pause.Duration
		case s.Production != nil:
			d += s.Production.Watch
		}
	}
	return 2*time.Duration(d) + time.Hour
}

// step takes one input and then everything that follows at once.
func (r *run) step(in rollout.Input) error {
	in.Now = epoch.Add(r.now)
	s, _, err := rollout.Step(r.s, in)
	if err != nil {
		return err
	}
	r.s = s
	if in.Done != nil || in.Test != nil {
		return nil
	}
	return r.settle()
}

// settle runs effects, opens strata and gives approvals until nothing is left to do at this moment.
func (r *run) settle() error {
	for {
		switch {
		case len(r.s.Effects) > 0:
			if err := r.effect(r.s.Effects[0]); err != nil {
				return err
			}
		case r.s.Phase.Ended() || r.s.Pause != nil:
			return nil
		case r.s.Strata[len(r.s.Strata)-1].ID > r.opened:
			r.open(r.s.Strata[len(r.s.Strata)-1])
		case r.asked() != nil:
			return r.step(rollout.Input{Command: r.asked()})
		default:
			return nil
		}
	}
}

// asked is the person's answer where the present step waits for one.
func (r *run) asked() *rollout.Command {
	c := rollout.Command{By: person, Role: "operator", Reason: "simulated: given at once"}
	switch st := r.s.Spec.Spec.Plan.Steps[r.s.Step]; {
	case st.Approval != nil:
		c.Kind, c.Roles, c.By = rollout.CmdApprove, st.Approval.By, "second "+person // an approval may ask for somebody else
	case st.Pause != nil && st.Pause.Duration == 0:
		c.Kind = rollout.CmdResume
	default:
		return nil
	}
	return &c
}

func (r *run) effect(e rollout.Effect) error {
	switch e.Kind {
	case rollout.RunSuite:
		t := rollout.TestOutcome{Passed: true, Required: 1, Summary: "assumed to pass", Finished: epoch.Add(r.now)}
		if err := r.step(rollout.Input{Test: &t}); err != nil {
			return err
		}
	case rollout.WriteBaseline:
		r.src.mark(e.Baseline)
	case rollout.Notify, rollout.SetLive: // nobody is told
	}
	return r.step(rollout.Input{Done: &rollout.Done{Key: e.Key}})
}

func (r *run) open(st rollout.Stratum) {
	intervals := r.s.Intervals
	if st.Kind == release.ExposureWouldBe {
		intervals = r.s.Routing().WouldBe
	}
	r.src.open(served{id: st.ID, epoch: st.Epoch, kind: st.Kind, mirror: st.Mirror, armOf: func(hash uint64) uint8 { return armIn(intervals, hash) }})
	r.opened, r.since, r.look = st.ID, r.now, firstLook
}

func armIn(intervals []assign.Interval, hash uint64) uint8 {
	for _, i := range intervals {
		if hash <= i.Last {
			return i.Arm
		}
	}
	return 0
}

// next is the time of the next look: on the geometric grid, or where the step's clock reaches a hold, a watch or a deadline.
func (r *run) next() time.Duration {
	for r.since+r.look <= r.now {
		r.look = time.Duration(float64(r.look) * lookRatio)
	}
	at := r.since + r.look
	if !r.counts() {
		return at
	}
	for _, left := range r.left() {
		if left > 0 {
			at = min(at, r.now+left)
		}
	}
	return at
}

// counts says whether the step's clock moves.
func (r *run) counts() bool {
	kind := r.s.Spec.Spec.Plan.Steps[r.s.Step].Kind()
	return kind == release.StepTest || kind == release.StepPause || len(r.s.Barriers) == 0
}

// left lists how long the step's clock has to run until something may happen by time alone.
func (r *run) left() []time.Duration {
	c := r.s.Clock
	switch st := r.s.Spec.Spec.Plan.Steps[r.s.Step]; {
	case st.Shadow != nil:
		return []time.Duration{time.Duration(st.Shadow.Deadline) - c.Step}
	case st.ABTest != nil:
		return []time.Duration{time.Duration(st.ABTest.Hold) - c.Step, time.Duration(st.ABTest.Deadline) - c.Step}
	case st.Canary != nil:
		return []time.Duration{time.Duration(st.Canary.Hold) - c.Stage, time.Duration(st.Canary.Deadline) - c.Stage}
	case st.Pause != nil:
		return []time.Duration{time.Duration(st.Pause.Duration) - c.Step}
	case st.Production != nil:
		return []time.Duration{time.Duration(st.Production.Watch) - c.Step}
	}
	return nil
}

// idle moves the step's clock as ticks without news would, up to one tick before at. A test compares it with such ticks.
func (r *run) idle(at time.Duration) {
	gap := at - r.now - maxIdle
	if gap <= 0 {
		return
	}
	r.s.Clock.Tick = r.s.Clock.Tick.Add(gap)
	if r.counts() {
		r.s.Clock.Step += gap
		r.s.Clock.Stage += gap
	}
}

// judge takes one look, as package controller does.
func (r *run) judge() error {
	tick := rollout.Tick{Served: r.s.Generation, Arriving: true}
	view := r.src.view()
	strata := make([]judge.Stratum, len(r.s.Strata))
	for i, st := range r.s.Strata {
		strata[i] = judge.Stratum{ID: st.ID, Epoch: st.Epoch, Kind: st.Kind, Shares: st.Shares}
	}
	if r.s.Baseline == nil {
		tick.Baseline, _ = judge.MakeBaseline(&r.s.Spec, view, strata, epoch.Add(r.now))
	}
	a := r.cache.Assess(judge.Input{
		Model: &r.s.Spec, Baseline: r.s.Baseline, Step: r.s.Spec.Spec.Plan.Steps[r.s.Step].Kind(), Strata: strata, View: view,
		Memory: r.s.Memory,
	})
	a.Total = total(view)
	tick.Assessment = &a
	r.out.look++
	r.note(&a)
	return r.step(rollout.Input{Tick: &tick})
}

func total(v *tally.View) []uint64 {
	live, candidate := exposedIn(v)
	return []uint64{live, candidate}
}

// note keeps what the latest look said.
func (r *run) note(a *judge.Assessment) {
	r.out.states = r.out.states[:0]
	for _, v := range a.Verdicts {
		r.out.states = append(r.out.states, v.State)
	}
	r.out.harmBy = a.HarmBy
}

func (r *run) finish() outcome {
	r.out.end, r.out.duration = r.s.Phase, r.now
	if !r.s.Phase.Ended() {
		r.out.end = rollout.Paused
		for _, w := range r.s.Held { // that it is paused, and not served yet for that, is no reason
			if !strings.HasPrefix(w, "paused by ") && !strings.HasPrefix(w, "all live gateways ") {
				r.out.held = append(r.out.held, w)
			}
		}
	}
	_, r.out.exposed = r.src.exposed()
	r.out.users = r.src.users()
	return r.out
}

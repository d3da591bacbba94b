package rollout

import (
	"time"

	"sluice.dev/sluice/internal/release"
)

// Bounds of a plan: far beyond any real one, small enough to keep a state small.
const (
	maxSteps  = 64
	maxStages = 64
)

// checkPlan refuses what could never be carried out. The file's own checks say it with line and column;
// these hold for every plan that reaches a state, wherever it comes from.
func checkPlan(op string, plan release.Plan) error {
	if n := len(plan.Steps); n == 0 || n > maxSteps {
		return release.Invalid(op, "the plan has %d steps; 1 to %d are possible", n, maxSteps)
	}
	if plan.Alpha < 0 || plan.Alpha >= 1 {
		return release.Invalid(op, "alpha is %v; it lies between 0 and 1", plan.Alpha)
	}
	var share release.Share
	for i, step := range plan.Steps {
		if err := checkStep(step, i == len(plan.Steps)-1, share > 0); err != nil {
			e := release.Invalid(op, "step %d of the plan (%s)", i+1, name(step))
			e.Cause = err
			return e
		}
		for _, next := range stages(step) {
			if next < share {
				return release.Invalid(op, "step %d of the plan (%s): the candidate's share falls from %v to %v", i+1, name(step), share, next).
					Fix("let shares rise along the plan, so that nobody leaves the candidate while it grows")
			}
			share = next
		}
	}
	return nil
}

func checkStep(step release.Step, last, served bool) error {
	for _, s := range stages(step) {
		if s == 0 || s > release.Whole {
			return release.Invalid("", "the share %v is not above 0%% and at most 100%%", s)
		}
	}
	switch kind := step.Kind(); {
	case kind == "":
		return release.Invalid("", "exactly one kind of step must be set")
	case kind == release.StepOptimize:
		return release.Invalid("", "this version of Sluice does not run it").Fix("leave it out")
	case (kind == release.StepTest || kind == release.StepShadow) && served:
		return release.Invalid("", "it comes after a step that serves users").Fix("put test and shadow first")
	case kind == release.StepShadow && step.Shadow.Until.Pairs <= 0:
		return release.Invalid("", "until.pairs is %d", step.Shadow.Until.Pairs).Fix("say how many pairs must be compared")
	case kind == release.StepShadow && (step.Shadow.Share == 0 || step.Shadow.Share > release.Whole):
		return release.Invalid("", "the share %v mirrors nothing", step.Shadow.Share)
	case kind == release.StepCanary && (len(step.Canary.Shares) == 0 || len(step.Canary.Shares) > maxStages):
		return release.Invalid("", "%d shares; 1 to %d are possible", len(step.Canary.Shares), maxStages)
	case kind == release.StepProduction && !last:
		return release.Invalid("", "it is not the last step").Fix("a passed production step makes the candidate live: put it last")
	case kind == release.StepProduction && step.Production.Watch <= 0:
		return release.Invalid("", "watch is %v", step.Production.Watch).Fix("say how long harm is looked for")
	case needsDeadline(kind) && deadline(step) <= 0:
		return release.Invalid("", "it has no deadline").Fix("deadlines are mandatory: undecided must end somewhere")
	}
	return nil
}

func needsDeadline(k release.StepKind) bool {
	return k == release.StepShadow || k == release.StepABTest || k == release.StepCanary
}

// stages lists the candidate's shares that a step serves, in order; none if it serves no other share
// than before.
func stages(step release.Step) []release.Share {
	switch {
	case step.ABTest != nil:
		return []release.Share{step.ABTest.Share}
	case step.Canary != nil:
		return step.Canary.Shares
	case step.Production != nil:
		return []release.Share{release.Whole - min(step.Production.Holdback, release.Whole)}
	}
	return nil
}

// deadline of a step (canary: of each share); 0 if it has none.
func deadline(step release.Step) time.Duration {
	switch {
	case step.Test != nil:
		return orElse(step.Test.Deadline, release.DefaultTestDeadline)
	case step.Shadow != nil:
		return time.Duration(step.Shadow.Deadline)
	case step.ABTest != nil:
		return time.Duration(step.ABTest.Deadline)
	case step.Canary != nil:
		return time.Duration(step.Canary.Deadline)
	}
	return 0
}

// hold is how long a step (canary: each share) must at least be served before it may pass. The file's
// defaults are written out when the model is frozen.
func hold(step release.Step) time.Duration {
	switch {
	case step.ABTest != nil:
		return time.Duration(step.ABTest.Hold)
	case step.Canary != nil:
		return time.Duration(step.Canary.Hold)
	case step.Pause != nil:
		return time.Duration(step.Pause.Duration)
	case step.Production != nil:
		return time.Duration(step.Production.Watch)
	}
	return 0
}

func onUndecided(step release.Step) release.OnUndecided {
	switch {
	case step.ABTest != nil:
		return step.ABTest.OnUndecided
	case step.Canary != nil:
		return step.Canary.OnUndecided
	}
	return release.UndecidedPause
}

func orElse(d release.Duration, otherwise time.Duration) time.Duration {
	if d > 0 {
		return time.Duration(d)
	}
	return otherwise
}

// watched says whether a step's clock needs telemetry: the steps that compare versions.
func watched(k release.StepKind) bool {
	return k == release.StepShadow || k == release.StepABTest || k == release.StepCanary || k == release.StepProduction
}

// phases that users see, by kind of step.
var phases = map[release.StepKind]Phase{
	release.StepTest:       Testing,
	release.StepShadow:     Shadowing,
	release.StepABTest:     Experimenting,
	release.StepCanary:     Ramping,
	release.StepApproval:   Paused,
	release.StepPause:      Paused,
	release.StepProduction: Watching,
}

func name(step release.Step) string {
	if k := step.Kind(); k != "" {
		return string(k)
	}
	return "unknown"
}

// present is the step in which the release is. The plan of an undo is not run and may be empty.
func (s *State) present() release.Step {
	if s.Step < 0 || s.Step >= len(s.Spec.Spec.Plan.Steps) {
		return release.Step{}
	}
	return s.Spec.Spec.Plan.Steps[s.Step]
}

func (s *State) kind() release.StepKind { return s.present().Kind() }

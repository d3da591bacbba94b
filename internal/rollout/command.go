package rollout

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"sluice.dev/sluice/internal/release"
)

// command is what one verb may do and does. refuse says why it is impossible in a running release, nil if it
// is possible; the person and the reason were checked before.
type command struct {
	refuse func(*State, Command) *release.Error
	do     func(*turn, Command)
}

// commands by verb. CmdUndo is not here: it starts a release of its own.
var commands = map[CommandKind]command{
	CmdPromote: {refusePromote, doPromote},
	CmdPause:   {refusePause, doPause},
	CmdResume:  {refuseResume, doResume},
	CmdAbort:   {refuseNothing, doAbort},
	CmdRetry:   {refuseRetry, doRetry},
	CmdApprove: {refuseApprove, doApprove},
	CmdAdjust:  {refuseAdjust, doAdjust},
}

// order in which verbs are listed to people.
var verbs = []CommandKind{CmdApprove, CmdPromote, CmdPause, CmdResume, CmdRetry, CmdAdjust, CmdAbort}

func checkCommand(s *State, c Command) error {
	op := fmt.Sprintf("%s %s", c.Kind, title(s))
	verb, known := commands[c.Kind]
	switch {
	case c.Kind == CmdUndo:
		return release.Conflict(op, "undo is a release of its own").Fix("ask for it at the model; it takes back its latest success")
	case !known:
		return release.Invalid(op, "%q is no command", c.Kind).Fix("use one of %s", list(verbs))
	}
	if err := checkPerson(op, c.By, c.Reason); err != nil {
		return err
	}
	if s.Phase.Ended() {
		return release.Conflict(op, "it has ended: %s, %s", s.Phase, s.Reason).Fix("start a new release")
	}
	if err := verb.refuse(s, c); err != nil {
		err.Op = op
		if err.Kind == release.KindConflict && err.Remedy == "" {
			err.Remedy = "possible now: " + list(s.Can())
		}
		return err
	}
	return nil
}

func checkPerson(op, by, reason string) error {
	switch {
	case by == "":
		return release.Invalid(op, "nobody is named").Fix("every decision is on record with its person")
	case by == sluice.name:
		return release.Invalid(op, "%q is Sluice's own name on record", by)
	case reason == "":
		return release.Invalid(op, "no reason is given").Fix("say why: it stays on record")
	}
	return nil
}

// Can lists the commands that are possible now, apart from who may give them.
func (s *State) Can() []CommandKind {
	var out []CommandKind
	for _, kind := range verbs {
		if s.Phase.Ended() {
			break
		}
		err := commands[kind].refuse(s, Command{Kind: kind, Roles: everyRole(s), Plan: &s.Spec.Spec.Plan})
		if err == nil {
			out = append(out, kind)
		}
	}
	return out
}

func everyRole(s *State) (roles []string) {
	for _, step := range s.Spec.Spec.Plan.Steps {
		if step.Approval != nil {
			roles = append(roles, step.Approval.By...)
		}
	}
	return roles
}

func refuseNothing(*State, Command) *release.Error { return nil }

// Promote at an approval is an approval: skipping the one gate that asks for certain people is not
// everybody's.
func refusePromote(s *State, c Command) *release.Error { return refuseRole(s, c) }

func doPromote(t *turn, c Command) {
	t.advance(t.by, "promoted past "+t.s.at()+": "+c.Reason)
}

func refusePause(s *State, _ Command) *release.Error {
	if s.Pause != nil {
		return release.Conflict("", "it is paused already, by %s: %s", s.Pause.By, s.Pause.Reason)
	}
	return refuseCrowd(s)
}

func doPause(t *turn, c Command) {
	m := t.mark()
	t.pause(ByPerson, t.by, c.Reason)
	t.record(m, PauseIt, t.by, c.Reason)
}

func refuseResume(s *State, _ Command) *release.Error {
	switch {
	case s.Pause == nil && s.kind() != release.StepPause:
		return release.Conflict("", "it is not paused: %s", s.at())
	case s.Pause != nil && s.Pause.Cause == ByTest:
		return release.Conflict("", "%s", s.Pause.Reason).Fix("retry runs the suite again, promote goes on without it")
	}
	return refuseCrowd(s)
}

// doResume goes on with the evidence that is there. After a missed deadline a new one begins; after
// harm the person who resumes accepts it.
func doResume(t *turn, c Command) {
	if t.s.Pause == nil {
		t.advance(t.by, "resumed: "+c.Reason)
		return
	}
	m := t.mark()
	reason := c.Reason
	if t.s.Pause.Cause == ByUndecided {
		t.s.Clock = Clock{Tick: t.s.Clock.Tick}
	}
	if t.s.Pause.Cause == ByHarm {
		reason += " (the harm shown by " + list(t.s.Harmed) + " is accepted)"
	}
	t.s.Phase, t.s.Pause = t.s.Pause.Phase, nil
	t.open(false)
	t.again()
	t.record(m, Resume, t.by, reason)
}

func doAbort(t *turn, c Command) {
	m := t.mark()
	if t.s.Exposed() {
		t.close(RolledBack, 0)
		t.record(m, RollBack, t.by, "aborted: "+c.Reason)
		return
	}
	t.close(Stopped, 0)
	t.record(m, Stop, t.by, "aborted before any user was served: "+c.Reason)
}

func refuseRetry(s *State, _ Command) *release.Error {
	switch {
	case s.Pause == nil:
		return release.Conflict("", "nothing has failed: %s", s.at())
	case s.Pause.Cause == ByHarm:
		return release.Conflict("", "harm was shown, and trying again does not make it unseen").Fix("resume accepts it on record, abort takes the candidate back")
	case s.Pause.Cause == ByPerson || s.Pause.Cause == ByPlan:
		return release.Conflict("", "it waits for a person, nothing has failed: %s", s.Pause.Reason)
	case len(s.Strata) > 0 && s.Strata[len(s.Strata)-1].Epoch == math.MaxUint8:
		return release.Conflict("", "it was tried %d times", math.MaxUint8).Fix("start a new release")
	}
	return refuseCrowd(s)
}

func doRetry(t *turn, c Command) {
	m := t.mark()
	t.restart()
	t.again()
	t.record(m, Retry, t.by, "from its beginning: "+t.s.at()+": "+c.Reason)
}

func refuseApprove(s *State, c Command) *release.Error {
	switch {
	case s.kind() != release.StepApproval:
		return release.Conflict("", "no approval is asked for: %s", s.at())
	case s.Pause != nil:
		return release.Conflict("", "it is paused by %s: %s", s.Pause.By, s.Pause.Reason)
	}
	return refuseRole(s, c)
}

func doApprove(t *turn, c Command) { t.advance(t.by, "approved: "+c.Reason) }

// refuseCrowd bounds what commands can add to a state. Promote and abort always stay possible.
func refuseCrowd(s *State) *release.Error {
	if len(s.Strata) >= maxStrata {
		return release.Conflict("", "it has had %d pauses, resumes and changes of share", len(s.Strata)).Fix("promote or abort it")
	}
	return nil
}

// refuseAdjust checks a new plan for the rest: past steps stay as they were, the error budget is what
// was promised at the start, and nobody leaves the candidate.
func refuseAdjust(s *State, c Command) *release.Error {
	if c.Plan == nil {
		return release.Invalid("", "no plan is given").Fix("give the entire plan, past steps included")
	}
	plan := s.normalised(*c.Plan)
	if err := checkPlan("", plan); err != nil {
		e := release.Invalid("", "the new plan cannot be carried out")
		e.Cause = err
		return e
	}
	old := s.Spec.Spec.Plan
	if len(plan.Steps) <= s.Step {
		return release.Invalid("", "the new plan ends after step %d; the release is in step %d", len(plan.Steps), s.Step+1)
	}
	for i := range s.Step {
		if !same(old.Steps[i], plan.Steps[i]) {
			return release.Invalid("", "step %d (%s) is past and cannot change", i+1, name(old.Steps[i])).Fix("change what is still to come")
		}
	}
	if c.Plan.Alpha != 0 && c.Plan.Alpha != old.Alpha {
		return release.Invalid("", "alpha was %v when the release began and cannot change after data were seen", old.Alpha)
	}
	if err := refuseLoosening(s, plan, c); err != nil {
		return err
	}
	return s.refuseShares(plan)
}

// refuseShares looks at the share with which the new present step would be entered; later ones are not
// below it, because the shares of a checked plan rise.
func (s *State) refuseShares(plan release.Plan) *release.Error {
	step, share := plan.Steps[s.Step], s.Share()
	if (step.Test != nil || step.Shadow != nil) && share > 0 {
		return release.Invalid("", "step %d (%s) serves nobody, and %v are served by the candidate", s.Step+1, name(step), share)
	}
	if all := stages(step); len(all) > 0 && stageFor(all, share) < 0 {
		return release.Invalid("", "step %d (%s) stays below the %v that the candidate serves", s.Step+1, name(step), share).
			Fix("give it a share of at least %v, or abort", share)
	}
	return refuseCrowd(s)
}

// normalised writes out the defaults of a plan, as those of the frozen one are.
func (s *State) normalised(plan release.Plan) release.Plan {
	m := s.Spec
	m.Spec.Plan = plan
	return m.Normalise().Spec.Plan
}

// stageFor is the first stage that serves at least the share, -1 if none does.
func stageFor(all []release.Share, share release.Share) int {
	return slices.IndexFunc(all, func(s release.Share) bool { return s >= share })
}

// doAdjust replaces the plan. A present step that stays as it was goes on; one that changed begins
// anew under its new rules, at a share that is not below the present one. A pause stays a pause.
func doAdjust(t *turn, c Command) {
	m := t.mark()
	before, wouldBe := t.s.present(), t.s.wouldBe()
	plan := t.s.normalised(*c.Plan)
	plan.Alpha = t.s.Spec.Spec.Plan.Alpha
	t.s.Spec.Spec.Plan = plan
	t.s.author(c.By)
	_, t.s.SpecHash = t.s.Spec.Canonical()
	switch {
	case !same(before, t.s.present()):
		t.reenter()
	case t.s.Share() == 0 && t.s.wouldBe() != wouldBe:
		t.open(false) // other would-be groups from now on
	}
	t.record(m, Adjust, t.by, "a new plan from "+t.s.at()+" on (model "+t.s.SpecHash[:12]+"): "+c.Reason)
}

func (t *turn) reenter() {
	paused := t.s.Pause
	t.s.Stage = max(stageFor(stages(t.s.present()), t.s.Share()), 0)
	t.restart()
	if paused != nil {
		p := *paused
		p.Phase = t.s.Phase
		if p.Cause == ByTest || p.Cause == ByUndecided {
			p.Cause = ByPerson // what was undecided is gone with the old rules
		}
		t.s.Pause, t.s.Phase = &p, Paused
	}
}

// same compares steps as they are written, so that an absent list equals an empty one.
func same(a, b release.Step) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

package rollout

import (
	"fmt"
	"math"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
)

// Arms of a release with one candidate.
const (
	armLive      = 0
	armCandidate = 1
)

// maxStrata bounds what people can add by pausing and resuming; what Sluice adds by itself is bounded
// by the plan.
const maxStrata = 1000

// defaultWouldBe is the would-be share of a plan that serves nobody.
const defaultWouldBe = release.Whole / 2

// advance leaves the present gate behind: the next share, the next step or the end.
func (t *turn) advance(by actor, why string) {
	m := t.mark()
	switch {
	case t.s.moreStages():
		t.s.Stage++
		t.s.Pause, t.s.Phase = nil, phases[t.s.kind()]
		t.s.Clock.Stage, t.s.Clock.Silent, t.s.Clock.Noted = 0, 0, false
		t.s.Last = nil // of another share
		t.open(false)
	case t.s.Step+1 < len(t.s.Spec.Spec.Plan.Steps):
		t.enter(t.s.Step + 1)
	default:
		t.finish(m, by, why)
		return
	}
	t.record(m, Advance, by, why+"; next: "+t.s.at())
}

// moreStages says whether the present step has a further share.
func (s *State) moreStages() bool { return s.Stage+1 < len(stages(s.present())) }

// enter begins a step.
func (t *turn) enter(step int) {
	t.s.Step, t.s.Stage = step, 0
	t.restart()
}

// restart begins the present step (canary: the present share) from its beginning, in a new epoch if it
// serves the candidate.
func (t *turn) restart() {
	t.s.Clock = Clock{Tick: t.s.Clock.Tick}
	t.s.Last = nil // of another step
	t.s.Pause, t.s.Phase = nil, phases[t.s.kind()]
	t.drop(RunSuite) // of a test that was left or starts again
	if t.s.kind() == release.StepTest {
		t.s.Test = nil
		t.effect(Effect{Kind: RunSuite, Suite: t.s.present().Test.Suite, Version: t.s.Candidate})
	}
	t.open(len(stages(t.s.present())) > 0)
}

// open closes the present stratum and opens the next one with the shares of the present step.
func (t *turn) open(epoch bool) {
	share := t.s.planned()
	t.s.Intervals = reshape(t.s.Intervals, share)
	next := Stratum{ID: 1, Step: t.s.Step, Opened: t.now, Kind: release.ExposureServe}
	if prev := t.stratum(); prev != nil {
		if prev.ID == math.MaxUint16 {
			return // never reached: commands stop at maxStrata
		}
		prev.Closed = t.now
		next.ID, next.Epoch = prev.ID+1, prev.Epoch
	}
	if epoch && next.Epoch < math.MaxUint8 {
		next.Epoch++
	}
	if share == 0 {
		next.Kind, share = release.ExposureWouldBe, t.s.wouldBe()
	}
	next.Shares = []release.Share{release.Whole - share, share}
	if s := t.s.present().Shadow; s != nil {
		next.Mirror = s.Share
	}
	t.s.Strata = append(t.s.Strata, next)
	t.s.Generation++
}

// planned is the candidate's share in the present step; steps that say none keep what is served.
func (s *State) planned() release.Share {
	if all := stages(s.present()); len(all) > 0 {
		return all[s.Stage]
	}
	return s.Share()
}

// wouldBe is the first share that the rest of the plan serves: the A/A check compares exactly those
// groups that will later be served differently.
func (s *State) wouldBe() release.Share {
	for _, step := range s.Spec.Spec.Plan.Steps[s.Step:] {
		if all := stages(step); len(all) > 0 {
			return all[0]
		}
	}
	return defaultWouldBe
}

// Share is the candidate's share of the units that are served.
func (s *State) Share() release.Share { return assign.ShareOf(s.Intervals, armCandidate) }

// Exposed says whether the candidate ever served a user in this release.
func (s *State) Exposed() bool {
	for _, st := range s.Strata {
		if st.Kind == release.ExposureServe && st.Shares[armCandidate] > 0 {
			return true
		}
	}
	return false
}

// stratum is the present one, nil before the first.
func (t *turn) stratum() *Stratum {
	if n := len(t.s.Strata); n > 0 {
		return &t.s.Strata[n-1]
	}
	return nil
}

// pause keeps what is served and waits for a person. A release that is paused already gets the newer
// cause and stays in its stratum.
func (t *turn) pause(cause Cause, by actor, reason string) {
	if t.s.Pause != nil {
		t.s.Pause.Cause, t.s.Pause.By, t.s.Pause.Reason = cause, by.name, reason
		return
	}
	t.s.Pause = &Pause{Since: t.now, By: by.name, Cause: cause, Reason: reason, Phase: t.s.Phase}
	t.s.Phase = Paused
	t.open(false)
}

// finish makes the candidate live.
func (t *turn) finish(m mark, by actor, why string) {
	share := release.Whole
	if t.s.keepsHoldback() {
		share = t.s.Share()
	}
	t.close(Succeeded, share)
	t.effect(Effect{Kind: SetLive, Version: t.s.Candidate})
	t.record(m, Finish, by, why+"; "+t.s.Candidate+" is live")
}

// keepsHoldback says whether the hold-back stays with the former version after success. It does until
// another release of the model starts from Initial intervals.
func (s *State) keepsHoldback() bool {
	return s.Spec.Spec.Plan.KeepHoldback && s.kind() == release.StepProduction && s.Share() < release.Whole
}

// close ends the release with the candidate at a share: 0 for those that take it back. What was only
// needed to go on is dropped; notifications and the change of live stay until acknowledged.
func (t *turn) close(end Phase, share release.Share) {
	t.s.Phase, t.s.Ended = end, t.now
	t.s.Pause, t.s.Barriers = nil, nil
	if last := t.stratum(); last != nil && (end != Succeeded || !t.s.keepsHoldback()) {
		last.Closed = t.now
	}
	t.s.Intervals = reshape(t.s.Intervals, share)
	t.s.Generation++
	t.drop(RunSuite)
	t.drop(WriteBaseline)
}

// reshape gives the candidate a share. Plans and states were checked, so it can't fail on data.
func reshape(intervals []assign.Interval, share release.Share) []assign.Interval {
	next, err := assign.Reshape(intervals, []release.Share{release.Whole - share, share})
	if err != nil {
		panic(fmt.Sprintf("rollout: a checked state has impossible intervals: %v", err))
	}
	return next
}

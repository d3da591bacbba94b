package rollout

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sluice.dev/sluice/internal/release"
)

// maxNotify bounds the notifications that wait, so that a receiver that is away doesn't grow the state.
// The oldest go first: the log has them all.
const maxNotify = 64

// effect asks for something to be done outside.
func (t *turn) effect(e Effect) {
	t.s.NextEffect++
	e.Key = fmt.Sprintf("%s%d", keyPrefix(&t.s), t.s.NextEffect)
	t.s.Effects = append(t.s.Effects, e)
}

func (t *turn) notify(decision uint64) {
	waiting := 0
	for _, e := range t.s.Effects {
		waiting += b2i(e.Kind == Notify)
	}
	if waiting >= maxNotify {
		i := slices.IndexFunc(t.s.Effects, func(e Effect) bool { return e.Kind == Notify })
		t.s.Effects = slices.Delete(t.s.Effects, i, i+1)
	}
	t.effect(Effect{Kind: Notify, Decision: decision})
}

// drop takes back what isn't wanted any more.
func (t *turn) drop(kind EffectKind) {
	t.s.Effects = slices.DeleteFunc(t.s.Effects, func(e Effect) bool { return e.Kind == kind })
}

func (s *State) wants(kind EffectKind) bool {
	return slices.ContainsFunc(s.Effects, func(e Effect) bool { return e.Kind == kind })
}

// again asks once more for what was given up and is still needed.
func (t *turn) again() {
	if t.s.Baseline != nil && !t.s.BaselineWritten && !t.s.wants(WriteBaseline) {
		t.effect(Effect{Kind: WriteBaseline, Baseline: t.s.Baseline})
	}
	if t.s.kind() == release.StepTest && t.s.Test == nil && !t.s.wants(RunSuite) {
		t.effect(Effect{Kind: RunSuite, Suite: t.s.present().Test.Suite, Version: t.s.Candidate})
	}
}

// test takes the report of the suite. A failed required case ends the release, paused or not; a pass
// goes on unless a person has paused.
func (t *turn) test(o TestOutcome) {
	t.s.Test = &o
	t.drop(RunSuite)
	m := t.mark()
	switch {
	case !o.Passed || len(o.Failed) > 0:
		t.close(Stopped, 0)
		t.record(m, Stop, sluice, failedText(o))
	case o.Required == 0:
		reason := "the suite ran without a required case, which shows nothing"
		t.pause(ByTest, sluice, reason)
		t.record(m, PauseIt, sluice, reason)
	case t.s.Pause != nil || len(t.s.Barriers) > 0:
		t.record(m, Note, sluice, fmt.Sprintf("the suite reported while the release waits: all %d required cases passed", o.Required))
	default:
		t.pass(t.s.gateReason())
	}
}

func (s *State) gateReason() string { g := s.gate(nil); return g.reason }

func failedText(o TestOutcome) string {
	if len(o.Failed) == 0 {
		return "the test suite failed: " + orWord(o.Summary, "no reason was given")
	}
	return fmt.Sprintf("%d of %d required test cases failed: %s", len(o.Failed), o.Required, strings.Join(o.Failed, ", "))
}

// done takes an acknowledgement. A second one of the same effect changes nothing: a controller may die
// between doing and acknowledging.
func (t *turn) done(d Done) {
	i := slices.IndexFunc(t.s.Effects, func(e Effect) bool { return e.Key == d.Key })
	if i < 0 {
		return
	}
	e := t.s.Effects[i]
	t.s.Effects = slices.Delete(t.s.Effects, i, i+1)
	switch {
	case d.Err == "":
		t.s.BaselineWritten = t.s.BaselineWritten || e.Kind == WriteBaseline
	case e.Kind == Notify || t.s.Phase.Ended():
		t.record(t.mark(), Note, sluice, fmt.Sprintf("%s could not be done: %s", e.Kind, d.Err))
	default:
		m := t.mark()
		reason := fmt.Sprintf("%s could not be done: %s", e.Kind, d.Err)
		t.pause(ByEffect, sluice, reason)
		t.record(m, PauseIt, sluice, reason)
	}
}

// checkDone refuses keys that this release never gave out.
func checkDone(s *State, d Done) error {
	op := "acknowledge an effect of release " + title(s)
	rest, ok := strings.CutPrefix(d.Key, keyPrefix(s))
	n, err := strconv.ParseUint(rest, 10, 64)
	if !ok || err != nil || n == 0 || n > s.NextEffect || strconv.FormatUint(n, 10) != rest {
		return release.Invalid(op, "the key %q is not one of this release", d.Key)
	}
	return nil
}

func keyPrefix(s *State) string { return fmt.Sprintf("%s/%d/", s.Model, s.Number) }

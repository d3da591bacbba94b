package rollout

import (
	"fmt"
	"math"

	"sluice.dev/sluice/internal/release"
)

// Explanation says in words what a release does now: for the live view, the console and whoever was
// woken up.
type Explanation struct {
	Summary  string        `json:"summary"`  // one line: where it is and what it waits for
	Waiting  []string      `json:"waiting"`  // what keeps it from advancing, most important first
	Next     string        `json:"next"`     // what follows when nothing is missing any more
	Deadline string        `json:"deadline"` // what happens when it stays undecided; "" without a deadline
	Withdraw []string      `json:"withdraw"` // what would take the candidate back, with how near it is
	Can      []CommandKind `json:"can"`      // commands that are possible now
}

// Explain describes the present state from the latest assessment.
func (s *State) Explain() Explanation {
	if s.Phase.Ended() {
		return Explanation{Summary: fmt.Sprintf("%s: %s", s.Phase, s.Reason)}
	}
	return Explanation{
		Summary: s.summary(), Waiting: s.held(), Next: s.next(), Deadline: s.atDeadline(),
		Withdraw: s.withdraw(), Can: s.Can(),
	}
}

// held lists what keeps the release from advancing now.
func (s *State) held() []string {
	var out []string
	if p := s.Pause; p != nil {
		out = append(out, fmt.Sprintf("paused by %s: %s", p.By, p.Reason))
	}
	for _, f := range s.Barriers {
		out = append(out, f.Reason)
	}
	if watched(s.kind()) && !s.everywhere() {
		out = append(out, fmt.Sprintf("all live gateways to serve generation %d (lowest: %d)", s.Generation, s.Served))
	}
	if s.Clock.Silent > 0 {
		out = append(out, "telemetry: none for "+span(s.Clock.Silent)+", the step's clock stands still")
	}
	g := s.gate(s.Last)
	return append(out, g.waits...)
}

func (s *State) summary() string {
	where := s.at()
	if len(s.Held) == 0 {
		return where
	}
	if s.Pause != nil || len(s.Barriers) > 0 {
		return where + ", " + s.Held[0]
	}
	return where + ", waiting for " + s.Held[0]
}

// at names the present step: "step 4 of 6, canary at 50% (1 of 2)".
func (s *State) at() string {
	text := fmt.Sprintf("step %d of %d, %s", s.Step+1, len(s.Spec.Spec.Plan.Steps), name(s.present()))
	all := stages(s.present())
	if len(all) > 0 {
		text += " at " + all[s.Stage].String()
	}
	if len(all) > 1 {
		text += fmt.Sprintf(" (%d of %d)", s.Stage+1, len(all))
	}
	return text
}

func (s *State) next() string {
	steps := s.Spec.Spec.Plan.Steps
	switch {
	case s.moreStages():
		return fmt.Sprintf("%s at %v", name(s.present()), stages(s.present())[s.Stage+1])
	case s.Step+1 < len(steps):
		next := steps[s.Step+1]
		if all := stages(next); len(all) > 0 {
			return fmt.Sprintf("%s at %v", name(next), all[0])
		}
		return name(next)
	case s.kind() == release.StepProduction || s.Share() == release.Whole:
		return s.Candidate + " becomes live"
	}
	return "the plan ends: a person promotes or aborts"
}

func (s *State) atDeadline() string {
	g := s.gate(s.Last)
	if g.deadline == 0 {
		return ""
	}
	what := "it pauses"
	if onUndecided(s.present()) == release.UndecidedRollback {
		what = "the candidate is taken back"
	}
	return fmt.Sprintf("undecided after %s (%s so far): %s", span(g.deadline), span(g.spent), what)
}

// withdraw lists what would take the candidate back, with the evidence so far as a part of what is
// needed.
func (s *State) withdraw() []string {
	then := "rolled back"
	if s.Spec.Spec.Plan.OnHarm == release.HarmPause {
		then = "paused"
	}
	if s.kind() == release.StepTest {
		return []string{"a required test case that fails: stopped"}
	}
	var out []string
	for _, m := range s.deciding() {
		text := fmt.Sprintf("%s worse than live by more than %v: %s", m.Name, m.Tolerate, then)
		if s.Last != nil {
			for _, v := range verdictsOf(s.Last, m) {
				text += fmt.Sprintf("; evidence %.0f %% of what is needed", 100*s.part(v.LnHarm))
			}
		}
		out = append(out, text)
	}
	return out
}

// part of the evidence that a decision needs, 0 to 1: ln e against ln(1/alpha).
func (s *State) part(lnE float64) float64 {
	alpha := s.Spec.Spec.Plan.Alpha
	if alpha <= 0 || alpha >= 1 {
		alpha = release.DefaultAlpha
	}
	return min(max(lnE/-math.Log(alpha), 0), 1)
}

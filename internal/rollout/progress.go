package rollout

import (
	"time"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
)

// Place of a step in the way of a release.
type Place string

// The places.
const (
	Past   Place = "past"
	Now    Place = "now"
	Future Place = "future"
)

// StepProgress is one step for a status bar.
type StepProgress struct {
	Step     int              `json:"step"`
	Kind     release.StepKind `json:"kind"`
	Place    Place            `json:"place"`
	Share    release.Share    `json:"share"` // served, or to be served first
	Stage    int              `json:"stage"` // from 1; 0 if the step has no shares of its own
	Stages   int              `json:"stages"`
	Served   time.Duration    `json:"served"`   // of the present share; of steps that are not present: 0
	Hold     time.Duration    `json:"hold"`     // at least that long; 0: no minimum
	Deadline time.Duration    `json:"deadline"` // 0: none
	Evidence float64          `json:"evidence"` // 0 to 1: of what the gate asks beside time
	Text     string           `json:"text,omitempty"`
}

// Progress describes all steps of the plan, in order.
func (s *State) Progress() []StepProgress {
	out := make([]StepProgress, len(s.Spec.Spec.Plan.Steps))
	for i, step := range s.Spec.Spec.Plan.Steps {
		all := stages(step)
		p := StepProgress{Step: i, Kind: step.Kind(), Place: Future, Stages: len(all), Hold: hold(step), Deadline: deadline(step)}
		if len(all) > 0 {
			p.Share, p.Stage = all[0], 1
		}
		switch {
		case i < s.Step || i == s.Step && s.Phase == Succeeded:
			p.Place, p.Evidence = Past, 1
			if len(all) > 0 {
				p.Share, p.Stage = all[len(all)-1], len(all)
			}
		case i == s.Step:
			s.progressNow(&p)
		}
		out[i] = p
	}
	return out
}

func (s *State) progressNow(p *StepProgress) {
	p.Place, p.Served, p.Share = Now, s.Clock.Stage, s.Share()
	if p.Stages > 0 {
		p.Stage = s.Stage + 1
	}
	p.Evidence = s.evidence()
	p.Text = s.Reason
}

// evidence is the least of what the present gate asks for beside time, 0 to 1.
func (s *State) evidence() float64 {
	a := s.Last
	switch kind := s.kind(); {
	case kind == release.StepTest:
		return float64(b2i(s.Test != nil && s.Test.Passed))
	case a == nil:
		return 0
	case kind == release.StepShadow:
		have := a.Pairs
		if s.agrees() {
			have = min(have, a.Scored)
		}
		return min(float64(have)/float64(s.present().Shadow.Until.Pairs), 1)
	case kind == release.StepABTest || kind == release.StepCanary:
		return s.leastShown(a)
	}
	return 0
}

func (s *State) leastShown(a *judge.Assessment) float64 {
	better := s.present().ABTest != nil && s.present().ABTest.Goal == release.GoalBetter
	least := 1.0
	for _, m := range s.deciding() {
		if m.Role == release.Objective && s.present().Canary != nil && s.compared() {
			continue
		}
		for _, v := range verdictsOf(a, m) {
			part := s.part(v.LnNoWorse)
			shown := v.NoWorse || v.Better
			if better && m.Role == release.Objective {
				part, shown = s.part(v.LnBetter), v.Better
			}
			if shown {
				part = 1
			}
			least = min(least, part)
		}
	}
	return least
}

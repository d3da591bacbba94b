package rollout

import (
	"fmt"
	"strings"
	"time"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
)

// gate is what the present step asks for and what of it is missing.
type gate struct {
	waits    []string // what is missing, in words; empty: passed
	reason   string   // why it passes
	deadline time.Duration
	spent    time.Duration // of the deadline
}

func (g *gate) passed() bool { return len(g.waits) == 0 }

func (g *gate) wait(format string, args ...any) {
	g.waits = append(g.waits, fmt.Sprintf(format, args...))
}

// gate looks at the present step. Without an assessment a step that needs one cannot pass: what was
// judged before may belong to other shares.
func (s *State) gate(a *judge.Assessment) gate {
	g := gate{deadline: deadline(s.present()), spent: s.Clock.Step}
	switch s.kind() {
	case release.StepTest:
		s.gateTest(&g)
	case release.StepShadow:
		s.gateShadow(&g, a)
	case release.StepABTest:
		s.gateABTest(&g, a)
	case release.StepCanary:
		g.spent = s.Clock.Stage
		s.gateCanary(&g, a)
	case release.StepApproval:
		g.wait("the approval of %s", approvers(s.present().Approval))
	case release.StepPause:
		s.gatePause(&g)
	case release.StepProduction:
		s.gateProduction(&g, a)
	case release.StepOptimize:
		g.wait("a person: it never ends by itself")
	}
	return g
}

func (s *State) gateTest(g *gate) {
	switch o := s.Test; {
	case o == nil:
		g.wait("the report of test suite %s", s.present().Test.Suite)
	case !o.Passed || o.Required == 0:
		g.wait("a suite that passes (%s)", o.Summary)
	default:
		g.reason = fmt.Sprintf("all %d required test cases passed", o.Required)
	}
}

// gateShadow is the one gate that undecided may pass: nobody is exposed. It still needs the baseline,
// without which no verdict could have shown harm.
func (s *State) gateShadow(g *gate, a *judge.Assessment) {
	s.needBaseline(g)
	if !s.needAssessment(g, a) {
		return
	}
	want := uint64(s.present().Shadow.Until.Pairs)
	if a.Pairs < want {
		g.wait("%s of %s pairs", count(a.Pairs), count(want))
	}
	scored := "compared"
	if s.agrees() {
		scored = "scored"
		if a.Scored < want {
			g.wait("%s of %s pairs scored by feedback", count(a.Scored), count(want))
		}
	}
	g.reason = fmt.Sprintf("%s pairs %s, no harm shown on them, the assignment's A/A check is fine", count(a.Pairs), scored)
}

func (s *State) gateABTest(g *gate, a *judge.Assessment) {
	step := s.present().ABTest
	s.needTime(g, "minimum", s.Clock.Step, hold(s.present()))
	s.needBaseline(g)
	if !s.needAssessment(g, a) {
		return
	}
	shown := s.need(g, a, release.Guardrail, judge.NoWorse)
	goal := judge.NoWorse
	if step.Goal == release.GoalBetter {
		goal = judge.Better
	}
	objectives := s.need(g, a, release.Objective, goal)
	if goal == judge.Better && !s.has(release.Objective) {
		g.wait("an objective: the goal is better, and no metric has that role")
	}
	s.needAny(g)
	g.reason = "goal reached: " + sentence(append(objectives, shown...))
}

func (s *State) gateCanary(g *gate, a *judge.Assessment) {
	s.needTime(g, "hold", s.Clock.Stage, hold(s.present()))
	s.needBaseline(g)
	if !s.needAssessment(g, a) {
		return
	}
	shown := s.need(g, a, release.Guardrail, judge.NoWorse)
	if !s.compared() {
		shown = append(shown, s.need(g, a, release.Objective, judge.NoWorse)...)
	}
	s.needAny(g)
	g.reason = fmt.Sprintf("no worse at %v for %s: %s", s.Share(), span(s.Clock.Stage), sentence(shown))
}

func (s *State) gatePause(g *gate) {
	d := time.Duration(s.present().Pause.Duration)
	if d == 0 {
		g.wait("a person: resume or promote goes on")
		return
	}
	s.needTime(g, "pause", s.Clock.Step, d)
	g.reason = "the pause of " + span(d) + " is over"
}

// gateProduction asks for time without harm. No harm among no data shows nothing, so each metric that
// decides must have some, unless the plan keeps nobody to compare with.
func (s *State) gateProduction(g *gate, a *judge.Assessment) {
	step := s.present().Production
	watch := time.Duration(step.Watch)
	s.needTime(g, "watch", s.Clock.Step, watch)
	g.reason = fmt.Sprintf("watched for %s without harm", span(watch))
	if step.Holdback == 0 {
		return
	}
	s.needBaseline(g)
	if !s.needAssessment(g, a) {
		return
	}
	for _, m := range s.deciding() {
		for _, v := range verdictsOf(a, m) {
			if v.State == judge.NoData || v.State == judge.Waiting {
				g.wait("%s", verdictText(v))
			}
		}
	}
}

func (s *State) needTime(g *gate, what string, have, want time.Duration) {
	if have < want {
		g.wait("%s: %s of %s", what, span(have), span(want))
	}
}

func (s *State) needBaseline(g *gate) {
	switch {
	case s.Baseline == nil:
		g.wait("enough data of live for the baseline")
	case !s.BaselineWritten:
		g.wait("the baseline to be written into every log")
	}
}

func (s *State) needAssessment(g *gate, a *judge.Assessment) bool {
	if a == nil {
		g.wait("a new assessment of the data")
	}
	return a != nil
}

// need asks that every metric of the role is shown as wanted, and returns what is shown.
func (s *State) need(g *gate, a *judge.Assessment, role release.Role, want judge.State) (shown []string) {
	for _, m := range s.Spec.Spec.Metrics {
		if m.Role != role {
			continue
		}
		for _, v := range verdictsOf(a, m) {
			if want == judge.Better && v.Better || want == judge.NoWorse && (v.NoWorse || v.Better) {
				shown = append(shown, verdictText(v))
				continue
			}
			g.wait("%s: %s to be shown%s", m.Name, words[want], because(v))
		}
	}
	return shown
}

// needAny refuses to call an analysis passed that asks nothing.
func (s *State) needAny(g *gate) {
	if len(s.deciding()) == 0 {
		g.wait("a guardrail or an objective: without one nothing can be shown; promote goes on without evidence")
	}
}

// deciding lists the metrics that have a say.
func (s *State) deciding() []release.Metric {
	var out []release.Metric
	for _, m := range s.Spec.Spec.Metrics {
		if m.Role == release.Guardrail || m.Role == release.Objective {
			out = append(out, m)
		}
	}
	return out
}

func (s *State) has(role release.Role) bool {
	for _, m := range s.Spec.Spec.Metrics {
		if m.Role == role {
			return true
		}
	}
	return false
}

// compared says whether an A/B test of the plan came before: it has looked at the objective.
func (s *State) compared() bool {
	for _, step := range s.Spec.Spec.Plan.Steps[:s.Step] {
		if step.ABTest != nil {
			return true
		}
	}
	return false
}

// agrees says whether a metric compares answers with outcomes, so that pairs have to be scored.
func (s *State) agrees() bool {
	for _, m := range s.Spec.Spec.Metrics {
		if strings.HasPrefix(string(m.Source), "agree(") {
			return true
		}
	}
	return false
}

// verdictsOf returns the verdicts on a metric, one per candidate arm. A metric without one has no data.
func verdictsOf(a *judge.Assessment, m release.Metric) []judge.Verdict {
	var out []judge.Verdict
	for _, v := range a.Verdicts {
		if v.Metric == m.Name {
			out = append(out, v)
		}
	}
	if out == nil {
		out = []judge.Verdict{{Metric: m.Name, Role: m.Role, Arm: 1, State: judge.NoData, Reason: "it was not judged"}}
	}
	return out
}

// newHarm lists the metrics that show harm and were not acted upon yet. Watch metrics never decide.
func (s *State) newHarm(a *judge.Assessment) []string {
	if a == nil {
		return nil
	}
	var out []string
	add := func(name string) {
		if !contains(s.Harmed, name) && !contains(out, name) {
			out = append(out, name)
		}
	}
	some := false
	for _, v := range a.Verdicts {
		if v.Harm && v.Role != release.Watch {
			some = true
			add(v.Metric)
		}
	}
	if a.Harm && !some {
		add(orWord(a.HarmBy, "the assessment"))
	}
	return out
}

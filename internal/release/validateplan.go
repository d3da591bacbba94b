package release

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

const stepWords = "one of test, shadow, abTest, canary, approval, pause, production and optimize"

// rank is a step's place in the order of a plan: it never falls. Approvals and pauses go anywhere
// before production.
var rank = map[StepKind]int{StepTest: 1, StepShadow: 2, StepABTest: 3, StepCanary: 4, StepProduction: 5, StepOptimize: 6}

// walk is what the checks of one step know of the steps before.
type walk struct {
	rank  int
	kind  StepKind // of that rank
	share Share    // the candidate's share so far
	at    string   // the step that gave it
}

func (c *checker) plan() {
	p := c.n.Spec.Plan
	if !(p.Alpha > 0 && p.Alpha <= 0.5) || p.Alpha != 0 && c.m.Spec.Plan.Alpha == 0 && c.at.Written("spec.plan.alpha") {
		c.fail("spec.plan.alpha", "write a number above 0 and at most 0.5, like 0.05", "%v is out of range", c.m.Spec.Plan.Alpha)
	}
	switch {
	case len(p.Steps) == 0:
		c.fail("spec.plan.steps", "write at least a production step", "there is no step")
		return
	case len(p.Steps) > MaxSteps:
		c.fail("spec.plan.steps", "remove some", "there are %d steps, at most %d are allowed", len(p.Steps), MaxSteps)
		return
	}
	var w walk
	for i, s := range p.Steps {
		c.step(fmt.Sprintf("spec.plan.steps[%d]", i), s, &w)
	}
	last := p.Steps[len(p.Steps)-1].Kind()
	if last != "" && w.rank < rank[StepProduction] {
		c.fail("spec.plan.steps", "add production: {holdback: 5%, watch: 24h}", "the plan never makes the candidate live: it ends with %s", last)
	}
	c.deciders(p)
}

func (c *checker) step(at string, s Step, w *walk) {
	kind := s.Kind()
	if kind == "" {
		c.stepKind(at, s)
		return
	}
	c.order(at, kind, w)
	at += "." + string(kind)
	switch kind {
	case StepTest:
		c.test(at, s.Test)
	case StepShadow:
		c.shadow(at, s.Shadow)
	case StepABTest:
		c.share(at+".share", s.ABTest.Share, w)
		c.times(at, s.ABTest.Hold, s.ABTest.Deadline)
	case StepCanary:
		c.canary(at, s.Canary, w)
	case StepApproval:
		for i, role := range s.Approval.By {
			if strings.TrimSpace(role) == "" || len(role) > MaxNameLen {
				c.fail(fmt.Sprintf("%s.by[%d]", at, i), "write the name of a role or a group", "%q is not a valid name", clip(role))
			}
		}
	case StepPause:
		if s.Pause.Duration < 0 || s.Pause.Duration == 0 && c.at.Written(at+".duration") {
			c.fail(at+".duration", "write a time like 1h, or pause: {} to wait for a person", "%s is out of range", s.Pause.Duration)
		}
	case StepProduction:
		c.production(at, s.Production, w)
	case StepOptimize:
		c.optimize(at, s.Optimize)
	}
}

// stepKind reports a step that has no kind or several. A step whose only field is unknown has its fault
// already.
func (c *checker) stepKind(at string, s Step) {
	if s == (Step{}) {
		if c.at != nil && c.at.faultyBelow(at) {
			return
		}
		c.fail(at, "write "+stepWords, "the step is empty")
		return
	}
	c.fail(at, "make each a step of its own, each with a - in front", "the step has several kinds")
}

func (c *checker) order(at string, kind StepKind, w *walk) {
	r, ranked := rank[kind]
	switch {
	case w.rank >= rank[StepProduction] && kind != StepOptimize:
		c.fail(at, "move it before production", "%s after production is never reached: only optimize may follow", kind)
	case ranked && r < w.rank:
		c.fail(at, "move it before "+string(w.kind)+": the order is test, shadow, abTest, canary, production, optimize", "%s comes after %s", kind, w.kind)
	case ranked && r == w.rank && kind == StepOptimize:
		c.fail(at, "remove it", "%s is there twice", kind)
	case ranked:
		w.rank, w.kind = r, kind
	}
}

func (c *checker) test(at string, s *TestStep) {
	clean := path.Clean(s.Suite)
	if s.Suite == "" || path.IsAbs(s.Suite) || strings.Contains(s.Suite, `\`) || clean == "." || clean == ".." || strings.HasPrefix(clean, "../") {
		c.fail(at+".suite", `write a path below the folder of this file, like "tests/credit.yaml"`, "%q is not the path of a suite", clip(s.Suite))
	}
	if s.Deadline <= 0 {
		c.fail(at+".deadline", "write a time like 10m", "%s is out of range", s.Deadline)
	}
}

func (c *checker) shadow(at string, s *ShadowStep) {
	if s.Share == 0 || s.Share > Whole {
		c.fail(at+".share", "write the share of requests that is mirrored, above 0% and at most 100%", "%s is out of range", s.Share)
	}
	if s.Until.Pairs <= 0 {
		c.fail(at+".until.pairs", "write how many pairs of answers are compared, like 2000", "%d is out of range", s.Until.Pairs)
	}
	if s.Deadline <= 0 {
		c.fail(at+".deadline", "write a time like 1h", "%s is out of range", s.Deadline)
		return
	}
	for i, m := range c.n.Spec.Metrics {
		if spec, err := m.Source.Parse(); err == nil && spec.Kind == SourceAgree && m.Role != Watch && m.Window > s.Deadline {
			c.warn(at+".deadline", fmt.Sprintf("write more than %s", m.Window),
				"it passes before the window of metrics[%d] (%s), so pairs may never be scored", i, m.Window)
		}
	}
}

// share checks a share of the users and that it does not fall.
func (c *checker) share(at string, s Share, w *walk) {
	switch {
	case c.at.Faulty(at):
		return
	case s == 0:
		c.fail(at, "write a share above 0%, like 20%", "0%% of the users is nobody")
		return
	case s >= Whole:
		c.fail(at, "write less than 100%: production serves all", "with %s nobody is left to compare with", s)
		return
	case s < w.share:
		c.fail(at, fmt.Sprintf("write at least %s, so that nobody leaves the candidate while it grows", w.share), "the share falls from %s at %s to %s", w.share, w.at, s)
		return
	}
	w.share, w.at = s, strings.TrimPrefix(at, "spec.")
}

// times checks how long a share is held against the deadline.
func (c *checker) times(at string, hold, deadline Duration) {
	switch {
	case c.at.Faulty(at+".deadline") || c.at.Faulty(at+".hold"):
	case deadline <= 0:
		c.fail(at+".deadline", "write a time like 24h", "%s is out of range", deadline)
	case hold < 0 || hold == 0 && c.at.Written(at+".hold"):
		c.fail(at+".hold", "write a time like 10m", "%s is out of range", hold)
	case hold >= deadline:
		c.fail(at+".deadline", fmt.Sprintf("write more than %s, or shorten hold", hold), "%s passes before the hold of %s is over", deadline, hold)
	}
}

func (c *checker) canary(at string, s *CanaryStep, w *walk) {
	c.times(at, s.Hold, s.Deadline)
	switch {
	case len(s.Shares) == 0:
		c.fail(at+".shares", "write at least one, like [50%, 80%]", "there is no share")
	case len(s.Shares) > MaxSteps:
		c.fail(at+".shares", "use fewer and larger steps", "there are %d shares, at most %d are allowed", len(s.Shares), MaxSteps)
		return
	}
	for i, share := range s.Shares {
		if i > 0 && share == s.Shares[i-1] && share != 0 {
			c.fail(fmt.Sprintf("%s.shares[%d]", at, i), "remove it, or hold longer", "%s repeats the share before it", share)
			continue
		}
		c.share(fmt.Sprintf("%s.shares[%d]", at, i), share, w)
	}
}

func (c *checker) production(at string, s *ProductionStep, w *walk) {
	switch {
	case s.Holdback >= Whole:
		c.fail(at+".holdback", "write a small share, like 5%", "with %s held back nobody is served", s.Holdback)
	case Whole-s.Holdback < w.share:
		c.fail(at+".holdback", fmt.Sprintf("write at most %s", Whole-w.share), "the share falls from %s at %s to %s", w.share, w.at, Whole-s.Holdback)
	case s.Holdback == 0:
		c.warn(at, "add holdback: 5%", "without a hold-back nothing is left to compare with while watching")
	}
	if s.Watch <= 0 {
		c.fail(at+".watch", "write a time like 24h", "%s is out of range", s.Watch)
	}
}

func (c *checker) optimize(at string, s *OptimizeStep) {
	// BUG(rollout): the word is reserved and its fields are checked, but no release runs it yet.
	c.fail(at, "leave it out", "this version of Sluice does not run it")
	n := len(s.Versions)
	switch {
	case n == 0 && len(c.m.Spec.Versions) < 2:
		c.fail(at+".versions", "add a version", "shares can only move between two versions or more")
	case n == 1 || n > MaxArms:
		c.fail(at+".versions", fmt.Sprintf("write 2 to %d versions", MaxArms), "%d versions are named", n)
	}
	for i, v := range s.Versions {
		p := fmt.Sprintf("%s.versions[%d]", at, i)
		c.versionExists(p, v)
		if slices.Index(s.Versions, v) < i {
			c.fail(p, "remove it", "%q is there twice", clip(v))
		}
	}
	if uint64(s.Floor)*uint64(max(n, 2)) > uint64(Whole) {
		c.fail(at+".floor", fmt.Sprintf("write at most %s", Whole/Share(max(n, 2))), "%s for each of %d versions is more than 100%%", s.Floor, max(n, 2))
	}
}

// deciders checks that the steps which need evidence have metrics that give it.
func (c *checker) deciders(p Plan) {
	var objective, guardrail bool
	for i, m := range c.n.Spec.Metrics {
		objective = objective || m.Role == Objective
		guardrail = guardrail || m.Role == Guardrail
		if c.at.Faulty(fmt.Sprintf("spec.metrics[%d].role", i)) {
			return // it could have been either
		}
	}
	for i, s := range p.Steps {
		kind := s.Kind()
		at := fmt.Sprintf("spec.plan.steps[%d].%s", i, kind)
		switch {
		case kind == StepABTest && s.ABTest.Goal == GoalBetter && !objective:
			c.fail(at+".goal", "give one metric the role objective, or write goal: noWorse", "no metric is the objective that could be better")
		case kind == StepOptimize && !objective:
			c.fail(at, "give one metric the role objective", "no metric is the objective that could be optimised")
		}
	}
	if !objective && !guardrail {
		c.fail("spec.metrics", "give a metric the role guardrail, like {name: errors, source: error, margin: 0.5pp, role: guardrail}",
			"no metric can stop a release")
	}
}

package rollout

import (
	"strings"
	"testing"
	"time"

	"sluice.dev/sluice/internal/release"
)

var startOf = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// approving begins a release by alice whose plan asks for an approval after a canary.
func approving(t *testing.T, approval release.ApprovalStep) State {
	t.Helper()
	m := newScenario(t).model // any valid one: its plan is replaced
	m.Spec.Plan.Steps = []release.Step{
		{Pause: &release.PauseStep{}},
		{Canary: &release.CanaryStep{Shares: []release.Share{release.Whole / 10}, Deadline: release.Duration(time.Hour)}},
		{Approval: &approval},
		{Production: &release.ProductionStep{Watch: release.Duration(time.Hour)}},
	}
	s, _, err := Begin(Params{Model: m, Number: 1, Live: "v1", Candidate: "v2", Salt: "s", By: "alice", Role: "operator", Reason: "x", Now: startOf})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func told(s State, kind CommandKind, by string, plan *release.Plan, roles ...string) (State, error) {
	next, _, err := Step(s, Input{Now: startOf.Add(time.Minute), Command: &Command{Kind: kind, By: by, Role: "operator", Roles: append(roles, "operator"), Reason: "x", Plan: plan}})
	return next, err
}

// atApproval promotes until the approval is asked for.
func atApproval(t *testing.T, a release.ApprovalStep) State {
	t.Helper()
	s := approving(t, a)
	for range 2 {
		var err error
		if s, err = told(s, CmdPromote, "alice", nil); err != nil {
			t.Fatal(err)
		}
	}
	if s.kind() != release.StepApproval {
		t.Fatalf("in step %s", s.kind())
	}
	return s
}

func wantDenied(t *testing.T, name string, err error, words string) {
	t.Helper()
	if err == nil || release.KindOf(err) != release.KindDenied || !strings.Contains(err.Error(), words) {
		t.Errorf("%s: %v, want a refusal with %q", name, err, words)
	}
}

// TestSecondPerson: who started a release, or changed its plan, can neither approve it nor promote it past its approval.
func TestSecondPerson(t *testing.T) {
	s := atApproval(t, release.ApprovalStep{SecondPerson: true})
	if !strings.Contains(strings.Join(s.Held, " "), "a second person") {
		t.Errorf("it waits for %q", s.Held)
	}
	for _, kind := range []CommandKind{CmdApprove, CmdPromote} {
		for _, name := range []string{"alice", "Alice", " alice "} {
			_, err := told(s, kind, name, nil)
			wantDenied(t, string(kind)+" by "+name, err, "second person")
		}
		if next, err := told(s, kind, "bob", nil); err != nil || next.kind() != release.StepProduction {
			t.Errorf("%s by bob: %v", kind, err)
		}
	}
	plan := s.Spec.Spec.Plan
	plan.Steps = append([]release.Step(nil), plan.Steps...)
	plan.Steps[3] = release.Step{Production: &release.ProductionStep{Watch: release.Duration(2 * time.Hour)}}
	s, err := told(s, CmdAdjust, "carol", &plan)
	if err != nil {
		t.Fatal(err)
	}
	_, err = told(s, CmdApprove, "carol", nil)
	wantDenied(t, "approve by who changed the plan", err, "second person")
	if _, err := told(s, CmdApprove, "bob", nil); err != nil {
		t.Error(err)
	}
	if _, err := told(s, CmdAbort, "alice", nil); err != nil {
		t.Errorf("abort is everybody's: %v", err)
	}
}

func TestApprovalNeedsItsRoleAndASecondPerson(t *testing.T) {
	s := atApproval(t, release.ApprovalStep{By: []string{"managers"}, SecondPerson: true})
	_, err := told(s, CmdApprove, "bob", nil)
	wantDenied(t, "without the role", err, "none of the roles")
	_, err = told(s, CmdApprove, "alice", nil, "managers")
	wantDenied(t, "the starter with the role", err, "second person")
	if _, err := told(s, CmdApprove, "bob", nil, "managers"); err != nil {
		t.Error(err)
	}
}

// TestNoPlanGoesAroundAnApproval: an approval that is ahead can be taken out, moved or loosened only by who could give it.
func TestNoPlanGoesAroundAnApproval(t *testing.T) {
	s := approving(t, release.ApprovalStep{By: []string{"managers"}, SecondPerson: true})
	steps := func(change func([]release.Step) []release.Step) *release.Plan {
		plan := s.Spec.Spec.Plan
		plan.Steps = change(append([]release.Step(nil), plan.Steps...))
		return &plan
	}
	for name, plan := range map[string]*release.Plan{
		"taken out": steps(func(l []release.Step) []release.Step { return append(l[:2], l[3]) }),
		"loosened": steps(func(l []release.Step) []release.Step {
			l[2] = release.Step{Approval: &release.ApprovalStep{By: []string{"managers"}}}
			return l
		}),
		"later": steps(func(l []release.Step) []release.Step { l[2], l[3] = l[3], l[2]; return l }),
		"larger share": steps(func(l []release.Step) []release.Step {
			l[1] = release.Step{Canary: &release.CanaryStep{Shares: []release.Share{release.Whole / 2}, Deadline: release.Duration(time.Hour)}}
			return l
		}),
	} {
		_, err := told(s, CmdAdjust, "bob", plan)
		if name == "later" && release.KindOf(err) == release.KindInvalid && err != nil {
			continue // an approval behind production may be refused for that alone
		}
		wantDenied(t, name, err, "goes around the approval in step 3")
		if name != "later" {
			if _, err := told(s, CmdAdjust, "bob", plan, "managers"); err != nil {
				t.Errorf("%s, by who could approve: %v", name, err)
			}
		}
	}
	longer := steps(func(l []release.Step) []release.Step {
		l[1] = release.Step{Canary: &release.CanaryStep{Shares: []release.Share{release.Whole / 20}, Deadline: release.Duration(2 * time.Hour)}}
		return l
	})
	if _, err := told(s, CmdAdjust, "bob", longer); err != nil {
		t.Errorf("a plan that keeps the approval: %v", err)
	}
}

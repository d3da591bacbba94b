package cli

import (
	"bytes"
	"strings"
	"testing"

	"sluice.dev/sluice/internal/app"
	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
)

func TestReplayedExitCode(t *testing.T) {
	same := app.Replayed{Number: 4, Judged: true, Same: true}
	person := app.Replayed{Number: 1}
	other := app.Replayed{Number: 5, Judged: true, Differs: "errors: now 1\nthen 2"}
	for _, tc := range []struct {
		name string
		all  []app.Replayed
		ok   bool
		want string
	}{
		{"all the same", []app.Replayed{person, same}, true, "1 of 1"},
		{"one differs", []app.Replayed{same, other}, false, "DIFFERENT: errors: now 1; then 2"},
		{"nothing was judged", []app.Replayed{person}, false, "0 of 0"},
		{"no decision", nil, false, "0 of 0"},
	} {
		var out bytes.Buffer
		e := &env{out: &out, err: &out, output: "table"}
		if err := e.replayed(tc.all); (err == nil) != tc.ok {
			t.Errorf("%s: %v", tc.name, err)
		}
		if !strings.Contains(out.String(), tc.want) {
			t.Errorf("%s: no %q in\n%s", tc.name, tc.want, out.String())
		}
	}
}

func TestRejudged(t *testing.T) {
	verdict := func(state judge.State, noWorse bool) judge.Verdict {
		return judge.Verdict{Metric: "errors", Role: release.Guardrail, State: state, NoWorse: noWorse, Reason: "errors: 5 % against 1 %"}
	}
	harm := app.RejudgedLook{Decision: 4, Recorded: rollout.Advance, Step: release.StepCanary, Harm: true, HarmBy: "errors", Verdicts: []judge.Verdict{verdict(judge.Worse, false)}}
	open := app.RejudgedLook{Decision: 2, Recorded: rollout.Advance, Verdicts: []judge.Verdict{verdict(judge.Undecided, false)}}
	shown := app.RejudgedLook{Decision: 3, Shown: true, Verdicts: []judge.Verdict{verdict(judge.NoWorse, true)}}
	var out bytes.Buffer
	e := &env{out: &out, err: &out, output: "table"}
	e.rejudged(&app.Rejudged{Looks: []app.RejudgedLook{open, shown, harm}, Harm: &harm}, "other.yaml")
	for _, want := range []string{"undecided: errors undecided", "no worse", "harm: errors", "under other.yaml harm is shown by errors", "errors: 5 % against 1 %"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	out.Reset()
	if e.rejudged(&app.Rejudged{Looks: []app.RejudgedLook{shown}}, "other.yaml"); !strings.Contains(out.String(), "no harm is shown") {
		t.Errorf("without harm:\n%s", out.String())
	}
}

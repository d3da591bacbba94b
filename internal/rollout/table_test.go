package rollout

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
)

const tableFile = "testdata/table.txt"

// places are scripts that lead into every kind of state: each step running and paused for each cause,
// and each end.
var places = []struct{ name, script string }{
	{"test", way + "begin"},
	{"test, suite empty", way + "begin\ntest pass required=0"},
	{"test, suite cannot run", way + "begin\nfail runSuite why=gone"},
	{"shadow", way + "begin\npromote"},
	{"shadow, undecided", way + "begin\npromote\ntick for=2h every=5s until"},
	{"abTest", way + ready},
	{"abTest, by a person", way + ready + "\npause"},
	{"abTest, undecided", way + ready + "\ntick for=2h every=5s until"},
	{"abTest, harm", "plan onHarm=pause\n" + way + ready + "\nevidence errors=worse\ntick"},
	{"abTest, held", way + ready + "\ntick gap=some"},
	{"canary", way + ready + "\npromote"},
	{"canary, second share", way + ready + "\npromote\npromote"},
	{"pause", way + ready + "\npromote\npromote\npromote"},
	{"pause, by a person", way + ready + "\npromote\npromote\npromote\npause"},
	{"approval", way + ready + "\npromote\npromote\npromote\npromote"},
	{"approval, by a person", way + ready + "\npromote\npromote\npromote\npromote\npause"},
	{"production", way + ready + "\npromote\npromote\npromote\npromote\napprove role=board"},
	{"production, by a person", way + ready + "\npromote\npromote\npromote\npromote\napprove role=board\npause"},
	{"plan's end", "step abTest share=20% hold=1s deadline=1h\n" + begun + "\nevidence errors=noWorse correct=noWorse\ntick"},
	{"Succeeded", way + ready + "\npromote\npromote\npromote\npromote\napprove role=board\npromote"},
	{"RolledBack", way + ready + "\nabort"},
	{"Stopped", way + "begin\ntest fail"},
	{"Undone", "begin undoes=1"},
}

const (
	begun = "begin\ntick baseline\ndone writeBaseline"
	way   = `step test
step shadow share=50% pairs=100 deadline=1h
step abTest share=20% hold=1s deadline=1h
step canary shares=50%,80% hold=1m deadline=1h
step pause
step approval by=board
step production holdback=5% watch=10m
`
	ready = "begin\ntest pass\ntick baseline\ndone writeBaseline\npromote\ntick"
)

// inputs are all kinds of inputs, as a script would write them.
var inputs = []string{
	"tick", "tick silent", "tick behind", "tick gap=some", "tick ratio", "tick chain=altered", "tick unjudged baseline",
	"tick HARM", "tick GOOD", "test pass", "test fail", "test pass required=0", "done notify", "fail notify why=gone",
	"fail runSuite why=gone", "done setLive", "done credit/1/4711", "breaker gw", "breaker gw closed",
	"promote", "promote role=board", "pause", "resume", "abort", "retry", "approve", "approve role=board", "adjust", "undo",
	"pause by=nobody", "pause why=none", "explode",
}

// What every input does in every kind of state, or why it is refused there: one golden table. Nothing
// of it may panic, and a refusal changes nothing.
func TestEveryInputInEveryState(t *testing.T) {
	var out strings.Builder
	for _, place := range places {
		start := newScenario(t)
		start.run(place.script)
		if start.s.Number == 0 {
			t.Fatalf("%s: the script starts nothing", place.name)
		}
		fmt.Fprintf(&out, "%s: %s\n", place.name, start.state())
		before := encode(t, start.s)
		for _, in := range inputs {
			fmt.Fprintf(&out, "  %-24s %s\n", in, effectOf(t, start, in))
			if after := encode(t, start.s); after != before {
				t.Fatalf("%s, %s: Step changed the state it was given", place.name, in)
			}
		}
	}
	if flagRewrite() {
		if err := os.WriteFile(tableFile, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(tableFile)
	if err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != string(want) {
		t.Errorf("the table changed; if it is right: go test ./internal/rollout -run EveryInput -rewrite\n%s", diff(string(want), got))
	}
}

// effectOf runs one input on a copy and says what came of it in one line.
func effectOf(t *testing.T, from *scenario, in string) string {
	sc := newScenario(t)
	sc.model, sc.now, sc.s = from.model, from.now, from.s
	sc.log, sc.steps = nil, -1
	switch in {
	case "tick HARM":
		sc.evidence, in = map[string]judge.State{"correct": judge.Worse}, "tick"
	case "tick GOOD":
		sc.evidence, in = map[string]judge.State{"errors": judge.NoWorse, "correct": judge.NoWorse}, "tick"
		sc.pairs, sc.scored = 500, 500
	}
	sc.last = sc.state()
	sc.line(in)
	text := strings.TrimSpace(sc.out.String())
	if i := strings.Index(text, "refused"); i == 0 {
		return text
	}
	parts := make([]string, 0, len(sc.log)+1)
	for _, d := range sc.log {
		parts = append(parts, fmt.Sprintf("%s %v -> %v", d.What, d.From, d.To))
	}
	if sc.s.Phase != from.s.Phase || sc.s.Step != from.s.Step || sc.s.Stage != from.s.Stage {
		parts = append(parts, fmt.Sprintf("%s, %s", sc.s.Phase, sc.s.at()))
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, "; ")
}

func flagRewrite() bool { return flag.Lookup("rewrite").Value.String() == "true" }

// Each kind of input alone, none and two at once are told apart, and so is an input without a time.
func TestInputsMustBeOne(t *testing.T) {
	sc := newScenario(t)
	sc.run(way + "begin")
	for name, in := range map[string]Input{
		"none":       {Now: sc.now},
		"two":        {Now: sc.now, Tick: &Tick{}, Done: &Done{Key: "credit/1/1"}},
		"no time":    {Tick: &Tick{}},
		"no gateway": {Now: sc.now, Breaker: &BreakerTrip{}},
	} {
		next, log, err := Step(sc.s, in)
		if release.KindOf(err) != release.KindInvalid || err == nil || len(log) != 0 || encode(t, next) != encode(t, sc.s) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package rollout

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden traces")

// Each file in testdata/scenarios is a script and its entire trace: lines that begin with a verb are
// input, indented lines are what they caused. See testdata/README.md for the language.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) < 45 {
		t.Fatalf("%d scenarios: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := newScenario(t).run(string(data))
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(data) {
				t.Errorf("the trace changed; if it is right: go test ./internal/rollout -run Scenarios -rewrite\n%s", diff(string(data), got))
			}
		})
	}
}

// hashes of models change whenever the file format grows.
var hashes = regexp.MustCompile(`\(model [0-9a-f]{12}\)`)

// diff shows the first lines that differ.
func diff(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		a, b := at(w, i), at(g, i)
		if a != b {
			return fmt.Sprintf("line %d\n- %s\n+ %s", i+1, a, b)
		}
	}
	return ""
}

func at(lines []string, i int) string {
	if i < len(lines) {
		return lines[i]
	}
	return "(end)"
}

// scenario runs a script. Besides writing the trace it checks after every input what must hold always.
type scenario struct {
	t     testing.TB
	model release.Model
	now   time.Time
	s     State
	log   []Decision
	out   strings.Builder
	last  string // state as printed last
	steps int
	// What ticks say until told otherwise.
	evidence map[string]judge.State
	pairs    uint64
	scored   uint64
}

func newScenario(t testing.TB) *scenario {
	return &scenario{
		t: t, now: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC), evidence: map[string]judge.State{},
		model: testModel(),
	}
}

// testModel has one metric of each role and no steps; scripts add those.
func testModel() release.Model {
	pp := func(v float64) release.Margin { return release.Margin{Value: v, Unit: release.Points} }
	return release.Model{
		APIVersion: release.APIVersion, Kind: release.KindModel, Metadata: release.Metadata{Name: "credit"},
		Spec: release.Spec{
			Match: release.Match{Path: "/credit"}, Dialect: release.DialectJSON,
			Unit:     release.UnitSpec{From: []release.Selector{"header:X-User-Id"}, Missing: release.MissingLive},
			Versions: map[string]release.Version{"v1": {URL: "http://127.0.0.1:9101"}, "v2": {URL: "http://127.0.0.1:9102"}},
			Live:     "v1",
			Metrics: []release.Metric{
				{Name: "errors", Source: "error", Kind: release.MetricEvent, Direction: release.Lower, Role: release.Guardrail, Margin: pp(0.5), Tolerate: pp(0.25)},
				{Name: "correct", Source: "agree(json:decision, feedback:outcome)", Kind: release.MetricProportion, Direction: release.Higher, Role: release.Objective, Margin: pp(1), Tolerate: pp(0.5)},
				{Name: "cost", Source: "json:cost", Kind: release.MetricMean, Direction: release.Lower, Role: release.Watch},
			},
			Plan: release.Plan{Alpha: 0.05, OnHarm: release.HarmRollback, NoData: release.NoDataHold},
		},
	}
}

func (sc *scenario) run(script string) string {
	for _, line := range strings.Split(script, "\n") {
		if strings.HasPrefix(line, "    ") {
			continue // of an earlier trace
		}
		fmt.Fprintln(&sc.out, strings.TrimRight(line, " "))
		if line == "" || line[0] == '#' {
			continue
		}
		sc.line(line)
	}
	if sc.s.Number > 0 {
		if err := VerifyChain(sc.log, ""); err != nil {
			sc.t.Errorf("chain: %v", err)
		}
	}
	return strings.TrimRight(sc.out.String(), "\n") + "\n"
}

func (sc *scenario) line(line string) {
	verb, rest, _ := strings.Cut(line, " ")
	a := parseArgs(sc.t, rest)
	switch verb {
	case "plan":
		sc.planLine(a)
	case "step":
		sc.model.Spec.Plan.Steps = append(sc.model.Spec.Plan.Steps, stepOf(sc.t, a))
	case "newplan": // steps that follow are of a plan for adjust
		sc.model.Spec.Plan.Steps = nil
	case "role":
		for i := range sc.model.Spec.Metrics {
			if m := &sc.model.Spec.Metrics[i]; a.kv[m.Name] != "" {
				m.Role = release.Role(a.kv[m.Name])
			}
		}
	case "begin":
		sc.begin(a)
	case "evidence":
		sc.evidenceLine(a)
	case "tick":
		sc.ticks(a)
	case "test":
		sc.input(Input{Test: outcome(a)})
	case "done", "fail":
		sc.input(Input{Done: &Done{Key: sc.key(a.words[0]), Err: a.kv["why"]}})
	case "breaker":
		sc.input(Input{Breaker: &BreakerTrip{Gateway: a.words[0], Reason: a.kv["why"], Closed: slices.Contains(a.words, "closed")}})
	case "alarm":
		n, err := strconv.Atoi(a.words[0])
		if err != nil {
			sc.t.Fatal(err)
		}
		sc.input(Input{Alarm: &Alarm{Number: n, Metric: "errors", Since: sc.now.Add(-time.Hour), Reason: strings.ReplaceAll(a.kv["why"], "_", " ")}})
	case "clock":
		sc.now = sc.now.Add(duration(sc.t, a.words[0]))
	case "restart": // the state is everything: only what was stored goes on
		sc.s = roundTrip(sc.t, sc.s)
	case "expect": // holds whatever was rewritten
		if got := string(sc.s.Phase); got != a.words[0] {
			sc.t.Errorf("it ends %s, not %s", got, a.words[0])
		}
	case "explain":
		sc.explain()
	case "routing":
		sc.routing()
	default:
		sc.command(CommandKind(verb), a)
	}
}

func (sc *scenario) command(verb CommandKind, a args) {
	c := Command{Kind: verb, By: or(a.kv["by"], "ann"), Role: or(a.kv["role"], "operator"), Reason: or(a.kv["why"], "because")}
	if a.kv["by"] == "nobody" {
		c.By = ""
	}
	if a.kv["why"] == "none" {
		c.Reason = ""
	}
	if r := a.kv["roles"]; r != "" {
		c.Roles = strings.Split(r, ",")
	}
	if verb == CmdAdjust {
		plan := sc.model.Spec.Plan
		c.Plan = &plan
	}
	sc.input(Input{Command: &c})
}

func (sc *scenario) planLine(a args) {
	p := &sc.model.Spec.Plan
	p.OnHarm = release.OnHarm(or(a.kv["onHarm"], string(p.OnHarm)))
	p.KeepHoldback = a.kv["keepHoldback"] == "true"
	if v := a.kv["alpha"]; v != "" {
		p.Alpha, _ = strconv.ParseFloat(v, 64)
	}
}

func (sc *scenario) begin(a args) {
	undoes, _ := strconv.ParseUint(a.kv["undoes"], 10, 32)
	s, log, err := Begin(Params{
		Model: sc.model, Number: 1, Live: or(a.kv["live"], "v1"), Candidate: or(a.kv["to"], "v2"), Undoes: uint32(undoes),
		Salt: "credit/1", By: or(a.kv["by"], "ann"), Role: "operator", Reason: or(a.kv["why"], "a better model"), Now: sc.now,
	})
	sc.trace(s, log, err)
}

func (sc *scenario) evidenceLine(a args) {
	for k, v := range a.kv {
		switch k {
		case "pairs":
			sc.pairs = number64(sc.t, v)
		case "scored":
			sc.scored = number64(sc.t, v)
		default:
			sc.evidence[k] = judge.State(v)
		}
	}
}

// input steps, checks what must always hold, and prints what came of it.
func (sc *scenario) input(in Input) {
	in.Now = sc.now
	next, log, err := Step(sc.s, in)
	if sc.steps++; len(log) > 0 || sc.steps%8 == 0 { // long waits would take long otherwise
		sc.same(in, next, log, err)
	}
	sc.trace(next, log, err)
}

// same checks that a state read back from storage steps exactly as the one in memory, and that Step
// changed nothing of what it was given.
func (sc *scenario) same(in Input, next State, log []Decision, err error) {
	stored, logStored, errStored := Step(roundTrip(sc.t, sc.s), in)
	if a, b := encode(sc.t, next), encode(sc.t, stored); a != b {
		sc.t.Errorf("after a restart %+v leads elsewhere:\n%s\n%s", in, a, b)
	}
	if a, b := encode(sc.t, log), encode(sc.t, logStored); a != b || fmt.Sprint(err) != fmt.Sprint(errStored) {
		sc.t.Errorf("after a restart %+v decides otherwise: %v\n%s\n%v\n%s", in, err, a, errStored, b)
	}
}

func (sc *scenario) trace(next State, log []Decision, err error) {
	if err != nil {
		fmt.Fprintf(&sc.out, "    refused (%s): %v\n", release.KindOf(err), err)
		return
	}
	if err := next.Check(); err != nil {
		sc.t.Errorf("%v", err)
	}
	for _, d := range log {
		fmt.Fprintf(&sc.out, "    %s #%d %s %s %v -> %v by %s: %s\n", d.Time.Format("15:04:05"), d.Number, d.What, d.Step, d.From, d.To, d.By, hashes.ReplaceAllString(d.Reason, "(model ...)"))
	}
	sc.s, sc.log = next, append(sc.log, log...)
	if line := sc.state(); line != sc.last {
		fmt.Fprintf(&sc.out, "    %s\n", line)
		sc.last = line
	}
}

// state is the part of the state that is printed when it changes.
func (sc *scenario) state() string {
	s := &sc.s
	text := fmt.Sprintf("[%s %s gen %d", s.Phase, s.at(), s.Generation)
	if n := len(s.Strata); n > 0 {
		st := s.Strata[n-1]
		text += fmt.Sprintf(" stratum %d epoch %d kind %d %v", st.ID, st.Epoch, st.Kind, st.Shares)
		if st.Mirror > 0 {
			text += fmt.Sprintf(" mirror %v", st.Mirror)
		}
	}
	for _, e := range s.Effects {
		if e.Kind != Notify {
			text += " " + string(e.Kind)
		}
	}
	return text + "]"
}

// ticks sends ticks, one a second unless told otherwise, until the count or the time is over, or, with
// "until", until something is decided.
func (sc *scenario) ticks(a args) {
	every := duration(sc.t, or(a.kv["every"], "1s"))
	n := 1
	if v := a.kv["for"]; v != "" {
		n = int(duration(sc.t, v) / every)
	}
	if len(a.words) > 0 {
		if v, err := strconv.Atoi(a.words[0]); err == nil {
			n = v
		}
	}
	before := len(sc.log)
	for i := range n {
		sc.now = sc.now.Add(every)
		if a.kv["backward"] == "true" {
			sc.now = sc.now.Add(-2 * every)
		}
		sc.input(Input{Tick: sc.oneTick(a)})
		if slices.Contains(a.words, "until") && len(sc.log) > before {
			fmt.Fprintf(&sc.out, "    after %d ticks\n", i+1)
			return
		}
	}
	if slices.Contains(a.words, "held") {
		for _, h := range sc.s.Held {
			fmt.Fprintf(&sc.out, "    held: %s\n", h)
		}
	}
}

func (sc *scenario) oneTick(a args) *Tick {
	k := &Tick{Served: sc.s.Generation, Arriving: true, Gap: a.kv["gap"], ChainBroken: a.kv["chain"], TallyHash: "5e1f"}
	if slices.Contains(a.words, "behind") {
		k.Served--
	}
	if slices.Contains(a.words, "nogateway") {
		k.Served = 0
	}
	if slices.Contains(a.words, "silent") {
		k.Arriving = false
	}
	if slices.Contains(a.words, "baseline") {
		k.Baseline = &release.Baseline{Made: sc.now.UnixMilli(), Metrics: map[string]release.MetricBaseline{"errors": {Class: release.ClassEvent, N: 2400, Mean: 0.01}}}
	}
	if !slices.Contains(a.words, "silent") && !slices.Contains(a.words, "unjudged") {
		k.Assessment = assessment(sc.model.Spec.Metrics, sc.evidence, sc.pairs, sc.scored)
		k.Assessment.Ratio.Alarm = slices.Contains(a.words, "ratio")
		k.Assessment.Outcomes.Alarm = slices.Contains(a.words, "outcomes")
		if v := a.kv["loss"]; v != "" {
			loss, err := strconv.ParseFloat(v, 64)
			if err != nil {
				sc.t.Fatal(err)
			}
			k.Assessment.Loss = []float64{0, loss}
		}
	}
	return k
}

// assessment invents what judge would say: the metrics' states as given, undecided otherwise.
func assessment(metrics []release.Metric, states map[string]judge.State, pairs, scored uint64) *judge.Assessment {
	a := &judge.Assessment{
		Pairs: pairs, Scored: scored, Exposures: []uint64{4188, 4210},
		Ratio: judge.Ratio{Units: []uint64{800, 300}, Reason: "300 of 1,100 at 20%"}, Outcomes: judge.Ratio{Units: []uint64{80, 30}},
		Memory: judge.Memory{Sup: map[string]float64{"errors": 0.5}},
	}
	for _, m := range metrics {
		state, ok := states[m.Name]
		if state == "absent" {
			continue
		}
		if !ok {
			state = judge.Undecided
		}
		v := judge.Verdict{
			Metric: m.Name, Role: m.Role, Kind: m.Kind, Arm: 1, State: state, Margin: m.Margin, Tolerate: m.Tolerate,
			Harm: state == judge.Worse, NoWorse: state == judge.NoWorse || state == judge.Better, Better: state == judge.Better,
			Live: judge.Arm{Exposures: 4188}, Candidate: judge.Arm{Exposures: 4210}, LnHarm: 1.2, LnNoWorse: 1.5, LnBetter: 0.7,
			Reason: "candidate 2.1 % against 0.9 %",
		}
		if state == judge.Undecided {
			v.Needs = &judge.Needs{Text: "about 900 more units"}
		}
		if v.Harm && m.Role != release.Watch {
			a.Harm, a.HarmBy = true, m.Name
			a.Memory.Harm = map[string]bool{m.Name: true}
		}
		a.Verdicts = append(a.Verdicts, v)
	}
	return a
}

func (sc *scenario) key(kind string) string {
	for _, e := range sc.s.Effects {
		if string(e.Kind) == kind {
			return e.Key
		}
	}
	return kind
}

func (sc *scenario) explain() {
	e := sc.s.Explain()
	fmt.Fprintf(&sc.out, "    %s\n", e.Summary)
	for _, w := range e.Waiting {
		fmt.Fprintf(&sc.out, "    waiting for: %s\n", w)
	}
	if e.Next != "" {
		fmt.Fprintf(&sc.out, "    next: %s\n", e.Next)
	}
	if e.Deadline != "" {
		fmt.Fprintf(&sc.out, "    deadline: %s\n", e.Deadline)
	}
	for _, w := range e.Withdraw {
		fmt.Fprintf(&sc.out, "    withdraw: %s\n", w)
	}
	fmt.Fprintf(&sc.out, "    can: %s\n", list(e.Can))
	for _, p := range sc.s.Progress() {
		fmt.Fprintf(&sc.out, "    %d %s %s share %v stage %d/%d served %s hold %s deadline %s evidence %.2f\n",
			p.Step+1, p.Kind, p.Place, p.Share, p.Stage, p.Stages, span(p.Served), span(p.Hold), span(p.Deadline), p.Evidence)
	}
}

func (sc *scenario) routing() {
	r := sc.s.Routing()
	arms := make([]string, len(r.Arms))
	for i, a := range r.Arms {
		arms[i] = a.Version
	}
	fmt.Fprintf(&sc.out, "    routes: gen %d release %d stratum %d epoch %d kind %d arms %v serve %v would be %v mirror %v breaker %.3g of %d\n",
		r.Generation, r.Release, r.Stratum, r.Epoch, r.Kind, arms, r.Serve, r.WouldBe, r.Mirror, r.Breaker.MaxFailureRate, r.Breaker.MinRequests)
}

func outcome(a args) *TestOutcome {
	o := &TestOutcome{Passed: a.words[0] == "pass", Required: 12, Summary: "12 cases"}
	if v := a.kv["required"]; v != "" {
		o.Required, _ = strconv.Atoi(v)
	}
	if !o.Passed {
		o.Failed = strings.Split(or(a.kv["cases"], "form"), ",")
	}
	return o
}

// stepOf reads one step of a plan: "canary shares=50%,80% hold=10m deadline=24h".
func stepOf(t testing.TB, a args) release.Step {
	d := func(key string) release.Duration {
		if a.kv[key] == "" {
			return 0
		}
		return release.Duration(duration(t, a.kv[key]))
	}
	share := func(text string) release.Share {
		if text == "" {
			return 0
		}
		s, err := release.ParseShare(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	switch a.words[0] {
	case "test":
		return release.Step{Test: &release.TestStep{Suite: "tests/credit.yaml", Deadline: d("deadline")}}
	case "shadow":
		pairs, _ := strconv.ParseInt(a.kv["pairs"], 10, 64)
		return release.Step{Shadow: &release.ShadowStep{Share: share(a.kv["share"]), Until: release.ShadowUntil{Pairs: pairs}, Deadline: d("deadline")}}
	case "abTest":
		return release.Step{ABTest: &release.ABTestStep{Share: share(a.kv["share"]), Goal: release.Goal(a.kv["goal"]), Hold: d("hold"), Deadline: d("deadline"), OnUndecided: release.OnUndecided(a.kv["onUndecided"])}}
	case "canary":
		var shares []release.Share
		for _, s := range strings.Split(a.kv["shares"], ",") {
			shares = append(shares, share(s))
		}
		return release.Step{Canary: &release.CanaryStep{Shares: shares, Hold: d("hold"), Deadline: d("deadline"), OnUndecided: release.OnUndecided(a.kv["onUndecided"])}}
	case "approval":
		step := &release.ApprovalStep{}
		if by := a.kv["by"]; by != "" {
			step.By = strings.Split(by, ",")
		}
		return release.Step{Approval: step}
	case "pause":
		return release.Step{Pause: &release.PauseStep{Duration: d("duration")}}
	case "production":
		return release.Step{Production: &release.ProductionStep{Holdback: share(a.kv["holdback"]), Watch: d("watch")}}
	case "optimize":
		return release.Step{Optimize: &release.OptimizeStep{}}
	}
	return release.Step{}
}

// args are the words and the key=value pairs of a line; values may be quoted.
type args struct {
	words []string
	kv    map[string]string
}

func parseArgs(t testing.TB, rest string) args {
	a := args{kv: map[string]string{}}
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		var word string
		if i := strings.IndexAny(rest, " \""); i >= 0 && rest[i] == '"' {
			end := strings.IndexByte(rest[i+1:], '"')
			if end < 0 {
				t.Fatalf("open quote in %q", rest)
			}
			word, rest = rest[:i]+rest[i+1:i+1+end], rest[i+2+end:]
		} else if i >= 0 {
			word, rest = rest[:i], rest[i:]
		} else {
			word, rest = rest, ""
		}
		if k, v, ok := strings.Cut(word, "="); ok {
			a.kv[k] = v
		} else {
			a.words = append(a.words, word)
		}
	}
	return a
}

func or(s, otherwise string) string { return orWord(s, otherwise) }

func duration(t testing.TB, s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func number64(t testing.TB, s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func encode(t failer, v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func roundTrip(t failer, s State) State {
	var back State
	dec := json.NewDecoder(bytes.NewReader([]byte(encode(t, s))))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&back); err != nil {
		t.Fatal(err)
	}
	return back
}

// failer is what *testing.T and *rapid.T have in common.
type failer interface{ Fatal(args ...any) }

package release

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func design(t testing.TB) *Model {
	t.Helper()
	m, faults := ParseModel("design.yaml", read(t, "design.yaml"))
	if len(faults) > 0 {
		t.Fatalf("faults of the design's example:\n%v", faults)
	}
	return m
}

func TestDesignParses(t *testing.T) {
	m := design(t)
	if len(m.Spec.Metrics) != 4 || len(m.Spec.Plan.Steps) != 6 || m.Spec.Plan.Steps[3].Canary.Shares[1] != 800_000 {
		t.Errorf("%+v", m.Spec)
	}
	want := []Signal{
		{From: FromAnswer, Selector: "json:decision"},
		{From: FromRequest, Selector: "json:applicant.age_band", Segment: "age"},
		{From: FromRequest, Selector: "header:X-Channel", Segment: "channel"},
	}
	if got := m.Signals(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("signals %v, want %v", got, want)
	}
}

// The frozen copy of the design's example. A change of these bytes changes the hash of every model:
// it belongs into the changelog.
func TestCanonical(t *testing.T) {
	m := design(t)
	data, hash := m.Canonical()
	golden(t, "design.canonical.json", append(indent(t, data), '\n'))
	if want := "d2027e17bfa9c9611a59fee1902fa651ae80367c03e29c16c1510ba0de3e302b"; hash != want {
		t.Errorf("hash %s, want %s", hash, want)
	}
	again, faults := ParseModel("canonical.json", data)
	if len(faults) > 0 {
		t.Fatalf("the canonical form has faults:\n%v", faults)
	}
	if data2, hash2 := again.Canonical(); !bytes.Equal(data, data2) || hash != hash2 {
		t.Errorf("the canonical form read back is\n%s, not\n%s", data2, data)
	}
	if got, _ := m.Clone().Canonical(); !bytes.Equal(got, data) {
		t.Error("a clone has another canonical form")
	}
}

func indent(t *testing.T, data []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, data, "", "  "); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Normalise must not share memory with the model that it copies.
func TestNormaliseLeavesTheModelAlone(t *testing.T) {
	m := design(t)
	before, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	n := m.Normalise()
	n.Spec.Metrics[0].Name = "changed"
	n.Spec.Plan.Steps[3].Canary.Shares[0] = 1
	n.Spec.Unit.From[0] = "cookie:x"
	n.Spec.Versions["v1"] = Version{}
	n.Spec.Segments["new"] = "cookie:y"
	n.Spec.Plan.Steps[4].Approval.By[0] = "x"
	if after, err := json.Marshal(m); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the model changed to\n%s (%v)", after, err)
	}
}

var marker = regexp.MustCompile(`#! (\S+)=([^#]*)`)

// Every fault of the file, and nothing else, is reported in one go, on its line, with a remedy.
func TestFiftyFaults(t *testing.T) {
	data := read(t, "faults.yaml")
	want := map[string]string{} // "line field" -> a word of the message
	for i, line := range strings.Split(string(data), "\n") {
		for _, m := range marker.FindAllStringSubmatch(line, -1) {
			want[fmt.Sprintf("%d %s", i+1, m[1])] = strings.TrimSpace(m[2])
		}
	}
	if len(want) < 50 {
		t.Fatalf("only %d faults in the file", len(want))
	}
	m, faults := ParseModel("faults.yaml", data)
	if m != nil {
		t.Error("a model with faults was returned")
	}
	for _, f := range faults.Errors() {
		key := fmt.Sprintf("%d %s", f.Line, f.Field)
		word, ok := want[key]
		if !ok || !strings.Contains(f.String(), word) || f.Remedy == "" || f.Col < 1 {
			t.Errorf("unexpected: %v (want %q)", f, word)
		}
		delete(want, key)
	}
	for key, word := range want {
		t.Errorf("not reported: line %s: %s", key, word)
	}
	golden(t, "faults.golden", []byte(faults.Error()+"\n"))
}

// edit returns the design's example with old replaced by new.
func edit(t *testing.T, pairs ...string) []byte {
	t.Helper()
	text := string(read(t, "design.yaml"))
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the example has no %q", pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return []byte(text)
}

// One fault at a time: its place, and what it says.
func TestRedactPaths(t *testing.T) {
	data := strings.Replace(string(read(t, "design.yaml")), "live: v1 ", "capture: {share: 1%, redact: [\"json: messages.#.content\"]}\n  live: v1 ", 1)
	m, faults := ParseModel("design.yaml", []byte(data))
	if faults.Err() != nil {
		t.Fatal(faults)
	}
	m = m.Normalise()
	if got := strings.Join(m.Spec.Capture.Paths(m.Spec.Unit), " "); got != "messages.#.content applicant.id" {
		t.Errorf("paths %q: want those of the file and those of the unit", got)
	}
	if c := m.Spec.Capture; c.Keep.Std() != DefaultCaptureKeep || c.MaxBody != DefaultCaptureBody {
		t.Errorf("defaults %+v", c)
	}
}

func TestOneFault(t *testing.T) {
	canary := "- canary:     {shares: [50%, 80%], hold: 10m, deadline: 24h, onUndecided: pause}"
	correct := `{name: correct,  source: "agree(json:decision, feedback:outcome)", window: 1h, direction: higher, margin: 1pp, role: objective}`
	errs := "{name: errors,   source: error,   direction: lower,  margin: 0.5pp, role: guardrail, weight: 2}"
	tests := []struct {
		name     string
		old, new string
		want     string
	}{
		{"api version", "v1alpha1", "v1", `design.yaml:2:13: apiVersion: "sluice.dev/v1" is not what is read here (write apiVersion: sluice.dev/v1alpha1)`},
		{"kind", "kind: Model", "kind: Suite", "design.yaml:3:7: kind: this is a Suite file, where a Model file is needed (write kind: Model)"},
		{"unknown field", "margin: 0.5pp", "margn: 0.5pp", `metrics[0].margn: there is no such field (remove it; did you mean "margin"?)`},
		{"falling share", "[50%, 80%]", "[80%, 50%]", "plan.steps[3].canary.shares[1]: the share falls from 80% at plan.steps[3].canary.shares[0] to 50%"},
		{"falling a little", "[50%, 80%]", "[50%, 49.9999%]", "plan.steps[3].canary.shares[1]: the share falls from 50% at plan.steps[3].canary.shares[0] to 49.9999%"},
		{"wrong unit", "margin: 1.25x", "margin: 25%", "metrics[1].margin: 25% is not a margin of the kind latency (write it like 1.25x: 25 % longer)"},
		{"live", "live: v1 ", "live: v12 ", `live: there is no version "v12" (write one of "v1" or "v2"; did you mean "v1"?)`},
		{"missing deadline", "deadline: 1h}", "}", "plan.steps[1].shadow.deadline: it is missing (add deadline, like deadline: 10m)"},
		{"number as text", "name: credit", "name: 12", `metadata.name: it must be text, not a number (put it in quotes: "12")`},
		{"null", "live: v1", "live:", "live: it is empty"},
		{"list for mapping", "match: {path: /credit}", "match: [/credit]", "match: it must be a mapping, not a list"},
		{"mapping for list", "from: [header:X-User-Id, json:applicant.id, cookie:uid]", "from: header:X-User-Id", `unit.from: it must be a list, not text (write [header:X-User-Id])`},
		{"window beyond hold", errs, strings.Replace(errs, "weight: 2", "window: 20m", 1), "metrics[0].window: 20m is longer than the hold of 10m at plan.steps[2].abTest"},
		{"window beyond horizon", "window: 1h", "window: 100h", "metrics[2].window: 100h is longer than the feedback horizon of 72h"},
		{"no window", "window: 1h, ", "", "metrics[2].window: it is missing"},
		{"better without objective", "role: objective", "role: guardrail", "plan.steps[2].abTest.goal: no metric is the objective"},
		{"no decider", "role: guardrail, weight: 2", "role: watch, weight: 2", ""},
		{"no production", "      - production: {holdback: 5%, watch: 24h}\n", "", "plan.steps: the plan never makes the candidate live: it ends with approval"},
		{"second production", canary, "- production: {holdback: 5%, watch: 1h}", "plan.steps[4]: approval after production is never reached"},
		{"all on the canary", "[50%, 80%]", "[50%, 100%]", "plan.steps[3].canary.shares[1]: with 100% nobody is left to compare with"},
		{"share repeated", "[50%, 80%]", "[50%, 50%]", "plan.steps[3].canary.shares[1]: 50% repeats the share before it"},
		{"zero share", "share: 20%", "share: 0%", "plan.steps[2].abTest.share: 0% of the users is nobody"},
		{"zero alpha", "alpha: 0.05", "alpha: 0", "plan.alpha: 0 is out of range"},
		{"zero weight", "weight: 2", "weight: 0", "metrics[0].weight: 0 is out of range"},
		{"tolerate in another unit", "tolerate: 1.1x", "tolerate: 10%", "metrics[1].tolerate: 10% has another unit than the margin 1.25x"},
		{"tolerate above margin", "tolerate: 1.1x", "tolerate: 1.25x", "metrics[1].tolerate: 1.25x is not below the margin 1.25x"},
		{"kind of source", "kind: category, margin: 0.05bits", "kind: latency, margin: 1.5x", "metrics[3].kind: json:decision can't be judged as latency"},
		{"nothing captured", "live: v1 ", "capture: {share: 0%}\n  live: v1 ", "capture.share: nothing would be kept"},
		{"capture for ever", "live: v1 ", "capture: {share: 1%, keep: 100d}\n  live: v1 ", "capture.keep: bodies are kept for a minute at least"},
		{"capture of long bodies", "live: v1 ", "capture: {share: 1%, maxBody: 1GiB}\n  live: v1 ", "capture.maxBody: a body of"},
		{"redaction of nothing", "live: v1 ", "capture: {share: 1%, redact: [email]}\n  live: v1 ", `capture.redact[0]: "email" names no values`},
		{"redaction by a query", "live: v1 ", "capture: {share: 1%, redact: [\"json:a.#(b==1).c\"]}\n  live: v1 ", "capture.redact[0]: "},
		{"raw dialect", "dialect: json", "dialect: raw", "unit.from[1]: bodies of the dialect raw are not looked into"},
		{"own path", "path: /credit", "path: /-/sluice/x", "match.path: /-/sluice/ belongs to Sluice itself"},
		{"nothing matched", "match: {path: /credit}", "match: {}", "match: it matches no request"},
		{"model of json", "path: /credit", "model: gpt", "match.model: requests of the dialect json name no model"},
		{"no data", "noData: hold", "noData: promote", `plan.noData: "promote" is not known here (write one of "hold")`},
		{"hold beyond deadline", "hold: 10m, deadline: 24h", "hold: 25h, deadline: 24h", "plan.steps[3].canary.deadline: 24h passes before the hold of 25h is over"},
		{"hold as long as the deadline", "hold: 10m, deadline: 24h", "hold: 24h, deadline: 24h", "plan.steps[3].canary.deadline: 24h passes before"},
		{"hold-back too large", "holdback: 5%", "holdback: 30%", "plan.steps[5].production.holdback: the share falls from 80% at plan.steps[3].canary.shares[1] to 70%"},
		{"quantile", "quantile: 0.95", "quantile: 95", "metrics[1].quantile: 95 is not a quantile (write a number between 0 and 1, like 0.95)"},
		{"quantile of errors", "weight: 2", "quantile: 0.9", "metrics[0].quantile: only a latency has a quantile"},
		{"points of a mean", correct, "{name: cost, source: json:cost, kind: mean, direction: lower, margin: 1pp, role: objective}", "metrics[2].margin: 1pp is not a margin of the kind mean (write it like 5%)"},
		{"missing without feedback", "weight: 2", "missing: zero", "metrics[0].missing: only feedback can be missing"},
		{"pairs", "pairs: 2000", "pairs: 0", "plan.steps[1].shadow.until.pairs: 0 is out of range"},
		{"optimize", "      - production", "      - optimize: {versions: [v1, v9, v1], floor: 40%}\n      - production", "plan.steps[5].optimize: this version of Sluice does not run it (leave it out)"},
		{"optimize version", "      - production", "      - optimize: {versions: [v1, v9, v1], floor: 40%}\n      - production", `plan.steps[5].optimize.versions[1]: there is no version "v9"`},
		{"optimize twice", "      - production", "      - optimize: {versions: [v1, v9, v1], floor: 40%}\n      - production", `plan.steps[5].optimize.versions[2]: "v1" is there twice`},
		{"optimize floor", "      - production", "      - optimize: {versions: [v1, v9, v1], floor: 40%}\n      - production", `plan.steps[5].optimize.floor: 40% for each of 3 versions is more than 100% (write at most 33.3333%)`},
		{"host pattern", "path: /credit", `host: "*.example.org"`, `match.host: "*.example.org" is not a host name`},
		{"approver", "[release-managers]", `["", a]`, "plan.steps[4].approval.by[0]: \"\" is not a valid name"},
		{"direction of a category", "kind: category,", "kind: category, direction: lower,", "metrics[3].direction: a distribution of categories has no better direction"},
		{"no timeout", "timeout: 2s", "timeout: 0s", "versions.v2.timeout: 0s is out of range"},
		{"header", "timeout: 2s", `headers: {"a b": c}`, `versions.v2.headers["a b"]: "a b" is not a header name`},
		{"header value", "timeout: 2s", `headers: {X: "a\nb"}`, "versions.v2.headers.X: a header's value can't hold line breaks"},
		{"empty secret", "timeout: 2s", "headers: {X: 'env:'}", "versions.v2.headers.X: the secret's name is empty"},
		{"url without host", "http://127.0.0.1:9102", "http:///x", "versions.v2.url: it is not a valid URL"},
		{"horizon", "  live: v1", "  feedback: {horizon: 0s}\n  live: v1", "feedback.horizon: 0s is out of range"},
		{"pause of nothing", "approval:   {by: [release-managers]}", "pause: {duration: 0s}", "plan.steps[4].pause.duration: 0s is out of range"},
		{"two documents", "apiVersion: sluice", "---\na: 1\n---\napiVersion: sluice", "the file has 2 documents"},
		{"anchor", "metadata: {name: credit}", "metadata: &m {name: credit}", "anchors, aliases and merge keys are not supported"},
		{"tag", "name: credit", "name: !!str credit", "YAML tags are not supported"},
		{"syntax", "metadata: {name: credit}", "metadata: {name: credit", "not valid YAML"},
		{"twice", "metadata: {name: credit}", "metadata: {name: credit, name: other}", "metadata.name: it is given twice, first on line 4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, faults := ParseModel("design.yaml", edit(t, tt.old, tt.new))
			bad := faults.Errors()
			if tt.want == "" {
				if len(bad) > 0 || m == nil {
					t.Fatalf("faults:\n%v", bad)
				}
				return
			}
			if m != nil || !strings.Contains(bad.Error(), tt.want) {
				t.Fatalf("faults:\n%v\nwant one with:\n%s", bad, tt.want)
			}
			if err := faults.Err(); KindOf(err) != KindInvalid {
				t.Errorf("kind %s of %v", KindOf(err), err)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	for want, data := range map[string][]byte{
		"plan.steps[5].production: without a hold-back":   edit(t, "holdback: 5%, ", ""),
		"metrics[0].weight: a metric that only watches":   edit(t, "role: guardrail, weight: 2", "role: watch, weight: 2"),
		"plan.steps[1].shadow.deadline: it passes before": edit(t, "deadline: 1h", "deadline: 30m"),
		"metrics[2].window: 1h is longer than the hold": edit(t, `"agree(json:decision, feedback:outcome)", window: 1h, direction: higher, margin: 1pp, role: objective`,
			"feedback:ok, kind: proportion, window: 1h, direction: higher, margin: 1pp, role: guardrail", "goal: better", "goal: noWorse"),
	} {
		m, faults := ParseModel("design.yaml", data)
		if m == nil || len(faults.Errors()) > 0 || !strings.Contains(faults.Warnings().Error(), "warning: "+want) {
			t.Errorf("faults:\n%v\nwant a warning with %s", faults, want)
		}
	}
}

func TestParseBounds(t *testing.T) {
	head := "apiVersion: sluice.dev/v1alpha1\nkind: Model\n"
	for name, tt := range map[string]struct{ data, want string }{
		"empty":          {"", "the file is empty"},
		"comment":        {"# nothing\n", "the file is empty"},
		"text":           {"hello", "not a mapping"},
		"list":           {"- a\n- b\n", "not a mapping"},
		"large":          {strings.Repeat("a", MaxFileBytes+1), "at most 1048576 are read"},
		"flow depth":     {head + "spec: " + strings.Repeat("[", 20_000), "nests too deep"},
		"list depth":     {head + "spec: \n  " + strings.Repeat("- ", 20_000), "nests too deep"},
		"key depth":      {head + "spec: \n  " + strings.Repeat("? ", 20_000), "nests too deep"},
		"block depth":    {head + deepBlock(200), "nests too deep"},
		"open quote":     {head + "metadata: {name: \"a\n\n", "file.yaml:3:18: not valid YAML"},
		"tab":            {head + "metadata:\n\tname: a\n", "file.yaml:4:1: not valid YAML"},
		"escape":         {head + "metadata: {name: \"\\q\"}\n", "not valid YAML"},
		"tokens":         {head + strings.Repeat("a: 1\n", 20_000), "too many values"},
		"alias bomb":     {"a: &a [x]\nb: &b [*a,*a]\n", "anchors"},
		"many faults":    {head + manyFields(5000), "more faults are not shown"},
		"control":        {head + "metadata: {name: \"\x00\"}", "metadata.name"},
		"NaN":            {head + "spec: {plan: {alpha: .nan}}", "plan.alpha"},
		"huge number":    {head + "spec: {plan: {alpha: 1e999}}", "plan.alpha"},
		"overflow":       {head + "spec: {versions: {v1: {maxConcurrent: 99999999999999999999}}}", "whole number"},
		"head only":      {head, "metadata: it is missing"},
		"carriage":       {strings.ReplaceAll(head, "\n", "\r\n") + "x: 1\r\n", "file.yaml:3:4: x: there is no such field"},
		"byte order":     {"\xef\xbb\xbf" + head, "metadata: it is missing"},
		"several errors": {head + "metadata: {}\nspec: {}\n", "versions: it is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			m, faults := ParseModel("file.yaml", []byte(tt.data))
			if m != nil || !strings.Contains(faults.Error(), tt.want) {
				t.Errorf("faults:\n%.2000v\nwant %s", faults, tt.want)
			}
			if len(faults) > maxFaults+1 {
				t.Errorf("%d faults", len(faults))
			}
		})
	}
}

func deepBlock(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func manyFields(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "field%d: x\n", i)
	}
	return b.String()
}

// Bounds of lists, each exceeded by one.
func TestModelBounds(t *testing.T) {
	for want, change := range map[string]func(m *Model){
		"metadata.labels: there are 65 labels": func(m *Model) { m.Metadata.Labels = numbered(65, "x") },
		"metadata.labels.k0: a label's name":   func(m *Model) { m.Metadata.Labels = map[string]string{"k0": strings.Repeat("x", 254)} },
		"match.headers: there are 33 headers":  func(m *Model) { m.Spec.Match.Headers = numbered(33, "x") },
		"unit.from: there are 9 selectors": func(m *Model) {
			for i := range 9 {
				m.Spec.Unit.From = append(m.Spec.Unit.From[:i:i], Selector(fmt.Sprintf("cookie:c%d", i)))
			}
		},
		"segments: there are 9 segments": func(m *Model) { m.Spec.Segments = numbered(9, Selector("cookie:a")) },
		"versions: there are 65 versions": func(m *Model) {
			m.Spec.Versions = numbered(65, Version{URL: "http://a"})
			m.Spec.Live = "k1"
		},
		"versions: there is no version":    func(m *Model) { m.Spec.Versions = nil },
		"metrics: there are 33 metrics":    func(m *Model) { m.Spec.Metrics = make([]Metric, 33) },
		"metrics: no metric can stop":      func(m *Model) { m.Spec.Metrics = nil; m.Spec.Plan.Steps[2].ABTest.Goal = GoalNoWorse },
		"metrics: metrics and segments":    func(m *Model) { m.Spec.Metrics = means(15) },
		"plan.steps: there is no step":     func(m *Model) { m.Spec.Plan.Steps = nil },
		"plan.steps: there are 33 steps":   func(m *Model) { m.Spec.Plan.Steps = make([]Step, 33) },
		"plan.steps[0]: the step is empty": func(m *Model) { m.Spec.Plan.Steps[0] = Step{} },
		"canary.shares: there is no share": func(m *Model) { m.Spec.Plan.Steps[3].Canary.Shares = nil },
		"canary.shares: there are 33":      func(m *Model) { m.Spec.Plan.Steps[3].Canary.Shares = make([]Share, 33) },
		"test.deadline: -1ns":              func(m *Model) { m.Spec.Plan.Steps[0].Test.Deadline = -1 },
		"shadow.share: 0%":                 func(m *Model) { m.Spec.Plan.Steps[1].Shadow.Share = 0 },
		"shadow.deadline: 0s":              func(m *Model) { m.Spec.Plan.Steps[1].Shadow.Deadline = 0 },
		"abTest.deadline: 0s":              func(m *Model) { m.Spec.Plan.Steps[2].ABTest.Deadline = 0 },
		"abTest.hold: -1ns":                func(m *Model) { m.Spec.Plan.Steps[2].ABTest.Hold = -1 },
		"production.watch: 0s":             func(m *Model) { m.Spec.Plan.Steps[5].Production.Watch = 0 },
		"production.holdback: with 100%":   func(m *Model) { m.Spec.Plan.Steps[5].Production.Holdback = Whole },
		"metrics[0].margin: 51pp":          func(m *Model) { m.Spec.Metrics[0].Margin.Value = 51 },
		"metrics[1].margin: 1x":            func(m *Model) { m.Spec.Metrics[1].Margin.Value = 1 },
		"metrics[0].margin: 100% is out":   func(m *Model) { m.Spec.Metrics[0] = mean(0, Margin{100, Percent}) },
		"metrics[0].name: \"\" is":         func(m *Model) { m.Spec.Metrics[0].Name = "" },
		"kind: \"Suite\" is not":           func(m *Model) { m.Kind = KindSuite },
		"apiVersion: \"v9\" is not":        func(m *Model) { m.APIVersion = "v9" },
	} {
		m := design(t).Clone()
		change(m)
		if got := m.Validate().Errors().Error(); !strings.Contains(got, want) {
			t.Errorf("faults:\n%s\nwant one with %s", got, want)
		}
	}
	m := design(t).Clone()
	m.Spec.Metrics = append(means(14)[:13], Metric{Name: "d", Source: "json:x", Kind: MetricCategory, Margin: Margin{0.1, Bits}, Role: Guardrail})
	m.Spec.Plan.Steps[2].ABTest.Goal = GoalNoWorse
	if bad := m.Validate().Errors(); len(bad) > 0 || len(m.Signals()) != MaxSignals {
		t.Errorf("%d signals: %v", len(m.Signals()), bad)
	}
}

func numbered[T any](n int, v T) map[string]T {
	out := map[string]T{}
	for i := range n {
		out[fmt.Sprintf("k%d", i)] = v
	}
	return out
}

func mean(i int, margin Margin) Metric {
	return Metric{
		Name: fmt.Sprintf("m%d", i), Source: Source(fmt.Sprintf("json:v%d", i)), Kind: MetricMean,
		Direction: Higher, Margin: margin, Role: Guardrail,
	}
}

func means(n int) (out []Metric) {
	for i := range n {
		out = append(out, mean(i, Margin{5, Percent}))
	}
	return out
}

// Whatever plan is drawn, normalising twice is normalising once, and a valid model stays valid.
func TestNormaliseIsIdempotent(t *testing.T) {
	base := design(t)
	rapid.Check(t, func(t *rapid.T) {
		m := base.Clone()
		m.Spec.Limits.Body = Bytes(rapid.SampledFrom([]int64{0, 1, 1 << 20}).Draw(t, "body"))
		sources := []Source{"error", "latency", "json: a", "feedback:x", "agree( json:a,feedback:b )", "nonsense", "status:429"}
		kinds := []MetricKind{"", MetricEvent, MetricMean, MetricCategory, MetricProportion}
		for i := range m.Spec.Metrics {
			x := &m.Spec.Metrics[i]
			x.Source = rapid.SampledFrom(sources).Draw(t, "source")
			x.Kind = rapid.SampledFrom(kinds).Draw(t, "kind")
			x.Tolerate = Margin{}
			x.Margin.Value = rapid.Float64Range(0, 3).Draw(t, "margin")
			x.Window = Duration(rapid.SampledFrom([]time.Duration{0, time.Second, time.Hour}).Draw(t, "window"))
		}
		m.Spec.Plan.Steps[2].ABTest.Hold = Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "hold"))
		m.Spec.Plan.Steps[3].Canary.Hold = 0
		m.Spec.Plan.Steps[3].Canary.Deadline = Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "deadline"))
		once, hash := m.Canonical()
		twice, hash2 := m.Normalise().Canonical()
		if hash != hash2 || !bytes.Equal(once, twice) {
			t.Fatalf("once\n%s\ntwice\n%s", once, twice)
		}
		if bad := m.Validate().Errors(); len(bad) == 0 {
			if bad := m.Normalise().Validate().Errors(); len(bad) > 0 {
				t.Fatalf("valid before, then:\n%v", bad)
			}
			if _, faults := ParseModel("x.json", once); faults.Err() != nil {
				t.Fatalf("%s:\n%v", once, faults)
			}
		}
	})
}

func FuzzParseModel(f *testing.F) {
	f.Add(read(f, "design.yaml"))
	f.Add(read(f, "faults.yaml"))
	f.Add(read(f, "design.canonical.json"))
	f.Add([]byte("a: [b, {c: d}]\n? e\n: |\n  text\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, faults := ParseModel("fuzz.yaml", data)
		if (m == nil) != (faults.Err() != nil) {
			t.Fatal("a model and faults, or neither")
		}
		for _, fault := range faults {
			if fault.Msg == "" {
				t.Fatalf("a fault without a message: %+v", fault)
			}
		}
		if m == nil {
			return
		}
		data, hash := m.Canonical()
		back, faults := ParseModel("back.json", data)
		if err := faults.Err(); err != nil {
			t.Fatalf("the canonical form of a valid model has faults: %v\n%s", err, data)
		}
		if _, hash2 := back.Canonical(); hash2 != hash {
			t.Fatalf("%s has another hash when read back", data)
		}
	})
}

func BenchmarkParseModel(b *testing.B) {
	data := read(b, "design.yaml")
	for b.Loop() {
		if _, faults := ParseModel("design.yaml", data); faults.Err() != nil {
			b.Fatal(faults)
		}
	}
}

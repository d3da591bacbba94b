package release

import (
	"slices"
	"strings"
	"testing"
)

// languageFile is a model of a dialect, with one metric and the versions' fields as given.
func languageFile(dialect, metric, version, unit string) string {
	return `apiVersion: sluice.dev/v1alpha1
kind: Model
metadata: {name: m}
spec:
  match: {path: /v1/}
  dialect: ` + dialect + `
  ` + unit + `
  live: v1
  metrics: [` + metric + `]
  plan: {steps: [{canary: {shares: [50%], deadline: 24h}}, {production: {holdback: 5%, watch: 24h}}]}
  versions: {v1: {url: "http://a"` + version + `}}
`
}

// What answers of language models tell is a source of metrics like any other, of a kind that follows from it.
func TestMeasures(t *testing.T) {
	const unit = "unit: {from: [header:X-User-Id]}"
	for _, c := range []struct{ dialect, metric, version, fault string }{
		{"openai", `{name: m, source: ttft, role: guardrail}`, "", ""},
		{"anthropic", `{name: m, source: "ttft:answer", quantile: 0.9, margin: 1.5x, role: guardrail}`, "", ""},
		{"gemini", `{name: m, source: tpot, role: guardrail}`, "", ""},
		{"openai", `{name: m, source: "tokens:output", direction: lower, margin: 5%, role: guardrail}`, "", ""},
		{"openai", `{name: m, source: cost, margin: 5%, role: guardrail}`, ", price: {input: 0.4, output: 1.6, cacheRead: 0, request: 0.001}", ""},
		{"openai", `{name: m, source: finish, margin: 0.05bits, role: guardrail}`, "", ""},
		{"openai", `{name: m, source: "finish:length", direction: lower, margin: 1pp, role: guardrail}`, "", ""},
		{"openai", `{name: m, source: "text:decision", kind: category, margin: 0.05bits, role: guardrail}`, "", ""},
		{"openai", `{name: m, source: "agree(text, feedback:next)", window: 5m, direction: higher, margin: 1pp, role: objective}`, "", ""},
		{"openai", `{name: m, source: error, margin: 1pp, role: guardrail}, {name: like, source: similarity, role: watch}`, "", ""},
		{"openai", `{name: m, source: similarity, margin: 20%, role: guardrail}`, "", "write watch"},
		{"json", `{name: m, source: truncated, margin: 1pp, role: guardrail}`, "", ""},
		{"oip", `{name: m, source: cancelled, margin: 1pp, role: guardrail}`, "", ""},

		{"openai", `{name: m, source: ttftt, role: guardrail}`, "", `did you mean "ttft"`},
		{"openai", `{name: m, source: "ttft:first", role: guardrail}`, "", "ttft:answer"},
		{"openai", `{name: m, source: "tokens:prompt", direction: lower, margin: 5%, role: guardrail}`, "", "tokens:input"},
		{"openai", `{name: m, source: tokens, direction: lower, margin: 5%, role: guardrail}`, "", "tokens:input"},
		{"openai", `{name: m, source: "tokens:output", margin: 5%, role: guardrail}`, "", "lower or higher"},
		{"openai", `{name: m, source: ttft, kind: mean, margin: 5%, role: guardrail}`, "", "can't be judged as mean"},
		{"openai", `{name: m, source: cost, margin: 5%, role: guardrail}`, "", "no version has a price"},
		{"json", `{name: m, source: ttft, role: guardrail}`, "", "can't be measured"},
		{"oip", `{name: m, source: "tokens:input", direction: lower, margin: 5%, role: guardrail}`, "", "can't be measured"},
		{"json", `{name: m, source: text, kind: category, margin: 0.05bits, role: guardrail}`, "", "have no text"},
		{"openai", `{name: m, source: "text:a..b", kind: category, margin: 0.05bits, role: guardrail}`, "", "JSON path"},
		{"openai", `{name: m, source: error, margin: 1pp, role: guardrail}`, `, price: {input: -1}`, "is no price"},
		{"openai", `{name: m, source: error, margin: 1pp, role: guardrail}`, `, model: ""`, "it is empty"},
		{"openai", `{name: m, source: error, margin: 1pp, role: guardrail}`, `, model: "a\nb"`, "no name of a model"},
		{"json", `{name: m, source: error, margin: 1pp, role: guardrail}`, `, model: big`, "name no model"},
	} {
		_, faults := ParseModel("m.yaml", []byte(languageFile(c.dialect, c.metric, c.version, unit)))
		got := faults.Errors().Error()
		if c.fault == "" && got != "" || c.fault != "" && !strings.Contains(got, c.fault) {
			t.Errorf("%s %s%s: faults %q, want one about %q", c.dialect, c.metric, c.version, got, c.fault)
		}
	}
}

// Requests of language models have an order of their own in which they name their user. The API key is not
// in it.
func TestDefaultUnit(t *testing.T) {
	const metric = `{name: m, source: error, margin: 1pp, role: guardrail}`
	for dialect, want := range map[string][]Selector{
		"openai":    {"header:X-Sluice-User", "json:user", "json:safety_identifier", "json:prompt_cache_key", "header:X-Session-Id", "conversation"},
		"anthropic": {"header:X-Sluice-User", "json:metadata.user_id", "header:X-Session-Id", "conversation"},
		"gemini":    {"header:X-Sluice-User", "header:X-Session-Id", "conversation"},
	} {
		m, faults := ParseModel("m.yaml", []byte(languageFile(dialect, metric, "", "traffic: {requests: 1/s}")))
		if faults.Err() != nil {
			t.Fatal(faults)
		}
		if got := m.Normalise().Spec.Unit; !slices.Equal(got.From, want) || got.Missing != MissingLive {
			t.Errorf("%s: the unit is %+v, want it from %v", dialect, got, want)
		}
	}
	for unit, fault := range map[string]string{
		"unit: {from: [conversation, apiKey]}":       "",
		"unit: {from: [conversation:x]}":             `"conversation" alone`,
		"unit: {from: [text]}":                       "part of answers",
		"unit: {from: [measure:ttft]}":               "part of answers",
		"segments: {s: conversation, k: json:model}": "",
	} {
		_, faults := ParseModel("m.yaml", []byte(languageFile("openai", metric, "", unit)))
		if got := faults.Errors().Error(); fault == "" && got != "" || !strings.Contains(got, fault) {
			t.Errorf("%s: faults %q, want one about %q", unit, got, fault)
		}
	}
	for _, dialect := range []string{"json", "oip", "raw"} {
		_, faults := ParseModel("m.yaml", []byte(languageFile(dialect, metric, "", "traffic: {requests: 1/s}")))
		if got := faults.Error(); !strings.Contains(got, "no unit can be found") {
			t.Errorf("%s without a unit: %q", dialect, got)
		}
		_, faults = ParseModel("m.yaml", []byte(languageFile(dialect, metric, "", "unit: {from: [conversation]}")))
		if got := faults.Error(); !strings.Contains(got, "no conversation") {
			t.Errorf("%s by conversation: %q", dialect, got)
		}
	}
}

// A version's own model name replaces whatever a client asks for, so the match should say which requests are
// meant.
func TestModelNameIsPutIntoEveryRequest(t *testing.T) {
	const metric = `{name: m, source: error, margin: 1pp, role: guardrail}`
	file := languageFile("openai", metric, ", model: big", "traffic: {requests: 1/s}")
	for match, warns := range map[string]bool{
		"path: /v1/": true, "host: models.example.org": true, "path: /v1/chat/completions": false, "path: /v1/, model: helpdesk": false,
	} {
		_, faults := ParseModel("m.yaml", []byte(strings.Replace(file, "path: /v1/", match, 1)))
		if got := strings.Contains(faults.Warnings().Error(), "into every request"); got != warns || faults.Err() != nil {
			t.Errorf("%s: %v", match, faults)
		}
	}
}

func TestMeasureSignals(t *testing.T) {
	var m Model
	m.Spec.Metrics = []Metric{
		{Name: "first", Source: "ttft"},
		{Name: "why", Source: "finish"},
		{Name: "long", Source: "finish:length"},
		{Name: "said", Source: "text:decision", Kind: MetricCategory},
		{Name: "first2", Source: " ttft ", Kind: MetricLatency},
	}
	want := []Signal{
		{From: FromAnswer, Selector: "measure:ttft", Number: true},
		{From: FromAnswer, Selector: "measure:finish"},
		{From: FromAnswer, Selector: "measure:finish:length", Number: true},
		{From: FromAnswer, Selector: "text:decision"},
	}
	if got := m.Signals(); !slices.Equal(got, want) {
		t.Errorf("signals\n%+v, want\n%+v", got, want)
	}
	for _, s := range want {
		if spec, err := s.Selector.Parse(); err != nil || spec.String() != string(s.Selector) {
			t.Errorf("%s parses as %+v, %v", s.Selector, spec, err)
		}
	}
	for _, source := range append(slices.Clone(measures), "finish:length", "text", "text:a.b", "agree(text, feedback:x)") {
		spec, err := Source(source).Parse()
		if err != nil || spec.String() != source {
			t.Errorf("%s parses as %q, %v", source, spec, err)
		}
	}
}

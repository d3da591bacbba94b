package release

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestParseSelector(t *testing.T) {
	good := map[Selector]string{
		"header:x-user-id":             "header:X-User-Id",
		"header: X-Channel":            "header:X-Channel",
		"json:applicant.id":            "json:applicant.id",
		"json:choices.0.finish_reason": "json:choices.0.finish_reason",
		`json:a\.b.c`:                  `json:a\.b.c`,
		"json:straße.größe":            "json:straße.größe",
		"cookie:uid":                   "cookie:uid",
		"query:user[id]":               "query:user[id]",
	}
	for in, want := range good {
		if got, err := in.Parse(); err != nil || got.String() != want {
			t.Errorf("%q parses as %q, %v; want %q", in, got, err, want)
		}
	}
	bad := map[Selector]string{
		"":                                  "selector",
		"X-User-Id":                         "selector",
		"headr:X":                           `did you mean "header"?`,
		"header:X User":                     "header name",
		"header:":                           "selector",
		"json:a..b":                         "JSON path",
		"json:.a":                           "JSON path",
		"json:a.":                           "JSON path",
		"json:a.#.b":                        "JSON path",
		"json:a|@reverse":                   "JSON path",
		"json:*":                            "JSON path",
		"json:a?":                           "JSON path",
		`json:a\x`:                          "JSON path",
		"json:a\x00":                        "JSON path",
		"json:a\xff":                        "JSON path",
		"query:a b":                         "query parameter",
		"cookie:a;b":                        "cookie name",
		Selector("json:" + deep(17)):        "17 deep",
		Selector(strings.Repeat("x", 1000)): "longer than 256",
	}
	for in, want := range bad {
		if got, err := in.Parse(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q parses as %q, error %v; want one about %s", in, got, err, want)
		}
	}
}

func deep(n int) string { return strings.Repeat("a.", n-1) + "a" }

func TestParseSource(t *testing.T) {
	good := map[Source]string{
		"error": "error", "timeout": "timeout", "latency": "latency", "ttfb": "ttfb",
		"status:429": "status:429", " status: 503 ": "status:503",
		"json:decision": "json:decision", "header:x-score": "header:X-Score", "feedback:outcome": "feedback:outcome",
		"agree(json:decision, feedback:outcome)":    "agree(json:decision, feedback:outcome)",
		"agree( header:x-d ,feedback: outcome )":    "agree(header:X-D, feedback:outcome)",
		"agree (json:a.b,feedback:thumbs-up_2)":     "agree(json:a.b, feedback:thumbs-up_2)",
		"agree(json:choices.0.x, feedback:isRight)": "agree(json:choices.0.x, feedback:isRight)",
	}
	for in, want := range good {
		got, err := in.Parse()
		if err != nil || got.String() != want {
			t.Errorf("%q parses as %q, %v; want %q", in, got, err, want)
			continue
		}
		if back, err := Source(got.String()).Parse(); err != nil || back != got {
			t.Errorf("%q does not parse back: %v, %v", got, back, err)
		}
	}
	bad := map[Source]string{
		"":                                 "not a valid source",
		"errors":                           `did you mean "error"?`,
		"latencey":                         `did you mean "latency"?`,
		"error:x":                          `"error" alone`,
		"status":                           "status",
		"status:42":                        "100 to 599",
		"status:600":                       "100 to 599",
		"json:":                            "selector",
		"json:a.#":                         "JSON path",
		"feedback:":                        "feedback name",
		"feedback:1st":                     "feedback name",
		"cookie:a":                         "not a valid source",
		"agree":                            "agree(json:PATH",
		"agree(json:a)":                    "agree(json:PATH",
		"agree(feedback:a, json:b)":        "agree(json:PATH",
		"agree(json:a, json:b)":            "agree(json:PATH",
		"agree(cookie:a, feedback:b)":      "agree(json:PATH",
		"agree(json:a, feedback:b) or not": "agree(json:PATH",
		"agree(json:a, feedback:b, c)":     "feedback name",
	}
	for in, want := range bad {
		if got, err := in.Parse(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q parses as %q, error %v; want one about %s", in, got, err, want)
		}
	}
}

func TestSignals(t *testing.T) {
	var m Model
	m.Spec.Metrics = []Metric{
		{Name: "errors", Source: "error"},
		{Name: "correct", Source: "agree(json:decision, feedback:outcome)"},
		{Name: "decision", Source: "json:decision", Kind: MetricCategory},
		{Name: "score", Source: "json:score", Kind: MetricMean},
		{Name: "thumbs", Source: "feedback:thumbs"},
		{Name: "yes", Source: "json:decision", Kind: MetricProportion},
		{Name: "score2", Source: "json: score", Kind: MetricProportion},
		{Name: "broken", Source: "what"},
	}
	m.Spec.Segments = map[string]Selector{"channel": "header:x-channel", "age": "json:applicant.age_band"}
	want := []Signal{
		{From: FromAnswer, Selector: "json:decision"},
		{From: FromAnswer, Selector: "json:score", Number: true},
		{From: FromAnswer, Selector: "json:decision", Number: true},
		{From: FromRequest, Selector: "json:applicant.age_band", Segment: "age"},
		{From: FromRequest, Selector: "header:X-Channel", Segment: "channel"},
	}
	for range 20 { // maps have no order; the list has
		if got := m.Signals(); !slices.Equal(got, want) {
			t.Fatalf("signals\n%+v, want\n%+v", got, want)
		}
	}
	signals := []int{-1, 0, 0, 1, -1, 2, 1, -1}
	feedback := []string{"", "outcome", "", "", "thumbs", "", "", ""}
	for i := range m.Spec.Metrics {
		if got := m.MetricSignal(i); got != signals[i] {
			t.Errorf("metric %d reads signal %d, want %d", i, got, signals[i])
		}
		if got := m.MetricFeedback(i); got != feedback[i] {
			t.Errorf("metric %d reads feedback %q, want %q", i, got, feedback[i])
		}
	}
}

func TestPeek(t *testing.T) {
	const doc = `{"s":"yes","n":3.50,"t":true,"f":false,"z":null,"o":{"x":"in"},"a":[1,{"b":"two"}],"e":"",
		"num":"12.5","big":1e999,"a.b":"dot","esc":"a\u0062c","long":"` + "äääääääääääääääääääääääääääääääääääää" + `"}`
	tests := []struct {
		path   string
		number bool
		want   Peeked
	}{
		{"s", false, Peeked{Kind: ValueCategory, Text: "yes"}},
		{"s", true, Peeked{Kind: ValueCategory, Text: "yes"}},
		{"n", false, Peeked{Kind: ValueCategory, Text: "3.50"}},
		{"n", true, Peeked{Kind: ValueNumber, Num: 3.5}},
		{"t", false, Peeked{Kind: ValueCategory, Text: "true"}},
		{"t", true, Peeked{Kind: ValueNumber, Num: 1}},
		{"f", false, Peeked{Kind: ValueCategory, Text: "false"}},
		{"f", true, Peeked{Kind: ValueNumber, Num: 0}},
		{"z", false, Peeked{}},
		{"o", false, Peeked{}},
		{"a", true, Peeked{}},
		{"e", false, Peeked{}},
		{"absent", true, Peeked{}},
		{"o.x", false, Peeked{Kind: ValueCategory, Text: "in"}},
		{"a.1.b", false, Peeked{Kind: ValueCategory, Text: "two"}},
		{"num", true, Peeked{Kind: ValueNumber, Num: 12.5}},
		{"num", false, Peeked{Kind: ValueCategory, Text: "12.5"}},
		{"big", true, Peeked{}},
		{`a\.b`, false, Peeked{Kind: ValueCategory, Text: "dot"}},
		{"esc", false, Peeked{Kind: ValueCategory, Text: "abc"}},
		{"long", false, Peeked{Kind: ValueCategory, Text: strings.Repeat("ä", 32)}},
	}
	for _, tt := range tests {
		if got := PeekJSON([]byte(doc), tt.path, tt.number); got != tt.want {
			t.Errorf("PeekJSON(%q, number %v) = %+v, want %+v", tt.path, tt.number, got, tt.want)
		}
	}
	if got := PeekText(strings.Repeat("\xff", 100), false); got.Text != "?" {
		t.Errorf("invalid UTF-8 becomes %q", got.Text)
	}
	for n, want := range map[int]int{64: 64, 65: 64, 1000: 64} {
		if got := PeekText(strings.Repeat("x", n), false); len(got.Text) != want {
			t.Errorf("a text of %d bytes becomes one of %d", n, len(got.Text))
		}
	}
	for _, text := range []string{"Inf", "NaN", "0x10", "1_000", "infinity", "-inf", "1e999"} {
		if got := PeekText(text, true); got.Kind != ValueCategory {
			t.Errorf("PeekText(%q) = %+v, want a category", text, got)
		}
	}
	body := []byte(doc)
	if n := testing.AllocsPerRun(100, func() { PeekJSON(body, "n", true); PeekJSON(body, "s", false) }); n != 0 {
		t.Errorf("peeking allocates %v times", n)
	}
}

func TestAgree(t *testing.T) {
	for _, tt := range []struct {
		answer, outcome string
		want            bool
	}{
		{"approve", "approve", true},
		{"approve", "Approve", false},
		{"1", FormatOutcome(1), true},
		{"1.0", FormatOutcome(1), true},
		{"true", FormatOutcome(1), true},
		{"false", FormatOutcome(0), true},
		{"true", "false", false},
		{"", "0", false},
		{"NaN", "nan", false},
	} {
		if got := Agree(tt.answer, tt.outcome); got != tt.want {
			t.Errorf("Agree(%q, %q) = %v", tt.answer, tt.outcome, got)
		}
	}
}

func FuzzPeek(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,2,"x"]}}`), "a.b.2", true)
	f.Add([]byte(`[[[[[`), "0.0.0", false)
	f.Fuzz(func(t *testing.T, doc []byte, path string, number bool) {
		sel, err := Selector("json:" + path).Parse()
		if err != nil {
			return
		}
		got := PeekJSON(doc, sel.Name, number)
		if len(got.Text) > MaxCategoryLen || got.Kind == ValueCategory && got.Text == "" || got.Num != got.Num {
			t.Fatalf("%+v", got)
		}
	})
}

// The hashes that are stored for ever, against xxHash's C reference.
func TestHashVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/hashes.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Models []struct {
			Name string
			Key  ModelKey
		}
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Models) < 3 {
		t.Fatalf("only %d models in the vectors", len(v.Models))
	}
	for _, m := range v.Models {
		if got := ModelKeyOf(m.Name); got != m.Key {
			t.Errorf("ModelKeyOf(%q) = %d, want %d", m.Name, got, m.Key)
		}
	}
}

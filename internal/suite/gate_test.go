package suite

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// scorer answers the rows of rows.csv: the first wrong rows by the wrong class. The truth is bad for ids
// below u10; scores are higher for the bad, but for the wrong.
func scorer(wrong int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		data, err := io.ReadAll(r.Body)
		var in struct{ N int }
		if err == nil {
			err = json.Unmarshal(data, &in)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		bad := in.N < 10
		if in.N%4 == 1 && in.N/4 < wrong {
			bad = !bad
		}
		class, score := "good", 0.2+float64(in.N)/1000
		if bad {
			class, score = "bad", 0.7+float64(in.N)/1000
		}
		fmt.Fprintf(w, `{"class":%q,"score":%g}`, class, score)
	}
}

func gates(list ...string) string {
	return "  functional:\n    - name: a\n      data: {file: rows.csv}\n      request: {body: {n: '{{$row}}'}}\n      gates:\n        - " + strings.Join(list, "\n        - ") + "\n"
}

func TestGates(t *testing.T) {
	const class = "prediction: class, label: label, positive: bad"
	const score = "score: score, label: label, positive: bad"
	for _, c := range []struct {
		gate  string
		wrong int
		want  Status
		words string
	}{
		{"{metric: accuracy, " + class + ", atLeast: 0.9}", 0, Passed, "accuracy 1.000 (40 of 40), at 95 % at least 0.928"},
		{"{metric: exactMatch, " + class + ", atLeast: 0.9}", 0, Passed, "40 of 40"},
		{"{metric: accuracy, " + class + ", atLeast: 0.9}", 5, Undecided, "0.875 (35 of 40), at 95 % at least 0.755 and at most 0.949; asked: at least 0.9; 40 rows can't tell, about"},
		{"{metric: accuracy, " + class + ", atLeast: 0.9, confidence: 0.5}", 7, Failed, "33 of 40"},
		{"{metric: accuracy, " + class + ", atMost: 0.9}", 0, Failed, "at most 0.9"},
		{"{metric: accuracy, " + class + ", atLeast: 0.1, atMost: 0.97}", 5, Passed, "at least 0.1 and at most 0.97"},
		{"{metric: sensitivity, " + class + ", atLeast: 0.7}", 0, Passed, "10 of 10"},
		{"{metric: sensitivity, " + class + ", atLeast: 0.7}", 3, Undecided, "7 of 10"},
		{"{metric: specificity, " + class + ", atLeast: 0.9}", 0, Passed, "30 of 30"},
		{"{metric: precision, " + class + ", atLeast: 0.7}", 0, Passed, "10 of 10"},
		{"{metric: f1, " + class + ", atLeast: 0.8}", 0, Passed, "f1 1.000 (40 rows)"},
		{"{metric: f1, " + class + ", atLeast: 0.7}", 10, Undecided, "f1 0.583"},
		{"{metric: auc, " + score + ", atLeast: 0.8}", 0, Passed, "auc 1.000"},
		{"{metric: auc, " + score + ", atLeast: 0.99}", 10, Failed, "auc 0.537"},
		{"{metric: logLoss, " + score + ", atMost: 0.5}", 0, Passed, "logLoss 0.2"},
		{"{metric: logLoss, " + score + ", atMost: 0.1}", 0, Failed, "logLoss 0.2"},
		{"{metric: sensitivity, score: score, threshold: 0.75, label: label, positive: bad, atLeast: 0.5}", 0, Failed, "0 of 10"},
		{"{metric: accuracy, score: score, threshold: 0.5, label: label, positive: bad, atLeast: 0.9}", 0, Passed, "40 of 40"},
		{"{metric: rate, prediction: class, positive: bad, atLeast: 0.1, atMost: 0.5}", 0, Passed, "10 of 40"},
		{"{metric: accuracy, prediction: class, label: label, map: {bad: wrong}, atLeast: 0.6}", 0, Passed, "30 of 40"},
		{"{metric: accuracy, prediction: none, label: label, atLeast: 0.1}", 0, Failed, "0 of 40"},
		{"{metric: rate, prediction: none, positive: bad, atMost: 0.5}", 0, Failed, "40 of 40 rows gave no answer that can be used"},
	} {
		r := run(t, gates(c.gate), scorer(c.wrong))
		got := r.Results[1]
		if got.Status != c.want || !strings.Contains(got.Message, c.words) {
			t.Errorf("%s, %d wrong: %s %q, want %s %q", c.gate, c.wrong, got.Status, got.Message, c.want, c.words)
		}
		if r.Passed() != (c.want == Passed) {
			t.Errorf("%s: passed %v with a gate that %s", c.gate, r.Passed(), c.want)
		}
		if undecided := c.want == Undecided; r.UndecidedOnly() != undecided {
			t.Errorf("%s: undecided only: %v", c.gate, r.UndecidedOnly())
		}
	}
}

func TestGateOfAnswersThatFail(t *testing.T) {
	r := run(t, gates("{metric: accuracy, prediction: class, label: label, atLeast: 0.5}", "{metric: auc, score: score, label: label, positive: bad, atLeast: 0.5}"),
		func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"class":"good","score":0.1}`, http.StatusInternalServerError)
		})
	want(t, r, "a", Failed, "40 of 40 rows failed, first row 0: status 500")
	want(t, r, "a: accuracy", Failed, "0 of 40") // the body looks right, but an error is no answer
	want(t, r, "a: auc", Failed, "gave no answer that can be used")
}

func TestGateSlices(t *testing.T) {
	r := run(t, gates("{name: right, metric: accuracy, prediction: class, label: label, atLeast: 0.5, slices: [{column: label}, {column: age, cuts: [30, 50]}]}"), scorer(3))
	for name, words := range map[string]string{
		"a: right": "37 of 40", "a: right [label=bad]": "7 of 10", "a: right [label=good]": "30 of 30",
		"a: right [age<30]": "7 of 10", "a: right [30<=age<50]": "20 of 20", "a: right [age>=50]": "10 of 10",
	} {
		status := Passed
		if strings.HasPrefix(words, "7") {
			status = Undecided // 7 of 10 may well be less than half
		}
		want(t, r, name, status, words)
	}
}

func TestGateParity(t *testing.T) {
	const parity = "{metric: rate, prediction: class, positive: bad, slices: [{column: age, cuts: [%s]}], parity: %s}"
	r := run(t, gates(fmt.Sprintf(parity, "30", "30pp")), scorer(0)) // all below 30, none above
	want(t, r, "a: rate parity", Failed, "rate age<30 1.000, age>=30 0.000: differ by 100.0 points")
	r = run(t, gates(fmt.Sprintf(parity, "45", "95pp")), scorer(0))
	want(t, r, "a: rate parity", Passed, "at most 95 allowed")
	r = run(t, gates(fmt.Sprintf(parity, "45", "45pp")), scorer(0))
	want(t, r, "a: rate parity", Undecided, "40 rows can't tell")
}

func TestGateAgainstLive(t *testing.T) {
	const gate = "{metric: %s, prediction: class, score: score, label: label, positive: bad, noWorseThanLive: %s}"
	for _, c := range []struct {
		metric, margin string
		wrong, live    int
		want           Status
		words          string
	}{
		{"accuracy", "15pp", 0, 0, Passed, "differs from live's by 0.0 points"},
		{"accuracy", "1pp", 0, 0, Undecided, "40 rows can't tell"},
		{"accuracy", "5pp", 10, 0, Failed, "by -25.0 points"},
		{"accuracy", "5pp", 0, 10, Passed, "by 25.0 points"},
		{"sensitivity", "10pp", 0, 0, Undecided, "same 10 rows"},
		{"logLoss", "0.1", 0, 0, Passed, "by 0 "},
		{"logLoss", "0.1", 10, 0, Failed, "logLoss differs"},
		{"auc", "5pp", 0, 0, Undecided, "10 and 30 rows of the classes can't tell"},
	} {
		spec := gates(fmt.Sprintf(gate, c.metric, c.margin))
		live := httptest.NewServer(scorer(c.live))
		r := run(t, spec, scorer(c.wrong), func(o *Options) { o.LiveURL = live.URL })
		live.Close()
		want(t, r, "a: "+c.metric+" no worse than live", c.want, c.words)
	}
	spec := gates(fmt.Sprintf(gate, "accuracy", "5pp"))
	r := run(t, spec, scorer(0))
	want(t, r, "a: accuracy no worse than live", Skipped, "no live version")
	live := httptest.NewServer(http.NotFoundHandler())
	defer live.Close()
	r = run(t, spec, scorer(0), func(o *Options) { o.LiveURL = live.URL })
	want(t, r, "a: accuracy no worse than live", Undecided, "live answered only 0 of 40 rows")
	r = run(t, spec, scorer(10), func(o *Options) { o.LiveURL = live.URL })
	if r.Passed() {
		t.Error("passed without a comparison")
	}
}

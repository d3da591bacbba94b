package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
)

func (w *world) tell(body string) (reply, report) {
	w.t.Helper()
	got := w.do("POST", "/-/sluice/feedback", body)
	var rep report
	if got.status == 200 || got.status == 422 {
		if err := json.Unmarshal([]byte(got.body), &rep); err != nil {
			w.t.Fatalf("%s: %v", got.body, err)
		}
	}
	return got, rep
}

// token makes an exposure id as a gateway of the fleet would.
func (w *world) token(change ...func(*release.Token)) string {
	t := release.Token{
		Model: release.ModelKeyOf("credit"), Release: 7, Stratum: 3, Epoch: 2, Arm: 1, Kind: release.ExposureServe,
		Bin: 77, Unit: 4711, Time: time.Now().UnixMilli(), Nonce: 99,
	}
	for _, f := range change {
		f(&t)
	}
	return string(w.keys.AppendToken(nil, &t))
}

func TestFeedbackByID(t *testing.T) {
	w := newWorld(t, credit(release.Whole))
	w.upstream("candidate", echo("v2"))
	id := w.do("GET", "/credit", "", "X-User-Id", "u").header.Get(HeaderID)
	got, rep := w.tell(fmt.Sprintf(`{"id":%q,"metric":"outcome","value":"good"}`, id))
	if got.status != 200 || rep.Accepted != 1 || rep.Refused != 0 {
		t.Fatalf("got %+v", got)
	}
	e := w.sink.wait(t, 1)[0]
	f := w.feedback.items[0]
	want := release.Feedback{
		Exposure: e.ID, Unit: e.Unit, Exposed: e.Time, Time: f.Feedback.Time, Model: e.Model, Release: e.Release, Stratum: e.Stratum,
		Bin: e.Bin, Epoch: e.Epoch, Arm: e.Arm, Kind: e.Kind, Value: release.Value{Kind: release.ValueCategory},
	}
	if f.Feedback != want || f.Name != "outcome" || f.Text != "good" || f.Feedback.Time < e.Time {
		t.Errorf("stored %+v, want %+v", f, want)
	}
}

// Feedback by unit goes to the unit's present arm.
func TestFeedbackByUnit(t *testing.T) {
	w := newWorld(t, credit(500_000))
	var lines []string
	for i := range 50 {
		lines = append(lines, fmt.Sprintf(`{"model":"credit","unit":"user-%d","metric":"thumbs","value":true}`, i))
	}
	lines = append(lines, `{"model":"credit","unit":12,"metric":"thumbs","value":-0.5}`)
	if got, rep := w.tell(strings.Join(lines, "\n")); got.status != 200 || rep.Accepted != 51 {
		t.Fatalf("got %+v", got)
	}
	route := w.routes.Load().All[0]
	for i, f := range w.feedback.items[:50] {
		unit := []byte(fmt.Sprintf("user-%d", i))
		a := route.Assign(unit)
		if f.Feedback.Arm != a.Counted || f.Feedback.Bin != a.Bin || f.Feedback.Unit != w.keys.UnitHash(unit) || f.Feedback.Exposure != 0 ||
			f.Feedback.Exposed != f.Feedback.Time || f.Feedback.Stratum != 3 || f.Feedback.Value != (release.Value{Kind: release.ValueNumber, Num: 1}) || f.Text != "true" {
			t.Errorf("stored %+v", f)
		}
	}
	last := w.feedback.items[50]
	if last.Feedback.Unit != w.keys.UnitHash([]byte("12")) || last.Feedback.Value.Num != -0.5 || last.Text != "-0.5" {
		t.Errorf("stored %+v", last)
	}
}

// An outcome told by unit with a key has the same name whenever it is told: the tally counts it once.
func TestFeedbackByUnitWithKey(t *testing.T) {
	w := newWorld(t, credit(500_000))
	const item = `{"model":"credit","unit":%q,"key":%q,"metric":"thumbs","value":1}`
	var lines []string
	for _, x := range [][2]string{{"u1", "order 7"}, {"u1", "order 7"}, {"u1", "order 8"}, {"u2", "order 7"}} {
		lines = append(lines, fmt.Sprintf(item, x[0], x[1]))
	}
	if got, rep := w.tell(strings.Join(lines, "\n")); got.status != 200 || rep.Accepted != 4 {
		t.Fatalf("got %+v", got)
	}
	names := map[uint64]int{}
	for _, f := range w.feedback.items {
		if f.Feedback.Exposure == 0 || f.Feedback.Exposed != f.Feedback.Time {
			t.Errorf("stored %+v", f)
		}
		names[f.Feedback.Exposure]++
	}
	if len(names) != 3 || names[w.feedback.items[0].Feedback.Exposure] != 2 {
		t.Errorf("names %v", names)
	}
}

func TestFeedbackRefused(t *testing.T) {
	w := newWorld(t, credit(release.Whole))
	good := w.token()
	altered := []byte(good)
	altered[20] ^= 1
	otherKey := string(testKeys(t, 2).AppendToken(nil, &release.Token{Model: release.ModelKeyOf("credit"), Time: time.Now().UnixMilli()}))
	rotated, err := testKeys(t, 1).Rotate(make([]byte, release.KeyLen))
	if err != nil {
		t.Fatal(err)
	}
	unknownKey := string(rotated.AppendToken(nil, &release.Token{Model: release.ModelKeyOf("credit"), Time: time.Now().UnixMilli()}))
	item := func(id, rest string) string { return fmt.Sprintf(`{"id":%q,%s}`, id, rest) }
	ok := `"metric":"m","value":1`
	for _, c := range []struct {
		name, item string
		want       reason
	}{
		{"altered", item(string(altered), ok), reasonForged},
		{"made by somebody else", item(otherKey, ok), reasonForged},
		{"no id at all", item("hello", ok), reasonForged},
		{"a megabyte of id", item(strings.Repeat("A", 15<<10), ok), reasonForged},
		{"key not in the ring", item(unknownKey, ok), reasonKey},
		{"expired", item(w.token(func(t *release.Token) { t.Time -= (72*time.Hour + time.Second).Milliseconds() }), ok), reasonExpired},
		{"of a model that is not here", item(w.token(func(t *release.Token) { t.Model++ }), ok), reasonModel},
		{"of another model than said", item(good, `"model":"images",`+ok), reasonForeign},
		{"unknown model", `{"model":"images","unit":"u",` + ok + `}`, reasonModel},
		{"no metric", item(good, `"value":1`), reasonNoMetric},
		{"long metric", item(good, `"value":1,"metric":"`+strings.Repeat("m", 129)+`"`), reasonTooLong},
		{"key beside an id", item(good, `"key":"k",`+ok), reasonSyntax},
		{"long key", `{"model":"credit","unit":"u","key":"` + strings.Repeat("k", 129) + `",` + ok + `}`, reasonTooLong},
		{"no value", item(good, `"metric":"m"`), reasonNoValue},
		{"null", item(good, `"metric":"m","value":null`), reasonNoValue},
		{"NaN", item(good, `"metric":"m","value":NaN`), reasonNotFinite},
		{"infinite", item(good, `"metric":"m","value":-Infinity`), reasonNotFinite},
		{"too large a number", item(good, `"metric":"m","value":1e999`), reasonNotFinite},
		{"object", item(good, `"metric":"m","value":{"a":1}`), reasonValue},
		{"array", item(good, `"metric":"m","value":[1]`), reasonValue},
		{"empty string", item(good, `"metric":"m","value":""`), reasonValue},
		{"long string", item(good, `"metric":"m","value":"`+strings.Repeat("v", 129)+`"`), reasonValue},
		{"no target", `{` + ok + `}`, reasonNoTarget},
		{"model without unit", `{"model":"credit",` + ok + `}`, reasonNoTarget},
		{"empty unit", `{"model":"credit","unit":"",` + ok + `}`, reasonUnit},
		{"long unit", `{"model":"credit","unit":"` + strings.Repeat("u", 1025) + `",` + ok + `}`, reasonUnit},
		{"unit of another type", `{"model":"credit","unit":[1],` + ok + `}`, reasonUnit},
		{"misspelt field", item(good, `"metrik":"m","value":1`), reasonSyntax},
		{"not JSON", `hello`, reasonSyntax},
		{"cut", `{"id":`, reasonSyntax},
		{"deep", strings.Repeat("[", 15_000), reasonSyntax},
		{"two on a line", item(good, ok) + item(good, ok), reasonSyntax},
		{"array of items", `[` + item(good, ok) + `]`, reasonSyntax},
		{"long line", item(good, `"metric":"m","value":1`+strings.Repeat(" ", 17<<10)), reasonTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := w.counter(nameFeedback, "result", string(c.want))
			got, rep := w.tell(c.item)
			if got.status != 422 || rep.Accepted != 0 || rep.Refused != 1 || rep.Refusals[0].Reason != c.want || rep.Refusals[0].Line != 1 {
				t.Errorf("got %d %s, want %s", got.status, got.body, c.want)
			}
			if got := w.counter(nameFeedback, "result", string(c.want)) - before; got != 1 {
				t.Errorf("counted %v", got)
			}
		})
	}
	if len(w.feedback.items) != 0 {
		t.Errorf("stored %+v", w.feedback.items)
	}
}

// What is good about a batch is stored, what is not is named by its line.
func TestFeedbackPartly(t *testing.T) {
	w := newWorld(t, credit(release.Whole))
	good := fmt.Sprintf(`{"id":%q,"metric":"m","value":1}`, w.token())
	got, rep := w.tell(good + "\n\nnonsense\r\n" + good + "\n{}\n" + good)
	lines := []int{}
	for _, r := range rep.Refusals {
		lines = append(lines, r.Line)
	}
	// The same id twice is for the tally to count once: another gateway may have taken the first.
	if got.status != 200 || rep.Accepted != 3 || rep.Refused != 2 || !slices.Equal(lines, []int{3, 5}) || len(w.feedback.items) != 3 {
		t.Errorf("got %s, stored %d", got.body, len(w.feedback.items))
	}
	if got, rep := w.tell("{\n \"id\": \"" + w.token() + "\",\n \"metric\": \"m\",\n \"value\": 1\n}\n"); got.status != 200 || rep.Accepted != 1 {
		t.Errorf("one object over several lines: %s", got.body)
	}
}

// An id of a release that this gateway has not heard of yet, and one from its future, are the
// fleet's all the same: it may lag behind, and its clock too.
func TestFeedbackFromAheadOfThisGateway(t *testing.T) {
	w := newWorld(t, credit(release.Whole))
	future := time.Now().Add(time.Hour).UnixMilli()
	id := w.token(func(t *release.Token) { t.Release, t.Stratum, t.Time = 8, 1, future })
	if got, rep := w.tell(fmt.Sprintf(`{"id":%q,"metric":"m","value":1}`, id)); got.status != 200 || rep.Accepted != 1 {
		t.Fatal(got)
	}
	if f := w.feedback.items[0].Feedback; f.Release != 8 || f.Exposed != future || f.Time != future {
		t.Errorf("stored %+v", f)
	}
}

func TestFeedbackKeyRotation(t *testing.T) {
	w := newWorld(t, credit(release.Whole))
	old := w.token()
	next, err := w.keys.Rotate([]byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	w.keys = next
	for _, id := range []string{old, w.token()} {
		if got, _ := w.tell(fmt.Sprintf(`{"id":%q,"metric":"m","value":1}`, id)); got.status != 200 {
			t.Errorf("got %+v", got)
		}
	}
}

func TestFeedbackIsDurableOr503(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, credit(release.Whole))
		good := fmt.Sprintf(`{"id":%q,"metric":"m","value":1}`, w.token())
		w.feedback.err = errors.New("nats: no responders at 10.0.0.1")
		got, _ := w.tell(good)
		if got.status != 503 || got.header.Get("Retry-After") != "2" || got.header.Get(HeaderError) != "feedback_unavailable" || strings.Contains(got.body, "nats") {
			t.Errorf("got %+v", got)
		}
		w.feedback.err, w.feedback.hang = nil, true
		begun := time.Now()
		if got, _ := w.tell(good); got.status != 503 || time.Since(begun) != 5*time.Second {
			t.Errorf("after %v: %+v", time.Since(begun), got)
		}
		if n := w.counter(nameFeedback, "result", "accepted"); n != 0 {
			t.Errorf("%v counted as accepted", n)
		}
	})
}

func TestFeedbackLimits(t *testing.T) {
	w := newWorld(t, credit(release.Whole))
	for _, c := range []struct {
		name, body string
		status     int
	}{
		{"empty", "", 400},
		{"blank", " \n \n", 400},
		{"too large", strings.Repeat("x", maxFeedbackBody+1), 413},
		{"too many", strings.Repeat("{}\n", maxFeedbackItems+1), 413},
	} {
		if got, _ := w.tell(c.body); got.status != c.status || got.header.Get(HeaderError) == "" {
			t.Errorf("%s: got %d %s", c.name, got.status, got.body)
		}
	}
	_, rep := w.tell(strings.Repeat("{}\n", maxFeedbackItems))
	if rep.Refused != maxFeedbackItems || len(rep.Refusals) != maxRefusals {
		t.Errorf("%d refused, %d listed", rep.Refused, len(rep.Refusals))
	}
}

func TestFeedbackBeforeRoutes(t *testing.T) {
	w := newWorld(t, nil)
	if got, _ := w.tell(`{}`); got.status != 503 {
		t.Errorf("got %+v", got)
	}
}

func TestHealth(t *testing.T) {
	full := SinkState{Queued: 1, Capacity: 10}
	w := newWorld(t, nil, func(o *Options) { o.SinkState = func() SinkState { return full } })
	state := func(path string) (int, Health) {
		got := w.do("GET", "/-/sluice/"+path, "")
		var h Health
		if err := json.Unmarshal([]byte(got.body), &h); err != nil {
			t.Fatal(got, err)
		}
		return got.status, h
	}
	if status, h := state("healthz"); status != 200 || h.Status != "notReady" {
		t.Errorf("%d %+v", status, h)
	}
	if status, _ := state("readyz"); status != 503 {
		t.Errorf("%d", status)
	}
	w.serve(credit(0, func(m *assign.RouteSpec) { m.Arms[1].Spec.Headers = map[string]release.Secret{"A": "missing"} }))
	status, h := state("readyz")
	if status != 200 || h.Generation != 5 || h.Lease != "none" || h.Status != "degraded" || !slices.Equal(h.Faults, []string{"credit/v2"}) || h.Sink.Queued != 1 {
		t.Errorf("%d %+v", status, h)
	}
	w.serve(credit(0))
	if _, h := state("readyz"); h.Status != "ok" {
		t.Errorf("%+v", h)
	}
	full.Queued = 10
	if status, h := state("readyz"); status != 200 || h.Status != "degraded" {
		t.Errorf("%d %+v", status, h)
	}
	if got := w.do("HEAD", "/-/sluice/healthz", ""); got.status != 200 || got.body != "" {
		t.Errorf("%+v", got)
	}
}

// Whatever is sent, an item that is accepted has a target, a name and a finite value, and a refusal
// has one of the listed reasons.
func FuzzFeedbackItem(f *testing.F) {
	for _, s := range []string{
		`{"id":"abc","metric":"m","value":1}`, `{"model":"m","unit":"u","metric":"m","value":"x"}`, `{"id":"a","metric":"m","value":NaN}`,
		`{"model":"m","unit":1e5,"metric":"m","value":false}`, `{"id":"a","metric":"m","value":1e400}`, `{`, `[]`, `null`, `"\ud800"`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		got, fault := decodeItem(line)
		if fault != nil {
			if !slices.Contains(reasons[:], fault.reason) || len(fault.detail) > 300 {
				t.Fatalf("fault %+v", fault)
			}
			return
		}
		if got.metric == "" || len(got.metric) > maxFeedbackName || got.text == "" || math.IsNaN(got.number) || math.IsInf(got.number, 0) {
			t.Fatalf("accepted %+v", got)
		}
		if got.id == "" && (got.model == "" || got.unit == "" || len(got.unit) > maxUnit) {
			t.Fatalf("accepted %+v", got)
		}
	})
}

// Items are the non-empty lines, or one object; no byte is in two of them.
func FuzzFeedbackItems(f *testing.F) {
	f.Add([]byte("{}\n{}\n"))
	f.Add([]byte("{\n\"a\":1\n}"))
	f.Add([]byte("\n\r\n  a \n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		last, size := 0, 0
		err := eachItem(body, func(line int, item []byte) {
			if line <= last || len(item) == 0 || strings.TrimSpace(string(item)) == "" {
				t.Fatalf("line %d after %d: %q", line, last, item)
			}
			last, size = line, size+len(item)
		})
		if size > len(body) || err != nil && !errors.Is(err, errTooMany) {
			t.Fatalf("%d bytes of %d, %v", size, len(body), err)
		}
	})
}

// A unit is never empty, too long or dependent on anything behind it; nothing that is sent panics.
func FuzzUnit(f *testing.F) {
	f.Add([]byte(`{"applicant":{"id":"u"}}`), "uid=1; b", "user=%41&x", "h")
	f.Add([]byte(`{"applicant":[`), ";;=", "%zz=&user", "")
	specs := []release.SelectorSpec{
		{Kind: release.SelectHeader, Name: "X-User-Id"},
		{Kind: release.SelectJSON, Name: "applicant.id"},
		{Kind: release.SelectCookie, Name: "uid"},
		{Kind: release.SelectQuery, Name: "user"},
	}
	f.Fuzz(func(t *testing.T, body []byte, cookie, query, header string) {
		r := &http.Request{Header: http.Header{"Cookie": {cookie}, "X-User-Id": {header}}}
		r.URL = urlWithQuery(query)
		unit, state := findUnit(specs, r, body)
		if (state == unitFound) != (unit != "") || len(unit) > maxUnit {
			t.Fatalf("unit %q, state %d", unit, state)
		}
	})
}

package server

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice.dev/sluice/examples/credit"
	"sluice.dev/sluice/examples/credit/scoring"
)

// reply is an answer or a refusal: all members that either may have.
type reply struct {
	Decision string   `json:"decision"`
	PBad     *float64 `json:"p_bad"`
	Version  string   `json:"version"`
	Status   any      `json:"status"`
	Type     string   `json:"type"`
	Title    string   `json:"title"`
	Detail   string   `json:"detail"`
	Errors   []fault  `json:"errors"`
}

func newServer(tb testing.TB, version string, change func(*Options)) *Server {
	tb.Helper()
	m, err := credit.Load(version)
	if err != nil {
		tb.Fatal(err)
	}
	o := Options{Version: version, Model: m}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func post(h http.Handler, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/credit", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func decode(tb testing.TB, w *httptest.ResponseRecorder) reply {
	tb.Helper()
	var got reply
	d := json.NewDecoder(w.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		tb.Fatalf("the answer is not JSON of this kind: %v", err)
	}
	return got
}

func requestBody(a credit.Applicant) string {
	return `{"applicant":{"id":"u1",` + string(a.AppendFields(nil)) + `}}`
}

func applicants(tb testing.TB) []credit.Applicant {
	tb.Helper()
	list, err := credit.Applicants()
	if err != nil {
		tb.Fatal(err)
	}
	return list
}

// TestAnswersAreTheModels sends every held-out applicant to every version.
func TestAnswersAreTheModels(t *testing.T) {
	for _, version := range credit.Versions() {
		s := newServer(t, version, nil)
		for _, a := range applicants(t) {
			w := post(s, requestBody(a))
			if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
				t.Fatalf("%s, row %d: %d %s: %s", version, a.Row, w.Code, w.Header(), w.Body)
			}
			want := s.scorer.model.Score(a.Features(s.scorer.model))
			got := decode(t, w)
			if got.PBad == nil || math.Abs(*got.PBad-want) > 5.1e-7 || got.Decision != scoring.Decide(want) || got.Version != version {
				t.Fatalf("%s, row %d: %+v, want P(bad) %.6f", version, a.Row, got, want)
			}
		}
	}
}

// TestMissingIsNullOrAbsent: null, absent and a category that the model does not know are the same.
func TestMissingIsNullOrAbsent(t *testing.T) {
	s := newServer(t, "v2", nil)
	want := post(s, `{"applicant":{"age":30,"income":100}}`).Body.String()
	for _, body := range []string{
		`{"applicant":{"age":30,"income":100,"home":null,"price":null,"id":null,"age_band":null}}`,
		`{"applicant":{"age":30,"income":100,"home":"castle","job":""}}`,
		` { "applicant" : { "income" : 1e2 , "age" : 30.0, "id":"x" } } `,
	} {
		if got := post(s, body); got.Code != http.StatusOK || got.Body.String() != want {
			t.Errorf("%s: %d %s, want %s", body, got.Code, got.Body, want)
		}
	}
	if other := post(s, `{"applicant":{"age":30,"income":100,"home":"owner"}}`); other.Body.String() == want {
		t.Error("a known category changes nothing")
	}
}

func TestModelWithoutFillRefusesMissingValues(t *testing.T) {
	m, err := scoring.Parse([]byte(`{"kind":"logistic","features":["age"],"weights":[1],"mean":[30],"scale":[10],"bias":0}`))
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, "v1", func(o *Options) { o.Model = m })
	if w := post(s, `{"applicant":{"age":30}}`); w.Code != http.StatusOK {
		t.Errorf("a whole applicant: %d %s", w.Code, w.Body)
	}
	if w := post(s, `{"applicant":{}}`); w.Code != http.StatusUnprocessableEntity {
		t.Errorf("a missing value: %d %s, want 422", w.Code, w.Body)
	}
}

func TestHealth(t *testing.T) {
	s := newServer(t, "v3", nil)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/healthz", nil))
	if got := decode(t, w); w.Code != http.StatusOK || got.Status != "ok" || got.Version != "v3" {
		t.Errorf("%d %+v", w.Code, got)
	}
}

func TestNewRefusesBadOptions(t *testing.T) {
	good, err := credit.Load("v1")
	if err != nil {
		t.Fatal(err)
	}
	parse := func(text string) *scoring.Model {
		m, err := scoring.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"no version", Options{Model: good}, "Version is empty"},
		{"no model", Options{Version: "v1"}, "Model is nil"},
		{"negative delay", Options{Version: "v1", Model: good, Delay: -1}, "Delay -1ns"},
		{"long delay", Options{Version: "v1", Model: good, Delay: time.Hour}, "Delay 1h"},
		{"sigma", Options{Version: "v1", Model: good, Sigma: math.NaN()}, "Sigma NaN"},
		{"fail rate", Options{Version: "v1", Model: good, FailRate: 1.1}, "FailRate 1.1"},
		{"foreign feature", Options{Version: "v1", Model: parse(
			`{"kind":"gbt-logistic","features":["height"],"base_margin":0,"trees":[[[1]]]}`)}, `"height"`},
		{"text as number", Options{Version: "v1", Model: parse(
			`{"kind":"gbt-logistic","features":["home"],"base_margin":0,"trees":[[[1]]]}`)}, `"home"`},
	} {
		if _, err := New(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.want)
		}
	}
}

// TestDelay runs in a bubble of synctest: its clock stands still but for the timers waited on.
func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, "v1", func(o *Options) { o.Delay, o.Sigma, o.Seed = 3*time.Millisecond, .25, 7 })
		var took []float64 // ms
		for range 2001 {
			start := time.Now()
			if w := post(s, `{"applicant":{}}`); w.Code != http.StatusOK {
				t.Fatal(w.Code)
			}
			took = append(took, float64(time.Since(start))/1e6)
		}
		slices.Sort(took)
		// 5 standard errors of a sample quantile: median 1.25 sigma/sqrt(n), p95 2.11 sigma/sqrt(n), both relative.
		if m := took[1000]; math.Abs(m/3-1) > .035 {
			t.Errorf("median %.3f ms, want 3", m)
		}
		if q, want := took[1900], 3*math.Exp(.25*1.6449); math.Abs(q/want-1) > .06 {
			t.Errorf("p95 %.3f ms, want %.3f", q, want)
		}
		start := time.Now()
		if w := post(s, `{"applicant":{"age":-1}}`); w.Code != 422 || time.Since(start) != 0 {
			t.Errorf("a refusal: %d after %v, want 422 at once", w.Code, time.Since(start))
		}
	})
}

func TestDelayEndsWithTheRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, "v1", func(o *Options) { o.Delay = time.Minute })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/credit", strings.NewReader(`{"applicant":{}}`))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		start := time.Now()
		s.ServeHTTP(w, r)
		if got := time.Since(start); got != time.Second || w.Code != http.StatusServiceUnavailable {
			t.Errorf("%d after %v, want 503 after 1 s", w.Code, got)
		}
	})
}

func TestFailures(t *testing.T) {
	outcome := func(seed uint64) (codes []int) {
		s := newServer(t, "v1", func(o *Options) { o.FailRate, o.Seed = .2, seed })
		for range 2000 {
			codes = append(codes, post(s, `{"applicant":{}}`).Code)
		}
		return codes
	}
	first := outcome(1)
	failed := 0
	for _, c := range first {
		switch c {
		case http.StatusInternalServerError:
			failed++
		case http.StatusOK:
		default:
			t.Fatalf("status %d", c)
		}
	}
	if failed < 310 || failed > 490 { // 400 +- 5 standard deviations
		t.Errorf("%d of 2000 failed, want about 400", failed)
	}
	if !slices.Equal(first, outcome(1)) {
		t.Error("the same seed fails other requests")
	}
	if slices.Equal(first, outcome(2)) {
		t.Error("another seed fails the same requests")
	}
}

// TestOverTheWire checks what httptest's recorder cannot: a body longer than allowed over a real connection, and
// that the server lives on.
func TestOverTheWire(t *testing.T) {
	ts := httptest.NewUnstartedServer(nil)
	ts.Config = HTTPServer(newServer(t, "v2", nil))
	ts.Start()
	defer ts.Close()
	send := func(body io.Reader) int {
		resp, err := ts.Client().Post(ts.URL+"/credit", "application/json", body)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode
	}
	// A little above the limit: the client is done sending before the server closes on it.
	long := `{"applicant":{"id":"` + strings.Repeat("x", MaxBody) + `"}}`
	if got := send(strings.NewReader(long)); got != http.StatusRequestEntityTooLarge {
		t.Errorf("a long body: %d, want 413", got)
	}
	if got := send(io.LimitReader(strings.NewReader(long), MaxBody+1)); got != http.StatusRequestEntityTooLarge {
		t.Errorf("a long body in chunks: %d, want 413", got)
	}
	if got := send(strings.NewReader(`{"applicant":{}}`)); got != http.StatusOK {
		t.Errorf("afterwards: %d, want 200", got)
	}
}

func BenchmarkHandler(b *testing.B) {
	for _, version := range []string{"v1", "v2", "v3"} {
		b.Run("version="+version, func(b *testing.B) {
			s := newServer(b, version, nil)
			body := requestBody(applicants(b)[0])
			b.ReportAllocs()
			for b.Loop() {
				if w := post(s, body); w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		})
	}
}

package suite_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"sluice.dev/sluice/examples/credit"
	"sluice.dev/sluice/examples/credit/server"
	"sluice.dev/sluice/internal/suite"
)

func creditSuite(t *testing.T) *suite.Suite {
	t.Helper()
	text, err := suite.BundleFS(credit.Files, "suite.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, err := suite.Unbundle(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func creditServer(t *testing.T, version string) http.Handler {
	t.Helper()
	m, err := credit.Load(version)
	if err != nil {
		t.Fatal(err)
	}
	h, err := server.New(server.Options{Version: version, Model: m})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestCreditVersionsPass: the example's suite is of form and function, so that v3, whose fault shows in
// service only, passes as well.
func TestCreditVersionsPass(t *testing.T) {
	s := creditSuite(t)
	var all sync.WaitGroup // side by side: most of the time is waiting
	defer all.Wait()
	for _, version := range credit.Versions() {
		h := creditServer(t, version)
		all.Go(func() {
			srv := httptest.NewServer(h)
			defer srv.Close()
			report, err := suite.Run(context.Background(), s, suite.Options{BaseURL: srv.URL})
			if err != nil {
				t.Error(err)
				return
			}
			if !report.Passed() {
				t.Errorf("%s\n%s", version, table(t, report))
			}
			if n := report.RequiredCount(); n != 26 {
				t.Errorf("%s: %d required cases ran, want 26", version, n)
			}
		})
	}
}

// TestCreditFindsBrokenVersions: what is wrong is said in words.
func TestCreditFindsBrokenVersions(t *testing.T) {
	s := creditSuite(t)
	sound := creditServer(t, "v2")
	var all sync.WaitGroup
	defer all.Wait()
	for _, c := range []struct {
		name string
		h    http.Handler
		want []string // family/name: words
	}{
		{"every third request fails", server500(t), []string{
			"functional/held-out applicants: of 100 rows failed, first row",
			"performance/a working day's load: x status 500",
		}},
		{"probabilities in percent", answers(sound, `"p_bad":`, `"p_bad":100`), []string{
			"functional/answers with a decision: at '/p_bad': maximum",
			"functional/held-out applicants: want at most 1",
		}},
		{"another word", answers(sound, "deny", "refuse"), []string{
			`functional/held-out applicants: decision is "refuse", want one of ["approve","deny"]`,
		}},
		{"always the same", constant(`{"decision":"approve","p_bad":0.5,"version":"v2"}`), []string{
			"functional/held-out applicants: ranks better than chance: auc 0.500",
			"functional/held-out applicants: decides both ways: 100 of 100",
			"exception/battery: truncated: status 200, want a refusal by 4xx",
		}},
		{"no JSON", constant("hello"), []string{
			"functional/everything may be missing: the body is not JSON: hello",
			"exception/battery: the sound request fails already",
		}},
	} {
		all.Go(func() {
			srv := httptest.NewServer(c.h)
			defer srv.Close()
			report, err := suite.Run(context.Background(), s, suite.Options{BaseURL: srv.URL})
			if err != nil {
				t.Error(err)
				return
			}
			if report.Passed() {
				t.Errorf("%s: passed", c.name)
			}
			for _, want := range c.want {
				if !said(report, want) {
					t.Errorf("%s: no failure says %q in\n%s", c.name, want, table(t, report))
				}
			}
		})
	}
}

// said looks for a result "family/name: words" that is not passed.
func said(r *suite.Report, want string) bool {
	for _, c := range r.Results {
		words, ok := strings.CutPrefix(want, string(c.Family)+"/"+c.Name+": ")
		if ok && c.Status != suite.Passed && strings.Contains(c.Message+strings.Join(c.Details, "\n"), words) {
			return true
		}
	}
	return false
}

func server500(t *testing.T) http.Handler {
	t.Helper()
	m, err := credit.Load("v2")
	if err != nil {
		t.Fatal(err)
	}
	h, err := server.New(server.Options{Version: "v2", Model: m, FailRate: 0.3, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// answers changes the answers of a sound server.
func answers(h http.Handler, from, to string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
		w.WriteHeader(rec.Code)
		_, _ = io.WriteString(w, strings.ReplaceAll(rec.Body.String(), from, to))
	})
}

func constant(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text)
	})
}

func table(t *testing.T, r *suite.Report) string {
	t.Helper()
	var b strings.Builder
	if err := r.WriteTable(&b); err != nil {
		t.Error(err)
	}
	return b.String()
}

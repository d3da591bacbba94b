package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

const file = `
apiVersion: sluice.dev/v1alpha1
kind: Model
metadata: {name: credit}
spec:
  match: {path: /credit}
  dialect: json
  unit: {from: [header:X-User-Id]}
  versions:
    v1: {url: "http://127.0.0.1:9101"}
    v2: {url: "http://127.0.0.1:9102"}
  live: v1
  metrics:
    - {name: errors, source: error, direction: lower, margin: 0.5pp, role: guardrail}
  plan:
    steps:
      - pause: {}
      - canary: {shares: [50%], hold: 10m, deadline: 1h}
      - production: {watch: 1h}
`

// fixture is a server with a token per role.
type fixture struct {
	*httptest.Server
	records *records.Records
	tokens  map[string]string
	salts   int
	past    atomic.Int64 // nanoseconds since t0 plus a minute
}

func (f *fixture) now() time.Time { return t0.Add(time.Minute + time.Duration(f.past.Load())) }

func open(t *testing.T, change ...func(*api.Options)) *fixture {
	t.Helper()
	f := &fixture{records: records.New(store.NewMemory()), tokens: map[string]string{}}
	for _, role := range []string{records.Viewer, records.Operator, records.Admin} {
		_, clear, err := f.records.CreateToken(t.Context(), records.Token{Name: role + "-person", Role: role}, t0)
		if err != nil {
			t.Fatal(err)
		}
		f.tokens[role] = clear
	}
	o := api.Options{
		Records: f.records, Now: f.now, Log: slog.New(slog.DiscardHandler),
		Salt: func() string { f.salts++; return fmt.Sprint("salt", f.salts) }, Version: "test",
	}
	for _, c := range change {
		c(&o)
	}
	f.Server = httptest.NewServer(api.New(o))
	t.Cleanup(f.Close)
	return f
}

func (f *fixture) client(role string) *api.Client {
	return &api.Client{Base: f.URL, Token: f.tokens[role]}
}

// call sends a raw call and returns status and problem.
func (f *fixture) call(t *testing.T, role, method, path, body string) (int, api.Problem) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if role != "" {
		req.Header.Set("Authorization", "Bearer "+f.tokens[role])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var p api.Problem
	if resp.StatusCode >= 400 {
		if ct := resp.Header.Get("Content-Type"); ct != "application/problem+json" {
			t.Errorf("%s %s: an error of type %q", method, path, ct)
		}
		if err := json.Unmarshal(b, &p); err != nil || p.Status != resp.StatusCode || p.Detail == "" {
			t.Errorf("%s %s: %q is no problem: %v", method, path, b, err)
		}
	}
	return resp.StatusCode, p
}

func TestLifeThroughTheClient(t *testing.T) {
	f := open(t)
	op := f.client(records.Operator)
	applied, err := op.Apply(t.Context(), api.ApplyRequest{Name: "m.yaml", File: file})
	if err != nil || !applied.Created || !applied.Changed {
		t.Fatalf("%+v, %v", applied, err)
	}
	if again, err := op.Apply(t.Context(), api.ApplyRequest{File: file}); err != nil || again.Changed {
		t.Fatalf("again: %+v, %v", again, err)
	}
	rel, err := op.Start(t.Context(), "credit", api.StartRequest{To: "v2", Reason: "better"})
	if err != nil || rel.Number != 1 || len(rel.Steps) != 3 {
		t.Fatalf("%+v, %v", rel, err)
	}
	if rel, err = op.Command(t.Context(), "credit", 0, "promote", api.CommandRequest{Reason: "seen enough"}); err != nil || rel.Share != release.Whole/2 {
		t.Fatalf("%+v, %v", rel, err)
	}
	if rel, err = op.Command(t.Context(), "credit", 1, "abort", api.CommandRequest{Reason: "no"}); err != nil || rel.Phase != rollout.RolledBack {
		t.Fatalf("%+v, %v", rel, err)
	}
	full, err := f.client(records.Viewer).Release(t.Context(), "credit", 1)
	if err != nil || len(full.Decisions) != 3 || full.Decisions[2].By != "operator-person" || full.Decisions[2].Address != "127.0.0.1" {
		t.Fatalf("%+v, %v", full.Decisions, err)
	}
	audit, err := f.client(records.Viewer).Verify(t.Context(), "credit")
	if err != nil || !audit.OK || audit.Decisions != 3 {
		t.Fatalf("%+v, %v", audit, err)
	}
	models, err := f.client(records.Viewer).Models(t.Context())
	if err != nil || len(models) != 1 || models[0].Live != "v1" || models[0].Current.Phase != rollout.RolledBack {
		t.Fatalf("%+v, %v", models, err)
	}
}

func TestFaultsNameLines(t *testing.T) {
	f := open(t)
	_, err := f.client(records.Operator).Apply(t.Context(), api.ApplyRequest{Name: "m.yaml", File: strings.Replace(file, "margin: 0.5pp", "margin: 0.5bits", 1)})
	if release.KindOf(err) != release.KindInvalid || !strings.Contains(err.Error(), "m.yaml:14:63: metrics[0].margin") {
		t.Fatalf("%v", err)
	}
	if _, err := f.records.Model(t.Context(), "credit"); release.KindOf(err) != release.KindNotFound {
		t.Fatalf("a faulty file was stored: %v", err)
	}
}

// TestRefusals is the table of what must not work, with the status that says why. Nothing is changed
// by any of them.
func TestRefusals(t *testing.T) {
	f := open(t)
	op := f.client(records.Operator)
	if _, err := op.Apply(t.Context(), api.ApplyRequest{File: file}); err != nil {
		t.Fatal(err)
	}
	if _, err := op.Start(t.Context(), "credit", api.StartRequest{To: "v2"}); err != nil {
		t.Fatal(err)
	}
	const rel = "/api/v1/models/credit/releases"
	big := `{"reason":"` + strings.Repeat("x", 70_000) + `"}`
	for _, c := range []struct {
		name, role, method, path, body string
		status                         int
		words                          string
	}{
		{"no token", "", "GET", "/api/v1/models", "", 401, "bearer token is needed"},
		{"a viewer commands", "viewer", "POST", rel + "/1:abort", `{"reason":"x"}`, 403, "operator"},
		{"a viewer applies", "viewer", "PUT", "/api/v1/models", `{"file":"x"}`, 403, "operator"},
		{"an operator makes tokens", "operator", "POST", "/api/v1/tokens", `{"name":"x","role":"admin"}`, 403, "admin"},
		{"unknown model", "viewer", "GET", "/api/v1/models/nope", "", 404, `no model "nope"`},
		{"unknown release", "viewer", "GET", rel + "/7", "", 404, "no release 7"},
		{"no number", "viewer", "GET", rel + "/x", "", 404, "not a release number"},
		{"path traversal", "viewer", "GET", "/api/v1/models/..%2f..%2ftoken/releases/1", "", 404, ""},
		{"unknown path", "viewer", "GET", "/api/v1/nope", "", 404, "not part of the API"},
		{"unknown verb", "operator", "POST", rel + "/1:explode", `{"reason":"x"}`, 404, "promote, pause"},
		{"no reason", "operator", "POST", rel + "/1:abort", `{"reason":"  "}`, 400, "a reason is needed"},
		{"empty body", "operator", "POST", rel + "/1:abort", "", 400, "empty"},
		{"unknown field", "operator", "POST", rel + "/1:abort", `{"reason":"x","force":true}`, 400, "force"},
		{"two objects", "operator", "POST", rel + "/1:abort", `{"reason":"x"}{}`, 400, "after the JSON object"},
		{"no JSON", "operator", "POST", rel + "/1:abort", `reason=x`, 400, ""},
		{"too large", "operator", "POST", rel + "/1:abort", big, 413, "larger"},
		{"a second release", "operator", "POST", rel, `{"to":"v2"}`, 409, "release 1 is running"},
		{"approve what waits for no approval", "operator", "POST", rel + "/1:approve", `{"reason":"x"}`, 409, ""},
		{"undo nothing", "operator", "POST", "/api/v1/models/credit:undo", `{"reason":"x"}`, 409, ""},
		{"no version", "operator", "POST", rel, `{}`, 400, "missing"},
		{"unknown role", "admin", "POST", "/api/v1/tokens", `{"name":"x","role":"god"}`, 422, "viewer, operator or admin"},
		{"unknown token", "admin", "DELETE", "/api/v1/tokens/0000000000000000", "", 404, "no token"},
		{"no report", "viewer", "GET", rel + "/1/report", "", 404, "no test report"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, err := f.records.Release(t.Context(), "credit", 1)
			if err != nil {
				t.Fatal(err)
			}
			status, p := f.call(t, c.role, c.method, c.path, c.body)
			if status != c.status || !strings.Contains(p.Detail+" "+p.Remedy, c.words) {
				t.Errorf("%s %s: %d %+v, want %d with %q", c.method, c.path, status, p, c.status, c.words)
			}
			after, err := f.records.Release(t.Context(), "credit", 1)
			if err != nil || after.Revision != before.Revision {
				t.Errorf("a refused call changed the release: %v", err)
			}
		})
	}
}

func TestForgedTokensAreRefused(t *testing.T) {
	f := open(t)
	for _, token := range []string{"", "x", "slc_", f.tokens[records.Admin] + "x", strings.ToUpper(f.tokens[records.Admin])} {
		_, err := (&api.Client{Base: f.URL, Token: token}).Models(t.Context())
		if release.KindOf(err) != release.KindDenied {
			t.Errorf("token %q: %v", token, err)
		}
	}
}

func TestWatchSeesChanges(t *testing.T) {
	f := open(t)
	op := f.client(records.Operator)
	if _, err := op.Apply(t.Context(), api.ApplyRequest{File: file}); err != nil {
		t.Fatal(err)
	}
	if _, err := op.Start(t.Context(), "credit", api.StartRequest{To: "v2"}); err != nil {
		t.Fatal(err)
	}
	seen := 0
	err := op.Watch(t.Context(), "credit", func(r api.Release) bool {
		if seen++; seen == 1 {
			go func() { _, _ = op.Command(t.Context(), "credit", 1, "abort", api.CommandRequest{Reason: "stop"}) }()
		}
		return !r.Phase.Ended()
	})
	if err != nil || seen < 2 {
		t.Fatalf("saw %d states, %v", seen, err)
	}
}

func FuzzCommandBody(f *testing.F) {
	fx := &fixture{records: records.New(store.NewMemory())}
	_, clear, err := fx.records.CreateToken(f.Context(), records.Token{Name: "x", Role: records.Admin}, t0)
	if err != nil {
		f.Fatal(err)
	}
	h := api.New(api.Options{Records: fx.records, Now: func() time.Time { return t0 }, Log: slog.New(slog.DiscardHandler), Salt: func() string { return "s" }})
	f.Add("POST", "/api/v1/models/credit/releases/1:abort", `{"reason":"x"}`)
	f.Add("PUT", "/api/v1/models", `{"file":"kind: Model","files":{"a":"b"}}`)
	f.Add("POST", "/api/v1/tokens", `{"name":"a","role":"viewer","expires":"1h"}`)
	f.Fuzz(func(t *testing.T, method, path, body string) {
		if strings.ContainsAny(path, " \x00?#%") || !strings.HasPrefix(path, "/") || strings.HasSuffix(path, "stream") {
			t.Skip()
		}
		req, err := http.NewRequest(method, "http://sluice"+path, strings.NewReader(body))
		if err != nil {
			t.Skip()
		}
		req.Header.Set("Authorization", "Bearer "+clear)
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req.WithContext(t.Context()))
		if w.Code >= 500 {
			t.Fatalf("%s %s %q: %d %s", method, path, body, w.Code, w.Body)
		}
	})
}

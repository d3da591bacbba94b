package api_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
)

// TestFuzzedBodiesAreNeverOurFault sends wrong JSON of many kinds to every route of the document: the answer is a 4xx with a
// problem, and nothing has changed.
func TestFuzzedBodiesAreNeverOurFault(t *testing.T) {
	f := running(t)
	doc := f.send(t, "GET", "/api/openapi.json", "")
	var paths struct {
		Paths map[string]map[string]any `json:"paths"`
	}
	if err := json.Unmarshal([]byte(doc.body), &paths); err != nil {
		t.Fatal(err)
	}
	before := f.revision(t)
	fill := strings.NewReplacer("{model}", "credit", "{n}", "1", "{id}", "0123456789abcdef")
	rng := rand.New(rand.NewPCG(1, 2))
	sent := 0
	for path, methods := range paths.Paths {
		for method := range methods {
			method = strings.ToUpper(method)
			if method == http.MethodGet {
				continue
			}
			for _, body := range wrongBodies(rng) {
				r := f.send(t, method, fill.Replace(path), body, "Authorization", f.bearer(records.Admin))
				sent++
				if r.status < 400 && method != http.MethodDelete || r.status >= 500 {
					t.Errorf("%s %s %.80q: %d %.200s", method, path, body, r.status, r.body)
				}
			}
		}
	}
	if sent < 200 || f.revision(t) != before {
		t.Errorf("%d calls, revision %d after %d", sent, f.revision(t), before)
	}
}

func wrongBodies(rng *rand.Rand) []string {
	out := []string{
		"null", "[]", `""`, "1e999", "{", `{"reason":`, `{"reason":1}`, `{"reason":null}`, `{"to":{}}`, `{"file":[]}`, `{"token":true}`, `{"expires":"x"}`, `{"expires":-1}`,
		`{"plan":{"steps":[{}]},"reason":"x","nope":1}`, "\xff\xfe", `{"reason":"\ud800"` + "\x00}", `{"name":"x","role":"y"}{}`, strings.Repeat(`{"a":`, 200),
	}
	const letters = `{}[]":,0123456789.eE+-truefalsn "\u00reasonfilekyd`
	for range 6 {
		b := make([]byte, 1+rng.IntN(60))
		for i := range b {
			b[i] = letters[rng.IntN(len(letters))]
		}
		out = append(out, string(b))
	}
	return out
}

// TestUnknownIDs: every route that names something answers 404 for what does not exist.
func TestUnknownIDs(t *testing.T) {
	f := running(t)
	for _, c := range [][3]string{
		{"GET", "/api/v1/models/nope", ""},
		{"GET", "/api/v1/models/nope/releases", ""},
		{"GET", "/api/v1/models/nope/releases/1", ""},
		{"GET", "/api/v1/models/credit/releases/9", ""},
		{"GET", "/api/v1/models/credit/releases/9/report", ""},
		{"GET", "/api/v1/models/credit/releases/9/series", ""},
		{"GET", "/api/v1/models/nope/releases/1/series", ""},
		{"GET", "/api/v1/models/nope/audit", ""},
		{"GET", "/api/v1/models/nope/audit/verify", ""},
		{"GET", "/api/v1/audit?model=nope", ""},
		{"POST", "/api/v1/models/nope:undo", `{"reason":"x"}`},
		{"POST", "/api/v1/models/nope/releases", `{"to":"v2"}`},
		{"POST", "/api/v1/models/credit/releases/9:abort", `{"reason":"x"}`},
		{"DELETE", "/api/v1/tokens/0123456789abcdef", ""},
		{"POST", "/api/v1/tokens/0123456789abcdef:rotate", `{}`},
		{"POST", "/api/v1/tokens/0123456789abcdef:explode", `{}`},
		{"POST", "/api/v1/simulate", `{"model":"nope"}`},
		{"GET", "/api/v1/models/credit/releases/4294967296", ""},
		{"GET", "/api/v1/models/credit/releases/-1", ""},
		{"GET", "/api/v1/oidc/login", ""},
	} {
		f.wantRefused(t, c[0]+" "+c[1], f.send(t, c[0], c[1], c[2], "Authorization", f.bearer(records.Admin)), 404, "")
	}
}

// TestIfMatch: a change of something that has moved on meanwhile is refused with 412 and changes nothing.
func TestIfMatch(t *testing.T) {
	f := running(t)
	auth := []string{"Authorization", f.bearer(records.Operator)}
	get := func(path string) string {
		t.Helper()
		r := f.send(t, "GET", path, "", auth...)
		if r.header.Get("ETag") == "" {
			t.Fatalf("%s has no ETag: %d", path, r.status)
		}
		return r.header.Get("ETag")
	}
	const rel = "/api/v1/models/credit/releases/1"
	seen := get(rel)
	r := f.send(t, "POST", rel+":pause", `{"reason":"x"}`, append(auth, "If-Match", seen)...)
	if r.status != 409 && r.status != 200 { // the plan begins with a pause
		t.Fatalf("%d %s", r.status, r.body)
	}
	r = f.send(t, "POST", rel+":promote", `{"reason":"x"}`, append(auth, "If-Match", get(rel))...)
	if r.status != 200 || r.header.Get("ETag") == seen || r.header.Get("ETag") != get(rel) {
		t.Fatalf("%d %s", r.status, r.body)
	}
	before := f.revision(t)
	f.wantRefused(t, "a stale command", f.send(t, "POST", rel+":abort", `{"reason":"x"}`, append(auth, "If-Match", seen)...), 412, "changed since it was read")
	if f.revision(t) != before {
		t.Error("a stale command changed the release")
	}
	model := get("/api/v1/models/credit")
	body := mustJSON(t, api.ApplyRequest{File: strings.Replace(file, "0.5pp", "0.6pp", 1)})
	if r := f.send(t, "PUT", "/api/v1/models", body, append(auth, "If-Match", model)...); r.status != 200 || r.header.Get("ETag") == model {
		t.Errorf("%d %s", r.status, r.body)
	}
	f.wantRefused(t, "a stale file", f.send(t, "PUT", "/api/v1/models", body, append(auth, "If-Match", model)...), 412, "changed since")
	f.wantRefused(t, "only a new one", f.send(t, "PUT", "/api/v1/models", body, append(auth, "If-None-Match", "*")...), 412, "changed since")
	f.wantRefused(t, "a start from a stale file", f.send(t, "POST", "/api/v1/models/credit/releases", `{"to":"v2"}`, append(auth, "If-Match", model)...), 412, "changed since")
}

// TestIdempotencyKey: a call that is repeated under its key is done once, also when both arrive at the same time.
func TestIdempotencyKey(t *testing.T) {
	f := open(t)
	auth := []string{"Authorization", f.bearer(records.Operator)}
	if r := f.send(t, "PUT", "/api/v1/models", mustJSON(t, api.ApplyRequest{File: file}), append(auth, "Idempotency-Key", "apply")...); r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	start := func(key, body string) raw {
		return f.send(t, "POST", "/api/v1/models/credit/releases", body, append(auth, "Idempotency-Key", key)...)
	}
	first := start("k1", `{"to":"v2"}`)
	again := start("k1", `{"to":"v2"}`)
	if first.status != 201 || again.status != 201 || again.body != first.body || again.header.Get("Idempotency-Replayed") != "true" || again.header.Get("ETag") != first.header.Get("ETag") {
		t.Fatalf("%d %s\n%d %s", first.status, first.body, again.status, again.body)
	}
	f.wantRefused(t, "another body", start("k1", `{"to":"v1"}`), 422, "another call")
	f.wantRefused(t, "another key", start("k2", `{"to":"v2"}`), 409, "release 1 is running")
	f.wantRefused(t, "a failed call is tried again", start("k2", `{"to":"v2"}`), 409, "release 1 is running")
	other := f.send(t, "POST", "/api/v1/models/credit/releases", `{"to":"v2"}`, "Authorization", f.bearer(records.Admin), "Idempotency-Key", "k1")
	f.wantRefused(t, "somebody else's key of the same name", other, 409, "release 1 is running")

	var wg sync.WaitGroup
	codes := make([]int, 8)
	for i := range codes {
		wg.Go(func() {
			codes[i] = f.send(t, "POST", "/api/v1/models/credit/releases/1:promote", `{"reason":"x"}`, append(auth, "Idempotency-Key", "p")...).status
		})
	}
	wg.Wait()
	for _, code := range codes {
		if code != 200 && code != 409 { // 409: the same call is being done
			t.Errorf("%d", code)
		}
	}
	got, err := f.records.DecisionsOf(t.Context(), "credit", 1)
	if err != nil || len(got) != 2 {
		t.Errorf("%d decisions after eight promotions under one key, %v", len(got), err)
	}
}

// TestPagesOfAThousand: lists come in pages that hold everything once.
func TestPagesOfAThousand(t *testing.T) {
	f := open(t)
	const models = 230
	m, faults := release.ParseModel("m.yaml", []byte(file))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	who := records.Who{Name: "x", Role: records.Operator}
	for i := range models {
		one := *m.Normalise()
		one.Metadata.Name = fmt.Sprintf("m%04d", i)
		if _, _, err := f.records.PutModel(t.Context(), &one, who, t0); err != nil {
			t.Fatal(err)
		}
	}
	for range 120 { // releases of one model, 119 of them ended
		rel, _, err := f.records.Start(t.Context(), records.StartParams{Model: "m0007", Candidate: "v2", Reason: "x", Who: who, Now: t0, Salt: "s"})
		if err != nil {
			t.Fatal(err)
		}
		if rel.State.Number < 120 {
			cmd := rollout.Command{Kind: rollout.CmdAbort, By: "x", Role: records.Operator, Reason: "x"}
			if _, _, err := f.records.Apply(t.Context(), "m0007", rel.State.Number, rollout.Input{Now: t0.Add(time.Second), Command: &cmd}, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := f.client(records.Viewer)
	all, err := c.Models(t.Context())
	if err != nil || len(all) != models || all[0].Name != "m0000" || all[models-1].Name != "m0229" {
		t.Errorf("%d models, %v", len(all), err)
	}
	releases, err := c.Releases(t.Context(), "m0007")
	if err != nil || len(releases) != 120 || releases[0].Number != 1 {
		t.Errorf("%d releases, %v", len(releases), err)
	}
	decisions, err := c.Audit(t.Context(), "m0007")
	if err != nil || len(decisions) != 239 {
		t.Errorf("%d decisions, %v", len(decisions), err)
	}
	auth := []string{"Authorization", f.bearer(records.Viewer)}
	for path, want := range map[string]int{
		"/api/v1/models": 100, "/api/v1/models?limit=500": models, "/api/v1/models?q=m00": 100, "/api/v1/models?q=m001": 10, "/api/v1/models?running=true": 1, "/api/v1/models?phase=running": 1,
		"/api/v1/models?phase=ended": 0, "/api/v1/models/m0007/releases?phase=ended&limit=500": 119, "/api/v1/models/m0007/releases?order=desc&limit=1": 1,
		"/api/v1/audit?what=start&limit=500": 120, "/api/v1/audit?release=3&model=m0007": 2, "/api/v1/audit?by=nobody": 0, "/api/v1/audit?q=M0007&limit=7": 7,
	} {
		r := f.send(t, "GET", path, "", auth...)
		var page struct{ Items []json.RawMessage }
		if err := json.Unmarshal([]byte(r.body), &page); err != nil || len(page.Items) != want {
			t.Errorf("%s: %d items, want %d; %d %.200s", path, len(page.Items), want, r.status, r.body)
		}
	}
	if r := f.send(t, "GET", "/api/v1/audit?format=jsonl", "", auth...); strings.Count(r.body, "\n") != 239 {
		t.Errorf("the export has %d lines", strings.Count(r.body, "\n"))
	}
	if r := f.send(t, "GET", "/api/v1/models/m0007/audit?format=csv", "", auth...); strings.Count(r.body, "\n") != 240 {
		t.Errorf("the table has %d lines", strings.Count(r.body, "\n"))
	}
}

// TestStreamResumes: who comes back with the id of the last event gets what has changed since, and nothing else.
func TestStreamResumes(t *testing.T) {
	f := running(t)
	listen := func(id string) (next func() (string, string), end func()) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.URL+"/api/v1/stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		cookie, _, _ := f.session(t, records.Viewer)
		req.Header.Set("Cookie", cookie) // as EventSource does
		if id != "" {
			req.Header.Set("Last-Event-ID", id)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatal(resp, err)
		}
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		return func() (id, data string) {
			for lines.Scan() {
				switch text := lines.Text(); {
				case strings.HasPrefix(text, "id: "):
					id = text[4:]
				case strings.HasPrefix(text, "data: "):
					return id, text[6:]
				}
			}
			t.Fatalf("the stream ended: %v", lines.Err())
			return
		}, func() { _ = resp.Body.Close() }
	}
	next, end := listen("")
	id, data := next()
	if !strings.Contains(data, `"decisionCount":1`) {
		t.Errorf("%s", data)
	}
	if _, err := f.client(records.Operator).Command(t.Context(), "credit", 1, "promote", api.CommandRequest{Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	second, data := next()
	if second == id || !strings.Contains(data, `"decisionCount":2`) {
		t.Errorf("%s %s", second, data)
	}
	end()
	next, end = listen(id)
	if got, _ := next(); got != second {
		t.Errorf("after %s comes %s, want %s", id, got, second)
	}
	end()
	next, end = listen("another-7")
	if got, _ := next(); got != second {
		t.Errorf("an id of another process: %s", got)
	}
	end()
	if _, err := f.client(records.Operator).Command(t.Context(), "credit", 1, "abort", api.CommandRequest{Reason: "x"}); err != nil {
		t.Fatal(err)
	}
	next, end = listen("") // after a while without listeners
	if _, data := next(); !strings.Contains(data, `"RolledBack"`) {
		t.Errorf("a new stream begins with a state of the past: %s", data)
	}
	end()
}

// TestEveryCommandIsOnRecord: person, role, time, reason and address of each.
func TestEveryCommandIsOnRecord(t *testing.T) {
	f := running(t)
	cookie, csrf, _ := f.session(t, records.Operator)
	r := f.send(t, "POST", abort, `{"reason":"enough seen"}`, "Cookie", cookie, "X-Sluice-Csrf", csrf)
	if r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	got, err := f.records.DecisionsOf(t.Context(), "credit", 1)
	if err != nil {
		t.Fatal(err)
	}
	last := got[len(got)-1]
	if last.By != "operator-person" || last.Role != records.Operator || last.Address != "127.0.0.1" || !last.Time.Equal(f.now()) || !strings.Contains(last.Reason, "enough seen") {
		t.Errorf("%+v", last)
	}
	if r := f.send(t, "POST", "/api/v1/tokens", `{"name":"ci","role":"viewer","reason":"for the build"}`, "Authorization", f.bearer(records.Admin)); r.status != 201 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	r = f.send(t, "GET", "/api/v1/acts", "", "Authorization", f.bearer(records.Admin))
	var acts api.ActPage
	if err := json.Unmarshal([]byte(r.body), &acts); err != nil || !acts.OK || len(acts.Items) != 5 {
		t.Fatalf("%v %s", err, r.body)
	}
	if a := acts.Items[0]; a.By != "admin-person" || a.Role != records.Admin || a.Address != "127.0.0.1" || a.Reason != "for the build" || a.What != "token.create" {
		t.Errorf("%+v", a)
	}
	if a := acts.Items[1]; a.What != "apply" || a.By != "operator-person" || a.Subject != "credit" {
		t.Errorf("%+v", a)
	}
}

// TestSimulateOverTheWire: bounded in runs and in concurrency, cancelled with its client.
func TestSimulateOverTheWire(t *testing.T) {
	f := running(t)
	c := f.client(records.Viewer)
	req := api.SimulateRequest{Model: "credit"}
	req.Runs, req.Users, req.Rate = 2, 200, 5
	out, err := c.Simulate(t.Context(), req)
	if err != nil || out.Report == nil || out.Report.Runs != 2 || len(out.Ends) != 2 {
		t.Fatalf("%+v, %v", out, err)
	}
	req.Runs = 1_000_000
	if _, err := c.Simulate(t.Context(), req); release.KindOf(err) != release.KindInvalid {
		t.Errorf("a million runs: %v", err)
	}
	req.Model = ""
	if _, err := c.Simulate(t.Context(), req); release.KindOf(err) != release.KindInvalid {
		t.Errorf("no model: %v", err)
	}
}

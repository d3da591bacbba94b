package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/store"
)

const openAPIFile = `
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

// served fetches the document as a client gets it: from the route, through JSON.
func served(t *testing.T) (object, http.Handler, map[string]string) {
	t.Helper()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	rec := records.New(store.NewMemory())
	tokens := map[string]string{"": ""}
	for _, role := range []string{records.Viewer, records.Operator, records.Admin} {
		_, clear, err := rec.CreateToken(t.Context(), records.Token{Name: role, Role: role}, now)
		if err != nil {
			t.Fatal(err)
		}
		tokens[role] = clear
	}
	h := New(Options{Records: rec, Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler), Salt: func() string { return "salt" }, Version: "test"})
	w := send(h, "", "GET", "/api/openapi.json", "")
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	var doc object
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	return doc, h, tokens
}

func send(h http.Handler, token, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestEveryRouteIsDescribed compares the route tables with the descriptions, both ways, and with the
// document's paths.
func TestEveryRouteIsDescribed(t *testing.T) {
	doc, _, _ := served(t)
	paths := doc["paths"].(object)
	s := &server{}
	var patterns []string
	for _, r := range s.routes() {
		patterns = append(patterns, r.pattern)
	}
	for _, m := range s.mounts() {
		patterns = append(patterns, m.pattern)
	}
	want := 0
	for _, pattern := range patterns {
		op, ok := operations[pattern]
		if !ok || op.summary == "" {
			t.Errorf("%s is served and not described in operations", pattern)
			continue
		}
		method, path, _ := strings.Cut(pattern, " ")
		all := op.paths
		if len(all) == 0 {
			all = []string{path}
		}
		for _, path := range all {
			want++
			item, _ := paths[path].(object)
			if item[strings.ToLower(method)] == nil {
				t.Errorf("%s %s is not in the document", method, path)
			}
		}
	}
	for pattern := range operations {
		if !slices.Contains(patterns, pattern) {
			t.Errorf("%s is described and not served", pattern)
		}
	}
	have := 0
	for _, item := range paths {
		have += len(item.(object))
	}
	if have != want {
		t.Errorf("the document has %d operations, the tables say %d", have, want)
	}
}

// TestEveryVerbIsDescribed: verbs hide behind one pattern.
func TestEveryVerbIsDescribed(t *testing.T) {
	paths := operations["POST /api/v1/models/{model}/releases/{call}"].paths
	if len(paths) != len(verbs) {
		t.Errorf("%d verbs, %d described", len(verbs), len(paths))
	}
	for verb := range verbs {
		if !slices.Contains(paths, "/api/v1/models/{model}/releases/{n}:"+verb) {
			t.Errorf("%s is not described", verb)
		}
	}
}

// TestDocumentIsSound checks the structure: ids are unique, every reference leads somewhere, every name
// in a path is declared, every operation says what it answers.
func TestDocumentIsSound(t *testing.T) {
	doc, _, _ := served(t)
	if doc["openapi"] != "3.1.0" || doc["info"].(object)["title"] == "" || doc["info"].(object)["version"] != "test" {
		t.Fatalf("%v %v", doc["openapi"], doc["info"])
	}
	named := doc["components"].(object)["schemas"].(object)
	walk(doc, func(o object) {
		if ref, ok := o["$ref"].(string); ok {
			if _, found := named[strings.TrimPrefix(ref, "#/components/schemas/")]; !found {
				t.Errorf("%s leads nowhere", ref)
			}
		}
	})
	ids := map[string]bool{}
	for path, item := range doc["paths"].(object) {
		for method, v := range item.(object) {
			op := v.(object)
			id, _ := op["operationId"].(string)
			if id == "" || ids[id] {
				t.Errorf("%s %s: its id %q is empty or used twice", method, path, id)
			}
			ids[id] = true
			if len(op["responses"].(object)) < 2 {
				t.Errorf("%s %s: answers are missing", method, path)
			}
			declared := 0
			for _, p := range list(op["parameters"]) {
				if p.(object)["in"] == "path" && strings.Contains(path, "{"+p.(object)["name"].(string)+"}") {
					declared++
				}
			}
			if declared != strings.Count(path, "{") {
				t.Errorf("%s %s: %d of its names are declared", method, path, declared)
			}
		}
	}
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func walk(v any, see func(object)) {
	switch v := v.(type) {
	case object:
		see(v)
		for _, child := range v {
			walk(child, see)
		}
	case []any:
		for _, child := range v {
			walk(child, see)
		}
	}
}

// TestAnswersFitTheirSchemas runs a life through the API and validates every answer against what the
// document says about it, and that no answer has a field that the document does not know.
func TestAnswersFitTheirSchemas(t *testing.T) {
	doc, h, tokens := served(t)
	apply, err := json.Marshal(ApplyRequest{File: openAPIFile})
	if err != nil {
		t.Fatal(err)
	}
	const rel = "/api/v1/models/credit/releases"
	for _, c := range []struct {
		role, method, path, template, body string
		status                             int
	}{
		{"", "GET", "/healthz", "", "", 200},
		{"", "GET", "/readyz", "", "", 200},
		{"", "GET", "/api/v1/version", "", "", 200},
		{"viewer", "GET", "/api/v1/whoami", "", "", 200},
		{"viewer", "GET", "/api/v1/models", "", "", 200},
		{"operator", "PUT", "/api/v1/models", "", string(apply), 200},
		{"operator", "POST", rel, "/api/v1/models/{model}/releases", `{"to":"v2"}`, 201},
		{"viewer", "GET", "/api/v1/models", "", "", 200},
		{"viewer", "GET", "/api/v1/models/credit", "/api/v1/models/{model}", "", 200},
		{"operator", "POST", rel + "/1:promote", "/api/v1/models/{model}/releases/{n}:promote", `{"reason":"x"}`, 200},
		{"operator", "POST", rel + "/1:pause", "/api/v1/models/{model}/releases/{n}:pause", `{"reason":"x"}`, 200},
		{"operator", "POST", rel + "/1:abort", "/api/v1/models/{model}/releases/{n}:abort", `{"reason":"x"}`, 200},
		{"viewer", "GET", rel, "/api/v1/models/{model}/releases", "", 200},
		{"viewer", "GET", rel + "/1", "/api/v1/models/{model}/releases/{n}", "", 200},
		{"viewer", "GET", "/api/v1/models/credit/audit", "/api/v1/models/{model}/audit", "", 200},
		{"viewer", "GET", "/api/v1/models/credit/audit/verify", "/api/v1/models/{model}/audit/verify", "", 200},
		{"admin", "POST", "/api/v1/tokens", "", `{"name":"ci","role":"viewer","expires":"1h"}`, 201},
		{"admin", "GET", "/api/v1/tokens", "", "", 200},
		{"viewer", "GET", "/api/v1/models/none", "/api/v1/models/{model}", "", 404},
		{"viewer", "POST", rel + "/1:abort", "/api/v1/models/{model}/releases/{n}:abort", `{"reason":"x"}`, 403},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			w := send(h, tokens[c.role], c.method, c.path, c.body)
			if w.Code != c.status {
				t.Fatalf("%d %s", w.Code, w.Body)
			}
			template := c.template
			if template == "" {
				template = c.path
			}
			status := fmt.Sprint(c.status)
			if c.status >= 400 {
				status = "default"
			}
			validate(t, doc, template, strings.ToLower(c.method), status, w.Body.Bytes())
		})
	}
}

// validate compiles an answer's schema from the document, closed against unknown fields.
func validate(t *testing.T, doc object, path, method, status string, answer []byte) {
	t.Helper()
	op := doc["paths"].(object)[path].(object)[method].(object)
	for _, media := range op["responses"].(object)[status].(object)["content"].(object) {
		closed := object{"$defs": doc["components"].(object)["schemas"], "$ref": media.(object)["schema"].(object)["$ref"]}
		if closed["$ref"] == nil {
			closed = media.(object)["schema"].(object)
		}
		b, err := json.Marshal(closed)
		if err != nil {
			t.Fatal(err)
		}
		b = bytes.ReplaceAll(b, []byte("#/components/schemas/"), []byte("#/$defs/"))
		b = bytes.ReplaceAll(b, []byte(`"properties":{`), []byte(`"unevaluatedProperties":false,"properties":{`))
		schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		compiler := jsonschema.NewCompiler()
		if err := compiler.AddResource("mem:answer", schema); err != nil {
			t.Fatal(err)
		}
		compiled, err := compiler.Compile("mem:answer")
		if err != nil {
			t.Fatal(err)
		}
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(answer))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiled.Validate(value); err != nil {
			t.Errorf("%v\n%s", err, answer)
		}
	}
}

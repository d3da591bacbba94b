package suite

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// api describes strict in the words of OpenAPI 3.0, and a list that takes no body.
const api = `openapi: 3.0.3
info: {title: strict, version: "1"}
servers: [{url: /base}]
paths:
  /score/{kind}:
    post:
      parameters:
        - {name: kind, in: path, required: true, schema: {type: string, enum: [plain]}}
        - {name: X-Need, in: header, required: true, schema: {type: string, example: here}}
      requestBody:
        required: true
        content:
          application/json:
            schema: {$ref: '#/components/schemas/Row'}
  /list:
    get:
      parameters: [{name: from, in: query, schema: {type: integer, minimum: 3}}]
components:
  schemas:
    Row:
      type: object
      required: [name, n]
      additionalProperties: false
      properties:
        name: {type: string, minLength: 1}
        n: {type: number, minimum: 0, maximum: 100}
        tags: {type: array, nullable: true, items: {type: string, nullable: true}}
`

// described serves what api says. lax takes n below its minimum.
func described(lax bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/base/list" && r.Method == http.MethodGet:
			fmt.Fprint(w, "[]")
		case r.URL.Path == "/base/list":
			w.WriteHeader(http.StatusMethodNotAllowed)
		case r.URL.Path != "/base/score/plain":
			http.NotFound(w, r)
		case r.Header.Get("X-Need") != "here":
			w.WriteHeader(http.StatusBadRequest)
		default:
			b := body(r)
			var in struct{ Name *string }
			if json.Unmarshal([]byte(b), &in) == nil && in.Name != nil && *in.Name == "" {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			if lax && strings.Contains(b, `"n":-1,`) {
				okJSON(w, r)
				return
			}
			r.Body = io.NopCloser(strings.NewReader(b))
			strict(w, r)
		}
	}
}

func withFiles(t *testing.T, spec string, files map[string]string) (*Suite, error) {
	t.Helper()
	dir := t.TempDir()
	files["suite.yaml"] = "apiVersion: sluice.dev/v1alpha1\nkind: Suite\nmetadata: {name: s}\nspec:\n" + spec
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Load(filepath.Join(dir, "suite.yaml"))
}

// TestOpenAPIBattery: one line makes a battery per operation, with a sample that obeys the document.
func TestOpenAPIBattery(t *testing.T) {
	s, err := withFiles(t, "  exceptions: [{openapi: api.yaml, oversize: 100KiB, burst: 5, patience: 20ms}]\n", map[string]string{"api.yaml": api})
	if err != nil {
		t.Fatal(err)
	}
	r := runSuite(t, s, described(false))
	if !r.Passed() {
		t.Error(tableOf(t, r))
	}
	want(t, r, "battery POST /score/{kind}: schema", Passed, "0 answered")
	want(t, r, "battery POST /score/{kind}: boundaryNumbers", Passed, "answered")
	want(t, r, "battery GET /list: query", Passed, "answered")
	r = runSuite(t, s, described(true))
	want(t, r, "battery POST /score/{kind}: schema", Failed, "n below the minimum: status 200, want a refusal by 4xx")
	want(t, r, "battery POST /score/{kind}: boundaryNumbers", Failed, "n = -1: status 200, want a refusal")
}

// TestSchemaBattery: the same from a JSON Schema and the target's path.
func TestSchemaBattery(t *testing.T) {
	const schema = `{"type": "object", "required": ["name", "n"], "additionalProperties": false, "properties": {
		"name": {"type": "string"}, "n": {"type": "integer", "exclusiveMinimum": 1, "maximum": 90}, "tags": {"type": ["array", "null"], "items": {"type": ["string", "null"]}}}}`
	s, err := withFiles(t, "  target: {path: /x}\n  exceptions: [{schema: row.json, only: [schema, missing, mistyped]}]\n", map[string]string{"row.json": schema})
	if err != nil {
		t.Fatal(err)
	}
	r := runSuite(t, s, strict)
	want(t, r, "battery: missing", Passed, "answered")
	want(t, r, "battery: schema", Failed, "n above the maximum: status 200") // strict allows 100
}

func TestDocumentsThatCannotBeRead(t *testing.T) {
	for _, c := range []struct{ spec, file, text, words string }{
		{"{openapi: a.yaml}", "a.yaml", "swagger: '2.0'", "no OpenAPI 3 document"},
		{"{openapi: a.yaml}", "a.yaml", "a: &x [1]\nb: *x", "aliases"},
		{"{openapi: a.yaml}", "a.yaml", "openapi: 3.1.0\npaths: {}", "has no operation"},
		{"{openapi: a.yaml, operation: GET /x}", "a.yaml", api, "its operations are GET /list, POST /score/{kind}"},
		{"{openapi: no.yaml}", "a.yaml", api, "no such file"},
		{"{operation: GET /x, battery: all}", "a.yaml", api, "there is no document"},
		{"{schema: a.json}", "a.json", `{"type": "string", "pattern": "^[0-9]{7}$"}`, "no sample could be made"},
		{"{schema: a.json}", "a.json", `{"$ref": "http://example.com/x"}`, "only references inside"},
		{"{schema: a.json}", "a.json", `{"type": 7}`, "correct the schema"},
	} {
		_, err := withFiles(t, "  exceptions: ["+c.spec+"]\n", map[string]string{c.file: c.text})
		if err == nil || !strings.Contains(fmt.Sprintf("%+v", err), c.words) {
			t.Errorf("%s of %s: %v, want %q", c.spec, c.text, err, c.words)
		}
	}
}

// TestSamplesObey: what is made of a schema is allowed by it.
func TestSamplesObey(t *testing.T) {
	for _, text := range []string{
		`{"type": "integer", "minimum": 5, "maximum": 6}`, `{"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5}`,
		`{"type": "integer", "multipleOf": 7, "minimum": 8}`, `{"type": "string", "minLength": 9}`, `{"type": "string", "maxLength": 2}`,
		`{"type": "array", "minItems": 3, "items": {"enum": ["a"]}}`, `{"type": "array", "maxItems": 0}`, `{"const": {"a": 1}}`,
		`{"oneOf": [{"type": "null"}, {"type": "object", "required": ["a"], "properties": {"a": {"type": "string", "format": "uuid"}}}]}`,
		`{"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"b": {"type": "boolean"}}, "required": ["b"]}], "type": "object"}`,
		`{"$defs": {"n": {"type": "object", "properties": {"next": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"}`, `{"type": ["null", "string"], "default": "x"}`, `{}`, `true`,
	} {
		doc, err := decodeDocument("x.json", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		schema, err := compileSchema([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		v := (&shapes{doc: doc, root: object(doc)}).sample()
		if err := schema.Validate(v); err != nil {
			t.Errorf("%s: %v: %v", text, v, err)
		}
	}
}

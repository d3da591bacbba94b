package api

import (
	"net/http"
	"strconv"
	"strings"

	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/rollout"
)

// operation is what the document says about a route beyond its pattern and role. In and out are
// values of the types that are read and written: the schemas come from them.
type operation struct {
	summary string
	paths   []string // as clients write them, where the pattern can't (a verb after a colon)
	in, out any
	media   string // of the answer, if it is no JSON
	query   map[string]string
}

// onRelease is the operation of every verb on a release.
func onRelease(summary string) operation {
	const path = "/api/v1/models/{model}/releases/{n}:"
	op := operation{summary: summary, in: CommandRequest{}, out: Release{}}
	for _, verb := range []string{"promote", "pause", "resume", "abort", "retry", "approve", "adjust"} {
		op.paths = append(op.paths, path+verb)
	}
	return op
}

// operations describes every route, by its pattern. A test holds it against routes and mounts.
var operations = map[string]operation{
	"GET /healthz":          {summary: "The process is alive.", out: text{}},
	"GET /readyz":           {summary: "The server can do its work now.", out: text{}},
	"GET /metrics":          {summary: "Prometheus metrics.", media: "text/plain"},
	"GET /api/openapi.json": {summary: "This document.", out: map[string]any{}},
	"GET /api/v1/version":   {summary: "The server's version.", out: text{}},
	"GET /api/v1/whoami":    {summary: "Whom the token belongs to, and its role.", out: records.Who{}},
	"GET /api/v1/stream": {
		summary: "Server-sent events: one \"release\" (the schema Event as its data) per change of a model's running or latest release, the present ones at once.",
		media:   "text/event-stream", query: map[string]string{"model": "only this model"},
	},
	"POST /api/v1/feedback": {summary: "Outcomes of earlier requests, in the form that the gateway takes at /-/sluice/feedback.", in: map[string]any{}, out: map[string]any{}},

	"GET /api/v1/models":         {summary: "All models, each with its running or latest release.", out: Page[Model]{}},
	"GET /api/v1/models/{model}": {summary: "One model with its file.", out: Model{}},
	"PUT /api/v1/models":         {summary: "Store a Model file. The same file again changes nothing.", in: ApplyRequest{}, out: ApplyResponse{}},
	"POST /api/v1/models/{call}": {summary: "Take the latest success back: a release of its own.", paths: []string{"/api/v1/models/{model}:undo"}, in: CommandRequest{}, out: Release{}},

	"GET /api/v1/models/{model}/releases":            {summary: "All releases of a model.", out: Page[Release]{}},
	"POST /api/v1/models/{model}/releases":           {summary: "Start a release.", in: StartRequest{}, out: Release{}},
	"GET /api/v1/models/{model}/releases/{n}":        {summary: "One release with its file, strata and decisions; n may be \"latest\".", out: Release{}},
	"POST /api/v1/models/{model}/releases/{call}":    onRelease("Command a release. It goes on record with person, role, address, time and reason."),
	"GET /api/v1/models/{model}/releases/{n}/report": {summary: "The report of the release's test step.", out: map[string]any{}},

	"GET /api/v1/models/{model}/audit":        {summary: "All decisions of a model, oldest first.", out: Page[rollout.Decision]{}},
	"GET /api/v1/models/{model}/audit/verify": {summary: "Recompute the chain of decisions.", out: records.Audit{}},

	"GET /api/v1/tokens":         {summary: "All tokens, without their secrets.", out: Page[records.Token]{}},
	"POST /api/v1/tokens":        {summary: "Make a token. Its secret is in this answer and nowhere else.", in: TokenRequest{}, out: TokenResponse{}},
	"DELETE /api/v1/tokens/{id}": {summary: "Revoke a token at once and for ever.", out: text{}},
}

// object is a JSON object of the document.
type object = map[string]any

func (s *server) openAPI(call) (any, error) { return s.document(), nil }

// document is the OpenAPI 3.1 description of all routes.
func (s *server) document() object {
	schemas := newSchemas()
	paths := object{}
	for _, r := range s.routes() {
		schemas.addRoute(paths, r.pattern, r.role, r.status)
	}
	for _, m := range s.mounts() {
		schemas.addRoute(paths, m.pattern, m.role, http.StatusOK)
	}
	schemas.of(Problem{})
	schemas.of(Event{})
	return object{
		"openapi":           "3.1.0",
		"jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
		"info": object{
			"title": "Sluice", "version": s.o.Version,
			"description": "Gradual and safe release of AI model versions. Errors are application/problem+json.",
		},
		"paths": paths,
		"components": object{
			"schemas":         schemas.named,
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}},
		},
	}
}

func (g *schemas) addRoute(paths object, pattern, role string, status int) {
	method, path, _ := strings.Cut(pattern, " ")
	op := operations[pattern]
	all := op.paths
	if len(all) == 0 {
		all = []string{path}
	}
	for _, path := range all {
		item, ok := paths[path].(object)
		if !ok {
			item = object{}
			paths[path] = item
		}
		item[strings.ToLower(method)] = g.operation(method, path, role, status, op)
	}
}

func (g *schemas) operation(method, path, role string, status int, op operation) object {
	out := object{
		"summary": op.summary, "operationId": operationID(method, path),
		"responses": object{
			strconv.Itoa(status): object{"description": http.StatusText(status), "content": g.content(op.out, op.media)},
			"default":            object{"description": "An error.", "content": object{"application/problem+json": object{"schema": g.of(Problem{})}}},
		},
	}
	if role != "" {
		out["security"] = []any{object{"token": []any{}}}
		out["description"] = "Needs the role " + role + "."
	}
	if op.in != nil {
		out["requestBody"] = object{"required": true, "content": g.content(op.in, "")}
	}
	if params := parameters(path, op.query); len(params) > 0 {
		out["parameters"] = params
	}
	return out
}

func (g *schemas) content(v any, media string) object {
	if media != "" {
		return object{media: object{"schema": object{"type": "string"}}}
	}
	if v == nil {
		return object{}
	}
	return object{"application/json": object{"schema": g.of(v)}}
}

// parameters are the names in braces and those of the query.
func parameters(path string, query map[string]string) []any {
	var out []any
	for part := range strings.SplitSeq(path, "{") {
		if name, _, ok := strings.Cut(part, "}"); ok {
			out = append(out, object{"name": name, "in": "path", "required": true, "schema": object{"type": "string"}})
		}
	}
	for name, what := range query {
		out = append(out, object{"name": name, "in": "query", "required": false, "description": what, "schema": object{"type": "string"}})
	}
	return out
}

// operationID is unique because method and path are: getModelsModelReleasesN.
func operationID(method, path string) string {
	var b strings.Builder
	b.WriteString(strings.ToLower(method))
	for _, word := range strings.FieldsFunc(strings.TrimPrefix(path, "/api/v1"), func(r rune) bool { return strings.ContainsRune("/{}:.", r) }) {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

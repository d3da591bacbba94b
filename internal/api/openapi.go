package api

import (
	"maps"
	"net/http"
	"slices"
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
	"GET /api/v1/status":    {summary: "How the server is: roles, gateways, store, telemetry.", out: Status{}},
	"GET /api/v1/stream": {
		summary: "Server-sent events: one \"release\" (the schema Event as its data) per change of a model's running or latest release, the present ones at once. With the header Last-Event-ID, what has changed since.",
		media:   "text/event-stream", query: map[string]string{"model": "only this model", "after": "the id of the last event that was received", "lastEventId": "the same"},
	},
	"POST /api/v1/feedback": {summary: "Outcomes of earlier requests, in the form that the gateway takes at /-/sluice/feedback.", in: map[string]any{}, out: map[string]any{}},

	"GET /api/v1/login":         {summary: "How one can log in.", out: LoginInfo{}},
	"POST /api/v1/session":      {summary: "Open a session with a token: the answer sets a cookie.", in: LoginRequest{}, out: SessionInfo{}},
	"GET /api/v1/session":       {summary: "Who is logged in, and what must be sent as X-Sluice-Csrf with requests that change something.", out: SessionInfo{}},
	"DELETE /api/v1/session":    {summary: "End the session.", out: text{}},
	"GET /api/v1/oidc/login":    {summary: "Go to the identity provider, if there is one.", media: "text/html"},
	"GET /api/v1/oidc/callback": {summary: "Come back from the identity provider.", media: "text/html", query: map[string]string{"code": "from the provider", "state": "from the provider"}},

	"GET /api/v1/models": {
		summary: "Models by name, each with its running or latest release.", out: Page[Model]{},
		query: paged(map[string]string{"q": "part of the name", "phase": "phases, or running, paused, ended; separated by commas", "running": "true or false"}),
	},
	"GET /api/v1/models/{model}": {summary: "One model with its file. ETag: its revision.", out: Model{}},
	"PUT /api/v1/models":         {summary: "Store a Model file. The same file again changes nothing. If-Match: the model's ETag; If-None-Match: * for a new one.", in: ApplyRequest{}, out: ApplyResponse{}},
	"POST /api/v1/models/{call}": {summary: "Take the latest success back: a release of its own.", paths: []string{"/api/v1/models/{model}:undo"}, in: CommandRequest{}, out: Release{}},

	"GET /api/v1/models/{model}/releases": {
		summary: "Releases of a model.", out: Page[Release]{},
		query: paged(map[string]string{"phase": "phases, or running, paused, ended; separated by commas", "order": "asc (default) or desc, by number"}),
	},
	"POST /api/v1/models/{model}/releases":           {summary: "Start a release. If-Match: the model's ETag.", in: StartRequest{}, out: Release{}},
	"GET /api/v1/models/{model}/releases/{n}":        {summary: "One release with its file, strata and decisions; n may be \"latest\". ETag: its revision.", out: Release{}},
	"POST /api/v1/models/{model}/releases/{call}":    onRelease("Command a release. It goes on record with person, role, address, time and reason. If-Match: the release's ETag."),
	"GET /api/v1/models/{model}/releases/{n}/report": {summary: "The report of the release's test step.", out: map[string]any{}},
	"GET /api/v1/models/{model}/releases/{n}/series": {
		summary: "A release over time: shares, and each metric's estimate, interval and evidence. points= draws a picture of the whole range; limit= returns every look, in pages.", out: Series{},
		query: map[string]string{"points": "at most so many, from 2 to 5000; default 600", "limit": "every look, at most so many in one answer", "after": "next of an earlier page", "from": "a time", "to": "a time", "metric": "only this one; may be repeated", "arm": "only this candidate"},
	},
	"GET /api/v1/models/{model}/releases/{n}/evidence": {summary: "What the sums of a release look like: distributions, segments, posteriors, checks. None of it decides.", out: Evidence{}},
	"POST /api/v1/simulate":                            {summary: "Run a plan on synthetic traffic. One at a time.", in: SimulateRequest{}, out: SimulateResponse{}},

	"GET /api/v1/audit":                       {summary: "Decisions of all models, newest first.", out: Page[rollout.Decision]{}, query: audited("desc")},
	"GET /api/v1/models/{model}/audit":        {summary: "Decisions of a model, oldest first.", out: Page[rollout.Decision]{}, query: audited("asc")},
	"GET /api/v1/models/{model}/audit/verify": {summary: "Recompute the chain of decisions.", out: records.Audit{}},
	"GET /api/v1/acts":                        {summary: "What people did that is no decision: files applied, tokens made, rotated and revoked. Newest first; ok says whether the chain is whole.", out: ActPage{}, query: paged(nil)},

	"GET /api/v1/tokens":         {summary: "Tokens by id, without their secrets.", out: Page[records.Token]{}, query: paged(nil)},
	"POST /api/v1/tokens":        {summary: "Make a token. Its secret is in this answer and nowhere else.", in: TokenRequest{}, out: TokenResponse{}},
	"POST /api/v1/tokens/{call}": {summary: "Replace a token by a new one of the same name, role and groups. An admin rotates any, everybody their own.", paths: []string{"/api/v1/tokens/{id}:rotate"}, in: RotateRequest{}, out: TokenResponse{}},
	"DELETE /api/v1/tokens/{id}": {summary: "Revoke a token at once and for ever. If-Match: its revision.", out: text{}, query: map[string]string{"reason": "why; it goes on record"}},
}

// paged adds the parameters of pages.
func paged(query map[string]string) map[string]string {
	out := map[string]string{"limit": "at most so many, from 1 to 500; default 100", "after": "next of the page before"}
	maps.Copy(out, query)
	return out
}

func audited(order string) map[string]string {
	return paged(map[string]string{
		"model": "only this one, where all are listed", "release": "only this number", "what": "only this kind of decision", "by": "only of this person", "from": "a time", "to": "a time",
		"q": "part of the reason, the person or the model", "order": "asc or desc, by time; default " + order, "format": "json (default), or jsonl or csv: all that match, as one file",
	})
}

// object is a JSON object of the document.
type object = map[string]any

func (s *server) openAPI(call) (any, error) { return s.document(), nil }

// document is the OpenAPI 3.1 description of all routes.
func (s *server) document() object {
	schemas := newSchemas()
	paths := object{}
	for _, r := range s.routes() {
		schemas.addRoute(paths, r.pattern, r.role, r.status, r.once)
	}
	for _, m := range s.mounts() {
		schemas.addRoute(paths, m.pattern, m.role, http.StatusOK, false)
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
			"schemas": schemas.named,
			"securitySchemes": object{
				"token":   object{"type": "http", "scheme": "bearer"},
				"session": object{"type": "apiKey", "in": "cookie", "name": s.cookieName("session")},
			},
		},
	}
}

func (g *schemas) addRoute(paths object, pattern, role string, status int, once bool) {
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
		item[strings.ToLower(method)] = g.operation(method, path, role, status, op, once)
	}
}

func (g *schemas) operation(method, path, role string, status int, op operation, once bool) object {
	out := object{
		"summary": op.summary, "operationId": operationID(method, path),
		"responses": object{
			strconv.Itoa(status): object{"description": http.StatusText(status), "content": g.content(op.out, op.media)},
			"default":            object{"description": "An error.", "content": object{"application/problem+json": object{"schema": g.of(Problem{})}}},
		},
	}
	if role != "" {
		out["security"] = []any{object{"token": []any{}}, object{"session": []any{}}}
		out["description"] = "Needs the role " + role + "."
	}
	if op.in != nil {
		out["requestBody"] = object{"required": true, "content": g.content(op.in, "")}
	}
	params := parameters(path, op.query)
	if once {
		params = append(params, object{
			"name": onceHeader, "in": "header", "required": false, "schema": object{"type": "string", "maxLength": maxOnceKey},
			"description": "a fresh random text; the same call with the same one is done once and answered the same",
		})
	}
	if len(params) > 0 {
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
	for _, name := range slices.Sorted(maps.Keys(query)) {
		what := query[name]
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

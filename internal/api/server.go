package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
)

// Options join the server to what it serves. Records, Now and Log are needed.
type Options struct {
	Records *records.Records
	// Publish brings the routing up to date after a command, so that it takes effect at once.
	Publish func(context.Context) error
	// Feedback is the gateway's feedback endpoint, offered here to operators as well.
	Feedback http.Handler
	// Metrics serves /metrics.
	Metrics http.Handler
	// Console serves what lies outside /api.
	Console http.Handler
	// Ready says why the server can't do its work now; nil: it can.
	Ready func() error
	// Salt returns a fresh random salt for a release.
	Salt    func() string
	Now     func() time.Time
	Log     *slog.Logger
	Version string
}

// Limits of what a client may send.
const (
	maxApply = 8 << 20
	maxBody  = 64 << 10
)

type server struct{ o Options }

// call is what a handler gets: the request and who sent it.
type call struct {
	*http.Request
	who records.Who
	w   http.ResponseWriter
}

// handler does one call and returns what to encode, or an error. Status is 200 for GET, and what the
// route says otherwise.
type handler func(call) (any, error)

type route struct {
	pattern string
	role    string // "" is open to everybody who reaches the port
	status  int
	handle  handler
}

// New returns the API as an http.Handler. Safe for concurrent use.
func New(o Options) http.Handler {
	s := &server{o: o}
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.Handle(r.pattern, s.adapt(r))
	}
	for _, m := range s.mounts() {
		if m.handler != nil {
			mux.Handle(m.pattern, s.guard(m.role, m.handler))
		}
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problemOf(s.unknownRoute(r)))
	})
	if o.Console != nil {
		mux.Handle("/", o.Console)
	}
	return s.harden(mux)
}

// mount is a route whose handler writes its answer itself.
type mount struct {
	pattern string
	role    string
	handler http.Handler // nil: not offered
}

func (s *server) mounts() []mount {
	return []mount{
		{"GET /metrics", records.Viewer, s.o.Metrics},
		{"POST /api/v1/feedback", records.Operator, s.o.Feedback},
		{"GET /api/v1/stream", records.Viewer, http.HandlerFunc(s.stream)},
	}
}

// routes is, with mounts, the whole interface on one screen.
func (s *server) routes() []route {
	const v1 = "/api/v1"
	return []route{
		{"GET /healthz", "", 200, s.healthz},
		{"GET /readyz", "", 200, s.readyz},
		{"GET /api/openapi.json", "", 200, s.openAPI},
		{"GET " + v1 + "/version", "", 200, s.version},
		{"GET " + v1 + "/whoami", records.Viewer, 200, s.whoami},

		{"GET " + v1 + "/models", records.Viewer, 200, s.listModels},
		{"GET " + v1 + "/models/{model}", records.Viewer, 200, s.getModel},
		{"PUT " + v1 + "/models", records.Operator, 200, s.applyModel},
		{"POST " + v1 + "/models/{call}", records.Operator, 200, s.modelCommand}, // {model}:undo

		{"GET " + v1 + "/models/{model}/releases", records.Viewer, 200, s.listReleases},
		{"POST " + v1 + "/models/{model}/releases", records.Operator, 201, s.startRelease},
		{"GET " + v1 + "/models/{model}/releases/{n}", records.Viewer, 200, s.getRelease},
		{"POST " + v1 + "/models/{model}/releases/{call}", records.Operator, 200, s.releaseCommand}, // {n}:promote ...
		{"GET " + v1 + "/models/{model}/releases/{n}/report", records.Viewer, 200, s.getReport},

		{"GET " + v1 + "/models/{model}/audit", records.Viewer, 200, s.listAudit},
		{"GET " + v1 + "/models/{model}/audit/verify", records.Viewer, 200, s.verifyAudit},

		{"GET " + v1 + "/tokens", records.Admin, 200, s.listTokens},
		{"POST " + v1 + "/tokens", records.Admin, 201, s.createToken},
		{"DELETE " + v1 + "/tokens/{id}", records.Admin, 200, s.revokeToken},
	}
}

// adapt is the one place where a handler's outcome becomes an answer.
func (s *server) adapt(r route) http.Handler {
	h := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		who, _ := req.Context().Value(whoKey{}).(records.Who)
		out, err := r.handle(call{Request: req, who: who, w: w})
		if err != nil {
			s.fail(w, req, err)
			return
		}
		if raw, ok := out.(rawJSON); ok {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(raw) // the client is gone if this fails
			return
		}
		writeJSON(w, r.status, out)
	})
	if r.role == "" {
		return h
	}
	return s.guard(r.role, h)
}

// rawJSON is an answer that is stored as JSON already.
type rawJSON []byte

func (s *server) fail(w http.ResponseWriter, req *http.Request, err error) {
	p := problemOf(err)
	if p.Status >= 500 && !errors.Is(err, context.Canceled) {
		s.o.Log.Error("api call failed", "method", req.Method, "path", req.URL.Path, "error", err)
	}
	writeProblem(w, p)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		writeProblem(w, Problem{Type: "about:blank", Title: "Internal Server Error", Status: 500, Detail: "the answer can't be encoded"})
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

type whoKey struct{}

// guard lets a request through when its bearer token has the needed role.
func (s *server) guard(role string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok {
			writeProblem(w, Problem{
				Type: "about:blank", Title: "Unauthorized", Status: http.StatusUnauthorized,
				Detail: "a bearer token is needed", Remedy: "send Authorization: Bearer TOKEN; the first token was printed when the server first started",
			})
			return
		}
		who, err := s.o.Records.Authenticate(r.Context(), strings.TrimSpace(bearer), s.o.Now())
		if release.KindOf(err) == release.KindDenied && err != nil {
			p := problemOf(err)
			p.Status, p.Title = http.StatusUnauthorized, "Unauthorized"
			writeProblem(w, p)
			return
		}
		if err == nil {
			err = records.Require(who, role)
		}
		if err != nil {
			s.fail(w, r, err)
			return
		}
		who.Address, _, _ = net.SplitHostPort(r.RemoteAddr)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), whoKey{}, who)))
	})
}

// harden sets the headers that every answer carries and turns a panic into one 500.
func (s *server) harden(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Frame-Options", "DENY")
		defer func() {
			if v := recover(); v != nil && v != http.ErrAbortHandler { //nolint:errorlint // a sentinel that is compared
				s.o.Log.Error("panic in an api call", "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
				writeProblem(w, problemOf(errors.New("panic")))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// unknownRoute tells a wrong path from a wrong method.
func (s *server) unknownRoute(r *http.Request) error {
	return &httpError{status: http.StatusNotFound, msg: r.Method + " " + r.URL.Path + " is not part of the API", remedy: "GET /api/openapi.json lists what is"}
}

// decodeBody reads a JSON body strictly: size, type, unknown fields, trailing bytes.
func decodeBody(c call, limit int64, into any) error {
	if ct := c.Header.Get("Content-Type"); ct != "" {
		if t, _, err := mime.ParseMediaType(ct); err != nil || t != "application/json" {
			return &httpError{status: http.StatusUnsupportedMediaType, msg: "the body must be application/json"}
		}
	}
	dec := json.NewDecoder(http.MaxBytesReader(c.w, c.Body, limit))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		var tooLarge *http.MaxBytesError
		switch {
		case errors.As(err, &tooLarge):
			return &httpError{status: http.StatusRequestEntityTooLarge, msg: "the body is larger than this call takes"}
		case errors.Is(err, io.EOF):
			return badRequest("the body is empty", "send a JSON object")
		}
		return badRequest("the body is not what this call takes: "+err.Error(), "GET /api/openapi.json shows its fields")
	}
	if dec.More() {
		return badRequest("there is something after the JSON object", "")
	}
	return nil
}

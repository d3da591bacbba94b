package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"time"

	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/rollout"
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
	// Access says how people get in.
	Access Access
	// Evidence returns what only the tallies of a release know. nil: this process has none.
	Evidence func(context.Context, rollout.State) (Evidence, error)
	// Status fills in what only the process knows of itself. nil: nothing.
	Status func(context.Context, *Status)
	// Traffic returns the requests per second of a model's running release, as they are measured now.
	Traffic func(model string) (perSecond float64, ok bool)
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

type server struct {
	o          Options
	strikes    strikes
	origins    *http.CrossOriginProtection
	simulating chan struct{} // holds a value while a simulation runs
	hub        *hub
}

// call is what a handler gets: the request and who sent it.
type call struct {
	*http.Request
	who     records.Who
	session records.Session // zero unless a browser's session was used
	w       http.ResponseWriter
}

// handler does one call and returns what to encode, or an error. Status is 200 for GET, and what the
// route says otherwise.
type handler func(call) (any, error)

type route struct {
	pattern string
	role    string // "" is open to everybody who reaches the port
	status  int
	handle  handler
	once    bool // takes an idempotency key
}

// Server is the API as an http.Handler. Safe for concurrent use.
type Server struct {
	http.Handler
	hub *hub
}

// EndStreams ends the streams that are open, and those that are opened afterwards: they would keep a server from
// stopping.
func (s *Server) EndStreams() { s.hub.once.Do(func() { close(s.hub.closed) }) }

// New returns the API.
func New(o Options) *Server {
	s := &server{o: o, origins: http.NewCrossOriginProtection(), simulating: make(chan struct{}, 1)}
	s.hub = newHub(s)
	if u, err := url.Parse(o.Access.URL); err == nil && u.Host != "" {
		_ = s.origins.AddTrustedOrigin(u.Scheme + "://" + u.Host) // has the right form: it was put together here
	}
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
	return &Server{Handler: s.harden(mux), hub: s.hub}
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
		{"GET /healthz", "", 200, s.healthz, false},
		{"GET /readyz", "", 200, s.readyz, false},
		{"GET /api/openapi.json", "", 200, s.openAPI, false},
		{"GET " + v1 + "/version", "", 200, s.version, false},
		{"GET " + v1 + "/whoami", records.Viewer, 200, s.whoami, false},
		{"GET " + v1 + "/status", records.Viewer, 200, s.status, false},

		{"GET " + v1 + "/login", "", 200, s.loginInfo, false},
		{"POST " + v1 + "/session", "", 201, s.login, false},
		{"GET " + v1 + "/session", records.Viewer, 200, s.getSession, false},
		{"DELETE " + v1 + "/session", records.Viewer, 200, s.logout, false},
		{"GET " + v1 + "/oidc/login", "", 302, s.providerLogin, false},
		{"GET " + v1 + "/oidc/callback", "", 302, s.providerReturn, false},

		{"GET " + v1 + "/models", records.Viewer, 200, s.listModels, false},
		{"GET " + v1 + "/models/{model}", records.Viewer, 200, s.getModel, false},
		{"PUT " + v1 + "/models", records.Operator, 200, s.applyModel, true},
		{"POST " + v1 + "/models/{call}", records.Operator, 200, s.modelCommand, true}, // {model}:undo

		{"GET " + v1 + "/models/{model}/releases", records.Viewer, 200, s.listReleases, false},
		{"POST " + v1 + "/models/{model}/releases", records.Operator, 201, s.startRelease, true},
		{"GET " + v1 + "/models/{model}/releases/{n}", records.Viewer, 200, s.getRelease, false},
		{"POST " + v1 + "/models/{model}/releases/{call}", records.Operator, 200, s.releaseCommand, true}, // {n}:promote ...
		{"GET " + v1 + "/models/{model}/releases/{n}/report", records.Viewer, 200, s.getReport, false},
		{"GET " + v1 + "/models/{model}/releases/{n}/series", records.Viewer, 200, s.getSeries, false},
		{"GET " + v1 + "/models/{model}/releases/{n}/evidence", records.Viewer, 200, s.getEvidence, false},
		{"POST " + v1 + "/simulate", records.Viewer, 200, s.simulate, false},

		{"GET " + v1 + "/audit", records.Viewer, 200, s.listAudit, false},
		{"GET " + v1 + "/models/{model}/audit", records.Viewer, 200, s.listAudit, false},
		{"GET " + v1 + "/models/{model}/audit/verify", records.Viewer, 200, s.verifyAudit, false},
		{"GET " + v1 + "/acts", records.Admin, 200, s.listActs, false},

		{"GET " + v1 + "/tokens", records.Admin, 200, s.listTokens, false},
		{"POST " + v1 + "/tokens", records.Admin, 201, s.createToken, false},
		{"POST " + v1 + "/tokens/{call}", records.Viewer, 201, s.tokenCommand, false}, // {id}:rotate
		{"DELETE " + v1 + "/tokens/{id}", records.Admin, 200, s.revokeToken, false},
	}
}

// adapt is the one place where a handler's outcome becomes an answer.
func (s *server) adapt(r route) http.Handler {
	h := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		who, _ := req.Context().Value(callerKey{}).(caller)
		out, err := s.once(r, call{Request: req, who: who.who, session: who.session, w: w})
		if err != nil {
			s.fail(w, req, err)
			return
		}
		s.answer(w, req, r.status, out)
	})
	if r.role == "" {
		return h
	}
	return s.guard(r.role, h)
}

// rawJSON is an answer that is stored as JSON already.
type rawJSON []byte

func (s *server) answer(w http.ResponseWriter, req *http.Request, status int, out any) {
	media := "application/json"
	var body []byte
	switch out := out.(type) {
	case redirect:
		w.Header().Set("Location", string(out))
	case kept:
		status, body = out.status, out.body
	case file:
		media, body = out.media, out.body
		w.Header().Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": out.name}))
	default:
		var err error
		if body, err = encode(out); err != nil {
			s.fail(w, req, err)
			return
		}
	}
	w.Header().Set("Content-Type", media)
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone if this fails
}

// encode is how answers are written, and kept for the repetition of a call.
func encode(out any) ([]byte, error) {
	if raw, ok := out.(rawJSON); ok {
		return raw, nil
	}
	b, err := json.Marshal(out)
	return append(b, '\n'), err
}

func (s *server) fail(w http.ResponseWriter, req *http.Request, err error) {
	p := problemOf(err)
	if p.Status >= 500 && !errors.Is(err, context.Canceled) {
		s.o.Log.Error("api call failed", "method", req.Method, "path", req.URL.Path, "error", err)
	}
	writeProblem(w, p)
}

// policy lets a browser do nothing with what the API answers, should it ever be shown as a page.
const policy = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"

const (
	bodyTime  = 30 * time.Second // for a request's body to arrive
	writeTime = 90 * time.Second // from then on for an answer to be taken; the stream and long calls set their own
)

// harden sets the headers that every answer carries, bounds the time that a client may take, refuses what another site's
// page sends, and turns a panic into one 500.
func (s *server) harden(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Content-Security-Policy", policy)
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if s.o.Access.secure() {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		rc := http.NewResponseController(w)
		_ = rc.SetWriteDeadline(time.Now().Add(writeTime)) // a recorder in a test has none
		if r.ContentLength != 0 {
			// Not taken back when the handler returns: net/http reads what is left of a body before it answers.
			_ = rc.SetReadDeadline(time.Now().Add(bodyTime)) // as above
		}
		defer func() {
			if v := recover(); v != nil && v != http.ErrAbortHandler { //nolint:errorlint // a sentinel that is compared
				s.o.Log.Error("panic in an api call", "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
				writeProblem(w, problemOf(errors.New("panic")))
			}
		}()
		if err := s.origins.Check(r); err != nil {
			s.fail(w, r, &httpError{
				status: http.StatusForbidden, msg: "a page of another site sent this request",
				remedy: "use the console at its own address; behind a proxy, set spec.admin.url to the address that browsers use",
			})
			return
		}
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
			return errTooLarge
		case errors.Is(err, os.ErrDeadlineExceeded):
			return errTooSlow
		case errors.Is(err, io.EOF):
			return badRequest("the body is empty", "send a JSON object")
		}
		return badRequest("the body is not what this call takes: "+err.Error(), "GET /api/openapi.json shows its fields")
	}
	if dec.More() {
		return badRequest("there is something after the JSON object", "")
	}
	_ = http.NewResponseController(c.w).SetReadDeadline(time.Time{}) // it is here: what is done with it may take longer
	return nil
}

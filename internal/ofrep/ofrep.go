package ofrep

import (
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
)

// Prefix is where the handler is mounted on the gateway's port. A provider's base URL is http(s)://HOST/-/sluice.
const Prefix = "/-/sluice/ofrep"

const (
	flagsPath  = Prefix + "/v1/evaluate/flags"
	eventsPath = Prefix + "/v1/events"
)

// Sink takes exposures. Record must not block. Implemented by ingest, joined by app.
type Sink interface {
	Record(e *release.Exposure)
}

// Options of a handler. Routes, Sink and Keyring are needed.
type Options struct {
	Routes  func() *assign.Routes // never nil; Generation 0: none are loaded yet
	Renewed func() time.Time      // when the routes' lease began; nil: candidates are served without one
	Sink    Sink
	Keyring func() *release.Keyring
	APIKeys [][32]byte // SHA-256 of each; none: no key is asked for
	Logger  *slog.Logger
	Now     func() time.Time // default: time.Now
	Nonce   func() uint64    // default: random
	Body    int64            // largest body in bytes; default 64 KiB
	Streams int64            // event streams at once; default 1,000
	Poll    time.Duration    // between two looks of a stream at the routes; default 1 s
	Beat    time.Duration    // between two signs of life on a stream; default 15 s
}

// Handler serves the protocol. Safe for concurrent use.
type Handler struct {
	o       Options
	token   string // of event streams, which can't send headers; "" without API keys
	streams atomic.Int64
	once    sync.Once
	closed  chan struct{}
}

// New returns a handler for the paths under Prefix.
func New(o Options) *Handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Nonce == nil {
		o.Nonce = rand.Uint64
	}
	if o.Body <= 0 {
		o.Body = 64 << 10
	}
	if o.Streams <= 0 {
		o.Streams = 1000
	}
	if o.Poll <= 0 {
		o.Poll = time.Second
	}
	if o.Beat <= 0 {
		o.Beat = 15 * time.Second
	}
	return &Handler{o: o, token: streamToken(o.APIKeys), closed: make(chan struct{})}
}

// Close ends all event streams, so that a server can stop. Calling it again changes nothing.
func (h *Handler) Close() { h.once.Do(func() { close(h.closed) }) }

// Owns says whether a request's path is one of this handler's.
func Owns(path string) bool { return path == Prefix || strings.HasPrefix(path, Prefix+"/") }

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	allowOrigins(w.Header())
	defer h.caught(w)
	path := r.URL.EscapedPath()
	key, single := strings.CutPrefix(path, flagsPath+"/")
	switch {
	case path != flagsPath && path != eventsPath && (!single || key == ""):
		http.NotFound(w, r)
	case r.Method == http.MethodOptions:
		w.WriteHeader(http.StatusNoContent)
	case path == eventsPath:
		h.serveEvents(w, r)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST, OPTIONS")
		w.WriteHeader(http.StatusMethodNotAllowed)
	case !h.authorized(r):
		refuseKey(w)
	case single:
		h.serveOne(w, r, key)
	default:
		h.serveAll(w, r)
	}
}

// caught keeps a panic from ending the connection without an answer.
func (h *Handler) caught(w http.ResponseWriter) {
	if v := recover(); v != nil {
		h.o.Logger.Error("an evaluation panicked", "panic", v)
		writeJSON(w, http.StatusInternalServerError, fault{Details: "the evaluation failed; see the gateway's log"})
	}
}

// allowOrigins lets pages of any origin ask: what protects the flags is the API key, which no browser adds by itself.
func allowOrigins(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-None-Match, Last-Event-ID, X-API-Key, X-Sluice-Key")
	h.Set("Access-Control-Expose-Headers", "ETag, Retry-After")
	h.Set("Access-Control-Max-Age", "600")
}

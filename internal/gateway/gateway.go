package gateway

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/upstream"
)

// Sink takes exposures. Both methods are called for each request by its own goroutine: they must be
// safe for concurrent use and must never block.
type Sink interface {
	// Record takes one exposure. It must copy it: the caller uses it again.
	Record(e *release.Exposure)
	// Category returns the number of a category's text for signal i of a model. The text is lent for
	// the call.
	Category(m release.ModelKey, i int, text []byte) uint32
}

// SinkState is how full a sink is, for health.
type SinkState struct {
	Queued   int    `json:"queued"`
	Capacity int    `json:"capacity"`
	Dropped  uint64 `json:"dropped"`
}

// FeedbackItem is one outcome, with the strings that have no number before they are in a batch.
// Feedback.Name and, for a category, Feedback.Value.Cat are zero.
type FeedbackItem struct {
	Feedback release.Feedback
	Name     string // of the feedback
	Text     string // the value as text: what agree compares (release.Agree); never empty
}

// FeedbackSink stores feedback. Accept returns nil only when all items are durable; any error means
// that the application is asked to send all of them again. Safe for concurrent use.
type FeedbackSink interface {
	Accept(ctx context.Context, items []FeedbackItem) error
}

// Limits of the gateway, whatever the model. Zero fields take the default.
type Limits struct {
	Header       int           // bytes of a request's headers; 64 KiB
	Body         int64         // bytes of a request's body, whatever its model allows; 100 MiB
	Memory       int64         // bytes of request bodies held at once, all requests together; 512 MiB
	Keep         int           // bytes of an answer kept for its signals; 256 KiB
	Mirrors      int           // mirrored copies under way at once; 256
	BodyTime     time.Duration // for a body that must be in memory to arrive; 30 s
	WriteTime    time.Duration // for a client to take a piece of the answer; 60 s
	FeedbackTime time.Duration // for feedback to become durable; 5 s
}

// Options of a gateway. Routes, Sink and Keyring are required.
type Options struct {
	// Routes returns the routes to serve from: one atomic load, nil before any are known.
	Routes func() *assign.Routes
	// Renewed returns when the routes were last confirmed by whoever decides over releases, the
	// start of the candidates' lease; nil: they are renewed all the time (one process does all).
	Renewed func() time.Time

	Sink      Sink
	SinkState func() SinkState // for health; may be nil
	Feedback  FeedbackSink     // nil: feedback is answered with 503
	// Keyring returns the fleet's keys: one atomic load, so that a rotation needs no restart.
	Keyring func() *release.Keyring

	Now   func() time.Time // time.Now
	Nonce func() uint64    // exposure ids; unpredictable and never twice. math/rand/v2, seeded by the system

	// Upstream asks the servers of all versions; nil: connections of the gateway's own, which know
	// deadlines and Upgrade.
	Upstream http.RoundTripper
	// Dial opens connections to them, and TLS is the pattern of their configuration; nil: TCP, and the
	// system's roots.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	TLS  *tls.Config

	Metrics prometheus.Registerer // nil: counted but shown nowhere
	Logger  *slog.Logger          // slog.Default()
	// Trips is told when a local breaker opens or closes; it must not block. May be nil.
	Trips func(Trip)

	// Tracer follows all requests, Captures takes the sample of bodies that Model files ask for; nil: nobody.
	Tracer   Tracer
	Captures Captures

	Limits Limits
	// APIKeys are the SHA-256 of the keys of which clients must send one; empty: none is asked for.
	APIKeys [][sha256.Size]byte

	Expose         bool // answers carry HeaderVersion and HeaderArm: for debugging, it shows users their arm
	ForwardCookies bool // model servers get the clients' cookies
	TrustForwarded bool // X-Forwarded-* of clients is kept: only behind a proxy of one's own
}

// maxHops is how often a request may pass a gateway.
const maxHops = 3

// Gateway is the http.Handler. Safe for concurrent use. Close it after its server has stopped.
type Gateway struct {
	opts    Options
	now     func() time.Time
	metrics *metrics
	memory  slots // bytes of request bodies
	h1      upstream.Client
	h2      *http.Transport

	planned  atomic.Pointer[plan]
	planning sync.Mutex // held by who compiles a plan

	copies   copies
	sessions sessions
	checks   checks
	lates    lates
	hedges   sync.WaitGroup // requests that lost and are being closed
	noisy    rate
}

// New returns a gateway. It fails if an option that is required is missing, or a metric's name is
// taken.
func New(o Options) (*Gateway, error) {
	if o.Routes == nil || o.Sink == nil || o.Keyring == nil {
		return nil, &release.Error{
			Kind: release.KindInternal, Op: "start gateway",
			Msg: "Routes, Sink and Keyring are required",
		}
	}
	o.defaults()
	g := &Gateway{opts: o, now: o.Now, metrics: newMetrics()}
	g.memory.max.Store(o.Limits.Memory)
	g.lates.wait = o.Limits.BodyTime
	g.h1 = upstream.Client{Dial: o.Dial, TLS: o.TLS, Now: o.Now}
	g.h2 = newHTTP2(o.Dial, o.TLS)
	g.copies.init(o.Limits.Mirrors)
	if o.Metrics != nil {
		if err := g.metrics.register(o.Metrics, g); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (o *Options) defaults() {
	l := &o.Limits
	l.Header = cmpOr(l.Header, 64<<10)
	l.Body = cmpOr(l.Body, 100<<20)
	l.Memory = cmpOr(l.Memory, 512<<20)
	l.Keep = cmpOr(l.Keep, 256<<10)
	l.Mirrors = cmpOr(l.Mirrors, 256)
	l.BodyTime = cmpOr(l.BodyTime, 30*time.Second)
	l.WriteTime = cmpOr(l.WriteTime, 60*time.Second)
	l.FeedbackTime = cmpOr(l.FeedbackTime, 5*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Nonce == nil {
		o.Nonce = rand.Uint64
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

func cmpOr[T int | int64 | time.Duration](v, def T) T {
	if v > 0 {
		return v
	}
	return def
}

// Close ends the mirrored copies: new ones are no longer started, those under way may finish until
// ctx is over, then they are cut off. It returns ctx's error if they had to be.
// Connections that were switched to another protocol are cut at once, health checks end.
func (g *Gateway) Close(ctx context.Context) error {
	g.checks.close()
	g.sessions.close()
	err := g.copies.close(ctx)
	g.hedges.Wait() // their contexts are over
	g.h1.CloseIdle()
	g.h2.CloseIdleConnections()
	return err
}

// ServeHTTP implements http.Handler. A panic on the way is one 502 and a log line.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 2 {
		deepen()
	}
	x := exchanges.Get().(*exchange)
	out := &x.writer
	*out = answer{ResponseWriter: w, grpc: isGRPC(r)}
	out.timed, _ = w.(timed)
	out.front, _ = w.(fronted)
	defer g.caught(out)
	if own, ok := strings.CutPrefix(r.URL.Path, "/-/sluice"); ok && (own == "" || own[0] == '/') {
		g.serveOwn(out, r, own)
	} else {
		g.serve(x, r)
		if out.front != nil && x.alone() {
			out.front.Release()
		}
	}
	x.recycle() // not after a panic: who knows who holds a part of it
}

// depth is how much of the stack a request needs, as a rule.
const depth = 3 << 10

// deepen makes the stack of a goroutine large enough at once. That of a stream of HTTP/2 is new, and would else grow twice
// where it is deep already, and much has to be copied and adjusted.
//
//go:noinline
func deepen() byte {
	var room [depth]byte
	return room[len(classes)]
}

// answer remembers whether anything has been said.
type answer struct {
	http.ResponseWriter
	timed timed   // = ResponseWriter; nil: it is not so
	front fronted // the same
	begun bool
	grpc  bool // the client speaks gRPC
}

func (a *answer) WriteHeader(status int) {
	a.begun = true
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// timed is what net/http's own writers are, asked without a controller for each call.
type timed interface {
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	FlushError() error
}

// fronted is a client's connection of package front.
type fronted interface {
	// Lines takes an answer's headers as they came: no map is made of them, copied and gone through.
	Lines(lines []upstream.Line)
	// Release says that nobody touches the request any more when the handler has returned.
	Release()
}

// SetReadDeadline bounds the reading of the request. Not every connection can.
func (a *answer) SetReadDeadline(t time.Time) error {
	if a.timed != nil {
		return a.timed.SetReadDeadline(t)
	}
	return http.NewResponseController(a.ResponseWriter).SetReadDeadline(t)
}

// SetWriteDeadline bounds the writing of the answer. Not every connection can.
func (a *answer) SetWriteDeadline(t time.Time) error {
	if a.timed != nil {
		return a.timed.SetWriteDeadline(t)
	}
	return http.NewResponseController(a.ResponseWriter).SetWriteDeadline(t)
}

// FlushError sends what is buffered.
func (a *answer) FlushError() error {
	if a.timed != nil {
		return a.timed.FlushError()
	}
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// caught turns a panic into an answer, or into a broken connection if the answer has begun.
// http.ErrAbortHandler is how a truncated answer is cut off and passes on.
func (g *Gateway) caught(w *answer) {
	v := recover()
	if v == nil {
		return
	}
	if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(http.ErrAbortHandler)
	}
	g.metrics.panics.Inc()
	if g.noisy.allow(g.now()) {
		g.opts.Logger.Error("gateway panicked on a request", "panic", v, "stack", string(debug.Stack()))
	}
	if w.begun {
		panic(http.ErrAbortHandler)
	}
	g.refuse(w, problemInternal, "")
}

// Served returns the routes that requests are served from now, nil if there are none: what a gateway
// reports as its generation. Safe for concurrent use.
func (g *Gateway) Served() *assign.Routes {
	if p := g.plan(); p != nil {
		return p.routes
	}
	return nil
}

// refuse answers with one of the gateway's own errors.
func (g *Gateway) refuse(w *answer, p problem, detail string) {
	g.metrics.problems.WithLabelValues(p.kind).Inc()
	hurry(w)
	if w.grpc {
		p.writeGRPC(w, detail)
		return
	}
	p.write(w, detail)
}

// refuse answers a request whose model is known with one of the gateway's own errors.
// It is told in the dialect of the model, so that the client's library understands it.
func (x *exchange) refuse(p problem, detail string) {
	if x.m == nil || x.w.grpc {
		x.g.refuse(x.w, p, detail)
		return
	}
	t := p.told()
	if detail != "" {
		t.Title += ": " + detail
	}
	body, ok := t.Body(x.m.Dialect)
	if !ok {
		x.g.refuse(x.w, p, detail)
		return
	}
	x.g.metrics.problems.WithLabelValues(p.kind).Inc()
	hurry(x.w)
	p.writeBody(x.w, "application/json", body)
}

// hurry bounds how long the server waits for what it has not read of a request's body when the
// handler returns: net/http reads on, up to 256 KiB, before it reuses the connection. The server
// itself lifts the deadline for the next request. It returns false if the connection has no deadlines.
func hurry(w *answer) bool {
	return w.SetReadDeadline(time.Now().Add(leftoverTime)) == nil
}

const leftoverTime = 5 * time.Second

// rate lets one log line through per second, so that a fault on each request does not become a
// fault of the disk.
type rate struct{ last atomic.Int64 }

func (r *rate) allow(now time.Time) bool {
	last, t := r.last.Load(), now.Unix()
	return last != t && r.last.CompareAndSwap(last, t)
}

package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
	"unsafe"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/dialect"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/upstream"
)

// exchange is one request on its way through the gateway. It belongs to the request's goroutine.
type exchange struct {
	g    *Gateway
	w    *answer
	r    *http.Request
	p    *plan
	m    *model
	hop  int
	own  bool // the client's Authorization was the gateway's key
	body *payload
	sent *limited // a body that is streamed instead
	// upgrade is the protocol that the client asks to switch to; "": none
	upgrade string

	start  time.Time // the request has been read
	unit   string
	count  bool // e is recorded
	copied bool // a mirrored copy is wanted
	shared bool // it was hedged, or sent by net/http: who carries it may hold it for longer than it lasts
	served int  // the arm that answers
	probe  bool // the breaker let this one through to try
	divert diversion
	class  class
	done   time.Time
	first  time.Time
	waited time.Duration // for connections
	kept   keeper
	token  [release.TokenLen]byte

	span       Span   // nil: nobody follows
	drawn      bool   // for the sample of bodies
	copyOf     uint8  // of a copy: the arm that its request is counted for
	answerType string // Content-Type of the answer, if drawn

	recorded bool
	sending  sending  // the present try
	reading  *reading // of the present try; nil: nobody reads along
	attempt  outcome  // the present try's end

	writer answer                          // what w points to
	head   fields                          // of the request to the version, used again
	reply  upstream.Answer                 // if nobody looks at its headers
	values values                          // of headers that the gateway sets
	inform func(status int, h http.Header) // = informed, made once
	piece  func(b []byte) error            // = pumping.relay, made once

	pumping pumping
	late    late // of the body, by HTTP/2

	e release.Exposure
}

// exchanges are used again: one is larger than all else that a request needs.
var exchanges = sync.Pool{New: func() any {
	x := &exchange{head: make(fields, 0, 24)}
	x.inform, x.piece = x.informed, x.pumping.relay
	return x
}}

// alone says that nobody but the exchange was given the request, its context or its body: no copy, no hedge, no goroutine that streams
// or dials.
func (x *exchange) alone() bool {
	return !x.copied && !x.shared && x.waited == 0 && x.sent == nil && x.upgrade == ""
}

// recycle gives an exchange back. Nobody may hold any part of it afterwards.
func (x *exchange) recycle() {
	clear(x.head[:cap(x.head)]) // of a longer try before, too
	*x = exchange{head: x.head[:0], reply: x.reply, inform: x.inform, piece: x.piece}
	x.reply.Forget()
	exchanges.Put(x)
}

// serve relays one request: walk (a) of the design.
func (g *Gateway) serve(x *exchange, r *http.Request) {
	x.g, x.w, x.r = g, &x.writer, r
	if p, ok := x.entry(); !ok {
		g.refuse(x.w, p, "")
		return
	}
	defer x.release()
	if !x.route() || !x.read() {
		return
	}
	x.follow()
	x.assign()
	cut := x.answer()
	if cut {
		// What was sent is not the whole answer, and the client must see that: no last chunk, no
		// complete length, a reset stream.
		panic(http.ErrAbortHandler)
	}
}

// entry checks what does not depend on the model.
func (x *exchange) entry() (problem, bool) {
	r := x.r
	switch {
	case headerSize(r.Header) > x.g.opts.Limits.Header:
		return problemHeader, false
	case r.Method == http.MethodConnect:
		return problemMethod, false
	case !x.g.authorized(r, &x.own):
		return problemUnauthorized, false
	case dotted(r.URL.Path):
		return problemPath, false
	}
	if x.hop = hops(r.Header); x.hop >= maxHops {
		return problemLoop, false
	}
	if x.p = x.g.plan(); x.p == nil {
		return problemNotReady, false
	}
	return problem{}, true
}

// dotted says whether a path has a segment "." or "..": what it means differs from server to server,
// so it could reach what spec.match keeps out.
func dotted(path string) bool {
	if !strings.Contains(path, "/.") {
		return false
	}
	for s := range strings.SplitSeq(path, "/") {
		if s == "." || s == ".." {
			return true
		}
	}
	return false
}

// authorized checks the API key if one is asked for. own is set if it came as the bearer token, which
// then is not meant for the model server.
func (g *Gateway) authorized(r *http.Request, own *bool) bool {
	if len(g.opts.APIKeys) == 0 {
		return true
	}
	key := r.Header.Get(HeaderKey)
	if key == "" {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return false
		}
		key, *own = strings.TrimSpace(token), true
	}
	sum := sha256.Sum256([]byte(key))
	found := 0
	for i := range g.opts.APIKeys {
		found |= subtle.ConstantTimeCompare(sum[:], g.opts.APIKeys[i][:])
	}
	return found == 1
}

// route finds the model. If a route asks for the model that the body names, the body is read first.
func (x *exchange) route() bool {
	failed := false
	named := func() string {
		p, err := x.readBody(x.p.largest)
		if err != nil {
			x.refuseBody(err)
			failed = true
			return ""
		}
		x.body = p
		return dialect.Model(x.r.URL.EscapedPath(), x.r.Header.Get("Content-Type"), p.bytes())
	}
	route := x.p.routes.Match(x.r.Host, x.r.URL.Path, x.r.Header.Get, named)
	switch {
	case failed:
		return false
	case route == nil:
		x.refuse(problemNoRoute, "")
		return false
	}
	x.m = x.p.byPath[route]
	return true
}

// smallBody is up to where a body is taken into memory though nothing needs it there: it can be sent
// again if a kept connection turns out to be closed, and no second goroutine has to carry it.
const smallBody = 64 << 10

// read brings the body into memory if something needs it there, and bounds it in any case.
func (x *exchange) read() bool {
	limit := min(int64(x.m.Limits.Body), x.g.opts.Limits.Body)
	switch {
	case x.body != nil: // read to find the route
		if int64(len(x.body.bytes())) > limit {
			x.refuseBody(errBodyTooLarge)
			return false
		}
	case x.r.Body == nil || x.r.Body == http.NoBody || x.r.ContentLength == 0:
	case x.r.ContentLength > limit:
		x.refuseBody(errBodyTooLarge)
		return false
	case x.m.inBody && !x.flows() || x.r.ContentLength > 0 && x.r.ContentLength <= smallBody && !x.w.grpc:
		p, err := x.readBody(limit)
		if err != nil {
			x.refuseBody(err)
			return false
		}
		x.body = p
	default:
		x.sent = &limited{r: x.r.Body, left: limit, length: x.r.ContentLength, closed: make(chan struct{})}
	}
	x.upgrade = upgradeOf(x.r)
	x.start = x.g.now()
	return true
}

// flows says whether the request's body may wait for the answer: a stream of gRPC in both directions, whose body
// must never be waited for. Only an inference of the Open Inference Protocol is known to be one message.
func (x *exchange) flows() bool {
	return x.w.grpc && x.m.Dialect == release.DialectOIP && dialect.Classify(x.m.Dialect, x.r.URL.Path) != dialect.OpInfer
}

// readBody reads the body under a deadline. A connection without deadlines (a test's recorder) is bounded by its own server,
// if at all.
func (x *exchange) readBody(limit int64) (_ *payload, err error) {
	b, ok := x.r.Body.(interface{ Whole() bool })
	switch here := ok && b.Whole(); {
	case here: // nothing is waited for
	case x.r.ProtoMajor == 2:
		x.g.lates.begin(&x.late, x.w)
		defer x.g.lates.end(&x.late)
	default:
		_ = x.w.SetReadDeadline(time.Now().Add(x.g.opts.Limits.BodyTime))
		defer func() {
			if err == nil {
				_ = x.w.SetReadDeadline(time.Time{})
			}
		}()
	}
	p, err := readPayload(x.r.Body, x.r.ContentLength, limit, &x.g.memory)
	if err != nil {
		return nil, err
	}
	_ = x.r.Body.Close() // it is at its end: the server need not look for more of it
	return p, nil
}

func (x *exchange) refuseBody(err error) {
	p := problemBodyRead
	switch {
	case errors.Is(err, errBodyTooLarge):
		p = problemBody
	case errors.Is(err, errBodySlow):
		p = problemBodySlow
	case errors.Is(err, errNoMemory):
		p = problemMemory
	}
	// What has not been read of the body can't be told from a next request.
	if x.r.ProtoMajor == 1 {
		x.w.Header().Set("Connection", "close")
	}
	x.refuse(p, "")
}

// assign draws the arm and begins the exposure.
func (x *exchange) assign() {
	m, e := x.m, &x.e
	unit, state := findUnit(m.unit, x.r, x.body.bytes())
	e.ID = x.g.opts.Nonce()
	x.drawn = x.draw()
	switch state {
	case unitMissing:
		m.metrics.missing.Inc()
	case unitTooLong:
		m.metrics.tooLong.Inc()
	case unitFound:
	}
	if state != unitFound {
		if m.Unit.Missing != release.MissingPerRequest {
			return // served by live, no part of the analysis
		}
		unit = string(binary.BigEndian.AppendUint64(nil, e.ID))
		e.Flags |= release.FlagPerRequest
	}
	x.unit, x.count = unit, true
	a := x.begin(x.g.opts.Keyring(), bytesOf(unit))
	x.served = int(a.Arm)
	continued := x.finishes(a)
	x.lead(a)
	if continued {
		return
	}
	m.signals.fromRequest(e, x.r, x.body.bytes(), x.g.opts.Sink)
}

// begin fills what the assignment says into the exposure. It and the sink are what counts against
// the 0.5 microseconds of the design.
func (x *exchange) begin(keys *release.Keyring, unit []byte) assign.Assignment {
	m, e := x.m, &x.e
	a := m.Assign(unit)
	e.Unit = keys.UnitHash(unit)
	e.Time = x.start.UnixMilli()
	e.Model, e.Release, e.Stratum, e.Epoch, e.Kind = m.Key, m.Release, m.Stratum, m.Epoch, m.Kind
	e.Bin, e.Arm = a.Bin, a.Counted
	return a
}

// lead sends the candidate's units to live while the lease is over or the breaker is open. The
// exposure keeps the unit's arm (intention to treat) and says by a flag who answered.
func (x *exchange) lead(a assign.Assignment) {
	leased := true
	if x.served != 0 || a.Mirrored {
		leased = x.g.leaseLeft(x.p, x.start) > 0
	}
	x.copied = a.Mirrored && leased
	if x.served == 0 {
		return
	}
	if !leased {
		x.served, x.divert = 0, divertedLease
		x.e.Flags |= release.FlagLease
		return
	}
	if x.m.arms[x.served].version.check.sick() && !x.m.arms[0].version.check.sick() {
		x.served, x.divert = 0, divertedHealth
		x.e.Flags |= release.FlagBreaker
		return
	}
	var ok bool
	if ok, x.probe = x.m.arms[x.served].breaker.admit(x.start); !ok {
		x.served, x.divert = 0, divertedBreaker
		x.e.Flags |= release.FlagBreaker
	}
}

// release gives back what the exchange holds. It runs in any case, after a panic too.
func (x *exchange) release() {
	x.letGo()
	x.forget()
	x.kept.free()
	x.body.release()
}

// letGo ends the reading of a streamed body that the upstream did not want to the end. The server
// must not return to the connection while the transport still reads from it.
func (x *exchange) letGo() {
	if x.sent == nil || x.sent.finished() {
		return
	}
	if bounded := hurry(x.w); bounded && x.sent.lent {
		<-x.sent.closed
	}
}

// bytesOf views a string as bytes, for callees that only read them.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// limited streams a request's body up to a limit and remembers why it ended. The transport reads it
// from a goroutine of its own, one read at a time, while the request's goroutine asks how far it came.
type limited struct {
	r      io.ReadCloser
	left   int64 // bytes that may still come; below 0: too many came. The reader's alone
	length int64 // as announced; -1: not
	lent   bool  // an upstream was given it, and will close it

	once   sync.Once
	closed chan struct{}

	mu   sync.Mutex // never held during a read, which may wait for the client for ever
	read int64
	eof  bool
	err  error // the client's fault; nil: none, or none yet
}

// Read implements io.Reader.
func (l *limited) Read(b []byte) (int, error) {
	if l.left < 0 {
		return 0, errBodyTooLarge
	}
	if int64(len(b)) > l.left+1 {
		b = b[:l.left+1] // one more than allowed, to see that there is more
	}
	n, err := l.r.Read(b)
	l.left -= int64(n)
	if l.left < 0 {
		n, err = n-1, errBodyTooLarge
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read += int64(n)
	switch {
	case errors.Is(err, io.EOF) || l.read == l.length:
		l.eof = true
	case err != nil:
		l.err = err
	}
	return n, err
}

// Close implements io.Closer. The body is the server's to close.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// fault returns the error of the client's body, nil if there is none.
func (l *limited) fault() error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// size returns how many bytes were read.
func (l *limited) size() int {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return int(l.read)
}

// finished says whether the client's whole body was read.
func (l *limited) finished() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.eof
}

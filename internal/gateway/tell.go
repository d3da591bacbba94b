package gateway

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"sluice.dev/sluice/internal/dialect"
	"sluice.dev/sluice/internal/release"
)

// Tracer follows requests for those who watch from outside. Its methods run on the requests' goroutines: they must be safe
// for concurrent use and must not block.
type Tracer interface {
	// Begin starts to follow a request with these headers, which was read at start.
	Begin(in http.Header, start time.Time) Span
}

// Span is one request that is followed.
type Span interface {
	// Inject writes who follows into the headers of the request to a version.
	Inject(out http.Header)
	// End tells how it ended. told is lent for the call.
	End(told *Told)
}

// Told is what is known of an exchange when it is over.
type Told struct {
	Model, Version string
	Arm            string // live, candidate, candidate2 ...
	Release        uint32
	Exposure       string // the exposure id without its signature; "": it is not recorded
	Mirrored       bool   // a copy, whose answer no client saw
	Diverted       bool   // live answered a unit of the candidate

	Method  string
	Status  int
	Class   string // how it ended, a word of sluice_gateway_requests_total
	Latency time.Duration
	Server  string // of the version, host:port

	Dialect      release.Dialect
	Op           dialect.Op // OpOther: none that is understood
	RequestModel string     // as the client wrote it; at most 64 bytes
	Measures     dialect.Measures
}

// Captures takes exchanges that were drawn for a model's sample of bodies.
type Captures interface {
	// Capture must redact and encrypt what it keeps, and must not block. c is its own from now on.
	Capture(c *Captured)
}

// Captured is one exchange with its bodies, as they were.
type Captured struct {
	Time            time.Time
	Model, Version  string
	Arm             string
	Release         uint32
	Exposure        string
	Mirrored        bool
	Status          int
	Spec            release.Capture
	Unit            release.UnitSpec
	Request, Answer CapturedBody
	Text            string // of a streamed answer, its pieces joined
}

// CapturedBody is a body as far as it was in memory.
type CapturedBody struct {
	Type  string
	Bytes []byte // nil: too large, or not in memory
	Size  int64
}

// unsigned is how many characters of an exposure id come before its signature.
const unsigned = release.TokenLen - 16

// follow begins what others are told of the exchange.
func (x *exchange) follow() {
	if x.g.opts.Tracer != nil {
		x.span = x.g.opts.Tracer.Begin(x.r.Header, x.start)
	}
}

// trace adds who follows to the headers of the request to a version.
func (x *exchange) trace() {
	h := make(http.Header)
	x.span.Inject(h)
	for name, values := range h {
		x.head.set(name, values)
	}
}

// draw says whether the exchange is in the sample of bodies. The id of the exposure is as good as any die, and none of its
// bits chooses an arm.
func (x *exchange) draw() bool {
	c := x.m.Capture
	return c != nil && x.g.opts.Captures != nil && x.e.ID>>44 < uint64(c.Share)*(1<<20)/uint64(release.Whole)
}

// keepLimit is how much of an answer is kept until its end.
func (x *exchange) keepLimit() int {
	limit := 0
	if x.m.signals.answerJSON {
		limit = x.g.opts.Limits.Keep
	}
	if x.drawn {
		limit = max(limit, int(x.m.Capture.MaxBody))
	}
	return limit
}

// document is the answer's body for the signals. That more is kept for the sample of bodies must not change what is measured.
func (x *exchange) document() []byte {
	if b := x.kept.bytes(); len(b) <= x.g.opts.Limits.Keep {
		return b
	}
	return nil
}

// tell ends what was begun by follow, once everything is known.
func (x *exchange) tell(mirrored bool, class string) {
	if x.span == nil && !x.drawn {
		return
	}
	v := x.m.arms[x.served].version
	told := Told{
		Model: x.m.Model, Version: v.name, Arm: armName(x.served), Release: x.m.Release, Exposure: x.exposure(),
		Mirrored: mirrored, Diverted: x.divert != divertedNot, Method: x.r.Method, Status: int(x.e.Status), Class: class,
		Latency: x.done.Sub(x.start) - x.waited, Server: v.host, Dialect: x.m.Dialect,
	}
	if r := x.reading; r != nil {
		told.Op, told.Measures = r.call.Op, r.reader.Measures()
		told.RequestModel = x.m.Match.Model // what clients write is known only where it is asked for
	}
	if x.span != nil {
		x.span.End(&told)
	}
	if x.drawn {
		x.capture(&told)
	}
}

// exposure is the id that the client got, without the signature that makes it count: of a copy, that of the request that
// it is a copy of, so that the two answers and their feedback are found together.
func (x *exchange) exposure() string {
	t := x.exposureID()
	switch {
	case x.e.Kind == release.ExposureCopy:
		t.Arm, t.Kind = x.copyOf, x.m.Kind
	case !x.count:
		return ""
	}
	return string(x.g.opts.Keyring().AppendToken(nil, &t)[:unsigned])
}

func (x *exchange) capture(told *Told) {
	c := Captured{
		Time: x.start, Model: told.Model, Version: told.Version, Arm: told.Arm, Release: told.Release, Exposure: told.Exposure,
		Mirrored: told.Mirrored, Status: told.Status, Spec: *x.m.Capture, Unit: x.m.Unit,
		Request: CapturedBody{Type: x.r.Header.Get("Content-Type"), Size: int64(x.e.ReqLen)},
		Answer:  CapturedBody{Type: x.answerType, Size: int64(x.e.RespLen)},
	}
	most := int64(x.m.Capture.MaxBody)
	if c.Request.Size <= most {
		c.Request.Bytes = slices.Clone(x.body.bytes())
	}
	if c.Answer.Size <= most {
		c.Answer.Bytes = slices.Clone(x.kept.bytes())
	}
	if r := x.reading; r != nil && r.header != nil && r.reader.Streams() {
		c.Text = string(r.reader.Text())
	}
	x.g.opts.Captures.Capture(&c)
}

// className is how a copy ended, in the words of the metric of requests.
func (x *exchange) className() string {
	switch {
	case x.e.Fault == release.FaultTimeout:
		return classNames[classTimeout]
	case x.e.Flags&release.FlagTruncated != 0:
		return classNames[classBroken]
	}
	return strconv.Itoa(int(x.e.Status)/100) + "xx"
}

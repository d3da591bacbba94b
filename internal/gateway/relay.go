package gateway

import (
	"errors"
	"io"
	"maps"
	"math"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
	"unsafe"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/upstream"
)

// statusGone is recorded when the client went away before it was told a status (nginx's word).
const statusGone = 499

// outcome is how one try at an upstream ended before its answer was relayed.
type outcome struct {
	resp    *http.Response // nil if there is a problem
	problem problem        // set if kind is not ""
	fault   release.Fault
	gate    *gate    // of which a slot is held
	obs     observer // nil: nobody reads along
	sent    *sending // whose end ends what resp needs; nil: nothing

	held    []byte // what the client gets first, kept back so far
	content bool   // content was seen
	broken  error  // the body ended while it was held back; io.EOF: well
}

// end gives the try's slot and connection back.
func (o *outcome) end() {
	if o.resp != nil {
		_ = o.resp.Body.Close()
	}
	if o.sent != nil {
		o.sent.end()
		o.sent = nil
	}
	if o.gate != nil {
		o.gate.exit()
		o.gate = nil
	}
}

// failed says whether the version is to blame.
func (o *outcome) failed() bool {
	return o.fault == release.FaultUpstream || o.fault == release.FaultTimeout
}

// answer gets the request answered and records how that went. It returns true if the answer was cut
// off midway.
func (x *exchange) answer() (cut bool) {
	x.e.Status, x.e.Fault, x.class = http.StatusBadGateway, release.FaultGateway, classGateway // until it is known better
	defer x.record()
	if x.copied && x.mirror() {
		x.e.Flags |= release.FlagMirrored
	}
	try := &x.attempt
	defer try.end()
	x.try(try, x.m.arms[x.served].version)
	x.await(try)
	if x.fallsBack(try) {
		x.e.Fault, x.e.Status = try.fault, try.status()
		x.e.Flags |= release.FlagFellBack
		x.divert = divertedFailover
		x.m.arms[x.served].metrics.classes[classOf(try)].Inc()
		x.told(try, try.failed())
		try.end()
		return x.second(try)
	}
	cut = x.deliver(try)
	x.told(try, x.e.Failed())
	return cut
}

// second relays live's answer after the candidate failed. The exposure remains the candidate's
// failure: its answers would look healthier the more often live stepped in.
func (x *exchange) second(try *outcome) (cut bool) {
	status, fault, flags := x.e.Status, x.e.Fault, x.e.Flags
	x.served = 0
	x.try(try, x.m.arms[0].version)
	cut = x.deliver(try)
	x.e.Status, x.e.Fault, x.e.Flags = status, fault, flags
	return cut
}

// fallsBack says whether live may still answer in place of the candidate.
func (x *exchange) fallsBack(try *outcome) bool {
	return x.mayFallBack() && x.r.Context().Err() == nil &&
		(try.failed() || try.problem.kind == problemOverload.kind)
}

// mayFallBack says whether the request could be answered by live if the candidate fails.
func (x *exchange) mayFallBack() bool {
	return x.served != 0 && x.m.arms[x.served].version.fallback && x.sent == nil && x.upgrade == ""
}

// told tells the breaker how the candidate did. An answer of 4xx is one that it gave well; a client
// that went away and a refusal by the gateway say nothing.
func (x *exchange) told(try *outcome, failed bool) {
	if x.served == 0 {
		return
	}
	b := x.m.arms[x.served].breaker
	if !failed && (try.resp == nil || x.e.Flags&release.FlagCancelled != 0) {
		b.forgo(x.probe)
		return
	}
	now := x.g.now()
	if b.report(failed, x.probe, x.e.Unit, now) {
		x.g.tripped(x.m, uint8(x.served), now)
	}
}

func (g *Gateway) tripped(m *model, i uint8, now time.Time) {
	a := m.arms[i]
	n, fails, open := a.breaker.counts()
	g.opts.Logger.Warn("the local breaker of a candidate changed", "model", m.Model, "version", a.version.name,
		"open", open, "requests", n, "failures", fails)
	if g.opts.Trips != nil {
		g.opts.Trips(Trip{
			Model: m.Model, Release: m.Release, Arm: i, Version: a.version.name, At: now,
			Closed: !open, Requests: n, Failures: fails,
		})
	}
}

// try sends the request to one version and waits for the head of its answer. The caller must end o,
// which is filled as far as the try came, in any case.
func (x *exchange) try(o *outcome, v *version) {
	*o = outcome{}
	switch {
	case v.err != nil:
		o.problem, o.fault = problemConfig, release.FaultUpstream
		return
	case x.r.Context().Err() != nil:
		o.problem, o.fault = problemGone, release.FaultClient
		return
	case !v.gate.enter(x.r.Context()):
		o.problem, o.fault = problemOverload, release.FaultGateway
		if x.r.Context().Err() != nil {
			o.problem, o.fault = problemGone, release.FaultClient
		}
		return
	}
	o.gate = v.gate
	resp, err := x.send(o, v) //nolint:bodyclose // outcome.end closes it
	x.first = x.g.now()
	if err != nil {
		o.problem, o.fault = x.blame(err)
		return
	}
	o.resp, o.fault = resp, faultOf(resp.StatusCode)
}

// send asks one version, once more if the observer wants it so.
func (x *exchange) send(o *outcome, v *version) (*http.Response, error) {
	for again := false; ; again = true {
		s := &x.sending
		x.prepare(s, v)
		if o.obs = x.observer(v); o.obs != nil {
			o.obs.sending(&s.out)
		}
		var resp *http.Response
		var err error
		x.shared = x.shared || !s.direct()
		if v.hedge.After > 0 && s.hedgeable() {
			resp, err = x.hedged(s)
		} else {
			if o.obs == nil && x.lists() {
				s.reply = &x.reply
			}
			resp, err = s.send(x.g)
		}
		x.waited += s.waited
		o.sent = s
		if err != nil || o.obs == nil || !o.obs.answered(resp) || again {
			return resp, err
		}
		_ = resp.Body.Close()
		s.end()
	}
}

// prepare fills what is sent to v for the client's request.
func (x *exchange) prepare(s *sending, v *version) {
	*s = sending{} // in place; with its fields it would be made on the stack and copied
	s.ctx, s.r, s.v, s.body, s.sent, s.inform, s.upgrade, s.grpc = x.r.Context(), x.r, v, x.body, x.sent, x.inform, x.upgrade, x.w.grpc
	upstreamURL(&s.url, v.url, x.r.URL)
	x.head = x.head[:0]
	x.g.policy(x.own).outgoing(&x.head, &x.values, x.r, v, x.hop, x.m.signals.answerJSON)
	if x.span != nil {
		x.trace()
	}
	s.out = outgoing{version: v, url: &s.url, body: x.body.bytes(), header: x.head}
}

// informed relays an answer of 1xx: early hints, or that the work goes on.
func (x *exchange) informed(status int, h http.Header) {
	if x.r.ProtoMajor == 1 && x.r.ProtoMinor == 0 {
		return // such a client doesn't know them
	}
	to := x.w.Header()
	dropHopByHop(h)
	dropOwn(h)
	maps.Copy(to, h)
	x.w.ResponseWriter.WriteHeader(status) // no beginning of the answer
	clear(to)
}

func faultOf(status int) release.Fault {
	switch {
	case status >= 500:
		return release.FaultUpstream
	case status >= 400:
		return release.FaultClient
	}
	return release.FaultNone
}

var errProtocol = errors.New("the upstream's answer has an impossible status")

// blame finds out why a try or a body ended early. The order matters: a client that went away closes
// the upstream's connection, and a limit that was passed ends the upstream request.
func (x *exchange) blame(err error) (problem, release.Fault) {
	switch {
	case x.sent.fault() != nil:
		if errors.Is(x.sent.fault(), errBodyTooLarge) {
			return problemBody, release.FaultClient
		}
		if x.r.Context().Err() != nil {
			return problemGone, release.FaultClient
		}
		return problemBodyRead, release.FaultClient
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problemTimeout, release.FaultTimeout
	case x.r.Context().Err() != nil:
		return problemGone, release.FaultClient
	}
	return problemUpstream, release.FaultUpstream
}

func (g *Gateway) policy(ownBearer bool) headerPolicy {
	return headerPolicy{keepCookies: g.opts.ForwardCookies, trustForwarded: g.opts.TrustForwarded, ownBearer: ownBearer}
}

// upstreamURL puts the version's address before the request's path and query, both as they came.
func upstreamURL(out, base, in *url.URL) {
	*out = *base
	out.Path, out.RawPath = joinPath(base.Path, in.Path), ""
	if in.RawPath != "" || base.RawPath != "" {
		out.RawPath = joinPath(base.EscapedPath(), in.EscapedPath())
	}
	out.RawQuery = in.RawQuery
	if base.RawQuery != "" {
		out.RawQuery = base.RawQuery
		if in.RawQuery != "" {
			out.RawQuery += "&" + in.RawQuery
		}
	}
	out.ForceQuery = in.ForceQuery
	out.Fragment, out.RawFragment = "", ""
}

func joinPath(base, path string) string {
	return strings.TrimSuffix(base, "/") + path
}

// status is what the client is told of the try.
func (o *outcome) status() uint16 {
	if o.resp != nil {
		return uint16(o.resp.StatusCode)
	}
	return uint16(o.problem.status)
}

// deliver gives the client the answer, or the gateway's error in its place.
func (x *exchange) deliver(try *outcome) (cut bool) {
	x.e.Fault, x.e.Status = try.fault, try.status()
	if try.resp == nil || !x.listed(try.resp) { // else it goes with the others
		x.stamp(x.w.Header())
	}
	if x.r.ProtoMajor == 1 && x.sent != nil && !x.sent.finished() {
		x.w.Header()["Connection"] = []string{"close"} // where the body ends can't be known before it is read
	}
	if try.resp == nil {
		x.class = classOf(try)
		if try.problem.kind == problemGone.kind {
			x.e.Flags |= release.FlagCancelled
			return true // nobody listens
		}
		x.refuse(try.problem, "")
		return false
	}
	x.class = classOf(try)
	if try.resp.StatusCode == http.StatusSwitchingProtocols {
		return x.switched(try)
	}
	return x.relay(try)
}

// stamp says to the client which exposure this is.
func (x *exchange) stamp(h http.Header) {
	var room [3]upstream.Line
	for _, l := range x.stamped(room[:0]) {
		h[l.Name] = x.values.one(strings.Clone(l.Value))
	}
}

// stamped appends the stamp to an answer's headers as they come. What it adds is valid as long as the exchange.
func (x *exchange) stamped(lines []upstream.Line) []upstream.Line {
	if x.g.opts.Expose {
		lines = append(lines, upstream.Line{Name: HeaderVersion, Value: x.m.arms[x.served].version.name},
			upstream.Line{Name: HeaderArm, Value: strconv.Itoa(int(x.e.Arm))})
	}
	if x.count {
		lines = append(lines, upstream.Line{Name: HeaderID, Value: x.exposureToken()})
	}
	return lines
}

// exposureToken is the exposure id as clients get it, in the exchange's memory.
func (x *exchange) exposureToken() string {
	t := x.exposureID()
	b := x.g.opts.Keyring().AppendToken(x.token[:0], &t)
	return unsafe.String(unsafe.SliceData(b), len(b))
}

func (x *exchange) exposureID() release.Token {
	e := &x.e
	return release.Token{
		Model: e.Model, Release: e.Release, Stratum: e.Stratum, Epoch: e.Epoch, Arm: e.Arm,
		Kind: e.Kind, Bin: e.Bin, Unit: e.Unit, Time: e.Time, Nonce: e.ID,
	}
}

// relay copies the upstream's answer to the client as it comes.
func (x *exchange) relay(try *outcome) (cut bool) {
	resp, h := try.resp, x.w.Header()
	x.pass(resp, h)
	stream := eventStream(resp.Header)
	if stream {
		delete(h, "Content-Length")
		h["Cache-Control"] = []string{"no-cache, no-transform"}
		h["X-Accel-Buffering"] = []string{"no"}
	}
	announced := announce(h, resp.Trailer)
	if len(announced) > 0 && x.r.ProtoMajor == 1 {
		delete(h, "Content-Length") // HTTP/1.1 has trailers behind chunks only
	}
	if limit := x.keepLimit(); limit > 0 && !stream {
		x.kept.start(limit)
	}
	if x.drawn {
		x.answerType = resp.Header.Get("Content-Type")
	}
	x.w.WriteHeader(resp.StatusCode)
	upErr, downErr := x.pump(try, stream || resp.ContentLength < 0)
	switch {
	case downErr != nil:
		x.ended(problemGone, release.FaultClient)
	case upErr != nil:
		x.ended(x.blame(upErr))
	default:
		trailers(h, resp.Trailer, announced)
		if x.w.grpc {
			x.grpcEnded(resp)
		}
		if resp.StatusCode < 400 && x.divert != divertedFailover { // live's answer says nothing of the candidate's
			x.m.signals.fromAnswer(&x.e, resp.Header, x.document(), x.g.opts.Sink)
		}
		return false
	}
	return true
}

// lists says that nobody looks at the answer's headers, so that they may be passed on as they come.
func (x *exchange) lists() bool {
	return x.w.front != nil && !x.drawn && !x.w.grpc && x.upgrade == "" && !x.m.signals.header
}

// listed says that the headers of an answer are lines, in the exchange's memory.
func (x *exchange) listed(resp *http.Response) bool {
	return resp.Header == nil && x.sending.reply != nil
}

// pass gives the client the answer's headers, none of which is the gateway's own: the stamp stays.
func (x *exchange) pass(resp *http.Response, h http.Header) {
	if x.listed(resp) {
		if kept, ok := passable(x.reply.Head.Lines, h); ok {
			lines := x.stamped(kept)
			x.reply.Head.Lines = lines // it may have grown
			x.w.front.Lines(lines)
			return
		}
		resp.Header = headerOf(x.reply.Head.Lines)
		x.stamp(h)
	}
	answerHeaders(h, resp.Header)
}

// ended notes why an answer that had begun was not completed.
func (x *exchange) ended(p problem, fault release.Fault) {
	x.e.Fault = fault
	x.class = classBroken
	switch {
	case p.kind == problemGone.kind:
		x.e.Flags |= release.FlagCancelled
		x.class = classCancelled
	case fault == release.FaultTimeout:
		x.e.Flags |= release.FlagTruncated
		x.class = classTimeout
	default:
		x.e.Flags |= release.FlagTruncated
	}
}

// errTruncated is a body that ended well and yet is not whole, as its observer says.
var errTruncated = errors.New("the answer ended without its last part")

// errClientGone is what observers are told when nobody takes the answer any more.
var errClientGone = errors.New("the client went away")

// pump copies the body and says on which side it failed.
func (x *exchange) pump(try *outcome, stream bool) (upErr, downErr error) {
	p := &x.pumping
	*p = pumping{
		x: x, try: try, stream: stream,
		to: client{w: x.w, wait: x.g.opts.Limits.WriteTime, left: try.resp.ContentLength, stream: x.r.ProtoMajor == 2},
	}
	upErr = p.run()
	downErr = p.gone
	var tail []byte
	if try.obs != nil {
		err := upErr
		if downErr != nil {
			err = errClientGone
		}
		var truncated bool
		if tail, truncated = try.obs.ended(err, try.resp.Trailer); truncated && upErr == nil {
			upErr = errTruncated
		}
	}
	if downErr != nil {
		return upErr, downErr
	}
	if len(tail) > 0 {
		if err := p.to.write(tail, stream); err != nil {
			return upErr, err
		}
	}
	if upErr != nil {
		_ = p.to.flush() // what came is the client's, though the rest is lost
		return upErr, nil
	}
	return nil, p.to.done()
}

// pumping is an answer's way from the model server to the client.
type pumping struct {
	x      *exchange
	try    *outcome
	to     client
	stream bool
	beat   *beat
	gone   error // what the client's side failed with; nil: it did not
}

// run moves the body's bytes until one side ends, and returns why the upstream's did; nil: well, or it was not that.
func (p *pumping) run() error {
	err := p.move()
	if gone := p.beat.stop(); p.gone == nil {
		p.gone = gone
	}
	if errors.Is(err, io.EOF) {
		_ = p.try.resp.Body.Close() // its connection may serve others while the client takes the rest
		return nil
	}
	if p.gone != nil {
		err = nil
	}
	return err
}

// move returns why it moves no more: io.EOF, p.gone, or what is wrong with the body.
func (p *pumping) move() error {
	if p.stream { // the client learns now that an answer begins, however long its first byte takes
		if p.gone = p.to.flush(); p.gone != nil {
			return p.gone
		}
	}
	p.beat = p.x.beats(p.try.resp.Header, &p.to)
	if len(p.try.held) > 0 {
		if p.gone = p.to.write(p.try.held, p.stream); p.gone != nil {
			return p.gone
		}
	}
	if p.try.broken != nil {
		return p.try.broken
	}
	return eachPiece(p.try.resp, p.x.piece)
}

// relay hands a piece of the answer to the client.
func (p *pumping) relay(b []byte) error {
	if p.gone = p.beat.stop(); p.gone != nil {
		return p.gone
	}
	if b, _ = p.x.see(p.try, b); len(b) > 0 {
		p.gone = p.to.write(b, p.stream)
	}
	return p.gone
}

// pieces is an answer's body that shows its bytes where they lie, and holds no memory while it pauses.
type pieces interface {
	Each(f func(piece []byte) error) error
}

// eachPiece calls f with each piece of an answer's body as it comes, and returns f's error or that of the body, io.EOF at its end.
func eachPiece(resp *http.Response, f func(piece []byte) error) error {
	if b, ok := resp.Body.(pieces); ok {
		return b.Each(f)
	}
	p := newPipe(resp.ContentLength)
	defer p.free()
	for {
		n, err := resp.Body.Read(p.buf)
		if n > 0 {
			if err := f(p.buf[:n]); err != nil {
				return err
			}
			p.grow(n)
		}
		if err != nil {
			return err
		}
	}
}

// see shows a piece of the answer to who wants it, and ends the wait for the first content.
func (x *exchange) see(try *outcome, b []byte) (relay []byte, s seen) {
	x.kept.keep(b)
	x.e.RespLen = add32(x.e.RespLen, len(b))
	relay, s = b, seenContent
	if try.obs != nil {
		relay, s = try.obs.chunk(b, x.g.now())
	}
	if !try.content && s != seenNothing {
		try.content = true
		if x.sending.v.timeouts.FirstToken > 0 {
			if b, ok := try.resp.Body.(readBy); ok {
				b.ReadBy(time.Time{})
			}
		}
	}
	return relay, s
}

// Bounds of what is held back of a stream until its first content.
const (
	maxHeldChunks = 64
	maxHeldBytes  = 256 << 10
)

// await waits for the first content of a candidate's stream while live could still answer in its
// place: a stream that fails before it has said anything is as good as none.
func (x *exchange) await(try *outcome) {
	if try.resp == nil || try.obs == nil || try.resp.StatusCode != http.StatusOK || !x.mayFallBack() || !try.obs.streaming() ||
		x.sending.v.timeouts.KeepAlive > 0 { // which needs an answer that has begun
		return
	}
	p := newPipe(-1)
	defer p.free()
	for range maxHeldChunks {
		n, err := try.resp.Body.Read(p.buf)
		if n > 0 {
			relay, s := x.see(try, p.buf[:n])
			try.held = append(try.held, relay...)
			switch {
			case s == seenFailed:
				try.fault = release.FaultUpstream
				return
			case s == seenContent || len(try.held) > maxHeldBytes:
				try.broken = err
				return
			}
			p.grow(n)
		}
		if err != nil {
			if try.broken = err; err != io.EOF {
				_, try.fault = x.blame(err)
			}
			return
		}
	}
}

// record completes the exposure and hands it on. It needs nothing of the request's context, which is
// over when the client is gone, and runs in all cases.
func (x *exchange) record() {
	if x.recorded {
		return
	}
	if x.class == classCancelled {
		x.tookBack()
	}
	x.recorded = true
	x.done = x.g.now()
	latency := micros(x.done.Sub(x.start))
	first := latency
	if !x.first.IsZero() {
		first = min(micros(x.first.Sub(x.start)), latency)
	}
	a := &x.m.arms[x.served].metrics
	a.classes[x.class].Inc()
	a.duration.Observe(float64(latency) / 1e6)
	a.firstByte.Observe(float64(first) / 1e6)
	if x.divert != divertedNot {
		x.m.metrics.diverted[x.divert].Inc()
	}
	if r := x.reading; r != nil && a.speech != nil && r.header != nil {
		told := r.reader.Measures()
		a.speech.count(&told, r.v.tongue.price, x.waited)
	}
	e := &x.e
	e.ReqLen = add32(0, len(x.body.bytes())+x.sent.size())
	if !x.count {
		x.tell(false, classNames[x.class])
		return
	}
	// The wait for a connection is the gateway's: a candidate begins without any while live has all.
	e.Latency = micros(x.done.Sub(x.start) - x.waited)
	e.TTFB = min(micros(time.Duration(first)*time.Microsecond-x.waited), e.Latency)
	x.measure()
	x.g.opts.Sink.Record(e)
	x.tell(false, classNames[x.class])
}

func classOf(o *outcome) class {
	switch {
	case o.resp == nil && o.problem.kind == problemGone.kind:
		return classCancelled
	case o.resp == nil && o.fault == release.FaultTimeout:
		return classTimeout
	case o.resp == nil && o.fault == release.FaultUpstream:
		return classBroken
	case o.resp == nil:
		return classGateway
	}
	return min(class2xx+class(o.resp.StatusCode/100-2), class5xx)
}

// micros is a duration in microseconds, within what an exposure can hold. A clock that was set back
// gives 0.
func micros(d time.Duration) uint32 {
	return uint32(min(max(d.Microseconds(), 0), math.MaxUint32))
}

func add32(a uint32, n int) uint32 { return uint32(min(uint64(a)+uint64(n), math.MaxUint32)) }

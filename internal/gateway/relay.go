package gateway

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sluice.dev/sluice/internal/release"
)

// statusGone is recorded when the client went away before it was told a status (nginx's word).
const statusGone = 499

var errVersionTimeout = errors.New("the version's timeout passed")

// outcome is how one try at an upstream ended before its answer was relayed.
type outcome struct {
	resp    *http.Response // nil if there is a problem
	problem problem        // set if kind is not ""
	fault   release.Fault
	cancel  context.CancelFunc // ends the try; nil if it never began
	slots   *slots
}

// end gives the try's slot and connection back.
func (o *outcome) end() {
	if o.resp != nil {
		_ = o.resp.Body.Close()
	}
	if o.cancel != nil {
		o.cancel()
	}
	if o.slots != nil {
		o.slots.give(1)
		o.slots = nil
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
	var try outcome
	defer try.end()
	x.try(&try, x.m.arms[x.served].version)
	if x.fallsBack(&try) {
		x.e.Fault, x.e.Status = try.fault, try.status()
		x.e.Flags |= release.FlagFellBack
		x.divert = divertedFailover
		x.m.arms[x.served].metrics.classes[classOf(&try)].Inc()
		x.told(&try, try.failed())
		try.end()
		return x.second(&try)
	}
	cut = x.deliver(&try)
	x.told(&try, x.e.Failed())
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
	v := x.m.arms[x.served].version
	return x.served != 0 && v.fallback && x.sent == nil && x.r.Context().Err() == nil &&
		(try.failed() || try.problem.kind == problemOverload.kind)
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
	case !v.slots.take(1):
		o.problem, o.fault = problemOverload, release.FaultGateway
		return
	}
	o.slots = v.slots
	ctx, cancel := context.WithTimeoutCause(x.r.Context(), v.timeout, errVersionTimeout)
	o.cancel = cancel
	h := x.g.policy(x.own).outgoing(x.r, v, x.hop, x.m.signals.answerJSON)
	resp, err := x.g.opts.Upstream.RoundTrip(upstreamRequest(x.conn.traced(ctx), x.r, v, h, x.body, x.sent))
	if err == nil && (resp.StatusCode < 200 || resp.StatusCode > 999) {
		// 101 was not asked for, other 1xx are no final answer.
		_ = resp.Body.Close()
		err = errProtocol
	}
	if err != nil {
		o.problem, o.fault = x.blame(ctx)
		return
	}
	o.resp, o.fault = resp, faultOf(resp.StatusCode)
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

// blame finds out why a try or a body ended early. The order matters: a client that went away ends
// the context, and a limit that was passed ends the upstream request.
func (x *exchange) blame(ctx context.Context) (problem, release.Fault) {
	switch {
	case x.sent.fault() != nil:
		if errors.Is(x.sent.fault(), errBodyTooLarge) {
			return problemBody, release.FaultClient
		}
		return problemBodyRead, release.FaultClient
	case errors.Is(context.Cause(ctx), errVersionTimeout):
		return problemTimeout, release.FaultTimeout
	case x.r.Context().Err() != nil:
		return problemGone, release.FaultClient
	}
	return problemUpstream, release.FaultUpstream
}

func (g *Gateway) policy(ownBearer bool) headerPolicy {
	return headerPolicy{keepCookies: g.opts.ForwardCookies, trustForwarded: g.opts.TrustForwarded, ownBearer: ownBearer}
}

// upstreamRequest builds the request for one version from the client's.
func upstreamRequest(ctx context.Context, r *http.Request, v *version, h http.Header, body *payload, sent *limited) *http.Request {
	req := &http.Request{
		Method: r.Method, URL: upstreamURL(v.url, r.URL), Host: v.host, Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
	}
	switch {
	case sent != nil:
		sent.lent = true
		req.Body, req.ContentLength = sent, r.ContentLength
	case len(body.bytes()) > 0:
		req.Body, req.ContentLength = body.reader(), int64(len(body.bytes()))
		// Lets the transport send it again if a kept connection turns out to be closed.
		req.GetBody = func() (io.ReadCloser, error) { return body.reader(), nil }
	}
	return req.WithContext(ctx)
}

// upstreamURL puts the version's address before the request's path and query, both as they came.
func upstreamURL(base, in *url.URL) *url.URL {
	out := *base
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
	return &out
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
	x.first = x.g.now()
	x.e.Fault, x.e.Status = try.fault, try.status()
	x.stamp(x.w.Header())
	if x.sent != nil && !x.sent.finished() {
		x.w.Header().Set("Connection", "close") // where the body ends can't be known before it is read
	}
	if try.resp == nil {
		x.class = classOf(try)
		if try.problem.kind == problemGone.kind {
			x.e.Flags |= release.FlagCancelled
			return true // nobody listens
		}
		x.g.refuse(x.w, try.problem, "")
		return false
	}
	x.class = classOf(try)
	return x.relay(try)
}

// stamp says to the client which exposure this is.
func (x *exchange) stamp(h http.Header) {
	if x.g.opts.Expose {
		h[HeaderVersion] = []string{x.m.arms[x.served].version.name}
		h[HeaderArm] = []string{strconv.Itoa(int(x.e.Arm))}
	}
	if !x.count {
		return
	}
	t := x.exposureID()
	h[HeaderID] = []string{string(x.g.opts.Keyring().AppendToken(x.token[:0], &t))}
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
	answerHeaders(h, resp.Header) // none of which is the gateway's own: the stamp stays
	stream := eventStream(resp.Header)
	if stream {
		delete(h, "Content-Length")
		h["Cache-Control"] = []string{"no-cache, no-transform"}
		h["X-Accel-Buffering"] = []string{"no"}
	}
	announced := announce(h, resp.Trailer)
	if x.m.signals.answerJSON && !stream {
		x.kept.start(x.g.opts.Limits.Keep)
	}
	x.w.WriteHeader(resp.StatusCode)
	upErr, downErr := x.pump(resp, stream || resp.ContentLength < 0)
	switch {
	case downErr != nil:
		x.ended(problemGone, release.FaultClient)
	case upErr != nil:
		x.ended(x.blame(resp.Request.Context()))
	default:
		trailers(h, resp.Trailer, announced)
		if resp.StatusCode < 400 && x.divert != divertedFailover { // live's answer says nothing of the candidate's
			x.m.signals.fromAnswer(&x.e, resp.Header, x.kept.bytes(), x.g.opts.Sink)
		}
		return false
	}
	return true
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

// pump copies the body and says on which side it failed.
func (x *exchange) pump(resp *http.Response, stream bool) (upErr, downErr error) {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	c := client{w: x.w, rc: http.NewResponseController(x.w), wait: x.g.opts.Limits.WriteTime}
	if stream { // the client learns now that an answer begins, however long its first byte takes
		if err := c.flush(); err != nil {
			return nil, err
		}
	}
	for {
		n, err := resp.Body.Read(*buf)
		if n > 0 {
			x.kept.keep((*buf)[:n])
			x.e.RespLen = add32(x.e.RespLen, n)
			if werr := c.write((*buf)[:n], stream); werr != nil {
				return nil, werr
			}
		}
		if err == io.EOF {
			return nil, c.done()
		}
		if err != nil {
			_ = c.flush() // what came is the client's, though the rest is lost
			return err, nil
		}
	}
}

// record completes the exposure and hands it on. It needs nothing of the request's context, which is
// over when the client is gone, and runs in all cases.
func (x *exchange) record() {
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
	if !x.count {
		return
	}
	e := &x.e
	e.Latency = micros(x.conn.off(x.done.Sub(x.start)))
	e.TTFB = min(micros(x.conn.off(time.Duration(first)*time.Microsecond)), e.Latency)
	e.ReqLen = add32(0, len(x.body.bytes())+x.sent.size())
	x.g.opts.Sink.Record(e)
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

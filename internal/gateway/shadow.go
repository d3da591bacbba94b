package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"sluice.dev/sluice/internal/release"
)

// maxCopyAnswer bounds what is read of an answer that is discarded.
const maxCopyAnswer = 64 << 20

// copies are the mirrored requests under way. They have a life of their own: a client that goes away
// does not end them, and no request ever waits for one.
type copies struct {
	slots slots
	alive context.Context // over when the copies must end
	cut   context.CancelFunc

	mu     sync.Mutex // guards closed and Add against Wait
	closed bool
	group  sync.WaitGroup
}

func (c *copies) init(limit int) {
	c.slots.max.Store(int64(limit))
	c.alive, c.cut = context.WithCancel(context.Background())
}

// begin claims a slot.
func (c *copies) begin() bool {
	if !c.slots.take(1) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		c.slots.give(1)
		return false
	}
	c.group.Add(1)
	return true
}

func (c *copies) end() {
	c.slots.give(1)
	c.group.Done()
}

func (c *copies) close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	defer c.cut()
	finished := make(chan struct{})
	go func() { c.group.Wait(); close(finished) }()
	select {
	case <-finished:
		return nil
	case <-ctx.Done():
		c.cut()
		<-finished // each ends at once: its context is over
		return ctx.Err()
	}
}

// mirror sends a copy of the request to arm 1, if there is room. It returns whether it was sent; what
// is dropped is counted.
func (x *exchange) mirror() bool {
	const candidate = 1
	v := x.m.arms[candidate].version
	if v.err != nil || !v.slots.take(1) {
		x.m.metrics.mirrorDrops.Inc()
		return false
	}
	if !x.g.copies.begin() {
		v.slots.give(1)
		x.m.metrics.mirrorDrops.Inc()
		return false
	}
	x.m.metrics.mirrored.Inc()
	h := x.g.policy(x.own).outgoing(x.r, v, x.hop, x.m.signals.answerJSON)
	h[HeaderShadow] = []string{"true"}
	c := &exchange{ // a second exchange without a client, which shares only what is never written
		g: x.g, r: x.r.WithContext(x.g.copies.alive), p: x.p, m: x.m, hop: x.hop,
		body: x.body, start: x.start, served: candidate, e: x.e, conn: connWait{now: x.g.now},
	}
	c.e.Arm, c.e.Kind = candidate, release.ExposureCopy
	if x.body != nil {
		x.body.retain()
	}
	go c.copy(v, h)
	return true
}

// copy sends the mirrored request, reads its answer to the end and records it.
func (x *exchange) copy(v *version, h http.Header) {
	defer x.g.copies.end()
	defer x.release()
	defer v.slots.give(1)
	defer x.caught()
	ctx, cancel := context.WithTimeoutCause(x.g.copies.alive, v.timeout, errVersionTimeout)
	defer cancel()
	e := &x.e
	x.start = x.g.now()
	defer x.recordCopy()
	e.Status, e.Fault = http.StatusBadGateway, release.FaultGateway // until it is known better
	resp, err := x.g.opts.Upstream.RoundTrip(upstreamRequest(x.conn.traced(ctx), x.r, v, h, x.body, nil))
	x.first = x.g.now()
	if err != nil {
		x.blameCopy(ctx)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	e.Status, e.Fault = uint16(resp.StatusCode), faultOf(resp.StatusCode)
	if x.m.signals.answerJSON && !eventStream(resp.Header) {
		x.kept.start(x.g.opts.Limits.Keep)
	}
	if !x.discard(ctx, resp.Body) {
		return
	}
	if resp.StatusCode < 400 {
		x.m.signals.fromAnswer(e, resp.Header, x.kept.bytes(), x.g.opts.Sink)
	}
}

// discard reads an answer to its end and says whether that was reached well.
func (x *exchange) discard(ctx context.Context, body io.Reader) bool {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for total := 0; ; {
		n, err := body.Read(*buf)
		total += n
		x.kept.keep((*buf)[:n])
		x.e.RespLen = add32(x.e.RespLen, n)
		switch {
		case errors.Is(err, io.EOF):
			return true
		case err != nil:
			x.blameCopy(ctx)
			x.e.Flags |= release.FlagTruncated
			return false
		case total > maxCopyAnswer:
			x.e.Flags |= release.FlagTruncated
			return true
		}
	}
}

// blameCopy says why a copy failed: its version, or the gateway that is closing.
func (x *exchange) blameCopy(ctx context.Context) {
	switch {
	case errors.Is(context.Cause(ctx), errVersionTimeout):
		x.e.Fault, x.e.Status = release.FaultTimeout, uint16(problemTimeout.status)
	case ctx.Err() != nil:
		x.e.Fault = release.FaultGateway
	default:
		x.e.Fault, x.e.Status = release.FaultUpstream, uint16(problemUpstream.status)
	}
}

func (x *exchange) recordCopy() {
	e := &x.e
	e.Latency = micros(x.conn.off(x.g.now().Sub(x.start)))
	e.TTFB = min(micros(x.conn.off(x.first.Sub(x.start))), e.Latency)
	e.ReqLen = add32(0, len(x.body.bytes()))
	x.g.opts.Sink.Record(e)
}

// caught keeps a panic in a copy from ending the process.
func (x *exchange) caught() {
	if v := recover(); v != nil {
		x.g.metrics.panics.Inc()
		if x.g.noisy.allow(x.g.now()) {
			x.g.opts.Logger.Error("gateway panicked on a mirrored request", "panic", v)
		}
	}
}

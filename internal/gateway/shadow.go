package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
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
	if x.upgrade != "" || x.sent != nil {
		// A connection that is switched, and a body that goes on while it is answered, can't be had twice.
		x.m.metrics.mirrorDrops.Inc()
		return false
	}
	if v.err != nil || !v.gate.take(1) {
		x.m.metrics.mirrorDrops.Inc()
		return false
	}
	if !x.g.copies.begin() {
		v.gate.exit()
		x.m.metrics.mirrorDrops.Inc()
		return false
	}
	x.m.metrics.mirrored.Inc()
	c := &exchange{ // a second exchange without a client, which shares only what is never written
		g: x.g, w: &answer{grpc: x.w.grpc}, r: x.r.WithContext(x.g.copies.alive), p: x.p, m: x.m, hop: x.hop, own: x.own,
		body: x.body, start: x.start, served: candidate, e: x.e, head: make(fields, 0, len(x.r.Header)+6),
	}
	c.copyOf = x.e.Arm
	c.follow()
	c.drawn = c.draw()
	s := &c.sending
	c.prepare(s, v)
	s.out.header.set(HeaderShadow, []string{"true"})
	c.e.Arm, c.e.Kind = candidate, release.ExposureCopy
	if x.body != nil {
		x.body.retain()
	}
	x.pair(c)
	go c.mirrored(v)
	return true
}

// mirrored sends the copy, reads its answer to the end and records it.
func (x *exchange) mirrored(v *version) {
	defer x.g.copies.end()
	defer x.release()
	defer v.gate.exit()
	defer x.caught()
	e, s := &x.e, &x.sending
	defer s.end()
	x.start = x.g.now()
	defer x.recordCopy()
	e.Status, e.Fault = http.StatusBadGateway, release.FaultGateway // until it is known better
	var try outcome
	if try.obs = x.observer(v); try.obs != nil {
		try.obs.sending(&s.out)
	}
	resp, err := s.send(x.g)
	x.waited, x.first = s.waited, x.g.now()
	if err != nil {
		x.blameCopy(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	try.resp = resp
	e.Status, e.Fault = uint16(resp.StatusCode), faultOf(resp.StatusCode)
	if try.obs != nil {
		_ = try.obs.answered(resp) // a copy is sent once
	}
	if limit := x.keepLimit(); limit > 0 && !eventStream(resp.Header) {
		x.kept.start(limit)
	}
	if x.drawn {
		x.answerType = resp.Header.Get("Content-Type")
	}
	err = x.discard(&try)
	if try.obs != nil {
		if _, truncated := try.obs.ended(err, resp.Trailer); truncated {
			e.Flags |= release.FlagTruncated
		}
	}
	if err != nil {
		return
	}
	if s.grpc {
		x.grpcEnded(resp)
	}
	if resp.StatusCode < 400 {
		x.m.signals.fromAnswer(e, resp.Header, x.document(), x.g.opts.Sink)
	}
}

// discard reads an answer to its end; nil: that was reached well, or enough was read.
func (x *exchange) discard(try *outcome) error {
	p := newPipe(try.resp.ContentLength)
	defer p.free()
	for total := 0; ; {
		n, err := try.resp.Body.Read(p.buf)
		if total += n; n > 0 {
			x.see(try, p.buf[:n])
			p.grow(n)
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			x.blameCopy(err)
			x.e.Flags |= release.FlagTruncated
			return err
		case total > maxCopyAnswer:
			x.e.Flags |= release.FlagTruncated
			return nil
		}
	}
}

// blameCopy says why a copy failed: its version, or the gateway that is closing.
func (x *exchange) blameCopy(err error) {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		x.e.Fault, x.e.Status = release.FaultTimeout, uint16(problemTimeout.status)
	case x.g.copies.alive.Err() != nil:
		x.e.Fault = release.FaultGateway
	default:
		x.e.Fault, x.e.Status = release.FaultUpstream, uint16(problemUpstream.status)
	}
}

func (x *exchange) recordCopy() {
	e := &x.e
	x.done = x.g.now()
	e.Latency = micros(x.done.Sub(x.start) - x.waited)
	e.TTFB = min(micros(x.first.Sub(x.start)-x.waited), e.Latency)
	e.ReqLen = add32(0, len(x.body.bytes()))
	x.measure()
	x.g.opts.Sink.Record(e)
	x.tell(true, x.className())
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

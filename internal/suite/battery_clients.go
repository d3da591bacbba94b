package suite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const duplicates = 16

// oversized sends a huge text, as a value of the sample's shape where it has one. It is made while it is
// sent, so that it takes no memory here.
func (b *battery) oversized() []attempt {
	head, tail := []byte(`{"sluice":"`), []byte(`"}`)
	if b.shaped {
		for _, l := range leaves(b.value) {
			if _, ok := l.value.(string); ok {
				const mark = `"sluice-oversized"`
				body := b.verbatim(l, mark).body
				at := bytes.Index(body, []byte(mark))
				head, tail = body[:at+1], body[at+len(mark)-1:]
				break
			}
		}
	}
	fill := int64(max(0, b.c.oversize-len(head)-len(tail)))
	size := int64(len(head)+len(tail)) + fill
	body := func() io.Reader {
		return io.MultiReader(bytes.NewReader(head), io.LimitReader(filler('x'), fill), bytes.NewReader(tail))
	}
	send := func(size int64) func(context.Context, *client) (*answer, error) {
		return func(ctx context.Context, c *client) (*answer, error) {
			return c.sendBody(ctx, b.sample, body(), size, b.c.timeout)
		}
	}
	return []attempt{
		{what: fmt.Sprintf("%d bytes", size), m: b.sample, cut: true, send: send(size)},
		{what: fmt.Sprintf("%d bytes in chunks, without a length", size), m: b.sample, cut: true, send: send(-1)},
	}
}

// filler is one byte without end.
type filler byte

func (f filler) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(f)
	}
	return len(p), nil
}

// slow sends the sample in drops and asks meanwhile whether others are served.
func (b *battery) slow() []attempt {
	send := func(ctx context.Context, c *client) (*answer, error) {
		type end struct {
			a   *answer
			err error
		}
		done := make(chan end, 1)
		drip := &dripper{ctx: ctx, rest: b.sample.body, pause: b.c.patience / drops, size: (len(b.sample.body) + drops - 1) / drops, begun: make(chan struct{})}
		go func() {
			slow := c.unbuffered()
			defer slow.close()
			a, err := slow.sendBody(ctx, b.sample, drip, int64(len(b.sample.body)), b.c.timeout+b.c.patience)
			done <- end{a, err}
		}()
		select {
		case <-drip.begun:
		case e := <-done:
			return e.a, e.err
		case <-ctx.Done():
			return nil, (<-done).err
		}
		if _, err := c.send(ctx, b.sample, b.c.timeout); err != nil {
			<-done
			// Not wrapped: that this connection was cut is no refusal of the slow client.
			return nil, errors.New("while it was sending, another client was not served: " + err.Error())
		}
		e := <-done
		return e.a, e.err
	}
	return []attempt{{what: "a client that sends in drops", m: b.sample, cut: true, send: send}}
}

// drops is in how many pieces a slow client sends its body.
const drops = 5

// dripper gives a body piece by piece, with a pause before each but the first.
type dripper struct {
	ctx   context.Context
	rest  []byte
	size  int
	pause time.Duration
	begun chan struct{} // closed when the first piece was taken
	count int
}

func (d *dripper) Read(p []byte) (int, error) {
	if len(d.rest) == 0 {
		return 0, io.EOF
	}
	if d.count > 0 {
		if d.count == 1 {
			close(d.begun)
		}
		t := time.NewTimer(d.pause)
		defer t.Stop()
		select {
		case <-t.C:
		case <-d.ctx.Done():
			return 0, d.ctx.Err()
		}
	}
	d.count++
	n := copy(p, d.rest[:min(d.size, len(d.rest))])
	d.rest = d.rest[n:]
	return n, nil
}

// gone are clients that hang up: in the middle of the body, and before the answer. What they get is nobody's
// business; the version's health afterwards is.
func (b *battery) gone() []attempt {
	const clients = 5
	leave := func(ctx context.Context, c *client) (*answer, error) {
		c = c.unbuffered()
		defer c.close()
		for i := range clients {
			m := b.sample
			half := m.body[:len(m.body)/2]
			if i%2 == 0 && len(half) > 0 {
				_, err := c.sendBody(ctx, m, io.MultiReader(bytes.NewReader(half), hangUp{}), int64(len(m.body)), b.c.timeout)
				if errors.Is(err, errRefused) {
					return nil, err
				}
				continue
			}
			if err := b.sendAndLeave(ctx, c, m); err != nil {
				return nil, err
			}
		}
		return &answer{}, nil // nothing to judge
	}
	return []attempt{{what: fmt.Sprintf("%d clients that hang up", clients), m: b.sample, cut: true, mute: true, send: leave}}
}

// hangUp ends a body by an error, upon which the connection is closed.
type hangUp struct{}

func (hangUp) Read([]byte) (int, error) { return 0, errors.New("hang up") }

// sendAndLeave closes the connection as soon as the whole request was sent.
func (b *battery) sendAndLeave(ctx context.Context, c *client, m message) error {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	_, err := c.sendBody(ctx, m, &leaver{rest: m.body, leave: leave}, int64(len(m.body)), b.c.timeout)
	if errors.Is(err, errRefused) {
		return err
	}
	return nil // cancelled, or answered before that
}

// leaver calls leave when its text was read.
type leaver struct {
	rest  []byte
	leave func()
}

func (l *leaver) Read(p []byte) (int, error) {
	if len(l.rest) == 0 {
		l.leave()
		return 0, io.EOF
	}
	n := copy(p, l.rest)
	l.rest = l.rest[n:]
	return n, nil
}

// burst opens many connections at once.
func (b *battery) burst() []attempt {
	send := func(ctx context.Context, c *client) (*answer, error) {
		answers, err := together(ctx, c, b.sample, b.c.burst, b.c.timeout)
		if err != nil {
			return nil, err
		}
		for _, a := range answers {
			shed := a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != ""
			if !ok2xx.has(a.status) && !shed {
				return nil, fmt.Errorf("one of %d was answered %d, want 2xx, 429, or 503 with Retry-After%s", b.c.burst, a.status, a.quote())
			}
		}
		return answers[0].orShed(), nil
	}
	return []attempt{{what: fmt.Sprintf("%d connections at once", b.c.burst), m: b.sample, send: send}}
}

// orShed turns an answer that sheds load into a refusal, as it was found to be in order.
func (a *answer) orShed() *answer {
	if ok2xx.has(a.status) {
		return a
	}
	return &answer{status: http.StatusTooManyRequests}
}

// duplicates sends the same request many times at once; all must be taken.
func (b *battery) duplicates() []attempt {
	send := func(ctx context.Context, c *client) (*answer, error) {
		answers, err := together(ctx, c, b.sample, duplicates, b.c.timeout)
		if err != nil {
			return nil, err
		}
		for _, a := range answers {
			if a.status != answers[0].status {
				return nil, fmt.Errorf("the same request at the same time was answered %d and %d", answers[0].status, a.status)
			}
		}
		return answers[0], nil
	}
	return []attempt{{what: fmt.Sprintf("the same request %d times at once", duplicates), m: b.sample, send: send}}
}

// together sends a message n times at once and waits for all answers.
func together(ctx context.Context, c *client, m message, n int, timeout time.Duration) ([]*answer, error) {
	answers, errs := make([]*answer, n), make([]error, n)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			answers[i], errs[i] = c.send(ctx, m, timeout)
		})
	}
	close(start)
	wg.Wait()
	failed := 0
	var first error
	for _, err := range errs {
		if err == nil {
			continue
		}
		failed++
		if first == nil {
			first = err
		}
	}
	if first != nil {
		return nil, fmt.Errorf("%d of %d were not answered: %w", failed, n, first)
	}
	return answers, nil
}

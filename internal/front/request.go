package front

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"sluice.dev/sluice/internal/head"
)

// exchange is what one request needs, in one piece of memory. A handler that keeps the request keeps all of it; one that says that
// nobody does leaves it to the connection's next request.
type exchange struct {
	ctx     requestContext
	body    body
	request http.Request
	url     url.URL
	size    int  // of the head
	closing bool // the client wants no further request served
}

func newExchange(c *conn) *exchange {
	x := c.spare
	if c.spare = nil; x == nil {
		x = &exchange{}
		x.begin(c, nil)
	}
	return x
}

// begin makes x that of a request that is to be read. h is an empty header for it, or nil.
func (x *exchange) begin(c *conn, h http.Header) {
	*x = exchange{ctx: requestContext{Context: c.ctx}}
	x.body.c, x.body.ctx = c, &x.ctx
	x.request = *x.request.WithContext(&x.ctx) // nobody else can give it one; the copy stays on the stack
	x.request.Header = h
}

// read reads the request's head, and leaves x as it is if that is not complete.
func (x *exchange) read(b []byte) (v head.Verdict) {
	x.size, x.closing, v = head.Request(b, &x.request, &x.url)
	return v
}

// answer serves one request and says whether another may follow.
func (c *conn) answer(x *exchange) bool {
	r, ctx, b, w := &x.request, &x.ctx, &x.body, &c.resp
	c.in.drop(x.size)
	c.used, c.posted, c.swept = true, r.Method == http.MethodPost, 0
	unheld := func() bool { return true }
	if c.ends {
		unheld = context.AfterFunc(c.ctx, func() { ctx.cancel(c.ctx.Err()) })
		defer unheld()
	}
	r.RemoteAddr = c.remote
	b.left, b.by = r.ContentLength, fromNow(c.srv.http.ReadTimeout)
	r.Body = http.NoBody
	if b.left > 0 {
		r.Body = b
	}
	w.begin(r, b, x.closing)
	c.watch.begin(ctx, r.ContentLength == 0)
	defer func() { // after a panic, too
		c.watch.end()
		ctx.cancel(context.Canceled)
		b.end()
	}()
	c.srv.http.Handler.ServeHTTP(w, r)
	c.watch.end()
	if !ctx.cancel(context.Canceled) || !unheld() {
		w.released = false // who was told of its end may still look at it
	}
	b.end() // nobody else reads from here on
	if !w.finish() {
		return false
	}
	rest := b.rest() // also of a connection that ends: who still sends might not read the answer
	if w.close || !rest || c.srv.closing.Load() {
		c.lingers = true
		return false
	}
	return c.state.CompareAndSwap(stateActive, stateIdle)
}

// keep takes what an answered request leaves for the next one, if nobody needs it any more.
func (c *conn) keep(x *exchange) {
	const many = 16
	if !c.resp.released {
		return
	}
	h := x.request.Header
	if len(h) > many {
		h = nil // a map does not shrink
	}
	clear(h)
	x.begin(c, h) // not when the next one comes, which may be long: it would hold what the last one did
	c.spare = x
}

// maxRest is how much of a body that nobody wanted is read so that the connection can be kept.
const maxRest = 256 << 10

// body is a request's body of known length. Its reader may be another goroutine than the handler's, one at a time.
type body struct {
	c   *conn
	ctx *requestContext // of its request

	mu      sync.Mutex // never held during a read
	left    int64
	by      time.Time // when it must be there; zero: no limit
	reading bool
	broken  bool          // a read failed
	over    bool          // no more is read for the handler
	gone    chan struct{} // closed when the reader that end waits for has left; nil: nobody is waited for
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	left, err := b.enter()
	if err != nil {
		return 0, err
	}
	n, err := b.read(p[:min(int64(len(p)), left)])
	if b.exit(n, err) == 0 && n > 0 {
		b.c.watch.bodyRead(b.ctx)
		err = io.EOF
	}
	return n, err
}

// Whole says that all that is left of the body has come: no read of it waits.
func (b *body) Whole() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.reading && b.left <= int64(len(b.c.in.bytes()))
}

// enter begins a read, under the deadline if it is one from the socket.
func (b *body) enter() (left int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.over:
		return 0, http.ErrBodyReadAfterClose
	case b.left == 0:
		return 0, io.EOF
	}
	b.reading = true
	if len(b.c.in.bytes()) == 0 {
		b.c.until(b.by)
	}
	return b.left, nil
}

func (b *body) read(p []byte) (int, error) {
	if len(b.c.in.bytes()) > 0 {
		return b.c.in.take(p), nil
	}
	n, err := b.c.net.Read(p)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *body) exit(n int, err error) (left int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	b.left -= int64(n)
	b.broken = b.broken || err != nil
	if b.gone != nil {
		close(b.gone)
	}
	return b.left
}

// limit sets when the body must be there, for a read under way as well.
func (b *body) limit(t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.by = t
	if b.reading && b.gone == nil {
		b.c.until(t)
	}
}

// spoils says that the connection can't be kept for the body's sake: it failed, or more is left than would be read.
func (b *body) spoils() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.broken || b.left >= maxRest
}

// Close implements io.Closer. What has not come is read when the handler has returned.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	return nil
}

// end takes the body from whoever still reads it, and waits until that one has left.
func (b *body) end() {
	b.mu.Lock()
	b.over = true
	if !b.reading {
		b.mu.Unlock()
		return
	}
	gone := make(chan struct{})
	b.gone = gone
	b.c.until(past)
	b.mu.Unlock()
	<-gone
}

// rest reads what is left of the body, within the handler's last limit, and says whether the connection is at the
// next request. Without a limit it takes as long as the next request may. It must not be called before end.
func (b *body) rest() bool {
	if b.spoils() {
		return false
	}
	if b.left == 0 {
		return true
	}
	scrap := buffers.Get().(*[]byte)
	defer buffers.Put(scrap)
	if b.by.IsZero() {
		b.by = fromNow(idleTime(b.c.srv.http))
	}
	b.c.until(b.by)
	for b.left > 0 {
		n, err := b.read((*scrap)[:min(b.left, maxHead)])
		if n == 0 && err != nil {
			return false
		}
		b.left -= int64(n)
	}
	return true
}

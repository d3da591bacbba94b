package front

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// parser reads one head by net/http's parser.
type parser struct {
	from bytes.Reader
	br   *bufio.Reader
}

var parsers = sync.Pool{New: func() any {
	p := new(parser)
	p.br = bufio.NewReaderSize(&p.from, 2<<10)
	return p
}}

func parse(b []byte) (*http.Request, error) {
	p := parsers.Get().(*parser)
	p.from.Reset(b)
	p.br.Reset(&p.from)
	r, err := http.ReadRequest(p.br)
	p.from.Reset(nil)
	parsers.Put(p)
	return r, err
}

// answer serves one request and says whether another may follow.
func (c *conn) answer(h head) bool {
	parsed, err := parse(c.in.bytes()[:h.size])
	if err != nil || parsed.ContentLength != h.length {
		c.handOver() // it is net/http's to say what is wrong
		return false
	}
	c.in.drop(h.size)
	ctx := &requestContext{Context: c.ctx}
	r := parsed.WithContext(ctx)
	r.RemoteAddr = c.remote
	b := &body{c: c, left: h.length}
	r.Body = http.NoBody
	if h.length > 0 {
		r.Body = b
	}
	w := &c.resp
	w.begin(r, b, h.close || c.srv.closing.Load())
	c.watch.begin(ctx, h.length == 0)
	defer func() { // after a panic, too
		c.watch.end()
		ctx.cancel(context.Canceled)
		b.end()
	}()
	c.srv.http.Handler.ServeHTTP(w, r)
	c.watch.end() // nobody else reads from here on
	return w.finish() && b.rest()
}

// maxRest is how much of a body that nobody wanted is read so that the connection can be kept.
const maxRest = 256 << 10

// body is a request's body of known length. Its reader may be another goroutine than the handler's, one at a time.
type body struct {
	c *conn

	mu      sync.Mutex // never held during a read
	left    int64
	by      time.Time // when it must be there; zero: no limit
	reading bool
	over    bool // no more is read for the handler
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	left, err := b.enter()
	if err != nil {
		return 0, err
	}
	n, err := b.read(p[:min(int64(len(p)), left)])
	if b.exit(n) == 0 && n > 0 {
		b.c.watch.bodyRead()
		err = io.EOF
	}
	return n, err
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

func (b *body) exit(n int) (left int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading = false
	b.left -= int64(n)
	return b.left
}

// limit sets when the body must be there, for a read under way as well.
func (b *body) limit(t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.by = t
	if b.reading {
		b.c.until(t)
	}
}

// large says that more is left than would be read for the connection's sake.
func (b *body) large() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.left > maxRest
}

// Close implements io.Closer. What has not come is read when the handler has returned.
func (b *body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	return nil
}

// end takes the body from whoever still reads it.
func (b *body) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	if b.reading {
		b.c.until(past)
	}
}

// rest reads what is left of the body, within the handler's last limit, and says whether the connection is at the
// next request.
func (b *body) rest() bool {
	b.mu.Lock()
	left := b.left
	stuck := b.reading || left > maxRest
	b.over = true
	b.mu.Unlock()
	if stuck || left == 0 {
		return !stuck
	}
	scrap := buffers.Get().(*[]byte)
	defer buffers.Put(scrap)
	b.c.until(b.by)
	for left > 0 {
		n, err := b.read((*scrap)[:min(left, maxHead)])
		if n == 0 && err != nil {
			return false
		}
		left -= int64(n)
	}
	return true
}

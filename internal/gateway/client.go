package gateway

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// client is the receiving end of an answer. Whatever is written to it must be taken within wait; a
// client that reads slowly may take any time, one that does not read at all may not.
type client struct {
	w     *answer
	wait  time.Duration
	until time.Time // the deadline that is set
	left  int64     // bytes of the answer's length; below 0: unknown
	// stream says that the answer is a stream of HTTP/2. Its deadline is its own and ends with it, and what is buffered leaves
	// with the stream's end in one frame: a flush before would cost two more frames and the way through the server's loop.
	stream bool
}

// arm sets the deadline anew when a quarter of it has been used up. Connections without deadlines,
// such as a test's recorder, are bounded by their server, if at all.
func (c *client) arm() {
	if now := time.Now(); now.Add(c.wait * 3 / 4).After(c.until) {
		c.until = now.Add(c.wait)
		_ = c.w.SetWriteDeadline(c.until)
	}
}

func (c *client) write(b []byte, flush bool) error {
	c.arm()
	c.left -= int64(len(b))
	if _, err := c.w.Write(b); err != nil || !flush {
		return err
	}
	return c.push()
}

func (c *client) flush() error {
	c.arm()
	return c.push()
}

// push sends what is buffered, under a deadline that was looked at a moment ago.
func (c *client) push() error {
	if err := c.w.FlushError(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// done ends a complete answer. What is still buffered must be taken under the deadline, and the
// deadline must be gone before the connection's next request.
func (c *client) done() error {
	if c.until.IsZero() || c.stream {
		return nil
	}
	if c.left != 0 { // the last write may be long ago
		c.arm()
	}
	err := c.push()
	_ = c.w.SetWriteDeadline(time.Time{})
	return err
}

// pipe is the memory through which a body passes. A stream of small events needs little of it for a
// long time, so that thousands of them fit; one that fills it gets more.
type pipe struct {
	buf  []byte
	held *[]byte
	pool *sync.Pool
}

const (
	smallPipe = 4 << 10
	largePipe = 32 << 10
)

var smallPipes, largePipes = pipePool(smallPipe), pipePool(largePipe)

func pipePool(size int) *sync.Pool {
	return &sync.Pool{New: func() any {
		b := make([]byte, size)
		return &b
	}}
}

// newPipe returns the memory for a body of that length, -1 if it is unknown.
func newPipe(length int64) pipe {
	var p pipe
	if length <= smallPipe {
		p.take(smallPipes)
	} else {
		p.take(largePipes)
	}
	return p
}

func (p *pipe) take(pool *sync.Pool) {
	p.pool, p.held = pool, pool.Get().(*[]byte)
	p.buf = *p.held
}

// grow takes more memory if the last read, of n bytes, filled it. Nobody may hold a part of the old.
func (p *pipe) grow(n int) {
	if n == len(p.buf) && n < largePipe {
		p.free()
		p.take(largePipes)
	}
}

// free gives the memory back; it may be done twice.
func (p *pipe) free() {
	if p.held != nil {
		p.pool.Put(p.held)
		p.held, p.buf = nil, nil
	}
}

// announce names the trailers that will follow the body and returns their names.
func announce(h, trailer http.Header) []string {
	var names []string
	for name := range trailer {
		if !strings.HasPrefix(name, ownPrefix) {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		slices.Sort(names)
		h["Trailer"] = []string{strings.Join(names, ", ")}
	}
	return names
}

// trailers passes on what the upstream said after its body, announced or not.
func trailers(h, trailer http.Header, announced []string) {
	for name, values := range trailer {
		switch {
		case strings.HasPrefix(name, ownPrefix):
		case slices.Contains(announced, name):
			h[name] = values
		default:
			h[http.TrailerPrefix+name] = values
		}
	}
}

package upstream

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// body is an answer's body, and its connection's way back.
type body struct {
	c        *conn
	until    time.Time
	readBy   time.Time // zero: no limit
	between  time.Duration
	reusable bool
	over     bool // the connection is given back or closed
	err      error

	left    int64 // of the body, or of the chunk at hand
	chunked bool
	behind  bool // a chunk's data was read, its end not yet
	begun   bool // a byte of it was read
	ended   bool // all of it was taken from the inbox

	from    io.ReadCloser  // net/http's, which reads what is unusual; nil: the body is read here
	trailed *http.Response // whose trailers are this answer's; nil: none
	resp    *http.Response

	limited bool // the wait for the next piece has its limit
	flow    flow
}

// begin makes the answer's body one that brings the connection back.
func (c *conn) begin(r *Request, resp *http.Response) {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		_ = c.net.SetDeadline(time.Time{})
		c.sock = nil // its deadlines are its owner's from now on, and none is too early
		resp.Body = &upgraded{c}
		return
	}
	if !r.HeadBy.IsZero() {
		c.within(r.Until)
		if c.stream != nil { // it may still be written
			_ = c.net.SetWriteDeadline(r.Until)
		}
	}
	var b *body
	if r.Answer != nil {
		b = &r.Answer.body
	} else {
		b = new(body) // not the connection's: its owner may close it again when that already serves another
	}
	*b = body{c: c, from: resp.Body, resp: resp, until: r.Until, between: r.Between, reusable: !resp.Close}
	switch {
	case b.from != nil:
	case r.Method == http.MethodHead || resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusNotModified:
		b.ended = true
	case resp.ContentLength >= 0:
		b.left, b.ended = resp.ContentLength, resp.ContentLength == 0
		c.in.large = c.in.large || b.left > smallInbox
	default:
		b.chunked = true
	}
	resp.Body = b
}

// Read implements io.Reader. It ends with io.EOF only if the whole body came.
func (b *body) Read(p []byte) (int, error) {
	if b.over {
		return 0, b.end()
	}
	if b.from == nil {
		piece, err := b.piece(len(p))
		if err == nil {
			n := copy(p, piece)
			if b.ended {
				return n, b.conclude(io.EOF)
			}
			return n, nil
		}
		if b.from == nil {
			return 0, b.conclude(err)
		}
	}
	if !b.c.buffered() {
		b.limit()
	}
	n, err := b.from.Read(p)
	b.begun = b.begun || n > 0
	if err != nil {
		b.takeTrailers()
		return n, b.conclude(err)
	}
	return n, nil
}

// Each calls f with each piece of the body as it comes, where it lies: f must not keep it. While the body pauses, it holds no
// memory for it. Each returns f's error, which ends it, or that of the body: io.EOF only if the whole of it came.
func (b *body) Each(f func(piece []byte) error) error {
	if b.over {
		return b.end()
	}
	if b.from == nil {
		b.flow = flow{f: f}
		b.flows()
		if b.from == nil && !b.ended && b.flow.err == nil && b.flow.refused == nil { // what is left is waited for piece by piece
			b.take()
		}
	}
	switch {
	case b.flow.refused != nil:
		return b.flow.refused
	case b.flow.err != nil:
		return b.conclude(b.flow.err)
	case b.ended:
		return b.conclude(io.EOF)
	}
	return b.eachRead(f)
}

// eachRead is Each for a body that net/http reads.
func (b *body) eachRead(f func(piece []byte) error) error {
	held := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(held)
	for {
		n, err := b.Read(*held)
		if n > 0 {
			if err := f((*held)[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

// errUnusual says that the rest of the body is net/http's to read.
var errUnusual = errors.New("upstream: an unusual chunk")

// piece takes up to most bytes of the body from the inbox, after a wait if there are none. They are valid until the next call. b.ended
// says that they are the last.
func (b *body) piece(most int) ([]byte, error) {
	if b.ended {
		return nil, nil
	}
	b.limited = false
	if b.chunked {
		if err := b.nextChunk(); b.ended || err != nil {
			return nil, err
		}
	}
	if len(b.c.in.bytes()) == 0 {
		if err := b.more(); err != nil {
			return nil, err
		}
	}
	came := b.c.in.bytes()
	n := min(int64(len(came)), b.left, int64(most))
	piece := came[:n]
	b.c.in.drop(int(n))
	b.left -= n
	b.begun = b.begun || n > 0
	switch {
	case !b.chunked:
		b.ended = b.left == 0
	case b.left == 0:
		b.behind = true
		piece = b.gather(piece, most)
	}
	return piece, nil
}

// more waits until more of the body has come, within its limits.
func (b *body) more() error {
	if b.flow.reading {
		return errNotYet
	}
	if !b.limited {
		b.limited = true
		b.limit()
	}
	err := b.c.more()
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// limit says when the next piece must be there.
func (b *body) limit() {
	if b.between > 0 && b.begun {
		b.c.within(earliest(time.Now().Add(b.between), b.until, b.readBy))
	}
}

// buffered says that something has come that was not taken.
func (c *conn) buffered() bool { return len(c.in.bytes()) > 0 || c.br != nil && c.br.Buffered() > 0 }

// conclude ends the body and gives its connection back.
func (b *body) conclude(err error) error {
	b.over, b.err = true, err
	b.c.finish(errors.Is(err, io.EOF) && b.reusable)
	return err
}

// takeTrailers makes what net/http read behind a body this answer's.
func (b *body) takeTrailers() {
	if b.trailed != nil {
		b.resp.Trailer = b.trailed.Trailer
	}
}

// ReadBy bounds when the next piece of the body must be there, beside the request's own limits. The zero
// time lifts the bound. It must not be called while a Read is under way.
func (b *body) ReadBy(t time.Time) {
	b.readBy = t
	if !b.over {
		b.c.within(earliest(t, b.until))
	}
}

// earliest returns the first of the times, zero ones left out.
func earliest(times ...time.Time) time.Time {
	var first time.Time
	for _, t := range times {
		if first.IsZero() || !t.IsZero() && t.Before(first) {
			first = t
		}
	}
	return first
}

func (b *body) end() error {
	if b.err != nil {
		return b.err
	}
	return http.ErrBodyReadAfterClose
}

// Close implements io.Closer. A body that was not read to its end closes the connection.
func (b *body) Close() error {
	if !b.over {
		b.over = true
		b.c.finish(false)
	}
	return nil
}

// upgraded is a connection that speaks another protocol from now on.
type upgraded struct{ c *conn }

func (u *upgraded) Read(p []byte) (int, error)  { return u.c.br.Read(p) }
func (u *upgraded) Write(p []byte) (int, error) { return u.c.net.Write(p) }
func (u *upgraded) Close() error {
	if u.c.stop != nil {
		u.c.stop()
	}
	return u.c.net.Close()
}

// SetReadDeadline bounds the wait for the server's next byte.
func (u *upgraded) SetReadDeadline(t time.Time) error { return u.c.net.SetReadDeadline(t) }

// SetWriteDeadline bounds the wait for the server to take what is written.
func (u *upgraded) SetWriteDeadline(t time.Time) error { return u.c.net.SetWriteDeadline(t) }

// CloseWrite tells the server that no more comes.
func (u *upgraded) CloseWrite() error {
	if w, ok := u.c.net.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return u.c.net.Close()
}

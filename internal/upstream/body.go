package upstream

import (
	"io"
	"net/http"
	"time"
)

// body is an answer's body, and its connection's way back.
type body struct {
	c        *conn
	from     io.ReadCloser // net/http's: the bytes without their framing
	until    time.Time
	readBy   time.Time // zero: no limit
	between  time.Duration
	reusable bool
	begun    bool  // a byte of it was read
	over     bool  // the connection is given back or closed
	err      error // of Read
	fault    error // of Wait
}

// begin makes the answer's body one that brings the connection back.
func (c *conn) begin(r *Request, resp *http.Response) {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		_ = c.net.SetDeadline(time.Time{})
		resp.Body = &upgraded{c}
		return
	}
	if !r.HeadBy.IsZero() {
		_ = c.net.SetDeadline(r.Until) // a stream may still be written
	}
	// One for each answer: its owner may close it again when the connection already serves another.
	resp.Body = &body{c: c, from: resp.Body, until: r.Until, between: r.Between, reusable: !resp.Close}
}

// Read implements io.Reader. It ends with io.EOF only if the whole body came.
func (b *body) Read(p []byte) (int, error) {
	if b.over {
		return 0, b.end()
	}
	if b.fault != nil {
		b.over, b.err = true, b.fault
		b.c.finish(false)
		return 0, b.fault
	}
	b.limit()
	n, err := b.from.Read(p)
	b.begun = b.begun || n > 0
	if err != nil {
		b.over, b.err = true, err
		b.c.finish(err == io.EOF && b.reusable)
	}
	return n, err
}

// limit sets the deadline of the next piece.
func (b *body) limit() {
	if b.between > 0 && b.begun && b.c.br.Buffered() == 0 {
		_ = b.c.net.SetReadDeadline(earliest(time.Now().Add(b.between), b.until, b.readBy))
	}
}

// Ready says that something has come which the next Read would look at.
func (b *body) Ready() bool { return b.over || b.c.br.Buffered() > 0 }

// Wait waits until a Read has something to look at, or fails. It is for bodies of unknown length, before whose end more
// must come, so that a wait need not hold the memory that is read into.
func (b *body) Wait() {
	if b.Ready() {
		return
	}
	b.limit()
	if _, err := b.c.br.Peek(1); err != io.EOF { // an end, well or not, meets the Read again
		b.fault = err
	}
}

// ReadBy bounds when the next piece of the body must be there, beside the request's own limits. The zero
// time lifts the bound. It must not be called while a Read is under way.
func (b *body) ReadBy(t time.Time) {
	b.readBy = t
	if !b.over {
		_ = b.c.net.SetReadDeadline(earliest(t, b.until))
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

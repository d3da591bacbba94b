package upstream

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"sluice.dev/sluice/internal/head"
	"sluice.dev/sluice/internal/socket"
)

// readers are for net/http's parser.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}

// conn is one connection. Whoever took it from its host owns it; only abort and the writer of a stream
// come from other goroutines, and they touch nothing but the socket.
type conn struct {
	host *Host
	net  net.Conn       // what is read and written
	raw  net.Conn       // what is under it
	sock *socket.Socket // of raw; nil: a connection in memory, of a test

	pending *[]byte // a whole request, which is written when its answer is waited for

	in     inbox
	room   func() []byte // where what comes is read to; made once, as is asleep
	asleep func()        // nothing has come

	br    *bufio.Reader // of net/http's parser, for an answer that is unusual; nil: not needed
	left  int64         // bytes of a head that may still come to it; -1: no limit
	said  bool          // a byte of the present answer came
	kept  bool          // has served a request before
	since time.Time
	round uint32

	asked  http.Request // what ReadResponse wants to know of the request
	abort  func()       // closes the socket; made once
	stop   func() bool  // ends the watch over the context
	alarm  alarm
	stream *stream // being written, or written, for the present request; nil: none
}

func newConn(h *Host, c, raw net.Conn) *conn {
	k := &conn{host: h, net: c, raw: raw, left: -1}
	k.room = k.in.room
	k.asleep = func() {
		k.forget()
		k.in.shrink()
	}
	k.abort = func() { _ = raw.Close() }
	k.sock = socket.Of(raw)
	return k
}

func (c *conn) close() { _ = c.net.Close() }

// usable says that an idle connection is open and that its server has said nothing unasked. A TLS
// server may say something that is no answer, such as a new session's ticket.
func (c *conn) usable() bool {
	if c.sock == nil {
		return true
	}
	open, silent := c.sock.Look()
	return open && (silent || c.host.tls != nil)
}

// limited is what net/http's parser reads from: what has come and then the socket. It counts while a head is read.
type limited conn

func (l *limited) Read(b []byte) (int, error) {
	c := (*conn)(l)
	if l.left == 0 {
		return 0, ErrHeaderTooLarge
	}
	if l.left > 0 && int64(len(b)) > l.left {
		b = b[:l.left]
	}
	n, err := copy(b, c.in.bytes()), error(nil)
	if n > 0 {
		c.in.drop(n)
		c.in.shrink()
	} else {
		n, err = c.read(b)
	}
	if l.left > 0 {
		l.left -= int64(n)
	}
	return n, err
}

func (c *conn) read(b []byte) (int, error) {
	if c.host.tls != nil || c.sock == nil {
		return c.net.Read(b)
	}
	for {
		n, err := c.sock.Read(b)
		if !c.early(err) {
			return n, err
		}
	}
}

// more waits for what the server says, after it has written the request that waits to be. What was handed out of the inbox is
// not valid any more.
func (c *conn) more() error {
	var n int
	var err error
	switch {
	case c.host.tls != nil || c.sock == nil:
		n, err = c.net.Read(c.in.room())
	case c.pending == nil:
		n, err = c.late()
	default:
		n, err = c.ask()
	}
	if n > 0 {
		c.in.came(n)
		return nil // an error comes again
	}
	c.in.shrink()
	return err
}

// late reads without memory until something comes.
func (c *conn) late() (int, error) {
	for {
		n, err := c.sock.ReadLate(c.room, c.asleep)
		if !c.early(err) {
			return n, err
		}
	}
}

// ask writes the request and waits for its answer.
func (c *conn) ask() (int, error) {
	defer c.forget()
	for {
		request := *c.pending
		sent, n, err := c.sock.Ask(request, c.room, c.asleep, c.kept)
		switch early := c.early(err); {
		case early && sent == 0:
			continue // it was not even written
		case early:
			return c.late()
		case err != nil || sent == len(request):
			return n, err
		}
		_ = c.net.SetWriteDeadline(c.alarm.due)
		if _, err = c.net.Write(request[sent:]); err != nil {
			return 0, err
		}
		c.forget()
		return c.late()
	}
}

// forget gives the request's memory back.
func (c *conn) forget() {
	if c.pending != nil {
		freeBuffer(c.pending)
		c.pending = nil
	}
}

// do sends one request and reads the head of its answer. After an error the connection must be closed.
func (c *conn) do(ctx context.Context, r *Request) (*http.Response, error) {
	c.said = false
	c.stop = nil
	c.watch(ctx)
	c.within(earliest(r.HeadBy, r.Until))
	if err := c.write(r); err != nil {
		return nil, err
	}
	defer c.forget() // if it did not come to it
	resp, err := c.head(r)
	if err != nil {
		return nil, err
	}
	c.begin(r, resp)
	return resp, nil
}

// watch closes the socket when ctx ends. A context that can tell is asked itself: package context would put another
// between.
func (c *conn) watch(ctx context.Context) {
	if a, ok := ctx.(interface{ AfterFunc(f func()) func() bool }); ok {
		c.stop = a.AfterFunc(c.abort)
	} else if ctx.Done() != nil {
		c.stop = context.AfterFunc(ctx, c.abort)
	}
}

// unwatch ends the watch; false: ctx has ended, and the socket is closed or will be.
func (c *conn) unwatch() bool {
	watched := c.stop == nil || c.stop()
	c.stop = nil
	return watched
}

// head reads the head of the answer. One that leaves no doubt is read where it lies.
func (c *conn) head(r *Request) (*http.Response, error) {
	if err := c.more(); err != nil {
		return nil, err
	}
	c.said, c.asked.Method = true, r.Method
	var into *head.Answer
	if r.Answer != nil {
		into = &r.Answer.Head
	}
	limit := or(c.host.client.MaxHeader, defaultMaxHeader)
	for {
		resp, size, v := head.Response(c.in.bytes(), &c.asked, into)
		switch {
		case v == head.Plain && int64(size) > limit:
			return nil, ErrHeaderTooLarge
		case v == head.Plain:
			c.in.drop(size)
			return resp, nil
		case v == head.Unusual || len(c.in.bytes()) >= smallInbox:
			return c.unusual(r, limit)
		}
		if err := c.more(); errors.Is(err, io.EOF) {
			return nil, io.ErrUnexpectedEOF
		} else if err != nil {
			return nil, err
		}
	}
}

// unusual reads the head of an answer by net/http's parser, past those of 1xx.
func (c *conn) unusual(r *Request, limit int64) (*http.Response, error) {
	c.left = limit
	defer func() { c.left = -1 }()
	c.parser((*limited)(c))
	for {
		resp, err := http.ReadResponse(c.br, &c.asked)
		switch {
		case err != nil && c.left == 0:
			return nil, ErrHeaderTooLarge // whatever the parser made of the torn line
		case err != nil:
			return nil, err
		case resp.ProtoMajor != 1 || resp.StatusCode < 100:
			return nil, ErrProtocol
		case resp.StatusCode == http.StatusSwitchingProtocols:
			if r.Upgrade == "" {
				return nil, ErrProtocol
			}
			return resp, nil
		case resp.StatusCode >= 200:
			return resp, nil
		case r.Informed != nil && resp.StatusCode != http.StatusContinue:
			r.Informed(resp.StatusCode, resp.Header)
		}
	}
}

// outlived says that a request may be sent again because a kept connection had been closed by its
// server before the request arrived.
func (c *conn) outlived(r *Request, err error) bool {
	if errors.Is(err, socket.ErrStale) {
		return true
	}
	if !c.kept || c.said || r.Stream != nil || r.Upgrade != "" || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ErrInvalid) {
		return false
	}
	return repeatable(r) || time.Since(c.since) >= idleLong
}

// repeatable says that sending the request twice is the same as once (RFC 9110 section 9.2.2), or that
// its sender says so.
func repeatable(r *Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return r.has("Idempotency-Key") || r.has("X-Idempotency-Key")
}

// has says whether a header is sent.
func (r *Request) has(name string) bool {
	if _, ok := r.Header[name]; ok {
		return true
	}
	for i := range r.Fields {
		if r.Fields[i].Name == name {
			return true
		}
	}
	return false
}

// finish ends an exchange: the connection is kept if all of it is in order.
func (c *conn) finish(reusable bool) {
	watched := c.unwatch()
	clean := len(c.in.bytes()) == 0 && (c.br == nil || c.br.Buffered() == 0)
	c.in.shrink()
	if !watched || !reusable || !clean || c.stream != nil && !c.stream.sent() {
		c.close()
		return
	}
	c.stream = nil
	if c.br != nil {
		c.br.Reset(nil)
		readers.Put(c.br)
		c.br = nil
	}
	c.kept, c.since = true, time.Now()
	c.host.keep(c)
}

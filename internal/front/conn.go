package front

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"sluice.dev/sluice/internal/head"
	"sluice.dev/sluice/internal/socket"
)

// The states of a connection. Only its own goroutine leaves stateActive.
const (
	stateNew    int32 = iota // nothing has come
	stateIdle                // waits for the next request
	stateActive              // serves one
	stateClosed              // closed by Shutdown, or handed over
)

// conn is one connection. It belongs to its goroutine; what the watcher touches is under its lock.
type conn struct {
	srv    *Server
	net    net.Conn
	ctx    context.Context // of all its requests
	ends   bool            // ctx does
	remote string
	opened time.Time
	state  atomic.Int32

	sock   *socket.Socket // nil: a connection that the system can't be asked about
	in     inbox
	used   bool      // has served a request
	posted bool      // the last of them was a POST, behind whose body old clients send line breaks
	swept  int       // of them
	readBy time.Time // the deadline that is set; zero: none
	resp   response
	spare  *exchange // for the next request; nil: there is none
	watch  watch

	lingers bool // it is to be closed, and the client may still read
	over    bool // no further request is served

	room   func() []byte // = in.room, made once, as are the others
	shrink func()
	came   func(n int) (more bool) // = serveWhole
}

func newConn(s *Server, raw net.Conn, ctx context.Context) *conn {
	c := &conn{srv: s, net: raw, ctx: ctx, ends: ctx.Done() != nil, opened: time.Now()}
	if a := raw.RemoteAddr(); a != nil {
		c.remote = a.String()
	}
	c.sock = socket.Of(raw)
	c.room, c.shrink, c.came = c.in.room, c.in.shrink, c.serveWhole
	c.resp.c, c.resp.writer.c = c, c
	c.watch.c = c
	return c
}

// read waits for what the client sends next, without memory for it until it comes.
func (c *conn) read() error {
	var n int
	var err error
	if c.sock != nil {
		n, err = c.sock.ReadLate(c.room, c.shrink)
	} else {
		n, err = c.net.Read(c.in.room())
	}
	if n > 0 {
		c.in.to += n
		return nil // an error comes again
	}
	c.in.shrink()
	return err
}

// until sets the deadline of reads.
func (c *conn) until(t time.Time) {
	if !t.Equal(c.readBy) {
		c.readBy = t
		_ = c.net.SetReadDeadline(t)
	}
}

// serve answers requests until the connection ends, is handed over, or the server stops.
func (c *conn) serve() {
	defer c.end()
	for !c.used || c.flow() {
		x := c.next()
		if x == nil || !c.answer(x) {
			break
		}
		c.keep(x)
	}
	if c.lingers {
		c.linger()
	}
}

// flow answers the requests that come whole, as nearly all do. It is one read of the socket from the first to the last, which tries
// none in vain: the poller tells of each arrival once. It returns when something else must be done, or false at the connection's end.
func (c *conn) flow() bool {
	if len(c.in.bytes()) > 0 || !c.watch.flows() {
		return true
	}
	c.over = false
	c.untilIdle()
	err := c.sock.Stream(c.room, c.shrink, c.came)
	switch hung := c.watch.ebbs(); {
	case c.over:
		return false
	case hung:
		c.readBy = past // perhaps: it is the sign by which a flow learns of the end
		return true
	}
	return err == nil
}

// serveWhole takes n bytes that came, and says whether to wait for more. Nobody may read from the connection, or close it, meanwhile.
func (c *conn) serveWhole(n int) (more bool) {
	for c.in.to += n; ; {
		if c.sweep(); len(c.in.bytes()) == 0 {
			c.untilIdle()
			return !c.watch.hangs()
		}
		if !c.activate() {
			c.over = true
			return false
		}
		x := newExchange(c)
		if v := x.read(c.in.bytes()); v != head.Plain || x.request.ContentLength > int64(len(c.in.bytes())-x.size) {
			return false
		}
		if !c.answer(x) {
			c.over = true
			return false
		}
		c.keep(x)
	}
}

// end closes the connection, unless it was handed over.
func (c *conn) end() {
	if v := recover(); v != nil {
		if v != http.ErrAbortHandler { //nolint:errorlint // a value of panic, compared as net/http does
			c.srv.logf("front: panic serving %v: %v\n%s", c.remote, v, debug.Stack())
		}
		c.resp.cut()
	}
	if c.state.Swap(stateClosed) != stateClosed {
		_ = c.net.Close()
	}
	c.watch.leave()
	c.in.drop(len(c.in.bytes()))
	c.resp.writer.free()
	c.srv.forget(c)
}

// cut closes the connection under a handler. The end of Close waits for a flow's, which may be serving; that nothing more is
// taken begins with it.
func (c *conn) cut() {
	go func() { _ = c.net.Close() }()
	for c.net.SetReadDeadline(past) == nil {
		runtime.Gosched()
	}
}

// next waits for a request. nil: there is none, or it was handed over.
func (c *conn) next() *exchange {
	limited := c.state.Load() == stateNew // a connection's first head is limited from its beginning on
	if limited {
		c.until(after(c.opened, headerTime(c.srv.http)))
	}
	for x := (*exchange)(nil); ; {
		c.sweep()
		if b := c.in.bytes(); len(b) > 0 {
			if !c.activate() {
				return nil
			}
			if x == nil {
				x = newExchange(c)
			}
			switch v := x.read(b); {
			case v == head.Plain:
				return x
			case v == head.Unusual && c.enough():
				c.handOver()
				return nil
			case !limited: // once, however slowly it comes
				limited = true
				c.until(fromNow(headerTime(c.srv.http)))
			}
		} else if !limited {
			c.untilIdle()
		}
		if err := c.read(); err != nil {
			if errors.Is(err, io.EOF) && len(c.in.bytes()) > 0 && c.enough() { // a torn head
				c.handOver()
			}
			return nil
		}
	}
}

// first is how many bytes net/http waits for before it takes them for a further request.
const first = 4

// sweep drops line breaks among the first bytes behind the body of a POST, as net/http does.
func (c *conn) sweep() {
	for c.posted && c.swept < first && len(c.in.bytes()) > 0 {
		if b := c.in.bytes()[0]; b != '\r' && b != '\n' {
			c.posted = false
			return
		}
		c.in.drop(1)
		c.swept++
	}
}

// enough says that what has come is taken for a request.
func (c *conn) enough() bool { return !c.used || c.swept+len(c.in.bytes()) >= first }

// activate says that a request has begun; false: Shutdown has closed the connection.
func (c *conn) activate() bool {
	return c.state.Load() == stateActive || c.state.CompareAndSwap(stateIdle, stateActive) || c.state.CompareAndSwap(stateNew, stateActive)
}

// untilIdle limits the wait for the next request. Not for each anew, as a timer costs: it may last for three
// quarters of the limit.
func (c *conn) untilIdle() {
	d := idleTime(c.srv.http)
	if d <= 0 {
		c.until(time.Time{})
		return
	}
	if now := time.Now(); c.readBy.Before(now.Add(d*3/4)) || c.readBy.After(now.Add(d)) {
		c.until(now.Add(d))
	}
}

func after(t time.Time, d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return t.Add(d)
}

// fromNow is after the present time, which is not asked for if there is no limit.
func fromNow(d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}

// handOver gives the connection to net/http, which reads its deadlines anew.
func (c *conn) handOver() {
	c.state.Store(stateClosed) // it was active: nobody else leaves that
	c.until(time.Time{})
	read := append([]byte(nil), c.in.bytes()...)
	c.srv.forget(c)
	if c.used && bytes.HasPrefix(read, []byte(priorLine)) { // HTTP/2 begins with its connection or not at all
		_, _ = io.WriteString(c.net, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n") // who sends this need not hear
		_ = c.net.Close()
		return
	}
	c.srv.over.give(c.net, read, writeByteTime(c.srv.http))
}

func headerTime(s *http.Server) time.Duration {
	if s.ReadHeaderTimeout != 0 {
		return s.ReadHeaderTimeout
	}
	return s.ReadTimeout
}

func idleTime(s *http.Server) time.Duration {
	if s.IdleTimeout != 0 {
		return s.IdleTimeout
	}
	return s.ReadTimeout
}

func writeByteTime(s *http.Server) time.Duration {
	if s.HTTP2 == nil {
		return 0
	}
	return s.HTTP2.WriteByteTimeout
}

// Bounds of linger.
const (
	lingerTime  = 500 * time.Millisecond
	lingerBytes = 256 << 10
)

// linger lets the client read the whole answer before the connection is closed: a socket that is closed with bytes
// unread is reset, and a reset may overtake what was sent.
func (c *conn) linger() {
	w, ok := c.net.(interface{ CloseWrite() error })
	if !ok || w.CloseWrite() != nil {
		return
	}
	c.until(time.Now().Add(lingerTime))
	scrap := buffers.Get().(*[]byte)
	defer buffers.Put(scrap)
	for left := lingerBytes; left > 0; {
		n, err := c.net.Read(*scrap)
		if err != nil {
			return
		}
		left -= n
	}
}

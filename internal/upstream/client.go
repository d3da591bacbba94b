package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"sluice.dev/sluice/internal/head"
	"sluice.dev/sluice/internal/socket"
)

// Client holds the connections to all model servers. The zero value is ready; set its fields before
// its first use. Safe for concurrent use.
type Client struct {
	// Dial opens a connection; nil: TCP within 5 s, with keep-alives.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// TLS is the pattern of the https hosts' configuration; nil: the system's roots. Its NextProtos
	// are replaced.
	TLS *tls.Config
	// Now is the clock of Request.Waited; nil: time.Now.
	Now func() time.Time

	MaxIdle   int           // connections kept per host; 1024
	IdleTime  time.Duration // for which one is kept at least; twice that at most; 60 s
	MaxHeader int64         // bytes of an answer's head, 1xx and trailers included; 256 KiB

	mu    sync.Mutex
	hosts map[hostKey]*Host
}

type hostKey struct {
	tls  bool
	addr string
}

// Host is one address with its connections. Safe for concurrent use.
type Host struct {
	client *Client
	addr   string
	tls    *tls.Config // nil: cleartext

	mu    sync.Mutex
	idle  []*conn // the one used last at the end
	round uint32  // of the sweeper
	timer *time.Timer
}

// Errors that callers tell apart. All others are the connection's own.
var (
	// ErrHeaderTooLarge is an answer whose head, or whose 1xx answers, are larger than MaxHeader.
	ErrHeaderTooLarge = errors.New("upstream: the answer's head is too large")
	// ErrProtocol is an answer that is no HTTP/1.1, or one that was not asked for.
	ErrProtocol = errors.New("upstream: the answer is not HTTP/1.1")
	// ErrInvalid is a request whose head would not arrive as it was meant: a line break in a value.
	ErrInvalid = errors.New("upstream: a header of the request holds a line break")
)

const (
	defaultMaxIdle   = 1024
	defaultIdleTime  = 60 * time.Second
	defaultMaxHeader = 256 << 10
	connectTime      = 5 * time.Second
	// idleLong is how long a connection must have been idle for its closing to be taken for the
	// server's time limit and not for what the request did to it. Servers' limits are seconds.
	idleLong = time.Second
)

// Request is one request. Its memory may be used again once Do has returned an error, or the answer's
// body has been closed.
type Request struct {
	Method string
	Target string      // as it goes on the wire: path and query
	Host   string      // of the Host header
	Header http.Header // without Host, Content-Length, Transfer-Encoding, Connection; a nil value is left out
	Fields []Field     // further headers, of other names
	Body   [][]byte    // in memory, in pieces; may be sent twice
	// Stream is a body that can be read once. Do closes it when it reads no more of it, which may be
	// after Do has returned. Length is its length, -1 if unknown.
	Stream io.ReadCloser
	Length int64
	// Upgrade is the protocol to switch to; "" for none. An answer of 101 then has a body that is an
	// io.ReadWriteCloser.
	Upgrade string

	HeadBy  time.Time     // when the answer's head must be there; zero: Until
	Until   time.Time     // when the whole answer must be there; zero: no limit
	Between time.Duration // within which each piece of the body must follow another; 0: no limit

	// Answer is memory for the answer. If it is given, the answer's headers are its Lines, in the order in which they came, and
	// its Header is nil, unless its head is unusual. nil: there is new memory, and a Header.
	Answer *Answer

	// Informed is told of 1xx answers; nil: they are dropped.
	Informed func(status int, h http.Header)
	// Waited is how long the request waited for a connection. Set by Do.
	Waited time.Duration
}

// Field is a header.
type Field struct {
	Name   string // in its canonical form
	Values []string
}

// Line is a header of an answer, as it came; its name is in its canonical form.
type Line = head.Line

// Answer is memory for an answer: its head, the strings in that, and its body. It may be used for another when the body has been closed,
// or its end been read, and nobody touches any of it any more. Its zero value is ready.
type Answer struct {
	Head head.Answer

	body body
}

// Forget lets go of what the answer held, but for memory.
func (a *Answer) Forget() {
	a.Head.Forget()
	a.body = body{}
}

// Host returns the host of an address with scheme http or https.
func (c *Client) Host(u *url.URL) *Host {
	k := hostKey{tls: u.Scheme == "https", addr: u.Host}
	if u.Port() == "" {
		port := "80"
		if k.tls {
			port = "443"
		}
		k.addr = net.JoinHostPort(u.Hostname(), port)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if h := c.hosts[k]; h != nil {
		return h
	}
	h := &Host{client: c, addr: k.addr}
	if k.tls {
		h.tls = &tls.Config{}
		if c.TLS != nil {
			h.tls = c.TLS.Clone()
		}
		h.tls.NextProtos = []string{"http/1.1"}
		if h.tls.ServerName == "" {
			h.tls.ServerName = u.Hostname()
		}
		if h.tls.ClientSessionCache == nil {
			h.tls.ClientSessionCache = tls.NewLRUClientSessionCache(64)
		}
	}
	if c.hosts == nil {
		c.hosts = make(map[hostKey]*Host)
	}
	c.hosts[k] = h
	return h
}

// CloseIdle closes the connections that nothing uses.
func (c *Client) CloseIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.hosts {
		h.closeIdle()
	}
}

func (c *Client) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

func or[T int | int64 | time.Duration](v, def T) T {
	if v > 0 {
		return v
	}
	return def
}

// Do sends the request and returns the head of its answer; the body streams and must be closed. Errors
// of a deadline are os.ErrDeadlineExceeded; one of ctx is ctx.Err().
func (h *Host) Do(ctx context.Context, r *Request) (*http.Response, error) {
	c := h.take(r)
	for {
		if c == nil {
			var err error
			if c, err = h.dial(ctx, r); err != nil {
				r.giveUp()
				return nil, err
			}
		}
		resp, err := c.do(ctx, r)
		if err == nil {
			return resp, nil
		}
		again := c.outlived(r, err)
		c.close()
		c.unwatch() // ctx may last much longer, as that of all mirrored copies does
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !again {
			return nil, err
		}
		c = nil
		if errors.Is(err, socket.ErrStale) {
			c = h.take(r)
		}
	}
}

// giveUp ends a stream of which nothing was read.
func (r *Request) giveUp() {
	if r.Stream != nil {
		_ = r.Stream.Close()
	}
}

func (h *Host) dial(ctx context.Context, r *Request) (*conn, error) {
	begun := h.client.now()
	defer func() { r.Waited += max(0, h.client.now().Sub(begun)) }()
	limit := time.Now().Add(connectTime)
	until := earliest(limit, r.HeadBy, r.Until)
	within, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	c, err := h.connect(within)
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case until.Before(limit) && within.Err() != nil:
		return nil, os.ErrDeadlineExceeded
	}
	return nil, &unreachable{err}
}

// unreachable is a connection that could not be opened. It is no deadline of the request, though its
// cause may be one of the socket.
type unreachable struct{ cause error }

func (e *unreachable) Error() string { return "upstream: " + e.cause.Error() }

func (h *Host) connect(ctx context.Context) (*conn, error) {
	raw, err := h.client.dial(ctx, h.addr)
	if err != nil {
		return nil, err
	}
	if h.tls == nil {
		return newConn(h, raw, raw), nil
	}
	t := tls.Client(raw, h.tls)
	if err := t.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return newConn(h, t, raw), nil
}

var dialer = net.Dialer{Timeout: connectTime, KeepAlive: 30 * time.Second}

func (c *Client) dial(ctx context.Context, addr string) (net.Conn, error) {
	if c.Dial != nil {
		return c.Dial(ctx, "tcp", addr)
	}
	return dialer.DialContext(ctx, "tcp", addr)
}

// take returns a kept connection that can be used, nil if there is none.
func (h *Host) take(r *Request) *conn {
	for {
		h.mu.Lock()
		n := len(h.idle)
		if n == 0 {
			h.mu.Unlock()
			return nil
		}
		c := h.idle[n-1]
		h.idle[n-1] = nil
		h.idle = h.idle[:n-1]
		h.mu.Unlock()
		if c.asks(r) || c.usable() {
			return c
		}
		c.close()
	}
}

// keep puts a connection that has served a request back.
func (h *Host) keep(c *conn) {
	h.mu.Lock()
	if len(h.idle) >= or(h.client.MaxIdle, defaultMaxIdle) {
		h.mu.Unlock()
		c.close()
		return
	}
	c.round = h.round
	h.idle = append(h.idle, c)
	if h.timer == nil {
		h.timer = time.AfterFunc(or(h.client.IdleTime, defaultIdleTime), h.sweep)
	}
	h.mu.Unlock()
}

// sweep closes what was not used for a whole round. The timer runs only while there is something to
// close.
func (h *Host) sweep() {
	h.mu.Lock()
	old := 0
	for old < len(h.idle) && h.idle[old].round != h.round {
		old++
	}
	closing := append([]*conn(nil), h.idle[:old]...)
	h.idle = append(h.idle[:0], h.idle[old:]...)
	clear(h.idle[len(h.idle):cap(h.idle)])
	h.round++
	h.timer = nil
	if len(h.idle) > 0 {
		h.timer = time.AfterFunc(or(h.client.IdleTime, defaultIdleTime), h.sweep)
	}
	h.mu.Unlock()
	for _, c := range closing {
		c.close()
	}
}

func (h *Host) closeIdle() {
	h.mu.Lock()
	closing := h.idle
	h.idle = nil
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
	h.mu.Unlock()
	for _, c := range closing {
		c.close()
	}
}

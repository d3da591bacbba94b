package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/upstream"
)

var errVersionTimeout = errors.New("a time limit of the version passed")

// sending is what one request to a version needs, whoever sends it: the request of a client, a hedge
// of it, or a mirrored copy.
type sending struct {
	ctx    context.Context
	r      *http.Request // the client's
	v      *version
	out    outgoing
	url    url.URL // what out.url points to
	body   *payload
	sent   *limited // a body that is streamed instead
	inform func(status int, h http.Header)

	upgrade string
	grpc    bool

	reply  *upstream.Answer // where the answer may lie, without a Header; nil: in memory of its own
	ask    upstream.Request
	room   [3][]byte
	cancel context.CancelCauseFunc // ends a request by HTTP/2; nil for others
	waited time.Duration           // for a connection
}

// send asks the version's server and returns the head of its answer. The body's Read fails with
// os.ErrDeadlineExceeded when a time limit of the version passes.
func (s *sending) send(g *Gateway) (*http.Response, error) {
	begun := time.Now()
	v := s.v
	var resp *http.Response
	var err error
	if s.direct() {
		resp, err = s.byH1(begun)
	} else {
		resp, err = s.byTransport(g, begun)
	}
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 200 && (resp.StatusCode != http.StatusSwitchingProtocols || s.upgrade == "") || resp.StatusCode > 999 {
		_ = resp.Body.Close()
		return nil, errProtocol
	}
	if d := v.timeouts.FirstToken.Std(); d > 0 {
		if b, ok := resp.Body.(readBy); ok {
			b.ReadBy(begun.Add(d))
		}
	}
	return resp, nil
}

// readBy is an answer's body whose next piece can be given a time limit; the zero time lifts it.
type readBy interface{ ReadBy(t time.Time) }

// direct says that it is sent by the gateway's own client, which holds nothing of the request when that is over, unless it dialed.
// net/http goes on dialing, and asks the request's context for values.
func (s *sending) direct() bool {
	return s.v.h1 != nil && (!s.grpc || s.v.protocol != release.ProtocolAuto)
}

// byH1 asks over a connection of the gateway's own client.
func (s *sending) byH1(begun time.Time) (*http.Response, error) {
	v, a := s.v, &s.ask
	*a = upstream.Request{}
	a.Method, a.Target, a.Host, a.Fields = s.r.Method, target(s.out.url), v.host, s.out.header
	a.Answer = s.reply
	a.Until, a.Between, a.Informed, a.Upgrade = begun.Add(v.timeout), v.timeouts.Between.Std(), s.inform, s.upgrade
	if d := v.timeouts.Headers.Std(); d > 0 {
		a.HeadBy = begun.Add(d)
	}
	if d := v.timeouts.FirstToken.Std(); d > 0 && (a.HeadBy.IsZero() || begun.Add(d).Before(a.HeadBy)) {
		a.HeadBy = begun.Add(d)
	}
	if s.upgrade != "" {
		a.HeadBy, a.Until = a.Until, time.Time{} // what was switched to lasts as long as it lasts
	}
	if s.sent != nil {
		s.sent.lent = true
		a.Stream, a.Length = s.sent, s.sent.length
	} else {
		a.Body = s.out.pieces(s.room[:])
	}
	resp, err := v.h1.Do(s.ctx, a)
	s.waited = a.Waited
	return resp, err
}

// target is the path and query of a URL as they go on the wire.
func target(u *url.URL) string {
	if u.RawQuery == "" && !u.ForceQuery && u.RawPath == "" && u.Path != "" && plain(u.Path) {
		return u.Path
	}
	return u.RequestURI()
}

// plain says that a path needs no escaping, which is true of nearly all.
func plain(path string) bool {
	if path[0] != '/' || strings.HasPrefix(path, "//") {
		return false
	}
	for i := range len(path) {
		switch c := path[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '/', c == '-', c == '_', c == '.', c == '~', c == ':':
		default:
			return false
		}
	}
	return true
}

// byTransport asks by net/http: HTTP/2, or what Options.Upstream is.
func (s *sending) byTransport(g *Gateway, begun time.Time) (*http.Response, error) {
	v := s.v
	wait := connWait{now: g.now}
	ctx, cancel := context.WithCancelCause(s.ctx)
	s.cancel = cancel
	dog := &watchdog{until: begun.Add(v.timeout), cancel: cancel}
	dog.set(earlier(limitAt(begun, v.timeouts.Headers), limitAt(begun, v.timeouts.FirstToken)))
	resp, err := v.transport(g).RoundTrip(s.request(wait.traced(ctx)))
	s.waited = wait.total
	if err != nil {
		dog.stop()
		if errors.Is(context.Cause(ctx), errVersionTimeout) {
			err = os.ErrDeadlineExceeded
		}
		return nil, err
	}
	dog.set(time.Time{})
	resp.Body = &watched{body: resp.Body, ctx: ctx, dog: dog, between: v.timeouts.Between.Std()}
	return resp, nil
}

// request is the request as net/http takes it.
func (s *sending) request(ctx context.Context) *http.Request {
	// A transport may look at the headers after its answer came, when the exchange serves another: it gets its own.
	h := s.out.header.header()
	if s.grpc && len(s.r.Header["Te"]) > 0 {
		h["Te"] = []string{"trailers"} // what servers of gRPC ask for
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // keeps net/http from adding its own
	}
	req := &http.Request{
		Method: s.r.Method, URL: s.out.url, Host: s.v.host, Header: h,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody,
	}
	switch pieces := s.out.pieces(s.room[:]); {
	case s.sent != nil:
		s.sent.lent = true
		req.Body, req.ContentLength = s.sent, s.sent.length
	case len(pieces) > 0:
		for _, p := range pieces {
			req.ContentLength += int64(len(p))
		}
		req.Body = s.body.reader(pieces)
		// Lets the transport send it again if a kept connection turns out to be closed.
		req.GetBody = func() (io.ReadCloser, error) { return s.body.reader(pieces), nil }
	}
	return req.WithContext(ctx)
}

// end gives back what a request by HTTP/2 holds.
func (s *sending) end() {
	if s.cancel != nil {
		s.cancel(context.Canceled)
	}
}

func limitAt(begun time.Time, d release.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return begun.Add(d.Std())
}

// earlier returns the first of two times; zero ones are none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// watchdog ends a request by HTTP/2, whose connection is shared and has no deadlines of one stream.
type watchdog struct {
	until  time.Time // of the whole answer
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

// set makes t the next limit; zero: only that of the whole answer.
func (d *watchdog) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	left := time.Until(earlier(t, d.until))
	if d.timer == nil {
		d.timer = time.AfterFunc(left, func() { d.cancel(errVersionTimeout) })
		return
	}
	d.timer.Reset(left)
}

func (d *watchdog) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
	if d.timer != nil {
		d.timer.Stop()
	}
}

// watched is an answer's body under a watchdog.
type watched struct {
	body    io.ReadCloser
	ctx     context.Context
	dog     *watchdog
	readBy  time.Time
	between time.Duration
	begun   bool
}

// Read implements io.Reader.
func (w *watched) Read(b []byte) (int, error) {
	if w.between > 0 && w.begun {
		w.dog.set(earlier(time.Now().Add(w.between), w.readBy))
	}
	n, err := w.body.Read(b)
	w.begun = w.begun || n > 0
	if err != nil {
		w.dog.stop()
		if err != io.EOF && errors.Is(context.Cause(w.ctx), errVersionTimeout) {
			err = os.ErrDeadlineExceeded
		}
	}
	return n, err
}

// ReadBy implements readBy.
func (w *watched) ReadBy(t time.Time) {
	w.readBy = t
	w.dog.set(t)
}

// Close implements io.Closer.
func (w *watched) Close() error {
	w.dog.stop()
	return w.body.Close()
}

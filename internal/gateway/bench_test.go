package gateway

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/front"
	"sluice.dev/sluice/internal/release"
)

func urlWithQuery(q string) *url.URL { return &url.URL{Path: "/", RawQuery: q} }

// ring is a sink like the real one: a copy into a bounded buffer.
type ring struct {
	mu  sync.Mutex
	buf []release.Exposure
	n   int
}

func (r *ring) Record(e *release.Exposure) {
	r.mu.Lock()
	r.buf[r.n%len(r.buf)] = *e
	r.n++
	r.mu.Unlock()
}

func (r *ring) Category(release.ModelKey, int, []byte) uint32 { return 1 }

func benchGateway(b testing.TB, spec *assign.Spec, up http.RoundTripper) *Gateway {
	b.Helper()
	routes, err := assign.Compile(spec, func(s release.Secret) (string, error) { return string(s), nil })
	if err != nil {
		b.Fatal(err)
	}
	keys := testKeys(b, 1)
	g, err := New(Options{
		Routes: func() *assign.Routes { return routes }, Sink: &ring{buf: make([]release.Exposure, 1024)},
		Keyring: func() *release.Keyring { return keys }, Upstream: up,
	})
	if err != nil {
		b.Fatal(err)
	}
	return g
}

// Assignment, unit hash, exposure id and recording: what the design allows 0.5 microseconds and no
// allocation.
func BenchmarkAssignAndRecord(b *testing.B) {
	g := benchGateway(b, credit(200_000, headerOnly), nil)
	p := g.plan()
	x := &exchange{g: g, p: p, m: p.models[0], start: time.Now()}
	keys := g.opts.Keyring()
	unit := []byte("user-1234567")
	b.ReportAllocs()
	for b.Loop() {
		a := x.begin(keys, unit)
		x.served = int(a.Arm)
		x.lead(a)
		t := x.exposureID()
		_ = keys.AppendToken(x.token[:0], &t)
		g.opts.Sink.Record(&x.e)
	}
}

func TestAssignAndRecordAllocateNothing(t *testing.T) {
	g := benchGateway(t, credit(200_000, headerOnly), nil)
	p := g.plan()
	x := &exchange{g: g, p: p, m: p.models[0], start: time.Now()}
	keys, unit := g.opts.Keyring(), []byte("user-1234567")
	token := make([]byte, 0, release.TokenLen)
	if n := testing.AllocsPerRun(100, func() {
		a := x.begin(keys, unit)
		x.served = int(a.Arm)
		x.lead(a)
		tok := x.exposureID()
		token = keys.AppendToken(token[:0], &tok)
		g.opts.Sink.Record(&x.e)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// quiet is a response writer that costs nothing.
type quiet struct {
	h http.Header
	n int
}

func (q *quiet) Header() http.Header              { return q.h }
func (q *quiet) WriteHeader(int)                  {}
func (q *quiet) Write(b []byte) (int, error)      { q.n += len(b); return len(b), nil }
func (q *quiet) SetReadDeadline(time.Time) error  { return nil }
func (q *quiet) SetWriteDeadline(time.Time) error { return nil }
func (q *quiet) FlushError() error                { return nil }

// canned is a connection to a model server that answers each request at once, by the same bytes.
type canned struct {
	net.Conn
	answer []byte
}

func (c *canned) Read(b []byte) (int, error)       { return copy(b, c.answer), nil }
func (c *canned) Write(b []byte) (int, error)      { return len(b), nil }
func (c *canned) SetDeadline(time.Time) error      { return nil }
func (c *canned) SetReadDeadline(time.Time) error  { return nil }
func (c *canned) SetWriteDeadline(time.Time) error { return nil }
func (c *canned) Close() error                     { return nil }

// again is a body that is read once per request.
type again struct{ strings.Reader }

func (*again) Close() error { return nil }

// The gateway's own work per request, the request and its answer in memory: all but the front and the sockets.
func BenchmarkHandler(b *testing.B) {
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1100\r\n\r\n%s", bytes.Repeat([]byte{'x'}, 1100))
	body := `{"applicant":{"id":"user-1234567"},"pad":"` + strings.Repeat("x", 450) + `"}`
	for _, c := range []struct {
		name string
		spec func(*assign.RouteSpec)
	}{
		{"unit=header", headerOnly},
		{"unit=json", func(m *assign.RouteSpec) { m.Unit.From = []release.Selector{"json:applicant.id"} }},
	} {
		b.Run(c.name, func(b *testing.B) {
			g := benchGateway(b, credit(200_000, c.spec), nil)
			g.h1.Dial = func(context.Context, string, string) (net.Conn, error) { return &canned{answer: answer}, nil }
			w, in := &quiet{h: make(http.Header)}, &again{}
			r := (&http.Request{
				Method: http.MethodPost, URL: &url.URL{Path: "/credit"}, Host: "gateway", RemoteAddr: "198.51.100.7:1",
				Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(len(body)), Body: in,
				Header: http.Header{"X-User-Id": {"user-1234567"}, "Content-Type": {"application/json"}, "User-Agent": {"bench"}, "Accept": {"*/*"}},
			}).WithContext(b.Context())
			b.ReportAllocs()
			for b.Loop() {
				in.Reset(body)
				clear(w.h)
				g.ServeHTTP(w, r)
			}
			if w.n == 0 || w.n%1100 != 0 {
				b.Errorf("%d bytes were relayed", w.n)
			}
		})
	}
}

// rawServer answers every request with the same bytes, as cheaply as can be.
func rawServer(b testing.TB, answer []byte) string {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				buf := make([]byte, 16<<10)
				for n := 0; ; {
					m, err := c.Read(buf[n:])
					if err != nil {
						return
					}
					n += m
					if bytes.HasSuffix(buf[:n], []byte(rawEnd)) {
						n = 0
						if _, err := c.Write(answer); err != nil {
							return
						}
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

const rawEnd = "the end."

// The whole way over loopback: a client that costs little, the gateway, and a model server that costs
// little, in one process. What is left is the gateway and its sockets. Beside it net/http/httputil's
// ReverseProxy on the same way. cpu-µs/op is the process's CPU time, the client's and the server's included.
func BenchmarkLoopback(b *testing.B) {
	upstream := rawServer(b, fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1100\r\n\r\n%s", bytes.Repeat([]byte{'x'}, 1100)))
	spec := credit(200_000, headerOnly, func(m *assign.RouteSpec) {
		m.Arms[0].Spec.URL, m.Arms[1].Spec.URL = "http://"+upstream, "http://"+upstream
	})
	target, err := url.Parse("http://" + upstream)
	if err != nil {
		b.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Transport: &http.Transport{MaxIdleConnsPerHost: 1024, DisableCompression: true},
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target); r.SetXForwarded() },
	}
	for name, h := range map[string]http.Handler{"sluice": benchGateway(b, spec, nil), "reverseproxy": proxy} {
		b.Run(name, func(b *testing.B) { loopback(b, h, name == "sluice") })
	}
}

func loopback(b *testing.B, h http.Handler, ours bool) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var s interface {
		Serve(l net.Listener) error
		Close() error
	} = NewServer(h, slog.New(slog.DiscardHandler))
	if ours {
		s = front.New(s.(*http.Server))
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	defer func() { _ = s.Close(); <-done }()
	var unit atomic.Int64
	b.ReportAllocs()
	before := cpuTime(b)
	defer func() { b.ReportMetric(float64((cpuTime(b)-before).Nanoseconds())/1000/float64(b.N), "cpu-µs/op") }()
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			b.Error(err)
			return
		}
		defer func() { _ = c.Close() }()
		buf := make([]byte, 16<<10)
		body := strings.Repeat("x", 492) + rawEnd
		var req []byte
		for pb.Next() {
			req = fmt.Appendf(req[:0], "POST /credit HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nAccept: */*\r\nUser-Agent: bench\r\nX-User-Id: user-%d\r\nContent-Length: %d\r\n\r\n%s", unit.Add(1), len(body), body)
			if _, err := c.Write(req); err != nil {
				b.Error(err)
				return
			}
			for n := 0; !bytes.HasSuffix(buf[:n], []byte("xxxxxxxx")); {
				m, err := c.Read(buf[n:])
				if err != nil {
					b.Error(err)
					return
				}
				n += m
			}
		}
	})
}

// cpuTime is what the process has used, user and system.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

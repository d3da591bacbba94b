package gateway

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice.dev/sluice/internal/assign"
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

func (q *quiet) Header() http.Header         { return q.h }
func (q *quiet) WriteHeader(int)             {}
func (q *quiet) Write(b []byte) (int, error) { q.n += len(b); return len(b), nil }
func (q *quiet) Flush()                      {}

// The gateway's own work per request: an upstream that answers at once, no network, no parsing.
func BenchmarkHandler(b *testing.B) {
	answer := bytes.Repeat([]byte{'x'}, 1100)
	up := roundTrip(func(r *http.Request) (*http.Response, error) {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, ContentLength: int64(len(answer)),
			Body: io.NopCloser(bytes.NewReader(answer)), Request: r,
		}, nil
	})
	body := `{"applicant":{"id":"user-1234567"},"pad":"` + strings.Repeat("x", 450) + `"}`
	for _, c := range []struct {
		name string
		spec func(*assign.RouteSpec)
	}{
		{"unit=header", headerOnly},
		{"unit=json", func(m *assign.RouteSpec) { m.Unit.From = []release.Selector{"json:applicant.id"} }},
	} {
		b.Run(c.name, func(b *testing.B) {
			g := benchGateway(b, credit(200_000, c.spec), up)
			b.ReportAllocs()
			w := &quiet{}
			for b.Loop() {
				r := &http.Request{
					Method: http.MethodPost, URL: &url.URL{Path: "/credit"}, Host: "gateway", RemoteAddr: "198.51.100.7:1",
					Header: http.Header{"X-User-Id": {"user-1234567"}, "Content-Type": {"application/json"}, "User-Agent": {"bench"}},
					Body:   io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
				}
				w.h = make(http.Header)
				g.ServeHTTP(w, r)
			}
		})
	}
}

// The whole way over loopback, client and model server in the same process.
func BenchmarkLoopback(b *testing.B) {
	answer := bytes.Repeat([]byte{'x'}, 1100)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(answer)
	}))
	defer upstream.Close()
	spec := credit(200_000, headerOnly, func(m *assign.RouteSpec) {
		m.Arms[0].Spec.URL, m.Arms[1].Spec.URL = upstream.URL, upstream.URL
	})
	front := httptest.NewServer(benchGateway(b, spec, nil))
	defer front.Close()
	body := strings.Repeat("x", 500)
	var unit atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, _ := http.NewRequest(http.MethodPost, front.URL+"/credit", strings.NewReader(body))
			r.Header.Set("X-User-Id", fmt.Sprint(unit.Add(1)))
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	})
}

package gateway

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
)

// rawUpstream answers each connection by f, below HTTP.
func (w *world) rawUpstream(host string, f func(net.Conn, *bufio.Reader)) {
	l := w.net.listen(w.t, host)
	w.t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				r := bufio.NewReader(conn)
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				// All of it: a transport that still writes would see the closing before the answer.
				if _, err := io.Copy(io.Discard, req.Body); err == nil {
					f(conn, r)
				}
			}()
		}
	}()
}

// Whatever an upstream does, the client gets a clear answer or a broken connection, and one exposure
// says whose fault it was.
func TestUpstreamFaults(t *testing.T) {
	say := func(s string) func(net.Conn, *bufio.Reader) {
		return func(c net.Conn, _ *bufio.Reader) { _, _ = io.WriteString(c, s) }
	}
	for _, c := range []struct {
		name     string
		upstream func(net.Conn, *bufio.Reader) // nil: nobody listens
		status   int
		cut      bool
		flags    uint16
	}{
		{"down", nil, 502, false, 0},
		{"closes without a word", say(""), 502, false, 0},
		{"closes in the head", say("HTTP/1.1 200 OK\r\nContent-"), 502, false, 0},
		{"garbage", say("\x00\x01\x02 garbage\r\n\r\n"), 502, false, 0},
		{"switches protocols unasked", say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), 502, false, 0},
		{"conflicting lengths", say("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), 502, false, 0},
		{"head without end", func(c net.Conn, _ *bufio.Reader) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n")
			for range 64 {
				if _, err := io.WriteString(c, "X-Bomb: "+strings.Repeat("x", 8<<10)+"\r\n"); err != nil {
					return
				}
			}
		}, 502, false, 0},
		{"closes midway, length known", say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), 200, true, release.FlagTruncated},
		{"closes midway, chunked", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"), 200, true, release.FlagTruncated},
		{"bad chunk", say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n"), 200, true, release.FlagTruncated},
		{"splits the answer", say("HTTP/1.1 200 OK\r\nX-A: b\rX-Injected: c\r\nContent-Length: 0\r\n\r\n"), 502, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, credit(release.Whole))
			if c.upstream != nil {
				w.rawUpstream("candidate", c.upstream)
			}
			got := w.do("POST", "/credit", `{"applicant":{"id":"u"}}`)
			if got.status != c.status || (got.err != nil) != c.cut || got.header.Get("X-Injected") != "" {
				t.Errorf("got %+v", got)
			}
			if c.status == 502 && got.header.Get(HeaderError) != "upstream_unreachable" {
				t.Errorf("got %+v", got)
			}
			if got.header.Get(HeaderID) == "" {
				t.Error("no exposure id")
			}
			e := w.sink.wait(t, 1)[0]
			if e.Fault != release.FaultUpstream || int(e.Status) != c.status || e.Flags != c.flags || e.Arm != 1 {
				t.Errorf("recorded %+v", e)
			}
			if strings.Contains(got.body, "candidate") {
				t.Errorf("the answer tells the upstream's address: %s", got.body)
			}
		})
	}
}

func TestBodyLimits(t *testing.T) {
	const limit = 1000
	inMemory := func(m *assign.RouteSpec) { m.Limits.Body, m.Unit.From = limit, []release.Selector{"json:id"} }
	streamed := func(m *assign.RouteSpec) { m.Limits.Body, m.Unit.From = limit, []release.Selector{"header:X-User-Id"} }
	for _, c := range []struct {
		name    string
		spec    func(*assign.RouteSpec)
		size    int
		chunked bool
		status  int
	}{
		{"in memory, fits", inMemory, limit, false, 200},
		{"in memory, fits, chunked", inMemory, limit, true, 200},
		{"in memory, too large", inMemory, limit + 1, false, 413},
		{"in memory, too large, chunked", inMemory, limit + 1, true, 413},
		{"streamed, fits", streamed, limit, false, 200},
		{"streamed, fits, chunked", streamed, limit, true, 200},
		{"streamed, too large", streamed, limit + 1, false, 413},
		{"streamed, too large, chunked", streamed, limit + 1, true, 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, credit(0, c.spec))
			w.upstream("live", func(rw http.ResponseWriter, r *http.Request) {
				b, err := io.ReadAll(r.Body)
				if err != nil {
					panic(http.ErrAbortHandler)
				}
				fmt.Fprint(rw, len(b))
			})
			r := w.request("POST", "/credit", strings.Repeat("x", c.size), "X-User-Id", "u")
			if c.chunked {
				r.ContentLength = -1
				r.Body = io.NopCloser(struct{ io.Reader }{r.Body})
			}
			got, err := w.send(r)
			if err != nil {
				t.Fatal(err)
			}
			if got.status != c.status || c.status == 200 && got.body != fmt.Sprint(c.size) || c.status == 413 && got.header.Get(HeaderError) != "body_too_large" {
				t.Errorf("got %+v", got)
			}
			if held := w.gateway.memory.used.Load(); held != 0 && c.status == 413 {
				t.Errorf("%d bytes are still held", held)
			}
		})
	}
}

// A body of 100 MB is refused after its head, or after the limit, never after 100 MB.
func TestHundredMegabytes(t *testing.T) {
	for _, length := range []string{"Content-Length: 104857600", "Transfer-Encoding: chunked"} {
		w := newWorld(t, credit(0))
		conn := w.dial(t)
		sent := make(chan int)
		go func() {
			n, _ := fmt.Fprintf(conn, "POST /credit HTTP/1.1\r\nHost: gateway\r\n%s\r\n\r\n", length)
			chunk := append([]byte("8000\r\n"), append(bytes.Repeat([]byte{'x'}, 0x8000), '\r', '\n')...)
			for range 3200 {
				m, err := conn.Write(chunk)
				if n += m; err != nil {
					break
				}
			}
			sent <- n
		}()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge || !resp.Close {
			t.Errorf("%s: %+v, %v", length, resp, err)
		}
		_ = conn.Close()
		if n := <-sent; n > 12<<20 {
			t.Errorf("%s: %d bytes were taken", length, n)
		}
	}
}

func TestBodyThatDoesNotCome(t *testing.T) {
	for _, c := range []struct {
		name, body string
		close      bool
		want       string
	}{
		{"slow", "{", false, "408"},
		{"ends early", "{", true, "400"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, credit(0))
				conn := w.dial(t)
				begun := time.Now()
				go fmt.Fprintf(conn, "POST /credit HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n%s", map[bool]string{true: "zz\r\n"}[c.close])
				got := readUntil(t, conn, "\r\n\r\n")
				if !strings.HasPrefix(got, "HTTP/1.1 "+c.want) {
					t.Errorf("got %q", got)
				}
				if since := time.Since(begun); !c.close && since != 30*time.Second {
					t.Errorf("after %v", since)
				}
				_ = conn.Close()
			})
		})
	}
}

func TestMemoryForBodiesIsBounded(t *testing.T) {
	w := newWorld(t, credit(0), func(o *Options) { o.Limits.Memory = 64 << 10 })
	w.upstream("live", echo("v1"))
	if got := w.do("POST", "/credit", strings.Repeat("x", 100<<10)); got.status != 503 || got.header.Get(HeaderError) != "memory" {
		t.Errorf("got %+v", got)
	}
	if got := w.do("POST", "/credit", strings.Repeat("x", 30<<10)); got.status != 200 {
		t.Errorf("got %+v", got)
	}
}

// A candidate that opted in to failover and fails before its first byte is followed by live, and the
// failure stays the candidate's.
func TestFailover(t *testing.T) {
	fail := map[string]func(*world){
		"down": func(*world) {},
		"500": func(w *world) {
			w.upstream("candidate", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusInternalServerError) })
		},
		"timeout": func(w *world) {
			w.upstream("candidate", func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // a server sees that its client is gone once it has the body
				<-r.Context().Done()
			})
		},
	}
	want := map[string]struct {
		fault  release.Fault
		status uint16
	}{"down": {release.FaultUpstream, 502}, "500": {release.FaultUpstream, 500}, "timeout": {release.FaultTimeout, 504}}
	for name, setUp := range fail {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, credit(release.Whole, func(m *assign.RouteSpec) {
					m.Arms[1].Spec.Failover, m.Arms[1].Spec.Timeout = true, release.Duration(time.Second)
					m.Signals = []release.Signal{{From: release.FromAnswer, Selector: "json:decision"}}
				}), func(o *Options) { o.Expose = true })
				var body string
				w.upstream("live", func(rw http.ResponseWriter, r *http.Request) {
					b, _ := io.ReadAll(r.Body)
					body = string(b)
					echo("v1")(rw, r)
				})
				setUp(w)
				got := w.do("POST", "/credit", `{"applicant":{"id":"u"}}`)
				if got.status != 200 || !strings.Contains(got.body, "v1") || body != `{"applicant":{"id":"u"}}` {
					t.Errorf("got %+v, live was sent %q", got, body)
				}
				if got.header.Get(HeaderVersion) != "v1" || got.header.Get(HeaderArm) != "1" {
					t.Errorf("headers %v", got.header)
				}
				e := w.sink.wait(t, 1)[0]
				if e.Arm != 1 || e.Flags != release.FlagFellBack || e.Fault != want[name].fault || e.Status != want[name].status || !e.Failed() {
					t.Errorf("recorded %+v", e)
				}
				if e.Values[0].Kind != release.ValueNone {
					t.Error("live's answer was recorded as the candidate's")
				}
			})
		})
	}
	t.Run("not asked for", func(t *testing.T) {
		w := newWorld(t, credit(release.Whole))
		w.upstream("live", echo("v1"))
		if got := w.do("GET", "/credit", "", "X-User-Id", "u"); got.status != 502 {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("not after the first byte", func(t *testing.T) {
		w := newWorld(t, credit(release.Whole, func(m *assign.RouteSpec) { m.Arms[1].Spec.Failover = true }))
		w.upstream("live", echo("v1"))
		w.rawUpstream("candidate", func(c net.Conn, _ *bufio.Reader) {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
		})
		if got := w.do("GET", "/credit", "", "X-User-Id", "u"); got.body != "half" || got.err == nil {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("a 4xx is an answer", func(t *testing.T) {
		w := newWorld(t, credit(release.Whole, func(m *assign.RouteSpec) { m.Arms[1].Spec.Failover = true }))
		w.upstream("live", echo("v1"))
		w.upstream("candidate", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusUnprocessableEntity) })
		if got := w.do("GET", "/credit", "", "X-User-Id", "u"); got.status != 422 {
			t.Errorf("got %+v", got)
		}
	})
}

// A candidate is served on a lease: when it is over, live answers its units and says so.
func TestLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		renewed := time.Now()
		spec := credit(release.Whole)
		spec.Lease = 600_000
		w := newWorld(t, spec, func(o *Options) { o.Renewed = func() time.Time { return renewed } })
		w.upstream("live", echo("v1"))
		w.upstream("candidate", echo("v2"))
		ask := func(want string, flags uint16) {
			t.Helper()
			n := len(w.sink.all)
			if got := w.do("GET", "/credit", "", "X-User-Id", "u"); !strings.Contains(got.body, want) {
				t.Errorf("after %v: %s", time.Since(renewed), got.body)
			}
			if e := w.sink.wait(t, n+1)[n]; e.Arm != 1 || e.Flags != flags {
				t.Errorf("after %v: recorded %+v", time.Since(renewed), e)
			}
		}
		ask("v2", 0)
		time.Sleep(10*time.Minute - time.Millisecond)
		ask("v2", 0)
		if h := w.gateway.Health(); h.Lease != "held" || h.Status != "ok" {
			t.Errorf("health %+v", h)
		}
		time.Sleep(time.Millisecond)
		ask("v1", release.FlagLease)
		if h := w.gateway.Health(); h.Lease != "over" || h.Status != "degraded" || !h.Ready {
			t.Errorf("health %+v", h)
		}
		renewed = time.Now()
		ask("v2", 0)
	})
}

// No copies go to a candidate after its lease either.
func TestLeaseEndsCopies(t *testing.T) {
	spec := credit(0, shadowed(release.Whole))
	spec.Lease = 1
	w := newWorld(t, spec, func(o *Options) { o.Renewed = func() time.Time { return time.Time{} } })
	w.upstream("live", echo("v1"))
	w.upstream("candidate", func(http.ResponseWriter, *http.Request) { t.Error("a copy was sent") })
	w.do("GET", "/credit", "", "X-User-Id", "u")
	if e := w.sink.wait(t, 1)[0]; e.Flags != 0 {
		t.Errorf("recorded %+v", e)
	}
}

// A candidate that collapses is left alone within a second, without a controller, and is tried again
// one request at a time.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, credit(release.Whole, func(m *assign.RouteSpec) {
			m.Breaker = assign.BreakerSpec{MaxFailureRate: 0.1, MinRequests: 10}
		}))
		down := true
		w.upstream("live", echo("v1"))
		w.upstream("candidate", func(rw http.ResponseWriter, r *http.Request) {
			if down {
				rw.WriteHeader(http.StatusInternalServerError)
				return
			}
			echo("v2")(rw, r)
		})
		n := 0
		ask := func() (reply, release.Exposure) {
			got := w.do("GET", "/credit", "", "X-User-Id", fmt.Sprint(n))
			n++
			return got, w.sink.wait(t, n)[n-1]
		}
		begun := time.Now()
		for {
			got, e := ask()
			if e.Flags == release.FlagBreaker {
				if got.status != 200 || !strings.Contains(got.body, "v1") || e.Arm != 1 || e.Failed() {
					t.Fatalf("got %+v, recorded %+v", got, e)
				}
				break
			}
			time.Sleep(10 * time.Millisecond) // 100 requests a second
		}
		if since := time.Since(begun); since > time.Second {
			t.Errorf("opened after %v and %d requests", since, n)
		}
		if len(w.trips) != 1 || w.trips[0].Closed || w.trips[0].Failures < 9 || w.trips[0].Release != 7 || w.trips[0].Version != "v2" {
			t.Fatalf("trips %+v", w.trips)
		}
		if h := w.gateway.Health(); len(h.Breakers) != 1 || h.Breakers[0] != "credit/v2" {
			t.Errorf("health %+v", h)
		}
		// Another stratum of the same release keeps it open.
		w.serve(credit(release.Whole, func(m *assign.RouteSpec) {
			m.Stratum = 4
			m.Breaker = assign.BreakerSpec{MaxFailureRate: 0.1, MinRequests: 10}
		}))
		if _, e := ask(); e.Flags != release.FlagBreaker || e.Stratum != 4 {
			t.Errorf("recorded %+v", e)
		}
		// The first probe fails, so the next comes after twice the time.
		time.Sleep(breakerWait)
		if _, e := ask(); e.Flags != 0 || !e.Failed() {
			t.Errorf("no probe: %+v", e)
		}
		time.Sleep(breakerWait)
		if _, e := ask(); e.Flags != release.FlagBreaker {
			t.Errorf("a probe came too early: %+v", e)
		}
		down = false
		time.Sleep(breakerWait)
		for range breakerProbes {
			if _, e := ask(); e.Flags != 0 || e.Failed() {
				t.Errorf("recorded %+v", e)
			}
		}
		if len(w.trips) != 2 || !w.trips[1].Closed {
			t.Errorf("trips %+v", w.trips)
		}
	})
}

func TestSinkOfUpstreamErrorsIsNotTheClient(t *testing.T) {
	// The transport's own words hold addresses; they must not leave.
	w := newWorld(t, credit(0), func(o *Options) {
		o.Upstream = roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("dial 10.0.0.1: secret") })
	})
	if got := w.do("GET", "/credit", ""); strings.Contains(got.body, "secret") || got.status != 502 {
		t.Errorf("got %+v", got)
	}
}

// An answer that is too large to keep is relayed whole and has no signals.
func TestLargeAnswerIsNotKept(t *testing.T) {
	w := newWorld(t, credit(0, decision), func(o *Options) { o.Limits.Keep = 100 })
	pad := 0
	w.upstream("live", func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(rw, `{"decision":"yes",`)
		_ = http.NewResponseController(rw).Flush()
		fmt.Fprintf(rw, `"pad":%q}`, strings.Repeat("x", pad))
	})
	for i, c := range []struct {
		pad  int
		want release.ValueKind
	}{{50, release.ValueCategory}, {5000, release.ValueNone}} {
		pad = c.pad
		got := w.do("GET", "/credit", "", "X-User-Id", "u")
		if e := w.sink.wait(t, i+1)[i]; len(got.body) < pad || e.Values[0].Kind != c.want || int(e.RespLen) != len(got.body) {
			t.Errorf("%d bytes: kind %d of %d", len(got.body), e.Values[0].Kind, e.RespLen)
		}
	}
}

// An answer that comes before the end of a streamed body ends the connection: the rest of the body must
// not be read as a next request.
func TestEarlyAnswerClosesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, credit(0, headerOnly))
		l := w.net.listen(t, "live")
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
			}
		}()
		conn := w.dial(t)
		defer func() { _ = conn.Close() }()
		fmt.Fprintf(conn, "POST /credit HTTP/1.1\r\nHost: gateway\r\nX-User-Id: u\r\nContent-Length: %d\r\n\r\n", smallBody+50)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != http.StatusForbidden || !resp.Close {
			t.Fatalf("got %+v, %v", resp, err)
		}
		go func() { _, _ = io.WriteString(conn, strings.Repeat("x", 10)+"GET /-/sluice/healthz HTTP/1.1\r\n\r\n") }()
		if rest, _ := io.ReadAll(resp.Body); string(rest) != "no" {
			t.Errorf("then %q", rest)
		}
		if more, _ := io.ReadAll(conn); strings.Contains(string(more), "HTTP/1.1") {
			t.Errorf("the body was answered as a request: %q", more)
		}
	})
}

package gateway

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
)

// Tests of the wire's rules. Their numbers are those of the design's rules of the wire, section 3.

// 3.1: the bytes of a stream reach the client as they come, each flushed, none changed, whatever
// they are cut into.
func TestWire3_1_StreamIsRelayedAsItComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, credit(0, headerOnly, func(m *assign.RouteSpec) { m.Arms[0].Spec.Timeout = release.Duration(time.Hour) }))
		events := []string{
			": ping\n\n", "data: a\n\n", "event: x\r\ndata:no space\r\n\r\n", "data: split", " in two\n\n", "id: 7\rretry: 10\rdata: cr\r\r",
			"data:\n\n", "data: " + strings.Repeat("z", 200<<10) + "\n\n", "data: [DONE]\n\n",
		}
		w.upstream("live", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
			rw.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(rw).Flush()
			for _, e := range events {
				time.Sleep(10 * time.Second)
				_, _ = io.WriteString(rw, e)
				_ = http.NewResponseController(rw).Flush()
			}
		})
		begun := time.Now()
		resp, err := w.client.Do(w.request("GET", "/credit", "", "X-User-Id", "u"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if since := time.Since(begun); since != 0 {
			t.Errorf("the head came after %v, the first event after 10s", since)
		}
		for i, want := range events {
			got := make([]byte, len(want))
			if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != want {
				t.Fatalf("event %d is %q (%v), want %q", i, got[:min(len(got), 60)], err, want[:min(len(want), 60)])
			}
			if since, due := time.Since(begun), time.Duration(i+1)*10*time.Second; since != due {
				t.Fatalf("event %d came after %v, was sent after %v", i, since, due)
			}
		}
		if _, err := resp.Body.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the last event: %v", err)
		}
		for name, want := range map[string]string{
			"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache, no-transform",
			"X-Accel-Buffering": "no", "Content-Length": "", "Content-Encoding": "",
		} {
			if got := resp.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
	})
}

// 3.1: a client is told during the silence before the first event that the stream is alive, if the version asks for it, and never
// within or behind an event; live does not step in for an answer that has begun.
func TestWire3_1_KeepAlive(t *testing.T) {
	for _, every := range []time.Duration{0, 15 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, credit(release.Whole, headerOnly, func(m *assign.RouteSpec) {
				m.Arms[1].Spec.Timeout, m.Arms[1].Spec.Failover = release.Duration(time.Hour), true
				m.Arms[1].Spec.Timeouts.KeepAlive = release.Duration(every)
			}))
			w.upstream("live", echo("v1"))
			w.upstream("candidate", func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", "text/event-stream")
				_ = http.NewResponseController(rw).Flush()
				for _, piece := range []string{"data: a", "\n\n", "data: b\n\n"} {
					time.Sleep(40 * time.Second)
					_, _ = io.WriteString(rw, piece)
					_ = http.NewResponseController(rw).Flush()
				}
			})
			want := "data: a\n\ndata: b\n\n"
			if every > 0 {
				want = strings.Repeat(": keep-alive\n\n", 2) + want
			}
			if got := w.do("GET", "/credit", "", "X-User-Id", "u"); got.body != want || got.err != nil {
				t.Errorf("every %v: %q, %v, want %q", every, got.body, got.err, want)
			}
		})
	}
}

// 3.1, 3.5: a stream that breaks off never looks complete.
func TestWire3_1_TruncatedStreamIsCut(t *testing.T) {
	w := newWorld(t, credit(0, headerOnly))
	w.upstream("live", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(rw, "data: a\n\n")
		_ = http.NewResponseController(rw).Flush()
		panic(http.ErrAbortHandler)
	})
	got := w.do("GET", "/credit", "", "X-User-Id", "u")
	if got.body != "data: a\n\n" || got.err == nil {
		t.Errorf("got %q, %v: want what came and an error", got.body, got.err)
	}
	if e := w.sink.wait(t, 1)[0]; e.Fault != release.FaultUpstream || e.Flags != release.FlagTruncated || e.Status != 200 {
		t.Errorf("recorded %+v", e)
	}
}

// 3.3: the upstream's errors keep their status and body; X-Sluice-Error is the gateway's alone.
func TestWire3_3_UpstreamErrorsAreUntouched(t *testing.T) {
	for status, fault := range map[int]release.Fault{
		400: release.FaultClient, 404: release.FaultClient, 429: release.FaultClient,
		500: release.FaultUpstream, 502: release.FaultUpstream, 503: release.FaultUpstream, 504: release.FaultUpstream,
	} {
		w := newWorld(t, credit(0, headerOnly))
		const body = `{"error":{"message":"so","type":"t","param":null,"code":1}}`
		w.upstream("live", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set(HeaderError, "planted by the upstream")
			rw.Header().Set("Retry-After", "17")
			rw.WriteHeader(status)
			_, _ = io.WriteString(rw, body)
		})
		got := w.do("GET", "/credit", "", "X-User-Id", "u")
		if got.status != status || got.body != body || got.header.Get(HeaderError) != "" || got.header.Get("Retry-After") != "17" {
			t.Errorf("%d: got %+v", status, got)
		}
		if e := w.sink.wait(t, 1)[0]; e.Fault != fault || int(e.Status) != status {
			t.Errorf("%d: recorded %+v", status, e)
		}
	}
}

// 3.4: what is forwarded to the upstream.
func TestWire3_4_RequestHeaders(t *testing.T) {
	type change = func(*Options)
	for _, c := range []struct {
		name    string
		headers []string
		version map[string]release.Secret
		option  change
		want    map[string]string // "": absent
	}{
		{"everything else is kept", []string{
			"Anthropic-Beta", "b", "Idempotency-Key", "i", "Traceparent", "00-1", "X-Stainless-Os", "linux", "X-Client-Request-Id", "c",
		}, nil, nil, map[string]string{
			"Anthropic-Beta": "b", "Idempotency-Key": "i", "Traceparent": "00-1", "X-Stainless-Os": "linux", "X-Client-Request-Id": "c",
		}},
		{"hop by hop", []string{
			"Connection", "X-Mine, close, X-Other", "X-Mine", "m", "X-Other", "o", "Keep-Alive", "timeout=5", "Proxy-Authorization", "p",
			"Proxy-Connection", "keep-alive", "Te", "trailers", "Upgrade", "h2c",
		}, nil, nil, map[string]string{
			"Connection": "", "X-Mine": "", "X-Other": "", "Keep-Alive": "", "Proxy-Authorization": "", "Proxy-Connection": "", "Te": "", "Upgrade": "",
		}},
		{"Connection can't strip what has a meaning", []string{
			"Connection", "Authorization, Content-Type, X-Forwarded-For", "Authorization", "a", "Content-Type", "t/t",
		}, nil, nil, map[string]string{"Authorization": "a", "Content-Type": "t/t", "X-Forwarded-For": "198.51.100.7"}},
		{"own headers", []string{"X-Sluice-Id", "1", "X-Sluice-Arm", "1", "X-Sluice-Anything", "1"}, nil, nil, map[string]string{
			"X-Sluice-Id": "", "X-Sluice-Arm": "", "X-Sluice-Anything": "", HeaderHop: "1",
		}},
		{"hops are counted", []string{HeaderHop, "2"}, nil, nil, map[string]string{HeaderHop: "3"}},
		{"cookies are dropped", []string{"Cookie", "a=b"}, nil, nil, map[string]string{"Cookie": ""}},
		{"cookies if asked for", []string{"Cookie", "a=b"}, nil, func(o *Options) { o.ForwardCookies = true }, map[string]string{"Cookie": "a=b"}},
		{"the client's authorization", []string{"Authorization", "Bearer client"}, nil, nil, map[string]string{"Authorization": "Bearer client"}},
		{
			"the version's own",
			[]string{"Authorization", "Bearer client", "X-Tier", "free"},
			map[string]release.Secret{"authorization": "Bearer version", "X-Tier": "paid"},
			nil,
			map[string]string{"Authorization": "Bearer version", "X-Tier": "paid"},
		},
		{
			"who asked",
			[]string{"X-Forwarded-For", "203.0.113.9", "Forwarded", "for=evil", "X-Forwarded-Proto", "https"},
			nil, nil,
			map[string]string{"X-Forwarded-For": "198.51.100.7", "X-Forwarded-Host": "gateway", "X-Forwarded-Proto": "http", "Forwarded": ""},
		},
		{
			"who asked, behind a proxy",
			[]string{"X-Forwarded-For", "203.0.113.9", "X-Forwarded-Proto", "https"},
			nil, func(o *Options) { o.TrustForwarded = true },
			map[string]string{"X-Forwarded-For": "203.0.113.9, 198.51.100.7", "X-Forwarded-Host": "gateway", "X-Forwarded-Proto": "https"},
		},
		{"compression is the client's to ask for", []string{"Accept-Encoding", "br"}, nil, nil, map[string]string{"Accept-Encoding": "br"}},
		{"no user agent is added", []string{"User-Agent", ""}, nil, nil, map[string]string{"User-Agent": ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec := credit(0, func(m *assign.RouteSpec) { m.Arms[0].Spec.Headers = c.version })
			var changes []change
			if c.option != nil {
				changes = append(changes, c.option)
			}
			w := newWorld(t, spec, changes...)
			var seen *http.Request
			w.upstream("live", func(_ http.ResponseWriter, r *http.Request) { seen = r.Clone(r.Context()) })
			w.do("GET", "/credit", "", c.headers...)
			if seen == nil || seen.Host != "live" {
				t.Fatalf("the upstream saw %+v", seen)
			}
			for name, want := range c.want {
				if got := seen.Header.Get(name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
		})
	}
}

// 3.4: an answer that has to be read is asked for uncompressed.
func TestWire3_4_IdentityWhenTheAnswerIsRead(t *testing.T) {
	w := newWorld(t, credit(0, func(m *assign.RouteSpec) {
		m.Signals = []release.Signal{{From: release.FromAnswer, Selector: "json:decision"}}
	}))
	var asked string
	w.upstream("live", func(rw http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("Accept-Encoding")
		_, _ = io.WriteString(rw, `{"decision":"x"}`)
	})
	w.do("GET", "/credit", "", "X-User-Id", "u", "Accept-Encoding", "br")
	if e := w.sink.wait(t, 1)[0]; asked != "identity" || w.sink.word(e.Values[0]) != "x" {
		t.Errorf("asked for %q, recorded %+v", asked, e.Values[0])
	}
}

// 3.4: bytes and headers of an answer pass unchanged, compressed or not; hop-by-hop and X-Sluice-* do not.
func TestWire3_4_AnswerHeaders(t *testing.T) {
	w := newWorld(t, credit(0))
	keep := map[string]string{
		"Content-Encoding": "gzip", "X-Request-Id": "r", "Request-Id": "q", "Openai-Processing-Ms": "5", "X-Ratelimit-Remaining": "3",
		"Anthropic-Ratelimit-Unified-Reset": "z", "Retry-After-Ms": "10", "X-Should-Retry": "false", "Set-Cookie": "s=1", "Location": "/elsewhere",
	}
	w.upstream("live", func(rw http.ResponseWriter, _ *http.Request) {
		for name, v := range keep {
			rw.Header().Set(name, v)
		}
		rw.Header().Set("Connection", "X-Secret")
		rw.Header().Set("X-Secret", "s")
		rw.Header().Set("X-Sluice-Id", "forged")
		rw.Header()["Content-Type"] = nil // none is added on the way
		rw.WriteHeader(http.StatusFound)
		_, _ = io.WriteString(rw, "\x1f\x8b not really gzip")
	})
	got := w.do("GET", "/credit", "")
	if got.status != 302 || got.body != "\x1f\x8b not really gzip" {
		t.Errorf("got %+v", got)
	}
	for name, want := range keep {
		if got.header.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, got.header.Get(name), want)
		}
	}
	for _, name := range []string{"X-Secret", "X-Sluice-Id", "Content-Type"} {
		if got.header.Get(name) != "" {
			t.Errorf("%s reached the client", name)
		}
	}
}

// 3.4: a loop through the gateway itself ends.
func TestWire3_4_LoopIsRefused(t *testing.T) {
	w := newWorld(t, credit(0, func(m *assign.RouteSpec) { m.Arms[0].Spec.URL = "http://gateway" }))
	got := w.do("GET", "/credit", "", "X-User-Id", "u")
	if got.status != 508 {
		t.Errorf("got %+v", got)
	}
	if n := len(w.sink.wait(t, maxHops)); n != maxHops {
		t.Errorf("%d exposures, want one for each of %d hops", n, maxHops)
	}
}

// 3.4: paths and queries arrive as they were sent, behind the version's own path.
func TestWire3_4_PathAndQuery(t *testing.T) {
	for _, c := range []struct{ base, path, want string }{
		{"http://live", "/credit/a%2Fb?x=1&y=%20;z", "/credit/a%2Fb?x=1&y=%20;z"},
		{"http://live/", "/credit/", "/credit/"},
		{"http://live/base", "/credit/x", "/base/credit/x"},
		{"http://live/base/?key=k", "/credit/x?y=1", "/base/credit/x?key=k&y=1"},
		{"http://live", "/credit/a//b", "/credit/a//b"},
		{"http://live", "/credit/%e4", "/credit/%e4"},
	} {
		w := newWorld(t, credit(0, func(m *assign.RouteSpec) { m.Match.Path, m.Arms[0].Spec.URL = "/credit/", c.base }))
		var seen string
		w.upstream("live", func(_ http.ResponseWriter, r *http.Request) { seen = r.RequestURI })
		if w.do("GET", c.path, ""); seen != c.want {
			t.Errorf("%s + %s arrived as %q, want %q", c.base, c.path, seen, c.want)
		}
	}
}

// 3.4: HEAD, 204, 304 and trailers.
func TestWire3_4_AnswersWithoutBodyAndTrailers(t *testing.T) {
	w := newWorld(t, credit(0))
	w.upstream("live", func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.RawQuery {
		case "204":
			rw.WriteHeader(http.StatusNoContent)
		case "304":
			rw.Header().Set("Etag", `"e"`)
			rw.WriteHeader(http.StatusNotModified)
		case "trailer":
			rw.Header().Set("Trailer", "X-Sum")
			_, _ = io.WriteString(rw, "body")
			rw.Header().Set("X-Sum", "42")
			rw.Header().Set(http.TrailerPrefix+"X-Late", "7")
		default:
			rw.Header().Set("Content-Length", "4")
			_, _ = io.WriteString(rw, "body")
		}
	})
	if got := w.do("HEAD", "/credit", ""); got.status != 200 || got.header.Get("Content-Length") != "4" || got.body != "" {
		t.Errorf("HEAD: %+v", got)
	}
	if got := w.do("GET", "/credit?204", ""); got.status != 204 || got.body != "" {
		t.Errorf("204: %+v", got)
	}
	if got := w.do("GET", "/credit?304", ""); got.status != 304 || got.header.Get("Etag") != `"e"` {
		t.Errorf("304: %+v", got)
	}
	resp, err := w.client.Do(w.request("GET", "/credit?trailer", ""))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != "body" || resp.Trailer.Get("X-Sum") != "42" || resp.Trailer.Get("X-Late") != "7" {
		t.Errorf("trailers %v after %q, %v", resp.Trailer, body, err)
	}
}

// 3.5: after a disconnect the upstream is cancelled at once and the exposure is recorded all the same.
func TestWire3_5_ClientGone(t *testing.T) {
	for _, when := range []string{"before the answer", "midway"} {
		t.Run(when, func(t *testing.T) {
			w := newWorld(t, credit(0, headerOnly))
			begun, over := make(chan struct{}), make(chan struct{})
			w.upstream("live", func(rw http.ResponseWriter, r *http.Request) {
				if when == "midway" {
					_, _ = io.WriteString(rw, "half")
					_ = http.NewResponseController(rw).Flush()
				}
				close(begun)
				<-r.Context().Done()
				close(over)
			})
			conn := w.dial(t)
			fmt.Fprint(conn, "GET /credit HTTP/1.1\r\nHost: gateway\r\nX-User-Id: u\r\n\r\n")
			if when == "midway" {
				readUntil(t, conn, "half")
			}
			<-begun
			_ = conn.Close()
			<-over
			e := w.sink.wait(t, 1)[0]
			if e.Fault != release.FaultClient || e.Flags != release.FlagCancelled || e.Failed() {
				t.Errorf("recorded %+v", e)
			}
			if want := map[string]uint16{"midway": 200}[when]; want != 0 && e.Status != want || want == 0 && e.Status != statusGone {
				t.Errorf("status %d", e.Status)
			}
		})
	}
}

func (w *world) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := w.net.dial(t.Context(), "tcp", "gateway:80")
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func readUntil(t *testing.T, r io.Reader, want string) string {
	t.Helper()
	var got []byte
	for !strings.Contains(string(got), want) {
		b := make([]byte, 512)
		n, err := r.Read(b)
		if got = append(got, b[:n]...); err != nil {
			t.Fatalf("%v after %q", err, got)
		}
	}
	return string(got)
}

// 3.6: Expect: 100-continue is answered by the gateway and not forwarded.
func TestWire3_6_ExpectContinue(t *testing.T) {
	for _, unit := range []string{"header", "json"} { // streamed, in memory
		w := newWorld(t, credit(0, func(m *assign.RouteSpec) {
			m.Unit.From = []release.Selector{map[string]release.Selector{"header": "header:X-User-Id", "json": "json:id"}[unit]}
		}))
		var seen string
		w.upstream("live", func(_ http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			seen = string(b) + r.Header.Get("Expect")
		})
		conn := w.dial(t)
		fmt.Fprint(conn, "POST /credit HTTP/1.1\r\nHost: gateway\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n")
		readUntil(t, conn, "100 Continue\r\n\r\n")
		fmt.Fprint(conn, "{}")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != http.StatusOK || seen != "{}" {
			t.Errorf("%s: %v %v, the upstream saw %q", unit, resp, err, seen)
		}
		_ = conn.Close()
	}
}

// 3.6: the version's timeout bounds the whole answer: to its head, and to its end.
func TestWire3_6_Timeouts(t *testing.T) {
	for _, when := range []string{"head", "body"} {
		t.Run(when, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, credit(0, headerOnly, func(m *assign.RouteSpec) { m.Arms[0].Spec.Timeout = release.Duration(2 * time.Second) }))
				w.upstream("live", func(rw http.ResponseWriter, r *http.Request) {
					if when == "body" {
						_, _ = io.WriteString(rw, "half")
						_ = http.NewResponseController(rw).Flush()
					}
					<-r.Context().Done()
				})
				begun := time.Now()
				got := w.do("GET", "/credit", "", "X-User-Id", "u")
				if since := time.Since(begun); since != 2*time.Second {
					t.Errorf("answered after %v", since)
				}
				e := w.sink.wait(t, 1)[0]
				if e.Fault != release.FaultTimeout || !e.Failed() || e.Latency != 2_000_000 {
					t.Errorf("recorded %+v", e)
				}
				if when == "head" {
					if got.status != 504 || got.header.Get(HeaderError) != "upstream_timeout" || got.header.Get(HeaderID) == "" || e.Status != 504 {
						t.Errorf("got %+v, recorded %+v", got, e)
					}
				} else if got.status != 200 || got.body != "half" || got.err == nil || e.Flags != release.FlagTruncated || e.TTFB != 0 {
					t.Errorf("got %+v, recorded %+v", got, e)
				}
			})
		})
	}
}

// 3.6: a client that takes nothing is cut off; one that takes its time is not.
func TestWire3_6_SlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, credit(0, headerOnly, func(m *assign.RouteSpec) { m.Arms[0].Spec.Timeout = release.Duration(time.Hour) }))
		w.upstream("live", func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write(make([]byte, 4<<20)) })
		for _, c := range []struct {
			name string
			wait time.Duration
			flag uint16
		}{{"slow", 50 * time.Second, 0}, {"stopped", 61 * time.Second, release.FlagCancelled}} {
			before := len(w.sink.all)
			conn := w.dial(t)
			go fmt.Fprint(conn, "GET /credit HTTP/1.1\r\nHost: gateway\r\nX-User-Id: u\r\nConnection: close\r\n\r\n")
			buf := make([]byte, 512<<10)
			for {
				time.Sleep(c.wait)
				if _, err := io.ReadAtLeast(conn, buf, len(buf)); err != nil {
					break
				}
			}
			if e := w.sink.wait(t, before+1)[before]; e.Flags != c.flag {
				t.Errorf("%s: recorded %+v", c.name, e)
			}
			_ = conn.Close()
		}
	})
}

// A retry of a client is a new request of the same unit: the same arm, an exposure of its own.
func TestWire3_4_RetryKeepsTheArm(t *testing.T) {
	w := newWorld(t, credit(500_000, headerOnly))
	w.upstream("live", echo("v1"))
	w.upstream("candidate", echo("v2"))
	for range 8 {
		w.do("GET", "/credit", "", "X-User-Id", "u", "X-Stainless-Retry-Count", "1")
	}
	all := w.sink.wait(t, 8)
	ids := []uint64{}
	for _, e := range all {
		ids = append(ids, e.ID)
		if e.Arm != all[0].Arm {
			t.Fatal("the arm changed")
		}
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 8 {
		t.Error("exposure ids repeat")
	}
}

// Each header goes to the version once, whoever else has said something of the same name.
func TestHeadersGoOnce(t *testing.T) {
	r := &http.Request{RemoteAddr: "198.51.100.7:1", Host: "gateway", Header: http.Header{
		"Forwarded": {"for=evil"}, "X-Forwarded-For": {"203.0.113.9"}, "X-Forwarded-Host": {"evil"}, "X-Forwarded-Proto": {"https"},
		"Accept-Encoding": {"br"}, "X-Sluice-Hop": {"1"}, "X-A": {"a"}, "X-B": {"b"},
	}}
	v := &version{headers: http.Header{"X-A": {"version"}, "X-C": {"version"}, "X-Forwarded-Host": {"version"}}}
	for _, trust := range []bool{false, true} {
		want := http.Header{
			"X-Forwarded-For": {"198.51.100.7"}, "X-Forwarded-Host": {"version"}, "X-Forwarded-Proto": {"http"},
			"Accept-Encoding": {"identity"}, "X-Sluice-Hop": {"2"}, "X-A": {"version"}, "X-B": {"b"}, "X-C": {"version"},
		}
		if trust {
			want["Forwarded"], want["X-Forwarded-Proto"] = []string{"for=evil"}, []string{"https"}
			want["X-Forwarded-For"] = []string{"203.0.113.9, 198.51.100.7"}
		}
		var f fields
		var own values
		headerPolicy{trustForwarded: trust}.outgoing(&f, &own, r, v, 1, true)
		if got := f.header(); len(f) != len(want) || !maps.EqualFunc(got, want, slices.Equal) {
			t.Errorf("trusted %v: %d headers, %v, not %v", trust, len(f), got, want)
		}
	}
}

// What outlives an exchange shares no memory with it.
func TestCopiesOfHeaders(t *testing.T) {
	var own values
	f := fields{{Name: "X-A", Values: own.one("a")}}
	c, h := f.clone(), f.header()
	own.of[0], f[0].Name = "changed", "X-B"
	if c[0].Name != "X-A" || c[0].Values[0] != "a" || h["X-A"][0] != "a" {
		t.Errorf("the copies became %v and %v", c, h)
	}
}

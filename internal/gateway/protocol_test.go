package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
)

// h2c returns a client that speaks HTTP/2 without TLS.
func (w *world) h2c() *http.Client {
	t := newHTTP2(w.net.dial, nil)
	w.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t}
}

func speaks(p release.Protocol) func(*assign.RouteSpec) {
	return func(m *assign.RouteSpec) { m.Arms[0].Spec.Protocol = p }
}

// Every pair of HTTP/1.1 and HTTP/2 at the front and behind relays the same request and answer.
func TestProtocolsOfBothSides(t *testing.T) {
	for _, front := range []string{"h1", "h2c"} {
		for _, back := range []release.Protocol{release.ProtocolAuto, release.ProtocolH1, release.ProtocolH2C} {
			t.Run(front+" to "+string(back), func(t *testing.T) {
				w := newWorld(t, credit(0, headerOnly, speaks(back)))
				w.upstream("live", func(rw http.ResponseWriter, r *http.Request) {
					b, _ := io.ReadAll(r.Body)
					rw.Header().Set("X-Proto", r.Proto)
					rw.Header().Set("Trailer", "X-Sum")
					fmt.Fprintf(rw, "%s %s %s %s %d", r.Method, r.RequestURI, r.Host, r.Header.Get("X-User-Id"), len(b))
					rw.Header().Set("X-Sum", "42")
				})
				client := w.client
				if front == "h2c" {
					client = w.h2c()
				}
				for _, size := range []int{0, 10, smallBody + 1, 2 << 20} {
					r := w.request("POST", "/credit?x=1", strings.Repeat("x", size), "X-User-Id", "u")
					resp, err := client.Do(r)
					if err != nil {
						t.Fatal(err)
					}
					b, err := io.ReadAll(resp.Body)
					_ = resp.Body.Close()
					if want := fmt.Sprintf("POST /credit?x=1 live u %d", size); err != nil || string(b) != want {
						t.Fatalf("%q, %v; want %q", b, err, want)
					}
					wantProto := map[bool]string{true: "HTTP/2.0", false: "HTTP/1.1"}[back == release.ProtocolH2C]
					if resp.Header.Get("X-Proto") != wantProto || resp.Trailer.Get("X-Sum") != "42" || resp.Header.Get(HeaderID) == "" {
						t.Errorf("%v, trailer %v", resp.Header, resp.Trailer)
					}
				}
				for _, e := range w.sink.wait(t, 4) {
					if e.Fault != release.FaultNone || e.Flags != 0 {
						t.Errorf("recorded %+v", e)
					}
				}
			})
		}
	}
}

func TestTLSOnBothSides(t *testing.T) {
	for _, back := range []release.Protocol{release.ProtocolAuto, release.ProtocolH2} {
		up := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprint(rw, r.Proto, len(b))
		}))
		up.EnableHTTP2 = true
		up.StartTLS()
		t.Cleanup(up.Close)
		w := newWorld(t, credit(0, headerOnly, speaks(back), func(m *assign.RouteSpec) { m.Arms[0].Spec.URL = up.URL }), func(o *Options) {
			o.Dial, o.TLS = nil, &tls.Config{RootCAs: up.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com"}
		})
		front := httptest.NewUnstartedServer(w.gateway)
		Speak(front.Config)
		front.EnableHTTP2 = true
		front.StartTLS()
		t.Cleanup(front.Close)
		for range 3 {
			r := w.request("POST", "/credit", strings.Repeat("x", 100_000), "X-User-Id", "u")
			r.URL.Scheme, r.URL.Host = "https", strings.TrimPrefix(front.URL, "https://")
			resp, err := front.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			want := map[release.Protocol]string{release.ProtocolAuto: "HTTP/1.1100000", release.ProtocolH2: "HTTP/2.0100000"}[back]
			if resp.Proto != "HTTP/2.0" || string(b) != want {
				t.Errorf("%s: %s %q", back, resp.Proto, b)
			}
		}
	}
}

// grpcFrame is one message of gRPC on the wire.
func grpcFrame(s string) string {
	var head [5]byte
	binary.BigEndian.PutUint32(head[1:], uint32(len(s)))
	return string(head[:]) + s
}

func readFrame(r io.Reader) (string, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return "", err
	}
	b := make([]byte, binary.BigEndian.Uint32(head[1:]))
	_, err := io.ReadFull(r, b)
	return string(b), err
}

// grpcEcho answers each message with itself, and ends with the status of the last one if that is a number.
func grpcEcho(rw http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 2 || r.Header.Get("Te") != "trailers" {
		rw.WriteHeader(http.StatusInternalServerError)
		return
	}
	rw.Header().Set("Content-Type", "application/grpc")
	if code := r.Header.Get("X-Only"); code != "" { // nothing but trailers
		rw.Header().Set("Grpc-Status", code)
		return
	}
	rw.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(rw)
	_ = flush.Flush()
	code := "0"
	for {
		m, err := readFrame(r.Body)
		if err != nil {
			break
		}
		if strings.HasPrefix(m, "code ") {
			code = m[5:]
			continue
		}
		_, _ = io.WriteString(rw, grpcFrame("echo "+m))
		_ = flush.Flush()
	}
	if code != "none" {
		rw.Header().Set(http.TrailerPrefix+"Grpc-Status", code)
		rw.Header().Set(http.TrailerPrefix+"Grpc-Message", "so")
	}
}

func (w *world) grpc(t *testing.T, body io.Reader, headers ...string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://gateway/credit", body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	r.Header.Set("Content-Type", "application/grpc+proto")
	r.Header.Set("Te", "trailers")
	r.Header.Set("X-User-Id", "u")
	resp, err := w.h2c().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// Calls of gRPC are relayed message by message in both directions, with the exposure id in the initial
// metadata, and their status says whose fault it was.
func TestGRPC(t *testing.T) {
	for _, c := range []struct {
		name, code string
		fault      release.Fault
		status     uint16
		flags      uint16
	}{
		{"well", "0", release.FaultNone, 200, 0},
		{"the client's", "3", release.FaultClient, 400, 0},
		{"the server's", "14", release.FaultUpstream, 503, 0},
		{"too late", "4", release.FaultTimeout, 504, 0},
		{"no status", "none", release.FaultUpstream, 500, release.FlagTruncated},
		{"unknown status", "99", release.FaultUpstream, 500, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, credit(0, headerOnly))
			w.upstream("live", grpcEcho)
			in, out := io.Pipe()
			resp := w.grpc(t, in) // the answer's head comes before a message was sent
			if resp.StatusCode != http.StatusOK || resp.Header.Get(HeaderID) == "" {
				t.Fatalf("%+v", resp)
			}
			for i := range 3 {
				m := fmt.Sprint("message ", i)
				_, _ = io.WriteString(out, grpcFrame(m))
				if got, err := readFrame(resp.Body); err != nil || got != "echo "+m {
					t.Fatalf("%q, %v", got, err)
				}
			}
			_, _ = io.WriteString(out, grpcFrame("code "+c.code))
			_ = out.Close()
			if _, err := readFrame(resp.Body); !errors.Is(err, io.EOF) {
				t.Errorf("%v", err)
			}
			if got := resp.Trailer.Get("Grpc-Status"); got != strings.TrimPrefix(c.code, "none") {
				t.Errorf("status %q", got)
			}
			if e := w.sink.wait(t, 1)[0]; e.Fault != c.fault || e.Status != c.status || e.Flags != c.flags {
				t.Errorf("recorded %+v", e)
			}
		})
	}
	t.Run("trailers only", func(t *testing.T) {
		w := newWorld(t, credit(0, headerOnly))
		w.upstream("live", grpcEcho)
		resp := w.grpc(t, strings.NewReader(grpcFrame("m")), "X-Only", "5")
		if b, _ := io.ReadAll(resp.Body); len(b) != 0 || resp.Header.Get("Grpc-Status") != "5" || len(resp.Trailer) != 0 {
			t.Errorf("%+v", resp)
		}
		if e := w.sink.wait(t, 1)[0]; e.Fault != release.FaultClient || e.Status != 404 {
			t.Errorf("recorded %+v", e)
		}
	})
	t.Run("the gateway's own errors", func(t *testing.T) {
		w := newWorld(t, credit(0, headerOnly)) // nobody listens
		resp := w.grpc(t, strings.NewReader(grpcFrame("m")))
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Grpc-Status") != "14" || resp.Header.Get(HeaderError) != "upstream_unreachable" || resp.Header.Get("Grpc-Message") == "" {
			t.Errorf("%+v", resp)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		w := newWorld(t, credit(0, headerOnly))
		over := make(chan struct{})
		w.upstream("live", func(rw http.ResponseWriter, r *http.Request) {
			rw.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(rw).Flush()
			<-r.Context().Done()
			close(over)
		})
		in, out := io.Pipe()
		defer func() { _ = out.Close() }()
		resp := w.grpc(t, in)
		_ = resp.Body.Close()
		<-over
		if e := w.sink.wait(t, 1)[0]; e.Flags != release.FlagCancelled || e.Failed() {
			t.Errorf("recorded %+v", e)
		}
	})
}

// 3.6: time limits of an answer's parts, by either protocol.
func TestWire3_6_PartsOfTimeouts(t *testing.T) {
	for _, p := range []release.Protocol{release.ProtocolH1, release.ProtocolH2C} {
		for _, c := range []struct {
			name   string
			limits release.Timeouts
			after  time.Duration
			status int
			body   string
		}{
			{"headers", release.Timeouts{Headers: release.Duration(2 * time.Second)}, 2 * time.Second, 504, ""},
			{"first token, before the head", release.Timeouts{FirstToken: release.Duration(3 * time.Second)}, 3 * time.Second, 504, ""},
			{"first token, after the head", release.Timeouts{FirstToken: release.Duration(7 * time.Second)}, 7 * time.Second, 200, ""},
			{"between", release.Timeouts{Between: release.Duration(4 * time.Second), FirstToken: release.Duration(11 * time.Second)}, 14 * time.Second, 200, "data: a\n\n"},
			{"total", release.Timeouts{Between: release.Duration(9 * time.Second)}, 20 * time.Second, 200, "data: a\n\ndata: b\n\n"},
		} {
			t.Run(string(p)+" "+c.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, credit(0, headerOnly, speaks(p), func(m *assign.RouteSpec) {
						m.Arms[0].Spec.Timeout, m.Arms[0].Spec.Timeouts = release.Duration(20*time.Second), c.limits
					}))
					w.upstream("live", func(rw http.ResponseWriter, r *http.Request) {
						rw.Header().Set("Content-Type", "text/event-stream")
						for _, step := range []string{"", "data: a\n\n", "data: b\n\n", "data: c\n\n"} {
							select { // head after 5 s, an event after 10 s, one 8 s later, one another 8 s later
							case <-time.After(map[string]time.Duration{"": 5 * time.Second, "data: a\n\n": 5 * time.Second}[step] + map[bool]time.Duration{true: 8 * time.Second}[step > "data: a\n\n"]):
							case <-r.Context().Done():
								return
							}
							_, _ = io.WriteString(rw, step)
							_ = http.NewResponseController(rw).Flush()
						}
					})
					begun := time.Now()
					got := w.do("GET", "/credit", "", "X-User-Id", "u")
					if since := time.Since(begun); since != c.after || got.status != c.status || c.status == 200 && (got.body != c.body || got.err == nil) {
						t.Errorf("after %v: %+v", since, got)
					}
					e := w.sink.wait(t, 1)[0]
					if e.Fault != release.FaultTimeout || !e.Failed() || (e.Flags == release.FlagTruncated) != (c.status == 200) {
						t.Errorf("recorded %+v", e)
					}
				})
			})
		}
	}
}

// 3.5: information on the way to the answer reaches the client.
func TestWire3_5_Information(t *testing.T) {
	w := newWorld(t, credit(0))
	w.upstream("live", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Link", "</style.css>")
		rw.Header().Set("X-Sluice-Id", "forged")
		rw.WriteHeader(http.StatusEarlyHints)
		rw.Header().Del("Link")
		_, _ = io.WriteString(rw, "ok")
	})
	conn := w.dial(t)
	defer func() { _ = conn.Close() }()
	fmt.Fprint(conn, "GET /credit HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n")
	b, _ := io.ReadAll(conn)
	head, rest, _ := strings.Cut(string(b), "\r\n\r\n")
	if !strings.HasPrefix(head, "HTTP/1.1 103 Early Hints\r\n") || !strings.Contains(head, "Link: </style.css>") || strings.Contains(head, "forged") {
		t.Errorf("first %q", head)
	}
	if !strings.HasPrefix(rest, "HTTP/1.1 200 OK\r\n") || strings.Contains(rest, "style.css") || !strings.HasSuffix(rest, "ok") {
		t.Errorf("then %q", rest)
	}
}

// switching is an upstream that echoes what it gets after it has switched.
func switching(protocol string) func(net.Conn, *bufio.Reader) {
	return func(c net.Conn, r *bufio.Reader) {
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\nhello ", protocol)
		_, _ = io.Copy(c, r)
	}
}

const upgradeRequest = "GET /credit HTTP/1.1\r\nHost: gateway\r\nX-User-Id: u\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n"

// A connection that switches protocols is the unit's arm's, relayed both ways, and recorded when it begins.
func TestUpgradeIsRelayed(t *testing.T) {
	w := newWorld(t, credit(release.Whole))
	w.rawUpstream("candidate", switching("WebSocket"))
	conn := w.dial(t)
	fmt.Fprint(conn, upgradeRequest)
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols || resp.Header.Get("Upgrade") != "websocket" || resp.Header.Get("Connection") != "Upgrade" ||
		resp.Header.Get("Sec-WebSocket-Accept") != "x" || resp.Header.Get(HeaderID) == "" {
		t.Fatalf("%+v, %v", resp, err)
	}
	if e := w.sink.wait(t, 1)[0]; e.Arm != 1 || e.Status != 101 || e.Fault != release.FaultNone {
		t.Errorf("recorded %+v", e)
	}
	fmt.Fprint(conn, "world")
	got := make([]byte, 11)
	if _, err := io.ReadFull(r, got); err != nil || string(got) != "hello world" {
		t.Errorf("%q, %v", got, err)
	}
	if used := w.gateway.planned.Load().models[0].arms[1].version.gate.used.Load(); used != 1 {
		t.Errorf("%d requests under way", used)
	}
	_ = conn.Close()
}

func TestUpgradesThatAreNone(t *testing.T) {
	for _, c := range []struct {
		name, request string
		upstream      func(net.Conn, *bufio.Reader)
		status        int
	}{
		{"another protocol than asked for", upgradeRequest, switching("other"), 502},
		{"refused", upgradeRequest, func(c net.Conn, _ *bufio.Reader) {
			_, _ = io.WriteString(c, "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n")
		}, 426},
		{"h2c is not passed on", strings.Replace(upgradeRequest, "websocket", "h2c", 1), switching("h2c"), 502},
		{"not named by Connection", strings.Replace(upgradeRequest, "keep-alive, Upgrade", "keep-alive", 1), switching("websocket"), 502},
	} {
		w := newWorld(t, credit(0))
		w.rawUpstream("live", c.upstream)
		conn := w.dial(t)
		fmt.Fprint(conn, c.request)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != c.status {
			t.Errorf("%s: %+v, %v", c.name, resp, err)
		}
		_ = conn.Close()
	}
}

// Silence longer than timeouts.between ends a switched connection, and so does the gateway's end; a word
// of either side keeps it.
func TestUpgradedConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, credit(0, func(m *assign.RouteSpec) {
			m.Arms[0].Spec.Timeouts.Between = release.Duration(10 * time.Second)
			m.Arms[0].Spec.Timeout = release.Duration(15 * time.Second) // of the head only
		}))
		w.rawUpstream("live", switching("websocket"))
		open := func() net.Conn {
			conn := w.dial(t)
			fmt.Fprint(conn, upgradeRequest)
			readUntil(t, conn, "hello ")
			return conn
		}
		conn := open()
		for range 4 {
			time.Sleep(9 * time.Second)
			fmt.Fprint(conn, "x")
			readUntil(t, conn, "x")
		}
		begun := time.Now()
		_, _ = io.Copy(io.Discard, conn)
		if since := time.Since(begun); since != 10*time.Second {
			t.Errorf("ended after %v", since)
		}
		conn = open()
		go func() { _ = w.gateway.Close(context.Background()) }()
		_, _ = io.Copy(io.Discard, conn)
	})
}

// A version that serves as many as it may lets others wait for a while, in their order, and sheds the rest.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, credit(0, headerOnly, func(m *assign.RouteSpec) {
			m.Arms[0].Spec.MaxConcurrent = 1
			m.Arms[0].Spec.Queue = release.Queue{Length: 2, Wait: release.Duration(3 * time.Second)}
		}))
		w.upstream("live", func(rw http.ResponseWriter, r *http.Request) {
			time.Sleep(2 * time.Second)
			_, _ = io.WriteString(rw, r.Header.Get("X-User-Id"))
		})
		type end struct {
			reply
			after time.Duration
		}
		ends := make([]chan end, 4)
		begun := time.Now()
		for i := range ends {
			ends[i] = make(chan end, 1)
			go func() {
				got, err := w.send(w.request("GET", "/credit", "", "X-User-Id", fmt.Sprint(i)))
				if err != nil {
					t.Error(err)
				}
				ends[i] <- end{got, time.Since(begun)}
			}()
			synctest.Wait()
		}
		for i, want := range []struct {
			status int
			after  time.Duration
		}{{200, 2 * time.Second}, {200, 4 * time.Second}, {429, 3 * time.Second}, {429, 0}} {
			got := <-ends[i]
			if got.status != want.status || got.after != want.after {
				t.Errorf("request %d: %d after %v, want %d after %v", i, got.status, got.after, want.status, want.after)
			}
			if got.status == 429 && (got.header.Get("Retry-After") == "" || got.header.Get(HeaderError) != "overloaded") {
				t.Errorf("%v", got.header)
			}
		}
		synctest.Wait() // a client has its answer before its slot is given back
		g := w.gateway.planned.Load().models[0].arms[0].version.gate
		if g.used.Load() != 0 || len(g.queue) != 0 || g.waiting.Load() != 0 {
			t.Errorf("left behind: %d, %d", g.used.Load(), len(g.queue))
		}
	})
}

// The exposure of a request that waited in the queue says so by its latency: the wait is the version's.
func TestQueueingIsLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, credit(0, headerOnly, func(m *assign.RouteSpec) {
			m.Arms[0].Spec.MaxConcurrent, m.Arms[0].Spec.Queue = 1, release.Queue{Length: 1, Wait: release.Duration(time.Minute)}
		}))
		w.upstream("live", func(http.ResponseWriter, *http.Request) { time.Sleep(time.Second) })
		go func() { _, _ = w.send(w.request("GET", "/credit", "", "X-User-Id", "a")) }()
		synctest.Wait()
		w.do("GET", "/credit", "", "X-User-Id", "b")
		if all := w.sink.wait(t, 2); all[1].Latency != 2_000_000 {
			t.Errorf("recorded %+v", all[1])
		}
	})
}

// A candidate that fails its health check is left alone, and served again when it is well.
func TestHealthCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		spec := credit(release.Whole, func(m *assign.RouteSpec) {
			m.Arms[1].Spec.Health = release.HealthCheck{
				Path: "/healthz?deep=1", Interval: release.Duration(5 * time.Second), Timeout: release.Duration(time.Second), Unhealthy: 3, Healthy: 2,
			}
			m.Arms[1].Spec.Headers = map[string]release.Secret{"Authorization": "Bearer s"}
		})
		w := newWorld(t, spec)
		w.upstream("live", echo("v1"))
		var well atomic.Bool
		well.Store(true)
		w.upstream("candidate", func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/healthz" {
				echo("v2")(rw, r)
				return
			}
			if r.URL.RawQuery != "deep=1" || r.Header.Get("Authorization") != "Bearer s" {
				t.Errorf("asked for %s with %v", r.URL, r.Header)
			}
			if !well.Load() {
				<-r.Context().Done() // it hangs
			}
		})
		n := 0
		ask := func(want string, flags uint16) {
			t.Helper()
			n++
			if got := w.do("GET", "/credit", "", "X-User-Id", "u"); !strings.Contains(got.body, want) {
				t.Errorf("%s", got.body)
			}
			if e := w.sink.wait(t, n)[n-1]; e.Flags != flags || e.Arm != 1 || e.Failed() {
				t.Errorf("recorded %+v", e)
			}
		}
		ask("v2", 0)
		time.Sleep(time.Minute)
		ask("v2", 0)
		well.Store(false)
		time.Sleep(12 * time.Second) // two failures
		ask("v2", 0)
		time.Sleep(8 * time.Second)
		ask("v1", release.FlagBreaker)
		if h := w.gateway.Health(); len(h.Unhealthy) != 1 || h.Unhealthy[0] != "credit/v2" || h.Status != "degraded" {
			t.Errorf("%+v", h)
		}
		spec.Generation++ // new routes keep what is known
		w.serve(spec)
		ask("v1", release.FlagBreaker)
		well.Store(true)
		time.Sleep(12 * time.Second)
		ask("v2", 0)
		spec.Models[0].Arms[1].Spec.Health = release.HealthCheck{}
		w.serve(spec)
		ask("v2", 0)
		if len(w.gateway.checks.running) != 0 {
			t.Error("the check runs on")
		}
	})
}

// A hedge asks again when no answer has begun; the first answer counts, once.
func TestHedge(t *testing.T) {
	for _, c := range []struct {
		name, method string
		any          bool
		slow         time.Duration
		asked        int32
		by           string
		after        time.Duration
	}{
		{"the first is quick", "GET", false, 0, 1, "1", 0},
		{"the second is quicker", "GET", false, 10 * time.Second, 2, "2", time.Second},
		{"the first is a little late", "PUT", false, 1500 * time.Millisecond, 2, "2", time.Second},
		{"POST is not repeated", "POST", false, 10 * time.Second, 1, "1", 10 * time.Second},
		{"POST if asked for", "POST", true, 10 * time.Second, 2, "2", time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, credit(0, headerOnly, func(m *assign.RouteSpec) {
					m.Arms[0].Spec.Hedge = release.Hedge{After: release.Duration(time.Second), Any: c.any}
				}))
				gone := make(chan struct{}, 1)
				var asked atomic.Int32
				w.upstream("live", func(rw http.ResponseWriter, r *http.Request) {
					n := asked.Add(1)
					b, _ := io.ReadAll(r.Body)
					if n == 1 {
						select {
						case <-time.After(c.slow):
						case <-r.Context().Done():
							gone <- struct{}{}
							return
						}
					}
					fmt.Fprintf(rw, "%d %s", n, b)
				})
				body := map[bool]string{true: "", false: "body"}[c.method == "GET"]
				begun := time.Now()
				got := w.do(c.method, "/credit", body, "X-User-Id", "u")
				if got.body != c.by+" "+body || time.Since(begun) != c.after || asked.Load() != c.asked {
					t.Errorf("%q after %v, asked %d times", got.body, time.Since(begun), asked.Load())
				}
				if c.asked == 2 {
					<-gone // the other was cancelled
				}
				synctest.Wait()
				all := w.sink.wait(t, 1)
				if len(all) != 1 || all[0].Latency != uint32(c.after.Microseconds()) || all[0].Failed() {
					t.Errorf("recorded %+v", all)
				}
				if held := w.gateway.memory.used.Load(); held != 0 {
					t.Errorf("%d bytes are held", held)
				}
			})
		})
	}
}

// A listener with a bound lets further clients in when others leave.
func TestBoundListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), slog.New(slog.DiscardHandler))
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(Bound(l, 1)) }()
	ask := func() (net.Conn, chan error) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		answered := make(chan error, 1)
		go func() {
			_, err := http.ReadResponse(bufio.NewReader(c), nil)
			answered <- err
		}()
		return c, answered
	}
	first, answered := ask()
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	second, waiting := ask()
	select {
	case <-waiting:
		t.Error("a second connection was served beside the first")
	default:
	}
	_ = first.Close()
	if err := <-waiting; err != nil {
		t.Fatal(err)
	}
	_ = second.Close()
	_ = s.Close()
	<-done
}

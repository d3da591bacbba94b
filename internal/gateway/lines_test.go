package gateway

import (
	"bufio"
	"io"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/upstream"
)

// looked is a model that reads a header of its answers, so that they are made a map.
func looked(m *assign.RouteSpec) {
	m.Signals = []release.Signal{{From: release.FromAnswer, Selector: "header:X-Nothing"}}
}

// toldAs returns the head of an answer as a client gets it and its body, without what differs from answer to answer.
func toldAs(t *testing.T, method, answer string, spec *assign.Spec) (lines []string, body string) {
	t.Helper()
	w := newWorld(t, spec)
	w.rawUpstream("live", func(c net.Conn, _ *bufio.Reader) { _, _ = io.WriteString(c, answer) })
	conn := w.dial(t)
	go func() {
		_, _ = io.WriteString(conn, method+" /credit HTTP/1.1\r\nHost: gateway\r\nX-User-Id: u\r\nConnection: close\r\n\r\n")
	}()
	all, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(string(all), "\r\n\r\n")
	stamped := false
	for line := range strings.SplitSeq(head, "\r\n") {
		switch name, value, _ := strings.Cut(line, ": "); {
		case name == HeaderID:
			if stamped || value == "forged" {
				t.Errorf("%q came as %q", answer, all)
			}
			stamped = true
		case name == "Date" && !strings.Contains(answer, value):
			lines = append(lines, "Date")
		default:
			lines = append(lines, line)
		}
	}
	if !stamped {
		t.Errorf("%q came without an exposure id: %q", answer, all)
	}
	return lines, body
}

// 3.4: an answer is the same to the client whether its headers are looked at or passed on as they come, and then in that order.
func TestWire3_4_HeadersAsTheyCome(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, c := range map[string]struct {
		method, answer string
		order          []string // of headers; nil: not looked at
	}{
		"plain":             {"GET", ok + "Zeta: 1\r\nContent-Type: text/plain\r\nAlpha: 2\r\nContent-Length: 2\r\nMid: 3\r\n\r\nhi", []string{"Zeta: 1", "Content-Type: text/plain", "Alpha: 2", "Mid: 3"}},
		"spelled anew":      {"GET", ok + "zETA-x: 1\r\ncontent-type: text/plain\r\nCONTENT-LENGTH: 2\r\nalpha: 2\r\n\r\nhi", []string{"Zeta-X: 1", "Content-Type: text/plain", "Alpha: 2"}},
		"several of one":    {"GET", ok + "Set-Cookie: a=1\r\nX: y\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nhi", []string{"Set-Cookie: a=1", "Set-Cookie: b=2"}},
		"blanks":            {"GET", ok + "A:\t x y \t\r\nB:\r\nContent-Length: 2\r\n\r\nhi", []string{"A: x y", "B: "}},
		"no type":           {"GET", ok + "Content-Length: 6\r\n\r\n<html>", nil},
		"a type of nothing": {"GET", ok + "Content-Type:\r\nContent-Length: 6\r\n\r\n<html>", nil},
		"compressed":        {"GET", ok + "Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b..", nil},
		"dated":             {"GET", ok + "Date: Sat, 28 Nov 2026 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nhi", []string{"Date: Sat, 28 Nov 2026 00:00:00 GMT"}},
		"hop by hop":        {"GET", ok + "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nTe: x\r\nProxy-Authenticate: Basic\r\nProxy-Connection: x\r\nX: y\r\nContent-Length: 2\r\n\r\nhi", []string{"X: y"}},
		"closing":           {"GET", ok + "Connection: close\r\nX: y\r\nContent-Length: 2\r\n\r\nhi", []string{"X: y"}},
		"the gateway's own": {"GET", ok + "X-Sluice-Id: forged\r\nx-sluice-version: forged\r\nX: y\r\nContent-Length: 2\r\n\r\nhi", []string{"X: y"}},
		"chunks":            {"GET", ok + "Transfer-Encoding: chunked\r\nX: y\r\n\r\n2\r\nhi\r\n0\r\n\r\n", []string{"X: y"}},
		"trailers":          {"GET", ok + "Transfer-Encoding: chunked\r\nX: y\r\n\r\n2\r\nhi\r\n0\r\nT: u\r\n\r\n", nil},
		"told trailers":     {"GET", ok + "Transfer-Encoding: chunked\r\nTrailer: T\r\nT: early\r\n\r\n2\r\nhi\r\n0\r\nT: u\r\n\r\n", nil},
		"events":            {"GET", ok + "Content-Type: text/event-stream; charset=utf-8\r\nX: y\r\nCache-Control: max-age=5\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n0\r\n\r\n", nil},
		"counted events":    {"GET", ok + "Content-Type: text/event-stream\r\nContent-Length: 9\r\n\r\ndata: a\n\n", nil},
		"HEAD":              {"HEAD", ok + "Content-Length: 2000\r\nContent-Type: text/plain\r\n\r\n", []string{"Content-Type: text/plain", "Content-Length: 2000"}},
		"204":               {"GET", "HTTP/1.1 204 No Content\r\nX: y\r\nContent-Type: text/plain\r\n\r\n", []string{"X: y"}},
		"304":               {"GET", "HTTP/1.1 304 Not Modified\r\nEtag: e\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\n", []string{"Etag: e"}},
		"a fault":           {"GET", "HTTP/1.1 500 Oops\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\nno", []string{"Retry-After: 3"}},
		"half":              {"GET", ok + "X: y\r\nContent-Length: 9\r\n\r\nhalf", []string{"X: y"}},
		"unusual":           {"GET", ok + "Connection: X-Secret\r\nX-Secret: s\r\nX: y\r\nContent-Length: 2\r\n\r\nhi", nil},
	} {
		t.Run(name, func(t *testing.T) {
			lines, body := toldAs(t, c.method, c.answer, credit(0, headerOnly))
			want, wantBody := toldAs(t, c.method, c.answer, credit(0, headerOnly, looked))
			at := -1
			for _, line := range c.order {
				i := slices.Index(lines, line)
				if i <= at {
					t.Errorf("%q is line %d, the one before it %d, of %q", line, i, at, lines)
				}
				at = i
			}
			slices.Sort(lines)
			slices.Sort(want)
			if !slices.Equal(lines, want) || body != wantBody {
				t.Errorf("as they come  %q %q\nlooked at     %q %q", lines, body, want, wantBody)
			}
		})
	}
}

// Answers of the same exchange, one after the other, keep nothing of each other's headers.
func TestHeadersOfOthers(t *testing.T) {
	w := newWorld(t, credit(0, headerOnly))
	answers := make(chan string, 3)
	w.rawUpstream("live", func(c net.Conn, _ *bufio.Reader) { _, _ = io.WriteString(c, <-answers) })
	for _, a := range []string{"First: 1\r\nX: a\r\n", "", "X: b\r\n"} {
		answers <- "HTTP/1.1 200 OK\r\n" + a + "Content-Length: 2\r\nConnection: close\r\n\r\nhi"
		got := w.do("GET", "/credit", "", "X-User-Id", "u")
		if want := strings.Contains(a, "First"); (got.header.Get("First") != "") != want || strings.Contains(a, "X: "+got.header.Get("X")) != strings.Contains(a, "X") {
			t.Errorf("%q came as %v", a, got.header)
		}
	}
}

// Who was given the request beside its exchange may still hold it when the next one comes on the same connection.
func TestAlone(t *testing.T) {
	for name, c := range map[string]struct {
		spec         *assign.Spec
		method, body string
		alone        bool
	}{
		"a request":         {credit(0, headerOnly), "POST", "{}", true},
		"a mirrored one":    {credit(0, headerOnly, shadowed(release.Whole)), "POST", "{}", false},
		"a hedged one":      {credit(0, headerOnly, func(m *assign.RouteSpec) { m.Arms[0].Spec.Hedge = release.Hedge{After: release.Duration(time.Minute)} }), "GET", "", false},
		"one by net/http":   {credit(0, headerOnly, func(m *assign.RouteSpec) { m.Arms[0].Spec.Protocol = release.ProtocolH2C }), "POST", "{}", false},
		"a streamed body":   {credit(0, headerOnly), "POST", strings.Repeat("x", smallBody+1), false},
		"a switched one":    {credit(0, headerOnly), "GET", "", false},
		"the gateway's own": {credit(0, headerOnly), "GET", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.spec)
			w.upstream("live", echo("v1"))
			w.upstream("candidate", echo("v2"))
			path := "/credit"
			if strings.Contains(name, "own") {
				path = "/-/sluice/healthz"
			}
			for dialed := range 2 { // the first request dials, and who dials may hold its context
				r := httptest.NewRequest(c.method, path, strings.NewReader(c.body))
				r.Header.Set("X-User-Id", "u")
				if strings.Contains(name, "switched") {
					r.Header.Set("Connection", "Upgrade")
					r.Header.Set("Upgrade", "echo")
				}
				out := &releasing{ResponseRecorder: httptest.NewRecorder()}
				w.gateway.ServeHTTP(out, r)
				if out.Code != 200 || out.released != (c.alone && dialed == 1) {
					t.Errorf("request %d: status %d, released %v", dialed, out.Code, out.released)
				}
			}
		})
	}
}

type releasing struct {
	*httptest.ResponseRecorder
	released bool
}

func (r *releasing) Release() { r.released = true }

func (r *releasing) Lines(lines []upstream.Line) {
	for _, l := range lines {
		r.Header().Add(l.Name, l.Value)
	}
}

package gateway

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
)

// mirrorer answers by what it was asked: the token of the request's header and that of its body, in pieces or whole, now or later.
func mirrorer(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	q := r.URL.Query()
	if d, _ := time.ParseDuration(q.Get("after")); d > 0 {
		time.Sleep(d)
	}
	token := r.Header.Get("X-User-Id")
	text := token + " " + strings.TrimRight(string(body), " ")
	rw.Header()["X-Echo"] = []string{token, token}
	if q.Get("as") != "" {
		rw.Header().Set("X-"+q.Get("as"), token) // a header that others don't have
	}
	if q.Get("as") == "whole" {
		rw.Header().Set("Content-Length", fmt.Sprint(len(text)))
	}
	rw.WriteHeader(http.StatusOK)
	for i := range text {
		if q.Get("as") == "pieces" && i%9 == 8 {
			_ = http.NewResponseController(rw).Flush()
		}
		_, _ = io.WriteString(rw, text[i:i+1])
	}
}

// asker is a client with one connection after the other.
type asker struct {
	t     *testing.T
	to    string
	n     *atomic.Int64
	conn  net.Conn
	r     *bufio.Reader
	whole int
}

// request makes a request that nobody else makes, and the answer that belongs to it.
func (a *asker) request() (text, token, kind string) {
	token = fmt.Sprintf("u%d", a.n.Add(1))
	path := []string{"/credit", "/shadow", "/hedged"}[rand.N(3)]
	kind = []string{"whole", "pieces", ""}[rand.N(3)]
	body := "b" + token
	if rand.N(20) == 0 {
		body += strings.Repeat(" ", smallBody) // it streams
	}
	return fmt.Sprintf("POST %s?as=%s&after=%v HTTP/1.1\r\nHost: gateway\r\nX-User-Id: %s\r\nX-%d: %s\r\nContent-Length: %d\r\n\r\n%s",
		path, kind, time.Duration(rand.N(15))*time.Millisecond, token, rand.N(9), token, len(body), body), token, kind
}

func (a *asker) gets(token, kind string) error {
	resp, err := http.ReadResponse(a.r, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	h := resp.Header
	if want := token + " b" + token; string(body) != want || resp.StatusCode != http.StatusOK || len(h["X-Echo"]) != 2 || h.Get("X-Echo") != token {
		a.t.Errorf("%s got %d, %v, %q", token, resp.StatusCode, h, body)
	}
	for _, other := range []string{"whole", "pieces"} {
		if got := h.Get("X-" + other); (got == token) != (other == kind) || got != "" && got != token {
			a.t.Errorf("%s, %s: %v", token, kind, h)
		}
	}
	a.whole++
	return nil
}

// turn asks in one of the ways in which clients do.
func (a *asker) turn() error {
	if a.conn == nil {
		c, err := net.Dial("tcp", a.to)
		if err != nil {
			return err
		}
		a.conn, a.r = c, bufio.NewReader(c)
	}
	text, token, kind := a.request()
	next, token2, kind2 := a.request()
	switch rand.N(12) {
	case 0: // two at once
		if _, err := io.WriteString(a.conn, text+next); err != nil {
			return err
		}
		if err := a.gets(token, kind); err != nil {
			return err
		}
		return a.gets(token2, kind2)
	case 1: // leaves
		_, _ = io.WriteString(a.conn, text)
		time.Sleep(rand.N(12 * time.Millisecond))
		a.leave()
		return nil
	case 2: // ends its side: that is taken for leaving, some time later
		_, _ = io.WriteString(a.conn, text)
		_ = a.conn.(*net.TCPConn).CloseWrite()
		_ = a.gets(token, kind)
		a.leave()
		return nil
	case 3: // in pieces
		for _, part := range []string{text[:40], text[40:]} {
			if _, err := io.WriteString(a.conn, part); err != nil {
				return err
			}
			time.Sleep(rand.N(2 * time.Millisecond))
		}
		return a.gets(token, kind)
	}
	if _, err := io.WriteString(a.conn, text); err != nil {
		return err
	}
	return a.gets(token, kind)
}

func (a *asker) leave() {
	if a.conn != nil {
		_ = a.conn.Close()
		a.conn = nil
	}
}

// Requests, answers and contexts lie in memory that serves again: nobody gets anything of another's, whatever clients do, and nothing
// is left when they are gone. SLUICE_LONG=1 lets it run for a minute; most of its worth is under -race.
func TestNobodyGetsAnothersAnswer(t *testing.T) {
	last := time.Second
	if long(t) {
		last = time.Minute
	}
	spec := credit(500_000, headerOnly)
	of := func(name string, change ...func(*assign.RouteSpec)) {
		m := credit(500_000, append(change, headerOnly)...).Models[0]
		m.Model, m.Match = name, release.Match{Path: "/" + name}
		spec.Models = append(spec.Models, m)
	}
	of("shadow", shadowed(release.Whole))
	of("hedged", func(m *assign.RouteSpec) {
		m.Arms[0].Spec.Hedge = release.Hedge{After: release.Duration(5 * time.Millisecond), Any: true}
	})
	n := &network{hosts: map[string]*listener{}, sockets: map[string]string{}}
	w := newWorldOn(t, n, spec, func(o *Options) { o.Sink = &ring{buf: make([]release.Exposure, 64)} })
	w.upstream("live", mirrorer)
	w.upstream("candidate", mirrorer)
	var count, whole atomic.Int64
	ask := func(clients int, last time.Duration) {
		var group sync.WaitGroup
		for range clients {
			group.Go(func() {
				a := &asker{t: t, to: n.sockets["gateway"], n: &count}
				for end := time.Now().Add(last); time.Now().Before(end) && !t.Failed(); {
					if err := a.turn(); err != nil {
						t.Errorf("after %d answers: %v", a.whole, err)
					}
				}
				a.leave()
				whole.Add(int64(a.whole))
			})
		}
		group.Wait()
	}
	ask(2, 200*time.Millisecond) // what stays: listeners, and who is told of hang-ups
	w.gateway.h1.CloseIdle()
	time.Sleep(100 * time.Millisecond)
	before := runtime.NumGoroutine()
	ask(40, last)
	t.Logf("%d requests, %d answers were read whole", count.Load(), whole.Load())
	if whole.Load() < 40 {
		t.Error("too few answers to say anything")
	}
	w.gateway.h1.CloseIdle()
	for begun := time.Now(); runtime.NumGoroutine() > before+4; time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 20*time.Second {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

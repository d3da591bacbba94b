package upstream

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func hostOf(t testing.TB, c *Client, address string) *Host {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c.Host(u)
}

func get(target string) *Request {
	return &Request{Method: "GET", Target: target, Host: "h", Header: http.Header{}}
}

func readAll(t testing.TB, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return string(b)
}

// raw serves each connection by f, below HTTP, and counts them.
func raw(t testing.TB, f func(n int, c net.Conn, r *bufio.Reader)) (address string, dialled *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dialled = new(atomic.Int32)
	var group sync.WaitGroup
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			n := int(dialled.Add(1))
			group.Go(func() {
				defer func() { _ = c.Close() }()
				f(n, c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); group.Wait() })
	return "http://" + l.Addr().String(), dialled
}

func readRequest(r *bufio.Reader) (*http.Request, string, error) {
	req, err := http.ReadRequest(r)
	if err != nil {
		return nil, "", err
	}
	b, err := io.ReadAll(req.Body)
	return req, string(b), err
}

const okAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

func TestConnectionsAreKept(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %s %s %q %s", r.Method, r.RequestURI, r.Host, b, r.Header.Get("X-A"))
		}))
		var conns atomic.Int32
		s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
			if st == http.StateNew {
				conns.Add(1)
			}
		}
		c := &Client{}
		if scheme == "http" {
			s.Start()
		} else {
			s.StartTLS()
			c.TLS = s.Client().Transport.(*http.Transport).TLSClientConfig
		}
		t.Cleanup(s.Close)
		// In a bubble, whose clock stands still while a stream is written: what lastWrite allows is never over before that.
		synctest.Test(t, func(t *testing.T) {
			h := hostOf(t, c, s.URL)
			for i := range 20 {
				big := strings.Repeat("x", i*3000)
				r := &Request{Method: "POST", Target: "/p?q=1", Host: "model", Header: http.Header{"X-B": {"b"}}, Fields: []Field{{"X-A", []string{"a"}}, {"X-None", nil}}, Body: [][]byte{[]byte("pre"), []byte(big), []byte("post")}}
				if i%2 == 1 {
					r.Body, r.Stream, r.Length = nil, io.NopCloser(strings.NewReader("pre"+big+"post")), map[bool]int64{true: -1, false: int64(len(big) + 7)}[i%4 == 1]
				}
				resp, err := h.Do(t.Context(), r)
				if err != nil {
					t.Fatal(scheme, i, err)
				}
				if got, want := readAll(t, resp), fmt.Sprintf("POST /p?q=1 model %q a", "pre"+big+"post"); got != want {
					t.Fatalf("%s %d: got %.80s", scheme, i, got)
				}
			}
		})
		if n := conns.Load(); n != 1 {
			t.Errorf("%s: %d connections for 20 requests in a row", scheme, n)
		}
	}
}

// An answer whose end is not its connection's, or that was not read to its end, costs the connection.
func TestConnectionsAreNotKept(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		close        bool // before the end
	}{
		{"closes", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", false},
		{"old", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false},
		{"no length", "HTTP/1.1 200 OK\r\n\r\nok", false},
		{"more than its length", okAnswer + "HTTP/1.1 200 OK\r\nX-Poisoned: 1\r\nContent-Length: 0\r\n\r\n", false},
		{"left unread", okAnswer, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			at, dialled := raw(t, func(n int, conn net.Conn, r *bufio.Reader) {
				for {
					if _, _, err := readRequest(r); err != nil {
						return
					}
					answer := c.answer
					if n > 1 {
						answer = okAnswer
					}
					if _, _ = io.WriteString(conn, answer); c.name == "no length" {
						return
					}
				}
			})
			h := hostOf(t, &Client{}, at)
			for i := range 2 {
				resp, err := h.Do(t.Context(), get("/"))
				if err != nil {
					t.Fatal(err)
				}
				if resp.Header.Get("X-Poisoned") != "" {
					t.Fatal("the rest of an answer was taken for the next one")
				}
				if i == 0 && c.close {
					_ = resp.Body.Close()
					continue
				}
				if got := readAll(t, resp); got != "ok" {
					t.Errorf("got %q", got)
				}
				_ = resp.Body.Close() // again: must not touch a connection that serves another
			}
			if n := dialled.Load(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// Bytes that a server sends between two requests never answer the second.
func TestUnaskedAnswersAreNotTaken(t *testing.T) {
	sent := make(chan struct{})
	at, _ := raw(t, func(n int, conn net.Conn, r *bufio.Reader) {
		if _, _, err := readRequest(r); err != nil {
			return
		}
		_, _ = io.WriteString(conn, okAnswer)
		if n == 1 {
			<-sent
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Poisoned: 1\r\nContent-Length: 0\r\n\r\n")
			sent <- struct{}{}
			_, _ = r.ReadByte()
		}
	})
	h := hostOf(t, &Client{}, at)
	resp, err := h.Do(t.Context(), get("/"))
	if err != nil || readAll(t, resp) != "ok" {
		t.Fatal(resp, err)
	}
	sent <- struct{}{}
	<-sent
	for !poisoned(h) { // loopback delivers at once, but not before the write returns everywhere
	}
	resp, err = h.Do(t.Context(), get("/"))
	if err != nil || resp.Header.Get("X-Poisoned") != "" || readAll(t, resp) != "ok" {
		t.Fatal(resp, err)
	}
}

func poisoned(h *Host) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.idle[0].usable()
}

// A kept connection that its server has closed costs no request: one seen in time is not used, one
// closed too late to be seen is followed by one more try, if that is safe.
func TestStaleConnections(t *testing.T) {
	post := func(h http.Header) *Request {
		return &Request{Method: "POST", Target: "/", Host: "h", Header: h, Body: [][]byte{[]byte("b")}}
	}
	const fresh = -time.Hour // used a moment ago, however long this machine takes to use it again
	stream := func() *Request {
		return &Request{Method: "PUT", Target: "/", Host: "h", Header: http.Header{}, Stream: io.NopCloser(strings.NewReader("b")), Length: 1}
	}
	for _, c := range []struct {
		name string
		r    func() *Request
		said string // by the server before it closes
		idle time.Duration
		ok   bool
	}{
		{"GET", func() *Request { return get("/") }, "", fresh, true},
		{"POST", func() *Request { return post(http.Header{}) }, "", fresh, false},
		{"POST with a key", func() *Request { return post(http.Header{"Idempotency-Key": {"k"}}) }, "", fresh, true},
		{"POST with a key among its fields", func() *Request {
			r := post(nil)
			r.Fields = []Field{{"X-A", nil}, {"Idempotency-Key", []string{"k"}}}
			return r
		}, "", fresh, true},
		{"POST after a long pause", func() *Request { return post(http.Header{}) }, "", 2 * idleLong, true},
		{"a byte came", func() *Request { return get("/") }, "H", fresh, false},
		{"streamed", stream, "", fresh, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var requests atomic.Int32
			at, dialled := raw(t, func(n int, conn net.Conn, r *bufio.Reader) {
				for i := 0; ; i++ {
					if _, _, err := readRequest(r); err != nil {
						return
					}
					requests.Add(1)
					if n == 1 && i == 1 {
						_, _ = io.WriteString(conn, c.said)
						return // the request has arrived and is not answered
					}
					_, _ = io.WriteString(conn, okAnswer)
				}
			})
			h := hostOf(t, &Client{}, at)
			resp, err := h.Do(t.Context(), get("/"))
			if err != nil || readAll(t, resp) != "ok" {
				t.Fatal(err)
			}
			h.idle[0].since = time.Now().Add(-c.idle)
			resp, err = h.Do(t.Context(), c.r())
			if (err == nil) != c.ok {
				t.Fatalf("got %v", err)
			}
			if want := map[bool]int32{true: 2, false: 1}[c.ok]; dialled.Load() != want {
				t.Errorf("%d connections", dialled.Load())
			}
			if err == nil && readAll(t, resp) != "ok" {
				t.Error("wrong answer")
			}
		})
	}
	t.Run("a new connection is not tried twice", func(t *testing.T) {
		at, dialled := raw(t, func(_ int, _ net.Conn, r *bufio.Reader) { _, _, _ = readRequest(r) })
		if _, err := hostOf(t, &Client{}, at).Do(t.Context(), get("/")); err == nil || dialled.Load() != 1 {
			t.Errorf("%v, %d connections", err, dialled.Load())
		}
	})
	t.Run("seen in time", func(t *testing.T) {
		at, dialled := raw(t, func(_ int, conn net.Conn, r *bufio.Reader) {
			if _, _, err := readRequest(r); err == nil {
				_, _ = io.WriteString(conn, okAnswer)
			}
		})
		h := hostOf(t, &Client{}, at)
		for i := range 3 {
			resp, err := h.Do(t.Context(), post(http.Header{}))
			if err != nil || readAll(t, resp) != "ok" {
				t.Fatal(i, err)
			}
			for len(h.idle) > 0 && !poisoned(h) { // until its end has arrived
			}
		}
		if dialled.Load() != 3 {
			t.Errorf("%d connections", dialled.Load())
		}
	})
}

// Whoever ends the context closes the connection, whatever it is doing.
func TestCancelClosesTheConnection(t *testing.T) {
	for _, when := range []string{"head", "body", "writing", "before"} {
		t.Run(when, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			closed, begun := make(chan struct{}), make(chan struct{}, 1)
			at, _ := raw(t, func(_ int, conn net.Conn, r *bufio.Reader) {
				defer close(closed)
				begun <- struct{}{}
				if when == "writing" {
					<-ctx.Done()
				}
				if when == "body" {
					_, _, _ = readRequest(r)
					_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
				}
				_, _ = io.Copy(io.Discard, r)
			})
			h := hostOf(t, &Client{}, at)
			r := get("/")
			if when == "writing" {
				r = &Request{Method: "POST", Target: "/", Host: "h", Header: http.Header{}, Body: [][]byte{make([]byte, 64<<20)}}
			}
			if when == "before" {
				cancel()
				if _, err := h.Do(ctx, r); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
				return
			}
			go func() {
				<-begun
				if when != "body" {
					cancel()
				}
			}()
			resp, err := h.Do(ctx, r)
			if when == "body" {
				if err != nil {
					t.Fatal(err)
				}
				b := make([]byte, 4)
				_, _ = io.ReadFull(resp.Body, b)
				cancel()
				if _, err = resp.Body.Read(b); err == nil || errors.Is(err, io.EOF) {
					t.Errorf("read on: %v", err)
				}
			} else if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			<-closed
			if len(h.idle) != 0 {
				t.Error("it was kept")
			}
		})
	}
}

// watches counts who waits for the end of a context.
type watches struct {
	context.Context
	n int
}

func (w *watches) AfterFunc(func()) func() bool {
	w.n++
	return func() bool { w.n--; return true }
}

// A context that lasts longer than its requests keeps nothing of them, whether they are answered or not.
func TestContextsKeepNothing(t *testing.T) {
	at, _ := raw(t, func(n int, conn net.Conn, r *bufio.Reader) {
		if _, _, err := readRequest(r); err == nil && n > 1 {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	h, ctx := hostOf(t, &Client{}, at), &watches{Context: t.Context()}
	if _, err := h.Do(ctx, get("/")); err == nil {
		t.Error("an answer of a server that gave none")
	}
	for range 3 { // on a new connection, then on one that the server has closed
		resp, err := h.Do(ctx, get("/"))
		if err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, resp); got != "ok" {
			t.Errorf("%q", got)
		}
		for until := time.Now().Add(30 * time.Second); !ended(h) && time.Now().Before(until); time.Sleep(time.Millisecond) {
		}
	}
	if ctx.n != 0 {
		t.Errorf("%d connections are still watched", ctx.n)
	}
}

func TestDeadlines(t *testing.T) {
	at, _ := raw(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		req, _, err := readRequest(r)
		if err != nil {
			return
		}
		if req.URL.Path != "/head" {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
		}
		_, _ = r.ReadByte()
	})
	h := hostOf(t, &Client{}, at)
	soon := func() time.Time { return time.Now().Add(20 * time.Millisecond) }
	late := func() time.Time { return time.Now().Add(time.Minute) }
	for name, r := range map[string]*Request{
		"head by HeadBy":  {Target: "/head", HeadBy: soon(), Until: late()},
		"head by Until":   {Target: "/head", HeadBy: late(), Until: soon()},
		"body by Until":   {Target: "/body", Until: soon()},
		"body by Between": {Target: "/body", Until: late(), Between: 10 * time.Millisecond}, // after the first half
		"body by ReadBy":  {Target: "/body", Until: late()},
	} {
		r.Method, r.Host, r.Header = "GET", "h", http.Header{}
		resp, err := h.Do(t.Context(), r)
		if err == nil {
			if strings.HasSuffix(name, "ReadBy") {
				resp.Body.(*body).ReadBy(soon())
			}
			_, err = io.ReadAll(resp.Body)
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A server that can't be reached in time is not one that answers too late.
	c := &Client{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, os.ErrDeadlineExceeded }}
	if _, err := hostOf(t, c, "http://a").Do(t.Context(), get("/")); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("unreachable: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		slow := &Client{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }}
		r := get("/")
		r.Until = soon()
		if _, err := hostOf(t, slow, "http://a").Do(t.Context(), r); !errors.Is(err, os.ErrDeadlineExceeded) || r.Waited != 20*time.Millisecond {
			t.Errorf("connecting too slowly: %v after %v", err, r.Waited)
		}
	})
}

func TestInformation(t *testing.T) {
	endless := strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 20000)
	for _, c := range []struct {
		name, answer string
		upgrade      string
		want         string
		err          error
	}{
		{"hints", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + okAnswer, "", "103 </a> ok", nil},
		{"endless", endless + okAnswer, "", "", ErrHeaderTooLarge},
		{"not asked to switch", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "", "", ErrProtocol},
		{"HTTP/2", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", "", "", ErrProtocol},
		{"status 099", "HTTP/1.1 099 What\r\nContent-Length: 0\r\n\r\n", "", "", ErrProtocol},
		{"large head", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 300<<10) + "\r\n\r\n", "", "", ErrHeaderTooLarge},
	} {
		at, _ := raw(t, func(_ int, conn net.Conn, r *bufio.Reader) {
			if _, _, err := readRequest(r); err == nil {
				_, _ = io.WriteString(conn, c.answer)
			}
		})
		var said strings.Builder
		r := get("/")
		r.Informed = func(status int, h http.Header) {
			if status == 103 {
				fmt.Fprintf(&said, "%d %s ", status, h.Get("Link"))
			}
		}
		resp, err := hostOf(t, &Client{}, at).Do(t.Context(), r)
		if c.err != nil {
			if !errors.Is(err, c.err) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		} else if got := said.String() + readAll(t, resp); got != c.want {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestUpgrade(t *testing.T) {
	at, _ := raw(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		req, _, err := readRequest(r)
		if err != nil || req.Header.Get("Upgrade") != "echo" || req.Header.Get("Connection") != "Upgrade" {
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nhello ")
		_, _ = io.Copy(conn, r)
	})
	r := get("/")
	r.Upgrade, r.HeadBy = "echo", time.Now().Add(time.Minute)
	resp, err := hostOf(t, &Client{}, at).Do(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	both := resp.Body.(io.ReadWriteCloser)
	_, _ = io.WriteString(both, "world")
	got := make([]byte, 11)
	if _, err := io.ReadFull(both, got); err != nil || string(got) != "hello world" {
		t.Errorf("got %q, %v", got, err)
	}
	_ = both.(*upgraded).SetReadDeadline(past) // its own, whatever the request's was
	_, _ = io.WriteString(both, "more")
	if n, err := both.Read(got); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("behind its deadline it read %q, %v", got[:n], err)
	}
	_ = both.Close()
}

// An answer that comes before the end of a streamed body is seen, and ends the stream.
func TestAnswerBeforeTheEndOfAStream(t *testing.T) {
	at, _ := raw(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		if _, err := http.ReadRequest(r); err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
			_, _ = r.ReadByte()
		}
	})
	in, out := io.Pipe()
	closed := make(chan struct{})
	r := &Request{Method: "POST", Target: "/", Host: "h", Header: http.Header{}, Length: -1, Stream: struct {
		io.Reader
		io.Closer
	}{in, closer(func() error { close(closed); return in.Close() })}}
	resp, err := hostOf(t, &Client{}, at).Do(t.Context(), r)
	if err != nil || resp.StatusCode != http.StatusRequestEntityTooLarge || readAll(t, resp) != "no" {
		t.Fatal(resp, err)
	}
	for {
		if _, err := out.Write(make([]byte, 32<<10)); err != nil {
			break
		}
	}
	<-closed
}

type closer func() error

func (c closer) Close() error { return c() }

// A stream that fails or has another length than was announced never looks complete to the server.
func TestBrokenStreams(t *testing.T) {
	for _, c := range []struct {
		name   string
		body   io.Reader
		length int64
	}{
		{"fails", io.MultiReader(strings.NewReader("half"), errReader{}), -1},
		{"fails, length known", io.MultiReader(strings.NewReader("half"), errReader{}), 10},
		{"too short", strings.NewReader("half"), 10},
		{"too long", strings.NewReader("more than ten bytes"), 10},
	} {
		seen := make(chan error, 1)
		at, _ := raw(t, func(_ int, conn net.Conn, r *bufio.Reader) {
			_, _, err := readRequest(r)
			seen <- err
			_, _ = io.WriteString(conn, okAnswer)
		})
		r := &Request{Method: "POST", Target: "/", Host: "h", Header: http.Header{}, Stream: io.NopCloser(c.body), Length: c.length}
		if resp, err := hostOf(t, &Client{}, at).Do(t.Context(), r); err == nil {
			if _, err = io.ReadAll(resp.Body); err == nil {
				t.Errorf("%s: no error", c.name)
			}
		}
		if err := <-seen; err == nil {
			t.Errorf("%s: the server saw a whole body", c.name)
		}
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("planted") }

func TestHeadsThatWouldBeTwo(t *testing.T) {
	for _, r := range []*Request{
		{Target: "/ HTTP/1.1\r\nX: y", Host: "h"},
		{Target: "/", Host: "h\r\nX: y"},
		{Target: "/", Host: "h", Header: http.Header{"X": {"a\nb"}}},
		{Target: "/", Host: "h", Header: http.Header{"X": {"a\rb"}}},
		{Target: "/", Host: "h", Header: http.Header{"X": {"a\x00b"}}},
		{Target: "/", Host: "h", Header: http.Header{"X\r\nY": {"a"}}},
		{Target: "/", Host: "h", Fields: []Field{{"X", []string{"a", "b\nc"}}}},
		{Target: "/", Host: "h", Fields: []Field{{"X\r\nY", []string{"a"}}}},
	} {
		r.Method = "GET"
		if b, err := appendHead(nil, r); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q", b)
		}
	}
}

// Framing is the client's alone, and says the length where servers ask for it.
func TestFraming(t *testing.T) {
	for _, c := range []struct {
		r    Request
		want string
	}{
		{Request{Method: "GET"}, ""},
		{Request{Method: "POST"}, "Content-Length: 0"},
		{Request{Method: "POST", Body: [][]byte{[]byte("ab"), []byte("c")}}, "Content-Length: 3"},
		{Request{Method: "GET", Body: [][]byte{[]byte("ab")}}, "Content-Length: 2"},
		{Request{Method: "POST", Stream: io.NopCloser(nil), Length: 7}, "Content-Length: 7"},
		{Request{Method: "POST", Stream: io.NopCloser(nil), Length: -1}, "Transfer-Encoding: chunked"},
	} {
		c.r.Target, c.r.Host = "/", "h"
		b, err := appendHead(nil, &c.r)
		want := c.r.Method + " / HTTP/1.1\r\nHost: h\r\n" + c.want + map[bool]string{true: "\r\n"}[c.want != ""] + "\r\n"
		if err != nil || string(b) != want {
			t.Errorf("%q, want %q", b, want)
		}
	}
}

// Connections that nothing uses are closed, by time and by number.
func TestIdleConnectionsEnd(t *testing.T) {
	c := &Client{MaxIdle: 2, IdleTime: time.Hour}
	at, _ := raw(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		for {
			if _, _, err := readRequest(r); err != nil {
				return
			}
			_, _ = io.WriteString(conn, okAnswer)
		}
	})
	h := hostOf(t, c, at)
	var all []*http.Response
	for range 3 {
		resp, err := h.Do(t.Context(), get("/"))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, resp)
	}
	for _, resp := range all {
		readAll(t, resp)
	}
	if len(h.idle) != 2 {
		t.Errorf("%d are kept", len(h.idle))
	}
	h.sweep() // all were used in this round
	if len(h.idle) != 2 {
		t.Errorf("%d are kept", len(h.idle))
	}
	resp, err := h.Do(t.Context(), get("/"))
	if err != nil {
		t.Fatal(err)
	}
	readAll(t, resp)
	h.sweep() // one was not
	if len(h.idle) != 1 {
		t.Errorf("%d are kept", len(h.idle))
	}
	h.sweep()
	h.sweep()
	if len(h.idle) != 0 || h.timer != nil {
		t.Errorf("%d are kept", len(h.idle))
	}
}

// FuzzAnswer lets a server say anything, at once or in pieces of some size, to whoever reads by Each, by Read with a small
// memory, by both, or as a flow. net/http's Transport is the oracle: what it refuses or cuts is refused or cut here, and what it
// takes is taken with the same status, headers and body.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		okAnswer,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n2;ext=1\r\nok\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.1 103 Early\r\n\r\n" + okAnswer,
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.0 200 OK\r\n\r\nuntil the end",
		"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
		"\x00\x01garbage",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
		chunkedAnswer + "3\r\nabc\r\n5\r\ndefgh\r\n0A\r\n0123456789\r\n0\r\n\r\n",
		chunkedAnswer + "3\r\nabc\r\n2;ext\r\nde\r\n1\r\nf\r\n0\r\n\r\n",
		chunkedAnswer + "3\r\nabc\r\n0\r\nX: y\r\nZ: w\r\n\r\n",
		chunkedAnswer + "3\r\nabc\r\n0\r\nX: y\r\n",
		chunkedAnswer + "3\r\nabcd\r\n0\r\n\r\n",
		chunkedAnswer + "3\nabc\r\n0\r\n\r\n",
		chunkedAnswer + "3\r\nabc\n0\r\n\r\n",
		chunkedAnswer + "3 \r\nabc\r\n0\r\n\r\n",
		chunkedAnswer + "3\r\nabc\r\n00000000000\r\n\r\n",
		chunkedAnswer + "3\r\nabc\r\n000000000003\r\ndef\r\n0\r\n\r\n",
		chunkedAnswer + "3\r\nabc\r\n\r\n",
		chunkedAnswer + "3\r\nabc\r\n-1\r\n",
		chunkedAnswer + "3\r\nabc\r\n0\r\n\r\nmore",
		chunkedAnswer + "3\r\nab",
		chunkedAnswer + "3\r\nabc\r\n5",
		chunkedAnswer + "0\r\n\r\n",
		chunkedAnswer + "2001\r\n" + strings.Repeat("x", 0x2001) + "\r\n9000\r\n" + strings.Repeat("y", 0x9000) + "\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n" + strings.Repeat("x", 40000),
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 9000) + "\r\nContent-Length: 2\r\n\r\nok",
	} {
		for i, step := range []uint16{0, 1, 7, 4096} {
			f.Add([]byte(s), step, uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, answer []byte, step uint16, how uint8) {
		dial := func(context.Context, string, string) (net.Conn, error) {
			s := newScripted(answer)
			s.step = int(step)
			return s, nil
		}
		c := &Client{Dial: dial}
		u, _ := url.Parse("http://h")
		resp, err := c.Host(u).Do(t.Context(), get("/"))
		got := told(reading(resp, how), err)
		c.CloseIdle()
		if errors.Is(err, ErrProtocol) {
			return // more careful than the oracle: nobody asked for a switch, or for another HTTP
		}

		tr := &http.Transport{DialContext: dial, DisableCompression: true, MaxResponseHeaderBytes: defaultMaxHeader}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://h/", nil)
		resp, err = tr.RoundTrip(req)
		want := told(resp, err)
		tr.CloseIdleConnections()
		if got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}

const chunkedAnswer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

// reading makes the answer's body one that is read in one of four ways, whatever its reader does.
func reading(resp *http.Response, how uint8) *http.Response {
	if resp == nil {
		return nil
	}
	b, ok := resp.Body.(*body)
	if !ok {
		return resp
	}
	resp.Body = &readIn{body: b, how: how % 4}
	return resp
}

type readIn struct {
	*body
	how  uint8
	came []byte
	err  error
}

func (r *readIn) Read(p []byte) (int, error) {
	if r.how == 0 {
		return r.body.Read(p)
	}
	if r.how == 2 && len(r.came) == 0 && r.err == nil {
		r.how = 1
		return r.body.Read(p[:min(len(p), 3)])
	}
	if r.how == 3 {
		r.how = 1
		r.asFlow()
	}
	if r.err == nil {
		r.err = r.Each(func(piece []byte) error {
			r.came = append(r.came, piece...)
			return nil
		})
	}
	n := copy(p, r.came)
	if r.came = r.came[n:]; n > 0 {
		return n, nil
	}
	return 0, r.err
}

// asFlow is flows over a connection that is no socket.
func (r *readIn) asFlow() {
	b := r.body
	if !b.chunked || b.from != nil || b.over {
		return
	}
	b.flow.f, b.flow.reading = func(piece []byte) error {
		r.came = append(r.came, piece...)
		return nil
	}, true
	for b.take() && b.flow.err == nil {
		if err := b.c.more(); err != nil {
			b.flow.err = io.ErrUnexpectedEOF
		}
	}
	b.flow.reading = false
}

func told(resp *http.Response, err error) string {
	if err != nil {
		return "refused"
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return fmt.Sprintf("%d %q %q %v %q", resp.StatusCode, resp.Header, b, err != nil, resp.Trailer)
}

// scripted is a connection whose server says one thing when it is asked, and closes.
type scripted struct {
	answer        *bytes.Reader
	step          int // how much it says at a time; 0: all
	asked, closed chan struct{}
	ask, end      sync.Once
}

func newScripted(answer []byte) *scripted {
	return &scripted{answer: bytes.NewReader(answer), asked: make(chan struct{}), closed: make(chan struct{})}
}

func (s *scripted) Read(b []byte) (int, error) {
	select {
	case <-s.asked:
		if s.step > 0 && len(b) > s.step {
			b = b[:s.step]
		}
		return s.answer.Read(b)
	case <-s.closed:
		return 0, net.ErrClosed
	}
}

func (s *scripted) Write(b []byte) (int, error) {
	s.ask.Do(func() { close(s.asked) })
	return len(b), nil
}

func (s *scripted) Close() error                     { s.end.Do(func() { close(s.closed) }); return nil }
func (s *scripted) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (s *scripted) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (s *scripted) SetDeadline(time.Time) error      { return nil }
func (s *scripted) SetReadDeadline(time.Time) error  { return nil }
func (s *scripted) SetWriteDeadline(time.Time) error { return nil }

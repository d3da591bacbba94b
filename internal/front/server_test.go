package front

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// memory is a listener of pipes, for tests whose clock is their own.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}
func (m *memory) Close() error   { m.once.Do(func() { close(m.closed) }); return nil }
func (m *memory) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

// running is a server under test.
type running struct {
	*Server
	t      testing.TB
	memory *memory      // nil: sockets
	l      net.Listener // what it serves
	served chan error
}

func config(h http.HandlerFunc) *http.Server {
	return &http.Server{
		Handler: h, ErrorLog: log.New(io.Discard, "", 0), Protocols: speaks(),
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
	}
}

// inMemory serves pipes; it must be closed before its bubble ends.
func inMemory(t testing.TB, s *http.Server) *running {
	m := &memory{conns: make(chan net.Conn), closed: make(chan struct{})}
	return run(t, s, m, m)
}

// onSockets serves sockets.
func onSockets(t testing.TB, s *http.Server) *running {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, s, l, nil)
	t.Cleanup(r.close)
	return r
}

func run(t testing.TB, s *http.Server, l net.Listener, m *memory) *running {
	r := &running{Server: New(s), t: t, l: l, memory: m, served: make(chan error, 1)}
	go func() { r.served <- r.Serve(l) }()
	return r
}

func (r *running) close() {
	_ = r.Close()
	r.ended()
}

func (r *running) ended() {
	r.t.Helper()
	if err := <-r.served; !errors.Is(err, http.ErrServerClosed) {
		r.t.Errorf("Serve ended with %v", err)
	}
	r.served <- http.ErrServerClosed // for the next who asks
}

// user is a client.
type user struct {
	net.Conn
	t  testing.TB
	br *bufio.Reader
}

func (r *running) dial() *user {
	r.t.Helper()
	var c net.Conn
	if r.memory != nil {
		var s net.Conn
		c, s = net.Pipe()
		r.memory.conns <- s
	} else {
		var err error
		if c, err = net.Dial("tcp", r.l.Addr().String()); err != nil {
			r.t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		r.t.Cleanup(func() { _ = c.Close() })
	}
	return &user{c, r.t, bufio.NewReader(c)}
}

func (u *user) send(text string) {
	u.t.Helper()
	if _, err := io.WriteString(u, text); err != nil {
		u.t.Errorf("%.40q is not taken: %v", text, err)
	}
}

// answered reads an answer and returns its body.
func (u *user) answered() (*http.Response, string) {
	u.t.Helper()
	resp, err := http.ReadResponse(u.br, nil)
	if err != nil {
		u.t.Fatalf("no answer: %v", err)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		u.t.Fatalf("half an answer: %v", err)
	}
	return resp, string(b)
}

func (u *user) gets(want string) *http.Response {
	u.t.Helper()
	resp, got := u.answered()
	if got != want {
		u.t.Errorf("got %q, not %q", got, want)
	}
	return resp
}

// closed waits until the server closes the connection.
func (u *user) closed() {
	u.t.Helper()
	if b, err := io.ReadAll(u.br); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		u.t.Errorf("the connection is not closed: %q, %v", b, err)
	}
}

const plainGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

func hello(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }

// both runs a test over pipes on a virtual clock, and over sockets.
func both(t *testing.T, s func() *http.Server, f func(t *testing.T, r *running)) {
	t.Run("pipes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := inMemory(t, s())
			defer r.close()
			f(t, r)
		})
	})
	t.Run("sockets", func(t *testing.T) { f(t, onSockets(t, s())) })
}

// The limits of time: what it takes until a connection is closed, and that nothing extends it.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name string
		f    func(u *user)
		want time.Duration
	}{
		{"says nothing", func(*user) {}, 10 * time.Second},
		{"a head without end", func(u *user) {
			for _, b := range strings.Repeat("GET / HTTP/1.1", 9) {
				time.Sleep(time.Second)
				if _, err := u.Write([]byte{byte(b)}); err != nil {
					return
				}
			}
		}, 10 * time.Second},
		{"a second head without end", func(u *user) {
			u.send(plainGet)
			u.gets("hello")
			time.Sleep(time.Minute)
			for range 100 {
				if _, err := u.Write([]byte{'G'}); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, 70 * time.Second},
		{"half a second head with the first", func(u *user) {
			u.send(plainGet + "GE")
			u.gets("hello")
		}, 10 * time.Second},
		{"idle", func(u *user) {
			u.send(plainGet)
			u.gets("hello")
		}, 2 * time.Minute},
		{"idle for long, and again", func(u *user) {
			for range 3 {
				u.send(plainGet)
				u.gets("hello")
				time.Sleep(80 * time.Second)
			}
		}, 5 * time.Minute},
		{"a body that does not come", func(u *user) {
			u.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1")
			u.gets("hello")
		}, 2 * time.Minute},
		{"a body that comes by bytes", func(u *user) {
			u.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n1")
			u.gets("hello")
			for range 9 {
				time.Sleep(10 * time.Second)
				u.send("1")
			}
		}, 2 * time.Minute},
		{"a handed-over head without end", func(u *user) {
			u.send("GET / HTTP/1.0\r\n")
		}, 10 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := inMemory(t, config(hello))
				defer r.close()
				begun := time.Now()
				u := r.dial()
				c.f(u)
				u.closed()
				if took := time.Since(begun); took > c.want+time.Second || took < c.want*7/10 { // idle time is not renewed within its first quarter
					t.Errorf("closed after %v, not %v", took, c.want)
				}
			})
		})
	}
}

// Without limits nothing is closed, and a limit of one request is not the next one's.
func TestLimitsEndWithTheirRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := config(func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			if r.URL.Path == "/limits" {
				_ = rc.SetReadDeadline(time.Now().Add(time.Second))
				_ = rc.SetWriteDeadline(time.Now().Add(2 * time.Second))
				_ = rc.Flush()
			}
			b, err := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %v", b, err)
			_ = rc.Flush()
		})
		s.ReadHeaderTimeout, s.IdleTimeout = 0, 0
		r := inMemory(t, s)
		defer r.close()
		u := r.dial()
		time.Sleep(time.Hour)
		for range 3 {
			u.send("POST /limits HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab")
			u.gets("ab <nil>")
			time.Sleep(time.Hour)
			u.send("POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
			time.Sleep(time.Hour)
			u.send("b")
			time.Sleep(time.Hour)
			u.gets("ab <nil>")
		}
		u.send("POST /limits HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
		if _, got := u.answered(); !strings.Contains(got, "i/o timeout") {
			t.Errorf("a body that does not come in time: %q", got)
		}
		u.closed()
	})
}

// The limits of the whole are http.Server's, too.
func TestLimitsOfTheWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failed := make(chan error, 2)
		s := config(func(w http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			failed <- err
			_, err = io.WriteString(w, strings.Repeat("x", 1<<20))
			failed <- err
		})
		s.ReadTimeout, s.WriteTimeout = 3*time.Second, 5*time.Second
		r := inMemory(t, s)
		defer r.close()
		u := r.dial()
		u.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
		for _, what := range []string{"reading", "writing"} {
			if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s took as long as it wanted: %v", what, err)
			}
		}
		_ = u.Close()
	})
}

// A handler without limits holds its connection no longer than an idle one if the client takes nothing.
func TestAnswersNobodyTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, h := range []http.HandlerFunc{hello, func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute))
			_, err := io.WriteString(w, strings.Repeat("x", 1<<20))
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("written to nobody: %v", err)
			}
		}} {
			r := inMemory(t, config(h))
			u := r.dial()
			u.send(plainGet)
			if err := r.Shutdown(t.Context()); err != nil { // waits for it
				t.Error(err)
			}
			r.ended()
			_ = u.Close()
		}
	})
}

// A client that takes nothing for longer than the handler's limit is given up, and whoever works for it is told.
func TestWriteDeadlineOfASocket(t *testing.T) {
	failed := make(chan error, 1)
	r := onSockets(t, config(func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		var err error
		for err == nil { // small pieces, so that some are taken in part
			_ = rc.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			_, err = io.WriteString(w, long)
			err = errors.Join(err, rc.Flush())
		}
		<-r.Context().Done()
		failed <- err
	}))
	u := r.dial()
	u.send(plainGet)
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("written to nobody: %v", err)
	}
}

// Pieces of which the system takes a part arrive whole, whoever reads slowly.
func TestSlowReader(t *testing.T) {
	const pieces = 4000
	var sent atomic.Int32
	r := onSockets(t, config(func(w http.ResponseWriter, _ *http.Request) {
		for range pieces {
			sent.Add(1)
			_, _ = io.WriteString(w, long)
			_ = http.NewResponseController(w).Flush()
		}
	}))
	u := r.dial()
	_ = u.Conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	for range 2 {
		u.send(plainGet)
		resp, err := http.ReadResponse(u.br, nil)
		if err != nil {
			t.Fatal(err)
		}
		for was := int32(-1); was != sent.Load(); time.Sleep(10 * time.Millisecond) {
			was = sent.Load() // until no more is taken, most likely
		}
		n := 0
		for b := make([]byte, len(long)); ; n++ {
			if _, err := io.ReadFull(resp.Body, b); err == io.EOF {
				break
			} else if err != nil || string(b) != long {
				t.Fatalf("piece %d: %.20q, %v", n, b, err)
			}
		}
		if n != pieces {
			t.Errorf("%d pieces arrived, not %d", n, pieces)
		}
	}
}

// block is a handler that waits in the way the test says.
type block struct {
	begun chan *http.Request
	free  chan struct{}
}

func newBlock() *block { return &block{make(chan *http.Request, 9), make(chan struct{})} }

func (b *block) serve(w http.ResponseWriter, r *http.Request) {
	b.begun <- r
	select {
	case <-b.free:
		_, _ = io.WriteString(w, "done")
	case <-r.Context().Done():
		_, _ = io.WriteString(w, "cancelled")
	}
}

func TestShutdown(t *testing.T) {
	b := newBlock()
	both(t, func() *http.Server { *b = *newBlock(); return config(b.serve) }, func(t *testing.T, r *running) {
		idle := r.dial()
		idle.send("GET /idle HTTP/1.1\r\nHost: a\r\n\r\n")
		<-b.begun
		b.free <- struct{}{}
		idle.gets("done")
		active := r.dial()
		active.send(plainGet)
		over := r.dial()
		over.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
		<-b.begun
		<-b.begun
		ended := make(chan error)
		go func() { ended <- r.Shutdown(context.Background()) }()
		r.ended()
		idle.closed() // while the others go on
		select {
		case err := <-ended:
			t.Errorf("Shutdown did not wait: %v", err)
		default:
		}
		b.free <- struct{}{}
		b.free <- struct{}{}
		if resp := active.gets("done"); !resp.Close {
			t.Error("an answer during a shutdown does not say that it is the last")
		}
		over.gets("done")
		_, _ = active.Close(), over.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := r.Serve(r.l); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serves again: %v", err)
		}
	})
}

// A connection that has just been opened may still send its request; one that says nothing is not waited for long.
func TestShutdownWaitsForFreshConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := inMemory(t, config(hello))
		speaks, silent := r.dial(), r.dial()
		synctest.Wait()
		ended := make(chan error)
		begun := time.Now()
		go func() { ended <- r.Shutdown(context.Background()) }()
		time.Sleep(time.Second)
		speaks.send(plainGet)
		speaks.gets("hello")
		speaks.closed()
		silent.closed()
		if err := <-ended; err != nil || time.Since(begun) > 6*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		r.ended()
	})
}

func TestShutdownGivesUp(t *testing.T) {
	b := newBlock()
	synctest.Test(t, func(t *testing.T) {
		*b = *newBlock()
		r := inMemory(t, config(b.serve))
		u := r.dial()
		u.send(plainGet)
		<-b.begun
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := r.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown ended with %v", err)
		}
		r.close() // cancels what is left, or this test does not end
		u.closed()
	})
}

// The client of a long request is watched, whatever its body was.
func TestTheClientGoesAway(t *testing.T) {
	b := newBlock()
	for name, request := range map[string]string{
		"no body": plainGet, "body": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func() *http.Server {
				*b = *newBlock()
				return config(func(w http.ResponseWriter, r *http.Request) {
					read := make(chan struct{})
					go func() { defer close(read); _, _ = io.ReadAll(r.Body) }()
					<-read
					b.serve(w, r)
				})
			}, func(_ *testing.T, r *running) {
				u := r.dial()
				u.send(request)
				req := <-b.begun
				_ = u.Close()
				<-req.Context().Done()
			})
		})
	}
}

// What comes while a request is served is the next one, whole.
func TestRequestsInARow(t *testing.T) {
	b := newBlock()
	both(t, func() *http.Server { *b = *newBlock(); return config(b.serve) }, func(_ *testing.T, r *running) {
		u := r.dial()
		u.send(plainGet)
		first := <-b.begun
		time.Sleep(2 * watchAfter) // by then it is watched, mostly: both ways are right
		u.send("GET /second HTTP/1.1\r\nHo")
		time.Sleep(2 * watchAfter)
		b.free <- struct{}{}
		u.gets("done")
		<-first.Context().Done() // over with its request
		u.send("st: a\r\n\r\n")
		if got := (<-b.begun).URL.Path; got != "/second" {
			t.Errorf("the second request is for %s", got)
		}
		b.free <- struct{}{}
		u.gets("done")
	})
}

// A handler may return while another goroutine still reads the body: that one is sent away, and what comes later
// belongs to nobody.
func TestBodyReadByAnother(t *testing.T) {
	left := make(chan error, 1)
	both(t, func() *http.Server {
		return config(func(w http.ResponseWriter, r *http.Request) {
			begun := make(chan struct{})
			go func() {
				close(begun)
				_, err := io.ReadAll(r.Body)
				left <- err
			}()
			<-begun
			_, _ = io.WriteString(w, "enough")
		})
	}, func(t *testing.T, r *running) {
		for range 20 {
			u := r.dial()
			u.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123")
			u.gets("enough")
			if err := <-left; err == nil {
				t.Fatal("a body was whole that was not sent")
			}
			_ = u.Close()
		}
	})
}

// The same with a body that has come whole, many at once: the race detector's.
func TestBodyReadByAnotherAtItsEnd(t *testing.T) {
	var group sync.WaitGroup
	r := onSockets(t, config(func(w http.ResponseWriter, r *http.Request) {
		group.Go(func() { _, _ = io.Copy(io.Discard, r.Body) })
		_, _ = io.WriteString(w, "enough")
	}))
	for range 2 {
		group.Go(func() {
			u := r.dial()
			for range 200 {
				if _, err := io.WriteString(u, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123456789"); err != nil {
					t.Error(err)
					return
				}
				resp, err := http.ReadResponse(u.br, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if b, err := io.ReadAll(resp.Body); string(b) != "enough" {
					t.Error(string(b), err)
				}
				if resp.Close {
					_ = u.Close()
					u = r.dial()
				}
			}
		})
	}
	group.Wait()
}

// What a reader says late of its body is nothing to the next request.
func TestLateReaders(t *testing.T) {
	_, server := net.Pipe()
	c := newConn(New(config(hello)), server, t.Context())
	old, present := &requestContext{Context: c.ctx}, &requestContext{Context: c.ctx}
	c.watch.begin(old, false)
	c.watch.end()
	c.watch.begin(present, false)
	defer c.watch.end()
	if c.watch.bodyRead(old); c.watch.free {
		t.Error("another reads the connection while a body is read")
	}
	if c.watch.bodyRead(present); !c.watch.free {
		t.Error("the client is not watched")
	}
	if err := c.resp.SetReadDeadline(time.Now()); !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Errorf("the deadline of no body: %v", err)
	}
}

// A request's context is over when its handler has returned, whatever its client still has to send.
func TestContextEndsWithTheHandler(t *testing.T) {
	ctx := make(chan context.Context, 1)
	both(t, func() *http.Server {
		return config(func(w http.ResponseWriter, r *http.Request) {
			ctx <- r.Context()
			if r.URL.Path == "/panic" {
				panic(http.ErrAbortHandler)
			}
			hello(w, r)
		})
	}, func(_ *testing.T, r *running) {
		u := r.dial()
		u.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1")
		<-(<-ctx).Done()
		u.gets("hello")
		u.send("23456789" + plainGet)
		<-(<-ctx).Done()
		u.gets("hello")
		u.send("GET /panic HTTP/1.1\r\nHost: a\r\n\r\n")
		<-(<-ctx).Done()
		u.closed()
	})
}

func TestReadDeadlineReachesAReadUnderWay(t *testing.T) {
	left := make(chan error, 1)
	both(t, func() *http.Server {
		return config(func(w http.ResponseWriter, r *http.Request) {
			begun := make(chan struct{})
			go func() {
				close(begun)
				_, err := io.ReadAll(r.Body)
				left <- err
			}()
			<-begun
			_ = http.NewResponseController(w).SetReadDeadline(time.Now())
			err := <-left
			fmt.Fprint(w, errors.Is(err, os.ErrDeadlineExceeded))
		})
	}, func(t *testing.T, r *running) {
		u := r.dial()
		u.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123")
		if resp := u.gets("true"); !resp.Close {
			t.Error("the connection of a broken body is not said to be closed")
		}
		u.closed()
	})
}

// A large body that nobody reads costs the connection, and the client sees the answer before.
func TestLargeUnreadBody(t *testing.T) {
	r := onSockets(t, config(hello))
	for size, closes := range map[int]bool{maxRest: true, maxRest - 1: false} {
		u := r.dial()
		go func() {
			_, _ = fmt.Fprintf(u, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", size, strings.Repeat("x", size))
		}()
		if resp := u.gets("hello"); resp.Close != closes {
			t.Errorf("%d bytes unread: close %v", size, resp.Close)
		}
	}
}

// Nothing of an answer waits in a connection that is idle, nor comes with the next one.
func TestIdleConnectionsHoldNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := inMemory(t, config(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			for i := range r.ContentLength {
				w.Header().Set(fmt.Sprint("X-", i), "x")
			}
			_, _ = io.WriteString(w, "hello")
		}))
		defer r.close()
		u := r.dial()
		for _, n := range []int{3, 100, 2, 1} {
			u.send(fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", n, strings.Repeat("x", n)))
			if resp := u.gets("hello"); len(resp.Header) != n+3 { // Date, type, length
				t.Errorf("%d headers, not %d", len(resp.Header), n+3)
			}
			synctest.Wait()
			for _, c := range r.all() {
				if c.state.Load() != stateIdle || c.resp.writer.held != nil || c.resp.pending != nil || c.resp.body != nil || c.resp.asked != "" || len(c.resp.header) > 0 {
					t.Errorf("a connection that should be idle holds %+v", &c.resp)
				}
			}
		}
	})
}

func (s *Server) all() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*conn
	for c := range s.conns {
		all = append(all, c)
	}
	return all
}

// faulty is a listener whose first errors pass, and whose last does not.
type faulty struct {
	net.Listener
	n atomic.Int32
}

type exhausted struct{ timeoutError }

func (exhausted) Error() string   { return "too many open files" }
func (exhausted) Temporary() bool { return true }

var errBroken = errors.New("broken")

func (f *faulty) Accept() (net.Conn, error) {
	switch n := f.n.Add(1); {
	case n <= 5:
		return nil, exhausted{}
	case n == 7:
		return nil, errBroken
	}
	return f.Listener.Accept()
}

func TestAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{conns: make(chan net.Conn), closed: make(chan struct{})}
		var told bytes.Buffer
		r := &running{Server: New(config(hello)), t: t, l: m, memory: m, served: make(chan error, 1)}
		r.Log = slog.New(slog.NewTextHandler(&told, nil))
		go func() { r.served <- r.Serve(&faulty{Listener: m}) }()
		u := r.dial()
		u.send(plainGet)
		u.gets("hello")
		defer func() {
			if !strings.Contains(told.String(), "level=WARN") || !strings.Contains(told.String(), "no connection can be accepted") {
				t.Errorf("an operator is told %q", told.String())
			}
		}()
		if err := <-r.served; !errors.Is(err, errBroken) {
			t.Errorf("Serve ended with %v", err)
		}
		_ = r.Close()
	})
}

func TestBaseContextEnds(t *testing.T) {
	b := newBlock()
	synctest.Test(t, func(t *testing.T) {
		*b = *newBlock()
		base, cancel := context.WithCancel(context.Background())
		s := config(b.serve)
		s.BaseContext = func(net.Listener) context.Context { return base }
		r := inMemory(t, s)
		defer r.close()
		u := r.dial()
		u.send(plainGet)
		<-b.begun
		cancel()
		u.gets("cancelled")
	})
}

// HTTP/2 begins with its connection.
func TestNoChangeToHTTP2(t *testing.T) {
	r := onSockets(t, config(hello))
	u := r.dial()
	u.send(plainGet)
	u.gets("hello")
	u.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	if resp, _ := u.answered(); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("answered by %d", resp.StatusCode)
	}
	u.closed()
}

func TestContextOfARequest(t *testing.T) {
	r := &requestContext{Context: t.Context()}
	ran := make(chan string, 9)
	stop := context.AfterFunc(r, func() { ran <- "stopped" })
	kept := context.AfterFunc(r, func() { ran <- "kept" })
	child, cancel := context.WithCancel(r)
	defer cancel()
	if !stop() || stop() {
		t.Error("a function is not stopped, or twice")
	}
	if r.Err() != nil {
		t.Error("over before its end")
	}
	r.cancel(context.Canceled)
	r.cancel(errBroken)
	<-r.Done()
	<-child.Done()
	if got := <-ran; got != "kept" {
		t.Errorf("%s ran", got)
	}
	context.AfterFunc(r, func() { ran <- "late" })
	if got := <-ran; got != "late" || kept() {
		t.Errorf("%s ran", got)
	}
	if !errors.Is(context.Cause(r), context.Canceled) || !errors.Is(child.Err(), context.Canceled) {
		t.Errorf("ended by %v, its child by %v", context.Cause(r), child.Err())
	}
}

// A plain request costs its own memory, and no more comes of the server.
func TestAllocations(t *testing.T) {
	r := onSockets(t, config(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = textPlain
		_, _ = w.Write(helloBytes)
	}))
	u := r.dial()
	buf := make([]byte, 1<<10)
	ask := func() {
		if _, err := u.Write(getBytes); err != nil {
			t.Fatal(err)
		}
		if _, err := u.Read(buf); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	if n := testing.AllocsPerRun(200, ask); n > 8 {
		t.Errorf("%v allocations for a request", n)
	}
}

var (
	textPlain  = []string{"text/plain"}
	helloBytes = []byte("hello")
	getBytes   = []byte(plainGet)
)

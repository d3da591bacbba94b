package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// However many kept connections their server has closed, a request is sent once, on one that is open: a POST, too,
// though it was just used.
func TestClosedConnectionsAreReplaced(t *testing.T) {
	const kept = 5
	for name, end := range map[string]func(c net.Conn){
		"closed":      func(c net.Conn) { _ = c.Close() },
		"half closed": func(c net.Conn) { _ = c.(*net.TCPConn).CloseWrite() },
		"spoken on":   func(c net.Conn) { _, _ = io.WriteString(c, okAnswer) }, // to a request that nobody sent
	} {
		t.Run(name, func(t *testing.T) {
			var arrived sync.Map // bodies
			var ready sync.WaitGroup
			ready.Add(kept)
			close := make(chan struct{})
			at, dialled := raw(t, func(n int, conn net.Conn, r *bufio.Reader) {
				_, body, err := readRequest(r)
				if err != nil {
					return
				}
				arrived.Store(body, n)
				if n <= kept { // all at once, or they would be one connection
					ready.Done()
					ready.Wait()
				}
				_, _ = io.WriteString(conn, okAnswer)
				if n > kept {
					return
				}
				<-close
				end(conn)
				for { // what comes on it now was sent in vain
					_, body, err := readRequest(r)
					if err != nil {
						return
					}
					arrived.Store(body, n)
				}
			})
			h := hostOf(t, &Client{}, at)
			send := func(body string) {
				resp, err := h.Do(t.Context(), &Request{Method: "POST", Target: "/", Host: "h", Header: http.Header{}, Body: [][]byte{[]byte(body)}})
				if err != nil {
					t.Error(err)
				} else if got := readAll(t, resp); got != "ok" {
					t.Errorf("got %q", got)
				}
			}
			var group sync.WaitGroup
			for i := range kept {
				group.Go(func() { send(fmt.Sprint("first ", i)) })
			}
			group.Wait()
			close <- struct{}{}
			for range kept - 1 {
				close <- struct{}{}
			}
			for !ended(h) { // until it has arrived
				time.Sleep(100 * time.Microsecond)
			}
			send("second")
			if n, ok := arrived.Load("second"); !ok || n != kept+1 || dialled.Load() != kept+1 {
				t.Errorf("the request went to connection %v of %d", n, dialled.Load())
			}
		})
	}
}

// ended says that no kept connection is usable.
func ended(h *Host) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !slices.ContainsFunc(h.idle, (*conn).usable)
}

// A request that the system does not take at once arrives whole, and a connection on which that happened is kept.
func TestRequestsTakenInPieces(t *testing.T) {
	var conns atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %s", len(r.Header.Get("X-Large")), b)
	}))
	s.Config.MaxHeaderBytes = 8 << 20
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	h := hostOf(t, &Client{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err == nil {
			err = c.(*net.TCPConn).SetWriteBuffer(4 << 10)
		}
		return c, err
	}}, s.URL)
	large := strings.Repeat("x", 200<<10)
	for range 3 {
		resp, err := h.Do(t.Context(), &Request{Method: "POST", Target: "/", Host: "h", Header: http.Header{"X-Large": {large}}, Body: [][]byte{[]byte("body")}})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := readAll(t, resp), fmt.Sprint(len(large), " body"); got != want {
			t.Errorf("got %q", got)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// piece is what a server says when the time has come.
type piece struct {
	at   time.Duration
	text string
}

// asked sends a request to a server that answers so, and closes the connection behind the last piece if ends is set.
func asked(t *testing.T, r *Request, ends bool, pieces ...piece) (resp *http.Response, stop func()) {
	t.Helper()
	a, b := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, _, err := readRequest(bufio.NewReader(b)); err != nil {
			t.Error(err)
			return
		}
		begun := time.Now()
		for _, p := range pieces {
			time.Sleep(p.at - time.Since(begun))
			if _, err := io.WriteString(b, p.text); err != nil {
				return // nobody waits any more
			}
		}
		if ends {
			_ = b.Close()
		}
	}()
	c := &Client{Dial: func(context.Context, string, string) (net.Conn, error) { return a, nil }}
	resp, err := hostOf(t, c, "http://a").Do(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return resp, func() { _, _, _ = resp.Body.Close(), a.Close(), b.Close(); c.CloseIdle(); <-done }
}

const chunkedHead = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

// Each waits within the limits of a piece, and what is no piece does not begin them anew.
func TestEach(t *testing.T) {
	const between = 10 * time.Second
	for _, c := range []struct {
		name   string
		until  time.Duration
		ends   bool
		pieces []piece
		want   string
		err    error
		took   time.Duration
	}{
		{"pieces in time", 0, false, []piece{{0, chunkedHead + "1\r\na\r\n"}, {9 * time.Second, "1\r\nb\r\n"}, {18 * time.Second, "0\r\n\r\n"}}, "ab", io.EOF, 18 * time.Second},
		{"the first may take longer", 0, false, []piece{{0, chunkedHead}, {time.Minute, "1\r\na\r\n"}, {61 * time.Second, "0\r\n\r\n"}}, "a", io.EOF, 61 * time.Second},
		{"nothing more", 0, false, []piece{{0, chunkedHead + "1\r\na\r\n"}}, "a", os.ErrDeadlineExceeded, between},
		{"half a piece", 0, false, []piece{{0, chunkedHead + "1\r\na\r\n"}, {9 * time.Second, "1"}}, "a", os.ErrDeadlineExceeded, between},
		{"the end of all", 4 * time.Second, false, []piece{{0, chunkedHead + "1\r\na\r\n"}}, "a", os.ErrDeadlineExceeded, 4 * time.Second},
		{"a piece and half of the next", 0, false, []piece{{0, chunkedHead + "1\r\na\r\n"}, {9 * time.Second, "1\r\nb\r\n1"}, {18 * time.Second, "\r\nc\r\n0\r\n\r\n"}}, "abc", io.EOF, 18 * time.Second},
		{"many in time", 0, false, []piece{
			{0, chunkedHead + "1\r\na\r\n"}, {4 * time.Second, "1\r\nb\r\n"}, {8 * time.Second, "1\r\nc\r\n"}, {17 * time.Second, "1\r\nd\r\n"},
		}, "abcd", os.ErrDeadlineExceeded, 17*time.Second + between},
		{"cut off", 0, true, []piece{{0, chunkedHead + "1\r\na\r\n"}, {time.Second, ""}}, "a", io.ErrUnexpectedEOF, time.Second},
		{"ended by its connection", 0, true, []piece{{0, "HTTP/1.1 200 OK\r\n\r\na"}, {time.Second, "b"}, {2 * time.Second, ""}}, "ab", io.EOF, 2 * time.Second},
		{"several pieces at once", 0, false, []piece{{0, chunkedHead + "1\r\na\r\n1\r\nb\r\n"}, {time.Second, "1\r\nc\r\n0\r\n\r\n"}}, "abc", io.EOF, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := get("/")
				r.Between = between
				if c.until > 0 {
					r.Until = time.Now().Add(c.until)
				}
				begun := time.Now()
				resp, stop := asked(t, r, c.ends, c.pieces...)
				defer stop()
				b := resp.Body.(*body)
				var got []byte
				err := b.Each(func(p []byte) error {
					got = append(got, p...)
					return nil
				})
				if string(got) != c.want || !errors.Is(err, c.err) || time.Since(begun) != c.took {
					t.Errorf("%q, %v after %v; wanted %q, %v after %v", got, err, time.Since(begun), c.want, c.err, c.took)
				}
				again := b.Each(func(p []byte) error { t.Errorf("%q behind the end", p); return nil })
				if n, read := b.Read(make([]byte, 1)); n != 0 || !errors.Is(again, c.err) || !errors.Is(read, c.err) {
					t.Errorf("then %v, and %d, %v", again, n, read)
				}
			})
		})
	}
}

// A body that came in pieces is no reason to close its connection, however it was read.
func TestEachKeepsTheConnection(t *testing.T) {
	at, dialled := raw(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		for {
			if _, _, err := readRequest(r); err != nil {
				return
			}
			for _, p := range []string{chunkedHead, "2\r\nab", "\r\n", "0\r\n", "\r\n"} {
				if _, err := io.WriteString(conn, p); err != nil {
					return
				}
			}
		}
	})
	h := hostOf(t, &Client{}, at)
	for range 20 {
		r := get("/")
		r.Between = time.Minute
		resp, err := h.Do(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		b := resp.Body.(*body)
		var got []byte
		err = b.Each(func(p []byte) error {
			got = append(got, p...)
			return nil
		})
		if string(got) != "ab" || !errors.Is(err, io.EOF) {
			t.Fatalf("%q, %v", got, err)
		}
		_ = b.Close()
	}
	if n := dialled.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

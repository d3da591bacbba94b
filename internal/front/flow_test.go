package front

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const get2 = "GET /second HTTP/1.1\r\nHost: h\r\n\r\n"

// flowing returns a client whose next request is served in a flow.
func (r *running) flowing() *user {
	r.t.Helper()
	u := r.dial()
	u.send("GET /first HTTP/1.1\r\nHost: h\r\n\r\n")
	if _, body := u.answered(); body == "" {
		r.t.Fatal("no answer")
	}
	return u
}

func echo(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body)
	_, _ = fmt.Fprintf(w, "%s %d %.8s", r.URL.Path, len(b), b)
}

// none waits until the server holds no connection.
func (r *running) none() {
	r.t.Helper()
	for until := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		r.mu.Lock()
		n := len(r.conns)
		r.mu.Unlock()
		if n == 0 {
			return
		}
		if time.Now().After(until) {
			r.t.Fatalf("%d connections are still held", n)
		}
	}
}

// A client's end that comes with its last request, while that is served, or behind the answer, is seen though it wakes nobody again.
func TestFlowSeesTheEnd(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	r := onSockets(t, config(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			begun <- struct{}{}
			<-goOn
		}
		echo(w, r)
	}))
	ends := map[string]func(u *user){
		"with the request": func(u *user) {
			u.send(get2)
			_ = u.Conn.(*net.TCPConn).CloseWrite()
		},
		"while it is served": func(u *user) {
			u.send(strings.Replace(get2, "second", "slow", 1))
			<-begun
			_ = u.Conn.(*net.TCPConn).CloseWrite()
			goOn <- struct{}{}
		},
		"behind two at once": func(u *user) {
			u.send(get2 + get2)
			u.answered()
			_ = u.Conn.(*net.TCPConn).CloseWrite()
		},
		"behind half of one": func(u *user) {
			u.send(get2 + get2[:9])
			u.answered()
			_ = u.Conn.(*net.TCPConn).CloseWrite()
		},
	}
	for name, end := range ends {
		for range 25 {
			u := r.flowing()
			end(u)
			if _, err := io.Copy(io.Discard, u.br); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			_ = u.Close()
		}
	}
	u := r.flowing()
	_ = u.Conn.(*net.TCPConn).SetLinger(0)
	_ = u.Close()
	r.none()
}

// Requests that come whole, in pieces, several at once, large, or with line breaks between them follow each other as they like.
func TestFlowOfAllKinds(t *testing.T) {
	r := onSockets(t, config(echo))
	u := r.flowing()
	post := func(n int) string {
		return fmt.Sprintf("POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", n, strings.Repeat("x", n))
	}
	ask := func(want string, pieces ...string) {
		t.Helper()
		for i, p := range pieces {
			if i > 0 {
				time.Sleep(2 * time.Millisecond) // so that they come apart, nearly always
			}
			u.send(p)
		}
		if _, got := u.answered(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for range 3 {
		ask("/second 0 ", get2)
		ask("/p 5 xxxxx", post(5))
		ask("/p 5 xxxxx", post(5)[:20], post(5)[20:])
		ask("/p 5 xxxxx", post(5)[:len(post(5))-2], "xx")
		ask("/p 20000 xxxxxxxx", post(20000))
		ask("/second 0 ", "\r\n"+get2)
		u.send(post(3) + get2 + post(9000) + post(2))
		for _, want := range []string{"/p 3 xxx", "/second 0 ", "/p 9000 xxxxxxxx", "/p 2 xx"} {
			ask(want)
		}
	}
	ask("/p 3 xxx", "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxxx\r\n0\r\n\r\n") // handed over
	ask("/second 0 ", get2)
}

// What nobody read of a body is not the next request.
func TestFlowWithUnreadBodies(t *testing.T) {
	r := onSockets(t, config(hello))
	u := r.flowing()
	for range 3 {
		u.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nGET /" + get2)
		for range 2 {
			if resp, got := u.answered(); got != "hello" || resp.StatusCode != http.StatusOK {
				t.Errorf("%d %q", resp.StatusCode, got)
			}
		}
	}
}

// Close waits for no handler, and tells each that it is over.
func TestCloseDuringAFlow(t *testing.T) {
	b, told := newBlock(), make(chan error, 1)
	r := onSockets(t, config(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/second" {
			b.begun <- r
			<-r.Context().Done()
			<-b.free
			_, err := io.WriteString(w, "too late")
			told <- errors.Join(err, http.NewResponseController(w).Flush())
			return
		}
		hello(w, r)
	}))
	u := r.flowing()
	u.send(get2)
	<-b.begun
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	close(b.free)
	if err := <-told; err == nil {
		t.Error("the handler's answer was taken")
	}
	if got, err := io.ReadAll(u.br); len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
	r.none()
}

// A handler that gives up ends its connection and nothing else; a client that leaves ends its request.
func TestFlowEnds(t *testing.T) {
	gone := make(chan struct{})
	r := onSockets(t, config(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/wait":
			<-r.Context().Done()
			close(gone)
		default:
			hello(w, r)
		}
	}))
	u := r.flowing()
	u.send(strings.Replace(get2, "second", "abort", 1))
	if got, err := io.ReadAll(u.br); len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
	u = r.flowing()
	u.send(strings.Replace(get2, "second", "wait", 1))
	time.Sleep(watchAfter * 2)
	_ = u.Close()
	<-gone
	r.none()
}

func TestFlowIsIdle(t *testing.T) {
	s := config(hello)
	s.IdleTimeout = 300 * time.Millisecond
	r := onSockets(t, s)
	u := r.flowing()
	if got, err := io.ReadAll(u.br); len(got) > 0 || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	r.none()
}

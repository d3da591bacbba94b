package upstream

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// A deadline that an earlier request has left is no later one's, whether it rings before that is written, while its answer is
// waited for, or in the middle of the answer.
func TestEarlierDeadlines(t *testing.T) {
	t.Parallel()
	const soon = 100 * time.Millisecond
	at, dialled := raw(t, func(_ int, conn net.Conn, r *bufio.Reader) {
		for {
			_, pause, err := readRequest(r)
			if err != nil {
				return
			}
			d, err := time.ParseDuration(pause)
			if err != nil { // never
				_, _ = io.Copy(io.Discard, conn)
				return
			}
			time.Sleep(d)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
			time.Sleep(d)
			_, _ = io.WriteString(conn, "k")
		}
	})
	h := hostOf(t, &Client{}, at)
	ask := func(within time.Duration, pause string) (string, error) {
		r := &Request{Method: http.MethodPost, Target: "/", Host: "h", Header: http.Header{}, Body: [][]byte{[]byte(pause)}}
		if within > 0 {
			r.Until = time.Now().Add(within)
		}
		resp, err := h.Do(t.Context(), r)
		if err != nil {
			return "", err
		}
		defer func() { _ = resp.Body.Close() }()
		b, err := io.ReadAll(resp.Body)
		return string(b), err
	}
	const long = time.Minute
	for _, c := range []struct {
		after, within time.Duration
		pause         string
	}{
		{0, long, "0s"},
		{0, soon, "0s"},                    // sets one
		{2 * soon, long, "0s"},             // which has rung
		{0, soon, "0s"},                    // another
		{0, long, (2 * soon).String()},     // which rings before the head
		{0, soon, "0s"},                    // another
		{0, 0, (soon * 3 / 4).String()},    // which rings before the end; no limit at all
		{0, long, (soon * 3 / 4).String()}, // none is left
	} {
		time.Sleep(c.after)
		got, err := ask(c.within, c.pause)
		if late := c.within == soon && errors.Is(err, os.ErrDeadlineExceeded); got != "ok" && !late {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
	if n := dialled.Load(); n > 4 { // a slow machine may miss those that are due soon
		t.Errorf("%d connections", n)
	}
	if _, err := ask(soon, "never"); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("its own deadline: %v", err)
	}
}

// What must be written in several writes has its deadline, too.
func TestWriteDeadline(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	defer close(stop)
	at, _ := raw(t, func(int, net.Conn, *bufio.Reader) { <-stop })
	h := hostOf(t, &Client{}, at)
	for name, r := range map[string]*Request{
		"in memory": {Body: [][]byte{make([]byte, 32<<20)}},
		"streamed":  {Stream: io.NopCloser(strings.NewReader(strings.Repeat("x", 32<<20))), Length: 32 << 20},
	} {
		r.Method, r.Target, r.Host, r.Header = http.MethodPost, "/", "h", http.Header{}
		r.Until = time.Now().Add(50 * time.Millisecond)
		if _, err := h.Do(t.Context(), r); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package upstream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// streamed lets a server answer by f, and returns the body.
func streamed(t *testing.T, r *Request, f func(c net.Conn)) *body {
	t.Helper()
	at, _ := raw(t, func(_ int, conn net.Conn, rd *bufio.Reader) {
		for {
			if _, _, err := readRequest(rd); err != nil {
				return
			}
			_, _ = io.WriteString(conn, chunkedHead)
			f(conn)
		}
	})
	h := hostOf(t, &Client{}, at)
	resp, err := h.Do(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp.Body.(*body)
}

func chunkOf(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }

// The end of a connection that comes with the last data is seen at once, though it wakes nobody again.
func TestFlowSeesTheEnd(t *testing.T) {
	for i := range 100 {
		come := make(chan struct{})
		b := streamed(t, get("/"), func(c net.Conn) {
			_, _ = io.WriteString(c, chunkOf("one"))
			<-come
			_, _ = io.WriteString(c, chunkOf("two"))
			if i%2 == 0 {
				_ = c.(*net.TCPConn).CloseWrite()
				return
			}
			_ = c.Close()
		})
		var got strings.Builder
		err := b.Each(func(p []byte) error {
			if got.Write(p); got.String() == "one" {
				close(come)
			}
			return nil
		})
		if got.String() != "onetwo" || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%q, %v", got.String(), err)
		}
	}
}

// A flow has the limits of its pieces, each anew, and none once it is over.
func TestFlowLimits(t *testing.T) {
	t.Parallel()
	const between = 1500 * time.Millisecond
	r := get("/")
	r.Between = between
	pause := make(chan struct{})
	b := streamed(t, r, func(c net.Conn) {
		for range 4 {
			_, _ = io.WriteString(c, chunkOf("x"))
			time.Sleep(between / 3)
		}
		<-pause
	})
	defer close(pause)
	n := 0
	err := b.Each(func(p []byte) error { n += len(p); return nil })
	if n != 4 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// Whoever reads may end it, and the connection is kept only if the whole body was read.
func TestFlowEnds(t *testing.T) {
	planted := errors.New("planted")
	answers := func(c net.Conn) { _, _ = io.WriteString(c, chunkOf("one")+chunkOf("two")+"0\r\n\r\n") }
	b := streamed(t, get("/"), answers)
	if err := b.Each(func([]byte) error { return planted }); !errors.Is(err, planted) {
		t.Error(err)
	}
	if _ = b.Close(); len(b.c.host.idle) != 0 {
		t.Error("a connection with half an answer on it is kept")
	}
	b = streamed(t, get("/"), answers)
	var got []byte
	if err := b.Each(func(p []byte) error { got = append(got, p...); return nil }); !errors.Is(err, io.EOF) || string(got) != "onetwo" {
		t.Errorf("%q, %v", got, err)
	}
	if len(b.c.host.idle) != 1 {
		t.Error("the connection is not kept")
	}
	b.c.HungUp(0) // late: the connection is another's by now
	resp, err := b.c.host.Do(t.Context(), get("/"))
	if err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, resp); got != "onetwo" {
		t.Errorf("%q", got)
	}
}

// What net/http must read ends the flow, not the answer.
func TestFlowTurnsUnusual(t *testing.T) {
	b := streamed(t, get("/"), func(c net.Conn) {
		_, _ = io.WriteString(c, chunkOf("one"))
		_, _ = io.WriteString(c, "3;ext=1\r\ntwo\r\n0\r\nX-Last: word\r\n\r\n")
	})
	var got []byte
	err := b.Each(func(p []byte) error { got = append(got, p...); return nil })
	if string(got) != "onetwo" || !errors.Is(err, io.EOF) || b.resp.Trailer.Get("X-Last") != "word" {
		t.Errorf("%q, %v, trailer %v", got, err, b.resp.Trailer)
	}
}

// A context that ends, ends a flow that waits and one whose reader is at work.
func TestFlowIsCancelled(t *testing.T) {
	for _, busy := range []bool{false, true} {
		stop := make(chan struct{})
		b := streamed(t, get("/"), func(c net.Conn) {
			_, _ = io.WriteString(c, chunkOf("one"))
			<-stop
		})
		err := b.Each(func([]byte) error {
			go b.c.abort()
			for busy && !b.c.closed() {
				time.Sleep(time.Millisecond)
			}
			return nil
		})
		close(stop)
		if err == nil || errors.Is(err, io.EOF) || errors.Is(err, http.ErrBodyReadAfterClose) {
			t.Errorf("busy %v: %v", busy, err)
		}
	}
}

// closed says that the connection has been closed on this side.
func (c *conn) closed() bool { return c.net.SetDeadline(time.Time{}) != nil }

// Nothing is left of a flow whose reader panics: its connection is watched no more.
func TestFlowEndsByAPanic(t *testing.T) {
	b := streamed(t, get("/"), func(c net.Conn) { _, _ = io.WriteString(c, chunkOf("one")) })
	func() {
		defer func() {
			if v := recover(); v != "planted" {
				t.Errorf("recovered %v", v)
			}
		}()
		_ = b.Each(func([]byte) error { panic("planted") })
	}()
	if b.c.HungUp(0); b.c.hangs() {
		t.Error("the connection is still watched")
	}
	_ = b.Close() // and does not wait for the flow
}

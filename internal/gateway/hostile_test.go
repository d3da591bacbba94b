package gateway

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice.dev/sluice/internal/front"
	"sluice.dev/sluice/internal/release"
)

// smuggling are bytes that one server may take for one request and the next for two. wants is what the model's server
// must see in the end, "" nothing at all.
var smuggling = []struct{ name, wire, wants string }{
	{"plain", "POST /credit HTTP/1.1\r\nHost: gateway\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", "POST /credit abc"},
	{"two lengths that differ", "POST /credit HTTP/1.1\r\nHost: gateway\r\nContent-Length: 3\r\nContent-Length: 4\r\nConnection: close\r\n\r\nabcd", ""},
	{"two lengths that agree", "POST /credit HTTP/1.1\r\nHost: gateway\r\nContent-Length: 3\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", "POST /credit abc"},
	{"a list of lengths", "POST /credit HTTP/1.1\r\nHost: gateway\r\nContent-Length: 3, 3\r\nConnection: close\r\n\r\nabc", ""},
	{"a signed length", "POST /credit HTTP/1.1\r\nHost: gateway\r\nContent-Length: +3\r\nConnection: close\r\n\r\nabc", ""},
	{"a negative length", "POST /credit HTTP/1.1\r\nHost: gateway\r\nContent-Length: -1\r\nConnection: close\r\n\r\n", ""},
	{"an empty length", "POST /credit HTTP/1.1\r\nHost: gateway\r\nContent-Length:\r\nConnection: close\r\n\r\n", ""},
	{"a length in hexadecimal", "POST /credit HTTP/1.1\r\nHost: gateway\r\nContent-Length: 0x3\r\nConnection: close\r\n\r\nabc", ""},
	{"length and chunks", "POST /credit HTTP/1.1\r\nHost: gateway\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "POST /credit abc"},
	{"chunks twice", "POST /credit HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n", ""},
	{"chunks and another coding", "POST /credit HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked, identity\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n", ""},
	{"an unknown coding", "POST /credit HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: xchunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n", ""},
	{"a coding with a tab", "POST /credit HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding:\tchunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "POST /credit abc"},
	{"a coding with a control", "POST /credit HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: \x0bchunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n", ""},
	{"space before the colon", "POST /credit HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding : chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\n\r\n", ""},
	{"obsolete folding", "POST /credit HTTP/1.1\r\nHost: gateway\r\nX-A: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", "POST /credit abc"},
	{"folding before the first header", "POST /credit HTTP/1.1\r\n Host: gateway\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", ""},
	{"bare line feeds", "POST /credit HTTP/1.1\nHost: gateway\nContent-Length: 3\nConnection: close\n\nabc", "POST /credit abc"},
	{"a bare carriage return in a value", "POST /credit HTTP/1.1\r\nHost: gateway\r\nX-A: a\rContent-Length: 9\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", ""},
	{"a zero byte in a value", "POST /credit HTTP/1.1\r\nHost: gateway\r\nX-A: a\x00b\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", ""},
	{"chunk extensions", "POST /credit HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n", "POST /credit abc"},
	{"a chunk size with a sign", "POST /credit HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n+3\r\nabc\r\n0\r\n\r\n", ""},
	{"a chunk size in the air", "POST /credit HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n", ""},
	{"a chunk without its end", "POST /credit HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabcX0\r\n\r\n", ""},
	{"trailers that change the framing", "POST /credit HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n", "POST /credit abc"},
	{"absolute address", "POST http://elsewhere/credit HTTP/1.1\r\nHost: gateway\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", "POST /credit abc"},
	{"Connection names the length", "POST /credit HTTP/1.1\r\nHost: gateway\r\nContent-Length: 3\r\nConnection: close, Content-Length\r\n\r\nabc", "POST /credit abc"},
	{"no host", "POST /credit HTTP/1.1\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", ""},
	{"two hosts", "POST /credit HTTP/1.1\r\nHost: gateway\r\nHost: other\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", ""},
	{"HTTP/1.0 with chunks", "POST /credit HTTP/1.0\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "POST /credit "}, // without its chunks, and then it is closed
	{"a path with a space", "POST /credit x HTTP/1.1\r\nHost: gateway\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", ""},
	{"a method with a bracket", "PO[ST /credit HTTP/1.1\r\nHost: gateway\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc", ""},
	{"two requests at once", "GET /credit HTTP/1.1\r\nHost: gateway\r\n\r\nGET /credit HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n", "GET /credit |GET /credit "},
	{"a request in a body", "POST /credit HTTP/1.1\r\nHost: gateway\r\nContent-Length: 39\r\nConnection: close\r\n\r\nGET /credit?2 HTTP/1.1\r\nHost: gateway\r\n\r\n", "POST /credit GET /credit?2 HTTP/1.1\r\nHost: gateway"},
}

// seenBy is a handler that notes the requests it understood, whole bodies only.
func seenBy(mu *sync.Mutex, seen *[]string) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		mu.Lock()
		defer mu.Unlock()
		*seen = append(*seen, fmt.Sprintf("%s %s %s", r.Method, r.URL.Path, b))
	}
}

// Whatever a client sends, the model's server sees the requests that net/http alone would have seen: never more, never others.
// The stream goes both ways through the gateway: in memory and, because a selector is missing, streamed.
func TestSmuggling(t *testing.T) {
	for _, c := range smuggling {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			var behind, alone []string
			w := newWorld(t, credit(0))
			w.upstream("live", seenBy(&mu, &behind))
			w.net.serve(t, "oracle", seenBy(&mu, &alone))
			for _, host := range []string{"gateway", "oracle"} {
				conn, err := w.net.dial(t.Context(), "tcp", host+":80")
				if err != nil {
					t.Fatal(err)
				}
				go func() { _, _ = io.WriteString(conn, c.wire) }()
				// Until it closes: what a server does with the rest is its answer, too.
				_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			}
			mu.Lock()
			defer mu.Unlock()
			if got, want := strings.Join(behind, "|"), strings.Join(alone, "|"); got != want {
				t.Errorf("behind the gateway %q, alone %q", got, want)
			}
			if got := strings.Join(behind, "|"); !strings.HasPrefix(got, c.wants) || c.wants == "" && got != "" {
				t.Errorf("the server saw %q, want %q", got, c.wants)
			}
		})
	}
}

// Bombs of headers are refused before they cost much, by either protocol.
func TestHeaderBombs(t *testing.T) {
	w := newWorld(t, credit(0, headerOnly))
	w.upstream("live", func(http.ResponseWriter, *http.Request) { t.Error("it reached the model's server") })
	for _, c := range []struct {
		name   string
		header func(i int) string
		n      int
	}{
		{"one large", func(int) string { return "X-A: " + strings.Repeat("x", 1<<20) + "\r\n" }, 1},
		{"many small", func(i int) string { return fmt.Sprintf("X-%d: y\r\n", i) }, 20_000},
		{"never ending", func(int) string { return "X-A: " + strings.Repeat("x", 1000) + "\r\n" }, 100_000},
	} {
		conn := w.dial(t)
		sent := make(chan int, 1)
		go func() {
			n, _ := io.WriteString(conn, "GET /credit HTTP/1.1\r\nHost: gateway\r\nX-User-Id: u\r\n")
			for i := range c.n {
				m, err := io.WriteString(conn, c.header(i))
				if n += m; err != nil {
					break
				}
			}
			_, _ = io.WriteString(conn, "\r\n")
			sent <- n
		}()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%s: %+v, %v", c.name, resp, err)
		}
		_ = conn.Close()
		if n := <-sent; n > 1<<20 {
			t.Errorf("%s: %d bytes were taken", c.name, n)
		}
	}
	r := w.request("GET", "/credit", "", "X-User-Id", "u")
	for i := range 800 { // more than Limits.Header, less than what the server itself refuses
		r.Header.Set(fmt.Sprintf("X-%d", i), strings.Repeat("x", 90))
	}
	resp, err := w.h2c().Do(r)
	if err != nil || resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Fatalf("by HTTP/2: %+v, %v", resp, err)
	}
	_ = resp.Body.Close()
}

// frame is one of HTTP/2.
func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	b := make([]byte, 9, 9+len(payload))
	b[0], b[1], b[2] = byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload))
	b[3], b[4] = kind, flags
	binary.BigEndian.PutUint32(b[5:], stream)
	return append(b, payload...)
}

// requestBlock is "GET /credit" for "http://gateway" in HPACK, from the static table and plain literals.
func requestBlock() []byte {
	literal := func(b []byte, name byte, value string) []byte {
		return append(append(b, name, byte(len(value))), value...)
	}
	b := []byte{0x82, 0x86}            // :method GET, :scheme http
	b = literal(b, 0x04, "/credit")    // :path
	return literal(b, 0x01, "gateway") // :authority
}

// http2Conn opens a connection below HTTP/2 and reads away what the server says; closed is told when it has ended.
func (w *world) http2Conn(t *testing.T) (conn net.Conn, closed chan error) {
	t.Helper()
	conn = w.dial(t)
	closed = make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, conn)
		closed <- err
	}()
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(frame(4, 0, 0, nil)); err != nil {
		t.Fatal(err)
	}
	return conn, closed
}

// Rapid reset (CVE-2023-44487): a client that opens and resets streams without end is thrown out, and never has more
// requests at the model's server than one connection may.
func TestRapidReset(t *testing.T) {
	w := newWorld(t, credit(0))
	var now, most atomic.Int64
	w.upstream("live", func(_ http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 1 && r.Header.Get("X-User-Id") != "" {
			return
		}
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-r.Context().Done()
	})
	conn, closed := w.http2Conn(t)
	block := requestBlock()
	var err error
	streams := 0
	// net/http does not even begin a request whose reset it has read already: on one core that may be nearly all of them.
	for id := uint32(1); id < 4000*maxGone && err == nil; id += 2 {
		if _, err = conn.Write(append(frame(1, 0x5, id, block), frame(3, 0, id, []byte{0, 0, 0, 8})...)); err == nil {
			streams++
		}
	}
	if err == nil {
		t.Errorf("%d streams were opened and reset, and the connection lives", streams)
	}
	<-closed
	if m := most.Load(); m > 2*maxGone {
		t.Errorf("%d requests at once reached the server", m)
	}
	if begun := w.counter(nameRequests, "class", "cancelled"); begun > 5*maxGone {
		t.Errorf("%v requests of %d streams were begun", begun, streams)
	}
	if got := w.do("GET", "/credit", "", "X-User-Id", "another"); got.status != 200 {
		t.Errorf("others are not served: %+v", got)
	}
}

// Continuation flood (CVE-2023-45288): a head without an end is cut off, not kept.
func TestContinuationFlood(t *testing.T) {
	w := newWorld(t, credit(0))
	w.upstream("live", func(http.ResponseWriter, *http.Request) { t.Error("it reached the model's server") })
	conn, closed := w.http2Conn(t)
	_, err := conn.Write(frame(1, 0x1, 1, requestBlock())) // no END_HEADERS
	literal := append([]byte{0x00, 0x01, 'x', 0x7f, 0x81, 0x7d}, bytes.Repeat([]byte{'y'}, 16_000)...)
	sent := 0
	for err == nil && sent < 64<<20 {
		var n int
		n, err = conn.Write(frame(9, 0, 1, literal))
		sent += n
	}
	if err == nil {
		t.Errorf("%d bytes of a head were taken", sent)
	}
	<-closed
}

// A client that sends its head or its body drop by drop, or reads the answer so, holds nothing but its own connection: see
// TestSlowloris and TestWire3_6_SlowClient. Others are served meanwhile.
func TestSlowClientsHoldNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, credit(0, headerOnly))
		w.upstream("live", echo("v1"))
		var conns []net.Conn
		for range 200 {
			conn := w.dial(t)
			conns = append(conns, conn)
			if _, err := io.WriteString(conn, "POST /credit HTTP/1.1\r\nHost: gateway\r\n"); err != nil {
				t.Fatal(err)
			}
		}
		begun := time.Now()
		if got := w.do("GET", "/credit", "", "X-User-Id", "u"); got.status != 200 || time.Since(begun) != 0 {
			t.Errorf("%+v after %v", got, time.Since(begun))
		}
		for _, c := range conns {
			_ = c.Close()
		}
	})
}

// An upstream's answer never becomes two, and nothing of it becomes the gateway's word: see TestUpstreamFaults for the rest.
func TestResponseSplitting(t *testing.T) {
	for name, answer := range map[string]string{
		"a second answer behind the first": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nX-Injected: 1\r\nContent-Length: 6\r\n\r\npoison",
		"a second answer in a chunk":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nX-Injected: 1\r\nContent-Length: 0\r\n\r\n",
		"a line feed in a trailer":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n2\r\nok\r\n0\r\nX-T: a\r\n\r\nX-Injected: 1\r\n\r\n",
	} {
		w := newWorld(t, credit(0, headerOnly))
		w.rawUpstream("live", func(c net.Conn, r *bufio.Reader) {
			_, _ = io.WriteString(c, answer)
			_, _ = r.ReadByte()
		})
		for range 3 {
			got := w.do("GET", "/credit", "", "X-User-Id", "u")
			if got.status != 200 || got.body != "ok" || got.header.Get("X-Injected") != "" {
				t.Errorf("%s: %+v", name, got)
			}
		}
	}
}

// An upstream that never ends its answer is ended by the version's time limit; one that never ends its head by its size.
func TestEndlessUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, credit(0, headerOnly))
		w.upstream("live", func(rw http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := rw.Write(make([]byte, 1000)); err != nil {
					return
				}
				_ = http.NewResponseController(rw).Flush()
				select {
				case <-time.After(100 * time.Millisecond):
				case <-r.Context().Done():
				}
			}
		})
		got := w.do("GET", "/credit", "", "X-User-Id", "u")
		if got.err == nil || len(got.body) == 0 {
			t.Errorf("%d bytes, %v", len(got.body), got.err)
		}
		if e := w.sink.wait(t, 1)[0]; e.Fault != release.FaultTimeout || e.Flags != release.FlagTruncated || e.Latency != 30_000_000 {
			t.Errorf("recorded %+v", e)
		}
	})
}

// FuzzUpstream lets a model's server say anything, through the whole gateway. The client gets what net/http's own client would
// have got from that server, or one of the gateway's errors; there is one exposure, and no panic.
func FuzzUpstream(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: a\n\ndata: b", "garbage", "",
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "HTTP/1.1 999 What\r\nX-Sluice-Id: x\r\nConnection: X-B\r\nX-B: b\r\nContent-Length: 0\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		w := newWorld(t, credit(0, headerOnly, decision))
		w.rawUpstream("live", func(c net.Conn, _ *bufio.Reader) { _, _ = c.Write(answer) })
		conn := w.dial(t)
		go func() {
			_, _ = io.WriteString(conn, "GET /credit HTTP/1.1\r\nHost: gateway\r\nX-User-Id: u\r\nConnection: close\r\n\r\n")
		}()
		r := bufio.NewReader(conn)
		resp, err := http.ReadResponse(r, nil)
		for err == nil && resp.StatusCode < 200 {
			resp, err = http.ReadResponse(r, nil)
		}
		if err != nil {
			t.Fatalf("the client got no answer: %v", err)
		}
		_, err = io.ReadAll(resp.Body)
		_ = conn.Close()
		if resp.Header.Get(HeaderID) == "" {
			t.Error("no exposure id, or the upstream's")
		}
		e := w.sink.wait(t, 1)[0]
		if int(e.Status) != resp.StatusCode || err != nil && e.Flags&release.FlagTruncated == 0 {
			t.Errorf("the client got %d, %v; recorded %+v", resp.StatusCode, err, e)
		}
		if n, err := w.registry.Gather(); err != nil || len(n) == 0 || w.gateway.memory.used.Load() != 0 {
			t.Error("something was left behind")
		}
	})
}

// Thousands of connections that have asked and wait cost little each. Both ends are here, so it needs twice as many files and runs on request
// (10,000 with the ends in two processes: go run ./bench/gateway -only idle):
// SLUICE_LONG=1 go test -run TestIdleConnections ./internal/gateway
func TestIdleConnections(t *testing.T) {
	clients := 100
	if long(t) {
		clients = 9000
	}
	w := newWorld(t, credit(0, headerOnly), func(o *Options) { o.Dial = nil })
	at := rawServer(t, []byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
	spec := credit(0, headerOnly)
	spec.Models[0].Arms[0].Spec.URL = "http://" + at
	w.serve(spec)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := front.New(NewServer(w.gateway, w.gateway.opts.Logger))
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	defer func() { _ = s.Close(); <-done }()
	ask := func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		req := "POST /credit HTTP/1.1\r\nHost: gateway\r\nX-User-Id: u\r\nContent-Length: " + strconv.Itoa(len(rawEnd)) + "\r\n\r\n" + rawEnd
		if _, err := io.WriteString(c, req); err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 12)
		if _, err := io.ReadFull(c, head); err != nil || string(head) != "HTTP/1.1 200" {
			t.Fatalf("%q, %v", head, err)
		}
		return c
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2)) // each processor keeps memory of its own: with 32 of them twice as much
	_ = ask().Close()
	before := inUse()
	conns := make([]net.Conn, clients)
	for i := range conns {
		conns[i] = ask()
	}
	per := float64(inUse()-before) / float64(clients) / 1024
	t.Logf("%.1f KiB for each of %d connections, the client's end included", per, clients)
	if per > 24 { // 20 for the gateway, the rest for the test's own end
		t.Errorf("%.1f KiB per idle connection", per)
	}
	for _, c := range conns {
		_ = c.Close()
	}
}

// inUse is the memory of heap and stacks after a collection.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

package front

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// net/http's server is the oracle: what a handler sees here, and what a client gets, is what it would have been there.

// pair is a server of ours and one of net/http, with the same handler.
type pair struct {
	ours, theirs string // addresses
	cases        sync.Map
}

// witness is what happened on one connection.
type witness struct {
	script script

	mu   sync.Mutex
	seen []string
	head []string // the methods of the requests
}

func (w *witness) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, fmt.Sprintf(format, args...))
}

type script struct {
	name string
	run  func(w http.ResponseWriter, r *http.Request, note func(format string, args ...any))
	// The body is not read to its end. net/http reads the rest before it answers, and so says that it closes the
	// connection if that is torn, which here is found out behind the answer.
	unread bool
}

func speaks() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return p
}

func newPair(t testing.TB) *pair {
	p := new(pair)
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		v, _ := p.cases.Load(r.RemoteAddr)
		c := v.(*witness)
		c.mu.Lock()
		c.head = append(c.head, r.Method)
		c.mu.Unlock()
		c.note("%s %q %q %s %d %q %v %q %v", r.Method, r.RequestURI, r.Host, r.Proto, r.ContentLength, r.TransferEncoding, r.Close, r.URL, sorted(r.Header))
		if _, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); !ok || r.Context().Value(http.ServerContextKey) == nil {
			c.note("the context lacks something")
		}
		c.script.run(w, r, c.note)
	})
	quiet := log.New(io.Discard, "", 0)
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	mine, plain := listen(), listen()
	ours := New(&http.Server{Handler: h, ErrorLog: quiet, Protocols: speaks(), ReadHeaderTimeout: time.Minute})
	theirs := &http.Server{Handler: h, ErrorLog: quiet, Protocols: speaks(), ReadHeaderTimeout: time.Minute}
	p.ours, p.theirs = mine.Addr().String(), plain.Addr().String()
	var group sync.WaitGroup
	group.Go(func() { _ = ours.Serve(mine) })
	group.Go(func() { _ = theirs.Serve(plain) })
	t.Cleanup(func() { _, _ = ours.Close(), theirs.Close(); group.Wait() })
	return p
}

func sorted(h http.Header) string {
	var lines []string
	for name, values := range h {
		if name != "Date" || len(values) != 1 || len(values[0]) != len(http.TimeFormat) || values[0] == oldDate {
			lines = append(lines, fmt.Sprintf("%s: %q", name, values))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "; ")
}

const oldDate = "Sun, 06 Nov 1994 08:49:37 GMT"

// ask sends bytes, in pieces of a size if it is above 0, and ends its side. It returns what came of that. reset says
// that the server closed the connection while more came, as net/http does behind garbage: what it said may be lost.
func (p *pair) ask(t testing.TB, address string, sent []byte, piece int, s script) (seen, got []string, reset bool) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(time.Minute))
	w := &witness{script: s}
	p.cases.Store(c.LocalAddr().String(), w)
	defer p.cases.Delete(c.LocalAddr().String())
	refused := make(chan bool, 1) // a reset is told once, to who writes or to who reads
	go func() {
		var err error
		defer func() { refused <- err != nil }()
		if piece <= 0 {
			piece = len(sent)
		}
		for rest := sent; len(rest) > 0; {
			n := min(piece, len(rest))
			if _, err = c.Write(rest[:n]); err != nil {
				return // the server has seen enough
			}
			rest = rest[n:]
		}
		err = c.(*net.TCPConn).CloseWrite()
	}()
	all, err := io.ReadAll(c)
	reset = <-refused || err != nil
	if errors.Is(err, errTimeout) {
		t.Fatalf("%q is not answered to its end: %q", sent, all)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	torn := slices.ContainsFunc(w.seen, func(s string) bool { return strings.Contains(s, "unexpected EOF") })
	return w.seen, answers(all, w.head, s.unread || torn), reset
}

var errTimeout = error(interface {
	error
	Timeout() bool
}(timeoutError{}))

type timeoutError struct{}

func (timeoutError) Error() string   { return "timeout" }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Is(e error) bool { n, ok := e.(net.Error); return ok && n.Timeout() }

// answers puts what a server sent into words. torn: whether the last one says that the connection is closed may differ.
func answers(b []byte, methods []string, torn bool) []string {
	var out []string
	br := bufio.NewReader(bytes.NewReader(b))
	for i := 0; ; {
		rest, _ := br.Peek(br.Size())
		if len(rest) == 0 {
			break
		}
		method := "GET"
		if i < len(methods) {
			method = methods[i]
		}
		whole := bytes.Clone(rest)
		resp, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			out = append(out, fmt.Sprintf("no answer: %q", whole))
			break
		}
		body, err := io.ReadAll(resp.Body)
		last := br.Buffered() == 0
		closes := resp.Close
		if last && torn {
			closes = false
			delete(resp.Header, "Connection")
		}
		out = append(out, fmt.Sprintf("%s %s [%s] %d %q %q %v close=%v trailers [%s]", resp.Proto, resp.Status, sorted(resp.Header), resp.ContentLength,
			resp.TransferEncoding, body, err, closes, sorted(resp.Trailer)))
		if resp.StatusCode >= 200 {
			i++
		}
	}
	return out
}

var preface = []byte("PRI * HTTP/2.0")

// compare says what differs.
func (p *pair) compare(t testing.TB, sent []byte, piece int, s script) {
	t.Helper()
	wantSeen, want, theirs := p.ask(t, p.theirs, sent, 0, s)
	gotSeen, got, ours := p.ask(t, p.ours, sent, piece, s)
	if bytes.Index(sent, preface) > 0 {
		return // net/http takes it for a request of HTTP/1 there
	}
	if !slices.Equal(gotSeen, wantSeen) {
		t.Errorf("%s, %.300q in pieces of %d\nthe handler saw\n%.2000q\nand with net/http\n%.2000q", s.name, sent, piece, gotSeen, wantSeen)
	}
	if !slices.Equal(got, want) && !bytes.HasPrefix(sent, preface) && !ours && !theirs {
		t.Errorf("%s, %.300q in pieces of %d\nthe client got\n%s\nand with net/http\n%s", s.name, sent, piece, short(got), short(want))
	}
}

func short(lines []string) string {
	var b strings.Builder
	for _, l := range lines {
		if len(l) > 1000 {
			l = fmt.Sprintf("%s ... %d bytes ... %s", l[:500], len(l)-800, l[len(l)-300:])
		}
		b.WriteString(l + "\n")
	}
	return b.String()
}

type notes = func(format string, args ...any)

// write writes and notes what came of it.
func write(w http.ResponseWriter, note notes, text string) {
	n, err := io.WriteString(w, text)
	note("wrote %d %v", n, err)
}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

func readBody(r *http.Request, note notes) error {
	b, err := io.ReadAll(r.Body)
	note("body %q %v trailer %s", b, err, sorted(r.Trailer))
	return err
}

var long = strings.Repeat("0123456789", 300)

var scripts = []script{
	{name: "echo", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		w.Header().Set("X-Target", r.RequestURI)
		write(w, note, "it is "+r.Method)
	}},
	{name: "nothing", unread: true, run: func(http.ResponseWriter, *http.Request, notes) {}},
	{name: "long at once", unread: true, run: func(w http.ResponseWriter, _ *http.Request, note notes) { write(w, note, long) }},
	{name: "long in pieces", unread: true, run: func(w http.ResponseWriter, _ *http.Request, note notes) {
		for i := range 30 {
			write(w, note, long[i*100:(i+1)*100])
		}
	}},
	{name: "type in several writes", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		write(w, note, "<")
		write(w, note, "html>")
		write(w, note, long)
	}},
	{name: "type with a length", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		w.Header().Set("Content-Length", "6")
		write(w, note, "<")
		write(w, note, "html>")
	}},
	{name: "encoded", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		w.Header().Set("Content-Encoding", "gzip")
		write(w, note, "<html>")
	}},
	{name: "no type wanted", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		w.Header()["Content-Type"] = nil
		write(w, note, "<html>")
	}},
	{name: "flushes", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		w.Header().Set("Content-Type", "text/event-stream")
		flush(w)
		for range 3 {
			write(w, note, "data: x\n\n")
			flush(w)
		}
	}},
	{name: "flush behind the first", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		write(w, note, "%PDF-")
		flush(w)
	}},
	{name: "large", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		w.Header().Set("Content-Length", fmt.Sprint(40*len(long)))
		write(w, note, strings.Repeat(long, 40))
	}},
	{name: "large chunks", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		write(w, note, strings.Repeat(long, 10))
		write(w, note, strings.Repeat(long, 10))
		write(w, note, "end")
	}},
	{name: "too little", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		w.Header().Set("Content-Length", "10")
		write(w, note, "12345")
	}},
	{name: "nothing of a length", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		w.Header().Set("Content-Length", "10")
	}},
	{name: "too much", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		w.Header().Set("Content-Length", "5")
		write(w, note, "12345")
		write(w, note, "678")
	}},
	{name: "too much at once", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		w.Header().Set("Content-Length", "5")
		write(w, note, "12345678")
	}},
	{name: "204", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		w.Header().Set("Content-Type", "text/x-a")
		w.Header().Set("Content-Length", "4")
		w.WriteHeader(http.StatusNoContent)
		write(w, note, "body")
	}},
	{name: "304", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		w.Header().Set("Etag", `"a"`)
		w.Header().Set("Content-Type", "text/x-a")
		w.Header().Set("Content-Length", "4")
		w.WriteHeader(http.StatusNotModified)
		write(w, note, "body")
		flush(w)
	}},
	{name: "trailers announced", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		w.Header().Set("Trailer", "X-Sum, x-other")
		write(w, note, "body")
		w.Header().Set("X-Sum", "1")
		w.Header().Set("X-Other", "2")
	}},
	{name: "trailers unannounced", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		write(w, note, "body")
		flush(w)
		w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
	}},
	{name: "early hints", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		w.Header().Set("Link", "</a>")
		w.Header().Set("Content-Length", "3")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Content-Length", "5")
		w.WriteHeader(http.StatusProcessing)
		write(w, note, "after")
	}},
	{name: "closes", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		w.Header().Set("Connection", "close")
		write(w, note, "bye")
	}},
	{name: "closes, unread", unread: true, run: func(w http.ResponseWriter, _ *http.Request, note notes) {
		w.Header().Set("Connection", "close")
		write(w, note, "bye")
	}},
	{name: "odd headers", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		h := w.Header()
		h["X-Lines"] = []string{"a\r\nX-Smuggled: 1", " trimmed\t"}
		h["Bad Name"] = []string{"x"}
		h["X:Y"] = []string{"x"}
		h["Empty"] = []string{""}
		h["None"] = []string{}
		h["Date"] = []string{oldDate}
		h["Connection"] = []string{"x-hop"}
		w.WriteHeader(599)
		h["X-Late"] = []string{"x"}
		w.WriteHeader(http.StatusOK)
		write(w, note, "body")
	}},
	{name: "no date", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		w.Header()["Date"] = nil
		w.WriteHeader(799)
	}},
	{name: "panics", run: func(_ http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		panic("at the disco")
	}},
	{name: "panics behind a little", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		write(w, note, "a little")
		panic(http.ErrAbortHandler)
	}},
	{name: "panics behind all of a length", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		w.Header().Set("Content-Length", "8")
		w.Header().Set("Content-Type", "text/x-a")
		write(w, note, "a little")
		panic(http.ErrAbortHandler)
	}},
	{name: "panics behind a flush and a part", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		w.Header().Set("Content-Length", "8")
		flush(w)
		write(w, note, "a")
		panic(http.ErrAbortHandler)
	}},
	{name: "aborts behind a flush", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		write(w, note, "a little")
		flush(w)
		panic(http.ErrAbortHandler)
	}},
	{name: "bad status", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = readBody(r, note)
		w.WriteHeader(99)
	}},
	{name: "reads a little", unread: true, run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_, err := io.ReadFull(r.Body, make([]byte, 3))
		note("read %v", err)
		write(w, note, "enough")
	}},
	{name: "closes the body", unread: true, run: func(w http.ResponseWriter, r *http.Request, note notes) {
		_ = r.Body.Close()
		_, err := r.Body.Read(make([]byte, 3))
		note("read %v", r.ContentLength == 0 || errors.Is(err, http.ErrBodyReadAfterClose))
		write(w, note, "enough")
	}},
	{name: "reads elsewhere", run: func(w http.ResponseWriter, r *http.Request, note notes) {
		read := make(chan error)
		go func() { read <- readBody(r, note) }()
		if <-read == nil { // behind an error net/http says io.EOF, as if all were well
			_, err := r.Body.Read(make([]byte, 1))
			note("again %v", err)
		}
		write(w, note, "elsewhere")
	}},
}

func request(lines ...string) string { return strings.Join(lines, "\r\n") + "\r\n\r\n" }

var plainRequests = []string{
	request("GET / HTTP/1.1", "Host: a"),
	request("HEAD /h?q=1&q=2 HTTP/1.1", "Host: a:80", "User-Agent: b", "X-A: 1", "X-A:2", "x-b:\t \"c\" ", "X-Empty:"),
	request("POST /p HTTP/1.1", "Host: a", "Content-Length: 5") + "12345",
	request("GET /close HTTP/1.1", "Host: a", "Connection: close"),
	request("POST / HTTP/1.1", "Host: a", "Connection: keep-alive", "Content-Length: 0"),
	request("PUT //b/../c HTTP/1.1", "Host: [::1]:80", "Content-Length: 3") + "abc" + request("GET /next HTTP/1.1", "Host: a"),
}

// Each way to answer, to each usual request, three of them on one connection.
func TestAnswersAreThoseOfTheStandardServer(t *testing.T) {
	p := newPair(t)
	for _, s := range scripts {
		for _, r := range plainRequests {
			p.compare(t, []byte(r+r+plainRequests[0]), 0, s)
			if t.Failed() {
				break
			}
		}
	}
}

var oddRequests = []string{
	"",
	"\r\n",
	"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1\nHost: a\n\n",
	"GET / HTTP/1.1\r\nHost: a\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\n\n",
	"GET / HTTP/1.1\r\n\r\n",
	"GET / HTTP/1.1\r\nHost:\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
	"GET / HTTP/1.0\r\n\r\n",
	"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n",
	"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
	"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
	" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
	"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX\x00: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX: \xff\xc3\xa9\r\n\r\n",
	"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET http://b/c HTTP/1.1\r\nHost: a\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
	"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
	"get / HTTP/1.1\r\nHost: a\r\n\r\n",
	"G=T / HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n12345",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n123456",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n12345",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n12345",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n12345",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n12345",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n12345",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 005\r\n\r\n12345GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n12345",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n\r\n12345",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3;x=y\r\nabc\r\n0\r\nX-T: 1\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
	"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n12345",
	"POST / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\nContent-Length: 5\r\n\r\n12345",
	"GET / HTTP/1.1\r\nHost: a\r\nTrailer: X\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Hop\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: CLOSE\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nPragma: no-cache\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 8100) + "\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 9000) + "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /" + strings.Repeat("y", 20000) + " HTTP/1.1\r\nHost: a\r\n\r\n",
	"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\n",
	"GET / HTTP/1.1\r\nHo",
	"GET / HT",
	"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHo",
	"GET / HTTP/1.1\r\nHost: a\r\n\r\ngarbage\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n00",
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n0000",
	"GET / HTTP/1.1\r\nHost: a\r\n\r\nPRI 0",
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n0\n",
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1\r\n0",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1\r\n\n\n\n",
	"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1\r\n00",
}

func TestOddRequestsAreServedAsByTheStandardServer(t *testing.T) {
	p := newPair(t)
	for _, r := range oddRequests {
		p.compare(t, []byte(r), 0, scripts[0])
		p.compare(t, []byte(plainRequests[2]+r), 7, scripts[0])
		p.compare(t, []byte(r), 1+len(r)/800, scripts[2])
	}
}

func FuzzServer(f *testing.F) {
	for i, r := range slices.Concat(plainRequests, oddRequests) {
		f.Add([]byte(r), byte(i%5), byte(i))
		f.Add([]byte(plainRequests[2]+r+plainRequests[0]), byte(0), byte(0))
	}
	p := newPair(f)
	f.Fuzz(func(t *testing.T, sent []byte, piece, which byte) {
		if len(sent) > 32<<10 {
			return
		}
		p.compare(t, sent, int(piece), scripts[int(which)%len(scripts)])
	})
}

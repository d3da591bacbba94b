package head

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// responses are heads of answers. Those of GET if nothing else is said.
var responses = []struct {
	name, head string
	method     string
	want       Verdict
}{
	{"least", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", Plain},
	{"of a model server", "HTTP/1.1 200 OK\r\ndate: Sat, 28 Nov 2026 23:00:00 GMT\r\nserver: uvicorn\r\ncontent-length: 512\r\ncontent-type: application/json\r\nx-request-id: 7\r\n\r\n{", "POST", Plain},
	{"of a stream", "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\nCache-Control: no-cache\r\n\r\n5\r\n", "POST", Plain},
	{"no text", "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\n", "", Plain},
	{"an empty text", "HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\n", "", Plain},
	{"spaces in and around the text", "HTTP/1.1 404  Not  Found \r\nContent-Length: 1\r\n\r\n", "", Plain},
	{"a tab and high bytes in the text", "HTTP/1.1 404 a\tb\xff\r\nContent-Length: 1\r\n\r\n", "", Plain},
	{"odd case", "HTTP/1.1 200 OK\r\ncoNTent-lENgth: 1\r\nx-A-bC: d\r\n-a--b-: e\r\n1a-2B: f\r\n\r\n", "", Plain},
	{"large letters alone", "HTTP/1.1 204 NO\r\nABC: d\r\nX-Y: z\r\n\r\n", "", Plain},
	{"values empty and in spaces", "HTTP/1.1 200 OK\r\nContent-Length:\t 1 \t\r\nA:\r\nB: \r\nC: \t x y\t \r\n\r\n", "", Plain},
	{"high bytes in a value", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nA: \xc3\xa9\xff\x80\r\n\r\n", "", Plain},
	{"the same name again", "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nContent-Length: 1\r\nset-cookie: b=2\r\nVary: x\r\nSET-COOKIE: a=1\r\n\r\n", "", Plain},
	{"all token bytes", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n", "", Plain},
	{"colons in a value", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nA::b:\r\n\r\n", "", Plain},
	{"zeros before a length", "HTTP/1.1 200 OK\r\nContent-Length: 007\r\n\r\n", "", Plain},
	{"the largest length", "HTTP/1.1 200 OK\r\nContent-Length: 999999999999999999\r\n\r\n", "", Plain},
	{"chunks by another case", "HTTP/1.1 200 OK\r\nTransfer-Encoding: CHUNked\r\n\r\n", "", Plain},
	{"close", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: Close\r\n\r\n", "", Plain},
	{"keep-alive", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n", "", Plain},
	{"close and keep-alive", "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\nConnection: CLOSE\r\n\r\n", "", Plain},
	{"close and chunks", "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n", "", Plain},
	{"pragma", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nPragma: no-cache\r\n\r\n", "", Plain},
	{"pragma of another kind", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nPragma: No-Cache\r\n\r\n", "", Plain},
	{"pragma, second", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nPragma: x\r\nPragma: no-cache\r\n\r\n", "", Plain},
	{"pragma, first", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nPragma: no-cache\r\nPragma: x\r\n\r\n", "", Plain},
	{"pragma and what replaced it", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\npragma: no-cache\r\ncache-control: max-age=1\r\n\r\n", "", Plain},
	{"no content", "HTTP/1.1 204 No Content\r\n\r\n", "", Plain},
	{"no content, of a length", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "", Plain},
	{"not modified", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 5\r\n\r\n", "", Plain},
	{"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD", Plain},
	{"HEAD without a length", "HTTP/1.1 200 OK\r\n\r\n", "HEAD", Plain},
	{"HEAD of nothing", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", "HEAD", Plain},
	{"HEAD of nothing, without a length", "HTTP/1.1 304 Not Modified\r\n\r\n", "HEAD", Plain},
	{"the last status", "HTTP/1.1 599 x\r\nContent-Length: 0\r\n\r\n", "", Plain},
	{"as many as can be", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + many(most-1) + "\r\n", "", Plain},
	{"as large as can be", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: " + strings.Repeat("a", Max-43) + "\r\n\r\n", "", Plain},

	{"nothing", "", "", Partial},
	{"half a version", "HTTP/1", "", Partial},
	{"half a line", "HTTP/1.1 200", "", Partial},
	{"half a line that goes wrong", "HTTX", "", Partial},
	{"half an end", "HTTP/1.1 204 No\r\nA: b\r\n\r", "", Partial},
	{"a name that begins", "HTTP/1.1 204 No\r\nA", "", Partial},
	{"a value that begins", "HTTP/1.1 204 No\r\nA: ", "", Partial},

	{"one byte too large", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: " + strings.Repeat("a", Max-42) + "\r\n\r\n", "", Unusual},
	{"one too many", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + many(most) + "\r\n", "", Unusual},
	{"no end within the bound", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: " + strings.Repeat("a", Max), "", Unusual},
	{"informal", "HTTP/1.1 103 Early Hints\r\n\r\n", "", Unusual},
	{"informal, with a length", "HTTP/1.1 103 Early Hints\r\nContent-Length: 0\r\n\r\n", "", Unusual},
	{"other protocol", "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "", Unusual},
	{"an unknown class", "HTTP/1.1 600 x\r\nContent-Length: 0\r\n\r\n", "", Unusual},
	{"a signed status", "HTTP/1.1 +20 x\r\nContent-Length: 0\r\n\r\n", "", Unusual},
	{"a status of two digits", "HTTP/1.1 20 x\r\nContent-Length: 0\r\n\r\n", "", Unusual},
	{"a status of four digits", "HTTP/1.1 2000 x\r\nContent-Length: 0\r\n\r\n", "", Unusual},
	{"two spaces", "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n", "", Unusual},
	{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "", Unusual},
	{"HTTP/2", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", "", Unusual},
	{"small", "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", Unusual},
	{"empty line first", "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", Unusual},
	{"NUL in the text", "HTTP/1.1 200 O\x00K\r\nContent-Length: 0\r\n\r\n", "", Unusual},
	{"CR in the text", "HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n", "", Unusual},
	{"bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", "", Unusual},
	{"bare LF in the head", "HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n", "", Unusual},
	{"bare LF at the end", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n", "", Unusual},
	{"CR in a value", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: b\rc\r\n\r\n", "", Unusual},
	{"NUL in a value", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: \x00\r\n\r\n", "", Unusual},
	{"DEL in a value", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: \x7f\r\n\r\n", "", Unusual},
	{"folded", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA: b\r\n c\r\n\r\n", "", Unusual},
	{"folded first", "HTTP/1.1 200 OK\r\n Content-Length: 0\r\n\r\n", "", Unusual},
	{"space before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n", "", Unusual},
	{"no colon", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nA\r\n\r\n", "", Unusual},
	{"no name", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n: b\r\n\r\n", "", Unusual},
	{"high byte in a name", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\xc5\xbf: b\r\n\r\n", "", Unusual},
	{"to the connection's end", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", "", Unusual},
	{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", "", Unusual},
	{"two lengths of nothing", "HTTP/1.1 204 No\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", "", Unusual},
	{"a list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", "", Unusual},
	{"an empty length", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", "", Unusual},
	{"a signed length", "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", "", Unusual},
	{"a length of 19 digits", "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000000\r\n\r\n", "", Unusual},
	{"length, then chunks", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "", Unusual},
	{"chunks, then length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", "", Unusual},
	{"chunks twice", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "", Unusual},
	{"other codings", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "", Unusual},
	{"identity", "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 5\r\n\r\n", "", Unusual},
	{"chunks of nothing", "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", "", Unusual},
	{"chunks of HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD", Unusual},
	{"trailers", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n", "", Unusual},
	{"an offer to upgrade", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nUpgrade: h2c\r\n\r\n", "", Unusual},
	{"hop-by-hop headers", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: X-Hop\r\n\r\n", "", Unusual},
	{"a list of connection", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive, close\r\n\r\n", "", Unusual},
	{"an empty connection", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection:\r\n\r\n", "", Unusual},
}

func many(n int) string {
	var s strings.Builder
	for i := range n {
		fmt.Fprintf(&s, "x-%d: %d\r\n", i%50, i)
	}
	return s.String()
}

func TestResponse(t *testing.T) {
	for _, c := range responses {
		t.Run(c.name, func(t *testing.T) {
			if v := sameResponse(t, []byte(c.head), c.method); v != c.want {
				t.Errorf("verdict %d, not %d", v, c.want)
			}
		})
	}
}

func TestResponseToNobody(t *testing.T) {
	r, _, v := Response([]byte("HTTP/1.1 204 No\r\n\r\n"), nil, nil)
	if v != Plain || r.Request != nil {
		t.Errorf("verdict %d, %v", v, r)
	}
}

func FuzzResponse(f *testing.F) {
	for _, c := range responses {
		f.Add([]byte(c.head), c.method)
	}
	f.Fuzz(func(t *testing.T, b []byte, method string) { sameResponse(t, b, method) })
}

var (
	briefAnswer  = []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Sat, 28 Nov 2026 23:00:00 GMT\r\nContent-Length: 512\r\n\r\n")
	modelAnswer  = []byte("HTTP/1.1 200 OK\r\ndate: Sat, 28 Nov 2026 23:00:00 GMT\r\nserver: uvicorn\r\ncontent-type: application/json\r\nx-request-id: 9f1c\r\nx-ratelimit-remaining: 17\r\ncache-control: no-store\r\ncontent-length: 512\r\n\r\n")
	streamAnswer = []byte("HTTP/1.1 200 OK\r\ndate: Sat, 28 Nov 2026 23:00:00 GMT\r\nserver: uvicorn\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n")
)

func BenchmarkResponse(b *testing.B) {
	asked := &http.Request{Method: http.MethodPost}
	for _, c := range []struct {
		name string
		head []byte
	}{{"brief", briefAnswer}, {"model", modelAnswer}, {"stream", streamAnswer}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, v := Response(c.head, asked, nil); v != Plain {
					b.Fatal(v)
				}
			}
		})
		b.Run(c.name+"/net-http", func(b *testing.B) {
			br, from := reader()
			b.ReportAllocs()
			for b.Loop() {
				from.Reset(c.head)
				br.Reset(from)
				if _, err := http.ReadResponse(br, asked); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package head

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

func sameRequest(t *testing.T, b []byte) Verdict {
	t.Helper()
	given := bytes.Clone(b)
	ours, u := new(http.Request), new(url.URL)
	size, closing, v := Request(given, ours, u)
	if !bytes.Equal(given, b) {
		t.Fatalf("%q was changed into %q", b, given)
	}
	if v == Partial && (!reflect.DeepEqual(ours, new(http.Request)) || *u != (url.URL{})) {
		t.Fatalf("%q is a part, and yet %+v, %+v", b, ours, u)
	}
	if v != Plain {
		if size != 0 || closing {
			t.Fatalf("%q: verdict %d, and yet %d bytes, closing %v", b, v, size, closing)
		}
		return v
	}
	clear(given) // nothing of it is kept
	theirs, theirSize, err := oracle(b, func(br *bufio.Reader) (*http.Request, error) { return http.ReadRequest(br) })
	if err != nil {
		t.Fatalf("%q is plain here; net/http: %v", b, err)
	}
	theirs.Body = nil
	if size != theirSize || closing != theirs.Close || !reflect.DeepEqual(ours, theirs) {
		t.Fatalf("%q\nhere     %d bytes %+v %+v\nnet/http %d bytes %+v %+v", b, size, ours, ours.URL, theirSize, theirs, theirs.URL)
	}
	apart(t, ours.Header)
	parts(t, b, size, func(b []byte) Verdict {
		_, _, v := Request(b, new(http.Request), new(url.URL))
		return v
	})
	return v
}

const (
	get  = "GET / HTTP/1.1\r\nHost: a\r\n"
	post = "POST / HTTP/1.1\r\nHost: a\r\n"
)

func to(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n" }

var requests = []struct {
	name, head string
	want       Verdict
}{
	{"least", get + "\r\n", Plain},
	{"of a client", "POST /v1/chat/completions HTTP/1.1\r\nHost: models.example:8080\r\nAccept: */*\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\nUser-Agent: client/1\r\nContent-Length: 310\r\nContent-Type: application/json\r\nAuthorization: Bearer x\r\n\r\n{", Plain},
	{"of a client in small letters", "POST /v1/chat/completions HTTP/1.1\r\nhost: models.example\r\nconnection: keep-alive\r\ncontent-type: application/json\r\nx-request-id: 1\r\ncontent-length: 310\r\n\r\n", Plain},
	{"with a body", post + "Content-Length: 12\r\n\r\n", Plain},
	{"length without spaces", post + "content-LENGTH:7\r\n\r\n", Plain},
	{"zeros before a length", post + "content-LENGTH:007\r\n\r\n", Plain},
	{"a body of GET", get + "Content-Length: 7\r\n\r\n", Plain},
	{"the largest length", post + "Content-Length: 999999999999999999\r\n\r\n", Plain},
	{"close", get + "Connection: Close\r\n\r\n", Plain},
	{"close, then not", get + "Connection: close\r\nconnection: keep-alive\r\n\r\n", Plain},
	{"keep-alive", get + "Connection: keep-alive\r\n\r\n", Plain},
	{"a tab and high bytes in a value", get + "X: a\tb\xc3\xa9\r\n\r\n", Plain},
	{"values empty and in spaces", get + "A:\r\nB: \r\nC: \t x y\t \r\n\r\n", Plain},
	{"the same name again", get + "Cookie: a=1\r\nB: x\r\ncookie: b=2\r\nCOOKIE: a=1\r\n\r\n", Plain},
	{"odd case", get + "x-A-bC: d\r\n-a--b-: e\r\n1a-2B: f\r\n\r\n", Plain},
	{"all token bytes", get + "!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n", Plain},
	{"pragma", get + "pragma: no-cache\r\n\r\n", Plain},
	{"pragma and what replaced it", get + "Pragma: no-cache\r\nCache-Control:\r\n\r\n", Plain},
	{"what follows is not looked at", get + "\r\n\x00garbage", Plain},
	{"other methods", "PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", Plain},
	{"HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", Plain},
	{"a method that begins like a refused one", "PRIOR / HTTP/1.1\r\nHost: a\r\n\r\n", Plain},
	{"host last", "GET / HTTP/1.1\r\nA: b\r\nhOST:\t[::1]:80 \r\n\r\n", Plain},
	{"all bytes of a host", "GET / HTTP/1.1\r\nHost: !$%&(')*+,-.:;=[]_~aZ09\r\n\r\n", Plain},
	{"as many as can be", get + many(most-1) + "\r\n", Plain},
	{"as large as can be", get + "A: " + strings.Repeat("a", Max-len(get)-7) + "\r\n\r\n", Plain},

	{"a path", to("/v1/models/a-b_c.d~e"), Plain},
	{"all bytes of a path", to("/azAZ09-_.~$&+,:;=@/"), Plain},
	{"bytes of a path that are escaped elsewhere", to("/!*()'"), Plain},
	{"other bytes of a path", to("/\"<>[\\]^`{|}"), Plain},
	{"a path that begins twice", to("//a/b"), Plain},
	{"a path that begins thrice", to("///a"), Plain},
	{"a user", to("//user:secret@host/a"), Plain},
	{"another scheme's path", to("/http://a/"), Plain},
	{"steps back", to("/a/../b/./c"), Plain},
	{"escapes", to("/a%20b%2Fc%c3%a9"), Plain},
	{"escapes that are not needed", to("/%61"), Plain},
	{"a query", to("/a?b=c&d=%20e"), Plain},
	{"a query of anything", to("/a?b?c#d%zz/[]{}\"<>\\^`|"), Plain},
	{"an empty query", to("/a?"), Plain},
	{"an empty query and more", to("/a??"), Plain},
	{"an empty query behind an escape", to("/%20?"), Plain},
	{"a query behind an escape", to("/%20?a=b?"), Plain},
	{"a fragment", to("/a#b"), Plain},
	{"a fragment with a query", to("/a#b?c"), Plain},

	{"nothing", "", Partial},
	{"half a line", "GET / HT", Partial},
	{"half a method", "GE", Partial},
	{"half a line that goes wrong", "get", Partial},
	{"a method alone", "GET ", Partial},
	{"no empty line", get, Partial},
	{"half an empty line", get + "\r", Partial},
	{"half a line that is HTTP/2's", "PRI * HTTP", Partial},
	{"half a header that goes wrong", get + "X : ", Partial},

	{"one byte too large", get + "A: " + strings.Repeat("a", Max-len(get)-6) + "\r\n\r\n", Unusual},
	{"one too many", get + many(most) + "\r\n", Unusual},
	{"no end within the bound", "GET /" + strings.Repeat("a", Max), Unusual},
	{"no header's end within the bound", get + strings.Repeat("a", Max), Unusual},
	{"bare LF", "GET / HTTP/1.1\nHost: a\r\n\r\n", Unusual},
	{"bare LF in the head", get + "X: y\n\r\n", Unusual},
	{"bare LF at the end", get + "\n", Unusual},
	{"LF first", "\n", Unusual},
	{"empty line first", "\r\n" + get + "\r\n", Unusual},
	{"CR in a value", get + "X: a\rb\r\n\r\n", Unusual},
	{"NUL in a value", get + "X: \x00\r\n\r\n", Unusual},
	{"DEL in a value", get + "X: \x7f\r\n\r\n", Unusual},
	{"folded", get + "X: a\r\n b\r\n\r\n", Unusual},
	{"space before the colon", get + "X : a\r\n\r\n", Unusual},
	{"no colon", get + "X\r\n\r\n", Unusual},
	{"no name", get + ": a\r\n\r\n", Unusual},
	{"high byte in a name", get + "\xc5\xbf: a\r\n\r\n", Unusual},
	{"no host", "GET / HTTP/1.1\r\n\r\n", Unusual},
	{"an empty host", "GET / HTTP/1.1\r\nHost: \r\n\r\n", Unusual},
	{"two hosts", get + "Host: a\r\n\r\n", Unusual},
	{"two hosts, one empty", get + "Host:\r\n\r\n", Unusual},
	{"host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Unusual},
	{"host with a high byte", "GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", Unusual},
	{"HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", Unusual},
	{"HTTP/2", "PRI * HTTP/2.0\r\n\r\n", Unusual},
	{"HTTP/2's method", "PRI / HTTP/1.1\r\nHost: a\r\n\r\n", Unusual},
	{"no version", "GET /\r\nHost: a\r\n\r\n", Unusual},
	{"a small version", "GET / http/1.1\r\nHost: a\r\n\r\n", Unusual},
	{"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Unusual},
	{"two spaces before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", Unusual},
	{"space behind the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Unusual},
	{"a tab for a space", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", Unusual},
	{"small method", "get / HTTP/1.1\r\nHost: a\r\n\r\n", Unusual},
	{"no method", " / HTTP/1.1\r\nHost: a\r\n\r\n", Unusual},
	{"absolute target", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Unusual},
	{"target of the server", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Unusual},
	{"CONNECT", "CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n", Unusual},
	{"CONNECT to a host", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", Unusual},
	{"a target without its beginning", to("a/b"), Unusual},
	{"high byte in the target", to("/\xc3\xa9"), Unusual},
	{"high byte in the query", to("/?\xc3\xa9"), Unusual},
	{"a control character in the query", to("/?\x01"), Unusual},
	{"an escape that is none", to("/%zz"), Unusual},
	{"an escape that is cut off", to("/%2"), Unusual},
	{"two lengths", post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", Unusual},
	{"a list of lengths", post + "Content-Length: 5,5\r\n\r\n", Unusual},
	{"no length", post + "Content-Length:\r\n\r\n", Unusual},
	{"a signed length", post + "Content-Length: +5\r\n\r\n", Unusual},
	{"a length of 19 digits", post + "Content-Length: 1000000000000000000\r\n\r\n", Unusual},
	{"chunks", post + "Transfer-Encoding: chunked\r\n\r\n", Unusual},
	{"chunks and a length", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", Unusual},
	{"identity", post + "Transfer-Encoding: identity\r\n\r\n", Unusual},
	{"expect", post + "Expect: 100-continue\r\n\r\n", Unusual},
	{"upgrade", get + "Upgrade: websocket\r\n\r\n", Unusual},
	{"settings", get + "HTTP2-Settings: x\r\n\r\n", Unusual},
	{"trailer", post + "Trailer: X\r\n\r\n", Unusual},
	{"hop-by-hop headers", get + "Connection: X-Hop\r\n\r\n", Unusual},
	{"a list of connection", get + "Connection: keep-alive, close\r\n\r\n", Unusual},
	{"an empty connection", get + "Connection:\r\n\r\n", Unusual},
}

func TestRequest(t *testing.T) {
	for _, c := range requests {
		t.Run(c.name, func(t *testing.T) {
			if v := sameRequest(t, []byte(c.head)); v != c.want {
				t.Errorf("verdict %d, not %d", v, c.want)
			}
		})
	}
}

// TestRequestKeepsContext checks that a request can be given its context before it is read.
func TestRequestKeepsContext(t *testing.T) {
	type key struct{}
	r := new(http.Request).WithContext(context.WithValue(t.Context(), key{}, "value"))
	if _, _, v := Request([]byte(get+"\r\n"), r, new(url.URL)); v != Plain || r.Context().Value(key{}) != "value" {
		t.Errorf("verdict %d, context %v", v, r.Context())
	}
}

func FuzzRequest(f *testing.F) {
	for _, c := range requests {
		f.Add([]byte(c.head))
	}
	f.Fuzz(func(t *testing.T, b []byte) { sameRequest(t, b) })
}

func BenchmarkRequest(b *testing.B) {
	for _, c := range []struct{ name, head string }{
		{"brief", "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/json\r\nContent-Length: 310\r\n\r\n"},
		{"client", "POST /v1/chat/completions HTTP/1.1\r\nHost: models.example\r\nAccept: application/json\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\nUser-Agent: client/1.0\r\nContent-Length: 310\r\nContent-Type: application/json\r\nAuthorization: Bearer 0123456789abcdef\r\n\r\n"},
		{"small", "POST /v1/chat/completions?a=b HTTP/1.1\r\nhost: models.example\r\naccept: application/json\r\naccept-encoding: gzip, deflate\r\nconnection: keep-alive\r\nuser-agent: client/1.0\r\ncontent-length: 310\r\ncontent-type: application/json\r\nauthorization: Bearer 0123456789abcdef\r\n\r\n"},
	} {
		head := []byte(c.head)
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m := new(struct {
					r http.Request
					u url.URL
				})
				if _, _, v := Request(head, &m.r, &m.u); v != Plain {
					b.Fatal(v)
				}
			}
		})
		b.Run(c.name+"/net-http", func(b *testing.B) {
			br, from := reader()
			b.ReportAllocs()
			for b.Loop() {
				from.Reset(head)
				br.Reset(from)
				if _, err := http.ReadRequest(br); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

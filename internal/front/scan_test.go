package front

import (
	"strings"
	"testing"
)

func TestScan(t *testing.T) {
	const start = "GET / HTTP/1.1\r\nHost: a\r\n"
	post := "POST / HTTP/1.1\r\nHost: a\r\n"
	for _, c := range []struct {
		name, head string
		want       verdict
		length     int64
		close      bool
	}{
		{"least", start + "\r\n", plain, 0, false},
		{"with a body", post + "Content-Length: 12\r\n\r\n", plain, 12, false},
		{"length without spaces", post + "content-LENGTH:7\r\n\r\n", plain, 7, false},
		{"the largest length", post + "Content-Length: 999999999999999999\r\n\r\n", plain, 999999999999999999, false},
		{"close", start + "Connection: Close\r\n\r\n", plain, 0, true},
		{"close, then not", start + "Connection: close\r\nconnection: keep-alive\r\n\r\n", plain, 0, true},
		{"keep-alive", start + "Connection: keep-alive\r\n\r\n", plain, 0, false},
		{"a tab and high bytes in a value", start + "X: a\tb\xc3\xa9\r\n\r\n", plain, 0, false},
		{"what follows is not looked at", start + "\r\n\x00garbage", plain, 0, false},

		{"nothing", "", partial, 0, false},
		{"half a line", "GET / HT", partial, 0, false},
		{"no empty line", start, partial, 0, false},
		{"half an empty line", start + "\r", partial, 0, false},

		{"bare LF", "GET / HTTP/1.1\nHost: a\r\n\r\n", unusual, 0, false},
		{"bare LF in the head", start + "X: y\n\r\n", unusual, 0, false},
		{"LF first", "\n", unusual, 0, false},
		{"empty line first", "\r\n" + start + "\r\n", unusual, 0, false},
		{"CR in a value", start + "X: a\rb\r\n\r\n", unusual, 0, false},
		{"NUL in a value", start + "X: \x00\r\n\r\n", unusual, 0, false},
		{"DEL in a value", start + "X: \x7f\r\n\r\n", unusual, 0, false},
		{"folded", start + "X: a\r\n b\r\n\r\n", unusual, 0, false},
		{"space before the colon", start + "X : a\r\n\r\n", unusual, 0, false},
		{"no colon", start + "X\r\n\r\n", unusual, 0, false},
		{"no name", start + ": a\r\n\r\n", unusual, 0, false},
		{"high byte in a name", start + "\xc5\xbf: a\r\n\r\n", unusual, 0, false},
		{"no host", "GET / HTTP/1.1\r\n\r\n", unusual, 0, false},
		{"an empty host", "GET / HTTP/1.1\r\nHost: \r\n\r\n", unusual, 0, false},
		{"two hosts", start + "Host: a\r\n\r\n", unusual, 0, false},
		{"host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", unusual, 0, false},
		{"HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", unusual, 0, false},
		{"HTTP/2", "PRI * HTTP/2.0\r\n\r\n", unusual, 0, false},
		{"no version", "GET /\r\nHost: a\r\n\r\n", unusual, 0, false},
		{"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", unusual, 0, false},
		{"space behind the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", unusual, 0, false},
		{"small method", "get / HTTP/1.1\r\nHost: a\r\n\r\n", unusual, 0, false},
		{"no method", " / HTTP/1.1\r\nHost: a\r\n\r\n", unusual, 0, false},
		{"absolute target", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", unusual, 0, false},
		{"target of the server", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", unusual, 0, false},
		{"CONNECT", "CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n", unusual, 0, false},
		{"high byte in the target", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", unusual, 0, false},
		{"two lengths", post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", unusual, 0, false},
		{"a list of lengths", post + "Content-Length: 5,5\r\n\r\n", unusual, 0, false},
		{"no length", post + "Content-Length:\r\n\r\n", unusual, 0, false},
		{"a signed length", post + "Content-Length: +5\r\n\r\n", unusual, 0, false},
		{"a length of 19 digits", post + "Content-Length: 1000000000000000000\r\n\r\n", unusual, 0, false},
		{"chunks", post + "Transfer-Encoding: chunked\r\n\r\n", unusual, 0, false},
		{"identity", post + "Transfer-Encoding: identity\r\n\r\n", unusual, 0, false},
		{"expect", post + "Expect: 100-continue\r\n\r\n", unusual, 0, false},
		{"upgrade", start + "Upgrade: websocket\r\n\r\n", unusual, 0, false},
		{"settings", start + "HTTP2-Settings: x\r\n\r\n", unusual, 0, false},
		{"trailer", post + "Trailer: X\r\n\r\n", unusual, 0, false},
		{"hop-by-hop headers", start + "Connection: X-Hop\r\n\r\n", unusual, 0, false},
		{"a list of connection", start + "Connection: keep-alive, close\r\n\r\n", unusual, 0, false},
		{"an empty connection", start + "Connection:\r\n\r\n", unusual, 0, false},
	} {
		h, v := scan([]byte(c.head))
		if v != c.want || h.length != c.length && v == plain || h.close != c.close {
			t.Errorf("%s: verdict %d (wanted %d), length %d, close %v", c.name, v, c.want, h.length, h.close)
		}
		if end := strings.Index(c.head, "\r\n\r\n") + 4; v == plain && h.size != end {
			t.Errorf("%s: %d bytes, not %d", c.name, h.size, end)
		}
		if v != plain {
			continue
		}
		for i := range h.size { // and nothing before its end is more than a part
			if _, v := scan([]byte(c.head[:i])); v != partial {
				t.Errorf("%s: the first %d bytes are %d", c.name, i, v)
			}
		}
	}
}

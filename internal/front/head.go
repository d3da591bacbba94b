package front

import (
	"bytes"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// maxHead is up to how large a head is understood here.
const maxHead = 8 << 10

// head is what the framing of a request is, as far as it must be known before it is parsed.
type head struct {
	size   int   // bytes of the head, its empty line included
	length int64 // of the body
	close  bool  // the client wants no further request served
}

type verdict int

const (
	partial verdict = iota // more must come
	plain                  // to be served here
	unusual                // net/http's
)

// scan judges the head of a request. Only what leaves no doubt is plain: lines end in CR LF, names are tokens,
// one Host, at most one Content-Length of digits alone, nothing that changes how the body or the connection is
// framed.
func scan(b []byte) (head, verdict) {
	line, size, v := nextLine(b)
	if v != plain {
		return head{}, v
	}
	if !requestLine(line) {
		return head{}, unusual
	}
	h := head{size: size, length: -1}
	for hosts := 0; ; {
		line, size, v = nextLine(b[h.size:])
		if v != plain {
			return head{}, v
		}
		h.size += size
		if len(line) == 0 {
			if hosts != 1 {
				return head{}, unusual
			}
			h.length = max(h.length, 0)
			return h, plain
		}
		name, value, found := bytes.Cut(line, colon)
		if !found || !tokens(name) || !text(value) || !h.take(name, bytes.Trim(value, " \t"), &hosts) {
			return head{}, unusual
		}
	}
}

var colon = []byte{':'}

// nextLine cuts a line off, without its end.
func nextLine(b []byte) (line []byte, size int, v verdict) {
	i := bytes.IndexByte(b, '\n')
	switch {
	case i < 0:
		return nil, 0, partial
	case i == 0 || b[i-1] != '\r':
		return nil, 0, unusual
	}
	return b[:i-1], i + 1, plain
}

// requestLine says that a line is METHOD /target HTTP/1.1 with single spaces.
func requestLine(b []byte) bool {
	method, rest, _ := bytes.Cut(b, []byte{' '})
	target, version, _ := bytes.Cut(rest, []byte{' '})
	if string(version) != "HTTP/1.1" || len(target) == 0 || target[0] != '/' {
		return false
	}
	for _, c := range target {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	for _, c := range method {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return len(method) > 0 && string(method) != "CONNECT" && string(method) != "PRI"
}

func tokens(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 || !httpguts.IsTokenRune(rune(c)) {
			return false
		}
	}
	return len(b) > 0
}

// text says that a value has no control characters, beside the tab.
func text(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// take notes what a header says of the framing; false: it is net/http's to judge.
func (h *head) take(name, value []byte, hosts *int) bool {
	switch {
	case is(name, "host"):
		*hosts++
		return len(value) > 0 && httpguts.ValidHostHeader(string(value))
	case is(name, "content-length"):
		if h.length >= 0 || len(value) == 0 || len(value) > 18 || bytes.ContainsFunc(value, func(r rune) bool { return r < '0' || r > '9' }) {
			return false
		}
		h.length, _ = strconv.ParseInt(string(value), 10, 64) // 18 digits
	case is(name, "connection"):
		h.close = h.close || is(value, "close")
		return is(value, "close") || is(value, "keep-alive")
	case is(name, "transfer-encoding"), is(name, "upgrade"), is(name, "expect"), is(name, "trailer"), is(name, "http2-settings"):
		return false
	}
	return true
}

// is compares without regard to case. lower is in lower case.
func is(b []byte, lower string) bool {
	return len(b) == len(lower) && strings.EqualFold(string(b), lower)
}

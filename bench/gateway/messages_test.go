package main

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\ncontent-LENGTH: 3\r\nX: y\r\n\r\nabc"
	for name, c := range map[string]struct {
		in           string
		size, length int
		bad          bool
	}{
		"whole":        {ok, len(ok), 3, false},
		"two":          {ok + ok, len(ok), 3, false},
		"no body":      {"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET", 27, -1, false},
		"half a body":  {ok[:len(ok)-1], 0, 3, false},
		"half a head":  {ok[:20], 0, 0, false},
		"nothing":      {"", 0, 0, false},
		"no number":    {"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", 0, 0, true},
		"another name": {"HTTP/1.1 200 OK\r\nX-Content-Length: 3\r\n\r\n", 40, -1, false},
	} {
		m, size, err := parse([]byte(c.in))
		if size != c.size || m.length != c.length || (err != nil) != c.bad {
			t.Errorf("%s: %d bytes, length %d, %v", name, size, m.length, err)
		}
		if size > 0 && !strings.HasPrefix(c.in, string(m.line)+"\r\n") {
			t.Errorf("%s: first line %q", name, m.line)
		}
	}
}

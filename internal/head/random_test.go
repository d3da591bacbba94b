package head

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
)

// author writes heads: plain ones, of which a byte may then be spoiled.
type author struct{ *rand.Rand }

func (a author) of(set string, least, most int) string {
	b := make([]byte, least+a.IntN(most-least+1))
	for i := range b {
		b[i] = set[a.IntN(len(set))]
	}
	return string(b)
}

func members(class uint8) string {
	var b []byte
	for i, c := range classes {
		if c&class != 0 {
			b = append(b, byte(i))
		}
	}
	return string(b)
}

var tokens, texts, targets, paths, hosts, uppers = members(token), members(text), members(target), members(path), members(host), members(upper)

// recase writes letters large or small.
func (a author) recase(s string) string {
	b := []byte(s)
	for i, c := range b {
		if classes[c]&(lower|upper) != 0 && a.IntN(3) == 0 {
			b[i] ^= 'a' - 'A'
		}
	}
	return string(b)
}

// line writes a header, its value among blanks.
func (a author) line(name, value string) string {
	return name + ":" + a.of(" \t", 0, 2) + value + a.of(" \t", 0, 2) + "\r\n"
}

// headers writes up to n headers that say nothing of the framing, some more than once, around those that do.
func (a author) headers(n int, framing ...string) string {
	names := []string{"Accept", "x-request-id", "SET-COOKIE", "Pragma", "Cache-Control", "Date"}
	for range 4 {
		if name := a.of(tokens, 1, 20); len(name) != len("expect") && len(name) != len("trailer") { // nor by chance
			names = append(names, name)
		}
	}
	lines := framing
	for range a.IntN(n + 1) {
		value := a.of(texts, 0, 30)
		if a.IntN(8) == 0 {
			value = "no-cache"
		}
		lines = append(lines, a.line(a.recase(names[a.IntN(len(names))]), value))
	}
	a.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	return strings.Join(lines, "")
}

func (a author) connection() string {
	if a.IntN(2) == 0 {
		return ""
	}
	return a.line(a.recase("connection"), a.recase([]string{"close", "keep-alive"}[a.IntN(2)]))
}

func (a author) length() string {
	return a.line(a.recase("content-length"), fmt.Sprint(a.Uint64N(1e18)))
}

func (a author) request() string {
	method := a.of(uppers, 1, 8)
	if method == http.MethodConnect || method == "PRI" {
		method = http.MethodPost
	}
	goal := "/" + a.of(paths, 0, 20)
	switch a.IntN(4) {
	case 0:
		goal += "?" + a.of(targets, 0, 20)
	case 1:
		goal += a.of("%4aF2!*'()[]{}^|`\"<>\\#", 0, 4)
	}
	framing := []string{a.line(a.recase("host"), a.of(hosts, 1, 12)), a.connection()}
	if a.IntN(2) == 0 {
		framing = append(framing, a.length())
	}
	return method + " " + goal + " HTTP/1.1\r\n" + a.headers(12, framing...) + "\r\n"
}

func (a author) response() string {
	framing := a.length()
	if a.IntN(2) == 0 {
		framing = a.line(a.recase("transfer-encoding"), a.recase("chunked"))
	}
	status := 205 + a.IntN(99)
	return fmt.Sprintf("HTTP/1.1 %d %s\r\n%s\r\n", status, a.of(texts, 0, 12), a.headers(12, framing, a.connection()))
}

// spoil changes, drops, doubles or adds a byte.
func (a author) spoil(s string) string {
	i := a.IntN(len(s))
	with := a.of(" \t\r\n:;,/?%#*\x00\x7f\x80aZ0", 1, 1)
	return s[:i] + []string{with + s[i+1:], s[i+1:], s[i:i+1] + s[i:], with + s[i:]}[a.IntN(4)]
}

// TestRandom checks heads of all kinds, and what little mistakes make of them.
func TestRandom(t *testing.T) {
	a := author{rand.New(rand.NewPCG(14, 11))}
	verdicts := make(map[Verdict]int)
	for range 3000 {
		request, response := a.request(), a.response()
		escapes := strings.Contains(request, "%") // perhaps none
		if v := sameRequest(t, []byte(request)); v != Plain && !escapes {
			t.Fatalf("%q: verdict %d", request, v)
		}
		if v := sameResponse(t, []byte(response), http.MethodGet); v != Plain {
			t.Fatalf("%q: verdict %d", response, v)
		}
		verdicts[sameRequest(t, []byte(a.spoil(request)))]++
		verdicts[sameResponse(t, []byte(a.spoil(response)), http.MethodPost)]++
	}
	if verdicts[Plain] < 500 || verdicts[Unusual] < 500 {
		t.Errorf("too few are of one kind: %v", verdicts)
	}
}

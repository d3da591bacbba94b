package head

import (
	"bytes"
	"net/http"
	"net/url"
)

// Request reads the head of a request at the beginning of b. If it is Plain, size is how many bytes it has, closing
// says that the client wants no further request served, and r, which must be zero but for its context and an empty
// Header, is what http.ReadRequest makes of it, but for the Body, which is nil: the caller finds r.ContentLength bytes
// behind the head. u, which must be zero, is r.URL then. A head that is Partial leaves r and u as they are; after one
// that is Unusual they may hold anything.
//
// Unusual are, beside what leaves doubt, chunks, Expect and Upgrade, targets that are no path, and anything but one
// well-formed Host.
func Request(b []byte, r *http.Request, u *url.URL) (size int, closing bool, v Verdict) {
	f := borrow()
	size, v = f.request(b[:min(len(b), Max)], r, u)
	closing = v == Plain && f.closing
	pool.Put(f)
	return size, closing, v
}

func (f *fields) request(b []byte, r *http.Request, u *url.URL) (size int, v Verdict) {
	line, v := readRequestLine(b)
	if v != Plain {
		return 0, v
	}
	if size, v = f.read(b, line.end); v != Plain {
		return 0, v
	}
	if f.count[hostKind] != 1 || f.count[length] > 1 || f.count[coding] > 0 {
		return 0, Unusual
	}
	s := view(f.spell(nil, b[:size]))
	if r.Host = f.host(s); !validHost(r.Host) {
		return 0, Unusual
	}
	r.Method, r.RequestURI = method(s[:line.method]), s[line.method+1:line.target]
	if !line.parse(r.RequestURI, u) {
		return 0, Unusual
	}
	r.URL, r.Proto, r.ProtoMajor, r.ProtoMinor = u, version, 1, 1
	r.ContentLength, r.Close = f.length, f.closing
	r.Header = f.header(r.Header, s, hostKind.set())
	return size, Plain
}

// requestLine is where the parts of a line such as GET /path HTTP/1.1 end.
type requestLine struct {
	method, target, end int
	path                int // where the path ends; 0: it must be parsed
}

func readRequestLine(b []byte) (l requestLine, v Verdict) {
	i := 0
	for i < len(b) && classes[b[i]]&upper != 0 {
		i++
	}
	if i == 0 || i+1 >= len(b) || b[i] != ' ' || b[i+1] != '/' || is(b[:i], "connect") || is(b[:i], "pri") {
		return l, torn(b, 0)
	}
	l.method = i
	for i++; i < len(b) && classes[b[i]]&path != 0; i++ {
	}
	if i < len(b) && (b[i] == '?' || b[i] == ' ') {
		l.path = i
	}
	for i < len(b) && classes[b[i]]&target != 0 {
		i++
	}
	l.target = i
	const rest = " " + version + "\r\n"
	if !bytes.HasPrefix(b[i:], []byte(rest)) {
		return l, torn(b, 0)
	}
	l.end = i + len(rest)
	return l, Plain
}

// method spares the commonest methods the memory of their head.
func method(s string) string {
	switch s {
	case http.MethodPost:
		return http.MethodPost
	case http.MethodGet:
		return http.MethodGet
	}
	return s
}

// host returns the value of the first Host.
func (f *fields) host(spelled string) string {
	for _, h := range f.all() {
		if h.kind == hostKind {
			return spelled[h.from:h.to]
		}
	}
	return ""
}

func validHost(s string) bool {
	for i := range len(s) {
		if classes[s[i]]&host == 0 {
			return false
		}
	}
	return s != ""
}

// parse makes u what url.ParseRequestURI makes of the target.
func (l *requestLine) parse(s string, u *url.URL) bool {
	if l.path == 0 {
		parsed, err := url.ParseRequestURI(s)
		if err == nil {
			*u = *parsed
		}
		return err == nil
	}
	cut := l.path - l.method - 1
	u.Path = s[:cut]
	if cut < len(s) {
		u.RawQuery = s[cut+1:]
		u.ForceQuery = u.RawQuery == ""
	}
	return true
}

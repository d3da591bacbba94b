package head

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/net/http/httpguts"
)

// Max is up to how large a head is read here, in bytes, its empty line included.
const Max = 8 << 10

// Verdict says what the beginning of some bytes is.
type Verdict int

// The verdicts.
const (
	Partial Verdict = iota // more must come
	Plain                  // a head that leaves no doubt
	Unusual                // net/http's to judge
)

// The classes of bytes.
const (
	token  uint8 = 1 << iota // of names
	lower                    // a-z
	upper                    // A-Z
	text                     // of values: no control character but the tab
	target                   // of a request's target: visible ASCII
	path                     // of a path that is its own escaped form
	host                     // of a Host
)

var classes = classify()

func classify() (c [256]uint8) {
	for i := range c {
		b := byte(i)
		set := func(class uint8, in bool) {
			if in {
				c[b] |= class
			}
		}
		small, large := 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z'
		set(token, b < 0x80 && httpguts.IsTokenRune(rune(b)))
		set(lower, small)
		set(upper, large)
		set(text, b >= ' ' && b != 0x7f || b == '\t')
		set(target, b > ' ' && b < 0x7f)
		set(path, small || large || '0' <= b && b <= '9' || strings.IndexByte("-_.~/$&+,:;=@", b) >= 0)
		set(host, httpguts.ValidHostHeader(string([]byte{b})))
	}
	return c
}

// field is where a header is. Max fits its type.
type field struct {
	name, colon, from, to uint16
	kind                  kind
}

// kind is what a header says of its message, beside what it says to others.
type kind uint8

const (
	other kind = iota
	hostKind
	length
	coding
	connection
	pragma
)

// set is k alone, as a set of kinds.
func (k kind) set() uint8 { return 1 << k }

// fields are the headers of a head. They are borrowed: much of a stack would hold them, which a goroutine that is new
// would have to grow for.
type fields struct {
	facts

	room [most]field
}

// facts are what the headers say of the framing.
type facts struct {
	n       int             // of headers
	count   [pragma + 1]int // by kind
	length  int64           // of the body, if it is said
	closing bool            // Connection: close
	odd     bool            // a name is not in its canonical form
}

// most is of how many headers a head is read here: they need no allocation, and a flood of them ends early.
const most = 64

var pool = sync.Pool{New: func() any { return new(fields) }}

func borrow() *fields {
	f := pool.Get().(*fields)
	f.facts = facts{}
	return f
}

func (f *fields) all() []field { return f.room[:f.n] }

// read notes the headers that begin at b[i], up to the empty line, and returns where that ends.
func (f *fields) read(b []byte, i int) (end int, v Verdict) {
	for {
		start := i
		if i < len(b) && b[i] == '\r' {
			return lineEnd(b, start, i)
		}
		wrong := lower // the class that a name in its canonical form does not have here
		for i < len(b) && classes[b[i]]&token != 0 {
			f.odd = f.odd || classes[b[i]]&wrong != 0
			wrong = upper
			if b[i] == '-' {
				wrong = lower
			}
			i++
		}
		if i == start || i == len(b) || b[i] != ':' {
			return 0, torn(b, start)
		}
		h := field{name: uint16(start), colon: uint16(i)}
		for i++; i < len(b) && blank(b[i]); i++ {
		}
		h.from = uint16(i)
		for i < len(b) && classes[b[i]]&text != 0 {
			i++
		}
		if end, v = lineEnd(b, start, i); v != Plain {
			return 0, v
		}
		for i > int(h.from) && blank(b[i-1]) {
			i--
		}
		h.to = uint16(i)
		i = end
		if f.n == most || !f.take(&h, b[start:h.colon], b[h.from:h.to]) {
			return 0, Unusual
		}
		f.room[f.n] = h
		f.n++
		f.count[h.kind]++
	}
}

func blank(c byte) bool { return c == ' ' || c == '\t' }

// lineEnd says whether the line that begins at start ends properly at i, and where the next one begins.
func lineEnd(b []byte, start, i int) (next int, v Verdict) {
	if i+1 < len(b) && b[i] == '\r' && b[i+1] == '\n' {
		return i + 2, Plain
	}
	return 0, torn(b, start)
}

// torn judges a line that is none so far: only a complete one is known to be unusual.
func torn(b []byte, start int) Verdict {
	if len(b) >= Max || bytes.IndexByte(b[start:], '\n') >= 0 {
		return Unusual
	}
	return Partial
}

// take notes what a header says of the framing; false: it is net/http's to judge.
func (f *fields) take(h *field, name, value []byte) bool {
	switch len(name) {
	case 4:
		if is(name, "host") {
			h.kind = hostKind
		}
	case 6:
		if is(name, "pragma") {
			h.kind = pragma
		}
		return !is(name, "expect")
	case 7:
		return !is(name, "trailer") && !is(name, "upgrade")
	case 10:
		if is(name, "connection") {
			h.kind = connection
			f.closing = f.closing || is(value, "close")
			return is(value, "close") || is(value, "keep-alive")
		}
	case 14:
		if is(name, "content-length") {
			h.kind = length
			return f.takeLength(value)
		}
		return !is(name, "http2-settings")
	case 17:
		if is(name, "transfer-encoding") {
			h.kind = coding
			return is(value, "chunked")
		}
	}
	return true
}

// digits is of how many a length may be, so that it fits an int64.
const digits = 18

func (f *fields) takeLength(value []byte) bool {
	if len(value) == 0 || len(value) > digits {
		return false
	}
	f.length = 0
	for _, c := range value {
		if c < '0' || c > '9' {
			return false
		}
		f.length = f.length*10 + int64(c-'0')
	}
	return true
}

// is compares a name, or the text of a value, without regard to case. small is in lower case.
func is(b []byte, small string) bool {
	if len(b) != len(small) {
		return false
	}
	for i, c := range b {
		if c|0x20 != small[i] { // only control characters, which are in neither, could be taken for others
			return false
		}
	}
	return true
}

// spell writes the head to memory, which grows for it, its names in their canonical form, which is as long as any.
func (f *fields) spell(memory, b []byte) []byte {
	memory = append(memory[:0], b...)
	if f.odd {
		for _, h := range f.all() {
			canonical(memory[h.name:h.colon])
		}
	}
	return memory
}

// view is b as a string, which lasts as long as b does not change.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// canonical makes a name of token bytes what textproto.CanonicalMIMEHeaderKey does.
func canonical(name []byte) {
	wrong := lower
	for i, c := range name {
		if classes[c]&wrong != 0 {
			name[i] ^= 'a' - 'A'
		}
		wrong = upper
		if c == '-' {
			wrong = lower
		}
	}
}

// header makes the header of a spelled head, without those of some kinds, in a map that is empty or nil. As with textproto, all
// first values stand in one array, and who appends to one does not write into the next.
func (f *fields) header(header http.Header, spelled string, drop uint8) http.Header {
	n := f.n
	for k, count := range f.count {
		if kind(k).set()&drop != 0 {
			n -= count
		}
	}
	if header == nil {
		header = make(http.Header, n)
	}
	values := make([]string, n)
	var seen uint64 // a bit for what names look like: most have their own, and need not be looked for
	for _, h := range f.all() {
		if h.kind.set()&drop != 0 {
			continue
		}
		name, value := spelled[h.name:h.colon], spelled[h.from:h.to]
		look := uint64(1) << ((uint(len(name))*5 + uint(name[0])*3 + uint(name[len(name)-1])) % 64)
		if seen&look != 0 {
			if more, ok := header[name]; ok {
				header[name] = append(more, value)
				continue
			}
		}
		seen |= look
		values[0] = value
		header[name], values = values[:1:1], values[1:]
	}
	if f.count[pragma] > 0 {
		fixPragma(header)
	}
	return header
}

// lines appends the headers of a spelled head, without those of some kinds.
func (f *fields) lines(to []Line, spelled string, drop uint8) []Line {
	for _, h := range f.all() {
		if h.kind.set()&drop == 0 {
			to = append(to, Line{spelled[h.name:h.colon], spelled[h.from:h.to]})
		}
	}
	return to
}

// fixPragma is what net/http does about the header that Cache-Control replaced.
func fixPragma(header http.Header) {
	if _, ok := header["Cache-Control"]; !ok && header["Pragma"][0] == "no-cache" {
		header["Cache-Control"] = []string{"no-cache"}
	}
}

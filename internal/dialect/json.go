package dialect

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// cursor walks over a JSON document without decoding it. It finds where values begin and end and
// checks no more than it needs for that: brackets that match and strings that end. It never recurses, so
// the depth of a document costs nothing, and it allocates nothing.
//
// Why not a JSON library: edits need the exact place of each occurrence of a key, repeated and escaped
// ones too (servers differ in which of two they obey), and a stream's chunks are read thousands of times
// per second.
type cursor struct {
	doc []byte
	at  int
}

// span is a part of a document: doc[from:to].
type span struct{ from, to int }

func (s span) of(doc []byte) []byte { return doc[s.from:s.to] }

func (c *cursor) space() {
	for c.at < len(c.doc) {
		switch c.doc[c.at] {
		case ' ', '\t', '\n', '\r':
			c.at++
		default:
			return
		}
	}
}

// peek returns the next byte that is not space, 0 at the end.
func (c *cursor) peek() byte {
	c.space()
	if c.at < len(c.doc) {
		return c.doc[c.at]
	}
	return 0
}

// take passes over one byte if it is the next.
func (c *cursor) take(b byte) bool {
	if c.peek() != b || c.at >= len(c.doc) {
		return false
	}
	c.at++
	return true
}

// open enters an object or array.
func (c *cursor) open(b byte) bool { return c.take(b) }

// member reads an object's next member after open('{') or another member: its key as it is spelt, without
// the quotes, and its value's place. more is false at the object's end; a malformed object ends early, with the
// cursor before what it did not understand.
func (c *cursor) member() (key []byte, value span, more bool) {
	c.take(',')
	if c.peek() != '"' {
		return nil, span{}, false
	}
	start := c.at
	k, ok := c.value()
	if ok = ok && c.take(':'); ok {
		value, ok = c.value()
	}
	if !ok {
		c.at = start
		return nil, span{}, false
	}
	return c.doc[k.from+1 : k.to-1], value, true
}

// element reads an array's next element after open('[') or another element.
func (c *cursor) element() (value span, more bool) {
	c.take(',')
	if c.peek() == ']' {
		return span{}, false
	}
	return c.value()
}

// value passes over one value.
func (c *cursor) value() (span, bool) {
	first := c.peek()
	from := c.at
	switch first {
	case '"':
		c.at = skipString(c.doc, from+1)
	case '{', '[':
		c.at = skipNested(c.doc, from)
	case 0, ',', ':', '}', ']':
		return span{}, false
	default:
		for c.at < len(c.doc) && !delimiter(c.doc[c.at]) {
			c.at++
		}
	}
	if c.at < 0 {
		c.at = len(c.doc)
		return span{}, false
	}
	return span{from, c.at}, true
}

func delimiter(b byte) bool {
	switch b {
	case ',', ':', '}', ']', '{', '[', '"', ' ', '\t', '\n', '\r':
		return true
	}
	return false
}

// skipString returns the place behind the quote that ends the string whose first byte is at i, -1 if none
// does.
func skipString(doc []byte, i int) int {
	// Most strings are short: a call for each costs more than looking at their bytes.
	for near := min(i+24, len(doc)); i < near && doc[i] != '\\'; i++ {
		if doc[i] == '"' {
			return i + 1
		}
	}
	for {
		n := bytes.IndexByte(doc[i:], '"')
		if n < 0 {
			return -1
		}
		end := i + n
		back := end
		for back > i && doc[back-1] == '\\' {
			back--
		}
		i = end + 1
		if (end-back)%2 == 0 {
			return i
		}
	}
}

// skipNested returns the place behind the bracket that closes the one at i, -1 if none does. Brackets of
// different kinds are not told apart: a document that mixes them up is not JSON, and its reader will say so.
func skipNested(doc []byte, i int) int {
	depth := 0
	for i < len(doc) {
		switch doc[i] {
		case '"':
			if i = skipString(doc, i+1); i < 0 {
				return -1
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		i++
	}
	return -1
}

// isKey says whether a key as it is spelt means name.
func isKey(spelt []byte, name string) bool {
	if bytes.IndexByte(spelt, '\\') < 0 {
		return string(spelt) == name
	}
	var buf [64]byte
	return len(spelt) <= 6*len(name) && string(appendUnescaped(buf[:0], spelt)) == name
}

// keyOf returns the meaning of a short key, without allocating unless it is escaped.
func keyOf(spelt []byte) string {
	if bytes.IndexByte(spelt, '\\') < 0 {
		return lend(spelt)
	}
	return string(appendUnescaped(nil, spelt))
}

// find returns the value of an object's member of that name, the last one if there are several, as most
// JSON libraries do. doc is the object.
func find(doc []byte, name string) []byte {
	c := cursor{doc: doc}
	if !c.open('{') {
		return nil
	}
	var found []byte
	for key, v, more := c.member(); more; key, v, more = c.member() {
		if isKey(key, name) {
			found = v.of(doc)
		}
	}
	return found
}

// isString says whether a value is a string that is not empty.
func hasText(v []byte) bool { return len(v) > 2 && v[0] == '"' }

// bare returns a string's bytes without the quotes, escapes as they are; nil for another value.
func bare(v []byte) []byte {
	if len(v) < 2 || v[0] != '"' {
		return nil
	}
	return v[1 : len(v)-1]
}

// text returns a string's meaning, "" for another value.
func text(v []byte) string {
	if len(v) < 2 || v[0] != '"' {
		return ""
	}
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v[1 : len(v)-1])
	}
	return string(appendUnescaped(nil, v[1:len(v)-1]))
}

// count reads a number of tokens: a whole number from 0 on. Anything else is 0 and not there.
func count(v []byte) (int64, bool) {
	if len(v) == 0 || len(v) > 15 {
		return 0, false
	}
	var n int64
	for _, b := range v {
		if b < '0' || b > '9' {
			// Some servers write 12.0.
			f, err := strconv.ParseFloat(lend(v), 64)
			if err != nil || f < 0 || f > 1e15 {
				return 0, false
			}
			return int64(f), true
		}
		n = 10*n + int64(b-'0')
	}
	return n, true
}

// object says whether a value is an object that is not empty.
func object(v []byte) bool {
	c := cursor{doc: v}
	return c.open('{') && c.peek() != '}'
}

// appendUnescaped appends the meaning of a JSON string's bytes. What is not a legal escape stays as it is;
// half a surrogate pair becomes U+FFFD, as encoding/json has it.
func appendUnescaped(dst, s []byte) []byte {
	for {
		n := bytes.IndexByte(s, '\\')
		if n < 0 || n+1 >= len(s) {
			return append(dst, s...)
		}
		dst = append(dst, s[:n]...)
		s = s[n+1:]
		switch s[0] {
		case 'n':
			dst, s = append(dst, '\n'), s[1:]
		case 't':
			dst, s = append(dst, '\t'), s[1:]
		case 'r':
			dst, s = append(dst, '\r'), s[1:]
		case 'b':
			dst, s = append(dst, '\b'), s[1:]
		case 'f':
			dst, s = append(dst, '\f'), s[1:]
		case 'u':
			r, size := hexRune(s)
			if size == 0 {
				dst = append(dst, '\\')
				continue
			}
			dst, s = utf8.AppendRune(dst, r), s[size:]
		default: // a quote, a slash, a backslash, or nothing that has a meaning
			dst, s = append(dst, s[0]), s[1:]
		}
	}
}

// hexRune reads "uXXXX", or the two halves of a pair; size 0 if it is neither.
func hexRune(s []byte) (r rune, size int) {
	first, ok := hex4(s)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(first) {
		return first, 5
	}
	if len(s) >= 11 && s[5] == '\\' {
		if second, ok := hex4(s[6:]); ok {
			if both := utf16.DecodeRune(first, second); both != utf8.RuneError {
				return both, 11
			}
		}
	}
	return utf8.RuneError, 5
}

func hex4(s []byte) (rune, bool) {
	if len(s) < 5 || s[0] != 'u' {
		return 0, false
	}
	var r rune
	for _, b := range s[1:5] {
		switch {
		case b >= '0' && b <= '9':
			r = r<<4 | rune(b-'0')
		case b >= 'a' && b <= 'f':
			r = r<<4 | rune(b-'a'+10)
		case b >= 'A' && b <= 'F':
			r = r<<4 | rune(b-'A'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// quoted is a text as a JSON string.
func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // a string always has a JSON form
		panic(err)
	}
	return string(b)
}

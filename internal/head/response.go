package head

import "net/http"

const version = "HTTP/1.1"

// Answer is memory for an answer's head, which may be used again when nobody needs that any more: its strings lie in it. Its zero
// value is ready.
type Answer struct {
	Lines []Line // the headers, in the order in which they came

	text   []byte
	resp   http.Response
	coding [1]string
}

// Line is a header as it came, but for its name, which is in its canonical form.
type Line struct{ Name, Value string }

// Forget lets go of what the answer held, but for memory.
func (a *Answer) Forget() {
	lines := a.Lines[:cap(a.Lines)]
	clear(lines)
	*a = Answer{Lines: lines[:0], text: a.text[:0]}
}

// Response reads the head of an answer at the beginning of b. If it is Plain, size is how many bytes it has, and
// resp is what http.ReadResponse makes of it for the request asked (of which it looks at the method alone; nil: GET),
// but for the Body, which is nil. The caller finds that by what resp says: none for HEAD, 204 and 304, else chunks if
// resp.ContentLength is -1, else that many bytes.
//
// If into is not nil, resp lies there with all its strings, and so do the headers, as Lines; resp.Header is nil then. An answer that is
// not Plain leaves it as it is.
//
// Unusual are, beside what leaves doubt, statuses below 200 and above 599, and bodies that end with the connection.
func Response(b []byte, asked *http.Request, into *Answer) (resp *http.Response, size int, v Verdict) {
	f := borrow()
	resp, size, v = f.response(b[:min(len(b), Max)], asked, into)
	pool.Put(f)
	return resp, size, v
}

func (f *fields) response(b []byte, asked *http.Request, into *Answer) (resp *http.Response, size int, v Verdict) {
	status, start, v := statusLine(b)
	if v != Plain {
		return nil, 0, v
	}
	if size, v = f.read(b, start); v != Plain {
		return nil, 0, v
	}
	silent := asked != nil && asked.Method == http.MethodHead
	bodiless := silent || status == http.StatusNoContent || status == http.StatusNotModified
	if f.count[length]+f.count[coding] > 1 || f.count[coding] > 0 && bodiless || f.count[length]+f.count[coding] == 0 && !bodiless {
		return nil, 0, Unusual
	}
	a := into
	if a == nil {
		a = &Answer{}
	}
	a.text = f.spell(a.text, b[:size])
	s := view(a.text)
	resp = &a.resp
	*resp = http.Response{
		Status: s[len(version)+1 : start-2], StatusCode: status,
		Proto: version, ProtoMajor: 1, ProtoMinor: 1,
		ContentLength: f.length, Close: f.closing, Request: asked,
	}
	switch {
	case f.count[coding] > 0:
		a.coding[0] = "chunked"
		resp.TransferEncoding, resp.ContentLength = a.coding[:], -1
	case silent && f.count[length] == 0:
		resp.ContentLength = -1
	case bodiless && !silent:
		resp.ContentLength = 0
	}
	drop := coding.set()
	if f.closing {
		drop |= connection.set()
	}
	if into != nil {
		a.Lines = f.lines(a.Lines[:0], s, drop)
	} else {
		resp.Header = f.header(nil, s, drop)
	}
	return resp, size, Plain
}

// statusLine reads a line such as HTTP/1.1 200 OK, of which the text may be missing.
func statusLine(b []byte) (status, end int, v Verdict) {
	const begin = version + " "
	i := len(begin) + 3
	if len(b) <= i || string(b[:len(begin)]) != begin || b[i] != ' ' && b[i] != '\r' {
		return 0, 0, torn(b, 0)
	}
	for _, c := range b[len(begin):i] {
		if c < '0' || c > '9' {
			return 0, 0, torn(b, 0)
		}
		status = 10*status + int(c-'0')
	}
	if status < 200 || status > 599 {
		return 0, 0, torn(b, 0)
	}
	for i < len(b) && classes[b[i]]&text != 0 {
		i++
	}
	end, v = lineEnd(b, 0, i)
	return status, end, v
}

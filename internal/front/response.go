package front

import (
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"sluice.dev/sluice/internal/head"
)

// maxPending is how large an answer without a length may grow before it is sent in chunks.
const maxPending = 2 << 10

// response is the http.ResponseWriter of a connection's present request. It is the connection's: a handler must
// not use it, nor its Header, after it has returned.
type response struct {
	c      *conn
	asked  string // the request's method
	body   *body  // nil: none is served
	header http.Header
	writer writer

	status  int   // 0: nothing was said
	length  int64 // as the handler says; -1: it does not
	written int64
	framed  bool // how the body is framed is decided, and its head complete
	chunked bool
	silent  bool // nothing of the body is sent: HEAD, and statuses without one
	untyped bool // the type is to be found in the body
	close   bool
	err     error // of the connection
	pending []byte
	trailer []string    // announced
	lines   []head.Line // further headers

	released bool // nobody needs the request any more
}

func (w *response) begin(r *http.Request, b *body, closing bool) {
	h, out := w.header, w.writer
	if h == nil {
		h = make(http.Header)
	}
	*w = response{c: w.c, asked: r.Method, body: b, header: h, writer: out, length: -1, close: closing}
	w.writer.by = fromNow(w.c.srv.http.WriteTimeout)
}

// Header implements http.ResponseWriter.
func (w *response) Header() http.Header { return w.header }

// Lines adds headers of another server's answer, whose head was read by package head, to those of Header, which must have none of
// their names. They must stay as they are until WriteHeader has returned.
func (w *response) Lines(lines []head.Line) { w.lines = lines }

// Release says that nobody will touch the request, its context, its body or its Header, the map, when the handler has returned: they may
// serve for the next. What the context was asked to call must have been taken back; the values of headers remain whose they are.
func (w *response) Release() { w.released = true }

// SetReadDeadline bounds the reading of the body.
func (w *response) SetReadDeadline(t time.Time) error {
	if w.body == nil {
		return http.ErrBodyReadAfterClose
	}
	w.body.limit(t)
	return nil
}

// SetWriteDeadline bounds the writing of what has not been taken yet.
func (w *response) SetWriteDeadline(t time.Time) error {
	w.writer.by = t
	return nil
}

// EnableFullDuplex allows what is always so here: reading while writing.
func (w *response) EnableFullDuplex() error { return nil }

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	switch {
	case status < 100 || status > 999:
		panic(fmt.Sprintf("front: impossible status %d", status))
	case w.status != 0:
		w.c.srv.logf("front: an answer to %s was begun twice", w.c.remote)
		return
	case status < 200 && status != http.StatusSwitchingProtocols:
		w.interim(status)
		return
	}
	w.status = status
	w.silent = w.asked == http.MethodHead || !bodyAllowed(status)
	w.writer.line(status)
	w.takeLength()
	w.announce(w.header["Trailer"])
	for name, values := range w.header {
		w.field(name, values)
	}
	dated, typed, coded := w.relayed()
	if _, ok := w.header["Date"]; !ok && !dated {
		w.writer.head("Date", date(time.Now()))
	}
	_, ok := w.header["Content-Type"]
	w.untyped = !ok && !typed && !coded && bodyAllowed(status) && w.header.Get("Content-Encoding") == ""
	if !bodyAllowed(status) {
		w.framed = true
		w.endHead()
	} else if w.length >= 0 {
		w.writer.number("Content-Length", w.length)
	}
}

// interim sends an answer of 1xx.
func (w *response) interim(status int) {
	w.writer.line(status)
	for name, values := range w.header {
		if name != "Content-Length" && name != "Transfer-Encoding" {
			w.fields(name, values)
		}
	}
	w.writer.end()
	w.fail(w.writer.flush(nil))
}

// takeLength reads the handler's Content-Length; one that is none is dropped.
func (w *response) takeLength() {
	if values := w.header["Content-Length"]; len(values) > 0 {
		w.hasLength(values[0])
	}
}

func (w *response) hasLength(value string) {
	if n, err := strconv.ParseInt(textproto.TrimString(value), 10, 64); err == nil && n >= 0 && bodyAllowed(w.status) {
		w.length = n
	}
}

// relayed adds the lines of another server's answer, but for what is decided here, and says whether they hold a Date, a
// Content-Type and a Content-Encoding.
func (w *response) relayed() (dated, typed, coded bool) {
	for i := range w.lines {
		l := &w.lines[i]
		switch l.Name {
		case "Content-Length":
			w.hasLength(l.Value)
			continue
		case "Date":
			dated = true
		case "Content-Type":
			typed = true
		case "Content-Encoding":
			coded = coded || l.Value != ""
		case "Connection", "Transfer-Encoding":
			w.field(l.Name, []string{l.Value})
			continue
		}
		if l.Name != "Content-Type" || w.status != http.StatusNotModified {
			w.writer.pair(l.Name, l.Value)
		}
	}
	return dated, typed, coded
}

// field adds the lines of one header, but for what is decided here.
func (w *response) field(name string, values []string) {
	switch {
	case name == "Content-Length" || name == "Transfer-Encoding" || strings.HasPrefix(name, http.TrailerPrefix):
		return
	case name == "Content-Type" && w.status == http.StatusNotModified: // it is that of what the client has
		return
	case name == "Connection":
		if httpguts.HeaderValuesContainsToken(values, "close") {
			w.close = true
			return
		}
	}
	for _, t := range w.trailer {
		if t == name {
			return
		}
	}
	w.fields(name, values)
}

// announce notes which headers will follow the body. They come after it even if the handler set them before.
func (w *response) announce(values []string) {
	for _, v := range values {
		for name := range strings.SplitSeq(v, ",") {
			name = textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name))
			if httpguts.ValidTrailerHeader(name) {
				w.trailer = append(w.trailer, name)
			}
		}
	}
}

func (w *response) fields(name string, values []string) {
	if len(values) > 0 && !httpguts.ValidHeaderFieldName(name) {
		return
	}
	for _, v := range values {
		w.writer.head(name, v)
	}
}

func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// Write implements http.ResponseWriter.
func (w *response) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case w.err != nil:
		return 0, w.err
	case len(b) == 0:
		return 0, nil
	case !bodyAllowed(w.status):
		return 0, http.ErrBodyNotAllowed
	}
	if w.written += int64(len(b)); w.length >= 0 && w.written > w.length {
		return 0, http.ErrContentLength
	}
	switch {
	case w.framed:
	case w.length >= 0 && !w.untyped:
		w.frame(nil)
	case len(w.pending)+len(b) <= maxPending:
		w.pending = append(w.pending, b...)
		return len(b), nil
	default:
		w.release(b)
	}
	if err := w.piece(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// sniffed is how much of a body tells its type.
const sniffed = 512

// release completes the head and sends what was held back. next is what follows.
func (w *response) release(next []byte) {
	w.chunked = w.length < 0 && !w.silent
	first := w.pending
	if n := min(sniffed-len(first), len(next)); n > 0 {
		first = append(first, next[:n]...)
	}
	w.frame(first)
	if len(w.pending) > 0 {
		_ = w.piece(w.pending) // = w.err
		w.pending = nil
	}
}

// frame completes the head. first is the body's beginning.
func (w *response) frame(first []byte) {
	if w.framed {
		return
	}
	w.framed = true
	if w.untyped && len(first) > 0 {
		w.writer.head("Content-Type", http.DetectContentType(first))
	}
	if w.chunked {
		w.writer.head("Transfer-Encoding", "chunked")
	}
	w.endHead()
}

// endHead says whether the connection is kept, and ends the head.
func (w *response) endHead() {
	if w.close = w.close || w.body.spoils() || w.c.srv.closing.Load(); w.close {
		w.writer.head("Connection", "close")
	}
	w.writer.end()
}

// piece sends a piece of the body, or lets it wait for the next flush.
func (w *response) piece(b []byte) error {
	switch {
	case w.err != nil || w.silent:
	case w.chunked:
		w.fail(w.writer.chunk(b))
	default:
		w.fail(w.writer.write(b))
	}
	return w.err
}

// Flush implements http.Flusher.
func (w *response) Flush() { _ = w.FlushError() }

// FlushError sends what is buffered, and the head with it.
func (w *response) FlushError() error {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if !w.framed {
		w.release(nil)
	}
	if w.err == nil {
		w.fail(w.writer.flush(nil))
	}
	return w.err
}

// fail notes that the client can't be reached: nothing more is sent, and whoever works for it may stop.
func (w *response) fail(err error) {
	if err == nil || w.err != nil {
		return
	}
	w.err = err
	w.c.watch.gone()
}

// finish completes the answer and says whether the client has all of it.
func (w *response) finish() bool {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if !w.framed {
		w.frameWhole()
	}
	if w.chunked {
		w.trailers()
	}
	w.writer.last = true
	if w.err == nil {
		w.fail(w.writer.flush(nil))
	}
	w.writer.done()
	w.forget()
	return w.err == nil && (w.silent || w.length < 0 || w.written == w.length)
}

// frameWhole completes the head of an answer of which all is there.
func (w *response) frameWhole() {
	if trailers := w.hasTrailers(); w.length < 0 {
		w.chunked = trailers && !w.silent
		if !trailers && (w.asked != http.MethodHead || len(w.pending) > 0) { // a handler need not write for HEAD
			w.writer.number("Content-Length", int64(len(w.pending)))
		}
	}
	w.frame(w.pending)
	if len(w.pending) > 0 {
		_ = w.piece(w.pending) // = w.err
	}
}

// forget lets go of what the next request does not need: it may be long in coming.
func (w *response) forget() {
	const many = 64
	w.asked, w.body, w.pending, w.trailer, w.lines = "", nil, nil, nil, nil
	if len(w.header) > many {
		w.header = nil // a map does not shrink
	}
	clear(w.header)
}

// cut sends the chunks that were complete when the handler gave up, without a last one. Of an answer with a length
// nothing more is sent: it could look complete.
func (w *response) cut() {
	if w.chunked && w.err == nil {
		w.writer.last = true
		w.fail(w.writer.flush(nil))
	}
}

// hasTrailers says that something is to be said behind the body, which only chunks allow.
func (w *response) hasTrailers() bool {
	for name := range w.header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return len(w.trailer) > 0
}

// trailers ends the chunks.
func (w *response) trailers() {
	w.writer.lastChunk()
	for _, name := range w.trailer {
		w.fields(name, w.header[name])
	}
	for name, values := range w.header {
		if name, ok := strings.CutPrefix(name, http.TrailerPrefix); ok && httpguts.ValidTrailerHeader(name) {
			w.fields(name, values)
		}
	}
	w.writer.end()
}

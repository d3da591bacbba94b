package front

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// writer gathers what goes to the client, so that head and body, or a chunk and its frame, are one write. It holds
// memory only while it holds bytes.
type writer struct {
	c     *conn
	held  *[]byte
	buf   []byte    // of held, if that has room enough
	by    time.Time // when a write must be done; zero: no limit
	armed bool      // the socket has such a deadline
	last  bool      // the handler has returned: what is left is sent within the time of idle connections
}

func (w *writer) grab() {
	if w.held == nil {
		w.held = buffers.Get().(*[]byte)
		w.buf = (*w.held)[:0]
	}
}

func (w *writer) free() {
	if w.held != nil {
		buffers.Put(w.held)
		w.held, w.buf = nil, nil
	}
}

func (w *writer) line(status int) {
	w.grab()
	w.buf = append(w.buf, "HTTP/1.1 "...)
	w.buf = strconv.AppendInt(w.buf, int64(status), 10)
	w.buf = append(w.buf, ' ')
	if text := http.StatusText(status); text != "" {
		w.buf = append(w.buf, text...)
	} else {
		w.buf = append(w.buf, "status code "...)
		w.buf = strconv.AppendInt(w.buf, int64(status), 10)
	}
	w.buf = append(w.buf, '\r', '\n')
}

// lineBreaks makes spaces of what would end a line.
var lineBreaks = strings.NewReplacer("\n", " ", "\r", " ")

func (w *writer) head(name, value string) {
	if strings.ContainsAny(value, "\r\n") {
		value = lineBreaks.Replace(value)
	}
	w.pair(name, strings.Trim(value, " \t"))
}

// pair is head for a value that has no line break, and no blank at its ends.
func (w *writer) pair(name, value string) {
	w.buf = append(w.buf, name...)
	w.buf = append(w.buf, ':', ' ')
	w.buf = append(w.buf, value...)
	w.buf = append(w.buf, '\r', '\n')
}

func (w *writer) number(name string, n int64) {
	w.buf = append(w.buf, name...)
	w.buf = append(w.buf, ':', ' ')
	w.buf = strconv.AppendInt(w.buf, n, 10)
	w.buf = append(w.buf, '\r', '\n')
}

func (w *writer) end() { w.buf = append(w.buf, '\r', '\n') }

// write adds b, or sends it behind what is buffered if it is too large to be copied.
func (w *writer) write(b []byte) error {
	w.grab()
	if len(b) <= cap(w.buf)-len(w.buf) {
		w.buf = append(w.buf, b...)
		return nil
	}
	return w.flush(b)
}

// chunk is write with the frame of a chunk.
func (w *writer) chunk(b []byte) error {
	w.grab()
	w.buf = strconv.AppendInt(w.buf, int64(len(b)), 16)
	w.buf = append(w.buf, '\r', '\n')
	if err := w.write(b); err != nil {
		return err
	}
	w.grab()
	w.buf = append(w.buf, '\r', '\n')
	return nil
}

func (w *writer) lastChunk() {
	w.grab()
	w.buf = append(w.buf, "0\r\n"...)
}

// flush sends what is buffered and then b.
func (w *writer) flush(b []byte) error {
	defer w.free()
	if len(w.buf) == 0 && len(b) == 0 {
		return nil
	}
	if len(b) == 0 {
		n := 0
		if w.c.sock != nil {
			n = w.c.sock.Write(w.buf) // at once, as nearly always: no deadline is needed
		}
		if n == len(w.buf) {
			return nil
		}
		w.arm()
		_, err := w.c.net.Write(w.buf[n:])
		return err
	}
	w.arm()
	all := net.Buffers{w.buf, b}
	_, err := all.WriteTo(w.c.net)
	return err
}

// arm gives the socket its deadline.
func (w *writer) arm() {
	if w.last && w.by.IsZero() {
		w.by = fromNow(idleTime(w.c.srv.http))
	}
	if !w.by.IsZero() || w.armed {
		_ = w.c.net.SetWriteDeadline(w.by)
		w.armed = !w.by.IsZero()
	}
}

// done takes the deadline away and the memory back.
func (w *writer) done() {
	w.free()
	w.by, w.last = time.Time{}, false
	w.arm()
}

// clock is the text of the Date header, made once for each second.
var clock atomic.Pointer[instant]

type instant struct {
	unix int64
	text string
}

func date(now time.Time) string {
	if i := clock.Load(); i != nil && i.unix == now.Unix() {
		return i.text
	}
	i := &instant{now.Unix(), now.UTC().Format(http.TimeFormat)}
	clock.Store(i)
	return i.text
}

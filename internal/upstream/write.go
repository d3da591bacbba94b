package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// small is up to where a body in memory is copied behind the head, so that one buffer holds both;
// larger ones are handed to the system as they lie.
const small = 8 << 10

var buffers = sync.Pool{New: func() any {
	b := make([]byte, 0, small+(4<<10))
	return &b
}}

// write sends the request's head and body. A small one on a plain connection waits for the read of its answer, with
// which it is one step. A stream's body follows from a goroutine of its own.
func (c *conn) write(r *Request) error {
	held := buffers.Get().(*[]byte)
	waits, err := c.writeWith(held, r)
	if !waits {
		freeBuffer(held)
	}
	return err
}

func freeBuffer(held *[]byte) {
	if cap(*held) <= 64<<10 {
		buffers.Put(held)
	}
}

func (c *conn) writeWith(held *[]byte, r *Request) (waits bool, err error) {
	if *held, err = appendHead((*held)[:0], r); err != nil {
		r.giveUp()
		return false, err
	}
	if !c.asks(r) {
		_ = c.net.SetWriteDeadline(c.alarm.due) // of a closed connection: the write says so
	}
	if r.Stream != nil {
		return false, c.startStream(*held, r)
	}
	if r.size() > small {
		all := append(net.Buffers{*held}, r.Body...)
		_, err = all.WriteTo(c.net)
		return false, err
	}
	for _, p := range r.Body {
		*held = append(*held, p...)
	}
	if c.asks(r) {
		c.pending = held
		return true, nil
	}
	_, err = c.net.Write(*held)
	return false, err
}

// asks says that the request is written with the read of its answer, by which a connection is checked, too.
func (c *conn) asks(r *Request) bool {
	return c.sock != nil && c.host.tls == nil && r.Stream == nil && r.size() <= small
}

// size is the length of the body in memory.
func (r *Request) size() int {
	size := 0
	for _, p := range r.Body {
		size += len(p)
	}
	return size
}

// appendHead appends request line and headers. It counts the line breaks: a value that holds one would
// make two requests of one.
func appendHead(b []byte, r *Request) ([]byte, error) {
	lines := 2
	b = append(b, r.Method...)
	b = append(b, ' ')
	b = append(b, r.Target...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, r.Host...)
	b = append(b, '\r', '\n')
	for name, values := range r.Header {
		b = appendField(b, name, values)
		lines += len(values)
	}
	for i := range r.Fields {
		b = appendField(b, r.Fields[i].Name, r.Fields[i].Values)
		lines += len(r.Fields[i].Values)
	}
	b, more := appendFraming(b, r)
	b = append(b, '\r', '\n')
	lines += more + 1
	if bytes.Count(b, lineFeed) != lines || bytes.Count(b, carriageReturn) != lines || bytes.IndexByte(b, 0) >= 0 {
		return b, ErrInvalid
	}
	return b, nil
}

func appendField(b []byte, name string, values []string) []byte {
	for _, v := range values {
		b = append(b, name...)
		b = append(b, ':', ' ')
		b = append(b, v...)
		b = append(b, '\r', '\n')
	}
	return b
}

var lineFeed, carriageReturn = []byte{'\n'}, []byte{'\r'}

// appendFraming says how long the body is, and what the connection is for.
func appendFraming(b []byte, r *Request) (head []byte, lines int) {
	if r.Upgrade != "" {
		b = append(b, "Connection: Upgrade\r\nUpgrade: "...)
		b = append(b, r.Upgrade...)
		b = append(b, '\r', '\n')
		lines += 2
	}
	size := r.size()
	switch {
	case r.Stream != nil && r.Length < 0:
		return append(b, "Transfer-Encoding: chunked\r\n"...), lines + 1
	case r.Stream != nil:
		size = int(r.Length)
	case size == 0 && !hasBody(r.Method):
		return b, lines
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(size), 10)
	return append(b, '\r', '\n'), lines + 1
}

// hasBody says that servers expect to be told a length even if it is 0.
func hasBody(method string) bool {
	switch method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		return true
	}
	return false
}

// stream is a body on its way to the server.
type stream struct {
	done chan struct{} // closed when it has ended
	err  error         // read after done: why it is not whole
}

// lastWrite is how long the writing of a body may take after its answer was complete, so that the
// connection can be kept: the server may have answered before the last write returned.
const lastWrite = 50 * time.Millisecond

// sent says that the whole body was sent, and waits for that a little.
func (s *stream) sent() bool {
	timer := time.NewTimer(lastWrite)
	defer timer.Stop()
	select {
	case <-s.done:
		return s.err == nil
	case <-timer.C:
		return false
	}
}

// startStream sends the head and starts the sending of the body.
func (c *conn) startStream(head []byte, r *Request) error {
	if _, err := c.net.Write(head); err != nil {
		r.giveUp()
		return err
	}
	s := &stream{done: make(chan struct{})}
	c.stream = s
	from, length := r.Stream, r.Length
	go func() {
		defer close(s.done)
		s.err = c.send(from, length)
		_ = from.Close()
		late := errors.Is(s.err, errUnwritten) && errors.Is(s.err, os.ErrDeadlineExceeded) // as the answer is, which says so
		if s.err != nil && !late {
			c.abort() // a broken body must not look complete, nor wait for its rest
		}
	}()
	return nil
}

var copyBuffers = sync.Pool{New: func() any {
	b := make([]byte, 32<<10)
	return &b
}}

var errUnwritten = errors.New("upstream: the server takes no more of the body")

// send copies a body of the given length, -1 for chunks. Between the client's socket and the server's
// each byte is held once.
func (c *conn) send(from io.Reader, length int64) error {
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	const room = 10 // for a chunk's size before it and the line break behind it
	for sent := int64(0); ; {
		n, err := from.Read((*buf)[room : len(*buf)-2])
		if n > 0 {
			sent += int64(n)
			if length >= 0 && sent > length {
				return http.ErrContentLength
			}
			piece := (*buf)[room : room+n]
			if length < 0 {
				piece = chunk(*buf, room, n)
			}
			if _, werr := c.net.Write(piece); werr != nil {
				return fmt.Errorf("%w: %w", errUnwritten, werr)
			}
		}
		switch ended := errors.Is(err, io.EOF); {
		case ended && length >= 0 && sent < length:
			return io.ErrUnexpectedEOF
		case ended && length < 0:
			_, err = io.WriteString(c.net, "0\r\n\r\n")
			return err
		case ended || err == nil && sent == length:
			return nil
		case err != nil:
			return err
		}
	}
}

// chunk frames buf[room:room+n] in place.
func chunk(buf []byte, room, n int) []byte {
	var size [16]byte
	head := append(strconv.AppendInt(size[:0], int64(n), 16), '\r', '\n')
	start := room - len(head)
	copy(buf[start:], head)
	return append(buf[start:room+n], '\r', '\n')
}

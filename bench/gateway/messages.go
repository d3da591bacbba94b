package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	"sluice.dev/sluice/internal/socket"
)

// message is a request or an answer with a Content-Length.
type message struct {
	line   []byte // the first
	length int    // of the body
}

// messages reads one message after the other from a connection. The load must cost less than the proxies that it is to keep busy, so
// no read is tried before something has come (a call of the system takes a microsecond on some machines).
type messages struct {
	sock *socket.Socket
	buf  []byte
	n    int
	f    func(m message) (more bool, err error)
	err  error // f's, or of what came
}

func newMessages(c net.Conn) *messages {
	return &messages{sock: socket.Of(c), buf: make([]byte, 8<<10)}
}

// each calls f with each message that has come whole, until f wants no more or fails, or the connection ends.
func (m *messages) each(f func(m message) (more bool, err error)) error {
	m.f, m.err = f, nil
	err := m.sock.Stream(func() []byte { return m.buf[m.n:] }, func() {}, m.came)
	if m.err != nil {
		return m.err
	}
	return err
}

func (m *messages) came(n int) (more bool) {
	for m.n += n; ; {
		one, size, err := parse(m.buf[:m.n])
		switch {
		case err != nil:
			m.err = err
			return false
		case size == 0 && m.n == len(m.buf):
			m.err = errors.New("a message of more than 8 KiB")
			return false
		case size == 0:
			return true
		}
		more, m.err = m.f(one)
		m.n = copy(m.buf, m.buf[size:m.n])
		if !more || m.err != nil {
			return false
		}
	}
}

// parse finds the message at the beginning of b and its size; 0: it is not whole.
func parse(b []byte) (m message, size int, err error) {
	head := bytes.Index(b, []byte("\r\n\r\n"))
	if head < 0 {
		return m, 0, nil
	}
	m.length = -1
	for i, rest := 0, b[:head]; len(rest) > 0; i++ {
		line, after, _ := bytes.Cut(rest, []byte("\r\n"))
		rest = after
		if i == 0 {
			m.line = line
		} else if len(line) > 15 && bytes.EqualFold(line[:15], []byte("content-length:")) {
			if m.length, err = strconv.Atoi(string(bytes.TrimSpace(line[15:]))); err != nil {
				return m, 0, err
			}
		}
	}
	if size = head + 4 + max(m.length, 0); size > len(b) {
		return m, 0, nil
	}
	return m, size, nil
}

// good checks an answer of the model server.
func good(m message) error {
	switch {
	case !bytes.HasPrefix(m.line, []byte("HTTP/1.1 200")):
		return fmt.Errorf("answer %q", m.line)
	case m.length != answerSize:
		return fmt.Errorf("an answer of %d bytes", m.length)
	}
	return nil
}

// ask sends a request and waits for its answer.
func (m *messages) ask(c net.Conn, req []byte) error {
	if _, err := c.Write(req); err != nil {
		return err
	}
	answered := false
	err := m.each(func(one message) (bool, error) {
		answered = true
		return false, good(one)
	})
	if err == nil && !answered {
		err = io.ErrUnexpectedEOF
	}
	return err
}

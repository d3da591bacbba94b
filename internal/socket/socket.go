//go:build unix

// Package socket reads and writes the sockets of the hot path with as few ways through the kernel and the scheduler as
// there can be: a wait for data holds no memory, a request and the wait for its answer are one step that tries no
// read in vain, nor does one of what comes piece after piece, and a call that can't block is not told to the scheduler.
// Why that is safe, and where not, is in docs/decisions/0016.
package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// Socket is a connection of the system. One goroutine may read while another writes, as with net.Conn, whose deadlines
// and Close hold here, too.
type Socket struct {
	net net.Conn
	raw syscall.RawConn

	// Made once, so that a call allocates nothing.
	readable, writable, flowing func(fd uintptr) bool
	look                        func(fd uintptr)

	in  reading
	out writing
	at  looking
}

type reading struct {
	b    []byte        // where to read to; nil: room says
	room func() []byte // asked when there may be something
	back func()        // there was nothing
	came func(n int) (more bool)

	ask  []byte // to be written first
	kept bool   // the connection has served before: the peer has nothing to say yet
	sent int    // of ask

	n   int
	err error
}

type writing struct {
	b []byte
	n int
}

type looking struct {
	open, silent bool
	scrap        [1]byte
}

// Of returns the socket of c, nil if it is none: a connection in memory, or one under TLS.
func Of(c net.Conn) *Socket {
	t, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return nil
	}
	s := &Socket{net: c, raw: raw}
	s.readable, s.writable, s.flowing, s.look = s.onReadable, s.onWritable, s.onFlow, s.onLook
	return s
}

// Read waits for data and reads it into b. The error at the end is io.EOF.
func (s *Socket) Read(b []byte) (int, error) {
	s.in = reading{b: b}
	return s.read()
}

// ReadLate is Read into what room returns when there may be something to read; if there is nothing, back is told so
// that the wait need not hold the memory. Both are functions, not closures of the call, so that it allocates nothing.
func (s *Socket) ReadLate(room func() []byte, back func()) (int, error) {
	s.in = reading{room: room, back: back}
	return s.read()
}

// ErrStale is a connection that the peer has closed, or spoken on, before it was asked.
var ErrStale = errors.New("socket: the peer has closed the connection, or spoken unasked")

// Ask writes a whole request and waits for the first bytes of its answer as ReadLate does: when back is called, the request's
// memory is not needed any more, either. kept says that the
// connection has served requests before: if its peer has since closed it, or said anything, nothing is written and
// the error is ErrStale. sent < len(request) without an error says that the system takes no more at once: the rest must
// be written, and the answer read, by the caller.
func (s *Socket) Ask(request []byte, room func() []byte, back func(), kept bool) (sent, n int, err error) {
	s.in = reading{room: room, back: back, ask: request, kept: kept}
	n, err = s.read()
	return s.in.sent, n, err
}

// Stream reads what comes, piece after piece, into what room returns, and calls came for each with its length, until that
// says that no more is wanted. Between pieces it tries no read in vain: back is told that the memory is not needed, and the next
// read is when something has come. An end that came together with data is such a thing no more: who must learn of it at once
// watches for hang-ups, and ends the wait by a deadline. came must not close the connection, nor read from it.
func (s *Socket) Stream(room func() []byte, back func(), came func(n int) (more bool)) error {
	s.in = reading{room: room, back: back, came: came}
	err := s.raw.Read(s.flowing)
	in := s.in.err
	s.in = reading{}
	if err != nil {
		return err
	}
	return in
}

// onFlow is called at first and then whenever something may have come; true ends the stream.
func (s *Socket) onFlow(fd uintptr) bool {
	for r := &s.in; ; {
		b := r.room()
		n, fault := read(fd, b)
		switch {
		case fault == syscall.EAGAIN:
			r.back()
			return false
		case fault != 0:
			r.err = s.failed("read", fault)
			return true
		case n == 0:
			r.err = io.EOF
			return true
		case !r.came(n):
			return true
		case n < len(b): // all that there was: what comes now wakes the wait
			r.back()
			return false
		}
	}
}

func (s *Socket) read() (int, error) {
	err := s.raw.Read(s.readable)
	s.in.b, s.in.ask = nil, nil // an idle connection must not keep the memory of others
	if err != nil {
		return 0, err
	}
	return s.in.n, s.in.err
}

// onReadable is called at first and then whenever something may have come; true ends the wait.
func (s *Socket) onReadable(fd uintptr) bool {
	r := &s.in
	if len(r.ask) > 0 {
		if quiet, ended := s.asks(fd); quiet || ended {
			if !ended {
				r.back()
			}
			return ended
		}
	}
	b := r.b
	if b == nil {
		b = r.room()
	}
	n, fault := read(fd, b)
	if n == 0 && r.back != nil {
		r.back()
	}
	switch {
	case fault == syscall.EAGAIN:
		return false
	case fault != 0:
		r.err = s.failed("read", fault)
	case n == 0:
		r.err = io.EOF
	}
	r.n = n
	return true
}

// asks writes the request. The runtime already listens for what comes, so that a read before the wait would be in vain
// if nothing has come so far, and nothing that comes from now on is missed.
func (s *Socket) asks(fd uintptr) (quiet, ended bool) {
	r := &s.in
	_, fault := peek(fd, s.at.scrap[:])
	quiet = fault == syscall.EAGAIN
	if !quiet && r.kept {
		r.err = ErrStale
		return quiet, true
	}
	if r.sent, fault = write(fd, r.ask); fault != 0 {
		r.err = s.failed("write", fault)
	}
	ended = r.sent < len(r.ask)
	r.ask = nil
	return quiet, ended
}

// Write writes as much of b as is taken at once: what is left, or what hinders it, is net.Conn's to wait for.
func (s *Socket) Write(b []byte) int {
	s.out = writing{b: b}
	err := s.raw.Write(s.writable)
	s.out.b = nil
	if err != nil {
		return 0
	}
	return s.out.n
}

func (s *Socket) onWritable(fd uintptr) bool {
	s.out.n, _ = write(fd, s.out.b)
	return true
}

// Look says without waiting whether the peer has closed the connection, and whether it has said nothing.
func (s *Socket) Look() (open, silent bool) {
	s.at.open, s.at.silent = false, false
	if s.raw.Control(s.look) != nil {
		return false, false
	}
	return s.at.open, s.at.silent
}

func (s *Socket) onLook(fd uintptr) {
	n, fault := peek(fd, s.at.scrap[:])
	s.at.silent = fault == syscall.EAGAIN
	s.at.open = s.at.silent || fault == 0 && n > 0
}

func (s *Socket) failed(op string, fault syscall.Errno) error {
	return &net.OpError{Op: op, Net: "tcp", Source: s.net.LocalAddr(), Addr: s.net.RemoteAddr(), Err: os.NewSyscallError(op, fault)}
}

//go:build unix

package front

import (
	"io"
	"net"
	"syscall"
)

// socket reads and writes a connection of the system, so that a wait for data holds no buffer.
type socket struct {
	raw   syscall.RawConn // nil: a connection in memory
	c     *conn
	ready func(fd uintptr) bool // = take, made once
	send  func(fd uintptr) bool // = put, made once

	readErr error // the reader's

	out      []byte // the writer's, as is what follows
	wrote    int
	writeErr error
}

func (s *socket) init(c *conn) {
	s.c = c
	if t, ok := c.net.(syscall.Conn); ok {
		if raw, err := t.SyscallConn(); err == nil {
			s.raw = raw
			s.ready, s.send = s.take, s.put
		}
	}
}

// read appends to c.in what the client has sent, waiting for it.
func (s *socket) read() error {
	if s.raw == nil {
		return s.c.readPlain()
	}
	s.readErr = nil
	if err := s.raw.Read(s.ready); err != nil {
		return err
	}
	return s.readErr
}

// take reads if there is something to read.
func (s *socket) take(fd uintptr) bool {
	b := s.c.room()
	n, err := syscall.Read(int(fd), b)
	for err == syscall.EINTR {
		n, err = syscall.Read(int(fd), b)
	}
	switch {
	case err == syscall.EAGAIN:
		s.c.shrink()
		return false
	case err != nil:
		s.readErr = wrapped("read", s.c.net, err)
	case n == 0:
		s.readErr = io.EOF
	default:
		s.c.came(n)
	}
	return true
}

// write writes as much as is taken at once, so that nearly all answers need no deadline.
func (s *socket) write(b []byte) (int, error) {
	if s.raw == nil {
		return 0, nil
	}
	s.out, s.wrote, s.writeErr = b, 0, nil
	if s.raw.Write(s.send) != nil {
		s.wrote, s.writeErr = 0, nil // what hinders it is found by the write that waits
	}
	s.out = nil
	return s.wrote, s.writeErr
}

func (s *socket) put(fd uintptr) bool {
	n, err := syscall.Write(int(fd), s.out)
	switch {
	case n > 0:
		s.wrote = n
	case err == syscall.EAGAIN || err == syscall.EINTR:
	case err != nil:
		s.writeErr = wrapped("write", s.c.net, err)
	}
	return true
}

func wrapped(op string, c net.Conn, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

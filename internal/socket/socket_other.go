//go:build !unix

// Package socket reads and writes sockets without waiting in vain, where the system can be asked. This one can't.
package socket

import (
	"errors"
	"net"
)

// Socket is a connection of the system.
type Socket struct{}

// Of returns nil: net.Conn is used as it is.
func Of(net.Conn) *Socket { return nil }

// ErrStale is a connection that the peer has closed, or spoken on, before it was asked.
var ErrStale = errors.New("socket: the peer has closed the connection, or spoken unasked")

// Read is never called.
func (s *Socket) Read([]byte) (int, error) { return 0, net.ErrClosed }

// ReadLate is never called.
func (s *Socket) ReadLate(func() []byte, func()) (int, error) { return 0, net.ErrClosed }

// Ask is never called.
func (s *Socket) Ask([]byte, func() []byte, func(), bool) (sent, n int, err error) {
	return 0, 0, net.ErrClosed
}

// Stream is never called.
func (s *Socket) Stream(func() []byte, func(), func(int) bool) error { return net.ErrClosed }

// Write is never called.
func (s *Socket) Write([]byte) int { return 0 }

// Look is never called.
func (s *Socket) Look() (open, silent bool) { return true, true }

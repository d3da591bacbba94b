package gateway

import (
	"net"
	"sync"
)

// Bound returns a listener that has at most limit connections open at once. Further ones wait in the
// system's queue until one of the others is closed.
func Bound(l net.Listener, limit int) net.Listener {
	return &bound{Listener: l, slots: make(chan struct{}, limit), closed: make(chan struct{})}
}

type bound struct {
	net.Listener
	slots  chan struct{}
	once   sync.Once
	closed chan struct{}
}

// Accept implements net.Listener.
func (b *bound) Accept() (net.Conn, error) {
	select {
	case b.slots <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.slots
		return nil, err
	}
	free := sync.OnceFunc(func() { <-b.slots })
	if t, ok := c.(*net.TCPConn); ok {
		return &boundTCP{t, free}, nil
	}
	return &boundConn{c, free}, nil
}

// Close implements net.Listener.
func (b *bound) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

// boundTCP keeps all that a TCP connection can do, such as closing one direction.
type boundTCP struct {
	*net.TCPConn
	free func()
}

// Close implements net.Conn.
func (c *boundTCP) Close() error {
	defer c.free()
	return c.TCPConn.Close()
}

type boundConn struct {
	net.Conn
	free func()
}

// Close implements net.Conn.
func (c *boundConn) Close() error {
	defer c.free()
	return c.Conn.Close()
}

package front

import (
	"net"
	"sync"
)

// handover is the listener of the http.Server: what it accepts is handed to it.
type handover struct {
	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
	addr  net.Addr
}

func newHandover() *handover {
	return &handover{conns: make(chan net.Conn), ended: make(chan struct{})}
}

func (h *handover) from(l net.Listener) *handover {
	h.addr = l.Addr()
	return h
}

// give hands a connection over, with what was read from it.
func (h *handover) give(c net.Conn, read []byte) {
	select {
	case h.conns <- &begun{Conn: c, read: read}:
	case <-h.ended:
		_ = c.Close()
	}
}

// Accept implements net.Listener.
func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.ended:
		return nil, net.ErrClosed
	}
}

func (h *handover) close() { h.once.Do(func() { close(h.ended) }) }

// Close implements net.Listener.
func (h *handover) Close() error {
	h.close()
	return nil
}

// Addr implements net.Listener.
func (h *handover) Addr() net.Addr { return h.addr }

// begun is a connection of which something was read.
type begun struct {
	net.Conn
	read []byte
}

// Read implements net.Conn.
func (b *begun) Read(p []byte) (int, error) {
	if len(b.read) == 0 {
		return b.Conn.Read(p)
	}
	n := copy(p, b.read)
	if b.read = b.read[n:]; len(b.read) == 0 {
		b.read = nil // its memory need not wait for the connection's end
	}
	return n, nil
}

// CloseWrite tells the client that no more comes; net/http asks for it before it closes a connection of which
// it has not read all.
func (b *begun) CloseWrite() error {
	if w, ok := b.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

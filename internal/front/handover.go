package front

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"sluice.dev/sluice/internal/socket"
)

// handover is the listener of the http.Server: what it accepts is handed to it.
type handover struct {
	conns chan net.Conn
	ended chan struct{}
	once  sync.Once
	addr  net.Addr
	hasty atomic.Bool // the server is closed, not only shut down
}

func newHandover() *handover {
	return &handover{conns: make(chan net.Conn), ended: make(chan struct{})}
}

func (h *handover) from(l net.Listener) *handover {
	h.addr = l.Addr()
	return h
}

// give hands a connection over, with what was read from it. limit is for clients of HTTP/2 that take nothing.
func (h *handover) give(c net.Conn, read []byte, limit time.Duration) {
	var over net.Conn
	if sock := socket.Of(c); sock != nil && bytes.HasPrefix(read, []byte(priorLine)) {
		p := newPrior(c, sock, limit, read)
		p.hasty = &h.hasty
		over = p
	} else {
		over = &begun{Conn: c, sock: sock, read: read}
	}
	select {
	case h.conns <- over:
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

// begun is a connection of which something was read. It reads and writes as cheaply as those that stay here.
type begun struct {
	net.Conn
	sock *socket.Socket // nil: a connection that the system can't be asked about

	reads sync.Mutex
	read  []byte

	writes sync.Mutex
}

// Read implements net.Conn.
func (b *begun) Read(p []byte) (int, error) {
	b.reads.Lock()
	defer b.reads.Unlock()
	switch {
	case len(b.read) == 0 && (b.sock == nil || len(p) == 0):
		return b.Conn.Read(p)
	case len(b.read) == 0:
		return b.sock.Read(p)
	}
	n := copy(p, b.read)
	if b.read = b.read[n:]; len(b.read) == 0 {
		b.read = nil // its memory need not wait for the connection's end
	}
	return n, nil
}

// Write implements net.Conn.
func (b *begun) Write(p []byte) (int, error) {
	b.writes.Lock()
	defer b.writes.Unlock()
	n := 0
	if b.sock != nil {
		if n = b.sock.Write(p); n == len(p) {
			return n, nil
		}
	}
	m, err := b.Conn.Write(p[n:])
	return n + m, err
}

// CloseWrite tells the client that no more comes; net/http asks for it before it closes a connection of which
// it has not read all.
func (b *begun) CloseWrite() error {
	if w, ok := b.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

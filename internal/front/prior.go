package front

import (
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"sluice.dev/sluice/internal/socket"
)

// priorLine is the first line of HTTP/2 by prior knowledge.
const priorLine = "PRI * HTTP/2.0\r\n"

// prior is a connection of HTTP/2 by prior knowledge, as net/http's server sees it. That one reads the head of a frame
// and its body by two calls, and sends head and body of an answer by two more, each under a deadline of its own. Here
// a read takes all that has come, what everybody writes who is about to run leaves by one call, and a deadline is set
// only if the client does not take it at once. Memory is held only while there is something in it.
type prior struct {
	net.Conn
	sock  *socket.Socket
	limit time.Duration // for the client to take a part of what is sent; 0: none
	hasty *atomic.Bool  // the server waits for nobody any more; nil: it does

	reads  sync.Mutex
	in     inbox
	room   func() []byte // = in.room, made once, as is shrink
	shrink func()

	writes  sync.Mutex
	turn    sync.Cond // of who waits for blocked to end
	held    *[]byte
	out     []byte    // of held: to be sent
	due     bool      // a goroutine is on its way to send it
	blocked bool      // one waits for the client, without the lock
	err     error     // of sending
	ended   bool      // nothing more is taken
	by      time.Time // when what was taken before must have left
}

func newPrior(c net.Conn, s *socket.Socket, limit time.Duration, read []byte) *prior {
	p := &prior{Conn: c, sock: s, limit: limit}
	p.room, p.shrink = p.in.room, p.in.shrink
	p.turn.L = &p.writes
	p.in.to = copy(p.in.room(), read)
	return p
}

// Read implements net.Conn.
func (p *prior) Read(b []byte) (int, error) {
	p.reads.Lock()
	defer p.reads.Unlock()
	if len(p.in.bytes()) == 0 {
		if len(b) >= maxHead {
			return p.sock.Read(b)
		}
		n, err := p.sock.ReadLate(p.room, p.shrink)
		if n == 0 {
			p.in.shrink()
			return 0, err
		}
		p.in.to += n
	}
	return p.in.take(b), nil
}

// Write implements net.Conn. What fits into the memory for it is sent when those have run who are ready to: an answer's
// head and body then leave together, and so do those of several streams.
func (p *prior) Write(b []byte) (int, error) {
	p.writes.Lock()
	defer p.writes.Unlock()
	if len(p.out)+len(b) > maxHead {
		p.send() // waits for the client, if it must
	}
	switch {
	case p.err != nil:
		return 0, p.err
	case p.ended:
		return 0, net.ErrClosed
	case len(b) > maxHead:
		n := p.transmit(b)
		return n, p.err
	}
	if p.held == nil {
		p.held = buffers.Get().(*[]byte)
		p.out = (*p.held)[:0]
	}
	p.out = append(p.out, b...)
	if !p.due {
		p.due = true
		go p.later()
	}
	return len(b), nil
}

// later sends what has been gathered until the others who were ready to run have done so.
func (p *prior) later() {
	runtime.Gosched()
	p.writes.Lock()
	defer p.writes.Unlock()
	p.due = false
	p.send()
}

// send sends what is gathered. The lock is held.
func (p *prior) send() {
	for p.blocked {
		p.turn.Wait()
	}
	for p.held != nil && p.err == nil {
		held, b := p.held, p.out
		p.held, p.out = nil, nil
		p.transmit(b)
		buffers.Put(held)
	}
}

// transmit sends b, which is not touched by others meanwhile. The lock is held, but not during a wait for the client.
func (p *prior) transmit(b []byte) int {
	n := p.sock.Write(b)
	if n == len(b) {
		return n
	}
	p.blocked = true
	p.writes.Unlock()
	m, err := p.wait(b[n:])
	p.writes.Lock()
	p.blocked = false
	p.turn.Broadcast()
	if err != nil {
		p.err = err
		p.drop()
		_ = p.Conn.Close() // the reader must hear of it: the writer may have gone
	}
	return n + m
}

// wait writes within the limit, which begins anew with each part that is taken.
func (p *prior) wait(b []byte) (n int, err error) {
	for n < len(b) {
		if p.limit > 0 {
			_ = p.Conn.SetWriteDeadline(p.partBy())
		}
		var m int
		m, err = p.Conn.Write(b[n:])
		if n += m; err != nil && (m == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			return n, err
		}
	}
	return n, nil
}

// partBy is when the client must have taken the next part.
func (p *prior) partBy() time.Time {
	by := time.Now().Add(p.limit)
	p.writes.Lock()
	defer p.writes.Unlock()
	if p.ended && p.by.Before(by) {
		return p.by
	}
	return by
}

// SetWriteDeadline implements net.Conn. The server's own deadlines say how long a client may take for what it is sent: so
// does limit, where it is needed.
func (p *prior) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline implements net.Conn.
func (p *prior) SetDeadline(t time.Time) error { return p.SetReadDeadline(t) }

// CloseWrite tells the client that no more comes.
func (p *prior) CloseWrite() error {
	p.writes.Lock()
	p.send()
	p.writes.Unlock()
	if w, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

// Close implements net.Conn. What was written before, such as the end of an answer or the reason for this one, still leaves: to the
// server it has. A client that is slow to take it has the limit for all of it, and is not heard any more. A second Close does not wait.
func (p *prior) Close() error {
	p.writes.Lock()
	if p.err == nil && !p.ended {
		p.ended = true
		p.rest()
	}
	if p.err == nil {
		p.err = net.ErrClosed
	}
	p.drop()
	p.writes.Unlock()
	return p.Conn.Close()
}

// rest sends what is left at the end. The lock is held, but not during a wait for the client.
func (p *prior) rest() {
	switch waits := p.limit > 0 && (p.hasty == nil || !p.hasty.Load()); {
	case waits:
		p.by = time.Now().Add(p.limit)
		_ = p.SetReadDeadline(past)
		p.send()
	case p.held != nil && !p.blocked:
		p.sock.Write(p.out)
	}
}

// drop lets go of what is not sent any more. The lock is held.
func (p *prior) drop() {
	if p.held != nil {
		buffers.Put(p.held)
		p.held, p.out = nil, nil
	}
}

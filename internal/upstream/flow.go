package upstream

import (
	"errors"
	"io"
	"math"
	"os"
	"sync"
	"time"

	"sluice.dev/sluice/internal/socket"
)

// hangups tells streams that their server has ended the connection; nil where the system can't.
var hangups = sync.OnceValue(func() *socket.Hangups {
	h, err := socket.NewHangups()
	if err != nil {
		return nil
	}
	return h
})

// flow is the reading of a stream over a socket as one step of package socket, from piece to piece: no read is tried before
// there is something.
type flow struct {
	f       func(piece []byte) error
	refused error // f's, which ended it
	err     error // of the body, or of its connection; nil: neither
	reading bool  // piece must not wait

	mu   sync.Mutex
	on   bool
	hung bool // the server has ended the connection: only a read shows what it said before
}

// errNotYet says that more must come first.
var errNotYet = errors.New("upstream: nothing has come yet")

// flows reads the body as a flow as far as that goes: to its end, to an error, of the body or of f, or to where it must be read
// otherwise.
func (b *body) flows(f func(piece []byte) error) {
	if !b.chunked || b.over || b.ended || b.from != nil || b.c.sock == nil || b.c.host.tls != nil {
		return
	}
	watch := hangups()
	if watch == nil {
		return
	}
	b.flow.f, b.flow.on, b.flow.reading = f, true, true
	if id, err := watch.Watch(b.c.sock, b); err == nil { // else no memory of the system is left, say: it is read without
		if b.take() {
			b.limit()
			b.stream()
		}
		watch.Forget(b.c.sock, id)
	}
	b.flow.stop()
	if b.flow.hung && b.flow.err == nil && b.flow.refused == nil {
		b.arm() // what the server has said before is read to its end
	}
}

// stream waits for pieces until one ends the flow. A deadline that came too early is set anew.
func (b *body) stream() {
	for {
		err := b.c.sock.Stream(b.c.room, b.c.asleep, b.came)
		switch {
		case err == nil: // what ended it is noted
		case errors.Is(err, io.EOF):
			b.flow.err = io.ErrUnexpectedEOF
		case errors.Is(err, os.ErrDeadlineExceeded) && b.flow.hangs():
		case errors.Is(err, os.ErrDeadlineExceeded) && !b.due.IsZero() && time.Now().Before(b.due):
			b.arm()
			continue
		default:
			b.flow.err = err
		}
		return
	}
}

// came takes n bytes that were read into the inbox, and says whether to wait for more.
func (b *body) came(n int) (more bool) {
	b.c.in.came(n)
	return b.take()
}

// take hands on what is in the inbox, and says whether to wait for more.
func (b *body) take() (more bool) {
	for given := false; ; {
		piece, err := b.piece(math.MaxInt)
		switch {
		case errors.Is(err, errNotYet):
			if given {
				b.limit()
			}
			return true
		case errors.Is(err, errUnusual):
			return false
		case err != nil:
			b.flow.err = err
			return false
		}
		if len(piece) > 0 {
			given = true
			b.flow.refused = b.flow.f(piece)
		}
		if b.ended || b.flow.refused != nil {
			return false
		}
	}
}

// HungUp implements socket.Watcher: it ends the wait. It may come when the connection already serves others.
func (b *body) HungUp(uint64) {
	b.flow.mu.Lock()
	defer b.flow.mu.Unlock()
	if b.flow.on {
		b.flow.hung = true
		_ = b.c.net.SetReadDeadline(past)
	}
}

var past = time.Unix(1, 0)

func (f *flow) hangs() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hung
}

func (f *flow) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.on, f.reading = false, false
}

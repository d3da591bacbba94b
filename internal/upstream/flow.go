package upstream

import (
	"errors"
	"io"
	"math"
	"os"

	"sluice.dev/sluice/internal/socket"
)

// hangups tells streams that their server has ended the connection, where the system can.
var hangups socket.Hangups

// flow hands the pieces of a body on. That of a stream over a socket is one step of package socket, from piece to piece: no
// read is tried before there is something.
type flow struct {
	f       func(piece []byte) error
	refused error // f's, which ended it
	err     error // of the body, or of its connection; nil: neither
	reading bool  // as one step of the socket: piece must not wait
}

// errNotYet says that more must come first.
var errNotYet = errors.New("upstream: nothing has come yet")

// flows reads the body as a flow as far as that goes: to its end, to an error, of the body or of f, or to where it must be read
// otherwise.
func (b *body) flows() {
	if !b.chunked || b.ended || b.c.sock == nil || b.c.host.tls != nil {
		return
	}
	b.flow.reading = true
	defer func() { b.flow.reading = false }() // if f panics, too
	if b.take() {
		b.watched()
	}
}

// watched goes on with what has not come yet.
func (b *body) watched() {
	b.c.flows(true)
	defer func() {
		if b.c.flows(false) {
			b.c.arm() // what the server has said before is read to its end
		}
	}()
	id, err := hangups.Watch(b.c.sock, b.c)
	if err != nil { // the system can't, or not now: it is read without
		return
	}
	defer hangups.Forget(b.c.sock, id)
	b.limit()
	b.stream()
}

// stream waits for pieces until one ends the flow.
func (b *body) stream() {
	for {
		err := b.c.sock.Stream(b.c.room, b.c.asleep, b.came)
		switch {
		case err == nil: // what ended it is noted
		case errors.Is(err, io.EOF):
			b.flow.err = io.ErrUnexpectedEOF
		case errors.Is(err, os.ErrDeadlineExceeded) && b.c.hangs():
		case b.c.early(err):
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

// take hands pieces on until the body ends, f refuses one, or the rest is net/http's; of a stream that is one step of the socket what
// has come, and more says that the step goes on.
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

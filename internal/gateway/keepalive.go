package gateway

import (
	"net/http"
	"sync"
	"time"
)

// beat tells the client of a stream that says nothing yet that it is still alive: by a comment, which every reader of events
// drops, so that no proxy between takes the silence for an end. Only before the first event: afterwards the next byte may
// belong to one that has begun.
type beat struct {
	every time.Duration

	mu    sync.Mutex // held while a comment is written
	timer *time.Timer
	c     *client
	err   error // the client's
	over  bool
}

var keepAlive = []byte(": keep-alive\n\n")

// beats starts the comments if the version asks for them and the answer is a stream of events that nobody has to unpack.
// The result may be nil.
func (x *exchange) beats(h http.Header, c *client) *beat {
	every := x.sending.v.timeouts.KeepAlive.Std()
	if every <= 0 || !eventStream(h) || len(h["Content-Encoding"]) > 0 {
		return nil
	}
	b := &beat{every: every, c: c}
	b.mu.Lock() // the timer may fire before it has its name
	defer b.mu.Unlock()
	b.timer = time.AfterFunc(every, b.tick)
	return b
}

func (b *beat) tick() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return
	}
	if b.err = b.c.write(keepAlive, true); b.err == nil {
		b.timer.Reset(b.every)
	}
}

// stop ends the comments, waits for one that is being written, and returns why one could not be. The client is the caller's
// alone again.
func (b *beat) stop() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	b.timer.Stop()
	return b.err
}

package front

import (
	"context"
	"sync"
	"time"
)

// watchAfter is how long a request may last before its client is watched. What is faster is over before a
// cancellation would save anything.
const watchAfter = 10 * time.Millisecond

// past is a deadline that ends a read under way.
var past = time.Unix(1, 0)

// watch notices that the client of a long request goes away. It reads ahead, as net/http's server does for every
// request: the end of what comes is the client's end, and what comes is the next request.
type watch struct {
	c     *conn
	timer *time.Timer // nil: not needed so far
	idle  *sync.Cond

	mu      sync.Mutex
	request *requestContext // nil: none is served
	free    bool            // nobody else reads from the connection
	due     bool            // the request has lasted
	reading bool
}

// begin starts the time of a request. free says that its body is at its end.
func (w *watch) begin(r *requestContext, free bool) {
	w.mu.Lock()
	w.request, w.free, w.due = r, free, false
	w.mu.Unlock()
	if w.timer == nil {
		w.idle = sync.NewCond(&w.mu)
		w.timer = time.AfterFunc(watchAfter, w.fire)
		return
	}
	w.timer.Reset(watchAfter)
}

func (w *watch) fire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.due = w.request != nil
	w.start()
}

// bodyRead says that the body of r is at its end. Who read it may be late: r may be over, and another be served.
func (w *watch) bodyRead(r *requestContext) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.request == r {
		w.free = true
		w.start()
	}
}

// start begins to read if it is time and there is nothing that waits to be served. It needs the lock.
func (w *watch) start() {
	if w.request == nil || !w.due || !w.free || w.reading || len(w.c.in.bytes()) > 0 {
		return
	}
	w.reading = true
	w.c.until(time.Time{})
	go w.read()
}

func (w *watch) read() {
	err := w.c.read()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reading = false
	if err != nil && w.request != nil {
		w.request.cancel(context.Canceled)
	}
	w.idle.Broadcast()
}

// end stops the watch over the present request and waits until the connection is its owner's again.
func (w *watch) end() {
	w.timer.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.request = nil
	for first := true; w.reading; first = false {
		if first {
			w.c.until(past)
		}
		w.idle.Wait()
	}
}

// gone ends the present request's context: its client takes nothing any more.
func (w *watch) gone() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.request != nil {
		w.request.cancel(context.Canceled)
	}
}

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

// watch notices that the client of a long request goes away. The system tells of it where it can. Elsewhere a
// goroutine reads ahead, as in net/http's server for every request: the end of what comes is the client's end, and
// what comes is the next request. In both ways a client that has sent its next request is not known to be gone.
type watch struct {
	c     *conn
	timer *time.Timer // nil: not needed so far
	idle  *sync.Cond  // nil: nothing was read ahead so far

	mu      sync.Mutex
	request *requestContext // nil: none is served
	free    bool            // nobody else reads from the connection
	due     bool            // the request has lasted
	armed   bool            // timer is set, for the present request or an earlier one
	reading bool            // ahead, in a goroutine

	id   uint64 // of the connection among the server's hang-ups, from its first watch on; 0: none so far
	hung bool   // it is one of them
	flow bool   // the connection's goroutine waits in a flow, which its end might not wake
}

// begin starts the time of a request. free says that its body is at its end.
func (w *watch) begin(r *requestContext, free bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.request, w.free, w.due = r, free, false
	if w.id == 0 || w.hung { // else there is nothing to see before the system tells
		w.arm()
	}
}

// arm sets the time after which the request has lasted. It needs the lock.
func (w *watch) arm() {
	w.armed = true
	if w.timer == nil {
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

// start begins to watch if it is time and there is nothing that waits to be served. It needs the lock.
func (w *watch) start() {
	if !w.watches() || w.reading {
		return
	}
	if w.id == 0 {
		w.id = w.system()
	}
	switch {
	case w.id == 0:
		w.readAhead()
	case w.hung:
		w.look()
	}
}

// watches says that an end of what comes would be the end of the present request. It needs the lock.
func (w *watch) watches() bool {
	return w.request != nil && w.due && w.free && len(w.c.in.bytes()) == 0
}

// HungUp implements socket.Watcher.
func (w *watch) HungUp(uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hung = true
	switch {
	case w.request == nil && w.flow:
		_ = w.c.net.SetReadDeadline(past)
	case w.watches():
		w.look()
	case w.request != nil && !w.due:
		w.arm()
	}
}

// flows says that requests are served in a flow from now on; false: they can't be, as an end would be missed.
func (w *watch) flows() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.id == 0 {
		w.id = w.system()
	}
	w.flow = w.id != 0 && !w.hung
	return w.flow
}

// system asks the system to tell of the client's end, and returns the watch's id; 0: it can't.
func (w *watch) system() uint64 {
	if w.c.sock == nil {
		return 0
	}
	id, _ := w.c.srv.hangups.Watch(w.c.sock, w) // closed, or the system watches too much already: a goroutine does it
	return id
}

// ebbs ends what flows began, and says whether the client has hung up: what it sent before may still be unread.
func (w *watch) ebbs() (hung bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flow = false
	return w.hung
}

func (w *watch) hangs() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.hung
}

// look ends the request unless its client has sent the next one. It needs the lock.
func (w *watch) look() {
	if open, _ := w.c.sock.Look(); !open {
		w.request.cancel(context.Canceled)
	}
}

// leave takes the connection out of the server's hang-ups.
func (w *watch) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.id != 0 {
		w.c.srv.hangups.Forget(w.c.sock, w.id)
		w.id = 0
	}
}

func (w *watch) readAhead() {
	if w.idle == nil {
		w.idle = sync.NewCond(&w.mu)
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
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.armed {
		w.armed = false
		w.timer.Stop()
	}
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

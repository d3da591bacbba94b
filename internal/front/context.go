package front

import (
	"context"
	"sync"
)

// requestContext is the context of one request: it ends with its request, or with its client. It has no more
// than a request needs: the channel is made for who asks, and who gives AfterFunc a function needs none.
type requestContext struct {
	context.Context // the connection's, for its values

	mu    sync.Mutex
	err   error
	done  chan struct{}
	after []func()  // nil: taken back
	first [1]func() // where after begins
}

// Done implements context.Context.
func (r *requestContext) Done() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done == nil {
		r.done = make(chan struct{})
		if r.err != nil {
			close(r.done)
		}
	}
	return r.done
}

// Err implements context.Context.
func (r *requestContext) Err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// AfterFunc calls f in a goroutine of its own when the request is over; package context asks for it.
func (r *requestContext) AfterFunc(f func()) (stop func() bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		go f()
		return func() bool { return false }
	}
	i := len(r.after)
	if i == 0 {
		r.after = r.first[:0]
	}
	r.after = append(r.after, f)
	return func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		stopped := r.err == nil && r.after[i] != nil
		if stopped {
			r.after[i] = nil
		}
		return stopped
	}
}

// cancel ends the context. alone says that nobody looks at it any more: it had not ended before, and all that it was asked to call
// was taken back.
func (r *requestContext) cancel(err error) (alone bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return false
	}
	r.err = err
	if r.done != nil {
		close(r.done)
	}
	alone = true
	for _, f := range r.after {
		if f != nil {
			alone = false
			go f()
		}
	}
	return alone
}

package gateway

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// slots bounds how many of something run at once. It never waits.
type slots struct {
	used atomic.Int64
	max  atomic.Int64
}

// take claims n, if that many are free.
func (s *slots) take(n int64) bool {
	if s.used.Add(n) > s.max.Load() {
		s.used.Add(-n)
		return false
	}
	return true
}

func (s *slots) give(n int64) { s.used.Add(-n) }

// gate bounds how many requests a version works on, and how many wait for it. Who waited longest is
// let in first. The zero value lets nobody in; set makes it usable.
type gate struct {
	slots
	length  atomic.Int64
	wait    atomic.Int64 // nanoseconds
	waiting atomic.Int64 // = len(queue); read without the lock

	mu    sync.Mutex
	queue []*waiter
}

type waiter struct{ in chan struct{} }

func (g *gate) set(limit, length int, wait time.Duration) {
	g.max.Store(int64(limit))
	g.length.Store(int64(length))
	g.wait.Store(int64(wait))
}

// enter claims a slot, waiting for one in the queue if there is room in it. It fails if the queue is
// full, the wait takes too long, or ctx ends.
func (g *gate) enter(ctx context.Context) bool {
	if g.waiting.Load() == 0 && g.take(1) {
		return true
	}
	w := g.line()
	if w == nil {
		return false
	}
	timer := time.NewTimer(time.Duration(g.wait.Load()))
	defer timer.Stop()
	select {
	case <-w.in:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return g.leave(w, ctx.Err() != nil)
}

// line puts a waiter at the end of the queue; nil: it is full.
func (g *gate) line() *waiter {
	g.mu.Lock()
	defer g.mu.Unlock()
	if int64(len(g.queue)) >= g.length.Load() {
		return nil
	}
	w := &waiter{make(chan struct{})}
	g.queue = append(g.queue, w)
	g.waiting.Store(int64(len(g.queue)))
	g.wake() // a slot may have been given back before waiting was seen
	return w
}

// leave ends a wait. It returns true if the slot came at the same moment and is still wanted.
func (g *gate) leave(w *waiter, gone bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-w.in:
		if gone {
			g.give(1)
			g.wake()
		}
		return !gone
	default:
	}
	if i := slices.Index(g.queue, w); i >= 0 {
		g.queue = slices.Delete(g.queue, i, i+1)
		g.waiting.Store(int64(len(g.queue)))
	}
	return false
}

// wake lets in who waited longest while there are slots. The lock is held.
func (g *gate) wake() {
	for len(g.queue) > 0 && g.take(1) {
		close(g.queue[0].in)
		g.queue[0] = nil
		g.queue = g.queue[1:]
		g.waiting.Store(int64(len(g.queue)))
	}
}

// exit gives a slot back.
func (g *gate) exit() {
	g.give(1)
	if g.waiting.Load() > 0 {
		g.mu.Lock()
		g.wake()
		g.mu.Unlock()
	}
}

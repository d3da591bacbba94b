package gateway

import (
	"sync"
	"time"
)

// lates are bodies of HTTP/2 that are being read, in the order in which their time ends. To set a stream's deadline beforehand
// and to lift it again is two ways through its connection's loop, and nearly every body is there at once: so a stream is told
// of its limit when that has passed, by one timer for all of them, which is set anew only if it fires.
type lates struct {
	wait time.Duration // the limit of each

	mu          sync.Mutex
	first, last *late
	timer       *time.Timer
	set         bool // timer will fire
}

// late is one of them. The zero value is ready, and so is one whose reading has ended.
type late struct {
	w          *answer
	at         time.Time
	prev, next *late
	waits      bool
}

// begin notes that a body is being read.
func (s *lates) begin(l *late, w *answer) {
	at := time.Now().Add(s.wait)
	s.mu.Lock()
	defer s.mu.Unlock()
	*l = late{w: w, at: at, prev: s.last, waits: true}
	if s.last != nil {
		s.last.next = l
	} else {
		s.first = l
	}
	s.last = l
	switch {
	case s.set:
	case s.timer == nil:
		s.timer = time.AfterFunc(s.wait, s.pass)
	default:
		s.timer.Reset(s.wait)
	}
	s.set = true
}

// end takes the limit away. The stream is not told of it any more.
func (s *lates) end(l *late) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.waits {
		s.drop(l)
	}
}

// drop takes one out of the list. The lock is held.
func (s *lates) drop(l *late) {
	if l.prev != nil {
		l.prev.next = l.next
	} else {
		s.first = l.next
	}
	if l.next != nil {
		l.next.prev = l.prev
	} else {
		s.last = l.prev
	}
	*l = late{}
}

// pass tells those whose time is over. They wait for it, if they end now: their streams must not be others' before that.
func (s *lates) pass() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for s.first != nil && !s.first.at.After(now) {
		w := s.first.w
		s.drop(s.first)
		_ = w.SetReadDeadline(time.Unix(1, 0)) // at once, and without a way through the loop
	}
	if s.set = s.first != nil; s.set {
		s.timer.Reset(s.first.at.Sub(now))
	}
}

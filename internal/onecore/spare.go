package onecore

import (
	"os"
	"runtime"
	"sync"
	"time"
)

// rest is for how long the second thread stays after a wait: each change stops the process for some ten microseconds, and waits
// for a collection to end before.
const rest = 20 * time.Millisecond

// Spare is a second thread for a process on one core. Make one per process. Safe for concurrent use.
type Spare struct {
	mu    sync.Mutex
	waits int // that are under way
	there bool
	timer *time.Timer // takes the thread away; nil: there was none yet

	get  func() int
	set  func(n int)
	back func() // to what the system gives
}

// New returns a spare thread that is not there yet. Whoever sets GOMAXPROCS has the last word: nothing is changed then.
func New() *Spare {
	if os.Getenv("GOMAXPROCS") != "" {
		return nil
	}
	return &Spare{
		get:  func() int { return runtime.GOMAXPROCS(0) },
		set:  func(n int) { runtime.GOMAXPROCS(n) },
		back: runtime.SetDefaultGOMAXPROCS,
	}
}

// Wait says that the disk is about to be waited for; done, to be called once, that it is not any more. Waits may overlap. Of a nil
// Spare both do nothing.
func (s *Spare) Wait() (done func()) {
	if s == nil {
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits++
	if s.timer != nil {
		s.timer.Stop()
	}
	if !s.there && s.get() == 1 {
		s.set(2)
		s.there = true
	}
	return s.done
}

func (s *Spare) done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waits--; s.waits == 0 && s.there {
		s.timer = time.AfterFunc(rest, s.lower)
	}
}

// lower takes the second thread away, unless a wait has begun since it was due.
func (s *Spare) lower() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waits == 0 && s.there {
		s.there = false
		s.back()
	}
}

package onecore

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// cores is a machine whose threads only this package counts.
type cores struct {
	threads, changes atomic.Int32
}

func (c *cores) spare() *Spare {
	has := c.threads.Load()
	return &Spare{
		get:  func() int { return int(c.threads.Load()) },
		set:  func(n int) { c.threads.Store(int32(n)); c.changes.Add(1) },
		back: func() { c.threads.Store(has); c.changes.Add(1) },
	}
}

func on(t *testing.T, n int32, f func(c *cores, s *Spare)) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		c := &cores{}
		c.threads.Store(n)
		f(c, c.spare())
	})
}

func (c *cores) want(t *testing.T, when string, threads, changes int32) {
	t.Helper()
	synctest.Wait()
	if a, b := c.threads.Load(), c.changes.Load(); a != threads || b != changes {
		t.Errorf("%s: %d threads after %d changes, want %d after %d", when, a, b, threads, changes)
	}
}

func TestWait(t *testing.T) {
	on(t, 1, func(c *cores, s *Spare) {
		c.want(t, "before", 1, 0)
		done := s.Wait()
		c.want(t, "while the disk is waited for", 2, 1)
		time.Sleep(time.Minute)
		c.want(t, "a long wait", 2, 1)
		done()
		c.want(t, "just after", 2, 1)
		time.Sleep(rest + 1)
		c.want(t, "later", 1, 2)
		s.Wait()()
		c.want(t, "the next", 2, 3)
		time.Sleep(rest + 1)
		c.want(t, "and after it", 1, 4)
	})
}

// Waits that overlap, or follow each other soon, need one change and one back.
func TestOverlap(t *testing.T) {
	on(t, 1, func(c *cores, s *Spare) {
		first, second := s.Wait(), s.Wait()
		first()
		time.Sleep(2 * rest)
		c.want(t, "one of two is over", 2, 1)
		second()
		for range 10 {
			time.Sleep(rest - 1)
			s.Wait()()
		}
		c.want(t, "one after the other", 2, 1)
		last := s.Wait()
		time.Sleep(2 * rest)
		c.want(t, "a wait that began in time", 2, 1)
		last()
		time.Sleep(rest + 1)
		c.want(t, "all are over", 1, 2)
	})
}

func TestManyCores(t *testing.T) {
	on(t, 4, func(c *cores, s *Spare) {
		s.Wait()()
		time.Sleep(rest + 1)
		c.want(t, "four cores", 4, 0)
	})
}

func TestAtOnce(t *testing.T) {
	on(t, 1, func(c *cores, s *Spare) {
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				for j := range 50 {
					done := s.Wait()
					if c.threads.Load() != 2 {
						t.Error("a wait without a second thread")
					}
					time.Sleep(time.Duration(i*j) * time.Millisecond / 10)
					done()
				}
			})
		}
		wg.Wait()
		time.Sleep(rest + 1)
		if c.threads.Load() != 1 {
			t.Error("the second thread stays")
		}
	})
}

// The real runtime, in a process that may use one core: by the environment, and by a Spare.
func TestRuntime(t *testing.T) {
	if os.Getenv("ONECORE_CHILD") == "" {
		t.Setenv("ONECORE_CHILD", "1")
		for _, procs := range []string{"", "1"} {
			t.Setenv("GOMAXPROCS", procs)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if out, err := exec.CommandContext(ctx, os.Args[0], "-test.run", "^TestRuntime$").CombinedOutput(); err != nil {
				t.Errorf("GOMAXPROCS=%q: %v\n%s", procs, err, out)
			}
		}
		return
	}
	s := New()
	if os.Getenv("GOMAXPROCS") != "" {
		s.Wait()()
		if s != nil || runtime.GOMAXPROCS(0) != 1 {
			t.Errorf("who set GOMAXPROCS is overruled: %v, %d threads", s, runtime.GOMAXPROCS(0))
		}
		return
	}
	has := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(1) // as on one core
	done := s.Wait()
	if n := runtime.GOMAXPROCS(0); n != 2 {
		t.Errorf("%d threads in a wait", n)
	}
	done()
	for begun := time.Now(); s.raised() && time.Since(begun) < 10*time.Second; {
		time.Sleep(time.Millisecond)
	}
	if n := runtime.GOMAXPROCS(0); n != has {
		t.Errorf("%d threads after it, the system gives %d", n, has)
	}
}

func (s *Spare) raised() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.there
}

package gateway

import (
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// By HTTP/2 each body has its own time, whatever becomes of those before and behind it.
func TestLateBodies(t *testing.T) {
	const limit = 30 * time.Second
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, credit(0, headerOnly))
		w.upstream("live", echo("live"))
		client, l := w.h2c(), &w.gateway.lates
		var group sync.WaitGroup
		for round := range 2 { // the second when there is none left of the first
			for _, c := range []struct {
				begins, rest time.Duration // 0: the rest never comes
				status       int
				ends         time.Duration
			}{
				{0, 0, 408, limit},
				{time.Second, limit - time.Second, 200, limit},
				{2 * time.Second, 2500 * time.Millisecond, 200, 4500 * time.Millisecond},
				{3 * time.Second, 0, 408, 3*time.Second + limit},
				{4 * time.Second, limit + time.Second, 408, 4*time.Second + limit},
				{40 * time.Second, 0, 408, 40*time.Second + limit},
				{41 * time.Second, limit - 1, 200, 41*time.Second + limit - 1},
			} {
				group.Go(func() {
					begun := time.Now()
					time.Sleep(c.begins)
					from, to := io.Pipe()
					defer func() { _ = to.Close() }()
					group.Go(func() {
						_, _ = io.WriteString(to, "half ") // who has been answered does not read on
						if c.rest > 0 {
							time.Sleep(c.rest)
							_, _ = io.WriteString(to, "whole")
							_ = to.Close()
						}
					})
					r := w.request("POST", "/credit", "", "X-User-Id", "u")
					r.Body, r.ContentLength = from, 10
					resp, err := client.Do(r)
					if err != nil {
						t.Errorf("round %d, at %v: %v", round, c.begins, err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					if took := time.Since(begun); resp.StatusCode != c.status || took != c.ends {
						t.Errorf("round %d, at %v: %d after %v, not %d after %v", round, c.begins, resp.StatusCode, took, c.status, c.ends)
					}
				})
			}
			group.Wait()
			l.mu.Lock()
			if l.first != nil || l.last != nil {
				t.Error("some are waited for though all have ended")
			}
			l.mu.Unlock()
		}
		time.Sleep(2 * limit)
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.set {
			t.Error("the timer runs though nobody is waited for")
		}
	})
}

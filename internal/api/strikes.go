package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"sync"
	"time"
)

const (
	maxStrikes  = 10               // wrong tokens within strikeSpan
	strikeSpan  = time.Minute      // and the first lock
	longestLock = 15 * time.Minute // each further lock is twice as long, up to this; so long is it remembered, too
	maxTracked  = 4096             // attempts in memory; the one that was quiet for longest goes first
)

// attempt is what strikes are counted by: the address, and the token that is being guessed at, so that one script with an
// old token does not lock out everybody behind the same address. id is "" for what has not the form of a token.
type attempt struct{ address, id string }

// strikes counts wrong tokens. Safe for concurrent use; its memory is bounded.
type strikes struct {
	mu  sync.Mutex
	all map[attempt]*strike
}

type strike struct {
	wrong int
	since time.Time // of the first wrong one that counts
	last  time.Time
	locks int
	until time.Time
}

// locked returns how long an attempt must wait; 0: not at all.
func (s *strikes) locked(a attempt, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.all[a]; k != nil && now.Before(k.until) {
		return k.until.Sub(now)
	}
	return 0
}

// count notes a wrong token.
func (s *strikes) count(a attempt, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.all[a]
	if k == nil || now.Sub(k.last) > longestLock {
		k = &strike{since: now}
		s.room()
		if s.all == nil {
			s.all = map[attempt]*strike{}
		}
		s.all[a] = k
	}
	if now.Sub(k.since) > strikeSpan {
		k.wrong, k.since = 0, now
	}
	k.wrong, k.last = k.wrong+1, now
	if k.wrong >= maxStrikes {
		k.until = now.Add(min(strikeSpan<<min(k.locks, 10), longestLock))
		k.wrong, k.locks, k.since, k.last = 0, k.locks+1, k.until, k.until
	}
}

// forgive forgets the wrong tokens before a right one.
func (s *strikes) forgive(a attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, a)
}

// room makes place for one more; mu is held.
func (s *strikes) room() {
	if len(s.all) < maxTracked {
		return
	}
	var oldest attempt
	var when time.Time
	for a, k := range s.all {
		if when.IsZero() || k.last.Before(when) {
			oldest, when = a, k.last
		}
	}
	delete(s.all, oldest)
}

// sameText compares in a time that says nothing of where two texts differ, nor of their lengths.
func sameText(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

package gateway

import (
	"math"
	"math/bits"
	"sync"
	"time"

	"sluice.dev/sluice/internal/assign"
)

// Trip tells that a gateway sent a candidate's units to live by itself, or ended that.
type Trip struct {
	Model    string
	Release  uint32
	Arm      uint8
	Version  string
	At       time.Time
	Closed   bool // true: the candidate is served again
	Requests int  // outcomes since the breaker was last closed
	Failures int  // of those, by the candidate's fault
}

// Constants of the breaker.
const (
	// breakerRuns is how many requests a candidate that fails exactly as often as is tolerated
	// takes, on average and at least, until the breaker opens wrongly.
	breakerRuns = 1e6
	// breakerUnits is how many different units must have failed: one user who tries again and again
	// is no collapse.
	breakerUnits = 3
	// breakerProbes is how many requests in a row must succeed until a candidate is served again.
	breakerProbes = 20

	breakerWait    = 30 * time.Second // until the first probe
	breakerMaxWait = 10 * time.Minute // the wait doubles with each failed probe up to this
)

// breaker watches the outcomes of one candidate and opens when it fails far beyond its bound.
//
// It is a CUSUM (Page, Biometrika 41, 1954) of log-likelihood ratios: failure rate p1 against the
// tolerated rate p0, where p1 lies half way between p0 and 1. While the true rate is at most p0, the
// mean number of requests to a false alarm is at least e^h (Lorden, Ann. Math. Statist. 42, 1971),
// however often one looks, which a threshold on a window's rate can't promise. A candidate that
// fails always is found after h / ln(p1/p0) requests: 9 for p0 = 0.1.
//
// Open, it lets one probe at a time through after a wait; breakerProbes successes in a row close
// it, a failure doubles the wait. Safe for concurrent use.
type breaker struct {
	up, down, limit float64 // log-likelihood ratio of a failure, of a success; h
	minimum         int

	mu       sync.Mutex
	score    float64
	n, fails int
	units    uint64 // bits of the failing units of the present excursion
	open     bool
	probing  bool
	streak   int
	wait     time.Duration
	retryAt  time.Time
}

// newBreaker returns nil if the spec switches it off; a nil breaker admits all.
func newBreaker(s assign.BreakerSpec) *breaker {
	if !(s.MaxFailureRate > 0 && s.MaxFailureRate < 1) {
		return nil
	}
	p0 := s.MaxFailureRate
	p1 := (1 + p0) / 2
	return &breaker{
		up:      math.Log(p1 / p0),
		down:    math.Log((1 - p1) / (1 - p0)),
		limit:   math.Log(breakerRuns),
		minimum: s.MinRequests,
	}
}

// admit says whether a unit of the candidate may be served by it now. probe must be handed to
// report or forgo, exactly once.
func (b *breaker) admit(now time.Time) (ok, probe bool) {
	if b == nil {
		return true, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.open {
		return true, false
	}
	if b.probing || now.Before(b.retryAt) {
		return false, false
	}
	b.probing = true
	return true, true
}

// forgo gives a probe back that told nothing: the client went away, or the gateway itself refused.
func (b *breaker) forgo(probe bool) {
	if b == nil || !probe {
		return
	}
	b.mu.Lock()
	b.probing = false
	b.mu.Unlock()
}

// report counts an outcome. It returns true if the breaker opened or closed by it.
func (b *breaker) report(failed, probe bool, unit uint64, now time.Time) bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if probe {
		return b.probed(failed, now)
	}
	if b.open {
		return false // began before it opened
	}
	b.n++
	if failed {
		b.fails++
		b.units |= 1 << (unit & 63)
		b.score = min(b.score+b.up, b.limit)
	} else if b.score += b.down; b.score <= 0 {
		b.score, b.units = 0, 0
	}
	if b.score < b.limit || b.n < b.minimum || bits.OnesCount64(b.units) < breakerUnits {
		return false
	}
	b.open, b.streak, b.wait = true, 0, breakerWait
	b.retryAt = now.Add(b.wait)
	return true
}

// probed counts a probe's outcome. The lock is held.
func (b *breaker) probed(failed bool, now time.Time) bool {
	b.probing = false
	if failed {
		b.streak = 0
		b.wait = min(2*b.wait, breakerMaxWait)
		b.retryAt = now.Add(b.wait)
		return false
	}
	if b.streak++; b.streak < breakerProbes {
		return false
	}
	b.open, b.score, b.units, b.n, b.fails = false, 0, 0, 0, 0
	return true
}

// counts returns the outcomes since the breaker was last closed, and whether it is open.
func (b *breaker) counts() (n, fails int, open bool) {
	if b == nil {
		return 0, 0, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n, b.fails, b.open
}

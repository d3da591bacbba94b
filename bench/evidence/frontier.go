package main

import (
	"math"
	"sync"

	"sluice.dev/sluice/internal/stats"
)

func label(sigma float64, strata ...stats.LabelStratum) stats.Label {
	return must(stats.NewLabel(strata, sigma))
}

// frontier is where E1 crosses ln E = want: by number of events n, the least number k that must be the candidate's. It is computed
// once, at some n. Between them a walk of labels takes all steps at once that cannot cross, and looks at every event where it could: as if
// somebody looked after every event, at the cost of a few thousand draws.
type frontier struct {
	rho, want float64
	n, k      []int
}

const eventSigma = 0.5 // E1's prior for error-like events

// above is the frontier of "d > d0" for a candidate's share rho, up to so many events: lazily, and once.
func above(rho, d0, want float64, events int) func() *frontier {
	return sync.OnceValue(func() *frontier { return newFrontier(tilted(rho, d0), want, events) })
}

// below is the frontier of "d < d0". Its walk counts live's events: E1 is symmetric.
func below(rho, d0, want float64, events int) func() *frontier {
	return above(1-rho, -d0, want, events)
}

// tilted is the chance that an event is the candidate's if the log rate ratio is d.
func tilted(rho, d float64) float64 { return 1 / (1 + (1-rho)/rho*math.Exp(-d)) }

func newFrontier(rho, want float64, events int) *frontier {
	f := &frontier{rho: rho, want: want}
	k, ahead := 0, 1
	for n := 1; ; {
		k = f.least(n, k+int(rho*float64(ahead)))
		f.n, f.k = append(f.n, n), append(f.k, k)
		if n >= events {
			return f
		}
		ahead = min(events-n, max(1, int(math.Sqrt(float64(n)*rho*(1-rho))/(2*rho))))
		n += ahead
	}
}

func (f *frontier) crossed(n, k int) bool {
	return k > 0 && label(eventSigma, stats.LabelStratum{KA: float64(n - k), KB: float64(k), Rho: f.rho}).LnAbove(0) >= f.want
}

// least returns the least k that crosses at n events, n+1 if none does, searching around a guess.
func (f *frontier) least(n, guess int) int {
	lo, hi, step := -1, n+1, 1 // does not cross at lo, crosses at hi
	for at := max(0, min(n, guess)); lo < at && at < hi; step *= 2 {
		if f.crossed(n, at) {
			hi = at
			at -= step
		} else {
			lo = at
			at += step
		}
	}
	for hi-lo > 1 {
		if mid := lo + (hi-lo)/2; f.crossed(n, mid) {
			hi = mid
		} else {
			lo = mid
		}
	}
	return hi
}

// walk is a sequence of events, k of n the candidate's.
type walk struct{ n, k int }

// until lets events come, each the candidate's with chance theta, until the frontier is crossed. false: it was not.
func (w *walk) until(c chance, f *frontier, theta float64) bool {
	j := 0
	for last := f.n[len(f.n)-1]; ; {
		for j+1 < len(f.n) && f.n[j+1] <= w.n {
			j++
		}
		if w.n > 0 && w.k >= f.k[j] && (w.n == f.n[j] || f.crossed(w.n, w.k)) {
			return true
		}
		if w.n >= last {
			return false
		}
		// The frontier does not fall, so it cannot be crossed before the events could all have been the candidate's.
		safe := j
		for safe+1 < len(f.n) && w.k+f.n[safe+1]-w.n < f.k[safe] {
			safe++
		}
		to := min(last, max(w.n+1, w.n+f.k[safe]-w.k-1))
		w.k += c.binomial(to-w.n, theta)
		w.n = to
	}
}

// first returns the number of events at which a fresh walk crosses, +Inf if it does not.
func (f *frontier) first(c chance, theta float64) float64 {
	var w walk
	if w.until(c, f, theta) {
		return float64(w.n)
	}
	return math.Inf(1)
}

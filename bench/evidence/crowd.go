package main

import (
	"math"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

// habit is how users behave: how active they are, and which share of their requests has the outcome of each metric.
type habit struct {
	activity      *zipf
	rates         []float64 // mean, by metric
	concentration float64   // of the users' own rates around it; the smaller, the more they differ
	window        int       // R3's, in requests of all users
	event         []bool    // by metric: the outcome is the unit's event
}

// person is one user of a crowd.
type person struct {
	known   bool
	bin     uint16
	arm     uint8
	stratum uint16
	epoch   uint8 // in which the events below were counted
	opened  int   // number of the request that opened its record in the stratum
	circle  float64
	rates   [2]float64
	fired   [2]bool // in this epoch
	ever    [2]bool // in the release
	inside  [2]bool // the window of the record
}

// crowd draws the requests of users who come back, one by one, and keeps the sums that a tally would: the plainest form of R1-R3. Beside
// them are the counts of all requests, for a rule that takes requests for units.
type crowd struct {
	*world
	habit  *habit
	people []person
	clock  int
	open0  []int32 // users whose record is open, by the time it was opened
	plain  []traffic
}

func newCrowd(w *world, h *habit) *crowd {
	return &crowd{world: w, habit: h, people: make([]person, len(h.activity.cut)), plain: make([]traffic, len(h.rates))}
}

// next draws who sends the next request, and gives it to its arm.
func (w *crowd) next() (*person, int) {
	i := w.habit.activity.draw(w.c)
	u := &w.people[i]
	if !u.known {
		u.known, u.bin, u.circle = true, uint16(w.c.IntN(release.Bins)), w.c.Float64()
		for m, p := range w.habit.rates {
			u.rates[m] = w.c.beta(p, w.habit.concentration)
		}
		w.stratum().Arms[w.place(u)].NewUnits++
	}
	s := w.stratum()
	if u.stratum != s.ID {
		u.stratum, u.opened, u.inside, u.arm = s.ID, w.clock, [2]bool{}, uint8(w.place(u))
		s.Arms[u.arm].Units++
		w.open0 = append(w.open0, int32(i))
	}
	if u.epoch != s.Epoch {
		u.epoch, u.fired = s.Epoch, [2]bool{}
	}
	w.clock++
	s.Arms[u.arm].Exposures++
	s.Arms[u.arm].Seen++
	w.closeRecords(s)
	return u, int(u.arm)
}

// place is the user's arm in the present stratum: candidates lie at the upper end of the circle, so that a growing share keeps whom it has.
func (w *crowd) place(u *person) int {
	shares := w.strata[len(w.strata)-1].Shares
	at := 1.0
	for a := len(shares) - 1; a > 0; a-- {
		if at -= float64(shares[a]) / 1e6; u.circle >= at {
			return a
		}
	}
	return 0
}

// closeRecords closes the records whose window is over (R3); the ones of earlier strata are dropped.
func (w *crowd) closeRecords(s *tally.StratumView) {
	for len(w.open0) > 0 {
		u := &w.people[w.open0[0]]
		if u.stratum == s.ID && u.opened+w.habit.window >= w.clock {
			return
		}
		w.open0 = w.open0[1:]
		if u.stratum != s.ID {
			continue
		}
		for m := range w.habit.rates {
			e := &s.Arms[u.arm].Metrics[m].Event
			e.Closed++
			if u.inside[m] {
				e.With++
			}
		}
	}
}

// observe counts whether a request had the outcome of a metric.
func (w *crowd) observe(u *person, metric int, happened bool) {
	m := &w.stratum().Arms[u.arm].Metrics[metric]
	if m.N == nil {
		m.N, m.Y = make([]float64, release.Bins), make([]float64, release.Bins)
	}
	m.N[u.bin]++
	t := &w.plain[metric]
	n, k := &t.nA, &t.kA
	if u.arm > 0 {
		n, k = &t.nB, &t.kB
	}
	*n++
	if !happened {
		return
	}
	*k++
	m.Y[u.bin]++
	m.SumSq++
	if !w.habit.event[metric] {
		return
	}
	if !u.fired[metric] {
		u.fired[metric] = true
		m.Event.First++
		if !u.ever[metric] {
			u.ever[metric] = true
			m.Event.Ever++
		}
	}
	if w.clock <= u.opened+w.habit.window {
		u.inside[metric] = true
	}
}

// send lets n requests come. rate gives the chance of the outcome from the user's own rate, the metric, the arm and the number of the request.
func (w *crowd) send(n int, rate func(own float64, metric, arm, request int) float64) {
	for range n {
		u, arm := w.next()
		for m := range w.habit.rates {
			w.observe(u, m, w.c.flip(rate(u.rates[m], m, arm, w.clock)))
		}
	}
}

// shift adds points to the candidates' rates.
func shift(by float64) func(own float64, metric, arm, request int) float64 {
	return func(own float64, _, arm, _ int) float64 {
		if arm > 0 {
			return math.Min(1, own+by)
		}
		return own
	}
}

package simulate

import (
	"math"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

// source is where a run's evidence comes from. Times are ms since the release began.
type source interface {
	open(s served)                     // a stratum begins, at the time that was advanced to
	advance(to float64)                // lets users send requests until then
	mark(b *release.Baseline)          // the baseline is written into the logs
	view() *tally.View                 // what was folded so far; valid until the next call
	exposed() (live, candidate uint64) // requests that users had answered by either arm in serving strata
	users() uint64                     // different users whom the candidate answered
}

// served is a stratum as gateways serve it.
type served struct {
	id     uint16
	epoch  uint8
	kind   release.ExposureKind
	mirror release.Share
	armOf  func(hash uint64) uint8
}

// people are the users of one run: who has which profile, bin and place on the circles is drawn anew for each run.
type people struct {
	profile []int32
	bin     []int16
	hash    []uint64
	mirror  []float64 // place in the mirror sample, 0 to 1
}

func newPeople(n int, c chance) people {
	p := people{make([]int32, n), make([]int16, n), make([]uint64, n), make([]float64, n)}
	for i := range n {
		p.profile[i] = int32(i)
		p.bin[i] = int16(c.IntN(release.Bins))
		p.hash[i] = c.Uint64()
		p.mirror[i] = c.Float64()
	}
	c.Shuffle(n, func(i, j int) { p.profile[i], p.profile[j] = p.profile[j], p.profile[i] })
	return p
}

// sampled is the fast source: it draws the sums that a tally would hold.
type sampled struct {
	o        *Options
	pop      *population
	c        chance
	who      people
	now      float64
	baseline *release.Baseline
	marked   float64
	strata   []*stratum
	v        tally.View
	mem      *memory
	latest   [][]uint8 // by metric and user: epoch of the latest counted event plus one (R1)
	paired   [][]bool  // by metric and user: the first discordant pair was counted (R8)
	unseen   []int32   // users without any exposure yet, and when they have it
	seenAt   []float64
	untold   []int32 // users without an outcome yet, and when they have it
	toldAt   []float64
	incident [2]float64 // from, to
}

// stratum is one period of constant shares.
type stratum struct {
	served
	from, to float64 // to is +Inf while it is open
	front    float64
	arm      []uint8
	mirrored []bool // nil: no pairs
	rate     [2]float64
	flows    []*flow
	pairs    []*pairFlow
	next     *stratum
	unmet    []int32
	metAt    []float64
	v        *tally.StratumView
}

func newSampled(o *Options, pop *population, c chance, mem *memory) *sampled {
	mem.reset()
	s := &sampled{o: o, pop: pop, c: c, mem: mem, who: newPeople(o.Users, c), marked: math.Inf(1), incident: [2]float64{math.Inf(1), math.Inf(1)}}
	if i := o.Incident; i != nil {
		at := float64(i.At) / 1e6
		s.incident = [2]float64{at, at + float64(i.For)/1e6}
	}
	told, first := 0.0, math.Inf(1)
	for i := range pop.laws {
		l := &pop.laws[i]
		s.latest = append(s.latest, mem.bytes.take(o.Users))
		s.paired = append(s.paired, mem.flags.take(o.Users))
		if l.lag > 0 && l.told > 0 && l.lag < first {
			told, first = l.told, l.lag
		}
		s.v.Categories = append(s.v.Categories, classNames(l.classes))
	}
	s.seenAt, s.toldAt = mem.floats.take(o.Users), mem.floats.take(o.Users)
	s.unseen, s.untold = mem.ints.take(o.Users)[:0], mem.ints.take(o.Users)[:0]
	for i, r := range pop.rates {
		s.seenAt[i] = c.wait(r)
		s.unseen = append(s.unseen, int32(i))
		if told > 0 {
			s.toldAt[i] = s.seenAt[i] + first
			if !c.flip(told) {
				s.toldAt[i] += c.wait(r * told)
			}
			s.untold = append(s.untold, int32(i))
		}
	}
	return s
}

func classNames(k int) []string {
	if k == 0 {
		return nil
	}
	names := make([]string, 0, k+1)
	for i := range k {
		names = append(names, string(rune('a'+i%26))+suffix(i/26))
	}
	return append(names, tally.Other)
}

func suffix(i int) string {
	if i == 0 {
		return ""
	}
	return string(rune('0' + i))
}

func (s *sampled) open(at served) {
	st := &stratum{served: at, from: s.now, front: s.now, to: math.Inf(1), arm: s.mem.bytes.take(s.o.Users)}
	if n := len(s.strata); n > 0 {
		s.strata[n-1].to, s.strata[n-1].next = s.now, st
	}
	st.v = &tally.StratumView{ID: at.id, Epoch: at.epoch, Kind: at.kind, Arms: make([]tally.ArmView, 2)}
	for a := range st.v.Arms {
		st.v.Arms[a].Metrics = make([]tally.MetricView, len(s.pop.laws))
	}
	st.metAt = s.mem.floats.take(s.o.Users)
	st.unmet = s.mem.ints.take(s.o.Users)
	for i := range st.arm {
		st.arm[i] = at.armOf(s.who.hash[i])
		st.rate[st.arm[i]] += s.pop.rates[i]
		st.metAt[i], st.unmet[i] = s.now+s.c.wait(s.pop.rates[i]), int32(i)
	}
	for i := range s.pop.laws {
		st.flows = append(st.flows, newFlow(s, st, i))
	}
	if at.mirror > 0 {
		s.openPairs(st)
	}
	s.strata = append(s.strata, st)
	s.v.Strata = append(s.v.Strata, *st.v) // shares arms and pairs with st.v
}

func (s *sampled) advance(to float64) {
	if to <= s.now {
		return
	}
	s.now = to
	for _, st := range s.strata {
		s.exposures(st, min(to, st.to))
		for _, f := range st.flows {
			f.advance(s, st, min(to-f.law.lag, st.to))
			f.close(s, st)
		}
		for _, p := range st.pairs {
			p.advance(s, st, min(to-p.lag, st.to))
		}
	}
	s.countOutcomes()
	s.v.LogTime = epoch.UnixMilli() + int64(to)
}

// exposures counts requests and the units behind them up to b.
func (s *sampled) exposures(st *stratum, b float64) {
	if b <= st.front {
		return
	}
	for a := range st.v.Arms {
		n := uint64(s.c.poisson(st.rate[a] * (b - st.front)))
		st.v.Arms[a].Exposures += n
		st.v.Arms[a].Seen += n
	}
	st.unmet = due(st.unmet, st.metAt, b, func(u int32) { st.v.Arms[st.arm[u]].Units++ })
	s.unseen = due(s.unseen, s.seenAt, b, func(u int32) { st.v.Arms[st.arm[u]].NewUnits++ })
	st.front = b
}

// countOutcomes counts units at their first outcome, in the stratum of its exposure.
func (s *sampled) countOutcomes() {
	lag := s.firstLag()
	s.untold = due(s.untold, s.toldAt, s.now, func(u int32) {
		for _, st := range s.strata {
			if s.toldAt[u]-lag < st.to {
				st.v.Arms[st.arm[u]].Outcomes++
				return
			}
		}
	})
}

func (s *sampled) firstLag() float64 {
	lag := math.Inf(1)
	for i := range s.pop.laws {
		if l := &s.pop.laws[i]; l.lag > 0 && l.told > 0 {
			lag = min(lag, l.lag)
		}
	}
	return lag
}

// due calls f for the users whose time lies before b and returns the others.
func due(waiting []int32, at []float64, b float64, f func(u int32)) []int32 {
	kept := waiting[:0]
	for _, u := range waiting {
		if at[u] < b {
			f(u)
		} else {
			kept = append(kept, u)
		}
	}
	return kept
}

func (s *sampled) view() *tally.View { return &s.v }

func (s *sampled) exposed() (live, candidate uint64) { return exposedIn(&s.v) }

// users looks for a serving stratum in which the user's first request went to the candidate.
func (s *sampled) users() (n uint64) {
	for u := range s.o.Users {
		for _, st := range s.strata {
			if st.kind == release.ExposureServe && st.arm[u] == 1 && st.metAt[u] < min(s.now, st.to) {
				n++
				break
			}
		}
	}
	return n
}

func exposedIn(v *tally.View) (live, candidate uint64) {
	for i := range v.Strata {
		if st := &v.Strata[i]; st.Kind == release.ExposureServe {
			live += st.Arms[0].Exposures
			candidate += st.Arms[1].Exposures
		}
	}
	return live, candidate
}

// mark takes the baseline over: what depends on it is counted from here on, and latencies and capped means begin anew.
func (s *sampled) mark(b *release.Baseline) {
	s.baseline, s.marked, s.v.Baseline = b, s.now, true
	for _, st := range s.strata {
		for _, f := range st.flows {
			f.mark(s, st)
		}
		for _, p := range st.pairs {
			p.mark(s, st)
		}
	}
}

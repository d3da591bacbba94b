package simulate

import (
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

// flow is one metric in one stratum: the rates at which outcomes fall into each bin, and what is counted per unit.
type flow struct {
	law    *law
	index  int
	front  float64      // exposures before it have entered the sums
	cells  [2][]cellRow // by arm
	limit  [2][]limit   // latency, once the baseline is frozen: ascending edges between cells
	tail   [2]uint32    // latency: beyond it a unit has its event; 0: none
	tailZ  [2]float64   // the same as standard
	limitZ [2][]float64
	moved  [2]moments // mean: rates of the first two moments
	cap    float64
	event  int       // the outcome of a 0/1 metric that counts per unit
	units  *unitFlow // nil: nothing is counted per unit
	v      [2]*tally.MetricView
	hurt   bool // the rates are those of the incident

	wouldBe bool    // live answers for both arms
	median  float64 // latency: live's, ms
}

// cellRow is, by bin, the rate of outcomes of one cell: observations per ms.
type cellRow []float64

// moments are, by bin, the rates of the sum and of the sum of squares of a mean.
type moments struct{ first, second []float64 }

// limit is a frozen edge of a latency and the rows that count what exceeds it.
type limit struct {
	edge   uint32
	over   int // -1: none
	margin int
	live   bool // live's own threshold, at which "better" is asked
}

// unitFlow is what R1 and R3 count of each unit.
type unitFlow struct {
	first   []float64 // the unit's first request of the stratum
	event   []float64 // its first event of the stratum
	waiting []int32   // units before their first event
	open    []int32   // units whose record is not closed
	delay   float64   // from the first request until the record closes
	since   float64   // records that opened earlier don't count
}

func newFlow(s *sampled, st *stratum, i int) *flow {
	f := &flow{law: &s.pop.laws[i], index: i, front: st.from, event: 1, wouldBe: st.kind == release.ExposureWouldBe}
	f.median = s.o.base(*f.law.metric).Mean
	for a := range f.v {
		f.v[a] = &st.v.Arms[a].Metrics[i]
		f.v[a].N, f.v[a].Y = s.mem.bins(), s.mem.bins()
	}
	if f.law.metric.Kind == release.MetricEvent {
		f.startUnits(s, st, 0)
	}
	if s.baseline != nil {
		f.freeze(s, st)
	}
	f.rebuild(s, st)
	return f
}

// freeze takes over what the baseline says of the metric.
func (f *flow) freeze(s *sampled, st *stratum) {
	b, ok := s.baseline.Metrics[f.law.metric.Name]
	if !ok {
		return
	}
	if b.Invert {
		f.event = 0
	}
	switch f.law.metric.Kind {
	case release.MetricMean:
		f.cap = b.Cap
	case release.MetricLatency:
		f.limit, f.tail = limitsOf(f.law.metric, b.Thresholds)
		n := len(b.Thresholds)
		for a := range f.v {
			f.v[a].Over = make([][]float64, n)
			f.v[a].OverMargin = make([][]float64, n)
			for _, l := range f.limit[a] {
				if l.over >= 0 {
					f.v[a].Over[l.over] = s.mem.bins()
				}
				if l.margin >= 0 {
					f.v[a].OverMargin[l.margin] = s.mem.bins()
				}
				if l.live {
					f.v[a].OverLive = s.mem.bins()
				}
			}
		}
		f.limitZ = [2][]float64{}
		for a := range f.limit {
			version := f.versionOf(a)
			f.tailZ[a] = f.law.standard(version, f.tail[a])
			for _, l := range f.limit[a] {
				f.limitZ[a] = append(f.limitZ[a], f.law.standard(version, l.edge))
			}
		}
		if f.tail[0] > 0 {
			f.startUnits(s, st, s.marked)
		}
	case release.MetricProportion:
		if b.Class == release.ClassEvent || b.Class == release.ClassBoth {
			f.startUnits(s, st, s.marked)
		}
	case release.MetricEvent, release.MetricCategory: // nothing of theirs is frozen that is drawn here
	}
}

// mark is the baseline's place in the log of a stratum that has begun.
func (f *flow) mark(s *sampled, st *stratum) {
	f.freeze(s, st)
	if f.limit[0] != nil || f.cap > 0 {
		for a := range f.v {
			clear(f.v[a].N)
			clear(f.v[a].Y)
			f.v[a].SumSq = 0
		}
	}
	f.rebuild(s, st)
}

// chanceOf is the chance that a request of the user is observed and is the event that counts per unit.
func (f *flow) chanceOf(s *sampled, st *stratum, u int32) float64 {
	version, profile := st.version(u), s.who.profile[u]
	if f.law.metric.Kind == release.MetricLatency {
		return f.law.told * f.law.exceeds(profile, f.tailZ[st.arm[u]])
	}
	p := f.rates(version)[profile]
	if f.event == 0 {
		p = 1 - p
	}
	return f.law.told * p
}

// rates are the chances of a 1 at present.
func (f *flow) rates(arm uint8) []float64 {
	if f.hurt {
		return f.law.incident[arm]
	}
	return f.law.p[arm]
}

// versionOf is who really answers an arm.
func (f *flow) versionOf(arm int) uint8 {
	if f.wouldBe {
		return 0
	}
	return uint8(arm)
}

// version is who really answers a user: live serves all in strata of would-be arms.
func (st *stratum) version(u int32) uint8 {
	if st.kind == release.ExposureWouldBe {
		return 0
	}
	return st.arm[u]
}

// startUnits draws, for each unit, its first request from the front on and its first event.
func (f *flow) startUnits(s *sampled, st *stratum, since float64) {
	n := s.o.Users
	f.units = &unitFlow{
		first: s.mem.floats.take(n), event: s.mem.floats.take(n), since: since, delay: f.law.window,
		open: s.mem.ints.take(n), waiting: s.mem.ints.take(n),
	}
	if f.law.lag > 0 {
		f.units.delay = 2 * f.law.window // the record's last exposure has a window of its own
	}
	for u := range int32(n) {
		rate, p := s.pop.rates[u], f.chanceOf(s, st, u)
		f.units.event[u] = f.front + s.c.wait(rate*p)
		f.units.first[u] = min(f.units.event[u], f.front+s.c.wait(rate*(1-p)))
		if f.front > st.from { // counting begins within the stratum: the unit may have been there before
			if before := st.from + s.c.wait(rate); before < f.front {
				f.units.first[u] = before
			}
		}
		f.units.open[u], f.units.waiting[u] = u, u
	}
}

// redraw draws the first events of waiting units anew, from the front on: their rates have changed.
func (f *flow) redraw(s *sampled, st *stratum) {
	if f.units == nil {
		return
	}
	for _, u := range f.units.waiting {
		f.units.event[u] = f.front + s.c.wait(s.pop.rates[u]*f.chanceOf(s, st, u))
		f.units.first[u] = min(f.units.first[u], f.units.event[u])
	}
}

// advance lets exposures up to b enter the sums. An incident changes the rates at its beginning and at its end.
func (f *flow) advance(s *sampled, st *stratum, b float64) {
	for f.law.incident[0] != nil && f.front < b {
		if hurt := f.front >= s.incident[0] && f.front < s.incident[1]; hurt != f.hurt {
			f.hurt = hurt
			f.redraw(s, st)
			f.rebuild(s, st)
		}
		next := b
		for _, at := range s.incident {
			if at > f.front {
				next = min(next, at)
			}
		}
		f.piece(s, st, next)
	}
	f.piece(s, st, b)
}

func (f *flow) piece(s *sampled, st *stratum, b float64) {
	dt := b - f.front
	if dt <= 0 {
		return
	}
	switch f.law.metric.Kind {
	case release.MetricLatency:
		f.latencies(s, dt)
	case release.MetricCategory:
		f.categories(s, dt)
	case release.MetricMean:
		f.sums(s, dt)
	default:
		f.outcomes(s, st, dt, b)
	}
	if f.units != nil && !f.law.isBinary() {
		f.units.waiting = due(f.units.waiting, f.units.event, b, func(u int32) { f.count(s, st, u) })
	}
	f.front = b
}

// outcomes draws the 0/1 outcomes of one piece. A unit's events are left out of its bin's rate until the first of them.
func (f *flow) outcomes(s *sampled, st *stratum, dt, b float64) {
	for arm := range f.cells {
		v := f.v[arm]
		s.c.counts(f.cells[arm][0], dt, v.N)
		drawn := s.mem.drawn
		clear(drawn)
		if n := s.c.counts(f.cells[arm][1], dt, drawn); n > 0 {
			addRow(v.N, drawn)
			addRow(v.Y, drawn)
			v.SumSq += n
		}
	}
	if f.units == nil {
		return
	}
	f.units.waiting = due(f.units.waiting, f.units.event, b, func(u int32) {
		arm, bin := st.arm[u], s.who.bin[u]
		rate := s.pop.rates[u] * f.chanceOf(s, st, u)
		f.add(arm, int(bin), f.event, 1+s.c.poisson(rate*(b-f.units.event[u])))
		f.cells[arm][f.event][bin] += rate
		f.count(s, st, u)
	})
}

func (f *flow) add(arm uint8, bin, y int, n float64) {
	v := f.v[arm]
	v.N[bin] += n
	if y == 1 {
		v.Y[bin] += n
		v.SumSq += n
	}
}

// count accounts a unit's event (R1).
func (f *flow) count(s *sampled, st *stratum, u int32) {
	e := &f.v[st.arm[u]].Event
	latest := &s.latest[f.index][u]
	if *latest > st.epoch {
		return
	}
	e.First++
	if *latest == 0 {
		e.Ever++
	}
	*latest = st.epoch + 1
}

// close counts the records that are over (R3). A record of a unit that went on to the next stratum before its end is not counted.
func (f *flow) close(s *sampled, st *stratum) {
	if f.units == nil || len(f.units.open) == 0 {
		return
	}
	var next *unitFlow
	if st.next != nil {
		next = st.next.flows[f.index].units
	}
	kept := f.units.open[:0]
	for _, u := range f.units.open {
		first := f.units.first[u]
		end := first + f.units.delay
		switch {
		case first >= st.to || first < f.units.since || next != nil && next.first[u] <= end:
		case end > s.now:
			kept = append(kept, u)
		default:
			e := &f.v[st.arm[u]].Event
			e.Closed++
			if event := f.units.event[u]; event <= first+f.law.window && event < st.to {
				e.With++
			}
		}
	}
	f.units.open = kept
}

package simulate

import (
	"cmp"
	"slices"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

// tailQuantile is the least quantile of a latency threshold whose exceedance is a unit's event (R6), as in package tally.
const tailQuantile = 0.99

// limitsOf lists, by arm, the edges at which a latency is counted, ascending, and the one beyond which a unit has its event.
// "No worse" and "better" are only asked at the declared quantile.
func limitsOf(m *release.Metric, thresholds []release.Threshold) (limits [2][]limit, tail [2]uint32) {
	for i, t := range thresholds {
		limits[0] = append(limits[0], limit{t.X, i, -1, false})
		limits[1] = append(limits[1], limit{t.Tolerate, i, -1, false})
		if t.Quantile == declared(m) {
			limits[1] = append(limits[1], limit{t.Margin, -1, i, false}, limit{t.X, -1, -1, true})
		}
		if t.Quantile >= tailQuantile && tail[0] == 0 {
			tail = [2]uint32{t.X, t.Tolerate}
		}
	}
	for a := range limits {
		slices.SortStableFunc(limits[a], func(x, y limit) int { return cmp.Compare(x.edge, y.edge) })
	}
	return limits, tail
}

func declared(m *release.Metric) float64 {
	if m.Quantile > 0 {
		return m.Quantile
	}
	return release.DefaultQuantile
}

// rebuild adds up the users' rates by bin, as they are at present.
func (f *flow) rebuild(s *sampled, st *stratum) {
	for a := range f.cells {
		if n := f.cellCount(a); len(f.cells[a]) == n {
			for _, row := range f.cells[a] {
				clear(row)
			}
		} else {
			f.cells[a] = s.mem.rows(n)
		}
		if f.law.metric.Kind == release.MetricMean {
			f.moved[a] = moments{s.mem.bins(), s.mem.bins()}
		}
	}
	waits := f.waits(s)
	event := f.event
	q := make([]float64, 0, 16)
	for u, rate := range s.pop.rates {
		u := int32(u)
		arm, version, profile, bin := st.arm[u], st.version(u), s.who.profile[u], s.who.bin[u]
		rate *= f.law.told
		cells := f.cells[arm]
		switch f.law.metric.Kind {
		case release.MetricLatency:
			q = q[:0]
			for _, z := range f.limitZ[arm] {
				q = append(q, f.law.exceeds(profile, z))
			}
			addCells(cells, int(bin), rate, q)
		case release.MetricCategory:
			k := f.law.classes
			for j, p := range f.law.shares[version][int(profile)*k : int(profile+1)*k] {
				cells[j][bin] += rate * p
			}
		case release.MetricMean:
			m, m2 := capped(f.law.mean(version, profile), f.cap)
			cells[0][bin] += rate
			f.moved[arm].first[bin] += rate * m
			f.moved[arm].second[bin] += rate * m2
		default:
			p := f.rates(version)[profile]
			if waits == nil || event != 1 || !waits[u] {
				cells[1][bin] += rate * p
			}
			if waits == nil || event != 0 || !waits[u] {
				cells[0][bin] += rate * (1 - p)
			}
		}
	}
}

// waits marks the units whose first event is drawn apart; nil: none are.
func (f *flow) waits(s *sampled) []bool {
	if f.units == nil || !f.law.isBinary() {
		return nil
	}
	w := s.mem.flags.take(s.o.Users)
	for _, u := range f.units.waiting {
		w[u] = true
	}
	return w
}

func (f *flow) cellCount(arm int) int {
	switch f.law.metric.Kind {
	case release.MetricLatency:
		return len(f.limit[arm]) + 1
	case release.MetricCategory:
		return f.law.classes
	case release.MetricMean:
		return 1
	default:
		return 2
	}
}

// addCells splits a rate by the chances of exceeding ascending edges: cell i lies below edge i and above the one before.
func addCells(cells []cellRow, bin int, rate float64, exceed []float64) {
	above := 1.0
	for i, q := range exceed {
		cells[i][bin] += rate * (above - q)
		above = q
	}
	cells[len(exceed)][bin] += rate * above
}

// latencies draws the requests of one piece between the frozen edges; before there are edges, into the histogram.
func (f *flow) latencies(s *sampled, dt float64) {
	for a := range f.cells {
		v := f.v[a]
		if len(f.limit[a]) == 0 {
			f.histogram(s, uint8(a), dt)
			continue
		}
		above := s.mem.above
		clear(above)
		for i := len(f.cells[a]) - 1; i >= 0; i-- {
			if n := s.c.counts(f.cells[a][i], dt, above); i == 0 || n == 0 && i == len(f.cells[a])-1 {
				continue
			}
			switch l := f.limit[a][i-1]; {
			case l.live:
				addRow(v.OverLive, above)
			case l.over >= 0:
				addRow(v.Over[l.over], above)
			default:
				addRow(v.OverMargin[l.margin], above)
			}
		}
		addRow(v.N, above)
	}
}

func addRow(to, x []float64) {
	to = to[:len(x)]
	for i, n := range x {
		to[i] += n
	}
}

// histogram draws latencies one by one, from the population as a whole.
func (f *flow) histogram(s *sampled, arm uint8, dt float64) {
	v := f.v[arm]
	if v.Hist == nil {
		v.Hist = make([]uint64, tally.LatencyBuckets)
	}
	version := f.versionOf(int(arm))
	for bin, r := range f.cells[arm][0] {
		n := s.c.poisson(r * dt)
		v.N[bin] += n
		for range int(n) {
			us := f.law.latency(version, -1, f.median, s.c)
			v.Hist[tally.Bucket(us)]++
			v.Y[bin] += float64(us) / 1000
		}
	}
}

// categories draws the answers of one piece.
func (f *flow) categories(s *sampled, dt float64) {
	for a := range f.cells {
		v := f.v[a]
		if v.Category == nil {
			v.Category = make([][]float64, f.law.classes+1)
			for j := range f.law.classes {
				v.Category[j] = s.mem.bins()
			}
		}
		for j, row := range f.cells[a] {
			drawn := s.mem.drawn
			clear(drawn)
			if s.c.counts(row, dt, drawn) > 0 {
				addRow(v.Category[j], drawn)
				addRow(v.N, drawn)
			}
		}
	}
}

// sums draws how many values a bin got and their sum, gamma distributed with the mean and variance that the users' rates say.
func (f *flow) sums(s *sampled, dt float64) {
	for a := range f.cells {
		v := f.v[a]
		for bin, r := range f.cells[a][0] {
			n := s.c.poisson(r * dt)
			if n == 0 {
				continue
			}
			m, m2 := f.moved[a].first[bin]/r, f.moved[a].second[bin]/r
			y := n * m
			if variance := m2 - m*m; variance > 0 {
				y = s.c.gamma(n*m*m/variance) * variance / m
			}
			v.N[bin] += n
			v.Y[bin] += y
			v.SumSq += n * m2
			v.RawN += uint64(n)
			v.RawY += y
		}
	}
}

package simulate

import (
	"math"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

// pairFlow is the paired comparison of one or all metrics in a shadow stratum: both answers to the same request, independent of
// each other given the user. lag is how long after the request a pair is complete.
type pairFlow struct {
	lag   float64
	front float64
	rate  float64 // of pairs, all users
	count *uint64 // Complete or Scored
	parts []*pairMetric
}

// pairMetric is one metric of the pairs: rates by bin of what differs.
type pairMetric struct {
	law    *law
	index  int
	v      *tally.PairMetricView
	same   cellRow      // pairs without a difference (means and categories: all pairs)
	up     cellRow      // candidate has the event, live has not
	down   cellRow      // live has it, the candidate has not
	both   float64      // rate of pairs in which both have it, all bins
	edges  []pairEdge   // latency
	shares [2][]cellRow // category
	diff   moments      // mean
	live   []float64    // mean: rate of live's values, by bin
	clash  []float64    // time of the unit's first discordant pair
	unhurt []int32      // units before it
	odds   []float64    // chance that this pair is the candidate's
	limits [2]float64   // latency: the tail, as standard
	tails  bool
	base   *release.MetricBaseline
}

// pairEdge is one row of a latency: I(candidate > f x) - I(live > x).
type pairEdge struct {
	x, y     float64 // live's and the candidate's threshold, as standard
	row      []float64
	up, down cellRow
}

// openPairs prepares the pairs of a mirrored stratum: agree metrics are scored once the outcome is told, the others at once.
func (s *sampled) openPairs(st *stratum) {
	st.mirrored = s.mem.flags.take(s.o.Users)
	rate := 0.0
	for u := range st.mirrored {
		if s.who.mirror[u] < st.mirror.Fraction() {
			st.mirrored[u] = true
			rate += s.pop.rates[u]
		}
	}
	st.v.Pairs = &tally.PairView{Metrics: make([]tally.PairMetricView, len(s.pop.laws))}
	now := &pairFlow{front: st.from, rate: rate, count: &st.v.Pairs.Complete}
	scored := &pairFlow{front: st.from, rate: rate, count: &st.v.Pairs.Scored}
	for i := range s.pop.laws {
		l := &s.pop.laws[i]
		switch {
		case l.agree:
			scored.lag, scored.rate = l.delay, rate*l.told
			scored.parts = append(scored.parts, newPairMetric(s, st, i))
		case l.lag == 0:
			now.parts = append(now.parts, newPairMetric(s, st, i))
		}
	}
	st.pairs = append(st.pairs, now)
	if len(scored.parts) > 0 {
		st.pairs = append(st.pairs, scored)
	}
	if s.baseline != nil {
		for _, f := range st.pairs {
			f.mark(s, st)
		}
	}
}

func newPairMetric(s *sampled, st *stratum, i int) *pairMetric {
	p := &pairMetric{law: &s.pop.laws[i], index: i, v: &st.v.Pairs.Metrics[i]}
	p.v.N, p.v.D = s.mem.bins(), s.mem.bins()
	p.rebuild(s, st, st.from)
	return p
}

// rebuild adds up the rates of the mirrored users.
func (p *pairMetric) rebuild(s *sampled, st *stratum, from float64) {
	r := s.mem.rows(3)
	p.same, p.up, p.down, p.both = r[0], r[1], r[2], 0
	if p.law.metric.Kind == release.MetricCategory {
		p.shares = [2][]cellRow{s.mem.rows(p.law.classes), s.mem.rows(p.law.classes)}
	}
	if p.law.metric.Kind == release.MetricMean {
		p.diff = moments{s.mem.bins(), s.mem.bins()}
		p.live = s.mem.bins()
	}
	for i := range p.edges {
		e := s.mem.rows(2)
		p.edges[i].up, p.edges[i].down = e[0], e[1]
	}
	for u := range int32(s.o.Users) {
		if st.mirrored[u] {
			p.addUser(s, u)
		}
	}
	if p.law.isBinary() || p.tails {
		p.startUnits(s, st, from)
	}
}

func (p *pairMetric) addUser(s *sampled, u int32) {
	profile, bin := s.who.profile[u], s.who.bin[u]
	rate := s.pop.rates[u] * p.law.told
	switch p.law.metric.Kind {
	case release.MetricCategory:
		k := p.law.classes
		p.same[bin] += rate
		for a := range p.shares {
			for j, x := range p.law.shares[a][int(profile)*k : int(profile+1)*k] {
				p.shares[a][j][bin] += rate * x
			}
		}
	case release.MetricMean:
		limit := 0.0
		if p.base != nil {
			limit = p.base.Cap
		}
		a, a2 := capped(p.law.mean(0, profile), limit)
		b, b2 := capped(p.law.mean(1, profile), limit)
		p.same[bin] += rate
		p.live[bin] += rate * a
		p.diff.first[bin] += rate * (b - a)
		p.diff.second[bin] += rate * (a2 + b2 - 2*a*b)
	case release.MetricLatency:
		p.same[bin] += rate
		for i := range p.edges {
			e := &p.edges[i]
			a, b := p.law.exceeds(profile, e.x), p.law.exceeds(profile, e.y)
			e.up[bin] += rate * b * (1 - a)
			e.down[bin] += rate * a * (1 - b)
		}
	default:
		a, b := p.law.p[0][profile], p.law.p[1][profile]
		p.both += rate * a * b
		p.same[bin] += rate * (a*b + (1-a)*(1-b))
		p.up[bin] += rate * b * (1 - a)
		p.down[bin] += rate * a * (1 - b)
	}
}

// startUnits draws each unit's first discordant pair from a time on (R8).
func (p *pairMetric) startUnits(s *sampled, st *stratum, from float64) {
	p.clash, p.odds = s.mem.floats.take(s.o.Users), s.mem.floats.take(s.o.Users)
	p.unhurt = p.unhurt[:0]
	for u := range int32(s.o.Users) {
		if !st.mirrored[u] || s.paired[p.index][u] {
			continue
		}
		profile := s.who.profile[u]
		var a, b float64
		if p.law.isBinary() {
			a, b = p.law.p[0][profile], p.law.p[1][profile]
		} else {
			a, b = p.law.exceeds(profile, p.limits[0]), p.law.exceeds(profile, p.limits[1])
		}
		up, down := b*(1-a), a*(1-b)
		p.clash[u] = from + s.c.wait(s.pop.rates[u]*p.law.told*(up+down))
		p.odds[u] = up / (up + down)
		p.unhurt = append(p.unhurt, u)
	}
}

func (f *pairFlow) advance(s *sampled, st *stratum, b float64) {
	dt := b - f.front
	if dt <= 0 {
		return
	}
	*f.count += uint64(s.c.poisson(f.rate * dt))
	for _, p := range f.parts {
		p.piece(s, st, dt, b)
	}
	f.front = b
}

func (p *pairMetric) piece(s *sampled, st *stratum, dt, b float64) {
	switch p.law.metric.Kind {
	case release.MetricCategory:
		p.categories(s, dt)
	case release.MetricMean:
		p.means(s, dt)
	default:
		p.differences(s, dt)
	}
	if p.clash == nil {
		return
	}
	p.unhurt = due(p.unhurt, p.clash, b, func(u int32) {
		s.paired[p.index][u] = true
		if s.c.flip(p.odds[u]) {
			p.v.CandOnly++
		} else {
			p.v.LiveOnly++
		}
	})
}

func (p *pairMetric) differences(s *sampled, dt float64) {
	d := s.mem.drawn
	draw := func(rates cellRow, to []float64, sign float64) float64 {
		clear(d)
		n := s.c.counts(rates, dt, d)
		if n > 0 {
			for bin, x := range d {
				to[bin] += sign * x
			}
		}
		return n
	}
	n := s.c.counts(p.same, dt, p.v.N)
	up := draw(p.up, p.v.D, +1)
	addRow(p.v.N, d)
	down := draw(p.down, p.v.D, -1)
	addRow(p.v.N, d)
	n += up + down
	for i := range p.edges {
		e := &p.edges[i]
		draw(e.up, e.row, +1)
		draw(e.down, e.row, -1)
	}
	if p.law.isBinary() {
		both := math.Min(n, s.c.poisson(p.both*dt))
		p.v.LiveY += both + down
		p.v.CandY += both + up
		p.v.LiveSumSq += both + down
		p.v.SumSq += up + down
	} else { // only the ratio of both is shown: live's mean is the unit
		p.v.LiveY += n
		p.v.CandY += n * p.law.factor
	}
}

func (p *pairMetric) categories(s *sampled, dt float64) {
	if p.v.Live == nil {
		p.v.Live, p.v.Cand = make([][]float64, p.law.classes+1), make([][]float64, p.law.classes+1)
		for j := range p.law.classes {
			p.v.Live[j], p.v.Cand[j] = s.mem.bins(), s.mem.bins()
		}
	}
	for j := range p.law.classes {
		drawn := s.mem.drawn
		clear(drawn)
		s.c.counts(p.shares[0][j], dt, drawn)
		addRow(p.v.Live[j], drawn)
		addRow(p.v.N, drawn)
		s.c.counts(p.shares[1][j], dt, p.v.Cand[j])
	}
}

func (p *pairMetric) means(s *sampled, dt float64) {
	for bin, r := range p.same {
		n := s.c.poisson(r * dt)
		if n == 0 {
			continue
		}
		m, m2 := p.diff.first[bin]/r, p.diff.second[bin]/r
		d := n*m + math.Sqrt(n*math.Max(0, m2-m*m))*s.c.NormFloat64()
		p.v.N[bin] += n
		p.v.D[bin] += d
		p.v.SumSq += n * m2
		live := n * p.live[bin] / r
		p.v.LiveY += live
		p.v.CandY += live + d
	}
}

// mark begins latencies and capped means anew under the frozen edges.
func (f *pairFlow) mark(s *sampled, st *stratum) {
	for _, p := range f.parts {
		b, ok := s.baseline.Metrics[p.law.metric.Name]
		if !ok {
			continue
		}
		latency := p.law.metric.Kind == release.MetricLatency && len(b.Thresholds) > 0
		if !latency && (p.law.metric.Kind != release.MetricMean || b.Cap <= 0) {
			continue
		}
		p.base = &b
		*p.v = tally.PairMetricView{
			N: s.mem.bins(), D: s.mem.bins(),
			LiveOnly: p.v.LiveOnly, CandOnly: p.v.CandOnly,
		}
		if latency {
			p.freeze(s, b.Thresholds)
		}
		p.rebuild(s, st, f.front)
	}
}

// freeze takes over the thresholds; "no worse" and "better" are only asked at the declared quantile.
func (p *pairMetric) freeze(s *sampled, thresholds []release.Threshold) {
	p.v.Over, p.v.OverMargin = make([][]float64, len(thresholds)), make([][]float64, len(thresholds))
	p.edges, p.tails = p.edges[:0], false
	for i, t := range thresholds {
		x, y := p.law.standard(0, t.X), p.law.standard(1, t.Tolerate)
		p.v.Over[i] = s.mem.bins()
		p.edges = append(p.edges, pairEdge{x: x, y: y, row: p.v.Over[i]})
		if t.Quantile == declared(p.law.metric) {
			p.v.OverMargin[i], p.v.OverLive = s.mem.bins(), s.mem.bins()
			p.edges = append(p.edges, pairEdge{x: x, y: p.law.standard(1, t.Margin), row: p.v.OverMargin[i]}, pairEdge{x: x, y: p.law.standard(1, t.X), row: p.v.OverLive})
		}
		if t.Quantile >= tailQuantile && !p.tails {
			p.limits, p.tails = [2]float64{x, y}, true
		}
	}
}

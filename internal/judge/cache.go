package judge

import (
	"slices"

	"sluice.dev/sluice/internal/stats"
)

// Cache keeps what closed strata and unchanged counts gave at the last look, so that the next look only works on what
// changed. The zero value is empty and ready. It belongs to one release and one goroutine at a time, never changes an
// answer (a test compares), and may be thrown away whenever memory is short: about 32 kB per metric and candidate once
// there is a second stratum, six times that for a latency.
type Cache struct {
	sums    map[sumKey]*cachedSum
	before  map[sumKey]*covariate
	drifts  map[sumKey]*cachedDrift
	labels  map[labelKey]cachedLabel
	points  map[labelKey]cachedPoints
	classes map[classKey]cachedClass
	pairs   map[int]cachedPairs // by metric
	equals  map[sumKey]cachedEqual
	work    *binSum // sums of one look
}

// comp tells the E2 questions of one metric apart.
type comp uint8

const (
	compRate   comp = 0   // the metric's own sums
	compOver   comp = 32  // + threshold
	compMargin comp = 64  // + threshold
	compFaster comp = 96  // + threshold
	compEpoch  comp = 128 // added: of the present epoch alone
)

type sumKey struct {
	metric, arm int
	comp        comp
}

// mark identifies the content of a run of strata: observations only ever come, so equal numbers in the same strata are
// equal contents.
type mark struct {
	first, last uint16 // IDs
	n           float64
}

func (m *mark) add(id uint16, n float64) {
	if m.first == 0 {
		m.first = id
	}
	m.last = id
	m.n += n
}

// marks are a metric's observations in the strata that are closed, in the present one, and by arm.
type marks struct {
	closed, last mark
	seen         [2]float64
	before       float64 // of the covariate (see covariate)
}

func marksOf(metric int, vs []versus) marks {
	var m marks
	for i := range vs {
		live, cand := vs[i].metric(metric)
		var a, b float64
		if live != nil {
			a = sum(live.N)
		}
		if cand != nil {
			b = sum(cand.N)
		}
		m.seen[0] += a
		m.seen[1] += b
		if i < len(vs)-1 {
			m.closed.add(vs[i].id, a+b)
		} else {
			m.last.add(vs[i].id, a+b)
		}
	}
	return m
}

type cachedSum struct {
	at     marks
	closed *binSum
	all    *binned
}

// sum returns E2's sums over all strata. What is cached of the closed ones is used again while nothing came to them.
func (c *Cache) sum(s *subject, k comp, vs []versus, m marks, pick func(*versus) (a, b sums)) *binned {
	x := c.covariate(s, k, vs)
	if x != nil {
		m.before = x.n[0] + x.n[1]
	}
	id := sumKey{s.index, s.arm, k}
	e := c.sums[id]
	if e == nil {
		e = &cachedSum{}
		if c.sums == nil {
			c.sums = map[sumKey]*cachedSum{}
		}
		c.sums[id] = e
	}
	if e.all != nil && e.at == m {
		return e.all
	}
	if c.work == nil {
		c.work = newBinSum()
	}
	if len(vs) > 1 && (e.closed == nil || e.at.closed != m.closed || e.at.before != m.before) {
		if e.closed == nil {
			e.closed = newBinSum()
		}
		e.closed.reset(nil)
		for i := range vs[:len(vs)-1] {
			vs[i].addTo(e.closed, x, pick)
		}
	}
	c.work.reset(nil)
	if len(vs) > 1 {
		c.work.reset(e.closed)
	}
	if len(vs) > 0 {
		vs[len(vs)-1].addTo(c.work, x, pick)
	}
	e.at, e.all = m, c.work.binned()
	e.all.seen = m.seen
	return e.all
}

// cachedPairs is the evidence for harm of a metric's pairs, with all that it was computed from.
type cachedPairs struct {
	at   pairsMark
	harm []component
}

type pairsMark struct {
	rows                        mark
	share, alpha, weight, worse float64
	tolerate, margin            bound
	made                        int64 // the baseline
}

// cachedEqual is the evidence against equal would-be arms (checkAA), with what it was computed from.
type cachedEqual struct {
	at equalMark
	ln float64
}

type equalMark struct {
	marks
	firsts [2]float64
	made   uint64 // observations of the baseline
	alpha  float64
}

type cachedDrift struct {
	at          marks
	closed, all *driftSum
}

// drift is sum for categories.
func (c *Cache) drift(s *subject, k comp, vs []versus, m marks) *driftSum {
	id := sumKey{s.index, s.arm, k}
	e := c.drifts[id]
	if e == nil {
		e = &cachedDrift{closed: newDriftSum(), all: newDriftSum()}
		if c.drifts == nil {
			c.drifts = map[sumKey]*cachedDrift{}
		}
		c.drifts[id] = e
	} else if e.at == m {
		return e.all
	}
	pick := categoryRows(s.index)
	if e.at.closed != m.closed {
		e.closed.reset(nil)
		for i := range vs[:max(0, len(vs)-1)] {
			e.closed.add(pick(&vs[i]))
		}
	}
	e.at = m
	e.all.reset(e.closed)
	if len(vs) > 0 {
		e.all.add(pick(&vs[len(vs)-1]))
	}
	return e.all
}

type labelKey struct {
	metric, arm int
	name        string
}

type cachedLabel struct {
	cells []stats.LabelStratum
	ln    float64
}

// label is E1's ln E for harm: the tilted strata against log rate ratio 0.
func (c *Cache) label(s *subject, name string, cells []stats.LabelStratum) float64 {
	return c.labelled(s, name, cells, stats.Label.LnAbove)
}

// labelBelow is E1's ln E for "less": the tilted strata against log rate ratio 0.
func (c *Cache) labelBelow(s *subject, name string, cells []stats.LabelStratum) float64 {
	return c.labelled(s, name, cells, stats.Label.LnBelow)
}

func (c *Cache) labelled(s *subject, name string, cells []stats.LabelStratum, ask func(stats.Label, float64) float64) float64 {
	id := labelKey{s.index, s.arm, name}
	if e, ok := c.labels[id]; ok && slices.Equal(e.cells, cells) {
		return e.ln
	}
	ln := 0.0
	if l, err := stats.NewLabel(cells, s.labelSigma()); err == nil {
		ln = ask(l, 0)
	}
	if c.labels == nil {
		c.labels = map[labelKey]cachedLabel{}
	}
	c.labels[id] = cachedLabel{cells, ln}
	return ln
}

type cachedPoints struct {
	c  counts
	b  float64
	ln float64
}

// harmLevel is R4's mirror as evidence: -ln of the smallest alpha at which L_B - U_A > tolerate holds.
func (c *Cache) harmLevel(s *subject, name string, n counts, tolerate float64) float64 {
	return c.level(s, name, n, tolerate, func() (stats.PointsVerdict, error) {
		return stats.HarmInPoints(n.kA, n.nA, n.kB, n.nB, tolerate, s.alpha)
	})
}

// noWorseLevel is R3's bounds as evidence: -ln of the smallest alpha at which U_B - L_A < margin holds.
func (c *Cache) noWorseLevel(s *subject, n counts, margin float64) float64 {
	return c.level(s, "noWorse", n, margin, func() (stats.PointsVerdict, error) {
		return stats.NoWorseInPoints(n.kA, n.nA, n.kB, n.nB, margin, s.alpha)
	})
}

func (c *Cache) level(s *subject, name string, n counts, b float64, ask func() (stats.PointsVerdict, error)) float64 {
	id := labelKey{s.index, s.arm, name}
	if e, ok := c.points[id]; ok && e.c == n && e.b == b {
		return e.ln
	}
	ln := 0.0
	if v, err := ask(); err == nil {
		ln = -v.LnLevel
	}
	if c.points == nil {
		c.points = map[labelKey]cachedPoints{}
	}
	c.points[id] = cachedPoints{n, b, ln}
	return ln
}

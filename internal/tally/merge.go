package tally

import (
	"cmp"
	"maps"
	"slices"

	"sluice.dev/sluice/internal/release"
)

// View returns the sums of this partition alone.
func (t *Tally) View() *View { return Merge(t) }

// Merge adds the tallies of one release over its partitions, each given once and in any order. It
// reads them; the view shares no memory with them.
func Merge(tallies ...*Tally) *View {
	var c Cache
	for _, t := range tallies {
		c.Add(t)
	}
	v, _ := c.View()
	return v
}

// Cache builds merged views of one release and does again only what has changed since the last one:
// first Add each partition's tally, then View. So the caller needs to hold a lock over a tally only
// while it is copied. The zero value is ready; it belongs to one goroutine at a time.
type Cache struct {
	parts   [release.Partitions]*part
	strata  map[uint16]*mergedStratum
	names   [][]string // categories of the last view, by metric
	program *program
}

// part is a copy of one partition's sums.
type part struct {
	clock    int64
	seq      uint64
	baseline bool
	counters Counters
	strata   []*stratum
	dicts    []dictionary
	segments []segmentDict
	limits   []int // thresholds by metric
}

type mergedStratum struct {
	versions [release.Partitions]uint64 // plus one; 0: this partition has no such stratum
	view     StratumView
	digest   [32]byte
}

// Add takes over the present sums of one partition's tally, copying the strata that changed since it
// was last added.
func (c *Cache) Add(t *Tally) {
	p := c.parts[t.cfg.Partition]
	if p == nil {
		p = &part{}
		c.parts[t.cfg.Partition] = p
	}
	if c.program == nil {
		c.program = &t.prog
	}
	p.clock, p.seq, p.baseline, p.counters = t.clock, t.seq, t.baseline != nil, t.counters
	p.limits = p.limits[:0]
	for _, l := range t.limits {
		p.limits = append(p.limits, len(l))
	}
	p.dicts = p.dicts[:0]
	for _, d := range t.dicts {
		// Names are only ever appended, and replaced as a whole by the mark: the copy stays true.
		p.dicts = append(p.dicts, dictionary{names: d.names, most: d.most, frozen: d.frozen})
	}
	for i, s := range t.strata {
		if i == len(p.strata) || p.strata[i].id != s.id {
			p.strata = slices.Insert(p.strata, i, &stratum{id: s.id, version: s.version - 1})
		}
		if p.strata[i].version != s.version {
			s.copyTo(p.strata[i])
		}
	}
	p.segments = p.segments[:0]
	for i := range t.segments {
		p.segments = append(p.segments, segmentDict{names: t.segments[i].names})
	}
}

// View merges what was added. The view and everything in it is not changed afterwards. Its hash is
// that of View.Hash.
func (c *Cache) View() (*View, string) {
	v := &View{Baseline: true}
	ids := map[uint16]bool{}
	for p, x := range c.parts {
		if x == nil {
			continue
		}
		v.LogTime = max(v.LogTime, x.clock)
		v.Baseline = v.Baseline && x.baseline
		v.Positions[p] = x.seq
		v.Counters.add(&x.counters)
		for _, s := range x.strata {
			ids[s.id] = true
		}
	}
	if c.program == nil {
		v.Baseline = false
		return v, v.Hash()
	}
	v.Categories = c.categories()
	if !slices.EqualFunc(v.Categories, c.names, slices.Equal[[]string]) {
		c.names, c.strata = v.Categories, nil
	}
	if c.strata == nil {
		c.strata = map[uint16]*mergedStratum{}
	}
	digests := make([][32]byte, 0, len(ids))
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		m := c.stratum(id)
		v.Strata = append(v.Strata, m.view)
		digests = append(digests, m.digest)
	}
	v.Segments = served(v.Strata)
	return v, v.hashWith(digests)
}

// stratum returns the merged stratum of that id, merging it again if any part of it changed.
func (c *Cache) stratum(id uint16) *mergedStratum {
	m := c.strata[id]
	if m == nil {
		m = &mergedStratum{}
		c.strata[id] = m
	}
	changed := false
	var from [release.Partitions]*stratum
	for p, x := range c.parts {
		if x == nil {
			continue
		}
		i, ok := slices.BinarySearchFunc(x.strata, id, func(s *stratum, id uint16) int { return cmp.Compare(s.id, id) })
		if !ok {
			continue
		}
		from[p] = x.strata[i]
		if v := from[p].version + 1; m.versions[p] != v {
			m.versions[p], changed = v, true
		}
	}
	if !changed {
		return m
	}
	m.view = c.merge(id, &from)
	m.digest = m.view.digest()
	return m
}

func (c *Cache) merge(id uint16, from *[release.Partitions]*stratum) StratumView {
	v := StratumView{ID: id}
	known := false
	for p, s := range from {
		if s == nil {
			continue
		}
		if !known {
			v.Epoch, v.Kind, known = s.epoch, s.kind, s.known
		}
		if v.Arms == nil {
			v.Arms = make([]ArmView, len(s.arms))
			for a := range v.Arms {
				v.Arms[a].Metrics = make([]MetricView, len(c.program.metrics))
			}
		}
		for a := range s.arms {
			c.addArm(&v.Arms[a], &s.arms[a], p)
		}
		if s.pairs != nil {
			c.addPairs(&v, s.pairs, p)
		}
	}
	v.Segments = c.segments(from)
	if v.Pairs != nil && len(c.program.agrees) == 0 {
		v.Pairs.Scored = v.Pairs.Complete // there is nothing to wait for
	}
	return v
}

func (c *Cache) addArm(v *ArmView, a *armSums, p int) {
	v.Exposures += a.exposures
	v.Units += a.units
	v.NewUnits += a.newUnits
	v.Outcomes += a.outcomes
	v.Seen += a.seen
	v.Dropped += a.dropped
	for i := range a.metrics {
		m, to := &a.metrics[i], &v.Metrics[i]
		to.N = spreadCounts(to.N, &m.n, p)
		to.Y = spread(to.Y, m.y, p)
		to.SumSq += m.sumSq
		to.RawN += m.rawN
		to.RawY += m.rawY
		to.Event.First += m.first
		to.Event.Ever += m.ever
		to.Event.Closed += m.closed
		to.Event.With += m.with
		to.Over = spreadRows(to.Over, m.over, p, c.parts[p].limits[i])
		to.OverMargin = spreadRows(to.OverMargin, m.overMargin, p, c.parts[p].limits[i])
		if c.parts[p].limits[i] > 0 && m.n.lo != nil {
			bins(&to.OverLive, p) // counted, and none so far: not the same as not counted
		}
		to.OverLive = spreadCounts(to.OverLive, &m.overLive, p)
		to.Category = c.spreadCategories(to.Category, m.cats, p, i)
		to.Hist = addHist(to.Hist, m.hist)
	}
}

func addHist(to []uint64, h *hist) []uint64 {
	if h == nil {
		return to
	}
	if to == nil {
		to = make([]uint64, len(h.pages)*pageLen)
	}
	h.addTo(to)
	return to
}

func (c *Cache) addPairs(v *StratumView, s *pairSums, p int) {
	if v.Pairs == nil {
		v.Pairs = &PairView{Metrics: make([]PairMetricView, len(c.program.metrics))}
	}
	v.Pairs.Complete += s.complete
	v.Pairs.Scored += s.scored
	for i := range s.metrics {
		m, to := &s.metrics[i], &v.Pairs.Metrics[i]
		to.N = spreadCounts(to.N, &m.n, p)
		to.D = spread(to.D, m.d, p)
		to.SumSq += m.sumSq
		to.LiveY += m.liveY
		to.CandY += m.candY
		to.LiveSumSq += m.liveSumSq
		to.LiveOnly += m.liveOnly
		to.CandOnly += m.candOnly
		to.Over = spreadDiffs(to.Over, m.over, p, c.parts[p].limits[i])
		to.OverMargin = spreadDiffs(to.OverMargin, m.overMargin, p, c.parts[p].limits[i])
		if c.parts[p].limits[i] > 0 && m.n.lo != nil {
			row := bins(&to.OverLive, p)
			for i, d := range m.overLive {
				row[i] = float64(d)
			}
		}
		to.LiveHist, to.CandHist = addHist(to.LiveHist, m.liveHist), addHist(to.CandHist, m.candHist)
		to.Live = c.spreadCategories(to.Live, m.liveCats, p, i)
		to.Cand = c.spreadCategories(to.Cand, m.candCats, p, i)
	}
}

// bins returns the partition's bins of a row over all bins, making the row if it is new.
func bins(to *[]float64, p int) []float64 {
	if *to == nil {
		*to = make([]float64, release.Bins)
	}
	return (*to)[p*partBins : (p+1)*partBins]
}

func spread(to, from []float64, p int) []float64 {
	if from != nil {
		copy(bins(&to, p), from)
	}
	return to
}

func spreadCounts(to []float64, from *counts, p int) []float64 {
	if from.lo == nil {
		return to
	}
	for i, b := 0, bins(&to, p); i < partBins; i++ {
		b[i] += float64(from.at(i))
	}
	return to
}

// allRows returns total rows over all bins, so that readers need not look for missing ones.
func allRows(to [][]float64, total int) [][]float64 {
	for len(to) < total {
		to = append(to, make([]float64, release.Bins))
	}
	return to
}

func spreadRows(to [][]float64, from []counts, p, total int) [][]float64 {
	if from == nil {
		return to
	}
	to = allRows(to, total)
	for j := range from {
		to[j] = spreadCounts(to[j], &from[j], p)
	}
	return to
}

func spreadDiffs(to [][]float64, from [][]int32, p, total int) [][]float64 {
	if from == nil {
		return to
	}
	to = allRows(to, total)
	for j := range from {
		for i, d := range from[j] {
			to[j][p*partBins+i] = float64(d)
		}
	}
	return to
}

func (c *Cache) spreadCategories(to [][]float64, from []counts, p, metric int) [][]float64 {
	if from == nil {
		return to
	}
	at := c.program.metrics[metric].cat
	names := c.names[metric]
	to = allRows(to, len(names))
	d := &c.parts[p].dicts[at]
	for j := range from {
		if from[j].lo == nil {
			continue
		}
		k := len(names) - 1
		if j < len(d.names) {
			if i := slices.Index(names, d.names[j]); i >= 0 {
				k = i
			}
		}
		spreadCounts(to[k], &from[j], p)
	}
	return to
}

// mostNames bounds the categories of a view before the baseline.
const mostNames = 64

// categories returns for each metric the names of its categories over all partitions, "other" last:
// the frozen dictionary, or before it the most frequent names, ascending.
func (c *Cache) categories() [][]string {
	out := make([][]string, len(c.program.metrics))
	for i := range c.program.metrics {
		at := c.program.metrics[i].cat
		if at < 0 {
			continue
		}
		names, frozen := c.namesOf(at)
		if !frozen && len(names) > mostNames {
			names = c.frequent(i, at, names)
		}
		out[i] = append(names, Other)
	}
	return out
}

// namesOf returns a frozen dictionary as it is, or the union of growing ones, ascending.
func (c *Cache) namesOf(at int) (names []string, frozen bool) {
	for _, x := range c.parts {
		if x != nil && x.dicts[at].frozen {
			return slices.Clone(x.dicts[at].names), true
		}
		if x != nil {
			names = append(names, x.dicts[at].names...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), false
}

// frequent keeps the mostNames names with the most observations.
func (c *Cache) frequent(metric, at int, names []string) []string {
	total := map[string]uint64{}
	for _, x := range c.parts {
		if x == nil {
			continue
		}
		for _, s := range x.strata {
			for a := range s.arms {
				for j, r := range s.arms[a].metrics[metric].cats {
					if j < len(x.dicts[at].names) && r.lo != nil {
						total[x.dicts[at].names[j]] += r.sum()
					}
				}
			}
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(total[b], total[a]), cmp.Compare(a, b))
	})
	names = names[:mostNames]
	slices.Sort(names)
	return names
}

type segmentKey struct{ name, value string }

// segments merges one stratum's segments over the partitions, ascending by name and value.
func (c *Cache) segments(from *[release.Partitions]*stratum) []SegmentView {
	rows := map[segmentKey][]SegmentArm{}
	for p, s := range from {
		if s == nil {
			continue
		}
		for i, values := range s.segments {
			names := c.parts[p].segments[i].names
			for v, arms := range values {
				if arms == nil {
					continue
				}
				k := segmentKey{c.program.segments[i].name, Other}
				if v < len(names) {
					k.value = names[v]
				}
				rows[k] = addSegment(rows[k], arms)
			}
		}
	}
	return sortedSegments(rows)
}

// served adds up the segments of the strata in which users were served.
func served(strata []StratumView) []SegmentView {
	rows := map[segmentKey][]SegmentArm{}
	for i := range strata {
		if strata[i].Kind != release.ExposureServe {
			continue
		}
		for _, s := range strata[i].Segments {
			k := segmentKey{s.Name, s.Value}
			to := rows[k]
			for a := range s.Arms {
				if a == len(to) {
					to = append(to, SegmentArm{})
				}
				x := &s.Arms[a]
				to[a].Exposures += x.Exposures
				to[a].N, to[a].Y, to[a].Q = plus(to[a].N, x.N), plus(to[a].Y, x.Y), plus(to[a].Q, x.Q)
			}
			rows[k] = to
		}
	}
	return sortedSegments(rows)
}

func plus(to, x []float64) []float64 {
	if to == nil {
		return slices.Clone(x)
	}
	for i, v := range x {
		to[i] += v
	}
	return to
}

func sortedSegments(rows map[segmentKey][]SegmentArm) []SegmentView {
	var out []SegmentView
	for k, arms := range rows {
		out = append(out, SegmentView{Name: k.name, Value: k.value, Arms: arms})
	}
	slices.SortFunc(out, func(a, b SegmentView) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Value, b.Value))
	})
	return out
}

func addSegment(to []SegmentArm, from []segmentRow) []SegmentArm {
	if to == nil {
		to = make([]SegmentArm, len(from))
		for a := range to {
			n := len(from[a].n)
			to[a].N, to[a].Y, to[a].Q = make([]float64, n), make([]float64, n), make([]float64, n)
		}
	}
	for a := range from {
		to[a].Exposures += from[a].exposures
		for m := range from[a].n {
			to[a].N[m] += float64(from[a].n[m])
			to[a].Y[m] += from[a].y[m]
			to[a].Q[m] += from[a].q[m]
		}
	}
	return to
}

func (c *Counters) add(o *Counters) {
	c.Duplicates += o.Duplicates
	c.MissingBatch += o.MissingBatch
	c.Malformed += o.Malformed
	c.LateFeedback += o.LateFeedback
	c.LateExposures += o.LateExposures
	c.Repeated += o.Repeated
	c.Ignored += o.Ignored
	c.Thinned += o.Thinned
	c.Unpaired += o.Unpaired
}

package tally

import (
	"slices"

	"sluice.dev/sluice/internal/release"
)

// stratum holds the sums of one stratum in one partition.
type stratum struct {
	id    uint16
	epoch uint8
	kind  release.ExposureKind // Serve or WouldBe
	known bool                 // epoch and kind were told by an exposure
	level uint8                // R3: units are sampled with probability 2^-level, fixed when it opened
	// version changes with every change of the sums; see Cache. Not stored.
	version uint64
	arms    []armSums
	pairs   *pairSums
	// segments are shown by segment; nil: none was named yet.
	segments []segmentRows
}

type armSums struct {
	exposures uint64
	units     uint64 // estimated: each sampled unit stands for 2^level
	newUnits  uint64
	outcomes  uint64
	seen      uint64
	dropped   uint64
	metrics   []metricSums
}

// metricSums are one metric's sums of one arm in one stratum. A row without observations is nil.
type metricSums struct {
	n     counts // by bin
	y     []float64
	sumSq float64
	// Means: the sum before winsorising and how many it holds; for display, and for the baseline.
	rawN uint64
	rawY float64

	first, ever, closed, with uint64 // R1, R3

	over, overMargin []counts // by threshold, then bin
	overLive         counts   // a candidate beyond live's threshold at the declared quantile
	cats             []counts // by category, then bin; nil rows are zero
	hist             *hist
}

// pairSums are the paired comparisons of one shadow stratum.
type pairSums struct {
	complete, scored uint64
	metrics          []pairMetricSums
}

type pairMetricSums struct {
	n                  counts
	d                  []float64
	sumSq              float64
	liveY, candY       float64
	liveSumSq          float64
	liveOnly, candOnly uint64
	over, overMargin   [][]int32 // differences of indicators; by threshold, then bin
	overLive           []int32   // the same at live's own threshold of the declared quantile
	liveHist, candHist *hist     // latency
	liveCats, candCats []counts
}

func newStratum(id uint16, epoch uint8, kind release.ExposureKind, arms, metrics int) *stratum {
	s := &stratum{id: id, epoch: epoch, kind: kind, arms: make([]armSums, arms)}
	for i := range s.arms {
		s.arms[i].metrics = make([]metricSums, metrics)
	}
	return s
}

// observe adds one observation of a metric to its bin.
func (m *metricSums) observe(bin int, y float64) {
	if m.y == nil {
		m.n, m.y = newCounts(partBins), make([]float64, partBins)
	}
	m.n.inc(bin)
	m.y[bin] += y
	m.sumSq += y * y
}

// clearBins forgets what can't be compared with what follows the baseline mark.
func (m *metricSums) clearBins() {
	m.n, m.y, m.sumSq = counts{}, nil, 0
}

// row returns row i of rows, making it and the list as needed.
func row(rows *[]counts, i, total int) *counts {
	if *rows == nil {
		*rows = make([]counts, total)
	}
	if (*rows)[i].lo == nil {
		(*rows)[i] = newCounts(partBins)
	}
	return &(*rows)[i]
}

func (p *pairMetricSums) observe(bin int, live, cand float64) {
	if p.d == nil {
		p.n, p.d = newCounts(partBins), make([]float64, partBins)
	}
	d := cand - live
	p.n.inc(bin)
	p.d[bin] += d
	p.sumSq += d * d
	p.liveY += live
	p.candY += cand
	p.liveSumSq += live * live
}

func diffRow(rows *[][]int32, i, total int) []int32 {
	if *rows == nil {
		*rows = make([][]int32, total)
	}
	if (*rows)[i] == nil {
		(*rows)[i] = make([]int32, partBins)
	}
	return (*rows)[i]
}

// stratumOf returns the stratum of that id, opening it if it is new; nil when there are too many.
func (t *Tally) stratumOf(id uint16, epoch uint8, kind release.ExposureKind) *stratum {
	if t.last != nil && t.last.id == id {
		return t.last
	}
	i, ok := slices.BinarySearchFunc(t.strata, id, func(s *stratum, id uint16) int { return int(s.id) - int(id) })
	if !ok {
		if len(t.strata) >= maxStrata {
			return nil
		}
		s := newStratum(id, epoch, kind, t.cfg.Arms, len(t.prog.metrics))
		s.level = t.units.level
		if t.units.len() > t.units.most/2 {
			s.level++ // the set may have to thin itself once before this stratum is over
		}
		t.strata = slices.Insert(t.strata, i, s)
	}
	t.last = t.strata[i]
	return t.last
}

package tally

import "sluice.dev/sluice/internal/release"

// segmentSums holds the sums of one segment over the whole release, without bins: shown, never
// deciding. Only what was really served counts, not the would-be arms of a shadow step.
type segmentSums struct {
	dict dictionary
	arms int
	rows [][]segmentRow // by value, then arm; nil: nothing there
}

type segmentRow struct {
	exposures uint64
	n         []uint64 // by metric
	y         []float64
}

func newSegmentSums(arms int) segmentSums {
	d := newDictionary(maxSegValues)
	return segmentSums{dict: d, arms: arms, rows: make([][]segmentRow, d.rows())}
}

func (g *segmentSums) row(value int, arm uint8, metrics int) *segmentRow {
	if g.rows[value] == nil {
		g.rows[value] = make([]segmentRow, g.arms)
		for i := range g.rows[value] {
			g.rows[value][i] = segmentRow{n: make([]uint64, metrics), y: make([]float64, metrics)}
		}
	}
	return &g.rows[value][arm]
}

// segmentsOf packs the exposure's values of the first eight segments, one byte each: the index plus
// one, 0 for none. So they fit into what is held of an exposure.
func (t *Tally) segmentsOf(e *release.Exposure) uint64 {
	var packed uint64
	for i := range t.segments {
		signal := t.prog.segments[i].signal
		if i >= maxSegments || signal >= int(e.N) {
			continue
		}
		if v, ok := t.texts.lookUp(&e.Values[signal], &t.segments[i].dict, t.texts.segs[i]); ok {
			packed |= uint64(v+1) << (8 * i)
		}
	}
	return packed
}

func (t *Tally) countSegments(at *place) {
	for i := range min(len(t.segments), maxSegments) {
		if v := int(at.segs >> (8 * i) & 0xff); v > 0 {
			t.segments[i].row(v-1, at.arm, len(t.prog.metrics)).exposures++
		}
	}
}

func (t *Tally) observeSegments(metric int, at *place, y float64) {
	for i := range min(len(t.segments), maxSegments) {
		if v := int(at.segs >> (8 * i) & 0xff); v > 0 {
			r := t.segments[i].row(v-1, at.arm, len(t.prog.metrics))
			r.n[metric]++
			r.y[metric] += y
		}
	}
}

package tally

import "sluice.dev/sluice/internal/release"

// Segments are shown, never deciding, and have no bins. Their sums are kept by stratum all the same: summed over strata with
// different shares, they would mix the ramp with the base rate (Simpson's paradox). In serving strata they hold what
// was served; in the strata of a shadow step, pairs, since the would-be arms were both served by live.

// segmentDict names the values of one segment; the index of a value is one for the whole release.
type segmentDict = dictionary

// segmentRow is one arm of one value of a segment in one stratum. In pairs, arm 0 holds live's answers and arm 1 the copies'.
type segmentRow struct {
	exposures uint64 // pairs: complete ones
	n         []uint64
	y         []float64
	q         []float64 // sum of squares; pairs, arm 1: of the differences
}

// segmentRows are one segment's rows in one stratum, by value, then arm; nil: nothing there.
type segmentRows [][]segmentRow

// segmentRow returns a row, making it as needed.
func (t *Tally) segmentRow(s *stratum, segment, value int, arm uint8) *segmentRow {
	if s.segments == nil {
		s.segments = make([]segmentRows, len(t.segments))
	}
	if s.segments[segment] == nil {
		s.segments[segment] = make(segmentRows, t.segments[segment].rows())
	}
	rows := s.segments[segment]
	if rows[value] == nil {
		rows[value] = newSegmentRows(t.cfg.Arms, len(t.prog.metrics))
	}
	return &rows[value][arm]
}

func newSegmentRows(arms, metrics int) []segmentRow {
	rows := make([]segmentRow, arms)
	for i := range rows {
		f := make([]float64, 2*metrics)
		rows[i] = segmentRow{n: make([]uint64, metrics), y: f[:metrics:metrics], q: f[metrics:]}
	}
	return rows
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
		if v, ok := t.texts.lookUp(&e.Values[signal], &t.segments[i], t.texts.segs[i]); ok {
			packed |= uint64(v+1) << (8 * i)
		}
	}
	return packed
}

func (t *Tally) countSegments(at *place, arm uint8) {
	for i := range min(len(t.segments), maxSegments) {
		if v := int(at.segs >> (8 * i) & 0xff); v > 0 {
			t.segmentRow(at.s, i, v-1, arm).exposures++
		}
	}
}

// observeSegments adds one number to the segments of one arm, q to its sum of squares.
func (t *Tally) observeSegments(metric int, at *place, arm uint8, y, q float64) {
	for i := range min(len(t.segments), maxSegments) {
		if v := int(at.segs >> (8 * i) & 0xff); v > 0 {
			r := t.segmentRow(at.s, i, v-1, arm)
			r.n[metric]++
			r.y[metric] += y
			r.q[metric] += q
		}
	}
}

// clearSegments forgets one metric's sums, see restart.
func (s *stratum) clearSegments(metric int) {
	for _, rows := range s.segments {
		for _, arms := range rows {
			for a := range arms {
				arms[a].n[metric], arms[a].y[metric], arms[a].q[metric] = 0, 0, 0
			}
		}
	}
}

func copySegments(old, from []segmentRows) []segmentRows {
	if from == nil {
		return nil
	}
	old = resize(old, len(from))
	for i, rows := range from {
		if rows == nil {
			old[i] = nil
			continue
		}
		to := resize(old[i], len(rows))
		for v, arms := range rows {
			if arms == nil {
				to[v] = nil
				continue
			}
			to[v] = resize(to[v], len(arms))
			for a := range arms {
				r, x := &arms[a], &to[v][a]
				*x = segmentRow{r.exposures, reuse(x.n, r.n), reuse(x.y, r.y), reuse(x.q, r.q)}
			}
		}
		old[i] = to
	}
	return old
}

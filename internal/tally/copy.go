package tally

import "slices"

// copyTo makes dst equal to s, reusing dst's memory.
func (s *stratum) copyTo(dst *stratum) {
	arms, pairs, segments := dst.arms, dst.pairs, dst.segments
	*dst = *s
	dst.arms, dst.pairs = resize(arms, len(s.arms)), nil
	dst.segments = copySegments(segments, s.segments)
	for i := range s.arms {
		from, to := &s.arms[i], &dst.arms[i]
		metrics := resize(to.metrics, len(from.metrics))
		*to = *from
		to.metrics = metrics
		for j := range from.metrics {
			from.metrics[j].copyTo(&metrics[j])
		}
	}
	if s.pairs == nil {
		return
	}
	if pairs == nil {
		pairs = &pairSums{}
	}
	metrics := resize(pairs.metrics, len(s.pairs.metrics))
	*pairs = *s.pairs
	pairs.metrics, dst.pairs = metrics, pairs
	for j := range s.pairs.metrics {
		s.pairs.metrics[j].copyTo(&metrics[j])
	}
}

func (m *metricSums) copyTo(dst *metricSums) {
	old := *dst
	*dst = *m
	dst.n = m.n.copyInto(old.n)
	dst.y = reuse(old.y, m.y)
	dst.over = copyRows(old.over, m.over)
	dst.overMargin = copyRows(old.overMargin, m.overMargin)
	dst.overLive = m.overLive.copyInto(old.overLive)
	dst.cats = copyRows(old.cats, m.cats)
	dst.hist = m.hist.copyInto(old.hist)
}

func (p *pairMetricSums) copyTo(dst *pairMetricSums) {
	old := *dst
	*dst = *p
	dst.n = p.n.copyInto(old.n)
	dst.d = reuse(old.d, p.d)
	dst.over = copyDiffs(old.over, p.over)
	dst.overMargin = copyDiffs(old.overMargin, p.overMargin)
	dst.overLive = reuse(old.overLive, p.overLive)
	dst.liveHist = p.liveHist.copyInto(old.liveHist)
	dst.candHist = p.candHist.copyInto(old.candHist)
	dst.liveCats = copyRows(old.liveCats, p.liveCats)
	dst.candCats = copyRows(old.candCats, p.candCats)
}

func resize[T any](s []T, n int) []T { return slices.Grow(s[:0], n)[:n] }

// reuse copies from into the memory of old; nil stays nil.
func reuse[T any](old, from []T) []T {
	if from == nil {
		return nil
	}
	return append(old[:0], from...)
}

func (c *counts) copyInto(old counts) counts {
	return counts{lo: reuse(old.lo, c.lo), hi: reuse(old.hi, c.hi)}
}

func copyRows(old, from []counts) []counts {
	if from == nil {
		return nil
	}
	old = resize(old, len(from))
	for i := range from {
		old[i] = from[i].copyInto(old[i])
	}
	return old
}

func copyDiffs(old, from [][]int32) [][]int32 {
	if from == nil {
		return nil
	}
	old = resize(old, len(from))
	for i := range from {
		old[i] = reuse(old[i], from[i])
	}
	return old
}

func (h *hist) copyInto(old *hist) *hist {
	if h == nil {
		return nil
	}
	if old == nil || len(old.pages) != len(h.pages) {
		old = &hist{pages: make([]*[pageLen]uint64, len(h.pages))}
	}
	for i, p := range h.pages {
		switch {
		case p == nil:
			old.pages[i] = nil
		case old.pages[i] == nil:
			c := *p
			old.pages[i] = &c
		default:
			*old.pages[i] = *p
		}
	}
	return old
}

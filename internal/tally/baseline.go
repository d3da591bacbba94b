package tally

import (
	"encoding/json"
	"slices"

	"sluice.dev/sluice/internal/release"
)

// tailQuantile is the least quantile of a latency threshold whose exceedance is a unit's event (R6).
const tailQuantile = 0.99

// mark takes over the baseline at its position in the log. A release has one: a repeated mark changes
// nothing.
func (t *Tally) mark(m *release.Mark) {
	if m.Baseline == nil || t.baseline != nil {
		return
	}
	t.setBaseline(cloneBaseline(m.Baseline))
	for i := range t.prog.metrics {
		b, ok := t.baseline.Metrics[t.prog.metrics[i].name]
		if ok && t.prog.metrics[i].cat >= 0 {
			t.freezeCategories(i, b.Categories)
		}
		if ok && t.counting(i) && t.prog.metrics[i].kind != release.MetricEvent {
			t.since[i] = t.now
		}
		t.restart(i)
	}
	for _, s := range t.strata {
		s.version++
	}
}

// setBaseline compiles a baseline into what each observation needs of it.
func (t *Tally) setBaseline(b *release.Baseline) {
	t.baseline = b
	for i := range t.prog.metrics {
		m := &t.prog.metrics[i]
		mb, ok := b.Metrics[m.name]
		if !ok {
			continue
		}
		t.class[i], t.invert[i] = mb.Class, mb.Invert
		switch m.kind {
		case release.MetricMean:
			t.caps[i] = max(mb.Cap, 0)
		case release.MetricLatency:
			t.limits[i] = mb.Thresholds
			t.tail[i] = slices.IndexFunc(mb.Thresholds, func(x release.Threshold) bool { return x.Quantile >= tailQuantile })
			t.asked[i] = slices.IndexFunc(mb.Thresholds, func(x release.Threshold) bool { return x.Quantile == m.quantile })
			if t.tail[i] >= 0 && m.event >= 0 {
				t.since[i] = 0
			}
		case release.MetricProportion:
			if m.event >= 0 && (mb.Class == release.ClassEvent || mb.Class == release.ClassBoth) {
				t.since[i] = 0
			}
		case release.MetricEvent, release.MetricCategory: // nothing of theirs depends on it here
		}
	}
}

// restart drops the sums that can't be compared with what follows the mark: a mean that was not
// winsorised yet, and latencies, whose observations must be those that the thresholds have seen.
func (t *Tally) restart(i int) {
	m := &t.prog.metrics[i]
	changed := m.kind == release.MetricLatency && len(t.limits[i]) > 0 || m.kind == release.MetricMean && t.caps[i] > 0
	for _, s := range t.strata {
		for a := range s.arms {
			sums := &s.arms[a].metrics[i]
			if changed {
				sums.clearBins()
			}
			if m.kind == release.MetricMean {
				sums.hist = nil
			}
		}
		if changed {
			s.clearSegments(i)
		}
		if changed && s.pairs != nil {
			p := &s.pairs.metrics[i]
			*p = pairMetricSums{liveOnly: p.liveOnly, candOnly: p.candOnly, liveHist: p.liveHist, candHist: p.candHist}
		}
	}
}

// freezeCategories replaces the dictionary and moves what was counted under it.
func (t *Tally) freezeCategories(i int, names []string) {
	m := &t.prog.metrics[i]
	old := t.dicts[m.cat]
	d := frozenDictionary(clipAll(names))
	to := make([]int, old.rows())
	for j := range to {
		to[j] = d.other()
		if j < len(old.names) {
			to[j] = d.of(old.names[j])
		}
	}
	t.dicts[m.cat] = d
	for _, s := range t.strata {
		for a := range s.arms {
			s.arms[a].metrics[i].cats = moveRows(s.arms[a].metrics[i].cats, to, d.rows())
		}
		if s.pairs != nil {
			p := &s.pairs.metrics[i]
			p.liveCats, p.candCats = moveRows(p.liveCats, to, d.rows()), moveRows(p.candCats, to, d.rows())
		}
	}
	moveWords(&t.held, m.held, to)
	moveWords(&t.halves, m.half, to)
	fill(t.texts.cats[m.cat], len(t.texts.cats[m.cat]), -1)
}

func clipAll(names []string) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = clip(n)
	}
	return out
}

func moveRows(rows []counts, to []int, total int) []counts {
	if rows == nil {
		return nil
	}
	out := make([]counts, total)
	for j := range rows {
		if rows[j].lo == nil {
			continue
		}
		r := row(&out, to[j], total)
		for b := range partBins {
			r.add(b, rows[j].at(b))
		}
	}
	return out
}

// moveWords renames the categories in the entries that wait.
func moveWords(w *waiting, at int, to []int) {
	if at < 0 {
		return
	}
	for i := range w.all {
		if w.all[i].at != 0 && w.all[i].present&word(at) != 0 {
			v := &w.wordsOf(uint32(i))[at]
			*v = uint64(to[*v])
		}
	}
}

// cloneBaseline is a deep copy by way of its stored form, so that a tally which was restored from a
// snapshot holds the same.
func cloneBaseline(b *release.Baseline) *release.Baseline {
	data, err := json.Marshal(b)
	if err != nil {
		panic("tally: a baseline that came out of a batch has no JSON form: " + err.Error())
	}
	c := new(release.Baseline)
	if err := json.Unmarshal(data, c); err != nil {
		panic("tally: a baseline can't be read back: " + err.Error())
	}
	return c
}

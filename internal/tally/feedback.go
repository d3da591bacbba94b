package tally

import (
	"math"

	"sluice.dev/sluice/internal/release"
)

// feedback folds one outcome that was told for this release.
func (t *Tally) feedback(f *release.Feedback) {
	bin := int(f.Bin) - t.cfg.Partition*partBins
	if bin < 0 || bin >= partBins || int(f.Arm) >= t.cfg.Arms || f.Stratum == 0 || f.Epoch > maxEpoch {
		t.counters.Malformed++
		return
	}
	name := t.texts.feed(f.Name, t.prog.names)
	used := false
	for _, i := range t.prog.delayed {
		m := &t.prog.metrics[i]
		if m.feed != name {
			continue
		}
		v, ok := t.outcomeWord(m, &f.Value)
		if !ok || f.Exposure == 0 && m.live {
			continue // agree compares with the answer of one exposure, which must be named
		}
		used = true
		if f.Exposure == 0 {
			t.toldByUnit(i, f, bin, v)
		} else {
			t.tell(m, f, bin, v)
		}
	}
	if !used {
		t.counters.Ignored++
	}
}

// outcomeWord is the outcome as a word of an entry: comparable with an answer's for agree, the index
// of a category, or the bits of a number.
func (t *Tally) outcomeWord(m *metric, v *release.Value) (uint64, bool) {
	switch {
	case m.live:
		return t.texts.agreement(v)
	case m.cat >= 0:
		c, ok := t.texts.lookUp(v, &t.dicts[m.cat], t.texts.cats[m.cat])
		return uint64(c), ok
	default:
		y, ok := t.number(m, v)
		return math.Float64bits(y), ok
	}
}

// tell keeps an outcome with its exposure until the exposure is one window old. An outcome that is told by unit under a key
// is kept in the same way from when it was told first: told again within the longest window, it is known. (Without a
// key it is counted at once and each time: two equal outcomes of one unit can't be told from one that is sent twice.)
func (t *Tally) tell(m *metric, f *release.Feedback, bin int, v uint64) {
	if f.Time > f.Exposed+m.window || f.Exposed+m.window <= t.clock {
		t.counters.LateFeedback++
		return
	}
	i, ok := t.heldEntry(f.Exposure, f.Unit, f.Exposed, f.Stratum, bin, f.Arm, f.Epoch)
	if !ok {
		return // thinned, and counted there
	}
	e := &t.held.all[i]
	if e.present&word(m.held) != 0 {
		t.counters.Repeated++
		return
	}
	before := *e
	if f.Exposed == f.Time {
		e.flags |= byUnit // no exposure is waited for
	}
	e.claim(f.Arm)
	if f.Kind == release.ExposureServe {
		e.flags |= isServed
	}
	e.present |= word(m.held)
	t.held.wordsOf(i)[m.held] = v
	t.scorePair(i, &before)
}

// toldByUnit takes in an outcome that names no exposure: it happened when it was told.
func (t *Tally) toldByUnit(i int, f *release.Feedback, bin int, v uint64) {
	s := t.stratumOf(f.Stratum, f.Epoch, f.Kind)
	if s == nil {
		t.counters.Malformed++
		return
	}
	s.version++
	at := place{s: s, arm: f.Arm, bin: bin, unit: t.units.find(f.Unit), epoch: f.Epoch, time: f.Time}
	t.outcome(&entry{}, &at)
	if t.prog.metrics[i].cat >= 0 {
		t.observeCategory(i, &at, int(v))
		return
	}
	t.observe(i, &at, math.Float64frombits(v))
}

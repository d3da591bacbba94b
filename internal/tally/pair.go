package tally

import (
	"math"

	"sluice.dev/sluice/internal/release"
)

// copied folds the discarded answer of a mirrored request.
func (t *Tally) copied(s *stratum, e *release.Exposure, bin int) {
	if !s.known {
		s.epoch = e.Epoch
	}
	t.half(&place{s: s, bin: bin, unit: noUnit}, e, true)
	if len(t.prog.agrees) == 0 {
		return
	}
	i, ok := t.heldEntry(e.ID, e.Unit, e.Time, e.Stratum, bin, 0, e.Epoch)
	if !ok || t.held.all[i].flags&hasCopy != 0 {
		return
	}
	h := &t.held.all[i]
	before := *h
	h.flags |= hasCopy
	t.keepAnswers(i, e, 2)
	t.scorePair(i, &before)
}

// half brings one answer of a mirrored request; when the other is there, the pair is compared. from says where it belongs,
// and in which segments live's request was.
func (t *Tally) half(from *place, e *release.Exposure, isCopy bool) {
	s, segs := from.s, from.segs
	if from.segment {
		segs = 0 // what is served is shown, not its copies
	}
	i, ok := t.halves.get(e.ID)
	if !ok {
		t.keepHalf(e, from.bin, segs, isCopy)
		return
	}
	h := &t.halves.all[i]
	if (h.flags&isCopySide != 0) == isCopy {
		return // the same half again
	}
	p := s.pair(len(t.prog.metrics))
	p.complete++
	at := place{s: s, bin: from.bin, unit: noUnit, segs: h.segs | segs, single: (h.flags&isSingle != 0) || e.Flags&release.FlagPerRequest != 0}
	if !at.single {
		at.unit = t.units.find(e.Unit)
	}
	t.countSegments(&at, 0)
	t.countSegments(&at, 1)
	words := t.halves.wordsOf(i)
	for _, j := range t.prog.immediate {
		m := &t.prog.metrics[j]
		v, ok := t.halfWord(m, e)
		if !ok || h.present&word(m.half) == 0 {
			continue
		}
		live, cand := words[m.half], v
		if !isCopy {
			live, cand = v, words[m.half]
		}
		t.comparePair(j, &p.metrics[j], &at, live, cand)
	}
	t.halves.remove(i)
}

func (s *stratum) pair(metrics int) *pairSums {
	if s.pairs == nil {
		s.pairs = &pairSums{metrics: make([]pairMetricSums, metrics)}
	}
	return s.pairs
}

func (t *Tally) keepHalf(e *release.Exposure, bin int, segs uint64, isCopy bool) {
	due := e.Time + t.prog.pairWait
	if due <= t.clock {
		t.counters.Unpaired++
		return
	}
	i, ok, dropped := t.halves.add(e.ID, due)
	t.counters.Thinned += dropped
	if !ok {
		return
	}
	h := &t.halves.all[i]
	h.segs = segs
	h.unit, h.exposed, h.stratum, h.bin, h.arm, h.epoch = e.Unit, e.Time, e.Stratum, uint8(bin), e.Arm, e.Epoch
	if isCopy {
		h.flags |= isCopySide
	}
	if e.Flags&release.FlagPerRequest != 0 {
		h.flags |= isSingle
	}
	words := t.halves.wordsOf(i)
	for _, j := range t.prog.immediate {
		m := &t.prog.metrics[j]
		if v, ok := t.halfWord(m, e); ok {
			words[m.half] = v
			h.present |= word(m.half)
		}
	}
}

// halfWord is one answer's value of a metric: the index of a category or the bits of a number.
func (t *Tally) halfWord(m *metric, e *release.Exposure) (uint64, bool) {
	if m.cat >= 0 {
		c, ok := t.category(m, e)
		return uint64(c), ok
	}
	y, ok := t.value(m, e)
	return math.Float64bits(y), ok
}

// comparePair adds one metric of a pair; the values are words as halfWord makes them.
func (t *Tally) comparePair(j int, p *pairMetricSums, at *place, liveWord, candWord uint64) {
	m := &t.prog.metrics[j]
	if m.cat >= 0 {
		rows := t.dicts[m.cat].rows()
		p.observe(at.bin, 0, 0)
		row(&p.liveCats, int(liveWord), rows).inc(at.bin)
		row(&p.candCats, int(candWord), rows).inc(at.bin)
		return
	}
	live, cand := math.Float64frombits(liveWord), math.Float64frombits(candWord)
	liveEvent, candEvent := live == 1, cand == 1
	switch m.kind {
	case release.MetricLatency:
		liveEvent, candEvent = t.compareLatency(j, p, at, uint32(live), uint32(cand))
		live, cand = live/1000, cand/1000
	case release.MetricMean:
		if c := t.caps[j]; c > 0 {
			live, cand = min(live, c), min(cand, c)
		}
		liveEvent, candEvent = false, false
	case release.MetricEvent, release.MetricProportion, release.MetricCategory:
	}
	p.observe(at.bin, live, cand)
	t.observeSegments(j, at, 0, live, live*live)
	t.observeSegments(j, at, 1, cand, (cand-live)*(cand-live))
	if m.event >= 0 && liveEvent != candEvent {
		t.discordant(m, p, at, liveEvent)
	}
}

func (t *Tally) compareLatency(j int, p *pairMetricSums, at *place, live, cand uint32) (liveTail, candTail bool) {
	if p.liveHist == nil {
		p.liveHist, p.candHist = newHist(LatencyBuckets), newHist(LatencyBuckets)
	}
	p.liveHist.add(Bucket(live), 1)
	p.candHist.add(Bucket(cand), 1)
	limits := t.limits[j]
	if k := t.asked[j]; k >= 0 {
		if d := int32(indicator(cand > limits[k].X)) - int32(indicator(live > limits[k].X)); d != 0 {
			if p.overLive == nil {
				p.overLive = make([]int32, partBins)
			}
			p.overLive[at.bin] += d
		}
	}
	for k := range limits {
		l := int32(indicator(live > limits[k].X))
		if d := int32(indicator(cand > limits[k].Tolerate)) - l; d != 0 {
			diffRow(&p.over, k, len(limits))[at.bin] += d
		}
		if d := int32(indicator(cand > limits[k].Margin)) - l; d != 0 {
			diffRow(&p.overMargin, k, len(limits))[at.bin] += d
		}
	}
	if t.tail[j] < 0 {
		return false, false
	}
	x := limits[t.tail[j]]
	return live > x.X, cand > x.Tolerate
}

// discordant counts a unit at its first pair whose answers differ in the event (R8).
func (t *Tally) discordant(m *metric, p *pairMetricSums, at *place, liveOnly bool) {
	if !at.single {
		if at.unit < 0 || t.units.all[at.unit].pairs&(1<<m.event) != 0 {
			return
		}
		t.units.all[at.unit].pairs |= 1 << m.event
	}
	if liveOnly {
		p.liveOnly++
	} else {
		p.candOnly++
	}
}

// scorePair compares both answers with the outcome as soon as all three are there: one outcome judges
// both answers, so its delay favours neither and no window is needed. before is the entry as it was
// before the latest of them came.
func (t *Tally) scorePair(i uint32, before *entry) {
	e := &t.held.all[i]
	if e.flags&(hasExposure|hasCopy) != hasExposure|hasCopy || len(t.prog.agrees) == 0 {
		return
	}
	s := t.stratumOf(e.stratum, e.epoch, release.ExposureWouldBe)
	if s == nil {
		return
	}
	wasBoth := before.flags&(hasExposure|hasCopy) == hasExposure|hasCopy
	at := place{s: s, bin: int(e.bin), unit: noUnit, single: e.flags&isSingle != 0}
	if e.flags&isServed == 0 {
		at.segs = e.segs
	}
	if !at.single {
		at.unit = t.units.find(e.unit)
	}
	words := t.held.wordsOf(i)
	wasAll, isAll := wasBoth, true
	for _, j := range t.prog.agrees {
		m := &t.prog.metrics[j]
		told, wasTold := e.present&word(m.held) != 0, before.present&word(m.held) != 0
		wasAll, isAll = wasAll && wasTold, isAll && told
		if !told || wasBoth && wasTold {
			continue
		}
		live, cand := indicator(agrees(e, words, m, 1)), indicator(agrees(e, words, m, 2))
		t.comparePair(j, &s.pair(len(t.prog.metrics)).metrics[j], &at, math.Float64bits(live), math.Float64bits(cand))
	}
	if isAll && !wasAll {
		s.version++
		s.pair(len(t.prog.metrics)).scored++
	}
}

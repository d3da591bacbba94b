package tally

import (
	"math"
	"slices"

	"sluice.dev/sluice/internal/release"
)

func (w *writer) stratum(s *stratum) {
	w.uint(uint64(s.id))
	w.byte(s.epoch)
	w.byte(byte(s.kind))
	w.bool(s.known)
	w.byte(s.level)
	for a := range s.arms {
		x := &s.arms[a]
		for _, n := range [...]uint64{x.exposures, x.units, x.newUnits, x.outcomes, x.seen, x.dropped} {
			w.uint(n)
		}
		for m := range x.metrics {
			w.metric(&x.metrics[m])
		}
	}
	w.segments(s.segments)
	w.bool(s.pairs != nil)
	if s.pairs == nil {
		return
	}
	w.uint(s.pairs.complete)
	w.uint(s.pairs.scored)
	for m := range s.pairs.metrics {
		w.pair(&s.pairs.metrics[m])
	}
}

func (w *writer) metric(m *metricSums) {
	w.counts(&m.n)
	w.floats(m.y)
	w.float(m.sumSq)
	w.uint(m.rawN)
	w.float(m.rawY)
	for _, n := range [...]uint64{m.first, m.ever, m.closed, m.with} {
		w.uint(n)
	}
	w.rows(m.over)
	w.rows(m.overMargin)
	w.counts(&m.overLive)
	w.rows(m.cats)
	w.hist(m.hist)
}

func (w *writer) pair(p *pairMetricSums) {
	w.counts(&p.n)
	w.floats(p.d)
	for _, x := range [...]float64{p.sumSq, p.liveY, p.candY, p.liveSumSq} {
		w.float(x)
	}
	w.uint(p.liveOnly)
	w.uint(p.candOnly)
	w.diffs(p.over)
	w.diffs(p.overMargin)
	w.diff(p.overLive)
	w.hist(p.liveHist)
	w.hist(p.candHist)
	w.rows(p.liveCats)
	w.rows(p.candCats)
}

func (t *Tally) readStrata(r *reader) {
	t.strata, t.last = nil, nil
	for range r.len(maxStrata, 8) {
		s := newStratum(uint16(r.atMost(math.MaxUint16)), r.byte(), release.ExposureKind(r.atMost(uint64(release.ExposureCopy))), t.cfg.Arms, len(t.prog.metrics))
		s.known, s.level = r.bool(), byte(r.atMost(64))
		for a := range s.arms {
			x := &s.arms[a]
			for _, n := range [...]*uint64{&x.exposures, &x.units, &x.newUnits, &x.outcomes, &x.seen, &x.dropped} {
				*n = r.uint()
			}
			for m := range x.metrics {
				t.readMetric(r, m, &x.metrics[m])
			}
		}
		s.segments = t.readSegments(r)
		if r.bool() {
			p := s.pair(len(t.prog.metrics))
			p.complete, p.scored = r.uint(), r.uint()
			for m := range p.metrics {
				t.readPair(r, m, &p.metrics[m])
			}
		}
		if s.id == 0 || len(t.strata) > 0 && t.strata[len(t.strata)-1].id >= s.id {
			r.fail()
		}
		if r.bad {
			return
		}
		t.strata = append(t.strata, s)
	}
}

// rowsOf is how many rows metric i's categories have.
func (t *Tally) rowsOf(i int) int {
	if c := t.prog.metrics[i].cat; c >= 0 {
		return t.dicts[c].rows()
	}
	return 0
}

func (t *Tally) readMetric(r *reader, i int, m *metricSums) {
	m.n, m.y = r.counts(), r.floats()
	if (m.n.lo == nil) != (m.y == nil) {
		r.fail()
	}
	m.sumSq, m.rawN, m.rawY = r.float(), r.uint(), r.float()
	for _, n := range [...]*uint64{&m.first, &m.ever, &m.closed, &m.with} {
		*n = r.uint()
	}
	m.over, m.overMargin = r.rows(len(t.limits[i])), r.rows(len(t.limits[i]))
	m.overLive = r.counts()
	m.cats = r.rows(t.rowsOf(i))
	buckets := LatencyBuckets
	if t.prog.metrics[i].kind == release.MetricMean {
		buckets = ValueBuckets
	}
	m.hist = r.hist(buckets)
}

func (t *Tally) readPair(r *reader, i int, p *pairMetricSums) {
	p.n, p.d = r.counts(), r.floats()
	if (p.n.lo == nil) != (p.d == nil) {
		r.fail()
	}
	for _, x := range [...]*float64{&p.sumSq, &p.liveY, &p.candY, &p.liveSumSq} {
		*x = r.float()
	}
	p.liveOnly, p.candOnly = r.uint(), r.uint()
	p.over, p.overMargin = r.diffs(len(t.limits[i])), r.diffs(len(t.limits[i]))
	p.overLive = r.diff()
	p.liveHist, p.candHist = r.hist(LatencyBuckets), r.hist(LatencyBuckets)
	p.liveCats, p.candCats = r.rows(t.rowsOf(i)), r.rows(t.rowsOf(i))
}

// units writes the set by ascending hash, and the open records with their units' ranks in that order.
func (w *writer) units(s *units) {
	w.byte(s.level)
	w.int(s.base)
	order := s.order()
	rank := make([]uint32, len(order))
	w.len(len(order))
	var last uint64
	for k, i := range order {
		u := &s.all[i]
		rank[i] = uint32(k)
		w.uint(u.hash - last)
		last = u.hash
		w.uint(uint64(u.stratum))
		w.uint(uint64(u.first))
		w.byte(u.arm<<1 | byte(indicator(u.outcome)))
		w.uint(uint64(u.window))
		w.uint(uint64(u.pairs))
		w.b = append(w.b, s.epochsOf(int(i))...)
	}
	q := &s.queue
	if len(q.heads) == 0 {
		return
	}
	front := slices.Min(q.heads)
	open := q.records[front-q.front:]
	for _, h := range q.heads {
		w.uint(h - front)
	}
	w.len(len(open))
	at := int64(0)
	for i := range open {
		w.int(open[i].at - at)
		at = open[i].at
		w.uint(uint64(open[i].stratum))
		if open[i].unit == gone {
			w.uint(0)
		} else {
			w.uint(uint64(rank[open[i].unit]) + 1)
		}
	}
}

func (t *Tally) readUnits(r *reader) {
	s := newUnits(t.cfg.Limits.Units, t.prog.events, len(t.prog.closings))
	s.level, s.base = byte(r.atMost(63)), r.int()
	n := r.len(math.MaxUint16-1, 7+t.prog.events)
	s.all = make([]unit, n, max(n, 16))
	s.epochs = make([]uint8, n*s.events)
	var last uint64
	for i := range s.all {
		u := &s.all[i]
		d := r.uint()
		if i > 0 && (d == 0 || last+d < last) {
			r.fail()
			return
		}
		last += d
		u.hash, u.stratum, u.first = last, uint16(r.atMost(math.MaxUint16)), uint32(r.atMost(math.MaxUint32))
		b := r.byte()
		u.arm, u.outcome = b>>1, b&1 == 1
		u.window, u.pairs = uint32(r.atMost(math.MaxUint32)), uint32(r.atMost(math.MaxUint32))
		if int(u.arm) >= t.cfg.Arms || len(r.b) < s.events {
			r.fail()
			return
		}
		r.b = r.b[copy(s.epochsOf(i), r.b):]
	}
	for len(s.all)*4 > len(s.index)*3 {
		s.index = make([]uint16, 2*len(s.index))
	}
	s.reindex()
	t.readQueue(r, &s)
	t.units = s
}

func (t *Tally) readQueue(r *reader, s *units) {
	q := &s.queue
	if len(q.heads) == 0 {
		return
	}
	for i := range q.heads {
		q.heads[i] = r.atMost(maxQueue)
	}
	q.records = make([]opened, r.len(maxQueue, 3))
	at := int64(0)
	for i := range q.records {
		at += r.int()
		o := opened{at: at, stratum: uint16(r.atMost(math.MaxUint16)), unit: gone}
		if k := r.atMost(uint64(len(s.all))); k > 0 {
			o.unit = uint32(k - 1)
		}
		_, known := slices.BinarySearchFunc(t.strata, o.stratum, func(x *stratum, id uint16) int { return int(x.id) - int(id) })
		if !known || i > 0 && at < q.records[i-1].at {
			r.fail()
			return
		}
		q.records[i] = o
	}
	if slices.Max(q.heads) > uint64(len(q.records)) {
		r.fail()
	}
}

// waiting writes what waits, by ascending id.
func (w *writer) waiting(x *waiting) {
	w.byte(x.level)
	order := slices.Clone(x.heap)
	slices.SortFunc(order, func(a, b uint32) int {
		if x.all[a].id < x.all[b].id {
			return -1
		}
		return 1
	})
	w.len(len(order))
	var last uint64
	for _, i := range order {
		e := &x.all[i]
		w.uint(e.id - last)
		last = e.id
		w.fixed(e.unit)
		w.int(e.exposed)
		w.int(e.due - e.exposed)
		w.uint(e.segs)
		w.uint(uint64(e.stratum))
		w.b = append(w.b, e.bin, e.arm, e.epoch, e.flags, e.stage)
		w.uint(e.present)
		words := x.wordsOf(i)
		for k := range words {
			if e.present&word(k) != 0 {
				w.fixed(words[k])
			}
		}
	}
}

func (t *Tally) readWaiting(r *reader, x *waiting, isHeld bool) {
	*x = newWaiting(x.most, x.words)
	x.level = byte(r.atMost(63))
	n := r.len(maxEntries, 20)
	var last uint64
	for k := range n {
		d := r.uint()
		if k > 0 && (d == 0 || last+d < last) {
			r.fail()
			return
		}
		last += d
		e := entry{id: last, unit: r.fixed(), exposed: r.int()}
		e.due = e.exposed + r.int()
		e.segs, e.stratum = r.uint(), uint16(r.atMost(math.MaxUint16))
		e.bin, e.arm, e.epoch, e.flags, e.stage = r.byte(), r.byte(), r.byte(), r.byte(), r.byte()
		e.present = r.uint()
		if int(e.bin) >= partBins || int(e.arm) >= t.cfg.Arms || e.epoch > maxEpoch || e.stratum == 0 ||
			isHeld && int(e.stage) >= len(t.prog.windows) || x.words < 64 && e.present>>x.words != 0 || !t.segsFit(e.segs) || r.bad {
			r.fail()
			return
		}
		i := x.restore(e)
		words := x.wordsOf(i)
		for k := range words {
			if e.present&word(k) != 0 {
				words[k] = r.fixed()
			}
		}
		if !t.wordsFit(isHeld, &e, words) {
			r.fail()
			return
		}
	}
}

// restore puts an entry back as it was.
func (w *waiting) restore(e entry) uint32 {
	i := uint32(len(w.all))
	w.all = append(w.all, e)
	for range w.words {
		w.data = append(w.data, 0)
	}
	w.put(i)
	w.heap = append(w.heap, i)
	w.all[i].at = uint32(len(w.heap))
	w.up(len(w.heap) - 1)
	return i
}

// segsFit says whether packed segment values exist.
func (t *Tally) segsFit(segs uint64) bool {
	for i := range maxSegments {
		v := int(segs >> (8 * i) & 0xff)
		if v > 0 && (i >= len(t.segments) || v > t.segments[i].rows()) {
			return false
		}
	}
	return true
}

// wordsFit says whether the words of an entry can be taken into the sums.
func (t *Tally) wordsFit(isHeld bool, e *entry, words []uint64) bool {
	for i := range t.prog.metrics {
		m := &t.prog.metrics[i]
		at := m.half
		if isHeld {
			at = m.held
		}
		if at < 0 || m.live || e.present&word(at) == 0 {
			continue
		}
		if m.cat >= 0 {
			if words[at] >= uint64(t.dicts[m.cat].rows()) {
				return false
			}
		} else if v := math.Float64frombits(words[at]); math.IsNaN(v) || math.IsInf(v, 0) {
			return false
		}
	}
	return true
}

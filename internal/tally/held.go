package tally

import (
	"math"

	"sluice.dev/sluice/internal/release"
)

// Flags of a held entry.
const (
	hasExposure uint8 = 1 << iota // the arm's own answer is there
	hasCopy                       // the mirrored answer is there
	isSingle                      // the request named no unit
	isServed                      // counts for segments
	hadOutcome                    // a request without unit: its outcome was counted
	isCopySide                    // half pairs: the half that is there is the copy's
	byUnit                        // the outcome names a unit and a key, no exposure
	armKnown                      // arm is the unit's; an entry that a copy made doesn't know it yet
)

// entry is what is held under one exposure id until its outcome, or the other half of its pair, is
// there or no longer waited for.
type entry struct {
	id, unit uint64
	exposed  int64  // ms
	due      int64  // ms: when something is to be done about it next
	present  uint64 // which words hold something, by bit
	segs     uint64
	stratum  uint16
	bin      uint8
	arm      uint8
	epoch    uint8
	flags    uint8
	stage    uint8  // index of the next window that will be over
	at       uint32 // place in the heap plus one; 0: the entry is free
}

// waiting is a bounded set of entries by id, with a heap by (due, id): what is due comes out in an
// order that does not depend on how it came in.
type waiting struct {
	most, words int
	level       uint8 // ids above 2^(64-level), mixed, are not held
	all         []entry
	data        []uint64 // words of entry i: data[i*words : (i+1)*words]
	free        []uint32
	index       []uint32 // open addressing: place in all plus one; a power of two long
	heap        []uint32
}

func newWaiting(most, words int) waiting {
	return waiting{most: most, words: words, index: make([]uint32, 64)}
}

func (w *waiting) len() int { return len(w.heap) }

func (w *waiting) wordsOf(i uint32) []uint64 {
	return w.data[int(i)*w.words : (int(i)+1)*w.words]
}

// get returns the entry of that id.
func (w *waiting) get(id uint64) (uint32, bool) {
	mask := uint64(len(w.index) - 1)
	for at := mix(id) & mask; w.index[at] != 0; at = (at + 1) & mask {
		if i := w.index[at] - 1; w.all[i].id == id {
			return i, true
		}
	}
	return 0, false
}

// put enters an entry into the index, which is never more than three quarters full.
func (w *waiting) put(i uint32) {
	if len(w.heap)*4 >= len(w.index)*3 {
		old := w.index
		w.index = make([]uint32, 2*len(old))
		for _, x := range old {
			if x != 0 {
				w.place(x - 1)
			}
		}
	}
	w.place(i)
}

func (w *waiting) place(i uint32) {
	mask := uint64(len(w.index) - 1)
	at := mix(w.all[i].id) & mask
	for w.index[at] != 0 {
		at = (at + 1) & mask
	}
	w.index[at] = i + 1
}

// forget takes an entry out of the index and moves back what lies behind it, so that no search ends early (Knuth 6.4, R).
func (w *waiting) forget(i uint32) {
	mask := uint64(len(w.index) - 1)
	hole := mix(w.all[i].id) & mask
	for w.index[hole] != i+1 {
		hole = (hole + 1) & mask
	}
	for at := (hole + 1) & mask; w.index[at] != 0; at = (at + 1) & mask {
		home := mix(w.all[w.index[at]-1].id) & mask
		if (at-home)&mask >= (at-hole)&mask {
			w.index[hole] = w.index[at]
			hole = at
		}
	}
	w.index[hole] = 0
}

// add makes an entry that is due at that time. It is refused, or others are dropped, when too many
// wait: those whose mixed id lies above a limit that halves. dropped counts both.
func (w *waiting) add(id uint64, due int64) (i uint32, ok bool, dropped uint64) {
	for under(id, w.level) && len(w.heap) >= w.most {
		w.level++
		dropped += w.dropAbove()
	}
	if !under(id, w.level) {
		return 0, false, dropped + 1
	}
	if n := len(w.free); n > 0 {
		i = w.free[n-1]
		w.free = w.free[:n-1]
	} else {
		i = uint32(len(w.all))
		w.all = append(w.all, entry{})
		for range w.words {
			w.data = append(w.data, 0)
		}
	}
	w.all[i] = entry{id: id, due: due}
	clear(w.wordsOf(i))
	w.put(i)
	w.heap = append(w.heap, i)
	w.all[i].at = uint32(len(w.heap))
	w.up(len(w.heap) - 1)
	return i, true, dropped
}

// dropAbove removes what lies above the limit.
func (w *waiting) dropAbove() uint64 {
	before := len(w.heap)
	for i := range w.all {
		if w.all[i].at != 0 && !under(w.all[i].id, w.level) {
			w.remove(uint32(i))
		}
	}
	return uint64(before - len(w.heap))
}

// relax widens the limit again once there is plenty of room.
func (w *waiting) relax() {
	if w.level > 0 && len(w.heap) < w.most/4 {
		w.level--
	}
}

func (w *waiting) remove(i uint32) {
	at := int(w.all[i].at) - 1
	last := len(w.heap) - 1
	w.swap(at, last)
	w.heap = w.heap[:last]
	if at < last {
		w.fix(at)
	}
	w.forget(i)
	w.all[i] = entry{}
	w.free = append(w.free, i)
}

// reschedule sets a later due time.
func (w *waiting) reschedule(i uint32, due int64) {
	w.all[i].due = due
	w.fix(int(w.all[i].at) - 1)
}

// top returns the entry that is due first.
func (w *waiting) top() (uint32, int64) {
	if len(w.heap) == 0 {
		return 0, math.MaxInt64
	}
	return w.heap[0], w.all[w.heap[0]].due
}

func (w *waiting) less(a, b int) bool {
	x, y := &w.all[w.heap[a]], &w.all[w.heap[b]]
	if x.due != y.due {
		return x.due < y.due
	}
	return x.id < y.id
}

func (w *waiting) swap(a, b int) {
	w.heap[a], w.heap[b] = w.heap[b], w.heap[a]
	w.all[w.heap[a]].at, w.all[w.heap[b]].at = uint32(a+1), uint32(b+1)
}

func (w *waiting) fix(at int) {
	if !w.up(at) {
		w.down(at)
	}
}

func (w *waiting) up(at int) (moved bool) {
	for at > 0 {
		parent := (at - 1) / 2
		if !w.less(at, parent) {
			break
		}
		w.swap(at, parent)
		at, moved = parent, true
	}
	return moved
}

func (w *waiting) down(at int) {
	for {
		child := 2*at + 1
		if child >= len(w.heap) {
			return
		}
		if child+1 < len(w.heap) && w.less(child+1, child) {
			child++
		}
		if !w.less(child, at) {
			return
		}
		w.swap(at, child)
		at = child
	}
}

// stageAt returns the first window of an exposure that is not over yet at the log's time that was
// drained; len(windows) if all are.
func (t *Tally) stageAt(exposed int64) int {
	for i, w := range t.prog.windows {
		if exposed+w > t.clock {
			return i
		}
	}
	return len(t.prog.windows)
}

// heldEntry returns the entry of an exposure id, making it if something is still to come of it.
func (t *Tally) heldEntry(id, unit uint64, exposed int64, stratum uint16, bin int, arm, epoch uint8) (uint32, bool) {
	if i, ok := t.held.get(id); ok {
		return i, true
	}
	stage := t.stageAt(exposed)
	if stage == len(t.prog.windows) {
		return 0, false
	}
	i, ok, dropped := t.held.add(id, exposed+t.prog.windows[stage])
	t.counters.Thinned += dropped
	if !ok {
		return 0, false
	}
	e := &t.held.all[i]
	e.unit, e.exposed, e.stratum, e.bin, e.arm, e.epoch = unit, exposed, stratum, uint8(bin), arm, epoch
	e.stage = uint8(stage)
	return i, true
}

// hold keeps an exposure's answer until its outcome has come or its windows are over.
func (t *Tally) hold(x *release.Exposure, bin int, segs uint64) {
	if t.stageAt(x.Time) > 0 {
		t.counters.LateExposures++
	}
	i, ok := t.heldEntry(x.ID, x.Unit, x.Time, x.Stratum, bin, x.Arm, x.Epoch)
	if !ok || t.held.all[i].flags&hasExposure != 0 {
		return
	}
	e := &t.held.all[i]
	before := *e
	e.claim(x.Arm)
	e.flags |= hasExposure
	if x.Flags&release.FlagPerRequest != 0 {
		e.flags |= isSingle
	}
	if x.Kind == release.ExposureServe {
		e.flags |= isServed
	}
	e.segs = segs
	t.keepAnswers(i, x, 1)
	t.scorePair(i, &before)
}

// claim says which arm the unit is on. The first who knows is believed: the copy of a request may be
// recorded before the request itself and knows nothing of it.
func (e *entry) claim(arm uint8) {
	if e.flags&armKnown == 0 {
		e.arm = arm
		e.flags |= armKnown
	}
}

// keepAnswers stores what the answer says for each agree metric; side 1 is the arm's, 2 the copy's.
func (t *Tally) keepAnswers(i uint32, x *release.Exposure, side int) {
	words := t.held.wordsOf(i)
	for _, j := range t.prog.agrees {
		m := &t.prog.metrics[j]
		if m.signal < 0 || m.signal >= int(x.N) {
			continue
		}
		if v, ok := t.texts.agreement(&x.Values[m.signal]); ok {
			words[m.held+side] = v
			t.held.all[i].present |= word(m.held + side)
		}
	}
}

// agrees says whether the answer of that side equals the outcome; an answer that is missing does not.
func agrees(e *entry, words []uint64, m *metric, side int) bool {
	return e.present&word(m.held+side) != 0 && words[m.held+side] == words[m.held]
}

// mature takes in everything that is due at the log's time now.
func (t *Tally) mature(now int64) {
	for {
		i, due := t.held.top()
		if due > now {
			break
		}
		t.enter(i)
	}
	for {
		i, due := t.halves.top()
		if due > now {
			break
		}
		t.halves.remove(i)
		t.counters.Unpaired++
	}
	t.held.relax()
	t.halves.relax()
}

// enter takes an entry's outcomes of one window into the bins (R7).
func (t *Tally) enter(i uint32) {
	e := &t.held.all[i]
	window := t.prog.windows[e.stage]
	if s := t.stratumOf(e.stratum, e.epoch, release.ExposureServe); s != nil {
		s.version++
		at := place{
			s: s, arm: e.arm, bin: int(e.bin), unit: noUnit, epoch: e.epoch, time: e.exposed,
			single: e.flags&isSingle != 0, segment: e.flags&isServed != 0, segs: e.segs,
		}
		if !at.single {
			at.unit = t.units.find(e.unit)
			if at.unit < 0 && e.flags&(hasExposure|byUnit) != byUnit && t.prog.perRequest && under(e.unit, t.units.level) {
				at.single = true // every unit below the limit that showed up by name is in the set
			}
		}
		for _, j := range t.prog.delayed {
			if t.prog.metrics[j].window == window {
				t.enterMetric(j, i, &at)
			}
		}
	}
	e.stage++
	if int(e.stage) < len(t.prog.windows) {
		t.held.reschedule(i, e.exposed+t.prog.windows[e.stage])
		return
	}
	t.held.remove(i)
}

func (t *Tally) enterMetric(j int, i uint32, at *place) {
	m, e, words := &t.prog.metrics[j], &t.held.all[i], t.held.wordsOf(i)
	told := e.present&word(m.held) != 0
	if (m.live || m.zero && (!told || e.flags&byUnit == 0)) && e.flags&hasExposure == 0 || !told && !m.zero {
		return
	}
	if told {
		t.outcome(e, at)
	}
	switch {
	case m.live:
		t.observe(j, at, indicator(told && agrees(e, words, m, 1)))
	case m.cat >= 0:
		if told {
			t.observeCategory(j, at, int(words[m.held]))
		}
	case told:
		t.observe(j, at, math.Float64frombits(words[m.held]))
	default:
		t.observe(j, at, 0)
	}
}

// outcome counts a unit at its first outcome.
func (t *Tally) outcome(e *entry, at *place) {
	switch {
	case at.single:
		if e.flags&hadOutcome == 0 {
			e.flags |= hadOutcome
			at.s.arms[at.arm].outcomes++
		}
	case at.unit >= 0 && !t.units.all[at.unit].outcome:
		t.units.all[at.unit].outcome = true
		at.s.arms[at.arm].outcomes++
	}
}

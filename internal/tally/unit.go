package tally

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// unit is what is remembered of one unit since the release began.
type unit struct {
	hash    uint64
	first   uint32 // time of its first exposure in its stratum, in ticks since the tally's base
	window  uint32 // event metrics that happened in its window there (R3), by bit
	pairs   uint32 // metrics whose first discordant pair was counted (R8), by bit
	stratum uint16 // the latest stratum in which it was exposed; 0: none
	arm     uint8  // there
	outcome bool   // its first outcome was counted
}

// tick is the resolution of a unit's window, in ms: 2^32 ticks are two years.
const tick = 16

// units is a set of at most `most` units. It holds those whose mixed hash lies under a limit that
// halves whenever the set is full. What was counted stays counted: the new limit only filters what
// comes first later, and since no outcome can influence a hash, that favours no arm (rule R1).
type units struct {
	most  int
	level uint8  // the limit is 2^(64-level)
	base  int64  // time of tick 0, ms
	all   []unit // dense
	// epochs holds for each unit and event metric the epoch of its latest counted event plus one; 0: none.
	epochs []uint8
	events int
	index  []uint16 // open addressing: place in all plus one; a power of two long
	queue  closings
}

func newUnits(most, events, classes int) units {
	return units{most: most, events: events, index: make([]uint16, 64), queue: closings{heads: make([]uint64, classes)}}
}

func (s *units) len() int { return len(s.all) }

func under(hash uint64, level uint8) bool { return mix(hash) <= math.MaxUint64>>level }

// find returns the unit's place, -1 if it is not in the set.
func (s *units) find(hash uint64) int {
	mask := uint64(len(s.index) - 1)
	for at := mix(hash) & mask; ; at = (at + 1) & mask {
		i := int(s.index[at])
		if i == 0 {
			return -1
		}
		if s.all[i-1].hash == hash {
			return i - 1
		}
	}
}

// touch returns the unit's place, adding it if it is new; -1 if it is above the limit.
func (s *units) touch(hash uint64) (place int, isNew bool) {
	if i := s.find(hash); i >= 0 {
		return i, false
	}
	if !under(hash, s.level) {
		return -1, false
	}
	for len(s.all) >= s.most {
		s.thin()
		if !under(hash, s.level) {
			return -1, false
		}
	}
	s.all = append(s.all, unit{hash: hash})
	for range s.events {
		s.epochs = append(s.epochs, 0)
	}
	if len(s.all)*4 > len(s.index)*3 {
		s.index = make([]uint16, 2*len(s.index))
		s.reindex()
	} else {
		s.put(len(s.all) - 1)
	}
	return len(s.all) - 1, true
}

func (s *units) put(i int) {
	mask := uint64(len(s.index) - 1)
	at := mix(s.all[i].hash) & mask
	for s.index[at] != 0 {
		at = (at + 1) & mask
	}
	s.index[at] = uint16(i + 1)
}

func (s *units) reindex() {
	clear(s.index)
	for i := range s.all {
		s.put(i)
	}
}

// thin halves the limit and forgets the units above it.
func (s *units) thin() {
	s.level++
	moved := make([]uint32, len(s.all))
	kept := 0
	for i := range s.all {
		moved[i] = gone
		if !under(s.all[i].hash, s.level) {
			continue
		}
		moved[i] = uint32(kept)
		s.all[kept] = s.all[i]
		copy(s.epochsOf(kept), s.epochsOf(i))
		kept++
	}
	s.all = s.all[:kept]
	s.epochs = s.epochs[:kept*s.events]
	s.reindex()
	s.queue.move(moved)
}

func (s *units) epochsOf(i int) []uint8 { return s.epochs[i*s.events : (i+1)*s.events] }

// ticks is a time in ticks since the base, clamped to what fits.
func (s *units) ticks(ms int64) uint32 {
	return uint32(max(0, min((ms-s.base)/tick, math.MaxUint32)))
}

// inWindow says whether a time lies within window ms of the unit's first exposure in its stratum.
func (s *units) inWindow(u *unit, ms, window int64) bool {
	return ms-(s.base+int64(u.first)*tick) <= window
}

// order returns the places of the units by ascending hash: the order in which they are stored. Hashes are spread evenly, so most of
// the work is to deal them out by their leading bits; whatever they are, the order is right.
func (s *units) order() []uint32 {
	shift := 64 - bits.Len(uint(len(s.all)))
	ends := make([]uint32, 1<<(64-shift)+1) // of the hashes with fewer leading bits, then of those with the same
	for i := range s.all {
		ends[s.all[i].hash>>shift+1]++
	}
	for i := 1; i < len(ends); i++ {
		ends[i] += ends[i-1]
	}
	order := make([]uint32, len(s.all))
	for i := range s.all {
		b := s.all[i].hash >> shift
		order[ends[b]] = uint32(i)
		ends[b]++
	}
	begin := uint32(0)
	for _, end := range ends[:len(ends)-1] {
		if end-begin > 1 {
			slices.SortFunc(order[begin:end], func(a, b uint32) int { return cmp.Compare(s.all[a].hash, s.all[b].hash) })
		}
		begin = end
	}
	return order
}

// closings is the queue of units' records (R3) by the log's time at which they opened. Each class of
// metrics closes its part of a record after a delay of its own.
type closings struct {
	records []opened
	front   uint64   // absolute number of records[0]
	heads   []uint64 // by class: absolute number of the next record to close
}

type opened struct {
	at      int64 // the log's time, ms: never falls along the queue
	unit    uint32
	stratum uint16
}

// gone stands for a unit that the set forgot.
const gone = math.MaxUint32

func (q *closings) push(o opened) { q.records = append(q.records, o) }

func (q *closings) move(moved []uint32) {
	for i := range q.records {
		if u := &q.records[i].unit; *u != gone {
			*u = moved[*u]
		}
	}
}

// trim drops the records that every class has closed.
func (q *closings) trim() {
	if len(q.heads) == 0 {
		q.records = q.records[:0]
		return
	}
	done := int(slices.Min(q.heads) - q.front)
	if done > 64 && done*2 > len(q.records) {
		n := copy(q.records, q.records[done:])
		q.records = q.records[:n]
		q.front += uint64(done)
	}
}

// closeRecords counts, for each class, the units whose records are over at the log's time now.
func (t *Tally) closeRecords(now int64) {
	q := &t.units.queue
	for class, delay := range t.prog.closings {
		for h := &q.heads[class]; *h-q.front < uint64(len(q.records)); *h++ {
			o := &q.records[*h-q.front]
			if o.at+delay > now {
				break
			}
			if o.unit != gone {
				t.closeRecord(class, o)
			}
		}
	}
	q.trim()
}

func (t *Tally) closeRecord(class int, o *opened) {
	u := &t.units.all[o.unit]
	if u.stratum != o.stratum {
		return // it went on to a later stratum before its window was over
	}
	s := t.stratumOf(o.stratum, 0, 0)
	s.version++
	for i := range t.prog.metrics {
		m := &t.prog.metrics[i]
		if m.closing != class || !t.counting(i) || o.at < t.since[i] {
			continue
		}
		sums := &s.arms[u.arm].metrics[i]
		sums.closed++
		if u.window&(1<<m.event) != 0 {
			sums.with++
		}
	}
}

package ingest

import (
	"sync/atomic"

	"sluice.dev/sluice/internal/release"
)

// ring is a bounded queue of exposures with many writers and one reader. A writer never waits: it
// takes a slot by one compare-and-swap or finds the ring full.
//
// Each slot's turn says whose move it is: 2*lap for the writer of that lap, 2*lap+1 for its reader.
// Zeroed memory is a valid empty ring, so pages that were never used are never touched. Most exposures have few signals or none, so
// the values lie apart, the first of all exposures together, and only those that there are get copied: a ring is far larger than a
// cache, each line of it that is written or read costs more than the rest of the work, and each page that was ever used stays.
type ring struct {
	slots  []slot
	values [release.MaxSignals][]release.Value // each of the exposure in the slot of the same number
	_      [64]byte                            // the two ends are written by different cores
	tail   atomic.Uint64
	_      [64]byte
	head   uint64 // the reader's
}

// slot is an exposure without its values.
type slot struct {
	turn atomic.Uint64

	id, unit                       uint64
	time                           int64
	model                          release.ModelKey
	release                        uint32
	latency, ttfb, reqLen, respLen uint32
	stratum, status, bin, flags    uint16
	epoch, arm, n                  uint8
	kind                           release.ExposureKind
	fault                          release.Fault
}

// newRing returns a ring of n slots, rounded up to a power of two.
func newRing(n int) *ring {
	size := 1
	for size < n {
		size <<= 1
	}
	r := &ring{slots: make([]slot, size)}
	for i := range r.values {
		r.values[i] = make([]release.Value, size)
	}
	return r
}

// put copies e into the ring and returns its position; false when the ring is full.
func (r *ring) put(e *release.Exposure) (uint64, bool) {
	size := uint64(len(r.slots))
	for {
		pos := r.tail.Load()
		at := pos & (size - 1)
		s := &r.slots[at]
		want := 2 * (pos / size)
		switch turn := s.turn.Load(); {
		case turn == want:
			if r.tail.CompareAndSwap(pos, pos+1) {
				s.pack(e)
				for i, v := range e.Values[:min(e.N, release.MaxSignals)] {
					r.values[i][at] = v
				}
				s.turn.Store(want + 1)
				return pos, true
			}
		case turn < want:
			return 0, false // the reader is a whole lap behind
		}
		// Another writer took the slot: look at the next.
	}
}

// next moves the oldest exposure out of the ring into into, whose values beyond N keep what they were; false when there is none.
func (r *ring) next(into *release.Exposure) bool {
	size := uint64(len(r.slots))
	at := r.head & (size - 1)
	s := &r.slots[at]
	ready := 2*(r.head/size) + 1
	if s.turn.Load() != ready {
		return false
	}
	s.unpack(into)
	for i := range into.Values[:min(into.N, release.MaxSignals)] {
		into.Values[i] = r.values[i][at]
	}
	s.turn.Store(ready + 1)
	r.head++
	return true
}

func (s *slot) pack(e *release.Exposure) {
	s.id, s.unit, s.time, s.model, s.release = e.ID, e.Unit, e.Time, e.Model, e.Release
	s.latency, s.ttfb, s.reqLen, s.respLen = e.Latency, e.TTFB, e.ReqLen, e.RespLen
	s.stratum, s.status, s.bin, s.flags = e.Stratum, e.Status, e.Bin, e.Flags
	s.epoch, s.arm, s.n, s.kind, s.fault = e.Epoch, e.Arm, e.N, e.Kind, e.Fault
}

func (s *slot) unpack(e *release.Exposure) {
	e.ID, e.Unit, e.Time, e.Model, e.Release = s.id, s.unit, s.time, s.model, s.release
	e.Latency, e.TTFB, e.ReqLen, e.RespLen = s.latency, s.ttfb, s.reqLen, s.respLen
	e.Stratum, e.Status, e.Bin, e.Flags = s.stratum, s.status, s.bin, s.flags
	e.Epoch, e.Arm, e.N, e.Kind, e.Fault = s.epoch, s.arm, s.n, s.kind, s.fault
}

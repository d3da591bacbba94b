package ingest

import (
	"sync/atomic"

	"sluice.dev/sluice/internal/release"
)

// ring is a bounded queue of exposures with many writers and one reader. A writer never waits: it
// takes a slot by one compare-and-swap or finds the ring full.
//
// Each slot's turn says whose move it is: 2*lap for the writer of that lap, 2*lap+1 for its reader.
// Zeroed memory is a valid empty ring, so pages that were never used are never touched.
type ring struct {
	slots []slot
	_     [64]byte // the two ends are written by different cores
	tail  atomic.Uint64
	_     [64]byte
	head  uint64 // the reader's
}

type slot struct {
	turn     atomic.Uint64
	exposure release.Exposure
}

// newRing returns a ring of n slots, rounded up to a power of two.
func newRing(n int) *ring {
	size := 1
	for size < n {
		size <<= 1
	}
	return &ring{slots: make([]slot, size)}
}

// put copies e into the ring and returns its position; false when the ring is full.
func (r *ring) put(e *release.Exposure) (uint64, bool) {
	size := uint64(len(r.slots))
	for {
		pos := r.tail.Load()
		s := &r.slots[pos&(size-1)]
		want := 2 * (pos / size)
		switch turn := s.turn.Load(); {
		case turn == want:
			if r.tail.CompareAndSwap(pos, pos+1) {
				s.exposure = *e
				s.turn.Store(want + 1)
				return pos, true
			}
		case turn < want:
			return 0, false // the reader is a whole lap behind
		}
		// Another writer took the slot: look at the next.
	}
}

// take moves up to len(into) exposures out of the ring and returns how many.
func (r *ring) take(into []release.Exposure) int {
	size := uint64(len(r.slots))
	for n := range into {
		s := &r.slots[r.head&(size-1)]
		ready := 2*(r.head/size) + 1
		if s.turn.Load() != ready {
			return n
		}
		into[n] = s.exposure
		s.turn.Store(ready + 1)
		r.head++
	}
	return len(into)
}

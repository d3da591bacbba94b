package assign

import (
	"math"
	"math/bits"

	"sluice.dev/sluice/internal/release"
)

// live is the index of the arm that serves everybody else.
const live = 0

// MaxIntervals bounds a list of intervals, so that a damaged or hostile one is refused early. A
// release with one candidate has two; each change among several candidates adds at most one per arm.
const MaxIntervals = 4096

// Initial returns the intervals in which live serves all.
func Initial() []Interval { return []Interval{{Last: math.MaxUint64, Arm: live}} }

// Reshape returns intervals that realise the shares (indexed by arm, sum release.Whole), moving the
// fewest units away from what they have in the given intervals: exactly those hash values change
// their arm that some arm must gain, sum over arms of max(0, new - old). Arms that are not named in
// shares lose what they have.
//
// Of an arm that shrinks, a candidate gives up its highest hash values and live its lowest, and an arm
// that grows takes the lowest of what was given up. With one candidate that means: it grows from 0
// upward and shrinks from its end, so the units of a smaller share are a subset of those of a larger.
// With several, each keeps what it has. The result is sorted, complete, merged, and depends on the
// arguments alone; the argument is not changed. Faults are errors of release.KindInvalid.
func Reshape(intervals []Interval, shares []release.Share) ([]Interval, error) {
	if err := Validate(intervals); err != nil {
		return nil, err
	}
	if err := checkShares(shares); err != nil {
		return nil, err
	}
	for arm, s := range shares {
		if s == release.Whole {
			return []Interval{{Last: math.MaxUint64, Arm: uint8(arm)}}, nil
		}
	}
	want := measures(shares)
	kept, freed := trim(segmentsOf(intervals), want)
	// What each arm still lacks is what its segments don't cover yet.
	for _, s := range kept {
		want[s.arm] -= s.last - s.first + 1
	}
	return join(append(kept, hand(freed, want)...)), nil
}

// Measure returns how many hash values a share covers: floor(s * 2^64 / 10^6). A share of
// release.Whole covers 2^64, which is returned as 0: callers treat it apart.
func Measure(s release.Share) uint64 {
	if s >= release.Whole {
		return 0
	}
	q, _ := bits.Div64(uint64(s), 0, uint64(release.Whole))
	return q
}

// ShareOf returns the arm's share of the intervals, to the nearest part per million. It is the exact
// inverse of Reshape: ShareOf(Reshape(x, shares), arm) == shares[arm].
func ShareOf(intervals []Interval, arm uint8) release.Share {
	var hi, lo, carry uint64
	for _, s := range segmentsOf(intervals) {
		if s.arm == arm {
			lo, carry = bits.Add64(lo, s.last-s.first, 0)
			hi += carry
			lo, carry = bits.Add64(lo, 1, 0)
			hi += carry
		}
	}
	if hi > 0 {
		return release.Whole
	}
	part, rest := bits.Mul64(lo, uint64(release.Whole))
	if rest >= 1<<63 {
		part++
	}
	return release.Share(part)
}

// Shares returns the shares of the first n arms.
func Shares(intervals []Interval, n int) []release.Share {
	out := make([]release.Share, n)
	for arm := range out {
		out[arm] = ShareOf(intervals, uint8(arm))
	}
	return out
}

// Validate checks that intervals are sorted, complete and name only possible arms.
func Validate(intervals []Interval) error {
	const op = "check intervals"
	if len(intervals) == 0 || len(intervals) > MaxIntervals {
		return release.Invalid(op, "%d intervals; 1 to %d are possible", len(intervals), MaxIntervals)
	}
	for i, iv := range intervals {
		if iv.Arm >= release.MaxArms {
			return release.Invalid(op, "interval %d names arm %d; arms are 0 to %d", i, iv.Arm, release.MaxArms-1)
		}
		if i > 0 && iv.Last <= intervals[i-1].Last {
			return release.Invalid(op, "interval %d ends at %d, not after its predecessor", i, iv.Last)
		}
	}
	if end := intervals[len(intervals)-1].Last; end != math.MaxUint64 {
		return release.Invalid(op, "the last interval ends at %d, not at 2^64-1", end)
	}
	return nil
}

func checkShares(shares []release.Share) error {
	const op = "check shares"
	if len(shares) == 0 || len(shares) > release.MaxArms {
		return release.Invalid(op, "shares for %d arms; 1 to %d are possible", len(shares), release.MaxArms)
	}
	var sum uint64
	for _, s := range shares {
		sum += uint64(s)
	}
	if sum != uint64(release.Whole) {
		return release.Invalid(op, "shares add up to %d parts per million, not to %d", sum, release.Whole)
	}
	return nil
}

// measures returns by arm how many hash values it shall have; none is the whole. The rest of the
// rounding is live's; if live has nothing, it is the last arm's that has something, so that an arm
// with share 0 never serves anybody.
func measures(shares []release.Share) [release.MaxArms]uint64 {
	var out [release.MaxArms]uint64
	var sum uint64
	taker := live
	for arm, s := range shares {
		out[arm] = Measure(s)
		sum += out[arm]
		if s > 0 && shares[live] == 0 {
			taker = arm
		}
	}
	out[taker] -= sum // modulo 2^64: 2^64 - sum is what is left over
	return out
}

package assign

import (
	"cmp"
	"slices"

	"sluice.dev/sluice/internal/release"
)

// segment is an interval with both ends.
type segment struct {
	first, last uint64
	arm         uint8
}

func segmentsOf(intervals []Interval) []segment {
	out := make([]segment, len(intervals))
	var first uint64
	for i, iv := range intervals {
		out[i] = segment{first: first, last: iv.Last, arm: iv.Arm}
		first = iv.Last + 1
	}
	return out
}

// trim cuts each arm down to at most want hash values and returns what is kept and what is freed,
// the latter ascending. Candidates keep their lowest values, live its highest.
func trim(segments []segment, want [release.MaxArms]uint64) (kept, freed []segment) {
	left := want
	for _, s := range segments {
		if s.arm != live {
			keep, free := cutLow(s, left[s.arm])
			kept, freed = append(kept, keep...), append(freed, free...)
			left[s.arm] -= size(keep)
		}
	}
	for _, s := range slices.Backward(segments) {
		if s.arm == live {
			keep, free := cutHigh(s, left[live])
			kept, freed = append(kept, keep...), append(freed, free...)
			left[live] -= size(keep)
		}
	}
	slices.SortFunc(freed, byFirst)
	return kept, freed
}

// cutLow splits s into its lowest n values and the rest, either of which may be empty. The comparison
// avoids the length, which is 2^64 for the whole circle.
func cutLow(s segment, n uint64) (low, rest []segment) {
	switch {
	case n == 0:
		return nil, []segment{s}
	case s.last-s.first < n:
		return []segment{s}, nil
	}
	cut := s.first + n
	return []segment{{s.first, cut - 1, s.arm}}, []segment{{cut, s.last, s.arm}}
}

// cutHigh splits s into its highest n values and the rest.
func cutHigh(s segment, n uint64) (high, rest []segment) {
	switch {
	case n == 0:
		return nil, []segment{s}
	case s.last-s.first < n:
		return []segment{s}, nil
	}
	cut := s.last - n
	return []segment{{cut + 1, s.last, s.arm}}, []segment{{s.first, cut, s.arm}}
}

// hand gives the freed segments, lowest first, to the arms that lack some: candidates in order, live last.
func hand(freed []segment, lack [release.MaxArms]uint64) []segment {
	var out []segment
	for i := range lack {
		arm := uint8((i + 1) % len(lack)) // 1, 2, ..., live
		for lack[arm] > 0 && len(freed) > 0 {
			take, rest := cutLow(freed[0], lack[arm])
			freed = append(rest, freed[1:]...)
			lack[arm] -= size(take)
			take[0].arm = arm
			out = append(out, take[0])
		}
	}
	return out
}

// join sorts segments that cover the circle and merges neighbours of the same arm.
func join(segments []segment) []Interval {
	slices.SortFunc(segments, byFirst)
	out := make([]Interval, 0, len(segments))
	for _, s := range segments {
		if n := len(out); n > 0 && out[n-1].Arm == s.arm {
			out[n-1].Last = s.last
			continue
		}
		out = append(out, Interval{Last: s.last, Arm: s.arm})
	}
	return out
}

func byFirst(a, b segment) int { return cmp.Compare(a.first, b.first) }

// size is the number of values of at most one segment that is not the whole circle.
func size(s []segment) uint64 {
	if len(s) == 0 {
		return 0
	}
	return s[0].last - s[0].first + 1
}

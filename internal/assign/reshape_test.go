package assign

import (
	"math/big"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"sluice.dev/sluice/internal/release"
)

// drawShares draws shares of n arms that add up to the whole; cuts at the ends and equal ones happen.
func drawShares(t *rapid.T, n int, label string) []release.Share {
	cut := rapid.OneOf(rapid.Uint32Range(0, uint32(release.Whole)), rapid.SampledFrom([]uint32{0, 1, 200_000, 500_000, 999_999, 1_000_000}))
	left, out := uint32(release.Whole), make([]release.Share, n)
	for i := 1; i < n; i++ {
		s := min(cut.Draw(t, label), left)
		out[i], left = release.Share(s), left-s
	}
	out[0] = release.Share(left)
	return out
}

// sizes counts each arm's hash values without any arithmetic modulo 2^64.
func sizes(intervals []Interval) [release.MaxArms]*big.Int {
	var out [release.MaxArms]*big.Int
	for i := range out {
		out[i] = new(big.Int)
	}
	prev := big.NewInt(-1)
	for _, iv := range intervals {
		last := new(big.Int).SetUint64(iv.Last)
		out[iv.Arm].Add(out[iv.Arm], new(big.Int).Sub(last, prev))
		prev = last
	}
	return out
}

// moved counts the hash values whose arm differs, by walking both lists together.
func moved(a, b []Interval) *big.Int {
	sum, prev := new(big.Int), big.NewInt(-1)
	for i, j := 0, 0; i < len(a) && j < len(b); {
		end := min(a[i].Last, b[j].Last)
		last := new(big.Int).SetUint64(end)
		if a[i].Arm != b[j].Arm {
			sum.Add(sum, new(big.Int).Sub(last, prev))
		}
		prev = last
		if a[i].Last == end {
			i++
		}
		if b[j].Last == end {
			j++
		}
	}
	return sum
}

func TestReshapeIsExactAndMovesTheFewest(t *testing.T) {
	whole := new(big.Int).Lsh(big.NewInt(1), 64)
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, release.MaxArms).Draw(t, "arms")
		now := Initial()
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			shares := drawShares(t, n, "share")
			next, err := Reshape(now, shares)
			if err != nil {
				t.Fatal(err)
			}
			if err := Validate(next); err != nil {
				t.Fatalf("not disjoint and complete: %v", err)
			}
			before, after := sizes(now), sizes(next)
			least := new(big.Int)
			for arm := range before {
				if d := new(big.Int).Sub(after[arm], before[arm]); d.Sign() > 0 {
					least.Add(least, d)
				}
			}
			if got := moved(now, next); got.Cmp(least) != 0 {
				t.Fatalf("%v -> %v moved %v hash values, least is %v", now, next, got, least)
			}
			checkEnds(t, now, next)
			for arm := range n {
				want := new(big.Int).Mul(whole, big.NewInt(int64(shares[arm])))
				want.Div(want, big.NewInt(int64(release.Whole)))
				over := new(big.Int).Sub(after[arm], want).Int64()
				if over < 0 || over >= release.MaxArms || (shares[arm] == 0 && over != 0) {
					t.Fatalf("arm %d of %v has %v hash values, want %v", arm, shares, after[arm], want)
				}
				if got := ShareOf(next, uint8(arm)); got != shares[arm] {
					t.Fatalf("ShareOf(%v, %d) = %d, want %d", next, arm, got, shares[arm])
				}
			}
			again, err := Reshape(next, shares)
			if err != nil || !reflect.DeepEqual(again, next) {
				t.Fatalf("not idempotent: %v, then %v (%v)", next, again, err)
			}
			now = next
		}
	})
}

// checkEnds checks who gives what: a candidate its highest values, live its lowest.
func checkEnds(t *rapid.T, a, b []Interval) {
	var lost, kept [release.MaxArms]uint64 // candidates: lowest lost, highest kept; live: highest lost, lowest kept
	for arm := range lost {
		lost[arm] = 1<<64 - 1
	}
	lost[0], kept[0] = 0, 1<<64-1
	first := uint64(0)
	for i, j := 0, 0; i < len(a) && j < len(b); {
		end, arm := min(a[i].Last, b[j].Last), a[i].Arm
		switch stays := b[j].Arm == arm; {
		case arm == 0 && stays:
			kept[0] = min(kept[0], first)
		case arm == 0:
			lost[0] = max(lost[0], end)
		case stays:
			kept[arm] = max(kept[arm], end)
		default:
			lost[arm] = min(lost[arm], first)
		}
		if a[i].Last == end {
			i++
		}
		if b[j].Last == end {
			j++
		}
		first = end + 1
	}
	if lost[0] > kept[0] {
		t.Fatalf("%v -> %v: live keeps %d and gives up %d", a, b, kept[0], lost[0])
	}
	for arm := 1; arm < release.MaxArms; arm++ {
		if lost[arm] < kept[arm] {
			t.Fatalf("%v -> %v: arm %d keeps %d and gives up %d", a, b, arm, kept[arm], lost[arm])
		}
	}
}

// Live in two pieces gives from its first, and a candidate in two pieces gives up its second.
func TestReshapeOfPieces(t *testing.T) {
	at := func(s release.Share) uint64 { return Measure(s) - 1 }
	end := uint64(1<<64 - 1)
	pieces := []Interval{{at(100_000), 0}, {at(300_000), 1}, {at(600_000), 0}, {at(700_000), 1}, {end, 0}}
	grown, err := Reshape(pieces, []release.Share{650_000, 350_000})
	if err != nil {
		t.Fatal(err)
	}
	if grown[0].Arm != 1 || !reflect.DeepEqual(grown[1:], pieces) {
		t.Errorf("live gave elsewhere: %v", grown)
	}
	shrunk, err := Reshape(pieces, []release.Share{750_000, 250_000})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(shrunk[:3], pieces[:3]) || shrunk[3].Arm != 1 || shrunk[3].Last >= pieces[3].Last {
		t.Errorf("the candidate gave elsewhere: %v", shrunk)
	}
}

// One candidate: nobody leaves it while its share rises, nobody joins while it falls, whatever was before.
func TestOneCandidateIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := Initial()
		share := release.Share(0)
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			next := release.Share(rapid.Uint32Range(0, uint32(release.Whole)).Draw(t, "share"))
			cut, err := Reshape(now, []release.Share{release.Whole - next, next})
			if err != nil {
				t.Fatal(err)
			}
			if want := candidateFrom0(next); !reflect.DeepEqual(cut, want) {
				t.Fatalf("at %d: %v, want %v", next, cut, want)
			}
			h := rapid.Uint64().Draw(t, "hash")
			was, is := armOf(now, h), armOf(cut, h)
			if next >= share && was == 1 && is != 1 || next <= share && was == 0 && is != 0 {
				t.Fatalf("%d -> %d moves %d from arm %d to %d", share, next, h, was, is)
			}
			now, share = cut, next
		}
	})
}

func candidateFrom0(s release.Share) []Interval {
	switch s {
	case 0:
		return Initial()
	case release.Whole:
		return []Interval{{Last: 1<<64 - 1, Arm: 1}}
	}
	n := new(big.Int).Lsh(big.NewInt(int64(s)), 64)
	n.Div(n, big.NewInt(int64(release.Whole)))
	return []Interval{{Last: n.Uint64() - 1, Arm: 1}, {Last: 1<<64 - 1, Arm: 0}}
}

// armOf is the slow, obvious lookup.
func armOf(intervals []Interval, h uint64) uint8 {
	for _, iv := range intervals {
		if h <= iv.Last {
			return iv.Arm
		}
	}
	panic("intervals do not cover the circle")
}

func TestReshapeRefuses(t *testing.T) {
	end := uint64(1<<64 - 1)
	even := []release.Share{500_000, 500_000}
	for _, c := range []struct {
		name      string
		intervals []Interval
		shares    []release.Share
		want      string
	}{
		{"no intervals", nil, even, "check intervals: 0 intervals; 1 to 4096 are possible"},
		{"gap at the end", []Interval{{Last: 7}}, even, "check intervals: the last interval ends at 7, not at 2^64-1"},
		{"unsorted", []Interval{{Last: 7}, {Last: 7}, {Last: end}}, even, "check intervals: interval 1 ends at 7, not after its predecessor"},
		{"arm", []Interval{{Last: end, Arm: 8}}, even, "check intervals: interval 0 names arm 8; arms are 0 to 7"},
		{"no shares", Initial(), nil, "check shares: shares for 0 arms; 1 to 8 are possible"},
		{"sum", Initial(), []release.Share{500_000, 499_999}, "check shares: shares add up to 999999 parts per million, not to 1000000"},
		{"overflow", Initial(), []release.Share{1_000_000, 1<<32 - 1, 1}, "check shares: shares add up to 4295967296 parts per million, not to 1000000"},
	} {
		_, err := Reshape(c.intervals, c.shares)
		if err == nil || err.Error() != c.want || release.KindOf(err) != release.KindInvalid {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
}

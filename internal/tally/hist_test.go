package tally

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestLatencyEdges(t *testing.T) {
	if Edge(0) != 0 || Edge(50) != 50 || Edge(LatencyBuckets-1) != math.MaxUint32 {
		t.Fatalf("edges begin %d, have %d at 50 and end %d", Edge(0), Edge(50), Edge(LatencyBuckets-1))
	}
	for i := 1; i < LatencyBuckets; i++ {
		lo, hi := uint64(Edge(i-1)), uint64(Edge(i))
		if hi <= lo || hi > lo+1 && hi*100 > lo*102 && hi != math.MaxUint32 {
			t.Fatalf("edge %d is %d after %d: not the next step of 2 %%", i, hi, lo)
		}
		for _, us := range []uint64{lo + 1, hi} {
			if got := Bucket(uint32(us)); got != i {
				t.Fatalf("Bucket(%d) = %d, want %d", us, got, i)
			}
		}
	}
}

func TestBucketAndSnap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		us := rapid.Uint32().Draw(rt, "us") >> rapid.IntRange(0, 31).Draw(rt, "shift")
		i := Bucket(us)
		if us > Edge(i) || i > 0 && us <= Edge(i-1) {
			rt.Fatalf("%d is not in bucket %d", us, i)
		}
		x := Snap(us)
		if Edge(Bucket(x)) != x {
			rt.Fatalf("Snap(%d) = %d is no edge", us, x)
		}
		if us >= 50 && math.Abs(float64(x)/float64(us)-1) > 0.01 {
			rt.Fatalf("Snap(%d) = %d is more than 1 %% away", us, x)
		}
		if Snap(x) != x {
			rt.Fatalf("an edge is not its own snap: %d, %d", x, Snap(x))
		}
	})
}

func TestValueBuckets(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		x := math.Ldexp(rapid.Float64Range(-1, 2).Draw(rt, "x"), rapid.IntRange(-45, 45).Draw(rt, "exp"))
		i := ValueBucket(x)
		if x > ValueEdge(i) || i > 0 && x <= ValueEdge(i-1) {
			rt.Fatalf("%g is not in bucket %d (%g to %g)", x, i, ValueEdge(i-1), ValueEdge(i))
		}
		if i > 0 && i < ValueBuckets-1 && ValueEdge(i)/ValueEdge(i-1) > 1+1.0/64+1e-12 {
			rt.Fatalf("bucket %d is wider than 1/64", i)
		}
	})
	for i := range ValueBuckets - 1 {
		if got := ValueBucket(ValueEdge(i)); got != i {
			t.Fatalf("the edge of bucket %d lies in bucket %d", i, got)
		}
	}
}

func TestRank(t *testing.T) {
	for _, c := range []struct {
		hist   []uint64
		q      float64
		bucket int
		n      uint64
	}{
		{nil, .5, -1, 0},
		{[]uint64{0, 0}, .5, -1, 0},
		{[]uint64{0, 4, 0, 4}, .5, 1, 8},
		{[]uint64{0, 4, 0, 4}, .51, 3, 8},
		{[]uint64{0, 4, 0, 4}, 0, 1, 8},
		{[]uint64{99, 1}, .99, 0, 100},
		{[]uint64{99, 1}, 1, 1, 100},
	} {
		if b, n := Rank(c.hist, c.q); b != c.bucket || n != c.n {
			t.Errorf("Rank(%v, %g) = %d, %d, want %d, %d", c.hist, c.q, b, n, c.bucket, c.n)
		}
	}
}

func TestCountsCarry(t *testing.T) {
	c := newCounts(2)
	c.add(0, 1<<32-1)
	c.inc(0)
	c.inc(1)
	c.add(0, 5<<32+7)
	if c.at(0) != 6<<32+7 || c.at(1) != 1 || c.sum() != 6<<32+8 {
		t.Fatalf("counts are %d and %d, sum %d", c.at(0), c.at(1), c.sum())
	}
}

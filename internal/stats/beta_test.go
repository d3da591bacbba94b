package stats

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// Displays agree with what must hold for any two posteriors.
func TestBetaCompareProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gen := func(name string) Beta {
			n := rapid.IntRange(0, 3000).Draw(t, name)
			return Jeffreys(float64(rapid.IntRange(0, n).Draw(t, name)), float64(n))
		}
		a, b := gen("a"), gen("b")
		c, err := BetaCompare(a, b)
		if err != nil || math.Abs(c.PBGreater+c.PAGreater-1) > 1e-9 {
			t.Fatalf("%+v %v", c, err)
		}
		if diff := c.LossA - c.LossB; math.Abs(diff-(b.mean()-a.mean())) > 1e-9 {
			t.Fatalf("losses differ by %v, means by %v", diff, b.mean()-a.mean())
		}
		swapped, _ := BetaCompare(b, a)
		if math.Abs(swapped.PBGreater-c.PAGreater) > 1e-9 || math.Abs(swapped.LossB-c.LossA) > 1e-9 {
			t.Fatalf("%+v, swapped %+v", c, swapped)
		}
	})
}

// One posterior of an effect, two ways: the normal display approaches the exact one at large counts.
func TestGaussianNearBeta(t *testing.T) {
	a, b := Jeffreys(50000, 500000), Jeffreys(50400, 500000)
	c, err := BetaCompare(a, b)
	g, err2 := GaussianEffect(b.mean()-a.mean(), math.Hypot(a.sd(), b.sd()), nil, 0.05)
	if err != nil || err2 != nil || math.Abs(c.PBGreater-g.PAbove) > 1e-4 || math.Abs(c.LossB/g.LossB-1) > 1e-2 {
		t.Errorf("exact %+v %v, normal %+v %v", c, err, g, err2)
	}
	rope, err := BetaRope(a, b, 0.0005)
	normal := g.PWithin(0.0005)
	if err != nil || math.Abs(rope.In-normal.In) > 1e-4 || math.Abs(rope.Above-normal.Above) > 1e-4 || math.Abs(rope.Below-normal.Below) > 1e-4 {
		t.Errorf("equivalence %+v %v, normal %+v", rope, err, normal)
	}
}

func BenchmarkBetaCompare(b *testing.B) {
	x, y := Jeffreys(120, 4000), Jeffreys(131, 4010)
	for b.Loop() {
		if _, err := BetaCompare(x, y); err != nil {
			b.Fatal(err)
		}
	}
}

// TestBetaDifferenceIsRope: the distribution of the difference has the masses that BetaRope and BetaCompare give by other integrals.
func TestBetaDifferenceIsRope(t *testing.T) {
	for _, arms := range [][2]Beta{
		{Jeffreys(0, 40), Jeffreys(0, 60)}, {Jeffreys(3, 1000), Jeffreys(9, 900)}, {Jeffreys(5000, 100000), Jeffreys(5100, 100000)}, {Jeffreys(40, 40), Jeffreys(0, 2)},
	} {
		a, b := arms[0], arms[1]
		const r = 0.004
		cum, err := BetaDifference(a, b, []float64{-2, -1, -r, 0, r, 1, 2})
		if err != nil {
			t.Fatal(err)
		}
		rope, _ := BetaRope(a, b, r)
		c, _ := BetaCompare(a, b)
		for i, want := range []float64{0, 0, rope.Below, c.PAGreater, 1 - rope.Above, 1, 1} {
			if math.Abs(cum[i]-want) > 1e-5 {
				t.Errorf("%v %v: point %d is %v, want %v", a, b, i, cum[i], want)
			}
		}
	}
	if _, err := BetaDifference(Beta{}, Jeffreys(1, 2), []float64{0}); err == nil {
		t.Error("a posterior without parameters is taken")
	}
	if _, err := BetaDifference(Jeffreys(1, 2), Jeffreys(1, 2), []float64{math.NaN()}); err == nil {
		t.Error("a point that is no number is taken")
	}
}

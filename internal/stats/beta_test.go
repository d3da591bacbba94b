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

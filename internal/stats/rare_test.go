package stats

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

// TestRareBelowWithoutEvents holds the closed form, and that it is decided sooner than by the confidence sequence.
func TestRareBelowWithoutEvents(t *testing.T) {
	ln, err := RareBelow(0, 1000, 0.02)
	if err != nil {
		t.Fatal(err)
	}
	want := 0.0
	for _, p := range []struct{ at, w float64 }{{0, 0.75}, {0.005, 0.125}, {0.01, 0.125}} {
		want += p.w * math.Pow((1-p.at)/0.98, 1000)
	}
	if math.Abs(ln-math.Log(want)) > 1e-9 {
		t.Errorf("ln E %v, want %v", ln, math.Log(want))
	}
	n := 1.0
	for ; ; n++ {
		if ln, err = RareBelow(0, n, 0.02); err != nil || ln >= math.Log(20) {
			break
		}
	}
	if cs, err := BernoulliCS(0, n, 0.05); err != nil || n > 180 || cs.Hi < 0.02 {
		t.Errorf("2 %% are excluded after %v units without an event; the sequence's bound is then %v", n, cs.Hi)
	}
}

// TestRareBelowFallsInEventsAndGrowsInUnits is what makes conservative counts safe.
func TestRareBelowFallsInEventsAndGrowsInUnits(t *testing.T) {
	for _, b := range []float64{0.001, 0.04, 0.5} {
		last := math.Inf(1)
		for k := 0.0; k <= 50; k += 0.5 {
			x, err := RareBelow(k, 200, b)
			y, err2 := RareBelow(k, 200.5, b)
			if err != nil || err2 != nil || !(x <= last) || !(y > x) {
				t.Fatalf("bound %v, %v events: %v after %v, with more units %v", b, k, x, last, y)
			}
			last = x
		}
	}
	for _, x := range [][3]float64{{-1, 10, 0.1}, {11, 10, 0.1}, {0, math.Inf(1), 0.1}, {0, 10, 0}, {0, 10, 1}, {math.NaN(), 10, 0.1}} {
		if _, err := RareBelow(x[0], x[1], x[2]); !errors.Is(err, ErrDomain) {
			t.Errorf("%v: %v", x, err)
		}
	}
}

// TestRareBelowIsRarelyWrong looks after every unit at a rate that is the bound.
func TestRareBelowIsRarelyWrong(t *testing.T) {
	const runs = 2000
	wrong := 0
	rng := rand.New(rand.NewPCG(3, 5))
	for range runs {
		k := 0.0
		for n := 1.0; n <= 2000; n++ {
			if rng.Float64() < 0.04 {
				k++
			}
			if ln, err := RareBelow(k, n, 0.04); err != nil || ln >= math.Log(20) {
				wrong++
				break
			}
		}
	}
	if r := float64(wrong) / runs; r > 0.05+2.33*math.Sqrt(0.05*0.95/runs) || r < 0.005 {
		t.Errorf("shown at the bound in %.4f of the runs, at most .05 are allowed", r)
	}
}

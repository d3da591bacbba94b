package stats

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func genMixture(t *rapid.T) Mixture {
	m, err := VarianceMixture(math.Exp(rapid.Float64Range(-10, 5).Draw(t, "ln v0")))
	if rapid.Bool().Draw(t, "margin") {
		m, err = MarginMixture(math.Exp(rapid.Float64Range(-5, 2).Draw(t, "ln tau")))
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The interval's ends are where the two-sided evidence reaches ln(1/(2 alpha)).
func TestMixtureIntervalAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := genMixture(t)
		d := rapid.Float64Range(-3, 3).Draw(t, "d")
		v := math.Exp(rapid.Float64Range(-20, 5).Draw(t, "ln v"))
		alpha := rapid.SampledFrom([]float64{0.4, 0.05, 0.0025, 1e-12}).Draw(t, "alpha")
		cs, err := m.Interval(d, v, alpha)
		if err != nil || !(cs.Lo < d && d < cs.Hi) {
			t.Fatalf("%v %v", cs, err)
		}
		half := (cs.Hi - cs.Lo) / 2
		got, err := m.LnTwoSided(half, v, 0)
		if want := -math.Log(2 * alpha); err != nil || math.Abs(got-want) > 1e-6*(1+want) {
			t.Fatalf("evidence at the end %v, want %v (%v)", got, want, err)
		}
	})
}

// One-sided evidence is monotone in the estimate, symmetric under swapping arms, and its halves add up.
func TestMixtureOneSided(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := genMixture(t)
		d := rapid.Float64Range(-3, 3).Draw(t, "d")
		step := rapid.Float64Range(0, 1).Draw(t, "step")
		v := math.Exp(rapid.Float64Range(-12, 5).Draw(t, "ln v"))
		d0 := rapid.Float64Range(-1, 1).Draw(t, "d0")
		above, err := m.LnAbove(d, v, d0)
		if err != nil {
			t.Fatal(err)
		}
		more, _ := m.LnAbove(d+step, v, d0)
		if more < above-1e-9*(1+math.Abs(above)) {
			t.Fatalf("above fell from %v to %v", above, more)
		}
		if mirror, _ := m.LnBelow(-d, v, -d0); !near(mirror, above, 1e-12) {
			t.Fatalf("mirror %v, above %v", mirror, above)
		}
		below, _ := m.LnBelow(d, v, d0)
		two, _ := m.LnTwoSided(d, v, d0)
		if sum := LogSumExp(above, below) - math.Ln2; !near(sum, two, 1e-9) {
			t.Fatalf("halves %v, whole %v", sum, two)
		}
	})
}

// One scale is the mixture test of Johari et al., and with rho = v/tau^2 the boundary of Robbins.
func TestMixtureIsMSPRT(t *testing.T) {
	m, err := MarginMixture(0.3)
	if err != nil {
		t.Fatal(err)
	}
	got, err := m.LnTwoSided(0.21, 0.004, 0.01)
	want, _, err2 := MSPRT(0.2, 0.004, 0.09, 0.05)
	if err != nil || err2 != nil || math.Abs(got-want) > 1e-12 {
		t.Errorf("mixture %v %v, msprt %v %v", got, err, want, err2)
	}
	r, err := Robbins(0.2/0.004, 1/0.004, 1/0.09, 0.05) // sum and information
	one, err2 := m.LnAbove(0.2, 0.004, 0)
	if err != nil || err2 != nil || math.Abs(r.TwoSided-want) > 1e-12 || math.Abs(r.OneSided-one) > 1e-12 {
		t.Errorf("Robbins %+v %v, mixture %v %v", r, err, want, one)
	}
}

func TestMixtureWeights(t *testing.T) {
	m, err := VarianceMixture(188)
	if err != nil {
		t.Fatal(err)
	}
	got := m.Scales()
	want := []Scale{{1, 0.5}, {8, 0.25}, {64, 0.25}}
	for i := range want {
		if len(got) != 3 || math.Abs(got[i].Tau2-want[i].Tau2) > 1e-14 || got[i].Weight != want[i].Weight {
			t.Fatalf("%v, want %v", got, want)
		}
	}
}

func TestMixtureErrors(t *testing.T) {
	m, _ := MarginMixture(1)
	if _, err := m.LnAbove(1, 0, 0); !errors.Is(err, ErrUndefined) {
		t.Errorf("no variance: %v, want ErrUndefined", err)
	}
	for _, x := range [][3]float64{{math.NaN(), 1, 0}, {1, -1, 0}, {1, math.Inf(1), 0}, {1, 1, math.NaN()}, {math.Inf(1), 1, 0}} {
		if _, err := m.LnBelow(x[0], x[1], x[2]); !errors.Is(err, ErrDomain) {
			t.Errorf("%v: %v, want ErrDomain", x, err)
		}
	}
	if _, err := (Mixture{}).LnTwoSided(0, 1, 0); !errors.Is(err, ErrDomain) {
		t.Errorf("empty mixture: %v, want ErrDomain", err)
	}
	if ln, err := m.LnAbove(-1e8, 1, 0); err != nil || math.Abs(ln-(math.Ln2-0.5*math.Ln2-math.Log(1e8/math.Sqrt2)-halfLn2Pi)) > 1e-12 {
		t.Errorf("far on the wrong side: %v %v", ln, err) // 2 phi-Mills: -ln|u| - ln(2 pi)/2, u = z/sqrt 2
	}
	if _, err := m.LnAbove(1e200, 1, 0); !errors.Is(err, ErrDomain) {
		t.Errorf("evidence beyond float64: %v, want ErrDomain", err)
	}
	for _, alpha := range []float64{0, 0.5, math.NaN()} {
		if _, err := m.Interval(0, 1, alpha); !errors.Is(err, ErrDomain) {
			t.Errorf("alpha %v: %v, want ErrDomain", alpha, err)
		}
	}
	for _, v := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		if _, err := VarianceMixture(v); !errors.Is(err, ErrDomain) {
			t.Errorf("VarianceMixture(%v): %v", v, err)
		}
		if _, err := MarginMixture(v); !errors.Is(err, ErrDomain) {
			t.Errorf("MarginMixture(%v): %v", v, err)
		}
	}
}

func FuzzMixture(f *testing.F) {
	f.Add(0.0, 1e-300, 0.0, 1.0, 0.05)
	f.Add(1e150, 1e-10, -1e150, 1e-200, 1e-300)
	f.Add(-1.0, 1e300, 1.0, 1e-10, 0.49)
	f.Add(1.1e149, 9e-10, -1e150, 79.0, 1e-300) // found by fuzzing: infinite on both sides
	f.Fuzz(func(t *testing.T, d, v, d0, v0, alpha float64) {
		m, err := VarianceMixture(v0)
		if err != nil {
			return
		}
		for _, f := range []func(d, v, d0 float64) (float64, error){m.LnAbove, m.LnBelow, m.LnTwoSided} {
			if x, err := f(d, v, d0); err == nil && math.IsNaN(x) {
				t.Fatalf("evidence is not a number")
			}
		}
		if cs, err := m.Interval(d, v, alpha); err == nil && (math.IsNaN(cs.Lo) || math.IsNaN(cs.Hi) || cs.Lo > cs.Hi) {
			t.Fatalf("interval %v", cs)
		}
	})
}

package stats

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// naiveLabel integrates the defining formula with many plain panels and no tricks: the slow obvious twin.
func naiveLabel(strata []LabelStratum, sigma, d0, side float64) float64 {
	ell := func(d float64) float64 {
		sum := 0.0
		for _, s := range strata {
			sum += s.KB*(d-d0) - (s.KA+s.KB)*(math.Log1p(s.Rho*math.Expm1(d))-math.Log1p(s.Rho*math.Expm1(d0)))
		}
		return sum
	}
	// x = +-e^u resolves boundary layers and modes of any width; two-point Gauss on 20,000 panels in u
	var parts []float64
	const n = 20000
	lo, h := -25.0, (25+math.Log(20*math.Max(sigma, 1)))/n
	for i := range n {
		for _, u := range [...]float64{-1 / math.Sqrt(3), 1 / math.Sqrt(3)} {
			u := lo + h*(float64(i)+0.5+u/2)
			for _, s := range [...]float64{-1, 1} {
				if s*side >= 0 {
					x := s * math.Exp(u)
					parts = append(parts, ell(d0+x)-x*x/(2*sigma*sigma)+math.Log(h/2)+u)
				}
			}
		}
	}
	return LogSumExp(parts...) - math.Log(sigma*math.Sqrt(2*math.Pi))
}

func TestLabelAgainstNaiveQuadrature(t *testing.T) {
	for _, tc := range []struct {
		strata []LabelStratum
		sigma  float64
	}{
		{[]LabelStratum{{3, 5, 0.5}}, 0.5},
		{[]LabelStratum{{0, 40, 0.01}}, 0.5},
		{[]LabelStratum{{900, 0, 0.3}}, 0.5},
		{[]LabelStratum{{900, 0, 0.3}}, 3},
		{[]LabelStratum{{2000, 150, 0.05}, {30, 41, 0.5}}, 0.3},
		{[]LabelStratum{{50000, 5200, 0.1}, {40000, 40500, 0.5}, {3, 900, 0.99}}, 0.5},
		{[]LabelStratum{{1, 1, 1e-6}, {1, 1, 1 - 1e-6}}, 0.5},
		{[]LabelStratum{{100, 2000, 0.5}}, 2},
	} {
		l, err := NewLabel(tc.strata, tc.sigma)
		if err != nil {
			t.Fatal(err)
		}
		for _, d0 := range []float64{0, 0.2, -0.4, 1.5} {
			for _, c := range []struct {
				name      string
				got, side float64
			}{{"above", l.LnAbove(d0), 1}, {"below", l.LnBelow(d0), -1}} {
				want := math.Ln2 + naiveLabel(tc.strata, tc.sigma, d0, c.side)
				if math.Abs(c.got-want) > 1e-7*(1+math.Abs(want)) {
					t.Errorf("%v sigma %g: %s(%g) = %.12g, want %.12g", tc.strata, tc.sigma, c.name, d0, c.got, want)
				}
			}
		}
		if got, want := l.LnMarginal(), naiveLabel(tc.strata, tc.sigma, 0, 0); math.Abs(got-want) > 1e-7*(1+math.Abs(want)) {
			t.Errorf("%v: LnMarginal %.12g, want %.12g", tc.strata, got, want)
		}
	}
}

func genStrata(t *rapid.T) []LabelStratum {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) LabelStratum {
		return LabelStratum{
			KA:  float64(rapid.IntRange(0, 5000).Draw(t, "kA")),
			KB:  float64(rapid.IntRange(0, 5000).Draw(t, "kB")),
			Rho: rapid.SampledFrom([]float64{0.01, 0.05, 0.1, 0.25, 0.5, 0.8, 0.95}).Draw(t, "rho"),
		}
	}), 1, 6).Draw(t, "strata")
}

func mustLabel(t interface{ Fatal(...any) }, s []LabelStratum) Label {
	l, err := NewLabel(s, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// near compares logs of evidence.
func near(a, b, tol float64) bool { return math.Abs(a-b) <= tol*(1+math.Max(math.Abs(a), math.Abs(b))) }

// Swapping the arms mirrors the effect: above becomes below, the interval changes sign.
func TestLabelSymmetric(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := genStrata(t)
		var swapped []LabelStratum
		for _, x := range s {
			swapped = append(swapped, LabelStratum{x.KB, x.KA, 1 - x.Rho})
		}
		d0 := rapid.Float64Range(-1, 1).Draw(t, "d0")
		a, b := mustLabel(t, s), mustLabel(t, swapped)
		if x, y := a.LnAbove(d0), b.LnBelow(-d0); !near(x, y, 1e-9) {
			t.Fatalf("above %v, mirrored below %v", x, y)
		}
		if x, y := a.LnTwoSided(d0), b.LnTwoSided(-d0); !near(x, y, 1e-9) {
			t.Fatalf("two-sided %v, mirrored %v", x, y)
		}
		i, _ := a.Interval(0.05)
		j, _ := b.Interval(0.05)
		if (math.IsInf(i.Lo, -1) != math.IsInf(j.Hi, 1)) || (!math.IsInf(i.Lo, 0) && !near(i.Lo, -j.Hi, 1e-7)) {
			t.Fatalf("interval %v, mirrored %v", i, j)
		}
	})
}

// The order of strata and the splitting of one stratum into parts of equal share change nothing.
func TestLabelMerges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := genStrata(t)
		var parts []LabelStratum
		for _, x := range s {
			cutA, cutB := math.Floor(x.KA/3), math.Floor(x.KB/2)
			parts = append([]LabelStratum{{cutA, x.KB - cutB, x.Rho}}, parts...)
			parts = append(parts, LabelStratum{x.KA - cutA, cutB, x.Rho})
		}
		a, b := mustLabel(t, s), mustLabel(t, parts)
		if x, y := a.LnAbove(0.1), b.LnAbove(0.1); !near(x, y, 1e-12) {
			t.Fatalf("whole %v, parts %v", x, y)
		}
	})
}

// One more event of the candidate is never less evidence above, nor more below.
func TestLabelMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := genStrata(t)
		more := append([]LabelStratum(nil), s...)
		more[0].KB++
		more[0].KA = math.Max(0, more[0].KA-1)
		if s[0].KA == 0 {
			return
		}
		a, b := mustLabel(t, s), mustLabel(t, more)
		if x, y := a.LnAbove(0), b.LnAbove(0); y < x-1e-9*(1+math.Abs(x)) {
			t.Fatalf("above fell from %v to %v", x, y)
		}
		if x, y := a.LnBelow(0), b.LnBelow(0); y > x+1e-9*(1+math.Abs(x)) {
			t.Fatalf("below rose from %v to %v", x, y)
		}
	})
}

// The interval holds exactly the null values that two-sided evidence does not refute, and contains the maximum.
func TestLabelIntervalAgrees(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := mustLabel(t, genStrata(t))
		alpha := rapid.SampledFrom([]float64{0.2, 0.05, 0.001}).Draw(t, "alpha")
		cs, err := l.Interval(alpha)
		if err != nil {
			t.Fatal(err)
		}
		want := -math.Log(alpha)
		for _, end := range []float64{cs.Lo, cs.Hi} {
			if !math.IsInf(end, 0) && math.Abs(l.LnTwoSided(end)-want) > 1e-6 {
				t.Fatalf("evidence %v at the end %v, want %v", l.LnTwoSided(end), end, want)
			}
		}
		mle, err := l.MLE()
		if err == nil && !(cs.Lo <= mle && mle <= cs.Hi) {
			t.Fatalf("%v outside %v", mle, cs)
		}
	})
}

// E_above(0) + E_below(0) = 2 E(0): the two halves of one prior.
func TestLabelHalvesAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := mustLabel(t, genStrata(t))
		sum := LogSumExp(l.LnAbove(0), l.LnBelow(0)) - math.Ln2
		if !near(sum, l.LnMarginal(), 1e-9) {
			t.Fatalf("halves %v, whole %v", sum, l.LnMarginal())
		}
	})
}

func TestLabelEdges(t *testing.T) {
	l, err := NewLabel(nil, 0.5)
	if err != nil || l.LnAbove(0) != 0 || l.LnBelow(1) != 0 || l.LnMarginal() != 0 {
		t.Errorf("no strata: %v, evidence not 0", err)
	}
	if _, err := l.MLE(); !errors.Is(err, ErrUndefined) {
		t.Errorf("MLE without events: %v, want ErrUndefined", err)
	}
	full, err := NewLabel([]LabelStratum{{0, 70, 1}, {9, 0, 0}, {5, 5, 0.5}}, 0.5)
	if a, b := full.Events(); err != nil || a != 5 || b != 5 {
		t.Errorf("periods with one arm: %g %g %v, want 5 5", a, b, err)
	}
	for _, bad := range [][]LabelStratum{{{-1, 0, 0.5}}, {{1, 1, 0}}, {{1, 1, 1}}, {{1, 1, 1.1}}, {{math.NaN(), 1, 0.5}}, {{math.Inf(1), 1, 0.5}}} {
		if _, err := NewLabel(bad, 0.5); !errors.Is(err, ErrDomain) {
			t.Errorf("%v: %v, want ErrDomain", bad, err)
		}
	}
	for _, sigma := range []float64{0, -1, 11, math.NaN()} {
		if _, err := NewLabel(nil, sigma); !errors.Is(err, ErrDomain) {
			t.Errorf("sigma %v: %v, want ErrDomain", sigma, err)
		}
	}
	if got := full.LnAbove(math.Inf(1)); got != 0 {
		t.Errorf("LnAbove(+Inf) = %v, want no evidence", got)
	}
}

// The closed form with a Beta prior is exact against its sequential predictive product.
func TestLabelEPredictive(t *testing.T) {
	const rho, c = 0.3, 12.0
	seq := []int{1, 0, 0, 1, 1, 1, 0, 1, 1, 1, 1, 0}
	ln, a, b := 0.0, 0.0, 0.0
	for _, y := range seq {
		p := (c*rho + b) / (c + a + b)
		if y == 1 {
			ln += math.Log(p / rho)
			b++
		} else {
			ln += math.Log((1 - p) / (1 - rho))
			a++
		}
		got, err := LabelE(a, b, rho, c)
		if err != nil || math.Abs(got-ln) > 1e-12 {
			t.Fatalf("after %g and %g: %v, want %v (%v)", a, b, got, ln, err)
		}
	}
}

func FuzzLabel(f *testing.F) {
	f.Add(0.0, 1e9, 1e9, 0.0, 0.5, 1e-300, 0.5, 0.0)
	f.Add(1e9, 0.0, 0.0, 1e9, 0.999999, 0.5, 3.0, 40.0)
	f.Add(1e9, 1e9, 3.0, 1.0, 1e-9, 0.1, 0.01, -0.3)
	f.Add(5e8, 4e8, 1.0, 1.0, 0.5, 0.5, 10.0, 500.0)
	f.Fuzz(func(t *testing.T, kA1, kB1, kA2, kB2, rho1, rho2, sigma, d0 float64) {
		l, err := NewLabel([]LabelStratum{{kA1, kB1, rho1}, {kA2, kB2, rho2}}, sigma)
		if err != nil {
			return
		}
		if kA1 > 1e15 || kB1 > 1e15 || kA2 > 1e15 || kB2 > 1e15 || sigma < 1e-6 || math.Abs(d0) > 600 {
			return // promised up to here
		}
		cs, err := l.Interval(0.05)
		if err != nil || math.IsNaN(cs.Lo) || math.IsNaN(cs.Hi) || cs.Lo > cs.Hi {
			t.Fatalf("interval %v %v", cs, err)
		}
		for _, x := range []float64{l.LnAbove(d0), l.LnBelow(d0), l.LnTwoSided(d0)} {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				t.Fatalf("evidence %v", x)
			}
		}
	})
}

func benchLabel(b *testing.B, strata []LabelStratum, f func(Label) float64) {
	for b.Loop() {
		l, err := NewLabel(strata, 0.5)
		if err != nil {
			b.Fatal(err)
		}
		f(l)
	}
}

var fourPhases = []LabelStratum{{99, 2, 0.01}, {180, 22, 0.05}, {300, 61, 0.1}, {250, 240, 0.5}}

func BenchmarkLabelAboveOneShare(b *testing.B) {
	benchLabel(b, []LabelStratum{{50, 95, 0.5}}, func(l Label) float64 { return l.LnAbove(0) })
}

func BenchmarkLabelAboveFourShares(b *testing.B) {
	benchLabel(b, fourPhases, func(l Label) float64 { return l.LnAbove(0) })
}

func BenchmarkLabelIntervalFourShares(b *testing.B) {
	benchLabel(b, fourPhases, func(l Label) float64 { cs, _ := l.Interval(0.1); return cs.Lo })
}

func BenchmarkLabelAboveBillion(b *testing.B) {
	benchLabel(b, []LabelStratum{{5e8, 5.001e8, 0.5}}, func(l Label) float64 { return l.LnAbove(0) })
}

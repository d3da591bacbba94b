package stats

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// lnBernoulliE is the definition of the confidence sequence's evidence, with plain log-gammas.
func lnBernoulliE(k, n, p float64) float64 {
	lg := func(x float64) float64 { v, _ := math.Lgamma(x); return v }
	return lg(k+0.5) + lg(n-k+0.5) - lg(n+1) - math.Log(math.Pi) - k*math.Log(p) - (n-k)*math.Log1p(-p)
}

func TestBernoulliAgreesWithEvidence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := float64(rapid.IntRange(1, 100000).Draw(t, "n"))
		k := math.Floor(n * rapid.Float64Range(0, 1).Draw(t, "share"))
		alpha := math.Exp(-rapid.Float64Range(0.01, 40).Draw(t, "ln 1/alpha"))
		cs, err := BernoulliCS(k, n, alpha)
		if err != nil || !(cs.Lo <= k/n && k/n <= cs.Hi) {
			t.Fatalf("%v %v", cs, err)
		}
		for _, p := range []float64{cs.Lo, cs.Hi} {
			if p > 0 && p < 1-1e-9 {
				if got := lnBernoulliE(k, n, p); math.Abs(got+math.Log(alpha)) > 1e-5 {
					t.Fatalf("evidence %v at %v, want %v", got, p, -math.Log(alpha))
				}
			}
		}
		mirror, _ := BernoulliCS(n-k, n, alpha)
		if math.Abs(mirror.Lo-(1-cs.Hi)) > 1e-12 || math.Abs(mirror.Hi-(1-cs.Lo)) > 1e-12 {
			t.Fatalf("%v, mirrored %v", cs, mirror)
		}
		if tight, _ := BernoulliCS(k, n, math.Min(0.999, 2*alpha)); tight.Lo < cs.Lo-1e-15 || tight.Hi > cs.Hi+1e-15 {
			t.Fatalf("a larger alpha widens %v to %v", cs, tight)
		}
	})
}

func TestPointsLevelIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nA, nB := float64(rapid.IntRange(1, 50000).Draw(t, "nA")), float64(rapid.IntRange(1, 50000).Draw(t, "nB"))
		kA := math.Floor(nA * rapid.Float64Range(0, 0.1).Draw(t, "a"))
		kB := math.Floor(nB * rapid.Float64Range(0, 0.1).Draw(t, "b"))
		margin := rapid.Float64Range(0.001, 0.2).Draw(t, "margin")
		rules := []func(alpha float64) (PointsVerdict, error){
			func(a float64) (PointsVerdict, error) { return NoWorseInPoints(kA, nA, kB, nB, margin, a) },
			func(a float64) (PointsVerdict, error) { return HarmInPoints(kA, nA, kB, nB, margin, a) },
		}
		shown := 0
		for _, rule := range rules {
			v, err := rule(0.05)
			if err != nil || math.IsNaN(v.Gap) || v.LnLevel > 0 {
				t.Fatalf("%+v %v", v, err)
			}
			if v.Shown {
				shown++
			}
			if v.Shown != (v.LnLevel < math.Log(0.05)) {
				t.Fatalf("shown %v, level %v", v.Shown, math.Exp(v.LnLevel))
			}
			if v.LnLevel < 0 && v.LnLevel > -600 {
				looser, _ := rule(math.Exp(v.LnLevel + 1e-6*(1-v.LnLevel)))
				stricter, _ := rule(math.Exp(v.LnLevel - 1e-6*(1-v.LnLevel)))
				if math.Exp(v.LnLevel+1e-6*(1-v.LnLevel)) < 1 && !looser.Shown || stricter.Shown {
					t.Fatalf("level %v: looser %v stricter %v", v.LnLevel, looser.Shown, stricter.Shown)
				}
			}
		}
		if shown == 2 {
			t.Fatal("shown no worse than the margin and worse than it")
		}
	})
}

func TestPointsWithoutEvents(t *testing.T) {
	// half a point at no event at all: 1,586 units per arm show it at alpha .05 (.025 each bound), 1,585 do not
	for n, want := range map[float64]bool{1585: false, 1586: true} {
		v, err := NoWorseInPoints(0, n, 0, n, 0.005, 0.05)
		if err != nil || v.Shown != want || v.A.Lo != 0 || v.B.Lo != 0 {
			t.Errorf("%g units: %+v %v, want shown %v", n, v, err, want)
		}
	}
	v, err := NoWorseInPoints(0, 0, 0, 5000, 0.005, 0.05)
	if err != nil || v.Shown || v.LnLevel != 0 {
		t.Errorf("an empty arm shows nothing: %+v %v", v, err)
	}
	v, err = HarmInPoints(0, 1e6, 1e6, 1e6, 0.5, 0.05)
	if err != nil || !v.Shown || v.LnLevel > -1e4 {
		t.Errorf("all against none: %+v %v", v, err)
	}
	for _, bad := range [][6]float64{
		{2, 1, 0, 1, 0.1, 0.05},
		{0, 1, 2, 1, 0.1, 0.05},
		{-1, 1, 0, 1, 0.1, 0.05},
		{0, 1, 0, 1, 0.1, 0},
		{0, 1, 0, 1, 0.1, 1},
		{0, 1, 0, 1, -0.1, 0.05},
		{0, 1, 0, 1, 1.1, 0.05},
		{0, math.NaN(), 0, 1, 0.1, 0.05},
		{0, 1, 0, 1, math.NaN(), 0.05},
	} {
		if _, err := NoWorseInPoints(bad[0], bad[1], bad[2], bad[3], bad[4], bad[5]); !errors.Is(err, ErrDomain) {
			t.Errorf("%v: %v, want ErrDomain", bad, err)
		}
		if _, err := HarmInPoints(bad[0], bad[1], bad[2], bad[3], bad[4], bad[5]); !errors.Is(err, ErrDomain) {
			t.Errorf("harm %v: %v, want ErrDomain", bad, err)
		}
	}
}

func FuzzPoints(f *testing.F) {
	f.Add(0.0, 1e9, 1.0, 1e9, 0.005, 0.05)
	f.Add(1e9, 1e9, 1e9, 1e9, 1e-300, 1e-300)
	f.Add(1.0, 1e9, 1e9-1, 1e9, 0.5, 0.999999)
	f.Add(0.5, 1.0, 1e-300, 1e9, 0.5, 0.5)
	f.Fuzz(func(t *testing.T, kA, nA, kB, nB, margin, alpha float64) {
		for _, f := range []func(kA, nA, kB, nB, m, a float64) (PointsVerdict, error){NoWorseInPoints, HarmInPoints} {
			v, err := f(kA, nA, kB, nB, margin, alpha)
			if err != nil {
				continue
			}
			for _, x := range []float64{v.A.Lo, v.A.Hi, v.B.Lo, v.B.Hi, v.Gap, v.LnLevel} {
				if math.IsNaN(x) {
					t.Fatalf("%+v", v)
				}
			}
			if v.A.Lo < 0 || v.A.Hi > 1 || v.A.Lo > v.A.Hi || v.B.Lo < 0 || v.B.Hi > 1 || v.B.Lo > v.B.Hi || v.LnLevel > 0 {
				t.Fatalf("%+v", v)
			}
		}
	})
}

func BenchmarkNoWorseInPoints(b *testing.B) {
	for b.Loop() {
		NoWorseInPoints(10, 4000, 12, 3900, 0.005, 0.025)
	}
}

func BenchmarkBernoulliCS(b *testing.B) {
	for b.Loop() {
		BernoulliCS(10, 4000, 0.025)
	}
}

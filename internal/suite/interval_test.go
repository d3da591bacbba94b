package suite

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s: %.10g, want %.10g", what, got, want)
	}
}

// TestIntervalVectors compares with values computed independently, in 25 digits: binomial tails summed term
// by term and inverted, Tango's bounds with the nuisance parameter found by maximising the likelihood
// numerically instead of by the closed form, Student's quantile by the incomplete beta function.
func TestIntervalVectors(t *testing.T) {
	for _, c := range []struct{ k, n, alpha, lo, hi float64 }{
		{34, 40, 0.05, 0.725255494986, 0.932599059477},
		{0, 10, 0.05, 0, 0.258865550893},
		{10, 10, 0.025, 0.691502892181, 1},
		{69, 100, 0.05, 0.605328345976, 0.76599084985},
		{3, 7, 0.1, 0.169638417397, 0.721397951418},
	} {
		v := proportion(c.k, c.n, c.alpha)
		near(t, "lower bound of a proportion", v.lo, c.lo, 1e-10)
		near(t, "upper bound of a proportion", v.hi, c.hi, 1e-10)
	}
	for _, c := range []struct{ b, c, n, lo, hi float64 }{
		{12, 2, 50, 0.085474382, 0.32041339},
		{5, 9, 100, -0.10667304, 0.023263963},
		{0, 7, 60, -0.20190908, -0.064503464},
		{1, 1, 14, -0.21358539, 0.21358539},
	} {
		v := pairedDifference(c.b, c.c, c.n, 0.05)
		near(t, "lower bound of a paired difference", v.lo, c.lo, 1e-7)
		near(t, "upper bound of a paired difference", v.hi, c.hi, 1e-7)
	}
	for _, c := range []struct{ a, m, n, lo, hi float64 }{
		{0.74, 30, 70, 0.6409583772, 0.8168229206}, {1, 10, 10, 0.8545744338, 1}, {0.5, 20, 25, 0.3626198441, 0.6373801559},
	} {
		v := aucInterval(c.a, c.m, c.n, 0.05)
		near(t, "lower bound of an AUC", v.lo, c.lo, 1e-9)
		near(t, "upper bound of an AUC", v.hi, c.hi, 1e-9)
	}
	for _, c := range []struct{ b, c, p float64 }{{12, 2, 0.012939453125}, {5, 9, 0.423950195313}, {0, 0, 1}, {3, 3, 1}} {
		near(t, "McNemar", mcNemar(c.b, c.c), c.p, 1e-11)
	}
	v := mean([]float64{0.1, 0.4, 0.2, 0.9, 1.3, 0.05, 0.7, 0.3}, 0.05)
	near(t, "mean", v.est, 0.49375, 1e-12)
	near(t, "lower bound of a mean", v.lo, 0.200441121009, 1e-8)
	near(t, "upper bound of a mean", v.hi, 0.787058878991, 1e-8)
}

// TestIntervalsAreInOrder: whatever the counts, lower <= estimate <= upper within the domain, and swapping the
// versions turns the paired difference round.
func TestIntervalsAreInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(t, "n")
		k := rapid.IntRange(0, n).Draw(t, "k")
		b := rapid.IntRange(0, k).Draw(t, "b")
		alpha := rapid.Float64Range(0.001, 0.5).Draw(t, "alpha")
		ordered := func(v interval, lo, hi float64) {
			const e = 1e-12
			if !(lo-e <= v.lo && v.lo <= v.est+e && v.est <= v.hi+e && v.hi <= hi+e) {
				t.Fatalf("%+v", v)
			}
		}
		ordered(proportion(float64(k), float64(n), alpha), 0, 1)
		ordered(f1(float64(k), float64(n), alpha), 0, 1)
		ordered(aucInterval(float64(k)/float64(n), float64(1+b), float64(n), alpha), 0, 1)
		v := pairedDifference(float64(b), float64(n-k), float64(n), alpha)
		ordered(v, -1, 1)
		w := pairedDifference(float64(n-k), float64(b), float64(n), alpha)
		if math.Abs(v.lo+w.hi) > 1e-9 || math.Abs(v.hi+w.lo) > 1e-9 {
			t.Fatalf("%+v swapped is %+v", v, w)
		}
	})
}

// TestIntervalsCover: with a known truth, each bound is wrong at most as often as it says, and 4 standard
// errors of the simulation more.
func TestIntervalsCover(t *testing.T) {
	const runs, n, alpha = 2000, 60, 0.05
	allowed := runs*alpha + 4*math.Sqrt(runs*alpha*(1-alpha))
	rng := rand.New(rand.NewPCG(7, 7))
	wrong := map[string]float64{}
	const p, pb, pc = 0.8, 0.15, 0.1
	for range runs {
		k, b, c := 0.0, 0.0, 0.0
		var positive, negative []float64
		for i := range n {
			if rng.Float64() < p {
				k++
			}
			switch u := rng.Float64(); {
			case u < pb:
				b++
			case u < pb+pc:
				c++
			}
			if i < n/3 {
				positive = append(positive, rng.NormFloat64()+1)
			} else {
				negative = append(negative, rng.NormFloat64())
			}
		}
		a, _, _ := auc(positive, negative)
		const truth = 0.76024994 // of normal scores one apart: Phi(1/sqrt 2)
		for name, x := range map[string]struct {
			v     interval
			truth float64
		}{
			"proportion": {proportion(k, n, alpha), p},
			"paired":     {pairedDifference(b, c, n, alpha), pb - pc},
			"AUC":        {aucInterval(a, n/3, n-n/3, alpha), truth},
		} {
			if x.v.lo > x.truth {
				wrong[name+" below"]++
			}
			if x.v.hi < x.truth {
				wrong[name+" above"]++
			}
		}
	}
	for name, count := range wrong {
		if count > allowed {
			t.Errorf("%s: wrong %v times in %d, at most %.0f expected", name, count, runs, allowed)
		}
	}
	if len(wrong) < 6 {
		t.Errorf("only %v were ever wrong: the bounds are far too wide", wrong)
	}
}

func TestAUC(t *testing.T) {
	for _, c := range []struct {
		name     string
		pos, neg []float64
		want     float64
	}{
		{"apart", []float64{3, 4}, []float64{1, 2}, 1},
		{"reversed", []float64{1, 2}, []float64{3, 4}, 0},
		{"all tied", []float64{1, 1, 1}, []float64{1, 1}, 0.5},
		{"mixed", []float64{2, 5}, []float64{1, 2, 6}, 0.5 * (1.5 + 2) / 3},
	} {
		got, v10, v01 := auc(c.pos, c.neg)
		near(t, c.name, got, c.want, 1e-12)
		near(t, c.name+", by positives", average(v10), c.want, 1e-12)
		near(t, c.name+", by negatives", average(v01), c.want, 1e-12)
	}
}

func average(xs []float64) float64 {
	s := 0.0
	for _, x := range xs {
		s += x
	}
	return s / float64(len(xs))
}

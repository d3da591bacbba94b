package stats

import (
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestWeights(t *testing.T) {
	sum := 0.0
	for j := range 1000 {
		sum += StartWeight(j)
	}
	if want := 1 - 1.0/1001; math.Abs(sum-want) > 1e-12 {
		t.Errorf("first 1000 start weights sum to %v, want %v", sum, want)
	}
}

// TestWatchWeights holds the closed form of the sum, on which the false-alarm bound rests, and the prices that the comment names.
func TestWatchWeights(t *testing.T) {
	sum := 0.0
	const blocks = 17
	for j := range 1<<blocks - 1 {
		w := WatchWeight(j)
		if !(w > 0) {
			t.Fatalf("weight %d is %v", j, w)
		}
		sum += w
	}
	// The first 17 blocks hold 1 - 1/18 of the second half, and all of the first.
	if want := 0.5 + 0.5*(1-1.0/(blocks+1)); math.Abs(sum-want) > 1e-10 {
		t.Errorf("weights sum to %v, want %v", sum, want)
	}
	if WatchWeight(-1) != 0 {
		t.Error("a start before the first window has weight")
	}
	for j, most := range map[int]float64{0: 1.39, 100: 7.63, dayOfWindows - 1: 7.97, 100_000: 17.9} {
		if price := -math.Log(WatchWeight(j)); price > most {
			t.Errorf("a start at window %d costs %v, more than %v", j, price, most)
		}
	}
}

func TestWeightedMaxAndMean(t *testing.T) {
	lnE, w := []float64{1, 5, 4.9}, []float64{0.5, 0.2, 0.3}
	ln, i, err := WeightedMax(lnE, w)
	if err != nil || i != 2 || math.Abs(ln-(4.9+math.Log(0.3))) > 1e-15 {
		t.Errorf("%v %d %v", ln, i, err)
	}
	mean, err := LnWeightedMean(lnE, w)
	want := math.Log(0.5*math.E + 0.2*math.Exp(5) + 0.3*math.Exp(4.9))
	if err != nil || math.Abs(mean-want) > 1e-12 || mean < ln {
		t.Errorf("mean %v %v, want %v", mean, err, want)
	}
	if ln, i, err := WeightedMax([]float64{math.Inf(-1)}, []float64{1}); err != nil || i != 0 || !math.IsInf(ln, -1) {
		t.Errorf("no evidence at all: %v %d %v", ln, i, err)
	}
	for _, tc := range []struct {
		e, w []float64
		want error
	}{
		{nil, nil, ErrUndefined},
		{[]float64{1}, nil, ErrDomain},
		{[]float64{1}, []float64{0}, ErrDomain},
		{[]float64{math.NaN()}, []float64{1}, ErrDomain},
	} {
		if _, _, err := WeightedMax(tc.e, tc.w); !errors.Is(err, tc.want) {
			t.Errorf("%v %v: %v, want %v", tc.e, tc.w, err, tc.want)
		}
		if _, err := LnWeightedMean(tc.e, tc.w); !errors.Is(err, tc.want) {
			t.Errorf("mean %v %v: %v, want %v", tc.e, tc.w, err, tc.want)
		}
	}
}

func TestStartMixtureAndESR(t *testing.T) {
	lnE := []float64{0, 2, 900}
	got, err := StartMixture(lnE)
	if want := 900 + math.Log(1.0/12); err != nil || math.Abs(got-want) > 1e-12 {
		t.Errorf("mixture %v %v, want %v", got, err, want)
	}
	got, err = LnESR([]float64{0, math.Ln2, math.Log(3)})
	if want := math.Log(6); err != nil || math.Abs(got-want) > 1e-14 {
		t.Errorf("e-SR %v %v, want %v", got, err, want)
	}
	for _, f := range []func([]float64) (float64, error){StartMixture, LnESR} {
		if got, err := f(nil); err != nil || !math.IsInf(got, -1) {
			t.Errorf("no process: %v %v", got, err)
		}
		if _, err := f([]float64{math.NaN()}); !errors.Is(err, ErrDomain) {
			t.Errorf("NaN: %v", err)
		}
	}
}

// e-BH against its definition: the largest k such that at least k evidences reach ln(K/(alpha k)).
func TestEBHDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lnE := rapid.SliceOfN(rapid.Float64Range(-2, 8), 0, 12).Draw(t, "lnE")
		alpha := rapid.SampledFrom([]float64{0.01, 0.1, 0.5}).Draw(t, "alpha")
		got, err := EBH(lnE, alpha)
		if err != nil || !slices.IsSorted(got) {
			t.Fatal(got, err)
		}
		want := 0
		for k := 1; k <= len(lnE); k++ {
			reach := 0
			for _, x := range lnE {
				if x >= math.Log(float64(len(lnE))/(alpha*float64(k))) {
					reach++
				}
			}
			if reach >= k {
				want = k
			}
		}
		if len(got) != want {
			t.Fatalf("%d rejected, want %d", len(got), want)
		}
		for i, x := range lnE {
			for _, j := range got {
				if x > lnE[j] && !slices.Contains(got, i) {
					t.Fatalf("rejected %d (%v) but not %d (%v)", j, lnE[j], i, x)
				}
			}
		}
	})
}

func TestSRM(t *testing.T) {
	even, err := SRM([]MultinomialPhase{{[]float64{19000, 19000}, []float64{1, 1}}})
	if err != nil || even >= 0 {
		t.Errorf("balanced units: ln E %v %v, want below 0", even, err)
	}
	skew, err := SRM([]MultinomialPhase{{[]float64{11000, 10100}, []float64{1, 1}}})
	if err != nil || skew < math.Log(1000) {
		t.Errorf("52:48 of 21,100 units: ln E %v %v, want an alarm at .001", skew, err)
	}
	// two cells are the label engine's closed form
	want, err := LabelE(300, 200, 0.25, 100)
	got, err2 := MultinomialSeq([]MultinomialPhase{{[]float64{200, 300}, []float64{1, 3}}}, 100)
	if err != nil || err2 != nil || math.Abs(got-want) > 1e-11 {
		t.Errorf("multinomial %v %v, label %v %v", got, err2, want, err)
	}
	for _, bad := range [][]MultinomialPhase{{{nil, nil}}, {{[]float64{1}, []float64{1, 1}}}, {{[]float64{-1, 1}, []float64{1, 1}}}, {{[]float64{1, 1}, []float64{0, 1}}}} {
		if _, err := SRM(bad); !errors.Is(err, ErrDomain) {
			t.Errorf("%v: %v, want ErrDomain", bad, err)
		}
	}
	if s := PairedStratum(3, 9); s != (LabelStratum{3, 9, 0.5}) {
		t.Errorf("paired stratum %+v", s)
	}
}

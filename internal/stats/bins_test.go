package stats

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func genArm(t *rapid.T, bins int) ArmBins {
	a := ArmBins{N: make([]float64, bins), Y: make([]float64, bins)}
	for b := range bins {
		n := rapid.IntRange(0, 40).Draw(t, "n")
		a.N[b] = float64(n)
		if n > 0 {
			a.Y[b] = float64(rapid.IntRange(0, n).Draw(t, "y"))
		}
	}
	return a
}

// naiveBins writes rule R2 down term by term, for one stratum list with means.
func naiveBins(strata []BinStratum) (d, v float64) {
	type fit struct{ n, theta, v float64 }
	one := func(a ArmBins) (f fit, r []float64) {
		k := 0.0
		for b := range a.N {
			f.n += a.N[b]
			f.theta += a.Y[b]
			if a.N[b] > 0 {
				k++
			}
		}
		f.theta /= f.n
		for b := range a.N {
			r = append(r, a.Y[b]-f.theta*a.N[b])
			f.v += r[b] * r[b] * k / (k - 1) / (f.n * f.n)
		}
		return f, r
	}
	var w, sumD, sumV float64
	for _, s := range strata {
		a, _ := one(s.A)
		b, _ := one(s.B)
		w += a.n * b.n / (a.n + b.n)
	}
	influence := make([]float64, len(strata[0].A.N))
	for _, s := range strata {
		a, ra := one(s.A)
		b, rb := one(s.B)
		ws := a.n * b.n / (a.n + b.n)
		pooled := (a.v*a.n*a.n + b.v*b.n*b.n) / (a.n + b.n)
		sumD += ws * (b.theta - a.theta) / w
		sumV += ws * ws * math.Max(a.v+b.v, pooled*(1/a.n+1/b.n)) / (w * w)
		for i := range influence {
			influence[i] += ws / w * (rb[i]/b.n - ra[i]/a.n)
		}
	}
	between := 0.0
	for _, x := range influence {
		between += x * x
	}
	return sumD, math.Max(sumV, between)
}

func TestBinDifferenceFollowsTheRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var strata []BinStratum
		for range rapid.IntRange(1, 4).Draw(t, "strata") {
			s := BinStratum{A: genArm(t, 24), B: genArm(t, 24)}
			if effectiveBins(s.A.N) < 2 || effectiveBins(s.B.N) < 2 {
				t.Skip("too empty")
			}
			strata = append(strata, s)
		}
		got, err := BinDifference(strata)
		if err != nil {
			t.Fatal(err)
		}
		d, v := naiveBins(strata)
		if math.Abs(got.D-d) > 1e-12 || math.Abs(got.V-v) > 1e-12*v {
			t.Fatalf("D=%v V=%v, want %v %v", got.D, got.V, d, v)
		}
		for i := range strata {
			strata[i].A, strata[i].B = strata[i].B, strata[i].A
		}
		swapped, err := BinDifference(strata)
		if err != nil || math.Abs(swapped.D+got.D) > 1e-12 || math.Abs(swapped.V-got.V) > 1e-12*v {
			t.Fatalf("swapped: D=%v V=%v %v, was %v %v", swapped.D, swapped.V, err, got.D, got.V)
		}
	})
}

// With one user per bin the binned variance is the user-level delta method, here by DeltaRatio with x = requests.
func TestBinsAreDeltaMethod(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const users = 300
	arm := ArmBins{N: make([]float64, users), Y: make([]float64, users)}
	var u UnitSums
	for i := range users {
		n := float64(1 + rng.IntN(50))
		y := math.Round(n * rng.Float64())
		arm.N[i], arm.Y[i] = n, y
		u = u.Merge(UnitSums{1, y, n, y * y, n * n, y * n})
	}
	value, v, v0, err := BinBaseline(arm)
	want, err2 := DeltaRatio(u)
	if err != nil || err2 != nil || math.Abs(value-want.Ratio) > 1e-12 || math.Abs(v-want.Var) > 1e-9*want.Var {
		t.Errorf("bins %v %v (%v), delta method %+v (%v)", value, v, err, want, err2)
	}
	if n := u.SX; math.Abs(v0-v*n) > 1e-12*v0 {
		t.Errorf("v0 %v, want V N = %v", v0, v*n)
	}
	// the same as a ratio of sums over another denominator
	ratio := ArmBins{N: make([]float64, users), Y: arm.Y, X: arm.N}
	for i := range ratio.N {
		ratio.N[i] = 1
	}
	value, v, _, err = BinBaseline(ratio)
	if err != nil || math.Abs(value-want.Ratio) > 1e-12 || math.Abs(v-want.Var) > 1e-9*want.Var {
		t.Errorf("ratio over bins %v %v (%v), delta method %+v", value, v, err, want)
	}
}

// Many users per bin: the binned variance agrees with the naive user-level one within the chance of 256 bins, while
// the request-level formula p(1-p)/n is far too small for users who differ.
func TestBinsAgainstUserLevel(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const users, bins = 20000, 256
	arm := ArmBins{N: make([]float64, bins), Y: make([]float64, bins)}
	var u UnitSums
	for range users {
		n := float64(1 + int(math.Min(200, math.Pow(rng.Float64(), -0.8))))
		p := math.Pow(rng.Float64(), 4)
		y := 0.0
		for range int(n) {
			if rng.Float64() < p {
				y++
			}
		}
		b := rng.IntN(bins)
		arm.N[b] += n
		arm.Y[b] += y
		u = u.Merge(UnitSums{1, y, n, y * y, n * n, y * n})
	}
	value, v, _, err := BinBaseline(arm)
	user, err2 := DeltaRatio(u)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	// relative sd of a variance over k bins is sqrt(2/k) = 8.8 %, heavy tails double it at most
	if r := v / user.Var; r < 0.65 || r > 1.5 {
		t.Errorf("binned variance is %.3f of the user-level one", r)
	}
	if naive := value * (1 - value) / u.SX; v < 2*naive {
		t.Errorf("binned variance %g does not see the users: per request it is %g", v, naive)
	}
}

func TestBinDifferenceEdges(t *testing.T) {
	arm := func(n, y []float64) ArmBins { return ArmBins{N: n, Y: y} }
	ok := arm([]float64{5, 5, 5}, []float64{1, 2, 3})
	for name, tc := range map[string]struct {
		strata []BinStratum
		want   error
	}{
		"nothing":          {nil, ErrUndefined},
		"empty arm":        {[]BinStratum{{A: ok, B: arm([]float64{0, 0, 0}, []float64{0, 0, 0})}}, ErrUndefined},
		"one bin":          {[]BinStratum{{A: ok, B: arm([]float64{9, 0, 0}, []float64{1, 0, 0})}}, ErrUndefined},
		"length":           {[]BinStratum{{A: ok, B: arm([]float64{9, 0}, []float64{1, 0})}}, ErrDomain},
		"negative":         {[]BinStratum{{A: ok, B: arm([]float64{9, -1, 3}, []float64{1, 0, 0})}}, ErrDomain},
		"not a number":     {[]BinStratum{{A: ok, B: arm([]float64{9, 1, 3}, []float64{1, math.NaN(), 0})}}, ErrDomain},
		"zero denominator": {[]BinStratum{{A: ok, B: ArmBins{N: ok.N, Y: ok.Y, X: []float64{0, 0, 0}}}}, ErrUndefined},
	} {
		if _, err := BinDifference(tc.strata); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	flat := arm([]float64{5, 7, 11}, []float64{5 * 0.1, 7 * 0.1, 11 * 0.1})
	e, err := BinDifference([]BinStratum{{A: flat, B: flat}})
	if err != nil || e.V != 0 || e.A.V != 0 {
		t.Errorf("constant outcome: V=%g %v, want exactly 0", e.V, err)
	}
	// a stratum without the candidate is skipped and does not count
	empty := BinStratum{A: ok, B: arm([]float64{0, 0, 0}, []float64{0, 0, 0})}
	e, err = BinDifference([]BinStratum{empty, {A: ok, B: ok}})
	if err != nil || e.Used != 1 || e.A.N != 15 || e.A.Value != 0.4 || e.B.Bins != 3 {
		t.Errorf("skipped stratum: %+v %v", e, err)
	}
}

func TestReadyGate(t *testing.T) {
	even := func(bins int, n, y float64) ArmBins {
		a := ArmBins{N: make([]float64, bins), Y: make([]float64, bins)}
		for b := range bins {
			a.N[b], a.Y[b] = n, y
		}
		return a
	}
	some := func(with int) ArmBins { // 30 bins, the event in the first of them
		a := even(30, 10, 0)
		for b := range with {
			a.Y[b] = 1
		}
		return a
	}
	short := even(20, 5, 1)
	short.N[0], short.Y[0] = 0, 0
	heavy := even(30, 1, 0.5)
	heavy.N[0] = 1000
	for name, tc := range map[string]struct {
		a, b   ArmBins
		binary bool
		want   bool
	}{
		"20 equal bins":         {even(20, 5, 1), even(20, 9, 1), false, true},
		"19 equal bins":         {even(19, 5, 1), even(19, 9, 1), false, false},
		"one heavy live user":   {heavy, even(30, 5, 1), false, false},
		"19 live bins":          {short, even(20, 9, 1), false, false},
		"19 candidate bins":     {even(20, 9, 1), short, false, false},
		"one heavy user":        {even(30, 5, 1), heavy, false, false},
		"event in 10 bins":      {some(10), some(10), true, true},
		"event in 9 bins":       {some(10), some(9), true, false},
		"event in 9, not 0/1":   {some(10), some(9), false, true},
		"everybody has it":      {even(30, 5, 5), even(30, 5, 5), true, false},
		"9 bins without it":     {even(30, 1, 1), even(30, 5, 1), true, false},
		"each outcome in plain": {even(30, 5, 1), even(30, 5, 4), true, true},
	} {
		e, err := BinDifference([]BinStratum{{A: tc.a, B: tc.b}})
		if err != nil || e.Ready(tc.binary) != tc.want {
			t.Errorf("%s: Ready %v (k_eff %.1f %.1f, %+v) %v, want %v", name, e.Ready(tc.binary), e.A.KEff, e.B.KEff, e.B, err, tc.want)
		}
	}
}

func TestPairedBinEffect(t *testing.T) {
	n := []float64{2, 3, 0, 5}
	diff := []float64{1, -1, 0, 2}
	d, v, k, err := PairedBinEffect(n, diff)
	// D = 2/10; r = .6, -1.6, 0, 1; V = 3/2 (.36+2.56+1)/100; k_eff = 100/38
	if err != nil || math.Abs(d-0.2) > 1e-15 || math.Abs(v-1.5*3.92/100) > 1e-15 || math.Abs(k-100.0/38) > 1e-14 {
		t.Errorf("d=%v v=%v k=%v %v", d, v, k, err)
	}
}

func benchStrata(strata int) []BinStratum {
	rng := rand.New(rand.NewPCG(5, 6))
	out := make([]BinStratum, strata)
	for i := range out {
		for _, a := range []*ArmBins{&out[i].A, &out[i].B} {
			a.N, a.Y = make([]float64, 1024), make([]float64, 1024)
			for b := range a.N {
				a.N[b] = float64(rng.IntN(100))
				a.Y[b] = math.Floor(a.N[b] * 0.3 * rng.Float64())
			}
		}
	}
	return out
}

func benchBins(b *testing.B, strata int) {
	s := benchStrata(strata)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := BinDifference(s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBinDifferenceOneStratum(b *testing.B) { benchBins(b, 1) }
func BenchmarkBinDifferenceFiveStrata(b *testing.B) { benchBins(b, 5) }
func BenchmarkMixtureThreeStatements(b *testing.B) {
	m, _ := VarianceMixture(0.2)
	for b.Loop() {
		m.LnAbove(0.01, 1e-5, 0)
		m.LnBelow(0.01, 1e-5, 0.02)
		m.Interval(0.01, 1e-5, 0.05)
	}
}

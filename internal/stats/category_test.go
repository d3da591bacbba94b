package stats

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// naiveDrift recomputes everything from scratch for every left-out bin, with entropies.
func naiveDrift(a, b [][]float64) (bits, v float64) {
	entropy := func(p []float64) float64 {
		h := 0.0
		for _, x := range p {
			if x > 0 {
				h -= x * math.Log2(x)
			}
		}
		return h
	}
	js := func(skip int) float64 {
		sum := func(rows [][]float64) []float64 {
			out := make([]float64, len(rows[0]))
			n := 0.0
			for i, r := range rows {
				if i == skip {
					continue
				}
				for c, x := range r {
					out[c] += x
					n += x
				}
			}
			for c := range out {
				out[c] /= n
			}
			return out
		}
		p, q := sum(a), sum(b)
		m := make([]float64, len(p))
		for c := range m {
			m[c] = (p[c] + q[c]) / 2
		}
		return entropy(m) - entropy(p)/2 - entropy(q)/2
	}
	var left []float64
	for i := range a {
		left = append(left, js(i))
	}
	mom := MomentsOf(left)
	k := mom.N
	return k*js(-1) - (k-1)*mom.Mean, (k - 1) / k * mom.M2
}

func TestCategoryDriftAgainstNaive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table := func(name string) [][]float64 {
			rows := make([][]float64, 12)
			for b := range rows {
				rows[b] = make([]float64, 4)
				for c := range rows[b] {
					rows[b][c] = float64(rapid.IntRange(0, 20).Draw(t, name))
				}
				rows[b][b%4]++ // no empty bin
			}
			return rows
		}
		a, b := table("a"), table("b")
		got, err := CategoryDrift(CategoryStratum{a, b})
		bits, v := naiveDrift(a, b)
		if err != nil || math.Abs(got.Bits-bits) > 1e-10 || math.Abs(got.V-v) > 1e-10*(1e-3+v) || got.Bins != 12 {
			t.Fatalf("%+v %v, want %v %v", got, err, bits, v)
		}
		swapped, _ := CategoryDrift(CategoryStratum{b, a})
		if math.Abs(swapped.Bits-got.Bits) > 1e-12 || math.Abs(swapped.V-got.V) > 1e-12 {
			t.Fatalf("swapped %+v, was %+v", swapped, got)
		}
	})
}

// categoryTable draws rows of bins with users of one category each, so that bins are correlated within.
func categoryTable(rng *rand.Rand, bins, perBin int, p []float64) [][]float64 {
	rows := make([][]float64, bins)
	for b := range rows {
		rows[b] = make([]float64, len(p))
		for range perBin {
			u, c := rng.Float64(), 0
			for u > p[c] && c < len(p)-1 {
				u -= p[c]
				c++
			}
			rows[b][c] += 3 // a user asks three times and gets one category
		}
	}
	return rows
}

// Equal versions: the plug-in value is biased upward, the jackknife is not; its variance matches the scatter at a real drift.
func TestCategoryDriftCalibrated(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	p := []float64{0.4, 0.3, 0.2, 0.1}
	q := []float64{0.25, 0.3, 0.2, 0.25}
	js := func() float64 {
		d, err := Divergence([]float64{40, 30, 20, 10}, []float64{25, 30, 20, 25}, 0)
		if err != nil {
			t.Fatal(err)
		}
		return d.JSBits
	}()
	var same, raw, moved, claimed Moments
	const runs = 300
	for range runs {
		d, err := CategoryDrift(CategoryStratum{categoryTable(rng, 64, 8, p), categoryTable(rng, 64, 2, p)})
		if err != nil {
			t.Fatal(err)
		}
		same.Add(d.Bits)
		raw.Add(d.Raw)
		d, err = CategoryDrift(CategoryStratum{categoryTable(rng, 64, 8, p), categoryTable(rng, 64, 2, q)})
		if err != nil {
			t.Fatal(err)
		}
		moved.Add(d.Bits)
		claimed.Add(d.V)
	}
	within := func(m Moments, want float64) bool {
		v, _ := m.Variance()
		return math.Abs(m.Mean-want) < 4*math.Sqrt(v/m.N)
	}
	if !within(same, 0) || within(raw, 0) {
		t.Errorf("no drift: corrected %v, plug-in %v; want the first near 0 only", same, raw)
	}
	if !within(moved, js) {
		t.Errorf("drift %v, want about %v", moved, js)
	}
	if v, _ := moved.Variance(); claimed.Mean/v < 0.75 || claimed.Mean/v > 1.4 {
		t.Errorf("jackknife variance %g, scatter %g", claimed.Mean, v)
	}
}

func TestCategoryDriftStrataAndEdges(t *testing.T) {
	a := [][]float64{{3, 1}, nil, {2, 2}, {5, 0}}
	b := [][]float64{{1, 3}, {1, 1}, nil, {2, 2}}
	one, err := CategoryDrift(CategoryStratum{a, b})
	if err != nil || one.Bins != 4 || one.Used != 1 {
		t.Fatalf("%+v %v", one, err)
	}
	alone := CategoryStratum{a, make([][]float64, 4)} // no candidate: adds nothing
	if two, err := CategoryDrift(alone, CategoryStratum{a, b}); err != nil || two != one {
		t.Errorf("%+v %v, want %+v", two, err, one)
	}
	twice, err := CategoryDrift(CategoryStratum{a, b}, CategoryStratum{a, b})
	if err != nil || math.Abs(twice.Bits-one.Bits) > 1e-12 || math.Abs(twice.V-one.V) > 1e-12 {
		t.Errorf("the same stratum twice %+v %v, want %+v: the same users add no information", twice, err, one)
	}
	apart, err := CategoryDrift(CategoryStratum{[][]float64{{1, 0}, {1, 0}, {1, 0}}, [][]float64{{0, 1}, {0, 1}, {0, 1}}})
	if err != nil || math.Abs(apart.Bits-1) > 1e-15 || apart.V != 0 {
		t.Errorf("no common category: %+v %v, want 1 bit", apart, err)
	}
	for name, tc := range map[string]struct {
		s    []CategoryStratum
		want error
	}{
		"none":      {nil, ErrUndefined},
		"one arm":   {[]CategoryStratum{alone}, ErrUndefined},
		"two bins":  {[]CategoryStratum{{[][]float64{{1, 1}, {1, 2}}, [][]float64{{1, 1}, {1, 2}}}}, ErrUndefined},
		"ragged":    {[]CategoryStratum{{[][]float64{{1, 1}, {1}}, [][]float64{{1, 1}, {1, 2}}}}, ErrDomain},
		"bins":      {[]CategoryStratum{{[][]float64{{1, 1}}, nil}}, ErrDomain},
		"negative":  {[]CategoryStratum{{[][]float64{{1, -1}}, [][]float64{{1, 1}}}}, ErrDomain},
		"not a num": {[]CategoryStratum{{[][]float64{{1, math.NaN()}}, [][]float64{{1, 1}}}}, ErrDomain},
	} {
		if _, err := CategoryDrift(tc.s...); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

func BenchmarkCategoryDrift(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	p := []float64{0.2, 0.2, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05}
	s := CategoryStratum{categoryTable(rng, 1024, 10, p), categoryTable(rng, 1024, 10, p)}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := CategoryDrift(s); err != nil {
			b.Fatal(err)
		}
	}
}

package main

import (
	"hash/fnv"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat/distuv"

	"sluice.dev/sluice/internal/release"
)

// chance is a seeded source of draws. Every replication of every cell has one of its own, so that a row does not depend on
// which other rows are made, nor on the number of cores.
type chance struct{ *rand.Rand }

func newChance(seed uint64, cell string, run int) chance {
	h := fnv.New64a()
	h.Write([]byte(cell))
	return chance{rand.New(rand.NewPCG(seed^h.Sum64(), uint64(run)))}
}

func (c chance) flip(p float64) bool { return c.Float64() < p }

// binomial is exact: few successes by the gaps between them, many by rejection.
func (c chance) binomial(n int, p float64) int {
	switch {
	case n <= 0 || p <= 0:
		return 0
	case p >= 1:
		return n
	case p > 0.5:
		return n - c.binomial(n, 1-p)
	case float64(n)*p > 8:
		return int(distuv.Binomial{N: float64(n), P: p, Src: c.Rand}.Rand())
	}
	k, at := 0, 0.0
	for ln := math.Log1p(-p); ; k++ {
		at += math.Floor(math.Log1p(-c.Float64())/ln) + 1
		if at > float64(n) {
			return k
		}
	}
}

// multinomial splits n by shares that add up to 1.
func (c chance) multinomial(n int, shares []float64, out []int) {
	left := 1.0
	for i, s := range shares {
		if i == len(shares)-1 {
			out[i] = n
			return
		}
		out[i] = c.binomial(n, math.Min(1, s/left))
		n -= out[i]
		left -= s
	}
}

func (c chance) gamma(a float64) float64 { return distuv.Gamma{Alpha: a, Beta: 1, Src: c.Rand}.Rand() }

func (c chance) poisson(mean float64) float64 {
	return distuv.Poisson{Lambda: mean, Src: c.Rand}.Rand()
}

// beta draws a rate of mean p; k is the sum of its parameters.
func (c chance) beta(p, k float64) float64 {
	a, b := c.gamma(p*k), c.gamma((1-p)*k)
	if a+b == 0 { // both underflow for a tiny k: the mean is what is left
		return p
	}
	return a / (a + b)
}

// trials draws how many requests it takes until the n-th event, of chance q each.
func (c chance) trials(n int, q float64) float64 {
	if q >= 1 {
		return float64(n)
	}
	return float64(n) + c.poisson(c.gamma(float64(n))*(1-q)/q)
}

// bins draws n bins of users.
func (c chance) bins(n int, out []uint16) []uint16 {
	out = out[:0]
	for len(out) < n {
		for w, i := c.Uint64(), 0; i < 6 && len(out) < n; i++ {
			out = append(out, uint16(w%release.Bins))
			w /= release.Bins
		}
	}
	return out
}

// zipf draws users of unequal activity: the i-th most active sends requests in proportion to i^-z (z = 0: all alike). The alias method, one
// table for all runs.
type zipf struct {
	cut   []float64
	alias []int32
}

func newZipf(n int, z float64) *zipf {
	t := &zipf{make([]float64, n), make([]int32, n)}
	sum := 0.0
	for i := range n {
		t.cut[i] = math.Pow(float64(i+1), -z)
		sum += t.cut[i]
	}
	var small, large []int32
	for i := range n {
		t.cut[i] *= float64(n) / sum
		if t.cut[i] < 1 {
			small = append(small, int32(i))
		} else {
			large = append(large, int32(i))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		s, l := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		t.alias[s] = l
		if t.cut[l] -= 1 - t.cut[s]; t.cut[l] < 1 {
			large, small = large[:len(large)-1], append(small, l)
		}
	}
	for _, rest := range [][]int32{small, large} { // rounding left them just below or above 1
		for _, i := range rest {
			t.cut[i] = 1
		}
	}
	return t
}

func (t *zipf) draw(c chance) int {
	x := c.Float64() * float64(len(t.cut))
	i := int(x)
	if x-float64(i) < t.cut[i] {
		return i
	}
	return int(t.alias[i])
}

// klBernoulli is KL(p || q) in nats.
func klBernoulli(p, q float64) float64 {
	return p*math.Log(p/q) + (1-p)*math.Log((1-p)/(1-q))
}

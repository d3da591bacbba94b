package main

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat/distuv"
)

// chance is a seeded source of draws.
type chance struct{ *rand.Rand }

func newChance(seed, stream uint64) chance { return chance{rand.New(rand.NewPCG(seed, stream))} }

func (c chance) flip(p float64) bool { return c.Float64() < p }

// binomial is exact: few trials one by one, many by rejection.
func (c chance) binomial(n int, p float64) float64 {
	switch {
	case n <= 0 || p <= 0:
		return 0
	case p >= 1:
		return float64(n)
	case n <= 16:
		k := 0.0
		for range n {
			if c.flip(p) {
				k++
			}
		}
		return k
	}
	return distuv.Binomial{N: float64(n), P: p, Src: c.Rand}.Rand()
}

func (c chance) gamma(a float64) float64 { return distuv.Gamma{Alpha: a, Beta: 1, Src: c.Rand}.Rand() }

// beta draws a rate of mean p; k is the sum of its parameters.
func (c chance) beta(p, k float64) float64 {
	a, b := c.gamma(p*k), c.gamma((1-p)*k)
	if a+b == 0 { // both underflow for a tiny k: the mean is what is left
		return p
	}
	return a / (a + b)
}

// traffic draws one look's requests of two arms with event rates pA and pB.
type traffic struct{ nA, kA, nB, kB float64 }

func (t *traffic) add(c chance, requests int, rho, pA, pB float64) {
	nB := c.binomial(requests, rho)
	nA := float64(requests) - nB
	t.nA += nA
	t.nB += nB
	t.kA += c.binomial(int(nA), pA)
	t.kB += c.binomial(int(nB), pB)
}

// klBernoulli is KL(p || q) in nats.
func klBernoulli(p, q float64) float64 {
	return p*math.Log(p/q) + (1-p)*math.Log((1-p)/(1-q))
}

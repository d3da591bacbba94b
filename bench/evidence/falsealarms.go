package main

import (
	"fmt"
	"math"

	"sluice.dev/sluice/internal/stats"
)

// looks are at every event up to about 60, then 3 % apart.
func looks(events int) []int {
	var out []int
	for n := 1; n <= events; n = max(n+1, int(float64(n)*1.03)) {
		out = append(out, n)
	}
	return out
}

func label(sigma float64, strata ...stats.LabelStratum) stats.Label {
	l, err := stats.NewLabel(strata, sigma)
	if err != nil {
		panic(err) // counts and shares here are always inside the domain
	}
	return l
}

// labelAA is F1 and F2: identical versions, E1 one-sided each way.
func labelAA(c chance, n int) (out []row) {
	const events = 100_000
	for _, rho := range []float64{.5, .1, .01} {
		var up, down, up01 int
		for range n {
			var k stats.LabelStratum
			k.Rho = rho
			above, below := 0.0, 0.0
			seen := 0
			for _, at := range looks(events) {
				b := c.binomial(at-seen, rho)
				k.KB += b
				k.KA += float64(at-seen) - b
				seen = at
				l := label(0.5, k)
				above, below = max(above, l.LnAbove(0)), max(below, l.LnBelow(0))
			}
			up += hit(above >= -math.Log(alpha))
			down += hit(below >= -math.Log(alpha))
			up01 += hit(above >= -math.Log(.01))
		}
		what := fmt.Sprintf("E1, identical, share %g, to 100,000 events", rho)
		out = append(out, rate("F1", what+", worse", up, n, alpha), rate("F1", what+", better", down, n, alpha), rate("F2", what+", alpha .01", up01, n, .01))
	}
	return out
}

func hit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// difference is E2's estimate for shares, with V = max(unpooled, pooled); ok after the burn-in.
func (t *traffic) difference() (d, v float64, ok bool) {
	if min(t.nA, t.nB) < 100 || min(t.kA, t.kB, t.nA-t.kA, t.nB-t.kB) < 10 {
		return 0, 0, false
	}
	a, b, p := t.kA/t.nA, t.kB/t.nB, (t.kA+t.kB)/(t.nA+t.nB)
	return b - a, max(a*(1-a)/t.nA+b*(1-b)/t.nB, p*(1-p)*(1/t.nA+1/t.nB)), true
}

func mixture(p float64) stats.Mixture {
	m, err := stats.VarianceMixture(p * (1 - p))
	if err != nil {
		panic(err)
	}
	return m
}

// mixtureAA is F3: identical versions, a share of 60 %, E2 one-sided each way.
func mixtureAA(c chance, n int) (out []row) {
	const requests, step = 100_000, 200
	m := mixture(.6)
	for _, rho := range []float64{.5, .05} {
		up, down := 0, 0
		for range n {
			var t traffic
			above, below := false, false
			for range requests / step {
				t.add(c, step, rho, .6, .6)
				if d, v, ok := t.difference(); ok {
					above = above || lnE(m.LnAbove(d, v, 0)) >= -math.Log(alpha)
					below = below || lnE(m.LnBelow(d, v, 0)) >= -math.Log(alpha)
				}
			}
			up += hit(above)
			down += hit(below)
		}
		what := fmt.Sprintf("E2, 60 %%, identical, share %g, to 100,000 requests", rho)
		out = append(out, rate("F3", what+", worse", down, n, alpha), rate("F3", what+", better", up, n, alpha))
	}
	return out
}

func lnE(ln float64, err error) float64 {
	if err != nil {
		panic(err)
	}
	return ln
}

// ratioAA is F10: units assigned as the shares say.
func ratioAA(c chance, n int) []row {
	hits := 0
	for range n {
		sup := 0.0
		b, seen := 0.0, 0
		for _, at := range looks(500_000) {
			b += c.binomial(at-seen, .5)
			seen = at
			sup = max(sup, lnE(stats.SRM([]stats.MultinomialPhase{{Counts: []float64{float64(at) - b, b}, Shares: []float64{.5, .5}}})))
		}
		hits += hit(sup >= -math.Log(alpha))
	}
	return []row{rate("F10", "sample ratio, assigned 1:1, to 500,000 units", hits, n, alpha)}
}

// falseNoWorse is F12: the candidate is worse by exactly the margin.
func falseNoWorse(c chance, n int) (out []row) {
	for _, f := range []float64{1.25, 1.5, 2} {
		hits := 0
		for range n {
			theta, k, shown, seen := .5*f/(.5+.5*f), stats.LabelStratum{Rho: .5}, false, 0
			for _, at := range looks(20_000) {
				b := c.binomial(at-seen, theta)
				k.KB, k.KA, seen = k.KB+b, k.KA+float64(at-seen)-b, at
				shown = shown || label(.5, k).LnBelow(math.Log(f)) >= -math.Log(alpha)
			}
			hits += hit(shown)
		}
		out = append(out, rate("F12", fmt.Sprintf("E1, false \"no worse\" at a rate ratio of the margin, %gx", f), hits, n, alpha))
	}
	for _, p := range []float64{.001, .01} {
		hits := 0
		for range n {
			var t traffic
			shown := false
			for range 60 {
				t.add(c, 1000, .5, p, p+.005)
				v, err := stats.NoWorseInPoints(t.kA, t.nA, t.kB, t.nB, .005, alpha)
				if err != nil {
					panic(err)
				}
				shown = shown || v.Shown
			}
			hits += hit(shown)
		}
		out = append(out, rate("F12", fmt.Sprintf("R3, false \"no worse\" at the margin of 0.5 points, live %g %%", 100*p), hits, n, alpha))
	}
	return out
}

package main

import (
	"fmt"
	"math"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/stats"
)

var want = -math.Log(alpha)

// eventDelay measures E1's requests until "worse" is shown.
func eventDelay(c chance, n int, id string, pA, pB, rho, target float64) row {
	step := max(1, int(target/150))
	var at []int
	never := 0
	for range n {
		var t traffic
		found := 0
		for i := 1; i <= 1500 && found == 0; i++ { // ten times the target
			t.add(c, step, rho, pA, pB)
			if label(.5, stats.LabelStratum{KA: t.kA, KB: t.kB, Rho: rho}).LnAbove(0) >= want {
				found = i * step
			}
		}
		if found == 0 {
			never++
			continue
		}
		at = append(at, found)
	}
	events := (1-rho)*pA + rho*pB // per request
	theta := rho * pB / events
	what := fmt.Sprintf("E1, errors %g -> %g %%, share %g", 100*pA, 100*pB, rho)
	return delay(id, what, at, never, "requests", target, want/(events*klBernoulli(theta, rho)))
}

// shareDelay measures E2's requests until a lower share is shown.
func shareDelay(c chance, n int, pA, pB, rho, target float64) row {
	step := max(1, int(target/150))
	m := mixture(pA)
	var at []int
	never := 0
	for range n {
		var t traffic
		found := 0
		for i := 1; i <= 1500 && found == 0; i++ {
			t.add(c, step, rho, pA, pB)
			if d, v, ok := t.difference(); ok && lnE(m.LnBelow(d, v, 0)) >= want {
				found = i * step
			}
		}
		if found == 0 {
			never++
			continue
		}
		at = append(at, found)
	}
	// The null rate that is hardest to tell apart is the pooled one.
	p := (1-rho)*pA + rho*pB
	kl := (1-rho)*klBernoulli(pA, p) + rho*klBernoulli(pB, p)
	return delay("D6", fmt.Sprintf("E2, %.4g -> %.4g %%, share %g", 100*pA, 100*pB, rho), at, never, "requests", target, want/kl)
}

// pairsDelay is D9: the candidate alone fails in 1.5 % of the pairs, live alone in 0.5 %.
func pairsDelay(c chance, n int) []row {
	var at []int
	never := 0
	for range n {
		a, b, found := 0.0, 0.0, 0
		for i := 1; i <= 20_000 && found == 0; i += 10 {
			b1 := c.binomial(10, .015)
			b += b1
			a += c.binomial(10-int(b1), .005/.985)
			if label(.5, stats.PairedStratum(a, b)).LnAbove(0) >= want {
				found = i + 9
			}
		}
		if found == 0 {
			never++
			continue
		}
		at = append(at, found)
	}
	return []row{delay("D9", "shadow pairs, 1.5 % fail in the candidate alone, 0.5 % in live alone", at, never, "pairs", 2150, want/(.02*klBernoulli(.75, .5)))}
}

// ratioDelay is D11: 51:49 instead of 1:1, at alpha .05.
func ratioDelay(c chance, n int) []row {
	var at []int
	never := 0
	for range n {
		b, found := 0.0, 0
		for i := 250; i <= 200_000 && found == 0; i += 250 {
			b += c.binomial(250, .51)
			if lnE(stats.SRM([]stats.MultinomialPhase{{Counts: []float64{float64(i) - b, b}, Shares: []float64{.5, .5}}})) >= want {
				found = i
			}
		}
		if found == 0 {
			never++
			continue
		}
		at = append(at, found)
	}
	return []row{delay("D11", "sample ratio 51:49", at, never, "units", 22_000, want/klBernoulli(.51, .5))}
}

// watchDelay is D13: after 10,000 harmless events in windows of 100 the rate ratio becomes 1.5.
func watchDelay(c chance, n int) []row {
	const window, quiet = 100, 100
	rule := judge.WatchRule{Sigma: .5, ARL: 1000, Alpha: alpha}
	var esr, mixed []int
	lost := [2]int{}
	for range n {
		var w judge.Watch
		k := stats.LabelStratum{Rho: .5}
		advance := func(theta float64) {
			b := c.binomial(window, theta)
			k.KB, k.KA = k.KB+b, k.KA+window-b
			var err error
			if w, err = w.Advance([]stats.LabelStratum{k}); err != nil {
				panic(err)
			}
		}
		for range quiet {
			advance(.5)
		}
		e, m := 0, 0
		for i := 1; i <= 40 && (e == 0 || m == 0); i++ {
			advance(.6)
			l, err := w.Look(rule)
			if err != nil {
				panic(err)
			}
			if l.ESR && e == 0 {
				e = i * window
			}
			if l.Mixture && m == 0 {
				m = i * window
			}
		}
		esr, lost[0] = note(esr, e, lost[0])
		mixed, lost[1] = note(mixed, m, lost[1])
	}
	bound := want / klBernoulli(.6, .5)
	return []row{
		delay("D13", "e-SR, ARL 1000 windows of 100 events", esr, lost[0], "events", 420, math.Log(1000)/klBernoulli(.6, .5)),
		delay("D13", "start-time mixture, after 100 windows of 100 events", mixed, lost[1], "events", 650, bound),
	}
}

func note(at []int, found, lost int) ([]int, int) {
	if found == 0 {
		return at, lost + 1
	}
	return append(at, found), lost
}

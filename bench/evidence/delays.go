package main

import (
	"fmt"
	"math"

	"sluice.dev/sluice/internal/stats"
)

// engineDelays are D1-D7 and D9-D12: requests until an engine has shown what is true, one request per unit.
func engineDelays() []cell {
	return []cell{
		eventDelay("D1", .01, .02, .5, 4700), eventDelay("D1", .01, .02, .1, 12_000), eventDelay("D1", .01, .02, .05, 23_000),
		eventDelay("D1", .01, .02, .01, 106_000),
		eventDelay("D2", .01, .015, .5, 13_300), eventDelay("D2", .01, .015, .1, 37_800),
		eventDelay("D3", .01, .012, .5, 85_500),
		eventDelay("D4", .001, .002, .5, 45_800), eventDelay("D4", .001, .005, .1, 18_500),
		eventDelay("D5", .005, .05, .05, 2750), eventDelay("D5", .01, .5, .01, 1080),
		shareDelay(.6, .57, .5, 7500), shareDelay(.6, .57, .1, 21_900),
		costDelay(.5, 6500), costDelay(.05, 35_000),
		pairsDelay(),
		ratioNoWorseDelay(.5, 20_700), ratioNoWorseDelay(.1, 57_500),
		sampleRatioDelay(),
		classDelay(.5, 4000), classDelay(.1, 9200),
	}
}

// eventDelay measures E1's requests until "worse" is shown, with a look after each event.
func eventDelay(id string, pA, pB, rho, target float64) cell {
	events := (1-rho)*pA + rho*pB // per request
	theta := rho * pB / events
	f := above(rho, 0, want, int(20*target*events)+200)
	name := fmt.Sprintf("E1, errors %.4g -> %.4g %%, share %g", 100*pA, 100*pB, rho)
	return cell{
		id: id, name: name, reps: 2000,
		run: func(c chance) result {
			n := f().first(c, theta)
			if math.IsInf(n, 1) {
				return result{n}
			}
			return result{c.trials(int(n), events)}
		},
		rows: func(x results) []row {
			return []row{delay(id, name, x, 0, "requests", target, want/(events*klBernoulli(theta, rho)))}
		},
	}
}

// sequence looks every step requests until found says so, ten times the target at most.
func sequence(target float64, found func(step int) bool) float64 {
	step := max(1, int(target/250))
	for i := 1; i <= 2500; i++ {
		if found(step) {
			return float64(i * step)
		}
	}
	return math.Inf(1)
}

// shareDelay is D6: E2's requests until a lower share is shown.
func shareDelay(pA, pB, rho, target float64) cell {
	m := mixture(pA)
	// The null rate that is hardest to tell apart is the pooled one.
	p := (1-rho)*pA + rho*pB
	kl := (1-rho)*klBernoulli(pA, p) + rho*klBernoulli(pB, p)
	name := fmt.Sprintf("E2, %.4g -> %.4g %%, share %g", 100*pA, 100*pB, rho)
	return cell{
		id: "D6", name: name, reps: 2000,
		run: func(c chance) result {
			var t traffic
			return result{sequence(target, func(step int) bool {
				t.add(c, step, rho, pA, pB)
				d, v, ok := t.difference()
				return ok && must(m.LnBelow(d, v, 0)) >= want
			})}
		},
		rows: func(x results) []row { return []row{delay("D6", name, x, 0, "requests", target, want/kl)} },
	}
}

// costDelay is D7: 15 % more of a heavy-tailed cost, capped at p99. The bound is the normal approximation's, d^2/2V.
func costDelay(rho, target float64) cell {
	name := fmt.Sprintf("E2, lognormal cost (1.5) +15 %%, capped at p99, share %g", rho)
	m := must(stats.VarianceMixture(v0))
	more, _ := cappedLognormal(costSpread, costCap/1.15)
	d := 1.15*more - costMean
	return cell{
		id: "D7", name: name, reps: 1000,
		run: func(c chance) result {
			var t costs
			return result{sequence(target, func(step int) bool {
				t.add(c, step, rho, 1.15)
				d, v, ok := t.difference(true)
				return ok && must(m.LnAbove(d, v, 0)) >= want
			})}
		},
		rows: func(x results) []row {
			return []row{delay("D7", name, x, 0, "requests", target, want/(d*d/2*rho*(1-rho)/v0))}
		},
	}
}

// pairsDelay is D9: the candidate alone fails in 1.5 % of the pairs, live alone in 0.5 %; a look after each discordant pair.
func pairsDelay() cell {
	const name = "shadow pairs, 1.5 % fail in the candidate alone, 0.5 % in live alone"
	f := above(.5, 0, want, 5000)
	return cell{
		id: "D9", name: name, reps: 2000,
		run: func(c chance) result {
			n := f().first(c, .75)
			if math.IsInf(n, 1) {
				return result{n}
			}
			return result{c.trials(int(n), .02)}
		},
		rows: func(x results) []row {
			return []row{delay("D9", name, x, 0, "pairs", 2150, want/(.02*klBernoulli(.75, .5)))}
		},
	}
}

// ratioNoWorseDelay is D10 for a margin that is a ratio: requests until identical versions are shown no worse than 1.5x.
func ratioNoWorseDelay(rho, target float64) cell {
	f := below(rho, math.Log(1.5), want, int(20*target*.01))
	name := fmt.Sprintf("E1, \"no worse\" than 1.5x, identical, errors 1 %%, share %g", rho)
	return cell{
		id: "D10", name: name, reps: 2000,
		run: func(c chance) result {
			n := f().first(c, 1-rho)
			if math.IsInf(n, 1) {
				return result{n}
			}
			return result{c.trials(int(n), .01)}
		},
		rows: func(x results) []row {
			return []row{delay("D10", name, x, 0, "requests", target, want/(.01*klBernoulli(rho, tilted(rho, math.Log(1.5)))))}
		},
	}
}

// sampleRatioDelay is D11: 51:49 instead of 1:1, at alpha .05.
func sampleRatioDelay() cell {
	const name = "sample ratio 51:49"
	return cell{
		id: "D11", name: name, reps: 2000,
		run: func(c chance) result {
			n, b := 0.0, 0.0
			return result{sequence(22_000, func(step int) bool {
				n, b = n+float64(step), b+float64(c.binomial(step, .51))
				return must(stats.SRM([]stats.MultinomialPhase{{Counts: []float64{n - b, b}, Shares: []float64{.5, .5}}})) >= want
			})}
		},
		rows: func(x results) []row {
			return []row{delay("D11", name, x, 0, "units", 22_000, want/klBernoulli(.51, .5))}
		},
	}
}

const (
	classSigma = 0.3
	classes    = 10
	rareClass  = 0.034
)

// classShares are ten classes, one of them rare and, under the candidate, twice as frequent.
func classShares() (live, cand []float64) {
	live, cand = make([]float64, classes), make([]float64, classes)
	for i := range classes {
		live[i], cand[i] = (1-rareClass)/(classes-1), (1-2*rareClass)/(classes-1)
	}
	live[0], cand[0] = rareClass, 2*rareClass
	return live, cand
}

// drawClasses adds requests' answers by class.
func drawClasses(c chance, n int, shares, to []float64) {
	got := make([]int, len(shares))
	c.multinomial(n, shares, got)
	for i, k := range got {
		to[i] += float64(k)
	}
}

// lnClasses is E1 over classes: half on their product (a drift of all), half on their mean (one class out of many).
func lnClasses(a, b []float64, rho float64) float64 {
	sum := 0.0
	parts := make([]float64, len(a))
	for i := range a {
		parts[i] = must(stats.LabelE(a[i], b[i], rho, must(stats.LabelConcentration(classSigma, rho))))
		sum += parts[i]
	}
	return stats.LogSumExp(sum-math.Ln2, stats.LogSumExp(parts...)-math.Log(float64(len(a)))-math.Ln2)
}

// classDelay is D12.
func classDelay(rho, target float64) cell {
	name := fmt.Sprintf("E1 over classes, one of ten doubles (3.4 -> 6.8 %%), share %g", rho)
	live, cand := classShares()
	kl := 0.0
	for i := range live {
		p := (1-rho)*live[i] + rho*cand[i]
		kl += (1-rho)*live[i]*math.Log(live[i]/p) + rho*cand[i]*math.Log(cand[i]/p)
	}
	return cell{
		id: "D12", name: name, reps: 1000,
		run: func(c chance) result {
			a, b := make([]float64, classes), make([]float64, classes)
			return result{sequence(target, func(step int) bool {
				nB := c.binomial(step, rho)
				drawClasses(c, step-nB, live, a)
				drawClasses(c, nB, cand, b)
				return lnClasses(a, b, rho) >= want
			})}
		},
		rows: func(x results) []row { return []row{delay("D12", name, x, 0, "requests", target, want/kl)} },
	}
}

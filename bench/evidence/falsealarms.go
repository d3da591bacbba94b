package main

import (
	"fmt"
	"math"

	"sluice.dev/sluice/internal/stats"
)

// engineAlarms are F1-F5, F9, F10 and F12: the engines alone, one request per unit.
func engineAlarms() (out []cell) {
	for _, rho := range []float64{.5, .1, .05, .01} {
		out = append(out, labelAA(rho))
	}
	out = append(out, mixtureAA(.5), mixtureAA(.05), costAA(.05, true), costAA(.5, true), costAA(.05, false))
	out = append(out, rampAA("x6 up", 6), rampAA("x6 down", 1./6), realisedAA(), ratioAA())
	for _, f := range []float64{1.25, 1.5, 2} {
		out = append(out, labelAtMargin(f))
	}
	return out
}

const manyEvents = 1_000_000

// labelAA is F1 and F2: identical versions, E1 one-sided each way, a look after every event up to 1e6.
func labelAA(rho float64) cell {
	up, up01 := above(rho, 0, want, manyEvents), above(rho, 0, math.Log(100), manyEvents)
	down, down01 := below(rho, 0, want, manyEvents), below(rho, 0, math.Log(100), manyEvents)
	noWorse := below(rho, math.Log(1.25), want, manyEvents)
	const worse, worse01, better, better01, decided, power = 0, 1, 2, 3, 4, 5
	return cell{
		id: "F1", name: fmt.Sprintf("E1, identical, share %g, a look after each of 1e6 events", rho), reps: 2000,
		run: func(c chance) result {
			r := make(result, 6)
			for _, s := range []struct {
				at, strict func() *frontier
				theta      float64
				to         int
			}{{up, up01, rho, worse}, {down, down01, 1 - rho, better}} {
				var w walk
				if w.until(c, s.at(), s.theta) {
					r[s.to] = 1
					r[s.to+1] = hit(w.until(c, s.strict(), s.theta))
				}
			}
			r[decided] = hit(!math.IsInf(noWorse().first(c, 1-rho), 1))
			r[power] = hit(!math.IsInf(up().first(c, tilted(rho, math.Log(1.25))), 1))
			return r
		},
		rows: func(x results) []row {
			what := fmt.Sprintf("E1, identical, share %g, a look after each of 1e6 events: ", rho)
			return []row{
				alarm("F1", what+"worse", x, worse, alpha, decided, power), alarm("F1", what+"better", x, better, alpha, decided, power),
				alarm("F2", what+"worse at .01", x, worse01, .01, decided, power), alarm("F2", what+"better at .01", x, better01, .01, decided, power),
			}
		},
	}
}

// traffic are requests of two arms and how many of them had the event.
type traffic struct{ nA, kA, nB, kB float64 }

func (t *traffic) add(c chance, requests int, rho, pA, pB float64) {
	nB := c.binomial(requests, rho)
	t.nA += float64(requests - nB)
	t.nB += float64(nB)
	t.kA += float64(c.binomial(requests-nB, pA))
	t.kB += float64(c.binomial(nB, pB))
}

func (t *traffic) plus(m traffic) { *t = traffic{t.nA + m.nA, t.kA + m.kA, t.nB + m.nB, t.kB + m.kB} }

func (t *traffic) label(rho float64) stats.LabelStratum {
	return stats.LabelStratum{KA: t.kA, KB: t.kB, Rho: rho}
}

// difference is E2's estimate for shares, with V = max(unpooled, pooled); ok after the burn-in.
func (t *traffic) difference() (d, v float64, ok bool) {
	if min(t.nA, t.nB) < 100 || min(t.kA, t.kB, t.nA-t.kA, t.nB-t.kB) < 10 {
		return 0, 0, false
	}
	a, b, p := t.kA/t.nA, t.kB/t.nB, (t.kA+t.kB)/(t.nA+t.nB)
	return b - a, max(a*(1-a)/t.nA+b*(1-b)/t.nB, p*(1-p)*(1/t.nA+1/t.nB)), true
}

func mixture(p float64) stats.Mixture { return must(stats.VarianceMixture(p * (1 - p))) }

// sides looks at E2 one-sided each way, and against a margin.
type sides struct{ above, below, noWorse bool }

func (s *sides) look(m stats.Mixture, d, v, margin float64) {
	s.above = s.above || must(m.LnAbove(d, v, 0)) >= want
	s.below = s.below || must(m.LnBelow(d, v, 0)) >= want
	s.noWorse = s.noWorse || must(m.LnBelow(d, v, margin)) >= want
}

// mixtureAA is F3: identical versions, a share of 60 %, E2 one-sided each way; no worse by 2 points; a loss of 2 points found.
func mixtureAA(rho float64) cell {
	name := fmt.Sprintf("E2, 60 %%, identical, share %g, a look each 100 of 200,000 requests", rho)
	m := mixture(.6)
	once := func(c chance, pB float64) (s sides) {
		var t traffic
		for range 2000 {
			t.add(c, 100, rho, .4, 1-pB) // failures: more are worse
			if d, v, ok := t.difference(); ok {
				s.look(m, d, v, .02)
			}
		}
		return s
	}
	return cell{
		id: "F3", name: name, reps: 2000,
		run: func(c chance) result {
			same, lost := once(c, .6), once(c, .58)
			return result{hit(same.above), hit(same.below), hit(same.noWorse), hit(lost.above)}
		},
		rows: func(x results) []row {
			return []row{alarm("F3", name+": worse", x, 0, alpha, 2, 3), alarm("F3", name+": better", x, 1, alpha, 2, 3)}
		},
	}
}

// costs are sums of a lognormal cost (s = 1.5), winsorised at live's 99th percentile.
type costs struct{ n, y, yy [2]float64 }

const costSpread = 1.5

var (
	costCap      = math.Exp(costSpread * 2.3263478740408408)
	costMean, v0 = cappedLognormal(costSpread, costCap)
)

// cappedLognormal returns mean and variance of min(exp(s Z), limit), by the moments of the part below.
func cappedLognormal(s, limit float64) (mean, variance float64) {
	phi := func(z float64) float64 { return math.Erfc(-z/math.Sqrt2) / 2 }
	z := math.Log(limit) / s
	mean = math.Exp(s*s/2)*phi(z-s) + limit*(1-phi(z))
	second := math.Exp(2*s*s)*phi(z-2*s) + limit*limit*(1-phi(z))
	return mean, second - mean*mean
}

func (t *costs) add(c chance, requests int, rho, scale float64) {
	for range requests {
		y, arm := math.Exp(costSpread*c.NormFloat64()), 0
		if c.flip(rho) {
			y, arm = y*scale, 1
		}
		y = math.Min(y, costCap)
		t.n[arm]++
		t.y[arm] += y
		t.yy[arm] += y * y
	}
}

// difference is E2's estimate for means. pooled is the rule V = max(unpooled, pooled); without it, small arms that missed the tail look
// certain.
func (t *costs) difference(pooled bool) (d, v float64, ok bool) {
	if min(t.n[0], t.n[1]) < 100 {
		return 0, 0, false
	}
	var m, s [2]float64
	for a := range m {
		m[a] = t.y[a] / t.n[a]
		s[a] = math.Max(0, (t.yy[a]-t.y[a]*m[a])/(t.n[a]-1))
	}
	v = s[0]/t.n[0] + s[1]/t.n[1]
	if pooled {
		v = math.Max(v, (s[0]*t.n[0]+s[1]*t.n[1])/(t.n[0]+t.n[1])*(1/t.n[0]+1/t.n[1]))
	}
	return m[1] - m[0], v, v > 0
}

// costAA is F4: identical versions, a heavy-tailed cost; no worse by a tenth; 15 % more found.
func costAA(rho float64, pooled bool) cell {
	name := fmt.Sprintf("E2, lognormal cost (1.5), capped at p99, identical, share %g, to 100,000 requests", rho)
	if !pooled {
		name += ", without V = max"
	}
	m := must(stats.VarianceMixture(v0))
	once := func(c chance, scale float64) (s sides) {
		var t costs
		at := 0
		for _, n := range geometric(200, 100_000, 1.03) {
			t.add(c, n-at, rho, scale)
			at = n
			if d, v, ok := t.difference(pooled); ok {
				s.look(m, d, v, .1*costMean)
			}
		}
		return s
	}
	return cell{
		id: "F4", name: name, reps: 1000,
		run: func(c chance) result {
			same, more := once(c, 1), once(c, 1.15)
			return result{hit(same.above), hit(same.below), hit(same.noWorse), hit(more.above)}
		},
		rows: func(x results) []row {
			if !pooled {
				return []row{shown("F4", name+": dearer", x, 0), shown("F4", name+": cheaper", x, 1)}
			}
			return []row{alarm("F4", name+": dearer", x, 0, alpha, 2, 3), alarm("F4", name+": cheaper", x, 1, alpha, 2, 3)}
		},
	}
}

// rampAA is F5: the share goes 1, 5, 10, 25, 50 % while the base rate moves six-fold, for errors (E1) and for a success of about 60 %
// (E2, moved by as much in its odds). The pooled tests beside them take all steps for one.
func rampAA(name string, factor float64) cell {
	name = "ramp 1/5/10/25/50 %, base rate " + name + ", identical"
	shares := []float64{.01, .05, .1, .25, .5}
	const steps, perStep, looks = 5, 20_000, 20
	once := func(c chance, ratio, lost float64) (e1, e2 sides, pooledE1, pooledE2 bool) {
		var events, right, allEvents, allRight traffic
		var strata []stats.LabelStratum
		var closed []stats.MomentStratum
		for s, rho := range shares {
			events, right = traffic{}, traffic{}
			for l := range looks {
				t := (float64(s) + float64(l)/looks) / steps
				p := .01 * math.Pow(factor, t-.5)
				q := 1 / (1 + .6/.4*math.Pow(factor, .5-t)) // failures
				var e, r traffic
				e.add(c, perStep/looks, rho, p, p*ratio)
				r.add(c, perStep/looks, rho, q, math.Min(1, q+lost))
				events.plus(e)
				right.plus(r)
				allEvents.plus(e)
				allRight.plus(r)
				lab := label(eventSigma, append(strata, events.label(rho))...)
				e1.above = e1.above || lab.LnAbove(0) >= want
				e1.below = e1.below || lab.LnBelow(0) >= want
				e1.noWorse = e1.noWorse || lab.LnBelow(math.Log(1.5)) >= want
				if d, v, ok := combined(append(closed, right.moments())); ok {
					e2.look(mixture(.4), d, v, .03)
				}
				pooledE1 = pooledE1 || label(eventSigma, allEvents.label(allEvents.nB/(allEvents.nA+allEvents.nB))).LnTwoSided(0) >= want
				if d, v, ok := allRight.difference(); ok {
					pooledE2 = pooledE2 || must(mixture(.4).LnTwoSided(d, v, 0)) >= want
				}
			}
			strata, closed = append(strata, events.label(rho)), append(closed, right.moments())
		}
		return e1, e2, pooledE1, pooledE2
	}
	return cell{
		id: "F5", name: name, reps: 1000,
		run: func(c chance) result {
			e1, e2, p1, p2 := once(c, 1, 0)
			worse1, worse2, _, _ := once(c, 1.5, .03)
			return result{
				hit(e1.above), hit(e1.below), hit(e2.above), hit(e2.below), hit(e1.noWorse), hit(e2.noWorse),
				hit(worse1.above), hit(worse2.above), hit(p1), hit(p2),
			}
		},
		rows: func(x results) []row {
			return []row{
				alarm("F5", name+": E1, worse", x, 0, alpha, 4, 6).also("pooled as one: %.2f", x.rate(8)), alarm("F5", name+": E1, better", x, 1, alpha, 4, 6),
				alarm("F5", name+": E2, worse", x, 2, alpha, 5, 7).also("pooled as one: %.2f", x.rate(9)), alarm("F5", name+": E2, better", x, 3, alpha, 5, 7),
			}
		},
	}
}

func (t *traffic) moments() stats.MomentStratum {
	arm := func(n, k float64) stats.ArmMoments {
		if n == 0 {
			return stats.ArmMoments{}
		}
		return stats.ArmMoments{N: n, Mean: k / n, Var: k / n * (1 - k/n)}
	}
	return stats.MomentStratum{A: arm(t.nA, t.kA), B: arm(t.nB, t.kB)}
}

// combined is R2 for units that send one request: strata weighted by nA nB/(nA+nB), the variance of each the larger of unpooled and pooled.
func combined(strata []stats.MomentStratum) (d, v float64, ok bool) {
	var w, nA, nB, events float64
	for _, s := range strata {
		if s.A.N < 2 || s.B.N < 2 {
			continue
		}
		ws := s.A.N * s.B.N / (s.A.N + s.B.N)
		pooled := (s.A.Var*s.A.N + s.B.Var*s.B.N) / (s.A.N + s.B.N) * (1/s.A.N + 1/s.B.N)
		d += ws * (s.B.Mean - s.A.Mean)
		v += ws * ws * math.Max(s.A.Var/s.A.N+s.B.Var/s.B.N, pooled)
		w += ws
		nA, nB, events = nA+s.A.N, nB+s.B.N, events+s.B.N*math.Min(s.B.Mean, 1-s.B.Mean)
	}
	if min(nA, nB) < 100 || events < 10 || v == 0 {
		return 0, 0, false
	}
	return d / w, v / w / w, true
}

// realisedAA is F9: somebody else splits the traffic, at a share that drifts; each of 60 windows is a stratum with the share that came.
func realisedAA() cell {
	const name = "E1, realised shares of 60 windows, split and base rate drift, identical"
	once := func(c chance, ratio float64) (s sides) {
		var strata []stats.LabelStratum
		rho, p := .1, .01
		for range 60 {
			rho = math.Min(.9, math.Max(.02, rho*math.Exp(.25*c.NormFloat64())))
			p = math.Min(.1, math.Max(.001, p*math.Exp(.2*c.NormFloat64())))
			var t traffic
			t.add(c, 1000, rho, p, p*ratio)
			strata = append(strata, t.label(t.nB/(t.nA+t.nB)))
			l := label(eventSigma, strata...)
			s.above = s.above || l.LnAbove(0) >= want
			s.below = s.below || l.LnBelow(0) >= want
			s.noWorse = s.noWorse || l.LnBelow(math.Log(2)) >= want
		}
		return s
	}
	return cell{
		id: "F9", name: name, reps: 1000,
		run: func(c chance) result {
			same, worse := once(c, 1), once(c, 2)
			return result{hit(same.above), hit(same.below), hit(same.noWorse), hit(worse.above)}
		},
		rows: func(x results) []row {
			return []row{alarm("F9", name+": worse", x, 0, alpha, 2, 3), alarm("F9", name+": better", x, 1, alpha, 2, 3)}
		},
	}
}

// ratioAA is F10: units assigned as the shares say, and 51:49 instead.
func ratioAA() cell {
	const name = "sample ratio, units assigned 1:1, to 500,000 units"
	once := func(c chance, p float64) (sup float64) {
		at, b := 0, 0.0
		for _, n := range geometric(50, 500_000, 1.01) {
			b += float64(c.binomial(n-at, p))
			at = n
			sup = max(sup, must(stats.SRM([]stats.MultinomialPhase{{Counts: []float64{float64(n) - b, b}, Shares: []float64{.5, .5}}})))
		}
		return sup
	}
	return cell{
		id: "F10", name: name, reps: 2000,
		run: func(c chance) result {
			same, skewed := once(c, .5), once(c, .51)
			return result{hit(same >= want), hit(same >= math.Log(1000)), hit(skewed >= math.Log(1000))}
		},
		rows: func(x results) []row {
			return []row{
				alarm("F10", name+": warning (.05)", x, 0, alpha, -1, 2),
				alarm("F10", name+": alarm (.001)", x, 1, .001, -1, 2),
			}
		},
	}
}

// labelAtMargin is F12 for margins that are ratios: the candidate is worse by exactly the margin, a look after each event. E1 sees labels
// alone, so that the base rate (1 % or 0.1 %) changes the time and not the share.
func labelAtMargin(f float64) cell {
	name := fmt.Sprintf("E1, \"no worse\" than %gx though it is %gx, share 0.5, a look after each of 1e5 events, any base rate", f, f)
	noWorse := below(.5, math.Log(f), want, 100_000)
	return cell{
		id: "F12", name: name, reps: 2000,
		run: func(c chance) result {
			return result{
				hit(!math.IsInf(noWorse().first(c, 1-tilted(.5, math.Log(f))), 1)),
				hit(!math.IsInf(noWorse().first(c, .5), 1)),
			}
		},
		rows: func(x results) []row { return []row{alarm("F12", name, x, 0, alpha, 1, -1)} },
	}
}

package main

import (
	"fmt"
	"math"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/stats"
	"sluice.dev/sluice/internal/tally"
)

// judgedCells are decided by judge on traffic in which every request is a unit: F8, F11, R3's and R4's boundaries, and delays by R3 and R6.
func judgedCells() []cell {
	return []cell{
		guardrails(10), guardrails(20),
		latencyAA(.5), latencyAA(.1), latencyAtBound("tolerated", 1.1), latencyAtBound("margin", 1.25),
		driftAA(.5), driftAA(.1), driftAtBound("tolerated", .025), driftAtBound("margin", .05),
		pointsAtMargin(.001), pointsAtMargin(.01), tolerated(),
		pointsDelay(.5, 20_700), pointsDelay(.1, 57_500),
		latencyDelay("all +10 %", 1.1, 0, 5000), latencyDelay("3 % of requests x4", 1, .03, 7500),
		driftDelay(.5, 4000), driftDelay(.1, 9200),
	}
}

// guardrails is F8: ten or twenty guardrails at once, errors of 0.5 to 4 %, nothing tolerated, share 10 %; harm: one of them doubles from 1 %.
func guardrails(n int) cell {
	name := fmt.Sprintf("%d guardrails at once, share 0.1, identical, to 50,000 requests", n)
	var metrics []measured
	p := make([]float64, n)
	for i := range p {
		p[i] = []float64{.01, .005, .02, .04}[i%4]
		metrics = append(metrics, errorsOf(fmt.Sprintf("errors%d", i), p[i], points(2), none))
	}
	once := func(c chance, first float64) (o outcome, at int) {
		r := perRequest(newWorld(c, metrics...))
		r.open(1, release.ExposureServe, .9, .1)
		seen := 0
		for _, at := range geometric(500, 50_000, 1.3) {
			r.serve(at - seen)
			seen = at
			for i := range p {
				pB := p[i]
				if i == 0 {
					pB = first
				}
				r.occur(i, true, p[i], pB)
			}
			a := r.look(release.StepCanary)
			if o.see(&a); o.harm {
				return o, at
			}
		}
		return o, 0
	}
	return cell{
		id: "F8", name: name, reps: 1000,
		run: func(c chance) result {
			same, _ := once(c, p[0])
			worse, at := once(c, .02)
			found := math.Inf(1)
			if worse.harm {
				found = float64(at)
			}
			return result{hit(same.harm), hit(same.noWorse), hit(worse.harm), found}
		},
		rows: func(x results) []row {
			at := x.column(3)
			return []row{alarm("F8", name+": any roll-back", x, 0, alpha, 1, 2).also("one of them 1 -> 2 %%: found at request %s in the median", number(at[(len(at)-1)/2]))}
		},
	}
}

// bank is a latency metric of a lognormal (median 20 ms, s = 0.7) with thresholds frozen at live's quantiles.
var bank = []float64{.5, .75, .9, .95, .99}

const latencySpread = .7

func latencyOf(tolerate, margin float64) measured {
	m := release.Metric{
		Name: "slow", Source: "latency", Kind: release.MetricLatency, Direction: release.Lower, Quantile: .95,
		Margin: factorOf(margin), Tolerate: factorOf(tolerate), Role: release.Guardrail,
	}
	b := release.MetricBaseline{Class: release.ClassDistribution, N: 10_000}
	for _, q := range bank {
		t := release.Threshold{Quantile: q, X: tally.Snap(uint32(20_000 * math.Exp(latencySpread*math.Sqrt2*math.Erfinv(2*q-1))))}
		t.Tolerate, t.Margin = judge.Edges(&m, t.X)
		b.Thresholds = append(b.Thresholds, t)
	}
	return measured{m, b}
}

// exceeds is the chance that a request of a version takes longer than x µs: all of them scaled, and a part of them four times as long again.
func exceeds(x uint32, scale, tail float64) float64 {
	over := func(x float64) float64 { return math.Erfc(math.Log(x/20_000)/latencySpread/math.Sqrt2) / 2 }
	y := float64(x) / scale
	return (1-tail)*over(y) + tail*over(y/4)
}

// latencies counts the last batch of requests against live's thresholds, the candidate's against both of its own. Exceedances of one
// request are nested; at each threshold the two edges are nested too.
func (r *requests) latencies(m measured, scale, tail float64) {
	for arm := range 2 {
		s, q := 1.0, 0.0
		if arm == 1 {
			s, q = scale, tail
		}
		r.overs(m, arm, s, q)
	}
}

func (r *requests) overs(m measured, arm int, scale, tail float64) {
	t := m.base.Thresholds
	v := &r.stratum().Arms[arm].Metrics[0]
	if v.Over == nil {
		v.Over, v.OverMargin = make([][]float64, len(t)), make([][]float64, len(t))
	}
	type edge struct {
		x  uint32
		to *[]float64
		ev bool
	}
	var edges []edge
	for i := range t {
		if arm == 0 {
			edges = append(edges, edge{t[i].X, &v.Over[i], t[i].Quantile == .99})
			continue
		}
		edges = append(edges, edge{t[i].Tolerate, &v.Over[i], t[i].Quantile == .99})
		if t[i].Quantile == .95 {
			edges = append(edges, edge{t[i].Margin, &v.OverMargin[i], false})
		}
	}
	// Requests by how slow they are: shuffled bins, of which the slowest come first.
	r.fresh()
	slow := edges
	for i := range slow { // by descending edge
		for j := i; j > 0 && slow[j].x > slow[j-1].x; j-- {
			slow[j], slow[j-1] = slow[j-1], slow[j]
		}
	}
	taken, before := 0, 0.0
	for i, e := range slow {
		p := exceeds(e.x, scale, tail)
		k := r.c.binomial(r.arrived(arm)-taken, (p-before)/(1-before))
		taken, before = taken+k, p
		fresh := make([]float64, release.Bins)
		r.take(arm, k, &fresh)
		for _, more := range slow[i:] { // slower than a high edge is slower than the lower ones
			if *more.to == nil {
				*more.to = make([]float64, release.Bins)
			}
			for b, n := range fresh {
				(*more.to)[b] += n
			}
			if more.ev {
				v.Event.First += uint64(k)
				v.Event.Ever += uint64(k)
			}
		}
	}
}

// lookRun serves requests until each look, draws what more tells of them, and looks at the release.
func lookRun(c chance, m measured, share float64, looks []int, until func(outcome) bool, more func(*requests)) (o outcome, at float64) {
	r := perRequest(newWorld(c, m))
	r.open(1, release.ExposureServe, 1-share, share)
	seen := 0
	for _, n := range looks {
		r.serve(n - seen)
		seen = n
		more(r)
		a := r.look(release.StepABTest)
		if o.see(&a); until(o) {
			return o, float64(n)
		}
	}
	return o, math.Inf(1)
}

// latencyRun looks at a release of a latency metric.
func latencyRun(c chance, m measured, share, scale, tail float64, looks []int, until func(outcome) bool) (o outcome, at float64) {
	return lookRun(c, m, share, looks, until, func(r *requests) { r.latencies(m, scale, tail) })
}

func harmed(o outcome) bool { return o.harm }
func never(outcome) bool    { return false }

// latencyAA is F11 for latency: nothing tolerated (1x), identical; no worse than 1.25x at p95; harm of +20 %.
func latencyAA(share float64) cell {
	name := fmt.Sprintf("latency at five thresholds, tolerate 1x, identical, share %g, to 100,000 requests", share)
	m := latencyOf(1, 1.25)
	looks := geometric(500, 100_000, 1.35)
	return cell{
		id: "F11", name: name, reps: 1000,
		run: func(c chance) result {
			same, _ := latencyRun(c, m, share, 1, 0, looks, never)
			worse, _ := latencyRun(c, m, share, 1.2, 0, looks, harmed)
			return result{hit(same.harm), hit(same.noWorse), hit(worse.harm)}
		},
		rows: func(x results) []row { return []row{alarm("F11", name+": slower", x, 0, alpha, 1, 2)} },
	}
}

// latencyAtBound lets the candidate be slower by exactly what is tolerated, or by exactly the margin.
func latencyAtBound(which string, scale float64) cell {
	name := fmt.Sprintf("latency, tolerate 1.1x, margin 1.25x, candidate %gx, share 0.5, to 50,000 requests", scale)
	m := latencyOf(1.1, 1.25)
	looks := geometric(500, 50_000, 1.35)
	return cell{
		id: "F11", name: name, reps: 1000,
		run: func(c chance) result {
			o, _ := latencyRun(c, m, .5, scale, 0, looks, never)
			better, _ := latencyRun(c, m, .5, 1, 0, looks, never)
			worse, _ := latencyRun(c, m, .5, 1.4, 0, looks, harmed)
			return result{hit(o.harm), hit(o.noWorse), hit(better.noWorse), hit(worse.harm)}
		},
		rows: func(x results) []row {
			if which == "margin" {
				return []row{alarm("F11", name+": no worse though at the margin", x, 1, alpha, 2, 3)}
			}
			return []row{alarm("F11", name+": harm though tolerated", x, 0, alpha, 2, 3)}
		},
	}
}

// latencyDelay is D8 by R6: requests until judge shows harm where nothing is tolerated.
func latencyDelay(what string, scale, tail, target float64) cell {
	name := fmt.Sprintf("judge, latency %s, tolerate 1x, share 0.5", what)
	m := latencyOf(1, 1.25)
	looks := geometric(200, int(8*target), 1.03)
	// The bound of a test at the best single threshold, and of one that sees every latency.
	kl := 0.0
	for _, t := range m.base.Thresholds {
		a, b := exceeds(t.X, 1, 0), exceeds(t.X, scale, tail)
		kl = math.Max(kl, (klBernoulli(a, (a+b)/2)+klBernoulli(b, (a+b)/2))/2)
	}
	return cell{
		id: "D8", name: name, reps: 1000,
		run: func(c chance) result {
			_, at := latencyRun(c, m, .5, scale, tail, looks, harmed)
			return result{at}
		},
		rows: func(x results) []row { return []row{delay("D8", name, x, 0, "requests", target, want/kl)} },
	}
}

// answersOf is a category metric of ten answers.
func answersOf(tolerate, margin float64) measured {
	b := release.MetricBaseline{Class: release.ClassDistribution, N: 10_000}
	for i := range classes {
		b.Categories = append(b.Categories, string(rune('a'+i)))
	}
	return measured{
		release.Metric{
			Name: "answer", Source: "json:answer", Kind: release.MetricCategory,
			Margin: bitsOf(margin), Tolerate: bitsOf(tolerate), Role: release.Guardrail,
		}, b,
	}
}

// answers counts the last batch by category.
func (r *requests) answers(live, cand []float64) {
	r.fresh()
	for arm, shares := range [][]float64{live, cand} {
		m := &r.stratum().Arms[arm].Metrics[0]
		if m.Category == nil {
			m.Category = make([][]float64, len(shares))
		}
		got := make([]int, len(shares))
		r.c.multinomial(r.arrived(arm), shares, got)
		for i, k := range got {
			r.take(arm, k, &m.Category[i])
		}
	}
}

func driftRun(c chance, m measured, share float64, live, cand []float64, looks []int, until func(outcome) bool) (o outcome, at float64) {
	r := perRequest(newWorld(c, m))
	r.open(1, release.ExposureServe, 1-share, share)
	seen := 0
	for _, n := range looks {
		r.serve(n - seen)
		seen = n
		r.answers(live, cand)
		a := r.look(release.StepABTest)
		if o.see(&a); until(o) {
			return o, float64(n)
		}
	}
	return o, math.Inf(1)
}

// drifted moves answers from the last class to the first until the divergence is that many bits.
func drifted(live []float64, bits float64) []float64 {
	lo, hi := 0.0, live[len(live)-1]+.5*live[len(live)-2]
	cand := make([]float64, len(live))
	for range 60 {
		move := (lo + hi) / 2
		copy(cand, live)
		cand[0] += move
		last := math.Min(move, live[len(live)-1])
		cand[len(cand)-1] -= last
		cand[len(cand)-2] -= move - last
		if must(stats.Divergence(live, cand, 0)).JSBits < bits {
			lo = move
		} else {
			hi = move
		}
	}
	return cand
}

// driftAA is F11 for categories: no drift at all beside what is tolerated by default (half of a margin of 0.05 bits); and the class-wise E1,
// which tolerates nothing.
func driftAA(share float64) cell {
	name := fmt.Sprintf("ten answers, no drift, share %g, to 200,000 requests", share)
	live, cand := classShares()
	m := answersOf(.025, .05)
	looks := geometric(500, 200_000, 1.5)
	return cell{
		id: "F11", name: name, reps: 500,
		run: func(c chance) result {
			same, _ := driftRun(c, m, share, live, live, looks, never)
			worse, _ := driftRun(c, m, share, live, drifted(live, .1), looks, harmed)
			a, b := make([]float64, classes), make([]float64, classes)
			once := func(cand []float64) (found bool) {
				clear(a)
				clear(b)
				at := 0
				for _, n := range geometric(100, 200_000, 1.03) {
					nB := c.binomial(n-at, share)
					drawClasses(c, n-at-nB, live, a)
					drawClasses(c, nB, cand, b)
					at, found = n, found || lnClasses(a, b, share) >= want
				}
				return found
			}
			return result{hit(same.harm), hit(same.noWorse), hit(worse.harm), hit(once(live)), hit(once(cand))}
		},
		rows: func(x results) []row {
			return []row{
				alarm("F11", name+": judge, drift beyond what is tolerated", x, 0, alpha, 1, 2),
				alarm("F11", name+": E1 over classes", x, 3, alpha, -1, 4),
			}
		},
	}
}

// driftAtBound lets the answers drift by exactly what is tolerated, or by exactly the margin.
func driftAtBound(which string, bits float64) cell {
	name := fmt.Sprintf("ten answers, tolerate 0.025 bits, margin 0.05 bits, drift %g bits, share 0.3, to 50,000 requests", bits)
	live, _ := classShares()
	cand := drifted(live, bits)
	m := answersOf(.025, .05)
	looks := geometric(500, 50_000, 1.4)
	return cell{
		id: "F11", name: name, reps: 1000,
		run: func(c chance) result {
			o, _ := driftRun(c, m, .3, live, cand, looks, never)
			same, _ := driftRun(c, m, .3, live, live, looks, never)
			worse, _ := driftRun(c, m, .3, live, drifted(live, .1), looks, harmed)
			return result{hit(o.harm), hit(o.noWorse), hit(same.noWorse), hit(worse.harm)}
		},
		rows: func(x results) []row {
			if which == "margin" {
				return []row{alarm("F11", name+": no worse though at the margin", x, 1, alpha, 2, 3)}
			}
			return []row{alarm("F11", name+": harm though tolerated", x, 0, alpha, 2, 3)}
		},
	}
}

// driftDelay is D12's scenario as judge sees it (R6): a doubled class of ten is a divergence of 0.004 bits, which a category metric
// with the defaults tolerates. So nothing is judged here; the row says when a plan that tolerates a thousandth of a bit finds it.
func driftDelay(share, target float64) cell {
	name := fmt.Sprintf("judge, one answer of ten doubles (3.4 -> 6.8 %%), tolerate 0.001 bits, share %g", share)
	live, cand := classShares()
	m := answersOf(.001, .05)
	looks := geometric(200, int(20*target), 1.05)
	return cell{
		id: "D12", name: name, reps: 500,
		run: func(c chance) result {
			_, at := driftRun(c, m, share, live, cand, looks, harmed)
			return result{at}
		},
		rows: func(x results) []row {
			return []row{delay("D12", name, x, 0, "requests", 0, 0).also("a drift of %.4f bits", must(stats.Divergence(live, cand, 0)).JSBits)}
		},
	}
}

// pointsRun looks at a release of an event metric.
func pointsRun(c chance, m measured, pA, pB, share float64, looks []int, until func(outcome) bool) (o outcome, at float64) {
	return lookRun(c, m, share, looks, until, func(r *requests) { r.occur(0, true, pA, pB) })
}

// pointsAtMargin is F12 by R3: worse by exactly the margin of 0.5 points.
func pointsAtMargin(p float64) cell {
	name := fmt.Sprintf("R3, \"no worse\" than 0.5 points though it is 0.5 points, live %g %%, share 0.5, to 100,000 units", 100*p)
	m := errorsOf("errors", p, points(.5), points(.25))
	looks := geometric(500, 100_000, 1.1)
	return cell{
		id: "F12", name: name, reps: 1000,
		run: func(c chance) result {
			// Harm would end the release, but the promise about "no worse" does not rest on that: margin alone.
			at, same := pointsAlone(c, m, p, p+.005, looks), pointsAlone(c, m, p, p, looks)
			return result{hit(at), hit(same)}
		},
		rows: func(x results) []row { return []row{alarm("F12", name, x, 0, alpha, 1, -1)} },
	}
}

// pointsAlone says whether "no worse" ever stood, harm or not.
func pointsAlone(c chance, m measured, pA, pB float64, looks []int) bool {
	r := perRequest(newWorld(c, m))
	r.open(1, release.ExposureServe, .5, .5)
	seen := 0
	for _, n := range looks {
		r.serve(n - seen)
		seen = n
		r.occur(0, true, pA, pB)
		r.mem.Harm, r.mem.Sup = nil, nil // forget harm, which would hide it
		if a := r.look(release.StepABTest); a.Verdicts[0].LnNoWorse >= want {
			return true
		}
	}
	return false
}

// tolerated is N2: six times as many errors, .02 -> .12 %, of which .25 points are tolerated.
func tolerated() cell {
	const name = "R4, errors .02 -> .12 %, tolerate .25 points, margin .5 points, share 0.5, to 200,000 units"
	m := errorsOf("errors", .0002, points(.5), points(.25))
	looks := geometric(500, 200_000, 1.15)
	return cell{
		id: "N2", name: name, reps: 2000,
		run: func(c chance) result {
			o, _ := pointsRun(c, m, .0002, .0012, .5, looks, never)
			worse, _ := pointsRun(c, m, .0002, .0082, .5, looks, harmed)
			return result{hit(o.harm), hit(o.noWorse), hit(worse.harm)}
		},
		rows: func(x results) []row {
			return []row{alarm("N2", name+": roll-back though tolerated", x, 0, alpha, 1, 2)}
		},
	}
}

// pointsDelay is D10 by R3: requests until identical versions are shown no worse than 0.5 points, errors of 1 %.
func pointsDelay(share, target float64) cell {
	name := fmt.Sprintf("R3, \"no worse\" than 0.5 points, identical, errors 1 %%, share %g", share)
	m := errorsOf("errors", .01, points(.5), points(.25))
	looks := geometric(500, int(10*target), 1.03)
	// The null rates that are hardest to tell from 1 % and 1 % differ by the margin.
	kl := math.Inf(1)
	for x := .0; x < .005; x += .00001 {
		a, b := .01-x, .015-x
		kl = math.Min(kl, (1-share)*klBernoulli(.01, a)+share*klBernoulli(.01, b))
	}
	return cell{
		id: "D10", name: name, reps: 1000,
		run: func(c chance) result {
			_, at := pointsRun(c, m, .01, .01, share, looks, func(o outcome) bool { return o.noWorse })
			return result{at}
		},
		rows: func(x results) []row { return []row{delay("D10", name, x, 0, "requests", target, want/kl)} },
	}
}

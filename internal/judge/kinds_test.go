package judge

import (
	"math"
	"testing"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/stats"
)

// outcome of many simulated releases of one metric.
type outcome struct{ harm, noWorse, better, n int }

func (o outcome) rate(k int) float64 { return float64(k) / float64(o.n) }

// limit is the largest rate that speaks not yet against alpha.
func limit(alpha float64, n int) float64 { return alpha + 2.33*math.Sqrt(alpha*(1-alpha)/float64(n)) }

// simulate runs n releases: setup prepares a world, request sends one exposure, and every `every` requests judge looks. Harm ends a run,
// "no worse" is counted if it ever stood.
func simulate(t *testing.T, n, requests, every int, m release.Metric, b release.MetricBaseline, step release.StepKind,
	setup func(seed uint64) *world, request func(w *world, i int),
) outcome {
	t.Helper()
	o := outcome{n: n}
	mod, base := model(m), frozen(m.Name, b)
	for seed := range n {
		w := setup(uint64(seed))
		var c Cache
		var mem Memory
		var noWorse, better, harm bool
		for i := 1; i <= requests && !harm; i++ {
			request(w, i)
			if i%every == 0 {
				a := c.Assess(w.input(mod, base, step, mem))
				mem = a.Memory
				noWorse = noWorse || a.Verdicts[0].NoWorse
				better = better || a.Verdicts[0].Better
				harm = a.Harm
			}
		}
		o.count(harm, noWorse, better)
	}
	t.Logf("harm %d, no worse %d, better %d of %d", o.harm, o.noWorse, o.better, o.n)
	return o
}

func (o *outcome) count(harm, noWorse, better bool) {
	if harm {
		o.harm++
	}
	if noWorse {
		o.noWorse++
	}
	if better {
		o.better++
	}
}

func served(users int, zipf float64, share float64, prepare func(w *world)) func(uint64) *world {
	return func(seed uint64) *world {
		w := newWorld(seed, users, zipf, 1)
		if prepare != nil {
			prepare(w)
		}
		w.openStratum(1, release.ExposureServe, 1-share, share)
		return w
	}
}

// bernoulliRequests sends requests of a 0/1 metric whose candidate rate differs by diff.
func bernoulliRequests(diff float64) func(w *world, i int) {
	return func(w *world, _ int) {
		u, arm := w.next()
		w.meet(u, arm)
		p := u.rates[0]
		if arm == 1 {
			p += diff
		}
		e := w.flip(p)
		w.observe(u, arm, 0, one(e), e)
	}
}

func TestR2FrequentProportion(t *testing.T) {
	beta := func(w *world) { w.betaRates(0, 0.6, 3) }
	zero := correctMetric()
	zero.Tolerate = release.Margin{Unit: release.Points}
	same := simulate(t, runs(60, 1000), 8000, 400, zero, frequentBaseline(0.6), release.StepABTest,
		served(2000, 0.8, 0.3, beta), bernoulliRequests(0))
	if r := same.rate(same.harm); r > limit(0.05, same.n) {
		t.Errorf("identical versions: harm in %.3f", r)
	}
	if r := same.rate(same.better); r > limit(0.05, same.n) {
		t.Errorf("identical versions: better in %.3f", r)
	}
	worse := simulate(t, runs(20, 300), 20000, 500, correctMetric(), frequentBaseline(0.6), release.StepABTest,
		served(5000, 0.5, 0.5, beta), bernoulliRequests(-0.12))
	if worse.rate(worse.harm) < 0.9 {
		t.Errorf("12 points worse: harm in %d of %d", worse.harm, worse.n)
	}
	if worse.noWorse > 0 {
		t.Errorf("12 points worse passed as no worse in %d", worse.noWorse)
	}
	fine := simulate(t, runs(20, 300), 40000, 1000, correctMetric(), frequentBaseline(0.6), release.StepABTest,
		served(5000, 0.5, 0.5, beta), bernoulliRequests(0.02))
	if fine.rate(fine.noWorse) < 0.9 {
		t.Errorf("slightly better: no worse in %d of %d", fine.noWorse, fine.n)
	}
}

func TestR6Latency(t *testing.T) {
	base := lognormal(3, 0.7)
	send := func(scale float64) func(w *world, i int) {
		return func(w *world, _ int) {
			u, arm := w.next()
			w.meet(u, arm)
			ms := math.Exp(3 + 0.2*u.rates[0] + 0.67*w.rng.NormFloat64())
			if arm == 1 {
				ms *= scale
			}
			w.latency(u, arm, 0, ms, base.Thresholds)
		}
	}
	slow := func(w *world) {
		for _, u := range w.users {
			u.rates[0] = w.rng.NormFloat64()
		}
	}
	same := simulate(t, runs(30, 500), 10000, 500, slowMetric(), base, release.StepABTest, served(3000, 0.7, 0.5, slow), send(1))
	if same.harm > 0 {
		t.Errorf("identical versions within tolerance: harm in %d of %d", same.harm, same.n)
	}
	if same.rate(same.noWorse) < 0.9 {
		t.Errorf("identical versions: no worse in %d of %d", same.noWorse, same.n)
	}
	if r := same.rate(same.better); r > limit(0.05, same.n) {
		t.Errorf("identical versions: better in %.3f", r)
	}
	faster := simulate(t, runs(15, 200), 10000, 500, slowMetric(), base, release.StepABTest, served(3000, 0.7, 0.5, slow), send(0.8))
	if faster.rate(faster.better) < 0.9 {
		t.Errorf("20 %% faster: better in %d of %d", faster.better, faster.n)
	}
	edge := simulate(t, runs(30, 500), 6000, 500, slowMetric(), base, release.StepABTest, served(3000, 0.7, 0.5, slow), send(1.1))
	if r := edge.rate(edge.harm); r > limit(0.05, edge.n) {
		t.Errorf("10 %% slower, exactly as tolerated: harm in %.3f", r)
	}
	at := simulate(t, runs(30, 500), 6000, 500, slowMetric(), base, release.StepABTest, served(3000, 0.7, 0.5, slow), send(1.25))
	if r := at.rate(at.noWorse); r > limit(0.05, at.n) {
		t.Errorf("25 %% slower, exactly the margin: no worse in %.3f", r)
	}
	worse := simulate(t, runs(15, 200), 10000, 500, slowMetric(), base, release.StepABTest, served(3000, 0.7, 0.5, slow), send(1.5))
	if worse.rate(worse.harm) < 0.9 {
		t.Errorf("50 %% slower: harm in %d of %d", worse.harm, worse.n)
	}
}

func TestR6LatencyNeverAboveMarginIsNotMadeToWait(t *testing.T) {
	w := newWorld(1, 2000, 0.5, 1)
	b := lognormal(3, 0.05)
	w.openStratum(1, release.ExposureServe, 0.5, 0.5)
	for range 4000 {
		u, arm := w.next()
		w.meet(u, arm)
		w.latency(u, arm, 0, math.Exp(3+0.05*w.rng.NormFloat64()), b.Thresholds)
	}
	a := Assess(w.input(model(slowMetric()), frozen("slow", b), release.StepABTest, Memory{}))
	if v := a.Verdicts[0]; !v.NoWorse {
		t.Errorf("a candidate that never exceeds margin times p95 must be no worse: %+v", v)
	}
}

func TestR6CategoryDriftIsStatsCategoryDrift(t *testing.T) {
	w := newWorld(5, 800, 1, 1)
	w.openStratum(1, release.ExposureServe, 0.8, 0.2)
	for range 5000 {
		u, arm := w.next()
		w.meet(u, arm)
		w.answer(u, arm, 0, w.rng.IntN(4)*(1-arm)+w.rng.IntN(5)*arm, 5)
	}
	s := w.stratum()
	d := newDriftSum()
	d.add(s.Arms[0].Metrics[0].Category, s.Arms[1].Metrics[0].Category)
	turn := func(rows [][]float64) [][]float64 {
		out := make([][]float64, release.Bins)
		for b := range out {
			out[b] = make([]float64, len(rows))
			for c := range rows {
				if rows[c] != nil {
					out[b][c] = rows[c][b]
				}
			}
		}
		return out
	}
	want, err := stats.CategoryDrift(stats.CategoryStratum{A: turn(s.Arms[0].Metrics[0].Category), B: turn(s.Arms[1].Metrics[0].Category)})
	if err != nil {
		t.Fatal(err)
	}
	e, ok := d.effect()
	if !ok || math.Abs(e.d-want.Bits) > 1e-12 || math.Abs(e.v-want.V) > 1e-9*want.V {
		t.Errorf("drift %v, stats.CategoryDrift %+v", e, want)
	}
	// The same users answer the same way in a second stratum: nothing new was learnt, the variance must stay.
	d.add(s.Arms[0].Metrics[0].Category, s.Arms[1].Metrics[0].Category)
	if twice, ok := d.effect(); !ok || math.Abs(twice.d-e.d) > 1e-12 || math.Abs(twice.v-e.v) > 1e-9*e.v {
		t.Errorf("a stratum twice gives %v, once %v", twice, e)
	}
}

func TestR6CategoryDoesNotDependOnShare(t *testing.T) {
	send := func(p, q float64) func(w *world, i int) {
		return func(w *world, _ int) {
			u, arm := w.next()
			w.meet(u, arm)
			x := p
			if arm == 1 {
				x = q
			}
			w.answer(u, arm, 0, int(one(w.flip(x))), 2)
		}
	}
	base := release.MetricBaseline{Class: release.ClassDistribution, N: 1000, Categories: []string{"a", "b"}}
	for _, share := range []float64{0.1, 0.5} {
		same := simulate(t, runs(20, 300), 10000, 1000, decisionMetric(), base, release.StepABTest, served(3000, 0.5, share, nil), send(0.3, 0.3))
		if same.harm > 0 || same.rate(same.noWorse) < 0.9 {
			t.Errorf("share %v, no drift: harm %d, no worse %d of %d", share, same.harm, same.noWorse, same.n)
		}
		drift := simulate(t, runs(20, 300), 10000, 1000, decisionMetric(), base, release.StepABTest, served(3000, 0.5, share, nil), send(0.3, 0.7))
		if drift.rate(drift.harm) < 0.9 {
			t.Errorf("share %v, .118 bits of drift: harm %d of %d", share, drift.harm, drift.n)
		}
	}
}

func TestR2Means(t *testing.T) {
	base := release.MetricBaseline{Class: release.ClassFrequent, N: 10000, Mean: 2, Variance: 2.5}
	send := func(scale float64) func(w *world, i int) {
		return func(w *world, _ int) {
			u, arm := w.next()
			w.meet(u, arm)
			y := math.Min(10, math.Exp(0.4+0.7*w.rng.NormFloat64()))
			if arm == 1 {
				y *= scale
			}
			w.observe(u, arm, 0, y, false)
		}
	}
	for _, tc := range []struct {
		scale      float64
		harm, pass float64 // least rates
		harmMost   float64
		passMost   float64
	}{
		{scale: 1, pass: 0.9, harmMost: 0, passMost: 1},
		{scale: 1.05, harmMost: 0.05, passMost: 1},
		{scale: 1.1, passMost: 0.05, harmMost: 1},
		{scale: 1.3, harm: 0.9, harmMost: 1, passMost: 0},
	} {
		o := simulate(t, runs(20, 300), 15000, 1000, costMetric(), base, release.StepABTest, served(4000, 0.6, 0.5, nil), send(tc.scale))
		harm, pass := o.rate(o.harm), o.rate(o.noWorse)
		if harm < tc.harm || pass < tc.pass || harm > limit(tc.harmMost, o.n) || pass > limit(tc.passMost, o.n) {
			t.Errorf("cost x %v: harm %.2f (want %.2f to %.2f), no worse %.2f (want %.2f to %.2f)",
				tc.scale, harm, tc.harm, tc.harmMost, pass, tc.pass, tc.passMost)
		}
	}
}

// TestFeedbackWithNoise scores a version by outcomes of which 60 % never come and 10 % are wrong.
func TestFeedbackWithNoise(t *testing.T) {
	send := func(diff float64) func(w *world, i int) {
		return func(w *world, _ int) {
			u, arm := w.next()
			w.meet(u, arm)
			p := u.rates[0]
			if arm == 1 {
				p += diff
			}
			right := w.flip(p)
			if !w.flip(0.4) {
				return
			}
			if w.flip(0.1) {
				right = !right
			}
			w.observe(u, arm, 0, one(right), !right)
		}
	}
	m := correctMetric()
	m.Tolerate = release.Margin{Unit: release.Points}
	setup := served(5000, 0.6, 0.5, func(w *world) { w.betaRates(0, 0.85, 10) })
	for _, class := range []release.MetricClass{release.ClassBoth, release.ClassFrequent} {
		base := release.MetricBaseline{Class: class, Invert: class == release.ClassBoth, N: 1000, Mean: 0.78, Variance: 0.17}
		same := simulate(t, runs(30, 1000), 8000, 400, m, base, release.StepABTest, setup, send(0))
		if r := same.rate(same.harm); r > limit(0.05, same.n) {
			t.Errorf("%s, identical versions: harm in %.3f", class, r)
		}
		worse := simulate(t, runs(15, 300), 12000, 500, m, base, release.StepABTest, setup, send(-0.15))
		if worse.rate(worse.harm) < 0.9 || worse.noWorse > 0 {
			t.Errorf("%s, 15 points worse: harm %d, no worse %d of %d", class, worse.harm, worse.noWorse, worse.n)
		}
	}
}

// TestR1HarmAfterAnIncident lets both arms fail for a while, which spends the users who fail at all; a new
// epoch must find the harm that follows.
func TestR1HarmAfterAnIncident(t *testing.T) {
	m := errorsMetric()
	m.Tolerate = release.Margin{Unit: release.Points}
	request := func(w *world, i int) {
		if i == 4001 {
			w.openStratum(2, release.ExposureServe, 0.5, 0.5)
		}
		u, arm := w.next()
		w.meet(u, arm)
		p := u.rates[0]
		switch {
		case i > 2000 && i <= 4000:
			p = 0.5
		case i > 4000 && arm == 1:
			p *= 4
		}
		e := w.flip(p)
		w.observe(u, arm, 0, one(e), e)
	}
	o := simulate(t, runs(15, 300), 16000, 500, m, eventBaseline(0.02), release.StepCanary,
		served(3000, 1, 0.5, func(w *world) { w.betaRates(0, 0.02, 20) }), request)
	if o.rate(o.harm) < 0.9 {
		t.Errorf("harm after an incident: shown in %d of %d", o.harm, o.n)
	}
}

func TestEachCandidateHasItsVerdict(t *testing.T) {
	w := newWorld(3, 4000, 0.5, 1)
	w.openStratum(1, release.ExposureServe, 0.4, 0.3, 0.3)
	for range 12000 {
		u, arm := w.next()
		w.meet(u, arm)
		e := w.flip([]float64{0.02, 0.02, 0.1}[arm])
		w.observe(u, arm, 0, one(e), e)
	}
	a := Assess(w.input(model(errorsMetric()), frozen("errors", eventBaseline(0.02)), release.StepOptimize, Memory{}))
	if len(a.Verdicts) != 2 || a.Verdicts[0].Harm || !a.Verdicts[1].Harm || a.Verdicts[1].Arm != 2 || !a.Harm {
		t.Errorf("the second candidate alone is harmful: %+v", a.Verdicts)
	}
	if a.Verdicts[0].Alpha != 0.025 {
		t.Errorf("two candidates share alpha: %v", a.Verdicts[0].Alpha)
	}
}

func TestR6Pairs(t *testing.T) {
	b := lognormal(3, 0.7)
	b.N = 20000
	look := func(over, margin, live float64, tail uint64) Assessment {
		w := newWorld(1, 1, 0, 1)
		w.openStratum(1, release.ExposureWouldBe, 0.5, 0.5)
		p := &w.stratum().Pairs.Metrics[0]
		p.N = make([]float64, release.Bins)
		p.Over, p.OverMargin = make([][]float64, 5), make([][]float64, 5)
		for i := range 5 {
			p.Over[i], p.OverMargin[i] = make([]float64, release.Bins), make([]float64, release.Bins)
		}
		for k := range release.Bins {
			p.N[k] = 4
			for i := range 5 {
				p.Over[i][k] = over + float64(k%3-1)
				p.OverMargin[i][k] = margin + float64(k%3-1)
			}
			if live != 0 {
				if p.OverLive == nil {
					p.OverLive = make([]float64, release.Bins)
				}
				p.OverLive[k] = live + float64(k%3-1)
			}
		}
		p.LiveY, p.CandY, p.LiveOnly, p.CandOnly = 4096*25, 4096*26, 10, tail
		return Assess(w.input(model(slowMetric()), frozen("slow", b), release.StepShadow, Memory{}))
	}
	if a := look(-0.2, -0.4, 0, 10); a.Harm || !a.Verdicts[0].NoWorse {
		t.Errorf("fast copies: %s", a.Verdicts[0].Reason)
	}
	if a := look(-0.2, -0.4, 0, 10); a.Verdicts[0].Better || a.Verdicts[0].LnBetter != 0 {
		t.Errorf("better without counts at live's own time: %+v", a.Verdicts[0])
	}
	if a := look(-0.4, -0.6, -0.3, 10); !a.Verdicts[0].Better {
		t.Errorf("faster copies: %s", a.Verdicts[0].Reason)
	}
	if a := look(0.5, 0.2, 0.6, 10); !a.Harm {
		t.Errorf("slow copies: %s", a.Verdicts[0].Reason)
	}
	if a := look(-0.2, -0.4, 0, 80); !a.Harm {
		t.Errorf("a tail of slow copies: %s", a.Verdicts[0].Reason)
	}
}

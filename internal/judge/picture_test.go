package judge

import (
	"math"
	"slices"
	"testing"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

func TestLatencyPicture(t *testing.T) {
	base := lognormal(3, 0.7)
	w := newWorld(1, 3000, 0.5, 1)
	w.openStratum(1, release.ExposureServe, 0.5, 0.5)
	for range 20_000 {
		u, arm := w.next()
		w.meet(u, arm)
		ms := math.Exp(3 + 0.7*w.rng.NormFloat64())
		if arm == 1 {
			ms *= 1.5
		}
		w.latency(u, arm, 0, ms, base.Thresholds)
	}
	in := w.input(model(slowMetric()), frozen("slow", base), release.StepABTest, Memory{})
	all := Picture(in).Latencies
	if len(all) != 1 {
		t.Fatalf("%d pictures", len(all))
	}
	p := all[0]
	if p.Metric != "slow" || p.Arm != 1 || p.From != FromPresent {
		t.Errorf("%s %d %s", p.Metric, p.Arm, p.From)
	}
	if n := len(p.Live); n == 0 || n > mostBuckets || len(p.EdgesMs) != n+1 || len(p.Candidate) != n || !slices.IsSorted(p.EdgesMs) {
		t.Errorf("%d buckets, %d edges", len(p.Live), len(p.EdgesMs))
	}
	if total(p.Live) != p.LiveN || total(p.Candidate) != p.CandidateN || p.LiveN+p.CandidateN != 20_000 {
		t.Errorf("buckets hold %d and %d of %d and %d", total(p.Live), total(p.Candidate), p.LiveN, p.CandidateN)
	}
	if len(p.Quantiles) != 5 {
		t.Fatalf("quantiles %+v", p.Quantiles)
	}
	for _, q := range p.Quantiles {
		want := math.Exp(3 + 0.7*normalQuantile(q.Quantile))
		if math.Abs(q.Live.Estimate/want-1) > 0.15 || q.Live.Level != 0.9 || q.Live.Lo > want || q.Live.Hi < want {
			t.Errorf("live's %v is %+v, true %v", q.Quantile, q.Live, want)
		}
		if q.Ratio.Lo > 1.5 || q.Ratio.Hi < 1.5 || q.Ratio.Lo < 1 {
			t.Errorf("ratio at %v is %+v, true 1.5", q.Quantile, q.Ratio)
		}
	}
	// The verdict and the picture name the same quantile with the same interval.
	v := Assess(in).Verdicts[0]
	if r := p.Quantiles[3].Ratio; r.Estimate != v.Estimate || r.Lo != v.Lo || r.Hi != v.Hi {
		t.Errorf("picture %+v, verdict %v in %v to %v", r, v.Estimate, v.Lo, v.Hi)
	}
}

func TestCategoryPicture(t *testing.T) {
	w := newWorld(2, 3000, 0.5, 1)
	w.openStratum(1, release.ExposureServe, 0.5, 0.5)
	for range 20_000 {
		u, arm := w.next()
		w.meet(u, arm)
		cat := 0
		if w.flip([]float64{0.3, 0.5}[arm]) {
			cat = 1
		}
		w.answer(u, arm, 0, cat, 3)
	}
	w.view.Categories = [][]string{{"yes", "no", tally.Other}}
	base := frozen("decision", release.MetricBaseline{Class: release.ClassDistribution, N: 1000})
	p := Picture(w.input(model(decisionMetric()), base, release.StepABTest, Memory{})).Categories[0]
	if p.From != FromStrata || len(p.Live) != 3 || p.LiveN+p.CandidateN != 20_000 || p.Live[2] != 0 {
		t.Errorf("%+v", p)
	}
	h := func(q float64) float64 { return -q*math.Log2(q) - (1-q)*math.Log2(1-q) }
	if math.Abs(p.LiveEntropy.Bits-h(0.3)) > 0.02 || math.Abs(p.CandidateEntropy.Bits-1) > 0.02 || math.Abs(p.CandidateEntropy.Classes-2) > 0.05 {
		t.Errorf("entropies %+v and %+v", p.LiveEntropy, p.CandidateEntropy)
	}
	if p.LiveEntropy.MillerMadow <= p.LiveEntropy.Bits {
		t.Errorf("the correction goes the wrong way: %+v", p.LiveEntropy)
	}
	js := h(0.4) - (h(0.3)+h(0.5))/2
	if d := p.Divergence; d.Lo > js || d.Hi < js || d.Level != 0.9 || math.Abs(d.Estimate-js) > 0.01 {
		t.Errorf("divergence %+v, true %v", d, js)
	}
	if p.Margin != 0.05 || p.Tolerate != 0.025 {
		t.Errorf("margins %v and %v", p.Margin, p.Tolerate)
	}
}

// segmented adds requests of two segments to the present stratum, with the oracle's plain sums.
func (w *world) segmented(n int, rate func(old bool, arm int) float64) {
	s := w.stratum()
	s.Segments = []tally.SegmentView{{Name: "age", Value: "old"}, {Name: "age", Value: "young"}}
	for i := range s.Segments {
		s.Segments[i].Arms = make([]tally.SegmentArm, len(s.Arms))
		for a := range s.Segments[i].Arms {
			s.Segments[i].Arms[a] = tally.SegmentArm{N: make([]float64, 1), Y: make([]float64, 1), Q: make([]float64, 1)}
		}
	}
	for range n {
		u, arm := w.next()
		w.meet(u, arm)
		old := u.bin%2 == 0
		y := one(w.flip(rate(old, arm)))
		w.observe(u, arm, 0, y, false)
		g := &s.Segments[int(one(!old))].Arms[arm]
		g.Exposures++
		g.N[0]++
		g.Y[0] += y
		g.Q[0] += y * y
	}
}

// TestSegmentPictureKeepsStrataApart: identical versions, a share that grows while the base rate falls; pooled, the candidate would look
// ten points worse in both segments.
func TestSegmentPictureKeepsStrataApart(t *testing.T) {
	flagged, n := 0, runs(20, 300)
	for seed := range n {
		w := newWorld(uint64(seed), 3000, 0.5, 1)
		for i, share := range []float64{0.1, 0.5} {
			w.openStratum(uint8(i+1), release.ExposureServe, 1-share, share)
			w.segmented(8000, func(bool, int) float64 { return []float64{0.8, 0.5}[i] })
		}
		rows := Picture(w.input(model(correctMetric()), frozen("correct", frequentBaseline(0.6)), release.StepCanary, Memory{})).Segments
		if len(rows) != 2 || rows[0].Value != "old" || rows[1].Value != "young" || rows[0].From != FromStrata {
			t.Fatalf("%+v", rows)
		}
		for _, r := range rows {
			m := r.Metrics[0]
			if m.Flagged {
				flagged++
			}
			if d := m.Difference; m.Unit != "pp" || d.Level == 0 || math.Abs(d.Estimate) > 8 || d.Estimate < d.Lo || d.Estimate > d.Hi {
				t.Errorf("%s: %+v", r.Value, m)
			}
			if m.LiveN+m.CandidateN == 0 || r.LiveExposures+r.CandidateExposures != m.LiveN+m.CandidateN {
				t.Errorf("%s: %d and %d of %d", r.Value, m.LiveN, m.CandidateN, r.LiveExposures)
			}
		}
	}
	if x := float64(flagged) / float64(n); x > limit(DiagnosticFDR, n) {
		t.Errorf("segments of identical versions are flagged %.3f times per release", x)
	}
}

func TestSegmentPictureFindsTheOneThatDiffers(t *testing.T) {
	found, wrong, n := 0, 0, runs(10, 200)
	for seed := range n {
		w := newWorld(uint64(seed), 3000, 0.5, 1)
		w.openStratum(1, release.ExposureServe, 0.5, 0.5)
		w.segmented(16_000, func(old bool, arm int) float64 { return 0.7 - 0.1*one(old && arm == 1) })
		rows := Picture(w.input(model(correctMetric()), frozen("correct", frequentBaseline(0.7)), release.StepABTest, Memory{})).Segments
		if d := rows[0].Metrics[0].Difference; d.Lo > -10 || d.Hi < -10 {
			t.Logf("seed %d: %+v", seed, d)
		}
		found += int(one(rows[0].Metrics[0].Flagged))
		wrong += int(one(rows[1].Metrics[0].Flagged))
	}
	if float64(found)/float64(n) < 0.8 || float64(wrong)/float64(n) > limit(DiagnosticFDR, n) {
		t.Errorf("of %d releases the segment that differs is flagged in %d, the other in %d", n, found, wrong)
	}
}

func TestPosteriorIsTheVerdictsView(t *testing.T) {
	w := newWorld(4, 4000, 0.5, 2)
	w.betaRates(0, 0.6, 20)
	w.openStratum(1, release.ExposureServe, 0.5, 0.5)
	for range 12_000 {
		u, arm := w.next()
		w.meet(u, arm)
		w.observe(u, arm, 0, one(w.flip(u.rates[0]+0.02*float64(arm))), false)
		w.observe(u, arm, 1, 0, false) // nobody ever fails
	}
	mod := model(correctMetric(), errorsMetric())
	base := frozen("correct", frequentBaseline(0.6))
	base.Metrics["errors"] = eventBaseline(0.001)
	in := w.input(mod, base, release.StepABTest, Memory{})
	p, v := Picture(in).Posteriors, Assess(in).Verdicts
	if len(p) != 2 || p[0].Model != "normal" || p[1].Model != "beta" || p[1].Unit != "pp" {
		t.Fatalf("%+v", p)
	}
	for i, q := range p {
		mass := 0.0
		for k := range q.X {
			mass += q.Density[k] * (q.X[1] - q.X[0])
		}
		if math.Abs(mass-1) > 0.02 {
			t.Errorf("%s: the curve has mass %v", q.Metric, mass)
		}
		if s := q.PWorseThanMargin + q.PWithinMargin + q.PBetterThanMargin; math.Abs(s-1) > 1e-6 {
			t.Errorf("%s: masses around the margin add up to %v", q.Metric, s)
		}
		if q.Estimate < q.X[0] || q.Estimate > q.X[len(q.X)-1] {
			t.Errorf("%s: the estimate %v is off the curve", q.Metric, q.Estimate)
		}
		b := v[i].Bayes
		if math.Abs(b.PBetter-q.PBetter) > 0.02 || math.Abs(b.WithinMargin-q.PWithinMargin) > 0.02 {
			t.Errorf("%s: %+v, in the verdict %+v", q.Metric, q, b)
		}
	}
	if p[0].PBetter < 0.9 || math.Abs(p[1].PBetter-0.5) > 0.05 {
		t.Errorf("better with %v and %v", p[0].PBetter, p[1].PBetter)
	}
}

// TestPicturesOfPairs: in the shadow step, what is shown comes from pairs.
func TestPicturesOfPairs(t *testing.T) {
	w := newWorld(5, 3000, 0.3, 3)
	w.openStratum(1, release.ExposureWouldBe, 0.5, 0.5)
	s := w.stratum()
	arm := func() tally.SegmentArm {
		return tally.SegmentArm{N: make([]float64, 3), Y: make([]float64, 3), Q: make([]float64, 3)}
	}
	s.Segments = []tally.SegmentView{{Name: "age", Value: "old", Arms: []tally.SegmentArm{arm(), arm()}}}
	p := s.Pairs
	p.Metrics[1].LiveHist, p.Metrics[1].CandHist = make([]uint64, tally.LatencyBuckets), make([]uint64, tally.LatencyBuckets)
	p.Metrics[2].Live, p.Metrics[2].Cand = make([][]float64, 2), make([][]float64, 2)
	for k := range 2 {
		p.Metrics[2].Live[k], p.Metrics[2].Cand[k] = make([]float64, release.Bins), make([]float64, release.Bins)
	}
	for range 6000 {
		u, _ := w.next()
		live, cand := w.flip(0.7), w.flip(0.6)
		w.mirror(u, 0, live, cand)
		for i, y := range []float64{one(live), one(cand)} {
			a := &s.Segments[0].Arms[i]
			a.Exposures++
			a.N[0]++
			a.Y[0] += y
		}
		s.Segments[0].Arms[1].Q[0] += (one(cand) - one(live)) * (one(cand) - one(live))
		p.Metrics[1].LiveHist[tally.Bucket(20_000)]++
		p.Metrics[1].CandHist[tally.Bucket(40_000)]++
		p.Metrics[2].Live[int(one(live))][u.bin]++
		p.Metrics[2].Cand[int(one(cand))][u.bin]++
	}
	w.view.Categories = [][]string{nil, nil, {"no", "yes"}}
	mod := model(correctMetric(), slowMetric(), decisionMetric())
	base := frozen("correct", frequentBaseline(0.7))
	base.Metrics["slow"], base.Metrics["decision"] = lognormal(3, 0.7), release.MetricBaseline{Class: release.ClassDistribution}
	in := w.input(mod, base, release.StepShadow, Memory{})
	all := Picture(in)
	if l := all.Latencies; len(l) != 1 || l[0].From != FromPairs || l[0].LiveN != 6000 || math.Abs(l[0].Quantiles[0].Ratio.Estimate-2) > 0.05 {
		t.Errorf("latencies %+v", l)
	}
	if c := all.Categories; len(c) != 1 || c[0].From != FromPairs || c[0].LiveN != 6000 || c[0].Divergence.Level == 0 {
		t.Errorf("categories %+v", c)
	}
	if q := all.Posteriors; len(q) != 1 || math.Abs(q[0].Estimate+10) > 5 || q[0].PBetter > 0.01 {
		t.Errorf("posteriors %+v", q)
	}
	if g := all.Segments; len(g) != 1 || g[0].From != FromPairs || !g[0].Metrics[0].Flagged || g[0].Metrics[0].Difference.Hi > 0 {
		t.Errorf("segments %+v", g)
	}
	// All users are in one segment: its difference is the verdict's, but for the evidence's own weights.
	v := Assess(in).Verdicts[0]
	if d := all.Segments[0].Metrics[0].Difference; math.Abs(d.Estimate-v.Estimate) > 1e-9 || math.Abs(d.Lo-v.Lo) > 0.5 || math.Abs(d.Hi-v.Hi) > 0.5 {
		t.Errorf("segment %+v, verdict %v in %v to %v", d, v.Estimate, v.Lo, v.Hi)
	}
}

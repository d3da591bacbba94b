package judge

import (
	"math"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/stats"
	"sluice.dev/sluice/internal/tally"
)

// pairSum adds a metric's paired sums over shadow strata. Both answers are to the same request, so that nothing is
// confounded by adding.
type pairSum struct {
	n, d               []float64
	liveY, candY, rows float64
	liveOnly, candOnly float64
	over, overMargin   [][]float64
	overLive           []float64
	drift              *driftSum
}

// pairs sums the shadow strata; nil when there is nothing.
func (j *judging) pairs(s *subject) *pairSum {
	var all []*tally.PairMetricView
	for i := range j.in.Strata {
		st := &j.in.Strata[i]
		if st.Kind != release.ExposureWouldBe {
			continue
		}
		if v := j.view(st.ID); v != nil && v.Pairs != nil && s.index < len(v.Pairs.Metrics) {
			all = append(all, &v.Pairs.Metrics[s.index])
		}
	}
	p := &pairSum{}
	if len(all) == 1 { // mostly: its rows need not be copied at each look of the release
		m := all[0]
		p.n, p.d, p.over, p.overMargin, p.overLive = m.N, m.D, m.Over, m.OverMargin, m.OverLive
	}
	for _, m := range all {
		p.add(m, len(all) > 1)
		if s.metric.Kind == release.MetricCategory {
			if p.drift == nil {
				p.drift = newDriftSum()
			}
			p.drift.add(m.Live, m.Cand)
		}
	}
	if p.rows == 0 && (p.drift == nil || p.drift.w == 0) {
		return nil
	}
	return p
}

// add adds one stratum; its rows too if asked.
func (p *pairSum) add(m *tally.PairMetricView, rows bool) {
	if rows {
		p.n, p.d = addTo(p.n, m.N), addTo(p.d, m.D)
		p.over = addRows(p.over, m.Over)
		p.overMargin = addRows(p.overMargin, m.OverMargin)
		p.overLive = addTo(p.overLive, m.OverLive)
	}
	for _, x := range m.N {
		p.rows += x
	}
	p.liveY += m.LiveY
	p.candY += m.CandY
	p.liveOnly += float64(m.LiveOnly)
	p.candOnly += float64(m.CandOnly)
}

func addRows(to, x [][]float64) [][]float64 {
	for len(to) < len(x) {
		to = append(to, nil)
	}
	for i, r := range x {
		to[i] = addTo(to[i], r)
	}
	return to
}

// judgePairs judges a metric on pairs (R8) and spends share of the metric's alpha. In the shadow step it is the verdict;
// later it only keeps its evidence for harm.
func (j *judging) judgePairs(s *subject, share float64) finding {
	f := finding{gate: NoData, unit: s.unit()}
	p := j.pairs(s)
	if p == nil {
		return f
	}
	f.gate = ""
	f.exposures = p.rows
	switch s.metric.Kind {
	case release.MetricCategory:
		s.category(p.drift, "pairs/drift", share, &f)
		f.detail = j.moved(s, p.drift)
	case release.MetricLatency:
		s.pairedLatency(p, share, &f)
	default:
		s.paired(p, share, &f)
	}
	f.live.Exposures, f.cand.Exposures = uint64(p.rows), uint64(p.rows)
	if p.drift != nil {
		f.live.Exposures, f.cand.Exposures = uint64(p.drift.total[0]), uint64(p.drift.total[1])
	}
	return f
}

// pairsHarm is judgePairs' evidence for harm after the shadow step, when its pairs are there but for a few that come late: it is
// computed again when one did.
func (j *judging) pairsHarm(s *subject, share float64) []component {
	if s.explain {
		return j.judgePairs(s, share).harm
	}
	at := pairsMark{share: share, alpha: s.alpha, weight: s.weight, worse: s.worse, tolerate: s.tolerate, margin: s.margin, made: j.in.Baseline.Made}
	for i := range j.in.Strata {
		st := &j.in.Strata[i]
		if st.Kind != release.ExposureWouldBe {
			continue
		}
		if v := j.view(st.ID); v != nil && v.Pairs != nil && s.index < len(v.Pairs.Metrics) {
			at.rows.add(st.ID, sum(v.Pairs.Metrics[s.index].N))
		}
	}
	if e, ok := j.cache.pairs[s.index]; ok && e.at == at {
		return e.harm
	}
	if j.cache.pairs == nil {
		j.cache.pairs = map[int]cachedPairs{}
	}
	e := cachedPairs{at, j.judgePairs(s, share).harm}
	j.cache.pairs[s.index] = e
	return e.harm
}

// paired judges events, proportions and means.
func (s *subject) paired(p *pairSum, share float64, f *finding) {
	f.live.Value, f.cand.Value = p.liveY/p.rows, p.candY/p.rows
	f.estimate = (f.cand.Value - f.live.Value) * s.scale()
	if s.binary() {
		share /= 2
		f.harm = append(f.harm, s.discordant(p, share))
		f.better = s.discordantBelow(p, f) - math.Ln2
	}
	e, gate := pairedEffect(p.n, p.d)
	kEff := effectiveBins(p.n)
	f.live.KEff, f.cand.KEff = kEff, kEff
	tol, mar := s.pairBound(s.tolerate, p), s.pairBound(s.margin, p)
	wide, split := e, 1.0
	if s.binary() {
		wide.v = math.Max(e.v, clustered(p, mar.shift, kEff))
		split = 1 - rareShare
		f.noWorse = math.Max(0, s.rarely(p, kEff, mar, 1)+math.Log(rareShare))
	}
	if gate == BurnIn && s.binary() && kEff >= minKEff {
		// Hardly anything differs: that is no reason to wait, for R8's counts of units need no differences.
		f.reached = func(more float64) bool {
			return s.rarely(p, kEff, mar, more)+math.Log(rareShare) >= -math.Log(s.alpha)
		}
		return
	}
	f.gate = gate
	if !s.hasMix || e.v <= 0 {
		if f.gate == "" {
			f.gate = BurnIn
		}
		return
	}
	f.reached = func(more float64) bool {
		if f.gate != "" {
			return f.live.KEff*more >= minKEff
		}
		n, w := effect{e.d, e.v / more}, effect{wide.d, wide.v / more}
		return below(s.mix, w, s.worse, mar)+math.Log(split) >= -math.Log(s.alpha) ||
			above(s.mix, n, s.worse, tol)+math.Log(share*s.weight) >= -math.Log(s.alpha)
	}
	if f.gate != "" {
		return
	}
	s.interval(e, f)
	f.harm = append(f.harm, component{"pairs/bins", share, above(s.mix, e, s.worse, tol), s.mixedAbove(s.mix, e, s.worse, tol)})
	noWorse := below(s.mix, wide, s.worse, mar) + math.Log(split)
	s.prove(&f.noWorseBy, noWorse, split, s.mixedBelow(s.mix, wide, s.worse, mar))
	if f.noWorse == 0 || noWorse > f.noWorse {
		f.noWorse = noWorse
	}
	share = 1.0
	if s.binary() {
		share = 0.5
	}
	better := below(s.mix, e, s.worse, zero) + math.Log(share)
	s.prove(&f.betterBy, better, share, s.mixedBelow(s.mix, e, s.worse, zero))
	f.better = math.Max(f.better, better)
}

// rareShare is what the count of units may spend of the alpha of "no worse" on pairs; E2 over bins has the rest.
const rareShare = 0.25

// rarely is the ln E that fewer than the margin's share are lost, from how little ever was; it speaks where two versions
// always agree, and E2 has no variance to work with. With `more` times the data at the same rates.
//
// Validity. Let m units have had a pair, and k1 of them lost the first one they had: those are independent draws with the chance that a
// unit's first pair is lost, and RareBelow(k1, m) is an e-process against "at least the margin". A pair that is lost counts
// fully here and one that is won not at all, so that the chance is at least the difference. The tally knows k, the units
// whose first discordant pair was lost, and k >= k1. It does not keep m, but no fewer units than bins have pairs. (Where the
// unit set is thinned, k and m are of the units it keeps, which are far more than 1,024.) RareBelow falls in k and grows in
// units, so that it only loses by both.
//
// That is about users, each once. Of the pairs, busy users send more: their share must show the same, as the effective bins, and
// the part of them that was lost on balance, to the nearest whole one. This half is as approximate as all of E2.
func (s *subject) rarely(p *pairSum, kEff float64, margin bound, more float64) float64 {
	if !s.decides() || margin.shift <= 0 || margin.shift >= 1 || kEff < minKEff {
		return 0
	}
	k, lost, bins, used := p.candOnly, 0.0, 0.0, 0.0
	if s.worse < 0 {
		k = p.liveOnly
	}
	for i, d := range p.d {
		if x := s.worse * d; x > 0 {
			lost += x
			bins++
		}
		if p.n[i] > 0 {
			used++
		}
	}
	more = math.Min(more, release.Bins/used)
	k = math.Min(used, math.Max(k, bins))
	users, errU := stats.RareBelow(k*more, used*more, margin.shift)
	pairs, errP := stats.RareBelow(math.Min(kEff, math.Round(kEff*lost/p.rows))*more, kEff*more, margin.shift)
	if errU != nil || errP != nil {
		return 0
	}
	return math.Min(users, pairs)
}

// clustered is the variance that a 0/1 metric's paired difference has at least where it is the margin. Versions that
// always answer alike differ for few users, and for those in most of their pairs: with only some of them seen, and the busy ones not among them, difference
// and variance over bins are both too small. With rho the share of pairs that differ in the bins where any does, a bin of n pairs loses
// rho n with probability margin/rho, which gives margin rho sum n_b^2/N^2 = margin rho/kEff (- margin^2/kEff). Where anybody may lose, rho is near
// the margin itself, and this is below the plain variance.
func clustered(p *pairSum, margin, kEff float64) float64 {
	var n, d float64
	for i, x := range p.d {
		if x != 0 {
			n += p.n[i]
			d += math.Abs(x)
		}
	}
	if n == 0 || !(kEff > 0) {
		return 0
	}
	return margin * math.Max(0, d/n-margin) / kEff
}

// pairBound is a bound on paired differences. A ratio to live becomes a difference at live's observed mean, which in
// pairs is measured on the very requests that are compared.
func (s *subject) pairBound(b bound, p *pairSum) bound {
	if !b.isRatio() {
		return b
	}
	return bound{1, math.Abs(b.factor-1) * math.Abs(p.liveY/p.rows)}
}

// pairedEffect is E2's one-sample form with its gate: effective bins, and enough bins in which anything differs.
func pairedEffect(n, d []float64) (effect, State) {
	m, v, k, err := stats.PairedBinEffect(n, d)
	if err != nil {
		return effect{}, BurnIn
	}
	differ := 0
	for _, x := range d {
		if x != 0 {
			differ++
		}
	}
	e := effect{m, v}
	switch {
	case k < minKEff && sum(n) >= manyRows:
		return e, TooFewUnit
	case k < minKEff || differ < minBins:
		return e, BurnIn
	}
	return e, ""
}

// discordant is E1 on units at their first discordant pair (R8). Tolerated points become a log ratio at the lower
// bound of the rate at which live alone has the event, as in R4.
func (s *subject) discordant(p *pairSum, share float64) component {
	a, b := p.liveOnly, p.candOnly
	if s.worse < 0 {
		a, b = b, a
	}
	tol := s.pairBound(s.tolerate, p)
	d0 := 0.0
	if tol.shift > 0 {
		share /= 2
		d0 = maxLogOdds
		if i, err := stats.BernoulliCS(math.Min(a, p.rows), p.rows, s.levelOf(share/2)); err == nil && i.Lo > 0 {
			d0 = math.Min(maxLogOdds, math.Log1p(tol.shift/i.Lo))
		}
	}
	cells := []stats.LabelStratum{tilt(stats.PairedStratum(a, b), d0)}
	c := component{name: "pairs/label", share: share}
	if l, err := stats.NewLabel(cells, eventSigma); err == nil {
		c.ln, c.how = l.LnAbove(0), s.labelledBy(cells, false)
	}
	return c
}

// levelOf is a share of the metric's alpha as a level, within what a bound accepts.
func (s *subject) levelOf(share float64) float64 {
	return clamp(s.metricAlpha()*share, 1e-12, 0.5)
}

func (s *subject) discordantBelow(p *pairSum, f *finding) float64 {
	a, b := p.liveOnly, p.candOnly
	if s.worse < 0 {
		a, b = b, a
	}
	cells := []stats.LabelStratum{stats.PairedStratum(a, b)}
	l, err := stats.NewLabel(cells, eventSigma)
	if err != nil {
		return 0
	}
	ln := l.LnBelow(0)
	s.prove(&f.betterBy, ln-math.Ln2, 0.5, s.labelledBy(cells, true))
	return ln
}

// pairedLatency judges thresholds on pairs: both answers to one request, I(candidate > f x) - I(live > x).
func (s *subject) pairedLatency(p *pairSum, share float64, f *finding) {
	f.live.Value, f.cand.Value = p.liveY/p.rows, p.candY/p.rows
	if p.liveY > 0 {
		f.estimate = clamp(p.candY/p.liveY, 0, maxFactor)
	}
	f.live.KEff, f.cand.KEff = effectiveBins(p.n), effectiveBins(p.n)
	f.gate = BurnIn
	share /= math.Max(1, float64(len(s.base.Thresholds)))
	for i, t := range s.base.Thresholds {
		mix, err := stats.VarianceMixture(t.Quantile * (1 - t.Quantile))
		if err != nil {
			continue
		}
		if t.Quantile == tailQuantile { // users at their first pair in which only one answer is that slow
			f.harm = append(f.harm, component{"pairs/" + quantileName(t.Quantile), share, s.fairCoin(p), s.labelledBy([]stats.LabelStratum{stats.PairedStratum(p.liveOnly, p.candOnly)}, false)})
		} else if i < len(p.over) {
			if e, gate := pairedEffect(p.n, p.over[i]); gate == "" {
				f.harm = append(f.harm, component{"pairs/" + quantileName(t.Quantile), share, above(mix, e, 1, zero), s.mixedAbove(mix, e, 1, zero)})
			}
		}
		if t.Quantile == s.quantile() && i < len(p.overMargin) {
			e, gate := pairedEffect(p.n, p.overMargin[i])
			if f.gate = gate; gate == "" {
				f.noWorse = below(mix, e, 1, zero)
				s.prove(&f.noWorseBy, f.noWorse, 1, s.mixedBelow(mix, e, 1, zero))
			}
			if e, gate := pairedEffect(p.n, p.overLive); gate == "" && p.overLive != nil {
				f.better = below(mix, e, 1, zero)
				s.prove(&f.betterBy, f.better, 1, s.mixedBelow(mix, e, 1, zero))
			}
		}
	}
}

// fairCoin is E1's ln E that discordant units are the candidate's more often than not.
func (s *subject) fairCoin(p *pairSum) float64 {
	l, err := stats.NewLabel([]stats.LabelStratum{stats.PairedStratum(p.liveOnly, p.candOnly)}, s.labelSigma())
	if err != nil {
		return 0
	}
	return l.LnAbove(0)
}

// unit is the unit of estimates of this metric.
func (s *subject) unit() string {
	switch s.metric.Kind {
	case release.MetricLatency:
		return string(release.Factor)
	case release.MetricCategory:
		return string(release.Bits)
	case release.MetricMean:
		return ""
	default:
		return string(release.Points)
	}
}

// sum adds in four strands, so that additions need not wait for each other.
func sum(xs []float64) float64 {
	var a, b, c, d float64
	for len(xs) >= 4 {
		a += xs[0]
		b += xs[1]
		c += xs[2]
		d += xs[3]
		xs = xs[4:]
	}
	for _, x := range xs {
		a += x
	}
	return a + b + c + d
}

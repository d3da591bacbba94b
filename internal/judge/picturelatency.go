package judge

import (
	"math"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

// LatencyPicture is the distribution of either version's times.
type LatencyPicture struct {
	Metric string `json:"metric"`
	Arm    uint8  `json:"arm"`
	From   string `json:"from"`
	// EdgesMs are ascending; bucket i holds EdgesMs[i] < x <= EdgesMs[i+1], so there is one edge more than buckets. At most
	// 60 buckets, of equal width on a logarithmic scale but for rounding to the histogram's own edges.
	EdgesMs    []float64         `json:"edgesMs"`
	Live       []uint64          `json:"live"`
	Candidate  []uint64          `json:"candidate"`
	LiveN      uint64            `json:"liveN"`
	CandidateN uint64            `json:"candidateN"`
	Quantiles  []QuantilePicture `json:"quantiles"` // ascending: those of the bank and the declared one
}

// QuantilePicture is one quantile of either version in milliseconds, and candidate over live. The intervals are time-uniform, for as
// many independent observations as the requests are worth between bins of users.
type QuantilePicture struct {
	Quantile  float64 `json:"quantile"`
	Live      Shown   `json:"live"`
	Candidate Shown   `json:"candidate"`
	Ratio     Shown   `json:"ratio"`
}

// mostBuckets of a picture.
const mostBuckets = 60

// latencyPicture has none or one element.
func (j *judging) latencyPicture(s *subject) []LatencyPicture {
	p := LatencyPicture{Metric: s.metric.Name, Arm: uint8(s.arm)}
	var live, cand []uint64
	vs := j.against(s.arm)
	if j.onPairs && s.arm == 1 {
		p.From = FromPairs
		live, cand = j.pairHistograms(s)
		vs = j.versuses(release.ExposureWouldBe, s.arm)
	} else {
		p.From = FromStrata
		live, cand = histograms(vs, s.index)
		if n := len(vs); n > 0 && len(live) > 0 && isPresent(&vs[n-1], s.index, live) {
			p.From = FromPresent
		}
	}
	if p.LiveN, p.CandidateN = total(live), total(cand); p.LiveN+p.CandidateN == 0 {
		return nil
	}
	p.merge(live, cand)
	for _, q := range withQuantile(s.quantile()) {
		p.Quantiles = append(p.Quantiles, j.quantilePicture(s, q, vs, live, cand))
	}
	return []LatencyPicture{p}
}

// isPresent says whether histograms took the present stratum's.
func isPresent(v *versus, metric int, live []uint64) bool {
	m := metricOf(v.live, metric)
	return m != nil && len(m.Hist) > 0 && &m.Hist[0] == &live[0]
}

func (j *judging) pairHistograms(s *subject) (live, cand []uint64) {
	for i := range j.in.Strata {
		v := j.view(j.in.Strata[i].ID)
		if j.in.Strata[i].Kind == release.ExposureWouldBe && v != nil && v.Pairs != nil && s.index < len(v.Pairs.Metrics) {
			m := &v.Pairs.Metrics[s.index]
			live, cand = addHist(live, m.LiveHist), addHist(cand, m.CandHist)
		}
	}
	return live, cand
}

// merge brings both histograms into few buckets between the first and the last that is used.
func (p *LatencyPicture) merge(live, cand []uint64) {
	at := func(h []uint64, i int) uint64 {
		if i < len(h) {
			return h[i]
		}
		return 0
	}
	first, last := -1, -1
	for i := range min(max(len(live), len(cand)), tally.LatencyBuckets) {
		if at(live, i)+at(cand, i) > 0 {
			if last = i; first < 0 {
				first = i
			}
		}
	}
	if first < 0 {
		return
	}
	step := (last - first + mostBuckets) / mostBuckets
	p.EdgesMs = []float64{0}
	if first > 0 {
		p.EdgesMs[0] = float64(tally.Edge(first-1)) / 1000
	}
	for from := first; from <= last; from += step {
		var a, b uint64
		end := min(from+step, tally.LatencyBuckets)
		for i := from; i < end; i++ {
			a += at(live, i)
			b += at(cand, i)
		}
		p.Live, p.Candidate = append(p.Live, a), append(p.Candidate, b)
		p.EdgesMs = append(p.EdgesMs, float64(tally.Edge(end-1))/1000)
	}
}

func (j *judging) quantilePicture(s *subject, q float64, vs []versus, live, cand []uint64) QuantilePicture {
	p := QuantilePicture{Quantile: q}
	a, okA := quantileOf(live, q)
	b, okB := quantileOf(cand, q)
	p.Live, p.Candidate = flat(a), flat(b)
	if okA && okB && a > 0 {
		p.Ratio = flat(clamp(b/a, 0, maxFactor))
	}
	c := j.exceedances(s, q, vs)
	if c == nil || c.gate(false) != "" {
		return p // what the requests are worth is not known
	}
	deff := designEffect(c)
	iA, okIA := quantileInterval(live, q, deff, s.alpha)
	iB, okIB := quantileInterval(cand, q, deff, s.alpha)
	level := 1 - 2*s.alpha
	if okA && okIA {
		p.Live = Shown{a, iA.Lo, finiteMs(iA.Hi), level}
	}
	if okB && okIB {
		p.Candidate = Shown{b, iB.Lo, finiteMs(iB.Hi), level}
	}
	if okA && okB && okIA && okIB && a > 0 {
		p.Ratio = Shown{p.Ratio.Estimate, 0, maxFactor, level}
		if iA.Hi > 0 {
			p.Ratio.Lo = clamp(iB.Lo/iA.Hi, 0, maxFactor)
		}
		if iA.Lo > 0 {
			p.Ratio.Hi = clamp(iB.Hi/iA.Lo, 0, maxFactor)
		}
	}
	return p
}

// exceedances are those of the threshold at a quantile, or of the nearest one; nil before the baseline.
func (j *judging) exceedances(s *subject, q float64, vs []versus) *binned {
	best := -1
	for i, t := range s.base.Thresholds {
		if best < 0 || math.Abs(t.Quantile-q) < math.Abs(s.base.Thresholds[best].Quantile-q) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	return sumOf(vs, overSums(s.index, best, false))
}

// sumOf adds strata for E2 without a cache.
func sumOf(vs []versus, pick func(*versus) (a, b sums)) *binned {
	all := newBinSum()
	for i := range vs {
		all.add(pick(&vs[i]))
	}
	return all.binned()
}

// finiteMs replaces an unbounded end by the last edge of the histogram, 71 minutes.
func finiteMs(ms float64) float64 {
	return math.Min(ms, float64(tally.Edge(tally.LatencyBuckets-1))/1000)
}

package judge

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/stats"
	"sluice.dev/sluice/internal/tally"
)

// SegmentPicture is one value of one segment, for one candidate. Values and differences compare within strata, as verdicts
// do; exposures are sums.
type SegmentPicture struct {
	Segment            string          `json:"segment"`
	Value              string          `json:"value"`
	Arm                uint8           `json:"arm"`
	From               string          `json:"from"`
	LiveExposures      uint64          `json:"liveExposures"`
	CandidateExposures uint64          `json:"candidateExposures"`
	Metrics            []SegmentMetric `json:"metrics"`
}

// SegmentMetric is a metric within a segment: the mean of both versions and their difference, candidate minus live. The interval
// is NOT corrected for the number of segments: of many, some leave out 0 by chance. Flagged ones are: among all flagged, on
// average at most DiagnosticFDR are false (e-BH).
//
// Segments have no bins of their own. Their variance is that of independent observations times the metric's design effect over all
// users; a segment of few very active users deserves more. The mean of a latency is of its milliseconds.
type SegmentMetric struct {
	Metric     string  `json:"metric"`
	Unit       string  `json:"unit"` // "pp", or "": the metric's own (latency: ms)
	LiveN      uint64  `json:"liveN"`
	CandidateN uint64  `json:"candidateN"`
	Live       float64 `json:"live"`
	Candidate  float64 `json:"candidate"`
	Difference Shown   `json:"difference"`
	LnE        float64 `json:"lnE"` // two-sided evidence now that there is a difference
	Flagged    bool    `json:"flagged"`
}

// Gates of a segment's interval, for either version (§1.3).
const (
	segmentRows   = 100
	segmentEvents = 10
)

// segmentKey names one row of the table.
type segmentKey struct {
	segment, value string
	arm            int
}

// segmentSum adds one metric of one row over strata.
type segmentSum struct {
	n    [2]float64
	fits []segmentFit
}

// segmentFit is one stratum: observations, means and variances per observation of both arms. Paired: n pairs, d and its variance.
type segmentFit struct{ nA, nB, a, b, vA, vB float64 }

func (j *judging) segmentPictures() []SegmentPicture {
	var out []SegmentPicture
	type asked struct{ row, metric int }
	var questions []asked
	for arm := 1; arm < j.arms; arm++ {
		pairs := j.onPairs && arm == 1
		rows := j.segmentRows(arm, pairs)
		inflation := j.designEffects(arm, pairs)
		for _, k := range slices.SortedFunc(maps.Keys(rows), compareSegments) {
			p := SegmentPicture{Segment: k.segment, Value: k.value, Arm: uint8(arm), From: FromStrata}
			if pairs {
				p.From = FromPairs
			}
			r := rows[k]
			p.LiveExposures, p.CandidateExposures = r.exposures[0], r.exposures[1]
			for i := range j.metrics() {
				if s := j.subject(i, arm); s.metric.Kind != release.MetricCategory {
					p.Metrics = append(p.Metrics, s.segmentMetric(&r.metrics[i], inflation[i], pairs))
					questions = append(questions, asked{len(out), len(p.Metrics) - 1})
				}
			}
			out = append(out, p)
		}
	}
	lnE := make([]float64, len(questions))
	for i, q := range questions {
		lnE[i] = out[q.row].Metrics[q.metric].LnE
	}
	if shown, err := stats.EBH(lnE, DiagnosticFDR); err == nil {
		for _, i := range shown {
			out[questions[i].row].Metrics[questions[i].metric].Flagged = true
		}
	}
	return out
}

func compareSegments(a, b segmentKey) int {
	return cmp.Or(cmp.Compare(a.segment, b.segment), cmp.Compare(a.value, b.value))
}

type segmentRow struct {
	exposures [2]uint64
	metrics   []segmentSum
}

// segmentRows sums the table of one candidate: of pairs, or of what was served.
func (j *judging) segmentRows(arm int, pairs bool) map[segmentKey]*segmentRow {
	rows := map[segmentKey]*segmentRow{}
	for i := range j.in.Strata {
		st := &j.in.Strata[i]
		v := j.view(st.ID)
		cand := arm
		if pairs {
			cand = 1
		}
		if v == nil || pairs != (st.Kind == release.ExposureWouldBe) || st.Kind == release.ExposureServe && (st.share(0) == 0 || st.share(arm) == 0) {
			continue
		}
		for g := range v.Segments {
			s := &v.Segments[g]
			if cand >= len(s.Arms) {
				continue
			}
			k := segmentKey{s.Name, s.Value, arm}
			r := rows[k]
			if r == nil {
				r = &segmentRow{metrics: make([]segmentSum, len(j.metrics()))}
				rows[k] = r
			}
			a, b := &s.Arms[0], &s.Arms[cand]
			r.exposures[0] += a.Exposures
			r.exposures[1] += b.Exposures
			for m := range r.metrics {
				r.metrics[m].add(a, b, m, pairs)
			}
		}
	}
	return rows
}

func (x *segmentSum) add(a, b *tally.SegmentArm, m int, pairs bool) {
	if m >= len(a.N) || m >= len(b.N) || m >= len(a.Q) || m >= len(b.Q) {
		return
	}
	x.n[0] += a.N[m]
	x.n[1] += b.N[m]
	if a.N[m] == 0 || b.N[m] == 0 {
		return
	}
	f := segmentFit{nA: a.N[m], nB: b.N[m], a: a.Y[m] / a.N[m], b: b.Y[m] / b.N[m]}
	f.vA = math.Max(0, a.Q[m]/f.nA-f.a*f.a)
	f.vB = math.Max(0, b.Q[m]/f.nB-f.b*f.b)
	if pairs { // the candidate's squares are of the differences
		d := f.b - f.a
		f.vA, f.vB = 0, math.Max(0, b.Q[m]/f.nB-d*d)
	}
	x.fits = append(x.fits, f)
}

// effect combines the strata as E2 does (R2); v0 is the mean variance per observation.
func (x *segmentSum) effect(pairs bool) (a, b float64, e effect, v0 float64) {
	var w, rows float64
	for _, f := range x.fits {
		k := f.nA * (f.nB / (f.nA + f.nB))
		v := f.vA/f.nA + f.vB/f.nB
		if !pairs {
			pooled := (f.vA*f.nA + f.vB*f.nB) / (f.nA + f.nB) * (1/f.nA + 1/f.nB)
			v = math.Max(v, pooled)
		}
		a, b, w = a+k*f.a, b+k*f.b, w+k
		e.v += k * k * v
		v0 += f.vA*f.nA + f.vB*f.nB
		rows += f.nA + f.nB
	}
	if w == 0 {
		return 0, 0, effect{}, 0
	}
	a, b = a/w, b/w
	e.d, e.v = b-a, e.v/w/w
	return a, b, e, v0 / rows
}

func (s *subject) segmentMetric(x *segmentSum, inflation float64, pairs bool) SegmentMetric {
	a, b, e, v0 := x.effect(pairs)
	out := SegmentMetric{Metric: s.metric.Name, LiveN: uint64(x.n[0]), CandidateN: uint64(x.n[1]), Live: a, Candidate: b}
	if s.binary() {
		out.Unit = string(release.Points)
	}
	out.Difference = flat(e.d * s.scale())
	if s.segmentGate(x, a, b) || inflation == 0 {
		return out
	}
	mix, ok := s.mix, s.hasMix && s.known
	if s.metric.Kind == release.MetricLatency { // live's variance is not frozen for it; what it scales decides nothing
		m, err := stats.VarianceMixture(v0)
		mix, ok = m, err == nil
	}
	e.v *= inflation
	if !ok || e.v <= 0 {
		return out
	}
	out.Difference = s.shown(mix, e, s.scale())
	if ln, err := mix.LnTwoSided(e.d, e.v, 0); err == nil {
		out.LnE = clampLn(ln)
	}
	return out
}

// segmentGate says whether a segment has too few observations to say more than its means.
func (s *subject) segmentGate(x *segmentSum, a, b float64) bool {
	if math.Min(x.n[0], x.n[1]) < segmentRows {
		return true
	}
	if !s.binary() {
		return false
	}
	least := math.Min(math.Min(a, 1-a)*x.n[0], math.Min(b, 1-b)*x.n[1])
	return least < segmentEvents
}

// designEffects returns for each metric how much larger the variance of its difference is over bins than that of independent
// observations, at least 1; 0 where bins do not say.
func (j *judging) designEffects(arm int, pairs bool) []float64 {
	out := make([]float64, len(j.metrics()))
	for i := range out {
		s := j.subject(i, arm)
		var v, plain float64
		if pairs {
			v, plain = j.pairedVariances(s)
		} else {
			v, plain = j.servedVariances(s)
		}
		if v > 0 && plain > 0 {
			out[i] = math.Max(1, v/plain)
		}
	}
	return out
}

func (j *judging) servedVariances(s *subject) (v, plain float64) {
	vs := j.against(s.arm)
	c := sumOf(vs, rateSums(s.index))
	if c.gate(false) != "" {
		return 0, 0
	}
	e, ok := c.effect(1)
	var x segmentSum
	for i := range vs {
		live, cand := vs[i].metric(s.index)
		if live != nil && cand != nil {
			x.add(armSums(live), armSums(cand), 0, false)
		}
	}
	if _, _, p, _ := x.effect(false); ok {
		return e.v, p.v
	}
	return 0, 0
}

// armSums reads a metric's sums of one arm as those of a segment that holds everybody.
func armSums(m *tally.MetricView) *tally.SegmentArm {
	return &tally.SegmentArm{N: []float64{sum(m.N)}, Y: []float64{sum(m.Y)}, Q: []float64{m.SumSq}}
}

func (j *judging) pairedVariances(s *subject) (v, plain float64) {
	p := j.pairs(s)
	if p == nil || p.rows == 0 {
		return 0, 0
	}
	m, v, k, err := stats.PairedBinEffect(p.n, p.d)
	if err != nil || k < minKEff {
		return 0, 0
	}
	squares := 0.0
	for i := range j.in.Strata {
		if w := j.view(j.in.Strata[i].ID); j.in.Strata[i].Kind == release.ExposureWouldBe && w != nil && w.Pairs != nil && s.index < len(w.Pairs.Metrics) {
			squares += w.Pairs.Metrics[s.index].SumSq
		}
	}
	return v, math.Max(0, squares/p.rows-m*m) / p.rows
}

package judge

import (
	"fmt"
	"math"
	"strings"
	"time"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

// What a baseline is made of.
const (
	rareRate      = 0.05   // rarer outcome below: class event
	frequentRate  = 0.20   // from here on: class frequent (E1 loses 1/(1-p), §1.2); between: both
	leastRows     = 200    // observations of live without which nothing is frozen
	thresholdRows = 10_000 // observations from which latency thresholds are placed well (§1.4)
	defaultRows   = 500    // wanted when the Model says nothing of its traffic
	wantSeconds   = 10     // of the declared traffic
	feedbackWait  = time.Minute
	maxCategories = 64
	fewOfCategory = 5 // observations below which an answer is "other"
	capDeviations = 3 // cap of a mean without a histogram: mean + 3 sd, about p99 of a heavy tail
)

// bank are the quantiles of live at which latency is compared (R6).
var bank = []float64{0.5, 0.75, 0.9, 0.95, 0.99}

// MakeBaseline freezes from live what comparing needs: per metric the class that decides its engine, the variance
// that scales E2, the cap of a mean, latency thresholds, the dictionary of a category. Live is arm 0 of the first
// step with users, and every arm of the strata before it, since live serves all of them.
//
// It returns nil and what is missing in words while there are too few observations: 200 at least, and as many as ten seconds
// of the declared traffic bring up to 10,000, in a shadow step at most a quarter of the pairs. A metric told by feedback whose
// window is longer than a minute is not waited for: it is judged by both engines, which is valid at any rate and
// costs half of alpha. Role watch is never waited for.
func MakeBaseline(model *release.Model, view *tally.View, strata []Stratum, now time.Time) (*release.Baseline, string) {
	if model == nil || view == nil {
		return nil, "nothing was measured yet"
	}
	arms := liveArms(view, strata)
	want := wantedRows(model)
	b := &release.Baseline{Made: now.UnixMilli(), Metrics: map[string]release.MetricBaseline{}}
	var missing []string
	for i := range model.Spec.Metrics {
		m := &model.Spec.Metrics[i]
		l := collect(arms, i)
		if mb, why := baselineOf(m, view, i, l, want); why == "" {
			b.Metrics[m.Name] = mb
		} else if m.Role != release.Watch {
			missing = append(missing, m.Name+": "+why)
		}
	}
	if len(missing) > 0 {
		return nil, "baseline waits for " + strings.Join(missing, "; ")
	}
	if len(b.Metrics) == 0 {
		return nil, "nothing was measured yet"
	}
	return b, ""
}

// liveArms lists the arms that live served: all would-be arms (of the shadow step, but also of a test or pause step before
// users are exposed, which may be over within seconds), and live's own in serving strata of the first epoch.
func liveArms(view *tally.View, strata []Stratum) []*tally.ArmView {
	kinds := map[uint16]Stratum{}
	first := -1
	for _, s := range strata {
		kinds[s.ID] = s
		if s.Kind == release.ExposureServe && first < 0 {
			first = int(s.Epoch)
		}
	}
	var arms []*tally.ArmView
	for i := range view.Strata {
		v := &view.Strata[i]
		s, ok := kinds[v.ID]
		switch {
		case !ok:
		case s.Kind == release.ExposureWouldBe:
			for a := range v.Arms {
				arms = append(arms, &v.Arms[a])
			}
		case s.Kind == release.ExposureServe && int(s.Epoch) == first && len(v.Arms) > 0:
			arms = append(arms, &v.Arms[0])
		}
	}
	return arms
}

// wantedRows is how many of live's observations are waited for.
func wantedRows(m *release.Model) float64 {
	want := float64(defaultRows)
	if r := float64(m.Spec.Traffic.Requests); r > 0 {
		want = clamp(r*wantSeconds, leastRows, thresholdRows)
	}
	for _, s := range m.Spec.Plan.Steps {
		if s.Shadow != nil && s.Shadow.Until.Pairs > 0 {
			want = math.Min(want, math.Max(leastRows, float64(s.Shadow.Until.Pairs)/4))
		}
	}
	return want
}

// liveSums are one metric's observations of live, all arms and strata together.
type liveSums struct {
	n, y, sumSq float64
	bins        []float64
	hist        []uint64
	cats        []float64
}

func collect(arms []*tally.ArmView, metric int) liveSums {
	var l liveSums
	for _, a := range arms {
		m := metricOf(a, metric)
		if m == nil {
			continue
		}
		l.n += sum(m.N)
		l.y += sum(m.Y)
		l.sumSq += m.SumSq
		l.bins = addTo(l.bins, m.N)
		l.hist = addHist(l.hist, m.Hist)
		for c, r := range m.Category {
			for len(l.cats) <= c {
				l.cats = append(l.cats, 0)
			}
			l.cats[c] += sum(r)
		}
	}
	return l
}

func (l *liveSums) mean() float64 { return l.y / l.n }

// variance is the plain per-observation variance v0; users who come back are the mixture's business (R2).
func (l *liveSums) variance() float64 {
	m := l.mean()
	v := l.sumSq/l.n - m*m
	if v < 1e-12*m*m {
		return 0
	}
	return v
}

// baselineOf freezes one metric; why says what is missing.
func baselineOf(m *release.Metric, view *tally.View, i int, l liveSums, want float64) (release.MetricBaseline, string) {
	k := effectiveBins(l.bins)
	binary := m.Kind == release.MetricEvent || m.Kind == release.MetricProportion
	if (l.n < want || k < minKEff) && binary && slowFeedback(m) {
		return unseen(m), ""
	}
	switch {
	case l.n < want:
		return release.MetricBaseline{}, fmt.Sprintf("%s of %s observations of live", thousands(l.n), thousands(want))
	case k < minKEff:
		return release.MetricBaseline{}, fmt.Sprintf("observations from more users (worth %s independent ones, %d needed)", number(math.Floor(k)), minKEff)
	}
	b := release.MetricBaseline{N: uint64(l.n), Mean: l.mean()}
	switch m.Kind {
	case release.MetricLatency:
		b.Class = release.ClassDistribution
		b.Thresholds = thresholds(m, l.hist)
		if len(b.Thresholds) == 0 {
			return b, "latencies of live"
		}
	case release.MetricCategory:
		b.Class = release.ClassDistribution
		b.Mean = 0
		if b.Categories = dictionary(view, i, l.cats); len(b.Categories) == 0 {
			return b, "answers of live that occur at least five times"
		}
	case release.MetricMean:
		b.Class = release.ClassFrequent
		b.Variance = l.variance()
		b.Cap = capOf(l)
	default:
		b.Variance = b.Mean * (1 - b.Mean)
		b.Class, b.Invert = classOf(m, b.Mean)
	}
	return b, ""
}

// slowFeedback says whether a metric's outcomes come too late to wait for.
func slowFeedback(m *release.Metric) bool {
	spec, err := m.Source.Parse()
	window := time.Duration(m.Window)
	if window <= 0 {
		window = release.DefaultWindow
	}
	return err == nil && spec.ReadsFeedback() && window > feedbackWait
}

// unseen is the baseline of a 0/1 metric whose rate is not known yet. Bad outcomes are the events.
func unseen(m *release.Metric) release.MetricBaseline {
	return release.MetricBaseline{Class: release.ClassBoth, Invert: m.Kind == release.MetricProportion && m.Direction == release.Higher}
}

// classOf chooses the engine by the rarer outcome in live: below 5 % users are counted, from 20 % on requests over
// bins, between them both. An event ("did it happen to the unit") keeps its meaning and is never inverted.
func classOf(m *release.Metric, rate float64) (release.MetricClass, bool) {
	invert := m.Kind == release.MetricProportion && rate > 0.5
	rare := rate
	if invert {
		rare = 1 - rate
	}
	switch {
	case rare < rareRate:
		return release.ClassEvent, invert
	case rare < frequentRate:
		return release.ClassBoth, invert
	case m.Kind == release.MetricEvent:
		return release.ClassBoth, false
	default:
		return release.ClassFrequent, false
	}
}

// capOf is live's 99th percentile; without a histogram the mean plus three standard deviations.
func capOf(l liveSums) float64 {
	if b, n := tally.Rank(l.hist, 0.99); b > 0 && n > 0 && b < tally.ValueBuckets-1 {
		return tally.ValueEdge(b)
	}
	if v := l.variance(); v > 0 {
		return l.mean() + capDeviations*math.Sqrt(v)
	}
	return 0
}

// thresholds snaps live's quantiles and their multiples to the histogram's edges.
func thresholds(m *release.Metric, hist []uint64) []release.Threshold {
	if total(hist) == 0 {
		return nil
	}
	declared := m.Quantile
	if declared <= 0 {
		declared = release.DefaultQuantile
	}
	var out []release.Threshold
	for _, q := range withQuantile(declared) {
		b, _ := tally.Rank(hist, q)
		if b < 0 || b >= tally.LatencyBuckets {
			continue
		}
		x := tally.Edge(b)
		t := release.Threshold{Quantile: q, X: x}
		t.Tolerate, t.Margin = Edges(m, x)
		out = append(out, t)
	}
	return out
}

// withQuantile is the bank with the declared quantile in its place.
func withQuantile(q float64) []float64 {
	out := make([]float64, 0, len(bank)+1)
	placed := false
	for _, b := range bank {
		if !placed && q <= b {
			placed = true
			if q < b {
				out = append(out, q)
			}
		}
		out = append(out, b)
	}
	if !placed {
		out = append(out, q)
	}
	return out
}

// Edges are the edges of the histogram at which a candidate's latency is counted, µs, beside live's threshold x, itself an
// edge. Edges are 2 % apart, and either is rounded to the safe side: tolerate up, so that a candidate within it is not
// called harmful, margin down, so that one beyond it is not called "no worse". Less than one edge above x, a margin is that
// edge: nothing finer is measured.
func Edges(m *release.Metric, x uint32) (tolerate, margin uint32) {
	tolerate = tally.Edge(tally.Bucket(stretch(x, boundOf(tolerance(m), 1), math.Ceil)))
	y := stretch(x, boundOf(m.Margin, 1), math.Floor)
	i := tally.Bucket(y)
	if tally.Edge(i) > y {
		i = max(0, i-1)
	}
	if margin = tally.Edge(i); y > x && margin <= x {
		margin = tally.Edge(tally.Bucket(x + 1))
	}
	return tolerate, margin
}

// stretch is x under a margin: a factor on it, or milliseconds beyond it. A whole number stays what it is: 1.1 * 100 is 110.
func stretch(x uint32, b bound, round func(float64) float64) uint32 {
	y := float64(x)*b.factor + b.shift*1000
	if whole := math.Round(y); math.Abs(y-whole) < 1e-6 {
		return uint32(clamp(whole, 0, math.MaxUint32))
	}
	return uint32(clamp(round(y), 0, math.MaxUint32))
}

// dictionary keeps the answers that live gives at least five times, most frequent first, at most 64.
func dictionary(view *tally.View, metric int, counts []float64) []string {
	if metric >= len(view.Categories) {
		return nil
	}
	names := view.Categories[metric]
	taken := make([]bool, len(names))
	var out []string
	for len(out) < maxCategories {
		best := -1
		for c, name := range names {
			if c >= len(counts) || taken[c] || name == tally.Other || counts[c] < fewOfCategory {
				continue
			}
			if best < 0 || counts[c] > counts[best] {
				best = c
			}
		}
		if best < 0 {
			break
		}
		taken[best] = true
		out = append(out, names[best])
	}
	return out
}

package main

import (
	"math"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

// world holds what judge reads of one synthetic release: strata and the sums that a tally would hold.
type world struct {
	c       chance
	model   *release.Model
	base    *release.Baseline
	metrics int
	strata  []judge.Stratum
	view    *tally.View
	cache   judge.Cache
	mem     judge.Memory
}

// measured is a metric together with what was frozen of live.
type measured struct {
	metric release.Metric
	base   release.MetricBaseline
}

func newWorld(c chance, metrics ...measured) *world {
	w := &world{
		c: c, model: &release.Model{}, base: &release.Baseline{Metrics: map[string]release.MetricBaseline{}},
		metrics: len(metrics), view: &tally.View{Baseline: true},
	}
	w.model.Spec.Plan.Alpha = alpha
	for _, m := range metrics {
		w.model.Spec.Metrics = append(w.model.Spec.Metrics, m.metric)
		w.base.Metrics[m.metric.Name] = m.base
	}
	return w
}

// open begins a stratum with these shares, live's first.
func (w *world) open(epoch uint8, kind release.ExposureKind, shares ...float64) {
	s := judge.Stratum{ID: uint16(len(w.strata) + 1), Epoch: epoch, Kind: kind}
	for _, x := range shares {
		s.Shares = append(s.Shares, release.Share(math.Round(x*1e6)))
	}
	v := tally.StratumView{ID: s.ID, Epoch: epoch, Kind: kind, Arms: make([]tally.ArmView, len(shares))}
	for a := range v.Arms {
		v.Arms[a].Metrics = make([]tally.MetricView, w.metrics)
	}
	if kind == release.ExposureWouldBe {
		v.Pairs = &tally.PairView{Metrics: make([]tally.PairMetricView, w.metrics)}
	}
	w.strata = append(w.strata, s)
	w.view.Strata = append(w.view.Strata, v)
}

// stratum is the present one.
func (w *world) stratum() *tally.StratumView { return &w.view.Strata[len(w.view.Strata)-1] }

// look asks judge.
func (w *world) look(step release.StepKind) judge.Assessment {
	a := w.cache.Assess(judge.Input{
		Model: w.model, Baseline: w.base, Step: step, Strata: w.strata, View: w.view, Memory: w.mem,
	})
	w.mem = a.Memory
	return a
}

// outcome is what judge said over many looks at a release: harm ever, and "no worse" or "better" of all metrics at once ever. A release that
// is rolled back is over, and what it would have said later does not count.
type outcome struct{ harm, noWorse, better bool }

func (o *outcome) see(a *judge.Assessment) {
	if o.harm {
		return
	}
	all, any := true, false
	for i := range a.Verdicts {
		all = all && a.Verdicts[i].NoWorse
		any = any || a.Verdicts[i].Better
	}
	o.harm, o.noWorse, o.better = a.Harm, o.noWorse || all && !a.Harm, o.better || any
}

// requests are one batch of traffic in which every request is a unit of its own: bins by arm, in random order.
type requests struct {
	*world
	bins [][]uint16
	used []int
}

func perRequest(w *world) *requests {
	w.model.Spec.Unit.Missing = release.MissingPerRequest
	return &requests{world: w}
}

// serve lets n requests come, split by the present shares.
func (r *requests) serve(n int) {
	s := &r.strata[len(r.strata)-1]
	shares, got := make([]float64, len(s.Shares)), make([]int, len(s.Shares))
	for i, x := range s.Shares {
		shares[i] = float64(x) / 1e6
	}
	r.c.multinomial(n, shares, got)
	for len(r.bins) < len(got) {
		r.bins, r.used = append(r.bins, nil), append(r.used, 0)
	}
	for arm, k := range got {
		r.bins[arm] = r.c.bins(k, r.bins[arm])
		a := &r.stratum().Arms[arm]
		a.Exposures += uint64(k)
		a.Seen += uint64(k)
		a.Units += uint64(k)
		a.NewUnits += uint64(k)
		seen := a.Metrics[0].N // all metrics share the row of observations
		if seen == nil {
			seen = make([]float64, release.Bins)
		}
		for _, b := range r.bins[arm] {
			seen[b]++
		}
		for i := range a.Metrics {
			a.Metrics[i].N = seen
		}
	}
}

// arrived is how many requests the last batch gave to an arm.
func (r *requests) arrived(arm int) int { return len(r.bins[arm]) }

// fresh starts to pick requests of the last batch anew, for a metric that is independent of the ones before.
func (r *requests) fresh() { clear(r.used) }

// take picks k requests of an arm that were not taken since fresh, at random, and counts them in a row.
func (r *requests) take(arm, k int, to *[]float64) {
	if *to == nil {
		*to = make([]float64, release.Bins)
	}
	b, at := r.bins[arm], r.used[arm]
	for i := at; i < at+k; i++ {
		j := i + r.c.IntN(len(b)-i)
		b[i], b[j] = b[j], b[i]
		(*to)[b[i]]++
	}
	r.used[arm] = at + k
}

// occur counts a 0/1 outcome of chance p by arm. event: it is also the unit's event.
func (r *requests) occur(metric int, event bool, p ...float64) {
	r.fresh()
	for arm := range p {
		m := &r.stratum().Arms[arm].Metrics[metric]
		k := r.c.binomial(r.arrived(arm), p[arm])
		r.take(arm, k, &m.Y)
		if event {
			m.Event.First += uint64(k)
			m.Event.Ever += uint64(k)
			m.Event.Closed += uint64(r.arrived(arm))
			m.Event.With += uint64(k)
		}
		m.SumSq += float64(k)
	}
}

// The metrics of the scenarios.

func points(v float64) release.Margin   { return release.Margin{Value: v, Unit: release.Points} }
func factorOf(v float64) release.Margin { return release.Margin{Value: v, Unit: release.Factor} }
func bitsOf(v float64) release.Margin   { return release.Margin{Value: v, Unit: release.Bits} }

var none = points(0)

// errorsOf is a guardrail on errors, of which live has the share p.
func errorsOf(name string, p float64, margin, tolerate release.Margin) measured {
	return measured{
		release.Metric{
			Name: name, Source: "error", Kind: release.MetricEvent, Direction: release.Lower,
			Margin: margin, Tolerate: tolerate, Role: release.Guardrail, Window: release.Duration(600e9),
		},
		release.MetricBaseline{Class: release.ClassEvent, N: 10_000, Mean: p, Variance: p * (1 - p)},
	}
}

// successOf is a frequent outcome, of which live has the share p.
func successOf(name string, p float64, margin, tolerate release.Margin) measured {
	return measured{
		release.Metric{
			Name: name, Source: "json:ok", Kind: release.MetricProportion, Direction: release.Higher,
			Margin: margin, Tolerate: tolerate, Role: release.Guardrail,
		},
		release.MetricBaseline{Class: release.ClassFrequent, N: 10_000, Mean: p, Variance: p * (1 - p)},
	}
}

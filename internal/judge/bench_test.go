package judge

import (
	"math"
	"testing"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

// busy is a release with ten metrics and six serving strata: 4 events, 2 proportions, 2 means, a latency, a category.
func busy(seed uint64) *world {
	w := newWorld(seed, 20000, 0.7, 10)
	w.betaRates(0, 0.01, 10)
	b := lognormal(3, 0.7)
	for i, share := range []float64{0.05, 0.1, 0.2, 0.5, 0.7, 0.8} {
		w.openStratum(uint8(1+i/2), release.ExposureServe, 1-share, share)
		for range 3000 {
			u, arm := w.next()
			w.meet(u, arm)
			busyRequest(w, u, arm, b.Thresholds)
		}
	}
	return w
}

func busyRequest(w *world, u *user, arm int, limits []release.Threshold) {
	for k := range 4 {
		e := w.flip(u.rates[0])
		w.observe(u, arm, k, one(e), e)
	}
	for k := 4; k < 6; k++ {
		w.observe(u, arm, k, one(w.flip(0.6)), false)
	}
	for k := 6; k < 8; k++ {
		w.observe(u, arm, k, math.Min(10, math.Exp(w.rng.NormFloat64())), false)
	}
	w.latency(u, arm, 8, math.Exp(3+0.7*w.rng.NormFloat64()), limits)
	w.answer(u, arm, 9, w.rng.IntN(8), 8)
}

func busyModel() (*release.Model, *release.Baseline) {
	base := &release.Baseline{Metrics: map[string]release.MetricBaseline{}}
	var metrics []release.Metric
	add := func(m release.Metric, b release.MetricBaseline) {
		m.Name += string(rune('a' + len(metrics)))
		metrics = append(metrics, m)
		base.Metrics[m.Name] = b
	}
	for range 4 {
		add(errorsMetric(), eventBaseline(0.01))
	}
	for range 2 {
		add(correctMetric(), frequentBaseline(0.6))
	}
	for range 2 {
		add(costMetric(), release.MetricBaseline{Class: release.ClassFrequent, N: 1000, Mean: 1.6, Variance: 3})
	}
	add(slowMetric(), lognormal(3, 0.7))
	add(decisionMetric(), release.MetricBaseline{Class: release.ClassDistribution, N: 1000})
	return model(metrics...), base
}

// BenchmarkTick is one look at 100 releases of ten metrics in six strata each. In "busy" every release got a request
// since the last look, in every metric; "quiet" found nothing new; "cold" is the first look of a restarted controller.
func BenchmarkTick(b *testing.B) {
	mod, base := busyModel()
	limits := base.Metrics["slowi"].Thresholds
	const releases = 100
	one := busy(1)
	worlds := make([]*world, releases)
	for i := range worlds {
		c := *one
		c.view = copyView(one.view)
		worlds[i] = &c
	}
	mem := make([]Memory, releases)
	tick := func(caches []Cache) {
		for i, w := range worlds {
			a := caches[i].Assess(w.input(mod, base, release.StepCanary, mem[i]))
			mem[i] = a.Memory
		}
	}
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			tick(make([]Cache, releases))
		}
	})
	caches := make([]Cache, releases)
	b.Run("busy", func(b *testing.B) {
		tick(caches)
		for b.Loop() {
			b.StopTimer()
			for _, w := range worlds {
				u, arm := w.next()
				w.meet(u, arm)
				busyRequest(w, u, arm, limits)
			}
			b.StartTimer()
			tick(caches)
		}
	})
	b.Run("quiet", func(b *testing.B) {
		tick(caches)
		for b.Loop() {
			tick(caches)
		}
	})
}

func copyView(v *tally.View) *tally.View {
	c := &tally.View{Baseline: true}
	for _, s := range v.Strata {
		n := s
		n.Arms = nil
		for _, a := range s.Arms {
			m := a
			m.Metrics = nil
			for _, x := range a.Metrics {
				y := x
				y.N, y.Y = append([]float64(nil), x.N...), append([]float64(nil), x.Y...)
				y.Over, y.OverMargin, y.Category = copyRows(x.Over), copyRows(x.OverMargin), copyRows(x.Category)
				y.OverLive = append([]float64(nil), x.OverLive...)
				y.Hist = append([]uint64(nil), x.Hist...)
				m.Metrics = append(m.Metrics, y)
			}
			n.Arms = append(n.Arms, m)
		}
		c.Strata = append(c.Strata, n)
	}
	return c
}

func copyRows(r [][]float64) [][]float64 {
	if r == nil {
		return nil
	}
	out := make([][]float64, len(r))
	for i := range r {
		out[i] = append([]float64(nil), r[i]...)
	}
	return out
}

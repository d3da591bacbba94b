package judge

import (
	"flag"
	"math"
	"math/rand/v2"
	"time"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

// long runs the Monte Carlo tests with the numbers of replications that the figures in the documents rest on.
var long = flag.Bool("long", false, "run the Monte Carlo tests with many replications")

func runs(short, many int) int {
	if *long {
		return many
	}
	return short
}

// user is one person of a simulated world.
type user struct {
	hash    float64 // place on the circle of assignment
	bin     int
	rates   []float64 // chance of the event, per 0/1 metric
	seen    bool      // in this release
	event   []bool    // in this epoch
	ever    []bool    // in the release
	stratum uint16
	opened  int // number of the request that opened its record in the stratum
	inside  []bool
	pair    []bool // first discordant pair counted
}

// world draws requests of users who come back and keeps the sums that a tally would, in the plainest way: the oracle of
// this package's tests. window is R3's, in requests.
type world struct {
	rng     *rand.Rand
	users   []*user
	cum     []float64 // cumulative activity
	view    *tally.View
	strata  []Stratum
	window  int
	clock   int
	metrics int
	open    []*user
}

func newWorld(seed uint64, n int, zipf float64, metrics int) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 7)), view: &tally.View{Baseline: true}, window: 200, metrics: metrics}
	total := 0.0
	for i := range n {
		u := &user{
			hash: w.rng.Float64(), bin: w.rng.IntN(release.Bins), rates: make([]float64, metrics),
			event: make([]bool, metrics), ever: make([]bool, metrics), inside: make([]bool, metrics), pair: make([]bool, metrics),
		}
		w.users = append(w.users, u)
		total += math.Pow(float64(i+1), -zipf)
		w.cum = append(w.cum, total)
	}
	return w
}

// betaRates gives each user a rate of its own, mean p and concentration c.
func (w *world) betaRates(metric int, p, c float64) {
	for _, u := range w.users {
		a, b := w.gamma(p*c), w.gamma((1-p)*c)
		u.rates[metric] = a / (a + b)
		if a+b == 0 {
			u.rates[metric] = p
		}
	}
}

func (w *world) gamma(a float64) float64 {
	if a < 1 {
		return w.gamma(a+1) * math.Pow(w.rng.Float64(), 1/a)
	}
	d := a - 1.0/3
	for {
		x := w.rng.NormFloat64()
		v := 1 + x/math.Sqrt(9*d)
		if v <= 0 {
			continue
		}
		v = v * v * v
		if math.Log(w.rng.Float64()) < x*x/2+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}

// open starts a stratum; a new epoch forgets the epoch's events.
func (w *world) openStratum(epoch uint8, kind release.ExposureKind, shares ...float64) {
	s := Stratum{ID: uint16(len(w.strata) + 1), Epoch: epoch, Kind: kind}
	for _, x := range shares {
		s.Shares = append(s.Shares, release.Share(math.Round(x*1e6)))
	}
	if n := len(w.strata); n == 0 || w.strata[n-1].Epoch != epoch {
		for _, u := range w.users {
			clear(u.event)
		}
	}
	w.strata = append(w.strata, s)
	v := tally.StratumView{ID: s.ID, Epoch: epoch, Kind: kind, Arms: make([]tally.ArmView, len(shares))}
	for a := range v.Arms {
		v.Arms[a].Metrics = make([]tally.MetricView, w.metrics)
	}
	if kind == release.ExposureWouldBe {
		v.Pairs = &tally.PairView{Metrics: make([]tally.PairMetricView, w.metrics)}
	}
	w.view.Strata = append(w.view.Strata, v)
}

// next draws who sends the next request, and the arm that serves it.
func (w *world) next() (*user, int) {
	x := w.rng.Float64() * w.cum[len(w.cum)-1]
	lo, hi := 0, len(w.cum)-1
	for lo < hi {
		if mid := (lo + hi) / 2; w.cum[mid] < x {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	u := w.users[lo]
	s := &w.strata[len(w.strata)-1]
	arm, at := 0, 1.0
	for a := len(s.Shares) - 1; a > 0; a-- { // candidates lie at the upper end, nested as shares grow
		at -= float64(s.Shares[a]) / 1e6
		if u.hash >= at {
			arm = a
			break
		}
	}
	return u, arm
}

func (w *world) stratum() *tally.StratumView { return &w.view.Strata[len(w.view.Strata)-1] }

// meet accounts an exposure to its unit.
func (w *world) meet(u *user, arm int) *tally.ArmView {
	w.clock++
	s := w.stratum()
	a := &s.Arms[arm]
	a.Exposures++
	a.Seen++
	if !u.seen {
		u.seen = true
		a.NewUnits++
	}
	if u.stratum != s.ID {
		u.stratum, u.opened = s.ID, w.clock
		clear(u.inside)
		a.Units++
		w.open = append(w.open, u)
	}
	w.closeRecords()
	return a
}

// closeRecords closes the records whose window is over (R3).
func (w *world) closeRecords() {
	for len(w.open) > 0 && w.open[0].opened+w.window < w.clock {
		u := w.open[0]
		w.open = w.open[1:]
		s := &w.view.Strata[u.stratum-1]
		if u.stratum != w.strata[len(w.strata)-1].ID {
			continue
		}
		arm := w.armOf(u)
		for m := range u.inside {
			e := &s.Arms[arm].Metrics[m].Event
			e.Closed++
			if u.inside[m] {
				e.With++
			}
		}
	}
}

func (w *world) armOf(u *user) int {
	s := &w.strata[u.stratum-1]
	at := 1.0
	for a := len(s.Shares) - 1; a > 0; a-- {
		if at -= float64(s.Shares[a]) / 1e6; u.hash >= at {
			return a
		}
	}
	return 0
}

// observe adds one value; event says whether it is the metric's event.
func (w *world) observe(u *user, arm, metric int, y float64, event bool) {
	m := &w.stratum().Arms[arm].Metrics[metric]
	observe(m, u.bin, y)
	if !event {
		return
	}
	if !u.event[metric] {
		u.event[metric] = true
		m.Event.First++
		if !u.ever[metric] {
			m.Event.Ever++
		}
		u.ever[metric] = true
	}
	if w.clock <= u.opened+w.window {
		u.inside[metric] = true
	}
}

func observe(m *tally.MetricView, bin int, y float64) {
	if m.N == nil {
		m.N, m.Y = make([]float64, release.Bins), make([]float64, release.Bins)
	}
	m.N[bin]++
	m.Y[bin] += y
	m.SumSq += y * y
}

func (w *world) flip(p float64) bool { return w.rng.Float64() < p }

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// input is a look at the world now.
func (w *world) input(m *release.Model, b *release.Baseline, step release.StepKind, mem Memory) Input {
	return Input{Model: m, Baseline: b, Step: step, Strata: w.strata, View: w.view, Memory: mem, Rate: 100, UnitRate: 10}
}

// model is a Model with these metrics.
func model(metrics ...release.Metric) *release.Model {
	m := &release.Model{}
	m.Spec.Metrics = metrics
	m.Spec.Plan.Alpha = 0.05
	return m
}

func points(v float64) release.Margin   { return release.Margin{Value: v, Unit: release.Points} }
func factorOf(v float64) release.Margin { return release.Margin{Value: v, Unit: release.Factor} }

func errorsMetric() release.Metric {
	return release.Metric{
		Name: "errors", Source: "error", Kind: release.MetricEvent, Direction: release.Lower,
		Margin: points(0.5), Tolerate: points(0.25), Role: release.Guardrail, Window: release.Duration(10 * time.Minute),
	}
}

func correctMetric() release.Metric {
	return release.Metric{
		Name: "correct", Source: "agree(json:decision, feedback:outcome)", Kind: release.MetricProportion, Direction: release.Higher,
		Margin: points(4), Tolerate: points(1), Role: release.Objective,
	}
}

// frozen is a baseline of one metric.
func frozen(name string, b release.MetricBaseline) *release.Baseline {
	return &release.Baseline{Metrics: map[string]release.MetricBaseline{name: b}}
}

func eventBaseline(p float64) release.MetricBaseline {
	return release.MetricBaseline{Class: release.ClassEvent, N: 1000, Mean: p, Variance: p * (1 - p)}
}

func frequentBaseline(p float64) release.MetricBaseline {
	return release.MetricBaseline{Class: release.ClassFrequent, N: 1000, Mean: p, Variance: p * (1 - p)}
}

// shadow adds one mirrored request of a 0/1 metric, as the tally does (R8).
func (w *world) mirror(u *user, metric int, live, cand bool) {
	p := w.stratum().Pairs
	p.Complete++
	p.Scored++
	m := &p.Metrics[metric]
	if m.N == nil {
		m.N, m.D = make([]float64, release.Bins), make([]float64, release.Bins)
	}
	d := one(cand) - one(live)
	m.N[u.bin]++
	m.D[u.bin] += d
	m.SumSq += d * d
	m.LiveY += one(live)
	m.CandY += one(cand)
	m.LiveSumSq += one(live)
	if d != 0 && !u.pair[metric] {
		u.pair[metric] = true
		if cand {
			m.CandOnly++
		} else {
			m.LiveOnly++
		}
	}
}

// latency adds one latency in milliseconds against frozen thresholds.
func (w *world) latency(u *user, arm, metric int, ms float64, limits []release.Threshold) {
	m := &w.stratum().Arms[arm].Metrics[metric]
	us := uint32(ms * 1000)
	observe(m, u.bin, ms)
	if m.Hist == nil {
		m.Hist = make([]uint64, tally.LatencyBuckets)
	}
	m.Hist[tally.Bucket(us)]++
	for len(m.Over) < len(limits) {
		m.Over = append(m.Over, make([]float64, release.Bins))
		m.OverMargin = append(m.OverMargin, make([]float64, release.Bins))
	}
	if arm != 0 && m.OverLive == nil {
		m.OverLive = make([]float64, release.Bins)
	}
	for i, l := range limits {
		if arm != 0 && l.Quantile == release.DefaultQuantile && us > l.X {
			m.OverLive[u.bin]++
		}
		x := l.Tolerate
		if arm == 0 {
			x = l.X
		}
		if us > x {
			m.Over[i][u.bin]++
			if l.Quantile == tailQuantile {
				w.tailEvent(u, m, metric)
			}
		}
		if arm != 0 && us > l.Margin {
			m.OverMargin[i][u.bin]++
		}
	}
}

func (w *world) tailEvent(u *user, m *tally.MetricView, metric int) {
	if u.event[metric] {
		return
	}
	u.event[metric] = true
	m.Event.First++
	if !u.ever[metric] {
		m.Event.Ever++
		u.ever[metric] = true
	}
}

// answer adds one categorical answer.
func (w *world) answer(u *user, arm, metric, cat, cats int) {
	m := &w.stratum().Arms[arm].Metrics[metric]
	observe(m, u.bin, 0)
	for len(m.Category) < cats {
		m.Category = append(m.Category, nil)
	}
	if m.Category[cat] == nil {
		m.Category[cat] = make([]float64, release.Bins)
	}
	m.Category[cat][u.bin]++
}

func slowMetric() release.Metric {
	return release.Metric{
		Name: "slow", Source: "latency", Kind: release.MetricLatency, Direction: release.Lower, Quantile: 0.95,
		Margin: factorOf(1.25), Tolerate: factorOf(1.1), Role: release.Guardrail,
	}
}

func decisionMetric() release.Metric {
	return release.Metric{
		Name: "decision", Source: "json:decision", Kind: release.MetricCategory,
		Margin: release.Margin{Value: 0.05, Unit: release.Bits}, Tolerate: release.Margin{Value: 0.025, Unit: release.Bits}, Role: release.Guardrail,
	}
}

func costMetric() release.Metric {
	return release.Metric{
		Name: "cost", Source: "json:cost", Kind: release.MetricMean, Direction: release.Lower,
		Margin: release.Margin{Value: 10, Unit: release.Percent}, Tolerate: release.Margin{Value: 5, Unit: release.Percent}, Role: release.Guardrail,
	}
}

// lognormal freezes the thresholds of exp(m + s Z) milliseconds.
func lognormal(m, s float64) release.MetricBaseline {
	b := release.MetricBaseline{Class: release.ClassDistribution, N: 10000}
	for _, q := range bank {
		x := math.Exp(m+s*normalQuantile(q)) * 1000
		b.Thresholds = append(b.Thresholds, release.Threshold{
			Quantile: q, X: tally.Snap(uint32(x)), Tolerate: tally.Snap(uint32(1.1 * x)), Margin: tally.Snap(uint32(1.25 * x)),
		})
	}
	return b
}

func normalQuantile(q float64) float64 { return math.Sqrt2 * math.Erfinv(2*q-1) }

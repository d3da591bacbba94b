package simulate

import (
	"math"

	"sluice.dev/sluice/internal/release"
)

// population is everything about users that all runs share: how active they are, and each profile's own laws. Read only.
type population struct {
	rates []float64 // requests per ms, by user, most active first
	total float64   // of all users
	laws  []law     // by metric, over profiles
}

const (
	latencySigma = 0.5 // of the natural logarithm of all latencies
	msPerSecond  = 1000
)

func newPopulation(o *Options) *population {
	p := &population{rates: make([]float64, o.Users)}
	sum := 0.0
	for i := range p.rates {
		p.rates[i] = math.Pow(float64(i+1), -o.Activity.Zipf)
		sum += p.rates[i]
	}
	p.total = o.Rate / msPerSecond
	for i := range p.rates {
		p.rates[i] *= p.total / sum
	}
	for i := range o.Model.Spec.Metrics {
		p.laws = append(p.laws, lawOf(o, i))
	}
	return p
}

// lawOf draws the users of one metric. Each metric has a stream of chance of its own, so that another truth of one leaves the
// others, and live, as they are.
func lawOf(o *Options, metric int) law {
	return newLaw(o, &o.Model.Spec.Metrics[metric], o.Model.Readings()[metric], newChance(o.Seed^populationSeed, uint64(metric)))
}

// populationSeed keeps the streams of populations apart from those of runs.
const populationSeed = 0x9fb21c651e98df25

// law is how one metric behaves for each profile of a user, under live (0) and the candidate (1).
type law struct {
	metric   *release.Metric
	source   release.SourceSpec
	signal   int
	feedback string  // its name; "" if it reads none
	window   float64 // ms: R3's, and how long an outcome is waited for
	lag      float64 // ms after which an exposure enters the sums (R7)
	told     float64 // share of exposures that have an observation
	agree    bool
	delay    float64 // ms until an outcome is told

	p, incident   [2][]float64 // event, proportion: the chance of a 1
	mu            []float64    // latency: mean of ln(µs)
	sigma         float64      // latency: within a user
	means         []float64    // mean: of exponential values
	factor, shift float64      // candidate's latency (ms) or mean
	classes       int
	shares        [2][]float64 // category: profile*classes + class
}

func newLaw(o *Options, m *release.Metric, r release.Reading, c chance) law {
	l := law{metric: m, source: r.Source, signal: r.Signal, feedback: r.Feedback, told: 1, agree: r.Source.Kind == release.SourceAgree, factor: 1}
	l.window = float64(m.Window) / 1e6
	if l.window <= 0 {
		l.window = float64(release.DefaultWindow) / 1e6
	}
	if r.Feedback != "" {
		l.lag, l.told, l.delay = l.window, o.FeedbackRate, float64(o.FeedbackDelay)/1e6
		if l.delay > l.window {
			l.told = 0
		}
	}
	base, effect := o.base(*m), o.Truth[m.Name]
	if m.Name != "" && effect == (Effect{}) {
		effect = Effect{Value: 1, Unit: release.Factor} // equal
	}
	between := math.Inf(1) // concentration of a user's rates
	if o.ICC > 0 {
		between = 1/o.ICC - 1
	}
	switch m.Kind {
	case release.MetricEvent, release.MetricProportion:
		l.binary(o, base.Mean, effect, between, c)
	case release.MetricLatency:
		l.sigma = latencySigma * math.Sqrt(1-o.ICC)
		l.mu = make([]float64, o.Users)
		for i := range l.mu {
			l.mu[i] = math.Log(base.Mean*1000) + latencySigma*math.Sqrt(o.ICC)*c.NormFloat64()
		}
		l.factor, l.shift = effect.scale()
	case release.MetricMean:
		l.means = make([]float64, o.Users)
		for i := range l.means {
			l.means[i] = base.Mean
			if o.ICC > 0 { // Var(mean) = icc m^2/(1-2 icc) makes it that share of all variance
				shape := (1 - 2*o.ICC) / o.ICC
				l.means[i] *= c.gamma(shape) / shape
			}
		}
		l.factor, l.shift = effect.scale()
	case release.MetricCategory:
		l.category(o, base.Shares, effect, between, c)
	}
	return l
}

func (l *law) binary(o *Options, mean float64, effect Effect, between float64, c chance) {
	zero := l.metric.Missing == release.MissingZero && l.lag > 0
	for arm := range l.p {
		l.p[arm] = make([]float64, o.Users)
	}
	if i := o.Incident; i != nil && i.Metric == l.metric.Name {
		l.incident = [2][]float64{make([]float64, o.Users), make([]float64, o.Users)}
	}
	for u := range o.Users {
		own := c.beta(mean, between)
		for arm := range l.p {
			p, m := own, mean
			if arm == 1 {
				p, m = effect.rate(own, mean), mean+effect.delta(mean)
			}
			l.p[arm][u] = p
			if l.incident[arm] != nil {
				l.incident[arm][u] = o.Incident.Effect.rate(p, m)
			}
			if zero { // an outcome that never comes is a 0
				l.p[arm][u] *= l.told
				if l.incident[arm] != nil {
					l.incident[arm][u] *= l.told
				}
			}
		}
	}
	if zero {
		l.told = 1
	}
}

// category gives each user shares of its own (Dirichlet) and lets the candidate move each towards the last class.
func (l *law) category(o *Options, shares []float64, effect Effect, between float64, c chance) {
	k := len(shares)
	l.classes = k
	part := 0.0
	if effect.Unit == release.Bits {
		part = drifted(shares, effect.Value)
	}
	for arm := range l.shares {
		l.shares[arm] = make([]float64, o.Users*k)
	}
	own := make([]float64, k)
	for u := range o.Users {
		sum := 0.0
		for j, s := range shares {
			own[j] = s
			if !math.IsInf(between, 1) {
				own[j] = c.gamma(s * between)
			}
			sum += own[j]
		}
		for j := range own {
			if sum == 0 {
				own[j], sum = 1, 1
			}
			live := own[j] / sum
			l.shares[0][u*k+j] = live
			l.shares[1][u*k+j] = (1 - part) * live
		}
		l.shares[1][u*k+k-1] += part
	}
}

// drifted returns which part of all answers must become the last class for the balanced Jensen-Shannon divergence to be that many
// bits; all of them if that is not enough.
func drifted(shares []float64, bits float64) float64 {
	lo, hi := 0.0, 1.0
	for range 60 {
		mid := (lo + hi) / 2
		js := 0.0
		for j, p := range shares {
			q := (1 - mid) * p
			if j == len(shares)-1 {
				q += mid
			}
			m := (p + q) / 2
			if p > 0 {
				js += p / 2 * math.Log2(p/m)
			}
			if q > 0 {
				js += q / 2 * math.Log2(q/m)
			}
		}
		if js < bits {
			lo = mid
		} else {
			hi = mid
		}
	}
	return (lo + hi) / 2
}

// standard is the z-score of a latency of x µs under an arm, for a profile with mu = 0: exceeds wants it.
func (l *law) standard(arm uint8, x uint32) float64 {
	y := float64(x)
	if arm == 1 {
		y = (y - l.shift*1000) / l.factor
	}
	if y <= 0 {
		return math.Inf(-1)
	}
	return math.Log(y) / l.sigma
}

// exceeds is the chance that a latency is longer than one of standard z, for a profile.
func (l *law) exceeds(profile int32, z float64) float64 { return tailOf(z - l.mu[profile]/l.sigma) }

// latency draws one in µs; profile -1 draws from the population as a whole.
func (l *law) latency(arm uint8, profile int32, median float64, c chance) uint32 {
	var x float64
	if profile < 0 {
		x = median * 1000 * math.Exp(latencySigma*c.NormFloat64())
	} else {
		x = math.Exp(l.mu[profile] + l.sigma*c.NormFloat64())
	}
	if arm == 1 {
		x = x*l.factor + l.shift*1000
	}
	return uint32(math.Min(math.Max(x, 1), math.MaxUint32))
}

// mean is a profile's mean under an arm.
func (l *law) mean(arm uint8, profile int32) float64 {
	if arm == 1 {
		return math.Max(1e-9, l.means[profile]*l.factor+l.shift)
	}
	return l.means[profile]
}

// capped returns the first two moments of min(x, limit) for an exponential x; limit 0 is none.
func capped(mean, limit float64) (first, second float64) {
	if limit <= 0 {
		return mean, 2 * mean * mean
	}
	r := limit / mean
	e := math.Exp(-r)
	return mean * (1 - e), 2 * mean * mean * (1 - e*(1+r))
}

func (l *law) isBinary() bool {
	return l.metric.Kind == release.MetricEvent || l.metric.Kind == release.MetricProportion
}

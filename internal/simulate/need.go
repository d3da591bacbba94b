package simulate

import (
	"math"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/stats"
)

// What package judge asks for before it judges at all, and where its classes end (R2, R3, R6).
const (
	rareOutcome  = 0.05 // proportions: judged per user below
	someOutcome  = 0.20 // by both engines below, half of alpha each
	minBinsEach  = 20   // effective bins of either arm
	minExceeding = 20   // slow answers that a candidate as slow as the margin would have
	classesTaken = 3

	usersWithEvent = 0.1 // share of live's users in a window up to which R3 applies
	binsWithEvent  = 10  // of either arm, before E2 judges 0/1 outcomes
)

// need forecasts one metric at one share. Two figures: what is expected for a candidate that is equal to live (or, where the goal
// is better, better by the margin), and what is needed at least, whatever live's level turns out to be.
func (p *planning) need(m *release.Metric, rho float64, better bool) Need {
	n := Need{Metric: m.Name, Goal: "no worse"}
	if better {
		n.Goal = "better"
	}
	least, expected := p.amounts(m, rho, better)
	n.LeastSeconds = math.Inf(1)
	for _, a := range least {
		if s := p.leastSeconds(a, rho) + p.wait(m, a.of); s < n.LeastSeconds {
			n.LeastOf, n.Least, n.LeastSeconds = a.of, math.Ceil(a.n), s
		}
	}
	n.Of, n.Amount = expected.of, math.Ceil(expected.n)
	n.Seconds = p.seconds(m, expected, rho) + p.wait(m, expected.of)
	if math.IsInf(n.Seconds, 1) || n.Amount > 1e12 {
		n.Amount, n.Seconds, n.Never = 0, 0, true
	}
	n.Seconds = math.Max(n.Seconds, n.LeastSeconds)
	if n.Never {
		n.Seconds = 0
	}
	return n
}

// amount is a number of users or of independent requests, both arms together.
type amount struct {
	n  float64
	of string
}

const (
	ofUsers    = "users"
	ofRequests = "independent requests"
)

// amounts returns what a metric needs at least, by whichever way of judging it, and what is expected.
func (p *planning) amounts(m *release.Metric, rho float64, better bool) (least []amount, expected amount) {
	gate := minBinsEach / math.Min(rho, 1-rho)
	base := p.o.base(*m)
	margin := m.Margin.Value
	switch m.Kind {
	case release.MetricEvent, release.MetricProportion:
		margin /= 100
		least = append(p.often(m, margin, rho), p.events(0, margin, rho))
		rare := math.Min(base.Mean, 1-base.Mean)
		switch {
		case better:
			expected = p.requests(rare, math.Min(margin, math.Max(rare, 1e-6)), rho, p.alpha/classShare(m, rare))
		case m.Kind == release.MetricEvent && base.Mean <= 0.1, rare < rareOutcome:
			expected = p.events(rare, margin, rho)
		default:
			expected = p.requests(rare, margin, rho, p.alpha/classShare(m, rare))
		}
	case release.MetricLatency:
		least, expected = []amount{p.slow(m, rho, 0)}, p.slow(m, rho, latencySigma)
	case release.MetricCategory:
		least, expected = []amount{p.drift(margin, rho, 2)}, p.drift(margin, rho, max(classesTaken, len(base.Shares)))
	case release.MetricMean:
		least = []amount{{gate, ofRequests}}
		switch m.Margin.Unit {
		case release.Factor:
			margin--
		case release.Percent:
			margin /= 100
		default:
			margin /= base.Mean
		}
		expected = p.requests(-1, margin, rho, p.alpha) // of values that spread as much as their mean
	}
	expected.n = math.Max(expected.n, gate)
	return least, expected
}

// classShare is how often alpha is divided: metrics between rare and frequent are judged by both engines.
func classShare(m *release.Metric, rare float64) float64 {
	if m.Kind == release.MetricProportion && rare >= someOutcome {
		return 1
	}
	return 2
}

// events is R3: users, of whom a share rate has the event.
func (p *planning) events(rate, margin, rho float64) amount {
	return forecast(ofUsers)(stats.UnitsEventNoWorse(rate, margin, rho, p.alpha))
}

// often is where R3 does not apply and E2 judges the requests: if more than a tenth of the users have the event within a window, which one in
// ten requests brings, or fewer of many; and proportions from 5 % on. The least of rates is the most favourable, as long as ten bins have the outcome.
func (p *planning) often(m *release.Metric, margin, rho float64) (all []amount) {
	rate := usersWithEvent / (1 + p.o.Rate*m.Window.Std().Seconds()/float64(p.o.Users))
	if m.Kind == release.MetricProportion {
		rate = math.Min(rate, rareOutcome)
	}
	for range 3 {
		a := p.requests(rate, margin, rho, p.alpha)
		a.n = math.Max(a.n, binsWithEvent/(rate*math.Min(rho, 1-rho)))
		all = append(all, a)
		rate *= 2
	}
	return all
}

// requests is E2 on a proportion of this rate, or at rate -1 on a mean whose standard deviation is 1 in the margin's unit.
func (p *planning) requests(rate, margin, rho, alpha float64) amount {
	v := rate * (1 - rate)
	if rate < 0 {
		v = 1
	}
	mix, err := stats.VarianceMixture(v)
	if err != nil {
		return amount{math.Inf(1), ofRequests}
	}
	return forecast(ofRequests)(stats.UnitsMixture(mix, 0, margin, v, rho, alpha, stats.Below))
}

// slow is R6 at the declared quantile for log-normal latencies of this sigma; 0: no answer of the candidate is beyond the margin.
func (p *planning) slow(m *release.Metric, rho, sigma float64) amount {
	q := declared(m)
	over := 1 - q
	cand := 0.0
	if sigma > 0 {
		cand = tailOf(normalQuantile(q) + math.Log(m.Margin.Value)/sigma)
	}
	pooled := (1-rho)*over + rho*cand
	mix, err := stats.VarianceMixture(q * over)
	if err != nil {
		return amount{math.Inf(1), ofRequests}
	}
	a := forecast(ofRequests)(stats.UnitsMixture(mix, cand-over, 0, pooled*(1-pooled), rho, p.alpha, stats.Below))
	a.n = math.Max(a.n, minExceeding/(rho*over))
	return a
}

// normalQuantile inverts the normal distribution's upper half by bisection of its tail, to 1e-4.
func normalQuantile(q float64) float64 {
	lo, hi := -8.0, 8.0
	for range 40 {
		if mid := (lo + hi) / 2; tailOf(mid) > 1-q {
			lo = mid
		} else {
			hi = mid
		}
	}
	return (lo + hi) / 2
}

// drift is R6 for answers of k classes: the corrected estimate of a divergence that is 0 spreads as a chi-squared variable of k-1 degrees, so that its
// variance falls with the square of the data.
func (p *planning) drift(bits, rho float64, k int) amount {
	mix, err := stats.MarginMixture(bits)
	if err != nil {
		return amount{math.Inf(1), ofRequests}
	}
	lo, hi := 2.0, 1e12
	for hi/lo > 1.01 {
		n := math.Sqrt(lo * hi)
		sd := math.Sqrt(2*float64(k-1)) / (n * rho * (1 - rho)) / (8 * math.Ln2)
		if ln, err := mix.LnBelow(0, sd*sd, bits); err == nil && ln >= -math.Log(p.alpha) {
			hi = n
		} else {
			lo = n
		}
	}
	return amount{math.Max(hi, minBinsEach/math.Min(rho, 1-rho)), ofRequests}
}

// forecast makes what can't be reached infinite.
func forecast(of string) func(n float64, err error) amount {
	return func(n float64, err error) amount {
		if err != nil {
			n = math.Inf(1)
		}
		return amount{n, of}
	}
}

// wait is how long outcomes take to enter: a window for users' records and for feedback, both for both.
func (p *planning) wait(m *release.Metric, of string) float64 {
	window := m.Window.Std().Seconds()
	w := 0.0
	if m.Source != "" {
		if spec, err := m.Source.Parse(); err == nil && spec.Feedback != "" {
			w += window
		}
	}
	if of == ofUsers {
		w += window
	}
	return w
}

// leastSeconds is when that many can have come: each request its own user, and all users of a day in its first moment; and earlier steps have brought
// all the requests that they can.
func (p *planning) leastSeconds(a amount, rho float64) float64 {
	if a.of == ofRequests {
		return math.Max(0, a.n-p.possible/rho/(1-rho)) / p.o.Rate
	}
	s := a.n / p.o.Rate
	if users := float64(p.o.Users); p.usersKnown && !p.perRequest() && a.n > users {
		s = math.Max(s, (math.Ceil(a.n/users)-1)*secondsADay)
	}
	return s
}

// perRequest says whether every request is a user of its own.
func (p *planning) perRequest() bool { return p.o.Model.Spec.Unit.Missing == release.MissingPerRequest }

// seconds is when that much is expected: different users, or requests that count less the more of them the same users send. Evidence over
// requests goes on from step to step, that over users begins anew in each.
func (p *planning) seconds(m *release.Metric, a amount, rho float64) float64 {
	switch {
	case p.perRequest():
		return a.n / p.o.Rate
	case a.of == ofUsers:
		return p.crowd.until(a.n) / p.o.Rate
	}
	have := p.information[m.Name] / rho / (1 - rho)
	if have >= a.n {
		return 0
	}
	return (p.crowd.inverse(a.n) - p.crowd.inverse(have)) / p.o.Rate
}

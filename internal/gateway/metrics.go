package gateway

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice.dev/sluice/internal/dialect"
	"sluice.dev/sluice/internal/release"
)

// maxLabelled is how many models have series of their own; further ones share the label "other".
const maxLabelled = 256

// Names of the gateway's metrics, all of them. Labels are models (capped), arms by number (at most
// eight), and closed lists of words; never versions but in armInfo, never units, paths or ids.
const (
	nameRequests   = "sluice_gateway_requests_total"
	nameDuration   = "sluice_gateway_request_duration_seconds"
	nameFirstByte  = "sluice_gateway_first_byte_seconds"
	nameProblems   = "sluice_gateway_problems_total"
	nameUnassigned = "sluice_gateway_unassigned_total"
	nameDiverted   = "sluice_gateway_diverted_total"
	nameMirror     = "sluice_gateway_mirror_total"
	nameHedged     = "sluice_gateway_hedged_total"
	nameSick       = "sluice_gateway_version_unhealthy"
	nameFeedback   = "sluice_gateway_feedback_total"
	namePanics     = "sluice_gateway_panics_total"
	nameGeneration = "sluice_gateway_routes_generation"
	nameLease      = "sluice_gateway_lease_seconds"
	nameArm        = "sluice_gateway_arm_info"
	nameInFlight   = "sluice_gateway_in_flight"
	nameBreaker    = "sluice_gateway_breaker_open"
	nameHeld       = "sluice_gateway_body_bytes"
	nameFirstToken = "sluice_gateway_first_token_seconds"
	nameTokens     = "sluice_gateway_tokens_total"
	nameCost       = "sluice_gateway_cost_total"
)

// latencyBuckets reach from a small scorer's millisecond to a language model's minute.
var latencyBuckets = []float64{
	.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60,
}

// class is how a request ended, for the metric that counts requests.
type class uint8

const (
	class2xx class = iota
	class3xx
	class4xx
	class5xx
	classTimeout
	classBroken // not reached, broken off, truncated
	classCancelled
	classGateway // refused by the gateway itself
	classes_
)

var classNames = [classes_]string{"2xx", "3xx", "4xx", "5xx", "timeout", "broken", "cancelled", "gateway"}

// diversion is why live answered a unit of the candidate.
type diversion uint8

const (
	divertedNot diversion = iota
	divertedBreaker
	divertedLease
	divertedFailover
	divertedHealth
	diversions
)

var diversionNames = [diversions]string{"", "breaker", "lease", "failover", "health"}

// metrics are the gateway's counters. Series of an arm are looked up when routes change, not per
// request.
type metrics struct {
	requests   *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	firstByte  *prometheus.HistogramVec
	problems   *prometheus.CounterVec
	unassigned *prometheus.CounterVec
	diverted   *prometheus.CounterVec
	mirror     *prometheus.CounterVec
	hedged     *prometheus.CounterVec
	feedback   *prometheus.CounterVec
	accepted   prometheus.Counter
	panics     prometheus.Counter
	firstToken *prometheus.HistogramVec
	tokens     *prometheus.CounterVec
	cost       *prometheus.CounterVec
}

func newMetrics() *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: name, Help: help, Buckets: latencyBuckets,
			// A scraper that asks for native histograms gets buckets of 10 %.
			NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160, NativeHistogramMinResetDuration: time.Hour,
		}, []string{"model", "arm"})
	}
	m := &metrics{
		requests:   counter(nameRequests, "Requests by the arm that answered and how they ended.", "model", "arm", "class"),
		duration:   histogram(nameDuration, "From the request read to the last byte of the answer."),
		firstByte:  histogram(nameFirstByte, "From the request read to the first byte of the answer."),
		problems:   counter(nameProblems, "Errors that the gateway itself answered with.", "kind"),
		unassigned: counter(nameUnassigned, "Requests that are in no arm: their unit is missing or too_long, or they finish a conversation (continued).", "model", "reason"),
		diverted:   counter(nameDiverted, "Requests of a candidate's units that live answered.", "model", "reason"),
		mirror:     counter(nameMirror, "Mirrored requests: sent to the candidate, or dropped for want of room.", "model", "result"),
		hedged:     counter(nameHedged, "Requests sent once more because no answer had begun: sent, and won by the second.", "model", "result"),
		firstToken: histogram(nameFirstToken, "Of streams of language models: from the request read to the first content."),
		tokens:     counter(nameTokens, "Tokens by kind, as the upstream counts them: input (cached ones too), cached, output, reasoning.", "model", "arm", "kind"),
		cost:       counter(nameCost, "What answers cost by the prices of the Model file.", "model", "arm"),
		feedback:   counter(nameFeedback, "Items of feedback: accepted, or refused and why.", "result"),
		panics:     prometheus.NewCounter(prometheus.CounterOpts{Name: namePanics, Help: "Requests on which the gateway itself failed."}),
	}
	m.accepted = m.feedback.WithLabelValues("accepted")
	for _, r := range reasons {
		m.feedback.WithLabelValues(string(r))
	}
	return m
}

// register makes all metrics known. It fails if the registry has others of the same names.
func (m *metrics) register(r prometheus.Registerer, g *Gateway) error {
	for _, c := range []prometheus.Collector{
		m.requests, m.duration, m.firstByte, m.problems, m.unassigned,
		m.diverted, m.mirror, m.hedged, m.feedback, m.panics, m.firstToken, m.tokens, m.cost, &stateCollector{g},
	} {
		if err := r.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// armMetrics are one arm's series.
type armMetrics struct {
	classes   [classes_]prometheus.Counter
	duration  prometheus.Observer
	firstByte prometheus.Observer
	speech    *speechMetrics
}

func (m *metrics) arm(model string, arm int) armMetrics {
	a := armName(arm)
	out := armMetrics{
		duration:  m.duration.WithLabelValues(model, a),
		firstByte: m.firstByte.WithLabelValues(model, a),
	}
	for c, name := range classNames {
		out.classes[c] = m.requests.WithLabelValues(model, a, name)
	}
	return out
}

// speechMetrics are the series of an arm of a language model; nil for other models.
type speechMetrics struct {
	firstToken                       prometheus.Observer
	input, cached, output, reasoning prometheus.Counter
	cost                             prometheus.Counter
}

func (m *metrics) speech(model string, arm int) *speechMetrics {
	a := armName(arm)
	of := func(kind string) prometheus.Counter { return m.tokens.WithLabelValues(model, a, kind) }
	return &speechMetrics{
		firstToken: m.firstToken.WithLabelValues(model, a), cost: m.cost.WithLabelValues(model, a),
		input: of("input"), cached: of("cached"), output: of("output"), reasoning: of("reasoning"),
	}
}

// count adds what an answer told of itself.
func (s *speechMetrics) count(m *dialect.Measures, p release.Price, waited time.Duration) {
	if m.Content >= 0 {
		s.firstToken.Observe(max(m.Content-waited, 0).Seconds())
	}
	t := m.Tokens
	if t.HasInput {
		s.input.Add(float64(t.Input))
		s.cached.Add(float64(t.CacheRead))
	}
	if t.HasOutput {
		s.output.Add(float64(t.Output))
		s.reasoning.Add(float64(t.Reasoning))
	}
	if cost, ok := t.Cost(p); ok {
		s.cost.Add(cost)
	}
}

// modelMetrics are one model's series.
type modelMetrics struct {
	missing, tooLong      prometheus.Counter
	continued             prometheus.Counter
	mirrored, mirrorDrops prometheus.Counter
	hedged, hedgeWon      prometheus.Counter
	diverted              [diversions]prometheus.Counter
}

func (m *metrics) model(model string) modelMetrics {
	out := modelMetrics{
		missing:     m.unassigned.WithLabelValues(model, "missing"),
		continued:   m.unassigned.WithLabelValues(model, "continued"),
		tooLong:     m.unassigned.WithLabelValues(model, "too_long"),
		mirrored:    m.mirror.WithLabelValues(model, "sent"),
		mirrorDrops: m.mirror.WithLabelValues(model, "dropped"),
		hedged:      m.hedged.WithLabelValues(model, "sent"),
		hedgeWon:    m.hedged.WithLabelValues(model, "won"),
	}
	for d := divertedBreaker; d < diversions; d++ {
		out.diverted[d] = m.diverted.WithLabelValues(model, diversionNames[d])
	}
	return out
}

// armName is an arm's label: live, candidate, candidate2 and so on.
func armName(arm int) string {
	switch arm {
	case 0:
		return "live"
	case 1:
		return "candidate"
	}
	return "candidate" + strconv.Itoa(arm)
}

// stateCollector reports what is so at the time of the scrape.
type stateCollector struct{ g *Gateway }

var (
	descGeneration = prometheus.NewDesc(nameGeneration, "Generation of the routes that are served.", nil, nil)
	descLease      = prometheus.NewDesc(nameLease, "Seconds for which candidates may still be served without a renewal; negative: over.", nil, nil)
	descArm        = prometheus.NewDesc(nameArm, "1 for the version behind each arm.", []string{"model", "arm", "version"}, nil)
	descInFlight   = prometheus.NewDesc(nameInFlight, "Requests that a version works on.", []string{"model", "arm"}, nil)
	descBreaker    = prometheus.NewDesc(nameBreaker, "1 while the local breaker sends the candidate's units to live.", []string{"model", "arm"}, nil)
	descSick       = prometheus.NewDesc(nameSick, "1 while a version fails its health check.", []string{"model", "arm"}, nil)
	descHeld       = prometheus.NewDesc(nameHeld, "Bytes of request bodies held in memory.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *stateCollector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descGeneration, descLease, descArm, descInFlight, descBreaker, descSick, descHeld} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *stateCollector) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(descHeld, float64(c.g.memory.used.Load()))
	p := c.g.plan()
	if p == nil {
		return
	}
	gauge(descGeneration, float64(p.routes.Generation))
	gauge(descLease, c.g.leaseLeft(p, c.g.now()).Seconds())
	for i, m := range p.models {
		if i >= maxLabelled {
			return // they share a label
		}
		for a, arm := range m.arms {
			gauge(descArm, 1, m.name, armName(a), arm.version.name)
			gauge(descInFlight, float64(arm.version.gate.used.Load()), m.name, armName(a))
			if arm.version.check != nil {
				gauge(descSick, boolean(arm.version.check.sick()), m.name, armName(a))
			}
			if _, _, open := arm.breaker.counts(); arm.breaker != nil {
				gauge(descBreaker, boolean(open), m.name, armName(a))
			}
		}
	}
}

func boolean(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

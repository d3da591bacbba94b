package controller

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice.dev/sluice/internal/rollout"
)

// Names of the controller's metrics, all of them.
const (
	nameLeader    = "sluice_controller_leader"
	nameTicks     = "sluice_controller_ticks_total"
	nameTick      = "sluice_controller_tick_seconds"
	nameDecisions = "sluice_decisions_total"
	nameRunning   = "sluice_release_running"
	nameShare     = "sluice_release_share_ratio"
	namePaused    = "sluice_release_paused"
	nameStep      = "sluice_release_step"
)

// maxLabelled is how many models have series of their own; further ones share the label "other".
const maxLabelled = 256

// metrics are the controller's. Counters of decisions count those that this process made on its own; commands of people
// are in the decision log of the audit.
type metrics struct {
	leader                       prometheus.Gauge
	ticks                        *prometheus.CounterVec
	tick                         prometheus.Histogram
	decisions                    *prometheus.CounterVec
	running, share, paused, step *prometheus.GaugeVec
	labelled                     map[string]bool // owned by the loop
}

func newMetrics() *metrics {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, []string{"model"})
	}
	return &metrics{
		leader: prometheus.NewGauge(prometheus.GaugeOpts{Name: nameLeader, Help: "1 while this process decides."}),
		ticks:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: nameTicks, Help: "Rounds over all releases, by result: ok or fault."}, []string{"result"}),
		tick: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: nameTick, Help: "Time of one round over all releases.", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: nameDecisions, Help: "Decisions that the evidence led to, by what was done."}, []string{"model", "what"}),
		running:   gauge(nameRunning, "1 while a release of the model runs."),
		share:     gauge(nameShare, "Share of the units that the candidate serves, 0 to 1."),
		paused:    gauge(namePaused, "1 while the release waits for a person."),
		step:      gauge(nameStep, "Present step of the release, from 1."),
		labelled:  map[string]bool{},
	}
}

// Collectors are what Prometheus can register.
func (c *Controller) Collectors() []prometheus.Collector {
	m := c.metrics
	return []prometheus.Collector{m.leader, m.ticks, m.tick, m.decisions, m.running, m.share, m.paused, m.step}
}

func (m *metrics) label(model string) string {
	if !m.labelled[model] {
		if len(m.labelled) >= maxLabelled {
			return "other"
		}
		m.labelled[model] = true
	}
	return model
}

func (m *metrics) ticked(took time.Duration, err error) {
	m.tick.Observe(took.Seconds())
	result := "ok"
	if err != nil {
		result = "fault"
	}
	m.ticks.WithLabelValues(result).Inc()
}

// stands shows where a running release stands.
func (m *metrics) stands(s rollout.State) {
	model := m.label(s.Model)
	if s.Phase.Ended() {
		m.ended(s.Model)
		return
	}
	for _, what := range []rollout.What{rollout.Advance, rollout.RollBack, rollout.PauseIt, rollout.Stop, rollout.Finish} {
		m.decisions.WithLabelValues(model, string(what)) // a series that begins with 1 has no increase
	}
	m.running.WithLabelValues(model).Set(1)
	m.share.WithLabelValues(model).Set(float64(s.Share()) / 1e6)
	m.step.WithLabelValues(model).Set(float64(s.Step + 1))
	paused := 0.
	if s.Phase == rollout.Paused {
		paused = 1
	}
	m.paused.WithLabelValues(model).Set(paused)
}

// ended takes a release off the gauges.
func (m *metrics) ended(model string) {
	label := m.label(model)
	m.running.WithLabelValues(label).Set(0)
	for _, g := range []*prometheus.GaugeVec{m.share, m.paused, m.step} {
		g.DeleteLabelValues(label)
	}
}

func (m *metrics) decided(ds []rollout.Decision) {
	for _, d := range ds {
		m.decisions.WithLabelValues(m.label(d.Model), string(d.What)).Inc()
	}
}

package release

import (
	"maps"
	"slices"

	"github.com/zeebo/xxh3"
)

// ModelKeyOf is the compact name of a model: the low 32 bits of XXH3-64 of its name.
func ModelKeyOf(name string) ModelKey { return ModelKey(xxh3.HashString(name)) }

// Reading is where one metric finds its values in an exposure or a feedback. Gateway, tally and judge
// all take it from here, so that they agree.
type Reading struct {
	Source SourceSpec
	// Signal is the index of the signal (and of Exposure.Values) that the metric reads; -1: none.
	Signal int
	// Feedback is the name under which the outcome is told; "": none. With a Signal as well, the metric
	// is whether both agree (see Agree).
	Feedback string
}

// Readings returns for each metric of the model where its values are, in the order of the metrics. A
// metric whose source is malformed reads nothing; validation reports it.
func (m *Model) Readings() []Reading {
	_, readings := m.wiring()
	return readings
}

// MetricSignal is the index of the signal that the i-th metric reads; -1 if it reads none.
func (m *Model) MetricSignal(i int) int { return m.Readings()[i].Signal }

// MetricFeedback is the name of the feedback that the i-th metric reads; "" if it reads none.
func (m *Model) MetricFeedback(i int) string { return m.Readings()[i].Feedback }

// Signals lists the values that a gateway extracts for each exposure of the model: first those of the
// answer that metrics read, in the order of the metrics and each once, then those of the request that
// define segments, by name. The list depends on the model alone; a valid model has at most MaxSignals.
//
// An answer's value is kept as a number for the kinds event, proportion, mean and latency, and as a category for
// the kind category and for agree. The same place read both ways is two signals.
func (m *Model) Signals() []Signal {
	signals, _ := m.wiring()
	return signals
}

func (m *Model) wiring() ([]Signal, []Reading) {
	signals := make([]Signal, 0, len(m.Spec.Metrics)+len(m.Spec.Segments))
	readings := make([]Reading, len(m.Spec.Metrics))
	for i, metric := range m.Spec.Metrics {
		spec, err := metric.Source.Parse()
		readings[i] = Reading{Source: spec, Signal: -1}
		if err != nil {
			continue
		}
		readings[i].Feedback = spec.Feedback
		if !spec.ReadsAnswer() {
			continue
		}
		s := Signal{From: FromAnswer, Selector: Selector(spec.Selector.String())}
		kind := metric.Kind
		setDefault(&kind, defaultKind(spec))
		s.Number = spec.Kind != SourceAgree && kind != MetricCategory
		readings[i].Signal = slices.Index(signals, s)
		if readings[i].Signal < 0 {
			readings[i].Signal = len(signals)
			signals = append(signals, s)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Spec.Segments)) {
		s := Signal{From: FromRequest, Selector: m.Spec.Segments[name], Segment: name}
		if spec, err := s.Selector.Parse(); err == nil {
			s.Selector = Selector(spec.String())
		}
		signals = append(signals, s)
	}
	return signals, readings
}

package tally

import (
	"time"

	"sluice.dev/sluice/internal/release"
)

const (
	testKey    = release.ModelKey(77)
	testNumber = uint32(3)
)

func ms(d int) release.Duration { return release.Duration(time.Duration(d) * time.Millisecond) }

// testModel has a metric of every kind and source; windows are short.
func testModel() *release.Model {
	return &release.Model{
		Metadata: release.Metadata{Name: "credit"},
		Spec: release.Spec{
			Segments: map[string]release.Selector{"age": "json:age"},
			Unit:     release.UnitSpec{Missing: release.MissingPerRequest},
			Metrics: []release.Metric{
				{Name: "errors", Source: "error", Kind: release.MetricEvent, Window: ms(1500)},
				{Name: "slow", Source: "latency", Kind: release.MetricLatency, Quantile: 0.5, Window: ms(1500)},
				{Name: "cost", Source: "json:cost", Kind: release.MetricMean},
				{Name: "decision", Source: "json:decision", Kind: release.MetricCategory},
				{Name: "short", Source: "json:short", Kind: release.MetricProportion, Window: ms(900)},
				{Name: "correct", Source: "agree(json:decision, feedback:outcome)", Kind: release.MetricProportion, Window: ms(2000)},
				{Name: "thumbs", Source: "feedback:thumb", Kind: release.MetricProportion, Window: ms(1000), Missing: release.MissingZero},
				{Name: "refund", Source: "feedback:refund", Kind: release.MetricEvent, Window: ms(3000)},
				{Name: "topic", Source: "feedback:topic", Kind: release.MetricCategory, Window: ms(1000)},
				{Name: "stars", Source: "feedback:stars", Kind: release.MetricMean, Window: ms(2000)},
			},
		},
	}
}

// Signals of testModel: cost, decision (as a category, for itself and for agree), short, age.
const (
	sigCost = iota
	sigDecision
	sigShort
	sigAge
	testSignals
)

func testBaseline() *release.Baseline {
	return &release.Baseline{Made: 1, Metrics: map[string]release.MetricBaseline{
		"errors": {Class: release.ClassEvent},
		"slow": {Class: release.ClassDistribution, Thresholds: []release.Threshold{
			{Quantile: 0.5, X: Snap(100), Tolerate: Snap(110), Margin: Snap(125)},
			{Quantile: 0.99, X: Snap(300), Tolerate: Snap(330), Margin: Snap(375)},
		}},
		"cost":     {Class: release.ClassFrequent, Cap: 2.5},
		"decision": {Class: release.ClassDistribution, Categories: []string{"yes", "no"}},
		"short":    {Class: release.ClassEvent, Invert: true},
		"correct":  {Class: release.ClassBoth, Invert: true},
		"thumbs":   {Class: release.ClassFrequent},
		"topic":    {Class: release.ClassDistribution, Categories: []string{"a"}},
		"stars":    {Class: release.ClassFrequent, Cap: 4},
	}}
}

func testConfig(partition int) Config {
	return Config{Model: testModel(), Key: testKey, Number: testNumber, Arms: 2, Partition: partition}
}

package simulate

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"sluice.dev/sluice/internal/release"
)

// Effect is how the candidate truly differs from live in one metric.
type Effect struct {
	Value float64            // signed
	Unit  release.MarginUnit // pp: points; x: factor; %: relative; bits: drift; "": the metric's own unit (latency: ms)
}

// ParseEffect reads "+1pp", "-2pp", "1.2x", "+10%", "0.05bits", or a number in the metric's own unit ("+3", "+20ms" for latencies).
func ParseEffect(s string) (Effect, error) {
	text := strings.TrimSpace(s)
	sign := 1.0
	switch {
	case strings.HasPrefix(text, "+"):
		text = text[1:]
	case strings.HasPrefix(text, "-"), strings.HasPrefix(text, "−"):
		sign = -1
		text = strings.TrimPrefix(strings.TrimPrefix(text, "-"), "−")
	}
	m, err := release.ParseMargin(strings.TrimSuffix(text, "ms"))
	if err != nil {
		return Effect{}, release.Invalid("read effect "+strconv.Quote(s), "it is not a size with a unit").
			Fix(`write "+1pp" (points), "1.2x" (factor), "-10%%" (relative), "0.05bits" (drift of a category) or a number`)
	}
	if sign < 0 && (m.Unit == release.Factor || m.Unit == release.Bits) {
		return Effect{}, release.Invalid("read effect "+strconv.Quote(s), "a factor or a drift is not negative")
	}
	return Effect{Value: sign * m.Value, Unit: m.Unit}, nil
}

// String writes the effect as ParseEffect reads it.
func (e Effect) String() string {
	s := strconv.FormatFloat(e.Value, 'g', -1, 64) + string(e.Unit)
	if e.Value > 0 && e.Unit != release.Factor && e.Unit != release.Bits {
		s = "+" + s
	}
	return s
}

// IsZero says whether nothing differs.
func (e Effect) IsZero() bool {
	if e.Unit == release.Factor {
		return e.Value == 1
	}
	return e.Value == 0
}

// ParseTruth reads "METRIC=EFFECT" ("METRIC+1pp" is understood too).
func ParseTruth(s string) (metric string, e Effect, err error) {
	at := strings.IndexAny(s, "=+")
	if at <= 0 {
		return "", Effect{}, release.Invalid("read truth "+strconv.Quote(s), "it names no metric").Fix("write errors=+1pp")
	}
	effect := s[at:]
	if s[at] == '=' {
		effect = s[at+1:]
	}
	e, err = ParseEffect(effect)
	return s[:at], e, err
}

// rate applies an effect on the mean of a 0/1 outcome to the rate p of one user, so that users keep their places between 0 and 1
// and the population's mean moves from mean to exactly mean + delta.
func (e Effect) rate(p, mean float64) float64 {
	delta := e.delta(mean)
	switch {
	case delta > 0 && mean < 1:
		return math.Min(1, p+(1-p)*delta/(1-mean))
	case delta < 0 && mean > 0:
		return math.Max(0, p*(1+delta/mean))
	}
	return p
}

// delta is the change of a 0/1 outcome's mean.
func (e Effect) delta(mean float64) float64 {
	switch e.Unit {
	case release.Points:
		return e.Value / 100
	case release.Factor:
		return mean * (e.Value - 1)
	case release.Percent:
		return mean * e.Value / 100
	default:
		return e.Value
	}
}

// scale is a factor and a shift on a positive number (latency in ms, or a mean).
func (e Effect) scale() (factor, shift float64) {
	switch e.Unit {
	case release.Factor:
		return e.Value, 0
	case release.Percent:
		return 1 + e.Value/100, 0
	default:
		return 1, e.Value
	}
}

// fits says whether an effect makes sense for a kind of metric of this mean; "" if it does.
func (e Effect) fits(kind release.MetricKind, mean float64) string {
	bits := e.Unit == release.Bits
	switch {
	case e.Unit == "" && e.IsZero(): // no effect at all
		return ""
	case kind == release.MetricCategory && !bits:
		return `a category drifts in bits: write "0.05bits"`
	case kind != release.MetricCategory && bits:
		return "bits are for categories"
	case bits && e.Value >= 1:
		return "the drift of two versions is below 1 bit"
	case kind == release.MetricLatency || kind == release.MetricMean:
		factor, shift := e.scale()
		if e.Unit == release.Points || factor <= 0 || mean+shift <= 0 {
			return `write a positive factor like "1.2x" or a shift that leaves it positive`
		}
	case kind == release.MetricEvent || kind == release.MetricProportion:
		if p := mean + e.delta(mean); p < 0 || p > 1 {
			return fmt.Sprintf("it would move the rate from %.4g to %.4g", mean, p)
		}
	}
	return ""
}

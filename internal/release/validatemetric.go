package release

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

func (c *checker) metrics() {
	metrics := c.n.Spec.Metrics
	if len(metrics) > MaxMetrics {
		c.fail("spec.metrics", "keep those that decide", "there are %d metrics, at most %d are judged", len(metrics), MaxMetrics)
		return
	}
	names := map[string]int{}
	objective := -1
	for i := range metrics {
		path := fmt.Sprintf("spec.metrics[%d]", i)
		m := &metrics[i]
		if first, twice := names[m.Name]; twice && m.Name != "" {
			c.fail(path+".name", "give it a name of its own", "the metric number %d has the name %q already", first+1, m.Name)
		} else {
			names[m.Name] = i
		}
		if m.Role == Objective {
			if objective >= 0 {
				c.fail(path+".role", "make it a guardrail", "%q is the objective already, and there is only one", metrics[objective].Name)
			} else {
				objective = i
			}
		}
		c.metric(path, m, &c.m.Spec.Metrics[i])
	}
	c.signals()
}

// signals checks how many values of each exposure are kept.
func (c *checker) signals() {
	if n := len(c.n.Signals()); n > MaxSignals {
		c.fail("spec.metrics", "remove metrics or segments that read the answer or the request",
			"metrics and segments read %d values of each request, at most %d are kept", n, MaxSignals)
	}
}

// metric checks one metric: m is normalised, raw as it was written.
func (c *checker) metric(path string, m, raw *Metric) {
	if !isWord(m.Name) {
		c.fail(path+".name", nameRemedy, "%q is not a valid name of a metric", clip(m.Name))
	}
	if c.at.Faulty(path + ".source") {
		return
	}
	spec, err := m.Source.Parse()
	if err != nil {
		c.failErr(path+".source", err)
		return
	}
	if spec.ReadsAnswer() && spec.Selector.Kind == SelectJSON && c.m.Spec.Dialect == DialectRaw {
		c.fail(path+".source", "use header:NAME, or dialect: json", "bodies of the dialect raw are not looked into")
	}
	c.understood(path+".source", spec)
	if spec.Kind == SourceMeasure && spec.Selector.Name == MeasureSimilarity && m.Role != Watch {
		c.fail(path+".role", "write watch", "only a mirrored answer has another one to be like, so no step but shadow could decide by it")
	}
	c.kind(path, m, spec)
	c.direction(path, m)
	c.margins(path, m)
	c.numbers(path, m, raw)
	c.window(path, m, spec)
}

// understood checks that the model's dialect tells what the source reads.
func (c *checker) understood(path string, spec SourceSpec) {
	d, sel := c.m.Spec.Dialect, spec.Selector
	switch {
	case !spec.ReadsAnswer() || d == "":
	case d.Language():
		if sel.Kind == SelectMeasure && sel.Name == MeasureCost {
			c.priced(path)
		}
	case sel.Kind == SelectText:
		c.fail(path, "use json:PATH, or dialect: openai, anthropic or gemini", "answers of the dialect %s have no text that is known here", d)
	case sel.Kind == SelectMeasure && !measuredAnywhere(sel.Name):
		c.fail(path, "use dialect: openai, anthropic or gemini, if requests are in one of them", "%s can't be measured of answers of the dialect %s", sel.Name, d)
	}
}

// priced checks that the metric cost has prices to count with.
func (c *checker) priced(path string) {
	var without []string
	for _, name := range slices.Sorted(maps.Keys(c.m.Spec.Versions)) {
		if c.m.Spec.Versions[name].Price == (Price{}) {
			without = append(without, name)
		}
	}
	const remedy = "write versions.NAME.price, like {input: 0.4, output: 1.6} per million tokens"
	switch {
	case len(without) == 0:
	case len(without) == len(c.m.Spec.Versions):
		c.fail(path, remedy, "no version has a price")
	default:
		c.warn(path, remedy, "without a price, answers of %s have no cost", quoteList(without))
	}
}

// kindsOf lists the kinds as which a source can be judged, the default first.
func kindsOf(s SourceSpec) []MetricKind {
	switch s.Kind {
	case SourceLatency, SourceTTFB:
		return []MetricKind{MetricLatency}
	case SourceAgree:
		return []MetricKind{MetricProportion, MetricEvent}
	case SourceMeasure:
		return kindsOfMeasure(s.Selector.Name)
	case SourceAnswer, SourceFeedback:
		return []MetricKind{MetricProportion, MetricMean, MetricEvent, MetricCategory}
	default:
		return []MetricKind{MetricEvent, MetricProportion}
	}
}

func (c *checker) kind(path string, m *Metric, spec SourceSpec) {
	kinds := kindsOf(spec)
	switch {
	case c.at.Faulty(path + ".kind"):
	case m.Kind == "":
		c.fail(path+".kind", "write one of "+quoteList(words(kinds...)), "it is missing: %s can be judged in several ways", m.Source)
		c.fault(path + ".margin") // its unit follows from the kind
	case !slices.Contains(kinds, m.Kind):
		c.fail(path+".kind", "write "+quoteList(words(kinds...)), "%s can't be judged as %s", m.Source, m.Kind)
		c.fault(path + ".margin")
	}
}

// fault marks a field as not worth a complaint, because another field's fault explains it.
func (c *checker) fault(path string) {
	if c.at != nil {
		c.at.unread[path] = true
	}
}

func (c *checker) direction(path string, m *Metric) {
	path += ".direction"
	switch {
	case m.Kind == MetricCategory && m.Direction != "":
		c.fail(path, "remove it", "a distribution of categories has no better direction")
	case m.Kind == MetricLatency && m.Direction == Higher:
		c.fail(path, "remove it or write lower", "a longer latency can't be better")
	case m.Kind != MetricCategory && m.Kind != "" && m.Direction == "":
		c.fail(path, "write lower or higher: which is better?", "it is missing")
	}
}

// unitsOf lists the units that the margins of a kind may have, and an example.
func unitsOf(k MetricKind) (units []MarginUnit, example string) {
	switch k {
	case MetricLatency:
		return []MarginUnit{Factor}, "1.25x: 25 % longer"
	case MetricCategory:
		return []MarginUnit{Bits}, "0.05bits"
	case MetricMean:
		return []MarginUnit{Percent, Factor, Absolute}, "5%"
	default:
		return []MarginUnit{Points}, "0.5pp: half a point of a hundred"
	}
}

func (c *checker) margins(path string, m *Metric) {
	at := path + ".margin"
	units, example := unitsOf(m.Kind)
	switch {
	case c.at.Faulty(at) || m.Kind == "":
		return
	case m.Margin.IsZero() && m.Role == Watch && !c.at.Written(at):
		return
	case m.Margin.IsZero() && !c.at.Written(at):
		c.fail(at, "write what may be lost at most, like "+example, "it is missing")
		return
	case !slices.Contains(units, m.Margin.Unit):
		c.fail(at, "write it like "+example, "%s is not a margin of the kind %s", m.Margin, m.Kind)
		return
	}
	if low, high := marginRange(m); !(m.Margin.Value > low && m.Margin.Value <= high) {
		c.fail(at, fmt.Sprintf("write more than %s%s and at most %s%s", formatDecimal(low), m.Margin.Unit, formatDecimal(high), m.Margin.Unit),
			"%s is out of range", m.Margin)
		return
	}
	c.tolerate(path+".tolerate", m)
}

// marginRange is the open lower and the closed upper end of what a margin may be.
func marginRange(m *Metric) (low, high float64) {
	switch m.Margin.Unit {
	case Points:
		return 0, 50
	case Factor:
		return 1, 100
	case Bits:
		return 0, 1 // two distributions differ by at most one bit
	case Percent:
		if m.Direction == Higher {
			return 0, 99 // what falls by 100 % is gone
		}
		return 0, 1000
	default:
		return 0, 1e12
	}
}

func (c *checker) tolerate(path string, m *Metric) {
	least := 0.0
	if m.Margin.Unit == Factor {
		least = 1
	}
	switch {
	case c.at.Faulty(path):
	case m.Tolerate.Unit != m.Margin.Unit:
		c.fail(path, fmt.Sprintf("write it in the margin's unit, less than %s", m.Margin), "%s has another unit than the margin %s", m.Tolerate, m.Margin)
	case m.Tolerate.Value < least || m.Tolerate.Value >= m.Margin.Value:
		c.fail(path, fmt.Sprintf("write at least %s%s and less than %s", formatDecimal(least), m.Margin.Unit, m.Margin),
			"%s is not below the margin %s: what is harm can't be no worse", m.Tolerate, m.Margin)
	}
}

func (c *checker) numbers(path string, m, raw *Metric) {
	w := path + ".weight"
	switch {
	case m.Role == Watch && raw.Weight != 0:
		c.warn(w, "remove it", "a metric that only watches has no share of alpha, so its weight has no effect")
	case m.Role != Watch && (!(m.Weight > 0 && m.Weight <= 1000) || raw.Weight == 0 && c.at.Written(w)):
		c.fail(w, "write a number above 0, at most 1000, or role: watch", "%v is out of range", raw.Weight)
	}
	q := path + ".quantile"
	switch {
	case m.Kind != MetricLatency && raw.Quantile != 0:
		c.fail(q, "remove it", "only a latency has a quantile")
	case m.Kind == MetricLatency && (!(m.Quantile > 0 && m.Quantile < 1) || raw.Quantile == 0 && c.at.Written(q)):
		hint := ""
		if raw.Quantile >= 1 && raw.Quantile < 100 {
			hint = fmt.Sprintf(", like %s", formatDecimal(raw.Quantile/100))
		}
		c.fail(q, "write a number between 0 and 1"+hint, "%v is not a quantile", raw.Quantile)
	}
}

func (c *checker) window(path string, m *Metric, spec SourceSpec) {
	w := path + ".window"
	horizon := c.n.Spec.Feedback.Horizon
	if m.Missing != "" && !spec.ReadsFeedback() {
		c.fail(path+".missing", "remove it", "only feedback can be missing")
	}
	if m.Missing == MissingZero && m.Kind == MetricCategory {
		c.fail(path+".missing", "write skip", "a category can't be zero")
	}
	switch {
	case c.at.Faulty(w):
	case m.Window < 0 || m.Window == 0 && c.at.Written(w):
		c.fail(w, "write a time like 10m", "%s is out of range", m.Window)
	case spec.ReadsFeedback() && m.Window == 0:
		c.fail(w, "write how long an outcome is waited for, at least five times its usual delay, like 1h", "it is missing")
	case spec.ReadsFeedback() && m.Window > horizon && !c.at.Faulty("spec.feedback.horizon"):
		c.fail(w, "shorten it, or lengthen feedback.horizon", "%s is longer than the feedback horizon of %s, after which nothing is accepted", m.Window, horizon)
	case !spec.ReadsFeedback() && !m.perUnit() && m.Window != 0:
		c.fail(w, "remove it", "the value is known with the answer, so nothing is waited for")
	default:
		c.windowFitsHold(w, m)
	}
}

// windowFitsHold checks that units can be complete before a share changes (R3).
func (c *checker) windowFitsHold(path string, m *Metric) {
	if m.Role == Watch || !m.perUnit() {
		return
	}
	for i, s := range c.n.Spec.Plan.Steps {
		var hold Duration
		switch s.Kind() {
		case StepABTest:
			hold = s.ABTest.Hold
		case StepCanary:
			hold = s.Canary.Hold
		default:
			continue
		}
		if hold >= m.Window || hold <= 0 {
			continue
		}
		where := fmt.Sprintf("plan.steps[%d].%s", i, s.Kind())
		if m.Kind == MetricEvent {
			c.fail(path, fmt.Sprintf("shorten it to %s, or hold at least %s", hold, m.Window),
				"%s is longer than the hold of %s at %s: no unit could be complete", m.Window, hold, where)
			return
		}
		if m.Role == Guardrail && !strings.HasPrefix(string(m.Source), "agree") {
			c.warn(path, fmt.Sprintf("hold at least %s", m.Window),
				"%s is longer than the hold of %s at %s, so outcomes there come after it", m.Window, hold, where)
			return
		}
	}
}

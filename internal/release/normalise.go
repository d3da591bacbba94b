package release

import (
	"maps"
	"math"
	"slices"
)

// Normalise returns a deep copy with every default written out and every selector and source in its
// canonical spelling, so that a frozen copy does not change its meaning when defaults do. It is
// idempotent, and harmless for an invalid model: what can't be read stays as it is.
func (m *Model) Normalise() *Model {
	c := m.copy()
	s := &c.Spec
	setDefault(&s.Unit.Missing, MissingLive)
	if len(s.Unit.From) == 0 && s.Unit.Missing == MissingLive {
		s.Unit.From = s.Dialect.unitFrom()
	}
	for i := range s.Unit.From {
		s.Unit.From[i] = canonicalSelector(s.Unit.From[i])
	}
	for name, sel := range s.Segments {
		s.Segments[name] = canonicalSelector(sel)
	}
	for name, v := range s.Versions {
		setDefault(&v.Timeout, Duration(DefaultVersionTimeout))
		setDefault(&v.MaxConcurrent, DefaultMaxConcurrent)
		v.defaults()
		s.Versions[name] = v
	}
	setDefault(&s.Limits.Body, DefaultBodyLimit)
	if s.Capture != nil {
		s.Capture = s.Capture.normalise()
	}
	setDefault(&s.Feedback.Horizon, Duration(DefaultHorizon))
	s.Plan.normalise()
	window := min(Duration(DefaultWindow), s.Plan.shortestHold())
	for i := range s.Metrics {
		s.Metrics[i].normalise(window)
	}
	return c
}

// copy is a deep copy that, other than Clone, takes every value, even one without a JSON form.
func (m *Model) copy() *Model {
	c := *m
	c.Metadata.Labels = maps.Clone(m.Metadata.Labels)
	s := &c.Spec
	s.Match.Headers = maps.Clone(s.Match.Headers)
	s.Unit.From = slices.Clone(s.Unit.From)
	s.Segments = maps.Clone(s.Segments)
	s.Versions = maps.Clone(s.Versions)
	for name, v := range s.Versions {
		v.Headers = maps.Clone(v.Headers)
		v.Price.CacheRead, v.Price.CacheWrite = clonePtr(v.Price.CacheRead), clonePtr(v.Price.CacheWrite)
		s.Versions[name] = v
	}
	s.Metrics = slices.Clone(s.Metrics)
	s.Plan.Steps = slices.Clone(s.Plan.Steps)
	for i := range s.Plan.Steps {
		s.Plan.Steps[i] = s.Plan.Steps[i].copy()
	}
	return &c
}

// defaults fills what the parts of serving need that are there; a part that is left out stays out.
func (v *Version) defaults() {
	if v.Queue.Length > 0 {
		setDefault(&v.Queue.Wait, Duration(DefaultQueueWait))
	}
	if v.Health.Path != "" {
		setDefault(&v.Health.Interval, Duration(DefaultHealthInterval))
		setDefault(&v.Health.Timeout, Duration(DefaultHealthTimeout))
		setDefault(&v.Health.Unhealthy, DefaultUnhealthy)
		setDefault(&v.Health.Healthy, DefaultHealthy)
	}
}

func (s Step) copy() Step {
	s.Test, s.Shadow, s.ABTest = clonePtr(s.Test), clonePtr(s.Shadow), clonePtr(s.ABTest)
	s.Canary, s.Approval, s.Pause = clonePtr(s.Canary), clonePtr(s.Approval), clonePtr(s.Pause)
	s.Production, s.Optimize = clonePtr(s.Production), clonePtr(s.Optimize)
	if s.Canary != nil {
		s.Canary.Shares = slices.Clone(s.Canary.Shares)
	}
	if s.Approval != nil {
		s.Approval.By = slices.Clone(s.Approval.By)
	}
	if s.Optimize != nil {
		s.Optimize.Versions = slices.Clone(s.Optimize.Versions)
	}
	return s
}

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

func canonicalSelector(s Selector) Selector {
	if spec, err := s.Parse(); err == nil {
		return Selector(spec.String())
	}
	return s
}

func (p *Plan) normalise() {
	setDefault(&p.Alpha, DefaultAlpha)
	setDefault(&p.OnHarm, HarmRollback)
	setDefault(&p.NoData, NoDataHold)
	for _, s := range p.Steps {
		switch {
		case s.Test != nil:
			setDefault(&s.Test.Deadline, Duration(DefaultTestDeadline))
		case s.ABTest != nil:
			setDefault(&s.ABTest.Goal, GoalNoWorse)
			setDefault(&s.ABTest.Hold, defaultHold(s.ABTest.Deadline))
			setDefault(&s.ABTest.OnUndecided, UndecidedPause)
		case s.Canary != nil:
			setDefault(&s.Canary.Hold, defaultHold(s.Canary.Deadline))
			setDefault(&s.Canary.OnUndecided, UndecidedPause)
		}
	}
}

// defaultHold is ten minutes, or half the deadline if that is shorter.
func defaultHold(deadline Duration) Duration { return min(Duration(DefaultHold), deadline/2) }

// shortestHold is the least time that the plan stays at one share.
func (p *Plan) shortestHold() Duration {
	least := Duration(math.MaxInt64)
	for _, s := range p.Steps {
		switch {
		case s.ABTest != nil:
			least = min(least, s.ABTest.Hold)
		case s.Canary != nil:
			least = min(least, s.Canary.Hold)
		}
	}
	return least
}

// normalise fills the defaults of a metric; window is the default window of the plan.
func (m *Metric) normalise(window Duration) {
	spec, err := m.Source.Parse()
	if err != nil {
		return
	}
	m.Source = Source(spec.String())
	setDefault(&m.Kind, defaultKind(spec))
	if m.Direction == "" && lowerIsBetter(spec) {
		m.Direction = Lower
	}
	if m.Direction == "" && spec.Kind == SourceMeasure && spec.Selector.Name == MeasureSimilarity {
		m.Direction = Higher
	}
	if m.Role != Watch {
		setDefault(&m.Weight, 1)
	}
	if m.Kind == MetricLatency {
		setDefault(&m.Quantile, DefaultQuantile)
		setDefault(&m.Margin, Margin{DefaultLatencyMargin, Factor})
	}
	if m.Tolerate.IsZero() && !m.Margin.IsZero() {
		m.Tolerate = m.defaultTolerate()
	}
	if spec.ReadsFeedback() {
		setDefault(&m.Missing, MissingSkip)
	}
	if m.perUnit() && !spec.ReadsFeedback() {
		setDefault(&m.Window, window)
	}
}

// perUnit says whether the metric can be judged as an event of the unit inside a window (R3): a
// proportion is, if its rarer outcome turns out to be below 5 %.
func (m *Metric) perUnit() bool { return m.Kind == MetricEvent || m.Kind == MetricProportion }

// defaultKind is the kind that a source has if the file names none; "" if it must.
func defaultKind(s SourceSpec) MetricKind {
	switch s.Kind {
	case SourceError, SourceTimeout, SourceStatus:
		return MetricEvent
	case SourceLatency, SourceTTFB:
		return MetricLatency
	case SourceAgree:
		return MetricProportion
	case SourceMeasure:
		return kindsOfMeasure(s.Selector.Name)[0]
	default:
		return ""
	}
}

// lowerIsBetter says whether nobody could want more of it.
func lowerIsBetter(s SourceSpec) bool {
	switch s.Kind {
	case SourceError, SourceTimeout, SourceLatency, SourceTTFB:
		return true
	case SourceStatus:
		return s.Status >= 400
	case SourceMeasure:
		return measureLower(s.Selector.Name)
	default:
		return false
	}
}

// defaultTolerate is half the margin. For a ratio that is half its distance from 1, for latency at most
// DefaultLatencyTolerate.
func (m *Metric) defaultTolerate() Margin {
	half := Margin{Value: m.Margin.Value / 2, Unit: m.Margin.Unit}
	if m.Margin.Unit == Factor {
		// Rounded, so that 1.15x gives 1.075x and not 1.0749999999999997x.
		half.Value = math.Round((1+(m.Margin.Value-1)/2)*1e9) / 1e9
	}
	if m.Kind == MetricLatency && m.Margin.Unit == Factor {
		half.Value = min(half.Value, DefaultLatencyTolerate)
	}
	return half
}

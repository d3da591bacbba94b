package simulate

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
)

// CurveRequest asks how a plan ends, depending on how good or bad the candidate truly is in one metric.
type CurveRequest struct {
	Request
	Metric  string   `json:"metric,omitempty"`  // default: the objective, else the first guardrail
	Effects []string `json:"effects,omitempty"` // at most 15; default: a grid around 0 in steps of the margin
}

// CurveReport holds the operating characteristics of a plan over a grid of true effects.
type CurveReport struct {
	Model     string       `json:"model"`
	Live      string       `json:"live"`
	Candidate string       `json:"candidate"`
	Metric    string       `json:"metric"`
	Margin    string       `json:"margin"`   // of the metric, as in the file
	Tolerate  string       `json:"tolerate"` // likewise
	Users     int          `json:"users"`
	Rate      float64      `json:"rate"`
	Seed      uint64       `json:"seed"`
	Runs      int          `json:"runs"`          // at each point
	Cut       bool         `json:"cut,omitempty"` // time was up before all runs that were asked for
	Points    []CurvePoint `json:"points"`        // ascending by Harm
}

// CurvePoint is what becomes of releases of one true effect. The standard error of a share p is sqrt(p (1-p) / Runs).
type CurvePoint struct {
	Effect                   string  `json:"effect"`     // "+0.5pp"
	Harm                     float64 `json:"harm"`       // the same in margins; positive is worse, 1 is the margin
	RolledBack               float64 `json:"rolledBack"` // share of the runs; the three add up to 1
	Succeeded                float64 `json:"succeeded"`
	Undecided                float64 `json:"undecided"` // paused for a person, or stopped
	MedianDurationSeconds    float64 `json:"medianDurationSeconds"`
	P90DurationSeconds       float64 `json:"p90DurationSeconds"`
	MedianCandidateExposures float64 `json:"medianCandidateExposures"`
	MedianExposedUsers       float64 `json:"medianExposedUsers"` // different ones whom the candidate answered
}

// Curves simulates the plan at each effect of a grid, within a server's bounds. Users, their requests and chance are the same at all points, so that points
// differ by the effect alone. Errors, concurrency and what a deadline does are as with Once.
func Curves(ctx context.Context, m *release.Model, q CurveRequest, workers int) (*CurveReport, error) {
	return curves(ctx, m, q, workers, nil)
}

func curves(ctx context.Context, m *release.Model, q CurveRequest, workers int, progress func(done int)) (*CurveReport, error) {
	o, err := q.options(m)
	if err != nil {
		return nil, err
	}
	i, err := q.metric(o.Model)
	if err != nil {
		return nil, err
	}
	metric := &o.Model.Spec.Metrics[i]
	effects, err := q.effects(&o, metric)
	if err != nil {
		return nil, err
	}
	scenes, err := scenesOf(&o, i, effects)
	if err != nil {
		return nil, err
	}
	outcomes, err := play(ctx, scenes, o.Runs, max(1, workers), progress)
	short := cut(outcomes, err)
	if err != nil && !short {
		return nil, err
	}
	r := &CurveReport{
		Model: o.Model.Metadata.Name, Live: o.Live, Candidate: o.Candidate, Metric: metric.Name, Margin: metric.Margin.String(),
		Tolerate: metric.Tolerate.String(), Users: o.Users, Rate: o.Rate, Seed: o.Seed, Runs: len(outcomes[0]), Cut: short,
	}
	for k, e := range effects {
		r.Points = append(r.Points, pointOf(newReport(scenes[k].o, outcomes[k]), e, e.harm(metric, o.base(*metric))))
	}
	slices.SortStableFunc(r.Points, func(a, b CurvePoint) int { return cmp.Compare(a.Harm, b.Harm) })
	return r, nil
}

// scenesOf gives each effect a scene; all share what does not depend on it.
func scenesOf(o *Options, metric int, effects []Effect) ([]scene, error) {
	name := o.Model.Spec.Metrics[metric].Name
	pop := newPopulation(o)
	scenes := make([]scene, len(effects))
	for k, e := range effects {
		one := *o
		one.Truth = map[string]Effect{}
		for n, other := range o.Truth {
			one.Truth[n] = other
		}
		one.Truth[name] = e
		if err := one.checkMetrics("simulate"); err != nil {
			return nil, err
		}
		moved := *pop
		moved.laws = slices.Clone(pop.laws)
		moved.laws[metric] = lawOf(&one, metric)
		scenes[k] = scene{&one, &moved}
	}
	return scenes, nil
}

func pointOf(r *Report, e Effect, harm float64) CurvePoint {
	n := float64(r.Runs)
	return CurvePoint{
		Effect: e.String(), Harm: harm,
		RolledBack: float64(r.Ended[rollout.RolledBack]) / n, Succeeded: float64(r.Ended[rollout.Succeeded]) / n,
		Undecided:             float64(r.Ended[rollout.Paused]+r.Ended[rollout.Stopped]) / n,
		MedianDurationSeconds: r.MedianDurationSeconds, P90DurationSeconds: r.P90DurationSeconds,
		MedianCandidateExposures: r.MedianCandidateExposures, MedianExposedUsers: r.MedianExposedUsers,
	}
}

// metric is the one whose effect varies.
func (q *CurveRequest) metric(m *release.Model) (int, error) {
	metrics := m.Spec.Metrics
	byName := func(x release.Metric) bool { return x.Name == q.Metric }
	byRole := func(r release.Role) int {
		return slices.IndexFunc(metrics, func(x release.Metric) bool { return x.Role == r })
	}
	switch objective, guardrail := byRole(release.Objective), byRole(release.Guardrail); {
	case q.Metric != "":
		if i := slices.IndexFunc(metrics, byName); i >= 0 {
			return i, nil
		}
		return 0, release.Invalid("simulate", "the model has no metric %q", q.Metric)
	case objective >= 0:
		return objective, nil
	case guardrail >= 0:
		return guardrail, nil
	}
	return 0, release.Invalid("simulate", "the model has no metric that decides").Fix("name one")
}

// steps of the default grid, in margins: from a better candidate to one three times as bad as the margin allows.
var steps = []float64{-1, -0.5, 0, 0.5, 1, 1.5, 2, 3}

// effects reads the asked effects, or makes the default grid.
func (q *CurveRequest) effects(o *Options, m *release.Metric) ([]Effect, error) {
	var out []Effect
	switch {
	case len(q.Effects) > maxEffects:
		return nil, release.Invalid("simulate", "%d effects; a server simulates up to %d", len(q.Effects), maxEffects)
	case len(q.Effects) > 0:
		for _, text := range q.Effects {
			e, err := ParseEffect(text)
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
		return out, nil
	case m.Margin.IsZero():
		return nil, release.Invalid("simulate", "metric %s has no margin to take steps of", m.Name).Fix(`name effects, like "+1pp"`)
	}
	mean := o.base(*m).Mean
	for _, k := range steps {
		if e, ok := inMargins(m, k); ok && e.fits(m.Kind, mean) == "" {
			out = append(out, e)
		}
	}
	return out, nil
}

// inMargins is the effect of k margins of harm. Categories drift in one direction only.
func inMargins(m *release.Metric, k float64) (Effect, bool) {
	worse := 1.0
	if m.Direction == release.Higher {
		worse = -1
	}
	v := math.Abs(m.Margin.Value)
	e := Effect{Value: rounded(k * worse * v), Unit: m.Margin.Unit}
	switch m.Margin.Unit {
	case release.Factor:
		e.Value = rounded(math.Pow(math.Max(v, 1/v), k*worse))
	case release.Bits:
		return e, k >= 0
	}
	return e, true
}

// rounded keeps four digits, so that an effect reads well.
func rounded(x float64) float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 4, 64), 64)
	if err != nil || r == 0 { // no minus zero
		return 0
	}
	return r
}

// harm is an effect in margins of its metric, whatever the units of either; 0 where there is no margin.
func (e Effect) harm(m *release.Metric, base Base) float64 {
	margin, ok := inMargins(m, 1)
	if !ok || m.Margin.IsZero() {
		return 0
	}
	size := func(e Effect) float64 {
		switch m.Kind {
		case release.MetricCategory:
			return e.Value
		case release.MetricEvent, release.MetricProportion:
			return e.delta(base.Mean)
		case release.MetricLatency, release.MetricMean:
		}
		factor, shift := e.scale()
		return math.Log(factor + shift/base.Mean)
	}
	if h := size(e) / size(margin); !math.IsNaN(h) && !math.IsInf(h, 0) {
		return rounded(h)
	}
	return 0
}

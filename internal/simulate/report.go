package simulate

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"sluice.dev/sluice/internal/rollout"
)

// Report holds the operating characteristics of a plan.
type Report struct {
	Model                    string                  `json:"model"`
	Candidate                string                  `json:"candidate"`
	Truth                    map[string]string       `json:"truth"` // by metric; empty: the versions are equal
	Seed                     uint64                  `json:"seed"`
	Users                    int                     `json:"users"` // whom requests came from
	Rate                     float64                 `json:"rate"`  // of all of them, requests per second
	Runs                     int                     `json:"runs"`
	Cut                      bool                    `json:"cut,omitempty"` // time was up before all runs that were asked for
	Ended                    map[rollout.Phase]int   `json:"ended"`         // Succeeded, RolledBack, Paused, Stopped
	MedianDurationSeconds    float64                 `json:"medianDurationSeconds"`
	P90DurationSeconds       float64                 `json:"p90DurationSeconds"`
	MedianCandidateExposures float64                 `json:"medianCandidateExposures"`
	P90CandidateExposures    float64                 `json:"p90CandidateExposures"`
	MedianExposedUsers       float64                 `json:"medianExposedUsers"` // different ones whom the candidate answered
	P90ExposedUsers          float64                 `json:"p90ExposedUsers"`
	ByMetric                 map[string]MetricReport `json:"byMetric"`
	ByEnd                    map[rollout.Phase]End   `json:"byEnd"`
	Waits                    []Wait                  `json:"waits,omitempty"` // what paused runs waited for, most frequent first
	Looks                    int                     `json:"looks"`           // at the data, all runs together

	ends []Ending
}

// MetricReport counts runs by what the data said of one metric at the end.
type MetricReport struct {
	RolledBack int            `json:"rolledBack"` // runs that ended by its harm
	States     map[string]int `json:"states"`     // runs by the state of its last verdict
}

// End describes the runs that ended in one phase.
type End struct {
	Runs                     int     `json:"runs"`
	MedianDurationSeconds    float64 `json:"medianDurationSeconds"`
	P90DurationSeconds       float64 `json:"p90DurationSeconds"`
	MedianCandidateExposures float64 `json:"medianCandidateExposures"`
	P90CandidateExposures    float64 `json:"p90CandidateExposures"`
	MedianExposedUsers       float64 `json:"medianExposedUsers"`
	P90ExposedUsers          float64 `json:"p90ExposedUsers"`
}

// Wait is one thing that paused runs waited for.
type Wait struct {
	For  string `json:"for"`
	Runs int    `json:"runs"`
}

// TruthInWords says how the candidate differs: "equal to live", or "errors +1pp, slow 1.2x".
func (r *Report) TruthInWords() string {
	if len(r.Truth) == 0 {
		return "equal to live"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(r.Truth)) {
		parts = append(parts, name+" "+r.Truth[name])
	}
	return strings.Join(parts, ", ")
}

// Ending is how and when one run ended.
type Ending struct {
	Phase   rollout.Phase `json:"phase"`
	Seconds float64       `json:"seconds"` // since the release began
}

// Endings lists the ends of all runs by time: each is a step of the curve of releases that have ended.
func (r *Report) Endings() []Ending {
	ends := slices.Clone(r.ends)
	slices.SortFunc(ends, func(a, b Ending) int { return cmp.Or(cmp.Compare(a.Seconds, b.Seconds), cmp.Compare(a.Phase, b.Phase)) })
	return ends
}

// Ends lists the phases in which runs end, in the order in which they are shown.
var Ends = []rollout.Phase{rollout.Succeeded, rollout.RolledBack, rollout.Paused, rollout.Stopped}

func newReport(o *Options, all []outcome) *Report {
	r := &Report{
		Model: o.Model.Metadata.Name, Candidate: o.Candidate, Truth: map[string]string{}, Seed: o.Seed, Users: o.Users, Rate: o.Rate, Runs: len(all),
		Ended: map[rollout.Phase]int{}, ByMetric: map[string]MetricReport{}, ByEnd: map[rollout.Phase]End{},
	}
	for name, e := range o.Truth {
		if !e.IsZero() {
			r.Truth[name] = e.String()
		}
	}
	for _, p := range Ends {
		r.Ended[p] = 0
	}
	for _, m := range o.Model.Spec.Metrics {
		r.ByMetric[m.Name] = MetricReport{States: map[string]int{}}
	}
	waits := map[string]int{}
	for _, one := range all {
		r.Ended[one.end]++
		r.Looks += one.look
		r.ends = append(r.ends, Ending{one.end, one.duration.Seconds()})
		r.count(o, one)
		for _, w := range one.held {
			waits[kindOfWait(w)]++
		}
	}
	for what, n := range waits {
		r.Waits = append(r.Waits, Wait{what, n})
	}
	slices.SortFunc(r.Waits, func(a, b Wait) int { return cmp.Or(b.Runs-a.Runs, cmp.Compare(a.For, b.For)) })
	every := describe(all)
	r.MedianDurationSeconds, r.P90DurationSeconds = every.MedianDurationSeconds, every.P90DurationSeconds
	r.MedianCandidateExposures, r.P90CandidateExposures = every.MedianCandidateExposures, every.P90CandidateExposures
	r.MedianExposedUsers, r.P90ExposedUsers = every.MedianExposedUsers, every.P90ExposedUsers
	for _, p := range Ends {
		var some []outcome
		for _, one := range all {
			if one.end == p {
				some = append(some, one)
			}
		}
		if len(some) > 0 {
			r.ByEnd[p] = describe(some)
		}
	}
	return r
}

// count adds what one run said of each metric.
func (r *Report) count(o *Options, one outcome) {
	for i, m := range o.Model.Spec.Metrics {
		b := r.ByMetric[m.Name]
		if i < len(one.states) {
			b.States[string(one.states[i])]++
		}
		if one.end == rollout.RolledBack && one.harmBy == m.Name {
			b.RolledBack++
		}
		r.ByMetric[m.Name] = b
	}
}

func describe(all []outcome) End {
	of := func(figure func(outcome) float64) (median, p90 float64) {
		xs := make([]float64, len(all))
		for i, one := range all {
			xs[i] = figure(one)
		}
		slices.Sort(xs)
		return quantile(xs, 0.5), quantile(xs, 0.9)
	}
	e := End{Runs: len(all)}
	e.MedianDurationSeconds, e.P90DurationSeconds = of(func(o outcome) float64 { return o.duration.Seconds() })
	e.MedianCandidateExposures, e.P90CandidateExposures = of(func(o outcome) float64 { return float64(o.exposed) })
	e.MedianExposedUsers, e.P90ExposedUsers = of(func(o outcome) float64 { return float64(o.users) })
	return e
}

// quantile of sorted values: the smallest that at least the share q lies at or below.
func quantile(sorted []float64, q float64) float64 {
	for i, x := range sorted {
		if float64(i+1) >= q*float64(len(sorted)) {
			return x
		}
	}
	return 0
}

// kindOfWait takes the figures out of what a run waited for, so that equal reasons of different runs add up.
func kindOfWait(s string) string {
	for i, r := range s {
		if r >= '0' && r <= '9' || r == '(' || r == ';' {
			s = s[:i]
			break
		}
	}
	return strings.TrimRight(s, " ,:")
}

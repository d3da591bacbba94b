package simulate

import (
	"context"

	"sluice.dev/sluice/internal/release"
)

// Bounds of what a client may ask of a server: with them a question takes seconds of one core, and some tens of megabytes.
const (
	askedRuns     = 40
	maxAskedRuns  = 500
	maxAskedUsers = 100_000
	maxEffects    = 15
)

// Request is what a server lets a client ask: the flags of sluice simulate as JSON. Every field may be left out.
type Request struct {
	Live          string            `json:"live,omitempty"`          // default: the file's live version
	Candidate     string            `json:"candidate,omitempty"`     // default: the first other version by name
	Truth         map[string]string `json:"truth,omitempty"`         // by metric, as ParseEffect reads it; none: the versions are equal
	Base          map[string]string `json:"base,omitempty"`          // by metric, live's true level, as ParseBase reads it
	Runs          int               `json:"runs,omitempty"`          // default 40, at most 500
	Seed          uint64            `json:"seed,omitempty"`          // default 1
	Rate          float64           `json:"rate,omitempty"`          // requests per second; default: the file's traffic, else 40
	Users         int               `json:"users,omitempty"`         // default: those of a day in the file's traffic, else 20,000; at most 100,000
	ICC           *float64          `json:"icc,omitempty"`           // default 0.1
	Activity      string            `json:"activity,omitempty"`      // as ParseActivity reads it; default zipf:0.8
	FeedbackRate  float64           `json:"feedbackRate,omitempty"`  // default 1
	FeedbackDelay release.Duration  `json:"feedbackDelay,omitempty"` // default 0
	Incident      string            `json:"incident,omitempty"`      // as ParseIncident reads it
}

const defaultICC = 0.1

// Once simulates one truth within a server's bounds. When ctx's deadline passes it reports the runs that were finished, with Cut true; if there are
// none, or ctx is cancelled, it returns ctx's error. Errors and concurrency are those of Run.
func Once(ctx context.Context, m *release.Model, q Request, workers int) (*Report, error) {
	o, err := q.options(m)
	if err != nil {
		return nil, err
	}
	outcomes, err := play(ctx, []scene{{&o, newPopulation(&o)}}, o.Runs, max(1, workers), nil)
	short := cut(outcomes, err)
	if err != nil && !short {
		return nil, err
	}
	r := newReport(&o, outcomes[0])
	r.Cut = short
	return r, nil
}

// options reads a request and checks it.
func (q *Request) options(m *release.Model) (Options, error) {
	o := Options{
		Model: m, Live: q.Live, Candidate: q.Candidate, Truth: map[string]Effect{}, Base: map[string]Base{}, Runs: q.Runs, Seed: q.Seed,
		Rate: q.Rate, Users: q.Users, ICC: defaultICC, Activity: DefaultActivity, FeedbackRate: q.FeedbackRate, FeedbackDelay: q.FeedbackDelay.Std(),
	}
	setDefault(&o.Runs, askedRuns)
	setDefault(&o.Seed, 1)
	if q.ICC != nil {
		o.ICC = *q.ICC
	}
	if err := q.parse(&o); err != nil {
		return o, err
	}
	byFile := o.Users == 0
	o, err := o.complete()
	switch {
	case err != nil:
		return o, err
	case o.Runs > maxAskedRuns:
		return o, release.Invalid("simulate", "%d runs; a server does up to %d", o.Runs, maxAskedRuns).Fix("ask for fewer, or run sluice simulate on a machine of your own")
	case o.Users > maxAskedUsers && byFile: // the file's; beyond this many the evidence hardly depends on it
		o.Users = maxAskedUsers
	case o.Users > maxAskedUsers:
		return o, release.Invalid("simulate", "%d users; a server draws up to %d", o.Users, maxAskedUsers).Fix("ask for fewer, or run sluice simulate on a machine of your own")
	}
	return o, nil
}

// parse reads what is written as text.
func (q *Request) parse(o *Options) (err error) {
	for name, text := range q.Truth {
		if o.Truth[name], err = ParseEffect(text); err != nil {
			return err
		}
	}
	for name, text := range q.Base {
		if _, o.Base[name], err = ParseBase(name + "=" + text); err != nil {
			return err
		}
	}
	if q.Activity != "" {
		if o.Activity, err = ParseActivity(q.Activity); err != nil {
			return err
		}
	}
	if q.Incident != "" {
		o.Incident, err = ParseIncident(q.Incident)
	}
	return err
}

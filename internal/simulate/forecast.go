package simulate

import (
	"math"
	"time"

	"sluice.dev/sluice/internal/release"
)

// Forecast says, by closed forms and without chance, how much traffic and time the steps of a plan need to show that a candidate which is
// equal to live is no worse. It is what lint checks a plan with; Run tells more.
type Forecast struct {
	Steps        []StepForecast `json:"steps"`
	Seconds      float64        `json:"seconds"`         // of all steps, approvals given at once; 0 if Never
	Never        bool           `json:"never,omitempty"` // some step is not expected to end
	LeastSeconds float64        `json:"leastSeconds"`    // below it no data can be
	Assumed      []string       `json:"assumed,omitempty"`

	guessed bool // the rate of requests
}

// StepForecast is one step at one share.
type StepForecast struct {
	Field             string        `json:"field"` // of the file: "plan.steps[2].abTest"
	Step              string        `json:"step"`  // "abTest 50%"
	Needs             []Need        `json:"needs,omitempty"`
	Hold              float64       `json:"holdSeconds,omitempty"`     // at least
	Deadline          float64       `json:"deadlineSeconds,omitempty"` // 0: none
	Seconds           float64       `json:"seconds"`                   // expected; 0 if Never
	Never             bool          `json:"never,omitempty"`
	LeastSeconds      float64       `json:"leastSeconds"`
	CandidateRequests float64       `json:"candidateRequests"` // that the candidate answers to users meanwhile
	share             release.Share // of the candidate
}

// Need is what one metric needs in one step.
type Need struct {
	Metric       string  `json:"metric"`
	Goal         string  `json:"goal,omitempty"`  // "no worse" or "better"
	Of           string  `json:"of"`              // "users", "independent requests" or "pairs"; of both arms
	Amount       float64 `json:"amount"`          // expected for an equal candidate; 0 if it can't be said
	Seconds      float64 `json:"seconds"`         // until then; 0 if Never
	Never        bool    `json:"never,omitempty"` // no amount shows it
	LeastOf      string  `json:"leastOf"`
	Least        float64 `json:"least"` // with the most favourable data: no errors, no slow answer
	LeastSeconds float64 `json:"leastSeconds"`
}

// Plan forecasts a plan. Traffic, levels of live and what users share are those of the options, as for Run; only Model is needed. Errors are
// those of Run.
func Plan(o Options) (*Forecast, error) {
	p := planning{rateKnown: o.Rate > 0, usersKnown: o.Users > 0, information: map[string]float64{}}
	if o.Model != nil {
		p.rateKnown = p.rateKnown || o.Model.Spec.Traffic.Requests > 0
		p.usersKnown = p.usersKnown || o.Model.Spec.Traffic.Users > 0
	}
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	p.o, p.alpha, p.crowd = &o, o.Model.Spec.Plan.Alpha, newCrowd(&o)
	f := &Forecast{Assumed: p.assumed(), guessed: !p.rateKnown}
	for i := range o.Model.Spec.Plan.Steps {
		f.Steps = append(f.Steps, p.step(i)...)
	}
	for i := range f.Steps {
		f.Never = f.Never || f.Steps[i].Never
		f.Seconds += f.Steps[i].Seconds
		f.LeastSeconds += f.Steps[i].LeastSeconds
	}
	if f.Never {
		f.Seconds = 0
	}
	return f, nil
}

// planning is one forecast under way.
type planning struct {
	o                     *Options
	alpha                 float64
	crowd                 *crowd
	rateKnown, usersKnown bool               // not taken by default
	compared              bool               // an A/B step came before
	information           map[string]float64 // by metric: n rho (1-rho) of the serving steps so far, in effective requests
	possible              float64            // the same if they had lasted until their deadlines, and every request were a user's only one
}

// step forecasts one step; a canary has one row per share.
func (p *planning) step(i int) []StepForecast {
	st := p.o.Model.Spec.Plan.Steps[i]
	field := "plan.steps[" + itoa(i) + "]."
	switch {
	case st.Shadow != nil:
		return []StepForecast{p.shadow(field+"shadow", st.Shadow)}
	case st.ABTest != nil:
		a := st.ABTest
		row := p.serving(StepForecast{
			Field: field + "abTest", Step: "abTest " + a.Share.String(), share: a.Share, Hold: a.Hold.Std().Seconds(), Deadline: a.Deadline.Std().Seconds(),
		}, a.Goal == release.GoalBetter, true)
		p.compared = true
		return []StepForecast{row}
	case st.Canary != nil:
		var rows []StepForecast
		for _, share := range st.Canary.Shares {
			rows = append(rows, p.serving(StepForecast{
				Field: field + "canary", Step: "canary " + share.String(), share: share,
				Hold: st.Canary.Hold.Std().Seconds(), Deadline: st.Canary.Deadline.Std().Seconds(),
			}, false, !p.compared))
		}
		return rows
	case st.Pause != nil && st.Pause.Duration > 0:
		return []StepForecast{timed(field+"pause", "pause", st.Pause.Duration.Std(), 0)}
	case st.Production != nil:
		watch := st.Production.Watch.Std()
		kept := 1 - st.Production.Holdback.Fraction()
		return []StepForecast{timed(field+"production", "production", watch, p.o.Rate*kept*watch.Seconds())}
	}
	return nil
}

func timed(field, name string, d time.Duration, requests float64) StepForecast {
	s := d.Seconds()
	return StepForecast{Field: field, Step: name, Hold: s, Seconds: s, LeastSeconds: s, CandidateRequests: requests}
}

// shadow needs its pairs, scored where a metric is.
func (p *planning) shadow(field string, st *release.ShadowStep) StepForecast {
	n := Need{Of: "pairs", LeastOf: "pairs", Amount: float64(st.Until.Pairs), Least: float64(st.Until.Pairs)}
	told := 1.0
	for _, r := range p.o.Model.Readings() {
		if r.Source.Kind == release.SourceAgree {
			told = p.o.FeedbackRate
		}
	}
	n.LeastSeconds = n.Least / (p.o.Rate * st.Share.Fraction())
	n.Seconds = n.LeastSeconds/told + p.o.FeedbackDelay.Seconds()
	row := StepForecast{Field: field, Step: "shadow " + st.Share.String(), Deadline: st.Deadline.Std().Seconds(), Needs: []Need{n}}
	row.sum()
	return row
}

// serving forecasts a step with users. In it every guardrail must be shown no worse, and the objective where it is asked.
func (p *planning) serving(row StepForecast, better, objective bool) StepForecast {
	for i := range p.o.Model.Spec.Metrics {
		m := &p.o.Model.Spec.Metrics[i]
		if m.Role == release.Guardrail || m.Role == release.Objective && objective {
			row.Needs = append(row.Needs, p.need(m, row.share.Fraction(), better && m.Role == release.Objective))
		}
	}
	row.sum()
	row.CandidateRequests = p.o.Rate * row.share.Fraction() * row.Seconds
	rho := row.share.Fraction()
	for i := range p.o.Model.Spec.Metrics {
		p.information[p.o.Model.Spec.Metrics[i].Name] += p.crowd.over(p.o.Rate*row.Seconds, p.crowd.effective) * rho * (1 - rho)
	}
	p.possible += p.o.Rate * row.Deadline * rho * (1 - rho)
	return row
}

// sum is the row's time: that of the slowest need, and the hold.
func (s *StepForecast) sum() {
	s.Seconds, s.LeastSeconds = s.Hold, s.Hold
	for _, n := range s.Needs {
		s.Never = s.Never || n.Never
		s.Seconds = math.Max(s.Seconds, n.Seconds)
		s.LeastSeconds = math.Max(s.LeastSeconds, n.LeastSeconds)
	}
	if s.Never {
		s.Seconds = 0
	}
}

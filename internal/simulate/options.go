package simulate

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice.dev/sluice/internal/release"
)

// Options say what is simulated. Only Model is needed.
type Options struct {
	Model     *release.Model    // valid; not changed
	Live      string            // default: the file's live version
	Candidate string            // default: the first other version by name
	Truth     map[string]Effect // by metric; none: the versions are equal (A/A)
	Base      map[string]Base   // by metric: live's true level; see DefaultBase
	Runs      int               // default 200, at most 1e6
	Seed      uint64
	Rate      float64  // requests per second of all users; default: the file's traffic, else 40
	Users     int      // different users; default: those of a day in the file's traffic (up to 1e6), else 20,000; at most 1e6
	ICC       float64  // share of each metric's variance that lies between users; 0 to 0.45
	Activity  Activity // how unequally active users are; zero: all the same
	// FeedbackRate is the share of exposures whose outcome is told, once FeedbackDelay after the exposure; 0 means all.
	FeedbackRate  float64
	FeedbackDelay time.Duration
	Incident      *Incident
	Workers       int            // goroutines; default: all cores
	Progress      func(done int) // called after each run, from any goroutine; may be nil
	Exact         bool           // draw request by request and fold with package tally: slow, for tests and small plans
}

// Activity is how unequally active users are.
type Activity struct {
	// Zipf is the exponent s of Zipf's law: the k-th most active user sends requests in proportion to k^-s; 0: all the same.
	// At 1.3 a quarter of all requests come from one user, and verdicts over bins rightly say "too few users".
	Zipf float64
}

// String is the activity as ParseActivity reads it.
func (a Activity) String() string {
	if a.Zipf == 0 {
		return "uniform"
	}
	return "zipf:" + strconv.FormatFloat(a.Zipf, 'g', -1, 64)
}

// DefaultActivity is heavy-tailed, but no user dominates: the most active of 20,000 sends 3 % of the requests.
var DefaultActivity = Activity{Zipf: 0.8}

// ParseActivity reads "zipf:S" with 0 <= S <= 3, or "uniform".
func ParseActivity(s string) (Activity, error) {
	if s == "uniform" {
		return Activity{}, nil
	}
	if x, ok := strings.CutPrefix(s, "zipf:"); ok {
		if z, err := strconv.ParseFloat(x, 64); err == nil && z >= 0 && z <= 3 {
			return Activity{Zipf: z}, nil
		}
	}
	return Activity{}, release.Invalid("read activity "+strconv.Quote(s), "there is no such activity").Fix("write zipf:S with S from 0 to 3, like zipf:0.8, or uniform")
}

// Base is live's true level of one metric.
type Base struct {
	Mean   float64   // event, proportion: rate; latency: median in ms; mean: mean
	Shares []float64 // category: the classes' probabilities
}

// DefaultBase is what is taken for live where nothing is said: 0.5 % of events, 80 % of proportions, a median latency of 100 ms (log-normal with
// sigma 0.5), a mean of 1 (exponential), three classes of 60, 30 and 10 %.
func DefaultBase(kind release.MetricKind) Base {
	switch kind {
	case release.MetricEvent:
		return Base{Mean: 0.005}
	case release.MetricProportion:
		return Base{Mean: 0.8}
	case release.MetricLatency:
		return Base{Mean: 100}
	case release.MetricCategory:
		return Base{Shares: []float64{0.6, 0.3, 0.1}}
	default:
		return Base{Mean: 1}
	}
}

// ParseBase reads "METRIC=LEVEL": "errors=0.5%", "correct=0.8", "slow=120ms", "cost=2.5", "decision=0.7,0.3".
func ParseBase(s string) (metric string, b Base, err error) {
	bad := func() error {
		return release.Invalid("read base "+strconv.Quote(s), "it is not METRIC=LEVEL").Fix("write errors=0.5%%, slow=120ms or decision=0.7,0.3")
	}
	metric, level, ok := strings.Cut(s, "=")
	if !ok || metric == "" {
		return "", b, bad()
	}
	for _, part := range strings.Split(level, ",") {
		x, percent := strings.CutSuffix(strings.TrimSuffix(strings.TrimSpace(part), "ms"), "%")
		v, err := strconv.ParseFloat(x, 64)
		if err != nil || !(v >= 0) || math.IsInf(v, 1) {
			return "", b, bad()
		}
		if percent {
			v /= 100
		}
		b.Shares = append(b.Shares, v)
	}
	b.Mean = b.Shares[0]
	return metric, b, nil
}

// Incident is a time in which a 0/1 metric is worse (or better) on both arms: an outage behind the model.
type Incident struct {
	Metric string
	Effect Effect
	At     time.Duration // since the release began
	For    time.Duration
}

// ParseIncident reads "AT+FOR:METRIC=EFFECT", for example "2h+10m:errors=+20pp".
func ParseIncident(s string) (*Incident, error) {
	bad := release.Invalid("read incident "+strconv.Quote(s), "it is not AT+FOR:METRIC=EFFECT").Fix("write 2h+10m:errors=+20pp: from two hours on, for ten minutes, on both arms")
	when, what, ok := strings.Cut(s, ":")
	at, span, ok2 := strings.Cut(when, "+")
	if !ok || !ok2 {
		return nil, bad
	}
	var i Incident
	var err error
	if i.At, err = time.ParseDuration(at); err != nil || i.At < 0 {
		return nil, bad
	}
	if i.For, err = time.ParseDuration(span); err != nil || i.For <= 0 {
		return nil, bad
	}
	i.Metric, i.Effect, err = ParseTruth(what)
	return &i, err
}

const (
	defaultRuns  = 200
	defaultRate  = 40
	defaultUsers = 20_000
	maxRuns      = 1_000_000
	maxUsers     = 1_000_000
	maxICC       = 0.45
	secondsADay  = 86_400
)

// complete fills the defaults in and refuses what can't be simulated.
func (o Options) complete() (Options, error) {
	const op = "simulate"
	if o.Model == nil {
		return o, release.Invalid(op, "no model is given")
	}
	o.Model = o.Model.Normalise()
	t := o.Model.Spec.Traffic
	setDefault(&o.Runs, defaultRuns)
	setDefault(&o.Rate, float64(t.Requests))
	setDefault(&o.Rate, defaultRate)
	setDefault(&o.Users, int(math.Min(maxUsers, math.Round(float64(t.Users)*secondsADay))))
	setDefault(&o.Users, defaultUsers)
	setDefault(&o.FeedbackRate, 1)
	setDefault(&o.Live, o.Model.Spec.Live)
	if o.Candidate == "" {
		o.Candidate = firstOther(o.Model, o.Live)
	}
	switch {
	case o.Runs < 1 || o.Runs > maxRuns:
		return o, release.Invalid(op, "%d runs; 1 to %d are possible", o.Runs, maxRuns)
	case !(o.Rate > 0 && o.Rate <= 1e6):
		return o, release.Invalid(op, "a rate of %g requests per second; up to 1e6 are possible", o.Rate)
	case o.Users < 2 || o.Users > maxUsers:
		return o, release.Invalid(op, "%d users; 2 to %d are possible", o.Users, maxUsers).Fix("more users than that behave like that many")
	case !(o.ICC >= 0 && o.ICC <= maxICC):
		return o, release.Invalid(op, "an intra-class correlation of %g; 0 to %g are possible", o.ICC, maxICC)
	case !(o.FeedbackRate > 0 && o.FeedbackRate <= 1):
		return o, release.Invalid(op, "a feedback rate of %g; it is a share above 0", o.FeedbackRate)
	case o.FeedbackDelay < 0:
		return o, release.Invalid(op, "feedback can't come before its exposure")
	case !(o.Activity.Zipf >= 0 && o.Activity.Zipf <= 3):
		return o, release.Invalid(op, "an activity of zipf:%g; 0 to 3 are possible", o.Activity.Zipf)
	}
	if err := o.Model.Validate().Err(); err != nil {
		return o, err
	}
	if err := o.checkMetrics(op); err != nil || !o.Exact {
		return o, err
	}
	return o, apart(&o)
}

func setDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func firstOther(m *release.Model, live string) string {
	var names []string
	for name := range m.Spec.Versions {
		if name != live {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// checkMetrics refuses truths, bases and incidents of metrics that don't exist or can't be so.
func (o *Options) checkMetrics(op string) error {
	kinds := map[string]release.Metric{}
	for _, m := range o.Model.Spec.Metrics {
		kinds[m.Name] = m
	}
	known := func(name string) error {
		if _, ok := kinds[name]; !ok {
			return release.Invalid(op, "the model has no metric %q", name)
		}
		return nil
	}
	for name, b := range o.Base {
		if err := known(name); err != nil {
			return err
		}
		if why := b.fits(kinds[name].Kind); why != "" {
			return release.Invalid(op, "the base of %s: %s", name, why)
		}
	}
	for name, e := range o.Truth {
		if err := known(name); err != nil {
			return err
		}
		if why := e.fits(kinds[name].Kind, o.base(kinds[name]).Mean); why != "" {
			return release.Invalid(op, "the truth of %s: %s", name, why)
		}
	}
	if i := o.Incident; i != nil {
		if err := known(i.Metric); err != nil {
			return err
		}
		m := kinds[i.Metric]
		if m.Kind != release.MetricEvent && m.Kind != release.MetricProportion {
			return release.Invalid(op, "an incident of %s: only events and proportions have one", i.Metric)
		}
		if why := i.Effect.fits(m.Kind, o.base(m).Mean); why != "" {
			return release.Invalid(op, "the incident of %s: %s", i.Metric, why)
		}
	}
	return nil
}

func (b Base) fits(kind release.MetricKind) string {
	sum := 0.0
	for _, s := range b.Shares {
		sum += s
	}
	switch {
	case kind == release.MetricCategory && (len(b.Shares) < 2 || len(b.Shares) > 64 || math.Abs(sum-1) > 1e-6):
		return fmt.Sprintf("the shares of 2 to 64 classes add up to 1, not %g", sum)
	case kind == release.MetricCategory:
		return ""
	case len(b.Shares) > 1:
		return "it is one number"
	case (kind == release.MetricEvent || kind == release.MetricProportion) && !(b.Mean >= 0 && b.Mean <= 1):
		return "it is a rate from 0 to 1"
	case (kind == release.MetricLatency || kind == release.MetricMean) && !(b.Mean > 0 && b.Mean < 1e6):
		return "it is a positive number below a million"
	}
	return ""
}

// base is live's true level of a metric.
func (o *Options) base(m release.Metric) Base {
	if b, ok := o.Base[m.Name]; ok {
		return b
	}
	return DefaultBase(m.Kind)
}

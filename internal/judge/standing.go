package judge

import (
	"fmt"
	"math"
	"slices"
	"time"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/stats"
)

// The standing watch's policy: an e-detector over fixed windows; the chance of a false alarm within n windows is at most
// n/StandingARL, so 3.3 % over a day and a quarter over a week.
const (
	StandingWindow = 10 * time.Minute
	StandingARL    = 4320 // windows, 30 days; the mean time between false alarms of a detector that has all of it
)

// Standing watches a version that is live, against the hold-back that its release kept (§1.14, R9). It is plain data, to be
// stored between two windows; Begin and Close return new values.
//
// Watched is what counts each user once: event metrics and the slowest requests of latency metrics, guardrails and
// the objective. Each metric has two detectors, like R4: the label processes of [Watch] on users at their first
// event of the epoch, against the ratio that the tolerance is at live's lower bound; and, for margins in points, the bounds
// of both shares among users whose record closed since the start, which speaks where the hold-back has no event at all.
//
// Promise: with an ARL of A windows, the chance of a false alarm within n windows is at most n/A, all metrics together.
// Detector i alarms at A/w_i, the w_i add up to 1, and each has P(alarm within n) <= n w_i/A.
type Standing struct {
	Round   int              `json:"round"` // alarms of the release before this watch began
	Began   time.Time        `json:"began"`
	Closed  time.Time        `json:"closed"`  // end of the latest window
	Windows int              `json:"windows"` // closed so far
	Starts  []StandingStart  `json:"starts"`  // when the windows began from which evidence is still counted
	Metrics []StandingMetric `json:"metrics"`
	Look    StandingLook     `json:"look"` // of the latest window
}

// StandingStart is when a window began.
type StandingStart struct {
	Window int       `json:"window"`
	Time   time.Time `json:"time"`
}

// StandingMetric holds one metric's counters.
type StandingMetric struct {
	Metric string          `json:"metric"`
	Label  Watch           `json:"label"`
	Units  StandingUnits   `json:"units"` // now
	Since  []StandingUnits `json:"since"` // by start
}

// StandingUnits are users whose record closed (n) and, of those, with the event inside its window (k). A is the side
// that is expected to have no fewer events: the hold-back, or for inverted metrics the candidate.
type StandingUnits struct {
	NA float64 `json:"na"`
	KA float64 `json:"ka"`
	NB float64 `json:"nb"`
	KB float64 `json:"kb"`
}

func (u StandingUnits) minus(v StandingUnits) StandingUnits {
	return StandingUnits{u.NA - v.NA, u.KA - v.KA, u.NB - v.NB, u.KB - v.KB}
}

// StandingLook is what a standing watch shows.
type StandingLook struct {
	LnE    float64   `json:"lnE"`             // the largest ln of w_i times detector i; alarm at ln ARL
	Bar    float64   `json:"bar"`             // ln ARL
	Within float64   `json:"within"`          // the largest chance of a false alarm so far
	Alarm  bool      `json:"alarm,omitempty"` // the watch must begin afresh
	Metric string    `json:"metric,omitempty"`
	Since  time.Time `json:"since,omitzero"` // alarm: when it probably began
	Reason string    `json:"reason"`
}

// stood is what one metric counts in the present stratum.
type stood struct {
	s     *subject
	cell  stats.LabelStratum
	units StandingUnits
	ratio float64 // log rate ratio that is tolerated
	shift float64 // points that are tolerated, as a share; 0: the margin is a ratio
}

// BeginStanding begins a watch at the present counts. ok is false if there is nothing to watch: no hold-back is
// served, or no metric counts users with an event.
func BeginStanding(in Input, round int, now time.Time) (s Standing, ok bool) {
	s = Standing{Round: round, Began: now, Closed: now, Look: StandingLook{LnE: -MaxLn, Bar: math.Log(StandingARL), Reason: "the first window is not over yet"}}
	for _, x := range standing(in) {
		s.Metrics = append(s.Metrics, StandingMetric{
			Metric: x.s.metric.Name, Label: Watch{Cells: []stats.LabelStratum{x.cell}}, Units: x.units,
		})
	}
	return s, len(s.Metrics) > 0
}

// Close ends a window with the present counts and evaluates the watch. Counters that fell are an error: the telemetry was
// read only in part, or lost.
func (s Standing) Close(in Input, now time.Time) (Standing, error) {
	all := standing(in)
	if len(all) != len(s.Metrics) {
		return s, fmt.Errorf("judge: standing watch: %d metrics after %d", len(all), len(s.Metrics))
	}
	next := s
	next.Windows, next.Closed = s.Windows+1, now
	keep := make([]bool, len(s.Starts))
	next.Starts = nil
	for i, st := range s.Starts {
		if keep[i] = kept(st.Window, s.Windows); keep[i] {
			next.Starts = append(next.Starts, st)
		}
	}
	next.Starts = append(next.Starts, StandingStart{s.Windows, s.Closed})
	next.Metrics = make([]StandingMetric, len(all))
	for i, x := range all {
		m, err := s.Metrics[i].advance(x, keep)
		if err != nil {
			return s, err
		}
		next.Metrics[i] = m
	}
	var err error
	next.Look, err = next.look(all)
	return next, err
}

func (m StandingMetric) advance(x stood, keep []bool) (StandingMetric, error) {
	if d := x.units.minus(m.Units); m.Metric != x.s.metric.Name || min(d.NA, d.KA, d.NB, d.KB) < 0 {
		return m, fmt.Errorf("judge: standing watch: %s counted %+v and counts %+v of %s", m.Metric, m.Units, x.units, x.s.metric.Name)
	}
	next := StandingMetric{Metric: m.Metric, Units: x.units}
	for i, u := range m.Since {
		if keep[i] {
			next.Since = append(next.Since, u)
		}
	}
	next.Since = append(next.Since, m.Units)
	var err error
	next.Label, err = m.Label.Advance([]stats.LabelStratum{x.cell})
	return next, err
}

// standing lists the metrics that can be watched, with their counts in the present stratum.
func standing(in Input) []stood {
	var c Cache
	j := judging{in: in, cache: &c}
	j.begin()
	vs := j.against(1)
	if len(vs) == 0 || !vs[len(vs)-1].present {
		return nil
	}
	v := &vs[len(vs)-1]
	var out []stood
	for i := range j.metrics() {
		s := j.subject(i, 1)
		if x := (stood{s: s, cell: s.firsts(v, false)}); s.watchable() {
			if s.metric.Kind != release.MetricLatency { // a latency's tolerance is part of its threshold
				x.tolerate(v)
			}
			out = append(out, x)
		}
	}
	return out
}

// watchable says whether users are counted at their first event.
func (s *subject) watchable() bool {
	if !s.known || !s.decides() {
		return false
	}
	if s.metric.Kind == release.MetricLatency {
		return slices.ContainsFunc(s.base.Thresholds, func(t release.Threshold) bool { return t.Quantile == tailQuantile })
	}
	return s.perUser() && s.binary()
}

// tolerate sets what is tolerated, in points and as the ratio that they are at live's lower bound (R4). The bound's own level,
// 1/ARL, is small beside what an alarm promises.
func (x *stood) tolerate(v *versus) {
	tol, _ := x.s.userBound(x.s.tolerate)
	c := x.s.units(v)
	x.units = StandingUnits{c.nA, c.kA, c.nB, c.kB}
	if !tol.isRatio() {
		x.shift = tol.shift
	}
	n, k := c.nA, c.kA
	if x.s.event() < 0 { // oriented: live is B
		n, k = c.nB, c.kB
	}
	lower := 0.0
	if i, err := stats.BernoulliCS(k, n, 1.0/StandingARL); err == nil && n > 0 {
		lower = i.Lo
	}
	x.ratio = x.s.logRatio(tol, lower)
}

func (s *Standing) look(all []stood) (StandingLook, error) {
	out := StandingLook{LnE: -MaxLn, Bar: math.Log(StandingARL), Within: math.Min(1, float64(s.Windows)/StandingARL)}
	weights := 0.0
	for _, x := range all {
		weights += weightOf(x.s.metric)
	}
	worst, since := 0, 0
	for i, x := range all {
		w := math.Log(weightOf(x.s.metric) / weights)
		if x.shift > 0 {
			w -= math.Ln2
		}
		label, err := s.Metrics[i].Label.Look(WatchRule{Sigma: eventSigma, LogRatio: x.ratio, ARL: StandingARL, Alpha: 0.5})
		if err != nil {
			return out, err
		}
		try := func(ln float64, start int) {
			if ln += w; ln > out.LnE {
				out.LnE, worst, since = ln, i, start
			}
		}
		try(label.LnESR, label.Since)
		if x.shift > 0 {
			ln, start := s.points(i, x.shift)
			try(ln, start)
		}
	}
	out.Alarm = out.LnE >= out.Bar
	out.Reason = fmt.Sprintf("no change for the worse is shown since %s", s.Began.UTC().Format("15:04 UTC on 2 January"))
	if out.Alarm {
		out.Metric, out.Since = all[worst].s.metric.Name, s.began(since)
		out.Reason = s.Metrics[worst].words(all[worst], since, out.Since)
	}
	return out, nil
}

// points is the e-SR of the bounds on the shares of users whose record closed since each start, and the start of the
// largest evidence. A time-uniform p-value p of the bounds becomes an e-value by the mixture of its calibrators,
// (1 - p + p ln p)/(p ln^2 p).
func (s *Standing) points(metric int, shift float64) (ln float64, start int) {
	m := &s.Metrics[metric]
	best := math.Inf(-1)
	all := make([]float64, 0, len(m.Since))
	for i, then := range m.Since {
		u := m.Units.minus(then)
		p := 0.0
		if u.NA > 0 && u.NB > 0 {
			if v, err := stats.HarmInPoints(u.KA, u.NA, u.KB, u.NB, shift, 1.0/StandingARL); err == nil {
				p = -v.LnLevel
			}
		}
		e := calibrated(p)
		if e > best {
			best, start = e, s.Starts[i].Window
		}
		all = append(all, e)
	}
	return clampLn(stats.LogSumExp(all...)), start
}

// calibrated is ln of the e-value of a p-value of exp(-l).
func calibrated(l float64) float64 {
	if l < 1e-3 {
		return -math.Ln2
	}
	return l + math.Log1p(-math.Exp(-l)*(1+l)) - 2*math.Log(l)
}

func (s *Standing) began(window int) time.Time {
	for _, st := range s.Starts {
		if st.Window == window {
			return st.Time
		}
	}
	return s.Began
}

// words say what was counted since a window, on both sides, and what would be if the versions were alike.
func (m *StandingMetric) words(x stood, window int, at time.Time) string {
	now := m.Label.Cells[0]
	for _, start := range m.Label.Starts {
		if start.Window == window {
			now.KA -= start.Cells[0].KA
			now.KB -= start.Cells[0].KB
		}
	}
	a, b, rho := now.KA, now.KB, now.Rho
	if x.s.event() < 0 && x.s.metric.Kind != release.MetricLatency {
		a, b, rho = b, a, 1-rho
	}
	return fmt.Sprintf("%s: worse since about %s: since then %s users of the candidate and %s of the hold-back met with it for the first time, where %s and %s would be expected of equal versions",
		m.Metric, at.UTC().Format("15:04 UTC on 2 January"), thousands(b), thousands(a), thousands(rho*(a+b)), thousands((1-rho)*(a+b)))
}

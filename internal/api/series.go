package api

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"time"

	"sluice.dev/sluice/internal/looks"
	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
)

// Series is a release over time, in columns: entry i of each is of the moment Times[i].
type Series struct {
	Model   string     `json:"model"`
	Release uint32     `json:"release"`
	From    *time.Time `json:"from,omitempty"` // of the looks below
	To      *time.Time `json:"to,omitempty"`
	Looks   uint64     `json:"looks"` // in the whole history
	Every   uint64     `json:"every"` // how many looks a point stands for, about; 1: nothing is left out
	// Shares are exact: every change of share, pause and resume.
	Shares    []ShareChange  `json:"shares"`
	Times     []int64        `json:"times"` // Unix milliseconds
	Exposures ArmSeries      `json:"exposures"`
	Metrics   []MetricSeries `json:"metrics"`
	Decisions []SeriesMark   `json:"decisions"`
	Next      string         `json:"next,omitempty"` // the cursor of the following looks, if looks are asked for in pages
}

// ShareChange is what the candidate served from a time on.
type ShareChange struct {
	Time    time.Time     `json:"time"`
	Share   release.Share `json:"share"`  // of the users
	Mirror  release.Share `json:"mirror"` // of the users whose requests are copied
	Stratum uint16        `json:"stratum,omitempty"`
	Step    int           `json:"step"`
	Serving bool          `json:"serving"` // false: users were assigned, and live answered all
}

// ArmSeries is a number of both sides over time.
type ArmSeries struct {
	Live      []uint64 `json:"live"`
	Candidate []uint64 `json:"candidate"`
}

// MetricSeries is one metric of one candidate over time. The fields are those of a verdict; null where there is none.
type MetricSeries struct {
	Metric     string             `json:"metric"`
	Arm        uint8              `json:"arm"`
	Kind       release.MetricKind `json:"kind"`
	Role       release.Role       `json:"role"`
	Unit       string             `json:"unit"` // of estimate, lo and hi
	Margin     release.Margin     `json:"margin"`
	Bar        float64            `json:"bar"` // ln(1/alpha): what lnHarm, lnNoWorse and lnBetter must reach
	Estimate   Numbers            `json:"estimate"`
	Lo         Numbers            `json:"lo"`
	Hi         Numbers            `json:"hi"`
	Live       Numbers            `json:"live"`
	Candidate  Numbers            `json:"candidate"`
	LiveN      []uint64           `json:"liveN"`
	CandidateN []uint64           `json:"candidateN"`
	LnHarm     Numbers            `json:"lnHarm"`
	LnNoWorse  Numbers            `json:"lnNoWorse"`
	LnBetter   Numbers            `json:"lnBetter"`
	State      []string           `json:"state"`
}

// SeriesMark is a decision as a mark on the time axis.
type SeriesMark struct {
	Number uint64           `json:"number"`
	Time   time.Time        `json:"time"`
	What   rollout.What     `json:"what"`
	Step   release.StepKind `json:"step"`
	From   release.Share    `json:"from"`
	To     release.Share    `json:"to"`
	Phase  rollout.Phase    `json:"phase"`
	By     string           `json:"by"`
	Reason string           `json:"reason"`
}

// Numbers is a column in which NaN is written as null.
type Numbers []float64

// MarshalJSON implements json.Marshaler.
func (n Numbers) MarshalJSON() ([]byte, error) {
	out := make([]byte, 0, 2+8*len(n))
	out = append(out, '[')
	for i, v := range n {
		if i > 0 {
			out = append(out, ',')
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			out = append(out, "null"...)
			continue
		}
		out = strconv.AppendFloat(out, v, 'g', 7, 64) // the history keeps 24 bits
	}
	return append(out, ']'), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *Numbers) UnmarshalJSON(data []byte) error {
	var all []*float64
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	*n = make(Numbers, len(all))
	for i, v := range all {
		(*n)[i] = math.NaN()
		if v != nil {
			(*n)[i] = *v
		}
	}
	return nil
}

const (
	defaultPoints = 600
	maxPoints     = 5000
	maxLooks      = 2000 // in one page
)

func (s *server) getSeries(c call) (any, error) {
	q := c.query("points", "limit", "after", "from", "to", "metric", "arm")
	find := records.LookQuery{From: q.time("from"), To: q.time("to")}
	if q.text("limit") != "" || q.text("after") != "" {
		find.Limit = q.integer("limit", 1, maxLooks, maxLooks)
		q.cursor(&find.After)
	} else {
		find.Points = q.integer("points", 2, maxPoints, defaultPoints)
	}
	arm := q.integer("arm", 0, math.MaxUint8, 0)
	if q.err != nil {
		return nil, q.err
	}
	rel, err := s.release(c)
	if err != nil {
		return nil, err
	}
	found, err := s.o.Records.Looks(c.Context(), rel.State.Model, rel.State.Number, find)
	if err != nil {
		return nil, err
	}
	out := Series{
		Model: rel.State.Model, Release: rel.State.Number, Looks: found.Count, Every: found.Every, Shares: shareChanges(&rel.State),
		Metrics: columns(&rel.State, found.Looks, q.values["metric"], arm), Decisions: []SeriesMark{},
	}
	out.moments(found.Looks)
	if found.Next > 0 {
		out.Next = cursorOf(found.Next)
	}
	heads, err := s.o.Records.DecisionHeads(c.Context(), rel.State.Model, rel.State.Number)
	for _, d := range heads {
		out.Decisions = append(out.Decisions, SeriesMark{
			Number: d.Number, Time: d.Time, What: d.What, Step: d.Step, From: d.From, To: d.To, Phase: d.Phase, By: d.By, Reason: d.Reason,
		})
	}
	return out, err
}

// release loads the release that a path names.
func (s *server) release(c call) (records.Release, error) {
	n, err := number(c.PathValue("n"))
	if err != nil {
		return records.Release{}, err
	}
	return s.o.Records.Release(c.Context(), c.PathValue("model"), n)
}

func (out *Series) moments(all []looks.Look) {
	out.Times = make([]int64, len(all))
	out.Exposures = ArmSeries{Live: make([]uint64, len(all)), Candidate: make([]uint64, len(all))}
	for i := range all {
		out.Times[i], out.Exposures.Live[i], out.Exposures.Candidate[i] = all[i].Time, all[i].Live, all[i].Candidate
	}
	if len(all) > 0 {
		from, to := time.UnixMilli(all[0].Time).UTC(), time.UnixMilli(all[len(all)-1].Time).UTC()
		out.From, out.To = &from, &to
	}
}

func shareChanges(st *rollout.State) []ShareChange {
	out := make([]ShareChange, 0, len(st.Strata)+1)
	for _, s := range st.Strata {
		change := ShareChange{Time: s.Opened, Mirror: s.Mirror, Stratum: s.ID, Step: s.Step, Serving: s.Kind == release.ExposureServe}
		if change.Serving && len(s.Shares) > 0 {
			change.Share = release.Whole - s.Shares[0]
		}
		out = append(out, change)
	}
	if st.Phase.Ended() {
		out = append(out, ShareChange{Time: st.Ended, Share: st.Share(), Step: st.Step, Serving: true})
	}
	return out
}

// columns turns looks into one series per metric and candidate, in the order of the file.
func columns(st *rollout.State, all []looks.Look, metrics []string, arm int) []MetricSeries {
	out := []MetricSeries{}
	at := map[pointKey]int{}
	for _, key := range keysOf(st, all) {
		if len(metrics) > 0 && !slices.Contains(metrics, key.metric) || arm != 0 && int(key.arm) != arm {
			continue
		}
		at[key] = len(out)
		out = append(out, newColumn(st, key, len(all)))
	}
	for i := len(all) - 1; i >= 0; i-- { // backwards: the latest unit is the series'
		for j := range all[i].Points {
			p := &all[i].Points[j]
			if c, ok := at[pointKey{p.Metric, p.Arm}]; ok {
				out[c].set(i, p)
			}
		}
	}
	return out
}

type pointKey struct {
	metric string
	arm    uint8
}

// keysOf lists what the looks hold, by the file's order of metrics.
func keysOf(st *rollout.State, all []looks.Look) []pointKey {
	var out []pointKey
	seen := map[pointKey]bool{}
	for i := range all {
		for j := range all[i].Points {
			key := pointKey{all[i].Points[j].Metric, all[i].Points[j].Arm}
			if !seen[key] {
				seen[key] = true
				out = append(out, key)
			}
		}
	}
	place := func(name string) int {
		return slices.IndexFunc(st.Spec.Spec.Metrics, func(m release.Metric) bool { return m.Name == name })
	}
	slices.SortStableFunc(out, func(a, b pointKey) int { return place(a.metric) - place(b.metric) })
	return out
}

func newColumn(st *rollout.State, key pointKey, n int) MetricSeries {
	gap := func() Numbers {
		out := make(Numbers, n)
		for i := range out {
			out[i] = math.NaN()
		}
		return out
	}
	m := MetricSeries{
		Metric: key.metric, Arm: key.arm, Bar: math.Log(1 / st.Spec.Spec.Plan.Alpha),
		Estimate: gap(), Lo: gap(), Hi: gap(), Live: gap(), Candidate: gap(), LnHarm: gap(), LnNoWorse: gap(), LnBetter: gap(),
		LiveN: make([]uint64, n), CandidateN: make([]uint64, n), State: make([]string, n),
	}
	for _, spec := range st.Spec.Spec.Metrics {
		if spec.Name == key.metric {
			m.Kind, m.Role, m.Margin = spec.Kind, spec.Role, spec.Margin
		}
	}
	return m
}

// set fills in a point. An estimate in another unit than the latest one's has no place on the same axis.
func (m *MetricSeries) set(i int, p *looks.Point) {
	if m.Unit == "" {
		m.Unit = p.Unit
	}
	if m.Unit == p.Unit {
		m.Estimate[i], m.Lo[i], m.Hi[i] = p.Estimate, p.Lo, p.Hi
	}
	m.Live[i], m.Candidate[i], m.LiveN[i], m.CandidateN[i] = p.Live, p.Candidate, p.LiveN, p.CandidateN
	m.LnHarm[i], m.LnNoWorse[i], m.LnBetter[i], m.State[i] = p.LnHarm, p.LnNoWorse, p.LnBetter, p.State
}

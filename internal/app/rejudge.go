package app

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"slices"
	"time"

	"sluice.dev/sluice/internal/controller"
	"sluice.dev/sluice/internal/ingest"
	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
	"sluice.dev/sluice/internal/tally"
)

// looksBetween is how many looks are taken up to each stored decision: harm may have shown itself between two of them.
const looksBetween = 10

// Rejudged is what a stored release's data say under another plan.
type Rejudged struct {
	Model  string         `json:"model"`
	Number uint32         `json:"number"`
	Harm   *RejudgedLook  `json:"harm,omitempty"` // the first look that shows harm; nil: none does
	Looks  []RejudgedLook `json:"looks"`          // at the stored decisions
}

// RejudgedLook is one look under the other plan.
type RejudgedLook struct {
	Decision uint64           `json:"decision"` // the stored one that it lies at, or before
	Recorded rollout.What     `json:"recorded"` // what was decided then
	Time     time.Time        `json:"time"`     // of the latest telemetry that it saw
	Step     release.StepKind `json:"step"`     // at that time
	Harm     bool             `json:"harm"`     // at this look or an earlier one
	HarmBy   string           `json:"harmBy,omitempty"`
	Shown    bool             `json:"shown"` // the objective and all guardrails are shown no worse
	Verdicts []judge.Verdict  `json:"verdicts"`
}

// Rejudge folds the telemetry of a stored release again and judges it under the metrics' margins, tolerances, roles and weights and the alpha of
// another Model file. Steps and shares stay what they were: they are how the data came about. The evidence for harm is gathered over
// the looks at all stored decisions and ten between each two. It reads as Replay does, and changes nothing.
func Rejudge(ctx context.Context, c *release.Config, model string, number uint32, other *release.Model, log *slog.Logger) (_ *Rejudged, err error) {
	s, err := openStored(ctx, c, log)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return rejudge(ctx, s, model, number, other)
}

func rejudge(ctx context.Context, s store.Store, model string, number uint32, other *release.Model) (*Rejudged, error) {
	r := records.New(s)
	rel, err := r.Release(ctx, model, number)
	if err != nil {
		return nil, err
	}
	decisions, err := judgedDecisions(ctx, r, model, number)
	if err != nil {
		return nil, err
	}
	m, arms, _, err := r.Counted(ctx, release.ModelKeyOf(model), number)
	if err != nil {
		return nil, err
	}
	if m, err = under(m, other); err != nil {
		return nil, err
	}
	if err := whole(ctx, s, model, number, rel.State.Created); err != nil {
		return nil, err
	}
	j := rejudging{state: rel.State, out: &Rejudged{Model: model, Number: number}}
	j.state.Spec = *m
	if j.state.Baseline, err = edges(m, rel.State.Baseline); err != nil {
		return nil, err
	}
	key := release.ModelKeyOf(model)
	j.again = ingest.NewReplay(m, number, arms, func(ctx context.Context, partition int, after uint64) iter.Seq2[ingest.Entry, error] {
		return marked(readStored(ctx, s, partition, after), key, number, j.state.Baseline)
	})
	for i := range decisions {
		if err := j.upTo(ctx, &decisions[i]); err != nil {
			return nil, err
		}
	}
	return j.out, nil
}

func judgedDecisions(ctx context.Context, r *records.Records, model string, number uint32) ([]rollout.Decision, error) {
	all, _, err := r.Decisions(ctx, model, 0)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(d rollout.Decision) bool {
		return d.Release != number || d.Look == nil || len(d.Look.Positions) != release.Partitions
	})
	if len(all) == 0 {
		return nil, release.Invalid("replay", "no decision of release %d of %s rests on data", number, model).Fix("sluice get %s lists its releases", model)
	}
	return all, nil
}

// rejudging is one release under way.
type rejudging struct {
	state     rollout.State
	again     *ingest.Replay
	positions [release.Partitions]uint64
	memory    judge.Memory
	cache     judge.Cache
	out       *Rejudged
}

// upTo takes the looks from the present positions to those of a decision.
func (j *rejudging) upTo(ctx context.Context, d *rollout.Decision) error {
	from := j.positions
	for k := 1; k <= looksBetween; k++ {
		for p, to := range d.Look.Positions {
			if to > from[p] {
				j.positions[p] = from[p] + uint64(math.Ceil(float64(to-from[p])*float64(k)/looksBetween))
			}
		}
		view, _, err := j.again.To(ctx, j.positions[:])
		if err != nil {
			return err
		}
		if view == nil {
			continue
		}
		at := j.look(d, view)
		if at.Harm && j.out.Harm == nil {
			j.out.Harm = &at
		}
		if k == looksBetween {
			j.out.Looks = append(j.out.Looks, at)
		}
	}
	return nil
}

func (j *rejudging) look(d *rollout.Decision, view *tally.View) RejudgedLook {
	look := *d.Look
	look.Memory = j.memory
	a := j.cache.Assess(controller.Judged(j.state, look, view))
	j.memory = a.Memory
	at := RejudgedLook{
		Decision: d.Number, Recorded: d.What, Time: time.UnixMilli(view.LogTime).UTC(), Step: look.Step, Harm: a.Harm, HarmBy: a.HarmBy, Verdicts: a.Verdicts,
	}
	at.Shown = len(a.Verdicts) > 0
	for i := range a.Verdicts {
		if v := &a.Verdicts[i]; v.Role != release.Watch && !v.NoWorse {
			at.Shown = false
		}
	}
	return at
}

// under is the stored model with what another file says of its metrics and of alpha. A metric that the other file leaves out only watches. What the log
// does not hold can't be judged.
func under(stored, other *release.Model) (*release.Model, error) {
	m, o := stored.Normalise(), other.Normalise()
	left := map[string]release.Metric{}
	for _, x := range o.Spec.Metrics {
		left[x.Name] = x
	}
	for i := range m.Spec.Metrics {
		have := &m.Spec.Metrics[i]
		x, ok := left[have.Name]
		delete(left, have.Name)
		switch {
		case !ok:
			have.Role, have.Weight = release.Watch, 0
			continue
		case x.Source != have.Source || x.Kind != have.Kind || x.Direction != have.Direction:
			return nil, release.Invalid("replay", "%s was measured as %s %s, the other plan reads %s %s", have.Name, have.Kind, have.Source, x.Kind, x.Source).
				Fix("give it another name, or leave it as it was")
		}
		x.Window, x.Missing = have.Window, have.Missing
		*have = x
	}
	for name := range left {
		return nil, release.Invalid("replay", "%s was not measured in this release", name).Fix("remove it from the other plan")
	}
	m.Spec.Plan.Alpha = o.Spec.Plan.Alpha
	return m, m.Validate().Err()
}

// edges is the baseline with the latency edges of other margins: live's thresholds stay, the candidate's move with the factors.
func edges(m *release.Model, b *release.Baseline) (*release.Baseline, error) {
	if b == nil {
		return nil, nil
	}
	c := *b
	c.Metrics = map[string]release.MetricBaseline{}
	for name, x := range b.Metrics {
		c.Metrics[name] = x
	}
	for _, x := range m.Spec.Metrics {
		base, ok := c.Metrics[x.Name]
		if !ok || x.Kind != release.MetricLatency {
			continue
		}
		base.Thresholds = slices.Clone(base.Thresholds)
		declared := false
		for i := range base.Thresholds {
			t := &base.Thresholds[i]
			t.Tolerate, t.Margin = judge.Edges(&x, t.X)
			declared = declared || t.Quantile == x.Quantile
		}
		if !declared && x.Role != release.Watch {
			return nil, release.Invalid("replay", "live's quantile %g of %s was not frozen in this release", x.Quantile, x.Name).Fix("leave the quantile as it was")
		}
		c.Metrics[x.Name] = base
	}
	return &c, nil
}

// marked replaces the baseline in a release's marks, so that latencies are counted at the other plan's edges.
func marked(entries iter.Seq2[ingest.Entry, error], key release.ModelKey, number uint32, b *release.Baseline) iter.Seq2[ingest.Entry, error] {
	return func(yield func(ingest.Entry, error) bool) {
		var batch release.Batch
		for e, err := range entries {
			if err == nil && b != nil && release.DecodeBatch(e.Data, &batch) == nil && replaceMarks(batch.Marks, key, number, b) {
				e.Data, err = batch.AppendBinary(nil)
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func replaceMarks(marks []release.Mark, key release.ModelKey, number uint32, b *release.Baseline) (any bool) {
	for i := range marks {
		if x := &marks[i]; x.Model == key && x.Release == number && x.Baseline != nil {
			x.Baseline, any = b, true
		}
	}
	return any
}

// whole makes sure that nothing of the release is gone. Where entries are, it may still be that none of them was the release's: then its tallies are still
// the same.
func whole(ctx context.Context, s store.Store, model string, number uint32, began time.Time) error {
	gone := reachesBack(ctx, s, began)
	if gone == nil || release.KindOf(gone) != release.KindInvalid {
		return gone
	}
	all, err := replay(ctx, s, model, number)
	if err != nil {
		return err
	}
	for _, x := range all {
		if x.Judged && !x.Same {
			return gone
		}
	}
	return nil
}

// reachesBack refuses logs of which retention has removed entries since the release began.
func reachesBack(ctx context.Context, s store.Store, began time.Time) error {
	for p := range release.Partitions {
		first, last, err := s.Bounds(ctx, logName(p))
		if err != nil {
			return err
		}
		if first <= 1 {
			continue
		}
		gone := fmt.Sprintf("entries 1 to %d of partition %d are gone", first-1, p)
		if first > last {
			return lost(gone)
		}
		for e, err := range s.Read(ctx, logName(p), first-1, false) {
			switch {
			case err != nil:
				return err
			case e.Time.After(began):
				return lost(fmt.Sprintf("%s, the log now begins at %s and the release began at %s", gone, e.Time.UTC().Format(time.RFC3339), began.UTC().Format(time.RFC3339)))
			}
			break
		}
	}
	return nil
}

func lost(what string) error {
	return release.Invalid("replay", "the log does not reach back to the beginning of the release: %s", what).
		Fix("retention has removed them; the decisions themselves are kept: sluice audit list")
}

package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/controller"
	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
	"sluice.dev/sluice/internal/tally"
)

// picture says what the sums of a release look like, running or ended. It is what the API shows as evidence.
func (e *evidence) picture(ctx context.Context, s rollout.State) (api.Evidence, error) {
	view, hash, err := e.sums(ctx, s)
	if err != nil {
		return api.Evidence{}, err
	}
	if view == nil {
		return api.Evidence{}, release.NotFound("show the evidence", "no telemetry of release %s/%d has been counted", s.Model, s.Number).
			Fix("it is there once requests are mirrored or served in the release")
	}
	in := controller.Judged(s, rollout.Look{Strata: len(s.Strata), Step: presentStep(s), Baseline: s.Baseline != nil, Memory: s.Memory}, view)
	a := judge.Assess(in)
	return api.Evidence{
		Time: time.UnixMilli(view.LogTime).UTC(), Hash: hash, Verdicts: a.Verdicts, Ratio: a.Ratio, Outcomes: a.Outcomes,
		Diagnostics: a.Diagnostics, Pairs: a.Pairs, Scored: a.Scored, Loss: a.Loss, Feedback: feedbackOf(&s.Spec, view), Pictures: judge.Picture(in),
	}, nil
}

func presentStep(s rollout.State) release.StepKind {
	steps := s.Spec.Spec.Plan.Steps
	if s.Step < 0 || s.Step >= len(steps) {
		return ""
	}
	return steps[s.Step].Kind()
}

// sums returns the merged tallies of a release: those that are being folded, or, once it has ended, those that were kept.
func (e *evidence) sums(ctx context.Context, s rollout.State) (*tally.View, string, error) {
	if v := e.folder.View(s.Model, s.Number, time.Now()); v.View != nil {
		return v.View, v.Hash, nil
	}
	var all tally.Cache
	found := false
	for p := range release.Partitions {
		t, err := e.final(ctx, s, p)
		if err != nil {
			return nil, "", err
		}
		if t != nil {
			all.Add(t)
			found = true
		}
	}
	if !found {
		return nil, "", nil
	}
	view, hash := all.View()
	return view, hash, nil
}

// final reads one partition's kept tally; nil if it has none.
func (e *evidence) final(ctx context.Context, s rollout.State, partition int) (*tally.Tally, error) {
	data, _, err := e.store.GetBlob(ctx, finalBlob(s.Model, s.Number, partition))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil //nolint:nilnil // a partition without traffic is no fault
	}
	if err != nil {
		return nil, release.Unavailable("read the final tally", err, "partition %d of release %s/%d", partition, s.Model, s.Number)
	}
	t, err := tally.New(tally.Config{Model: &s.Spec, Key: release.ModelKeyOf(s.Model), Number: s.Number, Arms: armsOf(s), Partition: partition})
	if err == nil {
		err = t.UnmarshalBinary(data)
	}
	if err != nil {
		return nil, release.Internal("read the final tally", err, "partition %d of release %s/%d", partition, s.Model, s.Number)
	}
	return t, nil
}

// armsOf is how many sides a release has: those of its strata, or else two.
func armsOf(s rollout.State) int {
	arms := 2
	for _, st := range s.Strata {
		arms = max(arms, len(st.Shares))
	}
	return arms
}

func finalBlob(model string, number uint32, partition int) string {
	return fmt.Sprintf("final/%s/%09d/%d", model, number, partition)
}

// feedbackOf counts the outcomes that have come, metric by metric.
func feedbackOf(m *release.Model, v *tally.View) []api.FeedbackCount {
	out := []api.FeedbackCount{}
	kind := release.ExposureWouldBe
	for i := range v.Strata {
		if v.Strata[i].Kind == release.ExposureServe {
			kind = release.ExposureServe
		}
	}
	for i, metric := range m.Spec.Metrics {
		spec, err := metric.Source.Parse()
		if err != nil || !spec.ReadsFeedback() {
			continue
		}
		count := api.FeedbackCount{Metric: metric.Name}
		for j := range v.Strata {
			if v.Strata[j].Kind == kind {
				count.Arms = addFeedback(count.Arms, v.Strata[j].Arms, i)
			}
		}
		out = append(out, count)
	}
	return out
}

func addFeedback(to []api.FeedbackArm, arms []tally.ArmView, metric int) []api.FeedbackArm {
	for arm := range arms {
		for len(to) <= arm {
			to = append(to, api.FeedbackArm{})
		}
		to[arm].Exposures += arms[arm].Exposures
		if metric < len(arms[arm].Metrics) {
			n := 0.0
			for _, x := range arms[arm].Metrics[metric].N {
				n += x
			}
			to[arm].N += uint64(n)
		}
	}
	return to
}

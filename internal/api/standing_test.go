package api_test

import (
	"strings"
	"testing"
	"time"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
)

// The standing watch of a success: nothing without a hold-back, otherwise what is kept of it, and the alarm on record.
func TestReleaseShowsItsStandingWatch(t *testing.T) {
	for name, holds := range map[string]bool{"none": false, "kept": true} {
		t.Run(name, func(t *testing.T) {
			f := open(t)
			text := strings.Replace(file, "{watch: 1h}", "{watch: 1h, holdback: 20%}", 1)
			if holds {
				text = strings.Replace(text, "    steps:\n", "    keepHoldback: true\n    steps:\n", 1)
			}
			m, faults := release.ParseModel("model.yaml", []byte(text))
			if err := faults.Err(); err != nil {
				t.Fatal(err)
			}
			ann := records.Who{Name: "ann", Role: records.Operator}
			if _, _, err := f.records.PutModel(t.Context(), m.Normalise(), ann, t0); err != nil {
				t.Fatal(err)
			}
			if _, _, err := f.records.Start(t.Context(), records.StartParams{Model: "credit", Candidate: "v2", Reason: "try", Who: ann, Now: t0, Salt: "s"}); err != nil {
				t.Fatal(err)
			}
			shown := func() *api.StandingWatch {
				rel, err := f.client(records.Viewer).Release(t.Context(), "credit", 1)
				if err != nil {
					t.Fatal(err)
				}
				model, err := f.client(records.Viewer).Model(t.Context(), "credit")
				if err != nil {
					t.Fatal(err)
				}
				if (model.Current.Watch == nil) != (rel.Watch == nil) || rel.Watch != nil && model.Current.Watch.Reason != rel.Watch.Reason {
					t.Errorf("the model shows %+v, its release %+v", model.Current.Watch, rel.Watch)
				}
				return rel.Watch
			}
			apply := func(in rollout.Input) {
				in.Now = t0
				if _, _, err := f.records.Apply(t.Context(), "credit", 1, in, nil); err != nil {
					t.Fatal(err)
				}
			}
			if w := shown(); w != nil {
				t.Errorf("a running release shows %+v", w)
			}
			for range 3 {
				apply(rollout.Input{Command: &rollout.Command{Kind: rollout.CmdPromote, By: "ann", Role: records.Operator, Reason: "go"}})
			}
			w := shown()
			if w == nil || w.Watching != holds || w.ARL != judge.StandingARL || w.WindowSeconds != 600 {
				t.Fatalf("after the success: %+v", w)
			}
			if !holds {
				if !strings.HasPrefix(w.Reason, "nothing is watched") {
					t.Errorf("reason %q", w.Reason)
				}
				return
			}
			kept := judge.Standing{
				Began: t0, Closed: t0.Add(time.Hour), Windows: 6, Metrics: []judge.StandingMetric{{Metric: "errors"}},
				Look: judge.StandingLook{LnE: 1.5, Bar: 8, Within: 0.01, Reason: "quiet"},
			}
			if _, err := f.records.PutStanding(t.Context(), "credit", 1, kept, 0); err != nil {
				t.Fatal(err)
			}
			if w := shown(); w.Windows != 6 || w.LnE != 1.5 || w.Bar != 8 || w.Within != 0.01 || w.Reason != "quiet" || !w.Since.Equal(t0) || w.Alarm != nil {
				t.Errorf("kept %+v, shown %+v", kept.Look, w)
			}
			apply(rollout.Input{Alarm: &rollout.Alarm{Number: 1, Metric: "errors", Since: t0, Reason: "errors: worse"}})
			if w := shown(); w.Alarm == nil || w.Alarm.Reason != "errors: worse" || w.Windows != 0 || !w.Watching {
				t.Errorf("after the alarm, before the watch began afresh: %+v", w)
			}
		})
	}
}

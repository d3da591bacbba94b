package api

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
)

// view is a release as the API shows it.
func (s *server) view(st rollout.State) Release {
	now := s.o.Now()
	out := Release{
		Model: st.Model, Number: st.Number, Candidate: st.Candidate, Live: st.Live, Phase: st.Phase, Reason: st.Reason,
		Step: st.Step, Steps: st.Progress(), Explain: st.Explain(), Share: st.Share(), Created: st.Created,
		Pause: st.Pause, Test: st.Test, SpecHash: st.SpecHash, Generation: st.Generation, DecisionCount: st.Decisions,
	}
	out.Duration = now.Sub(st.Created).Seconds()
	if !st.Ended.IsZero() {
		ended := st.Ended
		out.Ended, out.Duration = &ended, ended.Sub(st.Created).Seconds()
	}
	if a := st.Last; a != nil {
		out.Verdicts, out.Exposures, out.Pairs, out.Scored = a.Verdicts, a.Exposures, a.Pairs, a.Scored
		for arm, n := range a.Total {
			if arm > 0 {
				out.CandidateExposures += n
			}
		}
		ratio := a.Ratio
		out.Ratio = &ratio
	}
	out.Duration = time.Duration(out.Duration * float64(time.Second)).Round(time.Millisecond).Seconds()
	return out
}

// standing is what is seen since the latest release succeeded; nil for any other.
func (s *server) standing(c call, m records.Model, st rollout.State) (*StandingWatch, error) {
	if m.Last != st.Number || m.Running != 0 || st.Phase != rollout.Succeeded {
		return nil, nil //nolint:nilnil // there is none
	}
	out := &StandingWatch{WindowSeconds: judge.StandingWindow.Seconds(), ARL: judge.StandingARL, Alarm: st.Alarm}
	if !m.Holds(&st) {
		out.Reason = "nothing is watched: no hold-back stayed to compare with (plan.keepHoldback keeps it)"
		return out, nil
	}
	w, _, err := s.o.Records.Standing(c.Context(), st.Model, st.Number)
	if err != nil {
		return nil, err
	}
	if w.Began.IsZero() || w.Round != st.Alarms() {
		out.Watching, out.Reason = true, "it begins when telemetry arrives"
		return out, nil
	}
	out.Watching = len(w.Metrics) > 0
	out.Since, out.Closed, out.Windows = &w.Began, &w.Closed, w.Windows
	out.LnE, out.Bar, out.Within, out.Reason = w.Look.LnE, w.Look.Bar, w.Look.Within, w.Look.Reason
	return out, nil
}

// attach binds the suites that a file names to their content: the step's path becomes path@HASH, so
// that the frozen copy of a release says exactly which suite it ran. It returns the contents by hash.
func attach(m *release.Model, files map[string]string) (map[string][]byte, error) {
	out := map[string][]byte{}
	for i, step := range m.Spec.Plan.Steps {
		if step.Test == nil {
			continue
		}
		content, ok := files[step.Test.Suite]
		if !ok {
			return nil, &release.Error{
				Kind: release.KindInvalid, Op: "apply " + m.Metadata.Name,
				Msg:    fmt.Sprintf("spec.plan.steps[%d].test.suite names %q, which was not sent along", i, step.Test.Suite),
				Remedy: "use sluice apply -f FILE, which sends it, from the folder where the file is",
			}
		}
		sum := sha256.Sum256([]byte(content))
		hash := hex.EncodeToString(sum[:])
		out[hash] = []byte(content)
		bound := *step.Test
		bound.Suite = step.Test.Suite + "@" + hash
		m.Spec.Plan.Steps[i].Test = &bound
	}
	return out, nil
}

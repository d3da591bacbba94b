package api

import (
	"time"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
)

// Evidence is what the sums of a release look like. None of it decides.
type Evidence struct {
	Model       string               `json:"model"`
	Release     uint32               `json:"release"`
	Time        time.Time            `json:"time,omitzero"`  // of the latest entry that was counted
	Final       bool                 `json:"final"`          // the release has ended, and nothing will be added
	Hash        string               `json:"hash,omitempty"` // of the tally
	Verdicts    []judge.Verdict      `json:"verdicts"`
	Ratio       judge.Ratio          `json:"ratio"`
	Outcomes    judge.Ratio          `json:"outcomes"`
	Diagnostics []judge.Diagnostic   `json:"diagnostics"`
	Pairs       uint64               `json:"pairs"`
	Scored      uint64               `json:"scored"`
	Loss        []float64            `json:"loss"` // by arm, share of the exposures that were never recorded
	Feedback    []FeedbackCount      `json:"feedback"`
	Test        *rollout.TestOutcome `json:"test,omitempty"`
	Report      bool                 `json:"report"` // GET report has the whole of it
	judge.Pictures
}

// FeedbackCount says how much of what a metric waits for has arrived.
type FeedbackCount struct {
	Metric string        `json:"metric"`
	Arms   []FeedbackArm `json:"arms"` // live first
}

// FeedbackArm counts one arm over the strata in which users were served, or, where there are none yet, in which they were
// mirrored.
type FeedbackArm struct {
	Exposures uint64 `json:"exposures"`
	N         uint64 `json:"n"` // of those, with an outcome
}

func (s *server) getEvidence(c call) (any, error) {
	rel, err := s.release(c)
	if err != nil {
		return nil, err
	}
	if s.o.Evidence == nil {
		return nil, release.Unavailable("show the evidence", nil, "this process counts no telemetry").Fix("ask a process with the role all or controller")
	}
	out, err := s.o.Evidence(c.Context(), rel.State)
	if err != nil {
		return nil, err
	}
	st := &rel.State
	out.Model, out.Release, out.Final = st.Model, st.Number, st.Phase.Ended()
	out.Test, out.Report = st.Test, st.Test != nil && st.Test.Report != ""
	return out, nil
}

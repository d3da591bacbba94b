package rollout

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
)

// Check verifies what holds of every state that Begin and Step return. An error, of
// release.KindInternal, means that the state was damaged outside: nothing may be decided on it.
func (s *State) Check() error {
	if fault := s.fault(); fault != "" {
		return release.Internal("read release "+title(s), nil, "its state is damaged: %s", fault).
			Fix("verify the audit chain; the routes that gateways have stay as they are")
	}
	return nil
}

func (s *State) fault() string {
	if err := assign.Validate(s.Intervals); err != nil {
		return err.Error()
	}
	if s.Model == "" || s.Number == 0 || s.Decisions == 0 || s.LastHash == "" {
		return "its model, number or chain is missing"
	}
	if shares := assign.Shares(s.Intervals, release.MaxArms); shares[armLive]+shares[armCandidate] != release.Whole {
		return fmt.Sprintf("shares %v are not of live and one candidate", shares)
	}
	if s.Ended.IsZero() == s.Phase.Ended() {
		return fmt.Sprintf("phase %s and the time of its end disagree", s.Phase)
	}
	if s.Phase.Ended() {
		return s.faultEnded()
	}
	return s.faultRunning()
}

func (s *State) faultEnded() string {
	share, back := s.Share(), s.Phase == RolledBack || s.Phase == Stopped
	switch {
	case back && share != 0:
		return fmt.Sprintf("%s, and the candidate serves %v", s.Phase, share)
	case s.Phase == Undone && share != release.Whole, s.Phase == Succeeded && share == 0:
		return fmt.Sprintf("%s, and it serves %v", s.Phase, share)
	case s.Pause != nil:
		return fmt.Sprintf("%s and paused", s.Phase)
	}
	return ""
}

func (s *State) faultRunning() string {
	kind := s.kind()
	all := stages(s.present())
	switch {
	case kind == "" || kind == release.StepOptimize:
		return fmt.Sprintf("there is no step %d", s.Step+1)
	case s.Stage < 0 || s.Stage > max(len(all)-1, 0):
		return fmt.Sprintf("there is no share %d in step %d", s.Stage+1, s.Step+1)
	case len(all) > 0 && s.Share() != all[s.Stage]:
		return fmt.Sprintf("step %d serves %v instead of %v", s.Step+1, s.Share(), all[s.Stage])
	case s.Pause == nil && s.Phase != phases[kind]:
		return fmt.Sprintf("phase %s in step %s", s.Phase, kind)
	case s.Pause != nil && (s.Phase != Paused || s.Pause.Phase != phases[kind]):
		return fmt.Sprintf("paused in phase %s, to return to %s, in step %s", s.Phase, s.Pause.Phase, kind)
	}
	return s.faultStrata()
}

// faultStrata checks that strata are numbered without gaps and that the last one is what is served.
func (s *State) faultStrata() string {
	if len(s.Strata) == 0 {
		return "it has no stratum"
	}
	for i := range s.Strata {
		st := &s.Strata[i]
		switch last := i == len(s.Strata)-1; {
		case int(st.ID) != i+1:
			return fmt.Sprintf("stratum %d has number %d", i+1, st.ID)
		case len(st.Shares) != 2 || st.Shares[0]+st.Shares[1] != release.Whole:
			return fmt.Sprintf("stratum %d has shares %v", st.ID, st.Shares)
		case st.Closed.IsZero() != last:
			return fmt.Sprintf("stratum %d of %d: open and last disagree", st.ID, len(s.Strata))
		case i > 0 && (st.Epoch < s.Strata[i-1].Epoch || st.Epoch > s.Strata[i-1].Epoch+1):
			return fmt.Sprintf("stratum %d has epoch %d after %d", st.ID, st.Epoch, s.Strata[i-1].Epoch)
		case last && st.Kind == release.ExposureServe && st.Shares[armCandidate] != s.Share():
			return fmt.Sprintf("stratum %d says %v, and %v are served", st.ID, st.Shares[armCandidate], s.Share())
		case last && st.Kind == release.ExposureWouldBe && s.Share() != 0:
			return fmt.Sprintf("the would-be stratum %d serves %v", st.ID, s.Share())
		}
	}
	return ""
}

// finite returns the assessment with every number finite: JSON, and so the audit chain, holds no
// others. Infinity, e.g. an interval without an end, becomes the largest number, and what is no number
// becomes 0.
func finite(a *judge.Assessment) *judge.Assessment {
	if a == nil {
		return nil
	}
	out := *a
	out.Verdicts = slices.Clone(a.Verdicts)
	for i := range out.Verdicts {
		v := &out.Verdicts[i]
		for _, x := range []*float64{
			&v.Live.Value, &v.Live.KEff, &v.Candidate.Value, &v.Candidate.KEff, &v.Estimate, &v.Lo, &v.Hi,
			&v.Level, &v.Alpha, &v.LnHarm, &v.LnNoWorse, &v.LnBetter,
		} {
			*x = number(*x)
		}
		v.Margin, v.Tolerate = margin(v.Margin), margin(v.Tolerate)
		if v.Needs != nil {
			n := *v.Needs
			n.Exposures, n.Units, n.Seconds = number(n.Exposures), number(n.Units), number(n.Seconds)
			v.Needs = &n
		}
	}
	out.Ratio.LnE, out.Outcomes.LnE = number(a.Ratio.LnE), number(a.Outcomes.LnE)
	out.Ratio.Expected, out.Outcomes.Expected = numbers(a.Ratio.Expected), numbers(a.Outcomes.Expected)
	out.Loss = numbers(a.Loss)
	out.Memory.Sup = maps.Clone(a.Memory.Sup)
	for k, x := range out.Memory.Sup {
		out.Memory.Sup[k] = number(x)
	}
	return &out
}

func numbers(in []float64) []float64 {
	out := slices.Clone(in)
	for i := range out {
		out[i] = number(out[i])
	}
	return out
}

func number(x float64) float64 {
	switch {
	case math.IsNaN(x):
		return 0
	case x > math.MaxFloat64:
		return math.MaxFloat64
	case x < -math.MaxFloat64:
		return -math.MaxFloat64
	}
	return x
}

// margin drops a margin that would not be read back as it is.
func margin(m release.Margin) release.Margin {
	var back release.Margin
	text, err := m.MarshalText()
	if err != nil || back.UnmarshalText(text) != nil || back != m {
		return release.Margin{}
	}
	return m
}

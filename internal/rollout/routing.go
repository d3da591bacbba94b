package rollout

import (
	"sluice.dev/sluice/internal/assign"
	"sluice.dev/sluice/internal/release"
)

// Bounds of the gateways' breaker. It is no test: it acts within a second on what no guardrail's
// margin could mean, and leaves everything finer to the evidence.
const (
	breakerMinRequests = 50   // 13 failures of 50 at a true rate of 2 % happen once in 10^10
	breakerUnknown     = 0.5  // while live's rate isn't frozen
	breakerFloor       = 0.25 // never trip on fewer failures than this
	breakerCeiling     = 0.95
	breakerAbove       = 0.2 // or ten margins, whichever is more, above live's rate
	breakerMargins     = 10
)

// Routing is what gateways have to know of the release: a projection of the state, to be published
// whenever its generation isn't the published one. Arms[0] is the version that serves everybody else.
func (s *State) Routing() assign.RouteSpec {
	spec := &s.Spec.Spec
	r := assign.RouteSpec{
		Model: s.Model, Generation: s.Generation, Match: spec.Match, Dialect: spec.Dialect, Unit: spec.Unit,
		Signals: s.Spec.Signals(), Limits: spec.Limits, Horizon: spec.Feedback.Horizon, Salt: s.Salt,
	}
	if s.Phase.Ended() && !s.Holding() {
		r.Kind, r.Serve = release.ExposureOutside, assign.Initial()
		r.Arms = []assign.ArmSpec{s.arm(s.Serving())}
		return r
	}
	now := &s.Strata[len(s.Strata)-1]
	r.Release, r.Stratum, r.Epoch, r.Kind, r.Mirror = s.Number, now.ID, now.Epoch, now.Kind, now.Mirror
	r.Arms = []assign.ArmSpec{s.arm(s.Live), s.arm(s.Candidate)}
	r.Serve = s.Intervals
	if now.Kind == release.ExposureWouldBe {
		r.WouldBe = reshape(assign.Initial(), now.Shares[armCandidate])
	}
	if s.Share() > 0 {
		r.Breaker = s.breaker()
	}
	return r
}

// Serving is the version that is live as far as this release has a say: the candidate after Succeeded
// and Undone, otherwise the version that was live when it began.
func (s *State) Serving() string {
	if s.Phase == Succeeded || s.Phase == Undone {
		return s.Candidate
	}
	return s.Live
}

// Holding says whether an ended release keeps its hold-back on the former version, until another release starts.
func (s *State) Holding() bool {
	return s.Phase == Succeeded && s.Share() < release.Whole && len(s.Strata) > 0
}

func (s *State) arm(version string) assign.ArmSpec {
	return assign.ArmSpec{Version: version, Spec: s.Spec.Spec.Versions[version]}
}

// breaker bounds the failures of the candidate far above what the guardrail on errors tolerates.
func (s *State) breaker() assign.BreakerSpec {
	b := assign.BreakerSpec{MaxFailureRate: breakerUnknown, MinRequests: breakerMinRequests}
	if s.Baseline == nil {
		return b
	}
	for _, m := range s.Spec.Spec.Metrics {
		if m.Source != "error" {
			continue
		}
		base, ok := s.Baseline.Metrics[m.Name]
		if !ok {
			continue
		}
		above := breakerAbove
		if m.Margin.Unit == release.Points {
			above = max(above, breakerMargins*m.Margin.Value/100)
		}
		b.MaxFailureRate = min(max(base.Mean+above, breakerFloor), breakerCeiling)
	}
	return b
}

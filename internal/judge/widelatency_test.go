package judge

import (
	"strings"
	"testing"

	"sluice.dev/sluice/internal/release"
)

// TestNoWorseDoesNotContradictItself: the test of exceedances decides sooner than the interval of the
// ratio narrows, so an interval that reaches past the margin is not put beside "no worse".
func TestNoWorseDoesNotContradictItself(t *testing.T) {
	s := &subject{metric: &release.Metric{Kind: release.MetricLatency, Role: release.Guardrail}}
	v := &Verdict{State: NoWorse, Unit: "x", Lo: 0.82, Hi: 1.27, Level: 0.9, Margin: release.Margin{Value: 1.25, Unit: release.Factor}}
	if got := s.clause(v, &finding{}); strings.Contains(got, "1.27") || !strings.Contains(got, "no worse is shown") || !strings.Contains(got, "margin 1.25x") {
		t.Errorf("wide interval: %q", got)
	}
	v.Hi = 1.2
	if got := s.clause(v, &finding{}); !strings.Contains(got, "0.82 to 1.2 times") {
		t.Errorf("narrow interval: %q", got)
	}
}

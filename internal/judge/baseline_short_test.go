package judge

import (
	"testing"

	"sluice.dev/sluice/internal/release"
)

// A test step counts would-be arms too and may be over within seconds: a plan that goes on with users in arms must not wait
// for ever for a baseline from those few.
func TestBaselineAfterAShortStepWithoutUsers(t *testing.T) {
	w := liveWorld(release.ExposureWouldBe, []float64{0.5, 0.5}, 1, 50, 0.02) // the test step
	w.openStratum(2, release.ExposureServe, 0.5, 0.5)
	for a, rate := range []float64{0.02, 0.5} {
		m := &w.stratum().Arms[a].Metrics[0]
		fill(m, release.Bins, 1, rate)
		m.SumSq = release.Bins * rate
	}
	b, missing := MakeBaseline(model(errorsMetric()), w.view, w.strata, noon)
	if b == nil {
		t.Fatalf("no baseline: %s", missing)
	}
	got := b.Metrics["errors"]
	if got.N != 2*50+release.Bins {
		t.Errorf("made from %d observations, want those of the test step and live's %d: the candidate's are not live's", got.N, release.Bins)
	}
	if got.Mean < 0.0199 || got.Mean > 0.0201 {
		t.Errorf("mean %v, want live's 0.02", got.Mean)
	}
}

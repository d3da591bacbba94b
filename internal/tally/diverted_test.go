package tally

import (
	"testing"

	"sluice.dev/sluice/internal/release"
)

// TestDivertedExposuresSayNothingOfTheVersion: live answered for the candidate, or nobody saw the
// answer, so the unit counts and the answer does not.
func TestDivertedExposuresSayNothingOfTheVersion(t *testing.T) {
	m, faults := release.ParseModel("m.yaml", []byte(`
apiVersion: sluice.dev/v1alpha1
kind: Model
metadata: {name: m}
spec:
  match: {path: /m}
  dialect: json
  unit: {from: [header:X]}
  versions: {a: {url: "http://h:1"}, b: {url: "http://h:2"}}
  live: a
  metrics: [{name: errors, source: error, margin: 1pp, role: guardrail, window: 1s}]
  plan: {steps: [{abTest: {share: 50%, deadline: 1h, hold: 1s}}, {production: {watch: 1h}}]}
`))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	tl, err := New(Config{Model: m.Normalise(), Key: release.ModelKeyOf("m"), Number: 1, Arms: 2})
	if err != nil {
		t.Fatal(err)
	}
	for i, flags := range []uint16{0, release.FlagBreaker, release.FlagLease, release.FlagEvaluated, 0} {
		e := release.Exposure{
			ID: uint64(i + 1), Unit: uint64(i+1) << 40, Time: 10_000 + int64(i), Model: release.ModelKeyOf("m"), Release: 1,
			Stratum: 1, Epoch: 1, Arm: 1, Flags: flags, Status: 200,
		}
		b := release.Batch{Producer: "p", Incarnation: 1, Seq: uint64(i + 1), Exposures: []release.Exposure{e}}
		if err := tl.Fold(uint64(i+1), &b); err != nil {
			t.Fatal(err)
		}
	}
	late := release.Batch{Producer: "p", Incarnation: 1, Seq: 6, Exposures: []release.Exposure{{
		ID: 99, Unit: 77, Time: 20_000, Model: release.ModelKeyOf("m"), Release: 1, Stratum: 1, Epoch: 1, Status: 200,
	}}}
	if err := tl.Fold(6, &late); err != nil {
		t.Fatal(err)
	}
	a := tl.View().Strata[0].Arms[1]
	if a.Exposures != 5 || a.NewUnits != 5 {
		t.Errorf("%d exposures of %d new units, want 5 of 5", a.Exposures, a.NewUnits)
	}
	if n := a.Metrics[0].N[0]; n != 2 {
		t.Errorf("%v observations of errors, want 2", n)
	}
	if e := a.Metrics[0].Event; e.Closed != 2 {
		t.Errorf("%d closed units, want 2", e.Closed)
	}
}

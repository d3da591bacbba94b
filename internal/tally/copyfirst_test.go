package tally

import (
	"testing"

	"sluice.dev/sluice/internal/release"
)

// TestCopyBeforePrimary: the mirrored answer may be recorded before live's. The outcome belongs to the
// unit's would-be arm all the same.
func TestCopyBeforePrimary(t *testing.T) {
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
  metrics:
    - {name: errors, source: error, margin: 1pp, role: guardrail, window: 1s}
    - {name: right, source: "agree(json:d, feedback:o)", window: 1s, direction: higher, margin: 1pp, role: objective}
  plan: {steps: [{shadow: {share: 100%, until: {pairs: 1}, deadline: 1h}}, {abTest: {share: 50%, deadline: 1h, hold: 1s}}, {production: {watch: 1h}}]}
`))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	m = m.Normalise()
	tl, err := New(Config{Model: m, Key: release.ModelKeyOf("m"), Number: 1, Arms: 2})
	if err != nil {
		t.Fatal(err)
	}
	e := release.Exposure{
		ID: 7, Unit: 9, Time: 10_000, Model: release.ModelKeyOf("m"), Release: 1, Stratum: 1, Epoch: 1, Arm: 1,
		Kind: release.ExposureWouldBe, Flags: release.FlagMirrored, N: 1,
	}
	e.Values[0] = release.Value{Kind: release.ValueCategory, Cat: 0}
	twin := e
	twin.Kind = release.ExposureCopy
	told := release.Feedback{
		Exposure: 7, Unit: 9, Exposed: 10_000, Time: 10_100, Model: e.Model, Release: 1, Stratum: 1, Epoch: 1, Arm: 1,
		Kind: release.ExposureWouldBe, Name: 1, Value: release.Value{Kind: release.ValueCategory, Cat: 0},
	}
	later := e
	later.ID, later.Unit, later.Time = 8, 10, 12_000
	for i, b := range []release.Batch{
		{Exposures: []release.Exposure{twin}},
		{Exposures: []release.Exposure{e}},
		{Feedback: []release.Feedback{told}},
		{Exposures: []release.Exposure{later}},
	} {
		b.Producer, b.Incarnation, b.Seq, b.Dict = "p", 1, uint64(i+1), []string{"yes", "o"}
		if err := tl.Fold(uint64(i+1), &b); err != nil {
			t.Fatal(err)
		}
	}
	s := tl.View().Strata[0]
	if s.Arms[1].Outcomes != 1 || s.Arms[0].Outcomes != 0 {
		t.Errorf("units with an outcome by arm: %d and %d, want 0 and 1", s.Arms[0].Outcomes, s.Arms[1].Outcomes)
	}
	if s.Pairs == nil || s.Pairs.Scored != 1 {
		t.Errorf("pairs %+v, want one scored", s.Pairs)
	}
}

package scoring_test

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"sluice.dev/sluice/examples/credit"
	"sluice.dev/sluice/examples/credit/scoring"
)

// goldenCase is one entry of testdata/golden.json, written by testdata/golden.py.
type goldenCase struct {
	Name      string             `json:"name"`
	Applicant map[string]any     `json:"applicant"`
	PBad      map[string]float64 `json:"p_bad"`
}

func TestScoresOfASecondImplementation(t *testing.T) {
	data, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []goldenCase
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) != 11 {
		t.Fatalf("%d golden cases, want 11", len(cases))
	}
	for _, version := range credit.Versions() {
		m := load(t, version)
		for _, c := range cases {
			want, ok := c.PBad[version]
			if !ok {
				t.Fatalf("%s: no score of %s", c.Name, version)
			}
			if got := m.Score(inputs(m, c.Applicant)); math.Abs(got-want) > 1e-12 {
				t.Errorf("%s, %s: P(bad) %.15f, want %.15f", version, c.Name, got, want)
			}
		}
	}
}

func inputs(m *scoring.Model, applicant map[string]any) []float64 {
	var x []float64
	for i, name := range m.Features() {
		switch v := applicant[name].(type) {
		case float64:
			x = append(x, v)
		case string:
			x = append(x, m.Code(i, v))
		default:
			x = append(x, math.NaN())
		}
	}
	return x
}

func load(tb testing.TB, version string) *scoring.Model {
	tb.Helper()
	m, err := credit.Load(version)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

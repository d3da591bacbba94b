package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const simulatedModel = `apiVersion: sluice.dev/v1alpha1
kind: Model
metadata: {name: small}
spec:
  match: {path: /small}
  dialect: json
  unit: {from: [header:X-User], missing: live}
  traffic: {requests: 20/s, users: 1000/day}
  versions: {v1: {url: "http://127.0.0.1:1"}, v2: {url: "http://127.0.0.1:2"}}
  live: v1
  metrics:
    - {name: errors, source: error, direction: lower, margin: 5pp, role: guardrail, window: 1m}
  plan:
    steps:
      - canary: {shares: [50%], hold: 2m, deadline: 1h}
      - production: {holdback: 20%, watch: 5m}
`

func TestSimulate(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "model.yaml")
	if err := os.WriteFile(file, []byte(simulatedModel), 0o600); err != nil {
		t.Fatal(err)
	}
	picture := filepath.Join(dir, "ended.svg")
	common := []string{"simulate", "-f", file, "--runs", "4", "--seed", "3"}
	code, out, errOut := runCLI(t, "", append(common, "--truth", "errors=+40pp", "--plot", picture, "-o", "json")...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	var r struct {
		Runs                  int
		Ended                 map[string]int
		MedianDurationSeconds float64
		P90CandidateExposures float64
		ByMetric              map[string]struct{ RolledBack int }
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatal(err)
	}
	if r.Runs != 4 || r.Ended["RolledBack"] != 4 || len(r.Ended) != 4 || r.MedianDurationSeconds <= 0 || r.P90CandidateExposures <= 0 || r.ByMetric["errors"].RolledBack != 4 {
		t.Errorf("40 points more errors: %+v", r)
	}
	if svg, err := os.ReadFile(picture); err != nil || !strings.Contains(string(svg), "<svg") {
		t.Errorf("the picture: %v", err)
	}
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 0, "the candidate is equal to live; 4 runs, seed 3"},
		{[]string{"--incident", "1m+1m:errors=+10pp", "--activity", "uniform", "--base", "errors=1%"}, 0, "ENDED"},
		{[]string{"--truth", "speed=+1pp"}, 1, `no metric "speed"`},
		{[]string{"--truth", "errors"}, 1, "errors=+1pp"},
		{[]string{"--activity", "bursty"}, 1, "zipf:S"},
		{[]string{"--incident", "later"}, 1, "AT+FOR"},
		{[]string{"--plot", "x.gif"}, 1, ".png or .svg"},
		{[]string{"--runs", "0"}, 1, "nothing to simulate"},
		{[]string{"--to", "v9"}, 1, "v9"},
	} {
		code, out, errOut := runCLI(t, "", append(common, tt.args...)...)
		if code != tt.code || !strings.Contains(out+errOut, tt.want) {
			t.Errorf("%v: exit code %d, want %d with %q:\n%s%s", tt.args, code, tt.code, tt.want, out, errOut)
		}
	}
}

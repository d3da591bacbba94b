package sim

import (
	"flag"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
)

var (
	seeds = flag.Int("sim.seeds", 16, "how many seeds to run")
	first = flag.Uint64("sim.seed", 1, "the first seed")
)

const file = `
apiVersion: sluice.dev/v1alpha1
kind: Model
metadata: {name: credit}
spec:
  match: {path: /credit}
  dialect: json
  unit: {from: [header:X-User-Id]}
  versions:
    v1: {url: "http://127.0.0.1:9101"}
    v2: {url: "http://127.0.0.1:9102"}
    v3: {url: "http://127.0.0.1:9103"}
  live: v1
  metrics:
    - {name: errors, source: error, direction: lower, margin: 4pp, role: guardrail, window: 20s}
    - {name: liked, source: "feedback:liked", kind: proportion, direction: higher, margin: 10pp, role: objective, window: 30s}
  plan:
    alpha: 0.05
    steps:
      - test: {suite: suite.yaml}
      - shadow: {share: 100%, until: {pairs: 600}, deadline: 20m}
      - abTest: {share: 50%, goal: noWorse, hold: 1m, deadline: 40m, onUndecided: pause}
      - canary: {shares: [80%], hold: 1m, deadline: 40m, onUndecided: pause}
      - production: {holdback: 10%, watch: 2m}
    onHarm: rollback
    noData: hold
`

const shadow = "      - shadow: {share: 100%, until: {pairs: 600}, deadline: 20m}\n"

// truth: v2 is as good as v1, v3 fails six times as often.
var truth = map[string]Truth{"v1": {0.02, 0.7}, "v2": {0.02, 0.7}, "v3": {0.12, 0.7}}

func parse(t *testing.T, text string) *release.Model {
	t.Helper()
	m, faults := release.ParseModel("model.yaml", []byte(text))
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	return m.Normalise()
}

// simulate runs one seed. Odd seeds release the harmful version, every third seed has no shadow step that would find
// the harm before anyone is exposed.
func simulate(t *testing.T, seed uint64) (Result, error) {
	t.Helper()
	text, candidates := file, []string{"v2"}
	if seed%2 == 1 {
		candidates = []string{"v3"}
	}
	if seed%3 == 0 {
		text = strings.Replace(text, shadow, "", 1)
	}
	var result Result
	var err error
	synctest.Test(t, func(t *testing.T) {
		result, err = Run(t.Context(), Options{
			Seed: seed, Model: parse(t, text), Truth: truth, Candidates: candidates, Faults: 0.05, Restarts: 0.03,
			Commands: 0.004, Most: 40 * time.Minute, Settle: synctest.Wait,
		})
	})
	return result, err
}

func TestSeeds(t *testing.T) {
	healthy, promoted, meddled := 0, 0, 0
	if testing.Short() {
		*seeds = min(*seeds, 5)
	}
	for seed := *first; seed < *first+uint64(*seeds); seed++ {
		r, err := simulate(t, seed)
		if err != nil {
			t.Errorf("%v\nreplay: go test ./internal/sim -run '^TestSeeds$' -sim.seed %d -sim.seeds 1 -v", err, seed)
			continue
		}
		for _, o := range r.Releases {
			t.Logf("seed %d: %s %s: %s", seed, o.Candidate, o.Phase, o.Reason)
			switch {
			case o.Meddled:
				meddled++
			case o.Candidate == "v2":
				healthy++
				promoted += b2i(o.Phase == rollout.Succeeded)
			}
		}
		t.Logf("seed %d: %d decisions, %d restarts, %d tallies recounted with %d exposures, %s", seed, r.Decisions, r.Restarts, r.Recounts, r.Exposures, r.Took)
	}
	t.Logf("%d of %d healthy releases were promoted, %d ended by a person", promoted, healthy, meddled)
	if healthy >= 5 && promoted*10 < healthy*7 {
		t.Errorf("only %d of %d healthy releases were promoted", promoted, healthy)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

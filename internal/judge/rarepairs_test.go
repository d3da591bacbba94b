package judge

import (
	"math/rand/v2"
	"testing"

	"sluice.dev/sluice/internal/release"
)

// agreeing mirrors n requests of users who come back. lost is the chance that the candidate alone is wrong, won that it alone is right: drawn once per
// user (deterministic models, one question each) or at each request. It says whether "no worse by 4 points" was ever shown and the last state.
func agreeing(seed uint64, zipf, lost, won float64, once bool, n int) (noWorse, harm bool, state State) {
	m := correctMetric()
	m.Tolerate = points(0)
	mod, base := model(m), frozen("correct", frequentBaseline(0.7))
	mod.Spec.Plan.Steps = []release.Step{{Shadow: &release.ShadowStep{}}}
	w := newWorld(seed, 2000, zipf, 1)
	w.openStratum(1, release.ExposureWouldBe, 0.8, 0.2)
	rng := rand.New(rand.NewPCG(seed, 13))
	kind := map[*user]float64{}
	var mem Memory
	var cache Cache
	for i, next := 1, 200; i <= n; i++ {
		u, arm := w.next()
		w.meet(u, arm)
		x, ok := kind[u]
		if !ok || !once {
			x = rng.Float64()
			kind[u] = x
		}
		switch {
		case x < lost:
			w.mirror(u, 0, true, false)
		case x < lost+won:
			w.mirror(u, 0, false, true)
		default:
			w.mirror(u, 0, x < 0.7, x < 0.7)
		}
		if i != next && i != n {
			continue
		}
		next += 1 + next/8
		a := cache.Assess(w.input(mod, base, release.StepShadow, mem))
		mem, state = a.Memory, a.Verdicts[0].State
		noWorse, harm = noWorse || a.Verdicts[0].NoWorse, harm || a.Harm
	}
	return noWorse, harm, state
}

func TestR8VersionsThatAlwaysAgreeAreNoWorse(t *testing.T) {
	if shown, harm, state := agreeing(1, 0.8, 0, 0, true, 6000); !shown || harm || state != NoWorse {
		t.Errorf("two copies of one model: no worse %v, harm %v, at the end %s", shown, harm, state)
	}
	if shown, _, state := agreeing(2, 0.8, 0.002, 0.002, true, 6000); !shown || state != NoWorse {
		t.Errorf("nearly two copies of one model: no worse %v, at the end %s", shown, state)
	}
	if shown, _, state := agreeing(1, 1.5, 0, 0, true, 6000); shown {
		t.Errorf("a handful of users who send nearly everything: no worse %v (%s)", shown, state)
	}
}

// TestR8NoWorseAtTheMarginIsRare: candidates that lose exactly the margin, whether the same users or anybody.
func TestR8NoWorseAtTheMarginIsRare(t *testing.T) {
	n := runs(60, 1000)
	for _, tc := range []struct {
		name            string
		zipf, lost, won float64
		once            bool
	}{
		{"the same users", 0.8, 0.04, 0, true},
		{"the same users, busy ones", 1.1, 0.04, 0, true},
		{"the same users, 1 point won", 0.8, 0.05, 0.01, true},
		{"anybody", 0.8, 0.04, 0, false},
	} {
		wrong := 0
		for seed := range uint64(n) {
			shown, _, _ := agreeing(seed, tc.zipf, tc.lost, tc.won, tc.once, 4000)
			wrong += int(one(shown))
		}
		t.Logf("%s: no worse though at the margin in %d of %d", tc.name, wrong, n)
		if r := float64(wrong) / float64(n); r > limit(0.05, n) {
			t.Errorf("%s: no worse though at the margin in %.3f", tc.name, r)
		}
	}
}

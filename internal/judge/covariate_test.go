package judge

import (
	"math"
	"strings"
	"testing"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/stats"
	"sluice.dev/sluice/internal/tally"
)

// shadowed is a world whose users sent requests in a shadow step at this share before it serves the same users.
func shadowed(seed uint64, users int, zipf, share, p, concentration float64, requests int) *world {
	w := newWorld(seed, users, zipf, 1)
	w.betaRates(0, p, concentration)
	w.openStratum(0, release.ExposureWouldBe, 1-share, share)
	for range requests {
		u, arm := w.next()
		w.meet(u, arm)
		w.observe(u, arm, 0, one(w.flip(u.rates[0])), false)
	}
	w.openStratum(1, release.ExposureServe, 1-share, share)
	return w
}

// serve sends requests whose rate on the candidate is lower by loss.
func (w *world) serve(requests int, loss float64) {
	for range requests {
		u, arm := w.next()
		w.meet(u, arm)
		p := u.rates[0]
		if arm == 1 {
			p = math.Max(0, p-loss)
		}
		w.observe(u, arm, 0, one(w.flip(p)), false)
	}
}

// without is the same look without the shadow step's sums; everything else, alpha included, is the same.
func without(in Input) Input {
	v := *in.View
	v.Strata = append([]tally.StratumView(nil), v.Strata...)
	v.Strata[0].Arms = nil
	in.View = &v
	return in
}

// TestAdjustedIsRegression compares one stratum with stats.CUPED where both must agree: a bin is a unit with one observation, arms
// of equal size, slope not above what the shadow step predicts.
func TestAdjustedIsRegression(t *testing.T) {
	w := newWorld(1, 1, 1, 1)
	var us [2]stats.UnitSums
	s := [2]sums{}
	x := covariate{most: 1}
	for arm := range us {
		row := func() []float64 { return make([]float64, release.Bins) }
		s[arm] = sums{row(), row()}
		before := sums{row(), row()}
		for b := range release.Bins {
			v := w.rng.NormFloat64()
			y := 0.6*v + w.rng.NormFloat64() + 0.1*float64(arm)
			s[arm].n[b], s[arm].y[b], before.n[b], before.y[b] = 1, y, 1, v
			u := &us[arm]
			u.N++
			u.SY += y
			u.SX += v
			u.SYY += y * y
			u.SXX += v * v
			u.SXY += y * v
		}
		if arm == 0 {
			x.a = before
		} else {
			x.b = before
		}
	}
	x.fA, _ = fit(x.a)
	x.fB, _ = fit(x.b)
	x.n = [2]float64{x.fA.n, x.fB.n}
	sum := newBinSum()
	sum.addAdjusted(s[0], s[1], &x)
	c := sum.binned()
	want, err := stats.CUPED(us[0], us[1])
	if err != nil {
		t.Fatal(err)
	}
	e, _ := c.effect(1)
	j := c.fits[0].adj
	if math.Abs(j.kappa-want.Theta) > 1e-9 || math.Abs(e.d-want.DiffAdj) > 1e-9 {
		t.Errorf("slope %v and difference %v, by regression %v and %v", j.kappa, e.d, want.Theta, want.DiffAdj)
	}
	// V is that of the residuals, or the bins' sum where that is larger, and what the slope adds.
	if ratio := e.v / want.VarAdj; ratio < 0.99 || ratio > 1.1 {
		t.Errorf("variance %v, by regression %v", e.v, want.VarAdj)
	}
	a, b := c.values()
	if math.Abs(b-a-e.d) > 1e-12 {
		t.Errorf("the arms' values %v and %v do not differ by the estimate %v", a, b, e.d)
	}
	// With a factor on live, the bins' influences must give what the estimator's parts give.
	const f = 1.3
	e, _ = c.effect(f)
	if w := (b - f*a); math.Abs(w-e.d) > 1e-12 {
		t.Errorf("with a factor %v, by the arms' values %v", e.d, w)
	}
	between := c.bb - 2*f*c.ab + f*f*c.aa
	w0 := c.fits[0].weight()
	if ratio := e.v / (between / w0 / w0); ratio < 0.9 || ratio > 1.15 {
		t.Errorf("variance with a factor %v, between bins %v", e.v, between/w0/w0)
	}
}

// TestAdjustedKeepsAlpha: identical versions, users who come back with rates of their own; neither harm nor better may be shown more often than
// alpha allows, at any look, and a candidate at the margin is no worse at most as often.
func TestAdjustedKeepsAlpha(t *testing.T) {
	n := runs(40, 2000)
	for _, world := range []struct {
		name                       string
		users                      int
		zipf, share, concentration float64
		adjusted                   float64 // least share of runs that are
	}{
		{"alike", 3000, 0.8, 0.5, 3, 0.9},
		{"unlike", 1500, 0.7, 0.2, 3, 0.9},
		{"nothing in common", 3000, 0.8, 0.2, 1e7, 0},
	} {
		harm, better, promoted, adjusted := 0, 0, 0, 0
		for seed := range n {
			h, b, _, a := shadowRun(world.users, world.zipf, world.share, world.concentration, uint64(seed), 0)
			_, _, p, _ := shadowRun(world.users, world.zipf, world.share, world.concentration, uint64(seed+n), 0.04)
			harm, better, promoted, adjusted = harm+int(one(h)), better+int(one(b)), promoted+int(one(p)), adjusted+int(one(a))
		}
		t.Logf("%s: %d runs, harm %d, better %d, no worse at the margin %d, adjusted %d", world.name, n, harm, better, promoted, adjusted)
		for what, got := range map[string]int{"harm": harm, "better": better, "no worse at the margin": promoted} {
			if x := float64(got) / float64(n); x > limit(0.05, n) {
				t.Errorf("%s: %s in %.3f of the runs", world.name, what, x)
			}
		}
		if x := float64(adjusted) / float64(n); x < world.adjusted {
			t.Errorf("%s: adjusted in %.2f of the runs", world.name, x)
		}
	}
}

// shadowRun looks ten times at one release and says what was ever shown.
func shadowRun(users int, zipf, share, concentration float64, seed uint64, loss float64) (harm, better, noWorse, adjusted bool) {
	w := shadowed(seed, users, zipf, share, 0.6, concentration, 8000)
	m := correctMetric()
	m.Tolerate = points(0.0001)
	mod, base := model(m), frozen("correct", frequentBaseline(0.6))
	var c Cache
	var mem Memory
	for range 10 {
		w.serve(1500, loss)
		a := c.Assess(w.input(mod, base, release.StepABTest, mem))
		mem = a.Memory
		v := &a.Verdicts[0]
		harm, better, noWorse = harm || v.Harm, better || v.Better, noWorse || v.NoWorse
		adjusted = adjusted || v.Adjusted != nil && v.Adjusted.Saved > 0.01
	}
	return harm, better, noWorse, adjusted
}

// TestAdjustedSaves: with users who differ as people do, fewer requests are needed for "no worse"; with users who have nothing in common
// with their past there is no loss.
func TestAdjustedSaves(t *testing.T) {
	for _, world := range []struct {
		name          string
		concentration float64
		change        bool
		saved         [2]float64 // median of what the verdicts say
		ratio         [2]float64 // median requests, adjusted to plain
	}{
		{"users differ", 5, false, [2]float64{0.2, 0.6}, [2]float64{0.3, 0.9}},
		{"users are alike", 1e7, false, [2]float64{0, 0.02}, [2]float64{0.9, 1.02}},
		{"users differ, and change", 12, true, [2]float64{0, 0.05}, [2]float64{0.9, 1.02}},
	} {
		n := runs(9, 200)
		var saved []float64
		var with, plain []int
		for seed := range n {
			w := shadowed(uint64(seed), 4000, 0.6, 0.5, 0.6, world.concentration, 20_000)
			if world.change {
				w.betaRates(0, 0.6, world.concentration)
			}
			at, s := w.untilNoWorse(t)
			with, plain, saved = append(with, at[0]), append(plain, at[1]), append(saved, s)
		}
		ratio := float64(median(with)) / float64(median(plain))
		s := stats64(saved)
		t.Logf("%s: %d runs, requests until no worse: median %d adjusted, %d plain; saved %.2f", world.name, n, median(with), median(plain), s)
		if s < world.saved[0] || s > world.saved[1] {
			t.Errorf("%s: %.3f of the variance saved", world.name, s)
		}
		if ratio < world.ratio[0] || ratio > world.ratio[1] {
			t.Errorf("%s: needs %.2f of the requests", world.name, ratio)
		}
	}
}

func stats64(xs []float64) float64 {
	ints := make([]int, len(xs))
	for i, x := range xs {
		ints[i] = int(math.Round(x * 1e6))
	}
	return float64(median(ints)) / 1e6
}

// untilNoWorse returns after how many requests "no worse" is shown, adjusted and not, and the last share saved.
func (w *world) untilNoWorse(t *testing.T) (at [2]int, saved float64) {
	t.Helper()
	mod, base := model(correctMetric()), frozen("correct", frequentBaseline(0.6))
	for look := 1; look <= 120 && (at[0] == 0 || at[1] == 0); look++ {
		w.serve(500, 0)
		in := w.input(mod, base, release.StepABTest, Memory{})
		for i, in := range []Input{in, without(in)} {
			v := Assess(in).Verdicts[0]
			if v.NoWorse && at[i] == 0 {
				at[i] = look * 500
			}
			switch {
			case i == 1 && v.Adjusted != nil:
				t.Fatal("adjusted without a shadow step")
			case i == 0 && v.Adjusted != nil:
				saved = v.Adjusted.Saved
				if said := strings.Contains(v.Reason, "shadow step"); said != (saved >= 0.01) {
					t.Fatalf("saved %v: %s", saved, v.Reason)
				}
			}
		}
	}
	for i := range at {
		at[i] = missed(at[i])
	}
	return at, saved
}

// TestAdjustedOnlySameUsers: with another share the arms are other users, and nothing is adjusted.
func TestAdjustedOnlySameUsers(t *testing.T) {
	w := shadowed(3, 3000, 0.6, 0.5, 0.6, 2, 20_000)
	w.serve(8000, 0)
	mod, base := model(correctMetric()), frozen("correct", frequentBaseline(0.6))
	v := Assess(w.input(mod, base, release.StepABTest, Memory{})).Verdicts[0]
	if v.Adjusted == nil || v.Adjusted.Strata != 1 {
		t.Fatalf("not adjusted: %+v", v.Adjusted)
	}
	if v.Adjusted.Coefficient <= 0 || v.Adjusted.Coefficient > 1 {
		t.Errorf("coefficient %v", v.Adjusted.Coefficient)
	}
	w.strata[0].Shares = []release.Share{800_000, 200_000}
	if v := Assess(w.input(mod, base, release.StepABTest, Memory{})).Verdicts[0]; v.Adjusted != nil {
		t.Errorf("adjusted by other users: %+v", v.Adjusted)
	}
}

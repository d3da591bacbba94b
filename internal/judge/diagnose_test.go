package judge

import (
	"math"
	"testing"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/tally"
)

// answersAndWatch is a look at a category of cats answers, whose answer 1 takes over `moved` of the others in the
// candidate, and a watched error rate.
func answersAndWatch(seed uint64, cats int, moved, live, cand float64) Input {
	w := newWorld(seed, 4000, 0.5, 2)
	w.openStratum(1, release.ExposureServe, 0.5, 0.5)
	w.view.Categories = [][]string{make([]string, cats), nil}
	for c := range cats {
		w.view.Categories[0][c] = "answer" + string(rune('A'+c))
	}
	for range 6000 {
		u, arm := w.next()
		w.meet(u, arm)
		c := w.rng.IntN(cats)
		if arm == 1 && w.flip(moved) {
			c = 1
		}
		w.answer(u, arm, 0, c, cats)
		e := w.flip([]float64{live, cand}[arm])
		w.observe(u, arm, 1, one(e), e)
	}
	decision, errs := decisionMetric(), errorsMetric()
	errs.Role, errs.Margin, errs.Tolerate = release.Watch, release.Margin{}, release.Margin{}
	base := frozen(decision.Name, release.MetricBaseline{Class: release.ClassDistribution, N: 900})
	base.Metrics[errs.Name] = eventBaseline(live)
	return w.input(model(decision, errs), base, release.StepCanary, Memory{})
}

func TestDiagnosticsNameWhatDiffers(t *testing.T) {
	a := Assess(answersAndWatch(1, 10, 0.3, 0.05, 0.12))
	shown := map[string]bool{}
	last := math.Inf(1)
	for _, d := range a.Diagnostics {
		if d.LnE > last {
			t.Errorf("not ordered by evidence: %+v", a.Diagnostics)
		}
		last = d.LnE
		if d.Shown {
			shown[d.Metric+" "+d.Class] = true
		}
	}
	if !shown["decision answerB"] || !shown["errors "] {
		t.Errorf("shown %v of %+v", shown, a.Diagnostics)
	}
	for _, v := range a.Verdicts {
		if v.Metric == "errors" && (v.Harm || v.State == Worse) {
			t.Error("a watched metric decides")
		}
	}
}

// TestDiagnosticsKeepTheirFDR: where nothing differs, e-BH shows anything at all in at most 10 % of the looks.
func TestDiagnosticsKeepTheirFDR(t *testing.T) {
	n, wrong := runs(40, 1000), 0
	for seed := range n {
		any := false
		for _, d := range Assess(answersAndWatch(uint64(100+seed), 6, 0, 0.05, 0.05)).Diagnostics {
			any = any || d.Shown
		}
		wrong += int(one(any))
	}
	t.Logf("%d of %d looks show something", wrong, n)
	if r := float64(wrong) / float64(n); r > limit(DiagnosticFDR, n) {
		t.Errorf("false ones in %.3f of the looks", r)
	}
}

// TestDiagnosticsCountEveryAnswer: answers that are not evaluated are hypotheses all the same.
func TestDiagnosticsCountEveryAnswer(t *testing.T) {
	j := judging{hypotheses: 50, diagnostics: []Diagnostic{{LnE: math.Log(100)}, {LnE: math.Log(499)}}}
	for _, d := range j.finishDiagnostics() {
		if d.Shown {
			t.Errorf("1 in 50 needs E >= 500: %+v", d)
		}
	}
	j.diagnostics = []Diagnostic{{LnE: 0}, {LnE: math.Log(501)}}
	if d := j.finishDiagnostics(); !d[0].Shown || d[1].Shown {
		t.Errorf("%+v", d)
	}
}

// TestD12ClassThatDoubles: one answer of ten doubles, 3.4 -> 6.8 %. E2 over bins names it, corrected for all ten answers, sooner than the 4,000 and
// 9,200 requests that class-wise label processes were given, so units' first answers need not be kept by class: that
// would be a byte for each class of each unit, and bins hold for users who come back as they are.
func TestD12ClassThatDoubles(t *testing.T) {
	shares := []float64{.3, .2, .15, .1, .08, .05, .04, .034, .026, .02}
	const moving, doubled = 7, .068
	for rho, target := range map[float64]int{0.5: 4000, 0.1: 9200} {
		n := runs(9, 200)
		var at []int
		wrong := 0
		for seed := range n {
			w := newWorld(uint64(seed), 60_000, 0, 1)
			w.openStratum(1, release.ExposureServe, 1-rho, rho)
			w.view.Categories = [][]string{{"a", "b", "c", "d", "e", "f", "g", "h", "i", tally.Other}}
			in := w.input(model(decisionMetric()), frozen("decision", release.MetricBaseline{Class: release.ClassDistribution, N: 1000}), release.StepABTest, Memory{})
			found, c := 0, Cache{}
			for i := 1; i <= 3*target && found == 0; i++ {
				u, arm := w.next()
				w.meet(u, arm)
				w.answer(u, arm, 0, draw(w.rng.Float64(), shares, moving, []float64{shares[moving], doubled}[arm]), 10)
				if i%200 == 0 {
					in.View = w.view
					for _, d := range c.Assess(in).Diagnostics {
						if d.Shown && d.Class == "h" {
							found = i
						}
					}
				}
			}
			for _, d := range c.Assess(in).Diagnostics {
				if d.Shown && d.Class != "h" {
					wrong++
				}
			}
			at = append(at, missed(found))
		}
		t.Logf("share %v, %d runs: named after a median of %d requests, another class in %d", rho, n, median(at), wrong)
		if median(at) > target {
			t.Errorf("share %v: named after a median of %d requests, want %d", rho, median(at), target)
		}
		if x := float64(wrong) / float64(n); x > limit(DiagnosticFDR, n) {
			t.Errorf("share %v: another class is named in %.2f of the runs", rho, x)
		}
	}
}

// draw returns a class by its share; class k has share p, and the others give way in proportion.
func draw(x float64, shares []float64, k int, p float64) int {
	for c, q := range shares {
		if c == k {
			q = p
		} else {
			q *= (1 - p) / (1 - shares[k])
		}
		if x -= q; x < 0 {
			return c
		}
	}
	return len(shares) - 1
}

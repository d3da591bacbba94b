package judge

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/stats"
)

// Diagnostic is one of many side questions: is a watched metric worse, does one answer of a category differ. None
// decides anything. Of all that are Shown, on average at most [DiagnosticFDR] are false (e-BH on the evidence of this moment,
// never on suprema, for which that promise would not hold).
type Diagnostic struct {
	Metric string  `json:"metric"`
	Arm    uint8   `json:"arm"`
	Class  string  `json:"class,omitempty"` // an answer of a category metric; "": the metric itself
	LnE    float64 `json:"lnE"`             // evidence now
	Shown  bool    `json:"shown"`
	Reason string  `json:"reason"`
}

// DiagnosticFDR is the share of false ones among the diagnostics that are shown, on average and at most.
const DiagnosticFDR = 0.1

const (
	askedClasses = 4    // answers of a category that are evaluated: those whose shares differ most
	classTau     = 0.05 // prior scale of a difference of an answer's share
)

// diagnose adds what one metric of one candidate contributes. harm are the components of this look.
func (j *judging) diagnose(s *subject, v *Verdict, harm []component) {
	if !s.known {
		return
	}
	if !s.decides() && s.metric.Kind != release.MetricCategory {
		d := Diagnostic{Metric: s.metric.Name, Arm: uint8(s.arm), LnE: worseNow(harm)}
		d.Reason = v.Reason
		j.diagnostics = append(j.diagnostics, d)
		j.hypotheses++
	}
	if s.metric.Kind == release.MetricCategory {
		j.diagnoseClasses(s)
	}
}

// worseNow is the ln of the mean of the components' e-values of this moment, weighted by their shares of alpha; what is
// missing of 1 counts as evidence 0.
func worseNow(harm []component) float64 {
	terms := make([]float64, 0, len(harm))
	for _, c := range harm {
		if c.share > 0 {
			terms = append(terms, c.ln+math.Log(c.share))
		}
	}
	return clampLn(stats.LogSumExp(terms...))
}

// diagnoseClasses asks of each answer whether its share differs, by E2 over bins of its indicator, two-sided. Only
// those that differ most are computed; the others count as hypotheses with evidence 0, which keeps the promise.
func (j *judging) diagnoseClasses(s *subject) {
	vs := j.against(s.arm)
	all := j.cache.drift(s, compRate, vs, marksOf(s.index, vs))
	if all.gate() != "" {
		return
	}
	n := min(len(all.catA), len(all.catB))
	j.hypotheses += n
	classes := make([]int, n)
	for c := range classes {
		classes[c] = c
	}
	moved := func(c int) float64 { return math.Abs(all.catB[c]/all.total[1] - all.catA[c]/all.total[0]) }
	slices.SortStableFunc(classes, func(a, b int) int { return cmp.Compare(moved(b), moved(a)) })
	for _, c := range classes[:min(n, askedClasses)] {
		a, b := all.catA[c]/all.total[0], all.catB[c]/all.total[1]
		name := j.className(s.index, c)
		j.diagnostics = append(j.diagnostics, Diagnostic{
			Metric: s.metric.Name, Arm: uint8(s.arm), Class: name, LnE: j.cache.class(s, c, vs, all.total),
			Reason: fmt.Sprintf("%s: answer %s %s against %s", s.metric.Name, name, percent(b), percent(a)),
		})
	}
}

func (j *judging) className(metric, c int) string {
	if j.in.View != nil && metric < len(j.in.View.Categories) && c < len(j.in.View.Categories[metric]) {
		return j.in.View.Categories[metric][c]
	}
	return "number " + thousands(float64(c))
}

type classKey struct{ metric, arm, class int }

type cachedClass struct {
	total  [2]float64
	strata int
	ln     float64
}

// class is the two-sided evidence that one answer's share differs; it is computed again when observations came.
func (c *Cache) class(s *subject, class int, vs []versus, total [2]float64) float64 {
	id := classKey{s.index, s.arm, class}
	if e, ok := c.classes[id]; ok && e.total == total && e.strata == len(vs) {
		return e.ln
	}
	if c.work == nil {
		c.work = newBinSum()
	}
	all := c.work
	all.reset(nil)
	for i := range vs {
		live, cand := vs[i].metric(s.index)
		all.add(classSums(live, class), classSums(cand, class))
	}
	ln := 0.0
	b := all.binned()
	mix, err := stats.MarginMixture(classTau)
	if e, ok := b.effect(1); ok && err == nil && b.gate(true) == "" {
		if x, err := mix.LnTwoSided(e.d, e.v, 0); err == nil {
			ln = clampLn(x)
		}
	}
	if c.classes == nil {
		c.classes = map[classKey]cachedClass{}
	}
	c.classes[id] = cachedClass{total, len(vs), ln}
	return ln
}

// finishDiagnostics decides which are shown, and orders them by evidence.
func (j *judging) finishDiagnostics() []Diagnostic {
	lnE := make([]float64, max(j.hypotheses, len(j.diagnostics)))
	for i := range lnE {
		lnE[i] = math.Inf(-1)
	}
	for i, d := range j.diagnostics {
		lnE[i] = d.LnE
	}
	if shown, err := stats.EBH(lnE, DiagnosticFDR); err == nil {
		for _, i := range shown {
			j.diagnostics[i].Shown = true
		}
	}
	slices.SortStableFunc(j.diagnostics, func(a, b Diagnostic) int { return cmp.Compare(b.LnE, a.LnE) })
	return j.diagnostics
}

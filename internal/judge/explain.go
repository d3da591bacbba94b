package judge

import (
	"encoding/json"
	"math"

	"sluice.dev/sluice/internal/stats"
)

// Call is one call of a published function (stats.Functions, `sluice stat`) behind a number of a verdict. Calls with the
// same Number belong together:
//
//	Sum "ln":     ln of the sum of Weight * exp(output) is Value
//	Sum "linear": the sum of Weight * output is Value
//
// Number is the JSON name of the verdict's field. For lnHarm, lnNoWorse and lnBetter by an e-process, Value is that
// number. Where bounds of both arms decide, their inputs' alpha is the smallest at which the statement still holds,
// and Value is the margin that they then just meet: evidence is the ln of one over that alpha. For lo and hi over bins, Value is
// the evidence against that end, ln(1/(2 alpha)); for lo and hi of users' shares it is the end itself.
//
// A number without calls is 0, comes from an earlier look (lnHarm is a supremum), is read from sums as it is, or is the "no worse" of
// pairs that hardly ever differ (stats.RareBelow).
type Call struct {
	Number   string          `json:"number"`
	Function string          `json:"function"`
	Input    json.RawMessage `json:"input"`
	Output   string          `json:"output"` // which of the function's outputs; of a list, its first
	Weight   float64         `json:"weight"`
	Sum      string          `json:"sum"`
	Value    float64         `json:"value"`
}

// evidence is how a ln e-value came to be: exactly one of mix, cells and points is set.
type evidence struct {
	mix    []stats.Scale // E2: weighted scales, at (effect - d0) in the direction that is evidence
	z, v   float64       // E2: that distance, and the effect's variance
	cells  []stats.LabelStratum
	sigma  float64
	below  bool
	points *counts // bounds: users of both arms
	bound  float64
	level  float64 // bounds: ln(1/alpha) that is reached
	harm   bool
}

// proof is a number with what it rests on. ln includes the share.
type proof struct {
	number string
	ln     float64
	share  float64
	how    *evidence
	calls  []Call
}

// mixedAbove describes [above].
func (s *subject) mixedAbove(mix stats.Mixture, e effect, worse float64, b bound) *evidence {
	if !s.explain {
		return nil
	}
	return &evidence{mix: mix.Scales(), z: worse*e.d - b.shift, v: e.v}
}

// mixedBelow describes [below].
func (s *subject) mixedBelow(mix stats.Mixture, e effect, worse float64, b bound) *evidence {
	if !s.explain {
		return nil
	}
	return &evidence{mix: mix.Scales(), z: b.shift - worse*e.d, v: e.v}
}

func (s *subject) labelledBy(cells []stats.LabelStratum, below bool) *evidence {
	if !s.explain || len(cells) == 0 {
		return nil
	}
	return &evidence{cells: cells, sigma: s.labelSigma(), below: below}
}

// pointed describes bounds of both arms that just meet at level, the ln of one over alpha.
func (s *subject) pointed(c counts, b, level float64, harm bool) *evidence {
	if !s.explain || level <= 0 || level > maxLevel {
		return nil
	}
	return &evidence{points: &c, bound: b, level: level, harm: harm}
}

// maxLevel is the largest level whose alpha is far from the smallest float64.
const maxLevel = 600

// indicated describes [indicators].
func (s *subject) indicated(c counts, margin float64) *evidence {
	mix, err := stats.MarginMixture(margin)
	if err != nil {
		return nil
	}
	return s.mixedBelow(mix, unitEffect(c), 1, bound{1, margin})
}

// prove adds a candidate for a number that is the largest of several.
func (s *subject) prove(to *[]proof, ln, share float64, how *evidence) {
	if how != nil {
		*to = append(*to, proof{ln: ln, share: share, how: how})
	}
}

// proveTwice is prove for a route that has half of alpha, or half of that beside the request rate (class both).
func (s *subject) proveTwice(to *[]proof, ln float64, how *evidence) {
	s.prove(to, ln, 0.5, how)
	s.prove(to, ln-math.Ln2, 0.25, how)
}

// mixedEnds are the calls behind the ends of E2's interval.
func (s *subject) mixedEnds(mix stats.Mixture, e effect, i stats.Interval) []proof {
	if !s.explain {
		return nil
	}
	want := -math.Log(2 * s.alpha)
	end := func(number string, at float64) proof {
		p := proof{number: number}
		for _, sc := range mix.Scales() {
			in := map[string]any{"d": e.d - at, "V": e.v, "tau2": sc.Tau2, "alpha": 2 * s.alpha}
			p.calls = append(p.calls, call(number, "msprt", in, "ln_lambda", sc.Weight, "ln", want))
		}
		return p
	}
	return []proof{end("lo", i.Lo), end("hi", i.Hi)}
}

// pointEnds are the calls behind an interval from both arms' bounds; A is live.
func (s *subject) pointEnds(c counts) []proof {
	if !s.explain {
		return nil
	}
	a, errA := stats.BernoulliCS(c.kA, c.nA, s.alpha/2)
	b, errB := stats.BernoulliCS(c.kB, c.nB, s.alpha/2)
	if errA != nil || errB != nil {
		return nil
	}
	return []proof{
		{calls: gap("lo", c, s.alpha/2, "lo", "hi", 100, 100*(b.Lo-a.Hi))},
		{calls: gap("hi", c, s.alpha/2, "hi", "lo", 100, 100*(b.Hi-a.Lo))},
	}
}

// gap is scale times B's output less scale times A's.
func gap(number string, c counts, alpha float64, outB, outA string, scale, value float64) []Call {
	arm := func(k, n float64, out string, w float64) Call {
		return call(number, "bernoulli_cs", map[string]any{"k": k, "n": n, "alpha": alpha}, out, w, "linear", value)
	}
	return []Call{arm(c.kB, c.nB, outB, scale), arm(c.kA, c.nA, outA, -scale)}
}

func call(number, function string, in map[string]any, output string, weight float64, sum string, value float64) Call {
	raw, err := json.Marshal(in)
	if err != nil {
		raw = []byte("null") // a number that is not finite: the call is refused by name
	}
	return Call{number, function, raw, output, weight, sum, value}
}

// calls lists what reproduces a verdict's decisive numbers.
func (s *subject) calls(v *Verdict, f *finding, components []component, by string) []Call {
	if !s.explain {
		return nil
	}
	var out []Call
	if f.gate == "" && f.level > 0 {
		for _, p := range f.bounds {
			out = append(out, p.calls...)
		}
	}
	for _, c := range components {
		if c.name != by || c.how == nil || v.LnHarm == 0 {
			continue
		}
		if share := s.weight * c.share; same(c.ln+math.Log(share), v.LnHarm) {
			out = append(out, c.how.calls("lnHarm", share, v.LnHarm, s.alpha)...)
		}
	}
	out = append(out, decisive("lnNoWorse", f.noWorse, v.LnNoWorse, f.noWorseBy, s.alpha)...)
	return append(out, decisive("lnBetter", f.better, v.LnBetter, f.betterBy, s.alpha)...)
}

// decisive returns the calls of the candidate that the number is.
func decisive(number string, ln, shown float64, from []proof, alpha float64) []Call {
	if ln == 0 || ln != shown {
		return nil
	}
	for _, p := range from {
		if same(p.ln, ln) {
			return p.how.calls(number, p.share, ln, alpha)
		}
	}
	return nil
}

func same(a, b float64) bool { return math.Abs(a-b) <= 1e-12*(1+math.Abs(b)) }

func (e *evidence) calls(number string, share, value, alpha float64) []Call {
	switch {
	case e.points != nil:
		outB, outA := "hi", "lo"
		if e.harm {
			outB, outA = "lo", "hi"
		}
		return gap(number, *e.points, math.Exp(-e.level)/2, outB, outA, 1, e.bound)
	case e.cells != nil:
		strata := make([][3]float64, len(e.cells))
		for i, c := range e.cells {
			strata[i] = [3]float64{c.KA, c.KB, c.Rho}
		}
		out := "ln_e_above"
		if e.below {
			out = "ln_e_below"
		}
		in := map[string]any{"strata": strata, "sigma": e.sigma, "alpha": alpha, "delta0": []float64{0}}
		return []Call{call(number, "label_strata", in, out, share, "ln", value)}
	}
	var out []Call
	for _, sc := range e.mix {
		// One-sided Robbins with precisions: the sum z/v with variance 1/v under a prior of precision 1/tau^2.
		in := map[string]any{"s": e.z / e.v, "v": 1 / e.v, "rho": 1 / sc.Tau2, "alpha": alpha}
		out = append(out, call(number, "robbins", in, "ln_e_one_sided", share*sc.Weight, "ln", value))
	}
	return out
}

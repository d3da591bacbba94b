package stats

import "math"

// rarePriors are the alternatives of [RareBelow], as parts of the bound, with their weights.
var rarePriors = []struct{ at, weight float64 }{{0, 3. / 4}, {1. / 4, 1. / 8}, {1. / 2, 1. / 8}}

// RareBelow returns the ln of an e-value against "the event has at least this probability", after k of n independent
// units had it:
//
//	E = sum_i w_i (p_i/b)^k ((1-p_i)/(1-b))^(n-k),   p_i = 0, b/4, b/2,   w_i = 3/4, 1/8, 1/8.
//
// Each term is a ratio of likelihoods with p_i < b. A further unit multiplies it by a factor whose mean,
// p p_i/b + (1-p)(1-p_i)/(1-b), is 1 at p = b and falls in p, so that E is a supermartingale for every p >= b: it ever reaches
// 1/alpha with probability alpha at most (Ville). Without any event ln E is -n ln(1-b) - ln(4/3): some ln(1/alpha)/b units decide,
// fewer than [BernoulliCS] needs, whose prior covers all p.
//
// E falls in k and grows in n: more events or fewer units than there were keep it valid, and both may be fractions.
// 0 <= k <= n, 0 < b < 1, otherwise [ErrDomain].
func RareBelow(k, n, b float64) (float64, error) {
	if !(k >= 0 && k <= n) || math.IsInf(n, 0) || !(b > 0 && b < 1) {
		return 0, domain("RareBelow", "k=%g n=%g bound=%g, want 0 <= k <= n, 0 < bound < 1", k, n, b)
	}
	terms := make([]float64, 0, len(rarePriors))
	for _, p := range rarePriors {
		ln := math.Log(p.weight) + (n-k)*(math.Log1p(-p.at*b)-math.Log1p(-b))
		if k > 0 {
			ln += k * math.Log(p.at) // -Inf for the alternative without events
		}
		terms = append(terms, ln)
	}
	return LogSumExp(terms...), nil
}

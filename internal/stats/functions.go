package stats

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// Function computes one published function of this package by name from JSON.
type Function struct {
	Name string // as in the file of test vectors
	Doc  string // one line: what it computes and from which inputs

	// Call takes a JSON object of inputs and returns named outputs: float64, int, []float64, []int, "+Inf" or "-Inf" for
	// infinities, nil for what the data do not determine. Unknown or mistyped inputs and values outside the domain are
	// errors.
	Call func(json.RawMessage) (map[string]any, error)
}

// maxInput bounds the JSON of one call, in bytes.
const maxInput = 16 << 20

// Functions lists all functions in a fixed order.
func Functions() []Function {
	return []Function{
		{"beta_compare", "two Beta posteriors (aA,bA,aB,bB; rope): P(B>A), expected losses, equivalence", call(callBetaCompare)},
		{"beta_prob_best", "Beta posteriors (arms: [[a,b],...]): P(each arm is the best)", call(callBetaProbBest)},
		{"nig_compare", "normal data of two arms (nA,meanA,m2A,...; prior m0,k0,a0,b0): posteriors and P(muB>muA)", call(callNIG)},
		{"gaussian_effect", "effect d with standard error se (alpha; prior_mean, prior_sd): posterior, losses, interval", call(callGaussian)},
		{"robbins", "sum s with variance v (alpha; rho or v_opt): normal-mixture evidence and boundaries", call(callRobbins)},
		{"asymp_cs_mean", "mean of n values with variance var (t_opt, alpha): asymptotic confidence sequence", call(callAsymp)},
		{"strat_diff_cs", "strata [nA,meanA,varA,nB,meanB,varB] (w_opt, alpha): stratified difference of means", call(callStratDiff)}, //nolint:misspell // the published name
		{"msprt", "estimate d with variance V (tau2, alpha): mixture sequential probability ratio test", call(callMSPRT)},
		{"bernoulli_cs", "k events in n trials (alpha): exact time-uniform confidence sequence", call(callBernoulli)},
		{"label_e", "events kA, kB at share rho (c): label e-value in closed form", call(callLabelE)},
		{"label_strata", "strata [kA,kB,rho] (sigma, alpha, delta0: [...]): the label engine", call(callLabelStrata)},
		{"multinomial_seq", "phases [[counts],[shares]] (c): sequential multinomial test, sample ratio mismatch", call(callMultinomial)},
		{"quantile_cs", "n values (p, alpha, c; sample): time-uniform ranks of a quantile", call(callQuantile)},
		{"poisson_rates", "counts kA, kB over exposures tA, tB (ratio0): rate ratio and exact tests", call(callPoisson)},
		{"delta_ratio", "unit sums n,sy,sx,syy,sxx,sxy: ratio metric and its variance", call(callDeltaRatio)},
		{"cuped", "unit sums of arms A and B: difference adjusted for a covariate", call(callCUPED)},
		{"entropy", "counts: Shannon entropy, Miller-Madow correction, effective classes", call(callEntropy)},
		{"divergence", "counts p, q (pseudo): KL, Jensen-Shannon, PSI, total variation, Hellinger", call(callDivergence)},
		{"homogeneity", "counts a, b of two versions: G and Pearson test", call(callHomogeneity)},
		{"chi2_gof", "counts against shares: Pearson test for one fixed look", call(callChi2)},
		{"mann_whitney", "samples x, y: rank test, Hodges-Lehmann shift", call(callMannWhitney)},
		{"welch", "moments nA,meanA,varA,nB,meanB,varB (alpha): Welch's t-test", call(callWelch)},
		{"moments_merge", "chunks of values: merged n, mean, variance", call(callMoments)},
		{"e_bh", "ln_e: [...] (alpha): e-BH rejections", call(callEBH)},
		{"glr_bernoulli", "nA,kA,nB,kB (delta): Chernoff stopping statistic", call(callGLR)},
		{"tas_weights", "mu: [...]: track-and-stop allocation", call(callTAS)},
	}
}

type results = map[string]any

// call decodes strictly into In and translates [ErrUndefined] into outputs that are nil: f names them then.
func call[In any](f func(In) (results, error)) func(json.RawMessage) (map[string]any, error) {
	return func(raw json.RawMessage) (map[string]any, error) {
		if len(raw) > maxInput {
			return nil, domain("input", "%d bytes, at most %d", len(raw), maxInput)
		}
		var in In
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&in); err != nil {
			return nil, fmt.Errorf("stats: input: %w", err)
		}
		if dec.More() {
			return nil, domain("input", "data after the JSON object")
		}
		out, err := f(in)
		if err != nil && !errors.Is(err, ErrUndefined) {
			return nil, err
		}
		for k, v := range out {
			switch v := v.(type) {
			case float64:
				out[k] = number(v)
			case []float64:
				out[k] = numbers(v)
			}
		}
		return out, nil
	}
}

// number makes a value fit for JSON.
func number(x float64) any {
	switch {
	case math.IsInf(x, 1):
		return "+Inf"
	case math.IsInf(x, -1):
		return "-Inf"
	}
	return x
}

// numbers keeps a plain slice unless it holds infinities.
func numbers(xs []float64) any {
	if finite(xs...) {
		return xs
	}
	out := make([]any, len(xs))
	for i, x := range xs {
		out[i] = number(x)
	}
	return out
}

// none returns outputs that are all undefined, and the error that says why.
func none(err error, names ...string) (results, error) {
	out := make(results, len(names))
	for _, n := range names {
		out[n] = nil
	}
	return out, err
}

package stats

import (
	"math"
	"math/bits"
	"sort"
)

// WeightedMax returns max_i (ln w_i + lnE_i) and the index that attains it (the first of equals). Reaching ln(1/alpha)
// refutes "all null hypotheses hold" at alpha when the weights sum to at most 1, for any dependence and for e-processes of
// different filtrations, where their mean is no e-process. Weights > 0, as many as evidences; the maximum of
// nothing is [ErrUndefined].
func WeightedMax(lnE, weights []float64) (ln float64, index int, err error) {
	if err := checkWeights("WeightedMax", lnE, weights); err != nil {
		return 0, 0, err
	}
	ln = math.Inf(-1)
	for i, x := range lnE {
		if v := x + math.Log(weights[i]); v > ln {
			ln, index = v, i
		}
	}
	return ln, index, nil
}

// LnWeightedMean returns ln sum_i w_i E_i: an e-value when the weights sum to at most 1 and all E_i are
// e-values at the same stopping time. Domain as in [WeightedMax].
func LnWeightedMean(lnE, weights []float64) (float64, error) {
	if err := checkWeights("LnWeightedMean", lnE, weights); err != nil {
		return 0, err
	}
	terms := make([]float64, len(lnE))
	for i, x := range lnE {
		terms[i] = x + math.Log(weights[i])
	}
	return LogSumExp(terms...), nil
}

func checkWeights(where string, lnE, weights []float64) error {
	if len(lnE) == 0 {
		return undefined(where, "no evidence")
	}
	if len(lnE) != len(weights) {
		return domain(where, "%d evidences, %d weights", len(lnE), len(weights))
	}
	if !positive(weights...) {
		return domain(where, "weights must be > 0: %v", weights)
	}
	return checkEvidence(where, lnE)
}

func checkEvidence(where string, lnE []float64) error {
	for i, x := range lnE {
		if math.IsNaN(x) {
			return domain(where, "evidence %d is not a number", i)
		}
	}
	return nil
}

// StartWeight is the prior weight 1/((j+1)(j+2)) of a process that starts at window j = 0, 1, ...; all of
// them sum to 1.
func StartWeight(j int) float64 { return 1 / (float64(j) + 1) / (float64(j) + 2) }

// dayOfWindows is how many windows an epoch of a standing watch has: a day of minutes.
const dayOfWindows = 1440

// WatchWeight is the prior weight of the process that starts at window j = 0, 1, ... of a standing watch:
//
//	1/2 (1/1440 if j < 1440, else 0) + 1/2 1/((k+1)(k+2) 2^k),   k = floor(log2(j+1)).
//
// One half is spread evenly over one epoch, a day of minutes. The other is for ever: the windows 2^k-1 .. 2^(k+1)-2 are an
// epoch of length 2^k, epoch k has 1/((k+1)(k+2)), spread evenly. The sums: 1440/1440 = 1, and sum_k 1/((k+1)(k+2)) = 1 because
// the terms are 1/(k+1) - 1/(k+2); so all weights add up to 1 and the mixture of e-processes is one e-process, which
// reaches 1/alpha ever with probability alpha at most (Ville).
//
// Against [StartWeight], 1/((j+1)(j+2)): a start at window 100 costs ln 2,054 = 7.6 instead of 9.2, within an epoch never more than
// 8.0, and afterwards ln j + 2 ln ln j instead of 2 ln j. The very first windows pay: ln 4 instead of ln 2. Negative j has weight 0.
func WatchWeight(j int) float64 {
	if j < 0 {
		return 0
	}
	k := bits.Len(uint(j)+1) - 1
	w := 0.5 / (float64(k) + 1) / (float64(k) + 2) / math.Ldexp(1, k)
	if j < dayOfWindows {
		w += 0.5 / dayOfWindows
	}
	return w
}

// StartMixture returns ln sum_j E_j/((j+1)(j+2)) over processes that started at windows j = 0, 1, ...: reaching
// ln(1/alpha) is a false alarm with probability at most alpha for ever, whenever the change comes. No process: -Inf.
// NaN evidence is [ErrDomain].
func StartMixture(lnE []float64) (float64, error) {
	if err := checkEvidence("StartMixture", lnE); err != nil {
		return 0, err
	}
	terms := make([]float64, len(lnE))
	for j, x := range lnE {
		terms[j] = x + math.Log(StartWeight(j))
	}
	return LogSumExp(terms...), nil
}

// LnESR returns ln sum_j E_j, the e-SR detector: alarms at sum >= ARL come on average at least ARL windows apart when
// nothing changes, and P(alarm within n windows) <= n/ARL (Shin, Ramdas, Rinaldo, "E-detectors", 2023). No process: -Inf.
// NaN evidence is [ErrDomain].
func LnESR(lnE []float64) (float64, error) {
	if err := checkEvidence("LnESR", lnE); err != nil {
		return 0, err
	}
	return LogSumExp(lnE...), nil
}

// EBH returns the indices, ascending, that the e-BH procedure rejects at false discovery rate alpha: the k largest
// evidences with k = max{ k : E_(k) >= K/(alpha k) } (Wang & Ramdas 2022). Use current e-values, not running maxima.
// Equal evidences keep their order. alpha in (0,1) and no NaN, otherwise [ErrDomain].
func EBH(lnE []float64, alpha float64) ([]int, error) {
	if !isAlpha(alpha) {
		return nil, domain("EBH", "alpha=%g", alpha)
	}
	if err := checkEvidence("EBH", lnE); err != nil {
		return nil, err
	}
	order := make([]int, len(lnE))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(i, j int) bool { return lnE[order[i]] > lnE[order[j]] })
	k := 0
	for i, j := range order {
		if lnE[j] >= math.Log(float64(len(lnE))/(alpha*float64(i+1))) {
			k = i + 1
		}
	}
	rejected := order[:k]
	sort.Ints(rejected)
	return rejected, nil
}

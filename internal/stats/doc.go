// Package stats holds the numbers behind a verdict: e-processes, confidence sequences, divergences, posterior
// displays and the closed forms of planning. It is pure: values in, values out, float64 only, no clock, no chance,
// no I/O, and every function may be called concurrently.
//
// # Walk
//
//  1. Two engines gate releases. [Label] (E1, label.go) is exact: if two versions are equal, the arm in which an
//     event falls is a coin with the known share as its probability. [BinDifference] with a [Mixture] (E2, bins.go,
//     mixture.go) is asymptotic: a difference of means or ratios whose variance is taken between bins of users, not
//     between requests, because users come back.
//  2. [NoWorseInPoints] and [HarmInPoints] (points.go) compare two proportions in points by exact time-uniform
//     bounds; they need no event at all to show "no worse".
//  3. [CategoryDrift] (category.go) measures how far the answers' distribution moved, with a jackknife over bins.
//  4. [SRM] guards the assignment, [StartMixture] and [LnESR] watch after promotion, [EBH] and [WeightedMax]
//     combine (combine.go).
//  5. The rest is reference and display: posteriors (beta.go, nig.go, gaussian.go), fixed-sample tests (rank.go,
//     welch.go, homogeneity.go), allocation (bandit.go), planning (plan.go).
//  6. [Functions] computes any of the published functions by name from JSON, [Check] runs a file of test vectors.
//
// # Conventions
//
// A is the baseline (live), B the candidate. Effects are B minus A, or log of B over A; the caller orients them so
// that positive is worse. Evidence is the natural logarithm of an e-value: reaching ln(1/alpha) refutes the null
// hypothesis, at any time and after any number of looks, with error probability at most alpha. alpha lies in (0,1).
// Counts are float64 so that planning can use expected counts; counts are 0 or between 1e-9
// and 1e15, others are outside every domain.
//
// # Invariants
//
// No function returns NaN. What the data do not determine (a mean of nothing, a variance of one value) is
// [ErrUndefined]; arguments outside a documented domain are [ErrDomain]. Infinite results occur only where the
// documentation names them (an open end of an interval, a divergence with a missing category).
package stats

import (
	"errors"
	"fmt"
	"math"
)

var (
	// ErrUndefined says that the data do not determine the result, for instance a mean of no observations. It is
	// a normal answer early in a release: wait for more data.
	ErrUndefined = errors.New("undefined for these data")

	// ErrDomain says that an argument lies outside the documented domain, for instance more events than units.
	ErrDomain = errors.New("argument outside its domain")
)

func undefined(where, why string) error {
	return fmt.Errorf("stats: %s: %s: %w", where, why, ErrUndefined)
}

func domain(where, format string, args ...any) error {
	return fmt.Errorf("stats: %s: %s: %w", where, fmt.Sprintf(format, args...), ErrDomain)
}

func finite(xs ...float64) bool {
	for _, x := range xs {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return false
		}
	}
	return true
}

// positive reports whether all xs are finite and above zero.
func positive(xs ...float64) bool {
	for _, x := range xs {
		if !(x > 0) || math.IsInf(x, 1) {
			return false
		}
	}
	return true
}

// isAlpha reports whether a can be an error probability.
func isAlpha(a float64) bool { return a > 0 && a < 1 }

// Counts are 0 or between minCount and maxCount: integers are exact up to here, iterations end in time, and an
// expected count so small that it stands for nothing does not underflow.
const (
	minCount = 1e-9
	maxCount = 1e15
)

// isCount reports whether all xs can be (possibly expected, hence fractional) counts.
func isCount(xs ...float64) bool {
	for _, x := range xs {
		if x != 0 && !(x >= minCount && x <= maxCount) {
			return false
		}
	}
	return true
}

// notNegative reports whether all xs are finite and at least zero.
func notNegative(xs ...float64) bool {
	for _, x := range xs {
		if !(x >= 0) || math.IsInf(x, 1) {
			return false
		}
	}
	return true
}

// isShare reports whether x can be the probability of an arm or a category, not vanishing.
func isShare(x float64) bool { return x >= 1e-100 && x < 1 }

// isShape reports whether all xs can be shape parameters of a Beta, Gamma or Student distribution.
func isShape(xs ...float64) bool {
	for _, x := range xs {
		if !(x >= 1e-6 && x <= maxCount) {
			return false
		}
	}
	return true
}

// Interval is the range [Lo, Hi] of a parameter; an open end is -Inf or +Inf.
type Interval struct{ Lo, Hi float64 }

// PFromLnE turns evidence into an always-valid p-value, min(1, 1/E). It is 0 when E exceeds the float64 range.
func PFromLnE(lnE float64) float64 { return math.Min(1, math.Exp(-lnE)) }

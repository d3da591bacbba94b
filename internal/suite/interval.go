package suite

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"

	"sluice.dev/sluice/internal/stats"
)

// interval is an estimate with a lower and an upper bound, each of which holds by itself with the asked
// confidence; both together hold with twice the error.
type interval struct{ est, lo, hi float64 }

// bisect finds where f, which is false at no and true at yes, changes, to the precision of float64.
func bisect(no, yes float64, f func(float64) bool) float64 {
	for range 200 {
		m := no + (yes-no)/2
		if m == no || m == yes {
			break
		}
		if f(m) {
			yes = m
		} else {
			no = m
		}
	}
	return yes
}

// proportion is k of n with exact bounds (Clopper and Pearson 1934): the lower one is the p at which k or
// more has probability alpha. n > 0.
func proportion(k, n, alpha float64) interval {
	v := interval{est: k / n, lo: 0, hi: 1}
	if k > 0 {
		v.lo = bisect(1, 0, func(p float64) bool { return betaInc(k, n-k+1, p) <= alpha })
	}
	if k < n {
		v.hi = bisect(0, 1, func(p float64) bool { return 1-betaInc(k+1, n-k, p) <= alpha })
	}
	return v
}

func betaInc(a, b, x float64) float64 {
	p, err := stats.BetaInc(a, b, x)
	if err != nil {
		panic("suite: " + err.Error()) // a and b are counts and more than 0
	}
	return p
}

// f1 is 2TP/(2TP+FP+FN) = 2J/(1+J) for J = TP/(TP+FP+FN). Given the number of rows that are not true
// negatives, TP is binomial with the probability that J estimates, so that the exact bounds of J, moved
// through the monotone 2J/(1+J), are those of F1. n = TP+FP+FN > 0.
func f1(tp, n, alpha float64) interval {
	j := proportion(tp, n, alpha)
	f := func(j float64) float64 { return 2 * j / (1 + j) }
	return interval{f(j.est), f(j.lo), f(j.hi)}
}

// z is the normal quantile of a confidence.
func z(alpha float64) float64 { return distuv.UnitNormal.Quantile(1 - alpha) }

// aucInterval bounds an area under the ROC curve by the score method with the variance of exponential scores
// (Newcombe 2006, method 5): those areas t for which |a - t| <= z sqrt(V(t)),
//
//	V(t) = t(1-t)/(mn) [1 + ((m+n)/2 - 1) ((1-t)/(2-t) + t/(1+t))],
//
// m and n the rows of either class, both > 0. It needs no scores and keeps its level at a = 1.
func aucInterval(a, m, n, alpha float64) interval {
	zz := z(alpha)
	near := func(t float64) bool {
		v := t * (1 - t) / (m * n) * (1 + ((m+n)/2-1)*((1-t)/(2-t)+t/(1+t)))
		return math.Abs(a-t) <= zz*math.Sqrt(v)
	}
	out := interval{est: a, lo: a, hi: a}
	if a > 0 {
		out.lo = bisect(0, a, func(t float64) bool { return t == a || near(t) })
	}
	if a < 1 {
		out.hi = bisect(1, a, func(t float64) bool { return t == a || near(t) })
	}
	return out
}

// mean is a mean with Student's bounds. Two values at least.
func mean(xs []float64, alpha float64) interval {
	n := float64(len(xs))
	sum := 0.0
	for _, x := range xs {
		sum += x
	}
	m := sum / n
	ss := 0.0
	for _, x := range xs {
		ss += (x - m) * (x - m)
	}
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: n - 1}.Quantile(1 - alpha)
	half := t * math.Sqrt(ss/(n-1)/n)
	return interval{m, m - half, m + half}
}

// ratioOfSums is the sum of ys over the sum of ns with Student's bounds by the linearised variance of a ratio
// (Cochran 1977, section 2.11): that of the mean of y - R n, over the mean of n. Two rows at least; the ns are above 0.
func ratioOfSums(ys, ns []float64, alpha float64) interval {
	m := float64(len(ys))
	sumY, sumN := 0.0, 0.0
	for i := range ys {
		sumY, sumN = sumY+ys[i], sumN+ns[i]
	}
	r := sumY / sumN
	ss := 0.0
	for i := range ys {
		d := ys[i] - r*ns[i]
		ss += d * d
	}
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: m - 1}.Quantile(1 - alpha)
	half := t * math.Sqrt(ss*m/(m-1)) / sumN
	return interval{r, r - half, r + half}
}

// pairedDifference is (b - c)/n, the difference of two proportions on the same n rows of which b speak for
// the first version only and c for the second only, with score bounds (Tango 1998): those differences d for
// which |b - c - n d| <= z sqrt(n (2q + d(1-d))), q the likeliest probability of c's kind given d, the positive
// root of 2n q² + (-b - c + (2n - b + c) d) q - c d (1-d) = 0. n > 0.
func pairedDifference(b, c, n, alpha float64) interval {
	zz := z(alpha)
	est := (b - c) / n
	near := func(d float64) bool {
		bb := -b - c + (2*n-b+c)*d
		q := (math.Sqrt(math.Max(0, bb*bb+8*n*c*d*(1-d))) - bb) / (4 * n)
		v := n * math.Max(0, 2*q+d*(1-d))
		return math.Abs(b-c-n*d) <= zz*math.Sqrt(v)
	}
	out := interval{est: est, lo: est, hi: est}
	if est > -1 {
		out.lo = bisect(-1, est, func(d float64) bool { return d == est || near(d) })
	}
	if est < 1 {
		out.hi = bisect(1, est, func(d float64) bool { return d == est || near(d) })
	}
	return out
}

// mcNemar is the exact two-sided p-value that b and c differ by chance alone: the sign test on b + c rows.
func mcNemar(b, c float64) float64 {
	n, k := b+c, math.Max(b, c)
	if n == 0 {
		return 1
	}
	return math.Min(1, 2*betaInc(k, n-k+1, 0.5))
}

// difference bounds p1 - p2 of independent proportions (Newcombe 1998, method 10, with exact instead of
// score bounds, which only widens it).
func difference(p1, p2 interval) interval {
	d := p1.est - p2.est
	return interval{
		est: d,
		lo:  d - math.Hypot(p1.est-p1.lo, p2.hi-p2.est),
		hi:  d + math.Hypot(p1.hi-p1.est, p2.est-p2.lo),
	}
}

// auc is the area under the ROC curve, the chance that a positive scores above a negative, ties by half,
// and each row's part in it: v10 per positive the share of negatives below it, v01 per negative the share
// of positives above it (DeLong et al. 1988).
func auc(positive, negative []float64) (a float64, v10, v01 []float64) {
	v10, v01 = make([]float64, len(positive)), make([]float64, len(negative))
	m, n := float64(len(positive)), float64(len(negative))
	for i, x := range positive {
		for j, y := range negative {
			w := 0.0
			switch {
			case x > y:
				w = 1
			case x == y:
				w = 0.5
			}
			a += w / (m * n)
			v10[i] += w / n
			v01[j] += w / m
		}
	}
	return math.Min(a, 1), v10, v01
}

// pairedAUC is the difference of two areas on the same rows with normal bounds by DeLong's covariance.
func pairedAUC(pos1, neg1, pos2, neg2 []float64, alpha float64) interval {
	a1, x1, y1 := auc(pos1, neg1)
	a2, x2, y2 := auc(pos2, neg2)
	half := z(alpha) * math.Sqrt(varianceOfMean(x1, x2)+varianceOfMean(y1, y2))
	d := a1 - a2
	return interval{d, d - half, d + half}
}

// varianceOfMean is the variance of the mean of x - y.
func varianceOfMean(x, y []float64) float64 {
	n := float64(len(x))
	if n < 2 {
		return 1
	}
	sum, ss := 0.0, 0.0
	for i := range x {
		sum += x[i] - y[i]
	}
	for i := range x {
		d := x[i] - y[i] - sum/n
		ss += d * d
	}
	return ss / (n - 1) / n
}

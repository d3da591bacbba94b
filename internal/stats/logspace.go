package stats

import "math"

// LogSumExp returns ln(sum exp(x_i)) without leaving the float64 range: the largest term is factored out.
// The sum of nothing is -Inf, and so is a sum of terms that are all -Inf; one +Inf makes the result +Inf.
func LogSumExp(xs ...float64) float64 {
	top := math.Inf(-1)
	for _, x := range xs {
		top = math.Max(top, x)
	}
	if math.IsInf(top, 0) {
		return top
	}
	sum := 0.0
	for _, x := range xs {
		sum += math.Exp(x - top)
	}
	return top + math.Log(sum)
}

// LnPhi returns the natural logarithm of the standard normal distribution function.
//
// Above -35 it is the logarithm of Erfc; further out, where Erfc leaves the float64 range, the asymptotic series
// Phi(x) = phi(x)/|x| (1 - 1/x^2 + 3/x^4 - 15/x^6 + ...) with seven terms (Abramowitz & Stegun 26.2.12).
// Relative accuracy is about 1e-14 everywhere; LnPhi(-Inf) = -Inf, LnPhi(+Inf) = 0.
func LnPhi(x float64) float64 {
	switch {
	case x > 0:
		return math.Log1p(-0.5 * math.Erfc(x/math.Sqrt2))
	case x > -35:
		return math.Log(0.5 * math.Erfc(-x/math.Sqrt2))
	case math.IsInf(x, -1):
		return x
	}
	return lnMills(x) - x*x/2
}

// lnMills returns LnPhi(x) + x^2/2. On the left the two would cancel; the asymptotic series gives the rest directly.
func lnMills(x float64) float64 {
	if x > -35 {
		return LnPhi(x) + x*x/2
	}
	u := 1 / (x * x)
	series := -u * (1 - 3*u*(1-5*u*(1-7*u*(1-9*u*(1-11*u)))))
	return math.Log1p(series) - math.Log(-x) - halfLn2Pi
}

// normalLoss returns E[(Z-z)+] = phi(z) - z Phi(-z) for a standard normal Z. For z > 1 the difference cancels; there
// it is phi(z) K/(z+K) with the continued fraction K = 1/(z+2/(z+3/(z+...))) of Mills' ratio (A&S 26.2.14).
func normalLoss(z float64) float64 {
	phi := math.Exp(-z*z/2 - halfLn2Pi)
	if z <= 1 {
		return phi - z*0.5*math.Erfc(z/math.Sqrt2)
	}
	k := 0.0
	for j := int(40 + 400/z); j >= 1; j-- {
		k = float64(j) / (z + k)
	}
	return phi * millsRest(z, k)
}

// millsRest is 1 - z R(z) = K'/(z+K') where k = 1/(z+2/(z+...)) is Mills' tail.
func millsRest(z, k float64) float64 { return k / (z + k) }

// halfLn2Pi is ln(2 pi)/2.
const halfLn2Pi = 0.91893853320467274178032973640562

// kahan is a compensated sum; the zero value is an empty sum.
type kahan struct{ sum, lost float64 }

func (k *kahan) add(x float64) {
	t := k.sum + x
	if math.Abs(k.sum) >= math.Abs(x) {
		k.lost += (k.sum - t) + x
	} else {
		k.lost += (x - t) + k.sum
	}
	k.sum = t
}

func (k *kahan) value() float64 { return k.sum + k.lost }

package stats

import "math"

// stirlingRest returns lnGamma(x) - [(x-1/2) ln x - x + ln(2 pi)/2], what Stirling's formula leaves, for x > 0.
// From 15 on by its series in 1/x (A&S 6.1.41, absolute error below 1e-13), below by the definition.
func stirlingRest(x float64) float64 {
	if x >= 15 {
		u := 1 / (x * x)
		return (1.0/12 - u*(1.0/360-u*(1.0/1260-u*(1.0/1680-u/1188)))) / x
	}
	lg, _ := math.Lgamma(x)
	return lg - ((x-0.5)*math.Log(x) - x + halfLn2Pi)
}

// deviance returns k ln(k/m) + m - k, the non-negative "bd0" of Loader, "Fast and accurate computation of binomial
// probabilities" (2000). It does not cancel for k near m: there a series in (k-m)/(k+m) replaces the logarithm.
// k >= 0, m > 0; deviance(0, m) = m.
func deviance(k, m float64) float64 {
	if k == 0 {
		return m
	}
	if math.Abs(k-m) >= 0.1*(k+m) {
		return k*math.Log(k/m) + m - k
	}
	v := (k - m) / (k + m)
	sum := (k - m) * v
	term := 2 * k * v
	v *= v
	for j := 3.0; j < 60; j += 2 {
		term *= v
		next := sum + term/j
		if next == sum {
			break
		}
		sum = next
	}
	return sum
}

// lnBetaKernel returns a ln x + b ln y - lnB(a,b) for y = 1-x, a,b > 0, 0 < x < 1. The sum of deviances stays exact
// where the difference of log-gammas loses ~1e-6 (a+b about 1e9); y is separate so that neither end loses digits.
func lnBetaKernel(a, b, x, y float64) float64 {
	n := a + b
	return -deviance(a, n*x) - deviance(b, n*y) + 0.5*(math.Log(a)+math.Log(b/n)) - halfLn2Pi -
		stirlingRest(a) - stirlingRest(b) + stirlingRest(n)
}

// BetaInc returns the regularised incomplete beta function I_x(a,b), the distribution function of Beta(a,b) at x.
//
// a, b in [1e-6, 1e15] (otherwise [ErrDomain]); x below 0 or above 1 gives 0 or 1. Up to 1e6 the continued fraction of A&S 26.5.8
// by Lentz' method, with an iteration limit that grows as sqrt(max(a,b)) (a fixed limit, as in Cephes and gonum, is
// silently wrong for large parameters: 1.29 instead of 0.5 at 1e9); above, where both parameters are that large, the uniform
// expansion of DLMF 8.18.9 with one correction term. Relative accuracy is about 1e-12 in the first regime; in the
// second about 1e-9 in the body and down to tails of exp(-700).
func BetaInc(a, b, x float64) (float64, error) {
	if !isShape(a, b) || math.IsNaN(x) {
		return 0, domain("BetaInc", "a=%g b=%g x=%g, want 1e-6 <= a,b <= 1e15", a, b, x)
	}
	return betaInc(a, b, x, 1-x), nil
}

// betaInc is BetaInc with y = 1-x given by the caller.
func betaInc(a, b, x, y float64) float64 {
	switch {
	case x <= 0:
		return 0
	case y <= 0:
		return 1
	case math.Min(a, b) > 1e6:
		return betaIncUniform(a, b, x, y)
	}
	k := math.Exp(lnBetaKernel(a, b, x, y))
	if x < (a+1)/(a+b+2) {
		return math.Min(1, k*betaFraction(a, b, x)/a)
	}
	return math.Max(0, 1-k*betaFraction(b, a, y)/b)
}

// betaFraction evaluates the continued fraction of I_x(a,b) a / kernel by Lentz' method.
func betaFraction(a, b, x float64) float64 {
	const tiny = 1e-300
	guard := func(v float64) float64 {
		if math.Abs(v) < tiny {
			return tiny
		}
		return v
	}
	c, d := 1.0, 1/guard(1-(a+b)*x/(a+1))
	h := d
	for m, last := 1.0, 200+20*math.Sqrt(math.Max(a, b)); m < last; m++ {
		even := m * (b - m) * x / ((a + 2*m - 1) * (a + 2*m))
		d, c = 1/guard(1+even*d), guard(1+even/c)
		h *= d * c
		odd := -(a + m) * (a + b + m) * x / ((a + 2*m) * (a + 2*m + 1))
		d, c = 1/guard(1+odd*d), guard(1+odd/c)
		step := d * c
		h *= step
		if !(math.Abs(step-1) >= 1e-15) { // also ends on a step that is not a number
			break
		}
	}
	return h
}

// betaIncUniform is the expansion for large a and b (DLMF 8.18.9, Temme 1982): with n = a+b, p = a/n and
// n eta^2/2 = deviance(a, nx) + deviance(b, ny), eta of the sign of x-p,
//
//	I_x(a,b) = Phi(eta sqrt n) + exp(-n eta^2/2)/sqrt(2 pi n) c0(eta),  c0 = 1/eta - sqrt(p q)/(x-p).
//
// The neglected term is about (n p q)^(-3/2), 1e-9 at the limit of use.
func betaIncUniform(a, b, x, y float64) float64 {
	n := a + b
	p, q := a/n, b/n
	s := math.Sqrt(p * q)
	t := x - p
	if p > 0.5 {
		t = q - y
	}
	dev := deviance(a, n*x) + deviance(b, n*y)
	eta := math.Copysign(math.Sqrt(2*dev/n), t)
	u := t / (p * q)
	c0 := ((q-p)/3 + u*((q-p)*(q-p)/6-(1-3*p*q)/4)) / s // its series in u, where the two poles cancel
	if math.Abs(u) >= 1e-3 {
		c0 = 1/eta - s/t
	}
	r := 0.5*math.Erfc(-eta*math.Sqrt(n/2)) + math.Exp(-dev-halfLn2Pi)/math.Sqrt(n)*c0
	return math.Min(1, math.Max(0, r))
}

// lnGammaQ returns ln of the regularised upper incomplete gamma function Q(a,x), a > 0. It is 0 for x <= 0. Series
// below a+1, Lentz' continued fraction above (A&S 6.5.29, 6.5.31), both with a limit that grows as sqrt(a); in logs, so that
// p-values of 1e-300000 keep all their digits. Relative accuracy of Q about 1e-12.
func lnGammaQ(a, x float64) float64 {
	if x <= 0 {
		return 0
	}
	if math.IsInf(x, 1) {
		return math.Inf(-1)
	}
	// x^a e^-x / Gamma(a) = exp(-deviance(a,x)) sqrt(a/2pi) / exp(stirlingRest(a))
	front := -deviance(a, x) + 0.5*math.Log(a) - halfLn2Pi - stirlingRest(a)
	limit := 1000 + 100*math.Sqrt(a)
	if x < a+1 {
		sum, term := 1/a, 1/a
		for k := 1.0; k < limit; k++ {
			term *= x / (a + k)
			sum += term
			if term < 1e-17*sum {
				break
			}
		}
		return math.Log1p(-math.Min(math.Exp(front)*sum, 1-1e-16))
	}
	b := x + 1 - a
	c, d := 1e300, 1/b
	h := d
	for n := 1.0; n < limit; n++ {
		an := -n * (n - a)
		b += 2
		d = an*d + b
		if math.Abs(d) < 1e-300 {
			d = 1e-300
		}
		c = b + an/c
		if math.Abs(c) < 1e-300 {
			c = 1e-300
		}
		d = 1 / d
		h *= d * c
		if math.Abs(d*c-1) < 1e-15 {
			break
		}
	}
	return front + math.Log(h)
}

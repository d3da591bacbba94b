package stats

import "math"

// BernoulliCS returns the exact time-uniform confidence sequence of a probability after k events in n trials:
// all p with E(p) < 1/alpha, where E mixes over a Beta(1/2,1/2) prior,
//
//	E(p) = B(1/2+k, 1/2+n-k) / B(1/2,1/2) / (p^k (1-p)^(n-k)).
//
// At level 1-alpha it covers p at all times at once. 0 <= k <= n, alpha in (0,1), otherwise [ErrDomain]. lo = 0 if k = 0 and hi = 1
// if k = n; n = 0 gives [0,1]. Relative accuracy of both ends (and of 1-hi) about 1e-12, at any count.
// Robbins 1970; Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform Chernoff bounds" (2020).
func BernoulliCS(k, n, alpha float64) (Interval, error) {
	if !isCount(k, n) || k > n || !isAlpha(alpha) {
		return Interval{}, domain("BernoulliCS", "k=%g n=%g alpha=%g", k, n, alpha)
	}
	c := newBernoulli(k, n)
	l := math.Log(1 / alpha)
	return Interval{c.lower(l), c.upper(l)}, nil
}

// bernoulli is the confidence sequence prepared for several levels: E(p) < exp(l) is
//
//	dev(p) < l + slack,  dev(p) = n KL(k/n || p),
//
// with slack = ln B(1/2,1/2) - lnB(k+1/2, n-k+1/2) + k ln(k/n) + (n-k) ln((n-k)/n) >= 0.
type bernoulli struct{ k, n, slack float64 }

func newBernoulli(k, n float64) bernoulli {
	if n == 0 {
		return bernoulli{}
	}
	return bernoulli{k, n, math.Log(math.Pi) - excess(k, n) - excess(n-k, n) - lnBetaRest(k+0.5, n-k+0.5)}
}

// excess is (k+1/2) ln((k+1/2)/(n+1)) - k ln(k/n), without cancellation.
func excess(k, n float64) float64 {
	r := 0.5 * math.Log((k+0.5)/(n+1))
	if k > 0 {
		r += k * (math.Log1p(0.5/k) - math.Log1p(1/n))
	}
	return r
}

// lnBetaRest is lnB(a,b) - a ln(a/(a+b)) - b ln(b/(a+b)).
func lnBetaRest(a, b float64) float64 {
	n := a + b
	return halfLn2Pi - 0.5*(math.Log(a)+math.Log(b/n)) + stirlingRest(a) + stirlingRest(b) - stirlingRest(n)
}

// upper returns the upper bound at ln(1/alpha) = l >= 0.
func (c bernoulli) upper(l float64) float64 {
	if c.k == c.n {
		return 1
	}
	t := math.Max(0, l+c.slack)
	if c.k == 0 {
		return -math.Expm1(-t / c.n)
	}
	x := c.solve(t, +1)
	return logistic(x + math.Log(c.k/(c.n-c.k)))
}

// lower returns the lower bound at ln(1/alpha) = l >= 0.
func (c bernoulli) lower(l float64) float64 {
	if c.k == 0 {
		return 0
	}
	t := math.Max(0, l+c.slack)
	if c.k == c.n {
		return math.Exp(-t / c.n)
	}
	x := c.solve(t, -1)
	return logistic(x + math.Log(c.k/(c.n-c.k)))
}

// solve returns x of the given sign with dev = t where p has logit(k/n) + x. As a function of x,
// dev = n ln(1 + ph (e^x - 1)) - k x is convex with minimum 0 at 0, so that Newton from outside does not overshoot.
func (c bernoulli) solve(t, side float64) float64 {
	if t == 0 {
		return 0
	}
	ph, qh := c.k/c.n, (c.n-c.k)/c.n
	dev := func(x float64) (v, slope float64) {
		e := math.Expm1(x)
		switch {
		case x < -1:
			v = c.n*math.Log(qh+ph*math.Exp(x)) - c.k*x
		case x > 1:
			v = c.n*math.Log(ph+qh*math.Exp(-x)) + (c.n-c.k)*x
		default:
			v = c.n*math.Log1p(ph*e) - c.k*x
		}
		// slope = n (p - ph), p - ph = ph qh e / (1 + ph e)
		if x > 1 {
			return v, c.n * ph * qh * -math.Expm1(-x) / (ph + qh*math.Exp(-x))
		}
		return v, c.n * ph * qh * e / (1 + ph*e)
	}
	x := side * math.Sqrt(2*t/(c.n*ph*qh))
	if math.Abs(x) > 1 { // beyond a unit the deviance grows linearly: start from that line
		arm := c.k
		if side > 0 {
			arm = c.n - c.k
		}
		x = side * math.Min(math.Abs(x), 1+t/arm)
	}
	for range 200 {
		v, slope := dev(x)
		if slope == 0 {
			return x
		}
		next := x - (v-t)/slope
		if next*side <= 0 {
			next = x / 2
		}
		if math.Abs(next-x) <= 1e-13*math.Abs(x) {
			return next
		}
		x = next
	}
	return x
}

package stats

import "math"

// GLRBernoulli returns the Chernoff statistic of two Bernoulli arms, z = nA kl(kA/nA, p) + nB kl(kB/nB, p) with the pooled p, and
// the customary threshold ln((1 + ln n)/delta), a heuristic that is conservative in practice, not a proven one. An empty
// arm is [ErrUndefined]; counts outside 0 <= k <= n or delta outside (0,1) are [ErrDomain].
func GLRBernoulli(nA, kA, nB, kB, delta float64) (z, threshold float64, err error) {
	if !isCount(nA, kA, nB, kB) || kA > nA || kB > nB || !isAlpha(delta) {
		return 0, 0, domain("GLRBernoulli", "nA=%g kA=%g nB=%g kB=%g delta=%g", nA, kA, nB, kB, delta)
	}
	if nA == 0 || nB == 0 {
		return 0, 0, undefined("GLRBernoulli", "an arm is empty")
	}
	n := nA + nB
	p, q := (kA+kB)/n, (nA-kA+nB-kB)/n
	if p > 0 && q > 0 {
		z = deviance(kA, nA*p) + deviance(nA-kA, nA*q) + deviance(kB, nB*p) + deviance(nB-kB, nB*q)
	}
	return z, math.Log((1 + math.Log(n)) / delta), nil
}

// TASWeights returns the track-and-stop allocation for finding the best of Bernoulli arms with means mu, and the characteristic
// time t* = 1/max_w min_a: the samples needed are about t* ln(1/delta) (Garivier & Kaufmann 2016, Theorem 5). With
// x_a(y) the inverse of g_a(x) = kl(mu1, m_a) + x kl(mu_a, m_a), m_a = (mu1 + x mu_a)/(1+x), the optimum solves
// sum_a kl(mu1, m_a)/kl(mu_a, m_a) = 1 in y; w_a is proportional to x_a and 1/t* = y w_1.
//
// Weights are in the order of mu. No unique best arm (or a single one) is [ErrUndefined], means outside (0,1) are [ErrDomain]. For planning;
// allocation itself does not need it.
func TASWeights(mu []float64) (weights []float64, tStar float64, err error) {
	best := 0
	for i, m := range mu {
		if !(m > 0 && m < 1) {
			return nil, 0, domain("TASWeights", "mean %d is %g, want (0,1)", i, m)
		}
		if m > mu[best] {
			best = i
		}
	}
	if len(mu) < 2 {
		return nil, 0, undefined("TASWeights", "fewer than two arms")
	}
	limit := math.Inf(1) // y stays below the smallest kl(mu1, mu_a), where x_a is infinite
	for i, m := range mu {
		if i == best {
			continue
		}
		if m == mu[best] {
			return nil, 0, undefined("TASWeights", "the best arm is not unique")
		}
		limit = math.Min(limit, bernoulliKL(mu[best], m))
	}
	balance := func(y float64) float64 {
		sum := 0.0
		for i, m := range mu {
			if i != best {
				mid := midMean(mu[best], m, tasInverse(mu[best], m, y))
				sum += bernoulliKL(mu[best], mid) / bernoulliKL(m, mid)
			}
		}
		return sum - 1
	}
	y := bracketRoot(balance, limit*1e-9, limit*(1-1e-9))
	weights = make([]float64, len(mu))
	total := 0.0
	for i, m := range mu {
		weights[i] = 1
		if i != best {
			weights[i] = tasInverse(mu[best], m, y)
		}
		total += weights[i]
	}
	for i := range weights {
		weights[i] /= total
	}
	return weights, total / y, nil
}

func midMean(best, other, x float64) float64 { return (best + x*other) / (1 + x) }

// tasInverse solves kl(best, mid) + x kl(other, mid) = y for x, 0 < y < kl(best, other).
func tasInverse(best, other, y float64) float64 {
	g := func(u float64) float64 { // u = x/(1+x) in (0,1)
		x := u / (1 - u)
		mid := midMean(best, other, x)
		return bernoulliKL(best, mid) + x*bernoulliKL(other, mid) - y
	}
	u := bracketRoot(g, 0, 1-1e-12)
	return u / (1 - u)
}

// bernoulliKL is p ln(p/q) + (1-p) ln((1-p)/(1-q)) without cancellation, 0 < q < 1.
func bernoulliKL(p, q float64) float64 { return deviance(p, q) + deviance(1-p, 1-q) }

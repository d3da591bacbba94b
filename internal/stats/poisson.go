package stats

import "math"

// PoissonComparison compares two event rates.
type PoissonComparison struct {
	Ratio                      float64 // (kB/tB)/(kA/tA), +Inf for kA = 0 < kB
	HasRatio                   bool    // false without any event
	PGreater, PLess, PTwoSided float64 // exact conditional p-values of ratio = ratio0
	LnE                        float64 // label evidence against ratio 1
}

// PoissonRates compares counts kA, kB over exposures tA, tB. Given n = kA+kB, kB is binomial with p = tB r0/(tA + tB r0); PTwoSided
// adds all outcomes no likelier than the one seen (with the customary relative slack of 1e-7). LnE is [LabelE] at
// rho = tB/(tA+tB) with prior standard deviation 0.5. The p-values are for one fixed look, LnE for any.
// Whole counts, tA, tB, ratio0 > 0, otherwise [ErrDomain].
func PoissonRates(kA, tA, kB, tB, ratio0 float64) (PoissonComparison, error) {
	const where = "PoissonRates"
	if !isCount(kA, kB) || kA != math.Floor(kA) || kB != math.Floor(kB) || !positive(tA, tB, ratio0) {
		return PoissonComparison{}, domain(where, "kA=%g tA=%g kB=%g tB=%g ratio0=%g", kA, tA, kB, tB, ratio0)
	}
	n := kA + kB
	if n == 0 {
		return PoissonComparison{PGreater: 1, PLess: 1, PTwoSided: 1}, nil
	}
	odds, share := tB/tA*ratio0, tB/tA
	b := binomial{n, odds / (1 + odds), 1 / (1 + odds)}
	rho := share / (1 + share)
	if !isShare(b.p) || !isShare(b.q) || !isShare(rho) {
		return PoissonComparison{}, domain(where, "exposures too far apart: %g and %g", tA, tB)
	}
	r := PoissonComparison{HasRatio: true, Ratio: math.Inf(1)}
	if kA > 0 {
		r.Ratio = kB / kA / share
	}
	r.PGreater, r.PLess, r.PTwoSided = b.upper(kB), b.lower(kB), b.twoSided(kB)
	r.LnE = lnLabelE(kA, kB, rho, 1/(0.25*rho*(1-rho)))
	return r, nil
}

// binomial is Binomial(n, p) with q = 1-p.
type binomial struct{ n, p, q float64 }

// upper is P(X >= k).
func (b binomial) upper(k float64) float64 {
	switch {
	case k <= 0:
		return 1
	case k > b.n:
		return 0
	}
	return betaInc(k, b.n-k+1, b.p, b.q)
}

// lower is P(X <= k).
func (b binomial) lower(k float64) float64 {
	switch {
	case k >= b.n:
		return 1
	case k < 0:
		return 0
	}
	return betaInc(b.n-k, k+1, b.q, b.p)
}

// lnProb is ln P(X = k).
func (b binomial) lnProb(k float64) float64 {
	switch k {
	case 0:
		return b.n * math.Log1p(-b.p)
	case b.n:
		return b.n * math.Log(b.p)
	}
	// C(n,k) p^k q^(n-k) = p^(k+1) q^(n-k+1) / B(k+1,n-k+1) / (p q (n+1))
	return lnBetaKernel(k+1, b.n-k+1, b.p, b.q) - math.Log(b.p) - math.Log(b.q) - math.Log(b.n+1)
}

// twoSided adds both tails of outcomes whose probability does not exceed that of k.
func (b binomial) twoSided(k float64) float64 {
	mean := b.n * b.p
	limit := b.lnProb(k) + 1e-7
	if math.Abs(k-mean) < 1e-12 {
		return 1
	}
	if k < mean {
		far, end := math.Ceil(mean)-1, b.n+1 // smallest outcome above the mean that is as unlikely
		for end-far > 1 {
			if m := math.Floor((far + end) / 2); b.lnProb(m) <= limit {
				end = m
			} else {
				far = m
			}
		}
		return math.Min(1, b.lower(k)+b.upper(end))
	}
	end, far := -1.0, math.Floor(mean)+1
	for far-end > 1 {
		if m := math.Floor((far + end) / 2); b.lnProb(m) <= limit {
			end = m
		} else {
			far = m
		}
	}
	return math.Min(1, b.upper(k)+b.lower(end))
}

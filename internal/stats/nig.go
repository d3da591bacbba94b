package stats

import (
	"math"
	"sort"
)

// NIG is a Normal-Inverse-Gamma distribution of a mean mu and a variance: mu | var ~ N(M, var/K), var ~ InvGamma(A, B). K, B > 0, 1e-6 <= A <= 1e15.
type NIG struct{ K, M, A, B float64 }

// Update returns the posterior after data with the given moments:
// k = k0+n, m = (k0 m0 + n mean)/k, a = a0 + n/2, b = b0 + M2/2 + k0 n (mean-m0)^2/(2k).
func (p NIG) Update(d Moments) NIG {
	if d.N == 0 {
		return p
	}
	k := p.K + d.N
	shift := d.Mean - p.M
	return NIG{
		K: k,
		M: p.M + shift*(d.N/k),
		A: p.A + d.N/2,
		B: p.B + d.M2/2 + p.K*(d.N/k)*shift*shift/2,
	}
}

// Scale returns sqrt(B/(A K)), the scale of the marginal Student t of the mean (2A degrees of freedom, centre M).
func (p NIG) Scale() float64 { return math.Sqrt(p.B / p.A / p.K) }

func (p NIG) valid() bool { return finite(p.M) && isShape(p.A) && positive(p.K, p.B, p.Scale()) }

// NIGCompare returns P(muB > muA) for two independent posteriors, the integral of one Student t density times the other's distribution
// function after mu = m + s sqrt(nu) tan(t), which makes heavy tails finite. Absolute accuracy about 1e-10. Parameters outside the domain of [NIG] are [ErrDomain].
// A display, not corrected for peeking.
func NIGCompare(a, b NIG) (float64, error) {
	if !a.valid() || !b.valid() {
		return 0, domain("NIGCompare", "A=%+v B=%+v", a, b)
	}
	if b.Scale() > a.Scale() { // integrate over the narrower one
		p, err := NIGCompare(b, a)
		return 1 - p, err
	}
	nuA, nuB, sA, sB := 2*a.A, 2*b.A, a.Scale(), b.Scale()
	root := math.Sqrt(nuB)
	lnNorm := lnTNorm(nuB) + math.Log(root)
	ends := []float64{-math.Pi / 2, math.Pi / 2}
	for _, k := range [...]float64{0, 0.5, 1, 2, 3, 4, 6, 8, 12, 20, 40, 100, 1000, 1e5} {
		for _, sign := range [...]float64{-1, 1} {
			ends = append(ends, math.Atan(sign*k/root), math.Atan((a.M+sign*k*sA-b.M)/sB/root))
		}
	}
	sort.Float64s(ends)
	total := 0.0
	for i := 1; i < len(ends); i++ {
		if ends[i] <= ends[i-1] {
			continue
		}
		total += gauss24.over(ends[i-1], ends[i], func(t float64) float64 {
			tan := math.Tan(t)
			weight := math.Exp(lnNorm - (nuB-1)/2*math.Log1p(tan*tan))
			if weight == 0 {
				return 0
			}
			return weight * studentCDF((b.M-a.M+sB*root*tan)/sA, nuA)
		})
	}
	return clamp01(total), nil
}

// lnTNorm is lnGamma((nu+1)/2) - lnGamma(nu/2) - ln(nu pi)/2, the log of Student's density at 0.
func lnTNorm(nu float64) float64 {
	return -lnBetaHalf(nu/2) - 0.5*math.Log(nu)
}

// lnBetaHalf is lnB(h, 1/2), without cancellation at large h.
func lnBetaHalf(h float64) float64 {
	if h < 15 {
		a, _ := math.Lgamma(h)
		c, _ := math.Lgamma(h + 0.5)
		return a + 0.5*math.Log(math.Pi) - c
	}
	return 0.5*math.Log(math.Pi) + stirlingRest(h) - stirlingRest(h+0.5) - h*math.Log1p(0.5/h) + 0.5 - 0.5*math.Log(h)
}

// studentCDF is the distribution function of Student's t with nu degrees of freedom.
func studentCDF(t, nu float64) float64 {
	tail := 0.5 * math.Exp(lnStudentTwoSided(t, nu))
	if t > 0 {
		return 1 - tail
	}
	return tail
}

// lnStudentTwoSided is ln P(|T| >= |t|) = ln I_{nu/(nu+t^2)}(nu/2, 1/2).
func lnStudentTwoSided(t, nu float64) float64 {
	if t == 0 {
		return 0
	}
	u := t * t / nu
	if math.IsInf(u, 1) { // beyond float64: leading power, x^h / (h B(h,1/2))
		return -nu*(math.Log(math.Abs(t))-0.5*math.Log(nu)) - math.Log(nu/2) - lnBetaHalf(nu/2)
	}
	h := nu / 2
	x, y := 1/(1+u), u/(1+u)
	ln := -h*math.Log1p(u) + 0.5*math.Log(y) - lnBetaHalf(h) // x^h y^(1/2) / B
	if x < (h+1)/(h+2.5) {
		return math.Min(0, ln+math.Log(betaFraction(h, 0.5, x)/h))
	}
	return math.Log1p(-math.Min(1-1e-16, math.Exp(ln)*betaFraction(0.5, h, y)/0.5))
}

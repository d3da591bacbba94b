package stats

import "math"

// bracketRoot returns x in [lo, hi] (either order) where f changes sign, to relative accuracy 1e-15 or 200 steps. If
// f has one sign on both ends, the end with the smaller |f| is returned. Regula falsi with the Illinois weight, and a
// bisection every third step, so that a curved f costs no more than three times a bisection.
func bracketRoot(f func(float64) float64, lo, hi float64) float64 {
	fl, fh := f(lo), f(hi)
	if fl == 0 {
		return lo
	}
	if fh == 0 {
		return hi
	}
	if (fl > 0) == (fh > 0) {
		if math.Abs(fl) < math.Abs(fh) {
			return lo
		}
		return hi
	}
	for i := 0; i < 200; i++ {
		m := lo + (hi-lo)/2
		if i%3 != 2 && !math.IsInf(fl, 0) && !math.IsInf(fh, 0) {
			m = lo - fl*((hi-lo)/(fh-fl))
		}
		if !(m > math.Min(lo, hi) && m < math.Max(lo, hi)) {
			m = lo + (hi-lo)/2
		}
		fm := f(m)
		if fm == 0 || m == lo || m == hi {
			return m
		}
		if (fm > 0) == (fh > 0) {
			hi, fh, fl = m, fm, fl/2
		} else {
			// keep hi as the newest end: the Illinois weight halves the end that stays
			lo, fl, hi, fh = hi, fh/2, m, fm
		}
		if math.Abs(hi-lo) <= 1e-15*math.Abs(m) {
			return m
		}
	}
	return lo + (hi-lo)/2
}

// smallestCount returns the smallest integer in [lo, hi] for which ok holds, assuming that ok stays true once true;
// found is false if ok(hi) is false.
func smallestCount(lo, hi float64, ok func(float64) bool) (n float64, found bool) {
	step := 1.0
	prev := lo
	for n = lo; !ok(n); step *= 2 {
		if n >= hi {
			return hi, false
		}
		prev = n
		n = math.Min(hi, n+step)
	}
	for n-prev > 1 {
		m := math.Floor(prev + (n-prev)/2)
		if ok(m) {
			n = m
		} else {
			prev = m
		}
	}
	return n, true
}

// rule holds nodes in (-1,1) and weights of a Gauss-Legendre quadrature.
type rule struct{ x, w []float64 }

var (
	gauss16 = gaussLegendre(16)
	gauss24 = gaussLegendre(24)
)

// gaussLegendre computes the n-point rule by Newton's method on the Legendre polynomial.
func gaussLegendre(n int) rule {
	r := rule{x: make([]float64, n), w: make([]float64, n)}
	for i := range n {
		z := math.Cos(math.Pi * (float64(i) + 0.75) / (float64(n) + 0.5))
		var slope float64
		for range 100 {
			p, before := 1.0, 0.0
			for j := range n {
				k := float64(j)
				p, before = ((2*k+1)*z*p-k*before)/(k+1), p
			}
			slope = float64(n) * (z*p - before) / (z*z - 1)
			step := p / slope
			z -= step
			if math.Abs(step) < 1e-16 {
				break
			}
		}
		r.x[n-1-i] = z
		r.w[n-1-i] = 2 / ((1 - z*z) * slope * slope)
	}
	return r
}

// over integrates f from lo to hi.
func (r rule) over(lo, hi float64, f func(float64) float64) float64 {
	mid, half := (lo+hi)/2, (hi-lo)/2
	sum := 0.0
	for i, x := range r.x {
		sum += r.w[i] * f(mid+half*x)
	}
	return half * sum
}

package stats

import "math"

// Moments are the mergeable first two moments of a sample: n, mean and M2, the sum of squared deviations from the
// mean. The zero value is an empty sample.
type Moments struct{ N, Mean, M2 float64 }

// Add takes in one finite value by Welford's recurrence (Technometrics 1962); it does not cancel for values far from zero.
func (m *Moments) Add(x float64) {
	m.N++
	d := x - m.Mean
	m.Mean += d / m.N
	m.M2 += d * (x - m.Mean)
}

// Merge returns the moments of both samples together (Chan, Golub, LeVeque 1979). It is commutative bit for bit
// and associative up to rounding.
func (m Moments) Merge(o Moments) Moments {
	if m.N == 0 {
		return o
	}
	if o.N == 0 {
		return m
	}
	if o.N > m.N || (o.N == m.N && o.Mean < m.Mean) {
		m, o = o, m // a fixed order makes merging commutative
	}
	n := m.N + o.N
	d := o.Mean - m.Mean
	return Moments{N: n, Mean: m.Mean + d*(o.N/n), M2: m.M2 + o.M2 + d*d*(m.N*(o.N/n))}
}

// Variance returns the unbiased variance M2/(n-1), or [ErrUndefined] below two values.
func (m Moments) Variance() (float64, error) {
	if m.N < 2 {
		return 0, undefined("Moments.Variance", "fewer than two values")
	}
	return math.Max(0, m.M2/(m.N-1)), nil
}

// MomentsOf returns the moments of a sample of finite values.
func MomentsOf(xs []float64) Moments {
	var m Moments
	for _, x := range xs {
		m.Add(x)
	}
	return m
}

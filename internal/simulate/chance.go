package simulate

import (
	"math"
	"math/rand/v2"
)

// chance draws random numbers. It belongs to one goroutine.
type chance struct{ *rand.Rand }

func newChance(seed, stream uint64) chance {
	return chance{rand.New(rand.NewPCG(seed, stream*0x9e3779b97f4a7c15+0x632be59bd9b4e019))}
}

// flip is true with probability p.
func (c chance) flip(p float64) bool { return p > 0 && c.Float64() < p }

// wait is the time to the first event of a Poisson process; +Inf for rate 0.
func (c chance) wait(rate float64) float64 {
	if rate <= 0 {
		return math.Inf(1)
	}
	return c.ExpFloat64() / rate
}

// few is the mean below which counts are drawn exactly.
const few = 6

// poisson draws a count with the given mean. Few by inversion, exact. From there on: a normal with the Cornish-Fisher corrections for skewness
// and kurtosis, and 1/12 less variance, which rounding gives back. Its distribution function differs by less than 0.0006, the mean by less
// than 0.00003 and the variance by less than 0.0003 of theirs, and much less from 10 on.
func (c chance) poisson(mean float64) float64 {
	switch {
	case mean <= 0:
		return 0
	case mean >= few:
		z := c.NormFloat64()
		return math.Max(0, math.Floor(mean+math.Sqrt(mean-1./12)*z+(z*z-1)/6+(z-z*z*z)/(72*math.Sqrt(mean))+0.5))
	}
	u := c.Float64()
	if u <= 1-mean {
		return 0 // exp(-mean) is larger still
	}
	p, n := math.Exp(-mean), 0.0
	for u > p && n < 100 {
		u -= p
		n++
		p *= mean / n
	}
	return n
}

// counts draws the counts of one row of independent Poisson processes over a time, adds them to into and returns their sum. The bins in which
// few are expected are one process along which one walks from event to event: exact, and cheap where nothing happens.
func (c chance) counts(rates []float64, dt float64, into []float64) (total float64) {
	into = into[:len(rates)]
	walked, next := 0.0, c.ExpFloat64()
	for i, r := range rates {
		m, n := r*dt, 0.0
		if m >= few {
			n = c.poisson(m)
		} else {
			for walked += m; next < walked; next += c.ExpFloat64() {
				n++
			}
		}
		into[i] += n
		total += n
	}
	return total
}

// gamma draws from Gamma(shape, 1) by Marsaglia and Tsang (ACM TOMS 26, 2000).
func (c chance) gamma(shape float64) float64 {
	if shape <= 0 {
		return 0
	}
	if shape < 1 {
		return c.gamma(shape+1) * math.Pow(c.Float64(), 1/shape)
	}
	d := shape - 1.0/3
	k := 1 / math.Sqrt(9*d)
	for {
		x := c.NormFloat64()
		v := 1 + k*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		if math.Log(1-c.Float64()) < x*x/2+d-d*v+d*math.Log(v) {
			return d * v
		}
	}
}

// beta draws a probability with mean p and concentration k: Beta(p k, (1-p) k).
func (c chance) beta(p, k float64) float64 {
	if p <= 0 || p >= 1 || math.IsInf(k, 1) {
		return p
	}
	a, b := c.gamma(p*k), c.gamma((1-p)*k)
	if a+b == 0 { // both underflow: all of the mass is at the ends
		if c.flip(p) {
			return 1
		}
		return 0
	}
	return a / (a + b)
}

// pick draws an index with the given probabilities, which add up to 1.
func (c chance) pick(p []float64) int {
	u := c.Float64()
	for i, x := range p {
		if u -= x; u < 0 {
			return i
		}
	}
	return len(p) - 1
}

// The upper tail of the normal distribution is read from a table: rates of millions of users are added up, and 1e-6 is plenty.
const (
	tailSteps = 256
	tailReach = 8
)

var tailTable = makeTails()

func makeTails() []float64 {
	t := make([]float64, 2*tailReach*tailSteps+2)
	for i := range t {
		t[i] = 0.5 * math.Erfc((float64(i)/tailSteps-tailReach)/math.Sqrt2)
	}
	return t
}

// tailOf is P(Z > z), to 2e-6.
func tailOf(z float64) float64 {
	x := (z + tailReach) * tailSteps
	if !(x > 0) {
		return 1
	}
	if x >= 2*tailReach*tailSteps {
		return 0
	}
	i := int(x)
	return tailTable[i] + (x-float64(i))*(tailTable[i+1]-tailTable[i])
}

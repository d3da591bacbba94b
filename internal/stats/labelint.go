package stats

import "math"

// labelDrop is by how many nats an integrand may fall before the rest is dropped: exp(-38) is 3e-17.
const labelDrop = 38

func (l Label) informative(d0 float64) bool { return len(l.cells) > 0 && finite(d0) }

// centred is the log-likelihood seen from a point m. With theta_s = theta_s(m),
//
//	l(m+x) - l(m) = KB x - sum_s k_s ln(1 + theta_s (e^x - 1)),
//
// which keeps all digits at 1e9 events, where l itself has lost seven.
type centred struct {
	cells  []centredCell
	few    [4]centredCell // storage of cells for up to four shares, spares an allocation
	ka, kb float64
	// The prior N(c, sigma^2) relative to m: off = m-c, prec = 1/sigma^2; prec = 0 is no prior.
	off, prec float64
}

type centredCell struct{ k, theta, rest float64 } // rest = 1-theta, not computed by subtraction

// around returns l seen from m, without a prior.
func (l *Label) around(m float64) *centred {
	c := &centred{ka: l.ka, kb: l.kb}
	c.cells = c.few[:0]
	if len(l.cells) > len(c.few) {
		c.cells = make([]centredCell, 0, len(l.cells))
	}
	for _, cell := range l.cells {
		t := m + cell.logit
		c.cells = append(c.cells, centredCell{cell.k, logistic(t), logistic(-t)})
	}
	return c
}

func (c *centred) withPrior(m, centre, sigma float64) *centred {
	c.off, c.prec = m-centre, 1/(sigma*sigma)
	return c
}

func logistic(t float64) float64 { return 1 / (1 + math.Exp(-t)) }

// loglik is l(m+x) - l(m). Which form of ln(1-theta + theta e^x) is exact depends on x.
func (c *centred) loglik(x float64) float64 {
	sum := c.kb * x
	switch {
	case x < -1:
		e := math.Exp(x)
		for i := range c.cells {
			s := &c.cells[i]
			sum -= s.k * math.Log(s.rest+s.theta*e)
		}
	case x > 1:
		e := math.Exp(-x)
		sum = -c.ka * x
		for i := range c.cells {
			s := &c.cells[i]
			sum -= s.k * math.Log(s.theta+s.rest*e)
		}
	default:
		e := math.Expm1(x)
		for i := range c.cells {
			s := &c.cells[i]
			sum -= s.k * math.Log1p(s.theta*e)
		}
	}
	return sum
}

// height is the log of likelihood times prior at m+x relative to m.
func (c *centred) height(x float64) float64 {
	return c.loglik(x) - c.prec*x*(c.off+x/2)
}

// slope returns the first derivative of height and the negative second one at x.
func (c *centred) slope(x float64) (first, curve float64) {
	first, curve = c.kb-c.prec*(c.off+x), c.prec
	e := math.Exp(x)
	for i := range c.cells {
		s := &c.cells[i]
		theta := 1.0
		if !math.IsInf(e, 1) {
			theta = s.theta * e / (s.rest + s.theta*e)
		}
		first -= s.k * theta
		curve += s.k * theta * (1 - theta)
	}
	return first, curve
}

// mode maximises l(d) - (d-c)^2/(2 sigma^2); sigma = +Inf gives the maximum of l. Newton's method inside a bracket:
// the slope falls everywhere, by at least 1/sigma^2 per unit.
func (l *Label) mode(c, sigma float64) float64 {
	at := l.around(c).withPrior(c, c, sigma)
	first, curve := at.slope(0)
	if first == 0 {
		return c
	}
	lo, hi := -800.0, 800.0
	if reach := sigma * sigma * math.Abs(first); first > 0 {
		lo, hi = 0, math.Min(hi, reach)
	} else {
		lo, hi = math.Max(lo, -reach), 0
	}
	x := 0.0
	for range 200 {
		next := x + first/curve
		if !(next > lo && next < hi) {
			next = lo + (hi-lo)/2
		}
		if math.Abs(next-x) <= 1e-9*math.Min(1, 1/math.Sqrt(curve)) || hi-lo < 1e-15*math.Max(1, math.Abs(hi)) {
			x = next
			break
		}
		x = next
		if first, curve = at.slope(x); first > 0 {
			lo = x
		} else {
			hi = x
		}
	}
	return c + x
}

// lnMixture returns the mode m of l(d) + ln N(d; 0, sigma^2) and ln INT exp(l(d) - l(m)) N(d; 0, sigma^2) dd.
func (l *Label) lnMixture() (m, lnI float64) {
	m = l.mode(0, l.sigma)
	at := l.around(m).withPrior(m, 0, l.sigma)
	area := at.outward(+1, math.Inf(1)) + at.outward(-1, math.Inf(1))
	return m, math.Log(area) - halfLn2Pi - math.Log(l.sigma) - m*m/(2*l.sigma*l.sigma)
}

// lnTail returns ln INT exp(l(d) - l(d0)) N(d-d0; 0, sigma^2) dd over d > d0 (side +1) or d < d0 (side -1). If the
// mode lies on that side the integral splits there, otherwise it is a boundary layer at d0.
func (l *Label) lnTail(d0 float64, side float64) float64 {
	norm := -halfLn2Pi - math.Log(l.sigma)
	m := l.mode(d0, l.sigma)
	out := (m - d0) * side
	if out <= 0 {
		at := l.around(d0).withPrior(d0, d0, l.sigma)
		return norm + math.Log(at.outward(side, math.Inf(1)))
	}
	at := l.around(m).withPrior(m, d0, l.sigma)
	area := at.outward(side, math.Inf(1)) + at.outward(-side, out)
	return norm + math.Log(area) - at.height(d0-m)
}

// outward integrates exp(height) from 0 in the given direction, where height does not rise, up to limit. The reach of
// the integrand is found first; two Gauss-Legendre panels then cover anything between a Gaussian and an exponential.
func (c *centred) outward(side, limit float64) float64 {
	w := math.Min(c.reach(side), limit)
	f := func(x float64) float64 { return math.Exp(math.Min(0, c.height(side*x))) }
	return gauss16.over(0, w/4, f) + gauss16.over(w/4, w, f)
}

// reach returns a distance at which height has fallen by roughly labelDrop. height is concave, so Newton from beyond
// converges without overshooting; the start solves the local parabola.
func (c *centred) reach(side float64) float64 {
	first, curve := c.slope(0)
	fall := math.Max(0, -side*first)
	w := 2 * labelDrop / (fall + math.Sqrt(fall*fall+2*labelDrop*curve))
	for range 100 {
		h := c.height(side * w)
		switch {
		case h > -0.85*labelDrop:
			w *= 1.4
		case h < -1.2*labelDrop:
			first, _ = c.slope(side * w)
			w += (h + labelDrop) / math.Max(-side*first, labelDrop/w)
		default:
			return w
		}
	}
	return w
}

// crossing returns how far from 0 in the given direction the log-likelihood falls to cut < 0. The likelihood is
// concave; the caller makes sure that it falls without bound on this side.
func (c *centred) crossing(side, cut float64) float64 {
	f := func(x float64) float64 { return c.loglik(side*x) - cut }
	_, curve := c.slope(0)
	hi := 1.0
	if curve > 0 {
		hi = math.Sqrt(-2 * cut / curve)
	}
	lo := 0.0
	for range 200 {
		if f(hi) <= 0 {
			break
		}
		lo, hi = hi, hi*2
	}
	return bracketRoot(f, lo, hi)
}

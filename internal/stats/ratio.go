package stats

import "math"

// UnitSums are the unit-level sums of an outcome y and a second quantity x (a denominator or a covariate).
type UnitSums struct{ N, SY, SX, SYY, SXX, SXY float64 }

// Merge adds the sums of other units.
func (s UnitSums) Merge(o UnitSums) UnitSums {
	return UnitSums{s.N + o.N, s.SY + o.SY, s.SX + o.SX, s.SYY + o.SYY, s.SXX + o.SXX, s.SXY + o.SXY}
}

func (s UnitSums) valid() bool {
	return isCount(s.N) && notNegative(s.SYY, s.SXX) && finite(s.SY, s.SX, s.SXY)
}

// centred returns means and centred sums of squares and products; n > 0.
func (s UnitSums) centred() (my, mx, yy, xx, xy float64) {
	my, mx = s.SY/s.N, s.SX/s.N
	return my, mx, s.SYY - s.SY*my, s.SXX - s.SX*mx, s.SXY - s.SX*my
}

// RatioEstimate is sum y / sum x with its variance.
type RatioEstimate struct {
	Ratio  float64
	Var    float64 // variance of Ratio
	HasVar bool    // false below two units
}

// DeltaRatio returns the ratio metric sum(y)/sum(x) over units and its delta-method variance,
//
//	(vy - 2 r cov + r^2 vx) / (mx^2 n),  unbiased (n-1) moments.
//
// sum x = 0 is [ErrUndefined]; negative n or squares and non-finite sums are [ErrDomain]. For data far from zero shift them first:
// raw sums of squares cancel.
func DeltaRatio(s UnitSums) (RatioEstimate, error) {
	if !s.valid() {
		return RatioEstimate{}, domain("DeltaRatio", "%+v", s)
	}
	if s.SX == 0 || s.N == 0 {
		return RatioEstimate{}, undefined("DeltaRatio", "the denominator is zero")
	}
	r := RatioEstimate{Ratio: s.SY / s.SX}
	if s.N >= 2 {
		_, mx, yy, xx, xy := s.centred()
		r.Var = math.Max(0, (yy-2*r.Ratio*xy+r.Ratio*r.Ratio*xx)/(s.N-1)/mx/mx/s.N)
		r.HasVar = true
	}
	if !finite(r.Ratio, r.Var) {
		return RatioEstimate{}, domain("DeltaRatio", "result beyond the float64 range")
	}
	return r, nil
}

// CUPEDResult is a difference of means before and after adjustment.
type CUPEDResult struct {
	Theta            float64 // slope of y on x within arms
	DiffRaw, DiffAdj float64 // B - A
	VarRaw, VarAdj   float64
}

// CUPED adjusts a difference of means for a covariate x from before the release (Deng, Xu, Kohavi, Walker 2013), with the pooled within-arm
// slope theta = (Sxy_A + Sxy_B)/(Sxx_A + Sxx_B), 0 if x does not vary: DiffAdj = (yB-yA) - theta (xB-xA), VarAdj the sum over arms of
// the sample variance of y - theta x over n. It equals least squares of y on arm and x. Fewer than two units in an arm is [ErrUndefined].
func CUPED(a, b UnitSums) (CUPEDResult, error) {
	if !a.valid() || !b.valid() {
		return CUPEDResult{}, domain("CUPED", "A=%+v B=%+v", a, b)
	}
	if a.N < 2 || b.N < 2 {
		return CUPEDResult{}, undefined("CUPED", "fewer than two units in an arm")
	}
	ya, xa, yyA, xxA, xyA := a.centred()
	yb, xb, yyB, xxB, xyB := b.centred()
	var r CUPEDResult
	if den := xxA + xxB; den > 1e-12*(a.SXX+b.SXX) {
		r.Theta = (xyA + xyB) / den
	}
	residual := func(s UnitSums, yy, xx, xy float64) float64 {
		return math.Max(0, (yy+r.Theta*r.Theta*xx-2*r.Theta*xy)/(s.N-1)/s.N)
	}
	r.DiffRaw = yb - ya
	r.DiffAdj = r.DiffRaw - r.Theta*(xb-xa)
	r.VarRaw = math.Max(0, yyA/(a.N-1)/a.N) + math.Max(0, yyB/(b.N-1)/b.N)
	r.VarAdj = residual(a, yyA, xxA, xyA) + residual(b, yyB, xxB, xyB)
	if !finite(r.Theta, r.DiffAdj, r.VarRaw, r.VarAdj) {
		return CUPEDResult{}, domain("CUPED", "result beyond the float64 range")
	}
	return r, nil
}

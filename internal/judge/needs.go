package judge

import (
	"math"
)

// furthest is how many times the present data a forecast looks ahead; beyond, nothing useful can be promised.
const furthest = 1e4

// needs forecasts what an undecided verdict still needs: the smallest multiple of the present data with which it would be
// decided if both arms went on exactly as now (closed forms on scaled sums; half of all releases need more). The evidence
// of E1 is left out: it only makes harm come sooner.
func (j *judging) needs(s *subject, v *Verdict, f *finding) {
	switch v.State {
	case Undecided, BurnIn, TooFewUnit:
	default:
		return
	}
	if !s.decides() || f.reached == nil || f.exposures == 0 {
		return
	}
	if f.early {
		v.Needs = &Needs{Seconds: f.wait, Text: "waits until the first users' windows are over, " + span(f.wait)}
		return
	}
	more, ok := smallest(f.reached)
	if !ok {
		v.Needs = &Needs{Text: "with the difference as it is now, more data would not decide soon"}
		return
	}
	n := Needs{Exposures: math.Ceil((more - 1) * f.exposures), Units: math.Ceil((more - 1) * f.units)}
	if j.in.Rate > 0 {
		n.Seconds = n.Exposures/j.in.Rate + f.wait
	}
	if v.State == TooFewUnit && j.in.UnitRate > 0 {
		n.Seconds = math.Max(n.Seconds, n.Units/j.in.UnitRate)
	}
	n.Seconds = clamp(n.Seconds, 0, 1e12)
	n.Text = needsText(n, v.State)
	v.Needs = &n
}

// smallest returns the smallest multiple >= 1 at which reached holds, to 2 %, assuming that it stays true once true.
func smallest(reached func(float64) bool) (float64, bool) {
	lo, hi := 1.0, 2.0
	for !reached(hi) {
		if lo, hi = hi, hi*4; lo >= furthest {
			return 0, false
		}
	}
	for hi/lo > 1.02 {
		mid := math.Sqrt(lo * hi)
		if reached(mid) {
			hi = mid
		} else {
			lo = mid
		}
	}
	return hi, true
}

package judge

import (
	"math"
	"math/bits"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/stats"
)

// Gates of E2 (R2): below them the normal approximation is not trusted.
const (
	minKEff  = 20 // effective bins of each arm
	minBins  = 10 // 0/1 data: bins of each arm with either outcome
	manyRows = 200
)

// sums are one arm's observations and their sum by bin, in one stratum.
type sums struct{ n, y []float64 }

func (s sums) ok() bool { return len(s.n) == release.Bins && len(s.y) == release.Bins }

// binFit is one stratum: observations, value and variance of either arm, and what is adjusted in it (see adjust).
type binFit struct {
	nA, nB, a, b, vA, vB float64
	adj                  *adjustment
}

// binSum collects strata for E2. It is stats.BinDifference taken apart so that closed strata are added once and any
// factor on live can be asked afterwards (see binned); a test holds the two together.
type binSum struct {
	fits         []binFit
	inflA, inflB []float64  // sum over strata of w_s r_sb/N_s, by bin
	nA, nB       []float64  // observations, by bin
	with         [2]bitset  // bins of live and candidate in which the outcome occurs
	without      [2]bitset  // bins in which it is missing
	total        [2]float64 // observations of either arm
}

// binned is what E2 needs of a binSum, without its bins.
type binned struct {
	fits       []binFit
	w          float64 // sum of w_s
	aa, ab, bb float64 // sums over bins of the products of the arms' influences
	kA, kB     float64 // effective bins
	least      int     // smallest number of bins that have one of the outcomes in one of the arms
	leastLive  int     // the same without the candidate's bins with the outcome
	total      [2]float64
	seen       [2]float64 // observations of either arm, those of strata left out included
}

type bitset [release.Bins / 64]uint64

func (b *bitset) count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

func newBinSum() *binSum {
	buf := make([]float64, 4*release.Bins)
	part := func(i int) []float64 { return buf[i*release.Bins : (i+1)*release.Bins : (i+1)*release.Bins] }
	return &binSum{inflA: part(0), inflB: part(1), nA: part(2), nB: part(3)}
}

// reset makes c equal to o (nil: empty) without sharing memory.
func (c *binSum) reset(o *binSum) {
	if o == nil {
		c.fits = c.fits[:0]
		for _, r := range [][]float64{c.inflA, c.inflB, c.nA, c.nB} {
			clear(r)
		}
		c.with, c.without, c.total = [2]bitset{}, [2]bitset{}, [2]float64{}
		return
	}
	c.fits = append(c.fits[:0], o.fits...)
	copy(c.inflA, o.inflA)
	copy(c.inflB, o.inflB)
	copy(c.nA, o.nA)
	copy(c.nB, o.nB)
	c.with, c.without, c.total = o.with, o.without, o.total
}

// add takes in one stratum. One in which an arm has fewer than two bins with observations says nothing about
// variance and is left out, as in stats.BinDifference.
func (c *binSum) add(a, b sums) { c.addAdjusted(a, b, nil) }

// addAdjusted is add with a covariate from before the stratum; nil: none.
func (c *binSum) addAdjusted(a, b sums, x *covariate) {
	if !a.ok() || !b.ok() {
		return
	}
	fA, okA := fit(a)
	fB, okB := fit(b)
	if !okA || !okB {
		return
	}
	f := binFit{nA: fA.n, nB: fB.n, a: fA.theta, b: fB.theta, vA: fA.v, vB: fB.v}
	w := f.weight()
	if x != nil {
		f.adj = x.adjust(a, b, fA, fB)
	}
	if f.adj != nil {
		x.influence(c.inflA, c.inflB, w, f.adj)
	}
	c.fits = append(c.fits, f)
	c.total[0] += f.nA
	c.total[1] += f.nB
	addInfluence(c.inflA, c.nA, a, fA.theta, w/f.nA)
	addInfluence(c.inflB, c.nB, b, fB.theta, w/f.nB)
	c.mark(0, a)
	c.mark(1, b)
}

// weight is the Mantel-Haenszel weight of a stratum: it does not look at outcomes.
func (f *binFit) weight() float64 { return f.nA * (f.nB / (f.nA + f.nB)) }

func addInfluence(infl, n []float64, s sums, theta, k float64) {
	infl, n, y := infl[:len(s.n)], n[:len(s.n)], s.y[:len(s.n)]
	for i, x := range s.n {
		infl[i] += k * (y[i] - theta*x)
		n[i] += x
	}
}

// mark notes in which bins the outcome occurs and in which it is missing, a word of bins at a time.
func (c *binSum) mark(arm int, s sums) {
	for w := range c.with[arm] {
		var with, without uint64
		y := s.y[w*64 : w*64+64]
		for i, n := range s.n[w*64 : w*64+64] {
			if y[i] > 0 {
				with |= 1 << i
			}
			if y[i] < n {
				without |= 1 << i
			}
		}
		c.with[arm][w] |= with
		c.without[arm][w] |= without
	}
}

// armFit is one arm of one stratum: observations, mean, variance of the mean (R2).
type armFit struct{ n, theta, v float64 }

func fit(s sums) (f armFit, ok bool) {
	var y float64
	k := 0
	for i, x := range s.n {
		f.n += x
		y += s.y[i]
		if x > 0 {
			k++
		}
	}
	if k < 2 {
		return f, false
	}
	f.theta = y / f.n
	var squares float64
	for i, x := range s.n {
		d := s.y[i] - f.theta*x
		squares += d * d
	}
	if scale := math.Abs(y) * 1e-14; squares <= scale*scale {
		squares = 0 // a constant leaves rounding only
	}
	f.v = float64(k) / float64(k-1) * squares / f.n / f.n
	return f, true
}

// binned reduces the bins to what is asked of them.
func (c *binSum) binned() *binned {
	s := &binned{fits: append([]binFit(nil), c.fits...), total: c.total}
	for i := range s.fits {
		s.w += s.fits[i].weight()
	}
	for i, a := range c.inflA {
		b := c.inflB[i]
		s.aa += a * a
		s.ab += a * b
		s.bb += b * b
	}
	s.kA, s.kB = effectiveBins(c.nA), effectiveBins(c.nB)
	s.leastLive = min(c.with[0].count(), c.without[0].count(), c.without[1].count())
	s.least = min(s.leastLive, c.with[1].count())
	return s
}

// effect is candidate minus factor times live, with its variance.
type effect struct{ d, v float64 }

// effect estimates candidate minus factor*live over all strata (R2): weights w_s, V the larger of the strata's sum and
// the bins' sum, each stratum's the larger of unpooled and pooled.
func (c *binned) effect(factor float64) (e effect, ok bool) {
	if c.w == 0 {
		return effect{}, false
	}
	f2 := factor * factor
	var sumV, slopes float64
	for i := range c.fits {
		s := &c.fits[i]
		w := s.weight()
		d, vA, vB, extra := s.b-factor*s.a, f2*s.vA, s.vB, 0.0
		if s.adj != nil {
			d, vA, vB, extra = s.adj.effect(factor, d, vA, vB)
		}
		e.d += w * d
		pooled := (vA*s.nA*s.nA + vB*s.nB*s.nB) / (s.nA + s.nB) * (1/s.nA + 1/s.nB)
		sumV += w * w * (math.Max(vA+vB, pooled) + extra)
		slopes += w * w * extra
	}
	between := c.bb - 2*factor*c.ab + f2*c.aa + slopes
	e.d /= c.w
	e.v = math.Max(sumV, between) / c.w / c.w
	return e, !math.IsNaN(e.d) && !math.IsInf(e.d, 0) && !math.IsInf(e.v, 0)
}

// values returns the arms' means in the estimate's own weights, so that their difference is the estimate; plain means
// over strata would mix the arms' different histories.
func (c *binned) values() (a, b float64) {
	for i := range c.fits {
		w := c.fits[i].weight()
		x, y := c.fits[i].a, c.fits[i].b
		if adj := c.fits[i].adj; adj != nil {
			x, y = x+adj.toA, y-adj.toB
		}
		a += w * x
		b += w * y
	}
	if c.w > 0 {
		a, b = a/c.w, b/c.w
	}
	return a, b
}

// kEff is the effective number of bins of the arm that has fewer.
func (c *binned) kEff() float64 { return math.Min(c.kA, c.kB) }

// gate says why E2 may not speak yet: "" when it may.
func (c *binned) gate(binary bool) State {
	if c.kEff() < minKEff {
		if math.Min(c.total[0], c.total[1]) >= manyRows {
			return TooFewUnit
		}
		return BurnIn
	}
	if binary && c.least < minBins {
		return BurnIn
	}
	return ""
}

func effectiveBins(n []float64) float64 {
	var sum, squares float64
	for _, x := range n {
		sum += x
		squares += x * x
	}
	if squares == 0 {
		return 0
	}
	return sum * (sum / squares)
}

// above is E2's ln E for "worse than b": the effect in the direction of harm exceeds the bound. 0 without evidence.
func above(mix stats.Mixture, e effect, worse float64, b bound) float64 {
	ln, err := mix.LnAbove(worse*e.d, e.v, b.shift)
	if err != nil {
		return 0
	}
	return ln
}

// below is the mirror image of above: less bad than b.
func below(mix stats.Mixture, e effect, worse float64, b bound) float64 {
	ln, err := mix.LnBelow(worse*e.d, e.v, b.shift)
	if err != nil {
		return 0
	}
	return ln
}

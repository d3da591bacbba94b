package judge

import (
	"fmt"
	"math"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/stats"
	"sluice.dev/sluice/internal/tally"
)

// driftSum collects strata for the balanced Jensen-Shannon divergence (R6). Each stratum's divergence and its jackknife
// over bins is stats.CategoryDrift of that stratum; strata then combine as in E2: weights w_s, variance the larger of
// the strata's and the bins' (the same users are in every stratum).
type driftSum struct {
	fits   []driftFit
	infl   []float64 // sum over strata of w_s times the jackknife's influence, by bin
	nA, nB []float64 // observations by bin
	catA   []float64 // counts by category, all strata
	catB   []float64
	w      float64
	total  [2]float64
}

type driftFit struct{ w, bits, v float64 }

func newDriftSum() *driftSum {
	buf := make([]float64, 3*release.Bins)
	return &driftSum{infl: buf[:release.Bins], nA: buf[release.Bins : 2*release.Bins], nB: buf[2*release.Bins:]}
}

// reset makes d equal to o (nil: empty) without sharing memory.
func (d *driftSum) reset(o *driftSum) {
	if o == nil {
		d.fits, d.catA, d.catB = d.fits[:0], d.catA[:0], d.catB[:0]
		d.w, d.total = 0, [2]float64{}
		for _, r := range [][]float64{d.infl, d.nA, d.nB} {
			clear(r)
		}
		return
	}
	d.fits = append(d.fits[:0], o.fits...)
	copy(d.infl, o.infl)
	copy(d.nA, o.nA)
	copy(d.nB, o.nB)
	d.catA = append(d.catA[:0], o.catA...)
	d.catB = append(d.catB[:0], o.catB...)
	d.w, d.total = o.w, o.total
}

// rows are one arm's counts: by category, then bin; a nil row is a category that did not occur.
type rows [][]float64

// add takes in one stratum.
func (d *driftSum) add(a, b rows) {
	t := newDriftTable(a, b)
	if t.nA == 0 || t.nB == 0 {
		return
	}
	bits, v, infl, ok := t.jackknife()
	if !ok {
		return
	}
	w := t.nA * (t.nB / (t.nA + t.nB))
	d.fits = append(d.fits, driftFit{w, bits, v})
	d.w += w
	for i := range d.infl {
		d.infl[i] += w * infl[i]
		d.nA[i] += t.rowA[i]
		d.nB[i] += t.rowB[i]
	}
	d.total[0] += t.nA
	d.total[1] += t.nB
	d.catA = addTo(d.catA, t.sumA)
	d.catB = addTo(d.catB, t.sumB)
}

func addTo(to, x []float64) []float64 {
	if len(to) < len(x) {
		to = append(to, make([]float64, len(x)-len(to))...)
	}
	for i, v := range x {
		to[i] += v
	}
	return to
}

// effect is the combined divergence in bits with its variance.
func (d *driftSum) effect() (effect, bool) {
	if d.w == 0 {
		return effect{}, false
	}
	var e effect
	for _, f := range d.fits {
		e.d += f.w * f.bits
		e.v += f.w * f.w * f.v
	}
	var between float64
	for _, x := range d.infl {
		between += x * x
	}
	e.d /= d.w
	e.v = math.Max(e.v, between) / d.w / d.w
	if e.v == 0 {
		// Nothing varies, for instance because there is only one answer. One bin that differed would move the
		// divergence by about half a bit over the number of bins: no smaller deviation can be claimed.
		k := math.Min(effectiveBins(d.nA), effectiveBins(d.nB))
		e.v = 0.25 / math.Max(1, k*k)
	}
	return e, true
}

func (d *driftSum) gate() State {
	k := math.Min(effectiveBins(d.nA), effectiveBins(d.nB))
	switch {
	case k >= minKEff:
		return ""
	case math.Min(d.total[0], d.total[1]) >= manyRows:
		return TooFewUnit
	}
	return BurnIn
}

// drifted judges a category metric on serving strata.
func (j *judging) drifted(s *subject, vs []versus, m marks, f *finding) {
	all := j.cache.drift(s, compRate, vs, m)
	ps := processes(vs, longWeight)
	if len(ps) == 0 {
		s.category(all, "drift", 0, f)
		return
	}
	s.category(all, "drift/"+ps[0].name, s.serving*ps[0].weight, f)
	f.detail = j.moved(s, all)
	if len(ps) < 2 || !s.hasMix {
		return
	}
	p := ps[1]
	d := j.cache.drift(s, compEpoch, p.vs, marksOf(s.index, p.vs))
	c := component{name: "drift/" + p.name, share: s.serving * p.weight}
	if e, ok := d.effect(); ok && d.gate() == "" {
		c.ln, c.how = above(s.mix, e, 1, s.tolerate), s.mixedAbove(s.mix, e, 1, s.tolerate)
	}
	f.harm = append(f.harm, c)
}

// category judges a category metric: harm above tolerate, no worse below margin, both of the divergence.
func (s *subject) category(d *driftSum, name string, share float64, f *finding) {
	f.unit = string(release.Bits)
	f.live.KEff, f.cand.KEff = effectiveBins(d.nA), effectiveBins(d.nB)
	f.live.Value, f.cand.Value = entropyBits(d.catA), entropyBits(d.catB)
	f.gate = d.gate()
	e, ok := d.effect()
	if !ok || !s.hasMix {
		if f.gate == "" {
			f.gate = BurnIn
		}
		return
	}
	f.estimate = clamp(e.d, 0, 1)
	f.reached = func(more float64) bool {
		if f.gate != "" {
			return math.Min(f.live.KEff, f.cand.KEff)*more >= minKEff
		}
		n := effect{e.d, e.v / more}
		return below(s.mix, n, 1, s.margin) >= -math.Log(s.alpha) ||
			above(s.mix, n, 1, s.tolerate)+math.Log(share*s.weight) >= -math.Log(s.alpha)
	}
	if f.gate != "" {
		return
	}
	if i, err := s.mix.Interval(e.d, e.v, s.alpha); err == nil {
		f.lo, f.hi, f.level = clamp(i.Lo, 0, 1), clamp(i.Hi, 0, 1), 1-2*s.alpha
		f.bounds = s.mixedEnds(s.mix, e, i)
	}
	f.harm = append(f.harm, component{name, share, above(s.mix, e, 1, s.tolerate), s.mixedAbove(s.mix, e, 1, s.tolerate)})
	f.noWorse = below(s.mix, e, 1, s.margin)
	s.prove(&f.noWorseBy, f.noWorse, 1, s.mixedBelow(s.mix, e, 1, s.margin))
}

// moved names the answer whose share differs most, for instance " (reject 65 % against 30 %)".
func (j *judging) moved(s *subject, d *driftSum) string {
	if j.in.View == nil || s.index >= len(j.in.View.Categories) || d.total[0] == 0 || d.total[1] == 0 {
		return ""
	}
	best, text := 0.0, ""
	for c, name := range j.in.View.Categories[s.index] {
		if c >= len(d.catA) || c >= len(d.catB) {
			break
		}
		a, b := d.catA[c]/d.total[0], d.catB[c]/d.total[1]
		if diff := math.Abs(b - a); diff > best {
			best, text = diff, fmt.Sprintf(" (%s %s against %s)", name, percent(b), percent(a))
		}
	}
	return text
}

func entropyBits(counts []float64) float64 {
	e, err := stats.Entropy(counts)
	if err != nil {
		return 0
	}
	return e.Bits
}

// categoryRows picks a category metric's counts.
func categoryRows(metric int) func(v *versus) (a, b rows) {
	return func(v *versus) (a, b rows) {
		live, cand := v.metric(metric)
		return rowsOf(live), rowsOf(cand)
	}
}

func rowsOf(m *tally.MetricView) rows {
	if m == nil {
		return nil
	}
	return m.Category
}

// driftTable is one stratum with its totals.
type driftTable struct {
	a, b       rows
	rowA, rowB []float64 // observations by bin
	sumA, sumB []float64 // by category
	nA, nB     float64
}

func newDriftTable(a, b rows) *driftTable {
	t := &driftTable{a: a.padded(len(b)), b: b.padded(len(a))}
	t.rowA, t.sumA, t.nA = t.a.margins()
	t.rowB, t.sumB, t.nB = t.b.margins()
	return t
}

// padded has at least n categories, and a row for each.
func (r rows) padded(n int) rows {
	out := make(rows, max(len(r), n))
	for c := range out {
		out[c] = noCounts
		if c < len(r) && len(r[c]) == release.Bins {
			out[c] = r[c]
		}
	}
	return out
}

func (r rows) margins() (row, cats []float64, n float64) {
	row, cats = make([]float64, release.Bins), make([]float64, len(r))
	for c, counts := range r {
		for b, x := range counts {
			row[b] += x
		}
		cats[c] = sum(counts)
		n += cats[c]
	}
	return row, cats, n
}

// jackknife returns the bias-corrected divergence in bits, its variance, and each bin's influence: the variance is the
// sum of the influences' squares (Efron & Stein 1981; see stats.CategoryDrift). It needs three filled bins, none of
// which is an entire arm.
func (t *driftTable) jackknife() (bits, v float64, infl []float64, ok bool) {
	raw := t.without(-1)
	infl = make([]float64, release.Bins)
	mean, k := 0.0, 0.0
	for b := range infl {
		if t.rowA[b] == 0 && t.rowB[b] == 0 {
			continue
		}
		if t.nA == t.rowA[b] || t.nB == t.rowB[b] {
			return 0, 0, nil, false
		}
		k++
		infl[b] = t.without(b) - raw
		mean += infl[b]
	}
	if k < 3 {
		return 0, 0, nil, false
	}
	mean /= k
	f := math.Sqrt((k-1)/k) / math.Ln2
	for b := range infl {
		if t.rowA[b] == 0 && t.rowB[b] == 0 {
			continue
		}
		infl[b] = f * (infl[b] - mean)
		v += infl[b] * infl[b]
	}
	return (raw - (k-1)*mean) / math.Ln2, v, infl, true
}

// without returns the balanced divergence in nats without one bin (b < 0: with all).
func (t *driftTable) without(b int) float64 {
	nA, nB := t.nA, t.nB
	if b >= 0 {
		nA -= t.rowA[b]
		nB -= t.rowB[b]
	}
	fa, fb := 1/nA, 1/nB
	j := 0.0
	for c, x := range t.sumA {
		y := t.sumB[c]
		if b >= 0 {
			x -= t.a[c][b]
			y -= t.b[c][b]
		}
		p, q := x*fa, y*fb
		if m := p + q; m > 0 {
			j += m / 4 * jsTerm((p-q)/m)
		}
	}
	return j
}

// jsTerm is (1+d) ln(1+d) + (1-d) ln(1-d), |d| <= 1: its series near zero, 2 ln 2 at the ends.
func jsTerm(d float64) float64 {
	u := d * d
	switch {
	case u < 0.01:
		return u * (1 + u*(1.0/6+u*(1.0/15+u*(1.0/28+u*(1.0/45+u*(1.0/66+u/91))))))
	case u >= 1:
		return 2 * math.Ln2
	}
	return (1+d)*math.Log1p(d) + (1-d)*math.Log1p(-d)
}

// classSums reads one answer of a category metric as a 0/1 outcome.
func classSums(m *tally.MetricView, class int) sums {
	if m == nil {
		return sums{}
	}
	s := sums{m.N, noCounts}
	if class < len(m.Category) && len(m.Category[class]) == release.Bins {
		s.y = m.Category[class]
	}
	return s
}

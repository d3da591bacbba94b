package stats

import "math"

// CategoryStratum holds category counts of both arms in one period: [bin][category], the bins of [ArmBins]. All rows have one
// length; a nil row is a bin without observations.
type CategoryStratum struct{ A, B [][]float64 }

// Drift is the balanced Jensen-Shannon divergence between the arms' category distributions.
type Drift struct {
	Bits float64 // bias-corrected by the jackknife; may be slightly below zero
	V    float64 // jackknife variance of Bits, bits^2
	Raw  float64 // plug-in value, in [0,1]
	Bins int     // non-empty bins
	Used int     // strata that contributed
}

// CategoryDrift measures how far the candidate's answers moved from live's: the Jensen-Shannon divergence with
// weights 1/2 : 1/2 whatever the traffic share, J = H((P+Q)/2) - H(P)/2 - H(Q)/2 in bits, so that the same
// drift reads the same at every share. Strata combine with w_s = nA nB/(nA+nB).
//
// The jackknife leaves out one bin of users at a time, in both arms and all strata: with k bins and J_b the value without bin b,
//
//	Bits = k J - (k-1) mean(J_b),  V = (k-1)/k sum (J_b - mean)^2   (Efron & Stein 1981).
//
// J_b comes from totals, so the cost is bins x categories. [ErrUndefined] if no stratum has both arms or fewer than three bins are
// filled; [ErrDomain] for ragged tables, negative or non-finite counts.
func CategoryDrift(strata ...CategoryStratum) (Drift, error) {
	const where = "CategoryDrift"
	bins, cats, err := checkCategories(where, strata)
	if err != nil {
		return Drift{}, err
	}
	tables := make([]driftTable, 0, len(strata))
	for _, s := range strata {
		if t := newDriftTable(s, bins, cats); t.nA > 0 && t.nB > 0 {
			tables = append(tables, t)
		}
	}
	d := Drift{Used: len(tables)}
	if d.Used == 0 {
		return Drift{}, undefined(where, "no stratum with observations in both arms")
	}
	raw, _ := leaveOut(tables, -1)
	var left Moments
	for b := range bins {
		if !anyCounts(tables, b) {
			continue
		}
		d.Bins++
		if j, ok := leaveOut(tables, b); ok {
			left.Add(j - raw) // relative to raw: the differences are tiny
		}
	}
	if d.Bins < 3 || left.N < 3 {
		return Drift{}, undefined(where, "fewer than three filled bins")
	}
	k := left.N
	d.Raw = raw / math.Ln2
	d.Bits = d.Raw - (k-1)*left.Mean/math.Ln2
	d.V = (k - 1) / k * left.M2 / math.Ln2 / math.Ln2
	return d, nil
}

// driftTable is a stratum with its totals.
type driftTable struct {
	a, b       [][]float64 // rows of the bins; nil = empty
	rowA, rowB []float64   // observations per bin
	sumA, sumB []float64   // totals per category
	nA, nB     float64
}

func newDriftTable(s CategoryStratum, bins, cats int) driftTable {
	t := driftTable{a: s.A, b: s.B}
	t.rowA, t.sumA, t.nA = margins(s.A, bins, cats)
	t.rowB, t.sumB, t.nB = margins(s.B, bins, cats)
	return t
}

func margins(rows [][]float64, bins, cats int) (row, sum []float64, n float64) {
	row, sum = make([]float64, bins), make([]float64, cats)
	for b, r := range rows {
		for c, x := range r {
			row[b] += x
			sum[c] += x
		}
		n += row[b]
	}
	return row, sum, n
}

func anyCounts(tables []driftTable, b int) bool {
	for i := range tables {
		if tables[i].rowA[b] > 0 || tables[i].rowB[b] > 0 {
			return true
		}
	}
	return false
}

// leaveOut returns the weighted divergence in nats without bin b (b < 0: with all), and whether anything is left.
func leaveOut(tables []driftTable, b int) (float64, bool) {
	var sum, weight float64
	for i := range tables {
		t := &tables[i]
		nA, nB := t.nA, t.nB
		var outA, outB []float64
		if b >= 0 {
			nA -= t.rowA[b]
			nB -= t.rowB[b]
			if t.rowA[b] > 0 {
				outA = t.a[b]
			}
			if t.rowB[b] > 0 {
				outB = t.b[b]
			}
		}
		if !(nA > 0) || !(nB > 0) {
			continue
		}
		w := nA * (nB / (nA + nB))
		weight += w
		sum += w * t.divergence(1/nA, 1/nB, outA, outB)
	}
	if weight == 0 {
		return 0, false
	}
	return sum / weight, true
}

// divergence sums the non-negative terms (p+q)/4 phi((p-q)/(p+q)) of the balanced divergence, nats; nothing cancels.
func (t *driftTable) divergence(fa, fb float64, outA, outB []float64) float64 {
	j := 0.0
	for c, a := range t.sumA {
		b := t.sumB[c]
		if outA != nil {
			a -= outA[c]
		}
		if outB != nil {
			b -= outB[c]
		}
		p, q := a*fa, b*fb
		if m := p + q; m > 0 {
			j += m / 4 * jsTerm((p-q)/m)
		}
	}
	return j
}

// jsTerm is phi(d) = (1+d) ln(1+d) + (1-d) ln(1-d) for |d| <= 1: a series near zero, 2 ln 2 at the ends.
func jsTerm(d float64) float64 {
	u := d * d
	if u < 0.01 { // sum of u^j / (j (2j-1))
		return u * (1 + u*(1.0/6+u*(1.0/15+u*(1.0/28+u*(1.0/45+u*(1.0/66+u/91))))))
	}
	if u >= 1 {
		return 2 * math.Ln2
	}
	return (1+d)*math.Log1p(d) + (1-d)*math.Log1p(-d)
}

// checkCategories returns the common numbers of bins and categories.
func checkCategories(where string, strata []CategoryStratum) (bins, cats int, err error) {
	for i, s := range strata {
		if i == 0 {
			bins = len(s.A)
		}
		if len(s.A) != bins || len(s.B) != bins {
			return 0, 0, domain(where, "stratum %d: %d and %d bins, want %d", i, len(s.A), len(s.B), bins)
		}
		for _, rows := range [...][][]float64{s.A, s.B} {
			for b, r := range rows {
				if len(r) > 0 && cats == 0 {
					cats = len(r)
				}
				if (len(r) != 0 && len(r) != cats) || !isCount(r...) {
					return 0, 0, domain(where, "stratum %d bin %d: want %d counts >= 0", i, b, cats)
				}
			}
		}
	}
	return bins, cats, nil
}

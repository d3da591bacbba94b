package stats

import "math"

// Entropies are the plug-in Shannon entropy of counts and what is derived from it.
type Entropies struct {
	Nats, Bits  float64 // H = -sum p ln p, and in bits
	MillerMadow float64 // bias-corrected H + (m-1)/(2N) in nats, m non-empty cells
	Effective   float64 // exp(H), the effective number of classes
}

// Entropy returns the entropy of non-negative counts; all zero (or none) is [ErrUndefined]. A falling effective number of classes
// shows a model that collapses; a higher entropy is no better quality. Relative accuracy 1e-12, near zero too.
func Entropy(counts []float64) (Entropies, error) {
	if !isCount(counts...) {
		return Entropies{}, domain("Entropy", "counts must be >= 0: %v", counts)
	}
	n, cells := 0.0, 0
	for _, k := range counts {
		n += k
		if k > 0 {
			cells++
		}
	}
	if n == 0 || !finite(n) {
		return Entropies{}, undefined("Entropy", "no counts")
	}
	var h kahan
	for i, k := range counts {
		switch {
		case k == 0:
		case k > n/2: // ln(k/n) by what the others hold: exact when one class has almost all
			rest := 0.0
			for j, o := range counts {
				if j != i {
					rest += o
				}
			}
			h.add(-k / n * math.Log1p(-rest/n))
		default:
			h.add(-k / n * math.Log(k/n))
		}
	}
	nats := math.Max(0, h.value())
	return Entropies{nats, nats / math.Ln2, nats + float64(cells-1)/(2*n), math.Exp(nats)}, nil
}

// Divergences compare two distributions p and q; KL and PSI may be +Inf.
type Divergences struct {
	KLpq, KLqp     float64 // Kullback-Leibler in nats, +Inf if the second lacks a category of the first
	JSNats, JSBits float64 // Jensen-Shannon with weights 1/2 : 1/2
	PSI            float64 // population stability index KLpq + KLqp
	TV             float64 // total variation, in [0,1]
	Hellinger      float64 // sqrt(1 - sum sqrt(pq)), in [0,1]
	JSWeighted     float64 // weights by totals: mutual information of version and output, nats; G = 2 N JSWeighted
}

// Divergence compares two count vectors of one length after adding pseudo >= 0 to every cell. All sums are of non-negative
// terms, so that nearly equal vectors of 1e9 counts keep their digits. An empty vector is [ErrUndefined]; negative counts or
// different lengths are [ErrDomain]. Use divergences as effect sizes, not as thresholds on raw windows: their
// bias is about (K-1)(1/nA+1/nB).
func Divergence(p, q []float64, pseudo float64) (Divergences, error) {
	if len(p) != len(q) || !isCount(p...) || !isCount(q...) || !isCount(pseudo) {
		return Divergences{}, domain("Divergence", "p=%v q=%v pseudo=%g", p, q, pseudo)
	}
	u, nu := shares(p, pseudo)
	v, nv := shares(q, pseudo)
	if nu == 0 || nv == 0 || !finite(nu, nv) {
		return Divergences{}, undefined("Divergence", "a side has no counts")
	}
	var d Divergences
	w := nu / (nu + nv)
	d.KLpq, d.KLqp = klSum(u, v), klSum(v, u)
	d.PSI = d.KLpq + d.KLqp
	var hellinger float64
	for i := range u {
		m := u[i] + v[i]
		if m > 0 {
			d.JSNats += m / 4 * jsTerm((u[i]-v[i])/m)
		}
		d.TV += math.Abs(u[i]-v[i]) / 2
		r := math.Sqrt(u[i]) - math.Sqrt(v[i])
		hellinger += r * r / 2
		mix := w*u[i] + (1-w)*v[i]
		d.JSWeighted += w*klTerm(u[i], mix) + (1-w)*klTerm(v[i], mix)
	}
	d.JSBits = d.JSNats / math.Ln2
	d.Hellinger = math.Sqrt(hellinger)
	return d, nil
}

func shares(counts []float64, pseudo float64) (p []float64, n float64) {
	p = make([]float64, len(counts))
	for i, k := range counts {
		p[i] = k + pseudo
		n += p[i]
	}
	for i := range p {
		p[i] /= n
	}
	return p, n
}

// klTerm is x ln(x/y) - x + y >= 0, which sums to the divergence of two distributions; +Inf for x > 0 = y.
func klTerm(x, y float64) float64 {
	if y == 0 {
		if x == 0 {
			return 0
		}
		return math.Inf(1)
	}
	return deviance(x, y)
}

func klSum(p, q []float64) float64 {
	sum := 0.0
	for i := range p {
		sum += klTerm(p[i], q[i])
	}
	return sum
}

// HomogeneityTest is a fixed-sample test that two versions have one output distribution.
type HomogeneityTest struct {
	G, Chi2       float64 // likelihood-ratio and Pearson statistic (no continuity correction)
	DF            int     // non-empty columns - 1
	LnPG, LnPChi2 float64 // natural logarithms of the tail probabilities
}

// Homogeneity tests two count vectors of one length for homogeneity. An empty version is [ErrUndefined]; with fewer than two non-empty
// columns everything is 0. Not valid under repeated looks. Negative counts or different lengths are [ErrDomain].
func Homogeneity(a, b []float64) (HomogeneityTest, error) {
	if len(a) != len(b) || !isCount(a...) || !isCount(b...) {
		return HomogeneityTest{}, domain("Homogeneity", "a=%v b=%v", a, b)
	}
	var na, nb float64
	for i := range a {
		na += a[i]
		nb += b[i]
	}
	if na == 0 || nb == 0 || !finite(na+nb) {
		return HomogeneityTest{}, undefined("Homogeneity", "a version has no counts")
	}
	t := HomogeneityTest{DF: -1}
	for i := range a {
		col := a[i] + b[i]
		if col == 0 {
			continue
		}
		t.DF++
		ea, eb := col*(na/(na+nb)), col*(nb/(na+nb))
		t.G += 2 * (deviance(a[i], ea) + deviance(b[i], eb))
		t.Chi2 += (a[i]-ea)*((a[i]-ea)/ea) + (b[i]-eb)*((b[i]-eb)/eb)
	}
	if t.DF <= 0 {
		return HomogeneityTest{}, nil
	}
	if !finite(t.G, t.Chi2) {
		return HomogeneityTest{}, domain("Homogeneity", "statistic beyond the float64 range")
	}
	half := float64(t.DF) / 2
	t.LnPG, t.LnPChi2 = lnGammaQ(half, t.G/2), lnGammaQ(half, t.Chi2/2)
	return t, nil
}

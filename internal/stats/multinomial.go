package stats

import "math"

// MultinomialPhase holds counts per cell of one period and the expected shares of the cells, > 0, in any common unit.
type MultinomialPhase struct{ Counts, Shares []float64 }

// SRMConcentration is the prior concentration of [SRM]: it finds 51:49 at about 19,000 units.
const SRMConcentration = 1000

// MultinomialSeq returns ln E against "each phase's counts come with its expected shares theta", with a
// Dirichlet(c theta) prior per phase; phases add:
//
//	ln E = sum_i [ lnGamma(c theta_i + n_i) - lnGamma(c theta_i) - n_i ln theta_i ] + lnGamma(c) - lnGamma(c+n).
//
// Lindon & Malek (NeurIPS 2022). Serves for sample ratio mismatch and for drift against a frozen reference. 1e-6 <= c <= 1e15, shares > 0, counts
// >= 0, otherwise [ErrDomain]. Computed from deviances: absolute error about 1e-11 at 1e9 counts.
func MultinomialSeq(phases []MultinomialPhase, c float64) (float64, error) {
	const where = "MultinomialSeq"
	if !isShape(c) {
		return 0, domain(where, "c=%g, want 1e-6 to 1e15", c)
	}
	ln := 0.0
	for i, p := range phases {
		if len(p.Counts) != len(p.Shares) || len(p.Counts) == 0 || !isCount(p.Counts...) || !positive(p.Shares...) {
			return 0, domain(where, "phase %d: counts %v, shares %v", i, p.Counts, p.Shares)
		}
		var shares float64
		for _, s := range p.Shares {
			shares += s
		}
		if !positive(shares) {
			return 0, domain(where, "phase %d: shares beyond the float64 range", i)
		}
		theta := make([]float64, len(p.Shares))
		prior, post := make([]float64, len(theta)), make([]float64, len(theta))
		for j, s := range p.Shares {
			theta[j] = s / shares
			prior[j] = c * theta[j]
			post[j] = prior[j] + p.Counts[j]
		}
		if !positive(prior...) || !positive(theta...) {
			return 0, domain(where, "phase %d: a share vanishes beside the others", i)
		}
		ln += lnDirichletKernel(prior, theta) - lnDirichletKernel(post, theta)
	}
	return ln, nil
}

// lnDirichletKernel is lnGamma(A) - sum lnGamma(a_i) + sum a_i ln theta_i, A = sum a_i, up to a constant that depends
// on the number of cells only; [lnBetaKernel] for more than two cells.
func lnDirichletKernel(a, theta []float64) float64 {
	n := 0.0
	for _, x := range a {
		n += x
	}
	k := stirlingRest(n) - 0.5*math.Log(n)
	for i, x := range a {
		k += 0.5*math.Log(x) - deviance(x, n*theta[i]) - stirlingRest(x)
	}
	return k
}

// SRM returns ln E against "units were assigned with these shares" over phases of constant shares, each unit counted once at its
// first exposure: [MultinomialSeq] with [SRMConcentration].
func SRM(phases []MultinomialPhase) (float64, error) {
	return MultinomialSeq(phases, SRMConcentration)
}

// PairedStratum turns discordant shadow pairs (the event on one side only, each unit once) into a stratum of the label engine: which
// side has the event is a fair coin if the versions are equal, a sequential McNemar test.
func PairedStratum(onlyA, onlyB float64) LabelStratum {
	return LabelStratum{KA: onlyA, KB: onlyB, Rho: 0.5}
}

// GoodnessOfFit is a fixed-sample Pearson test; it is not valid under repeated looks.
type GoodnessOfFit struct {
	Chi2 float64
	DF   int
	LnP  float64 // natural logarithm of the p-value
}

// Chi2GOF compares counts with expected shares by Pearson's chi-square. Reference only. No counts: Chi2 = 0, LnP = 0.
// Equal lengths of at least 1, counts >= 0, shares > 0, otherwise [ErrDomain].
func Chi2GOF(counts, shares []float64) (GoodnessOfFit, error) {
	if len(counts) == 0 || len(counts) != len(shares) || !isCount(counts...) || !positive(shares...) {
		return GoodnessOfFit{}, domain("Chi2GOF", "counts %v, shares %v", counts, shares)
	}
	var n, sum float64
	for i := range counts {
		n += counts[i]
		sum += shares[i]
	}
	g := GoodnessOfFit{DF: len(counts) - 1}
	if n == 0 || g.DF == 0 {
		return g, nil
	}
	for i, o := range counts {
		e := n * (shares[i] / sum)
		if !positive(e) {
			return GoodnessOfFit{}, domain("Chi2GOF", "share %d vanishes beside the others", i)
		}
		g.Chi2 += (o - e) * ((o - e) / e)
	}
	if !finite(g.Chi2) {
		return GoodnessOfFit{}, domain("Chi2GOF", "statistic beyond the float64 range")
	}
	g.LnP = lnGammaQ(float64(g.DF)/2, g.Chi2/2)
	return g, nil
}

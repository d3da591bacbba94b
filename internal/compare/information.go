package compare

import (
	"math"

	"sluice.dev/sluice/internal/stats"
)

// Information is the second model: what does an output tell about the version that gave it. All in bits, but G.
type Information struct {
	HA          Number `json:"hA"` // entropy of A's outputs
	HB          Number `json:"hB"`
	HPooled     Number `json:"hPooled"`       // H(U), of all outputs together
	HAMM        Number `json:"hAMillerMadow"` // the same, corrected for the bias of small samples
	HBMM        Number `json:"hBMillerMadow"`
	HPooledMM   Number `json:"hPooledMillerMadow"`
	Conditional Number `json:"conditional"` // H(U|V): the entropies weighted by the versions' shares
	Mutual      Number `json:"mutual"`      // I(U;V) = H(U) - H(U|V), the Jensen-Shannon divergence weighted by the shares
	Balanced    Number `json:"balanced"`    // the same for shares 1/2 : 1/2, so that sample sizes don't matter
	KLAB        Number `json:"klAB"`        // Kullback-Leibler divergence of A from B; +Inf if A gives a value that B never gives
	KLBA        Number `json:"klBA"`
	G           Number `json:"g"` // 2 N I in nats: chi-square distributed if the versions are equal
	DF          int    `json:"df"`
	P           Number `json:"p"`              // of G, for one look
	CramersV    Number `json:"cramersV"`       // 0: no association, 1: the output tells the version
	TV          Number `json:"totalVariation"` // largest difference in the probability of any set of outputs
}

func (t *table) information() (i Information, err error) {
	pooled := make([]float64, len(t.a))
	for j := range pooled {
		pooled[j] = t.a[j] + t.b[j]
	}
	hA, err := stats.Entropy(t.a)
	if err != nil {
		return i, err
	}
	hB, err := stats.Entropy(t.b)
	if err != nil {
		return i, err
	}
	h, err := stats.Entropy(pooled)
	if err != nil {
		return i, err
	}
	d, err := stats.Divergence(t.a, t.b, 0)
	if err != nil {
		return i, err
	}
	g, err := stats.Homogeneity(t.a, t.b)
	if err != nil {
		return i, err
	}
	bits := func(nats float64) Number { return Number(nats / math.Ln2) }
	n := t.nA + t.nB
	return Information{
		HA: Number(hA.Bits), HB: Number(hB.Bits), HPooled: Number(h.Bits),
		HAMM: bits(hA.MillerMadow), HBMM: bits(hB.MillerMadow), HPooledMM: bits(h.MillerMadow),
		Conditional: Number((t.nA*hA.Bits + t.nB*hB.Bits) / n), Mutual: bits(d.JSWeighted), Balanced: Number(d.JSBits),
		KLAB: bits(d.KLpq), KLBA: bits(d.KLqp), G: Number(g.G), DF: g.DF, P: Number(math.Exp(g.LnPG)),
		CramersV: Number(math.Sqrt(g.Chi2 / n)), TV: Number(d.TV),
	}, nil
}

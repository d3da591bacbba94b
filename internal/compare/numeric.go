package compare

import (
	"math"
	"slices"

	"sluice.dev/sluice/internal/stats"
)

// Numbers compares numeric outputs.
type Numbers struct {
	A      Summary  `json:"a"`
	B      Summary  `json:"b"`
	Mean   Interval `json:"meanDifference"` // B minus A, Welch's interval at 95 %
	P      Number   `json:"p"`              // Welch's test
	Effect Number   `json:"cohensD"`        // the difference in standard deviations
	Shift  Number   `json:"shift"`          // Hodges-Lehmann: the median of all differences B minus A
	Larger Number   `json:"pLarger"`        // P(an output of B is larger than one of A), ties half
	RankP  Number   `json:"rankP"`          // Mann-Whitney
	PMean  Number   `json:"pMeanLarger"`    // posterior P(B's mean is larger), flat prior
}

// Summary describes one sample.
type Summary struct {
	N      int    `json:"n"`
	Mean   Number `json:"mean"`
	SD     Number `json:"sd"`
	Min    Number `json:"min"`
	Median Number `json:"median"`
	P95    Number `json:"p95"`
	Max    Number `json:"max"`
}

func (r *Result) numeric(xs, ys []float64) error {
	n := &Numbers{A: summaryOf(xs), B: summaryOf(ys)}
	r.Numbers = n
	rank, err := stats.MannWhitney(xs, ys)
	if err != nil {
		return err
	}
	n.Shift, n.Larger, n.RankP = Number(rank.Shift), Number(rank.CLES), undefined
	if rank.HasP {
		n.RankP = Number(rank.P)
	}
	d := float64(n.B.Mean - n.A.Mean)
	n.Mean = Interval{Number(d), undefined, undefined}
	n.P, n.Effect, n.PMean = undefined, undefined, undefined
	a, b := stats.MomentsOf(xs), stats.MomentsOf(ys)
	vA, errA := a.Variance()
	vB, errB := b.Variance()
	if varies := errA == nil && errB == nil && vA+vB > 0; !varies { // an answer, not a fault: one value has no variance
		r.Warnings = append(r.Warnings, "a sample doesn't vary: the difference of means has no interval")
		return nil
	}
	w, err := stats.Welch(stats.ArmMoments{N: a.N, Mean: a.Mean, Var: vA}, stats.ArmMoments{N: b.N, Mean: b.Mean, Var: vB}, alpha)
	if err != nil {
		return err
	}
	n.Mean.Lo, n.Mean.Hi, n.P = Number(w.CI.Lo), Number(w.CI.Hi), Number(math.Exp(w.LnP))
	n.Effect = Number(d / math.Sqrt(((a.N-1)*vA+(b.N-1)*vB)/(a.N+b.N-2)))
	g, err := stats.GaussianEffect(d, math.Sqrt(vA/a.N+vB/b.N), nil, alpha)
	if err != nil {
		return err
	}
	n.PMean = Number(g.PAbove)
	return nil
}

var undefined = Number(math.NaN())

func summaryOf(xs []float64) Summary {
	s := slices.Sorted(slices.Values(xs))
	m := stats.MomentsOf(xs)
	out := Summary{N: len(xs), Mean: Number(m.Mean), SD: undefined, Min: Number(s[0]), Max: Number(s[len(s)-1])}
	if v, err := m.Variance(); err == nil {
		out.SD = Number(math.Sqrt(v))
	}
	out.Median = Number((s[(len(s)-1)/2] + s[len(s)/2]) / 2)
	out.P95 = Number(s[min(len(s)-1, int(0.95*float64(len(s))))])
	return out
}

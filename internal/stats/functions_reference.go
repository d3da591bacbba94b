package stats

// JSON adapters of displays, effect sizes and fixed-sample references.

func callBetaCompare(in struct{ AA, BA, AB, BB, Rope float64 }) (results, error) {
	a, b := Beta{in.AA, in.BA}, Beta{in.AB, in.BB}
	c, err := BetaCompare(a, b)
	if err != nil {
		return nil, err
	}
	out := results{
		"p_B_gt_A": c.PBGreater, "p_A_gt_B": c.PAGreater,
		"loss_choose_B": c.LossB, "loss_choose_A": c.LossA,
	}
	if in.Rope != 0 {
		r, err := BetaRope(a, b, in.Rope)
		if err != nil {
			return nil, err
		}
		out["p_in_rope"], out["p_above_rope"], out["p_below_rope"] = r.In, r.Above, r.Below
	}
	return out, nil
}

func callBetaProbBest(in struct{ Arms [][2]float64 }) (results, error) {
	arms := make([]Beta, len(in.Arms))
	for i, a := range in.Arms {
		arms[i] = Beta{a[0], a[1]}
	}
	p, err := BetaProbBest(arms)
	if err != nil {
		return nil, err
	}
	return results{"p_best": p}, nil
}

func callNIG(in struct {
	K0, M0, A0, B0 float64
	NA, MeanA, M2A float64
	NB, MeanB, M2B float64
},
) (results, error) {
	prior := NIG{K: in.K0, M: in.M0, A: in.A0, B: in.B0}
	if !prior.valid() || !isCount(in.NA, in.NB) || !notNegative(in.M2A, in.M2B) || !finite(in.MeanA, in.MeanB) {
		return nil, domain("nig_compare", "%+v", in)
	}
	a := prior.Update(Moments{in.NA, in.MeanA, in.M2A})
	b := prior.Update(Moments{in.NB, in.MeanB, in.M2B})
	p, err := NIGCompare(a, b)
	if err != nil {
		return nil, err
	}
	return results{
		"post_kA": a.K, "post_mA": a.M, "post_aA": a.A, "post_bA": a.B,
		"post_kB": b.K, "post_mB": b.M, "post_aB": b.A, "post_bB": b.B,
		"scaleA": a.Scale(), "scaleB": b.Scale(), "p_B_gt_A": p,
	}, nil
}

func callGaussian(in struct {
	D, SE, Alpha float64
	PriorMean    float64  `json:"prior_mean"`
	PriorSD      *float64 `json:"prior_sd"`
},
) (results, error) {
	var prior *NormalPrior
	if in.PriorSD != nil {
		prior = &NormalPrior{in.PriorMean, *in.PriorSD}
	}
	g, err := GaussianEffect(in.D, in.SE, prior, in.Alpha)
	return results{
		"post_mean": g.Mean, "post_sd": g.SD, "p_gt_0": g.PAbove, "p_lt_0": g.PBelow,
		"loss_choose_B": g.LossB, "loss_choose_A": g.LossA, "ci_lo": g.CI.Lo, "ci_hi": g.CI.Hi,
	}, err
}

func callPoisson(in struct{ KA, TA, KB, TB, Ratio0 float64 }) (results, error) {
	p, err := PoissonRates(in.KA, in.TA, in.KB, in.TB, in.Ratio0)
	if err != nil {
		return nil, err
	}
	out := results{
		"ratio": nil, "p_greater": p.PGreater, "p_less": p.PLess, "p_two_sided": p.PTwoSided, "ln_e": p.LnE,
	}
	if p.HasRatio {
		out["ratio"] = p.Ratio
	}
	return out, nil
}

func callDeltaRatio(in UnitSums) (results, error) {
	r, err := DeltaRatio(in)
	if err != nil {
		return none(err, "ratio", "var")
	}
	out := results{"ratio": r.Ratio, "var": nil}
	if r.HasVar {
		out["var"] = r.Var
	}
	return out, nil
}

func callCUPED(in struct{ A, B UnitSums }) (results, error) {
	r, err := CUPED(in.A, in.B)
	if err != nil {
		return none(err, "theta", "diff_raw", "diff_adj", "var_raw", "var_adj")
	}
	return results{
		"theta": r.Theta, "diff_raw": r.DiffRaw, "diff_adj": r.DiffAdj, "var_raw": r.VarRaw, "var_adj": r.VarAdj,
	}, nil
}

func callEntropy(in struct{ Counts []float64 }) (results, error) {
	e, err := Entropy(in.Counts)
	if err != nil {
		return none(err, "h_nats", "h_bits", "h_mm_nats", "effective")
	}
	return results{"h_nats": e.Nats, "h_bits": e.Bits, "h_mm_nats": e.MillerMadow, "effective": e.Effective}, nil
}

func callDivergence(in struct {
	P, Q   []float64
	Pseudo float64
},
) (results, error) {
	d, err := Divergence(in.P, in.Q, in.Pseudo)
	if err != nil {
		return none(err, "kl_pq", "kl_qp", "js_nats", "js_bits", "psi", "tv", "hellinger", "js_weighted_nats")
	}
	return results{
		"kl_pq": d.KLpq, "kl_qp": d.KLqp, "js_nats": d.JSNats, "js_bits": d.JSBits, "psi": d.PSI,
		"tv": d.TV, "hellinger": d.Hellinger, "js_weighted_nats": d.JSWeighted,
	}, nil
}

func callHomogeneity(in struct{ A, B []float64 }) (results, error) {
	t, err := Homogeneity(in.A, in.B)
	if err != nil {
		return none(err, "g", "chi2", "df", "ln_p_g", "ln_p_chi2")
	}
	return results{"g": t.G, "chi2": t.Chi2, "df": t.DF, "ln_p_g": t.LnPG, "ln_p_chi2": t.LnPChi2}, nil
}

func callMannWhitney(in struct{ X, Y []float64 }) (results, error) {
	r, err := MannWhitney(in.X, in.Y)
	if err != nil {
		return none(err, "u", "z", "p", "hl", "cles")
	}
	out := results{"u": r.U, "z": nil, "p": nil, "hl": r.Shift, "cles": r.CLES}
	if r.HasP {
		out["z"], out["p"] = r.Z, r.P
	}
	return out, nil
}

func callWelch(in struct{ NA, MeanA, VarA, NB, MeanB, VarB, Alpha float64 }) (results, error) {
	a, b := ArmMoments{in.NA, in.MeanA, in.VarA}, ArmMoments{in.NB, in.MeanB, in.VarB}
	w, err := Welch(a, b, in.Alpha)
	if err != nil {
		return none(err, "t", "df", "ln_p", "ci_lo", "ci_hi")
	}
	return results{"t": w.T, "df": w.DF, "ln_p": w.LnP, "ci_lo": w.CI.Lo, "ci_hi": w.CI.Hi}, nil
}

func callMoments(in struct{ Chunks [][]float64 }) (results, error) {
	var all Moments
	for _, c := range in.Chunks {
		all = all.Merge(MomentsOf(c))
	}
	out := results{"n": all.N, "mean": nil, "var": nil}
	if all.N > 0 {
		out["mean"] = all.Mean
	}
	if v, err := all.Variance(); err == nil {
		out["var"] = v
	}
	return out, nil
}

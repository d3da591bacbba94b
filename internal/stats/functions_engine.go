package stats

// JSON adapters of the evidence functions: engines, confidence sequences, combination.

import (
	"errors"
	"math"
)

func callRobbins(in struct {
	S, V, Alpha float64
	Rho         *float64
	VOpt        *float64 `json:"v_opt"`
},
) (results, error) {
	out := results{"rho_approx": nil}
	var rho float64
	switch {
	case in.Rho != nil && in.VOpt == nil:
		rho = *in.Rho
	case in.VOpt != nil && in.Rho == nil:
		var err error
		if rho, err = BestRho(*in.VOpt, in.Alpha); err != nil {
			return nil, err
		}
		l := -2 * math.Log(in.Alpha)
		out["rho_approx"] = *in.VOpt / (l + math.Log1p(l))
	default:
		return nil, domain("robbins", "want exactly one of rho and v_opt")
	}
	r, err := Robbins(in.S, in.V, rho, in.Alpha)
	if err != nil {
		return nil, err
	}
	out["rho"] = rho
	out["ln_e_two_sided"], out["ln_e_one_sided"] = r.TwoSided, r.OneSided
	out["p_two_sided"] = PFromLnE(r.TwoSided)
	out["bound_two_sided"], out["bound_one_sided"] = r.BoundTwoSided, r.BoundOneSided
	return out, nil
}

func callAsymp(in struct {
	N, Mean, Var float64
	TOpt         float64 `json:"t_opt"`
	Alpha        float64
},
) (results, error) {
	half, cs, err := AsympCSMean(in.N, in.Mean, in.Var, in.TOpt, in.Alpha)
	if err != nil {
		return none(err, "half", "lo", "hi")
	}
	return results{"half": half, "lo": cs.Lo, "hi": cs.Hi}, nil
}

func callStratDiff(in struct {
	Strata [][6]float64
	WOpt   float64 `json:"w_opt"`
	Alpha  float64
},
) (results, error) {
	strata := make([]MomentStratum, len(in.Strata))
	for i, s := range in.Strata {
		strata[i] = MomentStratum{A: ArmMoments{s[0], s[1], s[2]}, B: ArmMoments{s[3], s[4], s[5]}}
	}
	d, err := StratDiffCS(strata, in.WOpt, in.Alpha)
	if err != nil {
		return none(err, "W", "est", "se", "half", "lo", "hi", "ln_e", "p")
	}
	return results{
		"W": d.W, "est": d.Est, "se": d.SE, "half": d.Half, "lo": d.CS.Lo, "hi": d.CS.Hi,
		"ln_e": d.LnE, "p": PFromLnE(d.LnE),
	}, nil
}

func callMSPRT(in struct{ D, V, Tau2, Alpha float64 }) (results, error) {
	ln, half, err := MSPRT(in.D, in.V, in.Tau2, in.Alpha)
	return results{"ln_lambda": ln, "p": PFromLnE(ln), "half": half}, err
}

func callBernoulli(in struct{ K, N, Alpha float64 }) (results, error) {
	cs, err := BernoulliCS(in.K, in.N, in.Alpha)
	return results{"lo": cs.Lo, "hi": cs.Hi}, err
}

func callLabelE(in struct{ KA, KB, Rho, C float64 }) (results, error) {
	ln, err := LabelE(in.KA, in.KB, in.Rho, in.C)
	return results{"ln_e": ln, "p": PFromLnE(ln)}, err
}

func callLabelStrata(in struct {
	Strata       [][3]float64
	Sigma, Alpha float64
	Delta0       []float64
},
) (results, error) {
	strata := make([]LabelStratum, len(in.Strata))
	for i, s := range in.Strata {
		strata[i] = LabelStratum{s[0], s[1], s[2]}
	}
	r, err := LabelStrata(strata, in.Sigma, in.Alpha, in.Delta0)
	if err != nil {
		return nil, err
	}
	out := results{
		"mle": nil, "ln_m": r.LnM, "lo": r.CS.Lo, "hi": r.CS.Hi,
		"ln_e": r.TwoSided, "ln_e_above": r.Above, "ln_e_below": r.Below,
	}
	if r.HasMLE {
		out["mle"] = r.MLE
	}
	return out, nil
}

func callMultinomial(in struct {
	Phases [][2][]float64
	C      float64
},
) (results, error) {
	phases := make([]MultinomialPhase, len(in.Phases))
	for i, p := range in.Phases {
		phases[i] = MultinomialPhase{p[0], p[1]}
	}
	ln, err := MultinomialSeq(phases, in.C)
	return results{"ln_e": ln, "p": PFromLnE(ln)}, err
}

func callQuantile(in struct {
	N, P, Alpha, C float64
	Sample         []float64
},
) (results, error) {
	if in.Sample != nil && float64(len(in.Sample)) != in.N {
		return nil, domain("quantile_cs", "n=%g but %d values", in.N, len(in.Sample))
	}
	lo, hi, err := QuantileRanks(in.N, in.P, in.Alpha, in.C)
	if err != nil {
		return none(err, "k_lo", "k_hi")
	}
	out := results{"k_lo": lo, "k_hi": hi}
	if in.Sample != nil {
		cs, err := QuantileCS(in.Sample, in.P, in.Alpha, in.C)
		if err != nil {
			return nil, err
		}
		out["lo"], out["hi"] = cs.Lo, cs.Hi
	}
	return out, nil
}

func callEBH(in struct {
	LnE   []float64 `json:"ln_e"`
	Alpha float64
},
) (results, error) {
	r, err := EBH(in.LnE, in.Alpha)
	if err != nil {
		return nil, err
	}
	return results{"rejected": r}, nil
}

func callGLR(in struct{ NA, KA, NB, KB, Delta float64 }) (results, error) {
	z, threshold, err := GLRBernoulli(in.NA, in.KA, in.NB, in.KB, in.Delta)
	if errors.Is(err, ErrUndefined) { // an empty arm: no evidence, no threshold
		return results{"z": 0.0, "threshold": nil}, nil
	}
	return results{"z": z, "threshold": threshold}, err
}

func callTAS(in struct{ Mu []float64 }) (results, error) {
	w, t, err := TASWeights(in.Mu)
	if err != nil {
		return none(err, "weights", "t_star")
	}
	return results{"weights": w, "t_star": t}, nil
}

func callChi2(in struct{ Counts, Shares []float64 }) (results, error) {
	g, err := Chi2GOF(in.Counts, in.Shares)
	return results{"chi2": g.Chi2, "df": g.DF, "ln_p": g.LnP}, err
}

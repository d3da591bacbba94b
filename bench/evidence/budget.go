package main

import (
	"fmt"
	"math"

	"sluice.dev/sluice/internal/stats"
)

// budgetCells are D14: a ramp whose steps are bounded by the harm that is still possible. u is the upper bound of the candidate's excess
// errors per request (time-uniform, level 1-alpha); with H = 200 errors to lose and 0.5 points tolerated, the candidate gets at most
// H/(u - 0.005) requests in all, a quarter of what is left per minute, half of the traffic at most. It is the method of the design (the "risk" of
// Xu, Duan and Huang, KDD 2018, with a confidence sequence in place of a prior); no step of a plan does it by itself.
func budgetCells() (out []cell) {
	for _, p := range []float64{.015, .02, .05, .5} {
		out = append(out, budget(p))
	}
	return append(out, budget(.01))
}

func budget(pB float64) cell {
	const (
		rpm, longest = 1000, 600
		pA, tolerate = .01, .005
		toLose, pace = 200., .25
	)
	name := fmt.Sprintf("a ramp with 200 errors to lose, errors 1 -> %g %%, 1000 requests/min, 10 h at most", 100*pB)
	return cell{
		id: "D14", name: name, reps: 1000,
		run: func(c chance) result {
			var t traffic
			var strata []stats.LabelStratum
			for minute := 1; minute <= longest; minute++ {
				a, b := must(stats.BernoulliCS(t.kA, t.nA, alpha/2)), must(stats.BernoulliCS(t.kB, t.nB, alpha/2))
				room := math.Inf(1)
				if u := b.Hi - a.Lo; u > tolerate {
					room = math.Max(0, toLose/(u-tolerate)-t.nB)
				}
				q := math.Min(.5, pace*room/rpm)
				if room <= 1e9 && room < 1 {
					continue // nothing may be sent until the bound falls, which live's traffic alone can bring about
				}
				var m traffic
				m.add(c, rpm, q, pA, pB)
				t.plus(m)
				strata = append(strata, m.label(q))
				excess := t.kB - pA*t.nB
				switch l := label(eventSigma, strata...); {
				case l.LnAbove(0) >= want:
					return result{excess, hit(excess > toLose), 1, 0, float64(minute)}
				case must(stats.NoWorseInPoints(t.kA, t.nA, t.kB, t.nB, tolerate, alpha)).Shown:
					return result{excess, hit(excess > toLose), 0, 1, float64(minute)}
				}
			}
			return result{t.kB - pA*t.nB, hit(t.kB-pA*t.nB > toLose), 0, 0, math.Inf(1)}
		},
		rows: func(x results) []row {
			r := row{ID: "D14", Scenario: name, Value: x.mean(0), Limit: toLose, Verdict: pass}
			at := x.column(4)
			r.Measured = fmt.Sprintf("excess errors: mean %.0f, above 200 in %.3f; rolled back %.2f, no worse %.2f, median minute %s",
				x.mean(0), x.rate(1), x.rate(2), x.rate(3), number(at[(len(at)-1)/2]))
			r.Target = "mean <= 200, above in <= 0.05"
			back, ok := x.rate(2), x.rate(3)
			r.Power, r.Decided = &back, &ok
			if pB > pA {
				r.Decided = nil
			} else {
				r.Power = nil
			}
			if r.Value > toLose || x.rate(1) > alarmLimit(alpha, len(x)) {
				r.Verdict = missed
			}
			return []row{r}
		},
	}
}

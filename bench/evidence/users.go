package main

import (
	"fmt"
	"math"
	"slices"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/stats"
)

// userAlarms are the cells of users who come back, decided by judge.
func userAlarms() (out []cell) {
	for _, users := range []int{300, 3000, 20_000} {
		for _, z := range []float64{1.3, 1.5} {
			activity := newZipfOnce(users, z)
			for _, k := range []float64{.5, 3, 50} {
				for _, share := range []float64{.05, .1, .5} {
					out = append(out, returningUsers(users, z, k, share, activity))
				}
			}
		}
	}
	ten := make([]float64, 10)
	for i := range ten {
		ten[i] = .2
	}
	return append(out,
		userRamp("F5", "ramp 5/25/50 %, base rate x4 up", []float64{.05, .25, .5}, 4),
		userRamp("F5", "ramp 5/25/50 %, base rate x4 down", []float64{.05, .25, .5}, .25),
		userRamp("F5", "ramp 1/5/10/25/50 %, base rate x6 up", []float64{.01, .05, .1, .25, .5}, 6),
		userRamp("N4", "ten strata of equal shares (20 %)", ten, 1),
		incident(), manyArms(2), manyArms(3),
	)
}

func newZipfOnce(n int, z float64) func() *zipf {
	var t *zipf
	return func() *zipf {
		if t == nil {
			t = newZipf(n, z)
		}
		return t
	}
}

// returningUsers is F6. Identical versions with errors of 2 % and nothing tolerated, 20,000 requests, 14 looks; "no worse" than 2 points shown;
// a harm of 2 points found. Beside judge: E1 at the full alpha on users at their first event (R1), and on every request's event.
func returningUsers(users int, z, k, share float64, activity func() *zipf) cell {
	name := fmt.Sprintf("%d users, Zipf %g, concentration %g, share %g, identical", users, z, k, share)
	h := &habit{rates: []float64{.02}, concentration: k, window: 500, event: []bool{true}}
	looks := geometric(250, 20_000, 1.4)
	m := errorsOf("errors", .02, points(2), none)
	h.activity = activity() // cells are made one after the other; only their runs are concurrent
	once := func(c chance, harm float64) (o outcome, first, request bool) {
		w := newCrowd(newWorld(c, m), h)
		w.open(1, release.ExposureServe, 1-share, share)
		for _, n := range looks {
			w.send(n-w.clock, shift(harm))
			a := w.look(release.StepABTest)
			if o.see(&a); o.harm && harm > 0 {
				return o, first, request
			}
			s := w.stratum()
			e := stats.LabelStratum{KA: float64(s.Arms[0].Metrics[0].Event.First), KB: float64(s.Arms[1].Metrics[0].Event.First), Rho: share}
			first = first || label(eventSigma, e).LnAbove(0) >= want
			request = request || label(eventSigma, w.plain[0].label(share)).LnAbove(0) >= want
		}
		return o, first, request
	}
	return cell{
		id: "F6", name: name, reps: 1000,
		run: func(c chance) result {
			same, first, request := once(c, 0)
			worse, _, _ := once(c, .02)
			much, _, _ := once(c, .08)
			return result{hit(same.harm), hit(same.noWorse), hit(worse.harm), hit(first), hit(request), hit(much.harm)}
		},
		rows: func(x results) []row {
			return []row{alarm("F6", name, x, 0, alpha, 1, 2).
				also("E1 per user %.3f, per request %.2f; power at +8 points %.2f", x.rate(3), x.rate(4), x.rate(5))}
		},
	}
}

// userRamp lets 3,000 users come back through the strata while the base rate moves: errors of 2 % and a success of 60 %, nothing tolerated. Harm:
// errors +2 points and success -6 points.
func userRamp(id, name string, shares []float64, factor float64) cell {
	name = "3000 users, Zipf 1.3, concentration 3, " + name + ", identical"
	h := &habit{activity: newZipf(3000, 1.3), rates: []float64{.02, .6}, concentration: 3, window: 300, event: []bool{true, false}}
	perStep := 24_000 / len(shares)
	once := func(c chance, errors, lost float64) (o outcome, better, ratio, plain bool) {
		w := newCrowd(newWorld(c, errorsOf("errors", .02, points(4), none), successOf("right", .6, points(8), none)), h)
		moved := func(own float64, metric, arm, request int) float64 {
			f := math.Pow(factor, float64(request)/24_000-.5)
			p, extra := own*f, errors
			if metric == 1 {
				p, extra = own*f/(1-own+own*f), -lost
			}
			if arm == 0 {
				extra = 0
			}
			return math.Max(0, math.Min(1, p+extra))
		}
		for s, share := range shares {
			epoch := uint8(s + 1)
			if id == "N4" {
				epoch = 1 // pauses inside one step
			}
			w.open(epoch, release.ExposureServe, 1-share, share)
			for _, n := range even(perStep/6, perStep) {
				w.send(s*perStep+n-w.clock, moved)
				a := w.look(release.StepCanary)
				o.see(&a)
				ratio = ratio || a.Ratio.Alarm
				better = better || slices.ContainsFunc(a.Verdicts, func(v judge.Verdict) bool { return v.LnBetter >= want })
				p := w.plain[0]
				plain = plain || label(eventSigma, p.label(p.nB/math.Max(1, p.nA+p.nB))).LnTwoSided(0) >= want
			}
		}
		return o, better, ratio, plain
	}
	return cell{
		id: id, name: name, reps: 1000,
		run: func(c chance) result {
			same, better, ratio, plain := once(c, 0, 0)
			worse, _, _, _ := once(c, .02, .06)
			return result{hit(same.harm), hit(better), hit(same.noWorse), hit(worse.harm), hit(ratio), hit(plain)}
		},
		rows: func(x results) []row {
			rows := []row{
				alarm(id, name+": harm of either metric", x, 0, alpha, 2, 3).also("per request, pooled: %.2f", x.rate(5)),
				alarm(id, name+": better in either metric (two at .05)", x, 1, 2*alpha, 2, 3),
			}
			if id == "N4" {
				rows = append(rows, alarm(id, name+": sample ratio (.001), users once", x, 4, .001, 2, 3))
			}
			return rows
		},
	}
}

// incident is F7 and N1: both arms fail in half of the requests for a while, which spends the users who fail at all. Before and after,
// 2 % fail; in N1 the candidate's rate is four times live's from then on. An epoch begins where the incident ends.
func incident() cell {
	const name = "3000 users, Zipf 1.3, concentration 20, share 0.5, an incident in both arms"
	h := &habit{activity: newZipf(3000, 1.3), rates: []float64{.02}, concentration: 20, window: 500, event: []bool{true}}
	once := func(c chance, factor float64, epochs bool) (o outcome) {
		w := newCrowd(newWorld(c, errorsOf("errors", .02, points(2), none)), h)
		w.open(1, release.ExposureServe, .5, .5)
		rate := func(own float64, _, arm, request int) float64 {
			switch {
			case request > 4000 && request <= 8000:
				return .5
			case request > 8000 && arm == 1:
				return own * factor
			}
			return own
		}
		for _, n := range even(500, 30_000) {
			w.send(n-w.clock, rate)
			a := w.look(release.StepCanary)
			o.see(&a)
			if n == 8000 && epochs {
				w.open(2, release.ExposureServe, .5, .5)
			}
		}
		return o
	}
	return cell{
		id: "N1", name: name, reps: 1000,
		run: func(c chance) result {
			same, worse, blind := once(c, 1, true), once(c, 4, true), once(c, 4, false)
			return result{hit(same.harm), hit(same.noWorse), hit(worse.harm), hit(blind.harm)}
		},
		rows: func(x results) []row {
			return []row{
				alarm("F7", name+", identical", x, 0, alpha, 1, 2),
				least("N1", name+" before a harm of 2 -> 8 %", x, 2, .99).also("without a new epoch %.2f", x.rate(3)),
			}
		},
	}
}

// manyArms is several candidates at once: identical ones; and one of them 3 points worse.
func manyArms(candidates int) cell {
	name := fmt.Sprintf("3000 users, Zipf 1.3, concentration 3, %d candidates beside live at equal shares, identical", candidates)
	h := &habit{activity: newZipf(3000, 1.3), rates: []float64{.02}, concentration: 3, window: 500, event: []bool{true}}
	shares := make([]float64, candidates+1)
	for i := range shares {
		shares[i] = math.Floor(1e6/float64(len(shares))) / 1e6
	}
	once := func(c chance, harm float64) (o outcome, by bool) {
		w := newCrowd(newWorld(c, errorsOf("errors", .02, points(2), none)), h)
		w.open(1, release.ExposureServe, shares...)
		for _, n := range geometric(500, 30_000, 1.25) {
			w.send(n-w.clock, func(own float64, _, arm, _ int) float64 {
				if arm == candidates {
					return own + harm
				}
				return own
			})
			a := w.look(release.StepOptimize)
			o.see(&a)
			for _, v := range a.Verdicts {
				by = by || v.Harm && int(v.Arm) != candidates
			}
		}
		return o, by
	}
	return cell{
		id: "N8", name: name, reps: 1000,
		run: func(c chance) result {
			same, _ := once(c, 0)
			worse, other := once(c, .03)
			return result{hit(same.harm), hit(same.noWorse), hit(worse.harm), hit(other)}
		},
		rows: func(x results) []row {
			return []row{
				alarm("N8", name+": harm of any", x, 0, alpha, 1, 2),
				alarm("N8", name+": harm of another one than the harmful (+3 points)", x, 3, alpha, 1, 2),
			}
		},
	}
}

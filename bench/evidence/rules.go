package main

import (
	"fmt"
	"math"

	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/stats"
)

// A rule sees the counts of each minute and of all minutes so far. It answers once.
type rule struct {
	name  string
	begin func() func(minute, all traffic) answer
}

type answer uint8

const (
	goOn answer = iota
	back
	promote
)

const (
	share   = 0.1 // of the candidate
	minutes = 60
)

// compared are the rules of other tools, as their sources have them:
//
//   - Argo Rollouts (analysis/analysis.go): a measurement fails its condition; more than failureLimit failures fail the analysis; an
//     analysis that ends without is successful.
//   - Flagger (pkg/controller/scheduler.go): a check per minute; as many failed checks as the threshold roll back, failures are never
//     forgiven; ten passed checks (steps of 5 % to 50 %) promote.
//   - Kayenta (NetflixACAJudge, MannWhitneyClassifier): points per minute of canary and an equally large baseline; "High" if the lower
//     end of the 98 % Mann-Whitney interval of the shift is above a quarter of the Hodges-Lehmann estimate; here asked every five minutes
//     from ten points on, and for good at the end.
//   - the z-test of two proportions at 5 %, each minute.
//
// All see the same requests, a tenth of which the candidate gets. In Flagger itself the share grows with each passed check; a row of its own
// says what that changes.
func compared() []rule {
	level := func(m traffic) bool { return m.kB > 0.01*m.nB }
	ratio := func(m traffic) bool { return m.kB/math.Max(1, m.nB) > 1.5*m.kA/math.Max(1, m.nA) }
	return []rule{
		{"Argo, success >= 99 %, limit 3", func() func(_, _ traffic) answer { return failures(3, math.MaxInt, level) }},
		{"Argo, success >= 99 %, limit 0", func() func(_, _ traffic) answer { return failures(0, math.MaxInt, level) }},
		{"Argo, error rate <= 1.5 x live, limit 3", func() func(_, _ traffic) answer { return failures(3, math.MaxInt, ratio) }},
		{"Flagger, success >= 99 %, threshold 5", func() func(_, _ traffic) answer { return failures(4, 10, level) }},
		{"Flagger, success >= 99 %, threshold 10", func() func(_, _ traffic) answer { return failures(9, 10, level) }},
		{"z-test at 5 %, each minute", func() func(_, _ traffic) answer {
			return func(_, t traffic) answer {
				if d, v, ok := t.difference(); ok && math.Abs(d) >= 1.96*math.Sqrt(v) {
					return back
				}
				return goOn
			}
		}},
	}
}

// failures rolls back at more than `most` failed minutes and promotes at `passes` good ones, if that comes first.
func failures(most, passes int, failed func(minute traffic) bool) func(minute, all traffic) answer {
	bad, good := 0, 0
	return func(m, _ traffic) answer {
		if failed(m) {
			bad++
		} else {
			good++
		}
		switch {
		case bad > most:
			return back
		case good >= passes:
			return promote
		}
		return goOn
	}
}

// kayenta compares error rates per minute. It needs a baseline of the candidate's size, drawn apart.
type kayenta struct{ baseline, canary []float64 }

func (k *kayenta) minute(c chance, m traffic, pA float64) answer {
	if m.nB > 0 {
		k.canary = append(k.canary, m.kB/m.nB)
		k.baseline = append(k.baseline, float64(c.binomial(int(m.nB), pA))/m.nB)
	}
	if n := len(k.canary); n >= 10 && n%5 == 0 && k.high() {
		return back
	}
	return goOn
}

// z98 is the normal quantile of a two-sided 98 % interval.
const z98 = 2.3263478740408408

// high says whether the lower end of the shift's interval is above the tolerance. The interval of Kayenta is the set of shifts that the rank
// test does not refuse, so this asks the test just above the tolerance: where most minutes are tied at zero errors, the end lies exactly on
// a jump, and "above" must mean above.
func (k *kayenta) high() bool {
	t := must(stats.MannWhitney(k.baseline, k.canary))
	shifted := make([]float64, len(k.canary))
	for i, y := range k.canary {
		shifted[i] = y - 0.25*math.Abs(t.Shift) - 1e-9
	}
	s := must(stats.MannWhitney(shifted, k.baseline))
	return t.HasP && s.HasP && s.Z > z98
}

// growing is Flagger as it ships: the share is 5 % and grows by 5 points with each passed minute; at 50 % it promotes. It draws its own requests.
func growing(c chance, rpm int, pA, pB func(minute int) float64, threshold int) (answer, int) {
	weight, failed := .05, 0
	for minute := 1; minute <= minutes; minute++ {
		var m traffic
		m.add(c, rpm, weight, pA(minute), pB(minute))
		if m.kB > 0.01*m.nB {
			if failed++; failed >= threshold {
				return back, minute
			}
			continue
		}
		if weight >= .5 {
			return promote, minute
		}
		weight += .05
	}
	return goOn, 0
}

// rawE1 is the engine with all of alpha on one route; a release of Sluice spends it on several. knowing is a test of the same labels that is
// told the ratio of the rates beforehand: none of this level is faster on average, so what it misses in five minutes is not there yet.
const (
	rawE1   = "E1 alone with all of alpha"
	knowing = "a test that knows the ratio beforehand"
)

// scenario is one row of the comparison: percent of errors of live and candidate.
type scenario struct {
	pA, pB   float64
	incident bool
}

// comparisons are C1: nine scenarios at two rates, all rules on the same requests.
func comparisons() (out []cell) {
	for _, rpm := range []int{1000, 10_000} {
		for _, s := range []scenario{
			{.2, .2, false},
			{.5, .5, false},
			{.8, .8, false},
			{2, 2, false},
			{.2, .2, true},
			{.1, .5, false},
			{.5, 1, false},
			{1, 2, false},
			{.5, 5, false},
		} {
			out = append(out, comparison(rpm, s))
		}
	}
	return out
}

// comparison measures one scenario: 60 minutes, 10 % of the traffic on the candidate. A release of Sluice has one guardrail with
// the margin 1.5x that tolerates nothing; judge looks each minute, and each request is a unit.
func comparison(rpm int, s scenario) cell {
	name := fmt.Sprintf("errors %g -> %g %%, %d requests/min", s.pA, s.pB, rpm)
	if s.incident {
		name += ", an incident in both (5 min at 5 %)"
	}
	at := func(p float64) func(int) float64 {
		return func(minute int) float64 {
			if s.incident && minute > 20 && minute <= 25 {
				return .05
			}
			return p / 100
		}
	}
	pA, pB := at(s.pA), at(s.pB)
	same := s.pA == s.pB
	rules := compared()
	m := errorsOf("errors", s.pA/100, factorOf(1.5), none)
	// Two columns per rule, when it rolled back and when it promoted (+Inf: not); others, Kayenta, growing Flagger, Sluice.
	n := len(rules) + 5
	names := make([]string, 0, n)
	for _, r := range rules {
		names = append(names, r.name)
	}
	names = append(names, "Kayenta, every 5 min from 10 points", "Flagger, threshold 5, share growing 5 % a minute",
		knowing, rawE1, "Sluice")
	reps := 2000
	if rpm > 1000 {
		reps = 1000
	}
	return cell{
		id: "C1", name: name, reps: reps,
		run: func(c chance) result {
			out := make(result, 2*n)
			for i := range out {
				out[i] = math.Inf(1)
			}
			open := func(i int) bool { return math.IsInf(out[2*i], 1) && math.IsInf(out[2*i+1], 1) }
			tell := func(i, minute int, a answer) {
				if a != goOn && open(i) {
					out[2*i+int(a-back)] = float64(minute)
				}
			}
			asked := make([]func(minute, all traffic) answer, len(rules))
			for i := range rules {
				asked[i] = rules[i].begin()
			}
			w := perRequest(newWorld(c, m))
			w.open(1, release.ExposureServe, 1-share, share)
			var k kayenta
			var all, before traffic
			for minute := 1; minute <= minutes; minute++ {
				w.serve(rpm)
				w.occur(0, true, pA(minute), pB(minute))
				all = w.counts(0)
				now := traffic{all.nA - before.nA, all.kA - before.kA, all.nB - before.nB, all.kB - before.kB}
				before = all
				for i, ask := range asked {
					tell(i, minute, ask(now, all))
				}
				tell(len(rules), minute, k.minute(c, now, pA(minute)))
				if d := math.Log(s.pB / s.pA); all.kB*d-(all.kA+all.kB)*math.Log1p(share*math.Expm1(d)) >= want {
					tell(n-3, minute, back)
				}
				if open(n - 2) {
					l := label(eventSigma, all.label(share))
					tell(n-2, minute, decision(l.LnAbove(0) >= want, l.LnBelow(math.Log(1.5)) >= want))
				}
				if open(n - 1) {
					a := w.look(release.StepCanary)
					tell(n-1, minute, decision(a.Harm, a.Verdicts[0].NoWorse))
				}
			}
			for i := range len(rules) + 1 { // a run of Argo, of the z-test or of Kayenta that ends without a failure is a success
				if names[i][0] != 'F' {
					tell(i, minutes, promote)
				}
			}
			a, minute := growing(c, rpm, pA, pB, 5)
			tell(n-4, minute, a)
			return out
		},
		rows: func(x results) (rows []row) {
			for i, rule := range names {
				rows = append(rows, ruleRow(name, rule, x, i, same, rpm))
			}
			return rows
		},
	}
}

// decision is what follows from evidence: harm goes before everything.
func decision(harm, noWorse bool) answer {
	switch {
	case harm:
		return back
	case noWorse:
		return promote
	}
	return goOn
}

// counts are the requests and events of a metric so far.
func (r *requests) counts(metric int) traffic {
	s := r.stratum()
	return traffic{
		float64(s.Arms[0].Exposures), float64(s.Arms[0].Metrics[metric].Event.With),
		float64(s.Arms[1].Exposures), float64(s.Arms[1].Metrics[metric].Event.With),
	}
}

// ruleRow tells how often and when a rule rolled back and promoted. Sluice is judged: false alarms on identical versions; on harmful ones
// false promotion (below 1 %) and, at 10,000 requests a minute, discovery within five minutes.
func ruleRow(in, name string, x results, i int, same bool, rpm int) row {
	within := func(col int, limit float64) float64 {
		n := 0
		for _, r := range x {
			if r[col] <= limit {
				n++
			}
		}
		return float64(n) / float64(len(x))
	}
	rolled, promoted := within(2*i, minutes), within(2*i+1, minutes)
	at := x.column(2 * i)
	r := row{ID: "C1", Scenario: in + ": " + name, Value: rolled, Rule: &ruled{Name: name, In: in, Back: rolled, Promoted: promoted}}
	r.Measured = fmt.Sprintf("rolled back %.3f", rolled)
	if rolled > 0 {
		r.Rule.Minute = number(at[(int(math.Round(rolled*float64(len(at))))-1)/2])
		r.Measured += " (median minute " + r.Rule.Minute + ")"
	}
	r.Measured += fmt.Sprintf(", promoted %.3f", promoted)
	soon := within(2*i, 5)
	if ours := name == "Sluice" || name == rawE1 || name == knowing; ours && !same && rpm == 10_000 {
		r.Measured += fmt.Sprintf(", within 5 min %.3f", soon)
	}
	switch {
	case name != "Sluice":
	case same:
		r.Limit = alarmLimit(alpha, len(x))
		r.Target, r.Decided, r.Verdict = fmt.Sprintf("<= %.3f", r.Limit), &promoted, pass
		if rolled > r.Limit {
			r.Verdict = missed
		}
	default:
		r.Value, r.Limit, r.Power, r.Verdict = promoted, .01, &rolled, pass
		r.Target = "promoted <= 0.01"
		if rpm == 10_000 {
			r.Target += ", 0.99 back within 5 min"
			if soon < .99 {
				r.Verdict = missed
			}
		}
		if promoted > .01 {
			r.Verdict = missed
		}
	}
	return r
}

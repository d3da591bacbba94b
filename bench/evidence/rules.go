package main

import (
	"fmt"
	"math"
	"slices"

	"sluice.dev/sluice/internal/stats"
)

// A rule sees the counts of each minute and of all minutes so far, and says when it rolls back.
type rule struct {
	name  string
	begin func() func(minute, all traffic) bool
	sound bool // its false alarms are held against alpha
}

var compared = []rule{
	{name: "Argo, success >= 99 %, more than 3 failures", begin: func() func(_, _ traffic) bool { return failures(3, math.MaxInt) }},
	{name: "Flagger, success >= 99 %, 5 failures, 10 passes", begin: func() func(_, _ traffic) bool { return failures(4, 10) }},
	{name: "z-test at 5 %, each minute", begin: func() func(_, _ traffic) bool {
		return func(_, t traffic) bool {
			d, v, ok := t.difference()
			return ok && math.Abs(d) >= 1.96*math.Sqrt(v)
		}
	}},
	{name: "Sluice, E1 one-sided at 5 %", sound: true, begin: func() func(_, _ traffic) bool {
		return func(_, t traffic) bool {
			return label(.5, stats.LabelStratum{KA: t.kA, KB: t.kB, Rho: share}).LnAbove(0) >= want
		}
	}},
}

// failures rolls back at more than `most` minutes in which the candidate's success rate is below 99 %, unless `passes`
// good minutes came first: then the version is out and nobody looks any more.
func failures(most, passes int) func(minute, all traffic) bool {
	failed, passed := 0, 0
	return func(m, _ traffic) bool {
		if passed >= passes {
			return false
		}
		if m.kB > 0.01*m.nB {
			failed++
		} else {
			passed++
		}
		return failed > most
	}
}

const share = .1

// rules is C1: threshold rules and a test of one look beside E1, 60 minutes, 10 % of the traffic on the candidate. Flagger's own
// growing share is left out, which changes its counts per minute and not that it acts on the level.
func rules(c chance, n int) (out []row) {
	for _, x := range []struct {
		rpm    int
		pA, pB float64
	}{{1000, .002, .002}, {1000, .008, .008}, {1000, .02, .02}, {1000, .001, .005}, {1000, .005, .05}, {10_000, .008, .008}, {10_000, .001, .005}} {
		at := make([][]int, len(compared))
		for range n {
			asked := make([]func(minute, all traffic) bool, len(compared))
			for i, r := range compared {
				asked[i] = r.begin()
			}
			var all traffic
			for minute := 1; minute <= 60; minute++ {
				var m traffic
				m.add(c, x.rpm, share, x.pA, x.pB)
				all = traffic{all.nA + m.nA, all.kA + m.kA, all.nB + m.nB, all.kB + m.kB}
				for i, ask := range asked {
					if ask != nil && ask(m, all) {
						at[i], asked[i] = append(at[i], minute), nil
					}
				}
			}
		}
		for i, r := range compared {
			out = append(out, ruleRow(r, at[i], n, x.rpm, x.pA, x.pB))
		}
	}
	return out
}

func ruleRow(r rule, at []int, n, rpm int, pA, pB float64) row {
	what := fmt.Sprintf("errors %g -> %g %%, %d/min: %s", 100*pA, 100*pB, rpm, r.name)
	var out row
	got := float64(len(at)) / float64(n)
	switch {
	case r.sound && pA == pB:
		out = rate("C1", what, len(at), n, alpha)
	case r.sound:
		out = row{id: "C1", scenario: what, target: ">= 0.99", pass: got >= .99, judged: true}
	default:
		out = row{id: "C1", scenario: what}
	}
	out.measured = fmt.Sprintf("rolled back %.3f", got)
	if len(at) > 0 {
		slices.Sort(at)
		out.measured += fmt.Sprintf(", median minute %d", at[(len(at)-1)/2])
	}
	return out
}

package main

import (
	"fmt"
	"math"

	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/stats"
)

// watchCells are R9: delays after thousands of harmless events (D13), and 24 hours of watching in windows of a minute (N6).
func watchCells() []cell { return []cell{watchDelay(), dayOfWatching(28_800), dayOfWatching(1000)} }

// watcher advances a judge.Watch window by window.
type watcher struct {
	w judge.Watch
	k stats.LabelStratum
}

func (w *watcher) advance(c chance, events int, theta float64) {
	b := float64(c.binomial(events, theta))
	w.k.KB, w.k.KA = w.k.KB+b, w.k.KA+float64(events)-b
	w.w = must(w.w.Advance([]stats.LabelStratum{w.k}))
}

// watchDelay is D13: after 10,000 harmless events in windows of 100 the rate ratio becomes 1.5.
func watchDelay() cell {
	const window, quiet, name = 100, 100, "after 10,000 harmless events in windows of 100 the rate ratio becomes 1.5"
	rule := judge.WatchRule{Sigma: eventSigma, ARL: 1000, Alpha: alpha}
	return cell{
		id: "D13", name: name, reps: 1000,
		run: func(c chance) result {
			w := watcher{k: stats.LabelStratum{Rho: .5}}
			for range quiet {
				w.advance(c, window, .5)
			}
			r := result{math.Inf(1), math.Inf(1), math.Inf(1)}
			for i := 1; i <= 60 && (math.IsInf(r[0], 1) || math.IsInf(r[1], 1) || math.IsInf(r[2], 1)); i++ {
				w.advance(c, window, .6)
				l := must(w.w.Look(rule))
				launch := label(eventSigma, w.k).LnAbove(0) >= want
				for j, found := range []bool{l.ESR, l.Mixture, launch} {
					if found && math.IsInf(r[j], 1) {
						r[j] = float64(i * window)
					}
				}
			}
			return r
		},
		rows: func(x results) []row {
			kl := klBernoulli(.6, .5)
			return []row{
				delay("D13", name+": e-SR, ARL 1000", x, 0, "events", 420, math.Log(1000)/kl),
				delay("D13", name+": start-time mixture", x, 1, "events", 650, want/kl),
				delay("D13", name+": one process since the beginning", x, 2, "events", 0, want/kl),
			}
		},
	}
}

// dayOfWatching is N6: 1440 windows of 20 events, a look each ten minutes. Identical versions; or a rate ratio of 2 from noon on.
func dayOfWatching(arl float64) cell {
	const windows, events = 1440, 20
	name := fmt.Sprintf("24 h in windows of a minute, 20 events each, e-SR with ARL %g", arl)
	rule := judge.WatchRule{Sigma: eventSigma, ARL: arl, Alpha: alpha}
	once := func(c chance, later float64) (esr, mixed bool) {
		w := watcher{k: stats.LabelStratum{Rho: .5}}
		for i := range windows {
			theta := .5
			if i >= windows/2 {
				theta = later
			}
			w.advance(c, events, theta)
			if (i+1)%10 == 0 && (later == .5 || i >= windows/2 && i < windows/2+180) {
				l := must(w.w.Look(rule))
				esr, mixed = esr || l.ESR, mixed || l.Mixture
			}
		}
		return esr, mixed
	}
	return cell{
		id: "N6", name: name, reps: 500,
		run: func(c chance) result {
			e, m := once(c, .5)
			he, hm := once(c, 2./3)
			return result{hit(e), hit(m), hit(he), hit(hm)}
		},
		rows: func(x results) []row {
			level := math.Min(1, windows/arl)
			if level == 1 {
				return []row{shown("N6", name+": any alarm of e-SR", x, 0).also("the bound is windows/ARL = %.3g: no promise for a day", windows/arl)}
			}
			return []row{
				alarm("N6", name+": any alarm of e-SR (windows/ARL = .05)", x, 0, level, -1, 2),
				alarm("N6", name+": any alarm of the start-time mixture", x, 1, alpha, -1, 3),
			}
		},
	}
}

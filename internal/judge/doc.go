// Package judge says what the data of a release mean: from the sums of a tally, the metrics of a Model, what was
// frozen from live and what was shown before, to one verdict per metric and candidate. It is pure: values in,
// values out, no clock, chance or I/O. What is done about a verdict is package rollout's business.
//
// # Walk
//
//  1. [MakeBaseline] (baseline.go) freezes what is needed of live: the class that decides which engine judges a
//     metric, scales of variance, latency thresholds, the dictionary of categories.
//  2. [Assess] (assess.go) goes over metrics and candidates. [Cache] (cache.go) makes a repeated look cheap: strata
//     that are closed are summed once.
//  3. A metric is judged by its class and kind: events.go (per user: R1, R3, R4), bins.go (E2 over bins: R2),
//     latency.go and category.go (R6), and in the shadow step by pairs.go (R8). covariate.go takes out of E2 what the
//     same users' values in the shadow step explain (CUPED).
//  4. memory.go keeps the suprema of the evidence for harm and decides by their weighted maximum (R5).
//  5. ratio.go checks the assignment itself (R7, R8); needs.go forecasts; words.go writes the sentences.
//  6. Beside a verdict: bayes.go, a view that is not corrected for looking and decides nothing, and, when asked for,
//     explain.go, the calls of published functions that reproduce its numbers. diagnose.go names what differs among
//     watched metrics and answers, under control of the false discovery rate.
//  7. picture.go draws what lies behind the verdicts, when somebody looks: distributions of latencies and answers, segments, posteriors.
//  8. watch.go is the detector for the time after a release: a fresh process per window.
//
// # How a metric's alpha is spent
//
// Harm of a release is shown when any component of any guardrail or objective reaches ln(share) + sup ln E >=
// ln(1/alpha), all shares of a release adding up to at most 1. The tree of shares, from the release down:
//
//	metric           its weight over the sum of weights (watch: 0), divided by the number of candidates
//	  pairs 1/2, serving 1/2 when the plan has a shadow step; otherwise serving 1
//	    events (classes event and both)
//	      bins 1/2: request rate over bins against tolerate
//	      users 1/2, tolerate in points: mirror of bounds 1/2, label 1/4, live's lower bound 1/4
//	                 tolerate 0 or a factor: label 1
//	        mirror and lower bound: stratum j (counted from 0) 1/((j+1)(j+2))
//	      but every request a unit, class event, tolerate 0 or a factor: label 1, of which release-long 7/8
//	    frequent, mean: bins 1
//	    latency: 1/(number of thresholds) each; category: drift 1
//	    pairs of 0/1 outcomes: label 1/2, bins 1/2; tolerate in points: label 1/4, live's lower bound 1/4
//	  everything but mirrors and pairs: release-long 2/3, which in the first epoch is that epoch's process, and epoch
//	  j = 1, 2, ... 1/3 1/(j(j+1)), so that harm which begins late is found (R1, R9)
//
// Suprema, not values at one moment, are compared with the threshold, which a union over shares pays for under any
// dependence. "No worse" and "better" are never remembered: they must hold at the decision. On pairs of 0/1 outcomes
// "no worse" has two routes: E2 over bins 3/4, the count of units that lost 1/4.
//
// # Invariants
//
//   - No number in an [Assessment] is NaN or infinite, so that it is always valid JSON: evidence is clamped to
//     ±[MaxLn], points to ±100, factors to 0..1000, bits to 0..1. Level 0 says that there is no interval yet.
//   - A metric of role watch has no weight: nothing it shows can decide.
//   - Assess does not change its input; the returned Memory is a copy.
package judge

// Package simulate tells the operating characteristics of a plan before anyone is exposed: how often a release of a given
// candidate succeeds, is rolled back or pauses undecided, how long it takes and how many requests the candidate answers.
// The real judge and rollout decide, on synthetic traffic and a virtual clock: nothing sleeps.
//
//  1. simulate.go: Run draws the population once, shares the runs among all cores and adds them up. A run depends on
//     (seed, run) alone, so that the report does not depend on the number of workers.
//  2. options.go, effect.go: what can be asked, and the words of effects ("errors=+1pp", "slow=1.2x").
//  3. population.go: users, their activity, and each user's own rates under live and candidate.
//  4. run.go: one release. Looks are spaced geometrically within each stratum, and placed exactly where a hold, a watch or a
//     deadline ends; between two looks the step's clock moves as idle ticks would move it.
//  5. Two sources of evidence: flow.go, cells.go, pairs.go, sums.go draw what a tally would hold at the next look; exact.go
//     draws request by request and folds the log in package tally. A test holds their distributions together.
//  6. report.go, plot.go: results. request.go, curves.go: the same within the bounds of a server, and over a grid of truths.
//  7. forecast.go, need.go, crowd.go, planfaults.go: Plan, which says by closed forms what each step needs and which can't end in time.
//     In it each day brings other users; in a run the same ones come back.
//
// # Why the fast source is right
//
// Every user's requests are a Poisson process with a rate of its own, so that requests with a given outcome are independent
// Poisson processes, and those of one bin and arm add up to one. The counts of a bin between two looks are therefore
// drawn at once, exactly. What is counted once per unit (first events of E1, closed records of R3) needs two times per user and
// stratum: the first request, and the first event from then on; until that event the user's events are left out of the bin's
// rate. Approximated: metrics of one request are drawn independently, also those that read one value; the sum of a mean over a bin is gamma distributed with
// the right mean and variance; latencies before the baseline are drawn from the population as a whole; the tally's limits
// (units, held answers) are never reached; the tail of a latency counted per unit is drawn apart from the one counted over
// bins.
//
// # What is assumed
//
// A closed population: the users of a day, who keep coming. A plan of many days to which others come each day is nearer to one with as many
// users as come in all. Tests pass, approvals are given and pauses without a duration are
// ended at once. No telemetry is lost and all gateways serve a new share at once. A run that a person would have to decide
// (undecided at a deadline, barriers that stay) counts as Paused when it gets there.
package simulate

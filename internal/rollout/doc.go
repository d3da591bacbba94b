// Package rollout decides what a release does next. Step takes the state of a release and one input
// and returns the next state and the decisions on record. It is pure: the time is part of the input,
// what has to be done outside is data in the state (Effect), and routing is a projection of the state
// (State.Routing). So a decision can be replayed, and a controller may die at any moment: the state is
// everything.
//
// Where to read:
//
//  1. state.go: the state, inputs and decisions. begin.go: how a release comes to be.
//  2. step.go: the one door; every input is checked entirely before anything is built.
//  3. tick.go: what happens once a second. In this order: clock, memory of the judge, baseline,
//     barriers, harm, gate, deadline.
//  4. gate.go: per kind of step, what must be true to advance. barrier.go: what forbids advancing.
//  5. move.go: entering steps, strata, pausing and the ends. command.go: what people may do.
//     alarm.go: what is put on record after a success.
//  6. decide.go: the records and their chain. routing.go: what gateways serve.
//  7. explain.go, progress.go: the same in words and for status bars.
//
// # Rules that hold always
//
//   - Only verdicts of the present tick, people, a passed suite and passed time advance a release.
//     Undecided, no data, an empty or absent analysis, and a metric that waits for its baseline never do.
//   - Harm is acted upon in every state that is not an end, paused and held ones included: withdrawing
//     needs nobody's permission and no complete telemetry.
//   - The candidate's share never falls while a release runs; it is 0 after RolledBack and Stopped.
//   - An ended release takes acknowledgements of its effects, and alarms of the standing watch while it keeps its hold-back;
//     nothing else, and neither moves a share.
//   - Every change of what is served is a decision, and opens a stratum or closes the last one.
//   - A jump of the clock passes no hold and no deadline: a tick counts for at most five seconds, and
//     only while all live gateways serve the present generation and telemetry arrives.
//
// # Decided here, where the design leaves it open
//
//   - Abort ends as Stopped while no user was ever served by the candidate, otherwise as RolledBack.
//   - Breaker trips, gaps, loss above 0.1 % of an arm, a wrong sample ratio and a broken audit chain are
//     barriers: the step's clock stands still (so its deadline does), nobody moves. A breaker counts for
//     ten minutes after its latest report, so that a gateway that died with an open one blocks nothing
//     for ever. Every barrier goes ten seconds after its cause, so that flapping doesn't flood the log.
//   - Harm beats a sample-ratio alarm: a candidate that breaks the ratio by crashing must not stay.
//   - Steps test and pause need no telemetry, so their clocks count every tick.
//   - Retry needs a pause by Sluice and starts the present step (canary: the present share) afresh, in a new
//     epoch. Resume after a missed deadline keeps the epoch and its evidence and grants a new deadline. An ended release can't be
//     retried: a new release is a new number with its own salt and evidence.
//   - Canary asks for the objective too (no worse) unless an A/B test of the same plan came before: else a
//     plan without one would never look at it.
//   - With several objectives, "better" asks it of each.
//   - A plan that ends below 100 % without a production step pauses at its end: promote makes the
//     candidate live. What was shown at 20 % is no evidence that a person has to accept for 100 %.
//   - Production passes on the absence of harm, so it also asks that each guardrail and objective has
//     data, unless there is no hold-back to compare with.
//   - Adjust applies at once, also while paused: a present step that changed begins anew, in a new epoch.
//   - Promote at an approval step is an approval and needs the same roles.
//   - Rule R3's window (at most the hold) needs nothing here: canary can't advance before its hold has
//     passed at this share, and judge counts closed units of the present stratum only.
package rollout

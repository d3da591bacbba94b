// Package tally turns the log of exposures and feedback into sums whose size does not grow with the
// number of users. It is pure: the only time it knows is the time in the log.
//
// The way of an event:
//
//  1. tally.go: Fold takes one batch of a partition's log, once (producer.go), for one release.
//  2. exposure.go: an exposure is accounted to its stratum and arm (sums.go) and to its unit (unit.go).
//  3. Where a metric waits for an outcome, the exposure's answer is held until it is one window old
//     (held.go, feedback.go; rule R7); the two answers of a mirrored request wait for each other
//     (pair.go).
//  4. baseline.go: from the position of the baseline mark on, what depends on it is counted.
//  5. view.go, merge.go: the partitions' sums, added, are what package judge reads.
//
// Invariants:
//
//   - Bins of different partitions are disjoint, so merging is addition and loses nothing.
//   - The state is a function of the log alone: folding a log gives the same bytes (codec.go) as
//     folding its rest after a snapshot of its beginning.
//   - Two things are bounded by limits instead of by the design: the set of units and what is held.
//     Both thin themselves by a hash, which no outcome can influence, and keep what they counted.
//   - A steady state allocates nothing per event.
//
// A Tally belongs to one goroutine at a time.
package tally

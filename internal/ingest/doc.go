// Package ingest carries telemetry from the gateway to the tallies, through the log:
//
//  1. ring.go: where the gateway leaves an exposure; bounded, lock-free, drops and counts.
//  2. interner.go: categories as numbers, so that an exposure is free of pointers.
//  3. publish.go, batch.go: one publisher per partition makes batches of exposures, feedback and marks and
//     appends them in order, each under an id that stays the same until it is acknowledged.
//     What the log does not take for a while waits on disk (spool.go).
//  4. feedback.go: feedback and marks wait for that acknowledgement: told as accepted means durable.
//  5. folder.go, folding.go: one reader per partition folds the log into tallies; save.go, snapshot.go:
//     and keeps them with their place in the log; evidence.go: the merged sums of one release, for who
//     decides.
//
// Nothing is counted twice: a batch carries its producer, incarnation and number, the tally remembers
// the highest it folded, and a snapshot holds the log's sequence with the sums. Nothing is lost
// silently: what is dropped at the ring is counted per arm and travels with the next batch.
//
// The log and the blobs are interfaces that app joins to the store.
package ingest

// Package sim runs the whole of Sluice but its HTTP edges against a store that fails, on virtual time, from one
// seed, and looks after every step whether anything happened that never may.
//
//  1. sim.go: a run. Releases of a healthy and of a harmful candidate follow each other while two controllers compete
//     for the lease, two gateways serve and one folder counts.
//  2. process.go, parts.go: those five processes. Each has its own session of one store.Memory, and is stopped or
//     killed and started again at random moments.
//  3. chaos.go: the faults: refused, without room, request lost, answer lost, delayed.
//  4. traffic.go: users who return, errors and feedback as the truth about each version says.
//  5. check.go: what must hold at every step. recount.go: a slow obvious twin of the tally.
//
// Run needs a bubble of testing/synctest: all clocks are then virtual, and half an hour takes a fraction of a
// second. All that is drawn comes from the seed: what the world does from one generator that one goroutine uses,
// and the fate of each operation on the store from a hash of the seed, the process, the operation and the virtual
// time, so that the order in which goroutines happen to run does not shift the faults of others. No two processes
// act at the same virtual instant, so that a seed repeats its run.
package sim

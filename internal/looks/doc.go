// Package looks keeps the history of one release's looks: what judge said of each metric, every few
// seconds, for as long as the release runs. It is values in, values out; package records stores them.
//
// Decisions are on record with every number that they rest on. Looks are what lies between them: they
// decide nothing and are there to be drawn. So they are kept cheaply:
//
//   - A [Head] holds what is not yet a full chunk and is replaced as a whole, one write per flush.
//   - A full chunk of [ChunkLen] looks is written once and never changes.
//   - Level 0 has every look; level k has the last one of each Fan^k looks, in chunks of its own. A
//     picture of a million looks therefore reads a few dozen chunks, at the level that is fine enough.
//   - [Spacing] grows with the number of looks, so that a year takes fewer than a million of them.
//
// Thinning keeps the last look of each group and invents none. No crossing of the evidence for harm is
// lost by it, because judge's LnHarm is the largest value so far.
//
// Layout of an encoded chunk: a JSON header (length first) that names columns, states and units, then
// columns: times and counts as differences in variable length, numbers as float32 split into planes of
// bytes; all of it deflated.
package looks

// Package assign decides which unit is served by which arm, from shares to intervals to a compiled
// view that gateways serve from. It is pure: no clock, chance, I/O or locks. Where to read:
//
//  1. hash.go: a unit's place on the circle of 2^64 hash values, and its bin.
//  2. reshape.go: shares in parts per million become intervals of hash values, moving the fewest units.
//  3. table.go: the immutable lookup from a unit to its arm.
//  4. routes.go: the published form (Spec); codec.go: its bytes, with a checksum; compile.go and
//     match.go: the compiled, immutable Routes and how a request finds its model.
//
// # Invariants
//
//   - A unit's arm depends on the release's salt, the unit and the intervals alone. Every replica,
//     every restart and every language computes the same: see testdata/vectors.json and its README.
//   - Intervals are disjoint and complete: each hash value belongs to exactly one arm.
//   - A share of s parts per million covers exactly floor(s * 2^64 / 10^6) hash values; what rounding
//     leaves over (fewer hash values than there are arms) is live's.
//   - With one candidate the units of a smaller share are a subset of those of a larger one.
//
// # Three independent hashes of one unit
//
// The arm is drawn with the release's salt, so groups of different releases are independent. The bin
// is drawn with one fixed salt, so a unit keeps its bin, and its partition of the log, for ever. The
// mirror sample of a shadow step is drawn with a third salt derived from the release's, so that which
// requests are copied tells nothing about the arm, and a 10 % sample lies inside a 50 % sample.
package assign

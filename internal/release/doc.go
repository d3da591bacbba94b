// Package release is the vocabulary of Sluice: the files that people write (Model, Config), the
// words of a release (plan, step, metric, margin) and the events that gateways record (exposure,
// feedback), with their codecs. It holds no state and does no I/O.
//
// Where to find what:
//
//   - model.go, config.go: the files as types; parse.go, decode.go, yaml.go: reading them strictly, with
//     line, column and remedy for every fault at once (fault.go); validate*.go: their sense;
//     normalise.go: their defaults; schema.go: their JSON Schemas.
//   - units.go: shares, margins, rates, durations as they are written in files, and share.go,
//     duration.go, quantity.go: their texts; enum.go: closed lists of words.
//   - source.go: what a metric is made from (`error`, `latency`, `json:decision`, `agree(...)`);
//     selector.go: where a value is taken from a request or an answer; signal.go: which values an
//     exposure carries, and which of them a metric reads; peek.go: how a value is found.
//   - event.go: exposures, feedback and the batches in which they travel; batch*.go: their codec.
//   - token.go: the exposure id that goes to the application and returns with feedback, hashes of
//     units, bins; keyring.go: the keys.
//   - error.go: the one error type, whose kind each edge translates once.
//
// What is stored and must never change: the enums of event.go, the layouts in batch.go and token.go, the
// hashes in testdata/hashes.json, and the canonical form of a Model (testdata/design.canonical.json).
package release

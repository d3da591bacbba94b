// Package release is the vocabulary of Sluice: the files that people write (Model, Config), the
// words of a release (plan, step, metric, margin) and the events that gateways record (exposure,
// feedback), with their codecs. It holds no state and does no I/O.
//
// Where to find what:
//
//   - model.go: the Model file as types; parse.go and validate.go: reading it strictly, with
//     line, column and remedy for every fault at once; schema.go: its JSON Schema.
//   - units.go: shares, margins, rates, durations as they are written in files.
//   - source.go: what a metric is made from (`error`, `latency`, `json:decision`, `agree(...)`);
//     selector.go: where a value is taken from a request or an answer.
//   - event.go: exposures, feedback and the batches in which they travel; batch.go: their codec.
//   - token.go: the exposure id that goes to the application and returns with feedback.
//   - error.go: the one error type, whose kind each edge translates once.
package release

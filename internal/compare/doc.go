// Package compare says what two data sets of outputs, of two versions of a model, tell about the versions: the two models that are
// often sketched for this, done right. docs/seed-models.md explains both with an example.
//
//  1. read.go: outputs from text (one per line), CSV (a column) or JSON Lines (a path), with labels where there are any.
//  2. compare.go: Compare decides between categories and numbers and calls the parts.
//  3. probability.go: which version an output came from (Bayes), and, with labels, how probable it is that B is better.
//  4. information.go: entropies, the information that an output carries about its version, and its test.
//  5. numeric.go: means, shifts and their intervals. conclude.go: one honest sentence. plot.go: pictures.
//
// Everything here is for one look at a finished sample: no interval or p-value survives looking again and again. A running release is
// judged by package judge. Outputs are taken to be independent; outputs of users who come back are worth less than they number.
package compare

// Package scoring reads and runs the two small model formats of the credit example: a logistic
// regression and a sum of decision trees. Both answer a probability.
//
// A model file is one JSON object. Its common fields:
//
//	kind        "logistic" or "gbt-logistic"
//	features    the names of the inputs, in the order of Score's argument
//	categories  for each categorical input its values; the code of a value is its place in the list
//	task        what the probability is of, for people
//
// Kind logistic: sigmoid(bias + sum of weights[i] * (x[i] - mean[i]) / scale[i]). A missing x[i] is
// replaced by fill[i]; without fill it makes the score NaN.
//
// Kind gbt-logistic: sigmoid(base_margin + the leaf that each tree leads to). trees[t][n] is node n of
// tree t and node 0 its root; a leaf is [value], a split [feature, threshold, left, right, missing_left].
// A split goes left when float32(x) < float32(threshold), because the learner compares single-precision
// numbers, and a missing x goes left when missing_left is 1.
//
// Everywhere a missing input is NaN, and a category that the model has never seen is missing.
//
// Parse checks everything that Score relies on: indices in range, each node of a tree reached exactly
// once from its root (so that no walk can cycle), numbers finite. A Model never changes afterwards and is
// safe for concurrent use.
package scoring

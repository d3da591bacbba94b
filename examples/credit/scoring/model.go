package scoring

import (
	"fmt"
	"math"
	"slices"
)

// Cutoff is the probability of a bad outcome from which an applicant is denied.
const Cutoff = 0.35

// The two decisions.
const (
	Approve = "approve"
	Deny    = "deny"
)

// Decide says Approve when pBad, a probability, is below Cutoff and Deny otherwise. NaN is denied: callers
// that can tell the client should refuse such an input instead.
func Decide(pBad float64) string {
	if pBad < Cutoff {
		return Approve
	}
	return Deny
}

// Model is a model ready to score. Make one with Parse.
type Model struct {
	kind     string
	task     string
	features []string
	codes    []map[string]float64 // by feature: the code of each category; nil for a number

	bias  float64 // logistic: bias; gbt-logistic: base margin
	terms []term  // logistic: one per feature
	nodes []node  // gbt-logistic: all trees, one after the other
	roots []int32 // gbt-logistic: where each tree starts in nodes
}

// term is the part of one feature in a logistic model.
type term struct{ weight, mean, scale, fill float64 }

// node is a leaf (feature < 0) or a split of a tree. Children are places in Model.nodes.
type node struct {
	value       float64 // of a leaf
	threshold   float32
	feature     int16
	missingLeft bool
	left, right int32
}

// Kind is "logistic" or "gbt-logistic".
func (m *Model) Kind() string { return m.kind }

// Task says in the words of the file what the probability is of.
func (m *Model) Task() string { return m.task }

// Features returns the names of the inputs in the order in which Score takes them.
func (m *Model) Features() []string { return slices.Clone(m.features) }

// IsCategory says whether feature i is categorical: its value is a Code, not a measured number.
func (m *Model) IsCategory(i int) bool { return m.codes[i] != nil }

// Code returns the number that stands for category text of feature i, or NaN, which means missing, for a
// text that the model does not know.
func (m *Model) Code(i int, text string) float64 {
	if c, ok := m.codes[i][text]; ok {
		return c
	}
	return math.NaN()
}

// Score returns the probability that the model gives x, whose values stand in the order of Features and are
// NaN where missing. The result is in [0, 1], or NaN when a logistic model without fill misses a value or
// its terms overflow. It allocates nothing for up to 64 features. A wrong number of values is a programming
// error and panics.
func (m *Model) Score(x []float64) float64 {
	if len(x) != len(m.features) {
		panic(fmt.Sprintf("scoring: %d values for %d features", len(x), len(m.features)))
	}
	if m.terms != nil {
		return sigmoid(m.linear(x))
	}
	return sigmoid(m.boosted(x))
}

func (m *Model) linear(x []float64) float64 {
	s := m.bias
	for i, t := range m.terms {
		v := x[i]
		if math.IsNaN(v) {
			v = t.fill
		}
		s += t.weight * (v - t.mean) / t.scale
	}
	return s
}

func (m *Model) boosted(x []float64) float64 {
	var room [64]float32 // narrowed once here, not at each of the hundreds of comparisons
	single := room[:0]
	for _, v := range x {
		single = append(single, float32(v))
	}
	s := m.bias
	for _, at := range m.roots {
		n := &m.nodes[at]
		for n.feature >= 0 {
			v := single[n.feature]
			if v < n.threshold || (n.missingLeft && v != v) {
				n = &m.nodes[n.left]
			} else {
				n = &m.nodes[n.right]
			}
		}
		s += n.value
	}
	return s
}

func sigmoid(s float64) float64 { return 1 / (1 + math.Exp(-s)) }

package scoring

import (
	"errors"
	"fmt"
	"math"
)

func (m *Model) setTrees(f *file) error {
	if f.Bias != nil || f.Weights != nil || f.Mean != nil || f.Scale != nil || f.Fill != nil {
		return errors.New("kind gbt-logistic: bias, weights, mean, scale and fill belong to logistic")
	}
	if f.BaseMargin == nil {
		return errors.New("base_margin is missing")
	}
	if len(f.Trees) == 0 {
		return errors.New("trees: none")
	}
	m.bias = float64(*f.BaseMargin)
	for t, tree := range f.Trees {
		if len(m.nodes)+len(tree) > MaxNodes {
			return fmt.Errorf("trees[%d]: more than %d nodes in all", t, MaxNodes)
		}
		if err := m.addTree(tree); err != nil {
			return fmt.Errorf("trees[%d]%w", t, err)
		}
	}
	return nil
}

// addTree appends one tree. It first proves that the nodes form a tree: walks end because of that.
// Its errors begin with the place inside the tree, so that the caller can put the tree's before.
func (m *Model) addTree(tree [][]number) error {
	if len(tree) == 0 {
		return errors.New(": no nodes")
	}
	base := int32(len(m.nodes))
	m.roots = append(m.roots, base)
	for i, raw := range tree {
		n, err := m.decodeNode(raw, len(tree))
		if err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
		if n.feature >= 0 {
			n.left += base
			n.right += base
		}
		m.nodes = append(m.nodes, n)
	}
	return checkShape(m.nodes[base:], base)
}

func (m *Model) decodeNode(raw []number, size int) (node, error) {
	switch len(raw) {
	case 1:
		return node{feature: -1, value: float64(raw[0])}, nil
	case 5:
	default:
		return node{}, fmt.Errorf("%d numbers, want 1 for a leaf or 5 for a split", len(raw))
	}
	feature, ok := index(raw[0], len(m.features))
	if !ok {
		return node{}, fmt.Errorf("feature %v, want 0 to %d", raw[0], len(m.features)-1)
	}
	left, okLeft := index(raw[2], size)
	right, okRight := index(raw[3], size)
	if !okLeft || !okRight {
		return node{}, fmt.Errorf("children %v and %v, want 0 to %d", raw[2], raw[3], size-1)
	}
	if raw[4] != 0 && raw[4] != 1 {
		return node{}, fmt.Errorf("missing_left %v, want 0 or 1", raw[4])
	}
	threshold := float32(raw[1])
	if math.IsInf(float64(threshold), 0) {
		return node{}, fmt.Errorf("threshold %v is beyond single precision", raw[1])
	}
	return node{
		feature: int16(feature), threshold: threshold, missingLeft: raw[4] == 1,
		left: int32(left), right: int32(right),
	}, nil
}

// index reads v as an index into something of n parts.
func index(v number, n int) (int, bool) {
	if v < 0 || v >= number(n) || v != number(math.Trunc(float64(v))) {
		return 0, false
	}
	return int(v), true
}

// checkShape says whether every node is reached exactly once from the first. Two ways to a node are a cycle
// or a shared branch, no way is a remnant: each means that the export went wrong.
func checkShape(nodes []node, base int32) error {
	reached := make([]bool, len(nodes))
	todo := []int32{0}
	count := 0
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if reached[at] {
			return fmt.Errorf("[%d]: reached twice from the root: a cycle or a shared branch", at)
		}
		reached[at] = true
		count++
		if n := nodes[at]; n.feature >= 0 {
			todo = append(todo, n.right-base, n.left-base)
		}
	}
	for at, ok := range reached {
		if !ok {
			return fmt.Errorf("[%d]: not reached from the root (%d of %d nodes are)", at, count, len(nodes))
		}
	}
	return nil
}

package release

import (
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// joinColons repairs a reading of the YAML library: inside a flow mapping it takes the list [header:X]
// for a list of one mapping, although a colon without a space after it belongs to a plain scalar
// (YAML 1.2, 7.3.3, ns-plain-safe). Keys in quotes are left alone: after them the space is optional.
func joinColons(n ast.Node) {
	switch n := n.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			joinColons(v.Value)
		}
	case *ast.MappingValueNode:
		joinColons(n.Value)
	case *ast.SequenceNode:
		for i, element := range n.Values {
			if joined := plainScalar(element); joined != nil {
				n.Values[i] = joined
				continue
			}
			joinColons(element)
		}
	}
}

// plainScalar returns the scalar that an element of a list really is; nil if it is what it seems.
func plainScalar(n ast.Node) ast.Node {
	pair, ok := n.(*ast.MappingValueNode)
	if m, isMap := n.(*ast.MappingNode); isMap && len(m.Values) == 1 && m.Start.Type != token.MappingStartType {
		pair, ok = m.Values[0], true
	}
	if !ok {
		return nil
	}
	parts := []*token.Token{pair.Key.GetToken(), pair.Start, pair.Value.GetToken()}
	if nested := plainScalar(pair.Value); nested != nil {
		parts[2] = nested.GetToken()
	} else if _, isScalar := scalarText(pair.Value); !isScalar {
		return nil
	}
	var text strings.Builder
	for i, t := range parts {
		quoted := t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType
		if quoted || i > 0 && !adjacent(parts[i-1], t) {
			return nil
		}
		text.WriteString(t.Value)
	}
	at := parts[0]
	return ast.String(token.New(text.String(), text.String(), at.Position))
}

// adjacent says whether b begins where a ends.
func adjacent(a, b *token.Token) bool {
	return a.Position.Line == b.Position.Line && a.Position.Column+len(a.Value) == b.Position.Column
}

package release

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// any turns a node into the value that encoding/json would: map[string]any, []any, string, bool, nil,
// and json.Number for numbers, so that their digits stay as written.
func (d *decoder) any(n ast.Node, path string) any {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return nil
	case *ast.MappingNode, *ast.MappingValueNode:
		out := map[string]any{}
		d.pairs(n, path, "", func(key, at string, value ast.Node) { out[key] = d.any(value, at) })
		return out
	case *ast.SequenceNode:
		out := make([]any, len(n.Values))
		for i, element := range n.Values {
			at := path + "[" + strconv.Itoa(i) + "]"
			d.p.at[at] = nodePos(element)
			out[i] = d.any(element, at)
		}
		return out
	case *ast.BoolNode:
		return n.Value
	case *ast.IntegerNode, *ast.FloatNode:
		s, _ := scalarText(n)
		if v, err := strconv.ParseFloat(s, 64); err != nil || math.IsInf(v, 0) || !json.Valid([]byte(s)) {
			d.fail(path, "write it in decimal, like 10 or 0.5", "%q is not a number of JSON", clip(s))
			return nil
		}
		return json.Number(s)
	case *ast.StringNode, *ast.LiteralNode:
		s, _ := scalarText(n)
		return s
	}
	d.fail(path, "write a value of JSON", "%s has no form in JSON", describe(n))
	return nil
}

// raw decodes a node into its JSON.
func (d *decoder) raw(n ast.Node, v reflect.Value, path string) {
	text, err := json.Marshal(d.any(n, path))
	if err != nil {
		d.fail(path, "write a value of JSON", "it has no form in JSON")
		return
	}
	v.SetBytes(text)
}

// child is the path of a field or key inside path. Keys that would be mistaken for structure are quoted.
func child(path, key string) string {
	switch {
	case key == "" || strings.ContainsAny(key, ".[]\"\\ ") || len(key) > MaxNameLen:
		return path + "[" + strconv.Quote(clip(key)) + "]"
	case path == "":
		return key
	default:
		return path + "." + key
	}
}

// scalarText is the text of a scalar: without quotes and escapes, otherwise as it was written.
func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return strings.TrimSpace(n.GetToken().Value), true
	default:
		return "", false
	}
}

func keyText(key ast.MapKeyNode) string {
	if k, ok := key.(*ast.MappingKeyNode); ok {
		s, _ := scalarText(k.Value)
		return s
	}
	if s, ok := scalarText(key); ok {
		return s
	}
	return key.String()
}

func isNull(n ast.Node) bool {
	if n == nil {
		return true
	}
	_, ok := n.(*ast.NullNode)
	return ok
}

// valuePos is where a pair's value should be looked for: at the value if it is a scalar or in brackets,
// at the key if the value is a block that begins on another line or is empty.
func valuePos(pair *ast.MappingValueNode) Pos {
	key := keyPos(pair)
	if isNull(pair.Value) {
		return key
	}
	if value := nodePos(pair.Value); value.Line == key.Line {
		return value
	}
	return key
}

func keyPos(pair *ast.MappingValueNode) Pos { return nodePos(pair.Key) }

// nodePos is where a node begins.
func nodePos(n ast.Node) Pos {
	switch m := n.(type) {
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			return keyPos(m.Values[0])
		}
	case *ast.MappingValueNode:
		return keyPos(m)
	}
	t := n.GetToken()
	if t == nil || t.Position == nil {
		return Pos{}
	}
	return Pos{t.Position.Line, t.Position.Column}
}

// examples of values, for remedies, by the type that reads them.
var examples = map[reflect.Type]string{
	reflect.TypeFor[Share]():    "20%",
	reflect.TypeFor[Duration](): "10m",
	reflect.TypeFor[Rate]():     "40/s",
	reflect.TypeFor[Bytes]():    "10MiB",
	reflect.TypeFor[Margin]():   "0.5pp",
	reflect.TypeFor[Selector](): "header:X-User-Id",
	reflect.TypeFor[Source]():   "error",
	reflect.TypeFor[Secret]():   "env:NAME",
}

// example is how a value of type t looks in a file.
func example(t reflect.Type) string {
	if s, ok := examples[t]; ok {
		return s
	}
	if t.Kind() == reflect.Pointer {
		return example(t.Elem())
	}
	if e, ok := reflect.Zero(t).Interface().(Enum); ok {
		return e.Values()[0]
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "{...}"
	case reflect.Slice:
		return fmt.Sprintf("[%s]", example(t.Elem()))
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true"
	default:
		return "1"
	}
}

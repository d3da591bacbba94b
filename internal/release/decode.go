package release

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Bounds of values inside a file.
const (
	maxTextLen  = 16 << 10
	maxListLen  = 10_000
	maxOneFault = 1000 // faults before the decoder gives up
)

// DecodeStrict reads one object of a kind (Model, Config, Suite) from YAML, of which JSON is a part,
// into a T, whose fields are named by json tags. Every fault of the file is reported at once: unknown,
// repeated and missing fields (a field is required unless its tag says omitempty or omitzero), values
// of the wrong type, words that are not in an Enum, texts that an encoding.TextUnmarshaler refuses.
//
// The result is never nil: with faults it holds what could be read, so that the caller can look for
// faults of meaning as well, skipping fields that Positions.Faulty names. name is how faults call the
// file. T needs the string fields apiVersion and kind. Add faults of meaning and call Faults.Sorted.
func DecodeStrict[T any](name string, data []byte, kind string) (*T, *Positions, Faults) {
	into := new(T)
	p := &Positions{file: name, at: map[string]Pos{}, faulty: map[string]bool{}, unread: map[string]bool{}}
	root, fault := parseYAML(p, data)
	if fault != nil {
		p.unread[""] = true
		return into, p, Faults{*fault}
	}
	d := &decoder{p: p, kind: kind}
	p.at[""] = Pos{1, 1}
	if !d.head(root, kind) {
		p.unread[""] = true
		return into, p, d.faults
	}
	d.object(root, reflect.ValueOf(into).Elem(), "")
	return into, p, d.faults
}

type decoder struct {
	p      *Positions
	kind   string
	faults Faults
}

func (d *decoder) fail(path, remedy, format string, args ...any) {
	d.report(path, remedy, format, args...)
	d.p.unread[path] = true
}

// report is fail for a field that has a value nevertheless.
func (d *decoder) report(path, remedy, format string, args ...any) {
	if len(d.faults) < maxOneFault {
		d.faults = append(d.faults, d.p.Fault(path, remedy, format, args...))
	}
}

// head checks apiVersion and kind. A file of another kind gets this one fault only: all others would
// follow from it.
func (d *decoder) head(root *ast.MappingNode, kind string) bool {
	want := map[string]string{"apiVersion": APIVersion, "kind": kind}
	for _, field := range root.Values {
		name := keyText(field.Key)
		value, isText := scalarText(field.Value)
		if right, ok := want[name]; ok && isText && value != right {
			d.p.at[name] = valuePos(field)
			d.fail(name, fmt.Sprintf("write %s: %s", name, right), "%q is not what is read here", clip(value))
			if name == "kind" && (value == KindModel || value == KindConfig || value == KindSuite) {
				d.faults[len(d.faults)-1].Msg = fmt.Sprintf("this is a %s file, where a %s file is needed", value, kind)
			}
		}
	}
	return len(d.faults) == 0
}

// value decodes any node into v, which is settable.
func (d *decoder) value(n ast.Node, v reflect.Value, path string) {
	t := v.Type()
	switch {
	case t == reflect.TypeFor[json.RawMessage]():
		d.raw(n, v, path)
		return
	case t.Kind() == reflect.Pointer:
		v.Set(reflect.New(t.Elem()))
		d.value(n, v.Elem(), path)
		return
	case isNull(n) && t.Kind() != reflect.Interface:
		d.fail(path, "write "+example(t)+" or remove the field", "it is empty")
		return
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.text(n, u, path, t)
		return
	}
	if e, ok := v.Interface().(Enum); ok {
		d.enum(n, v, e.Values(), path)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		d.object(n, v, path)
	case reflect.Map:
		d.mapping(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	case reflect.Interface:
		if x := d.any(n, path); x != nil {
			v.Set(reflect.ValueOf(x))
		}
	default:
		d.scalar(n, v, path)
	}
}

// field is a struct's field as the file names it.
type field struct {
	name     string
	index    int
	required bool
}

func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue
		}
		optional := strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
		out = append(out, field{name: name, index: i, required: !optional})
	}
	return out
}

func (d *decoder) object(n ast.Node, v reflect.Value, path string) {
	fields := fieldsOf(v.Type())
	names := make([]string, len(fields))
	byName := make(map[string]field, len(fields))
	for i, f := range fields {
		names[i], byName[f.name] = f.name, f
	}
	seen := map[string]bool{}
	ok := d.pairs(n, path, "a mapping of fields, like "+names[0]+": ...", func(key, at string, value ast.Node) {
		f, known := byName[key]
		if !known {
			remedy := "remove it" + didYouMean(key, names)
			if nearest(key, names) == "" {
				remedy = "write one of " + quoteList(names)
			}
			d.fail(at, remedy, "there is no such field")
			return
		}
		seen[key] = true
		d.value(value, v.Field(f.index), at)
	})
	for _, f := range fields {
		if ok && f.required && !seen[f.name] {
			at := child(path, f.name)
			d.fail(at, fmt.Sprintf("add %s, like %s: %s", f.name, f.name, d.example(at, v.Type().Field(f.index).Type)), "it is missing")
		}
	}
}

// example is how the field at a path looks in a file.
func (d *decoder) example(path string, t reflect.Type) string {
	switch path {
	case "apiVersion":
		return APIVersion
	case "kind":
		return d.kind
	default:
		return example(t)
	}
}

func (d *decoder) mapping(n ast.Node, v reflect.Value, path string) {
	v.Set(reflect.MakeMap(v.Type()))
	d.pairs(n, path, "a mapping, like name: ...", func(key, at string, value ast.Node) {
		elem := reflect.New(v.Type().Elem()).Elem()
		d.value(value, elem, at)
		v.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), elem)
	})
}

// pairs calls each for the pairs of a mapping, whose places it notes; a repeated key is a fault and is
// not given. It returns false if the node is no mapping.
func (d *decoder) pairs(n ast.Node, path, want string, each func(key, at string, value ast.Node)) bool {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		d.fail(path, "write "+want, "it must be a mapping, not %s", describe(n))
		return false
	}
	first := map[string]int{}
	for _, pair := range values {
		key := keyText(pair.Key)
		at := child(path, key)
		if line, twice := first[key]; twice {
			pos := keyPos(pair)
			before := d.p.at[at]
			d.p.at[at] = pos
			d.report(at, "remove one of them", "it is given twice, first on line %d", line)
			d.p.at[at] = before
			continue
		}
		first[key] = keyPos(pair).Line
		d.p.at[at] = valuePos(pair)
		each(key, at, pair.Value)
	}
	return true
}

func (d *decoder) list(n ast.Node, v reflect.Value, path string) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.fail(path, "write "+example(v.Type()), "it must be a list, not %s", describe(n))
		return
	}
	if len(seq.Values) > maxListLen {
		d.fail(path, "shorten it", "it has %d elements, at most %d are read", len(seq.Values), maxListLen)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values)))
	for i, element := range seq.Values {
		at := path + "[" + strconv.Itoa(i) + "]"
		d.p.at[at] = nodePos(element)
		d.value(element, v.Index(i), at)
	}
}

// text decodes a scalar, as it is written, by its own UnmarshalText.
func (d *decoder) text(n ast.Node, u encoding.TextUnmarshaler, path string, t reflect.Type) {
	s, ok := scalarText(n)
	if !ok {
		d.fail(path, "write "+example(t), "it must be a value like %s, not %s", example(t), describe(n))
		return
	}
	if err := u.UnmarshalText([]byte(s)); err != nil {
		msg, remedy := err.Error(), ""
		if e, isOurs := err.(*Error); isOurs { //nolint:errorlint // the value's own error, not one that it wraps
			msg, remedy = e.Msg, e.Remedy
		}
		d.fail(path, remedy, "%s", msg)
	}
}

func (d *decoder) enum(n ast.Node, v reflect.Value, words []string, path string) {
	s, ok := scalarText(n)
	for _, word := range words {
		if ok && s == word {
			v.SetString(word)
			return
		}
	}
	if !ok {
		d.fail(path, "write one of "+quoteList(words), "it must be a word, not %s", describe(n))
		return
	}
	d.fail(path, "write one of "+quoteList(words)+didYouMean(s, words), "%q is not known here", clip(s))
}

// scalar decodes texts, booleans and numbers, without converting between them.
func (d *decoder) scalar(n ast.Node, v reflect.Value, path string) {
	s, _ := scalarText(n)
	switch v.Kind() {
	case reflect.String:
		if d.isText(n, s, path) {
			v.SetString(s)
		}
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			d.fail(path, "write true or false", "it must be true or false, not %s", describe(n))
			return
		}
		v.SetBool(b.Value)
	case reflect.Int, reflect.Int64, reflect.Int32:
		i, err := strconv.ParseInt(s, 10, v.Type().Bits())
		if _, ok := n.(*ast.IntegerNode); !ok || err != nil {
			d.fail(path, "write a whole number, without a unit", "%s is not a whole number", quoteNode(n, s))
			return
		}
		v.SetInt(i)
	case reflect.Float64:
		f, err := strconv.ParseFloat(s, 64)
		_, isInt := n.(*ast.IntegerNode)
		if _, isFloat := n.(*ast.FloatNode); !isFloat && !isInt || err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			d.fail(path, "write a number, without a unit", "%s is not a number", quoteNode(n, s))
			return
		}
		v.SetFloat(f)
	default:
		panic("release: no decoder for " + v.Type().String()) // a mistake in a type, found by its first test
	}
}

func (d *decoder) isText(n ast.Node, s, path string) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		if len(s) > maxTextLen {
			d.fail(path, "shorten it", "it has %d bytes, at most %d are read", len(s), maxTextLen)
			return false
		}
		return true
	}
	remedy := "write text"
	if s != "" {
		remedy = "put it in quotes: " + strconv.Quote(clip(s))
	}
	d.fail(path, remedy, "it must be text, not %s", describe(n))
	return false
}

func quoteNode(n ast.Node, s string) string {
	if s == "" {
		return describe(n)
	}
	return strconv.Quote(clip(s))
}

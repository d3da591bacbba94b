package suite

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// row is one row of a data file: values as encoding/json has them, numbers as json.Number.
type row struct {
	index  int
	values map[string]any
}

// rowIndex is the name of the row's number in templates.
const rowIndex = "$row"

// template is text with places for values of a row: literal, place, literal, place, ... literal.
type template struct {
	literals []string
	places   []place
}

// place is {{column}} or {{column|as}}.
type place struct{ column, as string }

// parseTemplate reads a text with places. Text without "{{" is a template without places.
func parseTemplate(s string) (template, error) {
	var t template
	for {
		before, after, found := strings.Cut(s, "{{")
		t.literals = append(t.literals, before)
		if !found {
			return t, nil
		}
		inside, rest, closed := strings.Cut(after, "}}")
		if !closed {
			return t, fmt.Errorf("%q opens a place that is never closed by }}", clean("{{"+after, 40))
		}
		column, as, _ := strings.Cut(inside, "|")
		p := place{strings.TrimSpace(column), strings.TrimSpace(as)}
		if p.column == "" || strings.Contains(inside, "{{") {
			return t, fmt.Errorf("{{%s}} names no column", clean(inside, 40))
		}
		if p.as != "" && p.as != "string" && p.as != "number" {
			return t, fmt.Errorf("{{%s}}: %q is no type, string and number are", clean(inside, 40), clean(p.as, 20))
		}
		t.places = append(t.places, p)
		s = rest
	}
}

// alone says whether the template is one place and nothing else.
func (t template) alone() bool {
	return len(t.places) == 1 && t.literals[0] == "" && t.literals[1] == ""
}

// has says whether the text has a part in it, outside of places.
func (t template) has(part string) bool {
	return slices.ContainsFunc(t.literals, func(s string) bool { return strings.Contains(s, part) })
}

// columns calls each for the columns that the template needs.
func (t template) columns(each func(string)) {
	for _, p := range t.places {
		if p.column != rowIndex {
			each(p.column)
		}
	}
}

// value is the typed value of a place.
func (p place) value(r *row) (any, error) {
	if p.column == rowIndex {
		if p.as == "string" {
			return strconv.Itoa(r.index), nil
		}
		return json.Number(strconv.Itoa(r.index)), nil
	}
	v, ok := r.values[p.column]
	if !ok && r.values != nil {
		v = nil // JSON Lines: a member that this row does not have
	}
	switch p.as {
	case "string":
		return asText(v), nil
	case "number":
		if n, ok := v.(json.Number); ok {
			return n, nil
		}
		return nil, fmt.Errorf("row %d: column %s has %q, which is no number", r.index, p.column, clean(asText(v), 40))
	}
	return v, nil
}

// text renders the template as text, each value through escape.
func (t template) text(r *row, escape func(string) string) (string, error) {
	if len(t.places) == 0 {
		return t.literals[0], nil
	}
	var b strings.Builder
	for i, p := range t.places {
		b.WriteString(t.literals[i])
		v, err := p.value(r)
		if err != nil {
			return "", err
		}
		b.WriteString(escape(asText(v)))
	}
	b.WriteString(t.literals[len(t.places)])
	return b.String(), nil
}

func asIs(s string) string { return s }

// asText is a value as it would be written without quotes; null is empty.
func asText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case binary:
		return v.text()
	default:
		b, err := json.Marshal(v)
		if err != nil {
			return "" // values come from JSON and have a JSON form
		}
		return string(b)
	}
}

// tree is a JSON value with templates in place of strings.
type tree struct {
	text    *template       // a string
	members map[string]tree // an object
	items   []tree          // an array, with isArray
	isArray bool
	other   any // number, boolean, null
}

// parseTree turns a value into a tree; with literal set, strings are taken as they are.
func parseTree(v any, literal bool) (tree, error) {
	switch v := v.(type) {
	case string:
		t := template{literals: []string{v}}
		var err error
		if !literal {
			t, err = parseTemplate(v)
		}
		return tree{text: &t}, err
	case map[string]any:
		out := tree{members: make(map[string]tree, len(v))}
		for name, member := range v {
			m, err := parseTree(member, literal)
			if err != nil {
				return out, fmt.Errorf("%s: %w", clean(name, 40), err)
			}
			out.members[name] = m
		}
		return out, nil
	case []any:
		out := tree{isArray: true, items: make([]tree, len(v))}
		for i, item := range v {
			t, err := parseTree(item, literal)
			if err != nil {
				return out, fmt.Errorf("[%d]: %w", i, err)
			}
			out.items[i] = t
		}
		return out, nil
	}
	return tree{other: v}, nil
}

// value renders the tree for a row.
func (t tree) value(r *row) (any, error) {
	switch {
	case t.text != nil && t.text.alone():
		return t.text.places[0].value(r)
	case t.text != nil:
		return t.text.text(r, asIs)
	case t.members != nil:
		out := make(map[string]any, len(t.members))
		for name, m := range t.members {
			v, err := m.value(r)
			if err != nil {
				return nil, err
			}
			out[name] = v
		}
		return out, nil
	case t.isArray:
		out := make([]any, len(t.items))
		for i, item := range t.items {
			v, err := item.value(r)
			if err != nil {
				return nil, err
			}
			out[i] = v
		}
		return out, nil
	}
	return t.other, nil
}

// columns calls each for the columns that the tree needs.
func (t tree) columns(each func(string)) {
	if t.text != nil {
		t.text.columns(each)
	}
	for _, m := range t.members {
		m.columns(each)
	}
	for _, item := range t.items {
		item.columns(each)
	}
}

// pathEscape keeps a value from adding segments or a query to a path.
func pathEscape(s string) string { return url.PathEscape(s) }

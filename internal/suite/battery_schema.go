package suite

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// bySchema sharpens attempts: a body that the schema forbids must be refused, one that it allows may be taken.
func (b *battery) bySchema(part Trouble, list []attempt) {
	if b.c.schema == nil {
		return
	}
	switch part {
	case TroubleMistyped, TroubleMissing, TroubleUnknown, TroubleNumbers, TroubleInjection, TroubleNotJSON, TroubleSchema:
	default:
		return
	}
	for i := range list {
		if v, err := decodeJSON(list[i].m.body); err == nil {
			list[i].refuse = b.c.schema.Validate(v) != nil
		}
	}
}

// maxLong bounds texts and lists that are made to be too long.
const maxLong = 1 << 16

// schema breaks one rule of the schema at a time. What turns out to be allowed is left out.
func (b *battery) schema() (out []attempt) {
	for _, l := range append([]leaf{{value: b.value}}, leaves(b.value)...) {
		rule := b.c.rules.at(l.path)
		name := l.String()
		if name == "" {
			name = "the body"
		}
		for _, c := range broken(rule, l.value) {
			m := b.set(l, c.value)
			if v, err := decodeJSON(m.body); err == nil && b.c.schema.Validate(v) != nil {
				out = append(out, attempt{what: name + " " + c.what, m: m, refuse: true})
			}
		}
	}
	return out
}

// breach is a value that breaks a rule.
type breach struct {
	what  string
	value any
}

// broken lists values that may break a schema's rules, and how.
func broken(rule map[string]any, sound any) (out []breach) {
	add := func(what string, v any) { out = append(out, breach{what, v}) }
	for _, v := range []any{"sluice", json.Number("0.5"), true, nil, []any{}, map[string]any{}} {
		add("of another type: "+clean(asText(v), 20), v)
	}
	if _, ok := rule["enum"]; ok {
		add("that is none of the listed", "sluice-none")
	}
	if x, ok := number(rule["minimum"]); ok {
		add("below the minimum", x-1)
	}
	if x, ok := number(rule["exclusiveMinimum"]); ok {
		add("at the excluded minimum", x)
	}
	if x, ok := number(rule["maximum"]); ok {
		add("above the maximum", x+1)
	}
	if x, ok := number(rule["exclusiveMaximum"]); ok {
		add("at the excluded maximum", x)
	}
	if x, ok := number(rule["multipleOf"]); ok {
		add("between two multiples", x*1.5)
	}
	if x, ok := number(rule["minLength"]); ok && x > 0 {
		add("too short", strings.Repeat("x", int(min(x-1, maxLong))))
	}
	if x, ok := number(rule["maxLength"]); ok && x < maxLong {
		add("too long", strings.Repeat("x", int(x)+1))
	}
	if _, ok := rule["pattern"]; ok {
		add("that does not match the pattern", "\u2603 sluice \u2603")
	}
	if _, ok := rule["format"]; ok {
		add("of another format", "no such format")
	}
	if list, ok := sound.([]any); ok {
		out = append(out, brokenLists(rule, list)...)
	}
	if members, ok := sound.(map[string]any); ok {
		more := map[string]any{"sluice_unknown": true}
		for k, v := range members {
			more[k] = v
		}
		add("with an unknown member", more)
	}
	return out
}

func brokenLists(rule map[string]any, list []any) (out []breach) {
	if x, ok := number(rule["minItems"]); ok && x > 0 {
		out = append(out, breach{"with too few items", list[:min(len(list), int(x)-1)]})
	}
	if len(list) == 0 {
		return out
	}
	if x, ok := number(rule["maxItems"]); ok && x < maxLong {
		out = append(out, breach{"with too many items", slices.Repeat(list[:1], int(x)+1)})
	}
	if rule["uniqueItems"] == true {
		out = append(out, breach{"with an item twice", append(slices.Clone(list), list[0])})
	}
	return out
}

// shapes is a JSON Schema as it was written: what the compiled form does not tell.
type shapes struct {
	doc  any            // in which references are resolved
	root map[string]any // the schema itself
}

// maxRefs bounds chains of references and depths of nesting.
const maxRefs = 24

// resolve follows references and merges what all of allOf says.
func (s *shapes) resolve(v any, depth int) map[string]any {
	rule, ok := v.(map[string]any)
	if !ok || depth > maxRefs {
		return nil
	}
	out := map[string]any{}
	if ref, ok := rule["$ref"].(string); ok {
		for k, x := range s.resolve(s.pointed(ref), depth+1) {
			out[k] = x
		}
	}
	list, _ := rule["allOf"].([]any)
	for _, part := range list {
		merge(out, s.resolve(part, depth+1))
	}
	merge(out, rule)
	for _, choice := range []string{"oneOf", "anyOf"} {
		if options, ok := rule[choice].([]any); ok && len(options) > 0 {
			merge(out, s.resolve(firstThatSays(options), depth+1))
		}
	}
	return out
}

// firstThatSays leaves out an option that is only null.
func firstThatSays(options []any) any {
	for _, o := range options {
		if m, ok := o.(map[string]any); !ok || m["type"] != "null" {
			return o
		}
	}
	return options[0]
}

// merge adds the rules of one schema to those of another; properties and required are joined.
func merge(into, from map[string]any) {
	for k, v := range from {
		switch old := into[k].(type) {
		case map[string]any:
			if add, ok := v.(map[string]any); ok && k == "properties" {
				joined := map[string]any{}
				for name, x := range old {
					joined[name] = x
				}
				for name, x := range add {
					joined[name] = x
				}
				into[k] = joined
				continue
			}
		case []any:
			if add, ok := v.([]any); ok && k == "required" {
				into[k] = append(slices.Clone(old), add...)
				continue
			}
		}
		into[k] = v
	}
}

// pointed is what a reference inside the document names; nil for any other.
func (s *shapes) pointed(ref string) any {
	path, ok := strings.CutPrefix(ref, "#")
	if !ok {
		return nil
	}
	v := s.doc
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		if part == "" {
			continue
		}
		if plain, err := url.PathUnescape(part); err == nil {
			part = plain
		}
		part = strings.ReplaceAll(strings.ReplaceAll(part, "~1", "/"), "~0", "~")
		switch node := v.(type) {
		case map[string]any:
			v = node[part]
		case []any:
			var at int
			if _, err := fmt.Sscanf(part, "%d", &at); err != nil || at < 0 || at >= len(node) {
				return nil
			}
			v = node[at]
		default:
			return nil
		}
	}
	return v
}

// at is the rule of a place in the body; empty if nothing is said.
func (s *shapes) at(path []any) map[string]any {
	rule := s.resolve(s.root, 0)
	for _, step := range path {
		switch step := step.(type) {
		case string:
			properties, _ := rule["properties"].(map[string]any)
			next, ok := properties[step]
			if !ok {
				next = rule["additionalProperties"]
			}
			rule = s.resolve(next, 0)
		case int:
			next := rule["items"]
			if prefix, ok := rule["prefixItems"].([]any); ok && step < len(prefix) {
				next = prefix[step]
			}
			rule = s.resolve(next, 0)
		}
	}
	return rule
}

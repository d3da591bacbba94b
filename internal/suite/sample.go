package suite

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
)

// sample makes a value that obeys the schema: what it gives as an example or default, else the plainest value that its
// rules allow. A rule that can't be met so (a pattern without an example) makes a value that does not obey; the caller
// checks.
func (s *shapes) sample() any { return s.value(s.root, 0) }

func (s *shapes) value(v any, depth int) any {
	rule := s.resolve(v, 0)
	if given, ok := given(rule); ok {
		return given
	}
	switch typeOf(rule) {
	case "object":
		return s.object(rule, depth)
	case "array":
		return s.array(rule, depth)
	case "string":
		return textOf(rule)
	case "integer", "number":
		return numberOf(rule)
	case "boolean":
		return true
	}
	return nil
}

// given is a value that the schema itself names.
func given(rule map[string]any) (any, bool) {
	for _, name := range []string{"const", "example", "default"} {
		if v, ok := rule[name]; ok && v != nil {
			return v, true
		}
	}
	for _, name := range []string{"examples", "enum"} {
		if list, ok := rule[name].([]any); ok && len(list) > 0 {
			return list[0], true
		}
	}
	return nil, false
}

// typeOf is the schema's type, or the one that its rules speak of.
func typeOf(rule map[string]any) string {
	switch t := rule["type"].(type) {
	case string:
		return t
	case []any:
		for _, one := range t {
			if one != "null" {
				name, _ := one.(string)
				return name
			}
		}
		return "null"
	}
	for _, c := range []struct{ rule, kind string }{
		{"properties", "object"},
		{"required", "object"},
		{"items", "array"},
		{"minItems", "array"},
		{"minLength", "string"},
		{"pattern", "string"},
		{"format", "string"},
		{"minimum", "number"},
		{"maximum", "number"},
	} {
		if _, ok := rule[c.rule]; ok {
			return c.kind
		}
	}
	return ""
}

// object has all members that are named, so that the battery finds them; deep inside only those that must be there.
func (s *shapes) object(rule map[string]any, depth int) any {
	properties, _ := rule["properties"].(map[string]any)
	required, _ := rule["required"].([]any)
	const full = 4 // levels with all members
	out := map[string]any{}
	for name, p := range properties {
		must := slices.Contains(required, any(name))
		if depth >= maxRefs || depth >= full && !must {
			continue
		}
		if r := s.resolve(p, 0); r["readOnly"] == true {
			continue
		}
		out[name] = s.value(p, depth+1)
	}
	return out
}

func (s *shapes) array(rule map[string]any, depth int) any {
	n := 1
	if least, ok := number(rule["minItems"]); ok {
		n = int(min(max(least, 1), 1000))
	}
	if most, ok := number(rule["maxItems"]); ok && int(most) < n {
		n = int(most)
	}
	if depth >= maxRefs {
		n = 0
	}
	out := make([]any, n)
	for i := range out {
		out[i] = s.value(rule["items"], depth+1)
	}
	return out
}

func textOf(rule map[string]any) string {
	format, _ := rule["format"].(string)
	if known, ok := map[string]string{
		"date-time": "2024-05-17T10:30:00Z", "date": "2024-05-17", "time": "10:30:00Z", "email": "a@example.com", "uri": "https://example.com/a",
		"uuid": "0b0e6f4c-2f1b-4c53-9d3e-6f1f7a1f0c11", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "hostname": "example.com", "byte": "c2x1aWNl",
	}[format]; ok {
		return known
	}
	text := "text"
	if least, ok := number(rule["minLength"]); ok && int(least) > len(text) {
		text = strings.Repeat("x", int(min(least, maxLong)))
	}
	if most, ok := number(rule["maxLength"]); ok && int(most) < len(text) {
		text = text[:max(int(most), 0)]
	}
	return text
}

func numberOf(rule map[string]any) any {
	x := 1.0
	whole := typeOf(rule) == "integer"
	low, hasLow := number(rule["minimum"])
	if over, ok := number(rule["exclusiveMinimum"]); ok {
		if whole {
			over++
		}
		low, hasLow = math.Max(low, over), true
	}
	high, hasHigh := number(rule["maximum"])
	if under, ok := number(rule["exclusiveMaximum"]); ok {
		high, hasHigh = under, true
		if whole {
			high--
		}
	}
	switch {
	case hasLow && hasHigh:
		x = low + (high-low)/2
	case hasLow && x <= low:
		x = low + 1
	case hasHigh && x > high:
		x = high - 1
	}
	if step, ok := number(rule["multipleOf"]); ok && step > 0 {
		x = math.Ceil(x/step) * step
	}
	if whole {
		x = math.Floor(x)
	}
	b, err := json.Marshal(x)
	if err != nil {
		return json.Number("1")
	}
	return json.Number(b)
}

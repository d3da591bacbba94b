package suite

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/tidwall/gjson"
)

// expectation is a checked Expect.
type expectation struct {
	status  []statusRange
	headers []namedText
	body    *textCheck
	text    *replyCheck
	json    []jsonCheck
	schema  *jsonschema.Schema
	latency time.Duration
}

// statusRange is a status or a class of them, both ends included.
type statusRange struct{ lo, hi int }

type namedText struct {
	name string
	text *textCheck
}

// judge lists what is wrong with an answer, in the order of the file.
func (e *expectation) judge(a *answer, r *row) (faults []string) {
	if !e.allows(a.status) {
		faults = append(faults, fmt.Sprintf("status %d, want %s%s", a.status, e.statusText(), a.quote()))
	}
	for _, h := range e.headers {
		if fault := h.text.judge(a.header.Get(h.name)); fault != "" {
			faults = append(faults, "header "+h.name+" "+fault)
		}
	}
	if e.body != nil {
		if fault := e.body.judge(string(a.body)); fault != "" {
			faults = append(faults, "the body "+fault)
		}
	}
	if e.text != nil && ok2xx.has(a.status) {
		faults = append(faults, e.text.judge(a, r)...)
	}
	if len(e.json) > 0 || e.schema != nil {
		faults = append(faults, e.judgeJSON(a, r)...)
	}
	if e.latency > 0 && a.latency > e.latency {
		faults = append(faults, fmt.Sprintf("took %s, at most %s allowed", round(a.latency), round(e.latency)))
	}
	return faults
}

func (e *expectation) judgeJSON(a *answer, r *row) (faults []string) {
	v, err := decodeJSON(a.body)
	if err != nil {
		return []string{"the body is not JSON" + a.quote()}
	}
	for _, j := range e.json {
		if fault := j.judge(a.body, r); fault != "" {
			faults = append(faults, j.path+" "+fault)
		}
	}
	if e.schema != nil {
		if err := e.schema.Validate(v); err != nil {
			faults = append(faults, "the body breaks the schema: "+clean(schemaFault(err), 300))
		}
	}
	return faults
}

// schemaFault is the innermost first fault of a schema's tree of faults.
func schemaFault(err error) string {
	v, ok := err.(*jsonschema.ValidationError) //nolint:errorlint // returned unwrapped by Validate
	if !ok {
		return err.Error()
	}
	for len(v.Causes) > 0 {
		v = v.Causes[0]
	}
	text := v.Error()
	if _, after, ok := strings.Cut(text, "\n"); ok {
		text = after
	}
	return strings.TrimLeft(text, "- ")
}

func (e *expectation) allows(status int) bool {
	for _, s := range e.status {
		if status >= s.lo && status <= s.hi {
			return true
		}
	}
	return false
}

func (e *expectation) statusText() string {
	texts := make([]string, len(e.status))
	for i, s := range e.status {
		texts[i] = strconv.Itoa(s.lo)
		if s.lo != s.hi {
			texts[i] = strconv.Itoa(s.lo/100) + "xx"
		}
	}
	return strings.Join(texts, " or ")
}

// textCheck is a checked TextExpect.
type textCheck struct {
	TextExpect
	regex *regexp.Regexp
}

// judge says what is wrong with a text, "" if nothing.
func (t *textCheck) judge(s string) string {
	if t.Equals != nil && s != *t.Equals {
		return fmt.Sprintf("is %q, want %q", clean(s, 80), clean(*t.Equals, 80))
	}
	for _, part := range t.Contains {
		if !strings.Contains(s, part) {
			return fmt.Sprintf("is %q, want %q in it", clean(s, 80), clean(part, 80))
		}
	}
	for _, part := range t.Excludes {
		if strings.Contains(s, part) {
			return fmt.Sprintf("has %q in it, which it must not", clean(part, 80))
		}
	}
	if t.regex != nil && !t.regex.MatchString(s) {
		return fmt.Sprintf("is %q, which does not match %s", clean(s, 80), clean(t.Regex, 80))
	}
	return t.Similar.judge(s)
}

// maxSimilar bounds texts that are compared by edit distance, whose cost is the product of the lengths.
const maxSimilar = 4096

func (s *Similar) judge(text string) string {
	if s == nil {
		return ""
	}
	if len(text) > maxSimilar {
		return fmt.Sprintf("has %d bytes, at most %d are compared", len(text), maxSimilar)
	}
	got := similarity(text, s.To)
	if got >= s.AtLeast {
		return ""
	}
	return fmt.Sprintf("is %q, similar by %.2f, want at least %g", clean(text, 80), got, s.AtLeast)
}

// jsonCheck is a checked JSONExpect.
type jsonCheck struct {
	JSONExpect
	path   string
	equals *tree
	in     []any
	regex  *regexp.Regexp
}

// judge says what is wrong with the value at the path, "" if nothing. body is JSON.
func (j *jsonCheck) judge(body []byte, r *row) string {
	found := gjson.GetBytes(body, j.path)
	if j.Exists != nil && !*j.Exists {
		if found.Exists() {
			return "is there, and must not be"
		}
		return ""
	}
	if !found.Exists() {
		return "is missing"
	}
	v, err := decodeJSON([]byte(found.Raw))
	if err != nil {
		return "is no JSON value"
	}
	shown := clean(found.Raw, 80)
	if j.Type != "" && !isType(v, j.Type) {
		return fmt.Sprintf("is %s, want a value of type %s", shown, j.Type)
	}
	if j.equals != nil {
		want, err := j.equals.value(r)
		if err != nil {
			return "can't be compared: " + err.Error()
		}
		if !same(v, want, j.Tolerance) {
			return fmt.Sprintf("is %s, want %s", shown, j.wanted(want))
		}
	}
	if len(j.in) > 0 && !slices.ContainsFunc(j.in, func(w any) bool { return same(v, w, j.Tolerance) }) {
		return fmt.Sprintf("is %s, want one of %s", shown, clean(asText(j.in), 120))
	}
	if fault := j.inRange(v, shown); fault != "" {
		return fault
	}
	return j.judgeText(v, shown)
}

func (j *jsonCheck) wanted(want any) string {
	b, err := encodeJSON(want)
	if err != nil {
		return "a value without JSON form"
	}
	text := clean(string(b), 80)
	if j.Tolerance != nil {
		text += fmt.Sprintf(" within %g", *j.Tolerance)
	}
	return text
}

// inRange checks Min, Max and the lengths.
func (j *jsonCheck) inRange(v any, shown string) string {
	if j.Min != nil || j.Max != nil {
		f, ok := number(v)
		switch {
		case !ok:
			return fmt.Sprintf("is %s, want a number", shown)
		case j.Min != nil && f < *j.Min:
			return fmt.Sprintf("is %s, want at least %g", shown, *j.Min)
		case j.Max != nil && f > *j.Max:
			return fmt.Sprintf("is %s, want at most %g", shown, *j.Max)
		}
	}
	if j.MinLength == nil && j.MaxLength == nil {
		return ""
	}
	n, ok := length(v)
	switch {
	case !ok:
		return fmt.Sprintf("is %s, which has no length", shown)
	case j.MinLength != nil && n < *j.MinLength:
		return fmt.Sprintf("has length %d, want at least %d", n, *j.MinLength)
	case j.MaxLength != nil && n > *j.MaxLength:
		return fmt.Sprintf("has length %d, want at most %d", n, *j.MaxLength)
	}
	return ""
}

func (j *jsonCheck) judgeText(v any, shown string) string {
	if j.Contains == "" && j.regex == nil && j.Similar == nil {
		return ""
	}
	s, ok := v.(string)
	switch {
	case !ok:
		return fmt.Sprintf("is %s, want text", shown)
	case j.Contains != "" && !strings.Contains(s, j.Contains):
		return fmt.Sprintf("is %s, want %q in it", shown, clean(j.Contains, 80))
	case j.regex != nil && !j.regex.MatchString(s):
		return fmt.Sprintf("is %s, which does not match %s", shown, clean(j.Regex, 80))
	}
	return j.Similar.judge(s)
}

func length(v any) (int, bool) {
	switch v := v.(type) {
	case string:
		return utf8.RuneCountInString(v), true
	case []any:
		return len(v), true
	case map[string]any:
		return len(v), true
	}
	return 0, false
}

func isType(v any, t JSONType) bool {
	switch v := v.(type) {
	case nil:
		return t == "null"
	case string:
		return t == "string"
	case bool:
		return t == "boolean"
	case []any:
		return t == "array"
	case map[string]any:
		return t == "object"
	case json.Number:
		if t != "integer" {
			return t == "number"
		}
		f, ok := number(v)
		return ok && f == math.Trunc(f)
	}
	return false
}

// same compares JSON values: numbers by value, exactly or within a tolerance, also inside arrays and objects.
func same(a, b any, tolerance *float64) bool {
	switch a := a.(type) {
	case json.Number:
		b, ok := b.(json.Number)
		return ok && sameNumber(a, b, tolerance)
	case []any:
		b, ok := b.([]any)
		return ok && slices.EqualFunc(a, b, func(x, y any) bool { return same(x, y, tolerance) })
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for name, x := range a {
			if y, there := b[name]; !there || !same(x, y, tolerance) {
				return false
			}
		}
		return true
	}
	switch b.(type) {
	case json.Number, []any, map[string]any:
		return false // not comparable with ==, and of another type
	}
	return a == b
}

func sameNumber(a, b json.Number, tolerance *float64) bool {
	x, okX := number(a)
	y, okY := number(b)
	switch {
	case !okX || !okY:
		return a == b // beyond float64: only the same digits are the same
	case tolerance != nil:
		return math.Abs(x-y) <= *tolerance
	case x != y:
		return false
	}
	// Equal as floats. Large integers, as in ids, may still differ.
	i, okI := new(big.Int).SetString(a.String(), 10)
	j, okJ := new(big.Int).SetString(b.String(), 10)
	return !okI || !okJ || i.Cmp(j) == 0
}

func round(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

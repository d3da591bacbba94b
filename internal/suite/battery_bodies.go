package suite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf16"

	"sluice.dev/sluice/internal/release"
)

// Bounds of what is made from one sample.
const (
	maxLeaves   = 24 // values of the sample that are changed one at a time
	nestedDepth = 100_000
)

// attempts makes the requests of a part.
func (b *battery) attempts(part Trouble) []attempt {
	list := b.make(part)
	b.bySchema(part, list)
	if slices.Contains(b.c.accept, part) {
		for i := range list {
			list[i].refuse = false
		}
	}
	return list
}

// what a part is made from.
type need int

const (
	needsNothing need = iota
	needsBody
	needsJSON    // a body that is JSON
	needsRaw     // a body that is not
	needsSchema  // a JSON Schema, and a body that is JSON
	needsText    // a dialect of language models, and a body that is JSON
	needsTensors // the dialect oip, and a body with inputs
	needsQuery   // a query in the path
)

// has says whether the sample has what a part is made from.
func (b *battery) has(n need) bool {
	_, object := b.value.(map[string]any)
	switch n {
	case needsBody:
		return len(b.sample.body) > 0
	case needsJSON:
		return b.shaped
	case needsRaw:
		return len(b.sample.body) > 0 && !b.shaped
	case needsSchema:
		return b.shaped && b.c.schema != nil
	case needsText:
		return object && speaksText(b.dialect)
	case needsTensors:
		return object && b.dialect == release.DialectOIP && len(b.tensors()) > 0
	case needsQuery:
		return strings.Contains(b.sample.path, "?")
	}
	return true
}

// make makes a part's requests; none if the sample lacks what they are made from.
func (b *battery) make(part Trouble) []attempt {
	for _, m := range []struct {
		part Trouble
		need need
		make func() []attempt
	}{
		{TroubleEmpty, needsBody, b.empty},
		{TroubleTruncated, needsBody, b.truncated},
		{TroubleNotJSON, needsJSON, b.notJSON},
		{TroubleMistyped, needsJSON, b.mistyped},
		{TroubleMissing, needsJSON, b.missing},
		{TroubleUnknown, needsJSON, b.unknown},
		{TroubleOversized, needsBody, b.oversized},
		{TroubleNested, needsJSON, b.nested},
		{TroubleMedia, needsBody, b.media},
		{TroubleEncoding, needsBody, b.encodings},
		{TroubleNumbers, needsJSON, b.numbers},
		{TroubleInjection, needsJSON, b.injection},
		{TroubleMethods, needsNothing, b.methods},
		{TroubleHeaders, needsNothing, b.headers},
		{TroubleQuery, needsQuery, b.query},
		{TroubleSchema, needsSchema, b.schema},
		{TroubleCorrupted, needsRaw, b.corrupted},
		{TroubleParameters, needsText, b.parameters},
		{TroubleMessages, needsText, b.messages},
		{TroubleTensors, needsTensors, b.misfits},
		{TroubleStreamGone, needsText, b.streamGone},
		{TroubleSlow, needsBody, b.slow},
		{TroubleGone, needsNothing, b.gone},
		{TroubleBurst, needsNothing, b.burst},
		{TroubleDuplicates, needsNothing, b.duplicates},
	} {
		if m.part == part && b.has(m.need) {
			return m.make()
		}
	}
	return nil
}

func (b *battery) empty() []attempt {
	return []attempt{
		{what: "no body", m: b.with([]byte{}), refuse: true},
		{what: "blanks", m: b.with([]byte(" \n ")), refuse: b.shaped},
	}
}

// with is the sample with another body.
func (b *battery) with(body []byte) message {
	m := b.sample
	m.body = body
	return m
}

// header is the sample with another header.
func (b *battery) header(name, value string) message {
	m := b.sample
	m.header = m.header.Clone()
	m.header.Set(name, value)
	return m
}

func (b *battery) truncated() (out []attempt) {
	n := len(b.sample.body)
	for _, cut := range []int{1, n / 3, n / 2, n - 1} {
		if cut > 0 && cut < n && (!b.shaped || !json.Valid(b.sample.body[:cut])) {
			out = append(out, attempt{what: fmt.Sprintf("the first %d of %d bytes", cut, n), m: b.with(b.sample.body[:cut]), refuse: b.shaped})
		}
	}
	return out
}

func (b *battery) notJSON() (out []attempt) {
	for _, body := range []string{"hello", "<xml/>", "NaN", `{"a":`, `{'a': 1}`, "\x00\x01\x02\x03", "{}{}"} {
		out = append(out, attempt{what: "the body " + clean(body, 20), m: b.with([]byte(body)), refuse: true})
	}
	_, isObject := b.value.(map[string]any)
	for _, body := range []string{"null", "true", "42", `"text"`, "[]", "[1,2,3]"} {
		if isObject {
			out = append(out, attempt{what: "the body " + body, m: b.with([]byte(body)), refuse: true})
		}
	}
	return out
}

// leaf is a value of the sample and the way to it.
type leaf struct {
	path  []any // names and indexes
	value any
}

func (l leaf) String() string {
	parts := make([]string, len(l.path))
	for i, p := range l.path {
		parts[i] = fmt.Sprint(p)
	}
	return clean(strings.Join(parts, "."), 80)
}

// leaves lists the values of the sample, objects and arrays among them, in the order of their names.
func leaves(v any) (out []leaf) {
	var walk func(v any, path []any)
	walk = func(v any, path []any) {
		if len(out) >= maxLeaves {
			return
		}
		if len(path) > 0 {
			out = append(out, leaf{slices.Clone(path), v})
		}
		switch v := v.(type) {
		case map[string]any:
			names := make([]string, 0, len(v))
			for name := range v {
				names = append(names, name)
			}
			slices.Sort(names)
			for _, name := range names {
				walk(v[name], append(path, name))
			}
		case []any:
			if len(v) > 0 {
				walk(v[0], append(path, 0)) // the first stands for all
			}
		}
	}
	walk(v, nil)
	return out
}

// replaced is the sample's value with another at a path; put may also remove it.
func replaced(v any, path []any, put func(old any) (any, bool)) (any, bool) {
	if len(path) == 0 {
		return put(v)
	}
	switch v := v.(type) {
	case map[string]any:
		name, _ := path[0].(string)
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = x
		}
		if x, keep := replaced(v[name], path[1:], put); keep {
			out[name] = x
		} else {
			delete(out, name)
		}
		return out, true
	case []any:
		at, _ := path[0].(int)
		out := slices.Clone(v)
		if x, keep := replaced(v[at], path[1:], put); keep {
			out[at] = x
		} else {
			out = slices.Delete(out, at, at+1)
		}
		return out, true
	}
	return v, true
}

// set is the sample with another value at a leaf.
func (b *battery) set(l leaf, v any) message {
	return b.change(l, func(any) (any, bool) { return v, true })
}

func (b *battery) change(l leaf, put func(any) (any, bool)) message {
	v, _ := replaced(b.value, l.path, put)
	body, err := encodeJSON(v)
	if err != nil {
		panic("suite: " + err.Error()) // made from JSON
	}
	return b.with(body)
}

// verbatim is a number that may be none, written as it is.
func (b *battery) verbatim(l leaf, text string) message {
	const mark = "\u0001sluice\u0001"
	m := b.set(l, mark)
	quoted, err := encodeJSON(mark)
	if err != nil {
		panic("suite: " + err.Error()) // a string has a JSON form
	}
	m.body = bytes.Replace(m.body, quoted, []byte(text), 1)
	return m
}

// mistyped puts a value that no reader converts in the place of each: an object for a scalar, a number for
// an object or array. Nulls say nothing about the type and are left.
func (b *battery) mistyped() (out []attempt) {
	for _, l := range leaves(b.value) {
		var v any = map[string]any{"unexpected": []any{}}
		switch l.value.(type) {
		case nil:
			continue
		case map[string]any, []any:
			v = json.Number("7")
		}
		out = append(out, attempt{what: l.String() + " of a wrong type", m: b.set(l, v), refuse: true})
	}
	return out
}

func (b *battery) missing() (out []attempt) {
	for _, l := range leaves(b.value) {
		out = append(
			out,
			attempt{what: l.String() + " left out", m: b.change(l, func(any) (any, bool) { return nil, false })},
			attempt{what: l.String() + " null", m: b.set(l, nil)},
		)
	}
	return out
}

func (b *battery) unknown() (out []attempt) {
	add := func(old any) (any, bool) {
		members, ok := old.(map[string]any)
		if !ok {
			return old, true
		}
		extended := map[string]any{"sluice_unknown": map[string]any{"a": []any{true, nil}}, "__proto__": "x", "": json.Number("1")}
		for k, v := range members {
			extended[k] = v
		}
		return extended, true
	}
	if _, ok := b.value.(map[string]any); ok {
		out = append(out, attempt{what: "unknown members", m: b.change(leaf{}, add)})
	}
	for _, l := range leaves(b.value) {
		if _, ok := l.value.(map[string]any); ok {
			out = append(out, attempt{what: "unknown members in " + l.String(), m: b.change(l, add)})
		}
	}
	return out
}

func (b *battery) nested() []attempt {
	deep := strings.Repeat("[", nestedDepth) + strings.Repeat("]", nestedDepth)
	out := []attempt{
		{what: "100,000 brackets", m: b.with([]byte(deep)), refuse: true, cut: true},
		{what: "100,000 brackets that are never closed", m: b.with([]byte(deep[:nestedDepth])), refuse: true, cut: true},
		{what: "100,000 objects", m: b.with([]byte(strings.Repeat(`{"a":`, nestedDepth) + "1" + strings.Repeat("}", nestedDepth))), refuse: true, cut: true},
	}
	if all := leaves(b.value); len(all) > 0 {
		l := all[len(all)-1]
		out = append(out, attempt{what: "100,000 brackets in " + l.String(), m: b.verbatim(l, deep), refuse: true, cut: true})
	}
	return out
}

// numbers puts boundary numbers in the place of each number. Those that are no JSON must be refused.
func (b *battery) numbers() (out []attempt) {
	for _, l := range leaves(b.value) {
		if _, ok := l.value.(json.Number); !ok {
			continue
		}
		for _, text := range []string{"0", "-1", "-0.0", "1e308", "-1e308", "1e999", "5e-324", "9007199254740993", "1" + strings.Repeat("0", 400)} {
			out = append(out, attempt{what: l.String() + " = " + clean(text, 20), m: b.verbatim(l, text)})
		}
		for _, text := range []string{"NaN", "Infinity", "0x10", "1.", "+1"} {
			out = append(out, attempt{what: l.String() + " = " + text, m: b.verbatim(l, text), refuse: true})
		}
	}
	return out
}

// product is computed by nobody but a template or shell that executes what it is sent: 7919 * 7907.
const product = "62615533"

// hostile are texts that attack databases, shells, templates, log writers, pages and readers of text.
func hostile() []string {
	return []string{
		`' OR '1'='1'; DROP TABLE users; --`, `"; cat /etc/passwd #`, "$(expr 7919 \\* 7907)", "`expr 7919 \\* 7907`", "{{7919*7907}}", "${7919*7907}", "<%= 7919*7907 %>",
		"../../../../../../etc/passwd", "${jndi:ldap://127.0.0.1:1/a}", "<script>alert(1)</script>", "%s%s%s%n%n%n", "a\r\nX-Injected: 1", "\x00", "\u202e\u200b\ufeff", strings.Repeat("Z\u0351\u036b", 200), "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 💥", "-1", "null", "",
	}
}

// injection puts hostile texts in the place of each text. The marks must not be in the answer.
func (b *battery) injection() (out []attempt) {
	marks := []string{product, "root:x:0:0"}
	if speaksText(b.dialect) {
		marks = nil // a language model may compute or make up anything
	}
	for _, l := range leaves(b.value) {
		if _, ok := l.value.(string); !ok {
			continue
		}
		for _, text := range hostile() {
			out = append(out, attempt{what: l.String() + " = " + clean(text, 30), m: b.set(l, text), marks: marks})
		}
	}
	return out
}

func (b *battery) media() (out []attempt) {
	for _, media := range []string{"text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data", "nonsense", "application/octet-stream"} {
		out = append(out, attempt{what: "Content-Type " + media, m: b.header("Content-Type", media)})
	}
	m := b.sample
	m.header = m.header.Clone()
	m.header.Del("Content-Type")
	return append(out, attempt{what: "no Content-Type", m: m})
}

func (b *battery) encodings() []attempt {
	out := []attempt{
		{what: "Content-Encoding gzip on a body that is not", m: b.header("Content-Encoding", "gzip")},
		{what: "an unknown Content-Encoding", m: b.header("Content-Encoding", "nonsense")},
		{what: "an unknown charset", m: b.header("Content-Type", "application/json; charset=nonsense")},
	}
	if !b.shaped {
		return out
	}
	var wide []byte
	for _, unit := range utf16.Encode([]rune("\ufeff" + string(b.sample.body))) {
		wide = append(wide, byte(unit), byte(unit>>8))
	}
	out = append(
		out,
		attempt{what: "UTF-16", m: b.with(wide), refuse: true},
		attempt{what: "a byte order mark", m: b.with(append([]byte("\ufeff"), b.sample.body...))},
	)
	for _, l := range leaves(b.value) {
		if _, ok := l.value.(string); ok {
			broken := b.verbatim(l, "\"\xff\xfe\xc3\"")
			lone := b.verbatim(l, `"\ud800"`)
			return append(
				out,
				attempt{what: l.String() + " in broken UTF-8", m: broken},
				attempt{what: l.String() + " with half a surrogate pair", m: lone},
			)
		}
	}
	return out
}

func (b *battery) methods() (out []attempt) {
	for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions, http.MethodPost, "BREW"} {
		if method == b.sample.method {
			continue
		}
		m := b.sample
		m.method = method
		if method == http.MethodGet {
			m.body = nil
		}
		out = append(out, attempt{what: "method " + method, m: m})
	}
	return out
}

func (b *battery) headers() []attempt {
	many := b.sample
	many.header = many.header.Clone()
	for i := range 100 {
		many.header.Set(fmt.Sprintf("X-Sluice-Test-%d", i), "x")
	}
	return []attempt{
		{what: "a header of 64 KiB", m: b.header("X-Sluice-Test", strings.Repeat("x", 64<<10)), cut: true},
		{what: "100 more headers", m: many, cut: true},
		{what: "Accept that cannot be met", m: b.header("Accept", "application/x-nonsense")},
		{what: "an X-Forwarded-For that is nonsense", m: b.header("X-Forwarded-For", "999.999.999.999, ' OR 1=1 --")},
		{what: "an expectation that is nonsense", m: b.header("Expect", "nonsense")},
	}
}

package release

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of selectors. They bound the work that one value costs a gateway per request.
const (
	MaxSelectorLen = 256 // bytes of a selector
	MaxPathDepth   = 16  // elements of a JSON path
)

// SelectorKind is the place that a selector looks at.
type SelectorKind string

// The places.
const (
	SelectHeader SelectorKind = "header"
	SelectJSON   SelectorKind = "json"
	SelectCookie SelectorKind = "cookie"
	SelectQuery  SelectorKind = "query"

	// Of requests to language models: the key with which they ask, and the conversation that they belong
	// to. Both stand alone, without a name.
	SelectAPIKey       SelectorKind = "apiKey"
	SelectConversation SelectorKind = "conversation"

	// Of answers: the text of a language model, as a whole (no name) or a value of the JSON that it holds; and
	// what was measured of the answer, as sources of metrics name it.
	SelectText    SelectorKind = "text"
	SelectMeasure SelectorKind = "measure"
)

// SelectorSpec is a selector taken apart.
type SelectorSpec struct {
	Kind SelectorKind
	// Name of the header (in canonical form: X-User-Id), cookie or query parameter, or the JSON path
	// in gjson's dialect, ready for PeekJSON; "" for kinds that stand alone.
	Name string
}

// String is the canonical spelling of the selector.
func (s SelectorSpec) String() string {
	if s.Name == "" {
		return string(s.Kind)
	}
	return string(s.Kind) + ":" + s.Name
}

// ReadsBody says whether the value lies in a request's body.
func (s SelectorSpec) ReadsBody() bool { return s.Kind == SelectJSON || s.Kind == SelectConversation }

// Parse takes the selector apart. A JSON path is a list of keys and array indices joined by dots
// ("applicant.id", "choices.0.finish_reason"); a dot inside a key is written "\.". Wildcards, queries
// and modifiers are refused: their cost can't be bounded.
func (s Selector) Parse() (SelectorSpec, error) {
	if len(s) > MaxSelectorLen {
		return SelectorSpec{}, Invalid("", "%q is longer than %d bytes", clip(string(s)), MaxSelectorLen).Fix("shorten it")
	}
	kind, name, ok := strings.Cut(string(s), ":")
	name = strings.TrimSpace(name)
	spec := SelectorSpec{Kind: SelectorKind(strings.TrimSpace(kind)), Name: name}
	if !ok && spec.Kind.alone() {
		return spec, nil
	}
	if !ok || name == "" {
		return spec, invalidText("selector", string(s), `where the value is: "header:X-User-Id", "json:applicant.id", "cookie:uid" or "query:user"`)
	}
	switch spec.Kind {
	case SelectHeader:
		if !isToken(name) {
			return spec, invalidText("header name", name, `a header name: letters, digits and "-"`)
		}
		spec.Name = CanonicalHeader(name)
	case SelectCookie:
		if !isToken(name) {
			return spec, invalidText("cookie name", name, `a cookie name: letters, digits, "-" and "_"`)
		}
	case SelectQuery:
		if !isPlain(name) {
			return spec, invalidText("query parameter", name, "a name without spaces, control characters, & and =")
		}
	case SelectJSON, SelectText:
		if err := checkPath(name); err != nil {
			return spec, err
		}
	case SelectMeasure:
		m, err := parseMeasure(name)
		spec.Name = m
		return spec, err
	case SelectAPIKey, SelectConversation:
		return spec, invalidText("selector", string(s), fmt.Sprintf("%q alone", spec.Kind))
	default:
		return spec, invalidText("selector", string(s), "one of header:, json:, cookie:, query:, conversation and apiKey"+didYouMean(kind, selectorKinds))
	}
	return spec, nil
}

// alone says whether a selector of the kind may have no name.
func (k SelectorKind) alone() bool {
	return k == SelectAPIKey || k == SelectConversation || k == SelectText
}

var selectorKinds = words(SelectHeader, SelectJSON, SelectCookie, SelectQuery, SelectConversation, SelectAPIKey)

// checkPath says whether a JSON path is a plain list of keys and indices.
func checkPath(path string) error {
	bad := invalidText("JSON path", path, `keys and array indices joined by dots: "applicant.id", "choices.0.text"; a dot inside a key is "\."`)
	if !utf8.ValidString(path) {
		return bad
	}
	depth, keyLen := 1, 0
	for i := 0; i < len(path); {
		r, size := utf8.DecodeRuneInString(path[i:])
		i += size
		switch {
		case r == '\\' && strings.HasPrefix(path[i:], "."):
			i++
			keyLen++
		case r == '.' && keyLen > 0:
			depth++
			keyLen = 0
		case isKeyRune(r):
			keyLen++
		default:
			return bad
		}
	}
	if keyLen == 0 {
		return bad
	}
	if depth > MaxPathDepth {
		return Invalid("", "the JSON path %q is %d deep", clip(path), depth).Fix("use at most %d elements", MaxPathDepth)
	}
	return nil
}

// isKeyRune says whether a key may hold r as it is. What means something in gjson's path dialect is
// left out.
func isKeyRune(r rune) bool {
	return r == '_' || r == '-' || r == '$' || r == '/' || unicode.IsLetter(r) || unicode.IsDigit(r)
}

// isToken says whether s is a token of RFC 9110 §5.6.2, as names of headers and cookies are.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// isPlain says whether s is visible ASCII without the separators of a query.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || c == '&' || c == '=' || c == '#' {
			return false
		}
	}
	return s != ""
}

// CanonicalHeader spells a header name as HTTP/1.1 libraries do: the first letter and every letter
// after a hyphen in upper case, the others in lower case. The name must be a token.
func CanonicalHeader(name string) string {
	b := []byte(name)
	upper := true
	for i, c := range b {
		switch {
		case upper && c >= 'a' && c <= 'z':
			b[i] = c - 'a' + 'A'
		case !upper && c >= 'A' && c <= 'Z':
			b[i] = c - 'A' + 'a'
		}
		upper = c == '-'
	}
	return string(b)
}

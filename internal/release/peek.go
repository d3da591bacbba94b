package release

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/tidwall/gjson"
)

// MaxCategoryLen bounds the text of a category in bytes; longer texts are cut there, at a whole rune.
const MaxCategoryLen = 64

// Peeked is a value found in a request or an answer, before its text has a number in a dictionary.
type Peeked struct {
	Num  float64 // ValueNumber: finite
	Text string  // ValueCategory: valid UTF-8, not empty, at most MaxCategoryLen bytes
	Kind ValueKind
}

// PeekJSON returns the scalar at a path of a JSON document, the path as SelectorSpec.Name gives it.
// With number set, numbers, booleans (as 0 and 1) and strings that are numbers become ValueNumber and
// other strings ValueCategory; otherwise every scalar becomes a ValueCategory by its text. What is
// absent, null, empty, an array or an object is ValueNone, and so is a number that float64 can't hold.
//
// The document is read once, up to the value, without decoding the rest, and need not be valid behind
// it. Text may share memory with doc: copy it before doc changes. Numbers allocate nothing.
func PeekJSON(doc []byte, path string, number bool) Peeked {
	if len(doc) == 0 {
		return Peeked{}
	}
	// gjson.GetBytes would copy the value; over a string it returns views, which this function hands
	// on under the documented condition. Nothing writes to doc meanwhile.
	r := gjson.Get(unsafe.String(unsafe.SliceData(doc), len(doc)), path)
	switch r.Type {
	case gjson.String:
		return PeekText(r.Str, number)
	case gjson.Number:
		if number {
			return peekNumber(r.Num)
		}
		return PeekText(r.Raw, false)
	case gjson.True:
		if number {
			return Peeked{Kind: ValueNumber, Num: 1}
		}
		return Peeked{Kind: ValueCategory, Text: "true"}
	case gjson.False:
		if number {
			return Peeked{Kind: ValueNumber}
		}
		return Peeked{Kind: ValueCategory, Text: "false"}
	default:
		return Peeked{}
	}
}

// PeekText turns the text of a header, cookie, query parameter or JSON string into a value by the rules
// of PeekJSON.
func PeekText(text string, number bool) Peeked {
	text = strings.TrimSpace(text)
	if number {
		if v, ok := textNumber(text); ok {
			return Peeked{Kind: ValueNumber, Num: v}
		}
	}
	if len(text) > MaxCategoryLen {
		cut := MaxCategoryLen
		for cut > MaxCategoryLen-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
			cut--
		}
		text = text[:cut]
	}
	if !utf8.ValidString(text) {
		// A replacement character is longer than the byte it stands for, so one byte becomes one "?".
		text = strings.ToValidUTF8(text, "?")
	}
	if text == "" {
		return Peeked{}
	}
	return Peeked{Kind: ValueCategory, Text: text}
}

func peekNumber(v float64) Peeked {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return Peeked{}
	}
	return Peeked{Kind: ValueNumber, Num: v}
}

// textNumber reads a JSON number; words that strconv would take for numbers ("Inf", "0x1p4") are not.
func textNumber(s string) (float64, bool) {
	if s == "" || len(s) > MaxCategoryLen || s[0] != '-' && (s[0] < '0' || s[0] > '9') || strings.ContainsAny(s, "xXpP_nNiI") {
		return 0, false
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil
}

// Agree says whether an answer's category equals an outcome told later. Both are texts of scalars:
// an outcome that was told as a number has the text that FormatOutcome gives. Numbers are equal by
// value ("1" and "1.0"), and the booleans equal 1 and 0, because applications tell either.
func Agree(answer, outcome string) bool {
	if answer == outcome {
		return true
	}
	a, okA := outcomeNumber(answer)
	b, okB := outcomeNumber(outcome)
	return okA && okB && a == b
}

// FormatOutcome is the text under which a number takes part in Agree.
func FormatOutcome(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }

func outcomeNumber(s string) (float64, bool) {
	switch s {
	case "true":
		return 1, true
	case "false":
		return 0, true
	}
	return textNumber(s)
}

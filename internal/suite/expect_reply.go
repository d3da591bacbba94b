package suite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/abadojack/whatlanggo"
	"github.com/agnivade/levenshtein"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"sluice.dev/sluice/internal/release"
)

// replyCheck is a checked ReplyExpect.
type replyCheck struct {
	ReplyExpect
	dialect  release.Dialect
	equals   *template
	contains []template
	excludes []template
	similar  *template
	regex    *regexp.Regexp
	schema   *jsonschema.Schema
	language whatlanggo.Lang
}

// judge lists what is wrong with an answer of 2xx.
func (e *replyCheck) judge(a *answer, r *row) []string {
	got, err := readReply(e.dialect, a.body)
	if err != nil {
		return []string{"no text can be read: " + err.Error() + a.quote()}
	}
	var faults []string
	add := func(fault string) {
		if fault != "" {
			faults = append(faults, "the text "+fault)
		}
	}
	add(e.same(got.text, r))
	add(e.sized(got))
	add(e.formed(got.text))
	if e.Refusal != nil && got.refused() != *e.Refusal {
		add(map[bool]string{true: "is no refusal: ", false: "is a refusal: "}[*e.Refusal] + clean(firstOf(got.refusal, got.text, got.finish), 80))
	}
	if e.Language != "" {
		add(e.spoken(got.text))
	}
	if len(e.Finish) > 0 && !slices.Contains(e.Finish, got.finish) {
		add(fmt.Sprintf("ended by %q, want %s", clean(got.finish, 40), clean(strings.Join(e.Finish, " or "), 80)))
	}
	return faults
}

// same checks what the text must be or have in it.
func (e *replyCheck) same(text string, r *row) string {
	shown, folded := clean(text, 80), fold(text, e.Ignore)
	compare := func(t template, holds func(part string) bool, words string) string {
		part, err := t.text(r, asIs)
		if err != nil {
			return "can't be compared: " + err.Error()
		}
		if holds(fold(part, e.Ignore)) {
			return ""
		}
		return fmt.Sprintf(words, shown, clean(part, 80))
	}
	if e.equals != nil {
		if fault := compare(*e.equals, func(p string) bool { return folded == p }, "is %q, want %q"); fault != "" {
			return fault
		}
	}
	for _, t := range e.contains {
		if fault := compare(t, func(p string) bool { return strings.Contains(folded, p) }, "is %q, want %q in it"); fault != "" {
			return fault
		}
	}
	for _, t := range e.excludes {
		if fault := compare(t, func(p string) bool { return !strings.Contains(folded, p) }, "is %q and has %q in it, which it must not"); fault != "" {
			return fault
		}
	}
	if e.regex != nil && !e.regex.MatchString(text) {
		return fmt.Sprintf("is %q, which does not match %s", shown, clean(e.Regex, 80))
	}
	if e.similar == nil {
		return ""
	}
	to, err := e.similar.text(r, asIs)
	if err != nil {
		return "can't be compared: " + err.Error()
	}
	s := Similar{To: fold(to, e.Ignore), AtLeast: e.Similar.AtLeast}
	return s.judge(folded)
}

func (e *replyCheck) sized(got *reply) string {
	chars, words := utf8.RuneCountInString(got.text), len(strings.Fields(got.text))
	for _, c := range []struct {
		n     int
		limit *int
		least bool
		what  string
	}{
		{chars, e.MinLength, true, "characters"},
		{chars, e.MaxLength, false, "characters"},
		{words, e.MinWords, true, "words"},
		{words, e.MaxWords, false, "words"},
		{got.tokens, e.MaxTokens, false, "tokens"},
	} {
		switch {
		case c.limit == nil:
		case c.least && c.n < *c.limit:
			return fmt.Sprintf("has %d %s, want at least %d", c.n, c.what, *c.limit)
		case !c.least && c.n > *c.limit:
			return fmt.Sprintf("has %d %s, want at most %d", c.n, c.what, *c.limit)
		}
	}
	return ""
}

// formed checks that the text is JSON, and of the right shape.
func (e *replyCheck) formed(text string) string {
	if !e.JSON && e.schema == nil {
		return ""
	}
	v, err := decodeJSON([]byte(text))
	if err != nil {
		why := ""
		if strings.HasPrefix(strings.TrimSpace(text), "```") {
			why = ", as a fence of ``` is around it"
		}
		return fmt.Sprintf("is not JSON%s: %s", why, clean(text, 80))
	}
	if e.schema != nil {
		if err := e.schema.Validate(v); err != nil {
			return "breaks the schema: " + clean(schemaFault(err), 300)
		}
	}
	return ""
}

// minLetters is how many letters a language is told from; fewer are a guess. Scripts that only one language has
// need no more than a word.
const minLetters = 20

// spoken checks the language.
func (e *replyCheck) spoken(text string) string {
	lang, sure := languageOf(text)
	switch {
	case lang == e.language:
		return ""
	case lang < 0 || !sure:
		return fmt.Sprintf("is too short or mixed to tell its language, want %s: %s", e.Language, clean(text, 80))
	}
	return fmt.Sprintf("is in %s, want %s: %s", lang.String(), e.language.String(), clean(text, 80))
}

// languageOf tells the language of a text by its letters; sure is false for a guess.
func languageOf(text string) (lang whatlanggo.Lang, sure bool) {
	letters := 0
	for _, r := range text {
		if unicode.IsLetter(r) {
			letters++
		}
	}
	if letters == 0 {
		return -1, false
	}
	info := whatlanggo.Detect(text)
	if info.Lang < 0 {
		return -1, false
	}
	return info.Lang, letters >= minLetters && info.IsReliable()
}

// languageCode is the ISO 639-1 code of a text's language, or the 639-3 code of one that has none; "" if it can't be told.
func languageCode(text string) string {
	lang, sure := languageOf(text)
	if !sure {
		return ""
	}
	return firstOf(lang.Iso6391(), lang.Iso6393())
}

// languageNamed finds a language by its code.
func languageNamed(code string) (whatlanggo.Lang, bool) {
	code = strings.ToLower(code)
	for lang := range whatlanggo.Langs {
		if code != "" && (code == lang.Iso6391() || code == lang.Iso6393()) {
			return lang, true
		}
	}
	return -1, false
}

// fold removes what is ignored.
func fold(s string, ignore []Ignore) string {
	if slices.Contains(ignore, IgnorePunctuation) {
		s = strings.Map(func(r rune) rune {
			if unicode.IsPunct(r) {
				return -1
			}
			return r
		}, s)
	}
	if slices.Contains(ignore, IgnoreCase) {
		s = strings.ToLower(s)
	}
	if slices.Contains(ignore, IgnoreSpace) {
		s = strings.Join(strings.Fields(s), " ")
	}
	return s
}

// similarity is 1 - edit distance / the longer length, in characters; texts beyond maxSimilar bytes are cut there.
func similarity(a, b string) float64 {
	a, b = firstBytes(a, maxSimilar), firstBytes(b, maxSimilar)
	longer := max(utf8.RuneCountInString(a), utf8.RuneCountInString(b), 1)
	return 1 - float64(levenshtein.ComputeDistance(a, b))/float64(longer)
}

func firstBytes(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// reply checks a ReplyExpect.
func (c *checker) reply(at string, e ReplyExpect, withData bool) *replyCheck {
	d := c.suite.Spec.Target.Dialect
	if !speaksText(d) {
		c.fail(at, "add target: {dialect: openai}, or use body", "the text of an answer is read with the dialects openai and anthropic")
	}
	out := &replyCheck{ReplyExpect: e, dialect: d, regex: c.regex(at+".regex", e.Regex), language: -1}
	if e.Equals != nil {
		t := c.template(at+".equals", *e.Equals, withData)
		out.equals = &t
	}
	out.contains = c.templates(at+".contains", e.Contains, withData)
	out.excludes = c.templates(at+".excludes", e.Excludes, withData)
	if e.Similar != nil {
		c.similar(at, e.Similar)
		t := c.template(at+".similar.to", e.Similar.To, withData)
		out.similar = &t
	}
	out.schema = c.schemaOf(at, Expect{Schema: e.Schema, SchemaFile: e.SchemaFile})
	if e.Language != "" {
		var known bool
		if out.language, known = languageNamed(e.Language); !known {
			c.fail(at+".language", "write a code like en, de or zh", "%q is no language that is told apart", clean(e.Language, 20))
		}
	}
	for field, n := range map[string]*int{"minLength": e.MinLength, "maxLength": e.MaxLength, "minWords": e.MinWords, "maxWords": e.MaxWords, "maxTokens": e.MaxTokens} {
		if n != nil && *n < 0 {
			c.fail(at+"."+field, "write a number from 0", "%d is negative", *n)
		}
	}
	text, err := json.Marshal(e)
	if err == nil && bytes.Equal(text, []byte("{}")) {
		c.fail(at, "write contains, regex, json, refusal, maxLength, language, ...", "nothing is expected")
	}
	return out
}

func (c *checker) templates(at string, texts []string, withData bool) (out []template) {
	for i, s := range texts {
		out = append(out, c.template(fmt.Sprintf("%s[%d]", at, i), s, withData))
	}
	return out
}

// columns calls each for the columns that the check needs.
func (e *replyCheck) columns(each func(string)) {
	for _, t := range slices.Concat(e.contains, e.excludes) {
		t.columns(each)
	}
	for _, t := range []*template{e.equals, e.similar} {
		if t != nil {
			t.columns(each)
		}
	}
}

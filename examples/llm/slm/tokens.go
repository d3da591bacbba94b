package slm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Tokens with a meaning of their own.
const (
	Begin = 0 // before each text
	End   = 1 // the text is over
)

// Tokenizer turns text into tokens. Make one with ParseTokenizer.
type Tokenizer struct {
	pieces []string
	ids    map[string]int
	rank   map[[2]string]int // of merges, most urgent first
}

// ParseTokenizer reads a tokenizer file for a model of so many tokens.
func ParseTokenizer(data []byte, tokens int) (*Tokenizer, error) {
	var f struct{ Vocab, Merges []string }
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("slm: tokenizer: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("slm: tokenizer: something follows the JSON object")
	}
	if len(f.Vocab) != tokens {
		return nil, fmt.Errorf("slm: tokenizer: %d pieces, but the model has %d tokens", len(f.Vocab), tokens)
	}
	t := &Tokenizer{pieces: f.Vocab, ids: map[string]int{}, rank: map[[2]string]int{}}
	for i, p := range f.Vocab {
		if _, twice := t.ids[p]; twice || p == "" {
			return nil, fmt.Errorf("slm: tokenizer: vocab[%d] %q is empty or there already", i, p)
		}
		t.ids[p] = i
	}
	for i, m := range f.Merges {
		a, b, ok := strings.Cut(m, " ")
		_, known := t.ids[a+b]
		if !ok || !known || a == "" || b == "" {
			return nil, fmt.Errorf("slm: tokenizer: merges[%d] %q is not two pieces that make a third", i, m)
		}
		t.rank[[2]string{a, b}] = i
	}
	return t, nil
}

// words divides a text before pieces are merged, so that no piece crosses from one word to the next. A space
// belongs to the word behind it.
var words = regexp.MustCompile(`'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+`)

// maxWord bounds the work of merging, which is quadratic: longer words are encoded in parts.
const maxWord = 64

// Words divides a text as Encode does.
func Words(text string) []string { return words.FindAllString(text, -1) }

// Encode returns the tokens of a text. Characters that the vocabulary does not know are left out.
func (t *Tokenizer) Encode(text string) []int {
	var ids []int
	for _, word := range Words(text) {
		chars := []rune(strings.ReplaceAll(word, " ", "Ġ"))
		for len(chars) > 0 {
			n := min(len(chars), maxWord)
			ids = t.appendWord(ids, chars[:n])
			chars = chars[n:]
		}
	}
	return ids
}

// appendWord merges the most urgent pair of neighbours until none is left.
func (t *Tokenizer) appendWord(ids []int, chars []rune) []int {
	parts := make([]string, len(chars))
	for i, c := range chars {
		parts[i] = string(c)
	}
	for {
		best, at := len(t.rank), -1
		for i := 0; i+1 < len(parts); i++ {
			if r, ok := t.rank[[2]string{parts[i], parts[i+1]}]; ok && r < best {
				best, at = r, i
			}
		}
		if at < 0 {
			break
		}
		parts[at] += parts[at+1]
		parts = append(parts[:at+1], parts[at+2:]...)
	}
	for _, p := range parts {
		if id, ok := t.ids[p]; ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// Text returns a token as text; that of Begin and End is empty.
func (t *Tokenizer) Text(token int) string {
	if token == Begin || token == End {
		return ""
	}
	return strings.ReplaceAll(t.pieces[token], "Ġ", " ")
}

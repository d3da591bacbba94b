// Package llm holds what the parts of the language model example share: three versions of a model of 430,752
// parameters that explains words as a dictionary does, its tokenizer and 400 held-out explanations, embedded from the
// folder data (whose licence, WordNet's, and origin stand beside the files).
//
// Around it: slm reads and runs the models, server is the OpenAI-compatible API, cmd/llmserver that server as a
// program. See README.md for the story.
package llm

import (
	"embed"
	"fmt"
	"slices"
	"strings"

	"sluice.dev/sluice/examples/llm/slm"
)

// Data holds the folder data: models, tokenizer, texts, licence and provenance. Read only.
//
//go:embed data
var Data embed.FS

// Files holds what the commands of Sluice are given: the Model file, its suite and the data that the suite names.
// Read only.
//
//go:embed model.yaml suite.yaml data/next.jsonl data/h400.txt
var Files embed.FS

// Name is what clients call the model, whatever its version.
const Name = "wordnet-lm"

// Versions returns the names that Load knows, oldest first.
func Versions() []string { return []string{"v1", "v2", "v3"} }

// Load reads one of the embedded models: v1 (200 steps of training), v2 (1,400) or v3 (v2 cut to 3 bits: a bad release).
func Load(version string) (*slm.Model, *slm.Tokenizer, error) {
	name := map[string]string{
		"v1": "wordnet_v1_step200.slm", "v2": "wordnet_v2_step1400.slm", "v3": "wordnet_v3_3bit.slm",
	}[version]
	if name == "" {
		return nil, nil, fmt.Errorf("llm: no version %q, want one of %v", version, Versions())
	}
	data, err := Data.ReadFile("data/" + name)
	if err != nil {
		return nil, nil, fmt.Errorf("llm: version %s: %w", version, err)
	}
	m, err := slm.Parse(data)
	if err != nil {
		return nil, nil, fmt.Errorf("llm: version %s: %w", version, err)
	}
	if data, err = Data.ReadFile("data/tok.json"); err != nil {
		return nil, nil, fmt.Errorf("llm: %w", err)
	}
	t, err := slm.ParseTokenizer(data, m.Tokens())
	if err != nil {
		return nil, nil, fmt.Errorf("llm: %w", err)
	}
	return m, t, nil
}

// Glosses returns the 400 held-out explanations, each like "rename: assign a new name to".
func Glosses() ([]string, error) {
	data, err := Data.ReadFile("data/h400.txt")
	if err != nil {
		return nil, fmt.Errorf("llm: %w", err)
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n"), nil
}

// Case is a text that a person broke off, and how they went on: the text of the token that came next.
type Case struct {
	Prompt string `json:"prompt"`
	Next   string `json:"next"`
}

// maxPrompt is the longest prompt of a case, in tokens: what a person types before they look at a suggestion.
const maxPrompt = 12

// Cases returns the places of the held-out explanations, behind the colon and at most 12 tokens from the start, where the
// text can be cut: those at which the first part alone has the tokens that it has in the whole.
func Cases(t *slm.Tokenizer) ([]Case, error) {
	glosses, err := Glosses()
	if err != nil {
		return nil, err
	}
	var list []Case
	for _, g := range glosses {
		ids := t.Encode(g)
		prompt := ""
		for i, id := range ids[:min(len(ids), maxPrompt+1)] {
			if strings.Contains(prompt, ":") && slices.Equal(t.Encode(prompt), ids[:i]) {
				list = append(list, Case{Prompt: prompt, Next: t.Text(id)})
			}
			prompt += t.Text(id)
		}
	}
	return list, nil
}

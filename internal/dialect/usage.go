package dialect

import (
	"strconv"

	"sluice.dev/sluice/internal/release"
)

// Tokens are what an answer was made of, counted alike for every provider (package comment).
type Tokens struct {
	Input      int64 // of the prompt, with those that came from a cache or went into one
	CacheRead  int64 // of Input, read from the provider's cache
	CacheWrite int64 // of Input, written into it
	Output     int64 // of the answer, with reasoning
	Reasoning  int64 // of Output

	HasInput  bool // Input and what it consists of were told
	HasOutput bool // Output was told or estimated
	Estimated bool // Output is the number of events with content, because nothing better was told
}

// Total is input and output together; ok is false unless both are there.
func (t Tokens) Total() (n int64, ok bool) { return t.Input + t.Output, t.HasInput && t.HasOutput }

// Cost is what the answer costs by a version's prices, in the currency of the prices; ok is false if the
// tokens are not known or there are no prices. Prices for the cache that are not set are those of input.
func (t Tokens) Cost(p release.Price) (cost float64, ok bool) {
	if p == (release.Price{}) || !t.HasInput || !t.HasOutput {
		return 0, false
	}
	read, write := p.Input, p.Input
	if p.CacheRead != nil {
		read = *p.CacheRead
	}
	if p.CacheWrite != nil {
		write = *p.CacheWrite
	}
	plain := max(t.Input-t.CacheRead-t.CacheWrite, 0)
	perMillion := float64(plain)*p.Input + float64(t.CacheRead)*read + float64(t.CacheWrite)*write + float64(t.Output)*p.Output
	return perMillion/1e6 + p.Request, true
}

// openAI reads the usage object of OpenAI's APIs and those made like them: chat, completions, embeddings
// and, with other names, responses, images and audio. What is not a usage object changes nothing.
func (t *Tokens) openAI(usage []byte) bool {
	c := cursor{doc: usage}
	if !c.open('{') {
		return false
	}
	var n Tokens
	var total, hit int64
	var hasTotal bool
	for key, v, more := c.member(); more; key, v, more = c.member() {
		value := v.of(usage)
		switch keyOf(key) {
		case "prompt_tokens", "input_tokens":
			if got, ok := count(value); ok {
				n.Input, n.HasInput = got, true
			}
		case "completion_tokens", "output_tokens":
			if got, ok := count(value); ok {
				n.Output, n.HasOutput = got, true
			}
		case "total_tokens":
			total, hasTotal = count(value)
		case "prompt_tokens_details", "input_tokens_details":
			n.CacheRead, _ = count(find(value, "cached_tokens"))
			n.CacheWrite, _ = count(find(value, "cache_write_tokens"))
		case "completion_tokens_details", "output_tokens_details":
			n.Reasoning, _ = count(find(value, "reasoning_tokens"))
		case "prompt_cache_hit_tokens": // DeepSeek
			hit, _ = count(value)
		}
	}
	if !n.HasInput && !n.HasOutput {
		return false
	}
	if !n.HasOutput && hasTotal && total == n.Input { // embeddings answer nothing
		n.HasOutput = true
	}
	if hasTotal && n.Reasoning > 0 && total == n.Input+n.Output+n.Reasoning { // some count reasoning apart
		n.Output += n.Reasoning
	}
	n.CacheRead = max(n.CacheRead, hit)
	*t = n
	return true
}

// anthropic takes over what a usage object tells: a stream's first one has the input, its last one the
// cumulative output, and either may have both.
func (t *Tokens) anthropic(usage []byte) {
	c := cursor{doc: usage}
	if !c.open('{') {
		return
	}
	plain, read, write := t.Input-t.CacheRead-t.CacheWrite, t.CacheRead, t.CacheWrite
	for key, v, more := c.member(); more; key, v, more = c.member() {
		n, ok := count(v.of(usage))
		if !ok {
			continue
		}
		switch keyOf(key) {
		case "input_tokens":
			plain, t.HasInput = n, true
		case "cache_read_input_tokens":
			read = n
		case "cache_creation_input_tokens":
			write = n
		case "output_tokens":
			t.Output, t.HasOutput = n, true
		}
	}
	t.Input, t.CacheRead, t.CacheWrite = plain+read+write, read, write
}

// gemini takes over a usageMetadata object; each one is cumulative.
func (t *Tokens) gemini(usage []byte) {
	c := cursor{doc: usage}
	if !c.open('{') {
		return
	}
	var n Tokens
	var tools int64
	for key, v, more := c.member(); more; key, v, more = c.member() {
		got, ok := count(v.of(usage))
		if !ok {
			continue
		}
		switch keyOf(key) {
		case "promptTokenCount":
			n.Input, n.HasInput = got, true
		case "toolUsePromptTokenCount":
			tools = got
		case "cachedContentTokenCount":
			n.CacheRead = got
		case "candidatesTokenCount":
			n.Output, n.HasOutput = got, true
		case "thoughtsTokenCount":
			n.Reasoning, n.HasOutput = got, true
		}
	}
	if n.HasInput {
		n.Input += tools
		n.Output += n.Reasoning
		*t = n
	}
}

// appendUsage writes counts under a provider's names and with the provider's meaning.
func appendUsage(b []byte, t Tokens, input, output string) []byte {
	in, out := t.Input, t.Output
	switch input {
	case "input_tokens": // Anthropic
		in -= t.CacheRead + t.CacheWrite
	case "promptTokenCount":
		out -= t.Reasoning
	}
	if !t.HasInput && !t.HasOutput {
		return append(b, "null"...)
	}
	b = append(append(append(b, '{', '"'), input...), `":`...)
	b = strconv.AppendInt(b, in, 10)
	b = append(append(append(b, `,"`...), output...), `":`...)
	return append(strconv.AppendInt(b, out, 10), '}')
}

package dialect

import (
	"bytes"
	"encoding/json"
	"time"

	"sluice.dev/sluice/internal/release"
)

// Measures are what an answer told of itself.
type Measures struct {
	Stream  bool
	Content time.Duration // of a stream: until its first content of any kind; negative: there was none
	Answer  time.Duration // ... that is no reasoning
	Tokens  Tokens
	Finish  string        // why it ended, in the provider's words; "": not told. Lent until the next Begin
	Fault   release.Fault // of an error told inside of it
	Length  int           // of the text, in characters; 0 without Options.Text
	Skipped int           // events that were too large to be read
}

// Measures returns what is known so far. After a cancellation that is a part.
func (r *Reader) Measures() Measures {
	m := Measures{
		Stream: r.Streams(), Content: r.content, Answer: r.answer, Tokens: r.tokens, Finish: lend(r.finish), Fault: r.fault,
		Length: r.length, Skipped: r.sse.skipped + r.arr.skipped,
	}
	t := &m.Tokens
	// Until its last count is told, Anthropic's output is that of the stream's beginning.
	vague := !t.HasOutput || r.call.Dialect == release.DialectAnthropic && !r.told
	if m.Stream && r.events > 0 && vague && int64(r.events) > t.Output {
		t.Output, t.HasOutput, t.Estimated = int64(r.events), true, true
	}
	return m
}

// PerToken is the time per output token after the first content of a stream whose answer took total, as the
// semantic conventions define it; ok is false for what is no stream or has fewer than two tokens.
func (m *Measures) PerToken(total time.Duration) (d time.Duration, ok bool) {
	if m.Content < 0 || !m.Tokens.HasOutput || m.Tokens.Output < 2 {
		return 0, false
	}
	return max(total-m.Content, 0) / time.Duration(m.Tokens.Output-1), true
}

// Text returns the answer's text; nil if it was longer than the limit: a part is worth nothing, because a
// value could be cut in two. It is lent until the next Begin.
func (r *Reader) Text() []byte {
	if r.cut {
		return nil
	}
	return r.words
}

// Inside returns the JSON that an answer's text is, or that its text wraps in a fence of Markdown, as
// models like to do; nil if it is none.
func Inside(text []byte) []byte {
	text = bytes.TrimSpace(text)
	if fenced, ok := bytes.CutPrefix(text, []byte("```")); ok {
		_, fenced, _ = bytes.Cut(fenced, []byte("\n"))
		fenced, _, _ = bytes.Cut(fenced, []byte("```"))
		text = bytes.TrimSpace(fenced)
	}
	if len(text) == 0 || text[0] != '{' && text[0] != '[' {
		return nil
	}
	return text
}

// Document returns a stream as the document that the same answer would be without streaming, as far as it
// is read here: text, reason, usage, model. So a metric like json:choices.0.message.content means the same
// for both. nil: it is none, or was longer than the limit. It is lent until the next Begin.
func (r *Reader) Document() []byte {
	if !r.Streams() || r.cut || !r.opts.Document {
		return nil
	}
	if len(r.doc) > 0 || r.isTyped {
		return r.doc
	}
	b := r.scratch[:0]
	b = append(b, '{')
	name := "model"
	if r.call.Dialect == release.DialectGemini {
		name = "modelVersion"
	}
	if len(r.model) > 0 {
		b = append(append(append(b, quoted(name)...), ':'), r.model...)
		b = append(b, ',')
	}
	text := quoted(string(r.words))
	reason := "null"
	if len(r.finish) > 0 {
		reason = quoted(string(appendUnescaped(nil, r.finish)))
	}
	switch {
	case r.call.Dialect == release.DialectAnthropic:
		b = append(b, `"type":"message","role":"assistant","content":`...)
		b = append(r.appendBlocks(b, text), `,"stop_reason":`+reason...)
		b = append(b, `,"usage":`...)
		b = appendUsage(b, r.tokens, "input_tokens", "output_tokens")
	case r.call.Dialect == release.DialectGemini:
		b = append(b, `"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":`+text+`}]},"finishReason":`+reason+`}],"usageMetadata":`...)
		b = appendUsage(b, r.tokens, "promptTokenCount", "candidatesTokenCount")
	case r.call.Op == OpCompletion:
		b = append(b, `"object":"text_completion","choices":[{"index":0,"text":`+text+`,"finish_reason":`+reason+`}],"usage":`...)
		b = appendUsage(b, r.tokens, "prompt_tokens", "completion_tokens")
	default:
		b = append(b, `"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":`+text...)
		b = append(r.appendOpenAITools(b), `},"finish_reason":`+reason+`}],"usage":`...)
		b = appendUsage(b, r.tokens, "prompt_tokens", "completion_tokens")
	}
	b = append(b, '}')
	r.scratch = b
	if !json.Valid(b) { // parts are as the server spelt them
		return nil
	}
	return b
}

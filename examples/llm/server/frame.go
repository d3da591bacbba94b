package server

import (
	"fmt"
	"time"

	"sluice.dev/sluice/examples/llm"
)

// frame is what the parts of one answer have in common.
type frame struct {
	chat    bool
	id      string
	created int64
	version string
}

func (s *Server) newFrame(chat bool) *frame {
	prefix := "cmpl"
	if chat {
		prefix = "chatcmpl"
	}
	return &frame{chat, fmt.Sprintf("%s-%s-%d-%d", prefix, s.version, s.begun.UnixNano(), s.last.Add(1)), time.Now().Unix(), s.version}
}

func (f *frame) object(kind string, choices []any) map[string]any {
	return map[string]any{
		"id": f.id, "object": kind, "created": f.created, "model": llm.Name, "system_fingerprint": f.version, "choices": choices,
	}
}

// whole is an answer that is not streamed.
func (f *frame) whole(text, finish string, u usage, logprobs any) any {
	choice := map[string]any{"index": 0, "finish_reason": finish, "logprobs": logprobs}
	kind := "text_completion"
	if f.chat {
		kind = "chat.completion"
		choice["message"] = map[string]any{"role": "assistant", "content": text, "refusal": nil}
	} else {
		choice["text"] = text
	}
	out := f.object(kind, []any{choice})
	out["usage"] = u
	return out
}

// chunk is a part of a stream: part is a text, or a chat's delta; finish is nil before the end.
func (f *frame) chunk(part, finish any) any {
	choice := map[string]any{"index": 0, "finish_reason": finish, "logprobs": nil}
	kind := "text_completion"
	if f.chat {
		kind = "chat.completion.chunk"
		choice["delta"] = part
	} else {
		choice["text"] = part
	}
	return f.object(kind, []any{choice})
}

// usage is the chunk that counts tokens: it has no choices.
func (f *frame) usage(u usage) any {
	kind := "text_completion"
	if f.chat {
		kind = "chat.completion.chunk"
	}
	out := f.object(kind, []any{})
	out["usage"] = u
	return out
}

// tokens are the parts of a text with their probabilities, as completions tell them. A stop that was held back has its parts
// joined, and the probability of the last.
type tokens struct {
	Tokens   []string  `json:"tokens"`
	LogProbs []float64 `json:"token_logprobs"`
	Top      any       `json:"top_logprobs"` // not told
	Offsets  []int     `json:"text_offset"`
}

func (t *tokens) add(part string, logP float64, at int) {
	t.Tokens, t.LogProbs, t.Offsets = append(t.Tokens, part), append(t.LogProbs, logP), append(t.Offsets, at)
}

// of is what the task asked for; nil if it did not.
func (t *tokens) of(asked *task) any {
	if !asked.logprobs {
		return nil
	}
	return t
}

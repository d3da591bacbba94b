package dialect

import (
	"bytes"

	"sluice.dev/sluice/internal/release"
)

// sign is what one event of a stream means.
type sign uint8

const (
	signContent   sign = 1 << iota // something of the answer: text, tool arguments, reasoning, audio
	signReasoning                  // and that is reasoning, not the answer itself
	signTerminal                   // the answer is complete
	signFailed                     // an error instead of an answer, or of the rest of it
	signUsageOnly                  // nothing but the usage that was asked for
)

// openAI reads one event of OpenAI's streams: chat, completions, responses, images, audio.
func (r *Reader) openAI(data []byte) sign {
	if string(bytes.TrimSpace(data)) == "[DONE]" {
		return signTerminal
	}
	c := cursor{doc: data}
	if !c.open('{') {
		return 0
	}
	var kind, delta, choices, usage, failure, response []byte
	hasChoices := false
	for key, v, more := c.member(); more; key, v, more = c.member() {
		value := v.of(data)
		switch keyOf(key) {
		case "choices":
			choices, hasChoices = value, true
		case "usage":
			usage = value
		case "error":
			failure = value
		case "type":
			kind = bare(value)
		case "delta":
			delta = value
		case "response":
			response = value
		case "model":
			r.named(value)
		case "x_groq":
			if u := find(value, "usage"); usage == nil {
				usage = u
			}
		case "code", "message": // of an error event, which is its own error object
			if string(kind) == "error" {
				failure = data
			}
		}
	}
	if failure == nil && string(kind) == "error" {
		failure = data
	}
	if object(failure) {
		r.fail(failure)
		return signFailed
	}
	if len(kind) > 0 && !hasChoices {
		return r.typed(kind, delta, response, usage)
	}
	told := r.tokens.openAI(usage)
	s := r.choices(choices)
	if told && hasChoices && emptyChoices(choices) {
		s |= signUsageOnly
	}
	return s
}

// emptyChoices says whether there is none: an empty list, or null, which some servers send.
func emptyChoices(v []byte) bool {
	c := cursor{doc: v}
	return string(v) == "null" || c.open('[') && c.peek() == ']'
}

func (r *Reader) choices(list []byte) (s sign) {
	c := cursor{doc: list}
	if !c.open('[') {
		return 0
	}
	for v, more := c.element(); more; v, more = c.element() {
		s |= r.choice(v.of(list))
	}
	return s
}

// choice reads one of the answers of a chunk. The text that is kept is that of the first.
func (r *Reader) choice(doc []byte) (s sign) {
	c := cursor{doc: doc}
	if !c.open('{') {
		return 0
	}
	index, ends := int64(0), false
	var delta, plain []byte
	for key, v, more := c.member(); more; key, v, more = c.member() {
		value := v.of(doc)
		switch keyOf(key) {
		case "index":
			index, _ = count(value)
		case "delta", "message":
			delta = value
		case "text":
			plain = value
		case "finish_reason":
			if hasText(value) {
				ends = true
				if index == 0 {
					r.finished(bare(value))
				}
			}
		}
	}
	r.branch(index, ends)
	first := index == 0
	if hasText(plain) {
		s |= signContent
		if first {
			r.addText(bare(plain))
		}
	}
	return s | r.delta(delta, first)
}

// delta reads what a chunk adds to a message.
func (r *Reader) delta(doc []byte, first bool) (s sign) {
	c := cursor{doc: doc}
	if !c.open('{') {
		return 0
	}
	reasons := false
	for key, v, more := c.member(); more; key, v, more = c.member() {
		value := v.of(doc)
		switch keyOf(key) {
		case "content":
			if hasText(value) {
				s |= signContent
				if first {
					r.addText(bare(value))
				}
			}
		case "reasoning", "reasoning_content":
			reasons = reasons || hasText(value)
		case "refusal":
			if hasText(value) {
				s |= signContent
			}
		case "tool_calls", "function_call", "audio":
			if callsTool(value) {
				s |= signContent
			}
			if first && r.opts.Document {
				r.openAITools(value)
			}
		}
	}
	if reasons && s == 0 {
		s = signContent | signReasoning
	}
	return s
}

// callsTool says whether something is there that a client can use: a name, arguments, sound.
func callsTool(v []byte) bool {
	c := cursor{doc: v}
	if c.peek() == '[' {
		c.open('[')
		for e, more := c.element(); more; e, more = c.element() {
			if callsTool(e.of(v)) {
				return true
			}
		}
		return false
	}
	if !c.open('{') {
		return false
	}
	for key, e, more := c.member(); more; key, e, more = c.member() {
		switch keyOf(key) {
		case "name", "arguments", "input", "data", "transcript":
			if hasText(e.of(v)) {
				return true
			}
		case "function", "custom":
			if callsTool(e.of(v)) {
				return true
			}
		}
	}
	return false
}

// typed reads an event that says what it is, as those of the Responses API, of images and of audio do.
func (r *Reader) typed(kind, delta, response, usage []byte) (s sign) {
	r.isTyped = true
	switch lend(kind) {
	case "response.completed", "response.incomplete", "response.failed":
		return r.responded(lend(kind), response)
	case "response.created", "response.in_progress", "response.queued":
		r.named(find(response, "model"))
		return 0
	case "transcript.text.done", "speech.audio.done", "image_generation.completed", "image_edit.completed":
		r.tokens.openAI(usage)
		return signTerminal
	case "image_generation.partial_image", "image_edit.partial_image", "speech.audio.delta":
		return signContent
	}
	if !bytes.HasSuffix(kind, []byte(".delta")) || !hasText(delta) {
		return 0
	}
	s = signContent
	if bytes.Contains(kind, []byte("reasoning")) {
		s |= signReasoning
	}
	switch lend(kind) {
	case "response.output_text.delta", "transcript.text.delta":
		r.addText(bare(delta))
	}
	return s
}

// responded reads the event that ends a stream of the Responses API.
func (r *Reader) responded(kind string, response []byte) sign {
	r.tokens.openAI(find(response, "usage"))
	r.document(response)
	switch kind {
	case "response.failed":
		r.fail(find(response, "error"))
		return signFailed | signTerminal
	case "response.incomplete":
		r.finished(bare(find(find(response, "incomplete_details"), "reason")))
	default:
		r.finished([]byte("completed"))
	}
	return signTerminal
}

// wholeOpenAI reads an answer that is one document.
func (r *Reader) wholeOpenAI(doc []byte) {
	c := cursor{doc: doc}
	if !c.open('{') {
		return
	}
	for key, v, more := c.member(); more; key, v, more = c.member() {
		value := v.of(doc)
		switch keyOf(key) {
		case "choices":
			r.choices(value)
		case "usage":
			r.tokens.openAI(value)
		case "error":
			if object(value) {
				r.fail(value)
			}
		case "output":
			r.outputs(value)
		case "status":
			if len(r.finish) == 0 {
				r.finished(bare(value))
			}
		case "incomplete_details":
			if reason := bare(find(value, "reason")); len(reason) > 0 {
				r.finished(reason)
			}
		case "text": // of a transcription
			r.addText(bare(value))
		}
	}
}

// outputs takes the text out of a response's list of items.
func (r *Reader) outputs(list []byte) {
	c := cursor{doc: list}
	if !c.open('[') {
		return
	}
	for item, more := c.element(); more; item, more = c.element() {
		content := find(item.of(list), "content")
		in := cursor{doc: content}
		if !in.open('[') {
			continue
		}
		for part, more := in.element(); more; part, more = in.element() {
			if p := part.of(content); string(bare(find(p, "type"))) == "output_text" {
				r.addText(bare(find(p, "text")))
			}
		}
	}
}

// fail notes an error that was told inside of an answer, and whose it is.
func (r *Reader) fail(failure []byte) {
	if r.fault != release.FaultNone {
		return
	}
	r.fault = release.FaultUpstream
	for _, name := range [...]string{"status", "type", "code"} {
		v := find(failure, name)
		if n, ok := count(v); ok && n >= 400 && n < 500 || clientFault(lend(bare(v))) {
			r.fault = release.FaultClient
			return
		}
	}
}

// clientFault says whether an error's type or code blames the request, as a status of 4xx does: the words of
// OpenAI, Anthropic and Google.
func clientFault(word string) bool {
	switch word {
	case "invalid_request_error", "authentication_error", "permission_error", "billing_error", "not_found_error", "request_too_large",
		"rate_limit_error", "rate_limit_exceeded", "insufficient_quota", "tokens", "requests", "context_length_exceeded", "invalid_prompt",
		"BadRequestError", "NotFoundError", "invalid_image", "image_parse_error", "image_content_policy_violation", "content_policy_violation",
		"INVALID_ARGUMENT", "FAILED_PRECONDITION", "OUT_OF_RANGE", "UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND", "RESOURCE_EXHAUSTED":
		return true
	}
	return false
}

package dialect

// gemini reads one GenerateContentResponse: a whole answer, or an event of a stream, where each adds parts and
// counts tokens anew. There is no last event: a stream is complete when its candidates say why they ended, or
// when the prompt was refused.
func (r *Reader) gemini(data []byte) (s sign) {
	c := cursor{doc: data}
	if !c.open('{') {
		return 0
	}
	for key, v, more := c.member(); more; key, v, more = c.member() {
		value := v.of(data)
		switch keyOf(key) {
		case "candidates":
			s |= r.candidates(value)
		case "usageMetadata":
			r.tokens.gemini(value)
		case "modelVersion":
			r.named(value)
		case "promptFeedback":
			if reason := bare(find(value, "blockReason")); len(reason) > 0 {
				r.finished(reason)
				s |= signTerminal
			}
		case "error":
			if object(value) {
				r.fail(value)
				return s | signFailed
			}
		}
	}
	return s
}

func (r *Reader) candidates(list []byte) (s sign) {
	c := cursor{doc: list}
	if !c.open('[') {
		return 0
	}
	for v, more := c.element(); more; v, more = c.element() {
		s |= r.candidate(v.of(list))
	}
	return s
}

func (r *Reader) candidate(doc []byte) sign {
	c := cursor{doc: doc}
	if !c.open('{') {
		return 0
	}
	index := int64(0)
	var content, reason []byte
	for key, v, more := c.member(); more; key, v, more = c.member() {
		value := v.of(doc)
		switch keyOf(key) {
		case "index":
			index, _ = count(value)
		case "finishReason":
			reason = bare(value)
		case "content":
			content = value
		}
	}
	if index == 0 {
		r.finished(reason)
	}
	r.branch(index, len(reason) > 0)
	return r.geminiParts(find(content, "parts"), index == 0)
}

func (r *Reader) geminiParts(list []byte, first bool) (s sign) {
	c := cursor{doc: list}
	if !c.open('[') {
		return 0
	}
	answer := false
	for v, more := c.element(); more; v, more = c.element() {
		part := v.of(list)
		in := cursor{doc: part}
		in.open('{')
		var words []byte
		thought, other := false, false
		for key, v, more := in.member(); more; key, v, more = in.member() {
			value := v.of(part)
			switch keyOf(key) {
			case "text":
				words = value
			case "thought":
				thought = string(value) == "true"
			case "functionCall", "inlineData", "executableCode", "codeExecutionResult", "fileData":
				other = true
			}
		}
		if !hasText(words) && !other {
			continue
		}
		s |= signContent
		if thought {
			continue
		}
		answer = true
		if first && hasText(words) {
			r.addText(bare(words))
		}
	}
	if s != 0 && !answer {
		s |= signReasoning
	}
	return s
}

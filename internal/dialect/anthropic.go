package dialect

import "bytes"

// anthropic reads one event of a stream of Anthropic's Messages API. The data repeats the event's name as
// its type, so the name is not needed.
func (r *Reader) anthropic(data []byte) sign {
	c := cursor{doc: data}
	if !c.open('{') {
		return 0
	}
	var kind, delta, block, index, message, usage, failure []byte
	for key, v, more := c.member(); more; key, v, more = c.member() {
		value := v.of(data)
		switch keyOf(key) {
		case "type":
			kind = bare(value)
		case "delta":
			delta = value
		case "content_block":
			block = value
		case "index":
			index = value
		case "message":
			message = value
		case "usage":
			usage = value
		case "error":
			failure = value
		}
	}
	switch string(kind) {
	case "message_start":
		r.tokens.anthropic(find(message, "usage"))
		r.named(find(message, "model"))
	case "content_block_start":
		if string(bare(find(block, "type"))) == "tool_use" {
			i, _ := count(index)
			r.addTool(i, bare(find(block, "name")), nil)
		}
	case "content_block_delta":
		i, _ := count(index)
		return r.blockDelta(delta, i)
	case "message_delta":
		r.tokens.anthropic(usage)
		if reason := bare(find(delta, "stop_reason")); len(reason) > 0 {
			r.finished(reason)
		}
		r.told = true
	case "message_stop":
		return signTerminal
	case "error":
		r.fail(failure)
		return signFailed
	}
	return 0
}

// blockDelta reads what an event adds to a block of content. A signature seals reasoning and is none
// itself.
func (r *Reader) blockDelta(delta []byte, index int64) sign {
	c := cursor{doc: delta}
	if !c.open('{') {
		return 0
	}
	var s sign
	for key, v, more := c.member(); more; key, v, more = c.member() {
		value := v.of(delta)
		switch keyOf(key) {
		case "text":
			if hasText(value) {
				s = signContent
				r.addText(bare(value))
			}
		case "partial_json":
			if hasText(value) {
				s = signContent
				r.addTool(index, nil, bare(value))
			}
		case "thinking":
			if hasText(value) {
				s = signContent | signReasoning
			}
		}
	}
	return s
}

// wholeAnthropic reads an answer that is one document.
func (r *Reader) wholeAnthropic(doc []byte) {
	c := cursor{doc: doc}
	if !c.open('{') {
		return
	}
	for key, v, more := c.member(); more; key, v, more = c.member() {
		value := v.of(doc)
		switch keyOf(key) {
		case "content":
			r.parts(value, "text", func(part []byte) bool { return bytes.Equal(bare(find(part, "type")), []byte("text")) })
		case "usage":
			r.tokens.anthropic(value)
		case "stop_reason":
			r.finished(bare(value))
		case "error":
			if object(value) {
				r.fail(value)
			}
		}
	}
}

// parts adds the text of those parts of a list that are wanted.
func (r *Reader) parts(list []byte, name string, wanted func([]byte) bool) {
	c := cursor{doc: list}
	if !c.open('[') {
		return
	}
	for v, more := c.element(); more; v, more = c.element() {
		if part := v.of(list); wanted(part) {
			r.addText(bare(find(part, name)))
		}
	}
}

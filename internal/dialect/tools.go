package dialect

import "encoding/json"

// maxTools bounds the calls of tools that are read of one answer.
const maxTools = 16

// tool is a call of a tool, in the making: name and arguments as they are spelt inside of JSON strings, so
// that pieces are joined without being decoded.
type tool struct{ name, arguments []byte }

// addTool adds pieces to the call of that number. Like the text, the calls are kept as a whole or not at all.
func (r *Reader) addTool(i int64, name, arguments []byte) {
	if !r.opts.Document || r.cut || i >= maxTools {
		return
	}
	for int64(len(r.tools)) <= i {
		r.tools = append(r.tools, tool{})
	}
	t := &r.tools[i]
	if len(t.name)+len(t.arguments)+len(name)+len(arguments) > r.opts.Limit/maxTools {
		r.cut = true
		return
	}
	t.name, t.arguments = append(t.name, name...), append(t.arguments, arguments...)
}

// openAITools reads the calls of a chunk.
func (r *Reader) openAITools(list []byte) {
	c := cursor{doc: list}
	if !c.open('[') {
		return
	}
	for v, more := c.element(); more; v, more = c.element() {
		call := v.of(list)
		i, _ := count(find(call, "index"))
		f := find(call, "function")
		r.addTool(i, bare(find(f, "name")), bare(find(f, "arguments")))
	}
}

// appendOpenAITools appends the calls as a message has them.
func (r *Reader) appendOpenAITools(b []byte) []byte {
	if len(r.tools) == 0 {
		return b
	}
	b = append(b, `,"tool_calls":[`...)
	for i, t := range r.tools {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, `{"type":"function","function":{"name":"`...), t.name...)
		b = append(append(append(b, `","arguments":"`...), t.arguments...), `"}}`...)
	}
	return append(b, ']')
}

// appendBlocks appends the content of a message of Anthropic's: its text, if it has one, and its calls.
func (r *Reader) appendBlocks(b []byte, text string) []byte {
	b = append(b, '[')
	some := len(r.words) > 0 || len(r.tools) == 0
	if some {
		b = append(b, `{"type":"text","text":`+text+`}`...)
	}
	for _, t := range r.tools {
		if t.name == nil {
			continue // the number of a block of another kind
		}
		if some {
			b = append(b, ',')
		}
		some = true
		b = append(append(append(b, `{"type":"tool_use","name":"`...), t.name...), `","input":`...)
		if input := appendUnescaped(nil, t.arguments); json.Valid(input) {
			b = append(b, input...)
		} else {
			b = append(b, "{}"...)
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

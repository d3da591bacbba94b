package dialect

import (
	"encoding/binary"
	"net/url"
	"strings"

	"sluice.dev/sluice/internal/release"
)

// Edit is one replacement in a request's body: body[At:At+N] becomes With. A list of them is in the order of
// the body and does not overlap.
type Edit struct {
	At, N int
	With  string
}

// maxEdits bounds the replacements of one body. A body that needs more repeats its keys on purpose.
const maxEdits = 64

// Edits returns what must be replaced in a request's body so that it asks for model ("": as the client
// wrote) and, with usage set, so that a stream ends with the usage chunk. Every occurrence of a key is
// replaced, because servers differ in which of two they obey. ok is false if the body can't be made to ask
// for the model: it names one in more than maxEdits places, or is malformed. A body that names no
// model is left without one.
func (c *Call) Edits(body []byte, model string, usage bool) (edits []Edit, ok bool) {
	switch {
	case !c.body:
		return nil, model == ""
	case c.form != "":
		return formEdits(c.form, body, model)
	case c.Dialect == release.DialectOIP:
		if c.GRPC && c.Op == OpInfer && model != "" {
			return grpcEdits(body, model)
		}
		return nil, true
	case c.Dialect == release.DialectGemini: // the path names it
		return nil, true
	case c.Dialect != release.DialectOpenAI && c.Dialect != release.DialectAnthropic:
		return nil, model == ""
	}
	usage = usage && c.Asks()
	if model == "" && !usage {
		return nil, true
	}
	doc := cursor{doc: body}
	if !doc.open('{') {
		return nil, true // no server takes it for a request
	}
	head, asked := doc.at, false
	for key, v, more := doc.member(); more; key, v, more = doc.member() {
		switch name := keyOf(key); {
		case name == "model" && model != "":
			edits = append(edits, Edit{v.from, v.to - v.from, quoted(model)})
		case name == "stream_options" && usage:
			asked = true
			edits = appendUsageEdit(edits, body, v)
		}
		if len(edits) > maxEdits {
			return nil, false
		}
	}
	if !doc.take('}') {
		return nil, false
	}
	if usage && !asked {
		edits = append([]Edit{{head, 0, `"stream_options":{"include_usage":true},`}}, edits...)
	}
	return edits, true
}

// Asks says whether the usage of the call's answer has to be asked for, and may be.
func (c *Call) Asks() bool {
	return c.body && c.Dialect == release.DialectOpenAI && (c.Op == OpChat || c.Op == OpCompletion) && c.Stream && !c.Usage
}

// appendUsageEdit makes one value of stream_options ask for the usage.
func appendUsageEdit(edits []Edit, body []byte, v span) []Edit {
	in := cursor{doc: body[:v.to], at: v.from}
	if !in.open('{') {
		return append(edits, Edit{v.from, v.to - v.from, `{"include_usage":true}`})
	}
	head, some, found := in.at, false, false
	for key, o, more := in.member(); more; key, o, more = in.member() {
		some = true
		if isKey(key, "include_usage") {
			found = true
			edits = append(edits, Edit{o.from, o.to - o.from, "true"})
		}
	}
	switch {
	case found:
		return edits
	case some:
		return append(edits, Edit{head, 0, `"include_usage":true,`})
	}
	return append(edits, Edit{head, 0, `"include_usage":true`})
}

// Apply returns the body with the replacements made.
func Apply(body []byte, edits []Edit) []byte {
	out, at := make([]byte, 0, Len(len(body), edits)), 0
	for _, e := range edits {
		out = append(append(out, body[at:e.At]...), e.With...)
		at = e.At + e.N
	}
	return append(out, body[at:]...)
}

// Len is the length of a body of n bytes after the replacements.
func Len(n int, edits []Edit) int {
	for _, e := range edits {
		n += len(e.With) - e.N
	}
	return n
}

// Path returns a request's path, escaped as it came, with the model that it names replaced; ok is false if
// it names none. Known are Gemini's models/NAME:verb, Azure's deployments/NAME/, Bedrock's model/NAME/verb
// and the Open Inference Protocol's models/NAME.
func Path(d release.Dialect, escaped, model string) (out string, ok bool) {
	from, to := pathModel(d, escaped)
	if from < 0 {
		return escaped, false
	}
	return escaped[:from] + url.PathEscape(model) + escaped[to:], true
}

// PathModel returns the model that a path names, "" if it names none.
func PathModel(d release.Dialect, escaped string) string {
	from, to := pathModel(d, escaped)
	if from < 0 {
		return ""
	}
	name, err := url.PathUnescape(escaped[from:to])
	if err != nil {
		return ""
	}
	return name
}

// pathModel finds the model's name in a path; from is -1 if there is none.
func pathModel(d release.Dialect, path string) (from, to int) {
	switch d {
	case release.DialectGemini:
		colon := strings.LastIndexByte(path, ':')
		if from, to = after(path, "/models/"); from >= 0 && colon > from && colon <= to {
			return from, colon
		}
	case release.DialectOIP:
		if strings.HasPrefix(path, grpcService) {
			return -1, 0
		}
		return after(path, "/models/")
	case release.DialectOpenAI:
		return after(path, "/deployments/")
	case release.DialectAnthropic:
		if from, to = after(path, "/model/"); from >= 0 && strings.HasPrefix(path[to:], "/invoke") {
			return from, to
		}
	}
	return -1, 0
}

// after finds the path's segment that follows the last occurrence of a mark.
func after(path, mark string) (from, to int) {
	i := strings.LastIndex(path, mark)
	if i < 0 {
		return -1, 0
	}
	from = i + len(mark)
	to = len(path)
	if n := strings.IndexByte(path[from:], '/'); n >= 0 {
		to = from + n
	}
	if from == to {
		return -1, 0
	}
	return from, to
}

// grpcEdits replaces field 1 of the ModelInferRequest in a gRPC message: the frame's length and the field.
func grpcEdits(body []byte, model string) ([]Edit, bool) {
	m, ok := grpcMessage(body)
	if !ok {
		return nil, false
	}
	var edits []Edit
	size := len(m)
	for at := 0; at < len(m); {
		f, n := protoField(m[at:])
		if n <= 0 || len(edits) > maxEdits {
			return nil, false
		}
		if f.number == fieldModelName && f.bytes != nil {
			with := string(appendProtoString(nil, fieldModelName, model))
			edits = append(edits, Edit{grpcHead + at, n, with})
			size += len(with) - n
		}
		at += n
	}
	if len(edits) == 0 { // proto3 leaves out what is empty
		with := string(appendProtoString(nil, fieldModelName, model))
		edits = append(edits, Edit{grpcHead, 0, with})
		size += len(with)
	}
	var head [grpcHead]byte
	binary.BigEndian.PutUint32(head[1:], uint32(size))
	return append([]Edit{{1, 4, string(head[1:])}}, edits...), true
}

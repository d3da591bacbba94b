package dialect

import (
	"bytes"
	"mime"
	"strings"
)

// maxParts bounds the parts of a form that are looked at. Audio requests have about ten.
const maxParts = 256

// multipartBoundary returns the boundary of a multipart form, "" for other content.
func multipartBoundary(contentType string) string {
	const want = "multipart/form-data"
	if len(contentType) < len(want) || !strings.EqualFold(contentType[:len(want)], want) {
		return ""
	}
	_, params, err := mime.ParseMediaType(contentType)
	if err != nil || len(params["boundary"]) > 70 { // RFC 2046's limit
		return ""
	}
	return params["boundary"]
}

// formEdits replaces the contents of a form's fields "model".
func formEdits(boundary string, body []byte, model string) (edits []Edit, ok bool) {
	if model == "" {
		return nil, true
	}
	if strings.ContainsAny(model, "\r\n") { // a name with a line break could end the part
		return nil, false
	}
	whole := eachPart(boundary, body, func(name string, v span) {
		if name == "model" {
			edits = append(edits, Edit{v.from, v.to - v.from, model})
		}
	})
	if !whole || len(edits) > maxEdits {
		return nil, false
	}
	return edits, true
}

func formModel(boundary string, body []byte) (model string) {
	eachPart(boundary, body, func(name string, v span) {
		if name == "model" && v.to-v.from <= 1024 {
			model = string(v.of(body))
		}
	})
	return model
}

// eachPart walks over the parts of a form (RFC 7578, RFC 2046 section 5.1.1) and says whether it found the
// closing delimiter.
func eachPart(boundary string, body []byte, yield func(name string, content span)) bool {
	delimiter := []byte("\r\n--" + boundary)
	at := len(delimiter) - 2
	if !bytes.HasPrefix(body, delimiter[2:]) {
		i := bytes.Index(body, delimiter) // behind a preamble, which means nothing
		if i < 0 {
			return false
		}
		at = i + len(delimiter)
	}
	for range maxParts {
		rest := body[at:]
		if bytes.HasPrefix(rest, []byte("--")) {
			return true
		}
		line := bytes.Index(rest, []byte("\r\n")) // the delimiter's line may be padded
		if line < 0 {
			return false
		}
		head := at + line
		n := bytes.Index(body[head:], []byte("\r\n\r\n"))
		end := -1
		if n >= 0 {
			// The content's own delimiter may begin with the line break that ends the headers.
			end = bytes.Index(body[head+n+2:], delimiter)
		}
		if end < 0 {
			return false
		}
		content := span{head + n + 4, head + n + 2 + end}
		if content.to >= content.from {
			yield(partName(body[head:head+n]), content)
		}
		at = head + n + 2 + end + len(delimiter)
	}
	return false
}

// partName returns the name that a part's headers give it.
func partName(head []byte) string {
	for len(head) > 0 {
		var line []byte
		line, head, _ = bytes.Cut(head, []byte("\r\n"))
		name, value, _ := bytes.Cut(line, []byte(":"))
		if !strings.EqualFold(strings.TrimSpace(string(name)), "Content-Disposition") || len(value) > 1024 {
			continue
		}
		if _, params, err := mime.ParseMediaType(strings.TrimSpace(string(value))); err == nil {
			return params["name"]
		}
	}
	return ""
}

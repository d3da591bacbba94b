package dialect

import (
	"encoding/hex"
	"strings"

	"github.com/zeebo/xxh3"
)

// Conversation returns a name for the conversation that a request belongs to, "" if none can be told: a hash
// of the instructions and of the first message of the user, which every later turn repeats. Only their text
// counts. Clients mark parts for the provider's cache, and write a lone text now as a string and now as a
// list of parts, from turn to turn; neither changes the name. A system prompt that holds the time does.
//
// A request of the Responses API that continues an earlier answer by its id does not repeat the beginning: it
// has the name of its conversation if it gives one, and otherwise none.
//
// The names of the providers' fields do not collide, so the dialect need not be known.
func Conversation(contentType string, body []byte) string {
	doc := cursor{doc: body}
	if isGRPC(contentType) || multipartBoundary(contentType) != "" || !doc.open('{') {
		return ""
	}
	h := talk{hash: xxh3.New()}
	var system, messages, input []byte
	for key, v, more := doc.member(); more; key, v, more = doc.member() {
		value := v.of(body)
		switch keyOf(key) {
		case "system", "instructions", "systemInstruction", "system_instruction":
			system = value
		case "messages", "contents":
			messages = value
		case "input", "prompt":
			input = value
		case "previous_response_id":
			if hasText(value) {
				h.continued = true
			}
		case "conversation":
			if id := value; hasText(id) || hasText(find(id, "id")) {
				if object(id) {
					id = find(id, "id")
				}
				h.named = bare(id)
			}
		}
	}
	switch {
	case len(h.named) > 0:
		h.add(h.named)
		return h.name()
	case h.continued:
		return ""
	}
	h.content(system)
	if messages == nil {
		messages = input
	}
	if hasText(messages) {
		h.add(bare(messages))
		return h.name()
	}
	if !h.firstUser(messages) {
		return ""
	}
	return h.name()
}

// talk hashes the beginning of a conversation.
type talk struct {
	hash      *xxh3.Hasher
	some      bool
	continued bool
	named     []byte
}

func (h *talk) add(text []byte) {
	_, _ = h.hash.Write(text) // never fails
	_, _ = h.hash.Write([]byte{0})
	h.some = true
}

// firstUser adds what stands before the user's first message, and that message; false if there is none with
// a text.
func (h *talk) firstUser(list []byte) bool {
	c := cursor{doc: list}
	if !c.open('[') {
		return false
	}
	for v, more := c.element(); more; v, more = c.element() {
		message := v.of(list)
		content := find(message, "content")
		if content == nil {
			content = find(message, "parts")
		}
		switch lend(bare(find(message, "role"))) {
		case "user", "": // Gemini lets it out
			h.some = false
			h.content(content)
			return h.some
		case "system", "developer":
			h.content(content)
		}
	}
	return false
}

// content adds the text of a string, of a list of parts, or of an object with either.
func (h *talk) content(v []byte) {
	c := cursor{doc: v}
	switch c.peek() {
	case '"':
		if hasText(v) {
			h.add(bare(v))
		}
	case '{':
		if t := find(v, "text"); hasText(t) {
			h.add(bare(t))
		} else if parts := find(v, "parts"); parts != nil && parts[0] == '[' {
			h.content(parts)
		}
	case '[':
		c.open('[')
		for e, more := c.element(); more; e, more = c.element() {
			if part := e.of(v); part[0] == '{' {
				if t := find(part, "text"); hasText(t) {
					h.add(bare(t))
				}
			} else if hasText(part) {
				h.add(bare(part))
			}
		}
	}
}

func (h *talk) name() string {
	sum := h.hash.Sum128().Bytes()
	return "conversation:" + hex.EncodeToString(sum[:])
}

// APIKey returns a name for the key with which a request asks, "" if it has none: a hash, so that the key
// itself is in no unit. Keys are where OpenAI, Azure, Anthropic and Google expect them. get returns a header's
// value, query a parameter's.
func APIKey(get, query func(name string) string) string {
	key := ""
	if scheme, token, ok := strings.Cut(get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		key = strings.TrimSpace(token)
	}
	for _, name := range [...]string{"X-Api-Key", "Api-Key", "X-Goog-Api-Key"} {
		if key == "" {
			key = strings.TrimSpace(get(name))
		}
	}
	if key == "" {
		key = query("key")
	}
	if key == "" {
		return ""
	}
	sum := xxh3.HashString128(key).Bytes()
	return "key:" + hex.EncodeToString(sum[:])
}

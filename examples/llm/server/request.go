package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strings"

	"sluice.dev/sluice/examples/llm"
	"sluice.dev/sluice/examples/web"
)

// Limits of a request.
const (
	maxBody    = 256 << 10
	maxContext = 256 // tokens of prompt and completion
	maxStops   = 4
	maxStop    = 64 // bytes of a stop
)

// request is the body of both endpoints. Pointers tell "absent" from zero; absent and null are the same.
type request struct {
	Model         string          `json:"model"`
	Prompt        json.RawMessage `json:"prompt"`   // completions
	Messages      []message       `json:"messages"` // chat
	MaxTokens     *int            `json:"max_tokens"`
	MaxCompletion *int            `json:"max_completion_tokens"` // chat
	Temperature   *float64        `json:"temperature"`
	N             *int            `json:"n"`
	Stop          json.RawMessage `json:"stop"`
	Stream        bool            `json:"stream"`
	StreamOptions *struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Seed     *int64 `json:"seed"`
	User     string `json:"user"`
	Echo     bool   `json:"echo"`     // completions
	Logprobs *int   `json:"logprobs"` // completions
}

type message struct {
	Role    string          `json:"role"`
	Content json.RawMessage `json:"content"` // a string, or a list of parts of the type text
	Name    string          `json:"name"`
}

// task is a sound request.
type task struct {
	prompt      string
	max         int
	temperature float64
	stops       []string
	stream      bool
	usage       bool // of a stream, in a chunk of its own
	seed        *int64
	echo        bool // the prompt is part of the text
	logprobs    bool // the probability of each token is told
}

func parse(body []byte, chat bool) (*task, *web.Problem) {
	var q request
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return nil, refusal(err)
	}
	if !bytes.HasPrefix(bytes.TrimSpace(body), []byte("{")) {
		return nil, web.Refusef(http.StatusBadRequest, "the body is not a JSON object")
	}
	if q.Model != "" && q.Model != llm.Name {
		return nil, web.Refusef(http.StatusNotFound, "the model %.64q does not exist, there is %s", q.Model, llm.Name)
	}
	t := &task{stream: q.Stream, usage: q.StreamOptions != nil && q.StreamOptions.IncludeUsage, seed: q.Seed}
	var p *web.Problem
	if t.prompt, p = q.text(chat); p != nil {
		return nil, p
	}
	if t.stops, p = texts(q.Stop, "stop"); p != nil {
		return nil, p
	}
	return t, q.fill(t, chat)
}

// refusal puts encoding/json's error into the client's words: its own names Go types.
func refusal(err error) *web.Problem {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return web.Refusef(http.StatusBadRequest, "%.64s: a %s is not wanted here", kind.Field, kind.Value)
	}
	return web.Refusef(http.StatusBadRequest, "%s", strings.TrimPrefix(err.Error(), "json: "))
}

// fill checks the numbers.
func (q *request) fill(t *task, chat bool) *web.Problem {
	t.max, t.temperature = 16, 1
	limit := q.MaxTokens
	if q.MaxCompletion != nil {
		if !chat || limit != nil {
			return web.Refusef(http.StatusBadRequest, "max_completion_tokens: chat only, and not beside max_tokens")
		}
		limit = q.MaxCompletion
	} else if chat {
		t.max = 64
	}
	if limit != nil {
		t.max = *limit
	}
	if p := q.probabilities(t, chat); p != nil {
		return p
	}
	if q.Temperature != nil {
		t.temperature = *q.Temperature
	}
	switch {
	case t.max < 0 || t.max == 0 && !t.echo || t.max > maxContext:
		return web.Refusef(http.StatusBadRequest, "max_tokens: want 1 to %d", maxContext)
	case t.temperature < 0 || t.temperature > 2 || math.IsNaN(t.temperature):
		return web.Refusef(http.StatusBadRequest, "temperature: want 0 to 2")
	case q.N != nil && *q.N != 1:
		return web.Refusef(http.StatusBadRequest, "n: only 1 is possible here")
	case len(t.stops) > maxStops:
		return web.Refusef(http.StatusBadRequest, "stop: at most %d", maxStops)
	case q.StreamOptions != nil && !q.Stream:
		return web.Refusef(http.StatusBadRequest, "stream_options: only with stream")
	}
	for _, s := range t.stops {
		if s == "" || len(s) > maxStop {
			return web.Refusef(http.StatusBadRequest, "stop: want texts of 1 to %d bytes", maxStop)
		}
	}
	return nil
}

// probabilities checks echo and logprobs.
func (q *request) probabilities(t *task, chat bool) *web.Problem {
	t.echo, t.logprobs = q.Echo, q.Logprobs != nil
	switch {
	case (t.echo || t.logprobs) && (chat || q.Stream):
		return web.Refusef(http.StatusBadRequest, "echo, logprobs: only of completions that are not streamed")
	case t.logprobs && (*q.Logprobs < 0 || *q.Logprobs > 1):
		return web.Refusef(http.StatusBadRequest, "logprobs: 0 or 1; the tokens that were not taken are not told")
	}
	return nil
}

// text is what is to be continued.
func (q *request) text(chat bool) (string, *web.Problem) {
	if !chat {
		if q.Messages != nil {
			return "", web.Refusef(http.StatusBadRequest, "messages: they belong to /v1/chat/completions")
		}
		list, p := texts(q.Prompt, "prompt")
		if p == nil && len(list) != 1 {
			p = web.Refusef(http.StatusBadRequest, "prompt: want a text, or a list of one")
		}
		if p != nil {
			return "", p
		}
		return list[0], nil
	}
	if q.Prompt != nil {
		return "", web.Refusef(http.StatusBadRequest, "prompt: it belongs to /v1/completions")
	}
	last, found := "", false
	for i, m := range q.Messages {
		switch m.Role {
		case "user", "system", "assistant", "developer":
		default:
			return "", web.Refusef(http.StatusBadRequest, "messages[%d].role: want user, system, developer or assistant", i)
		}
		content, p := contentText(m.Content)
		if p != nil {
			return "", p
		}
		if m.Role == "user" {
			last, found = content, true
		}
	}
	if !found {
		return "", web.Refusef(http.StatusBadRequest, "messages: want at least one of the user")
	}
	return last, nil
}

func contentText(raw json.RawMessage) (string, *web.Problem) {
	var text string
	if json.Unmarshal(raw, &text) == nil && string(raw) != "null" {
		return text, nil
	}
	var parts []struct {
		Type string  `json:"type"`
		Text *string `json:"text"`
	}
	if err := json.Unmarshal(raw, &parts); err != nil || parts == nil {
		return "", web.Refusef(http.StatusBadRequest, "messages: content: want a text or a list of parts")
	}
	for _, p := range parts {
		if p.Type != "text" || p.Text == nil {
			return "", web.Refusef(http.StatusBadRequest, "messages: content: only parts of the type text can be read")
		}
		text += *p.Text
	}
	return text, nil
}

// texts reads a text or a list of them; nothing and null are an empty list.
func texts(raw json.RawMessage, name string) ([]string, *web.Problem) {
	if raw == nil || string(raw) == "null" {
		return nil, nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		return []string{one}, nil
	}
	var many []*string
	if err := json.Unmarshal(raw, &many); err != nil {
		return nil, web.Refusef(http.StatusBadRequest, "%s: want a text or a list of texts", name)
	}
	var list []string
	for _, s := range many {
		if s == nil {
			return nil, web.Refusef(http.StatusBadRequest, "%s: null is no text", name)
		}
		list = append(list, *s)
	}
	return list, nil
}

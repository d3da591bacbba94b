package suite

import (
	"encoding/json"
	"fmt"
	"strings"

	"sluice.dev/sluice/internal/release"
)

// Paths of the dialects.
const (
	openAIChat       = "/v1/chat/completions"
	anthropicChat    = "/v1/messages"
	anthropicVersion = "2023-06-01"

	defaultMaxTokens = 256 // of anthropic, whose requests must say it
	maxTurns         = 200
)

// dialectPath is where the dialect's requests go without a path of their own.
func dialectPath(d release.Dialect) string {
	switch d {
	case release.DialectOpenAI:
		return openAIChat
	case release.DialectAnthropic:
		return anthropicChat
	}
	return "/"
}

// isCompletion tells OpenAI's older endpoint, which continues a text, from that of chats.
func isCompletion(path string) bool {
	path, _, _ = strings.Cut(path, "?")
	return strings.HasSuffix(path, "/completions") && !strings.HasSuffix(path, "/chat/completions")
}

// spoken makes the body of a request with a prompt or messages.
func (c *checker) spoken(at string, r *Request, path string, withData bool) *tree {
	d := c.suite.Spec.Target.Dialect
	if !speaksText(d) {
		c.fail(at, "add target: {dialect: openai}, or write the body yourself", "prompt and messages need a dialect that makes a body of them, openai or anthropic")
		return nil
	}
	g := c.suite.Spec.Target.Generation
	if r.Generation != nil {
		g = *r.Generation
		c.generation(at+".generation", g)
	}
	body := map[string]tree{}
	turns := c.turns(at, r, withData)
	text := func(place, s string) tree { t := c.template(place, s, withData); return tree{text: &t} }
	switch completion := d == release.DialectOpenAI && isCompletion(path); {
	case completion && (len(r.Messages) > 0 || r.System != ""):
		c.fail(at, "use prompt, or path: "+openAIChat, "%s continues a text and takes no messages", clean(path, 60))
	case completion:
		body["prompt"] = text(at+".prompt", r.Prompt)
	case d == release.DialectAnthropic:
		if r.System != "" {
			body["system"] = text(at+".system", r.System)
		}
		body["messages"] = tree{isArray: true, items: turns}
	default:
		if r.System != "" {
			turns = append([]tree{turn("system", text(at+".system", r.System))}, turns...)
		}
		body["messages"] = tree{isArray: true, items: turns}
	}
	if g.Echo && (d != release.DialectOpenAI || !isCompletion(path)) {
		c.fail(at, "use path: /v1/completions and dialect: openai", "only completions echo a prompt")
	}
	if g.Logprobs && d != release.DialectOpenAI {
		c.fail(at, "use dialect: openai", "the dialect %s tells no probabilities of tokens", d)
	}
	c.asked(body, g, path)
	return &tree{members: body}
}

// asked adds what is asked for beside the text.
func (c *checker) asked(body map[string]tree, g Generation, path string) {
	d := c.suite.Spec.Target.Dialect
	set := func(name string, v any) { body[name] = tree{other: v} }
	switch {
	case g.Echo:
		set("echo", true)
		set("max_tokens", json.Number("0"))
	case g.MaxTokens > 0:
		set("max_tokens", number10(g.MaxTokens))
	case d == release.DialectAnthropic:
		set("max_tokens", number10(defaultMaxTokens))
	}
	if g.Model != "" {
		literal := template{literals: []string{g.Model}}
		body["model"] = tree{text: &literal}
	}
	if g.Temperature != nil {
		set("temperature", *g.Temperature)
	}
	if g.Stream {
		set("stream", true)
		if d == release.DialectOpenAI {
			body["stream_options"] = tree{members: map[string]tree{"include_usage": {other: true}}}
		}
	}
	switch {
	case g.Logprobs && isCompletion(path), g.Echo:
		set("logprobs", json.Number("1"))
	case g.Logprobs:
		set("logprobs", true)
	}
	more, _ := g.More.(map[string]any) // checked by generation
	for name, v := range more {
		t, err := parseTree(v, true)
		if err != nil {
			continue // literal trees have no faults
		}
		body[name] = t
	}
}

func number10(n int) json.Number { return json.Number(fmt.Sprint(n)) }

func turn(role string, content tree) tree {
	r := template{literals: []string{role}}
	return tree{members: map[string]tree{"role": {text: &r}, "content": content}}
}

// turns are the messages of a request.
func (c *checker) turns(at string, r *Request, withData bool) (out []tree) {
	if r.Prompt != "" {
		t := c.template(at+".prompt", r.Prompt, withData)
		return []tree{turn("user", tree{text: &t})}
	}
	if len(r.Messages) > maxTurns {
		c.fail(at+".messages", "send fewer", "the conversation has %d messages, at most %d are sent", len(r.Messages), maxTurns)
	}
	for i, m := range r.Messages {
		place := fmt.Sprintf("%s.messages[%d]", at, i)
		if m.Role == "" {
			c.fail(place+".role", "write user, assistant or system", "the message has no role")
		}
		t := c.template(place+".content", m.Content, withData)
		out = append(out, turn(m.Role, tree{text: &t}))
	}
	return out
}

// generation checks what is asked for.
func (c *checker) generation(at string, g Generation) {
	if g == (Generation{}) {
		return
	}
	if !speaksText(c.suite.Spec.Target.Dialect) {
		c.fail(at, "add target: {dialect: openai}", "generation needs the dialect openai or anthropic")
	}
	if g.MaxTokens < 0 || g.MaxTokens > 1<<20 {
		c.fail(at+".maxTokens", "write a number of tokens", "%d is not between 1 and %d", g.MaxTokens, 1<<20)
	}
	if t := g.Temperature; t != nil && !(*t >= 0 && *t <= 2) {
		c.fail(at+".temperature", "write a number from 0 to 2", "%g is not", *t)
	}
	if g.Echo && (g.Stream || g.MaxTokens > 0) {
		c.fail(at+".echo", "remove stream and maxTokens", "echo asks for the prompt's own tokens and nothing beyond")
	}
	if _, ok := g.More.(map[string]any); g.More != nil && !ok {
		c.fail(at+".more", "write members, like top_p: 0.9", "it is no object")
	}
}

package server

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strings"

	"sluice.dev/sluice/examples/llm/slm"
	"sluice.dev/sluice/examples/web"
)

// usage counts tokens.
type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

// Reasons why a text ends.
const (
	finishStop   = "stop"
	finishLength = "length"
)

// tokens encodes a task's prompt and says whether there is room for the completion.
func (s *Server) tokens(t *task) ([]int, *web.Problem) {
	ids := append([]int{slm.Begin}, s.tokenizer.Encode(t.prompt)...)
	if n := len(ids) + t.max; n > maxContext {
		return nil, web.Refusef(http.StatusBadRequest, "context_length_exceeded: prompt and max_tokens are %d tokens, at most %d fit", n, maxContext)
	}
	return ids, nil
}

// told is the natural logarithm of a token's probability, if the task asks for it.
func told(t *task, state *slm.State, id int) float64 {
	if !t.logprobs {
		return 0
	}
	return slm.LogP(state.Logits(), id)
}

// generate makes a text and gives it to emit in parts, each with the logarithm of its token's probability if that is asked
// for. It returns early when ctx ends or emit says false.
func (s *Server) generate(ctx context.Context, t *task, ids []int, emit func(text string, logP float64) bool) (usage, string) {
	state := s.model.Start(len(ids) + t.max)
	for i, id := range ids {
		if t.echo && i > 0 { // the first token is the beginning's mark, which has no text
			if text := s.tokenizer.Text(id); !emit(text, told(t, state, id)) {
				return usage{}, finishStop
			}
		}
		state.Add(id)
	}
	rng := rand.New(rand.NewPCG(rand.Uint64(), 1))
	if t.seed != nil {
		rng = rand.New(rand.NewPCG(uint64(*t.seed), 1))
	}
	u := usage{Prompt: len(ids)}
	finish := finishLength
	out := clipper{stops: t.stops}
	for u.Completion < t.max && ctx.Err() == nil {
		id := slm.Sample(state.Logits(), t.temperature, rng)
		u.Completion++
		if id == slm.End {
			finish = finishStop
			break
		}
		logP := told(t, state, id)
		text, stopped := out.add(s.tokenizer.Text(id))
		if text != "" && !emit(text, logP) {
			break
		}
		if stopped {
			finish = finishStop
			break
		}
		if u.Completion < t.max {
			state.Add(id)
		}
	}
	if rest := out.rest(); rest != "" {
		emit(rest, 0)
	}
	u.Total = u.Prompt + u.Completion
	return u, finish
}

// clipper ends a text before the first stop in it. It holds back what could be the beginning of one.
type clipper struct {
	stops []string
	held  string
}

// add returns the text that can be shown, and whether a stop was found.
func (c *clipper) add(text string) (show string, stopped bool) {
	c.held += text
	at := -1
	for _, s := range c.stops {
		if i := strings.Index(c.held, s); i >= 0 && (at < 0 || i < at) {
			at = i
		}
	}
	if at >= 0 {
		show, c.held = c.held[:at], ""
		return show, true
	}
	keep := 0
	for _, s := range c.stops {
		for n := min(len(s)-1, len(c.held)); n > keep; n-- {
			if strings.HasSuffix(c.held, s[:n]) {
				keep = n
			}
		}
	}
	show, c.held = c.held[:len(c.held)-keep], c.held[len(c.held)-keep:]
	return show, false
}

// rest returns what was held back, once the text is over.
func (c *clipper) rest() string {
	rest := c.held
	c.held = ""
	return rest
}

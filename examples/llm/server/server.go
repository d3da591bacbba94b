package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"sluice.dev/sluice/examples/llm"
	"sluice.dev/sluice/examples/llm/slm"
	"sluice.dev/sluice/examples/web"
)

// Server is the http.Handler of one version. It is safe for concurrent use.
type Server struct {
	version   string
	model     *slm.Model
	tokenizer *slm.Tokenizer
	delay     *web.Delay
	slots     chan struct{} // one per text in the making
	begun     time.Time
	last      atomic.Int64 // number of the last answer
}

// New returns the handler of an embedded version.
func New(f web.Flags) (*Server, error) {
	m, t, err := llm.Load(f.Version)
	if err != nil {
		return nil, err
	}
	delay, err := web.NewDelay(f.Delay, f.Seed)
	if err != nil {
		return nil, err
	}
	return &Server{
		version: f.Version, model: m, tokenizer: t, delay: delay, slots: make(chan struct{}, runtime.GOMAXPROCS(0)), begun: time.Now(),
	}, nil
}

// ServeHTTP routes a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/v1/completions":
		s.complete(w, r, false)
	case "/v1/chat/completions":
		s.complete(w, r, true)
	case "/v1/models":
		if allow(w, r, http.MethodGet) {
			web.Answer(w, map[string]any{"object": "list", "data": []any{map[string]any{
				"id": llm.Name, "object": "model", "created": s.begun.Unix(), "owned_by": "sluice examples",
			}}})
		}
	case "/healthz":
		web.Health(w, r, s.version)
	default:
		refuse(w, web.Refusef(http.StatusNotFound, "there are POST /v1/completions, POST /v1/chat/completions and GET /v1/models"))
	}
}

func allow(w http.ResponseWriter, r *http.Request, method string) bool {
	if r.Method == method {
		return true
	}
	w.Header().Set("Allow", method)
	refuse(w, web.Refusef(http.StatusMethodNotAllowed, "method %.20q is not allowed here, only %s", r.Method, method))
	return false
}

// refuse writes a refusal as OpenAI does. param and code are null where nothing is known.
func refuse(w http.ResponseWriter, p *web.Problem) {
	e := map[string]any{"message": p.Detail, "type": "invalid_request_error", "param": nil, "code": nil}
	switch {
	case p.Status == http.StatusServiceUnavailable:
		e["type"] = "server_error"
	case p.Status == http.StatusNotFound && strings.HasPrefix(p.Detail, "the model"):
		e["code"] = "model_not_found"
	case strings.HasPrefix(p.Detail, "context_length_exceeded"):
		e["code"] = "context_length_exceeded"
	}
	body, err := json.Marshal(map[string]any{"error": e})
	if err != nil {
		panic(err) // texts always have a JSON form
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // an error means that the client is gone
}

func (s *Server) complete(w http.ResponseWriter, r *http.Request, chat bool) {
	if !allow(w, r, http.MethodPost) {
		return
	}
	body, p := web.Body(w, r, "application/json", maxBody)
	if p != nil {
		refuse(w, p)
		return
	}
	t, p := parse(body, chat)
	if p != nil {
		refuse(w, p)
		return
	}
	ids, p := s.tokens(t)
	if p != nil {
		refuse(w, p)
		return
	}
	ok := s.delay.Wait(r.Context())
	if ok {
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		case <-r.Context().Done():
			ok = false
		}
	}
	if !ok {
		refuse(w, web.Refusef(http.StatusServiceUnavailable, "the request was cancelled"))
		return
	}
	c := s.newFrame(chat)
	if t.stream {
		s.stream(w, r, t, ids, c)
		return
	}
	var text strings.Builder
	var list tokens
	u, finish := s.generate(r.Context(), t, ids, func(part string, logP float64) bool {
		list.add(part, logP, text.Len())
		text.WriteString(part)
		return true
	})
	web.Answer(w, c.whole(text.String(), finish, u, list.of(t)))
}

// stream writes server-sent events.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, t *task, ids []int, c *frame) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache")
	out := http.NewResponseController(w)
	send := func(v any) bool {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", b); err != nil {
			return false
		}
		return out.Flush() == nil
	}
	if c.chat && !send(c.chunk(map[string]any{"role": "assistant", "content": ""}, nil)) {
		return
	}
	gone := false
	u, finish := s.generate(r.Context(), t, ids, func(part string, _ float64) bool {
		var v any = part
		if c.chat {
			v = map[string]any{"content": part}
		}
		gone = !send(c.chunk(v, nil))
		return !gone
	})
	if gone || r.Context().Err() != nil {
		return // the connection is over; a [DONE] would call the text whole
	}
	var last any = ""
	if c.chat {
		last = map[string]any{}
	}
	if !send(c.chunk(last, finish)) || t.usage && !send(c.usage(u)) {
		return
	}
	_, _ = fmt.Fprint(w, "data: [DONE]\n\n")
}

package clients

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// provider answers as a script says that the last user message names: "hello", "tool", "bad", "busy:X", "down:X", "cut", "slow:X",
// "fail". X is any word that counts apart.
type provider struct {
	mu   sync.Mutex
	seen map[string]*sight
}

// sight is what was seen of one word.
type sight struct {
	Requests  int    `json:"requests"`
	Cancelled bool   `json:"cancelled"`
	Keys      string `json:"keys"` // of retried requests, joined
}

func newProvider() *httptest.Server {
	p := &provider{seen: map[string]*sight{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /seen", p.tell)
	mux.HandleFunc("POST /v1/chat/completions", p.chat)
	mux.HandleFunc("POST /v1/responses", p.responses)
	mux.HandleFunc("POST /v1/embeddings", p.embeddings)
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 200, `{"object":"list","data":[{"id":"scripted-1","object":"model","created":1750000000,"owned_by":"tests"}]}`)
	})
	mux.HandleFunc("POST /v1/messages", p.messages)
	mux.HandleFunc("POST /v1/messages/count_tokens", func(w http.ResponseWriter, r *http.Request) {
		if p.body(w, r, "claude-scripted-1") != nil {
			writeJSON(w, 200, `{"input_tokens":14}`)
		}
	})
	mux.HandleFunc("POST /v1beta/models/{call}", p.gemini)
	mux.HandleFunc("POST /v2/models/{model}/infer", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, 200, fmt.Sprintf(`{"model_name":%q,"outputs":[{"name":"score","datatype":"FP32","shape":[1],"data":[0.5]}]}`, r.PathValue("model")))
	})
	return httptest.NewServer(mux)
}

func (p *provider) tell(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.seen[r.URL.Query().Get("word")]
	if s == nil {
		s = &sight{}
	}
	_ = json.NewEncoder(w).Encode(s)
}

func writeJSON(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Request-Id", "req_scripted")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

// request is what the script needs of a body.
type request struct {
	Model   string `json:"model"`
	Stream  bool   `json:"stream"`
	Options *struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Messages []struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	} `json:"messages"`
	Input json.RawMessage `json:"input"`
	Tools []any           `json:"tools"`
	word  string
}

// body reads a request and checks that the gateway made it ask for the version's own model.
func (p *provider) body(w http.ResponseWriter, r *http.Request, model string) *request {
	data, err := io.ReadAll(r.Body)
	var q request
	if err == nil {
		err = json.Unmarshal(data, &q)
	}
	if err != nil || q.Model != model {
		writeJSON(w, 400, fmt.Sprintf(`{"error":{"message":"the provider was asked for %s (%v)","type":"invalid_request_error"}}`, q.Model, err))
		return nil
	}
	last := q.Input
	for _, m := range q.Messages {
		if m.Role == "user" {
			last = m.Content
		}
	}
	q.word = wordOf(last)
	return &q
}

// wordOf finds the script's word in a content, whatever its form.
func wordOf(content json.RawMessage) string {
	var text string
	if json.Unmarshal(content, &text) == nil {
		return text
	}
	var parts []struct {
		Text    string          `json:"text"`
		Content json.RawMessage `json:"content"`
	}
	if json.Unmarshal(content, &parts) == nil && len(parts) > 0 {
		if last := parts[len(parts)-1]; last.Text != "" {
			return last.Text
		} else if last.Content != nil {
			return wordOf(last.Content)
		}
	}
	return ""
}

func (p *provider) met(word, key string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.seen[word]
	if s == nil {
		s = &sight{}
		p.seen[word] = s
	}
	s.Requests++
	s.Keys += key + ";"
	return s.Requests
}

// refuses answers for the words that refuse, in the error form given.
func (p *provider) refuses(w http.ResponseWriter, r *http.Request, word, form string) bool {
	name, _, _ := strings.Cut(word, ":")
	n := p.met(word, r.Header.Get("X-Stainless-Retry-Count"))
	switch {
	case name == "bad":
		writeJSON(w, 400, fmt.Sprintf(form, "invalid_request_error", "bad is not a request"))
	case name == "busy" && n <= 2:
		w.Header().Set("Retry-After-Ms", "20")
		writeJSON(w, 429, fmt.Sprintf(form, "rate_limit_error", "slow down"))
	case name == "down" && n <= 1:
		writeJSON(w, 503, fmt.Sprintf(form, "server_error", "no capacity"))
	default:
		return false
	}
	return true
}

// slow sends a piece every few milliseconds until the client is gone.
func (p *provider) slow(w http.ResponseWriter, r *http.Request, word, piece string) {
	for {
		select {
		case <-r.Context().Done():
			p.mu.Lock()
			p.seen[word].Cancelled = true
			p.mu.Unlock()
			return
		case <-time.After(5 * time.Millisecond):
			_, _ = io.WriteString(w, piece)
			_ = http.NewResponseController(w).Flush()
		}
	}
}

func send(w http.ResponseWriter, events ...string) {
	for _, e := range events {
		_, _ = io.WriteString(w, e+"\n\n")
		_ = http.NewResponseController(w).Flush()
	}
}

const (
	errorForm     = `{"error":{"type":%q,"message":%q,"param":null,"code":null}}`
	anthropicForm = `{"type":"error","error":{"type":%q,"message":%q}}`
)

func chunk(delta, finish string) string {
	return `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1750000000,"model":"scripted-1","choices":[{"index":0,"delta":` + delta + `,"finish_reason":` + finish + `}],"usage":null}`
}

const usage = `{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12,"prompt_tokens_details":{"cached_tokens":4},"completion_tokens_details":{"reasoning_tokens":0}}`

func (p *provider) chat(w http.ResponseWriter, r *http.Request) {
	q := p.body(w, r, "scripted-1")
	if q == nil || p.refuses(w, r, q.word, errorForm) {
		return
	}
	if !q.Stream {
		message := `{"role":"assistant","content":"Hello there!","refusal":null}`
		finish := "stop"
		if len(q.Tools) > 0 {
			message = `{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"weather","arguments":"{\"city\":\"Ulm\"}"}}]}`
			finish = "tool_calls"
		}
		writeJSON(w, 200, `{"id":"chatcmpl-1","object":"chat.completion","created":1750000000,"model":"scripted-1","choices":[{"index":0,"message":`+message+`,"finish_reason":"`+finish+`"}],"usage":`+usage+`}`)
		return
	}
	if q.Options == nil || !q.Options.IncludeUsage {
		writeJSON(w, 500, fmt.Sprintf(errorForm, "server_error", "the gateway did not ask for the usage"))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	send(w, ": hi", chunk(`{"role":"assistant","content":""}`, "null"))
	switch name, _, _ := strings.Cut(q.word, ":"); name {
	case "fail":
		send(w, `data: {"error":{"message":"CUDA out of memory","type":"server_error","code":500}}`)
		return
	case "slow":
		p.slow(w, r, q.word, chunk(`{"content":"and "}`, "null")+"\n\n")
		return
	case "cut":
		send(w, chunk(`{"content":"Hel"}`, "null"))
		return
	}
	if len(q.Tools) > 0 {
		send(w, chunk(`{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"weather","arguments":""}}]}`, "null"),
			chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]}`, "null"), chunk(`{"tool_calls":[{"index":0,"function":{"arguments":"\"Ulm\"}"}}]}`, "null"),
			chunk(`{}`, `"tool_calls"`))
	} else {
		send(w, chunk(`{"content":"Hello"}`, "null"), chunk(`{"content":" there!"}`, "null"), chunk(`{}`, `"stop"`))
	}
	send(w, `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1750000000,"model":"scripted-1","choices":[],"usage":`+usage+`}`, "data: [DONE]")
}

func (p *provider) responses(w http.ResponseWriter, r *http.Request) {
	q := p.body(w, r, "scripted-1")
	if q == nil || p.refuses(w, r, q.word, errorForm) {
		return
	}
	const used = `{"input_tokens":9,"input_tokens_details":{"cached_tokens":0},"output_tokens":3,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":12}`
	response := func(status, output, usage string) string {
		return `{"id":"resp_1","object":"response","created_at":1750000000,"status":"` + status + `","model":"scripted-1","output":[` + output + `],"usage":` + usage +
			`,"error":null,"incomplete_details":null,"instructions":null,"metadata":{},"parallel_tool_calls":true,"temperature":1,"tool_choice":"auto","tools":[],"top_p":1}`
	}
	item := func(text string) string {
		return `{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"` + text + `","annotations":[]}]}`
	}
	if !q.Stream {
		writeJSON(w, 200, response("completed", item("Hello there!"), used))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	n := 0
	event := func(kind, fields string) {
		send(w, fmt.Sprintf("event: %s\ndata: {\"type\":%q,\"sequence_number\":%d,%s}", kind, kind, n, fields))
		n++
	}
	event("response.created", `"response":`+response("in_progress", "", "null"))
	event("response.output_item.added", `"output_index":0,"item":{"id":"msg_1","type":"message","status":"in_progress","role":"assistant","content":[]}`)
	event("response.content_part.added", `"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}`)
	event("response.output_text.delta", `"item_id":"msg_1","output_index":0,"content_index":0,"delta":"Hello","logprobs":[]`)
	if q.word == "cut" {
		return
	}
	event("response.output_text.delta", `"item_id":"msg_1","output_index":0,"content_index":0,"delta":" there!","logprobs":[]`)
	event("response.output_text.done", `"item_id":"msg_1","output_index":0,"content_index":0,"text":"Hello there!","logprobs":[]`)
	event("response.output_item.done", `"output_index":0,"item":`+item("Hello there!"))
	event("response.completed", `"response":`+response("completed", item("Hello there!"), used))
}

func (p *provider) embeddings(w http.ResponseWriter, r *http.Request) {
	if p.body(w, r, "scripted-1") != nil {
		writeJSON(w, 200, `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-0.25]}],"model":"scripted-1","usage":{"prompt_tokens":2,"total_tokens":2}}`)
	}
}

func (p *provider) messages(w http.ResponseWriter, r *http.Request) {
	q := p.body(w, r, "claude-scripted-1")
	if q == nil || p.refuses(w, r, q.word, anthropicForm) {
		return
	}
	if r.Header.Get("Anthropic-Version") == "" {
		writeJSON(w, 400, fmt.Sprintf(anthropicForm, "invalid_request_error", "anthropic-version is missing"))
		return
	}
	const used = `{"input_tokens":9,"cache_read_input_tokens":4,"cache_creation_input_tokens":0,"output_tokens":3}`
	if !q.Stream {
		content, reason := `{"type":"text","text":"Hello there!"}`, "end_turn"
		if len(q.Tools) > 0 {
			content, reason = `{"type":"tool_use","id":"toolu_1","name":"weather","input":{"city":"Ulm"}}`, "tool_use"
		}
		writeJSON(w, 200, `{"id":"msg_1","type":"message","role":"assistant","model":"claude-scripted-1","content":[`+content+`],"stop_reason":"`+reason+`","stop_sequence":null,"usage":`+used+`}`)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	event := func(kind, fields string) {
		if fields != "" {
			fields = "," + fields
		}
		send(w, fmt.Sprintf("event: %s\ndata: {\"type\":%q%s}", kind, kind, fields))
	}
	name, _, _ := strings.Cut(q.word, ":")
	if name == "fail" {
		event("error", `"error":{"type":"overloaded_error","message":"Overloaded"}`)
		return
	}
	event("message_start", `"message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-scripted-1","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":9,"cache_read_input_tokens":4,"output_tokens":1}}`)
	event("ping", "")
	reason := "end_turn"
	if len(q.Tools) > 0 {
		reason = "tool_use"
		event("content_block_start", `"index":0,"content_block":{"type":"tool_use","id":"toolu_1","name":"weather","input":{}}`)
		event("content_block_delta", `"index":0,"delta":{"type":"input_json_delta","partial_json":"{\"city\":"}`)
		event("content_block_delta", `"index":0,"delta":{"type":"input_json_delta","partial_json":"\"Ulm\"}"}`)
	} else {
		event("content_block_start", `"index":0,"content_block":{"type":"text","text":""}`)
		event("content_block_delta", `"index":0,"delta":{"type":"text_delta","text":"Hello"}`)
		switch name {
		case "cut":
			return
		case "slow":
			p.slow(w, r, q.word, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\" and\"}}\n\n")
			return
		}
		event("content_block_delta", `"index":0,"delta":{"type":"text_delta","text":" there!"}`)
	}
	event("content_block_stop", `"index":0`)
	event("message_delta", `"delta":{"stop_reason":"`+reason+`","stop_sequence":null},"usage":{"output_tokens":3}`)
	event("message_stop", "")
}

func (p *provider) gemini(w http.ResponseWriter, r *http.Request) {
	model, verb, _ := strings.Cut(r.PathValue("call"), ":")
	if model != "gemini-scripted-1" {
		writeJSON(w, 404, `{"error":{"code":404,"message":"the provider was asked for `+model+`","status":"NOT_FOUND"}}`)
		return
	}
	part := func(text, finish string) string {
		if finish != "" {
			finish = `,"finishReason":"` + finish + `"`
		}
		return `{"candidates":[{"content":{"role":"model","parts":[{"text":"` + text + `"}]},"index":0` + finish + `}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":3,"totalTokenCount":12},"modelVersion":"gemini-scripted-1"}`
	}
	if verb == "generateContent" {
		writeJSON(w, 200, part("Hello there!", "STOP"))
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	send(w, "data: "+part("Hello", ""), "data: "+part(" there!", "STOP"))
}

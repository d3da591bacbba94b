package server_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"sluice.dev/sluice/examples/llm/server"
	"sluice.dev/sluice/examples/web"
)

var v2 = sync.OnceValues(func() (*server.Server, error) { return server.New(web.Flags{Version: "v2"}) })

func post(t *testing.T, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	s, err := v2()
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// answer is what the tests read of answers and chunks.
type answer struct {
	Object  string
	Model   string
	Choices []struct {
		Text    string
		Message struct{ Content string }
		Delta   struct{ Content string }
		Finish  *string `json:"finish_reason"`
	}
	Usage *struct {
		Prompt     int `json:"prompt_tokens"`
		Completion int `json:"completion_tokens"`
		Total      int `json:"total_tokens"`
	}
	Error struct{ Message, Code string }
}

func read(t *testing.T, text string) answer {
	t.Helper()
	var a answer
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return a
}

func TestCompletion(t *testing.T) {
	w := post(t, "/v1/completions", `{"prompt": "rename: assign a", "max_tokens": 6, "temperature": 0}`)
	a := read(t, w.Body.String())
	if w.Code != http.StatusOK || a.Object != "text_completion" || a.Model != "wordnet-lm" || len(a.Choices) != 1 || a.Choices[0].Text == "" {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if a.Usage.Completion < 1 || a.Usage.Completion > 6 || a.Usage.Total != a.Usage.Prompt+a.Usage.Completion {
		t.Errorf("usage %+v", *a.Usage)
	}
	// The first half of a text ends where a stop begins, and does not hold it.
	whole := a.Choices[0].Text
	stop := whole[len(whole)/2:]
	body, err := json.Marshal(map[string]any{"prompt": "rename: assign a", "max_tokens": 6, "temperature": 0, "stop": stop})
	if err != nil {
		t.Fatal(err)
	}
	b := read(t, post(t, "/v1/completions", string(body)).Body.String())
	if want, _, _ := strings.Cut(whole, stop); b.Choices[0].Text != want || *b.Choices[0].Finish != "stop" {
		t.Errorf("stop %q: %q ends by %s; want %q", stop, b.Choices[0].Text, *b.Choices[0].Finish, want)
	}
}

// TestStreams says that the chunks of a stream are the text of the whole answer.
func TestStreams(t *testing.T) {
	for _, path := range []string{"/v1/completions", "/v1/chat/completions"} {
		input := `"prompt": "rename:"`
		if strings.Contains(path, "chat") {
			input = `"messages": [{"role": "system", "content": "Explain."}, {"role": "user", "content": [{"type": "text", "text": "rename:"}]}]`
		}
		input += `, "max_tokens": 20, "seed": 7, "temperature": 0.8`
		whole := read(t, post(t, path, "{"+input+"}").Body.String())
		want := whole.Choices[0].Text + whole.Choices[0].Message.Content
		w := post(t, path, "{"+input+`, "stream": true, "stream_options": {"include_usage": true}}`)
		if w.Header().Get("Content-Type") != "text/event-stream" {
			t.Errorf("%s: Content-Type %q", path, w.Header().Get("Content-Type"))
		}
		body, done := strings.CutSuffix(w.Body.String(), "data: [DONE]\n\n")
		if !done {
			t.Errorf("%s: no [DONE]", path)
		}
		got, finish, total := "", "", 0
		for event := range strings.SplitSeq(strings.TrimSpace(body), "\n\n") {
			a := read(t, strings.TrimPrefix(event, "data: "))
			for _, c := range a.Choices {
				got += c.Text + c.Delta.Content
				if c.Finish != nil {
					finish = *c.Finish
				}
			}
			if a.Usage != nil {
				total = a.Usage.Total
			}
		}
		if got != want || want == "" || finish != *whole.Choices[0].Finish || total != whole.Usage.Total {
			t.Errorf("%s: stream %q (%s, %d tokens), whole %q (%s, %d)", path, got, finish, total, want, *whole.Choices[0].Finish, whole.Usage.Total)
		}
	}
}

func TestRefusals(t *testing.T) {
	const completions, chat = "/v1/completions", "/v1/chat/completions"
	for _, c := range []struct {
		name, path, body string
		code             int
		says             string
	}{
		{"empty", completions, "", 400, "not JSON"},
		{"null", completions, "null", 400, "not a JSON object"},
		{"no prompt", completions, "{}", 400, "prompt"},
		{"null prompt", completions, `{"prompt": null}`, 400, "prompt"},
		{"null in a list", completions, `{"prompt": [null]}`, 400, "prompt"},
		{"two prompts", completions, `{"prompt": ["a", "b"]}`, 400, "list of one"},
		{"number", completions, `{"prompt": 3}`, 400, "prompt"},
		{"unknown", completions, `{"prompt": "a", "top_p": 1}`, 400, "top_p"},
		{"type", completions, `{"prompt": "a", "max_tokens": "9"}`, 400, "max_tokens"},
		{"max_tokens", completions, `{"prompt": "a", "max_tokens": 0}`, 400, "max_tokens"},
		{"temperature", completions, `{"prompt": "a", "temperature": 2.1}`, 400, "temperature"},
		{"n", completions, `{"prompt": "a", "n": 2}`, 400, "n: only 1"},
		{"stop", completions, `{"prompt": "a", "stop": ""}`, 400, "stop"},
		{"stops", completions, `{"prompt": "a", "stop": ["a","b","c","d","e"]}`, 400, "stop"},
		{"options", completions, `{"prompt": "a", "stream_options": {"include_usage": true}}`, 400, "stream_options"},
		{"model", completions, `{"prompt": "a", "model": "gpt"}`, 404, "does not exist"},
		{"messages", completions, `{"messages": []}`, 400, "messages"},
		{"long", completions, `{"prompt": "` + strings.Repeat("rename ", 200) + `"}`, 400, "context_length_exceeded"},
		{"huge", completions, `{"prompt": "` + strings.Repeat("a", 300<<10) + `"}`, 413, "longer"},
		{"no messages", chat, "{}", 400, "at least one"},
		{"role", chat, `{"messages": [{"role": "tool", "content": "a"}]}`, 400, "role"},
		{"content", chat, `{"messages": [{"role": "user", "content": 3}]}`, 400, "content"},
		{"image", chat, `{"messages": [{"role": "user", "content": [{"type": "image_url", "text": "a"}]}]}`, 400, "content"},
		{"null content", chat, `{"messages": [{"role": "user", "content": null}]}`, 400, "content"},
		{"prompt", chat, `{"prompt": "a"}`, 400, "prompt"},
		{"path", "/v1/embeddings", "{}", 404, "there are"},
	} {
		w := post(t, c.path, c.body)
		if a := read(t, w.Body.String()); w.Code != c.code || !strings.Contains(a.Error.Message, c.says) {
			t.Errorf("%s: %d %s; want %d and %q", c.name, w.Code, w.Body, c.code, c.says)
		}
	}
}

// TestEchoTellsTheProbabilityOfAText: the prompt's own tokens, each given those before it, and no others.
func TestEchoTellsTheProbabilityOfAText(t *testing.T) {
	w := post(t, "/v1/completions", `{"prompt": "rename: assign a new name to", "max_tokens": 0, "echo": true, "logprobs": 1}`)
	var a struct {
		Choices []struct {
			Text     string
			Logprobs struct {
				Tokens        []string
				TokenLogprobs []float64 `json:"token_logprobs"`
				TextOffset    []int     `json:"text_offset"`
			}
		}
		Usage struct {
			Completion int `json:"completion_tokens"`
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil || len(a.Choices) != 1 {
		t.Fatalf("%s: %v", w.Body, err)
	}
	c := a.Choices[0]
	if c.Text != "rename: assign a new name to" || strings.Join(c.Logprobs.Tokens, "") != c.Text || a.Usage.Completion != 0 {
		t.Errorf("%s", w.Body)
	}
	for i, l := range c.Logprobs.TokenLogprobs {
		if l >= 0 || !strings.HasPrefix(c.Text[c.Logprobs.TextOffset[i]:], c.Logprobs.Tokens[i]) {
			t.Errorf("token %d: %g at %d of %q", i, l, c.Logprobs.TextOffset[i], c.Text)
		}
	}
	for _, body := range []string{
		`{"prompt": "a", "max_tokens": 0}`, `{"prompt": "a", "echo": true, "max_tokens": -1}`, `{"prompt": "a", "logprobs": 9}`,
		`{"prompt": "a", "logprobs": 1, "stream": true}`,
	} {
		if w := post(t, "/v1/completions", body); w.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", body, w.Code)
		}
	}
	if w := post(t, "/v1/chat/completions", `{"messages": [{"role": "user", "content": "a"}], "echo": true}`); w.Code != http.StatusBadRequest {
		t.Errorf("chat echoes: %d", w.Code)
	}
}

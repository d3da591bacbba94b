package dialect

import (
	"encoding/json"
	"strings"
	"testing"

	"sluice.dev/sluice/internal/release"
)

func conversation(body string) string { return Conversation("application/json", []byte(body)) }

// 3.11: a conversation keeps its name over its turns, however clients dress its beginning, and two that
// begin otherwise have two names.
func TestWire3_11_Conversation(t *testing.T) {
	for _, c := range []struct {
		name  string
		turns []string // all of one conversation
		other []string // each of another
	}{
		{
			"chat",
			[]string{
				`{"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"Hi"}]}`,
				`{"model":"m","messages":[{"content":"Be kind.","role":"developer"},{"role":"user","content":[{"type":"text","text":"Hi"}]},{"role":"assistant","content":"Hello"},{"role":"user","content":"Bye"}],"stream":true}`,
			},
			[]string{
				`{"messages":[{"role":"system","content":"Be cruel."},{"role":"user","content":"Hi"}]}`,
				`{"messages":[{"role":"user","content":"Hi"}]}`,
				`{"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"Ho"}]}`,
				`{"messages":[{"role":"user","content":[{"type":"text","text":"Be kind."},{"type":"text","text":"Ho"}]}]}`,
			},
		},
		{
			"messages",
			[]string{
				`{"system":"Be kind.","messages":[{"role":"user","content":"Hi"}]}`,
				`{"system":[{"type":"text","text":"Be kind.","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":[{"type":"text","text":"Hi","cache_control":{"type":"ephemeral"}}]}]}`,
				`{"messages":[{"role":"user","content":[{"type":"text","text":"Hi"}]},{"role":"assistant","content":"x"},{"role":"user","content":"y"}],"system":"Be kind."}`,
			},
			[]string{`{"messages":[{"role":"user","content":"Hi"}]}`},
		},
		{
			"generate",
			[]string{
				`{"systemInstruction":{"parts":[{"text":"Be kind."}]},"contents":[{"role":"user","parts":[{"text":"Hi"}]}]}`,
				`{"contents":[{"parts":[{"text":"Hi"}]},{"role":"model","parts":[{"text":"Ho"}]}],"system_instruction":{"parts":[{"text":"Be kind."}]}}`,
			},
			[]string{`{"contents":[{"parts":[{"text":"Hi"}]}]}`},
		},
		{
			"responses",
			[]string{
				`{"instructions":"Be kind.","input":"Hi"}`,
				`{"instructions":"Be kind.","input":[{"role":"user","content":[{"type":"input_text","text":"Hi"}]},{"role":"assistant","content":"x"}]}`,
			},
			[]string{`{"input":"Hi"}`},
		},
		{
			"by its id",
			[]string{`{"conversation":"conv_1","input":"Hi"}`, `{"conversation":{"id":"conv_1"},"input":"something else"}`},
			[]string{`{"conversation":"conv_2","input":"Hi"}`},
		},
		{"completion", []string{`{"prompt":"Hi"}`, `{"prompt":"Hi","n":2}`}, []string{`{"prompt":"Ho"}`}},
	} {
		first := conversation(c.turns[0])
		if first == "" || strings.Contains(first, "Hi") {
			t.Errorf("%s: the name is %q", c.name, first)
		}
		for _, turn := range c.turns[1:] {
			if got := conversation(turn); got != first {
				t.Errorf("%s: %s has another name than %s", c.name, turn, c.turns[0])
			}
		}
		for _, o := range c.other {
			if got := conversation(o); got == first || got == "" {
				t.Errorf("%s: %s is named %q, as %s", c.name, o, got, c.turns[0])
			}
		}
	}
	for _, none := range []string{
		``, `{}`, `[]`, `{"messages":[]}`, `{"messages":[{"role":"assistant","content":"x"}]}`, `{"messages":[{"role":"user","content":[{"type":"image_url"}]}]}`,
		`{"previous_response_id":"resp_1","input":"and then?"}`, `{"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":""}]}`,
	} {
		if got := conversation(none); got != "" {
			t.Errorf("%s is the conversation %q", none, got)
		}
	}
	long := `{"messages":[{"role":"user","content":"` + strings.Repeat("x", 4<<20) + `"}]}`
	if got := conversation(long); len(got) > 64 {
		t.Errorf("a name of %d bytes", len(got))
	}
}

// 3.11: the key with which a request asks stands for who asks, and is not told.
func TestWire3_11_APIKey(t *testing.T) {
	headers := func(kv ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(kv); i += 2 {
				if kv[i] == name {
					return kv[i+1]
				}
			}
			return ""
		}
	}
	none := headers()
	for _, c := range []struct {
		get, query func(string) string
		present    bool
	}{
		{headers("Authorization", "Bearer sk-secret"), none, true},
		{headers("Authorization", "bearer  sk-secret "), none, true},
		{headers("Api-Key", "sk-secret"), none, true},
		{headers("X-Api-Key", "sk-secret"), none, true},
		{headers("X-Goog-Api-Key", "sk-secret"), none, true},
		{none, headers("key", "sk-secret"), true},
		{headers("Authorization", "Basic sk-secret"), none, false},
		{none, none, false},
	} {
		got := APIKey(c.get, c.query)
		if (got != "") != c.present || strings.Contains(got, "secret") {
			t.Errorf("the name is %q", got)
		}
		if c.present && got != APIKey(headers("Authorization", "Bearer sk-secret"), none) {
			t.Errorf("the same key has another name: %q", got)
		}
	}
}

// 3.3: the gateway's own errors in the form of each dialect, told apart by their type.
func TestWire3_3_OwnErrors(t *testing.T) {
	p := Problem{Kind: "upstream_timeout", Status: 504, Title: `it did "not" answer`}
	for d, paths := range map[release.Dialect]map[string]string{
		release.DialectOpenAI:    {"error.type": "sluice_upstream_timeout", "error.code": "upstream_timeout", "error.message": p.Title},
		release.DialectAnthropic: {"type": "error", "error.type": "sluice_upstream_timeout", "error.message": p.Title},
		release.DialectGemini:    {"error.code": "504", "error.status": "DEADLINE_EXCEEDED", "error.message": p.Title, "error.details.0.reason": "SLUICE_UPSTREAM_TIMEOUT"},
		release.DialectOIP:       {"error": "sluice_upstream_timeout: " + p.Title},
	} {
		body, ok := p.Body(d)
		if !ok || !json.Valid(body) {
			t.Errorf("%s: %s", d, body)
		}
		for path, want := range paths {
			if got := release.PeekJSON(body, path, false); got.Text != want {
				t.Errorf("%s: %s is %q, want %q", d, path, got.Text, want)
			}
		}
	}
	if _, ok := p.Body(release.DialectJSON); ok {
		t.Error("json has a form of its own")
	}
	for name, want := range map[string]string{"openai-chat": "", "openai-responses": "error", "anthropic-message": "error", "gemini": ""} {
		event, ok := p.Event(calls[name])
		got, _ := events(event, 7)
		head, data, _ := strings.Cut(strings.Join(got, ""), "|")
		if !ok || len(got) != 1 || head != want || !json.Valid([]byte(data)) {
			t.Errorf("%s: %q", name, event)
		}
		// Whoever reads such a stream along, another gateway for one, sees an error.
		var r Reader
		r.Begin(calls[name], 200, sseType, "", all)
		if _, s := r.Chunk(event, 1); s != SeenFailed || r.Measures().Fault != release.FaultUpstream {
			t.Errorf("%s: %q is no error to a reader", name, event)
		}
	}
}

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		d    release.Dialect
		path string
		want Op
	}{
		{release.DialectOpenAI, "/v1/chat/completions", OpChat},
		{release.DialectOpenAI, "/v1/chat/completions/", OpChat},
		{release.DialectOpenAI, "/openai/deployments/d/chat/completions", OpChat},
		{release.DialectOpenAI, "/v1/completions", OpCompletion},
		{release.DialectOpenAI, "/v1/responses", OpResponses},
		{release.DialectOpenAI, "/v1/responses/resp_1", OpOther},
		{release.DialectOpenAI, "/v1/embeddings", OpEmbeddings},
		{release.DialectOpenAI, "/v1/audio/transcriptions", OpMedia},
		{release.DialectOpenAI, "/v1/models", OpModels},
		{release.DialectOpenAI, "/v1/models/m", OpModels},
		{release.DialectOpenAI, "/v1/files", OpOther},
		{release.DialectAnthropic, "/v1/messages", OpMessages},
		{release.DialectAnthropic, "/v1/messages/count_tokens", OpCount},
		{release.DialectAnthropic, "/v1/messages/batches", OpOther},
		{release.DialectAnthropic, "/v1/models", OpModels},
		{release.DialectGemini, "/v1beta/models/m:generateContent", OpGenerate},
		{release.DialectGemini, "/v1beta/models/m:streamGenerateContent", OpGenerate},
		{release.DialectGemini, "/v1beta/models/m:countTokens", OpCount},
		{release.DialectGemini, "/v1beta/models/m", OpModels},
		{release.DialectGemini, "/v1beta/files", OpOther},
		{release.DialectOIP, "/v2/models/m/infer", OpInfer},
		{release.DialectOIP, "/v2/models/m/versions/1/infer", OpInfer},
		{release.DialectOIP, "/inference.GRPCInferenceService/ModelInfer", OpInfer},
		{release.DialectOIP, "/inference.GRPCInferenceService/ServerLive", OpMeta},
		{release.DialectOIP, "/v2/health/ready", OpMeta},
		{release.DialectOIP, "/v2/models/m", OpMeta},
		{release.DialectOIP, "/v2/models/m/generate", OpOther},
		{release.DialectJSON, "/v1/chat/completions", OpOther},
	} {
		if got := Classify(c.d, c.path); got != c.want {
			t.Errorf("%s %s is %d, want %d", c.d, c.path, got, c.want)
		}
	}
}

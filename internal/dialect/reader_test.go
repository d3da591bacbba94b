package dialect

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice.dev/sluice/internal/release"
)

// calls are the requests that the files of testdata answer.
var calls = map[string]Call{
	"openai-chat":          {Dialect: release.DialectOpenAI, Op: OpChat, Stream: true},
	"openai-reasoning":     {Dialect: release.DialectOpenAI, Op: OpChat, Stream: true},
	"openai-tools":         {Dialect: release.DialectOpenAI, Op: OpChat, Stream: true},
	"openai-completion":    {Dialect: release.DialectOpenAI, Op: OpCompletion, Stream: true},
	"openai-responses":     {Dialect: release.DialectOpenAI, Op: OpResponses, Stream: true},
	"openai-embeddings":    {Dialect: release.DialectOpenAI, Op: OpEmbeddings},
	"anthropic-message":    {Dialect: release.DialectAnthropic, Op: OpMessages, Stream: true},
	"anthropic-tool":       {Dialect: release.DialectAnthropic, Op: OpMessages, Stream: true},
	"anthropic-overloaded": {Dialect: release.DialectAnthropic, Op: OpMessages, Stream: true},
	"gemini":               {Dialect: release.DialectGemini, Op: OpGenerate, Stream: true},
	"gemini-whole":         {Dialect: release.DialectGemini, Op: OpGenerate},
}

const sseType = "text/event-stream; charset=utf-8"

var all = Options{Text: true, Document: true, Limit: 256 << 10}

// read gives a stream to a reader in pieces of one size, one millisecond after the other, and returns what
// the client gets.
func read(r *Reader, c Call, contentType string, stream []byte, size int, o Options) (relayed string, truncated bool) {
	r.Begin(c, 200, contentType, "", o)
	var out strings.Builder
	at := time.Duration(0)
	for len(stream) > 0 {
		n := min(size, len(stream))
		at += time.Millisecond
		relay, _ := r.Chunk(stream[:n], at)
		out.Write(relay)
		stream = stream[n:]
	}
	rest, truncated := r.End(true)
	out.Write(rest)
	return out.String(), truncated
}

// 3.2, 3.7, 3.8, 3.10: what streams of each provider tell, in pieces of any size.
func TestWire3_2_Streams(t *testing.T) {
	for _, c := range []struct {
		file, form string
		tokens     Tokens
		finish     string
		text       string
		skips      string // content begins behind the event that holds this
		content    string // with the event that holds this
		answer     string // and the answer with this
		doc        map[string]string
	}{
		{
			"openai-chat.sse", sseType,
			Tokens{Input: 19, CacheRead: 8, Output: 5, HasInput: true, HasOutput: true},
			"stop", "Hello, \"wörld\"\n😀", `"role"`, `"Hel"`, `"Hel"`,
			map[string]string{"choices.0.message.content": "Hello, \"wörld\"\n😀", "choices.0.finish_reason": "stop", "model": "small-1", "usage.prompt_tokens": "19"},
		},
		{
			"openai-reasoning.sse", sseType,
			Tokens{Input: 12, Output: 90, Reasoning: 64, HasInput: true, HasOutput: true},
			"stop", "42", `"role"`, `Let me`, `"42"`, nil,
		},
		{
			"openai-tools.sse", sseType,
			Tokens{Output: 3, HasOutput: true, Estimated: true},
			"tool_calls", "", `"role"`, `weather`, `weather`,
			map[string]string{"choices.0.message.tool_calls.0.function.name": "weather", "choices.0.message.tool_calls.0.function.arguments": `{"city":"Ulm"}`, "choices.0.finish_reason": "tool_calls"},
		},
		{
			"openai-completion.sse", sseType,
			Tokens{Output: 2, HasOutput: true, Estimated: true},
			"length", " sing", "", `" s"`, `" s"`,
			map[string]string{"choices.0.text": " sing"},
		},
		{
			"openai-responses.sse", sseType,
			Tokens{Input: 36, CacheRead: 4, Output: 87, Reasoning: 20, HasInput: true, HasOutput: true},
			"completed", "Hi there", `content_part.added`, `"Greet."`, `"Hi"`,
			map[string]string{"output.0.content.0.text": "Hi there", "status": "completed"},
		},
		{
			"anthropic-message.sse", sseType,
			Tokens{Input: 135, CacheRead: 100, CacheWrite: 10, Output: 15, HasInput: true, HasOutput: true},
			"end_turn", "Hello!", `"ping"`, `Let me see`, `"Hello"`,
			map[string]string{"content.0.text": "Hello!", "stop_reason": "end_turn", "usage.input_tokens": "25", "usage.output_tokens": "15", "model": "small-1"},
		},
		{
			"anthropic-tool.sse", sseType,
			Tokens{Input: 472, Output: 89, HasInput: true, HasOutput: true},
			"tool_use", "", `"partial_json":""`, `city`, `city`,
			map[string]string{"content.0.name": "weather", "content.0.input.city": "Ulm", "stop_reason": "tool_use"},
		},
		{
			"gemini.sse", sseType,
			Tokens{Input: 9, CacheRead: 4, Output: 34, Reasoning: 30, HasInput: true, HasOutput: true},
			"STOP", "One [two]", "", "Counting", `"One"`,
			map[string]string{"candidates.0.content.parts.0.text": "One [two]", "candidates.0.finishReason": "STOP", "usageMetadata.candidatesTokenCount": "4", "modelVersion": "small-1"},
		},
		{
			"gemini.json", "application/json; charset=UTF-8",
			Tokens{Input: 9, CacheRead: 4, Output: 34, Reasoning: 30, HasInput: true, HasOutput: true},
			"STOP", "One [two]", "", "Counting", `"One"`,
			map[string]string{"candidates.0.content.parts.0.text": "One [two]"},
		},
	} {
		stream := golden(t, c.file)
		name, _, _ := strings.Cut(c.file, ".")
		var r Reader
		for _, size := range []int{1, 2, 3, 7, 100, 1000, len(stream)} {
			relayed, truncated := read(&r, calls[name], c.form, stream, size, all)
			if relayed != string(stream) || truncated {
				t.Errorf("%s in pieces of %d: truncated %v, or relayed otherwise", c.file, size, truncated)
			}
			m := r.Measures()
			if m.Tokens != c.tokens || m.Finish != c.finish || string(r.Text()) != c.text || m.Fault != release.FaultNone {
				t.Errorf("%s in pieces of %d: %+v, text %q", c.file, size, m, r.Text())
			}
			if want := len([]rune(c.text)); m.Length != want {
				t.Errorf("%s: %d characters, want %d", c.file, m.Length, want)
			}
			if !m.Stream || !within(stream, size, m.Content, c.content) || !within(stream, size, m.Answer, c.answer) {
				t.Errorf("%s in pieces of %d: first content after %v, answer after %v", c.file, size, m.Content, m.Answer)
			}
			if c.doc != nil {
				checkDocument(t, c.file, r.Document(), c.doc)
			}
		}
		if i := strings.Index(string(stream), c.skips); i >= strings.Index(string(stream), c.content) {
			t.Errorf("%s: nothing is skipped before the content", c.file)
		}
	}
}

// within says whether the time is that of the piece with which the event ended that holds mark.
func within(stream []byte, size int, at time.Duration, mark string) bool {
	i := strings.Index(string(stream), mark)
	if i < 0 {
		return false
	}
	end := len(stream)
	for _, mark := range []string{"\n\n", "\r\n\r\n", "},\r\n{"} {
		if n := strings.Index(string(stream[i:]), mark); n >= 0 {
			end = min(end, i+n+4)
		}
	}
	piece := int(at / time.Millisecond)
	return piece*size > i && (piece-1)*size < end
}

func checkDocument(t *testing.T, name string, doc []byte, want map[string]string) {
	t.Helper()
	if !json.Valid(doc) {
		t.Errorf("%s: the document is no JSON: %s", name, doc)
	}
	for path, text := range want {
		if got := release.PeekJSON(doc, path, false); got.Text != strings.TrimSpace(text) {
			t.Errorf("%s: %s is %q, want %q in %s", name, path, got.Text, text, doc)
		}
	}
}

// 3.2: what whole answers of each provider tell.
func TestWire3_2_WholeAnswers(t *testing.T) {
	for _, c := range []struct {
		file   string
		tokens Tokens
		finish string
		text   string
	}{
		{"openai-chat.json", Tokens{Input: 19, CacheRead: 8, Output: 5, HasInput: true, HasOutput: true}, "stop", `Hello "you"`},
		{"openai-responses.json", Tokens{Input: 36, CacheRead: 4, Output: 87, Reasoning: 20, HasInput: true, HasOutput: true}, "completed", "Hi there"},
		{"openai-embeddings.json", Tokens{Input: 8, HasInput: true, HasOutput: true}, "", ""},
		{"anthropic-message.json", Tokens{Input: 3100, CacheRead: 1000, CacheWrite: 5, Output: 503, HasInput: true, HasOutput: true}, "end_turn", "Hi! Bye."},
		{"gemini-whole.json", Tokens{Input: 4, Output: 2, HasInput: true, HasOutput: true}, "MAX_TOKENS", "Hi"},
	} {
		doc := golden(t, c.file)
		name, _, _ := strings.Cut(c.file, ".")
		call := calls[name]
		call.Stream = false
		var r Reader
		for _, kept := range []bool{true, false} {
			relayed, truncated := read(&r, call, "application/json", doc, 1000, all)
			if r.Whole(nil2(doc, kept)); relayed != string(doc) || truncated {
				t.Errorf("%s is not relayed as it is", c.file)
			}
			m := r.Measures()
			if m.Tokens != c.tokens || m.Content >= 0 || m.Stream {
				t.Errorf("%s, kept %v: %+v, want %+v", c.file, kept, m, c.tokens)
			}
			if kept && (m.Finish != c.finish || string(r.Text()) != c.text) {
				t.Errorf("%s: ended with %q, text %q", c.file, m.Finish, r.Text())
			}
		}
	}
}

func nil2(doc []byte, kept bool) []byte {
	if kept {
		return doc
	}
	return nil
}

// 3.2: usages that providers write in their own ways.
func TestWire3_2_UsageOfOthers(t *testing.T) {
	for _, c := range []struct {
		usage string
		want  Tokens
	}{
		{`{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7,"prompt_cache_hit_tokens":3,"prompt_cache_miss_tokens":2}`, Tokens{Input: 5, CacheRead: 3, Output: 2, HasInput: true, HasOutput: true}},
		{`{"prompt_tokens":5,"completion_tokens":2,"total_tokens":17,"completion_tokens_details":{"reasoning_tokens":10}}`, Tokens{Input: 5, Output: 12, Reasoning: 10, HasInput: true, HasOutput: true}},
		{`{"prompt_tokens":5.0,"completion_tokens":2}`, Tokens{Input: 5, Output: 2, HasInput: true, HasOutput: true}},
		{`{"input_tokens":5,"output_tokens":2}`, Tokens{Input: 5, Output: 2, HasInput: true, HasOutput: true}},
		{`{"prompt_tokens":null,"completion_tokens":-3,"x":1e99}`, Tokens{}},
		{`{"type":"duration","seconds":3}`, Tokens{}},
		{`null`, Tokens{}},
		{`[]`, Tokens{}},
	} {
		var got Tokens
		if got.openAI([]byte(c.usage)); got != c.want {
			t.Errorf("%s is %+v, want %+v", c.usage, got, c.want)
		}
	}
	groq := `{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"r","usage":{"prompt_tokens":4,"completion_tokens":3,"total_tokens":7}}}`
	var r Reader
	relayed, truncated := read(&r, calls["openai-chat"], sseType, []byte("data: "+groq+"\n\n"), 10, Options{Strip: true})
	if got := r.Measures().Tokens; got.Input != 4 || got.Output != 3 || truncated || !strings.Contains(relayed, groq) {
		t.Errorf("x_groq: %+v, truncated %v, relayed %q", got, truncated, relayed)
	}
}

// 3.2: the usage chunk that the gateway asked for is taken out; every other byte stays, however the stream
// is cut into pieces.
func TestWire3_2_UsageChunkIsTakenOut(t *testing.T) {
	stream := string(golden(t, "openai-chat.sse"))
	i := strings.Index(stream, `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1750000000,"model":"small-1","system_fingerprint":"fp_1","choices":[]`)
	end := i + strings.Index(stream[i:], "\n\n") + 2
	extra, without := stream[i:end], stream[:i]+stream[end:]
	big := "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" + strings.Repeat("z", 2*maxHold) + "\"}}]}\n\n"
	azure := "data: {\"choices\":[],\"prompt_filter_results\":[{\"prompt_index\":0}],\"usage\":null}\n\n"
	for name, c := range map[string]struct{ stream, want string }{
		"as it is":                     {stream, without},
		"with CR LF":                   {strings.ReplaceAll(stream, "\n", "\r\n"), strings.ReplaceAll(without, "\n", "\r\n")},
		"with CR":                      {strings.ReplaceAll(stream, "\n", "\r"), strings.ReplaceAll(without, "\n", "\r")},
		"null choices":                 {strings.Replace(stream, `"choices":[]`, `"choices":null`, 1), without},
		"around pings":                 {": ping\n\n" + without + extra + ": ping\n\n", ": ping\n\n" + without + ": ping\n\n"},
		"a big event":                  {big + extra + big + "data: [DONE]\n\n", big + big + "data: [DONE]\n\n"},
		"other chunks without choices": {azure + extra + without, azure + without},
		"none":                         {without, without},
		"an unfinished event":          {without + "data: {\"choi", without + "data: {\"choi"},
	} {
		var r Reader
		for _, size := range []int{1, 2, 3, 10, 333, 4096, maxHold, len(c.stream)} {
			got, truncated := read(&r, calls["openai-chat"], sseType, []byte(c.stream), size, Options{Strip: true})
			if got != c.want || truncated {
				t.Errorf("%s, in pieces of %d: truncated %v\n%q, want\n%q", name, size, truncated, clipped(got), clipped(c.want))
			}
			if tokens := r.Measures().Tokens; name == "as it is" && (tokens.Output != 5 || tokens.Input != 19) {
				t.Errorf("what was taken out was not read: %+v", tokens)
			}
			if len(r.held) > maxHold {
				t.Errorf("%s: %d bytes are held back", name, len(r.held))
			}
		}
		if got, _ := read(&r, calls["openai-chat"], sseType, []byte(c.stream), 100, Options{}); got != c.stream {
			t.Errorf("%s: a client that asked for its usage does not get it", name)
		}
	}
}

func clipped(s string) string { return s[:min(len(s), 3000)] }

// 3.1: a stream without its own end is truncated, though its framing ended well.
func TestWire3_1_Truncated(t *testing.T) {
	for name, call := range calls {
		if !call.Stream || name == "anthropic-overloaded" {
			continue
		}
		files := []string{name + ".sse"}
		if name == "gemini" {
			files = append(files, name+".json")
		}
		for _, file := range files {
			form := sseType
			if strings.HasSuffix(file, ".json") {
				form = "application/json"
			}
			stream := golden(t, file)
			var r Reader
			for _, share := range []int{0, 10, 50} {
				cut := stream[:len(stream)*share/100]
				if _, truncated := read(&r, call, form, cut, 50, all); !truncated {
					t.Errorf("%s seems complete after %d%%", file, share)
				}
				// An answer of an error, and one of a path that is not known, end where they end.
				r.Begin(call, 500, form, "", all)
				if _, truncated := r.End(true); truncated {
					t.Errorf("%s: an error is truncated", file)
				}
				other := call
				if other.Op = OpOther; file != "gemini.json" {
					if _, truncated := read(&r, other, form, cut, 50, all); truncated {
						t.Errorf("%s: what is not known is truncated", file)
					}
				}
			}
		}
	}
	// Several choices: each must say that it ended.
	for stream, want := range map[string]bool{
		`{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"},"finish_reason":"stop"}]}`:                        true,
		`{"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"},{"index":1,"delta":{"content":"b"},"finish_reason":"stop"}]}`: false,
	} {
		var r Reader
		if _, truncated := read(&r, calls["openai-chat"], sseType, []byte("data: "+stream+"\n\n"), 50, all); truncated != want {
			t.Errorf("%s: truncated %v", stream, truncated)
		}
	}
	// Gemini refuses a prompt without any candidate.
	var r Reader
	if _, truncated := read(&r, calls["gemini"], sseType, []byte(`data: {"promptFeedback":{"blockReason":"SAFETY"}}`+"\n\n"), 50, all); truncated || r.Measures().Finish != "SAFETY" {
		t.Errorf("a refused prompt is truncated: %+v", r.Measures())
	}
}

// 3.3: errors inside of a 200: whose they are, and whether anything had been said before.
func TestWire3_3_ErrorsInStreams(t *testing.T) {
	chat, messages, generate, responses := calls["openai-chat"], calls["anthropic-message"], calls["gemini"], calls["openai-responses"]
	const said = `data: {"choices":[{"index":0,"delta":{"content":"a"}}]}` + "\n\n"
	for _, c := range []struct {
		call   Call
		stream string
		fault  release.Fault
		first  bool
	}{
		{chat, `data: {"error":{"message":"m","type":"server_error","code":null}}` + "\n\n", release.FaultUpstream, true},
		{chat, `data: {"error":{"message":"m","type":"BadRequestError","code":400}}` + "\n\n", release.FaultClient, true},
		{chat, `data: {"error":{"message":"m","code":503}}` + "\n\n", release.FaultUpstream, true},
		{chat, `data: {"error":{"message":"m","code":"rate_limit_exceeded"}}` + "\n\n", release.FaultClient, true},
		{chat, `data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}` + "\n\n" + `data: {"error":{"message":"m"}}` + "\n\n", release.FaultUpstream, true},
		{chat, said + `data: {"error":{"message":"m"}}` + "\n\n", release.FaultUpstream, false},
		{chat, said + `data: {"error":null,"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n", release.FaultNone, false},
		{responses, "event: error\ndata: " + `{"type":"error","code":"server_error","message":"m","param":null,"sequence_number":1}` + "\n\n", release.FaultUpstream, true},
		{responses, "event: response.failed\ndata: " + `{"type":"response.failed","response":{"status":"failed","error":{"code":"rate_limit_exceeded","message":"m"}}}` + "\n\n", release.FaultClient, true},
		{messages, string(golden(t, "anthropic-overloaded.sse")), release.FaultUpstream, true},
		{messages, `data: {"type":"error","error":{"type":"rate_limit_error","message":"m"}}` + "\n\n", release.FaultClient, true},
		{generate, `data: {"error":{"code":503,"message":"m","status":"UNAVAILABLE"}}` + "\n\n", release.FaultUpstream, true},
		{generate, `data: {"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}` + "\n\n", release.FaultClient, true},
	} {
		var r Reader
		r.Begin(c.call, 200, sseType, "", all)
		_, s := r.Chunk([]byte(c.stream), 1)
		_, truncated := r.End(true)
		if got := r.Measures().Fault; got != c.fault || (s == SeenFailed) != c.first || truncated {
			t.Errorf("%s: fault %d, seen %d, truncated %v", c.stream, got, s, truncated)
		}
	}
}

// 3.10: what is no content: roles, empty deltas, pings, signatures. An empty answer has no first token.
func TestWire3_10_NoContent(t *testing.T) {
	for _, c := range []struct {
		call   Call
		stream string
	}{
		{calls["openai-chat"], `{"choices":[{"index":0,"delta":{"role":"assistant"}}]}`},
		{calls["openai-chat"], `{"choices":[{"index":0,"delta":{"content":""}}]}`},
		{calls["openai-chat"], `{"choices":[{"index":0,"delta":{"content":null,"tool_calls":[{"index":0,"function":{"arguments":""}}]}}]}`},
		{calls["openai-chat"], `{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":0}}`},
		{calls["openai-chat"], `not json`},
		{calls["openai-responses"], `{"type":"response.output_text.delta","delta":""}`},
		{calls["openai-responses"], `{"type":"response.output_item.added","item":{"content":[]}}`},
		{calls["anthropic-message"], `{"type":"ping"}`},
		{calls["anthropic-message"], `{"type":"content_block_start","content_block":{"type":"text","text":""}}`},
		{calls["anthropic-message"], `{"type":"content_block_delta","delta":{"type":"signature_delta","signature":"x"}}`},
		{calls["gemini"], `{"candidates":[{"content":{"role":"model"},"finishReason":"STOP"}]}`},
		{calls["gemini"], `{"usageMetadata":{"promptTokenCount":3}}`},
	} {
		var r Reader
		r.Begin(c.call, 200, sseType, "", all)
		_, s := r.Chunk([]byte("data: "+c.stream+"\n\n"), 1)
		if m := r.Measures(); s != SeenNothing || m.Content >= 0 || m.Answer >= 0 {
			t.Errorf("%s is content: %+v", c.stream, m)
		}
	}
	m := Measures{Content: 100 * time.Millisecond, Tokens: Tokens{Output: 11, HasOutput: true}}
	if d, ok := m.PerToken(1100 * time.Millisecond); !ok || d != 100*time.Millisecond {
		t.Errorf("time per token %v, %v", d, ok)
	}
	for _, m := range []Measures{{Content: never, Tokens: m.Tokens}, {Content: 1, Tokens: Tokens{Output: 1, HasOutput: true}}, {Content: 1}} {
		if d, ok := m.PerToken(time.Second); ok {
			t.Errorf("%+v has %v per token", m, d)
		}
	}
}

// 3.2: a stream that is cut off tells what was counted so far, and says what it is.
func TestWire3_2_Partial(t *testing.T) {
	var r Reader
	chat := string(golden(t, "openai-chat.sse"))
	read(&r, calls["openai-chat"], sseType, []byte(chat[:strings.Index(chat, `{}`)]), 100, all)
	if got := r.Measures().Tokens; got != (Tokens{Output: 3, HasOutput: true, Estimated: true}) {
		t.Errorf("chat: %+v", got)
	}
	message := string(golden(t, "anthropic-message.sse"))
	read(&r, calls["anthropic-message"], sseType, []byte(message[:strings.Index(message, "event: message_delta")]), 100, all)
	if got := r.Measures().Tokens; got != (Tokens{Input: 135, CacheRead: 100, CacheWrite: 10, Output: 3, HasInput: true, HasOutput: true, Estimated: true}) {
		t.Errorf("message: %+v", got)
	}
	tools := string(golden(t, "anthropic-tool.sse")) // its beginning tells 2 tokens, and one piece has come
	read(&r, calls["anthropic-tool"], sseType, []byte(tools[:strings.Index(tools, `" \"Ulm`)-60]), 100, all)
	if got := r.Measures().Tokens; got != (Tokens{Input: 472, Output: 2, HasInput: true, HasOutput: true}) {
		t.Errorf("tool: %+v", got)
	}
	if got := find([]byte(`{"a":1,"b":{"a":3},"\u0061":2}`), "a"); string(got) != "2" {
		t.Errorf("of two members of one name %s counts, want the last", got)
	}
}

func TestCost(t *testing.T) {
	free, half := 0.0, 0.5
	tokens := Tokens{Input: 1_000_000, CacheRead: 400_000, CacheWrite: 100_000, Output: 200_000, HasInput: true, HasOutput: true}
	for _, c := range []struct {
		price release.Price
		want  float64
	}{
		{release.Price{Input: 2, Output: 10}, 4},
		{release.Price{Input: 2, Output: 10, CacheRead: &half}, 1.2 + 0.2 + 2},
		{release.Price{Input: 2, Output: 10, CacheRead: &free, CacheWrite: &half}, 1 + 0.05 + 2},
		{release.Price{Request: 0.01}, 0.01},
	} {
		if got, ok := tokens.Cost(c.price); !ok || fmt.Sprintf("%.9f", got) != fmt.Sprintf("%.9f", c.want) {
			t.Errorf("%+v costs %v, want %v", c.price, got, c.want)
		}
	}
	for _, c := range []struct {
		tokens Tokens
		price  release.Price
	}{{tokens, release.Price{}}, {Tokens{Output: 3, HasOutput: true}, release.Price{Output: 1}}} {
		if got, ok := c.tokens.Cost(c.price); ok {
			t.Errorf("%+v costs %v", c, got)
		}
	}
}

// The text and the document are bounded; the length is not.
func TestTextIsBounded(t *testing.T) {
	var r Reader
	stream := []byte(strings.Repeat(`data: {"choices":[{"index":0,"delta":{"content":"\u00e4ß\n"}}]}`+"\n\n", 100))
	o := Options{Text: true, Document: true, Limit: 64}
	read(&r, calls["openai-chat"], sseType, stream, 100, o)
	if r.Text() != nil || r.Document() != nil || r.Measures().Length != 300 || len(r.words) > 64 {
		t.Errorf("%d kept of %d characters", len(r.words), r.Measures().Length)
	}
	if Inside([]byte("```json\n{\"a\":1}\n```\n")) == nil || string(Inside([]byte(" {\"a\":1} "))) != `{"a":1}` || Inside([]byte("yes")) != nil {
		t.Error("JSON inside of a text is not found")
	}
	big := []byte("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" + strings.Repeat("z", 200_000) + "\"}}]}\n\n")
	read(&r, calls["openai-chat"], sseType, big, 1000, all)
	if r.Trim(); cap(r.words) > maxIdle || cap(r.sse.rest) > maxIdle {
		t.Errorf("after a large answer an idle reader holds %d and %d bytes", cap(r.words), cap(r.sse.rest))
	}
	// A compressed answer is not looked into.
	r.Begin(calls["openai-chat"], 200, sseType, "gzip", o)
	if relay, s := r.Chunk([]byte("data: x\n\n"), 1); string(relay) != "data: x\n\n" || s != SeenNothing || r.Streams() {
		t.Error("a compressed stream is read")
	}
}

// The usage behind a long document's data is found, and nothing that only looks like it.
func TestUsageFromTheTail(t *testing.T) {
	long := strings.Repeat("0.1,", 10_000)
	for doc, want := range map[string]int64{
		`{"data":[` + long + `1],"usage":{"prompt_tokens":7,"total_tokens":7}}`:                         7,
		`{"data":[` + long + `1],"usage" : {"prompt_tokens":7,"total_tokens":7},"model":"m"}` + "\n":    7,
		`{"data":[` + long + `1,{"usage":{"prompt_tokens":9}}]}`:                                        0,
		`{"data":"` + long + `\"usage\":{\"prompt_tokens\":9}}"}`:                                       0,
		`{"data":[` + long + `1],"usage":{"prompt_tokens":7},"text":"\"usage\":{\"prompt_tokens\":9}"}`: 7,
		`{"data":[` + long + `1],"usage":{"prompt_tokens":7`:                                            0,
	} {
		var r Reader
		read(&r, calls["openai-embeddings"], "application/json", []byte(doc), 999, Options{})
		if r.Whole(nil); r.Measures().Tokens.Input != want {
			t.Errorf("...%s: %+v, want %d", doc[len(doc)-80:], r.Measures().Tokens, want)
		}
	}
}

func FuzzReader(f *testing.F) {
	for name := range calls {
		for _, end := range []string{".sse", ".json"} {
			if name == "openai-embeddings" || name == "anthropic-overloaded" {
				continue
			}
			if b := maybe(name + end); b != nil {
				f.Add(b, 33, name)
			}
		}
	}
	f.Add([]byte("data: {\"choices\":[{\"index\":99,\"delta\":{\"content\":\"\\ud83d\\u00\"}}],\"usage\":{\"prompt_tokens\":1e400}}\n\n"), 5, "openai-chat")
	f.Fuzz(func(t *testing.T, stream []byte, size int, name string) {
		size = max(1, size%5000)
		call, ok := calls[name]
		if !ok {
			call = Call{Dialect: release.Dialect(name), Op: OpChat, Stream: true}
		}
		for _, form := range []string{sseType, "application/json"} {
			var r, other Reader
			relayed, cut := read(&r, call, form, stream, size, all)
			if relayed != string(stream) && !cut {
				t.Fatalf("%q is relayed as %q", stream, relayed)
			}
			if _, c := read(&other, call, form, stream, len(stream)+1, all); form == sseType && (cut != c || r.Measures().Tokens != other.Measures().Tokens || string(r.Text()) != string(other.Text())) {
				t.Fatalf("in pieces of %d: %+v %q, at once: %+v %q", size, r.Measures(), r.Text(), other.Measures(), other.Text())
			}
			r.Whole(stream)
			if doc := r.Document(); len(doc) > 0 && !r.isTyped && !json.Valid(doc) {
				t.Fatalf("%s is no JSON", doc)
			}
			if stripped, _ := read(&r, call, form, stream, size, Options{Strip: true}); len(stripped) > len(stream) {
				t.Fatalf("%q grew to %q", stream, stripped)
			}
		}
	})
}

func maybe(name string) []byte {
	b, err := testdata.ReadFile("testdata/" + name)
	if err != nil {
		return nil
	}
	return b
}

// 3.2: what is held back while usage chunks are taken out is bounded; an event that has been relayed in part
// is relayed to its end, whatever it turns out to be.
func TestWire3_2_WhatIsHeldBackIsBounded(t *testing.T) {
	usage := `data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1},"padding":"` + strings.Repeat("z", 2*maxHold) + `"}` + "\n\n"
	var r Reader
	r.Begin(calls["openai-chat"], 200, sseType, "", Options{Strip: true})
	var out strings.Builder
	for rest := usage; rest != ""; {
		n := min(1000, len(rest))
		relay, _ := r.Chunk([]byte(rest[:n]), 1)
		out.Write(relay)
		rest = rest[n:]
		if len(r.held) > maxHold {
			t.Fatalf("%d bytes are held back", len(r.held))
		}
	}
	if out.String() != usage {
		t.Errorf("of an event of %d bytes %d came", len(usage), out.Len())
	}
	if relay, _ := r.Chunk([]byte(usage), 1); len(relay) != 0 {
		t.Errorf("in one piece %d bytes of it came", len(relay))
	}
	if got := r.Measures().Tokens; got.Input != 1 || got.Output != 1 {
		t.Errorf("counted %+v", got)
	}
}

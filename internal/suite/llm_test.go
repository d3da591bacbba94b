package suite

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"sluice.dev/sluice/internal/release"
)

// speaker answers as OpenAI and Anthropic do, by path, whole or as a stream; say makes the text of the last message.
func speaker(say func(prompt string) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Messages []struct{ Role, Content string }
			Prompt   string
			System   string
			Stream   bool
			Echo     bool
			MaxTok   int `json:"max_tokens"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, `{"error":{"message":"no"}}`, http.StatusBadRequest)
			return
		}
		prompt := in.Prompt
		if n := len(in.Messages); n > 0 {
			prompt = in.Messages[n-1].Content
		}
		text := say(prompt)
		quoted, _ := json.Marshal(text)
		switch anthropic := r.URL.Path == "/v1/messages"; {
		case anthropic && (r.Header.Get("Anthropic-Version") == "" || in.MaxTok == 0):
			http.Error(w, `{"type":"error"}`, http.StatusBadRequest)
		case anthropic && in.Stream:
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprintf(w, "event: message_start\ndata: {\"type\":\"message_start\"}\n\nevent: content_block_delta\r\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":%s}}\r\n\r\n", quoted)
			fmt.Fprint(w, "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":7}}\n\ndata: {\"type\":\"message_stop\"}\n\n")
		case anthropic:
			fmt.Fprintf(w, `{"type":"message","content":[{"type":"text","text":%s}],"stop_reason":"end_turn","usage":{"output_tokens":7}}`, quoted)
		case in.Stream:
			w.Header().Set("Content-Type", "text/event-stream")
			for _, word := range strings.SplitAfter(text, " ") {
				part, _ := json.Marshal(word)
				fmt.Fprintf(w, ": comment\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":%s}}]}\n\n", part)
				w.(http.Flusher).Flush()
			}
			fmt.Fprint(w, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"completion_tokens\":7}}\n\ndata: [DONE]\n\n")
		case in.Echo:
			fmt.Fprintf(w, `{"choices":[{"text":%s,"logprobs":{"token_logprobs":%s}}]}`, quoted, text)
		case in.Prompt != "":
			fmt.Fprintf(w, `{"choices":[{"text":%s,"finish_reason":"stop"}],"usage":{"completion_tokens":7}}`, quoted)
		default:
			fmt.Fprintf(w, `{"choices":[{"message":{"content":%s},"finish_reason":"stop"}],"usage":{"completion_tokens":7}}`, quoted)
		}
	}
}

func echo(prompt string) string { return prompt }

// TestTexts says of each expectation on a text when it holds, in all forms in which a text comes.
func TestTexts(t *testing.T) {
	const english = "The quick brown fox jumps over the lazy dog and then it runs home through the wide fields."
	forms := map[string]string{
		"chat": "dialect: openai", "stream": "dialect: openai, generation: {stream: true}", "completion": "dialect: openai, path: /v1/completions",
		"anthropic": "dialect: anthropic", "anthropic stream": "dialect: anthropic, generation: {stream: true, maxTokens: 9}",
	}
	for name, form := range forms {
		for _, c := range []struct{ text, expect, words string }{
			{"a b", "equals: a b", ""},
			{"a b", "equals: A  B!, ignore: [case, space, punctuation]", ""},
			{"a b", "equals: A  B!, ignore: [case, space]", `is "a b", want "A  B!"`},
			{"a b", "contains: [a, c]", `want "c" in it`},
			{"a b", "excludes: [b]", "must not"},
			{"a b", "regex: '^a.b$'", ""},
			{"a b", "regex: '^b'", "does not match"},
			{"kitten", "similar: {to: sitting, atLeast: 0.5}", ""},
			{"kitten", "similar: {to: sitting, atLeast: 0.6}", "similar by 0.57"},
			{`{"x": 1}`, "json: true, schema: {required: [x]}", ""},
			{`{"x": 1}`, "schema: {required: [y]}", "breaks the schema"},
			{"```json\n{}\n```", "json: true", "a fence of ``` is around it"},
			{"{x", "json: true", "is not JSON"},
			{"I'm sorry, but I can't help with that.", "refusal: true", ""},
			{"I'm sorry, but I can't help with that.", "refusal: false", "is a refusal"},
			{"You can't do that in Go.", "refusal: false", ""},
			{"非常抱歉，我无法提供这些信息。", "refusal: true", ""},
			{"Of course.", "refusal: true", "is no refusal"},
			{"four words are here", "minWords: 4, maxWords: 4, minLength: 19, maxLength: 19, maxTokens: 7", ""},
			{"four words are here", "maxWords: 3", "has 4 words, want at most 3"},
			{"four words are here", "minLength: 20", "has 19 characters, want at least 20"},
			{"four words are here", "maxTokens: 6", "has 7 tokens, want at most 6"},
			{english, "language: en", ""},
			{english, "language: deu", "is in English, want German"},
			{"ok", "language: de", "too short"},
			{"今天天气很好", "language: zh", ""},
			{"a", "finish: [stop, end_turn]", ""},
			{"a", "finish: [length]", "want length"},
		} {
			prompt, _ := json.Marshal(c.text)
			spec := "  target: {" + form + "}\n  functional:\n    - {name: a, request: {prompt: " + string(prompt) + "}, expect: {text: {" + c.expect + "}}}\n"
			r := run(t, spec, speaker(echo))
			status := Passed
			if c.words != "" {
				status = Failed
			}
			if got := result(t, r, "a"); got.Status != status || !strings.Contains(got.Message, c.words) {
				t.Errorf("%s: %q {%s}: %s %q, want %q", name, c.text, c.expect, got.Status, got.Message, c.words)
			}
		}
	}
}

// TestRequestsOfPrompts: the body has what the dialect asks for and nothing that the file does not say.
func TestRequestsOfPrompts(t *testing.T) {
	for _, c := range []struct{ target, request, path, body string }{
		{"dialect: openai", "{prompt: hi}", "/v1/chat/completions", `{"messages":[{"content":"hi","role":"user"}]}`},
		{
			"dialect: openai, generation: {model: m, maxTokens: 3, temperature: 0, stream: true, logprobs: true, more: {top_p: 0.5}}", "{prompt: hi, system: s}", "/v1/chat/completions",
			`{"logprobs":true,"max_tokens":3,"messages":[{"content":"s","role":"system"},{"content":"hi","role":"user"}],"model":"m","stream":true,"stream_options":{"include_usage":true},"temperature":0,"top_p":0.5}`,
		},
		{"dialect: openai, path: /x/completions, generation: {echo: true}", "{prompt: hi}", "/x/completions", `{"echo":true,"logprobs":1,"max_tokens":0,"prompt":"hi"}`},
		{"dialect: anthropic", "{prompt: hi, system: s}", "/v1/messages", `{"max_tokens":256,"messages":[{"content":"hi","role":"user"}],"system":"s"}`},
		{
			"dialect: anthropic, generation: {maxTokens: 1}", "{messages: [{role: user, content: a}, {role: assistant, content: b}], generation: {maxTokens: 2}}", "/v1/messages",
			`{"max_tokens":2,"messages":[{"content":"a","role":"user"},{"content":"b","role":"assistant"}]}`,
		},
	} {
		var path, got string
		run(t, "  target: {"+c.target+"}\n  functional: [{name: a, request: "+c.request+"}]\n", func(w http.ResponseWriter, r *http.Request) {
			path, got = r.URL.Path, body(r)
		})
		if path != c.path || got != c.body {
			t.Errorf("%s %s: %s %s, want %s %s", c.target, c.request, path, got, c.path, c.body)
		}
	}
}

// TestStreamsThatBreak: half a text is no text.
func TestStreamsThatBreak(t *testing.T) {
	for body, words := range map[string]string{
		"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\n":             "broke off before its end",
		"data: {\"error\":{\"message\":\"boom\"}}\n\ndata: [DONE]\n\n":          "tells an error: boom",
		"data: {\"choices\":[{\"delta\":{\"content\":\"a\"\n\ndata: [DONE]\n\n": "not JSON",
		"<html>": "neither JSON nor a stream",
		"{}":     "no choices",
	} {
		if _, err := readReply(release.DialectOpenAI, []byte(body)); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%q: %v, want %q", body, err, words)
		}
	}
}

// TestEventsInAnyPieces: however the bytes arrive, and with any end of line, the events are the same.
func TestEventsInAnyPieces(t *testing.T) {
	for _, end := range []string{"\n", "\r\n", "\r"} {
		stream := strings.ReplaceAll("event: x\ndata: a\ndata:b\n\n: c\n\nid: 1\ndata:  d\n\ndata: e", "\n", end)
		for size := 1; size < len(stream); size++ {
			var got []string
			s := events{each: func(data []byte) { got = append(got, string(data)) }}
			for piece := range slices.Chunk([]byte(stream), size) {
				s.write(piece)
			}
			s.end()
			if want := []string{"a\nb", " d", "e"}; !slices.Equal(got, want) {
				t.Fatalf("%q in pieces of %d: %q, want %q", stream, size, got, want)
			}
		}
	}
}

// rowsOf makes a file of n rows {"q": "row I", "t": truth}.
func rowsOf(n int, truth func(int) string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "{\"q\":\"row %d\",\"t\":%q}\n", i, truth(i))
	}
	return b.String()
}

func textGates(t *testing.T, more, gate string, n int, truth func(int) string) *Suite {
	t.Helper()
	s, err := withFiles(t, "  target: {dialect: openai"+more+"}\n  judge: {url: 'env:SLUICE_TEST_JUDGE', model: j}\n  functional:\n    - name: a\n      data: {file: d.jsonl}\n      request: {prompt: '{{q}}'}\n      gates: [{"+gate+"}]\n",
		map[string]string{"d.jsonl": rowsOf(n, truth)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTextGates(t *testing.T) {
	t.Setenv("SLUICE_TEST_JUDGE", "http://127.0.0.1:1")
	is := func(i int) string { return fmt.Sprintf("Row  %d", i) }
	for _, c := range []struct {
		gate   string
		status Status
		words  string
	}{
		{"metric: exactMatch, label: t, ignore: [case, space], atLeast: 0.9", Passed, "40 of 40"},
		{"metric: exactMatch, label: t, atMost: 0.1", Passed, "0 of 40"},
		{"metric: similarity, label: t, ignore: [case], atLeast: 0.8", Passed, "similarity 0.8"},
		{"metric: similarity, label: t, atLeast: 0.9", Failed, "similarity 0.7"},
		{"metric: rate, prediction: $refusal, positive: 'true', atMost: 0.1", Passed, "0 of 40"},
		{"metric: rate, prediction: $finish, positive: stop, atLeast: 0.9", Passed, "40 of 40"},
		{"metric: perplexity, atMost: 5", Failed, "40 of 40 rows gave no answer that can be used"}, // no logprobs were asked for
	} {
		want(t, runSuite(t, textGates(t, "", c.gate, 40, is), speaker(echo)), "a: "+strings.Fields(strings.NewReplacer(",", "").Replace(c.gate))[1], c.status, c.words)
	}
	// An empty answer is not right because nothing is known of it.
	r := runSuite(t, textGates(t, "", "metric: exactMatch, label: t, atMost: 0.1", 40, is), speaker(func(string) string { return "" }))
	want(t, r, "a: exactMatch", Passed, "0 of 40")
}

// TestPerplexity: exp of the mean loss per token, judged by rows, and as a ratio to live's.
func TestPerplexity(t *testing.T) {
	t.Setenv("SLUICE_TEST_JUDGE", "http://127.0.0.1:1")
	says := func(more float64) http.HandlerFunc {
		return speaker(func(prompt string) string {
			var i int
			_, _ = fmt.Sscanf(prompt, "row %d", &i)
			return fmt.Sprintf("[null, %g, %g]", -1-more-float64(i%5)*0.01, -1-more)
		})
	}
	live := httptest.NewServer(says(0))
	defer live.Close()
	target := ", path: /v1/completions, generation: {echo: true}"
	for _, c := range []struct {
		gate   string
		more   float64
		status Status
		words  string
	}{
		{"atMost: 3", 0, Passed, "perplexity 2.746"}, // exp(1.01)
		{"atMost: 2.5", 0, Failed, "at most 2.5"},
		{"noWorseThanLive: 1.05x", 0, Passed, "is 1 times live's"},
		{"noWorseThanLive: 1.05x", 0.2, Failed, "is 1.22 times live's"},
		{"noWorseThanLive: 1.05x", -0.2, Passed, "is 0.819 times live's"},
	} {
		s := textGates(t, target, "metric: perplexity, "+c.gate, 40, func(int) string { return "" })
		r := runSuite(t, s, says(c.more), func(o *Options) { o.LiveURL = live.URL })
		name := "a: perplexity"
		if strings.HasPrefix(c.gate, "no") {
			name += " no worse than live"
		}
		want(t, r, name, c.status, c.words)
	}
}

// asJudge is a judge who decides by the two answers, in the order in which they are shown.
func asJudge(t *testing.T, decide func(a, b string) string) {
	t.Helper()
	var mu sync.Mutex
	refused := map[string]bool{}
	srv := httptest.NewServer(speakerOf(func(prompt string) string {
		mu.Lock()
		defer mu.Unlock()
		if len(refused) < 3 && !refused[prompt] { // a judge may be busy
			refused[prompt] = true
			return ""
		}
		a := between(prompt, "<answer A", "</answer A")
		b := between(prompt, "<answer B", "</answer B")
		if a == "" {
			a = between(prompt, "<answer", "</answer")
		}
		return "I weigh them.\n**VERDICT: " + decide(a, b) + "**"
	}))
	t.Cleanup(srv.Close)
	t.Setenv("SLUICE_TEST_JUDGE", srv.URL)
}

// speakerOf is a speaker that is too busy for what say has no answer to.
func speakerOf(say func(string) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in struct{ Messages []struct{ Content string } }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || len(in.Messages) != 1 {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		text := say(in.Messages[0].Content)
		if text == "" {
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		quoted, _ := json.Marshal(text)
		fmt.Fprintf(w, `{"choices":[{"message":{"content":%s}}]}`, quoted)
	}
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	_, s, _ = strings.Cut(s, ">\n")
	s, _, _ = strings.Cut(s, "\n"+to)
	return s
}

// TestPreference: the judge compares both answers twice; one who goes by the place of an answer is found out, and
// decides nothing.
func TestPreference(t *testing.T) {
	good, bad := speaker(func(p string) string { return "good " + p }), speaker(func(p string) string { return "bad " + p })
	byWord := func(a, b string) string {
		switch ga, gb := strings.HasPrefix(a, "good"), strings.HasPrefix(b, "good"); {
		case ga == gb:
			return "TIE"
		case ga:
			return "A"
		}
		return "B"
	}
	for _, c := range []struct {
		name       string
		decide     func(a, b string) string
		mine, live http.HandlerFunc
		status     Status
		words      string
	}{
		{"better", byWord, good, bad, Passed, "by 100.0 points"},
		{"worse", byWord, bad, good, Failed, "by -100.0 points"},
		{"the same", byWord, good, good, Passed, "agrees with itself on 60 of 60 rows when the order is swapped"},
		{"by place", func(string, string) string { return "A" }, good, good, Undecided, "agrees with itself on 0 of 60 rows"},
		{"nonsense", func(string, string) string { return "PURPLE" }, good, good, Undecided, "gave a verdict on 0 of 60 rows only: the judge gave no verdict"},
	} {
		asJudge(t, c.decide)
		live := httptest.NewServer(c.live)
		s := textGates(t, "", "metric: preference, rubric: the word good, noWorseThanLive: 10pp", 60, func(int) string { return "" })
		r := runSuite(t, s, c.mine, func(o *Options) { o.LiveURL = live.URL })
		live.Close()
		want(t, r, "a: preference no worse than live", c.status, c.words)
	}
}

// TestJudged: an answer meets the rubric if the judge says so both times.
func TestJudged(t *testing.T) {
	good := speaker(func(p string) string { return "good " + p })
	gate := "metric: judged, rubric: the word good, atLeast: 0.8"
	asJudge(t, func(a, _ string) string {
		if strings.HasPrefix(a, "good") {
			return "MET"
		}
		return "NOT MET"
	})
	want(t, runSuite(t, textGates(t, "", gate, 40, func(int) string { return "" }), good), "a: judged", Passed, "40 of 40")
	want(t, runSuite(t, textGates(t, "", gate, 40, func(int) string { return "" }), speaker(echo)), "a: judged", Failed, "0 of 40")
	if text := markPrompt("r", "q", "a", "m", false); text == markPrompt("r", "q", "a", "m", true) {
		t.Error("the order is not swapped")
	}
}

// TestBatteryOfLanguageModels: a version that takes any role, or dies of a client that leaves a stream, is found.
func TestBatteryOfLanguageModels(t *testing.T) {
	const spec = "  target: {dialect: openai}\n  sample: {prompt: hello}\n  exceptions: [{battery: all, only: [messages, parameters, streamGone], burst: 4}]\n"
	r := run(t, spec, speaker(echo))
	want(t, r, "battery: messages", Failed, "messages: empty: status 200, want a refusal by 4xx")
	want(t, r, "battery: parameters", Failed, "temperature = \"hot\": status 200")
	want(t, r, "battery: streamGone", Passed, "healthy after")
	var broken bool
	r = run(t, strings.Replace(spec, "messages, parameters, ", "", 1), func(w http.ResponseWriter, r *http.Request) {
		b := body(r)
		if strings.Contains(b, `"stream":true`) {
			broken = true
		}
		if broken {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		speaker(echo)(w, r)
	})
	want(t, r, "battery: streamGone", Failed, "no longer healthy")
}

// TestBatteryOfTensors: inputs that do not fit each other must be refused.
func TestBatteryOfTensors(t *testing.T) {
	const spec = "  target: {dialect: oip, path: /v2/models/m/infer}\n  sample: {body: {inputs: [{name: x, shape: [1, 2], datatype: FP32, data: [1, 2]}]}}\n  exceptions: [{battery: all, only: [tensors]}]\n"
	r := run(t, spec, okJSON)
	want(t, r, "battery: tensors", Failed, "a negative shape: status 200, want a refusal by 4xx")
	r = run(t, spec, func(w http.ResponseWriter, r *http.Request) {
		if b := body(r); b != `{"inputs":[{"data":[1,2],"datatype":"FP32","name":"x","shape":[1,2]}]}` {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		okJSON(w, r)
	})
	want(t, r, "battery: tensors", Passed, "no 5xx, no hang, no crash, healthy after")
}

package dialect

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"pgregory.net/rapid"

	"sluice.dev/sluice/internal/release"
)

const chatPath = "/v1/chat/completions"

func edited(t testing.TB, d release.Dialect, path, contentType, body, model string, usage bool) (string, bool) {
	t.Helper()
	c := Read(d, path, contentType, []byte(body))
	edits, ok := c.Edits([]byte(body), model, usage)
	at := 0
	for _, e := range edits {
		if e.At < at || e.N < 0 || e.At+e.N > len(body) {
			t.Fatalf("edits %v overlap or lie outside of %d bytes", edits, len(body))
		}
		at = e.At + e.N
	}
	out := Apply([]byte(body), edits)
	if len(out) != Len(len(body), edits) {
		t.Fatalf("the body has %d bytes, Len said %d", len(out), Len(len(body), edits))
	}
	return string(out), ok
}

// 3.9: the model's name is replaced where it stands, at the top and nowhere else, each time it stands
// there; everything else is byte for byte as it was.
func TestWire3_9_ModelInBody(t *testing.T) {
	for _, c := range []struct {
		body, want string
		ok         bool
	}{
		{`{"model":"a","n":1.0e+2}`, `{"model":"B","n":1.0e+2}`, true},
		{" {\n\t\"n\" : 10000000000000000000001 , \"model\" :\t\"a\\\"x\" }\n", " {\n\t\"n\" : 10000000000000000000001 , \"model\" :\t\"B\" }\n", true},
		{`{"messages":[{"model":"a"}],"x":{"model":"a"},"model":"a"}`, `{"messages":[{"model":"a"}],"x":{"model":"a"},"model":"B"}`, true},
		{`{"text":"\"model\":\"a\"","model":"a"}`, `{"text":"\"model\":\"a\"","model":"B"}`, true},
		{`{"model":"a","model":"c"}`, `{"model":"B","model":"B"}`, true},
		{`{"mod\u0065l":"a","\u006dodel":"a"}`, `{"mod\u0065l":"B","\u006dodel":"B"}`, true},
		{`{"model":null,"z":[]}`, `{"model":"B","z":[]}`, true},
		{`{"model":{"deep":["a"]}}`, `{"model":"B"}`, true},
		{`{"messages":[]}`, `{"messages":[]}`, true},
		{`{}`, `{}`, true},
		{`[1]`, `[1]`, true},
		{`not json`, `not json`, true},
		{`{"model":"a"`, ``, false},
		{`{"model":"a" "b"}`, ``, false},
		{`{` + strings.Repeat(`"model":"a",`, maxEdits+1) + `"n":1}`, ``, false},
	} {
		got, ok := edited(t, release.DialectOpenAI, chatPath, "application/json", c.body, "B", false)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%.80s\ngives %s %v\n want %s %v", c.body, got, ok, c.want, c.ok)
		}
	}
	got, _ := edited(t, release.DialectAnthropic, "/v1/messages", "application/json", `{"model":"a","max_tokens":1}`, `org/"x"`, true)
	if want := `{"model":"org/\"x\"","max_tokens":1}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// 3.9: whatever the document, all that is not the model's value stays, and what a JSON library reads is the
// same but for it.
func TestWire3_9_OtherBytesAreIdentical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfN(rapid.SampledFrom([]string{"model", `mod\u0065l`, "messages", "stream", "a", "Model", `mo\"del`}), 1, 6).Draw(t, "keys")
		values := rapid.SampledFrom([]string{`"x"`, `"\\"`, `"\"}"`, `1e5`, `null`, `true`, `[]`, `[{"model":"q"},"]"]`, `{"model":{"model":1}}`, `"äß\u00e4"`})
		spaces := rapid.SampledFrom([]string{"", " ", "\n\t", "\r\n"})
		body := spaces.Draw(t, "s") + "{"
		want := body
		for i, k := range keys {
			if i > 0 {
				body, want = body+",", want+","
			}
			head := spaces.Draw(t, "s") + `"` + k + `"` + spaces.Draw(t, "s") + ":" + spaces.Draw(t, "s")
			v, tail := values.Draw(t, "v"), spaces.Draw(t, "s")
			body += head + v + tail
			if k == "model" || k == `mod\u0065l` {
				v = `"B"`
			}
			want += head + v + tail
		}
		body, want = body+"}", want+"}"
		c := Read(release.DialectOpenAI, chatPath, "application/json", []byte(body))
		edits, ok := c.Edits([]byte(body), "B", false)
		if got := string(Apply([]byte(body), edits)); !ok || got != want {
			t.Fatalf("%s\ngives %s\n want %s", body, got, want)
		}
	})
}

// 3.2: a stream is asked for its usage, if the client did not do so.
func TestWire3_2_UsageIsAskedFor(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`{"model":"a","stream":true}`, `{"stream_options":{"include_usage":true},"model":"a","stream":true}`},
		{` { "stream":true}`, ` {"stream_options":{"include_usage":true}, "stream":true}`},
		{`{"stream":true,"stream_options":{}}`, `{"stream":true,"stream_options":{"include_usage":true}}`},
		{`{"stream":true,"stream_options":null}`, `{"stream":true,"stream_options":{"include_usage":true}}`},
		{`{"stream":true,"stream_options":{"include_obfuscation":false}}`, `{"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}}`},
		{`{"stream":true,"stream_options":{"include_usage": false}}`, `{"stream":true,"stream_options":{"include_usage": true}}`},
		{`{"stream":true,"stream_options":{"include_usage":true}}`, `{"stream":true,"stream_options":{"include_usage":true}}`},
		{`{"stream":false}`, `{"stream":false}`},
		{`{"stream":"true"}`, `{"stream":"true"}`},
		{`{"messages":[]}`, `{"messages":[]}`},
	} {
		if got, ok := edited(t, release.DialectOpenAI, chatPath, "application/json", c.body, "", true); !ok || got != c.want {
			t.Errorf("%s\ngives %s\n want %s", c.body, got, c.want)
		}
		if got, _ := edited(t, release.DialectOpenAI, chatPath, "application/json", c.body, "", false); got != c.body {
			t.Errorf("%s is changed to %s without need", c.body, got)
		}
	}
	const stream = `{"model":"a","stream":true}`
	for _, path := range []string{"/v1/responses", "/v1/embeddings", "/v1/other"} {
		if got, _ := edited(t, release.DialectOpenAI, path, "application/json", stream, "", true); got != stream {
			t.Errorf("%s knows no stream_options, and gets %s", path, got)
		}
	}
	if got, _ := edited(t, release.DialectOpenAI, "/v1/completions", "", stream, "B", true); got != `{"stream_options":{"include_usage":true},"model":"B","stream":true}` {
		t.Errorf("both at once: %s", got)
	}
}

// 3.9: the path's model, as it is escaped.
func TestWire3_9_ModelInPath(t *testing.T) {
	for _, c := range []struct {
		dialect          release.Dialect
		path, want, name string
	}{
		{release.DialectGemini, "/v1beta/models/small:generateContent", "/v1beta/models/org%2Fbig%201:generateContent", "small"},
		{release.DialectGemini, "/v1/projects/p/locations/l/publishers/google/models/small:streamGenerateContent", "/v1/projects/p/locations/l/publishers/google/models/org%2Fbig%201:streamGenerateContent", "small"},
		{release.DialectGemini, "/v1beta/models/a%3Ab:countTokens", "/v1beta/models/org%2Fbig%201:countTokens", "a:b"},
		{release.DialectGemini, "/v1beta/models", "", ""},
		{release.DialectGemini, "/v1beta/models/small", "", ""},
		{release.DialectGemini, "/v1beta/cachedContents:x", "", ""},
		{release.DialectOpenAI, "/openai/deployments/small/chat/completions", "/openai/deployments/org%2Fbig%201/chat/completions", "small"},
		{release.DialectOpenAI, "/v1/chat/completions", "", ""},
		{release.DialectOIP, "/v2/models/small/infer", "/v2/models/org%2Fbig%201/infer", "small"},
		{release.DialectOIP, "/v2/models/small/versions/2/infer", "/v2/models/org%2Fbig%201/versions/2/infer", "small"},
		{release.DialectOIP, "/v2/models/", "", ""},
		{release.DialectOIP, "/inference.GRPCInferenceService/ModelInfer", "", ""},
		{release.DialectAnthropic, "/model/small/invoke-with-response-stream", "/model/org%2Fbig%201/invoke-with-response-stream", "small"},
		{release.DialectAnthropic, "/v1/messages", "", ""},
		{release.DialectJSON, "/v2/models/small/infer", "", ""},
	} {
		got, ok := Path(c.dialect, c.path, "org/big 1")
		if ok != (c.want != "") || ok && got != c.want || !ok && got != c.path {
			t.Errorf("%s %s becomes %s, %v", c.dialect, c.path, got, ok)
		}
		if name := PathModel(c.dialect, c.path); name != c.name {
			t.Errorf("%s %s names %q, want %q", c.dialect, c.path, name, c.name)
		}
		if name := Model(c.path, "application/json", []byte(`{"contents":[]}`)); c.dialect != release.DialectJSON && name != c.name && c.path != "/v1beta/models/small" {
			t.Errorf("%s names %q, want %q", c.path, name, c.name)
		}
		if name := Model(c.path, "application/json", []byte(`{"model":"in\u0062ody"}`)); name != "inbody" {
			t.Errorf("%s with a body names %q", c.path, name)
		}
	}
}

// 3.9: a form's field, as audio requests have it.
func TestWire3_9_ModelInForm(t *testing.T) {
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	file, _ := w.CreateFormFile("file", "model")
	_, _ = file.Write([]byte("\r\n--" + w.Boundary()[:10] + "\r\nmodel\x00\xff\r\n"))
	_ = w.WriteField("model", "whisper-1")
	_ = w.WriteField("prompt", "model")
	_ = w.WriteField("model", "")
	_ = w.Close()
	body := b.String()
	got, ok := edited(t, release.DialectOpenAI, "/v1/audio/transcriptions", w.FormDataContentType(), body, "B", true)
	want := strings.Replace(body, "whisper-1", "B", 1)
	last := "name=\"model\"\r\n\r\n"
	i := strings.LastIndex(want, last) + len(last)
	if want = want[:i] + "B" + want[i:]; !ok || got != want {
		t.Errorf("the form\n%q\nbecomes %v\n%q", body, ok, got)
	}
	if m := Model("/v1/audio/transcriptions", w.FormDataContentType(), []byte(got)); m != "B" {
		t.Errorf("it names %q", m)
	}
	for _, cut := range []string{body[:len(body)-8], body[:40], ""} {
		if _, ok := edited(t, release.DialectOpenAI, "/v1/audio/transcriptions", w.FormDataContentType(), cut, "B", false); ok {
			t.Errorf("a form that ends early is edited: %q", cut)
		}
	}
	if _, ok := edited(t, release.DialectOpenAI, "/v1/audio/transcriptions", w.FormDataContentType(), body, "B\r\nX: y", false); ok {
		t.Error("a line break got into a form")
	}
	pre := "preamble\r\n--b \r\nContent-Disposition: form-data; name=model\r\n\r\na\r\n--b--\r\nepilogue"
	if got, ok := edited(t, release.DialectOpenAI, "/v1/audio/speech", "multipart/form-data; boundary=b", pre, "B", false); !ok || got != strings.Replace(pre, "\r\n\r\na", "\r\n\r\nB", 1) {
		t.Errorf("got %q, %v", got, ok)
	}
}

// inferRequest is a gRPC message with a ModelInferRequest.
func inferRequest(fields ...string) []byte {
	var m []byte
	for i := 0; i+1 < len(fields); i += 2 {
		m = append(m, fields[i]...)
		m = append(m, fields[i+1]...)
	}
	return frame(m)
}

func frame(m []byte) []byte {
	return append([]byte{0, byte(len(m) >> 24), byte(len(m) >> 16), byte(len(m) >> 8), byte(len(m))}, m...)
}

func protoText(number protowire.Number, s string) string {
	return string(appendProtoString(nil, number, s))
}

// 3.9: the Open Inference Protocol over gRPC: the name and the frame's length change, nothing else.
func TestWire3_9_ModelInProtobuf(t *testing.T) {
	rest := protoText(2, "1") + protoText(3, "id") + protoText(5, protoText(1, "model")) + protoText(7, "\x00\x01")
	for _, c := range []struct{ in, want []byte }{
		{inferRequest(protoText(1, "small"), rest), inferRequest(protoText(1, "bigger"), rest)},
		{inferRequest(rest, protoText(1, "small")), inferRequest(rest, protoText(1, "bigger"))},
		{inferRequest(protoText(1, "a"), rest+protoText(1, "b")), inferRequest(protoText(1, "bigger"), rest+protoText(1, "bigger"))},
		{inferRequest(rest, ""), inferRequest(protoText(1, "bigger"), rest)},
		{append(inferRequest(protoText(1, "a"), rest), "next"...), append(inferRequest(protoText(1, "bigger"), rest), "next"...)},
		{[]byte{1, 0, 0, 0, 0}, nil},
		{[]byte{0, 0, 0, 0, 9, 1}, nil},
		{frame([]byte{0x0b, 0x0c}), nil},
		{nil, nil},
	} {
		got, ok := edited(t, release.DialectOIP, grpcInfer, "application/grpc+proto", string(c.in), "bigger", false)
		if c.in == nil {
			continue
		}
		if ok != (c.want != nil) || ok && got != string(c.want) {
			t.Errorf("%q becomes %v\n%q, want\n%q", c.in, ok, got, c.want)
		}
	}
	if m := Model(grpcInfer, "application/grpc", inferRequest(rest, protoText(1, "small"))); m != "small" {
		t.Errorf("it names %q", m)
	}
}

func FuzzEdits(f *testing.F) {
	for _, seed := range []string{`{"model":"a","stream":true}`, `{"stream":true,"stream_options":{"x":1},"model":"a"}`, `{"mod\u0065l":[{}]}`, `{"a":"\\","model":1}`, `{`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, ok := edited(t, release.DialectOpenAI, chatPath, "application/json", string(body), "B", true)
		var before, after map[string]json.RawMessage
		if json.Unmarshal(body, &before) != nil {
			return // what is no JSON may be left alone or refused
		}
		if !ok {
			if bytes.Count(body, []byte(`:`)) <= maxEdits {
				t.Fatalf("%s can't be edited", body)
			}
			return
		}
		if err := json.Unmarshal([]byte(got), &after); err != nil {
			t.Fatalf("%s becomes %s: %v", body, got, err)
		}
		if _, has := before["model"]; has && string(after["model"]) != `"B"` {
			t.Fatalf("%s asks for %s", got, after["model"])
		}
		delete(after, "model")
		delete(before, "model")
		delete(after, "stream_options")
		delete(before, "stream_options")
		if len(before) != len(after) {
			t.Fatalf("%s becomes %s", body, got)
		}
		for k, v := range before {
			if !bytes.Equal(v, after[k]) {
				t.Fatalf("%s of %s becomes %s", k, body, got)
			}
		}
	})
}

func FuzzForm(f *testing.F) {
	f.Add("--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\na\r\n--b--\r\n")
	f.Add("--b\r\n\r\n\r\n--b--")
	f.Fuzz(func(t *testing.T, body string) {
		edited(t, release.DialectOpenAI, "/v1/audio/speech", "multipart/form-data; boundary=b", body, "B", false)
	})
}

func FuzzProtobuf(f *testing.F) {
	f.Add(inferRequest(protoText(1, "small"), protoText(5, "x")))
	f.Add(frame(append(protowire.AppendTag(nil, 5, protowire.BytesType), 3, 0x0a, 1, 'y')))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, ok := edited(t, release.DialectOIP, grpcInfer, "application/grpc", string(body), "B", false)
		if ok {
			if m := grpcModel([]byte(got)); m != "B" {
				t.Fatalf("%q asks for %q", got, m)
			}
			if edits, _ := grpcEdits([]byte(got), "B"); string(Apply([]byte(got), edits)) != got {
				t.Fatalf("a second edit changes %q", got)
			}
		}
		if doc := GRPCDocument(body); doc != nil && !json.Valid(doc) {
			t.Fatalf("%q is no JSON", doc)
		}
	})
}

// FuzzBody reads all that is peeked at in a request.
func FuzzBody(f *testing.F) {
	f.Add([]byte(`{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"stream":true}`))
	f.Add([]byte(`{"system":[{"text":"a"}],"contents":[{"parts":[{"text":"b"}]}],"input":[{}]}`))
	f.Add([]byte(`{"conversation":{"id":"c"},"input":["x"]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		for _, d := range []release.Dialect{release.DialectOpenAI, release.DialectAnthropic, release.DialectGemini} {
			_ = Read(d, "/v1/messages", "application/json", body)
			if a, b := Conversation("", body), Conversation("", slices.Clone(body)); a != b {
				t.Fatalf("the conversation of %s is %q and %q", body, a, b)
			}
			_ = Model("/v1/messages", "", body)
		}
		if !bytes.Equal(before, body) {
			t.Fatal("the body was changed")
		}
	})
}

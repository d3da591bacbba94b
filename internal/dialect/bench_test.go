package dialect

import (
	"bytes"
	"strings"
	"testing"

	"sluice.dev/sluice/internal/release"
)

// A chunk of a stream read along: time and allocations per event.
func BenchmarkChunk(b *testing.B) {
	for _, c := range []struct {
		name, event string
		o           Options
	}{
		{"openai-chat", `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1750000000,"model":"small-1","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],"usage":null}` + "\n\n", Options{}},
		{"openai-chat", `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1750000000,"model":"small-1","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"content":" word"},"logprobs":null,"finish_reason":null}],"usage":null}` + "\n\n", Options{Strip: true, Text: true, Limit: 256 << 10}},
		{"anthropic-message", "event: content_block_delta\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" word"}}` + "\n\n", Options{}},
		{"gemini", `data: {"candidates": [{"content": {"parts": [{"text": " word"}],"role": "model"},"index": 0}],"usageMetadata": {"promptTokenCount": 4,"candidatesTokenCount": 7,"totalTokenCount": 11},"modelVersion": "small-1"}` + "\r\n\r\n", Options{}},
	} {
		name := c.name
		if c.o.Text {
			name += "-text"
		}
		b.Run(name, func(b *testing.B) {
			event := []byte(c.event)
			var r Reader
			r.Begin(calls[c.name], 200, sseType, "", c.o)
			b.SetBytes(int64(len(event)))
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if i++; i%1000 == 0 { // a stream has an end
					r.Begin(calls[c.name], 200, sseType, "", c.o)
				}
				r.Chunk(event, 1)
			}
		})
	}
}

// A large prompt: finding what must be edited, without copying it.
func BenchmarkEdits(b *testing.B) {
	body := []byte(`{"model":"a","messages":[{"role":"user","content":"` + strings.Repeat("All work and no play. ", 50_000) + `"}],"stream":true}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		c := Read(release.DialectOpenAI, "/v1/chat/completions", "application/json", body)
		if edits, ok := c.Edits(body, "b", true); !ok || len(edits) != 2 {
			b.Fatal(edits)
		}
	}
}

// The promise of no allocations per chunk is kept for streams in one piece per event.
func TestChunksAllocateNothing(t *testing.T) {
	for name, call := range calls {
		stream := maybe(name + ".sse")
		if stream == nil || !call.Stream {
			continue
		}
		events := bytes.SplitAfter(stream, []byte("\n\n"))
		var r Reader
		o := Options{Text: true, Limit: 1 << 10}
		if n := testing.AllocsPerRun(100, func() {
			r.Begin(call, 200, sseType, "", o)
			for _, e := range events {
				r.Chunk(e, 1)
			}
			r.End(true)
		}); n != 0 {
			t.Errorf("%s: %v allocations per stream", name, n)
		}
	}
}

package clients

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/responses"
)

func chatParams(word, model string, tools bool) openai.ChatCompletionNewParams {
	p := openai.ChatCompletionNewParams{
		Model: model, User: openai.String("go"), Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(word)},
	}
	if tools {
		p.Tools = []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(openai.FunctionDefinitionParam{
			Name: "weather", Parameters: openai.FunctionParameters{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}},
		})}
	}
	return p
}

func TestOpenAI(t *testing.T) {
	w := start(t)
	client := openai.NewClient(option.WithBaseURL(w.gateway+"/v1"), option.WithAPIKey("sk-test"))
	ctx := t.Context()

	t.Run("chat", func(t *testing.T) {
		var resp *http.Response
		got, err := client.Chat.Completions.New(ctx, chatParams("hello", "chat", false), option.WithResponseInto(&resp))
		if err != nil || got.Choices[0].Message.Content != "Hello there!" || got.Usage.PromptTokensDetails.CachedTokens != 4 || resp.Header.Get("X-Sluice-Id") == "" {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("streams and tools", func(t *testing.T) {
		for _, tools := range []bool{false, true} {
			stream := client.Chat.Completions.NewStreaming(ctx, chatParams("hello", "chat", tools))
			var acc openai.ChatCompletionAccumulator
			for stream.Next() {
				if len(stream.Current().Choices) == 0 {
					t.Error("a chunk that was not asked for")
				}
				acc.AddChunk(stream.Current())
			}
			if stream.Err() != nil || len(acc.Choices) == 0 {
				t.Fatal(stream.Err())
			}
			m := acc.Choices[0].Message
			if !tools && m.Content != "Hello there!" || tools && (len(m.ToolCalls) != 1 || m.ToolCalls[0].Function.Arguments != `{"city":"Ulm"}`) {
				t.Errorf("tools %v: %+v", tools, m)
			}
		}
	})
	t.Run("responses", func(t *testing.T) {
		p := responses.ResponseNewParams{Model: "chat", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("hello")}}
		if got, err := client.Responses.New(ctx, p); err != nil || got.OutputText() != "Hello there!" {
			t.Errorf("%+v, %v", got, err)
		}
		stream, text := client.Responses.NewStreaming(ctx, p), ""
		for stream.Next() {
			if e := stream.Current(); e.Type == "response.output_text.delta" {
				text += e.Delta
			}
		}
		if stream.Err() != nil || text != "Hello there!" {
			t.Errorf("%q, %v", text, stream.Err())
		}
	})
	t.Run("errors", func(t *testing.T) {
		var e *openai.Error
		if _, err := client.Chat.Completions.New(ctx, chatParams("bad:go", "chat", false)); !errors.As(err, &e) || e.StatusCode != 400 || e.Message != "bad is not a request" {
			t.Errorf("%v", err)
		}
		if _, err := client.Chat.Completions.New(ctx, chatParams("hello", "nobody", false), option.WithMaxRetries(0)); !errors.As(err, &e) || e.StatusCode != 502 || e.Code != "upstream_unreachable" {
			t.Errorf("%v", err)
		}
		for word, want := range map[string]string{"cut": "before it was complete", "fail": "CUDA out of memory"} {
			stream := client.Chat.Completions.NewStreaming(ctx, chatParams(word, "chat", false))
			for stream.Next() {
			}
			if err := stream.Err(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", word, err)
			}
		}
	})
	t.Run("retries", func(t *testing.T) {
		if got, err := client.Chat.Completions.New(ctx, chatParams("busy:go", "chat", false)); err != nil || got.Choices[0].Message.Content != "Hello there!" || w.seen(t, "busy:go").Requests != 3 {
			t.Errorf("%+v, %v", got, err)
		}
	})
	t.Run("cancel", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		stream := client.Chat.Completions.NewStreaming(ctx, chatParams("slow:go", "chat", false))
		for range 5 {
			stream.Next()
		}
		cancel()
		_ = stream.Close()
		w.cancelled(t, "slow:go")
	})
	t.Run("language model", func(t *testing.T) {
		p := openai.CompletionNewParams{Model: "wordnet-lm", Prompt: openai.CompletionNewParamsPromptUnion{OfString: openai.String("rename: assign a")}, MaxTokens: openai.Int(4), Temperature: openai.Float(0)}
		whole, err := client.Completions.New(ctx, p)
		if err != nil || whole.Usage.CompletionTokens == 0 {
			t.Fatal(whole, err)
		}
		stream, text := client.Completions.NewStreaming(ctx, p), ""
		for stream.Next() {
			text += stream.Current().Choices[0].Text
		}
		if stream.Err() != nil || text != whole.Choices[0].Text {
			t.Errorf("%q, want %q, %v", text, whole.Choices[0].Text, stream.Err())
		}
	})
}

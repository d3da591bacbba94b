package clients

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
)

func messageParams(word, model string, tools bool) anthropic.MessageNewParams {
	p := anthropic.MessageNewParams{
		Model: anthropic.Model(model), MaxTokens: 64, Metadata: anthropic.MetadataParam{UserID: anthropic.String("go")},
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(word))},
	}
	if tools {
		p.Tools = []anthropic.ToolUnionParam{{OfTool: &anthropic.ToolParam{Name: "weather", InputSchema: anthropic.ToolInputSchemaParam{Properties: map[string]any{"city": map[string]any{"type": "string"}}}}}}
	}
	return p
}

func TestAnthropic(t *testing.T) {
	w := start(t)
	client := anthropic.NewClient(option.WithBaseURL(w.gateway), option.WithAPIKey("sk-ant-test"))
	ctx := t.Context()

	t.Run("messages", func(t *testing.T) {
		got, err := client.Messages.New(ctx, messageParams("hello", "claude", false))
		if err != nil || got.Content[0].Text != "Hello there!" || got.Usage.CacheReadInputTokens != 4 {
			t.Errorf("%+v, %v", got, err)
		}
		n, err := client.Messages.CountTokens(ctx, anthropic.MessageCountTokensParams{Model: "claude", Messages: messageParams("hello", "claude", false).Messages})
		if err != nil || n.InputTokens != 14 {
			t.Errorf("%+v, %v", n, err)
		}
	})
	t.Run("streams and tools", func(t *testing.T) {
		for _, tools := range []bool{false, true} {
			stream := client.Messages.NewStreaming(ctx, messageParams("hello", "claude", tools))
			var m anthropic.Message
			for stream.Next() {
				if err := m.Accumulate(stream.Current()); err != nil {
					t.Fatal(err)
				}
			}
			if stream.Err() != nil || len(m.Content) != 1 || m.Usage.OutputTokens != 3 {
				t.Fatalf("%+v, %v", m, stream.Err())
			}
			if c := m.Content[0]; !tools && c.Text != "Hello there!" || tools && string(c.Input) != `{"city":"Ulm"}` {
				t.Errorf("tools %v: %+v", tools, c)
			}
		}
	})
	t.Run("errors", func(t *testing.T) {
		var e *anthropic.Error
		if _, err := client.Messages.New(ctx, messageParams("bad:go", "claude", false)); !errors.As(err, &e) || e.StatusCode != 400 || !strings.Contains(e.RawJSON(), "bad is not a request") {
			t.Errorf("%v", err)
		}
		if _, err := client.Messages.New(ctx, messageParams("hello", "nobody", false), option.WithMaxRetries(0)); !errors.As(err, &e) || e.StatusCode != 502 || !strings.Contains(e.RawJSON(), "sluice_upstream_unreachable") {
			t.Errorf("%v", err)
		}
		for word, want := range map[string]string{"cut": "sluice_upstream_truncated", "fail": "overloaded_error"} {
			stream := client.Messages.NewStreaming(ctx, messageParams(word, "claude", false))
			for stream.Next() {
			}
			if err := stream.Err(); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", word, err)
			}
		}
	})
	t.Run("retries", func(t *testing.T) {
		if _, err := client.Messages.New(ctx, messageParams("busy:go-anthropic", "claude", false)); err != nil || w.seen(t, "busy:go-anthropic").Requests != 3 {
			t.Errorf("%v", err)
		}
	})
	t.Run("cancel", func(t *testing.T) {
		ctx, cancel := context.WithCancel(ctx)
		stream := client.Messages.NewStreaming(ctx, messageParams("slow:go-anthropic", "claude", false))
		for range 8 {
			stream.Next()
		}
		cancel()
		_ = stream.Close()
		w.cancelled(t, "slow:go-anthropic")
	})
}

package telemetry

import (
	"cmp"
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

// Exchange is what is told of a request when it is over. Empty fields are left out.
type Exchange struct {
	Model, Arm, Version string // Sluice's words
	Release             uint32
	Exposure            string // the exposure id without its signature
	Mirrored            bool   // a copy, whose answer nobody saw
	Diverted            bool   // live answered a user of the candidate

	Method string
	Status int    // 0: no answer
	Error  string // a word of a closed list; empty: none
	Server string // the upstream's host
	Port   int

	Operation, Provider         string // of the GenAI conventions; Operation empty: no language model
	RequestModel, ResponseModel string
	Stream                      bool
	Finish                      string

	Duration, FirstContent, PerToken time.Duration // 0: not known
	Tokens                           Tokens
}

// Tokens as the provider tells them, with input as all tokens of the prompt, cached ones too; negative: not told.
type Tokens struct{ Input, Output, Cached, CacheWrite, Reasoning int64 }

// End ends the span and measures the request.
func (s *Span) End(e Exchange) {
	s.t.measure(e)
	if !s.span.IsRecording() {
		s.span.End()
		return
	}
	s.span.SetName(spanName(e))
	s.span.SetAttributes(e.attributes()...)
	if e.Error != "" {
		s.span.SetStatus(codes.Error, e.Error)
	}
	s.span.End(trace.WithTimestamp(s.start.Add(e.Duration)))
}

func spanName(e Exchange) string {
	if e.Operation == "" {
		return cmp.Or(e.Method, "HTTP") + " " + e.Model
	}
	return strings.TrimSpace(e.Operation + " " + e.RequestModel)
}

// attributes are those of a span.
func (e Exchange) attributes() []attribute.KeyValue {
	out := e.labels()
	add := func(known bool, kv attribute.KeyValue) {
		if known {
			out = append(out, kv)
		}
	}
	add(e.Release > 0, keyRelease.Int64(int64(e.Release)))
	add(e.Exposure != "", keyExposure.String(e.Exposure))
	add(e.Mirrored, keyMirrored.Bool(true))
	add(e.Diverted, keyDiverted.Bool(true))
	add(e.Method != "", keyMethod.String(e.Method))
	add(e.Operation != "" && e.Status > 0, keyStatus.Int(e.Status))
	if e.Operation == "" {
		return out
	}
	add(e.Stream, keyStream.Bool(true))
	add(e.Finish != "", keyFinish.StringSlice([]string{e.Finish}))
	add(e.FirstContent > 0, keyFirstChunk.Float64(e.FirstContent.Seconds()))
	for _, t := range []struct {
		key attribute.Key
		n   int64
	}{
		{keyInput, e.Tokens.Input},
		{keyOutput, e.Tokens.Output},
		{keyCached, e.Tokens.Cached},
		{keyCacheWrite, e.Tokens.CacheWrite},
		{keyReasoning, e.Tokens.Reasoning},
	} {
		add(t.n >= 0, t.key.Int64(t.n))
	}
	return out
}

// labels are those of a metric: few values each.
func (e Exchange) labels() []attribute.KeyValue {
	out := []attribute.KeyValue{keyModel.String(e.Model), keyArm.String(e.Arm), keyVersion.String(e.Version)}
	add := func(known bool, kv attribute.KeyValue) {
		if known {
			out = append(out, kv)
		}
	}
	add(e.Error != "", keyErrorType.String(e.Error))
	add(e.Server != "", keyServer.String(e.Server))
	add(e.Port > 0, keyPort.Int(e.Port))
	if e.Operation == "" {
		add(e.Method != "", keyMethod.String(e.Method))
		add(e.Status > 0, keyStatus.Int(e.Status))
		return out
	}
	out = append(out, keyOperation.String(e.Operation), keyProvider.String(e.Provider))
	add(e.RequestModel != "", keyRequestModel.String(e.RequestModel))
	add(e.ResponseModel != "", keyResponseModel.String(e.ResponseModel))
	return out
}

func (t *Telemetry) measure(e Exchange) {
	if e.Mirrored {
		return // nobody waited for it
	}
	ctx := context.Background()
	set := attribute.NewSet(e.labels()...)
	with := metric.WithAttributeSet(set)
	if e.Operation == "" {
		t.sets.request.Record(ctx, e.Duration.Seconds(), with)
		return
	}
	t.sets.duration.Record(ctx, e.Duration.Seconds(), with)
	if e.Error == "" && e.FirstContent > 0 {
		t.sets.firstChunk.Record(ctx, e.FirstContent.Seconds(), with)
	}
	if e.Error == "" && e.PerToken > 0 {
		t.sets.perChunk.Record(ctx, e.PerToken.Seconds(), with)
	}
	if e.Tokens.Input >= 0 {
		t.sets.tokens.Record(ctx, e.Tokens.Input, with, metric.WithAttributes(keyTokenType.String("input")))
	}
	if e.Tokens.Output >= 0 {
		t.sets.tokens.Record(ctx, e.Tokens.Output, with, metric.WithAttributes(keyTokenType.String("output")))
	}
}

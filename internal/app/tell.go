package app

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	"sluice.dev/sluice/internal/capture"
	"sluice.dev/sluice/internal/dialect"
	"sluice.dev/sluice/internal/gateway"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/telemetry"
)

// tracer joins the gateway to OpenTelemetry.
type tracer struct{ *telemetry.Telemetry }

// Begin implements gateway.Tracer.
func (t tracer) Begin(in http.Header, start time.Time) gateway.Span {
	return span{t.Telemetry.Begin(in, start)}
}

type span struct{ *telemetry.Span }

// End implements gateway.Span.
func (s span) End(t *gateway.Told) {
	m := &t.Measures
	host, port := hostPort(t.Server)
	e := telemetry.Exchange{
		Model: t.Model, Arm: t.Arm, Version: t.Version, Release: t.Release, Exposure: t.Exposure, Mirrored: t.Mirrored, Diverted: t.Diverted,
		Method: t.Method, Status: t.Status, Error: errorOf(t), Server: host, Port: port, Duration: t.Latency,
	}
	if e.Operation = operations[t.Op]; e.Operation != "" {
		e.Provider, e.RequestModel, e.Stream, e.Finish = providers[t.Dialect], t.RequestModel, m.Stream, m.Finish
		e.Tokens = tokensOf(m.Tokens)
		if m.Content > 0 {
			e.FirstContent = m.Content
		}
		if d, ok := m.PerToken(t.Latency); ok {
			e.PerToken = d
		}
	}
	s.Span.End(e)
}

// operations are the GenAI conventions' words; what has none is followed as any HTTP request.
var operations = map[dialect.Op]string{
	dialect.OpChat: "chat", dialect.OpCompletion: "text_completion", dialect.OpResponses: "chat", dialect.OpEmbeddings: "embeddings",
	dialect.OpMessages: "chat", dialect.OpGenerate: "generate_content",
}

// providers are the conventions' words for whose protocol is spoken; who stands behind it is not known.
var providers = map[release.Dialect]string{
	release.DialectOpenAI: "openai", release.DialectAnthropic: "anthropic", release.DialectGemini: "gcp.gemini",
}

func tokensOf(t dialect.Tokens) telemetry.Tokens {
	out := telemetry.Tokens{Input: -1, Output: -1, Cached: -1, CacheWrite: -1, Reasoning: -1}
	if t.HasInput {
		out.Input, out.Cached, out.CacheWrite = t.Input, t.CacheRead, t.CacheWrite
	}
	if t.HasOutput {
		out.Output = t.Output
	}
	if t.HasOutput && !t.Estimated {
		out.Reasoning = t.Reasoning
	}
	return out
}

// errorOf is the conventions' error.type: a status, or a word for what had none. A client's error is one to the client.
func errorOf(t *gateway.Told) string {
	switch t.Class {
	case "2xx", "3xx":
		return ""
	case "4xx", "5xx":
		return strconv.Itoa(t.Status)
	}
	return t.Class
}

func hostPort(s string) (string, int) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return s, 0
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return host, 0
	}
	return host, port
}

// startTracer starts OpenTelemetry if a collector is named; nil: none is.
func (a *App) startTracer(ctx context.Context, c release.OTLPConfig) (gateway.Tracer, error) {
	if c.Endpoint == "" {
		return nil, nil //nolint:nilnil // nobody follows
	}
	headers := map[string]string{}
	for name, ref := range c.Headers {
		value, err := resolveSecret(ref)
		if err != nil {
			return nil, err
		}
		headers[name] = value
	}
	t, err := telemetry.Start(ctx, telemetry.Options{
		Endpoint: c.Endpoint, Headers: headers, Traces: float64(c.Traces) / float64(release.Whole),
		Version: a.o.Version, Node: "gateway-1", Log: a.o.Log.With("part", "telemetry"),
	})
	if err != nil {
		return nil, release.Invalid("start telemetry", "%v", err).Fix("see spec.otlp")
	}
	a.stops = append(a.stops, func(ctx context.Context) error {
		// A collector that is away must not keep the process from its end.
		bounded, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		if err := t.Stop(bounded); err != nil {
			a.o.Log.Warn("the last telemetry is not exported", "error", err)
		}
		return nil
	})
	return tracer{t}, nil
}

// captures joins the gateway to the files of captured bodies.
type captures struct{ *capture.Writer }

// Capture implements gateway.Captures.
func (w captures) Capture(c *gateway.Captured) {
	w.Keep(capture.Raw{
		Exchange: capture.Exchange{
			Time: c.Time.UTC(), Model: c.Model, Release: c.Release, Arm: c.Arm, Version: c.Version, Exposure: c.Exposure,
			Mirrored: c.Mirrored, Status: c.Status, Keep: c.Spec.Keep.Std(),
		},
		RequestType: c.Request.Type, RequestBody: c.Request.Bytes, RequestSize: c.Request.Size,
		AnswerType: c.Answer.Type, AnswerBody: c.Answer.Bytes, AnswerSize: c.Answer.Size, Words: c.Text,
		Redact: capture.NewRedactor(c.Spec.Paths(c.Unit), int(c.Spec.MaxBody)),
	})
}

// CaptureDir and CaptureKey are where a Config without own places keeps captured bodies and the key to them.
func CaptureDir(c *release.ConfigSpec) string {
	if c.Capture.Dir != "" {
		return c.Capture.Dir
	}
	return filepath.Join(c.DataDir, "capture")
}

// CaptureKey is the file of the key that is made when a Config names no recipient.
func CaptureKey(c *release.ConfigSpec) string { return filepath.Join(c.DataDir, "capture.key") }

// startCaptures makes room for captured bodies. Nothing is written until a Model file asks for it.
func (a *App) startCaptures(c *release.ConfigSpec) (gateway.Captures, error) {
	to, err := capture.Recipient(c.Capture.Recipient, CaptureKey(c))
	if err != nil {
		return nil, release.Invalid("start capture", "%v", err).Fix("see spec.capture")
	}
	w := capture.NewWriter(capture.Options{Dir: CaptureDir(c), Recipient: to, MaxBytes: int64(c.Capture.Size), Log: a.o.Log.With("part", "capture")})
	a.background("capture", w.Run)
	return captures{w}, a.registerMetrics(captureCollector{w})
}

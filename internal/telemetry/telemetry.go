package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Options say where telemetry goes.
type Options struct {
	Endpoint string            // base address of the collector, like http://127.0.0.1:4318
	Headers  map[string]string // of each request to it
	Traces   float64           // share of the requests that are traced when their client doesn't say, 0 to 1
	Version  string            // of this build
	Node     string            // which process this is
	Every    time.Duration     // between exports of metrics; default 15 s
	Log      *slog.Logger
}

// Telemetry makes spans and metrics of requests. All its methods may be called by any goroutine.
type Telemetry struct {
	tracer  trace.Tracer
	traces  *sdktrace.TracerProvider
	metrics *sdkmetric.MeterProvider
	context propagation.TraceContext
	sets    instruments
}

type instruments struct {
	tokens                                  metric.Int64Histogram
	duration, firstChunk, perChunk, request metric.Float64Histogram
}

// Start returns a Telemetry that exports until Stop. A collector that is away is no error: the SDK tries again and drops.
func Start(ctx context.Context, o Options) (*Telemetry, error) {
	spans, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(o.Endpoint+"/v1/traces"), otlptracehttp.WithHeaders(o.Headers))
	if err != nil {
		return nil, fmt.Errorf("export traces: %w", err)
	}
	series, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(o.Endpoint+"/v1/metrics"), otlpmetrichttp.WithHeaders(o.Headers))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("export metrics: %w", err), spans.Shutdown(ctx))
	}
	if o.Every <= 0 {
		o.Every = 15 * time.Second
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { o.Log.Warn("telemetry is not exported", "error", err) }))
	return newTelemetry(o, sdktrace.WithBatcher(spans), sdkmetric.WithReader(sdkmetric.NewPeriodicReader(series, sdkmetric.WithInterval(o.Every))))
}

func newTelemetry(o Options, spans sdktrace.TracerProviderOption, series sdkmetric.Option) (*Telemetry, error) {
	who := resource.NewSchemaless(
		attribute.String("service.name", "sluice"), attribute.String("service.version", o.Version), attribute.String("service.instance.id", o.Node))
	t := &Telemetry{
		traces: sdktrace.NewTracerProvider(spans, sdktrace.WithResource(who),
			sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.Traces)))),
		metrics: sdkmetric.NewMeterProvider(series, sdkmetric.WithResource(who), sdkmetric.WithCardinalityLimit(maxSeries)),
	}
	const scope = "sluice.dev/sluice/gateway"
	t.tracer = t.traces.Tracer(scope)
	return t, t.sets.make(t.metrics.Meter(scope))
}

func (s *instruments) make(m metric.Meter) error {
	seconds := func(name string, buckets []float64, what string) (metric.Float64Histogram, error) {
		return m.Float64Histogram(name, metric.WithUnit("s"), metric.WithDescription(what), metric.WithExplicitBucketBoundaries(buckets...))
	}
	var errs [5]error
	s.tokens, errs[0] = m.Int64Histogram(metricTokens, metric.WithUnit("{token}"), metric.WithDescription("Tokens of prompts and answers."),
		metric.WithExplicitBucketBoundaries(bucketsTokens...))
	s.duration, errs[1] = seconds(metricDuration, bucketsSeconds, "From the request read to the end of the answer.")
	s.firstChunk, errs[2] = seconds(metricFirstChunk, bucketsFirstChunk, "From the request read to the first content of a streamed answer.")
	s.perChunk, errs[3] = seconds(metricPerChunk, bucketsFirstChunk, "Per token of a streamed answer after its first content.")
	s.request, errs[4] = seconds(metricHTTP, bucketsHTTP, "From the request read to the end of the answer.")
	return errors.Join(errs[:]...)
}

// Stop exports what is left and ends. Further spans are dropped.
func (t *Telemetry) Stop(ctx context.Context) error {
	return errors.Join(t.traces.Shutdown(ctx), t.metrics.Shutdown(ctx))
}

// Span is one request on its way.
type Span struct {
	t     *Telemetry
	span  trace.Span
	ctx   context.Context //nolint:containedctx // carries the span's identity alone, to be written into headers
	start time.Time
}

// Begin starts the span of a request that was read at start, as a child of the span that its headers name.
func (t *Telemetry) Begin(h http.Header, start time.Time) *Span {
	parent := t.context.Extract(context.Background(), propagation.HeaderCarrier(h))
	ctx, span := t.tracer.Start(parent, "request", trace.WithTimestamp(start), trace.WithSpanKind(trace.SpanKindClient))
	return &Span{t: t, span: span, ctx: ctx, start: start}
}

// Inject writes the span into the headers of the request to an upstream.
func (s *Span) Inject(h http.Header) { s.t.context.Inject(s.ctx, propagation.HeaderCarrier(h)) }

package telemetry

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	collectmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collecttraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

func inMemory(t *testing.T, share float64) (*Telemetry, *tracetest.InMemoryExporter, *sdkmetric.ManualReader) {
	t.Helper()
	spans, reader := tracetest.NewInMemoryExporter(), sdkmetric.NewManualReader()
	tel, err := newTelemetry(Options{Traces: share, Version: "test", Node: "n1"}, sdktrace.WithSyncer(spans), sdkmetric.WithReader(reader))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tel.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return tel, spans, reader
}

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func chat() Exchange {
	return Exchange{
		Model: "helpdesk", Arm: "candidate", Version: "v2", Release: 3, Exposure: "x1", Method: "POST", Status: 200, Server: "127.0.0.1", Port: 9,
		Operation: "chat", Provider: "openai", RequestModel: "helpdesk", ResponseModel: "hd-2", Stream: true, Finish: "stop",
		Duration: 2 * time.Second, FirstContent: 300 * time.Millisecond, PerToken: 17 * time.Millisecond,
		Tokens: Tokens{Input: 120, Output: 100, Cached: 64, CacheWrite: -1, Reasoning: -1},
	}
}

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"

func TestSpanOfAChat(t *testing.T) {
	tel, spans, _ := inMemory(t, 0)
	in := http.Header{"Traceparent": {parent + "1"}, "Tracestate": {"a=b"}}
	s := tel.Begin(in, start)
	out := http.Header{"Traceparent": {parent + "1"}}
	s.Inject(out)
	s.End(chat())

	got := spans.GetSpans()
	if len(got) != 1 {
		t.Fatalf("%d spans: a client that traces was not followed", len(got))
	}
	span := got[0]
	want := fmt.Sprintf("00-4bf92f3577b34da6a3ce929d0e0e4736-%s-01", span.SpanContext.SpanID())
	if tp := out.Get("Traceparent"); tp != want || out.Get("Tracestate") != "a=b" {
		t.Errorf("the upstream got %q, %q, want %q", tp, out.Get("Tracestate"), want)
	}
	if span.Parent.SpanID().String() != "00f067aa0ba902b7" || span.Name != "chat helpdesk" || !span.EndTime.Equal(start.Add(2*time.Second)) {
		t.Errorf("parent %s, name %q, end %s", span.Parent.SpanID(), span.Name, span.EndTime)
	}
	attributes := map[string]string{}
	for _, kv := range span.Attributes {
		attributes[string(kv.Key)] = kv.Value.String()
	}
	for k, v := range map[string]string{
		"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "helpdesk", "gen_ai.response.model": "hd-2",
		"gen_ai.usage.input_tokens": "120", "gen_ai.usage.output_tokens": "100", "gen_ai.usage.cache_read.input_tokens": "64",
		"gen_ai.response.finish_reasons": `["stop"]`, "gen_ai.response.time_to_first_chunk": "0.3", "gen_ai.request.stream": "true",
		"sluice.arm": "candidate", "sluice.release": "3", "sluice.exposure": "x1", "server.address": "127.0.0.1", "server.port": "9",
	} {
		if attributes[k] != v {
			t.Errorf("%s = %q, want %q", k, attributes[k], v)
		}
	}
	for _, k := range []string{"gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.reasoning.output_tokens", "error.type"} {
		if v, there := attributes[k]; there {
			t.Errorf("%s = %q, though nobody told it", k, v)
		}
	}
}

func TestWhoIsTraced(t *testing.T) {
	for _, c := range []struct {
		name, parent string
		share        float64
		want         int
	}{
		{"the client says no", parent + "0", 1, 0},
		{"the client says yes", parent + "1", 0, 1},
		{"the share says all", "", 1, 1},
		{"the share says none", "", 0, 0},
		{"nonsense is no parent", "00-zz-1", 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			tel, spans, reader := inMemory(t, c.share)
			h := http.Header{}
			if c.parent != "" {
				h.Set("Traceparent", c.parent)
			}
			s := tel.Begin(h, start)
			s.Inject(h)
			s.End(chat())
			if got := len(spans.GetSpans()); got != c.want {
				t.Errorf("%d spans, want %d", got, c.want)
			}
			if n := pointsOf(t, reader)[metricDuration]; n != 1 {
				t.Errorf("%d requests measured, want each", n)
			}
			if tp := h.Get("Traceparent"); len(tp) != 55 {
				t.Errorf("the upstream got %q", tp)
			}
		})
	}
}

// pointsOf returns how many values each metric has taken.
func pointsOf(t *testing.T, r *sdkmetric.ManualReader) map[string]uint64 {
	t.Helper()
	var data metricdata.ResourceMetrics
	if err := r.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	n := map[string]uint64{}
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch h := m.Data.(type) {
			case metricdata.Histogram[float64]:
				for _, p := range h.DataPoints {
					n[m.Name] += p.Count
				}
			case metricdata.Histogram[int64]:
				for _, p := range h.DataPoints {
					n[m.Name] += p.Count
				}
			}
		}
	}
	return n
}

func TestMetrics(t *testing.T) {
	tel, spans, reader := inMemory(t, 1)
	failed := chat()
	failed.Error, failed.Status = "timeout", 0
	plain := Exchange{Model: "credit", Arm: "live", Version: "v1", Method: "POST", Status: 503, Error: "503", Duration: time.Second, Tokens: Tokens{-1, -1, -1, -1, -1}}
	copied := chat()
	copied.Mirrored = true
	for _, e := range []Exchange{chat(), failed, plain, copied} {
		tel.Begin(http.Header{}, start).End(e)
	}
	got := pointsOf(t, reader)
	for name, want := range map[string]uint64{
		metricDuration: 2, metricFirstChunk: 1, metricPerChunk: 1, metricTokens: 4, metricHTTP: 1, // what failed has no first content; a copy has nothing
	} {
		if got[name] != want {
			t.Errorf("%s has %d values, want %d", name, got[name], want)
		}
	}
	if s := spans.GetSpans(); len(s) != 4 || s[1].Status.Description != "timeout" || s[2].Name != "POST credit" {
		t.Errorf("spans %v", s)
	}
}

// TestCardinality lets clients name more models than there may be series.
func TestCardinality(t *testing.T) {
	tel, _, reader := inMemory(t, 0)
	for i := range maxSeries + 500 {
		e := chat()
		e.RequestModel = fmt.Sprintf("made-up-%d", i)
		tel.Begin(http.Header{}, start).End(e)
	}
	var data metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	for _, m := range data.ScopeMetrics[0].Metrics {
		if h, ok := m.Data.(metricdata.Histogram[float64]); ok && len(h.DataPoints) > maxSeries {
			t.Errorf("%s has %d series", m.Name, len(h.DataPoints))
		}
	}
}

// TestExport sends to a collector of this test, which decodes what it gets.
func TestExport(t *testing.T) {
	var mu sync.Mutex
	var spans, series []string
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("X-Key") != "k" {
			t.Error("the header is missing")
		}
		switch body := readBody(t, r); r.URL.Path {
		case "/v1/traces":
			var req collecttraces.ExportTraceServiceRequest
			if err := proto.Unmarshal(body, &req); err != nil {
				t.Error(err)
			}
			spans = append(spans, req.ResourceSpans[0].ScopeSpans[0].Spans[0].Name)
		case "/v1/metrics":
			var req collectmetrics.ExportMetricsServiceRequest
			if err := proto.Unmarshal(body, &req); err != nil {
				t.Error(err)
			}
			for _, m := range req.ResourceMetrics[0].ScopeMetrics[0].Metrics {
				series = append(series, m.Name)
			}
		default:
			t.Errorf("asked for %s", r.URL.Path)
		}
	}))
	defer collector.Close()
	tel, err := Start(t.Context(), Options{Endpoint: collector.URL, Headers: map[string]string{"X-Key": "k"}, Traces: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	tel.Begin(http.Header{}, start).End(chat())
	if err := tel.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if strings.Join(spans, " ") != "chat helpdesk" || !strings.Contains(strings.Join(series, " "), metricTokens) {
		t.Errorf("the collector got spans %q and metrics %q", spans, series)
	}
}

func readBody(t *testing.T, r *http.Request) []byte {
	t.Helper()
	var in io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return nil
		}
		in = unzipped
	}
	b, err := io.ReadAll(in)
	if err != nil {
		t.Error(err)
	}
	return b
}

// TestCollectorAway: nobody listens; requests and the end are not kept waiting for ever.
func TestCollectorAway(t *testing.T) {
	tel, err := Start(t.Context(), Options{Endpoint: "http://127.0.0.1:1", Traces: 1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	tel.Begin(http.Header{}, start).End(chat())
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := tel.Stop(ctx); err == nil {
		t.Error("what could not be sent was not told")
	}
}

// BenchmarkExchange is what a request costs that is measured and not traced.
func BenchmarkExchange(b *testing.B) {
	tel, err := newTelemetry(Options{}, sdktrace.WithSyncer(tracetest.NewInMemoryExporter()), sdkmetric.WithReader(sdkmetric.NewManualReader()))
	if err != nil {
		b.Fatal(err)
	}
	e := chat()
	for b.Loop() {
		h := http.Header{}
		s := tel.Begin(h, start)
		s.Inject(h)
		s.End(e)
	}
}

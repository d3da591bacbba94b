package clients

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/receiver/receivertest"
)

// collector is the OpenTelemetry collector's own receiver, with what came in.
type collector struct {
	traces  consumertest.TracesSink
	metrics consumertest.MetricsSink
}

func startCollector(address string) (*collector, error) {
	c := &collector{}
	factory := otlpreceiver.NewFactory()
	cfg := factory.CreateDefaultConfig()
	err := confmap.NewFromStringMap(map[string]any{"protocols": map[string]any{"http": map[string]any{"endpoint": address}}}).Unmarshal(cfg)
	if err != nil {
		return nil, err
	}
	settings := receivertest.NewNopSettings(factory.Type())
	traces, err := factory.CreateTraces(context.Background(), settings, cfg, &c.traces)
	if err != nil {
		return nil, err
	}
	metrics, err := factory.CreateMetrics(context.Background(), settings, cfg, &c.metrics)
	if err != nil {
		return nil, err
	}
	for _, r := range []interface {
		Shutdown(context.Context) error
	}{traces, metrics} {
		shared.end = append(shared.end, func() { _ = r.Shutdown(context.Background()) })
	}
	if err := traces.Start(context.Background(), componenttest.NewNopHost()); err != nil {
		return nil, err
	}
	return c, metrics.Start(context.Background(), componenttest.NewNopHost())
}

// TestCollector: a traced client's request arrives at the collector as a child of its span, under the GenAI names; metrics too.
func TestCollector(t *testing.T) {
	w := start(t)
	body := `{"model":"chat","messages":[{"role":"user","content":"hello"}],"stream":true}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.gateway+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Sluice-User", "collected")
	req.Header.Set("Traceparent", "00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()

	var span ptrace.Span
	err = eventually(func() (bool, error) {
		found := false
		for _, traces := range w.collector.traces.AllTraces() {
			for _, rs := range traces.ResourceSpans().All() {
				for _, ss := range rs.ScopeSpans().All() {
					for _, s := range ss.Spans().All() {
						if s.TraceID().String() == "5bd66ef5095369c7b0d1f8f4bd33716a" {
							span, found = s, true
						}
					}
				}
			}
		}
		return found, fmt.Errorf("%d spans came, not the one", w.collector.traces.SpanCount())
	})
	if err != nil {
		t.Fatal(err)
	}
	attributes := span.Attributes().AsRaw()
	if span.ParentSpanID().String() != "c532cb4098ac3dd2" || attributes["gen_ai.operation.name"] != "chat" || attributes["gen_ai.provider.name"] != "openai" ||
		attributes["sluice.model"] != "chat" || attributes["sluice.arm"] != "live" {
		t.Errorf("span %s of %s: %v", span.Name(), span.ParentSpanID(), attributes)
	}
	err = eventually(func() (bool, error) {
		var names []string
		for _, m := range w.collector.metrics.AllMetrics() {
			for _, rm := range m.ResourceMetrics().All() {
				for _, sm := range rm.ScopeMetrics().All() {
					for _, metric := range sm.Metrics().All() {
						names = append(names, metric.Name())
					}
				}
			}
		}
		return slices.Contains(names, "gen_ai.client.operation.duration"), fmt.Errorf("metrics %q came", names)
	})
	if err != nil {
		t.Error(err)
	}
}

// TestPrometheus lets Debian's Prometheus scrape the admin port with a viewer's token, and its tool lint what it gets.
func TestPrometheus(t *testing.T) {
	server, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not installed (Debian: apt-get install prometheus)")
	}
	w := start(t)
	dir := t.TempDir()
	rules, err := filepath.Abs(filepath.Join("..", "..", "deploy", "prometheus", "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf(`
global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - job_name: sluice
    authorization: {credentials: %q}
    static_configs: [{targets: [%q]}]
`, rules, w.token, strings.TrimPrefix(w.admin, "http://"))
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	listen := free()
	ctx, stop := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, server, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+listen)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(); _ = cmd.Wait() })
	for _, query := range []string{`up{job="sluice"} == 1`, "sluice_build_info", "sluice_store_up == 1", "sluice_controller_leader == 1", "sluice_gateway_arm_info"} {
		err := eventually(func() (bool, error) { return ask(t, "http://"+listen, query) })
		if err != nil {
			t.Errorf("%s: %v", query, err)
		}
	}
	time.Sleep(2 * time.Second) // the rules are evaluated each second
	if firing, err := ask(t, "http://"+listen, `ALERTS{alertstate="firing"}`); err != nil || firing {
		t.Errorf("a healthy Sluice alarms: %v %v", firing, err)
	}
	lint(t, w)
}

// ask says whether a query has a result.
func ask(t *testing.T, prometheus, query string) (bool, error) {
	t.Helper()
	resp, err := http.Get(prometheus + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil {
		return false, err
	}
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		Status, Error string
		Data          struct{ Result []any }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return false, err
	}
	if answer.Status != "success" {
		return false, fmt.Errorf("%s", answer.Error)
	}
	return len(answer.Data.Result) > 0, nil
}

// lint lets promtool check names, units and help texts of all metrics.
func lint(t *testing.T, w world) {
	t.Helper()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.admin+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = resp.Body
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

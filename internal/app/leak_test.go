package app

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/capture"
	"sluice.dev/sluice/internal/release"
)

const talks = `
apiVersion: sluice.dev/v1alpha1
kind: Model
metadata: {name: helpdesk}
spec:
  match: {path: /v1/}
  dialect: openai
  unit: {from: [json:user, header:X-User-Id]}
  segments: {plan: header:X-Plan}
  capture: {share: 100%, redact: ["json:messages.#.content"]}
  versions:
    v1: {url: "URL", headers: {Authorization: env:LEAK_TEST_KEY}}
    v2: {url: "URL", headers: {Authorization: env:LEAK_TEST_KEY}}
  live: v1
  metrics:
    - {name: errors, source: error, direction: lower, margin: 5pp, role: guardrail}
    - {name: tokens, source: "tokens:output", direction: lower, role: watch}
    - {name: thumbs, source: feedback:thumbs, kind: proportion, window: 1h, direction: higher, margin: 5pp, role: objective}
  plan:
    steps:
      - shadow: {share: 100%, until: {pairs: 2000}, deadline: 1h}
      - canary: {shares: [50%], hold: 10m, deadline: 24h}
      - production: {watch: 24h}
`

// What is planted in requests, and must be found nowhere outside of them.
const (
	plantedUnit   = "unit-7f3a-quokka"
	plantedHeader = "unit-91bb-numbat"
	plantedPrompt = "prompt-wombat-says"
	plantedAnswer = "answer-bilby-says"
	plantedKey    = "key-dunnart-c0ffee"
	plantedMail   = "potoroo@mail.example"
)

// everything collects what leaves the process.
type everything struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (e *everything) Write(b []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.buf.Write(b)
}

func (e *everything) bytes() []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return bytes.Clone(e.buf.Bytes())
}

// TestNothingLeaks: units leave the process as keyed hashes alone; prompts, answers and secrets not at all, or redacted and
// encrypted where a Model file asks for a sample of bodies.
func TestNothingLeaks(t *testing.T) {
	t.Setenv("LEAK_TEST_KEY", "Bearer "+plantedKey)
	reached := make(chan string, 64)
	models := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		reached <- string(b) + r.Header.Get("Authorization")
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"choices":[{"message":{"role":"assistant","content":"`+plantedAnswer+` `+plantedMail+`"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":4}}`)
	}))
	defer models.Close()
	var exported everything
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		in := io.Reader(r.Body)
		if r.Header.Get("Content-Encoding") == "gzip" {
			unzipped, err := gzip.NewReader(r.Body)
			if err != nil {
				t.Error(err)
				return
			}
			in = unzipped
		}
		_, _ = io.Copy(&exported, in)
	}))
	defer collector.Close()

	var log everything
	cfg := release.DefaultConfig()
	cfg.Spec.DataDir = t.TempDir()
	cfg.Spec.Gateway.Listen, cfg.Spec.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0"
	cfg.Spec.OTLP = release.OTLPConfig{Endpoint: collector.URL, Traces: release.Whole}
	a, err := Start(t.Context(), Options{Config: cfg, Version: "test", Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	client := &api.Client{Base: a.AdminURL(), Token: a.Token()}
	if _, err := client.Apply(t.Context(), api.ApplyRequest{Name: "m.yaml", File: strings.ReplaceAll(talks, "URL", models.URL)}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Start(t.Context(), "helpdesk", api.StartRequest{To: "v2", Reason: "try"}); err != nil {
		t.Fatal(err)
	}
	ask(t, a.GatewayURL(), reached)
	metrics := get(t, a.AdminURL()+"/metrics", a.Token())
	stop, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := a.Stop(stop); err != nil {
		t.Fatal(err)
	}

	places := map[string][]byte{"the log": log.bytes(), "the metrics": metrics, "the exported telemetry": exported.bytes()}
	readFiles(t, cfg.Spec.DataDir, places)
	for place, content := range places {
		for _, planted := range []string{plantedUnit, plantedHeader, plantedPrompt, plantedAnswer, plantedKey, plantedMail} {
			if bytes.Contains(content, []byte(planted)) {
				t.Errorf("%s holds %q", place, planted)
			}
		}
	}
	if !bytes.Contains(exported.bytes(), []byte("sluice.arm")) || !bytes.Contains(metrics, []byte(`sluice_gateway_requests_total{arm="live",class="2xx",model="helpdesk"}`)) {
		t.Error("nothing was exported, so nothing was shown")
	}
	checkCaptured(t, cfg)
}

// ask sends requests until one was mirrored, so that both legs are seen, and feedback to the first.
func ask(t *testing.T, gateway string, reached <-chan string) {
	t.Helper()
	for i := 0; ; i++ {
		body := `{"model":"helpdesk","user":"` + plantedUnit + `","messages":[{"role":"user","content":"` + plantedPrompt + `"}],"note":"` + plantedMail + `"}`
		if i%2 == 1 {
			body = strings.Replace(body, `"user":"`+plantedUnit+`",`, "", 1)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, gateway+"/v1/chat/completions", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-User-Id", plantedHeader)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || !bytes.Contains(b, []byte(plantedAnswer)) {
			t.Fatalf("%d %s %v", resp.StatusCode, b, err)
		}
		_ = resp.Body.Close()
		if i == 0 {
			feedback(t, gateway, resp.Header.Get("X-Sluice-Id"))
		}
		got := <-reached
		if !strings.Contains(got, plantedPrompt) || !strings.Contains(got, plantedKey) {
			t.Fatalf("the model server got %s", got)
		}
		if i >= 4 && len(reached) > 0 { // a copy came as well
			return
		}
		if i > 1000 {
			t.Fatal("nothing is mirrored")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func feedback(t *testing.T, gateway, id string) {
	t.Helper()
	body := `{"id":"` + id + `","metric":"thumbs","value":1}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, gateway+"/-/sluice/feedback", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		b, _ := io.ReadAll(resp.Body) // whatever was read is shown
		t.Fatalf("feedback: %d %s", resp.StatusCode, b)
	}
}

func get(t *testing.T, url, token string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v", url, resp.StatusCode, err)
	}
	return b
}

func readFiles(t *testing.T, dir string, into map[string][]byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		into[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(into) < 10 {
		t.Errorf("only %d places were searched", len(into))
	}
}

// checkCaptured opens the sample with its key: it is there, and redacted.
func checkCaptured(t *testing.T, cfg *release.Config) {
	t.Helper()
	ids, err := capture.Identities(CaptureKey(&cfg.Spec))
	if err != nil {
		t.Fatal(err)
	}
	n, mirrored := 0, 0
	for e, err := range capture.Read(CaptureDir(&cfg.Spec), "helpdesk", ids...) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if e.Mirrored {
			mirrored++
		}
		if !strings.Contains(e.Request.Text, `"note":"[email]"`) || !strings.Contains(e.Request.Text, `"content":"[removed]"`) ||
			strings.Contains(e.Request.Text, plantedUnit) || !strings.Contains(e.Answer.Text, plantedAnswer+" [email]") || e.Exposure == "" {
			t.Errorf("captured %+v", e)
		}
	}
	if n < 5 || mirrored == 0 {
		t.Errorf("%d exchanges were captured, %d of them copies", n, mirrored)
	}
}

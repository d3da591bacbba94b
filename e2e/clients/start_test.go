package clients

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// world is a gateway in front of the scripted provider and of the language model of examples/llm.
type world struct {
	gateway, provider, admin, token string
	collector                       *collector
}

// models are the Model files: where each is matched, its dialect, its server, the name it is asked by.
const model = `apiVersion: sluice.dev/v1alpha1
kind: Model
metadata: {name: %s}
spec:
  match: {%s}
  dialect: %s
  unit: {from: [header:X-Sluice-User, json:user, json:metadata.user_id, header:X-Session-Id], missing: perRequest}
  versions: {v1: {url: "%s", timeout: 60s%s}}
  live: v1
  metrics:
    - {name: errors, source: error, margin: 5pp, role: guardrail}
%s  plan: {steps: [{canary: {shares: [50%%], deadline: 24h}}, {production: {holdback: 5%%, watch: 24h}}]}
`

const tokens = "    - {name: tokens, source: \"tokens:output\", direction: lower, role: watch}\n    - {name: first, source: ttft, role: watch}\n"

var shared = struct {
	once sync.Once
	w    world
	err  error
	end  []func()
}{}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, f := range shared.end {
		f()
	}
	os.Exit(code)
}

// start starts everything once for all tests of the process.
func start(t *testing.T) world {
	t.Helper()
	shared.once.Do(func() { shared.w, shared.err = begin() })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.w
}

func begin() (w world, err error) {
	dir, err := os.MkdirTemp("", "sluice-clients-")
	if err != nil {
		return w, err
	}
	shared.end = append(shared.end, func() { _ = os.RemoveAll(dir) })
	build := exec.Command("go", "build", "-o", dir, "./cmd/sluice", "./examples/llm/cmd/llmserver")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return w, fmt.Errorf("go build: %w\n%s", err, out)
	}
	p := newProvider()
	shared.end = append(shared.end, p.Close)
	oip := newInference()
	shared.end = append(shared.end, oip.stop)
	llm, gateway, admin := free(), free(), free()
	if err := run(nil, filepath.Join(dir, "llmserver"), "--version", "v2", "--listen", llm); err != nil {
		return w, err
	}
	otlp := free()
	c, err := startCollector(otlp)
	if err != nil {
		return w, err
	}
	config := filepath.Join(dir, "config.yaml")
	text := "apiVersion: sluice.dev/v1alpha1\nkind: Config\nspec: {otlp: {endpoint: \"http://" + otlp + "\", traces: 0%}}\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return w, err
	}
	var said output
	if err := run(&said, filepath.Join(dir, "sluice"), "serve", "-c", config, "--data", filepath.Join(dir, "data"), "--gateway", gateway, "--admin", admin); err != nil {
		return w, err
	}
	if err := await("http://" + admin + "/readyz"); err != nil {
		return w, err
	}
	token := ""
	err = eventually(func() (bool, error) { // it is told once the ports are open, not before
		line, _, whole := strings.Cut(said.String(), "\n")
		token = strings.TrimSpace(line)
		return whole, errors.New("the server tells no token")
	})
	if err != nil {
		return w, err
	}
	for _, m := range []struct{ name, match, dialect, url, version, metrics string }{
		{"chat", "path: /v1/", "openai", p.URL, `, model: scripted-1`, tokens},
		{"wordnet", "path: /v1/, model: wordnet-lm", "openai", "http://" + llm, "", tokens},
		{"nobody", "path: /v1/, model: nobody", "openai", "http://" + free(), "", ""},
		{"claude", "path: /v1/messages", "anthropic", p.URL, `, model: claude-scripted-1`, tokens},
		{"claude-count", "path: /v1/messages/count_tokens", "anthropic", p.URL, `, model: claude-scripted-1`, ""},
		{"claude-nobody", "path: /v1/messages, model: nobody", "anthropic", "http://" + free(), "", ""},
		{"gemini", "path: /v1beta/", "gemini", p.URL, `, model: gemini-scripted-1`, tokens},
		{"oip", "path: /v2/", "oip", p.URL, `, model: scorer-2`, ""},
		{"oip-grpc", "path: /inference.GRPCInferenceService/", "oip", "http://" + oip.address, `, model: scorer-2, protocol: h2c`, ""},
	} {
		file := filepath.Join(dir, m.name+".yaml")
		if err := os.WriteFile(file, fmt.Appendf(nil, model, m.name, m.match, m.dialect, m.url, m.version, m.metrics), 0o600); err != nil {
			return w, err
		}
		apply := exec.Command(filepath.Join(dir, "sluice"), "apply", "-f", file, "--server", "http://"+admin)
		apply.Env = append(os.Environ(), "SLUICE_TOKEN="+token)
		if out, err := apply.CombinedOutput(); err != nil {
			return w, fmt.Errorf("apply %s: %w\n%s", m.name, err, out)
		}
	}
	w = world{gateway: "http://" + gateway, provider: p.URL, admin: "http://" + admin, token: token, collector: c}
	return w, awaitRoutes("http://" + gateway + "/-/sluice/ofrep/v1/evaluate/flags/oip-grpc")
}

// output is what a command says, which is read while it goes on.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// run starts a command until the tests end.
func run(stdout io.Writer, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	log, err := os.CreateTemp("", "sluice-clients-log-")
	if err != nil {
		return err
	}
	cmd.Stderr = log
	if stdout != nil {
		cmd.Stdout = stdout
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	shared.end = append(shared.end, func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
		_ = os.Remove(log.Name())
	})
	return nil
}

// free is an address that nobody uses.
func free() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func await(url string) error {
	return eventually(func() (bool, error) {
		resp, err := http.Get(url)
		if err != nil {
			return false, err
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK, nil
	})
}

// awaitRoutes waits until the gateway serves the model that was applied last.
func awaitRoutes(url string) error {
	return eventually(func() (bool, error) {
		resp, err := http.Post(url, "application/json", strings.NewReader(`{"context":{"targetingKey":"u"}}`))
		if err != nil {
			return false, err
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK, nil
	})
}

func eventually(f func() (bool, error)) error {
	var err error
	for range 1800 { // a machine that does much else takes its time
		var ok bool
		if ok, err = f(); ok {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("it did not happen within three minutes: %w", err)
}

// seen asks the provider what it saw of a word.
func (w world) seen(t *testing.T, word string) (s sight) {
	t.Helper()
	resp, err := http.Get(w.provider + "/seen?word=" + word)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

// cancelled waits until the provider saw that the client of a word went away.
func (w world) cancelled(t *testing.T, word string) {
	t.Helper()
	if err := eventually(func() (bool, error) { return w.seen(t, word).Cancelled, nil }); err != nil {
		t.Error(err)
	}
}

// The clients of npm, under Node's test runner. `npm ci` in npm/ comes first.
func TestNPM(t *testing.T) {
	w := start(t)
	cmd := exec.Command("npm", "test", "--silent")
	cmd.Dir = "npm"
	cmd.Env = append(os.Environ(), "GATEWAY="+w.gateway, "PROVIDER="+w.provider)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

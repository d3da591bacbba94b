package sluice_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice.dev/sluice/examples/credit"
	"sluice.dev/sluice/examples/credit/server"
	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/demo/credittraffic"
	"sluice.dev/sluice/internal/natsstore"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
)

// binary builds the commands once per test run and returns the folder that holds them.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sluice-bin-")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-o", dir, "./cmd/sluice", "./examples/credit/cmd/creditserver").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := binary(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// killModel has every step that lasts, with spans of seconds.
const killModel = `
apiVersion: sluice.dev/v1alpha1
kind: Model
metadata: {name: credit}
spec:
  match: {path: /credit}
  dialect: json
  unit: {from: [header:X-User-Id]}
  versions:
    v1: {url: "%s", timeout: 10s}
    v2: {url: "%s", timeout: 10s}
  live: v1
  metrics:
    - {name: errors, source: error, margin: 20pp, role: guardrail, window: 1s}
    - {name: correct, source: "agree(json:decision, feedback:outcome)", window: 2s, direction: higher, margin: 10pp, role: objective}
  plan:
    steps:
      - test: {suite: suite.yaml, deadline: 2m}
      - shadow: {share: 100%%, until: {pairs: 300}, deadline: 20m}
      - abTest: {share: 50%%, goal: noWorse, hold: 3s, deadline: 20m}
      - canary: {shares: [70%%, 90%%], hold: 2s, deadline: 20m}
      - production: {holdback: 5%%, watch: 3s}
`

const killSuite = `
apiVersion: sluice.dev/v1alpha1
kind: Suite
metadata: {name: small}
spec:
  target: {path: /credit, timeout: 10s}
  functional:
    - name: answers
      request: {body: {applicant: {}}}
      expect: {status: 200}
`

// output is what a process says, which may be read while it goes on.
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

// process is a sluice serve that can be killed and started again on the same folder and ports.
type process struct {
	t              *testing.T
	dir            string
	gateway, admin string
	token          string
	cmd            *exec.Cmd
	log            output
}

func (p *process) start() {
	p.t.Helper()
	bin, err := binary()
	if err != nil {
		p.t.Fatal(err)
	}
	p.cmd = exec.Command(filepath.Join(bin, "sluice"), "serve", "--data", p.dir, "--gateway", p.gateway, "--admin", p.admin)
	var out output
	p.cmd.Stdout, p.cmd.Stderr = &out, &p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	deadline := time.Now().Add(60 * time.Second)
	for {
		resp, err := http.Get("http://" + p.admin + "/readyz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("the server does not start: %v\n%s", err, p.log.String())
		}
		time.Sleep(50 * time.Millisecond)
	}
	for p.token == "" { // the first start tells it, a line of its own
		if line, _, whole := strings.Cut(out.String(), "\n"); whole {
			p.token = strings.TrimSpace(line)
		}
		if p.token == "" && time.Now().After(deadline) {
			p.t.Fatalf("the server tells no token\n%s", p.log.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// kill ends the process as a power cut would end it, as far as a process can be.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func (p *process) client() *api.Client { return &api.Client{Base: "http://" + p.admin, Token: p.token} }

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func modelServer(t *testing.T, version string) string {
	t.Helper()
	m, err := credit.Load(version)
	if err != nil {
		t.Fatal(err)
	}
	h, err := server.New(server.Options{Version: version, Model: m})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := server.HTTPServer(h)
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { srv.Close() })
	return "http://" + l.Addr().String()
}

// applicants send requests and outcomes, and remember which feedback was acknowledged.
type applicants struct {
	base      string
	source    *credittraffic.Source
	templates *credittraffic.Templates

	mu    sync.Mutex
	acked []string // exposure ids
}

func newApplicants(t *testing.T, base string) *applicants {
	t.Helper()
	list, err := credit.Applicants()
	if err != nil {
		t.Fatal(err)
	}
	a := &applicants{base: base}
	if a.templates, err = credittraffic.NewTemplates(list); err != nil {
		t.Fatal(err)
	}
	if a.source, err = credittraffic.NewSource(credittraffic.Config{Seed: 5}, a.templates.Len()); err != nil {
		t.Fatal(err)
	}
	return a
}

// run sends about 200 requests a second until ctx ends. Requests fail while the server is down.
func (a *applicants) run(ctx context.Context) {
	client := &http.Client{Timeout: 10 * time.Second}
	jobs := make(chan credittraffic.Request)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for r := range jobs {
				a.one(ctx, client, r)
			}
		})
	}
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-ticker.C:
			select {
			case jobs <- a.source.Next():
			default:
			}
		}
	}
	close(jobs)
	wg.Wait()
}

func (a *applicants) one(ctx context.Context, client *http.Client, r credittraffic.Request) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base+"/credit", bytes.NewReader(a.templates.AppendBody(nil, r)))
	if err != nil {
		return
	}
	req.Header.Set("X-User-Id", string(credittraffic.AppendUser(nil, r)))
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	id := resp.Header.Get("X-Sluice-Id")
	if id == "" || resp.StatusCode != http.StatusOK {
		return
	}
	line, err := json.Marshal(map[string]string{"id": id, "metric": "outcome", "value": a.templates.Outcome(r)})
	if err != nil {
		return
	}
	told, err := client.Post(a.base+"/-/sluice/feedback", "application/json", bytes.NewReader(line))
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, told.Body)
	told.Body.Close()
	if told.StatusCode < 300 {
		a.mu.Lock()
		a.acked = append(a.acked, id)
		a.mu.Unlock()
	}
}

// TestKillNine kills the server at a random moment of each step of a release, and goes on. The
// release must resume where it was and reach its end, the chain of decisions must be whole and hold no
// decision twice, and every feedback that was acknowledged must be in the log.
func TestKillNine(t *testing.T) {
	if testing.Short() {
		t.Skip("needs half a minute")
	}
	seed := int64(1)
	if s := os.Getenv("SLUICE_KILL_SEED"); s != "" {
		_, err := fmt.Sscan(s, &seed)
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(uint64(seed), 0))

	p := &process{t: t, dir: filepath.Join(t.TempDir(), "data"), gateway: freeAddress(t), admin: freeAddress(t)}
	p.start()
	defer func() { p.kill() }()
	file := fmt.Sprintf(killModel, modelServer(t, "v1"), modelServer(t, "v2"))
	suitePath := filepath.Join(t.TempDir(), "suite.yaml")
	if err := os.WriteFile(suitePath, []byte(killSuite), 0o600); err != nil {
		t.Fatal(err)
	}
	applyWithSuite(t, p, file, suitePath)
	if _, err := p.client().Start(t.Context(), "credit", api.StartRequest{To: "v2"}); err != nil {
		t.Fatal(err)
	}
	users := newApplicants(t, "http://"+p.gateway)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); users.run(ctx) }()

	last := watchAndKill(t, p, rng)
	stop()
	<-done
	if last.Phase != rollout.Succeeded {
		t.Fatalf("the release ended as %s: %s\n%s", last.Phase, last.Reason, tail(p.log.String()))
	}
	audit, err := p.client().Verify(t.Context(), "credit")
	if err != nil || !audit.OK {
		t.Fatalf("audit: %+v, %v", audit, err)
	}
	checkDecisions(t, p)
	p.kill()
	checkFeedback(t, p.dir, users.acked)
}

func applyWithSuite(t *testing.T, p *process, file, suitePath string) {
	t.Helper()
	path := filepath.Join(filepath.Dir(suitePath), "model.yaml")
	if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(bin, "sluice"), "apply", "-f", path, "--server", "http://"+p.admin)
	cmd.Env = append(os.Environ(), "SLUICE_TOKEN="+p.token)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("apply: %v\n%s", err, out)
	}
}

// watchAndKill kills the server once in each phase, up to a second after the phase began.
func watchAndKill(t *testing.T, p *process, rng *rand.Rand) api.Release {
	t.Helper()
	killed := map[string]bool{}
	var last api.Release
	for deadline := time.Now().Add(5 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		r, err := p.client().Release(t.Context(), "credit", 1)
		if err != nil {
			continue
		}
		if last.Number != 0 && r.Step < last.Step {
			t.Fatalf("the release went back from step %d to %d", last.Step, r.Step)
		}
		last = r
		if r.Phase.Ended() || r.Phase == rollout.Paused {
			break
		}
		if where := fmt.Sprint(r.Phase, r.Share); !killed[where] {
			killed[where] = true
			time.Sleep(time.Duration(rng.Int64N(int64(time.Second))))
			p.kill()
			p.start()
			after, err := p.client().Release(t.Context(), "credit", 1)
			if err != nil {
				t.Fatalf("after the kill in %s: %v", where, err)
			}
			t.Logf("killed in %s (step %d, %d decisions); resumed in %s (step %d, %d decisions)",
				where, r.Step, r.DecisionCount, after.Phase, after.Step, after.DecisionCount)
		}
	}
	if len(killed) < 5 {
		t.Errorf("killed in %d places only: %v", len(killed), killed)
	}
	return last
}

// checkDecisions fails if a step was entered twice.
func checkDecisions(t *testing.T, p *process) {
	t.Helper()
	decisions, err := p.client().Audit(t.Context(), "credit")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, d := range decisions {
		t.Logf("#%d %s %s %v -> %v: %.120s", d.Number, d.Step, d.What, d.From, d.To, d.Reason)
		switch d.What {
		case rollout.Advance, rollout.Start, rollout.Finish, rollout.Freeze:
			seen[fmt.Sprint(d.Step, d.What, d.From, d.To)]++
		}
	}
	for what, n := range seen {
		if n > 1 {
			t.Errorf("decided %d times: %s", n, what)
		}
	}
}

// checkFeedback reads the logs of a stopped server and looks for each acknowledged feedback.
func checkFeedback(t *testing.T, dir string, acked []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "keyring.json"))
	if err != nil {
		t.Fatal(err)
	}
	var keys release.Keyring
	if err := json.Unmarshal(data, &keys); err != nil {
		t.Fatal(err)
	}
	s, err := natsstore.OpenEmbedded(t.Context(), natsstore.Options{Dir: filepath.Join(dir, "store"), Namespace: "default"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	stored := map[uint64]bool{}
	for p := range release.Partitions {
		for r, err := range s.Read(t.Context(), fmt.Sprint(p), 0, false) {
			if err != nil {
				t.Fatal(err)
			}
			var b release.Batch
			if err := release.DecodeBatch(r.Data, &b); err != nil {
				t.Fatal(err)
			}
			for _, f := range b.Feedback {
				stored[f.Exposure] = true
			}
		}
	}
	lost := 0
	for _, id := range acked {
		tok, err := keys.ParseToken(id)
		if err != nil {
			t.Fatal(err)
		}
		if !stored[tok.Nonce] {
			lost++
		}
	}
	t.Logf("%d feedback acknowledged, %d stored, %d lost", len(acked), len(stored), lost)
	if lost > 0 || len(acked) == 0 {
		t.Errorf("%d of %d acknowledged feedback are not in the log", lost, len(acked))
	}
}

func tail(s string) string { return s[max(0, len(s)-4000):] }

// TestSecondProcessOnTheSameFolder is refused with a message that names the folder and the remedy.
func TestSecondProcessOnTheSameFolder(t *testing.T) {
	p := &process{t: t, dir: filepath.Join(t.TempDir(), "data"), gateway: freeAddress(t), admin: freeAddress(t)}
	p.start()
	defer p.kill()
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(filepath.Join(bin, "sluice"), "serve", "--data", p.dir, "--gateway", "127.0.0.1:0", "--admin", "127.0.0.1:0").CombinedOutput()
	var failed *exec.ExitError
	if !errors.As(err, &failed) || failed.ExitCode() != 1 {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{p.dir, "hint: "} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the message does not say %q:\n%s", want, out)
		}
	}
}

// TestDemo runs the README's first command. A harmless version is rolled back with probability alpha
// at most, and a busy machine may leave a release undecided: so the demo may be repeated once, not more.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a minute")
	}
	bin, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	for attempt := 1; ; attempt++ {
		var talk bytes.Buffer
		cmd := exec.Command(filepath.Join(bin, "sluice"), "demo", "--exit", "-o", "json", "--seed", fmt.Sprint(attempt))
		cmd.Stderr = &talk
		out, err := cmd.Output()
		var result struct {
			Releases []struct {
				Candidate          string
				Phase              rollout.Phase
				CandidateExposures uint64
				DurationSeconds    float64
				Decisions          []struct{ Step, What, Reason string }
			}
		}
		if parseErr := json.Unmarshal(out, &result); parseErr != nil {
			t.Fatalf("the output is no JSON object: %v (%v)\n%s\n%s", parseErr, err, out, talk.String())
		}
		for _, r := range result.Releases {
			t.Logf("%s %s after %.0f s, %d exposures, %d decisions", r.Candidate, r.Phase, r.DurationSeconds, r.CandidateExposures, len(r.Decisions))
		}
		if err == nil {
			if len(result.Releases) != 2 || result.Releases[0].Phase != rollout.Succeeded || result.Releases[1].Phase != rollout.RolledBack {
				t.Fatalf("exit code 0, but %s", out)
			}
			if n := result.Releases[1].CandidateExposures; n != 0 {
				t.Errorf("v3 was caught in shadow, and yet %d requests of users were answered by it", n)
			}
			return
		}
		if attempt == 2 {
			t.Fatalf("%v\n%s\n%s", err, out, talk.String())
		}
	}
}

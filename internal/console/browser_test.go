//go:build browser

package console_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"sluice.dev/sluice/internal/api"
	"sluice.dev/sluice/internal/console"
	"sluice.dev/sluice/internal/judge"
	"sluice.dev/sluice/internal/records"
	"sluice.dev/sluice/internal/release"
	"sluice.dev/sluice/internal/rollout"
	"sluice.dev/sluice/internal/store"
)

const patience = 5 * time.Minute // of a whole test, on a busy machine

// chromium is the browser: what SLUICE_CHROMIUM names, or the first that is installed.
func chromium() string {
	if path := os.Getenv("SLUICE_CHROMIUM"); path != "" {
		return path
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// hostile is what somebody could write as a reason.
const hostile = `<img src=x onerror="document.title='owned'"> <script>document.title='owned'</script>`

const modelFile = `
apiVersion: sluice.dev/v1alpha1
kind: Model
metadata: {name: credit}
spec:
  match: {path: /credit}
  dialect: json
  unit: {from: [header:X-User-Id]}
  traffic: {requests: 2/s, users: 300/day}
  versions:
    v1: {url: "http://127.0.0.1:9101"}
    v2: {url: "http://127.0.0.1:9102"}
  live: v1
  metrics:
    - {name: errors, source: error, direction: lower, margin: 0.5pp, role: guardrail}
    - {name: slow, source: latency, quantile: 0.95, margin: 1.25x, tolerate: 1.1x, role: guardrail}
    - {name: correct, source: "agree(json:decision, feedback:outcome)", window: 10m, direction: higher, margin: 1pp, role: objective}
    - {name: decision, source: json:decision, kind: category, margin: 0.05bits, role: guardrail}
  plan:
    steps:
      - pause: {}
      - canary: {shares: [10%, 50%], hold: 10m, deadline: 2h}
      - approval: {by: [risk]}
      - production: {holdback: 5%, watch: 1h}
`

// world is a server with a release that stands in its canary step. The numbers are made up; all that
// becomes of them goes through the same code as in a real release.
type world struct {
	*httptest.Server
	records *records.Records
	tokens  map[string]string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	now := time.Now().Add(-40 * time.Minute)
	w := emptyWorld(t, now)
	m, faults := release.ParseModel("model.yaml", []byte(modelFile))
	must(t, faults.Err())
	who := records.Who{Name: "operator-token", Role: records.Operator}
	_, _, err := w.records.PutModel(t.Context(), m.Normalise(), who, now)
	must(t, err)
	w.start(t, who, now)
	w.command(t, 1, rollout.CmdAbort, now.Add(time.Minute), "the wrong file was applied")
	w.start(t, who, now.Add(2*time.Minute))
	w.command(t, 2, rollout.CmdPromote, now.Add(3*time.Minute), hostile)
	w.tick(t, 2, now.Add(5*time.Minute), .01)
	w.command(t, 2, rollout.CmdPromote, now.Add(20*time.Minute), "10% looks well")
	for i := range 40 {
		w.tick(t, 2, now.Add(20*time.Minute+time.Duration(i+1)*20*time.Second), float64(i+1)/40)
	}
	must(t, w.records.KeepLooks(t.Context()))
	w.serve(t)
	return w
}

// emptyWorld has tokens and nothing else.
func emptyWorld(t *testing.T, now time.Time) *world {
	t.Helper()
	w := &world{records: records.New(store.NewMemory()), tokens: map[string]string{}}
	for _, role := range []string{records.Viewer, records.Operator, records.Admin} {
		_, clear, err := w.records.CreateToken(t.Context(), records.Token{Name: role + "-token", Role: role, Groups: []string{"risk"}}, now)
		must(t, err)
		w.tokens[role] = clear
	}
	return w
}

// serve is called when everything that a test needs is on record.
func (w *world) serve(t *testing.T) {
	t.Helper()
	w.Server = httptest.NewServer(api.New(api.Options{
		Records: w.records, Now: time.Now, Log: slog.New(slog.DiscardHandler), Version: "test", Console: console.Handler(),
		Evidence: func(context.Context, rollout.State) (api.Evidence, error) { return evidence(), nil },
		Traffic:  func(string) (float64, bool) { return 41.7, true },
		Status:   status,
		Salt:     func() string { return "salt of another release" },
	}))
	t.Cleanup(func() {
		w.CloseClientConnections()
		w.Close()
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) start(t *testing.T, who records.Who, now time.Time) {
	t.Helper()
	w.startOf(t, "credit", who, now)
}

func (w *world) startOf(t *testing.T, model string, who records.Who, now time.Time) {
	t.Helper()
	_, _, err := w.records.Start(t.Context(), records.StartParams{Model: model, Candidate: "v2", Reason: "boosted trees", Who: who, Now: now, Salt: now.String()})
	must(t, err)
}

func (w *world) command(t *testing.T, n uint32, kind rollout.CommandKind, now time.Time, reason string) {
	t.Helper()
	w.commandOf(t, "credit", n, kind, now, reason)
}

func (w *world) commandOf(t *testing.T, model string, n uint32, kind rollout.CommandKind, now time.Time, reason string) {
	t.Helper()
	_, _, err := w.records.Apply(t.Context(), model, n, rollout.Input{Now: now, Command: &rollout.Command{
		Kind: kind, By: "operator-token", Role: records.Operator, Roles: []string{records.Operator}, Address: "127.0.0.1", Reason: reason,
	}}, nil)
	must(t, err)
}

// tick tells the release what its data say when that part of them is there.
func (w *world) tick(t *testing.T, n uint32, now time.Time, part float64) {
	t.Helper()
	rel, err := w.records.Release(t.Context(), "credit", n)
	must(t, err)
	in := rollout.Input{Now: now, Tick: &rollout.Tick{Served: rel.State.Generation, Arriving: true, Assessment: assessmentOf(part), TallyHash: strings.Repeat("ab", 32)}}
	_, _, err = w.records.Apply(t.Context(), "credit", n, in, nil)
	must(t, err)
}

// assessmentOf has intervals that are as wide as a part of the data makes them.
func assessmentOf(part float64) *judge.Assessment {
	a := assessment()
	for i := range a.Verdicts {
		v := &a.Verdicts[i]
		wide := 1 / math.Sqrt(part)
		v.Lo, v.Hi = v.Estimate-(v.Estimate-v.Lo)*wide, v.Estimate+(v.Hi-v.Estimate)*wide
		v.LnNoWorse, v.LnBetter = v.LnNoWorse*part, v.LnBetter*part
		for _, arm := range []*judge.Arm{&v.Live, &v.Candidate} {
			arm.Exposures = uint64(float64(arm.Exposures) * part)
		}
	}
	return a
}

func assessment() *judge.Assessment {
	arm := func(value float64, n uint64) judge.Arm {
		return judge.Arm{Value: value, Exposures: n, Units: n / 9, KEff: 1000}
	}
	pp := func(v float64) release.Margin { return release.Margin{Value: v, Unit: release.Points} }
	return &judge.Assessment{
		Verdicts: []judge.Verdict{
			{
				Metric: "errors", Role: release.Guardrail, Kind: release.MetricEvent, Arm: 1, State: judge.NoWorse, NoWorse: true, Live: arm(.0091, 41210), Candidate: arm(.0088, 41022),
				Estimate: -.03, Lo: -.29, Hi: .24, Unit: "pp", Level: .9, Alpha: .0125, LnNoWorse: 4, Margin: pp(.5), Tolerate: pp(.25),
				Reason: "errors: candidate 0.88 % against 0.91 %, no worse is shown: difference -0.29 to 0.24 points at 90 %, margin 0.5; 41,022 and 41,210 exposures",
			},
			{
				Metric: "slow", Role: release.Guardrail, Kind: release.MetricLatency, Arm: 1, State: judge.Better, NoWorse: true, Better: true, Live: arm(48.2, 41210), Candidate: arm(39.9, 41022),
				Estimate: .83, Lo: .78, Hi: .88, Unit: "x", Level: .9, Alpha: .0125, LnNoWorse: 9, LnBetter: 5, Margin: release.Margin{Value: 1.25, Unit: release.Factor}, Tolerate: release.Margin{Value: 1.1, Unit: release.Factor},
				Reason: "slow: 95th percentile of candidate 39.9 ms against 48.2 ms, better: 0.78 to 0.88 times live's at 90 %, margin 1.25x; 41,022 and 41,210 exposures",
			},
			{
				Metric: "correct", Role: release.Objective, Kind: release.MetricProportion, Arm: 1, State: judge.Undecided, Live: arm(.847, 9120), Candidate: arm(.861, 9077),
				Estimate: 1.4, Lo: -1.2, Hi: 3.9, Unit: "pp", Level: .9, Alpha: .0125, LnNoWorse: 1.9, Margin: pp(1), Tolerate: pp(.5), Needs: &judge.Needs{Exposures: 5200, Units: 600, Seconds: 1460, Text: "about 5,200 more exposures, 24 min"},
				Reason: "correct: candidate 86.1 % against 84.7 %, undecided: difference -1.2 to 3.9 points at 90 %, margin 1; 9,077 and 9,120 exposures; about 5,200 more exposures, 24 min",
			},
			{
				Metric: "decision", Role: release.Guardrail, Kind: release.MetricCategory, Arm: 1, State: judge.NoWorse, NoWorse: true, Live: arm(.91, 41210), Candidate: arm(.93, 41022),
				Estimate: .004, Lo: 0, Hi: .013, Unit: "bits", Level: .9, Alpha: .0125, LnNoWorse: 5, Margin: release.Margin{Value: .05, Unit: release.Bits}, Tolerate: release.Margin{Value: .025, Unit: release.Bits},
				Reason: "decision: answers of candidate differ from live's by 0.004 bits, no worse is shown: difference 0 to 0.013 bits at 90 %, margin 0.05; 41,022 and 41,210 exposures",
			},
		},
		Ratio:     judge.Ratio{Units: []uint64{4579, 4558}, Expected: []float64{.5, .5}, Reason: "as many users as planned"},
		Exposures: []uint64{41210, 41022}, Total: []uint64{41210, 49230}, Loss: []float64{0, 0},
	}
}

// browser is one fresh browser, and what must not happen in it.
type browser struct {
	context.Context
	mu     sync.Mutex
	faults []string
}

func open(t *testing.T, w *world) *browser { return launch(t, w.URL) }

// launch starts a browser at the console of a server.
func launch(t *testing.T, base string) *browser {
	t.Helper()
	path := chromium()
	if path == "" {
		t.Skip("no browser is installed: apt-get install chromium, or name one in SLUICE_CHROMIUM")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.WSURLReadTimeout(patience), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("force-prefers-reduced-motion", true), chromedp.Flag("lang", "en"), chromedp.Env("LANGUAGE=en"),
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 900),
	}
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{Context: ctx}
	must(t, chromedp.Listen(ctx, func(event any) { b.see(base, event) }))
	b.do(t, chromedp.Navigate(base+"/"))
	return b
}

// see notes exceptions, messages of the policy, and requests to another host.
func (b *browser) see(base string, event any) {
	note := ""
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		// data: is no host: the browser draws its own controls so.
		if !strings.HasPrefix(e.Request.URL, base) && !strings.HasPrefix(e.Request.URL, "data:") {
			note = "a request to " + e.Request.URL
		}
	case *runtime.EventExceptionThrown:
		note = "exception: " + e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			note += " " + e.ExceptionDetails.Exception.Description
		}
	case *cdplog.EventEntryAdded:
		if strings.Contains(e.Entry.Text, "Content Security Policy") {
			note = e.Entry.Text
		}
	}
	if note != "" {
		b.mu.Lock()
		b.faults = append(b.faults, note)
		b.mu.Unlock()
	}
}

type step = chromedp.Action[chromedp.Void]

func (b *browser) do(t *testing.T, steps ...step) {
	t.Helper()
	for _, s := range steps {
		if err := chromedp.Do(b, s); err != nil {
			page, _ := chromedp.Run(b, chromedp.Evaluate[string](`location.hash + " " + document.body.innerText`)) // for the message only
			t.Fatalf("%v\n%v\non the page: %s", err, b.noted(), page)
		}
	}
}

func visible(css string) step    { return chromedp.WaitVisible(chromedp.CSS(css)) }
func click(css string) step      { return chromedp.Click(chromedp.CSS(css)) }
func set(css, value string) step { return chromedp.SetValue(chromedp.CSS(css), value) }
func keys(css, value string) step {
	return chromedp.SendKeys(chromedp.CSS(css), value)
}

func evaluate(js string) step { return chromedp.Evaluate[chromedp.Void]("void (" + js + ")") }

// theme presses the switch until it is there.
func theme(name string) step {
	return evaluate(`(() => { for (let i = 0; i < 3 && document.documentElement.dataset.theme !== "` + name + `"; i++) document.getElementById("theme").click(); })()`)
}

// goTo opens a page of the console and waits for a part of it.
func goTo(hash, ready string) step {
	return chromedp.Steps(evaluate(`location.hash = "`+hash+`"`), visible(ready))
}

// until waits for a condition of the page. (chromedp's own Poll compiles text in the page, which the
// policy forbids.)
func until(condition string) step {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		for {
			ok, err := chromedp.Evaluate[bool]("Boolean("+condition+")")(ctx, target)
			if err != nil || ok {
				return chromedp.Void{}, err
			}
			if _, err := chromedp.Sleep(50*time.Millisecond)(ctx, target); err != nil {
				return chromedp.Void{}, fmt.Errorf("waiting for %s: %w", condition, err)
			}
		}
	}
}

func get[T any](t *testing.T, b *browser, a chromedp.Action[T]) T {
	t.Helper()
	v, err := chromedp.Run(b, a)
	if err != nil {
		t.Fatalf("%v\n%v", err, b.noted())
	}
	return v
}

func (b *browser) noted() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.faults...)
}

func (b *browser) clean(t *testing.T) {
	t.Helper()
	for _, fault := range b.noted() {
		t.Error(fault)
	}
}

func (b *browser) login(t *testing.T, token string) {
	t.Helper()
	b.do(t, visible("#token"), set("#token", token), click("#login"), visible(".models"))
}

func (b *browser) text(t *testing.T, css string) string {
	t.Helper()
	return get(t, b, chromedp.Text(chromedp.CSS(css)))
}

// shot keeps a picture for people to look at, if the environment names a folder for it.
func (b *browser) shot(t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("SLUICE_SCREENSHOTS")
	if dir == "" {
		return
	}
	png := get(t, b, chromedp.FullScreenshot(100))
	must(t, os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644))
}

const release2 = "#/models/credit/releases/2"

func TestBrowserOperatorAborts(t *testing.T) {
	w := newWorld(t)
	b := open(t, w)
	b.do(t, visible("#token"), set("#token", "slc_0000000000000000_wrong"), click("#login"),
		until(`document.querySelector(".login .fault").textContent !== ""`))
	b.shot(t, "login")
	b.login(t, w.tokens[records.Operator])
	if list := b.text(t, ".models"); !strings.Contains(list, "credit") || !strings.Contains(list, "50%") || !strings.Contains(list, "Ramping") {
		t.Errorf("the list says %q", list)
	}
	b.do(t, click(".m-release a"), visible(".way"), visible(".chart canvas"), until(`document.querySelectorAll(".over canvas").length >= 4`))
	if steps := b.text(t, ".way"); !strings.Contains(steps, "Canary") || !strings.Contains(steps, "2/2") {
		t.Errorf("the way is %q", steps)
	}
	for id, want := range map[string]string{"#latency": "p95", "#categories": "Divergence", "#segments": hostile, "#checks": "Feedback received"} {
		b.do(t, visible(id))
		if part := b.text(t, id); !strings.Contains(part, want) {
			t.Errorf("%s lacks %q: %s", id, want, part)
		}
	}
	said := b.text(t, "#evidence")
	for _, want := range []string{"no worse", "better", "undecided", "n 41,022", "5,200 more exposures", "Posterior of the difference: better with 91.3%"} {
		if !strings.Contains(said, want) {
			t.Errorf("the evidence lacks %q: %s", want, said)
		}
	}
	why := b.text(t, ".why-box")
	for _, want := range []string{"10 min", "errors", "worse by more than 0.25pp", "24 min 20 s", "of the evidence that is needed", "approval"} {
		if !strings.Contains(why, want) {
			t.Errorf("why it is held lacks %q: %s", want, why)
		}
	}
	if decisions := b.text(t, "#decisions"); !strings.Contains(decisions, hostile) {
		t.Errorf("a reason is not shown as it was written: %s", decisions)
	}
	b.do(t, click("#act-pause"), visible("dialog #reason"), click("#confirm"))
	if open := get(t, b, chromedp.Evaluate[bool](`document.querySelector("dialog").open`)); !open {
		t.Error("a command went without a reason")
	}
	b.do(t, keys("#reason", "lunch"), click("#confirm"), until(`document.querySelector(".title .chip")?.textContent === "Paused"`), visible("#act-resume"))

	b.do(t, click("#lang"), until(`document.documentElement?.lang === "zh-CN"`), visible("#act-abort"), click("#act-abort"), visible("dialog #reason"))
	if does := b.text(t, "#does"); !strings.Contains(does, "v1") {
		t.Errorf("the dialog does not say what it will do: %q", does)
	}
	if preview := b.text(t, ".preview"); !strings.Contains(preview, "50%") || !strings.Contains(preview, "0%") {
		t.Errorf("the preview says %q", preview)
	}
	b.axe(t, "the dialog")
	b.shot(t, "abort-zh")
	b.do(t, keys("#reason", "客户投诉增多"), click("#confirm"),
		until(`document.querySelector(".title .chip")?.textContent === "已回滚"`))
	b.clean(t)

	rel, err := w.records.Release(t.Context(), "credit", 2)
	must(t, err)
	decisions, _, err := w.records.Decisions(t.Context(), "credit", 0)
	must(t, err)
	last := decisions[len(decisions)-1]
	if rel.State.Phase != rollout.RolledBack || last.By != "operator-token" || !strings.Contains(last.Reason, "客户投诉增多") {
		t.Errorf("on record: %s, %+v", rel.State.Phase, last)
	}
}

func TestBrowserViewerOnlyLooks(t *testing.T) {
	w := newWorld(t)
	b := open(t, w)
	b.login(t, w.tokens[records.Viewer])
	b.do(t, goTo(release2, "#act-abort"))
	enabled := get(t, b, chromedp.Evaluate[int](`document.querySelectorAll(".title .actions button:enabled").length`))
	if enabled != 0 {
		t.Errorf("a viewer may press %d buttons", enabled)
	}
	// The stream brings what others do.
	w.command(t, 2, rollout.CmdPause, time.Now(), "lunch")
	b.do(t, until(`document.querySelector(".title .chip")?.textContent === "Paused"`), visible("#act-resume"))
	// Whatever script gets into the page, it finds no credential to take along.
	stored := get(t, b, chromedp.Evaluate[string](`JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + document.cookie + document.documentElement.outerHTML`))
	if strings.Contains(stored, "slc_") || strings.Contains(stored, "session=") {
		t.Error("a script can read what logs in")
	}
	// A stream that breaks is taken up again, and nothing is missed meanwhile.
	w.CloseClientConnections()
	w.command(t, 2, rollout.CmdResume, time.Now(), "back")
	b.do(t, until(`document.querySelector(".title .chip")?.textContent === "Ramping"`))
	// The session outlives a reload, and ends with its token.
	b.do(t, chromedp.Reload(), visible(".way"))
	must(t, w.records.RevokeToken(t.Context(), strings.Split(w.tokens[records.Viewer], "_")[1], time.Now()))
	b.do(t, evaluate(`location.hash = "#/"`), visible("#token"))
	b.clean(t)
}

// TestBrowserStandingWatch: the page of a release that has succeeded shows what is seen since.
func TestBrowserStandingWatch(t *testing.T) {
	now := time.Now().Add(-3 * time.Hour)
	w := emptyWorld(t, now)
	m, faults := release.ParseModel("model.yaml", []byte(strings.NewReplacer("  plan:\n", "  plan:\n    keepHoldback: true\n", "      - approval: {by: [risk]}\n", "").Replace(modelFile)))
	must(t, faults.Err())
	who := records.Who{Name: "operator-token", Role: records.Operator}
	_, _, err := w.records.PutModel(t.Context(), m.Normalise(), who, now)
	must(t, err)
	w.start(t, who, now)
	rel, err := w.records.Release(t.Context(), "credit", 1)
	for i := 0; err == nil && rel.State.Phase != rollout.Succeeded && i < 10; i++ {
		w.command(t, 1, rollout.CmdPromote, now.Add(time.Duration(i+1)*time.Minute), "looks well")
		rel, err = w.records.Release(t.Context(), "credit", 1)
	}
	must(t, err)
	began := now.Add(time.Hour).UTC()
	_, err = w.records.PutStanding(t.Context(), "credit", 1, judge.Standing{
		Began: began, Closed: began.Add(time.Hour), Windows: 6, Metrics: []judge.StandingMetric{{Metric: "errors"}},
		Look: judge.StandingLook{LnE: 4.2, Bar: 8.4, Within: .0014, Reason: "errors: 80 of 4,000 users against 61 of 4,000 of the hold-back"},
	}, 0)
	must(t, err)
	w.serve(t)
	b := open(t, w)
	b.login(t, w.tokens[records.Viewer])
	b.do(t, goTo("#/models/credit/releases/1", "#watch meter"))
	if got := b.text(t, "#watch"); !strings.Contains(got, "50 % of what an alarm takes") || !strings.Contains(got, "61 of 4,000 of the hold-back") || !strings.Contains(got, "watching") {
		t.Error(got)
	}
	b.axe(t, "standing watch")
	b.shot(t, "light-watch")
	b.do(t, click("#lang"), until(`document.querySelector("#watch h2")?.textContent.includes("发布之后")`))
	b.shot(t, "chinese-watch")
	b.clean(t)
}

// TestBrowserManyModels: lists come in pages and by search, however many models and releases there are.
func TestBrowserManyModels(t *testing.T) {
	const models, releases = 130, 70 // with 1,000 and 300 the pages are as fast, but it takes minutes to seed them
	now := time.Now().Add(-time.Hour)
	w := emptyWorld(t, now)
	who := records.Who{Name: "operator-token", Role: records.Operator}
	start := time.Now()
	for i := range models {
		name := fmt.Sprintf("model-%04d", i)
		file := strings.NewReplacer("name: credit", "name: "+name, "path: /credit", "path: /"+name).Replace(modelFile)
		m, faults := release.ParseModel("model.yaml", []byte(file))
		must(t, faults.Err())
		_, _, err := w.records.PutModel(t.Context(), m.Normalise(), who, now)
		must(t, err)
		w.startOf(t, name, who, now)
		for n := uint32(1); i == 0 && n <= releases; n++ {
			w.commandOf(t, name, n, rollout.CmdAbort, now.Add(time.Duration(n)*time.Second), "seeded")
			w.startOf(t, name, who, now.Add(time.Duration(n)*time.Second))
		}
		if i%2 == 1 {
			w.commandOf(t, name, 1, rollout.CmdAbort, now.Add(time.Minute), "seeded")
		}
	}
	w.serve(t)
	t.Logf("%d models and %d releases of one seeded in %v", models, releases, time.Since(start).Round(time.Millisecond))
	b := open(t, w)
	b.login(t, w.tokens[records.Viewer])
	b.do(t, until(`document.querySelectorAll(".model").length >= 50`))
	b.do(t, chromedp.Reload(), until(`document.querySelectorAll(".model").length >= 50`))
	t.Logf("first paint after %.0f ms, first 50 models after %.0f ms", get(t, b, chromedp.Evaluate[float64](`performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? -1`)), get(t, b, chromedp.Evaluate[float64](`performance.now()`)))
	if rows := get(t, b, chromedp.Evaluate[int](`document.querySelectorAll(".model").length`)); rows > 200 {
		t.Errorf("%d rows at once", rows)
	}
	b.shot(t, "models-many")
	b.do(t, keys("#search", "model-0127"), until(`document.querySelectorAll(".model").length === 1 && document.querySelector(".model h2").textContent === "model-0127"`))
	b.do(t, goTo("#/models/model-0000", "tbody tr"), until(`document.querySelectorAll("tbody tr").length >= 50`),
		until(`(document.querySelector(".pager").scrollIntoView(), document.querySelectorAll("tbody tr").length > 60)`))
	if first := b.text(t, "tbody tr"); !strings.Contains(first, "Release 71") {
		t.Errorf("the newest release does not stand first: %q", first)
	}
	b.clean(t)
}

// page of the console: what to open, and what shows that it is there.
type page struct{ name, address, ready string }

var pages = []page{
	{"models", "#/", ".model"},
	{"model", "#/models/credit", "tbody tr"},
	{"release", release2, ".over canvas"},
	{"ended", "#/models/credit/releases/1", ".way"},
	{"audit", "#/audit", "tbody tr"},
	{"audit-model", "#/models/credit/audit", "#chain .chip"},
	{"settings", "#/settings", "#token-create"},
	{"plan", "#/models/credit/plan", ".plot canvas"},
}

// TestBrowserPages opens each page in both themes and at the width of a phone: nothing is wider than the
// screen, axe-core finds nothing serious, nothing is asked of another host.
func TestBrowserPages(t *testing.T) {
	w := newWorld(t)
	b := open(t, w)
	b.do(t, visible("#token"), theme("light"), visible("#token"))
	b.axe(t, "login")
	b.login(t, w.tokens[records.Admin])
	for _, p := range pages {
		b.do(t, chromedp.EmulateViewport(1280, 900), goTo(p.address, p.ready))
		b.axe(t, p.name)
		b.shot(t, "light-"+p.name)
		b.do(t, theme("dark"), visible(p.ready))
		b.contrast(t, p.name+" in the dark")
		b.shot(t, "dark-"+p.name)
		b.do(t, theme("light"), chromedp.EmulateViewport(390, 844), visible(p.ready))
		wide := get(t, b, chromedp.Evaluate[int](`document.documentElement.scrollWidth - innerWidth`))
		if wide > 0 {
			t.Errorf("%s is %d pixels wider than a phone", p.name, wide)
		}
		b.shot(t, "phone-"+p.name)
	}
	b.do(t, chromedp.EmulateViewport(1280, 900))
	b.guide(t, w)
	b.clean(t)
}

// guide reads the guide in both languages and comes back.
func (b *browser) guide(t *testing.T, w *world) {
	t.Helper()
	b.do(t, goTo("#/", ".model"), click(`#top nav a[href^="/guide/"]`), visible("article h1"))
	b.axe(t, "guide")
	b.shot(t, "guide")
	b.do(t, click("#lang"), until(`document.documentElement?.lang === "zh-CN" && document.querySelector("article h1")`))
	b.contrast(t, "guide in Chinese")
	b.do(t, chromedp.Navigate(w.URL+"/"), visible(".model"), until(`document.documentElement?.lang === "zh-CN"`), click("#lang"), until(`document.documentElement?.lang === "en"`))
}

// TestBrowserAdministers makes a token, and finds in the audit what was done.
func TestBrowserAdministers(t *testing.T) {
	w := newWorld(t)
	b := open(t, w)
	b.login(t, w.tokens[records.Admin])
	b.do(t, goTo("#/settings", "#token-create"), set("#token-name", "ci"), click("#token-create"), visible("#fresh-token"))
	if token := b.text(t, "#fresh-token"); !strings.HasPrefix(token, "slc_") {
		t.Errorf("the new token is %q", token)
	}
	b.do(t, goTo("#/models/credit/audit", "#chain .chip"), keys("#q", "wrong file"), until(`document.querySelectorAll("tbody tr").length === 1`))
	if chain := b.text(t, "#chain"); !strings.Contains(chain, "verified") {
		t.Errorf("the chain says %q", chain)
	}
	if href := get(t, b, chromedp.Evaluate[string](`document.getElementById("export-csv").getAttribute("href")`)); !strings.Contains(href, "q=wrong+file") || !strings.Contains(href, "format=csv") {
		t.Errorf("the export leads to %s", href)
	}
	b.do(t, goTo("#/audit", "#verify"), click("#verify"), until(`document.querySelector("#chain .chip")?.textContent === "chain verified"`))
	b.do(t, goTo("#/models/credit/plan", "#plan-state"), until(`document.querySelector("#plan-state").textContent.includes("runs per effect")`), until(`document.querySelectorAll("#main canvas").length >= 4`))
	if figures := b.text(t, "#main"); !strings.Contains(figures, "Median duration") || !strings.Contains(figures, "margins") {
		t.Errorf("the plan says %q", figures)
	}
	b.contrast(t, "a plan with its curves")
	b.shot(t, "plan-curves")
	b.clean(t)
}
